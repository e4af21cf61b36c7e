//! Instances of a model as documents, a page by ascending ids.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{BUILT_IN, Instance, NAME, live, model_of, observe};
use crate::{
    diagnostic::Diagnostic,
    model::{Json, Live, ObservedState, Request},
    platform::bk_cmdb::{
        attribute::Definition,
        kinds::{
            export_common::{self, Unlisted, condition, unread},
            select_instances,
        },
        lookup::{self, PARENT, is_layer},
    },
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation, Read},
    yaml::write::{Entry, Tree},
};

/// Most rows of a page.
const PAGE: usize = 500;
/// Types whose values the server compares as this program does.
const COMPARED: &[&str] = &["singlechar", "longchar", "enum", "int", "bool", "list", "date"];

pub(super) fn export(
    export: &ExportScope<'_>,
    from: &Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Unlisted> {
    let scope = export.scope;
    let model = model_of(scope);
    if let Some((_, instead)) = BUILT_IN.iter().find(|(name, _)| *name == model) {
        let message = format!("`{model}` is a built-in model: nothing of it is exported as an Instance");
        let diagnostic = Diagnostic::error("P191", message, &scope.origin);
        let hint = instead.map_or_else(|| "no kind manages it".to_owned(), |kind| format!("use --kind {kind}"));
        return Err(Some(ObservedState::Impossible(Box::new(diagnostic.hint(hint)))));
    }
    let definition = lookup::definition(model, observation, facts).map_err(|error| unread(&error, scope))?;
    export_common::check_fields(export, &definition)?;
    let business = observe::business_of(&[scope], &[scope], facts, observation)?;
    let request = page(export, business, from.after, &definition, facts)?;
    let data = match observation.read(request.clone(), facts) {
        // The next round asks in the old way.
        Read::Failed(refusal) if refusal.is_absent() && !facts.lacks(request.operation) => return Err(None),
        Read::Failed(refusal) => return Err(Some(ObservedState::Unknown(refusal.to_string()))),
        Read::Pending => return Err(None),
        Read::Value(data) => data,
    };
    let rows = data["info"].items();
    let more = match data["count"].as_u64() {
        Some(count) => !rows.is_empty() && (rows.len() as u64) < count,
        None => rows.len() == PAGE,
    };
    let last = rows.last().and_then(|row| row["bk_inst_id"].as_i64());
    if more && last.is_none_or(|last| last <= from.after) {
        let why = format!("the server sends the same rows again behind #{}: the list cannot be read", from.after);
        return Err(Some(ObservedState::Unknown(why)));
    }
    let (mut objects, mut declared) = (Vec::new(), Vec::new());
    let group = [model.to_owned()];
    for row in rows {
        let live = live(scope, row);
        if export.skips(&Instance, &live, &group, &mut declared) {
            continue;
        }
        if export_common::fits(export, &live, &definition, facts)? {
            objects.push(object(export, model, &live, &definition, facts));
        }
    }
    let next = last.filter(|_| more).map(|after| Cursor { after, ..from.clone() });
    Ok(ExportPage { objects, declared, next, read: vec![request] })
}

/// Returns the request for a page of rows behind an id, with the conditions that the server can tell.
fn page(
    export: &ExportScope<'_>,
    business: Option<i64>,
    after: i64,
    definition: &Definition,
    facts: &Facts,
) -> Result<Request, Unlisted> {
    let model = model_of(export.scope);
    let fields: BTreeSet<&str> = select_instances::values(definition).chain(["bk_inst_id", NAME, PARENT]).collect();
    let mut equal: Vec<(&str, Value)> = business.iter().map(|id| ("bk_biz_id", json!(id))).collect();
    for asked in export.conditions {
        let attribute = definition.get(asked.0.as_str()).filter(|attribute| COMPARED.contains(&attribute.kind()));
        if let Some(attribute) = attribute {
            let value = condition(export, attribute, asked, facts)?.to_value();
            // What is not set is stored in several ways.
            equal.extend((value != json!("")).then_some((asked.0.as_str(), value)));
        }
    }
    let page = json!({"start": 0, "limit": PAGE, "sort": "bk_inst_id"});
    let mut arguments = json!({"bk_obj_id": model, "fields": fields, "page": page});
    if facts.lacks("search_object_instances") {
        let mut condition = json!({"bk_inst_id": {"$gt": after}});
        equal.into_iter().for_each(|(field, value)| condition[field] = value);
        arguments["condition"] = condition;
        return Ok(Request { operation: "search_inst_by_object", arguments, repeatable: true });
    }
    let rule = |(field, value): (&str, Value)| json!({"field": field, "operator": "equal", "value": value});
    let mut rules: Vec<Value> = equal.into_iter().map(rule).collect();
    rules.push(json!({"field": "bk_inst_id", "operator": "greater", "value": after}));
    arguments["conditions"] = json!({"condition": "AND", "rules": rules});
    Ok(Request { operation: "search_object_instances", arguments, repeatable: true })
}

fn object(
    export: &ExportScope<'_>,
    model: &str,
    live: &Live,
    definition: &Definition,
    facts: &Facts,
) -> ExportedObject {
    let id = live.handle.as_i64().unwrap_or_default();
    let name = live.field(NAME).as_str().unwrap_or_default();
    let common = [Entry::new("model", Tree::text(model))];
    let with = |entry: Entry| common.iter().cloned().chain([entry]).collect::<Vec<_>>();
    let by_id = with(Entry::new("id", Tree::Plain(id.to_string())));
    // Names of a layer repeat below other parents.
    let is_named = export_common::is_name(name) && !is_layer(live.field(PARENT));
    let by_name = is_named.then(|| with(Entry::new("match", Tree::Flow(vec![(NAME.to_owned(), Tree::text(name))]))));
    let known: &[&str] = if is_named { &[NAME] } else { &[] };
    let fields = export_common::fields(export, live, definition, known, facts);
    let draft = Draft { heads: by_name.into_iter().chain([by_id]).collect(), key: "fields", fields, live };
    let (spec, left) = draft.spec(&Instance, facts);
    ExportedObject {
        title: name.to_owned(),
        handles: vec![Json::from(id).to_string()],
        instance: Some((model.to_owned(), id)),
        group: vec![model.to_owned()],
        note: live.label.to_string(),
        spec,
        left,
    }
}
