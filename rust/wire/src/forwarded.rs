//! Who is the client, when proxies that we trust stand between?
//!
//! Every trusted hop appended the address it saw, so reading X-Forwarded-For from its right end is reading the chain backwards:
//! the first address that no trusted proxy has is the client. What stands left of it was written by the client, and is worth nothing.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::fields::{Known, members};
use crate::head::Head;

/// Networks whose forwarded fields are believed.
pub type Networks = Vec<IpNet>;

/// Whether `ip` is in one of `trusted`. An IPv4 address that came over an IPv6 socket counts as IPv4.
pub fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    let ip = ip.to_canonical();
    trusted.iter().any(|network| network.contains(&ip))
}

/// The client's address: the rightmost untrusted one of the peer and X-Forwarded-For.
///
/// If all are trusted it is the leftmost. An entry that is no address ends the walk: what stands left of it cannot be vouched for.
pub fn client(peer: IpAddr, trusted: &[IpNet], head: &Head) -> IpAddr {
    let mut nearest = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(nearest, trusted) {
        return nearest;
    }
    for value in head.known(Known::ForwardedFor).rev() {
        for entry in members(value).rev() {
            match address(entry) {
                Some(ip) => nearest = ip,
                None => return nearest,
            }
            if !is_trusted(nearest, trusted) {
                return nearest;
            }
        }
    }
    nearest
}

/// The request id that a trusted proxy has given already; an empty one is none.
pub fn request_id(head: &Head, trusted: bool) -> Option<&[u8]> {
    head.field(b"x-request-id").filter(|id| trusted && !id.is_empty())
}

/// A proxy before this one says that the client's part of the way is encrypted. To be asked only of trusted ones.
pub fn came_by_https(head: &Head) -> bool {
    let first = head.field(b"x-forwarded-proto").and_then(|chain| chain.split(|byte| *byte == b',').next());
    first.is_some_and(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"https"))
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|full| full.ip()))?;
    Some(IpAddr::to_canonical(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pages, Parsed, Rules, parse_request};

    fn head_with(lines: &str) -> Head {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        match parse_request(text.as_bytes(), &mut 0, &Rules::default(), &mut Pages::default()) {
            Parsed::Done { head, .. } => head,
            other => panic!("{other:?}"),
        }
    }

    fn client_of(peer: &str, lines: &str) -> String {
        let head = head_with(lines);
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        client(peer.parse().unwrap(), &trusted, &head).to_string()
    }

    #[test]
    fn an_untrusted_peer_is_the_client() {
        assert_eq!(client_of("192.0.2.1", "X-Forwarded-For: 1.2.3.4\r\n"), "192.0.2.1");
        assert_eq!(client_of("::ffff:192.0.2.1", ""), "192.0.2.1");
    }

    #[test]
    fn behind_trusted_peers_it_is_the_rightmost_untrusted_address() {
        assert_eq!(client_of("10.0.0.1", "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.9.9.9\r\n"), "1.2.3.4");
        assert_eq!(
            client_of("::ffff:10.0.0.1", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 10.1.1.1\r\n"),
            "1.2.3.4"
        );
        assert_eq!(client_of("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n"), "10.0.0.3");
        assert_eq!(client_of("10.0.0.1", "X-Forwarded-For: [2001:db8::7]:443\r\n"), "2001:db8::7");
        assert_eq!(client_of("10.0.0.1", "X-Forwarded-For: 1.2.3.4:5000\r\n"), "1.2.3.4");
        assert_eq!(client_of("10.0.0.1", ""), "10.0.0.1");
    }

    #[test]
    fn the_proxy_next_to_the_client_says_how_it_came() {
        let came = |lines: &str| came_by_https(&head_with(lines));
        assert!(came("X-Forwarded-Proto: https\r\n") && came("X-Forwarded-Proto: HTTPS , http\r\n"));
        assert!(!came("X-Forwarded-Proto: http, https\r\n") && !came("X-Forwarded-Proto: httpsx\r\n") && !came(""));
    }

    #[test]
    fn a_bad_entry_ends_the_walk() {
        assert_eq!(client_of("10.0.0.1", "X-Forwarded-For: 1.2.3.4, unknown, 10.0.0.2\r\n"), "10.0.0.2");
    }
}
