//! The command line: one file a subcommand, all formatting for people in `view`.

mod adopt;
mod against;
mod apply;
mod args;
mod blame;
mod call_provenance;
mod claim;
mod completion;
mod configuration;
mod drift;
mod error;
mod execute;
pub mod exit;
mod explain;
mod export;
mod history;
mod import;
mod inputs;
mod journal;
mod lsp;
mod man;
mod plan;
mod plan_file;
mod planning;
mod rehearse;
mod render;
mod resume;
mod rewrite;
mod sandbox;
mod saved;
mod schema;
mod selection;
mod setup;
mod signal;
mod snapshot;
mod state;
mod undo;
mod validate;
mod vanished;
mod version;
mod view;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use exit::ExitStatus;
use view::{Ui, events::Events};

/// Runs the program with arguments, the first of which is its name, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let command = set_only(Cli::command());
    let parsed = command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Success }.into();
        }
    };
    let mut ui = Ui::new(&cli.talk);
    // A long-running program says what it does; the others show it.
    let talkative = matches!(cli.command, Command::Watch(_));
    view::log::install(&cli.talk, talkative, &ui);
    if let Some(problem) = cli.command.unwritable() {
        ui.error(&problem);
        return ExitStatus::Failed.into();
    }
    if let Some((stream, command)) = cli.command.stream()
        && let Some(path) = &stream.events
    {
        match Events::create(path, command) {
            Ok(events) => ui.events = events,
            Err(problem) => {
                ui.error(&problem);
                return ExitStatus::Failed.into();
            }
        }
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.error(&format!("the runtime cannot start: {error}"));
            return ExitStatus::Failed.into();
        }
    };
    let result = runtime.block_on(async {
        match &cli.command {
            Command::Validate(args) => validate::run(args, &ui).await,
            Command::Plan(args) => plan::run(args, &ui).await,
            Command::Render(args) => render::run(args, &ui),
            Command::Explain(args) => explain::run(args, &ui).await,
            Command::Apply(args) => apply::run(args, &ui).await,
            Command::Resume(args) => resume::run(args, &ui).await,
            Command::Show(args) => saved::show(args, &ui),
            Command::Drift(args) => drift::run(args, &ui).await,
            Command::Adopt(args) => adopt::run(args, &ui).await,
            Command::Blame(args) => blame::run(args, &ui).await,
            Command::Watch(args) => watch::run(args, &ui).await,
            Command::History(args) => history::run(args, &ui),
            Command::Undo(args) => undo::run(args, &ui).await,
            Command::Snapshot(args) => snapshot::run(args, &ui).await,
            Command::Export(args) => export::run(args, &ui).await,
            Command::Import(args) => import::run(args, &ui).await,
            Command::Rehearse(args) => rehearse::run(args, &ui).await,
            Command::Sandbox(args) => sandbox::run(args, &ui).await,
            Command::Schema(args) => schema::run(args, &ui).await,
            Command::Lsp(args) => lsp::run(args),
            Command::Completion(args) => Ok(completion::run(args, &ui)),
            Command::Man(args) => man::run(args, &ui),
            Command::Version(args) => Ok(version::run(args, &ui)),
        }
    });
    // A thread that still reads a secret or a file must not hold up the end.
    runtime.shutdown_background();
    let status = result.unwrap_or_else(|error| error.end(cli.command.name(), cli.command.forms().as_deref(), &ui));
    let status = ui.ended(status);
    let status = match ui.events.end(status) {
        Err(problem) => {
            ui.error(&problem);
            status.unwritten()
        }
        Ok(()) => status,
    };
    status.into()
}

/// Takes empty environment variables for unset ones: CI systems pass on what nobody set as an empty text.
fn set_only(mut command: clap::Command) -> clap::Command {
    let is_empty = |argument: &clap::Arg| {
        argument.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()))
    };
    let unset: Vec<_> = command.get_arguments().filter(|arg| is_empty(arg)).map(|arg| arg.get_id().clone()).collect();
    for id in unset {
        command = command.mut_arg(id, |argument| argument.env(clap::builder::Resettable::Reset));
    }
    let names: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, set_only))
}
