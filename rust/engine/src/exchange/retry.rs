//! May the request go to a backend again?
//!
//! Five questions, in this order: has nothing of an answer been sent, does the failure say that trying again does no
//! harm (and is configured), is a try left, is there time left, and can the pool afford it. A refused connection costs
//! no backend anything, so it is outside the pool's budget.
//!
//! Between two tries lies a pause of 25 ms x 2^n, drawn at random down to nothing so that many requests that failed
//! together do not return together, at most 250 ms. Only after a connection that was closed while it was idle there is
//! none: nobody is in trouble.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use plan::{Retries, Tick};
use wire::Blame;

use super::Exchange;
use super::replay::Replay;
use super::story::since;
use crate::end::Conn;
use crate::failure::{Failure, Spent};
use crate::worker::Worker;

/// The longest first pause.
const PAUSE_MS: u32 = 25;
/// The longest pause.
const LONGEST_PAUSE_MS: u32 = 250;

/// What has been tried so far.
#[derive(Default)]
pub(super) struct Tries {
    count: u32,
    /// A backend has closed on this request before it answered.
    closed: bool,
    /// The retry that follows is paid for already.
    granted: bool,
    /// When the request was first sent.
    began: Option<Tick>,
    failed: Vec<(u32, u32, &'static str)>,
    /// More words on why the last one failed.
    pub(super) words: Option<Box<str>>,
    /// The body so far, where it may be needed again.
    pub(super) replay: Option<Box<Replay>>,
}

impl Tries {
    /// Backends asked so far.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn begin(&mut self) {
        self.count += 1;
        self.words = None;
    }

    /// A connection was found for the request.
    pub(super) fn sends(&mut self, now: Tick) {
        self.began.get_or_insert(now);
    }

    pub(super) fn was_closed(&self) -> bool {
        self.closed
    }

    /// Pool, backend and reason of each try in vain.
    pub(super) fn failed(&self) -> &[(u32, u32, &'static str)] {
        &self.failed
    }
}

impl Exchange {
    /// An attempt failed. `Ok`: try again.
    pub(super) async fn recover(&mut self, worker: &Worker, down: &mut Conn, failure: Failure) -> Result<(), Failure> {
        match self.judge(worker, down, failure)? {
            Duration::ZERO => Ok(()),
            pause => self.back_off(worker, down, pause).await,
        }
    }

    /// Frees the slot. `Ok`: try again after this pause.
    fn judge(&mut self, worker: &Worker, down: &Conn, failure: Failure) -> Result<Duration, Failure> {
        let up = self.up.take();
        let idle = up.as_ref().and_then(|up| up.reused);
        let Some(pick) = self.pick.take() else { return Err(failure) };
        self.tries.words = pick.words();
        match idle {
            // It had been closed while it was idle: nobody's fault, and something to learn.
            Some(age) if failure == Failure::ClosedEarly => {
                worker.meter().stale.add(1);
                worker.upstream.borrow_mut().learn(pick.live(), age, worker.now());
                self.progress.forgive();
            }
            // What an answer says of its backend was noted when it came.
            _ if matches!(failure, Failure::Status(_)) => {
                up.into_iter().for_each(|up| Self::shelve(worker, &self.held, &pick, up, worker.now()));
            }
            _ if matches!(failure.blame(), Blame::Backend) && self.story.status == 0 => {
                pick.failed(worker, worker.now(), failure.reason());
            }
            _ => {}
        }
        let granted = std::mem::take(&mut self.tries.granted);
        if !granted && !self.may_retry(worker, down, failure, idle.is_some(), pick.retries()) {
            return Err(failure);
        }
        if !granted && failure.costs_backends() && !pick.budget().withdraw(worker.now()) {
            worker.meter().retries_denied.add(1);
            return Err(failure);
        }
        self.tries.failed.extend(self.story.served_by.map(|(pool, slot)| (pool, slot, failure.reason())));
        self.tries.closed |= failure == Failure::ClosedEarly;
        worker.meter().retries[failure.retry_kind(idle.is_some()) as usize].add(1);
        if idle.is_some() && failure == Failure::ClosedEarly { Ok(Duration::ZERO) } else { Ok(self.pause(worker)) }
    }

    /// A response with a status that is tried again: true if this one is, and then the retry is paid for.
    #[cold]
    pub(super) fn turns_down(&mut self, worker: &Worker, down: &Conn, status: u16) -> bool {
        let pick = self.pick();
        let now = worker.now();
        let failure = Failure::Status(status);
        if !self.may_retry(worker, down, failure, false, pick.retries()) {
            return false;
        }
        if !pick.budget().withdraw(now) {
            worker.meter().retries_denied.add(1);
            return false;
        }
        if matches!(status, 502..=504) {
            pick.failed(worker, now, failure.reason());
        }
        self.tries.granted = true;
        true
    }

    fn may_retry(&self, worker: &Worker, down: &Conn, failure: Failure, was_idle: bool, retries: &Retries) -> bool {
        down.is_unanswered()
            && failure.may_retry(self.spent(was_idle), &retries.on)
            && self.tries.count < retries.tries
            && self.tries.began.is_none_or(|began| since(began, worker.now()) < self.whole_time())
    }

    fn spent(&self, was_idle: bool) -> Spent {
        let kept = self.tries.replay.as_ref().is_some_and(|replay| replay.is_whole());
        Spent {
            repeatable: self.head().is_idempotent() && (self.story.bytes_in == 0 || kept),
            closed_before: self.tries.closed,
            was_idle,
        }
    }

    /// What all tries together may take until the head of a response.
    fn whole_time(&self) -> Duration {
        Duration::from_millis(self.route().map_or(60_000, |route| route.response_head_ms).into())
    }

    /// Milliseconds until this try's response head is late.
    pub(super) fn patience_of_try(&self, now: impl FnOnce() -> Tick) -> u32 {
        let whole = self.whole_time();
        let per_try = self.pick.as_ref().and_then(|pick| pick.retries().per_try_ms);
        if self.tries.count <= 1 && per_try.is_none() {
            return whole.as_millis() as u32;
        }
        let spent = self.tries.began.map_or(Duration::ZERO, |began| since(began, now()));
        let left = whole.saturating_sub(spent).as_millis() as u32;
        per_try.map_or(left, |per_try| left.min(per_try))
    }

    fn pause(&self, worker: &Worker) -> Duration {
        let longest = PAUSE_MS.checked_shl(self.tries.count - 1).unwrap_or(u32::MAX).min(LONGEST_PAUSE_MS);
        Duration::from_micros(worker.dice() % (u64::from(longest) * 1_000 + 1))
    }

    /// Lets the pause pass, for as long as the client stays.
    async fn back_off(&mut self, worker: &Worker, down: &mut Conn, pause: Duration) -> Result<(), Failure> {
        let mut sleep = pin!(tokio::time::sleep(pause));
        poll_fn(|cx| {
            self.poll_standing(worker, down, cx)?;
            sleep.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}
