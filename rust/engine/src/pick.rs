//! A backend that was picked: the proof that a slot is held, and the place to say how it went.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use balance::{Budget, Health, Live, Shared};
use plan::{Address, PoolPlan, Retries, Tick};

use crate::observe::facts::Fact;
use crate::observe::meter::Meter;
use crate::running::{BackendRecord, Held};
use crate::tls::ClientTls;
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
    words: RefCell<Option<Box<str>>>,
}

/// A slot that is held by what outlives its plan: for tunnels, which must not keep the plan they came by.
pub(crate) struct Stay {
    /// Where the backend stood in the plan of this generation.
    chosen: (u64, u32, u32),
    live: Arc<Live>,
    shared: Arc<Shared>,
    seating: Arc<Seating>,
    record: Arc<BackendRecord>,
}

impl Pick {
    /// Takes over the slot that `choose` has raised.
    pub(crate) fn new(held: Held, pool: u32, slot: u32) -> Self {
        Pick { held, pool, slot, is_handed_on: false, words: RefCell::default() }
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

    /// The PROXY header that the backend wants to be told by for whom a connection is.
    pub(crate) fn proxy_protocol(&self) -> Option<wire::proxy_protocol::Version> {
        self.pool().proxy_protocol
    }

    /// How TLS is spoken there, whom the certificate has to be for, and the milliseconds of a handshake.
    pub(crate) fn tls(&self) -> Option<(&ClientTls, &str, u32)> {
        let tls = self.held.tls.client(self.pool)?;
        let name = self.pool().server_names.get(self.slot as usize)?;
        Some((tls, name, self.pool().tls_handshake_ms))
    }

    /// Why it fails, in more words than its failure has.
    pub(crate) fn note_words(&self, words: &str) {
        *self.words.borrow_mut() = Some(words.into());
    }

    /// What was noted.
    pub(crate) fn words(&self) -> Option<Box<str>> {
        self.words.borrow().clone()
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
        succeeded(&self.held, (self.pool, self.slot), worker, took, now);
    }

    /// The backend failed; enough failures in a row eject it.
    pub(crate) fn failed(&self, worker: &Worker, now: Tick, why: &'static str) {
        let why = self.words().map_or(Cow::Borrowed(why), |words| Cow::Owned(words.into()));
        failed(&self.held, (self.pool, self.slot), worker, now, why);
    }

    /// The backend as the user wrote it.
    pub(crate) fn name(&self) -> &str {
        &self.backend().name
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
            chosen: (self.held.generation, self.pool, self.slot),
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

    /// Whether its health check says that it is down.
    pub(crate) fn is_down(&self) -> bool {
        self.live.health() == Health::Down
    }

    /// Whether the last that was heard of the backend was a failure.
    pub(crate) fn has_failed(&self) -> bool {
        self.live.failures() != 0
    }

    /// [`Pick::succeeded`], if the plan in force still knows the backend.
    pub(crate) fn succeeded(&self, worker: &Worker, took: Duration, now: Tick) {
        if let Some((held, place)) = self.place(worker) {
            succeeded(&held, place, worker, took, now);
        }
    }

    /// [`Pick::failed`], if the plan in force still knows the backend.
    pub(crate) fn failed(&self, worker: &Worker, now: Tick, why: &'static str) {
        if let Some((held, place)) = self.place(worker) {
            failed(&held, place, worker, now, why.into());
        }
    }

    /// The pool that the backend was chosen from.
    pub(crate) fn pool(&self) -> &str {
        &self.record.pool
    }

    /// The backend as the user wrote it.
    pub(crate) fn name(&self) -> &str {
        &self.record.backend
    }

    /// Where the backend stands in the plan in force.
    fn place(&self, worker: &Worker) -> Option<(Held, (u32, u32))> {
        let held = worker.current()?;
        let (generation, pool, slot) = self.chosen;
        let place = if held.generation == generation { Some((pool, slot)) } else { held.place_of(self.live.id()) };
        Some((held, place?))
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

fn succeeded(held: &Held, (pool, slot): (u32, u32), worker: &Worker, took: Duration, now: Tick) {
    let (plan, record) = (held.pool(pool), held.record(pool, slot));
    plan.pool.succeeded(slot, took, now);
    if record.has_returned() {
        let (pool, backend) = (plan.name.to_string(), record.backend.to_string());
        worker.shared.facts.push(Fact::BackendReturned { pool, backend });
    }
}

fn failed(held: &Held, (pool, slot): (u32, u32), worker: &Worker, now: Tick, why: Cow<'static, str>) {
    let (plan, record) = (held.pool(pool), held.record(pool, slot));
    record.note_error(why.clone());
    if let Some(ejection) = plan.pool.failed(slot, now) {
        record.note_ejected();
        let (pool, backend) = (plan.name.to_string(), record.backend.to_string());
        let seconds = ejection.length.as_secs_f64();
        worker.shared.facts.push(Fact::BackendEjected { pool, backend, why, seconds });
    }
}

fn is_over(live: &Live, now: Tick) -> bool {
    live.drain_until().is_some_and(|until| until <= now)
}
