//! TLS: what certificates and policies a plan asks for, made ready before anything is opened.
//!
//! `prepare.rs` turns the files of a plan into configurations of rustls, or says everything that is wrong with them.
//! What did not change is taken over from the plan before, by value: the same `Arc`, so sessions go on and tickets stay
//! good. `server.rs` is what a listener shows, `backend.rs` what a pool believes; below them are files
//! (`certificate.rs`), names (`names.rs`), tickets (`tickets.rs`) and reasons in words (`reason.rs`). Connections begin
//! in `handshake.rs` and go on in `stream.rs`.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};

pub(crate) mod backend;
pub(crate) mod budget;
pub(crate) mod certificate;
pub(crate) mod client_auth;
pub(crate) mod facts;
mod fingerprint;
pub(crate) mod handshake;
pub mod internal;
mod names;
mod place;
mod prepare;
mod reason;
mod renewals;
mod runs;
pub(crate) mod server;
mod session;
mod shown;
pub(crate) mod stream;
mod tickets;
#[cfg(test)]
mod workshop;

pub(crate) use backend::ClientTls;
pub(crate) use prepare::{Tls, prepare};
pub(crate) use renewals::Renewals;
pub(crate) use shown::Watched;

/// The contents of files that a draft names, by those names.
pub type Files = HashMap<String, Vec<u8>>;

/// Both versions, the newest first.
static VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The cryptography of the process.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}
