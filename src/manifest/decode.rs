//! Documents → wanted states.

use std::collections::{HashMap, HashSet};

use crate::{
    diagnostic::Diagnostic,
    manifest::{
        Discovery, Overlay, Set, Targets, Variables, check, digest, envelope,
        interpolate::interpolate,
        ours::{is_ours, is_stream},
        overlay::{self, Bases},
        policy,
        provenance::Settings,
    },
    model::{Desired, ResourceId},
    provider::{Envelope, Platform},
    source::{FileId, Origin, Sources},
    yaml::{self, Content, Document, Node},
};

/// Codes of mistakes that leave a document unread, its name included.
const UNREAD: [&str; 3] = ["Y001", "Y004", "Y005"];

/// Reads what files declare, with the overlays merged over them. Everything that is wrong is reported; what decodes
/// without an error is in the set.
pub fn decode(
    sources: &Sources,
    found: &Discovery,
    platforms: &[&dyn Platform],
    targets: &Targets,
    variables: &Variables,
) -> (Set, Vec<Diagnostic>) {
    let mut decoder = Decoder {
        sources,
        platforms,
        targets,
        variables,
        set: Set { digest: digest(sources, found.all()), partial: !found.broken.is_empty(), ..Set::default() },
        diagnostics: found.broken.clone(),
        declared: HashMap::new(),
        unread: !found.broken.is_empty(),
        targetless: HashSet::new(),
    };
    let mut documents: Vec<Loaded<'_>> = Vec::new();
    for file in &found.files {
        let (mut loaded, unread) = decoder.load(*file, false);
        decoder.unread |= unread;
        documents.append(&mut loaded);
    }
    decoder.overlays(&found.overlays, &mut documents);
    for document in documents {
        decoder.document(document);
    }
    let Decoder { mut set, mut diagnostics, declared, unread, .. } = decoder;
    check::same_address(&mut set.desired, &mut diagnostics);
    check::same_object(&mut set, &mut diagnostics);
    check::references(&mut set, &declared, unread, &mut diagnostics);
    without_doubled(&mut diagnostics);
    set.provenance.name_variables(&mut diagnostics, sources, &|| variables.secrets());
    if set.unplaced {
        // Any of them may be meant, and what the base says may be what the overlay is there to prevent.
        let desired = std::mem::take(&mut set.desired);
        set.broken.extend(desired.into_iter().map(|object| object.id));
    }
    (set, diagnostics)
}

/// A document with its variables replaced.
struct Loaded<'s> {
    document: Document<'s>,
    /// Places of mistakes that were reported: what lies there is not looked at again.
    wrong: Vec<Origin>,
    /// An overlay is merged over it.
    covered: bool,
}

struct Decoder<'a> {
    sources: &'a Sources,
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

impl<'a> Decoder<'a> {
    /// Reads the documents of a file, which may be one of an overlay. Says also whether some could not be read at all.
    fn load(&mut self, file: FileId, lies_over: bool) -> (Vec<Loaded<'a>>, bool) {
        let text = self.sources.text(file);
        if is_stream(text) {
            return (Vec::new(), false);
        }
        let mut found = Vec::new();
        let documents = yaml::load(file, text, &mut found);
        let (ours, manifests): (Vec<_>, Vec<_>) =
            documents.into_iter().partition(|document| is_ours(&document.root, lies_over, self.platforms));
        found.retain(|diagnostic| !lies_in(diagnostic, ours.iter().map(|document| &document.root.origin)));
        let unread = found.iter().any(|diagnostic| UNREAD.contains(&&*diagnostic.code));
        let mistakes: Vec<Origin> =
            found.iter().filter(|found| found.is_error()).filter_map(|found| found.origin().cloned()).collect();
        self.diagnostics.append(&mut found);
        let Set { provenance, .. } = &mut self.set;
        let loaded = manifests.into_iter().map(|mut document| {
            let mut wrong = if document.sound { Vec::new() } else { mistakes.clone() };
            let unset = interpolate(&mut document.root, text, self.variables, provenance, &mut self.diagnostics);
            document.sound &= unset.is_empty();
            provenance.stand_for(std::mem::take(&mut document.aliases));
            wrong.extend(unset);
            Loaded { document, wrong, covered: false }
        });
        (loaded.collect(), unread)
    }

    /// Merges overlays over documents, one after the other.
    fn overlays(&mut self, overlays: &[Overlay], documents: &mut [Loaded<'a>]) {
        let mut bases = Bases::default();
        if !overlays.is_empty() {
            documents.iter().enumerate().for_each(|(number, loaded)| bases.add(number, &loaded.document.root));
        }
        for Overlay { directory, files, partial } in overlays {
            self.set.unplaced |= partial;
            let mut seen: HashMap<usize, Origin> = HashMap::new();
            for file in files {
                self.set.provenance.belongs(*file, directory);
                let (loaded, unread) = self.load(*file, true);
                self.set.unplaced |= unread;
                for over in loaded {
                    self.lay(over, &bases, documents, &mut seen);
                }
            }
        }
    }

    fn lay(
        &mut self,
        over: Loaded<'a>,
        bases: &Bases,
        documents: &mut [Loaded<'a>],
        seen: &mut HashMap<usize, Origin>,
    ) {
        let Document { root, origin, sound, .. } = over.document;
        let number = match bases.find(&root, &origin, self.unread) {
            Ok(number) => number,
            Err(diagnostic) => {
                self.set.unplaced = true;
                if !lies_in(&diagnostic, over.wrong.iter()) {
                    self.diagnostics.push(diagnostic);
                }
                return;
            }
        };
        let base = &mut documents[number];
        base.covered = true;
        let place = overlay::place_of_name(&root, &origin);
        if let (Some(first), Some(name)) = (seen.get(&number), overlay::name(&root)) {
            base.document.sound = false;
            self.diagnostics.push(overlay::repeated(&name, place, first));
            return;
        }
        seen.insert(number, place.clone());
        base.document.sound &= sound;
        base.wrong.extend(over.wrong);
        overlay::merge(&mut base.document.root, root, &mut self.set.provenance);
    }

    fn document(&mut self, loaded: Loaded<'_>) {
        self.set.documents += 1;
        let Loaded { document: Document { mut root, origin, sound, .. }, wrong, covered } = loaded;
        self.set.provenance.in_force(&root);
        let file = origin.file;

        let mut found = Vec::new();
        let head = envelope::read(&root, self.platforms, self.targets, &mut found);
        let id = match (head.kind, &head.name) {
            (Some(kind), Some(name)) => Some(ResourceId::new(kind.name(), name.value.clone())),
            _ => None,
        };
        if let (Some(id), Some(name)) = (&id, &head.name) {
            match self.declared.get(id) {
                Some(first) => found.push(check::repeated_name(id, &name.origin, first, self.sources)),
                None => {
                    self.declared.insert(id.clone(), name.origin.clone());
                }
            }
        }
        let mut desired = Vec::new();
        let settings = Settings::of(&root);
        let root_keys: Vec<String> = root.entries().iter().map(|(key, _)| key.key().to_owned()).collect();
        if let (Some(kind), Some(spec)) = (head.kind, spec_of(&mut root)) {
            let policy = policy::common_keys(spec, &mut found);
            // Without a name or a target, which was reported, the rest of the document is still worth a look.
            let envelope = Envelope {
                name: head.name.map(|name| name.value).unwrap_or_default(),
                target: head.target.unwrap_or_default(),
                labels: head.labels,
                origin,
            };
            desired = kind.decode(&envelope, spec, &mut found);
            too_far_left(&root_keys, &mut found);
            policy.put_on(&mut desired, spec, &mut found);
        }
        let sound = sound && !found.iter().any(Diagnostic::is_error);
        if covered && !sound {
            self.set.covered.insert(file);
        }
        desired.iter().for_each(|desired| self.set.provenance.settles(&desired.id, settings.clone()));
        self.add(id, desired, sound);
        // What follows from a mistake that was reported already would only distract from it.
        found.retain(|diagnostic| !lies_in(diagnostic, wrong.iter()));
        // A missing target is one mistake, not one of each document.
        found.retain(|found| found.code != "M008" || self.targetless.insert(found.message.clone()));
        self.diagnostics.append(&mut found);
    }

    fn add(&mut self, id: Option<ResourceId>, mut desired: Vec<Desired>, sound: bool) {
        if sound {
            self.set.desired.append(&mut desired);
        } else {
            self.set.broken.extend(id);
        }
    }
}

/// Makes one mistake of a key that stands beside `spec` and is missing in it.
fn too_far_left(root_keys: &[String], found: &mut Vec<Diagnostic>) {
    for key in root_keys {
        let unknown = format!("unknown key `{key}` in the document");
        let missing = |diagnostic: &Diagnostic| {
            diagnostic.code == "Y203" && diagnostic.message.ends_with(&format!(" needs `{key}`"))
        };
        if found.iter().any(missing) && found.iter().any(|diagnostic| diagnostic.message == unknown) {
            found.retain(|diagnostic| !missing(diagnostic));
            for problem in found.iter_mut().filter(|diagnostic| diagnostic.message == unknown) {
                problem.hint = Some("indent it: it belongs below `spec`".to_owned());
            }
        }
    }
}

/// Drops warnings about scalars that an error is about too.
fn without_doubled(diagnostics: &mut Vec<Diagnostic>) {
    let wrong: HashSet<Origin> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .filter_map(|diagnostic| diagnostic.origin().cloned())
        .collect();
    let is_doubled = |diagnostic: &Diagnostic| {
        diagnostic.code.starts_with("Y1") && diagnostic.origin().is_some_and(|at| wrong.contains(at))
    };
    diagnostics.retain(|diagnostic| !is_doubled(diagnostic));
}

/// Returns true if a diagnostic is about something within places.
fn lies_in<'o>(diagnostic: &Diagnostic, mut places: impl Iterator<Item = &'o Origin>) -> bool {
    diagnostic.origin().is_some_and(|origin| places.any(|place| place.contains(origin)))
}

/// Returns `spec`, which is a mapping or else reported by the kind.
fn spec_of<'a, 's>(root: &'a mut Node<'s>) -> Option<&'a mut Node<'s>> {
    let Content::Mapping(entries) = &mut root.content else { return None };
    entries.iter_mut().find(|(key, _)| key.key() == "spec").map(|(_, value)| value)
}
