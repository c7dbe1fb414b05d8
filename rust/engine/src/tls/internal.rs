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
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName};

use super::certificate::{Source, all_names_of, certified, common_name_of, is_issued_by};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_DAYS: u32 = 3650;
const CERTIFICATE_DAYS: u32 = 397;

/// Certificates and keys, in PEM. Not `Debug`, so that no key gets into a message by chance.
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

/// A certificate and its key, in PEM.
pub type Pair<'a> = (&'a str, &'a str);

/// A certificate for `names` (host names, `*.` in front of them, IP addresses), of `authority` or of a new one. If `kept`
/// is one of that authority, for all of these names and for a month to come, it is returned as it is.
///
/// # Errors
/// A name that is none, or an authority that cannot be read: in words.
pub fn mint(names: &[String], authority: Option<Pair<'_>>, kept: Option<Pair<'_>>) -> Result<Minted, String> {
    let now = SystemTime::now();
    let (key, called) = match authority {
        Some((certificate, key)) => known(certificate, key)?,
        None => {
            let key = KeyPair::generate().map_err(|error| error.to_string())?;
            let called = name_of(&key);
            (key, called)
        }
    };
    let params = authority_params(&called, now);
    let authority = match authority {
        Some((certificate, _)) => certificate.to_owned(),
        None => params.self_signed(&key).map_err(|error| error.to_string())?.pem(),
    };
    let (certificate, own) = match kept.filter(|kept| is_good(*kept, names, &authority)) {
        Some((certificate, own)) => (certificate.to_owned(), own.to_owned()),
        None => issued(names, &Issuer::from_params(&params, &key), now)?,
    };
    Ok(Minted { authority, authority_key: key.serialize_pem(), certificate, key: own })
}

/// The key of an authority, and what it is called.
fn known(certificate: &str, key: &str) -> Result<(KeyPair, String), String> {
    let key = KeyPair::from_pem(key).map_err(|_| "the authority's key cannot be read")?;
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok();
    let called = der.and_then(|der| common_name_of(&der)).ok_or("the authority's certificate cannot be read")?;
    if called != name_of(&key) {
        return Err("the authority's key is not that of its certificate".to_owned());
    }
    Ok((key, called))
}

fn issued(names: &[String], issuer: &Issuer<'_, &KeyPair>, now: SystemTime) -> Result<(String, String), String> {
    let key = KeyPair::generate().map_err(|error| error.to_string())?;
    let certificate = server_params(names, now)?.signed_by(&key, issuer).map_err(|error| error.to_string())?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Whether a certificate can be served for a month more.
fn is_good((certificate, key): Pair<'_>, names: &[String], authority: &str) -> bool {
    let [certificate, key] = [certificate, key].map(|text| Source { name: "", bytes: text.as_bytes() });
    let month = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + 30 * DAY;
    let Ok(certified) = certified(super::provider(), certificate, key, month) else { return false };
    let Ok(authority) = CertificateDer::from_pem_slice(authority.as_bytes()) else { return false };
    let Some(certificate) = certified.key.cert.first() else { return false };
    let known = all_names_of(certificate);
    is_issued_by(certificate, &authority) && names.iter().all(|name| known.contains(&name.to_ascii_lowercase()))
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
    params.not_after = (now + AUTHORITY_DAYS * DAY).into();
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
    params.not_after = (now + (CERTIFICATE_DAYS - 1) * DAY).into();
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
