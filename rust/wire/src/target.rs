//! The one normaliser of paths: what is routed on is what is sent.
//!
//! A rule on `/admin` is worth nothing if `/x/../admin`, `/%61dmin` or `/x/..;/admin` reaches the same page past it. So percent-encoded
//! unreserved characters are decoded (once, never again), dot segments are resolved (RFC 3986 section 6.2.2), and the result
//! is what goes upstream. Backends read what is left in two ways only:
//!
//! - `//`: some merge it, some do not. It is matched merged and sent as received.
//! - `%2f` and `%5c`: data for some (GitLab, npm, RabbitMQ), separators for others. They stay as they are and never separate;
//!   beside a dot segment, where the two readings name different files, they are refused.
//!
//! What no honest client sends is refused: backslash, encoded control bytes, overlong UTF-8, a stray `%`, dot segments with
//! parameters (`..;`, which servlet containers strip). Nearly every target is plain; one look at each byte proves that, and
//! then target and path are spans over the received bytes.

mod path;

use self::path::{copy, normalise};
use crate::error::Rule;
use crate::head::Method;
use crate::host;
use crate::page::{Page, Span};
use crate::rules::Rules;

/// A target that passed: spans over the page.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Target {
    pub(crate) sent: Span,
    pub(crate) path: Span,
    /// Where the query starts; `u32::MAX` if there is none.
    pub(crate) query: u32,
    /// The authority of an absolute target and the port its scheme implies.
    pub(crate) authority: Option<(Span, u16)>,
}

const NO_QUERY: u32 = u32::MAX;

/// The matched form of a path: normalised, `//` merged, escapes in upper case.
///
/// For paths that are compared with [`Head::path`](crate::Head::path), such as those of routes: two spellings of one path become equal.
/// Returns the rule that a path breaks which no request could have.
pub fn canonical(path: &[u8]) -> Result<Vec<u8>, Rule> {
    if path.first() != Some(&b'/') {
        return Err(Rule::BadTargetForm);
    }
    if look(path)?.query.is_some() {
        return Err(Rule::BadTargetByte);
    }
    let mut page = Page::holding(path);
    let whole = Span::new(0, path.len());
    let (_, matched) = normalise(&mut page, whole, &Rules::default())?;
    Ok(matched.of(&page.bytes).to_vec())
}

/// Checks the target at `received` and places what is sent and matched.
pub(crate) fn place(page: &mut Page, received: Span, method: Method, rules: &Rules) -> Result<Target, Rule> {
    let text = received.of(&page.bytes);
    match text.first() {
        Some(b'/') => origin(page, received, rules),
        Some(b'*') if text.len() == 1 && method == Method::Options => {
            Ok(Target { sent: received, path: received, query: NO_QUERY, authority: None })
        }
        _ => absolute(page, received, method, rules),
    }
}

/// `/path?query`
fn origin(page: &mut Page, received: Span, rules: &Rules) -> Result<Target, Rule> {
    let found = look(received.of(&page.bytes))?;
    let plain = Target { sent: received, path: received, query: NO_QUERY, authority: None };
    let Some(question) = found.query else {
        if found.plain {
            return Ok(plain);
        }
        let (sent, path) = normalise(page, received, rules)?;
        return Ok(Target { sent, path, ..plain });
    };
    let path = Span { start: received.start, end: received.start.saturating_add(question) };
    if found.plain {
        let query = path.end.saturating_add(1);
        return Ok(Target { path, query, ..plain });
    }
    let (sent, matched) = normalise(page, path, rules)?;
    if sent == path {
        let query = path.end.saturating_add(1);
        return Ok(Target { path: matched, query, ..plain });
    }
    let query = Span { start: path.end, end: received.end };
    Ok(joined(page, sent, matched, query))
}

/// Writes a path and the query (with its `?`) next to each other.
fn joined(page: &mut Page, path: Span, matched: Span, query: Span) -> Target {
    let whole = page.append(|bytes| {
        copy(bytes, path);
        copy(bytes, query);
    });
    let length = path.end.saturating_sub(path.start);
    Target { sent: whole, path: matched, query: whole.start.saturating_add(length).saturating_add(1), authority: None }
}

/// `http://authority/path?query`: the authority is compared with Host by the caller, the rest is an origin form.
fn absolute(page: &mut Page, received: Span, method: Method, rules: &Rules) -> Result<Target, Rule> {
    let text = received.of(&page.bytes);
    look(text)?;
    let (scheme, port) = scheme(text).ok_or(Rule::BadTargetForm)?;
    let rest = text.get(scheme..).unwrap_or_default();
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = Span {
        start: received.start.saturating_add(Span::new(scheme, 0).start),
        end: received.start.saturating_add(Span::new(scheme.saturating_add(length), 0).start),
    };
    host::check(authority.of(&page.bytes))?;
    let tail = Span { start: authority.end, end: received.end };
    let target = match rest.get(length) {
        Some(b'/') => origin(page, tail, rules)?,
        // RFC 9112 section 3.2.4: an empty path means the server itself.
        None if method == Method::Options => star(page),
        _ => {
            let slash = page.append(|bytes| bytes.push(b'/'));
            if tail.is_empty() {
                Target { sent: slash, path: slash, query: NO_QUERY, authority: None }
            } else {
                joined(page, slash, slash, tail)
            }
        }
    };
    Ok(Target { authority: Some((authority, port)), ..target })
}

fn star(page: &mut Page) -> Target {
    let star = page.append(|bytes| bytes.push(b'*'));
    Target { sent: star, path: star, query: NO_QUERY, authority: None }
}

/// Length of `http://` or `https://` at the start, and the port that it implies.
fn scheme(text: &[u8]) -> Option<(usize, u16)> {
    let starts = |scheme: &[u8]| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    match () {
        () if starts(b"http://") => Some((7, 80)),
        () if starts(b"https://") => Some((8, 443)),
        () => None,
    }
}

/// What one look at each byte of a target tells.
struct Look {
    /// Nothing needs decoding, resolving or merging.
    plain: bool,
    /// Offset of the first `?`.
    query: Option<u32>,
}

/// Bytes by what they ask for: 0 nothing, 1 a closer look, 2 starts the query, 3 is refused.
#[allow(clippy::indexing_slicing)] // a constant: out of bounds does not compile
static CLASS: [u8; 256] = {
    let mut table = [3u8; 256];
    let mut byte = 0x21u8;
    while byte < 0x7f {
        table[byte as usize] = match byte {
            b'%' | b'\\' | b';' | b'.' | b'/' => 1,
            b'?' => 2,
            b'#' => 3,
            _ => 0,
        };
        byte = byte.wrapping_add(1);
    }
    table
};

fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(3)
}

fn look(text: &[u8]) -> Result<Look, Rule> {
    let mut plain = true;
    let mut before = 0;
    for (at, &byte) in text.iter().enumerate() {
        match class(byte) {
            0 => {}
            1 => {
                plain &= match byte {
                    b'/' | b'.' => before != b'/',
                    b';' => before != b'.',
                    _ => false,
                }
            }
            2 => {
                let query = text.get(at..).unwrap_or_default();
                if query.iter().any(|&byte| class(byte) == 3) {
                    return Err(Rule::BadTargetByte);
                }
                return Ok(Look { plain, query: u32::try_from(at).ok() });
            }
            _ => return Err(Rule::BadTargetByte),
        }
        before = byte;
    }
    Ok(Look { plain, query: None })
}

#[cfg(test)]
mod tests;
