//! What to change while a head is rendered. Edits are recorded here and applied in the one pass that writes the bytes.

use std::net::IpAddr;

use crate::fields::{FORWARDING, HOP, Known, classify, is_token, is_value, trim};
use crate::head::{Framing, Version};
use crate::host;
use crate::rewrite::PathEdit;

/// Changes to a request on its way to a backend.
#[derive(Copy, Clone, Debug)]
pub struct RequestEdits<'a> {
    /// The peer of the connection the request came on; appended to X-Forwarded-For.
    pub client: IpAddr,
    /// `http` or `https`: how the request reached us.
    pub proto: &'static str,
    /// Whether the peer is a trusted proxy, whose X-Forwarded-*, X-Real-IP and Forwarded are believed.
    pub trusted: bool,
    /// The X-Request-ID to set. None keeps the received one.
    pub request_id: Option<&'a [u8]>,
    /// What the route changes.
    pub route: Option<&'a RouteEdits>,
}

/// Changes to a response on its way to the client.
#[derive(Copy, Clone, Debug)]
pub struct ResponseEdits<'a> {
    /// The version the client spoke.
    pub version: Version,
    /// Whether the client's connection stays open after this response.
    pub keep_alive: bool,
    /// How the body will be framed: see [`response_framing`](crate::response_framing).
    pub framing: Framing,
    /// What the route changes. Interim responses only lose fields.
    pub route: Option<&'a FieldEdits>,
    /// The value of one more Set-Cookie field.
    pub set_cookie: Option<&'a [u8]>,
    /// What is left of the client's rate limit.
    pub rate: Option<RateLimit>,
}

impl ResponseEdits<'_> {
    /// Nothing is changed but what the client's connection asks for.
    pub fn plain(version: Version, keep_alive: bool, framing: Framing) -> Self {
        ResponseEdits { version, keep_alive, framing, route: None, set_cookie: None, rate: None }
    }
}

/// What a route changes on its requests: made once, when the plan is compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteEdits {
    /// Changes to fields.
    pub fields: FieldEdits,
    /// What is sent in place of the path; the query stays.
    pub path: Option<PathEdit>,
    /// What is sent in place of the Host.
    pub host: Option<Authority>,
}

/// `host` or `host:port` that may stand in a Host field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority(Box<[u8]>);

/// Changes to the fields of a head: some stay behind, then some are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    removed: Vec<Box<[u8]>>,
    /// Whole lines, each with its end.
    added: Vec<u8>,
}

/// Which heads a field edit is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Heads {
    /// On their way to a backend.
    Requests,
    /// On their way to a client.
    Responses,
}

/// Why a field cannot be edited.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NotEditable {
    /// The name is no token (RFC 9110 section 5.6.2).
    Name,
    /// The value holds a control byte, or space at an end (RFC 9110 section 5.5).
    Value,
    /// The field is ours to write, for this reason.
    Protected(&'static str),
}

/// The state of a rate limit. Times are whole seconds, rounded up: whoever comes back then is not refused again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests at once.
    pub limit: u32,
    /// Seconds in which an empty limit fills up; at least 1.
    pub window: u32,
    /// How many requests are left.
    pub remaining: u32,
    /// Seconds until all of them are there again.
    pub reset: u32,
}

impl Authority {
    /// None if this is not `host` or `host:port`.
    pub fn new(text: &[u8]) -> Option<Self> {
        host::check(text).ok().map(|_| Authority(text.into()))
    }

    /// As it is sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FieldEdits {
    /// Fields of this name stay behind.
    ///
    /// # Errors
    /// The name is not one that may be edited.
    pub fn remove(&mut self, heads: Heads, name: &[u8]) -> Result<(), NotEditable> {
        check_name(heads, name)?;
        self.removed.push(name.to_ascii_lowercase().into());
        Ok(())
    }

    /// A field of this name and value takes the place of all others of the name.
    ///
    /// # Errors
    /// The name is not one that may be edited, or the value is none.
    pub fn set(&mut self, heads: Heads, name: &[u8], value: &[u8]) -> Result<(), NotEditable> {
        self.add(heads, name, value)?;
        self.remove(heads, name)
    }

    /// A field of this name and value is added beside others of the name.
    ///
    /// # Errors
    /// The name is not one that may be edited, or the value is none.
    pub fn add(&mut self, heads: Heads, name: &[u8], value: &[u8]) -> Result<(), NotEditable> {
        check_name(heads, name)?;
        if trim(value) != value || !value.iter().copied().all(is_value) {
            return Err(NotEditable::Value);
        }
        for part in [name, b": ", value, b"\r\n"] {
            self.added.extend_from_slice(part);
        }
        Ok(())
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// One line for each change: `remove x-a`, `set x-b: 1`, `add x-c: 2`.
    pub fn changes(&self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut changes = Vec::new();
        let mut set = Vec::new();
        for line in self.added.split(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\r")) {
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            let verb = if self.removes(name) { "set" } else { "add" };
            set.push(name);
            changes.push(format!("{verb} {}", text(line)));
        }
        let is_set = |name: &[u8]| set.iter().any(|one| one.eq_ignore_ascii_case(name));
        let removed = self.removed.iter().filter(|name| !is_set(name));
        removed.map(|name| format!("remove {}", text(name))).chain(changes).collect()
    }

    /// Whether fields of this name stay behind.
    pub fn removes(&self, name: &[u8]) -> bool {
        self.removed.iter().any(|removed| removed.eq_ignore_ascii_case(name))
    }

    /// The lines that are added, each with its end.
    pub fn added(&self) -> &[u8] {
        &self.added
    }
}

fn check_name(heads: Heads, name: &[u8]) -> Result<(), NotEditable> {
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(NotEditable::Name);
    }
    let known = classify(name);
    let reason = match known {
        Known::Host => "requests get it by `rewrite: {host: ...}`",
        Known::ContentLength | Known::TransferEncoding => "it tells where the body ends, and is written anew",
        Known::Expect | Known::Http2Settings => "it belongs to the connection, and is written anew",
        Known::RequestId if heads == Heads::Requests => "pylb sets it, and logs the request by it",
        Known::Underscore => "servers that read `_` as `-` would take it for another field",
        _ if HOP & known.bit() != 0 => "it belongs to the connection, and is written anew",
        _ if FORWARDING & known.bit() != 0 => "it tells who the client is, and only pylb knows",
        _ => return Ok(()),
    };
    Err(NotEditable::Protected(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_a_message_or_names_the_client_is_not_edited() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "Connection",
            "keep-alive",
            "Proxy-Connection",
            "TE",
            "upgrade",
            "HTTP2-Settings",
            "Expect",
            "X-Forwarded-For",
            "x-forwarded-proto",
            "x-forwarded-anything",
            "Forwarded",
            "X-Real-IP",
            "x_tenant",
        ] {
            for heads in [Heads::Requests, Heads::Responses] {
                let mut edits = FieldEdits::default();
                assert!(matches!(edits.remove(heads, name.as_bytes()), Err(NotEditable::Protected(_))), "{name}");
                assert!(matches!(edits.set(heads, name.as_bytes(), b"1"), Err(NotEditable::Protected(_))), "{name}");
                assert!(matches!(edits.add(heads, name.as_bytes(), b"1"), Err(NotEditable::Protected(_))), "{name}");
                assert!(edits.is_empty(), "{name}");
            }
        }
        let mut edits = FieldEdits::default();
        assert!(matches!(edits.remove(Heads::Requests, b"X-Request-ID"), Err(NotEditable::Protected(_))));
        assert_eq!(edits.remove(Heads::Responses, b"X-Request-ID"), Ok(()));
    }

    #[test]
    fn no_value_ends_a_line() {
        let mut edits = FieldEdits::default();
        for value in [&b"1\r\nx: y"[..], b"\n", b"a\0", b" a", b"a\t", b"\x7f"] {
            assert_eq!(edits.add(Heads::Responses, b"x-a", value), Err(NotEditable::Value), "{}", value.escape_ascii());
        }
        for name in [&b""[..], b"a b", b"a:", b"a\r\nb"] {
            assert_eq!(edits.set(Heads::Responses, name, b"1"), Err(NotEditable::Name), "{}", name.escape_ascii());
        }
        assert!(edits.is_empty());
    }
}
