//! What becomes of the requests of a route.

use std::sync::Arc;

use balance::rate::Buckets;

use super::fields::{cookie, field, header};
use super::numbers::{count, within};
use super::resilience::body;
use super::routes::Context;
use crate::action::{Action, Limit, Split};
use crate::draft::{RateKeyDraft, RedirectDraft, RespondDraft, RouteDraft};
use crate::error::{At, Errors};
use crate::key::Key;
use crate::redirect::Redirect;

/// Shares are summed, and the sum has to fit.
const LARGEST_SHARE: u64 = 1 << 32;
/// Faster than a nanosecond per request is no limit.
const FASTEST: f64 = 1e9;

pub(super) fn action(at: &At<'_>, draft: &RouteDraft, context: &Context<'_>, errors: &mut Errors) -> Action {
    match draft {
        RouteDraft { pool: Some(pool), split: None, redirect: None, respond: None, .. } => {
            Action::Pool(context.pool(&at.key("pool"), pool, errors))
        }
        RouteDraft { pool: None, split: Some(_), redirect: None, respond: None, .. } => {
            Action::Split(Box::new(split(at, draft, context, errors)))
        }
        RouteDraft { pool: None, split: None, redirect: Some(draft), respond: None, .. } => {
            redirect(&at.key("redirect"), draft, errors)
        }
        RouteDraft { pool: None, split: None, redirect: None, respond: Some(draft), .. } => {
            respond(&at.key("respond"), draft, errors)
        }
        _ => {
            errors
                .add(at, "has to say one thing that becomes of its requests: `pool`, `split`, `redirect` or `respond`");
            Action::Pool(0)
        }
    }
}

fn split(at: &At<'_>, draft: &RouteDraft, context: &Context<'_>, errors: &mut Errors) -> Split {
    let all = at.key("split");
    let mut shares = Vec::new();
    let mut sum = 0;
    for (name, share) in draft.split.iter().flat_map(|split| &split.0) {
        let at = all.key(name);
        sum += within(&at, *share, 0, LARGEST_SHARE, errors);
        shares.push((context.pool(&at, name, errors), sum));
    }
    if sum == 0 {
        errors.add(&all, "sends nobody anywhere; write pools with their shares, as in `split: {web: 95, canary: 5}`");
    }
    let by = draft.split_by.as_ref().map(|draft| field(&at.key("split_by"), draft, errors));
    Split { shares, by: by.unwrap_or(Key::None) }
}

fn redirect(at: &At<'_>, draft: &RedirectDraft, errors: &mut Errors) -> Action {
    let status = match draft.status {
        301 | 302 | 303 | 307 | 308 => draft.status as u16,
        other => {
            errors.add(&at.key("status"), format!("{other} is no redirect; expected 301, 302, 303, 307 or 308"));
            308
        }
    };
    let target = errors.keep(&at.key("to"), Redirect::parse(status, &draft.to));
    target.map_or(Action::Pool(0), |target| Action::Redirect(Box::new(target)))
}

fn respond(at: &At<'_>, draft: &RespondDraft, errors: &mut Errors) -> Action {
    let status = within(&at.key("status"), draft.status, 200, 599, errors) as u16;
    if matches!(status, 204 | 205 | 304) && !draft.body.is_empty() {
        errors.add(&at.key("body"), format!("an answer with status {status} has no body; leave it out"));
    }
    Action::Respond(status, Box::new(body(&at.key("content_type"), &draft.content_type, &draft.body, errors)))
}

/// The rate limit of a route. If it is the one `before`, its buckets go on.
pub(super) fn limit(
    at: &At<'_>,
    draft: &RouteDraft,
    before: Option<&Limit>,
    seed: u64,
    errors: &mut Errors,
) -> Option<Box<Limit>> {
    let draft = draft.rate_limit.as_ref()?;
    let at = at.key("rate_limit");
    if !(draft.rate > 0.0 && draft.rate <= FASTEST) {
        errors.add(&at.key("rate"), "expected a rate above 0, such as `100/s`");
    }
    let burst = count(&at.key("burst"), draft.burst, errors);
    let place = at.key("key");
    let key = match &draft.key {
        RateKeyDraft::Client => Key::ClientIp,
        RateKeyDraft::Header(name) => Key::Header(header(&place.key("header"), name, errors)),
        RateKeyDraft::Cookie(name) => Key::Cookie(cookie(&place.key("cookie"), name, errors)),
    };
    let kept = before.filter(|before| before.key == key && before.buckets.is_for(draft.rate, burst));
    let buckets = kept.map(|before| Arc::clone(&before.buckets));
    let buckets = buckets.unwrap_or_else(|| Arc::new(Buckets::new(draft.rate, burst, seed)));
    let window = (f64::from(burst) / draft.rate).ceil().max(1.0) as u32;
    Some(Box::new(Limit { buckets, window, key }))
}
