//! A comment on a pull request: what is refused, what is wrong, and each change as a diff behind its name.
//!
//! All that manifests and servers say stands in fenced blocks or in `<code>`, where neither Markdown nor mentions nor
//! references to issues are looked for.

mod change;

use std::{collections::HashMap, fmt::Write as _};

use self::change::Writer;
use super::{
    drift,
    finding::Finder,
    follow_up::{follow_ups, headline},
    plain::{count, cut, line, visible},
    report::Report,
    text::things,
};
use crate::{
    diagnostic::{Diagnostic, Severity, render},
    model::{Action, Outcome, ResourceId},
    plan::{Cause, Plan, guard},
};

/// The first line of every report: what finds the comment again, to edit it instead of adding another one.
const MARK: &str = "<!-- reconcile -->";
/// Most characters, of the 65,536 that GitHub takes in a comment.
const MOST: usize = 65_000;
/// Characters kept for saying what was cut.
const TAIL: usize = 1_000;
/// Most characters of problems: there has to be room for changes.
const PROBLEMS: usize = 25_000;
/// Most characters of one value in one line.
const VALUE: usize = 500;
/// The maximum number of lines about the impact of a kind.
const TOTALS: usize = 12;
/// Up to so many changes are shown unfolded.
const OPEN: usize = 8;

/// Text that grows up to a number of characters.
struct Page {
    text: String,
    left: usize,
}

impl Page {
    /// Adds a block if there is room for it.
    fn put(&mut self, block: &str) -> bool {
        // As JavaScript counts characters: those outside the basic plane are two.
        let size = block.encode_utf16().count();
        let fits = size <= self.left;
        if fits {
            self.left -= size;
            self.text.push_str(block);
        }
        fits
    }

    /// Adds blocks as long as there is room, within `most` characters, and returns how many were added.
    fn put_all(&mut self, blocks: impl IntoIterator<Item = String>, most: usize) -> usize {
        let end = self.left.saturating_sub(most);
        blocks.into_iter().take_while(|block| self.left > end && self.put(block)).count()
    }
}

/// Returns the report of a run as Markdown.
pub(super) fn report(report: &Report<'_>) -> String {
    let finder = Finder::new(report.sources);
    let mut page = Page { text: String::new(), left: MOST - TAIL };
    let mut tail = String::new();
    page.put(&format!("{MARK}\n## {}\n\n", title(report)));
    if let Some(plan) = report.plan {
        page.put(&sum(plan, report));
        page.put(&limits(plan, report));
        page.put(&held(report));
        page.put(&steps(plan, report));
    }
    let problems = problems(report, &finder);
    let all = problems.len();
    let shown = page.put_all(problems, PROBLEMS);
    if shown < all {
        let _ = writeln!(tail, "**{} not shown.**\n", count(all - shown, "more problem"));
    }
    if let Some(plan) = report.plan {
        changes(plan, report, &finder, &mut page, &mut tail);
        if report.calls {
            calls(plan, &mut page, &mut tail);
        }
    }
    if !tail.is_empty() {
        // Text right behind a tag is not read as Markdown.
        let _ = write!(page.text, "\n{tail}");
    }
    page.text
}

fn title(report: &Report<'_>) -> String {
    let Some(plan) = report.plan else {
        let errors = report.errors.len() + report.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        return match errors {
            0 => format!("{}: valid", report.command),
            errors => format!("{}: {}", report.command, count(errors, "error")),
        };
    };
    if let Some(trace) = report.trace {
        let [drift, edit, unknown] = drift::counts(report, trace);
        return match drift + edit + unknown {
            0 => format!("{}: no differences", report.command),
            _ => format!("{}: {drift} drifted, {edit} edited, {unknown} unknown which", report.command),
        };
    }
    if let Some(outcomes) = report.outcomes {
        let applied = outcomes.iter().filter(|(_, outcome)| outcome.converged()).count();
        return format!("{}: {applied} of {} applied", report.command, count(plan.changes.len(), "change"));
    }
    if plan.is_empty() {
        return format!("{}: no changes", report.command);
    }
    let [create, update, delete] = [Action::Create, Action::Update, Action::Delete].map(|action| plan.count(action));
    let sync = match plan.count(Action::Sync) {
        0 => String::new(),
        count => format!(", {count} to sync"),
    };
    format!("{}: {create} to add, {update} to update, {delete} to delete{sync}", report.command)
}

fn sum(plan: &Plan, report: &Report<'_>) -> String {
    let some = |count: usize, what: &str| if count == 0 { String::new() } else { format!(", {count} {what}") };
    let blocked = match plan.blocked.len() {
        0 => String::new(),
        count => format!(", **{count} blocked**"),
    };
    let others = format!("{blocked}{}", some(plan.reported.len(), "reported only"));
    let calls = count(plan.calls.len(), "call");
    let reads = report.counters.map(|counters| count(counters.total(false), "read"));
    if report.trace.is_some() {
        let reads = reads.map(|reads| format!(" {reads}.")).unwrap_or_default();
        return format!(
            "{} unchanged{others}. Values go from the live to the declared one, as in a plan.{reads}\n\n",
            plan.unchanged
        );
    }
    let reads = reads.map(|reads| format!(", {reads}")).unwrap_or_default();
    let mut sum = format!("{} unchanged{others}. {calls}{reads}.\n\n", plan.unchanged);
    match plan.changes.iter().filter(|change| change.implicit).count() {
        0 => {}
        implicit => {
            let _ = writeln!(sum, "**{} of what no document declares.**\n", count(implicit, "delete"));
        }
    }
    sum.push_str(&totals(plan));
    if let Some(outcomes) = report.outcomes {
        let mut by_name: Vec<(&str, usize)> = Vec::new();
        for (_, outcome) in outcomes {
            match by_name.iter_mut().find(|(name, _)| *name == outcome.name()) {
                Some((_, count)) => *count += 1,
                None => by_name.push((outcome.name(), 1)),
            }
        }
        let by_name: Vec<_> =
            by_name.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
        let _ = writeln!(sum, "Outcomes: {}.\n", by_name.join(", "));
    }
    sum
}

/// Returns the impact of all changes of a kind; things that several share count once.
fn totals(plan: &Plan) -> String {
    let mut lines: Vec<String> = Vec::new();
    for of_kind in plan.impact.chunk_by(|total, next| (&total.target, total.kind) == (&next.target, next.kind)) {
        let (target, kind) = (&of_kind[0].target, of_kind[0].kind);
        if let Some(told) = things(of_kind.iter().map(|total| (total.unit, total.count))) {
            lines.push(format!("- impact of all changes of {kind} on {}: {told}\n", code(target)));
        }
    }
    let more = lines.len().saturating_sub(TOTALS);
    lines.truncate(TOTALS);
    if more > 0 {
        lines.push(format!("- {more} more\n"));
    }
    if lines.is_empty() { String::new() } else { lines.concat() + "\n" }
}

fn limits(plan: &Plan, report: &Report<'_>) -> String {
    if report.excesses.is_empty() {
        return String::new();
    }
    let lines: Vec<_> =
        report.excesses.iter().take(20).map(|excess| cut(&line(&excess.to_string()), VALUE).into_owned()).collect();
    let more = report.excesses.len() - lines.len();
    let more = if more > 0 { format!("\n{more} more") } else { String::new() };
    let lines = fenced("text", &format!("{}{more}", lines.join("\n")));
    if report.acknowledged {
        return format!("### Over a limit, acknowledged\n\n{lines}");
    }
    let pass = fenced("sh", &format!("--ack '{}'", guard::acknowledgement(plan, report.excesses)));
    format!("### Refused by a limit\n\n{lines}This lets the plan pass, and no other:\n\n{pass}")
}

fn held(report: &Report<'_>) -> String {
    let lines: Vec<_> = report.held.iter().map(|held| cut(&line(&held.to_string()), VALUE).into_owned()).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("### Held back for now\n\n{}", fenced("text", &lines.join("\n")))
}

/// Names the steps that are left to people.
fn steps(plan: &Plan, report: &Report<'_>) -> String {
    let steps = if report.trace.is_some() { Vec::new() } else { follow_ups(plan, report.outcomes) };
    if steps.is_empty() {
        return String::new();
    }
    let mut lines: Vec<_> = steps.iter().take(20).map(|step| cut(&line(step.text), VALUE).into_owned()).collect();
    if steps.len() > lines.len() {
        lines.push(format!("{} more", steps.len() - lines.len()));
    }
    format!("**{}:**\n\n{}", headline(steps.len()), fenced("text", &lines.join("\n")))
}

/// Everything that went wrong beside the changes, each in a block.
fn problems(report: &Report<'_>, finder: &Finder<'_>) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    for error in report.errors {
        blocks.push(fenced("text", &format!("error: {}", cut(&line(error), 4 * VALUE))));
    }
    let all: Vec<_> =
        report.diagnostics.iter().chain(report.plan.iter().flat_map(|plan| plan.diagnostics())).cloned().collect();
    let mut sorted = render::sorted(&all);
    sorted.sort_by_key(|diagnostic| diagnostic.severity == Severity::Warning);
    blocks.extend(sorted.into_iter().map(|problem| diagnostic(problem, report)));
    if let Some(plan) = report.plan {
        blocks.extend(left_alone(plan, finder));
    }
    if !blocks.is_empty() {
        blocks.insert(0, "### Problems\n\n".to_owned());
    }
    blocks
}

fn diagnostic(diagnostic: &Diagnostic, report: &Report<'_>) -> String {
    let text = render::text(std::slice::from_ref(diagnostic), report.sources, false, 100);
    fenced("text", &cut(&visible(&text), 8 * VALUE))
}

/// The objects that are blocked for the sake of something else; those with one cause in one block.
fn left_alone(plan: &Plan, finder: &Finder<'_>) -> Vec<String> {
    const TOGETHER: usize = 50;
    let lines = plan.blocked.iter().filter_map(|blocked| {
        let why = match &blocked.cause {
            Cause::Wrong(_) => return None,
            Cause::Unread(why) => format!("could not be read: {why}"),
            Cause::Needs(other) => format!("is blocked: it needs {other}"),
        };
        let text = cut(&line(&format!("{} {why}", blocked.id)), VALUE).into_owned();
        Some(format!("! {text}  {}", finder.words(&blocked.origin)))
    });
    let lines: Vec<_> = lines.collect();
    lines.chunks(TOGETHER).map(|lines| fenced("diff", &lines.join("\n"))).collect()
}

/// Adds what is to be changed, then what is only reported, as far as there is room.
fn changes(plan: &Plan, report: &Report<'_>, finder: &Finder<'_>, page: &mut Page, tail: &mut String) {
    let outcomes: HashMap<&ResourceId, &Outcome> =
        report.outcomes.unwrap_or_default().iter().map(|(id, outcome)| (id, outcome)).collect();
    let writer = Writer::new(report, finder, plan.changes.len() + plan.reported.len() <= OPEN);
    let head = if report.trace.is_some() { "### Differences\n\n" } else { "### Changes\n\n" };
    let shown = if !plan.changes.is_empty() && page.put(head) {
        page.put_all(plan.changes.iter().map(|change| writer.change(change, outcomes.get(&change.id).copied())), MOST)
    } else {
        0
    };
    let cut = &plan.changes[shown..];
    if !cut.is_empty() {
        let of = |action: Action| cut.iter().filter(|change| change.action == action).count();
        let _ = writeln!(
            tail,
            "**{} not shown**: {} to add, {} to update, {} to delete.\n",
            count(cut.len(), "more change"),
            of(Action::Create),
            of(Action::Update),
            of(Action::Delete),
        );
    }
    // No room for changes is none for these.
    let gap = if plan.changes.is_empty() { "" } else { "\n" };
    let is_room = cut.is_empty() && !plan.reported.is_empty();
    let shown = if is_room
        && page.put(&format!("{gap}### Reported only\n\nTheir policy is to report them: nothing is sent.\n\n"))
    {
        page.put_all(plan.reported.iter().map(|change| writer.change(change, None)), MOST)
    } else {
        0
    };
    let more = plan.reported.len() - shown;
    if more > 0 {
        let _ = writeln!(tail, "**{} not shown.**\n", count(more, "more reported difference"));
    }
}

fn calls(plan: &Plan, page: &mut Page, tail: &mut String) {
    let lines = plan.calls.iter().map(|call| {
        let arguments = cut(&line(&call.request.arguments.to_string()), 2 * VALUE).into_owned();
        let serves: Vec<_> = call.serves.iter().take(5).map(ToString::to_string).collect();
        let more = if call.serves.len() > 5 { ", …" } else { "" };
        let whom = cut(&line(&format!("{}{more} on {}", serves.join(", "), call.target)), VALUE).into_owned();
        format!("# {whom}\n{} {arguments}", call.request.operation)
    });
    // One block: the fence has to be longer than any in it, so it is made of what fits.
    let mut shown: Vec<String> = Vec::new();
    let mut left = page.left.saturating_sub(200);
    for line in lines {
        let size = line.encode_utf16().count() + 1;
        if size > left {
            break;
        }
        left -= size;
        shown.push(line);
    }
    let block = fenced("text", &shown.join("\n"));
    let is_there =
        !shown.is_empty() && page.put(&format!("\n<details><summary>Calls</summary>\n\n{block}</details>\n"));
    let more = plan.calls.len() - if is_there { shown.len() } else { 0 };
    if more > 0 {
        let _ = writeln!(tail, "**{} not shown.**\n", count(more, "more call"));
    }
}

/// Returns a text between fences that are longer than any run of backticks in it.
fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}{language}\n{}\n{fence}\n\n", text.trim_end_matches('\n'))
}

/// Returns a short text as HTML shows code.
fn code(text: &str) -> String {
    let text = line(text);
    let text = cut(&text, 200).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<code>{}</code>", text.replace('"', "&quot;"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_fence_ends_where_it_should(text in "(?s:[`~a\n\r<]|\\PC){0,80}") {
            let block = fenced("text", &visible(&text));
            let fence = block.chars().take_while(|letter| *letter == '`').count();
            let ends = |line: &&str| line.len() >= fence && line.chars().all(|letter| letter == '`');
            prop_assert_eq!(block.lines().filter(ends).count(), 1, "{}", block);
            let end = format!("\n{}\n\n", "`".repeat(fence));
            prop_assert!(block.ends_with(&end));
        }

        #[test]
        fn code_holds_no_markup_and_is_one_line(text in any::<String>()) {
            let shown = code(&text);
            let inside = shown.strip_prefix("<code>").and_then(|rest| rest.strip_suffix("</code>"));
            let inside = inside.expect("it is code");
            prop_assert!(!inside.contains(['<', '>', '"', '\n', '\r']), "{}", shown);
            prop_assert!(shown.encode_utf16().count() < 200 * 14 + 60);
        }
    }
}
