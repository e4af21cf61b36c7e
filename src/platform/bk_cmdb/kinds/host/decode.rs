//! The `spec` of a `Host`. Fields and modules are objects of their own in a plan, as their calls are others.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    key::{ADDRESS, ASSET, CLOUD, ID},
    placement::{BUILT_IN, MODULES},
};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Ensure, FieldPath, Fields, Reference},
    platform::bk_cmdb::{attribute::text, kinds::decode_common},
    provider::Envelope,
    source::Located,
    yaml::{self, Form, Key, Node, Section, Shape},
};

/// The entry of a locator that says whether modules are only added.
pub(super) const MODE: &str = "mode";

/// The keys of `spec`.
pub(super) static SPEC: Form = Form::new(&[
    Key::new("business", Shape::NameOrId, "the business that the host is in, by name or id").required(),
    Key::new(
        "match",
        decode_common::MATCH_SHAPE,
        "the host: `bk_host_innerip` and `bk_cloud_id`, or `bk_asset_id`, or `bk_host_id`",
    )
    .required(),
    Key::new("fields", decode_common::ATTRIBUTES_SHAPE, "the declared attributes; with `modules` they can be left out")
        .required_unless(&[(MODULES, "")]),
    Key::new(
        MODULES,
        Shape::List(&Shape::NameOrId, 1),
        "the modules that the host is in: `SET/MODULE` or the id; or one of `idle`, `fault` and `recycle` alone",
    ),
    Key::new("ensure", Shape::OneOf(&["existing"]), "`existing`: nothing else is possible"),
    Key::new(
        MODE,
        Shape::OneOf(&["exact", "add"]),
        "`exact` (the default): `modules` is the full list. `add`: the host stays in its other modules, too",
    ),
]);

pub(super) fn decode(
    kind: &'static str,
    envelope: &Envelope,
    spec: &Node<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Desired> {
    let before = diagnostics.len();
    let Some(section) = Section::of(spec, "the spec of a Host", &SPEC, diagnostics) else { return Vec::new() };
    let mut host = envelope.desired(kind, Ensure::Existing);
    if let Some(node) = section.get("ensure")
        && let Some(word) = yaml::one_of(node, "`ensure`", decode_common::ENSURE, diagnostics)
        && word != "existing"
    {
        let message = format!("`ensure: {word}` is not for hosts: they are neither created nor removed here");
        diagnostics.push(Diagnostic::error("M301", message, &node.origin).hint("leave `ensure` out"));
    }
    if let Some(node) = section.require("business", diagnostics)
        && let Some(business) = decode_common::name_or_id(node, "`business`", diagnostics)
    {
        host.locator.insert("business".into(), business);
    }
    if let Some(node) = section.require("match", diagnostics) {
        host.locator.extend(decode_common::matching(node, "", diagnostics));
        check_match(&host, node, diagnostics);
    }
    let list = section.get(MODULES);
    let fields = if list.is_some() { section.get("fields") } else { section.require("fields", diagnostics) };
    if let Some(node) = fields {
        host.fields = decode_common::attributes(node, diagnostics);
    }
    let mut adds = false;
    if let Some(node) = section.get(MODE)
        && let Some(mode) = yaml::one_of(node, "`mode`", &["exact", "add"], diagnostics)
    {
        adds = mode == "add";
        if list.is_none() {
            diagnostics.push(Diagnostic::error("M352", "`mode` goes with `modules` only", &node.origin));
        }
    }
    let placement = list.map(|node| modules(&host, node, adds, diagnostics));
    section.finish(diagnostics);
    if diagnostics[before..].iter().any(Diagnostic::is_error) {
        return Vec::new();
    }
    std::iter::once(host).chain(placement).collect()
}

/// Reports a `match` that does not pick one host, whatever there is.
fn check_match(host: &Desired, node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let names: BTreeSet<&str> = decode_common::matched(host, "").map(|(name, _)| name).collect();
    if names.is_empty() {
        return;
    }
    let mut refuse = |message: &str, hint: &str| {
        diagnostics.push(Diagnostic::error("M350", message, &node.origin).hint(hint));
    };
    if names == BTreeSet::from([ADDRESS]) {
        return refuse(
            "`match` needs `bk_cloud_id` beside `bk_host_innerip`: other cloud areas may have the same address",
            "add `bk_cloud_id: 0` for the default cloud area",
        );
    }
    if ![BTreeSet::from([ADDRESS, CLOUD]), BTreeSet::from([ASSET]), BTreeSet::from([ID])].contains(&names) {
        return refuse(
            "a host is matched by `bk_host_innerip` and `bk_cloud_id`, by `bk_asset_id` or by `bk_host_id`",
            "keep one of these",
        );
    }
    for (name, value) in decode_common::matched(host, "") {
        let written = text(&value.value).unwrap_or_default();
        let problem = match name {
            ID if !written.parse::<i64>().is_ok_and(|id| id > 0) => "has to be a whole number above 0",
            CLOUD if !written.parse::<i64>().is_ok_and(|id| id >= 0) => "has to be a whole number",
            ADDRESS if written.contains(',') => "takes one address; a host with several is found by each of them",
            ADDRESS | ASSET if written.trim().is_empty() => "is empty",
            _ => continue,
        };
        diagnostics.push(Diagnostic::error("M350", format!("`{name}` {problem}"), &value.origin));
    }
}

/// Reads `modules`: where a host is to be.
fn modules(host: &Desired, node: &Node<'_>, adds: bool, diagnostics: &mut Vec<Diagnostic>) -> Desired {
    let items = yaml::list(node, "`modules`", diagnostics);
    if items.is_some_and(<[_]>::is_empty) {
        let diagnostic = Diagnostic::error("M351", "`modules` is empty: a host is always in a module", &node.origin);
        diagnostics.push(diagnostic.hint("write [idle] for the idle module"));
    }
    let mut named: Vec<Located<crate::model::Json>> = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(module) = decode_common::name_or_id(item, "a module", diagnostics) else { continue };
        if let Some(name) = module.value.as_str()
            && !BUILT_IN.iter().any(|(word, _)| *word == name)
            && name
                .split_once('/')
                .is_none_or(|(set, module)| set.trim().is_empty() || module.trim().is_empty() || module.contains('/'))
        {
            let message = format!("`{name}` names no module");
            let hint = "write SET/MODULE, the id of a module, or one of idle, fault and recycle";
            diagnostics.push(Diagnostic::error("M351", message, &item.origin).hint(hint));
        }
        if let Some(first) = named.iter().find(|other| other.value == module.value) {
            let diagnostic = Diagnostic::error("M351", "the module is named twice", &item.origin);
            diagnostics.push(diagnostic.also(&first.origin, "the first time"));
        }
        named.push(module);
    }
    let built_in = named.iter().find(|module| BUILT_IN.iter().any(|(word, _)| module.value.as_str() == Some(word)));
    if let Some(built_in) = built_in {
        let (word, origin) = (&built_in.value, &built_in.origin);
        if named.len() > 1 {
            let message = format!("a host in the module {word} is in no other");
            diagnostics.push(Diagnostic::error("M351", message, origin).hint("name it alone"));
        } else if adds {
            let message = format!("`mode: add` does not go with {word}: a host in that module is in no other");
            diagnostics.push(Diagnostic::error("M352", message, origin).hint("leave `mode` out"));
        }
    }
    let values: Vec<Value> = named.iter().map(|module| module.value.to_value()).collect();
    let mut locator = host.locator.clone();
    locator.insert(MODULES.into(), Located::new(Value::Null, node.origin.clone()));
    if adds {
        locator.insert(MODE.into(), Located::new(json!("add"), node.origin.clone()));
    }
    let list = Located::new(json!(values), node.origin.clone());
    Desired {
        id: host.id.with_part(MODULES),
        locator,
        references: vec![Reference { to: host.id.clone(), origin: node.origin.clone() }],
        fields: Fields::from_iter([(FieldPath::field(MODULES), list)]),
        ..host.clone()
    }
}
