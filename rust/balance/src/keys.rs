//! A bounded table of keys that clients choose: sessions, and the buckets of rate limits.
//!
//! Clients choose the keys, so nothing may hang on their being few, short or well spread:
//!
//! * It holds a fixed number of entries. `quick_cache` evicts, and tells those that come back from those that come once
//!   (S3-FIFO), so a flood of new keys does not wash out the regulars.
//! * The hash is SipHash under a seed that clients do not know, so nobody can aim keys at one bucket of the table.
//! * Keys are compared whole. A short hash in place of the key would give one client another's session.
//!
//! An entry is an `Arc` of atomics: whoever found it changes it without the table. The table takes a lock, of one of 16
//! shards, for the length of a look-up; only routes and pools that ask for such a table pay for it. Time is not its
//! business: entries that are too old are for the caller to recognise.

use std::hash::BuildHasher;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, UnitWeighter};

/// The longest key that is stored, in bytes.
pub const LONGEST_KEY: usize = 256;

/// A table of at most about so many entries `V`.
pub(crate) struct Keys<V> {
    cache: Cache<Vec<u8>, Arc<V>, UnitWeighter, Seeded>,
}

/// Fixed, so that the table does not depend on the machine.
const SHARDS: usize = 16;

impl<V> Keys<V> {
    /// Empty; takes memory as it fills. `seed` keys the hash.
    pub(crate) fn new(most: usize, seed: u64) -> Self {
        let mut options = OptionsBuilder::new();
        options.shards(SHARDS).estimated_items_capacity(most).weight_capacity(most as u64);
        let Ok(options) = options.build() else { unreachable!("both capacities are given") };
        Keys { cache: Cache::with_options(options, UnitWeighter, Seeded(seed), DefaultLifecycle::default()) }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<V>> {
        self.cache.get(key)
    }

    /// The entry of the key; a new one if there is none. Two callers that ask at once get the same.
    pub(crate) fn get_or(&self, key: &[u8], new: impl FnOnce() -> V) -> Arc<V> {
        let make = || Ok::<_, std::convert::Infallible>(Arc::new(new()));
        let Ok(entry) = self.cache.get_or_insert_with(key, make);
        entry
    }

    pub(crate) fn put(&self, key: &[u8], entry: V) {
        self.cache.insert(key.into(), Arc::new(entry));
    }

    pub(crate) fn forget(&self, key: &[u8]) {
        self.cache.remove(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.cache.len()
    }
}

impl<V> std::fmt::Debug for Keys<V> {
    /// Keys are secrets of clients, and stay out of any output.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Keys({} entries)", self.len())
    }
}

/// SipHash with a key.
#[derive(Copy, Clone)]
struct Seeded(u64);

impl BuildHasher for Seeded {
    #[expect(deprecated, reason = "RandomState cannot be seeded; this is std's own SipHash with a key")]
    type Hasher = std::hash::SipHasher;

    #[expect(deprecated, reason = "as above")]
    fn build_hasher(&self) -> Self::Hasher {
        std::hash::SipHasher::new_with_keys(self.0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::on_four_threads;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn keys_are_compared_whole_and_forgotten_when_told() {
        let keys = Keys::new(100, 7);
        keys.put(b"a", 1);
        keys.put(b"ab", 2);
        assert_eq!(keys.get(b"a").as_deref(), Some(&1));
        assert_eq!(keys.get(b"ab").as_deref(), Some(&2));
        assert_eq!(keys.get(b""), None);
        keys.put(b"a", 3);
        assert_eq!(keys.get(b"a").as_deref(), Some(&3));
        keys.forget(b"a");
        assert_eq!((keys.get(b"a"), keys.len()), (None, 1));
    }

    #[test]
    fn a_flood_of_new_keys_neither_fills_memory_nor_evicts_the_regulars() {
        let keys = Keys::new(1_024, 7);
        for n in 0..100_000u64 {
            keys.get_or(&n.to_be_bytes(), || n);
            keys.get_or(b"regular", || 0);
        }
        assert!(keys.len() <= 1_024, "{}", keys.len());
        assert!(keys.get(b"regular").is_some());
    }

    #[test]
    fn threads_that_ask_at_once_share_one_entry() {
        let keys = Keys::new(1_000, 7);
        on_four_threads(|_| {
            for n in 0..200u64 {
                keys.get_or(&n.to_be_bytes(), || AtomicU64::new(0)).fetch_add(1, Relaxed);
            }
        });
        let counts = (0..200u64).map(|n| keys.get(&n.to_be_bytes()).map(|count| count.load(Relaxed)));
        assert!(counts.into_iter().all(|count| count == Some(4)));
    }
}
