//! The comparison rules: what of an answer counts, and how new ids are followed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;
use serde_json::{Map, Value, json};

/// Ids that the server gave out, by the name the scenario has for them.
pub(crate) type Bound = BTreeMap<String, Value>;

/// An id that no earlier step gave.
#[derive(Debug)]
pub(crate) struct Unbound(pub(crate) String);

/// Keys whose values match any time.
const TIMES: [&str; 4] = ["create_time", "last_time", "bk_created_at", "bk_updated_at"];

/// Keys whose values are texts for people.
const TEXTS: [&str; 2] = ["bk_error_msg", "message"];

/// Lists of rows, in order only where the request or the step says so.
const ROWS: [&str; 3] = ["$.data", "$.data.info", "$.data.association"];

/// Lists of rows that are never in order.
const SIDES: [&str; 3] = ["$.data.src", "$.data.dst", "$.data.module"];

fn variable(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}').filter(|name| !name.contains(['$', '{', '}']))
}

fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// Puts the ids bound so far into a text.
pub(crate) fn fill_text(text: &str, bound: &Bound) -> Result<String, Unbound> {
    let mut filled = text.to_owned();
    for name in variables(text) {
        let id = bound.get(name).ok_or_else(|| Unbound(name.to_owned()))?;
        filled = filled.replace(&format!("${{{name}}}"), &id.to_string());
    }
    Ok(filled)
}

/// Puts the ids bound so far into a request; a text that is nothing but an id becomes the number.
pub(crate) fn fill(value: &Value, bound: &Bound) -> Result<Value, Unbound> {
    Ok(match value {
        Value::String(text) => match variable(text) {
            Some(name) => bound.get(name).cloned().ok_or_else(|| Unbound(name.to_owned()))?,
            None => Value::String(fill_text(text, bound)?),
        },
        Value::Array(items) => Value::Array(items.iter().map(|item| fill(item, bound)).collect::<Result<_, _>>()?),
        Value::Object(map) => {
            let filled = map.iter().map(|(name, value)| Ok((name.clone(), fill(value, bound)?)));
            Value::Object(filled.collect::<Result<Map<_, _>, Unbound>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// Compares an answer with the recorded one; returns what differs and binds new ids.
pub(crate) fn judge(step: &Value, status: u16, body: Value, bound: &mut Bound) -> Vec<String> {
    let request = &step["request"];
    let sorted = request["body"]["page"]["sort"].as_str().is_some_and(|sort| !sort.is_empty());
    let ordered = step.get("ordered").and_then(Value::as_bool).unwrap_or(sorted);
    let mut matching = Match { bound: bound.clone(), ordered, differences: Vec::new() };
    let expected = &step["response"];
    if expected["status"] != json!(status) {
        matching.note("status", &expected["status"], &json!(status));
    }
    if let Some(recorded) = expected.get("body") {
        matching.body(recorded.clone(), body);
    }
    *bound = matching.bound;
    matching.differences
}

struct Match {
    bound: Bound,
    ordered: bool,
    differences: Vec<String>,
}

impl Match {
    fn note(&mut self, path: &str, expected: &Value, found: &Value) {
        let short = |value: &Value| value.to_string().chars().take(160).collect::<String>();
        self.differences.push(format!("{path}: expected {}, got {}", short(expected), short(found)));
    }

    fn body(&mut self, mut expected: Value, mut found: Value) {
        if expected.get("result").is_some() && found.is_object() {
            for key in TEXTS {
                for body in [&mut expected, &mut found] {
                    if let Some(text) = body.get_mut(key) {
                        *text = json!("<text>");
                    }
                }
            }
            if expected["request_id"].is_string() && found["request_id"].as_str().is_some_and(|id| !id.is_empty()) {
                found["request_id"] = expected["request_id"].clone();
            }
            // Of the messages of a batch only the positions count.
            let messages = expected["data"]["error_msg"].as_object().cloned().unwrap_or_default();
            for (position, text) in messages.iter().filter(|(_, text)| text.is_string()) {
                if found["data"]["error_msg"][position].is_string() {
                    found["data"]["error_msg"][position] = text.clone();
                }
            }
        }
        self.walk(&expected, &found, "$");
    }

    fn walk(&mut self, expected: &Value, found: &Value, path: &str) {
        match (expected, found) {
            (Value::String(text), _) if variable(text).is_some() => self.id(variable(text).unwrap_or(""), found, path),
            (Value::Object(wanted), Value::Object(actual)) => self.object(wanted, actual, path),
            (Value::Array(wanted), Value::Array(actual)) => {
                if SIDES.contains(&path) || (ROWS.contains(&path) && !self.ordered) {
                    self.multiset(wanted, actual, path);
                } else {
                    if wanted.len() != actual.len() {
                        self.note(&format!("{path}.length"), &json!(wanted.len()), &json!(actual.len()));
                    }
                    for (position, (wanted, actual)) in wanted.iter().zip(actual).enumerate() {
                        self.walk(wanted, actual, &format!("{path}[{position}]"));
                    }
                }
            }
            (Value::Number(wanted), Value::Number(actual)) => {
                let same = match (wanted.as_i64(), actual.as_i64()) {
                    (Some(wanted), Some(actual)) => wanted == actual,
                    _ => wanted.as_f64() == actual.as_f64(),
                };
                if !same {
                    self.note(path, expected, found);
                }
            }
            _ if expected != found => self.note(path, expected, found),
            _ => {}
        }
    }

    /// A new id is a number not given before for the same kind of thing.
    fn id(&mut self, name: &str, found: &Value, path: &str) {
        let kind = |name: &str| name.split('.').next().unwrap_or("").to_owned();
        let same_kind = |(other, id): (&String, &Value)| kind(other) == kind(name) && id == found;
        match self.bound.get(name).cloned() {
            Some(id) if &id != found => self.note(path, &id, found),
            Some(_) => {}
            None if !found.is_number() => self.note(path, &json!("a new id"), found),
            None if self.bound.iter().any(same_kind) => self.note(path, &json!("an id not given before"), found),
            None => {
                self.bound.insert(name.to_owned(), found.clone());
            }
        }
    }

    fn object(&mut self, wanted: &Map<String, Value>, actual: &Map<String, Value>, path: &str) {
        let missing = json!("<missing>");
        for (name, value) in wanted {
            let path = format!("{path}.{name}");
            match actual.get(name) {
                None => self.note(&path, value, &missing),
                Some(found) if TIMES.contains(&name.as_str()) && is_time(value) => {
                    if !is_time(found) {
                        self.note(&path, &json!("a time"), found);
                    }
                }
                Some(found) => self.walk(value, found, &path),
            }
        }
        for (name, value) in actual.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
            self.note(&format!("{path}.{name}"), &json!("<absent>"), value);
        }
    }

    /// Pairs equal rows; those that bind new ids come last, so that rows known in full find their partners first.
    fn multiset(&mut self, wanted: &[Value], actual: &[Value], path: &str) {
        let open = |value: &Value| {
            let text = value.to_string();
            variables(&text).filter(|name| !self.bound.contains_key(*name)).count()
        };
        let mut order: Vec<&Value> = wanted.iter().collect();
        order.sort_by_cached_key(|value| open(value));
        let mut left: BTreeSet<usize> = (0..actual.len()).collect();
        if wanted.len() != actual.len() {
            self.note(&format!("{path}.length"), &json!(wanted.len()), &json!(actual.len()));
        }
        for row in order {
            let partner = left.iter().copied().find_map(|position| {
                let mut trial = Match { bound: self.bound.clone(), ordered: true, differences: Vec::new() };
                trial.walk(row, &actual[position], path);
                trial.differences.is_empty().then_some((position, trial.bound))
            });
            match partner {
                Some((position, bound)) => {
                    left.remove(&position);
                    self.bound = bound;
                }
                None => self.note(&format!("{path}[+]"), row, &json!("<missing>")),
            }
        }
        for position in left {
            self.note(&format!("{path}[+]"), &json!("<absent>"), &actual[position]);
        }
    }
}

fn is_time(value: &Value) -> bool {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$").expect("a constant pattern")
    });
    value.as_str().is_some_and(|text| PATTERN.is_match(text))
}
