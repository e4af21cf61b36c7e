//! Attributes of models: which values they take, and how the server stores them (section 4.1).

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use jiff::tz::TimeZone;
use regex::Regex;
use serde_json::Value;

use super::{lenient, moment, pattern, refusal::Refusal, row::Row, table::Table};

/// One attribute of a model.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    /// `bk_property_id`.
    pub(super) id: Arc<str>,
    /// The display name, which refusals name.
    pub(super) name: String,
    /// `bk_property_type`.
    pub(super) kind: String,
    pub(super) option: Value,
    pub(super) default: Value,
    pub(super) editable: bool,
    pub(super) required: bool,
    pub(super) multiple: bool,
    /// The business that a private attribute belongs to, 0 for a global one.
    pub(super) business: i64,
    /// The pattern of a text attribute.
    pattern: Option<Regex>,
}

/// The attributes of a model.
#[derive(Debug, Clone, Default)]
pub(super) struct Schema {
    attributes: Vec<Attribute>,
    places: HashMap<Arc<str>, Vec<usize>>,
}

/// Attributes that a new instance gets from the server, whatever the request says.
pub(super) const AUTOMATIC: [&str; 4] = ["bk_created_at", "bk_created_by", "bk_updated_at", "bk_updated_by"];

impl Schema {
    /// Adds an attribute.
    pub(super) fn add(&mut self, attribute: Attribute) {
        self.places.entry(Arc::clone(&attribute.id)).or_default().push(self.attributes.len());
        self.attributes.push(attribute);
    }

    /// Returns an attribute, global or private to the business.
    pub(super) fn get(&self, id: &str, business: i64) -> Option<&Attribute> {
        let places = self.places.get(id)?;
        let mut found = places.iter().map(|place| &self.attributes[*place]);
        found.find(|attribute| attribute.business == 0 || attribute.business == business)
    }

    /// Returns true if a field of the model's rows holds a moment, which is no text in the store.
    pub(super) fn is_moment(&self, field: &str) -> bool {
        let of = |places: &Vec<usize>| places.iter().any(|place| self.attributes[*place].kind == "time");
        matches!(field, "create_time" | "last_time") || self.places.get(field).is_some_and(of)
    }

    /// Returns the attributes that hold a moment.
    pub(super) fn moments(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|attribute| attribute.kind == "time")
    }

    /// Returns the attributes that rows of a business have.
    pub(super) fn of_business(&self, business: i64) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(move |attribute| attribute.business == 0 || attribute.business == business)
    }
}

/// The surroundings that validation needs beside the attribute.
pub(super) struct Context<'a> {
    /// The server's time zone.
    pub(super) zone: &'a TimeZone,
    /// The instances of all models, for quoted ones.
    pub(super) instances: &'a std::collections::BTreeMap<String, Table>,
}

static TIMEZONE: LazyLock<Regex> = LazyLock::new(|| constant("^[a-zA-Z0-9\\-−_/+]+$"));
static USERS: LazyLock<Regex> = LazyLock::new(|| constant("^([0-9]|[a-zA-Z])([a-zA-Z0-9@.,_-])*$"));

fn constant(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant of this file")
}

/// The bound of a float that has none of its own: 2⁶³.
const FAR: f64 = 9_223_372_036_854_775_808.0;

impl Attribute {
    /// Reads a row of `search_object_attribute`.
    pub(super) fn of(row: &Row) -> Self {
        let kind = row.text("bk_property_type").to_owned();
        let option = row.get("option").cloned().unwrap_or(Value::Null);
        let textual = matches!(kind.as_str(), "singlechar" | "longchar");
        let regex = option.as_str().filter(|text| textual && !text.is_empty());
        let flag = |name: &str, default| row.get(name).and_then(Value::as_bool).unwrap_or(default);
        Self {
            id: Arc::from(row.text("bk_property_id")),
            name: message_name(row).to_owned(),
            default: row.get("default").cloned().unwrap_or(Value::Null),
            editable: flag("editable", true),
            required: flag("isrequired", false),
            multiple: flag("ismultiple", true),
            business: row.int("bk_biz_id"),
            pattern: regex.and_then(|text| Regex::new(&pattern::translated(text)).ok()),
            kind,
            option,
        }
    }

    /// Returns what a create stores when the request does not name the attribute.
    pub(super) fn initial(&self) -> Value {
        if !self.default.is_null() {
            return self.default.clone();
        }
        match self.kind.as_str() {
            "singlechar" | "longchar" => Value::from(""),
            "bool" => Value::from(false),
            "enum" => self.default_options().next().cloned().unwrap_or(Value::Null),
            "enummulti" => {
                let options: Vec<Value> = self.default_options().cloned().collect();
                if options.is_empty() { Value::Null } else { Value::from(options) }
            }
            "enumquote" => {
                let ids: Vec<Value> = self.options().filter_map(|option| option.get("bk_inst_id")).cloned().collect();
                if ids.is_empty() { Value::Null } else { Value::from(ids) }
            }
            _ => Value::Null,
        }
    }

    fn options(&self) -> impl Iterator<Item = &Value> {
        self.option.as_array().into_iter().flatten()
    }

    fn default_options(&self) -> impl Iterator<Item = &Value> {
        self.options()
            .filter(|option| option.get("is_default").and_then(Value::as_bool) == Some(true))
            .filter_map(|option| option.get("id"))
    }

    fn has_option(&self, value: &Value) -> bool {
        value.is_string() && self.options().any(|option| option.get("id").unwrap_or(option) == value)
    }

    /// Checks a value and returns how it is stored.
    pub(super) fn accept(&self, value: &Value, context: &Context<'_>) -> Result<Value, Refusal> {
        let value = value.as_str().map_or_else(|| value.clone(), |text| text.trim().into());
        if self.required && (value.is_null() || value.as_str() == Some("")) {
            return Err(self.wrong("unassigned"));
        }
        if value.is_null() {
            // A null passes the type check of enumquote and then fails in a conversion.
            return match self.kind.as_str() {
                "enumquote" => Err(Refusal::wrapped("convert value to slice failed")),
                "id_rule" => Err(self.wrong("must be a string type")),
                _ => Ok(value),
            };
        }
        if let Some(number) = lenient::odd_number(&value) {
            self.check_odd_number(number)?;
        }
        match self.kind.as_str() {
            "singlechar" => self.text(value, 256),
            "longchar" => self.text(value, 2000),
            "int" => self.int(value),
            "float" => self.float(value),
            "enum" | "list" => {
                if self.has_option(&value) {
                    Ok(value)
                } else {
                    Err(self.invalid())
                }
            }
            "enummulti" => self.enum_list(value),
            "enumquote" => self.quotes(value, context),
            "date" => match value.as_str() {
                Some(text) if text.is_empty() || moment::is_date(text) => Ok(value),
                _ => Err(self.invalid()),
            },
            "time" => match value.as_str() {
                Some("") => Err(Refusal::wrapped("can not convert value from string type to time type")),
                Some(text) => moment::stored(text, context.zone).map(Value::from).ok_or_else(|| self.invalid()),
                None => Err(self.invalid()),
            },
            "bool" => {
                if value.is_boolean() {
                    Ok(value)
                } else {
                    Err(self.wrong("must be boolean"))
                }
            }
            "timezone" => match value.as_str() {
                Some(text) if TIMEZONE.is_match(text) => Ok(value),
                _ => Err(self.wrong("must be a string type")),
            },
            "objuser" => self.users(value),
            "organization" => self.organizations(value),
            "table" => {
                let rows = value.as_array().is_some_and(|rows| rows.iter().all(|row| self.is_row(row)));
                if rows { Ok(value) } else { Err(self.invalid()) }
            }
            "id_rule" => match value.as_str() {
                Some(text) if !text.is_empty() && text.len() <= 256 => Ok(value),
                _ => Err(self.invalid()),
            },
            _ => Ok(value),
        }
    }

    /// Refuses a number that JSON does not have where the type takes numbers: the service that reads it is lenient, those
    /// behind it are not.
    fn check_odd_number(&self, number: &str) -> Result<(), Refusal> {
        let beyond = lenient::is_beyond(number);
        match self.kind.as_str() {
            "int" if beyond => Err(Refusal::new(1_199_020, "Failed to update data")),
            "int" | "float" if !beyond => Err(Refusal::new(1_109_001, "save audit log failed")),
            _ => Ok(()),
        }
    }

    /// Returns true if a value is a row of a table whose columns the option names, where it names any.
    fn is_row(&self, value: &Value) -> bool {
        let columns: Vec<&str> =
            self.options().filter_map(|column| column.get("bk_property_id").and_then(Value::as_str)).collect();
        value.as_object().is_some_and(|row| columns.is_empty() || row.keys().all(|key| columns.contains(&key.as_str())))
    }

    fn wrong(&self, what: &str) -> Refusal {
        Refusal::wrapped(&format!("'{}' {what}", self.name))
    }

    fn invalid(&self) -> Refusal {
        self.wrong("data parameter verification does not pass")
    }

    fn text(&self, value: Value, bytes: usize) -> Result<Value, Refusal> {
        let Some(text) = value.as_str() else { return Err(self.wrong("must be a string type")) };
        if text.len() > bytes {
            return Err(Refusal::wrapped(&format!("Data out of bounds%!(EXTRA string={})", self.name)));
        }
        if !text.is_empty() && self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            return Err(self.wrong("Field regular check failed"));
        }
        Ok(value)
    }

    /// A bound of an int or float attribute: a number or a numeric text.
    fn bound(&self, name: &str) -> Option<f64> {
        let bound = self.option.get(name)?;
        bound.as_f64().or_else(|| bound.as_str()?.trim().parse().ok())
    }

    fn in_range(&self, number: f64) -> bool {
        self.bound("min").is_none_or(|min| number >= min) && self.bound("max").is_none_or(|max| number <= max)
    }

    fn in_float_range(&self, number: f64) -> bool {
        // A value that is no number passes, since it is neither below nor above anything.
        let below = number < self.bound("min").unwrap_or(-FAR);
        let above = number > self.bound("max").unwrap_or(FAR);
        !below && !above
    }

    fn int(&self, value: Value) -> Result<Value, Refusal> {
        let Value::Number(number) = &value else { return Err(self.wrong("parameters must be integral")) };
        // A value that is not written as an integer counts as 0 in the range check.
        #[expect(clippy::cast_precision_loss, reason = "bounds are far below the first inexact integer")]
        let counted = number.as_i64().map_or(0.0, |whole| whole as f64);
        if self.in_range(counted) { Ok(stored_number(value)) } else { Err(self.invalid()) }
    }

    fn float(&self, value: Value) -> Result<Value, Refusal> {
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => float_text(text).filter(|number| !number.is_infinite()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        match number {
            None => Err(self.wrong("the parameter is invalid or does not exist")),
            Some(number) if self.in_float_range(number) => Ok(stored_number(value)),
            Some(_) => Err(self.invalid()),
        }
    }

    fn single(&self, items: &[Value]) -> bool {
        self.multiple || items.len() <= 1
    }

    fn enum_list(&self, value: Value) -> Result<Value, Refusal> {
        let items = value.as_array().ok_or_else(|| self.invalid())?;
        if self.required && items.is_empty() {
            return Err(self.wrong("unassigned"));
        }
        if !self.single(items) {
            let text = "current field type status is single choice, please set reasonable data";
            return Err(Refusal::wrapped(&format!("{text}%!(EXTRA string={})", self.name)));
        }
        if items.iter().all(|item| self.has_option(item)) { Ok(value) } else { Err(self.invalid()) }
    }

    fn quotes(&self, value: Value, context: &Context<'_>) -> Result<Value, Refusal> {
        let items = value.as_array().ok_or_else(|| self.invalid())?;
        let model = self.options().find_map(|option| option.get("bk_obj_id")).and_then(Value::as_str).unwrap_or("");
        let exists = |id: i64| context.instances.get(model).is_some_and(|table| table.get(id).is_some());
        let fine = self.single(items) && items.iter().all(|item| item.as_i64().is_some_and(exists));
        if fine && !(self.required && items.is_empty()) { Ok(value) } else { Err(self.invalid()) }
    }

    fn users(&self, value: Value) -> Result<Value, Refusal> {
        let Some(text) = value.as_str() else { return Err(self.wrong("must be a string type")) };
        if text.len() > 2000 {
            return Err(Refusal::wrapped(&format!("Data out of bounds%!(EXTRA string={})", self.name)));
        }
        if text.is_empty() || (USERS.is_match(text) && (self.multiple || !text.contains(','))) {
            Ok(value)
        } else {
            Err(self.wrong("Field regular check failed"))
        }
    }

    fn organizations(&self, value: Value) -> Result<Value, Refusal> {
        let items = value.as_array().ok_or_else(|| self.invalid())?;
        if self.required && items.is_empty() {
            return Err(self.wrong("unassigned"));
        }
        if !items.iter().all(Value::is_i64) {
            return Err(self.wrong("the parameter is invalid or does not exist"));
        }
        if self.single(items) { Ok(value) } else { Err(self.invalid()) }
    }
}

/// Reads a number as the server's language writes it: an underscore may stand between two digits.
fn float_text(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let placed = |at: usize| digit(at.checked_sub(1)) && digit(at.checked_add(1));
    if !bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || placed(at)) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// The display name that refusals use: that of the module model is not translated there.
fn message_name(row: &Row) -> &str {
    match (row.text("bk_obj_id"), row.text("bk_property_id")) {
        ("module", "bk_module_type") => "模块类型",
        ("module", "operator") => "主要维护人",
        ("module", "bk_bak_operator") => "备份维护人",
        _ => row.text("bk_property_name"),
    }
}

/// Numbers come back without a zero fraction, since the store prints them so.
fn stored_number(value: Value) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "only whole numbers that a float holds exactly")]
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) if number.fract() == 0.0 && number.abs() < 9e15 => Value::from(number as i64),
        _ => value,
    }
}
