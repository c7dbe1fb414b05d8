use super::*;
use crate::fixtures::*;
use crate::{Policy, Pool};
use std::time::Duration;

fn answers(pool: &Pool, slot: u32, millis: u64, now: Tick) {
    pool.succeeded(slot, Duration::from_millis(millis), now);
}

#[test]
fn the_faster_of_two_is_taken() {
    let pool = pool(Policy::PeakEwma, &[1, 1]);
    answers(&pool, 0, 50, NOW);
    answers(&pool, 1, 10, NOW);
    assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(1)));
}

#[test]
fn load_weighs_against_speed() {
    let pool = pool(Policy::PeakEwma, &[1, 1]);
    answers(&pool, 0, 50, NOW);
    answers(&pool, 1, 10, NOW);
    (0..5).for_each(|_| assert!(pool.backends()[1].live.raise(None)));
    assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(0)));
}

#[test]
fn weight_counts() {
    let pool = pool(Policy::PeakEwma, &[1, 3]);
    answers(&pool, 0, 10, NOW);
    answers(&pool, 1, 20, NOW);
    assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(1)));
    let counts = shares(
        &super::super::super::fixtures::pool(Policy::PeakEwma, &[1, 3]),
        40_000,
    );
    assert!(
        fair(&counts, &[1, 3], 5.0),
        "nobody has answered yet: {counts:?}"
    );
}

#[test]
fn one_that_hangs_without_ever_answering_looks_slow_not_fast() {
    let pool = pool(Policy::PeakEwma, &[1, 1]);
    answers(&pool, 0, 5_000, NOW);
    assert_eq!(
        visit(&pool, &[], NOW, 1),
        Some(1),
        "an idle newcomer is worth a try"
    );
    assert!(pool.backends()[1].live.raise(None));
    assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(0)));
}

#[test]
fn one_that_was_slow_is_tried_again_after_a_while() {
    let pool = pool(Policy::PeakEwma, &[1, 1]);
    answers(&pool, 0, 1_000, NOW);
    answers(&pool, 1, 100, at(30));
    assert_eq!(visit(&pool, &[], at(1), 1), Some(1));
    assert_eq!(visit(&pool, &[], at(30), 1), Some(0));
}
