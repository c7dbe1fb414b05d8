//! Idle connections to backends, one pool per worker.
//!
//! The danger is the race: a request goes out while the backend's FIN is on its way, and nobody can say whether
//! it was processed. Three things keep that rare. The youngest connection is taken first. A connection that
//! the runtime knows to be closed is never taken. And how long a backend keeps idle connections is honoured
//! where it says so (`Keep-Alive: timeout=N`) and learned where it does not: 80 % of the youngest age at which
//! one was found closed, starting at 4 s; the figure grows again by a quarter every 10 s, so that one restart
//! of a backend does not mark it for ever. A request that may not be sent twice gets a connection younger than
//! half of that, and the kernel is asked about it, or a new one.
//!
//! A burst leaves more idle connections than `idle_connections` allows. They are closed by the sweep once they
//! have been idle for a second, not at once: under steady load the same burst comes again within milliseconds.

use std::collections::HashMap;

use crate::end::Conn;

/// How long a backend is taken to keep idle connections until it shows otherwise, in milliseconds.
const FIRST_GUESS_MS: u32 = 4_000;
/// Idle connections beyond the limit are closed after this long.
const SURPLUS_MS: u32 = 1_000;
/// How often what was learned is relaxed.
const RELAX_MS: u64 = 10_000;

/// The idle connections of one worker, by the identity of the backend's live state.
#[derive(Default)]
pub(crate) struct Pool {
    shelves: HashMap<u64, Shelf, foldhash::fast::RandomState>,
    relaxed_ms: u64,
}

struct Shelf {
    idle: Vec<Idle>,
    learned_ms: u32,
    limit: usize,
}

struct Idle {
    conn: Conn,
    since_ms: u64,
    /// What the backend or the configuration says; `None` means learned.
    keepalive_ms: Option<u32>,
}

/// How a connection came out of the pool.
pub(crate) enum Found {
    /// A connection to use, and the milliseconds it has been idle.
    Idle(Conn, u32),
    /// None that is safe enough: make a new one.
    Nothing,
}

/// Terms under which a connection is kept.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// Milliseconds the backend keeps it, if known.
    pub keepalive_ms: Option<u32>,
    /// Connections kept idle for this backend.
    pub limit: u32,
}

impl Pool {
    /// A live connection to `backend`. `stale` counts those found closed on the way.
    pub(crate) fn take(&mut self, backend: u64, replayable: bool, now_ms: u64, stale: &mut u64) -> Found {
        let Some(shelf) = self.shelves.get_mut(&backend) else {
            return Found::Nothing;
        };
        while let Some(youngest) = shelf.idle.last() {
            let age = age_ms(now_ms, youngest.since_ms);
            let limit = youngest.keepalive_ms.unwrap_or(shelf.learned_ms);
            if !replayable && age >= limit / 2 && age > 0 {
                return Found::Nothing;
            }
            let Some(idle) = shelf.idle.pop() else { break };
            let closed = idle.conn.socket().has_news() || (!replayable && idle.conn.socket().has_news_now());
            if closed {
                *stale += 1;
                shelf.learn(age);
            } else if age <= limit {
                return Found::Idle(idle.conn, age);
            }
        }
        Found::Nothing
    }

    /// Keeps a connection whose exchange is over.
    pub(crate) fn put(&mut self, backend: u64, conn: Conn, terms: Terms, now_ms: u64) {
        assert!(conn.is_clean(), "only a clean connection may carry another exchange");
        if terms.limit == 0 || terms.keepalive_ms == Some(0) {
            return;
        }
        let shelf = self.shelves.entry(backend).or_insert_with(|| Shelf {
            idle: Vec::new(),
            learned_ms: FIRST_GUESS_MS,
            limit: 0,
        });
        shelf.limit = terms.limit as usize;
        shelf.idle.push(Idle { conn, since_ms: now_ms, keepalive_ms: terms.keepalive_ms });
    }

    /// A connection of this age was closed by the backend before it answered.
    pub(crate) fn learn(&mut self, backend: u64, age_ms: u32) {
        if let Some(shelf) = self.shelves.get_mut(&backend) {
            shelf.learn(age_ms);
        }
    }

    /// Closes what is too old, surplus or closed by the backend. Returns how many the backend had closed.
    pub(crate) fn sweep(&mut self, now_ms: u64) -> u64 {
        let relax = now_ms.saturating_sub(self.relaxed_ms) >= RELAX_MS;
        if relax {
            self.relaxed_ms = now_ms;
        }
        let mut closed = 0;
        for shelf in self.shelves.values_mut() {
            closed += shelf.sweep(now_ms);
            if relax {
                shelf.learned_ms = (shelf.learned_ms + shelf.learned_ms / 4 + 1).min(FIRST_GUESS_MS);
            }
        }
        closed
    }

    /// Closes the connections of all backends that `is_wanted` denies.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(u64) -> bool) {
        self.shelves.retain(|backend, _| is_wanted(*backend));
    }

    /// Connections kept now.
    pub(crate) fn len(&self) -> usize {
        self.shelves.values().map(|shelf| shelf.idle.len()).sum()
    }
}

impl Shelf {
    fn learn(&mut self, age_ms: u32) {
        self.learned_ms = self.learned_ms.min(age_ms / 5 * 4);
    }

    fn sweep(&mut self, now_ms: u64) -> u64 {
        let mut closed = 0;
        let mut youngest_closed = u32::MAX;
        let mut surplus = self.idle.len().saturating_sub(self.limit);
        let learned_ms = self.learned_ms;
        self.idle.retain(|idle| {
            let age = age_ms(now_ms, idle.since_ms);
            if idle.conn.socket().has_news() {
                closed += 1;
                youngest_closed = youngest_closed.min(age);
                return false;
            }
            if surplus > 0 && age >= SURPLUS_MS {
                surplus -= 1;
                return false;
            }
            age <= idle.keepalive_ms.unwrap_or(learned_ms)
        });
        if closed > 0 {
            self.learn(youngest_closed);
        }
        closed
    }
}

/// Milliseconds between two moments, in the width that limits are given in.
fn age_ms(now_ms: u64, since_ms: u64) -> u32 {
    now_ms.saturating_sub(since_ms).try_into().unwrap_or(u32::MAX)
}
