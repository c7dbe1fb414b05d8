//! What to change while a head is rendered. Edits are recorded here and applied in the one pass that writes the bytes.

use std::net::IpAddr;

use crate::head::{Framing, Version};

/// Changes to a request on its way to a backend.
#[derive(Copy, Clone, Debug)]
pub struct RequestEdits<'a> {
    /// The peer of the connection the request came on; appended to X-Forwarded-For.
    pub client: IpAddr,
    /// `http` or `https`: how the request reached us.
    pub proto: &'static str,
    /// Whether the peer is a trusted proxy, whose X-Forwarded-*, X-Real-IP and Forwarded are believed.
    pub trusted: bool,
    /// The X-Request-ID to set. None keeps the received one.
    pub request_id: Option<&'a [u8]>,
}

/// Changes to a response on its way to the client.
#[derive(Copy, Clone, Debug)]
pub struct ResponseEdits {
    /// The version the client spoke.
    pub version: Version,
    /// Whether the client's connection stays open after this response.
    pub keep_alive: bool,
    /// How the body will be framed: see [`response_framing`](crate::response_framing).
    pub framing: Framing,
}
