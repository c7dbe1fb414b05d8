//! What happens between accept(2) and a protocol.
//!
//! ```text
//!   accept ─> PROXY header ─> ClientHello, route by name ─> TLS ─┬─> Client (HTTP)
//!             from listed     protocol: tls                      ├─> Session (TCP)
//!             peers           └──────────────────────────────────┘ not decrypted
//! ```
//!
//! Whoever speaks HTTP in clear and without a PROXY header has no arrival: its task is the [`Client`]'s from the first
//! byte on. Everybody else has little time and little room here, and is told nothing: what does not begin as it has to
//! is closed with one line in the log. A connection that never sent a byte is not worth a line, since checks of health
//! look like that.
//!
//! What was read here and belongs to what follows travels on with the socket, as `early`.

use std::borrow::Cow;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::Poll;

use plan::{Listener, NameAction, Names, Service};
use wire::client_hello::{self, Hello};
use wire::proxy_protocol::{self, Header};

use crate::client::Client;
use crate::clock::Seat;
use crate::end::Conn;
use crate::observe::log::Record;
use crate::observe::meter::Shaken;
use crate::presence::Presence;
use crate::request_id::RequestId;
use crate::running::Held;
use crate::socket::Socket;
use crate::tcp::Session;
use crate::tls::handshake::{self, Fault, Knock, Patience, TlsFailure};
use crate::worker::Worker;

/// Somebody at a door who has to say something first.
pub(crate) struct Arrival {
    worker: Rc<Worker>,
    peer: IpAddr,
    door: u32,
}

/// A connection on its way in.
pub(crate) struct Visitor {
    pub socket: Socket,
    /// Bytes that were read and are for whoever comes next.
    pub early: Vec<u8>,
    /// Who is at the other end, or behind it.
    pub client: IpAddr,
    /// Where it comes from and what it went to, as a PROXY header said.
    pub ends: Option<Box<Ends>>,
}

/// Source and destination of a connection.
pub(crate) type Ends = (SocketAddr, SocketAddr);

/// Where a visitor goes on.
enum Guest {
    Http(Client, Visitor),
    Tcp(Box<Session>, Conn),
}

/// Which listener it is for, or which pool.
enum Way {
    /// This listener, behind this door.
    Into(u32, u32),
    Through(Box<Session>),
}

/// Why it does not go on.
pub(crate) enum Refusal {
    /// It left, or never said a word.
    Silent,
    Because(Cow<'static, str>),
}

/// What the bytes so far come to.
enum Verdict<T> {
    Done(T),
    More,
    Bad(&'static str),
}

/// Whether clients of this listener speak HTTP from their first byte on.
pub(crate) fn is_direct(listener: &Listener) -> bool {
    matches!(listener.service, Service::Http(_)) && listener.tls.is_none() && listener.proxy_from.is_empty()
}

impl From<TlsFailure> for Refusal {
    fn from(failure: TlsFailure) -> Self {
        match failure.fault {
            Fault::Stopped => Refusal::Silent,
            _ => Refusal::Because(failure.why),
        }
    }
}

impl Arrival {
    pub(crate) fn new(worker: Rc<Worker>, peer: IpAddr, door: u32) -> Self {
        Presence::announce(&worker);
        Arrival { worker, peer, door }
    }

    /// The body of the connection's task.
    pub(crate) async fn serve(self, socket: Socket) {
        let presence = poll_fn(|cx| Poll::Ready(Presence::new(&self.worker, cx))).await;
        let visitor = Visitor { socket, early: Vec::new(), client: self.peer, ends: None };
        match Box::pin(self.come_in(visitor, presence.seat)).await {
            Some(Guest::Http(client, visitor)) => {
                drop(presence);
                client.serve(visitor.socket, visitor.early).await;
            }
            Some(Guest::Tcp(session, conn)) => Box::pin(session.run(&self.worker, presence.seat, conn)).await,
            None => {}
        }
    }

    async fn come_in(&self, mut visitor: Visitor, seat: Seat) -> Option<Guest> {
        let held = self.worker.held(self.door)?;
        let (index, listener) = held.listener(self.door)?;
        let mut client = self.peer;
        let guest = async {
            let way = self.find_way(&held, index, &mut visitor, seat).await;
            client = visitor.client;
            match way? {
                Way::Through(session) => Ok(Guest::Tcp(session, Conn::with_ahead(visitor.socket, visitor.early))),
                Way::Into(index, door) => self.enter(&held, index, door, visitor, seat).await,
            }
        };
        match guest.await {
            Ok(guest) => Some(guest),
            Err(refusal) => {
                self.turn_away(&held, listener, client, refusal);
                None
            }
        }
    }

    /// What comes before any protocol, and what the listener at this position makes of it.
    async fn find_way(&self, held: &Held, index: u32, visitor: &mut Visitor, seat: Seat) -> Result<Way, Refusal> {
        let listener = &held.plan.listeners[index as usize];
        self.worker.clock.expire_in(seat, listener.hello_ms);
        if wire::forwarded::is_trusted(self.peer, &listener.proxy_from) {
            self.read_proxy_header(visitor, seat).await?;
        }
        let Service::Names(names) = &listener.service else { return Ok(Way::Into(index, self.door)) };
        let (name, found) = self.read(visitor, seat, |bytes| route_by_name(names, bytes)).await?;
        let Some((route, action)) = found else {
            return Err(Refusal::Because(unknown_name(name.as_deref()).into()));
        };
        match action {
            NameAction::Pool(pool) => {
                Ok(Way::Through(Box::new(Session::by_name(held, index, route, pool, name, visitor))))
            }
            NameAction::Terminate(target) => match held.inner_door(target) {
                Some(door) => Ok(Way::Into(target, door)),
                None => Err(Refusal::Because("the name's listener has no TLS".into())),
            },
        }
    }

    /// Ends TLS where there is some, and hands over to whoever speaks the listener's protocol.
    async fn enter(
        &self,
        held: &Held,
        index: u32,
        door: u32,
        mut visitor: Visitor,
        seat: Seat,
    ) -> Result<Guest, Refusal> {
        let listener = &held.plan.listeners[index as usize];
        if listener.tls.is_some() {
            visitor = self.end_tls(held, index, visitor, seat).await?;
        }
        match &listener.service {
            Service::Http(_) => {
                let ends = visitor.ends.take();
                let client = Client::new(Rc::clone(&self.worker), visitor.client, door).behind(ends);
                Ok(Guest::Http(client, visitor))
            }
            Service::Tcp { pool } => {
                let session = Session::to_pool(held, index, *pool, &visitor);
                Ok(Guest::Tcp(Box::new(session), Conn::with_ahead(visitor.socket, visitor.early)))
            }
            Service::Udp(_) | Service::Names(_) => Err(Refusal::Silent),
        }
    }

    /// What comes back speaks plaintext.
    async fn end_tls(&self, held: &Held, index: u32, mut visitor: Visitor, seat: Seat) -> Result<Visitor, Refusal> {
        let Some(tls) = held.tls.server(index) else { return Err(Refusal::Silent) };
        let patience = Patience { seat, ms: held.plan.listeners[index as usize].tls_handshake_ms };
        self.worker.clock.expire_in(seat, patience.ms);
        self.read(&mut visitor, seat, |_| Verdict::Done(())).await?;
        let knock = Knock { socket: visitor.socket, early: visitor.early };
        let result = handshake::accept(&self.worker, knock, tls, patience).await;
        let shaken = match &result {
            Ok(socket) if socket.tls().is_some_and(|facts| facts.resumed) => Shaken::Resumed,
            Ok(_) => Shaken::Full,
            Err(_) => Shaken::Failed,
        };
        held.meters(index).handshakes.count(self.worker.index, shaken);
        let socket = result?;
        Ok(Visitor { socket, early: Vec::new(), ..visitor })
    }

    async fn read_proxy_header(&self, visitor: &mut Visitor, seat: Seat) -> Result<(), Refusal> {
        let header = self.read(visitor, seat, |bytes| match proxy_protocol::read(bytes) {
            Header::Done { source, used } => Verdict::Done((source, used)),
            Header::More => Verdict::More,
            Header::Bad(why) => Verdict::Bad(why),
        });
        let (source, used) = header.await?;
        visitor.early.drain(..used);
        if let Some(ends) = source {
            visitor.client = ends.0.ip();
            visitor.ends = Some(Box::new(ends));
        }
        Ok(())
    }

    /// Reads until `judge` has seen enough of what came so far; what it has seen stays in `early`.
    async fn read<T>(
        &self,
        visitor: &mut Visitor,
        seat: Seat,
        judge: impl Fn(&[u8]) -> Verdict<T>,
    ) -> Result<T, Refusal> {
        let mut is_new = !visitor.early.is_empty();
        poll_fn(|cx| {
            loop {
                if std::mem::take(&mut is_new) {
                    match judge(&visitor.early) {
                        Verdict::Done(verdict) => return Poll::Ready(Ok(verdict)),
                        Verdict::Bad(why) => return Poll::Ready(Err(Refusal::Because(why.into()))),
                        Verdict::More => {}
                    }
                }
                let receive = &mut self.worker.buffers.borrow_mut().receive;
                match visitor.socket.poll_read(cx, receive) {
                    Poll::Pending if self.worker.is_stopping() => return Poll::Ready(Err(Refusal::Silent)),
                    Poll::Pending if !self.worker.clock.expired(seat) => return Poll::Pending,
                    Poll::Ready(Ok(count)) if count > 0 => visitor.early.extend_from_slice(&receive[..count]),
                    _ if visitor.early.is_empty() => return Poll::Ready(Err(Refusal::Silent)),
                    Poll::Pending => return Poll::Ready(Err(Refusal::Because("too slow to begin".into()))),
                    Poll::Ready(_) => return Poll::Ready(Err(Refusal::Because("left before it had begun".into()))),
                }
                is_new = true;
            }
        })
        .await
    }

    /// Closes without a word to the visitor, and with one to the log.
    fn turn_away(&self, held: &Held, listener: &Listener, client: IpAddr, refusal: Refusal) {
        let Refusal::Because(why) = refusal else { return };
        let worker = &self.worker;
        worker.meter().turned_away.add(1);
        let log = &held.plan.log;
        if !listener.access_log || log.access == plan::Sink::Off {
            return;
        }
        let is_tls = listener.tls.is_some() || matches!(listener.service, Service::Names(_));
        let proto = if is_tls { "tls" } else { "tcp" };
        let at = worker.clock.wall(worker.now());
        let id = RequestId::new(at, worker.random());
        let record = Record { proto: Some(proto), reason: Some(&why), ..Record::of(at, id.as_bytes(), client) };
        worker.log.write(&record, log.format, &worker.shared.log);
    }
}

/// The name that a client asks for, and the route that it takes.
type Named = (Option<Box<[u8]>>, Option<(u32, NameAction)>);

fn route_by_name(names: &Names, bytes: &[u8]) -> Verdict<Named> {
    match client_hello::read(bytes) {
        Hello::Done(hello) => {
            let protocols: Vec<&[u8]> = hello.alpn().collect();
            let found = names.find(hello.sni(), &protocols).map(|(position, route)| (position, route.action));
            Verdict::Done((hello.sni().map(Box::from), found))
        }
        Hello::More => Verdict::More,
        Hello::Bad(why) => Verdict::Bad(why),
    }
}

fn unknown_name(name: Option<&[u8]>) -> String {
    match name {
        Some(name) => format!("no route for {}", String::from_utf8_lossy(name)),
        None => "no route for a client that names nobody".to_owned(),
    }
}
