//! Nanoseconds per pick, by policy: `cargo bench -p balance`.
//!
//! A pick is `choose` and the `release` that follows it, on one thread, from a pool of five equal backends without
//! limits: what every request pays. Beside it the same pool with slow start, after all ramps (`warm`) and with one
//! backend in the middle of its ramp (`ramp`). No harness: the figure wanted is the best of many short rounds.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balance::{Backend, Chosen, Live, Policy, Pool, Shared, Tick, Tuning};

/// Each round is shorter than a time slice, so that some round runs undisturbed on a busy machine.
const PICKS: u64 = 20_000;
const ROUNDS: usize = 300;

const POLICIES: [Policy; 7] = [
    Policy::RoundRobin,
    Policy::LeastConnections,
    Policy::TwoChoices,
    Policy::PeakEwma,
    Policy::Hash,
    Policy::Random,
    Policy::Failover,
];

const NOW: Tick = Tick(60_000_000);

fn main() {
    println!("{:>18} {:>8} {:>8} {:>8}   ns per pick", "", "plain", "warm", "ramp");
    for policy in POLICIES {
        let (plain, warm, ramp) = (pool(policy, 0), pool(policy, 30), pool(policy, 30));
        warm.backends().iter().for_each(|backend| backend.live.warm(Tick(1)));
        ramp.backends()[2].live.warm(Tick(NOW.0 - 15_000_000));
        let [plain, warm, ramp] = [plain, warm, ramp].map(|pool| best(&pool));
        println!("{:>18} {plain:>8.1} {warm:>8.1} {ramp:>8.1}", format!("{policy:?}"));
    }
}

fn pool(policy: Policy, slow_start: u64) -> Pool {
    let backend = |id| Backend {
        name: format!("10.0.0.{id}:80").into(),
        weight: 1,
        backup: false,
        max_in_flight: None,
        live: Arc::new(Live::new(id)),
    };
    let tuning = Tuning { slow_start: Duration::from_secs(slow_start), ..Tuning::default() };
    Pool::new(policy, (0..5).map(backend).collect(), Arc::new(Shared::new()), tuning)
}

/// The best of some rounds: whatever else runs on the machine can only add.
fn best(pool: &Pool) -> f64 {
    let round = |_| {
        let start = Instant::now();
        for dice in 0..PICKS {
            visit(pool, black_box(dice));
        }
        start.elapsed().as_nanos() as f64 / PICKS as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// Not inlined, or the figure would hang on how much of it fits into the loop above.
#[inline(never)]
fn visit(pool: &Pool, dice: u64) {
    if let Chosen::Slot(slot) = pool.choose(dice, &[], NOW, dice) {
        pool.release(slot);
    }
}
