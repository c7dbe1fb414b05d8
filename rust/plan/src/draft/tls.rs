//! TLS on both sides. Files are named by their absolute paths; what is in them crosses beside the draft, so a draft may
//! be printed.

use serde::Deserialize;

/// TLS that a listener terminates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsDraft {
    /// Chosen by the name that a client asks for; the first is for everybody else.
    pub certificates: Vec<CertificateDraft>,
    /// The oldest version that is accepted.
    pub min_version: MinVersion,
    /// Who has to show a certificate; null is nobody.
    pub client_auth: Option<ClientAuthDraft>,
}

/// A certificate for clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateDraft {
    /// The file of the certificate and those that lead to its authority.
    pub cert: String,
    /// The file of its private key.
    pub key: String,
    /// In place of the listener's, for the names of this certificate.
    pub client_auth: Option<ClientAuthDraft>,
}

/// The oldest version that is accepted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum MinVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// Certificates of clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuthDraft {
    /// Who has to show one.
    pub mode: AuthMode,
    /// The file of the authorities that are believed; null with `none` only.
    pub ca: Option<String>,
    /// What backends hear of it.
    pub headers: ClientHeadersDraft,
}

/// Who has to show a certificate.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Nobody is asked.
    None,
    /// Everybody is asked, and nobody has to.
    Optional,
    /// Everybody.
    Require,
}

/// Names of headers that tell backends of a client's certificate; null does not tell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientHeadersDraft {
    /// Its subject.
    pub subject: Option<String>,
    /// Its other names.
    pub san: Option<String>,
}

/// TLS to the backends of a pool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolTlsDraft {
    /// The file of the authorities that are believed; null is those of the system, which cross under the name
    /// `system`.
    pub ca: Option<String>,
    /// What pylb shows to backends that ask.
    pub certificate: Option<PairDraft>,
    /// Certificates of backends are checked.
    pub verify: bool,
}

/// A certificate for backends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairDraft {
    /// The file of the certificate and those that lead to its authority.
    pub cert: String,
    /// The file of its private key.
    pub key: String,
}
