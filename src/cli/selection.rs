//! Checks that what a run was asked for means something: a slip would make it do something else in silence.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    args::{Inputs, Selection},
    inputs::LoadedInputs,
};
use crate::{
    model::{
        Desired,
        selector::{Selector, SelectorError, is_meant, wildcard},
    },
    yaml::nearest,
};

/// Returns true if an object is part of the run.
pub(super) type Filter = Arc<dyn Fn(&Desired) -> bool + Send + Sync>;

/// Returns the filter that `--selector`, `--target` and `--exclude` make.
pub(super) fn filter(selection: &Selection) -> Result<Filter, String> {
    let selector: Option<Selector> =
        selection.selector.as_deref().map(str::parse).transpose().map_err(|error: SelectorError| error.to_string())?;
    let (only, except) = (selection.target.clone(), selection.exclude.clone());
    Ok(Arc::new(move |one: &Desired| {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| is_meant(pattern, one));
        selector.as_ref().is_none_or(|selector| selector.matches(&one.labels))
            && (only.is_empty() || named(&only))
            && !named(&except)
    }))
}

/// Checks that each address, the selection as a whole and each `--set` mean something in the documents that were read.
pub(super) fn check(inputs: &Inputs, loaded: &LoadedInputs) -> Result<(), String> {
    let selection = &inputs.selection;
    addresses(selection, loaded)?;
    if selection.is_partial() {
        let is_selected = filter(selection)?;
        if !loaded.set.desired.iter().any(|desired| is_selected(desired)) {
            return Err(nothing(selection, loaded));
        }
    }
    assignments(inputs, loaded)
}

/// Finds an address of `--target` or `--exclude` that means nothing.
fn addresses(selection: &Selection, loaded: &LoadedInputs) -> Result<(), String> {
    let targets = || loaded.config.iter().flat_map(|config| &config.targets).map(|target| &*target.name);
    let objects = &loaded.set.desired;
    for pattern in selection.target.iter().chain(&selection.exclude) {
        if objects.iter().any(|desired| is_meant(pattern, desired)) {
            continue;
        }
        if pattern.contains('/') {
            let addresses: Vec<String> = objects.iter().map(|desired| desired.id.document().to_string()).collect();
            let near = nearest(pattern, addresses.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("no declared object fits `{pattern}`{hint}"));
        }
        if targets().any(|target| wildcard(pattern, target)) {
            continue;
        }
        let named = objects.iter().find(|desired| wildcard(pattern, &desired.id.key));
        let hint = match (named, nearest(pattern, targets())) {
            (Some(desired), _) => format!("; objects are named KIND/NAME: `{}/{pattern}`", desired.id.kind),
            (None, Some(near)) => format!("; did you mean `{near}`?"),
            (None, None) => String::new(),
        };
        return Err(format!("no target fits `{pattern}`{hint}"));
    }
    Ok(())
}

/// Returns the error about a selection that is empty.
fn nothing(selection: &Selection, loaded: &LoadedInputs) -> String {
    let Some(selector) = &selection.selector else {
        return "nothing that is declared fits `--target` and `--exclude` together".to_owned();
    };
    let labels: BTreeSet<String> = loaded.set.desired.iter().flat_map(|desired| &*desired.labels).map(pair).collect();
    let hint = match nearest(selector, labels.iter().map(String::as_str)) {
        Some(near) if near != selector => format!("; did you mean `{near}`?"),
        _ if labels.is_empty() => "; no document has labels".to_owned(),
        _ => String::new(),
    };
    format!("nothing that is declared fits the selection `{selector}`{hint}")
}

fn pair((key, value): (&Arc<str>, &Arc<str>)) -> String {
    format!("{key}={value}")
}

/// Finds a `--set` of a variable that no document uses.
pub(super) fn assignments(inputs: &Inputs, loaded: &LoadedInputs) -> Result<(), String> {
    let used = loaded.set.provenance.mentioned();
    for name in inputs.set.iter().filter_map(|text| text.split_once('=')).map(|(name, _)| name) {
        if !used.contains(name) {
            let hint = nearest(name, used.iter().map(String::as_str));
            let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("no document uses the variable `{name}` of `--set`{hint}"));
        }
    }
    Ok(())
}
