//! Version 2: a signature that no protocol begins with, a command, a family, a length, addresses, and fields.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Answer, LIMIT, Pair};
use crate::cursor::Cursor;

pub(super) const START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, command, family and length.
const FIXED: usize = 16;
const PROXY: u8 = 0x21;
const LOCAL: u8 = 0x20;
const CRC32C: u8 = 0x03;

/// Reads bytes that begin as a header of this version. What is there of it must be right already.
pub(super) fn read(bytes: &[u8]) -> Answer {
    let mut rest = Cursor(bytes);
    let Some(_) = rest.take(START.len()) else { return Ok(None) };
    let Some(command) = rest.u8() else { return Ok(None) };
    if command & 0xf0 != 0x20 {
        return Err("unknown version of the PROXY protocol");
    }
    if command != PROXY && command != LOCAL {
        return Err("unknown command in a PROXY header");
    }
    let (Some(family), Some(length)) = (rest.u8(), rest.u16()) else { return Ok(None) };
    let used = FIXED.saturating_add(length.into());
    if used > LIMIT {
        return Err("PROXY header over 4 KiB");
    }
    let Some(content) = rest.take(length.into()) else { return Ok(None) };
    if command == LOCAL {
        return Ok(Some((None, used)));
    }
    let mut content = Cursor(content);
    let source = addresses(family, &mut content)?;
    check_fields(bytes.get(..used).unwrap_or_default(), content)?;
    Ok(Some((source, used)))
}

/// The addresses of the families that have ports; streams and datagrams are told apart by the listener.
fn addresses(family: u8, content: &mut Cursor<'_>) -> Result<Option<(SocketAddr, SocketAddr)>, &'static str> {
    let found = match family {
        0x00 => Some(None),
        0x11 | 0x12 => four(content).map(Some),
        0x21 | 0x22 => six(content).map(Some),
        0x31 | 0x32 => content.take(216).map(|_| None),
        _ => return Err("unknown family in a PROXY header"),
    };
    found.ok_or("malformed PROXY header")
}

fn four(content: &mut Cursor<'_>) -> Option<(SocketAddr, SocketAddr)> {
    let (from, to) = (Ipv4Addr::from(content.array::<4>()?), Ipv4Addr::from(content.array::<4>()?));
    Some(((from, content.u16()?).into(), (to, content.u16()?).into()))
}

fn six(content: &mut Cursor<'_>) -> Option<(SocketAddr, SocketAddr)> {
    let (from, to) = (Ipv6Addr::from(content.array::<16>()?), Ipv6Addr::from(content.array::<16>()?));
    Some(((from, content.u16()?).into(), (to, content.u16()?).into()))
}

/// Walks the fields behind the addresses, `rest` of `header`.
fn check_fields(header: &[u8], mut rest: Cursor<'_>) -> Result<(), &'static str> {
    let mut checked = false;
    while !rest.is_empty() {
        let (Some(kind), Some(value)) = (rest.u8(), rest.sized16()) else { return Err("malformed PROXY header") };
        if kind == CRC32C {
            let sum: [u8; 4] = value.try_into().map_err(|_| "malformed PROXY header")?;
            let before = header.len().saturating_sub(rest.0.len()).saturating_sub(sum.len());
            if checked || u32::from_be_bytes(sum) != checksum(header, before, sum.len()) {
                return Err("wrong checksum in a PROXY header");
            }
            checked = true;
        }
    }
    Ok(())
}

/// CRC-32C (RFC 3720 appendix B.4) of a header in which `zeros` bytes from `at` on count as zero.
fn checksum(header: &[u8], at: usize, zeros: usize) -> u32 {
    let blank = at..at.saturating_add(zeros);
    let bytes = header.iter().enumerate().map(|(index, &byte)| if blank.contains(&index) { 0 } else { byte });
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

pub(super) fn write(ends: Option<Pair>, out: &mut Vec<u8>) {
    out.extend_from_slice(START);
    match ends {
        None => out.extend_from_slice(&[PROXY, 0, 0, 0]),
        Some(Pair::V4(from, from_port, to, to_port)) => {
            out.extend_from_slice(&[PROXY, 0x11, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            write_ports(from_port, to_port, out);
        }
        Some(Pair::V6(from, from_port, to, to_port)) => {
            out.extend_from_slice(&[PROXY, 0x21, 0, 36]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            write_ports(from_port, to_port, out);
        }
    }
}

fn write_ports(from: u16, to: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&from.to_be_bytes());
    out.extend_from_slice(&to.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(checksum(&[0; 32], 0, 0), 0x8a91_36aa);
        assert_eq!(checksum(&[0xff; 32], 0, 0), 0x62a8_ab43);
        assert_eq!(checksum(b"123456789", 0, 0), 0xe306_9283);
        assert_eq!(checksum(&[0xff; 32], 0, 32), 0x8a91_36aa);
    }
}
