//! Backends that are being emptied: by the operator, or because a new plan no longer knows them.
//!
//! A drain has an end (`Live::drain_until`, set when the plan comes into force). Until then requests and tunnels end in
//! their own time; afterwards what is left is cut. No timer belongs to a drain: every worker asks at its tick whether
//! one is over, and wakes its connections if so, each of which asks its own backend. The first worker writes down how
//! each drain went, and forgets it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use balance::Live;
use plan::Tick;

use crate::observe::facts::{Fact, Facts};
use crate::running::{BackendRecord, Running};

/// The drains under way.
pub(crate) struct Drains {
    list: Mutex<Vec<Drain>>,
    /// The first end of all, in ticks; `u64::MAX` when there is none.
    first_end: AtomicU64,
}

struct Drain {
    live: Arc<Live>,
    record: Arc<BackendRecord>,
    pool: String,
    backend: String,
    /// Exchanges and tunnels of this backend that were cut before.
    cut_before: u64,
    is_told: bool,
}

impl Default for Drains {
    fn default() -> Self {
        Drains { list: Mutex::default(), first_end: AtomicU64::new(u64::MAX) }
    }
}

impl Drains {
    /// A plan is in force and its drains have begun: notes those of `running`, and of `previous` if it knew more.
    pub(crate) fn note(&self, running: &Running, previous: Option<&Running>, now: Tick) {
        let mut list = self.lock();
        for plan in previous.into_iter().chain([running]) {
            plan.each_backend(|pool, backend, record| {
                let is_known = list.iter().any(|drain| Arc::ptr_eq(&drain.live, &backend.live));
                let goes_on = |end| end > now || backend.live.in_flight() > 0;
                if !is_known && backend.live.drain_until().is_some_and(goes_on) {
                    list.push(Drain::new(pool, backend, record));
                }
            });
        }
        self.look_ahead(&list);
    }

    /// Whether the end of some drain has come.
    pub(crate) fn is_over(&self, now: Tick) -> bool {
        self.first_end.load(Ordering::Relaxed) <= now.0
    }

    /// Tells of drains that have ended, and forgets those that need nobody any more.
    pub(crate) fn settle(&self, now: Tick, facts: &Facts) {
        if self.first_end.load(Ordering::Relaxed) == u64::MAX {
            return;
        }
        let mut list = self.lock();
        list.retain_mut(|drain| drain.goes_on(now, facts));
        self.look_ahead(&list);
    }

    fn look_ahead(&self, list: &[Drain]) {
        let ends = list.iter().filter_map(|drain| drain.live.drain_until());
        self.first_end.store(ends.map(|end| end.0).min().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Drain>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drain {
    fn new(pool: &str, backend: &balance::Backend, record: &Arc<BackendRecord>) -> Self {
        Drain {
            live: Arc::clone(&backend.live),
            record: Arc::clone(record),
            pool: pool.to_owned(),
            backend: backend.name.to_string(),
            cut_before: record.cut(),
            is_told: false,
        }
    }

    /// Empty before its end, a drain is told and watched further: clients that belong to the backend may come back.
    fn goes_on(&mut self, now: Tick, facts: &Facts) -> bool {
        let Some(end) = self.live.drain_until() else {
            return false;
        };
        if self.live.in_flight() > 0 {
            return true;
        }
        let cut = self.record.cut() - self.cut_before;
        if !self.is_told || cut > 0 {
            let (pool, backend) = (self.pool.clone(), self.backend.clone());
            facts.push(Fact::BackendDrained { pool, backend, cut });
            self.is_told = true;
            self.cut_before += cut;
        }
        end > now
    }
}
