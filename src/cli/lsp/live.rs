//! The live objects of a snapshot beside what the files on the disk declare.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::files::{self, Files};
use crate::{
    cli::{
        adopt::decide::Decider,
        against,
        args::{Inputs, Network, Place},
        blame::{self, OwnChanges},
        explain::{
            self,
            decided::{Decided, Role},
            place,
        },
        inputs, planning, setup,
        view::{blame::Foreign, editor as view, explain::Writer},
    },
    config::Config,
    engine::{
        author::{Trace, touched},
        check::check,
        observe::observe,
    },
    lsp::{Live, Workspace, text_edit, uri},
    manifest::{
        self, Set,
        edit::{self, Edited},
    },
    model::{Action, Change, Desired, FieldPath},
    plan::{Plan, TargetState, plan, select},
    platform,
    source::{FileId, Origin, Sources},
};

/// Where live objects come from.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The directory that the editor opened.
    pub(super) root: PathBuf,
    /// The manifests.
    pub(super) inputs: Inputs,
    /// The snapshot, or a directory with several.
    pub(super) against: PathBuf,
    /// The directory of journals that was named.
    pub(super) state_dir: Option<PathBuf>,
}

/// A plan from a snapshot, with all that it was made from.
pub(super) struct LiveView {
    snapshot: String,
    taken: Timestamp,
    root: String,
    sources: Arc<Sources>,
    set: Set,
    desired: Vec<Desired>,
    states: Vec<TargetState<'static>>,
    plan: Plan,
    touched: Trace,
    own: OwnChanges,
}

/// What was read.
pub(super) struct Loaded {
    /// The plan.
    pub(super) view: LiveView,
    /// What the editor is told of it.
    pub(super) told: Live,
    /// What could not be read.
    pub(super) notes: Vec<String>,
}

/// Reads the manifests and a snapshot, and plans. Nothing is sent, and no secret is looked for.
pub(super) async fn load(settings: &Settings) -> Result<Loaded, String> {
    let file = against::newest(&settings.against)?;
    let snapshot = against::read(&file)?;
    let (taken, catalog) = (snapshot.taken, against::catalog(&snapshot));
    let mut notes: Vec<String> =
        snapshot.missing.iter().map(|missing| format!("the snapshot is incomplete: it lacks {missing}")).collect();
    let Files { sources, found, config, targets, variables, .. } = files::read(&settings.inputs)?;
    // Diagnostics of documents come from the workspace: values are shown for those without one.
    let (mut set, _) = manifest::decode(&sources, &found, platform::ALL, &targets, &variables);
    let mut desired = std::mem::take(&mut set.desired);
    select(&mut desired, &[], platform::ALL, &|_| true);
    let used = setup::used(&desired);
    let connected = against::connect(snapshot, &Network::unused(), config.as_ref(), &used)?;
    let readers = connected.readers();
    let findings = check(&readers, &desired).await;
    notes.extend(findings.unread);
    let mut diagnostics = findings.diagnostics;
    let secrets = || config.as_ref().map(Config::known_secrets).unwrap_or_default();
    set.provenance.name_variables(&mut diagnostics, &sources, &secrets);
    let mut states = observe(&readers, &desired).await;
    let plan = plan(&states);
    for state in &mut states {
        // Who the account is, a snapshot does not tell, but the configuration may.
        let target = config.iter().flat_map(|config| &config.targets).find(|target| target.name == state.target);
        for (key, value) in target.map(inputs::literals).unwrap_or_default() {
            state.facts.settings.entry(key.to_owned()).or_insert(value);
        }
    }
    let touched = touched(&readers, &mut states).await;
    let states = states.into_iter().map(apart).collect();
    planning::end(connected).await;
    let own = OwnChanges::read(settings.state_dir.as_deref(), &mut |problem| notes.push(problem.to_owned()));
    let sources = Arc::new(sources);
    let hints = hints(&plan);
    let told = Live { sources: sources.clone(), diagnostics, hints, catalog };
    let root = format!("{}/", settings.root.display());
    let snapshot = name_of(&file, &settings.root);
    let view = LiveView { snapshot, taken, root, sources, set, desired, states, plan, touched, own };
    Ok(Loaded { view, told, notes })
}

/// Returns the path of a file below the directory that the editor opened.
fn name_of(file: &Path, root: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

/// Returns a state without the documents that it was read for.
fn apart(state: TargetState<'_>) -> TargetState<'static> {
    let TargetState { target, platform, surplus, parts, remarks, facts, enforced, .. } = state;
    TargetState { target, platform, desired: Vec::new(), surplus, parts, scopes: Vec::new(), remarks, facts, enforced }
}

/// Returns the live value at each declared one that differs.
fn hints(plan: &Plan) -> Vec<(Origin, String)> {
    let updates = plan.changes.iter().chain(&plan.reported).filter(|change| change.action == Action::Update);
    let fields = updates.flat_map(|change| &change.fields);
    fields.map(|field| (field.because.clone(), view::hint(field))).collect()
}

impl LiveView {
    /// Returns how it was found, in one line.
    pub(super) fn summary(&self) -> String {
        view::summary(&self.snapshot, self.taken, self.desired.len(), self.plan.differing())
    }

    /// Explains what stands at a byte of a text, as `explain` does, and says who set it; `None` if that decides nothing.
    pub(super) fn hover(&self, file: FileId, byte: usize) -> Option<String> {
        let position = self.sources.position(&Origin::new(file, byte..byte));
        let asked = Place { file: position.file.to_string(), line: position.line, column: Some(position.column) };
        let values = place::values(&asked, file, &self.sources).ok()?;
        let provenance = &self.set.provenance;
        let decided = Decided::new(&values, &self.desired, provenance);
        if decided.objects.is_empty() {
            return None;
        }
        let synced = decided.synced(&self.states);
        let objects = decided.objects.iter().chain(&synced);
        let explained = explain::explained(objects, &self.plan, &self.states, provenance);
        let text = Writer { sources: &self.sources, provenance }.text(&decided, &explained);
        let who = decided.objects.iter().flat_map(|object| {
            let paths = object.parts.iter().filter_map(|part| match part.role {
                Role::Field(path) => Some(path),
                _ => None,
            });
            paths.filter_map(move |path| self.who(object.desired, path))
        });
        Some(view::hover(&text.replace(&self.root, ""), &who.collect::<Vec<_>>(), &self.snapshot, self.taken))
    }

    /// Says who changed a field last.
    fn who(&self, desired: &Desired, path: &FieldPath) -> Option<String> {
        let known = blame::known(self.state(desired)?, desired);
        let foreign = Foreign::of(known, self.touched.last(&desired.id, path));
        let account = || blame::by_account(self.touched.object(&desired.id));
        let own = self.own.of(desired, path).or_else(account);
        Some(view::who(&desired.id, path, &foreign, own.as_ref()))
    }

    fn state(&self, desired: &Desired) -> Option<&TargetState<'static>> {
        self.states.iter().find(|state| state.target == desired.target)
    }

    /// Returns the actions that write live values into the text of a path, of those that lie within bytes of it.
    pub(super) fn adoptions(&self, workspace: &Workspace, path: &str, start: usize, end: usize) -> Vec<Value> {
        let is_meant = |origin: &Origin| {
            let now = workspace.now_at(origin);
            now.is_some_and(|(file, range)| *file == *path && range.start <= end && start <= range.end)
        };
        let all = self.plan.changes.iter().chain(&self.plan.reported);
        let updates: Vec<&Change> = all
            .filter(|change| change.action == Action::Update)
            .filter(|change| change.fields.iter().any(|field| is_meant(&field.because)))
            .collect();
        if updates.is_empty() {
            return Vec::new();
        }
        let decider = Decider::new(&self.desired, updates.iter().copied(), &self.set.provenance, &self.sources);
        let mut actions = Vec::new();
        for change in updates {
            let Some(desired) = self.desired.iter().find(|desired| desired.id == change.id) else { continue };
            let Some(state) = self.state(desired) else { continue };
            for field in change.fields.iter().filter(|field| is_meant(&field.because)) {
                // What several values share is left to people.
                let Ok((place, value)) = decider.edit(field, desired, state) else { continue };
                let Some((file, range)) = workspace.now_at(&place) else { continue };
                let Some(text) = workspace.text(&file) else { continue };
                let Edited { text: new, results, .. } = edit::write(&file, text, &[(range, value)]);
                if results.iter().all(Result::is_ok) && new != **text {
                    actions.push(json!({
                        "title": view::adoption(field),
                        "kind": "quickfix",
                        "edit": {"changes": {(uri(&file)): [text_edit(text, &new)]}},
                    }));
                }
            }
        }
        actions
    }
}
