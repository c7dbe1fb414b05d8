//! What the tests of this crate are told with: backends named a, b, c.., pools around them, and many picks.

use std::sync::Arc;
use std::time::Duration;

use crate::{Backend, Chosen, Live, Passive, Policy, Pool, Shared, Tick, Tuning};

pub(crate) const NOW: Tick = Tick(1_000_000);

pub(crate) const PASSIVE: Passive = Passive { failures: 5, eject: Duration::from_secs(10), max_ejected_percent: 50 };

pub(crate) const TUNING: Tuning = Tuning { passive: Some(PASSIVE), slow_start: Duration::ZERO, retry_percent: 20 };

pub(crate) const ALL: [Policy; 7] = [
    Policy::RoundRobin,
    Policy::LeastConnections,
    Policy::TwoChoices,
    Policy::PeakEwma,
    Policy::Hash,
    Policy::Random,
    Policy::Failover,
];

pub(crate) fn at(seconds: u64) -> Tick {
    NOW.after(Duration::from_secs(seconds))
}

pub(crate) fn backend(name: &str, weight: u32) -> Backend {
    let live = Arc::new(Live::new(0));
    Backend { name: name.into(), weight, backup: false, max_in_flight: None, live }
}

/// Backends a, b, c.. (a1, b1.. after 26) of these weights.
pub(crate) fn backends(weights: &[u32]) -> Vec<Backend> {
    let name = |n: usize| {
        let letter = char::from(b'a' + (n % 26) as u8);
        if n < 26 { letter.to_string() } else { format!("{letter}{}", n / 26) }
    };
    weights.iter().enumerate().map(|(n, &weight)| backend(&name(n), weight)).collect()
}

pub(crate) fn pool(policy: Policy, weights: &[u32]) -> Pool {
    around(policy, backends(weights))
}

pub(crate) fn around(policy: Policy, backends: Vec<Backend>) -> Pool {
    Pool::new(policy, backends, Arc::default(), TUNING)
}

/// The same pool after a reload: live words and shared state are kept.
pub(crate) fn reloaded(policy: Policy, backends: &[Backend], shared: &Arc<Shared>) -> Pool {
    Pool::new(policy, backends.to_vec(), shared.clone(), TUNING)
}

/// One pick that keeps its place.
pub(crate) fn hold(pool: &Pool, dice: u64) -> Chosen {
    pool.choose(dice, &[], NOW, dice)
}

/// One pick whose request is over at once.
pub(crate) fn visit(pool: &Pool, tried: &[u32], now: Tick, dice: u64) -> Option<u32> {
    match pool.choose(dice, tried, now, dice) {
        Chosen::Slot(slot) => {
            pool.release(slot);
            Some(slot)
        }
        _ => None,
    }
}

/// Picks per slot over this many requests, one after the other.
pub(crate) fn shares(pool: &Pool, picks: u64) -> Vec<u64> {
    let mut shares = vec![0; pool.backends().len()];
    for dice in 0..picks {
        let slot = visit(pool, &[], NOW, dice).expect("somebody can be used");
        shares[slot as usize] += 1;
    }
    shares
}

/// Whether each count is within this many percent of its part of the total.
pub(crate) fn fair(counts: &[u64], weights: &[u32], percent: f64) -> bool {
    let total: u64 = counts.iter().sum();
    let weight: u32 = weights.iter().sum();
    counts.iter().zip(weights).all(|(&count, &w)| {
        let due = total as f64 * f64::from(w) / f64::from(weight);
        (count as f64 - due).abs() <= due * percent / 100.0
    })
}

/// Runs the same work on four threads at once.
#[expect(clippy::disallowed_methods, reason = "races are what these tests are about")]
pub(crate) fn on_four_threads(work: impl Fn(u64) + Sync) {
    let work = &work;
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || work(number));
        }
    });
}

pub(crate) fn put_out(pool: &Pool, slot: u32, now: Tick) -> bool {
    (0..PASSIVE.failures).any(|_| pool.failed(slot, now).is_some())
}
