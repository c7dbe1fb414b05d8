//! Listeners: where they are bound, whom they trust, how patient and how strict they are.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Binds;
use super::numbers::{count, millis, within};
use super::routes::{Context, Routes, routes};
use crate::draft::{Draft, EncodedSlash, HalfClose, LimitsDraft, ListenerDraft, PathForm};
use crate::error::{At, Errors};
use crate::plan::{Listener, Plan};

/// A head is kept whole for as long as its request lives, so no listener may ask for more than the default.
const LARGEST_HEAD: u64 = 64 * 1024;
/// Less than this serves nobody.
const SMALLEST_LIMIT: u64 = 64;
const MOST_FIELDS: u64 = 1024;

pub(super) fn listeners(
    draft: &Draft,
    previous: Option<&Plan>,
    seed: u64,
    binds: &mut Binds,
    errors: &mut Errors,
) -> Vec<Listener> {
    let all = At::root("listeners");
    let context = Context::new(draft, previous, seed);
    let compile = |(name, draft): &(String, ListenerDraft)| {
        let at = all.key(name);
        listener(&at, name, draft, &context, binds, errors)
    };
    draft.listeners.0.iter().map(compile).collect()
}

fn listener(
    at: &At<'_>,
    name: &str,
    draft: &ListenerDraft,
    context: &Context<'_>,
    binds: &mut Binds,
    errors: &mut Errors,
) -> Listener {
    if draft.bind.is_empty() {
        errors.add(&at.key("bind"), "is empty; write where to listen, as in `bind: :8080`");
    }
    let binds = binds.take(&at.key("bind"), &draft.bind, errors);
    let Routes { routes, patterns, conditions, router } = routes(at, name, &draft.routes, context, errors);
    let timeouts = at.key("timeouts");
    let limits = at.key("limits");
    Listener {
        name: name.into(),
        binds,
        rules: rules(&limits, draft, errors),
        head_ms: millis(&timeouts.key("head"), draft.timeouts.head, errors),
        body_idle_ms: millis(&timeouts.key("body_idle"), draft.timeouts.body_idle, errors),
        keepalive_ms: millis(&timeouts.key("keepalive"), draft.timeouts.keepalive, errors),
        send_idle_ms: millis(&timeouts.key("send_idle"), draft.timeouts.send_idle, errors),
        max_body: draft.limits.body,
        max_requests: count(&limits.key("requests"), draft.limits.requests, errors),
        half_close_keep: draft.half_close == HalfClose::Keep,
        trusted: networks(&at.key("trusted_proxies"), &draft.trusted_proxies, errors),
        access_log: draft.access_log,
        routes,
        patterns,
        conditions,
        router,
    }
}

fn rules(at: &At<'_>, draft: &ListenerDraft, errors: &mut Errors) -> wire::Rules {
    let LimitsDraft { head, fields, request_line, field, .. } = draft.limits;
    let head = within(&at.key("head"), head, SMALLEST_LIMIT, LARGEST_HEAD, errors);
    let mut size = |key, value| within(&at.key(key), value, SMALLEST_LIMIT, LARGEST_HEAD, errors) as usize;
    wire::Rules {
        limits: wire::Limits {
            head: head as usize,
            request_line: size("request_line", request_line),
            field: size("field", field),
            fields: within(&at.key("fields"), fields, 1, MOST_FIELDS, errors) as usize,
        },
        lenient: draft.lenient,
        reject_encoded_slash: draft.encoded_slash == EncodedSlash::Reject,
        raw_path: draft.path == PathForm::Raw,
    }
}

pub(super) fn networks(at: &At<'_>, written: &[String], errors: &mut Errors) -> Vec<IpNet> {
    let parse = |(index, written): (usize, &String)| errors.keep(&at.index(index), network(written));
    written.iter().enumerate().filter_map(parse).collect()
}

/// `10.0.0.0/8`, or one address.
fn network(written: &str) -> Result<IpNet, String> {
    if let Ok(address) = written.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let Ok(network) = written.parse::<IpNet>() else {
        return Err(format!(
            "`{written}` is not a network; expected `10.0.0.0/8`, `2001:db8::/32` or a single address"
        ));
    };
    if network != network.trunc() {
        let (whole, one) = (network.trunc(), network.addr());
        return Err(format!(
            "`{written}` is an address inside a network; write `{whole}` for the network or `{one}` for the address"
        ));
    }
    Ok(network)
}
