//! A connection to one target, and the two ways to use it: a [`Reader`] cannot write.

mod access;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use serde_json::Value;
use tokio::sync::Semaphore;

pub use self::access::{Reader, Writer};
use super::{
    call_log::{CallRecord, without_query},
    gate::Gates,
    leave::Leave,
    limit::{Adaptive, Pace},
    mask::{self, Mask},
    redirect,
    retry::{Patience, wait, waits},
    seal::Seal,
    session::{Held, Session, Source, Turnstiles},
};
pub use super::{leave::Sending, tally::Tally};
use crate::{
    kind::{Endpoint, Grant, Lane, Platform, Prepared, Reply, Stamp, Standing},
    model::{Refusal, Request, Retry},
    plain::line,
    transport::{Answer, Transport},
};

/// Finds out where a target's requests go. Called when the first request is due, and again where that failed or what it
/// found was not accepted: it may read files and run programs for the secrets.
pub type Resolve = dyn Fn() -> Result<Endpoint, String> + Send + Sync;

/// What a connection is made of.
pub struct Target {
    /// Its name in `reconcile.yaml`.
    pub name: Arc<str>,
    /// Its platform.
    pub platform: &'static dyn Platform,
    /// Where its requests go.
    pub resolve: Arc<Resolve>,
    /// Most requests at once; on platforms with lanes (see [`Platform::lane`]) in each of them.
    pub concurrency: Option<usize>,
    /// Most requests a second.
    pub rate: Option<f64>,
}

/// The turns of each lane of each platform.
type Lanes = Mutex<HashMap<(&'static str, String), Arc<Semaphore>>>;

/// What all connections of a run share.
#[derive(Clone)]
pub struct Shared {
    transport: Transport,
    all: Arc<Semaphore>,
    pace: Option<Arc<Pace>>,
    tally: Arc<Tally>,
    turnstiles: Arc<Turnstiles>,
    lanes: Arc<Lanes>,
}

impl Shared {
    /// Returns what connections share: at most `parallelism` requests at once and `rate` a second in all.
    pub fn new(transport: Transport, parallelism: usize, rate: Option<f64>) -> Self {
        Self {
            transport,
            all: Arc::new(Semaphore::new(parallelism.max(1))),
            pace: rate.map(|rate| Arc::new(Pace::per_second(rate))),
            tally: Arc::default(),
            turnstiles: Arc::default(),
            lanes: Arc::default(),
        }
    }

    /// Returns the turns of a lane; who comes first says how many there are.
    fn lane(&self, platform: &'static str, lane: Lane, most: Option<usize>) -> Arc<Semaphore> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(most.unwrap_or(lane.most).max(1)));
        lanes.entry((platform, lane.key)).or_insert_with(new).clone()
    }

    /// Returns the count of what was sent.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }
}

/// A target that can be talked to.
pub struct Connection {
    target: Target,
    shared: Shared,
    session: Session,
    own: Semaphore,
    pace: Option<Pace>,
    given_up: Mutex<HashSet<String>>,
    /// Something has answered there.
    reached: AtomicBool,
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
        let own = Semaphore::new(target.concurrency.map_or(Semaphore::MAX_PERMITS, |most| most.max(1)));
        let pace = target.rate.map(Pace::per_second);
        let (session, gates, limit) = (Session::default(), Gates::default(), Adaptive::new());
        Arc::new(Self {
            target,
            shared,
            session,
            own,
            pace,
            limit,
            gates,
            given_up: Mutex::default(),
            reached: AtomicBool::new(false),
        })
    }

    /// Returns the target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the way to use it that cannot write.
    pub fn reader(self: &Arc<Self>) -> Reader {
        Reader { connection: self.clone(), seal: None }
    }

    /// Returns the way to use it that can write.
    pub fn writer(self: &Arc<Self>) -> Writer {
        Writer(self.clone())
    }

    /// Waits for its turn and sends a request once; a write for which its leave lasts.
    async fn exchange(&self, request: &Request, leave: Option<Leave<'_>>) -> Sending {
        let lane = self.target.platform.lane(request);
        let lane = lane.map(|lane| self.shared.lane(self.target.platform.name(), lane, self.target.concurrency));
        let turn = async {
            let own = match &lane {
                Some(lane) => lane.acquire().await,
                None => self.own.acquire().await,
            };
            let turn = self.limit.turn().await?;
            let all = self.shared.all.acquire().await;
            for pace in [self.pace.as_ref(), self.shared.pace.as_deref()].into_iter().flatten() {
                pace.turn().await;
            }
            Ok((turn, own, all, self.session.get(self).await?))
        };
        let turn = match leave {
            None => turn.await,
            Some(leave) => tokio::select! {
                biased;
                () = leave.stop.cancelled() => return Sending::Stopped,
                () = tokio::time::sleep_until(leave.until.into()) => return Sending::Late(None),
                turn = turn => turn,
            },
        };
        let (turn, _own, _all, held) = match turn {
            Ok(turn) => turn,
            Err(refusal) => return Sending::Answered(Err(Refusal { retry: Retry::Never, ..refusal })),
        };
        let answer = self.send(request, leave, held).await.transpose();
        let Some(answer) = answer else { return Sending::Late(None) };
        match &answer {
            Err(refusal) if let Retry::Slower(asked) = refusal.retry => turn.refused(asked, refusal),
            // Without a code it may have come from anywhere on the way.
            Err(refusal) if refusal.code.is_none() => drop(turn),
            Ok(_) | Err(_) => turn.passed(),
        }
        Sending::Answered(answer)
    }

    /// Sends a request; where the credentials have run out, once more with new ones. Nothing comes back where it was not
    /// sent, because its leave was over.
    async fn send(
        &self,
        request: &Request,
        leave: Option<Leave<'_>>,
        held: Arc<Held>,
    ) -> Result<Option<Value>, Refusal> {
        let (refusal, standing) = match self.send_once(request, leave, &held).await {
            Err((refusal, standing)) if standing != Standing::Sound => (refusal, standing),
            other => return other.map_err(|(refusal, _)| refusal),
        };
        if standing == Standing::Rejected {
            self.session.reject(&held).await;
            return Err(refusal);
        }
        let renewed = self.session.renew(&held, &refusal, self).await?;
        match self.send_once(request, leave, &renewed).await {
            Err((refusal, Standing::Stale)) => {
                // Tells all others too. What it returns is another's newer session at best: this one has had its turn.
                let _ = self.session.renew(&renewed, &refusal, self).await;
                Err(refusal)
            }
            other => other.map_err(|(refusal, _)| refusal),
        }
    }

    async fn send_once(
        &self,
        request: &Request,
        leave: Option<Leave<'_>>,
        held: &Held,
    ) -> Result<Option<Value>, (Refusal, Standing)> {
        let platform = self.target.platform;
        // Asked behind all waiting.
        let prepare = |stamp: Stamp<'_>| match leave {
            Some(leave) if leave.is_over() => Ok(None),
            _ => platform.prepare(request, &held.endpoint, stamp).map(Some),
        };
        let read = |reply: &Reply<'_>| platform.interpret(request, reply);
        let outcome = self.attempt(&held.endpoint, request.operation, leave.is_some(), &prepare, &read).await;
        if matches!(outcome, Ok(Some(_))) {
            self.session.worked();
        }
        outcome
    }

    /// Sends what `prepare` makes, if anything, and reads the answer.
    async fn attempt<T>(
        &self,
        endpoint: &Endpoint,
        operation: &'static str,
        write: bool,
        prepare: &(dyn Fn(Stamp<'_>) -> Result<Option<Prepared>, Refusal> + Sync),
        read: &(dyn Fn(&Reply<'_>) -> Result<T, Refusal> + Sync),
    ) -> Result<Option<T>, (Refusal, Standing)> {
        let sound = |refusal: Refusal| (refusal, Standing::Sound);
        let turnstile = self.target.platform.locked_key(endpoint).map(|key| self.shared.turnstiles.of(key));
        let pass = match &turnstile {
            Some(turnstile) => Some(turnstile.pass().await.map_err(sound)?),
            None => None,
        };
        let request_id = request_id();
        // Behind all waiting: signatures hold the time.
        let stamp = Stamp { request_id: &request_id, now: jiff::Timestamp::now() };
        let Some(prepared) = prepare(stamp).map_err(sound)? else { return Ok(None) };
        let (start, method, url) = (Instant::now(), prepared.method, without_query(&prepared.url));
        self.shared.tally.count(operation, write);
        let answer = self.shared.transport.send(prepared).await;
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let answered = status.is_some();
        if answered {
            self.reached.store(true, Ordering::Relaxed);
        }
        let answer = answer.and_then(redirect::checked).map_err(|refusal| self.unreachable(refusal, endpoint));
        let outcome = answer.and_then(|Answer { status, headers, body }| {
            let reply = Reply { status, headers: &headers, body: &body };
            read(&reply).map_err(|refusal| masked(refusal, &reply, endpoint, read))
        });
        let outcome = outcome.map_err(|refusal| {
            // What has answered before may be starting anew.
            let is_known = refusal.retry == Retry::Once && self.reached.load(Ordering::Relaxed);
            let retry = if is_known { Retry::Soon } else { refusal.retry };
            let message = match self.target.platform.settings_to_check(endpoint, &refusal).as_slice() {
                [] => refusal.message.clone(),
                keys => format!("{}; check {} of target `{}`", refusal.message, keys.join(" and "), self.target.name),
            };
            harmless(&Refusal { message, retry, ..refusal }, &request_id, endpoint)
        });
        CallRecord {
            target: &self.target.name,
            operation,
            method,
            url: &line(&Mask::of(endpoint).text(&url)),
            status,
            request_id: &request_id,
            took: start.elapsed(),
            refusal: outcome.as_ref().err(),
        }
        .log();
        let standing = outcome.as_ref().err().map(|refusal| self.target.platform.standing(endpoint, refusal));
        match (pass, &outcome, standing) {
            (Some(pass), Err(refusal), Some(Standing::Rejected)) => pass.rejected(refusal).await,
            (Some(pass), ..) if answered => pass.worked(),
            _ => {}
        }
        outcome.map(Some).map_err(|refusal| (refusal, standing.unwrap_or(Standing::Sound)))
    }

    /// Says which target it was that could not be reached, and where it was looked for.
    fn unreachable(&self, refusal: Refusal, endpoint: &Endpoint) -> Refusal {
        let place = endpoint.url.split("://").last().unwrap_or_default();
        let host = place.split('/').next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
        let message = format!("target `{}` at {host}: {}", self.target.name, refusal.message);
        Refusal { message, ..refusal }
    }

    /// Sends a request until it is answered for good. One that rests on what the server was seen to lack is not sent.
    async fn settle(&self, request: &Request, leave: Option<Leave<'_>>) -> Sending {
        let platform = self.target.platform;
        let first = match self.gates.pass(platform.rests_on(request)).await {
            Ok(first) => first,
            Err(refusal) => return Sending::Answered(Err(refusal)),
        };
        let sending = self.exchange_patiently(request, leave).await;
        if let Sending::Answered(answer) = &sending {
            first.tell(answer.as_ref().map(|_| ()), |thing, refusal| platform.lacks(thing, refusal));
        }
        sending
    }

    async fn exchange_patiently(&self, request: &Request, leave: Option<Leave<'_>>) -> Sending {
        let mut waits = waits();
        let mut patience = Patience::default();
        let mut last = None;
        loop {
            let refusal = match self.exchange(request, leave).await {
                Sending::Answered(Err(refusal)) => refusal,
                // A refusal says more than that it was not sent once more.
                Sending::Stopped => return last.map_or(Sending::Stopped, |last| Sending::Answered(Err(last))),
                Sending::Late(_) => return Sending::Late(last),
                answered @ Sending::Answered(Ok(_)) => return answered,
            };
            if patience.lasts(&refusal) {
                // It goes back into the line, which knows when.
                last = Some(refusal);
                continue;
            }
            let Some(pause) = wait(&refusal, &mut waits, leave.is_none()) else {
                return Sending::Answered(Err(refusal));
            };
            let (target, operation) = (&*self.target.name, request.operation);
            tracing::warn!(target, operation, %refusal, "sent again in {:.1} s", pause.as_secs_f64());
            last = Some(refusal);
            match leave {
                None => tokio::time::sleep(pause).await,
                Some(leave) => tokio::select! {
                    () = leave.stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                },
            }
        }
    }
}

impl Source for Connection {
    async fn resolve(&self) -> Result<Endpoint, Refusal> {
        let resolve = self.target.resolve.clone();
        let resolved = tokio::task::spawn_blocking(move || resolve()).await;
        let resolved = resolved.unwrap_or_else(|error| Err(format!("its settings could not be read: {error}")));
        let endpoint = resolved.map_err(|why| Refusal::new(None, format!("target `{}`: {why}", self.target.name)))?;
        let target = &*self.target.name;
        for secret in mask::unmasked(&endpoint) {
            tracing::warn!(target, "`{secret}` is too short to be hidden: messages of the server may show it");
        }
        Ok(endpoint)
    }

    async fn login(&self, endpoint: &Endpoint) -> Result<Option<Grant>, Refusal> {
        let platform = self.target.platform;
        let now = Stamp { request_id: "", now: jiff::Timestamp::now() };
        let Some(operation) = platform.login(endpoint, now)?.map(|login| login.operation) else { return Ok(None) };
        let prepare = |stamp: Stamp<'_>| platform.login(endpoint, stamp).map(|login| Some(login?.prepared));
        let read = |reply: &Reply<'_>| platform.granted(endpoint, reply);
        let mut waits = waits();
        loop {
            let refusal = match self.attempt(endpoint, operation, false, &prepare, &read).await {
                Ok(grant) => return Ok(grant),
                Err((refusal, _)) => refusal,
            };
            let Some(pause) = wait(&refusal, &mut waits, true) else { return Err(refusal) };
            let target = &*self.target.name;
            tracing::warn!(target, operation, %refusal, "sent again in {:.1} s", pause.as_secs_f64());
            tokio::time::sleep(pause).await;
        }
    }
}

/// Returns a refusal as the platform's answer without secrets tells it: an answer may quote what was sent, and is cut
/// where it is long, which would leave the half of a secret. What the refusal proves is untouched.
fn masked<T>(
    refusal: Refusal,
    reply: &Reply<'_>,
    endpoint: &Endpoint,
    read: &(dyn Fn(&Reply<'_>) -> Result<T, Refusal> + Sync),
) -> Refusal {
    let body = Mask::of(endpoint).body(reply.body);
    match read(&Reply { body: &body, ..*reply }) {
        Err(shown) => Refusal { message: shown.message, ..refusal },
        Ok(_) => refusal,
    }
}

/// Returns a refusal without secrets in any of its texts, each in one line of characters that show.
fn harmless(refusal: &Refusal, ours: &str, endpoint: &Endpoint) -> Refusal {
    let mask = Mask::of(endpoint);
    let shown = |text: &str| line(&mask.text(text));
    let request_id = Some(shown(&both(ours, refusal)).into());
    let code = refusal.code.as_deref().map(|code| shown(code).into());
    Refusal { message: shown(&refusal.message), code, request_id, ..*refusal }
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
