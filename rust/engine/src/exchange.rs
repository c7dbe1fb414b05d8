//! One request from head to last byte. Written once for all protocols: read this file first.
//!
//! ```text
//! decide ──> connect or reuse ──> flow ──> settle
//!    ^                              │
//!    └──── may be tried again ──────┘
//! ```
//!
//! `decide` (crate `plan`) says where to; `flow` moves both directions in one poll of one task, so a message that
//! is at hand costs no wake-up. Whatever fails is a [`Failure`], which knows whose fault it is and whether the
//! request may go to a backend again; the pool's budget has the last word. While nothing of an answer has been
//! sent the client gets a proper one; after that the only honest end is a cut.
//!
//! Deadlines follow the phase: whoever has to move next has its own time, which starts anew with every piece that
//! moves. In the idle phases between pieces nobody can hold a connection by trickling: see [`Pace`].

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use plan::{Progress, Step, Tick};
use wire::{Blame, Head, RequestEdits, ResponseEdits, Version};

use crate::client::Client;
use crate::clock::{Clock, Seat};
use crate::end::{Buffers, Conn, Part, Piece};
use crate::failure::{Failure, Spent};
use crate::observe::log::Record;
use crate::pace::Pace;
use crate::pick::Pick;
use crate::reply::Answer;
use crate::request_id::RequestId;
use crate::running::Held;
use crate::upstream::connect::connect;
use crate::upstream::pool::Found;
use crate::worker::Worker;

/// What the client's connection does next.
pub(crate) enum After {
    /// Another request may come.
    Next,
    /// Close in peace.
    Close,
    /// Cut: the answer is incomplete.
    Abort,
}

impl After {
    /// After a complete answer.
    fn of(down: &Conn) -> Self {
        if down.is_reusable() && down.has_read_all() { After::Next } else { After::Close }
    }
}

/// A request on its way.
pub(crate) struct Exchange {
    held: Held,
    listener: u32,
    door: u32,
    seat: Seat,
    peer: IpAddr,
    client: IpAddr,
    trusted: bool,
    last_request: bool,
    head: Option<Head>,
    id: RequestId,
    progress: Progress,
    pick: Option<Pick>,
    up: Option<Upstream>,
    upload: Upload,
    watching: bool,
    phase: Phase,
    pace: Pace,
    closed_before: bool,
    tries: u32,
    attempts: Vec<(u32, u32, &'static str)>,
    story: Story,
}

/// The connection to the backend that was picked.
struct Upstream {
    conn: Conn,
    /// How long it had been idle, if it was; a close on a fresh one is the backend's fault, on an old one chance.
    reused_ms: Option<u32>,
    sent: Tick,
}

/// What becomes of the request's body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upload {
    /// The head has not been sent yet.
    Unsent,
    Open,
    Done,
    /// The backend stopped taking it; its answer may still come.
    Refused,
}

/// Who has to move next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
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

/// What the log will tell.
struct Story {
    started: Tick,
    connect: Option<Duration>,
    first_byte: Option<Duration>,
    ended: Option<Tick>,
    status: u16,
    error: Option<&'static str>,
    reason: Option<&'static str>,
    bytes_in: u64,
    bytes_out: u64,
    served_by: Option<(u32, u32)>,
    reused: bool,
}

impl Exchange {
    /// `index` is the listener's position in the plan that is held; `served` counts this request.
    pub(crate) fn new(client: &Client, held: Held, index: u32, head: Head, seat: Seat, served: u32) -> Self {
        let worker = &client.worker;
        let listener = &held.plan.listeners[index as usize];
        let trusted = wire::forwarded::is_trusted(client.peer, &listener.trusted);
        let address =
            if trusted { wire::forwarded::client(client.peer, &listener.trusted, &head) } else { client.peer };
        Exchange {
            listener: index,
            door: client.door,
            seat,
            peer: client.peer,
            client: address,
            trusted,
            last_request: served >= listener.max_requests,
            id: RequestId::new(worker.random()),
            progress: Progress::new(index),
            pick: None,
            up: None,
            upload: Upload::Unsent,
            watching: true,
            phase: Phase::None,
            pace: Pace::default(),
            closed_before: false,
            tries: 0,
            attempts: Vec::new(),
            story: Story::new(worker.now()),
            head: Some(head),
            held,
        }
    }

    /// Runs the exchange to its end and says what becomes of the client's connection.
    pub(crate) async fn run(&mut self, worker: &Worker, down: &mut Conn) -> After {
        let result = match self.too_large() {
            Some(failure) => Err(failure),
            None => self.forward(worker, down).await,
        };
        let after = match result {
            Ok(Sent::Relayed) if down.has_backlog() => Box::pin(self.flush(worker, down)).await,
            Ok(Sent::Relayed) => After::of(down),
            Ok(Sent::Reply(answer)) => Box::pin(self.answer(worker, down, answer)).await,
            Err(failure) => Box::pin(self.fail(worker, down, failure)).await,
        };
        self.close_book(worker);
        after
    }

    /// Tries backends until one has answered, the request may not be sent again, or none is left.
    async fn forward(&mut self, worker: &Worker, down: &mut Conn) -> Result<Sent, Failure> {
        loop {
            if let Some(answer) = self.choose(worker) {
                return Ok(Sent::Reply(answer));
            }
            let reached = match self.reuse(worker) {
                true => Ok(()),
                false => Box::pin(self.open(worker, down)).await,
            };
            let result = match reached {
                Ok(()) => poll_fn(|cx| self.poll_flow(worker, down, cx)).await,
                Err(failure) => Err(failure),
            };
            match result {
                Ok(()) => return Ok(Sent::Relayed),
                Err(failure) => self.judge(worker, down, failure)?,
            }
        }
    }

    /// Picks the next backend; an answer instead if there is none to pick.
    fn choose(&mut self, worker: &Worker) -> Option<Answer> {
        match self.decide(worker) {
            Step::Reply(reply) => Some(reply.into()),
            Step::Send { pool, slot } => {
                let pick = Pick::new(self.held.clone(), pool, slot);
                if self.tries == 0 {
                    pick.budget().request(self.story.started);
                }
                self.tries += 1;
                self.story.served_by = Some((pool, slot));
                self.pick = Some(pick);
                None
            }
        }
    }

    fn decide(&mut self, worker: &Worker) -> Step {
        let now = if self.tries == 0 { self.story.started } else { worker.now() };
        let dice = worker.dice();
        let Exchange { held, progress, head, client, .. } = self;
        match head {
            Some(head) => held.plan.decide(progress, head, *client, now, dice),
            None => unreachable!("the head leaves the exchange only when it is dropped"),
        }
    }

    /// Takes an idle connection to the picked backend; false if there is none that is safe enough.
    fn reuse(&mut self, worker: &Worker) -> bool {
        if self.closed_before {
            return false; // a connection just closed on this request: no second gamble
        }
        let replayable = self.head().is_idempotent() && matches!(self.head().framing(), wire::Framing::Empty);
        let backend = self.pick().live();
        let mut stale = 0;
        let found = worker.upstream.borrow_mut().take(backend, replayable, worker.clock.coarse_ms(), &mut stale);
        worker.meter().stale.add(stale);
        let Found::Idle(conn, age_ms) = found else { return false };
        worker.meter().reused.add(1);
        self.story.reused = true;
        let sent = if self.tries == 1 { self.story.started } else { worker.now() };
        self.use_upstream(Upstream { conn, reused_ms: Some(age_ms), sent });
        true
    }

    /// Connects to the picked backend, within the pool's time and for as long as the client stays.
    async fn open(&mut self, worker: &Worker, down: &mut Conn) -> Result<(), Failure> {
        let begun = worker.now();
        let (address, connect_ms) = self.pick().address();
        worker.clock.expire_in(self.seat, connect_ms);
        let mut connecting = pin!(connect(address.clone(), worker.descriptor_limit));
        let watching = self.watching && down.has_read_all();
        let conn = poll_fn(|cx| {
            if let Poll::Ready(result) = connecting.as_mut().poll(cx) {
                return Poll::Ready(result.map(Conn::new).map_err(|error| Failure::of_connect(&error)));
            }
            if worker.clock.expired(self.seat) {
                return Poll::Ready(Err(Failure::ConnectTimeout));
            }
            if watching {
                return down.poll_gone(cx, &mut worker.buffers.borrow_mut().receive).map(Err);
            }
            Poll::Pending
        })
        .await?;
        worker.meter().connected.add(1);
        let sent = worker.now();
        self.story.connect = Some(since(begun, sent));
        self.story.reused = false;
        self.use_upstream(Upstream { conn, reused_ms: None, sent });
        Ok(())
    }

    fn use_upstream(&mut self, up: Upstream) {
        self.up = Some(up);
        self.upload = Upload::Unsent;
        self.phase = Phase::None;
    }

    // ---- flow: both directions in one poll

    fn poll_flow(&mut self, worker: &Worker, down: &mut Conn, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
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
        if let Poll::Ready(Ok(())) = result {
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
                    let trailers = if part.last { down.trailers() } else { None };
                    let offered = up.offer_body(cx, &mut buffers.scratch, &part, trailers);
                    self.uploaded(part.last, offered.is_ok());
                }
            }
        }
        if let Poll::Ready(Err(_)) = up.poll_room(cx) {
            self.upload = Upload::Refused;
        }
        if self.watching
            && down.has_read_all()
            && let Poll::Ready(failure) = down.poll_gone(cx, &mut buffers.receive)
        {
            if !self.listener().half_close_keep {
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
        let trailers = if part.last { down.trailers() } else { None };
        let keeps_id = self.trusted && self.head().field(b"x-request-id").is_some();
        let edits = RequestEdits {
            client: self.peer,
            proto: "http",
            trusted: self.trusted,
            request_id: (!keeps_id).then(|| self.id.as_bytes()),
        };
        let offered = up.offer_request(cx, &mut buffers.scratch, self.head(), &edits, &part, trailers);
        self.uploaded(part.last, offered.is_ok());
        Ok(())
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
        match self.listener().max_body {
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
    ) -> Poll<Result<(), Failure>> {
        let Buffers { receive, scratch, pages } = buffers;
        loop {
            ready!(down.poll_room(cx)).map_err(|_| Failure::ClientGone)?;
            let piece = ready!(up.conn.poll_piece(cx, receive, pages, &self.listener().rules))?;
            let (offered, last) = match piece {
                Piece::Interim(head) => {
                    let edits =
                        ResponseEdits { version: Version::Http11, keep_alive: true, framing: wire::Framing::Empty };
                    let offered = match self.head().version() {
                        Version::Http11 => down.offer_interim(cx, scratch, &head, &edits),
                        Version::Http10 => Ok(()),
                    };
                    pages.give(head.into_page());
                    (offered, false)
                }
                Piece::Head(head, part) => {
                    self.note_response(worker, up, &head, &part);
                    let trailers = if part.last { up.conn.trailers() } else { None };
                    let edits = self.response_edits(worker, &head);
                    let offered = down.offer_response(cx, scratch, &head, &edits, &part, trailers);
                    pages.give(head.into_page());
                    (offered, part.last)
                }
                Piece::Body(part) => {
                    self.story.bytes_out += part.data.len() as u64;
                    let trailers = if part.last { up.conn.trailers() } else { None };
                    (down.offer_body(cx, scratch, &part, trailers), part.last)
                }
            };
            offered.map_err(|_| Failure::ClientGone)?;
            if last {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn response_edits(&self, worker: &Worker, head: &Head) -> ResponseEdits {
        let request = self.head();
        let framing = wire::response_framing(head, request.version());
        let ends = matches!(framing, wire::Framing::UntilClose) || self.upload != Upload::Done;
        ResponseEdits {
            version: request.version(),
            keep_alive: request.keep_alive() && !ends && !self.is_last(worker),
            framing,
        }
    }

    fn is_last(&self, worker: &Worker) -> bool {
        self.last_request || worker.is_closing(self.door)
    }

    // ---- time

    /// Bytes that have moved either way, to tell progress from a wake-up.
    fn moved(&self, down: &Conn) -> (u64, usize) {
        (self.story.bytes_in + self.story.bytes_out, down.backlog_len())
    }

    /// Sets or keeps the deadline of whoever has to move next; true when it has passed.
    fn watch_time(&mut self, clock: &Clock, up: &Conn, down: &Conn, before: (u64, usize)) -> bool {
        let phase = if down.has_backlog() {
            Phase::Client
        } else if self.upload == Upload::Open && !up.has_backlog() {
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
        clock.expire_in(self.seat, self.patience(phase));
        too_slow
    }

    fn patience(&self, phase: Phase) -> u32 {
        let listener = self.listener();
        let route = self.progress.route.and_then(|route| listener.routes.get(route as usize));
        match phase {
            Phase::Body => listener.body_idle_ms,
            Phase::Client | Phase::None => listener.send_idle_ms,
            Phase::ResponseHead => route.map_or(60_000, |route| route.response_head_ms),
            Phase::ResponseBody => route.map_or(300_000, |route| route.response_idle_ms),
        }
    }

    // ---- outcomes

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
        if matches!(head.status(), 502..=504) {
            self.pick().failed(worker, now, "answered 502, 503 or 504");
        } else {
            self.pick().succeeded(worker, took, now);
        }
    }

    /// The response is complete: the slot is free, and the connection goes back if both sides agree.
    fn settle(&mut self, worker: &Worker, up: Upstream) {
        let Some(pick) = self.pick.take() else { return };
        if up.conn.is_clean() {
            let terms = pick.terms(up.conn.announced_keepalive());
            worker.upstream.borrow_mut().put(pick.live(), up.conn, terms, worker.clock.coarse_ms());
        }
    }

    /// An attempt failed; the slot is free. `Ok`: try again.
    fn judge(&mut self, worker: &Worker, down: &Conn, failure: Failure) -> Result<(), Failure> {
        let reused_ms = self.up.take().and_then(|up| up.reused_ms);
        let Some(pick) = self.pick.take() else { return Err(failure) };
        match reused_ms {
            // It had been closed while it was idle: nobody's fault, and something to learn.
            Some(age_ms) if failure == Failure::ClosedEarly => {
                worker.meter().stale.add(1);
                worker.upstream.borrow_mut().learn(pick.live(), age_ms);
            }
            _ if matches!(failure.blame(), Blame::Backend) && self.story.status == 0 => {
                pick.failed(worker, worker.now(), failure.reason());
            }
            _ => {}
        }
        let spent = self.spent();
        if !down.is_unanswered() || !failure.may_retry(spent) || self.tries >= pick.tries() {
            return Err(failure);
        }
        if !pick.budget().withdraw(worker.now()) {
            worker.meter().retries_denied.add(1);
            return Err(failure);
        }
        self.attempts.extend(self.story.served_by.map(|(pool, slot)| (pool, slot, failure.reason())));
        if failure == Failure::ClosedEarly {
            self.closed_before = true;
            worker.meter().retries_closed.add(1);
        } else {
            worker.meter().retries_connect.add(1);
        }
        Ok(())
    }

    /// The exchange failed for good.
    async fn fail(&mut self, worker: &Worker, down: &mut Conn, failure: Failure) -> After {
        self.up = None;
        self.story.reason = Some(failure.reason());
        if matches!(failure, Failure::ClientGone | Failure::ClientSlow) {
            if self.story.status == 0 {
                self.story.status = failure.status();
            }
            return After::Abort;
        }
        if !down.is_unanswered() {
            return After::Abort;
        }
        self.answer(worker, down, failure.into()).await
    }

    /// Sends an answer of pylb itself.
    async fn answer(&mut self, worker: &Worker, down: &mut Conn, answer: Answer) -> After {
        self.story.status = answer.status;
        self.story.error = answer.error;
        let keep_alive = down.has_read_all() && self.head().keep_alive() && !self.is_last(worker);
        let mut bytes = Vec::with_capacity(512);
        answer.render(self.head.as_ref(), self.request_id(), keep_alive, &mut bytes);
        self.story.bytes_out = bytes.len() as u64;
        let sent = poll_fn(|cx| Poll::Ready(down.offer_reply(cx, &bytes, keep_alive))).await;
        if sent.is_err() { After::Abort } else { self.flush(worker, down).await }
    }

    /// Waits until the client has taken everything.
    async fn flush(&mut self, worker: &Worker, down: &mut Conn) -> After {
        if down.has_backlog() {
            self.phase = Phase::Client;
            worker.clock.expire_in(self.seat, self.patience(Phase::Client));
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
        let moved = before - down.backlog_len();
        if moved > 0 {
            worker.clock.expire_in(self.seat, self.patience(Phase::Client));
        }
        let late =
            worker.clock.expired(self.seat) || self.pace.is_too_slow(true, moved as u64, worker.clock.coarse_ms());
        if late { Poll::Ready(Err(Failure::ClientSlow)) } else { Poll::Pending }
    }

    /// Counts and logs, and gives the head's page back.
    fn close_book(&mut self, worker: &Worker) {
        let took = since(self.story.started, self.story.ended.unwrap_or_else(|| worker.now()));
        self.count(worker, took);
        let log = &self.held.plan.log;
        if self.listener().access_log && log.access != plan::Sink::Off {
            self.log(worker, took);
        }
        if let Some(head) = self.head.take() {
            worker.buffers.borrow_mut().pages.give(head.into_page());
        }
    }

    fn count(&self, worker: &Worker, took: Duration) {
        let meters = self.held.meters(self.listener);
        let route = self.progress.route.and_then(|route| meters.routes.get(route as usize));
        route.unwrap_or(&meters.unrouted).lane(worker.index).exchange(self.story.status, took);
        if let Some((pool, slot)) = self.story.served_by {
            self.held.record(pool, slot).meter.lane(worker.index).exchange(self.story.status, took);
        }
        worker.meter().bytes_in.add(self.story.bytes_in);
        worker.meter().bytes_out.add(self.story.bytes_out);
    }

    fn log(&self, worker: &Worker, took: Duration) {
        let plan = &self.held.plan;
        let backend = |pool: u32, slot: u32| &*self.held.pool(pool).pool.backends()[slot as usize].name;
        let attempts: Vec<_> = self.attempts.iter().map(|(pool, slot, why)| (backend(*pool, *slot), *why)).collect();
        let route = self.progress.route.map(|route| &*self.listener().routes[route as usize].name);
        let record = Record {
            id: self.request_id(),
            client: self.client,
            request: self.head.as_ref(),
            route,
            pool: self.story.served_by.map(|(pool, _)| &*self.held.pool(pool).name),
            backend: self.story.served_by.map(|(pool, slot)| backend(pool, slot)),
            attempts: &attempts,
            status: self.story.status,
            proxy_status: self.story.error,
            reason: self.story.reason,
            bytes_in: self.story.bytes_in,
            bytes_out: self.story.bytes_out,
            connect: self.story.connect,
            first_byte: self.story.first_byte,
            total: took,
            reused: self.story.reused,
        };
        worker.log.write(&record, plan.log.format, &worker.shared.log);
    }

    // ---- small questions

    fn too_large(&self) -> Option<Failure> {
        match (self.head().framing(), self.listener().max_body) {
            (wire::Framing::Length(length), Some(limit)) if length > limit => Some(Failure::BodyTooLarge),
            _ => None,
        }
    }

    fn spent(&self) -> Spent {
        Spent {
            idempotent: self.head().is_idempotent(),
            body_taken: self.story.bytes_in > 0,
            closed_before: self.closed_before,
        }
    }

    fn head(&self) -> &Head {
        match &self.head {
            Some(head) => head,
            None => unreachable!("the head leaves the exchange only when its book is closed"),
        }
    }

    fn pick(&self) -> &Pick {
        match &self.pick {
            Some(pick) => pick,
            None => unreachable!("between choosing and settling a pick is held"),
        }
    }

    fn listener(&self) -> &plan::Listener {
        &self.held.plan.listeners[self.listener as usize]
    }

    fn request_id(&self) -> &[u8] {
        let kept = if self.trusted { self.head().field(b"x-request-id") } else { None };
        kept.unwrap_or(self.id.as_bytes())
    }
}

/// How a request was answered.
enum Sent {
    Relayed,
    Reply(Answer),
}

impl Phase {
    /// What it means when this phase takes too long.
    fn late(self) -> Failure {
        match self {
            Phase::Body => Failure::BodyTimeout,
            Phase::ResponseHead => Failure::ResponseTimeout,
            Phase::ResponseBody => Failure::ResponseIdle,
            Phase::Client | Phase::None => Failure::ClientSlow,
        }
    }
}

impl Story {
    fn new(started: Tick) -> Self {
        Story {
            started,
            connect: None,
            first_byte: None,
            ended: None,
            status: 0,
            error: None,
            reason: None,
            bytes_in: 0,
            bytes_out: 0,
            served_by: None,
            reused: false,
        }
    }
}

fn since(earlier: Tick, later: Tick) -> Duration {
    Duration::from_micros(later.0.saturating_sub(earlier.0))
}
