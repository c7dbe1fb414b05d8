//! Things that happened and that Python may want to act on or write down.
//!
//! A bounded queue with an eventfd: pushing never blocks, and when nobody reads, the newest are dropped and
//! counted, and the count becomes a fact itself.

use std::borrow::Cow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use serde::Serialize;

const CAPACITY: usize = 1024;

/// Something that happened, in the words of the Python layer.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Fact {
    /// A plan is in force on every worker.
    PlanApplied { generation: u64 },
    /// Passive checking took a backend out for `seconds`.
    BackendEjected { pool: String, backend: String, why: Cow<'static, str>, seconds: f64 },
    /// A backend that drains has become empty, or its time is over and `cut` exchanges and tunnels had to end.
    BackendDrained { pool: String, backend: String, cut: u64 },
    /// An ejected backend answered again.
    BackendReturned { pool: String, backend: String },
    /// No connection is accepted for a moment.
    AcceptPaused { why: &'static str },
    /// An idle client was closed to make room.
    ClientEvicted,
    /// A panic ended one connection.
    ConnectionPanicked,
    /// A panic ended a worker's root; it was started again.
    WorkerRestarted { worker: usize },
    /// Log lines that a slow sink made the engine drop.
    LogDropped { count: u64 },
    /// The access log could not be written or opened.
    LogFailed { why: String },
    /// Facts that nobody took in time.
    FactsDropped { count: u64 },
}

/// The queue between the workers and Python.
pub(crate) struct Facts {
    queue: ArrayQueue<Fact>,
    dropped: AtomicU64,
    signalled: AtomicBool,
    event: OwnedFd,
}

impl Facts {
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = rustix::event::EventfdFlags::NONBLOCK | rustix::event::EventfdFlags::CLOEXEC;
        Ok(Facts {
            queue: ArrayQueue::new(CAPACITY),
            dropped: AtomicU64::new(0),
            signalled: AtomicBool::new(false),
            event: rustix::event::eventfd(0, flags)?,
        })
    }

    pub(crate) fn push(&self, fact: Fact) {
        if self.queue.push(fact).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if !self.signalled.swap(true, Ordering::AcqRel) {
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Everything that waits, oldest first.
    pub(crate) fn take(&self) -> Vec<Fact> {
        // First the event, then the flag, then the queue: whoever pushes after the swap signals anew, and
        // whatever was pushed before it is seen by the pops.
        let _ = rustix::io::read(self.event.as_fd(), &mut [0u8; 8]);
        self.signalled.swap(false, Ordering::AcqRel);
        let mut facts: Vec<Fact> = std::iter::from_fn(|| self.queue.pop()).collect();
        let count = self.dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            facts.push(Fact::FactsDropped { count });
        }
        facts
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_signalled(facts: &Facts) -> bool {
        rustix::io::read(facts.event.as_fd(), &mut [0u8; 8]).is_ok()
    }

    #[test]
    fn facts_come_out_in_order_and_signal_once() {
        let facts = Facts::new().expect("an eventfd");
        facts.push(Fact::PlanApplied { generation: 1 });
        facts.push(Fact::ClientEvicted);
        assert!(is_signalled(&facts));
        assert!(matches!(facts.take()[..], [Fact::PlanApplied { generation: 1 }, Fact::ClientEvicted]));
        assert!(!is_signalled(&facts));
        facts.push(Fact::ClientEvicted);
        assert!(is_signalled(&facts));
    }

    #[test]
    fn what_nobody_takes_is_dropped_and_counted() {
        let facts = Facts::new().expect("an eventfd");
        (0..CAPACITY + 3).for_each(|_| facts.push(Fact::ClientEvicted));
        let taken = facts.take();
        assert_eq!(taken.len(), CAPACITY + 1);
        assert!(matches!(taken.last(), Some(Fact::FactsDropped { count: 3 })));
    }
}
