use super::*;
use crate::fixtures::*;
use crate::{Health, Policy};
use proptest::prelude::*;
use std::sync::atomic::AtomicU64;

fn letters(weights: &[u32]) -> String {
    let backends = backends(weights);
    let members: Vec<u32> = (0..weights.len() as u32).collect();
    schedule(&members, &backends).iter().map(|&slot| &*backends[slot as usize].name).collect()
}

fn turns_of(weights: &[u32]) -> Vec<u64> {
    let members: Vec<u32> = (0..weights.len() as u32).collect();
    let mut counts = vec![0; weights.len()];
    schedule(&members, &backends(weights)).iter().for_each(|&slot| counts[slot as usize] += 1);
    counts
}

#[test]
fn weights_are_interleaved() {
    assert_eq!(letters(&[5, 1, 1]), "aabacaa");
    assert_eq!(letters(&[1, 1, 1]), "abc");
    assert_eq!(letters(&[2, 1]), "aba");
    assert_eq!(letters(&[4, 2]), "aba");
    assert_eq!(letters(&[7]), "a");
    assert_eq!(letters(&[]), "");
}

/// The textbook form, one account each.
fn textbook(weights: &[u32]) -> Vec<u32> {
    let weights: Vec<i64> = weights.iter().map(|&weight| i64::from(weight)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    let turn = |_| {
        credit.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
        let most = *credit.iter().max().expect("there are backends");
        let slot = credit.iter().position(|&credit| credit == most).expect("the richest");
        credit[slot] -= total;
        slot as u32
    };
    (0..total).map(turn).collect()
}

#[test]
fn five_to_one_is_never_more_than_four_in_a_row() {
    let pool = pool(Policy::RoundRobin, &[5, 1, 1]);
    let picks: Vec<_> = (0..70).map(|dice| visit(&pool, &[], NOW, dice)).collect();
    assert!(picks.windows(5).all(|five| five.iter().any(|&slot| slot != five[0])));
}

#[test]
fn seven_thousand_picks_on_four_threads_are_exactly_five_to_one() {
    let pool = pool(Policy::RoundRobin, &[5, 1, 1]);
    let counts = [const { AtomicU64::new(0) }; 3];
    on_four_threads(|thread| {
        for round in 0..1_750 {
            let slot = visit(&pool, &[], NOW, round + thread).expect("all are up");
            counts[slot as usize].fetch_add(1, Relaxed);
        }
    });
    assert_eq!(counts.map(AtomicU64::into_inner), [5_000, 1_000, 1_000]);
}

#[test]
fn those_left_keep_exact_shares() {
    let pool = pool(Policy::RoundRobin, &[5, 2, 1]);
    pool.backends()[0].live.set_health(Health::Down, NOW);
    assert_eq!(shares(&pool, 3_000), [0, 2_000, 1_000]);
}

#[test]
fn one_that_returns_is_in_turn_again_at_once() {
    let pool = pool(Policy::RoundRobin, &[1, 1, 1]);
    pool.backends()[1].live.set_health(Health::Down, NOW);
    shares(&pool, 100);
    pool.backends()[1].live.set_health(Health::Up, NOW);
    assert_eq!(shares(&pool, 300), [100, 100, 100]);
}

#[test]
fn a_lopsided_pool_without_its_big_backend_still_finds_the_small_ones() {
    let pool = pool(Policy::RoundRobin, &[60_000, 1, 1]);
    pool.backends()[0].live.set_health(Health::Down, NOW);
    let shares = shares(&pool, 2_000);
    assert!(shares[0] == 0 && shares[1] > 800 && shares[2] > 800, "{shares:?}");
}

#[test]
fn weights_beyond_the_longest_cycle_are_scaled_and_nobody_loses_all_turns() {
    let counts = turns_of(&[1_000_000, 500_000, 1]);
    assert!(counts.iter().sum::<u64>() <= MOST_TURNS);
    assert_eq!(counts[2], 1);
    assert!((counts[0] as f64 / counts[1] as f64 - 2.0).abs() < 0.001);
    let many = vec![1_000_003; 3_000];
    assert_eq!(turns_of(&many), vec![1; 3_000]);
    let huge = turns_of(&[u32::MAX, u32::MAX, u32::MAX - 1]);
    assert!(huge.iter().sum::<u64>() <= MOST_TURNS);
}

#[test]
fn more_backends_than_turns_get_one_each() {
    let mut weights = vec![1; 70_000];
    weights[0] = 9;
    assert_eq!(turns_of(&weights), vec![1; 70_000]);
}

proptest! {
    #[test]
    fn sharing_accounts_changes_nothing(weights in proptest::collection::vec(1u32..12, 1..9)) {
        let common = weights.iter().copied().map(u64::from).fold(0, gcd) as u32;
        let reduced: Vec<u32> = weights.iter().map(|weight| weight / common).collect();
        let members: Vec<u32> = (0..weights.len() as u32).collect();
        prop_assert_eq!(schedule(&members, &backends(&weights)).to_vec(), textbook(&reduced));
    }

    #[test]
    fn whole_cycles_are_exact(weights in proptest::collection::vec(1u32..20, 1..9)) {
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let expected: Vec<u64> = weights.iter().map(|&weight| u64::from(weight) * 3).collect();
        prop_assert_eq!(shares(&pool(Policy::RoundRobin, &weights), total * 3), expected);
    }

    #[test]
    fn scaling_keeps_shares(weights in proptest::collection::vec(1u32..5_000_000, 2..20)) {
        let weights: Vec<u64> = weights.into_iter().map(u64::from).collect();
        let counts = scaled(reduced(weights.clone()));
        let (turns, total) = (counts.iter().sum::<u64>(), weights.iter().sum::<u64>());
        prop_assert!(turns <= MOST_TURNS);
        for (&count, &weight) in counts.iter().zip(&weights) {
            let (is, due) = (count as f64 / turns as f64, weight as f64 / total as f64);
            prop_assert!((is - due).abs() < 0.000_5, "{is} {due}");
        }
    }
}
