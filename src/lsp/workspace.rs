//! The texts of manifests as an editor has them, and what they declare.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use serde_json::{Value, json};

use super::{live::Live, position::range};
use crate::{
    config,
    diagnostic::{Diagnostic, Severity, render},
    manifest::{self, Context, Discovery, Incremental, Options, Retain, Targets, Variables},
    provider::Platform,
    source::{FileId, Sources},
    yaml::{self, Node},
};

/// The same as of `validate`: nothing tells how values came about.
const OPTIONS: Options = Options { threads: None, retain: Retain::Addresses, without_places: true };

/// Everything that manifests are read with.
#[derive(Debug)]
pub struct Inputs {
    /// The texts of all files: the configuration, files with variables, manifests.
    pub sources: Sources,
    /// The manifests among them.
    pub found: Discovery,
    /// The configuration among them.
    pub config: Option<FileId>,
    /// The targets of the configuration.
    pub targets: Targets,
    /// The variables.
    pub variables: Variables,
    /// Problems of the configuration and of files with variables.
    pub diagnostics: Vec<Diagnostic>,
    /// The platforms.
    pub platforms: &'static [&'static dyn Platform],
}

impl Inputs {
    fn context(&self) -> Context<'_> {
        let Self { sources, found, platforms, targets, variables, .. } = self;
        Context { options: &OPTIONS, sources, found, platforms, targets, variables }
    }
}

/// The texts of manifests, and what they declare.
#[derive(Debug)]
pub struct Workspace {
    pub(super) inputs: Inputs,
    pub(super) declared: Incremental,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) live: Live,
    /// The files by their paths.
    files: HashMap<Arc<str>, FileId>,
}

impl Workspace {
    /// Returns the workspace of texts.
    pub fn new(inputs: Inputs) -> Self {
        let declared = Incremental::new(&inputs.context());
        let files = inputs.sources.files().map(|file| (inputs.sources.path(file).clone(), file)).collect();
        let mut workspace = Self { inputs, declared, diagnostics: Vec::new(), live: Live::default(), files };
        workspace.gather();
        workspace
    }

    /// Returns the file of a path; `None` if it is not one of the workspace.
    pub(super) fn file(&self, path: &str) -> Option<FileId> {
        self.files.get(path).copied()
    }

    /// Returns the text of a path; `None` if it is not one of the workspace.
    pub fn text(&self, path: &str) -> Option<&Arc<str>> {
        self.file(path).map(|file| self.inputs.sources.text(file))
    }

    /// Replaces texts by those that an editor has. A file that is not known yet counts as a manifest. What they declare is
    /// worked out anew; files that stay as they are cost little.
    pub fn change(&mut self, texts: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) {
        let mut changed = Vec::new();
        for (path, text) in texts {
            if let Some(file) = self.file(&path) {
                self.inputs.sources.replace(file, text);
                changed.push(file);
            } else {
                let file = self.inputs.sources.add(path.clone(), text);
                self.inputs.found.files.push(file);
                self.files.insert(path, file);
                changed.push(file);
            }
        }
        if let Some(file) = self.inputs.config.filter(|file| changed.contains(file)) {
            self.inputs.diagnostics.retain(|diagnostic| diagnostic.origin().is_some_and(|origin| origin.file != file));
            let path = self.inputs.sources.path(file).clone();
            let Inputs { sources, diagnostics, platforms, .. } = &mut self.inputs;
            // The targets are taken over once the file is saved.
            config::decode(file, Path::new(&*path), platforms, sources, diagnostics);
        }
        self.declared.update(&self.inputs.context(), &changed);
        self.gather();
    }

    fn gather(&mut self) {
        self.diagnostics = self.declared.diagnostics().to_vec();
        self.diagnostics.extend(self.inputs.diagnostics.iter().cloned());
        if !self.diagnostics.iter().any(Diagnostic::is_error) {
            self.diagnostics.extend(manifest::idle(&self.inputs.variables, &self.declared.mentioned()));
        }
    }

    /// Returns the diagnostics of each file that has any, by its path.
    pub fn diagnostics(&self) -> BTreeMap<Arc<str>, Vec<Value>> {
        let mut by_path: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
        let live = self.live_diagnostics();
        for diagnostic in render::sorted(self.diagnostics.iter().chain(&live)) {
            let Some(origin) = diagnostic.origin() else { continue };
            let path = self.inputs.sources.path(origin.file).clone();
            by_path.entry(path).or_default().push(self.diagnostic(diagnostic));
        }
        by_path
    }

    fn diagnostic(&self, diagnostic: &Diagnostic) -> Value {
        let sources = &self.inputs.sources;
        let severity = match diagnostic.severity {
            Severity::Error => 1,
            Severity::Warning => 2,
        };
        let hint = diagnostic.hint.as_ref().map(|hint| format!("\n{hint}")).unwrap_or_default();
        let place = diagnostic.origin().map(|origin| range(origin, sources));
        let others = diagnostic.labels.iter().skip(1).map(|label| {
            let uri = uri(sources.path(label.origin.file));
            json!({"location": {"uri": uri, "range": range(&label.origin, sources)}, "message": label.text})
        });
        json!({
            "range": place,
            "severity": severity,
            "code": diagnostic.code,
            "source": "reconcile",
            "message": format!("{}{hint}", diagnostic.message),
            "relatedInformation": others.collect::<Vec<_>>(),
        })
    }

    /// Calls `visit` with the documents of a file.
    pub(super) fn documents(&self, file: FileId, mut visit: impl FnMut(&Node<'_>)) {
        let text = self.inputs.sources.text(file);
        for document in yaml::load(file, text, &mut Vec::new()) {
            visit(&document.root);
        }
    }
}

/// Returns the address of a file.
pub fn uri(path: &str) -> String {
    // The letters that need no escape in a path.
    const LETTERS: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    format!("file://{}", percent_encoding::utf8_percent_encode(path, LETTERS))
}
