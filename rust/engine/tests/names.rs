//! TLS that is passed on by the name that a client asks for, and never decrypted.

mod stage;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
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

/// A site whose listener `web` has TLS, with files for it, and the authority that signed them.
fn ending(mut draft: Value, names: &[&str]) -> (Value, engine::Files, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let minted = engine::mint(&names, None, None).expect("a certificate");
    let pair = json!({"cert": "/cert", "key": "/key", "client_auth": null});
    draft["listeners"]["web"]["tls"] = json!({"certificates": [pair], "min_version": "1.2", "client_auth": null});
    let files = [("/cert", minted.certificate), ("/key", minted.key)];
    let files = files.map(|(name, content)| (name.to_owned(), content.into_bytes()));
    (draft, files.into(), CertificateDer::from_pem_slice(minted.authority.as_bytes()).expect("PEM"))
}

/// A client's TLS on a connection to this port.
fn secure(
    port: u16,
    name: &str,
    ca: &CertificateDer<'static>,
) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.clone()).expect("an authority");
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let client = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    rustls::StreamOwned::new(client, connect(port))
}

#[test]
fn tls_ends_here_and_a_goodbye_stays_one_both_ways() {
    let port = free_port();
    let (draft, files, ca) = ending(passing(port, &[backend(mirror("clear "))]), &["a.example"]);
    let engine = engine::Engine::start(engine::Options { workers: 1 }).expect("an engine");
    engine.apply(draft.to_string().as_bytes(), &files).expect("a plan");
    let body: Vec<u8> = (0..3_000_000).map(|_| fastrand::u8(..)).collect();
    let mut stream = secure(port, "a.example", &ca);
    let speaker = stream.sock.try_clone().expect("a descriptor");
    for piece in body.chunks(50_000) {
        stream.write_all(piece).expect("a reader");
    }
    stream.conn.send_close_notify();
    stream.flush().expect("a reader");
    speaker.shutdown(Shutdown::Write).expect("a FIN");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("a goodbye of TLS");
    assert!(all == [&b"clear "[..], &body].concat());
}

#[test]
fn one_port_passes_names_on_and_ends_the_tls_of_others() {
    let port = free_port();
    let (mut draft, files, ca) = ending(passing(free_port(), &[backend(mirror("clear "))]), &["b.example"]);
    let mut edge = draft["listeners"]["web"].clone();
    let ends = json!({"name": null, "match": {"sni": "b.example", "alpn": []}, "pool": null, "terminate": "web"});
    (edge["protocol"], edge["pool"], edge["tls"]) = (json!("tls"), json!(null), json!(null));
    edge["names"] = json!([route(Some("a.example"), &[], "products"), ends]);
    edge["bind"] = json!([format!("127.0.0.1:{port}")]);
    draft["listeners"]["edge"] = edge;
    let engine = engine::Engine::start(engine::Options { workers: 1 }).expect("an engine");
    engine.apply(draft.to_string().as_bytes(), &files).expect("a plan");
    for _ in 0..3 {
        let mut ended = secure(port, "b.example", &ca);
        ended.write_all(b"hello").expect("a reader");
        ended.conn.send_close_notify();
        ended.flush().expect("a reader");
        let mut all = Vec::new();
        ended.read_to_end(&mut all).expect("a goodbye of TLS");
        assert_eq!(all, b"clear hello");

        let said = hello("a.example", &[]);
        let passed = stage::passed::exchange(port, &said).expect("a clean end");
        assert!(passed == [&b"clear "[..], &said].concat());
        // A reload changes nothing of that.
        engine.apply(draft.to_string().as_bytes(), &files).expect("a plan");
    }
}
