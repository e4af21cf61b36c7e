use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    model::Ensure,
    provider::Envelope,
    source::{Origin, Sources},
};

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn object(labels: &[(&str, &str)], suspended: Option<(&str, &str)>) -> Desired {
    let labels: BTreeMap<Arc<str>, Arc<str>> =
        labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let origin = Origin::new(Sources::default().add("m.yaml", ""), 0..0);
    let envelope = Envelope { name: "core".into(), target: "cmdb".into(), labels: labels.into(), origin };
    let suspended = suspended.map(|(reason, until)| Suspension { reason: reason.into(), until: time(until) });
    Desired { suspended: suspended.map(Arc::new), ..envelope.desired("Thing", Ensure::Present) }
}

fn window(name: &str, allows: bool, expression: &str, zone: &str, hours: u64) -> Window {
    let schedule = Schedule::new(expression, zone).expect("a schedule");
    Window { name: name.into(), allows, schedule, duration: Duration::from_hours(hours), scope: Scope::default() }
}

/// Returns what holds an object back at a time.
fn held(holds: &Holds, object: &Desired, now: &str) -> String {
    holds.at(time(now)).of(object).map_or_else(|| "free".to_owned(), |hold| hold.to_string())
}

#[test]
fn a_schedule_is_five_fields_and_a_zone() {
    let check = |expression: &str, zone: &str, expected: &str| {
        let schedule = Schedule::new(expression, zone);
        let found = schedule.map_or_else(|error| error.to_string(), |_| "fine".to_owned());
        assert_eq!(found, expected, "{expression} {zone}");
    };
    check("0 22 * * 1-5", "Asia/Shanghai", "fine");
    check("*/15 0,12 1 JAN *", "UTC", "fine");
    check("0 22 * *", "UTC", "`0 22 * *` is not a cron expression of five fields");
    check("0 0 22 * * *", "UTC", "`0 0 22 * * *` is not a cron expression of five fields");
    check("0 25 * * *", "UTC", "`0 25 * * *` is not a cron expression of five fields");
    check("0 22 * * *", "Asia/Atlantis", "there is no time zone `Asia/Atlantis`");
    check("0 22 * * *", "", "there is no time zone ``");
    check("0 22 * * *", "* UTC", "there is no time zone `* UTC`");
    check("0 0 30 2 *", "UTC", "`0 0 30 2 *` fits no day");
}

#[test]
fn windows_open_and_close_in_their_zones() {
    let check = |window: Window, now: &str, expected: &str| {
        let holds = Holds { windows: vec![window], ..Holds::default() };
        assert_eq!(held(&holds, &object(&[], None), now), expected, "{now}");
    };
    let night = || window("night", true, "0 22 * * *", "Asia/Shanghai", 4);
    let closed = |until: &str| format!("held back until {until}: outside of the window `night`");
    check(night(), "2026-11-29T13:59:59Z", &closed("2026-11-29T14:00:00Z"));
    check(night(), "2026-11-29T14:00:00Z", "free");
    check(night(), "2026-11-29T17:59:59Z", "free");
    check(night(), "2026-11-29T18:00:00Z", &closed("2026-11-30T14:00:00Z"));
    let freeze = || window("freeze", false, "0 22 * * *", "Asia/Shanghai", 4);
    let denied = |until: &str| format!("held back until {until}: the window `freeze` denies changes");
    check(freeze(), "2026-11-29T13:59:59Z", "free");
    check(freeze(), "2026-11-29T14:00:00Z", &denied("2026-11-29T18:00:00Z"));
    // Openings that follow each other without a gap are one, and may never end.
    let all_day = || window("freeze", false, "0 22 * * 1-2", "UTC", 24);
    check(all_day(), "2026-11-30T23:00:00Z", &denied("2026-12-02T22:00:00Z"));
    check(
        window("freeze", false, "0 * * * *", "UTC", 2),
        "2026-11-30T23:30:00Z",
        "held back: the window `freeze` denies changes",
    );
    // The night on which clocks go back has an hour more, which the window does not have.
    let berlin = || window("night", true, "0 0 * * *", "Europe/Berlin", 4);
    check(berlin(), "2026-10-25T01:59:59Z", "free");
    check(berlin(), "2026-10-25T02:00:00Z", &closed("2026-10-25T23:00:00Z"));
}

#[test]
fn denial_beats_leave_and_each_end_is_waited_for() {
    let night = window("night", true, "0 22 * * *", "UTC", 4);
    let holds = Holds {
        windows: vec![night.clone(), window("freeze", false, "0 23 29 11 *", "UTC", 2)],
        targets: BTreeMap::from([(
            Arc::from("cmdb"),
            Suspension { reason: "moved".into(), until: time("2026-11-30T23:30:00Z") },
        )]),
    };
    let check = |holds: &Holds, suspended: Option<(&str, &str)>, now: &str, expected: &str| {
        assert_eq!(held(holds, &object(&[], suspended), now), expected, "{now}");
    };
    let moved = "held back until 2026-11-30T23:30:00Z: the target `cmdb` is suspended: moved";
    check(&holds, None, "2026-11-29T22:30:00Z", moved);
    // The suspension of the target has ended by then.
    let own = Some(("broken fan", "2026-12-01T12:00:00Z"));
    check(&holds, own, "2026-11-29T22:30:00Z", "held back until 2026-12-01T22:00:00Z: suspended: broken fan");
    check(&holds, own, "2026-12-02T22:30:00Z", "free");
    let holds = Holds { targets: BTreeMap::new(), ..holds };
    check(&holds, None, "2026-11-29T22:30:00Z", "free");
    // Leave comes back while the freeze goes on, and both have ended in the next night.
    check(
        &holds,
        None,
        "2026-11-29T23:30:00Z",
        "held back until 2026-11-30T01:00:00Z: the window `freeze` denies changes",
    );
    // One open window of several is enough.
    let both = Holds { windows: vec![night, window("noon", true, "0 12 * * *", "UTC", 1)], ..Holds::default() };
    check(&both, None, "2026-11-29T12:30:00Z", "free");
    check(
        &both,
        None,
        "2026-11-29T13:30:00Z",
        "held back until 2026-11-29T22:00:00Z: outside of the windows `night`, `noon`",
    );
}

#[test]
fn a_window_concerns_some_objects() {
    let check = |addresses: &[&str], selector: Option<&str>, expected: bool| {
        let scope = Scope {
            addresses: addresses.iter().map(ToString::to_string).collect(),
            selector: selector.map(|text| text.parse().expect("a selector")),
        };
        let holds =
            Holds { windows: vec![Window { scope, ..window("w", false, "* * * * *", "UTC", 1) }], ..Holds::default() };
        let is_held = holds.at(Timestamp::UNIX_EPOCH).of(&object(&[("site", "sz")], None)).is_some();
        assert_eq!(is_held, expected, "{addresses:?} {selector:?}");
    };
    check(&[], None, true);
    check(&["cm*"], None, true);
    check(&["roma", "Thing/core"], None, true);
    check(&["roma"], None, false);
    check(&[], Some("site=sz"), true);
    check(&["cmdb"], Some("site=bj"), false);
}

proptest! {
    // To follow a schedule takes a while.
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_hold_lasts_until_its_end_and_no_longer(
        windows in prop::collection::vec((any::<bool>(), 0_u8..24, 1_u64..30, "[*1-6]"), 1..4),
        minutes in 0_i64..20_000,
    ) {
        let windows = windows.into_iter().map(|(allows, hour, hours, day)| {
            window("w", allows, &format!("0 {hour} * * {day}"), "Europe/Berlin", hours)
        });
        let holds = Holds { windows: windows.collect(), ..Holds::default() };
        let (object, now) = (object(&[], None), time("2026-10-20T00:00:00Z") + Duration::from_secs(60 * minutes.unsigned_abs()));
        let hold = holds.at(now).of(&object);
        // Nothing changes before the next turn.
        let turn = holds.next_turn([&object].into_iter(), now).expect("there are windows");
        let before = turn - Duration::from_secs(1);
        if before > now {
            prop_assert_eq!(holds.at(before).of(&object).is_some(), hold.is_some());
        }
        if let Some(until) = hold.and_then(|hold| hold.until) {
            prop_assert!(until > now && holds.at(until).of(&object).is_none());
            prop_assert!(holds.at(until - Duration::from_secs(1)).of(&object).is_some());
        }
    }
}
