//! The files that an editor's server reads.

use crate::{
    cli::{args::Inputs, configuration, inputs, setup},
    config::Config,
    diagnostic::Diagnostic,
    manifest::{self, Discovery, Targets, Variables},
    source::{FileId, Sources},
};

/// The texts of manifests and of all that they are read with.
pub(super) struct Files {
    /// The texts.
    pub(super) sources: Sources,
    /// The manifests.
    pub(super) found: Discovery,
    /// The configuration.
    pub(super) config: Option<Config>,
    /// The text of the configuration.
    pub(super) config_file: Option<FileId>,
    /// The targets of the configuration.
    pub(super) targets: Targets,
    /// The variables.
    pub(super) variables: Variables,
    /// Problems of the configuration and of files with variables.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Files and directories that could not be read.
    pub(super) errors: Vec<String>,
}

/// Reads all files as they are on the disk.
pub(super) fn read(args: &Inputs) -> Result<Files, String> {
    let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
    let paths = inputs::paths(args);
    let config = configuration::read(args.config.as_deref(), &paths, &mut sources, &mut diagnostics)?;
    let config_file = config.as_ref().and_then(|_| sources.files().next());
    let secrets = config.clone();
    let variables = setup::variables(args, &mut sources, &mut diagnostics)?
        .hiding(move || secrets.as_ref().map(Config::known_secrets).unwrap_or_default());
    let skipped = setup::skipped(args, config.as_ref());
    let search =
        manifest::Search { paths: &paths, skip: &skipped, overlays: &args.overlays, follow_links: args.follow_links };
    // The protocol is on stdin.
    let found = manifest::discover(&search, &mut std::io::empty(), &mut sources);
    let errors = found.errors.iter().map(|error| inputs::explain(error)).collect();
    let targets = configuration::targets(config.as_ref(), &paths);
    Ok(Files { sources, found, config, config_file, targets, variables, diagnostics, errors })
}
