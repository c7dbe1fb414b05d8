//! The one loop over the field lines of a head.
//!
//! For each line it checks what httparse let through, notes what the name means, copies the span, and gathers the facts that
//! decide framing. A browser's head passes here once, at a few nanoseconds per field; only names that mean something to a
//! proxy leave the straight path.

use httparse::Header;

use crate::error::Rule;
use crate::fields::{self, Known, classify, members};
use crate::head::Version;
use crate::page::{CANONICAL, Field, LISTED, Page, Span};
use crate::rules::Rules;
use crate::upgrade;

/// No head is longer, whatever its limit: spans are 32 bits wide.
const LONGEST: usize = 1 << 28;

/// What the fields say about framing, host and connection.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) host: Option<Span>,
    pub(super) length: Option<u64>,
    /// Content-Length was given more than once, with equal values.
    pub(super) repeats_length: bool,
    /// What Transfer-Encoding says, if there is one.
    encoding: Option<Result<(), Rule>>,
    pub(super) expects: Option<Result<(), Rule>>,
    closes: bool,
    keeps: bool,
    /// `Connection` names fields that we do not know.
    lists: bool,
    /// `Connection` lists `Upgrade`.
    switches: bool,
    /// `Upgrade` names a protocol that may be offered.
    offers: bool,
}

impl Facts {
    /// Whether the body is chunked. Content-Length and Transfer-Encoding exclude each other; HTTP/1.0 knows only the first.
    pub(super) fn chunked(&self, version: Version) -> Result<bool, Rule> {
        let Some(encoding) = self.encoding else {
            return Ok(false);
        };
        match () {
            () if self.length.is_some() => Err(Rule::LengthAndEncoding),
            () if version == Version::Http10 => Err(Rule::EncodingOnHttp10),
            () => encoding.map(|()| true),
        }
    }

    /// RFC 9112 section 9.3.
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        !self.closes && (version == Version::Http11 || self.keeps)
    }

    /// Whether a request asks to switch protocols; only HTTP/1.1 can (RFC 9110 section 7.8).
    pub(super) fn offers_switch(&self, version: Version) -> bool {
        self.offers && self.switches && version == Version::Http11
    }

    fn note(&mut self, known: Known, value: &[u8], at: Span) -> Result<(), Rule> {
        match known {
            Known::Host if self.host.is_some() => return Err(Rule::RepeatedHost),
            Known::Host => {
                // An empty one would look like none at all.
                if at.is_empty() {
                    return Err(Rule::BadHost);
                }
                self.host = Some(at);
            }
            Known::ContentLength => self.note_length(value)?,
            Known::TransferEncoding if self.encoding.is_some() => self.encoding = Some(Err(Rule::RepeatedEncoding)),
            Known::TransferEncoding => self.encoding = Some(encoding(value)),
            Known::Connection => self.note_connection(value),
            // More than one is no expectation that we know.
            Known::Expect if self.expects.is_some() => self.expects = Some(Err(Rule::BadExpect)),
            Known::Expect => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                self.expects = Some(if known { Ok(()) } else { Err(Rule::BadExpect) });
            }
            Known::Upgrade => self.offers |= upgrade::is_offer(value),
            _ => {}
        }
        Ok(())
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), Rule> {
        for member in value.split(|&byte| byte == b',') {
            let length = length(fields::trim(member))?;
            match self.length {
                None => self.length = Some(length),
                Some(before) if before == length => self.repeats_length = true,
                Some(_) => return Err(Rule::ConflictingLength),
            }
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in members(value) {
            match option {
                _ if option.eq_ignore_ascii_case(b"keep-alive") => self.keeps = true,
                _ if option.eq_ignore_ascii_case(b"close") => self.closes = true,
                _ if option.eq_ignore_ascii_case(b"upgrade") => self.switches = true,
                _ => self.lists |= classify(option) == Known::Other,
            }
        }
    }
}

/// 1*DIGIT below 2^63.
fn length(text: &[u8]) -> Result<u64, Rule> {
    if text.is_empty() {
        return Err(Rule::BadLength);
    }
    let mut length = 0u64;
    for &byte in text {
        let digit = char::from(byte).to_digit(10).ok_or(Rule::BadLength)?;
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(digit)))
            .filter(|&length| length <= i64::MAX.cast_unsigned())
            .ok_or(Rule::BadLength)?;
    }
    Ok(length)
}

/// Exactly `chunked`, in any case; other codings of RFC 9112 section 7 are known and not spoken.
fn encoding(value: &[u8]) -> Result<(), Rule> {
    const KNOWN: [&[u8]; 6] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"chunked"];
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    if value.is_empty() {
        return Err(Rule::EmptyEncoding);
    }
    let mut codings = value.split(|&byte| byte == b',').map(fields::trim);
    let all_known = codings.all(|coding| KNOWN.iter().any(|known| coding.eq_ignore_ascii_case(known)));
    let chunked = members(value).filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count();
    let last = members(value).next_back().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    // `gzip` or `gzip, chunked` is a message that we could not read; `chunked, gzip` or `chunked, chunked` is none.
    match (all_known, chunked, last) {
        (true, 0, _) | (true, 1, true) => Err(Rule::UnsupportedEncoding),
        _ => Err(Rule::BadEncoding),
    }
}

/// Copies `head` into the page and its field lines, whose first starts after `line` bytes and a line end, into the page's list.
pub(super) fn collect(
    page: &mut Page,
    head: &[u8],
    line: usize,
    lines: &[Header<'_>],
    rules: &Rules,
) -> Result<Facts, Rule> {
    if head.len() > rules.limits.head.min(LONGEST) {
        return Err(Rule::HeadTooLarge);
    }
    if !ends_at(head, line) {
        return Err(Rule::BareLf);
    }
    page.bytes.extend_from_slice(head);
    page.fields.reserve(lines.len());
    let mut facts = Facts::default();
    for Header { name, value } in lines {
        let name_start = offset(head, name.as_bytes());
        let value_start = offset(head, value);
        let value_end = value_start.saturating_add(value.len());
        let name_end = name_start.saturating_add(name.len());
        let tight = ends_at(head, value_end);
        if !tight && !ends_after_space(head, value_end) {
            return Err(Rule::BareLf);
        }
        if value_end.saturating_sub(name_start) > rules.limits.field {
            return Err(Rule::FieldTooLarge);
        }
        let known = classify(name.as_bytes());
        let value_span = Span::new(value_start, value_end);
        if known != Known::Other {
            facts.note(known, value, value_span)?;
        }
        let plain = tight && head.get(name_end..value_start) == Some(b": ");
        page.fields.push(Field {
            name_start: Span::new(name_start, 0).start,
            value_start: value_span.start,
            value_end: value_span.end,
            name_len: u16::try_from(name.len()).map_err(|_| Rule::FieldTooLarge)?,
            known,
            marks: if plain { CANONICAL } else { 0 },
        });
    }
    if !head.ends_with(b"\r\n\r\n") {
        return Err(Rule::BareLf);
    }
    if facts.lists {
        mark_listed(page, rules)?;
    }
    Ok(facts)
}

/// Where `part`, a slice of `whole`, starts in it.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}

fn ends_at(head: &[u8], at: usize) -> bool {
    head.get(at..at.saturating_add(2)) == Some(b"\r\n")
}

/// The value was trimmed: there may be optional whitespace before the line end.
#[cold]
fn ends_after_space(head: &[u8], at: usize) -> bool {
    let rest = head.get(at..).unwrap_or_default();
    let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    ends_at(head, at.saturating_add(space))
}

/// Marks the fields that `Connection` names, except those that it must not remove.
#[cold]
fn mark_listed(page: &mut Page, rules: &Rules) -> Result<(), Rule> {
    let Page { bytes, fields } = page;
    let mut options = Vec::new();
    for field in fields.iter().filter(|field| field.known == Known::Connection) {
        options.extend(members(field.value(bytes)));
    }
    // No head can have that many to remove, and each costs a walk over all of them.
    if options.len() > rules.limits.fields {
        return Err(Rule::TooManyFields);
    }
    for field in fields.iter_mut() {
        let name = field.name(bytes);
        if !fields::is_protected(field.known, name) && options.iter().any(|option| option.eq_ignore_ascii_case(name)) {
            field.marks |= LISTED;
        }
    }
    Ok(())
}
