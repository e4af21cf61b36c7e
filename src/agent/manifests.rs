//! The manifests in force: as they are, or the last good version where they are broken.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    error::Error,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    diagnostic::{Diagnostic, render},
    manifest::{self, DiscoverError, Discovery, Set, Targets, Variables},
    model::{Desired, Json, ResourceId},
    provider::Platform,
    source::{FileId, Origin, Sources},
};

use super::{
    changed::changed,
    settings::{Problems, Settings},
    status::ManifestStatus,
};

/// Where manifests lie and what they may refer to.
#[derive(Clone)]
pub(super) struct Location {
    pub(super) paths: Vec<PathBuf>,
    pub(super) skip: Vec<PathBuf>,
    pub(super) overlays: Vec<PathBuf>,
    pub(super) follow_links: bool,
    pub(super) allow_empty: bool,
    pub(super) platforms: &'static [&'static dyn Platform],
    pub(super) targets: Targets,
    pub(super) variables: Variables,
}

impl Location {
    /// Returns the location with other settings.
    pub(super) fn with(&self, settings: &Settings) -> Self {
        let Settings { skip, targets, variables, .. } = settings.clone();
        Self { skip, targets, variables, ..self.clone() }
    }
}

/// The manifests in force.
#[derive(Debug)]
pub struct Manifests {
    /// The texts that `desired` and `diagnostics` point into: those of the files, and the older ones of what is held.
    pub sources: Sources,
    /// Wanted states in force.
    pub desired: Vec<Desired>,
    /// Objects whose document is broken or unreadable now: their last good version is in force.
    pub held: BTreeSet<ResourceId>,
    /// SHA-256 of the paths and texts of the files.
    pub digest: String,
    /// Problems of the documents.
    pub diagnostics: Vec<Diagnostic>,
    /// Files and directories that could not be read, and why.
    pub unreadable: Vec<String>,
    /// A link or a text could not be read: what no document seems to declare may well be declared.
    pub partial: bool,
    /// There is not one document where manifests are looked for: the last of `unreadable` says so.
    pub vanished: bool,
    /// The objects that are declared otherwise than in the version before; `None` if any may be.
    pub(super) changed: Option<HashSet<ResourceId>>,
    /// The objects that say what else there may be.
    pub(super) exclusive: HashSet<ResourceId>,
    /// The files as they were decoded, for those that stay as they are.
    cache: manifest::Cache,
}

impl Manifests {
    /// Returns the diagnostics and what could not be read.
    pub fn problems(&self) -> Problems {
        Problems::of(&self.diagnostics, &self.sources, &self.unreadable)
    }

    /// Returns how many mistakes there are.
    pub fn errors(&self) -> usize {
        self.unreadable.len() + self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count()
    }

    pub(super) fn status(&self) -> ManifestStatus {
        let sorted = render::sorted(&self.diagnostics);
        let diagnostics: Vec<Value> =
            sorted.into_iter().map(|diagnostic| render::json(diagnostic, &self.sources)).collect();
        ManifestStatus {
            digest: self.digest.clone(),
            objects: self.desired.len(),
            held: self.held.iter().map(ToString::to_string).collect(),
            errors: self.errors(),
            diagnostics,
            unreadable: self.unreadable.clone(),
        }
    }
}

/// Nothing that the agent reports says how values came about.
const OPTIONS: manifest::Options =
    manifest::Options { threads: None, retain: manifest::Retain::Objects, without_places: true };

/// Reads the files. Returns nothing where they say, and cannot say, the same as before. With `anew`, what they may refer
/// to is not what it was, and so the same files may say something else.
pub(super) fn read(location: &Location, previous: Option<&Manifests>, anew: bool) -> Option<Manifests> {
    let mut sources = Sources::default();
    let Location { paths, skip, overlays, follow_links, .. } = location;
    let search = manifest::Search { paths, skip, overlays, follow_links: *follow_links };
    let found = manifest::discover(&search, &mut io::empty(), &mut sources);
    let digest = manifest::digest(&sources, found.all());
    let mut unreadable: Vec<String> = found.errors.iter().map(chain).collect();
    let unchanged = |previous: &Manifests| {
        let before = previous.unreadable.len() - usize::from(previous.vanished);
        previous.digest == digest && previous.unreadable[..before] == unreadable
    };
    if !anew && previous.is_some_and(unchanged) {
        return None;
    }
    let Location { platforms, targets, variables, .. } = location;
    let mut cache = previous.filter(|_| !anew).map(|previous| previous.cache.clone()).unwrap_or_default();
    let (set, diagnostics) =
        manifest::decode_cached(&mut cache, &OPTIONS, &sources, &found, platforms, targets, variables);
    // A directory that is not mounted, or was swept away, is empty too.
    let unread = !unreadable.is_empty() || diagnostics.iter().any(Diagnostic::is_error);
    let vanished = set.documents == 0 && !unread && !location.allow_empty;
    if vanished {
        unreadable.push(manifest::nothing(paths));
    }
    let held = previous.map(|previous| {
        let mut doubt = Doubt::new(&found, &set, &diagnostics, &sources, previous, &location.paths);
        doubt.everything |= vanished;
        hold(previous, &set, &doubt, &mut sources)
    });
    let held = held.unwrap_or_default();
    let is_sound = |manifests: &Manifests| manifests.errors() == 0 && manifests.held.is_empty() && !manifests.partial;
    let is_comparable = !anew && overlays.is_empty() && held.is_empty() && !unread && !vanished && !set.partial;
    let changed = previous
        .filter(|previous| is_comparable && is_sound(previous))
        .map(|previous| changed((&previous.desired, &previous.sources), (&set.desired, &sources)));
    let exclusive = set.desired.iter().chain(&held).filter(|object| object.exclusive).map(|object| object.id.clone());
    let exclusive = exclusive.collect();
    Some(Manifests {
        changed,
        exclusive,
        held: held.iter().map(|object| object.id.clone()).collect(),
        desired: set.desired.into_iter().chain(held).collect(),
        sources,
        digest,
        diagnostics,
        unreadable,
        vanished,
        cache,
        partial: set.partial,
    })
}

/// An open question: an object that is no longer declared may only have become unreadable.
#[derive(Debug, Default)]
struct Doubt {
    /// A directory could not be read: anything may be missing.
    everything: bool,
    /// Broken documents, and objects that contradict others.
    ids: BTreeSet<ResourceId>,
    /// Files that are broken somewhere.
    files: HashSet<Arc<str>>,
    /// Files that are there.
    present: HashSet<Arc<str>>,
    /// A broken file is new: an object whose file is gone may have moved there.
    strange: bool,
}

impl Doubt {
    fn new(
        found: &Discovery,
        set: &Set,
        diagnostics: &[Diagnostic],
        sources: &Sources,
        previous: &Manifests,
        roots: &[PathBuf],
    ) -> Self {
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
        let mut files: HashSet<Arc<str>> =
            errors.filter_map(|error| error.origin()).map(|origin| sources.path(origin.file).clone()).collect();
        files.extend(set.covered.iter().map(|file| sources.path(*file).clone()));
        // A link that leads nowhere for a moment is being replaced.
        let broken = found.broken.iter().filter_map(Diagnostic::origin);
        files.extend(broken.map(|origin| sources.path(origin.file).clone()));
        let mut everything = set.unplaced;
        for error in &found.errors {
            match error {
                DiscoverError::Walk { .. }
                | DiscoverError::Empty { .. }
                | DiscoverError::Rule { .. }
                | DiscoverError::Outside { .. } => everything = true,
                DiscoverError::Read { path, .. } => {
                    everything |= roots.contains(path);
                    files.insert(shown(path).into());
                }
            }
        }
        let known: HashSet<&Arc<str>> =
            previous.desired.iter().map(|object| previous.sources.path(object.origin.file)).collect();
        Self {
            everything,
            ids: set.broken.clone(),
            strange: files.iter().any(|file| !known.contains(file)),
            files,
            present: found.files.iter().map(|file| sources.path(*file).clone()).collect(),
        }
    }

    fn covers(&self, id: &ResourceId, file: &Arc<str>) -> bool {
        self.everything
            || self.ids.contains(id)
            || self.files.contains(file)
            || (self.strange && !self.present.contains(file))
    }
}

/// Returns the objects that were good before and are in doubt now, with the texts that they point into.
fn hold(previous: &Manifests, set: &Set, doubt: &Doubt, sources: &mut Sources) -> Vec<Desired> {
    let declared: HashSet<&ResourceId> = set.desired.iter().map(|object| &object.id).collect();
    // An object whose document was renamed must not be there twice.
    let meant: HashSet<_> = set.desired.iter().map(meaning).collect();
    let mut moved = HashMap::new();
    let held = previous.desired.iter().filter(|object| {
        !declared.contains(&object.id)
            && doubt.covers(&object.id, previous.sources.path(object.origin.file))
            && (object.locator.is_empty() || !meant.contains(&meaning(object)))
    });
    held.map(|object| carry(object, &previous.sources, sources, &mut moved)).collect()
}

/// The identity of an object on its platform, as far as its manifest says.
#[derive(PartialEq, Eq, Hash)]
struct Meaning<'a> {
    kind: &'static str,
    target: &'a str,
    locator: Vec<(&'a str, &'a Json)>,
}

fn meaning(object: &Desired) -> Meaning<'_> {
    let locator = object.locator.iter().map(|(path, located)| (&**path, &located.value)).collect();
    Meaning { kind: object.id.kind, target: &object.target, locator }
}

/// Takes an object over to newer sources, with the text it was read from: so old texts live as long as objects need
/// them, and no longer.
fn carry(object: &Desired, from: &Sources, into: &mut Sources, moved: &mut HashMap<FileId, FileId>) -> Desired {
    let mut place = |origin: &mut Origin| {
        let old = origin.file;
        origin.file = *moved.entry(old).or_insert_with(|| into.add(from.path(old).clone(), from.text(old).clone()));
    };
    let mut object = object.clone();
    place(&mut object.origin);
    object.references.iter_mut().for_each(|reference| place(&mut reference.origin));
    object.locator.iter_mut().for_each(|(_, located)| place(&mut located.origin));
    object.fields.iter_mut().for_each(|(_, located)| place(&mut located.origin));
    object
}

/// Returns a path as the reader of manifests names it.
fn shown(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}

fn chain(error: &DiscoverError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(all(test, unix))]
mod tests;
