//! Applications one by one: show, create, update, delete, look up, and their secrets (contract, sections 2.2 to 2.5).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    clock,
    option::Options,
    reply::{Failure, Success},
    rule::Field,
    service::{Call, sought},
    store::{App, Role, Store},
    view,
};

/// Answers `GET …/apps/{app_id}`.
pub(super) fn show(store: &Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let position = sought(store, options, call, Role::Read)?;
    Ok(Success::ok(view::app(&store.apps[position], &call.caller, options)))
}

/// Answers `POST …/apps`.
pub(super) fn create(store: &mut Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let name = text(&call.body, Field::Name)?.ok_or_else(|| Failure::parameter("name", "name is required"))?;
    let remark = text(&call.body, Field::Remark)?.unwrap_or_default();
    let key = text(&call.body, Field::Key)?;
    let secret = text(&call.body, Field::Secret)?;
    let favorite = truth(&call.body, "favorite")?.unwrap_or_default();
    check_name(store, options, call, &name, None)?;
    let apps = || store.apps.iter().filter(|app| app.instance == call.route.instance);
    if key.as_ref().is_some_and(|key| apps().any(|app| app.key == *key)) {
        return Err(Failure::service(400, 14012, "The application key already exists", "key"));
    }
    if apps().count() as u64 >= options.count("quota") {
        // Invented code: the contract knows none (section 4).
        return Err(Failure::service(
            400,
            14020,
            "The quota of applications is used up",
            options.count("quota").to_string(),
        ));
    }

    let now = clock::to_millis(options.now());
    let (id, next_key) = store.next_app();
    let secret = secret.unwrap_or_else(|| store.next_secret());
    let person = call.caller.person.clone();
    let app = App {
        instance: call.route.instance.clone(),
        id,
        name,
        remark,
        key: key.unwrap_or(next_key),
        secret,
        favorite,
        favorite_of: favorite.then(|| person.id.clone()).into_iter().collect(),
        created: now,
        updated: now,
        creator: person.clone(),
        updater: person,
        members: Vec::new(),
        resources: 0,
        others: Map::new(),
    };
    let body = view::app(&app, &call.caller, options);
    store.apps.push(app);
    Ok(Success { status: 201, ..Success::ok(body) })
}

/// Answers `PUT …/apps/{app_id}`.
pub(super) fn update(store: &mut Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let position = sought(store, options, call, Role::Modify)?;
    let name = text(&call.body, Field::Name)?;
    let mut remark = text(&call.body, Field::Remark)?;
    let mut favorite = truth(&call.body, "favorite")?;
    if remark.as_deref() == Some("") && options.is("put-empty-remark", "ignored") {
        remark = Some(store.apps[position].remark.clone());
    }
    if options.is("put-omitted", "replace") {
        // A name cannot be empty, so an omitted one stays all the same.
        remark.get_or_insert_default();
        favorite.get_or_insert_default();
    }
    if let Some(name) = &name {
        check_name(store, options, call, name, Some(position))?;
    }

    let app = &mut store.apps[position];
    app.name = name.unwrap_or_else(|| app.name.clone());
    app.remark = remark.unwrap_or_else(|| app.remark.clone());
    if let Some(favorite) = favorite {
        app.favorite = favorite;
        set_favorite_of(&mut app.favorite_of, &call.caller.person.id, favorite);
    }
    app.updated = clock::to_millis(options.now());
    app.updater = call.caller.person.clone();
    Ok(Success::ok(view::app(app, &call.caller, options)))
}

fn set_favorite_of(favorite_of: &mut BTreeSet<String>, user: &str, favorite: bool) {
    if favorite {
        favorite_of.insert(user.to_owned());
    } else {
        favorite_of.remove(user);
    }
}

/// Answers `DELETE …/apps/{app_id}`.
pub(super) fn delete(store: &mut Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let position = sought(store, options, call, Role::Delete)?;
    if store.apps[position].resources > 0 && options.is("delete-with-resources", "refused") {
        // Invented code: the contract knows none (section 4).
        let details = format!("it owns {} resources", store.apps[position].resources);
        return Err(Failure::service(400, 14021, "The application still owns resources", details));
    }
    store.apps.remove(position);
    Ok(match options.text("delete-answer") {
        "empty" => Success { status: 200, ..Success::default() },
        "no-content" => Success { status: 204, ..Success::default() },
        _ => Success::ok(json!({"Message": "success"})),
    })
}

/// Answers `GET …/validate-apps`: exact, and over the whole instance whoever asks (contract, section 3).
pub(super) fn validate(store: &Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let (name, id, key) = (call.query.text("name", 256)?, call.query.text("id", 64)?, call.query.text("key", 200)?);
    if name.is_none() && id.is_none() && key.is_none() {
        return Err(Failure::parameter("name", "one of name, id and key is required"));
    }
    let found = store.apps.iter().find(|app| {
        app.instance == call.route.instance
            && name.is_none_or(|name| is_same_name(options, &app.name, name))
            && id.is_none_or(|id| app.id == id)
            && key.is_none_or(|key| app.key == key)
    });
    let app = found.ok_or_else(|| Failure::service(404, 14001, "Application not found", "no such application"))?;
    Ok(Success::ok(json!({"id": app.id, "name": app.name, "remark": app.remark})))
}

/// Answers `GET …/apps/{app_id}/secret`.
pub(super) fn show_secret(store: &Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let app = &store.apps[sought(store, options, call, Role::Access)?];
    Ok(Success::ok(json!({"id": app.id, "secret": app.secret})))
}

/// Answers `PUT …/apps/{app_id}/secret`; without a value another one every time.
pub(super) fn reset_secret(store: &mut Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let position = sought(store, options, call, Role::Modify)?;
    let secret = text(&call.body, Field::Secret)?.unwrap_or_else(|| store.next_secret());
    let app = &mut store.apps[position];
    app.secret = secret;
    Ok(Success::ok(json!({"id": app.id, "secret": app.secret})))
}

/// Returns a text of a body that obeys its rule; null counts as left out (contract, section 2.3).
fn text(body: &Map<String, Value>, field: Field) -> Result<Option<String>, Failure> {
    let name = field.name();
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| Failure::parameter(name, "expected a text"))?;
    field.check(text).map_err(|expected| Failure::parameter(name, expected))?;
    Ok(Some(text.to_owned()))
}

fn truth(body: &Map<String, Value>, name: &str) -> Result<Option<bool>, Failure> {
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    value.as_bool().map(Some).ok_or_else(|| Failure::parameter(name, "expected true or false"))
}

/// Checks that no other application of the instance has the name, whether the caller sees it or not.
fn check_name(store: &Store, options: &Options, call: &Call, name: &str, own: Option<usize>) -> Result<(), Failure> {
    let is_taken = store.apps.iter().enumerate().any(|(position, app)| {
        Some(position) != own && app.instance == call.route.instance && is_same_name(options, &app.name, name)
    });
    if is_taken {
        let status = if options.is("duplicate-name", "conflict") { 409 } else { 400 };
        return Err(Failure::service(status, 14011, "The application name already exists", name));
    }
    Ok(())
}

fn is_same_name(options: &Options, text: &str, other: &str) -> bool {
    text == other || (options.is("name-comparison", "case-insensitive") && text.to_lowercase() == other.to_lowercase())
}
