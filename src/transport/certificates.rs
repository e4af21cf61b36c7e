//! The checks of servers' certificates.

use std::sync::{Arc, OnceLock};

use rustls::{
    DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// The check of a connection.
///
/// The system's CA certificates are some hundred files, so they are read when the first server shows its certificate:
/// plain HTTP needs none of them.
#[derive(Debug)]
pub(super) struct CertificateCheck {
    provider: Arc<CryptoProvider>,
    /// CA certificates that were given beside the system's; `None` to accept every certificate.
    own: Option<RootCertStore>,
    all: OnceLock<RootCertStore>,
}

impl CertificateCheck {
    /// Returns a check that accepts what the system's CA certificates vouch for, and some others.
    pub(super) fn by_authorities(provider: Arc<CryptoProvider>, own: RootCertStore) -> Self {
        Self { provider, own: Some(own), all: OnceLock::new() }
    }

    /// Returns the check that `--tls-skip-verify` stands for: every certificate is accepted; signatures are still checked.
    pub(super) fn of_signatures_only(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, own: None, all: OnceLock::new() }
    }
}

impl ServerCertVerifier for CertificateCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(own) = &self.own else { return Ok(ServerCertVerified::assertion()) };
        let all = self.all.get_or_init(|| {
            let mut roots = own.clone();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        });
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, all, intermediates, now, algorithms)?;
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
