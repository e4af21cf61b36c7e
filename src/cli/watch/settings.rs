//! The settings of a long run: those that it begins with, and what reads them anew.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use crate::{
    agent::{self, Loader, Problems, Reloaded, Settings},
    cli::{
        args::{Mode, WatchArgs},
        configuration, inputs, journal, plan_file,
        sandbox::Embedded,
        setup,
    },
    config::{Config, Target},
    diagnostic::Diagnostic,
    engine::connection::{Connection, Shared},
    journal::RunOrigin,
    manifest::{self, Variables},
    model::policy::Policy,
    source::Sources,
};

/// The configuration and the variables as the files say.
pub(super) struct SettingsRead {
    sources: Sources,
    config: Option<Config>,
    variables: Variables,
    diagnostics: Vec<Diagnostic>,
    /// What could not be read.
    unreadable: Vec<String>,
}

impl SettingsRead {
    /// Reads the configuration and the files of values.
    pub(super) fn new(args: &WatchArgs) -> Self {
        let (mut sources, mut diagnostics, mut unreadable) = (Sources::default(), Vec::new(), Vec::new());
        let (named, paths) = (args.inputs.config.as_deref(), inputs::paths(&args.inputs));
        let config = configuration::read(named, &paths, &mut sources, &mut diagnostics).unwrap_or_else(|problem| {
            unreadable.push(problem);
            None
        });
        if config.is_none() && unreadable.is_empty() {
            unreadable.push(configuration::missing(&paths));
        }
        let variables = setup::variables(&args.inputs, &mut sources, &mut diagnostics).unwrap_or_else(|problem| {
            unreadable.push(problem);
            Variables::default()
        });
        let secrets = config.clone();
        let variables = variables.hiding(move || secrets.as_ref().map(Config::known_secrets).unwrap_or_default());
        Self { sources, config, variables, diagnostics, unreadable }
    }

    /// Returns a text that is the same where the files say the same.
    pub(super) fn digest(&self) -> String {
        manifest::digest(&self.sources, self.sources.files()) + &self.unreadable.join("\n")
    }

    fn problems(&self) -> Problems {
        Problems::of(&self.diagnostics, &self.sources, &self.unreadable)
    }

    /// Returns the configuration and the variables, where they can be used.
    fn usable(self) -> Option<(Config, Variables)> {
        let is_broken = !self.unreadable.is_empty() || self.diagnostics.iter().any(Diagnostic::is_error);
        Some((self.config?, self.variables)).filter(|_| !is_broken)
    }
}

/// Returns the settings of an agent.
pub(super) fn settings(
    args: &WatchArgs,
    config: &Config,
    variables: Variables,
    connections: Vec<Arc<Connection>>,
) -> Settings {
    let paths = inputs::paths(&args.inputs);
    // Manifests may come to name any target.
    let all: BTreeSet<Arc<str>> = config.targets.iter().map(|target| target.name.clone()).collect();
    Settings {
        skip: setup::skipped(&args.inputs, Some(config)),
        targets: configuration::targets(Some(config), &paths),
        variables,
        connections,
        mode: match args.mode {
            Some(Mode::Enforce) => Policy::Enforce,
            Some(Mode::Report) => Policy::Report,
            Some(Mode::Ignore) => Policy::Ignore,
            None => config.watch.mode,
        },
        safety: config.safety.clone(),
        holds: config.holds(),
        resync: args.resync.or(config.watch.resync).unwrap_or(agent::RESYNC),
        resync_rules: config.watch.resync_rules.clone(),
        deadline: config.watch.deadline.unwrap_or(agent::DEADLINE),
        ceasefire: config.watch.ceasefire,
        surroundings: journal::surroundings(
            RunOrigin::here("watch", &paths),
            args.state.state_dir.as_deref(),
            args.network.sandbox,
            args.state.lock_timeout,
            Some(config),
        ),
        setups: plan_file::setups(config, &all.iter().collect(), args.network.sandbox),
        config: Some(config.path.display().to_string()),
    }
}

/// Reads the settings of a running agent anew.
pub(super) struct Reload {
    args: WatchArgs,
    shared: Shared,
    sandbox: Option<Arc<Embedded>>,
    /// The files as they were read last, broken or not.
    digest: String,
    /// The configuration in force, and the connections to its targets.
    config: Config,
    connections: Vec<Arc<Connection>>,
}

impl Reload {
    /// Returns what reads the settings anew that began with `config`, and with files of this digest.
    pub(super) fn new(
        args: &WatchArgs,
        (config, digest): (&Config, String),
        connections: &[Arc<Connection>],
        (shared, sandbox): (&Shared, Option<&Arc<Embedded>>),
    ) -> Self {
        Self {
            args: args.clone(),
            shared: shared.clone(),
            sandbox: sandbox.cloned(),
            digest,
            config: config.clone(),
            connections: connections.to_vec(),
        }
    }

    /// Returns the connections to the targets of a configuration: to a target that stayed as it is, the one that knows its
    /// session, its rate and its state already.
    fn connections(&self, config: &Config) -> Vec<Arc<Connection>> {
        let old = |target: &Target| self.config.target(&target.name);
        let is_other = |target: &Target| old(target).is_some_and(|old| old.limits != target.limits);
        if config.targets.iter().any(is_other) {
            self.shared.renew_groups();
        }
        let to = |target: &Target| {
            let kept = self.connections.iter().find(|connection| connection.target().name == target.name);
            let kept = kept.filter(|_| old(target).is_some_and(|old| old.is_same(target)));
            kept.cloned().unwrap_or_else(|| setup::connection(target, self.sandbox.as_deref(), &self.shared))
        };
        config.targets.iter().map(to).collect()
    }
}

impl Loader for Reload {
    fn files(&self) -> Vec<PathBuf> {
        std::iter::once(&self.config.path).chain(&self.args.inputs.values).cloned().collect()
    }

    fn load(&mut self, anew: bool) -> Reloaded {
        let read = SettingsRead::new(&self.args);
        let digest = read.digest();
        if !anew && digest == self.digest {
            return Reloaded::Unchanged;
        }
        self.digest = digest;
        let mut problems = read.problems();
        let Some((config, variables)) = read.usable() else { return Reloaded::Broken(problems) };
        if config.watch.listen != self.config.watch.listen && self.args.listen.is_none() {
            problems.note("`watch.listen` is another address now: restart `watch` to listen there");
        }
        if config.watch.token != self.config.watch.token {
            problems.note("`watch.token` comes from elsewhere now: restart `watch` to use that one");
        }
        if config.notify != self.config.notify {
            problems.note("`notify` is another one now: restart `watch` to send messages there");
        }
        if config.sandbox != self.config.sandbox && self.sandbox.is_some() {
            problems.note("`sandbox` names other files now: restart `watch` to begin with them");
        }
        let connections = self.connections(&config);
        let settings = settings(&self.args, &config, variables, connections.clone());
        (self.config, self.connections) = (config, connections);
        Reloaded::Changed(Box::new(settings), problems)
    }
}
