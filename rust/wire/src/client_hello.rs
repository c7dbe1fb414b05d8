//! Whom does a TLS client want, and what will it speak? Read without ending its TLS.
//!
//! The first message of a TLS connection says both in clear: the name in `server_name` (RFC 6066 section 3), the protocols
//! in ALPN (RFC 7301). A listener that passes TLS through routes on them, one that ends TLS chooses its certificates by
//! them before a session exists.
//!
//! The message lies in records (RFC 8446 section 5.1), one as a rule, but nothing hinders a client from cutting it anywhere
//! and hiding the name from whoever looks at the first record only. So records are joined first; a whole message in one
//! record is borrowed. Lengths are checked all the way down, the contents of extensions that nobody routes on are not:
//! that is for whoever ends the TLS. What is no TLS is refused at its first byte, what is too long at its announcement.

use std::borrow::Cow;
use std::ops::Range;

use crate::cursor::Cursor;

/// Most bytes that the hello may take, record headers included.
pub const LIMIT: usize = 16 * 1024;

/// What the first bytes of a connection came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Hello<'a> {
    /// The message is whole.
    Done(ClientHello<'a>),
    /// It may become one: read on, and ask again with all bytes.
    More,
    /// It never will; why, in words for the log.
    Bad(&'static str),
}

/// What a ClientHello says about its wishes.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    message: Cow<'a, [u8]>,
    sni: Option<Range<usize>>,
    /// The list in the extension: each protocol behind a byte of its length.
    alpn: Option<Range<usize>>,
}

impl ClientHello<'_> {
    /// The name asked for, in the case it was sent in: letters, digits, `-`, `_` and dots, at least one byte.
    pub fn sni(&self) -> Option<&[u8]> {
        self.message.get(self.sni.clone()?)
    }

    /// Protocols offered, the dearest first.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        let list = self.alpn.clone().and_then(|list| self.message.get(list));
        let mut list = Cursor(list.unwrap_or_default());
        std::iter::from_fn(move || list.sized8())
    }
}

/// Reads `bytes`, all that a connection has sent so far.
pub fn read(bytes: &[u8]) -> Hello<'_> {
    match message(bytes) {
        Ok(None) => Hello::More,
        Ok(Some(message)) => parse(message).map_or(Hello::Bad("malformed ClientHello"), Hello::Done),
        Err(why) => Hello::Bad(why),
    }
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
const LONGEST_FRAGMENT: usize = 1 << 14;

/// The handshake message that the records at the front hold, once it is whole.
fn message(bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, &'static str> {
    let (mut joined, mut rest) = (Cow::Borrowed(&[][..]), Cursor(bytes));
    let mut used = 0_usize;
    loop {
        let Some(length) = fragment_length(&mut rest)? else { return Ok(None) };
        used = used.saturating_add(RECORD_HEADER).saturating_add(length);
        if used > LIMIT {
            return Err("ClientHello over 16 KiB");
        }
        let whole = rest.take(length);
        let fragment = whole.unwrap_or(rest.0);
        if joined.is_empty() {
            joined = Cow::Borrowed(fragment);
        } else {
            joined.to_mut().extend_from_slice(fragment);
        }
        let end = message_end(&joined)?;
        match (whole, end) {
            (None, _) => return Ok(None),
            (Some(_), Some(end)) if joined.len() > end => return Err("more than a ClientHello in its records"),
            (Some(_), Some(end)) if joined.len() == end => return Ok(Some(joined)),
            (Some(_), _) => {}
        }
    }
}

/// The length in a record's header; what is there of the header must be right already.
fn fragment_length(rest: &mut Cursor<'_>) -> Result<Option<usize>, &'static str> {
    match rest.0 {
        [kind, ..] if *kind != HANDSHAKE => return Err(stranger(*kind)),
        [_, major, ..] if *major != 3 => return Err("not TLS"),
        [_, _, _, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length == 0 || length > LONGEST_FRAGMENT {
                return Err("malformed TLS record");
            }
        }
        _ => {}
    }
    let Some(_) = rest.array::<3>() else { return Ok(None) };
    Ok(rest.u16().map(usize::from))
}

/// What is likely at the other end, by a first byte that TLS does not begin with.
fn stranger(first: u8) -> &'static str {
    match first {
        b'A'..=b'Z' => "not TLS: looks like HTTP",
        20 | 21 | 23 | 24 => "TLS, but not a ClientHello",
        _ => "not TLS",
    }
}

/// Where the message ends, once its header is there.
fn message_end(joined: &[u8]) -> Result<Option<usize>, &'static str> {
    match joined {
        [kind, ..] if *kind != CLIENT_HELLO => Err("TLS, but not a ClientHello"),
        [_, high, middle, low, ..] => {
            let length = u32::from_be_bytes([0, *high, *middle, *low]);
            let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(MESSAGE_HEADER);
            if end > LIMIT { Err("ClientHello over 16 KiB") } else { Ok(Some(end)) }
        }
        _ => Ok(None),
    }
}

/// RFC 8446 section 4.1.2; the hellos of older versions may end before the extensions.
fn parse(message: Cow<'_, [u8]>) -> Option<ClientHello<'_>> {
    let mut body = Cursor(message.get(MESSAGE_HEADER..)?);
    let _version_and_random = body.array::<34>()?;
    let session = body.sized8()?;
    let suites = body.sized16()?;
    let compressions = body.sized8()?;
    if session.len() > 32 || suites.is_empty() || !suites.len().is_multiple_of(2) || compressions.is_empty() {
        return None;
    }
    let extensions = if body.is_empty() { &[][..] } else { body.sized16()? };
    if !body.is_empty() {
        return None;
    }
    let Wishes { sni, alpn } = wishes(extensions)?;
    let (sni, alpn) = (sni.map(|name| within(&message, name)), alpn.map(|list| within(&message, list)));
    Some(ClientHello { sni, alpn, message })
}

/// What the extensions say: a name, and the list of protocols.
struct Wishes<'a> {
    sni: Option<&'a [u8]>,
    alpn: Option<&'a [u8]>,
}

/// Walks the extensions. Each that is read may be there once.
fn wishes(extensions: &[u8]) -> Option<Wishes<'_>> {
    let (mut sni, mut alpn) = (None, None);
    let mut rest = Cursor(extensions);
    while !rest.is_empty() {
        let (kind, content) = (rest.u16()?, rest.sized16()?);
        let read_before = match kind {
            0 => sni.replace(host_name(content)?).is_some(),
            16 => alpn.replace(protocols(content)?).is_some(),
            _ => false,
        };
        if read_before {
            return None;
        }
    }
    Some(Wishes { sni: sni.flatten(), alpn })
}

/// The one host name of `server_name`. Names of other kinds, of which there are none yet, have the same form.
fn host_name(content: &[u8]) -> Option<Option<&[u8]>> {
    let mut rest = list(content)?;
    let mut found = None;
    while !rest.is_empty() {
        let (kind, name) = (rest.u8()?, rest.sized16()?);
        if kind == 0 && (!is_name(name) || found.replace(name).is_some()) {
            return None;
        }
    }
    Some(found)
}

/// The list of ALPN, every entry of it whole and none empty.
fn protocols(content: &[u8]) -> Option<&[u8]> {
    let all = list(content)?;
    let mut rest = all;
    while !rest.is_empty() {
        if rest.sized8()?.is_empty() {
            return None;
        }
    }
    Some(all.0)
}

/// The one list, not empty, that an extension consists of.
fn list(content: &[u8]) -> Option<Cursor<'_>> {
    let mut content = Cursor(content);
    let list = content.sized16()?;
    (!list.is_empty() && content.is_empty()).then_some(Cursor(list))
}

/// What may be compared with names of a configuration, and written into a log. IP addresses are no names (RFC 6066), but
/// clients send them; the colons of IPv6 pass too.
fn is_name(name: &[u8]) -> bool {
    let fits = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    (1..=255).contains(&name.len()) && name.iter().all(fits)
}

/// Where `part`, which was cut from `whole`, lies in it.
fn within(whole: &[u8], part: &[u8]) -> Range<usize> {
    let at = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    at..at.saturating_add(part.len())
}
