//! What the documents of a directory declare already.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{neighbours::Sort, scopes::Scope};
use crate::{
    cli::{
        args::{ExportArgs, Inputs, Selection},
        error::CommandError,
        inputs::LoadedInputs,
        selection, setup,
        view::Ui,
    },
    config::Config,
    diagnostic::Diagnostic,
    manifest,
    model::{Desired, Ensure, ObservedState, ResourceId},
    plan::TargetState,
    provider::{Kind, ScopeKey},
    source::{FileId, Sources},
};

/// Live objects that documents declare.
#[derive(Default)]
pub(super) struct Declared {
    /// The file of each object, by its [`Kind::identity`].
    objects: HashMap<Sort, HashMap<Box<str>, FileId>>,
    /// Instances of models.
    pub(super) instances: Vec<Instance>,
}

/// An instance that a document declares.
pub(super) struct Instance {
    /// The target and the kind of the document.
    pub(super) sort: Sort,
    /// The model.
    pub(super) model: String,
    /// The id.
    pub(super) id: i64,
    /// The name of its document; `None` if it is to go, so that nothing may refer to it.
    pub(super) name: Option<Arc<str>>,
    /// The file of its document.
    pub(super) file: FileId,
}

/// Why it is not known what documents declare.
pub(super) enum Undecided {
    /// Documents are wrong.
    Wrong(Vec<Diagnostic>),
    /// A read failed.
    Unknown(String),
}

/// Reads the manifests of a directory. Where one of them is wrong, that is the error: nothing is added to it.
pub(super) fn load(args: &ExportArgs, directory: &Path, ui: &Ui) -> Result<LoadedInputs, CommandError> {
    if !directory.is_dir() {
        let problem = format!("{} is no directory; `--out` makes one", directory.display());
        return Err(CommandError::failed(problem));
    }
    let inputs = Inputs {
        paths: vec![directory.to_owned()],
        files: Vec::new(),
        config: args.config.clone(),
        set: args.variables.clone(),
        values: args.values.clone(),
        overlays: args.overlays.clone(),
        follow_links: args.follow_links,
        allow_empty: true,
        selection: Selection::default(),
    };
    let loaded = setup::usable(setup::read(&inputs).map_err(CommandError::usage)?, ui)?;
    if let Err(problem) = selection::check(&inputs, &loaded) {
        // Here `--set` names a set of modules.
        return Err(CommandError::usage(problem.replace("`--set`", "`--var`")).with(loaded));
    }
    if loaded.set.partial {
        let problem = "not all manifests could be read: what none seems to declare may be declared";
        return Err(CommandError::failed(problem).with(loaded));
    }
    Ok(loaded)
}

/// Returns the manifests to which documents can be added, by their paths, with their texts.
pub(super) fn texts(
    args: &ExportArgs,
    config: Option<&Config>,
    set: &manifest::Set,
    sources: &Sources,
) -> BTreeMap<Arc<str>, Arc<str>> {
    let others = config.map(Config::files).unwrap_or_default();
    let others: HashSet<PathBuf> =
        others.iter().chain(&args.values).filter_map(|path| path.canonicalize().ok()).collect();
    let is_yaml = |path: &Path| {
        path.extension().is_some_and(|end| ["yaml", "yml"].iter().any(|known| end.eq_ignore_ascii_case(known)))
    };
    let is_manifest = |file: &FileId| {
        let path = Path::new(&**sources.path(*file));
        let is_other = || path.canonicalize().is_ok_and(|path| others.contains(&path));
        set.provenance.overlay(*file).is_none() && is_yaml(path) && !is_other()
    };
    sources.files().filter(is_manifest).map(|file| (sources.path(file).clone(), sources.text(file).clone())).collect()
}

impl Declared {
    /// Collects what the documents mean. It has to be known of each that may mean an object of the scopes.
    pub(super) fn of(states: &[TargetState<'_>], scopes: &[Scope]) -> Result<Self, Undecided> {
        let (mut declared, mut wrong) = (Self::default(), Vec::new());
        for state in states {
            for desired in state.desired.iter().copied().chain(&state.surplus) {
                let Some(kind) = state.kind(&desired.id) else { continue };
                let is_asked = || scopes.iter().any(|scope| may_hold(scope, desired, kind));
                match decided(state, &desired.id) {
                    Some(ObservedState::Found(live)) => declared.add(state, desired, kind, live),
                    Some(ObservedState::Ambiguous(why) | ObservedState::Impossible(why)) if is_asked() => {
                        wrong.push((**why).clone());
                    }
                    Some(ObservedState::Unknown(why)) if is_asked() => {
                        return Err(Undecided::Unknown(format!("{}: {why}", desired.id)));
                    }
                    _ => {}
                }
            }
        }
        if wrong.is_empty() { Ok(declared) } else { Err(Undecided::Wrong(wrong)) }
    }

    fn add(&mut self, state: &TargetState<'_>, desired: &Desired, kind: &'static dyn Kind, live: &crate::model::Live) {
        let sort: Sort = (state.target.clone(), kind.name());
        let file = desired.origin.file;
        if let Some((model, id)) = kind.instance(desired, live) {
            let name = (desired.ensure != Ensure::Absent).then(|| desired.id.key.clone());
            self.instances.push(Instance { sort: sort.clone(), model, id, name, file });
        }
        self.objects.entry(sort).or_default().insert(kind.identity(desired, live).into(), file);
    }

    /// Returns the file of the document that declares an object; `None` if none does.
    pub(super) fn file(&self, sort: &Sort, identity: &str) -> Option<FileId> {
        self.objects.get(sort)?.get(identity).copied()
    }
}

/// Returns what is known of an object, or of the one that has to be known before.
fn decided<'s>(state: &'s TargetState<'_>, id: &ResourceId) -> Option<&'s ObservedState> {
    let (mut observed, mut seen) = (state.facts.observed(id)?, HashSet::new());
    while let ObservedState::Needs(other) = observed {
        // Each in the chain waits for the next one; a circle is no answer.
        if !seen.insert(other) {
            break;
        }
        observed = state.facts.observed(other)?;
    }
    let is_other = !seen.is_empty();
    // An object that waits for another one is not there itself, whether that one is found or absent.
    (!is_other || !matches!(observed, ObservedState::Found(_) | ObservedState::Absent { .. })).then_some(observed)
}

/// Returns true if a document may mean an object of a scope: of its kind and target, and in no other model or the like.
fn may_hold(scope: &Scope, desired: &Desired, kind: &dyn Kind) -> bool {
    let keys = kind.export_keys().unwrap_or_default();
    // Ids and names of one object differ.
    let differs = |key: &&ScopeKey| match (scope.desired.locate(key.name), desired.locate(key.name)) {
        (Some(asked), Some(given)) => !key.is_id && asked.is_string() && given.is_string() && asked != given,
        _ => false,
    };
    scope.desired.id.kind == desired.id.kind
        && scope.desired.target == desired.target
        && !keys.iter().any(|key| differs(&key))
}
