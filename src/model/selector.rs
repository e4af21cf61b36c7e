//! Selectors: `site=sz,team notin (net, db)` picks documents by their labels, as in kubectl; an address with wildcards
//! picks them by their names.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use super::Desired;

/// Conditions on labels; all of them have to hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// The label has one of these values.
    In(Vec<String>),
    /// The label has none of these values, or is missing.
    NotIn(Vec<String>),
    Present,
    Missing,
}

/// A selector that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a selector: expected key=value, key!=value, key in (a, b), key notin (a, b), key or !key, with commas \
     between them"
)]
pub struct SelectorError(String);

impl Selector {
    /// Returns true if labels fulfil all conditions. Without conditions all do.
    pub fn matches(&self, labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        self.conditions.iter().all(|condition| {
            let value = labels.get(condition.key.as_str()).map(|value| &**value);
            let is_one_of = |values: &[String]| value.is_some_and(|value| values.iter().any(|one| one == value));
            match &condition.test {
                Test::In(values) => is_one_of(values),
                Test::NotIn(values) => !is_one_of(values),
                Test::Present => value.is_some(),
                Test::Missing => value.is_none(),
            }
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut conditions = Vec::new();
        let mut rest = text;
        loop {
            let (condition, behind) = set_condition(rest)?.map_or_else(|| plain_condition(rest), Ok)?;
            conditions.push(condition);
            let Some(behind) = behind else { return Ok(Self { conditions }) };
            rest = behind;
        }
    }
}

/// Reads the condition `key in (a, b)` or `key notin (a, b)` at the start of a text, and returns it with the text behind
/// its comma, if there is one; `None` if the text starts with another sort of condition.
fn set_condition(text: &str) -> Result<Option<(Condition, Option<&str>)>, SelectorError> {
    let Some((head, rest)) = text.split_once('(') else { return Ok(None) };
    // A comma or a sign before the bracket ends the condition or makes the bracket a part of a value.
    let words: Vec<&str> = head.split_whitespace().collect();
    let [key, operator @ ("in" | "notin")] = words[..] else { return Ok(None) };
    if head.contains([',', '=', '!']) {
        return Ok(None);
    }
    let problem = || SelectorError(text.trim().to_owned());
    let (values, behind) = rest.split_once(')').ok_or_else(problem)?;
    let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
    if values.iter().any(|value| value.is_empty() || value.contains(['(', '=', '!', ' '])) {
        return Err(problem());
    }
    let behind = match behind.trim_start() {
        "" => None,
        more => Some(more.strip_prefix(',').ok_or_else(problem)?),
    };
    let test = if operator == "in" { Test::In(values) } else { Test::NotIn(values) };
    Ok(Some((Condition { key: key.to_owned(), test }, behind)))
}

/// Reads the condition up to the first comma of a text, and returns it with the text behind that comma, if there is one.
fn plain_condition(text: &str) -> Result<(Condition, Option<&str>), SelectorError> {
    let (text, behind) = text.split_once(',').map_or((text, None), |(text, behind)| (text, Some(behind)));
    let text = text.trim();
    let value = |value: &str| vec![value.trim().to_owned()];
    let (key, test) = if let Some((key, unwanted)) = text.split_once("!=") {
        (key, Test::NotIn(value(unwanted)))
    } else if let Some((key, wanted)) = text.split_once("==") {
        (key, Test::In(value(wanted)))
    } else if let Some((key, wanted)) = text.split_once('=') {
        (key, Test::In(value(wanted)))
    } else if let Some(key) = text.strip_prefix('!') {
        (key, Test::Missing)
    } else {
        (text, Test::Present)
    };
    let key = key.trim();
    if key.is_empty() || key.contains(['!', '=', ' ', '(', ')']) {
        return Err(SelectorError(text.to_owned()));
    }
    Ok((Condition { key: key.to_owned(), test }, behind))
}

/// Returns true if an address with wildcards means an object: `KIND/NAME`, or a target where it has no slash. That of a
/// document means all its objects.
pub fn is_meant(pattern: &str, desired: &Desired) -> bool {
    if !pattern.contains('/') {
        return wildcard(pattern, &desired.target);
    }
    wildcard(pattern, &desired.id.to_string()) || wildcard(pattern, &desired.id.document().to_string())
}

/// Returns true if a text fits a pattern, in which `*` stands for any text.
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    let mut rest = rest;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        let check = |pattern: &str, text: &str, expected: bool| assert_eq!(wildcard(pattern, text), expected);
        check("Instance/core-sw-1", "Instance/core-sw-1", true);
        check("Instance/core-sw-1", "Instance/core-sw-12", false);
        check("Instance/core-*", "Instance/core-sw-12", true);
        check("*/nginx", "ProcessTemplate/nginx", true);
        check("I*/a*b", "Instance/ab", true);
        check("I*/ab*b", "Instance/ab", false);
    }

    #[test]
    fn selectors_pick_by_labels() {
        let labels = BTreeMap::from([("site".into(), "sz".into()), ("队".into(), "网络".into())]);
        let check = |selector: &str, expected: Option<bool>| {
            let found = selector.parse::<Selector>().ok().map(|selector| selector.matches(&labels));
            assert_eq!(found, expected, "{selector}");
        };
        check("site=sz", Some(true));
        check("site==sz, 队=网络", Some(true));
        check("site=bj", Some(false));
        check("site!=bj,team!=x", Some(true));
        check("site!=sz", Some(false));
        check("site", Some(true));
        check("!site", Some(false));
        check("!team", Some(true));
        check("team=", Some(false));
        check("", None);
        check("=x", None);
        check("site=sz,", None);
        check("a b=c", None);
        check("site in (sz, bj)", Some(true));
        check("site in(bj,sh)", Some(false));
        check("team in (net)", Some(false));
        check("site notin (bj, sh)", Some(true));
        check("site notin (sz)", Some(false));
        check("team notin (net)", Some(true));
        check("site in (sz,bj),队 in (网络),!team", Some(true));
        check("队=网络,site notin (sz,bj)", Some(false));
        check("site in (sz) , team", Some(false));
        check("site!=a(b", Some(true));
        check("site in (sz", None);
        check("site in sz", None);
        check("site in ()", None);
        check("site in (sz,)", None);
        check("site in (sz),", None);
        check("site in (sz) team", None);
        check("site ni (sz)", None);
        check("in (sz)", None);
        check("!site in (sz)", None);
        check("site in (s z)", None);
    }
}
