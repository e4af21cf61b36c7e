//! Documents and reports of this program, and those of others that lie about beside manifests: none of them is one.

use serde_json::Value;

use crate::{
    provider::Platform,
    yaml::{Content, Node, Typed},
};

/// The prefix of `apiVersion` in documents that this program writes, such as saved plans.
const OURS: &str = "reconcile/";

/// The kinds of documents of our own.
const OUR_KINDS: [&str; 6] = ["Config", "Plan", "Snapshot", "Validation", "Drift", "Explanation"];

/// Returns true if a document belongs to the program itself: a configuration, a plan, a report, or the state of a
/// sandbox, whose keys are the names of platforms. A manifest that only claims to must not be left out in silence, least
/// of all one that was to change what the base says.
pub(super) fn is_ours(root: &Node<'_>, lies_over: bool, platforms: &[&dyn Platform]) -> bool {
    let is_state = !root.entries().is_empty()
        && root.entries().iter().all(|(key, _)| platforms.iter().any(|platform| platform.name() == key.key()));
    if is_state || is_report(root) {
        return true;
    }
    let text = |key: &str| root.get(key).and_then(Node::as_text);
    let kind = text("kind").unwrap_or_default();
    let is_kind = if lies_over {
        OUR_KINDS.contains(&kind)
    } else {
        platforms.iter().all(|platform| platform.kind(kind).is_none())
    };
    is_kind && text("apiVersion").is_some_and(|version| version.starts_with(OURS))
}

/// Returns true if a document is a report in a form that others define, which says nothing of who wrote it: counts and
/// code quality for GitLab, SARIF, a JSON Schema. A manifest has `apiVersion`, `kind` and `spec`; none of them does.
fn is_report(root: &Node<'_>) -> bool {
    let has = |node: &Node<'_>, keys: &[&str]| keys.iter().all(|key| node.get(key).is_some());
    let schema = |word: &str| root.get("$schema").and_then(Node::as_text).is_some_and(|schema| schema.contains(word));
    match &root.content {
        // A run without a plan has no counts.
        Content::Mapping(entries) if entries.is_empty() => true,
        Content::Mapping(entries) => {
            let counts = ["create", "update", "delete"];
            let is_count = |value: &Node<'_>| matches!(value.typed(), Some(Typed::Int(_)));
            (entries.len() == counts.len() && has(root, &counts) && entries.iter().all(|(_, value)| is_count(value)))
                || (schema("sarif") && has(root, &["version", "runs"]))
                || schema("json-schema.org")
        }
        Content::Sequence(items) => {
            items.iter().all(|item| has(item, &["description", "check_name", "fingerprint", "location"]))
        }
        Content::Scalar(_) => false,
    }
}

/// Returns true if a text is a stream of events, one JSON document a line, of which the last may be cut off.
pub(super) fn is_stream(text: &str) -> bool {
    let first = text.lines().next().filter(|line| line.starts_with("{\"type\":"));
    let event = first.and_then(|line| serde_json::from_str::<Value>(line).ok());
    event.is_some_and(|event| event["@timestamp"].is_string() && event["type"].is_string())
}
