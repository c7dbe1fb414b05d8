//! What an exchange leaves behind: numbers in the meters and a line in the log.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use plan::{LogFormat, Tick};
use wire::Head;

use super::Exchange;
use crate::observe::log::Record;
use crate::observe::meter::Meter;
use crate::tls::facts::Facts;
use crate::worker::Worker;

/// What the log will tell.
#[derive(Clone, Copy)]
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

/// Who an exchange was between.
pub(super) struct Names<'a> {
    pub(super) id: &'a [u8],
    pub(super) client: IpAddr,
    pub(super) request: Option<&'a Head>,
    pub(super) route: Option<&'a str>,
    pub(super) pool: Option<&'a str>,
    pub(super) backend: Option<&'a str>,
    pub(super) attempts: &'a [(&'a str, &'static str)],
    pub(super) sticky: Option<&'static str>,
    /// More words on what went wrong with the last backend.
    pub(super) words: Option<&'a str>,
    /// What was agreed on with the client.
    pub(super) tls: Option<&'a Facts>,
}

impl Exchange {
    /// Counts and logs, and gives the head's page back.
    pub(super) fn close_book(&mut self, worker: &Worker) {
        let took = since(self.story.started, self.story.ended.unwrap_or_else(|| worker.now()));
        self.count(worker, took);
        if let Some(format) = self.log_format() {
            let attempts = self.attempts();
            self.story.log(worker, took, &self.names(&attempts), format);
        }
        if let Some(head) = self.head.take() {
            worker.buffers.borrow_mut().pages.give(head.into_page());
        }
    }

    fn count(&self, worker: &Worker, took: Duration) {
        self.meter().lane(worker.index).exchange(self.story.status, took);
        if let Some((pool, slot)) = self.story.served_by {
            self.held.record(pool, slot).meter.lane(worker.index).exchange(self.story.status, took);
        }
        worker.meter().bytes_in.add(self.story.bytes_in);
        worker.meter().bytes_out.add(self.story.bytes_out);
    }

    /// What counts this exchange, beside its backend.
    pub(super) fn meter(&self) -> &Arc<Meter> {
        let meters = self.held.meters(self.listener);
        let route = self.progress.route.and_then(|route| meters.routes.get(route as usize));
        route.unwrap_or(&meters.unrouted)
    }

    /// How it is logged, if it is.
    pub(super) fn log_format(&self) -> Option<LogFormat> {
        let log = &self.held.plan.log;
        (self.listener().access_log && log.access != plan::Sink::Off).then_some(log.format)
    }

    /// Backends that were tried in vain, and why.
    pub(super) fn attempts(&self) -> Vec<(&str, &'static str)> {
        self.tries.failed().iter().map(|(pool, slot, why)| (self.backend_name(*pool, *slot), *why)).collect()
    }

    pub(super) fn names<'a>(&'a self, attempts: &'a [(&'a str, &'static str)]) -> Names<'a> {
        Names {
            id: self.request_id(),
            client: self.client,
            request: self.head.as_ref(),
            route: self.progress.route.map(|route| &*self.http().routes[route as usize].name),
            pool: self.story.served_by.map(|(pool, _)| &*self.held.pool(pool).name),
            backend: self.story.served_by.map(|(pool, slot)| self.backend_name(pool, slot)),
            attempts,
            sticky: self.pinned(),
            words: self.tries.words.as_deref(),
            tls: self.tls.as_deref(),
        }
    }

    fn backend_name(&self, pool: u32, slot: u32) -> &str {
        &self.held.pool(pool).pool.backends()[slot as usize].name
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

    /// Writes the line of an exchange that `took` so long.
    pub(super) fn log(&self, worker: &Worker, took: Duration, names: &Names<'_>, format: LogFormat) {
        let at = worker.clock.wall(self.started) + took;
        let record = Record {
            request: names.request,
            route: names.route,
            pool: names.pool,
            backend: names.backend,
            attempts: names.attempts,
            status: Some(self.status),
            proxy_status: self.error,
            sticky: names.sticky,
            reason: self.reason.map(|reason| names.words.unwrap_or(reason)),
            tls: names.tls,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            queued: self.queued,
            connect: self.connect,
            first_byte: self.first_byte,
            total: took,
            reused: self.reused,
            leniency: names.request.and_then(Head::leniency),
            ..Record::of(at, names.id, names.client)
        };
        worker.log.write(&record, format, &worker.shared.log);
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
