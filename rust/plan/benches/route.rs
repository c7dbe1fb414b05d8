//! Nanoseconds per route lookup, by number of hosts: `cargo bench -p plan`.
//!
//! Each host has nine prefixes and a route for the rest, as a busy shared front end would. Three kinds of requests:
//! spread over all hosts, always the same one (caches warm), and hostile ones that go as deep as they can. No harness:
//! the figure wanted is a plain mean over many lookups in a fixed, scattered order.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use plan::Listener;

const LOOKUPS: usize = 1_000_000;
const ROUNDS: usize = 5;
/// What a lookup may cost, in nanoseconds.
const BAR: f64 = 300.0;

fn main() {
    println!("{:>8} {:>12} {:>12} {:>12}   ns per lookup, bar {BAR}", "hosts", "scattered", "same", "hostile");
    for hosts in [1, 99, 101, 10_000] {
        let plan = compiled(hosts);
        let listener = &plan.listeners[0];
        let scattered: Vec<(String, String)> = (0..hosts * 10).map(|number| request(number * 7919 % (hosts * 10))).collect();
        let same = [request(hosts * 5)];
        let hostile = [(format!("{}shop0.example", "a.".repeat(120)), format!("/products0{}", "/a".repeat(4000)))];
        let costs = [&scattered[..], &same[..], &hostile[..]].map(|requests| cost(listener, requests));
        println!("{hosts:>8} {:>12.1} {:>12.1} {:>12.1}", costs[0], costs[1], costs[2]);
    }
}

/// The best of some rounds: whatever else runs on the machine can only add.
fn cost(listener: &Listener, requests: &[(String, String)]) -> f64 {
    let rounds = (0..ROUNDS).map(|_| round(listener, requests));
    rounds.fold(f64::INFINITY, f64::min)
}

fn round(listener: &Listener, requests: &[(String, String)]) -> f64 {
    let mut found = 0u64;
    let start = Instant::now();
    for (host, path) in requests.iter().cycle().take(LOOKUPS) {
        let route = listener.find(black_box(host.as_bytes()), black_box(path.as_bytes()));
        found += u64::from(route.is_some());
    }
    let spent = start.elapsed();
    black_box(found);
    spent.as_nanos() as f64 / LOOKUPS as f64
}

fn request(number: usize) -> (String, String) {
    let (host, part) = (number / 10, number % 10);
    (format!("shop{host}.example"), format!("/products{part}/by-id/{number}"))
}

fn compiled(hosts: usize) -> plan::Plan {
    let mut draft: serde_json::Value = serde_json::from_str(include_str!("../tests/drafts/base.json")).expect("a draft");
    let routes = draft["listeners"]["web"]["routes"].as_array_mut().expect("a list");
    let any = routes.remove(0);
    for number in 0..hosts * 10 {
        let (host, part) = (number / 10, number % 10);
        let mut route = any.clone();
        route["match"]["host"] = format!("shop{host}.example").into();
        if part < 9 {
            route["match"]["path"] = format!("/products{part}/").into();
        }
        routes.push(route);
    }
    let draft = serde_json::to_vec(&draft).expect("JSON");
    plan::compile(&draft, None, 0).unwrap_or_else(|errors| panic!("{}", errors[0]))
}
