//! Conditions on rows, as the document store evaluates them.

use std::{cmp::Ordering, collections::HashSet};

use jiff::civil::DateTime;
use regex::Regex;
use serde_json::Value;

use super::{
    moment,
    row::Row,
    table::{Atom, Table},
};

/// A condition on a row.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    /// Every part holds; without parts everything matches.
    All(Vec<Filter>),
    /// Some part holds.
    Any(Vec<Filter>),
    /// The part does not hold.
    Not(Box<Filter>),
    /// A test on a field; the name may be a path with dots.
    Field(String, Test),
}

/// A test on the value of one field.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Equal(Value),
    In(Vec<Value>, HashSet<Atom>),
    Compare(Ordering, bool, Value),
    /// Compares instants; texts that are no time never match.
    Moment(Ordering, bool, DateTime),
    Regex(Regex),
    Exists(bool),
    Size(usize),
    Element(Box<Filter>),
    /// A user is among the users of a field, which joins them by comma.
    User(String),
}

impl Test {
    /// A test for membership.
    pub(super) fn within(values: Vec<Value>) -> Self {
        let atoms = values.iter().filter_map(Atom::of).collect();
        Self::In(values, atoms)
    }
}

impl Filter {
    /// Matches everything.
    pub(super) fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// A field equals a value.
    pub(super) fn equal(field: &str, value: impl Into<Value>) -> Self {
        Self::Field(field.to_owned(), Test::Equal(value.into()))
    }

    /// A field has one of the values.
    pub(super) fn within(field: &str, values: Vec<Value>) -> Self {
        Self::Field(field.to_owned(), Test::within(values))
    }

    /// Both conditions hold.
    pub(super) fn and(self, other: Self) -> Self {
        match self {
            Self::All(mut parts) => {
                parts.push(other);
                Self::All(parts)
            }
            filter @ (Self::Any(_) | Self::Not(_) | Self::Field(..)) => Self::All(vec![filter, other]),
        }
    }

    /// Matches nothing.
    fn nothing() -> Self {
        Self::Any(Vec::new())
    }

    /// Takes the store's types into account: a field that holds a moment is neither equal to a text nor before or after
    /// one, whatever the text says.
    pub(super) fn typed(self, is_moment: &dyn Fn(&str) -> bool) -> Self {
        let each = |parts: Vec<Self>| parts.into_iter().map(|part| part.typed(is_moment)).collect();
        match self {
            Self::All(parts) => Self::All(each(parts)),
            Self::Any(parts) => Self::Any(each(parts)),
            Self::Not(part) => Self::Not(Box::new(part.typed(is_moment))),
            Self::Field(name, test) if is_moment(&name) => match test {
                Test::Equal(Value::String(_))
                | Test::Compare(_, _, Value::String(_))
                | Test::Moment(..)
                | Test::Regex(_)
                | Test::User(_) => Self::nothing(),
                Test::In(values, _) => {
                    Self::within(&name, values.into_iter().filter(|value| !value.is_string()).collect())
                }
                Test::Equal(_) | Test::Compare(..) | Test::Exists(_) | Test::Size(_) | Test::Element(_) => {
                    Self::Field(name, test)
                }
            },
            Self::Field(..) => self,
        }
    }

    /// Returns true if a row matches.
    pub(super) fn matches(&self, row: &Row) -> bool {
        self.holds(&|name| row.get(name))
    }

    fn holds<'a>(&self, get: &dyn Fn(&str) -> Option<&'a Value>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(get)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(get)),
            Self::Not(part) => !part.holds(get),
            Self::Field(path, test) => test.holds(at(get, path)),
        }
    }

    /// Returns a superset of the ids of the matching rows, ascending, if an index gives one.
    pub(super) fn candidates(&self, table: &Table) -> Option<Vec<i64>> {
        match self {
            Self::Field(field, Test::Equal(value)) => table.ids(field, std::slice::from_ref(value)),
            Self::Field(field, Test::In(values, _)) => table.ids(field, values),
            Self::Field(..) | Self::Not(_) => None,
            Self::All(parts) => {
                let known: Vec<(&str, &Value)> = parts
                    .iter()
                    .filter_map(|part| match part {
                        Self::Field(field, Test::Equal(value)) => Some((field.as_str(), value)),
                        Self::Field(..) | Self::All(_) | Self::Any(_) | Self::Not(_) => None,
                    })
                    .collect();
                // Only the shortest list is made: the others may be as long as the table.
                let shortest = parts
                    .iter()
                    .filter_map(|part| Some((part.estimate(table)?, part)))
                    .min_by_key(|(length, _)| *length);
                table.composite(&known).or_else(|| shortest.and_then(|(_, part)| part.candidates(table)))
            }
            Self::Any(parts) => {
                let all = parts.iter().map(|part| part.candidates(table)).collect::<Option<Vec<_>>>()?;
                let mut ids: Vec<i64> = all.into_iter().flatten().collect();
                ids.sort_unstable();
                ids.dedup();
                Some(ids)
            }
        }
    }
}

impl Filter {
    /// Returns how many candidates there are at most, if an index knows.
    fn estimate(&self, table: &Table) -> Option<usize> {
        match self {
            Self::Field(field, Test::Equal(value)) => table.estimate(field, std::slice::from_ref(value)),
            Self::Field(field, Test::In(values, _)) => table.estimate(field, values),
            Self::Field(..) | Self::Not(_) => None,
            Self::All(parts) => parts.iter().filter_map(|part| part.estimate(table)).min(),
            Self::Any(parts) => parts.iter().map(|part| part.estimate(table)).sum(),
        }
    }
}

/// Follows a path with dots into a row.
fn at<'a>(get: &dyn Fn(&str) -> Option<&'a Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(get(first)?, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => value.get(part),
    })
}

impl Test {
    fn holds(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Equal(wanted) => each(value, |value| same(value, wanted)),
            Self::In(wanted, atoms) => each(value, |value| match value.and_then(Atom::of) {
                Some(atom) => atoms.contains(&atom),
                None => wanted.iter().any(|wanted| same(value, wanted)),
            }),
            Self::Compare(order, or_equal, wanted) => each(value, |value| {
                value
                    .and_then(|row| compare_alike(row, wanted))
                    .is_some_and(|found| found == *order || (*or_equal && found == Ordering::Equal))
            }),
            Self::Moment(order, or_equal, wanted) => {
                value.and_then(Value::as_str).and_then(moment::utc).is_some_and(|found| {
                    let found = found.cmp(wanted);
                    found == *order || (*or_equal && found == Ordering::Equal)
                })
            }
            Self::Regex(regex) => {
                each(value, |value| value.and_then(Value::as_str).is_some_and(|text| regex.is_match(text)))
            }
            Self::Exists(wanted) => value.is_some() == *wanted,
            Self::Size(size) => value.and_then(Value::as_array).is_some_and(|items| items.len() == *size),
            Self::Element(filter) => value.and_then(Value::as_array).is_some_and(|items| {
                items
                    .iter()
                    .any(|item| filter.holds(&|name| if name == "element" { Some(item) } else { item.get(name) }))
            }),
            Self::User(user) => {
                value.and_then(Value::as_str).is_some_and(|users| users.split(',').any(|text| text == user))
            }
        }
    }
}

/// Tries a value itself and, if it is a list, its elements.
fn each(value: Option<&Value>, test: impl Fn(Option<&Value>) -> bool) -> bool {
    test(value) || value.and_then(Value::as_array).is_some_and(|items| items.iter().any(|item| test(Some(item))))
}

/// Returns true if two values are equal in the store: numbers by value, a missing field equals null.
fn same(found: Option<&Value>, wanted: &Value) -> bool {
    match (found, wanted) {
        (None | Some(Value::Null), Value::Null) => true,
        (Some(Value::Number(_)), Value::Number(_)) => found.and_then(Atom::of) == Atom::of(wanted),
        (Some(found), wanted) => found == wanted,
        (None, _) => false,
    }
}

/// Orders two values of the same type.
fn compare_alike(row: &Value, other: &Value) -> Option<Ordering> {
    match (row, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(number), Some(other)) => Some(number.cmp(&other)),
            _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
        },
        (Value::String(text), Value::String(other)) => Some(text.cmp(other)),
        (Value::Bool(flag), Value::Bool(other)) => Some(flag.cmp(other)),
        _ => None,
    }
}

/// Orders any two values as a sort does: missing and null first, then numbers, texts, objects, lists, truth values.
pub(super) fn compare(found: Option<&Value>, other: Option<&Value>) -> Ordering {
    fn rank(value: Option<&Value>) -> u8 {
        match value {
            None | Some(Value::Null) => 0,
            Some(Value::Number(_)) => 1,
            Some(Value::String(_)) => 2,
            Some(Value::Object(_)) => 3,
            Some(Value::Array(_)) => 4,
            Some(Value::Bool(_)) => 5,
        }
    }
    rank(found).cmp(&rank(other)).then_with(|| match (found, other) {
        (Some(row), Some(other)) => compare_alike(row, other).unwrap_or(Ordering::Equal),
        _ => Ordering::Equal,
    })
}
