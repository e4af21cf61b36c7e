//! Finds out who changed what differs.

use std::collections::HashMap;

use super::{connection::Reader, observe::round};
use crate::{
    model::{Action, Change, Desired, ResourceId, author::Changed},
    plan::{Plan, Scene},
};

/// Who changed what, by object and path; the path of an object that is made or removed is empty.
#[derive(Debug, Default)]
pub struct Trace(HashMap<(ResourceId, String), Changed>);

impl Trace {
    /// Returns the last change of a field of an object.
    pub fn of(&self, id: &ResourceId, path: &str) -> Changed {
        self.0.get(&(id.clone(), path.to_owned())).cloned().unwrap_or_else(Changed::unknown)
    }

    /// Returns the last changes of all that a change of an object is about: its fields, or the object itself.
    pub fn all<'c>(&self, change: &'c Change) -> Vec<(&'c str, Changed)> {
        let paths: Vec<&str> = match change.action {
            Action::Update => change.fields.iter().map(|field| field.path.as_str()).collect(),
            Action::Create | Action::Delete => vec![""],
        };
        paths.into_iter().map(|path| (path, self.of(&change.id, path))).collect()
    }
}

/// Asks who changed what differs, of what is to be changed and of what is only reported. A read that fails makes the
/// answer worse, and nothing else.
pub async fn trace(readers: &[Reader], scenes: &mut [Scene<'_>], plan: &Plan) -> Trace {
    let mut trace = Trace::default();
    for scene in scenes {
        let Some(reader) = readers.iter().find(|reader| reader.target().name == scene.target) else { continue };
        for kind in scene.platform.kinds() {
            let known = loop {
                let objects: HashMap<&ResourceId, &Desired> = scene.declared().map(|one| (&one.id, one)).collect();
                let changes = plan.changes.iter().chain(&plan.reported);
                let changes = changes.filter(|one| one.target == scene.target && one.id.kind == kind.name());
                let planned: Vec<_> =
                    changes.filter_map(|change| Some(scene.planned(objects.get(&change.id)?, change))).collect();
                let authors = kind.changed(&planned, &scene.facts);
                if authors.ask.is_empty() {
                    break authors.known;
                }
                round(reader, authors.ask, &mut scene.facts).await;
            };
            trace.0.extend(known.into_iter().map(|(id, path, changed)| ((id, path), changed)));
        }
    }
    trace
}
