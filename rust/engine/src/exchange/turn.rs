//! Waiting for a place in a full pool.
//!
//! Whoever finds all backends at their limits joins the pool's line ([`Queued`]) and asks `decide` again when it is
//! its turn: woken by a place that became free, and in any case every 50 ms, because nobody tells when an ejection or
//! a drain is over. A client that belongs to one backend waits a second for that one and then goes anywhere. Nothing
//! has been sent yet, so a request that waits moves on to each new plan; its place in the line it keeps if the pool is
//! still the same.
//!
//! All of this is off the path of a request that finds room, so it is boxed and may use precise timers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plan::{Pin, Reply, Tick, Until};

use super::story::since;
use super::{Choice, Exchange};
use crate::end::Conn;
use crate::failure::Failure;
use crate::pick::Pick;
use crate::reply::Answer;
use crate::wait::seating::Queued;
use crate::worker::Worker;

/// How long a client waits for the backend it belongs to.
const PINNED: Duration = Duration::from_secs(1);
/// How often whoever is next looks without being told.
const LOOK: Duration = Duration::from_millis(50);

/// Where a request waits.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    pub(super) pool: u32,
    pub(super) until: Until,
}

/// Why the wait is over for a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Mine,
    /// Another plan is in force.
    Moved,
    Late,
}

impl Exchange {
    /// Waits until a backend is picked; an answer instead if none is in time.
    pub(super) async fn take_turn(
        &mut self,
        worker: &Worker,
        down: &mut Conn,
        wait: Wait,
    ) -> Result<Option<Box<Answer>>, Failure> {
        let begun = worker.now();
        self.story.queued = Some(Duration::ZERO);
        let result = self.stand_in_line(worker, down, wait, begun).await;
        self.story.queued = Some(since(begun, worker.now()));
        result
    }

    async fn stand_in_line(
        &mut self,
        worker: &Worker,
        down: &mut Conn,
        mut wait: Wait,
        begun: Tick,
    ) -> Result<Option<Box<Answer>>, Failure> {
        let mut queued: Option<Queued> = None;
        let mut since_move = begun;
        loop {
            let wants = self.wanted(wait);
            let kept = queued.as_mut().is_some_and(|queued| queued.follow(&self.held, wait.pool, wants));
            if !kept {
                drop(queued.take());
                since_move = worker.now();
                let join = |waker: &Waker| Queued::join(&self.held, wait.pool, wants, waker, since_move);
                queued = poll_fn(|cx| Poll::Ready(join(cx.waker()))).await;
            }
            let end = match wait.until {
                Until::Pinned(_) => since_move.after(PINNED),
                Until::Free => begun.after(self.patience_in_line(wait.pool)),
            };
            let turn = match &queued {
                Some(queued) => self.stand(worker, down, queued, !kept, end).await?,
                None => Turn::Late,
            };
            match (turn, wait.until) {
                (Turn::Late, Until::Free) => {
                    queued.into_iter().for_each(Queued::give_up);
                    return Ok(Some(Box::new(Reply::FULL.into())));
                }
                (Turn::Late, Until::Pinned(_)) => self.progress.escape(),
                (Turn::Moved, _) => self.follow_plan(worker),
                (Turn::Mine, _) => {}
            }
            match self.choose(worker, turn == Turn::Mine) {
                Choice::Go => return Ok(None),
                Choice::Answer(answer) => return Ok(Some(answer)),
                Choice::Wait(next) => wait = next,
            }
        }
    }

    /// Others wait for places in this pool: nobody overtakes them.
    #[cold]
    pub(super) fn step_back(&mut self, pick: Pick, wait: Wait) -> Choice {
        drop(pick);
        let slot = self.progress.tried.pop();
        let until = match (self.progress.pin, slot) {
            (Pin::Honoured, Some(slot)) => Until::Pinned(slot),
            _ => Until::Free,
        };
        Choice::Wait(Wait { until, ..wait })
    }

    /// Stands in the line until it is this request's turn, the plan has changed or time is up. `fresh`: it has not
    /// tried since it joined.
    async fn stand(
        &mut self,
        worker: &Worker,
        down: &mut Conn,
        queued: &Queued,
        fresh: bool,
        end: Tick,
    ) -> Result<Turn, Failure> {
        let left = end.since(worker.now());
        let look = if queued.is_next() { left.min(LOOK) } else { left };
        let mut sleep = pin!(tokio::time::sleep(look));
        let mut woken = fresh;
        poll_fn(|cx| {
            self.poll_standing(worker, down, cx)?;
            let is_over = sleep.as_mut().poll(cx).is_ready();
            if worker.now() >= end {
                return Poll::Ready(Ok(Turn::Late));
            }
            if self.is_outdated(worker) {
                return Poll::Ready(Ok(Turn::Moved));
            }
            // The first poll comes right after a try in vain; whatever happens later wakes this task.
            let tries = std::mem::replace(&mut woken, true) || is_over;
            if is_over || (tries && queued.is_next()) { Poll::Ready(Ok(Turn::Mine)) } else { Poll::Pending }
        })
        .await
    }

    /// What ends any wait of a request that is with nobody: the end of pylb, or of its client.
    pub(super) fn poll_standing(
        &mut self,
        worker: &Worker,
        down: &mut Conn,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if worker.is_stopping() {
            return Err(Failure::Stopped);
        }
        self.watch_client(down, &mut worker.buffers.borrow_mut().receive, cx)
    }

    fn patience_in_line(&self, pool: u32) -> Duration {
        Duration::from_millis(self.held.pool(pool).queue.timeout_ms.into())
    }

    /// The only backend that will do, by its live identity.
    fn wanted(&self, wait: Wait) -> Option<u64> {
        match wait.until {
            Until::Free => None,
            Until::Pinned(slot) => {
                self.held.pool(wait.pool).pool.backends().get(slot as usize).map(|backend| backend.live.id())
            }
        }
    }

    /// Whether a newer plan is in force for a request that no backend has seen.
    fn is_outdated(&self, worker: &Worker) -> bool {
        self.tries.count() == 0 && worker.held(self.door).is_some_and(|held| !Rc::ptr_eq(&held, &self.held))
    }

    fn follow_plan(&mut self, worker: &Worker) {
        let Some(held) = worker.held(self.door) else { return };
        let Some((index, _)) = held.http(self.door) else { return };
        self.listener = index;
        self.progress.restart(index);
        self.held = held;
    }
}
