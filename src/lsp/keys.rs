//! The tables of keys that hold at a place.

use super::cursor::Cursor;
use crate::{
    config::CONFIGURATION,
    manifest::{COMMON, DOCUMENT},
    provider::{Kind, Platform},
    yaml::{Form, Key, Shape},
};

/// What may be written at a place.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A mapping with the keys of these tables.
    Mapping(Vec<&'static Form>),
    /// A value.
    Value(Shape),
}

/// Returns what may be written at the path of a cursor: for a value its shape, for a key the mapping that it belongs to.
pub(super) fn place(cursor: &Cursor, platforms: &[&dyn Platform]) -> Option<Place> {
    let is_config = cursor.kind.as_deref() == Some("Config");
    let mut place = Place::Mapping(vec![if is_config { &CONFIGURATION } else { &DOCUMENT }]);
    for (depth, key) in cursor.path.iter().enumerate() {
        place = if depth == 0 && key == "spec" {
            let kind = kind(cursor.kind.as_deref()?, platforms)?;
            Place::Mapping(vec![kind.spec_form(), &COMMON])
        } else {
            below(&place, key)?
        };
    }
    Some(place)
}

/// Returns a kind by its name.
pub(super) fn kind(name: &str, platforms: &[&dyn Platform]) -> Option<&'static dyn Kind> {
    platforms.iter().flat_map(|platform| platform.kinds()).find(|kind| kind.name() == name).copied()
}

/// Returns the keys that a place has.
pub(super) fn keys(place: &Place) -> Vec<&'static Key> {
    match place {
        Place::Mapping(forms) => forms.iter().flat_map(|form| form.keys).collect(),
        Place::Value(shape) => forms(shape).iter().flat_map(|form| form.keys).collect(),
    }
}

fn below(place: &Place, name: &str) -> Option<Place> {
    if let Some(key) = keys(place).into_iter().find(|key| key.name == name) {
        return Some(Place::Value(key.shape));
    }
    match place {
        Place::Value(Shape::MappingOf(value)) => Some(Place::Value(**value)),
        Place::Value(_) | Place::Mapping(_) => None,
    }
}

/// Returns the mappings that a value can be, or that the items of a list can be.
fn forms(shape: &Shape) -> Vec<&'static Form> {
    match shape {
        Shape::Mapping(form) => vec![form],
        Shape::List(item, _) => forms(item),
        Shape::AnyOf(shapes) => shapes.iter().flat_map(forms).collect(),
        Shape::Secret => vec![&crate::config::SOURCE],
        _ => Vec::new(),
    }
}

/// Returns the words that a value can be.
pub(super) fn words(shape: &Shape) -> Vec<&'static str> {
    match shape {
        Shape::OneOf(words) => words.to_vec(),
        Shape::Boolean => vec!["true", "false"],
        Shape::List(item, _) => words(item),
        Shape::AnyOf(shapes) => shapes.iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
}
