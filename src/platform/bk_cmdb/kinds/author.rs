//! The last change of an object: its audit records, else its own row (measured page, "Audit").
//!
//! A record holds the whole row before the change, and of what came after only the body as it was sent. So a record
//! changed a field if it sent the field and what was stored before differs from what was stored after, which is the row
//! before the next record, or the live one.

mod latest;
mod remade;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

pub(super) use self::{latest::Identified, remade::Namesakes};
use crate::{
    model::{
        Action, Desired, FieldPath, Json, Live, Request,
        author::{Changed, Deed, Source, moment},
    },
    platform::bk_cmdb::lookup::{self, LookupError},
    provider::{Authors, Facts, Observation, Planned, Read},
};

/// Most records that are read of one object, the latest first: each holds a whole row.
const MOST: usize = 100;
/// Most ids of one `find_audit_by_id`.
const IDS: usize = 200;
/// Most names of one `list_operation_audit`, whose answer has to hold the latest record of each.
const NAMES: usize = 20;
/// Every record is later; a search needs some time.
const EVER: &str = "2000-01-01T00:00:00Z";

/// An object with records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject<'a> {
    /// The records' name of its kind, such as `model_instance`.
    pub(super) resource: &'static str,
    /// Its model; for an association that of its source.
    pub(super) model: &'a str,
    /// Its id; for an association that of its source.
    pub(super) id: i64,
}

/// Records of an object, or of all that had some names.
#[derive(Debug, Clone)]
pub(super) struct Records<'f> {
    /// The latest first.
    pub(super) latest: Vec<&'f Json>,
    /// There are no earlier ones.
    pub(super) whole: bool,
}

/// The records of an object; `None` if they cannot be had.
pub(super) type Trail<'f> = Option<Records<'f>>;

/// Which operation tells the records.
#[derive(Clone, Copy)]
enum Way {
    /// Those of one instance, with details. Only some accesses have it; it needs no permission on audits.
    Instance,
    /// A list without details, and the details by ids.
    List,
}

impl Way {
    fn request(self, subject: &Subject<'_>) -> Request {
        let page = json!({"start": 0, "limit": MOST, "sort": "-id"});
        let mut condition = json!({"resource_type": subject.resource, "resource_id": subject.id});
        let operation = match self {
            Self::Instance => {
                condition["bk_obj_id"] = json!(subject.model);
                "find_inst_audit"
            }
            Self::List => {
                condition["operation_time"] = json!({"start": EVER});
                "list_operation_audit"
            }
        };
        let mut arguments = json!({"condition": condition, "page": page});
        if matches!(self, Self::Instance) {
            arguments["with_detail"] = json!(true);
        }
        Request { operation, arguments, repeatable: true }
    }
}

/// Reads the records of objects of one kind; nothing while answers are missing.
pub(super) fn trails<'f, 'a>(
    subjects: &BTreeSet<Subject<'a>>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<BTreeMap<Subject<'a>, Trail<'f>>> {
    let nothing = || subjects.iter().map(|subject| (subject.clone(), None)).collect();
    let Some(first) = subjects.first() else { return Some(nothing()) };
    let is_topology = ["module", "set"].contains(&first.resource);
    let ways = if is_topology { [Way::List].as_slice() } else { &[Way::Instance, Way::List] };
    for way in ways {
        // The first goes alone: what refuses it would refuse the others too.
        match observation.read(way.request(first), facts) {
            Read::Pending => return None,
            Read::Failed(_) => {}
            Read::Value(_) => {
                let mut trails: BTreeMap<_, _> = BTreeMap::new();
                for subject in subjects {
                    trails.insert(subject.clone(), latest(*way, subject, observation, facts));
                }
                if !observation.ask.is_empty() {
                    return None;
                }
                return match way {
                    Way::Instance => Some(trails),
                    Way::List => detailed(trails, observation, facts),
                };
            }
        }
    }
    Some(nothing())
}

fn latest<'f>(way: Way, subject: &Subject<'_>, observation: &mut Observation, facts: &'f Facts) -> Trail<'f> {
    match observation.read(way.request(subject), facts) {
        Read::Value(data) => Some(rows(data)),
        Read::Pending | Read::Failed(_) => None,
    }
}

/// Puts the rows with details in the place of those without.
fn detailed<'f, 'a>(
    mut trails: BTreeMap<Subject<'a>, Trail<'f>>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<BTreeMap<Subject<'a>, Trail<'f>>> {
    let listed = trails.values().flatten().flat_map(|records| &records.latest);
    let ids: Vec<i64> = listed.filter_map(|row| row["id"].as_i64()).collect();
    let details = by_ids(&ids, observation, facts)?;
    for trail in trails.values_mut() {
        *trail = with_details(trail.take(), &details);
    }
    Some(trails)
}

/// Puts records with details in the place of those without. One without would hide what it changed, so then there are
/// none.
pub(super) fn with_details<'f>(trail: Trail<'f>, details: &HashMap<i64, &'f Json>) -> Trail<'f> {
    let records = trail?;
    let detail = |row: &&Json| details.get(&row["id"].as_i64()?).copied();
    let latest: Option<Vec<_>> = records.latest.iter().map(detail).collect();
    Some(Records { latest: latest?, ..records })
}

/// Reads records with their details; nothing while answers are missing. What fails is not among them.
pub(super) fn by_ids<'f>(
    ids: &[i64],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<HashMap<i64, &'f Json>> {
    let mut rows = HashMap::new();
    for chunk in ids.chunks(IDS) {
        let request = Request { operation: "find_audit_by_id", arguments: json!({"id": chunk}), repeatable: true };
        if let Read::Value(found) = observation.read(request, facts) {
            rows.extend(found.as_array().into_iter().flatten().filter_map(|row| Some((row["id"].as_i64()?, row))));
        }
    }
    observation.ask.is_empty().then_some(rows)
}

/// Reads the records of objects that had these names, without their details; nothing while answers are missing.
pub(super) fn of_names<'f>(
    condition: &Value,
    names: &BTreeSet<&str>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<Trail<'f>> {
    let names: Vec<_> = names.iter().copied().collect();
    let mut trail = Some(Records { latest: Vec::new(), whole: true });
    for chunk in names.chunks(NAMES) {
        let mut condition = condition.clone();
        condition["operation_time"] = json!({"start": EVER});
        condition["condition"] = json!([{"field": "resource_name", "operator": "in", "value": chunk}]);
        let arguments = json!({"condition": condition, "page": {"start": 0, "limit": IDS, "sort": "-id"}});
        let request = Request { operation: "list_operation_audit", arguments, repeatable: true };
        match (observation.read(request, facts), &mut trail) {
            (Read::Value(data), Some(records)) => {
                let page = rows(data);
                records.whole &= page.whole;
                records.latest.extend(page.latest);
            }
            (Read::Failed(_), _) => trail = None,
            (Read::Pending, _) | (_, None) => {}
        }
    }
    observation.ask.is_empty().then_some(trail)
}

/// Reads an answer with the latest records and the number of all.
fn rows(data: &Json) -> Records<'_> {
    let mut latest: Vec<&Json> = data["info"].as_array().into_iter().flatten().collect();
    latest.sort_by_key(|row| std::cmp::Reverse(row["id"].as_i64()));
    let count = data["count"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    Records { whole: latest.len() >= count, latest }
}

/// Says who removed an object: the record, or that none knows it; `None` if that cannot be said.
pub(super) fn removal(trail: &Trail<'_>, is_about: impl Fn(&Json) -> bool, facts: &Facts) -> Option<Changed> {
    let records = trail.as_ref()?;
    match records.latest.iter().find(|record| is_about(record)) {
        Some(record) if record["action"] == "delete" => Some(change_of(record, Deed::Removed, facts)),
        // Another object had the name since, and was perhaps given another one.
        Some(_) => None,
        None => records.whole.then(|| Changed { deed: Deed::Never, source: Source::Audit, ..Changed::unknown() }),
    }
}

/// Returns the change of a record: who did it, and when.
pub(super) fn change_of(record: &Json, deed: Deed, facts: &Facts) -> Changed {
    let by = record["user"].as_str().map(str::to_owned);
    Changed {
        deed,
        at: record["operation_time"].as_str().map(|time| time_of(time, facts)),
        was: None,
        was_display: None,
        source: Source::Audit,
        ours: ours(by.as_deref(), facts),
        by,
    }
}

fn time_of(text: &str, facts: &Facts) -> String {
    moment(text, facts.settings.get("timeZone").map(String::as_str))
}

/// Returns true if a user is the one that the target's requests are made as; the user behind a token is not known.
fn ours(by: Option<&str>, facts: &Facts) -> Option<bool> {
    Some(by? == facts.settings.get("username")?)
}

/// Returns who gave a field its live value, as far as records tell.
pub(super) fn last_change(trail: &Trail<'_>, field: &str, live: &Json, facts: &Facts) -> Option<Changed> {
    let records = trail.as_ref()?;
    let mut after = live;
    for record in &records.latest {
        let details = &record["operation_detail"]["details"];
        match record["action"].as_str() {
            Some("update") => {
                let before = &details["pre_data"][field];
                if details["update_fields"].get(field).is_some() && before != after {
                    return Some(Changed { was: Some(before.to_value()), ..change_of(record, Deed::Changed, facts) });
                }
                if details["pre_data"].is_object() {
                    after = before;
                }
            }
            Some("create") => return Some(change_of(record, Deed::Made, facts)),
            _ => {}
        }
    }
    let oldest = records.latest.last()?;
    let deed = if records.whole { Deed::Kept } else { Deed::Earlier };
    Some(Changed { by: None, ours: None, ..change_of(oldest, deed, facts) })
}

/// Adds how people read the value before a change of a field. The attribute may belong to the business of its object.
fn with_display(changed: Changed, model: &str, live: &Live, field: &str, facts: &Facts) -> Changed {
    let read = |business| lookup::definition_in(model, business, &mut Observation::default(), facts);
    let own = live.handle["business"].as_i64().and_then(|business| read(Some(business)).ok());
    let definitions = [read(None).ok(), own];
    let attribute = definitions.iter().flatten().find_map(|definition| definition.get(field));
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let was_display = attribute
        .zip(changed.was.as_ref())
        .and_then(|(attribute, was)| attribute.display(None, &was.into(), time_zone));
    Changed { was_display, ..changed }
}

/// Returns who made an object, as far as records tell.
pub(super) fn creation(trail: &Trail<'_>, facts: &Facts) -> Option<Changed> {
    let record = trail.as_ref()?.latest.iter().find(|record| record["action"] == "create")?;
    Some(change_of(record, Deed::Made, facts))
}

/// Returns what a row says of itself: who made it, where that is asked for or nobody changed it since, else who changed
/// it last, whatever of it.
pub(super) fn of_row(row: &Json, action: Action, facts: &Facts) -> Changed {
    let text = |names: [&str; 2]| names.iter().find_map(|name| row[name].as_str().filter(|text| !text.is_empty()));
    let made_at = text(["bk_created_at", "create_time"]);
    let changed_at = text(["bk_updated_at", "last_time"]);
    let is_untouched = made_at.is_some() && made_at == changed_at;
    let (deed, by, at) = if is_untouched || action == Action::Delete {
        (Deed::Made, text(["bk_created_by", "creator"]), made_at)
    } else {
        (Deed::Changed, text(["bk_updated_by", "modifier"]), changed_at)
    };
    let Some(at) = at else { return Changed::unknown() };
    Changed {
        deed,
        by: by.map(str::to_owned),
        at: Some(time_of(at, facts)),
        was: None,
        was_display: None,
        source: if by.is_some() { Source::Object } else { Source::Time },
        ours: ours(by, facts),
    }
}

/// Says of objects with ids what their rows say of themselves, and where records tell it, of each field who else changed
/// it last. `condition` says what their records have in common; objects without records have none.
pub(super) fn touched(
    group: &[Identified<'_>],
    columns: Columns<'_>,
    condition: Option<&Value>,
    observation: &mut Observation,
    facts: &Facts,
) -> Authors {
    let rows = columns.unwrap_or_default();
    let of_rows = group.iter().filter_map(|(desired, _, id)| {
        Some((desired.id.clone(), None, of_row(rows.get(id).copied()?, Action::Update, facts)))
    });
    let mut authors = Authors { known: of_rows.collect() };
    if let Some(condition) = condition {
        authors.known.extend(latest::foreign(condition, group, observation, facts));
    }
    authors
}

/// Sorts live objects by a number, such as their business, each with its id.
pub(super) fn sorted<'d>(
    objects: &[(&'d Desired, &'d Live)],
    place: impl Fn(&Desired, &Live) -> Option<(i64, i64)>,
) -> BTreeMap<i64, Vec<Identified<'d>>> {
    let mut sorted: BTreeMap<i64, Vec<Identified<'d>>> = BTreeMap::new();
    for (desired, live) in objects {
        if let Some((group, id)) = place(desired, live) {
            sorted.entry(group).or_default().push((*desired, *live, id));
        }
    }
    sorted
}

/// The rows of objects by their ids, as they were read for their columns.
pub(super) type Columns<'f> = Result<HashMap<i64, &'f Json>, LookupError>;

/// Says of live objects who changed what differs: their records, else their rows, which are read only for those of which
/// the records do not tell enough.
pub(super) fn of_live<'p, 'f>(
    planned: &[Planned<'p>],
    subject: impl Fn(&Planned<'p>) -> Option<Subject<'p>>,
    namesakes: &Namesakes,
    columns: impl FnOnce(&BTreeSet<i64>, &mut Observation) -> Columns<'f>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Authors {
    let mut authors = Authors::default();
    let live: Vec<_> = planned.iter().filter_map(|planned| Some((planned, planned.live?, subject(planned)?))).collect();
    let subjects = live.iter().map(|(_, _, subject)| subject.clone()).collect();
    let Some(trails) = trails(&subjects, observation, facts) else { return authors };
    let (mut told, mut missing) = (Vec::new(), Vec::new());
    for (planned, live, subject) in &live {
        for (path, changed) in of_records(planned, live, subject, &trails[subject], facts) {
            match changed {
                Some(changed) => told.push((planned, subject, path, changed)),
                None => missing.push((planned, subject.id, path)),
            }
        }
    }
    let as_made = told.iter().filter(|(planned, _, _, changed)| is_as_made(planned, changed));
    let as_made = as_made.map(|(_, subject, ..)| (*subject, &trails[*subject])).collect();
    let remade = remade::remade(&as_made, namesakes, observation, facts).unwrap_or_default();
    for (planned, subject, path, mut changed) in told {
        if is_as_made(planned, &changed) && remade.contains(&subject.id) {
            changed.deed = Deed::Remade;
        }
        authors.known.push((planned.desired.id.clone(), path.cloned(), changed));
    }
    let ids: BTreeSet<i64> = missing.iter().map(|(_, id, _)| *id).collect();
    let rows = if ids.is_empty() { Ok(HashMap::new()) } else { columns(&ids, observation) };
    if !observation.ask.is_empty() {
        return Authors::default();
    }
    let rows = rows.unwrap_or_default();
    for (planned, id, path) in missing {
        let told = rows.get(&id).map_or_else(Changed::unknown, |row| of_row(row, planned.change.action, facts));
        authors.known.push((planned.desired.id.clone(), path.cloned(), told));
    }
    authors
}

/// Returns true if a live value is as its object was made.
fn is_as_made(planned: &Planned<'_>, changed: &Changed) -> bool {
    changed.deed == Deed::Made && planned.change.action == Action::Update
}

/// Returns what records tell of each part of a change, by its path.
fn of_records<'p>(
    planned: &Planned<'p>,
    live: &Live,
    subject: &Subject<'_>,
    trail: &Trail<'_>,
    facts: &Facts,
) -> Vec<(Option<&'p FieldPath>, Option<Changed>)> {
    let whole = (planned.change.action == Action::Delete).then(|| (None, creation(trail, facts)));
    let fields = planned.change.fields.iter().map(|field| {
        let name = field.path.as_str();
        let told = last_change(trail, name, live.field(name), facts);
        (Some(&field.path), told.map(|told| with_display(told, subject.model, live, name, facts)))
    });
    whole.into_iter().chain(fields).collect()
}

#[cfg(test)]
mod tests;
