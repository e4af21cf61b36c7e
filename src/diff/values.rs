//! Comparing single values the way servers keep them.

use std::collections::BTreeSet;

use crate::model::{Json, View};

/// Returns true if two values are the same number, whatever form each has: `9`, `9.0` or `"9"`.
pub fn same_number(left: &Json, right: &Json) -> bool {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => left == right,
        _ => matches!((number(left), number(right)), (Some(left), Some(right)) if left.total_cmp(&right).is_eq()),
    }
}

/// Returns true if two lists hold the same values, whatever their order and repetitions. Null holds none.
pub fn same_set(left: &Json, right: &Json) -> bool {
    members(left) == members(right)
}

/// Returns true if two values are the same, numbers compared by value.
pub fn same(left: &Json, right: &Json) -> bool {
    match (left.view(), right.view()) {
        (View::Number(_), View::Number(_)) => same_number(left, right),
        (View::List(left), View::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (View::Object(left), View::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

fn members(value: &Json) -> BTreeSet<String> {
    match value.view() {
        View::Null => BTreeSet::new(),
        View::List(items) => items.iter().map(member).collect(),
        _ => BTreeSet::from([member(value)]),
    }
}

fn member(value: &Json) -> String {
    integer(value).map_or_else(|| value.to_string(), |number| number.to_string())
}

fn integer(value: &Json) -> Option<i64> {
    match value.view() {
        View::Number(number) => number.as_i64(),
        View::Text(text) => text.parse().ok(),
        View::Null | View::Bool(_) | View::List(_) | View::Object(_) => None,
    }
}

fn number(value: &Json) -> Option<f64> {
    match value.view() {
        View::Number(number) => number.as_f64(),
        View::Text(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        View::Null | View::Bool(_) | View::List(_) | View::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let check = |left: Value, right: Value, expected: bool| {
            assert_eq!(same_number(&left.into(), &right.into()), expected);
        };
        check(json!(9), json!(9.0), true);
        check(json!("3.50"), json!(3.5), true);
        check(json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64), false);
        check(json!("x"), json!("x"), false);
        check(json!(null), json!(0), false);
    }

    #[test]
    fn sets_ignore_order_and_repetition() {
        assert!(same_set(&json!(["b", "a", "b"]).into(), &json!(["a", "b"]).into()));
        assert!(same_set(&json!([]).into(), &json!(null).into()));
        assert!(!same_set(&json!(["a"]).into(), &json!(["a", "b"]).into()));
    }
}
