//! The modules of a template as parts of its roll-out: which there are, which differ from the template, and what tasks are
//! under way (contract "topology", section 5).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    FieldChange, HANDLE, fixed_reach,
    rollout::{self, HOSTS, IN_SYNC, MODULE, ROLLOUT, STATUS, UNAVAILABLE},
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Call, Desired, Display, DisplayKind, Ensure, FieldPath, Fields, Json, Live, ObservedState, Request,
        policy::{Policies, Policy},
    },
    platform::bk_cmdb::{
        kinds::{impact, process_template, sets},
        lookup::LookupError,
    },
    provider::{Facts, ImpactSet, Notes, Observation, Planned, Read},
    source::Located,
};

/// Most modules of one comparison (code 1199035).
const COMPARED: usize = 100;
/// Most sets of one read.
const SETS: usize = 500;
/// The operation that starts the sync.
const SYNC: &str = "sync_service_template_to_service_instance";

/// A template whose document has a roll-out.
pub(super) struct RolledOut<'d> {
    pub(super) desired: &'d Desired,
    pub(super) template: i64,
    /// The module attributes for which it gets another value.
    pub(super) fixed: BTreeSet<String>,
}

/// Notes the modules of templates that are rolled out; nothing while they are still asked for.
pub(super) fn observe(
    business: i64,
    templates: &[RolledOut<'_>],
    all: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Option<()> {
    if templates.is_empty() {
        return Some(());
    }
    let ids: BTreeSet<i64> = templates.iter().map(|rolled_out| rolled_out.template).collect();
    let modules = match modules(business, &ids, observation, facts) {
        Ok(modules) => modules,
        Err(LookupError::Pending) => return None,
        Err(error) => {
            for RolledOut { desired, .. } in templates {
                let unknown = ObservedState::Unknown(format!("the modules of the template: {}", why(&error)));
                observation.parts.push((part(desired, "modules", "modules"), unknown));
            }
            return Some(());
        }
    };
    // Templates that no change of this run can put out of sync need no count of hosts.
    let is_disturbed = all.iter().any(|other| other.id.kind == process_template::KIND && other.selected);
    let all_ids: BTreeSet<i64> = modules.iter().map(|module| module.id).collect();
    let hosts = if is_disturbed { Some(impact::hosts(business, &all_ids, observation, facts)) } else { None };
    let mut parts = Vec::new();
    let mut is_pending = matches!(hosts, Some(Err(LookupError::Pending)));
    for RolledOut { desired, template, fixed } in templates {
        let Some(rollout) = desired.locate(ROLLOUT) else { continue };
        let own: Vec<&Module<'_>> = modules.iter().filter(|module| module.template == *template).collect();
        let meant: Vec<&Module<'_>> =
            own.iter().copied().filter(|module| rollout::takes(rollout, &module.name)).collect();
        let unmet = rollout::names(rollout).filter(|name| own.iter().all(|module| module.name != *name));
        observation.remarks.extend(unmet.map(|name| unmet_name(name, desired)));
        let ids: Vec<i64> = meant.iter().map(|module| module.id).collect();
        let Some(states) = states(business, *template, &ids, observation, facts) else {
            is_pending = true;
            continue;
        };
        let values = fixed_reach::of_modules(business, &ids.iter().copied().collect(), fixed, observation, facts);
        is_pending |= matches!(values, Err(LookupError::Pending));
        // A value that could not be read may be any other.
        let mut values = values.unwrap_or_default();
        let hosts_of = |id: i64| match &hosts {
            Some(Ok(hosts)) => json!(hosts.get(&id).map_or(0, ImpactSet::count)).into(),
            _ => Json::NULL,
        };
        if desired.policies.object == Policy::Enforce {
            let key = key(business, *template);
            facts.derive(&key, || RolledOutModules(ids.iter().copied().collect()));
        }
        let mut names = BTreeSet::new();
        for module in meant {
            let is_new = names.insert(module.name.as_str());
            // Below custom layers several sets may have one name.
            let address = if is_new { module.name.clone() } else { format!("{} #{}", module.name, module.id) };
            let handle = HANDLE.object([business.into(), module.id.into(), (*template).into()]);
            let observed = states.of(module.id).map_or_else(ObservedState::Unknown, |mut fields| {
                fields.push((HOSTS, hosts_of(module.id)));
                let mut live = live(handle, module.id, fields);
                live.fields.extend(values.remove(&module.id).unwrap_or_default());
                ObservedState::Found(live)
            });
            parts.push((part(desired, &address, &module.name), observed));
        }
    }
    observation.parts.extend(parts);
    (!is_pending).then_some(())
}

/// The modules that a roll-out takes care of.
struct RolledOutModules(BTreeSet<i64>);

fn key(business: i64, template: i64) -> String {
    format!("{business}/{template}")
}

/// Returns the modules of a template that a roll-out takes care of.
pub(in crate::platform::bk_cmdb::kinds) fn rolled_out(business: i64, template: i64, facts: &Facts) -> BTreeSet<i64> {
    let modules = facts.derived::<RolledOutModules>(&key(business, template));
    modules.map(|modules| modules.0.clone()).unwrap_or_default()
}

fn unmet_name(name: &str, desired: &Desired) -> Diagnostic {
    let origin = desired.locator.get(ROLLOUT).map_or(&desired.origin, |rollout| &rollout.origin);
    let message = format!("no module of the service template of {} is named `{name}`", desired.id);
    Diagnostic::warning("P162", message, origin).hint("one that this run makes has no need of a sync")
}

/// A module of a template.
struct Module<'f> {
    id: i64,
    template: i64,
    /// Its set and its own name, such as `prod-1/nginx`.
    name: String,
    /// The two for the order.
    order: (&'f str, &'f str, i64),
}

/// Reads the modules of templates, by the names of their sets and their own.
fn modules<'f>(
    business: i64,
    templates: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<Module<'f>>, LookupError> {
    let rows = impact::module_rows(business, templates, observation, facts)?;
    let ids: BTreeSet<i64> = rows.iter().filter_map(|row| row["bk_set_id"].as_i64()).collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    let fields = ["bk_set_id", sets::NAME].map(str::to_owned).into();
    let mut names: BTreeMap<i64, &str> = BTreeMap::new();
    let read: Vec<_> = ids
        .chunks(SETS)
        .map(|ids| sets::read(business, &json!({"bk_set_id": {"$in": ids}}), &fields, observation, facts))
        .collect();
    for rows in read {
        names.extend(rows?.into_iter().filter_map(|row| Some((row["bk_set_id"].as_i64()?, row[sets::NAME].as_str()?))));
    }
    let module = |row: &&'f Json| {
        let (id, set) = (row["bk_module_id"].as_i64()?, row["bk_set_id"].as_i64()?);
        let (set, name) = (names.get(&set).copied().unwrap_or_default(), row["bk_module_name"].as_str()?);
        let template = row["service_template_id"].as_i64()?;
        Some(Module { id, template, name: format!("{set}/{name}"), order: (set, name, id) })
    };
    let mut modules: Vec<_> = rows.iter().filter_map(module).collect();
    modules.sort_by_key(|module| module.order);
    Ok(modules)
}

/// Returns the part of a document that stands for one of its modules.
fn part(document: &Desired, address: &str, name: &str) -> Desired {
    let origin = document.locator.get(ROLLOUT).map_or(&document.origin, |rollout| &rollout.origin);
    let mut locator = document.locator.clone();
    locator.insert(MODULE.into(), Located::new(Json::from(name), origin.clone()));
    Desired {
        id: document.id.with_part(address),
        ensure: Ensure::Existing,
        locator,
        references: Vec::new(),
        fields: Fields::new(),
        origin: origin.clone(),
        policies: Policies { object: document.policies.object, ..Policies::default() },
        ..document.clone()
    }
}

fn live(handle: Json, module: i64, fields: Vec<(&str, Json)>) -> Live {
    let fields = fields.into_iter().map(|(name, value)| (FieldPath::field(name), value));
    Live::new(handle, format!("module #{module}"), fields.collect())
}

/// What is known of the modules of a template.
#[derive(Default)]
struct States<'f> {
    /// The states of the newest tasks.
    tasks: BTreeMap<i64, &'f str>,
    /// Which differ; `None` if no comparison was asked for.
    differs: Option<BTreeMap<i64, bool>>,
    /// Why no module can be synced.
    unavailable: Option<String>,
    /// Why one of the reads failed.
    failed: Option<String>,
}

impl States<'_> {
    /// Returns the fields of a module, or why they are not known.
    fn of(&self, module: i64) -> Result<Vec<(&'static str, Json)>, String> {
        let differs = self.differs.as_ref().map(|differs| differs.get(&module).copied());
        let in_sync = match (differs, &self.failed) {
            // A module that is in sync needs nothing, whatever its task says.
            (Some(Some(false)), _) => true.into(),
            (_, Some(why)) => return Err(why.clone()),
            (Some(Some(true)), None) => false.into(),
            _ if self.unavailable.is_some() => Json::NULL,
            (Some(None), None) => return Err("the server's comparison with its template left it out twice".to_owned()),
            (None, None) => false.into(),
        };
        let status = self.tasks.get(&module).map_or(Json::NULL, |status| Json::from(*status));
        let unavailable = self.unavailable.as_deref().map_or(Json::NULL, Json::from);
        Ok(vec![(IN_SYNC, in_sync), (STATUS, status), (UNAVAILABLE, unavailable)])
    }
}

/// Reads the states of modules; `None` while they are still asked for.
fn states<'f>(
    business: i64,
    template: i64,
    modules: &[i64],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<States<'f>> {
    let mut states = States::default();
    if modules.is_empty() {
        return Some(states);
    }
    let mut is_pending = false;
    match tasks(business, template, modules, observation, facts) {
        Ok(tasks) => states.tasks = tasks,
        Err(Unread::Pending) => is_pending = true,
        Err(Unread::Missing(why)) => states.unavailable = Some(why),
        Err(Unread::Failed(why)) => states.failed = Some(why),
    }
    match differences(business, modules, observation, facts) {
        Ok(differs) => states.differs = Some(differs),
        Err(Unread::Pending) => is_pending = true,
        Err(Unread::Missing(why)) => states.unavailable = Some(why),
        Err(Unread::Failed(why)) => states.failed = Some(why),
    }
    (!is_pending).then_some(states)
}

/// Why something was not read.
enum Unread {
    Pending,
    /// The access or the version has no such operation.
    Missing(String),
    Failed(String),
}

fn read<'f>(request: Request, observation: &mut Observation, facts: &'f Facts) -> Result<&'f Json, Unread> {
    let operation = request.operation;
    match observation.read(request, facts) {
        Read::Pending => Err(Unread::Pending),
        Read::Failed(refusal) if refusal.is_absent() => {
            Err(Unread::Missing(format!("this access offers no `{operation}`")))
        }
        Read::Failed(refusal) => Err(Unread::Failed(refusal.to_string())),
        Read::Value(data) => Ok(data),
    }
}

/// Reads the states of the newest tasks of modules. One without a task may have none.
fn tasks<'f>(
    business: i64,
    template: i64,
    modules: &[i64],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<BTreeMap<i64, &'f str>, Unread> {
    let arguments = json!({"bk_biz_id": business, "service_template_id": template, "bk_module_ids": modules});
    let request = Request { operation: "list_service_template_sync_status", arguments, repeatable: true };
    let rows = read(request, observation, facts)?;
    Ok(rows.items().iter().filter_map(|row| Some((row["bk_inst_id"].as_i64()?, row["status"].as_str()?))).collect())
}

/// Compares modules with their templates. The answer may lose one of them: what is missing is asked for once more, and
/// then it is unknown.
fn differences(
    business: i64,
    modules: &[i64],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<BTreeMap<i64, bool>, Unread> {
    let mut found = BTreeMap::new();
    let mut error = None;
    for chunk in modules.chunks(COMPARED) {
        // `is_partial: false` is what a left-out key means: the second question is another one, with the same answer.
        let first = json!({"bk_biz_id": business, "bk_module_ids": chunk, "is_partial": false});
        match compared(first, observation, facts) {
            Ok(rows) => found.extend(rows),
            Err(other) => {
                error = worse(error, other);
                continue;
            }
        }
        let missing: Vec<i64> = chunk.iter().copied().filter(|id| !found.contains_key(id)).collect();
        if !missing.is_empty() {
            match compared(json!({"bk_biz_id": business, "bk_module_ids": missing}), observation, facts) {
                Ok(rows) => found.extend(rows),
                Err(other) => error = worse(error, other),
            }
        }
    }
    error.map_or(Ok(found), Err)
}

fn worse(error: Option<Unread>, other: Unread) -> Option<Unread> {
    match (error, other) {
        (None | Some(Unread::Pending), other) => Some(other),
        (error, _) => error,
    }
}

fn compared(arguments: Value, observation: &mut Observation, facts: &Facts) -> Result<Vec<(i64, bool)>, Unread> {
    let request = Request { operation: "list_service_template_difference", arguments, repeatable: true };
    let rows = read(request, observation, facts)?["modules"].items();
    Ok(rows.iter().filter_map(|row| Some((row["bk_module_id"].as_i64()?, row["need_sync"].as_bool()?))).collect())
}

/// A part with the id of its module and its handle.
type KnownPart<'d> = (&'d Desired, i64, Json);

/// Reads parts again by their handles. While a task of a template is under way, nothing else is asked for: a comparison
/// would say nothing yet.
pub(super) fn again(objects: &[(&Desired, &Value)], observation: &mut Observation, facts: &Facts) {
    let mut by_template: BTreeMap<(i64, i64), Vec<KnownPart<'_>>> = BTreeMap::new();
    for (desired, handle) in objects {
        let id = |key: &str| handle[key].as_i64().unwrap_or_default();
        let ids = (id("business"), id("serviceTemplate"));
        by_template.entry(ids).or_default().push((desired, id("module"), (*handle).into()));
    }
    for ((business, template), parts) in by_template {
        let modules: Vec<i64> = parts.iter().map(|(_, module, _)| *module).collect();
        let Some((known, states)) = again_of(business, template, &modules, observation, facts) else { continue };
        for (desired, module, handle) in parts {
            let observed = match &known {
                Err(why) => ObservedState::Unknown(why.clone()),
                Ok(Some(known)) if !known.contains(&module) => ObservedState::absent(),
                Ok(_) => states
                    .of(module)
                    .map_or_else(ObservedState::Unknown, |fields| ObservedState::Found(live(handle, module, fields))),
            };
            observation.know(&desired.id, observed);
        }
    }
}

/// The modules that a template still has, as far as they were read, and the states of some.
type Again<'f> = (Result<Option<BTreeSet<i64>>, String>, States<'f>);

fn again_of<'f>(
    business: i64,
    template: i64,
    modules: &[i64],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<Again<'f>> {
    match tasks(business, template, modules, observation, facts) {
        Err(Unread::Pending) => return None,
        Ok(tasks) if tasks.values().any(|status| rollout::is_working(status)) => {
            return Some((Ok(None), States { tasks, ..States::default() }));
        }
        _ => {}
    }
    let known = impact::modules(business, &BTreeSet::from([template]), observation, facts);
    let states = states(business, template, modules, observation, facts);
    let known = match known {
        Err(LookupError::Pending) => return None,
        Err(error) => Err(why(&error)),
        Ok(known) => Ok(Some(known.into_values().flatten().map(|(id, _)| id).collect())),
    };
    Some((known, states?))
}

fn why(error: &LookupError) -> String {
    match error {
        LookupError::Failed(why) => why.clone(),
        LookupError::Pending | LookupError::NoModel => "they could not be read".to_owned(),
    }
}

/// Returns what differs: that a module does not follow its template, or that nobody can tell.
pub(super) fn compare(desired: &Desired, live: &Live) -> Vec<FieldChange> {
    let in_sync = live.field(IN_SYNC);
    let differs = in_sync.as_bool() != Some(true);
    let change = || FieldChange {
        path: FieldPath::field(IN_SYNC),
        from: Some(in_sync.to_value()),
        to: Some(json!(true)),
        display: in_sync.is_null().then(|| Display {
            kind: DisplayKind::Word,
            from: Some("unknown".to_owned()),
            to: None,
        }),
        because: desired.origin.clone(),
    };
    differs.then(change).into_iter().collect()
}

/// Says which modules are left to people, and why.
pub(super) fn notes(planned: &[Planned<'_>]) -> Notes {
    let note = |planned: &Planned<'_>| {
        let live = planned.live?;
        let why = live.field(UNAVAILABLE).as_str()?;
        let module = planned.desired.locate(MODULE).and_then(Json::as_str).unwrap_or_default();
        let unknown = if live.field(IN_SYNC).is_null() { ", unless it is in sync" } else { "" };
        let text = format!("sync module {module} (#{}){unknown}: {why}", live.handle["module"]);
        Some((planned.desired.id.clone(), text))
    };
    Notes { notes: planned.iter().filter_map(note).collect(), ..Notes::default() }
}

/// Returns the call of a wave for some of its modules.
pub(super) fn narrowed(request: &Request, some: &[Planned<'_>]) -> Request {
    let modules: BTreeSet<i64> = some.iter().filter_map(|part| part.change.handle["module"].as_i64()).collect();
    let mut request = request.clone();
    if let Some(ids) = request.arguments["bk_module_ids"].as_array_mut() {
        ids.retain(|id| id.as_i64().is_some_and(|id| modules.contains(&id)));
    }
    request
}

/// Returns the calls that sync modules: one for each template, as the parts of one level are one wave. What is left to
/// people has none.
pub(super) fn calls(parts: &[&Planned<'_>]) -> Vec<Call> {
    let mut by_template: BTreeMap<(&str, i64, i64), Vec<&Planned<'_>>> = BTreeMap::new();
    for part in parts.iter().copied().filter(|part| part.live.is_some_and(|live| live.field(UNAVAILABLE).is_null())) {
        let id = |key: &str| part.change.handle[key].as_i64().unwrap_or_default();
        let key = (&*part.desired.id.key, id("business"), id("serviceTemplate"));
        by_template.entry(key).or_default().push(part);
    }
    let call = |((_, business, template), parts): ((&str, i64, i64), Vec<&Planned<'_>>)| {
        let modules: Vec<&Value> = parts.iter().map(|part| &part.change.handle["module"]).collect();
        let arguments = json!({"bk_biz_id": business, "service_template_id": template, "bk_module_ids": modules});
        Some(Call {
            // A module that is in sync stays as it is, and one whose task is not over refuses a second (code 1117008).
            request: Request { operation: SYNC, arguments, repeatable: true },
            target: parts.first()?.desired.target.clone(),
            serves: parts.iter().map(|part| part.desired.id.clone()).collect(),
        })
    };
    by_template.into_iter().filter_map(call).collect()
}
