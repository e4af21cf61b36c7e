//! `prune`: the places in which `--prune` removes what no document means.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    config::target::{Platforms, Target},
    diagnostic::Diagnostic,
    provider::{Platform, ScopeKey},
    source::{Located, Origin},
    yaml::{self, Node, Section, Typed},
};

/// A place in which live objects that no document means may be removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// The name of the kind of the objects.
    pub kind: &'static str,
    /// The name of the target.
    pub target: Arc<str>,
    /// The keys that say where it is, as in the spec of the kind: names, or ids as numbers.
    pub values: BTreeMap<&'static str, Located<Value>>,
    /// Where it is written.
    pub origin: Origin,
}

/// Reads the list of scopes.
pub(super) fn scopes(
    node: &Node<'_>,
    targets: &[Target],
    platforms: Platforms,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Scope> {
    let items = yaml::list(node, "prune", diagnostics).unwrap_or_default();
    items.iter().filter_map(|item| scope(item, targets, platforms, diagnostics)).collect()
}

fn scope(
    node: &Node<'_>,
    targets: &[Target],
    platforms: Platforms,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Scope> {
    let section = Section::open(node, "a scope of prune", diagnostics)?;
    let of = |platform: &'static dyn Platform| {
        platform.kinds().iter().filter_map(move |kind| Some((platform, kind.name(), kind.scope_keys()?)))
    };
    let forms: Vec<_> = platforms.iter().copied().flat_map(of).collect();
    let kinds: Vec<&str> = forms.iter().map(|(_, kind, _)| *kind).collect();
    let kind = yaml::one_of(section.require("kind", diagnostics)?, "kind", &kinds, diagnostics)?;
    let (platform, kind, keys) = forms.into_iter().find(|(_, name, _)| *name == kind)?;
    let mut values = BTreeMap::new();
    for key in keys {
        let node = if key.required { section.require(key.name, diagnostics) } else { section.get(key.name) };
        values.extend(node.and_then(|node| value(key, node, diagnostics)).map(|value| (key.name, value)));
    }
    let target = target(platform.name(), section.get("target"), &node.origin, targets, diagnostics);
    section.finish(diagnostics);
    Some(Scope { kind, target: target?, values, origin: node.origin.clone() })
}

fn value(key: &ScopeKey, node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Located<Value>> {
    if let Some(Typed::Int(id)) = node.typed()
        && key.is_id
        && id > 0
    {
        return Some(Located::new(json!(id), node.origin.clone()));
    }
    let text = yaml::text(node, key.name, diagnostics)?;
    if text.trim().is_empty() {
        diagnostics.push(Diagnostic::error("C003", format!("{} must not be empty", key.name), &node.origin));
        return None;
    }
    Some(Located::new(json!(text), node.origin.clone()))
}

/// Returns the target of a scope: the one that it names, the platform's only one, or the one that is the default.
fn target(
    platform: &str,
    given: Option<&Node<'_>>,
    origin: &Origin,
    targets: &[Target],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Arc<str>> {
    let of_platform: Vec<&Target> = targets.iter().filter(|target| target.platform.name() == platform).collect();
    let names: Vec<&str> = of_platform.iter().map(|target| &*target.name).collect();
    if let Some(node) = given {
        let name = yaml::text(node, "target", diagnostics)?;
        let found = of_platform.iter().find(|target| *target.name == *name);
        if found.is_none() {
            let message = format!("`{name}` is no target of {platform}");
            let diagnostic = Diagnostic::error("C012", message, &node.origin);
            diagnostics.push(match yaml::nearest(name, names) {
                Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
                None => diagnostic,
            });
        }
        return found.map(|target| target.name.clone());
    }
    let default = of_platform.iter().find(|target| target.default);
    match (of_platform.as_slice(), default) {
        ([only], _) | (_, Some(only)) => Some(only.name.clone()),
        ([], None) => {
            let message = format!("there is no target of {platform}");
            diagnostics.push(Diagnostic::error("C012", message, origin));
            None
        }
        (_, None) => {
            let message = format!("it is not clear which target of {platform} is meant");
            let hint = format!("write `target`, one of {}", names.join(", "));
            diagnostics.push(Diagnostic::error("C012", message, origin).hint(hint));
            None
        }
    }
}
