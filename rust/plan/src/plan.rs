//! The plan itself: plain data that the engine reads and nobody writes.
//!
//! Durations are milliseconds in `u32` (at most 49 days) and sizes are bytes, so that a connection can carry a few of
//! them without growing. Pools and backends are named by position: a `u32` fits into a request's state, and the
//! request keeps the plan it started with, so a position never dangles.

use std::path::PathBuf;
use std::sync::Arc;

use balance::{Backend, Pool, Shared};
use ipnet::IpNet;

use crate::bind::{Address, Bind};
use crate::key::{Key, Seed};
use crate::route::Router;

/// Everything the engine runs. Only [`compile`](crate::compile) makes one.
pub struct Plan {
    /// Listeners in the order of the file.
    pub listeners: Vec<Listener>,
    /// Pools in the order of the file; [`Route::pool`] is a position in it.
    pub pools: Vec<PoolPlan>,
    /// Where `/metrics`, `/healthz` and `/readyz` are answered; empty when not configured.
    pub metrics: Vec<Bind>,
    /// Where access-log lines go, and how they look.
    pub log: LogPlan,
    /// Client connections over all listeners before accepting pauses; at least 1.
    pub max_clients: usize,
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
    pub(crate) router: Router,
}

impl Listener {
    /// Position of the first route, in the order of the file, that matches.
    ///
    /// `host` is lower case without port ([`wire::Head::host`]), `path` is normalised ([`wire::Head::path`]). Costs
    /// the same with one host as with 10,000, and allocates nothing.
    pub fn find(&self, host: &[u8], path: &[u8]) -> Option<u32> {
        self.router.find(host, path)
    }
}

/// Where the requests go that one `match` of the file catches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its `name` in the file, else `LISTENER#N`, counted from 1.
    pub name: Box<str>,
    /// Position in [`Plan::pools`].
    pub pool: u32,
    /// Milliseconds from the last byte of the request to the head of the response.
    pub response_head_ms: u32,
    /// Milliseconds without a byte of the response body.
    pub response_idle_ms: u32,
}

/// A pool: who is in it, how one is chosen, how it is connected to.
pub struct PoolPlan {
    /// Its key in the file.
    pub name: Box<str>,
    /// Chooses among the backends.
    pub pool: Pool,
    /// What the hash policy hashes.
    pub key: Key,
    /// Where each backend is, parallel to [`Pool::backends`].
    pub addresses: Vec<Address>,
    /// Milliseconds that a connection attempt may take.
    pub connect_ms: u32,
    /// Milliseconds that an idle backend connection is kept; `None` is learned from the backend.
    pub keepalive_ms: Option<u32>,
    /// Idle connections kept per worker and backend; 0 keeps none.
    pub idle_connections: u32,
    /// Attempts in all for a request that may be retried.
    pub tries: u32,
    /// Backends have an active health check: a new one is pending until its first answer.
    pub checked: bool,
    pub(crate) shared: Arc<Shared>,
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
