use crate::fixtures::*;
use crate::{Chosen, Health, Policy, Pool};
use std::collections::BTreeSet;

/// Slots that get requests. Enough picks to meet all of ten, with any policy but failover, which stays with the first.
fn used(pool: &Pool) -> BTreeSet<u32> {
    (0..400).filter_map(|dice| visit(pool, &[], NOW, dice)).collect()
}

fn mark(pool: &Pool, slots: impl IntoIterator<Item = u32>, health: Health) {
    slots.into_iter().for_each(|slot| {
        pool.backends()[slot as usize].live.set_health(health, NOW);
    });
}

fn eject(pool: &Pool, slots: impl IntoIterator<Item = u32>) {
    slots.into_iter().for_each(|slot| pool.backends()[slot as usize].live.eject(at(10)));
}

fn spreading() -> impl Iterator<Item = Policy> {
    ALL.into_iter().filter(|&policy| policy != Policy::Failover)
}

#[test]
fn backends_that_are_down_draining_or_ejected_get_nothing() {
    for policy in spreading() {
        let pool = pool(policy, &[1; 6]);
        mark(&pool, [0], Health::Down);
        pool.backends()[2].live.drain(at(600));
        eject(&pool, [4]);
        assert_eq!(used(&pool), BTreeSet::from([1, 3, 5]), "{policy:?}");
        mark(&pool, [0], Health::Up);
        pool.backends()[2].live.undrain();
        pool.backends()[4].live.eject(NOW);
        assert_eq!(used(&pool), (0..6).collect(), "{policy:?}");
    }
}

#[test]
fn a_backend_without_weight_gets_nothing_and_counts_for_nothing() {
    for policy in spreading() {
        assert_eq!(used(&pool(policy, &[1, 0, 1])), BTreeSet::from([0, 2]), "{policy:?}");
        let idle = pool(policy, &[0, 0]);
        assert_eq!(hold(&idle, 1), Chosen::Nobody, "{policy:?}");
    }
}

#[test]
fn pending_backends_are_used_only_while_nobody_is_up() {
    for policy in spreading() {
        let pool = pool(policy, &[1; 3]);
        mark(&pool, 0..3, Health::Pending);
        assert_eq!(used(&pool), (0..3).collect(), "{policy:?}: an optimistic start");
        mark(&pool, [0], Health::Down);
        assert_eq!(used(&pool), BTreeSet::from([1, 2]), "{policy:?}");
        mark(&pool, [2], Health::Up);
        assert_eq!(used(&pool), BTreeSet::from([2]), "{policy:?}");
    }
}

#[test]
fn a_draining_backend_does_not_keep_pending_ones_waiting() {
    let pool = pool(Policy::Random, &[1; 2]);
    mark(&pool, [1], Health::Pending);
    pool.backends()[0].live.drain(at(600));
    assert_eq!(used(&pool), BTreeSet::from([1]));
}

#[test]
fn ejections_that_leave_less_than_three_in_ten_are_ignored() {
    for policy in spreading() {
        let pool = pool(policy, &[1; 10]);
        eject(&pool, 0..7);
        assert_eq!(used(&pool), BTreeSet::from([7, 8, 9]), "{policy:?}: three are left");
        eject(&pool, [7]);
        assert_eq!(used(&pool), (0..10).collect(), "{policy:?}: panic");
    }
}

#[test]
fn panic_never_uses_what_a_check_or_a_drain_keeps_out() {
    for policy in spreading() {
        let pool = pool(policy, &[1; 10]);
        eject(&pool, 0..10);
        mark(&pool, [0, 1], Health::Down);
        pool.backends()[2].live.drain(at(600));
        assert_eq!(used(&pool), (3..10).collect(), "{policy:?}");
    }
}

#[test]
fn checks_that_fail_are_no_reason_to_panic() {
    let pool = pool(Policy::Random, &[1; 10]);
    mark(&pool, 0..8, Health::Down);
    eject(&pool, [8]);
    assert_eq!(used(&pool), BTreeSet::from([9]), "half of what could be used is left");
}

#[test]
fn when_everybody_else_fails_the_check_an_ejected_backend_beats_none() {
    let pool = pool(Policy::Random, &[1; 4]);
    eject(&pool, [3]);
    mark(&pool, 0..3, Health::Down);
    assert_eq!(used(&pool), BTreeSet::from([3]));
}

#[test]
fn each_tier_panics_alone() {
    let mut backends = backends(&[1; 8]);
    backends.iter_mut().skip(4).for_each(|backend| backend.backup = true);
    let pool = around(Policy::Random, backends);
    eject(&pool, 0..4);
    assert_eq!(used(&pool), (0..4).collect(), "the main tier panics before the backups are asked");
    mark(&pool, 0..4, Health::Down);
    eject(&pool, [4]);
    assert_eq!(used(&pool), BTreeSet::from([5, 6, 7]));
}
