//! What a platform makes of requests on their way, and of answers.

use std::collections::HashMap;

/// Where requests of one target go, with the secrets resolved. The platform chooses the keys.
#[derive(Clone)]
pub struct Endpoint {
    /// Root of the door, without a slash at its end.
    pub url: String,
    /// Settings that are not secret, such as the door or the project's id.
    pub settings: HashMap<&'static str, String>,
    /// Secrets; never printed.
    pub secrets: HashMap<&'static str, secrecy::SecretString>,
}

impl Endpoint {
    /// Returns the settings of `reconcile.yaml` that name its secrets, in the order of the alphabet.
    pub fn secret_settings(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.secrets.keys().map(|key| format!("`auth.{key}`")).collect();
        keys.sort();
        keys
    }
}

/// A request as it goes over the wire. Its `Debug` shows neither headers nor body.
pub struct Prepared {
    /// HTTP method.
    pub method: &'static str,
    /// Full URL, with the query.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
    /// Body; empty for none.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What marks one attempt at a request.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// An id that the servers write to their logs.
    pub request_id: &'a str,
    /// The time of sending, for signatures.
    pub now: jiff::Timestamp,
}

/// Seconds of a century.
const CENTURY: u64 = 100 * 365 * 24 * 3600;

/// An answer as it came over the wire.
pub struct Reply<'a> {
    /// HTTP status.
    pub status: u16,
    /// Header names in small letters, with their values.
    pub headers: &'a [(String, String)],
    /// Body.
    pub body: &'a [u8],
}

impl Reply<'_> {
    /// Returns the first value of a header; the name is in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns `Retry-After`, where it is given in seconds; more than a century is a century.
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        let text = self.header("retry-after")?.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // Sums of times must not overflow, whatever a server says.
        let seconds = text.parse().unwrap_or(u64::MAX).min(CENTURY);
        Some(std::time::Duration::from_secs(seconds))
    }
}

/// A request that has to be answered before any other can be sent, such as one for a token.
pub struct Login {
    /// The operation's name as the platform's own pages spell it.
    pub operation: &'static str,
    /// What goes over the wire.
    pub prepared: Prepared,
}

/// What a login came to; laid over the endpoint.
#[derive(Default)]
pub struct Grant {
    /// Settings that are not secret, such as the project's id.
    pub settings: HashMap<&'static str, String>,
    /// Secrets, such as a token.
    pub secrets: HashMap<&'static str, secrecy::SecretString>,
    /// After which time to log in again; none for never.
    pub renew: Option<std::time::Duration>,
}

/// What a refusal says about the credentials that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Sound,
    /// They may have run out: once, new ones are fetched and the request is sent again.
    Stale,
    /// They are wrong: nothing more is to be sent with them for a while.
    Rejected,
}

/// What a request is limited with, apart from others of its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The same for all requests that share the limit.
    pub key: String,
    /// Most requests at once, where the target says nothing else.
    pub most: usize,
}
