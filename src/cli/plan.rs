//! `reconcile plan`, and the first half of `apply`.

use super::{
    against, args::PlanArgs, error::CommandError, exit::ExitStatus, plan_file, planning, signal::Stop, vanished,
    view::Ui,
};
use crate::plan::guard::{self};

/// Plans and shows the plan. Only readers are made: nothing here can write.
pub(super) async fn run(args: &PlanArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    let against = args.against.as_deref();
    let prepared = planning::prepare(&args.inputs, &args.network, args.prune, against, ui).await?;
    let planned_run = tokio::select! {
        planned_run = vanished::plan(&prepared, &args.safety, args.state_dir.as_deref(), ui) => planned_run,
        () = stop.token().cancelled() => return Err(planning::interrupted(&stop)),
    };
    let report = planning::report("plan", &prepared, &planned_run, &args.output);
    let saved = args.out.as_deref().map(|path| plan_file::save(&report, path)).transpose();
    planning::show(&report, &args.output, ui);
    planned_run.held.iter().for_each(|held| ui.say(&held.to_string()));
    against::guesses(&prepared.connected, ui);
    let mut status = match planning::refused(&planned_run, &args.safety) {
        Some(error) => {
            error.print(ui);
            error.status()
        }
        None => planning::exit_status(&planned_run.plan, args.output.detailed_exitcode),
    };
    match (saved, &args.out) {
        (Err(problem), _) => {
            ui.error(&problem);
            status = status.unwritten();
        }
        (Ok(_), Some(path)) => {
            let acknowledgement = guard::acknowledgement(&planned_run.plan, &planned_run.excesses);
            let pass =
                if planned_run.excesses.is_empty() { String::new() } else { format!(" --ack '{acknowledgement}'") };
            let path = path.display();
            ui.say(&format!("saved: `reconcile apply {path}{pass}` makes these changes and no others"));
        }
        (Ok(_), None) => {}
    }
    let status = report.save(&args.output.forms, status, ui);
    // The process ends soon: to free each text and object by itself would only take time.
    std::mem::forget(planned_run);
    planning::end(prepared.connected).await;
    std::mem::forget((prepared.loaded, prepared.desired));
    Ok(status)
}
