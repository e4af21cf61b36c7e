//! The command line.

mod adopt;
mod apply;
mod blame;
mod choice;
mod completion;
mod drift;
mod examples;
mod explain;
mod export;
mod files;
mod forms;
mod history;
mod import;
mod inputs;
mod logging;
mod lsp;
mod man;
mod network;
mod output;
mod parse;
mod place;
mod plan;
mod rehearse;
mod render;
mod resume;
mod safety;
mod sandbox;
mod schema;
mod selection;
mod show;
mod snapshot;
mod state;
mod undo;
mod validate;
mod version;
mod watch;

use std::borrow::Cow;

use clap::{Parser, Subcommand};

pub(super) use adopt::AdoptArgs;
pub(super) use apply::ApplyArgs;
pub(super) use blame::BlameArgs;
pub(super) use choice::{Color, DataFormat, Document, Format, LogFormat, Mode, PartialStale, RenderFormat, TextOrJson};
pub(super) use completion::CompletionArgs;
pub(super) use drift::DriftArgs;
pub(super) use explain::ExplainArgs;
pub(super) use export::{ExportArgs, Layout};
pub(super) use forms::{Forms, Stream};
pub(super) use history::HistoryArgs;
pub(super) use import::ImportArgs;
pub(super) use inputs::Inputs;
pub(super) use logging::LoggingArgs;
pub(super) use lsp::LspArgs;
pub(super) use man::ManArgs;
pub(super) use network::Network;
pub(super) use output::Output;
pub(super) use place::Place;
pub(super) use plan::PlanArgs;
pub(super) use rehearse::RehearseArgs;
pub(super) use render::RenderArgs;
pub(super) use resume::ResumeArgs;
pub(super) use safety::SafetyArgs;
pub(super) use sandbox::SandboxArgs;
pub(super) use schema::SchemaArgs;
pub(super) use selection::Selection;
pub(super) use show::ShowArgs;
pub(super) use snapshot::SnapshotArgs;
pub(super) use undo::UndoArgs;
pub(super) use validate::ValidateArgs;
pub(super) use version::VersionArgs;
pub(super) use watch::WatchArgs;

use super::exit;
use crate::version::LINE;

/// Declarative reconciliation for BlueKing CMDB and Huawei Cloud ROMA Connect
///
/// Describe in YAML how objects should be. `reconcile` reads what is live, shows the difference, and sends only the
/// calls that are needed.
#[derive(Debug, Parser)]
#[command(name = "reconcile", version = LINE, after_long_help = exit::HELP, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten, next_help_heading = "Logging")]
    pub(super) talk: LoggingArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check manifests, offline unless --online is given
    ///
    /// Parses the manifests and checks everything that needs no server: schema, references, rules of values. Needs
    /// neither network nor credentials. With --online or --against it also reads the definitions of models and reports fields and
    /// values that they do not take, and businesses, sets and templates that do not exist.
    #[command(after_long_help = examples::VALIDATE)]
    Validate(ValidateArgs),
    /// Print the manifests after variables and overlays, with the origins of values
    ///
    /// Needs neither network nor credentials. What it prints declares the same as PATH. Values that hold a secret of the
    /// configuration are masked.
    #[command(after_long_help = examples::RENDER)]
    Render(RenderArgs),
    /// Show the differences between the manifests and the live state
    ///
    /// Reads the live state and prints the changes, with the place in the manifests that causes each. It cannot
    /// write: the client it gets has no such method.
    #[command(after_long_help = examples::PLAN)]
    Plan(PlanArgs),
    /// Explain what a line of a manifest, an overlay or a values file decides
    ///
    /// Names the objects and their fields, the sources of their values, the live values, and the call that would be sent.
    /// Reads the live state like plan. A place that decides nothing is an error (1).
    #[command(after_long_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Plan, ask, and make the changes
    ///
    /// Sends one call for each object that differs, in an order the server accepts, and reads each object back. Given a
    /// file that `plan --out` saved, it sends the calls of that plan and no others, and only as long as their objects
    /// are as they were when it was made.
    #[command(after_long_help = examples::APPLY)]
    Apply(ApplyArgs),
    /// Settle and finish runs that were broken off
    ///
    /// Reads what became of each call that was under way when the program was killed, and records it. Then sends what was
    /// not sent, and no call a second time that was carried out. With --abandon one run is only settled.
    #[command(after_long_help = examples::RESUME)]
    Resume(ResumeArgs),
    /// Show a saved plan
    #[command(after_long_help = examples::SHOW)]
    Show(ShowArgs),
    /// Show the differences, which side changed, and who changed it
    ///
    /// Plans, and asks the platforms' records who set each value that differs, and when: `edit` is a manifest that
    /// changed, `drift` a live value that somebody else changed. Like `plan`, it cannot write.
    #[command(after_long_help = examples::DRIFT)]
    Drift(DriftArgs),
    /// Write drifted live values into the lines that decide them
    ///
    /// Plans, asks who changed what differs, and prints a patch with a commit message that names them. A line that decides
    /// several values, or a variable that several values share, is refused. Like `plan`, it cannot write to a platform.
    #[command(after_long_help = examples::ADOPT)]
    Adopt(AdoptArgs),
    /// Show who changed what the lines of a file declare
    ///
    /// Names for each managed line the last change that somebody else made and the last one of your own, with author, time
    /// and run: `unknown` where the platform keeps nothing. Like `plan`, it cannot write to a platform.
    #[command(after_long_help = examples::BLAME)]
    Blame(BlameArgs),
    /// Keep running: plan and apply on every change of the manifests and from time to time
    ///
    /// Prints `listening on http://ADDR` on stderr and serves /healthz, /readyz and /metrics there. A broken
    /// document holds back only itself: its last good version stays in force. Ends with 0 on SIGTERM and SIGINT.
    #[command(after_long_help = examples::WATCH)]
    Watch(WatchArgs),
    /// List the runs of `apply` and `watch`, or show one
    ///
    /// Reads the journals of the state directory, and nothing else. Without RUN it lists the runs, the newest first; with
    /// it, each change of that run: its fields before and after, the calls that were sent for it, and its outcome.
    #[command(after_long_help = examples::HISTORY)]
    History(HistoryArgs),
    /// Plan how to put back what a run changed
    ///
    /// Reads the live state and writes a saved plan for `show` and `apply`. It puts back each field that still has the
    /// value that the run wrote. Objects that the run created are deleted, those that it deleted are made again, with
    /// other ids. What was changed since is named and left as it is. Like `plan`, it cannot write to a platform.
    #[command(after_long_help = examples::UNDO)]
    Undo(UndoArgs),
    /// Save the live state that the manifests touch to a file, for plans without credentials
    ///
    /// Reads whole scopes: models, sets, service templates, associations, app instances. `plan --against FILE` plans from
    /// it as a live plan would have at that moment, also for documents that are added later.
    #[command(after_long_help = examples::SNAPSHOT)]
    Snapshot(SnapshotArgs),
    /// Write live objects as manifests whose plan is empty
    ///
    /// Lists the objects of kinds, by model, business, set, service template, association, name and values, and writes a
    /// document for each, with its ids as comments. What cannot be declared as it is stored is left out and named. Like
    /// `plan`, it cannot write to a platform.
    #[command(after_long_help = examples::EXPORT)]
    Export(ExportArgs),
    /// Write a spreadsheet that the page of BlueKing CMDB exported as manifests
    ///
    /// Reads the instances of a model and their associations, checks each cell against the definitions of the models, and
    /// names the sheet, row and column of what is wrong. Like `plan`, it cannot write to a platform.
    #[command(after_long_help = examples::IMPORT)]
    Import(ImportArgs),
    /// Run a saved plan against simulated servers that fail, and show how it ends
    ///
    /// Loads simulated servers with a snapshot and applies the plan to them once for each seed: requests and answers get
    /// lost, servers are slow or refuse, somebody else writes, the run is killed and resumed. Nothing leaves this process
    /// and no credentials are needed. Ends with 1 if a schedule ended badly.
    #[command(after_long_help = examples::REHEARSE)]
    Rehearse(RehearseArgs),
    /// Serve both platforms, simulated in memory, on a loopback port
    ///
    /// The first line on stdout is `sandbox listening on http://ADDR`. Ends with 0 on SIGTERM and SIGINT.
    #[command(after_long_help = examples::SANDBOX)]
    Sandbox(SandboxArgs),
    /// Print the JSON Schema of manifests, of the configuration or of a report
    ///
    /// Reports are the documents that `-o json`, `-o yaml` and `--events` write. With --online or --against, the schema of
    /// manifests has the fields, types and options of live models, too.
    #[command(after_long_help = examples::SCHEMA)]
    Schema(SchemaArgs),
    /// Serve an editor: the Language Server Protocol on stdin and stdout
    ///
    /// Reports mistakes while they are typed, completes keys and names, describes keys, finds and renames documents. With
    /// a snapshot it also shows live values and adopts them. Sends nothing to a server and needs no credentials.
    #[command(after_long_help = examples::LSP)]
    Lsp(LspArgs),
    /// Print the script that completes commands and flags in a shell
    #[command(after_long_help = examples::COMPLETION)]
    Completion(CompletionArgs),
    /// Write the man pages of the program and of each command to a directory
    #[command(after_long_help = examples::MAN)]
    Man(ManArgs),
    /// Print the version, its commit with the date, and the target
    #[command(after_long_help = examples::VERSION)]
    Version(VersionArgs),
}

impl Command {
    /// Returns the command's name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Validate(_) => "validate",
            Self::Plan(_) => "plan",
            Self::Render(_) => "render",
            Self::Explain(_) => "explain",
            Self::Apply(_) => "apply",
            Self::Resume(_) => "resume",
            Self::Show(_) => "show",
            Self::Drift(_) => "drift",
            Self::Adopt(_) => "adopt",
            Self::Blame(_) => "blame",
            Self::Watch(_) => "watch",
            Self::History(_) => "history",
            Self::Undo(_) => "undo",
            Self::Snapshot(_) => "snapshot",
            Self::Export(_) => "export",
            Self::Import(_) => "import",
            Self::Rehearse(_) => "rehearse",
            Self::Sandbox(_) => "sandbox",
            Self::Schema(_) => "schema",
            Self::Lsp(_) => "lsp",
            Self::Completion(_) => "completion",
            Self::Man(_) => "man",
            Self::Version(_) => "version",
        }
    }

    /// Returns the forms of the command's reports; `None` if it has none.
    pub(super) fn forms(&self) -> Option<Cow<'_, Forms>> {
        match self {
            Self::Validate(args) => Some(Cow::Borrowed(&args.forms)),
            Self::Plan(args) => Some(Cow::Borrowed(&args.output.forms)),
            Self::Apply(args) => Some(Cow::Borrowed(&args.output.forms)),
            Self::Show(args) => Some(Cow::Borrowed(&args.forms)),
            Self::Undo(args) => Some(Cow::Borrowed(&args.forms)),
            Self::Drift(args) => Some(Cow::Borrowed(&args.output.forms)),
            Self::Explain(args) => {
                let format = match args.output {
                    TextOrJson::Text => Format::Text,
                    TextOrJson::Json => Format::Json,
                };
                Some(Cow::Owned(Forms { format, output_files: Vec::new() }))
            }
            Self::Resume(_)
            | Self::Render(_)
            | Self::History(_)
            | Self::Snapshot(_)
            | Self::Export(_)
            | Self::Import(_)
            | Self::Adopt(_)
            | Self::Blame(_)
            | Self::Rehearse(_)
            | Self::Watch(_)
            | Self::Sandbox(_)
            | Self::Schema(_)
            | Self::Lsp(_)
            | Self::Completion(_)
            | Self::Man(_)
            | Self::Version(_) => None,
        }
    }

    /// Returns where the command streams what happens, and its name; `None` if it does not.
    pub(super) fn stream(&self) -> Option<(&Stream, &'static str)> {
        match self {
            Self::Validate(args) => Some((&args.stream, "validate")),
            Self::Plan(args) => Some((&args.output.stream, "plan")),
            Self::Apply(args) => Some((&args.output.stream, "apply")),
            Self::Drift(args) => Some((&args.output.stream, "drift")),
            Self::Resume(_)
            | Self::Render(_)
            | Self::Show(_)
            | Self::Explain(_)
            | Self::History(_)
            | Self::Undo(_)
            | Self::Snapshot(_)
            | Self::Export(_)
            | Self::Import(_)
            | Self::Adopt(_)
            | Self::Blame(_)
            | Self::Rehearse(_)
            | Self::Watch(_)
            | Self::Sandbox(_)
            | Self::Schema(_)
            | Self::Lsp(_)
            | Self::Completion(_)
            | Self::Man(_)
            | Self::Version(_) => None,
        }
    }
}
