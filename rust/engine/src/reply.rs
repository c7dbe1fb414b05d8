//! Answers of pylb itself.
//!
//! *What* is said is decided elsewhere (by the plan's routes, by a [`Failure`]); here it gets its form, and the form is
//! the client's: a gRPC client finds a status in the only place where it looks for one, a program that asks for JSON
//! gets JSON, everybody else the page that the operator configured or one line of text. Whatever the form, the answer
//! names the request (`X-Request-ID`) and, where RFC 9209 has a word for it, the error.
//!
//! In the folder: `shape.rs` reads the request's wishes, `grpc.rs` translates statuses.

use std::borrow::Cow;

use plan::{Page, Reply};
use wire::{FieldEdits, Head, Method, RateLimit, Version};

use crate::failure::Failure;

mod grpc;
mod phrase;
mod shape;

use phrase::phrase;
use shape::Shape;

/// Bytes of an answer with a short body.
const USUAL: usize = 512;

/// An answer that no backend gave.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// The error type of `Proxy-Status` (RFC 9209).
    pub error: Option<&'static str>,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
    /// `Location` of a redirect.
    pub location: Option<Vec<u8>>,
    /// What the client has left of its rate.
    pub rate: Option<RateLimit>,
    pub body: Body,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// One line for people, in the form that the client wants.
    Line(&'static str),
    /// The page, whatever the client wants.
    Page,
}

/// Whom an answer is for.
pub(crate) struct Asker<'a> {
    /// Missing if the head was not understood.
    pub request: Option<&'a Head>,
    pub id: &'a [u8],
    /// Whether the connection lives on.
    pub keep_alive: bool,
    /// What the operator wants said.
    pub page: Option<&'a Page>,
    /// What the route changes on responses. A browser reads an error across origins only if the error allows it.
    pub fields: Option<&'a FieldEdits>,
}

impl Answer {
    /// A status and a line.
    pub(crate) fn line(status: u16, text: &'static str) -> Self {
        Answer { status, error: None, retry_after: None, location: None, rate: None, body: Body::Line(text) }
    }

    /// The whole answer as bytes.
    pub(crate) fn render(&self, to: &Asker<'_>) -> Vec<u8> {
        let shape = Shape::of(self, to);
        let (content_type, body) = self.content(shape, to);
        let status = if matches!(shape, Shape::Grpc(_)) { 200 } else { self.status };
        let mut out = Vec::with_capacity(USUAL + body.len());
        out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", phrase(status)).as_bytes());
        let mut lines = Lines { out: &mut out, edits: to.fields };
        if !matches!(status, 204 | 304) {
            lines.put("content-type", content_type.as_bytes());
            lines.put("content-length", itoa::Buffer::new().format(body.len()).as_bytes());
        }
        self.render_fields(shape, to, &mut lines);
        out.extend_from_slice(to.fields.map_or(b"", FieldEdits::added));
        out.extend_from_slice(b"\r\n");
        let bodiless = to.request.is_some_and(|head| head.method() == Method::Head) || matches!(status, 204 | 304);
        if !bodiless {
            out.extend_from_slice(&body);
        }
        out
    }

    fn render_fields(&self, shape: Shape, to: &Asker<'_>, lines: &mut Lines<'_>) {
        let mut number = itoa::Buffer::new();
        lines.put("x-request-id", to.id);
        if let Shape::Grpc(_) = shape {
            lines.put("grpc-status", number.format(grpc::status(self.status)).as_bytes());
            lines.put("grpc-message", &grpc::message(self.text()));
        }
        if let Some(error) = self.error {
            lines.put("proxy-status", format!("pylb; error={error}").as_bytes());
        }
        if let Some(seconds) = self.retry_after {
            lines.put("retry-after", number.format(seconds).as_bytes());
        }
        if let Some(rate) = self.rate {
            wire::render_rate(rate, lines.out);
        }
        if let Some(location) = &self.location {
            lines.put("location", location);
        }
        if self.status == 405 {
            lines.put("allow", b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
        }
        match to.request.map(Head::version) {
            _ if !to.keep_alive => lines.put("connection", b"close"),
            Some(Version::Http10) => lines.put("connection", b"keep-alive"),
            _ => {}
        }
    }

    /// The media type of the body, and the body.
    fn content<'a>(&self, shape: Shape, to: &Asker<'a>) -> (&'a str, Cow<'a, [u8]>) {
        match (shape, to.page) {
            (Shape::Grpc(media), _) => (media, Cow::Borrowed(&[])),
            (Shape::Page, Some(page)) => (&page.content_type, Cow::Borrowed(&page.body)),
            (Shape::Json, _) => ("application/json", Cow::Owned(self.json(to.id))),
            (Shape::Text | Shape::Page, _) => {
                let line = format!("{} {}: {}\n", self.status, phrase(self.status), self.text());
                ("text/plain; charset=utf-8", Cow::Owned(line.into_bytes()))
            }
        }
    }

    fn json(&self, id: &[u8]) -> Vec<u8> {
        let id = String::from_utf8_lossy(id);
        let fields = serde_json::json!({
            "status": self.status, "error": self.error, "message": self.text(), "request_id": id,
        });
        format!("{fields}\n").into_bytes()
    }

    fn text(&self) -> &'static str {
        match self.body {
            Body::Line(text) => text,
            Body::Page => phrase(self.status),
        }
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let status = failure.status();
        Answer {
            error: failure.proxy_error(),
            retry_after: (status == 503).then_some(1),
            ..Answer::line(status, failure.explain())
        }
    }
}

impl From<Reply<'_>> for Answer {
    fn from(reply: Reply<'_>) -> Self {
        let body = match reply.body {
            plan::Body::Line(text) => Body::Line(text),
            plan::Body::Page(_) => Body::Page,
        };
        let Reply { status, error, retry_after, location, rate, .. } = reply;
        Answer { status, error, retry_after, location, rate, body }
    }
}

/// A head in the making.
struct Lines<'a> {
    out: &'a mut Vec<u8>,
    edits: Option<&'a FieldEdits>,
}

impl Lines<'_> {
    /// A field, unless the route takes it away.
    fn put(&mut self, name: &str, value: &[u8]) {
        if self.edits.is_some_and(|edits| edits.removes(name.as_bytes())) {
            return;
        }
        for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.out.extend_from_slice(piece);
        }
    }
}

#[cfg(test)]
mod tests;
