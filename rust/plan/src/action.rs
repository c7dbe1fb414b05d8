//! What becomes of the requests of a route: plain data, made by [`compile`](crate::compile).
//!
//! A route that only names a pool is the common case and costs a request nothing more; what the others need hangs
//! behind one pointer each, so that it costs the size of a route nothing either.

use wire::{FieldEdits, RouteEdits};

use crate::key::Key;

/// What the requests have in common that one `match` of the file catches.
#[derive(Debug)]
pub struct Route {
    /// Its `name` in the file, else `LISTENER#N`, counted from 1.
    pub name: Box<str>,
    /// What becomes of its requests.
    pub action: Action,
    /// Milliseconds from the last byte of the request to the head of the response.
    pub response_head_ms: u32,
    /// Milliseconds without a byte of the response body.
    pub response_idle_ms: u32,
    /// How many requests a client may send.
    pub limit: Option<Box<Limit>>,
    /// What is sent to backends in place of what was received.
    pub request: Option<Box<RouteEdits>>,
    /// What is changed about the backend's responses.
    pub response: Option<Box<FieldEdits>>,
}

/// What becomes of the requests of a route.
#[derive(Debug)]
pub enum Action {
    /// They go to this pool, a position in [`Plan::pools`](crate::Plan::pools).
    Pool(u32),
    /// They go to one of several pools.
    Split(Box<Split>),
    /// They are sent elsewhere.
    Redirect(Box<Redirect>),
    /// They are answered at once, with this status.
    Respond(u16, Box<Page>),
}

/// Several pools, each with its share.
#[derive(Debug)]
pub struct Split {
    /// Positions in [`Plan::pools`](crate::Plan::pools), each with the sum of the shares up to and with its own.
    pub shares: Vec<(u32, u64)>,
    /// What a choice is stable for; [`Key::None`] is nothing.
    pub by: Key,
}

/// Where the client is sent.
#[derive(Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Its URL, in parts.
    pub to: Vec<Part>,
}

/// A part of a redirect's target.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// Itself.
    Text(Box<str>),
    /// The host asked for, without port.
    Host,
    /// The path asked for.
    Path,
    /// Path and query.
    Uri,
}

/// A body that is sent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The value of `Content-Type`.
    pub content_type: Box<str>,
    /// The body.
    pub body: Box<[u8]>,
}

/// How many requests a client may send.
#[derive(Debug)]
pub struct Limit {
    /// Requests per second in the long run; more than 0.
    pub rate: f64,
    /// Requests at once after a pause; at least 1.
    pub burst: u32,
    /// Who counts as one client. Requests without the key count as their address.
    pub key: Key,
}
