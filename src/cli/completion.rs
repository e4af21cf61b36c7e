//! `reconcile completion`.

use clap::CommandFactory as _;

use super::{
    args::{Cli, CompletionArgs},
    exit::ExitStatus,
    view::Ui,
};

/// Prints the script that completes commands and flags in a shell.
pub(super) fn run(args: &CompletionArgs, ui: &Ui) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "reconcile", &mut script);
    ui.out(&String::from_utf8_lossy(&script));
    ExitStatus::Success
}
