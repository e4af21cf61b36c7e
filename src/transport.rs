//! The one way out: sends a prepared request over HTTP and returns the answer. The only module that names an HTTP
//! client.

mod certificates;
mod failure;
mod in_process;
mod proxy;

use std::{sync::Arc, time::Duration};

use certificates::CertificateCheck;
pub use in_process::{Loss, Service};
pub use proxy::Proxies;

use crate::{
    model::Refusal,
    provider::{Method, Prepared},
};

/// Most bytes that are set aside for a body before they came.
const LONGEST_PROMISE: usize = 4 << 20;

/// How requests are sent.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most time for one request, answer included.
    pub timeout: Duration,
    /// Certificates to trust besides those of the system, in PEM.
    pub authorities: Option<Vec<u8>>,
    /// Accept any certificate.
    pub insecure: bool,
    /// The way out, where it is not direct.
    pub proxies: Proxies,
    /// Longest body of an answer in bytes, decoded: 64 MiB by default. A page of 500 large instances has a few megabytes.
    pub longest_body: usize,
}

impl Default for Options {
    fn default() -> Self {
        // The accesses give the service behind them 30 s.
        let timeout = Duration::from_secs(40);
        Self { timeout, authorities: None, insecure: false, proxies: Proxies::default(), longest_body: 64 << 20 }
    }
}

/// The way out.
#[derive(Debug, Clone)]
pub struct Transport {
    way: Way,
    timeout: Duration,
    longest_body: usize,
}

/// Where requests go.
#[derive(Debug, Clone)]
enum Way {
    /// To servers: a client with its pool of connections, and the variables that name proxies.
    Http(reqwest::Client, Arc<[String]>),
    /// To a server in this process.
    InProcess(Arc<dyn Service>),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names in small letters, with their values. They may hold what is secret.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The certificates that were given cannot be read.
    #[error("the CA certificates cannot be read: {0}")]
    Authorities(String),
    /// The file of certificates holds none.
    #[error("the file of CA certificates holds no certificate (a block that begins with -----BEGIN CERTIFICATE-----)")]
    NoAuthority,
    /// The variable that this names holds no address of a proxy. The value may hold a password.
    #[error("the environment variable {0} is no address of a proxy such as http://proxy.example.com:3128")]
    Proxy(String),
    /// The TLS library refused its settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The client could not be built.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

impl Transport {
    /// Returns a client. A machine without any CA certificate is fine: plain HTTP needs none.
    pub fn new(options: &Options) -> Result<Self, TransportError> {
        let builder = reqwest::Client::builder()
            .timeout(options.timeout)
            .connect_timeout(Duration::from_secs(10))
            // A redirect would carry the credentials somewhere else.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("reconcile/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls(options)?);
        let client = options.proxies.apply(builder)?.build()?;
        let proxies = options.proxies.variables().into();
        Ok(Self { way: Way::Http(client, proxies), timeout: options.timeout, longest_body: options.longest_body })
    }

    /// Returns the way to a server in this process: nothing leaves it.
    pub fn in_process(service: Arc<dyn Service>) -> Self {
        let Options { timeout, longest_body, .. } = Options::default();
        Self { way: Way::InProcess(service), timeout, longest_body }
    }

    /// Returns the most time for one request, answer included.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends a request. An error on the way says whether the request may have arrived.
    pub async fn send(&self, prepared: Prepared) -> Result<Answer, Refusal> {
        match &self.way {
            Way::Http(client, proxies) => self.send_over_http(client, proxies, prepared).await,
            Way::InProcess(service) => in_process::send(&**service, prepared, self.timeout, self.longest_body).await,
        }
    }

    async fn send_over_http(
        &self,
        client: &reqwest::Client,
        proxies: &[String],
        prepared: Prepared,
    ) -> Result<Answer, Refusal> {
        let method = match prepared.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = client.request(method, &prepared.url);
        for (name, value) in prepared.headers {
            // Marked so, no library under us shows it, however much it logs.
            if let Ok(mut value) = reqwest::header::HeaderValue::from_str(&value) {
                value.set_sensitive(true);
                request = request.header(name, value);
            } else {
                return Err(Refusal::new(None, format!("the header `{name}` cannot hold its value")));
            }
        }
        if !prepared.body.is_empty() {
            request = request.body(prepared.body);
        }
        let refused = |error| failure::refusal(error, proxies);
        let mut response = request.send().await.map_err(refused)?;
        let status = response.status().as_u16();
        let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        // A server may promise more than it sends.
        let promised = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut body = Vec::with_capacity(promised.min(LONGEST_PROMISE));
        while let Some(chunk) = response.chunk().await.map_err(refused)? {
            if body.len() + chunk.len() > self.longest_body {
                return Err(too_long(self.longest_body));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }
}

/// Returns the refusal of an answer that goes on behind the bound. The request arrived, and may have been carried out.
fn too_long(bound: usize) -> Refusal {
    let message = format!(
        "the answer is longer than {} MiB and was not read to its end: see that `endpoint` leads to the platform, or let \
         fewer documents go into one run",
        bound >> 20
    );
    Refusal { lost: true, ..Refusal::new(None, message) }
}

fn tls(options: &Options) -> Result<rustls::ClientConfig, TransportError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let own = authorities(options.authorities.as_deref())?;
    let check = if options.insecure {
        CertificateCheck::of_signatures_only(provider)
    } else {
        CertificateCheck::by_authorities(provider, own)
    };
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(check)).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads the CA certificates that were given as a file.
fn authorities(pem: Option<&[u8]>) -> Result<rustls::RootCertStore, TransportError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    let mut roots = rustls::RootCertStore::empty();
    let Some(pem) = pem else { return Ok(roots) };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|error| TransportError::Authorities(error.to_string()))?)?;
    }
    if roots.is_empty() { Err(TransportError::NoAuthority) } else { Ok(roots) }
}

#[cfg(test)]
mod tests;
