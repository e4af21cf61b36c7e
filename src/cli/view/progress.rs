//! Progress on stderr while a run reads and writes: bars on a terminal, lines elsewhere.

use std::{
    collections::{BTreeSet, HashSet},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Ui, plain, text};
use crate::{
    engine::{apply::Event, connection::RequestCounters},
    model::{Outcome, ResourceId},
    source::Sources,
};

/// Time that reading may take before a terminal shows it: a bar that only flashes up is a nuisance.
const SOON: Duration = Duration::from_millis(400);

/// Time that reading may take before a log says so, and the time between two such lines.
const LATE: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_secs(30);

/// The bar that is shown now. Whatever else goes to stderr is written above it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes to stderr without tearing the bar that is shown.
pub(super) fn above_bar<T>(write: impl FnOnce() -> T) -> T {
    let bar = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// A bar on stderr that is gone when it is dropped.
struct Shown(ProgressBar);

impl Shown {
    fn new(bar: ProgressBar) -> Self {
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self(bar)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.finish_and_clear();
    }
}

/// Shows that a run reads from targets until `work` is done: how many requests went out, and for how long.
pub(in crate::cli) async fn reading<T>(
    targets: impl IntoIterator<Item = impl AsRef<str>>,
    counters: &Arc<RequestCounters>,
    ui: &Ui,
    work: impl Future<Output = T>,
) -> T {
    let names: BTreeSet<String> = targets.into_iter().map(|name| name.as_ref().to_owned()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let before = counters.total(false);
    let mut work = std::pin::pin!(work);
    if ui.bars {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(SOON) => {}
        }
        let _bar = Shown::new(spinner(&names, counters.clone(), before));
        return work.await;
    }
    let mut pause = LATE;
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(pause) => {
                let requests = plain::count(counters.total(false) - before, "request");
                ui.say(&format!("reading {names}: {requests} so far"));
                pause = AGAIN;
            }
        }
    }
}

fn spinner(names: &str, counters: Arc<RequestCounters>, before: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let requests = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = write!(out, "{}", plain::count(counters.total(false) - before, "request"));
    };
    if let Ok(style) = ProgressStyle::with_template("{spinner} reading {wide_msg}  {requests}, {elapsed}") {
        bar.set_style(style.with_key("requests", requests));
    }
    bar.set_message(format!("{names}…"));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Shows how a plan is carried out.
pub(in crate::cli) struct Progress<'a> {
    bar: Option<Shown>,
    ui: &'a Ui,
    sources: &'a Sources,
    /// Objects whose calls are on their way.
    open: Mutex<HashSet<ResourceId>>,
}

impl<'a> Progress<'a> {
    /// Returns a display of so many objects.
    pub(in crate::cli) fn new(total: usize, ui: &'a Ui, sources: &'a Sources) -> Self {
        let bar = ui.bars.then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len}  {wide_msg}") {
                bar.set_style(style);
            }
            Shown::new(bar)
        });
        Self { bar, ui, sources, open: Mutex::default() }
    }

    /// Shows one event.
    pub(in crate::cli) fn show(&self, event: &Event<'_>) {
        self.ui.events.applying(event, self.sources);
        match event {
            Event::Started(change) => {
                self.open().insert(change.id.clone());
                if let Some(Shown(bar)) = &self.bar {
                    bar.set_message(change.id.to_string());
                }
            }
            Event::Finished(change, outcome, took) => {
                self.open().remove(&change.id);
                // Changes that an interruption or an outage kept from being sent are listed at the end.
                let is_told = !matches!(outcome, Outcome::Interrupted | Outcome::Unsent(_));
                let line = || text::finished(change, outcome, *took, &change.origin, self.sources);
                match &self.bar {
                    Some(Shown(bar)) => {
                        if !outcome.converged() && is_told {
                            bar.println(line());
                        }
                        bar.inc(1);
                    }
                    None if is_told => self.ui.say(&line()),
                    None => {}
                }
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, HashSet<ResourceId>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says at once that an interruption was heard, and what is still waited for.
    pub(in crate::cli) fn interrupted(&self) {
        let open = self.open().len();
        let waiting = if open == 0 {
            String::new()
        } else {
            format!("; waiting for {} on the way (a second signal does not wait)", plain::count(open, "object"))
        };
        self.ui.say(&format!("interrupted: no more calls are sent{waiting}"));
    }
}
