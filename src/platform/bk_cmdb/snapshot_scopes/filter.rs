//! The conditions that kinds ask with, evaluated on the rows of a scope: equality, membership and being above a number,
//! joined by and and or.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use serde_json::Value;

use crate::provider::scope::{ScopeRows, text, texts};

/// A condition on rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Every part holds; without parts all rows fit.
    All(Vec<Filter>),
    /// One of the parts holds.
    Any(Vec<Filter>),
    /// A field has one of some values, as texts.
    In(String, HashSet<String>),
    /// A field is a number above another one.
    Above(String, i64),
}

impl Filter {
    /// Reads the rules of a search; `None` if they hold something that no kind asks.
    pub(super) fn of_rules(tree: &Value) -> Option<Self> {
        if tree.is_null() {
            return Some(Self::All(Vec::new()));
        }
        if let Some(condition) = tree.get("condition") {
            let parts = tree["rules"].as_array()?.iter().map(Self::of_rules).collect::<Option<_>>()?;
            return match condition.as_str()? {
                "AND" => Some(Self::All(parts)),
                "OR" => Some(Self::Any(parts)),
                _ => None,
            };
        }
        let value = tree.get("value")?;
        if tree["operator"] == "greater" {
            return Some(Self::Above(tree["field"].as_str()?.to_owned(), value.as_i64()?));
        }
        let values = match tree["operator"].as_str()? {
            "equal" => [text(value)].into(),
            "in" => value.as_array()?.iter().map(text).collect(),
            _ => return None,
        };
        Some(Self::In(tree["field"].as_str()?.to_owned(), values))
    }

    /// Reads a raw condition; `None` if it holds something that no kind asks.
    pub(super) fn of_condition(condition: &Value) -> Option<Self> {
        let part = |(key, value): (&String, &Value)| match value {
            _ if key == "$or" => {
                Some(Self::Any(value.as_array()?.iter().map(Self::of_condition).collect::<Option<_>>()?))
            }
            _ if key.starts_with('$') => None,
            Value::Object(operators) if operators.len() != 1 => None,
            Value::Object(operators) => match (operators.get("$in"), operators.get("$gt")) {
                (Some(Value::Array(values)), _) => Some(Self::In(key.clone(), values.iter().map(text).collect())),
                (None, Some(least)) => Some(Self::Above(key.clone(), least.as_i64()?)),
                _ => None,
            },
            value => Some(Self::In(key.clone(), [text(value)].into())),
        };
        match condition {
            Value::Null => Some(Self::All(Vec::new())),
            Value::Object(parts) => Some(Self::All(parts.iter().map(part).collect::<Option<_>>()?)),
            _ => None,
        }
    }

    /// Returns the rows that fit, in their order.
    pub(super) fn rows<'w>(&self, scope_rows: &'w ScopeRows) -> Vec<&'w Value> {
        self.places(scope_rows).into_iter().filter_map(|at| scope_rows.rows().get(at)).collect()
    }

    /// Returns true if it looks at a field.
    pub(super) fn asks(&self, name: &str) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.asks(name)),
            Self::In(field, _) | Self::Above(field, _) => field == name,
        }
    }

    fn places(&self, scope_rows: &ScopeRows) -> BTreeSet<usize> {
        match self {
            Self::All(parts) => {
                let Some(fewest) = parts.iter().min_by_key(|part| part.at_most(scope_rows)) else {
                    return (0..scope_rows.rows().len()).collect();
                };
                let mut places = fewest.places(scope_rows);
                places.retain(|at| self.holds(&scope_rows.rows()[*at]));
                places
            }
            Self::Any(parts) => parts.iter().flat_map(|part| part.places(scope_rows)).collect(),
            Self::In(field, values) => {
                let index = scope_rows.index(field);
                values.iter().filter_map(|value| index.get(value)).flatten().copied().collect()
            }
            Self::Above(..) => {
                let rows = scope_rows.rows().iter().enumerate();
                rows.filter(|(_, row)| self.holds(row)).map(|(at, _)| at).collect()
            }
        }
    }

    /// Returns how many rows fit at most, without looking at them.
    fn at_most(&self, scope_rows: &ScopeRows) -> usize {
        match self {
            Self::All(parts) => {
                parts.iter().map(|part| part.at_most(scope_rows)).min().unwrap_or_else(|| scope_rows.rows().len())
            }
            Self::Any(parts) => parts.iter().map(|part| part.at_most(scope_rows)).sum(),
            Self::In(field, values) => {
                let index: Arc<_> = scope_rows.index(field);
                values.iter().filter_map(|value| index.get(value)).map(Vec::len).sum()
            }
            Self::Above(..) => scope_rows.rows().len(),
        }
    }

    fn holds(&self, row: &Value) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(row)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(row)),
            Self::In(field, values) => texts(&row[field]).iter().any(|text| values.contains(text)),
            Self::Above(field, least) => row[field].as_i64().is_some_and(|value| value > *least),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope_rows() -> ScopeRows {
        let rows = json!([{"id": 1, "a": "x", "b": 1}, {"id": 2, "a": "x", "b": 2}, {"id": 3, "a": "y", "b": [2, 3]},
            {"id": 4}]);
        ScopeRows::new(rows.as_array().cloned().unwrap_or_default())
    }

    fn check(filter: Option<Filter>, expected: &[i64]) {
        let scope_rows = scope_rows();
        let filter = filter.expect("it is understood");
        let found: Vec<_> = filter.rows(&scope_rows).iter().filter_map(|row| row["id"].as_i64()).collect();
        assert_eq!(found, expected, "{filter:?}");
    }

    #[test]
    fn rules_pick_rows() {
        let rule =
            |field: &str, operator: &str, value: Value| json!({"field": field, "operator": operator, "value": value});
        let all = |rules: &[Value]| json!({"condition": "AND", "rules": rules});
        let any = |rules: &[Value]| json!({"condition": "OR", "rules": rules});
        let rules = |tree: &Value| Filter::of_rules(tree);
        check(rules(&Value::Null), &[1, 2, 3, 4]);
        check(rules(&rule("a", "equal", json!("x"))), &[1, 2]);
        check(rules(&all(&[rule("b", "in", json!([2, 7])), rule("a", "equal", json!("x"))])), &[2]);
        check(rules(&any(&[rule("id", "in", json!([4, 1])), rule("b", "equal", json!(3))])), &[1, 3, 4]);
        let pair = |a: &str, b: i64| all(&[rule("a", "equal", json!(a)), rule("b", "equal", json!(b))]);
        check(rules(&rule("id", "greater", json!(2))), &[3, 4]);
        check(rules(&all(&[rule("id", "greater", json!(1)), rule("a", "equal", json!("x"))])), &[2]);
        check(rules(&all(&[rule("id", "in", json!([1, 3])), any(&[pair("x", 1), pair("y", 3)])])), &[1, 3]);
        assert_eq!(rules(&rule("a", "contains", json!("x"))), None);
        assert_eq!(rules(&json!({"condition": "NOT", "rules": []})), None);
    }

    #[test]
    fn raw_conditions_pick_rows() {
        let condition = |condition: Value| Filter::of_condition(&condition);
        check(condition(json!({})), &[1, 2, 3, 4]);
        check(condition(json!({"a": "x"})), &[1, 2]);
        check(condition(json!({"a": {"$in": ["x", "y"]}, "b": 2})), &[2, 3]);
        check(condition(json!({"$or": [{"a": "y"}, {"a": "x", "b": 1}], "id": {"$in": [1, 2, 3]}})), &[1, 3]);
        check(condition(json!({"a": null})), &[4]);
        check(condition(json!({"id": {"$gt": 1}, "b": 2})), &[2, 3]);
        assert_eq!(condition(json!({"a": {"$regex": "x"}})), None);
        assert_eq!(condition(json!({"$nor": []})), None);
        assert_eq!(condition(json!({"a": {"$in": ["x"], "$nin": ["y"]}})), None);
    }
}
