//! A table of targets with what becomes of each, and what holds for all paths.

use super::*;

/// (sent, matched) of a path.
fn paths(path: &str, rules: &Rules) -> Result<(String, String), Rule> {
    let mut page = Page::holding(path.as_bytes());
    let placed = place(&mut page, Span::new(0, path.len()), Method::Get, rules)?;
    let text = |span: Span| String::from_utf8(span.of(&page.bytes).to_vec()).unwrap();
    Ok((text(placed.sent), text(placed.path)))
}

fn both(path: &str) -> Result<(String, String), Rule> {
    paths(path, &Rules::default())
}

#[track_caller]
fn becomes(path: &str, sent: &str, matched: &str) {
    assert_eq!(both(path), Ok((sent.to_owned(), matched.to_owned())), "{path}");
}

#[test]
fn plain_paths_are_left_alone() {
    for path in ["/", "/a", "/a/", "/a.b/c..d/...", "/a;v=1/b", "/~u/_-x", "/a:b@c,d+e=f&g!$'()*"] {
        becomes(path, path, path);
    }
}

#[test]
fn unreserved_characters_are_decoded_once() {
    becomes("/%61dmin", "/admin", "/admin");
    becomes("/%7Euser/%2D%5F", "/~user/-_", "/~user/-_");
    becomes("/%2561", "/%2561", "/%2561");
    becomes("/%25%36%31", "/%2561", "/%2561");
    becomes("/caf%c3%a9", "/caf%c3%a9", "/caf%C3%A9");
    becomes("/%e9", "/%e9", "/%E9");
}

#[test]
fn dot_segments_are_resolved() {
    for (path, result) in [
        ("/x/../admin", "/admin"),
        ("/./admin", "/admin"),
        ("/x/%2e%2e/admin", "/admin"),
        ("/x/.%2E/admin", "/admin"),
        ("/%2e/admin", "/admin"),
        ("/..", "/"),
        ("/.", "/"),
        ("/../../a", "/a"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/a/b/../../..", "/"),
        ("/a/./b/../c/", "/a/c/"),
        ("/a//../b", "/a/b"),
    ] {
        becomes(path, result, result);
    }
    becomes("/a/..//b", "//b", "/b");
}

#[test]
fn double_slashes_match_merged_and_are_sent_as_received() {
    becomes("//admin", "//admin", "/admin");
    becomes("/a///b//", "/a///b//", "/a/b/");
}

#[test]
fn encoded_slashes_are_data() {
    becomes("/a%2fb", "/a%2fb", "/a%2Fb");
    becomes("/group%2Fproject/x%5cy", "/group%2Fproject/x%5cy", "/group%2Fproject/x%5Cy");
    becomes("/a%2f/../b", "/b", "/b");
    let reject = Rules { reject_encoded_slash: true, ..Rules::default() };
    assert_eq!(paths("/a%2fb", &reject), Err(Rule::EncodedSlash));
    assert_eq!(paths("/a%5Cb", &reject), Err(Rule::EncodedSlash));
}

#[test]
fn refused_paths() {
    for (path, rule) in [
        ("/..%2fadmin", Rule::EncodedSlashByDots),
        ("/a%2f..", Rule::EncodedSlashByDots),
        ("/a%2F%2e%2e%2Fb", Rule::EncodedSlashByDots),
        ("/.%5cb", Rule::EncodedSlashByDots),
        ("/a%5c..%5cb", Rule::EncodedSlashByDots),
        ("/a\\b", Rule::Backslash),
        ("/a%00b", Rule::EncodedControl),
        ("/a%0d%0ab", Rule::EncodedControl),
        ("/a%7f", Rule::EncodedControl),
        ("/%c0%af", Rule::OverlongUtf8),
        ("/%C1%9C", Rule::OverlongUtf8),
        ("/%e0%80%af", Rule::OverlongUtf8),
        ("/%f0%80%80%af", Rule::OverlongUtf8),
        ("/%", Rule::BadEscape),
        ("/%a", Rule::BadEscape),
        ("/%zz", Rule::BadEscape),
        ("/a%2", Rule::BadEscape),
        ("/x/..;/admin", Rule::DotsWithParameter),
        ("/x/..;a=b/admin", Rule::DotsWithParameter),
        ("/x/%2e%2e;/admin", Rule::DotsWithParameter),
        ("/x/..%3b/admin", Rule::DotsWithParameter),
        ("/.;/admin", Rule::DotsWithParameter),
        ("/a..;b", Rule::DotsWithParameter),
        ("/a%2f..;x", Rule::DotsWithParameter),
        ("/a#b", Rule::BadTargetByte),
        ("/a?b#c", Rule::BadTargetByte),
        ("/\u{e9}", Rule::BadTargetByte),
        ("/a?\u{e9}", Rule::BadTargetByte),
        ("a", Rule::BadTargetForm),
        ("*", Rule::BadTargetForm),
        ("ftp://a/b", Rule::BadTargetForm),
        ("http:///b", Rule::BadHost),
        ("http://u@a/b", Rule::BadHost),
    ] {
        assert_eq!(both(path), Err(rule), "{path}");
    }
}

#[test]
fn the_query_is_left_alone() {
    becomes("/a?x=%2e%2e/../%zz\\", "/a?x=%2e%2e/../%zz\\", "/a");
    becomes("/x/../a?b=//c?d", "/a?b=//c?d", "/a");
    becomes("//a?b", "//a?b", "/a");
    becomes("/a?", "/a?", "/a");
}

#[test]
fn absolute_targets_become_origin_form() {
    becomes("http://a.test/x/../y?q", "/y?q", "/y");
    becomes("HTTP://a.test", "/", "/");
    becomes("https://a.test:8443?q=1", "/?q=1", "/");
}

#[test]
fn raw_paths_are_sent_as_received_without_dots() {
    let raw = Rules { raw_path: true, ..Rules::default() };
    let expected = ("/%61//b%2fc".to_owned(), "/a/b%2Fc".to_owned());
    assert_eq!(paths("/%61//b%2fc", &raw), Ok(expected));
    assert_eq!(paths("/x/%2e%2e/a", &raw), Err(Rule::DotSegment));
    assert_eq!(paths("/./a", &raw), Err(Rule::DotSegment));
}

#[test]
fn the_canonical_form_is_what_requests_are_matched_by() {
    assert_eq!(canonical(b"/a%2fb//%63"), Ok(b"/a%2Fb/c".to_vec()));
    assert_eq!(canonical(b"/a?b"), Err(Rule::BadTargetByte));
}
