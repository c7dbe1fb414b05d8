//! Least connections: the backend that would be least loaded for its weight with this request on it.
//!
//! A backend that warms up is never passed over here: its weight is smaller, and that is enough.
//!
//! All are looked at, so it is the best choice at this moment, and costs as much as the tier is long. Of several equally
//! good ones chance takes one: a fixed order would send every request of a quiet pool to the first.

use super::random::Dice;
use crate::tier::View;

pub(super) fn pick(view: &mut View, dice: &mut Dice) -> Option<u32> {
    loop {
        let slot = least_loaded(view, dice)?;
        if view.take(slot) {
            return Some(slot);
        }
    }
}

fn least_loaded(view: &mut View, dice: &mut Dice) -> Option<u32> {
    let mut best: Option<(u32, Load)> = None;
    let mut equals = 0;
    for &slot in view.tier().members() {
        if !view.has_room(slot) {
            continue;
        }
        let load = Load::of(view, slot);
        let order = best.map_or(std::cmp::Ordering::Less, |(_, least)| load.compare(least));
        equals = if order.is_lt() { 1 } else { equals + u64::from(order.is_eq()) };
        // The k-th of equals replaces the one before with a chance of 1/k: each is as likely in the end.
        if order.is_lt() || order.is_eq() && dice.below(equals) == 0 {
            best = Some((slot, load));
        }
    }
    best.map(|(slot, _)| slot)
}

/// Requests in flight, with the one to come, per weight; compared without a division.
#[derive(Copy, Clone)]
struct Load {
    requests: u64,
    weight: u64,
}

impl Load {
    fn of(view: &View, slot: u32) -> Self {
        Load { requests: u64::from(view.backend(slot).live.in_flight()) + 1, weight: view.weight(slot) }
    }

    fn compare(self, other: Load) -> std::cmp::Ordering {
        (self.requests * other.weight).cmp(&(other.requests * self.weight))
    }
}

#[cfg(test)]
mod tests {
    use crate::fixtures::*;
    use crate::{Chosen, Policy};

    fn in_flight(pool: &crate::Pool) -> Vec<u32> {
        pool.backends().iter().map(|backend| backend.live.in_flight()).collect()
    }

    #[test]
    fn held_requests_are_level_at_every_moment() {
        let pool = pool(Policy::LeastConnections, &[1, 1, 1]);
        for dice in 0..30 {
            hold(&pool, dice);
            let counts = in_flight(&pool);
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
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
                let Chosen::Slot(slot) = hold(&pool, step * 8 + held.len() as u64) else { panic!("no limits") };
                counts[slot as usize] += 1;
                held.push((step + if slot == 0 { 10 } else { 1 }, slot));
            }
        }
        assert!(counts[0] * 4 < counts[1] && counts[0] * 4 < counts[2], "{counts:?}");
    }
}
