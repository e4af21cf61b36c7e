//! Which configuration a run uses, and what is said of it.

use std::path::{Path, PathBuf};

use super::{args::Inputs, inputs};
use crate::{
    config::{self, Config},
    diagnostic::Diagnostic,
    manifest::Targets,
    platform,
    source::Sources,
};

/// How many of the configurations that may be meant are named.
const OFFERED: usize = 5;

/// Reads the configuration. Without a file, each platform has one target of its own name.
pub(super) fn read(
    named: Option<&Path>,
    paths: &[PathBuf],
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Option<Config>, String> {
    let Some(file) = named.map(Path::to_owned).or_else(|| config::find(first(paths)).file) else { return Ok(None) };
    config::load(&file, platform::ALL, sources, diagnostics).map(Some).map_err(|error| inputs::explain(&error))
}

fn first(paths: &[PathBuf]) -> &Path {
    paths.first().map_or(Path::new("."), PathBuf::as_path)
}

/// Returns the targets that documents may name.
pub(super) fn targets(config: Option<&Config>, paths: &[PathBuf]) -> Targets {
    let mut targets = Targets::default();
    if let Some(config) = config {
        for target in &config.targets {
            targets.add(target.name.clone(), target.platform.name(), target.default);
            targets.restrict(&target.name, target.policy);
        }
        return targets;
    }
    platform::ALL.iter().for_each(|platform| targets.add(platform.name(), platform.name(), false));
    targets.unconfigured(remedy(paths))
}

/// Returns the error about a run that needs a configuration and found none.
pub(super) fn missing(paths: &[PathBuf]) -> String {
    let place = first(paths).display();
    format!("no {} in {place} or above, which says where the servers are: {}", config::FILE, remedy(paths))
}

fn remedy(paths: &[PathBuf]) -> String {
    let first = first(paths);
    if let Some(passed_over) = config::find(first).passed_over.first() {
        return passed_over.to_string();
    }
    let below = config::find_below(first);
    let shown: Vec<_> = below.iter().take(OFFERED).map(|path| path.display().to_string()).collect();
    match (shown.as_slice(), below.len()) {
        ([], _) => "write one, or name one by `--config FILE`".to_owned(),
        ([only], _) => format!("`--config {only}` names the one that lies below"),
        (some, OFFERED..) => format!("name one by `--config`, such as {}", some.join(", ")),
        (some, _) => format!("name one by `--config`: there are {}", some.join(", ")),
    }
}

/// Returns what is said of the configuration of a run: the file that was found, and files that were passed over.
pub(super) fn notes(inputs: &Inputs) -> Vec<String> {
    if inputs.config.is_some() {
        return Vec::new();
    }
    let found = config::find(first(&inputs::paths(inputs)));
    let passed_over = found.passed_over.iter().map(|passed_over| format!("warning: {passed_over}"));
    passed_over.chain(found.file.iter().map(|file| format!("configuration: {}", file.display()))).collect()
}
