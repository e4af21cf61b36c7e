//! A model's own unique rules, and warnings of documents that match by no unique key.

use std::collections::BTreeSet;

use serde_json::json;

use super::NAME;
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Ensure, Json, Request},
    platform::bk_cmdb::{attribute::Definition, kinds::decode_common, lookup::LookupError},
    provider::{Facts, Observation, Read},
    source::Origin,
};

/// Warns of documents that may create instances and match by what is no unique key. Where all match by the name, which
/// always is one, nothing is asked.
pub(super) fn remarks(
    model: &str,
    group: &[&Desired],
    definition: &Definition,
    observation: &mut Observation,
    facts: &Facts,
) {
    let open = group.iter().filter(|desired| desired.selected && desired.ensure == Ensure::Present);
    let open: Vec<_> =
        open.map(|desired| (*desired, matched(desired))).filter(|(_, fields)| !fields.contains(NAME)).collect();
    if open.is_empty() {
        return;
    }
    let keys = match rules(model, definition, observation, facts) {
        Err(LookupError::Pending) => return,
        Err(LookupError::Failed(_) | LookupError::NoModel) => None,
        Ok(keys) => Some(keys),
    };
    let mut unknown: Vec<(String, &Origin)> = Vec::new();
    for (desired, fields) in open {
        if keys.as_ref().is_some_and(|keys| keys.iter().any(|key| key.is_subset(&fields))) {
            continue;
        }
        let place = decode_common::matched(desired, "").next();
        let origin = place.map_or(&desired.origin, |(_, value)| &value.origin);
        let shown = shown(&fields);
        if let Some(keys) = &keys {
            let mut known: BTreeSet<String> = keys.iter().map(self::shown).collect();
            known.insert(format!("`{NAME}`"));
            let known: Vec<_> = known.into_iter().collect();
            let message = format!("{shown} is no unique key of `{model}`: a second instance could get the same");
            let remark = Diagnostic::warning("P153", message, origin).hint(format!("unique: {}", known.join(", ")));
            observation.remarks.push(remark);
        } else {
            unknown.push((shown, origin));
        }
    }
    observation.remarks.extend(unknowable(model, &unknown));
}

/// Returns the warning about all documents of a model whose rules could not be read, at the first of them: the reason
/// is the same for all.
fn unknowable(model: &str, documents: &[(String, &Origin)]) -> Option<Diagnostic> {
    let (first, origin) = documents.iter().min_by_key(|(_, origin)| origin.order())?;
    let fields: BTreeSet<&str> = documents.iter().map(|(fields, _)| &**fields).collect();
    let others = match documents.len() - 1 {
        0 => String::new(),
        1 => " (here and in 1 more document)".to_owned(),
        more => format!(" (here and in {more} more documents)"),
    };
    let message = if fields.len() == 1 {
        format!("it cannot be known whether {first} is a unique key of `{model}`{others}")
    } else {
        let fields: Vec<_> = fields.into_iter().collect();
        format!("it cannot be known whether each of these is a unique key of `{model}`: {}{others}", fields.join("; "))
    };
    let hint = format!("the rules could not be read through this access; `{NAME}` always is one");
    Some(Diagnostic::warning("P154", message, origin).hint(hint))
}

/// Returns the fields of each unique rule of a model. The ESB cannot read them.
pub(super) fn rules<'f>(
    model: &str,
    definition: &'f Definition,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Vec<BTreeSet<&'f str>>, LookupError> {
    let request =
        Request { operation: "search_object_unique", arguments: json!({"bk_obj_id": model}), repeatable: true };
    match observation.read(request, facts) {
        Read::Pending => Err(LookupError::Pending),
        Read::Failed(refusal) => Err(LookupError::Failed(refusal.to_string())),
        Read::Value(rules) => Ok(keys(rules, definition)),
    }
}

fn matched(desired: &Desired) -> BTreeSet<&str> {
    decode_common::matched(desired, "").map(|(name, _)| name).collect()
}

/// The fields of each rule. A rule with something else among its keys does not help here.
fn keys<'f>(rules: &Json, definition: &'f Definition) -> Vec<BTreeSet<&'f str>> {
    let field = |key: &Json| {
        let id = key["key_id"].as_i64().filter(|_| key["key_kind"] == "property")?;
        definition.iter().find(|(_, attribute)| attribute.id() == Some(id)).map(|(name, _)| &**name)
    };
    let rules = rules.as_array().into_iter().flatten();
    let keys = rules.filter_map(|rule| rule["keys"].as_array()?.iter().map(field).collect::<Option<BTreeSet<_>>>());
    keys.filter(|key| !key.is_empty()).collect()
}

fn shown(fields: &BTreeSet<&str>) -> String {
    fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" with ")
}
