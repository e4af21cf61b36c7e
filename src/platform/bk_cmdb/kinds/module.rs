//! `Module`: a module of a set, by `update_module` (contract section 4.2).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{
    instance::attribute_changes,
    pick,
    spec::{self, nearest, placed, troubled},
};
use crate::{
    diagnostic::Diagnostic,
    diff::identity::{self, Assigned},
    kind::{Claims, Envelope, Facts, Kind, Observation, Planned, Read},
    model::{Call, Desired, Ensure, FieldChange, Live, Request, Rival, Sight},
    platform::bk_cmdb::{
        attribute::text,
        door::DATA,
        lookup::{self, Businesses, Trouble},
    },
    source::Located,
    yaml::{Node, Section},
};

/// The field that names a module; unique within its set.
const NAME: &str = "bk_module_name";
/// Most ids of one `find_module_batch`.
const IDS: usize = 500;
/// Fields that decide whether a module can be written at all.
const GUARDS: &[&str] = &["bk_module_id", "bk_module_name", "bk_set_id", "bk_biz_id", "default", "service_template_id"];

/// The kind.
pub(crate) struct Module;

impl Kind for Module {
    fn name(&self) -> &'static str {
        "Module"
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::open(spec, "the spec of a Module", diagnostics) else { return Vec::new() };
        let ensure = spec::ensure(&section, Ensure::Existing, &["existing"], diagnostics);
        let mut desired = spec::desired(self.name(), envelope, ensure);
        for (key, what) in [("business", "`business`"), ("set", "`set`"), ("module", "`module`")] {
            if let Some(node) = section.require(key, diagnostics)
                && let Some(value) = spec::name_or_id(node, what, diagnostics)
            {
                desired.locator.insert(key.into(), value);
            }
        }
        if let Some(node) = section.require("fields", diagnostics) {
            desired.fields = spec::attributes(node, diagnostics);
            check_name(&desired, diagnostics);
        }
        section.finish(diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) { Vec::new() } else { vec![desired] }
    }

    fn observe(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
        let mut observation = Observation::default();
        let definition = lookup::definition("module", &mut observation, facts).map(|_| ());
        let businesses = Businesses::of(all, &mut observation, facts);
        let (Ok(()), Ok(businesses)) = (&definition, &businesses) else {
            for trouble in [definition.err(), businesses.err()].into_iter().flatten() {
                spread(&trouble, desired, &mut observation);
            }
            return observation;
        };
        let mut by_business: BTreeMap<i64, Vec<&Desired>> = BTreeMap::new();
        for one in desired {
            let Some(given) = one.locate("business") else { continue };
            match placed(businesses.find(given, &mut observation, facts), one) {
                Ok(id) => by_business.entry(id).or_default().push(one),
                Err(sight) => observation.known.extend(sight.map(|sight| (one.id.clone(), sight))),
            }
        }
        for (business, group) in by_business {
            observe_business(business, &group, facts, &mut observation);
        }
        observation
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Observation {
        let mut observation = Observation::default();
        let mut by_business: BTreeMap<i64, Vec<(&Desired, &Value)>> = BTreeMap::new();
        for (desired, handle) in objects {
            by_business.entry(handle["business"].as_i64().unwrap_or_default()).or_default().push((desired, handle));
        }
        for (business, group) in by_business {
            let documents: Vec<_> = group.iter().map(|(desired, _)| *desired).collect();
            let ids: BTreeSet<_> = group.iter().filter_map(|(_, handle)| handle["module"].as_i64()).collect();
            let rows = by_ids(business, &ids, &wanted_fields(&documents), &mut observation, facts);
            match rows {
                Ok(rows) => {
                    for (desired, handle) in group {
                        let row = rows.iter().find(|row| row["bk_module_id"] == handle["module"]);
                        let sight = row.map_or_else(Sight::absent, |row| Sight::Found(live(desired, row)));
                        observation.know(&desired.id, sight);
                    }
                }
                Err(trouble) => spread(&trouble, &documents, &mut observation),
            }
        }
        observation
    }

    fn compare(
        &self,
        desired: &Desired,
        live: Option<&Live>,
        facts: &Facts,
    ) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        let definition = lookup::definition("module", &mut Observation::default(), facts).unwrap_or_default();
        let declared: Vec<(&str, &Located<Value>)> =
            desired.fields.iter().map(|(name, value)| (&**name, value)).collect();
        let changes = attribute_changes(&declared, live, &definition, facts)?;
        let Some(first) = changes.first() else { return Ok(changes) };
        let Some(live) = live else { return Ok(changes) };
        // What the server would refuse, said before anything is sent (contract section 4.2).
        if live.field("default").as_i64().unwrap_or(0) != 0 {
            let message = format!("{} is a built-in module: the server lets nobody change it", live.label);
            return Err(vec![Diagnostic::error("P107", message, &first.because)]);
        }
        let renamed = changes.iter().find(|change| change.path == NAME);
        if let Some(change) = renamed.filter(|_| live.field("service_template_id").as_i64().unwrap_or(0) != 0) {
            let message = format!("{} is made from a service template, which gives it its name", live.label);
            let hint = "rename the service template, or leave the name out";
            return Err(vec![Diagnostic::error("P108", message, &change.because).hint(hint)]);
        }
        Ok(changes)
    }

    fn claims(&self, desired: &Desired, live: Option<&Live>) -> Claims {
        let Some(live) = live else { return Claims::default() };
        let held = live.field(NAME).as_str().unwrap_or_default();
        let wanted = wanted_name(desired).unwrap_or(held);
        Claims { held: vec![claim(&live.handle, held)], wanted: vec![claim(&live.handle, wanted)] }
    }

    fn calls(&self, planned: &[Planned<'_>], _facts: &Facts) -> Vec<Call> {
        let call = |one: &Planned<'_>| {
            let handle = &one.live?.handle;
            let data: Map<String, Value> = one
                .change
                .fields
                .iter()
                .map(|field| (field.path.clone(), field.to.clone().unwrap_or_default()))
                .collect();
            let arguments = json!({"bk_biz_id": handle["business"], "bk_set_id": handle["set"],
                "bk_module_id": handle["module"], DATA: data});
            Some(Call {
                request: Request { operation: "update_module", arguments, repeatable: true },
                target: one.desired.target.clone(),
                serves: vec![one.desired.id.clone()],
            })
        };
        planned.iter().filter_map(call).collect()
    }
}

/// Reports a name that the server would refuse (contract section 4.2).
fn check_name(desired: &Desired, diagnostics: &mut Vec<Diagnostic>) {
    let Some(field) = desired.fields.get(NAME) else { return };
    let problem = match text(&field.value).map(str::trim) {
        None => Some("has to be a text"),
        Some("") => Some("is empty"),
        Some(name) if name.contains(|letter: char| letter.is_whitespace() || "\\|/:*,<>\"?#".contains(letter)) => {
            Some("takes neither white space nor any of \\|/:*,<>\"?#")
        }
        Some(name) if name.len() > 256 => Some("takes at most 256 bytes"),
        Some(_) => None,
    };
    if let Some(problem) = problem {
        diagnostics.push(Diagnostic::error("M310", format!("`{NAME}` {problem}"), &field.origin));
    }
}

fn wanted_name(desired: &Desired) -> Option<&str> {
    desired.field(NAME).and_then(text).map(str::trim)
}

fn claim(handle: &Value, name: &str) -> String {
    format!("set {} {name}", handle["set"])
}

fn wanted_fields(group: &[&Desired]) -> BTreeSet<String> {
    let declared = group.iter().flat_map(|one| one.fields.keys().map(ToString::to_string));
    declared.chain(GUARDS.iter().map(|name| (*name).to_owned())).collect()
}

fn spread(trouble: &Trouble, documents: &[&Desired], observation: &mut Observation) {
    for one in documents {
        observation.known.extend(troubled(trouble, one).map(|sight| (one.id.clone(), sight)));
    }
}

fn observe_business(business: i64, group: &[&Desired], facts: &Facts, observation: &mut Observation) {
    let sets = match sets(business, group, observation, facts) {
        Ok(sets) => sets,
        Err(trouble) => return spread(&trouble, group, observation),
    };
    let fields = wanted_fields(group);
    let ids = group.iter().filter_map(|one| one.locate("module")?.as_i64()).collect();
    let by_id = by_ids(business, &ids, &fields, observation, facts);
    let mut placed = Vec::new();
    for one in group {
        if let Some(set) = set_of(one, &sets, observation) {
            placed.push((*one, set));
        }
    }
    let names: BTreeSet<&str> = placed
        .iter()
        .filter_map(|(one, _)| one.locate("module")?.as_str())
        .chain(placed.iter().filter_map(|(one, _)| wanted_name(one)))
        .collect();
    let in_sets: BTreeSet<i64> = placed.iter().map(|(_, set)| *set).collect();
    let by_name = modules(business, &in_sets, Some(&names), &fields, observation, facts);
    let (by_id, by_name) = match (by_id, by_name) {
        (Ok(by_id), Ok(by_name)) => (by_id, by_name),
        (by_id, by_name) => {
            for trouble in [by_id.err(), by_name.err()].into_iter().flatten() {
                spread(&trouble, group, observation);
            }
            return;
        }
    };
    let rows: BTreeMap<i64, &Value> =
        by_id.into_iter().chain(by_name).filter_map(|row| Some((row["bk_module_id"].as_i64()?, row))).collect();
    let named = |set: i64, name: &str| {
        let fits = move |row: &Value| row["bk_set_id"].as_i64() == Some(set) && row[NAME].as_str() == Some(name);
        rows.iter().filter(move |(_, row)| fits(row)).map(|(id, _)| *id).collect::<Vec<_>>()
    };
    let candidates = placed.iter().map(|(one, set)| match one.locate("module") {
        Some(Value::Number(id)) => {
            let id = id.as_i64().filter(|id| rows.get(id).is_some_and(|row| row["bk_set_id"].as_i64() == Some(*set)));
            id.into_iter().collect()
        }
        Some(Value::String(name)) => {
            let mut found = named(*set, name);
            found.extend(wanted_name(one).map(|name| named(*set, name)).unwrap_or_default());
            found
        }
        _ => Vec::new(),
    });
    let assigned = identity::assign(candidates.collect());
    let documents: Vec<_> = placed.iter().map(|(one, _)| *one).collect();
    let mut others = Vec::new();
    if assigned.contains(&Assigned::Nothing) {
        match modules(business, &in_sets, None, &fields, observation, facts) {
            Ok(all) => others = all,
            Err(Trouble::Pending) => return,
            Err(Trouble::Failed(_) | Trouble::NoModel) => {}
        }
    }
    for ((one, set), assigned) in placed.iter().zip(&assigned) {
        let sight = match assigned {
            Assigned::One(id) => {
                let mut found = live(one, rows[id]);
                if let Some(name) = wanted_name(one) {
                    let holders = named(*set, name).into_iter().filter(|holder| holder != id);
                    found.rivals = holders
                        .map(|holder| Rival { claim: claim(&found.handle, name), holder: format!("module #{holder}") })
                        .collect();
                }
                Sight::Found(found)
            }
            Assigned::Nothing => {
                let names = others.iter().filter(|row| row["bk_set_id"].as_i64() == Some(*set));
                let names = names.filter_map(|row| row[NAME].as_str().map(str::to_owned)).collect();
                Sight::Absent { nearest: names, rivals: Vec::new(), place: Value::Null }
            }
            open => pick::open(one, open, &documents, |id| format!("module #{id}")),
        };
        observation.know(&one.id, sight);
    }
}

/// Reads the sets that documents name.
fn sets<'f>(
    business: i64,
    group: &[&Desired],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    let names: BTreeSet<&str> = group.iter().filter_map(|one| one.locate("set")?.as_str()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let condition = json!({"bk_set_name": {"$in": names}});
    let found = read_sets(business, &condition, observation, facts)?;
    let missing = names.iter().any(|name| !found.iter().any(|row| row["bk_set_name"].as_str() == Some(name)));
    // For the hint: the sets that there are.
    if missing { read_sets(business, &json!({}), observation, facts) } else { Ok(found) }
}

fn read_sets<'f>(
    business: i64,
    condition: &Value,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    let arguments = json!({"bk_biz_id": business, "condition": condition, "fields": ["bk_set_id", "bk_set_name"],
        "page": {"start": 0, "limit": 0, "sort": "bk_set_id"}});
    read_rows(Request { operation: "search_set", arguments, repeatable: true }, "info", observation, facts)
}

fn set_of(desired: &Desired, sets: &[&Value], observation: &mut Observation) -> Option<i64> {
    let given = desired.locator.get("set")?;
    if let Some(id) = given.value.as_i64() {
        return Some(id);
    }
    let wanted = given.value.as_str()?;
    let mut found = sets.iter().filter(|row| row["bk_set_name"].as_str() == Some(wanted));
    let said = |message: String| Diagnostic::error("P109", message, &given.origin);
    match (found.next().and_then(|row| row["bk_set_id"].as_i64()), found.next()) {
        (Some(id), None) => return Some(id),
        (Some(_), Some(_)) => {
            let diagnostic = said(format!("several sets are named `{wanted}`")).hint("give the set's id");
            observation.know(&desired.id, Sight::Ambiguous(Box::new(diagnostic)));
        }
        (None, _) => {
            let names: Vec<_> = sets.iter().filter_map(|row| row["bk_set_name"].as_str().map(str::to_owned)).collect();
            let diagnostic = nearest(said(format!("no set is named `{wanted}`")), wanted, &names);
            observation.know(&desired.id, Sight::Impossible(Box::new(diagnostic)));
        }
    }
    None
}

/// Reads modules of sets, by name or all of them. Their number is bounded by sets × names.
fn modules<'f>(
    business: i64,
    sets: &BTreeSet<i64>,
    names: Option<&BTreeSet<&str>>,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    if sets.is_empty() || names.is_some_and(BTreeSet::is_empty) {
        return Ok(Vec::new());
    }
    let mut condition = json!({"bk_set_id": {"$in": sets}});
    if let Some(names) = names {
        condition[NAME] = json!({"$in": names});
    }
    let arguments = json!({"bk_biz_id": business, "bk_set_id": 0, "condition": condition, "fields": fields,
        "page": {"start": 0, "limit": 0, "sort": "bk_module_id"}});
    read_rows(Request { operation: "search_module", arguments, repeatable: true }, "info", observation, facts)
}

fn by_ids<'f>(
    business: i64,
    ids: &BTreeSet<i64>,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    let ids: Vec<_> = ids.iter().copied().collect();
    let mut rows = Ok(Vec::new());
    for chunk in ids.chunks(IDS) {
        let arguments = json!({"bk_biz_id": business, "bk_ids": chunk, "fields": fields});
        let request = Request { operation: "find_module_batch", arguments, repeatable: true };
        match (read_rows(request, "", observation, facts), &mut rows) {
            (Ok(more), Ok(rows)) => rows.extend(more),
            (Err(trouble), _) => rows = Err(trouble),
            (Ok(_), Err(_)) => {}
        }
    }
    rows
}

/// Reads rows that lie in `data`, or in a list of it.
pub(super) fn read_rows<'f>(
    request: Request,
    list: &str,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    match observation.read(request, facts) {
        Read::Pending => Err(Trouble::Pending),
        Read::Failed(refusal) => Err(Trouble::Failed(refusal.to_string())),
        Read::Value(data) => {
            let rows = if list.is_empty() { data } else { &data[list] };
            Ok(rows.as_array().into_iter().flatten().collect())
        }
    }
}

fn live(desired: &Desired, row: &Value) -> Live {
    let fields = row.as_object().into_iter().flatten().map(|(name, value)| (Arc::from(name.as_str()), value.clone()));
    let place = |key: &str| desired.locate(key).and_then(Value::as_str).map(str::to_owned);
    let path: Vec<_> = [place("business"), place("set")].into_iter().flatten().collect();
    Live {
        handle: json!({"business": row["bk_biz_id"], "set": row["bk_set_id"], "module": row["bk_module_id"]}),
        label: format!(
            "{} #{}",
            if path.is_empty() { "module".to_owned() } else { path.join("/") },
            row["bk_module_id"]
        ),
        fields: fields.collect(),
        rivals: Vec::new(),
    }
}
