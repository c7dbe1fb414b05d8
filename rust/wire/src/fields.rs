//! Names with a meaning to a proxy.
//!
//! Every field is classified once, while its line is parsed; afterwards framing checks and rendering are loops over small
//! numbers, and whether a field goes on is one bit of a mask. Three sorts matter: what ends at this hop, what only we may say
//! (forwarding, framing), and what a `Connection` header may not talk us into dropping.

use crate::error::Rule;

/// What a field name means here. Below 32 values, so that a set of them is a `u32`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Known {
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    KeepAlive,
    ProxyConnection,
    Te,
    Upgrade,
    Http2Settings,
    Expect,
    Cookie,
    ForwardedFor,
    ForwardedProto,
    ForwardedHost,
    /// Any other `X-Forwarded-` name.
    ForwardedMore,
    RealIp,
    Forwarded,
    RequestId,
    /// A name with `_`: gateways that turn `-` into `_` would take it for another field.
    Underscore,
}

impl Known {
    pub(crate) const fn bit(self) -> u32 {
        1u32.wrapping_shl(self as u32)
    }
}

/// Fields that end at this hop, or that are written anew (RFC 9110 section 7.6.1).
pub(crate) const HOP: u32 = Known::ContentLength.bit()
    | Known::TransferEncoding.bit()
    | Known::Connection.bit()
    | Known::KeepAlive.bit()
    | Known::ProxyConnection.bit()
    | Known::Te.bit()
    | Known::Upgrade.bit()
    | Known::Http2Settings.bit();

/// Fields that tell who the client is: believed only from trusted peers.
pub(crate) const FORWARDING: u32 = Known::ForwardedFor.bit()
    | Known::ForwardedProto.bit()
    | Known::ForwardedHost.bit()
    | Known::ForwardedMore.bit()
    | Known::RealIp.bit()
    | Known::Forwarded.bit();

/// Fields that `Connection` cannot remove, beside `Authorization`.
const PROTECTED: u32 = Known::Host.bit()
    | Known::ContentLength.bit()
    | Known::TransferEncoding.bit()
    | Known::Cookie.bit()
    | Known::RequestId.bit()
    | FORWARDING;

/// Classifies a field name by its length and first letter, then by one comparison.
pub(crate) fn classify(name: &[u8]) -> Known {
    let first = name.first().map_or(0, |letter| letter | 0x20);
    let (text, known): (&[u8], Known) = match (name.len(), first) {
        (2, b't') => (b"te", Known::Te),
        (4, b'h') => (b"host", Known::Host),
        (6, b'c') => (b"cookie", Known::Cookie),
        (6, b'e') => (b"expect", Known::Expect),
        (7, b'u') => (b"upgrade", Known::Upgrade),
        (9, b'f') => (b"forwarded", Known::Forwarded),
        (9, b'x') => (b"x-real-ip", Known::RealIp),
        (10, b'c') => (b"connection", Known::Connection),
        (10, b'k') => (b"keep-alive", Known::KeepAlive),
        (12, b'x') => (b"x-request-id", Known::RequestId),
        (14, b'c') => (b"content-length", Known::ContentLength),
        (14, b'h') => (b"http2-settings", Known::Http2Settings),
        (15, b'x') => (b"x-forwarded-for", Known::ForwardedFor),
        (16, b'p') => (b"proxy-connection", Known::ProxyConnection),
        (16, b'x') => (b"x-forwarded-host", Known::ForwardedHost),
        (17, b't') => (b"transfer-encoding", Known::TransferEncoding),
        (17, b'x') => (b"x-forwarded-proto", Known::ForwardedProto),
        _ => return rest(name),
    };
    if reads(name, text) { known } else { rest(name) }
}

/// Whether `name` reads `text` in any case. `text` has only lower-case letters, digits and `-`, so the bit that tells
/// capitals from small letters tells nothing else apart that may stand in a head.
fn reads(name: &[u8], text: &[u8]) -> bool {
    const SMALL: u64 = u64::from_ne_bytes([0x20; 8]);
    let ((words, rest), (wanted, last)) = (name.as_chunks(), text.as_chunks());
    let same = |(word, wanted): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*word) | SMALL == u64::from_ne_bytes(*wanted);
    words.iter().zip(wanted).all(same) && rest.iter().zip(last).all(|(byte, wanted)| byte | 0x20 == *wanted)
}

/// Eight bytes at a time; the last eight may overlap those before.
fn has_underscore(name: &[u8]) -> bool {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let Some(last) = name.last_chunk() else {
        return name.contains(&b'_');
    };
    name.as_chunks().0.iter().chain([last]).any(|word| {
        let zero_where = u64::from_ne_bytes(*word) ^ u64::from_ne_bytes([b'_'; 8]);
        zero_where.wrapping_sub(LOW) & !zero_where & HIGH != 0
    })
}

fn rest(name: &[u8]) -> Known {
    // Before the prefix: `X-Forwarded-For_` is no forwarding field that a trusted peer may set.
    if has_underscore(name) {
        return Known::Underscore;
    }
    match name.get(..12) {
        Some(prefix) if prefix.eq_ignore_ascii_case(b"x-forwarded-") => Known::ForwardedMore,
        _ => Known::Other,
    }
}

/// Whether `Connection` may not remove this field.
pub(crate) fn is_protected(known: Known, name: &[u8]) -> bool {
    PROTECTED & known.bit() != 0 || name.eq_ignore_ascii_case(b"authorization")
}

/// The members of a comma-separated list, trimmed, without the empty ones (RFC 9110 section 5.6.1).
pub(crate) fn members(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Without optional whitespace (spaces and tabs) around it.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Whether `byte` may stand in a token (RFC 9110 section 5.6.2).
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Whether `byte` may stand in a field value (RFC 9110 section 5.5).
pub(crate) const fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Checks a field line without its end, byte by byte; of an incomplete one, what is there of it.
pub(crate) fn check_line(line: &[u8], complete: bool, first: bool) -> Result<(), Rule> {
    if let [b' ' | b'\t', ..] = line {
        return Err(if first { Rule::SpaceBeforeField } else { Rule::ObsFold });
    }
    let colon = line.iter().position(|&byte| byte == b':');
    let name = line.get(..colon.unwrap_or(line.len())).unwrap_or_default();
    match (name, colon) {
        ([], Some(_)) => return Err(Rule::BadFieldName),
        // A line that breaks off behind the space is taken for the likelier mistake.
        ([plain @ .., b' ' | b'\t'], _)
            if (colon.is_some() || !complete) && trim(plain).iter().copied().all(is_token) =>
        {
            return Err(Rule::SpaceBeforeColon);
        }
        (name, None) if complete && name.iter().copied().all(is_value) => {
            return Err(Rule::MissingColon);
        }
        (name, _) if name.iter().copied().all(is_token) => {}
        (name, _) if name.iter().copied().all(is_value) => return Err(Rule::BadFieldName),
        _ => return Err(Rule::ControlByte),
    }
    let value = line.get(name.len().saturating_add(1)..).unwrap_or_default();
    if value.iter().copied().all(is_value) { Ok(()) } else { Err(Rule::ControlByte) }
}

/// Names that mean something else, or too much, when they come after the body (RFC 9110 section 6.5.1).
const NOT_IN_TRAILERS: [&[u8]; 29] = [
    b"authentication-info",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-location",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"host",
    b"http2-settings",
    b"keep-alive",
    b"location",
    b"max-forwards",
    b"pragma",
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"proxy-authorization",
    b"proxy-connection",
    b"range",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"via",
    b"www-authenticate",
];

/// Whether a trailer field may go on: framing, routing, forwarding and authentication fields may not.
pub(crate) fn may_trail(name: &[u8]) -> bool {
    let ours = FORWARDING | Known::RequestId.bit() | Known::Underscore.bit();
    let conditional = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"if-"));
    ours & classify(name).bit() == 0
        && !conditional
        && !NOT_IN_TRAILERS.iter().any(|banned| name.eq_ignore_ascii_case(banned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(classify(b"HOST"), Known::Host);
        assert_eq!(classify(b"Transfer-encoding"), Known::TransferEncoding);
        assert_eq!(classify(b"x-FORWARDED-port"), Known::ForwardedMore);
        assert_eq!(classify(b"x-forwarded"), Known::Other);
        assert_eq!(classify(b"hosts"), Known::Other);
        assert_eq!(classify(b""), Known::Other);
        assert_eq!(classify(b"x-request-ie"), Known::Other);
        assert_eq!(classify(b"content^length"), Known::Other);
    }

    #[test]
    fn an_underscore_twin_is_neither_its_original_nor_kept() {
        for twin in [
            &b"Content_Length"[..],
            b"X_Forwarded_For",
            b"X-Forwarded_For",
            b"X-Forwarded-For_",
            b"_",
            b"abcdefgh_",
            b"_bcdefghi",
        ] {
            assert_eq!(classify(twin), Known::Underscore, "{}", twin.escape_ascii());
        }
    }

    #[test]
    fn lists_skip_empty_members() {
        let found: Vec<&[u8]> = members(b" , a,\tb c ,,").collect();
        assert_eq!(found, [&b"a"[..], b"b c"]);
    }

    #[test]
    fn trailers_keep_only_harmless_names() {
        assert!(may_trail(b"grpc-status") && may_trail(b"X-Checksum") && may_trail(b"ETag"));
        for banned in [&b"Content-Length"[..], b"HOST", b"x-forwarded-for", b"Authorization", b"If-Match", b"x_y"] {
            assert!(!may_trail(banned), "{}", banned.escape_ascii());
        }
    }
}
