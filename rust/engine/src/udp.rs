//! Datagrams: flows between clients and backends, on one task per worker.
//!
//! UDP has no connections, so what belongs together is guessed from addresses: what one client sends to one address of
//! ours is a *flow*, goes to one backend, and what that says goes back to this client and nobody else. A flow has a
//! connected socket of its own towards its backend (`flow.rs`), and ends after silence, after the replies that were
//! announced, or when there is no room and it is the oldest (`table.rs`).
//!
//! ```text
//!   client --recvmmsg--> door's socket --table--> flow --send--> backend
//!   client <--sendmmsg-- outbox <--recv-- flow's socket <------- backend
//! ```
//!
//! What costs is not the bytes but being woken for each datagram. So a worker has one poll instance for all of its
//! sockets for datagrams (`ready.rs`). In each round it asks which have something, reads from those, and what backends
//! have said leaves in batches (`outbox.rs`). A round is bounded, and streams get their turn between two of them.
//!
//! Reloads do not reach a flow: it belongs to a door, and doors outlive plans. Nothing here waits; what cannot be sent
//! now is lost, as it might be on any way, and counted.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use plan::Tick;
use rustix::event::epoll::Event;

use crate::fork::ListeningSocket;
use crate::running::Running;
use crate::shared::Command;
use crate::worker::Worker;

mod door;
mod flow;
pub(crate) mod meter;
mod options;
mod outbox;
mod ready;
mod table;
mod upstream;

use door::{Around, Door, Inbox, Terms};
use flow::End;
use meter::FlowMeter;
use outbox::Outbox;
use ready::{EVENTS, Ready};

/// One worker's doors for datagrams.
#[derive(Default)]
pub(crate) struct Udp {
    /// By position, which is a part of the names of sockets; taken again when a door is gone.
    doors: Vec<Option<Door>>,
    /// Made for the first door.
    tools: Option<Box<Tools>>,
    round: u64,
    is_draining: bool,
}

struct Tools {
    ready: Ready,
    events: Vec<Event>,
    inbox: Inbox,
    outbox: Outbox,
}

/// Bits of a socket's name that say which flow of a door it belongs to, counted from 1; 0 is the door's own.
const FLOW_BITS: u32 = 32;

impl Udp {
    /// Opens a door with the plan in force.
    ///
    /// # Errors
    /// No descriptor for the poll instance, or it does not take the socket.
    pub(crate) fn add(
        &mut self,
        id: u32,
        socket: Arc<ListeningSocket>,
        running: &Running,
        worker: &Worker,
    ) -> std::io::Result<()> {
        let Some(terms) = Terms::of(running, id, worker) else { return Ok(()) };
        let tools = match &mut self.tools {
            Some(tools) => tools,
            none => none.insert(Box::new(Tools::new()?)),
        };
        let free = self.doors.iter().position(Option::is_none);
        let position = free.unwrap_or(self.doors.len());
        let door = Door::new(id, socket, terms)?;
        tools.ready.add(door.socket(), name_of(position))?;
        if free.is_none() {
            self.doors.push(None);
        }
        self.doors[position] = Some(door);
        Ok(())
    }

    /// A plan is in force: what it says about flows is true from now on, also for those that there are.
    pub(crate) fn apply(&mut self, running: &Running, worker: &Worker) {
        for door in self.doors.iter_mut().flatten() {
            if let Some(terms) = Terms::of(running, door.id, worker) {
                door.set_terms(terms);
            }
        }
    }

    /// Passes on what waits at a door, and closes it.
    pub(crate) fn retire(&mut self, id: u32, worker: &Rc<Worker>) {
        let position = self.doors.iter().position(|door| door.as_ref().is_some_and(|door| door.id == id));
        if let Some(position) = position {
            self.hear([name_of(position)].into_iter(), worker);
            self.close(position, End::Closed, worker);
        }
    }

    /// No new flows any more; those that there are end after a short silence.
    pub(crate) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Ends all flows.
    pub(crate) fn stop(&mut self, worker: &Rc<Worker>) {
        for position in 0..self.doors.len() {
            self.close(position, End::Stopped, worker);
        }
    }

    /// Ends a flow of a listener that has too many: the one that has been silent for longest.
    pub(crate) fn evict(&mut self, meter: &Arc<FlowMeter>, worker: &Rc<Worker>) {
        let Some(tools) = &self.tools else { return };
        let around = Around { worker, ready: &tools.ready, round: self.round, is_draining: self.is_draining };
        let own = self.doors.iter_mut().flatten().filter(|door| door.is_of(meter));
        if let Some(door) = own.filter(|door| door.flows() > 0).min_by_key(|door| door.oldest_ms()) {
            door.evict(&around);
        }
    }

    /// Ends flows that are due.
    pub(crate) fn tick(&mut self, worker: &Rc<Worker>, now: Tick) {
        let is_draining = self.is_draining;
        let Some(tools) = &self.tools else { return };
        let around = Around { worker, ready: &tools.ready, round: self.round, is_draining };
        for door in self.doors.iter_mut().flatten() {
            door.sweep(&around);
            if worker.is_cutting() {
                door.cut(now, &around);
            }
        }
        if is_draining {
            let empty = |door: &Option<Door>| door.as_ref().is_some_and(|door| door.flows() == 0);
            for position in (0..self.doors.len()).filter(|&at| empty(&self.doors[at])).collect::<Vec<_>>() {
                self.close(position, End::Closed, worker);
            }
        }
    }

    /// One round, if anybody has said anything. Never ready.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, worker: &Rc<Worker>) -> Poll<()> {
        let Some(tools) = &mut self.tools else { return Poll::Pending };
        let mut events = std::mem::take(&mut tools.events);
        if tools.ready.poll(cx, &mut events).is_ready() {
            self.hear(events.iter().map(|event| event.data.u64()), worker);
            cx.waker().wake_by_ref();
        }
        if let Some(tools) = &mut self.tools {
            tools.events = events;
        }
        Poll::Pending
    }

    /// Hears everybody who has something to say.
    fn hear(&mut self, names: impl Iterator<Item = u64>, worker: &Rc<Worker>) {
        let Some(tools) = &mut self.tools else { return };
        self.round += 1;
        let Tools { ready, inbox, outbox, .. } = &mut **tools;
        let around = Around { worker, ready, round: self.round, is_draining: self.is_draining };
        let mut crowded = None;
        let mut speaking = usize::MAX;
        for name in names {
            let (position, flow) = ((name >> FLOW_BITS) as usize, name as u32);
            if position != speaking {
                if let Some(Some(before)) = self.doors.get(speaking) {
                    before.send(outbox);
                }
                speaking = position;
            }
            let Some(Some(door)) = self.doors.get_mut(position) else { continue };
            match flow.checked_sub(1) {
                Some(number) => door.hear_backend(number, outbox, &around),
                None => crowded = door.hear_clients(name, inbox, &around).or(crowded),
            }
        }
        if let Some(Some(door)) = self.doors.get(speaking) {
            door.send(outbox);
        }
        if let Some(meter) = crowded {
            self.make_room(meter, worker);
        }
    }

    /// Whoever has the most flows of a listener lets one go.
    fn make_room(&mut self, meter: Arc<FlowMeter>, worker: &Rc<Worker>) {
        match meter.fullest() {
            own if own == worker.index => self.evict(&meter, worker),
            other => drop(worker.shared.workers[other].send(Command::EvictFlow(meter))),
        }
    }

    fn close(&mut self, position: usize, end: End, worker: &Rc<Worker>) {
        let Some(tools) = &self.tools else { return };
        let around = Around { worker, ready: &tools.ready, round: self.round, is_draining: self.is_draining };
        if let Some(mut door) = self.doors[position].take() {
            door.close(end, &around);
        }
    }
}

impl Tools {
    fn new() -> std::io::Result<Self> {
        let events = Vec::with_capacity(EVENTS);
        Ok(Tools { ready: Ready::new()?, events, inbox: Inbox::new(), outbox: Outbox::new() })
    }
}

fn name_of(door: usize) -> u64 {
    (door as u64) << FLOW_BITS
}
