//! The second half of a decision: a place on a backend of the pool that the first half found.
//!
//! A client that belongs somewhere is asked for first (`sticky.rs`); everybody else, and whoever has lost its backend,
//! gets what the pool's policy says. A pool without sessions pays one branch for that.

use balance::Chosen;

use crate::decide::{Pin, Progress, Reply, Step, Until};
use crate::key::Asker;
use crate::plan::Plan;
use crate::sticky::{Home, Sticky};

impl Plan {
    /// A place for this request or connection in the pool at this position, or what to do without one.
    pub(crate) fn place<'p>(&'p self, pool: u32, progress: &mut Progress, asker: &Asker<'_>) -> Step<'p> {
        match &self.pools[pool as usize].sticky {
            Some(sticky) if progress.pin != Pin::Escaped => self.place_at_home(sticky, pool, progress, asker),
            _ => self.place_anywhere(pool, progress, asker),
        }
    }

    fn place_at_home<'p>(&'p self, sticky: &Sticky, pool: u32, progress: &mut Progress, asker: &Asker<'_>) -> Step<'p> {
        let plan = &self.pools[pool as usize];
        let home = sticky.home(&plan.pool, asker, &progress.tried);
        match home {
            Home::Taken { slot, renew } => {
                progress.pin = if renew { Pin::Issue } else { Pin::Honoured };
                progress.tried.push(slot);
                return Step::Send { pool, slot };
            }
            Home::Full(slot) => return Step::Wait { pool, until: Until::Pinned(slot) },
            Home::Lost if sticky.fail_if_lost => return Step::Reply(Box::new(Reply::LOST)),
            Home::Lost | Home::Nowhere => {}
        }
        let step = self.place_anywhere(pool, progress, asker);
        if let Step::Send { slot, .. } = step {
            let live = plan.pool.backends()[slot as usize].live.id();
            progress.pin = sticky.remember(asker, live, home == Home::Lost);
        }
        step
    }

    fn place_anywhere<'p>(&'p self, pool: u32, progress: &mut Progress, asker: &Asker<'_>) -> Step<'p> {
        let plan = &self.pools[pool as usize];
        let key = plan.key.of(asker, self.seed);
        match plan.pool.choose(key, &progress.tried, asker.now, asker.dice) {
            Chosen::Slot(slot) => {
                progress.tried.push(slot);
                Step::Send { pool, slot }
            }
            Chosen::Full => Step::Wait { pool, until: Until::Free },
            Chosen::Nobody => Step::Reply(Box::new(Reply::NOBODY)),
        }
    }
}
