//! Both directions of an exchange, in one poll of one task.
//!
//! A piece that is at hand is moved at once, so a message that came in one read goes out in one write and costs no
//! wake-up of its own. Who cannot take more is asked for room first, and nobody is read from meanwhile: that is all
//! there is to back-pressure.

use std::task::{Context, Poll, ready};

use wire::{Framing, Head, RequestEdits, ResponseEdits, Version};

use super::replay::Replay;
use super::story::since;
use super::{Exchange, Sent, Upload, Upstream};
use crate::end::{Buffers, Conn, Part, Piece};
use crate::failure::Failure;
use crate::worker::Worker;

impl Exchange {
    pub(super) fn poll_flow(
        &mut self,
        worker: &Worker,
        down: &mut Conn,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sent, Failure>> {
        if worker.is_alarmed()
            && let Some(failure) = self.called_off(worker)
        {
            return Poll::Ready(Err(failure));
        }
        let Some(mut up) = self.up.take() else {
            return Poll::Ready(Err(Failure::ClosedEarly));
        };
        let buffers = &mut *worker.buffers.borrow_mut();
        let before = self.moved(down);
        let uploaded = self.poll_upload(&mut up.conn, down, buffers, cx);
        let result = match uploaded {
            Err(failure) => Poll::Ready(Err(failure)),
            Ok(()) => self.poll_download(worker, &mut up, down, buffers, cx),
        };
        if result.is_pending() && self.watch_time(&worker.clock, &up.conn, down, before) {
            let failure = self.phase.late();
            self.up = Some(up);
            return Poll::Ready(Err(failure));
        }
        if let Poll::Ready(Ok(Sent::Relayed)) = result {
            self.settle(worker, up);
        } else {
            self.up = Some(up);
        }
        result
    }

    /// Moves the request towards the backend, and watches the client once it has all been sent.
    fn poll_upload(
        &mut self,
        up: &mut Conn,
        down: &mut Conn,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if self.upload == Upload::Unsent {
            self.send_head(up, down, buffers, cx)?;
        }
        while self.upload == Upload::Open {
            match up.poll_room(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => self.upload = Upload::Refused,
                Poll::Ready(Ok(())) => {
                    let Poll::Ready(part) = down.poll_body(cx, &mut buffers.receive) else {
                        return Ok(());
                    };
                    let part = part?;
                    self.count_body(&part)?;
                    let trailers = down.trailers();
                    if let Some(replay) = &mut self.tries.replay {
                        replay.keep(&part, trailers.as_ref());
                    }
                    let offered = up.offer_body(cx, &mut buffers.scratch, &part, trailers);
                    self.uploaded(part.last, offered.is_ok());
                }
            }
        }
        if let Poll::Ready(Err(_)) = up.poll_room(cx) {
            self.upload = Upload::Refused;
        }
        if down.has_read_all() { self.watch_client(down, &mut buffers.receive, cx) } else { Ok(()) }
    }

    /// Notices a client that leaves while an answer is owed.
    pub(super) fn watch_client(
        &mut self,
        down: &mut Conn,
        receive: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if self.watching
            && let Poll::Ready(failure) = down.poll_gone(cx, receive)
        {
            if !self.http().half_close_keep {
                return Err(failure);
            }
            self.watching = false;
            self.last_request = true;
        }
        Ok(())
    }

    /// Sends the head, together with what of the body is at hand.
    fn send_head(
        &mut self,
        up: &mut Conn,
        down: &mut Conn,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if let Some(replay) = self.tries.replay.take() {
            return self.send_again(up, down, buffers, cx, replay);
        }
        let part = if down.has_read_all() {
            Part::NOTHING
        } else if self.head().expects_continue() {
            Part::LATER
        } else {
            match down.poll_body(cx, &mut buffers.receive) {
                Poll::Pending => Part::LATER,
                Poll::Ready(part) => part?,
            }
        };
        self.count_body(&part)?;
        let trailers = down.trailers();
        self.keep_for_replay(&part, trailers.as_ref());
        let offered = self.offer_head(up, &mut buffers.scratch, cx, &part, trailers);
        self.uploaded(part.last, offered.is_ok());
        Ok(())
    }

    /// The same with the body as far as an earlier try has read it.
    #[cold]
    fn send_again(
        &mut self,
        up: &mut Conn,
        down: &Conn,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
        replay: Box<Replay>,
    ) -> Result<(), Failure> {
        let part = Part { data: replay.bytes(), last: down.has_read_all() };
        let offered = self.offer_head(up, &mut buffers.scratch, cx, &part, replay.trailers());
        self.uploaded(part.last, offered.is_ok());
        self.tries.replay = Some(replay);
        Ok(())
    }

    fn keep_for_replay(&mut self, part: &Part<'_>, trailers: Option<&Vec<u8>>) {
        if matches!(self.head().framing(), Framing::Empty) {
            return;
        }
        let retries = self.pick().retries();
        if retries.tries > 1 {
            self.tries.replay = Replay::for_body(self.head(), retries.replay_bytes);
        }
        if let Some(replay) = &mut self.tries.replay {
            replay.keep(part, trailers);
        }
    }

    fn offer_head(
        &self,
        up: &mut Conn,
        scratch: &mut Vec<u8>,
        cx: &mut Context<'_>,
        part: &Part<'_>,
        trailers: Option<Vec<u8>>,
    ) -> std::io::Result<()> {
        let keeps_id = self.kept_id().is_some();
        let certificate = self.certificate_edits();
        let route = self.route().and_then(|route| route.request.as_deref());
        let edits = RequestEdits {
            client: self.peer,
            proto: self.proto(),
            trusted: self.trusted,
            request_id: (!keeps_id).then(|| self.id.as_bytes()),
            route: certificate.as_deref().or(route),
        };
        up.offer_request(cx, scratch, self.head(), &edits, part, trailers)
    }

    fn uploaded(&mut self, last: bool, taken: bool) {
        self.upload = match (taken, last) {
            (false, _) => Upload::Refused,
            (true, true) => Upload::Done,
            (true, false) => Upload::Open,
        };
    }

    fn count_body(&mut self, part: &Part<'_>) -> Result<(), Failure> {
        self.story.bytes_in += part.data.len() as u64;
        match self.http().max_body {
            Some(limit) if self.story.bytes_in > limit => Err(Failure::BodyTooLarge),
            _ => Ok(()),
        }
    }

    /// Moves the response towards the client, as fast as the client takes it.
    fn poll_download(
        &mut self,
        worker: &Worker,
        up: &mut Upstream,
        down: &mut Conn,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Sent, Failure>> {
        let Buffers { receive, scratch, pages, .. } = buffers;
        loop {
            ready!(down.poll_room(cx)).map_err(|_| Failure::ClientGone)?;
            let piece = ready!(up.conn.poll_piece(cx, self.head(), receive, pages, &worker.response_rules))?;
            let (offered, last) = match piece {
                Piece::Interim(head) => {
                    let offered = self.offer_interim(down, scratch, cx, &head);
                    pages.give(head.into_page());
                    (offered, false)
                }
                Piece::Head(head, part) if head.status() >= 400 && self.turns_down(worker, down, head.status()) => {
                    if !part.last {
                        up.conn.skip_body(cx, receive);
                    }
                    let failure = Failure::Status(head.status());
                    pages.give(head.into_page());
                    return Poll::Ready(Err(failure));
                }
                Piece::Head(head, part) => {
                    self.note_response(worker, up, &head, &part);
                    let trailers = up.conn.trailers();
                    let cookie = self.set_cookie(worker);
                    let edits = self.response_edits(worker, &head, cookie.as_deref());
                    let offered = down.offer_response(cx, scratch, &head, &edits, &part, trailers);
                    let switched = head.is_switch();
                    pages.give(head.into_page());
                    if switched && offered.is_ok() {
                        return Poll::Ready(Ok(Sent::Switched));
                    }
                    (offered, part.last)
                }
                Piece::Body(part) => {
                    self.story.bytes_out += part.data.len() as u64;
                    let trailers = up.conn.trailers();
                    (down.offer_body(cx, scratch, &part, trailers), part.last)
                }
            };
            offered.map_err(|_| Failure::ClientGone)?;
            if last {
                return Poll::Ready(Ok(Sent::Relayed));
            }
        }
    }

    /// Passes an interim head on, to a client whose version has them (RFC 9110, 15.2).
    fn offer_interim(
        &mut self,
        down: &mut Conn,
        scratch: &mut Vec<u8>,
        cx: &mut Context<'_>,
        head: &Head,
    ) -> std::io::Result<()> {
        self.continued = true;
        if self.head().version() == Version::Http10 {
            return Ok(());
        }
        let edits = ResponseEdits {
            route: self.route().and_then(|route| route.response.as_deref()),
            ..ResponseEdits::plain(Version::Http11, true, Framing::Empty)
        };
        down.offer_interim(cx, scratch, head, &edits)
    }

    fn response_edits<'s>(&'s self, worker: &Worker, head: &Head, set_cookie: Option<&'s [u8]>) -> ResponseEdits<'s> {
        let request = self.head();
        let framing = wire::response_framing(head, request.version());
        let ends = matches!(framing, Framing::UntilClose) || self.upload != Upload::Done;
        let keep_alive = request.keep_alive() && !ends && !self.is_last(worker);
        ResponseEdits {
            route: self.route().and_then(|route| route.response.as_deref()),
            set_cookie,
            rate: self.progress.rate,
            ..ResponseEdits::plain(request.version(), keep_alive, framing)
        }
    }

    /// A final response head has come: the backend lives, or answers like one that does not.
    fn note_response(&mut self, worker: &Worker, up: &Upstream, head: &Head, part: &Part<'_>) {
        let now = worker.now();
        let took = since(up.sent, now);
        self.story.status = head.status();
        self.story.first_byte = Some(since(self.story.started, now));
        self.story.bytes_out += part.data.len() as u64;
        if part.last {
            self.story.ended = Some(now);
        }
        self.learn(worker, head);
        if matches!(head.status(), 502..=504) {
            self.pick().failed(worker, now, Failure::Status(head.status()).reason());
        } else {
            self.pick().succeeded(worker, took, now);
        }
    }
}
