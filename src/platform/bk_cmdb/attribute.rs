//! Attributes of models: which values an attribute takes, what is sent for them, and when the server's value is the
//! same one (contract section 4.1).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::diff::values::{same, same_number, same_set};

/// Longest `singlechar`, in bytes of UTF-8.
const SHORT_TEXT: usize = 256;
/// Longest `longchar` and `objuser`, in bytes of UTF-8.
const LONG_TEXT: usize = 2000;

/// Key of the object that stands for a plain scalar that is no text by itself, such as `042` or `true`: what it means
/// is up to the attribute's type, which only the server knows.
const PLAIN: &str = "$plain";

/// Returns the value of a scalar that was written without quotes and looks like a number or truth value.
pub(super) fn plain(text: &str) -> Value {
    json!({ PLAIN: text })
}

/// Returns the text of a scalar as it was written; none for lists, mappings and null.
pub(super) fn text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get(PLAIN)?.as_str())
}

/// One attribute of a model: a row of `search_object_attribute`.
pub(super) struct Attribute<'a> {
    row: &'a Value,
    kind: &'a str,
}

/// Returns the attributes of a model by their ids.
pub(super) fn attributes(rows: &Value) -> BTreeMap<&str, Attribute<'_>> {
    rows.as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| {
            let kind = row["bk_property_type"].as_str().unwrap_or("singlechar");
            Some((row["bk_property_id"].as_str()?, Attribute { row, kind }))
        })
        .collect()
}

impl Attribute<'_> {
    /// Returns the value to be sent for a declared one, or what is wrong with it.
    pub(super) fn wire(&self, declared: &Value, time_zone: Option<&str>) -> Result<Value, String> {
        if self.row["editable"] == json!(false) {
            return Err("is not editable: the server would drop it without a word".to_owned());
        }
        if declared.is_null() {
            let cleared =
                if self.is_required() { Err("is required: it cannot be cleared".to_owned()) } else { Ok(Value::Null) };
            return cleared;
        }
        let value = self.converted(declared, time_zone)?;
        if self.is_required() && value.as_str().is_some_and(str::is_empty) {
            return Err("is required: it cannot be empty".to_owned());
        }
        Ok(value)
    }

    fn converted(&self, declared: &Value, time_zone: Option<&str>) -> Result<Value, String> {
        match self.kind {
            "int" => self.integer(declared),
            "float" => self.float(declared),
            "bool" => truth(declared),
            "enum" => self.option(one(declared, "an option")?).map(|id| json!(id)),
            "enummulti" => self.options(declared),
            "enumquote" | "organization" => self.ids(declared),
            "list" => self.member(one(declared, "one of the options")?),
            "date" => date(one(declared, "a date such as 2024-02-28")?),
            "time" => time(one(declared, "a time such as 2024-02-28T10:00:00+08:00")?, time_zone),
            "objuser" => self.users(declared),
            "timezone" => time_zone_name(one(declared, "a time zone")?),
            "table" => Ok(unwrap_plain(declared)),
            "innertable" => Err("is an inner table: its rows cannot be written here".to_owned()),
            "longchar" => self.text(one(declared, "text")?, LONG_TEXT),
            _ => self.text(one(declared, "text")?, SHORT_TEXT),
        }
    }

    /// Returns the value that a key is matched with: as [`Attribute::wire`], but the attribute need not be editable.
    pub(super) fn key(&self, declared: &Value, time_zone: Option<&str>) -> Result<Value, String> {
        self.converted(declared, time_zone)
    }

    /// Returns its number, by which unique rules name it.
    pub(super) fn id(&self) -> Option<i64> {
        self.row["id"].as_i64()
    }

    /// Says whether a new instance has to have it.
    pub(super) fn is_required(&self) -> bool {
        self.row["isrequired"] == json!(true)
    }

    /// Returns the name that the platform's pages show for it.
    pub(super) fn display_name(&self) -> &str {
        self.row["bk_property_name"].as_str().unwrap_or_default()
    }

    /// Says whether the server's value means the same as the one to be sent.
    pub(super) fn same(&self, wire: &Value, live: &Value) -> bool {
        match self.kind {
            "int" | "float" if !wire.is_null() && !live.is_null() => same_number(wire, live),
            "enummulti" | "enumquote" | "organization" => same_set(wire, live),
            "objuser" => same_set(&names(wire), &names(live)),
            "time" => match (instant(wire), instant(live)) {
                (Some(wire), Some(live)) => wire == live,
                _ => wire == live,
            },
            // Blanks at the ends are cut off by the server, and mean nothing where one keeps them.
            _ => match (wire, live) {
                (Value::String(wire), Value::String(live)) => wire.trim() == live.trim(),
                _ => same(wire, live),
            },
        }
    }

    fn integer(&self, declared: &Value) -> Result<Value, String> {
        let number: i64 = one(declared, "a whole number")?
            .trim()
            .parse()
            .map_err(|_| format!("takes a whole number, not {}", shown(declared)))?;
        #[expect(clippy::cast_precision_loss, reason = "limits are compared as the server compares them")]
        self.within(number as f64).map(|()| json!(number))
    }

    fn float(&self, declared: &Value) -> Result<Value, String> {
        let number: f64 = one(declared, "a number")?
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| format!("takes a number, not {}", shown(declared)))?;
        self.within(number).map(|()| json!(number))
    }

    fn within(&self, number: f64) -> Result<(), String> {
        let limit = |key: &str| {
            let limit = &self.row["option"][key];
            limit.as_f64().or_else(|| limit.as_str()?.parse().ok())
        };
        if let Some(least) = limit("min").filter(|least| number < *least) {
            return Err(format!("is at least {least}, not {number}"));
        }
        if let Some(most) = limit("max").filter(|most| number > *most) {
            return Err(format!("is at most {most}, not {number}"));
        }
        Ok(())
    }

    /// The id of an option, which may be named by its id or by its display name.
    fn option(&self, named: &str) -> Result<String, String> {
        let options = self.row["option"].as_array().map(Vec::as_slice).unwrap_or_default();
        let word = |option: &Value, key: &str| option[key].as_str().map(str::to_owned);
        if options.iter().any(|option| option["id"].as_str() == Some(named)) {
            return Ok(named.to_owned());
        }
        let mut by_name = options.iter().filter(|option| option["name"].as_str() == Some(named));
        match (by_name.next().and_then(|option| word(option, "id")), by_name.next()) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => Err(format!("has several options named `{named}`; give the id")),
            (None, _) => {
                let known: Vec<_> = options
                    .iter()
                    .filter_map(|option| Some(format!("{} ({})", word(option, "id")?, word(option, "name")?)))
                    .collect();
                Err(format!("has no option `{named}`; it has {}", known.join(", ")))
            }
        }
    }

    fn options(&self, declared: &Value) -> Result<Value, String> {
        let ids: Vec<_> = items(declared, "options")?.map(|named| self.option(named)).collect::<Result<_, _>>()?;
        self.single(ids.len()).map(|()| json!(ids))
    }

    fn ids(&self, declared: &Value) -> Result<Value, String> {
        let ids: Vec<i64> = items(declared, "ids")?
            .map(|id| id.parse().map_err(|_| format!("takes ids, which are whole numbers, not `{id}`")))
            .collect::<Result<_, _>>()?;
        self.single(ids.len()).map(|()| json!(ids))
    }

    fn users(&self, declared: &Value) -> Result<Value, String> {
        let joined = match text(declared) {
            Some(text) => text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect::<Vec<_>>(),
            None => items(declared, "user names")?.map(str::trim).collect(),
        };
        for name in &joined {
            let fits = name.starts_with(|first: char| first.is_ascii_alphanumeric())
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "@._-".contains(letter));
            if !fits {
                return Err(format!("takes user names of letters, digits and `@._-`, not `{name}`"));
            }
        }
        self.single(joined.len())?;
        bounded(&joined.join(","), LONG_TEXT).map(|text| json!(text))
    }

    fn member(&self, named: &str) -> Result<Value, String> {
        let options: Vec<_> = self.row["option"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if options.contains(&named) {
            return Ok(json!(named));
        }
        Err(format!("has no option `{named}`; it has {}", options.join(", ")))
    }

    fn text(&self, declared: &str, most: usize) -> Result<Value, String> {
        let text = bounded(declared.trim(), most)?;
        if let Some(pattern) = self.row["option"].as_str().filter(|pattern| !pattern.is_empty())
            && !text.is_empty()
            && regex::Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
        {
            return Err(format!("has to match `{pattern}`; `{text}` does not"));
        }
        Ok(json!(text))
    }

    fn single(&self, count: usize) -> Result<(), String> {
        if self.row["ismultiple"] == json!(false) && count > 1 {
            return Err(format!("takes one value, not {count}"));
        }
        Ok(())
    }
}

fn one<'v>(declared: &'v Value, wanted: &str) -> Result<&'v str, String> {
    text(declared).ok_or_else(|| format!("takes {wanted}, not {}", shown(declared)))
}

fn items<'v>(declared: &'v Value, wanted: &str) -> Result<impl Iterator<Item = &'v str>, String> {
    let list = match declared {
        Value::Array(list) => list.as_slice(),
        _ => std::slice::from_ref(declared),
    };
    if list.iter().any(|item| text(item).is_none()) {
        return Err(format!("takes a list of {wanted}, not {}", shown(declared)));
    }
    Ok(list.iter().filter_map(text))
}

fn bounded(text: &str, most: usize) -> Result<&str, String> {
    if text.len() > most {
        return Err(format!("takes at most {most} bytes, not {}", text.len()));
    }
    Ok(text)
}

fn truth(declared: &Value) -> Result<Value, String> {
    match text(declared).map(str::to_ascii_lowercase).as_deref() {
        Some("true") => Ok(json!(true)),
        Some("false") => Ok(json!(false)),
        _ => Err(format!("takes true or false, not {}", shown(declared))),
    }
}

fn date(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let fits = text.is_empty() || (text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok());
    if fits { Ok(json!(text)) } else { Err(format!("takes a calendar date such as 2024-02-28, not `{text}`")) }
}

/// The server reads a time without a zone in a zone of its own, and takes impossible ones as the year 1: so a real
/// instant is sent, always in UTC.
fn time(text: &str, time_zone: Option<&str>) -> Result<Value, String> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(json!(instant.to_string()));
    }
    let Ok(civil) = text.parse::<jiff::civil::DateTime>() else {
        return Err(format!("takes a time such as 2024-02-28T10:00:00+08:00, not `{text}`"));
    };
    let Some(zone) = time_zone else {
        return Err(format!("takes a time with its zone: `{text}` has none, and the target has no `timeZone`"));
    };
    let zoned = civil.in_tz(zone).map_err(|error| format!("takes a time: {error}"))?;
    Ok(json!(zoned.timestamp().to_string()))
}

/// The server takes any text that looks like a zone (contract section 9, trap 17).
fn time_zone_name(text: &str) -> Result<Value, String> {
    let name = text.trim();
    let known = jiff::tz::TimeZone::get(name).is_ok();
    if known { Ok(json!(name)) } else { Err(format!("takes a time zone such as Asia/Shanghai, not `{name}`")) }
}

fn instant(value: &Value) -> Option<jiff::Timestamp> {
    value.as_str()?.trim().parse().ok()
}

fn names(value: &Value) -> Value {
    let names = value.as_str().unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).collect::<Vec<_>>().into()
}

fn unwrap_plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(unwrap_plain).collect(),
        Value::Object(_) if text(value).is_some() => {
            let text = text(value).unwrap_or_default();
            serde_json::from_str(text).unwrap_or_else(|_| json!(text))
        }
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), unwrap_plain(value))).collect(),
        other => other.clone(),
    }
}

fn shown(value: &Value) -> String {
    match text(value) {
        Some(text) => format!("`{text}`"),
        None if value.is_array() => "a list".to_owned(),
        None if value.is_object() => "a mapping".to_owned(),
        None => format!("`{value}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: &'static str, option: &Value) -> (Value, &'static str) {
        (json!({"bk_property_id": "f", "bk_property_type": kind, "option": option}), kind)
    }

    #[test]
    fn what_is_sent() {
        let check = |kind: &'static str, option: Value, declared: Value, expected: &str| {
            let (row, kind) = attribute(kind, &option);
            let told = match (Attribute { row: &row, kind }).wire(&declared, Some("Asia/Shanghai")) {
                Ok(value) => value.to_string(),
                Err(problem) => problem,
            };
            assert_eq!(told, expected, "{kind} {declared}");
        };
        let options = json!([{"id": "1", "name": "normal"}, {"id": "2", "name": "database"}]);
        check("singlechar", json!(""), plain("0042"), r#""0042""#);
        check("singlechar", json!(""), json!("  x "), r#""x""#);
        check("singlechar", json!("^a+$"), json!("b"), "has to match `^a+$`; `b` does not");
        check("singlechar", json!(""), json!("字".repeat(86)), "takes at most 256 bytes, not 258");
        check("int", json!({"min": "1", "max": 9}), plain("7"), "7");
        check("int", json!({"min": "1", "max": 9}), plain("10"), "is at most 9, not 10");
        check("int", json!(""), json!("x"), "takes a whole number, not `x`");
        check("float", json!(""), json!("3.5"), "3.5");
        check("bool", json!(""), plain("true"), "true");
        check("enum", options.clone(), json!("database"), r#""2""#);
        check("enum", options.clone(), plain("2"), r#""2""#);
        check("enum", options.clone(), json!("x"), "has no option `x`; it has 1 (normal), 2 (database)");
        check("enummulti", options, json!(["normal", plain("2")]), r#"["1","2"]"#);
        check("date", json!(""), json!("2024-02-30"), "takes a calendar date such as 2024-02-28, not `2024-02-30`");
        check("time", json!(""), json!("2024-02-28 10:00:00"), r#""2024-02-28T02:00:00Z""#);
        check("time", json!(""), json!("2024-02-28T10:00:00+01:00"), r#""2024-02-28T09:00:00Z""#);
        check(
            "time",
            json!(""),
            json!("2024-02-30 10:00:00"),
            "takes a time such as 2024-02-28T10:00:00+08:00, not `2024-02-30 10:00:00`",
        );
        check("objuser", json!(""), json!(["alice", "bob"]), r#""alice,bob""#);
        check("objuser", json!(""), json!("alice, bob"), r#""alice,bob""#);
        check("organization", json!(""), json!([plain("3")]), "[3]");
    }

    #[test]
    fn what_is_the_same() {
        let check = |kind: &'static str, wire: Value, live: Value, expected: bool| {
            let (row, kind) = attribute(kind, &json!(""));
            assert_eq!((Attribute { row: &row, kind }).same(&wire, &live), expected, "{kind} {wire} {live}");
        };
        check("float", json!(3.5), json!("3.5"), true);
        check("int", json!(9), json!(9.0), true);
        check("int", json!(0), json!(null), false);
        check("objuser", json!("bob,alice"), json!("alice,bob"), true);
        check("objuser", json!(""), json!(null), true);
        check("enummulti", json!(["2", "1"]), json!(["1", "2", "2"]), true);
        check("time", json!("2024-02-28T02:00:00Z"), json!("2024-02-28T10:00:00.000+08:00"), true);
        check("singlechar", json!(""), json!(null), false);
    }
}
