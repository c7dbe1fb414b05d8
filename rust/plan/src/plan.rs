//! The plan itself: plain data that the engine reads and nobody writes.
//!
//! Durations are milliseconds in `u32` (at most 49 days) and sizes are bytes, so that a connection can carry a few of
//! them without growing. Pools and backends are named by position: a `u32` fits into a request's state, and the
//! request keeps the plan it started with, so a position never dangles.

use std::path::PathBuf;

use balance::Backend;
use ipnet::IpNet;

use crate::action::Route;
use crate::bind::Bind;
use crate::condition::Condition;
use crate::error::PlanError;
use crate::key::Seed;
use crate::pool::PoolPlan;
use crate::route::{Pattern, Router};

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

/// Where clients connect, what is accepted from them, and which way their requests go.
pub struct Listener {
    /// Its key in the file.
    pub name: Box<str>,
    /// The sockets it accepts on; at least one.
    pub binds: Vec<Bind>,
    /// Which heads are accepted.
    pub rules: wire::Rules,
    /// Milliseconds from the first byte of a head to its last.
    pub head_ms: u32,
    /// Milliseconds without progress of a request body.
    pub body_idle_ms: u32,
    /// Milliseconds that an idle connection is kept for its next request.
    pub keepalive_ms: u32,
    /// Milliseconds that a client may leave a non-empty backlog unread.
    pub send_idle_ms: u32,
    /// Bytes of the largest request body; `None` is no limit.
    pub max_body: Option<u64>,
    /// Requests on one connection before it is closed; at least 1.
    pub max_requests: u32,
    /// A client that half-closes its connection still gets its answer (otherwise it counts as gone).
    pub half_close_keep: bool,
    /// Peers whose forwarded headers are believed.
    pub trusted: Vec<IpNet>,
    /// Requests of this listener are written to the access log.
    pub access_log: bool,
    /// Routes in the order of the file; the first that matches wins.
    pub routes: Vec<Route>,
    /// What each route matches, parallel to them.
    pub(crate) patterns: Vec<Pattern>,
    /// What routes ask beyond host and path, by [`Pattern::more`]; many ask the same.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) router: Router,
}

impl Listener {
    /// Position of the first route, in the order of the file, that takes a request.
    ///
    /// `host` is lower case without port ([`wire::Head::host`]), `path` is normalised ([`wire::Head::path`]). Of a
    /// route that asks for more, `holds` says whether the request fulfils it. The steps follow the lengths of host and
    /// path, not how many of them there are; nothing is allocated.
    #[inline]
    pub fn find(&self, host: &[u8], path: &[u8], holds: impl Fn(&Condition) -> bool) -> Option<u32> {
        self.router.find(host, path, |more| holds(&self.conditions[more as usize]))
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
