//! Waiting for a place in a full pool.
//!
//! Whoever finds all backends at their limits joins the pool's line ([`Queued`]) and asks for a place again when it is
//! its turn: woken by a place that became free, and in any case every 50 ms, because nobody tells when an ejection or
//! a drain is over. A client that belongs to one backend waits a second for that one and then goes anywhere. Nothing
//! has been sent yet, so whoever waits moves on to each new plan; its place in the line it keeps if the pool is still
//! the same.
//!
//! All of this is off the path of those who find room, so it is boxed and may use precise timers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plan::{Pin, Progress, Tick, Until};

use super::seating::Queued;
use crate::running::Held;
use crate::worker::Worker;

/// How long a client waits for the backend it belongs to.
const PINNED: Duration = Duration::from_secs(1);
/// How often whoever is next looks without being told.
const LOOK: Duration = Duration::from_millis(50);

/// Where somebody waits.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) pool: u32,
    pub(crate) until: Until,
}

/// What asking for a place came to.
pub(crate) enum Choice<R> {
    /// There is one, and it is held.
    Go,
    /// There will be none, and this is what is said of it.
    Answer(R),
    Wait(Wait),
}

/// Somebody who wants a place: a request, or a connection that is passed on.
pub(crate) trait Applicant {
    /// What it is told instead of a place.
    type Answer;
    /// What ends it while it is with nobody.
    type End;

    /// The plan that it goes by.
    fn held(&self) -> &Held;

    /// Asks for a place. `is_next`: nobody waits who was here before.
    fn choose(&mut self, is_next: bool) -> Choice<Self::Answer>;

    /// What is said when it has waited for too long, or there are too many.
    fn full(&self) -> Self::Answer;

    /// Whether the end of pylb, or of its client, has come.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Result<(), Self::End>;

    /// Whether a newer plan is in force that it could go by.
    fn is_outdated(&self) -> bool;

    /// Goes by that; it must not be outdated then, or its worker would do nothing else.
    fn follow_plan(&mut self);

    /// Forgets for this once where it belongs.
    fn escape(&mut self);
}

/// Why the wait is over for a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Mine,
    /// Another plan is in force.
    Moved,
    Late,
}

/// Waits until a place is held; an answer instead if none is in time.
pub(crate) async fn take_turn<A: Applicant>(
    applicant: &mut A,
    worker: &Worker,
    mut wait: Wait,
    begun: Tick,
) -> Result<Option<A::Answer>, A::End> {
    let mut queued: Option<Queued> = None;
    let mut since_move = begun;
    loop {
        let wants = wanted(applicant.held(), wait);
        let kept = queued.as_mut().is_some_and(|queued| queued.follow(applicant.held(), wait.pool, wants));
        if !kept {
            drop(queued.take());
            since_move = worker.now();
            let join = |waker: &Waker| Queued::join(applicant.held(), wait.pool, wants, waker, since_move);
            queued = poll_fn(|cx| Poll::Ready(join(cx.waker()))).await;
        }
        let end = match wait.until {
            Until::Pinned(_) => since_move.after(PINNED),
            Until::Free => begun.after(patience(applicant.held(), wait.pool)),
        };
        let turn = match &queued {
            Some(queued) => stand(applicant, worker, queued, !kept, end).await?,
            None => Turn::Late,
        };
        match (turn, wait.until) {
            (Turn::Late, Until::Free) => {
                queued.into_iter().for_each(Queued::give_up);
                return Ok(Some(applicant.full()));
            }
            (Turn::Late, Until::Pinned(_)) => applicant.escape(),
            (Turn::Moved, _) => applicant.follow_plan(),
            (Turn::Mine, _) => {}
        }
        match applicant.choose(turn == Turn::Mine) {
            Choice::Go => return Ok(None),
            Choice::Answer(answer) => return Ok(Some(answer)),
            Choice::Wait(next) => wait = next,
        }
    }
}

/// A place was found, but others wait in this pool: nobody overtakes them. Where to wait instead; the place is given
/// back already.
#[cold]
pub(crate) fn step_back(progress: &mut Progress, pool: u32) -> Wait {
    let slot = progress.tried.pop();
    let until = match (progress.pin, slot) {
        (Pin::Honoured, Some(slot)) => Until::Pinned(slot),
        _ => Until::Free,
    };
    Wait { pool, until }
}

/// Stands in the line until it is this one's turn, the plan has changed or time is up. `fresh`: it has not tried since
/// it joined.
async fn stand<A: Applicant>(
    applicant: &mut A,
    worker: &Worker,
    queued: &Queued,
    fresh: bool,
    end: Tick,
) -> Result<Turn, A::End> {
    let left = end.since(worker.now());
    let look = if queued.is_next() { left.min(LOOK) } else { left };
    let mut sleep = pin!(tokio::time::sleep(look));
    let mut woken = fresh;
    poll_fn(|cx| {
        applicant.poll_end(cx)?;
        let is_over = sleep.as_mut().poll(cx).is_ready();
        if worker.now() >= end {
            return Poll::Ready(Ok(Turn::Late));
        }
        if applicant.is_outdated() {
            return Poll::Ready(Ok(Turn::Moved));
        }
        // The first poll comes right after a try in vain; whatever happens later wakes this task.
        let tries = std::mem::replace(&mut woken, true) || is_over;
        if is_over || (tries && queued.is_next()) { Poll::Ready(Ok(Turn::Mine)) } else { Poll::Pending }
    })
    .await
}

fn patience(held: &Held, pool: u32) -> Duration {
    Duration::from_millis(held.pool(pool).queue.timeout_ms.into())
}

/// The only backend that will do, by its live identity.
fn wanted(held: &Held, wait: Wait) -> Option<u64> {
    match wait.until {
        Until::Free => None,
        Until::Pinned(slot) => held.pool(wait.pool).pool.backends().get(slot as usize).map(|backend| backend.live.id()),
    }
}
