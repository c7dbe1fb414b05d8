//! What the two sides of a TLS connection have agreed on.

use rustls::{CipherSuite, HandshakeKind, ProtocolVersion};

use super::certificate::{ClientCertificate, described};
use super::session::Session;

/// Facts of one connection, for the log, for headers and for the question whether a Host belongs here.
#[derive(Default)]
pub(crate) struct Facts {
    /// As OpenSSL writes it.
    pub version: &'static str,
    /// The name of the cipher suite in the registry of IANA.
    pub cipher: &'static str,
    /// The name that the client asked for, in lower case.
    pub sni: Option<Box<str>>,
    /// Whether an earlier session went on.
    pub resumed: bool,
    /// The policy of the name: a Host of another one is for another connection.
    pub policy: u32,
    /// The client's certificate, if it showed one: verified.
    pub client: Option<Box<ClientCertificate>>,
}

impl Facts {
    /// After a handshake.
    pub(super) fn of(session: &Session, sni: Option<Box<str>>, policy: u32) -> Self {
        let common = session.common();
        let shown = session.client_certificate();
        Facts {
            version: common.protocol_version().map_or("", version),
            cipher: common.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite())),
            sni,
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            policy,
            client: shown.map(|certificate| Box::new(described(certificate))),
        }
    }
}

fn version(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "",
    }
}

/// rustls has names of its own for the suites of TLS 1.3.
fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or(""),
    }
}
