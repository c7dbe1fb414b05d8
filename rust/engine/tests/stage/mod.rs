//! What the tests of the whole engine share: a draft, an engine in front of addresses, and clients in plain threads.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod ledger;
pub mod passed;
pub mod worker;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// The draft of a site: one listener, one route, one pool with backends at these ports of this machine.
pub fn draft(listen: u16, backends: &[u16]) -> Value {
    let base = include_str!("../../../plan/tests/drafts/base.json");
    let mut draft: Value = serde_json::from_str(base).expect("a draft");
    draft["listeners"]["web"]["bind"] = json!([format!("127.0.0.1:{listen}")]);
    draft["log"]["access"] = json!("off");
    let like = draft["pools"]["products"]["backends"][0].clone();
    let backend = |port: &u16| {
        let mut backend = like.clone();
        backend["name"] = json!(format!("127.0.0.1:{port}"));
        backend["address"] = backend["name"].clone();
        backend
    };
    draft["pools"]["products"]["backends"] = backends.iter().map(backend).collect();
    draft
}

/// The pool of such a draft.
pub fn pool(draft: &mut Value) -> &mut Value {
    &mut draft["pools"]["products"]
}

/// An engine with the draft in force.
pub fn engine(draft: &Value, workers: usize) -> engine::Engine {
    let engine = engine::Engine::start(engine::Options { workers }).expect("an engine");
    engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
    engine
}

/// A client's connection.
pub struct Client {
    stream: TcpStream,
    got: Vec<u8>,
}

impl Client {
    pub fn new(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Client { stream, got: Vec::new() }
    }

    /// Sends a request and leaves.
    pub fn ask_and_leave(mut self, path: &str) {
        let _ = self.stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
    }

    /// The same as [`Client::ask`] for a GET with one more field.
    pub fn ask_as(&mut self, field: &str) -> u16 {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n");
        if self.stream.write_all(request.as_bytes()).is_err() {
            return 0;
        }
        self.answer().unwrap_or(0)
    }

    /// Sends a request and returns the status of its answer; 0 if there was none.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> u16 {
        let length = if body.is_empty() && method == "GET" {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        let request = format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{length}\r\n{body}");
        if self.stream.write_all(request.as_bytes()).is_err() {
            return 0;
        }
        self.answer().unwrap_or(0)
    }

    /// The status of the next answer, once all of it is here.
    fn answer(&mut self) -> Option<u16> {
        self.got.clear();
        let mut more = [0; 4096];
        loop {
            let count = self.stream.read(&mut more).ok().filter(|count| *count > 0)?;
            self.got.extend_from_slice(&more[..count]);
            if let Some(status) = complete(&self.got) {
                return Some(status);
            }
        }
    }
}

/// The status of an answer with a Content-Length that is complete.
fn complete(bytes: &[u8]) -> Option<u16> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    (bytes.len() >= end + content_length(head)).then(|| head[9..12].parse().ok())?
}

/// Waits until something is so, for some seconds at most.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The value of Content-Length; 0 without one.
pub fn content_length(head: &str) -> usize {
    let field = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-length:"));
    field.and_then(|line| line[15..].trim().parse().ok()).unwrap_or(0)
}
