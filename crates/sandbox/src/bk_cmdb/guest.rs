//! A guest: a program that embeds the sandbox, with an account of its own.

use serde_json::{Value, json};

use crate::simulator::GuestAccess;

/// Adds a guest where a state asks for credentials. One that accepts any stays as it is.
pub(super) fn admit(state: &mut Value, guest: &str) {
    if let Some(apps) = state.pointer_mut("/credentials/apps").and_then(Value::as_object_mut) {
        apps.insert(guest.to_owned(), json!(guest));
    }
    if let Some(users) = state.pointer_mut("/credentials/users").and_then(Value::as_array_mut) {
        users.push(json!(guest));
    }
}

/// Returns what leads a guest here: its own application and user, and the only stage.
pub(super) fn access(guest: &str) -> GuestAccess {
    let own = || Some(guest.to_owned());
    GuestAccess {
        settings: vec![("appCode", own()), ("username", own()), ("endpoint", None), ("stage", None)],
        secrets: vec![("appSecret", guest.to_owned()), ("token", guest.to_owned())],
    }
}
