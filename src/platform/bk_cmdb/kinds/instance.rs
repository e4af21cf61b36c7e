//! `Instance`: an instance of a general model or a custom layer, by `update_inst` (contract section 4.1).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{
    pick::{self, Definition, Gathered, wanted_fields},
    spec::{self, placed, troubled},
};
use crate::{
    diagnostic::Diagnostic,
    diff::identity::{self, Assigned},
    kind::{Claims, Envelope, Facts, Kind, Observation, Planned},
    model::{Action, Call, Desired, Ensure, FieldChange, Live, Request, ResourceId, Rival, Sight},
    platform::bk_cmdb::{
        attribute::text,
        door::DATA,
        lookup::{self, Businesses, Key, Rows, Selector, Trouble, read_rows},
    },
    source::{Located, Origin},
    yaml::{self, Node, Section},
};

/// Most ids of one question for associations, and most rows of its answer.
const PAGE: usize = 500;

/// The field that names an instance; unique within its model.
const NAME: &str = "bk_inst_name";

/// Models that the common API refuses (code 1199084), and what to use instead.
pub(super) const BUILT_IN: &[(&str, Option<&str>)] = &[
    ("biz", None),
    ("bk_biz_set_obj", None),
    ("bk_project", None),
    ("host", None),
    ("module", Some("Module")),
    ("plat", None),
    ("process", Some("ProcessTemplate")),
    ("set", None),
];

/// The kind.
pub(crate) struct Instance;

impl Kind for Instance {
    fn name(&self) -> &'static str {
        "Instance"
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::open(spec, "the spec of an Instance", diagnostics) else { return Vec::new() };
        let ensure = spec::ensure(&section, Ensure::Existing, &["existing", "present", "absent"], diagnostics);
        let mut desired = spec::desired(self.name(), envelope, ensure);
        if let Some(node) = section.require("model", diagnostics)
            && let Some(model) = yaml::text(node, "`model`", diagnostics)
        {
            refuse_built_in(model, &node.origin, diagnostics);
            desired.locator.insert("model".into(), Located::new(json!(model), node.origin.clone()));
        }
        if let Some(node) = section.get("business")
            && let Some(business) = spec::name_or_id(node, "`business`", diagnostics)
        {
            desired.locator.insert("business".into(), business);
        }
        match (section.get("match"), section.get("id")) {
            (Some(node), None) => desired.locator.extend(spec::matching(node, "match.", diagnostics)),
            (None, Some(node)) => {
                if let Some(id) = spec::id(node, "`id`", diagnostics) {
                    desired.locator.insert("id".into(), id);
                }
                if ensure == Ensure::Present {
                    let message = "`ensure: present` needs `match`: an id cannot be chosen";
                    diagnostics.push(Diagnostic::error("M306", message, &node.origin));
                }
            }
            (Some(_), Some(node)) => {
                let message = "an instance is picked by `match` or by `id`, not by both";
                diagnostics.push(Diagnostic::error("M306", message, &node.origin));
            }
            (None, None) => {
                let message = "the spec of an Instance needs `match` or `id`";
                diagnostics.push(Diagnostic::error("M306", message, &envelope.origin));
            }
        }
        if let Some(node) = spec::fields(&section, ensure, diagnostics) {
            desired.fields = spec::attributes(node, diagnostics);
        }
        section.finish(diagnostics);
        if diagnostics[before..].iter().any(Diagnostic::is_error) { Vec::new() } else { vec![desired] }
    }

    fn observe(&self, desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
        let mut observation = Observation::default();
        let mut by_model: BTreeMap<(&str, Option<String>), Vec<&Desired>> = BTreeMap::new();
        for one in desired {
            by_model.entry((model_of(one), one.locate("business").map(Value::to_string))).or_default().push(one);
        }
        for ((model, _), group) in by_model {
            observe_model(model, &group, all, facts, &mut observation);
        }
        observation
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Observation {
        let mut observation = Observation::default();
        let mut by_model: BTreeMap<&str, Vec<(&Desired, i64)>> = BTreeMap::new();
        for (desired, handle) in objects {
            by_model.entry(model_of(desired)).or_default().push((desired, handle.as_i64().unwrap_or_default()));
        }
        for (model, group) in by_model {
            let selectors: BTreeSet<_> = group.iter().map(|(_, id)| Selector::Id(*id)).collect();
            let fields = group.iter().flat_map(|(desired, _)| wanted_fields(desired)).map(str::to_owned).collect();
            match lookup::instances(model, None, &selectors, &fields, &mut observation, facts) {
                Ok(rows) => {
                    for (desired, id) in group {
                        let sight = rows.row(id).map_or_else(Sight::absent, |row| Sight::Found(live(desired, row)));
                        observation.know(&desired.id, sight);
                    }
                }
                Err(trouble) => {
                    for (desired, _) in group {
                        if let Some(sight) = troubled(&trouble, desired) {
                            observation.know(&desired.id, sight);
                        }
                    }
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
        let definition = lookup::definition(model_of(desired), &mut Observation::default(), facts).unwrap_or_default();
        let mut declared: Vec<(&str, &Located<Value>)> =
            desired.fields.iter().map(|(name, value)| (&**name, value)).collect();
        if live.is_none() {
            let matched =
                desired.locator.iter().filter_map(|(path, value)| Some((path.strip_prefix("match.")?, value)));
            declared.extend(matched.filter(|(name, _)| desired.field(name).is_none()));
        }
        let changes = attribute_changes(&declared, live, &definition, facts)?;
        if live.is_none() {
            let missing: Vec<_> = definition
                .iter()
                .filter(|(name, attribute)| attribute.is_required() && declared.iter().all(|(one, _)| one != *name))
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            if !missing.is_empty() {
                let message = format!("a new instance of `{}` needs {}", model_of(desired), missing.join(", "));
                return Err(vec![Diagnostic::error("P106", message, &desired.origin)]);
            }
        }
        Ok(changes)
    }

    fn claims(&self, desired: &Desired, live: Option<&Live>, _place: &Value) -> Claims {
        let held = live.and_then(|live| live.field(NAME).as_str());
        let wanted = wanted_name(desired).or(held);
        let claim = |name: Option<&str>| name.map(|name| claim(desired, name)).into_iter().collect();
        Claims { held: claim(held), wanted: claim(wanted) }
    }

    fn calls(&self, planned: &[Planned<'_>], _facts: &Facts) -> Vec<Call> {
        planned
            .iter()
            .map(|one| {
                if one.change.action == Action::Delete {
                    return deletion(one);
                }
                let data: Map<String, Value> = one
                    .change
                    .fields
                    .iter()
                    .map(|field| (field.path.clone(), field.to.clone().unwrap_or_default()))
                    .collect();
                let model = model_of(one.desired);
                let request = match one.live {
                    Some(live) => Request {
                        operation: "update_inst",
                        arguments: json!({"bk_obj_id": model, "bk_inst_id": live.handle, DATA: data}),
                        repeatable: true,
                    },
                    None => Request {
                        operation: "create_inst",
                        arguments: json!({"bk_obj_id": model, DATA: data}),
                        repeatable: false,
                    },
                };
                Call { request, target: one.desired.target.clone(), serves: vec![one.desired.id.clone()] }
            })
            .collect()
    }

    /// `create_inst` returns the full row; `update_inst` returns nothing.
    fn handle(&self, planned: &Planned<'_>, answer: &Value) -> Option<Value> {
        let made = || answer.get("bk_inst_id").filter(|id| id.is_i64()).cloned();
        planned.live.map_or_else(made, |live| Some(live.handle.clone()))
    }
}

/// `delete_inst` of an instance that is not there succeeds (contract section 4.1).
fn deletion(one: &Planned<'_>) -> Call {
    let id = one.live.map(|live| &live.handle);
    Call {
        request: Request {
            operation: "delete_inst",
            arguments: json!({"bk_obj_id": model_of(one.desired), "bk_inst_id": id}),
            repeatable: true,
        },
        target: one.desired.target.clone(),
        serves: vec![one.desired.id.clone()],
    }
}

/// Reports a model that this kind cannot write.
fn refuse_built_in(model: &str, origin: &Origin, diagnostics: &mut Vec<Diagnostic>) {
    let Some((_, instead)) = BUILT_IN.iter().find(|(name, _)| *name == model) else { return };
    let diagnostic = Diagnostic::error("M307", format!("`{model}` is a built-in model: not for Instance"), origin);
    diagnostics.push(match instead {
        Some(kind) => diagnostic.hint(format!("use kind `{kind}`")),
        None => diagnostic.hint("no kind manages it"),
    });
}

/// Returns what differs in attributes of a model, in the order of the manifest.
pub(super) fn attribute_changes(
    declared: &[(&str, &Located<Value>)],
    live: Option<&Live>,
    definition: &Definition<'_>,
    facts: &Facts,
) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let (mut changes, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in declared {
        let Some(attribute) = definition.get(name) else {
            let diagnostic = Diagnostic::error("P103", format!("the model has no attribute `{name}`"), &value.origin);
            let ids: Vec<_> = definition.keys().map(|id| (*id).to_owned()).collect();
            problems.push(match definition.iter().find(|(_, attribute)| attribute.display_name() == *name) {
                Some((id, _)) => diagnostic.hint(format!("`{name}` is the display name of `{id}`")),
                None => spec::nearest(diagnostic, name, &ids),
            });
            continue;
        };
        match attribute.wire(&value.value, time_zone) {
            Err(problem) => {
                problems.push(Diagnostic::error("P104", format!("`{name}` {problem}"), &value.origin));
            }
            Ok(wire) if live.is_some_and(|live| attribute.same(&wire, live.field(name))) => {}
            Ok(wire) => changes.push(FieldChange {
                path: (*name).to_owned(),
                from: live.map(|live| live.field(name).clone()),
                to: Some(wire),
                because: value.origin.clone(),
            }),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    changes.sort_by_key(|change| change.because.bytes.start);
    Ok(changes)
}

pub(super) fn model_of(desired: &Desired) -> &str {
    desired.locate("model").and_then(Value::as_str).unwrap_or_default()
}

fn wanted_name(desired: &Desired) -> Option<&str> {
    desired.field(NAME).or_else(|| desired.locate("match.bk_inst_name")).and_then(text).map(str::trim)
}

fn claim(desired: &Desired, name: &str) -> String {
    format!("the name `{name}` in {}", model_of(desired))
}

fn observe_model(model: &str, group: &[&Desired], all: &[&Desired], facts: &Facts, observation: &mut Observation) {
    let business = match business_of(group, all, facts, observation) {
        Ok(business) => business,
        Err(sight) => {
            if let Some(sight) = sight {
                group.iter().for_each(|one| observation.know(&one.id, sight.clone()));
            }
            return;
        }
    };
    let known = lookup::definition(model, observation, facts).and_then(|definition| {
        let mut gathered =
            if business.is_none() { Gathered::of(model, all, &definition, facts) } else { Gathered::default() };
        let mut picks: HashMap<&ResourceId, Vec<Selector>> = HashMap::new();
        for one in group {
            match pick::selectors(one, "", &definition, facts) {
                Ok(selectors) => {
                    if business.is_some() {
                        gathered.selectors.extend(selectors.iter().cloned());
                        let known = wanted_fields(one).filter(|name| definition.contains_key(name));
                        gathered.fields.extend(known.map(str::to_owned));
                    }
                    picks.insert(&one.id, selectors);
                }
                Err(problem) => observation.know(&one.id, Sight::Impossible(problem)),
            }
        }
        let rows = lookup::instances(model, business, &gathered.selectors, &gathered.fields, observation, facts)?;
        Ok((picks, rows))
    });
    match known {
        Ok((picks, rows)) => assign(model, group, &picks, &rows, facts, observation),
        Err(trouble) => {
            for one in group {
                if let Some(sight) = troubled(&trouble, one) {
                    observation.know(&one.id, sight);
                }
            }
        }
    }
}

fn business_of(
    group: &[&Desired],
    all: &[&Desired],
    facts: &Facts,
    observation: &mut Observation,
) -> Result<Option<i64>, Option<Sight>> {
    let Some(given) = group.first().and_then(|one| one.locate("business")) else { return Ok(None) };
    let businesses = Businesses::of(all, observation, facts).map_err(|trouble| troubled(&trouble, group[0]))?;
    placed(businesses.find(given, observation, facts), group[0]).map(Some)
}

/// Gives each document its live object: who has one candidate takes it, and so on. So chains of renames are told
/// apart, and what stays open is an error.
fn assign(
    model: &str,
    group: &[&Desired],
    picks: &HashMap<&ResourceId, Vec<Selector>>,
    rows: &Rows<'_>,
    facts: &Facts,
    observation: &mut Observation,
) {
    let documents: Vec<&Desired> = group.iter().copied().filter(|one| picks.contains_key(&one.id)).collect();
    let candidates = documents.iter().map(|one| picks[&one.id].iter().flat_map(|pick| rows.find(pick)).collect());
    let assigned = identity::assign(candidates.collect());
    let names_needed = documents
        .iter()
        .zip(&assigned)
        .any(|(one, assigned)| one.ensure == Ensure::Existing && matches!(assigned, Assigned::Nothing));
    let names = if names_needed { lookup::some_names(model, observation, facts) } else { Some(Vec::new()) };
    let Some(names) = names else { return };
    let taken = taken_names(model, &documents, &assigned, rows, facts, observation);
    let label = |id: i64| format!("{model} #{id}");
    let going = documents.iter().zip(&assigned).filter_map(|(one, assigned)| match assigned {
        Assigned::One(id) if one.ensure == Ensure::Absent => Some(*id),
        _ => None,
    });
    let holds = associations(model, &going.collect(), observation, facts);
    for (one, assigned) in documents.iter().zip(&assigned) {
        let rivals = match &taken {
            Ok(taken) => taken.get(&one.id).cloned().unwrap_or_default(),
            Err(Trouble::Pending) => return,
            Err(trouble) => {
                observation.known.extend(troubled(trouble, one).map(|sight| (one.id.clone(), sight)));
                continue;
            }
        };
        let sight = match assigned {
            Assigned::Nothing => Sight::Absent { nearest: names.clone(), rivals, place: Value::Null },
            Assigned::One(id) => match rows.row(*id) {
                Some(row) => match &holds {
                    Ok(holds) => {
                        let holds = holds.get(id).cloned().unwrap_or_default();
                        Sight::Found(Live { rivals, holds, ..live(one, row) })
                    }
                    Err(Trouble::Pending) => return,
                    Err(trouble) => troubled(trouble, one).unwrap_or_else(Sight::absent),
                },
                None => Sight::absent(),
            },
            open => pick::open(one, open, &documents, label),
        };
        observation.know(&one.id, sight);
    }
}

/// The associations of instances that are to go, by instance: the server refuses to remove an instance that has one
/// (code 1101075).
fn associations(
    model: &str,
    ids: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<HashMap<i64, Vec<String>>, Trouble> {
    let ids: Vec<_> = ids.iter().copied().collect();
    let mut holds: HashMap<i64, Vec<String>> = HashMap::new();
    for chunk in ids.chunks(PAGE) {
        let mut start = 0;
        loop {
            // Both ends in one question; it has no count, so a full page may have another behind it.
            let end = |object: &str, instance: &str| {
                json!({"condition": "AND", "rules": [{"field": object, "operator": "equal", "value": model},
                    {"field": instance, "operator": "in", "value": chunk}]})
            };
            let rules = json!([end("bk_obj_id", "bk_inst_id"), end("bk_asst_obj_id", "bk_asst_inst_id")]);
            let arguments = json!({"bk_obj_id": model, "conditions": {"condition": "OR", "rules": rules},
                "page": {"start": start, "limit": PAGE, "sort": "id"}});
            let request = Request { operation: "search_instance_associations", arguments, repeatable: true };
            let rows = read_rows(request, "info", observation, facts)?;
            for row in &rows {
                for (object, instance) in [("bk_obj_id", "bk_inst_id"), ("bk_asst_obj_id", "bk_asst_inst_id")] {
                    if let Some(id) = row[instance].as_i64().filter(|_| row[object] == model) {
                        holds.entry(id).or_default().push(format!("association #{}", row["id"]));
                    }
                }
            }
            if rows.len() < PAGE {
                break;
            }
            start += PAGE;
        }
    }
    Ok(holds)
}

/// The names that documents want for their instances and that other instances hold.
fn taken_names<'d>(
    model: &str,
    documents: &[&'d Desired],
    assigned: &[Assigned<i64>],
    rows: &Rows<'_>,
    facts: &Facts,
    observation: &mut Observation,
) -> Result<HashMap<&'d ResourceId, Vec<Rival>>, Trouble> {
    let mut renamed = Vec::new();
    for (one, assigned) in documents.iter().zip(assigned) {
        let own = match assigned {
            Assigned::One(id) => Some(*id),
            Assigned::Nothing if one.ensure == Ensure::Present => None,
            _ => continue,
        };
        let held = own.and_then(|id| rows.row(id)).and_then(|row| row[NAME].as_str());
        if let Some(name) = wanted_name(one).filter(|name| Some(*name) != held) {
            renamed.push((*one, own, name));
        }
    }
    let by_name = |name: &str| Selector::Fields([(NAME.to_owned(), Key::of(&json!(name)))].into());
    // Only names that the first reads did not look for need another read.
    let asked: BTreeSet<Selector> = renamed
        .iter()
        .filter(|(one, _, _)| one.locate("match.bk_inst_name").is_none())
        .map(|(_, _, name)| by_name(name))
        .collect();
    let more = lookup::instances(model, None, &asked, &BTreeSet::new(), observation, facts)?;
    let mut taken: HashMap<&ResourceId, Vec<Rival>> = HashMap::new();
    for (one, own, name) in renamed {
        let pick = by_name(name);
        let holders: BTreeSet<_> = rows.find(&pick).into_iter().chain(more.find(&pick)).collect();
        let rivals = holders.into_iter().filter(|id| Some(*id) != own);
        let rivals = rivals.map(|id| Rival { claim: claim(one, name), holder: format!("{model} #{id}") });
        taken.insert(&one.id, rivals.collect());
    }
    Ok(taken)
}

fn live(desired: &Desired, row: &Value) -> Live {
    let fields = row.as_object().into_iter().flatten().map(|(name, value)| (Arc::from(name.as_str()), value.clone()));
    let label = format!("{} #{}", model_of(desired), row["bk_inst_id"]);
    Live::new(row["bk_inst_id"].clone(), label, fields.collect())
}
