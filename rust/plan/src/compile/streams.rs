//! Pools that get connections or datagrams: what only requests have is of no use there.
//!
//! A pool may serve several listeners. What is wrong is wrong for one of them, so it is said at the pool, with the name
//! of the first listener that it is wrong for.

use std::collections::HashMap;

use crate::draft::{Draft, PolicyName, PoolDraft, Protocol, StickyDraft};
use crate::error::{At, Errors};

/// Listeners, other than for HTTP, that send to each pool.
pub(super) struct Streams<'d> {
    uses: HashMap<&'d str, Vec<(&'d str, Protocol)>>,
}

impl<'d> Streams<'d> {
    pub(super) fn new(draft: &'d Draft) -> Self {
        let mut uses: HashMap<&str, Vec<(&str, Protocol)>> = HashMap::new();
        for (name, listener) in &draft.listeners.0 {
            let pools = match listener.protocol {
                Protocol::Http => continue,
                Protocol::Tcp | Protocol::Udp => listener.pool.iter().collect::<Vec<_>>(),
                Protocol::Tls => listener.names.iter().filter_map(|route| route.pool.as_ref()).collect(),
            };
            for pool in pools {
                uses.entry(pool).or_default().push((name, listener.protocol));
            }
        }
        Streams { uses }
    }

    /// Checks the pool of this name, which stands at `at`.
    pub(super) fn check(&self, at: &At<'_>, name: &str, draft: &PoolDraft, errors: &mut Errors) {
        let uses = self.uses.get(name).map(Vec::as_slice).unwrap_or_default();
        if let Some((listener, protocol)) = uses.first() {
            let who = format!("listener `{listener}`, which speaks {}", spoken(*protocol));
            check_stream(at, draft, &who, errors);
        }
        if let Some((listener, _)) = uses.iter().find(|(_, protocol)| *protocol == Protocol::Udp) {
            check_datagrams(at, draft, listener, errors);
        }
        let passes_on = uses.iter().find(|(_, protocol)| *protocol == Protocol::Tls);
        if let (Some((listener, _)), Some(_)) = (passes_on, &draft.tls) {
            errors.add(&at.key("tls"), format!("would encrypt again what listener `{listener}` passes on encrypted; leave it out, or use another pool"));
        }
    }
}

fn spoken(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "HTTP",
        Protocol::Tcp => "plain TCP",
        Protocol::Udp => "UDP",
        Protocol::Tls => "TLS that is passed on",
    }
}

/// What only requests have.
fn check_stream(at: &At<'_>, draft: &PoolDraft, who: &str, errors: &mut Errors) {
    if let (PolicyName::Hash, Some(_)) = (draft.balance.policy, &draft.balance.key) {
        let message = format!("hashes a part of requests, and there are none from {who}; write `balance: ip_hash`");
        errors.add(&at.key("balance").key("key"), message);
    }
    if draft.sticky.as_ref().is_some_and(|sticky| !matches!(sticky, StickyDraft::SourceIp { .. })) {
        let message = format!(
            "knows clients by their requests, and there are none from {who}; write `sticky: {{source_ip: true}}`"
        );
        errors.add(&at.key("sticky"), message);
    }
    if !draft.errors.0.is_empty() {
        let message =
            format!("has pages for requests, and there are none from {who}; leave it out, or use another pool");
        errors.add(&at.key("errors"), message);
    }
}

/// What only connections have.
fn check_datagrams(at: &At<'_>, draft: &PoolDraft, listener: &str, errors: &mut Errors) {
    let who = format!("listener `{listener}` sends datagrams here");
    if draft.tls.is_some() {
        errors.add(&at.key("tls"), format!("{who}, which carry no TLS; leave it out, or use another pool"));
    }
    if draft.proxy_protocol.is_some() {
        errors.add(
            &at.key("proxy_protocol"),
            format!("{who}, which have no PROXY header; leave it out, or use another pool"),
        );
    }
    let backends = at.key("backends");
    for (index, backend) in draft.backends.iter().enumerate() {
        if backend.address.starts_with("unix:") {
            errors.add(
                &backends.index(index),
                format!("{who}, and a UNIX socket takes none; write an address with a port"),
            );
        }
    }
}
