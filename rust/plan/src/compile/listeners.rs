//! Listeners: where they are bound, what is spoken there, and who speaks for others.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Binds;
use super::http::http;
use super::names::names;
use super::numbers::{count, millis, within};
use super::routes::Context;
use super::tls::tls;
use crate::bind::Bind;
use crate::draft::{Draft, ListenerDraft, Protocol, UdpDraft};
use crate::error::{At, Errors};
use crate::listener::{Datagrams, Listener, Service};
use crate::plan::Plan;

/// Each takes a socket, so nobody has more.
const MOST_FLOWS: u64 = 1 << 20;

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
    if draft.bind.is_empty() && !context.is_reached_by_name(name) {
        errors.add(&at.key("bind"), "is empty; write where to listen, as in `bind: :8080`");
    }
    let parse = if draft.protocol == Protocol::Udp { Bind::parse_udp } else { Bind::parse };
    let binds = binds.take(&at.key("bind"), &draft.bind, parse, errors);
    misplaced(at, draft, errors);
    let service = match draft.protocol {
        Protocol::Http => Service::Http(http(at, name, draft, context, errors)),
        Protocol::Tcp => Service::Tcp { pool: pool(at, draft, context, errors) },
        Protocol::Udp => Service::Udp(datagrams(at, draft, context, errors)),
        Protocol::Tls => Service::Names(names(at, name, &draft.names, context, errors)),
    };
    let timeouts = at.key("timeouts");
    Listener {
        name: name.into(),
        binds,
        access_log: draft.access_log,
        proxy_from: proxy_from(&at.key("proxy_protocol"), draft, errors),
        tls: draft.tls.as_ref().map(|draft| Box::new(tls(&at.key("tls"), draft, errors))),
        tls_handshake_ms: millis(&timeouts.key("tls_handshake"), draft.timeouts.tls_handshake, errors),
        hello_ms: millis(&timeouts.key("hello"), draft.timeouts.hello, errors),
        service,
    }
}

/// What stands at a listener whose protocol has no use for it.
fn misplaced(at: &At<'_>, draft: &ListenerDraft, errors: &mut Errors) {
    use Protocol::{Http, Tcp, Tls, Udp};
    let protocol = draft.protocol;
    let mut deny = |key: &str, written: bool, advice: &str| {
        if written {
            errors.add(&at.key(key), advice);
        }
    };
    let routed = !draft.routes.is_empty() || !draft.names.is_empty();
    deny(
        "proxy_protocol",
        draft.proxy_protocol.is_some() && protocol == Udp,
        "datagrams have no PROXY header; leave it out",
    );
    deny(
        "tls",
        draft.tls.is_some() && protocol == Udp,
        "datagrams carry no TLS; leave it out, or write `protocol: tcp`",
    );
    let passed = "`protocol: tls` passes TLS on as it is; to end it here, write a listener with `tls` and name that by `terminate` in a route";
    deny("tls", draft.tls.is_some() && protocol == Tls, passed);
    let requests = "only requests can be sent elsewhere; it is for `protocol: http`";
    deny("redirect_https", draft.redirect_https.is_some() && protocol != Http, requests);
    let pool = draft.pool.is_some() && matches!(protocol, Http | Tls);
    deny("pool", pool, "is for `protocol: tcp` and `udp`; here write `routes: [{pool: NAME}]`");
    deny("udp", draft.udp.is_some() && protocol != Udp, "is for `protocol: udp`");
    deny(
        "routes",
        routed && matches!(protocol, Tcp | Udp),
        "nothing is told apart here; write `pool: NAME`, where everything goes",
    );
}

/// Where everything of a listener goes.
fn pool(at: &At<'_>, draft: &ListenerDraft, context: &Context<'_>, errors: &mut Errors) -> u32 {
    match &draft.pool {
        Some(pool) => context.pool(&at.key("pool"), pool, errors),
        None => {
            errors.add(at, "has no `pool`; write where everything goes, as in `pool: db`");
            0
        }
    }
}

fn datagrams(at: &At<'_>, draft: &ListenerDraft, context: &Context<'_>, errors: &mut Errors) -> Datagrams {
    let pool = pool(at, draft, context, errors);
    let at = at.key("udp");
    let Some(UdpDraft { idle, replies, flows }) = draft.udp else {
        errors.add(&at, "is missing; write how flows end, as in `udp: {idle: 60s}`");
        return Datagrams { pool, idle_ms: 1, replies: None, flows: 1 };
    };
    Datagrams {
        pool,
        idle_ms: millis(&at.key("idle"), idle, errors),
        replies: replies.map(|replies| count(&at.key("replies"), replies, errors)),
        flows: within(&at.key("flows"), flows, 1, MOST_FLOWS, errors) as u32,
    }
}

fn proxy_from(at: &At<'_>, draft: &ListenerDraft, errors: &mut Errors) -> Vec<IpNet> {
    let Some(proxy) = &draft.proxy_protocol else { return Vec::new() };
    let at = at.key("from");
    if proxy.from.is_empty() {
        errors.add(&at, "is empty; write who speaks for others, as in `from: [10.0.0.0/8]`");
    }
    networks(&at, &proxy.from, errors)
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
