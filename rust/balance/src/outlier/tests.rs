use super::*;
use crate::fixtures::*;
use crate::{Health, Policy, Pool, Tuning};
use proptest::prelude::*;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Barrier};

fn pool_of(size: usize, percent: u32) -> Pool {
    let passive = Passive { max_ejected_percent: percent, ..PASSIVE };
    Pool::new(Policy::RoundRobin, backends(&vec![1; size]), Arc::default(), Tuning { passive: Some(passive), ..TUNING })
}

fn ejected(pool: &Pool, now: Tick) -> usize {
    pool.backends().iter().filter(|backend| backend.live.ejected(now)).count()
}

fn fail_everybody(pool: &Pool, now: Tick) -> usize {
    (0..pool.backends().len()).for_each(|slot| {
        put_out(pool, slot as u32, now);
    });
    ejected(pool, now)
}

#[test]
fn the_fifth_failure_in_a_row_ejects_for_ten_seconds() {
    let pool = pool_of(3, 50);
    (0..4).for_each(|_| assert_eq!(pool.failed(1, NOW), None));
    let ejection = pool.failed(1, NOW).expect("that was the fifth");
    assert_eq!(ejection, Ejection { until: at(10), length: Duration::from_secs(10) });
    assert_eq!(pool.backends()[1].live.ejected_until(), Some(at(10)));
    assert_eq!(pool.failed(1, NOW), None, "it is out already");
}

#[test]
fn a_success_in_between_starts_the_row_anew() {
    let pool = pool_of(3, 50);
    for _ in 0..10 {
        (0..4).for_each(|_| assert_eq!(pool.failed(1, NOW), None));
        pool.succeeded(1, Duration::ZERO, NOW);
    }
}

#[test]
fn without_passive_health_failures_are_only_counted() {
    let pool = Pool::new(Policy::RoundRobin, backends(&[1, 1]), Arc::default(), Tuning::default());
    assert!((0..100).all(|_| pool.failed(0, NOW).is_none()));
    assert_eq!(pool.backends()[0].live.failures(), 100);
}

#[test]
fn one_that_fails_again_on_its_return_is_out_at_once_and_longer_each_time() {
    let pool = pool_of(3, 50);
    assert!(put_out(&pool, 0, NOW));
    let mut now = NOW;
    for times in 2..40 {
        now = pool.backends()[0].live.ejected_until().expect("it is out");
        let ejection = pool.failed(0, now).expect("still failing");
        assert_eq!(ejection.length, Duration::from_secs(10 * times).min(LONGEST_EJECTION));
        assert_eq!(ejection.until, now.after(ejection.length));
    }
    assert_eq!(pool.backends()[0].live.ejected_until(), Some(now.after(LONGEST_EJECTION)));
}

#[test]
fn a_success_after_the_return_makes_the_next_ejection_short_again() {
    let pool = pool_of(3, 50);
    put_out(&pool, 0, NOW);
    pool.failed(0, at(10)).expect("out for the second time");
    pool.succeeded(0, Duration::ZERO, at(30));
    (0..4).for_each(|_| assert_eq!(pool.failed(0, at(31)), None));
    assert_eq!(pool.failed(0, at(31)).map(|e| e.length), Some(Duration::from_secs(10)));
}

#[test]
fn at_most_the_configured_part_is_out_at_once() {
    for (size, percent, most) in
        [(10, 50, 5), (10, 39, 3), (3, 50, 1), (2, 50, 1), (5, 10, 1), (10, 100, 9), (10, 500, 9), (10, 0, 0)]
    {
        assert_eq!(fail_everybody(&pool_of(size, percent), NOW), most, "{percent} % of {size}");
    }
}

#[test]
fn the_only_backend_is_never_ejected() {
    assert_eq!(fail_everybody(&pool_of(1, 100), NOW), 0);
}

#[test]
fn the_last_that_can_be_used_is_never_ejected() {
    let pool = pool_of(4, 100);
    pool.backends()[0].live.set_health(Health::Down, NOW);
    pool.backends()[1].live.drain(at(600));
    assert!(put_out(&pool, 2, NOW));
    assert!(!put_out(&pool, 3, NOW));
    // The place of one that has returned is free again, and then there is another to use.
    assert!(pool.failed(3, at(10)).is_some());
}

#[test]
fn a_pending_backend_does_not_count_as_another_to_use_while_one_is_up() {
    let pool = pool_of(2, 50);
    pool.backends()[1].live.set_health(Health::Pending, NOW);
    assert!(!put_out(&pool, 0, NOW));
}

#[test]
fn tiers_are_counted_apart() {
    let mut backends = backends(&[1, 1, 1, 1]);
    backends.iter_mut().skip(2).for_each(|backend| backend.backup = true);
    let pool = Pool::new(Policy::RoundRobin, backends, Arc::default(), TUNING);
    assert_eq!(fail_everybody(&pool, NOW), 2);
    assert!(pool.backends()[0].live.ejected(NOW) && pool.backends()[2].live.ejected(NOW));
}

#[test]
fn threads_that_fail_everything_at_once_stay_within_the_bounds() {
    for _ in 0..300 {
        // Eight backends, one may be out: all threads arrive at that place together.
        let pool = pool_of(8, 13);
        let start = Barrier::new(4);
        let told = AtomicUsize::new(0);
        on_four_threads(|thread| {
            start.wait();
            for round in 0..80 {
                let slot = (round / 10 + thread * 2) as u32 % 8;
                told.fetch_add(usize::from(pool.failed(slot, NOW).is_some()), Relaxed);
            }
        });
        assert_eq!(ejected(&pool, NOW), 1);
        assert_eq!(told.into_inner(), 1, "each ejection is told once");
    }
}

proptest! {
    #[test]
    fn whatever_fails_and_when_the_bounds_hold(
        members in proptest::collection::vec((any::<bool>(), 0u8..3, any::<bool>()), 1..12),
        percent in 0u32..=100,
        steps in proptest::collection::vec((0usize..12, 0u64..8, any::<bool>()), 1..120),
    ) {
        let mut backends = backends(&vec![1; members.len()]);
        for (backend, &(backup, health, drains)) in backends.iter_mut().zip(&members) {
            backend.backup = backup;
            backend.live.set_health([Health::Pending, Health::Up, Health::Down][health as usize], NOW);
            if drains {
                backend.live.drain(at(600));
            }
        }
        let passive = Passive { max_ejected_percent: percent, failures: 1, ..PASSIVE };
        let pool = Pool::new(Policy::Random, backends, Arc::default(), Tuning { passive: Some(passive), ..TUNING });
        let mut time = 0;
        for (slot, wait, answers) in steps {
            time += wait;
            let slot = slot % members.len();
            let row = pool.backends()[slot].live.ejected_until().is_some();
            if answers {
                pool.succeeded(slot as u32, Duration::ZERO, at(time));
            } else if let Some(ejection) = pool.failed(slot as u32, at(time)) {
                prop_assert!(ejection.length <= LONGEST_EJECTION);
                prop_assert!(row || ejection.length == Duration::from_secs(10), "the first of a row");
                let tier: Vec<&Backend> =
                    pool.backends().iter().filter(|backend| backend.backup == members[slot].0).collect();
                let out = tier.iter().filter(|backend| backend.live.ejected(at(time))).count();
                prop_assert!(out == 1 || out * 100 <= tier.len() * percent as usize, "{out} of {}", tier.len());
                let left = tier.iter().filter(|b| !b.live.ejected(at(time)) && !b.live.draining());
                prop_assert!(left.filter(|backend| backend.live.health() != Health::Down).count() > 0);
            }
        }
    }
}
