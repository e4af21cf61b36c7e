//! Locks (`as_default_value`): only what is locked reaches processes that exist, and `bind_info` is compared at all only
//! where it is locked itself (measured page, "Locks").

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    NAME, declared,
    property::{self, BIND_INFO},
    rows,
};
use crate::{
    diagnostic::Diagnostic,
    model::{Action, Desired, FieldChange, FieldPath, Json, Live, Row},
    provider::{Planned, ProposedChange},
};

/// How far a change of a field gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// To all processes, by a sync that the server asks for.
    Sync,
    /// To new processes only.
    New,
    /// To new processes, and to others by a sync that the server does not ask for.
    Unseen,
    /// Nowhere: it is about the template alone.
    Template,
}

impl Reach {
    /// Returns the remark on a field that does not reach all processes.
    pub(super) fn remark(self) -> Option<&'static str> {
        match self {
            Self::New => Some("not locked: reaches new processes only"),
            Self::Unseen => {
                Some("`bind_info` is not locked: the server asks for no sync, so this reaches new processes only")
            }
            Self::Sync | Self::Template => None,
        }
    }
}

/// Returns how far a change of a field of a live process template gets.
pub(super) fn reach(field: &FieldChange, desired: &Desired, live: &Live) -> Reach {
    let is_locked = |name: &str| property::lock(name, desired, live) == json!(true);
    if property::is_lock(&field.path) && field.to != Some(json!(true)) {
        return Reach::Template;
    }
    let property = field.path.root();
    if property != BIND_INFO {
        return if property == NAME || is_locked(&property) { Reach::Sync } else { Reach::New };
    }
    let is_cell_locked = |id: &str, cell: &str| {
        let rows: Json =
            rows::merge(desired, live, 0).map(|merged| merged.envelope["value"].clone()).unwrap_or_default().into();
        let row = rows.items().iter().find(|row| rows::has_id(row, id));
        row.is_some_and(|row| row[cell]["as_default_value"] == json!(true))
    };
    match (field.path.row(), field.path.parts().next()) {
        // The server looks at no order.
        (None, Some(part)) if part == rows::ORDER => Reach::Template,
        (Some(Row::Id(id)), Some(cell)) if !is_cell_locked(&id, &cell) => Reach::New,
        _ if is_locked(BIND_INFO) => Reach::Sync,
        _ => Reach::Unseen,
    }
}

/// Returns true if running processes differ from the template once a change is made, until they are synced.
pub(super) fn needs_sync(proposed: &ProposedChange<'_>) -> bool {
    let Some(live) = proposed.live else { return true };
    proposed.action == Action::Delete
        || proposed.fields.iter().any(|field| reach(field, proposed.desired, live) == Reach::Sync)
}

/// Returns the remark on a changed field, if there is one.
pub(super) fn remark(field: &FieldChange, planned: &Planned<'_>) -> Option<String> {
    let is_new_row = field.path.is_row() && field.to.is_some();
    let enable = field.to.as_ref().filter(|row| is_new_row && row["enable"]["value"].is_null());
    let enable = enable.map(|_| "enable not set: the process will be disabled; `enable: true` enables it".to_owned());
    let reach = planned
        .live
        .filter(|_| planned.change.action == Action::Update)
        .map(|live| reach(field, planned.desired, live));
    let reach = reach.and_then(Reach::remark).map(str::to_owned);
    let remarks: Vec<String> = enable.into_iter().chain(reach).collect();
    (!remarks.is_empty()).then(|| remarks.join("; "))
}

/// Returns a warning about a live template that has no lock at all, or a `bind_info` without one around locked rows: no
/// page of the vendor's makes such templates, older versions of this program did.
pub(super) fn unlocked(desired: &Desired, live: &Live) -> Option<Diagnostic> {
    let is_set = |envelope: &Json| {
        !envelope["value"].is_null() && envelope["value"].as_array().is_none_or(|rows| !rows.is_empty())
    };
    let is_open = |name: &str| is_set(live.field(name)) && live.field(name)["as_default_value"] != json!(true);
    let others = live.fields.iter().filter(|(name, _)| ![NAME, "bk_func_name"].contains(&name.as_str()));
    let set: BTreeSet<&str> = others.filter(|(_, value)| is_set(value)).map(|(name, _)| name.as_str()).collect();
    let rows = live.field(BIND_INFO)["value"].as_array().into_iter().flatten();
    let has_locked_cell = rows
        .flat_map(|row| row.as_object().into_iter().flatten())
        .any(|(_, cell)| cell["as_default_value"] == json!(true));
    let is_odd =
        |name: &str| is_open(name) && (set.iter().all(|name| is_open(name)) || (name == BIND_INFO && has_locked_cell));
    let says_nothing = |name: &str| !desired.fields.contains_key(&property::lock_of(&FieldPath::field(name)));
    let odd: Vec<_> = declared(desired).into_iter().filter(|name| is_odd(name) && says_nothing(name)).collect();
    if odd.is_empty() {
        return None;
    }
    let names: Vec<_> = odd.iter().map(|name| format!("`{name}`")).collect();
    let message = format!("{} of {} not locked: what is declared reaches new processes only", names.join(", "), {
        let is = if odd.len() == 1 { "is" } else { "are" };
        format!("{} {is}", live.label)
    });
    let hint = "`as_default_value: true` in the spec locks all that is declared; `false` leaves it so";
    Some(Diagnostic::warning("P160", message, &desired.origin).hint(hint))
}
