//! Where a redirect sends a client.
//!
//! The target is a template, and what clients put into it must not lead where the file did not mean them to go. Three
//! things see to that. What is put in has passed `wire`: a host is a host, a path starts with `/`, and nothing holds a
//! space or a byte that ends a line. The template is checked with stand-ins when it is compiled: it is a URL with a
//! whole authority, or a path. And a target that is a path begins with one slash, however many came in:
//! `//evil.example` would be another server.

use wire::{Authority, Head};

/// Where the client is sent.
#[derive(Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    to: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Host,
    Path,
    Uri,
}

/// What a template is filled with.
struct Filling<'a> {
    host: &'a [u8],
    path: &'a [u8],
    /// With its `?`.
    query: &'a [u8],
}

impl Redirect {
    /// # Errors
    /// What is wrong with the template `to`.
    pub(crate) fn parse(status: u16, to: &str) -> Result<Self, String> {
        if to.starts_with("//") {
            return Err(format!("`{}` has no scheme; write it as in `https:{0}`", to.escape_debug()));
        }
        let redirect = Redirect { status, to: parts(to)? };
        let example = redirect.fill(&Filling { host: b"h", path: b"/p", query: b"?q" });
        check(&example).map_err(|problem| format!("`{}` {problem}", to.escape_debug()))?;
        Ok(redirect)
    }

    /// The value of `Location` for this request; `None` if it does not name the host that the target needs.
    pub(crate) fn target(&self, head: &Head) -> Option<Vec<u8>> {
        if head.host().is_empty() && self.to.contains(&Part::Host) {
            return None;
        }
        let sent = head.target();
        let tail = head.query().map_or(0, |query| query.len() + 1);
        let (path, query) = sent.split_at_checked(sent.len().saturating_sub(tail)).unwrap_or_default();
        // `OPTIONS *` asks about the server itself.
        let path = if path.first() == Some(&b'/') { path } else { b"/" };
        Some(self.fill(&Filling { host: head.host(), path, query }))
    }

    fn fill(&self, filling: &Filling<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        let path = one_slash(filling.path);
        for part in &self.to {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Host => out.extend_from_slice(filling.host),
                Part::Path => out.extend_from_slice(path),
                Part::Uri => out.extend([path, filling.query].concat()),
            }
        }
        if out.first() == Some(&b'/') { one_slash(&out).to_vec() } else { out }
    }
}

/// A path that begins with a slash, without others beside that.
fn one_slash(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    &path[slashes.saturating_sub(1)..]
}

fn parts(to: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = to;
    while let Some(start) = rest.find(['{', '}']) {
        let (text, after) = rest.split_at(start);
        parts.extend((!text.is_empty()).then(|| Part::Text(text.into())));
        let (part, length) = [("{host}", Part::Host), ("{path}", Part::Path), ("{uri}", Part::Uri)]
            .into_iter()
            .find(|(name, _)| after.starts_with(name))
            .map(|(name, part)| (part, name.len()))
            .ok_or_else(|| {
                let known = "known are `{host}`, `{path}` and `{uri}`; write other braces as `%7B` and `%7D`";
                format!("`{}` has an unknown part; {known}", to.escape_debug())
            })?;
        parts.push(part);
        rest = &after[length..];
    }
    parts.extend((!rest.is_empty()).then(|| Part::Text(rest.into())));
    Ok(parts)
}

/// Checks a target in which the parts of requests are filled in.
fn check(target: &[u8]) -> Result<(), &'static str> {
    if !target.iter().all(u8::is_ascii_graphic) || target.contains(&b'\\') {
        return Err("has a character that a URL carries percent-encoded");
    }
    let rest = match target {
        [b'/', ..] => return Ok(()),
        _ => target.strip_prefix(b"https://").or_else(|| target.strip_prefix(b"http://")),
    };
    let rest = rest.ok_or("is neither a URL nor a path; write one such as `https://shop.example{uri}` or `/new`")?;
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    match Authority::new(&rest[..end]) {
        Some(_) => Ok(()),
        None => Err("has no host where a URL has it; write one such as `https://shop.example{uri}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Pages, Parsed, Rules, parse_request};

    fn target(to: &str, request: &str) -> String {
        let text = format!("{request}\r\n\r\n");
        let parsed = parse_request(text.as_bytes(), &mut 0, &Rules::default(), &mut Pages::default());
        let Parsed::Done { head, .. } = parsed else { panic!("{request}: {parsed:?}") };
        let redirect = Redirect::parse(308, to).unwrap_or_else(|error| panic!("{error}"));
        redirect.target(&head).map_or("nowhere".to_owned(), |found| String::from_utf8(found).unwrap())
    }

    #[test]
    fn fills_in_what_was_asked_for() {
        let get = |to: &str, path: &str| target(to, &format!("GET {path} HTTP/1.1\r\nHost: Shop.Example:8080"));
        assert_eq!(get("https://{host}{uri}", "/a/b?c=d"), "https://shop.example/a/b?c=d");
        assert_eq!(get("https://{host}{path}", "/a//b?c=d"), "https://shop.example/a//b");
        assert_eq!(
            get("https://new.example/from/{host}?was={path}", "/a"),
            "https://new.example/from/shop.example?was=/a"
        );
        assert_eq!(get("/new", "/old?x"), "/new");
        assert_eq!(target("https://{host}{uri}", "GET / HTTP/1.0"), "nowhere");
        assert_eq!(target("/x{path}", "OPTIONS * HTTP/1.1\r\nHost: a"), "/x/");
    }

    #[test]
    fn nobody_is_led_astray() {
        let get = |to: &str, path: &str| target(to, &format!("GET {path} HTTP/1.1\r\nHost: a"));
        for path in ["//evil.example/x", "///evil.example/x", "//evil.example/../evil.example/x", "/.//evil.example/x"]
        {
            for to in ["{uri}", "{path}", "/{path}"] {
                assert_eq!(get(to, path), "/evil.example/x", "{to} {path}");
            }
            assert_eq!(get("https://a.example{uri}", path), "https://a.example/evil.example/x", "{path}");
        }
    }

    #[test]
    fn says_what_to_write() {
        for (to, part) in [
            ("", "neither a URL nor a path"),
            ("shop.example/x", "neither a URL nor a path"),
            ("javascript:alert(1)", "neither a URL nor a path"),
            ("{host}{uri}", "neither a URL nor a path"),
            ("https://{uri}", "has no host"),
            ("https://{path}", "has no host"),
            ("https:///x", "has no host"),
            ("https://shop.example:{uri}", "has no host"),
            ("https://user@shop.example/", "has no host"),
            ("https://{host}{port}/", "unknown part"),
            ("/a}", "unknown part"),
            ("//evil.example/x", "no scheme"),
            ("/a b", "percent-encoded"),
            ("/a\r\nx: y", "percent-encoded"),
            ("/\\evil.example", "percent-encoded"),
            ("/ü", "percent-encoded"),
        ] {
            let message = Redirect::parse(308, to).err().unwrap_or_else(|| panic!("{to} passed"));
            assert!(message.contains(part), "{to}: {message}");
        }
    }
}
