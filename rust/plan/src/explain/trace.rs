//! What is told of a decision: plain data, which goes to Python as JSON.

use serde::Serialize;

use super::text;
use crate::decide::{Body, Reply};

/// What became of it.
#[derive(Debug, Default, Serialize)]
pub struct Trace {
    pub(super) listener: String,
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) client: String,
    /// A head that no listener takes: nothing is decided then.
    pub(super) refused: Option<Refused>,
    /// Routes before the one taken, and why each was not.
    pub(super) routes: Vec<Passed>,
    /// How many more there are.
    pub(super) more: usize,
    pub(super) route: Option<Named>,
    pub(super) rate: Option<Rate>,
    pub(super) split: Option<Chosen>,
    pub(super) pool: Option<String>,
    /// `none`, `honoured` or `issued`, in a pool with sessions.
    pub(super) sticky: Option<&'static str>,
    pub(super) policy: Option<&'static str>,
    pub(super) backend: Option<Place>,
    /// `full` or `pinned`: for any place, or for one where the client belongs.
    pub(super) wait: Option<&'static str>,
    /// The target and the Host that the backend gets.
    pub(super) target: Option<String>,
    pub(super) host_sent: Option<String>,
    /// The whole head that the backend gets, by lines.
    pub(super) sent: Vec<String>,
    /// What the route changes: `set`, `add` or `remove`, with the field.
    pub(super) request_headers: Vec<String>,
    pub(super) response_headers: Vec<String>,
    pub(super) answer: Option<Answer>,
}

/// Why the head was not understood, and the status that says so.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) why: &'static str,
}

/// A route that did not match.
#[derive(Debug, Serialize)]
pub(super) struct Passed {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) why: String,
}

/// A route, by its position in its listener.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    pub(super) index: u32,
    pub(super) name: String,
}

/// The rate limit of the route, with this request counted.
#[derive(Debug, Serialize)]
pub(super) struct Rate {
    /// Who counts as one client.
    pub(super) by: String,
    /// Requests at once.
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Seconds in which an empty limit fills up.
    pub(super) window: u32,
}

/// The pool of a split.
#[derive(Debug, Serialize)]
pub(super) struct Chosen {
    pub(super) pool: String,
    pub(super) by: String,
}

/// A backend, and where it listens.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) address: String,
}

/// An answer of pylb itself.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) why: &'static str,
    /// Seconds.
    pub(super) retry_after: Option<u32>,
    pub(super) location: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) body: Option<String>,
}

impl Answer {
    pub(super) fn new(reply: &Reply<'_>) -> Self {
        let (why, page) = match reply.body {
            Body::Line(line) => (line, None),
            Body::Page(page) => ("The route answers itself.", Some(page)),
        };
        Answer {
            status: reply.status,
            why,
            retry_after: reply.retry_after,
            location: reply.location.as_deref().map(text),
            content_type: page.map(|page| page.content_type.to_string()),
            body: page.map(|page| text(&page.body)),
        }
    }
}
