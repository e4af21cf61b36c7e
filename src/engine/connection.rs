//! A connection to one target, and the two ways to use it: a [`Reader`] cannot write.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    gate::Gates,
    limit::{Adaptive, Pace},
    retry::{Patience, wait, waits},
};
use crate::{
    kind::{Endpoint, Platform, Reply, Stamp},
    model::{Refusal, Request, Retry},
    transport::Transport,
};

/// Finds out where a target's requests go. Called when the first request is due, and again after it failed: it may read
/// files and run programs for the secrets.
pub type Resolve = dyn Fn() -> Result<Endpoint, String> + Send + Sync;

/// What a connection is made of.
pub struct Target {
    /// Its name in `reconcile.yaml`.
    pub name: Arc<str>,
    /// Its platform.
    pub platform: &'static dyn Platform,
    /// Where its requests go.
    pub resolve: Arc<Resolve>,
    /// Most requests at once.
    pub concurrency: usize,
    /// Most requests a second.
    pub rate: Option<f64>,
}

/// What all connections of a run share.
#[derive(Clone)]
pub struct Shared {
    transport: Transport,
    all: Arc<Semaphore>,
    pace: Option<Arc<Pace>>,
    tally: Arc<Tally>,
}

impl Shared {
    /// Returns what connections share: at most `parallelism` requests at once and `rate` a second in all.
    pub fn new(transport: Transport, parallelism: usize, rate: Option<f64>) -> Self {
        Self {
            transport,
            all: Arc::new(Semaphore::new(parallelism.max(1))),
            pace: rate.map(|rate| Arc::new(Pace::per_second(rate))),
            tally: Arc::default(),
        }
    }

    /// Returns the count of what was sent.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }
}

/// Counts what was sent.
#[derive(Debug, Default)]
pub struct Tally {
    sent: Mutex<BTreeMap<&'static str, (bool, usize)>>,
}

impl Tally {
    fn count(&self, operation: &'static str, write: bool) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_insert((write, 0)).1 += 1;
    }

    /// Returns the number of requests by operation, those that write apart from those that read.
    pub fn by_operation(&self, write: bool) -> Vec<(&'static str, usize)> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().filter(|(_, (writes, _))| *writes == write).map(|(name, (_, count))| (*name, *count)).collect()
    }

    /// Returns the number of all requests that write, or that read.
    pub fn total(&self, write: bool) -> usize {
        self.by_operation(write).iter().map(|(_, count)| count).sum()
    }
}

/// A target that can be talked to.
pub struct Connection {
    target: Target,
    shared: Shared,
    endpoint: OnceCell<Endpoint>,
    own: Semaphore,
    pace: Option<Pace>,
    /// The rate that the platform's refusals tell.
    limit: Adaptive,
    gates: Gates,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("target", &self.target.name).finish_non_exhaustive()
    }
}

impl Connection {
    /// Returns a connection; nothing is sent or resolved yet.
    pub fn new(target: Target, shared: Shared) -> Arc<Self> {
        let own = Semaphore::new(target.concurrency.max(1));
        let pace = target.rate.map(Pace::per_second);
        Arc::new(Self {
            target,
            shared,
            endpoint: OnceCell::new(),
            own,
            pace,
            limit: Adaptive::new(),
            gates: Gates::default(),
        })
    }

    /// Returns the target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the way to use it that cannot write.
    pub fn reader(self: &Arc<Self>) -> Reader {
        Reader(self.clone())
    }

    /// Returns the way to use it that can write.
    pub fn writer(self: &Arc<Self>) -> Writer {
        Writer(self.clone())
    }

    async fn endpoint(&self) -> Result<&Endpoint, Refusal> {
        let resolve = self.target.resolve.clone();
        let endpoint = self.endpoint.get_or_try_init(|| async move {
            let resolved = tokio::task::spawn_blocking(move || resolve()).await;
            resolved.unwrap_or_else(|error| Err(format!("its settings could not be read: {error}")))
        });
        endpoint.await.map_err(|why| Refusal::new(None, format!("target `{}`: {why}", self.target.name)))
    }

    /// Waits for its turn and sends a request once; nothing is sent once `stop` is cancelled.
    async fn exchange(&self, request: &Request, write: bool, stop: Option<&CancellationToken>) -> Sending {
        let turn = async {
            let own = self.own.acquire().await;
            let turn = self.limit.turn().await?;
            let all = self.shared.all.acquire().await;
            for pace in [self.pace.as_ref(), self.shared.pace.as_deref()].into_iter().flatten() {
                pace.turn().await;
            }
            Ok((turn, own, all))
        };
        let turn = match stop {
            None => turn.await,
            Some(stop) => tokio::select! {
                biased;
                () = stop.cancelled() => return Sending::Stopped,
                turn = turn => turn,
            },
        };
        let (turn, _own, _all) = match turn {
            Ok(turn) => turn,
            Err(refusal) => return Sending::Answered(Err(Refusal { retry: Retry::Never, ..refusal })),
        };
        let answer = self.send(request, write).await;
        match &answer {
            Err(refusal) if let Retry::Slower(asked) = refusal.retry => turn.refused(asked, refusal),
            // Without a code it may have come from anywhere on the way.
            Err(refusal) if refusal.code.is_none() => drop(turn),
            Ok(_) | Err(_) => turn.passed(),
        }
        Sending::Answered(answer)
    }

    async fn send(&self, request: &Request, write: bool) -> Result<Value, Refusal> {
        let endpoint = self.endpoint().await?;
        let request_id = request_id();
        let stamp = Stamp { request_id: &request_id, now: jiff::Timestamp::now() };
        let prepared = self.target.platform.prepare(request, endpoint, stamp)?;
        let start = Instant::now();
        self.shared.tally.count(request.operation, write);
        let answer = self.shared.transport.send(prepared).await;
        let outcome = answer.and_then(|answer| {
            let reply = Reply { status: answer.status, headers: &answer.headers, body: &answer.body };
            self.target.platform.interpret(request, &reply)
        });
        let outcome = outcome.map_err(|refusal| Refusal { request_id: Some(both(&request_id, &refusal)), ..refusal });
        self.log(request, start.elapsed(), outcome.as_ref().err());
        outcome
    }

    /// Arguments and answers are not logged: they may hold what is secret.
    fn log(&self, request: &Request, took: Duration, refusal: Option<&Refusal>) {
        let (target, operation, ms) = (&*self.target.name, request.operation, took.as_millis());
        match refusal {
            None => tracing::debug!(target, operation, ms, "answered"),
            Some(refusal) => tracing::debug!(target, operation, ms, %refusal, "refused"),
        }
    }

    /// Sends a request until it is answered for good. One that rests on what the server was seen to lack is not sent.
    async fn settle(&self, request: &Request, write: bool, stop: Option<&CancellationToken>) -> Sending {
        let platform = self.target.platform;
        let first = match self.gates.pass(platform.rests_on(request)).await {
            Ok(first) => first,
            Err(refusal) => return Sending::Answered(Err(refusal)),
        };
        let sending = self.exchange_patiently(request, write, stop).await;
        if let Sending::Answered(answer) = &sending {
            first.tell(answer.as_ref().map(|_| ()), |thing, refusal| platform.lacks(thing, refusal));
        }
        sending
    }

    async fn exchange_patiently(&self, request: &Request, write: bool, stop: Option<&CancellationToken>) -> Sending {
        let mut waits = waits();
        let mut patience = Patience::default();
        let mut last = None;
        loop {
            let refusal = match self.exchange(request, write, stop).await {
                Sending::Answered(Err(refusal)) => refusal,
                // A refusal says more than that it was not sent once more.
                Sending::Stopped => return last.map_or(Sending::Stopped, |last| Sending::Answered(Err(last))),
                answered @ Sending::Answered(Ok(_)) => return answered,
            };
            if patience.lasts(&refusal) {
                // It goes back into the line, which knows when.
                last = Some(refusal);
                continue;
            }
            let Some(pause) = wait(&refusal, &mut waits, !write) else { return Sending::Answered(Err(refusal)) };
            let (target, operation) = (&*self.target.name, request.operation);
            tracing::info!(target, operation, %refusal, "sent again in {:.1} s", pause.as_secs_f64());
            last = Some(refusal);
            match stop {
                None => tokio::time::sleep(pause).await,
                Some(stop) => tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                },
            }
        }
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum Sending {
    /// It was sent, and this is the answer.
    Answered(Result<Value, Refusal>),
    /// It was not sent, because the run is to end.
    Stopped,
}

/// Returns an id that is ours to see and new for every attempt.
fn request_id() -> String {
    format!("rec{:013x}{:016x}", jiff::Timestamp::now().as_millisecond(), fastrand::u64(..))
}

/// Returns our id of a request and, where the platform gave it another, that one too.
fn both(ours: &str, refusal: &Refusal) -> Arc<str> {
    match &refusal.request_id {
        Some(theirs) if **theirs != *ours => format!("{ours}, theirs {theirs}").into(),
        _ => ours.into(),
    }
}

/// Reads from a target. It has no method that writes.
#[derive(Debug, Clone)]
pub struct Reader(Arc<Connection>);

impl Reader {
    /// Returns the target.
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// Returns the settings of the target that are not secret, such as `timeZone`; none where they cannot be had, in
    /// which case no request will be answered either.
    pub async fn settings(&self) -> HashMap<String, String> {
        let endpoint = self.0.endpoint().await;
        let settings = endpoint.map(|endpoint| endpoint.settings.iter()).into_iter().flatten();
        settings.map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    /// Sends an operation that the platform lists as a read; anything else is refused and not sent.
    pub async fn read(&self, request: &Request) -> Result<Value, Refusal> {
        if !self.0.target.platform.is_read(request.operation) {
            return Err(Refusal::new(None, format!("`{}` is no read: it was not sent", request.operation)));
        }
        match self.0.settle(request, false, None).await {
            Sending::Answered(answer) => answer,
            Sending::Stopped => Err(Refusal::new(None, "it was not sent")),
        }
    }
}

/// Reads from a target and writes to it.
#[derive(Debug, Clone)]
pub struct Writer(Arc<Connection>);

impl Writer {
    /// Returns the part of it that cannot write.
    pub fn reader(&self) -> Reader {
        Reader(self.0.clone())
    }

    /// Sends an operation that writes. It is repeated only where the platform said that it was not carried out, and not
    /// sent at all once `stop` is cancelled.
    pub async fn write(&self, request: &Request, stop: &CancellationToken) -> Sending {
        self.0.settle(request, true, Some(stop)).await
    }
}
