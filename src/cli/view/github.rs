//! Workflow commands that make annotations on GitHub.

use std::fmt::Write as _;

use super::{
    finding::{Finding, ONLY, REPORTED, Rank, findings},
    plain::{count, visible},
    report::Report,
};

/// Most annotations of a type that GitHub takes from one step.
const MOST: usize = 10;

/// Returns the annotations of a run: errors, then warnings, then as notices changes and what is only reported. Drift is
/// a warning.
pub(super) fn report(report: &Report<'_>) -> String {
    let found = findings(report);
    let mut out = String::new();
    for (rank, name, things) in
        [(Rank::Error, "error", "error"), (Rank::Warning, "warning", "warning"), (Rank::Notice, "notice", "change")]
    {
        let all: Vec<_> = found.iter().filter(|finding| finding.rank == rank).collect();
        let shown = if all.len() > MOST { MOST - 1 } else { all.len() };
        all.iter().take(shown).for_each(|finding| annotation(&mut out, name, finding));
        if all.len() > shown {
            let more = count(all.len() - shown, things).replacen(' ', " more ", 1);
            let reported = all[shown..].iter().filter(|finding| finding.rule == REPORTED).count();
            let only = if reported > 0 { format!(", {reported} of them {ONLY}") } else { String::new() };
            let _ = writeln!(out, "::{name} title=reconcile::{more} not shown here{only}");
        }
    }
    out
}

fn annotation(out: &mut String, name: &str, finding: &Finding) {
    let place =
        finding.at.as_ref().map(|at| format!("file={},line={},col={},", property(&at.file), at.line, at.column));
    let place = place.unwrap_or_default();
    let _ = writeln!(out, "::{name} {place}title={}::{}", property(&finding.title), data(&finding.message));
}

/// Escapes a message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property.
fn property(text: &str) -> String {
    data(&visible(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_escaped() {
        assert_eq!(property("x\u{1b}]0;y\u{7}"), "x\\u{1b}]0;y\\u{7}");
        assert_eq!(data("50 %\r\n::error::a,b:c"), "50 %25%0D%0A::error::a,b:c");
        assert_eq!(property("a:b,c%0A"), "a%3Ab%2Cc%250A");
    }
}
