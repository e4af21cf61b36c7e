//! Apps of an instance as documents. With whom they are shared is a read for each.

use std::sync::Arc;

use super::{App, FIELDS, instance_of, live, member, read};
use crate::{
    diagnostic::Diagnostic,
    model::{Json, Live, ObservedState},
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, ListedNames, Observation, tree_of},
    yaml::{
        self,
        write::{Entry, Tree},
    },
};

/// Apps of a page.
const PAGE: usize = 100;

pub(super) fn export(
    export: &ExportScope<'_>,
    from: &Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Option<ObservedState>> {
    let wrong = |code, message: String| Diagnostic::error(code, message, &export.scope.origin);
    let impossible = |problem: Diagnostic| Some(ObservedState::Impossible(Box::new(problem)));
    let asked = export.fields.into_iter().flatten().chain(export.conditions.iter().map(|(name, _)| name));
    let mut unknown = asked.into_iter().filter(|name| !FIELDS.contains(&name.as_str()));
    if let Some(name) = unknown.next() {
        let problem = wrong("P103", format!("an app has no field `{name}`"));
        let hint = yaml::suggestion(name, FIELDS.iter().copied());
        return Err(impossible(problem.hint(hint.unwrap_or_else(|| format!("there are: {}", FIELDS.join(", "))))));
    }
    let Some(instance) = instance_of(export.scope, facts) else {
        let problem = wrong("P201", "neither the command nor its target names an instance".to_owned());
        return Err(impossible(problem.hint("give --app-instance, or `instanceId` of the target")));
    };
    let Apps { apps, names } = &*listed(instance, observation, facts)?;
    let mut page = ExportPage::default();
    let group = [instance.to_owned(), "apps".to_owned()];
    let with_members = export.has_part(member::PART);
    let mut is_pending = false;
    for app in apps.iter().skip(from.listed).take(PAGE) {
        let id = app["id"].as_str().unwrap_or_default();
        let live = live(instance, app);
        if export.skips(&App, &live, &group, &mut page.declared) {
            continue;
        }
        let fits = |(field, value): &(String, String)| match live.field(field) {
            stored if stored.as_str().is_some() => stored.as_str() == Some(value),
            stored => stored.to_string() == *value,
        };
        if export.conditions.iter().all(fits) {
            let name = app["name"].as_str().unwrap_or_default();
            let mut object = object(export, (instance, id), (name, names.is_unique(name)), &live, facts);
            if with_members {
                page.read.push(member::request(&live.handle));
                match member::read(&live.handle, observation, facts) {
                    None => is_pending = true,
                    Some(ObservedState::Found(members)) => object.declare(member::PART, member::tree(&members)),
                    Some(unread) => return Err(Some(unread)),
                }
            }
            page.objects.push(object);
        }
    }
    page.next = (apps.len() > from.listed + PAGE).then(|| Cursor { listed: from.listed + PAGE, ..from.clone() });
    if is_pending { Err(None) } else { Ok(page) }
}

/// The apps of an instance by ascending ids, which the server does not list them by.
struct Apps {
    apps: Vec<Json>,
    names: ListedNames,
}

/// Returns the apps of an instance, which are listed once for all pages.
fn listed(instance: &str, observation: &mut Observation, facts: &Facts) -> Result<Arc<Apps>, Option<ObservedState>> {
    let key = format!("apps of {instance}");
    if let Some(known) = facts.derived(&key) {
        return Ok(known);
    }
    match read::apps(instance, observation, facts) {
        Err(refusal) => Err(Some(ObservedState::Unknown(refusal.to_string()))),
        Ok(None) => Err(None),
        Ok(Some(found)) => {
            let mut names = ListedNames::default();
            found.values().filter_map(|app| app["name"].as_str()).for_each(|name| names.add(name));
            Ok(facts.derive(&key, || Apps { apps: found.into_values().cloned().collect(), names }))
        }
    }
}

fn object(
    export: &ExportScope<'_>,
    (instance, id): (&str, &str),
    (name, is_unique): (&str, bool),
    live: &Live,
    facts: &Facts,
) -> ExportedObject {
    let head = |key: &str, value: &str| {
        let given = export.scope.locate("instance").map(|_| Entry::new("instance", Tree::text(instance)));
        std::iter::once(Entry::new(key, Tree::text(value))).chain(given).collect::<Vec<_>>()
    };
    let is_asked = |field: &&&str| match export.fields {
        Some(asked) => asked.iter().any(|asked| asked == **field),
        None => **field != "name" || !is_unique,
    };
    let fields = FIELDS.iter().filter(is_asked);
    let fields = fields.filter(|field| export.fields.is_some() || *live.field(field) != "");
    let fields = fields.map(|field| Entry::new(*field, tree_of(&live.field(field).to_value()))).collect();
    let heads = is_unique.then(|| head("app", name)).into_iter().chain([head("id", id)]).collect();
    let (spec, left) = Draft { heads, key: "fields", fields, live }.spec(&App, facts);
    ExportedObject {
        title: name.to_owned(),
        handles: vec![id.to_owned()],
        instance: None,
        group: vec![instance.to_owned(), "apps".to_owned()],
        note: live.label.to_string(),
        spec,
        left,
    }
}
