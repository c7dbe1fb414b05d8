//! The first half of a session: a backend that is connected.
//!
//! The same steps as those of a request, without its head: the pool's policy chooses, a full pool has a line, and a
//! backend that cannot be reached is followed by another, within the tries, the pauses and the budget of the pool's
//! `retries`, if these say `connect`. The client may speak meanwhile; what it says is kept, up to a bound. Its reset ends
//! the search.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use plan::{Progress, Reply, Step, Stream};

use super::Book;
use crate::arrival::Ends;
use crate::clock::{Seat, TICK_MS};
use crate::end::Conn;
use crate::failure::{Failure, Spent};
use crate::pick::Pick;
use crate::running::Held;
use crate::socket::Socket;
use crate::upstream::connect::{connect, secure};
use crate::wait::turn::{self, Applicant, Choice, Wait, step_back};
use crate::worker::Worker;

/// How long a connection to a backend waits for descriptors to become free.
const BREATH: Duration = Duration::from_millis(TICK_MS as u64);
/// The longest first pause between two tries, in milliseconds; it doubles with each.
const PAUSE_MS: u32 = 25;
/// The longest pause.
const LONGEST_PAUSE_MS: u32 = 250;

/// A session that looks for a backend.
pub(super) struct Search<'w> {
    worker: &'w Worker,
    seat: Seat,
    held: Held,
    pool: u32,
    client: IpAddr,
    ends: Option<Box<Ends>>,
    progress: Progress,
    pick: Option<Pick>,
    tries: u32,
    queued: Option<Duration>,
    connect: Option<Duration>,
    backend: Option<Box<str>>,
    failed: Vec<(Box<str>, &'static str)>,
}

/// A backend that is connected, and the place there.
pub(super) struct Found {
    pub conn: Box<Conn>,
    pub pick: Pick,
}

/// Why there is none.
pub(super) struct Lost {
    pub reason: Cow<'static, str>,
    /// The error type of RFC 9209, where one fits.
    pub error: Option<&'static str>,
}

/// A search in the line before a full pool, with its client.
struct Waiting<'a, 'w> {
    search: &'a mut Search<'w>,
    down: &'a mut Conn,
}

impl<'w> Search<'w> {
    pub(super) fn new(
        worker: &'w Worker,
        seat: Seat,
        held: Held,
        pool: u32,
        client: IpAddr,
        ends: Option<Box<Ends>>,
    ) -> Self {
        Search {
            worker,
            seat,
            held,
            pool,
            client,
            ends,
            progress: Progress::new(0),
            pick: None,
            tries: 0,
            queued: None,
            connect: None,
            backend: None,
            failed: Vec::new(),
        }
    }

    pub(super) async fn run(&mut self, down: &mut Conn) -> Result<Found, Lost> {
        loop {
            match self.choose(false) {
                Choice::Go => {}
                Choice::Answer(lost) => return Err(lost),
                Choice::Wait(wait) => self.take_turn(down, wait).await?,
            }
            match self.reach(down).await {
                Ok(found) => return Ok(found),
                Err(failure) => self.recover(down, failure).await?,
            }
        }
    }

    /// Writes down how it went.
    pub(super) fn note(&mut self, book: &mut Book) {
        book.pool = self.held.pool(self.pool).name.clone();
        book.backend = self.backend.take();
        book.attempts = std::mem::take(&mut self.failed);
        (book.queued, book.connect) = (self.queued, self.connect);
    }

    fn choose(&mut self, is_next: bool) -> Choice<Lost> {
        let (worker, held) = (self.worker, self.held.clone());
        let now = worker.now();
        let stream = Stream { client: self.client, now, wall: worker.clock.wall(now), dice: worker.dice() };
        match held.plan.place_stream(self.pool, &mut self.progress, &stream) {
            Step::Reply(reply) => Choice::Answer(Lost::told(&reply)),
            Step::Wait { pool, until } => Choice::Wait(Wait { pool, until }),
            Step::Send { pool, slot } => {
                let pick = Pick::new(held.clone(), pool, slot);
                if !is_next && pick.is_awaited() {
                    drop(pick);
                    return Choice::Wait(step_back(&mut self.progress, pool));
                }
                if self.tries == 0 {
                    pick.budget().request(now);
                }
                self.tries += 1;
                self.backend = Some(pick.name().into());
                self.pick = Some(pick);
                Choice::Go
            }
        }
    }

    async fn take_turn(&mut self, down: &mut Conn, wait: Wait) -> Result<(), Lost> {
        let (worker, begun) = (self.worker, self.worker.now());
        let result = turn::take_turn(&mut Waiting { search: self, down }, worker, wait, begun).await;
        self.queued = Some(worker.now().since(begun));
        match result {
            Ok(None) => Ok(()),
            Ok(Some(lost)) => Err(lost),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Connects to the backend that was picked, and tells it who the client is if it wants to know.
    async fn reach(&mut self, down: &mut Conn) -> Result<Found, Failure> {
        let Some(pick) = self.pick.take() else { return Err(Failure::Stopped) };
        let worker = self.worker;
        let begun = worker.now();
        worker.clock.expire_in(self.seat, pick.address().1);
        let header = self.header(&pick, down);
        let result = loop {
            match self.connect(&pick, &header, down).await {
                // Idle connections of all workers make room at the next tick.
                Err(Failure::Exhausted) if !worker.clock.expired(self.seat) => {
                    worker.free_descriptors();
                    tokio::time::sleep(BREATH).await;
                }
                result => break result,
            }
        };
        let now = worker.now();
        match result {
            Ok(conn) => {
                worker.meter().connected.add(1);
                self.connect = Some(now.since(begun));
                Ok(Found { conn, pick })
            }
            Err(failure) => {
                if matches!(failure.blame(), wire::Blame::Backend) {
                    pick.failed(worker, now, failure.reason());
                }
                self.pick = Some(pick);
                Err(failure)
            }
        }
    }

    fn header(&self, pick: &Pick, down: &Conn) -> Vec<u8> {
        let mut header = Vec::new();
        if let Some(version) = pick.proxy_protocol() {
            let ends = self.ends.as_deref().copied().or_else(|| down.socket().ends());
            wire::proxy_protocol::write(version, ends, &mut header);
        }
        header
    }

    async fn connect(&self, pick: &Pick, header: &[u8], down: &mut Conn) -> Result<Box<Conn>, Failure> {
        let socket = self.connect_clear(pick, header, down).await?;
        let socket = secure(self.worker, pick, socket, self.seat, |cx| self.poll_end(down, cx)).await?;
        Ok(Box::new(Conn::new(socket)))
    }

    async fn connect_clear(&self, pick: &Pick, header: &[u8], down: &mut Conn) -> Result<Socket, Failure> {
        let worker = self.worker;
        let mut connecting = pin!(connect(pick.address().0.clone(), worker.descriptor_limit, header));
        poll_fn(|cx| {
            if let Poll::Ready(result) = connecting.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(|error| Failure::of_connect(&error)));
            }
            if worker.clock.expired(self.seat) {
                return Poll::Ready(Err(Failure::ConnectTimeout));
            }
            self.poll_end(down, cx).map_or(Poll::Pending, |failure| Poll::Ready(Err(failure)))
        })
        .await
    }

    /// A try has failed. `Ok`: after a pause, another one.
    async fn recover(&mut self, down: &mut Conn, failure: Failure) -> Result<(), Lost> {
        let Some(pick) = self.pick.take() else { return Err(failure.into()) };
        let lost = || Lost {
            reason: pick.words().map_or(failure.reason().into(), |words| String::from(words).into()),
            ..failure.into()
        };
        let retries = pick.retries();
        let spent = Spent { repeatable: true, was_idle: false, closed_before: false };
        if !failure.may_retry(spent, &retries.on) || self.tries >= retries.tries {
            return Err(lost());
        }
        let now = self.worker.now();
        if failure.costs_backends() && !pick.budget().withdraw(now) {
            self.worker.meter().retries_denied.add(1);
            return Err(lost());
        }
        self.failed.extend(self.backend.take().map(|backend| (backend, failure.reason())));
        self.worker.meter().retries[failure.retry_kind(false) as usize].add(1);
        drop(pick);
        self.pause(down).await
    }

    async fn pause(&mut self, down: &mut Conn) -> Result<(), Lost> {
        let longest = PAUSE_MS.checked_shl(self.tries - 1).unwrap_or(u32::MAX).min(LONGEST_PAUSE_MS);
        let pause = Duration::from_micros(self.worker.dice() % (u64::from(longest) * 1_000 + 1));
        let mut sleep = pin!(tokio::time::sleep(pause));
        poll_fn(|cx| match self.poll_end(down, cx) {
            Some(failure) => Poll::Ready(Err(failure.into())),
            None => sleep.as_mut().poll(cx).map(Ok),
        })
        .await
    }

    /// What ends a session that is with nobody: the end of pylb, or a client that has reset.
    fn poll_end(&self, down: &mut Conn, cx: &mut Context<'_>) -> Option<Failure> {
        if self.worker.is_stopping() {
            return Some(Failure::Stopped);
        }
        let gone = down.poll_reset(cx, &mut self.worker.buffers.borrow_mut().receive);
        gone.is_ready().then_some(Failure::ClientGone)
    }
}

impl Applicant for Waiting<'_, '_> {
    type Answer = Lost;
    type End = Failure;

    fn held(&self) -> &Held {
        &self.search.held
    }

    fn choose(&mut self, is_next: bool) -> Choice<Lost> {
        self.search.choose(is_next)
    }

    fn full(&self) -> Lost {
        Lost::told(&Reply::FULL)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.search.poll_end(self.down, cx).map_or(Ok(()), Err)
    }

    /// The pool is what matters, not who has sent the session there.
    fn is_outdated(&self) -> bool {
        self.newer().is_some()
    }

    fn follow_plan(&mut self) {
        if let Some((held, pool)) = self.newer() {
            self.search.progress.restart(0);
            (self.search.held, self.search.pool) = (held, pool);
        }
    }

    fn escape(&mut self) {
        self.search.progress.escape();
    }
}

impl Waiting<'_, '_> {
    fn newer(&self) -> Option<(Held, u32)> {
        let Search { held, pool, tries, worker, .. } = &*self.search;
        let newer = worker.current().filter(|newer| *tries == 0 && !Rc::ptr_eq(newer, held))?;
        let pool = newer.plan.pool_named(&held.pool(*pool).name)?;
        Some((newer, pool))
    }
}

impl Lost {
    fn told(reply: &Reply<'_>) -> Self {
        let reason = match reply.error {
            Some("connection_limit_reached") => "no place at any backend",
            _ => "no backend to be had",
        };
        Lost { reason: reason.into(), error: reply.error }
    }
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        Lost { reason: failure.reason().into(), error: failure.proxy_error() }
    }
}
