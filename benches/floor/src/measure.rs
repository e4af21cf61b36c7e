//! Starts commands and says what each cost. A process of its own, because it is small: the peak memory of a child counts
//! from that of its parent on.

use std::{
    fs::File,
    io::{BufRead as _, Write as _},
    mem::MaybeUninit,
    process::{Command, Stdio},
    time::Instant,
};

use serde::{Deserialize, Serialize};

use crate::Result;

/// A line on stdin.
#[derive(Deserialize)]
struct Job {
    command: Vec<String>,
    directory: String,
    /// The files that stdout and stderr go to.
    stdout: String,
    stderr: String,
}

/// A line on stdout.
#[derive(Serialize)]
struct Cost {
    /// Seconds.
    wall: f64,
    /// Seconds of processor time.
    user: f64,
    system: f64,
    /// Bytes.
    peak: i64,
    /// The exit code, or minus the signal.
    code: i32,
}

pub(crate) fn measure() -> Result<()> {
    let mut lines = std::io::stdin().lock();
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        let cost = cost(&serde_json::from_str(&line)?)?;
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &cost)?;
        out.write_all(b"\n")?;
        out.flush()?;
        line.clear();
    }
    Ok(())
}

fn cost(job: &Job) -> Result<Cost> {
    let (program, arguments) = job.command.split_first().ok_or("no command")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&job.directory).stdin(Stdio::null());
    command.stdout(File::create(&job.stdout)?).stderr(File::create(&job.stderr)?);
    let start = Instant::now();
    let child = command.spawn()?;
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    let id = libc::pid_t::try_from(child.id())?;
    // SAFETY: both pointers are to locals that live longer than the call, and a `rusage` of zeros is one.
    let (waited, usage) = unsafe { (libc::wait4(id, &raw mut status, 0, usage.as_mut_ptr()), usage.assume_init()) };
    if waited != id {
        return Err(std::io::Error::last_os_error().into());
    }
    let wall = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) };
    Ok(Cost {
        wall,
        user: seconds(usage.ru_utime),
        system: seconds(usage.ru_stime),
        peak: usage.ru_maxrss * 1024,
        code,
    })
}
