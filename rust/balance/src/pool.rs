//! A pool: backends in two tiers, one policy, and the one question of this crate, [`Pool::choose`].
//!
//! The order of preference is the same for every policy: an untried backend of the main tier, an untried one of the
//! backup tier, and only then one that already failed this request. Each step is one [`View`] handed to the policy,
//! which returns a slot whose place is already taken.
//!
//! A main tier that is full is one with nobody left, so its requests overflow to the backups, and [`Chosen::Full`]
//! means every backend of the pool: a backup that idles while clients wait in the queue would help nobody.
//!
//! A client that belongs to one backend asks for that one instead ([`Pool::hold`]). It may have what others may not: a
//! backend that drains, until the drain ends, one that no check has seen yet, and one that warms up. It is never given
//! one that is down or ejected, and never a place beyond the limit.
//!
//! A pool never changes. What changes lives in [`Shared`] (per pool) and [`Live`](crate::Live) (per backend), which the
//! next plan's pool takes over.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::budget::{Budget, Spent};
use crate::outlier::{Ejection, Gate, Passive};
use crate::policy::{Ask, Policy};
use crate::queue::Waiting;
use crate::slow_start::{SlowStart, WHOLE};
use crate::tier::{Tier, View};
use crate::{Backend, Health, Live, Tick};

/// A pool as configured, with its tables. All numbers of backends ("slots") are positions in [`Pool::backends`].
#[derive(Debug)]
pub struct Pool {
    policy: Policy,
    backends: Box<[Backend]>,
    tiers: [Tier; 2],
    shared: Arc<Shared>,
    passive: Option<Passive>,
    slow_start: SlowStart,
    retry_percent: u32,
}

/// How a pool treats backends that fail, and those that come back.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// When a backend is put out; `None` is never.
    pub passive: Option<Passive>,
    /// The time in which the share of a backend that comes grows to the whole; zero is at once.
    pub slow_start: Duration,
    /// Requests that may be retried, in percent of all.
    pub retry_percent: u32,
}

impl Default for Tuning {
    /// Nobody is put out, nobody warms up, a fifth may be retried.
    fn default() -> Self {
        Tuning { passive: None, slow_start: Duration::ZERO, retry_percent: 20 }
    }
}

/// What all workers and all plans share about a pool.
#[derive(Debug, Default)]
pub struct Shared {
    cursors: [CachePadded<AtomicU64>; 2],
    spent: Spent,
    waiting: Waiting,
    gate: Gate,
}

impl Shared {
    /// For a pool without history.
    pub fn new() -> Self {
        Shared::default()
    }

    /// [`Pool::release`] for whoever has let the pool itself go, and with it the knowledge of any limit.
    pub fn release(&self, live: &Live) -> bool {
        live.lower();
        self.waiting.any()
    }
}

/// The answer of [`Pool::choose`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// This backend; its `in_flight` is already raised, so the caller owes one [`Pool::release`].
    Slot(u32),
    /// Every backend that could be used is at its limit.
    Full,
    /// No backend can be used.
    Nobody,
}

/// The answer of [`Pool::hold`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It has a place; its `in_flight` is already raised, so the caller owes one [`Pool::release`].
    Taken,
    /// It may be used, but is at its limit.
    Full,
    /// It cannot be used: it is down, ejected, drained to the end, or gets nothing at all.
    Lost,
}

impl Pool {
    /// Builds the tables of the policy; takes milliseconds for a hashing pool, so not on a worker.
    pub fn new(policy: Policy, backends: Vec<Backend>, shared: Arc<Shared>, tuning: Tuning) -> Pool {
        let tiers = [false, true].map(|backup| Tier::new(policy, &backends, backup));
        let Tuning { passive, slow_start, retry_percent } = tuning;
        let slow_start = SlowStart::new(slow_start);
        Pool { policy, backends: backends.into(), tiers, shared, passive, slow_start, retry_percent }
    }

    /// The backends, by slot.
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// What it shares with the pools of this name before and after it.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// How it chooses.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// What it may spend on retries.
    pub fn budget(&self) -> Budget<'_> {
        Budget::new(&self.shared.spent, self.retry_percent)
    }

    /// How many wait for a place; see `queue.rs` for who has to look when.
    pub fn waiting(&self) -> &Waiting {
        &self.shared.waiting
    }

    /// Picks a backend and takes a place on it. Allocates nothing, waits for nobody.
    ///
    /// `key` is what hashing goes by and means nothing to other policies. `tried` are slots that failed this request:
    /// they are passed over while any other can be used. `dice` is any number, new for each call.
    pub fn choose(&self, key: u64, tried: &[u32], now: Tick, dice: u64) -> Chosen {
        let mut full = false;
        let mut pick = |tried| {
            for (tier, cursor) in self.tiers.iter().zip(&self.shared.cursors) {
                let ask = Ask { key, cursor, dice };
                let view = View::new(tier, &self.backends, now).without(tried);
                let mut view = view.warming(self.slow_start, self.policy.seed(&ask));
                // One place where a policy is asked: it is inlined here, and a call costs as much as a pick by turns.
                loop {
                    if let Some(slot) = self.policy.pick(&mut view, &ask) {
                        return Some(Chosen::Slot(slot));
                    }
                    if !view.offer_again() {
                        break;
                    }
                }
                full |= view.found_full();
            }
            None
        };
        let again = || {
            if tried.is_empty() { None } else { Some(&[][..]) }
        };
        pick(tried).or_else(|| pick(again()?)).unwrap_or(if full { Chosen::Full } else { Chosen::Nobody })
    }

    /// Takes a place on the backend that a client belongs to. Allocates nothing, waits for nobody.
    pub fn hold(&self, slot: u32, now: Tick) -> Held {
        let Some(backend) = self.backends.get(slot as usize) else {
            return Held::Lost;
        };
        let tier = &self.tiers[usize::from(backend.backup)];
        let serves = match backend.live.standing() {
            _ if backend.weight == 0 => false,
            (Health::Down, _) => false,
            (_, true) => backend.live.honours(now),
            (_, false) => true,
        };
        if !serves || View::new(tier, &self.backends, now).is_out(slot) {
            return Held::Lost;
        }
        if backend.live.raise(backend.max_in_flight) { Held::Taken } else { Held::Full }
    }

    /// Gives back the place that [`Pool::choose`] or [`Pool::hold`] took. Says whether somebody waits for one: then
    /// the caller has to wake the oldest. Where there is no limit, nobody waits for a place.
    pub fn release(&self, slot: u32) -> bool {
        let backend = &self.backends[slot as usize];
        backend.live.lower();
        backend.max_in_flight.is_some() && self.shared.waiting.any()
    }

    /// The part of its share that the backend gets while it warms up, in percent; 100 if it does not.
    pub fn warmth(&self, slot: u32, now: Tick) -> u32 {
        self.slow_start.share(&self.backends[slot as usize].live, now) * 100 / WHOLE
    }

    /// The backend answered, `took` after it got the request.
    pub fn succeeded(&self, slot: u32, took: Duration, now: Tick) {
        let live = &self.backends[slot as usize].live;
        live.count_success(now);
        live.average().observe(took, now);
    }

    /// The backend failed in a way that counts against it. Says so if that put it out.
    pub fn failed(&self, slot: u32, now: Tick) -> Option<Ejection> {
        let backend = &self.backends[slot as usize];
        backend.live.count_failure();
        let tier = &self.tiers[usize::from(backend.backup)];
        self.passive?.judge(tier, &self.backends, slot, &self.shared.gate, now)
    }
}

#[cfg(test)]
mod tests;
