//! Reads the platform's section of a state file, checks it, and fills in what a row may leave out.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::simulator::StateError;

use super::{
    built_in, moment,
    row::Row,
    table::Table,
    world::{Credentials, INNER, Tables, Version, World, id_field, name_field},
};

mod association;
mod definition;
mod object;
mod process;

/// All sections of a state.
const SECTIONS: [&str; 23] = [
    "version",
    "businesses",
    "sets",
    "modules",
    "objects",
    "attributes",
    "uniques",
    "object_associations",
    "association_kinds",
    "instances",
    "instance_associations",
    "service_categories",
    "service_templates",
    "process_templates",
    "host_relations",
    "service_instances",
    "set_templates",
    "set_template_service_templates",
    "quoted_instances",
    "service_template_attributes",
    "next_ids",
    "credentials",
    "time_zone",
];

/// A state being read: what is read so far, and every mistake found.
pub(super) struct Loader<'a> {
    state: &'a Map<String, Value>,
    world: World,
    now: String,
    plain_now: String,
    errors: Vec<StateError>,
}

/// Reads a state.
pub(super) fn load(state: &Value, now: Timestamp, version: Version) -> Result<World, Vec<StateError>> {
    let Some(map) = state.as_object() else {
        return Err(vec![StateError { pointer: String::new(), message: "expected an object of sections".into() }]);
    };
    let mut world = World::new();
    world.version = version;
    let (text, plain) = (moment::text(now), moment::plain_text(now));
    let mut loader = Loader { state: map, world, now: text, plain_now: plain, errors: Vec::new() };
    for name in map.keys().filter(|name| !SECTIONS.contains(&name.as_str())) {
        loader.error(&format!("/{name}"), format!("unknown section `{name}`"));
    }
    loader.version();
    loader.definitions();
    loader.objects();
    loader.instances();
    loader.quoted_instances();
    loader.associations();
    loader.processes();
    loader.template_attributes();
    loader.set_templates();
    loader.service_instances();
    loader.credentials();
    loader.next_ids();
    if loader.errors.is_empty() { Ok(loader.world) } else { Err(loader.errors) }
}

/// The ids of the processes of a service instance.
fn process_ids(row: &Row) -> impl Iterator<Item = i64> {
    let processes = row.get("process_instances").and_then(Value::as_array).into_iter().flatten();
    processes.filter_map(|process| process.pointer("/process/bk_process_id")?.as_i64())
}

/// Reads credentials alone; pointers start at them.
pub(super) fn credentials_alone(credentials: &Value) -> Result<Credentials, Vec<StateError>> {
    let state = Map::from_iter([("credentials".to_owned(), credentials.clone())]);
    let mut loader =
        Loader { state: &state, world: World::new(), now: String::new(), plain_now: String::new(), errors: Vec::new() };
    loader.credentials();
    if loader.errors.is_empty() {
        return Ok(loader.world.credentials);
    }
    let below = |error: StateError| StateError { pointer: error.pointer.replacen("/credentials", "", 1), ..error };
    Err(loader.errors.into_iter().map(below).collect())
}

/// Reads a version; longer ones such as `3.14.8-beta1` count by their first two numbers.
pub(super) fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split(['.', '-']);
    let (major, minor) = (numbers.next()?.parse::<u32>().ok()?, numbers.next()?.parse::<u32>().ok()?);
    match (major, minor) {
        (3, 9) => Some(Version::V3_9),
        (3, 10..=13) => Some(Version::V3_10),
        (3, 14..) => Some(Version::V3_14),
        _ => None,
    }
}

impl<'a> Loader<'a> {
    fn error(&mut self, pointer: &str, message: impl Into<String>) {
        self.errors.push(StateError { pointer: pointer.to_owned(), message: message.into() });
    }

    /// Returns the rows of a section with their pointers.
    fn section(&mut self, name: &'static str) -> Vec<(String, &'a Map<String, Value>)> {
        let state = self.state;
        state.get(name).map(|value| self.rows(&format!("/{name}"), value)).unwrap_or_default()
    }

    fn rows(&mut self, pointer: &str, value: &'a Value) -> Vec<(String, &'a Map<String, Value>)> {
        let items = match value {
            Value::Null => return Vec::new(),
            Value::Array(items) => items,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.error(pointer, "expected a list of rows");
                return Vec::new();
            }
        };
        let mut rows = Vec::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            match item.as_object() {
                Some(row) => rows.push((format!("{pointer}/{position}"), row)),
                None => self.error(&format!("{pointer}/{position}"), "expected a row, which is an object"),
            }
        }
        rows
    }

    /// Returns a row with shared names.
    fn row(&mut self, map: &Map<String, Value>) -> Row {
        Row::from_map(map, &mut self.world.names)
    }

    /// Checks that a cell holds an id.
    fn id(&mut self, pointer: &str, row: &Row, field: &str) -> Option<i64> {
        let found = row.get(field).and_then(Value::as_i64).filter(|id| *id >= 0);
        if found.is_none() {
            self.error(&format!("{pointer}/{field}"), format!("`{field}` must be a whole number, not negative"));
        }
        found
    }

    /// Checks that a cell holds a text that is not empty.
    fn text(&mut self, pointer: &str, row: &Row, field: &str) -> bool {
        let fine = !row.text(field).trim().is_empty();
        if !fine {
            self.error(&format!("{pointer}/{field}"), format!("`{field}` must be a text that is not empty"));
        }
        fine
    }

    /// Stores a row unless its id or a unique key is taken.
    fn store(&mut self, pointer: &str, row: Row, table: impl Fn(&mut Tables) -> Option<&mut Table>) {
        let Some(target) = table(&mut self.world.tables) else { return };
        let key = target.key;
        let Some(id) = row.get(key).and_then(Value::as_i64).filter(|id| *id >= 0) else {
            self.error(&format!("{pointer}/{key}"), format!("`{key}` must be a whole number, not negative"));
            return;
        };
        if target.get(id).is_some() {
            self.error(&format!("{pointer}/{key}"), format!("`{key}` {id} is there twice"));
            return;
        }
        if let Some(unique) = target.conflict(id, &row) {
            let message = format!("another row has the same unique key:{}", unique.describe(&row).trim_end());
            self.error(pointer, message);
            return;
        }
        target.put(id, Some(Arc::new(row)));
    }

    fn version(&mut self) {
        match self.state.get("version") {
            None => {}
            Some(Value::String(text)) if version(text).is_some() => {
                self.world.version = version(text).unwrap_or(Version::V3_14);
            }
            Some(_) => self.error("/version", "expected a version from \"3.9\" on, as a text"),
        }
        match self.state.get("time_zone").map(|zone| zone.as_str().map(jiff::tz::TimeZone::get)) {
            None => {}
            Some(Some(Ok(zone))) => self.world.zone = zone,
            Some(_) => self.error("/time_zone", "expected the name of a time zone such as \"Asia/Shanghai\""),
        }
    }

    fn credentials(&mut self) {
        let Some(section) = self.state.get("credentials") else { return };
        let Some(section) = section.as_object() else {
            return self.error("/credentials", "expected an object");
        };
        let mut credentials = Credentials::default();
        for (name, value) in section {
            let pointer = format!("/credentials/{name}");
            match name.as_str() {
                "apps" => credentials.apps = self.texts(&pointer, value),
                "tokens" => credentials.tokens = self.texts(&pointer, value),
                "users" => match value.as_array() {
                    Some(users) if users.iter().all(Value::is_string) => {
                        credentials.users = users.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                    }
                    _ => self.error(&pointer, "expected a list of user names"),
                },
                _ => self.error(&pointer, "expected `apps`, `users` or `tokens`"),
            }
        }
        self.world.credentials = credentials;
    }

    fn texts(&mut self, pointer: &str, value: &Value) -> BTreeMap<String, String> {
        let Some(map) = value.as_object() else {
            self.error(pointer, "expected an object of texts");
            return BTreeMap::new();
        };
        let mut texts = BTreeMap::new();
        for (name, value) in map {
            match value.as_str() {
                Some(text) => {
                    texts.insert(name.clone(), text.to_owned());
                }
                None => self.error(&format!("{pointer}/{name}"), "expected a text"),
            }
        }
        texts
    }

    /// Reads the counters; one that is missing is one above the highest id.
    fn next_ids(&mut self) {
        let mut least: BTreeMap<String, i64> = BTreeMap::new();
        let above = |table: &Table| table.rows().next_back().map_or(1, |(id, _)| id.saturating_add(1));
        let tables = &self.world.tables;
        for (name, table) in [
            ("biz", &tables.businesses),
            ("set", &tables.sets),
            ("module", &tables.modules),
            ("instance_association", &tables.associations),
            ("process_template", &tables.process_templates),
            ("service_template", &tables.service_templates),
            ("service_category", &tables.service_categories),
        ] {
            least.insert(name.to_owned(), above(table));
        }
        let processes = tables.service_instances.rows().flat_map(|(_, row)| process_ids(row)).max().unwrap_or(0);
        for (name, table) in [
            ("attribute", &tables.attributes),
            ("object", &tables.objects),
            ("set_template", &tables.set_templates),
            ("service_template_attribute", &tables.template_attributes),
            ("service_instance", &tables.service_instances),
        ] {
            least.insert(name.to_owned(), above(table));
        }
        least.insert("process".to_owned(), processes + 1);
        let common = |model: &str| !INNER.contains(&model);
        for (model, table) in &tables.instances {
            least.insert(model.clone(), above(table));
        }
        if !tables.quoted.is_empty() {
            let next = tables.quoted.values().map(|quoted| above(&quoted.table)).max().unwrap_or(1);
            least.insert("quoted_instance".to_owned(), next);
        }
        if let Some(value) = self.state.get("next_ids") {
            match value.as_object() {
                None => self.error("/next_ids", "expected an object of counters"),
                Some(counters) => {
                    for (name, value) in counters {
                        let pointer = format!("/next_ids/{name}");
                        match (value.as_i64(), least.get(name).copied()) {
                            (None, _) => self.error(&pointer, "expected a whole number"),
                            (Some(_), None) => self.error(&pointer, format!("there is no model or sequence `{name}`")),
                            (Some(next), Some(at_least)) if next < at_least => {
                                self.error(&pointer, format!("{next} is given out already; the least is {at_least}"));
                            }
                            (Some(next), Some(_)) => {
                                least.insert(name.clone(), next);
                            }
                        }
                    }
                }
            }
        }
        // All common models share one sequence.
        let shared = least
            .iter()
            .filter(|(name, _)| self.world.tables.instances.contains_key(*name) && common(name))
            .map(|(_, next)| *next)
            .max();
        if let Some(shared) = shared {
            for (name, next) in &mut least {
                if self.world.tables.instances.contains_key(name) && common(name) {
                    *next = shared;
                }
            }
        }
        self.world.next_ids = least;
    }
}
