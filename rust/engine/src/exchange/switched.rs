//! An exchange that has become a tunnel: who ends it, and what remains of it.
//!
//! It still counts as in flight at its backend, and it lives through reloads, which only ask about requests to come. It ends by
//! itself, or after the pool's idle time, or with the grace of a stop, or when its backend has been drained for too
//! long. Whatever is not the two ends' own goodbye is a reset on both sides: nobody may take it for one.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::{After, Exchange, Upstream};
use crate::end::Conn;
use crate::tunnel::{End, Tunnel};
use crate::worker::Worker;

/// Counts a tunnel for as long as it is open, panics included.
struct Presence<'a>(&'a Worker);

impl Exchange {
    /// Moves bytes until the tunnel ends. The 101 has been offered to the client.
    pub(super) async fn tunnel(&mut self, worker: &Worker, down: &mut Conn) -> After {
        let Some(mut up) = self.up.take() else { return After::Abort };
        let _presence = Presence::new(worker);
        self.travel_light(worker);
        down.become_plain();
        up.conn.become_plain();
        worker.clock.expire_in(self.seat, self.pick().idle_ms());
        let mut tunnel = Tunnel::default();
        let end = poll_fn(|cx| self.poll_tunnel(worker, &mut tunnel, down, &mut up, cx)).await;
        (self.story.bytes_in, self.story.bytes_out) = tunnel.moved();
        self.story.reason = end.reason();
        self.pick = None;
        if end == End::Clean {
            return After::Close;
        }
        up.conn.abort();
        After::Abort
    }

    fn poll_tunnel(
        &mut self,
        worker: &Worker,
        tunnel: &mut Tunnel,
        down: &mut Conn,
        up: &mut Upstream,
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        if worker.is_stopping() {
            return Poll::Ready(End::Stopped);
        }
        let waiting = |down: &Conn, up: &Upstream| (down.backlog_len(), up.conn.backlog_len());
        let before = (tunnel.moved(), waiting(down, up));
        let polled = tunnel.poll_move(cx, down, &mut up.conn, &mut worker.buffers.borrow_mut().receive);
        let ((came, went), (came_before, went_before)) = (tunnel.moved(), before.0);
        worker.meter().tunnel_bytes_in.add(came - came_before);
        worker.meter().tunnel_bytes_out.add(went - went_before);
        if polled.is_pending() {
            if worker.is_cutting() && self.pick().is_cut(worker.now()) {
                self.pick().note_cut(worker);
                return Poll::Ready(End::Drained);
            }
            if ((came, went), waiting(down, up)) != before {
                worker.clock.expire_in(self.seat, self.pick().idle_ms());
            } else if worker.clock.expired(self.seat) {
                return Poll::Ready(End::Idle);
            }
        }
        polled
    }

    /// Keeps what the log will want to know, in no more memory than that takes.
    fn travel_light(&mut self, worker: &Worker) {
        self.story.ended = None;
        let pages = &mut worker.buffers.borrow_mut().pages;
        self.head = self.head.take().map(|head| head.compact(pages));
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
