//! The properties of a process template: what may be declared of each, and its envelope of value and lock.

use serde_json::{Value, json};

use super::{rows, wording};
use crate::{
    diagnostic::Diagnostic,
    diff::values::same,
    model::{Desired, FieldChange, FieldPath, Fields, Json, KnownField, Live, Row},
    source::{Located, Origin},
    yaml::{self, Content, Form, Key, Node, Section, Shape},
};

/// The property that holds rows.
pub(super) const BIND_INFO: &str = "bind_info";
/// The part of a property or a cell that says whether its value is locked.
const LOCK: &str = "as_default_value";

/// Returns the path of the lock of a property or a cell.
pub(super) fn lock_of(path: &FieldPath) -> FieldPath {
    path.part(LOCK)
}

/// Returns true if a path is that of a lock.
pub(super) fn is_lock(path: &FieldPath) -> bool {
    path.parts().last().is_some_and(|part| part == LOCK)
}

/// The type of a property's value.
#[derive(Debug, Clone, Copy)]
enum Type {
    Text,
    /// A text that is unique among its siblings: never empty, always locked.
    Name,
    Integer {
        least: i64,
        most: i64,
    },
    Truth,
    Rows,
}

impl Type {
    /// Returns the type of a row of the table, whose first shape is that of the value.
    fn of(key: &Key) -> Self {
        let Shape::AnyOf([value, ..]) = key.shape else { return Self::Text };
        match value {
            Shape::Name => Self::Name,
            Shape::Integer(least, most) => Self::Integer { least: *least, most: *most },
            Shape::Boolean => Self::Truth,
            Shape::List(..) => Self::Rows,
            _ => Self::Text,
        }
    }
}

/// The long forms of values with their locks.
pub(super) const LONG: Shape = Shape::Mapping(&LONG_FORM);
pub(super) const LONG_TEXT: Shape = Shape::Mapping(&LONG_TEXT_FORM);
pub(super) const LONG_TRUTH: Shape = Shape::Mapping(&LONG_TRUTH_FORM);

/// The keys of the long form of a value.
static LONG_FORM: Form = Form::new(&[Key::new("value", Shape::Any, "the value"), LOCK_KEY]);
static LONG_TEXT_FORM: Form =
    Form::new(&[Key::new("value", Shape::AnyOf(&[Shape::Text, Shape::Null]), "the value"), LOCK_KEY]);
static LONG_TRUTH_FORM: Form =
    Form::new(&[Key::new("value", Shape::AnyOf(&[Shape::Boolean, Shape::Null]), "the value"), LOCK_KEY]);

/// The table's row for the lock of a value.
const LOCK_KEY: Key = Key::new(LOCK, Shape::Boolean, "`true` locks the value: a sync carries it over to the processes");

/// All properties since 3.9 (contract section 4.4).
pub(super) static FORM: Form = Form::new(&[
    Key::new("auto_start", Shape::AnyOf(&[Shape::Boolean, Shape::Null, LONG_TRUTH]), "true or false"),
    Key::new(
        BIND_INFO,
        Shape::AnyOf(&[Shape::List(&Shape::Mapping(&rows::FORM), 0), Shape::Null, LONG]),
        "a list of rows",
    ),
    Key::new(
        "bk_func_name",
        Shape::AnyOf(&[Shape::Name, LONG_TEXT]),
        "a text; needed to create a template, and it cannot be changed later; always locked",
    ),
    Key::new(
        "bk_process_name",
        Shape::AnyOf(&[Shape::Name, LONG_TEXT]),
        "a text, unique in the service template; always locked",
    ),
    Key::new(
        "bk_start_check_secs",
        Shape::AnyOf(&[Shape::Integer(1, 10_000), Shape::Null, LONG]),
        "1 to 10000; above 600 the sync of the template fails",
    ),
    Key::new("bk_start_param_regex", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
    Key::new("description", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
    Key::new("face_stop_cmd", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
    Key::new("pid_file", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
    Key::new("priority", Shape::AnyOf(&[Shape::Integer(-100, 10_000), Shape::Null, LONG]), "-100 to 10000"),
    Key::new("proc_num", Shape::AnyOf(&[Shape::Integer(1, 10_000), Shape::Null, LONG]), "1 to 10000"),
    Key::new("reload_cmd", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
    Key::new("restart_cmd", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
    Key::new("start_cmd", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
    Key::new("stop_cmd", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
    Key::new("timeout", Shape::AnyOf(&[Shape::Integer(1, 10_000), Shape::Null, LONG]), "1 to 10000, in seconds"),
    Key::new("user", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
    Key::new("work_path", Shape::AnyOf(&[Shape::Text, Shape::Null, LONG_TEXT]), "a text"),
]);

/// Returns the names of all properties.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FORM.keys.iter().map(|key| key.name)
}

/// Properties that old pages name and the server ignores since 3.9.
const GONE: &[&str] = &["auto_time_gap", "bind_ip", "bk_enable_port", "bk_func_id", "port", "protocol"];

/// Most seconds of `bk_start_check_secs` that a process takes; a template takes more (contract section 9, trap 17).
const CHECK_SECONDS: i64 = 600;

/// Reads `properties`.
pub(super) fn decode(node: &Node<'_>, fields: &mut Fields, diagnostics: &mut Vec<Diagnostic>) {
    let Some(section) = Section::open(node, "`properties`", diagnostics) else { return };
    for (key, value) in section.node().entries() {
        let name = key.key();
        match FORM.key(name).map(|key| (key.name, Type::of(key))) {
            Some((_, Type::Rows)) => rows::decode(value, fields, diagnostics),
            Some((known, kind)) => decode_one(known, kind, value, fields, diagnostics),
            None if GONE.contains(&name) => {
                let message = format!("`{name}` is no property of a process template since 3.9: the server ignores it");
                let diagnostic = Diagnostic::error("M320", message, &key.origin);
                diagnostics.push(match name {
                    "bind_ip" | "port" | "protocol" | "bk_enable_port" => diagnostic.hint("it lies in `bind_info` now"),
                    _ => diagnostic,
                });
            }
            None => {
                let diagnostic = Diagnostic::error("M321", format!("unknown property `{name}`"), &key.origin);
                let known = yaml::nearest(name, FORM.keys.iter().map(|key| key.name));
                diagnostics.push(if let Some(known) = known {
                    diagnostic.hint(format!("did you mean `{known}`?"))
                } else {
                    let known: Vec<_> = FORM.keys.iter().map(|key| key.name).collect();
                    diagnostic.hint(format!("known properties: {}", known.join(", ")))
                });
            }
        }
    }
}

fn decode_one(name: &str, kind: Type, node: &Node<'_>, fields: &mut Fields, diagnostics: &mut Vec<Diagnostic>) {
    let (value, lock) = parts(name, node, diagnostics);
    if let Some(value) = value
        && let Some(read) = read(name, kind, value, diagnostics)
    {
        fields.insert(FieldPath::field(name), Located::new(read, value.origin.clone()));
    }
    if let Some(lock) = lock {
        let what = format!("`as_default_value` of `{name}`");
        let Some(locked) = yaml::boolean(lock, &what, diagnostics) else { return };
        if matches!(kind, Type::Name) && !locked {
            let message = format!("`{name}` is always locked: the server sets its `as_default_value` to true");
            diagnostics.push(Diagnostic::error("M322", message, &lock.origin));
        }
        let path = lock_of(&FieldPath::field(name));
        fields.insert(path, Located::new(json!(locked), lock.origin.clone()));
    }
}

/// Returns the value and the lock of a short (`4`) or a long form (`{value: 4, as_default_value: true}`).
pub(super) fn parts<'a, 's>(
    name: &str,
    node: &'a Node<'s>,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Option<&'a Node<'s>>, Option<&'a Node<'s>>) {
    // A row in place of the list of rows is a value that does not fit, not a long form with unknown keys.
    let is_row = name == BIND_INFO && node.entries().iter().any(|(key, _)| ["ip", "port"].contains(&key.key()));
    if is_row || !matches!(node.content, Content::Mapping(_)) {
        return (Some(node), None);
    }
    let Some(section) = Section::of(node, &format!("`{name}`"), &LONG_FORM, diagnostics) else { return (None, None) };
    let found = (section.get("value"), section.get("as_default_value"));
    if found == (None, None) && node.entries().is_empty() {
        let message = format!("`{name}` says nothing: give `value` or `as_default_value`");
        diagnostics.push(Diagnostic::error("M323", message, &node.origin));
    }
    section.finish(diagnostics);
    found
}

fn read(name: &str, kind: Type, node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Value> {
    let what = format!("`{name}`");
    let refuse = |message: String| Diagnostic::error("M324", message, &node.origin);
    if node.is_null() {
        if matches!(kind, Type::Name) {
            diagnostics.push(refuse(format!("{what} cannot be cleared")));
            return None;
        }
        return Some(Value::Null);
    }
    match kind {
        Type::Text => yaml::text(node, &what, diagnostics).map(|text| json!(text)),
        Type::Name => {
            let text = yaml::text(node, &what, diagnostics)?;
            if text.is_empty() {
                diagnostics.push(refuse(format!("{what} is empty")));
                return None;
            }
            Some(json!(text))
        }
        Type::Integer { least, most } => {
            let number = yaml::integer(node, &what, diagnostics)?;
            if !(least..=most).contains(&number) {
                diagnostics.push(refuse(format!("{what} lies between {least} and {most}, not at {number}")));
                return None;
            }
            if name == "bk_start_check_secs" && number > CHECK_SECONDS {
                let message =
                    format!("{what} above {CHECK_SECONDS} is taken by the template and refused by its processes");
                let hint =
                    format!("stay between 1 and {CHECK_SECONDS}, or the service template cannot be synchronised");
                diagnostics.push(Diagnostic::warning("M325", message, &node.origin).hint(hint));
            }
            Some(json!(number))
        }
        Type::Truth => yaml::boolean(node, &what, diagnostics).map(|truth| json!(truth)),
        Type::Rows => None,
    }
}

/// Returns the changes of a property: of its value, its lock, or both. A lock that is null counts as false.
pub(super) fn changes(name: &str, desired: &Desired, live: &Live) -> Vec<FieldChange> {
    let envelope = live.field(name);
    let mut changes = Vec::new();
    if let Some(value) = desired.fields.get(name).filter(|value| !same(&value.value, &envelope["value"])) {
        changes.push(FieldChange {
            path: FieldPath::field(name),
            from: Some(envelope["value"].to_value()),
            to: Some(value.value.to_value()),
            display: None,
            because: value.origin.clone(),
        });
    }
    let path = lock_of(&FieldPath::field(name));
    let locked = changes.first().and_then(|change| implied_lock(&path, desired, envelope, &change.because));
    changes.extend(locked.or_else(|| lock_change(&path, desired, &envelope["as_default_value"])));
    changes
}

/// Returns the change of a lock that nobody set or declared, beside a change of its value. Of a value that was never set
/// the lock is no news.
pub(super) fn implied_lock(path: &FieldPath, desired: &Desired, live: &Json, because: &Origin) -> Option<FieldChange> {
    let is_open = live[LOCK].is_null() && !desired.fields.contains_key(path);
    let is_set = !live["value"].is_null() && live["value"].as_array().is_none_or(|rows| !rows.is_empty());
    (is_open && is_set).then(|| FieldChange {
        path: path.clone(),
        from: Some(Value::Null),
        to: Some(json!(true)),
        display: None,
        because: because.clone(),
    })
}

/// Returns the change of a lock that is declared under its path; `live` is the lock that was read.
pub(super) fn lock_change(path: &FieldPath, desired: &Desired, live: &Json) -> Option<FieldChange> {
    let lock = desired.fields.get(path).filter(|lock| lock.value != locked(live))?;
    Some(FieldChange {
        path: path.clone(),
        from: Some(locked(live)),
        to: Some(lock.value.to_value()),
        display: None,
        because: lock.origin.clone(),
    })
}

/// Returns the property to be sent: always whole, because what is left out the server resets to null.
pub(super) fn envelope(name: &str, desired: &Desired, live: &Live) -> Value {
    let envelope = live.field(name);
    let value = desired.field(name).unwrap_or(&envelope["value"]);
    json!({"value": value, "as_default_value": lock(name, desired, live)})
}

/// Returns the lock to be sent with a property: the declared one, else the live one, else true. Only locked values reach
/// processes that exist, so the vendor's page too locks all that it sets (measured page, "Locks").
pub(super) fn lock(name: &str, desired: &Desired, live: &Live) -> Value {
    let declared = desired.fields.get(&lock_of(&FieldPath::field(name))).map(|lock| lock.value.to_value());
    declared.unwrap_or_else(|| json!(live.field(name)["as_default_value"].as_bool().unwrap_or(true)))
}

/// Returns the value or the lock of a live property or cell. Rows are compared cell by cell, so they have none.
pub(super) fn live_value(live: &Live, path: &FieldPath) -> Option<Value> {
    let property = live.fields.get(&*path.root())?;
    let cell = || path.parts().next().filter(|_| !path.is_row());
    let envelope = match path.row() {
        None => property,
        Some(Row::Id(id)) => rows::by_id(property, &id)?.get(&cell()?)?,
        Some(Row::Position(_)) => return None,
    };
    match path.parts().last() {
        Some(part) if part == LOCK => Some(locked(&envelope[LOCK])),
        Some(_) if path.row().is_none() => None,
        _ => envelope.get("value").map(Json::to_value),
    }
}

/// Returns the properties of a live process template that is to be removed, the essential ones first, then their locks.
pub(super) fn before(live: &Live, essentials: &[&str]) -> Vec<KnownField> {
    let rank = |path: &FieldPath| essentials.iter().position(|name| path == name).unwrap_or(essentials.len());
    let value = |(path, envelope): (&FieldPath, &Json)| KnownField {
        path: path.clone(),
        value: envelope["value"].to_value(),
        display: (path == BIND_INFO).then(|| {
            let rows = envelope["value"].as_array().into_iter().flatten();
            rows.map(wording::in_one_line).collect::<Vec<_>>().join(", ")
        }),
    };
    let mut fields: Vec<_> = live.fields.iter().map(value).collect();
    fields.sort_by_key(|field| rank(&field.path));
    let locks = live.fields.iter().map(|(path, envelope)| KnownField::new(lock_of(path), envelope[LOCK].to_value()));
    fields.extend(locks);
    fields
}

/// Gives the same lock to all that is declared without one.
pub(super) fn lock_all(lock: &Located<Json>, fields: &mut Fields) {
    let is_name = |path: &FieldPath| {
        FORM.keys.iter().any(|key| path == key.name && matches!(Type::of(key), Type::Name))
            && lock.value == json!(false)
    };
    let takes_lock =
        |path: &FieldPath| !is_lock(path) && !path.is_row() && path.rest() != rows::ROW_ID && !is_name(path);
    let open: Vec<FieldPath> =
        fields.keys().filter(|path| takes_lock(path)).map(lock_of).filter(|path| !fields.contains_key(path)).collect();
    fields.extend(open.into_iter().map(|path| (path, lock.clone())));
}

fn locked(lock: &Json) -> Value {
    json!(lock.as_bool().unwrap_or(false))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn live_values_are_found_by_the_paths_of_changes() {
        let row = json!({"row_id": 3, "port": {"value": "80", "as_default_value": null},
            "protocol": {"value": "1", "as_default_value": true}});
        let fields = [
            ("user", json!({"value": "root", "as_default_value": true})),
            (BIND_INFO, json!({"value": [row], "as_default_value": true})),
        ];
        let fields = fields.map(|(name, value)| (FieldPath::field(name), value.into()));
        let live = Live::new(Value::Null, String::new(), fields.into_iter().collect());
        let check = |path: &str, expected: Option<Value>| {
            assert_eq!(live_value(&live, &path.parse().expect("it is a path")), expected, "{path}");
        };
        check("user", Some(json!("root")));
        check("user.as_default_value", Some(json!(true)));
        check("bind_info[3].port", Some(json!("80")));
        check("bind_info[3].protocol", Some(json!("1")));
        check("bind_info[3].port.as_default_value", Some(json!(false)));
        check("bind_info[3].protocol.as_default_value", Some(json!(true)));
        check("bind_info.as_default_value", Some(json!(true)));
        check("bind_info[3].ip", None);
        // The position in a manifest is no id.
        check("bind_info[@3].port", None);
        check("bind_info[0].port", None);
        check("bind_info[3]", None);
        check("bind_info.order", None);
        check("timeout", None);
    }
}
