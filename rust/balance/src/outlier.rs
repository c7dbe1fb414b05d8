//! Passive health: a backend that fails several times in a row is put out for a while.
//!
//! An ejection is a time: the backend is out while `ejected_until` lies ahead of `now`, and nobody has to bring it back.
//! Each ejection without a success in between lasts longer (1, 2, 3.. times the configured time, at most five minutes).
//! The row of failures is not reset by an ejection, so a backend that returns and fails its first request goes out again
//! at once instead of failing a few more users.
//!
//! Ejecting must not do the damage it is there to prevent, so three rules bound it: at most a share of the tier (one at
//! least, if there are two), never the last one that can be used, and the panic rule of `tier.rs`. The first two are
//! only true if two workers cannot both count "one place left", therefore one word per pool lets a single worker eject
//! at a time. Nobody waits for it: who finds it taken leaves the backend in, and the next failure asks again.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use crate::tier::Tier;
use crate::{Backend, Tick};

/// When to put a backend out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Passive {
    /// Failures in a row that eject.
    pub failures: u32,
    /// Length of the first ejection; the n-th in a row lasts n times as long, at most [`LONGEST_EJECTION`].
    pub eject: Duration,
    /// The largest part of a tier that may be out, in percent. It leaves room for one of two or more; 0 ejects nobody.
    pub max_ejected_percent: u32,
}

/// No ejection lasts longer.
pub const LONGEST_EJECTION: Duration = Duration::from_secs(300);

/// A backend that has just been put out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// When it returns by itself.
    pub until: Tick,
    /// How long that is from now.
    pub length: Duration,
}

/// Lets one worker eject at a time, in all plans of a pool.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicBool);

impl Gate {
    /// Runs `eject` unless another worker is at it.
    fn alone<T>(&self, eject: impl FnOnce() -> Option<T>) -> Option<T> {
        if self.0.swap(true, Acquire) {
            return None;
        }
        let done = eject();
        self.0.store(false, Release);
        done
    }
}

impl Passive {
    /// Ejects the backend in `slot` if its `failures` in a row are enough and the tier can spare it.
    pub(crate) fn judge(
        &self,
        tier: &Tier,
        backends: &[Backend],
        slot: u32,
        gate: &Gate,
        now: Tick,
    ) -> Option<Ejection> {
        let live = &backends[slot as usize].live;
        if live.failures() < self.failures.max(1) || live.ejected(now) {
            return None;
        }
        gate.alone(|| {
            if live.ejected(now) || !self.can_spare(tier, backends, slot, now) {
                return None;
            }
            let length = self.eject.saturating_mul(live.count_ejection()).min(LONGEST_EJECTION);
            let until = now.after(length);
            live.eject(until);
            Some(Ejection { until, length })
        })
    }

    fn can_spare(&self, tier: &Tier, backends: &[Backend], slot: u32, now: Tick) -> bool {
        let others =
            || tier.members().iter().filter(|&&other| other != slot).map(|&other| &backends[other as usize].live);
        let out = others().filter(|live| live.ejected(now)).count();
        let optimistic = !tier.any_up(backends);
        let another_left = others().any(|live| tier.may_use(live, || optimistic) && !live.ejected(now));
        out < self.most(tier.members().len()) && another_left
    }

    /// How many of `size` backends may be out at once.
    fn most(&self, size: usize) -> usize {
        let share = size * self.max_ejected_percent as usize / 100;
        if self.max_ejected_percent > 0 && size >= 2 { share.max(1) } else { share }
    }
}

#[cfg(test)]
mod tests;
