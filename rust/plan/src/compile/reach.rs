//! How the backends of a pool are reached: where they are, whether TLS goes first, who they are told comes.

use std::collections::HashMap;
use std::net::IpAddr;

use wire::proxy_protocol::Version;

use super::numbers::within;
use super::resilience::limit;
use super::tls::pool_tls;
use crate::bind::Address;
use crate::draft::{BackendDraft, PoolDraft, ProxyVersion};
use crate::error::{At, Errors};
use crate::pool::PoolPlan;
use crate::tls::PoolTls;

/// Shares finer than a turn of a schedule would be rounded anyway.
const LARGEST_WEIGHT: u64 = 65_536;
/// A schedule has at most 65,536 turns, and each backend needs one.
const MOST_BACKENDS: usize = 4096;
/// RFC 1035, section 2.3.4, without the length bytes.
const LONGEST_NAME: usize = 253;

/// Parallel lists, or fewer where there are mistakes.
pub(super) struct Reach {
    pub(super) addresses: Vec<Address>,
    pub(super) server_names: Vec<Box<str>>,
    pub(super) tls: Option<Box<PoolTls>>,
    pub(super) proxy_protocol: Option<Version>,
}

/// `at` is the place of the pool.
pub(super) fn reach(at: &At<'_>, draft: &PoolDraft, errors: &mut Errors) -> Reach {
    let backends = at.key("backends");
    Reach {
        addresses: addresses(&backends, &draft.backends, errors),
        server_names: server_names(&backends, draft, errors),
        tls: draft.tls.as_ref().map(|draft| Box::new(pool_tls(&at.key("tls"), draft, errors))),
        proxy_protocol: draft.proxy_protocol.map(|version| match version {
            ProxyVersion::V1 => Version::V1,
            ProxyVersion::V2 => Version::V2,
        }),
    }
}

impl Reach {
    /// A connection to this slot of the plan before is as good as one to this slot now.
    pub(super) fn is_as_before(&self, slot: usize, pool: &PoolPlan, before: usize) -> bool {
        self.addresses[slot] == pool.addresses[before]
            && self.tls == pool.tls
            && self.proxy_protocol == pool.proxy_protocol
            && self.server_names.get(slot) == pool.server_names.get(before)
    }
}

fn addresses(at: &At<'_>, drafts: &[BackendDraft], errors: &mut Errors) -> Vec<Address> {
    if drafts.is_empty() {
        errors.add(at, "is empty; write at least one backend, as in `backends: [127.0.0.1:9001]`");
    }
    if drafts.len() > MOST_BACKENDS {
        errors.add(at, format!("has {} backends; a pool can have {MOST_BACKENDS}", drafts.len()));
    }
    let mut names = HashMap::new();
    let mut addresses = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let at = at.index(index);
        check_weight(&at.key("weight"), draft.weight, errors);
        limit(&at.key("max_in_flight"), draft.max_in_flight, errors);
        if let Some(first) = names.insert(draft.name.as_str(), index) {
            let message = format!(
                "`{}` is backend {} of this pool already; to send it more, raise its `weight`",
                draft.name,
                first + 1
            );
            errors.add(&at, message);
        }
        addresses.extend(errors.keep(&at.key("address"), Address::parse(&draft.address)));
    }
    addresses
}

fn check_weight(at: &At<'_>, weight: u64, errors: &mut Errors) {
    if weight == 0 {
        errors.add(at, "a backend of weight 0 gets nothing; leave it out, or empty it with `pylb drain`");
    } else {
        within(at, weight, 1, LARGEST_WEIGHT, errors);
    }
}

fn server_names(at: &At<'_>, draft: &PoolDraft, errors: &mut Errors) -> Vec<Box<str>> {
    let mut names = Vec::new();
    for (index, backend) in draft.backends.iter().enumerate() {
        let at = at.index(index);
        match (&backend.server_name, &draft.tls) {
            (Some(name), Some(_)) => names.extend(errors.keep(&at, server_name(name))),
            (None, None) => {}
            (None, Some(_)) => {
                errors.add(&at, "has no name that its certificate could be for; write `tls: {server_name: ...}`");
            }
            (Some(_), None) => errors.add(&at, "has a server name, but its pool has no `tls`"),
        }
    }
    names
}

/// A name of DNS, or an IP address without brackets.
fn server_name(written: &str) -> Result<Box<str>, String> {
    let label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        letters && !label.is_empty() && label.len() < 64
    };
    let name = written.len() <= LONGEST_NAME && written.split('.').all(label);
    if name || written.parse::<IpAddr>().is_ok() {
        return Ok(written.into());
    }
    Err(format!("`{}` is no name that a certificate is for; write `tls: {{server_name: ...}}`", written.escape_debug()))
}
