//! In clear HTTP/1, a keep-alive request allocates nothing: counted, not believed.
//!
//! Everything runs in this process, so origin and client are written to allocate nothing either.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUEST: &[u8] =
    b"GET /api/items?page=2 HTTP/1.1\r\nhost: shop.example\r\nuser-agent: test\r\naccept: */*\r\ncookie: a=b\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

fn origin() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.expect("a connection")));
        }
    });
    port
}

fn answer(mut stream: TcpStream) {
    let mut buffer = [0u8; 4096];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 || stream.write_all(RESPONSE).is_err() {
            return;
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

fn draft(listen: u16, origin: u16) -> String {
    serde_json::json!({
        "listeners": {"web": {
            "bind": [format!("127.0.0.1:{listen}")], "protocol": "http", "proxy_protocol": null, "tls": null,
            "redirect_https": null, "pool": null, "udp": null, "names": [], "trusted_proxies": [],
            "timeouts": {"head": 10000, "body_idle": 60000, "keepalive": 75000, "send_idle": 60000,
                "tls_handshake": 10000, "hello": 5000},
            "limits": {"head": 65536, "fields": 128, "request_line": 8192, "field": 16384, "body": null, "requests": 100000},
            "lenient": false, "encoded_slash": "keep", "half_close": "abort", "path": "normal", "access_log": true,
            "routes": [{"name": "all", 
                "match": {"host": null, "path": null, "methods": [], "headers": {}, "cookies": {}, "query": {}, "client": []},
                "pool": "app", "split": null, "split_by": null, "redirect": null, "respond": null,
                "timeouts": {"response_head": 60000, "response_idle": 300000}, "rate_limit": null, "rewrite": null,
                "request_headers": {"set": {}, "add": {}, "remove": []},
                "response_headers": {"set": {}, "add": {}, "remove": []}}]}},
        "pools": {"app": {
            "balance": {"policy": "two_choices", "key": null},
            "backends": [{"name": "one", "address": format!("127.0.0.1:{origin}"), "weight": 1, "backup": false,
                "max_in_flight": null, "draining": false, "server_name": null}],
            "checked": false, "passive": {"failures": 5, "eject": 10000, "max_ejected": 50},
            "timeouts": {"connect": 3000, "keepalive": null, "idle": 3_600_000, "tls_handshake": 5000}, "idle_connections": 64,
            "slow_start": 0, "drain": 600_000, "queue": {"size": 1000, "timeout": 5000},
            "retries": {"tries": 3, "on": ["connect", "stale", "closed"], "budget": 20, "replay": 65536, "per_try": null},
            "errors": {}, "sticky": null, "tls": null, "proxy_protocol": null}},
        "metrics": [], "log": {"access": "off", "format": "json"}, "max_clients": 1000
    })
    .to_string()
}

#[test]
fn a_keep_alive_request_allocates_nothing() {
    let port = free_port();
    let engine = engine::Engine::start(engine::Options { workers: 1 }).expect("an engine");
    engine.apply(draft(port, origin()).as_bytes(), &engine::Files::new()).expect("a plan");
    let mut client = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let mut buffer = [0u8; 4096];
    let mut requests = |count: usize| {
        for _ in 0..count {
            client.write_all(REQUEST).expect("to send");
            let got = client.read(&mut buffer).expect("an answer");
            assert!(buffer[..got].ends_with(b"hello"));
        }
    };
    requests(100);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    requests(2_000);
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!(after - before, 0, "allocations in 2,000 keep-alive requests");
}
