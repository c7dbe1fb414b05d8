//! What is sent in place of the path that was asked for.
//!
//! A route is found by the *matched* form of a path (decoded, `//` merged), and what is edited is the form that is
//! *sent* (`//` as received, and with `path: raw` also escapes). Cutting the sent form by the length of a prefix would
//! be wrong: `/%61pi/x` and `//api/x` both lie below `/api`. But both forms have the same segments in the same order,
//! since nothing that is decoded or merged makes or removes one: a prefix of two segments ends behind the second
//! segment of either.
//!
//! Where the rest begins, several slashes become one, so that no backend reads `//host/` at the start as an authority.

use crate::error::Rule;
use crate::target::canonical;

/// Changes to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathEdit(Edit);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Edit {
    /// A prefix, up to a segment's border, and what takes its place; both without a slash at the end.
    Prefix(Box<[u8]>, Box<[u8]>),
    Whole(Box<[u8]>),
}

impl PathEdit {
    /// Paths at or below `prefix` lose it; an emptied path becomes `/`. Others stay.
    ///
    /// # Errors
    /// The rule that `prefix` breaks as a path.
    pub fn strip(prefix: &[u8]) -> Result<Self, Rule> {
        PathEdit::replace(prefix, b"/")
    }

    /// Paths at or below `prefix` get `with` in its place. Others stay.
    ///
    /// # Errors
    /// The rule that one of them breaks as a path.
    pub fn replace(prefix: &[u8], with: &[u8]) -> Result<Self, Rule> {
        Ok(PathEdit(Edit::Prefix(base(prefix)?, base(with)?)))
    }

    /// Every path becomes this one.
    ///
    /// # Errors
    /// The rule that it breaks as a path.
    pub fn whole(path: &[u8]) -> Result<Self, Rule> {
        Ok(PathEdit(Edit::Whole(canonical(path)?.into())))
    }

    /// Appends what is sent for a path, given in both forms.
    pub(crate) fn write(&self, matched: &[u8], sent: &[u8], out: &mut Vec<u8>) {
        if matched.first() != Some(&b'/') {
            return out.extend_from_slice(sent);
        }
        let (prefix, with) = match &self.0 {
            Edit::Whole(path) => return out.extend_from_slice(path),
            Edit::Prefix(prefix, with) => (prefix, with),
        };
        match matched.strip_prefix(&**prefix) {
            Some([] | [b'/', ..]) => {}
            _ => return out.extend_from_slice(sent),
        }
        let rest = behind(sent, prefix.iter().filter(|&&byte| byte == b'/').count());
        out.extend_from_slice(with);
        if with.is_empty() || !rest.is_empty() {
            let start = rest.iter().position(|&byte| byte != b'/').unwrap_or(rest.len());
            out.push(b'/');
            out.extend_from_slice(rest.get(start..).unwrap_or_default());
        }
    }
}

/// In the matched form, without the slash at the end.
fn base(path: &[u8]) -> Result<Box<[u8]>, Rule> {
    let path = canonical(path)?;
    Ok(path.strip_suffix(b"/").unwrap_or(&path).into())
}

/// What follows so many segments.
fn behind(path: &[u8], segments: usize) -> &[u8] {
    let mut rest = path;
    for _ in 0..segments {
        let start = rest.iter().position(|&byte| byte != b'/').unwrap_or(rest.len());
        rest = rest.get(start..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        rest = rest.get(end..).unwrap_or_default();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pages, Parsed, RequestEdits, RouteEdits, Rules, parse_request, render_request};

    /// The target that a backend gets.
    fn sent(edit: &PathEdit, target: &str, raw_path: bool) -> String {
        let text = format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
        let rules = Rules { raw_path, ..Rules::default() };
        let parsed = parse_request(text.as_bytes(), &mut 0, &rules, &mut Pages::default());
        let Parsed::Done { head, .. } = parsed else { panic!("{target}: {parsed:?}") };
        let route = RouteEdits { path: Some(edit.clone()), ..RouteEdits::default() };
        let client = std::net::Ipv4Addr::LOCALHOST.into();
        let edits = RequestEdits { client, proto: "http", trusted: false, request_id: None, route: Some(&route) };
        let mut out = Vec::new();
        render_request(&head, &edits, &mut out);
        let line = out.split(|&byte| byte == b'\r').next().unwrap();
        String::from_utf8_lossy(line).split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let strip = PathEdit::strip(b"/api").unwrap();
        for (target, expected) in [
            ("/api", "/"),
            ("/api/", "/"),
            ("/api?x=1", "/?x=1"),
            ("/api/?x=/api/", "/?x=/api/"),
            ("/api/x/y?", "/x/y?"),
            ("/apix", "/apix"),
            ("/x/api/", "/x/api/"),
            ("//api//x//y", "/x//y"),
            ("/%61pi/x", "/x"),
            ("/api//evil.example/x", "/evil.example/x"),
            ("/api/%2f%2Fx", "/%2f%2Fx"),
            ("/x/../api/y", "/y"),
        ] {
            assert_eq!(sent(&strip, target, false), expected, "{target}");
        }
    }

    #[test]
    fn a_raw_path_keeps_its_spelling() {
        let strip = PathEdit::strip(b"/my/api/").unwrap();
        for (target, expected) in
            [("/%6dy/%61pi/%61b//c?q", "/%61b//c?q"), ("//my///api", "/"), ("/my%2fapi/x", "/my%2fapi/x")]
        {
            assert_eq!(sent(&strip, target, true), expected, "{target}");
        }
    }

    #[test]
    fn another_prefix_or_path_takes_its_place() {
        let replace = PathEdit::replace(b"/api/", b"/v2/").unwrap();
        for (target, expected) in [("/api", "/v2"), ("/api/", "/v2/"), ("/api/x?y", "/v2/x?y"), ("/other", "/other")] {
            assert_eq!(sent(&replace, target, false), expected, "{target}");
        }
        let below = PathEdit::replace(b"/", b"/v2").unwrap();
        assert_eq!(sent(&below, "/x//y?z", false), "/v2/x//y?z");
        let whole = PathEdit::whole(b"/index.html").unwrap();
        assert_eq!(sent(&whole, "/x/y?z=1", false), "/index.html?z=1");
        assert_eq!(PathEdit::whole(b"x"), Err(Rule::BadTargetForm));
        assert!(PathEdit::whole(b"/x HTTP/1.1\r\n").is_err());
    }

    #[test]
    fn the_server_itself_has_no_path() {
        let text = b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n";
        let parsed = parse_request(text, &mut 0, &Rules::default(), &mut Pages::default());
        let Parsed::Done { head, .. } = parsed else { panic!("{parsed:?}") };
        let mut out = Vec::new();
        PathEdit::whole(b"/x").unwrap().write(head.path(), head.target(), &mut out);
        assert_eq!(out, b"*");
    }
}
