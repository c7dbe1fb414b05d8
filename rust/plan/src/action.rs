//! What becomes of the requests of a route: plain data, made by [`compile`](crate::compile).
//!
//! A route that only names a pool is the common case and costs a request nothing more; what the others need hangs
//! behind one pointer each, so that it costs the size of a route nothing either.

use std::sync::Arc;

use balance::rate::{Buckets, Taken};
use smallvec::SmallVec;
use wire::{FieldEdits, RouteEdits};

use crate::decide::Request;
use crate::key::{Key, Octets};
use crate::redirect::Redirect;

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
    pub(crate) shares: Vec<(u32, u64)>,
    /// What a choice is stable for; [`Key::None`] is nothing.
    pub(crate) by: Key,
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
    /// A bucket for each client.
    pub(crate) buckets: Arc<Buckets>,
    /// Seconds in which an empty bucket fills; at least 1.
    pub(crate) window: u32,
    /// Who counts as one client. Requests without the key count by their address.
    pub(crate) key: Key,
}

impl Split {
    /// The pool for a number that is any as likely as any other. Only the shares and their order count, so who stays
    /// with a pool that grows stays there.
    pub(crate) fn pool(&self, number: u64) -> u32 {
        let sum = self.shares.last().map_or(0, |(_, sum)| *sum);
        let place = ((u128::from(number) * u128::from(sum)) >> 64) as u64;
        let first = self.shares.partition_point(|(_, upto)| *upto <= place);
        self.shares.get(first).map_or(0, |(pool, _)| *pool)
    }
}

impl Limit {
    /// Asks for one request of this client.
    pub(crate) fn take(&self, request: &Request<'_>) -> Taken {
        let Request { head, client, now, .. } = *request;
        let octets = &mut Octets::default();
        // What a client says of itself and what is its address cannot be taken for each other.
        let (kind, value) = match self.key.value(Some(head), client, octets) {
            Some(value) => (b'=', value),
            None => (b'@', Key::ClientIp.value(None, client, octets).unwrap_or_default()),
        };
        let mut key: SmallVec<[u8; 64]> = SmallVec::from_slice(&[kind]);
        key.extend_from_slice(value);
        self.buckets.take(&key, now)
    }
}
