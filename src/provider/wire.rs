//! A platform's requests on the wire, and its answers.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use crate::model::{Json, KeyPool};

/// Where requests of one target go, with the secrets resolved. The platform chooses the keys.
#[derive(Clone)]
pub struct Endpoint {
    /// Root of the access, without a slash at its end.
    pub url: String,
    /// Settings that are not secret, such as the access or the project's id.
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

/// An HTTP method that the platforms use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
}

impl Method {
    /// Returns the method as a request line has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A request as it goes over the wire. Its `Debug` shows neither headers nor body.
pub struct Prepared {
    /// HTTP method.
    pub method: Method,
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

/// The marks of one attempt at a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'a> {
    /// An id that the servers write to their logs.
    pub request_id: &'a str,
    /// The time of sending, for signatures.
    pub now: Timestamp,
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
    /// The body as JSON, where it was taken apart before.
    pub parsed: Option<&'a Json>,
    /// When it came, by the clock of this machine.
    pub received: Timestamp,
}

impl Reply<'_> {
    /// Returns the body as JSON, or the mistake in it.
    pub fn json(&self, keys: &mut KeyPool) -> serde_json::Result<Json> {
        self.parsed.map_or_else(|| keys.parse(self.body), |json| Ok(json.clone()))
    }

    /// Returns the first value of a header; the name is in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the wait that `Retry-After` asks for, in seconds or until a date; more than a century is a century.
    ///
    /// A date that has passed asks for nothing: the clock that it is compared with may be wrong.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        // Sums of times must not overflow, whatever a server says.
        let longest = Duration::from_secs(CENTURY);
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.parse().map_or(longest, Duration::from_secs).min(longest));
        }
        let date = |text: &str| {
            let date = httpdate::parse_http_date(text.trim()).ok()?;
            // The last day of the year 9999 is a date too.
            Some(Timestamp::try_from(date).unwrap_or(Timestamp::MAX))
        };
        // The server's own clock tells best how far off its date is.
        let now = self.header("date").and_then(date).unwrap_or(self.received);
        let wait = Duration::try_from(date(text)?.duration_since(now)).ok()?;
        (!wait.is_zero()).then_some(wait.min(longest))
    }
}

/// A request that has to be answered before any other can be sent, such as one for a token.
pub struct Login {
    /// The operation's name as the platform's own pages spell it.
    pub operation: &'static str,
    /// The request as it goes over the wire.
    pub prepared: Prepared,
}

/// The result of a login; laid over the endpoint.
#[derive(Default)]
pub struct LoginResult {
    /// Settings that are not secret, such as the project's id.
    pub settings: HashMap<&'static str, String>,
    /// Secrets, such as a token.
    pub secrets: HashMap<&'static str, secrecy::SecretString>,
    /// After which time to log in again; `None` for never.
    pub renew: Option<std::time::Duration>,
}

/// The status of the credentials that were sent, as a refusal shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialStatus {
    /// Nothing.
    Sound,
    /// They may have run out: once, new ones are fetched and the request is sent again.
    Stale,
    /// They are wrong: nothing more is to be sent with them for a while.
    Rejected,
}

/// A key that the platform locks after some failures in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedKey {
    /// Its name. Never shown.
    pub name: String,
    /// How many failures lock it.
    pub failures: usize,
}

/// A group of requests with a limit of its own, apart from others of its target: the key that they share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcurrencyGroup(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_that_a_server_asks_for() {
        let noon = Timestamp::from_second(784_123_200).expect("a time");
        let check = |retry_after: &str, date: Option<&str>, expected: Option<u64>| {
            let headers = [("retry-after", Some(retry_after)), ("date", date)];
            let headers: Vec<_> =
                headers.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned()))).collect();
            let reply = Reply { status: 503, headers: &headers, body: b"", parsed: None, received: noon };
            assert_eq!(reply.retry_after(), expected.map(Duration::from_secs), "{retry_after} at {date:?}");
        };
        check("7", None, Some(7));
        check(" 0 ", None, Some(0));
        check("99999999999999999999", None, Some(CENTURY));
        for never in ["", "soon", "-1", "1.5", "Sun, 06 Nov"] {
            check(never, None, None);
        }
        // Each form of a date, by the clock of this machine.
        check("Sun, 06 Nov 1994 12:00:20 GMT", None, Some(20));
        check("Sunday, 06-Nov-94 12:00:20 GMT", None, Some(20));
        check("Sun Nov  6 12:00:20 1994", None, Some(20));
        check("Fri, 31 Dec 9999 23:59:59 GMT", None, Some(CENTURY));
        // By the server's clock where it tells its time.
        check("Sun, 06 Nov 1994 12:00:20 GMT", Some("Sun, 06 Nov 1994 12:00:15 GMT"), Some(5));
        check("Sun, 06 Nov 1994 11:00:20 GMT", Some("Sun, 06 Nov 1994 11:00:15 GMT"), Some(5));
        check("Sun, 06 Nov 1994 12:00:20 GMT", Some("no date"), Some(20));
        check("Sun, 06 Nov 1994 12:00:20 GMT", Some("Sun, 06 Nov 1994 12:00:20 GMT"), None);
        check("Sun, 06 Nov 1994 11:59:59 GMT", None, None);
    }
}
