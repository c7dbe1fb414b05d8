//! Why a handshake failed, in words for logs and for `pylb status`.

use std::borrow::Cow;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::certificate::date;

/// Names of a certificate that are listed.
const LISTED: usize = 3;

/// The reason, said of a peer whose certificate should be for `whom` (`servers`, `clients`).
pub(crate) fn of(error: &Error, whom: &str) -> Cow<'static, str> {
    match error {
        Error::InvalidCertificate(error) => certificate(error, whom),
        Error::NoCertificatesPresented => "no certificate".into(),
        Error::AlertReceived(alert) => alerted(*alert),
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => "no version of TLS in common".into(),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => "no cipher suite in common".into(),
        Error::PeerIncompatible(why) => format!("nothing in common: {why:?}").into(),
        Error::NoApplicationProtocol => "no application protocol in common".into(),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "not TLS".into()
        }
        Error::PeerMisbehaved(_) | Error::DecryptError => "broken TLS".into(),
        Error::PeerSentOversizedRecord => "broken TLS: a record is too long".into(),
        error => error.to_string().into(),
    }
}

fn certificate(error: &CertificateError, whom: &str) -> Cow<'static, str> {
    use CertificateError as E;
    match error {
        E::Expired => "certificate expired".into(),
        E::ExpiredContext { not_after, .. } => format!("certificate expired on {}", date(not_after.as_secs())).into(),
        E::NotValidYet => "certificate is not valid yet".into(),
        E::NotValidYetContext { not_before, .. } => {
            format!("certificate is not valid before {}", date(not_before.as_secs())).into()
        }
        E::UnknownIssuer => "certificate is of an unknown authority".into(),
        E::BadSignature => "certificate is not signed by its authority".into(),
        E::NotValidForName => "certificate is for another name".into(),
        E::NotValidForNameContext { expected, presented } => {
            format!("certificate is for {}, not {}", listed(presented), expected.to_str()).into()
        }
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => format!("certificate is not for {whom}").into(),
        E::BadEncoding => "certificate cannot be read".into(),
        E::UnhandledCriticalExtension => "certificate has a critical extension that is not understood".into(),
        E::Revoked => "certificate is revoked".into(),
        E::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            format!("certificate is that of an authority, not one for {whom}").into()
        }
        error => format!("certificate is refused: {error}").into(),
    }
}

/// `a.example, b.example and 7 more`, or `nobody`. What a peer writes there goes no further as it is.
fn listed(presented: &[String]) -> String {
    let name = |text: &String| -> String {
        let shown = text.strip_prefix("DnsName(\"").and_then(|text| text.strip_suffix("\")")).unwrap_or(text);
        let shown = shown.strip_prefix("IpAddress(").and_then(|text| text.strip_suffix(')')).unwrap_or(shown);
        shown.chars().take(64).map(|sign| if sign.is_ascii_graphic() { sign } else { '?' }).collect()
    };
    let shown: Vec<String> = presented.iter().take(LISTED).map(name).collect();
    match presented.len().saturating_sub(LISTED) {
        0 if shown.is_empty() => "nobody".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn alerted(alert: AlertDescription) -> Cow<'static, str> {
    match alert {
        AlertDescription::CertificateRequired => "the other side requires a certificate".into(),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => "the other side refuses the certificate".into(),
        AlertDescription::CertificateExpired => "the other side calls the certificate expired".into(),
        AlertDescription::CertificateRevoked => "the other side calls the certificate revoked".into(),
        AlertDescription::UnknownCA => "the other side does not know the authority of the certificate".into(),
        AlertDescription::ProtocolVersion => "no version of TLS in common".into(),
        AlertDescription::HandshakeFailure => "the other side finds nothing in common".into(),
        AlertDescription::UnrecognisedName => "the other side does not know the name".into(),
        AlertDescription::NoApplicationProtocol => "no application protocol in common".into(),
        alert => format!("the other side sent the alert {alert:?}").into(),
    }
}
