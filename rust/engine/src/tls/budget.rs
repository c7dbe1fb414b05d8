//! How much of a worker's time handshakes may take at a stretch.
//!
//! A handshake costs as much as some ten requests, nearly all of it when the ClientHello has come, and anybody can ask
//! for as many as the network carries. So whoever has a ClientHello waits in line for a turn. In one round of the
//! scheduler turns are given until [`SLICE`] is spent; then everything else that is ready is polled, and all sockets are
//! looked at, before the next. A worker without other work goes round at once, so the line costs nothing there.
//!
//! The *dealer* is a task of the worker that ends rounds: it sleeps while nothing is spent.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// What is spent in one round at most, and one handshake more: two or three, by the time one takes.
const SLICE: Duration = Duration::from_micros(250);

/// The line for handshakes of one worker.
pub(crate) struct Budget {
    spent: Cell<Duration>,
    line: RefCell<VecDeque<(u64, Waker)>>,
    next: Cell<u64>,
    dealer: RefCell<Waker>,
}

/// A place in the line; given up when it is dropped.
struct Place<'a> {
    budget: &'a Budget,
    number: Option<u64>,
}

/// The right to work now; what it takes is counted when it is dropped.
pub(crate) struct Turn<'a> {
    budget: &'a Budget,
    since: Instant,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Budget {
            spent: Cell::default(),
            line: RefCell::default(),
            next: Cell::default(),
            dealer: RefCell::new(Waker::noop().clone()),
        }
    }

    /// Waits for a turn, first come, first served.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let mut place = Place { budget: self, number: None };
        poll_fn(|cx| place.poll(cx)).await;
        Turn { budget: self, since: Instant::now() }
    }

    /// Ends rounds for ever.
    pub(crate) async fn deal(&self) {
        loop {
            poll_fn(|cx| self.poll_spent(cx)).await;
            tokio::task::yield_now().await;
            self.spent.set(Duration::ZERO);
            self.wake_first();
        }
    }

    fn poll_spent(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.spent.get().is_zero() {
            return Poll::Ready(());
        }
        self.dealer.borrow_mut().clone_from(cx.waker());
        Poll::Pending
    }

    fn spend(&self, took: Duration) {
        self.spent.set(self.spent.get() + took.max(Duration::from_nanos(1)));
        self.dealer.borrow().wake_by_ref();
        if self.spent.get() < SLICE {
            self.wake_first();
        }
    }

    fn wake_first(&self) {
        if let Some((_, waker)) = self.line.borrow().front() {
            waker.wake_by_ref();
        }
    }
}

impl Place<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut line = self.budget.line.borrow_mut();
        let is_first = line.front().is_none_or(|(number, _)| Some(*number) == self.number);
        if is_first && self.budget.spent.get() < SLICE {
            if self.number.take().is_some() {
                line.pop_front();
            }
            return Poll::Ready(());
        }
        let mine = self.number.and_then(|number| line.iter_mut().find(|(other, _)| *other == number));
        match mine {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => {
                let number = self.budget.next.replace(self.budget.next.get().wrapping_add(1));
                self.number = Some(number);
                line.push_back((number, cx.waker().clone()));
            }
        }
        Poll::Pending
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        self.budget.line.borrow_mut().retain(|(other, _)| *other != number);
        if self.budget.spent.get() < SLICE {
            self.budget.wake_first();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.budget.spend(self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::runtime::{Builder, LocalOptions};
    use tokio::task::{spawn_local, yield_now};

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        runtime.expect("a runtime").block_on(test);
    }

    /// Someone who takes a turn, spends this much and says so.
    fn worker(budget: &Rc<Budget>, name: u32, spends: Duration, done: &Rc<RefCell<Vec<u32>>>) {
        let (budget, done) = (Rc::clone(budget), Rc::clone(done));
        spawn_local(async move {
            let turn = budget.turn().await;
            budget.spend(spends);
            done.borrow_mut().push(name);
            drop(turn);
        });
    }

    #[test]
    fn a_round_ends_when_its_slice_is_spent() {
        run(async {
            let (budget, done) = (Rc::new(Budget::new()), Rc::new(RefCell::new(Vec::new())));
            for name in 0..5 {
                worker(&budget, name, SLICE, &done);
            }
            for _ in 0..5 {
                yield_now().await;
            }
            assert_eq!(*done.borrow(), [0], "nobody ends the round");
            let dealer = Rc::clone(&budget);
            spawn_local(async move { dealer.deal().await });
            let mut rounds = 0;
            while done.borrow().len() < 5 {
                yield_now().await;
                rounds += 1;
            }
            assert_eq!(*done.borrow(), [0, 1, 2, 3, 4]);
            assert!(rounds >= 4, "{rounds} rounds");
        });
    }

    #[test]
    fn who_gives_up_holds_up_nobody() {
        run(async {
            let (budget, done) = (Rc::new(Budget::new()), Rc::new(RefCell::new(Vec::new())));
            budget.spend(SLICE);
            let impatient = spawn_local({
                let budget = Rc::clone(&budget);
                async move { drop(budget.turn().await) }
            });
            yield_now().await;
            worker(&budget, 1, Duration::ZERO, &done);
            yield_now().await;
            impatient.abort();
            let dealer = Rc::clone(&budget);
            spawn_local(async move { dealer.deal().await });
            while done.borrow().is_empty() {
                yield_now().await;
            }
        });
    }
}
