//! Whatever a route changes, what goes upstream is still one request, framed as it was, for the path that the change
//! says.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use wire::*;

fn parse(bytes: &[u8], rules: &Rules) -> Option<(Head, usize)> {
    match parse_request(bytes, &mut 0, rules, &mut Pages::default()) {
        Parsed::Done { head, used } => Some((head, used)),
        _ => None,
    }
}

/// Targets whose two forms differ in every way they can.
fn target() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "/", "/", "/", "//", "a", "a", "b", "%61", "%2f", "%2F", "%c3%a9", "..", ".", "~", "%7e", "aa", ";x", "?",
        "?q=/a/", "&",
    ]);
    vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn path() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "b", "aa", "%61", "%C3%A9", "a%2Fb"]);
    (vec(segment, 0..3), any::<bool>())
        .prop_map(|(segments, slash)| format!("/{}{}", segments.join("/"), if slash { "/" } else { "" }))
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec![
        "x-a",
        "X-B",
        "Cookie",
        "host",
        "Content-Length",
        "transfer-encoding",
        "Connection",
        "X-Forwarded-For",
        "x_a",
        "upgrade",
        "x-request-id",
        "Accept",
        "te",
    ]);
    prop_oneof![3 => known.prop_map(|name| name.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..6)]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec!["1", "chunked", "5", "a\r\nHost: evil", "a\nb", " x", "x ", "close", "\0"]);
    prop_oneof![2 => known.prop_map(|value| value.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..8)]
}

#[derive(Clone, Debug)]
enum Change {
    Remove(Vec<u8>),
    Set(Vec<u8>, Vec<u8>),
    Add(Vec<u8>, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        name().prop_map(Change::Remove),
        (name(), value()).prop_map(|(name, value)| Change::Set(name, value)),
        (name(), value()).prop_map(|(name, value)| Change::Add(name, value)),
    ]
}

/// The edits, and those changes that were taken.
fn made_of(changes: Vec<Change>, heads: Heads) -> (FieldEdits, Vec<Change>) {
    let mut edits = FieldEdits::default();
    let mut keep = |change: &Change| {
        match change {
            Change::Remove(name) => edits.remove(heads, name),
            Change::Set(name, value) => edits.set(heads, name, value),
            Change::Add(name, value) => edits.add(heads, name, value),
        }
        .is_ok()
    };
    let taken = changes.into_iter().filter(|change| keep(change)).collect();
    (edits, taken)
}

/// Values of a field, in their order.
fn values<'h>(head: &'h Head, name: &[u8]) -> Vec<&'h [u8]> {
    head.fields().filter(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

/// What the values of a name must be after all changes: those that came unless they were removed, then what was added.
fn expected(came: Vec<&[u8]>, name: &[u8], changes: &[Change]) -> Vec<Vec<u8>> {
    let same = |one: &[u8]| one.eq_ignore_ascii_case(name);
    let removed = changes.iter().any(|change| match change {
        Change::Remove(one) | Change::Set(one, _) => same(one),
        Change::Add(..) => false,
    });
    let came = came.into_iter().filter(|_| !removed).map(<[u8]>::to_vec);
    let added = changes.iter().filter_map(|change| match change {
        Change::Set(one, value) | Change::Add(one, value) if same(one) => Some(value.clone()),
        _ => None,
    });
    came.chain(added).collect()
}

fn check_fields(before: &Head, after: &Head, changes: &[Change]) -> Result<(), TestCaseError> {
    for name in [&b"x-a"[..], b"x-b", b"cookie", b"accept"] {
        let expected = expected(values(before, name), name, changes);
        prop_assert_eq!(values(after, name), expected, "{}", name.escape_ascii());
    }
    Ok(())
}

/// What a prefix edit makes of a matched path.
fn replaced(path: &[u8], prefix: &str, with: &str) -> Vec<u8> {
    let base = |path: &str| {
        let path = target::canonical(path.as_bytes()).expect("a path");
        path.strip_suffix(b"/").unwrap_or(&path).to_vec()
    };
    let (prefix, with) = (base(prefix), base(with));
    match path.strip_prefix(&*prefix) {
        Some(rest @ ([] | [b'/', ..])) if !(with.is_empty() && rest.is_empty()) => [&with[..], rest].concat(),
        Some([] | [b'/', ..]) => b"/".to_vec(),
        _ => path.to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edited_request_is_still_one_request(
        target in target(),
        fields in vec(select(vec!["X-A: 1\r\n", "x-b:  2\r\n", "Cookie: a=b\r\n", "Accept: */*\r\n", "Content-Length: 5\r\n",
            "X-Forwarded-For: 6.6.6.6\r\n", "Connection: x-b\r\n", "Accept: text/html\r\n"]), 0..6),
        changes in vec(change(), 0..6),
        edit in (path(), path(), 0..4),
        host in select(vec![None, Some("inside.example:81")]),
        raw_path: bool,
    ) {
        let rules = Rules { raw_path, ..Rules::default() };
        let text = format!("POST {target} HTTP/1.1\r\nHost: a.test\r\n{}\r\n", fields.concat());
        let Some((head, _)) = parse(text.as_bytes(), &rules) else { return Ok(()) };
        let (prefix, with, kind) = &edit;
        let path = match kind {
            0 => None,
            1 => Some(PathEdit::strip(prefix.as_bytes())),
            2 => Some(PathEdit::replace(prefix.as_bytes(), with.as_bytes())),
            _ => Some(PathEdit::whole(with.as_bytes())),
        };
        let (fields, changes) = made_of(changes, Heads::Requests);
        let route = RouteEdits { fields, path: path.transpose().expect("paths"), host: host.and_then(|host| Authority::new(host.as_bytes())) };
        let client = "192.0.2.7".parse().expect("an address");
        let edits = RequestEdits { client, proto: "http", trusted: false, request_id: Some(b"id"), route: Some(&route) };
        let mut out = Vec::new();
        render_request(&head, &edits, &mut out);

        let larger = Rules { limits: Limits { fields: 999, ..rules.limits }, ..rules };
        let Some((again, used)) = parse(&out, &larger) else {
            return Err(TestCaseError::fail(out.escape_ascii().to_string()));
        };
        prop_assert_eq!(used, out.len());
        prop_assert_eq!((again.method_name(), again.framing(), again.query()), (head.method_name(), head.framing(), head.query()));
        prop_assert_eq!(again.authority(), host.map_or(head.authority(), str::as_bytes));
        let wanted = match kind {
            0 => head.path().to_vec(),
            1 => replaced(head.path(), prefix, "/"),
            2 => replaced(head.path(), prefix, with),
            _ => target::canonical(with.as_bytes()).expect("a path"),
        };
        prop_assert_eq!(again.path().escape_ascii().to_string(), wanted.escape_ascii().to_string());
        prop_assert_eq!(values(&again, b"x-forwarded-for"), [b"192.0.2.7"]);
        prop_assert_eq!(values(&again, b"x-request-id"), [b"id"]);
        prop_assert!(values(&again, b"connection").is_empty());
        if !fields_name(&text, "connection: x-b") {
            check_fields(&head, &again, &changes)?;
        }
    }

    #[test]
    fn an_edited_response_is_still_one_response(
        fields in vec(select(vec!["X-A: 1\r\n", "x-b:  2\r\n", "Cookie: a=b\r\n", "Accept: */*\r\n"]), 0..6),
        changes in vec(change(), 0..6),
        cookie in select(vec![None, Some(&b"pylb=x; Path=/"[..])]),
    ) {
        let (request, _) = parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &Rules::default()).expect("a request");
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nSet-Cookie: own=1\r\n{}\r\n", fields.concat());
        let read = |bytes: &[u8]| parse_response(bytes, &mut 0, &request, &Rules::default(), &mut Pages::default());
        let Parsed::Done { head, .. } = read(text.as_bytes()) else { panic!("{text}") };
        let (fields, changes) = made_of(changes, Heads::Responses);
        let plain = ResponseEdits::plain(Version::Http11, true, head.framing());
        let edits = ResponseEdits { route: Some(&fields), set_cookie: cookie, ..plain };
        let mut out = Vec::new();
        render_response(&head, &edits, &mut out);
        let Parsed::Done { head: again, used } = read(&out) else {
            return Err(TestCaseError::fail(out.escape_ascii().to_string()));
        };
        prop_assert_eq!((used, again.status(), again.framing()), (out.len(), 200, Framing::Length(3)));
        let cookies: Vec<&[u8]> = [b"own=1"].iter().map(|own| &own[..]).chain(cookie).collect();
        prop_assert_eq!(values(&again, b"set-cookie"), cookies);
        check_fields(&head, &again, &changes)?;
    }
}

/// Whether `Connection` takes the field away before any edit.
fn fields_name(text: &str, line: &str) -> bool {
    text.to_ascii_lowercase().contains(line)
}
