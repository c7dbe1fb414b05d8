//! TLS towards backends: what is believed there, what is shown to them.
//!
//! Verification is the library's, with one addition. A certificate that signs itself and is written into `ca:` as it
//! is cannot pass it, because it is its own authority and no authority may serve; yet writing it there says clearly
//! enough who is meant, and `openssl req -x509` makes exactly that. Such a certificate is believed if it is one of the
//! file, byte by byte, and its time and its names hold.
//!
//! Sessions are kept per pool and shared by all workers; a new configuration of the pool begins with none.

use std::borrow::Cow;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::certificate::end_of;
use super::client_auth::Authorities;
use super::fingerprint::Fingerprint;
use super::reason;
use super::shown::{Shown, Watched};

/// Servers whose sessions are kept, by name.
const SESSIONS: usize = 1024;

/// How the backends of a pool are spoken to.
pub(crate) struct ClientTls {
    pub config: Arc<ClientConfig>,
    /// Of all that went into it.
    pub(super) print: Fingerprint,
    /// Of what is believed.
    pub(super) belief: Fingerprint,
    /// The certificate that is shown to them.
    pub(super) shown: Option<Shown>,
    /// The file of what is believed, if there is one.
    pub(super) ca: Option<Box<str>>,
}

impl ClientTls {
    /// The files behind it.
    pub(crate) fn watched(&self) -> impl Iterator<Item = Watched<'_>> {
        let ca = self.ca.iter().map(|file| Watched { file, names: &[], not_after: None });
        self.shown.iter().map(Shown::watched).chain(ca)
    }
}

/// What is believed of backends.
pub(crate) enum Belief {
    /// Certificates of these authorities.
    Of(Authorities),
    /// Anything.
    Any,
}

/// The configuration of a pool; says why if its authorities cannot be used.
pub(super) fn config(
    provider: &Arc<CryptoProvider>,
    belief: Belief,
    shown: Option<Arc<CertifiedKey>>,
) -> Result<Arc<ClientConfig>, String> {
    let believed = match belief {
        Belief::Of((roots, pinned)) => {
            let whole = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            Some(Believed { whole: whole.build().map_err(|error| error.to_string())?, pinned })
        }
        Belief::Any => None,
    };
    let verifier = Arc::new(Verifier { believed, provider: Arc::clone(provider) });
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(super::VERSIONS)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match shown {
        Some(key) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => config.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

/// Why a backend was refused, in words.
pub(crate) fn refusal(error: &Error) -> Cow<'static, str> {
    reason::of(error, "servers")
}

/// Whether a failure is about certificates, and not about the protocol.
pub(crate) fn is_about_certificates(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(_) | Error::NoCertificatesPresented)
}

/// Judges certificates; that their owner has the key is checked in any case, or the encryption would mean nothing.
#[derive(Debug)]
struct Verifier {
    /// `None` takes any certificate.
    believed: Option<Believed>,
    provider: Arc<CryptoProvider>,
}

/// The library's rules, and certificates that were named themselves.
#[derive(Debug)]
struct Believed {
    whole: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(Believed { whole, pinned }) = &self.believed else { return Ok(ServerCertVerified::assertion()) };
        match whole.verify_server_cert(shown, chain, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(OtherError(_)),
            )) if pinned.iter().any(|pinned| pinned == shown) => {
                verify_pinned(shown, name, now).map(|()| ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The time and the names of a certificate that was named itself.
fn verify_pinned(shown: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    let end = end_of(shown).ok_or(CertificateError::BadEncoding)?;
    if end < now.as_secs() {
        return Err(CertificateError::Expired.into());
    }
    verify_server_name(&ParsedCertificate::try_from(shown)?, name)
}
