//! `reconcile apply`.

use super::{
    args::ApplyArgs,
    claim::claim,
    error::CommandError,
    execute::{ApplyJob, execute},
    exit::ExitStatus,
    journal, plan_file, planning, saved,
    signal::Stop,
    vanished,
    view::Ui,
};
use crate::{engine::apply, journal::target_record};

/// Plans, asks, applies, verifies.
pub(super) async fn run(args: &ApplyArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    if let Some(path) = plan_file::given(&args.inputs).map_err(CommandError::usage)? {
        return saved::apply(args, &path, ui).await;
    }
    let stop = Stop::listen();
    let prepared = planning::prepare(&args.inputs, &args.network, args.prune, None, ui).await?;
    let config = prepared.loaded.config.as_ref();
    let surroundings = journal::of_apply(args, config);
    let used = prepared.used();
    let setups = config.map(|config| plan_file::setups(config, &used.iter().collect(), args.network.sandbox));
    let targets: Vec<_> = setups.iter().flatten().map(target_record).collect();
    let claim = claim(args, config, &surroundings, &targets, (&stop, ui)).await?;
    let planned_run = tokio::select! {
        planned_run = vanished::plan(&prepared, &args.safety, args.state.state_dir.as_deref(), ui) => planned_run,
        () = stop.token().cancelled() => return Err(planning::interrupted(&stop)),
    };
    let report = planning::report("apply", &prepared, &planned_run, &args.output);
    let apply_job = ApplyJob {
        planned_run: &planned_run,
        report,
        settled: Vec::new(),
        fresh_until: planned_run.start + apply::TRUST,
        file: None,
        surroundings: &surroundings,
        claim,
        targets,
    };
    let status = execute(args, &prepared.connected, apply_job, &stop, ui).await;
    drop(planned_run);
    planning::end(prepared.connected).await;
    Ok(stop.status().unwrap_or(status))
}
