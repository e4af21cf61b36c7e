//! How an application looks to a caller (contract, section 2.2).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    access::Caller,
    clock,
    option::Options,
    store::{App, Person, Role},
};

/// Returns what a person may do with an application; nothing if it is not visible.
pub(super) fn roles(app: &App, person: &Person, administrator: bool) -> BTreeSet<Role> {
    if administrator || app.creator.id == person.id {
        return Role::ALL.into();
    }
    let member = app.members.iter().find(|member| member.person.id == person.id);
    member.map(|member| member.roles.clone()).unwrap_or_default()
}

/// Returns what a caller may do with an application.
pub(super) fn roles_of(app: &App, caller: &Caller) -> BTreeSet<Role> {
    roles(app, &caller.person, caller.administrator)
}

/// Returns true if an application is a favourite for a caller.
pub(super) fn is_favorite(app: &App, caller: &Caller, options: &Options) -> bool {
    if options.is("favorite", "per-caller") { app.favorite_of.contains(&caller.person.id) } else { app.favorite }
}

/// Returns roles as an answer has them.
pub(super) fn roles_value(roles: &BTreeSet<Role>, options: &Options) -> Value {
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    if options.is("roles", "joined") { json!([names.join(", ")]) } else { json!(names) }
}

/// Returns an application as a caller gets it: never with its secret.
pub(super) fn app(app: &App, caller: &Caller, options: &Options) -> Value {
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| drop(row.insert(name.to_owned(), value));
    put("id", app.id.as_str().into());
    put("name", app.name.as_str().into());
    match (app.remark.is_empty(), options.text("empty-remark")) {
        (true, "absent") => {}
        (true, "null") => put("remark", Value::Null),
        _ => put("remark", app.remark.as_str().into()),
    }
    put("roles", roles_value(&roles_of(app, caller), options));
    put("create_time", time(app.created, options));
    put("update_time", time(app.updated, options));
    put("created_user", user(&app.creator));
    put("last_updated_user", user(&app.updater));
    put("owner", (app.creator.id == caller.person.id).into());
    put("key", if options.is("key", "masked") { masked(&app.key) } else { app.key.clone() }.into());
    put("favorite", is_favorite(app, caller, options).into());
    for (name, value) in &app.others {
        put(name, value.clone());
    }
    row.into()
}

fn time(time: Timestamp, options: &Options) -> Value {
    if options.is("time-digits", "seconds") { clock::seconds(time) } else { clock::millis(time) }.into()
}

/// Returns a person as `created_user` has it.
pub(super) fn user(person: &Person) -> Value {
    json!({"user_id": person.id, "user_name": person.name})
}

/// Hides the middle of a key, as the pages' example does: `TEI9****8UM`.
fn masked(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let (start, end) = if characters.len() > 8 { (4, characters.len() - 3) } else { (1, characters.len()) };
    characters[..start].iter().collect::<String>() + "****" + &characters[end..].iter().collect::<String>()
}
