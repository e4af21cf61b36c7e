//! SARIF 2.1.0, as code scanning reads it.

use std::borrow::Cow;

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use super::{
    finding::{FOLLOW_UP, Finding, Location, REPORTED, Rank, findings},
    plain::count,
    report::Report,
};
use crate::version;

/// Most results that GitHub shows of one run.
const MOST: usize = 5_000;
/// Most bytes of all results; GitHub takes 10 MB, and counts them packed.
const BYTES: usize = 9_000_000;

/// Returns the log of a run: one result for each finding that has a place, a notification for each other.
pub(super) fn report(report: &Report<'_>) -> String {
    let found = findings(report);
    let (placed, others): (Vec<_>, Vec<_>) = found.iter().partition(|finding| finding.at.is_some());
    let rules = rules(&placed);
    let mut size = 0;
    let mut fits = |value: &Value| {
        size += value.to_string().len() + 1;
        size <= BYTES
    };
    let all = others.iter().take(MOST).map(|finding| notification(level(finding.rank), &finding.message));
    let mut notes: Vec<Value> = all.take_while(&mut fits).collect();
    let results: Vec<Value> =
        placed.iter().take(MOST).map(|finding| result(finding, &rules)).take_while(&mut fits).collect();
    let more = found.len() - notes.len() - results.len();
    if more > 0 {
        let message = format!("{} left out: the file would be too large", count(more, "more result"));
        notes.push(notification("warning", &message));
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "reconcile",
                "version": version::LINE,
                "semanticVersion": version::VERSION,
                "rules": rules.iter().map(|(id, (rank, about))| json!({
                    "id": id,
                    "shortDescription": {"text": about},
                    "defaultConfiguration": {"level": level(*rank)},
                })).collect::<Vec<_>>(),
            }},
            "automationDetails": {"id": format!("reconcile/{}/", report.command)},
            "invocations": [{
                "executionSuccessful": found.iter().all(|finding| finding.rank != Rank::Error),
                "toolExecutionNotifications": notes,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log}\n")
}

/// The rules that results are instances of, with their rank and what they are about.
type Rules = BTreeMap<Cow<'static, str>, (Rank, String)>;

fn rules(found: &[&Finding]) -> Rules {
    let mut rules = Rules::new();
    for finding in found {
        rules.entry(finding.rule.clone()).or_insert_with(|| (finding.rank, about(&finding.rule)));
    }
    rules
}

/// Says what a rule is about.
fn about(rule: &str) -> String {
    match rule {
        "create" => "An object that manifests declare does not exist".to_owned(),
        "update" => "Fields of an object differ from what manifests declare".to_owned(),
        "delete" => "An object is there that is not to be".to_owned(),
        FOLLOW_UP => "A step that is left to people once changes are made".to_owned(),
        REPORTED => "What differs and is left so: its policy is to report it".to_owned(),
        "drift" => "A live value that somebody else changed".to_owned(),
        "edit" => "A manifest that says something new".to_owned(),
        "drift-or-edit" => "What differs, and nothing tells which side of it moved".to_owned(),
        "unread" => "An object could not be read".to_owned(),
        "blocked" => "An object is blocked, because what it needs is wrong or unknown".to_owned(),
        "stale" | "dropped" | "overtaken" | "not_applied" | "refused" | "unknown" | "skipped" | "unsent"
        | "interrupted" => {
            format!("A change was not made: {rule}")
        }
        code => {
            let of = match code.as_bytes().first() {
                Some(b'Y') => "the YAML itself",
                Some(b'M') => "manifests",
                Some(b'C') => "the configuration",
                _ => "what the platform told",
            };
            format!("{code}, a diagnostic about {of}")
        }
    }
}

fn level(rank: Rank) -> &'static str {
    match rank {
        Rank::Error => "error",
        Rank::Warning => "warning",
        Rank::Notice => "note",
    }
}

fn notification(level: &str, message: &str) -> Value {
    json!({"level": level, "message": {"text": message}})
}

fn result(finding: &Finding, rules: &Rules) -> Value {
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": rules.keys().position(|rule| *rule == finding.rule),
        "level": level(finding.rank),
        "message": {"text": finding.message},
        "locations": finding.at.iter().map(|at| json!({"physicalLocation": physical(at)})).collect::<Vec<_>>(),
        "partialFingerprints": {"reconcile/v1": finding.fingerprint},
    });
    if !finding.fields.is_empty() {
        let related =
            finding.fields.iter().enumerate().map(
                |(id, (path, at))| json!({"id": id + 1, "message": {"text": path}, "physicalLocation": physical(at)}),
            );
        result["relatedLocations"] = related.collect();
    }
    result
}

fn physical(at: &Location) -> Value {
    json!({
        "artifactLocation": {"uri": uri(&at.file)},
        "region": {"startLine": at.line, "startColumn": at.column},
    })
}

/// Returns a path as a reference in a URI.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(byte.into()),
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    if path.starts_with('/') { format!("file://{uri}") } else { uri }
}
