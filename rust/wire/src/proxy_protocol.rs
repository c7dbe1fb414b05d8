//! Whose connection is this really? What a proxy in front writes ahead of the first byte, and what we write to backends.
//!
//! The PROXY protocol of HAProxy, versions 1 (a line of text) and 2 (binary). There is no negotiation: whether a header
//! comes is configured, and where one is due, a connection without one is refused. Both are read strictly, since whoever
//! may write one decides who the client is; which peers may is for the caller. A header that says nothing about addresses
//! (UNKNOWN, LOCAL, UNIX sockets) leaves those of the connection.
//!
//! Version 2 may carry fields behind the addresses (TLVs). They are skipped, but must fill the header exactly; a
//! CRC-32C among them must be right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

mod v1;
mod v2;

/// Longest header of version 2; the format itself would go up to 64 KiB.
pub const LIMIT: usize = 4096;

/// Which form of the header.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What the first bytes of a connection came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Header {
    /// The header is whole.
    Done {
        /// Where the connection comes from and what it went to, IPv4 as IPv4; `None`: as the connection itself says.
        source: Option<(SocketAddr, SocketAddr)>,
        /// Bytes of it; what follows is the connection's own.
        used: usize,
    },
    /// It may become one: read on, and ask again with all bytes.
    More,
    /// It never will; why, in words for the log.
    Bad(&'static str),
}

/// Reads `bytes`, all that a connection has sent so far.
pub fn read(bytes: &[u8]) -> Header {
    let result = if begins(bytes, v1::START) {
        v1::read(bytes)
    } else if begins(bytes, v2::START) {
        v2::read(bytes)
    } else {
        Err("no PROXY header")
    };
    match result {
        Ok(Some((source, used))) => {
            Header::Done { source: source.map(|(from, to)| (canonical(from), canonical(to))), used }
        }
        Ok(None) => Header::More,
        Err(why) => Header::Bad(why),
    }
}

/// Appends a header that says who is behind a connection: source and destination, or that it is not known.
///
/// The format knows no pair of both families; where it comes to one, the IPv4 address is sent as the IPv6 address that
/// stands for it.
pub fn write(version: Version, source: Option<(SocketAddr, SocketAddr)>, out: &mut Vec<u8>) {
    let ends = source.map(|(from, to)| pair(canonical(from), canonical(to)));
    match version {
        Version::V1 => v1::write(ends, out),
        Version::V2 => v2::write(ends, out),
    }
}

type Answer = Result<Option<(Option<(SocketAddr, SocketAddr)>, usize)>, &'static str>;

/// Both ends in the same family.
enum Pair {
    V4(Ipv4Addr, u16, Ipv4Addr, u16),
    V6(Ipv6Addr, u16, Ipv6Addr, u16),
}

fn pair(from: SocketAddr, to: SocketAddr) -> Pair {
    let wide = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => Pair::V4(source, from.port(), target, to.port()),
        (source, target) => Pair::V6(wide(source), from.port(), wide(target), to.port()),
    }
}

/// Whether `bytes` are a part of what `start` begins, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
