//! What Python sends: the user's file with every default filled in, every name resolved and every unit converted, as
//! JSON. Durations are milliseconds, sizes are bytes.
//!
//! Python checks the *shape* of the file and reports mistakes of shape in the user's words, so there are no defaults
//! here and an unknown field is refused: a draft of another shape means that the two layers disagree. What a value
//! *means* (is this an address? does this pool exist?) is checked in `compile`. Keys and list positions are those of
//! the file, so a path in the draft is a path in the file.

mod listeners;
mod pools;
mod routes;
mod tls;

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

pub use listeners::{
    EncodedSlash, HalfClose, LimitsDraft, ListenerDraft, ListenerTimeouts, NameDraft, NameMatchDraft, PathForm,
    Protocol, ProxyDraft, UdpDraft,
};
pub use pools::{
    BackendDraft, BalanceDraft, IdsDraft, KeyDraft, OnLost, PageDraft, PassiveDraft, PolicyName, PoolDraft,
    PoolTimeouts, ProxyVersion, QueueDraft, RetriesDraft, Secure, StickyDraft,
};
pub use routes::{
    FieldDraft, HeadersDraft, MatchDraft, PathDraft, PatternDraft, RateKeyDraft, RateLimitDraft, RedirectDraft,
    RespondDraft, RewriteDraft, RouteDraft, RouteTimeouts, ValueDraft,
};
pub use tls::{
    AuthMode, CertificateDraft, ClientAuthDraft, ClientHeadersDraft, MinVersion, PairDraft, PoolTlsDraft, TlsDraft,
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
