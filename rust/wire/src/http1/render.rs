//! From a head and its edits to bytes, in one pass.
//!
//! Framing fields are never copied: they are written anew from what was parsed, so there is nothing left to disagree about. Which
//! fields stay behind is one bit of a mask per field. Neighbours that go on and already read `name: value CR LF` are copied as
//! one run; a typical head is a few runs, not a dozen lines.

use std::io::Write as _;
use std::net::IpAddr;

use crate::edits::{Authority, FieldEdits, RateLimit, RequestEdits, ResponseEdits, RouteEdits};
use crate::fields::{FORWARDING, HOP, Known};
use crate::head::{Framing, Head, Version};
use crate::page::{CANONICAL, Field, LISTED};
use crate::upgrade;

/// Room for what is added to a head, in bytes.
const ADDED: usize = 256;

/// Appends the head of a request for a backend: HTTP/1.1, Host first, `Connection` only with an offer to switch.
pub fn render_request(head: &Head, edits: &RequestEdits<'_>, out: &mut Vec<u8>) {
    out.reserve(head.byte_len().saturating_add(ADDED));
    out.extend_from_slice(head.method_name());
    out.push(b' ');
    let dropped = dropped_of_request(head, edits);
    match edits.route {
        None => {
            out.extend_from_slice(head.target());
            out.extend_from_slice(b" HTTP/1.1\r\n");
            line(b"Host: ", head.authority(), out);
            copy_fields(head, |field, _| dropped & field.known.bit() != 0, out);
        }
        Some(route) => write_edited(head, route, dropped, out),
    }
    write_framing(head.framing, out);
    if head.offers_switch() {
        upgrade::write_pair(head, out);
    }
    write_forwarded(head, edits, out);
    if let Some(id) = edits.request_id {
        line(b"X-Request-ID: ", id, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// The lines up to and with the client's fields, as the route wants them.
#[cold]
fn write_edited(head: &Head, route: &RouteEdits, dropped: u32, out: &mut Vec<u8>) {
    let target = head.target();
    match &route.path {
        Some(edit) => {
            let tail = head.query().map_or(0, |query| query.len().saturating_add(1));
            let (path, query) = target.split_at_checked(target.len().saturating_sub(tail)).unwrap_or_default();
            edit.write(head.path(), path, out);
            out.extend_from_slice(query);
        }
        None => out.extend_from_slice(target),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    line(b"Host: ", route.host.as_ref().map_or(head.authority(), Authority::as_bytes), out);
    copy_edited(head, dropped, &route.fields, out);
    out.extend_from_slice(route.fields.added());
}

#[cold]
fn copy_edited(head: &Head, dropped: u32, edits: &FieldEdits, out: &mut Vec<u8>) {
    copy_fields(head, |field, bytes| dropped & field.known.bit() != 0 || edits.removes(field.name(bytes)), out);
}

fn dropped_of_request(head: &Head, edits: &RequestEdits<'_>) -> u32 {
    let mut dropped = HOP | Known::Host.bit() | Known::Underscore.bit();
    dropped |= if edits.trusted { Known::ForwardedFor.bit() } else { FORWARDING };
    if edits.request_id.is_some() {
        dropped |= Known::RequestId.bit();
    }
    if !head.expects_continue() {
        dropped |= Known::Expect.bit();
    }
    dropped
}

/// X-Forwarded-For grows by the peer; -Proto and -Host are ours unless a trusted peer said them.
fn write_forwarded(head: &Head, edits: &RequestEdits<'_>, out: &mut Vec<u8>) {
    let said = |known: Known| edits.trusted && head.known(known).next().is_some();
    out.extend_from_slice(b"X-Forwarded-For: ");
    if edits.trusted {
        for value in head.known(Known::ForwardedFor).filter(|value| !value.is_empty()) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
    write_address(edits.client, out);
    out.extend_from_slice(b"\r\n");
    if !said(Known::ForwardedProto) {
        line(b"X-Forwarded-Proto: ", edits.proto.as_bytes(), out);
    }
    if !said(Known::ForwardedHost) && !head.authority().is_empty() {
        line(b"X-Forwarded-Host: ", head.authority(), out);
    }
}

/// Appends the head of a response for the client: HTTP/1.1, `Connection` only where the version does not say it.
pub fn render_response(head: &Head, edits: &ResponseEdits<'_>, out: &mut Vec<u8>) {
    out.reserve(head.byte_len().saturating_add(ADDED));
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(head.status()).as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    match edits.route {
        None => copy_fields(head, |field, _| HOP & field.known.bit() != 0, out),
        Some(route) => copy_edited(head, HOP, route, out),
    }
    if !head.is_interim() {
        write_added(edits, out);
        if head.is_switch() {
            upgrade::write_pair(head, out);
        } else {
            write_response_framing(head, edits.framing, out);
            write_connection(edits, out);
            // RFC 9110 section 15.5.22: it has to say what is required.
            if head.status() == 426 {
                upgrade::write_pair(head, out);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// `Connection`, where the client's version does not say it.
fn write_connection(edits: &ResponseEdits<'_>, out: &mut Vec<u8>) {
    let open = edits.keep_alive && edits.framing != Framing::UntilClose;
    match (open, edits.version) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
}

/// Fields that are ours or the route's to add.
fn write_added(edits: &ResponseEdits<'_>, out: &mut Vec<u8>) {
    if let Some(route) = edits.route {
        out.extend_from_slice(route.added());
    }
    if let Some(cookie) = edits.set_cookie {
        line(b"Set-Cookie: ", cookie, out);
    }
    if let Some(rate) = edits.rate {
        render_rate(rate, out);
    }
}

/// Appends the fields that tell a client how much it may still ask (draft-ietf-httpapi-ratelimit-headers, which knows
/// these two since its version 08).
pub fn render_rate(rate: RateLimit, out: &mut Vec<u8>) {
    let RateLimit { limit, window, remaining, reset } = rate;
    // Writing to a Vec cannot fail.
    drop(write!(out, "RateLimit-Policy: \"default\";q={limit};w={window}\r\n"));
    drop(write!(out, "RateLimit: \"default\";r={remaining};t={reset}\r\n"));
}

/// How the body of a response is framed for a client: HTTP/1.0 does not know chunks, and only it has to wait for the close.
pub fn response_framing(head: &Head, client: Version) -> Framing {
    match (head.framing(), client) {
        (Framing::Chunked | Framing::UntilClose, Version::Http11) => Framing::Chunked,
        (Framing::Chunked | Framing::UntilClose, Version::Http10) => Framing::UntilClose,
        (same, _) => same,
    }
}

/// Appends the line before a chunk of `len` bytes; data and CR LF follow, and at the end `0`, trailers and an empty line.
pub fn chunk_prefix(len: usize, out: &mut Vec<u8>) {
    let mut digits = [0u8; 16];
    let mut rest = len;
    let mut used = 0usize;
    for place in digits.iter_mut().rev() {
        let digit = u32::try_from(rest & 0xf).unwrap_or_default();
        *place = char::from_digit(digit, 16).map_or(b'0', |digit| digit as u8);
        used = used.saturating_add(1);
        rest = rest.wrapping_shr(4);
        if rest == 0 {
            break;
        }
    }
    let start = digits.len().saturating_sub(used);
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

/// RFC 9110 section 8.6: the answer to a HEAD and a 304 may announce a length that does not follow, a 204 may not.
fn write_response_framing(head: &Head, framing: Framing, out: &mut Vec<u8>) {
    match (framing, head.announced_length()) {
        (Framing::Empty, Some(length)) if head.status() != 204 => write_framing(Framing::Length(length), out),
        _ => write_framing(framing, out),
    }
}

fn write_framing(framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::Empty | Framing::UntilClose => {}
        Framing::Length(length) => line(b"Content-Length: ", itoa::Buffer::new().format(length).as_bytes(), out),
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

/// Copies the fields that do not stay behind, neither by `dropped` nor by `Connection`.
fn copy_fields(head: &Head, dropped: impl Fn(&Field, &[u8]) -> bool, out: &mut Vec<u8>) {
    let bytes = &head.page.bytes;
    let mut run = 0..0;
    for field in &head.page.fields {
        if dropped(field, bytes) || field.is(LISTED) {
            continue;
        }
        let start = field.name_start as usize;
        if !field.is(CANONICAL) {
            flush(bytes, std::mem::take(&mut run), out);
            write_field(bytes, *field, out);
            continue;
        }
        if start != run.end {
            flush(bytes, run, out);
            run = start..start;
        }
        run.end = (field.value_end as usize).saturating_add(2);
    }
    flush(bytes, run, out);
}

fn flush(bytes: &[u8], run: std::ops::Range<usize>, out: &mut Vec<u8>) {
    out.extend_from_slice(bytes.get(run).unwrap_or_default());
}

fn write_field(bytes: &[u8], field: Field, out: &mut Vec<u8>) {
    out.extend_from_slice(field.name(bytes));
    line(b": ", field.value(bytes), out);
}

fn line(start: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(start);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// An IPv4 address that came over an IPv6 socket is written as IPv4.
fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let mut digits = itoa::Buffer::new();
            let [first, rest @ ..] = v4.octets();
            out.extend_from_slice(digits.format(first).as_bytes());
            for octet in rest {
                out.push(b'.');
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}
