//! The log lines about objects: what differs, what was sent in place of what, and whose it was.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    held::Held,
    report::{cause, outcome_detail},
    said::News,
    status::{Counts, Report, Verdict},
};
use crate::{
    engine::author::Trace,
    model::{
        Action, Change, Display, FieldChange, FieldPath, KnownField, Outcome,
        author::{Changed, Deed, Source},
    },
    plan::follow_up::FollowUp,
    source::Sources,
};

/// Most fields of one object that a line shows.
const FIELDS: usize = 12;

/// Most characters of one value that a line shows.
const LONG: usize = 60;

/// Says how a pass over a target ended.
pub(super) fn pass_ended(target: &str, report: &Report) {
    let Counts { in_sync, changed, drifted, failed, blocked, unknown } = report.counts;
    let (trigger, result, drift) = (report.trigger.name(), report.verdict.name(), report.drift);
    let whole = report.whole;
    let ms = i64::try_from(report.end.duration_since(report.start).as_millis()).unwrap_or(i64::MAX);
    let error = report.error.as_deref().unwrap_or_default();
    if report.verdict == Verdict::Failed || report.verdict == Verdict::Panicked {
        tracing::error!(
            trigger, result, in_sync, changed, drifted, failed, blocked, unknown, drift, whole, ms, target, "{error}"
        );
    } else {
        tracing::info!(
            trigger,
            result,
            in_sync,
            changed,
            drifted,
            failed,
            blocked,
            unknown,
            drift,
            whole,
            ms,
            target,
            "pass ended"
        );
    }
}

/// The context of the lines of a pass.
#[derive(Clone)]
pub(super) struct PassLog<'a> {
    /// The texts that places point into.
    pub(super) sources: &'a Sources,
    /// The id of the run in the journal; `None` if none is kept.
    pub(super) run: Option<&'a str>,
    /// The last changes of values that differ, as far as they were asked for and answered.
    pub(super) trace: Trace,
    /// Why objects are held back.
    pub(super) held: &'a Held,
}

impl PassLog<'_> {
    /// Says what is new about objects that differ and are left so, and about blocked ones.
    pub(super) fn news(&self, news: &News<'_>) {
        for blocked in &news.blocked {
            let (kind, key, at) = (blocked.id.kind, &*blocked.id.key, self.sources.position(&blocked.origin));
            tracing::warn!(run = self.run, kind, key, %at, outcome = "blocked", "{}", cause(blocked));
        }
        for id in &news.unblocked {
            let (kind, key) = (id.kind, &*id.key);
            tracing::info!(run = self.run, kind, key, outcome = "unblocked", "no longer blocked");
        }
        news.drift.iter().for_each(|change| self.drift(change));
        for id in &news.resolved {
            let (kind, key) = (id.kind, &*id.key);
            tracing::info!(run = self.run, kind, key, outcome = "resolved", "no longer differs");
        }
    }

    /// Says what differs and is left as it is.
    fn drift(&self, change: &Change) {
        let (kind, key, at) = (change.id.kind, &*change.id.key, self.sources.position(&change.origin));
        let (target, id, action) = (&*change.target, id(change), change.action.name());
        let (changes, author) = (changes(change), authors(&self.trace.all(change)));
        let hold = self.held.get(&change.id).map(ToString::to_string);
        let parts = [Some(&changes), author.as_ref(), hold.as_ref()];
        let shown = parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("; ");
        tracing::warn!(
            run = self.run, target, kind, key, %at, id, action, outcome = "drifted", changes, author, hold,
            "would {action}: {shown}"
        );
    }

    /// Says what is left to people.
    pub(super) fn follow_ups(&self, steps: &[FollowUp<'_>]) {
        for step in steps {
            let text = step.text;
            let objects = step.objects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(run = self.run, objects, outcome = "manual", "manual follow-up: {text}");
        }
    }

    /// Says what became of a change.
    pub(super) fn outcome(&self, change: &Change, outcome: &Outcome) {
        let (kind, key, at) = (change.id.kind, &*change.id.key, self.sources.position(&change.origin));
        let (target, id, action) = (&*change.target, id(change), change.action.name());
        let (changes, author) = (changes(change), authors(&self.trace.all(change)));
        let detail = Some(outcome_detail(outcome)).filter(|detail| !detail.is_empty());
        let name = outcome.name();
        let mut message = format!("{action} {name}: {changes}");
        for more in [&detail, &author].into_iter().flatten() {
            let _ = write!(message, "; {more}");
        }
        if outcome.converged() {
            tracing::info!(
                run = self.run, target, kind, key, %at, id, action, outcome = name, changes, author, "{message}"
            );
        } else {
            tracing::error!(
                run = self.run, target, kind, key, %at, id, action, outcome = name, changes, author, "{message}"
            );
        }
    }
}

/// Returns the ids of the live object; `None` for a create.
fn id(change: &Change) -> Option<String> {
    (!change.handle.is_null()).then(|| cut(&change.handle.to_string()))
}

/// Returns the fields of a change with their values, old and new.
fn changes(change: &Change) -> String {
    let fields: Vec<String> = match change.action {
        Action::Delete => change.before.iter().filter(|field| field.path.rest().is_empty()).map(removed).collect(),
        Action::Create => change.fields.iter().map(|field| format!("{}: {}", field.path, after(field))).collect(),
        Action::Update | Action::Sync => {
            change.fields.iter().map(|field| format!("{}: {} → {}", field.path, before(field), after(field))).collect()
        }
    };
    let mut text = fields.iter().take(FIELDS).map(String::as_str).collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        return "no fields".to_owned();
    }
    if fields.len() > FIELDS {
        let _ = write!(text, " and {} more", fields.len() - FIELDS);
    }
    text
}

fn removed(field: &KnownField) -> String {
    format!("{}: {}", field.path, side(field.display.as_deref(), Some(&field.value)))
}

fn before(field: &FieldChange) -> String {
    side(field.display.as_ref().and_then(|Display { from, .. }| from.as_deref()), field.from.as_ref())
}

fn after(field: &FieldChange) -> String {
    side(field.display.as_ref().and_then(|Display { to, .. }| to.as_deref()), field.to.as_ref())
}

/// Returns a value, behind the text that people read in its place where there is one.
fn side(display: Option<&str>, value: Option<&Value>) -> String {
    display.map_or_else(|| shown(value), |text| format!("{} ({})", cut(text), shown(value)))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "(none)".to_owned(), |value| cut(&value.to_string()))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns who else made one difference, and when; `None` if nobody else is known to have.
pub(super) fn author(changed: &Changed) -> Option<String> {
    sentence(changed, &[])
}

/// Returns who else made what differs, and when; `None` if nobody else is known to have.
fn authors(parts: &[(Option<&FieldPath>, Changed)]) -> Option<String> {
    let sentences = parts.chunk_by(|(_, changed), (_, next)| (&changed.by, &changed.at) == (&next.by, &next.at));
    let sentences: Vec<String> = sentences.filter_map(|run| sentence(&run.first()?.1, run)).take(FIELDS).collect();
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

fn sentence(changed: &Changed, parts: &[(Option<&FieldPath>, Changed)]) -> Option<String> {
    let deed = match (changed.deed, changed.source) {
        (Deed::Changed, Source::Audit) => "changed",
        (Deed::Changed, _) => "the object was last changed",
        (Deed::Made | Deed::Remade, _) => "made",
        (Deed::Removed, _) => "removed",
        (Deed::Kept | Deed::Earlier | Deed::Never | Deed::Unknown, _) => return None,
    };
    if changed.ours == Some(true) || (changed.by.is_none() && changed.at.is_none()) {
        return None;
    }
    let paths: Vec<&str> = parts.iter().filter_map(|(path, _)| path.map(FieldPath::as_str)).collect();
    let paths =
        if paths.is_empty() || changed.source != Source::Audit { String::new() } else { paths.join(", ") + " " };
    let by = changed.by.as_ref().map(|by| format!(" by {}", cut(by))).unwrap_or_default();
    let at = changed.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
    Some(format!("{paths}{deed}{by}{at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_others_are_named() {
        let check = |source: Source, deed: Deed, by: Option<&str>, ours: Option<bool>, expected: Option<&str>| {
            let at = Some("2026-11-20T06:02:03Z".to_owned());
            let changed = Changed { deed, by: by.map(str::to_owned), at, source, ours, ..Changed::unknown() };
            let (ports, remark) = (FieldPath::field("ports"), FieldPath::field("remark"));
            let parts = [(Some(&ports), changed.clone()), (Some(&remark), changed)];
            assert_eq!(authors(&parts).as_deref(), expected);
        };
        let audit = Some("ports, remark changed by zoe at 2026-11-20T06:02:03Z");
        check(Source::Audit, Deed::Changed, Some("zoe"), Some(false), audit);
        check(Source::Audit, Deed::Changed, Some("zoe"), None, audit);
        let object = Some("the object was last changed by zoe at 2026-11-20T06:02:03Z");
        check(Source::Object, Deed::Changed, Some("zoe"), Some(false), object);
        check(Source::Audit, Deed::Changed, Some("admin"), Some(true), None);
        check(Source::Audit, Deed::Kept, None, None, None);
        assert_eq!(authors(&[(Some(&FieldPath::field("ports")), Changed::unknown())]), None);
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(cut("机柜"), "机柜");
        assert_eq!(cut(&"机".repeat(LONG + 1)), format!("{}…", "机".repeat(LONG)));
    }
}
