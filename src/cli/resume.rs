//! `reconcile resume`, and what `apply --resume` does first.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    args::{Network, ResumeArgs, TextOrJson},
    configuration,
    error::CommandError,
    execute::exit_status,
    exit::ExitStatus,
    inputs, journal, plan_file, planning, setup,
    signal::Stop,
    view::{Ui, progress::Progress, text},
};
use crate::{
    config::Config,
    diagnostic::Diagnostic,
    engine::connection::Connection,
    journal::{RunOrigin, record::SettledVerdict},
    plan::{
        file::{self, FORMAT_VERSION, Saved},
        integrity,
    },
    platform,
    run::{
        Surroundings,
        resume::{self, ResumedRun},
        unfinished::{UnfinishedRun, all_unfinished},
    },
    source::Sources,
    version::VERSION,
};

/// How unfinished runs are taken up.
pub(super) struct Resumption<'a> {
    pub(super) surroundings: &'a Surroundings,
    pub(super) config: Option<&'a Config>,
    pub(super) network: &'a Network,
    pub(super) verify: bool,
    pub(super) abandon: bool,
    pub(super) stop: &'a Stop,
    pub(super) ui: &'a Ui,
}

/// A run that was taken up, and how that ended.
pub(super) struct Taken {
    run: String,
    resumed: Option<ResumedRun>,
    status: ExitStatus,
    text: String,
}

/// Settles runs that were broken off, and finishes them.
pub(super) async fn run(args: &ResumeArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
    let config = configuration::read(args.config.as_deref(), &[".".into()], &mut sources, &mut diagnostics)
        .map_err(CommandError::failed)?;
    ui.diagnostics(&diagnostics, &sources);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(CommandError::failed("the configuration has errors: nothing was sent"));
    }
    let (named, lock_timeout) = (args.state.state_dir.as_deref(), args.state.lock_timeout);
    // Who resumes names a directory or means the user's own, also with a sandbox.
    let surroundings =
        journal::surroundings(RunOrigin::here("resume", &[]), named, false, lock_timeout, config.as_ref());
    let Some(store) = surroundings.store() else {
        return Err(CommandError::failed(
            "no home directory says where runs are recorded: name a directory by `--state-dir`",
        ));
    };
    let unreadable = |error: std::io::Error| CommandError::failed(format!("the recorded runs cannot be read: {error}"));
    let mut runs = all_unfinished(store).map_err(unreadable)?;
    if let Some(wanted) = &args.abandon {
        runs.retain(|run| run.id.starts_with(wanted.as_str()));
        if runs.len() != 1 {
            let is = if runs.is_empty() { "is no unfinished run" } else { "are several unfinished runs" };
            return Err(CommandError::failed(format!(
                "there {is} `{wanted}`; `reconcile resume` takes up all of them"
            )));
        }
    }
    if runs.is_empty() {
        ui.say("no run was broken off: nothing to resume");
    }
    let resumption = Resumption {
        surroundings: &surroundings,
        config: config.as_ref(),
        network: &args.network,
        verify: args.verify,
        abandon: args.abandon.is_some(),
        stop: &stop,
        ui,
    };
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for run in &runs {
        match resumption.take_up(run).await {
            Ok(taken) => {
                if args.output == TextOrJson::Text {
                    ui.out(&taken.text);
                }
                all.push(taken);
            }
            // The other runs are no worse for it.
            Err(error) => {
                error.print(ui);
                problems.extend(error.for_reports().iter().cloned());
            }
        }
        if stop.token().is_cancelled() {
            break;
        }
    }
    if args.output == TextOrJson::Json {
        ui.out(&format!("{:#}\n", document(&all, &problems)));
    }
    let status = all.iter().map(|taken| taken.status).find(|status| *status != ExitStatus::Success);
    let status = if problems.is_empty() { status.unwrap_or(ExitStatus::Success) } else { ExitStatus::Failed };
    Ok(stop.status().unwrap_or(status))
}

fn document(all: &[Taken], problems: &[String]) -> Value {
    let run = |taken: &Taken| {
        let settled = taken.resumed.iter().flat_map(|resumed| &resumed.settled).map(
            |settled| json!({"address": settled.address, "verdict": settled.verdict.name(), "message": settled.detail}),
        );
        let outcomes = taken.resumed.iter().flat_map(|resumed| &resumed.finished.outcomes);
        let outcomes = outcomes.map(|(id, outcome)| {
            json!({"address": id.to_string(), "outcome": outcome.name(), "message": text::trouble(outcome)})
        });
        json!({
            "run": taken.run,
            "settled": settled.collect::<Vec<_>>(),
            "outcomes": outcomes.collect::<Vec<_>>(),
            "exit_code": taken.status.code(),
        })
    };
    json!({
        "apiVersion": "reconcile/v1",
        "kind": "Resumption",
        "format_version": FORMAT_VERSION,
        "reconcile": VERSION,
        "runs": all.iter().map(run).collect::<Vec<_>>(),
        "errors": problems,
    })
}

impl Resumption<'_> {
    /// Takes up one run.
    pub(super) async fn take_up(&self, run: &UnfinishedRun) -> Result<Taken, CommandError> {
        let Self { surroundings, config, network, verify, abandon, stop, ui } = *self;
        let failed = |problem: String| CommandError::failed(format!("run {}: {problem}", run.id));
        ui.say(&run.describe());
        let mut sources = Sources::default();
        let saved = self.plan(run, &mut sources);
        if let (Err(reason), false) = (&saved, abandon) {
            return Err(failed(reason.clone()).hint(format!("`reconcile resume --abandon {}` closes it", run.id)));
        }
        let used: BTreeSet<Arc<str>> =
            saved.iter().flat_map(|saved| &saved.objects).map(|desired| desired.target.clone()).collect();
        let connected = setup::connect(network, config, &used).await.map_err(failed)?;
        let readers: Vec<_> = connected.connections.iter().map(Connection::reader).collect();
        let writers: Vec<_> = connected.connections.iter().map(Connection::writer).collect();
        let total = saved.as_ref().map_or(0, |saved| saved.plan.changes.len());
        let start = Instant::now();
        let progress = Progress::new(total, ui, &sources);
        let options = resume::Options {
            abandon,
            verify,
            timeout: network.timeout,
            listener: &|event| progress.show(event),
            stop: stop.token().clone(),
        };
        let known = saved.as_ref().map_err(String::as_str);
        let say = |sentence: &str| ui.say(sentence);
        let resumed = resume::resume(surroundings, run, known, (&readers, &writers), &options, &say).await;
        drop(progress);
        let resumed = resumed.map_err(|error| CommandError::failed(error.to_string()))?;
        let mut taken = Taken { run: run.id.clone(), resumed: None, status: ExitStatus::Success, text: String::new() };
        if let Some(resumed) = resumed {
            taken.status = match &saved {
                Ok(saved) if !abandon => exit_status(&saved.plan, &resumed.finished.outcomes, false),
                _ if resumed.settled.iter().any(|change| change.verdict == SettledVerdict::Unknown) => {
                    ExitStatus::Partial
                }
                _ => ExitStatus::Success,
            };
            if let Some(problem) = &resumed.finished.problem {
                ui.error(problem);
                taken.status = taken.status.unwritten();
            }
            let mut writer = text::Writer::new(ui, &sources);
            writer.settled(&run.id, &resumed.settled);
            if !abandon {
                writer.outcomes(&resumed.finished.outcomes, connected.shared.counters(), start.elapsed());
            }
            taken.text = writer.finish();
            taken.resumed = Some(resumed);
        }
        planning::end(connected).await;
        Ok(taken)
    }

    /// Reads the plan of a run and checks that its targets still lead where they led. The error says why it cannot be used.
    fn plan(&self, run: &UnfinishedRun, sources: &mut Sources) -> Result<Saved, String> {
        let Some(store) = self.surroundings.store() else { return Err("it is not recorded".to_owned()) };
        let text = resume::plan_text(store, &run.id)?;
        let saved = file::read(text, platform::ALL, sources)
            .map_err(|error| format!("its plan cannot be used: {}", inputs::explain(&error)))?;
        if let Some(problem) = integrity::contradiction(&saved.plan) {
            return Err(problem);
        }
        let used: BTreeSet<&Arc<str>> = saved.objects.iter().map(|desired| &desired.target).collect();
        let Some(config) = self.config else {
            return Err(format!("no {} says where its targets are: name one by `--config`", crate::config::FILE));
        };
        let setups: Vec<_> = saved.setups.iter().filter(|setup| used.contains(&setup.target)).cloned().collect();
        match plan_file::elsewhere(&setups, &plan_file::setups(config, &used, self.network.sandbox)) {
            Some(problem) => Err(problem),
            None => Ok(saved),
        }
    }
}

impl Taken {
    /// Returns true if nothing of the run is left open.
    pub(super) fn is_settled(&self) -> bool {
        self.resumed.as_ref().is_none_or(|resumed| resumed.finished.problem.is_none())
    }

    /// Returns what is said about it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}
