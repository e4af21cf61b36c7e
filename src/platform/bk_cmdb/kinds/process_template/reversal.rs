//! Putting a process template back: rows of `bind_info` go by their ids, so that rows and cells of others stay.

use serde_json::{Value, json};

use super::{
    NAME, ProcessTemplate,
    property::{BIND_INFO, lock_of},
    rows::{CELLS, ORDER, ROW_ID, list_path},
};
use crate::{
    diff::values,
    model::{Change, Desired, FieldChange, FieldPath, Fields, Json, Live, Row},
    platform::bk_cmdb::kinds::decode_common,
    provider::{
        Facts, Reversal,
        reversal::{self as common},
    },
    source::{Located, Origin},
};

/// Returns true if a row has an id, as paths hold it.
fn has_id(row: &Value, id: &str) -> bool {
    row[ROW_ID].as_i64().is_some_and(|own| id.parse() == Ok(own))
}

/// Returns true if two stored values mean the same.
fn same(value: &Value, other: &Value) -> bool {
    values::same(&value.into(), &other.into())
}

/// The part of a cell that says whether its value is locked.
const LOCK: &str = "as_default_value";

/// Returns the reversal of changes of properties and rows.
pub(super) fn reversal(
    kind: &ProcessTemplate,
    desired: &Desired,
    live: &Live,
    changes: &[FieldChange],
    facts: &Facts,
) -> Reversal {
    let is_of_rows = |change: &&FieldChange| change.path.root() == BIND_INFO && change.path != lock_of(&list_path());
    let (of_rows, others): (Vec<&FieldChange>, Vec<&FieldChange>) = changes.iter().partition(is_of_rows);
    let mut reversal = common::fields(kind, desired, live, others, facts);
    let current: Vec<Value> = live.field(BIND_INFO)["value"].items().iter().map(Json::to_value).collect();
    let mut list = List { rows: current.into_iter().map(Draft::kept).collect(), is_changed: false };
    // Cells first: a row that goes need not be put back.
    for change in of_rows.iter().filter(|change| !change.path.is_row()) {
        list.put_back_part(change, &mut reversal);
    }
    for change in of_rows.iter().filter(|change| change.path.is_row()) {
        list.put_back_row(change, &mut reversal);
    }
    if list.is_changed {
        list.declare(&mut reversal.desired.fields, &desired.origin);
        reversal.is_needed = true;
    }
    reversal
}

/// The rows that the list is to have.
struct List {
    rows: Vec<Draft>,
    is_changed: bool,
}

/// A row that is to be there: a live one with some cells put back, or one that is to be made again.
struct Draft {
    row: Value,
    is_new: bool,
    /// Cells and locks that are put back, by the paths of their changes behind the row.
    cells: Vec<(String, Option<bool>, Value)>,
}

impl Draft {
    fn kept(row: Value) -> Self {
        Self { row, is_new: false, cells: Vec::new() }
    }
}

impl List {
    fn at(&self, path: &FieldPath) -> Option<usize> {
        let Some(Row::Id(id)) = path.row() else { return None };
        self.rows.iter().position(|draft| has_id(&draft.row, &id))
    }

    /// Puts back a cell, its lock, or the order of rows.
    fn put_back_part(&mut self, change: &FieldChange, reversal: &mut Reversal) {
        if change.path == list_path().part(ORDER) {
            return self.put_back_order(change, reversal);
        }
        let Some(at) = self.at(&change.path) else {
            return reversal.left.push((change.path.clone(), "the row is gone".to_owned()));
        };
        let parts: Vec<_> = change.path.parts().collect();
        let [cell, rest @ ..] = parts.as_slice() else { return };
        let is_lock = rest.first().is_some_and(|part| part == LOCK);
        let stored = |value: &Value| if is_lock { json!(value.as_bool().unwrap_or(false)) } else { value.clone() };
        let now = stored(&self.rows[at].row[&**cell][if is_lock { LOCK } else { "value" }]);
        let value = |value: &Option<Value>| stored(value.as_ref().unwrap_or(&Value::Null));
        let (before, behind) = (value(&change.from), value(&change.to));
        if same(&now, &before) {
            return;
        }
        if !same(&now, &behind) {
            return reversal.leave_overtaken(change, Some(&now));
        }
        let lock = is_lock.then(|| before.as_bool().unwrap_or(false));
        self.rows[at].cells.push((cell.to_string(), lock, before));
        self.is_changed = true;
    }

    fn put_back_order(&mut self, change: &FieldChange, reversal: &mut Reversal) {
        let ids = |value: &Option<Value>| value.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
        let (before, behind) = (ids(&change.from), ids(&change.to));
        let places: Vec<usize> =
            (0..self.rows.len()).filter(|at| behind.contains(&self.rows[*at].row[ROW_ID])).collect();
        let now: Vec<Value> = places.iter().map(|at| self.rows[*at].row[ROW_ID].clone()).collect();
        if now != behind {
            return reversal.leave_overtaken(change, Some(&Value::Array(now)));
        }
        let mut rank: Vec<Draft> = Vec::new();
        for id in &before {
            if let Some(at) = self.rows.iter().position(|draft| draft.row[ROW_ID] == *id) {
                rank.push(std::mem::replace(&mut self.rows[at], Draft::kept(Value::Null)));
            }
        }
        for (at, draft) in places.into_iter().zip(rank) {
            self.rows[at] = draft;
        }
        self.is_changed = true;
    }

    /// Takes away a row that the run added, or makes one again that it removed.
    fn put_back_row(&mut self, change: &FieldChange, reversal: &mut Reversal) {
        match (&change.from, &change.to) {
            (None, Some(added)) => {
                let Some(at) = self.at(&change.path) else { return };
                let is_same = CELLS.iter().all(|cell| same(&self.rows[at].row[cell]["value"], &added[cell]["value"]));
                if is_same {
                    self.rows.remove(at);
                    self.is_changed = true;
                } else {
                    reversal.leave_overtaken(change, Some(&self.rows[at].row.clone()));
                }
            }
            (Some(removed), None) => {
                let is_alike = |draft: &Draft| {
                    ["ip", "port", "protocol"]
                        .iter()
                        .all(|cell| same(&draft.row[cell]["value"], &removed[cell]["value"]))
                };
                if self.rows.iter().any(is_alike) {
                    return reversal.left.push((change.path.clone(), "a row like it is there by now".to_owned()));
                }
                // Where it stood is not known, but ids grow.
                let id = removed[ROW_ID].as_i64();
                let at = self.rows.iter().position(|draft| draft.row[ROW_ID].as_i64() > id).unwrap_or(self.rows.len());
                self.rows.insert(at, Draft { row: removed.clone(), is_new: true, cells: Vec::new() });
                self.is_changed = true;
            }
            _ => {}
        }
    }

    /// Declares all rows: one that is not declared would go.
    fn declare(self, fields: &mut Fields, origin: &Origin) {
        let located = |value: Value| Located::new(value, origin.clone());
        fields.insert(list_path(), located(json!(self.rows.len())));
        for (at, draft) in self.rows.into_iter().enumerate() {
            let path = list_path().row_at(at);
            fields.insert(path.clone(), located(Value::Null));
            let id = if draft.is_new { json!("new") } else { draft.row[ROW_ID].clone() };
            fields.insert(path.part(ROW_ID), located(id));
            if draft.is_new {
                declare_row(&path, &draft.row, fields, origin);
            }
            for (cell, lock, value) in draft.cells {
                let cell = path.part(&cell);
                match lock {
                    Some(locked) => fields.insert(lock_of(&cell), located(json!(locked))),
                    None => fields.insert(cell, located(value)),
                };
            }
        }
    }
}

/// Declares the cells of a stored row.
fn declare_row(path: &FieldPath, row: &Value, fields: &mut Fields, origin: &Origin) {
    // A cell that was never set has neither.
    let is_set = |cell: &&&str| !row[**cell]["value"].is_null() || row[**cell][LOCK].is_boolean();
    for cell in CELLS.iter().filter(is_set) {
        let (value, lock) = (&row[*cell]["value"], &row[*cell][LOCK]);
        fields.insert(path.part(cell), Located::new(value.clone(), origin.clone()));
        if lock.is_boolean() {
            fields.insert(lock_of(&path.part(cell)), Located::new(lock.clone(), origin.clone()));
        }
    }
}

/// Returns the document that makes a removed process template again.
pub(super) fn recreation(desired: &Desired, removed: &Change) -> Result<Desired, String> {
    let mut made = decode_common::present(desired);
    let origin = &desired.origin;
    let located = |value: &Value| Located::new(value.clone(), origin.clone());
    let name = decode_common::known(removed, NAME).ok_or("its name is not known")?;
    made.locator.insert("process".into(), located(name));
    if made.locate("serviceTemplate").is_none() {
        made.locator.insert("serviceTemplate".into(), located(&removed.handle["serviceTemplate"]));
    }
    let mut fields = Fields::new();
    for field in removed.before.iter().filter(|field| !field.value.is_null()) {
        if field.path != BIND_INFO {
            fields.insert(field.path.clone(), located(&field.value));
            continue;
        }
        let rows = field.value.as_array().map(Vec::as_slice).unwrap_or_default();
        fields.insert(list_path(), located(&json!(rows.len())));
        for (at, row) in rows.iter().enumerate() {
            let path = list_path().row_at(at);
            fields.insert(path.clone(), located(&Value::Null));
            fields.insert(path.part(ROW_ID), located(&json!("new")));
            declare_row(&path, row, &mut fields, origin);
        }
    }
    // The lock of what was never set says nothing.
    let unset: Vec<FieldPath> =
        removed.before.iter().filter(|field| field.value.is_null()).map(|field| lock_of(&field.path)).collect();
    unset.iter().for_each(|path| drop(fields.remove(path)));
    made.fields = fields;
    Ok(made)
}

#[cfg(test)]
mod tests;
