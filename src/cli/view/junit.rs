//! `JUnit`'s XML, as CI servers read test results: an object that is as declared passes, a change that is planned is
//! skipped, and what went wrong fails. For `drift` a value that somebody else changed fails too.

use std::borrow::Cow;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
};

use super::{
    drift,
    finding::{Finder, ONLY, REPORTED, authors, sides, told_of},
    follow_up::{follow_ups, headline},
    plain::{count, cut, line, visible},
    report::Report,
    text::trouble,
};
use crate::{
    diagnostic::{Diagnostic, render},
    engine::author::Trace,
    model::{Change, Outcome, ResourceId, author::Verdict},
    plan::{Cause, guard},
    source::Origin,
};

/// The longest text of a case, in characters.
const TEXT: usize = 4_000;
/// Most bytes of all cases; GitLab reads files up to 30 MB.
const BYTES: usize = 20_000_000;

/// Why a case did not pass.
struct Problem {
    /// `failure` where something drifted or was refused, `error` where something is wrong or unknown.
    tag: &'static str,
    /// Its rule.
    rule: Cow<'static, str>,
    message: String,
}

/// The result of an object.
enum Case {
    /// Nothing.
    Passed,
    /// It passed, and this is to be said.
    Remark(String),
    /// Its difference is left for now, which is no failure. A case that passes would hide it: GitLab and Jenkins count
    /// skipped cases and show their messages, but not what a passing case has to say.
    Pending {
        /// Its rule.
        rule: &'static str,
        message: String,
    },
    /// It did not pass.
    Problem(Problem),
}

impl Case {
    fn trouble(&self) -> Option<&Problem> {
        match self {
            Self::Problem(trouble) => Some(trouble),
            Self::Passed | Self::Remark(_) | Self::Pending { .. } => None,
        }
    }
}

/// Cases by suite.
#[derive(Default)]
struct Suites {
    by_name: BTreeMap<String, Suite>,
    size: usize,
    cut: usize,
}

#[derive(Default)]
struct Suite {
    cases: String,
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

/// Returns the run as suites: one of the run itself, and one for each target with a case for each object that differs
/// or is blocked. Of objects that are as declared only the number is known: it is a property of the first suite.
pub(super) fn report(report: &Report<'_>) -> String {
    let finder = Finder::new(report.sources);
    let mut suites = Suites::default();
    let outcomes: HashMap<&ResourceId, &Outcome> =
        report.outcomes.unwrap_or_default().iter().map(|(id, outcome)| (id, outcome)).collect();
    let failing: HashSet<&ResourceId> = report.plan.iter().flat_map(|plan| plan.failing()).map(|one| &one.id).collect();
    for blocked in report.plan.iter().flat_map(|plan| &plan.blocked) {
        let (rule, message) = match &blocked.cause {
            Cause::Wrong(problems) => {
                (problems.first().map_or("wrong".into(), |diagnostic| diagnostic.code.clone()), said(problems))
            }
            Cause::Unread(why) => ("unread".into(), why.clone()),
            Cause::Needs(other) => ("blocked".into(), format!("it needs {other}")),
        };
        let case = if failing.contains(&blocked.id) {
            Case::Problem(Problem { tag: "error", rule, message })
        } else {
            Case::Pending { rule: REPORTED, message: format!("{message}, which is {ONLY}") }
        };
        suites.case(&blocked.target, &blocked.id.to_string(), blocked.id.kind, &blocked.origin, &case, &finder);
    }
    for (change, is_reported) in report.differences() {
        let case = difference(change, is_reported, outcomes.get(&change.id).copied(), report.trace);
        // One object may be enforced in some fields and reported in others.
        let name = if is_reported { format!("{} ({ONLY})", change.id) } else { change.id.to_string() };
        suites.case(&change.target, &name, change.id.kind, &change.origin, &case, &finder);
    }
    let first = run(report, suites.cut, &finder);
    let all: Vec<_> = std::iter::once(&first).chain(suites.by_name.values()).collect();
    let sum = |of: fn(&Suite) -> usize| all.iter().map(|suite| of(suite)).sum::<usize>();
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let totals = counts(sum(|suite| suite.tests), sum(|suite| suite.failures), sum(|suite| suite.errors));
    let _ = writeln!(out, "<testsuites name=\"reconcile\" {totals}>");
    put(&mut out, report.command, &first);
    suites.by_name.iter().for_each(|(name, suite)| put(&mut out, name, suite));
    out.push_str("</testsuites>\n");
    out
}

/// Says what a difference is. What is planned, or only reported, is skipped. `drift` looks for what others changed: that
/// fails, and where nobody knows who did; what the manifests alone say anew is skipped.
fn difference(change: &Change, is_reported: bool, outcome: Option<&Outcome>, trace: Option<&Trace>) -> Case {
    let failure = |rule: &'static str, message| Case::Problem(Problem { tag: "failure", rule: rule.into(), message });
    if let Some(trace) = trace {
        let only = if is_reported { format!("{ONLY}: ") } else { String::new() };
        let (verdict, message) = (drift::verdict(change, trace), only + &authors(change, trace));
        return match verdict {
            Verdict::Edit => Case::Pending { rule: sides(verdict), message },
            Verdict::Drift | Verdict::Unknown => failure(sides(verdict), message),
        };
    }
    if is_reported {
        return Case::Pending { rule: REPORTED, message: format!("{ONLY}: {}", told_of(change)) };
    }
    let Some(outcome) = outcome else {
        let verb = change.action.name();
        return Case::Pending { rule: verb, message: format!("{verb}: {}", told_of(change)) };
    };
    match (trouble(outcome), outcome) {
        (None, Outcome::AlreadyTrue) => Case::Remark("it already was as planned".to_owned()),
        (None, _) => Case::Passed,
        (Some(message), Outcome::Unknown(_)) => {
            Case::Problem(Problem { tag: "error", rule: outcome.name().into(), message })
        }
        (Some(message), _) => failure(outcome.name(), message),
    }
}

impl Suites {
    fn case(&mut self, target: &str, name: &str, kind: &str, origin: &Origin, shown: &Case, finder: &Finder<'_>) {
        let place = finder.location(origin);
        let place = place.map(|at| format!(" file=\"{}\" line=\"{}\"", escaped(&at.file), at.line)).unwrap_or_default();
        let words = finder.words(origin);
        let mut case = format!(
            "    <testcase classname=\"{}.{}\" name=\"{}\"{place}",
            escaped(target),
            kind,
            escaped(&cut(name, TEXT))
        );
        let _ = match shown {
            Case::Passed => writeln!(case, "/>"),
            Case::Remark(text) => {
                let text = escaped(&cut(&line(text), TEXT));
                writeln!(case, ">\n      <system-out>{text}</system-out>\n    </testcase>")
            }
            Case::Pending { rule, message } => {
                writeln!(case, ">\n{}    </testcase>", element("skipped", rule, message, &words))
            }
            Case::Problem(Problem { tag, rule, message }) => {
                writeln!(case, ">\n{}    </testcase>", element(tag, rule, message, &words))
            }
        };
        self.size += case.len();
        if self.size > BYTES {
            self.cut += 1;
            return;
        }
        let suite = self.by_name.entry(target.to_owned()).or_default();
        suite.add(&case, shown.trouble());
        suite.skipped += usize::from(matches!(shown, Case::Pending { .. }));
    }
}

impl Suite {
    fn add(&mut self, case: &str, trouble: Option<&Problem>) {
        self.cases.push_str(case);
        self.tests += 1;
        self.failures += usize::from(trouble.is_some_and(|problem| problem.tag == "failure"));
        self.errors += usize::from(trouble.is_some_and(|problem| problem.tag == "error"));
    }
}

/// Returns the suite of what is about no single object.
fn run(report: &Report<'_>, cut: usize, finder: &Finder<'_>) -> Suite {
    let mut troubles: Vec<(Problem, String)> = Vec::new();
    let mut trouble = |tag: &'static str, rule: Cow<'static, str>, message: String, place: String| {
        troubles.push((Problem { tag, rule, message }, place));
    };
    report.errors.iter().for_each(|error| trouble("error", "run".into(), error.clone(), String::new()));
    for problem in render::sorted(report.diagnostics).into_iter().filter(|diagnostic| diagnostic.is_error()) {
        let place = problem.origin().map(|origin| finder.words(origin)).unwrap_or_default();
        trouble("error", problem.code.clone(), said(std::slice::from_ref(problem)), place);
    }
    if let Some(plan) = report.plan.filter(|_| !report.acknowledged) {
        for excess in report.excesses {
            let pass = format!(
                "`--ack '{}'` lets this plan pass, and no other",
                guard::acknowledgement(plan, report.excesses)
            );
            trouble("failure", "limit".into(), format!("{excess}; {pass}"), String::new());
        }
    }
    let mut suite = Suite::default();
    let steps = report.plan.filter(|_| report.trace.is_none()).map(|plan| follow_ups(plan, report.outcomes));
    let steps = steps.unwrap_or_default();
    if let Some(plan) = report.plan {
        let property = |name: &str, value: usize| format!("      <property name=\"{name}\" value=\"{value}\"/>\n");
        let mut properties = property("unchanged", plan.unchanged) + &property("calls", plan.calls.len());
        if !plan.reported.is_empty() {
            properties += &property("reported", plan.reported.len());
        }
        if !steps.is_empty() {
            properties += &property("follow_ups", steps.len());
        }
        suite.cases = format!("    <properties>\n{properties}    </properties>\n");
    }
    let warnings = report.diagnostics.iter().chain(report.plan.iter().flat_map(|plan| &plan.remarks));
    let mut words: Vec<String> = warnings
        .filter(|diagnostic| !diagnostic.is_error())
        .map(|diagnostic| {
            let place = diagnostic.origin().map(|origin| format!("{}: ", finder.words(origin))).unwrap_or_default();
            format!("{place}warning {}: {}", diagnostic.code, diagnostic.message)
        })
        .collect();
    words.extend(report.plan.map(|plan| format!("{} as declared", count(plan.unchanged, "object"))));
    if !steps.is_empty() {
        words.push(headline(steps.len()));
        words.extend(steps.iter().map(|step| step.text.to_owned()));
    }
    if cut > 0 {
        words.push(format!("{} left out: the file would be too large", count(cut, "more case")));
    }
    let words = escaped(&super::plain::cut(&words.join("\n"), TEXT));
    let head = format!("    <testcase classname=\"reconcile\" name=\"{}\">\n", report.command);
    let found: String =
        troubles.iter().map(|(trouble, place)| element(trouble.tag, &trouble.rule, &trouble.message, place)).collect();
    let out = if words.is_empty() { String::new() } else { format!("      <system-out>{words}</system-out>\n") };
    suite.add(&format!("{head}{found}{out}    </testcase>\n"), troubles.first().map(|(trouble, _)| trouble));
    suite
}

fn put(out: &mut String, name: &str, suite: &Suite) {
    let totals = counts(suite.tests, suite.failures, suite.errors);
    let _ = writeln!(out, "  <testsuite name=\"{}\" {totals} skipped=\"{}\">", escaped(name), suite.skipped);
    out.push_str(&suite.cases);
    out.push_str("  </testsuite>\n");
}

fn counts(tests: usize, failures: usize, errors: usize) -> String {
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"")
}

fn element(tag: &str, rule: &str, message: &str, place: &str) -> String {
    let message = line(message);
    let (short, long) = (escaped(&cut(&message, 200)), escaped(&cut(&message, TEXT)));
    let place = escaped(place);
    let body = if place.is_empty() { long } else { format!("{place}: {long}") };
    format!("      <{tag} type=\"{}\" message=\"{short}\">{body}</{tag}>\n", escaped(rule))
}

fn said(problems: &[Diagnostic]) -> String {
    let build = |diagnostic: &Diagnostic| match &diagnostic.hint {
        Some(hint) => format!("{}; {hint}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    problems.iter().map(build).collect::<Vec<_>>().join("; ")
}

/// Returns a text as XML holds it; characters that XML cannot hold are spelled out.
fn escaped(text: &str) -> String {
    let text = visible(text);
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    text.replace('\n', "&#10;").replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_escaped_is_xml(text in any::<String>(), hidden in "[\u{0}-\u{a0}\u{fffe}\u{ffff}]{0,9}") {
            let shown = escaped(&(text + &hidden));
            prop_assert!(!shown.contains(['<', '>', '"', '\n']));
            let is_char = |letter: char| letter >= ' ' && !matches!(letter, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
            prop_assert!(shown.chars().all(is_char), "{:?}", shown);
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&#10;", "&#9;"];
            let is_entity = |(at, _): (usize, &str)| entities.iter().any(|entity| shown[at..].starts_with(entity));
            prop_assert!(shown.match_indices('&').all(is_entity));
        }
    }
}
