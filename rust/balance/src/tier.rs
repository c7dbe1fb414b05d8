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
//! Both need a walk over the tier. It happens only when a policy lands on such a backend, once per pick: a backend that
//! is up and not ejected is usable whatever the others do.

use crate::policy::{Hashing, schedule};
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
    optimistic: Option<bool>,
    panic: Option<bool>,
    full: bool,
}

impl<'a> View<'a> {
    pub(crate) fn new(tier: &'a Tier, backends: &'a [Backend], tried: &'a [u32], now: Tick) -> Self {
        View { tier, backends, tried, now, optimistic: None, panic: None, full: false }
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

    /// The backend may be used and has room.
    pub(crate) fn is_free(&mut self, slot: u32) -> bool {
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

    fn is_eligible(&mut self, slot: u32) -> bool {
        let live = &self.backend(slot).live;
        self.tier.may_use(live, || self.is_optimistic())
            && !self.tried.contains(&slot)
            && (!live.ejected(self.now) || self.is_panic())
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
