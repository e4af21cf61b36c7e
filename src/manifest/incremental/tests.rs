use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    manifest::{Discovery, Options, Retain, Targets, Variables, decode_with},
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
