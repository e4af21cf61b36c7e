//! `reconcile drift`: the plan seen as drift. It only reads.

use std::{path::Path, time::Instant};

use super::{
    args::{DriftArgs, Format},
    exit,
    plan::{self, Prepared},
    signal::Stop,
    view::{
        Screen,
        drift::{self, Drift},
        json,
        report::Report,
    },
};
use crate::{
    engine::{author::trace, connection::Connection, observe::observe},
    plan::Plan,
};

/// Plans, asks who changed what differs, and shows it. Only readers are made: nothing here can write.
pub(super) async fn run(args: &DriftArgs, screen: &Screen) -> u8 {
    let stop = Stop::listen();
    let work = async {
        let prepared =
            match plan::prepare("drift", &args.inputs, &args.network, &args.output, false, None, screen).await {
                Ok(prepared) => prepared,
                Err(code) => return code,
            };
        let code = look(args, &prepared, screen).await;
        plan::end(prepared.connected, screen).await;
        code
    };
    tokio::select! {
        code = work => code,
        () = stop.token().cancelled() => plan::interrupted("drift", &args.output.forms, &stop, screen),
    }
}

async fn look(args: &DriftArgs, prepared: &Prepared, screen: &Screen) -> u8 {
    let start = Instant::now();
    let readers: Vec<_> = prepared.connected.connections.iter().map(Connection::reader).collect();
    let mut scenes = observe(&readers, &prepared.desired).await;
    let plan = crate::plan::plan(&scenes);
    let trace = trace(&readers, &mut scenes, &plan).await;
    let report = Report {
        command: "drift",
        plan: Some(&plan),
        excesses: &[],
        acknowledged: false,
        outcomes: None,
        diagnostics: &prepared.written.diagnostics,
        errors: &[],
        sources: &prepared.written.sources,
        tally: Some(prepared.connected.shared.tally()),
        took: start.elapsed(),
        record: None,
        origins: None,
        document: None,
        calls: args.output.calls,
    };
    let drift = Drift { report: &report, plan: &plan, trace: &trace };
    Screen::out(&form(&drift, args.output.forms.format, screen));
    plan::blocked(&report, screen);
    let mut code = exit_code(&plan, args.output.detailed_exitcode);
    for (format, path) in &args.output.forms.output_files {
        if let Err(problem) = write(path, &form(&drift, *format, &Screen::plain())) {
            screen.error(&problem);
            code = if matches!(code, exit::OK | exit::CHANGES) { exit::ERROR } else { code };
        }
    }
    code
}

/// Returns the drift in a form; those that know nothing of drift show the plan.
fn form(drift: &Drift<'_>, format: Format, screen: &Screen) -> String {
    match format {
        Format::Text => drift::text(drift, screen),
        Format::Json => json::pretty(&drift::json(drift)),
        other => drift.report.form(other),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// What is only reported is a change here.
fn exit_code(plan: &Plan, detailed: bool) -> u8 {
    match plan::exit_code(plan, detailed) {
        exit::OK if detailed && !plan.reported.is_empty() => exit::CHANGES,
        code => code,
    }
}
