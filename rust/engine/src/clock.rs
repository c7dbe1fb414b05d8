//! Time for one worker: a precise `now`, and deadlines that cost a store.
//!
//! A connection has a seat. Setting its deadline writes a number into a vector; nothing is inserted anywhere.
//! A coarse tick (50 ms) walks the vector and wakes whoever is due, and a woken connection asks whether it has
//! expired and knows from its own phase what that means. At 100,000 connections a walk is some 27 us. A timer
//! wheel would cost an insertion and a removal per request, which is most of what deadlines are set for.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use plan::Tick;

/// Milliseconds between two walks over the seats; a deadline fires at most this much late.
pub(crate) const TICK_MS: u32 = 50;

const NEVER: u32 = u32::MAX;

/// One worker's clock and the deadlines of its connections.
pub(crate) struct Clock {
    epoch: Instant,
    tick: Cell<u32>,
    /// Time from the Unix epoch to `epoch`, by the wall clock of the last tick.
    wall: Cell<Duration>,
    seats: RefCell<Seats>,
}

#[derive(Default)]
struct Seats {
    due: Vec<u32>,
    idle_since: Vec<u32>,
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

/// A place in the clock; given back with [`Clock::leave`].
#[derive(Clone, Copy)]
pub(crate) struct Seat(u32);

impl Clock {
    pub(crate) fn new(epoch: Instant) -> Self {
        let clock = Clock { epoch, tick: Cell::new(0), wall: Cell::default(), seats: RefCell::default() };
        clock.read();
        clock
    }

    /// Microseconds since the engine started, read from the system.
    pub(crate) fn now(&self) -> Tick {
        Tick(self.epoch.elapsed().as_micros() as u64)
    }

    /// The time since the Unix epoch at a moment of this clock, as the wall clock stood at the last tick.
    pub(crate) fn wall(&self, at: Tick) -> Duration {
        self.wall.get() + Duration::from_micros(at.0)
    }

    /// Milliseconds since the engine started as of the last tick: no system call, up to one tick old.
    pub(crate) fn coarse_ms(&self) -> u64 {
        u64::from(self.tick.get()) * u64::from(TICK_MS)
    }

    /// Takes a seat for the task behind `waker`, without a deadline.
    pub(crate) fn sit(&self, waker: &Waker) -> Seat {
        let mut seats = self.seats.borrow_mut();
        let waker = Some(waker.clone());
        match seats.free.pop() {
            Some(index) => {
                seats.due[index as usize] = NEVER;
                seats.wakers[index as usize] = waker;
                Seat(index)
            }
            None => {
                seats.due.push(NEVER);
                seats.idle_since.push(NEVER);
                seats.wakers.push(waker);
                Seat(seats.due.len() as u32 - 1)
            }
        }
    }

    pub(crate) fn leave(&self, seat: Seat) {
        let mut seats = self.seats.borrow_mut();
        seats.due[seat.0 as usize] = NEVER;
        seats.idle_since[seat.0 as usize] = NEVER;
        seats.wakers[seat.0 as usize] = None;
        seats.free.push(seat.0);
    }

    /// Sets the deadline to `ms` from now (never early, at most one tick late).
    pub(crate) fn expire_in(&self, seat: Seat, ms: u32) {
        let due = self.tick.get().saturating_add(ms.div_ceil(TICK_MS)).saturating_add(1);
        self.seats.borrow_mut().due[seat.0 as usize] = due;
    }

    pub(crate) fn expired(&self, seat: Seat) -> bool {
        self.seats.borrow().due[seat.0 as usize] <= self.tick.get()
    }

    /// Says that this connection waits for its next request (or no longer does).
    pub(crate) fn set_idle(&self, seat: Seat, idle: bool) {
        self.seats.borrow_mut().idle_since[seat.0 as usize] = if idle { self.tick.get() } else { NEVER };
    }

    /// Expires the connection that has been idle for longest; false if none is idle.
    pub(crate) fn evict_longest_idle(&self) -> bool {
        let mut seats = self.seats.borrow_mut();
        let oldest = seats.idle_since.iter().enumerate().min_by_key(|(_, since)| **since);
        match oldest.map(|(index, since)| (index, *since)) {
            Some((index, since)) if since != NEVER => {
                seats.expire(index);
                true
            }
            _ => false,
        }
    }

    /// Wakes every connection, so that it looks around.
    pub(crate) fn nudge_all(&self) {
        self.seats.borrow().wakers.iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// Moves to the present and wakes every connection whose deadline has passed.
    pub(crate) fn walk(&self) {
        self.read();
        let tick = self.tick.get();
        let seats = self.seats.borrow();
        for (due, waker) in seats.due.iter().zip(&seats.wakers) {
            if *due <= tick
                && let Some(waker) = waker
            {
                waker.wake_by_ref();
            }
        }
    }

    fn read(&self) {
        let elapsed = self.epoch.elapsed();
        self.tick.set((elapsed.as_millis() / u128::from(TICK_MS)) as u32);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.wall.set(wall.saturating_sub(elapsed));
    }
}

impl Seats {
    fn expire(&mut self, index: usize) {
        self.due[index] = 0;
        self.idle_since[index] = NEVER;
        if let Some(waker) = &self.wakers[index] {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Bell {
        fn rings(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    /// A clock whose engine started this many ticks ago, and which has not walked since.
    fn clock(ticks: u32) -> Clock {
        let started = Instant::now().checked_sub(Duration::from_millis(u64::from(ticks * TICK_MS)));
        let clock = Clock::new(started.expect("a clock older than this test"));
        clock.tick.set(0);
        clock
    }

    #[test]
    fn a_deadline_wakes_its_task_once_it_has_passed() {
        let clock = clock(4);
        let (early, late) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let (first, second) = (clock.sit(&early.clone().into()), clock.sit(&late.clone().into()));
        clock.expire_in(first, 2 * TICK_MS);
        clock.expire_in(second, 60_000);
        assert!(!clock.expired(first));
        clock.walk();
        assert!(clock.expired(first) && !clock.expired(second));
        assert_eq!((early.rings(), late.rings()), (1, 0));
    }

    #[test]
    fn a_new_deadline_replaces_the_old_one_and_a_seat_is_used_again() {
        let clock = clock(4);
        let bell = Arc::new(Bell::default());
        let seat = clock.sit(&bell.clone().into());
        clock.expire_in(seat, 0);
        clock.expire_in(seat, 60_000);
        clock.walk();
        assert_eq!(bell.rings(), 0);
        clock.leave(seat);
        assert_eq!(clock.sit(&bell.into()).0, seat.0);
        assert!(!clock.expired(seat));
    }

    #[test]
    fn the_longest_idle_makes_room() {
        let clock = clock(4);
        let (busy, old, young) = (Arc::new(Bell::default()), Arc::new(Bell::default()), Arc::new(Bell::default()));
        clock.sit(&busy.clone().into());
        clock.set_idle(clock.sit(&old.clone().into()), true);
        clock.walk();
        clock.set_idle(clock.sit(&young.clone().into()), true);
        assert!(clock.evict_longest_idle());
        assert_eq!((busy.rings(), old.rings(), young.rings()), (0, 1, 0));
        assert!(clock.evict_longest_idle());
        assert_eq!((busy.rings(), young.rings()), (0, 1));
        assert!(!clock.evict_longest_idle());
    }
}
