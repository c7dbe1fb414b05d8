//! Nanoseconds per route lookup, by number of hosts: `cargo bench -p plan`.
//!
//! Each host has nine prefixes and a route for the rest, as a busy shared front end would. Four kinds of requests:
//! spread over all hosts; always the same one (caches warm); hostile ones that go as deep as they can; and spread ones
//! where every path has one route more in front, which asks something of the request that does not hold. No harness:
//! the figure wanted is a plain mean over many lookups in a fixed, scattered order.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use plan::{Http, Plan};
use serde_json::{Value, json};

/// Each round is shorter than a time slice, so that some round runs undisturbed on a busy machine.
const LOOKUPS: usize = 20_000;
const ROUNDS: usize = 200;
/// What a lookup may cost, in nanoseconds.
const BAR: f64 = 300.0;
const PATHS: usize = 10;

fn main() {
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>10}   ns per lookup, bar {BAR}",
        "hosts", "scattered", "same", "hostile", "asking"
    );
    let request = request();
    for hosts in [1, 99, 101, 10_000] {
        let plan = compiled(hosts, &[]);
        let listener = web(&plan);
        let spread = best(|| scattered(listener, hosts, &request));
        let same = best(|| again(listener, &host(hosts / 2), b"/products5/by-id/4711"));
        let deep = [b"/products0".to_vec(), b"/a".repeat(4000)].concat();
        let hostile = best(|| again(listener, &[&b"a.".repeat(120), &host(0)[..]].concat(), &deep));
        drop(plan);
        let plan = compiled(hosts, &asking());
        let asking = best(|| scattered(web(&plan), hosts, &request));
        println!("{hosts:>8} {spread:>10.1} {same:>10.1} {hostile:>10.1} {asking:>10.1}");
    }
}

/// The best of some rounds, in nanoseconds per lookup: whatever else runs on the machine can only add.
fn best(round: impl Fn() -> Duration) -> f64 {
    let rounds = (0..ROUNDS).map(|_| round().as_nanos() as f64 / LOOKUPS as f64);
    rounds.fold(f64::INFINITY, f64::min)
}

/// Every host and path of the table in a scattered order. The request itself is written anew into one place, because a
/// worker looks up what it has just parsed; the handful of nanoseconds for that is part of the figure.
fn scattered(http: &Http, hosts: usize, request: &wire::Head) -> Duration {
    let client = IpAddr::from([192, 0, 2, 1]);
    let mut host = host(0);
    let mut path = *b"/products0/by-id/4711";
    let mut found = 0u64;
    let start = Instant::now();
    for number in 0..LOOKUPS {
        write_number(&mut host, number * 7919 % hosts);
        path[9] = b'0' + (number % PATHS) as u8;
        let route = http.find(black_box(&host), black_box(&path), |condition| condition.holds(request, client));
        found += u64::from(route.is_some());
    }
    let spent = start.elapsed();
    assert_eq!(found, LOOKUPS as u64);
    spent
}

fn web(plan: &Plan) -> &Http {
    plan.listeners[0].http().expect("it speaks HTTP")
}

fn again(http: &Http, host: &[u8], path: &[u8]) -> Duration {
    let start = Instant::now();
    for _ in 0..LOOKUPS {
        black_box(http.find(black_box(host), black_box(path), |_| true));
    }
    start.elapsed()
}

fn host(number: usize) -> [u8; 17] {
    let mut host = *b"shop00000.example";
    write_number(&mut host, number);
    host
}

fn write_number(host: &mut [u8; 17], mut number: usize) {
    for digit in host[4..9].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// A browser's request, in which nothing is as [`asking`] wants it.
fn request() -> wire::Head {
    let text = "GET /products0/by-id/4711 HTTP/1.1\r\nHost: shop00000.example\r\nUser-Agent: Mozilla/5.0\r\n\
        Accept: text/html\r\nAccept-Language: en\r\nAccept-Encoding: gzip\r\nCookie: a=1; sid=4711\r\n\r\n";
    match wire::parse_request(text.as_bytes(), &mut 0, &wire::Rules::default(), &mut wire::Pages::default()) {
        wire::Parsed::Done { head, .. } => head,
        other => panic!("{other:?}"),
    }
}

/// Four things that a route may ask.
fn asking() -> [Value; 4] {
    [
        json!({"methods": ["POST", "PUT"]}),
        json!({"headers": {"x-tenant": {"exact": "acme"}}}),
        json!({"cookies": {"beta": {"present": true}}}),
        json!({"client": ["10.0.0.0/8"]}),
    ]
}

/// For each host and path a route, and before that one that asks for one of `asked`.
fn compiled(hosts: usize, asked: &[Value]) -> Plan {
    let mut draft: Value =
        serde_json::from_str(include_str!("../../rust/plan/tests/drafts/base.json")).expect("a draft");
    let routes = draft["listeners"]["web"]["routes"].as_array_mut().expect("a list");
    let any = routes.remove(0);
    for number in 0..hosts * PATHS {
        let mut route = any.clone();
        route["match"]["host"] = String::from_utf8_lossy(&host(number / PATHS)).into();
        if number % PATHS < PATHS - 1 {
            route["match"]["path"] = format!("/products{}/", number % PATHS).into();
        }
        if let Some(asked) = asked.get(number % PATHS % 4) {
            let mut asking = route.clone();
            let more = asked.as_object().expect("a mapping").clone();
            asking["match"].as_object_mut().expect("a mapping").extend(more);
            routes.push(asking);
        }
        routes.push(route);
    }
    let draft = serde_json::to_vec(&draft).expect("JSON");
    plan::compile(&draft, None, 0).unwrap_or_else(|errors| panic!("{}", errors[0]))
}
