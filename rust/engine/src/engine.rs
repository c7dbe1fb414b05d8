//! The engine as whoever embeds it sees it: threads that serve the plan in force, and a few questions to ask.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use balance::Health;
use plan::PlanError;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::apply::Doors;
use crate::observe::facts::Fact;
use crate::observe::side::{self, Order};
use crate::shared::{Command, Shared};
use crate::status::Status;
use crate::worker;

/// How an engine is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Worker threads; at least 1. Fixed for the engine's life.
    pub workers: usize,
}

/// Worker threads and a side thread. Dropping it stops them.
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    pub(crate) seeds: plan::Seeds,
    doors: Mutex<Doors>,
    side: UnboundedSender<Order>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the threads; nothing listens until a plan is applied.
    ///
    /// # Errors
    /// No descriptor or thread to be had.
    pub fn start(options: Options) -> io::Result<Engine> {
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..options.workers.max(1)).map(|_| unbounded_channel()).unzip();
        let shared = Arc::new(Shared::new(senders.into())?);
        let (side, orders) = unbounded_channel();
        let engine = Engine {
            shared: Arc::clone(&shared),
            seeds: plan::Seeds { policies: SEED, tables: RandomState::new().build_hasher().finish() },
            doors: Mutex::default(),
            side,
            threads: Mutex::default(),
        };
        engine.spawn("pylb-side", {
            let shared = Arc::clone(&shared);
            move || side::run(shared, orders)
        })?;
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            engine.spawn(&format!("pylb-worker-{index}"), move || worker::run(index, shared, inbox))?;
        }
        engine.heartbeat();
        Ok(engine)
    }

    /// The eventfd that becomes readable when facts wait.
    pub fn fact_fd(&self) -> RawFd {
        self.shared.facts.fd()
    }

    /// Takes all waiting facts, oldest first.
    pub fn facts(&self) -> Vec<Fact> {
        self.shared.facts.take()
    }

    /// What is useless in the plan in force, and which of its certificates should be looked after.
    pub fn useless(&self) -> Vec<PlanError> {
        let Some(running) = self.shared.running() else { return Vec::new() };
        running.plan.warnings.iter().chain(&running.tls.warnings).cloned().collect()
    }

    /// A snapshot of listeners, pools and backends.
    pub fn status(&self) -> Status {
        Status::of(&self.shared)
    }

    /// Writes the outcome of an active check; false if there is no such backend.
    pub fn set_health(&self, pool: &str, backend: &str, up: bool) -> bool {
        let Some(running) = self.shared.running() else { return false };
        let Some(found) = running.plan.backend_named(pool, backend) else { return false };
        let changed = found.live.set_health(if up { Health::Up } else { Health::Down }, self.shared.now());
        if changed {
            running.plan.pool_named(pool).into_iter().for_each(|pool| running.seating(pool).wake_all());
        }
        true
    }

    /// Notes that so many certificates and authorities were renewed, and so many refused, since their files had changed,
    /// and of which files the last good content is in force instead of what is in them now.
    pub fn note_renewal(&self, renewed: u64, refused: u64, broken: Vec<String>) {
        self.shared.renewals.note(renewed, refused, broken);
    }

    /// Notes that whoever steers the engine is alive.
    pub fn heartbeat(&self) {
        self.shared.beat();
    }

    /// Opens the access log's file anew.
    pub fn reopen_log(&self) {
        self.order(Order::Reopen);
    }

    /// Stops accepting, ends idle connections, lets requests under way end. Returns at once.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.tell(|| Command::Drain);
    }

    /// Client connections open now, and flows of datagrams.
    pub fn clients(&self) -> usize {
        self.shared.clients() + self.shared.flows()
    }

    /// Cuts what is open and joins every thread. May be called again.
    pub fn stop(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.tell(|| Command::Stop);
        // The side thread was started first and ends last, so that it writes the workers' last lines.
        let mut threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)).into_iter();
        let side = threads.next();
        threads.for_each(|worker| drop(worker.join()));
        self.order(Order::Stop);
        side.map(JoinHandle::join);
        self.lock_doors().forget_all_files();
    }

    pub(crate) fn lock_doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn order(&self, order: Order) {
        let _ = self.side.send(order);
    }

    fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }
}

/// Seeds what hashing decides where a client goes. Fixed, so that several nodes and restarts agree.
pub(crate) const SEED: u64 = 0x7079_6c62;

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}
