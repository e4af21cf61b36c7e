//! Reads a state, and reports every mistake in it with its place.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    clock, derive,
    row::{Errors, Row, below, list, object},
    rule::Field,
    store::{
        App, Counters, Credentials, Instance, Key, Member, Person, Project, Role, Store, Ticket, User, normalised,
    },
};
use crate::simulator::StateError;

/// Reads the whole section of a state file.
pub(super) fn store(state: &Value, now: Timestamp) -> Result<Store, Vec<StateError>> {
    let mut errors = Errors::default();
    let mut store = Store::default();
    if let Some(section) = object(state, "", &mut errors) {
        let known = ["projects", "instances", "apps", "credentials", "counters"];
        for name in section.keys().filter(|name| !known.contains(&name.as_str())) {
            errors.add(&below("", name), "no such part of the state");
        }
        let part = |name: &str| section.get(name).unwrap_or(&Value::Null);
        store.projects = projects(part("projects"), &mut errors);
        store.instances = instances(part("instances"), &store.projects, &mut errors);
        store.credentials = credentials(part("credentials"), "/credentials", &mut errors);
        store.counters = counters(part("counters"), &mut errors);
        apps(part("apps"), &mut store, now, &mut errors);
    }
    errors.or(store)
}

/// Reads credentials alone; pointers start at them.
pub(super) fn credentials_alone(value: &Value) -> Result<Credentials, Vec<StateError>> {
    let mut errors = Errors::default();
    let credentials = credentials(value, "", &mut errors);
    errors.or(credentials)
}

fn projects(value: &Value, errors: &mut Errors) -> Vec<Project> {
    let mut projects: Vec<Project> = Vec::new();
    for row in list(value, "/projects", errors) {
        let Some(id) = row.id(errors) else { continue };
        if projects.iter().any(|project| project.id == id) {
            errors.add(&row.place("id"), format!("the project {id} is listed twice"));
        }
        let name = row.text("name", errors).unwrap_or_else(|| id.clone());
        projects.push(Project { id, name, row: row.fields.clone() });
    }
    projects
}

fn instances(value: &Value, projects: &[Project], errors: &mut Errors) -> Vec<Instance> {
    let mut instances: Vec<Instance> = Vec::new();
    for row in list(value, "/instances", errors) {
        let Some(id) = row.id(errors) else { continue };
        if instances.iter().any(|instance| instance.id == id) {
            errors.add(&row.place("id"), format!("the instance {id} is listed twice"));
        }
        let project = row.text("project_id", errors);
        if let Some(project) = &project
            && !projects.is_empty()
            && !projects.iter().any(|known| known.id == *project)
        {
            errors.add(&row.place("project_id"), format!("the project {project} is not listed"));
        }
        let status = row.text("status", errors).unwrap_or_else(|| "RUNNING".to_owned());
        instances.push(Instance { id, project, status, row: row.fields.clone() });
    }
    instances
}

fn apps(value: &Value, store: &mut Store, now: Timestamp, errors: &mut Errors) {
    let mut unnamed = Vec::new();
    for row in list(value, "/apps", errors) {
        let Some(app) = app(&row, store, now, errors) else { continue };
        let twin = |is_same: &dyn Fn(&App) -> bool| store.apps.iter().any(is_same);
        if !app.id.is_empty() && twin(&|other| other.id == app.id) {
            errors.add(&row.place("id"), format!("the application {} is listed twice", app.id));
        }
        if twin(&|other| other.instance == app.instance && other.name == app.name) {
            errors.add(&row.place("name"), format!("the name {} is taken in this instance", app.name));
        }
        if !app.key.is_empty() && twin(&|other| other.instance == app.instance && other.key == app.key) {
            errors.add(&row.place("key"), "the key is taken in this instance");
        }
        if app.id.is_empty() || app.key.is_empty() || app.secret.is_empty() {
            unnamed.push(store.apps.len());
        }
        store.apps.push(app);
    }
    // Values that rows leave out are filled in at the end, so that they do not collide with later rows.
    for position in unnamed {
        fill(store, position);
    }
}

fn fill(store: &mut Store, position: usize) {
    if store.apps[position].id.is_empty() {
        let (id, key) = store.next_app();
        store.apps[position].id = id;
        if store.apps[position].key.is_empty() {
            store.apps[position].key = key;
        }
    }
    if store.apps[position].key.is_empty() {
        store.apps[position].key = derive::key(&store.apps[position].id);
    }
    if store.apps[position].secret.is_empty() {
        store.apps[position].secret = store.next_secret();
    }
}

const APP_FIELDS: [&str; 16] = [
    "instance_id",
    "id",
    "name",
    "remark",
    "key",
    "secret",
    "favorite",
    "favorite_of",
    "create_time",
    "update_time",
    "created_user",
    "last_updated_user",
    "users",
    "resources",
    "roles",
    "owner",
];

fn app(row: &Row<'_>, store: &Store, now: Timestamp, errors: &mut Errors) -> Option<App> {
    let instance = row.required("instance_id", errors);
    if let Some(instance) = &instance
        && !store.instances.iter().any(|known| known.id == *instance)
    {
        errors.add(&row.place("instance_id"), format!("the instance {instance} is not listed"));
    }
    let name = row.required("name", errors);
    let id = row.short_text("id", errors).unwrap_or_default();
    // The pages show keys with their middle hidden: such a key says nothing.
    let key = row.text("key", errors).filter(|key| !key.contains('*')).unwrap_or_default();
    let secret = row.text("secret", errors).unwrap_or_default();
    let remark = row.text("remark", errors).unwrap_or_default();
    let checked = [(Field::Key, &key), (Field::Secret, &secret), (Field::Remark, &remark)];
    let checked = checked.into_iter().filter(|(_, value)| !value.is_empty());
    for (field, value) in checked.chain(name.as_ref().map(|name| (Field::Name, name))) {
        if let Err(expected) = field.check(value) {
            errors.add(&row.place(field.name()), expected);
        }
    }
    let default = store.credentials.default_user().person;
    let created = row.time("create_time", errors).unwrap_or(now);
    let creator = person(row, "created_user", store, errors).unwrap_or_else(|| default.clone());
    let favorite = row.truth("favorite", errors).unwrap_or_default();
    let favorite_of = match row.fields.get("favorite_of") {
        Some(_) => row.texts("favorite_of", errors).into_iter().collect(),
        None => favorite.then(|| default.id.clone()).into_iter().collect(),
    };
    let mut members = members(row, store, errors);
    let own_roles = roles(row, errors);
    if members.is_empty() && creator.id != default.id && !own_roles.is_empty() {
        // A row as it was read says what the reader may do: he is the first user.
        members.push(Member { person: default, roles: normalised(own_roles) });
    }
    let is_other = |name: &String| !APP_FIELDS.contains(&name.as_str());
    Some(App {
        instance: instance?,
        id,
        name: name?,
        remark,
        key,
        secret,
        favorite,
        favorite_of,
        created: clock::to_millis(created),
        updated: clock::to_millis(row.time("update_time", errors).unwrap_or(created)),
        updater: person(row, "last_updated_user", store, errors).unwrap_or_else(|| creator.clone()),
        creator,
        members,
        resources: row.count("resources", errors).unwrap_or_default(),
        others: row.fields.iter().filter(|(name, _)| is_other(name)).map(|(k, v)| (k.clone(), v.clone())).collect(),
    })
}

fn person(row: &Row<'_>, name: &str, store: &Store, errors: &mut Errors) -> Option<Person> {
    let user = row.fields.get(name).filter(|value| !value.is_null())?;
    let user = Row { fields: object(user, &row.place(name), errors)?, pointer: row.place(name) };
    let (id, name) = (user.text("user_id", errors), user.text("user_name", errors));
    let known = |text: &str| store.credentials.anybody(text).person;
    match (id, name) {
        (Some(id), Some(name)) => Some(Person { id, name }),
        (Some(text), None) | (None, Some(text)) => Some(known(&text)),
        (None, None) => {
            errors.add(&user.pointer, "expected user_id and user_name");
            None
        }
    }
}

fn members(row: &Row<'_>, store: &Store, errors: &mut Errors) -> Vec<Member> {
    let users = row.fields.get("users").unwrap_or(&Value::Null);
    let mut members: Vec<Member> = Vec::new();
    for user in list(users, &row.place("users"), errors) {
        let Some(id) = user.id(errors) else { continue };
        if members.iter().any(|member| member.person.id == id) {
            errors.add(&user.place("id"), format!("the user {id} is listed twice"));
        }
        let name = user.text("name", errors);
        let name =
            name.unwrap_or_else(|| store.credentials.user(&id).map_or(id.clone(), |user| user.person.name.clone()));
        let roles = normalised(roles(&user, errors));
        members.push(Member { person: Person { id, name }, roles });
    }
    members
}

/// Reads roles: an array, whose texts may be joined by commas (contract, section 2.2).
fn roles(row: &Row<'_>, errors: &mut Errors) -> BTreeSet<Role> {
    let mut roles = BTreeSet::new();
    for text in row.texts("roles", errors) {
        for name in text.split(',').map(str::trim) {
            match Role::named(name) {
                Some(role) => drop(roles.insert(role)),
                None => errors.add(&row.place("roles"), format!("no role is called {name}")),
            }
        }
    }
    roles
}

fn credentials(value: &Value, pointer: &str, errors: &mut Errors) -> Credentials {
    if value.is_null() {
        return Credentials::default();
    }
    let Some(parts) = object(value, pointer, errors) else { return Credentials::default() };
    for name in parts.keys().filter(|name| !["ak_sk", "users", "tokens"].contains(&name.as_str())) {
        errors.add(&below(pointer, name), "no such kind of credentials");
    }
    let part = |name: &str| (parts.get(name).unwrap_or(&Value::Null), below(pointer, name));
    let (value, place) = part("users");
    let users = users(value, &place, errors);
    let (value, place) = part("ak_sk");
    let mut keys = BTreeMap::new();
    for (name, value) in entries(value, &place, errors) {
        keys.extend(key(value, &below(&place, name), &users, errors).map(|key| (name.clone(), key)));
    }
    let (value, place) = part("tokens");
    let mut tokens = BTreeMap::new();
    for (name, value) in entries(value, &place, errors) {
        tokens.extend(ticket(value, &below(&place, name), &users, errors).map(|ticket| (name.clone(), ticket)));
    }
    Credentials { keys, users, tokens }
}

fn entries<'a>(value: &'a Value, pointer: &str, errors: &mut Errors) -> Vec<(&'a String, &'a Value)> {
    let map: Option<&Map<String, Value>> = if value.is_null() { None } else { object(value, pointer, errors) };
    map.map(|map| map.iter().collect()).unwrap_or_default()
}

fn users(value: &Value, pointer: &str, errors: &mut Errors) -> Vec<User> {
    let mut users: Vec<User> = Vec::new();
    for row in list(value, pointer, errors) {
        row.only(&["id", "name", "password", "domain", "administrator"], errors);
        let Some(name) = row.required("name", errors) else { continue };
        let id = row.short_text("id", errors).unwrap_or_else(|| derive::id32(&format!("user {name}")));
        if users.iter().any(|user| user.person.id == id) {
            errors.add(&row.place("id"), format!("the user {id} is listed twice"));
        }
        users.push(User {
            // The first user stands for the account, so that a state with one user shows everything to it.
            administrator: row.truth("administrator", errors).unwrap_or(users.is_empty()),
            person: Person { id, name },
            password: row.text("password", errors).unwrap_or_default(),
            domain: row.text("domain", errors).unwrap_or_default(),
        });
    }
    users
}

fn key(value: &Value, pointer: &str, users: &[User], errors: &mut Errors) -> Option<Key> {
    if let Some(secret) = value.as_str() {
        return Some(Key { secret: secret.to_owned(), ..Key::default() });
    }
    let Some(fields) = value.as_object() else {
        errors.add(pointer, "expected a secret key, or an object with sk, user, security_token, expires_at");
        return None;
    };
    let row = Row { fields, pointer: pointer.to_owned() };
    row.only(&["sk", "user", "security_token", "expires_at"], errors);
    Some(Key {
        secret: row.required("sk", errors)?,
        user: user_of(&row, users, errors),
        security_token: row.text("security_token", errors),
        expires: row.time("expires_at", errors),
    })
}

fn ticket(value: &Value, pointer: &str, users: &[User], errors: &mut Errors) -> Option<Ticket> {
    if value.is_null() {
        return Some(Ticket::default());
    }
    let row = Row { fields: object(value, pointer, errors)?, pointer: pointer.to_owned() };
    row.only(&["user", "project_id", "expires_at"], errors);
    Some(Ticket {
        user: user_of(&row, users, errors),
        project: row.text("project_id", errors),
        expires: row.time("expires_at", errors),
    })
}

fn user_of(row: &Row<'_>, users: &[User], errors: &mut Errors) -> Option<String> {
    let user = row.text("user", errors)?;
    if !users.iter().any(|known| known.person.id == user || known.person.name == user) {
        errors.add(&row.place("user"), format!("the user {user} is not listed"));
    }
    Some(user)
}

fn counters(value: &Value, errors: &mut Errors) -> Counters {
    if value.is_null() {
        return Counters::default();
    }
    let Some(fields) = object(value, "/counters", errors) else { return Counters::default() };
    let row = Row { fields, pointer: "/counters".to_owned() };
    row.only(&["app", "secret"], errors);
    Counters {
        app: row.count("app", errors).unwrap_or_default(),
        secret: row.count("secret", errors).unwrap_or_default(),
    }
}
