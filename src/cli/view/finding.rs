//! Findings of a run, each with its place, for the forms that point into files.

use std::borrow::Cow;

use std::{
    collections::HashMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    drift::{self, attributed_changes},
    follow_up::follow_ups,
    plain::{count, cut, line},
    report::Report,
    text::{impact, trouble},
    value::Sides,
};
use crate::{
    diagnostic::{Diagnostic, Severity, render},
    engine::author::Trace,
    model::{Action, Change, FieldChange, Outcome, ResourceId, author::Verdict},
    plan::{Cause, guard},
    source::{Origin, Position, Sources},
};

/// The longest value in a message, in characters.
const VALUE: usize = 120;
/// The longest message, in characters.
const MESSAGE: usize = 1_000;
/// The maximum number of fields of a change whose places are named.
const FIELDS: usize = 20;
/// The text of a deletion that no document declares.
pub(super) const UNASKED: &str = "no document declares it";
/// The rule of a step that is left to people.
pub(super) const FOLLOW_UP: &str = "follow-up";
/// The text and the rule of changes that are only reported.
pub(super) const ONLY: &str = "reported only";
pub(super) const REPORTED: &str = "reported";

/// How much it matters; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Something is wrong, or did not work.
    Error,
    /// Something may be wrong, or somebody else changed what is live.
    Warning,
    /// A change, planned or made, or a difference that is only reported.
    Notice,
}

/// A place in a file, as other programs find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// The path from the current directory, with `/`.
    pub(super) file: String,
    /// Line, from 1.
    pub(super) line: usize,
    /// Column in characters, from 1.
    pub(super) column: usize,
}

/// One thing that a run has to say.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// How much it matters.
    pub(super) rank: Rank,
    /// Its rule: a diagnostic's code, or a word such as `update` or `limit`.
    pub(super) rule: Cow<'static, str>,
    /// A short title.
    pub(super) title: String,
    /// One line.
    pub(super) message: String,
    /// Where its cause was written; `None` if no file is to blame.
    pub(super) at: Option<Location>,
    /// Fields of a change and where they were written.
    pub(super) fields: Vec<(String, Location)>,
    /// The same as long as it is about the same thing, wherever that stands in its file; no two findings of a run
    /// have the same.
    pub(super) fingerprint: String,
}

/// Returns what a run has to say, the worst first, else in the order of the plan.
pub(super) fn findings(report: &Report<'_>) -> Vec<Finding> {
    let mut list = List { finder: Finder::new(report.sources), found: Vec::new(), planned_run: HashMap::new() };
    for error in report.errors {
        list.add(Rank::Error, "run", "the run failed", error, None, error);
    }
    if let Some(plan) = report.plan {
        for held in report.held {
            let key = format!("{} {}", held.target, held.hold.reason);
            list.add(Rank::Warning, "hold", "held back for now", &held.to_string(), None, &key);
        }
        for excess in report.excesses {
            let key = format!("{} {} {}", excess.target, excess.kind, excess.what);
            if report.acknowledged {
                list.add(Rank::Warning, "limit", "over a limit, acknowledged", &excess.to_string(), None, &key);
            } else {
                let pass = format!(
                    "{excess}; `--ack '{}'` lets this plan pass",
                    guard::acknowledgement(plan, report.excesses)
                );
                list.add(Rank::Error, "limit", "refused by a limit", &pass, None, &key);
            }
        }
    }
    let all: Vec<_> =
        report.diagnostics.iter().chain(report.plan.iter().flat_map(|plan| plan.diagnostics())).cloned().collect();
    render::sorted(&all).into_iter().for_each(|diagnostic| list.diagnostic(diagnostic));
    for blocked in report.plan.iter().flat_map(|plan| &plan.blocked) {
        let (rule, message) = match &blocked.cause {
            Cause::Wrong(_) => continue,
            Cause::Unread(why) => ("unread", format!("{} could not be read: {why}", blocked.id)),
            Cause::Needs(other) => ("blocked", format!("{} is blocked: it needs {other}", blocked.id)),
        };
        let key = format!("{} {}", blocked.target, blocked.id);
        list.add(Rank::Error, rule, &blocked.id.to_string(), &message, Some(&blocked.origin), &key);
    }
    let outcomes: HashMap<&ResourceId, &Outcome> =
        report.outcomes.unwrap_or_default().iter().map(|(id, outcome)| (id, outcome)).collect();
    for (change, is_reported) in report.differences() {
        match report.trace {
            Some(trace) => list.difference(change, is_reported, trace),
            None if is_reported => list.reported(change),
            None => list.change(change, outcomes.get(&change.id).copied()),
        }
    }
    if let Some(plan) = report.plan.filter(|_| report.trace.is_none()) {
        for step in follow_ups(plan, report.outcomes) {
            list.add(Rank::Notice, FOLLOW_UP, "manual follow-up", step.text, None, step.text);
        }
    }
    list.found.sort_by_key(|finding| finding.rank);
    list.found
}

/// Findings as they come together.
struct List<'a> {
    finder: Finder<'a>,
    found: Vec<Finding>,
    planned_run: HashMap<String, usize>,
}

impl List<'_> {
    fn add(
        &mut self,
        rank: Rank,
        rule: impl Into<Cow<'static, str>>,
        title: &str,
        message: &str,
        at: Option<&Origin>,
        key: &str,
    ) {
        let rule = rule.into();
        let key = format!("{rule}\0{key}");
        let before = self.planned_run.entry(key.clone()).or_default();
        let digest = Sha256::digest(format!("{key}\0{before}"));
        *before += 1;
        let fingerprint = digest.iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let message = cut(&line(message), MESSAGE).into_owned();
        let title = cut(&line(title), VALUE).into_owned();
        let at = at.and_then(|origin| self.finder.location(origin));
        self.found.push(Finding { rank, rule, title, message, at, fields: Vec::new(), fingerprint });
    }

    fn diagnostic(&mut self, diagnostic: &Diagnostic) {
        let rank = match diagnostic.severity {
            Severity::Error => Rank::Error,
            Severity::Warning => Rank::Warning,
        };
        let file =
            diagnostic.origin().map(|origin| self.finder.sources.path(origin.file).to_string()).unwrap_or_default();
        let hint = diagnostic.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let key = format!("{file}\0{}", diagnostic.message);
        let title = format!("{} {}", diagnostic.severity.name(), diagnostic.code);
        self.add(
            rank,
            diagnostic.code.clone(),
            &title,
            &format!("{}{hint}", diagnostic.message),
            diagnostic.origin(),
            &key,
        );
    }

    fn change(&mut self, change: &Change, outcome: Option<&Outcome>) {
        let what = told_of(change);
        let verb = change.action.name();
        let title = format!("{verb} {}", change.id);
        let on = on(change);
        let (rank, rule, message) = match outcome.map(|outcome| (outcome, trouble(outcome))) {
            None => (Rank::Notice, verb, format!("{title} ({on}): {what}")),
            Some((outcome, None)) => {
                (Rank::Notice, verb, format!("{}: {title} ({on}): {what}", outcome.name().replace('_', " ")))
            }
            Some((outcome, Some(trouble))) => (Rank::Error, outcome.name(), format!("{title} ({on}): {trouble}")),
        };
        self.about(change, rank, rule, &title, &message);
    }

    /// Adds what differs and is left so.
    fn reported(&mut self, change: &Change) {
        let title = format!("{ONLY}: {} {}", change.action.name(), change.id);
        let message = format!("{title} ({}): {}", on(change), told_of(change));
        self.about(change, Rank::Notice, REPORTED, &title, &message);
    }

    /// Adds what differs, and who did that.
    fn difference(&mut self, change: &Change, is_reported: bool, trace: &Trace) {
        let verdict = drift::verdict(change, trace);
        let (rank, rule) = match verdict {
            Verdict::Drift => (Rank::Warning, "drift"),
            Verdict::Edit => (Rank::Notice, "edit"),
            Verdict::Unknown => (Rank::Notice, "drift-or-edit"),
        };
        let only = if is_reported { format!(", {ONLY}") } else { String::new() };
        let title = format!("{}{only}: {} {}", sides(verdict), change.action.name(), change.id);
        let message = format!("{title} ({}): {}", on(change), authors(change, trace));
        self.about(change, rank, rule, &title, &message);
    }

    fn about(&mut self, change: &Change, rank: Rank, rule: &'static str, title: &str, message: &str) {
        // The first line that causes it is more likely part of what is under review than the top of its document.
        let first = change.fields.first().map_or(&change.origin, |field| &field.because);
        let at = if change.action == Action::Update { first } else { &change.origin };
        let key = format!("{} {}", change.target, change.id);
        self.add(rank, rule, title, message, Some(at), &key);
        let finder = &self.finder;
        let place = |field: &FieldChange| Some((line(field.path.as_str()), finder.location(&field.because)?));
        let fields = change.fields.iter().take(FIELDS).filter_map(place).collect();
        if let Some(last) = self.found.last_mut() {
            last.fields = fields;
        }
    }
}

/// Names the live object of a change.
fn on(change: &Change) -> String {
    if change.label.is_empty() { change.target.to_string() } else { format!("{}, {}", change.target, change.label) }
}

/// Says which side of a difference moved.
pub(super) fn sides(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Drift => "drift",
        Verdict::Edit => "edit",
        Verdict::Unknown => "drift or edit",
    }
}

/// Returns who made each difference of an object, in one line of bounded length. What is the same for several fields in
/// a row is said once, behind them.
pub(super) fn authors(change: &Change, trace: &Trace) -> String {
    let told = attributed_changes(change, trace);
    let is_mixed = told.iter().any(|attributed| attributed.verdict != told[0].verdict);
    let mut text = String::new();
    let mut left = told.len();
    for run in
        told.chunk_by(|attributed, next| (attributed.verdict, &attributed.sentence) == (next.verdict, &next.sentence))
    {
        let gap = if text.is_empty() { "" } else { "; " };
        if text.len() > MESSAGE / 2 {
            let _ = write!(text, "{gap}and {}", count(left, "more field"));
            break;
        }
        text.push_str(gap);
        for (shown, field) in run.iter().filter_map(|attributed| attributed.field).enumerate() {
            if text.len() > MESSAGE / 2 {
                let _ = write!(text, "and {}, ", count(run.len() - shown, "more field"));
                break;
            }
            let values = format!("{} {}", field.path, drift::values(field));
            let _ = write!(text, "{}, ", cut(&line(&values), 2 * VALUE));
        }
        let side = if is_mixed { format!("{}: ", sides(run[0].verdict)) } else { String::new() };
        let _ = write!(text, "{side}{}", run[0].sentence);
        left -= run.len();
    }
    text
}

/// Returns what a change does and what has to be known of it, in one line of bounded length.
pub(super) fn told_of(change: &Change) -> String {
    let mut parts = vec![summary(change)];
    if change.implicit && !change.fields.is_empty() {
        parts.push(UNASKED.to_owned());
    }
    parts.extend(impact(change).map(|impact| format!("impact: {impact}")));
    let remarks = change.fields.iter().filter_map(|field| Some((field, change.field_notes.get(&field.path)?)));
    parts.extend(
        remarks.take(3).map(|(field, note)| cut(&line(&format!("{}: {note}", field.path)), VALUE).into_owned()),
    );
    parts.extend(change.notes.iter().take(3).map(|note| format!("manual follow-up: {}", cut(&line(note), VALUE))));
    parts.join("; ")
}

/// Returns what a change does to its object, in one line of bounded length.
pub(super) fn summary(change: &Change) -> String {
    let mut text = String::new();
    for (number, field) in change.fields.iter().enumerate() {
        if text.len() > MESSAGE / 2 {
            let _ = write!(text, ", and {}", count(change.fields.len() - number, "more field"));
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        let sides = Sides::of(field).bounded(VALUE);
        let _ = match (&field.from, &field.to) {
            (None, _) => write!(text, "{} {}", field.path, sides.named_to()),
            (Some(_), None) => write!(text, "{} {} goes", field.path, sides.named_from()),
            (Some(_), Some(_)) => write!(text, "{} {}", field.path, sides.arrow()),
        };
    }
    match change.action {
        Action::Delete if text.is_empty() && change.implicit => UNASKED.to_owned(),
        Action::Delete if text.is_empty() => "it is not to be there".to_owned(),
        Action::Create if text.is_empty() => "it does not exist".to_owned(),
        _ => text,
    }
}

/// Finds places as other programs know them.
pub(super) struct Finder<'a> {
    sources: &'a Sources,
    here: PathBuf,
}

impl<'a> Finder<'a> {
    /// Returns a finder of places in texts, from the current directory.
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self { sources, here: std::env::current_dir().unwrap_or_default() }
    }

    /// Returns a place; none in what is no file, such as stdin.
    pub(super) fn location(&self, origin: &Origin) -> Option<Location> {
        let Position { file, line, column } = self.sources.position(origin);
        Some(Location { file: relative(&file, &self.here)?, line, column })
    }

    /// Returns a place as people read it, `file:line` from the current directory.
    pub(super) fn words(&self, origin: &Origin) -> String {
        let position = self.sources.position(origin);
        let file = relative(&position.file, &self.here).unwrap_or_else(|| position.file.to_string());
        format!("{}:{}", line(&file), position.line)
    }
}

/// Returns a path from a directory, with `/` between its steps; `None` if it names no file.
fn relative(path: &str, here: &Path) -> Option<String> {
    if path.starts_with('<') {
        return None;
    }
    let path = Path::new(path);
    let below = path.strip_prefix(here).unwrap_or(path);
    let steps = below.components().filter(|step| !matches!(step, std::path::Component::CurDir));
    let steps: Vec<_> = steps.map(|step| step.as_os_str().to_string_lossy()).collect();
    Some(steps.join("/").replacen("//", "/", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_at_the_current_directory() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(relative(path, Path::new("/a/b")).as_deref(), expected, "{path}");
        };
        check("./x.yaml", Some("x.yaml"));
        check("/a/b/c/x.yaml", Some("c/x.yaml"));
        check("/a/x.yaml", Some("/a/x.yaml"));
        check("../x/./y.yaml", Some("../x/y.yaml"));
        check("<stdin>", None);
    }
}
