//! How a document says that its object is a live one that has another name.

use crate::{
    model::{Desired, Json},
    yaml,
};

/// The keys by which documents of a kind name their objects.
#[derive(Debug, Clone, Copy)]
pub struct NameKeys {
    /// The key that finds an object by its name.
    pub key: &'static str,
    /// The key that the declared fields lie below.
    pub fields: &'static str,
    /// The field that holds the name.
    pub name: &'static str,
}

impl NameKeys {
    /// Returns the line that means an object with a live name, and the field that keeps the declared one; `None` if the
    /// document finds its object by an id, or by that very name.
    pub fn hint(self, desired: &Desired, live: Option<&str>) -> Option<String> {
        let Self { key, fields, name } = self;
        let wanted = desired.locate(key).and_then(Json::as_str)?;
        let live = live.filter(|live| !live.is_empty() && *live != wanted)?;
        let kept = match desired.field(name) {
            Some(_) => String::new(),
            None => format!(", and `{name}: {}` below `{fields}`", yaml::scalar(wanted)),
        };
        Some(format!("`{key}: {}`{kept}", yaml::scalar(live)))
    }
}
