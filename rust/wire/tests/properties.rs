//! What holds for all input, not only for the cases of the tables.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use wire::*;

/// Bytes that are nearly a request: pieces that mean something, in an order that may make sense.
fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a?b HTTP/1.1\r\n",
        "GET http://a.test/%61/../b HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "GET //x/.;y HTTP/1.1\r\n",
        "GET / HTTP/2.0\r\n",
        "\r\nPUT /%2f HTTP/1.1\r\n",
        "GET / HTTP/1.1\n",
    ]);
    let field = select(vec![
        "Host: a.test\r\n",
        "Host: A.test:80\r\n",
        "Content-Length: 5\r\n",
        "content-length: 05\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close, x-a\r\n",
        "X-A:\tb \r\n",
        "X_B: c\r\n",
        "Expect: 100-continue\r\n",
        "Connection: Upgrade\r\n",
        "Upgrade: websocket, h2c\r\n",
        "X-Forwarded-For: 1.2.3.4\r\n",
        " folded\r\n",
        "nonsense\r\n",
        "Space : x\r\n",
        "Lf: x\n",
        "Cr: x\ry\r\n",
    ]);
    (line, vec(field, 0..6), any::<bool>(), vec(any::<u8>(), 0..20)).prop_map(|(line, fields, host, body)| {
        let host = if host { "Host: a.test\r\n" } else { "" };
        let mut bytes = [line, host, &fields.concat(), "\r\n"].concat().into_bytes();
        bytes.extend_from_slice(&body);
        bytes
    })
}

fn protocol() -> impl Strategy<Value = &'static str> {
    select(vec!["websocket", "WebSocket", "tcp", "TLS/1.0", "h2c", "h2c-14"])
}

/// Paths of what normalisers stumble over.
fn wild_path() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "/",
        "/",
        ".",
        "..",
        "a",
        "B",
        "%2e",
        "%2E",
        "%2f",
        "%5c",
        "%61",
        "%25",
        "2e",
        ";",
        "%3b",
        "%c3%a9",
        "~",
        "//",
        "%",
        "\\",
        "%00",
        "%c0%af",
        "?",
        "?x=%2e/../",
    ]);
    vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// A request that a response may answer; `fields` are whole lines.
fn request_to(method: &str, fields: &str) -> Head {
    let text = format!("{method} / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
    match parse_request(text.as_bytes(), &mut 0, &Rules::default(), &mut Pages::default()) {
        Parsed::Done { head, .. } => head,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn edits() -> RequestEdits<'static> {
    RequestEdits {
        client: "192.0.2.7".parse().expect("an address"),
        proto: "http",
        trusted: false,
        request_id: Some(b"id"),
        route: None,
    }
}

fn rendered(head: &Head) -> Vec<u8> {
    let mut out = Vec::new();
    render_request(head, &edits(), &mut out);
    out
}

fn parse(bytes: &[u8]) -> Parsed {
    parse_request(bytes, &mut 0, &Rules::default(), &mut Pages::default())
}

fn parse_target(target: &str, rules: &Rules) -> Result<Head, &'static str> {
    let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    match parse_request(text.as_bytes(), &mut 0, rules, &mut Pages::default()) {
        Parsed::Done { head, .. } => Ok(head),
        Parsed::Bad(fault) => Err(fault.rule()),
        Parsed::More => panic!("{target:?} is complete"),
    }
}

/// What a whole parse comes to, in a form that can be compared.
#[derive(Debug, PartialEq)]
enum Outcome {
    Done(Vec<u8>, usize),
    More,
    Bad(u16),
}

fn outcome(parsed: Parsed) -> Outcome {
    match parsed {
        Parsed::Done { head, used } => Outcome::Done(rendered(&head), used),
        Parsed::More => Outcome::More,
        Parsed::Bad(fault) => Outcome::Bad(fault.status()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_a_head_is_split_does_not_matter(bytes in nearly_a_request(), mut cuts in vec(0usize..200, 0..5), lenient: bool) {
        let rules = Rules { lenient, ..Rules::default() };
        let mut pages = Pages::default();
        let whole = outcome(parse_request(&bytes, &mut 0, &rules, &mut pages));
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut scanned = 0;
        let mut split = Outcome::More;
        for cut in cuts {
            split = outcome(parse_request(&bytes[..cut.min(bytes.len())], &mut scanned, &rules, &mut pages));
            if split != Outcome::More {
                break;
            }
        }
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn a_rendered_request_means_the_same(bytes in nearly_a_request()) {
        let Parsed::Done { head, .. } = parse(&bytes) else { return Ok(()) };
        // Without Host, HTTP/1.0 renders an empty one, which nobody may send to us.
        prop_assume!(!head.host().is_empty());
        let once = rendered(&head);
        let Parsed::Done { head: again, used } = parse(&once) else {
            return Err(TestCaseError::fail(format!("{:?}", String::from_utf8_lossy(&once))));
        };
        prop_assert_eq!(used, once.len());
        prop_assert_eq!(head.method_name(), again.method_name());
        prop_assert_eq!((head.target(), head.path(), head.query()), (again.target(), again.path(), again.query()));
        prop_assert_eq!((head.host(), head.authority()), (again.host(), again.authority()));
        prop_assert_eq!((head.framing(), head.announced_length()), (again.framing(), again.announced_length()));
        prop_assert_eq!(head.expects_continue(), again.expects_continue());
        prop_assert_eq!(rendered(&again), once);
    }

    #[test]
    fn normalising_twice_is_normalising_once(path in wild_path()) {
        let Ok(head) = parse_target(&path, &Rules::default()) else { return Ok(()) };
        let sent = String::from_utf8(head.target().to_vec()).expect("ASCII");
        let again = parse_target(&sent, &Rules::default());
        let again = again.map_err(|rule| TestCaseError::fail(format!("{sent:?} breaks {rule}")))?;
        prop_assert_eq!((head.target(), head.path(), head.query()), (again.target(), again.path(), again.query()));
        // The matched path, sent as a target, is matched by itself.
        let matched = String::from_utf8(head.path().to_vec()).expect("ASCII");
        prop_assert_eq!(target::canonical(matched.as_bytes()), Ok(matched.into_bytes()));
    }

    #[test]
    fn no_path_hides_what_it_is(path in wild_path()) {
        let Ok(head) = parse_target(&path, &Rules::default()) else { return Ok(()) };
        let text = String::from_utf8(head.path().to_vec()).expect("ASCII").to_ascii_lowercase();
        prop_assert!(text.starts_with('/') && !text.contains("//") && !text.contains('\\') && !text.contains('?'));
        prop_assert!(text.split('/').all(|segment| !matches!(segment, "." | "..")), "{}", text);
        for escape in ["%2e", "%61", "%00", "%c0"] {
            prop_assert!(!text.contains(escape), "{}", text);
        }
        // Whoever decodes slashes first finds no dots between them.
        let decoded = text.replace("%2f", "/").replace("%5c", "/");
        prop_assert!(decoded.split('/').all(|segment| !matches!(segment.split(';').next(), Some("." | ".."))), "{}", text);
    }

    #[test]
    fn a_raw_path_is_sent_as_received_or_refused(path in wild_path()) {
        let raw = Rules { raw_path: true, ..Rules::default() };
        match (parse_target(&path, &raw), parse_target(&path, &Rules::default())) {
            (Ok(head), Ok(normal)) => {
                prop_assert_eq!(head.target(), path.as_bytes());
                prop_assert_eq!(head.path(), normal.path());
            }
            (Ok(_), Err(rule)) => prop_assert!(false, "{} is sent, but breaks {}", path, rule),
            (Err(_), _) => {}
        }
    }

    #[test]
    fn chunks_round_trip(data in vec(vec(any::<u8>(), 1..50), 0..8), rest in vec(any::<u8>(), 0..5), steps in vec(1usize..40, 1..20)) {
        let mut bytes = Vec::new();
        for chunk in &data {
            chunk_prefix(chunk.len(), &mut bytes);
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
        let length = bytes.len();
        bytes.extend_from_slice(&rest);

        let mut reader = BodyReader::new(Framing::Chunked);
        let (mut read, mut at) = (Vec::new(), 0);
        for step in steps.into_iter().cycle() {
            let end = (at + step).min(bytes.len());
            let taken = reader.read(&mut bytes[at..end]).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
            read.extend_from_slice(&bytes[at..end][taken.data]);
            at += taken.used;
            if taken.last {
                break;
            }
            prop_assert_eq!(at, end);
        }
        prop_assert_eq!((read, at), (data.concat(), length));
        prop_assert_eq!(reader.trailers(), Some(b"X-Sum: 1\r\n".to_vec()));
    }

    #[test]
    fn a_chunk_prefix_is_its_length_in_hexadecimal(length: usize) {
        let mut out = Vec::new();
        chunk_prefix(length, &mut out);
        prop_assert_eq!(out, format!("{length:x}\r\n").into_bytes());
    }

    #[test]
    fn random_bytes_do_no_harm(mut bytes in vec(any::<u8>(), 0..300), lenient: bool, raw_path: bool) {
        let rules = Rules { lenient, raw_path, ..Rules::default() };
        let mut pages = Pages::default();
        if let Parsed::Done { used, .. } = parse_request(&bytes, &mut 0, &rules, &mut pages) {
            prop_assert!(used <= bytes.len());
        }
        if let Parsed::Done { used, .. } = parse_response(&bytes, &mut 0, &request_to("GET", ""), &rules, &mut pages) {
            prop_assert!(used <= bytes.len());
        }
        let length = bytes.len();
        if let Ok(taken) = BodyReader::new(Framing::Chunked).read(&mut bytes) {
            prop_assert!(taken.used <= length && taken.data.end <= taken.used);
        }
        if let Ok(path) = target::canonical(&bytes) {
            prop_assert_eq!(target::canonical(&path), Ok(path));
        }
    }

    #[test]
    fn a_switch_is_to_what_was_offered(
        offered in vec(protocol(), 0..4),
        accepted in vec(protocol(), 0..3),
        listed: bool,
        length in select(vec!["", "Content-Length: 0\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"]),
    ) {
        let listing = if listed { "Connection: x, upgrade\r\n" } else { "" };
        let upgrades: String = offered.iter().map(|name| format!("Upgrade: {name}\r\n")).collect();
        let head = request_to("GET", &format!("{listing}{upgrades}{length}"));
        let passed: Vec<&str> = offered.iter().copied().filter(|name| !name.starts_with("h2c")).collect();
        let offers = listed && !passed.is_empty() && matches!(length, "" | "Content-Length: 0\r\n");
        prop_assert_eq!(head.offers_switch(), offers);
        let mut rendered = Vec::new();
        render_request(&head, &edits(), &mut rendered);
        let rendered = String::from_utf8(rendered).expect("plain text");
        let pair = format!("\r\nConnection: Upgrade\r\nUpgrade: {}\r\n", passed.join(", "));
        prop_assert_eq!(rendered.contains(&pair), offers);
        prop_assert_eq!(rendered.to_ascii_lowercase().contains("\r\nupgrade:"), offers);

        let text = format!("HTTP/1.1 101 Go\r\nUpgrade: {}\r\nConnection: Upgrade\r\n\r\nrest", accepted.join(","));
        let fits = !accepted.is_empty() && accepted.iter().all(|name| {
            passed.iter().any(|offer| offer.eq_ignore_ascii_case(name))
        });
        match parse_response(text.as_bytes(), &mut 0, &head, &Rules::default(), &mut Pages::default()) {
            Parsed::Done { head: answer, used } => {
                prop_assert!(offers && fits && answer.is_switch() && !answer.is_interim());
                prop_assert_eq!(&text.as_bytes()[used..], b"rest");
            }
            Parsed::Bad(fault) => {
                prop_assert!(!offers || !fits);
                let rule = if offers { Rule::MismatchedSwitch } else { Rule::UnrequestedSwitch };
                prop_assert_eq!((fault.kind(), fault.status()), (rule, 502));
            }
            Parsed::More => return Err(TestCaseError::fail("a whole head is not taken")),
        }
    }

    #[test]
    fn a_rendered_response_means_the_same(status in 100u16..600, length in proptest::option::of(0u64..1 << 62), keeps: bool, to_head: bool) {
        let announced = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
        let text = format!("HTTP/1.1 {status} Why not\r\n{announced}X: y\r\n\r\n");
        let request = request_to(if to_head { "HEAD" } else { "GET" }, "");
        let read = |bytes: &[u8]| parse_response(bytes, &mut 0, &request, &Rules::default(), &mut Pages::default());
        let Parsed::Done { head, .. } = read(text.as_bytes()) else {
            prop_assert_eq!(status, 101);
            return Ok(());
        };
        let framing = response_framing(&head, Version::Http11);
        let mut out = Vec::new();
        render_response(&head, &ResponseEdits::plain(Version::Http11, keeps, framing), &mut out);
        let Parsed::Done { head: again, used } = read(&out) else {
            return Err(TestCaseError::fail(String::from_utf8_lossy(&out).into_owned()));
        };
        prop_assert_eq!((used, again.status(), again.reason()), (out.len(), status, &b"Why not"[..]));
        if !head.is_interim() {
            prop_assert_eq!(again.framing(), framing);
            prop_assert_eq!(again.keep_alive(), keeps);
            if status != 204 {
                prop_assert_eq!(again.announced_length(), length);
            }
        }
    }
}
