//! Random by weight, and the draw that the two-choice policies are made of.
//!
//! A draw takes any entry of the turn table, so a backend comes up as often as its weight says, for one multiplication.
//! If it may not be used, draw again: walking on to its neighbour instead would give that neighbour a double share.
//! After a few misses the tier is walked twice, once to add up the weights of what is free and once to find the place
//! of the draw in it: exact whatever is out, but as slow as the tier is long.

use crate::tier::View;

/// Draws that may miss before the tier is walked: half a tier out, and one pick in 256 walks.
const MISSES: usize = 8;

pub(super) fn pick(view: &mut View, dice: &mut Dice) -> Option<u32> {
    loop {
        let slot = draw(view, dice, None)?;
        if view.take(slot) {
            return Some(slot);
        }
        // Another worker took the last place: somebody made progress, and the next draw sees it as full.
    }
}

/// A free backend other than `except`, by weight; its place is not taken yet. `None` if there is none.
pub(super) fn draw(view: &mut View, dice: &mut Dice, except: Option<u32>) -> Option<u32> {
    let turns = view.tier().turns();
    if turns.is_empty() {
        return None;
    }
    for _ in 0..MISSES {
        let slot = turns[dice.below(turns.len() as u64) as usize];
        if Some(slot) != except && view.is_free(slot) {
            return Some(slot);
        }
    }
    walk(view, dice, except)
}

#[cold]
fn walk(view: &mut View, dice: &mut Dice, except: Option<u32>) -> Option<u32> {
    let weight = |view: &mut View, slot| {
        let counts = Some(slot) != except && view.is_free(slot);
        if counts { u64::from(view.backend(slot).weight) } else { 0 }
    };
    let members = view.tier().members();
    let total: u64 = members.iter().map(|&slot| weight(view, slot)).sum();
    if total == 0 {
        return None;
    }
    let mut left = dice.below(total);
    let mut last = None;
    for &slot in members {
        let weight = weight(view, slot);
        if weight > left {
            return Some(slot);
        }
        left -= weight;
        last = if weight > 0 { Some(slot) } else { last };
    }
    last // reached only if places were taken between the two walks
}

/// Numbers drawn from the one that the caller gave: splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    /// A number from 0 to `bound` - 1; `bound` is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scale(mix(self.0), bound)
    }
}

/// Maps all 64-bit numbers evenly onto 0 to `bound` - 1, without a division.
pub(super) fn scale(number: u64, bound: u64) -> u64 {
    ((u128::from(number) * u128::from(bound)) >> 64) as u64
}

/// Spreads every bit over all others.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::{Health, Policy};

    #[test]
    fn shares_follow_the_weights() {
        for weights in [&[1, 1, 1][..], &[5, 1, 1], &[10, 20, 30, 40], &[100, 1]] {
            let counts = shares(&pool(Policy::Random, weights), 200_000);
            assert!(fair(&counts, weights, 5.0), "{weights:?}: {counts:?}");
        }
    }

    #[test]
    fn those_left_keep_their_shares() {
        let pool = pool(Policy::Random, &[5, 1, 2, 3]);
        pool.backends()[0].live.set_health(Health::Down, NOW);
        let shares = shares(&pool, 60_000);
        assert_eq!(shares[0], 0);
        assert!(fair(&shares[1..], &[1, 2, 3], 5.0), "{shares:?}");
    }

    #[test]
    fn the_walk_is_as_fair_as_the_draw() {
        let pool = pool(Policy::Random, &[60_000, 1, 2, 3]);
        pool.backends()[0].live.set_health(Health::Down, NOW);
        let shares = shares(&pool, 60_000);
        assert!(fair(&shares[1..], &[1, 2, 3], 5.0), "{shares:?}");
    }

    #[test]
    fn the_same_dice_make_the_same_pick() {
        let pool = pool(Policy::Random, &[3, 2, 1]);
        let picks = || (0..100).map(|dice| visit(&pool, &[], NOW, dice)).collect::<Vec<_>>();
        assert_eq!(picks(), picks());
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut dice = Dice::new(0);
        let mut seen = [0; 7];
        (0..7_000).for_each(|_| seen[dice.below(7) as usize] += 1);
        assert!(seen.iter().all(|&times| (850..1150).contains(&times)), "{seen:?}");
        assert_eq!(scale(u64::MAX, 5), 4);
        assert_eq!(scale(0, 5), 0);
    }
}
