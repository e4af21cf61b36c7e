//! Comparing single values the way servers keep them.

use std::collections::BTreeSet;

use serde_json::Value;

/// Returns true if two values are the same number, whatever form each has: `9`, `9.0` or `"9"`.
pub fn same_number(left: &Value, right: &Value) -> bool {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => left == right,
        _ => matches!((number(left), number(right)), (Some(left), Some(right)) if left.total_cmp(&right).is_eq()),
    }
}

/// Returns true if two lists hold the same values, whatever their order and repetitions. Null holds none.
pub fn same_set(left: &Value, right: &Value) -> bool {
    members(left) == members(right)
}

/// Returns true if two values are the same, numbers compared by value.
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => same_number(left, right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

fn members(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Null => BTreeSet::new(),
        Value::Array(items) => items.iter().map(member).collect(),
        other => BTreeSet::from([member(other)]),
    }
}

fn member(value: &Value) -> String {
    integer(value).map_or_else(|| value.to_string(), |number| number.to_string())
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let check = |left: Value, right: Value, expected: bool| assert_eq!(same_number(&left, &right), expected);
        check(json!(9), json!(9.0), true);
        check(json!("3.50"), json!(3.5), true);
        check(json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64), false);
        check(json!("x"), json!("x"), false);
        check(json!(null), json!(0), false);
    }

    #[test]
    fn sets_ignore_order_and_repetition() {
        assert!(same_set(&json!(["b", "a", "b"]), &json!(["a", "b"])));
        assert!(same_set(&json!([]), &json!(null)));
        assert!(!same_set(&json!(["a"]), &json!(["a", "b"])));
    }
}
