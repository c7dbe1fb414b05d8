//! Deadlines of an exchange: whoever has to move next has its own time.
//!
//! The time starts anew with every piece that moves, not with every wake-up. Against a client that moves just enough to
//! keep a deadline away there is [`Pace`](crate::pace::Pace).

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::{After, Exchange, Upload};
use crate::clock::Clock;
use crate::end::Conn;
use crate::failure::Failure;
use crate::worker::Worker;

/// Who has to move next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    None,
    /// The client owes body bytes.
    Body,
    /// The backend owes a response head.
    ResponseHead,
    /// The backend owes response body bytes.
    ResponseBody,
    /// The client has to read.
    Client,
}

impl Exchange {
    /// Bytes that have moved either way, to tell progress from a wake-up.
    pub(super) fn moved(&self, down: &Conn) -> (u64, usize) {
        (self.story.bytes_in + self.story.bytes_out, down.backlog_len())
    }

    /// Sets or keeps the deadline of whoever has to move next; true when it has passed.
    pub(super) fn watch_time(&mut self, clock: &Clock, up: &Conn, down: &Conn, before: (u64, usize)) -> bool {
        let phase = if down.has_backlog() {
            Phase::Client
        } else if self.upload == Upload::Open && !up.has_backlog() && !self.awaits_continue() {
            Phase::Body
        } else if self.story.status == 0 {
            Phase::ResponseHead
        } else {
            Phase::ResponseBody
        };
        let after = self.moved(down);
        if phase == self.phase && after == before {
            return clock.expired(self.seat);
        }
        let moved = after.0.abs_diff(before.0) + after.1.abs_diff(before.1) as u64;
        let too_slow = match phase {
            Phase::Body | Phase::Client => self.pace.is_too_slow(phase == self.phase, moved, clock.coarse_ms()),
            _ => false,
        };
        self.phase = phase;
        clock.expire_in(self.seat, self.patience(phase, clock));
        too_slow
    }

    /// The client rightly holds its body back until the backend says 100 (RFC 9110, 10.1.1).
    fn awaits_continue(&self) -> bool {
        self.head().expects_continue() && !self.continued && self.story.bytes_in == 0
    }

    /// Milliseconds that whoever has to move in this phase may take.
    fn patience(&self, phase: Phase, clock: &Clock) -> u32 {
        let http = self.http();
        match phase {
            Phase::Body => http.body_idle_ms,
            Phase::Client | Phase::None => http.send_idle_ms,
            Phase::ResponseHead => self.patience_of_try(|| clock.now()),
            Phase::ResponseBody => self.route().map_or(300_000, |route| route.response_idle_ms),
        }
    }

    /// Waits until the client has taken everything.
    pub(super) async fn flush(&mut self, worker: &Worker, down: &mut Conn) -> After {
        if down.has_backlog() {
            self.phase = Phase::Client;
            worker.clock.expire_in(self.seat, self.patience(Phase::Client, &worker.clock));
            let done = poll_fn(|cx| self.poll_flush(worker, down, cx)).await;
            if let Err(failure) = done {
                self.story.reason = Some(failure.reason());
                return After::Abort;
            }
            self.story.ended = None;
        }
        After::of(down)
    }

    fn poll_flush(&mut self, worker: &Worker, down: &mut Conn, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let before = down.backlog_len();
        if let Poll::Ready(result) = down.poll_room(cx) {
            return Poll::Ready(result.map_err(|_| Failure::ClientGone));
        }
        if worker.is_stopping() {
            return Poll::Ready(Err(Failure::Stopped));
        }
        let moved = before - down.backlog_len();
        if moved > 0 {
            worker.clock.expire_in(self.seat, self.patience(Phase::Client, &worker.clock));
        }
        let late =
            worker.clock.expired(self.seat) || self.pace.is_too_slow(true, moved as u64, worker.clock.coarse_ms());
        if late { Poll::Ready(Err(Failure::ClientSlow)) } else { Poll::Pending }
    }
}

impl Phase {
    /// What it means when this phase takes too long.
    pub(super) fn late(self) -> Failure {
        match self {
            Phase::Body => Failure::BodyTimeout,
            Phase::ResponseHead => Failure::ResponseTimeout,
            Phase::ResponseBody => Failure::ResponseIdle,
            Phase::Client | Phase::None => Failure::ClientSlow,
        }
    }
}
