//! TLS that is passed on by the name that a client asks for, and never decrypted.

mod stage;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use stage::passed::{Log, backend, connect, is_reset, mirror, passing};
use stage::{engine, free_port, until};

/// What a client says first that wants this name and these protocols.
fn hello(name: &str, alpn: &[&str]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let roots = rustls::RootCertStore::empty();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config.enable_sni = !name.is_empty();
    let name = ServerName::try_from(if name.is_empty() { "none.example" } else { name }.to_owned()).expect("a name");
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).expect("bytes");
    }
    bytes
}

/// One pool per route of a name: each backend says its own name before it sends back what it got.
fn site(listen: u16, routes: Value) -> Value {
    let mut draft = passing(listen, &[backend(mirror("one "))]);
    draft["pools"]["other"] = passing(listen, &[backend(mirror("two "))])["pools"]["products"].take();
    let web = &mut draft["listeners"]["web"];
    (web["protocol"], web["pool"], web["names"]) = (json!("tls"), json!(null), routes);
    web["timeouts"]["hello"] = json!(400);
    draft
}

fn route(sni: Option<&str>, alpn: &[&str], pool: &str) -> Value {
    json!({"name": null, "match": {"sni": sni, "alpn": alpn}, "pool": pool, "terminate": null})
}

fn by_name(listen: u16) -> Value {
    let routes = [
        route(Some("a.example"), &["acme-tls/1"], "other"),
        route(Some("a.example"), &[], "products"),
        route(Some("*.b.example"), &[], "other"),
    ];
    site(listen, json!(routes))
}

#[test]
fn the_first_route_that_a_client_fits_takes_it_with_every_byte() {
    let port = free_port();
    let mut draft = by_name(port);
    let log = Log::of(&mut draft);
    let _engine = engine(&draft, 1);
    for (name, alpn, who) in [
        ("a.example", &["h2", "http/1.1"][..], "one "),
        ("a.example", &["acme-tls/1"], "two "),
        ("x.y.b.example", &[], "two "),
        ("A.EXAMPLE", &[], "one "),
    ] {
        let said = [&hello(name, alpn)[..], b"and more"].concat();
        let mut stream = connect(port);
        // In pieces, as it comes over a slow line.
        for piece in said.chunks(97) {
            stream.write_all(piece).expect("a reader");
        }
        stream.shutdown(Shutdown::Write).expect("a FIN");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("a clean end");
        assert!(all == [who.as_bytes(), &said].concat(), "{name} {alpn:?}");
    }
    let lines = log.lines(4);
    assert_eq!((&lines[0]["proto"], &lines[0]["host"]), (&json!("tls"), &json!("a.example")));
    assert_eq!((&lines[0]["pool"], &lines[1]["pool"]), (&json!("products"), &json!("other")));
    assert_eq!((&lines[0]["route"], &lines[2]["route"]), (&json!("web#2"), &json!("web#3")));
}

#[test]
fn who_does_not_begin_as_tls_does_is_closed_with_one_line() {
    let port = free_port();
    let mut draft = by_name(port);
    let log = Log::of(&mut draft);
    let engine = engine(&draft, 1);
    let huge = [&b"\x16\x03\x01\x40\x00\x01\x00\x7f\xff"[..], &[0; 20_000]].concat();
    let cut = hello("a.example", &[])[..40].to_vec();
    let wrong =
        [hello("other.example", &[]), hello("", &[]), b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 300], huge, cut];
    for (index, bytes) in wrong.iter().enumerate() {
        let mut stream = connect(port);
        let _ = stream.write_all(bytes);
        let heard = stream.read(&mut [0; 100]);
        assert!(matches!(heard, Ok(0)) || is_reset(&mut stream), "{index} got an answer");
        let lines = log.lines(index + 1);
        assert_eq!(lines.len(), index + 1);
        assert!(lines[index]["reason"].as_str().is_some_and(|why| !why.is_empty()), "{lines:?}");
    }
    assert_eq!(log.lines(6)[0]["reason"], "no route for other.example");
    assert_eq!(log.lines(6)[5]["reason"], "too slow to begin");
    until("everybody has left", || engine.clients() == 0);
}
