//! Reads a snapshot on a thread of its own, so that nobody who types waits for it.

use std::{panic, thread};

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::runtime::Handle;

use super::live::{LiveView, Loaded, Settings, load};
use crate::lsp::Live;

/// What became of reading a snapshot.
type Reading = Result<Loaded, String>;

/// What was read last, and what is being read.
pub(super) struct Refresh {
    /// Where live objects come from; `None` if nothing says it.
    settings: Option<Settings>,
    results: (Sender<Reading>, Receiver<Reading>),
    is_running: bool,
    /// Something changed since reading began.
    is_stale: bool,
    view: Option<LiveView>,
}

impl Refresh {
    pub(super) fn new(settings: Option<Settings>) -> Self {
        Self { settings, results: unbounded(), is_running: false, is_stale: false, view: None }
    }

    /// Begins to read; where that is under way, once more when it is done.
    pub(super) fn start(&mut self) {
        let Some(settings) = &self.settings else { return };
        if self.is_running {
            self.is_stale = true;
            return;
        }
        self.is_running = true;
        let (settings, results, runtime) = (settings.clone(), self.results.0.clone(), Handle::current());
        thread::spawn(move || {
            // Whoever waits for a result gets one.
            let loaded = panic::catch_unwind(panic::AssertUnwindSafe(|| runtime.block_on(load(&settings))));
            let loaded =
                loaded.unwrap_or_else(|_| Err("the snapshot cannot be compared with the manifests".to_owned()));
            // Nobody waits for the result of a server that has ended.
            let _ = results.send(loaded);
        });
    }

    /// Returns where results come.
    pub(super) fn results(&self) -> Receiver<Reading> {
        self.results.1.clone()
    }

    /// Waits for a result; `None` if nothing is being read.
    pub(super) fn wait(&self) -> Option<Reading> {
        if self.is_running { self.results.1.recv().ok() } else { None }
    }

    /// Takes a result, and returns what the editor is told of it and what could not be read.
    pub(super) fn take(&mut self, loaded: Reading) -> Result<(Live, Vec<String>), String> {
        self.is_running = false;
        if std::mem::take(&mut self.is_stale) {
            self.start();
        }
        let Loaded { view, told, notes } = loaded?;
        self.view = Some(view);
        Ok((told, notes))
    }

    /// Returns what was read last.
    pub(super) fn view(&self) -> Option<&LiveView> {
        self.view.as_ref()
    }
}
