use proptest::prelude::*;

use super::{super::rows, *};
use crate::{
    model::{Ensure, ResourceId, policy::Policies},
    provider::{Facts, Kind},
    source::Sources,
};

fn origin() -> Origin {
    let mut sources = Sources::default();
    let file = sources.add_absent("a.yaml");
    sources.mark(file, 1, 1)
}

fn cell(value: impl Into<Value>) -> Value {
    json!({"value": value.into(), "as_default_value": true})
}

fn row(id: i64, port: u16, protocol: &str) -> Value {
    json!({"row_id": id, "ip": cell("1"), "port": cell(port.to_string()), "protocol": cell(protocol), "enable": cell(true)})
}

fn live(rows: &[Value], user: &str) -> Live {
    let fields =
        [(NAME, cell("nginx")), ("user", cell(user)), (BIND_INFO, json!({"value": rows, "as_default_value": true}))];
    let fields = fields.into_iter().map(|(name, value)| (FieldPath::field(name), Json::from(value)));
    Live::new(json!({"business": 2, "process": 7, "serviceTemplate": 3}), String::new(), fields.collect())
}

/// A row as a document declares it: an id or none, and cells.
type DeclaredRow = (Option<i64>, u16, &'static str);

fn desired(rows: Option<&[DeclaredRow]>, user: Option<&str>) -> Desired {
    let located = |value: Value| Located::new(value, origin());
    let mut fields = Fields::new();
    fields.extend(user.map(|user| (FieldPath::field("user"), located(json!(user)))));
    if let Some(rows) = rows {
        fields.insert(list_path(), located(json!(rows.len())));
        for (at, (id, port, protocol)) in rows.iter().enumerate() {
            let path = list_path().row_at(at);
            fields.insert(path.clone(), located(Value::Null));
            fields.extend(id.map(|id| (path.part(ROW_ID), located(json!(id)))));
            fields.insert(path.part("port"), located(json!(port.to_string())));
            fields.insert(path.part("protocol"), located(json!(protocol)));
            fields.insert(path.part("ip"), located(json!("1")));
        }
    }
    Desired {
        id: ResourceId::new("ProcessTemplate", "nginx"),
        target: "cmdb".into(),
        ensure: Ensure::Existing,
        locator: [("process".into(), located(json!("nginx")))].into_iter().collect(),
        references: Vec::new(),
        fields,
        labels: std::sync::Arc::default(),
        origin: origin(),
        selected: true,
        protect: false,
        exclusive: false,
        policies: Policies::default(),
        suspended: None,
    }
}

/// Returns the changes that make a live process as declared, and the process behind that.
fn applied(desired: &Desired, live: &Live) -> (Vec<FieldChange>, Live) {
    let facts = Facts::default();
    let changes = ProcessTemplate.compare(desired, Some(live), &facts).expect("it can be compared");
    let mut behind = live.clone();
    if desired.fields.contains_key(BIND_INFO) {
        let merged = rows::merge(desired, live, 0).expect("it can be merged");
        behind.fields.insert(list_path(), merged.envelope.into());
    }
    for change in changes.iter().filter(|change| change.path == "user") {
        behind.fields.insert(change.path.clone(), cell(change.to.clone().unwrap_or_default()).into());
    }
    (changes, behind)
}

fn undone(desired: &Desired, changes: &[FieldChange], live: &Live) -> (Live, Vec<(String, String)>) {
    let reversal = ProcessTemplate.reversal(desired, live, changes, &Facts::default());
    let left = reversal.left.iter().map(|(path, why)| (path.to_string(), why.clone())).collect();
    (applied(&reversal.desired, live).1, left)
}

/// The rows that a live process has.
fn rows_of(live: &Live) -> Vec<Value> {
    live.field(BIND_INFO)["value"].items().iter().map(Json::to_value).collect()
}

fn contents(live: &Live) -> Vec<(Value, Value)> {
    rows_of(live).iter().map(|row| (row["port"]["value"].clone(), row["protocol"]["value"].clone())).collect()
}

#[test]
fn what_others_changed_since_is_left() {
    let before = live(&[row(1, 80, "1"), row(2, 443, "1"), row(3, 22, "1")], "root");
    let declared = desired(Some(&[(Some(1), 8080, "1"), (Some(2), 443, "1"), (None, 9000, "1")]), Some("app"));
    let (changes, behind) = applied(&declared, &before);
    // Untouched, all comes back; the row that was removed has another id.
    let (after, left) = undone(&declared, &changes, &behind);
    assert_eq!((contents(&after), &left), (contents(&before), &vec![]));
    assert_eq!(after.field("user"), before.field("user"));
    // Somebody added a row, changed another port, and the cell that was put in place.
    let mut rows = rows_of(&behind);
    rows[0]["port"]["value"] = json!("8888");
    rows[1]["protocol"]["value"] = json!("2");
    rows.push(row(40, 5000, "2"));
    let (after, left) = undone(&declared, &changes, &live(&rows, "eve"));
    let paths: Vec<&str> = left.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["user", "bind_info[1].port"], "{left:?}");
    let expected = [("8888", "1"), ("443", "2"), ("22", "1"), ("5000", "2")];
    assert_eq!(contents(&after), expected.map(|(port, protocol)| (json!(port), json!(protocol))));
    assert_eq!(after.field("user"), &Json::from(cell("eve")));
    // A row that was added and then edited is not taken away.
    let mut rows = rows_of(&behind);
    rows[2]["port"]["value"] = json!("9999");
    let (after, left) = undone(&declared, &changes, &live(&rows, "app"));
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(contents(&after).contains(&(json!("9999"), json!("1"))));
}

#[test]
fn the_order_of_rows_is_put_back() {
    let before = live(&[row(1, 80, "1"), row(2, 443, "1"), row(3, 22, "1")], "root");
    let declared = desired(Some(&[(Some(3), 22, "1"), (Some(1), 80, "1"), (Some(2), 443, "1")]), None);
    let (changes, behind) = applied(&declared, &before);
    assert_ne!(contents(&behind), contents(&before));
    let (after, left) = undone(&declared, &changes, &behind);
    assert_eq!((after, left), (before, vec![]));
}

fn declared_rows() -> impl Strategy<Value = Vec<DeclaredRow>> {
    let row = (prop::option::of(1_i64..5), 80_u16..90, prop_oneof![Just("1"), Just("2")]);
    prop::collection::vec(row, 0..5).prop_map(|rows| {
        let mut ids = std::collections::HashSet::new();
        rows.into_iter().map(|(id, port, protocol)| (id.filter(|id| ids.insert(*id)), port, protocol)).collect()
    })
}

proptest! {
    /// What a run changed comes back, and a row that somebody added meanwhile stays.
    #[test]
    fn undo_puts_back_what_apply_changed(
        ports in prop::collection::vec((80_u16..90, prop_oneof![Just("1"), Just("2")]), 4),
        declared in declared_rows(),
        user in prop::option::of("[a-c]"),
        foreign in prop::option::of(20_000_u16..20_010),
    ) {
        let rows: Vec<Value> =
            ports.iter().zip(1..).map(|((port, protocol), id)| row(id, *port, protocol)).collect();
        let before = live(&rows, "a");
        let declared = desired(Some(&declared), user.as_deref());
        let (changes, behind) = applied(&declared, &before);
        let mut now = rows_of(&behind);
        now.extend(foreign.map(|port| row(99, port, "2")));
        let user = behind.field("user")["value"].as_str().unwrap_or_default().to_owned();
        let (after, left) = undone(&declared, &changes, &live(&now, &user));
        let sorted = |mut rows: Vec<(Value, Value)>| {
            rows.sort_by_key(|(port, protocol)| format!("{port} {protocol}"));
            rows
        };
        let mut expected = contents(&before);
        expected.extend(foreign.map(|port| (json!(port.to_string()), json!("2"))));
        // A removed row of which another copy is there is not made a second time, and said to be left.
        let again = left.iter().filter(|(_, why)| why.contains("a row like it")).count();
        prop_assert_eq!(left.len(), again, "{:?}", left);
        if again == 0 {
            prop_assert_eq!(sorted(contents(&after)), sorted(expected));
        }
        prop_assert_eq!(after.field("user"), before.field("user"));
        // Rows that stayed keep their ids.
        let ids = |live: &Live| -> Vec<Value> { rows_of(live).iter().map(|row| row[ROW_ID].clone()).collect() };
        let kept: Vec<Value> = ids(&behind).into_iter().filter(|id| ids(&before).contains(id)).collect();
        prop_assert!(kept.iter().all(|id| ids(&after).contains(id)));
    }
}
