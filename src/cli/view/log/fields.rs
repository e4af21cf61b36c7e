//! The fields of one line of the log, as text and as JSON.
//!
//! Diagnostics come twice: as a text for people, in [`PROBLEMS_TEXT`], and as JSON for programs, in [`DIAGNOSTICS`]. Each
//! format shows the one that is meant for it.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
    layer::{Context, Layer},
};

use super::record;

const MESSAGE: &str = "message";
const PROBLEMS_TEXT: &str = "problems_text";
const DIAGNOSTICS: &str = "diagnostics";

/// Writes the fields of lines for people.
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = TextLine { writer, problems: String::new(), is_first: true, result: Ok(()) };
        fields.record(&mut line);
        line.result?;
        write!(line.writer, "{}", line.problems)
    }
}

struct TextLine<'w> {
    writer: Writer<'w>,
    /// The text of the diagnostics, which stands below the line.
    problems: String,
    is_first: bool,
    result: fmt::Result,
}

impl TextLine<'_> {
    fn write(&mut self, name: &str, value: &dyn fmt::Debug) -> fmt::Result {
        if !std::mem::replace(&mut self.is_first, false) {
            self.writer.write_char(' ')?;
        }
        match name {
            MESSAGE => write!(self.writer, "{value:?}"),
            _ if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value:?}")
            }
            _ => write!(self.writer, "{name}={value:?}"),
        }
    }
}

impl Visit for TextLine<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            DIAGNOSTICS => {}
            PROBLEMS_TEXT if value.is_empty() => {}
            PROBLEMS_TEXT => self.problems = format!("\n{}", value.trim_end()),
            MESSAGE => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.result.is_ok() {
            self.result = self.write(field.name(), value);
        }
    }
}

/// Writes each line as one JSON document.
pub(super) struct JsonLines;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = JsonLine::default();
        event.record(&mut line);
        super::Ui::err(&record(event.metadata().level().as_str(), &line.message, Value::Object(line.fields)));
    }
}

#[derive(Default)]
struct JsonLine {
    message: String,
    fields: Map<String, Value>,
}

impl JsonLine {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for JsonLine {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            MESSAGE => value.clone_into(&mut self.message),
            PROBLEMS_TEXT => {}
            DIAGNOSTICS => self.add(field, serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))),
            _ => self.add(field, value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == MESSAGE { self.message = text } else { self.add(field, text) }
    }
}
