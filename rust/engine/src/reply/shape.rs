//! Which form does an answer of ours take? The client's wishes, read from its head.

use wire::Head;

use super::{Answer, Asker, Body};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A response that consists of trailers only, with this media type.
    Grpc(&'static str),
    /// A body as configured.
    Page,
    Json,
    Text,
}

impl Shape {
    pub(super) fn of(answer: &Answer, to: &Asker<'_>) -> Self {
        if answer.status >= 400
            && let Some(media) = to.request.and_then(grpc_media)
        {
            return Shape::Grpc(media);
        }
        if answer.body == Body::Page {
            return Shape::Page;
        }
        let json = to.request.is_some_and(accepts_json);
        match to.page {
            // A page for people is no use to a program; one that is JSON itself is for both.
            Some(page) if !json || is_json(page.content_type.as_bytes()) => Shape::Page,
            _ if json => Shape::Json,
            _ => Shape::Text,
        }
    }
}

/// The media type for the answer, if the request is gRPC (`application/grpc`, also with `+proto`) or gRPC-Web.
fn grpc_media(head: &Head) -> Option<&'static str> {
    let media = essence(head.field(b"content-type")?);
    let rest = media.get(16..).filter(|_| media[..16].eq_ignore_ascii_case(b"application/grpc"))?;
    match rest {
        [] | [b'+', ..] => Some("application/grpc"),
        [b'-', ..] if rest.len() >= 9 && rest[..9].eq_ignore_ascii_case(b"-web-text") => {
            Some("application/grpc-web-text")
        }
        [b'-', ..] if rest.len() >= 4 && rest[..4].eq_ignore_ascii_case(b"-web") => Some("application/grpc-web"),
        _ => None,
    }
}

fn accepts_json(head: &Head) -> bool {
    let wanted = |media| is_json(media) && !is_refused(media);
    head.field(b"accept").is_some_and(|accept| accept.split(|byte| *byte == b',').any(wanted))
}

/// Whether a media range says `q=0`: not acceptable (RFC 9110, section 12.4.2).
fn is_refused(media: &[u8]) -> bool {
    media.split(|byte| *byte == b';').skip(1).any(|parameter| match parameter.trim_ascii() {
        [b'q' | b'Q', b'=', b'0', rest @ ..] => rest.iter().all(|digit| matches!(digit, b'.' | b'0')),
        _ => false,
    })
}

fn is_json(media: &[u8]) -> bool {
    essence(media).eq_ignore_ascii_case(b"application/json")
}

/// A media type without its parameters.
fn essence(media: &[u8]) -> &[u8] {
    media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}
