//! Peak EWMA: draw two, take the one that should answer sooner: its response time (see `average.rs`) times the requests
//! that would then wait there, per weight.
//!
//! After Finagle's `PeakEwma` balancer, including its penalty: a backend that has requests but has not answered any yet
//! counts as very slow, or a new one that hangs would look infinitely fast and take everything.

use super::random::Dice;
use super::two_choices::pick_lighter;
use crate::tier::View;
use crate::{Backend, Tick};

/// Cost of a backend with requests in flight and no answer so far, in microseconds. Longer than any real answer.
const UNANSWERED: f64 = 1e12;

pub(super) fn pick(view: &mut View, dice: &mut Dice) -> Option<u32> {
    let now = view.now();
    pick_lighter(view, dice, |a, b| cost(a, now) < cost(b, now))
}

fn cost(backend: &Backend, now: Tick) -> f64 {
    let in_flight = f64::from(backend.live.in_flight());
    let latency = f64::from(backend.live.average().at(now));
    let cost = if latency == 0.0 && in_flight > 0.0 {
        UNANSWERED + in_flight
    } else {
        latency * (in_flight + 1.0)
    };
    cost / f64::from(backend.weight)
}

#[cfg(test)]
mod tests;
