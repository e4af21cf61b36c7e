//! Files of saved plans.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    args::{Format, Inputs},
    inputs,
    view::report::Report,
};
use crate::{
    config::Config,
    files::write::Readers,
    plan::file::{self, Saved, Setup},
    platform,
    provider::settings::Role,
    source::Sources,
};

/// Says where targets lead to, as far as the configuration itself does.
pub(super) fn setups(config: &Config, used: &BTreeSet<&Arc<str>>, is_sandbox: bool) -> Vec<Setup> {
    let setup = |target: &crate::config::Target| {
        let mut literals = inputs::literals(target);
        if is_sandbox {
            literals.insert("endpoint", "--sandbox".to_owned());
        }
        // A slash at the end of an address leads nowhere else.
        literals.values_mut().for_each(|value| value.truncate(value.trim_end_matches('/').len()));
        let locating = target.platform.settings_of(Role::Locates).into_iter();
        let settings = locating.filter_map(|key| Some((key.to_owned(), file::fingerprint(literals.get(key)?))));
        Setup { target: target.name.clone(), platform: target.platform.name().into(), settings: settings.collect() }
    };
    config.targets.iter().filter(|target| used.contains(&target.name)).map(setup).collect()
}

/// Writes a plan to a file, whole or not at all.
pub(super) fn save(report: &Report<'_>, path: &Path) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    report.write_form(Format::Json, path, Readers::Owner).map_err(problem)
}

/// Returns the saved plan that a command was given instead of manifests; an error where both were.
pub(super) fn given(inputs: &Inputs) -> Result<Option<PathBuf>, String> {
    let paths = inputs::paths(inputs);
    if let Some(path) = paths.iter().find(|path| is_empty(path)) {
        let message = "the file is empty: a plan or a manifest that was not written whole; write it again";
        return Err(format!("{}: {message}", path.display()));
    }
    let Some(path) = paths.iter().find(|path| is_saved(path)) else { return Ok(None) };
    let is_more = !inputs.set.is_empty() || !inputs.values.is_empty() || !inputs.overlays.is_empty();
    if paths.len() > 1 || is_more || inputs.selection.is_partial() {
        let message = "a saved plan is applied as it is: no other paths, overlays, variables or selections go with it";
        return Err(format!("{}: {message}", path.display()));
    }
    Ok(Some(path.clone()))
}

/// Says what a file or stdin, where manifests were asked for by name, is instead; `None` if it may be one.
pub(super) fn mistaken(inputs: &Inputs, sources: &Sources) -> Option<String> {
    let given: Vec<_> = inputs::paths(inputs).iter().map(|path| path.display().to_string()).collect();
    let named = |path: &str| given.iter().any(|text| text == path || (text == "-" && path == "<stdin>"));
    let wrong = sources.files().find(|file| named(sources.path(*file)) && is_document(sources.text(*file)))?;
    let path = sources.path(wrong);
    Some(format!(
        "{path} holds no manifests: it was written by this program; `apply FILE` takes a saved plan as a file, `plan \
         --against FILE` a snapshot"
    ))
}

/// Returns true for a file without a letter.
pub(super) fn is_empty(path: &Path) -> bool {
    path.is_file() && std::fs::read_to_string(path).is_ok_and(|text| text.trim().is_empty())
}

/// Returns true if a file is a document of this program other than a manifest.
pub(super) fn is_saved(path: &Path) -> bool {
    // A file that cannot be read is reported when it is read as a manifest.
    path.is_file() && std::fs::read_to_string(path).is_ok_and(|text| is_document(&text))
}

pub(super) fn is_document(text: &str) -> bool {
    let is_ours = |value: &serde_json::Value| value["apiVersion"] == "reconcile/v1" && value["kind"].is_string();
    let parsed = serde_json::from_str(text);
    // A document that was cut off is no manifest either.
    parsed.as_ref().map_or_else(|_| text.starts_with("{\n  \"") && text.contains("\"reconcile/v1\""), is_ours)
}

/// Reads a saved plan.
pub(super) fn read(path: &Path, sources: &mut Sources) -> Result<Saved, String> {
    let problem = |error: &dyn std::error::Error| format!("{}: {}", path.display(), inputs::explain(error));
    let text = std::fs::read_to_string(path).map_err(|error| problem(&error))?;
    file::read(text, platform::ALL, sources).map_err(|error| problem(&error))
}

/// Says which target leads elsewhere than it did when the plan was made; `None` if all lead there.
pub(super) fn elsewhere(then: &[Setup], now: &[Setup]) -> Option<String> {
    let now: BTreeMap<&Arc<str>, &Setup> = now.iter().map(|setup| (&setup.target, setup)).collect();
    for setup in then {
        let Some(here) = now.get(&setup.target).filter(|here| here.platform == setup.platform) else {
            return Some(format!("the configuration has no target `{}` on {}", setup.target, setup.platform));
        };
        let keys: BTreeSet<&String> = setup.settings.keys().chain(here.settings.keys()).collect();
        let other = keys.into_iter().find(|key| setup.settings.get(*key) != here.settings.get(*key));
        if let Some(key) = other {
            return Some(format!(
                "`{key}` of target `{}` is not what it was when this was planned: plan again",
                setup.target
            ));
        }
    }
    None
}
