//! Pools: who is in them, how one is chosen, and what happens when that fails.

use serde::Deserialize;

use super::{FieldDraft, Named, PoolTlsDraft};

/// A page of the user's own in place of an answer of pylb.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageDraft {
    /// Sent as it is.
    pub body: String,
    /// Of the body.
    pub content_type: String,
}

/// A pool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolDraft {
    /// How a backend is chosen.
    pub balance: BalanceDraft,
    /// In the order of the file.
    pub backends: Vec<BackendDraft>,
    /// An active health check is configured.
    pub checked: bool,
    /// Ejection after failures in a row; null is never.
    pub passive: Option<PassiveDraft>,
    /// How long connections take and last.
    pub timeouts: PoolTimeouts,
    /// Idle connections kept per worker and backend.
    pub idle_connections: u64,
    /// Milliseconds over which a backend's share grows after it was added or has recovered; 0 is off.
    pub slow_start: u64,
    /// Milliseconds that a backend has to become empty before it is cut.
    pub drain: u64,
    /// Who waits while every backend is at its limit.
    pub queue: QueueDraft,
    /// What is tried again.
    pub retries: RetriesDraft,
    /// Pages by status code.
    pub errors: Named<PageDraft>,
    /// How clients stay with a backend; null is not at all.
    pub sticky: Option<StickyDraft>,
    /// Backends are reached over TLS; null is in clear.
    pub tls: Option<PoolTlsDraft>,
    /// Backends hear in a PROXY header for whom pylb connects; null is not.
    pub proxy_protocol: Option<ProxyVersion>,
}

/// A version of the PROXY protocol.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Who waits while every backend is at its limit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueDraft {
    /// Requests; 0 is none.
    pub size: u64,
    /// Milliseconds that one waits at most.
    pub timeout: u64,
}

/// What is tried again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetriesDraft {
    /// Attempts in all.
    pub tries: u64,
    /// `connect`, `stale`, `closed`, `refused_stream`, `timeout`, `reset`, or a status such as `503`.
    pub on: Vec<String>,
    /// Percent of the requests.
    pub budget: u64,
    /// Bytes of a request's body that are kept to send it again.
    pub replay: u64,
    /// Milliseconds of one attempt; null is no limit.
    pub per_try: Option<u64>,
}

/// How clients stay with a backend.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StickyDraft {
    /// By a cookie of pylb.
    Cookie {
        /// Of the cookie.
        name: String,
        /// Milliseconds.
        ttl: u64,
        /// What happens when the backend is gone.
        on_lost: OnLost,
        /// `Path` of the cookie.
        path: String,
        /// `Secure` of the cookie.
        secure: Secure,
        /// What backends are called under each key. The first signs, all are understood.
        ids: Vec<IdsDraft>,
    },
    /// By a key that clients send; one of the three.
    Key {
        /// The value of this header.
        header: Option<String>,
        /// The value of this cookie.
        cookie: Option<String>,
        /// The value of this parameter of the query.
        query: Option<String>,
        /// Milliseconds.
        ttl: u64,
        /// What happens when the backend is gone.
        on_lost: OnLost,
    },
    /// By the client's address.
    SourceIp {
        /// Milliseconds.
        ttl: u64,
        /// What happens when the backend is gone.
        on_lost: OnLost,
    },
    /// By a key that the backend gave.
    Learn {
        /// Where the backend gives it.
        response: FieldDraft,
        /// Where the client sends it.
        request: KeyDraft,
        /// Milliseconds.
        ttl: u64,
        /// What happens when the backend is gone.
        on_lost: OnLost,
    },
}

/// What happens to a client whose backend is gone.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// It gets another one.
    Move,
    /// 503.
    Fail,
}

/// When a cookie of pylb is `Secure`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secure {
    /// Over TLS.
    Auto,
}

/// What the backends of a pool are called under one key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdsDraft {
    /// Of the key.
    pub number: u8,
    /// 64 bits in hexadecimal digits, parallel to the backends.
    pub ids: Vec<String>,
}

/// How a backend is chosen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalanceDraft {
    /// The name of the policy.
    pub policy: PolicyName,
    /// What `hash` hashes; null for the others.
    pub key: Option<KeyDraft>,
}

/// The policies as users write them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "balance::Policy explains each")]
pub enum PolicyName {
    RoundRobin,
    LeastConnections,
    TwoChoices,
    PeakEwma,
    IpHash,
    Hash,
    Random,
    Failover,
}

/// What `hash` hashes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyDraft {
    /// The value of this header.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The value of this parameter of the query.
    Query(String),
    /// The path; the value is always true.
    Path(bool),
}

/// A backend.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendDraft {
    /// As the user wrote it; its identity over reloads.
    pub name: String,
    /// `IP:PORT`, `[v6]:PORT` or `unix:/path`.
    pub address: String,
    /// Its share, relative to the others.
    pub weight: u64,
    /// Used only when no other backend is left.
    pub backup: bool,
    /// The most requests at once, over all workers; null is no limit.
    pub max_in_flight: Option<u64>,
    /// The operator empties it.
    pub draining: bool,
    /// The name or address that its certificate has to be for; set if the pool has `tls`, and only then.
    pub server_name: Option<String>,
}

/// Ejection of a backend that fails.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassiveDraft {
    /// In a row.
    pub failures: u64,
    /// Milliseconds of the first ejection.
    pub eject: u64,
    /// Percent of the pool that may be out at a time.
    pub max_ejected: u64,
}

/// Milliseconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolTimeouts {
    /// One connection attempt.
    pub connect: u64,
    /// An idle backend connection; null is learned.
    pub keepalive: Option<u64>,
    /// A tunnel without a byte in either direction.
    pub idle: u64,
    /// A whole TLS handshake.
    pub tls_handshake: u64,
}
