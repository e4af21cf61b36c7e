//! Which app each document means, who has the name that it wants, and what the list does not show.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    claim, live,
    read::{self, Apps, Missing, Reading},
    wanted_name,
};
use crate::{
    diagnostic::Diagnostic,
    diff::identity::{self, Assigned},
    model::{CreateContext, Desired, Ensure, Json, KeyConflict, Live, ObservedState},
    provider::{Facts, Observation},
};

/// Says what is known of the apps of one instance; nothing while answers are missing.
pub(super) fn observe_instance(instance: &str, group: &[&Desired], observation: &mut Observation, facts: &Facts) {
    // Both before either is looked at: they are asked together.
    let status = read::status(instance, observation, facts);
    let apps = read::apps(instance, observation, facts);
    let all = |observation: &mut Observation, observed: &dyn Fn(&Desired) -> ObservedState| {
        group.iter().for_each(|desired| observation.know(&desired.id, observed(desired)));
    };
    match status {
        Ok(None) => return,
        Ok(Some(Some("" | "RUNNING"))) => {}
        Ok(Some(status)) => {
            let message = match status {
                Some(status) => format!("instance {instance} is {status}, not RUNNING: nothing is changed in it"),
                None => format!("the project has no instance {instance}, or none that this identity sees"),
            };
            return all(observation, &|document| {
                let origin = document.locator.get("instance").map_or(&document.origin, |instance| &instance.origin);
                ObservedState::Impossible(Box::new(Diagnostic::error("P202", message.clone(), origin)))
            });
        }
        Err(refusal) => return all(observation, &|_| ObservedState::Unknown(refusal.to_string())),
    }
    match apps {
        Ok(None) => {}
        Ok(Some(apps)) => assign(instance, group, &Listed::of(apps), observation, facts),
        Err(refusal) => all(observation, &|_| ObservedState::Unknown(refusal.to_string())),
    }
}

/// The apps that an instance lists, by id and by name.
struct Listed<'f> {
    apps: Apps<'f>,
    by_name: BTreeMap<&'f str, Vec<&'f str>>,
}

impl<'f> Listed<'f> {
    fn of(apps: Apps<'f>) -> Self {
        let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, app) in &apps {
            let app: &'f Json = app;
            if let Some(name) = app["name"].as_str() {
                by_name.entry(name).or_default().push(*id);
            }
        }
        Self { apps, by_name }
    }

    /// The apps of a name. The list's own filter is fuzzy, and its names are compared byte for byte.
    fn named(&self, name: &str) -> Vec<&'f str> {
        self.by_name.get(name).cloned().unwrap_or_default()
    }
}

fn assign(instance: &str, group: &[&Desired], listed: &Listed<'_>, observation: &mut Observation, facts: &Facts) {
    let apps = &listed.apps;
    let candidates = group.iter().map(|desired| {
        if let Some(id) = desired.locate("id").and_then(Json::as_str) {
            return apps.get_key_value(id).map(|(id, _)| *id).into_iter().collect();
        }
        let old = desired.locate("app").and_then(Json::as_str).map(|name| listed.named(name)).unwrap_or_default();
        let new = desired.field("name").and_then(Json::as_str).map(|name| listed.named(name)).unwrap_or_default();
        old.into_iter().chain(new).collect()
    });
    let assigned = identity::assign(&candidates.collect::<Vec<Vec<&str>>>());
    for (desired, assigned) in group.iter().zip(&assigned) {
        let observed = match assigned {
            Assigned::One(id) => {
                let live = live(instance, apps[id]);
                key_conflicts(instance, desired, Some(&live), listed, observation, facts).map(|key_conflicts| {
                    key_conflicts.map(|key_conflicts| {
                        ObservedState::Found(live.related(|own| own.key_conflicts = key_conflicts))
                    })
                })
            }
            Assigned::Nothing => absent(instance, desired, listed, observation, facts),
            Assigned::Several(ids) => {
                let message = format!("{} could mean several apps: {}", desired.id, ids.join(", "));
                Ok(Some(ObservedState::Ambiguous(Box::new(
                    Diagnostic::error("P105", message, &desired.origin)
                        .hint("give its id; a swap takes two applies with a third value between them"),
                ))))
            }
            Assigned::Shared(others) => {
                let message = format!("{} means the same app as another document", desired.id);
                let diagnostic = Diagnostic::error("P105", message, &desired.origin);
                Ok(Some(ObservedState::Ambiguous(Box::new(others.iter().fold(diagnostic, |diagnostic, other| {
                    diagnostic.also(&group[*other].origin, format!("{} means it too", group[*other].id))
                })))))
            }
        };
        match observed {
            Ok(None) => {}
            Ok(Some(observed)) => observation.know(&desired.id, observed),
            Err(refusal) => observation.know(&desired.id, ObservedState::Unknown(refusal.to_string())),
        }
    }
}

/// Returns who has the name that an app is to get: an app of the list, or one that this identity does not see, or one
/// whose name counts as the same.
fn key_conflicts(
    instance: &str,
    desired: &Desired,
    live: Option<&Live>,
    listed: &Listed<'_>,
    observation: &mut Observation,
    facts: &Facts,
) -> Reading<Vec<KeyConflict>> {
    let name = wanted_name(desired, live).filter(|_| desired.ensure != Ensure::Absent);
    let Some(name) = name else { return Ok(Some(Vec::new())) };
    let own = live.and_then(|live| live.handle["app"].as_str());
    let rival = |id: &str, name: &str, hidden: &str| KeyConflict {
        claim: claim(Some(instance), name),
        holder: format!("app {id}{hidden}"),
    };
    let holders: Vec<_> =
        listed.named(name).into_iter().filter(|id| Some(*id) != own).map(|id| rival(id, name, "")).collect();
    if !holders.is_empty() || live.is_some_and(|live| live.field("name") == name) {
        return Ok(Some(holders));
    }
    let Some(found) = read::validate(instance, "name", name, observation, facts)? else { return Ok(None) };
    Ok(Some(found.and_then(|app| Some((app["id"].as_str()?, app))).map_or_else(Vec::new, |(id, app)| {
        let taken = app["name"].as_str().unwrap_or(name);
        match listed.apps.contains_key(id) {
            _ if Some(id) == own => Vec::new(),
            true => vec![rival(id, taken, &format!(" (`{taken}`, the same to the server)"))],
            false => vec![rival(id, taken, " (exists but is not visible to this identity)")],
        }
    })))
}

/// Tells an app that is not there from one that the list does not show: one that belongs to somebody else, and one that
/// was made so recently that the list does not have it yet.
fn absent(
    instance: &str,
    desired: &Desired,
    listed: &Listed<'_>,
    observation: &mut Observation,
    facts: &Facts,
) -> Reading<ObservedState> {
    let keys = [("id", desired.locate("id")), ("name", desired.field("name")), ("name", desired.locate("app"))];
    let mut pending = false;
    for (key, value) in keys {
        let Some(value) = value.and_then(Json::as_str) else { continue };
        // An app that is picked by its id is not found by the name that it is to get.
        if key == "name" && desired.locate("id").is_some() {
            continue;
        }
        let Some(found) = read::validate(instance, key, value, observation, facts)? else {
            pending = true;
            continue;
        };
        let Some(app) = found.filter(|app| app[key] == value) else { continue };
        let Some(id) = app["id"].as_str().filter(|id| !listed.apps.contains_key(id)) else { continue };
        match read::show(instance, id, observation, facts)? {
            None => return Ok(None),
            Some(Ok(app)) => {
                let live = live(instance, app);
                return Ok(key_conflicts(instance, desired, Some(&live), listed, observation, facts)?
                    .map(|key_conflicts| ObservedState::Found(live.related(|own| own.key_conflicts = key_conflicts))));
            }
            // It went in between.
            Some(Err(Missing::Gone)) if key == "id" => {}
            Some(Err(_)) => {
                let message = format!("{}: app `{value}` exists but is not visible to this identity", desired.id);
                let origin =
                    desired.locator.get("app").or(desired.locator.get("id")).map_or(&desired.origin, |key| &key.origin);
                let hint = format!("it has the id {id}: its creator can share it (`members`)");
                return Ok(Some(ObservedState::Impossible(Box::new(
                    Diagnostic::error("P203", message, origin).hint(hint),
                ))));
            }
        }
    }
    if pending {
        return Ok(None);
    }
    // Only one that has to be there is told which names there are.
    let names = listed.by_name.keys().filter(|_| desired.ensure == Ensure::Existing);
    Ok(key_conflicts(instance, desired, None, listed, observation, facts)?.map(|key_conflicts| ObservedState::Absent {
        nearest: names.map(|name| (*name).to_owned()).collect(),
        key_conflicts,
        context: CreateContext::new(json!({"instance": instance})),
    }))
}
