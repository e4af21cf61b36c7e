//! `reconcile.yaml`: targets, and how to run.
//!
//! [`load()`] reads it with the rules of manifests: places, hints, all mistakes at once. Secrets are never written in
//! it; [`Target::resolve`] fetches them when the target is first called.

mod lookup;
mod notify;
mod program;
mod prune;
mod read;
mod resolve;
mod safety;
mod source;
mod target;
mod windows;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::yaml::duration;
pub use lookup::{Found, PassedOver, find, find_below};
pub use notify::{EVENTS, Notify, WebhookFormat};
pub use program::{RunningProgram, end_programs, running_programs};
pub use prune::Scope as PruneScope;
pub use read::{CONFIGURATION, decode};
pub use resolve::{Problem, ResolveError};
pub use source::{SOURCE, Setting, Source};
pub use target::{Limits, Platforms, TARGET, Target};

use crate::{
    diagnostic::Diagnostic,
    files::{self, FileError},
    model::policy::Policy,
    plan::{
        guard::Safety,
        hold::{Holds, Scope, Window},
    },
    source::Sources,
};

/// The name of the file.
pub const FILE: &str = "reconcile.yaml";

/// The contents of `reconcile.yaml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// Targets, in the order of the file.
    pub targets: Vec<Target>,
    /// Where `--prune` removes what no document means.
    pub prune: Vec<PruneScope>,
    /// When changes are made, and when not.
    pub windows: Vec<Window>,
    /// How `watch` runs.
    pub watch: Watch,
    /// The webhooks that `watch` sends messages to.
    pub notify: Vec<Notify>,
    /// How long runs stay recorded.
    pub state: StateLimits,
    /// The limits of one run.
    pub safety: Safety,
    /// Files that `--sandbox` starts from, relative ones resolved against the file's directory.
    pub sandbox: Vec<PathBuf>,
}

/// How long runs stay recorded. Unfinished ones always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateLimits {
    /// The age at which they are removed.
    pub keep: Option<Duration>,
    /// The number of runs that are kept.
    pub runs: Option<usize>,
}

/// How `watch` runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Watch {
    /// Its reaction to drift.
    pub mode: Policy,
    /// Time between two looks at everything.
    pub resync: Option<Duration>,
    /// Objects that are looked at at times of their own; of several rules about an object the first one counts.
    pub resync_rules: Vec<ResyncRule>,
    /// The longest time of one pass.
    pub deadline: Option<Duration>,
    /// When a field that somebody else sets back is left alone.
    pub ceasefire: Ceasefire,
    /// Where the status page listens.
    pub listen: Option<SocketAddr>,
    /// The token that the controls of the status page ask for; without one they are off.
    pub token: Option<Source>,
}

/// Objects that are looked at at times of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct ResyncRule {
    /// The objects.
    pub scope: Scope,
    /// Time between two looks at them.
    pub every: Duration,
}

/// When a field is left alone that somebody else sets to another value each time that it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceasefire {
    /// The number of times that it is taken back before.
    pub after: usize,
    /// The time within which these lie.
    pub within: Duration,
    /// How long its value has to rest before it is enforced again.
    pub quiet: Duration,
}

impl Default for Ceasefire {
    fn default() -> Self {
        Self { after: 3, within: Duration::from_hours(1), quiet: Duration::from_hours(1) }
    }
}

/// A configuration that cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The system said no.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
}

impl Config {
    /// Returns a configuration that says nothing.
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            targets: Vec::new(),
            prune: Vec::new(),
            windows: Vec::new(),
            watch: Watch::default(),
            notify: Vec::new(),
            state: StateLimits::default(),
            safety: Safety::default(),
            sandbox: Vec::new(),
        }
    }

    /// Returns a target by its name.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| &*target.name == name)
    }

    /// Returns what holds changes back: windows, and suspensions of targets.
    pub fn holds(&self) -> Holds {
        let suspended = |target: &Target| Some((target.name.clone(), target.suspended.clone()?));
        Holds { windows: self.windows.clone(), targets: self.targets.iter().filter_map(suspended).collect() }
    }

    /// Returns where the secrets come from that are no target's.
    fn own_secrets(&self) -> impl Iterator<Item = &Source> {
        self.watch.token.iter().chain(self.notify.iter().flat_map(Notify::sources))
    }

    /// Returns the file itself and all files that it names: none of them is a manifest.
    pub fn files(&self) -> Vec<PathBuf> {
        let secrets = self.targets.iter().flat_map(Target::files);
        let own = self.own_secrets().filter_map(Source::file);
        std::iter::once(&self.path).chain(&self.sandbox).chain(secrets).chain(own).cloned().collect()
    }
}

/// Reads a configuration. What is wrong in it goes to `diagnostics`; with an error among them it must not be used.
pub fn load(
    path: &Path,
    platforms: Platforms,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Config, ConfigError> {
    let bytes = files::read(path, files::SETTINGS);
    let bytes = bytes.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    match files::add(path.display().to_string(), bytes, sources) {
        Ok(file) => Ok(decode(file, path, platforms, sources, diagnostics)),
        Err(diagnostic) => {
            // The line may hold a secret.
            diagnostics.push(diagnostic.hide());
            Ok(Config::new(path))
        }
    }
}

#[cfg(test)]
mod tests;
