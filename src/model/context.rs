//! The surroundings that the creation of an object needs, with placeholders for ids that are not known yet.

use std::{collections::BTreeMap, ops::Index};

use serde_json::{Value, json};

use super::{Json, ResourceId};

/// The key of a placeholder in the arguments of a call.
const PLACEHOLDER: &str = "$handle";
/// The key beside it that says which of several ids of the object is meant.
const PART: &str = "$part";

/// The surroundings that the creation of an object needs, such as the ids of the ends of an association.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreateContext {
    /// Labels of the live objects that the new one will hang on.
    pub depends_on: Vec<String>,
    handle: Json,
    made: BTreeMap<String, ResourceId>,
}

/// The context of an object that is there.
static NONE: CreateContext = CreateContext { depends_on: Vec::new(), handle: Json::NULL, made: BTreeMap::new() };

impl CreateContext {
    /// Returns a context of ids and names by their keys. The kind chooses these, as in its handles.
    pub fn new(handle: impl Into<Json>) -> Self {
        Self { handle: handle.into(), ..Self::default() }
    }

    /// Returns the context of an object that is there: nothing.
    pub fn none() -> &'static Self {
        &NONE
    }

    /// Sets an id that is known.
    pub fn set(&mut self, key: &str, id: Value) {
        self.made.remove(key);
        self.put(key, id);
    }

    /// Sets the id of an object that the run is yet to make.
    pub fn set_made(&mut self, key: &str, id: &ResourceId) {
        self.put(key, placeholder(id));
        self.made.insert(key.to_owned(), id.clone());
    }

    fn put(&mut self, key: &str, id: Value) {
        let mut handle = self.handle.to_value();
        handle[key] = id;
        self.handle = handle.into();
    }

    /// Returns all ids and names, as a handle has them. Placeholders stand for those that are not known yet.
    pub fn handle(&self) -> &Json {
        &self.handle
    }

    /// Returns the objects that have to be made first.
    pub fn made(&self) -> impl Iterator<Item = &ResourceId> {
        self.made.values()
    }

    /// Returns true if this is a context that was known before, where any id will do for one that was not known then.
    pub fn continues(&self, before: &Self) -> bool {
        match (before.handle.as_object(), self.handle.as_object()) {
            (Some(was), Some(is)) => {
                let fits = |(key, was): (&str, &Json)| {
                    is.get(key).is_some_and(|is| before.made.contains_key(key) || was == is)
                };
                was.len() == is.len() && was.into_iter().all(fits)
            }
            _ => false,
        }
    }
}

impl Index<&str> for CreateContext {
    type Output = Json;

    fn index(&self, key: &str) -> &Json {
        &self.handle[key]
    }
}

/// Returns what stands in the arguments of a call for the id of an object that an earlier call makes.
pub fn placeholder(id: &ResourceId) -> Value {
    json!({PLACEHOLDER: id.to_string()})
}

/// Returns what stands for one of the ids of an object that an earlier call makes, by its name in the object's handle.
pub fn part_placeholder(id: &ResourceId, part: &str) -> Value {
    json!({PLACEHOLDER: id.to_string(), PART: part})
}

/// Returns the address of the object for whose id a value stands; `None` if it is no placeholder.
pub fn placeholder_of(value: &Value) -> Option<&str> {
    let entries = value.as_object()?;
    let is_whole = entries.len() == 1 || (entries.len() == 2 && entries.contains_key(PART));
    entries.get(PLACEHOLDER).filter(|_| is_whole)?.as_str()
}

/// Returns which of several ids a placeholder stands for; `None` if the object has one.
pub fn placeholder_part(value: &Value) -> Option<&str> {
    value.get(PART)?.as_str()
}

/// Returns the address of the object for whose id a value of a context stands; `None` if it is no placeholder.
pub fn placeholder_in(value: &Json) -> Option<&str> {
    let entries = value.as_object()?;
    let is_whole = entries.len() == 1 || (entries.len() == 2 && entries.get(PART).is_some());
    entries.get(PLACEHOLDER).filter(|_| is_whole)?.as_str()
}

/// Returns true if a placeholder stands anywhere in the arguments of a call.
pub fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::Object(entries) => placeholder_of(value).is_some() || entries.values().any(has_placeholder),
        Value::Array(items) => items.iter().any(has_placeholder),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_goes_on_where_ids_come_to_be_known() {
        let id = ResourceId::new("Instance", "a");
        let with = |source: Option<i64>, target: i64| {
            let mut context = CreateContext::new(json!({"target": target}));
            match source {
                Some(source) => context.set("source", json!(source)),
                None => context.set_made("source", &id),
            }
            context
        };
        let check = |now: &CreateContext, before: &CreateContext, expected: bool| {
            assert_eq!(now.continues(before), expected, "{now:?} after {before:?}");
        };
        check(&with(Some(7), 2), &with(None, 2), true);
        check(&with(Some(7), 2), &with(Some(7), 2), true);
        check(&with(Some(7), 2), &with(Some(8), 2), false);
        check(&with(Some(7), 3), &with(None, 2), false);
        check(&with(None, 2), &with(Some(7), 2), false);
        check(&CreateContext::new(json!({"target": 2})), &with(None, 2), false);
        check(CreateContext::none(), CreateContext::none(), false);
        assert_eq!(with(None, 2).made().collect::<Vec<_>>(), [&id]);
        assert_eq!(placeholder_in(&with(None, 2)["source"]), Some("Instance/a"));
    }

    #[test]
    fn placeholders_are_found_wherever_they_stand() {
        let id = ResourceId::new("Instance", "a");
        let check = |value: Value, expected: bool| assert_eq!(has_placeholder(&value), expected, "{value}");
        check(json!({"data": [{"id": placeholder(&id)}]}), true);
        check(json!([part_placeholder(&id, "module")]), true);
        check(json!({"data": "{\"$handle\": \"Instance/a\"}"}), false);
        check(json!({"data": {"$handle": "Instance/a", "more": 1}}), false);
    }
}
