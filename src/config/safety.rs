//! `safety`: what one run may change at most.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::target::Platforms,
    diagnostic::Diagnostic,
    plan::guard::{Limit, Limits, Safety},
    provider::Kind,
    yaml::{self, Form, Key, MOST, Node, Section, Shape, Typed},
};

const MAX_CHANGES: Key = Key::new(
    "maxChanges",
    Shape::Limit,
    "maximum changes of a kind on a target: a number, or a share of the live objects; `30%` by default",
);
const MAX_DELETES: Key =
    Key::new("maxDeletes", Shape::Limit, "maximum implicit deletions: a number or a share; `0` by default");
const MIN_OBJECTS: Key =
    Key::new("minObjects", Shape::Integer(0, MOST), "a share counts from this many objects on; `10` by default");
const MAX_IMPACT: Key = Key::new(
    "maxImpact",
    Shape::MappingOf(&Shape::Integer(0, MOST)),
    "maximum impact by unit, such as `{hosts: 500}`; no limit by default",
);

/// The keys of `safety`.
pub(super) static SAFETY: Form = Form::new(&[
    MAX_CHANGES,
    MAX_DELETES,
    MIN_OBJECTS,
    MAX_IMPACT,
    Key::new("kinds", Shape::MappingOf(&Shape::Mapping(&LIMITS)), "the same keys for single kinds"),
]);

/// The keys of the limits of a kind.
static LIMITS: Form = Form::new(&[MAX_CHANGES, MAX_DELETES, MIN_OBJECTS, MAX_IMPACT]);

/// Reads the limits on all kinds, and those on single ones.
pub(super) fn safety(node: &Node<'_>, platforms: Platforms, diagnostics: &mut Vec<Diagnostic>) -> Safety {
    let mut safety = Safety::default();
    let Some(section) = Section::of(node, "safety", &SAFETY, diagnostics) else { return safety };
    let known: Vec<&dyn Kind> = platforms.iter().flat_map(|platform| platform.kinds()).copied().collect();
    let all: Vec<&str> = known.iter().flat_map(|kind| kind.impact_units()).copied().collect();
    safety.all = limits(&section, "a change of any kind", &all, diagnostics);
    if let Some(kinds) = section.get("kinds").and_then(|node| Section::open(node, "kinds", diagnostics)) {
        for (kind, node) in kinds.node().entries() {
            let Some(found) = known.iter().find(|known| known.name() == kind.key()) else {
                let message = format!("there is no kind `{}`", kind.key());
                let names = known.iter().map(|kind| kind.name());
                diagnostics.push(near(Diagnostic::error("C013", message, &kind.origin), kind.key(), names));
                continue;
            };
            let name = found.name();
            let Some(section) = Section::of(node, &format!("safety of {name}"), &LIMITS, diagnostics) else {
                continue;
            };
            let limits = limits(&section, &format!("a change of {name}"), found.impact_units(), diagnostics);
            safety.kinds.insert(name.to_owned(), limits);
            section.finish(diagnostics);
        }
    }
    section.finish(diagnostics);
    safety
}

fn limits(section: &Section<'_, '_>, what: &str, impact_units: &[&str], diagnostics: &mut Vec<Diagnostic>) -> Limits {
    let mut limit = |key: &'static str| {
        let node = section.get(key)?;
        let text = yaml::text(node, key, diagnostics)?;
        let limit = text.parse::<Limit>();
        limit.map_err(|problem| diagnostics.push(Diagnostic::error("C012", problem, &node.origin))).ok()
    };
    let (changes, deletes) = (limit("maxChanges"), limit("maxDeletes"));
    let min_objects = section.get("minObjects").and_then(|node| yaml::integer(node, "minObjects", diagnostics));
    let min_objects = min_objects.and_then(|count| usize::try_from(count).ok());
    let max = section.get("maxImpact").map(|node| max(node, what, impact_units, diagnostics)).unwrap_or_default();
    Limits { changes, deletes, min_objects, max_impact: max }
}

/// Reads limits on impact.
fn max(node: &Node<'_>, what: &str, impact_units: &[&str], diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<String, u64> {
    let mut limits = BTreeMap::new();
    let Some(section) = Section::open(node, "maxImpact", diagnostics) else { return limits };
    for (unit, node) in section.node().entries() {
        if !impact_units.contains(&unit.key()) {
            let message = format!("no `{}` are counted below {what}", unit.key());
            let diagnostic = Diagnostic::error("C013", message, &unit.origin);
            diagnostics.push(near(diagnostic, unit.key(), impact_units.iter().copied()));
            continue;
        }
        match node.typed() {
            Some(Typed::Int(count)) if count >= 0 => {
                limits.extend(u64::try_from(count).ok().map(|count| (unit.key().to_owned(), count)));
            }
            _ => {
                let message = format!("the most `{}` has to be a number, 0 or more", unit.key());
                diagnostics.push(Diagnostic::error("C012", message, &node.origin));
            }
        }
    }
    limits
}

/// Adds what comes near a word, or all that there is.
fn near<'a>(diagnostic: Diagnostic, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Diagnostic {
    if let Some(near) = yaml::nearest(word, known.clone()) {
        return diagnostic.hint(format!("did you mean `{near}`?"));
    }
    let known: BTreeSet<&str> = known.collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    diagnostic.hint(if known.is_empty() { "nothing is".to_owned() } else { format!("known: {known}") })
}
