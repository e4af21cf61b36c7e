//! The changes that records and rows show.

use super::*;
use crate::provider::Freshness;

fn facts() -> Facts {
    let settings = [("username", "admin"), ("timeZone", "Asia/Shanghai")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Facts::new(Freshness::Replica, settings.into())
}

fn told_in_short(told: Option<Changed>) -> Value {
    told.map_or(Value::Null, |told| json!([told.deed.name(), told.by, told.source.name(), told.ours, told.was]))
}

/// A record of the user `by`: what was stored before, and what was sent.
fn update(by: &str, before: &Value, sent: &Value) -> Json {
    json!({"action": "update", "user": by, "operation_time": "2026-11-20 14:02:03",
        "operation_detail": {"details": {"pre_data": before, "cur_data": null, "update_fields": sent}}})
    .into()
}

#[test]
fn the_last_record_that_changed_a_field() {
    let check = |records: &[Json], whole: bool, live: Value, expected: Value| {
        let records = Records { latest: records.iter().collect(), whole };
        let told = told_in_short(last_change(&Some(records), "a", &live.into(), &facts()));
        assert_eq!(told, expected);
    };
    let zoe = update("zoe", &json!({"a": 1, "b": 1}), &json!({"a": 2}));
    check(std::slice::from_ref(&zoe), true, json!(2), json!(["changed", "zoe", "audit", false, 1]));
    // Later records did not touch the field, or sent the value that was there.
    let other = update("admin", &json!({"a": 2, "b": 1}), &json!({"b": 2}));
    let same = update("admin", &json!({"a": 2, "b": 2}), &json!({"a": " 2 "}));
    check(&[same, other, zoe.clone()], true, json!(2), json!(["changed", "zoe", "audit", false, 1]));
    // Away and back again: the last one counts.
    let back = update("admin", &json!({"a": 2}), &json!({"a": 1}));
    check(&[back, zoe.clone()], true, json!(1), json!(["changed", "admin", "audit", true, 2]));
    let made = json!({"action": "create", "user": "zoe", "operation_time": "2026-11-19 00:00:00"}).into();
    let of_b = update("admin", &json!({"a": 1, "b": 1}), &json!({"b": 2}));
    check(&[of_b.clone(), made], true, json!(1), json!(["made", "zoe", "audit", false, null]));
    check(std::slice::from_ref(&of_b), true, json!(1), json!(["kept", null, "audit", null, null]));
    check(&[of_b], false, json!(1), json!(["earlier", null, "audit", null, null]));
    check(&[], true, json!(1), Value::Null);
    assert_eq!(last_change(&None, "a", &1.into(), &facts()), None);
}

#[test]
fn a_removal_is_the_last_that_is_known_of_a_name() {
    let record = |action: &str, by: &str, name: &str| -> Json {
        json!({"action": action, "user": by, "resource_name": name}).into()
    };
    let check = |records: &[Json], whole: bool, expected: Value| {
        let trail = Some(Records { latest: records.iter().collect(), whole });
        let told = removal(&trail, |record| record["resource_name"] == "a", &facts());
        assert_eq!(told_in_short(told), expected, "{records:?}");
    };
    let gone = record("delete", "carol", "a");
    let removed = json!(["removed", "carol", "audit", false, null]);
    check(&[record("create", "zoe", "b"), gone.clone(), record("create", "zoe", "a")], false, removed);
    check(&[record("update", "dave", "a"), record("create", "zoe", "a"), gone.clone()], true, Value::Null);
    check(&[record("create", "zoe", "a"), gone], true, Value::Null);
    check(&[record("delete", "zoe", "b")], true, json!(["never", null, "audit", null, null]));
    check(&[record("delete", "zoe", "b")], false, Value::Null);
    assert_eq!(removal(&None, |_| true, &facts()), None);
}

#[test]
fn a_row_tells_what_it_can() {
    let check = |row: Value, action: Action, expected: Value| {
        assert_eq!(told_in_short(Some(of_row(&(&row).into(), action, &facts()))), expected, "{row}");
    };
    let (early, late) = ("2026-11-19T00:00:00Z", "2026-11-20T00:00:00.5Z");
    let row = json!({"bk_created_by": "admin", "bk_created_at": early, "bk_updated_by": "zoe", "bk_updated_at": late});
    check(row.clone(), Action::Update, json!(["changed", "zoe", "object", false, null]));
    check(row, Action::Delete, json!(["made", "admin", "object", true, null]));
    let fresh = json!({"bk_created_by": "zoe", "bk_created_at": early, "bk_updated_by": null, "bk_updated_at": early});
    check(fresh, Action::Update, json!(["made", "zoe", "object", false, null]));
    let template = json!({"creator": "admin", "modifier": "zoe", "create_time": early, "last_time": late});
    check(template, Action::Update, json!(["changed", "zoe", "object", false, null]));
    check(
        json!({"create_time": early, "last_time": late}),
        Action::Update,
        json!(["changed", null, "time", null, null]),
    );
    check(json!({"last_time": late}), Action::Update, json!(["changed", null, "time", null, null]));
    check(json!({"bk_inst_id": 1}), Action::Update, json!(["unknown", null, "none", null, null]));
}
