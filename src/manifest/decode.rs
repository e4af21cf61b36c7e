//! Documents → wanted states.

use std::collections::{HashMap, HashSet};

use crate::{
    diagnostic::Diagnostic,
    kind::{Envelope, Platform},
    manifest::{Set, Targets, Variables, check, digest, envelope, interpolate::interpolate, policy},
    model::{Desired, ResourceId},
    source::{FileId, Origin, Sources},
    yaml::{self, Content, Document, Node},
};

/// What documents of our own, such as saved plans, have in `apiVersion`. They are not manifests.
const OURS: &str = "reconcile/";

/// Codes of mistakes that leave a document unread, its name included.
const UNREAD: [&str; 3] = ["Y001", "Y004", "Y005"];

/// Reads what files declare. Everything that is wrong is reported; what decodes without an error is in the set.
pub fn decode(
    sources: &Sources,
    files: &[FileId],
    platforms: &[&dyn Platform],
    targets: &Targets,
    variables: &Variables,
) -> (Set, Vec<Diagnostic>) {
    let mut decoder = Decoder {
        platforms,
        targets,
        variables,
        set: Set { digest: digest(sources, files), ..Set::default() },
        diagnostics: Vec::new(),
        declared: HashMap::new(),
        unread: false,
        targetless: HashSet::new(),
    };
    for file in files {
        decoder.file(*file, sources.text(*file));
    }
    let Decoder { mut set, mut diagnostics, declared, unread, .. } = decoder;
    check::same_address(&mut set.desired, &mut diagnostics);
    check::same_object(&mut set, &mut diagnostics);
    check::references(&mut set, &declared, unread, &mut diagnostics);
    (set, diagnostics)
}

struct Decoder<'a> {
    platforms: &'a [&'a dyn Platform],
    targets: &'a Targets,
    variables: &'a Variables,
    set: Set,
    diagnostics: Vec<Diagnostic>,
    /// All documents with a kind and a name, broken ones included, and where the name is written.
    declared: HashMap<ResourceId, Origin>,
    /// Some document could not be read at all.
    unread: bool,
    /// Messages about platforms without a target.
    targetless: HashSet<String>,
}

impl Decoder<'_> {
    fn file(&mut self, file: FileId, text: &str) {
        let mut found = Vec::new();
        let documents = yaml::load(file, text, &mut found);
        let (ours, manifests): (Vec<_>, Vec<_>) =
            documents.into_iter().partition(|document| is_ours(&document.root, self.platforms));
        found.retain(|diagnostic| !lies_in(diagnostic, ours.iter().map(|document| &document.root.origin)));
        self.unread |= found.iter().any(|diagnostic| UNREAD.contains(&diagnostic.code));
        let wrong: Vec<Origin> =
            found.iter().filter(|found| found.is_error()).filter_map(|found| found.origin().cloned()).collect();
        self.diagnostics.append(&mut found);
        for document in manifests {
            self.document(document, text, &wrong);
        }
    }

    fn document(&mut self, document: Document<'_>, text: &str, wrong: &[Origin]) {
        self.set.documents += 1;
        let Document { mut root, origin, mut sound } = document;
        let wrong = if sound { &[] } else { wrong };
        let unset = interpolate(&mut root, text, self.variables, &mut self.diagnostics);
        sound &= unset.is_empty();

        let mut found = Vec::new();
        let head = envelope::read(&root, self.platforms, self.targets, &mut found);
        let id = match (head.kind, &head.name) {
            (Some(kind), Some(name)) => Some(ResourceId { kind: kind.name(), key: name.value.clone() }),
            _ => None,
        };
        if let (Some(id), Some(name)) = (&id, &head.name) {
            match self.declared.get(id) {
                Some(first) => found.push(check::repeated_name(id, &name.origin, first)),
                None => {
                    self.declared.insert(id.clone(), name.origin.clone());
                }
            }
        }
        let mut desired = Vec::new();
        if let (Some(kind), Some(spec)) = (head.kind, spec_of(&mut root)) {
            let policy = policy::take(spec, &mut found);
            // Without a name or a target, which was reported, the rest of the document is still worth a look.
            let envelope = Envelope {
                name: head.name.map(|name| name.value).unwrap_or_default(),
                target: head.target.unwrap_or_default(),
                labels: head.labels,
                origin,
            };
            desired = kind.decode(&envelope, spec, &mut found);
            policy.put_on(&mut desired, &envelope.name, spec, &mut found);
        }
        self.take(id, desired, sound && !found.iter().any(Diagnostic::is_error));
        // What follows from a mistake that was reported already would only distract from it.
        found.retain(|diagnostic| !lies_in(diagnostic, wrong.iter().chain(&unset)));
        // A missing target is one mistake, not one of each document.
        found.retain(|found| found.code != "M008" || self.targetless.insert(found.message.clone()));
        self.diagnostics.append(&mut found);
    }

    fn take(&mut self, id: Option<ResourceId>, mut desired: Vec<Desired>, sound: bool) {
        if sound {
            self.set.desired.append(&mut desired);
        } else {
            self.set.broken.extend(id);
        }
    }
}

/// Says whether a document belongs to the program itself: a configuration, a plan, or the state of a sandbox, whose
/// keys are the names of platforms.
fn is_ours(root: &Node<'_>, platforms: &[&dyn Platform]) -> bool {
    let is_state = !root.entries().is_empty()
        && root.entries().iter().all(|(key, _)| platforms.iter().any(|platform| platform.name() == key.key()));
    is_state || root.get("apiVersion").and_then(Node::as_text).is_some_and(|version| version.starts_with(OURS))
}

/// Says whether a diagnostic is about something within places.
fn lies_in<'o>(diagnostic: &Diagnostic, mut places: impl Iterator<Item = &'o Origin>) -> bool {
    diagnostic.origin().is_some_and(|origin| places.any(|place| place.contains(origin)))
}

/// Returns `spec`, which is a mapping or else reported by the kind.
fn spec_of<'a, 's>(root: &'a mut Node<'s>) -> Option<&'a mut Node<'s>> {
    let Content::Mapping(entries) = &mut root.content else { return None };
    entries.iter_mut().find(|(key, _)| key.key() == "spec").map(|(_, value)| value)
}
