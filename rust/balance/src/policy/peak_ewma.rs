//! Peak EWMA: draw two, take the one that should answer sooner: its response time (see `average.rs`) times the requests
//! that would then wait there, per weight.
//!
//! After Finagle's `PeakEwma` balancer, including its penalty: a backend that has requests but has not answered any yet
//! counts as very slow, or a new one that hangs would look infinitely fast and take everything.

use super::random::Dice;
use super::two_choices::pick_lighter;
use crate::tier::View;

/// Cost of a backend with requests in flight and no answer so far, in microseconds. Longer than any real answer.
const UNANSWERED: f64 = 1e12;

pub(super) fn pick(view: &mut View, dice: &mut Dice) -> Option<u32> {
    pick_lighter(view, dice, |view, a, b| cost(view, a) < cost(view, b))
}

#[inline]
fn cost(view: &View, slot: u32) -> f64 {
    let backend = view.backend(slot);
    let in_flight = f64::from(backend.live.in_flight());
    let latency = f64::from(backend.live.average().at(view.now()));
    let cost = if latency == 0.0 && in_flight > 0.0 { UNANSWERED + in_flight } else { latency * (in_flight + 1.0) };
    cost / view.weight(slot) as f64
}

#[cfg(test)]
mod tests {
    use crate::Tick;
    use crate::fixtures::*;
    use crate::{Policy, Pool};
    use std::time::Duration;

    fn answers(pool: &Pool, slot: u32, millis: u64, now: Tick) {
        pool.succeeded(slot, Duration::from_millis(millis), now);
    }

    #[test]
    fn the_faster_of_two_is_taken() {
        let pool = pool(Policy::PeakEwma, &[1, 1]);
        answers(&pool, 0, 50, NOW);
        answers(&pool, 1, 10, NOW);
        assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(1)));
    }

    #[test]
    fn load_weighs_against_speed() {
        let pool = pool(Policy::PeakEwma, &[1, 1]);
        answers(&pool, 0, 50, NOW);
        answers(&pool, 1, 10, NOW);
        (0..5).for_each(|_| assert!(pool.backends()[1].live.raise(None)));
        assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(0)));
    }

    #[test]
    fn weight_counts() {
        let pool = pool(Policy::PeakEwma, &[1, 3]);
        answers(&pool, 0, 10, NOW);
        answers(&pool, 1, 20, NOW);
        assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(1)));
    }

    #[test]
    fn before_the_first_answers_weights_alone_decide() {
        let counts = shares(&pool(Policy::PeakEwma, &[1, 3]), 40_000);
        assert!(fair(&counts, &[1, 3], 5.0), "{counts:?}");
    }

    #[test]
    fn one_that_hangs_without_ever_answering_looks_slow_not_fast() {
        let pool = pool(Policy::PeakEwma, &[1, 1]);
        answers(&pool, 0, 5_000, NOW);
        assert_eq!(visit(&pool, &[], NOW, 1), Some(1), "an idle newcomer is worth a try");
        assert!(pool.backends()[1].live.raise(None));
        assert!((0..1_000).all(|dice| visit(&pool, &[], NOW, dice) == Some(0)));
    }

    #[test]
    fn one_that_was_slow_is_tried_again_after_a_while() {
        let pool = pool(Policy::PeakEwma, &[1, 1]);
        answers(&pool, 0, 1_000, NOW);
        answers(&pool, 1, 100, at(30));
        assert_eq!(visit(&pool, &[], at(1), 1), Some(1));
        assert_eq!(visit(&pool, &[], at(30), 1), Some(0));
    }
}
