//! Finds how many requests a server takes at once, from its latency and its refusals.
//!
//! No page of the platforms says it. So a target begins at [`BEGIN`] and grows with each answer until one is late or
//! refused, then by one a round, as TCP does. An answer that takes twice as long as the fastest of its operation has stood
//! in a queue: more at once would only make the queue longer. A server that is too busy to answer halves the number.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::model::{Refusal, Retry};

/// Requests at once to a target of which nothing is known.
const BEGIN: usize = 8;
/// Late answers alone do not bring the number below this: they may have another reason than a queue.
const FEW: usize = 4;
/// Answers may differ so much without a queue.
const JITTER: Duration = Duration::from_millis(20);

/// The requests to one server, or one lane of it, that are on their way at once.
#[derive(Debug)]
pub(in crate::engine) struct ConcurrencyLimiter {
    turns: Semaphore,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Turns that are taken out when they are given back.
    surplus: usize,
    /// Nothing was late or refused yet.
    is_new: bool,
    /// Answers of this round that came in time.
    in_time: usize,
    /// When the limit was last lowered: requests from before say nothing about the new one.
    lowered: Option<Instant>,
    /// The fastest answer of each operation.
    fastest: HashMap<&'static str, Duration>,
}

/// The right to have one request on its way.
#[derive(Debug)]
pub(in crate::engine) struct Turn<'a> {
    limiter: &'a ConcurrencyLimiter,
    permit: Option<SemaphorePermit<'a>>,
    since: Instant,
}

impl ConcurrencyLimiter {
    /// Returns a limiter that lets at most `most` requests go at once, and fewer where the server shows that it takes
    /// fewer.
    pub(in crate::engine) fn new(most: usize) -> Self {
        let most = most.max(1);
        let limit = most.min(BEGIN);
        let state = State { limit, surplus: 0, is_new: true, in_time: 0, lowered: None, fastest: HashMap::new() };
        Self { turns: Semaphore::new(limit), most, state: Mutex::new(state) }
    }

    /// Waits for a turn, in the order of asking.
    pub(in crate::engine) async fn turn(&self) -> Turn<'_> {
        // It is closed by nobody.
        let permit = self.turns.acquire().await.ok();
        Turn { limiter: self, permit, since: Instant::now() }
    }

    fn grow(&self, state: &mut State) {
        state.in_time = 0;
        if state.limit < self.most {
            state.limit += 1;
            if state.surplus > 0 {
                state.surplus -= 1;
            } else {
                self.turns.add_permits(1);
            }
        }
    }
}

impl State {
    fn lower(&mut self, limit: usize) {
        let limit = limit.clamp(1, self.limit);
        self.surplus += self.limit - limit;
        self.limit = limit;
        self.is_new = false;
        self.in_time = 0;
        self.lowered = Some(Instant::now());
    }
}

impl Turn<'_> {
    /// Learns from what came of the request: how long the server took to answer, or its refusal.
    pub(in crate::engine) fn learn(&self, operation: &'static str, answer: Result<Duration, &Refusal>) {
        let mut state = self.limiter.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A request that left before the limit was lowered says nothing about it.
        let is_old = state.lowered.is_some_and(|lowered| self.since < lowered);
        match answer {
            // How many go in a time is another limiter's business.
            Err(refusal) if matches!(refusal.retry, Retry::Slower(_)) => {}
            Err(refusal) if refusal.lost || matches!(refusal.retry, Retry::Soon | Retry::After(_)) => {
                if !is_old {
                    let half = state.limit / 2;
                    state.lower(half);
                }
            }
            Err(_) => {}
            Ok(took) => {
                let fastest = state.fastest.entry(operation).or_insert(took);
                *fastest = took.min(*fastest);
                let is_late = took > *fastest * 2 + JITTER;
                if !is_late {
                    state.in_time += 1;
                    if state.is_new || state.in_time >= state.limit {
                        self.limiter.grow(&mut state);
                    }
                } else if !is_old && state.limit > FEW {
                    let fewer = state.limit - 1;
                    state.lower(fewer);
                } else {
                    state.is_new = false;
                }
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            state.surplus -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    /// A server that does `workers` requests at a time, each in 10 ms, and refuses what waits behind `queue` others.
    /// Sends many requests as far as the limiter lets them; returns the most at once, how many were refused, and the
    /// limit in the end.
    async fn run(requests: usize, most: usize, workers: usize, queue: usize) -> (usize, usize, usize) {
        let limiter = ConcurrencyLimiter::new(most);
        let (free, flying) = (Semaphore::new(workers), AtomicUsize::new(0));
        let (most_seen, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let request = async || {
            let turn = limiter.turn().await;
            let start = Instant::now();
            let ahead = flying.fetch_add(1, Ordering::SeqCst);
            most_seen.fetch_max(ahead + 1, Ordering::SeqCst);
            let answer = if ahead >= workers + queue {
                refused.fetch_add(1, Ordering::SeqCst);
                Err(Refusal { retry: Retry::Soon, ..Refusal::new(None, "busy") })
            } else {
                let _worker = free.acquire().await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(())
            };
            flying.fetch_sub(1, Ordering::SeqCst);
            turn.learn("read", answer.as_ref().map(|()| start.elapsed()));
        };
        join_all((0..requests).map(|_| request())).await;
        let limit = limiter.state.lock().expect("nobody panicked").limit;
        (most_seen.into_inner(), refused.into_inner(), limit)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_more_gets_more() {
        assert_eq!(run(1_000, 10, 1_000, 0).await, (10, 0, 10));
        assert_eq!(run(1_000, 64, 1_000, 0).await, (64, 0, 64));
        // Where fewer are allowed, it begins with fewer.
        assert_eq!(run(100, 2, 1_000, 0).await, (2, 0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_not_made_longer() {
        let (_, refused, limit) = run(5_000, 64, 6, 1_000).await;
        assert_eq!(refused, 0);
        assert!((4..=24).contains(&limit), "in the end {limit}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_gets_less() {
        let (_, refused, limit) = run(2_000, 64, 5, 0).await;
        assert!(limit <= 8 && refused < 1_000, "{refused} refused, in the end {limit}");
    }
}
