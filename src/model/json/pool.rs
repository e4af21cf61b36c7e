//! Values that share what they have in common: keys, and equal parts that were met lately.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    hash::{BuildHasher, Hash, Hasher},
    sync::{Arc, OnceLock},
};

use foldhash::fast::RandomState;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};
use smallvec::SmallVec;
use smol_str::SmolStr;
use triomphe::ThinArc;

use super::{Json, Keys, Repr, View};

/// Values that were met lately. Rows of a list repeat many: a time, a user, a switch with its lock.
#[derive(Debug, Default)]
pub(in crate::model) struct Recent {
    /// By their hashes; another value of the same place takes it over. Empty until there is a value.
    values: Vec<Json>,
    hashes: RandomState,
    /// True if nothing is kept: there is too little to share.
    is_off: bool,
}

impl Recent {
    /// Number of values that are kept.
    const KEPT: usize = 1024;
    /// Largest list or object that is looked at: larger ones are rarely the same.
    const LARGEST: usize = 8;
    /// Longest text that takes no memory beside the value itself.
    const INLINE: usize = 23;

    /// Returns false for what may equal a value that is written in another way: `-0.0` is `0.0`.
    fn is_exact(value: &Json) -> bool {
        match value.view() {
            View::Number(number) => !number.is_f64(),
            View::List(items) => items.iter().all(Self::is_exact),
            View::Object(object) => object.values().all(Self::is_exact),
            View::Null | View::Bool(_) | View::Text(_) => true,
        }
    }

    /// Puts an equal value in place of one, if it takes memory of its own and was met lately.
    pub(in crate::model) fn share(&mut self, value: &mut Json) {
        if self.is_off {
            return;
        }
        let is_worth = match value.view() {
            View::Text(text) => {
                if text.len() > Self::INLINE {
                    *value = self.text(text);
                }
                return;
            }
            View::List(items) => items.len() <= Self::LARGEST && items.iter().all(Self::is_exact),
            View::Object(object) => object.len() <= Self::LARGEST && object.values().all(Self::is_exact),
            View::Null | View::Bool(_) | View::Number(_) => false,
        };
        if !is_worth {
            return;
        }
        let known = self.place(&*value);
        if known == value {
            *value = known.clone();
        } else {
            *known = value.clone();
        }
    }

    /// Returns a text. One that was met lately takes no memory of its own.
    fn text(&mut self, text: &str) -> Json {
        let make = || Json(Repr::Text(SmolStr::new(text)));
        if self.is_off || text.len() <= Self::INLINE {
            return make();
        }
        let known = self.place(text);
        if known.as_str() != Some(text) {
            *known = make();
        }
        known.clone()
    }

    fn place(&mut self, value: &(impl Hash + ?Sized)) -> &mut Json {
        if self.values.is_empty() {
            self.values = vec![Json::NULL; Self::KEPT];
        }
        let place = usize::try_from(self.hashes.hash_one(value)).unwrap_or(usize::MAX) % Self::KEPT;
        &mut self.values[place]
    }
}

/// The parts that values have in common: lists of keys, and values that were met lately.
#[derive(Debug, Default)]
pub struct KeyPool {
    recent: Recent,
    /// By the hashes of the keys.
    lists: HashMap<u64, SmallVec<[Arc<Keys>; 1]>, RandomState>,
    names: HashSet<Arc<str>, RandomState>,
    /// By the hashes of keys that came in another order than theirs.
    orders: HashMap<u64, SmallVec<[Order; 1]>, RandomState>,
    /// The finished parts of lists and objects that are not finished, those of the innermost last.
    parts: Vec<Json>,
}

/// The order in which an object's keys come. All rows of a list come in the same.
#[derive(Debug)]
struct Order {
    /// The keys as they come.
    names: Box<[Arc<str>]>,
    /// Which of them is the first in their order, the second, and so on.
    places: Box<[usize]>,
    keys: Arc<Keys>,
}

impl KeyPool {
    /// Number of orders of keys that are kept.
    const ORDERS: usize = 1024;

    /// Returns the pool of a single value, which has little to share: what was met lately takes memory of its own.
    pub(super) fn of_one_value() -> Self {
        Self { recent: Recent { is_off: true, ..Recent::default() }, ..Self::default() }
    }

    /// Returns a value whose objects share their keys with others that were made of the same pool.
    pub fn json(&mut self, value: Value) -> Json {
        let start = self.parts.len();
        match value {
            Value::Null => Json::NULL,
            Value::Bool(truth) => truth.into(),
            Value::Number(number) => Json(Repr::Number(number)),
            Value::String(text) => self.recent.text(&text),
            Value::Array(items) => {
                items.into_iter().for_each(|item| self.add(item));
                self.list(start)
            }
            Value::Object(entries) => {
                let keys = self.keys(entries.keys().map(String::as_str));
                entries.into_iter().for_each(|(_, value)| self.add(value));
                self.object(keys, start)
            }
        }
    }

    /// Returns the value of a JSON text, as [`KeyPool::json`] does: no other form of it is made on the way.
    pub fn parse(&mut self, text: &[u8]) -> serde_json::Result<Json> {
        let text = std::str::from_utf8(text).map_err(serde_json::Error::custom)?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Part(self).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
        // Of a text that is no JSON, parts are left over.
        self.parts.clear();
        value
    }

    fn add(&mut self, value: Value) {
        let part = self.json(value);
        self.parts.push(part);
    }

    /// Returns the list of the parts from `start` on.
    fn list(&mut self, start: usize) -> Json {
        let mut list = Json(Repr::List(ThinArc::from_header_and_iter((), self.parts.drain(start..))));
        self.recent.share(&mut list);
        list
    }

    /// Returns the object of the parts from `start` on.
    fn object(&mut self, keys: Arc<Keys>, start: usize) -> Json {
        let mut object = Json(Repr::Object(ThinArc::from_header_and_iter(keys, self.parts.drain(start..))));
        self.recent.share(&mut object);
        object
    }

    /// Returns the keys with these names, which are in order.
    fn keys<'k>(&mut self, names: impl Iterator<Item = &'k str> + Clone) -> Arc<Keys> {
        let mut hasher = self.lists.hasher().build_hasher();
        names.clone().for_each(|name| name.hash(&mut hasher));
        let lists = self.lists.entry(hasher.finish()).or_default();
        let is_same = |list: &&Arc<Keys>| list.names.iter().map(|name| &**name).eq(names.clone());
        if let Some(known) = lists.iter().find(is_same) {
            return known.clone();
        }
        let own = names.map(|name| {
            if let Some(known) = self.names.get(name) {
                return known.clone();
            }
            let name: Arc<str> = name.into();
            self.names.insert(name.clone());
            name
        });
        let keys = Arc::new(Keys { names: own.collect(), paths: OnceLock::new() });
        lists.push(keys.clone());
        keys
    }

    /// Puts the parts of an object from `start` on into the order of their keys, and returns these. Of parts with the same
    /// key the last stays.
    fn sorted(&mut self, names: &Names<'_>, start: usize) -> Arc<Keys> {
        let mut hasher = self.orders.hasher().build_hasher();
        names.iter().for_each(|name| name.hash(&mut hasher));
        let hash = hasher.finish();
        let is_same = |order: &&Order| order.names.iter().map(|name| &**name).eq(names.iter().map(|name| &**name));
        if let Some(order) = self.orders.get(&hash).and_then(|orders| orders.iter().find(is_same)) {
            let mut parts: SmallVec<[Json; 16]> = self.parts.drain(start..).collect();
            self.parts.extend(order.places.iter().map(|place| std::mem::take(&mut parts[*place])));
            return order.keys.clone();
        }
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, name) in names.iter().enumerate() {
            places.insert(name, place);
        }
        let keys = self.keys(places.keys().copied());
        let mut parts: Vec<Json> = self.parts.drain(start..).collect();
        self.parts.extend(places.values().map(|place| std::mem::take(&mut parts[*place])));
        let name = |name: &Cow<'_, str>| self.names.get(&**name).cloned().unwrap_or_else(|| (&**name).into());
        let order = Order {
            names: names.iter().map(name).collect(),
            places: places.into_values().collect(),
            keys: keys.clone(),
        };
        // A server that mixes its keys anew in each row is not to fill the memory.
        if self.orders.len() < Self::ORDERS {
            self.orders.entry(hash).or_default().push(order);
        }
        keys
    }
}

/// The keys of an object that is being read. Rows seldom have more.
type Names<'t> = SmallVec<[Cow<'t, str>; 16]>;

/// Reads a value into a pool.
struct Part<'p>(&'p mut KeyPool);

impl<'t> DeserializeSeed<'t> for Part<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Part<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::NULL)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json(Repr::Number(number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Number::from_f64(number).map_or(Json::NULL, |number| Json(Repr::Number(number))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(self.0.recent.text(text))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<Json, A::Error> {
        let start = self.0.parts.len();
        while let Some(item) = items.next_element_seed(Part(self.0))? {
            self.0.parts.push(item);
        }
        Ok(self.0.list(start))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut entries: A) -> Result<Json, A::Error> {
        let start = self.0.parts.len();
        let mut keys = Names::new();
        while let Some(key) = entries.next_key_seed(Name)? {
            let part = entries.next_value_seed(Part(self.0))?;
            keys.push(key);
            self.0.parts.push(part);
        }
        let keys = if keys.is_sorted_by(|key, next| key < next) {
            self.0.keys(keys.iter().map(|key| &**key))
        } else {
            self.0.sorted(&keys, start)
        };
        Ok(self.0.object(keys, start))
    }
}

/// Reads a key, which is copied only where it is written with escapes.
struct Name;

impl<'t> DeserializeSeed<'t> for Name {
    type Value = Cow<'t, str>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for Name {
    type Value = Cow<'t, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'t str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
