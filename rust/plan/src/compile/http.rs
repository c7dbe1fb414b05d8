//! What a listener says about HTTP: which heads it accepts, how patient it is, where requests go.

use super::listeners::networks;
use super::numbers::{count, millis, within};
use super::routes::{Context, Routes, routes};
use crate::draft::{EncodedSlash, HalfClose, LimitsDraft, ListenerDraft, PathForm};
use crate::error::{At, Errors};
use crate::listener::Http;
use crate::redirect::Redirect;

/// A head is kept whole for as long as its request lives, so no listener may ask for more than the default.
const LARGEST_HEAD: u64 = 64 * 1024;
/// Less than this serves nobody.
const SMALLEST_LIMIT: u64 = 64;
const MOST_FIELDS: u64 = 1024;
/// Where browsers look when a URL says `https` and no port.
const HTTPS: u64 = 443;

pub(super) fn http(at: &At<'_>, name: &str, draft: &ListenerDraft, context: &Context<'_>, errors: &mut Errors) -> Http {
    let redirect_https = redirect(&at.key("redirect_https"), draft, errors);
    if draft.routes.is_empty() && redirect_https.is_none() {
        errors.add(&at.key("routes"), "is empty; write at least one route, as in `routes: [{pool: web}]`");
    }
    let Routes { routes, patterns, conditions, router } = routes(at, name, &draft.routes, context, errors);
    let timeouts = at.key("timeouts");
    let limits = at.key("limits");
    Http {
        rules: rules(&limits, draft, errors),
        head_ms: millis(&timeouts.key("head"), draft.timeouts.head, errors),
        body_idle_ms: millis(&timeouts.key("body_idle"), draft.timeouts.body_idle, errors),
        keepalive_ms: millis(&timeouts.key("keepalive"), draft.timeouts.keepalive, errors),
        send_idle_ms: millis(&timeouts.key("send_idle"), draft.timeouts.send_idle, errors),
        max_body: draft.limits.body,
        max_requests: count(&limits.key("requests"), draft.limits.requests, errors),
        half_close_keep: draft.half_close == HalfClose::Keep,
        trusted: networks(&at.key("trusted_proxies"), &draft.trusted_proxies, errors),
        redirect_https: redirect_https.map(Box::new),
        routes,
        patterns,
        conditions,
        router,
    }
}

/// Where requests in clear go: the same URL, as `https`.
fn redirect(at: &At<'_>, draft: &ListenerDraft, errors: &mut Errors) -> Option<Redirect> {
    let port = within(at, draft.redirect_https?, 1, u64::from(u16::MAX), errors);
    if draft.tls.is_some() {
        errors.add(
            at,
            "is for clients that come in clear, and with `tls` nobody does; write it in the listener of port 80",
        );
    }
    let to = match port {
        HTTPS => "https://{host}{uri}".to_owned(),
        port => format!("https://{{host}}:{port}{{uri}}"),
    };
    errors.keep(at, Redirect::parse(308, &to))
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
