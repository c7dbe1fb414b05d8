//! Session tickets: what lets a client come back without the expensive part of a handshake (RFC 8446, 4.6.1; RFC 5077).
//!
//! A ticket is the session itself, sealed with a key that only this process knows. All workers share the key, so it
//! does not matter which one a client meets. rustls makes a new one every six hours and still opens what the last one
//! sealed, so a ticket lives for six to twelve.
//!
//! Keys belong to a *policy*: what was asked of clients, and whose certificates were believed. A session carries what
//! its client has proven, so it must not be continued where something else has to be. Whatever else a change of
//! configuration brings (a new certificate above all), a policy that is the same keeps its keys.

use std::sync::Arc;

use rustls::server::ProducesTickets;

/// The keys of one policy.
pub(crate) type Tickets = Arc<dyn ProducesTickets>;

/// New keys; says why if the system has no random bytes.
pub(crate) fn fresh() -> Result<Tickets, String> {
    rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| format!("there are no keys for tickets: {error}"))
}
