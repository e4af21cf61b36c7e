//! The JSON document as YAML.

use serde_json::Value;

/// Returns a document as YAML.
pub(super) fn text(document: &Value) -> String {
    // JSON is YAML too: whatever the writer cannot put more nicely still is the same document.
    serde_saphyr::to_string(document).unwrap_or_else(|_| format!("{document:#}\n"))
}
