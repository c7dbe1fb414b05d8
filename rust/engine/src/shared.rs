//! What the workers share with each other and with whoever steers them. Everything else is per worker.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Instant;

use plan::Tick;
use tokio::sync::mpsc::UnboundedSender;

use crate::drain::Drains;
use crate::fork::ListeningSocket;
use crate::listen::Kind;
use crate::observe::facts::Facts;
use crate::observe::log;
use crate::observe::meter::WorkerMeter;
use crate::running::Running;
use crate::tls::Renewals;
use crate::udp::meter::FlowMeter;

/// What a worker is told.
pub(crate) enum Command {
    /// Put a plan in force; open and retire doors with it; say when done.
    Apply {
        running: Arc<Running>,
        open: Vec<(u32, Arc<ListeningSocket>, Kind)>,
        retire: Vec<u32>,
        done: mpsc::Sender<()>,
    },
    /// Serve a connection that a busier sibling accepted.
    Serve { socket: OwnedFd, kind: Kind, peer: IpAddr, door: u32 },
    /// Close the client that has been idle for longest: a sibling has none and somebody waits.
    Evict,
    /// End a flow of a listener that has too many of them.
    EvictFlow(Arc<FlowMeter>),
    /// Accept what waits, then nothing more; end connections as they become idle.
    Drain,
    /// End at once.
    Stop,
}

/// State that all threads of one engine see.
pub(crate) struct Shared {
    pub epoch: Instant,
    pub facts: Facts,
    pub log: log::Queue,
    pub meters: Box<[WorkerMeter]>,
    pub workers: Box<[UnboundedSender<Command>]>,
    pub max_clients: AtomicUsize,
    pub draining: AtomicBool,
    /// Microseconds since `epoch` at which Python last showed a sign of life.
    pub heartbeat: AtomicU64,
    /// Drafts put in force, and drafts refused.
    pub applied: AtomicU64,
    pub refused: AtomicU64,
    /// What became of files of certificates that changed.
    pub renewals: Renewals,
    /// Counts calls for descriptors; at a new one every worker closes its idle connections to backends.
    pub calls_for_descriptors: AtomicU64,
    /// Backends that are being emptied.
    pub drains: Drains,
    running: Mutex<Option<Arc<Running>>>,
}

impl Shared {
    pub(crate) fn new(workers: Box<[UnboundedSender<Command>]>) -> std::io::Result<Self> {
        Ok(Shared {
            epoch: Instant::now(),
            facts: Facts::new()?,
            log: log::Queue::new(),
            meters: workers.iter().map(|_| WorkerMeter::default()).collect(),
            workers,
            max_clients: AtomicUsize::new(usize::MAX),
            draining: AtomicBool::new(false),
            heartbeat: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            renewals: Renewals::default(),
            calls_for_descriptors: AtomicU64::new(0),
            drains: Drains::default(),
            running: Mutex::new(None),
        })
    }

    /// Microseconds since the engine started, as workers count them.
    pub(crate) fn now(&self) -> Tick {
        Tick(self.epoch.elapsed().as_micros() as u64)
    }

    /// The plan in force, for readers off the path of requests.
    pub(crate) fn running(&self) -> Option<Arc<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_running(&self, running: Arc<Running>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }

    /// Client connections of all workers.
    pub(crate) fn clients(&self) -> usize {
        self.meters.iter().map(|meter| meter.clients.value() as usize).sum()
    }

    /// Flows of datagrams of all workers.
    pub(crate) fn flows(&self) -> usize {
        self.running().map_or(0, |running| running.flows() as usize)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.clients() >= self.max_clients.load(Ordering::Relaxed)
    }

    pub(crate) fn beat(&self) {
        self.heartbeat.store(self.now().0, Ordering::Relaxed);
    }

    /// Seconds since Python's last sign of life.
    pub(crate) fn silence(&self) -> f64 {
        let last = self.heartbeat.load(Ordering::Relaxed);
        (self.epoch.elapsed().as_micros() as u64).saturating_sub(last) as f64 / 1e6
    }

    /// Tells every worker the same.
    pub(crate) fn tell(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            let _ = worker.send(command());
        }
    }
}
