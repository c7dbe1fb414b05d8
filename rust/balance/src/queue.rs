//! Who waits for a place in a full pool, and who is next.
//!
//! [`Queue`] is the order: a bounded line, first come first served, which one may leave at any time. It knows neither
//! threads nor time. The engine keeps one per pool in a mutex that is touched only when the pool is full. [`Waiting`]
//! is the word beside it that everybody else reads: how many stand in the line.
//!
//! The two together lose no wake-up, if both sides write before they read:
//!
//! ```text
//! a waiter                            whoever frees a place
//!   join the line                       in_flight - 1      (Pool::release)
//!   waiting + 1    (Waiting::join)      waiting > 0 ?      (its answer)
//!   choose() once more                  wake the oldest
//! ```
//!
//! All four are sequentially consistent, with a fence before the second try, because a policy looks at counts in flight
//! without order. Were the waiter to find the pool full *and* the other to find nobody waiting,
//! each would have read before the other wrote, and one of the writes came first.
//!
//! Three habits keep the line fair and moving:
//!
//! * Who finds somebody waiting joins the line without trying first. Otherwise a place that was freed for the oldest
//!   goes to whoever comes by while that one wakes up, and under load it never gets any.
//! * A waiter that is woken stays in the line until it has a place. If another was faster it keeps its turn.
//! * Whoever leaves the line, with a place or without, wakes the next. Two places that are freed at once may wake the
//!   same waiter; and one that gives up may have been woken a moment before. The next finds a place, or none and stays.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicUsize, fence};

/// A line of waiters `W` with a bound.
#[derive(Debug)]
pub struct Queue<W> {
    line: VecDeque<(Ticket, W)>,
    size: usize,
    next: u64,
}

/// A position in a [`Queue`]; later ones are larger.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl<W> Queue<W> {
    /// An empty line for `size` waiters.
    pub fn new(size: usize) -> Self {
        Queue { line: VecDeque::new(), size, next: 0 }
    }

    /// The most that may wait from now on. Those who do already, stay.
    pub fn resize(&mut self, size: usize) {
        self.size = size;
    }

    /// Takes the last position; gives the waiter back if the line is full.
    pub fn join(&mut self, waiter: W) -> Result<Ticket, W> {
        if self.line.len() >= self.size {
            return Err(waiter);
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.line.push_back((ticket, waiter));
        Ok(ticket)
    }

    /// Leaves the line; `None` if that happened already.
    pub fn leave(&mut self, ticket: Ticket) -> Option<W> {
        let place = self.line.binary_search_by_key(&ticket, |&(ticket, _)| ticket).ok()?;
        self.line.remove(place).map(|(_, waiter)| waiter)
    }

    /// Whoever has waited longest of those that `fits`.
    pub fn oldest(&self, fits: impl Fn(&W) -> bool) -> Option<(Ticket, &W)> {
        let mut waiters = self.line.iter();
        waiters.find(|(_, waiter)| fits(waiter)).map(|(ticket, waiter)| (*ticket, waiter))
    }

    /// How many wait ahead of this position; for one that has left, of where it was.
    pub fn ahead(&self, ticket: Ticket) -> usize {
        self.line.partition_point(|&(other, _)| other < ticket)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
}

/// How many wait for a place of a pool, over all workers and plans.
#[derive(Debug, Default)]
pub struct Waiting(AtomicUsize);

impl Waiting {
    /// One more. To be followed by another try.
    pub fn join(&self) {
        self.0.fetch_add(1, SeqCst);
        fence(SeqCst);
    }

    /// One less.
    pub fn leave(&self) {
        let before = self.0.fetch_sub(1, SeqCst);
        debug_assert!(before > 0, "a waiter left twice");
    }

    /// Whether anybody waits.
    pub fn any(&self) -> bool {
        self.count() > 0
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

#[cfg(test)]
mod tests;
