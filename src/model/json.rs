//! JSON values in little memory: servers answer with a hundred thousand rows.

mod pool;

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Index,
    slice,
    sync::{Arc, OnceLock},
};

pub use pool::KeyPool;
pub(super) use pool::Recent;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Number, Value};
use smol_str::SmolStr;
use triomphe::ThinArc;

use super::FieldPath;

/// A JSON value that cannot be changed. A copy shares the parts of the original, and objects of the same keys share these.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Null,
    Bool(bool),
    Number(Number),
    Text(SmolStr),
    List(ThinArc<(), Json>),
    /// The values in the order of the keys.
    Object(ThinArc<Arc<Keys>, Json>),
}

/// The keys of an object in their order.
#[derive(Debug)]
struct Keys {
    names: Box<[Arc<str>]>,
    /// The same as paths of fields, once they are asked for.
    paths: OnceLock<Box<[FieldPath]>>,
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for Keys {}

impl Hash for Keys {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.names.hash(state);
    }
}

impl Keys {
    fn paths(&self) -> &[FieldPath] {
        self.paths.get_or_init(|| self.names.iter().map(FieldPath::of_name).collect())
    }
}

static NULL: Json = Json(Repr::Null);

/// Most keys among which one is found faster by looking at all than by halving.
const FEW: usize = 24;

impl Json {
    /// The value null.
    pub const NULL: Self = Self(Repr::Null);

    /// Returns true for null.
    pub fn is_null(&self) -> bool {
        matches!(self.0, Repr::Null)
    }

    /// Returns true for a text.
    pub fn is_string(&self) -> bool {
        matches!(self.0, Repr::Text(_))
    }

    /// Returns true for true and false.
    pub fn is_boolean(&self) -> bool {
        matches!(self.0, Repr::Bool(_))
    }

    /// Returns true for a list.
    pub fn is_array(&self) -> bool {
        matches!(self.0, Repr::List(_))
    }

    /// Returns true for an object.
    pub fn is_object(&self) -> bool {
        matches!(self.0, Repr::Object(_))
    }

    /// Returns true for a whole number of 64 bits with a sign.
    pub fn is_i64(&self) -> bool {
        self.as_i64().is_some()
    }

    /// Returns true for a number.
    pub fn is_number(&self) -> bool {
        matches!(self.0, Repr::Number(_))
    }

    /// Returns a truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self.0 {
            Repr::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// Returns a number.
    pub fn as_number(&self) -> Option<&Number> {
        match &self.0 {
            Repr::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Returns a whole number.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.as_i64()
    }

    /// Returns a whole number that is not below 0.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_u64()
    }

    /// Returns a number, whole or not.
    pub fn as_f64(&self) -> Option<f64> {
        self.as_number()?.as_f64()
    }

    /// Returns a text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Repr::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the items of a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match &self.0 {
            Repr::List(items) => Some(&items.slice),
            _ => None,
        }
    }

    /// Returns the items of a list; nothing for a value of another type.
    pub fn items(&self) -> &[Self] {
        self.as_array().unwrap_or_default()
    }

    /// Returns an object.
    pub fn as_object(&self) -> Option<Object<'_>> {
        match &self.0 {
            Repr::Object(object) => Some(Object { keys: &object.header.header, values: &object.slice }),
            _ => None,
        }
    }

    /// Returns the value of a key of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// Returns the value by its type.
    pub fn view(&self) -> View<'_> {
        match &self.0 {
            Repr::Null => View::Null,
            Repr::Bool(truth) => View::Bool(*truth),
            Repr::Number(number) => View::Number(number),
            Repr::Text(text) => View::Text(text),
            Repr::List(items) => View::List(&items.slice),
            Repr::Object(object) => View::Object(Object { keys: &object.header.header, values: &object.slice }),
        }
    }

    /// Returns the same value as `serde_json` has it.
    pub fn to_value(&self) -> Value {
        match &self.0 {
            Repr::Null => Value::Null,
            Repr::Bool(truth) => Value::Bool(*truth),
            Repr::Number(number) => Value::Number(number.clone()),
            Repr::Text(text) => Value::from(&**text),
            Repr::List(items) => items.slice.iter().map(Self::to_value).collect(),
            Repr::Object(_) => {
                let entries = self.as_object().into_iter().flat_map(Object::iter);
                Value::Object(entries.map(|(key, value)| (key.to_owned(), value.to_value())).collect())
            }
        }
    }
}

/// A value by its type.
#[derive(Clone, Copy)]
pub enum View<'j> {
    /// The value null.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(&'j Number),
    /// A text.
    Text(&'j str),
    /// A list.
    List(&'j [Json]),
    /// An object.
    Object(Object<'j>),
}

/// An object: values by their keys, in the order of these.
#[derive(Clone, Copy)]
pub struct Object<'j> {
    keys: &'j Keys,
    values: &'j [Json],
}

impl<'j> Object<'j> {
    /// Returns the value of a key.
    pub fn get(self, key: &str) -> Option<&'j Json> {
        let names = &self.keys.names;
        // Lengths lie in the list itself: comparing these first reads little memory.
        let at = if names.len() <= FEW {
            names.iter().position(|name| name.len() == key.len() && **name == *key)?
        } else {
            names.binary_search_by(|name| (**name).cmp(key)).ok()?
        };
        Some(&self.values[at])
    }

    /// Returns the number of entries.
    pub fn len(self) -> usize {
        self.values.len()
    }

    /// Returns true if there is no entry.
    pub fn is_empty(self) -> bool {
        self.values.is_empty()
    }

    /// Returns the keys with their values.
    pub fn iter(self) -> impl Iterator<Item = (&'j str, &'j Json)> {
        self.into_iter()
    }

    /// Returns the keys.
    pub fn keys(self) -> impl Iterator<Item = &'j str> {
        Names(self.keys.names.iter())
    }

    /// Returns the values.
    pub fn values(self) -> impl Iterator<Item = &'j Json> {
        self.values.iter()
    }

    /// Returns the values with their keys as paths of fields.
    pub fn fields(self) -> impl Iterator<Item = (&'j FieldPath, &'j Json)> {
        self.keys.paths().iter().zip(self.values)
    }
}

impl<'j> IntoIterator for Object<'j> {
    type Item = (&'j str, &'j Json);
    type IntoIter = std::iter::Zip<Names<'j>, slice::Iter<'j, Json>>;

    fn into_iter(self) -> Self::IntoIter {
        Names(self.keys.names.iter()).zip(self.values)
    }
}

/// The keys of an object.
#[derive(Debug, Clone)]
pub struct Names<'j>(slice::Iter<'j, Arc<str>>);

impl<'j> Iterator for Names<'j> {
    type Item = &'j str;

    fn next(&mut self) -> Option<&'j str> {
        self.0.next().map(|name| &**name)
    }
}

/// The keys of objects that a kind makes, which share them.
pub struct Layout(Arc<Keys>);

impl Layout {
    /// Returns a layout of keys.
    ///
    /// # Panics
    ///
    /// If the keys are not in order.
    pub fn new(keys: &[&str]) -> Self {
        assert!(keys.is_sorted(), "{keys:?} are not in order");
        Self(Arc::new(Keys { names: keys.iter().map(|key| (*key).into()).collect(), paths: OnceLock::new() }))
    }

    /// Returns an object with the values of the keys, in their order.
    ///
    /// # Panics
    ///
    /// If there are not as many values as keys.
    pub fn object<const N: usize>(&self, values: [Json; N]) -> Json {
        assert_eq!(N, self.0.names.len(), "each key has a value");
        Json(Repr::Object(ThinArc::from_header_and_iter(self.0.clone(), values.into_iter())))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(truth) => Self(Repr::Bool(truth)),
            Value::Number(number) => Self(Repr::Number(number)),
            Value::String(text) => Self(Repr::Text(SmolStr::new(text))),
            // One value has little to share, and what was met lately takes memory of its own.
            Value::Array(_) | Value::Object(_) => KeyPool::of_one_value().json(value),
        }
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        value.clone().into()
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self(Repr::Text(text.into()))
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self(Repr::Number(number.into()))
    }
}

impl From<bool> for Json {
    fn from(truth: bool) -> Self {
        Self(Repr::Bool(truth))
    }
}

impl FromIterator<Json> for Json {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        let items: Vec<Self> = items.into_iter().collect();
        Self(Repr::List(ThinArc::from_header_and_iter((), items.into_iter())))
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::NULL
    }
}

impl<T: AsRef<str> + ?Sized> Index<&T> for Json {
    type Output = Self;

    /// Returns the value of a key, null where there is none.
    fn index(&self, key: &T) -> &Self {
        self.get(key.as_ref()).unwrap_or(&NULL)
    }
}

impl Index<usize> for Json {
    type Output = Self;

    /// Returns an item of a list, null where there is none.
    fn index(&self, at: usize) -> &Self {
        self.items().get(at).unwrap_or(&NULL)
    }
}

impl PartialEq<Value> for Json {
    fn eq(&self, other: &Value) -> bool {
        match (&self.0, other) {
            (Repr::Null, Value::Null) => true,
            (Repr::Bool(truth), Value::Bool(other)) => truth == other,
            (Repr::Number(number), Value::Number(other)) => number == other,
            (Repr::Text(text), Value::String(other)) => text == other,
            (Repr::List(items), Value::Array(others)) => {
                items.slice.len() == others.len() && items.slice.iter().zip(others).all(|(item, other)| item == other)
            }
            (Repr::Object(_), Value::Object(others)) => self.as_object().is_some_and(|entries| {
                entries.len() == others.len()
                    && entries.iter().zip(others).all(|((key, value), (other, of))| key == other && value == of)
            }),
            _ => false,
        }
    }
}

impl PartialEq<Json> for Value {
    fn eq(&self, other: &Json) -> bool {
        other == self
    }
}

impl PartialEq<str> for Json {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<i64> for Json {
    fn eq(&self, other: &i64) -> bool {
        self.as_i64() == Some(*other)
    }
}

impl PartialEq<bool> for Json {
    fn eq(&self, other: &bool) -> bool {
        self.as_bool() == Some(*other)
    }
}

impl PartialEq<&str> for Json {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Null => serializer.serialize_unit(),
            Repr::Bool(truth) => serializer.serialize_bool(*truth),
            Repr::Number(number) => number.serialize(serializer),
            Repr::Text(text) => serializer.serialize_str(text),
            Repr::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.slice.len()))?;
                items.slice.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Repr::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.slice.len()))?;
                let entries = self.as_object().into_iter().flat_map(Object::iter);
                entries.into_iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-d]|.{0,3}", inner, 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    /// Returns true if both have the same parts under the same keys and places.
    fn has_same_parts(json: &Json, value: &Value) -> bool {
        let of_keys = value.as_object().into_iter().flatten().all(|(key, part)| has_same_parts(&json[&**key], part));
        let of_items = value.as_array().into_iter().flatten().enumerate();
        of_keys
            && of_items.into_iter().all(|(at, part)| has_same_parts(&json[at], part))
            && json.as_array().map(<[Json]>::len) == value.as_array().map(Vec::len)
            && json.as_object().map(Object::len) == value.as_object().map(serde_json::Map::len)
            && (json.as_str(), json.as_i64(), json.as_u64()) == (value.as_str(), value.as_i64(), value.as_u64())
            && (json.as_f64(), json.as_bool()) == (value.as_f64(), value.as_bool())
            && (json.is_null(), json.is_string()) == (value.is_null(), value.is_string())
    }

    proptest! {
        #[test]
        fn a_value_is_kept_as_it_was(value in values(), other in values()) {
            let mut pool = KeyPool::default();
            let (json, same) = (pool.json(value.clone()), pool.json(value.clone()));
            prop_assert_eq!(&json, &same);
            prop_assert_eq!(&json, &value);
            prop_assert!(has_same_parts(&json, &value));
            prop_assert_eq!(json.to_value(), value.clone());
            prop_assert_eq!(json.to_string(), value.to_string());
            prop_assert_eq!(serde_json::to_value(&json).ok(), Some(value.clone()));
            let read = pool.parse(value.to_string().as_bytes());
            prop_assert_eq!(read.map(|read| read.to_string()).ok(), Some(value.to_string()));
            let other_json = pool.json(other.clone());
            prop_assert_eq!((json == other_json, json == other), (value == other, value == other));
        }
    }

    #[test]
    fn a_text_is_read_as_by_the_library() {
        let mut pool = KeyPool::default();
        let mut check = |text: &[u8]| {
            let expected = serde_json::from_slice::<Value>(text).ok();
            // The second time the order of the keys is known.
            for _ in 0..2 {
                let read = pool.parse(text).map(|json| json.to_value()).ok();
                assert_eq!(read, expected, "{}", String::from_utf8_lossy(text));
            }
        };
        for text in [
            r#"{"b": 1, "a": [2, {"d": "x", "c": {}}], "b": {"a": null}}"#,
            r#" {"\u0062": 1, "a\n": "\ud83d\ude00", "": [true, false, []]} "#,
            "18446744073709551615",
            "-9223372036854775808",
            "[-0.0, 1e300, 123456789012345678901234567890, 0.1, 1e999]",
            r#"{"a": 1, "b": "a text that is longer than what lies in the value", "c": ["#,
            r#"{"a": "a text that is longer than what lies in the value"}"#,
            r#"{"a": 1} x"#,
            r#"["\ud83d"]"#,
            "",
        ] {
            check(text.as_bytes());
        }
        check(b"[\"\xff\"]");
        check("[".repeat(200).as_bytes());
    }

    #[test]
    fn a_layout_makes_objects() {
        let layout = Layout::new(&["a", "b"]);
        let (one, other) = (layout.object([1.into(), "x".into()]), layout.object([Json::NULL, true.into()]));
        assert_eq!((&one, &other), (&json!({"a": 1, "b": "x"}).into(), &json!({"a": null, "b": true}).into()));
        assert_eq!([one, other].into_iter().collect::<Json>(), json!([{"a": 1, "b": "x"}, {"a": null, "b": true}]));
    }

    #[test]
    fn a_zero_keeps_its_sign() {
        let rows = KeyPool::default().json(json!([[0.0], [-0.0], {"a": [0.0]}, {"a": [-0.0]}]));
        assert_eq!(rows.to_string(), r#"[[0.0],[-0.0],{"a":[0.0]},{"a":[-0.0]}]"#);
    }

    #[test]
    fn equal_values_of_rows_are_held_once() {
        let mut pool = KeyPool::default();
        let user = |name: &str| json!({"user": {"id": name}, "note": "a text that does not lie in the value itself"});
        let rows = pool.json(json!([user("a"), user("b"), user("a")]));
        let note = |at: usize| rows[at]["note"].as_str().map(str::as_ptr);
        let users = |at: usize| rows[at]["user"].as_object().map(|user| user.values.as_ptr());
        assert_eq!((note(0), users(0)), (note(2), users(2)));
        assert_ne!(users(0), users(1));
        assert_eq!(rows, json!([user("a"), user("b"), user("a")]));
    }

    #[test]
    fn objects_of_the_same_keys_hold_them_once() {
        let mut pool = KeyPool::default();
        let rows = pool.json(json!([{"a": 1, "b": 2}, {"b": 3, "a": null}, {"a": 1}]));
        let keys = |at: usize| std::ptr::from_ref(rows[at].as_object().expect("it is an object").keys);
        assert_eq!(keys(0), keys(1));
        assert_ne!(keys(0), keys(2));
        assert_eq!(size_of::<Json>(), 24, "a row has many values, and there are many rows");
    }
}
