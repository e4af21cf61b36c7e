//! The command line.

mod choice;
mod files;
mod forms;
mod place;

use std::{borrow::Cow, path::PathBuf};

use clap::{Args, Parser, Subcommand};

pub(super) use choice::{Color, DataFormat, Document, Format, LogFormat, Mode, PartialStale, TextOrJson};
pub(super) use forms::{Forms, Stream};
pub(super) use place::Place;

use super::exit;
use crate::{config, plan::guard::Limit, platform, version, yaml};

/// Declarative reconciliation for BlueKing CMDB and Huawei Cloud ROMA Connect
///
/// Describe in YAML how objects should be. `reconcile` reads what is live, shows the difference, and sends only the
/// calls that are needed.
#[derive(Debug, Parser)]
#[command(name = "reconcile", version = version::LINE, after_long_help = exit::HELP, max_term_width = 100)]
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
    /// neither network nor credentials. With --online it also reads the definitions of models and reports fields and
    /// values that they do not take, and businesses, sets and templates that do not exist.
    Validate(ValidateArgs),
    /// Show the differences between the manifests and the live state
    ///
    /// Reads the live state and prints the changes, with the place in the manifests that causes each. It cannot
    /// write: the client it gets has no such method.
    Plan(PlanArgs),
    /// Explain what a line of a manifest, an overlay or a values file decides
    ///
    /// Names the objects and their fields, the sources of their values, the live values, and the call that would be sent.
    /// Reads the live state like plan. A place that decides nothing is an error (1).
    Explain(ExplainArgs),
    /// Plan, ask, and make the changes
    ///
    /// Sends one call for each object that differs, in an order the server accepts, and reads each object back. Given a
    /// file that `plan --out` saved, it sends the calls of that plan and no others, and only as long as their objects
    /// are as they were when it was made.
    Apply(ApplyArgs),
    /// Settle and finish runs that were broken off
    ///
    /// Reads what became of each call that was under way when the program was killed, and records it. Then sends what was
    /// not sent, and no call a second time that was carried out. With --abandon one run is only settled.
    Resume(ResumeArgs),
    /// Show a saved plan
    Show(ShowArgs),
    /// Show the differences, which side changed, and who changed it
    ///
    /// Plans, and asks the platforms' records who set each value that differs, and when: `edit` is a manifest that
    /// changed, `drift` a live value that somebody else changed. Like `plan`, it cannot write.
    Drift(DriftArgs),
    /// Keep running: plan and apply on every change of the manifests and from time to time
    ///
    /// Prints `listening on http://ADDR` on stderr and serves /healthz, /readyz and /metrics there. A broken
    /// document holds back only itself: its last good version stays in force. Ends with 0 on SIGTERM and SIGINT.
    Watch(WatchArgs),
    /// List the runs of `apply` and `watch`, or show one
    ///
    /// Reads the journals of the state directory, and nothing else. Without RUN it lists the runs, the newest first; with
    /// it, each change of that run: its fields before and after, the calls that were sent for it, and its outcome.
    History(HistoryArgs),
    /// Plan how to put back what a run changed
    ///
    /// Reads the live state and writes a saved plan for `show` and `apply`. It puts back each field that still has the
    /// value that the run wrote. Objects that the run created are deleted, those that it deleted are made again, with
    /// other ids. What was changed since is named and left as it is. Like `plan`, it cannot write to a platform.
    Undo(UndoArgs),
    /// Save the live state that the manifests touch to a file, for plans without credentials
    ///
    /// Reads whole scopes: models, sets, service templates, associations, app instances. `plan --against FILE` plans from
    /// it as a live plan would have at that moment, also for documents that are added later.
    Snapshot(SnapshotArgs),
    /// Run a saved plan against simulated servers that fail, and show how it ends
    ///
    /// Loads simulated servers with a snapshot and applies the plan to them once for each seed: requests and answers get
    /// lost, servers are slow or refuse, somebody else writes, the run is killed and resumed. Nothing leaves this process
    /// and no credentials are needed. Ends with 1 if a schedule ended badly.
    Rehearse(RehearseArgs),
    /// Serve both platforms, simulated in memory, on a loopback port
    ///
    /// The first line on stdout is `sandbox listening on http://ADDR`. Ends with 0 on SIGTERM and SIGINT.
    Sandbox(SandboxArgs),
    /// Print the JSON Schema of the documents that `-o json`, `-o yaml` and `--events` write
    Schema(SchemaArgs),
    /// Print the version, the commit it was built from, and that commit's date
    Version(VersionArgs),
}

impl Command {
    /// Returns the command's name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Validate(_) => "validate",
            Self::Plan(_) => "plan",
            Self::Explain(_) => "explain",
            Self::Apply(_) => "apply",
            Self::Resume(_) => "resume",
            Self::Show(_) => "show",
            Self::Drift(_) => "drift",
            Self::Watch(_) => "watch",
            Self::History(_) => "history",
            Self::Undo(_) => "undo",
            Self::Snapshot(_) => "snapshot",
            Self::Rehearse(_) => "rehearse",
            Self::Sandbox(_) => "sandbox",
            Self::Schema(_) => "schema",
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
            | Self::History(_)
            | Self::Snapshot(_)
            | Self::Rehearse(_)
            | Self::Watch(_)
            | Self::Sandbox(_)
            | Self::Schema(_)
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
            | Self::Show(_)
            | Self::Explain(_)
            | Self::History(_)
            | Self::Undo(_)
            | Self::Snapshot(_)
            | Self::Rehearse(_)
            | Self::Watch(_)
            | Self::Sandbox(_)
            | Self::Schema(_)
            | Self::Version(_) => None,
        }
    }
}

/// Parses a duration of the command line.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    config::duration(text).ok_or_else(|| format!("`{text}` is no duration such as 30s or 5m"))
}

/// Reads the environment variable of a flag. Anything that is no plain yes or no is refused: a flag such as
/// `--auto-approve` must not be set by a slip.
fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("it is neither true nor false".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "it has to be a whole number above 0".to_owned())
}

fn above_zero(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "it has to be a number above 0".to_owned())
}

/// The manifests, and the part of them to work on.
#[derive(Debug, Clone, Args)]
pub(super) struct Inputs {
    /// Manifest files or directories; `-` is stdin
    #[arg(value_name = "PATH", help_heading = "Arguments")]
    pub(super) paths: Vec<PathBuf>,
    /// Same as PATH
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    pub(super) files: Vec<PathBuf>,
    /// Configuration [default: reconcile.yaml beside the first PATH or in a parent directory]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Set a variable of the manifests; repeats
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(super) set: Vec<String>,
    /// Read variables from a YAML file; repeats, later files win
    #[arg(long, value_name = "FILE", env = "RECONCILE_VALUES", value_delimiter = ',')]
    pub(super) values: Vec<PathBuf>,
    /// Merge the documents of this directory over those with the same kind and name; repeats, later ones win
    ///
    /// Key by key: lists, scalars and null replace what PATH says. A directory below PATH is not read as manifests.
    #[arg(long = "overlay", value_name = "DIR", env = "RECONCILE_OVERLAY", value_delimiter = ',')]
    pub(super) overlays: Vec<PathBuf>,
    /// Follow links in directories wherever they lead; without it only within the git work tree or PATH
    #[arg(long, env = "RECONCILE_FOLLOW_LINKS", value_parser = truth)]
    pub(super) follow_links: bool,
    /// Accept that nothing is declared where no manifest is found
    #[arg(long, env = "RECONCILE_ALLOW_EMPTY", value_parser = truth)]
    pub(super) allow_empty: bool,
    /// Only documents with these labels, such as `site=sz,team!=net`
    #[arg(short = 'l', long, value_name = "SELECTOR", env = "RECONCILE_SELECTOR")]
    pub(super) selector: Option<String>,
    /// Only these objects (`Instance/core-*`) or targets (a name without a slash); repeats
    #[arg(long, value_name = "ADDR", env = "RECONCILE_TARGET", value_delimiter = ',')]
    pub(super) target: Vec<String>,
    /// All but these objects or targets; repeats
    #[arg(long, value_name = "ADDR", env = "RECONCILE_EXCLUDE", value_delimiter = ',')]
    pub(super) exclude: Vec<String>,
}

/// How the platforms are talked to.
#[derive(Debug, Clone, Args)]
pub(super) struct Network {
    /// Use the embedded sandbox instead of the real platforms
    #[arg(long, env = "RECONCILE_SANDBOX", value_parser = truth)]
    pub(super) sandbox: bool,
    /// Maximum number of concurrent requests, over all targets
    #[arg(long, value_name = "N", default_value_t = 10, env = "RECONCILE_PARALLELISM", value_parser = at_least_one)]
    pub(super) parallelism: usize,
    /// Maximum number of requests per second, over all targets
    #[arg(long, value_name = "N", env = "RECONCILE_RATE", value_parser = above_zero)]
    pub(super) rate: Option<f64>,
    /// Maximum time for one request, such as 40s
    #[arg(long, value_name = "DURATION", default_value = "40s", env = "RECONCILE_TIMEOUT", value_parser = duration)]
    pub(super) timeout: std::time::Duration,
    /// Trust the certificates in this PEM file too
    #[arg(long, value_name = "FILE", env = "RECONCILE_CA_CERT_FILE")]
    pub(super) ca_cert_file: Option<PathBuf>,
    /// Accept any TLS certificate
    #[arg(long, env = "RECONCILE_TLS_SKIP_VERIFY", value_parser = truth)]
    pub(super) tls_skip_verify: bool,
}

/// How results are shown.
#[derive(Debug, Args)]
pub(super) struct Output {
    #[command(flatten, next_help_heading = "Output")]
    pub(super) forms: Forms,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) stream: Stream,
    /// Exit with 2 if there are changes
    #[arg(long, alias = "non-zero-exit-code", env = "RECONCILE_DETAILED_EXITCODE", value_parser = truth)]
    pub(super) detailed_exitcode: bool,
    /// Show the calls too
    #[arg(long, env = "RECONCILE_CALLS", value_parser = truth)]
    pub(super) calls: bool,
}

/// The limits of one run.
#[derive(Debug, Args)]
pub(super) struct SafetyArgs {
    /// Maximum changes of a kind on a target: a number, or a share such as 30% [default: 30%, or `safety.maxChanges`]
    #[arg(long, value_name = "N|P%", env = "RECONCILE_MAX_CHANGES")]
    pub(super) max_changes: Option<Limit>,
    /// Maximum implicit deletions, those that no document declares [default: 0, or `safety.maxDeletes`]
    #[arg(long, value_name = "N|P%", env = "RECONCILE_MAX_DELETES")]
    pub(super) max_deletes: Option<Limit>,
    /// Maximum impact of all changes of a kind on a target, such as `hosts=100`; repeats. An unknown impact exceeds any limit
    #[arg(long, value_name = "UNIT=N", env = "RECONCILE_MAX_IMPACT", value_delimiter = ',', value_parser = unit_and_limit)]
    pub(super) max_impact: Vec<(String, u64)>,
    /// Acknowledge the plan that printed this text and apply it despite its limits
    #[arg(long, value_name = "TEXT", env = "RECONCILE_ACK")]
    pub(super) ack: Option<String>,
}

fn unit_and_limit(text: &str) -> Result<(String, u64), String> {
    let (unit, most) = text.split_once('=').ok_or_else(|| "it is not NOUN=N".to_owned())?;
    let kinds = || platform::ALL.iter().flat_map(|platform| platform.kinds());
    let impact_units = || kinds().flat_map(|kind| kind.impact_units()).copied();
    if !impact_units().any(|known| known == unit) {
        let known: std::collections::BTreeSet<&str> = impact_units().collect();
        let known: Vec<&str> = known.into_iter().collect();
        return Err(match yaml::nearest(unit, impact_units()) {
            Some(near) => format!("no `{unit}` are counted; did you mean `{near}`?"),
            None => format!("no `{unit}` are counted; there are {}", known.join(", ")),
        });
    }
    let most = most.parse().map_err(|_| format!("`{most}` is no number"))?;
    Ok((unit.to_owned(), most))
}

/// How the program talks on stderr.
#[derive(Debug, Args)]
pub(super) struct LoggingArgs {
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", env = "RECONCILE_COLOR")]
    pub(super) color: Color,
    /// Print more on stderr: -v each call, -vv each request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Print errors only
    #[arg(short, long, global = true, env = "RECONCILE_QUIET", value_parser = truth)]
    pub(super) quiet: bool,
    /// Format of the log on stderr
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", env = "RECONCILE_LOG_FORMAT")]
    pub(super) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(super) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(super) network: Network,
    /// Check fields and values against the models on the servers too; the objects need not exist
    #[arg(long, env = "RECONCILE_ONLINE", value_parser = truth)]
    pub(super) online: bool,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) forms: Forms,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) stream: Stream,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(super) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(super) network: Network,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) output: Output,
    /// Also delete live objects in the `prune` scopes of the configuration that no document declares; give every
    /// directory with manifests as PATH
    #[arg(long, env = "RECONCILE_PRUNE", value_parser = truth)]
    pub(super) prune: bool,
    #[command(flatten, next_help_heading = "Safety")]
    pub(super) safety: SafetyArgs,
    /// Save the plan in a file, for `show` and `apply`
    #[arg(long, value_name = "FILE", env = "RECONCILE_OUT")]
    pub(super) out: Option<PathBuf>,
    /// Plan from a snapshot instead of the live state: no network, no credentials
    #[arg(long, value_name = "FILE", env = "RECONCILE_AGAINST", conflicts_with = "sandbox")]
    pub(super) against: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(super) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(super) network: Network,
    /// Output file [default: stdout]
    #[arg(long, value_name = "FILE", env = "RECONCILE_SNAPSHOT_OUT")]
    pub(super) out: Option<PathBuf>,
    /// Include the `prune` scopes of the configuration, for plans with --prune
    #[arg(long, env = "RECONCILE_PRUNE", value_parser = truth)]
    pub(super) prune: bool,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Settle this run by reading, close it, and send nothing; the beginning of its id is enough
    #[arg(long, value_name = "RUN")]
    pub(super) abandon: Option<String>,
    /// Configuration [default: `reconcile.yaml` in the current directory or above it]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) state: StateArgs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(super) network: Network,
    /// Form of the report
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "text",
        env = "RECONCILE_RESUME_OUTPUT",
        help_heading = "Output"
    )]
    pub(super) output: TextOrJson,
    /// Read each object back after its write
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, env = "RECONCILE_VERIFY")]
    pub(super) verify: bool,
}

#[derive(Debug, Args)]
pub(super) struct RehearseArgs {
    /// A plan that `plan --out` saved
    #[arg(value_name = "PLAN")]
    pub(super) plan: PathBuf,
    /// A snapshot of the state that the plan was made for
    #[arg(long, value_name = "SNAPSHOT")]
    pub(super) against: PathBuf,
    /// Number of fault schedules, one for each seed from 1
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) seeds: u64,
    /// Replay the schedule of one seed and print its history
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    pub(super) seed: Option<u64>,
    /// Configuration [default: reconcile.yaml beside PLAN or in a parent directory]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Format of the result on stdout
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", env = "RECONCILE_REHEARSE_OUTPUT")]
    pub(super) output: TextOrJson,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// A plan that `plan --out` saved
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) forms: Forms,
    /// Show the calls too
    #[arg(long, env = "RECONCILE_CALLS", value_parser = truth)]
    pub(super) calls: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The place to explain; without a column all values of the line
    #[arg(value_name = "FILE:LINE[:COLUMN]")]
    pub(super) place: Place,
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(super) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(super) network: Network,
    /// Format of the result on stdout
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", env = "RECONCILE_EXPLAIN_OUTPUT")]
    pub(super) output: TextOrJson,
}

#[derive(Debug, Args)]
pub(super) struct DriftArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(super) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(super) network: Network,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct ApplyArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(super) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(super) network: Network,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) output: Output,
    /// Also delete live objects in the `prune` scopes of the configuration that no document declares; give every
    /// directory with manifests as PATH
    #[arg(long, env = "RECONCILE_PRUNE", value_parser = truth)]
    pub(super) prune: bool,
    #[command(flatten, next_help_heading = "Safety")]
    pub(super) safety: SafetyArgs,
    #[command(flatten, next_help_heading = "Safety")]
    pub(super) state: StateArgs,
    /// First settle and finish runs on the same targets that were broken off, as `resume` does
    #[arg(long, env = "RECONCILE_RESUME", value_parser = truth)]
    pub(super) resume: bool,
    /// Do not ask
    #[arg(short = 'y', long, env = "RECONCILE_AUTO_APPROVE", value_parser = truth)]
    pub(super) auto_approve: bool,
    /// Handling of a saved plan with stale objects: `stop` sends nothing, `skip` applies the others
    #[arg(long, value_name = "WHAT", default_value = "stop", env = "RECONCILE_PARTIAL_STALE")]
    pub(super) partial_stale: PartialStale,
    /// Plan only
    #[arg(long, env = "RECONCILE_DRY_RUN", value_parser = truth)]
    pub(super) dry_run: bool,
    /// Read each object back after its write
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, env = "RECONCILE_VERIFY")]
    pub(super) verify: bool,
}

/// Where runs are recorded and locked.
#[derive(Debug, Clone, Args)]
pub(super) struct StateArgs {
    /// Directory of the journals of runs and of locks [default: `reconcile` in the user's directory for state]
    #[arg(long, value_name = "DIR", env = "RECONCILE_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// How long to wait for other runs on the same targets, such as 5m
    #[arg(long, value_name = "DURATION", default_value = "0s", env = "RECONCILE_LOCK_TIMEOUT", value_parser = duration)]
    pub(super) lock_timeout: std::time::Duration,
}

#[derive(Debug, Clone, Args)]
pub(super) struct WatchArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(super) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(super) network: Network,
    /// Reaction to drift [default: enforce, or `watch.mode` of the configuration]
    #[arg(long, value_name = "MODE", env = "RECONCILE_MODE")]
    pub(super) mode: Option<Mode>,
    /// Time between two full reconciliations, such as 5m [default: 5m, or `watch.resync`]
    #[arg(long, value_name = "DURATION", env = "RECONCILE_RESYNC", value_parser = duration)]
    pub(super) resync: Option<std::time::Duration>,
    /// Address of /healthz, /readyz and /metrics [default: 127.0.0.1:8321, or `watch.listen`]
    #[arg(long, value_name = "ADDR", env = "RECONCILE_LISTEN")]
    pub(super) listen: Option<std::net::SocketAddr>,
    #[command(flatten)]
    pub(super) state: StateArgs,
    /// Poll the files every few seconds instead of waiting for events of the file system
    #[arg(long, env = "RECONCILE_POLL", value_parser = truth)]
    pub(super) poll: bool,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// The run to show: its id, the beginning of that, or `latest`
    #[arg(value_name = "RUN")]
    pub(super) run: Option<String>,
    /// Directory of the journals [default: `reconcile` in the user's directory for state]
    #[arg(long, value_name = "DIR", env = "RECONCILE_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Only runs on this target; repeats
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    pub(super) target: Vec<String>,
    /// Maximum number of runs to list
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "run", value_parser = at_least_one)]
    pub(super) limit: usize,
    /// Format of the result on stdout
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", env = "RECONCILE_HISTORY_OUTPUT")]
    pub(super) output: DataFormat,
}

#[derive(Debug, Args)]
pub(super) struct UndoArgs {
    /// The run to put back: its id, the beginning of that, or `latest`
    #[arg(value_name = "RUN")]
    pub(super) run: String,
    /// Save the plan in this file, for `show` and `apply`
    #[arg(long, value_name = "FILE", env = "RECONCILE_OUT")]
    pub(super) out: PathBuf,
    /// Configuration [default: reconcile.yaml in the current directory or above]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Directory of the journals [default: `reconcile` in the user's directory for state]
    #[arg(long, value_name = "DIR", env = "RECONCILE_STATE_DIR")]
    pub(super) state_dir: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Connection")]
    pub(super) network: Network,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) forms: Forms,
    /// Show the calls too
    #[arg(long, env = "RECONCILE_CALLS", value_parser = truth)]
    pub(super) calls: bool,
    #[command(flatten, next_help_heading = "Safety")]
    pub(super) safety: SafetyArgs,
}

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", env = "RECONCILE_SANDBOX_LISTEN")]
    pub(super) listen: std::net::SocketAddr,
    /// State to start from (YAML or JSON); repeats
    ///
    /// Sections of several files are merged, lists are put one behind the other; no two rows may have one id.
    #[arg(long, value_name = "FILE", env = "RECONCILE_STATE", value_delimiter = ',')]
    pub(super) state: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Document to describe
    #[arg(value_name = "DOCUMENT")]
    pub(super) document: Document,
}

#[derive(Debug, Args)]
pub(super) struct VersionArgs {
    /// Format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(super) output: TextOrJson,
}
