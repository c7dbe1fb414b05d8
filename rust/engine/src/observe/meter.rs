//! Counters and histograms that cost a worker a plain store.
//!
//! Each worker has a lane of its own in every meter, so a count is a load and a store without a locked
//! instruction and without sharing a cache line; readers add the lanes up. Meters are kept in `Arc`s that
//! survive plans: counters of what did not change go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the latency buckets, in microseconds; the last bucket has none.
pub(crate) const BOUNDS_US: [u64; 13] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000];

/// Response classes: 1xx to 5xx by their first digit, and 0 for exchanges that ended without an answer.
pub(crate) const CLASSES: usize = 6;

/// A number that one thread writes and any may read.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, less: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(less), Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is measured of a route or a backend, one lane per worker.
pub(crate) struct Meter {
    lanes: Box<[Lane]>,
}

/// One worker's share of a meter.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Lane {
    by_class: [Count; CLASSES],
    latency: [Count; BOUNDS_US.len() + 1],
    latency_us: Count,
}

/// A meter's lanes added up.
pub(crate) struct Total {
    pub by_class: [u64; CLASSES],
    pub latency: [u64; BOUNDS_US.len() + 1],
    pub latency_us: u64,
}

impl Meter {
    pub(crate) fn new(workers: usize) -> Self {
        Meter { lanes: (0..workers).map(|_| Lane::default()).collect() }
    }

    pub(crate) fn lane(&self, worker: usize) -> &Lane {
        &self.lanes[worker]
    }

    pub(crate) fn total(&self) -> Total {
        let add = |count: &dyn Fn(&Lane) -> &Count| self.lanes.iter().map(|lane| count(lane).value()).sum();
        Total {
            by_class: std::array::from_fn(|class| add(&|lane| &lane.by_class[class])),
            latency: std::array::from_fn(|bucket| add(&|lane| &lane.latency[bucket])),
            latency_us: add(&|lane| &lane.latency_us),
        }
    }
}

impl Total {
    pub(crate) fn requests(&self) -> u64 {
        self.by_class.iter().sum()
    }
}

impl Lane {
    /// One exchange is over. `status` 0: it ended without an answer.
    pub(crate) fn exchange(&self, status: u16, took: Duration) {
        self.by_class[usize::from(status / 100).min(CLASSES - 1)].add(1);
        let us = took.as_micros() as u64;
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        self.latency[bucket].add(1);
        self.latency_us.add(us);
    }

    /// A flow of datagrams is over, in which the first reply, if there was one, took so long.
    pub(crate) fn flow(&self, first_reply: Option<Duration>) {
        self.exchange(200, first_reply.unwrap_or_default());
    }
}

/// What a retry comes after; the position of its count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Retry {
    Connect,
    Stale,
    Closed,
    Reset,
    Timeout,
    Status,
}

impl Retry {
    /// Parallel to the kinds.
    pub(crate) const NAMES: [&'static str; 6] = ["connect", "stale", "closed", "reset", "timeout", "status"];
}

/// What became of the handshakes of a listener, one lane per worker.
pub(crate) struct Handshakes {
    lanes: Box<[[Count; Handshakes::NAMES.len()]]>,
}

/// What becomes of a handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shaken {
    Full,
    /// With a ticket of an earlier session.
    Resumed,
    Failed,
}

impl Handshakes {
    /// Parallel to [`Shaken`].
    pub(crate) const NAMES: [&'static str; 3] = ["full", "resumed", "failed"];

    pub(crate) fn new(workers: usize) -> Self {
        Handshakes { lanes: (0..workers).map(|_| Default::default()).collect() }
    }

    pub(crate) fn count(&self, worker: usize, shaken: Shaken) {
        self.lanes[worker][shaken as usize].add(1);
    }

    /// All workers together, parallel to the names.
    pub(crate) fn totals(&self) -> [u64; Handshakes::NAMES.len()] {
        std::array::from_fn(|kind| self.lanes.iter().map(|lane| lane[kind].value()).sum())
    }
}

/// What is counted of streams that mean nothing here.
#[derive(Default)]
pub(crate) struct StreamMeter {
    /// So far.
    pub total: Count,
    /// Open now.
    pub open: Count,
    pub bytes_in: Count,
    pub bytes_out: Count,
}

/// What is counted per worker and not per route or backend.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct WorkerMeter {
    pub clients: Count,
    pub accepted: Count,
    pub handed_over: Count,
    pub bytes_in: Count,
    pub bytes_out: Count,
    pub reused: Count,
    pub connected: Count,
    pub stale: Count,
    pub idle_upstream: Count,
    /// By [`Retry`].
    pub retries: [Count; Retry::NAMES.len()],
    pub retries_denied: Count,
    pub refused_requests: Count,
    /// Connections that switched protocols.
    pub tunnels: StreamMeter,
    /// Sessions of TCP, and of TLS that is passed through.
    pub sessions: StreamMeter,
    /// Connections that were closed before anything was spoken on them.
    pub turned_away: Count,
    /// Exchanges and tunnels that the end of a drain has cut.
    pub cut: Count,
    pub panics: Count,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_add_up_by_class_and_bucket() {
        let meter = Meter::new(2);
        meter.lane(0).exchange(200, Duration::from_micros(500));
        meter.lane(1).exchange(204, Duration::from_micros(501));
        meter.lane(1).exchange(0, Duration::from_secs(3_600));
        meter.lane(1).exchange(799, Duration::ZERO);
        let total = meter.total();
        assert_eq!(total.by_class, [1, 0, 2, 0, 0, 1]);
        assert_eq!((total.latency[0], total.latency[1], total.latency[BOUNDS_US.len()]), (2, 1, 1));
        assert_eq!(total.requests(), 4);
    }
}
