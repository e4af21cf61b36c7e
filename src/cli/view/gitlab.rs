//! The two reports that GitLab's merge requests show: counts of a plan, and findings as code quality.

use serde_json::{Value, json};

use super::{
    finding::{Finding, Location, Rank, findings},
    plain::count,
    report::Report,
};
use crate::model::Action;

/// Most findings in one report, and most bytes of it: GitLab reads the whole file for each view of a merge request.
const MOST: usize = 5_000;
const BYTES: usize = 10_000_000;

/// Returns the counts of a plan, as `artifacts:reports:terraform` takes them. A run that has no plan has no counts:
/// GitLab says of an empty object that the report could not be made.
pub(super) fn counts(report: &Report<'_>) -> String {
    let counts = report.plan.map_or_else(
        || json!({}),
        |plan| {
            json!({
                "create": plan.count(Action::Create),
                "update": plan.count(Action::Update),
                "delete": plan.count(Action::Delete),
            })
        },
    );
    format!("{counts}\n")
}

/// Returns the findings of a run, as `artifacts:reports:codequality` takes them.
pub(super) fn quality(report: &Report<'_>) -> String {
    let found = findings(report);
    let mut issues: Vec<String> = Vec::new();
    let mut size = 0;
    for finding in found.iter().take(MOST) {
        let issue = issue(finding).to_string();
        size += issue.len() + 2;
        if size > BYTES {
            break;
        }
        issues.push(issue);
    }
    let more = found.len() - issues.len();
    if more > 0 {
        let message = format!("{} not shown here", count(more, "finding").replacen(' ', " more ", 1));
        issues.push(
            json!({
                "description": message,
                "check_name": "reconcile/cut",
                "fingerprint": "reconcile-cut",
                "severity": "info",
                "location": location(None),
            })
            .to_string(),
        );
    }
    format!("[{}]\n", issues.join(",\n"))
}

fn issue(finding: &Finding) -> Value {
    json!({
        "description": finding.message,
        "check_name": format!("reconcile/{}", finding.rule),
        "fingerprint": finding.fingerprint,
        "severity": match finding.rank {
            Rank::Error => "critical",
            Rank::Warning => "minor",
            Rank::Notice => "info",
        },
        "location": location(finding.at.as_ref()),
    })
}

/// Each issue has to have a place: what is about the whole run lies in the configuration.
fn location(at: Option<&Location>) -> Value {
    let (path, line) = at.map_or((crate::config::FILE, 1), |at| (at.file.as_str(), at.line));
    json!({"path": path, "lines": {"begin": line}})
}
