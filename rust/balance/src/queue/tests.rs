use super::*;
use crate::fixtures::*;
use crate::{Chosen, Policy, Pool, Tuning};
use proptest::prelude::*;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Barrier};

#[test]
fn first_come_first_served() {
    let mut queue = Queue::new(3);
    let tickets = ['a', 'b', 'c'].map(|waiter| queue.join(waiter).expect("there is room"));
    assert_eq!(queue.join('d'), Err('d'), "and no further");
    assert_eq!(queue.oldest(|_| true), Some((tickets[0], &'a')));
    assert_eq!(tickets.map(|ticket| queue.ahead(ticket)), [0, 1, 2]);
    assert_eq!(queue.leave(tickets[0]), Some('a'));
    assert_eq!(queue.leave(tickets[0]), None, "once");
    assert_eq!(queue.oldest(|_| true), Some((tickets[1], &'b')));
    assert!(queue.join('d').is_ok());
}

#[test]
fn one_in_the_middle_may_leave_and_nobody_loses_a_turn() {
    let mut queue = Queue::new(10);
    let tickets = ['a', 'b', 'c'].map(|waiter| queue.join(waiter).expect("there is room"));
    assert_eq!(queue.leave(tickets[1]), Some('b'));
    assert_eq!((queue.ahead(tickets[2]), queue.len()), (1, 2));
    queue.leave(tickets[0]);
    assert_eq!(queue.oldest(|_| true), Some((tickets[2], &'c')));
}

#[test]
fn the_oldest_that_a_place_is_good_for() {
    // Waiters for one certain backend are passed over by places on others.
    let mut queue = Queue::new(10);
    for wanted in [Some(4), None, Some(2)] {
        assert!(queue.join(wanted).is_ok());
    }
    let good_for = |slot| queue.oldest(|wanted| wanted.is_none_or(|wanted| wanted == slot)).map(|(_, wanted)| *wanted);
    assert_eq!([4, 2].map(good_for), [Some(Some(4)), Some(None)]);
    assert!(queue.oldest(|wanted| *wanted == Some(9)).is_none());
}

#[test]
fn a_smaller_line_sends_nobody_away() {
    let mut queue = Queue::new(3);
    (0..3).for_each(|n| assert!(queue.join(n).is_ok()));
    queue.resize(1);
    assert_eq!(queue.len(), 3);
    assert!(queue.join(3).is_err());
    assert!(Queue::new(0).join(()).is_err());
}

proptest! {
    #[test]
    fn behaves_like_a_list(steps in proptest::collection::vec((any::<bool>(), 0usize..12), 0..200)) {
        let mut queue = Queue::new(8);
        let mut list: Vec<(Ticket, usize)> = Vec::new();
        for (number, (join, which)) in steps.into_iter().enumerate() {
            if join {
                match queue.join(number) {
                    Ok(ticket) => list.push((ticket, number)),
                    Err(_) => prop_assert_eq!(list.len(), 8),
                }
            } else if let Some(&(ticket, number)) = list.get(which) {
                prop_assert_eq!(queue.leave(ticket), Some(number));
                list.remove(which);
            }
            prop_assert_eq!(queue.len(), list.len());
            prop_assert_eq!(queue.oldest(|_| true), list.first().map(|(ticket, number)| (*ticket, number)));
            for (place, &(ticket, _)) in list.iter().enumerate() {
                prop_assert_eq!(queue.ahead(ticket), place);
            }
        }
    }
}

/// What the engine makes of it, with threads in place of tasks.
#[expect(clippy::disallowed_types, reason = "the engine's half of the agreement")]
struct Seats {
    pool: Pool,
    queue: std::sync::Mutex<Queue<Arc<AtomicBool>>>,
}

impl Seats {
    /// A pool of one backend with two places.
    fn new() -> Self {
        let mut backends = backends(&[1]);
        backends[0].max_in_flight = Some(2);
        let pool = Pool::new(Policy::RoundRobin, backends, Arc::default(), Tuning::default());
        Seats { pool, queue: Queue::new(100).into() }
    }

    /// Tries once, then waits.
    fn take(&self, dice: u64) {
        if !self.pool.waiting().any() && matches!(self.pool.choose(0, &[], NOW, dice), Chosen::Slot(_)) {
            return;
        }
        let woken = Arc::new(AtomicBool::new(false));
        let ticket = self.queue.lock().unwrap().join(woken.clone()).expect("there is room");
        self.pool.waiting().join();
        loop {
            let is_first = self.queue.lock().unwrap().ahead(ticket) == 0;
            if is_first && matches!(self.pool.choose(0, &[], NOW, dice), Chosen::Slot(_)) {
                break;
            }
            let mut spins = 0u64;
            while !woken.swap(false, SeqCst) {
                spins += 1;
                assert!(spins < 20_000_000, "nobody wakes the oldest");
                std::thread::yield_now();
            }
        }
        self.queue.lock().unwrap().leave(ticket);
        self.pool.waiting().leave();
        self.wake();
    }

    fn give_back(&self) {
        if self.pool.release(0) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some((_, waiter)) = self.queue.lock().unwrap().oldest(|_| true) {
            waiter.store(true, SeqCst);
        }
    }
}

#[test]
fn no_wake_up_is_lost_and_no_limit_passed() {
    let seats = Seats::new();
    let start = Barrier::new(4);
    on_four_threads(|thread| {
        start.wait();
        for round in 0..3_000 {
            seats.take(round * 4 + thread);
            assert!(seats.pool.backends()[0].live.in_flight() <= 2);
            std::thread::yield_now();
            seats.give_back();
        }
    });
    assert_eq!(seats.pool.waiting().count(), 0);
    assert!(seats.queue.lock().unwrap().is_empty());
    assert_eq!(seats.pool.backends()[0].live.in_flight(), 0);
}
