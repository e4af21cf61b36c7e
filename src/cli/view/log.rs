//! The log on stderr.

mod fields;

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::{Ui, plain, progress};
use crate::cli::args::{LogFormat, LoggingArgs};

/// Installs the log. `RECONCILE_LOG` chooses what is logged, above `-v` and `-q`.
pub(in crate::cli) fn install(talk: &LoggingArgs, talkative: bool, ui: &Ui) {
    let level = match (talk.quiet, talk.verbose) {
        (true, _) => "reconcile=error",
        (false, 0) if !talkative => "reconcile=warn",
        (false, 0) => "reconcile=info",
        (false, 1) => "reconcile=info,reconcile::calls=debug",
        (false, _) => "reconcile=debug,reconcile::calls=trace",
    };
    let chosen = std::env::var("RECONCILE_LOG").unwrap_or_else(|_| level.to_owned());
    let registry = tracing_subscriber::registry().with(filter(&chosen));
    let colour = ui.errors_in_colour;
    // A second installation (in tests of the library) changes nothing.
    let _ = match talk.log_format {
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .fmt_fields(fields::TextFields)
                    .with_writer(move || Guarded { colour })
                    .with_target(false)
                    .with_ansi(colour),
            )
            .try_init(),
        LogFormat::Json => registry.with(fields::JsonLines).try_init(),
    };
}

/// Returns what a list of `target=level` lets through. Of a list that cannot be read, it is the warnings of this program.
fn filter(list: &str) -> Targets {
    let parts: Vec<&str> = list.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Targets::new().with_default(LevelFilter::ERROR);
    }
    let read = parts.join(",").parse();
    read.unwrap_or_else(|_| Targets::new().with_target("reconcile", LevelFilter::WARN))
}

/// Returns one line of the log in JSON, with more keys.
pub(super) fn record(level: &str, message: &str, more: Value) -> String {
    let mut record = Map::new();
    record.insert("timestamp".to_owned(), json!(jiff::Timestamp::now().to_string()));
    record.insert("level".to_owned(), json!(level));
    record.insert("message".to_owned(), json!(plain::line(message)));
    if let Value::Object(more) = more {
        record.extend(more);
    }
    format!("{}\n", Value::Object(record))
}

/// Stderr for lines of the log, which may quote what strangers wrote.
struct Guarded {
    colour: bool,
}

impl Write for Guarded {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shown = plain::guarded(&String::from_utf8_lossy(line), self.colour);
        progress::above_bar(|| io::stderr().lock().write_all(shown.as_bytes()))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::filter;

    #[test]
    fn lists_of_levels_choose_what_is_logged() {
        const OWN: &str = "reconcile::engine";
        const CALLS: &str = "reconcile::calls";
        let check = |list: &str, target: &str, level: Level, passes: bool| {
            assert_eq!(filter(list).would_enable(target, &level), passes, "{list}: {target} at {level}");
        };
        check("reconcile=info", OWN, Level::INFO, true);
        check("reconcile=info", OWN, Level::DEBUG, false);
        check("reconcile=info", "hyper", Level::ERROR, false);
        check("reconcile=info,reconcile::calls=debug", CALLS, Level::DEBUG, true);
        check("reconcile=info,reconcile::calls=debug", OWN, Level::DEBUG, false);
        check("debug", "hyper", Level::DEBUG, true);
        check("debug,hyper=off", "hyper", Level::ERROR, false);
        check("reconcile", OWN, Level::TRACE, true);
        check(" reconcile=info , ", OWN, Level::INFO, true);
        check("WARN", "hyper", Level::WARN, true);
        check("4", "hyper", Level::DEBUG, true);
        check("", "hyper", Level::ERROR, true);
        check("", OWN, Level::WARN, false);
        check("reconcile=loud", OWN, Level::WARN, true);
        check("reconcile=loud", OWN, Level::INFO, false);
    }
}
