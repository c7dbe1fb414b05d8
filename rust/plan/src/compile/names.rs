//! Routes of clients that say a name before TLS begins. The file calls them `routes`.

use std::collections::HashMap;
use std::net::IpAddr;

use super::routes::{Context, check_name};
use crate::draft::{ListenerDraft, NameDraft, NameMatchDraft, Protocol};
use crate::error::{At, Errors};
use crate::names::{NameAction, NameRoute, Names};
use crate::pattern::{HostPattern, PathPattern};
use crate::route::{Pattern, Router};
use crate::suggest::unknown;

/// RFC 7301, section 3.1.
const LONGEST_PROTOCOL: usize = 255;

pub(super) fn names(
    at: &At<'_>,
    listener: &str,
    drafts: &[NameDraft],
    context: &Context<'_>,
    errors: &mut Errors,
) -> Names {
    let all = at.key("routes");
    if drafts.is_empty() {
        errors.add(&all, "is empty; write at least one route, as in `routes: [{pool: web}]`");
    }
    let mut names = Names { routes: Vec::new(), patterns: Vec::new(), alpns: Vec::new(), router: Router::new(&[]) };
    let mut named = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let at = all.index(index);
        let name = draft.name.clone().unwrap_or_else(|| format!("{listener}#{}", index + 1));
        check_name(&at, &name, index, &mut named, errors);
        let pattern = pattern(&at.key("match"), &draft.matches, &mut names.alpns, errors);
        names.patterns.push(pattern);
        names.routes.push(NameRoute { name: name.into(), action: action(&at, draft, context, errors) });
    }
    names.router = Router::new(&names.patterns);
    names
}

fn pattern(at: &At<'_>, draft: &NameMatchDraft, alpns: &mut Vec<Box<[Box<[u8]>]>>, errors: &mut Errors) -> Pattern {
    let sni = draft.sni.as_ref().and_then(|sni| errors.keep(&at.key("sni"), server_name(sni)));
    let place = at.key("alpn");
    for (index, protocol) in draft.alpn.iter().enumerate() {
        if protocol.is_empty() || protocol.len() > LONGEST_PROTOCOL {
            let message =
                format!("`{protocol}` is no protocol; expected a name of 1 to {LONGEST_PROTOCOL} bytes, such as `h2`");
            errors.add(&place.index(index), message);
        }
    }
    let more = (!draft.alpn.is_empty()).then_some(alpns.len() as u32);
    alpns.extend(more.map(|_| draft.alpn.iter().map(|protocol| protocol.as_bytes().into()).collect()));
    Pattern { host: sni.unwrap_or(HostPattern::Any), path: PathPattern::Any, more }
}

/// `shop.example` or `*.shop.example`.
fn server_name(written: &str) -> Result<HostPattern, String> {
    let advice = match written {
        "" | "*" => "is no name; leave `sni` out to match every client",
        _ if written.contains('/') => "is a URL; write only its host",
        _ if written.contains('[') || written.parse::<IpAddr>().is_ok() => {
            "is an address, and clients send only names (RFC 6066); leave `sni` out, or write a name"
        }
        _ => return HostPattern::parse(written),
    };
    Err(format!("`{written}` {advice}"))
}

fn action(at: &At<'_>, draft: &NameDraft, context: &Context<'_>, errors: &mut Errors) -> NameAction {
    match (&draft.pool, &draft.terminate) {
        (Some(pool), None) => NameAction::Pool(context.pool(&at.key("pool"), pool, errors)),
        (None, Some(listener)) => NameAction::Terminate(terminating(&at.key("terminate"), listener, context, errors)),
        _ => {
            errors.add(at, "has to say one thing that becomes of its clients: `pool` or `terminate`");
            NameAction::Pool(0)
        }
    }
}

/// The position of the listener that ends TLS.
fn terminating(at: &At<'_>, name: &str, context: &Context<'_>, errors: &mut Errors) -> u32 {
    let listeners = context.listeners();
    let Some(position) = listeners.iter().position(|(known, _)| known == name) else {
        errors.add(at, unknown("listener", name, listeners.iter().map(|(name, _)| name.as_str())));
        return 0;
    };
    match &listeners[position].1 {
        ListenerDraft { protocol: Protocol::Udp | Protocol::Tls, .. } => {
            errors.add(
                at,
                format!("`{name}` does not end TLS; name a listener with `protocol: http` or `tcp` and `tls`"),
            );
        }
        ListenerDraft { tls: None, .. } => {
            errors.add(at, format!("`{name}` has no `tls`, so nothing would understand what comes; write it there, or name another listener"));
        }
        _ => {}
    }
    position as u32
}
