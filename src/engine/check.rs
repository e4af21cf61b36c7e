//! Checks documents against what the platforms define, without asking for their objects.

use std::collections::{BTreeMap, BTreeSet};

use super::{connection::Reader, observe};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, ObservedState},
    provider::{Facts, Freshness},
};

/// What a check found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong with documents.
    pub diagnostics: Vec<Diagnostic>,
    /// What could not be read, in words.
    pub unread: BTreeSet<String>,
}

/// Checks the documents of all targets. What is not selected is only read for those that refer to it.
pub async fn check(readers: &[Reader], desired: &[Desired]) -> Findings {
    let targets = readers.iter().map(|reader| check_target(reader, desired));
    let mut all = Findings::default();
    for findings in futures_util::future::join_all(targets).await {
        all.diagnostics.extend(findings.diagnostics);
        all.unread.extend(findings.unread);
    }
    all
}

async fn check_target(reader: &Reader, desired: &[Desired]) -> Findings {
    let target = reader.target();
    let all: Vec<&Desired> = desired.iter().filter(|one| one.target == target.name).collect();
    let mut findings = Findings::default();
    let mut facts = match reader.settings().await {
        Ok(settings) => Facts::new(Freshness::Replica, settings),
        Err(refusal) => {
            findings.unread.insert(format!("target {}: {refusal}", target.name));
            return findings;
        }
    };
    let mut open: BTreeMap<&str, Vec<&Desired>> = BTreeMap::new();
    for one in all.iter().filter(|one| one.selected) {
        open.entry(one.id.kind).or_default().push(one);
    }
    while !open.is_empty() {
        let mut ask = Vec::new();
        let mut done = Vec::new();
        for (name, group) in &open {
            let Some(kind) = target.platform.kind(name) else { continue };
            let observation = kind.check(group, &all, &facts);
            if observation.ask.is_empty() {
                done.push((*name, observation));
            } else {
                ask.extend(observation.ask);
            }
        }
        if ask.is_empty() && done.is_empty() {
            break;
        }
        for (name, observation) in done {
            open.remove(name);
            findings.diagnostics.extend(observation.remarks);
            for (_, observed) in observation.known {
                match observed {
                    ObservedState::Impossible(problem) | ObservedState::Ambiguous(problem) => {
                        findings.diagnostics.push(*problem)
                    }
                    ObservedState::Unknown(why) => {
                        findings.unread.insert(format!("target {}: {why}", target.name));
                    }
                    ObservedState::Found(_) | ObservedState::Absent { .. } | ObservedState::Needs(_) => {}
                }
            }
        }
        observe::round(reader, ask, &mut facts).await;
    }
    findings
}
