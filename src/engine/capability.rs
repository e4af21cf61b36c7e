//! The capabilities that a server turned out to lack.
//!
//! Requests that need the same capability succeed or fail together: the first goes alone, the others wait for it. If it
//! is refused for want of that capability, the others are refused unsent. So finding out costs one call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::model::Refusal;

/// The knowledge about one capability: nothing yet, that it is there, or the refusal for want of it.
type Known = Option<Result<(), Refusal>>;

/// The knowledge about all capabilities that requests need.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<HashMap<&'static str, Arc<tokio::sync::Mutex<Known>>>>);

/// The right to go first, which others wait for.
#[derive(Debug, Default)]
pub(super) struct ProbeGuard(Vec<(&'static str, OwnedMutexGuard<Known>)>);

impl Probes {
    /// Waits until it is known whether the things are there, or the caller is the first to find out. The error is the
    /// refusal that the first one got.
    pub(super) async fn pass(&self, things: &[&'static str]) -> Result<ProbeGuard, Refusal> {
        let mut first = ProbeGuard::default();
        for thing in things {
            let capability = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(thing).or_default().clone();
            let known = capability.lock_owned().await;
            match &*known {
                None => first.0.push((thing, known)),
                Some(Ok(())) => {}
                Some(Err(refusal)) => return Err(refusal.clone()),
            }
        }
        Ok(first)
    }
}

impl ProbeGuard {
    /// Tells the others what came of the request. A failure that says nothing of a thing counts as if it were there:
    /// else all others would fail one by one.
    pub(super) fn finish(self, answer: Result<(), &Refusal>, lacks: impl Fn(&str, &Refusal) -> bool) {
        for (thing, mut known) in self.0 {
            *known = Some(match answer {
                Err(refusal) if lacks(thing, refusal) => Err(refusal.clone()),
                _ => Ok(()),
            });
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
    async fn one_refusal_is_enough() {
        let many: Vec<&[&'static str]> = vec![&["a"]; 20];
        assert_eq!(run(&many, "").await, (19, 0));
        assert_eq!(run(&many, "a").await, (1, 1));
        let mixed: Vec<&[&'static str]> = [["a", "b"].as_slice(), &["a"], &["a", "b"], &[]].repeat(5);
        assert_eq!(run(&mixed, "b").await.1, 1);
        assert_eq!(run(&mixed, "a").await.1, 1);
    }
}
