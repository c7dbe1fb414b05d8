//! From the receive buffer to a head.
//!
//! httparse cuts the lines; it is fast, and lenient where we are not: it takes bare LFs, any number of empty lines and bytes over
//! 0x7e in a target. So its answer is only a proposal. The one loop in `collect` checks what it skipped while it copies
//! the spans, and `meaning` decides framing, target and host. When httparse refuses, `refusal` looks again, slowly,
//! to name the rule. Nothing is allocated: the list of lines is on the stack, the head goes into a page.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::collect::collect;
use super::meaning::Line;
use super::{incomplete, lenient, meaning, refusal};
use crate::error::{Blame, Fault, Rule};
use crate::head::{Head, Method};
use crate::page::{Page, Pages, Span};
use crate::rules::Rules;

/// Field lines that fit on the stack: the default limit.
const ON_STACK: usize = 128;

/// What the bytes at hand are.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // boxing the usual case would cost the allocation that pages avoid
pub enum Parsed {
    /// A complete head, and how many bytes it took.
    Done {
        /// The head.
        head: Head,
        /// Bytes consumed from the start.
        used: usize,
    },
    /// The head is not complete yet.
    More,
    /// A broken rule: nothing may be forwarded.
    Bad(Fault),
}

/// Parses the request at the start of `bytes`.
///
/// `scanned` is 0 for a new head and belongs to the bytes: kept beside them, it makes a head that comes byte by byte cost O(n).
pub fn parse_request(bytes: &[u8], scanned: &mut usize, rules: &Rules, pages: &mut Pages) -> Parsed {
    if *scanned > 0 && !incomplete::worth_parsing(bytes, *scanned) {
        return incomplete::wait(bytes, scanned, rules).map_or_else(client_fault, |()| Parsed::More);
    }
    let mut found = request(bytes, rules, pages);
    if let Err(rule @ (Rule::BareLf | Rule::ObsFold)) = found
        && rules.lenient
    {
        found = lenient::request(bytes, rule, rules, pages);
    }
    match found {
        Ok(Some((head, used))) => Parsed::Done { head, used },
        Ok(None) => incomplete::wait(bytes, scanned, rules).map_or_else(client_fault, |()| Parsed::More),
        Err(rule) => client_fault(rule),
    }
}

/// Parses the response at the start of `bytes`, interim (1xx) or final. What it may be depends on the request that it
/// answers: one to HEAD has no body, and only one to an offer may be a 101.
///
/// `scanned` as in [`parse_request`]. Leniency is for clients: `rules` gives only the limits.
pub fn parse_response(bytes: &[u8], scanned: &mut usize, request: &Head, rules: &Rules, pages: &mut Pages) -> Parsed {
    if *scanned > 0 && !incomplete::worth_parsing(bytes, *scanned) {
        return incomplete::wait_for_response(bytes, scanned, rules).map_or_else(backend_fault, |()| Parsed::More);
    }
    match response(bytes, request, rules, pages) {
        Ok(Some((head, used))) => Parsed::Done { head, used },
        Ok(None) => incomplete::wait_for_response(bytes, scanned, rules).map_or_else(backend_fault, |()| Parsed::More),
        Err(rule) => backend_fault(rule),
    }
}

fn client_fault(rule: Rule) -> Parsed {
    Parsed::Bad(Fault::new(rule, Blame::Client))
}

fn backend_fault(rule: Rule) -> Parsed {
    Parsed::Bad(Fault::new(rule, Blame::Backend))
}

/// A head and the bytes it took, or nothing yet.
pub(super) type Found = Result<Option<(Head, usize)>, Rule>;

/// One strict attempt at a request.
pub(super) fn request(bytes: &[u8], rules: &Rules, pages: &mut Pages) -> Found {
    let Some(skipped) = incomplete::skip_empty_line(bytes)? else {
        return Ok(None);
    };
    let input = bytes.get(skipped..).unwrap_or_default();
    with_lines(rules.limits.fields, |lines| {
        let mut parsed = httparse::Request::new(&mut []);
        let used = match parsed.parse_with_uninit_headers(input, lines) {
            Ok(Status::Complete(used)) => used,
            Ok(Status::Partial) => return Ok(None),
            Err(error) => return Err(refusal::of_request(input, error, rules)),
        };
        let method = parsed.method.unwrap_or_default().as_bytes();
        let target = parsed.path.unwrap_or_default().as_bytes();
        let start = method.len().saturating_add(1);
        let end = start.saturating_add(target.len());
        let line = Line {
            // httparse allows nothing but ` HTTP/1.1` and a line end behind the target.
            length: end.saturating_add(9),
            received: Span::new(start, end),
            version: meaning::version(parsed.version),
            size: Span::new(0, skipped.saturating_add(used)).end,
        };
        if line.length > rules.limits.request_line {
            return Err(Rule::RequestLineTooLong);
        }
        let head = input.get(..used).unwrap_or_default();
        let head = in_page(pages, |page| {
            let facts = collect(page, head, line.length, parsed.headers, rules)?;
            meaning::of_request(page, &facts, &line, Method::named(method), rules)
        })?;
        Ok(Some((head, skipped.saturating_add(used))))
    })
}

/// One attempt at a response.
fn response(bytes: &[u8], request: &Head, rules: &Rules, pages: &mut Pages) -> Found {
    if let [b'\r' | b'\n', ..] = bytes {
        return Err(Rule::MalformedStatusLine);
    }
    with_lines(rules.limits.fields, |lines| {
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let used = match config.parse_response_with_uninit_headers(&mut parsed, bytes, lines) {
            Ok(Status::Complete(used)) => used,
            Ok(Status::Partial) => return Ok(None),
            Err(error) => return Err(refusal::of_response(bytes, error, rules)),
        };
        let head = bytes.get(..used).unwrap_or_default();
        let length = memchr::memchr2(b'\r', b'\n', head).unwrap_or_default();
        let line = Line {
            length,
            // The reason follows `HTTP/1.1 200 `; where it is missing, the last space may be too.
            received: Span::new(length.min(13), length),
            version: meaning::version(parsed.version),
            size: Span::new(0, used).end,
        };
        let status = parsed.code.unwrap_or_default();
        let head = in_page(pages, |page| {
            let facts = collect(page, head, length, parsed.headers, rules)?;
            meaning::of_response(page, &facts, &line, status, request)
        })?;
        Ok(Some((head, used)))
    })
}

/// Lends a list for field lines: from the stack up to the default limit, else from the heap.
fn with_lines<'b, T>(limit: usize, parse: impl FnOnce(&mut [MaybeUninit<Header<'b>>]) -> T) -> T {
    let mut stack = [const { MaybeUninit::<Header<'b>>::uninit() }; ON_STACK];
    if let Some(lines) = stack.get_mut(..limit) {
        return parse(lines);
    }
    let mut heap = Vec::new();
    heap.resize_with(limit, MaybeUninit::uninit);
    parse(&mut heap)
}

/// Lets `fill` make a head on a free page, which goes back when a rule is broken.
fn in_page(pages: &mut Pages, fill: impl FnOnce(&mut Page) -> Result<Head, Rule>) -> Result<Head, Rule> {
    let mut page = pages.take();
    match fill(&mut page) {
        Ok(mut head) => {
            head.page = page;
            Ok(head)
        }
        Err(rule) => {
            pages.give(page);
            Err(rule)
        }
    }
}

#[cfg(test)]
mod tests;
