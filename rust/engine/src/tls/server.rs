//! What a listener shows its clients, and what it asks of them.
//!
//! Certificates are chosen by name. Two with the same name stand side by side (say one ECDSA and one RSA) and the
//! client's signature schemes decide, in the order of the file. A *policy* is what is asked of clients; names lead to
//! policies as they lead to certificates, and every policy has a configuration of rustls of its own. Policies have
//! numbers that are never used twice, so a connection that outlives a change of its policy is seen to have another.

use std::sync::Arc;

use plan::ClientHeaders;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::fingerprint::Fingerprint;
use super::names::Names;
use super::shown::{Shown, Watched};
use super::tickets::Tickets;

/// TLS of one listener.
pub(crate) struct ServerTls {
    pub(super) policies: Vec<Policy>,
    /// Positions in `policies`.
    pub(super) by_name: Names<usize>,
    /// Of all that went into it.
    pub(super) print: Fingerprint,
    pub(super) certificates: Vec<Shown>,
    /// The files of the authorities that clients are asked for.
    pub(super) authorities: Vec<Box<str>>,
}

/// How a connection is accepted.
#[derive(Clone)]
pub(crate) struct Choice {
    pub config: Arc<ServerConfig>,
    /// Its policy's number.
    pub policy: u32,
}

/// What is asked of clients.
pub(super) struct Policy {
    pub choice: Choice,
    pub headers: ClientHeaders,
    pub print: Fingerprint,
    pub tickets: Tickets,
}

impl ServerTls {
    /// How to accept a client that asks for `sni`.
    pub(crate) fn choose(&self, sni: Option<&str>) -> &Choice {
        &self.policies[*self.by_name.find(sni)].choice
    }

    /// The number of the policy that a request for `host` belongs to (without port, as a head has it).
    pub(crate) fn policy_of(&self, host: &[u8]) -> u32 {
        self.choose(std::str::from_utf8(host).ok()).policy
    }

    /// The files behind it.
    pub(crate) fn watched(&self) -> impl Iterator<Item = Watched<'_>> {
        let authorities = self.authorities.iter().map(|file| Watched { file, names: &[], not_after: None });
        self.certificates.iter().map(Shown::watched).chain(authorities)
    }

    /// What backends hear of clients of a policy.
    pub(crate) fn client_headers(&self, policy: u32) -> Option<&ClientHeaders> {
        self.policies.iter().find(|known| known.choice.policy == policy).map(|known| &known.headers)
    }
}

/// Chooses among the certificates of a listener.
#[derive(Debug)]
pub(super) struct Resolver(pub Names<Vec<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.0.find(hello.server_name());
        let schemes = hello.signature_schemes();
        let fits = candidates.iter().find(|candidate| candidate.key.choose_scheme(schemes).is_some());
        fits.or(candidates.first()).cloned()
    }
}
