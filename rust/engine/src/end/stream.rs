//! Bytes on their way in or out of a socket that nobody could take yet.
//!
//! Both are empty, and hold no memory, while a connection is idle or keeps up.

use std::io::IoSlice;

/// Bytes read from a socket beyond what was asked for: an incomplete head, or a pipelined request.
#[derive(Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    start: usize,
}

impl Ahead {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Ahead { bytes, start: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn extend(&mut self, more: &[u8]) {
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    /// Forgets the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.is_empty() {
            *self = Ahead::default();
        }
    }

    /// Moves as much as fits into `target`.
    pub(super) fn move_into(&mut self, target: &mut [u8]) -> usize {
        let count = self.len().min(target.len());
        target[..count].copy_from_slice(&self.bytes()[..count]);
        self.consume(count);
        count
    }
}

/// Bytes that the socket refused.
#[derive(Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    sent: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Keeps everything of `slices` after the first `skip` bytes.
    pub(super) fn keep_after(&mut self, slices: &[IoSlice<'_>], mut skip: usize) {
        for slice in slices {
            let from = skip.min(slice.len());
            skip -= from;
            self.bytes.extend_from_slice(&slice[from..]);
        }
    }

    /// Notes that `count` more bytes have gone; gives the memory back once all have.
    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.is_empty() {
            *self = Backlog::default();
        }
    }
}
