//! The list of policies. Each is a small file that turns a [`View`](crate::tier::View) of a tier into a slot whose place
//! is taken, or `None` when the tier has nothing free.
//!
//! Two ideas are shared. Weights become *turns*: one table per tier in which each backend appears as often as its
//! weight says (`round_robin.rs`); the cursor walks it, and chance draws from it. And every policy ends in a walk over
//! the whole tier before it gives up, so "nobody" is always the truth.

mod failover;
mod hash;
mod least_connections;
mod peak_ewma;
mod random;
mod round_robin;
mod two_choices;

pub(crate) use hash::Hashing;
pub(crate) use random::mix;
pub(crate) use round_robin::schedule;

use std::sync::atomic::AtomicU64;

use crate::tier::View;
use random::Dice;

/// How a pool chooses.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// In turn, smoothly interleaved by weight, exact over all workers.
    RoundRobin,
    /// The fewest requests in flight for its weight.
    LeastConnections,
    /// The less loaded of two that are drawn.
    TwoChoices,
    /// The one of two that should answer sooner, by response time and load.
    PeakEwma,
    /// By the caller's key, consistently.
    Hash,
    /// By chance and weight.
    Random,
    /// The first in the order of the configuration that can be used.
    Failover,
}

/// What a pick may go by, beside the tier.
pub(crate) struct Ask<'a> {
    pub(crate) key: u64,
    pub(crate) cursor: &'a AtomicU64,
    pub(crate) dice: u64,
}

impl Policy {
    #[rustfmt::skip] // one line each, in one column
    pub(crate) fn pick(self, view: &mut View, ask: &Ask) -> Option<u32> {
        let mut dice = Dice::new(ask.dice);
        match self {
            Policy::RoundRobin       => round_robin::pick(view, ask.cursor, &mut dice),
            Policy::LeastConnections => least_connections::pick(view, &mut dice),
            Policy::TwoChoices       => two_choices::pick(view, &mut dice),
            Policy::PeakEwma         => peak_ewma::pick(view, &mut dice),
            Policy::Hash             => hash::pick(view, ask.key),
            Policy::Random           => random::pick(view, &mut dice),
            Policy::Failover         => failover::pick(view),
        }
    }

    /// What settles who of those that warm up takes a request: the key, if keys have a home.
    pub(crate) fn seed(self, ask: &Ask) -> u64 {
        if self == Policy::Hash { ask.key } else { ask.dice }
    }

    /// Whether it needs the table of turns.
    pub(crate) fn takes_turns(self) -> bool {
        matches!(self, Policy::RoundRobin | Policy::TwoChoices | Policy::PeakEwma | Policy::Random)
    }
}
