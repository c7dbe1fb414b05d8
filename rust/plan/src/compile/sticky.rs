//! How clients stay with a backend of a pool.

use super::fields::{cookie, field, key};
use super::numbers::millis;
use crate::draft::{IdsDraft, KeyDraft, OnLost, StickyDraft};
use crate::error::{At, Errors};
use crate::key::Key;
use crate::pool::{Sticky, StickyBy};

pub(super) fn sticky(at: &At<'_>, draft: &StickyDraft, errors: &mut Errors) -> Sticky {
    let (by, ttl, on_lost) = match draft {
        StickyDraft::Cookie { name, ttl, on_lost, path, secure: _, ids } => {
            let name = String::from_utf8_lossy(&cookie(&at.key("name"), name, errors)).into();
            (StickyBy::Cookie { name, path: path.as_str().into(), ids: all_ids(at, ids, errors) }, ttl, on_lost)
        }
        StickyDraft::Key { header, cookie, query, ttl, on_lost } => {
            let named = [
                header.clone().map(KeyDraft::Header),
                cookie.clone().map(KeyDraft::Cookie),
                query.clone().map(KeyDraft::Query),
            ];
            (StickyBy::Key(one_of(at, named, errors)), ttl, on_lost)
        }
        StickyDraft::SourceIp { ttl, on_lost } => (StickyBy::Key(Key::ClientIp), ttl, on_lost),
        StickyDraft::Learn { response, request, ttl, on_lost } => {
            let response = field(&at.key("response"), response, errors);
            let request = key(&at.key("request"), request, errors);
            (StickyBy::Learned { response, request }, ttl, on_lost)
        }
    };
    Sticky { by, ttl_ms: millis(&at.key("ttl"), *ttl, errors), fail_if_lost: *on_lost == OnLost::Fail }
}

fn one_of(at: &At<'_>, named: [Option<KeyDraft>; 3], errors: &mut Errors) -> Key {
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(draft), None) => key(at, &draft, errors),
        _ => {
            errors.add(at, "needs one key, as in `sticky: {header: x-session}`");
            Key::None
        }
    }
}

fn all_ids(at: &At<'_>, drafts: &[IdsDraft], errors: &mut Errors) -> Vec<(u8, Vec<u64>)> {
    let parse = |id: &String| u64::from_str_radix(id, 16).ok();
    let mut keys = Vec::with_capacity(drafts.len());
    for draft in drafts {
        match draft.ids.iter().map(parse).collect() {
            Some(ids) => keys.push((draft.number, ids)),
            None => errors.add(&at.key("ids"), "holds an id that is no number of 64 bits"),
        }
    }
    keys
}
