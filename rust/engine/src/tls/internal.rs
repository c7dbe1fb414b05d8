//! An authority and a certificate of our own, for development.
//!
//! The authority signs certificates for the names it is asked for and nothing else; trusting it is left to whoever
//! trusts it. Its name holds a part of its key, so that two of them never look alike to a browser. Keys are ECDSA
//! P-256. The certificate is short-lived enough for every browser (398 days); who keeps it asks for a new one in time.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::pki_types::{CertificateDer, DnsName};
use rustls::pki_types::pem::PemObject;

use super::certificate::common_name_of;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_DAYS: u32 = 3650;
const CERTIFICATE_DAYS: u32 = 397;

/// Certificates and keys, in PEM.
#[derive(Debug)]
pub struct Minted {
    /// The authority's certificate, to be trusted by clients.
    pub authority: String,
    /// Its key.
    pub authority_key: String,
    /// The server's certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// A certificate for `names` (host names, `*.` in front of them, IP addresses), of the authority with this certificate
/// and key in PEM, or of a new one.
///
/// # Errors
/// A name that is none, or an authority that cannot be read: in words.
pub fn mint(names: &[String], authority: Option<(&str, &str)>) -> Result<Minted, String> {
    let now = SystemTime::now();
    let (key, called, known) = match authority {
        Some((certificate, key)) => {
            let key = KeyPair::from_pem(key).map_err(|error| format!("the authority's key cannot be read: {error}"))?;
            let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok();
            let called = der.and_then(|der| common_name_of(&der));
            (key, called.ok_or("the authority's certificate cannot be read")?, Some(certificate))
        }
        None => {
            let key = fresh_key()?;
            let called = name_of(&key);
            (key, called, None)
        }
    };
    let params = authority_params(&called, now);
    let authority = match known {
        Some(certificate) => certificate.to_owned(),
        None => params.self_signed(&key).map_err(|error| error.to_string())?.pem(),
    };
    let own = fresh_key()?;
    let issuer = Issuer::from_params(&params, &key);
    let certificate = server_params(names, now)?.signed_by(&own, &issuer).map_err(|error| error.to_string())?;
    Ok(Minted {
        authority,
        authority_key: key.serialize_pem(),
        certificate: certificate.pem(),
        key: own.serialize_pem(),
    })
}

fn fresh_key() -> Result<KeyPair, String> {
    KeyPair::generate().map_err(|error| format!("cannot make a key: {error}"))
}

/// `pylb internal 1f2e3d4c`.
fn name_of(key: &KeyPair) -> String {
    let print = super::fingerprint::Fingerprint::of(&[key.public_key_raw()]);
    let digits: String = print.bytes().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("pylb internal {digits}")
}

fn authority_params(called: &str, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, called);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * AUTHORITY_DAYS).into();
    params
}

fn server_params(names: &[String], now: SystemTime) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "pylb");
    params.subject_alt_names = names.iter().map(|name| alternative(name)).collect::<Result<_, _>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * CERTIFICATE_DAYS - DAY).into();
    Ok(params)
}

fn alternative(name: &str) -> Result<SanType, String> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let lower = name.to_ascii_lowercase();
    let is_name = DnsName::try_from(lower.strip_prefix("*.").unwrap_or(&lower)).is_ok();
    let named = lower.try_into().ok().filter(|_| is_name);
    named.map(SanType::DnsName).ok_or_else(|| format!("`{name}` is no name for a certificate"))
}
