//! Failures on the way, and whether another attempt could help.

use std::{error::Error, fmt::Write as _, io};

use crate::model::{Refusal, Retry};

/// Returns the refusal that a failed exchange stands for.
///
/// The URL is left out of the message: it may hold what is secret.
pub(super) fn refusal(error: reqwest::Error, proxies: &[String]) -> Refusal {
    let error = error.without_url();
    let unsent = error.is_connect() || error.is_builder();
    let causes: Vec<&(dyn Error + 'static)> =
        std::iter::successors(error.source(), |cause| (*cause).source()).collect();
    let (message, retry) = if let Some(tls) = causes.iter().find_map(|cause| tls_error(*cause)) {
        (tls_message(tls), Retry::Never)
    } else if causes.iter().any(|cause| cause.to_string() == "proxy authorization required") {
        ("the proxy asks for a user name and a password: write http://USER:PASSWORD@HOST:PORT".to_owned(), Retry::Never)
    } else if error.is_connect() {
        // The first word and the last: what lies between names libraries.
        let why = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        (format!("cannot connect: {why}"), Retry::Once)
    } else {
        let mut message = error.to_string();
        for cause in &causes {
            let _ = write!(message, ": {cause}");
        }
        (message, if error.is_builder() { Retry::Never } else { Retry::Soon })
    };
    let message = match proxies {
        [] => message,
        _ if !error.is_connect() => message,
        proxies => format!("{message} (a proxy may be in the way: {} is set)", proxies.join(", ")),
    };
    Refusal { code: None, message, retry, lost: !unsent, request_id: None }
}

/// Returns the failure of the handshake that a cause holds.
fn tls_error<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(error) = cause.downcast_ref() {
        return Some(error);
    }
    // An I/O error does not name what it wraps as its source, and may wrap another one.
    tls_error(cause.downcast_ref::<io::Error>()?.get_ref()?)
}

/// Says why no connection is safe, and what helps.
fn tls_message(error: &rustls::Error) -> String {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    let help = match error {
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            "; `--ca-cert-file FILE` or SSL_CERT_FILE names the CA that signed it, `--tls-skip-verify` accepts any"
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "; the `endpoint` has to use a name that the certificate is for"
        }
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => "; the server needs another certificate, or this machine's clock is wrong",
        rustls::Error::InvalidCertificate(_) => {
            "; `--ca-cert-file FILE` names the CA that signed it: the server's own certificate is not enough"
        }
        rustls::Error::InvalidMessage(_) => "; the port may speak plain HTTP: check `endpoint`",
        _ => "",
    };
    format!("no safe connection: {error}{help}")
}
