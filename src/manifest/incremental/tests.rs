use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    manifest::{Discovery, Options, Overlay, Retain, Targets, Variables, decode_with},
    platform,
    source::Sources,
};

/// A document with a name, something that finds its object, and what else is in it.
fn document(kind: u8, name: u8, found_by: u8, to: u8, slip: u8) -> String {
    let slip = match slip {
        0 => "  spce: 1\n",
        1 => "  ensure: x\n",
        2 => "  fields: {a: \"${A}\", b: '${MISSING}'}\n",
        3 => ": {\n",
        _ => "",
    };
    match kind {
        0 => format!(
            "---\napiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {{name: n{name}}}\nspec:\n  association: \
             a\n  source: {{ref: n{to}}}\n  targets: [{{model: m, id: 1}}, {{ref: n{found_by}}}]\n{slip}"
        ),
        1 => format!(
            "---\napiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: n{name}}}\nspec:\n  app: a{found_by}\n  \
             fields: {{remark: x}}\n{slip}"
        ),
        _ => format!(
            "---\napiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: n{name}}}\nspec:\n  model: m\n  match: {{a: \
             x{found_by}}}\n  fields: {{a: 1}}\n{slip}"
        ),
    }
}

fn text() -> impl Strategy<Value = String> {
    let one = (0_u8..6, 0_u8..5, 0_u8..5, 0_u8..6, 0_u8..12)
        .prop_map(|(kind, name, found_by, to, slip)| document(kind, name, found_by, to, slip));
    proptest::collection::vec(one, 0..4).prop_map(|documents| documents.concat())
}

/// A document of an overlay for one with a name, and what else is in it.
fn document_over(kind: u8, name: u8, version: u8, value: u8, slip: u8) -> String {
    let kind = ["InstanceAssociation", "App", "Instance"][usize::from(kind)];
    let version = match version {
        0 => "apiVersion: bk-cmdb/v1\n",
        1 => "apiVersion: roma-connect/v1\n",
        _ => "",
    };
    let slip = match slip {
        0 => "  spce: 1\n",
        1 => "  ensure: x\n",
        2 => "  fields: {a: \"${A}\", b: '${MISSING}'}\n",
        3 => ": {\n",
        4 => return format!("---\nkind: {kind}\nspec: {{}}\n"),
        5 => return format!("---\nkind: {kind}\nmetadata: {{name: n{name}, labels: {{a: b}}}}\nspec: 1\n"),
        _ => "",
    };
    let spec = match kind {
        "InstanceAssociation" => format!("  source: {{ref: n{value}}}\n"),
        "App" => format!("  app: a{value}\n"),
        _ => format!("  match: {{a: x{value}}}\n"),
    };
    format!("---\n{version}kind: {kind}\nmetadata: {{name: n{name}}}\nspec:\n{spec}{slip}")
}

fn text_over() -> impl Strategy<Value = String> {
    let one = (0_u8..3, 0_u8..5, 0_u8..12, 0_u8..6, 0_u8..18)
        .prop_map(|(kind, name, version, value, slip)| document_over(kind, name, version, value, slip));
    proptest::collection::vec(one, 0..4).prop_map(|documents| documents.concat())
}

fn sorted(diagnostics: &[Diagnostic]) -> Vec<String> {
    let mut sorted: Vec<String> = diagnostics.iter().map(|diagnostic| format!("{diagnostic:?}")).collect();
    sorted.sort();
    sorted
}

fn ids<'d>(desired: impl Iterator<Item = &'d Desired>) -> Vec<String> {
    let mut ids: Vec<String> = desired.map(|desired| format!("{} {:?}", desired.id, desired.origin)).collect();
    ids.sort();
    ids
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Texts 0 and 2 are of the base, the others of overlays: 1 and 3 of the lower one, 4 of the upper one.
    #[test]
    fn edits_below_and_in_overlays_come_to_the_same_as_reading_everything(
        base in proptest::collection::vec(text(), 2),
        over in proptest::collection::vec(text_over(), 3),
        edits in proptest::collection::vec((0_usize..5, text(), text_over()), 1..8),
    ) {
        let targets: Targets = [("cmdb", "bk-cmdb", true), ("roma", "roma-connect", true)].into_iter().collect();
        let variables = Variables::default().over_assignments(["A=1"]).expect("it is one");
        let options = Options { threads: None, retain: Retain::Addresses, without_places: true };
        let mut sources = Sources::default();
        let texts = [&base[0], &over[0], &base[1], &over[1], &over[2]];
        let files: Vec<_> = (0..).zip(texts).map(|(at, text)| sources.add(format!("{at}.yaml"), text.as_str())).collect();
        let overlay = |name: &str, files: &[FileId]| {
            Overlay { directory: name.into(), files: files.to_vec(), partial: false }
        };
        let overlays = vec![overlay("lower", &[files[1], files[3]]), overlay("upper", &files[4..])];
        let found = Discovery { files: vec![files[0], files[2]], overlays, ..Discovery::default() };
        let platforms = platform::ALL;
        let mut incremental: Option<Incremental> = None;
        for edit in std::iter::once(None).chain(edits.into_iter().map(Some)) {
            let changed = edit.map(|(number, text, over)| {
                sources.replace(files[number], Arc::from(if [0, 2].contains(&number) { text } else { over }));
                files[number]
            });
            let context = Context {
                options: &options, sources: &sources, found: &found, platforms, targets: &targets, variables: &variables,
            };
            if let (Some(incremental), Some(file)) = (&mut incremental, changed) {
                incremental.update(&context, &[file]);
            }
            let incremental = incremental.get_or_insert_with(|| Incremental::new(&context));
            let (set, diagnostics) = decode_with(&options, &sources, &found, platforms, &targets, &variables);
            prop_assert_eq!(sorted(incremental.diagnostics()), sorted(&diagnostics));
            prop_assert_eq!(ids(incremental.desired()), ids(set.desired.iter()));
            prop_assert_eq!(&incremental.mentioned(), set.provenance.mentioned());
        }
    }

    #[test]
    fn edits_come_to_the_same_as_reading_everything(
        first in proptest::collection::vec(text(), 3),
        edits in proptest::collection::vec((0_usize..4, text()), 1..8),
        is_targetless in any::<bool>(),
    ) {
        let mut targets = Targets::default();
        targets.add("cmdb", "bk-cmdb", true);
        if !is_targetless {
            targets.add("roma", "roma-connect", true);
        }
        let variables = Variables::default().over_assignments(["A=1"]).expect("it is one");
        let options = Options { threads: None, retain: Retain::Addresses, without_places: true };
        let (mut sources, mut found) = (Sources::default(), Discovery::default());
        for (number, text) in first.iter().enumerate() {
            found.files.push(sources.add(format!("{number}.yaml"), text.as_str()));
        }
        let whole = |sources: &Sources, found: &Discovery| {
            decode_with(&options, sources, found, platform::ALL, &targets, &variables)
        };
        let context = Context {
            options: &options, sources: &sources, found: &found, platforms: platform::ALL, targets: &targets,
            variables: &variables,
        };
        let mut incremental = Incremental::new(&context);
        for (number, text) in [(9, String::new())].into_iter().chain(edits) {
            if let Some(file) = found.files.get(number).copied() {
                sources.replace(file, Arc::from(text));
                let context = Context {
                    options: &options, sources: &sources, found: &found, platforms: platform::ALL, targets: &targets,
                    variables: &variables,
                };
                incremental.update(&context, &[file]);
            } else if number < 9 {
                found.files.push(sources.add(format!("{number}.yaml"), text.as_str()));
                let file = found.files[found.files.len() - 1];
                let context = Context {
                    options: &options, sources: &sources, found: &found, platforms: platform::ALL, targets: &targets,
                    variables: &variables,
                };
                incremental.update(&context, &[file]);
            }
            let (set, diagnostics) = whole(&sources, &found);
            prop_assert_eq!(sorted(incremental.diagnostics()), sorted(&diagnostics));
            prop_assert_eq!(ids(incremental.desired()), ids(set.desired.iter()));
            prop_assert_eq!(&incremental.mentioned(), set.provenance.mentioned());
        }
    }
}
