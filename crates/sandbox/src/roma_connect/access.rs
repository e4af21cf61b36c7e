//! Finds out who calls, and whether they may (contract, sections 4 to 6).

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    clock,
    option::Options,
    reply::Failure,
    signature::{self, Claim},
    store::{Credentials, Key, Person, User},
    token,
};
use crate::simulator::Request;

/// The projects that credentials reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// Any project of the account, as access keys do.
    Account,
    /// One project.
    Project(String),
    /// Global services only.
    Domain,
}

/// The caller of a request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) person: Person,
    /// Name of the account.
    pub(super) domain: String,
    /// True if it sees every application.
    pub(super) administrator: bool,
    pub(super) scope: Scope,
}

impl Caller {
    /// Returns a user as a caller.
    pub(super) fn new(user: User, scope: Scope) -> Self {
        Self { person: user.person, domain: user.domain, administrator: user.administrator, scope }
    }
}

/// Failures in a row by access key, and until when it is locked.
#[derive(Debug, Default)]
pub(super) struct Lockouts(HashMap<String, (u64, Option<Timestamp>)>);

/// Returns who sent a request.
pub(super) fn caller(
    request: &Request,
    credentials: &Credentials,
    options: &Options,
    lockouts: &mut Lockouts,
) -> Result<Caller, Failure> {
    let token = request.header("x-auth-token");
    // A signed request may carry a token as well: then it is one more signed header (contract, section 5).
    match (request.header("authorization"), token) {
        (Some(_), _) | (None, None) if !credentials.are_demanded() => {
            Ok(Caller::new(credentials.default_user(), Scope::Account))
        }
        (Some(authorization), _) => by_signature(request, authorization, credentials, options, lockouts),
        (None, Some(token)) => by_token(token, credentials, options),
        (None, None) => Err(bad_token(options, 1000, "No token in request", "x-auth-token not found")),
    }
}

fn by_token(text: &str, credentials: &Credentials, options: &Options) -> Result<Caller, Failure> {
    let now = options.now();
    let expired = |at: Timestamp| {
        let at = clock::micros(at);
        bad_token(options, 1002, "The token must be updated", &format!("The token must be updated, expires_at: {at}"))
    };
    if let Some(ticket) = credentials.tokens.get(text) {
        if let Some(expires) = ticket.expires.filter(|expires| *expires <= now) {
            return Err(expired(expires));
        }
        let user = ticket.user.as_ref().map_or_else(|| credentials.default_user(), |user| credentials.anybody(user));
        return Ok(Caller::new(user, ticket.project.clone().map_or(Scope::Account, Scope::Project)));
    }
    let user = |id: &str, name: &str| {
        let listed = credentials.users.iter().find(|user| user.person.id == id).cloned();
        if credentials.are_demanded() { listed } else { Some(credentials.anybody(name)) }
    };
    match token::read(text, user) {
        Some((token, _)) if token.expires <= now => Err(expired(token.expires)),
        Some((token, user)) => Ok(Caller::new(user, token.project.map_or(Scope::Domain, Scope::Project))),
        None if !credentials.are_demanded() => Ok(Caller::new(credentials.default_user(), Scope::Account)),
        None => Err(bad_token(options, 1002, "Wrong token", "decrypt token fail")),
    }
}

fn bad_token(options: &Options, number: u32, message: &str, reason: &str) -> Failure {
    if options.is("token-errors", "service") {
        return Failure::service(400, number, message, reason);
    }
    Failure::caller(reason)
}

fn by_signature(
    request: &Request,
    authorization: &str,
    credentials: &Credentials,
    options: &Options,
    lockouts: &mut Lockouts,
) -> Result<Caller, Failure> {
    let claim = Claim::read(authorization).map_err(Failure::caller)?;
    let now = options.now();
    let (failures, locked_until) = lockouts.0.get(&claim.access_key).copied().unwrap_or_default();
    if options.flag("lockout") && locked_until.is_some_and(|until| now < until) {
        return Err(Failure::caller("AK access failed to reach the limit,forbidden"));
    }
    let failures = if locked_until.is_some() { 0 } else { failures };
    match verified(request, &claim, credentials, options, now) {
        Ok(key) => {
            lockouts.0.remove(&claim.access_key);
            let user = key.user.as_ref().map_or_else(|| credentials.default_user(), |user| credentials.anybody(user));
            Ok(Caller::new(user, Scope::Account))
        }
        Err(reason) => {
            let failures = failures + 1;
            let locked = failures > options.count("lockout-failures");
            let until = locked.then(|| clock::later(now, options.number("lockout-seconds")));
            lockouts.0.insert(claim.access_key, (failures, until));
            Err(Failure::caller(reason))
        }
    }
}

fn verified<'a>(
    request: &Request,
    claim: &Claim,
    credentials: &'a Credentials,
    options: &Options,
    now: Timestamp,
) -> Result<&'a Key, String> {
    let unknown = || format!("Get secretKey failed,ak:{},err:ak not exist", claim.access_key);
    let key = credentials.keys.get(&claim.access_key).ok_or_else(unknown)?;
    // A temporary key is found by its token. Beside a lasting key a token means nothing.
    if let Some(security_token) = &key.security_token {
        let sent = request.header("x-security-token").map(str::trim).ok_or_else(unknown)?;
        if sent != security_token {
            return Err("decrypt token fail, x-security-token does not belong to the ak".to_owned());
        }
    }
    if let Some(expires) = key.expires.filter(|expires| *expires <= now) {
        return Err(format!("decrypt token fail, the temporary credentials expired at {}", clock::seconds(expires)));
    }
    signature::verify(request, claim, &key.secret, now, options.count("clock-window-seconds"))?;
    Ok(key)
}

/// Checks that a caller reaches the project of a path.
pub(super) fn check_project(request: &Request, caller: &Caller, project: &str, listed: bool) -> Result<(), Failure> {
    if request.header("x-project-id").is_some_and(|sent| sent.trim() != project) {
        return Err(Failure::project("X-Project-Id differs from the project in the path"));
    }
    if !listed {
        return Err(Failure::project("no such project"));
    }
    match &caller.scope {
        Scope::Domain => Err(Failure::project("the token has no project scope")),
        Scope::Project(own) if own != project => Err(Failure::project("the token is for another project")),
        Scope::Project(_) | Scope::Account => Ok(()),
    }
}
