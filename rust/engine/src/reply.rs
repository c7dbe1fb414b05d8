//! Answers of pylb itself: one line of text, or JSON for clients that accept it.

use wire::{Head, Method};

use crate::failure::Failure;

/// An answer that no backend gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// The error type of `Proxy-Status` (RFC 9209).
    pub error: Option<&'static str>,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
    pub text: &'static str,
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let status = failure.status();
        Answer {
            status,
            error: failure.proxy_error(),
            retry_after: (status == 503).then_some(1),
            text: failure.explain(),
        }
    }
}

impl From<plan::Reply<'_>> for Answer {
    fn from(reply: plan::Reply<'_>) -> Self {
        let text = match reply.body {
            plan::Body::Line(text) => text,
            plan::Body::Page(_) => "",
        };
        Answer { status: reply.status, error: reply.error, retry_after: reply.retry_after, text }
    }
}

impl Answer {
    /// Renders the whole answer into `out`. Without a request (its head was not understood) it is plain text.
    pub(crate) fn render(&self, request: Option<&Head>, id: &[u8], keep_alive: bool, out: &mut Vec<u8>) {
        let json = request.is_some_and(accepts_json);
        let mut body = Vec::with_capacity(128);
        if json {
            let id = String::from_utf8_lossy(id);
            let fields = serde_json::json!({
                "status": self.status, "error": self.error, "message": self.text, "request_id": id,
            });
            body.extend_from_slice(fields.to_string().as_bytes());
        } else {
            body.extend_from_slice(self.status.to_string().as_bytes());
            for piece in [" ", phrase(self.status), ": ", self.text] {
                body.extend_from_slice(piece.as_bytes());
            }
        }
        body.push(b'\n');
        self.render_head(json, body.len(), id, keep_alive, out);
        if request.is_none_or(|head| head.method() != Method::Head) {
            out.extend_from_slice(&body);
        }
    }

    fn render_head(&self, json: bool, length: usize, id: &[u8], keep_alive: bool, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        let mut put = |name: &str, value: &[u8]| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        };
        put("HTTP/1.1 ", format!("{} {}", self.status, phrase(self.status)).as_bytes());
        put("content-type: ", if json { b"application/json" } else { b"text/plain; charset=utf-8" });
        put("content-length: ", number.format(length).as_bytes());
        put("x-request-id: ", id);
        if let Some(error) = self.error {
            put("proxy-status: pylb; error=", error.as_bytes());
        }
        if let Some(seconds) = self.retry_after {
            put("retry-after: ", number.format(seconds).as_bytes());
        }
        if self.status == 405 {
            put("allow: ", b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
        }
        if !keep_alive {
            put("connection: ", b"close");
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn accepts_json(head: &Head) -> bool {
    head.field(b"accept").is_some_and(|accept| {
        accept.split(|byte| *byte == b',').any(|range| {
            let media = range.split(|byte| *byte == b';').next().unwrap_or_default();
            media.trim_ascii().eq_ignore_ascii_case(b"application/json")
        })
    })
}

/// The reason phrases of RFC 9110, 15, for the statuses that pylb answers with.
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}
