//! A door for datagrams: one worker's socket of one bind, and the flows that came in by it.
//!
//! The kernel spreads clients over the workers' sockets by a hash of their addresses (`SO_REUSEPORT`), and as long as
//! the set of sockets stays the same, so does the worker of each. So a flow belongs to its door, and nobody else has to
//! know of it.

use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use plan::{Datagrams, LogFormat, Service, Sink, Tick};
use quinn_udp::{BATCH_SIZE, RecvMeta};

use super::flow::{Call, End, Flow, datagrams};
use super::meter::{Dropped, FlowMeter};
use super::options;
use super::outbox::{LARGEST, Outbox, Way};
use super::ready::Ready;
use super::table::{Key, Table};
use crate::fork::ListeningSocket;
use crate::running::Running;
use crate::worker::Worker;

/// Reads of many datagrams before others get their turn.
const READS: usize = 4;
/// Flows ended by one tick, so that thousands that end at once hold nobody up.
const SWEEP: usize = 512;
/// Milliseconds of silence after which a flow ends while pylb does.
const LAST_CALL_MS: u64 = 1_000;

/// A socket for clients, and their flows.
pub(super) struct Door {
    pub id: u32,
    way: Way,
    /// Its socket takes what is sent to any address of the machine, so replies have to name theirs.
    is_wide: bool,
    table: Table<Flow>,
    terms: Terms,
}

/// What the plan in force says about a door's flows.
pub(super) struct Terms {
    pub listener: u32,
    pub datagrams: Datagrams,
    pub meter: Arc<FlowMeter>,
    /// `None` where nothing is logged.
    pub log: Option<LogFormat>,
    /// Flows that this door may have while the listener has too many.
    share: usize,
}

/// What a door works with that is not its own.
pub(super) struct Around<'a> {
    pub worker: &'a Rc<Worker>,
    pub ready: &'a Ready,
    /// Counts the times that sockets were asked.
    pub round: u64,
    pub is_draining: bool,
}

/// Room for many datagrams of clients; only what is written to is ever touched.
pub(super) struct Inbox {
    bytes: Box<[u8]>,
    met: [RecvMeta; BATCH_SIZE],
}

/// Distance of two datagrams' rooms: not a power of two, or their first lines would fight for the same few places of
/// the processor's cache.
const STEP: usize = LARGEST + 320;

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox { bytes: vec![0; STEP * BATCH_SIZE].into(), met: [RecvMeta::default(); BATCH_SIZE] }
    }

    /// How many runs of datagrams have come.
    fn receive(&mut self, way: &Way) -> io::Result<usize> {
        let mut rooms = self.bytes.chunks_mut(STEP);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rooms.next().unwrap_or_default()));
        way.state.recv((&*way.socket).into(), &mut slices, &mut self.met)
    }

    fn run(&self, position: usize) -> (&RecvMeta, &[u8]) {
        let met = &self.met[position];
        (met, &self.bytes[position * STEP..][..met.len])
    }
}

impl Terms {
    /// Of a door of this number; nothing if its listener is gone or does something else.
    pub(super) fn of(running: &Running, door: u32, worker: &Worker) -> Option<Terms> {
        let (index, listener) = running.listener(door)?;
        let Service::Udp(datagrams) = listener.service else { return None };
        let log = &running.plan.log;
        let sockets = listener.binds.len() * worker.shared.workers.len();
        let bound = u64::from(datagrams.flows).min(worker.descriptor_limit / 2).max(1);
        Some(Terms {
            listener: index,
            datagrams: Datagrams { flows: bound as u32, ..datagrams },
            meter: Arc::clone(&running.meters(index).flows),
            log: (listener.access_log && log.access != Sink::Off).then_some(log.format),
            share: (bound as usize / sockets).max(1),
        })
    }
}

impl Door {
    pub(super) fn new(id: u32, socket: Arc<ListeningSocket>, terms: Terms) -> io::Result<Self> {
        let address = socket2::SockRef::from(&*socket).local_addr()?.as_socket();
        let is_v6 = address.is_some_and(|address| address.is_ipv6());
        let is_wide = address.is_none_or(|address| address.ip().is_unspecified());
        let state = options::prepare_door(&socket, is_v6, is_wide)?;
        Ok(Door { id, way: Way { socket, state }, is_wide, table: Table::new(), terms })
    }

    pub(super) fn socket(&self) -> &impl AsFd {
        &*self.way.socket
    }

    pub(super) fn flows(&self) -> usize {
        self.table.len()
    }

    pub(super) fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    pub(super) fn is_of(&self, meter: &Arc<FlowMeter>) -> bool {
        Arc::ptr_eq(&self.terms.meter, meter)
    }

    /// Passes on what clients have said. Gives the listener if it has too many flows, and none too many are here.
    pub(super) fn hear_clients(&mut self, name: u64, inbox: &mut Inbox, around: &Around<'_>) -> Option<Arc<FlowMeter>> {
        let mut crowded = false;
        for _ in 0..READS {
            let count = inbox.receive(&self.way).unwrap_or(0);
            for position in 0..count {
                let (met, run) = inbox.run(position);
                let local = met.dst_ip.filter(|_| self.is_wide);
                let key = Key { client: met.addr, local };
                crowded |= self.forward(key, run, met.stride, name, around);
            }
            if count < BATCH_SIZE {
                break;
            }
        }
        crowded.then(|| Arc::clone(&self.terms.meter))
    }

    /// Says whether another door of the listener has to let a flow go for this one's.
    fn forward(&mut self, key: Key, run: &[u8], stride: usize, name: u64, around: &Around<'_>) -> bool {
        let now_ms = around.worker.clock.coarse_ms();
        let (number, crowded) = match self.table.find(&key) {
            Some(number) => {
                self.table.touch(number, now_ms);
                (number, false)
            }
            None if around.is_draining => {
                self.count_drop(Dropped::Draining, datagrams(run.len(), stride), around);
                return false;
            }
            None => {
                let crowded = !self.make_room(around);
                let flow = Flow::new(&self.terms, around.worker);
                (self.table.insert(key, flow, now_ms), crowded)
            }
        };
        let client = key.client.ip().to_canonical();
        let call = Call { client, run, stride, name: name | (u64::from(number) + 1) };
        if !self.try_forward(number, call, around) {
            self.free_descriptor(number, around);
            if !self.try_forward(number, call, around) {
                self.count_drop(Dropped::Exhausted, datagrams(run.len(), stride), around);
            }
        }
        if let Some((_, flow)) = self.table.flow(number)
            && flow.is_stillborn()
        {
            self.end(number, End::Unplaced, around);
        }
        crowded
    }

    fn try_forward(&mut self, number: u32, call: Call<'_>, around: &Around<'_>) -> bool {
        let flow = self.table.flow(number);
        flow.is_none_or(|(_, flow)| flow.forward(&self.way, &self.terms, around, call))
    }

    fn count_drop(&self, why: Dropped, datagrams: u64, around: &Around<'_>) {
        self.terms.meter.lane(around.worker.index).dropped[why as usize].add(datagrams);
    }

    /// Whether there is room for one more flow, the oldest may have to go. If others have more than their share of what
    /// there is, one of theirs has to, a moment later.
    fn make_room(&mut self, around: &Around<'_>) -> bool {
        if self.terms.meter.sum(|lane| &lane.open) < u64::from(self.terms.datagrams.flows) {
            return true;
        }
        if self.table.len() < self.terms.share {
            return false;
        }
        self.evict(around)
    }

    /// Ends the flow that has been silent for longest; false if there is none.
    pub(super) fn evict(&mut self, around: &Around<'_>) -> bool {
        let Some((oldest, _)) = self.table.oldest() else { return false };
        self.end(oldest, End::Evicted, around);
        true
    }

    /// When the flow that has been silent for longest was heard of.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.table.oldest().map(|(_, heard_ms)| heard_ms)
    }

    /// Lets the oldest flow but this one go, and idle connections to backends.
    fn free_descriptor(&mut self, kept: u32, around: &Around<'_>) {
        match self.table.oldest() {
            Some((oldest, _)) if oldest != kept => self.end(oldest, End::Evicted, around),
            _ => around.worker.free_descriptors(),
        }
    }

    /// Puts what a backend has said into the outbox.
    pub(super) fn hear_backend(&mut self, number: u32, outbox: &mut Outbox, around: &Around<'_>) {
        let Some((key, flow)) = self.table.flow(number) else { return };
        let (key, mut heard) = (*key, false);
        for _ in 0..flow.appetite(around.round) {
            let Some((length, stride)) = flow.receive(&self.way, outbox.room(&self.way), around) else { break };
            heard = true;
            outbox.push(&self.way, &key, length, stride);
            if flow.is_answered(self.terms.datagrams.replies) {
                self.end(number, End::Replied, around);
                return;
            }
        }
        if heard {
            self.table.touch(number, around.worker.clock.coarse_ms());
        } else {
            flow.forget_error();
        }
    }

    /// Sends the replies that wait.
    pub(super) fn send(&self, outbox: &mut Outbox) {
        outbox.send(&self.way);
    }

    /// Ends flows that have been silent for too long.
    pub(super) fn sweep(&mut self, around: &Around<'_>) {
        let idle_ms = u64::from(self.terms.datagrams.idle_ms);
        let idle_ms = if around.is_draining { idle_ms.min(LAST_CALL_MS) } else { idle_ms };
        let now_ms = around.worker.clock.coarse_ms();
        for _ in 0..SWEEP {
            match self.table.oldest() {
                Some((number, heard_ms)) if heard_ms + idle_ms <= now_ms => self.end(number, End::Idle, around),
                _ => return,
            }
        }
    }

    /// Ends flows at backends whose drain is over.
    pub(super) fn cut(&mut self, now: Tick, around: &Around<'_>) {
        for number in self.table.numbers(|flow| flow.is_cut(now)) {
            self.end(number, End::Drained, around);
        }
    }

    /// Ends all flows.
    pub(super) fn close(&mut self, end: End, around: &Around<'_>) {
        around.ready.remove(&*self.way.socket);
        for number in self.table.numbers(|_| true) {
            self.end(number, end, around);
        }
    }

    fn end(&mut self, number: u32, end: End, around: &Around<'_>) {
        if let Some((key, flow)) = self.table.remove(number) {
            let client: IpAddr = key.client.ip().to_canonical();
            flow.end(end, client, &self.terms, around);
        }
    }
}
