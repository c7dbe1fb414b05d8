//! The router against its meaning: a scan of the routes in the order of the file, written without any of its ideas.

use proptest::prelude::*;

use super::*;

/// What a pattern says, in one line each. Of a path by regular expression `more` says the rest.
fn matches(pattern: &Pattern, host: &str, path: &str) -> bool {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let host_matches = match &pattern.host {
        HostPattern::Any => true,
        HostPattern::Exact(name) => host == text(name),
        HostPattern::Below(name) => host.ends_with(&format!(".{}", text(name))),
    };
    let path_matches = match &pattern.path {
        PathPattern::Any => true,
        PathPattern::Exact(exact) => path == text(exact),
        PathPattern::Prefix(prefix) => path == text(prefix) || path.starts_with(&format!("{}/", text(prefix))),
    };
    host_matches && path_matches
}

fn first_match(patterns: &[Pattern], holds: impl Fn(u32) -> bool, host: &str, path: &str) -> Option<u32> {
    let mut all = patterns.iter();
    let position = all.position(|pattern| matches(pattern, host, path) && pattern.more.is_none_or(&holds))?;
    Some(position as u32)
}

fn pattern(host: &str, path: &str) -> Pattern {
    let parsed_host = if host.is_empty() { Ok(HostPattern::Any) } else { HostPattern::parse(host) };
    let parsed_path = if path.is_empty() { Ok(PathPattern::Any) } else { PathPattern::parse(path) };
    Pattern { host: parsed_host.unwrap(), path: parsed_path.unwrap(), more: None }
}

fn find(router: &Router, host: &[u8], path: &[u8]) -> Option<u32> {
    router.find(host, path, |more| panic!("nobody asks for {more}"))
}

fn router(written: &[(&str, &str)]) -> Router {
    let patterns: Vec<Pattern> = written.iter().map(|(host, path)| pattern(host, path)).collect();
    Router::new(&patterns)
}

/// Few different names, so that random routes and requests meet often, and some that begin alike.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["a", "b", "ab", "ba"][..])
}

fn host() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|labels| labels.join("."))
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn host_pattern() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), host(), host().prop_map(|host| format!("*.{host}"))]
}

fn path_pattern() -> impl Strategy<Value = String> {
    let prefix = path().prop_map(|path| if path == "/" { path } else { format!("{path}/") });
    prop_oneof![Just(String::new()), path(), prefix]
}

fn patterns() -> impl Strategy<Value = Vec<Pattern>> {
    let one = (host_pattern(), path_pattern(), prop::option::of(0u32..8))
        .prop_map(|(host, path, more)| Pattern { more, ..pattern(&host, &path) });
    prop::collection::vec(one, 0..24)
}

fn request() -> impl Strategy<Value = (String, String)> {
    let host = prop_oneof![9 => host(), 1 => Just(String::new())];
    let path = prop_oneof![6 => path(), 3 => path().prop_map(|path| format!("{path}/")), 1 => Just("*".to_owned())];
    (host, path)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_scan(patterns in patterns(), requests in prop::collection::vec((request(), any::<u32>()), 20)) {
        let router = Router::new(&patterns);
        for ((host, path), chance) in &requests {
            let holds = |more: u32| (chance >> more) & 1 == 0;
            let found = router.find(host.as_bytes(), path.as_bytes(), holds);
            prop_assert_eq!(found, first_match(&patterns, holds, host, path), "{} {}", host, path);
        }
    }
}

/// The same rules with one host and with very many, each with ten paths.
#[test]
fn size_changes_nothing() {
    for hosts in [1, 99, 101, 10_000] {
        let parts: Vec<PathPattern> =
            (0..9).map(|part| pattern("", &format!("/part{part}/")).path).chain([PathPattern::Any]).collect();
        let mut patterns = Vec::new();
        for number in 0..hosts {
            let host = pattern(&format!("shop{number}.example"), "").host;
            let ten = parts.iter().cloned();
            patterns.extend(ten.map(|path| Pattern { host: host.clone(), path, more: None }));
        }
        patterns.push(pattern("*.example", "/all/"));
        let router = Router::new(&patterns);
        let look = |host: &str, path: &str| find(&router, host.as_bytes(), path.as_bytes());
        for number in [0, hosts / 2, hosts - 1] {
            let host = format!("shop{number}.example");
            for part in 0..9 {
                assert_eq!(look(&host, &format!("/part{part}/x")), Some(number * 10 + part), "{host} of {hosts}");
            }
            assert_eq!(look(&host, "/all/x"), Some(number * 10 + 9));
        }
        assert_eq!(look("unknown.example", "/all/x"), Some(hosts * 10));
        assert_eq!(look("unknown.example", "/part0/x"), None);
        assert_eq!(look(&format!("shop{hosts}.example"), "/part0/x"), None);
    }
}

#[test]
fn file_order_beats_exactness() {
    let router = router(&[("*.example", "/a/"), ("shop.example", "/a/b"), ("", ""), ("shop.example", "/")]);
    assert_eq!(find(&router, b"shop.example", b"/a/b"), Some(0));
    assert_eq!(find(&router, b"shop.example", b"/x"), Some(2));
    assert_eq!(find(&router, b"", b"/a/b"), Some(2));
}

#[test]
fn a_wildcard_takes_what_is_below_it_only() {
    let router = router(&[("*.shop.example", "")]);
    for (host, found) in [
        ("a.shop.example", Some(0)),
        ("a.b.shop.example", Some(0)),
        ("shop.example", None),
        ("ashop.example", None),
        ("shop.example.org", None),
        ("", None),
    ] {
        assert_eq!(find(&router, host.as_bytes(), b"/"), found, "{host}");
    }
}

#[test]
fn a_slash_at_the_end_takes_in_what_is_below() {
    let router = router(&[("", "/x/"), ("", "/y"), ("", "/")]);
    for (path, found) in [
        ("/x", Some(0)),
        ("/x/", Some(0)),
        ("/x/y/z", Some(0)),
        ("/xy", Some(2)),
        ("/y", Some(1)),
        ("/y/", Some(2)),
        ("/", Some(2)),
        ("*", None),
    ] {
        assert_eq!(find(&router, b"", path.as_bytes()), found, "{path}");
    }
}

#[test]
fn a_host_longer_than_any_pattern_is_read_from_its_end() {
    let router = router(&[("*.shop.example", ""), (&format!("{}shop.example", "a.".repeat(120)), "")]);
    let long = format!("{}.shop.example", "a".repeat(5000));
    assert_eq!(find(&router, long.as_bytes(), b"/"), Some(0));
    assert_eq!(find(&router, "a".repeat(5000).as_bytes(), b"/"), None);
}
