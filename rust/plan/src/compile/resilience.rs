//! What a pool does when a request cannot be served at once: wait, try again, or send a page.

use super::numbers::{count, millis, within};
use crate::action::Page;
use crate::draft::{Named, PageDraft, QueueDraft, RetriesDraft};
use crate::error::{At, Errors};
use crate::pool::{On, Queue, Retries};
use crate::suggest::unknown;

/// More would hold more memory than a queue of requests is worth.
const LONGEST_QUEUE: u64 = 1 << 20;
/// A body is copied for as long as its request may be sent again.
const LARGEST_REPLAY: u64 = 16 << 20;
const MOST_TRIES: u64 = 16;

const FAILURES: [&str; 6] = ["connect", "stale", "closed", "refused_stream", "timeout", "reset"];

pub(super) fn queue(at: &At<'_>, draft: &QueueDraft, errors: &mut Errors) -> Queue {
    Queue {
        size: within(&at.key("size"), draft.size, 0, LONGEST_QUEUE, errors) as u32,
        timeout_ms: millis(&at.key("timeout"), draft.timeout, errors),
    }
}

pub(super) fn retries(at: &At<'_>, draft: &RetriesDraft, errors: &mut Errors) -> Retries {
    Retries {
        tries: within(&at.key("tries"), draft.tries, 1, MOST_TRIES, errors) as u32,
        on: on(&at.key("on"), &draft.on, errors),
        budget_percent: within(&at.key("budget"), draft.budget, 0, 100, errors) as u32,
        replay_bytes: within(&at.key("replay"), draft.replay, 0, LARGEST_REPLAY, errors) as u32,
        per_try_ms: draft.per_try.map(|value| millis(&at.key("per_try"), value, errors)),
    }
}

fn on(at: &At<'_>, written: &[String], errors: &mut Errors) -> On {
    let mut on = On::default();
    for (index, name) in written.iter().enumerate() {
        match name.as_str() {
            "connect" => on.connect = true,
            "stale" => on.stale = true,
            "closed" => on.closed = true,
            "refused_stream" => on.refused_stream = true,
            "timeout" => on.timeout = true,
            "reset" => on.reset = true,
            status => match status.parse() {
                Ok(status @ 500..=599) => on.statuses.push(status),
                Ok(_) => errors.add(&at.index(index), format!("`{status}` is no server error; expected 500 to 599")),
                Err(_) => errors.add(&at.index(index), unknown("failure", status, FAILURES.into_iter())),
            },
        }
    }
    on
}

/// Pages in place of answers of pylb, which have statuses from 400 on.
pub(super) fn pages(at: &At<'_>, drafts: &Named<PageDraft>, errors: &mut Errors) -> Vec<(u16, Page)> {
    let mut pages = Vec::with_capacity(drafts.0.len());
    for (name, draft) in &drafts.0 {
        match name.parse() {
            Ok(status @ 400..=599) => pages.push((status, page(&at.key(name).key("content_type"), draft, errors))),
            _ => errors.add(&at.key(name), format!("`{name}` is not the status of an error; expected 400 to 599")),
        }
    }
    pages
}

fn page(at: &At<'_>, draft: &PageDraft, errors: &mut Errors) -> Page {
    self::body(at, &draft.content_type, &draft.body, errors)
}

/// A body that is sent as it is.
pub(super) fn body(at: &At<'_>, content_type: &str, body: &str, errors: &mut Errors) -> Page {
    if content_type.is_empty() || !content_type.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        errors.add(at, format!("`{}` is no media type; write one such as `text/html`", content_type.escape_default()));
    }
    Page { content_type: content_type.into(), body: body.as_bytes().into() }
}

/// Milliseconds, where 0 means at once.
pub(super) fn ramp(at: &At<'_>, value: u64, errors: &mut Errors) -> u32 {
    if value == 0 { 0 } else { millis(at, value, errors) }
}

/// The most requests of a backend at once.
pub(super) fn limit(at: &At<'_>, value: Option<u64>, errors: &mut Errors) -> Option<u32> {
    value.map(|value| count(at, value, errors))
}
