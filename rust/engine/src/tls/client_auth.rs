//! Certificates of clients: who is asked, and whose are believed.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::certificate::{Source, chain, end_of};
use super::reason;

/// Asks every client for a certificate of these authorities; whoever has none gets in unless it is `required`.
pub(crate) fn verifier(
    provider: &Arc<CryptoProvider>,
    ca: Source<'_>,
    required: bool,
    now: Duration,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let roots = Arc::new(authorities(ca, now)?.0);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    let verifier = builder.build().map_err(|error| format!("`{}` cannot be used: {error}", ca.name))?;
    Ok(verifier)
}

/// What a file believes in, for the library and as it was written.
pub(crate) type Authorities = (RootCertStore, Vec<rustls::pki_types::CertificateDer<'static>>);

/// The authorities of a file. One that is over does not matter while there are others, as in bundles.
pub(crate) fn authorities(file: Source<'_>, now: Duration) -> Result<Authorities, String> {
    let found = chain(file)?;
    let mut roots = RootCertStore::empty();
    for (position, certificate) in found.iter().enumerate() {
        roots
            .add(certificate.clone())
            .map_err(|_| format!("certificate {} in `{}` cannot be read", position + 1, file.name))?;
    }
    let over = |certificate: &[u8]| end_of(certificate).is_some_and(|end| end < now.as_secs());
    if found.iter().all(|certificate| over(certificate)) {
        let what = if found.len() == 1 { "the certificate" } else { "every certificate" };
        return Err(format!("{what} in `{}` has expired", file.name));
    }
    Ok((roots, found))
}

/// Why a client was refused, in words.
pub(crate) fn refusal(error: &rustls::Error) -> Cow<'static, str> {
    match error {
        rustls::Error::NoCertificatesPresented => "client sent no certificate".into(),
        error => reason::of(error, "clients"),
    }
}
