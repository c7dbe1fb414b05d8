//! Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, ended by CRLF, at most 107 bytes.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::{Answer, Pair};

pub(super) const START: &[u8] = b"PROXY ";
const LONGEST: usize = 107;
const BROKEN: &str = "malformed PROXY header";

/// Reads bytes that begin as a header of this version.
pub(super) fn read(bytes: &[u8]) -> Answer {
    let line = bytes.get(..LONGEST).unwrap_or(bytes);
    let Some(end) = memchr::memchr(b'\n', line) else {
        return if line.len() == LONGEST || !may_become(line) { Err(BROKEN) } else { Ok(None) };
    };
    let text = line.get(..end).and_then(|line| line.strip_suffix(b"\r")).and_then(|line| line.strip_prefix(START));
    let source = parse(text.ok_or(BROKEN)?).ok_or(BROKEN)?;
    Ok(Some((source, end.saturating_add(1))))
}

/// Whether the word behind the start is, so far, one that may stand there.
fn may_become(line: &[u8]) -> bool {
    let word = line.get(START.len()..).unwrap_or_default();
    [&b"TCP4 "[..], b"TCP6 ", b"UNKNOWN"].iter().any(|known| super::begins(word, known))
}

/// The source and the destination; what follows `UNKNOWN` means nothing.
fn parse(text: &[u8]) -> Option<Option<(SocketAddr, SocketAddr)>> {
    if text == b"UNKNOWN" || text.starts_with(b"UNKNOWN ") {
        return (!text.contains(&b'\r')).then_some(None);
    }
    let mut words = str::from_utf8(text).ok()?.split(' ');
    let wide = match words.next()? {
        "TCP4" => false,
        "TCP6" => true,
        _ => return None,
    };
    let mut address = || words.next()?.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv6() == wide);
    let (from, to) = (address()?, address()?);
    let (from_port, to_port) = (port(words.next()?)?, port(words.next()?)?);
    let source = (SocketAddr::new(from, from_port), SocketAddr::new(to, to_port));
    words.next().is_none().then_some(Some(source))
}

/// Digits without a leading zero, which some would take for octal.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

pub(super) fn write(ends: Option<Pair>, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = match ends {
        None => out.write_all(b"PROXY UNKNOWN\r\n"),
        Some(Pair::V4(from, from_port, to, to_port)) => {
            write!(out, "PROXY TCP4 {from} {to} {from_port} {to_port}\r\n")
        }
        Some(Pair::V6(from, from_port, to, to_port)) => {
            write!(out, "PROXY TCP6 {from} {to} {from_port} {to_port}\r\n")
        }
    };
}
