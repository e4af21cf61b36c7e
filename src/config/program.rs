//! Runs the programs that print secrets.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::resolve::Problem;

/// How long a program may take.
pub(super) const TIMEOUT: Duration = Duration::from_mins(1);
/// How long the output may stay open after the program ended, because something it started still holds it.
const GRACE: Duration = Duration::from_secs(1);
/// Maximum size of what a program prints or a file holds, in bytes.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// A program that has not ended yet.
#[derive(Debug, Clone)]
pub struct RunningProgram {
    /// Its name.
    pub program: String,
    /// The target whose secret it prints; `None` if that is of no target.
    pub target: Option<Arc<str>>,
    /// Since when it runs.
    pub start: Instant,
}

/// The process groups of programs that have not ended yet.
static RUNNING: Mutex<BTreeMap<i32, RunningProgram>> = Mutex::new(BTreeMap::new());

/// Returns the programs that have not ended yet.
pub fn running_programs() -> Vec<RunningProgram> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
}

/// Ends the running programs that `is_meant` picks, with everything that they started.
///
/// They run in process groups of their own, so a signal of the terminal does not reach them.
pub fn end_programs(is_meant: impl Fn(&RunningProgram) -> bool) {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.iter().filter(|(_, program)| is_meant(program)).for_each(|(group, _)| kill(*group));
}

/// Returns what a program prints within a time limit, for a target where it is a secret of one.
///
/// The program runs in a process group of its own, which is ended when the limit is reached. What it says on its error
/// stream goes to ours: it talks to the person who runs us.
pub(super) fn output(words: &[String], target: Option<&Arc<str>>, timeout: Duration) -> Result<Vec<u8>, Problem> {
    let program = words.first().cloned().unwrap_or_default();
    let failed = |source| Problem::Run { program: program.clone(), source };
    let slow = || Problem::Slow { program: program.clone(), limit: timeout };
    let mut group = Group::start(words, target).map_err(failed)?;
    let deadline = Instant::now() + timeout;
    let chunks = group.child.stdout.take().map(read_in_background);
    let mut bytes = Vec::new();
    // Its output is read first: a program that prints more than a pipe holds would not end before that.
    let mut open = chunks.is_some();
    let status = loop {
        if let Some(chunks) = chunks.as_ref().filter(|_| open) {
            open = read_for(chunks, Duration::from_millis(10), &mut bytes).map_err(failed)?;
        } else {
            thread::sleep(Duration::from_millis(10));
        }
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Problem::Large(program));
        }
        match group.child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if Instant::now() < deadline => {}
            None => return Err(slow()),
        }
    };
    group.ended();
    // What it started may hold its output open without end.
    let end = deadline.min(Instant::now() + GRACE);
    while let Some(chunks) = chunks.as_ref().filter(|_| open && Instant::now() < end) {
        open = read_for(chunks, end.saturating_duration_since(Instant::now()), &mut bytes).map_err(failed)?;
    }
    // First, as a program fails when nobody reads on.
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Problem::Large(program));
    }
    if status.success() { Ok(bytes) } else { Err(Problem::Failed { program, status }) }
}

/// A running program with its process group, which ends with it.
struct Group {
    child: Child,
    id: i32,
    is_running: bool,
}

impl Group {
    fn start(words: &[String], target: Option<&Arc<str>>) -> io::Result<Self> {
        let (program, arguments) = words.split_first().ok_or_else(|| io::Error::other("it has no name"))?;
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        // Ids of processes are positive.
        let id = i32::try_from(child.id()).map_err(io::Error::other)?;
        running.insert(id, RunningProgram { program: program.clone(), target: target.cloned(), start: Instant::now() });
        Ok(Self { child, id, is_running: true })
    }

    /// Notes that the program ended by itself. What it started, such as an agent that keeps keys, may go on.
    fn ended(&mut self) {
        self.is_running = false;
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.is_running {
            kill(self.id);
            // Killed, it ends at once; the result says nothing new.
            let _ = self.child.wait();
            self.ended();
        }
    }
}

fn kill(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        // It may have ended just now; either way it is over.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Reads a stream on a thread of its own, which ends with the stream or once too much was read.
fn read_in_background(mut stream: impl Read + Send + 'static) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        let mut left = MAX_BYTES + 1;
        while left > 0 {
            let result = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => Ok(buffer[..count].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            left = left.saturating_sub(result.as_ref().map_or(left, |bytes| bytes.len() as u64));
            if sender.send(result).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Appends what arrives within a time; returns false once the stream has ended.
fn read_for(chunks: &Receiver<io::Result<Vec<u8>>>, time: Duration, bytes: &mut Vec<u8>) -> io::Result<bool> {
    match chunks.recv_timeout(time) {
        Ok(chunk) => {
            bytes.extend(chunk?);
            Ok(true)
        }
        Err(RecvTimeoutError::Timeout) => Ok(true),
        Err(RecvTimeoutError::Disconnected) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> (Result<String, String>, Duration) {
        shell_of(None, script, timeout)
    }

    fn shell_of(target: Option<&Arc<str>>, script: &str, timeout: Duration) -> (Result<String, String>, Duration) {
        let start = Instant::now();
        let output = output(&["sh", "-c", script].map(str::to_owned), target, timeout);
        let output = output.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|why| why.to_string());
        (output, start.elapsed())
    }

    #[test]
    fn a_program_is_bounded_in_time_and_size() {
        let long = Duration::from_secs(20);
        let check = |script: &str, timeout: Duration, expected: Result<&str, &str>| {
            let (output, took) = shell(script, timeout);
            assert_eq!(output.as_deref().map_err(String::as_str), expected, "{script}");
            assert!(took < Duration::from_secs(15), "{script} took {took:?}");
        };
        check("echo token", long, Ok("token\n"));
        // What the program left behind holds its output open.
        check("sleep 30 & echo token", long, Ok("token\n"));
        check("printf a; sleep 0.2; printf b", long, Ok("ab"));
        check("echo half; sleep 30", Duration::from_millis(300), Err("sh did not end within 300ms"));
        check("yes", long, Err("sh printed more than 1 MB"));
        check("head -c 1048576 /dev/zero | tr '\\0' x > /dev/null; echo fits", long, Ok("fits\n"));
        check("exit 3", long, Err("sh ended with exit status: 3"));
    }

    #[test]
    fn the_programs_of_other_targets_go_on() {
        let targets: [Arc<str>; 2] = ["program-test-hung".into(), "program-test-well".into()];
        let is_running =
            |target: &Arc<str>| running_programs().iter().any(|program| program.target.as_ref() == Some(target));
        let run = |at: usize, script: &'static str| {
            let target = targets[at].clone();
            thread::spawn(move || shell_of(Some(&target), script, Duration::from_secs(20)))
        };
        let (hung, well) = (run(0, "sleep 30"), run(1, "sleep 1; echo token"));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !targets.iter().all(is_running) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        end_programs(|program| program.target.as_ref() == Some(&targets[0]));
        let (hung, took) = hung.join().expect("no panic");
        assert!(hung.is_err_and(|why| why.contains("signal: 9")) && took < Duration::from_secs(15));
        assert_eq!(well.join().expect("no panic").0, Ok("token\n".to_owned()));
    }

    #[test]
    fn what_a_slow_program_started_ends_with_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("pid");
        let script = format!("sleep 60 & echo $! > '{}'; wait", file.display());
        let (output, _) = shell(&script, Duration::from_millis(500));
        assert_eq!(output, Err("sh did not end within 500ms".to_owned()));
        let pid: i32 = std::fs::read_to_string(&file).expect("the id").trim().parse().expect("a number");
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_over = || state().is_empty() || state().contains(") Z");
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_over() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        assert!(is_over(), "{}", state());
    }
}
