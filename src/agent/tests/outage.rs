//! A server that was away for long, on a paused clock: an agent that comes back does not run over it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    task::LocalSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::super::{
    Agent, Snapshot, Verdict,
    fake::{PLATFORMS, connect, targets, thing},
    run,
};
use crate::{
    provider::Prepared,
    transport::{Answer, Loss, Service},
};

/// Requests that the server takes in each second.
const RATE: usize = 20;
const THINGS: usize = 400;
const RESYNC: Duration = Duration::from_mins(1);
/// Half of a second, in which half of the rate may come.
const PART: Duration = Duration::from_millis(500);
/// More requests than the rate says that may come in it: the rate climbs a little, and what it found is not exact.
const SPARE: usize = 3;
/// The longest that the server keeps a request for events waiting.
const WATCH: Duration = Duration::from_secs(20);

/// A server that takes few requests, and none while it is away.
struct World(Mutex<State>);

#[derive(Default)]
struct State {
    is_away: bool,
    /// When requests were taken within the last second.
    taken: VecDeque<Instant>,
    /// When reads arrived, and whether they were taken.
    arrived: Vec<(Instant, bool)>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the second read since `start`, and returns when each came within a time from there, and whether it was
    /// taken. The first is a probe: until it is answered, all others fail unsent.
    async fn arrivals(&self, start: Instant, time: Duration) -> Vec<(Duration, bool)> {
        let first = loop {
            assert!(start.elapsed() < Duration::from_mins(10), "nothing arrives");
            let second = self.state().arrived.iter().map(|(at, _)| *at).filter(|at| *at >= start).nth(1);
            match second {
                Some(first) => break first,
                None => sleep(Duration::from_millis(100)).await,
            }
        };
        tokio::time::sleep_until(first + time).await;
        let state = self.state();
        let within = state.arrived.iter().filter(|(at, _)| *at >= first && *at < first + time);
        within.map(|(at, taken)| (*at - first, *taken)).collect()
    }
}

impl State {
    fn takes(&mut self) -> bool {
        let now = Instant::now();
        while self.taken.front().is_some_and(|taken| now - *taken >= Duration::from_secs(1)) {
            self.taken.pop_front();
        }
        let takes = self.taken.len() < RATE;
        if takes {
            self.taken.push_back(now);
        }
        self.arrived.push((now, takes));
        takes
    }
}

impl Service for World {
    fn answer(&self, prepared: Prepared) -> BoxFuture<'_, Result<Answer, Loss>> {
        Box::pin(async move {
            sleep(Duration::from_millis(20)).await;
            if self.state().is_away {
                return Err(Loss::Unconnected);
            }
            let (status, body) = if prepared.url.ends_with("/watch") {
                sleep(WATCH).await;
                (200, &br#"{"events": [], "cursor": 1}"#[..])
            } else {
                (if self.state().takes() { 200 } else { 429 }, &b"1"[..])
            };
            Ok(Answer { status, headers: Vec::new(), body: body.to_vec() })
        })
    }
}

/// Returns true of a state in which the last pass had a result.
fn is_last(verdict: Verdict) -> impl Fn(&Snapshot) -> bool {
    move |snapshot| snapshot.last.as_ref().is_some_and(|last| last.verdict == verdict)
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_requests_leave_at_the_rate_that_was_found() {
    let world = Arc::new(World(Mutex::default()));
    let directory = tempfile::tempdir().expect("a directory");
    let text: String = (0..THINGS).map(|number| thing(&format!("t{number}"), "1")).collect();
    std::fs::write(directory.path().join("a.yaml"), text).expect("written");
    let mut agent = Agent::new(vec![directory.path().to_owned()], &PLATFORMS);
    agent.poll = true;
    agent.passes_are_tasks = true;
    agent.settings.targets = targets();
    agent.settings.resync = RESYNC;
    agent.settings.connections = vec![connect(world.clone())];
    let (stop, status) = (CancellationToken::new(), agent.status.clone());
    let agent = run(agent, stop.clone());
    let check = async {
        let mut seen = status.subscribe();
        seen.wait_for(|snapshot| snapshot.passes >= 3).await.expect("the agent runs");
        assert!(is_last(Verdict::Converged)(&status.snapshot()), "{:?}", status.snapshot().last);
        world.state().is_away = true;
        seen.wait_for(is_last(Verdict::Failed)).await.expect("the agent runs");
        sleep(Duration::from_mins(10)).await;
        world.state().is_away = false;
        let arrived = world.arrivals(Instant::now(), Duration::from_secs(10)).await;
        let refused = arrived.iter().filter(|(_, is_taken)| !is_taken).count();
        let within = |start: &Duration| arrived.iter().filter(|(at, _)| (*start..*start + PART).contains(at)).count();
        let most = arrived.iter().map(|(start, _)| within(start)).max().unwrap_or_default();
        // They are spaced: the limit of the server is not left to refuse them.
        assert!(most <= RATE / 2 + SPARE, "{most} came within {PART:?}: {arrived:?}");
        // One that is refused tells that the rate climbed too far, and one at a time is tried until one gets through.
        assert!(
            arrived.len() <= RATE * 10 + 10 && refused <= RATE,
            "{} arrived, {refused} were refused",
            arrived.len()
        );
        assert!(arrived.len() >= RATE, "only {} arrived", arrived.len());
        seen.wait_for(is_last(Verdict::Converged)).await.expect("the agent runs");
        stop.cancel();
    };
    let (ended, ()) = LocalSet::new().run_until(Box::pin(async { tokio::join!(agent, check) })).await;
    ended.expect("no error");
}
