//! Why httparse refused a head.
//!
//! Its errors say where it stopped, not which rule was broken, and whoever reads the log line needs the rule. So the head is
//! walked again line by line, in the order in which it came, until something is wrong. Nothing here can let a head pass: what
//! the walk does not find is `malformed-head`.

use httparse::Error;

use crate::error::Rule;
use crate::fields::{check_line, is_token, is_value};
use crate::rules::Rules;

/// The rule that a request broke.
#[cold]
pub(super) fn of_request(input: &[u8], error: Error, rules: &Rules) -> Rule {
    let (line, rest) = next_line(input);
    if line.len() > rules.limits.request_line.saturating_add(1) {
        return Rule::RequestLineTooLong;
    }
    let first = check_line_end(line).and_then(request_line);
    name(first, rest, error, rules)
}

/// The rule that a response broke.
#[cold]
pub(super) fn of_response(input: &[u8], error: Error, rules: &Rules) -> Rule {
    let (line, rest) = next_line(input);
    let first = check_line_end(line).and_then(status_line);
    name(first, rest, error, rules)
}

fn name(first: Result<(), Rule>, rest: &[u8], error: Error, rules: &Rules) -> Rule {
    let broken = first.and_then(|()| fields(rest, rules)).err();
    broken.unwrap_or(match error {
        Error::TooManyHeaders => Rule::TooManyFields,
        Error::Version => Rule::UnsupportedVersion,
        _ => Rule::MalformedHead,
    })
}

/// The line up to its LF, which stays with it, and what follows.
fn next_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', input).map_or(input.len(), |at| at.saturating_add(1));
    input.split_at_checked(end).unwrap_or_default()
}

/// The line without its end. A line that is not complete has none yet.
fn check_line_end(line: &[u8]) -> Result<&[u8], Rule> {
    let text = match line {
        [text @ .., b'\r', b'\n'] => text,
        [.., b'\n'] => return Err(Rule::BareLf),
        [text @ .., b'\r'] => text,
        text => text,
    };
    if text.contains(&b'\r') { Err(Rule::BareCr) } else { Ok(text) }
}

fn request_line(line: &[u8]) -> Result<(), Rule> {
    let mut parts = line.split(|&byte| byte == b' ');
    let method = parts.next().unwrap_or_default();
    if method.is_empty() || !method.iter().copied().all(is_token) {
        return Err(Rule::MalformedRequestLine);
    }
    let (Some(target), Some(version)) = (parts.next(), parts.next()) else {
        return if line.iter().all(|byte| (b' '..0x7f).contains(byte)) {
            Err(Rule::MalformedRequestLine)
        } else {
            Err(Rule::BadTargetByte)
        };
    };
    if target.iter().any(|byte| !(b'!'..=0x7e).contains(byte)) {
        return Err(Rule::BadTargetByte);
    }
    check_version(version)?;
    if parts.next().is_some() { Err(Rule::MalformedRequestLine) } else { Ok(()) }
}

/// What names a version of HTTP gets an answer of its own; anything else is no request line.
fn check_version(version: &[u8]) -> Result<(), Rule> {
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', number @ ..] => {
            let numeric = number.first().is_some_and(u8::is_ascii_digit)
                && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
            Err(if numeric { Rule::UnsupportedVersion } else { Rule::MalformedRequestLine })
        }
        _ => Err(Rule::MalformedRequestLine),
    }
}

fn status_line(line: &[u8]) -> Result<(), Rule> {
    let fits = matches!(
        line,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9']
            | [
                b'H',
                b'T',
                b'T',
                b'P',
                b'/',
                b'1',
                b'.',
                b'0' | b'1',
                b' ',
                b'0'..=b'9',
                b'0'..=b'9',
                b'0'..=b'9',
                b' ',
                ..
            ]
    );
    match line.iter().copied().all(is_value) {
        false => Err(Rule::ControlByte),
        true if fits => Ok(()),
        true => Err(Rule::MalformedStatusLine),
    }
}

fn fields(mut rest: &[u8], rules: &Rules) -> Result<(), Rule> {
    let mut count = 0usize;
    while !rest.is_empty() {
        let (line, after) = next_line(rest);
        let complete = line.ends_with(b"\n");
        let text = check_line_end(line)?;
        if text.is_empty() {
            return Ok(());
        }
        if count >= rules.limits.fields {
            return Err(Rule::TooManyFields);
        }
        check_line(text, complete, count == 0)?;
        count = count.saturating_add(1);
        rest = after;
    }
    Ok(())
}
