//! Heads, next to the parser: what the tables of tests/wire cannot see from outside.

use super::*;
use crate::head::{Framing, Version};
use crate::rules::Limits;

fn request_of(text: &str) -> Head {
    match parse_request(text.as_bytes(), &mut 0, &Rules::default(), &mut Pages::default()) {
        Parsed::Done { head, used } => {
            assert_eq!(used, text.len());
            head
        }
        other => panic!("{text:?}: {other:?}"),
    }
}

fn rule_of(text: &str, rules: &Rules) -> &'static str {
    match parse_request(text.as_bytes(), &mut 0, rules, &mut Pages::default()) {
        Parsed::Bad(fault) => fault.rule(),
        other => panic!("{text:?}: {other:?}"),
    }
}

fn response_of(text: &str) -> Head {
    let request = request_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    match parse_response(text.as_bytes(), &mut 0, &request, &Rules::default(), &mut Pages::default()) {
        Parsed::Done { head, used } => {
            assert_eq!(used, text.len());
            head
        }
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn what_a_request_says() {
    let head = request_of(concat!(
        "POST /a/../b%63?x=1&y&z=a%20b HTTP/1.1\r\nHost: Shop.Example.:8080\r\ncookie: a=1; sid=x=y ;b\r\n",
        "Content-Length: 005\r\nExpect: 100-Continue\r\nAccept:  */*\t\r\n\r\n"
    ));
    assert_eq!((head.method(), head.method_name(), head.is_idempotent()), (Method::Post, &b"POST"[..], false));
    assert_eq!(head.target(), b"/bc?x=1&y&z=a%20b");
    assert_eq!(head.received_target(), b"/a/../b%63?x=1&y&z=a%20b");
    assert_eq!((head.path(), head.query()), (&b"/bc"[..], Some(&b"x=1&y&z=a%20b"[..])));
    assert_eq!(head.query_value(b"z"), Some(&b"a%20b"[..]));
    assert_eq!((head.query_value(b"y"), head.query_value(b"q")), (Some(&b""[..]), None));
    assert_eq!((head.host(), head.authority()), (&b"shop.example"[..], &b"Shop.Example.:8080"[..]));
    assert_eq!((head.cookie(b"sid"), head.cookie(b"s")), (Some(&b"x=y"[..]), None));
    assert_eq!((head.framing(), head.announced_length()), (Framing::Length(5), Some(5)));
    assert!(head.expects_continue() && head.keep_alive());
    assert_eq!(head.field(b"accept"), Some(&b"*/*"[..]));
    assert_eq!((head.fields().count(), head.status()), (5, 0));
}

#[test]
fn what_a_response_says() {
    let head = response_of(
        "HTTP/1.0 404 Not  there\r\nConnection: Keep-Alive\r\nKeep-Alive: max=9, Timeout=15\r\nContent-Length: 3\r\n\r\n",
    );
    assert_eq!((head.status(), head.reason(), head.version()), (404, &b"Not  there"[..], Version::Http10));
    assert_eq!((head.keep_alive(), head.keep_alive_timeout()), (true, Some(15)));
    assert_eq!(head.framing(), Framing::Length(3));
    assert_eq!(response_of("HTTP/1.1 200\r\n\r\n").reason(), b"");
    assert_eq!(response_of("HTTP/1.1 200 \r\n\r\n").framing(), Framing::UntilClose);
    assert!(response_of("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n").is_interim());
}

#[test]
fn what_cannot_be_followed_is_not_kept() {
    assert!(response_of("HTTP/1.1 204 No Content\r\n\r\n").keep_alive());
    assert!(response_of("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n").keep_alive());
    for text in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert!(!response_of(text).keep_alive(), "{text:?}");
    }
}

#[test]
fn a_head_is_small() {
    assert!(size_of::<Head>() < 160, "{}", size_of::<Head>());
}

#[test]
fn pages_go_round() {
    let mut pages = Pages::default();
    let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let Parsed::Done { head, .. } = parse_request(text, &mut 0, &Rules::default(), &mut pages) else { panic!() };
    let place = head.page.bytes.as_ptr();
    pages.give(head.into_page());
    let Parsed::Bad(_) = parse_request(b"GET / HTTP/1.1\r\n\r\n", &mut 0, &Rules::default(), &mut pages) else {
        panic!()
    };
    assert_eq!(pages.len(), 1, "a refused head gives its page back");
    let Parsed::Done { head, .. } = parse_request(text, &mut 0, &Rules::default(), &mut pages) else { panic!() };
    assert_eq!(head.page.bytes.as_ptr(), place);
}

#[test]
fn a_page_that_grew_is_dropped() {
    let mut pages = Pages::default();
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(5000));
    let Parsed::Done { head, .. } = parse_request(text.as_bytes(), &mut 0, &Rules::default(), &mut pages) else {
        panic!()
    };
    pages.give(head.into_page());
    assert!(pages.is_empty());
}

#[test]
fn a_head_that_comes_byte_by_byte() {
    let text = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest";
    let (mut scanned, mut pages) = (0, Pages::default());
    for end in 0..=text.len() {
        match parse_request(&text[..end], &mut scanned, &Rules::default(), &mut pages) {
            Parsed::More => assert!(scanned == end || end == 0),
            Parsed::Done { used, .. } => {
                assert_eq!((used, end), (text.len() - 4, text.len() - 4));
                return;
            }
            Parsed::Bad(fault) => panic!("{fault} at {end}"),
        }
    }
    panic!("never complete");
}

#[test]
fn an_endless_head_is_refused_in_time() {
    let endless = |start: &str, filler: &str, up_to: usize| {
        let (mut scanned, mut pages) = (0, Pages::default());
        let mut text = start.to_owned();
        loop {
            if let Parsed::Bad(fault) = parse_request(text.as_bytes(), &mut scanned, &Rules::default(), &mut pages) {
                assert!(text.len() <= up_to, "{}", text.len());
                return fault.rule();
            }
            text.push_str(filler);
        }
    };
    assert_eq!(endless("GET /", "aaaaaaaaaa", 8300), "request-line-too-long");
    assert_eq!(endless("GET / HTTP/1.1\r\nX: ", "aaaaaaaaaa", 65_600), "head-too-large");
    assert_eq!(endless("GET / HTTP/1.1\r\n", "X: y\r\n", 65_600), "head-too-large");
}

#[test]
fn a_bad_byte_is_noticed_before_the_head_is_complete() {
    let (mut scanned, mut pages) = (0, Pages::default());
    let rules = Rules::default();
    assert!(matches!(parse_request(b"GET / HTTP/1.1\r\nX", &mut scanned, &rules, &mut pages), Parsed::More));
    let Parsed::Bad(fault) = parse_request(b"GET / HTTP/1.1\r\nX\0", &mut scanned, &rules, &mut pages) else {
        panic!()
    };
    assert_eq!(fault.rule(), "control-byte");
}

#[test]
fn leniency_rewrites_and_says_so() {
    let lenient = Rules { lenient: true, ..Rules::default() };
    for (text, waived, field) in [
        ("GET / HTTP/1.1\nHost: a\nX: y\n\n", "bare-lf", "y"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\t z \r\n\r\n", "obs-fold", "y z"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "repeated-content-length",
            "y",
        ),
    ] {
        let Parsed::Done { head, used } = parse_request(text.as_bytes(), &mut 0, &lenient, &mut Pages::default())
        else {
            panic!("{text:?}")
        };
        assert_eq!((head.leniency(), used, head.byte_len()), (Some(waived), text.len(), text.len()));
        assert_eq!(head.field(b"x"), Some(field.as_bytes()));
        rule_of(text, &Rules::default());
    }
    for (text, rule) in [
        ("GET / HTTP/1.1\nHost : a\n\n", "space-before-colon"),
        ("GET / HTTP/1.1\n Host: a\n\n", "space-before-field"),
        ("\n\nGET / HTTP/1.1\nHost: a\n\n", "empty-lines"),
        ("POST / HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 6\n\n", "conflicting-content-length"),
    ] {
        assert_eq!(rule_of(text, &lenient), rule, "{text:?}");
    }
}

#[test]
fn more_fields_than_fit_on_the_stack() {
    let rules = Rules { limits: Limits { fields: 300, ..Limits::default() }, ..Rules::default() };
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(299));
    assert!(matches!(parse_request(text.as_bytes(), &mut 0, &rules, &mut Pages::default()), Parsed::Done { .. }));
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(300));
    assert_eq!(rule_of(&text, &rules), "too-many-fields");
}
