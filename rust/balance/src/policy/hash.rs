//! Hashing: a key always finds the same backend, and when backends come or go only their keys move.
//!
//! Maglev (Eisenbud et al., NSDI 2016, section 3.4): a table of 65,537 slots, and for each backend an order of its own in
//! which it wants them, made from its name alone. In turn, each takes the first slot it wants that is still free, until
//! none is left. Shares are even to within a slot or so, a look-up is one load, and a table with one backend less is
//! almost the same table. Turns go by weight, in the order of round robin's schedule; members are sorted by name first,
//! so neither the order of the file nor the process changes the table, and two pylb agree on it.
//!
//! The paper makes the orders from strides (`offset + n * skip`). Ours are random draws, because strides of two backends
//! may happen to be related: over 2,000 sets of five names, removing one moved up to 3.5 % of the others' keys with
//! strides and up to 0.4 % with draws (0.1 and 0.2 % on average). Neighbouring slots are then unrelated too, which the
//! next paragraph needs: what the others inherit from one of five is even to 2 % (standard deviation over 400 sets of
//! names), with strides to 24 %, and some got three times their part. The price is a few milliseconds per table.
//!
//! A backend that is down keeps its slots, so nobody else's keys move: its own walk on to the next slot whose backend
//! can be used, and return when it does. After a long walk the rest of the tier is asked directly, by weighted
//! rendezvous hashing (Schindelhauer, Schomaker, SPAA 2005), which is as steady but looks at every backend.

use super::random::{Dice, mix, scale};
use super::schedule;
use crate::Backend;
use crate::tier::View;

/// Slots of the table.
const SLOTS: usize = 65_537;

/// Steps to the next slots before the tier is asked directly; with half of it out, one walk in 2^64 gets there.
const MOST_STEPS: usize = 64;

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
    let start = scale(key, SLOTS as u64) as usize;
    let mut near = (start..start + MOST_STEPS).map(|place| table[place % SLOTS]);
    near.find(|&slot| view.is_free(slot) && view.take(slot)).or_else(|| rendezvous(view, key))
}

/// The backend that wants the key most, of all that are free.
#[cold]
fn rendezvous(view: &mut View, key: u64) -> Option<u32> {
    loop {
        let mut best: Option<(u32, f64)> = None;
        for &slot in view.tier().members() {
            if view.is_free(slot) {
                let wish = wish(view.backend(slot), key);
                best = best.filter(|&(_, most)| most >= wish).or(Some((slot, wish)));
            }
        }
        let (slot, _) = best?;
        if view.take(slot) {
            return Some(slot);
        }
    }
}

fn wish(backend: &Backend, key: u64) -> f64 {
    // A number in (0, 1): the nearer to 1, the stronger the wish.
    let chance = ((mix(key ^ name_hash(&backend.name)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    f64::from(backend.weight) / -chance.ln()
}

impl Hashing {
    pub(crate) fn new(members: &[u32], backends: &[Backend]) -> Self {
        let mut sorted = members.to_vec();
        sorted.sort_by(|&a, &b| backends[a as usize].name.cmp(&backends[b as usize].name));
        let turns = schedule(&sorted, backends);
        if turns.is_empty() {
            return Hashing { table: Box::default() };
        }
        Hashing { table: fill(&turns, backends) }
    }
}

const FREE: u32 = u32::MAX;

fn fill(turns: &[u32], backends: &[Backend]) -> Box<[u32]> {
    let mut table = vec![FREE; SLOTS].into_boxed_slice();
    let wishes = backends.iter().map(|backend| Dice::new(name_hash(&backend.name)));
    let mut wishes: Vec<Dice> = wishes.collect();
    for &member in turns.iter().cycle().take(SLOTS) {
        let wish = &mut wishes[member as usize];
        let mut place = wish.below(SLOTS as u64) as usize;
        // A slot of its own that it draws once more is taken like any other: draw again.
        while table[place] != FREE {
            place = wish.below(SLOTS as u64) as usize;
        }
        table[place] = member;
    }
    table
}

/// FNV-1a, spread out. Not keyed: names are the operator's, and all pylb must agree.
fn name_hash(name: &str) -> u64 {
    let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

#[cfg(test)]
mod tests;
