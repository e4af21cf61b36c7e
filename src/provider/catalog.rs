//! What a platform defines of its objects, and the names that live ones have: for completion and schemas.

use std::collections::{BTreeMap, BTreeSet};

/// Characters of the longest live value that is offered as a name.
const LONG: usize = 120;

/// The values that a field takes, as far as it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// One of the options, by its id or its display name.
    Option,
    /// Any of the options, by their ids or display names.
    Options,
    /// A list of users, or their names joined by commas.
    Users,
    /// A list of ids.
    Ids,
    /// Anything.
    Any,
}

/// An option of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldOption {
    /// Its id.
    pub id: String,
    /// Its display name; the id where it has none.
    pub name: String,
}

/// The definition of a field of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDefinition {
    /// Its display name.
    pub name: String,
    /// The platform's name of its type.
    pub type_name: String,
    /// The values that it takes.
    pub kind: FieldKind,
    /// Its options.
    pub options: Vec<FieldOption>,
    /// The least and the greatest number.
    pub bounds: (Option<f64>, Option<f64>),
    /// A document can declare it.
    pub is_editable: bool,
    /// A document can find an object by it.
    pub is_key: bool,
    /// It always has a value.
    pub is_required: bool,
}

/// The fields of a model by their ids.
pub type FieldTable = BTreeMap<String, FieldDefinition>;

/// Definitions and names, by the kind of document that they are for. Kinds whose objects are all of one model have an
/// empty text for it.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    fields: BTreeMap<(&'static str, String), FieldTable>,
    values: BTreeMap<(&'static str, String, String), BTreeSet<String>>,
}

impl Catalog {
    /// Adds the fields of a model. One that is defined in two ways, such as by two businesses, takes anything.
    pub fn add_fields(
        &mut self,
        kind: &'static str,
        model: &str,
        fields: impl IntoIterator<Item = (String, FieldDefinition)>,
    ) {
        let table = self.fields.entry((kind, model.to_owned())).or_default();
        for (id, field) in fields {
            match table.get_mut(&id) {
                Some(known) if *known != field => {
                    (known.kind, known.options, known.bounds) = (FieldKind::Any, Vec::new(), (None, None));
                    known.is_editable |= field.is_editable;
                }
                Some(_) => {}
                None => drop(table.insert(id, field)),
            }
        }
    }

    /// Adds live values of a key of documents. A kind without a name stands for all kinds.
    pub fn add_values<'v>(
        &mut self,
        kind: &'static str,
        model: &str,
        key: &str,
        values: impl IntoIterator<Item = &'v str>,
    ) {
        let known = self.values.entry((kind, model.to_owned(), key.to_owned())).or_default();
        let is_name = |value: &&str| !value.is_empty() && value.chars().nth(LONG).is_none();
        for value in values.into_iter().filter(is_name) {
            if !known.contains(value) {
                known.insert(value.to_owned());
            }
        }
    }

    /// Adds all of another catalog.
    pub fn extend(&mut self, other: Self) {
        for ((kind, model), fields) in other.fields {
            self.add_fields(kind, &model, fields);
        }
        for ((kind, model, key), values) in other.values {
            self.add_values(kind, &model, &key, values.iter().map(String::as_str));
        }
    }

    /// Returns the models of a kind whose fields are known.
    pub fn models(&self, kind: &str) -> impl Iterator<Item = &str> {
        let own = self.fields.keys().filter(move |(other, model)| *other == kind && !model.is_empty());
        own.map(|(_, model)| model.as_str())
    }

    /// Returns the fields of a model.
    pub fn fields(&self, kind: &str, model: &str) -> Option<&FieldTable> {
        self.fields.iter().find(|((of, name), _)| *of == kind && name == model).map(|(_, fields)| fields)
    }

    /// Returns the live values of a key of documents, in order.
    pub fn values(&self, kind: &str, model: &str, key: &str) -> impl Iterator<Item = &str> {
        let is_meant = move |(of, name, path): &(&'static str, String, String)| {
            (of.is_empty() || *of == kind) && (of.is_empty() || name == model) && path == key
        };
        let meant = self.values.iter().filter(move |(place, _)| is_meant(place));
        meant.flat_map(|(_, values)| values.iter().map(String::as_str))
    }
}
