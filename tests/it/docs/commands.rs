//! The pages on commands and exit codes have what the help has.

use std::collections::BTreeSet;

use regex::Regex;

use super::{read, root};
use crate::harness::program;

/// The help of the program.
fn help() -> String {
    let output = program().arg("--help").output().expect("the program runs");
    String::from_utf8(output.stdout).expect("help is UTF-8")
}

fn all(text: &str, pattern: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("the expression is right");
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_command_has_a_row() {
    let help = help();
    let (_, commands) = help.split_once("Commands:\n").expect("the help lists commands");
    let (commands, _) = commands.split_once("\n\n").expect("the list has an end");
    let mut known = all(commands, r"(?m)^  ([a-z]+) ");
    known.remove("help");
    let page = read(&root().join("docs/src/commands.md"));
    let rows: String = page.lines().filter(|line| line.starts_with("| `")).flat_map(|line| [line, "\n"]).collect();
    assert_eq!(all(&rows, r"`(?:reconcile )?(validate|plan|apply|show|[a-z]+)(?: [A-Z\[][^`]*| --out FILE)?`"), known);
}

#[test]
fn every_exit_code_has_a_row() {
    let help = help();
    let (_, codes) = help.split_once("Exit codes:\n").expect("the help lists exit codes");
    let page = read(&root().join("docs/src/exit-codes.md"));
    let rows = all(&page, r"(?m)^\| ([0-9, ]+) \|");
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| row.split(", ").map(str::to_owned)).collect();
    assert_eq!(listed, all(codes, r"(?:^|\n)?\s*\b(\d+) +[a-z]"));
}
