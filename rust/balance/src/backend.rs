//! One backend: what the configuration says about it, and the live words that every pick reads.
//!
//! [`Live`] is one cache-padded struct of atomics behind an `Arc` that outlives plans: a reload makes new [`Backend`]s
//! around the old `Live`s, so counters, averages and health are never lost. 128 bytes, because x86 prefetches cache
//! lines in pairs: two backends must not share a pair, or workers that talk to different backends slow each other down.
//!
//! Two words are moments that somebody else chose: the end of a drain, after which the backend is cut, and the start of
//! a ramp (`slow_start.rs`). A backend that a plan brings before it is in force has neither yet; then they read
//! [`LATER`], and are set when it is.
//!
//! Only `in_flight` is ordered strictly. Whoever frees a place lowers it before looking for a waiter, and a waiter
//! announces itself before trying once more; without that order wake-ups get lost. The other words publish nothing but
//! themselves, so relaxed loads are enough: a pick that races with a change is a pick from just before it.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::Tick;
use crate::average::Average;

/// A backend as configured. It never changes; a change is a new plan around the same [`Live`].
#[derive(Clone, Debug)]
pub struct Backend {
    /// As the user wrote it. Hashing is keyed by it, so it decides which clients belong here.
    pub name: Box<str>,
    /// Its share of the load, relative to its tier. 0 takes no new requests.
    pub weight: u32,
    /// Used only while no other backend can be.
    pub backup: bool,
    /// The most requests in flight at once, over all workers.
    pub max_in_flight: Option<u32>,
    /// What is true of it now.
    pub live: Arc<Live>,
}

/// What an active health check knows.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// Has a check that has not answered yet. Used only while nobody else of its tier is up.
    Pending,
    /// Answers, or is not checked at all.
    Up,
    /// Failed its check: never used.
    Down,
}

/// The live words of one backend, shared by all workers and all plans.
#[derive(Debug)]
#[repr(align(128))]
pub struct Live {
    id: u64,
    state: AtomicU32,
    in_flight: AtomicU32,
    failures: AtomicU32,
    ejections: AtomicU32,
    ejected_until: AtomicU64,
    drain_until: AtomicU64,
    warming_since: AtomicU64,
    average: Average,
}

const HEALTH: u32 = 0b011;
const DRAINING: u32 = 0b100;
/// A moment that is not known yet.
const LATER: u64 = u64::MAX;

impl Live {
    /// A backend without history: up, idle, never failed. `id` is the caller's; nothing here reads it.
    pub fn new(id: u64) -> Self {
        Live {
            id,
            state: AtomicU32::new(encode(Health::Up)),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            drain_until: AtomicU64::new(0),
            warming_since: AtomicU64::new(0),
            average: Average::default(),
        }
    }

    /// The identity given to [`Live::new`].
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Requests that hold a place now, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// What the active check says.
    pub fn health(&self) -> Health {
        decode(self.state.load(Relaxed))
    }

    /// Says whether that changed anything. Whoever comes back from [`Health::Down`] warms up from `now` on.
    pub fn set_health(&self, health: Health, now: Tick) -> bool {
        let is_new = self.warming_since.load(Relaxed) == LATER;
        if health == Health::Up && (is_new || self.health() == Health::Down) {
            self.warm(now);
        }
        let with = |state| (state & !HEALTH) | encode(health);
        let before = self.state.fetch_update(Relaxed, Relaxed, |state| Some(with(state)));
        before.is_ok_and(|state| state & HEALTH != encode(health))
    }

    /// Gets no new requests but those of clients that belong here, until the drain ends.
    pub fn draining(&self) -> bool {
        self.state.load(Relaxed) & DRAINING != 0
    }

    /// Starts a drain that ends at `until`, or moves its end; the next pick sees it.
    pub fn drain(&self, until: Tick) {
        self.drain_until.store(until.0.max(1), Relaxed);
        self.state.fetch_or(DRAINING, Relaxed);
    }

    /// Starts a drain whose end is still to be said.
    pub fn drain_later(&self) {
        self.drain(Tick(LATER));
    }

    /// Ends a drain; the next pick sees it.
    pub fn undrain(&self) {
        if !self.draining() {
            return;
        }
        self.state.fetch_and(!DRAINING, Relaxed);
        self.drain_until.store(0, Relaxed);
    }

    /// The end of the drain, which may be past: from then on what is still open may be cut. `None` if it does not
    /// drain, or its end is still to be said.
    pub fn drain_until(&self) -> Option<Tick> {
        moment(&self.drain_until).filter(|until| until.0 != LATER)
    }

    /// A drain began, and has not ended at `now`: clients that belong here still may come.
    pub(crate) fn honours(&self, now: Tick) -> bool {
        self.drain_until.load(Relaxed) > now.0
    }

    /// Starts the ramp of slow start at `now`, or later if it was to start later.
    pub fn warm(&self, now: Tick) {
        let next = |since: u64| Some(if since == LATER { now.0.max(1) } else { since.max(now.0).max(1) });
        // The closure always answers, so the update cannot fail.
        let _ = self.warming_since.fetch_update(Relaxed, Relaxed, next);
    }

    /// A newcomer: the ramp starts when it is first said to be up, not before.
    pub fn warm_later(&self) {
        self.warming_since.store(LATER, Relaxed);
    }

    /// A newcomer that is up before anybody said so, because nobody checks it, warms up from `now` on.
    pub fn settle_in(&self, now: Tick) {
        if self.health() == Health::Up && self.warming_since.load(Relaxed) == LATER {
            self.warm(now);
        }
    }

    /// The start of the last ramp, which may lie ahead: an ejected backend warms up from its return on. `None` for a
    /// backend that never had reason to warm up, or whose ramp is still to start.
    pub fn warming_since(&self) -> Option<Tick> {
        moment(&self.warming_since).filter(|since| since.0 != LATER)
    }

    /// The same for the pick: 0 is never, and what is still to start lies ahead of any moment.
    pub(crate) fn ramp_start(&self) -> u64 {
        self.warming_since.load(Relaxed)
    }

    /// Peak moving average of response times in microseconds, as of the last answer; 0 before the first.
    pub fn latency_micros(&self) -> u64 {
        self.average.last()
    }

    /// Failures in a row, up to now.
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// The end of the last ejection, which may be past: it lasts while this lies ahead of now. `None` once a request
    /// has succeeded after it.
    pub fn ejected_until(&self) -> Option<Tick> {
        moment(&self.ejected_until)
    }

    /// Whether an ejection lasts at `now`.
    pub fn ejected(&self, now: Tick) -> bool {
        self.ejected_until.load(Relaxed) > now.0
    }

    /// Health and drain in one load, for the pick.
    pub(crate) fn standing(&self) -> (Health, bool) {
        let state = self.state.load(Relaxed);
        (decode(state), state & DRAINING != 0)
    }

    /// Takes a place if the limit leaves one: a real limit, whatever the number of workers.
    pub(crate) fn raise(&self, limit: Option<u32>) -> bool {
        let Some(limit) = limit else {
            self.in_flight.fetch_add(1, SeqCst);
            return true;
        };
        let more = |count| (count < limit).then(|| count + 1);
        self.in_flight.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    pub(crate) fn lower(&self) {
        let before = self.in_flight.fetch_sub(1, SeqCst);
        debug_assert!(before > 0, "a place was given back twice");
    }

    pub(crate) fn average(&self) -> &Average {
        &self.average
    }

    /// One more failure in a row; returns how many there are.
    pub(crate) fn count_failure(&self) -> u32 {
        self.failures.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// The row of failures ends here. The row of ejections ends too, unless this answer was still on its way when the
    /// backend was put out: only one that came after its return proves anything.
    pub(crate) fn count_success(&self, now: Tick) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        let until = self.ejected_until.load(Relaxed);
        if until != 0 && until <= now.0 {
            self.ejections.store(0, Relaxed);
            // Not a store: another worker may be ejecting it again at this moment.
            let _ = self.ejected_until.compare_exchange(until, 0, Relaxed, Relaxed);
        }
    }

    /// The number of this ejection: 1, 2, 3.. without a success in between.
    pub(crate) fn count_ejection(&self) -> u32 {
        self.ejections.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// Puts it out until then; it warms up when it is back.
    pub(crate) fn eject(&self, until: Tick) {
        self.warm(until);
        self.ejected_until.store(until.0.max(1), Relaxed);
    }
}

/// A word in which 0 is no moment.
fn moment(word: &AtomicU64) -> Option<Tick> {
    Some(Tick(word.load(Relaxed))).filter(|moment| moment.0 != 0)
}

fn encode(health: Health) -> u32 {
    match health {
        Health::Pending => 0,
        Health::Up => 1,
        Health::Down => 2,
    }
}

fn decode(state: u32) -> Health {
    match state & HEALTH {
        0 => Health::Pending,
        1 => Health::Up,
        _ => Health::Down,
    }
}

#[cfg(test)]
mod tests;
