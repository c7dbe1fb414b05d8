//! Two choices: draw two different backends, take the less loaded.
//!
//! Nearly as even as looking at all (Mitzenmacher, 2001), at a cost that does not grow with the pool, and without the
//! herd of looking at all: workers that decide at the same moment do not all run to the same idle backend.
//!
//! Weights count twice, in the draw and in the comparison. The draw alone would not do in a pool of two, where both are
//! always drawn. The comparison is by what is in flight now, without the request to come: idle backends are then equal
//! whatever their weight, the first drawn wins, and a quiet pool still divides its requests by weight.

use super::random::{self, Dice};
use crate::tier::View;

pub(super) fn pick(view: &mut View, dice: &mut Dice) -> Option<u32> {
    pick_lighter(view, dice, is_lighter)
}

/// Draws two and takes the second only if it is lighter than the first.
pub(super) fn pick_lighter(view: &mut View, dice: &mut Dice, lighter: impl Fn(&View, u32, u32) -> bool) -> Option<u32> {
    loop {
        let first = random::draw(view, dice, None)?;
        let second = random::draw(view, dice, Some(first));
        let slot = second.filter(|&second| lighter(view, second, first)).unwrap_or(first);
        if view.take(slot) {
            return Some(slot);
        }
    }
}

fn is_lighter(view: &View, a: u32, b: u32) -> bool {
    let load = |slot| u64::from(view.backend(slot).live.in_flight());
    load(a) * view.weight(b) < load(b) * view.weight(a)
}

#[cfg(test)]
mod tests {
    use crate::fixtures::*;
    use crate::{Chosen, Health, Policy, Pool};

    fn in_flight(pool: &Pool) -> Vec<u64> {
        pool.backends().iter().map(|backend| u64::from(backend.live.in_flight())).collect()
    }

    #[test]
    fn the_busier_of_two_is_never_taken() {
        let pool = pool(Policy::TwoChoices, &[1, 1]);
        assert!(pool.backends()[0].live.raise(None));
        assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(1)));
    }

    #[test]
    fn the_busiest_of_many_is_never_taken_because_draws_differ() {
        let pool = pool(Policy::TwoChoices, &[1; 5]);
        assert!(pool.backends()[3].live.raise(None));
        assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) != Some(3)));
    }

    #[test]
    fn draws_differ_however_lopsided_the_weights() {
        let pool = pool(Policy::TwoChoices, &[10_000, 1]);
        (0..3).for_each(|_| assert!(pool.backends()[1].live.raise(None)));
        (0..30_001).for_each(|_| assert!(pool.backends()[0].live.raise(None)));
        assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(1)));
    }

    #[test]
    fn idle_backends_share_by_weight() {
        for weights in [[1, 1, 1], [5, 1, 1], [3, 2, 1]] {
            let counts = shares(&pool(Policy::TwoChoices, &weights), 60_000);
            assert!(fair(&counts, &weights, 5.0), "{weights:?}: {counts:?}");
        }
        let counts = shares(&pool(Policy::TwoChoices, &[3, 1]), 60_000);
        assert!(fair(&counts, &[3, 1], 5.0), "{counts:?}");
    }

    #[test]
    fn held_requests_are_nearly_level_for_their_weights() {
        for weights in [vec![1; 10], vec![4, 2, 1, 1], vec![3, 1]] {
            let pool = pool(Policy::TwoChoices, &weights);
            (0..4_000).for_each(|dice| assert!(matches!(hold(&pool, dice), Chosen::Slot(_))));
            assert!(fair(&in_flight(&pool), &weights, 5.0), "{weights:?}: {:?}", in_flight(&pool));
        }
    }

    #[test]
    fn two_choices_are_much_more_even_than_one() {
        let spread = |policy| {
            let pool = pool(policy, &[1; 50]);
            (0..5_000).for_each(|dice| assert!(matches!(hold(&pool, dice), Chosen::Slot(_))));
            let counts = in_flight(&pool);
            counts.iter().max().unwrap() - counts.iter().min().unwrap()
        };
        assert!(spread(Policy::TwoChoices) * 4 < spread(Policy::Random));
    }

    #[test]
    fn with_one_left_there_is_no_choice() {
        let pool = pool(Policy::TwoChoices, &[1, 1, 1]);
        pool.backends()[0].live.set_health(Health::Down, NOW);
        pool.backends()[1].live.set_health(Health::Down, NOW);
        assert!((0..100).all(|dice| visit(&pool, &[], NOW, dice) == Some(2)));
    }
}
