use super::*;
use crate::fixtures::*;
use crate::{Chosen, Health, Policy, Pool};
use proptest::prelude::*;

const KEYS: u64 = 50_000;

fn home(pool: &Pool, key: u64) -> String {
    match pool.choose(key, &[], NOW, 0) {
        Chosen::Slot(slot) => {
            pool.release(slot);
            pool.backends()[slot as usize].name.to_string()
        }
        other => panic!("{other:?}"),
    }
}

fn homes(pool: &Pool) -> Vec<String> {
    (0..KEYS).map(|key| home(pool, key)).collect()
}

fn addresses(count: usize) -> Vec<Backend> {
    (1..=count).map(|n| backend(&format!("10.0.0.{n}:9001"), 1)).collect()
}

/// Part of the keys, in percent, that moved although their backend is still there.
fn moved_needlessly(before: &[String], after: &[String], gone: &str) -> f64 {
    let moved = before.iter().zip(after).filter(|(old, new)| old != new && *old != gone).count();
    moved as f64 * 100.0 / before.len() as f64
}

fn without(backends: &[Backend], slot: usize) -> Vec<Backend> {
    let mut left = backends.to_vec();
    left.remove(slot);
    left
}

#[test]
fn a_key_always_finds_the_same_backend_whatever_the_dice() {
    let pool = pool(Policy::Hash, &[1; 5]);
    for key in 0..1_000 {
        let picks = |dice| pool.choose(key, &[], NOW, dice);
        assert_eq!(picks(1), picks(2));
    }
}

#[test]
fn the_table_is_even_and_follows_the_weights() {
    for weights in [vec![1; 5], vec![5, 1, 1], vec![3, 2, 1], vec![1; 100], vec![100, 1]] {
        let members: Vec<u32> = (0..weights.len() as u32).collect();
        let backends = backends(&weights);
        let mut counts = vec![0; weights.len()];
        Hashing::new(&members, &backends).table.iter().for_each(|&slot| counts[slot as usize] += 1);
        assert_eq!(counts.iter().sum::<u64>(), SLOTS as u64);
        assert!(fair(&counts, &weights, 1.0), "{weights:?}: {counts:?}");
    }
}

#[test]
fn keys_are_even_over_the_backends() {
    let counts = shares(&pool(Policy::Hash, &[1; 5]), KEYS);
    assert!(fair(&counts, &[1; 5], 5.0), "{counts:?}");
}

#[test]
fn removing_one_of_five_moves_only_its_keys_and_at_most_one_percent_more() {
    let five = addresses(5);
    let before = homes(&around(Policy::Hash, five.clone()));
    for slot in 0..5 {
        let after = homes(&around(Policy::Hash, without(&five, slot)));
        let moved = moved_needlessly(&before, &after, &five[slot].name);
        assert!(moved <= 1.0, "{moved} % without {}", five[slot].name);
    }
}

#[test]
fn removal_disturbs_little_with_weights_too() {
    for weights in [&[1, 2, 1, 1, 3][..], &[5, 1, 1], &[10, 20, 30, 40], &[1000, 1, 999]] {
        let all = backends(weights);
        let before = homes(&around(Policy::Hash, all.clone()));
        for (slot, gone) in all.iter().enumerate() {
            let after = homes(&around(Policy::Hash, without(&all, slot)));
            let moved = moved_needlessly(&before, &after, &gone.name);
            assert!(moved <= 1.0, "{weights:?}: {moved} % without {}", gone.name);
        }
    }
}

#[test]
fn neither_the_order_of_the_file_nor_the_other_tier_moves_a_key() {
    let backends = addresses(7);
    let before = homes(&around(Policy::Hash, backends.clone()));
    let mut turned: Vec<Backend> = backends.into_iter().rev().collect();
    turned.insert(3, Backend { backup: true, ..backend("spare", 1) });
    assert_eq!(homes(&around(Policy::Hash, turned)), before);
}

#[test]
fn the_table_never_changes_between_versions() {
    // A new pylb beside an old one must agree with it; whoever changes this test moves everybody's clients.
    let pool = pool(Policy::Hash, &[1, 2, 3]);
    let row: String = (0..24).map(|key| home(&pool, key)).collect();
    assert_eq!(row, "cbbacbcbabcbcbcccabbabca");
}

#[test]
fn keys_of_a_backend_that_is_down_move_all_others_stay_and_they_come_back() {
    let pool = pool(Policy::Hash, &[1, 2, 1, 1, 3]);
    let before = homes(&pool);
    pool.backends()[1].live.set_health(Health::Down, NOW);
    let during = homes(&pool);
    assert!(during.iter().all(|name| name != "b"));
    assert_eq!(moved_needlessly(&before, &during, "b"), 0.0);
    let moved = before.iter().zip(&during).filter(|(old, _)| *old == "b").map(|(_, new)| new);
    let mut counts = [0; 4];
    moved.for_each(|name| counts["acde".find(&**name).unwrap()] += 1);
    assert!(fair(&counts, &[1, 1, 1, 3], 12.0), "they spread by weight: {counts:?}");
    pool.backends()[1].live.set_health(Health::Up, NOW);
    assert_eq!(homes(&pool), before);
}

#[test]
fn a_full_backend_passes_its_keys_on() {
    let mut backends = backends(&[1, 1, 1]);
    backends[0].max_in_flight = Some(1);
    let pool = around(Policy::Hash, backends);
    let key = (0..).find(|&key| home(&pool, key) == "a").unwrap();
    assert_eq!(pool.choose(key, &[], NOW, 0), Chosen::Slot(0));
    assert_ne!(home(&pool, key), "a");
    pool.release(0);
    assert_eq!(home(&pool, key), "a");
}

#[test]
fn with_few_of_many_left_keys_are_still_even_and_steady() {
    let pool = pool(Policy::Hash, &vec![1; 1_000]);
    let down = |slot: usize| pool.backends()[slot].live.set_health(Health::Down, NOW);
    (0..997).for_each(|slot| assert!(down(slot)));
    let before: Vec<String> = (0..9_000).map(|key| home(&pool, key)).collect();
    let names: Vec<&str> = pool.backends()[997..].iter().map(|backend| &*backend.name).collect();
    let counts: Vec<u64> = names.iter().map(|name| before.iter().filter(|home| home == name).count() as u64).collect();
    assert!(fair(&counts, &[1, 1, 1], 25.0), "{counts:?}");
    down(997);
    let after: Vec<String> = (0..9_000).map(|key| home(&pool, key)).collect();
    assert_eq!(moved_needlessly(&before, &after, names[0]), 0.0);
}

#[test]
fn rendezvous_follows_the_weights() {
    let mut weights = vec![1_000; 200];
    weights.extend([1, 2, 3]);
    let pool = pool(Policy::Hash, &weights);
    pool.backends()[..200].iter().for_each(|b| assert!(b.live.set_health(Health::Down, NOW)));
    let counts = &shares(&pool, 30_000)[200..];
    assert!(fair(counts, &[1, 2, 3], 10.0), "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn removal_disturbs_little_whatever_the_names(seed in any::<u32>(), size in 3usize..12, slot in 0usize..12) {
        let names = (0..size).map(|n| format!("backend-{seed}-{n}.example:80"));
        let all: Vec<Backend> = names.map(|name| backend(&name, 1)).collect();
        let slot = slot % size;
        let table = |backends: &[Backend]| {
            let members: Vec<u32> = (0..backends.len() as u32).collect();
            let table = Hashing::new(&members, backends).table;
            table.iter().map(|&slot| backends[slot as usize].name.to_string()).collect::<Vec<_>>()
        };
        let moved = moved_needlessly(&table(&all), &table(&without(&all, slot)), &all[slot].name);
        prop_assert!(moved <= 0.6, "{moved} %");
    }
}
