//! What Python sends: the user's file with every default filled in, every name resolved and every unit converted, as
//! JSON. Durations are milliseconds, sizes are bytes.
//!
//! Python checks the *shape* of the file and reports mistakes of shape in the user's words, so there are no defaults
//! here and an unknown field is refused: a draft of another shape means that the two layers disagree. What a value
//! *means* (is this an address? does this pool exist?) is checked in `compile`. Keys and list positions are those of
//! the file, so a path in the draft is a path in the file.

mod pools;
mod routes;

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

pub use pools::{
    BackendDraft, BalanceDraft, IdsDraft, KeyDraft, OnLost, PageDraft, PassiveDraft, PolicyName, PoolDraft,
    PoolTimeouts, QueueDraft, RetriesDraft, Secure, StickyDraft,
};
pub use routes::{
    FieldDraft, HeadersDraft, MatchDraft, PathDraft, PatternDraft, RateKeyDraft, RateLimitDraft, RedirectDraft,
    RespondDraft, RewriteDraft, RouteDraft, RouteTimeouts, ValueDraft,
};

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
