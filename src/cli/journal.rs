//! Where the runs of a command line are recorded.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{args::ApplyArgs, inputs};
use crate::{
    config::Config,
    journal::{Directory, Retention, RunOrigin},
    run::{Recording, Surroundings},
};

/// The message about a state directory that has no place.
pub(super) const NO_STATE: &str = "there is no state directory: neither --state-dir nor a home directory names one";

/// Returns the surroundings of the runs of a command: they are recorded in the directory that was named, else in the
/// user's own. Writes to a sandbox of the same process are not worth that.
pub(super) fn surroundings(
    origin: RunOrigin,
    named: Option<&Path>,
    is_sandbox: bool,
    lock_timeout: Duration,
    config: Option<&Config>,
) -> Surroundings {
    let directory = state_directory(named);
    let unrecorded = Surroundings::unrecorded(origin);
    match directory {
        _ if is_sandbox && named.is_none() => unrecorded,
        None => Surroundings { recording: Recording::Impossible, ..unrecorded },
        Some(path) => Surroundings {
            recording: Recording::In(Arc::new(Directory::new(&path))),
            locks: Some(path),
            lock_timeout,
            retention: retention(config),
            secrets: config.map(Config::known_secrets).unwrap_or_default(),
            ..unrecorded
        },
    }
}

/// Returns the surroundings of an apply.
pub(super) fn of_apply(args: &ApplyArgs, config: Option<&Config>) -> Surroundings {
    let origin = RunOrigin::here("apply", &inputs::paths(&args.inputs));
    let (named, is_sandbox) = (args.state.state_dir.as_deref(), args.network.sandbox);
    surroundings(origin, named, is_sandbox, args.state.lock_timeout, config)
}

/// Returns how many runs are kept, as the configuration says or by default.
fn retention(config: Option<&Config>) -> Retention {
    let (limits, default) = (config.map(|config| config.state).unwrap_or_default(), Retention::default());
    Retention { keep: limits.keep.unwrap_or(default.keep), runs: limits.runs.unwrap_or(default.runs) }
}

/// Returns the directory of the state: the one that was named, else the user's own; `None` if there is none.
pub(super) fn state_directory(named: Option<&Path>) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named.map(Path::to_owned).or_else(|| directory(&variable))
}

/// The directory of the state where none is named.
fn directory(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let own = |base: PathBuf| base.join("reconcile");
    let local = || variable("HOME").map(|home| own(home.join(".local/state")));
    variable("XDG_STATE_HOME").filter(|base| base.is_absolute()).map(own).or_else(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_has_a_place() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, path)| path.into());
            assert_eq!(directory(&variable), expected.map(PathBuf::from));
        };
        check(&[("HOME", "/h")], Some("/h/.local/state/reconcile"));
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")], Some("/s/reconcile"));
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")], Some("/h/.local/state/reconcile"));
        check(&[], None);
    }
}
