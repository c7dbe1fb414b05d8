//! What has to happen when one plan follows another.
//!
//! Callers send the whole desired state, never an edit; this is where the edit is worked out. It has two moments. The
//! binds are reconciled around the swap: first everything new is opened (and if that fails nothing has changed), then
//! the plan is swapped, then what nobody wants any more is retired. And once the new plan is in force,
//! [`Change::settle`] tells the live state that both plans share what is different now.

use std::collections::HashSet;
use std::sync::Arc;

use balance::{Health, Live};

use crate::bind::Bind;
use crate::plan::Plan;
use crate::pool::PoolPlan;

/// How a plan differs from the one before it.
pub struct Change {
    /// Sockets for clients.
    pub listeners: Binds,
    /// Sockets that answer `/metrics`.
    pub metrics: Binds,
    /// Backends that the new plan does not know: no new request reaches them, those in flight end in their time.
    pub gone: Vec<Arc<Live>>,
    unchecked: Vec<Arc<Live>>,
    draining: Vec<(Arc<Live>, bool)>,
}

/// Sockets to open and to retire; one that both plans want is in neither list, whichever listener it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binds {
    /// To open before the new plan is in force.
    pub open: Vec<Bind>,
    /// To retire afterwards.
    pub retire: Vec<Bind>,
}

impl Change {
    /// From `old` (nothing at start) to `new`.
    pub fn between(old: Option<&Plan>, new: &Plan) -> Self {
        let (old_listeners, old_metrics) = (old.map(Plan::binds), old.map(|plan| &plan.metrics[..]));
        let unchecked = new.pools.iter().filter(|pool| !pool.checked).flat_map(lives);
        Change {
            listeners: Binds::between(&old_listeners.unwrap_or_default(), &new.binds()),
            metrics: Binds::between(old_metrics.unwrap_or_default(), &new.metrics),
            gone: old.map(|old| gone(old, new)).unwrap_or_default(),
            unchecked: unchecked.cloned().collect(),
            draining: new.pools.iter().flat_map(draining).collect(),
        }
    }

    /// To be called once the new plan is in force: backends without a health check are up from now on, because if
    /// their pool has just lost its check, nobody would ever call them up again; and drains begin and end.
    pub fn settle(&self) {
        for (live, draining) in &self.draining {
            live.set_draining(*draining);
        }
        for live in &self.unchecked {
            live.set_health(Health::Up);
        }
    }
}

impl Binds {
    fn between(old: &[Bind], new: &[Bind]) -> Self {
        let missing = |wanted: &[Bind], other: &[Bind]| {
            let known: HashSet<&Bind> = other.iter().collect();
            wanted.iter().filter(|bind| !known.contains(bind)).cloned().collect()
        };
        Binds { open: missing(new, old), retire: missing(old, new) }
    }
}

impl Plan {
    /// The binds of all listeners, in the order of the file.
    fn binds(&self) -> Vec<Bind> {
        self.listeners.iter().flat_map(|listener| listener.binds.iter().cloned()).collect()
    }
}

/// Backends of `old` that `new` does not know.
fn gone(old: &Plan, new: &Plan) -> Vec<Arc<Live>> {
    let kept: HashSet<u64> = new.pools.iter().flat_map(lives).map(|live| live.id()).collect();
    let gone = old.pools.iter().flat_map(lives).filter(|live| !kept.contains(&live.id()));
    gone.cloned().collect()
}

fn lives(pool: &PoolPlan) -> impl Iterator<Item = &Arc<Live>> {
    pool.pool.backends().iter().map(|backend| &backend.live)
}

fn draining(pool: &PoolPlan) -> impl Iterator<Item = (Arc<Live>, bool)> {
    lives(pool).cloned().zip(pool.draining.iter().copied())
}
