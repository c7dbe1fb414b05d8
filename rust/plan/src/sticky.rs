//! Clients that stay with a backend: what they are known by, and where they belong.
//!
//! Three ways to know a client, and one question, [`Sticky::home`]. A cookie of pylb carries the answer; a key that the
//! client sends, and one that a backend gave, are looked up in a table. The table belongs to the pool and outlives
//! plans: a reload forgets nobody unless the key itself is another one.
//!
//! An answer is a slot whose place is taken, like any other choice. What a client is told afterwards:
//!
//! | its backend | then |
//! |---|---|
//! | works | it stays; a cookie past half its time is issued anew |
//! | drains | it stays until the drain ends; no new cookie |
//! | is full | the request waits for it; after that it goes elsewhere this once, and nothing changes |
//! | is lost: down, ejected, gone, or this request failed there | `move`: another one, and that is home now; `fail`: 503 |
//!
//! A cookie with an id that nobody has (forged, of another pool, of a backend that was removed) is none, and neither is
//! one whose time is over.

use std::sync::Arc;
use std::time::Duration;

use balance::sticky::{Ids, Slots, Table, Token};
use balance::{Held, Pool};

use crate::decide::Pin;
use crate::key::{Asker, Key, Octets};

/// How clients of a pool stay with a backend.
#[derive(Debug)]
pub struct Sticky {
    /// What a client is known by.
    pub by: StickyBy,
    /// How long a client is remembered after its last request.
    pub ttl: Duration,
    /// A client whose backend is lost gets 503 (else another backend).
    pub fail_if_lost: bool,
    pub(crate) slots: Slots,
    pub(crate) table: Arc<Table>,
}

/// What a client is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickyBy {
    /// A cookie of pylb.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// Its `Path`.
        path: Box<str>,
        /// What each backend is called under each key.
        ids: Ids,
    },
    /// What the client sends, or its address.
    Key(Key),
    /// What the backend once gave; see [`Sticky::learn`].
    Learned {
        /// A header or cookie of the response.
        response: Key,
        /// Where the client sends it.
        request: Key,
    },
}

/// Where a client belongs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// Nowhere yet.
    Nowhere,
    /// Here, and its place is taken. `renew`: what it carries is to be issued anew.
    Taken { slot: u32, renew: bool },
    /// Here, where no place is free.
    Full(u32),
    /// At a backend that cannot be used.
    Lost,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Sticky {
    /// Where the client of this request belongs, of the backends of `pool`. One of `tried` is lost for this request,
    /// unless it is the only one that will do.
    pub(crate) fn home(&self, pool: &Pool, asker: &Asker<'_>, tried: &[u32]) -> Home {
        let Some((slot, renew)) = self.known(asker) else {
            return Home::Nowhere;
        };
        let Some(slot) = slot.filter(|slot| self.fail_if_lost || !tried.contains(slot)) else {
            return Home::Lost;
        };
        match pool.hold(slot, asker.now) {
            Held::Taken => Home::Taken { slot, renew: renew && !pool.backends()[slot as usize].live.draining() },
            Held::Full => Home::Full(slot),
            Held::Lost => Home::Lost,
        }
    }

    /// The slot that the request names, which is `None` if the backend is gone, and whether to issue it anew. `None` if
    /// it names none.
    fn known(&self, asker: &Asker<'_>) -> Option<(Option<u32>, bool)> {
        match &self.by {
            StickyBy::Cookie { name, ids, .. } => {
                let token = Token::read(asker.head?.cookie(name.as_bytes())?)?;
                let slot = ids.slot(token.number, token.id).filter(|_| !self.is_over(token, asker.wall))?;
                Some((Some(slot), !ids.is_current(token.number) || self.is_due(token, asker.wall)))
            }
            StickyBy::Key(key) | StickyBy::Learned { request: key, .. } => {
                let octets = &mut Octets::default();
                let value = key.value(asker.head, asker.client, octets)?;
                let live = self.table.get(value, asker.now, self.ttl)?;
                Some((self.slots.slot(live), false))
            }
        }
    }

    /// Past half its time. The minute that is running counts as gone, so that a short time is not over unnoticed.
    fn is_due(&self, token: Token, wall: Duration) -> bool {
        let age = minute(wall).saturating_sub(token.minute).saturating_add(1);
        MINUTE * age > self.ttl / 2
    }

    /// Past all its time, give or take the minute that is running: the client should have forgotten it.
    fn is_over(&self, token: Token, wall: Duration) -> bool {
        MINUTE * minute(wall).saturating_sub(token.minute) > self.ttl + MINUTE
    }

    /// The client of this request belongs to this backend from now on, which it did not before. Says what is left to
    /// do. `was_lost`: it belonged to another.
    pub(crate) fn remember(&self, asker: &Asker<'_>, live: u64, was_lost: bool) -> Pin {
        let (key, remembers) = match &self.by {
            StickyBy::Cookie { .. } => return Pin::Issue,
            StickyBy::Key(key) => (key, true),
            StickyBy::Learned { request, .. } => (request, was_lost),
        };
        match key.value(asker.head, asker.client, &mut Octets::default()) {
            Some(value) if remembers => {
                self.table.put(value, live, asker.now);
                Pin::Honoured
            }
            _ => Pin::None,
        }
    }

    /// The cookie's value for a client of this backend; `None` if the pool has no cookie. `wall` is the time since the
    /// Unix epoch.
    pub fn token(&self, slot: u32, wall: Duration) -> Option<Token> {
        match &self.by {
            StickyBy::Cookie { ids, .. } => Some(ids.mint(slot, minute(wall))),
            _ => None,
        }
    }

    /// The backend with this [`Live::id`](balance::Live::id) gave its client this key: whoever sends it, belongs there.
    pub fn learn(&self, key: &[u8], live: u64, now: balance::Tick) {
        if !key.is_empty() {
            self.table.put(key, live, now);
        }
    }

    /// Clients that are remembered; those that carry a cookie are not.
    pub fn remembered(&self) -> usize {
        self.table.len()
    }
}

fn minute(wall: Duration) -> u32 {
    u32::try_from(wall.as_secs() / 60).unwrap_or(u32::MAX)
}
