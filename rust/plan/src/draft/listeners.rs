//! Listeners: what is spoken where, with whom, and how much of it.

use serde::Deserialize;

use super::{RouteDraft, TlsDraft};

/// A listener.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerDraft {
    /// `0.0.0.0:8080`, `:8080`, `[::]:80`, `unix:/run/x.sock` or `fd:3`.
    pub bind: Vec<String>,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Peers that say in a PROXY header for whom they connect; null is nobody.
    pub proxy_protocol: Option<ProxyDraft>,
    /// TLS is terminated here; null is not. `http` and `tcp` only.
    pub tls: Option<TlsDraft>,
    /// The port of `https` URLs that requests in clear are sent to; null serves them. `http` only.
    pub redirect_https: Option<u64>,
    /// Where everything goes. `tcp` and `udp` only.
    pub pool: Option<String>,
    /// How flows end. `udp` only.
    pub udp: Option<UdpDraft>,
    /// Where clients go by what they say before TLS begins; called `routes` in the file. `tls` only.
    pub names: Vec<NameDraft>,
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
    /// The first that matches wins. `http` only, like what is about requests above; for other protocols it is there
    /// with its defaults.
    pub routes: Vec<RouteDraft>,
}

/// What a listener speaks.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.
    Http,
    /// Bytes both ways, whatever they mean.
    Tcp,
    /// Datagrams both ways.
    Udp,
    /// TLS that is passed on as it is, by the name that the client asks for.
    Tls,
}

/// Who speaks for others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyDraft {
    /// Networks (`10.0.0.0/8`) or single addresses. Whoever connects from there has to send a PROXY header.
    pub from: Vec<String>,
}

/// How flows of datagrams end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpDraft {
    /// Milliseconds without a datagram in either direction.
    pub idle: u64,
    /// The datagrams of a backend after which its flow has ended; null is no limit.
    pub replies: Option<u64>,
    /// Flows at once, over all workers; beyond that the oldest ends.
    pub flows: u64,
}

/// Where clients go that ask for a name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameDraft {
    /// How logs and metrics call it.
    pub name: Option<String>,
    /// Who goes there.
    #[serde(rename = "match")]
    pub matches: NameMatchDraft,
    /// To the backends of this pool, not decrypted.
    pub pool: Option<String>,
    /// To this listener, as if the client had connected to it.
    pub terminate: Option<String>,
}

/// What a client has to say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameMatchDraft {
    /// `shop.example` or `*.shop.example`; null is any name, and none.
    pub sni: Option<String>,
    /// One of these protocols, as in `h2`; empty is any, and none.
    pub alpn: Vec<String>,
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
    /// A whole TLS handshake.
    pub tls_handshake: u64,
    /// What comes before a protocol can be told: a PROXY header, or the first message of TLS.
    pub hello: u64,
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
