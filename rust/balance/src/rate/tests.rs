use super::*;
use crate::fixtures::{NOW, at, on_four_threads};
use proptest::prelude::*;
use std::sync::atomic::AtomicU64;

fn allowed(buckets: &Buckets, key: &[u8], times: u32, now: Tick) -> u32 {
    (0..times).filter(|_| buckets.take(key, now).allowed).count() as u32
}

fn millis(number: u64) -> Tick {
    NOW.after(Duration::from_millis(number))
}

#[test]
fn the_burst_passes_at_once_and_then_the_rate() {
    let buckets = Buckets::new(10.0, 5, 1);
    assert_eq!(allowed(&buckets, b"a", 100, NOW), 5);
    assert_eq!(allowed(&buckets, b"a", 100, millis(99)), 0);
    assert_eq!(allowed(&buckets, b"a", 100, millis(100)), 1);
    assert_eq!(allowed(&buckets, b"a", 100, millis(300)), 2);
    assert_eq!(allowed(&buckets, b"a", 100, at(60)), 5);
}

#[test]
fn an_answer_says_what_is_left_and_how_long_to_wait() {
    let buckets = Buckets::new(10.0, 3, 1);
    let first = buckets.take(b"a", NOW);
    let hundred = Duration::from_millis(100);
    assert_eq!(first, Taken { allowed: true, limit: 3, remaining: 2, reset: hundred, retry_after: Duration::ZERO });
    buckets.take(b"a", NOW);
    let last = buckets.take(b"a", NOW);
    assert_eq!((last.allowed, last.remaining, last.reset, last.retry_after), (true, 0, hundred * 3, hundred));
    let refused = buckets.take(b"a", millis(40));
    assert_eq!((refused.allowed, refused.remaining), (false, 0));
    assert_eq!((refused.reset, refused.retry_after), (Duration::from_millis(260), Duration::from_millis(60)));
    assert!(buckets.take(b"a", millis(100)).allowed, "after that wait it passes");
}

#[test]
fn a_refused_request_costs_nothing() {
    let buckets = Buckets::new(1.0, 1, 1);
    assert_eq!(allowed(&buckets, b"a", 1_000, NOW), 1);
    assert!(buckets.take(b"a", at(1)).allowed);
}

#[test]
fn clients_do_not_share() {
    let buckets = Buckets::new(1.0, 2, 1);
    assert_eq!(allowed(&buckets, b"a", 5, NOW), 2);
    assert_eq!(allowed(&buckets, b"b", 5, NOW), 2);
    assert_eq!(allowed(&buckets, b"", 5, NOW), 2);
}

#[test]
fn a_long_key_is_limited_by_its_beginning() {
    let buckets = Buckets::new(1.0, 2, 1);
    let passed: u32 = (0..100u8).map(|n| allowed(&buckets, &[&[b'x'; 300][..], &[n]].concat(), 1, NOW)).sum();
    assert_eq!(passed, 2);
}

#[test]
fn rates_from_one_a_day_to_a_million_a_second() {
    let daily = Buckets::new(1.0 / 86_400.0, 1, 1);
    assert_eq!(allowed(&daily, b"a", 5, NOW), 1);
    assert_eq!(allowed(&daily, b"a", 5, at(86_399)), 0);
    assert_eq!(allowed(&daily, b"a", 5, at(86_401)), 1);
    let fast = Buckets::new(1e6, 100, 1);
    let passed: u32 = (0..1_000).map(|n| allowed(&fast, b"a", 10, Tick(NOW.0 + n))).sum();
    assert_eq!(passed, 1_099);
}

#[test]
fn numbers_that_make_no_sense_break_nothing() {
    for (rate, burst) in [(0.0, 0), (f64::INFINITY, u32::MAX), (1e-300, u32::MAX), (1e300, 1), (-1.0, 5)] {
        let buckets = Buckets::new(rate, burst, 1);
        for now in [Tick(0), NOW, Tick(u64::MAX / 2000)] {
            let taken = buckets.take(b"a", now);
            assert!(taken.remaining <= taken.limit, "{rate} {burst}: {taken:?}");
        }
    }
}

#[test]
fn a_limit_is_known_by_its_numbers() {
    let buckets = Buckets::new(0.1, 5, 1);
    assert!(buckets.is_for(0.1, 5));
    assert!(!buckets.is_for(0.1, 6) && !buckets.is_for(0.2, 5));
}

#[test]
fn threads_together_get_exactly_the_limit() {
    let buckets = Buckets::new(1.0, 1_000, 1);
    let passed = AtomicU64::new(0);
    on_four_threads(|_| {
        passed.fetch_add(allowed(&buckets, b"a", 1_000, NOW).into(), Relaxed);
    });
    assert_eq!(passed.into_inner(), 1_000);
}

proptest! {
    #[test]
    fn no_stretch_of_time_passes_more_than_rate_and_burst(
        rate in 0.5f64..200.0,
        burst in 1u32..50,
        steps in proptest::collection::vec((0u64..2_000, 1u32..60), 1..40),
    ) {
        let buckets = Buckets::new(rate, burst, 1);
        let mut time = 0;
        let mut history: Vec<(u64, u32)> = Vec::new();
        for (wait, asks) in steps {
            time += wait;
            history.push((time, allowed(&buckets, b"a", asks, millis(time))));
            for (place, &(start, _)) in history.iter().enumerate() {
                let passed: u32 = history[place..].iter().map(|&(_, passed)| passed).sum();
                let due = f64::from(burst) + rate * (time - start) as f64 / 1e3;
                prop_assert!(f64::from(passed) <= due + 1e-3, "{passed} of {due}");
            }
        }
    }

    #[test]
    fn waiting_as_told_is_enough_and_less_is_not(rate in 0.5f64..1e4, burst in 1u32..20) {
        let buckets = Buckets::new(rate, burst, 1);
        allowed(&buckets, b"a", burst, NOW);
        let told = buckets.take(b"a", NOW);
        prop_assert!(!told.allowed);
        let early = NOW.after(told.retry_after.saturating_sub(Duration::from_micros(2)));
        prop_assert!(!buckets.take(b"a", early).allowed);
        prop_assert!(buckets.take(b"a", NOW.after(told.retry_after + Duration::from_micros(1))).allowed);
    }
}
