//! Who changed apps: they have no records, only fields that name who changed anything of one last (contract section
//! 2.2). Nothing tells who removed an app, nor who changed its members.

use std::collections::HashMap;

use super::{
    member,
    read::{self, Apps},
};
use crate::{
    model::{
        Action, Desired, Json, Live,
        author::{Changed, Deed, Source, moment},
    },
    provider::{Authors, Facts, Observation, Planned, Step},
};

/// Says who changed what differs, or asks for it.
pub(super) fn changed(planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    let mut lists: HashMap<&str, Apps<'_>> = HashMap::new();
    for item in planned.iter().filter(|planned| !member::is_members(planned.desired)) {
        let Some(live) = item.live else { continue };
        let text = |key: &str| live.handle[key].as_str().unwrap_or_default();
        // The list was read to find the app; an app that it does not show was shown by itself.
        let instance = text("instance");
        let apps = lists
            .entry(instance)
            .or_insert_with(|| read::apps(instance, &mut observation, facts).ok().flatten().unwrap_or_default());
        let own = apps.values().find(|app| app["owner"] == true).map(|app| &app["created_user"]);
        let row = match apps.get(text("app")) {
            Some(row) => Some(*row),
            None => match read::show(text("instance"), text("app"), &mut observation, facts) {
                Ok(Some(Ok(row))) => Some(row),
                _ => None,
            },
        };
        let told = row.map_or_else(Changed::unknown, |row| of_row(row, item.change.action, own, facts));
        let mut paths: Vec<_> = item.change.fields.iter().map(|field| Some(field.path.clone())).collect();
        if item.change.action == Action::Delete {
            paths.push(None);
        }
        authors.known.extend(paths.into_iter().map(|path| (item.desired.id.clone(), path, told.clone())));
    }
    Step::new(observation.ask, authors)
}

/// Says who changed apps last, or asks for it.
pub(super) fn touched(objects: &[(&Desired, &Live)], facts: &Facts) -> Step<Authors> {
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    for (desired, live) in objects.iter().filter(|(desired, _)| !member::is_members(desired)) {
        let text = |key: &str| live.handle[key].as_str().unwrap_or_default();
        let Ok(Some(apps)) = read::apps(text("instance"), &mut observation, facts) else { continue };
        let own = apps.values().find(|app| app["owner"] == true).map(|app| &app["created_user"]);
        if let Some(row) = apps.get(text("app")) {
            authors.known.push((desired.id.clone(), None, of_row(row, Action::Update, own, facts)));
        }
    }
    Step::new(observation.ask, authors)
}

/// Returns the last change by an app's own fields. `own` is the maker of an app that belongs to the caller, if there is
/// one: the caller.
fn of_row(row: &Json, action: Action, own: Option<&Json>, facts: &Facts) -> Changed {
    let text = |key: &str| row[key].as_str().filter(|text| !text.is_empty());
    let (made, changed) = (text("create_time"), text("update_time"));
    let is_untouched = made.is_some() && made == changed;
    let (deed, user, at) = if is_untouched || action == Action::Delete {
        (Deed::Made, &row["created_user"], made)
    } else {
        (Deed::Changed, &row["last_updated_user"], changed)
    };
    let Some(at) = at else { return Changed::unknown() };
    let name = |user: &Json| {
        ["user_name", "user_id"]
            .iter()
            .find_map(|key| user[*key].as_str().filter(|name| !name.is_empty()))
            .map(str::to_owned)
    };
    let by = name(user);
    Changed {
        deed,
        at: Some(moment(at, facts.settings.get("timeZone").map(String::as_str))),
        was: None,
        was_display: None,
        source: if by.is_some() { Source::Object } else { Source::Time },
        ours: is_own(user, own, facts),
        by,
    }
}

/// Returns true if a user is the one that the target's requests are made as. A key and a ready token do not tell who
/// that is; a login says it, and so does an app that belongs to the caller.
fn is_own(user: &Json, own: Option<&Json>, facts: &Facts) -> Option<bool> {
    let is = |key: &str, setting: &str| {
        let (is, wanted) = (user[key].as_str().filter(|text| !text.is_empty())?, facts.settings.get(setting)?);
        Some(is == wanted)
    };
    let same = |key: &str| {
        let filled = |user: &Json| user[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Some(filled(user)? == filled(own?)?)
    };
    is("user_id", "userId")
        .or_else(|| is("user_name", "user"))
        .or_else(|| same("user_id"))
        .or_else(|| same("user_name"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_we_are_is_told_by_the_login_or_by_an_app_of_ours() {
        let check = |settings: &[(&str, &str)], own: Option<Json>, expected: Option<bool>| {
            let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let facts = Facts::new(crate::provider::Freshness::Replica, settings);
            let user = json!({"user_id": "u1", "user_name": "ops"}).into();
            assert_eq!(is_own(&user, own.as_ref(), &facts), expected);
        };
        check(&[], None, None);
        check(&[("user", "ops")], None, Some(true));
        check(&[("user", "other")], None, Some(false));
        check(&[("userId", "u1"), ("user", "other")], None, Some(true));
        check(&[], Some(json!({"user_id": "u1"}).into()), Some(true));
        check(&[], Some(json!({"user_name": "zoe"}).into()), Some(false));
        check(&[], Some(Json::NULL), None);
    }
}
