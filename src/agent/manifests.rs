//! The manifests in force: as they are, or the last good version where they are broken.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    error::Error,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    diagnostic::{Diagnostic, render},
    manifest::{self, DiscoverError, Discovery, KnownFiles, Set, Targets, Variables},
    model::{Desired, Json, ResourceId},
    provider::Platform,
    source::{FileId, Origin, Sources},
};

use super::{
    addresses::Addresses,
    changed::{Changes, changes},
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
    /// Wanted states in force. Those of files that stayed as they were are shared with the version before.
    pub desired: Vec<Arc<Desired>>,
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
    /// The number of the version, counted from the start of the agent.
    pub(super) number: u64,
    /// The differences from the version before; `None` if any object may be declared otherwise.
    pub(super) changes: Option<Changes>,
    /// The objects that say what else there may be.
    pub(super) exclusive: HashSet<ResourceId>,
    /// What finds objects by their addresses.
    pub(super) addresses: Addresses,
    /// The number of objects on each target.
    pub(super) by_target: BTreeMap<Arc<str>, usize>,
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

/// Reads the files; `known` remembers them. Returns nothing where they say, and cannot say, the same as before. With `anew`,
/// what they may refer to is not what it was, and so the same files may say something else.
pub(super) fn read(
    location: &Location,
    known: &mut KnownFiles,
    previous: Option<&Manifests>,
    anew: bool,
) -> Option<Manifests> {
    let mut sources = Sources::default();
    let Location { paths, skip, overlays, follow_links, .. } = location;
    let search = manifest::Search { paths, skip, overlays, follow_links: *follow_links };
    let mut found = manifest::discover_changed(&search, &mut io::empty(), known, &mut sources);
    let digest = manifest::digest(&sources, found.all());
    let mut unreadable: Vec<String> = found.errors.iter().map(chain).collect();
    let unchanged = |previous: &Manifests| {
        let before = previous.unreadable.len() - usize::from(previous.vanished);
        previous.digest == digest && previous.unreadable[..before] == unreadable
    };
    if !anew && previous.is_some_and(unchanged) {
        return None;
    }
    // Manifests without any mistake are compared with the version before.
    let sound = previous.filter(|previous| !anew && overlays.is_empty() && previous.is_sound());
    if let Some(before) = sound.filter(|_| unreadable.is_empty() && found.broken.is_empty()) {
        sources = number_as_before(sources, &mut found, &before.sources);
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
    let is_in_doubt =
        unread || vanished || set.partial || set.unplaced || !set.broken.is_empty() || !set.covered.is_empty();
    let held = previous.filter(|_| is_in_doubt).map(|previous| {
        let mut doubt = Doubt::new(&found, &set, &diagnostics, &sources, previous, &location.paths);
        doubt.everything |= vanished;
        hold(previous, &set, &doubt, &mut sources)
    });
    let changes = sound.filter(|_| !is_in_doubt).map(|before| changes(&before.desired, &set.desired));
    let held = held.unwrap_or_default();
    let ids = held.iter().map(|object| object.id.clone()).collect();
    let mut desired = set.desired;
    desired.extend(held);
    let (exclusive, by_target) = match (&changes, previous) {
        (Some(changes), Some(previous)) => previous.sums_after(changes),
        _ => sums(&desired),
    };
    let addresses = Addresses::of(&desired, previous.map(|previous| (&*previous.desired, &previous.addresses)));
    Some(Manifests {
        addresses,
        number: previous.map_or(0, |previous| previous.number + 1),
        changes,
        exclusive,
        by_target,
        held: ids,
        desired,
        sources,
        digest,
        diagnostics,
        unreadable,
        vanished,
        cache,
        partial: set.partial,
    })
}

/// What is known of objects all together: those that say what else there may be, and the number of objects on each target.
type Sums = (HashSet<ResourceId>, BTreeMap<Arc<str>, usize>);

fn sums(desired: &[Arc<Desired>]) -> Sums {
    let mut by_target = BTreeMap::new();
    desired.iter().for_each(|object| *by_target.entry(object.target.clone()).or_default() += 1);
    let exclusive = desired.iter().filter(|object| object.exclusive).map(|object| object.id.clone());
    (exclusive.collect(), by_target)
}

impl Manifests {
    /// Returns the sums of the version that differs by `changes`.
    fn sums_after(&self, changes: &Changes) -> Sums {
        let (mut exclusive, mut by_target) = (self.exclusive.clone(), self.by_target.clone());
        for object in &changes.before {
            exclusive.remove(&object.id);
            if let Some(count) = by_target.get_mut(&object.target) {
                *count -= 1;
            }
        }
        by_target.retain(|_, count| *count > 0);
        let (more, counts) = sums(&changes.after);
        exclusive.extend(more);
        counts.into_iter().for_each(|(target, count)| *by_target.entry(target).or_default() += count);
        (exclusive, by_target)
    }

    /// Returns the numbers of the objects with some addresses, in ascending order.
    pub(super) fn find<'i>(&self, ids: impl IntoIterator<Item = &'i ResourceId>) -> Vec<usize> {
        self.addresses.find(&self.desired, ids)
    }

    fn is_sound(&self) -> bool {
        self.errors() == 0 && self.held.is_empty() && !self.partial
    }
}

/// How many numbers of files that are gone are kept for each file that is there.
const GONE: usize = 2;

/// Gives files the numbers that they had before, so that the places in those that stay are the same, and returns the
/// sources in that order. New files come last; the numbers of files that are gone are kept for them to come back.
fn number_as_before(sources: Sources, found: &mut Discovery, before: &Sources) -> Sources {
    let is_like_before =
        sources.files().map(|file| sources.path(file)).eq(before.files().map(|file| before.path(file)));
    let count = found.files.len();
    if is_like_before || before.files().count() > count * GONE {
        return sources;
    }
    let by_path: HashMap<&Arc<str>, FileId> = found.files.iter().map(|file| (sources.path(*file), *file)).collect();
    let (mut numbered, mut numbers) = (Sources::default(), HashMap::new());
    for file in before.files() {
        match by_path.get(before.path(file)) {
            Some(now) => _ = numbers.insert(*now, numbered.add_shared(sources.share(*now))),
            None => _ = numbered.add(before.path(file).clone(), ""),
        }
    }
    for file in &mut found.files {
        *file = *numbers.entry(*file).or_insert_with(|| numbered.add_shared(sources.share(*file)));
    }
    numbered
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
        set: &Set<Arc<Desired>>,
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
fn hold(previous: &Manifests, set: &Set<Arc<Desired>>, doubt: &Doubt, sources: &mut Sources) -> Vec<Arc<Desired>> {
    let declared: HashSet<&ResourceId> = set.desired.iter().map(|object| &object.id).collect();
    // An object whose document was renamed must not be there twice.
    let meant: HashSet<_> = set.desired.iter().map(|object| meaning(object)).collect();
    let mut moved = HashMap::new();
    let held = previous.desired.iter().filter(|object| {
        !declared.contains(&object.id)
            && doubt.covers(&object.id, previous.sources.path(object.origin.file))
            && (object.locator.is_empty() || !meant.contains(&meaning(object)))
    });
    held.map(|object| Arc::new(carry(object, &previous.sources, sources, &mut moved))).collect()
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
