//! Least connections: the backend that would be least loaded for its weight with this request on it.
//!
//! All are looked at, so it is the best choice at this moment, and costs as much as the tier is long. Of several equally
//! good ones chance takes one: a fixed order would send every request of a quiet pool to the first.

use super::random::Dice;
use crate::Backend;
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
        if !view.is_free(slot) {
            continue;
        }
        let load = Load::of(view.backend(slot));
        let order = best.map_or(std::cmp::Ordering::Less, |(_, least)| load.compare(least));
        equals = if order.is_lt() {
            1
        } else {
            equals + u64::from(order.is_eq())
        };
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
    fn of(backend: &Backend) -> Self {
        Load {
            requests: u64::from(backend.live.in_flight()) + 1,
            weight: u64::from(backend.weight),
        }
    }

    fn compare(self, other: Load) -> std::cmp::Ordering {
        (self.requests * other.weight).cmp(&(other.requests * self.weight))
    }
}

#[cfg(test)]
mod tests;
