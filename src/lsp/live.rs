//! What is known of live objects, beside the texts that an editor has by now.

use std::{collections::HashMap, ops::Range, sync::Arc};

use serde_json::{Value, json};

use super::{
    position::{byte, position},
    shift::Shift,
    workspace::Workspace,
};
use crate::{
    diagnostic::{Diagnostic, Label},
    provider::Catalog,
    source::{FileId, Origin, Sources},
};

/// What a snapshot tells about manifests as they were when it was read.
#[derive(Debug, Default)]
pub struct Live {
    /// The texts as they were.
    pub sources: Arc<Sources>,
    /// What the definitions in the snapshot say about documents.
    pub diagnostics: Vec<Diagnostic>,
    /// Values that are not as they are live, each with what is live.
    pub hints: Vec<(Origin, String)>,
    /// Definitions of fields, and names.
    pub catalog: Catalog,
}

/// Where files of the texts that the live objects were compared with are now, with what was edited.
type Shifts = HashMap<FileId, Option<(FileId, Shift)>>;

impl Workspace {
    /// Takes over what a snapshot tells.
    pub fn set_live(&mut self, live: Live) {
        self.live = live;
    }

    /// Returns what a snapshot told.
    pub fn into_live(self) -> Live {
        self.live
    }

    /// Returns the byte of the text that live objects were compared with; `None` if what stands there was edited since.
    pub fn compared_at(&self, path: &str, line: usize, character: usize) -> Option<(FileId, usize)> {
        let text = self.text(path)?;
        let old = self.live.sources.files().find(|file| **self.live.sources.path(*file) == *path)?;
        let shift = Shift::between(self.live.sources.text(old), text);
        Some((old, shift.back(byte(text, line, character))?))
    }

    /// Returns where a place of the text that live objects were compared with is now; `None` if it was edited since.
    pub fn now_at(&self, origin: &Origin) -> Option<(Arc<str>, Range<usize>)> {
        let now = self.moved(origin, &mut Shifts::new())?;
        Some((self.inputs.sources.path(now.file).clone(), now.range()))
    }

    /// Returns the hints that lie within lines of a text.
    pub fn hints(&self, path: &str, first: usize, last: usize) -> Vec<Value> {
        let mut shifts = Shifts::new();
        let own = self.live.hints.iter().filter(|(origin, _)| **self.live.sources.path(origin.file) == *path);
        let shown = own.filter_map(|(origin, live)| {
            let now = self.moved(origin, &mut shifts)?;
            let place = position(self.inputs.sources.text(now.file), now.range().end);
            let line = place["line"].as_u64().and_then(|line| usize::try_from(line).ok())?;
            (first..=last).contains(&line).then(|| json!({"position": place, "label": live, "paddingLeft": true}))
        });
        shown.collect()
    }

    /// Returns what the definitions in the snapshot say, by the places as they are now.
    pub(super) fn live_diagnostics(&self) -> Vec<Diagnostic> {
        let mut shifts = Shifts::new();
        let moved = |diagnostic: &Diagnostic| {
            let labels = diagnostic.labels.iter().enumerate().filter_map(|(at, label)| {
                let origin = self.moved(&label.origin, &mut shifts);
                (at == 0 || origin.is_some()).then_some(origin.map(|origin| Label { origin, text: label.text.clone() }))
            });
            // Without the place that it is about, a message is about nothing.
            let labels: Option<Vec<Label>> = labels.collect();
            Some(Diagnostic { labels: labels?, ..diagnostic.clone() })
        };
        self.live.diagnostics.iter().filter_map(moved).collect()
    }

    fn moved(&self, origin: &Origin, shifts: &mut Shifts) -> Option<Origin> {
        let known = shifts.entry(origin.file).or_insert_with(|| {
            let old = &self.live.sources;
            let now = self.file(old.path(origin.file))?;
            Some((now, Shift::between(old.text(origin.file), self.inputs.sources.text(now))))
        });
        let (file, shift) = known.as_ref()?;
        Some(Origin::new(*file, shift.forward(&origin.range())?))
    }
}
