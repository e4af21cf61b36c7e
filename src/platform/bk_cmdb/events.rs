//! The events of `resource_watch` (contract section 4.6).
//!
//! There are events of instances, associations, sets and modules; none of templates, and those of custom layers are another
//! resource, which is not followed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use crate::{
    model::{Desired, Ensure, Json, Live, Refusal, Request, ResourceId},
    platform::bk_cmdb::attribute,
    provider::{Event, EventBatch, EventSchema, Stream},
};

/// "Event chain node not exist": events live six hours.
const EXPIRED: &str = "1103007";

const INSTANCES: &str = "object_instance";
const ASSOCIATIONS: &str = "inst_asst";
const SETS: &str = "set";
const MODULES: &str = "module";

/// The beginning of the keys of a locator that say by which fields an instance is found.
const MATCH: &str = "match.";

/// The events of the platform.
pub(super) struct Events;

fn text<'d>(desired: &'d Desired, key: &str) -> Option<&'d str> {
    desired.locate(key).and_then(Json::as_str)
}

/// Returns a live value as a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns a declared value as a text, whatever its type will be.
fn declared(value: &Json) -> String {
    attribute::text(value).map_or_else(|| plain(&value.to_value()), str::to_owned)
}

fn field(model: &str, field: &str, value: &str) -> String {
    format!("{model} {field}={value}")
}

fn association(name: &str) -> String {
    format!("association {name}")
}

fn row_of_association(id: &Value) -> String {
    format!("association #{id}")
}

/// Returns the name of a set or module as a document gives it, where it does not give its id.
fn named(what: &str, name: &str) -> String {
    format!("{what} {name}")
}

impl EventSchema for Events {
    fn streams(&self, desired: &[&Desired]) -> BTreeSet<Stream> {
        let models: HashMap<&ResourceId, &str> =
            desired.iter().filter_map(|object| Some((&object.id, text(object, "model")?))).collect();
        let streams: BTreeSet<(&'static str, &str)> =
            desired.iter().copied().filter_map(|object| stream_of(object, &models)).collect();
        streams.into_iter().map(|(resource, part)| Stream { resource, part: Arc::from(part) }).collect()
    }

    fn request(&self, stream: &Stream, cursor: Option<&str>) -> Request {
        let fields: &[&str] = match stream.resource {
            SETS => &["bk_biz_id", "bk_set_id", "bk_set_name"],
            MODULES => &["bk_biz_id", "bk_set_id", "bk_module_id", "bk_module_name"],
            _ => &[],
        };
        let mut arguments = Map::new();
        arguments.insert("bk_resource".to_owned(), json!(stream.resource));
        if !fields.is_empty() {
            arguments.insert("bk_fields".to_owned(), json!(fields));
        }
        if !stream.part.is_empty() {
            arguments.insert("bk_filter".to_owned(), json!({"bk_sub_resource": &*stream.part}));
        }
        if let Some(cursor) = cursor {
            arguments.insert("bk_cursor".to_owned(), json!(cursor));
        }
        Request { operation: "resource_watch", arguments: Value::Object(arguments), repeatable: true }
    }

    fn batch(&self, stream: &Stream, answer: &Value) -> Result<EventBatch, Refusal> {
        let unread = || Refusal::new(None, "the server's answer holds no events and no cursor");
        let events = answer["bk_events"].as_array().ok_or_else(unread)?;
        let cursor = events.last().and_then(|event| event["bk_cursor"].as_str()).ok_or_else(unread)?;
        let is_watched = answer["bk_watched"].as_bool().unwrap_or_default();
        let read = |event: &Value| event_of(stream, event["bk_event_type"].as_str()?, &event["bk_detail"]);
        let events = events.iter().filter(|_| is_watched).filter_map(read).collect();
        Ok(EventBatch { events, cursor: cursor.to_owned() })
    }

    fn is_expired(&self, refusal: &Refusal) -> bool {
        refusal.code.as_deref() == Some(EXPIRED)
    }

    fn subject(&self, desired: &Desired, live: &Live) -> Option<String> {
        let handle = live.handle.to_value();
        Some(match desired.id.kind {
            "Instance" => field(text(desired, "model")?, "bk_inst_id", &handle.to_string()),
            "InstanceAssociation" => row_of_association(&handle["id"]),
            "Set" => format!("{SETS} #{handle}"),
            "Module" => format!("{MODULES} #{}", handle["module"]),
            _ => return None,
        })
    }

    fn keys(&self, desired: &Desired) -> Vec<String> {
        match desired.id.kind {
            "Instance" => {
                let Some(model) = text(desired, "model") else { return Vec::new() };
                let fields = desired.locator.iter().filter_map(|(key, located)| {
                    let name = key.strip_prefix(MATCH).or_else(|| (&**key == "id").then_some("bk_inst_id"))?;
                    Some(field(model, name, &declared(&located.value)))
                });
                fields.collect()
            }
            "InstanceAssociation" => text(desired, "association").map(association).into_iter().collect(),
            "Set" => text(desired, "set").map(|name| named(SETS, name)).into_iter().collect(),
            "Module" => text(desired, "module").map(|name| named(MODULES, name)).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn is_as_declared(&self, desired: &Desired, updated: &Value) -> bool {
        let is_placed = desired.locator.iter().any(|(key, _)| key.starts_with("parent"));
        let is_same = desired.fields.iter().all(|(path, located)| {
            path.rest().is_empty()
                && updated.get(path.as_str()).is_some_and(|live| plain(live) == declared(&located.value))
        });
        desired.id.kind == "Instance"
            && desired.ensure != Ensure::Absent
            && desired.references.is_empty()
            && !is_placed
            && is_same
    }
}

/// Returns the resource whose events tell of a document's object, and the part of it; `None` if there is none. `models` are
/// those of the documents of instances.
fn stream_of<'d>(object: &'d Desired, models: &HashMap<&ResourceId, &'d str>) -> Option<(&'static str, &'d str)> {
    Some(match object.id.kind {
        "Instance" => (INSTANCES, text(object, "model")?),
        "InstanceAssociation" => {
            let referred = || object.references.iter().find_map(|to| models.get(&to.to).copied());
            (ASSOCIATIONS, text(object, "source.model").or_else(referred).unwrap_or_default())
        }
        "Set" => (SETS, ""),
        "Module" => (MODULES, ""),
        _ => return None,
    })
}

/// Reads an event.
fn event_of(stream: &Stream, kind: &str, row: &Value) -> Option<Event> {
    let fields = row.as_object()?;
    let (subject, keys) = match stream.resource {
        INSTANCES => {
            let model = fields.get("bk_obj_id").and_then(Value::as_str).unwrap_or(&stream.part);
            let scalars = fields.iter().filter(|(_, value)| value.is_string() || value.is_number());
            let keys = scalars.map(|(name, value)| field(model, name, &plain(value))).collect();
            (field(model, "bk_inst_id", &fields.get("bk_inst_id")?.to_string()), keys)
        }
        ASSOCIATIONS => {
            let name = fields.get("bk_obj_asst_id")?.as_str()?;
            (row_of_association(fields.get("id")?), vec![association(name)])
        }
        SETS => {
            (format!("{SETS} #{}", fields.get("bk_set_id")?), vec![named(SETS, fields.get("bk_set_name")?.as_str()?)])
        }
        MODULES => (
            format!("{MODULES} #{}", fields.get("bk_module_id")?),
            vec![named(MODULES, fields.get("bk_module_name")?.as_str()?)],
        ),
        _ => return None,
    };
    Some(Event { subject, keys, updated: (kind == "update").then(|| row.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_name_their_objects() {
        let check = |resource: &'static str, part: &str, kind: &str, row: Value, expected: &str| {
            let stream = Stream { resource, part: part.into() };
            let answer = json!({"bk_watched": true, "bk_events": [
                {"bk_cursor": "c1", "bk_resource": resource, "bk_event_type": kind, "bk_detail": row}]});
            let batch = Events.batch(&stream, &answer).expect("it is an answer");
            let shown: Vec<String> = batch
                .events
                .iter()
                .map(|event| format!("{} [{}] {}", event.subject, event.keys.join("; "), event.updated.is_some()))
                .collect();
            assert_eq!((shown.join("\n").as_str(), &*batch.cursor), (expected, "c1"));
        };
        let row = json!({"bk_inst_id": 7, "bk_obj_id": "bk_switch", "bk_inst_name": "a", "x": null});
        let keys = "bk_switch bk_inst_id=7; bk_switch bk_inst_name=a; bk_switch bk_obj_id=bk_switch";
        check(INSTANCES, "bk_switch", "update", row, &format!("bk_switch bk_inst_id=7 [{keys}] true"));
        let row = json!({"id": 5, "bk_obj_asst_id": "switch_rack", "bk_inst_id": 1});
        check(ASSOCIATIONS, "bk_switch", "delete", row, "association #5 [association switch_rack] false");
        let row = json!({"bk_set_id": 3, "bk_set_name": "gulf"});
        check(SETS, "", "create", row, "set #3 [set gulf] false");
        let row = json!({"bk_set_id": 3, "bk_module_id": 4, "bk_module_name": "web"});
        check(MODULES, "", "update", row, "module #4 [module web] true");
        check(MODULES, "", "update", json!({}), "");
    }

    #[test]
    fn an_update_that_leaves_all_as_declared_is_known() {
        let origin = || crate::source::Origin::new(crate::source::Sources::default().add("m.yaml", ""), 0..0);
        let envelope = crate::provider::Envelope {
            name: "core".into(),
            target: "cmdb".into(),
            labels: Arc::default(),
            origin: origin(),
        };
        let mut desired = envelope.desired("Instance", Ensure::Existing);
        for (name, value) in [("ports", json!({"$plain": "24"})), ("remark", json!("a"))] {
            let located = crate::source::Located::new(value, origin());
            desired.fields.insert(crate::model::FieldPath::field(name), located);
        }
        let check = |desired: &Desired, row: Value, expected: bool| {
            assert_eq!(Events.is_as_declared(desired, &row), expected, "{row}");
        };
        check(&desired, json!({"ports": 24, "remark": "a", "operator": "zoe"}), true);
        check(&desired, json!({"ports": 7, "remark": "a"}), false);
        check(&desired, json!({"ports": 24}), false);
        desired.ensure = Ensure::Absent;
        check(&desired, json!({"ports": 24, "remark": "a"}), false);
    }

    #[test]
    fn an_answer_without_events_is_a_cursor() {
        let stream = Stream { resource: SETS, part: "".into() };
        let idle =
            json!({"bk_watched": false, "bk_events": [{"bk_cursor": "c9", "bk_event_type": "", "bk_detail": null}]});
        let batch = Events.batch(&stream, &idle).expect("it is an answer");
        assert_eq!(batch, EventBatch { events: Vec::new(), cursor: "c9".to_owned() });
        for broken in [json!({}), json!({"bk_watched": false, "bk_events": []}), json!(null)] {
            assert!(Events.batch(&stream, &broken).is_err(), "{broken}");
        }
        let expired = |code: &str| Events.is_expired(&Refusal::new(Some(code.into()), "no"));
        assert!(expired(EXPIRED) && !expired("1199006"));
    }
}
