//! Checks documents against what the platforms define, without asking for their objects.

use std::collections::{BTreeMap, BTreeSet};

use super::{connection::Reader, drive::drive_all};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, ObservedState},
    provider::{Facts, Freshness, Kind, Observation},
};

/// The findings of a check.
#[derive(Debug, Default)]
pub struct Findings {
    /// Problems of documents.
    pub diagnostics: Vec<Diagnostic>,
    /// Reads that failed, in words.
    pub unread: BTreeSet<String>,
}

impl Findings {
    fn add(&mut self, observation: Observation, target: &str) {
        self.diagnostics.extend(observation.remarks);
        for (_, observed) in observation.known {
            match *observed {
                ObservedState::Impossible(problem) | ObservedState::Ambiguous(problem) => {
                    self.diagnostics.push(*problem);
                }
                ObservedState::Unknown(why) => drop(self.unread.insert(format!("target {target}: {why}"))),
                ObservedState::Found(_) | ObservedState::Absent { .. } | ObservedState::Needs(_) => {}
            }
        }
    }
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
    let all: Vec<&Desired> = desired.iter().filter(|desired| desired.target == target.name).collect();
    let mut findings = Findings::default();
    let mut facts = match reader.settings().await {
        Ok(settings) => Facts::new(Freshness::Replica, settings),
        Err(refusal) => {
            findings.unread.insert(format!("target {}: {refusal}", target.name));
            return findings;
        }
    };
    let mut by_kind: BTreeMap<&str, Vec<&Desired>> = BTreeMap::new();
    for document in all.iter().filter(|desired| desired.selected) {
        by_kind.entry(document.id.kind).or_default().push(document);
    }
    let kinds: Vec<_> = by_kind.keys().filter_map(|name| target.platform.kind(name)).collect();
    let check = |kind: &'static dyn Kind, facts: &mut Facts| kind.check(&by_kind[kind.name()], &all, facts);
    for (_, result) in drive_all(reader, kinds, &mut facts, check).await {
        match result {
            Ok(observation) => findings.add(observation, &target.name),
            Err(error) => drop(findings.unread.insert(format!("target {}: {error}", target.name))),
        }
    }
    findings
}
