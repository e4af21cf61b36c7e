//! `reconcile drift`: the plan seen as drift. It only reads.

use std::time::Instant;

use super::{
    args::{DriftArgs, Format},
    exit,
    plan::{self, Prepared},
    signal::Stop,
    view::{Ui, drift, report::Report},
};
use crate::{
    engine::{author::trace, connection::Connection, observe::observe},
    plan::Plan,
};

/// Plans, asks who changed what differs, and shows it. Only readers are made: nothing here can write.
pub(super) async fn run(args: &DriftArgs, ui: &Ui) -> u8 {
    let stop = Stop::listen();
    let work = async {
        let prepared = match plan::prepare("drift", &args.inputs, &args.network, &args.output, false, None, ui).await {
            Ok(prepared) => prepared,
            Err(code) => return code,
        };
        let code = observe_and_plan(args, &prepared, ui).await;
        plan::end(prepared.connected).await;
        code
    };
    tokio::select! {
        code = work => code,
        () = stop.token().cancelled() => plan::interrupted("drift", &args.output.forms, &stop, ui),
    }
}

async fn observe_and_plan(args: &DriftArgs, prepared: &Prepared, ui: &Ui) -> u8 {
    let start = Instant::now();
    let readers: Vec<_> = prepared.connected.connections.iter().map(Connection::reader).collect();
    let work = async {
        let mut states = observe(&readers, &prepared.desired).await;
        let plan = crate::plan::plan(&states);
        let trace = trace(&readers, &mut states, &plan).await;
        (plan, trace)
    };
    let (plan, trace) = prepared.reading(ui, work).await;
    let report = Report {
        command: "drift",
        plan: Some(&plan),
        excesses: &[],
        acknowledged: false,
        outcomes: None,
        diagnostics: &prepared.loaded.diagnostics,
        errors: &[],
        sources: &prepared.loaded.sources,
        counters: Some(prepared.connected.shared.counters()),
        took: start.elapsed(),
        record: None,
        origins: None,
        document: None,
        calls: args.output.calls,
        trace: Some(&trace),
    };
    if args.output.forms.format == Format::Text {
        Ui::out(&drift::text(&report, ui));
    } else {
        Ui::out(&report.form(args.output.forms.format));
    }
    plan::blocked(&report, ui);
    plan::write(&report, &args.output.forms, exit_code(&plan, args.output.detailed_exitcode), ui)
}

/// What is only reported is a change here.
fn exit_code(plan: &Plan, detailed: bool) -> u8 {
    match plan::exit_code(plan, detailed) {
        exit::OK if detailed && !plan.reported.is_empty() => exit::CHANGES,
        code => code,
    }
}
