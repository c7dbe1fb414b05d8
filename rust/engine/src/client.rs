//! One client connection: requests one after the other, until either side has had enough.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use wire::Blame;

use crate::arrival::Ends;
use crate::clock::Seat;
use crate::end::Conn;
use crate::exchange::{After, Exchange};
use crate::failure::Failure;
use crate::observe::log::Record;
use crate::presence::Presence;
use crate::reply::{Answer, Asker};
use crate::request_id::RequestId;
use crate::socket::Socket;
use crate::worker::{ExchangeBox, Worker};

/// How long a closing connection is read from, so that what the client still sends does not make the kernel
/// reset the connection before the client has read its answer (RFC 9112, 9.6).
const LINGER_MS: u32 = 1_000;

/// How long an idle connection may still bring a request once no more are accepted: closing it at once would lose the
/// request that crosses the FIN, while one that comes is answered with `Connection: close`.
const LAST_CALL_MS: u32 = 1_000;

/// Who is connected, and where they came in.
pub(crate) struct Client {
    pub worker: Rc<Worker>,
    pub peer: IpAddr,
    pub door: u32,
    /// Where the connection comes from and what it went to, if a PROXY header said so.
    pub ends: Option<Box<Ends>>,
}

impl Client {
    pub(crate) fn new(worker: Rc<Worker>, peer: IpAddr, door: u32) -> Self {
        Presence::announce(&worker);
        Client { worker, peer, door, ends: None }
    }

    /// A client on whose behalf somebody else has connected.
    pub(crate) fn behind(self, ends: Option<Box<Ends>>) -> Self {
        Client { ends, ..self }
    }

    /// The body of the connection's task; of what the client says, `early` has been read already. Its future lives as
    /// long as the connection, so what is rare is boxed.
    pub(crate) fn serve(self, socket: Socket, early: Vec<u8>) -> impl Future<Output = ()> {
        let mut down = Conn::with_ahead(socket, early);
        async move {
            let presence = poll_fn(|cx| Poll::Ready(Presence::new(&self.worker, cx))).await;
            let seat = presence.seat;
            let mut served = 0;
            loop {
                let mut waiting = Waiting::Nothing;
                let next = poll_fn(|cx| self.poll_next(cx, &mut down, seat, served, &mut waiting)).await;
                self.worker.clock.set_idle(seat, false);
                let mut exchange = match next {
                    Ok(Some(exchange)) => exchange,
                    Ok(None) => return down.farewell(),
                    Err(failure) => return Box::pin(self.refuse(&mut down, seat, failure)).await,
                };
                served += 1;
                let after = match &mut *exchange {
                    Some(exchange) => exchange.run(&self.worker, &mut down).await,
                    None => After::Close,
                };
                if let After::Tunnel = after {
                    return self.tunnel(exchange, &mut down).await;
                }
                self.worker.keep_exchange_box(exchange);
                match after {
                    After::Next => {}
                    After::Close => return Box::pin(self.linger(&mut down, seat)).await,
                    After::Abort | After::Tunnel => return down.abort(),
                }
            }
        }
    }

    /// Waits for a request; `None` when the connection may close without a word.
    fn poll_next(
        &self,
        cx: &mut Context<'_>,
        down: &mut Conn,
        seat: Seat,
        served: u32,
        waiting: &mut Waiting,
    ) -> Poll<Result<Option<ExchangeBox>, Failure>> {
        let clock = &self.worker.clock;
        let Some(held) = self.worker.held(self.door) else {
            return Poll::Ready(Ok(None));
        };
        let Some((index, http)) = held.http(self.door) else {
            return Poll::Ready(Ok(None));
        };
        if self.worker.is_stopping() {
            return Poll::Ready(Ok(None));
        }
        let polled = down.poll_request(cx, &mut self.worker.buffers.borrow_mut(), &http.rules);
        let now = match polled {
            Poll::Ready(Ok(Some(head))) => {
                let mut exchange = self.worker.exchange_box();
                let new = Exchange::new(self, held, index, head, seat, served + 1);
                *exchange = Some(new.over(down.socket().tls()));
                return Poll::Ready(Ok(Some(exchange)));
            }
            Poll::Ready(Ok(None)) | Poll::Ready(Err(Failure::ClientGone)) => {
                return Poll::Ready(Ok(None));
            }
            Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
            Poll::Pending if down.has_ahead() => Waiting::Rest,
            Poll::Pending if self.worker.is_closing(self.door) => Waiting::Last,
            Poll::Pending if served > 0 => Waiting::Next,
            Poll::Pending => Waiting::First,
        };
        if now != *waiting {
            // The head's time runs from the connection's start, or from its first byte on a kept one.
            if !(now == Waiting::Rest && *waiting == Waiting::First) {
                clock.expire_in(seat, now.patience(http));
            }
            clock.set_idle(seat, now == Waiting::Next);
            *waiting = now;
        } else if clock.expired(seat) {
            if now == Waiting::Rest {
                return Poll::Ready(Err(Failure::HeadTimeout));
            }
            if !down.socket().has_news_now() {
                return Poll::Ready(Ok(None));
            }
            // A request arrived in this very moment: it is served, not reset.
            clock.expire_in(seat, http.head_ms);
        }
        Poll::Pending
    }

    /// Goes on as a tunnel, which needs neither the exchange nor its plan.
    fn tunnel<'a>(&'a self, mut exchange: ExchangeBox, down: &'a mut Conn) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        let switched = exchange.take().map(|exchange| exchange.switch(&self.worker));
        self.worker.keep_exchange_box(exchange);
        Box::pin(async move {
            if let Some(switched) = switched {
                switched.run(&self.worker, down).await;
            }
        })
    }

    /// Answers a request whose head was not understood or did not arrive.
    async fn refuse(&self, down: &mut Conn, seat: Seat, failure: Failure) {
        debug_assert!(matches!(failure.blame(), Blame::Client));
        self.worker.meter().refused_requests.add(1);
        let id = RequestId::new(self.worker.clock.wall(self.worker.now()), self.worker.random());
        if failure == Failure::TlsHere {
            return self.log_refusal(&id, failure); // it would not understand an answer
        }
        poll_fn(|cx| {
            let asker = Asker { request: None, id: id.as_bytes(), keep_alive: false, page: None, fields: None };
            let bytes = Answer::from(failure).render(&asker);
            let _ = down.offer_reply(cx, &bytes, false);
            Poll::Ready(())
        })
        .await;
        self.log_refusal(&id, failure);
        self.linger(down, seat).await;
    }

    fn log_refusal(&self, id: &RequestId, failure: Failure) {
        let Some(held) = self.worker.held(self.door) else {
            return;
        };
        let Some((index, listener)) = held.listener(self.door) else {
            return;
        };
        held.meters(index).unrouted.lane(self.worker.index).exchange(failure.status(), std::time::Duration::ZERO);
        if !listener.access_log || held.plan.log.access == plan::Sink::Off {
            return;
        }
        let at = self.worker.clock.wall(self.worker.now());
        let record = Record {
            status: (failure != Failure::TlsHere).then_some(failure.status()),
            proto: (failure == Failure::TlsHere).then_some("tls"),
            reason: Some(failure.reason()),
            ..Record::of(at, id.as_bytes(), self.peer)
        };
        self.worker.log.write(&record, held.plan.log.format, &self.worker.shared.log);
    }

    /// Closes in a way that lets the client read the last answer.
    async fn linger(&self, down: &mut Conn, seat: Seat) {
        let clock = &self.worker.clock;
        clock.expire_in(seat, LINGER_MS);
        let flushed = poll_fn(|cx| match down.poll_room(cx) {
            Poll::Pending if clock.expired(seat) || self.worker.is_stopping() => Poll::Ready(false),
            other => other.map(|result| result.is_ok()),
        });
        if !flushed.await {
            return;
        }
        if down.has_read_all() && !down.has_ahead() {
            return down.farewell();
        }
        poll_fn(|cx| {
            down.shutdown_write(cx);
            let gone = down.poll_discard(cx, &mut self.worker.buffers.borrow_mut().receive);
            if clock.expired(seat) || self.worker.is_stopping() { Poll::Ready(()) } else { gone }
        })
        .await;
    }
}

/// What an idle poll waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    /// The first byte on a new connection.
    First,
    /// The first byte of what can only be the last request: nobody is accepted any more.
    Last,
    /// The first byte of a further request.
    Next,
    /// The rest of a head.
    Rest,
}

impl Waiting {
    /// Milliseconds.
    fn patience(self, http: &plan::Http) -> u32 {
        match self {
            Waiting::Next => http.keepalive_ms,
            Waiting::Last => LAST_CALL_MS,
            Waiting::Nothing | Waiting::First | Waiting::Rest => http.head_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F: Future>(_serve: impl Fn(Client, Socket, Vec<u8>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_stays_small() {
        // Up to 416 bytes tokio's task takes 512, and with its registration a connection stays under 1 KiB.
        assert!(size_of_future(Client::serve) <= 416, "{}", size_of_future(Client::serve));
    }
}
