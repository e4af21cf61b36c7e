//! All formatting for people and programs.

pub(super) mod adopt;
pub(super) mod blame;
pub(super) mod drift;
pub(super) mod editor;
pub(super) mod events;
pub(super) mod explain;
pub(super) mod export;
mod finding;
pub(super) mod follow_up;
mod form;
mod github;
mod gitlab;
pub(super) mod history;
pub(super) mod json;
mod junit;
mod layout;
pub(super) mod log;
pub(super) mod manifest;
mod markdown;
pub(super) mod origin;
pub(super) mod plain;
pub(super) mod progress;
pub(super) mod rehearsal;
mod removal;
pub(super) mod rendering;
pub(super) mod report;
mod sarif;
pub(super) mod snapshot;
pub(super) mod text;
mod value;
mod yaml;

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use self::events::Events;
use super::{
    args::{Color, LogFormat, LoggingArgs},
    exit::ExitStatus,
};
use crate::{
    diagnostic::{Diagnostic, render},
    source::Sources,
};

/// Where output goes, and what it may look like.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact about the terminal")]
pub(super) struct Ui {
    /// Colours on stdout.
    pub(super) colour: bool,
    /// Columns that diagnostics may take up.
    pub(super) width: usize,
    /// Columns that lines on stdout are folded at; `None` if they are not.
    pub(super) fold: Option<usize>,
    /// Bars may move on stderr.
    pub(super) bars: bool,
    /// Print errors only.
    pub(super) quiet: bool,
    /// The stream of events for programs.
    pub(super) events: Events,
    errors_in_colour: bool,
    /// Stderr holds nothing but lines of JSON.
    json_log: bool,
    /// Some of the result could not be written to stdout.
    unwritten: AtomicBool,
}

impl Ui {
    /// Finds out what stdout and stderr are.
    pub(super) fn new(talk: &LoggingArgs) -> Self {
        let wanted = |terminal: bool| match talk.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !is_set("NO_COLOR") && std::env::var("TERM").is_ok_and(|term| term != "dumb"),
        };
        let terminal = io::stderr().is_terminal();
        let ci = std::env::var("CI").is_ok_and(|ci| !matches!(ci.as_str(), "" | "0" | "false"));
        let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let fold = io::stdout().is_terminal().then(|| given.or(columns_of(&io::stdout())).unwrap_or(80));
        Self {
            colour: wanted(io::stdout().is_terminal()),
            errors_in_colour: wanted(terminal),
            width: given.or(columns_of(&io::stderr())).unwrap_or(100),
            fold,
            bars: terminal && !ci && !talk.quiet && talk.log_format == LogFormat::Text,
            quiet: talk.quiet,
            events: Events::default(),
            json_log: talk.log_format == LogFormat::Json,
            unwritten: AtomicBool::new(false),
        }
    }

    /// Returns the screen of a file: no colours.
    pub(super) fn plain() -> Self {
        Self {
            colour: false,
            width: 100,
            fold: None,
            bars: false,
            quiet: true,
            events: Events::default(),
            errors_in_colour: false,
            json_log: false,
            unwritten: AtomicBool::new(false),
        }
    }

    /// Returns the screen of text that goes to stderr.
    pub(super) fn of_stderr(&self) -> Self {
        Self { colour: self.errors_in_colour, fold: io::stderr().is_terminal().then_some(self.width), ..Self::plain() }
    }

    /// Writes text to stderr that belongs on stdout, which nobody looks at.
    pub(super) fn aside(text: &str) {
        Self::err(text);
    }

    /// Writes to stdout. A reader that went away is no error; any other failure is told once, and the run goes on to
    /// its reports.
    pub(super) fn out(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
            && !self.unwritten.swap(true, Ordering::Relaxed)
        {
            self.error(&format!("the result could not be written: {error}"));
        }
    }

    /// Returns how a command ended: one whose result could not be written did not succeed.
    pub(super) fn ended(&self, status: ExitStatus) -> ExitStatus {
        if self.unwritten.load(Ordering::Relaxed) { status.unwritten() } else { status }
    }

    /// Writes a line to stderr, unless only errors are wanted.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            self.always(text);
        }
    }

    /// Writes a line to stderr that other programs wait for.
    pub(super) fn always(&self, text: &str) {
        if self.json_log {
            return Self::err(&log::record("INFO", text, Value::Null));
        }
        Self::err(&plain::guarded(&format!("{text}\n"), self.errors_in_colour));
    }

    /// Writes an error to stderr.
    pub(super) fn error(&self, text: &str) {
        self.events.error(text);
        if self.json_log {
            return Self::err(&log::record("ERROR", text, Value::Null));
        }
        let (start, end) = if self.errors_in_colour { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        let text = format!("{start}error{end}: {}\n", plain::line(text));
        Self::err(&plain::guarded(&text, self.errors_in_colour));
    }

    /// Writes diagnostics to stderr, each with its line and a caret.
    pub(super) fn diagnostics(&self, diagnostics: &[Diagnostic], sources: &Sources) {
        self.events.diagnostics(diagnostics, sources);
        let shown: Vec<_> =
            diagnostics.iter().filter(|diagnostic| !self.quiet || diagnostic.is_error()).cloned().collect();
        if self.json_log {
            for diagnostic in render::sorted(&shown) {
                let level = if diagnostic.is_error() { "ERROR" } else { "WARN" };
                Self::err(&log::record(
                    level,
                    &diagnostic.message,
                    json!({"diagnostic": render::json(diagnostic, sources)}),
                ));
            }
        } else if !shown.is_empty() {
            let text = render::text(&shown, sources, self.errors_in_colour, self.width);
            Self::err(&plain::guarded(&text, self.errors_in_colour));
        }
    }

    /// Returns text for people as the screen's stdout may have it.
    pub(super) fn guard(&self, text: &str) -> String {
        plain::guarded(text, self.colour)
    }

    fn err(text: &str) {
        progress::above_bar(|| {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        });
    }
}

/// Returns the columns of a terminal.
fn columns_of(stream: &impl std::os::fd::AsFd) -> Option<usize> {
    terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
