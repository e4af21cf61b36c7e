//! `reconcile rehearse`.

use std::{path::Path, sync::Arc};

use super::{
    args::{RehearseArgs, TextOrJson},
    configuration,
    error::CommandError,
    exit::ExitStatus,
    inputs, plan_file,
    view::{Ui, rehearsal},
};
use crate::{
    config::Config,
    diagnostic::Diagnostic,
    plan::{file::Saved, integrity},
    platform,
    rehearse::{Configured, Rehearsal, SimulatedTarget},
    snapshot::Snapshot,
    source::Sources,
};

/// Runs a saved plan through fault schedules and says how they ended.
pub(super) async fn run(args: &RehearseArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let mut sources = Sources::default();
    let saved = plan_file::read(&args.plan, &mut sources).map_err(CommandError::failed)?;
    if let Some(problem) = integrity::contradiction(&saved.plan) {
        return Err(CommandError::failed(format!("{}: {problem}: plan again", args.plan.display())));
    }
    if saved.plan.changes.is_empty() {
        return Err(CommandError::failed(format!("{}: the plan has no changes to rehearse", args.plan.display())));
    }
    let snapshot = snapshot(&args.against)?;
    let config = config(args, &mut sources, ui)?;
    let targets = targets(&saved, &snapshot, config.as_ref()).map_err(CommandError::failed)?;
    let (seeds, seed, start) = (args.seeds, args.seed, snapshot.taken);
    // It takes all processors, and waits for nothing.
    let work = tokio::task::spawn_blocking(move || {
        let rehearsal = Rehearsal::new(saved, targets, start)?;
        let endings = match seed {
            Some(seed) => vec![rehearsal.run(seed, true)],
            None => rehearsal.run_all(seeds),
        };
        Ok((rehearsal, endings))
    });
    let result = work.await.unwrap_or_else(|error| Err(format!("the rehearsal broke off: {error}")));
    let (rehearsal, endings) = result.map_err(|why: String| {
        CommandError::failed(format!(
            "{} cannot be rehearsed against {}: {why}",
            args.plan.display(),
            args.against.display()
        ))
    })?;
    let command = format!("reconcile rehearse {} --against {}", args.plan.display(), args.against.display());
    ui.out(&match args.output {
        TextOrJson::Json => rehearsal::json(&rehearsal, &endings, seed.is_some()),
        TextOrJson::Text if seed.is_some() => rehearsal::replay(&endings),
        TextOrJson::Text => rehearsal::text(&rehearsal, &endings, &command),
    });
    let is_good = endings.iter().all(crate::rehearse::Ending::is_good);
    Ok(if is_good { ExitStatus::Success } else { ExitStatus::Failed })
}

fn snapshot(path: &Path) -> Result<Snapshot, CommandError> {
    let shown = path.display();
    let failed = |why: String| CommandError::failed(format!("cannot use {shown}: {why}"));
    let text =
        std::fs::read_to_string(path).map_err(|error| CommandError::failed(format!("cannot read {shown}: {error}")))?;
    let snapshot = Snapshot::from_text(&text).map_err(|error| failed(error.to_string()))?;
    if snapshot.missing.is_empty() {
        return Ok(snapshot);
    }
    Err(failed(format!("the snapshot is incomplete: it lacks {}", snapshot.missing.join(", "))))
}

/// Reads the configuration, which says by which access each target is reached.
fn config(args: &RehearseArgs, sources: &mut Sources, ui: &Ui) -> Result<Option<Config>, CommandError> {
    let mut diagnostics = Vec::new();
    let paths = [args.plan.clone()];
    let config =
        configuration::read(args.config.as_deref(), &paths, sources, &mut diagnostics).map_err(CommandError::failed)?;
    ui.diagnostics(&diagnostics, sources);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(CommandError::failed("the configuration has errors"));
    }
    Ok(config)
}

/// Returns the simulated targets of a plan.
fn targets(saved: &Saved, snapshot: &Snapshot, config: Option<&Config>) -> Result<Vec<SimulatedTarget>, String> {
    let mut targets = Vec::new();
    for setup in &saved.setups {
        let name = &setup.target;
        let platform = platform::ALL.iter().copied().find(|platform| platform.name() == &*setup.platform);
        let platform = platform.ok_or_else(|| format!("there is no platform `{}`", setup.platform))?;
        let kept = snapshot.targets.get(&**name);
        let kept = kept.ok_or_else(|| format!("the snapshot does not hold the target `{name}`"))?;
        if kept.platform != platform.name() {
            return Err(format!("the snapshot holds the target `{name}` as one of {}", kept.platform));
        }
        let target = config.and_then(|config| config.targets.iter().find(|target| target.name == *name));
        let configured = target.map_or_else(Configured::default, |target| Configured {
            settings: inputs::literals(target),
            concurrency: target.limits.concurrency,
            rate: target.limits.requests_per_second,
        });
        targets.push(SimulatedTarget::new(Arc::clone(name), platform, kept, snapshot.taken, configured)?);
    }
    Ok(targets)
}
