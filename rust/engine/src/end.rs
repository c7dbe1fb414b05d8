//! One end of an exchange: a connection that speaks HTTP, towards a client or a backend.
//!
//! Both roles and, later, all protocols offer the same few verbs: poll for a piece, offer a piece, poll for
//! room. Pieces instead of callbacks keep both directions of an exchange inside one poll of one task, and
//! `poll_room` is the only place where back-pressure exists: whoever moves bytes asks it first.

use wire::{Head, Pages};

use crate::tunnel::splice::Pipes;

pub(crate) mod http1;
mod stream;

pub(crate) use http1::Conn;

/// The buffers of one worker, borrowed inside a poll and never across an await.
pub(crate) struct Buffers {
    /// What sockets are read into.
    pub receive: Box<[u8]>,
    /// Where heads and chunk framing are rendered.
    pub scratch: Vec<u8>,
    /// The free list of head pages.
    pub pages: Pages,
    /// What long streams are spliced by.
    pub pipes: Pipes,
}

/// Bytes of [`Buffers::receive`]: 64 KiB is where fewer system calls stop paying for a larger cache footprint.
const RECEIVE: usize = 64 * 1024;

impl Buffers {
    pub(crate) fn new(descriptor_limit: u64) -> Self {
        Buffers {
            receive: vec![0; RECEIVE].into_boxed_slice(),
            scratch: Vec::with_capacity(8 * 1024),
            pages: Pages::default(),
            pipes: Pipes::new(descriptor_limit),
        }
    }
}

/// What a message is made of.
pub(crate) enum Piece<'s> {
    /// A 1xx response; the final one is still to come.
    Interim(Head),
    /// The head and whatever of the body arrived with it.
    Head(Head, Part<'s>),
    /// More of the body.
    Body(Part<'s>),
}

/// A run of body bytes, valid within this poll. `last` rides along, so the end needs no write of its own.
pub(crate) struct Part<'s> {
    pub data: &'s [u8],
    pub last: bool,
}

impl Part<'_> {
    /// A whole body of nothing.
    pub(crate) const NOTHING: Part<'static> = Part { data: &[], last: true };
    /// Nothing yet.
    pub(crate) const LATER: Part<'static> = Part { data: &[], last: false };
}
