//! What a Host may look like.
//!
//! RFC 3986 allows a registered name almost anything; DNS and every router mean far less. Letters, digits, `-`, `.`, `_` and `~`
//! without empty labels, or an IPv6 address in brackets; then at most one port. Anything looser is a way for two parsers
//! to disagree about where a request goes, and is refused.

use std::net::Ipv6Addr;

use crate::error::Rule;

/// Where the parts of an authority lie in it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Length of the host from the start: without port and trailing dot, with brackets.
    pub(crate) host: usize,
    /// The port, if one is written.
    pub(crate) port: Option<u16>,
    /// Whether the host has upper-case letters.
    pub(crate) upper: bool,
}

/// Checks `host[:port]`.
pub(crate) fn check(text: &[u8]) -> Result<Authority, Rule> {
    if text.first() == Some(&b'[') {
        return check_bracketed(text);
    }
    let mut upper = false;
    let mut before = b'.';
    let mut end = text.len();
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {}
            b'A'..=b'Z' => upper = true,
            b'.' if before != b'.' => {}
            b':' => {
                end = at;
                break;
            }
            _ => return Err(Rule::BadHost),
        }
        before = byte;
    }
    // The dot of the DNS root is not part of the name.
    let host = if before == b'.' { end.saturating_sub(1) } else { end };
    if host == 0 {
        return Err(Rule::BadHost);
    }
    let port = check_port(text.get(end..).unwrap_or_default())?;
    Ok(Authority { host, port, upper })
}

#[cold]
fn check_bracketed(text: &[u8]) -> Result<Authority, Rule> {
    let close = text.iter().position(|&byte| byte == b']').ok_or(Rule::BadHost)?;
    let address = text.get(1..close).unwrap_or_default();
    check_address(address)?;
    let host = close.saturating_add(1);
    Ok(Authority {
        host,
        port: check_port(text.get(host..).unwrap_or_default())?,
        upper: address.iter().any(u8::is_ascii_uppercase),
    })
}

fn check_address(text: &[u8]) -> Result<Ipv6Addr, Rule> {
    let text = str::from_utf8(text).map_err(|_| Rule::BadHost)?;
    text.parse().map_err(|_| Rule::BadHost)
}

/// Nothing, or a colon and one to five digits.
fn check_port(text: &[u8]) -> Result<Option<u16>, Rule> {
    let [b':', digits @ ..] = text else {
        return if text.is_empty() { Ok(None) } else { Err(Rule::BadHost) };
    };
    if digits.is_empty() || digits.len() > 5 {
        return Err(Rule::BadHost);
    }
    let mut port = 0u32;
    for &byte in digits {
        let digit = char::from(byte).to_digit(10).ok_or(Rule::BadHost)?;
        port = port.saturating_mul(10).saturating_add(digit);
    }
    u16::try_from(port).map(Some).map_err(|_| Rule::BadHost)
}

/// Whether two checked authorities name the same place; `default` is the port of the scheme (RFC 9110 section 4.2.3).
pub(crate) fn agree(one: &[u8], other: &[u8], default: u16) -> Result<bool, Rule> {
    let (first, second) = (check(one)?, check(other)?);
    let names =
        one.get(..first.host).unwrap_or_default().eq_ignore_ascii_case(other.get(..second.host).unwrap_or_default());
    Ok(names && first.port.unwrap_or(default) == second.port.unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_ports() {
        let host = |text: &'static [u8]| check(text).map(|found| (&text[..found.host], found.port));
        assert_eq!(host(b"a.test"), Ok((&b"a.test"[..], None)));
        assert_eq!(host(b"a.test.:8080"), Ok((&b"a.test"[..], Some(8080))));
        assert_eq!(host(b"my_service:65535"), Ok((&b"my_service"[..], Some(65535))));
        assert_eq!(host(b"[::1]:80"), Ok((&b"[::1]"[..], Some(80))));
        assert_eq!(host(b"[2001:db8::1]"), Ok((&b"[2001:db8::1]"[..], None)));
    }

    #[test]
    fn what_is_not_host_and_port() {
        for text in [
            &b""[..],
            b".",
            b":80",
            b"a.test:",
            b"a.test:65536",
            b"a.test:x",
            b"a.test:-1",
            b"a.test:080808",
            b"a b",
            b"a/b",
            b"u@a",
            b"a,b",
            b"a..b",
            b".a",
            b"a:1:2",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[zz]",
            b"[::1]:",
            b"[fe80::1%25eth0]",
            b"%61.test",
            b"\xc3\xbc.test",
            b"a?b",
            b"a#b",
        ] {
            assert_eq!(check(text), Err(Rule::BadHost), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn agreement_knows_case_trailing_dot_and_default_port() {
        assert_eq!(agree(b"A.test", b"a.test.", 80), Ok(true));
        assert_eq!(agree(b"a.test:80", b"a.test", 80), Ok(true));
        assert_eq!(agree(b"a.test:80", b"a.test", 443), Ok(false));
        assert_eq!(agree(b"a.test", b"b.test", 80), Ok(false));
    }
}
