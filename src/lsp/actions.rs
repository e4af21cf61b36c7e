//! Code actions: spellings that exist, and documents that are no longer managed.

use serde_json::{Value, json};

use super::{
    position::{byte, range, range_of},
    workspace::{Workspace, uri},
};
use crate::{
    source::{FileId, Origin},
    yaml::{self, Node},
};

impl Workspace {
    /// Returns the actions for a range of a text; `start` and `end` are lines and characters, counted from 0.
    pub fn actions(&self, path: &str, start: (usize, usize), end: (usize, usize)) -> Vec<Value> {
        let Some(file) = self.file(path) else { return Vec::new() };
        let text = self.inputs.sources.text(file);
        let (start, end) = (byte(text, start.0, start.1), byte(text, end.0, end.1));
        let mut actions = self.spellings(file, start, end);
        actions.extend(self.unmanaged(file, start));
        actions
    }

    /// Returns the replacements that diagnostics propose.
    fn spellings(&self, file: FileId, start: usize, end: usize) -> Vec<Value> {
        let sources = &self.inputs.sources;
        let within =
            |origin: &&Origin| origin.file == file && origin.range().start <= end && start <= origin.range().end;
        let proposed = self.diagnostics.iter().filter_map(|diagnostic| {
            let origin = diagnostic.origin().filter(within)?;
            let word = diagnostic.hint.as_ref()?.strip_prefix("did you mean `")?.strip_suffix("`?")?;
            Some(json!({
                "title": format!("Change to `{word}`"),
                "kind": "quickfix",
                "isPreferred": true,
                "edit": {"changes": {(uri(sources.path(file))): [
                    {"range": range(origin, sources), "newText": yaml::scalar(word)},
                ]}},
            }))
        });
        proposed.collect()
    }

    /// Returns the line that stops managing the object of the document at a byte; `None` if its `spec` is not written line
    /// by line, or has a policy.
    fn unmanaged(&self, file: FileId, at: usize) -> Option<Value> {
        let text = self.inputs.sources.text(file);
        let mut place = None;
        let visit = |root: &Node<'_>| {
            let spec = root.get("spec").filter(|spec| spec.get("policy").is_none())?;
            let (first, _) = spec.entries().first()?;
            let line = text[..first.origin.range().start].rfind('\n')? + 1;
            let indent = text.get(line..first.origin.range().start).filter(|indent| indent.trim().is_empty())?;
            // Documents are in order: the last one that begins before the place is the one around it.
            let (key, _) = root.entries().first()?;
            (key.origin.range().start <= at).then(|| (line, format!("{indent}policy: ignore\n")))
        };
        self.documents(file, |root| {
            let begins = root.entries().first().is_some_and(|(key, _)| key.origin.range().start <= at);
            if begins {
                place = visit(root);
            }
        });
        let (line, written) = place?;
        Some(json!({
            "title": "Stop managing this object (`policy: ignore`)",
            "kind": "refactor",
            "edit": {"changes": {(uri(self.inputs.sources.path(file))): [
                {"range": range_of(text, line..line), "newText": written},
            ]}},
        }))
    }
}
