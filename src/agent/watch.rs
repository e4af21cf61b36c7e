//! Notices that something changed below the manifests' paths, and nothing more: an event is one dirty bit.
//!
//! The paths of events are not to be trusted (a `ConfigMap` swap never names the file that
//! changed), so events are not filtered by path; the files are read again and compared instead.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use notify::{
    Config, ErrorKind, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, RemoveKind},
};
use tokio::sync::mpsc::Sender;

use super::layout::{Layout, layout};

/// `EMFILE`: too many inotify instances or open files.
const TOO_MANY_OPEN: i32 = 24;
/// `ENFILE`: the same, in the whole system.
const TOO_MANY_OPEN_IN_ALL: i32 = 23;

/// Time between two looks where the system does not tell.
pub(super) const POLL: Duration = Duration::from_secs(2);

/// Most times that the directories are looked at again because they changed while the watch was set up.
const TRIES: usize = 3;

/// Watches the directories that decide what the manifests say.
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    follow_links: bool,
    poll: Option<Duration>,
    signals: Signals,
    /// The watched directories and their watcher, which ends when it is dropped.
    armed: Option<(Layout, Box<dyn Watcher + Send>)>,
}

/// The messages of the watcher's thread.
#[derive(Clone)]
struct Signals {
    dirty: Sender<()>,
    /// A directory is gone, and its watch with it; one of the same name may be back already.
    stale: Arc<AtomicBool>,
    /// The system refused to watch a new directory.
    limited: Arc<AtomicBool>,
}

impl Watch {
    /// Returns a watch that is not set up yet. With `poll` it looks at the files in that interval.
    pub(super) fn new(paths: Vec<PathBuf>, follow_links: bool, poll: Option<Duration>, dirty: Sender<()>) -> Self {
        let signals = Signals { dirty, stale: Arc::default(), limited: Arc::default() };
        Self { paths, follow_links, poll, signals, armed: None }
    }

    /// Sets the watch up, or again where directories were replaced. To be called before the files are read: so what
    /// changes later is noticed and what changed before is read.
    pub(super) fn rearm(&mut self) {
        for _ in 0..TRIES {
            let stale = self.signals.stale.swap(false, Ordering::AcqRel);
            let limited = self.signals.limited.swap(false, Ordering::AcqRel);
            if limited && self.poll.is_none() {
                self.fall_back("fs.inotify.max_user_watches");
                self.armed = None;
            }
            let wanted = layout(&self.paths, self.follow_links);
            if !stale && self.armed.as_ref().is_some_and(|(armed, _)| *armed == wanted) {
                return;
            }
            self.armed = self.arm(wanted);
        }
    }

    /// Watches other paths from the next [`Watch::rearm`] on.
    pub(super) fn set_paths(&mut self, paths: Vec<PathBuf>) {
        self.paths = paths;
    }

    /// Returns true if changes are only found by looking, so that some may be missed: times are compared by the second.
    pub(super) fn polls(&self) -> bool {
        self.poll.is_some()
    }

    fn arm(&mut self, wanted: Layout) -> Option<(Layout, Box<dyn Watcher + Send>)> {
        if self.poll.is_none() {
            match watch(&self.signals, None, wanted.clone()) {
                Ok(armed) => return Some(armed),
                Err(error) => {
                    if let Some(setting) = limit(&error) {
                        self.fall_back(setting);
                    } else {
                        tracing::warn!("the file system does not tell of changes, looking every {POLL:?}: {error}");
                        self.poll = Some(POLL);
                    }
                }
            }
        }
        match watch(&self.signals, self.poll, wanted) {
            Ok(armed) => Some(armed),
            Err(error) => {
                tracing::warn!("the manifests cannot be watched, only read again from time to time: {error}");
                None
            }
        }
    }

    fn fall_back(&mut self, setting: &str) {
        self.poll = Some(POLL);
        tracing::warn!("the limit of inotify is reached, looking every {POLL:?} instead; raise sysctl {setting}");
    }
}

impl Signals {
    /// Takes in what the watcher says. Never blocks: a full channel is dirty already.
    fn note(&self, event: &notify::Result<Event>) {
        match event {
            Ok(event) if !matters(event.kind) => return,
            Ok(event) => {
                if event.kind == EventKind::Remove(RemoveKind::Folder) || event.need_rescan() {
                    self.stale.store(true, Ordering::Release);
                }
            }
            Err(error) => {
                if limit(error).is_some() {
                    self.limited.store(true, Ordering::Release);
                }
            }
        }
        let _ = self.dirty.try_send(());
    }
}

/// Returns true if an event may be a change. Reading is none: the agent reads the files itself after each change.
fn matters(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// Watches what is wanted. What cannot be watched for a reason of its own is left out of the layout that is returned.
fn watch(
    signals: &Signals,
    poll: Option<Duration>,
    wanted: Layout,
) -> Result<(Layout, Box<dyn Watcher + Send>), notify::Error> {
    let signals = signals.clone();
    let handler = move |event| signals.note(&event);
    // Links are followed by the layout, which knows when they change.
    let config = Config::default().with_follow_symlinks(false);
    let mut watcher: Box<dyn Watcher + Send> = match poll {
        Some(interval) => Box::new(PollWatcher::new(handler, config.with_poll_interval(interval))?),
        None => Box::new(RecommendedWatcher::new(handler, config)?),
    };
    let mut armed = Layout::new();
    for (path, spot) in wanted {
        let mode = if spot.recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        match watcher.watch(&path, mode) {
            Ok(()) => {
                armed.insert(path, spot);
            }
            Err(error) if limit(&error).is_some() => return Err(error),
            Err(error) => tracing::debug!(path = %path.display(), "cannot be watched: {error}"),
        }
    }
    Ok((armed, watcher))
}

/// Returns the setting to raise where an error is about a limit.
fn limit(error: &notify::Error) -> Option<&'static str> {
    match &error.kind {
        ErrorKind::MaxFilesWatch => Some("fs.inotify.max_user_watches"),
        ErrorKind::Io(error) => matches!(error.raw_os_error(), Some(TOO_MANY_OPEN | TOO_MANY_OPEN_IN_ALL))
            .then_some("fs.inotify.max_user_instances (or the limit of open files)"),
        ErrorKind::Generic(_) | ErrorKind::PathNotFound | ErrorKind::WatchNotFound | ErrorKind::InvalidConfig(_) => {
            None
        }
    }
}

#[cfg(all(test, unix))]
mod tests;
