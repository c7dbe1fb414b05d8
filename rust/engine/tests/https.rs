//! HTTP over TLS: what requests and backends hear of it, and TLS to backends.

mod stage;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use stage::passed::{Log, backend, connect};
use stage::{draft, free_port, pool};

/// An authority, and certificates of it.
struct Office {
    params: CertificateParams,
    key: KeyPair,
    certificate: String,
}

impl Office {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "office");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Office { params, key, certificate }
    }

    /// Certificate and key for a name, in either role.
    fn pair(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM")).expect("a root");
        roots
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn parsed((certificate, key): &(String, String)) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().expect("PEM");
    (chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"))
}

/// What a client is.
struct Browser {
    config: Arc<rustls::ClientConfig>,
    port: u16,
}

impl Browser {
    fn new(port: u16, office: &Office, shows: Option<(String, String)>) -> Self {
        let config = rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_root_certificates(office.roots());
        let config = match shows.as_ref().map(parsed) {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).expect("a pair"),
            None => config.with_no_client_auth(),
        };
        Browser { config: Arc::new(config), port }
    }

    fn visit(&self, name: &str) -> Visit {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let client = rustls::ClientConnection::new(Arc::clone(&self.config), name).expect("a client");
        Visit(rustls::StreamOwned::new(client, connect(self.port)))
    }
}

struct Visit(rustls::StreamOwned<rustls::ClientConnection, TcpStream>);

impl Visit {
    /// The status and the rest of the answer to a GET for this host with these lines.
    fn ask(&mut self, host: &str, lines: &str) -> (u16, String) {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n");
        self.0.write_all(request.as_bytes()).expect("a reader");
        let mut got = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&got).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && let Some((_, length)) = head.to_ascii_lowercase().split_once("content-length: ")
                && length.split("\r\n").next().and_then(|length| length.parse().ok()) == Some(body.len())
            {
                return (head[9..12].parse().expect("a status"), text);
            }
            let mut more = [0; 4096];
            let count = self.0.read(&mut more).expect("an answer");
            assert!(count > 0, "the answer ended early: {text}");
            got.extend_from_slice(&more[..count]);
        }
    }
}

/// Answers each request with the head that it got.
fn mirror(mut stream: impl Read + Write) {
    let mut got = Vec::new();
    let mut more = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut more) {
        got.extend_from_slice(&more[..count]);
        while let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = got.drain(..end + 4).collect();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", head.len());
            if stream.write_all(&[answer.as_bytes(), &head].concat()).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }
}

/// A backend with TLS, and how many connections it has had.
fn secure_backend(pair: (String, String)) -> (u16, Arc<AtomicUsize>) {
    let (chain, key) = parsed(&pair);
    let config = rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    let (config, connections) = (Arc::new(config), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&connections);
    let port = backend(move |stream| {
        count.fetch_add(1, Ordering::Relaxed);
        let server = rustls::ServerConnection::new(Arc::clone(&config)).expect("a server");
        mirror(rustls::StreamOwned::new(server, stream));
    });
    (port, connections)
}

/// A site with TLS: `a.test` for everybody, `b.test` for those with a certificate.
fn site(office: &Office, draft: &mut Value) -> engine::Files {
    let subject = json!({"subject": "x-client-subject", "san": "x-client-san"});
    let ask = json!({"mode": "require", "ca": "/ca", "headers": subject});
    draft["listeners"]["web"]["tls"] = json!({
        "certificates": [
            {"cert": "/a.crt", "key": "/a.key", "client_auth": null},
            {"cert": "/b.crt", "key": "/b.key", "client_auth": ask},
        ],
        "min_version": "1.2",
        "client_auth": null,
    });
    let (a, b) = (office.pair("a.test"), office.pair("b.test"));
    let files = [("/a.crt", a.0), ("/a.key", a.1), ("/b.crt", b.0), ("/b.key", b.1)];
    let ca = ("/ca", office.certificate.clone());
    files.into_iter().chain([ca]).map(|(name, content)| (name.to_owned(), content.into_bytes())).collect()
}

fn start(draft: &Value, files: &engine::Files) -> engine::Engine {
    let engine = engine::Engine::start(engine::Options { workers: 1 }).expect("an engine");
    engine.apply(draft.to_string().as_bytes(), files).expect("a plan");
    engine
}

#[test]
fn backends_hear_of_tls_and_of_verified_certificates_only() {
    let (office, port) = (Office::new(), free_port());
    let mut draft = draft(port, &[backend(mirror)]);
    let files = site(&office, &mut draft);
    let log = Log::of(&mut draft);
    let _engine = start(&draft, &files);
    let forged = "x-client-subject: CN=admin\r\nX-Client-SAN: DNS:admin\r\nx-forwarded-proto: http\r\n";

    let mut visit = Browser::new(port, &office, None).visit("a.test");
    let (status, said) = visit.ask("a.test", forged);
    assert_eq!(status, 200);
    assert!(said.contains("X-Forwarded-Proto: https\r\n"), "{said}");
    assert!(!said.to_ascii_lowercase().contains("x-client"), "{said}");

    let known = Browser::new(port, &office, Some(office.pair("somebody.test")));
    let (status, said) = known.visit("b.test").ask("b.test", forged);
    assert_eq!(status, 200);
    assert!(said.contains("x-client-san: DNS:somebody.test\r\n"), "{said}");
    assert!(said.contains("x-client-subject: CN=somebody.test") && !said.contains("admin"), "{said}");

    let lines = log.lines(2);
    let tls = &lines[0]["tls"];
    assert_eq!((&tls["version"], &tls["sni"], &tls["resumed"]), (&json!("TLSv1.3"), &json!("a.test"), &json!(false)));
}

#[test]
fn a_host_of_another_policy_needs_a_connection_of_its_own() {
    let (office, port) = (Office::new(), free_port());
    let mut draft = draft(port, &[backend(mirror)]);
    let files = site(&office, &mut draft);
    let _engine = start(&draft, &files);
    let browser = Browser::new(port, &office, None);
    let mut visit = browser.visit("a.test");
    assert_eq!(visit.ask("a.test", "").0, 200);
    let (status, said) = visit.ask("b.test", "");
    assert_eq!(status, 421);
    assert!(said.to_ascii_lowercase().contains("connection: close"), "{said}");
    // Nobody gets in without a certificate: TLS 1.3 says so on the first read.
    let mut refused = browser.visit("b.test");
    let _ = refused.0.write_all(b"GET / HTTP/1.1\r\nhost: b.test\r\n\r\n");
    assert!(refused.0.read(&mut [0; 100]).is_err());
}

#[test]
fn backends_are_spoken_to_over_tls_and_kept() {
    let (office, port) = (Office::new(), free_port());
    let (secure, connections) = secure_backend(office.pair("web.internal"));
    let mut draft = draft(port, &[secure]);
    let files = site(&office, &mut draft);
    pool(&mut draft)["tls"] = json!({"ca": "/ca", "certificate": null, "verify": true});
    pool(&mut draft)["backends"][0]["server_name"] = json!("web.internal");
    let _engine = start(&draft, &files);
    let mut visit = Browser::new(port, &office, None).visit("a.test");
    for _ in 0..5 {
        assert_eq!(visit.ask("a.test", "").0, 200);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1, "a connection is kept");
}

#[test]
fn a_backend_that_is_not_believed_gets_nothing() {
    let (office, stranger, port) = (Office::new(), Office::new(), free_port());
    let plain = backend(|mut stream| {
        let mut first = [0; 1];
        if stream.read_exact(&mut first).is_ok() {
            assert_eq!(first, [22], "plaintext");
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    for (port_of_backend, name, error, reason) in [
        (secure_backend(office.pair("other.test")).0, "web.internal", "tls_certificate_error", "certificate is for"),
        (secure_backend(stranger.pair("web.internal")).0, "web.internal", "tls_certificate_error", "authority"),
        (plain, "web.internal", "tls_protocol_error", "not TLS"),
    ] {
        let mut draft = draft(port, &[port_of_backend]);
        let files = site(&office, &mut draft);
        let log = Log::of(&mut draft);
        pool(&mut draft)["tls"] = json!({"ca": "/ca", "certificate": null, "verify": true});
        pool(&mut draft)["backends"][0]["server_name"] = json!(name);
        let engine = start(&draft, &files);
        let (status, said) = Browser::new(port, &office, None).visit("a.test").ask("a.test", "");
        assert_eq!(status, 502);
        assert!(said.contains(error), "{said}");
        let line = &log.lines(1)[0];
        assert!(line["reason"].as_str().is_some_and(|why| why.contains(reason)), "{line}");
        drop(engine);
    }
}

#[test]
fn who_knocks_at_the_wrong_port_hears_it_and_is_logged() {
    let (office, port) = (Office::new(), free_port());
    let mut draft = draft(port, &[backend(mirror)]);
    let log = Log::of(&mut draft);
    let plain = start(&draft, &engine::Files::new());
    let mut lost = Browser::new(port, &office, None).visit("a.test");
    assert!(lost.0.write_all(b"x").and_then(|()| lost.0.flush()).is_err());
    let line = log.lines(1).remove(0);
    let said = (&line["proto"], &line["status"], &line["reason"]);
    assert_eq!(said, (&json!("tls"), &json!(null), &json!("TLS on a port without")));
    drop(plain);

    let files = site(&office, &mut draft);
    let _engine = start(&draft, &files);
    let mut stream = connect(port);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").expect("a reader");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an answer");
    let (head, body) = said.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 400 ") && body == "This port speaks TLS: ask for https://.\n", "{said}");
    assert_eq!(stage::content_length(&format!("{head}\r\n\r\n")), body.len());
    assert_eq!(log.lines(2)[1]["reason"], "not TLS: looks like HTTP");
}

#[test]
fn an_end_is_announced() {
    let (office, port) = (Office::new(), free_port());
    let mut draft = draft(port, &[backend(mirror)]);
    draft["listeners"]["web"]["timeouts"]["keepalive"] = json!(100);
    let files = site(&office, &mut draft);
    let _engine = start(&draft, &files);
    let browser = Browser::new(port, &office, None);
    for lines in ["", "connection: close\r\n"] {
        let mut visit = browser.visit("a.test");
        assert_eq!(visit.ask("a.test", lines).0, 200);
        assert_eq!(visit.0.read(&mut [0; 100]).expect("a close_notify"), 0);
    }
}

#[test]
fn a_file_that_is_named_twice_is_measured_once() {
    let (office, port, counted) = (Office::new(), free_port(), free_port());
    let mut draft = draft(port, &[backend(mirror)]);
    let files = site(&office, &mut draft);
    draft["metrics"] = json!([format!("127.0.0.1:{counted}")]);
    let certificates = &mut draft["listeners"]["web"]["tls"]["certificates"];
    certificates[0]["client_auth"] = certificates[1]["client_auth"].clone();
    certificates[0]["client_auth"]["mode"] = json!("optional");
    let _engine = start(&draft, &files);
    let mut stream = connect(counted);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("a reader");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("metrics");
    let sample = "pylb_certificate_broken{listener=\"web\",certificate=\"/ca\"} 0\n";
    assert_eq!(said.matches(sample).count(), 1, "{said}");
}
