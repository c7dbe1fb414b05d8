//! How slow is a backend? A moving average that believes bad news at once and good news slowly.
//!
//! Finagle's peak EWMA: a slower answer than the average replaces it, a faster one pulls it down with a weight of
//! `1 - exp(-age / 10 s)`, where age is the time since the last answer. Weighing by time instead of by count makes it
//! independent of the request rate. Reading decays it too, so a backend that was slow once and is avoided since is
//! tried again after a while.
//!
//! The average and its time stamp change together, so both live in one word: the average as an `f32` of microseconds in
//! the upper half, the stamp in units of 16.384 ms in the lower (it wraps after two years; differences are what
//! counts). Zero means "no answer yet", which is why an answer counts as at least one microsecond.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Tick;

/// A peak moving average of response times; all zero before the first answer.
#[derive(Debug, Default)]
pub(crate) struct Average(AtomicU64);

/// Shift from microseconds to the stamp's unit.
const UNIT: u32 = 14;
/// The time after which an old average has lost 63 % of its weight, in stamp units.
const DECAY: f32 = 10_000_000.0 / (1 << UNIT) as f32;

impl Average {
    /// Takes one answer into account.
    pub(crate) fn observe(&self, took: Duration, now: Tick) {
        let took = (took.as_micros() as f32).max(1.0);
        let next = |word: u64| {
            let (average, stamp) = unpack(word);
            let keep = weight(stamp, now);
            let average = if took >= average { took } else { average * keep + took * (1.0 - keep) };
            Some(pack(average, later(stamp, now, word == 0)))
        };
        // The closure always answers, so the update cannot fail.
        let _ = self.0.fetch_update(Relaxed, Relaxed, next);
    }

    /// The average in microseconds, decayed to `now`; 0 before the first answer.
    pub(crate) fn at(&self, now: Tick) -> f32 {
        let (average, stamp) = unpack(self.0.load(Relaxed));
        if average == 0.0 { 0.0 } else { average * weight(stamp, now) }
    }

    /// The average in microseconds as of the last answer; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        unpack(self.0.load(Relaxed)).0 as u64
    }
}

fn units(now: Tick) -> u32 {
    (now.0 >> UNIT) as u32
}

/// Age of a stamp; zero if another worker's clock was a little ahead.
fn age(stamp: u32, now: Tick) -> u32 {
    let age = units(now).wrapping_sub(stamp);
    if age > u32::MAX / 2 { 0 } else { age }
}

fn weight(stamp: u32, now: Tick) -> f32 {
    match age(stamp, now) {
        0 => 1.0,
        age => (-(age as f32) / DECAY).exp(),
    }
}

/// A stamp never goes back, or a slow worker would make the others decay twice.
fn later(stamp: u32, now: Tick, first: bool) -> u32 {
    if first { units(now) } else { stamp.wrapping_add(age(stamp, now)) }
}

fn pack(average: f32, stamp: u32) -> u64 {
    u64::from(average.to_bits()) << 32 | u64::from(stamp)
}

fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

#[cfg(test)]
mod tests;
