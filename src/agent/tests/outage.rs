//! A server that was away for long, on a paused clock: what comes back does not run over it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::super::fake::connect;
use crate::{
    engine::{connection::Connection, observe::observe_as},
    model::{Desired, Ensure},
    provider::{Envelope, Freshness, Prepared},
    source::{Origin, Sources},
    transport::{Answer, Loss, Service},
};

/// Requests that the server takes in each second.
const RATE: usize = 20;
const THINGS: usize = 400;
const RESYNC: Duration = Duration::from_mins(1);

/// A server that takes few requests, and none while it is away.
struct World(Mutex<State>);

#[derive(Default)]
struct State {
    is_away: bool,
    /// When requests were taken within the last second.
    taken: VecDeque<Instant>,
    /// When requests arrived, and whether they were taken.
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

    /// Waits for the first request since `start`, and returns of each within a time from there whether it was taken.
    async fn arrivals(&self, start: Instant, time: Duration) -> Vec<bool> {
        let first = loop {
            assert!(start.elapsed() < Duration::from_mins(10), "nothing arrives");
            let first = self.state().arrived.iter().map(|(at, _)| *at).find(|at| *at >= start);
            match first {
                Some(first) => break first,
                None => sleep(Duration::from_millis(100)).await,
            }
        };
        tokio::time::sleep_until(first + time).await;
        let state = self.state();
        let within = state.arrived.iter().filter(|(at, _)| *at >= first && *at < first + time);
        within.map(|(_, taken)| *taken).collect()
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
    fn answer(&self, _: Prepared) -> BoxFuture<'_, Result<Answer, Loss>> {
        Box::pin(async move {
            sleep(Duration::from_millis(20)).await;
            let (is_away, is_taken) = {
                let mut state = self.state();
                (state.is_away, !state.is_away && state.takes())
            };
            if is_away {
                return Err(Loss::Unconnected);
            }
            Ok(Answer { status: if is_taken { 200 } else { 429 }, headers: Vec::new(), body: b"1".to_vec() })
        })
    }
}

/// Reads all objects, as a pass does.
async fn look(connection: &Arc<Connection>, desired: &[Desired]) {
    connection.begin_pass();
    observe_as(&[connection.reader()], desired, Freshness::Replica).await;
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_requests_leave_at_the_rate_that_was_found() {
    let world = Arc::new(World(Mutex::default()));
    let connection = connect(world.clone());
    let object = |number: usize| {
        let origin = Origin::new(Sources::default().add("a.yaml", ""), 0..0);
        let name = format!("t{number}").into();
        Envelope { name, target: "here".into(), labels: Arc::default(), origin }.desired("Thing", Ensure::Existing)
    };
    let desired: Vec<Desired> = (0..THINGS).map(object).collect();
    for _ in 0..3 {
        look(&connection, &desired).await;
        sleep(RESYNC).await;
    }
    let check = async |what: &str| {
        let arrived = world.arrivals(Instant::now(), Duration::from_secs(10)).await;
        let refused = arrived.iter().filter(|is_taken| !**is_taken).count();
        // One that is refused tells that the rate climbed too far, and one at a time is tried until one gets through.
        assert!(
            arrived.len() <= RATE * 10 + 10 && refused <= RATE,
            "{what}: {} arrived, {refused} were refused",
            arrived.len()
        );
        assert!(arrived.len() >= RATE, "{what}: only {} arrived", arrived.len());
    };
    world.state().is_away = true;
    let end = Instant::now() + Duration::from_mins(10);
    while Instant::now() < end {
        look(&connection, &desired).await;
        sleep(RESYNC / 2).await;
    }
    world.state().is_away = false;
    let looks = async || loop {
        look(&connection, &desired).await;
        sleep(Duration::from_secs(5)).await;
    };
    tokio::select! {
        () = check("after an outage") => {}
        () = looks() => {}
    }
}
