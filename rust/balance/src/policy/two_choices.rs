//! Two choices: draw two different backends, take the less loaded.
//!
//! Nearly as even as looking at all (Mitzenmacher, 2001), at a cost that does not grow with the pool, and without the
//! herd of looking at all: workers that decide at the same moment do not all run to the same idle backend.
//!
//! Weights count twice, in the draw and in the comparison. The draw alone would not do in a pool of two, where both are
//! always drawn. The comparison is by what is in flight now, without the request to come: idle backends are then equal
//! whatever their weight, the first drawn wins, and a quiet pool still divides its requests by weight.

use super::random::{self, Dice};
use crate::Backend;
use crate::tier::View;

pub(super) fn pick(view: &mut View, dice: &mut Dice) -> Option<u32> {
    pick_lighter(view, dice, is_lighter)
}

/// Draws two and takes the second only if it is lighter than the first.
pub(super) fn pick_lighter(
    view: &mut View,
    dice: &mut Dice,
    lighter: impl Fn(&Backend, &Backend) -> bool,
) -> Option<u32> {
    loop {
        let first = random::draw(view, dice, None)?;
        let second = random::draw(view, dice, Some(first));
        let slot = second
            .filter(|&second| lighter(view.backend(second), view.backend(first)))
            .unwrap_or(first);
        if view.take(slot) {
            return Some(slot);
        }
    }
}

fn is_lighter(a: &Backend, b: &Backend) -> bool {
    let load = |backend: &Backend| u64::from(backend.live.in_flight());
    load(a) * u64::from(b.weight) < load(b) * u64::from(a.weight)
}

#[cfg(test)]
mod tests;
