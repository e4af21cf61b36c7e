//! Completions of shells, and man pages.

use std::collections::BTreeSet;

use crate::harness::{Site, state};

/// The commands as the help lists them.
fn commands(site: &Site) -> BTreeSet<String> {
    let help = site.run(&["--help"]).stdout;
    let (_, list) = help.split_once("Commands:\n").expect("the help lists commands");
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_shell_completes_every_command() {
    let site = Site::new(&state());
    let commands = commands(&site);
    assert!(commands.contains("plan"), "{commands:?}");
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let output = site.run(&["completion", shell]);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output}");
        for word in commands.iter().map(String::as_str).chain(["detailed-exitcode", "selector"]) {
            assert!(output.stdout.contains(word), "{shell} does not complete {word}");
        }
    }
    let output = site.run(&["completion", "tcsh"]);
    assert_eq!(output.code, Some(64), "{output}");
}

#[test]
fn every_command_has_a_man_page_that_tells_nothing_of_its_surroundings() {
    let site = Site::new(&state());
    let mut command = site.command(&["man", "share/man1"]);
    command.env("RECONCILE_CONFIG", "/srv/of-somebody.yaml");
    let output = site.end(command, "");
    assert_eq!(output.code, Some(0), "{output}");
    let mut expected: BTreeSet<String> = commands(&site).iter().map(|name| format!("reconcile-{name}.1")).collect();
    expected.insert("reconcile.1".to_owned());
    let directory = site.path().join("share/man1");
    let entries = std::fs::read_dir(&directory).expect("it was made");
    let pages: BTreeSet<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    assert_eq!(pages, expected);
    for page in pages {
        let text = std::fs::read_to_string(directory.join(&page)).expect("it is text");
        assert!(text.contains(".SH SYNOPSIS") && !text.contains("of-somebody"), "{page}: {text}");
    }
    let plan = std::fs::read_to_string(directory.join("reconcile-plan.1")).expect("it is text");
    assert!(plan.contains("RECONCILE_CONFIG") && plan.contains("Examples:"), "{plan}");
}

#[test]
fn a_directory_of_man_pages_that_cannot_be_made_is_named() {
    let site = Site::with(&state(), &[("file", "x")]);
    let output = site.run(&["man", "file"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.starts_with("error: cannot write man pages to file: "), "{output}");
}
