//! The little of HTTP/1.1 that an origin for GETs needs: where a head ends, which path it asks for, whether to close.
//!
//! It trusts its clients, which are proxies under test. Requests with a body are outside its world and are refused.

use memchr::memmem;

/// One request, as far as it matters here. The bytes are those of its head.
pub struct Request<'a> {
    /// The path with its query; empty if the method is not GET.
    pub path: &'a [u8],
    /// The client asks to close after the answer, or speaks HTTP/1.0 without asking to stay.
    pub close: bool,
    /// The head as received, with its empty line.
    pub head: &'a [u8],
}

/// The first whole request of `bytes`, or None while its head is incomplete.
pub fn parse(bytes: &[u8]) -> Option<Request<'_>> {
    let head = &bytes[..memmem::find(bytes, b"\r\n\r\n")? + 4];
    let line = &head[..memchr::memchr(b'\r', head)?];
    let target = line.strip_prefix(b"GET ").unwrap_or_default();
    let path = &target[..memchr::memchr(b' ', target).unwrap_or(0)];
    let old = line.ends_with(b"HTTP/1.0");
    Some(Request { path, close: closes(head, old), head })
}

fn closes(head: &[u8], old: bool) -> bool {
    // Names come as "Connection" or, from Envoy, "connection": the first letter is left out of the search.
    let Some(at) = memmem::find(head, b"onnection: ") else {
        return old;
    };
    let value = &head[at + b"onnection: ".len()..];
    if old {
        !value.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"keep-alive"))
    } else {
        value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"close"))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_head_is_a_request_only_when_its_empty_line_is_there() {
        assert!(parse(b"GET /64 HTTP/1.1\r\nHost: a\r\n").is_none());
        let two = b"GET /64 HTTP/1.1\r\nHost: a\r\n\r\nGET /1m HTTP/1.1\r\n\r\n";
        let first = parse(two).unwrap();
        assert_eq!((first.path, first.close, first.head.len()), (&b"/64"[..], false, 29));
        assert_eq!(parse(&two[first.head.len()..]).unwrap().path, b"/1m");
    }

    #[test]
    fn close_is_heard_in_any_case_and_in_old_versions() {
        let close = |head: &[u8]| parse(head).unwrap().close;
        assert!(close(b"GET / HTTP/1.1\r\nconnection: Close\r\n\r\n"));
        assert!(!close(b"GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n"));
        assert!(close(b"GET / HTTP/1.0\r\n\r\n"));
        assert!(!close(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    }

    #[test]
    fn another_method_has_no_path() {
        assert_eq!(parse(b"POST /64 HTTP/1.1\r\n\r\n").unwrap().path, b"");
    }
}
