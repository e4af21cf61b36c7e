//! How the platforms are talked to.

use std::path::PathBuf;

use clap::Args;

use super::parse::{above_zero, at_least_one, duration, truth};

/// How the platforms are talked to.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Network {
    /// Use the embedded sandbox instead of the real platforms
    #[arg(long, env = "RECONCILE_SANDBOX", value_parser = truth)]
    pub(in crate::cli) sandbox: bool,
    /// Maximum number of concurrent requests, over all targets
    #[arg(long, value_name = "N", default_value_t = 10, env = "RECONCILE_PARALLELISM", value_parser = at_least_one)]
    pub(in crate::cli) parallelism: usize,
    /// Maximum number of requests per second, over all targets
    #[arg(long, value_name = "N", env = "RECONCILE_RATE", value_parser = above_zero)]
    pub(in crate::cli) rate: Option<f64>,
    /// Maximum time for one request, such as 40s
    #[arg(long, value_name = "DURATION", default_value = "40s", env = "RECONCILE_TIMEOUT", value_parser = duration)]
    pub(in crate::cli) timeout: std::time::Duration,
    /// Trust the certificates in this PEM file too
    #[arg(long, value_name = "FILE", env = "RECONCILE_CA_CERT_FILE")]
    pub(in crate::cli) ca_cert_file: Option<PathBuf>,
    /// Accept any TLS certificate
    #[arg(long, env = "RECONCILE_TLS_SKIP_VERIFY", value_parser = truth)]
    pub(in crate::cli) tls_skip_verify: bool,
}

impl Network {
    /// Returns what holds where nothing is sent.
    pub(in crate::cli) fn unused() -> Self {
        Self {
            sandbox: false,
            parallelism: 1,
            rate: None,
            timeout: std::time::Duration::from_secs(40),
            ca_cert_file: None,
            tls_skip_verify: false,
        }
    }
}
