//! The roll-out of a template to its modules: which of them, in which waves, and how fast.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Json, Live, Refusal},
    platform::bk_cmdb::codes,
    provider::{Rollout, RolloutPace, SyncProgress},
    source::Located,
    yaml::{self, Content, Form, Key, Node, Section, Shape, Typed},
};

/// The key of the roll-out, in `spec` and among what finds a part.
pub(super) const ROLLOUT: &str = "rollout";
/// The key under which a part keeps the name of its module, `set/module`.
pub(super) const MODULE: &str = "module";
/// The fields of a live part: is it in sync, the state of its newest task, how many hosts it has, and why it cannot be
/// synced.
pub(super) const IN_SYNC: &str = "inSync";
pub(super) const STATUS: &str = "status";
pub(super) const HOSTS: &str = "hosts";
pub(super) const UNAVAILABLE: &str = "unavailable";
/// States of tasks that are not over (contract "topology", section 5).
const WORKING: &[&str] = &["new", "waiting", "executing"];
/// State of a task that failed. The server gives no reason.
const FAILURE: &str = "failure";

/// The waves of a roll-out that names none.
const WAVES: &str = r#"[1, "25%", "100%"]"#;
/// The pause of a roll-out that names none.
const PAUSE: Duration = Duration::from_secs(30);
/// The timeout of a roll-out that names none.
const TIMEOUT: Duration = Duration::from_mins(15);
/// The longest pause and timeout.
const LONGEST: Duration = Duration::from_hours(24);

/// The keys of `rollout`.
pub(super) static FORM: Form = Form::new(&[
    Key::new(
        "modules",
        Shape::AnyOf(&[Shape::OneOf(&["all"]), Shape::List(&Shape::Name, 1)]),
        "`all`, or a list of modules as `set/module`; `*` stands for any characters but `/`",
    )
    .required(),
    Key::new(
        "waves",
        Shape::List(&Shape::AnyOf(&[Shape::Text, Shape::Mapping(&WAVE)]), 1),
        "how many modules are synced with each wave and those before it: a count, a share of those that need a sync, or \
         `{match: \"prod-*/nginx\"}` for those of that name; what is left is one more wave. `[1, 25%, 100%]` if left out",
    ),
    Key::new("pause", Shape::Duration, "the wait between two waves, up to `24h`; `30s` if left out"),
    Key::new("timeout", Shape::Duration, "the longest wait for the tasks of one wave, up to `24h`; `15m` if left out"),
]);

/// The keys of a wave that is told by a pattern.
static WAVE: Form =
    Form::new(&[Key::new("match", Shape::Name, "the modules of the wave, as `set/module` with `*`").required()]);

/// Reads `rollout`. Durations are kept in milliseconds.
pub(super) fn decode(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Located<Json>> {
    let section = Section::of(node, "`rollout`", &FORM, diagnostics)?;
    let before = diagnostics.len();
    let modules = section.require("modules", diagnostics).map(|node| modules(node, diagnostics)).unwrap_or_default();
    let waves = match section.get("waves") {
        Some(node) => waves(node, diagnostics),
        None => serde_json::from_str(WAVES).unwrap_or_default(),
    };
    let mut duration = |key, default: Duration, least: Duration| {
        let duration = section.get(key).map_or(Some(default), |node| duration(node, key, least, diagnostics));
        duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    };
    let (pause, timeout) = (duration("pause", PAUSE, Duration::ZERO), duration("timeout", TIMEOUT, MIN_TIMEOUT));
    section.finish(diagnostics);
    let is_sound = !diagnostics[before..].iter().any(Diagnostic::is_error);
    let rollout = json!({"modules": modules, "waves": waves, "pause": pause, "timeout": timeout});
    is_sound.then(|| Located::new(Json::from(rollout), node.origin.clone()))
}

/// The shortest timeout: the server looks for tasks every 5 s.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

fn duration(node: &Node<'_>, key: &str, least: Duration, diagnostics: &mut Vec<Diagnostic>) -> Option<Duration> {
    let text = yaml::text(node, key, diagnostics)?;
    let duration = yaml::duration(text).filter(|duration| (least..=LONGEST).contains(duration));
    if duration.is_none() {
        let message = format!("`{key}` cannot be `{text}`");
        let hint = "write a duration up to 24h, such as 30s or 15m";
        diagnostics.push(Diagnostic::error("M312", message, &node.origin).hint(hint));
    }
    duration
}

/// Reads which modules are rolled out: `all`, or names and patterns.
fn modules(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Value {
    match &node.content {
        Content::Scalar(scalar) if scalar.text == "all" => json!("all"),
        Content::Sequence(items) if !items.is_empty() => {
            items.iter().filter_map(|item| pattern(item, diagnostics)).collect()
        }
        _ => {
            let message = format!("`modules` has to be `all` or a list of modules, not {}", node.describe());
            let hint = "name modules by their sets, such as [prod-1/nginx, \"prod-*/nginx\"]";
            diagnostics.push(Diagnostic::error("M312", message, &node.origin).hint(hint));
            Value::Null
        }
    }
}

/// Reads the name of a module or a pattern of such names.
fn pattern(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let text = yaml::text(node, "a module", diagnostics)?;
    let is_name = text.split_once('/').is_some_and(|(set, module)| !set.is_empty() && !module.is_empty());
    if !is_name {
        let message = format!("`{text}` names no module");
        let hint = "write the set and the module, such as prod-1/nginx; `*` stands for any characters";
        diagnostics.push(Diagnostic::error("M312", message, &node.origin).hint(hint));
    }
    is_name.then(|| text.to_owned())
}

fn waves(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Value> {
    let Some(items) = yaml::list(node, "`waves`", diagnostics) else { return Vec::new() };
    if items.is_empty() {
        diagnostics.push(Diagnostic::error("M312", "`waves` is empty", &node.origin));
    }
    let (mut count, mut share) = (0, 0);
    items.iter().filter_map(|item| wave(item, &mut count, &mut share, diagnostics)).collect()
}

/// Reads one wave: how many modules are synced with it and those before it, as a count or a share, or which modules it
/// takes.
fn wave(node: &Node<'_>, count: &mut i64, share: &mut i64, diagnostics: &mut Vec<Diagnostic>) -> Option<Value> {
    let wrong = |message: String| {
        let hint = "a wave is a count, a share such as 25%, or {match: \"prod-*/nginx\"}";
        Diagnostic::error("M312", message, &node.origin).hint(hint)
    };
    if let Content::Mapping(_) = &node.content {
        let section = Section::of(node, "a wave", &WAVE, diagnostics)?;
        let pattern = section.require("match", diagnostics).and_then(|node| pattern(node, diagnostics));
        section.finish(diagnostics);
        return pattern.map(|pattern| json!({"match": pattern}));
    }
    let (last, most, number) = match node.typed() {
        Some(Typed::Int(number)) => (count, i64::MAX, Some(number)),
        Some(Typed::Text(text)) => (share, 100, text.strip_suffix('%').and_then(|number| number.parse().ok())),
        _ => (count, i64::MAX, None),
    };
    let written = node.as_text().unwrap_or_default();
    match number {
        Some(number) if number <= 0 || number > most => {
            diagnostics.push(wrong(format!("a wave cannot be `{written}`")));
            None
        }
        Some(number) if number <= *last => {
            diagnostics.push(wrong(format!("the wave `{written}` takes no more modules than the one before it")));
            None
        }
        Some(number) => {
            *last = number;
            Some(if most == 100 { json!(format!("{number}%")) } else { json!(number) })
        }
        None => {
            diagnostics.push(wrong(format!("a wave cannot be {}", node.describe())));
            None
        }
    }
}

/// Returns true if a state is one of a task that is not over.
pub(super) fn is_working(status: &str) -> bool {
    WORKING.contains(&status)
}

/// Returns true if a module is rolled out.
pub(super) fn takes(rollout: &Json, module: &str) -> bool {
    let modules = &rollout["modules"];
    modules.as_str() == Some("all") || modules.items().iter().any(|pattern| is_match(pattern, module))
}

/// Returns the names among the modules of a roll-out, without patterns.
pub(super) fn names(rollout: &Json) -> impl Iterator<Item = &str> {
    rollout["modules"].items().iter().filter_map(Json::as_str).filter(|name| !name.contains('*'))
}

fn is_match(pattern: &Json, module: &str) -> bool {
    pattern.as_str().is_some_and(|pattern| fits(pattern, module))
}

/// Returns true if a text fits a pattern, in which `*` stands for any characters but `/`.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            let end = text.find('/').unwrap_or(text.len());
            (0..=end).filter(|at| text.is_char_boundary(*at)).any(|at| fits(rest, &text[at..]))
        }),
    }
}

/// Returns the number of each module's wave; `waves` as [`decode`] left them.
fn numbers(waves: &[Json], modules: &[&str]) -> Vec<usize> {
    let mut taken: Vec<Option<usize>> = vec![None; modules.len()];
    let mut number = 0;
    for wave in waves {
        let open = taken.iter().filter(|wave| wave.is_none()).count();
        let done = modules.len() - open;
        let share = wave.as_str().and_then(|text| text.strip_suffix('%')?.parse::<usize>().ok());
        let most = wave.as_i64().map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let most = most.or(share.map(|share| (modules.len() * share).div_ceil(100)));
        let mut left = most.map_or(usize::MAX, |most| most.saturating_sub(done));
        for (at, module) in modules.iter().enumerate() {
            let is_meant = taken[at].is_none() && left > 0 && (most.is_some() || is_match(&wave["match"], module));
            if is_meant {
                taken[at] = Some(number);
                left -= 1;
            }
        }
        number += usize::from(taken.contains(&Some(number)));
    }
    // Modules that no wave takes are the last one.
    taken.into_iter().map(|wave| wave.unwrap_or(number)).collect()
}

impl Rollout for super::ServiceTemplate {
    fn is_part(&self, desired: &Desired) -> bool {
        desired.id.part.is_some()
    }

    fn waves(&self, parts: &[&Desired]) -> Vec<usize> {
        let waves = parts.first().and_then(|part| part.locate(ROLLOUT)).map(|rollout| rollout["waves"].items());
        let names: Vec<&str> =
            parts.iter().map(|part| part.locate(MODULE).and_then(Json::as_str).unwrap_or_default()).collect();
        numbers(waves.unwrap_or_default(), &names)
    }

    fn is_in_use(&self, live: &Live) -> bool {
        // An unknown number may be any.
        live.field(HOSTS).as_i64() != Some(0)
    }

    fn unavailable(&self, live: &Live) -> Option<String> {
        live.field(UNAVAILABLE).as_str().map(str::to_owned)
    }

    fn progress(&self, live: &Live) -> SyncProgress {
        match live.field(STATUS).as_str() {
            Some(status) if is_working(status) => SyncProgress::Working(status.to_owned()),
            Some(FAILURE) => {
                SyncProgress::Failed("its task ended as `failure`, for which the server gives no reason".to_owned())
            }
            _ => SyncProgress::Idle,
        }
    }

    fn pace(&self, desired: &Desired) -> RolloutPace {
        let rollout = desired.locate(ROLLOUT).unwrap_or(const { &Json::NULL });
        let duration = |key: &str, default| rollout[key].as_u64().map_or(default, Duration::from_millis);
        RolloutPace { pause: duration("pause", PAUSE), timeout: duration("timeout", TIMEOUT) }
    }

    fn is_busy(&self, refusal: &Refusal) -> bool {
        refusal.number() == Some(codes::TASK_RUNS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern: &str, text: &str, expected: bool| assert_eq!(fits(pattern, text), expected, "{pattern}");
        check("prod/web", "prod/web", true);
        check("prod/web", "prod/web2", false);
        check("prod-*/web", "prod-1/web", true);
        check("prod-*/web", "prod-/web", true);
        check("prod-*/web", "test-1/web", false);
        check("*/*", "a/b", true);
        check("*", "a/b", false);
        check("机*/w*b", "机房/web", true);
    }

    #[test]
    fn waves_take_modules_in_order() {
        let check = |waves: Value, modules: &[&str], expected: &[usize]| {
            let list: Json = waves.clone().into();
            assert_eq!(numbers(list.items(), modules), expected, "{waves}");
        };
        let five = &["a/1", "a/2", "b/1", "b/2", "c/1"];
        check(json!([1, "25%", "100%"]), five, &[0, 1, 2, 2, 2]);
        check(json!([1, "25%", "100%"]), &["a/1"], &[0]);
        check(json!([1, "25%", "100%"]), &["a/1", "a/2"], &[0, 1]);
        check(json!(["100%"]), five, &[0; 5]);
        check(json!([2]), five, &[0, 0, 1, 1, 1]);
        check(json!([{"match": "b/*"}, "50%", "100%"]), five, &[1, 2, 0, 0, 2]);
        check(json!([{"match": "z/*"}, {"match": "c/*"}]), five, &[1, 1, 1, 1, 0]);
        check(json!(["1%"]), five, &[0, 1, 1, 1, 1]);
        check(json!([1]), &[], &[]);
    }
}
