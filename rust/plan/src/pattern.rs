//! What a route's `match` may say about host and path, and what it means.
//!
//! A pattern is compared with what `wire` made of the request: the host in lower case, without port or last dot; the
//! path with dot segments resolved, `//` merged and needless percent-encoding undone. A pattern in another form could
//! never match and would lie silently in the file, so it is refused, with the form that would. What that form is, is
//! not written down here a second time: the pattern is put into a request, and `wire` reads it.

use wire::{Head, Limits, Pages, Parsed, Rules};

/// Which hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum HostPattern {
    /// Every host, and requests without one.
    Any,
    /// This host.
    Exact(Box<[u8]>),
    /// Every host below this one.
    Below(Box<[u8]>),
}

/// Which paths. Prefixes are kept without their last slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PathPattern {
    /// Every path, and the `*` of `OPTIONS *`.
    Any,
    /// This path.
    Exact(Box<[u8]>),
    /// This path and all below it.
    Prefix(Box<[u8]>),
}

/// RFC 1035, section 2.3.4, without the length bytes.
const LONGEST_NAME: usize = 253;
/// What any listener's `request_line` may allow.
const LONGEST_LINE: usize = 64 << 10;

const NOT_A_HOST: &str = "is not a host; expected `shop.example`, `*.shop.example`, `10.0.0.1` or `[::1]`";

impl HostPattern {
    /// `shop.example`, `*.shop.example`, `10.0.0.1` or `[::1]`, in any case.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        let host = written.to_ascii_lowercase();
        let (wild, name) = match host.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, host.as_str()),
        };
        check_host(name, wild).map_err(|problem| format!("`{written}` {problem}"))?;
        let name = Box::from(name.as_bytes());
        Ok(if wild { HostPattern::Below(name) } else { HostPattern::Exact(name) })
    }
}

fn check_host(name: &str, wild: bool) -> Result<(), String> {
    let advice = match name {
        "" | "*" => "is no host; leave `host` out to match every host",
        _ if name.contains("://") => "is a URL; write only its host, and put the path into `path`",
        _ if name.contains('/') => "has a path; put that into `path`",
        _ if name.contains('*') => "has a `*` inside; only `*.` at the start is a wildcard, as in `*.shop.example`",
        _ if name.starts_with('[') && wild => {
            "is a wildcard below an address, where no host is; write the address alone"
        }
        _ if name.len() > LONGEST_NAME => "is longer than 253 characters, the most that a name can have",
        _ if !name.is_ascii() => {
            "has letters beyond ASCII; write it as browsers send it, as in `xn--bcher-kva.example`"
        }
        _ if !name.bytes().all(|byte| byte.is_ascii_graphic()) => NOT_A_HOST,
        _ => return check_received_host(name),
    };
    Err(advice.to_owned())
}

fn check_received_host(name: &str) -> Result<(), String> {
    if name.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(format!("is an IPv6 address; write it as a URL has it: `[{name}]`"));
    }
    let received = received(name, "/").map_err(|_| NOT_A_HOST)?;
    let host = String::from_utf8_lossy(received.host());
    if host != name {
        return Err(format!("is compared without port and last dot; write `{host}`"));
    }
    Ok(())
}

impl PathPattern {
    /// `/x/` for `/x` and all below it, `/x` for itself only.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        check_path(written).map_err(|problem| format!("`{written}` {problem}"))?;
        Ok(match written.strip_suffix('/') {
            Some(prefix) => PathPattern::Prefix(Box::from(prefix.as_bytes())),
            None => PathPattern::Exact(Box::from(written.as_bytes())),
        })
    }
}

fn check_path(path: &str) -> Result<(), String> {
    let trimmed = path.trim_end_matches('*').trim_end_matches('/');
    Err(match path {
        "" => "is no path; leave `path` out to match every path".to_owned(),
        _ if path.contains("://") => "is a URL; write only its path, and put the host into `host`".to_owned(),
        _ if !path.starts_with('/') => format!("does not start with `/`; write `/{path}`"),
        _ if path.ends_with('*') => {
            format!("ends in `*`, which is no wildcard here; `{trimmed}/` takes in all below")
        }
        _ if path.contains(['?', '#']) => {
            let end = path.find(['?', '#']).unwrap_or(path.len());
            format!("has a query or a fragment, but only the path is compared; write `{}`", &path[..end])
        }
        _ if !path.bytes().all(|byte| byte.is_ascii_graphic()) => {
            format!("has characters that a request carries percent-encoded; write `{}`", encoded(path))
        }
        _ => return check_received_path(path),
    })
}

fn check_received_path(path: &str) -> Result<(), String> {
    let received = received("pylb", path).map_err(|problem| format!("is refused in every request: {problem}"))?;
    let compared = String::from_utf8_lossy(received.path());
    if compared != path {
        return Err(format!("is compared in its normal form; write `{compared}`"));
    }
    Ok(())
}

/// The head of a request for this host and path, which hold nothing that could end a line or a word.
fn received(host: &str, path: &str) -> Result<Head, &'static str> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let limits = Limits { request_line: LONGEST_LINE, ..Limits::default() };
    let rules = Rules { limits, ..Rules::default() };
    match wire::parse_request(request.as_bytes(), &mut 0, &rules, &mut Pages::default()) {
        Parsed::Done { head, .. } => Ok(head),
        Parsed::Bad(fault) => Err(fault.explain()),
        Parsed::More => Err("it is not complete"),
    }
}

/// RFC 3986, section 2.1, for what is not ASCII or not visible.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len() * 3);
    for byte in path.bytes() {
        match byte {
            _ if byte.is_ascii_graphic() => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts() {
        let exact = |name: &str| Ok(HostPattern::Exact(Box::from(name.as_bytes())));
        assert_eq!(HostPattern::parse("Shop.Example"), exact("shop.example"));
        assert_eq!(HostPattern::parse("10.0.0.1"), exact("10.0.0.1"));
        assert_eq!(HostPattern::parse("[2001:DB8::1]"), exact("[2001:db8::1]"));
        assert_eq!(HostPattern::parse("my_service"), exact("my_service"));
        assert_eq!(HostPattern::parse("*.Shop.example"), Ok(HostPattern::Below(Box::from(&b"shop.example"[..]))));
    }

    #[test]
    fn says_which_host_to_write() {
        for (written, part) in [
            ("", "leave `host` out"),
            ("*", "leave `host` out"),
            ("*.", "leave `host` out"),
            ("http://shop.example", "is a URL"),
            ("shop.example/x", "put that into `path`"),
            ("shop.example:8080", "write `shop.example`"),
            ("shop.example.", "write `shop.example`"),
            ("::1", "`[::1]`"),
            ("[::1", "is not a host"),
            ("shop.*.example", "only `*.` at the start"),
            ("*.[::1]", "write the address alone"),
            ("bücher.example", "`xn--bcher-kva.example`"),
            ("shop..example", "is not a host"),
            ("shop example", "is not a host"),
            ("shop\r\nexample", "is not a host"),
        ] {
            let message = HostPattern::parse(written).unwrap_err();
            assert!(message.contains(part), "{written}: {message}");
        }
        assert!(HostPattern::parse(&"a.".repeat(127)).unwrap_err().contains("253"));
    }

    #[test]
    fn reads_paths() {
        let prefix = |path: &str| Ok(PathPattern::Prefix(Box::from(path.as_bytes())));
        let exact = |path: &str| Ok(PathPattern::Exact(Box::from(path.as_bytes())));
        assert_eq!(PathPattern::parse("/"), prefix(""));
        assert_eq!(PathPattern::parse("/api/"), prefix("/api"));
        assert_eq!(PathPattern::parse("/api"), exact("/api"));
        assert_eq!(PathPattern::parse("/%C3%BC~{x}"), exact("/%C3%BC~{x}"));
        assert_eq!(PathPattern::parse("/a%2Fb"), exact("/a%2Fb"));
    }

    #[test]
    fn says_which_path_to_write() {
        for (written, part) in [
            ("", "leave `path` out"),
            ("api", "write `/api`"),
            ("https://shop.example/api", "is a URL"),
            ("/api/*", "`/api/` takes in all below"),
            ("/api*", "`/api/` takes in all below"),
            ("/*", "`/` takes in all below"),
            ("/api?x=1", "write `/api`"),
            ("/über x", "write `/%C3%BCber%20x`"),
            ("/a//b", "write `/a/b`"),
            ("/a/./b/../c", "write `/a/c`"),
            ("/%61pi", "write `/api`"),
            ("/%c3%bc", "write `/%C3%BC`"),
            ("/100%", "is refused in every request"),
            ("/a\\b", "is refused in every request"),
            ("/a HTTP/1.1\r\nx: y", "percent-encoded"),
        ] {
            let message = PathPattern::parse(written).unwrap_err();
            assert!(message.contains(part), "{written}: {message}");
        }
    }
}
