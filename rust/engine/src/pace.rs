//! The least rate at which a client must send or read while it is its turn.
//!
//! An idle time alone lets a client hold a connection for ever with one byte a minute. Over each window in which
//! only the client could move, it must average 100 B/s.

/// Length of a window, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Bytes a client moves in a window at least: 100 B/s.
const LEAST: u64 = 100 * (WINDOW_MS / 1_000);

/// The current window.
#[derive(Default)]
pub(crate) struct Pace {
    since_ms: Option<u64>,
    bytes: u64,
}

impl Pace {
    /// Notes that `bytes` moved. `same_turn` is false when something else was waited for in between: time in
    /// which the client had nothing to do does not count. True at the end of a window that was too slow.
    pub(crate) fn is_too_slow(&mut self, same_turn: bool, bytes: u64, now_ms: u64) -> bool {
        let Some(since_ms) = self.since_ms.filter(|_| same_turn) else {
            *self = Pace { since_ms: Some(now_ms), bytes };
            return false;
        };
        self.bytes += bytes;
        if now_ms.saturating_sub(since_ms) < WINDOW_MS {
            return false;
        }
        let slow = self.bytes < LEAST;
        *self = Pace { since_ms: Some(now_ms), bytes: 0 };
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_ends_with_its_window() {
        let mut pace = Pace::default();
        let late = (1..=61).position(|second| pace.is_too_slow(true, 90, second * 1_000));
        assert_eq!(late, Some(60));
    }

    #[test]
    fn nobody_is_slow_at_the_beginning_of_time() {
        let mut pace = Pace::default();
        assert!(!pace.is_too_slow(true, 1, 0));
        assert!(!pace.is_too_slow(true, 1, 0));
    }

    #[test]
    fn a_steady_client_and_one_whose_turn_ends_go_on() {
        let mut pace = Pace::default();
        assert!((1..=600).all(|second| !pace.is_too_slow(true, 101, second * 1_000)));
        let mut pace = Pace::default();
        assert!((1..=600).all(|second| !pace.is_too_slow(second % 30 != 0, 1, second * 1_000)));
    }
}
