//! A connection to one target, and the two ways to use it: a [`Reader`] cannot write.

mod access;
mod login;
mod parse;
mod poll;
mod shared;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

pub use self::access::{ReadSource, Reader, Writer};
use self::parse::Parser;
pub use self::shared::Shared;
use super::{
    breaker::{CircuitBreaker, Passage},
    budget::RetryBudget,
    call_log::{CallRecord, without_query},
    capability::Probes,
    limit::{AdaptiveLimiter, ConcurrencyLimiter, IntervalLimiter},
    mask::Mask,
    notice::{NOTICEABLE, Notice, bounded, until},
    planted::{self, Mistake},
    redirect,
    retry::{Patience, wait, waits},
    send_window::SendWindow,
    session::{Held, Session},
};
pub use super::{
    counters::{Attempted, InFlight, RequestCounters, SECONDS, TargetRequests},
    send_window::SendResult,
};
use crate::{
    clock,
    model::{Json, Refusal, Request, Retry},
    plain::line,
    provider::{CredentialStatus, Endpoint, Platform, Prepared, Reply, RequestContext},
    transport::Answer,
};

/// Finds out where a target's requests go. Called when the first request is due, and again where that failed or what it
/// found was not accepted: it may read files and run programs for the secrets.
pub type Resolve = dyn Fn() -> Result<Endpoint, String> + Send + Sync;

/// The settings of a connection.
pub struct Target {
    /// Its name in `reconcile.yaml`.
    pub name: Arc<str>,
    /// Its platform.
    pub platform: &'static dyn Platform,
    /// Where its requests go.
    pub resolve: Arc<Resolve>,
    /// Most requests at once; on platforms with lanes (see [`Platform::group`]) in each of them.
    pub concurrency: Option<usize>,
    /// Most requests a second.
    pub rate: Option<f64>,
}

/// A target that can be talked to.
pub struct Connection {
    target: Target,
    shared: Shared,
    session: Session,
    own: ConcurrencyLimiter,
    pace: Option<IntervalLimiter>,
    suppressed: Mutex<HashSet<String>>,
    /// Takes its answers apart.
    parser: Parser,
    /// Something has answered there.
    reached: AtomicBool,
    /// Where nothing answers, nothing more is sent.
    breaker: CircuitBreaker,
    /// The repeats that are left.
    budget: RetryBudget,
    /// The rate that the platform's refusals tell.
    limit: AdaptiveLimiter,
    probes: Probes,
    /// The settings that are not secret, once the target was resolved; until the session is renewed.
    settings: Mutex<Arc<HashMap<&'static str, String>>>,
    /// Answers that take long.
    slow: Notice,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("target", &self.target.name).finish_non_exhaustive()
    }
}

impl Connection {
    /// Returns a connection; nothing is sent or resolved yet.
    pub fn new(target: Target, shared: Shared) -> Arc<Self> {
        // More would only stand in the line of all targets, in front of others.
        let most = target.concurrency.unwrap_or(shared.parallelism).min(shared.parallelism);
        let own = ConcurrencyLimiter::new(most);
        let pace = target.rate.map(IntervalLimiter::per_second);
        let (session, probes, limit) =
            (Session::default(), Probes::default(), AdaptiveLimiter::new(target.name.clone()));
        let (breaker, budget) = (CircuitBreaker::new(target.name.clone()), RetryBudget::default());
        Arc::new(Self {
            target,
            shared,
            session,
            own,
            pace,
            limit,
            probes,
            suppressed: Mutex::default(),
            parser: Parser::default(),
            settings: Mutex::default(),
            reached: AtomicBool::new(false),
            breaker,
            budget,
            slow: Notice::default(),
        })
    }

    /// Returns the target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Notes that a new pass over the objects begins: it gets a budget of its own for repeated requests, and shares nothing
    /// with earlier answers.
    pub fn begin_pass(&self) {
        self.budget.reset();
        self.parser.forget();
    }

    /// Returns what is on its way at present to any target of its run.
    pub fn in_flight(self: &Arc<Self>) -> Vec<InFlight> {
        self.shared.counters.in_flight()
    }

    /// Lets the next request fetch the settings and secrets anew and log in, even where credentials were rejected a short
    /// while ago. A key that its platform locks is still left alone for its time.
    pub fn renew_session(&self) {
        self.session.forget();
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// Returns the settings that are not secret; none before the target was resolved.
    fn known_settings(&self) -> Arc<HashMap<&'static str, String>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the way to use it that cannot write.
    pub fn reader(self: &Arc<Self>) -> Reader {
        Reader { connection: self.clone(), source: None }
    }

    /// Returns the way to use it that can write.
    pub fn writer(self: &Arc<Self>) -> Writer {
        Writer(self.clone())
    }

    /// Waits for its turn and sends a request once; a write for which its leave lasts.
    async fn exchange(&self, request: &Request, window: Option<SendWindow<'_>>) -> SendResult {
        let group = self.target.platform.group(request);
        let group = group.map(|group| self.shared.group(self.target.platform.name(), group, self.target.concurrency));
        let permit = async {
            let (own, passage) = loop {
                // Whoever waits for a probe holds no turn that other targets may need.
                match (window, self.breaker.down()) {
                    (_, Some(refusal)) => return Err(Hindrance::Down(refusal)),
                    // Its object is read again before it leaves, and that read is the probe.
                    (Some(_), None) if self.breaker.is_open() => return Err(Hindrance::Outage),
                    _ => self.breaker.ready().await.map_err(Hindrance::Down)?,
                }
                let own = match &group {
                    Some(group) => group.turn().await,
                    None => self.own.turn().await,
                };
                if let Some(passage) = self.breaker.pass(window.is_some()) {
                    break (own, passage);
                }
            };
            let permit = self.limit.permit().await.map_err(Hindrance::Refused)?;
            if let Some(pace) = &self.pace {
                pace.permit(&self.target.name).await;
            }
            Ok((passage, permit, own, self.session.get(self).await.map_err(Hindrance::Refused)?))
        };
        let waiting = self.shared.counters.wait(&self.target.name);
        let permit = match window {
            None => permit.await,
            Some(window) => tokio::select! {
                biased;
                () = window.stop.cancelled() => return SendResult::Stopped,
                () = tokio::time::sleep_until(window.until) => return SendResult::Late(None),
                permit = permit => permit,
            },
        };
        drop(waiting);
        let (passage, permit, own, held) = match permit {
            Ok(permit) => permit,
            Err(Hindrance::Down(refusal)) => return SendResult::Down(refusal),
            Err(Hindrance::Outage) => return SendResult::Late(None),
            Err(Hindrance::Refused(refusal)) => {
                return SendResult::Answered(Err(Refusal { retry: Retry::Never, ..refusal }));
            }
        };
        let answer = self.send(request, window, (held, &passage)).await.transpose();
        let Some(answer) = answer.map(|answer| answer.map_err(bounded)) else {
            let is_stopped = window.is_some_and(|window| window.stop.is_cancelled());
            return if is_stopped { SendResult::Stopped } else { SendResult::Late(None) };
        };
        own.learn(request.operation, answer.as_ref().map(|(_, took)| *took));
        let answer = answer.map(|(answer, _)| answer);
        match &answer {
            Err(refusal) if let Retry::Slower(asked) = refusal.retry => permit.refused(asked, refusal),
            // Without a code it may have come from anywhere on the way.
            Err(refusal) if refusal.code.is_none() => drop(permit),
            Ok(_) | Err(_) => permit.passed(),
        }
        SendResult::Answered(answer)
    }

    /// Sends a request; where the credentials have run out, once more with new ones. Nothing comes back where it was not
    /// sent, because its leave was over.
    async fn send(
        &self,
        request: &Request,
        window: Option<SendWindow<'_>>,
        (held, passage): (Arc<Held>, &Passage<'_>),
    ) -> Result<Option<(Json, Duration)>, Refusal> {
        let Failure { refusal, credentials, .. } = match self.send_once(request, window, (&held, passage)).await {
            Err(failure) if failure.credentials != CredentialStatus::Sound => failure,
            other => return other.map_err(|failure| failure.refusal),
        };
        if credentials == CredentialStatus::Rejected {
            self.session.reject(&held).await;
            return Err(refusal);
        }
        let renewed = self.session.renew(&held, &refusal, self).await?;
        match self.send_once(request, window, (&renewed, passage)).await {
            Err(Failure { refusal, credentials: CredentialStatus::Stale, .. }) => {
                // Tells all others too. What it returns is another's newer session at best: this one has had its turn.
                let _ = self.session.renew(&renewed, &refusal, self).await;
                Err(refusal)
            }
            other => other.map_err(|failure| failure.refusal),
        }
    }

    async fn send_once(
        &self,
        request: &Request,
        window: Option<SendWindow<'_>>,
        (held, passage): (&Held, &Passage<'_>),
    ) -> Result<Option<(Json, Duration)>, Failure> {
        let platform = self.target.platform;
        // Asked behind all waiting.
        let prepare = |stamp: RequestContext<'_>| match window {
            Some(window) if window.is_over() || window.stop.is_cancelled() => Ok(None),
            _ => platform.prepare(request, &held.endpoint, stamp).map(Some),
        };
        let read = |reply: &Reply<'_>| self.parser.with(|keys| platform.interpret(request, reply, keys));
        let outcome = self.attempt(&held.endpoint, request.operation, window, &prepare, &read).await;
        match &outcome {
            Ok(Some(_)) => {
                self.session.worked();
                passage.answered();
            }
            Err(failure) if failure.is_outage() => passage.failed(&failure.refusal),
            Err(failure) if failure.answer != Answered::NotSent => passage.answered(),
            Ok(None) | Err(_) => {}
        }
        outcome
    }

    /// Sends what `prepare` makes, if anything, and reads the answer. Returns how long the server took, too.
    async fn attempt<T>(
        &self,
        endpoint: &Endpoint,
        operation: &'static str,
        window: Option<SendWindow<'_>>,
        prepare: &(dyn Fn(RequestContext<'_>) -> Result<Option<Prepared>, Refusal> + Sync),
        read: &(dyn Fn(&Reply<'_>) -> Result<T, Refusal> + Sync),
    ) -> Result<Option<(T, Duration)>, Failure> {
        let breaker = self.target.platform.locked_key(endpoint).map(|key| self.shared.turnstiles.of(key));
        let permit = async {
            let pass = match &breaker {
                Some(breaker) => Some(breaker.pass().await?),
                None => None,
            };
            // Last of all: who waits for anything of its own target holds nothing that others need.
            let all = self.shared.all.acquire().await;
            if let Some(pace) = &self.shared.pace {
                pace.permit(&self.target.name).await;
            }
            Ok((pass, all))
        };
        let waiting = self.shared.counters.wait(&self.target.name);
        let permit = match window {
            None => permit.await,
            Some(window) => tokio::select! {
                biased;
                () = window.stop.cancelled() => return Ok(None),
                () = tokio::time::sleep_until(window.until) => return Ok(None),
                permit = permit => permit,
            },
        };
        drop(waiting);
        let (pass, _all) = permit.map_err(Failure::not_sent)?;
        let request_id = request_id();
        // Behind all waiting: signatures hold the time.
        let stamp = RequestContext { request_id: &request_id, now: clock::now() };
        let Some(prepared) = prepare(stamp).map_err(Failure::not_sent)? else { return Ok(None) };
        let (start, method, url) = (Instant::now(), prepared.method.as_str(), without_query(&prepared.url));
        let attempt = self.shared.counters.start(&self.target.name, operation, window.is_some());
        let answer = self.transmit(operation, prepared).await;
        let took = start.elapsed();
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let answered = status.is_some();
        if answered {
            self.reached.store(true, Ordering::Relaxed);
        }
        let answer = answer.and_then(redirect::checked).map_err(|refusal| self.unreachable(refusal, endpoint));
        let outcome = match answer {
            Ok(Answer { status, headers, body }) => {
                let received = clock::now();
                let (body, parsed) = self.parser.parsed(body).await;
                let reply = Reply { status, headers: &headers, body: &body, parsed: parsed.as_ref(), received };
                read(&reply).map_err(|refusal| masked(refusal, &reply, endpoint, read))
            }
            Err(refusal) => Err(refusal),
        };
        let outcome = outcome.map_err(|refusal| {
            // A server that has answered before may be restarting, so it gets more than one more attempt.
            let is_known = refusal.retry == Retry::Once && self.reached.load(Ordering::Relaxed);
            let retry = if is_known { Retry::Soon } else { refusal.retry };
            let message = match self.target.platform.settings_to_check(endpoint, &refusal).as_slice() {
                [] => refusal.message.clone(),
                [keys @ .., last] => {
                    let others = if keys.is_empty() { String::new() } else { format!("{} and ", keys.join(", ")) };
                    format!("{}; check {others}{last} of target `{}`", refusal.message, self.target.name)
                }
            };
            let mistake = if answered { Mistake::GarbageIsUnsent } else { Mistake::TimeoutIsUnsent };
            let lost = refusal.lost && !planted::has(mistake);
            harmless(&Refusal { message, retry, lost, ..refusal }, &request_id, endpoint)
        });
        let attempted = match &outcome {
            Ok(_) => Attempted::Answered,
            // A refusal without a code may come from anywhere on the way: it does not prove that the platform answers.
            Err(refusal) if refusal.code.is_some() && !refusal.lost => Attempted::Refused,
            Err(_) => Attempted::Failed,
        };
        attempt.end(attempted, self.target.platform.is_read(operation));
        CallRecord {
            target: &self.target.name,
            operation,
            method,
            url: &line(&Mask::of(endpoint).text(&url)),
            status,
            request_id: &request_id,
            took,
            refusal: outcome.as_ref().err(),
        }
        .log();
        let credential_status =
            outcome.as_ref().err().map(|refusal| self.target.platform.credential_status(endpoint, refusal));
        match (pass, &outcome, credential_status) {
            (Some(pass), Err(refusal), Some(CredentialStatus::Rejected)) => pass.rejected(refusal).await,
            (Some(pass), ..) if answered => pass.worked(),
            _ => {}
        }
        outcome.map(|outcome| Some((outcome, took))).map_err(|refusal| Failure {
            refusal,
            credentials: credential_status.unwrap_or(CredentialStatus::Sound),
            answer: if answered { Answered::Yes } else { Answered::No },
        })
    }

    /// Sends what was prepared; an answer that takes long is announced.
    async fn transmit(&self, operation: &'static str, prepared: Prepared) -> Result<Answer, Refusal> {
        let start = Instant::now();
        let answer = self.shared.transport.send(prepared);
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = tokio::time::sleep(NOTICEABLE) => {}
        }
        let end = start + self.shared.transport.timeout();
        self.slow.wait_at_most(&self.target.name, end, &format_args!("`{operation}` is not answered yet"));
        answer.await
    }

    /// Says which target it was that could not be reached, and where it was looked for.
    fn unreachable(&self, refusal: Refusal, endpoint: &Endpoint) -> Refusal {
        let place = endpoint.url.split("://").last().unwrap_or_default();
        let host = place.split('/').next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
        let message = format!("target `{}` at {host}: {}", self.target.name, refusal.message);
        Refusal { message, ..refusal }
    }

    /// Sends a request until it is answered for good. One that rests on what the server was seen to lack is not sent.
    async fn send_until_settled(&self, request: &Request, window: Option<SendWindow<'_>>) -> SendResult {
        let platform = self.target.platform;
        let needed = platform.required_capabilities(request, &self.known_settings());
        let first = match self.probes.pass(needed).await {
            Ok(first) => first,
            Err(refusal) => return SendResult::Answered(Err(refusal)),
        };
        let sending = self.exchange_patiently(request, window).await;
        if let SendResult::Answered(answer) = &sending {
            first.finish(answer.as_ref().map(|_| ()), |thing, refusal| platform.proves_missing(thing, refusal));
        }
        sending
    }

    async fn exchange_patiently(&self, request: &Request, window: Option<SendWindow<'_>>) -> SendResult {
        self.budget.deposit();
        let mut waits = waits();
        let mut patience = Patience::default();
        let mut last = None;
        loop {
            let refusal = match self.exchange(request, window).await {
                SendResult::Answered(Err(refusal)) => refusal,
                // A refusal says more than that it was not sent once more.
                SendResult::Stopped => return last.map_or(SendResult::Stopped, |last| SendResult::Answered(Err(last))),
                SendResult::Late(_) => return SendResult::Late(last),
                answered @ (SendResult::Answered(Ok(_)) | SendResult::Down(_)) => return answered,
            };
            let is_repeatable = window.is_none() || !refusal.lost || planted::has(Mistake::BlindRepeat);
            if patience.lasts(&refusal) || is_repeatable && is_outage(&refusal) && self.breaker.is_open() {
                // It goes back into the line, which knows when.
                self.shared.counters.retry(&self.target.name);
                last = Some(refusal);
                continue;
            }
            let Some(pause) = wait(&refusal, &mut waits, window.is_none()) else {
                return SendResult::Answered(Err(refusal));
            };
            if !self.budget.withdraw() {
                return SendResult::Answered(Err(unrepeated(refusal)));
            }
            let (target, operation) = (&*self.target.name, request.operation);
            self.shared.counters.retry(&self.target.name);
            tracing::warn!(target, operation, %refusal, "sent again in {}", until(pause));
            last = Some(refusal);
            match window {
                None => tokio::time::sleep(pause).await,
                Some(window) => tokio::select! {
                    biased;
                    () = window.stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                },
            }
        }
    }
}

/// A reason why a request did not leave.
enum Hindrance {
    /// Nothing answers at the target, and it was waited for long enough.
    Down(Refusal),
    /// It is a write, and nothing answers at the target just now.
    Outage,
    /// The target refuses requests for now, or its settings or credentials cannot be used.
    Refused(Refusal),
}

/// The state of the answer to one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    /// Nothing was sent.
    NotSent,
    /// Something answered.
    Yes,
    /// Nothing did.
    No,
}

/// An attempt that failed.
struct Failure {
    refusal: Refusal,
    credentials: CredentialStatus,
    answer: Answered,
}

impl Failure {
    fn not_sent(refusal: Refusal) -> Self {
        Self { refusal, credentials: CredentialStatus::Sound, answer: Answered::NotSent }
    }

    /// Returns true if it says that the target cannot be reached. A handshake that fails or a proxy that refuses leaves no
    /// doubt about that, and nothing was sent.
    fn is_outage(&self) -> bool {
        match self.answer {
            Answered::NotSent => false,
            Answered::Yes => is_outage(&self.refusal),
            Answered::No => is_outage(&self.refusal) || !self.refusal.lost,
        }
    }
}

/// Returns true if a refusal is by something in front of the platform that could not reach it, or if nothing answered at
/// all. The platform's own codes and limiters prove that it is there.
fn is_outage(refusal: &Refusal) -> bool {
    !refusal.has_own_code() && matches!(refusal.retry, Retry::Soon | Retry::Once | Retry::After(_))
}

/// Returns a refusal of a request that is not repeated, because too many others were.
fn unrepeated(refusal: Refusal) -> Refusal {
    let message =
        format!("{}; not sent again: this run has repeated too many requests to this target", refusal.message);
    Refusal { message, ..refusal }
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
    match read(&Reply { body: &body, parsed: None, ..*reply }) {
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
    format!("rec{:013x}{:016x}", clock::now().as_millisecond(), fastrand::u64(..))
}

/// Returns our id of a request and, where the platform gave it another, that one too.
fn both(ours: &str, refusal: &Refusal) -> Arc<str> {
    match &refusal.request_id {
        Some(theirs) if **theirs != *ours => format!("{ours}, theirs {theirs}").into(),
        _ => ours.into(),
    }
}

#[cfg(test)]
mod tests;
