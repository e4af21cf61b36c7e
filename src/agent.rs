//! The long-running agent: keeps what is live as declared, or says where it is not.
//!
//! It is level-based: a pass looks at objects and does not ask why it was called. What changes the files, the time and
//! failures only decide when the next pass comes, and which objects it looks at. Each target has passes of its own, which
//! never overlap. A save is answered by a look at what it changed, and each object that failed is looked at again by a
//! budget of its own; at everything where that leaves a doubt.

mod addresses;
mod base;
mod changed;
mod contest;
mod control;
mod cycle;
mod debounce;
mod events;
#[cfg(test)]
mod fake;
mod files;
mod follow_ups;
mod hang;
mod held;
mod inventory;
mod lane;
mod layout;
mod log;
mod looked;
mod manifests;
mod metrics;
mod notices;
mod observer;
mod pass;
mod record;
mod report;
mod retries;
mod said;
mod schedule;
mod settings;
mod status;
mod supervise;
mod watch;

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{model::Desired, provider::Platform};

pub use control::{Control, Pause};
pub use debounce::Debounce;
pub use inventory::{Detail, FieldDifference, Inventory, Row, Table};
pub use manifests::Manifests;
pub use metrics::Metrics;
pub use notices::{Event, Notice, NoticeObject, Notices};
pub use observer::{Observer, TargetStatus};
pub use settings::{Loader, Problems, Reloaded, Settings};
pub use status::{
    ByKind, ConfigurationStatus, Counts, KindCounts, ManifestStatus, Report, Snapshot, Status, Trigger, Verdict,
};

/// Time between two looks at everything where the configuration does not say.
pub const RESYNC: Duration = Duration::from_mins(5);

/// Time between two looks at the files, in case a change was not reported.
pub const RESCAN: Duration = Duration::from_secs(30);

/// The longest time of one pass where the configuration does not say.
pub const DEADLINE: Duration = Duration::from_mins(30);

/// The longest wait before what failed once is looked at again. A random part of its second half is left out, so that
/// agents which failed together do not come back together.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Picks the objects that are the agent's business.
pub type Filter = dyn Fn(&Desired) -> bool + Send + Sync;

/// An agent, before it runs.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Agent {
    /// Where the manifests lie.
    pub paths: Vec<PathBuf>,
    /// Overlays that are merged over the manifests, the last one on top.
    pub overlays: Vec<PathBuf>,
    /// Follow links wherever they lead.
    pub follow_links: bool,
    /// Take manifests that declare nothing for what is wanted, not for a mistake.
    pub allow_empty: bool,
    /// The platforms that manifests may name.
    pub platforms: &'static [&'static dyn Platform],
    /// The settings that it begins with.
    pub settings: Settings,
    /// Reads the settings anew; they stay as they are without it.
    pub loader: Option<Box<dyn Loader>>,
    /// Wakes the agent, which then reads everything anew and makes a pass.
    pub wake: Arc<Notify>,
    /// Read each object back after its write.
    pub verify: bool,
    /// Picks the objects to look at; all without it.
    pub filter: Option<Arc<Filter>>,
    /// Time between two looks at the files, in case a change was not reported.
    pub rescan: Duration,
    /// The longest wait before what failed once is looked at again; it doubles with each further failure.
    pub retry: Duration,
    /// How long to wait for a burst of changes to end.
    pub debounce: Debounce,
    /// True if files are looked at from time to time instead of watched by the system.
    pub poll: bool,
    /// Where the agent tells how it is.
    pub status: Status,
    /// Where it counts.
    pub metrics: Metrics,
    /// The states of its objects, for those who look.
    pub inventory: Inventory,
    /// What people ask of it.
    pub control: Control,
    /// The longest time for one request.
    pub timeout: Duration,
    /// Passes are tasks of the runtime: a clock that is paused stands still while they are on threads of their own.
    #[cfg(test)]
    pub(crate) passes_are_tasks: bool,
}

impl Agent {
    /// Returns an agent for manifests below some paths, with nothing else set.
    pub fn new(paths: Vec<PathBuf>, platforms: &'static [&'static dyn Platform]) -> Self {
        Self {
            paths,
            overlays: Vec::new(),
            follow_links: false,
            allow_empty: false,
            platforms,
            settings: Settings::default(),
            loader: None,
            wake: Arc::default(),
            verify: true,
            filter: None,
            rescan: RESCAN,
            retry: FIRST_RETRY,
            debounce: Debounce::default(),
            poll: false,
            status: Status::default(),
            metrics: Metrics::default(),
            inventory: Inventory::default(),
            control: Control::default(),
            timeout: Duration::from_secs(40),
            #[cfg(test)]
            passes_are_tasks: false,
        }
    }
}

/// Why the agent cannot run. What goes wrong while it runs does not end it.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It was given nothing to watch.
    #[error("no path to watch was given")]
    NoPath,
    /// The standard input ends; it cannot be watched.
    #[error("the standard input cannot be watched")]
    StandardInput,
}

/// Runs until `stop` is cancelled: then no further call is sent, and those on their way are waited for.
pub async fn run(agent: Agent, stop: CancellationToken) -> Result<(), AgentError> {
    if agent.paths.is_empty() {
        return Err(AgentError::NoPath);
    }
    if agent.paths.iter().any(|path| path.as_os_str() == "-") {
        return Err(AgentError::StandardInput);
    }
    let status = agent.status.clone();
    tokio::select! {
        () = cycle::Cycle::new(agent, stop).run() => Ok(()),
        never = beat(&status) => match never {},
    }
}

/// Shows that the loop's task is not stuck.
async fn beat(status: &Status) -> Infallible {
    let mut ticks = tokio::time::interval(HEARTBEAT);
    loop {
        ticks.tick().await;
        status.beat();
    }
}

#[cfg(test)]
mod tests;
