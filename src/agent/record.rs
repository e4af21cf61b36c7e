//! The agent's runs: where they are recorded, and what becomes of those that were broken off.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    engine::connection::{Reader, Writer},
    journal::{
        self, RunOrigin, TargetRecord,
        lease::{Leases, LockError},
        target_record,
    },
    model::Desired,
    plan::{
        Plan, TargetState,
        file::{self, Setup},
        guard::Excess,
        part,
    },
    provider::Platform,
    run::{self, Claim, RunError, Surroundings, Work, resume, unfinished},
    source::Sources,
    version::VERSION,
};

use super::{Manifests, Settings};

/// Records plans and their changes. What cannot be recorded is not sent.
pub(super) struct Record {
    surroundings: Surroundings,
    setups: Vec<Setup>,
    config: Option<String>,
    paths: Vec<PathBuf>,
    platforms: &'static [&'static dyn Platform],
    /// How long a call of an agent that died may still be under way.
    timeout: Duration,
    /// Runs of this or an earlier agent may have been broken off.
    is_unsettled: AtomicBool,
    own_runs: OwnRuns,
}

/// Most runs of this agent that are remembered.
const REMEMBERED: usize = 1_000;

/// The runs of this agent, on all its targets.
pub(super) type OwnRuns = Arc<Mutex<BTreeSet<String>>>;

impl Record {
    /// Returns the record of an agent on manifests below some paths.
    pub(super) fn new(
        settings: &Settings,
        paths: &[PathBuf],
        platforms: &'static [&'static dyn Platform],
        timeout: Duration,
        own_runs: OwnRuns,
    ) -> Self {
        Self {
            surroundings: settings.surroundings.clone(),
            setups: settings.setups.clone(),
            config: settings.config.clone(),
            paths: paths.to_vec(),
            platforms,
            timeout,
            is_unsettled: AtomicBool::new(true),
            own_runs,
        }
    }

    /// Returns the surroundings, with the commit of this moment: the agent outlives many.
    pub(super) fn surroundings(&self) -> Surroundings {
        let origin = RunOrigin { commit: journal::commit(&self.paths), ..self.surroundings.origin.clone() };
        Surroundings { origin, ..self.surroundings.clone() }
    }

    /// Returns true if a run of a person, or of another program than an agent, has the lock on one of the targets.
    pub(super) fn is_in_use(&self) -> bool {
        let Some(locks) = &self.surroundings.locks else { return false };
        let command = |setup: &Setup| Leases::command_on(locks, &target_record(setup));
        self.setups.iter().filter_map(command).any(|command| command != self.surroundings.origin.command)
    }

    /// Returns the secrets that must not reach anybody.
    pub(super) fn secrets(&self) -> &[String] {
        &self.surroundings.secrets
    }

    /// Returns the newest run that is recorded.
    pub(super) fn newest(&self) -> Option<String> {
        self.surroundings.store()?.runs().ok()?.pop()
    }

    /// Returns true if no run but those of this agent, which are on other targets, came between two newest ones.
    pub(super) fn is_alone(&self, now: Option<&str>, before: Option<&str>) -> bool {
        if now == before {
            return true;
        }
        let runs = self.surroundings.store().and_then(|store| store.runs().ok()).unwrap_or_default();
        let own = self.own_runs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_between = |run: &&String| Some(run.as_str()) > before && Some(run.as_str()) <= now;
        runs.iter().filter(is_between).all(|run| own.contains(run))
    }

    fn remember(&self, run: &str) {
        let mut own = self.own_runs.lock().unwrap_or_else(PoisonError::into_inner);
        own.insert(run.to_owned());
        if own.len() > REMEMBERED {
            own.pop_first();
        }
    }

    /// Locks the targets of a plan. Returns with the locks those targets that are not free, each with the reason.
    pub(super) async fn claim(&self, plan: &Plan) -> Result<(Claim, BTreeMap<String, String>), String> {
        let (mut targets, mut taken) = (self.targets(plan), BTreeMap::new());
        loop {
            let claimed =
                run::claim(&self.surroundings, targets.clone(), &|sentence| tracing::warn!("{sentence}")).await;
            let error = match claimed {
                Ok(claim) => {
                    self.remember(claim.run());
                    return Ok((claim, taken));
                }
                Err(error) => error,
            };
            let count = targets.len();
            match &error {
                RunError::Unfinished(runs) => {
                    // Those of agents are settled in the next pass.
                    self.doubt();
                    targets.retain(|target| !runs.iter().any(|run| run.concerns(std::slice::from_ref(target))));
                }
                RunError::Locked(LockError::Held { target: held, .. }) => targets.retain(|target| target.name != *held),
                _ => {}
            }
            if targets.is_empty() || targets.len() == count {
                return Err(error.to_string());
            }
            let is_left = |setup: &&Setup| targets.iter().any(|target| *target.name == *setup.target);
            for setup in self.setups.iter().filter(|setup| !is_left(setup)) {
                taken.entry(setup.target.to_string()).or_insert_with(|| error.to_string());
            }
        }
    }

    /// Returns the targets on which a plan changes something.
    fn targets(&self, plan: &Plan) -> Vec<TargetRecord> {
        let is_used = |setup: &&Setup| plan.changes.iter().any(|change| change.target == setup.target);
        self.setups.iter().filter(is_used).map(target_record).collect()
    }

    /// Returns what the document of a plan rests on; nothing where none is kept.
    pub(super) fn inputs(&self, plan: &Plan, states: &[TargetState<'_>]) -> Option<file::write::Record> {
        self.surroundings.store()?;
        let changed: std::collections::HashSet<_> = plan.changes.iter().map(|change| &change.id).collect();
        Some(file::write::Record {
            objects: part(states, &|object: &Desired| changed.contains(&object.id)),
            manifests: file::write::ManifestFiles::default(),
            setups: self.setups.clone(),
            config: self.config.clone(),
        })
    }

    /// Notes that a plan exceeds limits.
    pub(super) fn refused(&self, plan: &Plan, states: &[TargetState<'_>], manifests: &Manifests, excesses: &[Excess]) {
        let inputs = self.inputs(plan, states);
        let document = document(plan, inputs.as_ref(), &manifests.sources);
        let manifests = [(String::new(), manifests.digest.clone())];
        let work = Work {
            plan,
            document: &document,
            manifests: &manifests,
            excesses,
            acknowledged: false,
            held: &[],
            override_reason: None,
            file: None,
        };
        let verdict = journal::Verdict::Refused;
        if let Err(problem) = run::record_refusal(&self.surroundings(), self.targets(plan), &work, verdict) {
            tracing::warn!("{problem}");
        }
    }

    /// Notes that a run may have been broken off.
    pub(super) fn doubt(&self) {
        self.is_unsettled.store(true, Ordering::Release);
    }

    /// Notes that the last run came to its end.
    pub(super) fn trust(&self) {
        self.is_unsettled.store(false, Ordering::Release);
    }

    /// Settles the runs of agents that were broken off, by reading. The next plan makes up for what they left undone.
    /// Those of others are left to people.
    pub(super) async fn settle(&self, readers: &[Reader], writers: &[Writer], stop: &CancellationToken) {
        if !self.is_unsettled.swap(false, Ordering::AcqRel) {
            return;
        }
        let Some(store) = self.surroundings.store() else { return };
        let targets: Vec<_> = self.setups.iter().map(target_record).collect();
        let runs = match unfinished::unfinished_on(store, &targets) {
            Ok(runs) => runs,
            Err(error) => {
                tracing::warn!("the runs of the state directory cannot be read: {error}");
                return;
            }
        };
        let own = |run: &&unfinished::UnfinishedRun| run.command() == Some(self.surroundings.origin.command.as_str());
        for run in runs.iter().filter(own) {
            let mut sources = Sources::default();
            let text = resume::plan_text(store, &run.id);
            let saved = text.and_then(|text| {
                file::read(text, self.platforms, &mut sources)
                    .map_err(|error| format!("its plan cannot be used: {error}"))
            });
            let options = resume::Options {
                abandon: true,
                verify: true,
                timeout: self.timeout,
                listener: &|_| {},
                stop: stop.clone(),
            };
            let saved = saved.as_ref().map_err(String::as_str);
            let say = |sentence: &str| tracing::warn!("{sentence}");
            match resume::resume(&self.surroundings(), run, saved, (readers, writers), &options, &say).await {
                Ok(Some(resumed)) => {
                    tracing::warn!("run {} was broken off and is settled by reading", run.id);
                    for change in &resumed.settled {
                        tracing::warn!(run = run.id, "{}: {}", change.address, change.verdict.name());
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!("{error}");
                    self.doubt();
                }
            }
        }
    }
}

/// Returns the document of a plan; an empty one where none is kept.
pub(super) fn document<'a>(
    plan: &'a Plan,
    inputs: Option<&'a file::write::Record>,
    sources: &'a Sources,
) -> file::Document<'a> {
    let Some(inputs) = inputs else { return file::Document::default() };
    let context = file::write::Context { version: VERSION, reads: 0, took: Duration::ZERO, diagnostics: &[] };
    let mut document = file::write::document(plan, &context, sources);
    file::write::add_record(&mut document, inputs, sources);
    document.add_digest();
    document
}
