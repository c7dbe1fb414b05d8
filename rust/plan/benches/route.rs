//! Nanoseconds per route lookup, by number of hosts: `cargo bench -p plan`.
//!
//! Each host has nine prefixes and a route for the rest, as a busy shared front end would. Three kinds of requests:
//! spread over all hosts, always the same one (caches warm), and hostile ones that go as deep as they can. No harness:
//! the figure wanted is a plain mean over many lookups in a fixed, scattered order.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use plan::Listener;

/// Each round is shorter than a time slice, so that some round runs undisturbed on a busy machine.
const LOOKUPS: usize = 20_000;
const ROUNDS: usize = 200;
/// What a lookup may cost, in nanoseconds.
const BAR: f64 = 300.0;

fn main() {
    println!("{:>8} {:>10} {:>10} {:>10}   ns per lookup, bar {BAR}", "hosts", "scattered", "same", "hostile");
    for hosts in [1, 99, 101, 10_000] {
        let plan = compiled(hosts);
        let listener = &plan.listeners[0];
        let scattered = best(|| scattered(listener, hosts));
        let same = best(|| again(listener, &host(hosts / 2), b"/products5/by-id/4711"));
        let deep = [b"/products0".to_vec(), b"/a".repeat(4000)].concat();
        let hostile = best(|| again(listener, &[&b"a.".repeat(120), &host(0)[..]].concat(), &deep));
        println!("{hosts:>8} {scattered:>10.1} {same:>10.1} {hostile:>10.1}");
    }
}

/// The best of some rounds, in nanoseconds per lookup: whatever else runs on the machine can only add.
fn best(round: impl Fn() -> Duration) -> f64 {
    let rounds = (0..ROUNDS).map(|_| round().as_nanos() as f64 / LOOKUPS as f64);
    rounds.fold(f64::INFINITY, f64::min)
}

/// Every host and path of the table in a scattered order. The request itself is written anew into one place, because a
/// worker looks up what it has just parsed; the handful of nanoseconds for that is part of the figure.
fn scattered(listener: &Listener, hosts: usize) -> Duration {
    let mut host = host(0);
    let mut path = *b"/products0/by-id/4711";
    let mut found = 0u64;
    let start = Instant::now();
    for number in 0..LOOKUPS {
        write_number(&mut host, number * 7919 % hosts);
        path[9] = b'0' + (number % 10) as u8;
        found += u64::from(listener.find(black_box(&host), black_box(&path), |_| true).is_some());
    }
    let spent = start.elapsed();
    assert_eq!(found, LOOKUPS as u64);
    spent
}

fn again(listener: &Listener, host: &[u8], path: &[u8]) -> Duration {
    let start = Instant::now();
    for _ in 0..LOOKUPS {
        black_box(listener.find(black_box(host), black_box(path), |_| true));
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

fn compiled(hosts: usize) -> plan::Plan {
    let mut draft: serde_json::Value =
        serde_json::from_str(include_str!("../tests/drafts/base.json")).expect("a draft");
    let routes = draft["listeners"]["web"]["routes"].as_array_mut().expect("a list");
    let any = routes.remove(0);
    for number in 0..hosts * 10 {
        let mut route = any.clone();
        route["match"]["host"] = String::from_utf8_lossy(&host(number / 10)).into();
        if number % 10 < 9 {
            route["match"]["path"] = format!("/products{}/", number % 10).into();
        }
        routes.push(route);
    }
    let draft = serde_json::to_vec(&draft).expect("JSON");
    plan::compile(&draft, None, 0).unwrap_or_else(|errors| panic!("{}", errors[0]))
}
