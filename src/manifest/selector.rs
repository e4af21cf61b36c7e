//! Selectors: `site=sz,team!=net` picks documents by their labels, as in kubectl.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

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
    Equal(String),
    /// Also holds where the label is missing.
    Unequal(String),
    Present,
    Missing,
}

/// A selector that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a selector: expected key=value, key!=value, key or !key")]
pub struct SelectorError(String);

impl Selector {
    /// Returns true if labels fulfil all conditions. Without conditions all do.
    pub fn matches(&self, labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        self.conditions.iter().all(|condition| {
            let value = labels.get(condition.key.as_str()).map(|value| &**value);
            match &condition.test {
                Test::Equal(wanted) => value == Some(wanted.as_str()),
                Test::Unequal(unwanted) => value != Some(unwanted.as_str()),
                Test::Present => value.is_some(),
                Test::Missing => value.is_none(),
            }
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let conditions = text.split(',').map(|part| condition(part.trim())).collect::<Result<_, _>>()?;
        Ok(Self { conditions })
    }
}

fn condition(text: &str) -> Result<Condition, SelectorError> {
    let equal = |value: &str| Test::Equal(value.trim().to_owned());
    let (key, condition) = if let Some((key, value)) = text.split_once("!=") {
        (key, Test::Unequal(value.trim().to_owned()))
    } else if let Some((key, value)) = text.split_once("==") {
        (key, equal(value))
    } else if let Some((key, value)) = text.split_once('=') {
        (key, equal(value))
    } else if let Some(key) = text.strip_prefix('!') {
        (key, Test::Missing)
    } else {
        (text, Test::Present)
    };
    let key = key.trim();
    if key.is_empty() || key.contains(['!', '=', ' ']) {
        return Err(SelectorError(text.to_owned()));
    }
    Ok(Condition { key: key.to_owned(), test: condition })
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
