//! Rows of spreadsheets as documents.

use super::ExportedObject;
use crate::model::{Desired, ObservedState};

/// A row with an instance.
#[derive(Debug, Clone, Default)]
pub struct SheetRow {
    /// Its number in the sheet, from 1.
    pub number: u32,
    /// The texts of its cells by the ids of their fields. Empty cells are left out.
    pub cells: Vec<(String, String)>,
}

/// A row with an association of two instances.
#[derive(Debug, Clone)]
pub struct LinkRow {
    /// Its number in the sheet, from 1.
    pub number: u32,
    /// The association between the models.
    pub association: String,
    /// What finds the source, such as `Name=core-sw-1`: display names or ids of fields with their values, with commas
    /// between them.
    pub source: String,
    /// What finds the target.
    pub target: String,
}

/// A scope into which rows are brought, written like a document.
pub struct ImportScope<'a> {
    /// The scope.
    pub scope: &'a Desired,
    /// The rows with instances.
    pub rows: &'a [SheetRow],
    /// The rows with associations.
    pub links: &'a [LinkRow],
    /// Returns the name of the document of the instance in a row.
    pub name_of: &'a dyn Fn(u32) -> Option<String>,
}

/// What is wrong with a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellProblem {
    /// The number of the row, from 1.
    pub row: u32,
    /// The id of the field; empty for the row as a whole.
    pub field: String,
    /// The problem.
    pub message: String,
}

/// Rows as documents.
#[derive(Debug, Default)]
pub struct Imported {
    /// The documents, each with the number of its row.
    pub objects: Vec<(u32, ExportedObject)>,
    /// What is wrong.
    pub problems: Vec<CellProblem>,
}

/// The result of bringing in rows, or why there is none at all.
pub type ImportResult = Result<Imported, ObservedState>;
