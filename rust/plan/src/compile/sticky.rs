//! How clients stay with a backend of a pool.

use std::sync::Arc;
use std::time::Duration;

use balance::Backend;
use balance::sticky::{Ids, Slots, Table};

use super::fields::{cookie, field, key};
use super::numbers::millis;
use crate::draft::{IdsDraft, KeyDraft, OnLost, StickyDraft};
use crate::error::{At, Errors};
use crate::key::Key;
use crate::sticky::{Sticky, StickyBy};

/// What the draft says, without what is remembered.
pub(super) struct Rules {
    by: StickyBy,
    ttl_ms: u32,
    fail_if_lost: bool,
}

/// The rules of a pool with this many backends.
pub(super) fn sticky(at: &At<'_>, draft: &StickyDraft, backends: usize, errors: &mut Errors) -> Rules {
    let (by, ttl, on_lost) = match draft {
        StickyDraft::Cookie { name, ttl, on_lost, path, secure: _, ids } => {
            let name = String::from_utf8_lossy(&cookie(&at.key("name"), name, errors)).into();
            let ids = all_ids(&at.key("ids"), ids, backends, errors);
            (StickyBy::Cookie { name, path: path.as_str().into(), ids }, ttl, on_lost)
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
    Rules { by, ttl_ms: millis(&at.key("ttl"), *ttl, errors), fail_if_lost: *on_lost == OnLost::Fail }
}

impl Rules {
    /// With what the plan before remembers of the same keys.
    pub(super) fn around(self, backends: &[Backend], before: Option<&Sticky>, seed: u64) -> Sticky {
        let Rules { by, ttl_ms, fail_if_lost } = self;
        let known = before.filter(|before| before.by == by).map(|before| Arc::clone(&before.table));
        Sticky {
            slots: Slots::new(backends),
            table: known.unwrap_or_else(|| Arc::new(Table::new(seed))),
            ttl: Duration::from_millis(ttl_ms.into()),
            by,
            fail_if_lost,
        }
    }
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

fn all_ids(at: &At<'_>, drafts: &[IdsDraft], backends: usize, errors: &mut Errors) -> Ids {
    let parse = |id: &String| u64::from_str_radix(id, 16).ok();
    let mut keys = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        match draft.ids.iter().map(parse).collect::<Option<Vec<u64>>>() {
            Some(ids) if ids.len() == backends => keys.push((draft.number, ids)),
            Some(ids) => errors.add(&at.index(index), format!("has {} ids for {backends} backends", ids.len())),
            None => errors.add(&at.index(index), "holds an id that is no number of 64 bits"),
        }
    }
    if drafts.is_empty() {
        errors.add(at, "is empty; without a key no cookie can be issued");
    }
    Ids::new(keys)
}
