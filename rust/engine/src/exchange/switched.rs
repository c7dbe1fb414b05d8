//! An exchange that has become a tunnel: who ends it, and what is told of it then.
//!
//! The exchange itself is over, and with it goes the plan that it held: a tunnel may live for days, and must not keep
//! every plan alive that was ever in force. So a `Switched` is built of what outlives plans: the backend's place (it
//! still counts as in flight), meters, and names for the log. Reloads do not reach it. It ends by itself, after the
//! pool's idle time, with the grace of a stop, or when its backend has been drained for too long. Whatever is not the
//! two ends' own goodbye is a reset on both sides: nobody may take it for one.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use plan::LogFormat;
use wire::Head;

use super::Exchange;
use super::story::{Names, Story, since};
use crate::clock::Seat;
use crate::end::Conn;
use crate::observe::meter::Meter;
use crate::pick::Stay;
use crate::tunnel::{End, Tunnel};
use crate::worker::Worker;

/// A tunnel, and the book that is closed at its end.
pub(crate) struct Switched {
    up: Box<Conn>,
    seat: Seat,
    idle_ms: u32,
    stay: Stay,
    tunnel: Tunnel,
    book: Book,
}

/// What meters and the log want to know of the request.
struct Book {
    story: Story,
    meter: Arc<Meter>,
    /// `None` where nothing is logged.
    format: Option<LogFormat>,
    head: Option<Head>,
    id: Box<[u8]>,
    client: IpAddr,
    route: Option<Box<str>>,
    pool: Option<Box<str>>,
    backend: Option<Box<str>>,
    attempts: Vec<(Box<str>, &'static str)>,
    sticky: Option<&'static str>,
}

/// Counts a tunnel for as long as it is open, panics included.
struct Presence<'a>(&'a Worker);

impl Exchange {
    /// Takes out of the exchange what its tunnel needs. The 101 has been offered to the client.
    pub(crate) fn switch(mut self, worker: &Worker) -> Switched {
        let book = Book::of(&mut self, worker);
        let (Some(up), Some(pick)) = (self.up.take(), self.pick.take()) else {
            unreachable!("who has answered was picked and is connected")
        };
        let (seat, idle_ms) = (self.seat, pick.idle_ms());
        Switched { up: up.conn, seat, idle_ms, stay: pick.stay(), tunnel: Tunnel::default(), book }
    }
}

impl Switched {
    /// Moves bytes until the tunnel ends. Both connections are of no use then.
    pub(crate) async fn run(mut self, worker: &Worker, down: &mut Conn) {
        let _presence = Presence::new(worker);
        down.become_plain();
        self.up.become_plain();
        worker.clock.expire_in(self.seat, self.idle_ms);
        let end = poll_fn(|cx| self.poll(worker, down, cx)).await;
        (self.book.story.bytes_in, self.book.story.bytes_out) = self.tunnel.moved();
        self.book.story.reason = end.reason();
        self.book.close(worker, &self.stay);
        if end != End::Clean {
            self.up.abort();
            down.abort();
        }
    }

    fn poll(&mut self, worker: &Worker, down: &mut Conn, cx: &mut Context<'_>) -> Poll<End> {
        if worker.is_stopping() {
            return Poll::Ready(End::Stopped);
        }
        if worker.is_cutting() && self.stay.is_cut(worker.now()) {
            self.stay.note_cut(worker);
            return Poll::Ready(End::Drained);
        }
        let before = self.progress(down);
        let polled = self.tunnel.poll_move(cx, down, &mut self.up, &mut worker.buffers.borrow_mut().receive);
        let after = self.progress(down);
        worker.meter().tunnel_bytes_in.add(after.moved.0 - before.moved.0);
        worker.meter().tunnel_bytes_out.add(after.moved.1 - before.moved.1);
        if after != before {
            worker.clock.expire_in(self.seat, self.idle_ms);
        } else if polled.is_pending() && worker.clock.expired(self.seat) {
            return Poll::Ready(End::Idle);
        }
        polled
    }

    fn progress(&self, down: &Conn) -> Progress {
        Progress { moved: self.tunnel.moved(), waiting: (self.up.backlog_len(), down.backlog_len()) }
    }
}

/// Bytes read, and bytes that still wait to be taken: if either changes, the tunnel is not idle.
#[derive(PartialEq, Eq)]
struct Progress {
    moved: (u64, u64),
    waiting: (usize, usize),
}

impl Book {
    /// In no more memory than it takes: the head's page goes back at once.
    fn of(exchange: &mut Exchange, worker: &Worker) -> Self {
        let attempts = exchange.attempts();
        let names = exchange.names(&attempts);
        let book = Book {
            story: exchange.story,
            meter: Arc::clone(exchange.meter()),
            format: exchange.log_format(),
            head: None,
            id: names.id.into(),
            client: names.client,
            route: names.route.map(Box::from),
            pool: names.pool.map(Box::from),
            backend: names.backend.map(Box::from),
            attempts: attempts.iter().map(|(backend, why)| (Box::from(*backend), *why)).collect(),
            sticky: names.sticky,
        };
        let pages = &mut worker.buffers.borrow_mut().pages;
        Book { head: exchange.head.take().map(|head| head.compact(pages)), ..book }
    }

    fn close(&self, worker: &Worker, stay: &Stay) {
        let took = since(self.story.started, worker.now());
        // The answer was the 101; how long the tunnel lived says nothing about anybody's speed.
        let answered = self.story.first_byte.unwrap_or(took);
        for meter in [&self.meter, stay.meter()] {
            meter.lane(worker.index).exchange(self.story.status, answered);
        }
        if let Some(format) = self.format {
            let attempts: Vec<_> = self.attempts.iter().map(|(backend, why)| (&**backend, *why)).collect();
            self.story.log(worker, took, &self.names(&attempts), format);
        }
    }

    fn names<'a>(&'a self, attempts: &'a [(&'a str, &'static str)]) -> Names<'a> {
        Names {
            id: &self.id,
            client: self.client,
            request: self.head.as_ref(),
            route: self.route.as_deref(),
            pool: self.pool.as_deref(),
            backend: self.backend.as_deref(),
            attempts,
            sticky: self.sticky,
        }
    }
}

impl<'a> Presence<'a> {
    fn new(worker: &'a Worker) -> Self {
        worker.meter().tunnels.add(1);
        worker.meter().tunnels_open.add(1);
        Presence(worker)
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.0.meter().tunnels_open.sub(1);
    }
}
