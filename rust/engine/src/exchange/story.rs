//! What an exchange leaves behind: numbers in the meters and a line in the log.

use std::time::Duration;

use plan::Tick;

use super::Exchange;
use crate::observe::log::Record;
use crate::worker::Worker;

/// The status of an exchange that became a tunnel.
const SWITCHED: u16 = 101;

/// What the log will tell.
pub(super) struct Story {
    pub(super) started: Tick,
    /// Time in the pool's queue, if it had to wait there.
    pub(super) queued: Option<Duration>,
    pub(super) connect: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    pub(super) ended: Option<Tick>,
    pub(super) status: u16,
    pub(super) error: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) served_by: Option<(u32, u32)>,
    pub(super) reused: bool,
}

impl Exchange {
    /// Counts and logs, and gives the head's page back.
    pub(super) fn close_book(&mut self, worker: &Worker) {
        let took = since(self.story.started, self.story.ended.unwrap_or_else(|| worker.now()));
        self.count(worker, took);
        let log = &self.held.plan.log;
        if self.listener().access_log && log.access != plan::Sink::Off {
            self.log(worker, took);
        }
        if let Some(head) = self.head.take() {
            worker.buffers.borrow_mut().pages.give(head.into_page());
        }
    }

    fn count(&self, worker: &Worker, mut took: Duration) {
        if self.story.status == SWITCHED {
            // The answer was the 101; how long the tunnel lived says nothing about anybody's speed.
            took = self.story.first_byte.unwrap_or(took);
        }
        let meters = self.held.meters(self.listener);
        let route = self.progress.route.and_then(|route| meters.routes.get(route as usize));
        route.unwrap_or(&meters.unrouted).lane(worker.index).exchange(self.story.status, took);
        if let Some((pool, slot)) = self.story.served_by {
            self.held.record(pool, slot).meter.lane(worker.index).exchange(self.story.status, took);
        }
        // A tunnel counts its bytes while they move.
        if self.story.status != SWITCHED {
            worker.meter().bytes_in.add(self.story.bytes_in);
            worker.meter().bytes_out.add(self.story.bytes_out);
        }
    }

    fn log(&self, worker: &Worker, took: Duration) {
        let plan = &self.held.plan;
        let backend = |pool: u32, slot: u32| &*self.held.pool(pool).pool.backends()[slot as usize].name;
        let attempts: Vec<_> =
            self.tries.failed().iter().map(|(pool, slot, why)| (backend(*pool, *slot), *why)).collect();
        let route = self.progress.route.map(|route| &*self.listener().routes[route as usize].name);
        let record = Record {
            at: worker.clock.wall(self.story.started) + took,
            id: self.request_id(),
            client: self.client,
            request: self.head.as_ref(),
            route,
            pool: self.story.served_by.map(|(pool, _)| &*self.held.pool(pool).name),
            backend: self.story.served_by.map(|(pool, slot)| backend(pool, slot)),
            attempts: &attempts,
            status: self.story.status,
            proxy_status: self.story.error,
            sticky: self.pinned(),
            reason: self.story.reason,
            bytes_in: self.story.bytes_in,
            bytes_out: self.story.bytes_out,
            queued: self.story.queued,
            connect: self.story.connect,
            first_byte: self.story.first_byte,
            total: took,
            reused: self.story.reused,
            leniency: self.head.as_ref().and_then(wire::Head::leniency),
        };
        worker.log.write(&record, plan.log.format, &worker.shared.log);
    }
}

impl Story {
    pub(super) fn new(started: Tick) -> Self {
        Story {
            started,
            queued: None,
            connect: None,
            first_byte: None,
            ended: None,
            status: 0,
            error: None,
            reason: None,
            bytes_in: 0,
            bytes_out: 0,
            served_by: None,
            reused: false,
        }
    }

    /// The time now; that of the request's start, which costs no system call, while it is `first` and has not waited.
    pub(super) fn present(&self, worker: &Worker, first: bool) -> Tick {
        if first && self.queued.is_none() { self.started } else { worker.now() }
    }
}

/// The time between two moments; zero if the clock of one worker is a little behind.
pub(super) fn since(earlier: Tick, later: Tick) -> Duration {
    Duration::from_micros(later.0.saturating_sub(earlier.0))
}
