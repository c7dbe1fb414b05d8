//! How long does a backend keep an idle connection? What it does not say is learned from what it closes.
//!
//! The guess starts at 4 s, below the 5 s of uvicorn, and drops to 80 % of the youngest age at which a connection was
//! found closed. There is no floor: a backend that closes at random after a few milliseconds is learned too. The guess
//! doubles whenever 10 s have passed without a close, so a crash, which closes young connections too, is forgotten
//! within two minutes. Doubling is safe for requests that may not be sent twice, because they go by half of the guess:
//! after one doubling that is still 80 % of the age that was seen, and connections that are now kept for longer bring
//! the next sighting before there is another.

use std::time::Duration;

use plan::Tick;

/// What a backend is taken to keep until it shows otherwise.
pub(super) const FIRST_GUESS: Duration = Duration::from_secs(4);
/// So long without a close, and the guess grows.
const QUIET: Duration = Duration::from_secs(10);
/// What growth starts from.
const LEAST: Duration = Duration::from_millis(1);

/// What is known about one backend's patience.
pub(super) struct Ages {
    guess: Duration,
    /// When a close was seen last, or the guess grew.
    since: Tick,
}

impl Ages {
    pub(super) fn new() -> Self {
        Ages { guess: FIRST_GUESS, since: Tick(0) }
    }

    /// An idle connection older than this is not to be used.
    pub(super) fn limit(&self) -> Duration {
        self.guess
    }

    /// The backend has closed a connection early before, so it pays to see exactly when it does.
    pub(super) fn is_suspicious(&self) -> bool {
        self.guess < FIRST_GUESS
    }

    /// A connection of this age was found closed.
    pub(super) fn closed(&mut self, age: Duration, now: Tick) {
        if age < FIRST_GUESS {
            self.since = now;
        }
        self.guess = self.guess.min(age / 5 * 4);
    }

    /// Lets the guess grow when it is time.
    pub(super) fn relax(&mut self, now: Tick) {
        if self.is_suspicious() && now.since(self.since) >= QUIET {
            self.since = now;
            self.guess = (self.guess * 2).clamp(LEAST, FIRST_GUESS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: u64) -> Tick {
        Tick(second * 1_000_000)
    }

    #[test]
    fn the_youngest_close_counts_and_is_forgotten_when_none_follows() {
        let mut ages = Ages::new();
        assert!(!ages.is_suspicious());
        ages.closed(Duration::from_secs(30), second(1));
        assert_eq!(ages.limit(), FIRST_GUESS, "older than the guess: nothing new");
        ages.closed(Duration::from_secs(2), second(2));
        ages.closed(Duration::from_secs(3), second(3));
        assert_eq!(ages.limit(), Duration::from_millis(1_600));
        ages.relax(second(12));
        assert_eq!(ages.limit(), Duration::from_millis(1_600));
        ages.relax(second(13));
        assert_eq!(ages.limit(), Duration::from_millis(3_200));
        ages.relax(second(14));
        assert_eq!(ages.limit(), Duration::from_millis(3_200));
        ages.relax(second(23));
        assert!(!ages.is_suspicious());
    }

    #[test]
    fn a_crash_is_forgotten_within_two_and_a_half_minutes() {
        let mut ages = Ages::new();
        ages.closed(Duration::ZERO, second(100));
        (100..=250).for_each(|now| ages.relax(second(now)));
        assert_eq!(ages.limit(), FIRST_GUESS);
    }
}
