//! A pool as the engine sees it: plain data around `balance`'s [`Pool`], made by [`compile`](crate::compile).

use std::sync::Arc;

use balance::{Policy, Pool, Shared};
use wire::proxy_protocol::Version;

use crate::action::Page;
use crate::bind::Address;
use crate::key::Key;
use crate::sticky::Sticky;
use crate::tls::PoolTls;

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
    /// How backends are reached over TLS; `None` is in clear.
    pub tls: Option<Box<PoolTls>>,
    /// What each backend's certificate has to be for, parallel to the addresses: a name of DNS, or an IP address
    /// without brackets. Empty in clear.
    pub server_names: Vec<Box<str>>,
    /// Backends hear in a header of this version for whom pylb connects.
    pub proxy_protocol: Option<Version>,
    /// Milliseconds of a whole TLS handshake.
    pub tls_handshake_ms: u32,
    /// Milliseconds that a connection attempt may take.
    pub connect_ms: u32,
    /// Milliseconds that an idle backend connection is kept; `None` is learned from the backend.
    pub keepalive_ms: Option<u32>,
    /// Milliseconds that a tunnel may be silent.
    pub idle_ms: u32,
    /// Idle connections kept per worker and backend; 0 keeps none.
    pub idle_connections: u32,
    /// Milliseconds over which the share of a backend grows that is new or has recovered; 0 is at once.
    pub slow_start_ms: u32,
    /// Milliseconds that a draining backend has to become empty.
    pub drain_ms: u32,
    /// Who waits while every backend is full.
    pub queue: Queue,
    /// What is tried again.
    pub retries: Retries,
    /// Pages in place of answers of pylb, by status.
    pub errors: Vec<(u16, Page)>,
    /// How clients stay with a backend.
    pub sticky: Option<Box<Sticky>>,
    /// Backends have an active health check: a new one is pending until its first answer.
    pub checked: bool,
    /// Which backends the operator empties, parallel to them.
    pub(crate) draining: Vec<bool>,
    pub(crate) shared: Arc<Shared>,
}

/// Who waits while every backend is at its limit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Requests; 0 is none.
    pub size: u32,
    /// Milliseconds that one waits at most.
    pub timeout_ms: u32,
}

/// What is tried again, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts in all; at least 1.
    pub tries: u32,
    /// After which failures.
    pub on: On,
    /// Percent of the pool's requests.
    pub budget_percent: u32,
    /// Bytes of a request's body that are kept to send it again.
    pub replay_bytes: u32,
    /// Milliseconds of one attempt until the head of its response.
    pub per_try_ms: Option<u32>,
}

/// Failures after which a request may be tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set with six names")]
pub struct On {
    /// No connection.
    pub connect: bool,
    /// A connection that had been idle was closed.
    pub stale: bool,
    /// A connection was closed before the response.
    pub closed: bool,
    /// The backend says that it has not begun (HTTP/2).
    pub refused_stream: bool,
    /// No response in time. Idempotent requests only, as all below.
    pub timeout: bool,
    /// The connection was reset.
    pub reset: bool,
    /// The response has one of these statuses.
    pub statuses: Vec<u16>,
}

impl PoolPlan {
    /// How it chooses, as users write it.
    pub fn policy_name(&self) -> &'static str {
        match self.pool.policy() {
            Policy::RoundRobin => "round_robin",
            Policy::LeastConnections => "least_connections",
            Policy::TwoChoices => "two_choices",
            Policy::PeakEwma => "peak_ewma",
            Policy::Hash if self.key == Key::ClientIp => "ip_hash",
            Policy::Hash => "hash",
            Policy::Random => "random",
            Policy::Failover => "failover",
        }
    }

    /// The page in place of an answer with this status.
    pub fn page(&self, status: u16) -> Option<&Page> {
        self.errors.iter().find(|(known, _)| *known == status).map(|(_, page)| page)
    }
}
