//! Writes the whole state, such that loading it again changes nothing.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    clock,
    store::{App, Credentials, Key, Store, Ticket, User},
    view,
};

/// Returns the section of a state file.
pub(super) fn state(store: &Store) -> Value {
    let projects =
        store.projects.iter().map(|project| with(&project.row, &[("id", &project.id), ("name", &project.name)]));
    let instances = store
        .instances
        .iter()
        .map(|instance| with(&instance.row, &[("id", &instance.id), ("status", &instance.status)]));
    json!({
        "projects": projects.collect::<Vec<_>>(),
        "instances": instances.collect::<Vec<_>>(),
        "apps": store.apps.iter().map(app).collect::<Vec<_>>(),
        "credentials": credentials(&store.credentials),
        "counters": {"app": store.counters.app, "secret": store.counters.secret},
    })
}

fn with(row: &Map<String, Value>, fields: &[(&str, &String)]) -> Value {
    let mut row = row.clone();
    row.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())));
    row.into()
}

fn app(app: &App) -> Value {
    let mut row = app.others.clone();
    let members = app.members.iter().map(|member| {
        let roles: Vec<&str> = member.roles.iter().map(|role| role.name()).collect();
        json!({"id": member.person.id, "name": member.person.name, "roles": roles})
    });
    let fields = [
        ("instance_id", Value::from(app.instance.as_str())),
        ("id", app.id.as_str().into()),
        ("name", app.name.as_str().into()),
        ("remark", app.remark.as_str().into()),
        ("key", app.key.as_str().into()),
        ("secret", app.secret.as_str().into()),
        ("favorite", app.favorite.into()),
        ("favorite_of", app.favorite_of.iter().map(String::as_str).collect::<Vec<_>>().into()),
        ("create_time", clock::millis(app.created).into()),
        ("update_time", clock::millis(app.updated).into()),
        ("created_user", view::user(&app.creator)),
        ("last_updated_user", view::user(&app.updater)),
        ("users", members.collect::<Vec<_>>().into()),
        ("resources", app.resources.into()),
    ];
    row.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    row.into()
}

/// Returns the credentials alone.
pub(super) fn credentials(credentials: &Credentials) -> Value {
    let keys: Map<String, Value> = credentials.keys.iter().map(|(name, value)| (name.clone(), key(value))).collect();
    let tokens: Map<String, Value> =
        credentials.tokens.iter().map(|(name, value)| (name.clone(), ticket(value))).collect();
    json!({"ak_sk": keys, "users": credentials.users.iter().map(user).collect::<Vec<_>>(), "tokens": tokens})
}

fn user(user: &User) -> Value {
    json!({
        "id": user.person.id, "name": user.person.name, "password": user.password, "domain": user.domain,
        "administrator": user.administrator,
    })
}

fn key(key: &Key) -> Value {
    if key.user.is_none() && key.security_token.is_none() && key.expires.is_none() {
        return key.secret.as_str().into();
    }
    let mut row = Map::new();
    row.insert("sk".to_owned(), key.secret.as_str().into());
    row.extend(key.user.as_ref().map(|user| ("user".to_owned(), user.as_str().into())));
    row.extend(key.security_token.as_ref().map(|token| ("security_token".to_owned(), token.as_str().into())));
    row.extend(expiry(key.expires));
    row.into()
}

fn ticket(ticket: &Ticket) -> Value {
    let mut row = Map::new();
    row.extend(ticket.user.as_ref().map(|user| ("user".to_owned(), user.as_str().into())));
    row.extend(ticket.project.as_ref().map(|project| ("project_id".to_owned(), project.as_str().into())));
    row.extend(expiry(ticket.expires));
    row.into()
}

fn expiry(time: Option<Timestamp>) -> Option<(String, Value)> {
    time.map(|time| ("expires_at".to_owned(), time.to_string().into()))
}
