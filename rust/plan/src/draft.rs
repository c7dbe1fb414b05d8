//! What Python sends: the user's file with every default filled in, every name resolved and every unit converted, as
//! JSON. Durations are milliseconds, sizes are bytes.
//!
//! Python checks the *shape* of the file and reports mistakes of shape in the user's words, so there are no defaults
//! here and an unknown field is refused: a draft of another shape means that the two layers disagree. What a value
//! *means* (is this an address? does this pool exist?) is checked in `compile`. Keys and list positions are those of
//! the file, so a path in the draft is a path in the file.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// The whole desired state.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// By name, in the order of the file.
    pub listeners: Named<ListenerDraft>,
    /// By name, in the order of the file.
    pub pools: Named<PoolDraft>,
    /// Binds that answer `/metrics`, `/healthz` and `/readyz`.
    pub metrics: Vec<String>,
    /// The access log.
    pub log: LogDraft,
    /// Client connections over all listeners.
    pub max_clients: u64,
}

/// A listener.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerDraft {
    /// `0.0.0.0:8080`, `:8080`, `[::]:80`, `unix:/run/x.sock` or `fd:3`.
    pub bind: Vec<String>,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Networks (`10.0.0.0/8`) or single addresses whose forwarded headers are believed.
    pub trusted_proxies: Vec<String>,
    /// How long clients may take.
    pub timeouts: ListenerTimeouts,
    /// How much clients may send.
    pub limits: LimitsDraft,
    /// The three starred rules of parsing are relaxed.
    pub lenient: bool,
    /// What to do with `%2f` and `%5c` in a path.
    pub encoded_slash: EncodedSlash,
    /// What a client's half-close means while an answer is owed.
    pub half_close: HalfClose,
    /// Which path is sent to backends.
    pub path: PathForm,
    /// Requests are logged.
    pub access_log: bool,
    /// The first that matches wins.
    pub routes: Vec<RouteDraft>,
}

/// What a listener speaks.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.
    Http,
}

/// `%2f` and `%5c` in a path.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlash {
    /// They are data and stay as they are.
    Keep,
    /// 400.
    Reject,
}

/// A client that half-closes its connection while an answer is owed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HalfClose {
    /// Has gone; the backend's work is cancelled.
    Abort,
    /// Gets its answer.
    Keep,
}

/// The path that backends get.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathForm {
    /// Normalised, as it was matched.
    Normal,
    /// As received.
    Raw,
}

/// Milliseconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTimeouts {
    /// A whole request head.
    pub head: u64,
    /// No progress of a request body.
    pub body_idle: u64,
    /// An idle connection.
    pub keepalive: u64,
    /// A client that does not read.
    pub send_idle: u64,
}

/// Bytes and counts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsDraft {
    /// Bytes of a head.
    pub head: u64,
    /// Fields of a head.
    pub fields: u64,
    /// Bytes of a request line.
    pub request_line: u64,
    /// Bytes of one field.
    pub field: u64,
    /// Bytes of a request body; null is no limit.
    pub body: Option<u64>,
    /// Requests on one connection.
    pub requests: u64,
}

/// A route. Exactly one of `pool`, `split`, `redirect` and `respond` says what becomes of its requests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteDraft {
    /// As written, for logs and metrics.
    pub name: Option<String>,
    /// Which requests.
    #[serde(rename = "match")]
    pub matches: MatchDraft,
    /// The name of a pool.
    pub pool: Option<String>,
    /// Names of pools with their shares, in the order of the file.
    pub split: Option<Named<u64>>,
    /// What a choice of `split` is stable for; null is a new choice for every request.
    pub split_by: Option<FieldDraft>,
    /// Sends the client elsewhere.
    pub redirect: Option<RedirectDraft>,
    /// Answers at once.
    pub respond: Option<RespondDraft>,
    /// How long backends may take.
    pub timeouts: RouteTimeouts,
    /// How many requests a client may send.
    pub rate_limit: Option<RateLimitDraft>,
    /// What is sent in place of the path and host asked for.
    pub rewrite: Option<RewriteDraft>,
    /// Changes to the fields of requests.
    pub request_headers: HeadersDraft,
    /// Changes to the fields of responses.
    pub response_headers: HeadersDraft,
}

/// Which requests a route takes: those that fulfil all of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchDraft {
    /// `shop.example` or `*.shop.example`; null is any.
    pub host: Option<String>,
    /// null is any.
    pub path: Option<PathDraft>,
    /// As in the request; empty is any.
    pub methods: Vec<String>,
    /// By the names of headers.
    pub headers: Named<ValueDraft>,
    /// By the names of cookies.
    pub cookies: Named<ValueDraft>,
    /// By the names of parameters.
    pub query: Named<ValueDraft>,
    /// Networks or single addresses of clients; empty is any.
    pub client: Vec<String>,
}

/// Which paths.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum PathDraft {
    /// `/x/` for `/x` and all below, `/x` for itself.
    Plain(String),
    /// Paths that match as a whole.
    Pattern(PatternDraft),
}

/// A regular expression.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatternDraft {
    /// As the crate `regex` reads it.
    pub regex: String,
}

/// What the value of a header, cookie or parameter must be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueDraft {
    /// This.
    Exact(String),
    /// Anything, or nothing at all.
    Present(bool),
    /// What this regular expression matches as a whole.
    Regex(String),
}

/// A field of the request by its name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldDraft {
    /// This header.
    Header(String),
    /// This cookie.
    Cookie(String),
}

/// Sends the client elsewhere.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedirectDraft {
    /// A URL or a path, with `{host}`, `{path}` and `{uri}`.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u64,
}

/// An answer without a backend.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RespondDraft {
    /// 200-599.
    pub status: u64,
    /// Sent as it is.
    pub body: String,
    /// Of the body.
    pub content_type: String,
}

/// A page of the user's own in place of an answer of pylb.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageDraft {
    /// Sent as it is.
    pub body: String,
    /// Of the body.
    pub content_type: String,
}

/// How many requests each client may send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitDraft {
    /// Per second, in the long run.
    pub rate: f64,
    /// At once, after a pause.
    pub burst: u64,
    /// Who counts as one client.
    pub key: RateKeyDraft,
}

/// Who counts as one client of a rate limit.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateKeyDraft {
    /// The client's address.
    Client,
    /// Whoever sends this header with the same value.
    Header(String),
    /// Whoever sends this cookie with the same value.
    Cookie(String),
}

/// What is sent in place of the path and host asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewriteDraft {
    /// Removed from the start of the path, up to a segment's border.
    pub strip_prefix: Option<String>,
    /// Put in place of the prefix that the route matches.
    pub replace_prefix: Option<String>,
    /// Put in place of the whole path.
    pub path: Option<String>,
    /// Put in place of the Host.
    pub host: Option<String>,
}

/// Changes to the fields of a head, in this order: `remove`, `set`, `add`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadersDraft {
    /// Each put in place of all fields of its name.
    pub set: Named<String>,
    /// Each put beside the fields of its name.
    pub add: Named<String>,
    /// Names of fields that do not go on.
    pub remove: Vec<String>,
}

/// Milliseconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTimeouts {
    /// Until the head of the response.
    pub response_head: u64,
    /// Without a byte of the response body.
    pub response_idle: u64,
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
}

/// The access log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogDraft {
    /// `stdout`, `stderr`, `off` or an absolute path.
    pub access: String,
    /// How a line looks.
    pub format: FormatName,
}

/// How a line of the access log looks.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormatName {
    /// One JSON object.
    Json,
    /// Apache's combined log format.
    Combined,
}

/// A mapping that keeps the order of the file.
#[derive(Debug)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(InOrder(PhantomData))
    }
}

struct InOrder<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
    type Value = Named<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a mapping of names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Named(entries))
    }
}
