//! May the pool afford one more retry?
//!
//! Retries help when one backend fails and hurt when all do: three tries each would triple the load on a pool that is
//! already on its knees. So a pool may retry at most a part of its requests of the last 10 seconds, a fifth unless
//! configured, plus 10 a second so that quiet pools can retry at all (Finagle's `RetryBudget`).
//!
//! Of the 10 a second those of the first second are there at once. The others come as time passes, counted from the
//! first request in the window, and what was not spent stays for later. They do not all come at once: a pool that has
//! just woken up and fails whole would send its backends 100 requests more than its clients did, and 100 again ten
//! seconds later. Nobody who counts for a second or longer finds more than the two parts together.
//!
//! The window is ten slots of one second. A slot is one word, second and count together, so whoever is first in a new
//! second starts the slot anew with one compare-exchange, and everybody else only adds.
//!
//! A withdrawal is written first and checked afterwards, and taken back if it was too much. Of several at once each
//! sees all that were granted before it, so the bound holds exactly; near the bound one may be refused that could just
//! have been granted.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use crossbeam_utils::CachePadded;

use crate::Tick;

/// What a pool may spend on retries: what all its plans have spent, and the percentage of this one.
#[derive(Copy, Clone, Debug)]
pub struct Budget<'p> {
    spent: &'p Spent,
    percent: u64,
}

/// Requests and retries of one pool, over all workers and plans.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    requests: CachePadded<Window>,
    retries: CachePadded<Window>,
}

/// Retries per second that are always allowed.
const PER_SECOND: u64 = 10;
const SECONDS: u64 = 10;

impl<'p> Budget<'p> {
    /// Of the requests in `spent`, `percent` may be retried.
    pub(crate) fn new(spent: &'p Spent, percent: u32) -> Self {
        Budget { spent, percent: percent.into() }
    }

    /// A request came in. Retries of it do not count again.
    pub fn request(self, now: Tick) {
        self.spent.requests.add(second(now));
    }

    /// Asks for one retry; true when it is granted, and then it counts.
    pub fn withdraw(self, now: Tick) -> bool {
        let second = second(now);
        let requests = &self.spent.requests;
        let earned = PER_SECOND * requests.age(now) / 1_000_000;
        let allowed = requests.sum(second) * self.percent / 100 + earned.max(PER_SECOND);
        self.spent.retries.add(second);
        if self.spent.retries.sum(second) <= allowed {
            return true;
        }
        self.spent.retries.take_back(second);
        false
    }
}

/// Counts per second over the last ten seconds.
#[derive(Debug, Default)]
struct Window([AtomicU64; SECONDS as usize]);

impl Window {
    fn add(&self, second: u32) {
        let slot = self.slot(second);
        let mut word = slot.load(SeqCst);
        // A stamp ahead of ours means that this worker is ten seconds late: counting there is right enough.
        while stamp(word) < second {
            match slot.compare_exchange_weak(word, fresh(second) + 1, SeqCst, SeqCst) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
        slot.fetch_add(1, SeqCst);
    }

    fn sum(&self, second: u32) -> u64 {
        self.live(second).map(count).sum()
    }

    /// The microseconds since the end of the second in which the first of those counted came.
    fn age(&self, now: Tick) -> u64 {
        let second = second(now);
        let first = self.live(second).map(stamp).min().unwrap_or(second);
        (now.0 + SECONDS * 1_000_000).saturating_sub((u64::from(first) + 1) * 1_000_000)
    }

    fn live(&self, second: u32) -> impl Iterator<Item = u64> {
        let words = self.0.iter().map(|slot| slot.load(SeqCst));
        words.filter(move |&word| u64::from(stamp(word)) + SECONDS > u64::from(second))
    }

    fn take_back(&self, second: u32) {
        let fewer = |word| (stamp(word) == second && count(word) > 0).then(|| word - 1);
        // Refused only when the slot has moved on to another second, and then the count is gone anyway.
        let _ = self.slot(second).fetch_update(SeqCst, SeqCst, fewer);
    }

    fn slot(&self, second: u32) -> &AtomicU64 {
        &self.0[(u64::from(second) % SECONDS) as usize]
    }
}

/// Seconds since the engine started, counted from 10: a slot of zeros is older than the first window.
fn second(now: Tick) -> u32 {
    (now.0 / 1_000_000 + SECONDS) as u32
}

fn fresh(second: u32) -> u64 {
    u64::from(second) << 32
}

fn stamp(word: u64) -> u32 {
    (word >> 32) as u32
}

fn count(word: u64) -> u64 {
    word & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
