//! Live state as a file: whole scopes of each target, the time they were read, and a digest of it all.
//!
//! The file is JSON with one line for each row, in an order that depends on the state alone.

mod read;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    model::{Refusal, Request},
    provider::scope::ScopeRows,
};

/// Version of the files: those of another number before the dot are not read.
const FORMAT_VERSION: &str = "2.0";
/// The text before the digest, which covers everything above its line.
const DIGEST: &str = "\n  \"digest\": \"sha256:";

/// The name of a scope: its operation and its arguments as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopeName {
    operation: String,
    arguments: String,
}

impl ScopeName {
    /// Returns the name of a scope.
    pub fn of(scope: &Request) -> Self {
        Self { operation: scope.operation.to_owned(), arguments: scope.arguments.to_string() }
    }

    /// Returns the operation that lists its rows.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Returns the arguments that tell its rows from those of other scopes of the operation.
    pub fn arguments(&self) -> Value {
        serde_json::from_str(&self.arguments).unwrap_or_default()
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.arguments.as_str() {
            "{}" => f.write_str(&self.operation),
            arguments => write!(f, "{} {arguments}", self.operation),
        }
    }
}

/// The result of reading a scope: its rows, or a refusal that is as good as an answer.
pub type Content = Result<Arc<ScopeRows>, Refusal>;

/// The kept state of one target.
#[derive(Debug, Default)]
pub struct TargetSnapshot {
    /// The name of its platform.
    pub platform: String,
    /// Its settings that plans depend on, and those that tell whose state it is. None is secret.
    pub settings: BTreeMap<String, String>,
    /// The scopes.
    pub scopes: BTreeMap<ScopeName, Content>,
}

/// The kept state of all targets.
#[derive(Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub taken: Timestamp,
    /// Scopes that could not be read, in words; empty where it is complete.
    pub missing: Vec<String>,
    /// The kept state, by the names of the targets.
    pub targets: BTreeMap<String, TargetSnapshot>,
}

/// Why a file is not taken for a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is no JSON document, perhaps because its end is missing.
    #[error("it is cut short or damaged: {0}")]
    Text(serde_json::Error),
    /// It is something else.
    #[error("it is no snapshot")]
    Kind,
    /// It was written by a later program, or an earlier one.
    #[error("it has the format {0}; this program reads {FORMAT_VERSION}")]
    Version(String),
    /// Something in it is not as it was written.
    #[error("it was changed or cut after it was taken: its digest does not fit")]
    Digest,
    /// Something is missing in it.
    #[error("it is damaged: {0}")]
    Shape(String),
}

impl Snapshot {
    /// Returns the number of scopes and that of the rows in them.
    pub fn size(&self) -> (usize, usize) {
        let scopes = || self.targets.values().flat_map(|target_snapshot| target_snapshot.scopes.values());
        (scopes().count(), scopes().flatten().map(|scope_rows| scope_rows.rows().len()).sum())
    }

    /// Returns the text of the file.
    pub fn to_text(&self) -> String {
        let mut text = String::from("{\n  \"apiVersion\": \"reconcile/v1\",\n  \"kind\": \"Snapshot\",\n");
        let mut line = |key: &str, value: Value| {
            let _ = writeln!(text, "  {}: {value},", json!(key));
        };
        line("format_version", json!(FORMAT_VERSION));
        line("taken", json!(self.taken.to_string()));
        line("missing", json!(self.missing));
        text += "  \"targets\": {";
        separated(&mut text, self.targets.iter(), |text, (name, target_snapshot)| {
            let (name, platform, settings) =
                (json!(name), json!(target_snapshot.platform), json!(target_snapshot.settings));
            let _ = write!(text, "\n    {name}: {{\n      \"platform\": {platform},\n      \"settings\": {settings},");
            *text += "\n      \"scopes\": [";
            separated(text, target_snapshot.scopes.iter(), scope);
            *text += "\n      ]\n    }";
        });
        text += "\n  },";
        let digest = digest(&text);
        text + DIGEST + &digest + "\"\n}\n"
    }

    /// Reads the text of a file. Nothing of a file that is not whole is used.
    pub fn from_text(text: &str) -> Result<Self, SnapshotError> {
        read::snapshot(text)
    }
}

fn scope(text: &mut String, (name, content): (&ScopeName, &Content)) {
    let (operation, arguments) = (json!(name.operation), &name.arguments);
    let _ = write!(text, "\n        {{\"operation\": {operation}, \"arguments\": {arguments}, ");
    match content {
        Ok(scope_rows) => {
            *text += "\"rows\": [";
            separated(text, scope_rows.rows().iter(), |text, row| {
                let _ = write!(text, "\n          {row}");
            });
            *text += "]}";
        }
        Err(refusal) => {
            let refusal = json!({"code": refusal.code.as_deref(), "message": refusal.message});
            let _ = write!(text, "\"refusal\": {refusal}}}");
        }
    }
}

fn separated<T>(text: &mut String, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(',');
        }
        write(text, item);
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests;
