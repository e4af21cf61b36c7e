//! A plan and its outcome as people read them on a terminal.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _, time::Duration};

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};
use unicode_width::UnicodeWidthStr;

use super::{
    Ui,
    follow_up::{FollowUp, follow_ups, headline},
    layout,
    plain::{count, line},
    report::Report,
    value::{Sides, distinct_line, is_long, short},
};
use crate::{
    diagnostic::render,
    engine::connection::RequestCounters,
    model::{Action, Change, FieldChange, Outcome, ResourceId},
    plain::without_request,
    plan::{Cause, Plan, file::write::needed},
    run::resume::SettledChange,
    source::{Origin, Sources},
};

const ADDED: Style = AnsiColor::Green.on_default();
const UPDATED: Style = AnsiColor::Yellow.on_default();
pub(super) const REMOVED: Style = AnsiColor::Red.on_default();
pub(super) const QUIET: Style = Style::new().dimmed();
pub(super) const STRONG: Style = Style::new().bold();

/// Most manual follow-ups that are named.
const STEPS: usize = 20;

/// Writes plans; knows what the terminal can show.
pub(in crate::cli) struct Writer<'a> {
    ui: &'a Ui,
    sources: &'a Sources,
    /// The report with the sources of values.
    report: Option<&'a Report<'a>>,
    out: String,
}

/// Returns a whole report as text.
pub(super) fn report(report: &Report<'_>, ui: &Ui) -> String {
    let mut writer = Writer::new(ui, report.sources).explaining(report);
    for error in report.errors {
        let _ = writeln!(writer.out, "error: {}", line(error));
    }
    let mut diagnostics = report.diagnostics.to_vec();
    if let Some(plan) = report.plan {
        writer.plan(plan, report.counters, report.took);
        if report.calls {
            writer.calls(plan);
        }
        diagnostics.extend(plan.diagnostics().cloned());
    }
    if let Some(outcomes) = report.outcomes {
        writer.out.push('\n');
        writer.outcomes(outcomes, report.counters.unwrap_or(&RequestCounters::default()), report.took);
        report.plan.into_iter().for_each(|plan| writer.follow_ups(&follow_ups(plan, Some(outcomes))));
    }
    if !diagnostics.is_empty() {
        writer.out.push('\n');
        writer.out.push_str(&render::text(&diagnostics, report.sources, ui.colour, ui.width));
    }
    for held in report.held {
        let _ = writeln!(writer.out, "held back: {held}");
    }
    for excess in report.excesses {
        let _ = writeln!(writer.out, "{}: {excess}", if report.acknowledged { "acknowledged" } else { "refused" });
    }
    writer.finish()
}

impl<'a> Writer<'a> {
    /// Returns a writer of text whose places lie in `sources`.
    pub(in crate::cli) fn new(ui: &'a Ui, sources: &'a Sources) -> Self {
        Self { ui, sources, report: None, out: String::new() }
    }

    /// Says beside each value how it came about, where it is not simply written where it stands.
    pub(in crate::cli) fn explaining(mut self, report: &'a Report<'a>) -> Self {
        self.report = Some(report);
        self
    }

    /// Returns what was written.
    pub(in crate::cli) fn finish(self) -> String {
        self.ui.guard(&self.out)
    }

    /// Writes the changes of a plan, then what is blocked, then the sum.
    pub(in crate::cli) fn plan(&mut self, plan: &Plan, counters: Option<&RequestCounters>, took: Duration) {
        for change in &plan.changes {
            self.change(change);
        }
        if !plan.changes.is_empty() {
            self.out.push('\n');
        }
        self.reported(plan);
        self.blocked(plan);
        self.sum(plan, counters, took);
        self.follow_ups(&follow_ups(plan, None));
    }

    /// Writes what differs and is left so, because its policy is to report it.
    fn reported(&mut self, plan: &Plan) {
        if plan.reported.is_empty() {
            return;
        }
        let head = self.styled("Reported only (policy: report):", STRONG);
        self.plain(&head);
        plan.reported.iter().for_each(|change| self.change(change));
        self.out.push('\n');
    }

    /// Writes the line about the object of a change.
    pub(super) fn head(&mut self, change: &Change) {
        let style = style(change.action);
        let mut about = vec![change.target.to_string()];
        about.extend(Some(change.label.clone()).filter(|label| !label.is_empty()));
        let sign = self.styled(&change.action.sign().to_string(), style);
        let name = self.styled(&format!("{} {}", change.id.kind, change.id.name()), STRONG);
        let implicit = if change.implicit { self.styled("  (no document declares it)", STRONG) } else { String::new() };
        let head = format!("{sign} {name}  ({}){implicit}", about.join(", "));
        let place = self.sources.position(&change.origin);
        self.line(&head, &format!("{}:{}", place.file, place.line));
    }

    fn change(&mut self, change: &Change) {
        self.head(change);
        let width = change.fields.iter().map(|field| field.path.root().width()).max().unwrap_or(0).clamp(12, 24);
        if let Some(impact) = impact(change) {
            let text = self.styled(&format!("    impact: {impact}"), QUIET);
            self.plain(&text);
        }
        if let Some(wave) = wave(change) {
            self.plain(&format!("    {wave}"));
        }
        let mut last = Cow::Borrowed("");
        // An overlay may decide one half of a value; both halves belong together all the same.
        let first = |name| change.fields.iter().position(|field| field.path.root() == name);
        let mut fields: Vec<_> = change.fields.iter().collect();
        fields.sort_by_cached_key(|field| first(field.path.root()));
        for field in fields {
            let name = field.path.root();
            self.field(field, if name == last { "" } else { &name }, width, change);
            last = name;
        }
        self.removed(change, width);
        for note in &change.notes {
            let note = self.styled(&format!("    manual follow-up: {}", line(note)), QUIET);
            self.plain(&note);
        }
    }

    fn field(&mut self, field: &FieldChange, name: &str, width: usize, change: &Change) {
        let action = change.action;
        let mut place = self.sources.position(&field.because).to_string();
        let note = self.report.map(|report| report.note(change, field));
        if let Some(note) = note.filter(|note| !note.is_empty()) {
            let _ = write!(place, "  ({note})");
        }
        let (sign, text) = match (field.path.row(), field.path.rest()) {
            (Some(id), "") => match (&field.from, &field.to) {
                (None, Some(_)) => ("+", format!("row {id}  {}", Sides::of(field).named_to())),
                (Some(_), None) => ("-", format!("row {id}  {}", Sides::of(field).named_from())),
                _ => ("~", format!("row {id}")),
            },
            (Some(id), cell) => (" ", format!("row {id}  {cell} {}", arrow(field, action))),
            (None, part) if !part.is_empty() => (" ", format!("{part} {}", arrow(field, action))),
            (None, _) if is_long(field.from.as_ref()) || is_long(field.to.as_ref()) => (" ", String::new()),
            (None, _) => (" ", arrow(field, action)),
        };
        let style = match sign {
            "+" => ADDED,
            "-" => REMOVED,
            _ => Style::new(),
        };
        let lines = text.is_empty();
        let text = if lines { "(text)".to_owned() } else { text };
        let pad = " ".repeat(width.saturating_sub(name.width()));
        let body = format!("    {name}{pad} {} {}", self.styled(sign, style), self.styled(&text, style));
        self.line(&body, &place);
        if lines {
            self.lines(field);
        }
        if let Some(note) = change.field_notes.get(&field.path) {
            let note = self.styled(&format!("    {}   {}", " ".repeat(width), line(note)), QUIET);
            self.plain(&note);
        }
    }

    /// Writes the difference of two long texts line by line.
    fn lines(&mut self, field: &FieldChange) {
        let text = |value: &Option<serde_json::Value>| {
            value.as_ref().and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        let (from, to) = (text(&field.from), text(&field.to));
        let lines = |tag: ChangeTag| match tag {
            ChangeTag::Delete => to.lines(),
            ChangeTag::Insert => from.lines(),
            ChangeTag::Equal => "".lines(),
        };
        for change in TextDiff::from_lines(&from, &to).iter_all_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ("-", REMOVED),
                ChangeTag::Insert => ("+", ADDED),
                ChangeTag::Equal => (" ", QUIET),
            };
            let text = distinct_line(change.value().trim_end_matches('\n'), lines(change.tag()));
            let line = format!("{sign} {text}");
            let line = self.styled(&line, style);
            self.plain(&format!("        {line}"));
        }
    }

    /// Writes what is blocked for the sake of something else; what is wrong by itself is a diagnostic.
    pub(super) fn blocked(&mut self, plan: &Plan) {
        // One cause, one line: the ids of requests differ, the cause does not.
        let mut unread: BTreeMap<String, (&str, Vec<&ResourceId>)> = BTreeMap::new();
        for blocked in &plan.blocked {
            match &blocked.cause {
                Cause::Unread(why) => {
                    unread.entry(without_request(why)).or_insert((why, Vec::new())).1.push(&blocked.id);
                }
                Cause::Needs(other) => {
                    let sign = self.styled("!", REMOVED);
                    let place = self.sources.position(&blocked.origin);
                    let needed = needed(plan, other);
                    let text =
                        format!("{sign} {} {} is blocked: it needs {needed}", blocked.id.kind, blocked.id.name());
                    self.line(&text, &format!("{}:{}", place.file, place.line));
                }
                Cause::Wrong(_) => {}
            }
        }
        for (why, ids) in unread.into_values() {
            let sign = self.styled("?", REMOVED);
            self.plain(&format!("{sign} {} could not be read: {}", line(&some(&ids)), line(why)));
        }
    }

    fn sum(&mut self, plan: &Plan, counters: Option<&RequestCounters>, took: Duration) {
        let reads = |counters: &RequestCounters| {
            format!(", {}, {:.2} s", count(counters.total(false), "read"), took.as_secs_f64())
        };
        let some = |count: usize, what: &str| if count == 0 { String::new() } else { format!(", {count} {what}") };
        let syncs = some(plan.count(Action::Sync), "to sync");
        let others = some(plan.blocked.len(), "blocked") + &some(plan.reported.len(), "reported");
        let text = format!(
            "{} {} to add, {} to update, {} to delete{syncs}, {} unchanged{others}.   {}{}",
            self.styled("Plan:", STRONG),
            plan.count(Action::Create),
            plan.count(Action::Update),
            plan.count(Action::Delete),
            plan.unchanged,
            count(plan.calls.len(), "call"),
            counters.map(reads).unwrap_or_default(),
        );
        self.plain(&text);
    }

    /// Writes the calls of a plan.
    pub(in crate::cli) fn calls(&mut self, plan: &Plan) {
        if plan.calls.is_empty() {
            return;
        }
        let head = self.styled("Calls:", STRONG);
        let _ = writeln!(self.out, "\n{head}");
        for call in &plan.calls {
            let serves: Vec<_> = call.serves.iter().map(ToString::to_string).collect();
            let for_whom = self.styled(&format!("# {} on {}", line(&serves.join(", ")), call.target), QUIET);
            let _ = writeln!(self.out, "  {} {}  {for_whom}", call.request.operation, call.request.arguments);
        }
    }

    /// Writes what reading told about changes of a run that was broken off.
    pub(in crate::cli) fn settled(&mut self, run: &str, settled: &[SettledChange]) {
        let head = self.styled("Settled:", STRONG);
        self.plain(&format!("{head} run {run}, {} by reading", count(settled.len(), "change")));
        for change in settled {
            let detail = change.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            let verdict = change.verdict.name().replace('_', " ");
            self.plain(&line(&format!("  {}: {verdict}{detail}", change.address)));
        }
    }

    /// Writes what became of the changes: those that did not go smoothly one by one, then the sum.
    pub(in crate::cli) fn outcomes(
        &mut self,
        outcomes: &[(ResourceId, Outcome)],
        counters: &RequestCounters,
        took: Duration,
    ) {
        let so = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::AlreadyTrue).count();
        let applied = outcomes.iter().filter(|(_, outcome)| outcome.converged()).count() - so;
        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        let mut unsent: BTreeMap<&str, Vec<&ResourceId>> = BTreeMap::new();
        for (id, outcome) in outcomes {
            if let Outcome::Unsent(why) = outcome {
                // The same is true of all others of the target.
                *others.entry(outcome.name()).or_default() += 1;
                unsent.entry(why).or_default().push(id);
            } else if let Outcome::Manual(_) = outcome {
                // Each is one of the follow-ups, which are told at the end.
                *others.entry(outcome.name()).or_default() += 1;
            } else if let Some(what) = trouble(outcome) {
                *others.entry(outcome.name()).or_default() += 1;
                let sign = self.styled("✗", REMOVED);
                self.plain(&format!("{sign} {}: {}", line(&id.to_string()), line(&what)));
            } else if let Outcome::Normalised(fields) = outcome {
                for field in fields {
                    let (id, path, kept) = (id.to_string(), line(field.path.as_str()), short(field.to.as_ref()));
                    self.plain(&format!("  {}: {path} is kept as {kept}", line(&id)));
                }
            }
        }
        for (why, ids) in unsent {
            let sign = self.styled("✗", REMOVED);
            self.plain(&format!("{sign} {}: not sent: {}", line(&some(&ids)), line(why)));
        }
        let so = if so == 0 { String::new() } else { format!(", {so} already as declared") };
        let others = others.iter().fold(so, |text, (what, count)| format!("{text}, {count} {what}"));
        let head = self.styled("Applied:", STRONG);
        self.plain(&format!("{head} {applied} of {}{others}.   {:.2} s", outcomes.len(), took.as_secs_f64()));
        let sent = counters.by_operation(true);
        if !sent.is_empty() {
            let sent: Vec<_> = sent.iter().map(|(operation, count)| format!("{operation} {count}")).collect();
            self.plain(&format!("Calls: {}; {}", sent.join(", "), count(counters.total(false), "read")));
        }
    }

    /// Writes a line with a place at its end.
    pub(super) fn line(&mut self, text: &str, place: &str) {
        let (text, place) = (text.replace('\n', "\\n"), place.replace('\n', "\\n"));
        // Cut before it is styled: a colour has no middle.
        let laid = layout::with_place(&text, &place, self.ui.fold);
        match laid.strip_suffix(&place) {
            Some(before) => {
                let place = self.styled(&place, QUIET);
                let _ = writeln!(self.out, "{before}{place}");
            }
            None => {
                let _ = writeln!(self.out, "{laid}");
            }
        }
    }

    /// Writes a line without a place.
    pub(super) fn plain(&mut self, text: &str) {
        match self.ui.fold {
            Some(columns) => text.lines().for_each(|line| {
                let _ = writeln!(self.out, "{}", layout::fold(line, columns));
            }),
            None => {
                let _ = writeln!(self.out, "{text}");
            }
        }
    }

    /// Returns a place as reports show it.
    pub(super) fn location(&self, origin: &Origin) -> String {
        self.sources.position(origin).to_string()
    }

    pub(super) fn styled(&self, text: &str, style: Style) -> String {
        if self.ui.colour && style != Style::new() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Returns one line about a finished object, as CI logs show it.
pub(in crate::cli) fn finished(
    change: &Change,
    outcome: &Outcome,
    took: Duration,
    origin: &Origin,
    sources: &Sources,
) -> String {
    let sign = if outcome.converged() { "✓" } else { "✗" };
    let what = trouble(outcome).map(|what| format!(": {what}")).unwrap_or_default();
    let name = match outcome {
        Outcome::AlreadyTrue => "already as declared",
        Outcome::NotApplied(_) => "not applied",
        outcome => outcome.name(),
    };
    let (place, took) = (sources.position(origin), took.as_secs_f64());
    let change = format!("{} {}", change.action.sign(), change.id);
    line(&format!("{sign} {change}  {name} {took:.2} s  {}:{}{what}", place.file, place.line))
}

/// Says what went wrong; nothing where all is well.
pub(in crate::cli) fn trouble(outcome: &Outcome) -> Option<String> {
    let fields = |fields: &[FieldChange]| fields.iter().map(|field| field.path.as_str()).collect::<Vec<_>>().join(", ");
    match outcome {
        Outcome::Applied | Outcome::AlreadyTrue | Outcome::Normalised(_) => None,
        Outcome::Stale => Some("not sent: it is no longer as it was when this was planned".to_owned()),
        Outcome::Dropped(paths) => Some(format!("accepted, but not stored: {}", fields(paths))),
        Outcome::Overtaken(paths) => Some(format!("stored, but somebody else changed it since: {}", fields(paths))),
        Outcome::NotApplied(why) => Some(format!("not applied: {why}")),
        Outcome::Refused(refusal) => Some(format!("refused: {refusal}")),
        Outcome::Unknown(why) if why.starts_with("not sent") => Some(why.clone()),
        Outcome::Unknown(why) => Some(format!("whether it was done is unknown: {why}")),
        Outcome::Skipped(because) => Some(format!("not sent, because {because} did not come about")),
        Outcome::Unsent(why) => Some(format!("not sent: {why}")),
        Outcome::Interrupted => Some("not sent: the run was interrupted".to_owned()),
        Outcome::Manual(why) => Some(format!("left to people: {why}")),
    }
}

fn style(action: Action) -> Style {
    match action {
        Action::Create => ADDED,
        Action::Update | Action::Sync => UPDATED,
        Action::Delete => REMOVED,
    }
}

fn arrow(field: &FieldChange, action: Action) -> String {
    let sides = Sides::of(field);
    match action {
        Action::Create => sides.named_to(),
        Action::Update | Action::Delete | Action::Sync => sides.arrow(),
    }
}

/// Says in which wave a part of a roll-out is synced, and after what; `None` for other changes.
pub(in crate::cli) fn wave(change: &Change) -> Option<String> {
    let wave = change.wave?;
    // The other waves are no news.
    let causes: Vec<_> = change.after.iter().filter(|id| id.document() != change.id.document()).collect();
    let after = if causes.is_empty() { String::new() } else { format!(", after {}", some(&causes)) };
    Some(format!("wave {} of {}{after}", wave.number, wave.of))
}

/// Returns the impact of a change, in words; `None` if there is none.
pub(in crate::cli) fn impact(change: &Change) -> Option<String> {
    things(change.impact.iter().map(|(unit, count)| (*unit, *count)))
}

/// Things by their nouns, in words; `None` if there are none.
pub(super) fn things(things: impl Iterator<Item = (&'static str, Option<u64>)>) -> Option<String> {
    let words = |unit: &str| {
        unit.chars().fold(String::new(), |text, letter| match letter {
            'A'..='Z' => text + " " + &letter.to_lowercase().to_string(),
            _ => text + &letter.to_string(),
        })
    };
    let told: Vec<_> = things
        .filter(|(_, count)| *count != Some(0))
        .map(|(unit, count)| match (words(unit), count) {
            (unit, None) => format!("{unit} unknown"),
            (unit, Some(1)) => format!("1 {}", singular(&unit)),
            (unit, Some(count)) => format!("{count} {unit}"),
        })
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Returns the singular of a noun, such as `process` of `processes`.
fn singular(noun: &str) -> &str {
    noun.strip_suffix("es").filter(|stem| stem.ends_with("ss")).unwrap_or_else(|| noun.trim_end_matches('s'))
}

fn some(ids: &[&ResourceId]) -> String {
    match ids {
        [only] => only.to_string(),
        [first, ..] => format!("{first} and {} more", ids.len() - 1),
        [] => String::new(),
    }
}

impl Writer<'_> {
    /// Writes the steps.
    pub(in crate::cli) fn follow_ups(&mut self, steps: &[FollowUp<'_>]) {
        let Some(first) = steps.first() else { return };
        let head = self.styled(&format!("{}:", headline(steps.len())), STRONG);
        if steps.len() == 1 {
            return self.plain(&format!("{head} {}", first.text));
        }
        self.plain(&head);
        for step in steps.iter().take(STEPS) {
            self.plain(&format!("  {}", step.text));
        }
        if steps.len() > STEPS {
            self.plain(&format!("  and {} more", steps.len() - STEPS));
        }
    }
}
