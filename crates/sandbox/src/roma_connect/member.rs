//! With whom an application is shared (contract, section 2.6).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    option::Options,
    reply::{Failure, Success},
    service::{Call, sought},
    store::{App, Member, Person, Role, Store, normalised},
    view,
};

/// Answers `GET …/apps/{app_id}/users`, filtered by the exact name if one is given.
pub(super) fn list(store: &Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let app = &store.apps[sought(store, options, call, Role::Read)?];
    let name = call.query.text("user_name", 64)?;
    Ok(Success::ok(shown(app, options, |member| name.is_none_or(|name| member.person.name == name))))
}

/// Answers `PUT …/apps/{app_id}/users`: the given list replaces the old one.
pub(super) fn set(store: &mut Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let position = sought(store, options, call, Role::Read)?;
    if !call.caller.administrator && store.apps[position].creator.id != call.caller.person.id {
        return Err(Failure::no_permission("only the creator may share an application"));
    }
    let rows = call.body.get("users").and_then(Value::as_array);
    let rows = rows.ok_or_else(|| Failure::parameter("users", "expected a list"))?;
    let limit = options.count("member-limit");
    if limit > 0 && rows.len() as u64 > limit {
        return Err(Failure::parameter("users", format!("more than {limit}")));
    }
    let mut members: Vec<Member> = Vec::new();
    for row in rows {
        let member = member(store, row)?;
        if members.iter().any(|known| known.person.id == member.person.id) {
            return Err(Failure::parameter("id", format!("{} is listed twice", member.person.id)));
        }
        members.push(member);
    }
    let app = &mut store.apps[position];
    app.members = members;
    Ok(Success::ok(shown(app, options, |_| true)))
}

fn member(store: &Store, row: &Value) -> Result<Member, Failure> {
    let id = row["id"].as_str().ok_or_else(|| Failure::parameter("id", "every user needs an id"))?;
    let users = &store.credentials.users;
    let known = users.iter().find(|user| user.person.id == id).map(|user| user.person.clone());
    let person = match known {
        Some(person) => person,
        None if users.is_empty() => Person { id: id.to_owned(), name: id.to_owned() },
        None => return Err(Failure::parameter("id", format!("no user {id}"))),
    };
    let names = row["roles"].as_array().ok_or_else(|| Failure::parameter("roles", "expected a list"))?;
    let role =
        |name: &Value| name.as_str().and_then(Role::named).ok_or_else(|| Failure::parameter("roles", name.to_string()));
    let roles = names.iter().map(role).collect::<Result<BTreeSet<Role>, Failure>>()?;
    Ok(Member { person, roles: normalised(roles) })
}

fn shown(app: &App, options: &Options, lets: impl Fn(&Member) -> bool) -> Value {
    let row = |member: &Member| {
        let roles = view::roles_value(&member.roles, options);
        json!({"id": member.person.id, "name": member.person.name, "roles": roles})
    };
    let users: Vec<Value> = app.members.iter().filter(|member| lets(member)).map(row).collect();
    json!({"total": users.len(), "id": app.id, "users": users})
}

/// Answers `GET …/apps/{app_id}/candidates`: the users with whom it could be shared.
///
/// No document says what `filter=members` does; here it leaves out those who are members already.
pub(super) fn candidates(store: &Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let app = &store.apps[sought(store, options, call, Role::Read)?];
    let without_members = call.query.get("filter") == Some("members");
    let is_member = |person: &Person| app.members.iter().any(|member| member.person.id == person.id);
    let persons = store.credentials.users.iter().map(|user| &user.person);
    let users: Vec<Value> = persons
        .filter(|person| person.id != app.creator.id && !(without_members && is_member(person)))
        .map(|person| json!({"id": person.id, "name": person.name}))
        .collect();
    Ok(Success::ok(json!({"users": users})))
}
