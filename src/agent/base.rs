//! The surroundings of the passes over all targets, and those over one.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    Control, Filter, Inventory, Metrics, pass,
    record::{OwnRuns, Record},
    settings::Settings,
};
use crate::provider::Platform;

/// The surroundings of the passes over all targets.
pub(super) struct Base {
    pub(super) settings: Settings,
    pub(super) paths: Vec<PathBuf>,
    pub(super) timeout: Duration,
    pub(super) verify: bool,
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) platforms: &'static [&'static dyn Platform],
    pub(super) metrics: Metrics,
    pub(super) inventory: Inventory,
    pub(super) control: Control,
    pub(super) own_runs: OwnRuns,
}

impl Base {
    /// Returns the surroundings of passes over one target, with what is remembered of it.
    pub(super) fn shared(&self, target: &Arc<str>, memory: Option<Arc<pass::Memory>>) -> Arc<pass::Shared> {
        let mut settings = self.settings.clone();
        settings.connections.retain(|connection| connection.target().name == *target);
        settings.setups.retain(|setup| setup.target == *target);
        let memory =
            memory.unwrap_or_else(|| Arc::new(pass::Memory::new(self.metrics.clone(), &self.inventory, target)));
        Arc::new(pass::Shared {
            target: target.clone(),
            verify: self.verify,
            filter: self.filter.clone(),
            platforms: self.platforms,
            record: Record::new(&settings, &self.paths, self.platforms, self.timeout, self.own_runs.clone()),
            memory,
            control: self.control.clone(),
            settings,
        })
    }
}
