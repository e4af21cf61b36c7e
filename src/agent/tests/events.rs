//! Events that are repeated, reordered or lost, and cursors that expire: by seeds, on a paused clock.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::super::{
    Agent,
    fake::{PLATFORMS, connect, targets, thing},
    run,
};
use crate::{
    provider::Prepared,
    transport::{Answer, Loss, Service},
};

/// How many schedules are tried; `EVENT_SEEDS=1000` tries more, and `EVENT_SEED=7` that one alone.
const SEEDS: u64 = 60;
const THINGS: usize = 8;
const EDITS: usize = 10;
const RESYNC: Duration = Duration::from_mins(10);
/// The longest that a server keeps a request for events waiting.
const WATCH: Duration = Duration::from_secs(20);

/// What goes wrong with events.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    /// Some are lost, or their requests fail.
    loses: bool,
}

/// A server with things, which tells of their changes as badly as its troubles say.
struct World {
    state: Mutex<State>,
    changed: Notify,
    trouble: Trouble,
}

struct State {
    things: BTreeMap<String, i64>,
    /// All changes, the oldest first; the number of one is its cursor. A thing without a value was removed.
    log: Vec<(String, Option<i64>)>,
    random: Rng,
    writes: usize,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, key: &str, value: Option<i64>) {
        let mut state = self.state();
        match value {
            Some(value) => _ = state.things.insert(key.to_owned(), value),
            None => _ = state.things.remove(key),
        }
        state.log.push((key.to_owned(), value));
        drop(state);
        self.changed.notify_waiters();
    }

    fn are_all(&self, value: i64) -> bool {
        let state = self.state();
        state.things.len() == THINGS && state.things.values().all(|found| *found == value)
    }

    async fn watch(&self, cursor: Option<usize>) -> Result<(u16, Value), Loss> {
        let end = Instant::now() + WATCH;
        loop {
            let changed = self.changed.notified();
            let now = self.state().log.len();
            match cursor {
                None => return Ok((200, json!({"events": [], "cursor": now}))),
                Some(cursor) if cursor < now => return self.tell(cursor),
                Some(cursor) => {
                    if tokio::time::timeout_at(end, changed).await.is_err() {
                        return Ok((200, json!({"events": [], "cursor": cursor})));
                    }
                }
            }
        }
    }

    fn tell(&self, cursor: usize) -> Result<(u16, Value), Loss> {
        let mut state = self.state();
        let mut events = state.log[cursor..].to_vec();
        let next = state.log.len();
        let random = &mut state.random;
        match random.u8(0..if self.trouble.loses { 6 } else { 4 }) {
            0 => events.extend(events.clone()),
            1 => return Ok((410, Value::Null)),
            2 => random.shuffle(&mut events),
            4 => _ = events.pop(),
            5 => return Err(Loss::BrokenOff),
            _ => {}
        }
        let events: Vec<Value> = events.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        Ok((200, json!({"events": events, "cursor": next})))
    }

    async fn respond(&self, prepared: Prepared) -> Result<(u16, Value), Loss> {
        let arguments: Value = serde_json::from_slice(&prepared.body).unwrap_or_default();
        let key = arguments["key"].as_str().unwrap_or_default();
        match prepared.url.rsplit('/').next() {
            Some("watch") => {
                let cursor = arguments["cursor"].as_str().and_then(|cursor| cursor.parse().ok());
                self.watch(cursor).await
            }
            Some("put") => {
                self.state().writes += 1;
                self.set(key, arguments["value"].as_i64());
                Ok((200, Value::Null))
            }
            _ => Ok((200, json!(self.state().things.get(key)))),
        }
    }
}

impl Service for World {
    fn answer(&self, prepared: Prepared) -> BoxFuture<'_, Result<Answer, Loss>> {
        Box::pin(async move {
            let (status, body) = self.respond(prepared).await?;
            Ok(Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() })
        })
    }
}

/// Runs the edits of a seed against an agent, and checks what becomes of them.
async fn check(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let trouble = Trouble { loses: random.bool() };
    let keys: Vec<String> = (0..THINGS).map(|number| format!("t{number}")).collect();
    let state = State {
        things: keys.iter().map(|key| (key.clone(), 1)).collect(),
        log: Vec::new(),
        random: random.fork(),
        writes: 0,
    };
    let world = Arc::new(World { state: Mutex::new(state), changed: Notify::new(), trouble });
    let directory = tempfile::tempdir().expect("a directory");
    let text: String = keys.iter().map(|key| thing(key, "1").replace("spec: {", "spec: {create: true, ")).collect();
    std::fs::write(directory.path().join("a.yaml"), text).expect("written");
    let mut agent = Agent::new(vec![directory.path().to_owned()], &PLATFORMS);
    agent.poll = true;
    agent.settings.targets = targets();
    agent.settings.resync = RESYNC;
    // All edits are by nobody that is known.
    agent.settings.ceasefire.after = usize::MAX;
    agent.settings.connections = vec![connect(world.clone())];
    let (stop, status) = (CancellationToken::new(), agent.status.clone());
    let task = tokio::spawn(run(agent, stop.clone()));
    let first = status.subscribe().wait_for(|snapshot| snapshot.passes > 0).await.map(|_| ());
    first.expect("the agent runs");
    for _ in 0..EDITS {
        tokio::time::sleep(Duration::from_millis(random.u64(0..20_000))).await;
        world.set(&keys[random.usize(0..keys.len())], Some(random.i64(0..4)).filter(|value| *value > 0));
    }
    if !trouble.loses {
        // Nothing was lost, so nobody has to wait for the resync.
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(world.are_all(1), "seed {seed}: {:?}", world.state().things);
    }
    tokio::time::sleep(RESYNC * 2).await;
    assert!(world.are_all(1), "seed {seed}: {:?}", world.state().things);
    let writes = world.state().writes;
    assert!(writes <= EDITS, "seed {seed}: {writes} writes after {EDITS} edits");
    stop.cancel();
    task.await.expect("no panic").expect("no error");
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_events_all_is_as_declared_in_the_end() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let seeds = match number("EVENT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("EVENT_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        check(seed).await;
    }
}
