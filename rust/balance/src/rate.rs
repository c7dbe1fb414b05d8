//! How many requests may each client send?
//!
//! GCRA, the leaky bucket as one number per client (ITU-T I.371, annex A): the moment at which its bucket would be full
//! again. A request moves that moment by one interval, 1 / rate; it is allowed while the moment is no further ahead
//! than `burst` intervals. Nobody has to fill buckets, a refused request costs its client nothing, and one word per
//! client can be changed by compare-exchange from any worker: the limit is exact over all of them.
//!
//! Buckets live in a bounded table (`keys.rs`). A client whose bucket fell out starts with a full one, so whoever has
//! more addresses or keys than the table has room can get around the limit; that many it could use directly as well.
//! Of a long key the first 256 bytes count: two clients that share them share a bucket, and none goes without.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Tick;
use crate::keys::{Keys, LONGEST_KEY};

/// The buckets of one rate limit, over all workers and plans.
#[derive(Debug)]
pub struct Buckets {
    rate: f64,
    burst: u32,
    /// Nanoseconds between two requests at the rate.
    interval: u64,
    /// For each client, when its bucket is full again: nanoseconds since the engine started.
    full_at: Keys<AtomicU64>,
}

/// The answer to one request. Its numbers are those of `RateLimit-*` and `Retry-After`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// It may pass, and has been counted.
    pub allowed: bool,
    /// Requests that may come at once after a pause.
    pub limit: u32,
    /// Requests that may still come at once, now.
    pub remaining: u32,
    /// Until `remaining` is `limit` again, if no request comes.
    pub reset: Duration,
    /// Until the next request is allowed; zero if it is now.
    pub retry_after: Duration,
}

/// The most clients of one limit.
const MOST: usize = 65_536;
/// The longest time in which a bucket fills, in nanoseconds: 126 years.
const LONGEST: f64 = 4e18;

impl Buckets {
    /// Allows `rate` requests a second in the long run, and `burst` at once after a pause. `rate` is above 0 and
    /// `burst` at least 1, else they count as the least there is. `seed` keys the table's hash; any number does.
    pub fn new(rate: f64, burst: u32, seed: u64) -> Buckets {
        let interval = (1e9 / rate.max(0.0)).clamp(1.0, LONGEST / f64::from(burst.max(1)));
        Buckets { rate, burst: burst.max(1), interval: interval as u64, full_at: Keys::new(MOST, seed) }
    }

    /// Whether the limit is this one, so that the next plan can go on with its buckets.
    pub fn is_for(&self, rate: f64, burst: u32) -> bool {
        self.rate == rate && self.burst == burst.max(1)
    }

    /// Asks for one request of the client `key`, and counts it if it is allowed.
    pub fn take(&self, key: &[u8], now: Tick) -> Taken {
        let key = &key[..key.len().min(LONGEST_KEY)];
        let now = now.0.saturating_mul(1_000);
        let bucket = self.full_at.get(key).unwrap_or_else(|| self.full_at.get_or(key, || AtomicU64::new(0)));
        let count = |full_at: u64| {
            let next = full_at.max(now).saturating_add(self.interval);
            (next - now <= self.depth()).then_some(next)
        };
        match bucket.fetch_update(Relaxed, Relaxed, count) {
            Ok(before) => self.taken(true, before.max(now) - now + self.interval),
            Err(full_at) => self.taken(false, full_at.max(now) - now),
        }
    }

    /// The time in which an empty bucket fills.
    fn depth(&self) -> u64 {
        self.interval * u64::from(self.burst)
    }

    /// `missing` is the time that the bucket takes to be full.
    fn taken(&self, allowed: bool, missing: u64) -> Taken {
        let remaining = self.depth().saturating_sub(missing) / self.interval;
        let wait = missing.saturating_add(self.interval).saturating_sub(self.depth());
        Taken {
            allowed,
            limit: self.burst,
            remaining: remaining.min(u64::from(self.burst)) as u32,
            reset: Duration::from_nanos(missing),
            retry_after: Duration::from_nanos(wait),
        }
    }
}

#[cfg(test)]
mod tests;
