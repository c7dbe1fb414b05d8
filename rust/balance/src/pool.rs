//! A pool: backends in two tiers, one policy, and the one question of this crate, [`Pool::choose`].
//!
//! The order of preference is the same for every policy: an untried backend of the main tier, an untried one of the
//! backup tier, and only then one that already failed this request. Each step is one [`View`] handed to the policy,
//! which returns a slot whose place is already taken.
//!
//! A pool never changes. What changes lives in [`Shared`] (per pool) and [`Live`](crate::Live) (per backend), which the
//! next plan's pool takes over.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::budget::Budget;
use crate::outlier::{Ejection, Gate, Passive};
use crate::policy::{Ask, Policy};
use crate::tier::{Tier, View};
use crate::{Backend, Tick};

/// A pool as configured, with its tables. All numbers of backends ("slots") are positions in [`Pool::backends`].
#[derive(Debug)]
pub struct Pool {
    policy: Policy,
    backends: Box<[Backend]>,
    tiers: [Tier; 2],
    shared: Arc<Shared>,
    passive: Option<Passive>,
}

/// What all workers and all plans share about a pool.
#[derive(Debug, Default)]
pub struct Shared {
    cursors: [CachePadded<AtomicU64>; 2],
    budget: Budget,
    gate: Gate,
}

impl Shared {
    /// For a pool without history.
    pub fn new() -> Self {
        Shared::default()
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

impl Pool {
    /// Builds the tables of the policy; takes milliseconds for a hashing pool, so not on a worker.
    pub fn new(policy: Policy, backends: Vec<Backend>, shared: Arc<Shared>, passive: Option<Passive>) -> Pool {
        let tiers = [false, true].map(|backup| Tier::new(policy, &backends, backup));
        Pool { policy, backends: backends.into(), tiers, shared, passive }
    }

    /// The backends, by slot.
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// How it chooses.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// What it may spend on retries.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// Picks a backend and takes a place on it. Allocates nothing, waits for nobody.
    ///
    /// `key` is what hashing goes by and means nothing to other policies. `tried` are slots that failed this request:
    /// they are passed over while any other can be used. `dice` is any number, new for each call.
    pub fn choose(&self, key: u64, tried: &[u32], now: Tick, dice: u64) -> Chosen {
        let mut full = false;
        let mut pick = |tried| {
            for (tier, cursor) in self.tiers.iter().zip(&self.shared.cursors) {
                let mut view = View::new(tier, &self.backends, tried, now);
                if let Some(slot) = self.policy.pick(&mut view, Ask { key, cursor, dice }) {
                    return Some(Chosen::Slot(slot));
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

    /// Gives back the place that [`Pool::choose`] took.
    pub fn release(&self, slot: u32) {
        self.backends[slot as usize].live.lower();
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
