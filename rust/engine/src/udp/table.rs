//! The flows of a door: found by who talks to whom, ended by how long they have been silent.
//!
//! A client can make up as many addresses as it likes, so the keys are hashed with a seed that it does not know. Flows
//! hang in a list in the order of their last datagram: the oldest is at hand when there is no room, and a sweep looks
//! at nobody who is not due. Moments are those of the coarse clock, and a flow that is heard of twice within one does
//! not move.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Whose datagrams make up a flow: where they come from, and the address of ours that they were sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub client: SocketAddr,
    /// `None` where the socket has one address only.
    pub local: Option<IpAddr>,
}

/// No flow.
const NONE: u32 = u32::MAX;

/// Flows by key and by age.
pub(super) struct Table<F> {
    by_key: HashMap<Key, u32>,
    places: Vec<Place<F>>,
    free: Vec<u32>,
    oldest: u32,
    youngest: u32,
}

struct Place<F> {
    key: Key,
    flow: Option<F>,
    heard_ms: u64,
    older: u32,
    younger: u32,
}

impl<F> Table<F> {
    pub(super) fn new() -> Self {
        Table { by_key: HashMap::new(), places: Vec::new(), free: Vec::new(), oldest: NONE, youngest: NONE }
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// The flow with this number; `None` once it has ended, if nobody else has got the number yet.
    pub(super) fn flow(&mut self, number: u32) -> Option<(&Key, &mut F)> {
        let place = self.places.get_mut(number as usize)?;
        Some((&place.key, place.flow.as_mut()?))
    }

    /// Adds a flow, the youngest; its key must not be there yet.
    pub(super) fn insert(&mut self, key: Key, flow: F, now_ms: u64) -> u32 {
        let place = Place { key, flow: Some(flow), heard_ms: now_ms, older: NONE, younger: NONE };
        let number = match self.free.pop() {
            Some(number) => {
                self.places[number as usize] = place;
                number
            }
            None => {
                self.places.push(place);
                self.places.len() as u32 - 1
            }
        };
        self.by_key.insert(key, number);
        self.append(number);
        number
    }

    /// The flow has been heard of.
    pub(super) fn touch(&mut self, number: u32, now_ms: u64) {
        let place = &mut self.places[number as usize];
        if place.heard_ms != now_ms {
            place.heard_ms = now_ms;
            self.unlink(number);
            self.append(number);
        }
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<(Key, F)> {
        let place = self.places.get_mut(number as usize)?;
        let (key, flow) = (place.key, place.flow.take()?);
        self.by_key.remove(&key);
        self.unlink(number);
        self.free.push(number);
        Some((key, flow))
    }

    /// The flow that has been silent for longest, and when it was last heard of.
    pub(super) fn oldest(&self) -> Option<(u32, u64)> {
        let place = self.places.get(self.oldest as usize)?;
        Some((self.oldest, place.heard_ms))
    }

    /// All flows, the oldest first, as `picked` wants them.
    pub(super) fn numbers(&self, picked: impl Fn(&F) -> bool) -> Vec<u32> {
        let mut numbers = Vec::new();
        let mut next = self.oldest;
        while let Some(place) = self.places.get(next as usize) {
            if place.flow.as_ref().is_some_and(&picked) {
                numbers.push(next);
            }
            next = place.younger;
        }
        numbers
    }

    fn append(&mut self, number: u32) {
        let last = std::mem::replace(&mut self.youngest, number);
        let place = &mut self.places[number as usize];
        (place.older, place.younger) = (last, NONE);
        match self.places.get_mut(last as usize) {
            Some(before) => before.younger = number,
            None => self.oldest = number,
        }
    }

    fn unlink(&mut self, number: u32) {
        let Place { older, younger, .. } = self.places[number as usize];
        match self.places.get_mut(older as usize) {
            Some(before) => before.younger = younger,
            None => self.oldest = younger,
        }
        match self.places.get_mut(younger as usize) {
            Some(behind) => behind.older = older,
            None => self.youngest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn key(port: u16) -> Key {
        Key { client: SocketAddr::from(([127, 0, 0, 1], port)), local: None }
    }

    #[test]
    fn flows_are_found_by_key_and_leave_by_number() {
        let mut table = Table::new();
        let number = table.insert(key(1), "a", 0);
        assert_eq!((table.find(&key(1)), table.find(&key(2))), (Some(number), None));
        let elsewhere = Key { local: Some([127, 0, 0, 2].into()), ..key(1) };
        assert_eq!(table.find(&elsewhere), None);
        assert_eq!(table.flow(number).map(|(key, flow)| (key.client.port(), *flow)), Some((1, "a")));
        assert_eq!(table.remove(number), Some((key(1), "a")));
        assert_eq!((table.remove(number), table.find(&key(1)), table.oldest(), table.len()), (None, None, None, 0));
        assert_eq!(table.insert(key(2), "b", 5), number, "numbers are used again");
    }

    #[test]
    fn the_order_is_that_of_the_last_datagram() {
        let mut dice = fastrand::Rng::with_seed(7);
        let mut table = Table::new();
        let mut model: VecDeque<(u32, u16)> = VecDeque::new();
        for now in 1..5_000u64 {
            match (dice.u8(..3), model.is_empty()) {
                (0, _) | (_, true) => model.push_back((table.insert(key(now as u16), now as u16, now), now as u16)),
                (1, _) => {
                    let picked = model.remove(dice.usize(..model.len())).expect("it is there");
                    table.touch(picked.0, now);
                    model.push_back(picked);
                }
                _ => {
                    let (number, name) = model.remove(dice.usize(..model.len())).expect("it is there");
                    assert_eq!(table.remove(number), Some((key(name), name)));
                }
            }
            assert_eq!(table.oldest().map(|(number, _)| number), model.front().map(|(number, _)| *number));
            assert_eq!(table.numbers(|_| true), model.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        }
    }
}
