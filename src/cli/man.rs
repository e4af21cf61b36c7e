//! `reconcile man`.

use std::{fs, io, path::Path};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::{
    args::{Cli, ManArgs},
    error::CommandError,
    exit::ExitStatus,
    view::Ui,
};
use crate::version;

/// Writes a man page of the program, and one of each command.
pub(super) fn run(args: &ManArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let directory = &args.directory;
    let count = write_pages(directory)
        .map_err(|error| CommandError::failed(format!("cannot write man pages to {}: {error}", directory.display())))?;
    ui.say(&format!("wrote {count} man pages to {}", directory.display()));
    Ok(ExitStatus::Success)
}

/// Writes the pages into a directory, which is made where it is missing, and returns how many there are.
///
/// Their date is that of the version: the same version makes the same pages.
fn write_pages(directory: &Path) -> io::Result<usize> {
    fs::create_dir_all(directory)?;
    let mut program = Cli::command().disable_help_subcommand(true);
    // Gives each command the whole name under which pages refer to it.
    program.build();
    let commands: Vec<&Command> = std::iter::once(&program).chain(program.get_subcommands()).collect();
    for command in &commands {
        let man = Man::new((*command).clone()).date(version::date().unwrap_or_default());
        man.source(format!("reconcile {}", version::NUMBER)).generate_to(directory)?;
    }
    Ok(commands.len())
}
