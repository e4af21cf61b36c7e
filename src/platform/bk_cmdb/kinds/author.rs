//! Who changed an object last: its audit records, else what its own row says (measured page, "Audit").
//!
//! A record holds the whole row before the change, and of what came after only the body as it was sent. So a record
//! changed a field if it sent the field and what was stored before differs from what was stored after, which is the row
//! before the next record, or the live one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::{
    kind::{Authors, Facts, Observation, Planned, Read},
    model::{
        Action, Request,
        author::{Changed, Deed, Source, moment},
    },
    platform::bk_cmdb::lookup::Trouble,
};

/// Records of one page.
const PAGE: usize = 50;
/// Most records that are read of one object, the latest first.
const MOST: usize = 200;
/// Most ids of one `find_audit_by_id`.
const IDS: usize = 200;
/// Most names of one `list_operation_audit`.
const NAMES: usize = 100;
/// Every record is later; a search needs some time.
const EVER: &str = "2000-01-01T00:00:00Z";

/// An object with records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject<'a> {
    /// What the records call its kind, such as `model_instance`.
    pub(super) resource: &'static str,
    /// Its model; for an association that of its source.
    pub(super) model: &'a str,
    /// Its id; for an association that of its source.
    pub(super) id: i64,
}

/// The records of an object, the latest first; none where they cannot be had.
pub(super) type Trail<'f> = Option<Vec<&'f Value>>;

/// Which operation tells the records.
#[derive(Clone, Copy)]
enum Way {
    /// Those of one instance, with details. Only some doors have it; it needs no permission on audits.
    Instance,
    /// A list without details, and the details by ids.
    List,
}

impl Way {
    fn page(self, subject: &Subject<'_>, start: usize) -> Request {
        let page = json!({"start": start, "limit": PAGE, "sort": "-id"});
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
    let nothing = || subjects.iter().map(|one| (one.clone(), None)).collect();
    let Some(first) = subjects.first() else { return Some(nothing()) };
    let ways = if first.resource == "module" { [Way::List].as_slice() } else { &[Way::Instance, Way::List] };
    for way in ways {
        // The first goes alone: what refuses it would refuse the others too.
        match observation.read(way.page(first, 0), facts) {
            Read::Pending => return None,
            Read::Failed(_) => {}
            Read::Value(_) => {
                let mut trails: BTreeMap<_, _> = BTreeMap::new();
                for subject in subjects {
                    trails.insert(subject.clone(), pages(*way, subject, observation, facts));
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

fn pages<'f>(way: Way, subject: &Subject<'_>, observation: &mut Observation, facts: &'f Facts) -> Trail<'f> {
    let mut rows = Vec::new();
    loop {
        let Read::Value(data) = observation.read(way.page(subject, rows.len()), facts) else { return None };
        let page = data["info"].as_array().map(Vec::as_slice).unwrap_or_default();
        rows.extend(page);
        let count = data["count"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        if page.is_empty() || rows.len() >= count.min(MOST) {
            rows.sort_by_key(|row| std::cmp::Reverse(row["id"].as_i64()));
            return Some(rows);
        }
    }
}

/// Puts the rows with details in the place of those without.
fn detailed<'f, 'a>(
    mut trails: BTreeMap<Subject<'a>, Trail<'f>>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<BTreeMap<Subject<'a>, Trail<'f>>> {
    let ids: Vec<i64> = trails.values().flatten().flatten().filter_map(|row| row["id"].as_i64()).collect();
    let rows = by_ids(&ids, observation, facts)?;
    for trail in trails.values_mut() {
        let known = |row: &&Value| rows.get(&row["id"].as_i64()?).copied();
        // A record without its detail would hide what it changed.
        *trail = trail.take().and_then(|trail| trail.iter().map(known).collect());
    }
    Some(trails)
}

/// Reads records with their details; nothing while answers are missing. What fails is not among them.
pub(super) fn by_ids<'f>(
    ids: &[i64],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<HashMap<i64, &'f Value>> {
    let mut rows = HashMap::new();
    for chunk in ids.chunks(IDS) {
        let request = Request { operation: "find_audit_by_id", arguments: json!({"id": chunk}), repeatable: true };
        if let Read::Value(found) = observation.read(request, facts) {
            rows.extend(found.as_array().into_iter().flatten().filter_map(|row| Some((row["id"].as_i64()?, row))));
        }
    }
    observation.ask.is_empty().then_some(rows)
}

/// Reads the records of removals of objects with these names, the latest first; nothing while answers are missing. The
/// rows have no details. An error where the records cannot be had.
pub(super) fn removals<'f>(
    condition: &Value,
    names: &BTreeSet<&str>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<Result<Vec<&'f Value>, ()>> {
    let names: Vec<_> = names.iter().copied().collect();
    let mut rows = Ok(Vec::new());
    for chunk in names.chunks(NAMES) {
        let mut condition = condition.clone();
        condition["action"] = json!(["delete"]);
        condition["operation_time"] = json!({"start": EVER});
        condition["condition"] = json!([{"field": "resource_name", "operator": "in", "value": chunk}]);
        let arguments = json!({"condition": condition, "page": {"start": 0, "limit": IDS, "sort": "-id"}});
        let request = Request { operation: "list_operation_audit", arguments, repeatable: true };
        match (observation.read(request, facts), &mut rows) {
            (Read::Value(data), Ok(rows)) => rows.extend(data["info"].as_array().into_iter().flatten()),
            (Read::Failed(_), _) => rows = Err(()),
            (Read::Pending, _) | (_, Err(())) => {}
        }
    }
    observation.ask.is_empty().then_some(rows)
}

/// What a record says: who did it, and when.
pub(super) fn told(record: &Value, deed: Deed, facts: &Facts) -> Changed {
    let by = record["user"].as_str().map(str::to_owned);
    Changed {
        deed,
        at: record["operation_time"].as_str().map(|time| time_of(time, facts)),
        was: None,
        source: Source::Audit,
        ours: ours(by.as_deref(), facts),
        by,
    }
}

fn time_of(text: &str, facts: &Facts) -> String {
    moment(text, facts.settings.get("timeZone").map(String::as_str))
}

/// Says whether a user is the one that the target's requests are made as; the user behind a token is not known.
fn ours(by: Option<&str>, facts: &Facts) -> Option<bool> {
    Some(by? == facts.settings.get("username")?)
}

/// Returns who gave a field its live value, as far as records tell.
pub(super) fn last_change(trail: &Trail<'_>, field: &str, live: &Value, facts: &Facts) -> Option<Changed> {
    let records = trail.as_ref()?;
    let mut after = live;
    for record in records {
        let details = &record["operation_detail"]["details"];
        match record["action"].as_str() {
            Some("update") => {
                let before = &details["pre_data"][field];
                if details["update_fields"].get(field).is_some() && before != after {
                    return Some(Changed { was: Some(before.clone()), ..told(record, Deed::Changed, facts) });
                }
                if details["pre_data"].is_object() {
                    after = before;
                }
            }
            Some("create") => return Some(told(record, Deed::Made, facts)),
            _ => {}
        }
    }
    let oldest = records.last()?;
    Some(Changed { by: None, ours: None, ..told(oldest, Deed::Kept, facts) })
}

/// Returns who made an object, as far as records tell.
pub(super) fn creation(trail: &Trail<'_>, facts: &Facts) -> Option<Changed> {
    let record = trail.as_ref()?.iter().find(|record| record["action"] == "create")?;
    Some(told(record, Deed::Made, facts))
}

/// Names of the columns in which rows keep who made them and who changed them last, and when.
pub(super) const COLUMNS: &[&str] = &[
    "bk_updated_by",
    "modifier",
    "bk_created_by",
    "creator",
    "bk_updated_at",
    "last_time",
    "bk_created_at",
    "create_time",
];

/// Returns what a row says of itself: who made it, where that is asked for or nobody changed it since, else who changed
/// it last, whatever of it.
pub(super) fn of_row(row: &Value, action: Action, facts: &Facts) -> Changed {
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
        source: if by.is_some() { Source::Object } else { Source::Time },
        ours: ours(by, facts),
    }
}

/// The rows of objects by their ids, as they were read for their columns.
pub(super) type Columns<'f> = Result<HashMap<i64, &'f Value>, Trouble>;

/// Says of live objects who changed what differs: their records, else their rows, which are read only for those of which
/// the records do not tell enough.
pub(super) fn of_live<'p, 'f>(
    planned: &[Planned<'p>],
    subject: impl Fn(&Planned<'p>) -> Option<Subject<'p>>,
    columns: impl FnOnce(&BTreeSet<i64>, &mut Observation) -> Columns<'f>,
    facts: &'f Facts,
) -> Authors {
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    let live: Vec<_> = planned.iter().filter_map(|one| Some((one, one.live?, subject(one)?))).collect();
    let subjects = live.iter().map(|(_, _, subject)| subject.clone()).collect();
    let Some(trails) = trails(&subjects, &mut observation, facts) else {
        return Authors { ask: observation.ask, ..authors };
    };
    let mut missing: Vec<(&Planned<'p>, i64, &str)> = Vec::new();
    for (one, live, subject) in &live {
        let trail = &trails[subject];
        let mut take = |path: &'p str, told: Option<Changed>| match told {
            Some(told) => authors.known.push((one.desired.id.clone(), path.to_owned(), told)),
            None => missing.push((one, subject.id, path)),
        };
        if one.change.action == Action::Delete {
            take("", creation(trail, facts));
        }
        for field in &one.change.fields {
            take(&field.path, last_change(trail, &field.path, live.field(&field.path), facts));
        }
    }
    if missing.is_empty() {
        return authors;
    }
    let rows = columns(&missing.iter().map(|(_, id, _)| *id).collect(), &mut observation);
    if matches!(rows, Err(Trouble::Pending)) {
        return Authors { ask: observation.ask, ..authors };
    }
    let rows = rows.unwrap_or_default();
    for (one, id, path) in missing {
        let told = rows.get(&id).map_or_else(Changed::unknown, |row| of_row(row, one.change.action, facts));
        authors.known.push((one.desired.id.clone(), path.to_owned(), told));
    }
    authors
}
