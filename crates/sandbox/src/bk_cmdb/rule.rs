//! The rule tree: `{"condition":"AND","rules":[{"field","operator","value"}]}` (section 3).

use std::cmp::Ordering;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::{
    filter::{Filter, Test},
    moment,
    refusal::Refusal,
};

/// Which of the server's two engines reads a rule tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// The filter of 3.14: `search_object_instances` and `count_object_instances`.
    Filter,
    /// The older rule builder: association searches, business and set filters, and everything up to 3.13.
    Builder,
    /// The rule builder as searches of hosts use it: lists have no limit.
    Hosts,
}

/// Most elements of one list of values.
const LIST: usize = 500;

/// Most levels of a tree, its leaves included.
const DEPTH: usize = 3;

/// Reads a rule tree. `name` is the argument it came in, which the refusal names.
pub(super) fn parse(tree: &Value, engine: Engine, name: &str) -> Result<Filter, Refusal> {
    if !tree.is_object() {
        return Err(Refusal::decode());
    }
    let refuse = |at: String| match engine {
        // The new engine prints the whole tree, the old one the place.
        Engine::Filter => Refusal::invalid(&format!("{name}: {tree}")),
        Engine::Builder | Engine::Hosts => Refusal::invalid(&at),
    };
    node(tree, engine, name, 1, "").map_err(|wrong| match wrong {
        Wrong::Type => Refusal::decode(),
        Wrong::Pattern => Refusal::unknown(),
        Wrong::Place(at) => refuse(at),
    })
}

enum Wrong {
    Type,
    /// The store refuses a pattern.
    Pattern,
    Place(String),
}

fn node(tree: &Value, engine: Engine, at: &str, level: usize, prefix: &str) -> Result<Filter, Wrong> {
    let Some(object) = tree.as_object() else { return Err(Wrong::Type) };
    if level > DEPTH {
        return Err(Wrong::Place(at.to_owned()));
    }
    if object.is_empty() {
        return Err(Wrong::Type);
    }
    if !object.contains_key("condition") && !object.contains_key("rules") {
        if engine != Engine::Filter && level == 1 {
            // The old builder wants a group at the top.
            return Err(Wrong::Place(format!("{at}.")));
        }
        return leaf(tree, engine, at, level, prefix);
    }
    let all = match object.get("condition").and_then(Value::as_str) {
        Some("AND") => true,
        Some("OR") => false,
        Some(_) => return Err(Wrong::Place(format!("{at}.condition"))),
        None => return Err(Wrong::Type),
    };
    let rules = match object.get("rules") {
        Some(Value::Array(rules)) => rules.as_slice(),
        None | Some(Value::Null) => &[],
        Some(_) => return Err(Wrong::Type),
    };
    let most = match (engine, all) {
        (Engine::Filter, _) => 50,
        (Engine::Builder | Engine::Hosts, false) => 20,
        (Engine::Builder | Engine::Hosts, true) => usize::MAX,
    };
    if rules.is_empty() || rules.len() > most {
        return Err(Wrong::Place(format!("{at}.rules")));
    }
    let parts = rules
        .iter()
        .enumerate()
        .map(|(position, rule)| node(rule, engine, &format!("{at}.rules[{position}]"), level + 1, prefix))
        .collect::<Result<Vec<Filter>, Wrong>>()?;
    Ok(if all { Filter::All(parts) } else { Filter::Any(parts) })
}

fn leaf(tree: &Value, engine: Engine, at: &str, level: usize, prefix: &str) -> Result<Filter, Wrong> {
    let text = |name: &str| match tree.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(Wrong::Type),
    };
    let (field, operator) = (text("field")?, text("operator")?);
    if operator.is_empty() {
        return Err(Wrong::Type);
    }
    let value = tree.get("value").unwrap_or(&Value::Null);
    let fits = match engine {
        Engine::Filter => !field.is_empty(),
        Engine::Builder | Engine::Hosts => {
            field.starts_with(|first: char| first.is_ascii_alphanumeric())
                && field.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '_' | '-' | '.'))
        }
    };
    if !fits {
        return Err(Wrong::Place(format!("{at}.field")));
    }
    let place = |part: &str| Wrong::Place(format!("{at}.{part}"));
    let name = format!("{prefix}{field}");
    if engine == Engine::Filter {
        match operator {
            "filter_object" => return node(value, engine, at, level + 1, &format!("{name}.")),
            "filter_array" => {
                let inner = node(value, engine, at, level + 1, "")?;
                return Ok(Filter::Field(name, Test::Element(Box::new(inner))));
            }
            _ => {}
        }
    }
    let (negated, check) = test(operator, value, engine).map_err(|wrong| match wrong {
        Bad::Operator => place("operator"),
        Bad::Value => place("value"),
        Bad::Type => Wrong::Type,
        Bad::Pattern => Wrong::Pattern,
    })?;
    let found = Filter::Field(name, check);
    Ok(if negated { Filter::Not(Box::new(found)) } else { found })
}

enum Bad {
    Operator,
    Value,
    Type,
    Pattern,
}

/// Returns the test of an operator and whether its result is turned round.
fn test(operator: &str, value: &Value, engine: Engine) -> Result<(bool, Test), Bad> {
    let number = || if value.is_number() { Ok(value.clone()) } else { Err(Bad::Value) };
    let compare = |order, or_equal| Ok((false, Test::Compare(order, or_equal, number()?)));
    let moment = |order, or_equal| {
        let moment = instant(value, &TimeZone::UTC).ok_or(Bad::Value)?;
        Ok((false, Test::Moment(order, or_equal, moment)))
    };
    let new_only = |made: Result<Test, Bad>, negated| match engine {
        Engine::Filter => Ok((negated, made?)),
        Engine::Builder | Engine::Hosts => Err(Bad::Operator),
    };
    match operator {
        "equal" | "not_equal" => {
            if value.is_string() || value.is_number() || value.is_boolean() {
                Ok((operator == "not_equal", Test::Equal(value.clone())))
            } else {
                Err(Bad::Value)
            }
        }
        "in" | "not_in" => Ok((operator == "not_in", Test::within(list(value, engine)?))),
        "less" => compare(Ordering::Less, false),
        "less_or_equal" => compare(Ordering::Less, true),
        "greater" => compare(Ordering::Greater, false),
        "greater_or_equal" => compare(Ordering::Greater, true),
        "datetime_less" => moment(Ordering::Less, false),
        "datetime_less_or_equal" => moment(Ordering::Less, true),
        "datetime_greater" => moment(Ordering::Greater, false),
        "datetime_greater_or_equal" => moment(Ordering::Greater, true),
        "begins_with" | "not_begins_with" => Ok((operator.starts_with("not"), pattern(value, "^", "", false)?)),
        "ends_with" | "not_ends_with" => Ok((operator.starts_with("not"), pattern(value, "", "$", false)?)),
        "contains" => Ok((false, pattern(value, "", "", true)?)),
        "not_contains" => Ok((true, pattern(value, "", "", engine != Engine::Filter)?)),
        "begins_with_i" | "not_begins_with_i" => new_only(pattern(value, "^", "", true), operator.starts_with("not")),
        "ends_with_i" | "not_ends_with_i" => new_only(pattern(value, "", "$", true), operator.starts_with("not")),
        "contains_s" => new_only(pattern(value, "", "", false), false),
        "not_contains_i" => new_only(pattern(value, "", "", true), true),
        "size" => {
            let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
            new_only(size.map(Test::Size).ok_or(Bad::Value), false)
        }
        "is_empty" => Ok((false, Test::Size(0))),
        "is_not_empty" => Ok((true, Test::Size(0))),
        "is_null" => Ok((false, Test::Equal(Value::Null))),
        "is_not_null" => Ok((true, Test::Equal(Value::Null))),
        "exist" => Ok((false, Test::Exists(true))),
        "not_exist" => Ok((false, Test::Exists(false))),
        _ => Err(Bad::Operator),
    }
}

fn list(value: &Value, engine: Engine) -> Result<Vec<Value>, Bad> {
    let Some(items) = value.as_array() else {
        return Err(if engine == Engine::Filter { Bad::Type } else { Bad::Value });
    };
    let empty = items.is_empty() && engine == Engine::Filter;
    let alike = items.windows(2).all(|pair| std::mem::discriminant(&pair[0]) == std::mem::discriminant(&pair[1]));
    let scalar = items.iter().all(|item| item.is_string() || item.is_number() || item.is_boolean());
    let too_long = items.len() > LIST && engine != Engine::Hosts;
    if empty || too_long || !alike || !scalar {
        return Err(Bad::Value);
    }
    Ok(items.clone())
}

/// A text operator: the text is handed on as a pattern, by both engines.
fn pattern(value: &Value, before: &str, after: &str, any_case: bool) -> Result<Test, Bad> {
    let text = value.as_str().filter(|text| !text.is_empty()).ok_or(Bad::Value)?;
    let text = super::pattern::translated(text);
    let made: Result<Regex, _> =
        RegexBuilder::new(&format!("{before}{text}{after}")).case_insensitive(any_case).build();
    made.map(Test::Regex).map_err(|_| Bad::Pattern)
}

/// Reads unix seconds or a text, which is one of a zone where it names none; returns a time of UTC.
pub(super) fn instant(value: &Value, zone: &TimeZone) -> Option<DateTime> {
    let moment = match value {
        Value::Number(number) => Timestamp::from_second(number.as_i64()?).ok(),
        Value::String(text) => moment::parse_in(text, zone),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    moment.map(|moment| TimeZone::UTC.to_datetime(moment))
}
