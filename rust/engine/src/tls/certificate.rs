//! Files of certificates and keys, judged before anybody is served with them.
//!
//! Everything that can be wrong with a pair is said at once, in words that name the file and what to do: no PEM in it,
//! a key with a password, a key of another certificate, a certificate that is over. What is in force is never judged a
//! second time, so a certificate that ends while it is served does not stand in the way of other changes.
//!
//! Two libraries read a certificate. rustls (webpki) decides what is shown and believed; x509-cert reads what it keeps
//! to itself: dates, names, the subject.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The attribute CN of a name (RFC 4519, 2.3).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What a file is called, and what is in it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub name: &'a str,
    pub bytes: &'a [u8],
}

/// A certificate with its chain and key, fit to be shown.
#[derive(Debug)]
pub(crate) struct Certified {
    pub key: Arc<CertifiedKey>,
    /// The DNS names it is for, in lower case; some begin with `*.`.
    pub names: Vec<Box<str>>,
    /// When it ends: seconds since 1970.
    pub not_after: u64,
}

/// What is wrong with a pair.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// With its key; otherwise with the certificate.
    pub of_key: bool,
    pub message: String,
}

/// A certificate of a peer, as told to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject as RFC 4514 writes it.
    pub subject: String,
    /// Its other names, each with its kind: `DNS:a.example`, `IP:10.0.0.1`, `email:a@example`, `URI:spiffe://a/b`. What
    /// would not go into a header as it is, and commas, are percent-encoded.
    pub sans: Vec<String>,
}

/// Reads a pair and judges it at the time `now` (since 1970).
pub(crate) fn certified(
    provider: &CryptoProvider,
    cert: Source<'_>,
    key: Source<'_>,
    now: Duration,
) -> Result<Certified, Vec<Flaw>> {
    let chain = chain(cert).map_err(|message| Flaw { of_key: false, message });
    let signing = signing_key(provider, key).map_err(|message| Flaw { of_key: true, message });
    let facts = match &chain {
        Ok(chain) => facts(cert.name, &chain[0], now).map(Some).map_err(|message| Flaw { of_key: false, message }),
        Err(_) => Ok(None),
    };
    let (chain, signing, facts) = match (chain, signing, facts) {
        (Ok(chain), Ok(signing), Ok(Some(facts))) => (chain, signing, facts),
        (chain, signing, facts) => {
            return Err([chain.err(), signing.err(), facts.err()].into_iter().flatten().collect());
        }
    };
    let certified = CertifiedKey::new(chain, signing);
    certified
        .keys_match()
        .map_err(|_| vec![Flaw { of_key: true, message: mismatch(&certified, cert.name, key.name) }])?;
    Ok(Certified { key: Arc::new(certified), names: facts.names, not_after: facts.not_after })
}

/// The certificates of a file, in its order; at least one.
pub(crate) fn chain(file: Source<'_>) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(file.bytes).collect::<Result<Vec<_>, _>>();
    let chain = found.map_err(|error| format!("`{}` is not whole: {}", file.name, damage(&error)))?;
    if chain.is_empty() {
        return Err(format!("there is no certificate in `{}`{}", file.name, instead(file.bytes, "x509")));
    }
    Ok(chain)
}

fn signing_key(provider: &CryptoProvider, file: Source<'_>) -> Result<Arc<dyn rustls::sign::SigningKey>, String> {
    let found = PrivateKeyDer::from_pem_slice(file.bytes).map_err(|error| match error {
        PemError::NoItemsFound if has(file.bytes, "ENCRYPTED PRIVATE KEY") => has_password(file.name),
        PemError::NoItemsFound => format!("there is no private key in `{}`{}", file.name, instead(file.bytes, "pkey")),
        error => format!("`{}` is not whole: {}", file.name, damage(&error)),
    })?;
    if has(file.bytes, "Proc-Type: 4,ENCRYPTED") {
        return Err(has_password(file.name));
    }
    provider.key_provider.load_private_key(found).map_err(|_| {
        format!("the key in `{}` cannot be used: it must be ECDSA (P-256, P-384, P-521), RSA or Ed25519", file.name)
    })
}

fn has_password(name: &str) -> String {
    format!("the key in `{name}` has a password; write it without one: openssl pkey -in {name}")
}

/// How to make PEM of what is none.
fn instead(bytes: &[u8], tool: &str) -> String {
    match bytes.first() {
        Some(0x30) => format!("; it looks like DER: convert it with openssl {tool} -inform der"),
        None => ": it is empty".to_owned(),
        Some(_) => String::new(),
    }
}

fn damage(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "a line -----END is missing",
        PemError::IllegalSectionStart { .. } => "a line -----BEGIN is wrong",
        PemError::Base64Decode(_) => "it is no base64",
        _ => "it is no PEM",
    }
}

fn has(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|part| part == what.as_bytes())
}

fn mismatch(certified: &CertifiedKey, cert: &str, key: &str) -> String {
    let fits = |one: &CertificateDer<'static>| {
        CertifiedKey::new(vec![one.clone()], Arc::clone(&certified.key)).keys_match().is_ok()
    };
    match certified.cert.iter().position(fits) {
        Some(position) => {
            format!("`{key}` belongs to certificate {} in `{cert}`; that has to be the first", position + 1)
        }
        None => format!("`{key}` does not belong to the certificate in `{cert}`"),
    }
}

/// What a certificate says of itself.
struct Facts {
    names: Vec<Box<str>>,
    not_after: u64,
}

fn facts(name: &str, der: &CertificateDer<'_>, now: Duration) -> Result<Facts, String> {
    let unreadable = || format!("the certificate in `{name}` cannot be read");
    let certificate = Certificate::from_der(der).map_err(|_| unreadable())?;
    // What x509-cert reads and webpki refuses would fail in every handshake.
    rustls::server::ParsedCertificate::try_from(der).map_err(|_| unreadable())?;
    let validity = &certificate.tbs_certificate.validity;
    if validity.not_after.to_unix_duration() < now {
        return Err(format!("`{name}` expired on {}", validity.not_after.to_date_time()));
    }
    if validity.not_before.to_unix_duration() > now {
        return Err(format!("`{name}` is not valid before {}", validity.not_before.to_date_time()));
    }
    Ok(Facts { names: dns_names(&certificate), not_after: validity.not_after.to_unix_duration().as_secs() })
}

/// The names it may be asked for by; those of a certificate without other names are what it is commonly called.
fn dns_names(certificate: &Certificate) -> Vec<Box<str>> {
    let lower = |name: &str| name.trim_end_matches('.').to_ascii_lowercase().into_boxed_str();
    let Some(others) = other_names(certificate) else {
        return common_name(certificate).iter().map(|name| lower(name)).collect();
    };
    let dns = others.0.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(lower(name.as_str())),
        _ => None,
    });
    dns.collect()
}

/// Every host and address a certificate in DER is for, as text.
pub(super) fn all_names_of(der: &[u8]) -> Vec<String> {
    let Some(names) = Certificate::from_der(der).ok().and_then(|certificate| other_names(&certificate)) else {
        return Vec::new();
    };
    let named = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        GeneralName::IpAddress(bytes) => ip(bytes.as_bytes()).map(|address| address.to_string()),
        _ => None,
    };
    names.0.iter().filter_map(named).collect()
}

/// Whether a certificate says that this authority issued it.
pub(super) fn is_issued_by(der: &[u8], authority: &[u8]) -> bool {
    let (certificate, authority) = (Certificate::from_der(der), Certificate::from_der(authority));
    let names = certificate.ok().zip(authority.ok());
    names.is_some_and(|(one, other)| one.tbs_certificate.issuer == other.tbs_certificate.subject)
}

/// What a certificate in DER calls its owner.
pub(crate) fn common_name_of(der: &[u8]) -> Option<String> {
    common_name(&Certificate::from_der(der).ok()?)
}

fn common_name(certificate: &Certificate) -> Option<String> {
    let mut attributes = certificate.tbs_certificate.subject.0.iter().rev().flat_map(|set| set.0.iter());
    let found = attributes.find(|attribute| attribute.oid == COMMON_NAME)?;
    String::from_utf8(found.value.value().to_vec()).ok()
}

fn other_names(certificate: &Certificate) -> Option<SubjectAltName> {
    certificate.tbs_certificate.get::<SubjectAltName>().ok().flatten().map(|(_, names)| names)
}

/// What a verified certificate of a client says of its owner.
pub(crate) fn described(der: &[u8]) -> ClientCertificate {
    let Ok(certificate) = Certificate::from_der(der) else { return ClientCertificate::default() };
    let others = other_names(&certificate).map(|names| names.0).unwrap_or_default();
    ClientCertificate {
        subject: certificate.tbs_certificate.subject.to_string(),
        sans: others.iter().filter_map(told).collect(),
    }
}

fn told(name: &GeneralName) -> Option<String> {
    Some(match name {
        GeneralName::DnsName(name) => format!("DNS:{}", encoded(name.as_str())),
        GeneralName::Rfc822Name(name) => format!("email:{}", encoded(name.as_str())),
        GeneralName::UniformResourceIdentifier(name) => format!("URI:{}", encoded(name.as_str())),
        GeneralName::IpAddress(bytes) => format!("IP:{}", ip(bytes.as_bytes())?),
        _ => return None,
    })
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// When the certificate ends, in seconds since 1970; `None` if it cannot be read.
pub(crate) fn end_of(der: &[u8]) -> Option<u64> {
    let certificate = Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs())
}

/// A point in time as people read it: `2026-12-01T00:00:00Z`.
pub(crate) fn date(seconds: u64) -> String {
    x509_cert::der::DateTime::from_unix_duration(Duration::from_secs(seconds))
        .map_or_else(|_| seconds.to_string(), |date| date.to_string())
}

#[cfg(test)]
mod tests;
