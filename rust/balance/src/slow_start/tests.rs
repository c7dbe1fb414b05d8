use super::*;
use crate::fixtures::*;
use crate::policy::Policy;
use crate::{Chosen, Health, Pool, Tuning};
use proptest::prelude::*;
use std::sync::Arc;

const RAMP: Duration = Duration::from_secs(32);

fn warming(policy: Policy, weights: &[u32]) -> Pool {
    Pool::new(policy, backends(weights), Arc::default(), Tuning { slow_start: RAMP, ..TUNING })
}

/// The part of these many picks at `now` that goes to `slot`, in percent.
fn part(pool: &Pool, slot: u32, now: Tick) -> f64 {
    let picks = 20_000;
    let hits = (0..picks).filter(|&dice| visit(pool, &[], now, dice) == Some(slot)).count();
    hits as f64 * 100.0 / picks as f64
}

fn is_about(found: f64, due: f64) -> bool {
    (found - due).abs() <= due * 0.15 + 0.3
}

/// Policies that draw or take turns, so that idle backends share by weight.
const DRAWING: [Policy; 5] = [Policy::RoundRobin, Policy::TwoChoices, Policy::PeakEwma, Policy::Random, Policy::Hash];

#[test]
fn the_share_grows_from_a_sixteenth_to_the_whole() {
    let slow_start = SlowStart::new(RAMP);
    let live = Live::new(0);
    assert_eq!(slow_start.share(&live, NOW), WHOLE, "it never had reason to warm up");
    live.warm(NOW);
    let shares = [0, 1, 2, 4, 16, 31, 32, 1_000].map(|seconds| slow_start.share(&live, at(seconds)));
    assert_eq!(shares, [16, 16, 16, 32, 128, 248, 256, 256]);
    assert_eq!(SlowStart::new(Duration::ZERO).share(&live, NOW), WHOLE);
}

/// What one of `all` equals is due in percent. A draw that is refused goes to the others; a turn that is let go is
/// over, so the ramp is a weight there.
fn due(policy: Policy, ramp: f64, all: f64) -> f64 {
    let part = if policy == Policy::RoundRobin { ramp / (all - 1.0 + ramp) } else { ramp / all };
    part * 100.0
}

#[test]
fn a_warming_backend_gets_its_part_of_what_it_will_get() {
    for policy in DRAWING {
        let pool = warming(policy, &[1, 1, 1, 1]);
        pool.backends()[2].live.warm(NOW);
        for (seconds, ramp) in [(0, 1.0 / 16.0), (8, 0.25), (16, 0.5), (24, 0.75), (32, 1.0)] {
            let found = part(&pool, 2, at(seconds));
            let due = due(policy, ramp, 4.0);
            assert!(is_about(found, due), "{policy:?} after {seconds} s: {found} %, due {due} %");
        }
    }
}

#[test]
fn of_two_the_warm_one_takes_the_rest() {
    for policy in DRAWING {
        let pool = warming(policy, &[1, 1]);
        pool.backends()[0].live.warm(NOW);
        let found = part(&pool, 0, at(8));
        assert!(is_about(found, due(policy, 0.25, 2.0)), "{policy:?}: {found} %");
    }
}

#[test]
fn an_idle_newcomer_does_not_win_every_comparison() {
    // Each has as many requests as its part allows: with one more anywhere it would be over it.
    let pool = warming(Policy::LeastConnections, &[1, 1, 1]);
    pool.backends()[0].live.warm(NOW);
    for dice in 0..450 {
        assert!(matches!(pool.choose(dice, &[], at(8), dice), Chosen::Slot(_)));
    }
    let counts: Vec<u32> = pool.backends().iter().map(|backend| backend.live.in_flight()).collect();
    assert_eq!(counts, [50, 200, 200]);
}

#[test]
fn when_all_are_new_nobody_is_refused_and_shares_are_relative() {
    for policy in ALL {
        let pool = warming(policy, &[1, 1, 1]);
        pool.backends().iter().for_each(|backend| backend.live.warm(NOW));
        assert!((0..2_000).all(|dice| visit(&pool, &[], NOW, dice).is_some()), "{policy:?}");
    }
    for policy in DRAWING {
        let pool = warming(policy, &[1, 1, 1]);
        pool.backends().iter().for_each(|backend| backend.live.warm(NOW));
        let parts = [0, 1, 2].map(|slot| part(&pool, slot, at(4)));
        assert!(parts.iter().all(|&found| is_about(found, 33.3)), "{policy:?}: {parts:?}");
    }
}

#[test]
fn a_warming_backend_is_used_rather_than_none() {
    for policy in ALL {
        let pool = warming(policy, &[1, 1, 1]);
        pool.backends()[0].live.warm(NOW);
        pool.backends()[1].live.set_health(Health::Down, NOW);
        pool.backends()[2].live.drain(at(600));
        assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(0)), "{policy:?}");
    }
}

#[test]
fn a_warming_backend_is_used_before_a_request_waits_or_a_backup_helps() {
    for policy in ALL {
        let mut backends = backends(&[1, 1, 1]);
        backends[1].max_in_flight = Some(0);
        backends[2].backup = true;
        let pool = Pool::new(policy, backends, Arc::default(), Tuning { slow_start: RAMP, ..TUNING });
        pool.backends()[0].live.warm(NOW);
        assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(0)), "{policy:?}");
    }
}

#[test]
fn a_key_moves_home_once() {
    let pool = warming(Policy::Hash, &[1, 1, 1, 1]);
    pool.backends()[1].live.warm(NOW);
    for key in 0..500u64 {
        let homes = (0..=32).map(|seconds| {
            let Chosen::Slot(slot) = pool.choose(key, &[], at(seconds), seconds * 31 + key) else {
                panic!("no limits")
            };
            pool.release(slot);
            slot
        });
        let mut homes: Vec<u32> = homes.collect();
        homes.dedup();
        assert!(homes.len() <= 2 && (homes.len() == 1 || homes[1] == 1), "{homes:?}");
    }
}

#[test]
fn recovery_starts_a_ramp_and_a_first_check_does_not() {
    let pool = warming(Policy::Random, &[1, 1]);
    let live = &pool.backends()[0].live;
    live.set_health(Health::Pending, NOW);
    live.set_health(Health::Up, at(1));
    assert_eq!((live.warming_since(), pool.warmth(0, at(1))), (None, 100));
    live.set_health(Health::Down, at(2));
    live.set_health(Health::Up, at(3));
    live.set_health(Health::Up, at(9));
    assert_eq!(live.warming_since(), Some(at(3)), "being up still is no news");
    assert_eq!((pool.warmth(0, at(3)), pool.warmth(0, at(19)), pool.warmth(0, at(35))), (6, 50, 100));
}

#[test]
fn a_newcomer_warms_up_from_when_it_is_first_up() {
    let pool = warming(Policy::Random, &[1, 1]);
    let live = &pool.backends()[0].live;
    live.set_health(Health::Pending, NOW);
    live.warm_later();
    assert_eq!((live.warming_since(), pool.warmth(0, at(100))), (None, 6));
    live.set_health(Health::Up, at(100));
    assert_eq!(live.warming_since(), Some(at(100)));
}

#[test]
fn the_end_of_an_ejection_starts_a_ramp() {
    let pool = warming(Policy::Random, &[1, 1, 1]);
    assert!(put_out(&pool, 0, NOW));
    assert_eq!(pool.backends()[0].live.warming_since(), Some(at(10)));
    assert!(is_about(part(&pool, 0, at(10)), 33.3 / 16.0));
    assert!(is_about(part(&pool, 0, at(26)), 33.3 / 2.0));
    pool.backends()[0].live.warm(at(5));
    assert_eq!(pool.backends()[0].live.warming_since(), Some(at(10)), "it is out until then");
}

proptest! {
    #[test]
    fn a_backend_answers_alike_within_one_pick_and_always_at_its_whole_share(seed: u64, slot in 0u32..64, share in 1u32..=WHOLE) {
        let mood = Mood::new(seed);
        prop_assert_eq!(mood.accepts(slot, share), mood.accepts(slot, share));
        prop_assert!(mood.accepts(slot, WHOLE));
        prop_assert!(mood.eager(share).accepts(slot, share));
    }

    #[test]
    fn who_accepts_at_a_small_share_accepts_at_a_larger(seed: u64, slot in 0u32..64, share in 1u32..WHOLE) {
        let mood = Mood::new(seed);
        prop_assert!(!mood.accepts(slot, share) || mood.accepts(slot, share + 1));
    }

    #[test]
    fn the_share_never_shrinks_with_time(age in 0u64..1u64 << 50, length in 1u64..1u64 << 42, more in 0u64..1 << 40) {
        let live = Live::new(0);
        live.warm(Tick(1));
        let slow_start = SlowStart::new(Duration::from_micros(length));
        let [before, after] = [age, age + more].map(|age| slow_start.share(&live, Tick(age)));
        prop_assert!((LEAST..=WHOLE).contains(&before) && before <= after);
    }
}
