//! `ProcessTemplate`: a process of a service template, by `update_proc_template` (contract section 4.4).
//!
//! The server replaces every property that is sent as a whole, and `bind_info` with all its rows. So what is sent is
//! what was read with what is declared laid over it.

mod author;
mod check;
mod creation;
mod pair;
mod property;
mod prune;
mod read;
mod rows;
mod sync;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{
    below::{HOSTS, MODULES, SERVICE_INSTANCES},
    pick,
    spec::{self, nearest, placed, spread},
};
use crate::{
    diagnostic::Diagnostic,
    diff::identity::{self, Assigned},
    kind::{Authors, Beneath, Claims, Envelope, Facts, Kind, Notes, Observation, Planned},
    model::{Action, Call, Desired, Ensure, FieldChange, Live, Request, Rival, Sight},
    platform::bk_cmdb::{
        lookup::{Businesses, Trouble, read_rows, service_templates},
        version::Version,
    },
    source::Located,
    yaml::{self, Node, Section},
};

/// The property that names a process; unique within its service template.
const NAME: &str = "bk_process_name";

/// The kind.
pub(crate) struct ProcessTemplate;

impl Kind for ProcessTemplate {
    fn name(&self) -> &'static str {
        "ProcessTemplate"
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::open(spec, "the spec of a ProcessTemplate", diagnostics) else {
            return Vec::new();
        };
        let ensure = spec::ensure(&section, Ensure::Existing, &["existing", "present", "absent"], diagnostics);
        let mut desired = envelope.desired(self.name(), ensure);
        let mut place = |key: &'static str, node: Option<&Node<'_>>, diagnostics: &mut Vec<Diagnostic>| {
            let value = node.and_then(|node| spec::name_or_id(node, &format!("`{key}`"), diagnostics));
            desired.locator.extend(value.map(|value| (key.into(), value)));
        };
        place("business", section.require("business", diagnostics), diagnostics);
        match (section.get("process"), section.get("id")) {
            (Some(process), None) => {
                place("serviceTemplate", section.require("serviceTemplate", diagnostics), diagnostics);
                if let Some(name) = yaml::text(process, "`process`", diagnostics) {
                    let name = Located::new(json!(name), process.origin.clone());
                    desired.locator.insert("process".into(), name);
                }
            }
            (None, Some(id)) => {
                place("serviceTemplate", section.get("serviceTemplate"), diagnostics);
                desired.locator.extend(spec::id(id, "`id`", diagnostics).map(|id| ("id".into(), id)));
                if ensure == Ensure::Present {
                    let message = "`ensure: present` needs `process`: an id cannot be chosen";
                    diagnostics.push(Diagnostic::error("M306", message, &id.origin));
                }
            }
            (Some(_), Some(node)) => {
                let message = "a process is picked by `process` or by `id`, not by both";
                diagnostics.push(Diagnostic::error("M306", message, &node.origin));
            }
            (None, None) => {
                let message = "the spec of a ProcessTemplate needs `process` or `id`";
                diagnostics.push(Diagnostic::error("M306", message, &envelope.origin));
            }
        }
        let properties = if ensure == Ensure::Absent {
            section.get("properties")
        } else {
            section.require("properties", diagnostics)
        };
        if let Some(node) = properties {
            property::decode(node, &mut desired.fields, diagnostics);
        }
        section.finish(diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) { Vec::new() } else { vec![desired] }
    }

    fn observe(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
        let mut observation = Observation::default();
        let businesses = match Businesses::of(all, &mut observation, facts) {
            Ok(businesses) => businesses,
            Err(trouble) => {
                spread(&trouble, desired, &mut observation);
                return observation;
            }
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

    fn check(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
        check::check(desired, all, facts)
    }

    fn prune(&self, scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
        prune::prune(scopes, all, facts)
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Observation {
        let mut observation = Observation::default();
        let mut by_business: BTreeMap<i64, Vec<(&Desired, i64)>> = BTreeMap::new();
        for (desired, handle) in objects {
            let (business, id) = (handle["business"].as_i64(), handle["process"].as_i64());
            by_business.entry(business.unwrap_or_default()).or_default().push((desired, id.unwrap_or_default()));
        }
        for (business, group) in by_business {
            let ids = group.iter().map(|(_, id)| *id).collect();
            match read::by_ids(business, &ids, &mut observation, facts) {
                Ok(rows) => {
                    let rows: HashMap<i64, &Value> =
                        rows.into_iter().filter_map(|row| Some((row["id"].as_i64()?, row))).collect();
                    for (desired, id) in group {
                        let sight = rows.get(&id).map_or_else(Sight::absent, |row| Sight::Found(live(desired, row)));
                        observation.know(&desired.id, sight);
                    }
                }
                Err(trouble) => {
                    let documents: Vec<_> = group.iter().map(|(desired, _)| *desired).collect();
                    spread(&trouble, &documents, &mut observation);
                }
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
        let version = facts.settings.get("version").and_then(|version| Version::parse(version));
        let too_new = rows::too_new(desired, version);
        let Some(live) = live else {
            return if too_new.is_empty() { creation::changes(desired) } else { Err(too_new) };
        };
        let (mut changes, mut problems) = (Vec::new(), too_new);
        for name in declared(desired) {
            if name == property::BIND_INFO {
                match rows::merge(desired, live) {
                    Ok(merged) => changes.extend(merged.changes),
                    Err(more) => problems.extend(more),
                }
                continue;
            }
            let change = property::changes(name, desired, live);
            if let Some(change) = change.iter().find(|_| name == "bk_func_name") {
                // Ignored on update, so it would differ for ever (contract section 9, trap 2).
                let message = "`bk_func_name` cannot be updated: the server ignores it";
                let hint = format!("the live value is {}", live.field(name)["value"]);
                problems.push(Diagnostic::error("P110", message, &change.because).hint(hint));
            }
            changes.extend(change);
        }
        if problems.is_empty() {
            changes.sort_by_key(|change| change.because.order());
            Ok(changes)
        } else {
            Err(problems)
        }
    }

    fn claims(&self, desired: &Desired, live: Option<&Live>, place: &Value, _facts: &Facts) -> Claims {
        let at = live.map_or(place, |live| &live.handle);
        let held = live.and_then(|live| live.field(NAME)["value"].as_str());
        let wanted = wanted_name(desired).or(held);
        let wanted = if live.is_some() { rename(desired).or(held) } else { wanted };
        let claims = |name: Option<&str>, pair: Option<String>| {
            name.map(|name| claim(at, name)).into_iter().chain(pair).collect::<Vec<_>>()
        };
        Claims {
            held: claims(held, live.and_then(pair::held)),
            wanted: claims(wanted, pair::wanted(desired, live, at)),
        }
    }

    fn rests_on(&self) -> Option<&'static [&'static str]> {
        Some(&[NAME])
    }

    fn calls(&self, planned: &[Planned<'_>], _facts: &Facts) -> Vec<Call> {
        let call = |one: &Planned<'_>| {
            let Some(live) = one.live else { return Some(creation::call(one)) };
            if one.change.action == Action::Delete {
                return Some(deletion(one, live));
            }
            let touched: BTreeSet<&str> =
                one.change.fields.iter().map(|field| field.path.split(['.', '[']).next().unwrap_or_default()).collect();
            let mut properties = Map::new();
            for name in touched {
                let envelope = if name == property::BIND_INFO {
                    rows::merge(one.desired, live).ok()?.envelope
                } else {
                    property::envelope(name, one.desired, live)
                };
                properties.insert(name.to_owned(), envelope);
            }
            let arguments = json!({"bk_biz_id": live.handle["business"],
                "process_template_id": live.handle["process"], "process_property": properties});
            Some(Call {
                request: Request { operation: "update_proc_template", arguments, repeatable: true },
                target: one.desired.target.clone(),
                serves: vec![one.desired.id.clone()],
            })
        };
        planned.iter().filter_map(call).collect()
    }

    fn notes(&self, planned: &[Planned<'_>], facts: &Facts) -> Notes {
        sync::notes(planned, facts)
    }
    fn changed(&self, planned: &[Planned<'_>], facts: &Facts) -> Authors {
        author::changed(planned, facts)
    }

    fn nouns(&self) -> &'static [&'static str] {
        &[MODULES, HOSTS, SERVICE_INSTANCES]
    }

    fn beneath(&self, planned: &[Planned<'_>], facts: &Facts) -> Beneath {
        sync::beneath(planned, facts)
    }

    fn handle(&self, planned: &Planned<'_>, answer: &Value) -> Option<Value> {
        if let Some(live) = planned.live {
            return Some(live.handle.clone());
        }
        // `batch_create_proc_template` returns the ids alone.
        let mut handle = planned.place.clone();
        handle["process"] = json!(answer.get(0)?.as_i64()?);
        Some(handle)
    }
}

/// One template a call: with an id that is gone the server refuses the whole list (code 1108014).
fn deletion(one: &Planned<'_>, live: &Live) -> Call {
    let arguments = json!({"bk_biz_id": live.handle["business"], "process_templates": [live.handle["process"]]});
    Call {
        request: Request { operation: "delete_proc_template", arguments, repeatable: false },
        target: one.desired.target.clone(),
        serves: vec![one.desired.id.clone()],
    }
}

/// The name that a document gives to its process.
fn rename(desired: &Desired) -> Option<&str> {
    desired.field(NAME).and_then(Value::as_str)
}

/// The name that a process has once it is as declared.
fn wanted_name(desired: &Desired) -> Option<&str> {
    rename(desired).or_else(|| desired.locate("process").and_then(Value::as_str))
}

/// The properties that a document declares anything of.
fn declared(desired: &Desired) -> BTreeSet<&str> {
    desired.fields.keys().map(|path| path.split(['.', '[']).next().unwrap_or_default()).collect()
}

fn template_label(id: i64) -> String {
    format!("process template #{id}")
}

fn claim(handle: &Value, name: &str) -> String {
    format!("the name `{name}` in service template #{}", handle["serviceTemplate"])
}

fn observe_business(business: i64, group: &[&Desired], facts: &Facts, observation: &mut Observation) {
    let by_name = group.iter().any(|one| one.locate("serviceTemplate").is_some_and(Value::is_string));
    let templates = if by_name { service_templates(business, observation, facts) } else { Ok(Vec::new()) };
    let ids = group.iter().filter_map(|one| one.locate("id")?.as_i64()).collect();
    let by_id = read::by_ids(business, &ids, observation, facts);
    let templates = match templates {
        Ok(templates) => templates,
        Err(trouble) => return spread(&trouble, group, observation),
    };
    let mut placed = Vec::new();
    for one in group {
        match template_of(one, &templates) {
            Ok(template) => placed.push((*one, template)),
            Err(sight) => observation.know(&one.id, sight),
        }
    }
    let mut rows: BTreeMap<i64, &Value> = BTreeMap::new();
    match by_id {
        Ok(found) => rows.extend(found.into_iter().filter_map(|row| Some((row["id"].as_i64()?, row)))),
        Err(trouble) => placed.retain(|(one, _)| keep(one.locate("id").is_none(), one, &trouble, observation)),
    }
    for template in to_list(&placed, &rows) {
        let arguments = json!({"bk_biz_id": business, "service_template_id": template});
        let request = Request { operation: "list_proc_template", arguments, repeatable: true };
        match read_rows(request, "info", observation, facts) {
            Ok(found) => rows.extend(found.into_iter().filter_map(|row| Some((row["id"].as_i64()?, row)))),
            Err(trouble) => {
                placed.retain(|(one, of)| {
                    let is_other = *of != Some(template) || one.locate("id").is_some();
                    keep(is_other, one, &trouble, observation)
                });
            }
        }
    }
    assign(business, &placed, &rows, observation);
}

/// Says of a document that cannot be read why, unless it is to be kept.
fn keep(kept: bool, one: &Desired, trouble: &Trouble, observation: &mut Observation) -> bool {
    if !kept {
        spread(trouble, &[one], observation);
    }
    kept
}

/// The service templates whose processes have to be known: those in which a process is named, or gets another name or
/// start parameter regex.
fn to_list(placed: &[(&Desired, Option<i64>)], rows: &BTreeMap<i64, &Value>) -> BTreeSet<i64> {
    let template = |(one, template): &(&Desired, Option<i64>)| match one.locate("id").and_then(Value::as_i64) {
        None => *template,
        Some(id) => {
            let row = rows.get(&id)?;
            let changes = |name| one.field(name).is_some_and(|value| *value != row["property"][name]["value"]);
            row["service_template_id"].as_i64().filter(|_| changes(NAME) || changes(pair::REGEX))
        }
    };
    placed.iter().filter_map(template).collect()
}

/// Gives each document its live process. All documents of a business at once: what one means, no other can mean.
fn assign(
    business: i64,
    placed: &[(&Desired, Option<i64>)],
    rows: &BTreeMap<i64, &Value>,
    observation: &mut Observation,
) {
    let template_of = |row: &Value| row["service_template_id"].as_i64();
    let mut by_name: HashMap<(Option<i64>, &str), Vec<i64>> = HashMap::new();
    let mut names: HashMap<Option<i64>, Vec<&str>> = HashMap::new();
    for (id, row) in rows {
        let Some(name) = row[NAME].as_str() else { continue };
        by_name.entry((template_of(row), name)).or_default().push(*id);
        names.entry(template_of(row)).or_default().push(name);
    }
    let named = |template: Option<i64>, name: &str| by_name.get(&(template, name)).cloned().unwrap_or_default();
    let pairs = pair::Holders::of(rows);
    let candidates = placed.iter().map(|(one, template)| {
        if let Some(id) = one.locate("id").and_then(Value::as_i64) {
            let fits = rows.get(&id).is_some_and(|row| template.is_none() || template_of(row) == *template);
            return fits.then_some(id).into_iter().collect();
        }
        let mut found = named(*template, one.locate("process").and_then(Value::as_str).unwrap_or_default());
        found.extend(one.field(NAME).and_then(Value::as_str).map(|name| named(*template, name)).unwrap_or_default());
        found
    });
    let assigned = identity::assign(candidates.collect());
    let documents: Vec<_> = placed.iter().map(|(one, _)| *one).collect();
    for ((one, template), assigned) in placed.iter().zip(&assigned) {
        let sight = match assigned {
            Assigned::One(id) => {
                let mut found = live(one, rows[id]);
                if let Some(name) = one.field(NAME).and_then(Value::as_str) {
                    let holders = named(template_of(rows[id]), name).into_iter().filter(|holder| holder != id);
                    let claim = claim(&found.handle, name);
                    found.rivals =
                        holders.map(|holder| Rival { claim: claim.clone(), holder: template_label(holder) }).collect();
                }
                found.rivals.extend(pairs.rivals(one, Some(&found), &found.handle));
                Sight::Found(found)
            }
            Assigned::Nothing => {
                // Only one that has to be there is told which names there are.
                let near = names.get(template).filter(|_| one.ensure == Ensure::Existing);
                let nearest = near.into_iter().flatten().map(|name| (*name).to_owned()).collect();
                let place = json!({"business": business, "serviceTemplate": template});
                // Its own name is free, or it would have been found by it; the one it is to get may not be.
                let holders = rename(one).map(|name| (claim(&place, name), named(*template, name)));
                let rivals = holders.into_iter().flat_map(|(claim, holders)| {
                    holders.into_iter().map(move |id| Rival { claim: claim.clone(), holder: template_label(id) })
                });
                let rivals = rivals.chain(pairs.rivals(one, None, &place)).collect();
                Sight::Absent { nearest, rivals, place }
            }
            open => pick::open(one, open, &documents, template_label),
        };
        observation.know(&one.id, sight);
    }
}

fn template_of(desired: &Desired, templates: &[&Value]) -> Result<Option<i64>, Sight> {
    let Some(given) = desired.locator.get("serviceTemplate") else { return Ok(None) };
    let Some(wanted) = given.value.as_str() else { return Ok(given.value.as_i64()) };
    let mut found = templates.iter().filter(|row| row["name"].as_str() == Some(wanted));
    let said = |message: String| Diagnostic::error("P111", message, &given.origin);
    match (found.next().and_then(|row| row["id"].as_i64()), found.next()) {
        (Some(id), None) => Ok(Some(id)),
        (Some(_), Some(_)) => {
            let diagnostic = said(format!("several service templates are named `{wanted}`")).hint("give the id");
            Err(Sight::Ambiguous(Box::new(diagnostic)))
        }
        (None, _) => {
            let known: Vec<_> = templates.iter().filter_map(|row| row["name"].as_str().map(str::to_owned)).collect();
            let diagnostic = nearest(said(format!("no service template is named `{wanted}`")), wanted, &known);
            Err(Sight::Impossible(Box::new(diagnostic)))
        }
    }
}

fn live(desired: &Desired, row: &Value) -> Live {
    let fields = row["property"].as_object().into_iter().flatten();
    let place = |key: &str| desired.locate(key).and_then(Value::as_str).map(str::to_owned);
    let path: Vec<_> = [place("business"), place("serviceTemplate")].into_iter().flatten().collect();
    let path = if path.is_empty() { "process template".to_owned() } else { path.join("/") };
    let handle = json!({"business": row["bk_biz_id"], "serviceTemplate": row["service_template_id"],
            "process": row["id"]});
    let label = format!("{path} #{}", row["id"]);
    Live::new(handle, label, fields.map(|(name, value)| (Arc::from(name.as_str()), value.clone())).collect())
}
