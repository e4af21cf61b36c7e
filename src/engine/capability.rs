//! The capabilities that a server turned out to lack.
//!
//! Requests that need the same capability succeed or fail together: a few go first, the others wait for the first answer.
//! If it is a refusal for want of that capability, the others are refused unsent. So finding out costs a few calls at
//! most, and a small run waits for nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::Refusal;

/// Requests that may be on their way while nothing is known of a capability that they need.
const FIRST: usize = 4;

/// One capability.
#[derive(Debug)]
struct Capability {
    /// Nothing yet, that it is there, or the refusal for want of it.
    known: OnceLock<Result<(), Refusal>>,
    first: Arc<Semaphore>,
}

impl Default for Capability {
    fn default() -> Self {
        Self { known: OnceLock::new(), first: Arc::new(Semaphore::new(FIRST)) }
    }
}

/// The knowledge about all capabilities that requests need.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<HashMap<&'static str, Arc<Capability>>>);

/// The right to go first, which others wait for.
#[derive(Debug, Default)]
pub(super) struct ProbeGuard(Vec<(&'static str, Arc<Capability>, OwnedSemaphorePermit)>);

impl Probes {
    /// Waits until it is known whether the things are there, or the caller is one of the first to find out. The error is
    /// the refusal that one of them got.
    pub(super) async fn pass(&self, things: &[&'static str]) -> Result<ProbeGuard, Refusal> {
        let mut first = ProbeGuard::default();
        for thing in things {
            let capability = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(thing).or_default().clone();
            if capability.known.get().is_none() {
                // It is closed by nobody, so there is a permit.
                let Ok(permit) = capability.first.clone().acquire_owned().await else { continue };
                if capability.known.get().is_none() {
                    first.0.push((thing, capability, permit));
                    continue;
                }
            }
            if let Some(Err(refusal)) = capability.known.get() {
                return Err(refusal.clone());
            }
        }
        Ok(first)
    }
}

impl ProbeGuard {
    /// Tells the others what came of the request. A failure that says nothing of a thing counts as if it were there:
    /// else all others would fail one by one.
    pub(super) fn finish(self, answer: Result<(), &Refusal>, lacks: impl Fn(&str, &Refusal) -> bool) {
        for (thing, capability, _permit) in self.0 {
            let known = match answer {
                Err(refusal) if lacks(thing, refusal) => Err(refusal.clone()),
                _ => Ok(()),
            };
            // Another of the first may have told before.
            let _ = capability.known.set(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    /// Sends many requests at once to a server that lacks some things; returns how many it got at once at most, and
    /// how many it refused.
    async fn run(requests: &[&[&'static str]], lacking: &str) -> (usize, usize) {
        let probes = Probes::default();
        let (flying, most, refused) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let send = async |things: &[&'static str]| {
            let Ok(first) = probes.pass(things).await else { return };
            most.fetch_max(flying.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            flying.fetch_sub(1, Ordering::SeqCst);
            let refusal = Refusal::absent(lacking, "old");
            let answer = if things.contains(&lacking) { Err(&refusal) } else { Ok(()) };
            if answer.is_err() {
                refused.fetch_add(1, Ordering::SeqCst);
            }
            first.finish(answer, |thing, _| thing == lacking);
        };
        join_all(requests.iter().map(|things| send(things))).await;
        (most.into_inner(), refused.into_inner())
    }

    #[tokio::test]
    async fn the_first_refusals_are_enough() {
        let many: Vec<&[&'static str]> = vec![&["a"]; 20];
        assert_eq!(run(&many, "").await, (20 - FIRST, 0));
        assert_eq!(run(&many, "a").await, (FIRST, FIRST));
        let mixed: Vec<&[&'static str]> = [["a", "b"].as_slice(), &["a"], &["a", "b"], &[]].repeat(5);
        for lacking in ["a", "b"] {
            let (_, refused) = run(&mixed, lacking).await;
            assert!((1..=FIRST).contains(&refused), "{refused} were refused for want of {lacking}");
        }
    }
}
