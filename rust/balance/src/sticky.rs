//! Clients that stay with a backend: what they carry, and what is remembered of them.
//!
//! Either the client carries the answer, or the pool remembers it:
//!
//! * A cookie of pylb is a [`Token`]: which key, when issued, and a 64-bit id that only holders of the key can make.
//!   [`Ids`] are all ids that are valid now, made when the plan was compiled. Recognising a client is one look-up and no
//!   cryptography; an id that is not among them, forged, foreign or of a backend that is gone, is no cookie at all.
//!   Nothing of an address is in it, so none can come out of it.
//! * Everything else (a header, a parameter, the client's address, an id that the backend gave) is a key of a
//!   [`Table`], which remembers the backend by its [`Live::id`](crate::Live::id). That id names one server for the life
//!   of the process, so an entry cannot point at another that took its place; [`Slots`] finds it in the plan in force.
//!
//! What happens when the backend is gone is for the caller to decide, as is whether it may be used:
//! [`Pool::hold`](crate::Pool::hold).

mod table;
mod token;

pub use table::{LONGEST_KEY, Table};
pub use token::Token;

use crate::Backend;

/// What the backends of a pool are called in cookies, under every key that is valid.
#[derive(Clone, PartialEq, Eq)]
pub struct Ids {
    /// Sorted by number and id.
    known: Box<[(u8, u64, u32)]>,
    current: u8,
    /// Under the current key, by slot.
    minted: Box<[u64]>,
}

impl Ids {
    /// `keys` are the number of each key with the ids of all backends under it, by slot. The first key signs; all are
    /// understood. Without a key nothing is.
    pub fn new(keys: Vec<(u8, Vec<u64>)>) -> Ids {
        let entries = |(number, ids): &(u8, Vec<u64>)| {
            let number = *number;
            (0..).zip(ids.clone()).map(move |(slot, id)| (number, id, slot))
        };
        let mut known: Vec<(u8, u64, u32)> = keys.iter().flat_map(entries).collect();
        known.sort_unstable();
        let (current, minted) = keys.into_iter().next().unwrap_or_default();
        Ids { known: known.into(), current, minted: minted.into() }
    }

    /// The backend with this id under this key; `None` if there is none now.
    pub fn slot(&self, number: u8, id: u64) -> Option<u32> {
        let place = self.known.partition_point(|&(other, each, _)| (other, each) < (number, id));
        let &(other, each, slot) = self.known.get(place)?;
        (other == number && each == id).then_some(slot)
    }

    /// A token for the client of this backend, issued `minute` minutes after the UNIX epoch.
    ///
    /// # Panics
    /// If there is no such backend.
    pub fn mint(&self, slot: u32, minute: u32) -> Token {
        Token { number: self.current, minute, id: self.minted[slot as usize] }
    }

    /// Whether tokens of this key are still issued. Those of another are worth replacing.
    pub fn is_current(&self, number: u8) -> bool {
        number == self.current
    }
}

impl std::fmt::Debug for Ids {
    /// An id that is known can be sent by anybody, so none gets into any output.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Ids({} backends)", self.minted.len())
    }
}

/// Where the backends of a plan are, by [`Live::id`](crate::Live::id).
#[derive(Clone, Debug)]
pub struct Slots(Box<[(u64, u32)]>);

impl Slots {
    /// Of these backends.
    pub fn new(backends: &[Backend]) -> Slots {
        let ids = backends.iter().map(|backend| backend.live.id());
        let mut known: Vec<(u64, u32)> = ids.zip(0..).collect();
        known.sort_unstable();
        Slots(known.into())
    }

    /// The slot of the backend with this live id; `None` if it is gone.
    pub fn slot(&self, live: u64) -> Option<u32> {
        let place = self.0.binary_search_by_key(&live, |&(id, _)| id).ok()?;
        Some(self.0[place].1)
    }
}

#[cfg(test)]
mod tests;
