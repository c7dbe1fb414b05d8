//! Listeners and their routes.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Binds;
use super::numbers::{count, millis, within};
use crate::action::{Action, Route};
use crate::draft::{
    Draft, EncodedSlash, HalfClose, LimitsDraft, ListenerDraft, MatchDraft, PathDraft, PathForm, RouteDraft,
};
use crate::error::{At, Errors};
use crate::pattern::{HostPattern, PathPattern};
use crate::plan::Listener;
use crate::route::{Pattern, Router};
use crate::suggest::unknown;

/// A head is kept whole for as long as its request lives, so no listener may ask for more than the default.
const LARGEST_HEAD: u64 = 64 * 1024;
/// Less than this serves nobody.
const SMALLEST_LIMIT: u64 = 64;
const MOST_FIELDS: u64 = 1024;

pub(super) fn listeners(draft: &Draft, binds: &mut Binds, errors: &mut Errors) -> Vec<Listener> {
    let all = At::root("listeners");
    let pools = Names::new(draft);
    let compile = |(name, draft): &(String, ListenerDraft)| {
        let at = all.key(name);
        listener(&at, name, draft, &pools, binds, errors)
    };
    draft.listeners.0.iter().map(compile).collect()
}

fn listener(
    at: &At<'_>,
    name: &str,
    draft: &ListenerDraft,
    pools: &Names<'_>,
    binds: &mut Binds,
    errors: &mut Errors,
) -> Listener {
    if draft.bind.is_empty() {
        errors.add(&at.key("bind"), "is empty; write where to listen, as in `bind: :8080`");
    }
    let binds = binds.take(&at.key("bind"), &draft.bind, errors);
    let (routes, router) = routes(at, name, &draft.routes, pools, errors);
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

fn networks(at: &At<'_>, written: &[String], errors: &mut Errors) -> Vec<IpNet> {
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

fn routes(
    at: &At<'_>,
    listener: &str,
    drafts: &[RouteDraft],
    pools: &Names<'_>,
    errors: &mut Errors,
) -> (Vec<Route>, Router) {
    let all = at.key("routes");
    if drafts.is_empty() {
        errors.add(&all, "is empty; write at least one route, as in `routes: [{pool: web}]`");
    }
    let mut routes = Vec::with_capacity(drafts.len());
    let mut patterns = Vec::with_capacity(drafts.len());
    let mut named = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let at = all.index(index);
        let name = draft.name.clone().unwrap_or_else(|| format!("{listener}#{}", index + 1));
        check_route_name(&at, &name, index, &mut named, errors);
        patterns.push(pattern(&at.key("match"), &draft.matches, errors));
        let timeouts = at.key("timeouts");
        routes.push(Route {
            name: name.into(),
            action: action(&at, draft, pools, errors),
            response_head_ms: millis(&timeouts.key("response_head"), draft.timeouts.response_head, errors),
            response_idle_ms: millis(&timeouts.key("response_idle"), draft.timeouts.response_idle, errors),
            limit: None,
            request: None,
            response: None,
        });
    }
    (routes, Router::new(&patterns))
}

fn action(at: &At<'_>, draft: &RouteDraft, pools: &Names<'_>, errors: &mut Errors) -> Action {
    let Some(pool) = &draft.pool else {
        errors.add(at, "has nothing to do with its requests; write where they go, as in `pool: web`");
        return Action::Pool(0);
    };
    Action::Pool(pools.position(&at.key("pool"), pool, errors))
}

fn check_route_name(at: &At<'_>, name: &str, index: usize, named: &mut HashMap<String, usize>, errors: &mut Errors) {
    if name.is_empty() {
        errors.add(&at.key("name"), "is empty; leave `name` out or write one");
    }
    if let Some(first) = named.insert(name.to_owned(), index) {
        errors.add(&at.key("name"), format!("`{name}` is the name of route {} already; give each its own", first + 1));
    }
}

/// A broken pattern stands for "any" in a plan that will not be.
fn pattern(at: &At<'_>, draft: &MatchDraft, errors: &mut Errors) -> Pattern {
    let host = draft.host.as_deref().and_then(|host| errors.keep(&at.key("host"), HostPattern::parse(host)));
    let path = match &draft.path {
        Some(PathDraft::Plain(path)) => errors.keep(&at.key("path"), PathPattern::parse(path)),
        _ => None,
    };
    Pattern { host: host.unwrap_or(HostPattern::Any), path: path.unwrap_or(PathPattern::Any) }
}

/// The pools of the draft, by name.
struct Names<'d> {
    draft: &'d Draft,
    positions: HashMap<&'d str, u32>,
}

impl<'d> Names<'d> {
    fn new(draft: &'d Draft) -> Self {
        let positions =
            draft.pools.0.iter().zip(0u32..).map(|((name, _), position)| (name.as_str(), position)).collect();
        Names { draft, positions }
    }

    fn position(&self, at: &At<'_>, name: &str, errors: &mut Errors) -> u32 {
        self.positions.get(name).copied().unwrap_or_else(|| {
            errors.add(at, unknown("pool", name, self.draft.pools.0.iter().map(|(name, _)| name.as_str())));
            0
        })
    }
}
