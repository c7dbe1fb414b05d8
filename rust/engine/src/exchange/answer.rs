//! The end of an exchange that no backend ends: an answer of pylb itself.

use std::future::poll_fn;
use std::task::Poll;

use plan::{Action, Page};

use super::{After, Exchange};
use crate::end::Conn;
use crate::reply::{Answer, Asker, Body};
use crate::worker::Worker;

impl Exchange {
    /// Sends an answer of pylb itself.
    pub(super) async fn answer(&mut self, worker: &Worker, down: &mut Conn, mut answer: Answer) -> After {
        answer.rate = answer.rate.or(self.progress.rate);
        let keep_alive = down.has_read_all() && self.head().keep_alive() && !self.is_last(worker);
        let bytes = answer.render(&Asker {
            request: self.head.as_ref(),
            id: self.request_id(),
            keep_alive,
            page: self.page(&answer),
            fields: self.route().and_then(|route| route.response.as_deref()),
        });
        self.story.status = answer.status;
        self.story.error = answer.error;
        self.story.bytes_out = bytes.len() as u64;
        let sent = poll_fn(|cx| Poll::Ready(down.offer_reply(cx, &bytes, keep_alive))).await;
        if sent.is_err() { After::Abort } else { self.flush(worker, down).await }
    }

    /// What the operator wants said: by the route that answers, or by its pool for this status.
    fn page(&self, answer: &Answer) -> Option<&Page> {
        let pool = match &self.route()?.action {
            Action::Respond(_, page) if answer.body == Body::Page => return Some(page),
            Action::Pool(pool) => *pool,
            _ => self.progress.pool?,
        };
        self.held.pool(pool).page(answer.status)
    }

    pub(super) fn request_id(&self) -> &[u8] {
        self.kept_id().unwrap_or(self.id.as_bytes())
    }

    /// The id that a trusted proxy has given the request already.
    pub(super) fn kept_id(&self) -> Option<&[u8]> {
        wire::forwarded::request_id(self.head(), self.trusted)
    }
}
