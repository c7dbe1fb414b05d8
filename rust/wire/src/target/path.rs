//! The slow path of the normaliser: decode once, check, resolve dot segments, merge slashes.
//!
//! Every step writes its result behind the page's bytes and returns where it lies, so a step reads what the one before wrote
//! and nothing is allocated. A path only gets here if it holds something to decode, to resolve or to refuse.

use crate::error::Rule;
use crate::page::{Page, Span};
use crate::rules::Rules;

/// The slow path: returns what is sent and what is matched.
pub(super) fn normalise(page: &mut Page, path: Span, rules: &Rules) -> Result<(Span, Span), Rule> {
    let decoded = decode(page, path)?;
    let dots = check_segments(decoded.of(&page.bytes), rules)?;
    let resolved = if dots { resolve(page, decoded) } else { decoded };
    let sent = if rules.raw_path || resolved.of(&page.bytes) == path.of(&page.bytes) { path } else { resolved };
    Ok((sent, merge(page, resolved)))
}

/// Decodes unreserved characters once and refuses what has no honest use.
fn decode(page: &mut Page, path: Span) -> Result<Span, Rule> {
    let start = page.bytes.len();
    let mut at = path.start as usize;
    while at < path.end as usize {
        let rest = page.bytes.get(at..path.end as usize).unwrap_or_default();
        match *rest {
            [b'%', high, low, ref after @ ..] => {
                let value = hex(high, low)?;
                check_escape(value, after)?;
                if is_unreserved(value) {
                    page.bytes.push(value);
                } else {
                    page.bytes.extend_from_slice(&[b'%', high, low]);
                }
                at = at.saturating_add(3);
            }
            [b'%', ..] => return Err(Rule::BadEscape),
            [b'\\', ..] => return Err(Rule::Backslash),
            [byte, ..] => {
                page.bytes.push(byte);
                at = at.saturating_add(1);
            }
            [] => break,
        }
    }
    Ok(Span::new(start, page.bytes.len()))
}

fn hex(high: u8, low: u8) -> Result<u8, Rule> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => Ok(high.wrapping_shl(4) | low),
        _ => Err(Rule::BadEscape),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// An encoded byte by itself and with the one that follows it.
fn check_escape(value: u8, after: &[u8]) -> Result<(), Rule> {
    let next = match *after {
        [b'%', high, low, ..] => hex(high, low).ok(),
        _ => None,
    };
    match (value, next) {
        (0..=0x1f | 0x7f, _) => Err(Rule::EncodedControl),
        // Two-byte forms of ASCII: never UTF-8, and some decoders take any second byte.
        (0xc0 | 0xc1, _) => Err(Rule::OverlongUtf8),
        (0xe0, Some(0x80..=0x9f)) | (0xf0, Some(0x80..=0x8f)) => Err(Rule::OverlongUtf8),
        (0xf8, Some(0x80..=0x87)) | (0xfc, Some(0x80..=0x83)) => Err(Rule::OverlongUtf8),
        _ => Ok(()),
    }
}

/// Checks every segment of a decoded path; tells whether there are dot segments.
fn check_segments(path: &[u8], rules: &Rules) -> Result<bool, Rule> {
    let mut dots = false;
    for segment in path.split(|&byte| byte == b'/') {
        let is_dots = matches!(segment, b"." | b"..");
        if is_dots && rules.raw_path {
            return Err(Rule::DotSegment);
        }
        dots |= is_dots;
        check_parameters(segment)?;
        if segment.contains(&b'%') {
            check_encoded_slashes(segment, rules)?;
        }
    }
    Ok(dots)
}

/// Servlet containers cut `;...` off a segment and then resolve dots; a `%3b` may be read likewise.
fn check_parameters(segment: &[u8]) -> Result<(), Rule> {
    let dotted =
        |text: &[u8]| text.starts_with(b";") || text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"%3b"));
    let single = segment.strip_prefix(b".").is_some_and(dotted);
    let double = segment
        .windows(2)
        .enumerate()
        .any(|(at, pair)| pair == b".." && segment.get(at.saturating_add(2)..).is_some_and(dotted));
    if single || double { Err(Rule::DotsWithParameter) } else { Ok(()) }
}

/// `..%2f` is one segment to us and two to a backend that decodes first.
fn check_encoded_slashes(segment: &[u8], rules: &Rules) -> Result<(), Rule> {
    let is_slash = |escape: &[u8]| escape.eq_ignore_ascii_case(b"%2f") || escape.eq_ignore_ascii_case(b"%5c");
    let mut part = segment;
    let mut found = false;
    while let Some(at) = part.windows(3).position(is_slash) {
        found = true;
        let (before, after) = part.split_at_checked(at).unwrap_or_default();
        check_part(before)?;
        part = after.get(3..).unwrap_or_default();
    }
    if found {
        check_part(part)?;
        if rules.reject_encoded_slash {
            return Err(Rule::EncodedSlash);
        }
    }
    Ok(())
}

/// What stands between two encoded slashes must not be dots, with or without a parameter.
fn check_part(part: &[u8]) -> Result<(), Rule> {
    check_parameters(part)?;
    if matches!(part, b"." | b"..") { Err(Rule::EncodedSlashByDots) } else { Ok(()) }
}

/// Removes dot segments (RFC 3986 section 5.2.4), writing the result behind the page's bytes.
fn resolve(page: &mut Page, path: Span) -> Span {
    let start = page.bytes.len();
    let mut at = path.start as usize;
    let end = path.end as usize;
    // Every round takes one slash and the segment behind it.
    while at < end {
        let rest = page.bytes.get(at.saturating_add(1)..end).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        let next = at.saturating_add(1).saturating_add(length);
        let segment = rest.get(..length).unwrap_or_default();
        let (here, up) = (segment == b".", segment == b"..");
        match () {
            () if up => pop(&mut page.bytes, start),
            () if here => {}
            () => copy(&mut page.bytes, Span::new(at, next)),
        }
        if (here || up) && next == end {
            page.bytes.push(b'/');
        }
        at = next;
    }
    Span::new(start, page.bytes.len())
}

/// Removes the last segment with its slash, but nothing before `start`.
fn pop(bytes: &mut Vec<u8>, start: usize) {
    let written = bytes.get(start..).unwrap_or_default();
    let keep = written.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    bytes.truncate(start.saturating_add(keep));
}

/// The matched form: one slash for several, escapes in upper case.
fn merge(page: &mut Page, path: Span) -> Span {
    let text = path.of(&page.bytes);
    if !text.contains(&b'%') && !text.windows(2).any(|pair| pair == b"//") {
        return path;
    }
    let start = page.bytes.len();
    let mut before = 0;
    let mut escape = 0u8;
    for at in path.start as usize..path.end as usize {
        let byte = page.bytes.get(at).copied().unwrap_or_default();
        if !(byte == b'/' && before == b'/') {
            page.bytes.push(if escape > 0 { byte.to_ascii_uppercase() } else { byte });
        }
        escape = if byte == b'%' { 2 } else { escape.saturating_sub(1) };
        before = byte;
    }
    Span::new(start, page.bytes.len())
}

/// Appends a copy of what lies at `span`.
pub(super) fn copy(bytes: &mut Vec<u8>, span: Span) {
    bytes.extend_from_within(span.start as usize..span.end as usize);
}
