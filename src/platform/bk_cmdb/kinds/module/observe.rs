//! Finding modules: sets by name, then the modules of all sets of a business in one read.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::{
    CATEGORY, NAME, TEMPLATE, claim, fixed, live,
    names::{Modules, is_built_in},
    removal, wanted_name, wanted_path,
};
use crate::{
    diagnostic::Diagnostic,
    diff::identity::{self, Assigned},
    model::{CreateContext, Desired, Ensure, Json, KeyConflict, Live, ObservedState, Undeletable, View},
    platform::bk_cmdb::{
        kinds::{
            decode_common::{fail_all, nearest},
            refs::Ref,
            select_instances,
            sets::{self, Sets, set_of, sets},
            templates,
        },
        lookup::{LookupError, modules_by_ids, modules_of_sets, service_categories, service_templates},
    },
    provider::{Facts, Observation},
};

/// Fields that decide whether a module can be written at all.
const GUARDS: &[&str] = &["bk_module_id", "bk_module_name", "bk_set_id", "bk_biz_id", "default", TEMPLATE, CATEGORY];

/// Fields that plans show of a module that is to go.
const SHOWN: &[&str] = &["bk_module_type", "operator", "bk_bak_operator"];

/// Returns the fields to read of the modules of documents.
pub(super) fn fields(group: &[&Desired]) -> BTreeSet<String> {
    let declared = group.iter().flat_map(|desired| desired.fields.keys().map(ToString::to_string));
    let is_going = group.iter().any(|desired| desired.ensure == Ensure::Absent);
    let shown = SHOWN.iter().filter(|_| is_going).map(|name| (*name).to_owned());
    declared.chain(shown).chain(GUARDS.iter().map(|name| (*name).to_owned())).collect()
}

pub(super) fn business(
    business: i64,
    group: &[&Desired],
    declared: &Declared<'_>,
    facts: &Facts,
    observation: &mut Observation,
) {
    let sets = match sets(business, group, observation, facts) {
        Ok(sets) => sets,
        Err(error) => return fail_all(&error, group, observation),
    };
    let fields = self::fields(group);
    let mut business_id = Vec::new();
    for desired in group {
        if let Some(set) = set_of(desired, &sets, &declared.sets, observation, facts) {
            business_id.push((*desired, set));
        }
    }
    let in_sets: BTreeSet<i64> = business_id.iter().filter_map(|(_, set)| set.id()).collect();
    let Some(modules_found) = named_modules(business, group, (&business_id, &in_sets), &fields, observation, facts)
    else {
        return;
    };
    let rows = &modules_found.rows;
    // A set that is yet to be made has no modules.
    let named = |set: &Ref, name: &str| set.id().map(|set| modules_found.named(set, name)).unwrap_or_default();
    let candidates = business_id.iter().map(|(desired, set)| match desired.locate("module").map(Json::view) {
        Some(View::Number(id)) => {
            let id = id.as_i64().filter(|id| rows.get(id).is_some_and(|row| row["bk_set_id"].as_i64() == set.id()));
            id.into_iter().collect()
        }
        Some(View::Text(name)) => {
            let mut found = named(set, name);
            found.extend(wanted_name(desired).map(|name| named(set, name)).unwrap_or_default());
            found
        }
        _ => Vec::new(),
    });
    let assigned = identity::assign(&candidates.collect::<Vec<_>>());
    let documents: Vec<_> = business_id.iter().map(|(desired, _)| *desired).collect();
    let asked = if assigned.contains(&Assigned::Nothing) { &in_sets } else { &BTreeSet::new() };
    let Some(names) = names_by_set(business, asked, &fields, observation, facts) else { return };
    let services = match Services::of(business, &documents, &declared.templates, observation, facts) {
        Ok(services) => services,
        Err(error) => return fail_all(&error, &documents, observation),
    };
    let Ok(hosts) = removal::hosts(business, &removal::going(&documents, &assigned), observation, facts) else {
        return;
    };
    let modules = business_id.iter().zip(&assigned).filter_map(|((desired, _), assigned)| match assigned {
        Assigned::One(id) => Some((*desired, Some(rows[id]))),
        Assigned::Nothing => Some((*desired, None)),
        _ => None,
    });
    fixed::ask(business, modules, &services, observation, facts);
    for ((desired, set), assigned) in business_id.iter().zip(&assigned) {
        let observed = match assigned {
            Assigned::One(id) => {
                let mut found = live(desired, rows[id]);
                let undeletable = || removal::undeletable(rows[id], &hosts).or_else(|| of_set_template(set, &sets));
                let undeletable = (desired.ensure == Ensure::Absent).then(undeletable).flatten();
                let key_conflicts = wanted_name(desired).map(|name| {
                    let holders = named(set, name).into_iter().filter(|holder| holder != id);
                    let claim = claim(&found.handle, name);
                    holders.map(|holder| KeyConflict { claim: claim.clone(), holder: label(holder) }).collect()
                });
                found.relate(|own| {
                    own.undeletable = undeletable.map(Box::new);
                    own.key_conflicts = key_conflicts.unwrap_or_default();
                });
                match self::found(desired, found, &services, facts) {
                    Some(observed) => observed,
                    None => continue,
                }
            }
            Assigned::Nothing => {
                // Only one that has to be there is told which names there are.
                let near = set.id().and_then(|set| names.get(&set)).filter(|_| desired.ensure == Ensure::Existing);
                let nearest = near.into_iter().flatten().map(|name| (*name).to_owned()).collect();
                match origin(desired, business, (set, &sets), &services, facts) {
                    Err(None) => continue,
                    Ok(context) => {
                        let holders =
                            wanted_name(desired).map(|name| (claim(context.handle(), name), named(set, name)));
                        let key_conflicts = holders.into_iter().flat_map(|(claim, holders)| {
                            holders.into_iter().map(move |id| KeyConflict { claim: claim.clone(), holder: label(id) })
                        });
                        ObservedState::Absent { nearest, key_conflicts: key_conflicts.collect(), context }
                    }
                    Err(Some(observed)) => observed,
                }
            }
            open => select_instances::open(desired, open, &documents, label),
        };
        observation.know(&desired.id, observed);
    }
}

/// Reads the modules that documents name: those with ids, and in the sets of the others all of their names. Nothing comes
/// back where these are still asked for or cannot be read.
fn named_modules<'f>(
    business: i64,
    group: &[&Desired],
    (placed, in_sets): (&[(&Desired, Ref)], &BTreeSet<i64>),
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<Modules<'f>> {
    let ids = group.iter().filter_map(|desired| desired.locate("module")?.as_i64()).collect();
    let by_id = modules_by_ids(business, &ids, fields, observation, facts);
    let given = placed.iter().filter_map(|(desired, _)| desired.locate("module")?.as_str());
    let names: BTreeSet<&str> = given.chain(placed.iter().filter_map(|(desired, _)| wanted_name(desired))).collect();
    // The server searches for what is built in by the names that it stores, and shows others.
    let is_plain = names.iter().all(|name| !is_built_in(name));
    let searched = modules_of_sets(business, in_sets, Some(&names).filter(|_| is_plain), fields, observation, facts);
    match (by_id, searched) {
        (Ok(by_id), Ok(searched)) => Some(Modules::of(by_id.into_iter().chain(searched))),
        (by_id, searched) => {
            for error in [by_id.err(), searched.err()].into_iter().flatten() {
                fail_all(&error, group, observation);
            }
            None
        }
    }
}

/// Returns why no module of a set can be made or removed: its set template lists them (code 1101097). `None` if the set
/// has none, or was named by its id and so not read.
fn of_set_template(set: &Ref, sets: &Sets<'_>) -> Option<Undeletable> {
    let row = sets.rows.iter().find(|row| row["bk_set_id"].as_i64().is_some_and(|id| set.id() == Some(id)))?;
    let template = row[sets::SET_TEMPLATE].as_i64().filter(|id| *id > 0)?;
    let reason = format!("its set is made from set template #{template}, which alone says which modules it has");
    Some(Undeletable { reason, hint: "change the set template and sync the set" })
}

/// Returns the names of all modules of sets, for hints: empty if they cannot be read, `None` while they are asked for.
fn names_by_set<'f>(
    business: i64,
    sets: &BTreeSet<i64>,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<HashMap<i64, Vec<&'f str>>> {
    let all = match modules_of_sets(business, sets, None, fields, observation, facts) {
        Ok(all) => all,
        Err(LookupError::Pending) => return None,
        Err(LookupError::Failed(_) | LookupError::NoModel) => Vec::new(),
    };
    let mut names: HashMap<i64, Vec<&str>> = HashMap::new();
    for (set, name) in all.into_iter().filter_map(|row| row["bk_set_id"].as_i64().zip(row[NAME].as_str())) {
        names.entry(set).or_default().push(name);
    }
    Some(names)
}

/// Returns the sight of a module that was found, with the ids of the service template and category that its document
/// names; `None` while these are still looked for.
pub(super) fn found(
    desired: &Desired,
    mut live: Live,
    services: &Services<'_>,
    facts: &Facts,
) -> Option<ObservedState> {
    match resolve(desired, services, facts) {
        Ok(wanted) => {
            // One that is yet to be made is another than the one that the module has.
            live.fields.extend(wanted.into_iter().map(|(key, at)| (wanted_path(key), Json::from(json!(at.id())))));
            Some(ObservedState::Found(live))
        }
        Err(unknown) => unknown,
    }
}

fn label(id: i64) -> String {
    format!("module #{id}")
}

/// The documents of a run that declare what modules of a business rest on.
#[derive(Default)]
pub(super) struct Declared<'d> {
    pub(super) sets: Vec<&'d Desired>,
    pub(super) templates: Vec<&'d Desired>,
}

/// The service templates and categories of a business, as far as documents name them.
#[derive(Default)]
pub(super) struct Services<'f> {
    templates: Vec<&'f Json>,
    categories: Vec<&'f Json>,
    declared: Vec<&'f Desired>,
}

impl<'f> Services<'f> {
    pub(super) fn of(
        business: i64,
        documents: &[&Desired],
        declared: &[&'f Desired],
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Result<Self, LookupError> {
        let named = |key: &str| documents.iter().any(|desired| desired.locate(key).is_some());
        let mut services = Self { declared: declared.to_vec(), ..Self::default() };
        if named("serviceTemplate") {
            services.templates = service_templates(business, observation, facts)?;
        }
        if named("serviceCategory") {
            services.categories = service_categories(business, observation, facts)?;
        }
        Ok(services)
    }
}

/// Returns the service template and the category that a document names.
pub(super) fn resolve(
    desired: &Desired,
    services: &Services<'_>,
    facts: &Facts,
) -> Result<Vec<(&'static str, Ref)>, templates::Unknown> {
    let template = if desired.locate("serviceTemplate").is_some_and(Json::is_string) {
        templates::template_of(desired, &services.templates, &services.declared, facts)?
    } else {
        row_of(desired, ("serviceTemplate", "service template"), &services.templates)?.map(Ref::Id)
    };
    let category = row_of(desired, ("serviceCategory", "service category"), &services.categories)?.map(Ref::Id);
    Ok([(TEMPLATE, template), (CATEGORY, category)].into_iter().filter_map(|(key, at)| Some((key, at?))).collect())
}

/// Returns the id of the row that a document names.
fn row_of(desired: &Desired, (key, what): (&str, &str), rows: &[&Json]) -> Result<Option<i64>, templates::Unknown> {
    let Some(given) = desired.locator.get(key) else { return Ok(None) };
    let fits = |row: &&&Json| match given.value.as_str() {
        Some(name) => row["name"] == name,
        None => row["id"] == given.value,
    };
    let mut fitting = rows.iter().filter(fits);
    let said = |message: String| Diagnostic::error("P111", message, &given.origin);
    let diagnostic = match (fitting.next().and_then(|row| row["id"].as_i64()), fitting.next()) {
        (Some(id), None) => return Ok(Some(id)),
        (Some(_), Some(_)) => said(format!("several fit the {what} {}; give the id", given.value)),
        (None, _) => {
            let names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str().map(str::to_owned)).collect();
            let wanted = given.value.as_str().unwrap_or_default();
            nearest(said(format!("there is no {what} {}", given.value)), wanted, &names)
        }
    };
    Err(Some(ObservedState::Impossible(Box::new(diagnostic))))
}

/// Returns what the creation of a module has to know. One from a service template gets that template's name, whatever
/// is sent (contract section 4.2).
fn origin(
    desired: &Desired,
    business: i64,
    (set, sets): (&Ref, &Sets<'_>),
    services: &Services<'_>,
    facts: &Facts,
) -> Result<CreateContext, templates::Unknown> {
    let impossible = |diagnostic: Diagnostic| Some(ObservedState::Impossible(Box::new(diagnostic)));
    if let (Some(Undeletable { reason, hint }), Ensure::Present) = (of_set_template(set, sets), desired.ensure) {
        let message = format!("{} cannot be created: {reason}", desired.id);
        return Err(impossible(Diagnostic::error("P125", message, &desired.origin).hint(hint)));
    }
    let mut context = CreateContext::new(json!({"business": business}));
    set.put("set", &mut context);
    context.depends_on.extend(set.id().map(|id| sets::label(&id.into())));
    let resolved = resolve(desired, services, facts)?;
    for (key, at) in &resolved {
        at.put(key, &mut context);
    }
    let template = resolved.iter().find(|(key, _)| *key == TEMPLATE).map(|(_, at)| at);
    context.depends_on.extend(template.and_then(Ref::id).map(|id| templates::label(&id.into())));
    let named = template.and_then(|template| template_name(template, services));
    let given = desired.locator.get("module");
    let name = wanted_name(desired).or_else(|| given.and_then(|given| given.value.as_str()));
    if let (Some(named), Some(name), Ensure::Present) = (named, name, desired.ensure)
        && named != name
    {
        let message = format!("a module of the service template \"{named}\" is named after it, not `{name}`");
        let origin = desired.fields.get(NAME).or(given).map_or(&desired.origin, |given| &given.origin);
        let hint = format!("write \"{named}\", or leave out `serviceTemplate`");
        return Err(impossible(Diagnostic::error("P118", message, origin).hint(hint)));
    }
    Ok(context)
}

/// Returns the name that a service template has once the run is over.
fn template_name<'s>(template: &Ref, services: &'s Services<'_>) -> Option<&'s str> {
    match template {
        Ref::Id(id) => services.templates.iter().find(|row| row["id"] == json!(id))?["name"].as_str(),
        Ref::Made(id) => {
            let document = services.declared.iter().find(|document| document.id == *id)?;
            templates::last_name(document)
        }
    }
}
