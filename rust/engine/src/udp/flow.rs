//! One flow: a client, and the socket that speaks to a backend in its name.
//!
//! The socket is connected, so the kernel lets nobody but the backend answer, and tells of it when nobody is there
//! (ICMP unreachable). That is a failure of the backend, and the flow waits without one: its next datagram goes to
//! another. Datagrams are not kept to be sent again; whoever speaks UDP does that itself. A backend that its health
//! check calls down is left in the same way, for a flow that goes on has no other moment to find out.
//!
//! A flow holds its place on the backend as tunnels do, without the plan that it was chosen by.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use plan::{Progress, Step, Stream, Tick, Until};

use super::door::{Around, Terms};
use super::meter::{Dropped, FlowMeter};
use super::outbox::Way;
use super::upstream::{Trouble, Upstream, describe, is_exhausted, open};
use crate::observe::log::Record;
use crate::pick::{Pick, Stay};
use crate::worker::Worker;

/// Backends tried for one datagram.
const TRIES: usize = 3;
/// Failures of backends that a flow remembers.
const FAILED: usize = 8;
/// Datagrams read from one backend in one go when it sends many; a power of two.
const GREEDIEST: u32 = 16;

/// A client's flow.
pub(super) struct Flow {
    upstream: Option<Upstream>,
    progress: Progress,
    /// The plan that `progress` is about.
    generation: u64,
    presence: Presence,
    counts: Counts,
    started: Tick,
    first_reply: Option<Duration>,
    /// The last round in which the backend had something to say, and how many such rounds there were in a row.
    heard: (u64, u32),
    failures: Vec<(Box<str>, &'static str)>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    datagrams_in: u64,
    datagrams_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// Counts a flow for as long as it lives, panics included.
struct Presence {
    meter: Arc<FlowMeter>,
    worker: usize,
}

/// Why a flow has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nobody said anything for the idle time.
    Idle,
    /// The backend has said all that it had to.
    Replied,
    /// The table was full, or the descriptors used up.
    Evicted,
    /// The backend's drain took too long.
    Drained,
    /// Its door is no more.
    Closed,
    /// pylb ends.
    Stopped,
    /// It never found a place on a backend.
    Unplaced,
}

impl End {
    fn reason(self) -> Option<&'static str> {
        match self {
            End::Idle | End::Replied => None,
            End::Evicted => Some("made room for another flow"),
            End::Drained => Some("drain is over"),
            End::Closed => Some("listener gone"),
            End::Stopped => Some("stopped"),
            End::Unplaced => Some("no backend for it"),
        }
    }
}

/// Why a datagram did not go on.
enum Refused {
    /// There is no backend for it.
    Dropped(Dropped),
    /// No descriptor or port is left.
    Exhausted,
}

impl Flow {
    pub(super) fn new(terms: &Terms, worker: &Worker) -> Self {
        let presence = Presence::new(&terms.meter, worker.index);
        Flow {
            upstream: None,
            progress: Progress::new(terms.listener),
            generation: 0,
            presence,
            counts: Counts::default(),
            started: worker.now(),
            first_reply: None,
            heard: (0, 0),
            failures: Vec::new(),
        }
    }

    /// Sends what the client said, datagrams of `stride` bytes of which the last may be shorter. False if descriptors
    /// are used up: then it may be tried again when another flow has ended.
    pub(super) fn forward(&mut self, way: &Way, terms: &Terms, around: &Around<'_>, call: Call<'_>) -> bool {
        for _ in 0..TRIES {
            match self.prepare(terms, around, &call) {
                Ok(()) => {}
                Err(Refused::Exhausted) => return false,
                Err(Refused::Dropped(why)) => {
                    self.presence.drop_datagrams(why, call.datagrams());
                    return true;
                }
            }
            let Some(upstream) = &self.upstream else { break };
            match upstream.send(way, &call) {
                Ok(()) => {
                    self.counts.datagrams_in += call.datagrams();
                    self.counts.bytes_in += call.run.len() as u64;
                    self.presence.count_in(call.datagrams(), call.run.len() as u64);
                    return true;
                }
                Err(error) => match Trouble::of(&error) {
                    Trouble::Lost => break,
                    Trouble::Backend(why) => self.fail(why, around),
                },
            }
        }
        self.presence.drop_datagrams(Dropped::Send, call.datagrams());
        true
    }

    /// Makes sure that there is a backend to send to.
    fn prepare(&mut self, terms: &Terms, around: &Around<'_>, call: &Call<'_>) -> Result<(), Refused> {
        if self.upstream.as_ref().is_some_and(|upstream| !upstream.stay.is_down()) {
            return Ok(());
        }
        self.leave(around);
        self.place(terms, around, call)
    }

    fn place(&mut self, terms: &Terms, around: &Around<'_>, call: &Call<'_>) -> Result<(), Refused> {
        let worker = around.worker;
        let Some(held) = worker.current() else { return Err(Refused::Dropped(Dropped::NoBackend)) };
        if self.generation != held.generation || self.progress.tried.len() > FAILED {
            self.generation = held.generation;
            self.progress = Progress::new(terms.listener);
        }
        for _ in 0..TRIES {
            let now = worker.now();
            let stream = Stream { client: call.client, now, wall: worker.clock.wall(now), dice: worker.dice() };
            let pick = match held.plan.place_stream(terms.datagrams.pool, &mut self.progress, &stream) {
                Step::Send { pool, slot } => Pick::new(held.clone(), pool, slot),
                Step::Wait { until: Until::Pinned(_), .. } => {
                    self.progress.escape();
                    continue;
                }
                Step::Wait { .. } => return Err(Refused::Dropped(Dropped::Full)),
                Step::Reply(_) => return Err(Refused::Dropped(Dropped::NoBackend)),
            };
            match open(pick.address().0, worker.descriptor_limit) {
                Ok((socket, address)) if around.ready.add(&socket, call.name).is_ok() => {
                    let stay = pick.stay();
                    self.upstream = Some(Upstream::new((socket, address), stay, now));
                    return Ok(());
                }
                Ok(_) => return self.exhausted(),
                Err(error) if is_exhausted(&error) => return self.exhausted(),
                Err(error) => {
                    let why = describe(&error);
                    pick.failed(worker, now, why);
                    self.remember(pick.name(), why);
                }
            }
        }
        Err(Refused::Dropped(Dropped::NoBackend))
    }

    /// The backend is not to blame: it may be tried again.
    fn exhausted(&mut self) -> Result<(), Refused> {
        self.progress.tried.pop();
        Err(Refused::Exhausted)
    }

    /// Datagrams to read from the backend in this round: one, and more as it goes on and on.
    pub(super) fn appetite(&mut self, round: u64) -> u32 {
        let (last, row) = self.heard;
        let row = if round - last <= 1 { (row + 1).min(GREEDIEST.ilog2()) } else { 0 };
        self.heard = (round, row);
        if row == GREEDIEST.ilog2()
            && let Some(upstream) = &mut self.upstream
        {
            upstream.expect_runs();
        }
        1 << row
    }

    /// Reads what the backend says: its length, and that of one datagram in it. `None` when there is nothing (more).
    pub(super) fn receive(&mut self, way: &Way, room: &mut [u8], around: &Around<'_>) -> Option<(usize, usize)> {
        let upstream = self.upstream.as_mut()?;
        match upstream.receive(way, room) {
            Ok(said) => {
                self.note_reply(said, around);
                Some(said)
            }
            Err(error) => {
                if let Trouble::Backend(why) = Trouble::of(&error) {
                    self.fail(why, around);
                }
                None
            }
        }
    }

    /// To be called when a socket that is ready has nothing to read.
    pub(super) fn forget_error(&self) {
        if let Some(upstream) = &self.upstream {
            upstream.forget_error();
        }
    }

    fn note_reply(&mut self, (length, stride): (usize, usize), around: &Around<'_>) {
        let datagrams = datagrams(length, stride);
        self.counts.datagrams_out += datagrams;
        self.counts.bytes_out += length as u64;
        self.presence.count_out(datagrams, length as u64);
        let Some(upstream) = &mut self.upstream else { return };
        if !upstream.has_replied || upstream.stay.has_failed() {
            upstream.has_replied = true;
            let now = around.worker.now();
            let took = now.since(upstream.since);
            upstream.stay.succeeded(around.worker, took, now);
            self.first_reply.get_or_insert(now.since(self.started));
            let ahead = self.progress.tried.len().saturating_sub(1);
            self.progress.tried.drain(..ahead);
        }
    }

    /// Whether every datagram of the client has had its replies.
    pub(super) fn is_answered(&self, replies: Option<u32>) -> bool {
        replies.is_some_and(|replies| self.counts.datagrams_out >= u64::from(replies) * self.counts.datagrams_in)
    }

    /// Whether it never had a backend.
    pub(super) fn is_stillborn(&self) -> bool {
        self.upstream.is_none() && self.counts.datagrams_in == 0 && self.failures.is_empty()
    }

    /// Whether its backend's drain is over.
    pub(super) fn is_cut(&self, now: Tick) -> bool {
        self.upstream.as_ref().is_some_and(|upstream| upstream.stay.is_cut(now))
    }

    fn fail(&mut self, why: &'static str, around: &Around<'_>) {
        let Some(upstream) = self.leave(around) else { return };
        upstream.stay.failed(around.worker, around.worker.now(), why);
        self.remember(upstream.stay.name(), why);
    }

    fn remember(&mut self, backend: &str, why: &'static str) {
        if self.failures.len() < FAILED {
            self.failures.push((backend.into(), why));
        }
    }

    fn leave(&mut self, around: &Around<'_>) -> Option<Upstream> {
        let upstream = self.upstream.take()?;
        around.ready.remove(&upstream.socket);
        Some(upstream)
    }

    /// The last of it: counts and a line for the log.
    pub(super) fn end(mut self, end: End, client: IpAddr, terms: &Terms, around: &Around<'_>) {
        let worker = around.worker;
        let upstream = self.leave(around);
        match (end, &upstream) {
            (End::Evicted, _) => self.presence.count_evicted(),
            (End::Drained, Some(upstream)) => upstream.stay.note_cut(worker),
            _ => {}
        }
        if let Some(upstream) = &upstream {
            upstream.stay.meter().lane(worker.index).flow(self.first_reply);
        }
        if let Some(format) = terms.log {
            self.log(end, client, upstream.as_ref().map(|upstream| &upstream.stay), worker, format);
        }
    }

    fn log(&self, end: End, client: IpAddr, stay: Option<&Stay>, worker: &Worker, format: plan::LogFormat) {
        let now = worker.now();
        let attempts: Vec<_> = self.failures.iter().map(|(backend, why)| (&**backend, *why)).collect();
        let record = Record {
            proto: Some("udp"),
            pool: stay.map(Stay::pool),
            backend: stay.map(Stay::name),
            attempts: &attempts,
            reason: end.reason(),
            bytes_in: self.counts.bytes_in,
            bytes_out: self.counts.bytes_out,
            first_byte: self.first_reply,
            total: now.since(self.started),
            ..Record::of(worker.clock.wall(now), b"", client)
        };
        worker.log.write(&record, format, &worker.shared.log);
    }
}

/// What a client said.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub client: IpAddr,
    pub run: &'a [u8],
    /// Bytes of each datagram in it but the last.
    pub stride: usize,
    /// What the flow's socket is called among those that are watched.
    pub name: u64,
}

impl Call<'_> {
    fn datagrams(&self) -> u64 {
        datagrams(self.run.len(), self.stride)
    }
}

/// How many datagrams a run is; an empty one is one too.
pub(super) fn datagrams(length: usize, stride: usize) -> u64 {
    length.div_ceil(stride.max(1)).max(1) as u64
}

impl Presence {
    fn new(meter: &Arc<FlowMeter>, worker: usize) -> Self {
        meter.lane(worker).flows.add(1);
        meter.lane(worker).open.add(1);
        Presence { meter: Arc::clone(meter), worker }
    }

    fn count_in(&self, datagrams: u64, bytes: u64) {
        let lane = self.meter.lane(self.worker);
        lane.datagrams_in.add(datagrams);
        lane.bytes_in.add(bytes);
    }

    fn count_out(&self, datagrams: u64, bytes: u64) {
        let lane = self.meter.lane(self.worker);
        lane.datagrams_out.add(datagrams);
        lane.bytes_out.add(bytes);
    }

    fn count_evicted(&self) {
        self.meter.lane(self.worker).evicted.add(1);
    }

    fn drop_datagrams(&self, why: Dropped, datagrams: u64) {
        self.meter.lane(self.worker).dropped[why as usize].add(datagrams);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.meter.lane(self.worker).open.sub(1);
    }
}
