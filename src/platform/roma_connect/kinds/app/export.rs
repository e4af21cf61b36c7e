//! Apps of an instance as documents. With whom they are shared is a read for each.

use std::collections::BTreeMap;

use super::{App, FIELDS, instance_of, live, member, read};
use crate::{
    diagnostic::Diagnostic,
    model::{Live, ObservedState},
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation, tree_of},
    yaml::{
        self,
        write::{Entry, Tree},
    },
};

/// Apps of a page whose members are read.
const PAGE: usize = 100;

pub(super) fn export(
    export: &ExportScope<'_>,
    from: Cursor,
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
    let apps = match read::apps(instance, observation, facts) {
        Err(refusal) => return Err(Some(ObservedState::Unknown(refusal.to_string()))),
        Ok(None) => return Err(None),
        Ok(Some(apps)) => apps,
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    apps.values().filter_map(|app| app["name"].as_str()).for_each(|name| *counts.entry(name).or_default() += 1);
    let mut page = ExportPage::default();
    let group = [instance.to_owned(), "apps".to_owned()];
    let with_members = export.has_part(member::PART);
    let size = if with_members { PAGE } else { usize::MAX };
    let first = usize::try_from(from.after).unwrap_or_default();
    let mut is_pending = false;
    for (id, app) in apps.iter().skip(first).take(size) {
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
            let mut object = object(export, (instance, id), (name, counts.get(name) == Some(&1)), &live, facts);
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
    page.next = (apps.len() > first.saturating_add(size))
        .then(|| Cursor { after: i64::try_from(first + size).unwrap_or(i64::MAX), ..from });
    if is_pending { Err(None) } else { Ok(page) }
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
