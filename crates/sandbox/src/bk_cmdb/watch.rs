//! `resource_watch`: events of changed rows, by a long poll (section 4.6).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    args::Args,
    call::Call,
    refusal::{Outcome, Refusal, Reply},
    row::{Names, Projection, Row, Shown},
    service_instance::processes,
    world::{Change, INNER, Place, Version, World},
};

/// The most events of one answer.
const EVENTS: usize = 200;

/// How long events live.
const LIFE: SignedDuration = SignedDuration::from_hours(6);

/// Where a watch begins.
enum From {
    /// At the next event.
    Now,
    /// After the event with this number.
    Event(u64),
    /// At a time.
    Time(Timestamp),
}

/// A request to watch changes.
struct Watch {
    resource: String,
    sub_resource: String,
    types: Vec<String>,
    projection: Projection,
    from: From,
}

fn cursor(number: u64) -> String {
    // Opaque to clients; the real ones are no numbers either.
    format!("bk{number:020x}")
}

fn number(cursor: &str) -> Result<u64, Refusal> {
    let digits = cursor.strip_prefix("bk").filter(|digits| digits.len() == 20);
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.ok_or_else(|| Refusal::invalid("bk_cursor"))
}

fn read(world: &World, call: &Call) -> Result<Watch, Refusal> {
    let args: Args = call.args()?;
    let resource = call.var("bk_resource").to_owned();
    let known = [
        "object_instance",
        "mainline_instance",
        "inst_asst",
        "host",
        "host_relation",
        "module",
        "set",
        "biz",
        "process",
        "process_instance_relation",
    ];
    // Associations came with their tables per model (section 6).
    let too_old = resource == "inst_asst" && world.version < Version::V3_10;
    if too_old || !known.contains(&resource.as_str()) {
        return Err(Refusal::invalid("bk_resource"));
    }
    let fields = args.texts("bk_fields")?;
    if fields.is_empty() && matches!(resource.as_str(), "host" | "biz" | "set" | "module") {
        return Err(Refusal::invalid("bk_fields"));
    }
    let types = args.texts("bk_event_types")?;
    if types.iter().any(|kind| !matches!(kind.as_str(), "create" | "update" | "delete")) {
        return Err(Refusal::invalid("bk_event_types"));
    }
    let (cursor, start) = (args.text("bk_cursor")?, args.int("bk_start_from")?);
    let from = match (cursor, start) {
        ("", 0) => From::Now,
        ("", start) => From::Time(Timestamp::from_second(start).map_err(|_| Refusal::invalid("bk_start_from"))?),
        (cursor, 0) => From::Event(number(cursor)?),
        _ => return Err(Refusal::invalid("bk_cursor and bk_start_from")),
    };
    let sub_resource = args.object("bk_filter")?.text("bk_sub_resource")?.to_owned();
    Ok(Watch { resource, sub_resource, types, projection: Projection::on(fields), from })
}

impl Watch {
    /// Returns the row of an event that is watched, with the event's type.
    fn sees<'a>(&self, world: &World, change: &'a Change) -> Option<(&'static str, &'a Row)> {
        let (kind, row) = match (&change.before, &change.after) {
            (None, Some(row)) => ("create", row),
            (Some(_), Some(row)) => ("update", row),
            (Some(row), None) => ("delete", row),
            (None, None) => return None,
        };
        let any_model = self.sub_resource.is_empty();
        let fits = match (&change.place, self.resource.as_str()) {
            (Place::Instances(model), "object_instance" | "mainline_instance") => {
                let layer = world.tables.layers.contains(model);
                !INNER.contains(&model.as_str())
                    && layer == (self.resource == "mainline_instance")
                    && (any_model || *model == self.sub_resource)
            }
            (Place::Instances(model), "host") => model == "host",
            (Place::Associations, "inst_asst") => {
                any_model || [row.text("bk_obj_id"), row.text("bk_asst_obj_id")].contains(&self.sub_resource.as_str())
            }
            (Place::Modules, "module")
            | (Place::Sets, "set")
            | (Place::Businesses, "biz")
            | (Place::HostRelations, "host_relation") => true,
            _ => false,
        };
        let wanted = self.types.is_empty() || self.types.iter().any(|wanted| wanted == kind);
        (fits && wanted).then_some((kind, row))
    }

    /// Returns the events of processes, or of their relations, in a changed service instance.
    fn processes(&self, change: &Change) -> Vec<(&'static str, Row)> {
        let part = match (&change.place, self.resource.as_str()) {
            (Place::ServiceInstances, "process") => "process",
            (Place::ServiceInstances, "process_instance_relation") => "relation",
            _ => return Vec::new(),
        };
        let rows = |row: &Option<Arc<Row>>| -> BTreeMap<i64, Value> {
            let entries = row.as_deref().map(processes).unwrap_or_default().iter();
            let id = |entry: &Value| entry.pointer("/process/bk_process_id").and_then(Value::as_i64);
            entries.filter_map(|entry| Some((id(entry)?, entry[part].clone()))).collect()
        };
        let (before, after) = (rows(&change.before), rows(&change.after));
        let kind = |id: &i64| match (before.get(id), after.get(id)) {
            (None, Some(row)) => Some(("create", row)),
            (Some(row), None) => Some(("delete", row)),
            (Some(old), Some(row)) if old != row => Some(("update", row)),
            _ => None,
        };
        let ids: BTreeSet<&i64> = before.keys().chain(after.keys()).collect();
        let events = ids.into_iter().filter_map(kind);
        let wanted = |kind: &str| self.types.is_empty() || self.types.iter().any(|wanted| wanted == kind);
        events
            .filter(|(kind, _)| wanted(kind))
            .filter_map(|(kind, row)| Some((kind, Row::from_map(row.as_object()?, &mut Names::default()))))
            .collect()
    }

    fn event(&self, number: u64, kind: &str, detail: &Value) -> Value {
        json!({"bk_cursor": cursor(number), "bk_resource": self.resource, "bk_event_type": kind, "bk_detail": detail})
    }

    /// Returns the events since the watch's begin.
    fn events(&self, world: &World, now: Timestamp) -> Result<Vec<Value>, Refusal> {
        let gone = || Refusal::new(1_103_007, "Event chain node not exist");
        if let From::Event(number) = self.from {
            let next = world.changes.iter().find(|change| change.number > number);
            let expired = next.is_some_and(|change| now.duration_since(change.time) > LIFE);
            if number < world.first_change || number > world.change_count || expired {
                return Err(gone());
            }
        }
        let after = |change: &&Change| match self.from {
            From::Now => false,
            From::Event(number) => change.number > number,
            From::Time(time) => change.time >= time,
        };
        let seen = world.changes.iter().filter(after).flat_map(|change| {
            let row = self.sees(world, change).map(|(kind, row)| (kind, row.clone()));
            let rows = row.into_iter().chain(self.processes(change));
            rows.map(|(kind, row)| self.event(change.number, kind, &json!(Shown(&row, &self.projection))))
        });
        Ok(seen.take(EVENTS).collect())
    }
}

/// Answers with the events, or with a cursor to continue from.
pub(super) fn poll(world: &World, call: &Call, now: Timestamp) -> Outcome {
    let watch = read(world, call)?;
    let events = watch.events(world, now)?;
    if events.is_empty() {
        let last = watch.event(world.change_count, "", &Value::Null);
        return Ok(Reply::Json(json!({"bk_watched": false, "bk_events": [last]})));
    }
    Ok(Reply::Json(json!({"bk_watched": true, "bk_events": events})))
}

/// Returns true if nothing has happened yet that the watch would tell.
pub(super) fn is_idle(world: &World, call: &Call, now: Timestamp) -> bool {
    match read(world, call) {
        Ok(Watch { from: From::Now, .. }) | Err(_) => false,
        Ok(watch) => watch.events(world, now).is_ok_and(|events| events.is_empty()),
    }
}
