//! The screen of a real terminal: a pseudo-terminal of the test's own.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use crate::harness::{Site, state};

/// Long names, long values, a text beyond ASCII.
const LONG: &str = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: core}
spec:
  model: bk_switch
  match: {bk_asset_id: A1}
  fields:
    bk_inst_name: a-name-that-is-much-longer-than-those-of-others
    operator: [bob, alice]
    remark: 机房一楼东侧第三排机柜旁边的核心交换机
";

/// Ends of the terminal: the program's, and the test's.
fn terminal(columns: u16) -> (OwnedFd, File) {
    let own =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("there are pseudo-terminals");
    grantpt(&own).expect("it is ours");
    unlockpt(&own).expect("it is ours");
    let name = ptsname(&own, Vec::new()).expect("it has a name");
    let name = name.to_str().expect("the name is ASCII");
    let theirs = File::options().read(true).write(true).open(name).expect("it opens");
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&theirs, size).expect("it takes a size");
    (theirs.into(), File::from(own))
}

/// Runs a program whose stdin and stderr, and if asked its stdout, are a terminal; returns what the terminal showed
/// without colours, and what went to another stdout.
fn on_terminal(mut command: Command, columns: u16, keys: &[u8], is_redirected: bool) -> (String, String) {
    let (theirs, mut own) = terminal(columns);
    let stdio = || Stdio::from(theirs.try_clone().expect("it can be shared"));
    command.env("TERM", "xterm").env_remove("COLUMNS").stdin(stdio()).stderr(stdio());
    command.stdout(if is_redirected { Stdio::piped() } else { stdio() });
    let mut child = command.spawn().expect("the program starts");
    drop(command);
    drop(theirs);
    own.write_all(keys).expect("the terminal takes keys");
    let mut shown = Vec::new();
    let mut part = [0; 4096];
    // The last one who has it open ends it: that is an error on Linux.
    while let Ok(count) = own.read(&mut part) {
        if count == 0 {
            break;
        }
        shown.extend_from_slice(&part[..count]);
    }
    let stdout = child.stdout.take().map(|stdout| std::io::read_to_string(stdout).expect("UTF-8")).unwrap_or_default();
    child.wait().expect("it ends");
    let shown = String::from_utf8(shown).expect("output is UTF-8").replace('\r', "");
    (anstream::adapter::strip_str(&shown).to_string(), stdout)
}

fn site() -> Site {
    let site = Site::new(&state());
    site.write("environments/production/network/core/switches.yaml", LONG);
    site
}

#[test]
fn a_plan_fits_the_terminal_and_keeps_its_layout_elsewhere() {
    let site = site();
    let redirected = site.run(&["plan"]).stdout;
    for columns in [60, 80, 120] {
        let (shown, _) = on_terminal(site.command(&["plan"]), columns, b"", false);
        let wide: Vec<_> = shown.lines().filter(|line| line.width() > usize::from(columns)).collect();
        assert!(wide.is_empty(), "{columns}: {wide:#?}");
        // Nothing is lost on the way.
        for part in
            ["a-name-that-is-much-longer-than-those-of-others", "switches.yaml:8:19", "switches.yaml:9:15", "Plan: "]
        {
            assert!(shown.contains(part), "{columns}: {part}: {shown}");
        }
    }
    let line = redirected.lines().find(|line| line.contains("bk_inst_name")).expect("the field is there");
    assert!(line.ends_with("  environments/production/network/core/switches.yaml:8:19"), "{redirected}");
    assert!(line.width() > 120, "{redirected}");
    let columns = |line: &str| line.find("environments/").map(|at| line[..at].width());
    assert_eq!(redirected.lines().next().and_then(columns), Some(68), "{redirected}");
}

#[test]
fn the_question_names_counts_and_targets() {
    let site = site();
    let question = "Apply 0 creates, 1 update and 0 deletes to cmdb? Only `yes` is accepted: ";
    let (shown, _) = on_terminal(site.command(&["apply"]), 80, b"no\n", false);
    assert!(shown.contains(question), "{shown}");
    // The end of the input leaves the line of the question.
    let (shown, _) = on_terminal(site.command(&["apply"]), 80, b"\x04", false);
    assert!(shown.contains(&format!("{question}\nerror: not approved: nothing was sent\n")), "{shown}");
    assert!(site.writes().is_empty(), "nothing was sent");
    // A user who redirects the output is asked beside the plan all the same.
    let (shown, stdout) = on_terminal(site.command(&["apply", "-o", "json"]), 80, b"yes\n", true);
    assert!(shown.contains("operator") && shown.contains("Plan: 0 to add, 1 to update"), "{shown}");
    assert!(shown.contains(question), "{shown}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stdout).expect("it is JSON")["kind"], "Plan");
}

#[test]
fn reading_that_takes_time_is_shown() {
    let site = site();
    site.sandbox().set_option("latency", &json!(400)).expect("it is an option");
    let (shown, _) = on_terminal(site.command(&["plan"]), 80, b"", false);
    assert!(shown.contains("reading cmdb…") && shown.contains(" request"), "{shown:?}");
}
