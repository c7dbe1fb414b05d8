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
    /// What the route changes.
    pub route: Option<&'a RouteEdits>,
}

/// Changes to a response on its way to the client.
#[derive(Copy, Clone, Debug)]
pub struct ResponseEdits<'a> {
    /// The version the client spoke.
    pub version: Version,
    /// Whether the client's connection stays open after this response.
    pub keep_alive: bool,
    /// How the body will be framed: see [`response_framing`](crate::response_framing).
    pub framing: Framing,
    /// What the route changes. Interim responses pass as they are.
    pub route: Option<&'a FieldEdits>,
    /// The value of one more Set-Cookie field.
    pub set_cookie: Option<&'a [u8]>,
    /// What is left of the client's rate limit.
    pub rate: Option<RateLimit>,
}

impl ResponseEdits<'_> {
    /// Nothing is changed but what the client's connection asks for.
    pub fn plain(version: Version, keep_alive: bool, framing: Framing) -> Self {
        ResponseEdits { version, keep_alive, framing, route: None, set_cookie: None, rate: None }
    }
}

/// What a route changes on its requests: made once, when the plan is compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteEdits {
    /// Changes to fields.
    pub fields: FieldEdits,
    /// What is sent in place of the path; the query stays.
    pub path: Option<PathEdit>,
    /// What is sent in place of the Host: `host` or `host:port`.
    pub host: Option<Box<[u8]>>,
}

/// Changes to the fields of a head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Names of fields that stay behind.
    pub(crate) removed: Vec<Box<[u8]>>,
    /// Field lines that are added, each with its line end.
    pub(crate) added: Vec<u8>,
}

/// Changes to a path. All paths here are in the form of [`canonical`](crate::target::canonical), without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathEdit {
    /// A prefix, up to a segment's border, and what takes its place (nothing: it is stripped). Other paths stay.
    Prefix(Box<[u8]>, Box<[u8]>),
    /// What takes the place of every path.
    Whole(Box<[u8]>),
}

/// The state of a rate limit, as `RateLimit-Limit`, `-Remaining` and `-Reset` tell it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests at once.
    pub limit: u32,
    /// How many of them are left.
    pub remaining: u32,
    /// Seconds until all of them are there again.
    pub reset: u32,
}
