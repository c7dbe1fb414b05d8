//! Which backend gets the next request?
//!
//! The crate answers that one question and keeps the few words of state the answer needs. It has no hands: time,
//! chance and load come in as arguments (`now`, `dice`, and what callers report when a request ends), so every
//! property of it can be tested without a clock, a socket or a thread. `clippy.toml` beside the manifest keeps it so.
//!
//! Two kinds of things live here, and they are never mixed:
//!
//! * **What is configured** never changes: [`Pool`] and [`Backend`], with tables built once per plan.
//! * **What is true right now** is atomics: [`Live`] per backend, [`Shared`] per pool. Both survive plans, both are
//!   shared by all workers, and a pick takes no lock: it costs tens of nanoseconds, and round robin is exact over all
//!   workers.
//!
//! Health, drain, ejection and slow start therefore rebuild nothing. A policy proposes a backend; if that one may not
//! be used, the policy proposes the next.
//!
//! Around the pick stand a few leaves that know nothing of each other: who belongs where ([`sticky`]), who waits
//! ([`queue`]), who sends too much ([`rate`]), what retries may cost ([`Budget`]). The first and the third use tables
//! of keys (`keys.rs`), which do lock.
//!
//! Read `pool.rs` first, then `tier.rs` (who may be used), then any file of `policy/`.
#![forbid(unsafe_code)]

use std::time::Duration;

mod average;
mod backend;
mod budget;
#[cfg(test)]
mod fixtures;
mod keys;
mod outlier;
mod policy;
mod pool;
pub mod queue;
pub mod rate;
mod slow_start;
pub mod sticky;
mod tier;

pub use backend::{Backend, Health, Live};
pub use budget::Budget;
pub use outlier::{Ejection, LONGEST_EJECTION, Passive};
pub use policy::Policy;
pub use pool::{Chosen, Held, Pool, Shared, Tuning};

/// A moment: microseconds since the engine started. It never goes back for one caller; two workers may differ a little.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// The moment `time` later.
    pub fn after(self, time: Duration) -> Tick {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Tick(self.0.saturating_add(micros))
    }

    /// The time since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
