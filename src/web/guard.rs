//! Decides who may see the pages and who may use the controls.

use std::net::SocketAddr;

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// It needs a token, and none is configured.
    Off,
    /// It carries no token.
    NoToken,
    /// It carries another token.
    WrongToken,
    /// A page of another origin sent it.
    Foreign,
}

impl Denied {
    /// Returns a sentence for people.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Off => "this is off: set `watch.token` in reconcile.yaml",
            Self::NoToken => "a token is needed: send `Authorization: Bearer TOKEN`",
            Self::WrongToken => "the token is wrong",
            Self::Foreign => "a page of another origin must not do this",
        }
    }
}

/// The rules of a server.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    token: Option<[u8; 32]>,
    is_loopback: bool,
}

impl Guard {
    /// Returns the rules of a server that listens on an address.
    pub(super) fn new(token: Option<&SecretString>, listening: SocketAddr) -> Self {
        let token = token.map(|token| digest(token.expose_secret()));
        Self { token, is_loopback: listening.ip().is_loopback() }
    }

    /// Returns true if the controls can be used with a token.
    pub(super) fn has_controls(&self) -> bool {
        self.token.is_some()
    }

    /// Decides about reading objects and runs: on a loopback address everybody may, elsewhere the token is needed.
    pub(super) fn read(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if self.is_loopback { Ok(()) } else { self.check(headers) }
    }

    /// Decides about a control.
    pub(super) fn write(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if is_foreign(headers) {
            return Err(Denied::Foreign);
        }
        self.check(headers)
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let Some(expected) = &self.token else { return Err(Denied::Off) };
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = header.and_then(|header| header.split_once(' ')).ok_or(Denied::NoToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::NoToken);
        }
        // Digests are compared, so that the time tells nothing about the token.
        if digest(token.trim()) == *expected { Ok(()) } else { Err(Denied::WrongToken) }
    }
}

/// Returns true if a browser sent a request for a page of another origin.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or_default());
    let Some(origin) = text(header::ORIGIN) else { return false };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_none() || authority != text(header::HOST)
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn controls_need_the_token_and_the_own_origin() {
        let local = "127.0.0.1:8321".parse().expect("an address");
        let (on, off) = (Guard::new(Some(&"t0ken".into()), local), Guard::new(None, local));
        let check = |guard: &Guard, pairs: &[(HeaderName, &'static str)], expected: Result<(), Denied>| {
            assert_eq!(guard.write(&headers(pairs)), expected, "{pairs:?}");
        };
        let (host, origin, auth) = (header::HOST, header::ORIGIN, header::AUTHORIZATION);
        check(&off, &[(auth.clone(), "Bearer t0ken")], Err(Denied::Off));
        check(&on, &[], Err(Denied::NoToken));
        check(&on, &[(auth.clone(), "Basic dDBrZW4=")], Err(Denied::NoToken));
        check(&on, &[(auth.clone(), "t0ken")], Err(Denied::NoToken));
        check(&on, &[(auth.clone(), "Bearer t0keN")], Err(Denied::WrongToken));
        check(&on, &[(auth.clone(), "Bearer ")], Err(Denied::WrongToken));
        check(&on, &[(auth.clone(), "bearer t0ken")], Ok(()));
        let with = |name: &'static str| {
            [(auth.clone(), "Bearer t0ken"), (host.clone(), "localhost:8321"), (origin.clone(), name)]
        };
        check(&on, &with("http://localhost:8321"), Ok(()));
        for foreign in ["http://evil.example.com", "http://localhost:8322", "null", "", "localhost:8321"] {
            check(&on, &with(foreign), Err(Denied::Foreign));
        }
        // Without a `Host` no origin is the own one.
        check(&on, &[(auth, "Bearer t0ken"), (origin, "http://a")], Err(Denied::Foreign));
    }

    #[test]
    fn beyond_the_own_machine_reading_needs_the_token() {
        let check = |token: Option<&str>, listening: &str, header: Option<&'static str>, expected| {
            let token = token.map(SecretString::from);
            let guard = Guard::new(token.as_ref(), listening.parse().expect("an address"));
            let pairs: Vec<_> = header.map(|value| (header::AUTHORIZATION, value)).into_iter().collect();
            assert_eq!(guard.read(&headers(&pairs)), expected, "{listening} {header:?}");
        };
        check(None, "127.0.0.1:1", None, Ok(()));
        check(None, "[::1]:1", None, Ok(()));
        check(Some("t"), "127.0.0.1:1", None, Ok(()));
        check(None, "0.0.0.0:1", None, Err(Denied::Off));
        check(Some("t"), "0.0.0.0:1", None, Err(Denied::NoToken));
        check(Some("t"), "0.0.0.0:1", Some("Bearer u"), Err(Denied::WrongToken));
        check(Some("t"), "0.0.0.0:1", Some("Bearer t"), Ok(()));
    }
}
