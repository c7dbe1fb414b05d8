//! Who may be used: the backends of one tier (main or backup) and the rules that keep some of them out for now.
//!
//! A policy proposes, a [`View`] disposes. It is one look at one tier for one pick, and knows the reasons to pass a
//! backend over: it is down, drains, was ejected, was tried before, or is full. All but the last two also depend on the
//! rest of the tier:
//!
//! * *Pending* backends are used only while nobody is up: an optimistic start beats a 503 for everybody.
//! * *Panic*: ejections that leave fewer than 30 % of what could otherwise be used are ignored. So many backends do not
//!   break one by one; something they share is broken, and the few left would be crushed.
//!
//! A backend that warms up (`slow_start.rs`) may let a request go. That is no reason to be passed over for good: a tier
//! in which nobody else was free is offered the request once more.
//!
//! Pending and panic need a walk over the tier. It happens only when a policy lands on such a backend, once per pick: a
//! backend that is up and not ejected is usable whatever the others do.

use std::time::Duration;

use crate::policy::{Hashing, schedule};
use crate::slow_start::{Mood, SlowStart, WHOLE};
use crate::{Backend, Health, Live, Policy, Tick};

/// The backends of one tier with the tables that its policy needs.
#[derive(Debug)]
pub(crate) struct Tier {
    members: Box<[u32]>,
    turns: Box<[u32]>,
    hashing: Option<Hashing>,
}

/// Below this share of its usable backends a tier ignores ejections, in percent.
const PANIC_PERCENT: usize = 30;

impl Tier {
    pub(crate) fn new(policy: Policy, backends: &[Backend], backup: bool) -> Tier {
        let slots = (0..).zip(backends).filter(|(_, b)| b.backup == backup && b.weight > 0);
        let members: Box<[u32]> = slots.map(|(slot, _)| slot).collect();
        let turns = if policy.takes_turns() { schedule(&members, backends) } else { Box::default() };
        let hashing = (policy == Policy::Hash).then(|| Hashing::new(&members, backends));
        Tier { members, turns, hashing }
    }

    /// Slots of the backends that take requests at all, in the order of the configuration.
    pub(crate) fn members(&self) -> &[u32] {
        &self.members
    }

    /// One cycle in which each member has as many turns as its weight says.
    pub(crate) fn turns(&self) -> &[u32] {
        &self.turns
    }

    pub(crate) fn hashing(&self) -> Option<&Hashing> {
        self.hashing.as_ref()
    }

    /// Whether somebody is known to work, so that backends nobody has checked yet need not be used.
    pub(crate) fn any_up(&self, backends: &[Backend]) -> bool {
        self.lives(backends).any(|live| live.standing() == (Health::Up, false))
    }

    /// Health and drain allow it. `optimistic`: nobody is up, so pending ones may be used.
    pub(crate) fn may_use(&self, live: &Live, optimistic: impl FnOnce() -> bool) -> bool {
        match live.standing() {
            (Health::Up, false) => true,
            (Health::Pending, false) => optimistic(),
            _ => false,
        }
    }

    fn panics(&self, backends: &[Backend], now: Tick) -> bool {
        let optimistic = !self.any_up(backends);
        let usable = || self.lives(backends).filter(|live| self.may_use(live, || optimistic));
        let left = usable().filter(|live| !live.ejected(now)).count();
        left * 100 < usable().count() * PANIC_PERCENT
    }

    fn lives<'a>(&'a self, backends: &'a [Backend]) -> impl Iterator<Item = &'a Live> {
        self.members.iter().map(|&slot| &*backends[slot as usize].live)
    }
}

/// One look at one tier, for one pick.
pub(crate) struct View<'a> {
    tier: &'a Tier,
    backends: &'a [Backend],
    tried: &'a [u32],
    now: Tick,
    slow_start: SlowStart,
    mood: Mood,
    optimistic: Option<bool>,
    panic: Option<bool>,
    full: bool,
    let_go: bool,
}

impl<'a> View<'a> {
    /// Nobody was tried, and nobody warms up.
    pub(crate) fn new(tier: &'a Tier, backends: &'a [Backend], now: Tick) -> Self {
        View {
            tier,
            backends,
            tried: &[],
            now,
            slow_start: SlowStart::new(Duration::ZERO),
            mood: Mood::new(0),
            optimistic: None,
            panic: None,
            full: false,
            let_go: false,
        }
    }

    /// Passes these over.
    pub(crate) fn without(self, tried: &'a [u32]) -> Self {
        View { tried, ..self }
    }

    /// Backends that warm up take their part only; `seed` says who takes this request.
    pub(crate) fn warming(self, slow_start: SlowStart, seed: u64) -> Self {
        View { slow_start, mood: Mood::new(seed), ..self }
    }

    pub(crate) fn tier(&self) -> &'a Tier {
        self.tier
    }

    pub(crate) fn backend(&self, slot: u32) -> &'a Backend {
        &self.backends[slot as usize]
    }

    pub(crate) fn now(&self) -> Tick {
        self.now
    }

    /// Whether a backend was passed over only because it is at its limit.
    pub(crate) fn found_full(&self) -> bool {
        self.full
    }

    /// The backend may be used, has room, and takes this request.
    pub(crate) fn is_free(&mut self, slot: u32) -> bool {
        self.has_room(slot) && (self.slow_start.is_off() || self.accepts(slot))
    }

    /// The backend may be used and has room.
    pub(crate) fn has_room(&mut self, slot: u32) -> bool {
        if !self.is_eligible(slot) {
            return false;
        }
        let backend = self.backend(slot);
        let room = backend.max_in_flight.is_none_or(|limit| backend.live.in_flight() < limit);
        self.full |= !room;
        room
    }

    /// Takes a place on a backend that is free; false if another worker took the last one meanwhile.
    pub(crate) fn take(&mut self, slot: u32) -> bool {
        let backend = self.backend(slot);
        let taken = backend.live.raise(backend.max_in_flight);
        self.full |= !taken;
        taken
    }

    /// The weight that loads are compared by, in a unit that is the same for the whole view.
    #[inline]
    pub(crate) fn weight(&self, slot: u32) -> u64 {
        let backend = self.backend(slot);
        let weight = u64::from(backend.weight);
        if self.slow_start.is_off() {
            return weight;
        }
        weight * u64::from(self.slow_start.share(&backend.live, self.now))
    }

    /// When nobody took the request: whether somebody who has room let it go. From now on the warmest of them accepts.
    pub(crate) fn offer_again(&mut self) -> bool {
        if !self.let_go {
            return false;
        }
        let mut warmest = None;
        for &slot in self.tier.members() {
            if self.has_room(slot) {
                warmest = warmest.max(Some(self.slow_start.share(&self.backend(slot).live, self.now)));
            }
        }
        self.mood = self.mood.eager(warmest.unwrap_or(WHOLE));
        warmest.is_some()
    }

    /// An ejection lasts and is not ignored.
    pub(crate) fn is_out(&mut self, slot: u32) -> bool {
        self.backend(slot).live.ejected(self.now) && !self.is_panic()
    }

    fn is_eligible(&mut self, slot: u32) -> bool {
        let live = &self.backend(slot).live;
        self.tier.may_use(live, || self.is_optimistic()) && !self.tried.contains(&slot) && !self.is_out(slot)
    }

    #[cold]
    fn accepts(&mut self, slot: u32) -> bool {
        let share = self.slow_start.share(&self.backend(slot).live, self.now);
        let accepts = share == WHOLE || self.mood.accepts(slot, share);
        self.let_go |= !accepts;
        accepts
    }

    #[cold]
    fn is_optimistic(&mut self) -> bool {
        *self.optimistic.get_or_insert_with(|| !self.tier.any_up(self.backends))
    }

    #[cold]
    fn is_panic(&mut self) -> bool {
        *self.panic.get_or_insert_with(|| self.tier.panics(self.backends, self.now))
    }
}

#[cfg(test)]
mod tests;
