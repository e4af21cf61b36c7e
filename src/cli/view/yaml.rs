//! The JSON document as YAML.

use super::report::Report;

/// Returns the document of a run as YAML.
pub(super) fn report(report: &Report<'_>) -> String {
    let document = report.document();
    // JSON is YAML too: whatever the writer cannot put more nicely still is the same document.
    serde_saphyr::to_string(&document).unwrap_or_else(|_| format!("{document:#}\n"))
}
