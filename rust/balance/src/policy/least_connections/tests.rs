use crate::fixtures::*;
use crate::{Chosen, Policy};

fn in_flight(pool: &crate::Pool) -> Vec<u32> {
    pool.backends()
        .iter()
        .map(|backend| backend.live.in_flight())
        .collect()
}

#[test]
fn held_requests_are_level_at_every_moment() {
    let pool = pool(Policy::LeastConnections, &[1, 1, 1]);
    for dice in 0..30 {
        hold(&pool, dice);
        let counts = in_flight(&pool);
        assert!(
            counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1,
            "{counts:?}"
        );
    }
}

#[test]
fn held_requests_follow_the_weights() {
    let pool = pool(Policy::LeastConnections, &[5, 2, 1]);
    (0..800).for_each(|dice| assert!(matches!(hold(&pool, dice), Chosen::Slot(_))));
    assert_eq!(in_flight(&pool), [500, 200, 100]);
}

#[test]
fn equals_take_turns() {
    let counts = shares(&pool(Policy::LeastConnections, &[1, 1, 1, 1]), 10_000);
    assert!(fair(&counts, &[1, 1, 1, 1], 6.0), "{counts:?}");
}

#[test]
fn equals_behind_a_busier_first_take_turns_too() {
    let pool = pool(Policy::LeastConnections, &[1, 1, 1]);
    assert!(pool.backends()[0].live.raise(None));
    let counts = shares(&pool, 10_000);
    assert_eq!(counts[0], 0);
    assert!(fair(&counts[1..], &[1, 1], 6.0), "{counts:?}");
}

#[test]
fn a_slow_backend_gets_the_fewest() {
    // Requests to a take ten steps, the others one; eight are always in flight.
    let pool = pool(Policy::LeastConnections, &[1, 1, 1]);
    let mut counts = [0; 3];
    let mut held: Vec<(u64, u32)> = Vec::new();
    for step in 0..3_000 {
        let done = |&(until, slot): &(u64, u32)| {
            let over = until <= step;
            if over {
                pool.release(slot);
            }
            !over
        };
        held.retain(done);
        while held.len() < 8 {
            let Chosen::Slot(slot) = hold(&pool, step * 8 + held.len() as u64) else {
                panic!("no limits")
            };
            counts[slot as usize] += 1;
            held.push((step + if slot == 0 { 10 } else { 1 }, slot));
        }
    }
    assert!(
        counts[0] * 4 < counts[1] && counts[0] * 4 < counts[2],
        "{counts:?}"
    );
}
