//! A bounded copy of a request's body, so that the request can be sent again.
//!
//! Kept only where that may happen: the method may be repeated, the pool tries more than once, and the body is not
//! known to be too long. A body that turns out too long is forgotten, and the request can no longer be sent again.

use wire::{Framing, Head};

use crate::end::Part;

/// What of a body was read from the client so far.
pub(super) struct Replay {
    bytes: Vec<u8>,
    limit: usize,
    trailers: Option<Vec<u8>>,
    over: bool,
}

impl Replay {
    /// For a request that may be repeated and has a body of at most `limit` bytes, as far as one can tell.
    pub(super) fn for_body(head: &Head, limit: u32) -> Option<Box<Replay>> {
        let expected = match head.framing() {
            Framing::Length(length) => length,
            Framing::Chunked => 0,
            _ => return None,
        };
        if !head.is_idempotent() || limit == 0 || expected > u64::from(limit) {
            return None;
        }
        let bytes = Vec::with_capacity(expected as usize);
        Some(Box::new(Replay { bytes, limit: limit as usize, trailers: None, over: false }))
    }

    /// Adds what has just been read.
    pub(super) fn keep(&mut self, part: &Part<'_>, trailers: Option<&Vec<u8>>) {
        if self.over {
            return;
        }
        if self.bytes.len() + part.data.len() > self.limit {
            (self.bytes, self.over) = (Vec::new(), true);
            return;
        }
        self.bytes.extend_from_slice(part.data);
        self.trailers = trailers.cloned();
    }

    /// Whether all that was read is here.
    pub(super) fn is_whole(&self) -> bool {
        !self.over
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn trailers(&self) -> Option<Vec<u8>> {
        self.trailers.clone()
    }
}
