//! A backend that was picked: the proof that a slot is held, and the place to say how it went.

use std::sync::Arc;
use std::time::Duration;

use balance::{Budget, Live, Shared};
use plan::{Address, PoolPlan, Retries, Tick};

use crate::observe::facts::Fact;
use crate::observe::meter::Meter;
use crate::running::{BackendRecord, Held};
use crate::upstream::pool::Terms;
use crate::wait::seating::Seating;
use crate::worker::Worker;

/// A slot of a pool; dropping it lowers the backend's requests in flight.
pub(crate) struct Pick {
    held: Held,
    pool: u32,
    slot: u32,
    /// A [`Stay`] has taken the slot over.
    is_handed_on: bool,
}

/// A slot that is held by what outlives its plan: for tunnels, which must not keep the plan they came by.
pub(crate) struct Stay {
    live: Arc<Live>,
    shared: Arc<Shared>,
    seating: Arc<Seating>,
    record: Arc<BackendRecord>,
}

impl Pick {
    /// Takes over the slot that `choose` has raised.
    pub(crate) fn new(held: Held, pool: u32, slot: u32) -> Self {
        Pick { held, pool, slot, is_handed_on: false }
    }

    pub(crate) fn live(&self) -> u64 {
        self.backend().live.id()
    }

    pub(crate) fn budget(&self) -> Budget<'_> {
        self.pool().pool.budget()
    }

    pub(crate) fn retries(&self) -> &Retries {
        &self.pool().retries
    }

    /// Where the backend listens, and the milliseconds it has to accept.
    pub(crate) fn address(&self) -> (&Address, u32) {
        (&self.pool().addresses[self.slot as usize], self.pool().connect_ms)
    }

    /// Milliseconds without a byte after which a tunnel ends.
    pub(crate) fn idle_ms(&self) -> u32 {
        self.pool().idle_ms
    }

    /// Whether the backend's drain is over: what is still open there is cut.
    pub(crate) fn is_cut(&self, now: Tick) -> bool {
        is_over(&self.backend().live, now)
    }

    /// How its idle connections are kept; `announced` is what the backend itself said.
    pub(crate) fn terms(&self, announced: Option<Duration>) -> Terms {
        let pool = self.pool();
        let configured = pool.keepalive_ms.map(|ms| Duration::from_millis(ms.into()));
        Terms { keepalive: configured.or(announced), limit: pool.idle_connections }
    }

    /// The backend gave an answer that counts as one.
    pub(crate) fn succeeded(&self, worker: &Worker, took: Duration, now: Tick) {
        self.pool().pool.succeeded(self.slot, took, now);
        if self.held.record(self.pool, self.slot).has_returned() {
            worker.shared.facts.push(Fact::BackendReturned {
                pool: self.pool().name.to_string(),
                backend: self.backend().name.to_string(),
            });
        }
    }

    /// The backend failed; enough failures in a row eject it.
    pub(crate) fn failed(&self, worker: &Worker, now: Tick, why: &'static str) {
        let record = self.held.record(self.pool, self.slot);
        record.note_error(why);
        if let Some(ejection) = self.pool().pool.failed(self.slot, now) {
            record.note_ejected();
            worker.shared.facts.push(Fact::BackendEjected {
                pool: self.pool().name.to_string(),
                backend: self.backend().name.to_string(),
                why,
                seconds: ejection.length.as_secs_f64(),
            });
        }
    }

    /// Whether somebody waits for a place in this pool.
    pub(crate) fn is_awaited(&self) -> bool {
        self.pool().pool.waiting().any()
    }

    /// Counts an exchange or a tunnel that was cut.
    pub(crate) fn note_cut(&self, worker: &Worker) {
        worker.meter().cut.add(1);
        self.held.record(self.pool, self.slot).note_cut();
    }

    /// Holds the slot without the plan.
    pub(crate) fn stay(mut self) -> Stay {
        self.is_handed_on = true;
        Stay {
            live: Arc::clone(&self.backend().live),
            shared: Arc::clone(self.pool().pool.shared()),
            seating: Arc::clone(self.held.seating(self.pool)),
            record: Arc::clone(self.held.record(self.pool, self.slot)),
        }
    }

    #[cold]
    fn wake_next(&self) {
        self.held.seating(self.pool).wake_next(self.live());
    }

    fn pool(&self) -> &PoolPlan {
        self.held.pool(self.pool)
    }

    fn backend(&self) -> &balance::Backend {
        &self.pool().pool.backends()[self.slot as usize]
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        if !self.is_handed_on && self.pool().pool.release(self.slot) {
            self.wake_next();
        }
    }
}

impl Stay {
    /// Whether the backend's drain is over: what is still open there is cut.
    pub(crate) fn is_cut(&self, now: Tick) -> bool {
        is_over(&self.live, now)
    }

    /// Counts a tunnel that was cut.
    pub(crate) fn note_cut(&self, worker: &Worker) {
        worker.meter().cut.add(1);
        self.record.note_cut();
    }

    /// What counts the backend's requests.
    pub(crate) fn meter(&self) -> &Meter {
        &self.record.meter
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if self.shared.release(&self.live) {
            self.seating.wake_next(self.live.id());
        }
    }
}

fn is_over(live: &Live, now: Tick) -> bool {
    live.drain_until().is_some_and(|until| until <= now)
}
