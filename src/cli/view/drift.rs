//! Drift: the differences, which side moved, who moved it, and the evidence.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::{
    Ui, json as plan_json,
    plain::count,
    report::Report,
    text::{self, Writer},
    value::{Sides, is_long, shown},
};
use crate::{
    engine::author::Trace,
    model::{
        Action, Change, FieldChange, FieldPath,
        author::{Changed, Deed, Source, Verdict},
    },
    plan::file::Document,
};

/// Returns the verdict about an object: drift where any of it is.
pub(super) fn verdict(change: &Change, trace: &Trace) -> Verdict {
    let all = trace.all(change);
    all.iter().map(|(_, changed)| changed.verdict(change.action)).max().unwrap_or(Verdict::Unknown)
}

/// Returns how many objects drifted, were edited, and are not known to be either.
pub(super) fn counts(report: &Report<'_>, trace: &Trace) -> [usize; 3] {
    let all: Vec<_> = report.differences().map(|(change, _)| verdict(change, trace)).collect();
    [Verdict::Drift, Verdict::Edit, Verdict::Unknown].map(|side| all.iter().filter(|verdict| **verdict == side).count())
}

/// One thing that differs, and who did that.
pub(super) struct AttributedChange<'a> {
    /// Which side of it moved.
    pub(super) verdict: Verdict,
    /// The field; `None` if the object itself is there or not.
    pub(super) field: Option<&'a FieldChange>,
    /// The change in words: who, when, and the evidence.
    pub(super) sentence: String,
}

/// Tells of each part of a change who did it.
pub(super) fn attributed_changes<'a>(change: &'a Change, trace: &Trace) -> Vec<AttributedChange<'a>> {
    let told = |(path, changed): (Option<&FieldPath>, Changed)| {
        let field = change.fields.iter().find(|field| Some(&field.path) == path);
        AttributedChange { verdict: changed.verdict(change.action), field, sentence: sentence(&changed, field) }
    };
    trace.all(change).into_iter().map(told).collect()
}

/// Returns the drift as people read it.
pub(in crate::cli) fn text(report: &Report<'_>, ui: &Ui) -> String {
    let (Some(plan), Some(trace)) = (report.plan, report.trace) else { return text::report(report, ui) };
    let mut writer = Writer::new(ui, report.sources);
    for (change, is_reported) in report.differences() {
        writer.head(change);
        object(&mut writer, change, &trace.all(change));
        if is_reported {
            writer.plain("    only reported (policy: report)");
        }
    }
    let mut out = writer.finish();
    if report.differences().next().is_some() {
        out.push('\n');
    }
    let mut writer = Writer::new(ui, report.sources);
    writer.blocked(plan);
    if report.calls {
        writer.calls(plan);
    }
    out.push_str(&writer.finish());
    let left_alone = if plan.blocked.is_empty() { String::new() } else { format!(", {} blocked", plan.blocked.len()) };
    let reads = report.counters.map_or(0, |counters| counters.total(false));
    let [drifted, edited, unknown] = counts(report, trace);
    let _ = writeln!(
        out,
        "Drift: {drifted} drifted, {edited} edited, {unknown} unknown which, {} unchanged{left_alone}.   {}, {:.2} s",
        plan.unchanged,
        count(reads, "read"),
        report.took.as_secs_f64(),
    );
    out
}

/// Writes the parts of a change. What is the same for several fields in a row is said once, behind them.
fn object(writer: &mut Writer<'_>, change: &Change, parts: &[(Option<&FieldPath>, Changed)]) {
    for run in parts.chunk_by(|(_, changed), (_, next)| changed == next) {
        let mut told = None;
        for (path, changed) in run {
            let verdict = changed.verdict(change.action);
            let word = writer.styled(&format!("{:<8}", verdict.name()), style(verdict));
            let field = change.fields.iter().find(|field| Some(&field.path) == *path);
            let sentence = sentence(changed, field);
            let Some(field) = field else {
                writer.plain(&format!("    {word} {sentence}"));
                continue;
            };
            let said = if run.len() == 1 { format!(", {sentence}") } else { String::new() };
            let place = writer.location(&field.because);
            writer.line(&format!("    {word} {}: {}{said}", field.path, values(field)), &place);
            told = Some(sentence).filter(|_| run.len() > 1);
        }
        if let Some(told) = told {
            writer.plain(&format!("    {:<8} {told}", ""));
        }
    }
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Drift => AnsiColor::Red.on_default(),
        Verdict::Edit => AnsiColor::Yellow.on_default(),
        Verdict::Unknown => Style::new().bold(),
    }
}

/// Returns the live value and the declared one. No arrow stands between them: neither became the other.
pub(super) fn values(field: &FieldChange) -> String {
    let sides = Sides::of(field);
    let build = |value: &Option<Value>, side: String| if is_long(value.as_ref()) { "(text)".to_owned() } else { side };
    format!("live {}, declared {}", build(&field.from, sides.named_from()), build(&field.to, sides.named_to()))
}

/// Returns a change in words: who, when, and the evidence.
fn sentence(changed: &Changed, field: Option<&FieldChange>) -> String {
    let at = changed.at.as_deref().map(time).unwrap_or_default();
    let by = match (&changed.by, changed.ours) {
        (Some(by), Some(true)) => format!(" by {by}, the account of this target"),
        (Some(by), Some(false)) => format!(" by {by}"),
        (Some(by), None) => format!(" by {by}, perhaps the account of this target"),
        (None, _) => String::new(),
    };
    let told = match (changed.deed, changed.source) {
        (Deed::Changed, Source::Audit) => {
            let declared = field.and_then(|field| field.to.as_ref());
            let was = changed.was.as_ref().filter(|was| Some(*was) != declared && !is_long(Some(was)));
            let was =
                was.map(|was| format!(", before {}", shown(changed.was_display.as_ref(), was))).unwrap_or_default();
            format!("changed {at}{by}{was}")
        }
        (Deed::Changed, _) => format!("its object last changed {at}{by}{}", doubt(changed)),
        (Deed::Made, _) if field.is_some() => format!("as it was made {at}{by}"),
        (Deed::Made, _) => format!("made {at}{by}"),
        (Deed::Remade, _) => format!("its object was removed and made again {at}{by}"),
        (Deed::Kept, _) => format!("not changed since {at}"),
        (Deed::Earlier, _) => format!("changed before {at}, which is as far back as was read"),
        (Deed::Removed, _) => format!("removed {at}{by}"),
        (Deed::Never, _) => "never there".to_owned(),
        (Deed::Unknown, _) => "nothing tells who changed it, or when".to_owned(),
    };
    match changed.source {
        Source::Audit => format!("{told} (audit record)"),
        Source::Object => format!("{told} (the object's own fields)"),
        Source::Time => format!("{told} (the object's own time; nothing tells by whom)"),
        Source::Nothing => told,
    }
}

/// Returns why the last change of an object is no verdict on one of its fields, where it is none.
fn doubt(changed: &Changed) -> &'static str {
    if changed.ours == Some(false) { "; which field is not on record" } else { "" }
}

/// A time as people read it, with its zone where that is known.
fn time(at: &str) -> String {
    let Some((date, clock)) = at.split_once('T') else { return format!("{at} by the server's clock") };
    let zone = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone);
    let clock = clock.split('.').next().unwrap_or(clock);
    format!("{date} {clock} {}", if zone == "Z" { "UTC" } else { zone })
}

/// Returns the drift as one document: the changes of a plan, with who changed what and the verdict.
pub(super) fn json<'a>(report: &Report<'a>) -> Document<'a> {
    let document = plan_json::report(report);
    let (Some(plan), Some(trace)) = (report.plan, report.trace) else { return document };
    let mut document = document.into_value();
    let object = |(change, is_reported): (&Change, bool)| {
        let mut shown = plan_json::change(change, report.sources);
        shown["verdict"] = json!(verdict(change, trace).name());
        shown["policy"] = json!(if is_reported { "report" } else { "enforce" });
        if change.action != Action::Update {
            shown["changed"] = author(&trace.of(&change.id, None));
        }
        for (field, shown) in change.fields.iter().zip(shown["fields"].as_array_mut().into_iter().flatten()) {
            if change.action == Action::Update {
                let changed = trace.of(&change.id, Some(&field.path));
                shown["verdict"] = json!(changed.verdict(change.action).name());
                shown["changed"] = author(&changed);
            }
        }
        shown
    };
    let changes: Vec<_> = report.differences().map(object).collect();
    let [drift, edit, unknown] = counts(report, trace);
    let mut drifted = json!({
        "apiVersion": "reconcile/v1",
        "kind": "Drift",
        "format_version": crate::plan::file::FORMAT_VERSION,
        "reconcile": crate::version::VERSION,
        "summary": {
            "drift": drift,
            "edit": edit,
            "unknown": unknown,
            "unchanged": plan.unchanged,
            "blocked": plan.blocked.len(),
        },
        "changes": changes,
        "blocked": document["blocked"].take(),
        "cost": {"reads": document["cost"]["reads"], "seconds": document["cost"]["seconds"]},
        "diagnostics": document["diagnostics"].take(),
    });
    if report.calls {
        drifted["calls"] = document["calls"].take();
    }
    drifted.into()
}

fn author(changed: &Changed) -> Value {
    json!({
        "what": changed.deed.name(),
        "by": changed.by,
        "at": changed.at,
        "was": changed.was,
        "source": changed.source.name(),
        "ours": changed.ours,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_show_their_zone() {
        let check = |at: &str, expected: &str| assert_eq!(time(at), expected);
        check("2026-11-20T14:02:03+08:00", "2026-11-20 14:02:03 +08:00");
        check("2026-11-20T14:02:03.25-03:30", "2026-11-20 14:02:03 -03:30");
        check("2026-11-20T14:02:03.5Z", "2026-11-20 14:02:03 UTC");
        check("2026-11-20 14:02:03", "2026-11-20 14:02:03 by the server's clock");
    }
}
