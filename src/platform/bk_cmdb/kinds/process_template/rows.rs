//! `bind_info`: the rows that are declared, laid over the rows that were read (contract section 4.4, rows of `bind_info`).
//!
//! Running processes hang on `row_id`, so a row that stays keeps its id, and a new one gets an id that no row of the
//! request or of the live list has, nor any process: never that of a row that goes away, or went in an earlier run.

use serde_json::{Map, Value, json};

use super::{
    ports,
    property::{self, BIND_INFO, lock_of},
    wording::{self, display, in_one_line, words},
};
use crate::{
    diagnostic::Diagnostic,
    diff::rows::{Fit, pair},
    model::{Desired, Display, DisplayKind, FieldChange, FieldPath, Fields, Json, Live},
    platform::bk_cmdb::version::Version,
    source::{Located, Origin},
    yaml::{self, Content, Form, Key, MOST, Node, Section, Shape, Typed},
};

/// The parts of a row that have a value and a lock.
pub(super) const CELLS: &[&str] = &["ip", "port", "protocol", "enable"];
/// The parts that identify a row.
const KEY: &[&str] = &["ip", "port", "protocol"];

/// The part of a row that names it.
pub(super) const ROW_ID: &str = "row_id";
/// The part of the list that says in which order its rows are.
pub(super) const ORDER: &str = "order";

/// The keys of a row.
pub(super) static FORM: Form = Form::new(&[
    Key::new(
        "ip",
        Shape::AnyOf(&[Shape::Text, Shape::Null, property::LONG_TEXT]),
        "`0.0.0.0`, `127.0.0.1`, `first_inner_ip`, `first_outer_ip`, `::`, `::1`, `first_inner_ipv6` or \
         `first_outer_ipv6`",
    ),
    Key::new(
        "port",
        Shape::AnyOf(&[Shape::Text, property::LONG_TEXT]),
        "a port, a range or a list: `80`, `\"80-90\"`, `\"80,443\"`",
    ),
    Key::new(
        "protocol",
        Shape::AnyOf(&[Shape::Text, property::LONG_TEXT]),
        "`tcp` or `udp`; with an IPv6 address `tcp6` or `udp6`",
    ),
    Key::new(
        "enable",
        Shape::AnyOf(&[Shape::Boolean, Shape::Null, property::LONG_TRUTH]),
        "true or false; a row without it makes a disabled process, and the plan says so",
    ),
    Key::new(
        ROW_ID,
        Shape::AnyOf(&[Shape::OneOf(&["new"]), Shape::Integer(1, MOST)]),
        "the id of a live row, or `new`",
    ),
]);

/// Returns the path of the list.
pub(super) fn list_path() -> FieldPath {
    FieldPath::field(BIND_INFO)
}

/// Reads `bind_info`. Its fields are flat: `bind_info` holds the number of rows, `bind_info[@0].port` a cell.
pub(super) fn decode(node: &Node<'_>, fields: &mut Fields, diagnostics: &mut Vec<Diagnostic>) {
    let (value, lock) = property::parts(BIND_INFO, node, diagnostics);
    if let Some(lock) = lock
        && let Some(locked) = yaml::boolean(lock, "`as_default_value` of `bind_info`", diagnostics)
    {
        fields.insert(lock_of(&list_path()), Located::new(json!(locked), lock.origin.clone()));
    }
    let Some(value) = value else { return };
    let items = match &value.content {
        Content::Sequence(items) => items.as_slice(),
        Content::Scalar(_) if value.is_null() => &[],
        Content::Scalar(_) | Content::Mapping(_) => {
            let message = format!("`bind_info` has to be a list of rows, not {}", value.describe());
            let hint = "put `- ` before each row, such as `- {ip: 0.0.0.0, port: 80, protocol: tcp}`";
            diagnostics.push(Diagnostic::error("M330", message, &value.origin).hint(hint));
            return;
        }
    };
    fields.insert(list_path(), Located::new(json!(items.len()), value.origin.clone()));
    let mut ids: Vec<(i64, &Origin)> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let Some(section) = Section::of(item, "a row of `bind_info`", &FORM, diagnostics) else { continue };
        let row = list_path().row_at(at);
        fields.insert(row.clone(), Located::new(Value::Null, item.origin.clone()));
        if let Some(node) = section.get(ROW_ID)
            && let Some(id) = row_id(node, diagnostics)
        {
            if let Some(number) = id.value.as_i64() {
                if let Some((_, first)) = ids.iter().find(|(other, _)| *other == number) {
                    let message = format!("two rows have the row_id {number}");
                    let diagnostic = Diagnostic::error("M331", message, &id.origin).also(first, "the first of them");
                    diagnostics.push(diagnostic);
                }
                ids.push((number, &node.origin));
            }
            fields.insert(row.part(ROW_ID), id);
        }
        for cell in CELLS {
            let Some(node) = section.get(cell) else { continue };
            decode_cell(&row, cell, node, fields, diagnostics);
        }
        section.finish(diagnostics);
        let cell = |name: &str| fields.get(&row.part(name));
        if let (Some(ip), Some(protocol)) = (cell("ip"), cell("protocol"))
            && !fit_together(ip.value.as_str(), protocol.value.as_str())
        {
            let message = "an IPv4 address goes with tcp or udp, an IPv6 one with tcp6 or udp6";
            diagnostics.push(Diagnostic::error("M332", message, &protocol.origin).also(&ip.origin, "the address"));
        }
    }
    ports::warn_of_clashes(items, fields, diagnostics);
}

fn row_id(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Located<Json>> {
    let id = match node.typed() {
        Some(Typed::Text("new")) => json!("new"),
        Some(Typed::Int(id)) if id > 0 => json!(id),
        _ => {
            let message = format!("`row_id` has to be the number of a live row or `new`, not {}", node.describe());
            diagnostics.push(Diagnostic::error("M333", message, &node.origin));
            return None;
        }
    };
    Some(Located::new(id, node.origin.clone()))
}

fn decode_cell(row: &FieldPath, cell: &str, node: &Node<'_>, fields: &mut Fields, diagnostics: &mut Vec<Diagnostic>) {
    let (value, lock) = property::parts(cell, node, diagnostics);
    if let Some(value) = value
        && let Some(read) = read(cell, value, diagnostics)
    {
        fields.insert(row.part(cell), Located::new(read, value.origin.clone()));
    }
    if let Some(lock) = lock
        && let Some(locked) = yaml::boolean(lock, &format!("`as_default_value` of `{cell}`"), diagnostics)
    {
        fields.insert(lock_of(&row.part(cell)), Located::new(json!(locked), lock.origin.clone()));
    }
}

fn read(cell: &str, node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Value> {
    let refuse = |message: String| Diagnostic::error("M334", message, &node.origin);
    if node.is_null() {
        if matches!(cell, "port" | "protocol") {
            diagnostics.push(refuse(format!("`{cell}` of a row cannot be cleared: the server wants it")));
            return None;
        }
        return Some(Value::Null);
    }
    match cell {
        "enable" => yaml::boolean(node, "`enable`", diagnostics).map(|truth| json!(truth)),
        "port" => {
            let Some(text) = node.as_text() else {
                let message = format!("`port` has to be a text, not {}", node.describe());
                let ports: Vec<&str> = node.items().iter().filter_map(Node::as_text).collect();
                let example = if ports.is_empty() { "80,443".to_owned() } else { ports.join(",") };
                diagnostics
                    .push(Diagnostic::error("Y204", message, &node.origin).hint(format!("such as \"{example}\"")));
                return None;
            };
            match ports::check(text) {
                Ok(()) => Some(json!(text)),
                Err(problem) => {
                    diagnostics.push(refuse(format!("`port` {problem}")).hint("such as 80, 8080-8090 or 80,443"));
                    None
                }
            }
        }
        _ => {
            let words = wording::table(cell);
            let text = yaml::text(node, &format!("`{cell}`"), diagnostics)?;
            if text.is_empty() && cell == "ip" {
                return Some(json!(""));
            }
            let found = words.iter().find(|(code, word)| *code == text || word.eq_ignore_ascii_case(text));
            if found.is_none() {
                let known: Vec<_> = words.iter().map(|(_, word)| *word).collect();
                let diagnostic = refuse(format!("`{cell}` cannot be `{text}`"));
                diagnostics.push(diagnostic.hint(format!("one of {}", known.join(", "))));
            }
            found.map(|(code, _)| json!(code))
        }
    }
}

/// Addresses 1 to 4 are IPv4 and go with protocols 1 and 2; 5 to 8 are IPv6 and go with 3 and 4.
fn fit_together(ip: Option<&str>, protocol: Option<&str>) -> bool {
    let code = |value: Option<&str>| value.and_then(|code| code.parse::<u8>().ok());
    match (code(ip), code(protocol)) {
        (Some(ip), Some(protocol)) => (ip > 4) == (protocol > 2),
        _ => true,
    }
}

/// Reports IPv6 in rows where the server is known to be too old for it.
pub(super) fn too_new(desired: &Desired, version: Option<Version>) -> Vec<Diagnostic> {
    if version.is_none_or(|version| version >= Version::V3_11) {
        return Vec::new();
    }
    let is_new = |path: &FieldPath, value: &Json| match path.rest() {
        "ip" => matches!(value.as_str(), Some("5" | "6" | "7" | "8")),
        "protocol" => matches!(value.as_str(), Some("3" | "4")),
        _ => false,
    };
    let cells = desired.fields.iter().filter(|(path, cell)| path.row().is_some() && is_new(path, &cell.value));
    cells.map(|(_, cell)| Diagnostic::error("P115", "IPv6 needs BlueKing CMDB 3.11 or newer", &cell.origin)).collect()
}

/// Returns the row of a live list that has an id.
pub(super) fn by_id<'l>(list: &'l Json, id: &str) -> Option<&'l Json> {
    list["value"].as_array()?.iter().find(|row| has_id(row, id))
}

/// Returns true if a row has an id, as paths hold it.
pub(super) fn has_id(row: &Json, id: &str) -> bool {
    row[ROW_ID].as_i64().is_some_and(|own| id.parse() == Ok(own))
}

/// The rows to be sent and what differs in them.
pub(super) struct Merged {
    /// The whole property.
    pub(super) envelope: Value,
    /// The differences.
    pub(super) changes: Vec<FieldChange>,
}

/// Lays the declared rows over the live ones. New rows get ids above all of these, and above `held`, the highest that
/// processes still hold.
pub(super) fn merge(desired: &Desired, live: &Live, held: i64) -> Result<Merged, Vec<Diagnostic>> {
    let current = live.field(BIND_INFO);
    let rows: Vec<&Json> = current["value"].as_array().into_iter().flatten().collect();
    let lock = property::lock(BIND_INFO, desired, live);
    let lock_change = property::lock_change(&lock_of(&list_path()), desired, &current["as_default_value"]);
    let Some(list) = desired.fields.get(BIND_INFO) else {
        let envelope = json!({"value": current["value"], "as_default_value": lock});
        return Ok(Merged { envelope, changes: lock_change.into_iter().collect() });
    };
    let declared = Declared { desired, count: usize::try_from(list.value.as_u64().unwrap_or(0)).unwrap_or(0) };
    let pairs = declared.pairs(&rows)?;
    let top = (0..declared.count)
        .filter_map(|at| declared.value(at, ROW_ID)?.as_i64())
        .chain(rows.iter().filter_map(|row| row["row_id"].as_i64()))
        .fold(held, i64::max);
    let mut next = top;
    let (mut merged, mut changes, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for (at, pair) in pairs.iter().enumerate() {
        let row = if let Some(paired) = pair {
            declared.edited(at, rows[*paired], &mut changes)
        } else {
            next += 1;
            declared.added(at, next, &mut changes, &mut problems)
        };
        if !fit_together(row["ip"]["value"].as_str(), row["protocol"]["value"].as_str()) {
            let message = "an IPv4 address goes with tcp or udp, an IPv6 one with tcp6 or udp6";
            problems.push(Diagnostic::error("P112", message, declared.origin(at)));
        }
        merged.push(row);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for (at, row) in rows.iter().enumerate() {
        if !pairs.contains(&Some(at)) {
            changes.push(FieldChange {
                path: list_path().row_id(&row[ROW_ID]),
                from: Some(row.to_value()),
                to: None,
                display: Some(Display { kind: DisplayKind::Row, from: Some(in_one_line(row)), to: None }),
                because: list.origin.clone(),
            });
        }
    }
    changes.extend(order_change(&pairs, &rows, list));
    let implied = || property::implied_lock(&lock_of(&list_path()), desired, current, &list.origin);
    changes.extend(if changes.is_empty() { lock_change } else { implied().or(lock_change) });
    Ok(Merged { envelope: json!({"value": merged, "as_default_value": lock}), changes })
}

fn order_change(pairs: &[Option<usize>], rows: &[&Json], list: &Located<Json>) -> Option<FieldChange> {
    let kept: Vec<usize> = pairs.iter().flatten().copied().collect();
    let mut before = kept.clone();
    before.sort_unstable();
    let ids = |order: &[usize]| order.iter().map(|at| rows[*at]["row_id"].to_value()).collect::<Value>();
    (kept != before).then(|| FieldChange {
        path: list_path().part(ORDER),
        from: Some(ids(&before)),
        to: Some(ids(&kept)),
        display: None,
        because: list.origin.clone(),
    })
}

/// The declared rows.
struct Declared<'a> {
    desired: &'a Desired,
    count: usize,
}

impl Declared<'_> {
    fn cell(&self, at: usize, name: &str) -> Option<&Located<Json>> {
        self.desired.fields.get(&list_path().row_at(at).part(name))
    }

    fn lock(&self, at: usize, name: &str) -> Option<&Json> {
        self.desired.fields.get(&lock_of(&list_path().row_at(at).part(name))).map(|lock| &lock.value)
    }

    fn value(&self, at: usize, name: &str) -> Option<&Json> {
        self.cell(at, name).map(|cell| &cell.value)
    }

    fn origin(&self, at: usize) -> &Origin {
        self.desired.fields.get(&list_path().row_at(at)).map_or(&self.desired.origin, |row| &row.origin)
    }

    /// Returns for each declared row its live one: by `row_id` first, then by content.
    fn pairs(&self, rows: &[&Json]) -> Result<Vec<Option<usize>>, Vec<Diagnostic>> {
        let mut pairs = vec![None; self.count];
        let mut problems = Vec::new();
        for (at, pair) in pairs.iter_mut().enumerate() {
            let Some(id) = self.cell(at, ROW_ID).filter(|id| id.value.is_i64()) else { continue };
            *pair = rows.iter().position(|row| row["row_id"] == id.value);
            if pair.is_none() {
                let ids: Vec<_> = rows.iter().map(|row| row["row_id"].to_string()).collect();
                let message = format!("no live row has the row_id {}", id.value);
                let hint = if ids.is_empty() {
                    "there are no live rows".to_owned()
                } else {
                    format!("live rows: {}; a row without `row_id` is matched by its content", ids.join(", "))
                };
                problems.push(Diagnostic::error("P113", message, &id.origin).hint(hint));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let open: Vec<usize> = (0..self.count).filter(|at| pairs[*at].is_none()).collect();
        let free: Vec<usize> = (0..rows.len()).filter(|at| !pairs.contains(&Some(*at))).collect();
        let found = pair(open.len(), free.len(), |row, column| self.fit(open[row], rows[free[column]]));
        for (at, column) in open.iter().zip(found) {
            pairs[*at] = column.map(|column| free[column]);
        }
        Ok(pairs)
    }

    fn fit(&self, at: usize, row: &Json) -> Fit {
        let written =
            KEY.iter().filter_map(|name| Some(same_meaning(name, self.value(at, name)?, &row[name]["value"])));
        let written: Vec<_> = written.collect();
        let changes = written.iter().filter(|equal| !**equal).count();
        let is_new = self.value(at, ROW_ID).is_some_and(|id| *id == "new");
        match changes {
            0 => Fit::Equal,
            _ if is_new || changes == written.len() => Fit::Never,
            _ => Fit::Edit(u32::try_from(changes).unwrap_or(u32::MAX)),
        }
    }

    /// A live row with the declared cells laid over it; all else goes back as it was read.
    fn edited(&self, at: usize, row: &Json, changes: &mut Vec<FieldChange>) -> Value {
        let mut edited = row.to_value();
        for name in CELLS {
            let live = &row[name];
            let path = list_path().row_id(&row[ROW_ID]).part(name);
            let value = self.cell(at, name).filter(|cell| !same_cell(&cell.value, &live["value"]));
            let lock_path = lock_of(&list_path().row_at(at).part(name));
            let lock = value.and_then(|cell| property::implied_lock(&lock_path, self.desired, live, &cell.origin));
            let lock = lock.or_else(|| property::lock_change(&lock_path, self.desired, &live["as_default_value"]));
            if value.is_none() && lock.is_none() {
                continue;
            }
            let locked = lock.as_ref().and_then(|lock| lock.to.clone());
            let kept = value.map_or(&live["value"], |cell| &cell.value);
            let open = || self.lock(at, name).map_or_else(|| unset(name, kept), Json::to_value);
            let locked = locked.unwrap_or_else(|| live["as_default_value"].as_bool().map_or_else(open, Value::from));
            edited[name] = json!({"value": kept, "as_default_value": locked});
            changes.extend(value.map(|cell| FieldChange {
                path: path.clone(),
                from: Some(live["value"].to_value()),
                to: Some(cell.value.to_value()),
                display: display(name, &live["value"], &cell.value),
                because: cell.origin.clone(),
            }));
            changes.extend(lock.map(|lock| FieldChange { path: lock_of(&path), ..lock }));
        }
        edited
    }

    /// A row that was not there, locked as in the vendor's example unless declared otherwise.
    fn added(&self, at: usize, id: i64, changes: &mut Vec<FieldChange>, problems: &mut Vec<Diagnostic>) -> Value {
        let mut row = Map::from_iter([("row_id".to_owned(), json!(id))]);
        for name in CELLS {
            let lock = self.lock(at, name);
            if let Some(cell) = self.cell(at, name) {
                let lock = lock.map_or_else(|| unset(name, &cell.value), Json::to_value);
                row.insert((*name).to_owned(), json!({"value": cell.value, "as_default_value": lock}));
            } else if matches!(*name, "port" | "protocol") {
                let message = format!("this row is like no live one, and as a new row it needs `{name}`");
                problems.push(Diagnostic::error("P114", message, self.origin(at)));
            }
        }
        let row = Value::Object(row);
        changes.push(FieldChange {
            path: list_path().row_id(id),
            from: None,
            to: Some(row.clone()),
            display: Some(Display { kind: DisplayKind::Row, from: None, to: Some(in_one_line(&(&row).into())) }),
            because: self.origin(at).clone(),
        });
        row
    }
}

/// Returns the lock of a cell that has none: set, but for an `enable` of null, which the server would hold against each
/// process for ever (measured page, "Locks").
fn unset(cell: &str, value: &Json) -> Value {
    json!(cell != "enable" || !value.is_null())
}

/// A cell that is null and one that is empty mean the same.
fn same_cell(declared: &Json, live: &Json) -> bool {
    let blank = |value: &Json| value.is_null() || value.as_str() == Some("");
    declared == live || (blank(declared) && blank(live))
}

/// Returns true if two cells are the same or one holds as text what the other holds as an option.
fn same_meaning(cell: &str, declared: &Json, live: &Json) -> bool {
    same_cell(declared, live) || words(cell, declared) == words(cell, live)
}
