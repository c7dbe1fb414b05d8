//! What is counted of the flows of a listener, a lane per worker.

use crate::observe::meter::Count;

/// Why datagrams of clients did not go on; the position of its count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dropped {
    /// No backend can be used.
    NoBackend,
    /// Every backend is at its limit.
    Full,
    /// Descriptors or ports are used up.
    Exhausted,
    /// The system did not take it.
    Send,
    /// A new flow while pylb ends.
    Draining,
}

impl Dropped {
    /// Parallel to the reasons.
    pub(crate) const NAMES: [&'static str; 5] = ["no_backend", "full", "exhausted", "send", "draining"];
}

/// What is counted of a listener's flows.
pub(crate) struct FlowMeter {
    lanes: Box<[FlowLane]>,
}

/// One worker's share.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct FlowLane {
    /// So far.
    pub flows: Count,
    /// Now.
    pub open: Count,
    pub evicted: Count,
    /// From clients, and to them.
    pub datagrams_in: Count,
    pub datagrams_out: Count,
    pub bytes_in: Count,
    pub bytes_out: Count,
    /// By [`Dropped`].
    pub dropped: [Count; Dropped::NAMES.len()],
}

impl FlowMeter {
    pub(crate) fn new(workers: usize) -> Self {
        FlowMeter { lanes: (0..workers).map(|_| FlowLane::default()).collect() }
    }

    pub(crate) fn lane(&self, worker: usize) -> &FlowLane {
        &self.lanes[worker]
    }

    /// A count of all workers together.
    pub(crate) fn sum(&self, count: impl Fn(&FlowLane) -> &Count) -> u64 {
        self.lanes.iter().map(|lane| count(lane).value()).sum()
    }

    /// The worker with the most flows.
    pub(crate) fn fullest(&self) -> usize {
        let lanes = self.lanes.iter().enumerate();
        lanes.max_by_key(|(_, lane)| lane.open.value()).map_or(0, |(worker, _)| worker)
    }
}
