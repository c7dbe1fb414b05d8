//! What a head means, once its lines are known to be sound: framing, target, host, and whether the connection lives on.
//!
//! This is the only place that makes a [`Head`], and each part of it comes from a check that may say no.

use super::collect::Facts;
use crate::error::Rule;
use crate::fields::Known;
use crate::head::{Framing, Head, Leniency, Method, Version};
use crate::page::{Page, Span};
use crate::rules::Rules;
use crate::{host, target, upgrade};

/// What the first line says, in both kinds of message.
pub(super) struct Line {
    /// Without its line end.
    pub(super) length: usize,
    pub(super) received: Span,
    pub(super) version: Version,
    /// Of the whole head.
    pub(super) size: u32,
}

/// httparse knows two minor versions.
pub(super) fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

/// A request, if framing, target and host pass.
pub(super) fn of_request(
    page: &mut Page,
    facts: &Facts,
    line: &Line,
    method: Method,
    rules: &Rules,
) -> Result<Head, Rule> {
    if matches!(method, Method::Connect | Method::Trace) {
        return Err(Rule::MethodNotAllowed);
    }
    if facts.repeats_length && !rules.lenient {
        return Err(Rule::RepeatedLength);
    }
    let framing = match facts.length {
        _ if facts.chunked(line.version)? => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::Empty,
    };
    let expects = facts.expects.transpose()?.is_some();
    let target = target::place(page, line.received, method, rules)?;
    let authority = authority(page, facts, &target, line.version)?;
    let host = host_of(page, authority)?;
    Ok(Head {
        target: target.sent,
        path: target.path,
        query: target.query,
        authority,
        host,
        method,
        // RFC 9110 section 10.1.1: an expectation of HTTP/1.0 is ignored.
        expects_continue: expects && line.version == Version::Http11,
        upgrade: facts.offers_switch(line.version) && matches!(framing, Framing::Empty | Framing::Length(0)),
        leniency: facts.repeats_length.then_some(Leniency::Lengths),
        ..blank(facts, line, framing)
    })
}

/// A response to `request`, if status and framing pass.
pub(super) fn of_response(page: &Page, facts: &Facts, line: &Line, status: u16, request: &Head) -> Result<Head, Rule> {
    match status {
        101 => check_switch(page, line.version, request)?,
        100..=599 => {}
        _ => return Err(Rule::BadStatus),
    }
    let chunked = facts.chunked(line.version)?;
    let bodiless = matches!(status, 100..=199 | 204);
    let framing = match facts.length {
        _ if request.method() == Method::Head || bodiless || status == 304 => Framing::Empty,
        _ if chunked => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    };
    // Who announces a body where none can be may well send it: what comes after this head cannot be trusted.
    let announces = chunked || facts.length.is_some_and(|length| length > 0);
    let ends = framing == Framing::UntilClose || (bodiless && announces);
    Ok(Head { status, keep_alive: facts.keeps_alive(line.version) && !ends, ..blank(facts, line, framing) })
}

/// A 101 must answer an offer, with what was offered.
#[cold]
fn check_switch(page: &Page, version: Version, request: &Head) -> Result<(), Rule> {
    let named = page.fields.iter().filter(|field| field.known == Known::Upgrade);
    match () {
        () if !request.offers_switch() => Err(Rule::UnrequestedSwitch),
        () if version == Version::Http10 => Err(Rule::MismatchedSwitch),
        () if upgrade::is_accepted(request, named.map(|field| field.value(&page.bytes))) => Ok(()),
        () => Err(Rule::MismatchedSwitch),
    }
}

/// What both kinds of heads have in common; the page comes last.
fn blank(facts: &Facts, line: &Line, framing: Framing) -> Head {
    Head {
        page: Page::none(),
        framing,
        length: facts.length,
        received: line.received,
        target: Span::default(),
        path: Span::default(),
        authority: Span::default(),
        host: Span::default(),
        query: u32::MAX,
        size: line.size,
        status: 0,
        method: Method::Other,
        version: line.version,
        leniency: None,
        keep_alive: facts.keeps_alive(line.version),
        expects_continue: false,
        upgrade: false,
    }
}

/// Who is asked: the authority of the target if it has one, which Host must agree with, else Host.
fn authority(page: &Page, facts: &Facts, target: &target::Target, version: Version) -> Result<Span, Rule> {
    match (facts.host, target.authority) {
        (None, _) if version == Version::Http11 => Err(Rule::MissingHost),
        (None, None) => Ok(Span::default()),
        (None, Some((authority, _))) => Ok(authority),
        (Some(host), None) => Ok(host),
        (Some(host), Some((authority, port))) => {
            let agree = host::agree(authority.of(&page.bytes), host.of(&page.bytes), port)?;
            if agree { Ok(authority) } else { Err(Rule::HostMismatch) }
        }
    }
}

/// The host in lower case: a part of the authority, or a copy where that has capitals.
fn host_of(page: &mut Page, authority: Span) -> Result<Span, Rule> {
    if authority.is_empty() {
        return Ok(authority);
    }
    let found = host::check(authority.of(&page.bytes))?;
    let start = authority.start as usize;
    let host = Span::new(start, start.saturating_add(found.host));
    if !found.upper {
        return Ok(host);
    }
    let lower = page.append(|bytes| bytes.extend_from_within(host.start as usize..host.end as usize));
    if let Some(copy) = page.bytes.get_mut(lower.start as usize..) {
        copy.make_ascii_lowercase();
    }
    Ok(lower)
}
