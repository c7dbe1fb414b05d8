//! An exchange that has become a tunnel.
//!
//! The exchange itself is over, and with it goes the plan that it held. So a `Switched` keeps, beside its [`Relay`], only
//! meters, and names for the log.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use plan::LogFormat;
use wire::Head;

use super::Exchange;
use super::story::{Names, Story, since};
use crate::end::Conn;
use crate::observe::meter::Meter;
use crate::pick::Stay;
use crate::tls::facts::Facts;
use crate::tunnel::relay::Relay;
use crate::worker::Worker;

/// A tunnel, and the book that is closed at its end.
pub(crate) struct Switched {
    relay: Relay,
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
    tls: Option<Rc<Facts>>,
}

impl Exchange {
    /// Takes out of the exchange what its tunnel needs. The 101 has been offered to the client.
    pub(crate) fn switch(mut self, worker: &Worker) -> Switched {
        let book = Book::of(&mut self, worker);
        let (Some(up), Some(pick)) = (self.up.take(), self.pick.take()) else {
            unreachable!("who has answered was picked and is connected")
        };
        let idle_ms = pick.idle_ms();
        let relay = Relay {
            up: up.conn,
            stay: pick.stay(),
            seat: self.seat,
            idle_ms,
            unproven: None,
            meter: |worker| &worker.tunnels,
        };
        Switched { relay, book }
    }
}

impl Switched {
    /// Moves bytes until the tunnel ends. Both connections are of no use then.
    pub(crate) async fn run(mut self, worker: &Worker, down: &mut Conn) {
        let (end, moved) = self.relay.run(worker, down).await;
        (self.book.story.bytes_in, self.book.story.bytes_out) = moved;
        self.book.story.reason = end.reason();
        self.book.close(worker, &self.relay.stay);
    }
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
            tls: exchange.tls.clone(),
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
            words: None,
            tls: self.tls.as_deref(),
        }
    }
}
