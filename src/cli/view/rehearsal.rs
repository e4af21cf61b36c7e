//! Rehearsals: how the schedules ended, the worst of them, and the seeds that replay them.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::plain::count;
use crate::{
    plain::line,
    plan::file::FORMAT_VERSION,
    rehearse::{Ending, HalfDone, Rehearsal, schedule::FaultKind},
};

/// Most schedules that are named of those that did not end well.
const NAMED: usize = 10;
/// Most objects that are named of a run that was killed.
const OBJECTS: usize = 4;

/// The worst schedules, by why they are.
fn worst(endings: &[Ending]) -> Vec<(&'static str, &Ending)> {
    let most = |key: &dyn Fn(&Ending) -> Option<u128>| {
        // The first of several is named.
        endings.iter().rev().filter_map(|ending| Some((key(ending)?, ending))).max_by_key(|(key, _)| *key)
    };
    let half = |ending: &Ending| {
        let half = ending.half_done.as_ref()?;
        Some(half.done.len().min(half.open) as u128)
    };
    let all: [(&str, Option<(u128, &Ending)>); 4] = [
        ("by calls", most(&|ending| Some(u128::from(ending.writes)))),
        ("by requests", most(&|ending| Some(u128::from(ending.requests)))),
        ("by time", most(&|ending| Some(ending.took.as_nanos()))),
        ("by half done", most(&half)),
    ];
    all.into_iter().filter_map(|(name, found)| Some((name, found?.1))).collect()
}

/// Returns how often each sort of faults struck.
fn strikes(endings: &[Ending]) -> BTreeMap<FaultKind, u64> {
    let mut strikes = BTreeMap::new();
    for (kind, count) in endings.iter().flat_map(|ending| &ending.strikes) {
        *strikes.entry(*kind).or_default() += count;
    }
    strikes
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 60.. => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Returns the state behind a kill in words.
fn half_done(half: &HalfDone, kills: u64) -> String {
    let shown: Vec<String> = half.done.iter().take(OBJECTS).map(ToString::to_string).collect();
    let more = half.done.len().saturating_sub(OBJECTS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names = if shown.is_empty() { String::new() } else { format!(" ({}{more})", shown.join(", ")) };
    let total = half.done.len() + half.open;
    let mended = match half.mended_by {
        None => "nothing mended it".to_owned(),
        Some(mended) => format!("mended by {}", mended.name().replace('_', " ")),
    };
    let kills = if kills == 1 { "killed once" } else { "killed twice" };
    format!("{kills}: {} of {total} changes were made{names}; {mended}", half.done.len())
}

/// Returns how many kills there were, and how many of the runs were mended by what.
fn mending(endings: &[Ending]) -> String {
    let halves: Vec<&HalfDone> = endings.iter().filter_map(|ending| ending.half_done.as_ref()).collect();
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    for half in &halves {
        *by.entry(half.mended_by.map_or("nothing", crate::rehearse::Mended::name)).or_default() += 1;
    }
    let by: Vec<String> = by.iter().map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect();
    format!("{}; mended by {}", count(halves.len(), "killed run"), by.join(", "))
}

/// Returns a rehearsal as people read it.
pub(in crate::cli) fn text(rehearsal: &Rehearsal, endings: &[Ending], command: &str) -> String {
    let mut out = String::new();
    let bad: Vec<&Ending> = endings.iter().filter(|ending| !ending.is_good()).collect();
    for (name, ending) in worst(endings) {
        let (calls, requests) = (ending.writes, ending.requests);
        let _ = write!(out, "{name:<15} seed {:<6} {calls} calls, {requests} requests, ", ending.seed);
        let _ = writeln!(out, "{}", duration(ending.took));
        if let Some(half) = &ending.half_done {
            let _ = writeln!(out, "{:15} {}", "", line(&half_done(half, ending.kills)));
        }
    }
    for ending in bad.iter().take(NAMED) {
        let _ = writeln!(out, "\nseed {} ended badly:", ending.seed);
        for violation in &ending.violations {
            let _ = writeln!(out, "  {}", line(violation));
        }
        let _ = writeln!(out, "  `{} --seed {}` replays it", line(command), ending.seed);
    }
    let extent = rehearsal.extent();
    let _ = writeln!(out, "\nWithout faults: {} calls, {} requests.", extent.writes, extent.requests);
    let strikes: Vec<_> = strikes(endings).iter().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
    let _ = writeln!(out, "Faults: {}.", if strikes.is_empty() { "none".to_owned() } else { strikes.join(", ") });
    let _ = writeln!(out, "Kills: {}.", mending(endings));
    let good = endings.len() - bad.len();
    let _ = writeln!(out, "Rehearsal: {} of {} ended well.", good, count(endings.len(), "schedule"));
    out
}

/// Returns the history of one schedule and how it ended.
pub(in crate::cli) fn replay(endings: &[Ending]) -> String {
    let mut out = String::new();
    for ending in endings {
        for event in &ending.history {
            let _ = writeln!(out, "{}", line(event));
        }
        out.push('\n');
        if let Some(half) = &ending.half_done {
            let _ = writeln!(out, "{}", line(&half_done(half, ending.kills)));
        }
        let outcomes: Vec<_> = ending.outcomes.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let _ = writeln!(out, "Outcomes: {}.", outcomes.join(", "));
        for violation in &ending.violations {
            let _ = writeln!(out, "violation: {}", line(violation));
        }
        let verdict = if ending.is_good() { "well" } else { "badly" };
        let _ = writeln!(
            out,
            "Seed {} ended {verdict}: {} calls, {} requests, {}.",
            ending.seed,
            ending.writes,
            ending.requests,
            duration(ending.took)
        );
    }
    out
}

fn schedule(ending: &Ending, is_replay: bool) -> Value {
    let strikes: serde_json::Map<String, Value> =
        ending.strikes.iter().map(|(kind, count)| (kind.name().replace(' ', "_"), json!(count))).collect();
    let mut document = json!({
        "seed": ending.seed,
        "calls": ending.writes,
        "requests": ending.requests,
        "seconds": ending.took.as_secs_f64(),
        "kills": ending.kills,
        "faults": strikes,
        "outcomes": ending.outcomes,
        "half_done": ending.half_done.as_ref().map(|half| json!({
            "done": half.done.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "open": half.open,
            "mended_by": half.mended_by.map(crate::rehearse::Mended::name),
        })),
        "violations": ending.violations,
    });
    if is_replay {
        document["history"] = json!(ending.history);
    }
    document
}

/// Returns a rehearsal as a JSON document.
pub(in crate::cli) fn json(rehearsal: &Rehearsal, endings: &[Ending], is_replay: bool) -> String {
    let bad = endings.iter().filter(|ending| !ending.is_good());
    let worst: Vec<Value> = worst(endings)
        .into_iter()
        .map(|(name, ending)| json!({"by": name.trim_start_matches("by ").replace(' ', "_"), "schedule": schedule(ending, is_replay)}))
        .collect();
    let faults: serde_json::Map<String, Value> =
        strikes(endings).into_iter().map(|(kind, count)| (kind.name().replace(' ', "_"), json!(count))).collect();
    let document = json!({
        "apiVersion": "reconcile/v1",
        "kind": "Rehearsal",
        "format_version": FORMAT_VERSION,
        "schedules": endings.len(),
        "good": endings.iter().filter(|ending| ending.is_good()).count(),
        "without_faults": {"calls": rehearsal.extent().writes, "requests": rehearsal.extent().requests},
        "faults": faults,
        "worst": worst,
        "bad": bad.map(|ending| schedule(ending, is_replay)).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}
