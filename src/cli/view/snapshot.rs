//! Messages about snapshots.

use std::time::Duration;

use jiff::Timestamp;

use crate::snapshot::Snapshot;

/// Returns a summary of a snapshot that was taken.
pub(in crate::cli) fn summary(snapshot: &Snapshot, reads: usize, took: Duration) -> String {
    let (scopes, rows) = snapshot.size();
    let missing = match snapshot.missing.len() {
        0 => String::new(),
        missing => format!(", {missing} missing"),
    };
    format!(
        "Snapshot: {scopes} scopes with {rows} objects{missing}, taken {}.   {reads} reads, {:.2} s",
        snapshot.taken,
        took.as_secs_f64()
    )
}

/// Says when a snapshot was taken; without an age, it lies in the future.
pub(in crate::cli) fn age(file: &str, taken: Timestamp, age: Option<Duration>) -> String {
    match age {
        Some(age) => format!("Planning against {file}, taken {taken}, {} ago", rough(age)),
        None => format!("Planning against {file}, taken {taken}, which this machine's clock has yet to reach"),
    }
}

/// The two largest units of a duration that are not nought.
fn rough(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", seconds / 86400), ("h", seconds / 3600 % 24), ("min", seconds / 60 % 60), ("s", seconds % 60)];
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(units.len() - 1);
    let shown = units[first..].iter().take(2).filter(|(unit, count)| *count > 0 || *unit == "s" && first == 3);
    shown.map(|(unit, count)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rough() {
        let check = |seconds: u64, expected: &str| assert_eq!(rough(Duration::from_secs(seconds)), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(60, "1 min");
        check(3725, "1 h 2 min");
        check(90061, "1 d 1 h");
        check(86400, "1 d");
    }
}
