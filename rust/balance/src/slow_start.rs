//! Slow start: a backend that has just come gets a growing part of its share.
//!
//! A fresh process has cold caches, an empty connection pool and code that is not compiled yet. Given its whole share
//! at once it answers slowly, and a policy that prefers the idle gives it more than that. So the share of a backend
//! ramps, linearly from a sixteenth to all of it, over the pool's `slow_start`. The ramp starts when the backend is
//! added to a pool that is in force, when a check calls it up after it was down, and when an ejection ends. When the
//! engine starts, nobody warms up: there is nobody who could take the rest.
//!
//! Two things follow the ramp. Where a policy *draws* or takes turns, a warming backend accepts with the probability of
//! its ramp and otherwise lets the next one go; no table is built anew for it. Where a policy *compares loads*, its
//! weight counts as if it were that much smaller, or the idle newcomer would win every comparison.
//!
//! Whether a backend accepts is settled once per pick, so it answers alike however often it is asked. For hash policies
//! it hangs on the key alone: a key that belongs to a warming backend moves home once, when the ramp reaches it, and
//! does not go to and fro.
//!
//! Shares are relative. If everybody who could be used lets the request go, it is offered again, with the warmest that
//! is free as the measure: that one accepts for sure, and the others in proportion.

use std::time::Duration;

use crate::policy::mix;
use crate::{Live, Tick};

/// The whole share, in the unit of [`SlowStart::share`].
pub(crate) const WHOLE: u32 = 256;
/// Nobody's share is smaller: without any request nothing would ever get warm.
const LEAST: u32 = WHOLE / 16;

/// The length of a pool's ramp.
#[derive(Copy, Clone, Debug)]
pub(crate) struct SlowStart {
    micros: u64,
}

impl SlowStart {
    /// Zero is none.
    pub(crate) fn new(length: Duration) -> Self {
        SlowStart { micros: u64::try_from(length.as_micros()).unwrap_or(u64::MAX >> 16) }
    }

    pub(crate) fn is_off(self) -> bool {
        self.micros == 0
    }

    /// The part of its share that a backend may have now, from a sixteenth to [`WHOLE`].
    pub(crate) fn share(self, live: &Live, now: Tick) -> u32 {
        let start = live.ramp_start();
        if start == 0 || self.is_off() {
            return WHOLE;
        }
        let age = now.0.saturating_sub(start);
        if age >= self.micros { WHOLE } else { share_at(age, self.micros) }
    }
}

fn share_at(age: u64, length: u64) -> u32 {
    let share = u128::from(age) * u128::from(WHOLE) / u128::from(length);
    (share as u32).max(LEAST)
}

/// Who accepts in one pick.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Mood {
    seed: u64,
    measure: u32,
}

impl Mood {
    /// `seed` is new for each pick, or the key where keys have a home.
    pub(crate) fn new(seed: u64) -> Self {
        Mood { seed, measure: WHOLE }
    }

    /// For the second offer: whoever has the share `warmest` accepts for sure.
    pub(crate) fn eager(self, warmest: u32) -> Self {
        Mood { seed: mix(self.seed), measure: warmest.max(1) }
    }

    /// Whether the backend in `slot`, whose share is this large now, takes the request.
    pub(crate) fn accepts(self, slot: u32, share: u32) -> bool {
        let roll = mix(mix(self.seed) ^ u64::from(slot)) >> 32;
        ((roll * u64::from(self.measure)) >> 32) < u64::from(share)
    }
}

#[cfg(test)]
mod tests;
