//! The line before a full pool, over all workers and all plans.
//!
//! `balance` knows the order (`queue.rs` there also tells why no wake-up gets lost); this file adds who is woken, and a
//! mutex that is touched only while a pool is full. A waiter joins, and then tries whenever it is woken and nobody
//! older competes; whoever frees a place wakes the oldest; whoever leaves, with a place or without, wakes the next.
//!
//! Two kinds of waiters stand in one line: most take any backend, and a client that belongs to a backend takes only
//! that one. They do not compete, so a place is offered to the oldest of each.
//!
//! A [`Queued`] leaves the line when dropped: a client that hangs up, a deadline and a panic are all the same here.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use balance::queue::{Queue, Ticket};
use plan::Tick;

use crate::running::Held;

/// The line of one pool. It outlives plans, like the pool's other live state.
pub(crate) struct Seating {
    line: Mutex<Line>,
    /// Requests that have ever waited, were refused because the line was full, and gave up.
    pub waited: AtomicU64,
    pub refused: AtomicU64,
    pub late: AtomicU64,
}

struct Line {
    queue: Queue<Waiter>,
    pinned: usize,
}

struct Waiter {
    waker: Waker,
    /// The only backend it takes, by its live identity.
    wants: Option<u64>,
    since: Tick,
}

/// Who stands in the line.
pub(crate) struct Queued {
    held: Held,
    pool: u32,
    ticket: Ticket,
    wants: Option<u64>,
}

impl Seating {
    pub(crate) fn new() -> Self {
        Seating {
            line: Mutex::new(Line { queue: Queue::new(0), pinned: 0 }),
            waited: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            late: AtomicU64::new(0),
        }
    }

    /// A place of this backend is free.
    pub(crate) fn wake_next(&self, backend: u64) {
        let line = self.lock();
        line.wake_oldest(None);
        line.wake_oldest(Some(backend));
    }

    /// Something has changed that may matter to anyone.
    pub(crate) fn wake_all(&self) {
        // A look at everybody that stops at nobody.
        self.lock().queue.oldest(|waiter| {
            waiter.waker.wake_by_ref();
            false
        });
    }

    /// How many wait, and since when the oldest does.
    pub(crate) fn depth(&self) -> (usize, Option<Tick>) {
        let line = self.lock();
        (line.queue.len(), line.queue.oldest(|_| true).map(|(_, waiter)| waiter.since))
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn wake_oldest(&self, wants: Option<u64>) {
        if (wants.is_some() && self.pinned == 0) || self.queue.is_empty() {
            return;
        }
        if let Some((_, waiter)) = self.queue.oldest(|waiter| waiter.wants == wants) {
            waiter.waker.wake_by_ref();
        }
    }
}

impl Queued {
    /// Joins the pool's line; `None` if it is full.
    pub(crate) fn join(held: &Held, pool: u32, wants: Option<u64>, waker: &Waker, now: Tick) -> Option<Queued> {
        let seating = held.seating(pool);
        let plan = held.pool(pool);
        let mut line = seating.lock();
        line.queue.resize(plan.queue.size as usize);
        let Ok(ticket) = line.queue.join(Waiter { waker: waker.clone(), wants, since: now }) else {
            seating.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        line.pinned += usize::from(wants.is_some());
        seating.waited.fetch_add(1, Ordering::Relaxed);
        plan.pool.waiting().join();
        // A policy reads counts in flight without order: they must not be older than our joining.
        fence(Ordering::SeqCst);
        Some(Queued { held: held.clone(), pool, ticket, wants })
    }

    /// Whether nobody older competes for what this one wants.
    pub(crate) fn is_next(&self) -> bool {
        let line = self.seating().lock();
        line.queue.oldest(|waiter| waiter.wants == self.wants).is_none_or(|(ticket, _)| ticket == self.ticket)
    }

    /// Moves to another plan; false if that has another line for this.
    pub(crate) fn follow(&mut self, held: &Held, pool: u32, wants: Option<u64>) -> bool {
        let same = wants == self.wants && Arc::ptr_eq(held.seating(pool), self.seating());
        if same {
            (self.held, self.pool) = (held.clone(), pool);
        }
        same
    }

    /// Notes that it was all in vain.
    pub(crate) fn give_up(self) {
        self.seating().late.fetch_add(1, Ordering::Relaxed);
    }

    fn seating(&self) -> &Arc<Seating> {
        self.held.seating(self.pool)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut line = self.seating().lock();
        if line.queue.leave(self.ticket).is_some() {
            line.pinned -= usize::from(self.wants.is_some());
            self.held.pool(self.pool).pool.waiting().leave();
        }
        line.wake_oldest(self.wants);
    }
}
