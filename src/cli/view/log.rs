//! The log on stderr.

use std::io;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::Screen;
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
    // A second installation (in tests of the library) changes nothing.
    let _ = match talk.log_format {
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(screen.errors_in_colour))
            .try_init(),
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(io::stderr)).try_init(),
    };
}
