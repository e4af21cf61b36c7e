//! The locks of an apply, and the unfinished runs that it finds.

use super::{args::ApplyArgs, error::CommandError, resume::Resumption, signal::Stop, view::Ui};
use crate::{
    config::Config,
    journal::TargetRecord,
    run::{self, Claim, RunError, Surroundings},
};

/// Locks the targets of an apply, where it is to send something. With `--resume`, unfinished runs on them are settled and
/// finished first.
pub(super) async fn claim(
    args: &ApplyArgs,
    config: Option<&Config>,
    surroundings: &Surroundings,
    targets: &[TargetRecord],
    (stop, ui): (&Stop, &Ui),
) -> Result<Option<Claim>, CommandError> {
    if args.dry_run {
        return Ok(None);
    }
    let failed = |error: RunError| CommandError::failed(error.to_string());
    let say = |sentence: &str| ui.say(sentence);
    let runs = match run::claim(surroundings, targets.to_vec(), &say).await {
        Err(RunError::Unfinished(runs)) if args.resume => runs,
        claimed => return claimed.map(Some).map_err(failed),
    };
    let (network, verify) = (&args.network, args.verify);
    let resumption = Resumption { surroundings, config, network, verify, abandon: false, stop, ui };
    for run in &runs {
        let taken = resumption.take_up(run).await?;
        ui.say(taken.text().trim_end());
        if !taken.is_settled() || stop.token().is_cancelled() {
            let problem = "the earlier run is not finished: nothing else was sent";
            return Err(CommandError::interrupted(stop, problem));
        }
    }
    run::claim(surroundings, targets.to_vec(), &say).await.map(Some).map_err(failed)
}
