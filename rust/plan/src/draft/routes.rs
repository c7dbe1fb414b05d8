//! Routes: which requests, and what becomes of them.

use serde::Deserialize;

use super::Named;

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
