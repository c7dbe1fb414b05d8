//! PROXY headers: believed from listed peers and nobody else, and told to backends that want to know.

mod stage;

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use serde_json::{Value, json};
use stage::passed::{Log, backend, connect, exchange, hear, mirror, passing};
use stage::{draft, engine, free_port, pool};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n";

/// The same as V1 in binary.
fn v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([192, 0, 2, 7, 198, 51, 100, 1]);
    header.extend(40_000u16.to_be_bytes());
    header.extend(443u16.to_be_bytes());
    header
}

/// An HTTP origin that sends the request back, with all that came before it.
fn reflecting(mut stream: TcpStream) {
    let (mut got, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count) = stream.read(&mut buffer) {
        got.extend_from_slice(&buffer[..count]);
        if got.ends_with(b"\r\n\r\n") {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", got.len());
            let _ = stream.write_all(&[answer.as_bytes(), &got].concat());
            got.clear();
        }
        if count == 0 {
            return;
        }
    }
}

fn believing(mut draft: Value, peers: &str) -> Value {
    draft["listeners"]["web"]["proxy_protocol"] = json!({"from": [peers]});
    draft
}

/// What the origin was sent when a client said this ahead of its request.
fn ask(port: u16, header: &[u8]) -> String {
    let mut stream = connect(port);
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for piece in [header, request].concat().chunks(11) {
        stream.write_all(piece).expect("a reader");
    }
    let mut all = String::new();
    stream.read_to_string(&mut all).expect("an answer");
    all
}

#[test]
fn a_listed_peer_says_who_the_client_is() {
    let port = free_port();
    let _engine = engine(&believing(draft(port, &[backend(reflecting)]), "127.0.0.0/8"), 1);
    for header in [V1, &v2()] {
        let answer = ask(port, header);
        assert!(answer.contains("X-Forwarded-For: 192.0.2.7\r\n"), "{answer}");
    }
    // A check of the proxy in front: the connection is its own.
    let answer = ask(port, b"PROXY UNKNOWN\r\n");
    assert!(answer.contains("X-Forwarded-For: 127.0.0.1\r\n"), "{answer}");
}

#[test]
fn a_listed_peer_without_a_header_is_turned_away_with_one_line() {
    let port = free_port();
    let mut draft = believing(draft(port, &[backend(reflecting)]), "127.0.0.1");
    let log = Log::of(&mut draft);
    let _engine = engine(&draft, 1);
    let wrong: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"PROXY TCP4 1.2.3.4\r\n", &[0; 5000]];
    for (index, bytes) in wrong.iter().enumerate() {
        let mut stream = connect(port);
        let _ = stream.write_all(bytes);
        let heard = stream.read(&mut [0; 100]);
        assert!(matches!(heard, Ok(0) | Err(_)), "{bytes:?} got an answer");
        let lines = log.lines(index + 1);
        assert_eq!(lines.len(), index + 1);
        assert!(lines[index]["reason"].as_str().is_some_and(|why| !why.is_empty()), "{lines:?}");
    }
    drop(connect(port)); // who says nothing is not worth a line
    assert!(ask(port, V1).contains("192.0.2.7"));
    assert_eq!(log.lines(5).len(), 5);
}

#[test]
fn who_is_turned_away_behind_a_header_is_logged_by_it() {
    let port = free_port();
    let mut draft = believing(passing(port, &[backend(reflecting)]), "127.0.0.1");
    let web = &mut draft["listeners"]["web"];
    let route = json!({"name": null, "match": {"sni": "a.test", "alpn": []}, "pool": "products", "terminate": null});
    (web["protocol"], web["pool"], web["names"]) = (json!("tls"), json!(null), json!([route]));
    let log = Log::of(&mut draft);
    let _engine = engine(&draft, 1);
    let _ = connect(port).write_all(&[V1, b"GET / HTTP/1.1\r\n"].concat());
    let line = log.lines(1).remove(0);
    assert_eq!((&line["client"], &line["reason"]), (&json!("192.0.2.7"), &json!("not TLS: looks like HTTP")));
}

#[test]
fn nobody_else_is_believed() {
    let port = free_port();
    let _engine = engine(&believing(draft(port, &[backend(reflecting)]), "192.0.2.0/24"), 1);
    assert!(ask(port, b"").contains("X-Forwarded-For: 127.0.0.1\r\n"));
    assert!(ask(port, V1).starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_backend_hears_whose_connection_it_is() {
    for version in ["v1", "v2"] {
        let port = free_port();
        let mut draft = passing(port, &[backend(mirror(""))]);
        pool(&mut draft)["proxy_protocol"] = json!(version);
        let _engine = engine(&draft, 1);
        let mut stream = connect(port);
        let own = stream.local_addr().expect("an address");
        stream.write_all(b"hello").expect("a reader");
        stream.shutdown(std::net::Shutdown::Write).expect("a FIN");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("a clean end");
        let wire::proxy_protocol::Header::Done { source, used } = wire::proxy_protocol::read(&all) else {
            panic!("no header in {all:?}");
        };
        let there = ("127.0.0.1", port).to_socket_addrs().expect("an address").next();
        assert_eq!(source, there.map(|there| (own, there)));
        assert_eq!(&all[used..], b"hello");
    }
}

#[test]
fn what_one_header_said_the_next_one_repeats() {
    let port = free_port();
    let mut draft = believing(passing(port, &[backend(mirror(""))]), "127.0.0.1");
    pool(&mut draft)["proxy_protocol"] = json!("v1");
    let _engine = engine(&draft, 1);
    let all = exchange(port, &[&v2(), &b"hello"[..]].concat()).expect("an answer");
    assert_eq!(all, [V1, b"hello"].concat());
}

#[test]
fn a_connection_that_was_introduced_is_for_one_client_only() {
    let port = free_port();
    let mut draft = draft(port, &[backend(reflecting)]);
    pool(&mut draft)["proxy_protocol"] = json!("v1");
    let _engine = engine(&draft, 1);
    for _ in 0..3 {
        let mut stream = connect(port);
        let own = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {port}\r\n", stream.local_addr().expect("one").port());
        for _ in 0..2 {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect("a reader");
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head += &hear(&mut stream, 1);
            }
            let body = hear(&mut stream, stage::content_length(&head));
            assert!(body.starts_with(&own), "{body}");
        }
    }
}
