//! The sessions of a target: the resolved endpoint with what a login added to it, renewed in time, and keys that a
//! platform locks when they fail too often.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex as Lock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::ExposeSecret;
use tokio::{
    sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::{
    model::{Refusal, Retry},
    provider::{Endpoint, LockedKey, LoginResult},
};

/// How long nothing is sent with credentials that were rejected.
const COOLDOWN: Duration = Duration::from_mins(5);
/// How long a login that failed for another reason is not tried again: all who wait share the failure.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a key that has worked is trusted.
const TRUST: Duration = Duration::from_mins(1);

/// Something that is not to be used for a while, and why.
#[derive(Debug)]
struct Cooldown {
    until: Instant,
    why: Refusal,
}

impl Cooldown {
    fn new(time: Duration, why: &Refusal) -> Self {
        Self { until: Instant::now() + time, why: why.clone() }
    }

    /// Returns what those get who come too early.
    fn refusal(&self) -> Option<Refusal> {
        let left = self.until.checked_duration_since(Instant::now())?;
        let message = format!("not sent, and not for {} s: {}", left.as_secs() + 1, self.why.message);
        Some(Refusal { code: self.why.code.clone(), ..Refusal::new(None, message) })
    }
}

/// Where requests go at present.
pub(super) struct Held {
    /// The endpoint, with what the login added.
    pub(super) endpoint: Endpoint,
    /// The resolved endpoint, before a login added to it.
    base: Endpoint,
    renew: Option<Instant>,
    logged_in: bool,
}

/// Does the work that a session needs done. Both are called by one caller at a time.
pub(super) trait Source: Sync {
    /// Fetches the endpoint.
    fn resolve(&self) -> impl Future<Output = Result<Endpoint, Refusal>> + Send;
    /// Logs in, where that has to be.
    fn login(&self, endpoint: &Endpoint) -> impl Future<Output = Result<Option<LoginResult>, Refusal>> + Send;
}

/// The session of one connection. All callers share it, and wait for the one who logs in.
#[derive(Default)]
pub(super) struct Session {
    state: Mutex<State>,
    /// New credentials were fetched, and nothing has been answered with them yet.
    unproven: AtomicBool,
}

#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    cooldown: Option<Cooldown>,
    /// When the next login is due, where one that came before its time could not be made.
    again: Option<Instant>,
}

impl Session {
    /// Returns where requests go; logs in before, where that has to be.
    pub(super) async fn get(&self, source: &impl Source) -> Result<Arc<Held>, Refusal> {
        let mut state = self.state.lock().await;
        if let Some(refusal) = state.cooldown.as_ref().and_then(Cooldown::refusal) {
            return Err(refusal);
        }
        let now = Instant::now();
        let Some(old) = state.held.clone() else { return Self::enter(&mut state, source).await };
        if old.renew.is_none_or(|renew| now < renew) || state.again.is_some_and(|again| now < again) {
            return Ok(old);
        }
        match Self::enter(&mut state, source).await {
            // The old one will do for a while.
            Err(why) if why.retry != Retry::Never => {
                *state = State { held: Some(old.clone()), cooldown: None, again: Some(Instant::now() + PAUSE) };
                Ok(old)
            }
            renewed => renewed,
        }
    }

    async fn enter(state: &mut State, source: &impl Source) -> Result<Arc<Held>, Refusal> {
        state.held = None;
        // Values may have been changed since they were read: passwords, files.
        let base = source.resolve().await?;
        let grant = source.login(&base).await.inspect_err(|why| {
            let time = if why.retry == Retry::Never { COOLDOWN } else { PAUSE };
            state.cooldown = Some(Cooldown::new(time, why));
        })?;
        let (logged_in, grant) = (grant.is_some(), grant.unwrap_or_default());
        let mut endpoint = base.clone();
        endpoint.settings.extend(grant.settings);
        endpoint.secrets.extend(grant.secrets);
        let renew = grant.renew.map(|time| Instant::now() + time);
        let held = Arc::new(Held { endpoint, base, renew, logged_in });
        *state = State { held: Some(held.clone()), cooldown: None, again: None };
        Ok(held)
    }

    /// Forgets the session and that credentials were rejected. One that is being made stays.
    pub(super) fn forget(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            *state = State::default();
        }
        self.unproven.store(false, Ordering::Relaxed);
    }

    /// Returns the secrets that are in use.
    pub(super) async fn secrets(&self) -> Vec<String> {
        let held = self.state.lock().await.held.clone();
        let secrets = held.iter().flat_map(|held| held.endpoint.secrets.values());
        secrets.map(|secret| secret.expose_secret().to_owned()).collect()
    }

    /// Notes that credentials were accepted.
    pub(super) fn worked(&self) {
        self.unproven.store(false, Ordering::Relaxed);
    }

    /// Fetches new credentials for those that were refused; once, until some have worked.
    pub(super) async fn renew(
        &self,
        old: &Arc<Held>,
        why: &Refusal,
        source: &impl Source,
    ) -> Result<Arc<Held>, Refusal> {
        let mut state = self.state.lock().await;
        if let Some(refusal) = state.cooldown.as_ref().and_then(Cooldown::refusal) {
            return Err(refusal);
        }
        if let Some(held) = state.held.as_ref().filter(|held| !Arc::ptr_eq(held, old)) {
            return Ok(held.clone());
        }
        if !self.unproven.swap(true, Ordering::Relaxed) {
            let held = Self::enter(&mut state, source).await?;
            if held.logged_in || !same_secrets(&held.base, &old.base) {
                return Ok(held);
            }
        }
        Err(self.close(&mut state, why))
    }

    /// Notes that credentials are wrong: they are fetched anew before they are used again.
    pub(super) async fn reject(&self, old: &Arc<Held>) {
        let mut state = self.state.lock().await;
        if state.held.as_ref().is_some_and(|held| Arc::ptr_eq(held, old)) {
            state.held = None;
        }
    }

    fn close(&self, state: &mut State, why: &Refusal) -> Refusal {
        state.held = None;
        state.cooldown = Some(Cooldown::new(COOLDOWN, why));
        self.unproven.store(false, Ordering::Relaxed);
        why.clone()
    }
}

fn same_secrets(endpoint: &Endpoint, other: &Endpoint) -> bool {
    endpoint.secrets.len() == other.secrets.len()
        && endpoint.secrets.iter().all(|(key, secret)| {
            other.secrets.get(key).is_some_and(|other| other.expose_secret() == secret.expose_secret())
        })
}

/// The keys in use that a platform locks, shared by all connections.
#[derive(Debug, Default)]
pub(super) struct Turnstiles(Lock<HashMap<String, Arc<CredentialBreaker>>>);

impl Turnstiles {
    /// Returns the turnstile of a key.
    pub(super) fn of(&self, key: LockedKey) -> Arc<CredentialBreaker> {
        let LockedKey { name, failures } = key;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name).or_insert_with(|| Arc::new(CredentialBreaker::new(failures))).clone()
    }
}

/// Lets requests with one key through: one at a time until the key has worked, then so few that their failures would not
/// lock it, and none once it was rejected.
#[derive(Debug)]
pub(super) struct CredentialBreaker {
    key: Mutex<Key>,
    turns: Semaphore,
}

#[derive(Debug, Default)]
struct Key {
    worked: Option<Instant>,
    cooldown: Option<Cooldown>,
}

/// The leave to send one request.
pub(super) struct Permit<'g> {
    breaker: &'g CredentialBreaker,
    /// Held by who tries a key that has not worked lately: everybody else waits.
    trial: Option<MutexGuard<'g, Key>>,
    _turn: Option<SemaphorePermit<'g>>,
}

impl CredentialBreaker {
    fn new(failures: usize) -> Self {
        Self { key: Mutex::default(), turns: Semaphore::new(failures.saturating_sub(1).max(1)) }
    }

    /// Waits for the leave to send a request.
    pub(super) async fn pass(&self) -> Result<Permit<'_>, Refusal> {
        let turn = self.turns.acquire().await.ok();
        let key = self.key.lock().await;
        if let Some(refusal) = key.cooldown.as_ref().and_then(Cooldown::refusal) {
            return Err(refusal);
        }
        let trusted = key.worked.is_some_and(|worked| worked.elapsed() < TRUST);
        Ok(Permit { breaker: self, trial: (!trusted).then_some(key), _turn: turn })
    }
}

impl Permit<'_> {
    /// Notes that the key was accepted.
    pub(super) fn worked(self) {
        if let Some(mut key) = self.trial {
            key.worked = Some(Instant::now());
            key.cooldown = None;
        }
    }

    /// Notes that the key was rejected.
    pub(super) async fn rejected(self, why: &Refusal) {
        let mut key = match self.trial {
            Some(key) => key,
            None => self.breaker.key.lock().await,
        };
        *key = Key { worked: None, cooldown: Some(Cooldown::new(COOLDOWN, why)) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Desk {
        logins: AtomicUsize,
        renew: Option<Duration>,
        closed: bool,
        asks: bool,
    }

    impl Source for Desk {
        async fn resolve(&self) -> Result<Endpoint, Refusal> {
            Ok(Endpoint { url: String::new(), settings: HashMap::new(), secrets: HashMap::new() })
        }

        async fn login(&self, _endpoint: &Endpoint) -> Result<Option<LoginResult>, Refusal> {
            if self.closed {
                return Err(Refusal::new(None, "wrong password"));
            }
            if !self.asks {
                return Ok(None);
            }
            let number = self.logins.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let secrets = HashMap::from([("token", number.to_string().into())]);
            Ok(Some(LoginResult { secrets, renew: self.renew, ..LoginResult::default() }))
        }
    }

    fn desk() -> Desk {
        Desk { asks: true, renew: Some(Duration::from_mins(10)), ..Desk::default() }
    }

    fn token(held: &Held) -> &str {
        held.endpoint.secrets["token"].expose_secret()
    }

    #[tokio::test(start_paused = true)]
    async fn one_login_serves_all_until_it_is_time() {
        let (session, desk) = (Session::default(), desk());
        let all = futures_util::future::join_all((0..20).map(|_| session.get(&desk))).await;
        assert!(all.iter().all(|held| token(held.as_ref().expect("in")) == "1"));
        tokio::time::advance(Duration::from_mins(9)).await;
        assert_eq!(token(&session.get(&desk).await.expect("in")), "1");
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(token(&session.get(&desk).await.expect("in")), "2");
        assert_eq!(desk.logins.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_renewed_once() {
        let (session, desk) = (Session::default(), desk());
        let no = Refusal::new(None, "decrypt token fail");
        let first = session.get(&desk).await.expect("in");
        let renewed = futures_util::future::join_all((0..5).map(|_| session.renew(&first, &no, &desk))).await;
        assert!(renewed.iter().all(|held| token(held.as_ref().expect("in")) == "2"));
        // It worked: then it may be renewed again.
        session.worked();
        let third = session.renew(renewed[0].as_ref().expect("in"), &no, &desk).await.expect("in");
        assert_eq!(token(&third), "3");
        assert_eq!(session.renew(&third, &no, &desk).await.err().map(|no| no.message), Some(no.message.clone()));
        let cooldown = session.get(&desk).await.err().expect("shut").message;
        assert_eq!(cooldown, "not sent, and not for 301 s: decrypt token fail");
        tokio::time::advance(Duration::from_secs(301)).await;
        assert_eq!(token(&session.get(&desk).await.expect("in")), "4");
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_fails_is_not_repeated_by_each_caller() {
        let (session, desk) = (Session::default(), Desk { closed: true, ..desk() });
        assert_eq!(session.get(&desk).await.err().expect("closed").message, "wrong password");
        let second = session.get(&desk).await.err().expect("closed").message;
        assert!(second.starts_with("not sent, and not for "), "{second}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_ready_token_is_fetched_again_and_given_up_where_it_is_the_same() {
        let (session, desk) = (Session::default(), Desk::default());
        let held = session.get(&desk).await.expect("in");
        let no = Refusal::new(None, "no");
        assert!(session.renew(&held, &no, &desk).await.is_err());
        assert!(session.get(&desk).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_tried_alone_and_shut_when_rejected() {
        let turnstiles = Turnstiles::default();
        let key = |name: &str| LockedKey { name: name.to_owned(), failures: 5 };
        let breaker = turnstiles.of(key("AK"));
        let trial = breaker.pass().await.expect("the first");
        assert!(tokio::time::timeout(Duration::from_secs(9), breaker.pass()).await.is_err(), "others wait");
        trial.worked();
        let (one, two) = (breaker.pass().await.expect("trusted"), breaker.pass().await.expect("trusted"));
        one.rejected(&Refusal::new(None, "wrong key")).await;
        two.worked();
        assert!(turnstiles.of(key("AK")).pass().await.is_err(), "no answer of an earlier request opens it");
        assert!(turnstiles.of(key("other")).pass().await.is_ok());
        tokio::time::advance(Duration::from_mins(5)).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let probe = breaker.pass().await.expect("one probe");
        assert!(tokio::time::timeout(Duration::from_secs(9), breaker.pass()).await.is_err(), "and only one");
        probe.worked();
        assert!(breaker.pass().await.is_ok());
    }
}
