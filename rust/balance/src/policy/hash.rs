//! Hashing: a key always finds the same backend, and when backends come or go only their keys move.
//!
//! Maglev (Eisenbud et al., NSDI 2016, section 3.4): a table of 65,537 slots (a prime). Each backend has a permutation of
//! all slots of its own, made from its name alone; in turn, each takes the next free slot of its permutation until none
//! is left. Shares are even to within a slot or so, a look-up is one load, and a table with one backend less is almost
//! the same table. Turns go by weight, in the order of round robin's schedule; members are sorted by name first, so
//! neither the order of the file nor the process changes the table, and two pylb agree on it.
//!
//! A backend that is down keeps its slots, so nobody else's keys move: each of its keys walks on, from slot to slot of a
//! sequence of its own, to the first that can be used, and returns when the backend does. (The neighbouring slots would
//! be cheaper and are not good enough: they repeat the strides of the permutations, and some backend got 11 % more than
//! its part of the load.) After a long walk the rest of the tier is asked directly, by weighted rendezvous hashing
//! (Schindelhauer, Schomaker, SPAA 2005), which is as steady but looks at every backend.

use super::random::{mix, scale};
use super::schedule;
use crate::Backend;
use crate::tier::View;

/// Slots of the table.
const SLOTS: usize = 65_537;

/// Steps before the tier is asked directly; with half of it out, one key in 2^32 gets there.
const MOST_STEPS: usize = 32;

/// Keeps zero from being its own successor.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The look-up table of one tier.
#[derive(Debug)]
pub(crate) struct Hashing {
    table: Box<[u32]>,
}

pub(super) fn pick(view: &mut View, key: u64) -> Option<u32> {
    let table = &view.tier().hashing()?.table;
    if table.is_empty() {
        return None;
    }
    let key = mix(key);
    // The first place of every key comes without a second mixing.
    let places = std::iter::successors(Some(key), |&place| Some(mix(place.wrapping_add(STEP))));
    let mut slots = places
        .take(MOST_STEPS)
        .map(|place| table[scale(place, SLOTS as u64) as usize]);
    slots
        .find(|&slot| view.is_free(slot) && view.take(slot))
        .or_else(|| rendezvous(view, key))
}

/// The backend that wants the key most, of all that are free.
#[cold]
fn rendezvous(view: &mut View, key: u64) -> Option<u32> {
    loop {
        let mut best: Option<(u32, f64)> = None;
        for &slot in view.tier().members() {
            if view.is_free(slot) {
                let wish = wish(view.backend(slot), key);
                best = best
                    .filter(|&(_, most)| most >= wish)
                    .or(Some((slot, wish)));
            }
        }
        let (slot, _) = best?;
        if view.take(slot) {
            return Some(slot);
        }
    }
}

fn wish(backend: &Backend, key: u64) -> f64 {
    // A number in (0, 1): the smaller its logarithm, the stronger the wish.
    let chance = ((mix(key ^ name_hash(&backend.name)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    f64::from(backend.weight) / -chance.ln()
}

impl Hashing {
    pub(crate) fn new(members: &[u32], backends: &[Backend]) -> Self {
        let mut sorted = members.to_vec();
        sorted.sort_by(|&a, &b| backends[a as usize].name.cmp(&backends[b as usize].name));
        let turns = schedule(&sorted, backends);
        if turns.is_empty() {
            return Hashing {
                table: Box::default(),
            };
        }
        Hashing {
            table: fill(&turns, backends),
        }
    }
}

const FREE: u32 = u32::MAX;

fn fill(turns: &[u32], backends: &[Backend]) -> Box<[u32]> {
    let mut table = vec![FREE; SLOTS].into_boxed_slice();
    let mut walks: Vec<Walk> = backends
        .iter()
        .map(|backend| Walk::new(&backend.name))
        .collect();
    for &member in turns.iter().cycle().take(SLOTS) {
        let walk = &mut walks[member as usize];
        while table[walk.place] != FREE {
            walk.step();
        }
        table[walk.place] = member;
    }
    table
}

/// A permutation of all slots: from one place on in equal strides, which meets all of them because their number is prime.
struct Walk {
    place: usize,
    stride: usize,
}

impl Walk {
    fn new(name: &str) -> Self {
        let hash = name_hash(name);
        let stride = scale(mix(!hash), SLOTS as u64 - 1) as usize + 1;
        Walk {
            place: scale(hash, SLOTS as u64) as usize,
            stride,
        }
    }

    fn step(&mut self) {
        self.place = (self.place + self.stride) % SLOTS;
    }
}

/// FNV-1a, spread out. Not keyed: names are the operator's, and all pylb must agree.
fn name_hash(name: &str) -> u64 {
    let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

#[cfg(test)]
mod tests;
