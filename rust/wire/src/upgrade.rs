//! Switching a connection to another protocol (RFC 9110 section 7.8): what is offered, what was accepted.
//!
//! A switch is where a proxy stops understanding what it passes on, so both sides must mean the same one. A client
//! offers protocols, on HTTP/1.1, without a body, in an `Upgrade` that `Connection` lists; anything less is no offer,
//! and the request goes on without it. What is offered is written anew. A 101 counts only when it names nothing but
//! what was offered; after any other answer the connection still speaks HTTP, and what the client sent ahead is its
//! next request.
//!
//! `h2c` is never offered: requests inside it would pass by every route and rule. Nor are its drafts (`h2c-14`).

use crate::fields::{Known, is_token, members};
use crate::head::Head;

/// Protocols of one offer; what is named beyond them is left out. All that an answer names is compared with each.
const MOST: usize = 16;

/// Whether an `Upgrade` names a protocol that may be offered to a backend. Cold, so that it stays out of the loop over
/// fields.
#[cold]
pub(crate) fn is_offer(value: &[u8]) -> bool {
    members(value).any(may_pass)
}

/// Whether `response`, a 101, names at least one protocol and none that `request` did not offer.
pub(crate) fn is_accepted<'a>(request: &Head, response: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut named = response.flat_map(members).peekable();
    let offered = |protocol: &[u8]| protocols(request).any(|offer| offer.eq_ignore_ascii_case(protocol));
    named.peek().is_some() && named.all(offered)
}

/// Appends the pair that asks for a switch, confirms or requires it; nothing if no protocol may be passed on.
#[cold]
pub(crate) fn write_pair(head: &Head, out: &mut Vec<u8>) {
    let mut before: &[u8] = b"Connection: Upgrade\r\nUpgrade: ";
    for protocol in protocols(head) {
        out.extend_from_slice(before);
        out.extend_from_slice(protocol);
        before = b", ";
    }
    if before == b", " {
        out.extend_from_slice(b"\r\n");
    }
}

/// The protocols of all `Upgrade` fields that may be passed on, up to the bound.
fn protocols(head: &Head) -> impl Iterator<Item = &[u8]> {
    head.known(Known::Upgrade).flat_map(members).filter(|protocol| may_pass(protocol)).take(MOST)
}

/// A name, or a name and a version, and not HTTP/2.
fn may_pass(protocol: &[u8]) -> bool {
    let mut parts = protocol.split(|&byte| byte == b'/');
    let name = parts.next().unwrap_or_default();
    let sound = |part: &[u8]| !part.is_empty() && part.iter().copied().all(is_token);
    let is_h2c = match name.get(..3) {
        Some(start) if start.eq_ignore_ascii_case(b"h2c") => matches!(name.get(3), None | Some(b'-')),
        _ => false,
    };
    sound(name) && parts.next().is_none_or(sound) && parts.next().is_none() && !is_h2c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_a_name_and_perhaps_a_version() {
        for offer in [&b"websocket"[..], b"WebSocket", b"TLS/1.0", b" , tcp", b"h2c, websocket", b"h2cats", b"x"] {
            assert!(is_offer(offer), "{}", offer.escape_ascii());
        }
        for none in
            [&b""[..], b",", b"h2c", b"H2C", b"h2c-14", b"h2c/1", b"web socket", b"a/b/c", b"/1", b"a/", b"a\tb"]
        {
            assert!(!is_offer(none), "{}", none.escape_ascii());
        }
    }
}
