//! What has to happen when one plan follows another.
//!
//! Callers send the whole desired state, never an edit; this is where the edit is worked out. It has two moments. The
//! binds are reconciled around the swap: first everything new is opened (and if that fails nothing has changed), then
//! the plan is swapped, then what nobody wants any more is retired. And once the new plan is in force,
//! [`Change::settle`] tells the live state that both plans share what is different now.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use balance::{Health, Live, Tick};

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
    kept: Vec<Kept>,
    drained: Vec<(Arc<Live>, Duration)>,
}

/// A backend of the new plan.
struct Kept {
    live: Arc<Live>,
    checked: bool,
    /// How long its drain takes, if the operator empties it.
    drain: Option<Duration>,
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
        let drained = old.map(|old| gone(old, new)).unwrap_or_default();
        Change {
            listeners: Binds::between(&old_listeners.unwrap_or_default(), &new.binds()),
            metrics: Binds::between(old_metrics.unwrap_or_default(), &new.metrics),
            gone: drained.iter().map(|(live, _)| Arc::clone(live)).collect(),
            kept: new.pools.iter().flat_map(kept).collect(),
            drained,
        }
    }

    /// To be called once the new plan is in force, at `now`.
    ///
    /// Backends without a health check are up from now on, because if their pool has just lost its check, nobody would
    /// ever call them up again. Newcomers that are up begin to warm up. Drains begin and end, also those of backends
    /// that are gone; one that is under way keeps its end.
    pub fn settle(&self, now: Tick) {
        for Kept { live, checked, drain } in &self.kept {
            if !checked {
                live.set_health(Health::Up, now);
            }
            live.settle_in(now);
            match drain {
                Some(time) => begin(live, *time, now),
                None => live.undrain(),
            }
        }
        for (live, time) in &self.drained {
            begin(live, *time, now);
        }
    }
}

fn begin(live: &Live, drain: Duration, now: Tick) {
    if live.drain_until().is_none() {
        live.drain(now.after(drain));
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

/// Backends of `old` that `new` does not know, and how long they may take to become empty.
fn gone(old: &Plan, new: &Plan) -> Vec<(Arc<Live>, Duration)> {
    let known: HashSet<u64> = new.pools.iter().flat_map(kept).map(|kept| kept.live.id()).collect();
    let all = old.pools.iter().flat_map(|pool| kept(pool).map(|kept| (kept.live, drain_time(pool))));
    all.filter(|(live, _)| !known.contains(&live.id())).collect()
}

fn kept(pool: &PoolPlan) -> impl Iterator<Item = Kept> {
    pool.pool.backends().iter().zip(&pool.draining).map(|(backend, &draining)| Kept {
        live: Arc::clone(&backend.live),
        checked: pool.checked,
        drain: draining.then(|| drain_time(pool)),
    })
}

fn drain_time(pool: &PoolPlan) -> Duration {
    Duration::from_millis(pool.drain_ms.into())
}
