//! The list of applications: filters, order and pages (contract, section 2.1).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    derive,
    option::Options,
    reply::{Failure, Success},
    service::Call,
    store::{App, Role, Store, User},
    view,
};

/// Answers `GET …/apps`.
pub(super) fn list(store: &Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let clamp = options.is("page-bounds", "clamped");
    let offset = call.query.number("offset", 0, (0, 10_000), clamp)?;
    let limit = call.query.number("limit", 10, (1, 500), clamp)?;
    let filter = Filter::read(store, options, call)?;
    let now = options.now();
    let mut apps: Vec<&App> =
        store.apps.iter().filter(|app| filter.lets(app) && is_listed(app, options, now)).collect();
    // The sort is stable: what was created in the same moment stays in the order of its creation.
    apps.sort_by_cached_key(|app| (!view::is_favorite(app, &call.caller, options), place(app, options, call.number)));
    let page: Vec<Value> =
        apps.iter().skip(offset).take(limit).map(|app| view::app(app, &call.caller, options)).collect();
    Ok(Success::ok(json!({"total": apps.len(), "size": page.len(), "apps": page})))
}

fn place(app: &App, options: &Options, number: u64) -> (Option<Timestamp>, String) {
    match options.text("list-order") {
        "shuffled" => (None, derive::sha256(app.id.as_bytes())),
        "unstable" => (None, derive::sha256(format!("{number} {}", app.id).as_bytes())),
        _ => (Some(app.created), String::new()),
    }
}

fn is_listed(app: &App, options: &Options, now: Timestamp) -> bool {
    let delay = options.number("list-delay-ms");
    delay == 0 || now.as_millisecond() - app.created.as_millisecond() >= delay
}

struct Filter<'a> {
    options: &'a Options,
    call: &'a Call,
    favorite: Option<bool>,
    owner: Option<bool>,
    roles: Vec<Option<Role>>,
    name: Option<&'a str>,
    key: Option<&'a str>,
    user: Option<User>,
}

impl<'a> Filter<'a> {
    fn read(store: &Store, options: &'a Options, call: &'a Call) -> Result<Self, Failure> {
        let query = &call.query;
        let roles = query.text("auth_role", 64)?;
        Ok(Self {
            options,
            call,
            favorite: query.truth("favorite")?,
            owner: query.truth("owner")?,
            roles: roles
                .map(|names| names.split(',').map(|name| Role::named(name.trim())).collect())
                .unwrap_or_default(),
            name: query.text("name", 256)?,
            key: query.text("key", 200)?,
            user: query.text("user_name", 64)?.map(|name| known(store, name)),
        })
    }

    fn lets(&self, app: &App) -> bool {
        let (options, caller) = (self.options, &self.call.caller);
        let held = view::roles_of(app, caller);
        app.instance == self.call.route.instance
            && held.contains(&Role::Read)
            && self.roles.iter().all(|role| role.is_some_and(|role| held.contains(&role)))
            && self.favorite.is_none_or(|favorite| view::is_favorite(app, caller, options) == favorite)
            && self.owner.is_none_or(|owner| (app.creator.id == caller.person.id) == owner)
            && self.name.is_none_or(|name| is_like(options, &app.name, name))
            && self.key.is_none_or(|key| is_like(options, &app.key, key))
            && self.user.as_ref().is_none_or(|user| {
                !view::roles(app, &user.person, user.administrator).is_empty()
                    || app.creator.name == user.person.name
                    || app.members.iter().any(|member| member.person.name == user.person.name)
            })
    }
}

/// Returns a user by name; somebody unlisted sees only what says so by name.
fn known(store: &Store, name: &str) -> User {
    let user = store.credentials.users.iter().find(|user| user.person.name == name);
    user.cloned().unwrap_or_else(|| User { administrator: false, ..store.credentials.anybody(name) })
}

/// Returns true if a text matches a fuzzy filter.
fn is_like(options: &Options, text: &str, filter: &str) -> bool {
    let (text, filter) = if options.is("name-filter", "case-insensitive") {
        (text.to_lowercase(), filter.to_lowercase())
    } else {
        (text.to_owned(), filter.to_owned())
    };
    if !options.flag("name-filter-wildcards") {
        return text.contains(&filter);
    }
    let pattern: Vec<char> = format!("%{filter}%").chars().collect();
    matches_wildcards(&text.chars().collect::<Vec<_>>(), &pattern)
}

/// Matches as SQL's LIKE does: `%` is any text, `_` any character.
fn matches_wildcards(text: &[char], pattern: &[char]) -> bool {
    // reached[i]: the pattern so far matches the first i characters.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for expected in pattern {
        if *expected == '%' {
            let first = reached.iter().position(|reached| *reached).unwrap_or(reached.len());
            reached[first..].fill(true);
        } else {
            for at in (1..reached.len()).rev() {
                reached[at] = reached[at - 1] && (*expected == '_' || *expected == text[at - 1]);
            }
            reached[0] = false;
        }
    }
    reached[text.len()]
}
