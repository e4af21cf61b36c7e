//! `reconcile drift`: the plan seen as drift. It only reads.

use std::time::Instant;

use super::{
    args::{DriftArgs, Format},
    error::CommandError,
    exit::ExitStatus,
    planning::{self, Prepared},
    signal::Stop,
    view::{Ui, drift, report::Report},
};
use crate::{
    engine::{author::trace, connection::Connection, observe::observe},
    plan::Plan,
};

/// Plans, asks who changed what differs, and shows it. Only readers are made: nothing here can write.
pub(super) async fn run(args: &DriftArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    let work = async {
        let prepared = planning::prepare(&args.inputs, &args.network, false, None, ui).await?;
        let status = observe_and_plan(args, &prepared, ui).await;
        planning::end(prepared.connected).await;
        Ok(status)
    };
    tokio::select! {
        result = work => result,
        () = stop.token().cancelled() => Err(planning::interrupted(&stop)),
    }
}

async fn observe_and_plan(args: &DriftArgs, prepared: &Prepared, ui: &Ui) -> ExitStatus {
    let start = Instant::now();
    let readers: Vec<_> = prepared.connected.connections.iter().map(Connection::reader).collect();
    let work = async {
        let mut states = observe(&readers, &prepared.desired).await;
        let mut plan = crate::plan::plan(&states);
        prepared.loaded.name_variables(plan.diagnostics_mut());
        let trace = trace(&readers, &mut states, &plan).await;
        (plan, trace)
    };
    let (plan, trace) = prepared.reading(ui, work).await;
    let report = Report {
        plan: Some(&plan),
        diagnostics: &prepared.loaded.diagnostics,
        counters: Some(prepared.connected.shared.counters()),
        took: start.elapsed(),
        calls: args.output.calls,
        trace: Some(&trace),
        ..Report::new("drift", &prepared.loaded.sources)
    };
    if args.output.forms.format == Format::Text {
        ui.out(&drift::text(&report, ui));
    } else {
        ui.out(&report.form(args.output.forms.format));
    }
    planning::blocked(&report, ui);
    report.save(&args.output.forms, exit_status(&plan, args.output.detailed_exitcode), ui)
}

/// Returns how a run ended: here a change that is only reported counts as one.
fn exit_status(plan: &Plan, detailed: bool) -> ExitStatus {
    match planning::exit_status(plan, detailed) {
        ExitStatus::Success if detailed && !plan.reported.is_empty() => ExitStatus::Changes,
        status => status,
    }
}
