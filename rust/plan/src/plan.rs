//! The plan itself: plain data that the engine reads and nobody writes.
//!
//! Durations are milliseconds in `u32` (at most 49 days) and sizes are bytes, so that a connection can carry a few of
//! them without growing. Pools and backends are named by position: a `u32` fits into a request's state, and the
//! request keeps the plan it started with, so a position never dangles.

use std::path::PathBuf;

use balance::Backend;

use crate::bind::Bind;
use crate::error::PlanError;
use crate::key::Seed;
use crate::listener::Listener;
use crate::pool::PoolPlan;

/// Everything the engine runs. Only [`compile`](crate::compile) makes one.
pub struct Plan {
    /// Listeners in the order of the file.
    pub listeners: Vec<Listener>,
    /// Pools in the order of the file; routes name them by their positions.
    pub pools: Vec<PoolPlan>,
    /// Where `/metrics`, `/healthz` and `/readyz` are answered; empty when not configured.
    pub metrics: Vec<Bind>,
    /// Where access-log lines go, and how they look.
    pub log: LogPlan,
    /// Client connections over all listeners before accepting pauses; at least 1.
    pub max_clients: usize,
    /// What is not wrong but useless, such as a route that can never match: by its place in the draft.
    pub warnings: Vec<PlanError>,
    pub(crate) seed: Seed,
    /// The id of the next new backend. It never goes back, so an id names one backend for the life of the process.
    pub(crate) next_id: u64,
}

impl Plan {
    /// Position of the pool with this name.
    pub fn pool_named(&self, name: &str) -> Option<u32> {
        let position = self.pools.iter().position(|pool| &*pool.name == name)?;
        u32::try_from(position).ok()
    }

    /// The backend with this name in the pool with that name; names are as the user wrote them.
    pub fn backend_named(&self, pool: &str, backend: &str) -> Option<&Backend> {
        let pool = self.pools.iter().find(|candidate| &*candidate.name == pool)?;
        pool.pool.backends().iter().find(|candidate| &*candidate.name == backend)
    }
}

/// The access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlan {
    /// Where its lines go.
    pub access: Sink,
    /// How a line looks.
    pub format: LogFormat,
}

/// Where access-log lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sink {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to the file at this absolute path.
    File(PathBuf),
}

/// How an access-log line looks.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// Apache's combined log format.
    Combined,
}
