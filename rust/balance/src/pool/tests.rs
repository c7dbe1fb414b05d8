use super::*;
use crate::Health;
use crate::fixtures::*;
use proptest::prelude::*;

fn with_backups(policy: Policy) -> Pool {
    let mut backends = backends(&[1; 4]);
    backends.iter_mut().skip(2).for_each(|backend| backend.backup = true);
    around(policy, backends)
}

fn limited(policy: Policy, limits: &[Option<u32>]) -> Pool {
    let mut backends = backends(&vec![1; limits.len()]);
    backends.iter_mut().zip(limits).for_each(|(backend, &limit)| backend.max_in_flight = limit);
    around(policy, backends)
}

#[test]
fn backups_are_used_only_when_the_main_tier_has_nobody() {
    for policy in ALL {
        let pool = with_backups(policy);
        assert!((0..100).all(|dice| visit(&pool, &[], NOW, dice).unwrap() < 2), "{policy:?}");
        pool.backends()[0].live.set_health(Health::Down, NOW);
        assert!((0..100).all(|dice| visit(&pool, &[], NOW, dice) == Some(1)), "{policy:?}");
        pool.backends()[1].live.drain(at(600));
        assert!((0..100).all(|dice| visit(&pool, &[], NOW, dice).unwrap() >= 2), "{policy:?}");
        pool.backends()[2].live.set_health(Health::Down, NOW);
        pool.backends()[3].live.set_health(Health::Down, NOW);
        assert_eq!(hold(&pool, 1), Chosen::Nobody, "{policy:?}");
    }
}

#[test]
fn what_was_tried_comes_after_the_tier_and_after_the_backups() {
    for policy in ALL {
        let pool = with_backups(policy);
        for dice in 0..50 {
            assert_eq!(visit(&pool, &[0], NOW, dice), Some(1), "{policy:?}");
            assert!(visit(&pool, &[0, 1], NOW, dice).unwrap() >= 2, "{policy:?}");
            assert_eq!(visit(&pool, &[0, 1, 2], NOW, dice), Some(3), "{policy:?}");
            assert!(visit(&pool, &[0, 1, 2, 3], NOW, dice).unwrap() < 2, "{policy:?}");
        }
    }
}

#[test]
fn the_only_backend_is_tried_again() {
    for policy in ALL {
        assert_eq!(visit(&pool(policy, &[1]), &[0], NOW, 3), Some(0), "{policy:?}");
    }
}

#[test]
fn no_backends_at_all_is_nobody() {
    for policy in ALL {
        assert_eq!(hold(&pool(policy, &[]), 1), Chosen::Nobody, "{policy:?}");
    }
}

#[test]
fn full_is_when_all_that_could_be_used_are_at_their_limit() {
    for policy in ALL {
        let pool = limited(policy, &[Some(2), Some(3), Some(1)]);
        pool.backends()[2].live.set_health(Health::Down, NOW);
        for dice in 0..5 {
            assert!(matches!(hold(&pool, dice), Chosen::Slot(0 | 1)), "{policy:?}");
        }
        assert_eq!(hold(&pool, 9), Chosen::Full, "{policy:?}");
        assert_eq!(pool.choose(9, &[0, 1], NOW, 9), Chosen::Full, "{policy:?}");
        pool.release(1);
        assert_eq!(hold(&pool, 9), Chosen::Slot(1), "{policy:?}");
        pool.backends()[0].live.set_health(Health::Down, NOW);
        pool.backends()[1].live.set_health(Health::Down, NOW);
        assert_eq!(hold(&pool, 9), Chosen::Nobody, "{policy:?}");
    }
}

#[test]
fn a_full_main_tier_overflows_to_the_backups() {
    let mut backends = backends(&[1, 1]);
    backends[0].max_in_flight = Some(1);
    backends[1].backup = true;
    let pool = around(Policy::RoundRobin, backends);
    assert_eq!(hold(&pool, 0), Chosen::Slot(0));
    assert_eq!(hold(&pool, 0), Chosen::Slot(1));
}

#[test]
fn the_pool_is_full_only_when_its_backups_are() {
    for policy in ALL {
        let mut backends = backends(&[1, 1, 1]);
        backends.iter_mut().for_each(|backend| backend.max_in_flight = Some(1));
        backends[2].backup = true;
        let pool = around(policy, backends);
        let slots = [0, 1, 2].map(|dice| hold(&pool, dice));
        assert!(slots.iter().all(|chosen| matches!(chosen, Chosen::Slot(_))), "{policy:?}");
        assert_eq!(slots[2], Chosen::Slot(2), "{policy:?}: the backup comes last");
        assert_eq!(hold(&pool, 3), Chosen::Full, "{policy:?}");
        pool.backends()[2].live.set_health(Health::Down, NOW);
        assert_eq!(hold(&pool, 3), Chosen::Full, "{policy:?}: one that is down is not waited for, the others are");
        pool.release(1);
        assert_eq!(hold(&pool, 3), Chosen::Slot(1), "{policy:?}");
    }
}

#[test]
fn a_retry_takes_the_tried_one_again_when_the_others_are_full() {
    for policy in ALL {
        let pool = limited(policy, &[Some(0), None]);
        assert_eq!(visit(&pool, &[1], NOW, 5), Some(1), "{policy:?}");
    }
}

#[test]
fn a_reload_keeps_counts_cursor_and_budget() {
    let shared = Arc::new(Shared::new());
    let old = reloaded(Policy::RoundRobin, &backends(&[1, 1, 1]), &shared);
    assert_eq!(hold(&old, 0), Chosen::Slot(0));
    (0..10).for_each(|_| assert!(old.budget().withdraw(NOW)));
    let new = reloaded(Policy::RoundRobin, old.backends(), &shared);
    assert_eq!(new.backends()[0].live.in_flight(), 1);
    assert_eq!(hold(&new, 0), Chosen::Slot(1));
    assert!(!new.budget().withdraw(NOW));
    old.release(0);
    assert_eq!(new.backends()[0].live.in_flight(), 0);
}

#[test]
fn successes_feed_the_average() {
    let pool = pool(Policy::PeakEwma, &[1]);
    pool.succeeded(0, Duration::from_millis(20), NOW);
    assert_eq!(pool.backends()[0].live.latency_micros(), 20_000);
}

#[test]
fn threads_neither_pass_a_limit_nor_lose_a_place() {
    for policy in ALL {
        let pool = limited(policy, &[Some(1), Some(2), None]);
        let pool = &pool;
        on_four_threads(|thread| {
            for round in 0..5_000 {
                let dice = round * 4 + thread;
                let Chosen::Slot(slot) = hold(pool, dice) else { panic!("c has no limit") };
                let Backend { live, max_in_flight, .. } = &pool.backends()[slot as usize];
                assert!(live.in_flight() <= max_in_flight.unwrap_or(4));
                pool.release(slot);
            }
        });
        assert!(pool.backends().iter().all(|backend| backend.live.in_flight() == 0), "{policy:?}");
    }
}

fn held(pool: &Pool, slot: u32, now: Tick) -> Held {
    let before = pool.backends().get(slot as usize).map(|backend| backend.live.in_flight());
    let held = pool.hold(slot, now);
    if held == Held::Taken {
        assert_eq!(Some(pool.backends()[slot as usize].live.in_flight()), before.map(|count| count + 1));
        pool.release(slot);
    }
    held
}

#[test]
fn a_client_may_have_its_own_backend_whatever_the_policy_would_say() {
    for policy in ALL {
        let pool = with_backups(policy);
        assert!((0..4).all(|slot| held(&pool, slot, NOW) == Held::Taken), "{policy:?}, also a backup");
        let live = &pool.backends()[1].live;
        live.set_health(Health::Pending, NOW);
        live.warm(NOW);
        assert_eq!(held(&pool, 1, NOW), Held::Taken, "{policy:?}");
    }
}

#[test]
fn a_draining_backend_takes_its_own_clients_until_the_drain_ends() {
    let pool = pool(Policy::RoundRobin, &[1, 1]);
    let live = &pool.backends()[0].live;
    live.drain_later();
    assert_eq!(held(&pool, 0, at(1_000)), Held::Taken, "its end is not said yet");
    live.drain(at(60));
    assert_eq!(held(&pool, 0, at(59)), Held::Taken);
    assert_eq!(held(&pool, 0, at(60)), Held::Lost);
    live.undrain();
    assert_eq!(held(&pool, 0, at(60)), Held::Taken);
}

#[test]
fn a_backend_that_cannot_be_used_is_lost_also_to_its_own_clients() {
    let pool = pool(Policy::RoundRobin, &[1, 0, 1, 1]);
    pool.backends()[0].live.set_health(Health::Down, NOW);
    assert!(put_out(&pool, 2, NOW));
    assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(|slot| held(&pool, slot, NOW)), {
        use Held::{Lost, Taken};
        [Lost, Lost, Lost, Taken, Lost, Lost]
    });
    assert_eq!(held(&pool, 2, at(10)), Held::Taken, "the ejection is over");
}

#[test]
fn in_a_panic_clients_keep_their_backends() {
    let pool = pool(Policy::RoundRobin, &[1, 1, 1, 1]);
    pool.backends().iter().for_each(|backend| backend.live.eject(at(10)));
    assert!((0..4).all(|slot| held(&pool, slot, NOW) == Held::Taken));
    pool.backends()[0].live.set_health(Health::Down, NOW);
    assert_eq!(held(&pool, 0, NOW), Held::Lost);
}

#[test]
fn a_full_backend_is_full_to_its_own_clients_while_others_have_room() {
    let pool = limited(Policy::RoundRobin, &[Some(1), None]);
    assert_eq!(pool.hold(0, NOW), Held::Taken);
    assert_eq!(pool.hold(0, NOW), Held::Full);
    assert_eq!(pool.backends()[0].live.in_flight(), 1);
    pool.backends()[0].live.drain(at(60));
    assert_eq!(pool.hold(0, NOW), Held::Full, "a limit is one in a drain, too");
    pool.release(0);
    assert_eq!(held(&pool, 0, NOW), Held::Taken);
}

#[test]
fn only_places_that_are_limited_are_waited_for() {
    let pool = limited(Policy::RoundRobin, &[Some(1), None]);
    assert!(matches!((pool.hold(0, NOW), pool.hold(1, NOW)), (Held::Taken, Held::Taken)));
    pool.waiting().join();
    assert_eq!((pool.release(0), pool.release(1)), (true, false));
    pool.waiting().leave();
    assert_eq!(pool.hold(0, NOW), Held::Taken);
    assert!(!pool.release(0));
}

#[test]
fn threads_that_hold_and_choose_never_pass_a_limit() {
    let pool = &limited(Policy::LeastConnections, &[Some(2), Some(1)]);
    on_four_threads(|thread| {
        for round in 0..10_000 {
            let slot = match (thread % 2 == 0, (round % 2) as u32) {
                (true, slot) => Some(slot).filter(|&slot| pool.hold(slot, NOW) == Held::Taken),
                (false, _) => match hold(pool, round) {
                    Chosen::Slot(slot) => Some(slot),
                    chosen => {
                        assert_eq!(chosen, Chosen::Full);
                        None
                    }
                },
            };
            if let Some(slot) = slot {
                assert!(pool.backends()[slot as usize].live.in_flight() <= 2 - slot);
                pool.release(slot);
            }
        }
    });
    assert!(pool.backends().iter().all(|backend| backend.live.in_flight() == 0));
}

/// A backend of a random pool: weight, backup, limit, health, draining, ejected, in flight.
type Sketch = (u32, bool, Option<u32>, u8, bool, bool, u32);

fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    let limit = proptest::option::of(0u32..4);
    let one = (0u32..6, any::<bool>(), limit, 0u8..3, any::<bool>(), any::<bool>(), 0u32..4);
    proptest::collection::vec(one, 0..12)
}

fn build(policy: Policy, sketches: &[Sketch]) -> Pool {
    let mut backends = backends(&sketches.iter().map(|sketch| sketch.0).collect::<Vec<_>>());
    for (backend, sketch) in backends.iter_mut().zip(sketches) {
        let &(_, backup, limit, health, draining, ejected, in_flight) = sketch;
        (backend.backup, backend.max_in_flight) = (backup, limit);
        let live = &backend.live;
        live.set_health([Health::Pending, Health::Up, Health::Down][health as usize], NOW);
        if draining {
            live.drain(at(600));
        }
        live.eject(if ejected { at(10) } else { NOW });
        (0..in_flight).for_each(|_| assert!(live.raise(None)));
    }
    around(policy, backends)
}

/// Who may be used, written down once more from the rules, slowly.
fn eligible(pool: &Pool, backup: bool) -> Vec<u32> {
    let slots = 0..pool.backends().len() as u32;
    let of = |slot: u32| &pool.backends()[slot as usize];
    let tier: Vec<u32> = slots.filter(|&s| of(s).backup == backup && of(s).weight > 0).collect();
    let is = |slot: u32, health| of(slot).live.health() == health && !of(slot).live.draining();
    let some_up = tier.iter().any(|&slot| is(slot, Health::Up));
    let wanted = if some_up { Health::Up } else { Health::Pending };
    let usable: Vec<u32> = tier.into_iter().filter(|&slot| is(slot, wanted)).collect();
    let left: Vec<u32> = usable.iter().copied().filter(|&s| !of(s).live.ejected(NOW)).collect();
    if left.len() * 10 < usable.len() * 3 { usable } else { left }
}

proptest! {
    #[test]
    fn a_pick_is_eligible_has_room_and_comes_in_the_right_order(
        sketches in sketches(),
        policy in proptest::sample::select(&ALL[..]),
        tried in proptest::collection::vec(0u32..12, 0..4),
        dice in any::<u64>(),
    ) {
        let pool = build(policy, &sketches);
        let room = |slot: &u32| {
            let backend = &pool.backends()[*slot as usize];
            backend.max_in_flight.is_none_or(|limit| backend.live.in_flight() < limit)
        };
        let (main, backup) = (eligible(&pool, false), eligible(&pool, true));
        let free = |tier: &[u32]| tier.iter().copied().filter(room).collect::<Vec<_>>();
        let fresh = |tier: &[u32]| free(tier).into_iter().filter(|s| !tried.contains(s)).collect();
        let order: [Vec<u32>; 4] = [fresh(&main), fresh(&backup), free(&main), free(&backup)];
        let before: Vec<u32> = pool.backends().iter().map(|b| b.live.in_flight()).collect();

        match (pool.choose(dice, &tried, NOW, dice), order.iter().find(|step| !step.is_empty())) {
            (Chosen::Slot(slot), Some(step)) => {
                prop_assert!(step.contains(&slot));
                prop_assert_eq!(pool.backends()[slot as usize].live.in_flight(), before[slot as usize] + 1);
                pool.release(slot);
            }
            (Chosen::Full, None) => prop_assert!(!main.is_empty() || !backup.is_empty()),
            (Chosen::Nobody, None) => prop_assert!(main.is_empty() && backup.is_empty()),
            (chosen, expected) => prop_assert!(false, "{chosen:?}, expected {expected:?}"),
        }
        let after: Vec<u32> = pool.backends().iter().map(|b| b.live.in_flight()).collect();
        prop_assert_eq!(before, after);
    }
}
