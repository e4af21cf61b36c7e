//! The settings that an agent takes over while it runs, and what reads them.

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    config::{Ceasefire, ResyncRule},
    diagnostic::{Diagnostic, render},
    engine::connection::Connection,
    journal::RunOrigin,
    manifest::{Targets, Variables},
    model::{Desired, policy::Policy},
    plan::{file::Setup, guard::Safety, hold::Holds},
    run::Surroundings,
    source::Sources,
};

/// Columns that diagnostics take up in the log.
const WIDTH: usize = 120;

/// The settings of an agent that come from its configuration and its files of values.
#[derive(Clone)]
pub struct Settings {
    /// Files that are no manifests.
    pub skip: Vec<PathBuf>,
    /// The targets that manifests may name.
    pub targets: Targets,
    /// Variables of the manifests.
    pub variables: Variables,
    /// The way to each target; one to a target that no manifest names is never used.
    pub connections: Vec<Arc<Connection>>,
    /// The reaction to drift.
    pub mode: Policy,
    /// The limits of one pass; beyond them nothing is sent.
    pub safety: Safety,
    /// When changes are held back.
    pub holds: Holds,
    /// Time between two looks at everything.
    pub resync: Duration,
    /// Objects that are looked at at times of their own.
    pub resync_rules: Vec<ResyncRule>,
    /// The longest time of one pass, after which it is broken off.
    pub deadline: Duration,
    /// When a field that somebody else sets back is left alone.
    pub ceasefire: Ceasefire,
    /// Where its writes are recorded and locked.
    pub surroundings: Surroundings,
    /// Where its targets lead to.
    pub setups: Vec<Setup>,
    /// The configuration.
    pub config: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            skip: Vec::new(),
            targets: Targets::default(),
            variables: Variables::default(),
            connections: Vec::new(),
            mode: Policy::default(),
            safety: Safety::default(),
            holds: Holds::default(),
            resync: super::RESYNC,
            resync_rules: Vec::new(),
            deadline: super::DEADLINE,
            ceasefire: Ceasefire::default(),
            surroundings: Surroundings::unrecorded(RunOrigin::here("watch", &[])),
            setups: Vec::new(),
            config: None,
        }
    }
}

impl Settings {
    /// Returns true if nothing is looked at.
    pub(super) fn ignores_all(&self) -> bool {
        self.mode == Policy::Ignore
    }

    /// Returns the time between two looks at an object: that of the first rule that is about it, or else that of all.
    pub(super) fn resync_of(&self, object: &Desired) -> Duration {
        self.resync_rules.iter().find(|rule| rule.scope.has(object)).map_or(self.resync, |rule| rule.every)
    }
}

/// Sentences about what is wrong, for people and for programs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Problems {
    /// The text for people, empty where all is well.
    pub text: String,
    /// The diagnostics as reports hold them.
    pub diagnostics: Vec<Value>,
    /// How many mistakes there are.
    pub errors: usize,
}

impl Problems {
    /// Returns what diagnostics and files that could not be read come to.
    pub fn of(diagnostics: &[Diagnostic], sources: &Sources, unreadable: &[String]) -> Self {
        let mut text = String::new();
        for problem in unreadable {
            let _ = writeln!(text, "error: {problem}");
        }
        text += &render::text(diagnostics, sources, false, WIDTH);
        let errors = unreadable.len() + diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let unreadable = unreadable.iter().map(|problem| json!({"severity": "error", "message": problem}));
        let sorted = render::sorted(diagnostics);
        let diagnostics = sorted.into_iter().map(|diagnostic| render::json(diagnostic, sources));
        Self { text, diagnostics: unreadable.chain(diagnostics).collect(), errors }
    }

    /// Adds a remark that is no mistake.
    pub fn note(&mut self, note: &str) {
        let _ = writeln!(self.text, "warning: {note}");
        self.diagnostics.push(json!({"severity": "warning", "message": note}));
    }

    /// Returns the diagnostics as a field of the log: `None` if there are none.
    pub(super) fn field(&self) -> Option<String> {
        (!self.diagnostics.is_empty()).then(|| Value::from(self.diagnostics.clone()).to_string())
    }
}

/// What reading the settings anew came to.
pub enum Reloaded {
    /// The files say what they said before.
    Unchanged,
    /// They say something else, with these warnings.
    Changed(Box<Settings>, Problems),
    /// They cannot be used.
    Broken(Problems),
}

/// Reads the configuration and the files of values.
pub trait Loader: Send {
    /// Returns the files that are read, to be watched.
    fn files(&self) -> Vec<PathBuf>;

    /// Reads them. What is broken is returned once, and again when it is broken in another way. With `anew`, files that
    /// say what they said before are not [`Reloaded::Unchanged`].
    fn load(&mut self, anew: bool) -> Reloaded;
}
