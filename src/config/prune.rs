//! `prune`: the places in which `--prune` removes what no document means.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    config::target::Target,
    diagnostic::Diagnostic,
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
    /// What says where it is, as in the spec of the kind: names, or ids as numbers.
    pub values: BTreeMap<&'static str, Located<Value>>,
    /// Where it is written.
    pub origin: Origin,
}

/// What scopes of a kind say: its platform, the keys that they need, the keys that they may have.
struct Form {
    kind: &'static str,
    platform: &'static str,
    needs: &'static [&'static str],
    takes: &'static [&'static str],
}

const FORMS: &[Form] = &[
    Form { kind: "Instance", platform: "bk-cmdb", needs: &["model"], takes: &["business"] },
    Form { kind: "InstanceAssociation", platform: "bk-cmdb", needs: &["association"], takes: &[] },
    Form { kind: "Module", platform: "bk-cmdb", needs: &["business", "set"], takes: &[] },
    Form { kind: "ProcessTemplate", platform: "bk-cmdb", needs: &["business", "serviceTemplate"], takes: &[] },
    Form { kind: "App", platform: "roma-connect", needs: &[], takes: &["instance"] },
];

/// Keys whose value may be an id, written as a plain number.
const IDS: &[&str] = &["business", "set", "serviceTemplate"];

/// Reads the list of scopes.
pub(super) fn scopes(node: &Node<'_>, targets: &[Target], diagnostics: &mut Vec<Diagnostic>) -> Vec<Scope> {
    let items = yaml::list(node, "prune", diagnostics).unwrap_or_default();
    items.iter().filter_map(|item| scope(item, targets, diagnostics)).collect()
}

fn scope(node: &Node<'_>, targets: &[Target], diagnostics: &mut Vec<Diagnostic>) -> Option<Scope> {
    let section = Section::open(node, "a scope of prune", diagnostics)?;
    let kinds: Vec<&str> = FORMS.iter().map(|form| form.kind).collect();
    let kind = yaml::one_of(section.require("kind", diagnostics)?, "kind", &kinds, diagnostics)?;
    let form = FORMS.iter().find(|form| form.kind == kind)?;
    let mut values = BTreeMap::new();
    for key in form.needs {
        if let Some(node) = section.require(key, diagnostics) {
            values.extend(value(key, node, diagnostics).map(|value| (*key, value)));
        }
    }
    for key in form.takes {
        if let Some(node) = section.get(key) {
            values.extend(value(key, node, diagnostics).map(|value| (*key, value)));
        }
    }
    let target = target(form, section.get("target"), &node.origin, targets, diagnostics);
    section.finish(diagnostics);
    Some(Scope { kind: form.kind, target: target?, values, origin: node.origin.clone() })
}

fn value(key: &str, node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Located<Value>> {
    if let Some(Typed::Int(id)) = node.typed()
        && IDS.contains(&key)
        && id > 0
    {
        return Some(Located::new(json!(id), node.origin.clone()));
    }
    let text = yaml::text(node, key, diagnostics)?;
    if text.trim().is_empty() {
        diagnostics.push(Diagnostic::error("C003", format!("{key} must not be empty"), &node.origin));
        return None;
    }
    Some(Located::new(json!(text), node.origin.clone()))
}

/// Returns the target of a scope: the one that it names, the platform's only one, or the one that is the default.
fn target(
    form: &Form,
    given: Option<&Node<'_>>,
    origin: &Origin,
    targets: &[Target],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Arc<str>> {
    let of_platform: Vec<&Target> = targets.iter().filter(|target| target.platform == form.platform).collect();
    let names: Vec<&str> = of_platform.iter().map(|target| &*target.name).collect();
    if let Some(node) = given {
        let name = yaml::text(node, "target", diagnostics)?;
        let found = of_platform.iter().find(|target| *target.name == *name);
        if found.is_none() {
            let message = format!("`{name}` is no target of {}", form.platform);
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
            let message = format!("there is no target of {}", form.platform);
            diagnostics.push(Diagnostic::error("C012", message, origin));
            None
        }
        (_, None) => {
            let message = format!("it is not clear which target of {} is meant", form.platform);
            let hint = format!("write `target`, one of {}", names.join(", "));
            diagnostics.push(Diagnostic::error("C012", message, origin).hint(hint));
            None
        }
    }
}
