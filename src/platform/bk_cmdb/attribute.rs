//! Attributes of models: which values an attribute takes, what is sent for them, and when the server's value is the
//! same one (contract section 4.1).

mod described;
mod pattern;
mod time;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde_json::{Value, json};

use self::{pattern::Pattern, time::Moment};
use crate::{
    diff::values::{same, same_number, same_set},
    model::{Display, DisplayKind, Json, Layout, View},
};

/// Longest `singlechar`, in bytes of UTF-8.
const SHORT_TEXT: usize = 256;
/// Longest `longchar` and `objuser`, in bytes of UTF-8.
const LONG_TEXT: usize = 2000;
/// Largest size of a float: 2⁶³.
const FAR: f64 = 9_223_372_036_854_775_808.0;

/// Key of the object that stands for a plain scalar that is no text by itself, such as `042` or `true`: what it means
/// is up to the attribute's type, which only the server knows.
const PLAIN: &str = "$plain";

/// Returns the value of a scalar that was written without quotes and looks like a number or truth value.
pub(super) fn plain(text: &str) -> Json {
    static LAYOUT: LazyLock<Layout> = LazyLock::new(|| Layout::new(&[PLAIN]));
    LAYOUT.object([text.into()])
}

/// Returns the text of a scalar as it was written; `None` for lists, mappings and null.
pub(super) fn text(value: &Json) -> Option<&str> {
    value.as_str().or_else(|| value.get(PLAIN)?.as_str())
}

/// Returns the text of a scalar that [`plain`] made; `None` for other values.
pub(super) fn plain_text(value: &Value) -> Option<&str> {
    value.get(PLAIN)?.as_str()
}

/// Attributes in which the server notes who made and changed a row, and when. Nothing is declared of them.
pub(super) const HISTORY: &[&str] = &[
    "bk_created_at",
    "bk_created_by",
    "bk_updated_at",
    "bk_updated_by",
    "create_time",
    "last_time",
    "creator",
    "modifier",
];

/// Returns true for the row of an attribute that the server keeps the history in. A model may have an editable
/// attribute of such a name, which is its own.
pub(super) fn is_history(row: &Json) -> bool {
    row["editable"] == json!(false) && row["bk_property_id"].as_str().is_some_and(|name| HISTORY.contains(&name))
}

/// The definition of a model: its attributes by their ids.
pub(super) type Definition = BTreeMap<Arc<str>, Attribute>;

/// One attribute of a model: a row of `search_object_attribute`.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    row: Json,
    kind: Box<str>,
    /// The pattern of a text, where it has one.
    pattern: Option<Pattern>,
    // Each comparison of each instance asks for these.
    is_read_only: bool,
    is_required: bool,
    /// It takes one value only.
    is_single: bool,
    least: Option<f64>,
    most: Option<f64>,
}

/// Returns the attributes of a model by their ids.
pub(super) fn attributes(rows: &Json) -> Definition {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| Some((row["bk_property_id"].as_str()?.into(), Attribute::of(row)))).collect()
}

impl Attribute {
    fn of(row: &Json) -> Self {
        let text = |key: &str| row[key].as_str().filter(|text| !text.is_empty());
        let limit = |key: &str| {
            let limit = &row["option"][key];
            limit.as_f64().or_else(|| limit.as_str()?.parse().ok())
        };
        Self {
            kind: text("bk_property_type").unwrap_or("singlechar").into(),
            pattern: text("option").map(Pattern::new),
            is_read_only: row["editable"] == false,
            is_required: row["isrequired"] == true,
            is_single: row["ismultiple"] == false,
            least: limit("min"),
            most: limit("max"),
            row: row.clone(),
        }
    }

    /// Returns the value to be sent for a declared one, or what is wrong with it.
    pub(super) fn wire(&self, declared: &Json, time_zone: Option<&str>) -> Result<Json, String> {
        if self.is_read_only {
            return Err("is not editable: the server would drop it without a word".to_owned());
        }
        if declared.is_null() {
            return match &*self.kind {
                _ if self.is_required => Err("is required: it cannot be cleared".to_owned()),
                "enumquote" => Err("cannot be `null`, which the server refuses; use []".to_owned()),
                _ => Ok(Json::NULL),
            };
        }
        let value = self.key(declared, time_zone)?;
        let is_empty = value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(<[Json]>::is_empty);
        if self.is_required && is_empty {
            return Err("is required: it cannot be empty".to_owned());
        }
        Ok(value)
    }

    /// Returns the value that a key is matched with: as [`Attribute::wire`], but the attribute need not be editable.
    pub(super) fn key(&self, declared: &Json, time_zone: Option<&str>) -> Result<Json, String> {
        let value = match &*self.kind {
            "int" => return self.integer(declared),
            "float" => return self.float(declared),
            "bool" => return truth(declared),
            "enum" => self.option(scalar(declared, "an option")?).map(|id| json!(id)),
            "enummulti" => self.options(declared),
            "enumquote" | "organization" => self.ids(declared),
            "list" => self.member(scalar(declared, "one of the options")?),
            "date" => date(scalar(declared, "a date such as 2024-02-28")?),
            "time" => Moment::declared(scalar(declared, "a time such as 2024-02-28T10:00:00+08:00")?, time_zone)
                .map(Moment::wire),
            "objuser" => self.users(declared),
            "timezone" => time_zone_name(scalar(declared, "a time zone")?),
            "table" => Ok(unwrap_plain(declared)),
            "innertable" => Err("is an inner table: its rows cannot be written here".to_owned()),
            "longchar" => return self.text(declared, LONG_TEXT),
            _ => return self.text(declared, SHORT_TEXT),
        };
        value.map(Json::from)
    }

    /// Returns a stored value as a document declares it.
    pub(super) fn declared(&self, stored: &Value, time_zone: Option<&str>) -> Value {
        let is_text = matches!(&*self.kind, "singlechar" | "longchar" | "objuser");
        match stored {
            Value::String(text) if text.is_empty() && !is_text => Value::Null,
            Value::String(_) if &*self.kind == "time" => {
                Moment::live(&stored.into(), time_zone).map_or_else(|| stored.clone(), Moment::wire)
            }
            Value::Array(items) => items.iter().map(|item| self.declared(item, time_zone)).collect(),
            Value::Number(_) | Value::Bool(_) => plain(&stored.to_string()).to_value(),
            Value::Null | Value::String(_) | Value::Object(_) => stored.clone(),
        }
    }

    /// Returns true if a write can set it.
    pub(super) fn is_editable(&self) -> bool {
        !self.is_read_only && &*self.kind != "innertable"
    }

    /// Returns why no instance can be found by its value; `None` if one can.
    pub(super) fn no_key(&self) -> Option<&'static str> {
        match &*self.kind {
            "time" => Some("a time: the server finds nothing by one"),
            "enummulti" | "enumquote" | "organization" | "table" | "innertable" => {
                Some("a list: the server finds nothing by one")
            }
            _ => None,
        }
    }

    /// Returns a live and a desired value as people read them; `None` if both are read as they are stored.
    pub(super) fn display(&self, live: Option<&Json>, wire: &Json, time_zone: Option<&str>) -> Option<Display> {
        let kind = if &*self.kind == "time" { DisplayKind::Time } else { DisplayKind::Option };
        let from = live.and_then(|live| self.shown(live, time_zone));
        let to = self.shown(wire, time_zone);
        (from.is_some() || to.is_some()).then_some(Display { kind, from, to })
    }

    /// Returns an option by its display name, a time in the target's zone; `None` for a value that is read as it is.
    fn shown(&self, value: &Json, time_zone: Option<&str>) -> Option<String> {
        match &*self.kind {
            "enum" => self.option_name(value.as_str()?).filter(|name| value != name).map(str::to_owned),
            "enummulti" => {
                let ids = value.as_array().filter(|ids| !ids.is_empty())?;
                let names = ids.iter().map(|id| self.option_name(id.as_str()?)).collect::<Option<Vec<_>>>()?;
                names.iter().zip(ids).any(|(name, id)| id != name).then(|| format!("[{}]", names.join(", ")))
            }
            "time" => Moment::live(value, time_zone).map(|moment| moment.shown(time_zone)),
            _ => None,
        }
    }

    fn option_name(&self, id: &str) -> Option<&str> {
        let options = self.row["option"].as_array()?;
        options.iter().find(|option| option["id"].as_str() == Some(id))?["name"].as_str()
    }

    /// Returns its type, such as `singlechar`.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns true where the server notes in it who made or changed an instance, or when.
    pub(super) fn is_history(&self) -> bool {
        is_history(&self.row)
    }

    /// Returns its number, by which unique rules name it.
    pub(super) fn id(&self) -> Option<i64> {
        self.row["id"].as_i64()
    }

    /// Returns true if a new instance has to have it.
    pub(super) fn is_required(&self) -> bool {
        self.is_required
    }

    /// Returns the name that the platform's pages show for it.
    pub(super) fn display_name(&self) -> &str {
        self.row["bk_property_name"].as_str().unwrap_or_default()
    }

    /// Returns true if the server's value means the same as the one to be sent.
    pub(super) fn same(&self, wire: &Json, live: &Json, time_zone: Option<&str>) -> bool {
        match &*self.kind {
            "int" | "float" if !wire.is_null() && !live.is_null() => same_number(wire, live),
            "enummulti" | "enumquote" | "organization" => same_set(wire, live),
            "objuser" => same_set(&names(wire), &names(live)),
            "time" => match (Moment::live(wire, time_zone), Moment::live(live, time_zone)) {
                (Some(wire), Some(live)) => wire == live,
                _ => wire == live,
            },
            // Blanks at the ends are cut off by the server, and mean nothing where one keeps them.
            _ => match (wire.as_str(), live.as_str()) {
                (Some(wire), Some(live)) => wire == live || wire.trim() == live.trim(),
                _ => same(wire, live),
            },
        }
    }

    fn integer(&self, declared: &Json) -> Result<Json, String> {
        let number: i64 = scalar(declared, "a whole number")?.trim().parse().map_err(|_| match text(declared) {
            Some(text) if is_whole(text) => format!("takes whole numbers of 64 bits: `{text}` is too large"),
            _ => format!("takes a whole number, not {}", shown(declared)),
        })?;
        #[expect(clippy::cast_precision_loss, reason = "limits are compared as the server compares them")]
        self.within(number as f64).map(|()| number.into())
    }

    fn float(&self, declared: &Json) -> Result<Json, String> {
        let number: f64 = scalar(declared, "a number")?
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| format!("takes a number, not {}", shown(declared)))?;
        self.within(number)?;
        // Without a bound of its own a float has those of a whole number of 64 bits.
        if if number < 0.0 { self.least } else { self.most }.is_none() && number.abs() > FAR {
            return Err(format!("is between -9223372036854775808 and 9223372036854775808, not {number}"));
        }
        Ok(json!(number).into())
    }

    fn within(&self, number: f64) -> Result<(), String> {
        if let Some(least) = self.least.filter(|least| number < *least) {
            return Err(format!("is at least {least}, not {number}"));
        }
        if let Some(most) = self.most.filter(|most| number > *most) {
            return Err(format!("is at most {most}, not {number}"));
        }
        Ok(())
    }

    /// The id of an option, which may be named by its id or by its display name.
    fn option(&self, named: &str) -> Result<String, String> {
        let options = self.row["option"].items();
        let word = |option: &Json, key: &str| option[key].as_str().map(str::to_owned);
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

    fn options(&self, declared: &Json) -> Result<Value, String> {
        let ids: Vec<_> = items(declared, "options")?.map(|named| self.option(named)).collect::<Result<_, _>>()?;
        self.single(ids.len()).map(|()| json!(ids))
    }

    fn ids(&self, declared: &Json) -> Result<Value, String> {
        let ids: Vec<i64> = items(declared, "ids")?
            .map(|id| id.parse().map_err(|_| format!("takes ids, which are whole numbers, not `{id}`")))
            .collect::<Result<_, _>>()?;
        self.single(ids.len()).map(|()| json!(ids))
    }

    fn users(&self, declared: &Json) -> Result<Value, String> {
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
        let options: Vec<_> = self.row["option"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        if options.contains(&named) {
            return Ok(json!(named));
        }
        Err(format!("has no option `{named}`; it has {}", options.join(", ")))
    }

    fn text(&self, declared: &Json, most: usize) -> Result<Json, String> {
        let written = scalar(declared, "text")?;
        let text = bounded(written.trim(), most)?;
        if let Some(pattern) = &self.pattern
            && !text.is_empty()
            && pattern.fits(text) == Some(false)
        {
            return Err(format!("has to match `{}`; `{text}` does not", pattern.source()));
        }
        let is_same = declared.is_string() && text.len() == written.len();
        Ok(if is_same { declared.clone() } else { text.into() })
    }

    fn single(&self, count: usize) -> Result<(), String> {
        if self.is_single && count > 1 {
            return Err(format!("takes one value, not {count}"));
        }
        Ok(())
    }
}

fn scalar<'v>(declared: &'v Json, wanted: &str) -> Result<&'v str, String> {
    text(declared).ok_or_else(|| format!("takes {wanted}, not {}", shown(declared)))
}

fn items<'v>(declared: &'v Json, wanted: &str) -> Result<impl Iterator<Item = &'v str>, String> {
    let list = declared.as_array().unwrap_or(std::slice::from_ref(declared));
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

fn truth(declared: &Json) -> Result<Json, String> {
    match text(declared).map(str::to_ascii_lowercase).as_deref() {
        Some("true") => Ok(true.into()),
        Some("false") => Ok(false.into()),
        _ => Err(format!("takes true or false, not {}", shown(declared))),
    }
}

fn date(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let fits = text.is_empty() || (text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok());
    if fits { Ok(json!(text)) } else { Err(format!("takes a calendar date such as 2024-02-28, not `{text}`")) }
}

/// The server takes any text that looks like a zone (contract section 9, trap 17).
fn time_zone_name(text: &str) -> Result<Value, String> {
    let name = text.trim();
    let known = jiff::tz::TimeZone::get(name).is_ok();
    if known { Ok(json!(name)) } else { Err(format!("takes a time zone such as Asia/Shanghai, not `{name}`")) }
}

fn names(value: &Json) -> Json {
    let names = value.as_str().unwrap_or_default().split(',').map(str::trim);
    json!(names.filter(|name| !name.is_empty()).collect::<Vec<_>>()).into()
}

fn unwrap_plain(value: &Json) -> Value {
    match (value.view(), text(value)) {
        (View::List(items), _) => items.iter().map(unwrap_plain).collect(),
        (View::Object(_), Some(text)) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        (View::Object(entries), None) => {
            entries.into_iter().map(|(key, value)| (key.to_owned(), unwrap_plain(value))).collect()
        }
        _ => value.to_value(),
    }
}

/// Returns true if a text is a decimal number, of however many digits.
fn is_whole(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn shown(value: &Json) -> String {
    match text(value) {
        Some(text) => format!("`{text}`"),
        None if value.is_array() => "a list".to_owned(),
        None if value.is_object() => "a mapping".to_owned(),
        None => format!("`{value}`"),
    }
}

#[cfg(test)]
mod tests;
