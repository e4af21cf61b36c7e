//! The log on stderr.

use std::io::{self, Write};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::{Screen, plain};
use crate::cli::args::{LogFormat, Talk};

/// Installs the log. `RECONCILE_LOG` chooses what is logged, above `-v` and `-q`.
pub(in crate::cli) fn install(talk: &Talk, talkative: bool, screen: &Screen) {
    let level = match (talk.quiet, talk.verbose) {
        (true, _) => "error",
        (false, 0) if !talkative => "warn",
        (false, 0 | 1) => "info",
        (false, _) => "debug",
    };
    let filter = std::env::var("RECONCILE_LOG").unwrap_or_else(|_| format!("reconcile={level}"));
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("reconcile=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    let colour = screen.errors_in_colour;
    // A second installation (in tests of the library) changes nothing.
    let _ = match talk.log_format {
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(move || Guarded { colour }).with_target(false).with_ansi(colour))
            .try_init(),
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(io::stderr)).try_init(),
    };
}

/// Stderr for lines of the log, which may quote what strangers wrote.
struct Guarded {
    colour: bool,
}

impl Write for Guarded {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = plain::guarded(&String::from_utf8_lossy(line), self.colour);
        io::stderr().lock().write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
