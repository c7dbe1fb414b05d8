use super::*;
use crate::fixtures::*;
use crate::{Health, Policy};

#[test]
fn shares_follow_the_weights() {
    for weights in [&[1, 1, 1][..], &[5, 1, 1], &[10, 20, 30, 40], &[1000, 1]] {
        let shares = shares(&pool(Policy::Random, weights), 100_000);
        let big: Vec<u64> = shares
            .iter()
            .copied()
            .filter(|&share| share > 1_000)
            .collect();
        let weights: Vec<u32> = weights
            .iter()
            .copied()
            .filter(|&weight| weight > 1 || weights[0] == 1 || weights[0] == 5)
            .collect();
        assert!(
            fair(&big, &weights[..big.len()], 5.0),
            "{weights:?}: {shares:?}"
        );
    }
}

#[test]
fn those_left_keep_their_shares() {
    let pool = pool(Policy::Random, &[5, 1, 2, 3]);
    pool.backends()[0].live.set_health(Health::Down);
    let shares = shares(&pool, 60_000);
    assert_eq!(shares[0], 0);
    assert!(fair(&shares[1..], &[1, 2, 3], 5.0), "{shares:?}");
}

#[test]
fn the_walk_is_as_fair_as_the_draw() {
    let pool = pool(Policy::Random, &[60_000, 1, 2, 3]);
    pool.backends()[0].live.set_health(Health::Down);
    let shares = shares(&pool, 60_000);
    assert!(fair(&shares[1..], &[1, 2, 3], 5.0), "{shares:?}");
}

#[test]
fn the_same_dice_make_the_same_pick() {
    let pool = pool(Policy::Random, &[3, 2, 1]);
    let picks = || {
        (0..100)
            .map(|dice| visit(&pool, &[], NOW, dice))
            .collect::<Vec<_>>()
    };
    assert_eq!(picks(), picks());
}

#[test]
fn numbers_stay_below_their_bound_and_reach_all_of_it() {
    let mut dice = Dice::new(0);
    let mut seen = [0; 7];
    (0..7_000).for_each(|_| seen[dice.below(7) as usize] += 1);
    assert!(
        seen.iter().all(|&times| (850..1150).contains(&times)),
        "{seen:?}"
    );
    assert_eq!(scale(u64::MAX, 5), 4);
    assert_eq!(scale(0, 5), 0);
}
