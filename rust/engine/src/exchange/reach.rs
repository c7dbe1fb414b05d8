//! Getting a connection to the backend that was picked, and giving it back.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use plan::Tick;
use wire::Framing;

use super::story::since;
use super::{Exchange, Phase, Upload, Upstream};
use crate::clock::TICK_MS;
use crate::end::Conn;
use crate::failure::Failure;
use crate::pick::Pick;
use crate::running::Held;
use crate::socket::Socket;
use crate::upstream::connect::{connect, secure};
use crate::upstream::pool::Found;
use crate::worker::Worker;

/// How long a connection to a backend waits for descriptors to become free.
const BREATH: Duration = Duration::from_millis(TICK_MS as u64);

/// How often a backend is connected to again that closes what it has just accepted.
const RECONNECTS: u32 = 2;

impl Exchange {
    /// Takes an idle connection to the picked backend; false if there is none that is safe enough.
    pub(super) fn reuse(&mut self, worker: &Worker) -> bool {
        if self.tries.was_closed() {
            return false; // a connection just closed on this request: no second gamble
        }
        let replayable = self.is_replayable();
        let backend = self.pick().live();
        let mut stale = 0;
        let now = self.story.present(worker, self.tries.count() == 1);
        let found = worker.upstream.borrow_mut().take(backend, replayable, now, &mut stale);
        worker.meter().stale.add(stale);
        let Found::Idle(conn, age) = found else { return false };
        worker.meter().reused.add(1);
        self.story.reused = true;
        self.use_upstream(Upstream { conn, reused: Some(age), sent: now });
        true
    }

    /// Connects to the picked backend, within the pool's time and for as long as the client stays.
    pub(super) async fn open(&mut self, worker: &Worker, down: &mut Conn) -> Result<(), Failure> {
        let begun = worker.now();
        worker.clock.expire_in(self.seat, self.pick().address().1);
        let mut unused = 0;
        let conn = loop {
            match self.connect(worker, down).await {
                // Idle connections of all workers make room at the next tick.
                Err(Failure::Exhausted) if !worker.clock.expired(self.seat) => {
                    worker.free_descriptors();
                    tokio::time::sleep(BREATH).await;
                }
                // Closed before it got a byte: a worker that is late, or a backend that takes nobody.
                Ok(conn) if conn.socket().is_closed_now() => {
                    worker.meter().stale.add(1);
                    unused += 1;
                    if unused > RECONNECTS {
                        return Err(Failure::ClosedUnused);
                    }
                }
                result => break result?,
            }
        };
        worker.meter().connected.add(1);
        let sent = worker.now();
        self.story.connect = Some(since(begun, sent));
        self.story.reused = false;
        self.use_upstream(Upstream { conn, reused: None, sent });
        Ok(())
    }

    async fn connect(&self, worker: &Worker, down: &mut Conn) -> Result<Box<Conn>, Failure> {
        let socket = self.connect_clear(worker, down).await?;
        let watching = self.watching && down.has_read_all();
        let gone = |cx: &mut Context<'_>| {
            if worker.is_stopping() {
                return Some(Failure::Stopped);
            }
            let gone = watching.then(|| down.poll_gone(cx, &mut worker.buffers.borrow_mut().receive));
            gone.and_then(|gone| match gone {
                Poll::Ready(failure) => Some(failure),
                Poll::Pending => None,
            })
        };
        let socket = secure(worker, self.pick(), socket, self.seat, gone).await?;
        Ok(Box::new(Conn::new(socket)))
    }

    async fn connect_clear(&self, worker: &Worker, down: &mut Conn) -> Result<Socket, Failure> {
        let (address, _) = self.pick().address();
        let header = self.proxy_header(down);
        let mut connecting = pin!(connect(address.clone(), worker.descriptor_limit, &header));
        let watching = self.watching && down.has_read_all();
        poll_fn(|cx| {
            if let Poll::Ready(result) = connecting.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(|error| Failure::of_connect(&error)));
            }
            if worker.is_stopping() {
                return Poll::Ready(Err(Failure::Stopped));
            }
            if worker.clock.expired(self.seat) {
                return Poll::Ready(Err(Failure::ConnectTimeout));
            }
            if watching {
                return down.poll_gone(cx, &mut worker.buffers.borrow_mut().receive).map(Err);
            }
            Poll::Pending
        })
        .await
    }

    /// What the backend is told of the client ahead of everything else; nothing where it does not ask.
    fn proxy_header(&self, down: &Conn) -> Vec<u8> {
        let mut header = Vec::new();
        if let Some(version) = self.pick().proxy_protocol() {
            let ends = self.ends.as_deref().copied().or_else(|| down.socket().ends());
            wire::proxy_protocol::write(version, ends, &mut header);
        }
        header
    }

    fn use_upstream(&mut self, up: Upstream) {
        self.tries.sends(up.sent);
        self.up = Some(up);
        self.upload = Upload::Unsent;
        self.phase = Phase::None;
    }

    /// The response is complete: the slot is free, and the connection goes back if both sides agree.
    pub(super) fn settle(&mut self, worker: &Worker, up: Upstream) {
        let Some(pick) = self.pick.take() else { return };
        let now = self.story.ended.unwrap_or_else(|| worker.now());
        Self::shelve(worker, &self.held, &pick, up, now);
    }

    /// Keeps a connection for later if all of its answer has been read, both sides agree, and it has not been introduced
    /// as one client's.
    pub(super) fn shelve(worker: &Worker, held: &Held, pick: &Pick, up: Upstream, now: Tick) {
        if up.conn.is_clean() && pick.proxy_protocol().is_none() && worker.wants(pick.live(), held) {
            let terms = pick.terms(up.conn.announced_keepalive());
            worker.upstream.borrow_mut().put(pick.live(), up.conn, terms, now);
        }
    }

    /// Whether this request can be sent again when a reused connection turns out to be closed.
    fn is_replayable(&self) -> bool {
        self.head().is_idempotent()
            && match self.head().framing() {
                Framing::Empty => true,
                Framing::Length(length) => length <= u64::from(self.pick().retries().replay_bytes),
                _ => false,
            }
    }
}
