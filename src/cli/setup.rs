//! The preparation of every command: configuration, manifests, connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    args::{Inputs, Network},
    configuration,
    error::CommandError,
    inputs::{self, LoadedInputs},
    sandbox::Embedded,
    view::Ui,
};
use crate::{
    config::{self, Config, Target},
    diagnostic::Diagnostic,
    engine::{
        connection::{self, Connection, Reader, Shared},
        scope_reader::ScopeReader,
    },
    files,
    manifest::{self, Variables},
    model::{Desired, Ensure, Fields, ResourceId, policy::Policies},
    platform,
    provider::Endpoint,
    source::{Located, Sources},
    transport::{Options, Proxies, Transport, TransportError},
};

/// The variables of a run: `--set` over `--values` over the environment.
pub(super) fn variables(
    inputs: &Inputs,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Variables, String> {
    let assignments = inputs.set.iter().map(String::as_str);
    let mut variables = Variables::default().over_assignments(assignments).map_err(|error| inputs::explain(&error))?;
    for path in inputs.values.iter().rev() {
        let bytes = read_file(path, files::SETTINGS)?;
        match files::add(path.display().to_string(), bytes, sources) {
            Ok(file) => variables = variables.over(manifest::values(sources, file, diagnostics)),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    Ok(variables.over_environment(std::env::vars()))
}

/// The files that are no manifests.
pub(super) fn skipped(inputs: &Inputs, config: Option<&Config>) -> Vec<PathBuf> {
    let named = config.map(Config::files).unwrap_or_default();
    named.into_iter().chain(inputs.values.iter().cloned()).collect()
}

impl LoadedInputs {
    /// Adds to messages about declared values what is known of the variables in them.
    pub(super) fn name_variables<'d>(&self, diagnostics: impl IntoIterator<Item = &'d mut Diagnostic>) {
        let secrets = || self.config.as_ref().map(Config::known_secrets).unwrap_or_default();
        self.set.provenance.name_variables(diagnostics, &self.sources, &secrets);
    }
}

/// Reads everything that people wrote. Only a wrong command line is an error here.
pub(super) fn read(inputs: &Inputs) -> Result<LoadedInputs, String> {
    read_with(inputs, &manifest::Options::default())
}

/// Reads everything that people wrote, as far as a command needs it.
pub(super) fn read_with(inputs: &Inputs, options: &manifest::Options) -> Result<LoadedInputs, String> {
    read_by(inputs, |sources, found, targets, variables| {
        manifest::decode_with(options, sources, found, platform::ALL, targets, variables)
    })
}

/// Reads everything that people wrote, and returns the documents as they are decoded too.
pub(super) fn read_resolved(inputs: &Inputs) -> Result<(LoadedInputs, Vec<manifest::Resolved>), String> {
    let mut documents = Vec::new();
    let loaded = read_by(inputs, |sources, found, targets, variables| {
        let (set, diagnostics, resolved) = manifest::resolve(sources, found, platform::ALL, targets, variables);
        documents = resolved;
        (set, diagnostics)
    })?;
    Ok((loaded, documents))
}

/// Reads everything that people wrote; `decode` turns the texts into what they declare.
fn read_by(
    inputs: &Inputs,
    decode: impl FnOnce(&Sources, &manifest::Discovery, &manifest::Targets, &Variables) -> (manifest::Set, Vec<Diagnostic>),
) -> Result<LoadedInputs, String> {
    let (mut sources, mut diagnostics, mut unread) = (Sources::default(), Vec::new(), Vec::new());
    let config = configuration::read(inputs.config.as_deref(), &inputs::paths(inputs), &mut sources, &mut diagnostics)
        .unwrap_or_else(|problem| {
            unread.push(problem);
            None
        });
    let secrets = config.clone();
    let variables = variables(inputs, &mut sources, &mut diagnostics)?
        .hiding(move || secrets.as_ref().map(Config::known_secrets).unwrap_or_default());
    let skipped = skipped(inputs, config.as_ref());
    let paths = inputs::paths(inputs);
    let search = manifest::Search {
        paths: &paths,
        skip: &skipped,
        overlays: &inputs.overlays,
        follow_links: inputs.follow_links,
    };
    let found = manifest::discover(&search, &mut io::stdin().lock(), &mut sources);
    unread.extend(found.errors.iter().map(|error| inputs::explain(error)));
    let targets = configuration::targets(config.as_ref(), &paths);
    let (set, problems) = decode(&sources, &found, &targets, &variables);
    diagnostics.extend(problems);
    let broken = !unread.is_empty() || diagnostics.iter().any(Diagnostic::is_error);
    if !broken && set.documents == 0 && !inputs.allow_empty {
        unread.push(manifest::nothing(&paths));
    }
    if !broken {
        diagnostics.extend(manifest::unused(&variables, &set.provenance));
    }
    let notes = configuration::notes(inputs);
    Ok(LoadedInputs { sources, config, set, diagnostics, unread, notes })
}

/// Reads a regular file of at most `most` bytes.
pub(super) fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    files::read(path, most).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Returns the scopes of the configuration, written like documents that are to be absent.
pub(super) fn scopes(config: Option<&Config>) -> Vec<Desired> {
    let scope = |(number, scope): (usize, &config::PruneScope)| Desired {
        id: ResourceId::new(scope.kind, format!("scope {} of prune", number + 1)),
        target: scope.target.clone(),
        ensure: Ensure::Absent,
        locator: scope
            .values
            .iter()
            .map(|(key, value)| ((*key).into(), Located::new(&value.value, value.origin.clone())))
            .collect(),
        references: Vec::new(),
        fields: Fields::new(),
        labels: Arc::default(),
        origin: scope.origin.clone(),
        selected: true,
        protect: false,
        exclusive: false,
        policies: Policies::default(),
        suspended: None,
    };
    config.map(|config| config.prune.iter().enumerate().map(scope).collect()).unwrap_or_default()
}

/// The connections of a run, and the sandbox that they lead to where there is one.
pub(super) struct Connected {
    /// Readers that answer from a snapshot in place of a server, by target.
    pub(super) snapshot_scopes: BTreeMap<Arc<str>, Arc<ScopeReader>>,
    /// One connection for each target in use.
    pub(super) connections: Vec<Arc<Connection>>,
    /// The state that they share.
    pub(super) shared: Shared,
    /// The sandbox of this run.
    pub(super) sandbox: Option<Arc<Embedded>>,
}

impl Connected {
    /// Returns a reader of each target.
    pub(super) fn readers(&self) -> Vec<Reader> {
        let reader = |connection: &Arc<Connection>| match self.snapshot_scopes.get(&connection.target().name) {
            Some(seal) => connection.reader().through(seal.clone()),
            None => connection.reader(),
        };
        self.connections.iter().map(reader).collect()
    }
}

/// Returns the proxies that the environment names.
pub(super) fn proxies() -> Result<Proxies, String> {
    Proxies::from_variables(&|name| std::env::var(name).ok()).map_err(|error| inputs::explain(&error))
}

/// Returns the way out, with the proxies and the certificates that the options and the environment name.
pub(super) fn transport(network: &Network, timeout: Duration) -> Result<Transport, String> {
    let authorities = match &network.ca_cert_file {
        Some(path) => Some(read_file(path, files::SETTINGS)?),
        None => None,
    };
    let options =
        Options { timeout, authorities, insecure: network.tls_skip_verify, proxies: proxies()?, ..Options::default() };
    Transport::new(&options).map_err(|error| match (&error, &network.ca_cert_file) {
        (TransportError::NoAuthority | TransportError::Authorities(_), Some(path)) => {
            format!("{}: {}", path.display(), inputs::explain(&error))
        }
        _ => inputs::explain(&error),
    })
}

/// Prepares connections to the targets that are in use. Nothing is sent.
pub(super) async fn connect(
    network: &Network,
    config: Option<&Config>,
    used: &BTreeSet<Arc<str>>,
) -> Result<Connected, String> {
    let shared = Shared::new(transport(network, network.timeout)?, network.parallelism, network.rate);
    let Some(config) = config else {
        if used.is_empty() && !network.sandbox {
            return Ok(Connected { connections: Vec::new(), shared, sandbox: None, snapshot_scopes: BTreeMap::new() });
        }
        return Err(format!(
            "no {} was found, which says where the servers are: name one by `--config FILE`",
            config::FILE
        ));
    };
    let sandbox = if network.sandbox { Some(Arc::new(Embedded::start(&config.sandbox).await?)) } else { None };
    let targets = config.targets.iter().filter(|target| used.contains(&target.name));
    let connections = targets.map(|target| connection(target, sandbox.as_deref(), &shared)).collect();
    Ok(Connected { connections, shared, sandbox, snapshot_scopes: BTreeMap::new() })
}

/// Returns a connection to a target. Nothing is sent or fetched yet.
pub(super) fn connection(target: &Target, sandbox: Option<&Embedded>, shared: &Shared) -> Arc<Connection> {
    let resolve: Arc<connection::Resolve> = if let Some(sandbox) = sandbox {
        let endpoint = sandbox.endpoint(target);
        Arc::new(move || Ok(endpoint.clone()))
    } else {
        let target = target.clone();
        Arc::new(move || endpoint(&target))
    };
    let target = connection::Target {
        name: target.name.clone(),
        platform: target.platform,
        resolve,
        concurrency: target.limits.concurrency,
        rate: target.limits.requests_per_second,
    };
    Connection::new(target, shared.clone())
}

/// Fetches a target's values: environment variables, files, what programs print.
fn endpoint(target: &Target) -> Result<Endpoint, String> {
    let resolved = target.resolve().map_err(|error| inputs::explain(&error))?;
    let url = target.platform.url(&resolved.settings).ok_or("it has no endpoint")?;
    Ok(Endpoint { url, settings: resolved.settings, secrets: resolved.secrets })
}

/// The targets that objects lie on.
pub(super) fn used(desired: &[Desired]) -> BTreeSet<Arc<str>> {
    desired.iter().map(|desired| desired.target.clone()).collect()
}

/// Prints notes and warnings about the inputs. Inputs that cannot be used are an error.
pub(super) fn usable(loaded: LoadedInputs, ui: &Ui) -> Result<LoadedInputs, CommandError> {
    if loaded.is_broken() {
        return Err(CommandError::broken(loaded));
    }
    loaded.notes.iter().for_each(|note| ui.say(note));
    ui.diagnostics(&loaded.diagnostics, &loaded.sources);
    Ok(loaded)
}
