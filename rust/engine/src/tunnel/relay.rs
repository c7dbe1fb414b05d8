//! A tunnel in force: who ends it, and what is counted meanwhile.
//!
//! A tunnel may live for days, and must not keep every plan alive that was ever in force. So a relay is built of what
//! outlives plans: two connections and the backend's place, which still counts as in flight. Reloads do not reach it. It
//! ends by itself, after the pool's idle time, with the grace of a stop, or when its backend has been drained for too
//! long. Whatever is not the two ends' own goodbye is a reset on both sides: nobody may take it for one.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{End, Tunnel};
use crate::clock::Seat;
use crate::end::Conn;
use crate::observe::meter::{StreamMeter, WorkerMeter};
use crate::pick::Stay;
use crate::worker::Worker;

/// The backend's end of a tunnel, and its place there.
pub(crate) struct Relay {
    pub up: Box<Conn>,
    pub stay: Stay,
    pub seat: Seat,
    /// Milliseconds without a byte after which it ends.
    pub idle_ms: u32,
    /// How long it took to connect, until the backend has shown that it is there: by a byte, or by a clean end.
    pub unproven: Option<Duration>,
    /// What counts it.
    pub meter: fn(&WorkerMeter) -> &StreamMeter,
}

/// Counts a tunnel for as long as it is open, panics included.
struct Presence<'a>(&'a StreamMeter);

/// Bytes read, and bytes that still wait to be taken: if either changes, the tunnel is not idle.
#[derive(PartialEq, Eq)]
struct Progress {
    moved: (u64, u64),
    waiting: (usize, usize),
    piped: (usize, usize),
}

impl Relay {
    /// Moves bytes until the tunnel ends, and says how, and how many went to the backend and to the client. Both
    /// connections are of no use then.
    pub(crate) async fn run(&mut self, worker: &Worker, down: &mut Conn) -> (End, (u64, u64)) {
        let _presence = Presence::new((self.meter)(worker.meter()));
        down.become_plain();
        self.up.become_plain();
        worker.clock.expire_in(self.seat, self.idle_ms);
        let mut tunnel = Tunnel::default();
        let end = poll_fn(|cx| self.poll(&mut tunnel, worker, down, cx)).await;
        match end {
            End::Clean => self.prove(worker),
            End::Backend if self.unproven.is_some() => {
                self.stay.failed(worker, worker.now(), "reset before it had said anything");
            }
            _ => {}
        }
        if end != End::Clean {
            self.up.abort();
            down.abort();
        }
        (end, tunnel.moved())
    }

    fn poll(&mut self, tunnel: &mut Tunnel, worker: &Worker, down: &mut Conn, cx: &mut Context<'_>) -> Poll<End> {
        if worker.is_stopping() {
            return Poll::Ready(End::Stopped);
        }
        if worker.is_cutting() && self.stay.is_cut(worker.now()) {
            self.stay.note_cut(worker);
            return Poll::Ready(End::Drained);
        }
        let before = self.progress(tunnel, down);
        let polled = tunnel.poll_move(cx, down, &mut self.up, &mut worker.buffers.borrow_mut());
        let after = self.progress(tunnel, down);
        let meter = (self.meter)(worker.meter());
        meter.bytes_in.add(after.moved.0 - before.moved.0);
        meter.bytes_out.add(after.moved.1 - before.moved.1);
        if after.moved.1 > 0 && self.unproven.is_some() {
            self.prove(worker);
        }
        if after != before {
            worker.clock.expire_in(self.seat, self.idle_ms);
        } else if polled.is_pending() && worker.clock.expired(self.seat) {
            return Poll::Ready(End::Idle);
        }
        polled
    }

    #[cold]
    fn prove(&mut self, worker: &Worker) {
        if let Some(took) = self.unproven.take() {
            self.stay.succeeded(worker, took, worker.now());
        }
    }

    fn progress(&self, tunnel: &Tunnel, down: &Conn) -> Progress {
        Progress { moved: tunnel.moved(), waiting: (self.up.backlog_len(), down.backlog_len()), piped: tunnel.piped() }
    }
}

impl<'a> Presence<'a> {
    fn new(meter: &'a StreamMeter) -> Self {
        meter.total.add(1);
        meter.open.add(1);
        Presence(meter)
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.0.open.sub(1);
    }
}
