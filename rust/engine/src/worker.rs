//! One worker: a thread, a runtime, its listening sockets, its connections. It shares nothing that it could own.
//!
//! The root future is small and trusted: it accepts, obeys commands and ticks. Every connection is a task of its
//! own, so a panic there ends that connection; a panic in the root ends the runtime, and the worker starts
//! again with the same listening sockets, which are held outside of it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use plan::Tick;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;

use crate::arrival::{self, Arrival};
use crate::client;
use crate::clock::{Clock, TICK_MS};
use crate::end::Buffers;
use crate::exchange::Exchange;
use crate::fork::ListeningSocket;
use crate::listen::{Doors, Kind};
use crate::observe::facts::Fact;
use crate::observe::log::Log;
use crate::observe::meter::WorkerMeter;
use crate::running::{Held, Running};
use crate::shared::{Command, Shared};
use crate::socket::Socket;
use crate::tls::budget::Budget;
use crate::udp::Udp;
use crate::upstream::pool::Pool;

/// Boxed exchanges kept for reuse.
const SPARE_EXCHANGES: usize = 1024;
/// Retired doors whose last clients are still served by the plan they came in with.
const RETIRED_DOORS: usize = 64;
/// How long connections have to notice that all ends.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Ticks between two sweeps of the idle upstream connections.
const SWEEP_TICKS: u32 = 10;

/// What a worker's connections need; lives on the worker's thread only.
pub(crate) struct Worker {
    pub index: usize,
    pub shared: Arc<Shared>,
    pub clock: Clock,
    pub buffers: RefCell<Buffers>,
    pub upstream: RefCell<Pool>,
    udp: RefCell<Udp>,
    pub log: Log,
    /// The line for handshakes.
    pub handshakes: Budget,
    pub descriptor_limit: u64,
    /// What backends are held to: a listener's own limits are for requests.
    pub response_rules: wire::Rules,
    running: RefCell<Option<Held>>,
    retired: RefCell<Vec<(u32, Held)>>,
    draining: Cell<bool>,
    stopping: Cell<bool>,
    cutting: Cell<bool>,
    dice: RefCell<fastrand::Rng>,
    exchanges: RefCell<Vec<ExchangeBox>>,
    ticks: Cell<u32>,
    calls_heard: Cell<u64>,
}

/// Room for an exchange, empty while it is on the free list.
pub(crate) type ExchangeBox = Box<Option<Exchange>>;

/// What outlives a restart of the worker's root.
struct Kept {
    running: Option<Arc<Running>>,
    doors: Vec<(u32, Arc<ListeningSocket>, Kind)>,
    draining: bool,
}

/// Runs a worker until it is told to stop. The body of its thread.
pub(crate) fn run(index: usize, shared: Arc<Shared>, mut inbox: UnboundedReceiver<Command>) {
    let kept = RefCell::new(Kept { running: None, doors: Vec::new(), draining: false });
    loop {
        let life = AssertUnwindSafe(|| live(index, &shared, &mut inbox, &kept));
        match catch_unwind(life) {
            Ok(()) => return,
            Err(_) => {
                shared.meters[index].clients.sub(shared.meters[index].clients.value());
                shared.facts.push(Fact::WorkerRestarted { worker: index });
            }
        }
    }
}

fn live(index: usize, shared: &Arc<Shared>, inbox: &mut UnboundedReceiver<Command>, kept: &RefCell<Kept>) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => panic!("worker {index} has no runtime: {error}"),
    };
    let worker = Rc::new(Worker::new(index, Arc::clone(shared)));
    runtime.block_on(root(&worker, inbox, kept));
    worker.log.flush(&shared.log);
}

async fn root(worker: &Rc<Worker>, inbox: &mut UnboundedReceiver<Command>, kept: &RefCell<Kept>) {
    let mut doors = Doors::default();
    worker.resume(&mut doors, &kept.borrow());
    tokio::task::spawn_local(keep_upstream(Rc::clone(worker)));
    let dealer = Rc::clone(worker);
    tokio::task::spawn_local(async move { dealer.handshakes.deal().await });
    let mut tick = tokio::time::interval(Duration::from_millis(u64::from(TICK_MS)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                None | Some(Command::Stop) => return worker.end_all().await,
                Some(command) => worker.obey(command, &mut doors, kept),
            },
            _ = tick.tick() => worker.tick(&doors),
            () = poll_fn(|cx| doors.poll_accept(cx, worker)) => {}
            () = poll_fn(|cx| worker.udp.borrow_mut().poll(cx, worker)) => {}
        }
    }
}

/// Lets go of idle connections to backends in the moment in which they close.
async fn keep_upstream(worker: Rc<Worker>) {
    poll_fn(|cx| {
        let closed = worker.upstream.borrow_mut().notice(cx, worker.now());
        worker.meter().stale.add(closed);
        Poll::Pending
    })
    .await
}

impl Worker {
    fn new(index: usize, shared: Arc<Shared>) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let descriptor_limit = limit.current.unwrap_or(u64::MAX);
        Worker {
            index,
            clock: Clock::new(shared.epoch),
            buffers: RefCell::new(Buffers::new(descriptor_limit)),
            upstream: RefCell::default(),
            udp: RefCell::default(),
            log: Log::new(),
            handshakes: Budget::new(),
            descriptor_limit,
            response_rules: wire::Rules::default(),
            running: RefCell::new(None),
            retired: RefCell::default(),
            draining: Cell::new(false),
            stopping: Cell::new(false),
            cutting: Cell::new(false),
            dice: RefCell::new(fastrand::Rng::new()),
            exchanges: RefCell::default(),
            ticks: Cell::new(0),
            calls_heard: Cell::new(0),
            shared,
        }
    }

    /// The plan for a request that comes through this door now; the request keeps it to its end. A retired
    /// door's clients see the last plan that knew it.
    pub(crate) fn held(&self, door: u32) -> Option<Held> {
        let current = self.running.borrow().clone()?;
        if current.listener(door).is_some() {
            return Some(current);
        }
        let retired = self.retired.borrow();
        retired.iter().rev().find(|(known, _)| *known == door).map(|(_, held)| Rc::clone(held))
    }

    /// The plan in force, for what holds none.
    pub(crate) fn current(&self) -> Option<Held> {
        self.running.borrow().clone()
    }

    /// Whether the plan in force still knows this backend; `held` is the plan it was picked by.
    pub(crate) fn wants(&self, backend: u64, held: &Held) -> bool {
        let running = self.running.borrow();
        running.as_ref().is_some_and(|running| Rc::ptr_eq(running, held) || running.has_backend(backend))
    }

    /// Whether connections from this door end once they are idle.
    pub(crate) fn is_closing(&self, door: u32) -> bool {
        self.draining.get() || self.running.borrow().as_ref().is_none_or(|running| running.listener(door).is_none())
    }

    /// Whether every connection ends now, whatever it is doing.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Whether the drain of some backend is over, and exchanges there have to end.
    pub(crate) fn is_cutting(&self) -> bool {
        self.cutting.get()
    }

    /// Whether either is so.
    pub(crate) fn is_alarmed(&self) -> bool {
        self.stopping.get() | self.cutting.get()
    }

    /// Lets every connection end in its own way: an unanswered request gets its 503, a cut answer looks cut, and the
    /// log tells of both.
    async fn end_all(self: &Rc<Self>) {
        self.stopping.set(true);
        self.udp.borrow_mut().stop(self);
        self.clock.nudge_all();
        let last_words = async {
            while self.meter().clients.value() > 0 {
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }

    pub(crate) fn meter(&self) -> &WorkerMeter {
        &self.shared.meters[self.index]
    }

    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// 64 random bits for balancing.
    pub(crate) fn dice(&self) -> u64 {
        self.dice.borrow_mut().u64(..)
    }

    /// 80 random bits and more for request ids.
    pub(crate) fn random(&self) -> [u8; 10] {
        let bits = self.dice.borrow_mut().u128(..).to_ne_bytes();
        std::array::from_fn(|index| bits[index])
    }

    /// A box for an exchange, from the free list when there is one.
    pub(crate) fn exchange_box(&self) -> ExchangeBox {
        self.exchanges.borrow_mut().pop().unwrap_or_default()
    }

    /// Ends what is left of an exchange, and keeps its box.
    pub(crate) fn keep_exchange_box(&self, mut spare: ExchangeBox) {
        *spare = None;
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() < SPARE_EXCHANGES {
            exchanges.push(spare);
        }
    }

    /// A sibling with clearly fewer clients, if there is one.
    pub(crate) fn less_busy_sibling(&self) -> Option<usize> {
        let mine = self.meter().clients.value();
        let clients = |(index, meter): (usize, &WorkerMeter)| (meter.clients.value(), index);
        let (fewest, index) = self.shared.meters.iter().enumerate().map(clients).min()?;
        (mine > fewest + 1 + fewest / 8).then_some(index)
    }

    /// Starts serving a client that has just been accepted.
    pub(crate) fn serve(self: &Rc<Self>, socket: OwnedFd, kind: Kind, peer: IpAddr, door: u32) {
        let socket = match kind {
            Kind::Tcp => TcpStream::from_std(socket.into()).map(Socket::Tcp),
            Kind::Unix => UnixStream::from_std(socket.into()).map(Socket::Unix),
            Kind::Udp => return, // nobody connects there
        };
        // Registering fails only when the kernel has no memory for it; the client sees a reset then.
        let Ok(socket) = socket else { return };
        self.meter().accepted.add(1);
        if self.is_direct(door) {
            let client = client::Client::new(Rc::clone(self), peer, door);
            tokio::task::spawn_local(client.serve(socket, Vec::new()));
        } else {
            tokio::task::spawn_local(Arrival::new(Rc::clone(self), peer, door).serve(socket));
        }
    }

    /// Whether clients at this door speak HTTP from their first byte on.
    fn is_direct(&self, door: u32) -> bool {
        let listens = |held: &Held| held.listener(door).map(|(_, listener)| arrival::is_direct(listener));
        let now = self.running.borrow().as_ref().and_then(listens);
        now.or_else(|| self.held(door).as_ref().and_then(listens)).unwrap_or(true)
    }

    /// Makes room for a client by closing the one that has been idle for longest; false if none is idle.
    pub(crate) fn evict(&self) -> bool {
        let found = self.clock.evict_longest_idle();
        if found {
            self.shared.facts.push(Fact::ClientEvicted);
        }
        found
    }

    /// Which sibling has idle clients nobody knows: a random one is asked, and another at the next tick.
    pub(crate) fn ask_a_sibling_to_evict(&self) {
        let sibling = self.dice() as usize % self.shared.workers.len();
        if sibling != self.index {
            let _ = self.shared.workers[sibling].send(Command::Evict);
        }
    }

    /// Closes idle connections to backends, here at once and in the siblings at their next tick.
    pub(crate) fn free_descriptors(&self) {
        self.shared.calls_for_descriptors.fetch_add(1, Ordering::Relaxed);
        self.upstream.borrow_mut().clear();
    }

    fn resume(self: &Rc<Self>, doors: &mut Doors, kept: &Kept) {
        self.draining.set(kept.draining);
        *self.running.borrow_mut() = kept.running.clone().map(Rc::new);
        for (id, socket, kind) in &kept.doors {
            self.add_door(doors, *id, Arc::clone(socket), *kind);
        }
    }

    fn add_door(&self, doors: &mut Doors, id: u32, socket: Arc<ListeningSocket>, kind: Kind) {
        let added = match (kind, self.current()) {
            (Kind::Udp, Some(running)) => self.udp.borrow_mut().add(id, socket, &running, self),
            _ => doors.add(id, socket, kind),
        };
        if let Err(error) = added {
            panic!("worker {} cannot register a listening socket: {error}", self.index);
        }
    }

    fn obey(self: &Rc<Self>, command: Command, doors: &mut Doors, kept: &RefCell<Kept>) {
        match command {
            Command::Apply { running, open, retire, done } => {
                kept.borrow_mut().apply(&running, &open, &retire);
                self.apply(running, doors, open, &retire);
                let _ = done.send(());
            }
            Command::Serve { socket, kind, peer, door } => self.serve(socket, kind, peer, door),
            Command::Drain => {
                let mut kept = kept.borrow_mut();
                kept.draining = true;
                kept.doors.clear();
                self.draining.set(true);
                doors.retire_all(self);
                self.udp.borrow_mut().drain();
                self.clock.nudge_all();
            }
            Command::Evict => drop(self.evict()),
            Command::EvictFlow(meter) => self.udp.borrow_mut().evict(&meter, self),
            Command::Stop => {}
        }
    }

    fn apply(
        self: &Rc<Self>,
        running: Arc<Running>,
        doors: &mut Doors,
        open: Vec<(u32, Arc<ListeningSocket>, Kind)>,
        retire: &[u32],
    ) {
        self.upstream.borrow_mut().retain(|live| running.has_backend(live));
        self.udp.borrow_mut().apply(&running, self);
        let previous = self.running.borrow_mut().replace(Rc::new(running));
        for (id, socket, kind) in open {
            self.add_door(doors, id, socket, kind);
        }
        for id in retire {
            let mut retired = self.retired.borrow_mut();
            retired.extend(previous.clone().map(|held| (*id, held)));
            let surplus = retired.len().saturating_sub(RETIRED_DOORS);
            retired.drain(..surplus);
            drop(retired);
            doors.retire(*id, self);
            self.udp.borrow_mut().retire(*id, self);
        }
        if !retire.is_empty() {
            self.clock.nudge_all();
        }
    }

    /// Lets exchanges and tunnels at backends end whose drain is over; each finds out by itself.
    fn cut_drained(&self) {
        let drains = &self.shared.drains;
        self.cutting.set(drains.is_over(self.now()));
        if self.cutting.get() {
            self.clock.nudge_all();
        }
        if self.index == 0 {
            drains.settle(self.now(), &self.shared.facts);
        }
    }

    fn tick(self: &Rc<Self>, doors: &Doors) {
        self.clock.walk();
        doors.tick(self);
        let calls = self.shared.calls_for_descriptors.load(Ordering::Relaxed);
        if calls != self.calls_heard.replace(calls) {
            self.upstream.borrow_mut().clear();
        }
        self.cut_drained();
        self.udp.borrow_mut().tick(self, self.now());
        self.log.flush(&self.shared.log);
        self.ticks.set(self.ticks.get().wrapping_add(1));
        if self.ticks.get().is_multiple_of(SWEEP_TICKS) {
            let mut upstream = self.upstream.borrow_mut();
            let stale = upstream.sweep(self.now());
            self.meter().stale.add(stale);
            let known = self.meter().idle_upstream.value();
            self.meter().idle_upstream.sub(known);
            self.meter().idle_upstream.add(upstream.len() as u64);
        }
    }
}

impl Kept {
    fn apply(&mut self, running: &Arc<Running>, open: &[(u32, Arc<ListeningSocket>, Kind)], retire: &[u32]) {
        self.running = Some(Arc::clone(running));
        self.doors.retain(|(id, ..)| !retire.contains(id));
        self.doors.extend(open.iter().cloned());
    }
}
