//! Where a head lives, and how that costs no allocation.
//!
//! A page holds the bytes of one head and the list of its fields. Pages go round: taken when a head is complete, given back
//! when its request is over. What the parser has to write itself (a normalised path, a host in lower case) is appended behind
//! the received bytes, so every part of a head is a span over one buffer, whether it came from the wire or from us.

use crate::fields::Known;

/// Capacity of a page in bytes. Longer heads move into a larger buffer once, which is not kept.
const CAPACITY: usize = 4 << 10;
/// Fields that fit without growing; the list is kept when it grew, since the field limit bounds it.
const FIELDS: usize = 32;
/// Pages that a free list keeps.
const KEPT: usize = 1024;

/// A range of a page.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// Heads are limited far below 4 GiB before any span is made, so saturation never shows.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// One field line of a head: 16 bytes, so that a browser's head fits in three cache lines.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name_start: u32,
    pub(crate) value_start: u32,
    pub(crate) value_end: u32,
    pub(crate) name_len: u16,
    pub(crate) known: Known,
    pub(crate) marks: u8,
}

/// The line reads `name: value CR LF` byte by byte: it may be copied as it lies.
pub(crate) const CANONICAL: u8 = 1;
/// `Connection` names this field: it ends here.
pub(crate) const LISTED: u8 = 2;

impl Field {
    pub(crate) fn name(self, bytes: &[u8]) -> &[u8] {
        let start = self.name_start as usize;
        bytes.get(start..start.saturating_add(usize::from(self.name_len))).unwrap_or_default()
    }

    pub(crate) fn value(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.value_start as usize..self.value_end as usize).unwrap_or_default()
    }

    pub(crate) fn is(self, mark: u8) -> bool {
        self.marks & mark != 0
    }
}

/// Storage of one head.
#[derive(Debug)]
pub struct Page {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fields: Vec<Field>,
}

impl Page {
    fn new() -> Self {
        Self { bytes: Vec::with_capacity(CAPACITY), fields: Vec::with_capacity(FIELDS) }
    }

    /// A place holder without storage.
    pub(crate) const fn none() -> Self {
        Self { bytes: Vec::new(), fields: Vec::new() }
    }

    /// A page of its own for bytes that are no head.
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), fields: Vec::new() }
    }

    /// Appends what `write` writes and returns where it lies.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.bytes.len();
        write(&mut self.bytes);
        Span::new(start, self.bytes.len())
    }
}

/// The free list of pages of one worker, at most 1,024 long.
#[derive(Debug, Default)]
pub struct Pages {
    free: Vec<Page>,
}

impl Pages {
    /// A free page, or a new one.
    pub fn take(&mut self) -> Page {
        self.free.pop().unwrap_or_else(Page::new)
    }

    /// Takes a page back. One of another size is dropped: long heads do not leave their memory behind, and no head
    /// finds too little.
    pub fn give(&mut self, mut page: Page) {
        if page.bytes.capacity() == CAPACITY && self.free.len() < KEPT {
            page.bytes.clear();
            page.fields.clear();
            self.free.push(page);
        }
    }

    /// How many pages are free.
    pub fn len(&self) -> usize {
        self.free.len()
    }

    /// Whether no page is free.
    pub fn is_empty(&self) -> bool {
        self.free.is_empty()
    }
}
