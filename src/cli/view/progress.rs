//! What is shown while a plan is carried out: bars on a terminal, one line an object elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Screen, text};
use crate::{engine::apply::Event, source::Sources};

/// Shows what happens.
pub(in crate::cli) struct Progress<'a> {
    bar: Option<ProgressBar>,
    screen: &'a Screen,
    sources: &'a Sources,
}

impl<'a> Progress<'a> {
    /// Returns a display of so many objects.
    pub(in crate::cli) fn new(total: usize, screen: &'a Screen, sources: &'a Sources) -> Self {
        let bar = screen.bars.then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len}  {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, screen, sources }
    }

    /// Shows one event.
    pub(in crate::cli) fn show(&self, event: &Event<'_>) {
        self.screen.events.applying(event, self.sources);
        match (event, &self.bar) {
            (Event::Started(change), Some(bar)) => bar.set_message(change.id.to_string()),
            (Event::Finished(change, outcome, took), bar) => {
                let line = || text::finished(change, outcome, *took, &change.origin, self.sources);
                match bar {
                    Some(bar) => {
                        if !outcome.converged() {
                            bar.println(line());
                        }
                        bar.inc(1);
                    }
                    None => self.screen.say(&line()),
                }
            }
            (Event::Started(_), None) => {}
        }
    }

    /// Takes the bars away.
    pub(in crate::cli) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
