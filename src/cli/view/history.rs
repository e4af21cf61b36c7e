//! Runs of the past, for people and as one document.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use anstyle::Style;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::{
    Ui,
    plain::{count, line},
    text::{QUIET, REMOVED, STRONG},
    value::{Sides, short},
};
use crate::{
    journal::{
        Integrity,
        history::{ChangeHistory, RunHistory, Standing},
        record::{ActionCounts, Field},
    },
    model::Change,
    plan::{Plan, file::FORMAT_VERSION},
    version::VERSION,
};

/// Returns a document as YAML.
pub(in crate::cli) fn yaml(document: &Value) -> String {
    super::yaml::text(document)
}

/// Returns the document about several runs.
pub(in crate::cli) fn list(runs: &[RunHistory]) -> Value {
    document(&runs.iter().map(summary).collect::<Vec<_>>())
}

/// Returns the document about one run, with each of its changes.
pub(in crate::cli) fn detail(history: &RunHistory, plan: Option<&Plan>) -> Value {
    let mut run = summary(history);
    run["changes"] = changes(history, plan).iter().map(Seen::document).collect();
    document(&[run])
}

fn document(runs: &[Value]) -> Value {
    json!({
        "apiVersion": "reconcile/v1",
        "kind": "History",
        "format_version": FORMAT_VERSION,
        "reconcile": VERSION,
        "runs": runs,
    })
}

fn summary(history: &RunHistory) -> Value {
    let record = history.record.as_ref();
    let origin = record.map(|record| &record.origin);
    let ended = matches!(history.standing, Standing::Ended(_)).then_some(history.last).flatten();
    let resumed = history.resumed.iter().map(|(time, resumed)| {
        json!({
            "time": time.to_string(),
            "command": resumed.origin.command,
            "user": resumed.origin.user,
            "host": resumed.origin.host,
            "pid": resumed.pid,
            "abandon": resumed.abandon,
        })
    });
    json!({
        "id": history.id,
        "verdict": history.standing.name(),
        "journal": match history.integrity {
            Integrity::Whole => "whole",
            Integrity::Torn => "torn",
            Integrity::Altered { .. } => "altered",
        },
        "started": history.started.map(|time| time.to_string()),
        "ended": ended.map(|time| time.to_string()),
        "seconds": history.took().map(|took| took.as_secs_f64()),
        "command": origin.map(|origin| &origin.command),
        "user": origin.and_then(|origin| origin.user.as_ref()),
        "host": origin.and_then(|origin| origin.host.as_ref()),
        "pid": record.map(|record| record.pid),
        "version": origin.map(|origin| &origin.version),
        "commit": origin.and_then(|origin| origin.commit.as_ref()),
        "manifests": record.and_then(|record| record.manifests.as_ref()),
        "plan": record.and_then(|record| record.plan.as_ref()),
        "file": record.and_then(|record| record.file.as_ref()),
        "targets": record.map(|record| &record.targets).into_iter().flatten().collect::<Vec<_>>(),
        "acknowledgement": record.and_then(|record| record.acknowledgement.as_ref()),
        "acknowledged": record.is_some_and(|record| record.acknowledged),
        "limits": record.map(|record| &record.limits).into_iter().flatten().collect::<Vec<_>>(),
        "held": record.map(|record| &record.held).into_iter().flatten().collect::<Vec<_>>(),
        "override": record.and_then(|record| record.override_reason.as_ref()),
        "counts": record.map(|record| record.counts).unwrap_or_default(),
        "outcomes": history.outcomes(),
        "resumed": resumed.collect::<Vec<_>>(),
    })
}

/// A change of a run: from its plan, from its journal, or from both.
struct Seen<'a> {
    address: String,
    planned: Option<&'a Change>,
    noted: Option<&'a ChangeHistory>,
}

/// Returns the changes of a run in the order of its plan, those that only the journal names behind them.
fn changes<'a>(history: &'a RunHistory, plan: Option<&'a Plan>) -> Vec<Seen<'a>> {
    let mut noted: HashMap<&str, &ChangeHistory> =
        history.changes.iter().map(|change| (change.address.as_str(), change)).collect();
    let mut seen = Vec::new();
    for change in plan.into_iter().flat_map(|plan| &plan.changes) {
        let address = change.id.to_string();
        let found = noted.remove(address.as_str());
        seen.push(Seen { address, planned: Some(change), noted: found });
    }
    let rest = history.changes.iter().filter(|change| noted.contains_key(change.address.as_str()));
    seen.extend(rest.map(|change| Seen { address: change.address.clone(), planned: None, noted: Some(change) }));
    seen
}

impl Seen<'_> {
    fn outcome(&self) -> &str {
        self.noted.map_or("not_sent", ChangeHistory::outcome_name)
    }

    fn detail(&self) -> Option<&str> {
        let noted = self.noted?;
        let settled = || noted.settled.as_ref()?.1.detail.as_deref();
        noted.outcome.as_ref().and_then(|(_, outcome)| outcome.detail.as_deref()).or_else(settled)
    }

    /// Returns the fields: those of the journal hold no secret, those of the plan are all that is known of what was not
    /// sent.
    fn fields(&self) -> Vec<Field> {
        if let Some(noted) = self.noted.filter(|noted| !noted.fields.is_empty()) {
            return noted.fields.clone();
        }
        let Some(change) = self.planned else { return Vec::new() };
        let removed = change.before.iter().map(|field| Field {
            path: field.path.to_string(),
            from: field.value.clone(),
            to: Value::Null,
        });
        let changed = change.fields.iter().map(|field| Field {
            path: field.path.to_string(),
            from: field.from.clone().unwrap_or_default(),
            to: field.to.clone().unwrap_or_default(),
        });
        removed.chain(changed).collect()
    }

    fn document(&self) -> Value {
        let attempts = self.noted.iter().flat_map(|noted| &noted.attempts).map(|attempt| {
            json!({
                "time": attempt.time.to_string(),
                "call": attempt.call,
                "attempt": attempt.number,
                "operation": attempt.operation,
            })
        });
        let outcome = self.noted.and_then(|noted| noted.outcome.as_ref());
        let settled = self.noted.and_then(|noted| noted.settled.as_ref());
        let id = self.noted.and_then(ChangeHistory::handle).or_else(|| self.planned.map(|change| &change.handle));
        json!({
            "address": self.address,
            "target": self.planned.map(|change| &*change.target),
            "action": self.planned.map(|change| change.action.name()),
            "label": self.planned.map(|change| &change.label),
            "id": id,
            "fields": self.fields().iter().map(|field| json!({
                "path": field.path,
                "before": field.from,
                "after": field.to,
            })).collect::<Vec<_>>(),
            "outcome": self.outcome(),
            "detail": self.detail(),
            "ended": outcome.map(|(time, _)| time.to_string()),
            "milliseconds": outcome.map(|(_, outcome)| outcome.took_ms),
            "attempts": attempts.collect::<Vec<_>>(),
            "settled": settled.map(|(time, settled)| json!({
                "time": time.to_string(),
                "verdict": settled.verdict.name(),
                "by": settled.by,
            })),
        })
    }
}

/// Returns the numbers of changes behind the signs of their actions; syncs where there are any.
fn signed(counts: ActionCounts) -> String {
    let changes = format!("+{} ~{} -{}", counts.create, counts.update, counts.delete);
    if counts.sync == 0 { changes } else { format!("{changes} >{}", counts.sync) }
}

/// Returns a list of runs for people.
pub(in crate::cli) fn table(runs: &[RunHistory]) -> String {
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    let head = ["RUN", "STARTED", "TOOK", "BY", "COMMAND", "TARGETS", "CHANGES", "VERDICT"].map(str::to_owned);
    let rows = runs.iter().map(|history| {
        let record = history.record.as_ref();
        let targets: Vec<&str> =
            record.iter().flat_map(|record| &record.targets).map(|target| target.name.as_str()).collect();
        let counts = record.map(|record| record.counts).unwrap_or_default();
        [
            history.id.clone(),
            history.started.map(moment).unwrap_or_default(),
            history.took().map(span).unwrap_or_default(),
            by(history),
            record.map(|record| record.origin.command.clone()).unwrap_or_default(),
            targets.join(","),
            signed(counts),
            history.standing.name().to_owned(),
        ]
        .map(|cell| line(&cell))
    });
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(rows).collect();
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| {
            let pad = " ".repeat(width - cell.width());
            format!("{cell}{pad}")
        });
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

/// Returns one run for people.
pub(in crate::cli) fn run(history: &RunHistory, plan: Option<&Plan>, ui: &Ui) -> String {
    let style = |text: &str, style: Style| if ui.colour { format!("{style}{text}{style:#}") } else { text.to_owned() };
    let mut text = format!("{} {}: {}\n", style("Run", STRONG), history.id, history.standing.name());
    for (key, value) in facts(history) {
        let _ = writeln!(text, "  {key:<14}{}", line(&value));
    }
    for seen in changes(history, plan) {
        let sign = seen.planned.map_or('?', |change| change.action.sign());
        let name = style(&line(&seen.address), STRONG);
        let about = seen.planned.map(|change| {
            let label = Some(change.label.as_str()).filter(|label| !label.is_empty());
            format!("  ({})", [Some(&*change.target), label].into_iter().flatten().collect::<Vec<_>>().join(", "))
        });
        let is_well = seen.noted.is_some_and(|noted| noted.is_made() || noted.outcome_name() == "already_true");
        let outcome = style(&seen.outcome().replace('_', " "), if is_well { Style::new() } else { REMOVED });
        let detail = seen.detail().map(|detail| format!(": {}", line(detail))).unwrap_or_default();
        let _ = writeln!(text, "\n{sign} {name}{}  {outcome}{detail}", line(&about.unwrap_or_default()));
        for field in fields_for_people(&seen) {
            let _ = writeln!(text, "    {}", line(&field));
        }
        for attempt in seen.noted.iter().flat_map(|noted| &noted.attempts) {
            let attempt_text = format!(
                "    {}  call {} {}, attempt {}",
                clock(attempt.time),
                attempt.call,
                attempt.operation,
                attempt.number
            );
            let _ = writeln!(text, "{}", style(&attempt_text, QUIET));
        }
        if let Some((time, outcome)) = seen.noted.and_then(|noted| noted.outcome.as_ref()) {
            let took =
                format!("    {}  {} after {} ms", clock(*time), outcome.outcome.replace('_', " "), outcome.took_ms);
            let _ = writeln!(text, "{}", style(&took, QUIET));
        }
        if let Some((time, settled)) = seen.noted.and_then(|noted| noted.settled.as_ref()) {
            let verdict = settled.verdict.name().replace('_', " ");
            let settled = format!("    {}  settled by reading: {verdict}", clock(*time));
            let _ = writeln!(text, "{}", style(&settled, QUIET));
        }
    }
    text
}

/// Returns what is known of a run as a whole: a key and a value for each line.
fn facts(history: &RunHistory) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let record = history.record.as_ref();
    if let (Some(started), Some(took)) = (history.started, history.took()) {
        facts.push(("started", format!("{}, took {}", moment(started), span(took))));
    }
    if let Integrity::Altered { line } = history.integrity {
        facts.push(("journal", format!("edited or damaged: line {line} and all behind it are not trusted")));
    }
    if let Some(record) = record {
        let origin = &record.origin;
        facts.push(("by", format!("{}, process {}, reconcile {}", by(history), record.pid, origin.version)));
        let file = record.file.as_ref().map(|file| format!(" {file}")).unwrap_or_default();
        facts.push(("command", format!("{}{file}", origin.command)));
        let targets: Vec<&str> = record.targets.iter().map(|target| target.name.as_str()).collect();
        facts.push(("targets", targets.join(", ")));
        let commit = origin.commit.as_ref().map(|commit| format!("commit {commit}"));
        let digest = record.manifests.as_ref().map(|digest| format!("SHA-256 {digest}"));
        let manifests: Vec<String> = [digest, commit].into_iter().flatten().collect();
        if !manifests.is_empty() {
            facts.push(("manifests", manifests.join(", ")));
        }
        facts.extend(record.plan.as_ref().map(|digest| ("plan", format!("digest {digest}"))));
        facts.extend(record.limits.iter().map(|limit| ("limit", limit.clone())));
        if let Some(text) = record.acknowledgement.as_ref().filter(|_| !record.limits.is_empty()) {
            let given = if record.acknowledged { "acknowledged by" } else { "not acknowledged by" };
            facts.push(("", format!("{given} {text}")));
        }
        facts.extend(record.held.iter().map(|held| ("held", held.clone())));
        facts.extend(record.override_reason.iter().map(|reason| ("override", reason.clone())));
        let counts = record.counts;
        let planned = format!("{} to add, {} to update, {} to delete", counts.create, counts.update, counts.delete);
        facts.push(("changes", planned));
    }
    let outcomes: BTreeMap<&str, usize> = history.outcomes();
    if !outcomes.is_empty() {
        let outcomes: Vec<_> =
            outcomes.iter().map(|(name, number)| format!("{number} {}", name.replace('_', " "))).collect();
        facts.push(("outcomes", outcomes.join(", ")));
    }
    for (time, resumed) in &history.resumed {
        let who = who(resumed.origin.user.as_ref(), resumed.origin.host.as_ref());
        let what = if resumed.abandon { "abandoned" } else { "resumed" };
        facts.push((what, format!("{} by {who}", moment(*time))));
    }
    facts
}

/// Returns the fields of a change, as people read them where the plan says how.
fn fields_for_people(seen: &Seen<'_>) -> Vec<String> {
    let shown: HashMap<&str, Sides> = seen
        .planned
        .into_iter()
        .flat_map(|change| &change.fields)
        .map(|field| (field.path.as_str(), Sides::of(field)))
        .collect();
    let mut fields = seen.fields();
    // Of a removed object they had no value.
    fields.retain(|field| !(field.from.is_null() && field.to.is_null()));
    if fields.len() > MOST_FIELDS {
        let rest = fields.len() - MOST_FIELDS;
        let mut lines: Vec<String> = fields.iter().take(MOST_FIELDS).map(|field| arrow(field, &shown)).collect();
        lines.push(format!("and {} more", count(rest, "field")));
        return lines;
    }
    fields.iter().map(|field| arrow(field, &shown)).collect()
}

/// Most fields of one change that are shown.
const MOST_FIELDS: usize = 40;

fn arrow(field: &Field, shown: &HashMap<&str, Sides>) -> String {
    let is_redacted = |value: &Value| value.get("keyed_digest").is_some();
    let sides = shown.get(field.path.as_str()).filter(|_| !is_redacted(&field.from) && !is_redacted(&field.to));
    if let Some(sides) = sides {
        return format!("{}: {}", field.path, sides.arrow());
    }
    let value = |value: &Value| match value {
        value if is_redacted(value) => "(secret)".to_owned(),
        Value::Null => short(None),
        value => short(Some(value)),
    };
    format!("{}: {} → {}", field.path, value(&field.from), value(&field.to))
}

fn by(history: &RunHistory) -> String {
    let origin = history.record.as_ref().map(|record| &record.origin);
    origin.map(|origin| who(origin.user.as_ref(), origin.host.as_ref())).unwrap_or_default()
}

fn who(user: Option<&String>, host: Option<&String>) -> String {
    [user, host].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("@")
}

/// Returns a time to the second.
fn moment(time: Timestamp) -> String {
    format!("{time:.0}")
}

/// Returns the time of day of a time in UTC, to the millisecond.
fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%S%.3fZ").to_string()
}

fn span(took: SignedDuration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 100.0 { format!("{seconds:.2} s") } else { format!("{seconds:.0} s") }
}
