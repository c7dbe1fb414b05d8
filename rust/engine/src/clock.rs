//! Time for one worker: a precise `now`, and deadlines that cost a store.
//!
//! A connection has a seat. Setting its deadline writes a number into a vector; nothing is inserted anywhere.
//! A coarse tick (50 ms) walks the vector and wakes whoever is due, and a woken connection asks whether it has
//! expired and knows from its own phase what that means. At 100,000 connections a walk is some 25 us. A timer
//! wheel would cost an insertion and a removal per request, which is most of what deadlines are set for.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::Instant;

use plan::Tick;

/// Milliseconds between two walks over the seats; a deadline fires at most this much late.
pub(crate) const TICK_MS: u32 = 50;

const NEVER: u32 = u32::MAX;

/// One worker's clock and the deadlines of its connections.
pub(crate) struct Clock {
    epoch: Instant,
    tick: Cell<u32>,
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
        let clock = Clock { epoch, tick: Cell::new(0), seats: RefCell::default() };
        clock.tick.set(clock.ticks());
        clock
    }

    /// Microseconds since the engine started, read from the system.
    pub(crate) fn now(&self) -> Tick {
        Tick(self.epoch.elapsed().as_micros() as u64)
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
        let tick = self.ticks();
        self.tick.set(tick);
        let seats = self.seats.borrow();
        for (due, waker) in seats.due.iter().zip(&seats.wakers) {
            if *due <= tick
                && let Some(waker) = waker
            {
                waker.wake_by_ref();
            }
        }
    }

    fn ticks(&self) -> u32 {
        (self.epoch.elapsed().as_millis() / u128::from(TICK_MS)) as u32
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
