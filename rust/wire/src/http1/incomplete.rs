//! Heads that are not all there yet.
//!
//! A head normally comes in one piece. One that does not must neither be parsed from its start for every byte (a slow client
//! would buy our time with its own) nor be waited for past its limits. So the bytes seen before are remembered as an
//! offset, and new ones are only looked at for a reason to parse: the end of the head, of its first line, or a byte that no
//! head may have. Every byte is looked at once here, and the parser runs a handful of times per head at most.

use memchr::memchr;

use crate::error::Rule;
use crate::rules::Rules;

/// Length of the empty line that may stand before a request, or None while that cannot be told.
pub(super) fn skip_empty_line(bytes: &[u8]) -> Result<Option<usize>, Rule> {
    match bytes {
        [b'\r', b'\n', b'\r' | b'\n', ..] => Err(Rule::EmptyLines),
        [] | [b'\r'] | [b'\r', b'\n'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [b'\n', ..] => Err(Rule::BareLf),
        [b'\r', ..] => Err(Rule::BareCr),
        _ => Ok(Some(0)),
    }
}

/// Whether the bytes behind `scanned` are a reason to parse.
pub(super) fn worth_parsing(bytes: &[u8], scanned: usize) -> bool {
    // Far enough back to see a line end that began before.
    let start = scanned.min(bytes.len()).saturating_sub(3);
    let (seen, rest) = bytes.split_at_checked(start).unwrap_or_default();
    let first_line_open = memchr(b'\n', seen).is_none();
    rest.iter().enumerate().any(|(at, &byte)| {
        let after = rest.get(at.saturating_add(1)..).unwrap_or_default();
        match byte {
            b'\n' => first_line_open || matches!(after, [b'\n', ..] | [b'\r', b'\n', ..]),
            b'\r' => matches!(after, [other, ..] if *other != b'\n'),
            b'\t' => false,
            _ => byte < b' ' || byte == 0x7f,
        }
    })
}

/// Remembers what was seen of a request, unless it is past a limit already.
pub(super) fn wait(bytes: &[u8], scanned: &mut usize, rules: &Rules) -> Result<(), Rule> {
    let line = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let allowed = rules.limits.request_line.saturating_add(2);
    if line.len() > allowed && memchr(b'\n', line.get(..allowed).unwrap_or_default()).is_none() {
        return Err(Rule::RequestLineTooLong);
    }
    wait_for_response(bytes, scanned, rules)
}

/// The same for a response, whose first line has no limit of its own.
pub(super) fn wait_for_response(bytes: &[u8], scanned: &mut usize, rules: &Rules) -> Result<(), Rule> {
    if bytes.len() > rules.limits.head {
        return Err(Rule::HeadTooLarge);
    }
    *scanned = bytes.len();
    Ok(())
}
