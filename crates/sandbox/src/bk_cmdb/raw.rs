//! Raw conditions, which go to the document store as they are (section 3).

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use regex::RegexBuilder;
use serde_json::{Map, Value};

use super::{
    args::Args,
    filter::{Filter, Test},
    pattern,
    refusal::Refusal,
    rule,
};

/// Operators that 3.14.8 refuses.
const DANGEROUS: [&str; 4] = ["$where", "$expr", "$accumulator", "$function"];

/// Reads a raw condition; none matches everything.
pub(super) fn parse(condition: &Args) -> Result<Filter, Refusal> {
    all(&condition.0)
}

fn all(condition: &Map<String, Value>) -> Result<Filter, Refusal> {
    condition.iter().map(|(name, value)| part(name, value)).collect::<Result<Vec<_>, _>>().map(Filter::All)
}

fn part(name: &str, value: &Value) -> Result<Filter, Refusal> {
    let parts = || -> Result<Vec<Filter>, Refusal> {
        let items = value.as_array().filter(|items| !items.is_empty()).ok_or_else(failed)?;
        items.iter().map(|item| item.as_object().ok_or_else(failed).and_then(all)).collect()
    };
    match name {
        "$and" => Ok(Filter::All(parts()?)),
        "$or" => Ok(Filter::Any(parts()?)),
        "$nor" => Ok(Filter::Not(Box::new(Filter::Any(parts()?)))),
        _ if DANGEROUS.contains(&name) => Err(Refusal::unknown()),
        _ if name.starts_with('$') => Err(failed()),
        _ => field(name, value),
    }
}

fn field(name: &str, value: &Value) -> Result<Filter, Refusal> {
    match value.as_object() {
        Some(operators) if operators.keys().next().is_some_and(|key| key.starts_with('$')) => operators
            .iter()
            .filter(|(operator, _)| *operator != "$options")
            .map(|(operator, operand)| test(name, operator, operand, operators))
            .collect::<Result<Vec<_>, _>>()
            .map(Filter::All),
        _ => Ok(Filter::equal(name, value.clone())),
    }
}

fn test(name: &str, operator: &str, operand: &Value, siblings: &Map<String, Value>) -> Result<Filter, Refusal> {
    let on = |test| Filter::Field(name.to_owned(), test);
    let not = |filter| Filter::Not(Box::new(filter));
    let list = || operand.as_array().cloned().ok_or_else(failed);
    let order = |order, or_equal| on(Test::Compare(order, or_equal, operand.clone()));
    Ok(match operator {
        "$eq" => Filter::equal(name, operand.clone()),
        "$ne" => not(Filter::equal(name, operand.clone())),
        "$in" => Filter::within(name, list()?),
        "$nin" => not(Filter::within(name, list()?)),
        "$lt" => order(Ordering::Less, false),
        "$lte" => order(Ordering::Less, true),
        "$gt" => order(Ordering::Greater, false),
        "$gte" => order(Ordering::Greater, true),
        "$exists" => on(Test::Exists(operand.as_bool().unwrap_or(operand.as_i64() != Some(0)))),
        "$size" => {
            let size = operand.as_u64().and_then(|size| usize::try_from(size).ok()).ok_or_else(failed)?;
            on(Test::Size(size))
        }
        "$all" => Filter::All(list()?.into_iter().map(|value| Filter::equal(name, value)).collect()),
        "$elemMatch" => on(Test::Element(Box::new(all(operand.as_object().ok_or_else(failed)?)?))),
        "$not" => not(field(name, operand)?),
        "$like" | "$regex" => {
            let options = siblings.get("$options").and_then(Value::as_str).unwrap_or("");
            let regex = RegexBuilder::new(&pattern::translated(operand.as_str().ok_or_else(failed)?))
                .case_insensitive(options.contains('i'))
                .multi_line(options.contains('m'))
                .dot_matches_new_line(options.contains('s'))
                .build();
            on(Test::Regex(regex.map_err(|_| failed())?))
        }
        _ if DANGEROUS.contains(&operator) => return Err(Refusal::unknown()),
        _ => return Err(failed()),
    })
}

/// The document store does not understand the condition.
fn failed() -> Refusal {
    Refusal::unknown()
}

/// Reads `time_condition`: `{"oper":"and","rules":[{"field":"create_time","start":"…","end":"…"}]}`.
///
/// A time without zone is one of the server's.
pub(super) fn time_condition(args: &Args, zone: &TimeZone) -> Result<Filter, Refusal> {
    let Some(condition) = args.maybe_object("time_condition")? else { return Ok(Filter::everything()) };
    let oper = condition.text("oper")?;
    if !matches!(oper, "and" | "") {
        return Err(Refusal::invalid("time_condition.oper"));
    }
    let mut parts = Vec::new();
    for rule in condition.objects("rules")? {
        let field = rule.text("field")?.to_owned();
        for (name, order) in [("start", Ordering::Greater), ("end", Ordering::Less)] {
            if let Some(value) = rule.get(name) {
                let instant = rule::instant(value, zone).ok_or_else(|| Refusal::invalid("time_condition"))?;
                parts.push(Filter::Field(field.clone(), Test::Moment(order, true, instant)));
            }
        }
    }
    Ok(Filter::All(parts))
}
