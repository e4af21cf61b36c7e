//! The process that holds a lease, and the facts that tell if it still runs.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files;

/// Most bytes that are read of a file of the system.
const MOST: u64 = 64 << 10;

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// Its number.
    pub(super) pid: u32,
    /// When it started, in clock ticks since the machine did; `None` where the system does not say.
    pub(super) started: Option<u64>,
    /// The machine since its last start, and the part of it in which the number counts: containers on one machine have
    /// numbers of their own. `None` where the system does not say.
    pub(super) machine: Option<String>,
}

/// The state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessState {
    /// It runs, or its number is in use and nothing tells it from another process.
    Running,
    /// It ended.
    Gone,
    /// It belongs to another machine or container.
    Unknown,
}

impl Process {
    /// Returns this process.
    pub(super) fn current() -> Self {
        let pid = std::process::id();
        Self { pid, started: stat(pid).map(|stat| stat.started), machine: machine() }
    }

    /// Returns the state of the process, as far as it can be told from here.
    pub(super) fn state(&self) -> ProcessState {
        if self.machine.is_none() || self.machine != machine() {
            return ProcessState::Unknown;
        }
        // Processes of other users may be hidden in `/proc`, so a signal that does nothing is what counts.
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        let exists = pid.map(rustix::process::test_kill_process) != Some(Err(rustix::io::Errno::SRCH));
        match stat(self.pid) {
            _ if !exists => ProcessState::Gone,
            Some(stat) if stat.ended || self.started.is_some_and(|started| started != stat.started) => {
                ProcessState::Gone
            }
            _ => ProcessState::Running,
        }
    }
}

/// The facts of the system about a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    started: u64,
    /// It ended, and only waits for its parent to take note.
    ended: bool,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&text(&format!("/proc/{pid}/stat"))?)
}

/// Reads `/proc/PID/stat`, as proc(5) describes it. The name of the program may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, behind_name) = text.rsplit_once(')')?;
    let mut words = behind_name.split_ascii_whitespace();
    let state = words.next()?;
    // The state is the third field, the start is the 22nd.
    let started = words.nth(18)?.parse().ok()?;
    Some(Stat { started, ended: matches!(state, "Z" | "X" | "x") })
}

fn machine() -> Option<String> {
    let start = text("/proc/sys/kernel/random/boot_id")?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", start.trim(), space.display()))
}

fn text(path: &str) -> Option<String> {
    String::from_utf8(files::read(Path::new(path), MOST).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_found_behind_any_name() {
        let check = |name: &str, state: &str, expected: Option<Stat>| {
            let fields = (4..22).map(|at| at.to_string()).collect::<Vec<_>>().join(" ");
            assert_eq!(parse_stat(&format!("7 ({name}) {state} {fields} 4711 23 24\n")), expected, "{name} {state}");
        };
        check("reconcile", "S", Some(Stat { started: 4711, ended: false }));
        check("a) R (b", "R", Some(Stat { started: 4711, ended: false }));
        check("reconcile", "Z", Some(Stat { started: 4711, ended: true }));
        for broken in ["", "7 (x", "7 (x) S 1 2", "7 (x) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 x"] {
            assert_eq!(parse_stat(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_process_is_known_by_its_machine_its_number_and_its_start() {
        let own = Process::current();
        if own.machine.is_none() {
            // Only Linux says all of it.
            assert_eq!(own.state(), ProcessState::Unknown);
            return;
        }
        let mut ended = std::process::Command::new("sleep").arg("0").spawn().expect("a process");
        let pid = ended.id();
        let check = |process: Process, expected: ProcessState| assert_eq!(process.state(), expected, "{process:?}");
        check(own.clone(), ProcessState::Running);
        check(Process { started: own.started.map(|started| started + 1), ..own.clone() }, ProcessState::Gone);
        check(Process { machine: Some("another".to_owned()), ..own.clone() }, ProcessState::Unknown);
        check(Process { machine: None, ..own.clone() }, ProcessState::Unknown);
        ended.wait().expect("it ends");
        check(Process { pid, started: None, ..own.clone() }, ProcessState::Gone);
    }

    #[test]
    fn a_process_that_nobody_waited_for_has_ended() {
        let own = Process::current();
        let mut ended =
            std::process::Command::new("true").stdout(std::process::Stdio::piped()).spawn().expect("a process");
        // Its end closes what it could write to.
        let mut out = ended.stdout.take().expect("a pipe");
        std::io::copy(&mut out, &mut std::io::sink()).expect("read");
        let process = Process { pid: ended.id(), started: None, ..own };
        if process.machine.is_some() {
            while process.state() == ProcessState::Running {
                std::thread::yield_now();
            }
            assert_eq!(process.state(), ProcessState::Gone);
        }
        ended.wait().expect("it ends");
    }
}
