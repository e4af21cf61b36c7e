//! Documents → wanted states.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use foldhash::fast::RandomState;

use crate::{
    diagnostic::Diagnostic,
    manifest::{
        Discovery, Overlay, Provenance, Set, Targets, Variables, check, envelope,
        interpolate::interpolate,
        ours::{is_ours, is_stream},
        overlay::{self, Bases},
        policy,
        provenance::Settings,
    },
    model::{Common, Desired, Fields, Json, Labels, Locator, ResourceId, policy::Policies},
    parallel,
    provider::{Envelope, Platform},
    source::{FileId, Origin, Sources},
    yaml::{self, Content, Document, Node},
};

/// Codes of mistakes that leave a document unread, its name included.
const UNREAD: [&str; 3] = ["Y001", "Y004", "Y005"];

/// What is kept of what the documents say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retain {
    /// Everything.
    #[default]
    Objects,
    /// The addresses, targets and labels of objects: enough to check a selection, not to plan.
    Labels,
    /// The addresses and targets of objects.
    Addresses,
}

/// How documents are decoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Number of threads; by default one for each processor, and fewer for little text. The result is the same.
    pub threads: Option<NonZeroUsize>,
    /// The parts of the objects that are returned.
    pub retain: Retain,
    /// Leaves out of the provenance where values are written, which only reports about values need.
    pub without_places: bool,
}

/// Bytes of text that are worth a thread of their own.
const SHARE: usize = 128 << 10;

/// All that files are decoded with.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// How documents are decoded.
    pub options: &'a Options,
    /// The texts of the files.
    pub sources: &'a Sources,
    /// The files.
    pub found: &'a Discovery,
    /// The platforms.
    pub platforms: &'a [&'a dyn Platform],
    /// The targets that documents may name.
    pub targets: &'a Targets,
    /// The variables.
    pub variables: &'a Variables,
}

impl Options {
    pub(super) fn threads(&self, sources: &Sources, found: &Discovery) -> NonZeroUsize {
        self.threads.unwrap_or_else(|| {
            let bytes: usize = found.all().map(|file| sources.text(file).len()).sum();
            NonZeroUsize::new(bytes / SHARE).unwrap_or(NonZeroUsize::MIN).min(parallel::threads())
        })
    }
}

/// Reads what files declare, with the overlays merged over them. Everything that is wrong is reported; what decodes
/// without an error is in the set.
pub fn decode(
    sources: &Sources,
    found: &Discovery,
    platforms: &[&dyn Platform],
    targets: &Targets,
    variables: &Variables,
) -> (Set, Vec<Diagnostic>) {
    decode_with(&Options::default(), sources, found, platforms, targets, variables)
}

/// Reads what files declare, as [`decode`] does, with options.
///
/// Files are independent until all are read: threads take them one by one and drop each tree as soon as it is decoded.
/// What follows from several documents is worked out in the order of the files.
pub fn decode_with(
    options: &Options,
    sources: &Sources,
    found: &Discovery,
    platforms: &[&dyn Platform],
    targets: &Targets,
    variables: &Variables,
) -> (Set, Vec<Diagnostic>) {
    let reader = Reader::new(&Context { options, sources, found, platforms, targets, variables });
    let (set, diagnostics) = reader.decode_all(found, |id| reader.decode_file(id));
    (set.into(), diagnostics)
}

/// A document as it is decoded: variables are replaced, overlays are merged over it.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Its tree. Each value has the place that decided it.
    pub root: Node<'static>,
    /// The first line of the document of the base.
    pub origin: Origin,
}

/// Reads what files declare, as [`decode`] does, and returns the documents as they are decoded too, in their order.
pub fn resolve(
    sources: &Sources,
    found: &Discovery,
    platforms: &[&dyn Platform],
    targets: &Targets,
    variables: &Variables,
) -> (Set, Vec<Diagnostic>, Vec<Resolved>) {
    let (options, common) = (&Options::default(), CommonPool::default());
    let resolved = Some(Mutex::default());
    let reader = Reader { sources, platforms, targets, variables, options, common, resolved };
    let (set, diagnostics) = reader.decode_all(found, |id| reader.decode_file(id));
    let resolved = reader.resolved.unwrap_or_default().into_inner();
    let mut resolved = resolved.unwrap_or_else(PoisonError::into_inner);
    resolved.sort_by_key(|document| document.origin.order());
    (set.into(), diagnostics, resolved)
}

/// Reads what files declare, as [`decode_with`] does, and decodes only the files that changed since the cache was used
/// last. The result is the same; objects of the other files are those of the last time. Platforms, targets, variables and options have to be those of the last time.
pub fn decode_cached(
    cache: &mut Cache,
    options: &Options,
    sources: &Sources,
    found: &Discovery,
    platforms: &[&dyn Platform],
    targets: &Targets,
    variables: &Variables,
) -> (Set<Arc<Desired>>, Vec<Diagnostic>) {
    let reader = Reader::new(&Context { options, sources, found, platforms, targets, variables });
    let current = Mutex::new(HashMap::new());
    let decoded = AtomicUsize::new(0);
    let all = reader.decode_all(found, |id| {
        let digest = sources.digest(id);
        let known = cache.files.get(&id).filter(|known| known.digest == digest).cloned();
        let file = known.unwrap_or_else(|| {
            decoded.fetch_add(1, Ordering::Relaxed);
            Arc::new(CachedFile { digest, content: reader.decode_file(id) })
        });
        current.lock().unwrap_or_else(PoisonError::into_inner).insert(id, file.clone());
        file.content.clone()
    });
    let files = current.into_inner().unwrap_or_else(PoisonError::into_inner);
    *cache = Cache { files, decoded: decoded.into_inner() };
    all
}

/// Files that were decoded, to be used again while they stay as they are. With overlays it stays empty.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    /// By the file's number, which is in all places: a file before it that comes or goes makes it a new one.
    files: HashMap<FileId, Arc<CachedFile>>,
    decoded: usize,
}

impl Cache {
    /// Returns how many files were decoded the last time, and not taken from the cache.
    pub fn decoded(&self) -> usize {
        self.decoded
    }
}

#[derive(Debug)]
struct CachedFile {
    /// SHA-256 of its path and text.
    digest: [u8; 32],
    content: (File, Vec<Decoded>),
}

/// A document with its variables replaced.
#[derive(Debug, Clone)]
pub(super) struct Loaded<'s> {
    pub(super) document: Document<'s>,
    /// Places of mistakes that were reported: what lies there is not looked at again.
    pub(super) wrong: Vec<Origin>,
    /// An overlay is merged over it.
    covered: bool,
}

impl Loaded<'_> {
    /// Returns the document without its text.
    pub(super) fn into_owned(self) -> Loaded<'static> {
        let Self { document: Document { root, origin, sound, aliases }, wrong, covered } = self;
        Loaded { document: Document { root: root.into_owned(), origin, sound, aliases }, wrong, covered }
    }

    /// Reports where the document lies over none of the bases, unless a mistake there was reported before.
    pub(super) fn report(&self, misplaced: Diagnostic, diagnostics: &mut Vec<Diagnostic>) {
        if !lies_in(&misplaced, self.wrong.iter()) {
            diagnostics.push(misplaced);
        }
    }
}

/// The findings of reading a file, beside its documents.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Some document could not be read at all.
    pub(super) unread: bool,
    pub(super) provenance: Provenance,
}

/// A document that was decoded for itself.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    file: FileId,
    /// Its address, and where its name is written.
    pub(super) id: Option<(ResourceId, Origin)>,
    /// A mistake was reported where its name is written.
    is_name_wrong: bool,
    /// Its problems; the first `head` are those of its envelope.
    pub(super) found: Vec<Diagnostic>,
    head: usize,
    pub(super) objects: Vec<Object>,
    pub(super) sound: bool,
    covered: bool,
}

/// A wanted state, and the part of it that finds the live object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) desired: Arc<Desired>,
    /// The locator as JSON; `None` for an empty one.
    pub(super) locator: Option<Arc<str>>,
}

/// Reads and decodes files, each for itself.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    platforms: &'a [&'a dyn Platform],
    targets: &'a Targets,
    variables: &'a Variables,
    options: &'a Options,
    common: CommonPool,
    /// The documents as they are decoded, where these are asked for.
    resolved: Option<Mutex<Vec<Resolved>>>,
}

/// The names and labels that the objects so far have in common, for each thread. Threads do not wait for each other.
#[derive(Default)]
struct CommonPool(Mutex<Vec<Common>>);

impl CommonPool {
    fn take(&self) -> Common {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn put(&self, common: Common) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(common);
    }
}

impl<'a> Reader<'a> {
    /// Returns a reader of files with what they are decoded with.
    pub(super) fn new(context: &Context<'a>) -> Self {
        let Context { options, sources, platforms, targets, variables, .. } = *context;
        Self { sources, platforms, targets, variables, options, common: CommonPool::default(), resolved: None }
    }

    /// Decodes all files; `of_file` reads and decodes one, unless there are overlays.
    fn decode_all(
        &self,
        found: &'a Discovery,
        of_file: impl Fn(FileId) -> (File, Vec<Decoded>) + Sync,
    ) -> (Set<Arc<Desired>>, Vec<Diagnostic>) {
        let Self { sources, variables, options, .. } = self;
        let threads = options.threads(sources, found);
        let set = Set { partial: !found.broken.is_empty(), ..Set::default() };
        let mut gathered = Gathered { set, ..Gathered::new(sources, variables) };
        let mut diagnostics = found.broken.clone();
        let mut unread = !found.broken.is_empty();
        if found.overlays.is_empty() {
            parallel::in_order(threads, found.files.clone(), of_file, |(mut file, documents)| {
                diagnostics.append(&mut file.diagnostics);
                unread |= file.unread;
                gathered.set.provenance.absorb(file.provenance);
                documents.into_iter().for_each(|document| gathered.add(document));
            });
        } else {
            let covered = Covered { reader: self, threads, overlays: &found.overlays };
            covered.decode(&found.files, &mut diagnostics, &mut unread, &mut gathered);
        }
        diagnostics.append(&mut gathered.diagnostics);
        (gathered.checked(unread, &mut diagnostics), diagnostics)
    }

    /// Reads the documents of a file, which may be one of an overlay.
    pub(super) fn load(&self, id: FileId, lies_over: bool) -> (File, Vec<Loaded<'a>>) {
        let text = self.sources.text(id);
        let mut file = File::default();
        if is_stream(text) {
            return (file, Vec::new());
        }
        let mut found = Vec::new();
        let documents = yaml::load(id, text, &mut found);
        let (ours, manifests): (Vec<_>, Vec<_>) =
            documents.into_iter().partition(|document| is_ours(&document.root, lies_over, self.platforms));
        if !found.is_empty() {
            found.retain(|diagnostic| !lies_in(diagnostic, ours.iter().map(|document| &document.root.origin)));
        }
        file.unread = found.iter().any(|diagnostic| UNREAD.contains(&&*diagnostic.code));
        let mistakes: Vec<Origin> =
            found.iter().filter(|found| found.is_error()).filter_map(|found| found.origin().cloned()).collect();
        file.diagnostics.append(&mut found);
        // A `$` may be escaped in quotes.
        let has_variables = text.as_bytes().contains(&b'$') || text.as_bytes().contains(&b'\\');
        let loaded = manifests.into_iter().map(|mut document| {
            let mut wrong = if document.sound { Vec::new() } else { mistakes.clone() };
            if has_variables {
                let File { diagnostics, provenance, .. } = &mut file;
                let unset = interpolate(&mut document.root, text, self.variables, provenance, diagnostics);
                document.sound &= unset.is_empty();
                wrong.extend(unset);
            }
            file.provenance.stand_for(std::mem::take(&mut document.aliases));
            Loaded { document, wrong, covered: false }
        });
        let loaded = loaded.collect();
        (file, loaded)
    }

    /// Reads the documents of a file and decodes them.
    pub(super) fn decode_file(&self, id: FileId) -> (File, Vec<Decoded>) {
        let (mut file, documents) = self.load(id, false);
        let decoded: Vec<Decoded> =
            documents.into_iter().map(|document| self.decode(document, &mut file.provenance)).collect();
        file.provenance.sort();
        (file, decoded)
    }

    /// Decodes a document, as far as that can be done without the others.
    pub(super) fn decode(&self, loaded: Loaded<'_>, provenance: &mut Provenance) -> Decoded {
        let Loaded { document: Document { mut root, origin, sound, .. }, wrong, covered } = loaded;
        if !self.options.without_places {
            provenance.in_force(&root);
        }
        if let Some(resolved) = &self.resolved {
            let document = Resolved { root: root.clone().into_owned(), origin: origin.clone() };
            resolved.lock().unwrap_or_else(PoisonError::into_inner).push(document);
        }
        let file = origin.file;
        let mut found = Vec::new();
        let head = envelope::read(&root, self.platforms, self.targets, &mut found);
        let id = match (head.kind, &head.name) {
            (Some(kind), Some(name)) => Some((ResourceId::new(kind.name(), name.value.clone()), name.origin.clone())),
            _ => None,
        };
        let mut of_envelope = found.len();
        let mut desired = Vec::new();
        let settings = if self.options.without_places { Settings::default() } else { Settings::of(&root) };
        if let (Some(kind), Some((root_keys, spec))) = (head.kind, spec_of(&mut root)) {
            let policy = policy::common_keys(spec, &mut found);
            // Without a name or a target, which was reported, the rest of the document is still worth a look.
            let envelope = Envelope {
                name: head.name.map(|name| name.value).unwrap_or_default(),
                target: head.target.unwrap_or_default(),
                labels: head.labels,
                origin,
            };
            desired = kind.decode(&envelope, spec, &mut found);
            too_far_left(&root_keys, &mut found, &mut of_envelope);
            policy.put_on(&mut desired, spec, self.targets, &mut found);
        }
        let sound = sound && !found.iter().any(Diagnostic::is_error);
        desired.iter().for_each(|desired| provenance.settles(&desired.id, &settings));
        // What follows from a mistake that was reported already would only distract from it.
        retain(&mut found, &mut of_envelope, |diagnostic| !lies_in(diagnostic, wrong.iter()));
        let is_name_wrong = id.as_ref().is_some_and(|(_, name)| wrong.iter().any(|place| place.contains(name)));
        let desired = if sound { desired } else { Vec::new() };
        let objects = desired.into_iter().map(|desired| self.object(desired)).collect();
        Decoded { file, id, is_name_wrong, found, head: of_envelope, objects, sound, covered }
    }

    fn object(&self, mut desired: Desired) -> Object {
        let locator = (!desired.locator.is_empty()).then(|| locator_text(&desired.locator).into());
        if self.options.retain != Retain::Objects {
            desired.locator = Locator::new();
            desired.fields = Fields::new();
            desired.policies = Policies::default();
            desired.suspended = None;
        }
        if self.options.retain == Retain::Addresses {
            desired.labels = Labels::default();
        }
        let mut common = self.common.take();
        desired.share(&mut common);
        self.common.put(common);
        Object { desired: Arc::new(desired), locator }
    }
}

/// Returns a locator as JSON. Its names are in order.
fn locator_text(locator: &Locator) -> String {
    let locator: BTreeMap<&str, &Json> = locator.iter().map(|(path, located)| (&**path, &located.value)).collect();
    serde_json::to_string(&locator).unwrap_or_default()
}

/// Base documents over which overlays are merged, one after the other.
struct Covered<'a, 'r> {
    reader: &'r Reader<'a>,
    threads: NonZeroUsize,
    overlays: &'a [Overlay],
}

/// A document of the base.
pub(super) enum Base<'a> {
    /// No overlay is about it.
    Decoded(Box<Decoded>),
    /// An overlay names it.
    Loaded(Box<Loaded<'a>>),
}

impl Base<'_> {
    /// Returns the document without its text.
    pub(super) fn into_owned(self) -> Base<'static> {
        match self {
            Self::Decoded(decoded) => Base::Decoded(decoded),
            Self::Loaded(loaded) => Base::Loaded(Box::new(loaded.into_owned())),
        }
    }
}

impl<'a> Covered<'a, '_> {
    fn decode(
        &self,
        files: &[FileId],
        diagnostics: &mut Vec<Diagnostic>,
        unread: &mut bool,
        gathered: &mut Gathered<'_>,
    ) {
        let mut overs: Vec<(File, Vec<Loaded<'a>>)> = Vec::new();
        let of_overlays = self.overlays.iter().flat_map(|overlay| overlay.files.iter().copied()).collect();
        parallel::in_order(self.threads, of_overlays, |file| self.reader.load(file, true), |over| overs.push(over));
        let documents = overs.iter().flat_map(|(_, documents)| documents);
        let wanted: HashSet<overlay::Name> =
            documents.filter_map(|loaded| overlay::name(&loaded.document.root)).collect();

        let mut bases = Bases::default();
        let mut documents: Vec<Base<'a>> = Vec::new();
        let work = |file| self.reader.base_file(file, &|name| wanted.contains(name));
        parallel::in_order(self.threads, files.to_vec(), work, |(mut file, found)| {
            diagnostics.append(&mut file.diagnostics);
            *unread |= file.unread;
            gathered.set.provenance.absorb(file.provenance);
            for (name, base) in found {
                if let Some((name, version)) = name {
                    bases.add(documents.len(), name, version);
                }
                documents.push(base);
            }
        });

        let mut overs = overs.into_iter();
        for Overlay { directory, files, partial } in self.overlays {
            gathered.set.unplaced |= partial;
            let mut seen: HashMap<usize, Origin> = HashMap::new();
            for (id, (file, documents_over)) in files.iter().zip(overs.by_ref()) {
                gathered.set.provenance.belongs(*id, directory);
                gathered.set.provenance.absorb(file.provenance);
                gathered.set.unplaced |= file.unread;
                diagnostics.extend(file.diagnostics);
                for over in documents_over {
                    match bases.find(&over.document.root, &over.document.origin, *unread) {
                        Ok(number) => {
                            let Base::Loaded(base) = &mut documents[number] else {
                                unreachable!("documents that an overlay names wait for it");
                            };
                            lay(over, base, seen.entry(number), &mut gathered.set.provenance, diagnostics);
                        }
                        Err(misplaced) => {
                            gathered.set.unplaced = true;
                            over.report(misplaced, diagnostics);
                        }
                    }
                }
            }
        }

        let work = |base| match base {
            Base::Decoded(decoded) => (Provenance::default(), decoded),
            Base::Loaded(loaded) => {
                let mut provenance = Provenance::default();
                let decoded = Box::new(self.reader.decode(*loaded, &mut provenance));
                provenance.sort();
                (provenance, decoded)
            }
        };
        parallel::in_order(self.threads, documents, work, |(provenance, decoded)| {
            gathered.set.provenance.absorb(provenance);
            gathered.add(*decoded);
        });
        gathered.set.provenance.sort();
    }
}

impl<'a> Reader<'a> {
    /// Reads a file of the base. The documents that overlays name wait for them.
    pub(super) fn base_file(
        &self,
        id: FileId,
        is_named: &dyn Fn(&overlay::Name) -> bool,
    ) -> (File, Vec<(Option<NameAndVersion>, Base<'a>)>) {
        let (mut file, documents) = self.load(id, false);
        let base = |loaded: Loaded<'a>| {
            let root = &loaded.document.root;
            let name = overlay::name(root);
            let is_wanted = name.as_ref().is_some_and(is_named);
            let name = name.map(|name| (name, overlay::version(root).to_owned()));
            let base = if is_wanted {
                Base::Loaded(Box::new(loaded))
            } else {
                Base::Decoded(Box::new(self.decode(loaded, &mut file.provenance)))
            };
            (name, base)
        };
        let bases = documents.into_iter().map(base).collect();
        file.provenance.sort();
        (file, bases)
    }
}

/// The name of a document, and its `apiVersion`.
pub(super) type NameAndVersion = (overlay::Name, String);

/// Merges a document of an overlay over a base. `seen` is where the same overlay named that base before.
pub(super) fn lay<'a, K>(
    over: Loaded<'a>,
    base: &mut Loaded<'a>,
    seen: Entry<'_, K, Origin>,
    provenance: &mut Provenance,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Document { root, origin, sound, .. } = over.document;
    base.covered = true;
    let place = overlay::place_of_name(&root, &origin);
    match (seen, overlay::name(&root)) {
        (Entry::Occupied(first), Some(name)) => {
            base.document.sound = false;
            diagnostics.push(overlay::repeated(&name, place, first.get()));
        }
        (seen, _) => {
            seen.insert_entry(place.clone());
            base.document.sound &= sound;
            base.wrong.extend(over.wrong);
            overlay::merge(&mut base.document.root, root, provenance);
        }
    }
}

/// All that was decoded so far.
pub(super) struct Gathered<'a> {
    sources: &'a Sources,
    variables: &'a Variables,
    set: Set<Arc<Desired>>,
    objects: Vec<Object>,
    /// Problems of the documents, in their order.
    diagnostics: Vec<Diagnostic>,
    /// All documents with a kind and a name, broken ones included, and where the name is written.
    declared: HashMap<ResourceId, Origin, RandomState>,
    /// Messages about platforms without a target.
    targetless: HashSet<String>,
}

impl<'a> Gathered<'a> {
    /// Returns nothing yet.
    pub(super) fn new(sources: &'a Sources, variables: &'a Variables) -> Self {
        let (objects, diagnostics, set) = (Vec::new(), Vec::new(), Set::default());
        Self { sources, variables, set, objects, diagnostics, declared: HashMap::default(), targetless: HashSet::new() }
    }

    /// Adds the next document.
    pub(super) fn add(&mut self, mut decoded: Decoded) {
        self.set.documents += 1;
        let id = decoded.id.map(|(id, name)| {
            match self.declared.entry(id.clone()) {
                Entry::Occupied(first) => {
                    decoded.sound = false;
                    if !decoded.is_name_wrong {
                        let repeated = check::repeated_name(&id, &name, first.get(), self.sources);
                        decoded.found.insert(decoded.head, repeated);
                    }
                }
                Entry::Vacant(vacant) => {
                    vacant.insert(name);
                }
            }
            id
        });
        if decoded.covered && !decoded.sound {
            self.set.covered.insert(decoded.file);
        }
        if decoded.sound {
            self.objects.append(&mut decoded.objects);
        } else {
            self.set.broken.extend(id);
        }
        // A missing target is one mistake, not one of each document.
        decoded.found.retain(|found| found.code != "M008" || self.targetless.insert(found.message.clone()));
        self.diagnostics.append(&mut decoded.found);
    }

    /// Returns the set of documents that are a part of all, and their problems. `declared` knows the names of all.
    pub(super) fn checked_among(self, declared: &dyn check::Declared, unread: bool) -> (Set, Vec<Diagnostic>) {
        let Self { mut set, mut objects, mut diagnostics, .. } = self;
        check::together(&mut set, &mut objects, declared, unread, &mut diagnostics);
        (set.into(), diagnostics)
    }

    /// Returns the set, once what takes all documents together is checked.
    fn checked(self, unread: bool, diagnostics: &mut Vec<Diagnostic>) -> Set<Arc<Desired>> {
        let Self { sources, variables, mut set, mut objects, declared, .. } = self;
        check::together(&mut set, &mut objects, &declared, unread, diagnostics);
        without_doubled(diagnostics);
        set.provenance.name_variables(diagnostics.iter_mut(), sources, &|| variables.secrets());
        if set.unplaced {
            // Any of them may be meant, and what the base says may be what the overlay is there to prevent.
            let desired = std::mem::take(&mut set.desired);
            set.broken.extend(desired.iter().map(|object| object.id.clone()));
        }
        set
    }
}

/// Drops diagnostics, and keeps count of the first ones that are left.
fn retain(found: &mut Vec<Diagnostic>, first: &mut usize, mut is_kept: impl FnMut(&Diagnostic) -> bool) {
    let (mut number, mut left) = (0, 0);
    found.retain(|diagnostic| {
        let is_kept = is_kept(diagnostic);
        left += usize::from(is_kept && number < *first);
        number += 1;
        is_kept
    });
    *first = left;
}

/// Makes one mistake of a key that stands beside `spec` and is missing in it.
fn too_far_left(root_keys: &[String], found: &mut Vec<Diagnostic>, of_envelope: &mut usize) {
    for key in root_keys {
        let unknown = format!("unknown key `{key}` in the document");
        let missing = |diagnostic: &Diagnostic| {
            diagnostic.code == "Y203" && diagnostic.message.ends_with(&format!(" needs `{key}`"))
        };
        if found.iter().any(missing) && found.iter().any(|diagnostic| diagnostic.message == unknown) {
            retain(found, of_envelope, |diagnostic| !missing(diagnostic));
            for problem in found.iter_mut().filter(|diagnostic| diagnostic.message == unknown) {
                problem.hint = Some("indent it: it belongs below `spec`".to_owned());
            }
        }
    }
}

/// Drops warnings about scalars that an error is about too.
pub(super) fn without_doubled(diagnostics: &mut Vec<Diagnostic>) {
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

/// Returns the keys of a document that it should not have, and `spec`, which is a mapping or else reported by the kind.
fn spec_of<'a, 's>(root: &'a mut Node<'s>) -> Option<(Vec<String>, &'a mut Node<'s>)> {
    let Content::Mapping(entries) = &mut root.content else { return None };
    let is_known = |key: &str| ["apiVersion", "kind", "metadata", "spec"].contains(&key);
    let keys = entries.iter().map(|(key, _)| key.key()).filter(|key| !is_known(key)).map(str::to_owned).collect();
    let (_, spec) = entries.iter_mut().find(|(key, _)| key.key() == "spec")?;
    Some((keys, spec))
}
