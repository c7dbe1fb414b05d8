//! Layer 4: a connection that is passed on to a backend, whatever it says.
//!
//! ```text
//!   place ──> connect ──> PROXY header ──> bytes both ways ──> one line in the log
//!     ^          │
//!     └─ failed ─┘ while nothing has been sent, another backend if there is one
//! ```
//!
//! Finding a backend is `search.rs`, moving bytes a [`Relay`]. What the client says before there is a backend is kept, a
//! FIN as well: a client that has said all that it has to say is not one that has gone. A client that gets no backend is
//! reset, because a FIN would be an answer.
//!
//! Of the plan a session keeps nothing once it is connected: it lives through reloads, and ends as tunnels do.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use plan::{LogFormat, Service, Tick};

use crate::arrival::{Ends, Visitor};
use crate::clock::Seat;
use crate::end::Conn;
use crate::observe::log::Record;
use crate::observe::meter::Meter;
use crate::pick::Stay;
use crate::request_id::RequestId;
use crate::running::Held;
use crate::tunnel::End;
use crate::tunnel::relay::Relay;
use crate::worker::Worker;

mod search;

use search::Search;

/// A session that has no backend yet.
pub(crate) struct Session {
    held: Held,
    pool: u32,
    client: IpAddr,
    ends: Option<Box<Ends>>,
    book: Book,
}

/// What meters and the log want to know of a session.
struct Book {
    meter: Arc<Meter>,
    /// `None` where nothing is logged.
    format: Option<LogFormat>,
    proto: &'static str,
    client: IpAddr,
    /// The name that a client of TLS has asked for.
    name: Option<Box<[u8]>>,
    route: Option<Box<str>>,
    pool: Box<str>,
    backend: Option<Box<str>>,
    attempts: Vec<(Box<str>, &'static str)>,
    error: Option<&'static str>,
    queued: Option<Duration>,
    connect: Option<Duration>,
    reason: Option<Cow<'static, str>>,
    moved: (u64, u64),
}

/// How a session ended: the class that it is counted in.
#[derive(Clone, Copy)]
enum Outcome {
    /// It got no backend.
    Refused = 0,
    /// Both sides said goodbye.
    Clean = 200,
    /// Anything else.
    Cut = 400,
}

impl Session {
    /// For the pool of the listener at position `index`.
    pub(crate) fn to_pool(held: &Held, index: u32, pool: u32, visitor: &Visitor) -> Self {
        Session {
            held: held.clone(),
            pool,
            client: visitor.client,
            ends: visitor.ends.clone(),
            book: Book::new(held, index, pool, visitor),
        }
    }

    /// For the pool that a name is routed to, by this route of the listener at position `index`.
    pub(crate) fn by_name(
        held: &Held,
        index: u32,
        route: u32,
        pool: u32,
        name: Option<Box<[u8]>>,
        visitor: &Visitor,
    ) -> Self {
        let session = Session::to_pool(held, index, pool, visitor);
        let Service::Names(names) = &held.plan.listeners[index as usize].service else { return session };
        let route_name = names.routes.get(route as usize).map(|route| route.name.clone());
        let meter = held.meters(index).routes.get(route as usize).map_or(&session.book.meter, |meter| meter);
        let meter = Arc::clone(meter);
        Session { book: Book { proto: "tls", name, route: route_name, meter, ..session.book }, ..session }
    }

    /// Runs the session to its end.
    pub(crate) async fn run(self, worker: &Worker, seat: Seat, mut down: Conn) {
        let started = worker.now();
        let Session { held, pool, client, ends, mut book } = self;
        let mut search = Search::new(worker, seat, held, pool, client, ends);
        let found = Box::pin(search.run(&mut down)).await;
        search.note(&mut book);
        drop(search);
        match found {
            Ok(found) => {
                let idle_ms = found.pick.idle_ms();
                let (up, stay) = (found.conn, found.pick.stay());
                let unproven = book.connect;
                let mut relay = Relay { up, stay, seat, idle_ms, unproven, meter: |worker| &worker.sessions };
                let (end, moved) = relay.run(worker, &mut down).await;
                (book.moved, book.reason) = (moved, end.reason().map(Cow::Borrowed));
                let outcome = if end == End::Clean { Outcome::Clean } else { Outcome::Cut };
                book.count_at(worker, &relay.stay, end);
                book.close(worker, started, outcome, &down);
            }
            Err(lost) => {
                down.become_plain();
                down.abort();
                (book.reason, book.error) = (Some(lost.reason), lost.error);
                book.close(worker, started, Outcome::Refused, &down);
            }
        }
    }
}

impl Book {
    fn new(held: &Held, index: u32, pool: u32, visitor: &Visitor) -> Self {
        let log = &held.plan.log;
        let is_logged = held.plan.listeners[index as usize].access_log && log.access != plan::Sink::Off;
        Book {
            meter: Arc::clone(&held.meters(index).unrouted),
            format: is_logged.then_some(log.format),
            proto: "tcp",
            client: visitor.client,
            name: None,
            route: None,
            pool: held.pool(pool).name.clone(),
            backend: None,
            attempts: Vec::new(),
            error: None,
            queued: None,
            connect: None,
            reason: None,
            moved: (0, 0),
        }
    }

    /// What the backend's own meter hears: it has failed if it was the one that broke off.
    fn count_at(&self, worker: &Worker, stay: &Stay, end: End) {
        let outcome = if end == End::Backend { Outcome::Refused } else { Outcome::Clean };
        stay.meter().lane(worker.index).exchange(outcome as u16, self.connect.unwrap_or_default());
    }

    fn close(&self, worker: &Worker, started: Tick, outcome: Outcome, down: &Conn) {
        let total = Duration::from_micros(worker.now().0.saturating_sub(started.0));
        self.meter.lane(worker.index).exchange(outcome as u16, total);
        let Some(format) = self.format else { return };
        let at = worker.clock.wall(started) + total;
        let id = RequestId::new(at, worker.random());
        let attempts: Vec<_> = self.attempts.iter().map(|(backend, why)| (&**backend, *why)).collect();
        let record = Record {
            proto: Some(self.proto),
            host: self.name.as_deref(),
            route: self.route.as_deref(),
            pool: Some(&self.pool),
            backend: self.backend.as_deref(),
            attempts: &attempts,
            proxy_status: self.error,
            reason: self.reason.as_deref(),
            tls: down.socket().tls().map(|facts| &**facts),
            bytes_in: self.moved.0,
            bytes_out: self.moved.1,
            queued: self.queued,
            connect: self.connect,
            total,
            ..Record::of(at, id.as_bytes(), self.client)
        };
        worker.log.write(&record, format, &worker.shared.log);
    }
}
