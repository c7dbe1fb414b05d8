//! Which backend a client's key was last seen at.
//!
//! An entry lives for its time after the last request that used it, so a session ends when it is idle and not while it
//! is busy. Every use would be a write that other workers see; it is one only when the entry has aged a 64th of its
//! time, and for that much an entry may outlive it.
//!
//! The table is bounded, see `keys.rs`: the session that falls out is one that was not used for long, and its client is
//! then a new one. A key longer than [`LONGEST_KEY`] is not remembered.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Tick;
use crate::keys::Keys;

pub use crate::keys::LONGEST_KEY;

/// Sessions of a pool, over all workers and plans. Some 200 bytes each with a key of 32; at most 52 MB then.
#[derive(Debug)]
pub struct Table {
    keys: Keys<Session>,
}

#[derive(Debug)]
struct Session {
    live: u64,
    used: AtomicU64,
}

/// The most sessions of one pool.
const MOST: usize = 262_144;

impl Table {
    /// Empty. `seed` keeps clients from knowing where in the table their keys are; any number does.
    pub fn new(seed: u64) -> Table {
        Table { keys: Keys::new(MOST, seed) }
    }

    /// The [`Live::id`](crate::Live::id) of the backend that this key belongs to, if it was used within `ttl`; this is
    /// a use.
    pub fn get(&self, key: &[u8], now: Tick, ttl: Duration) -> Option<u64> {
        if key.len() > LONGEST_KEY {
            return None;
        }
        let session = self.keys.get(key)?;
        let idle = now.since(Tick(session.used.load(Relaxed)));
        let slack = ttl / 64;
        if idle > ttl.saturating_add(slack) {
            self.keys.forget(key);
            return None;
        }
        if idle > slack {
            session.used.fetch_max(now.0, Relaxed);
        }
        Some(session.live)
    }

    /// The key belongs to this backend from now on.
    pub fn put(&self, key: &[u8], live: u64, now: Tick) {
        if key.len() <= LONGEST_KEY {
            self.keys.put(key, Session { live, used: AtomicU64::new(now.0) });
        }
    }

    /// The key belongs to nobody.
    pub fn forget(&self, key: &[u8]) {
        self.keys.forget(key);
    }

    /// Sessions that are remembered, with those that have expired and were not asked for since.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{NOW, at, on_four_threads};
    use proptest::prelude::*;

    const TTL: Duration = Duration::from_secs(64);

    #[test]
    fn remembers_whole_keys() {
        let table = Table::new(1);
        table.put(b"sid-1", 11, NOW);
        table.put(b"sid-11", 12, NOW);
        assert_eq!(table.get(b"sid-1", NOW, TTL), Some(11));
        assert_eq!(table.get(b"sid-11", NOW, TTL), Some(12));
        assert_eq!(table.get(b"sid", NOW, TTL), None);
        table.put(b"sid-1", 13, NOW);
        assert_eq!(table.get(b"sid-1", NOW, TTL), Some(13));
        table.forget(b"sid-1");
        assert_eq!(table.get(b"sid-1", NOW, TTL), None);
    }

    #[test]
    fn a_session_lives_from_its_last_use() {
        let table = Table::new(1);
        table.put(b"a", 1, NOW);
        (1..10).for_each(|n| assert_eq!(table.get(b"a", at(n * 60), TTL), Some(1)));
        assert_eq!(table.get(b"a", at(540 + 66), TTL), None);
        assert!(table.is_empty(), "and takes no room any more");
    }

    #[test]
    fn keys_of_a_client_that_are_too_long_are_not_remembered() {
        let table = Table::new(1);
        table.put(&[b'x'; LONGEST_KEY], 1, NOW);
        table.put(&[b'x'; LONGEST_KEY + 1], 2, NOW);
        assert_eq!(table.get(&[b'x'; LONGEST_KEY], NOW, TTL), Some(1));
        assert_eq!(table.get(&[b'x'; LONGEST_KEY + 1], NOW, TTL), None);
    }

    #[test]
    fn threads_see_what_others_put() {
        let table = Table::new(1);
        on_four_threads(|thread| {
            for n in 0..5_000u64 {
                let key = n.to_be_bytes();
                if let Some(live) = table.get(&key, NOW, TTL) {
                    assert_eq!(live % 5_000, n);
                }
                table.put(&key, thread * 5_000 + n, NOW);
            }
        });
        assert!((0..5_000u64).all(|n| table.get(&n.to_be_bytes(), NOW, TTL).is_some()));
    }

    proptest! {
        #[test]
        fn never_forgets_early_nor_remembers_much_longer(waits in proptest::collection::vec(0u64..80, 1..30)) {
            let table = Table::new(1);
            table.put(b"a", 1, NOW);
            let (mut time, mut known) = (0, true);
            for wait in waits {
                time += wait;
                let found = table.get(b"a", at(time), TTL).is_some();
                prop_assert!(!found || known && wait <= 66);
                prop_assert!(found || !known || wait > 64);
                known = found;
            }
        }
    }
}
