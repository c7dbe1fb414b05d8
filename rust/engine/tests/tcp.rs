//! Connections that are passed on: every byte and every FIN arrives, and whatever happens to plans and backends
//! happens to sessions as it was promised.

mod stage;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use stage::passed::{Log, backend, connect, echo, exchange, hear, is_reset, mirror, passing};
use stage::{engine, free_port, pool, until};

fn in_flight(engine: &engine::Engine) -> Vec<u32> {
    engine.status().pools["products"].backends.iter().map(|backend| backend.in_flight).collect()
}

#[test]
fn random_bodies_arrive_whole_and_a_fin_stays_one() {
    let (port, seed) = (free_port(), fastrand::u64(..));
    let _engine = engine(&passing(port, &[backend(mirror("")), backend(mirror(""))]), 2);
    let mut dice = fastrand::Rng::with_seed(seed);
    thread::scope(|scope| {
        for round in 0..200 {
            let mut dice = dice.fork();
            scope.spawn(move || {
                let size = 1usize << dice.u32(0..21);
                let body: Vec<u8> = (0..size + dice.usize(..size)).map(|_| dice.u8(..)).collect();
                let mut stream = connect(port);
                let mut left = &body[..];
                while !left.is_empty() {
                    let most = 1 << dice.u32(if size > 65_536 { 10..17 } else { 0..17 });
                    let (piece, rest) = left.split_at(left.len().min(most));
                    stream.write_all(piece).expect("a reader");
                    left = rest;
                }
                stream.shutdown(Shutdown::Write).expect("a FIN");
                let mut all = Vec::new();
                stream.read_to_end(&mut all).expect("a clean end");
                assert!(all == body, "seed {seed}, round {round}: {} of {} bytes", all.len(), body.len());
            });
        }
    });
}

#[test]
fn a_backend_that_says_fin_first_still_hears_its_client() {
    let port = free_port();
    let (tell, told) = std::sync::mpsc::channel();
    let origin = backend(move |mut stream| {
        stream.write_all(b"bye").expect("a reader");
        stream.shutdown(Shutdown::Write).expect("a FIN");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("a clean end");
        tell.send(all).expect("a test");
    });
    let _engine = engine(&passing(port, &[origin]), 1);
    let mut stream = connect(port);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("a FIN");
    assert_eq!(all, b"bye");
    stream.write_all(b"still here").expect("a reader");
    drop(stream);
    assert_eq!(told.recv_timeout(Duration::from_secs(10)).expect("a clean end"), b"still here");
}

#[test]
fn a_backend_that_is_dead_is_followed_by_another() {
    let (port, dead) = (free_port(), free_port());
    let mut draft = passing(port, &[dead, backend(mirror("alive "))]);
    pool(&mut draft)["balance"]["policy"] = json!("failover");
    let log = Log::of(&mut draft);
    let engine = engine(&draft, 1);
    for _ in 0..10 {
        assert_eq!(exchange(port, b"hello").expect("an answer"), b"alive hello");
    }
    let lines = log.lines(10);
    assert_eq!(lines[0]["proto"], "tcp");
    assert_eq!(lines[0]["attempts"][0]["why"], "connection refused");
    assert_eq!((&lines[0]["status"], &lines[0]["reason"]), (&json!(null), &json!(null)));
    assert_eq!((&lines[0]["bytes_in"], &lines[0]["bytes_out"]), (&json!(5), &json!(11)));
    // After five failures in a row nobody asks the dead one any more.
    assert_eq!(lines[9]["attempts"], json!([]));
    assert_eq!(engine.status().listeners["web"].requests, 10);
}

#[test]
fn who_finds_no_backend_is_reset() {
    let port = free_port();
    let mut draft = passing(port, &[free_port()]);
    let log = Log::of(&mut draft);
    let _engine = engine(&draft, 1);
    assert!(exchange(port, b"hello").is_err(), "a FIN would be an answer");
    assert_eq!(log.lines(1)[0]["reason"], "connection refused");
}

#[test]
fn who_finds_all_full_waits_for_a_place_or_is_told_at_once() {
    let port = free_port();
    let mut draft = passing(port, &[backend(echo("1")), backend(echo("2"))]);
    for backend in pool(&mut draft)["backends"].as_array_mut().expect("a list") {
        backend["max_in_flight"] = json!(1);
    }
    pool(&mut draft)["queue"] = json!({"size": 1, "timeout": 10_000});
    let log = Log::of(&mut draft);
    let engine = engine(&draft, 2);
    let mut served: Vec<_> = (0..2).map(|_| connect(port)).collect();
    let mut names: Vec<_> = served.iter_mut().map(|stream| hear(stream, 1)).collect();
    names.sort();
    assert_eq!(names, ["1", "2"]);
    let mut waiting = connect(port);
    waiting.write_all(b"early").expect("a reader");
    until("one waits", || engine.status().pools["products"].queue.waiting == 1);
    assert!(is_reset(&mut connect(port)), "the line is full");
    assert_eq!(log.lines(1)[0]["proxy_status"], "connection_limit_reached");
    drop(served.pop());
    assert_eq!(&hear(&mut waiting, 6)[1..], "early");
    until("nobody is in the line", || engine.status().pools["products"].queue.waiting == 0);
    drop((served, waiting));
    until("every place is free", || in_flight(&engine) == [0, 0]);
}

#[test]
fn sessions_live_through_reloads_and_end_with_their_backends_drain() {
    let port = free_port();
    let (old, new) = (backend(echo("o")), backend(echo("n")));
    let engine = engine(&passing(port, &[old]), 1);
    let mut stream = connect(port);
    assert_eq!(hear(&mut stream, 1), "o");
    for round in 0..20 {
        let mut draft = passing(port, &[old, new]);
        pool(&mut draft)["drain"] = json!(300);
        draft["max_clients"] = json!(100 + round);
        engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
        stream.write_all(b"ping").expect("a reader");
        assert_eq!(hear(&mut stream, 4), "ping");
    }
    let mut draft = passing(port, &[new]);
    pool(&mut draft)["drain"] = json!(300);
    let begun = Instant::now();
    engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
    assert_eq!(hear(&mut connect(port), 1), "n");
    assert!(is_reset(&mut stream), "a cut does not look like a goodbye");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn silence_ends_a_session_and_so_does_the_end_of_pylb() {
    let port = free_port();
    let mut draft = passing(port, &[backend(echo("x"))]);
    pool(&mut draft)["timeouts"]["idle"] = json!(200);
    let log = Log::of(&mut draft);
    let engine = engine(&draft, 1);
    let mut silent = connect(port);
    assert_eq!(hear(&mut silent, 1), "x");
    assert!(is_reset(&mut silent));
    assert_eq!(log.lines(1)[0]["reason"], "tunnel idle");
    let mut open = connect(port);
    assert_eq!(hear(&mut open, 1), "x");
    engine.stop();
    assert!(is_reset(&mut open));
    assert_eq!(log.lines(2)[1]["reason"], "stopped");
}

#[test]
fn a_reset_is_passed_on_and_its_session_is_over() {
    let port = free_port();
    let origin = backend(|mut stream| {
        let _ = stream.write_all(b"x");
        // Closing with a byte unread resets.
        let _ = stream.peek(&mut [0]);
    });
    let mut draft = passing(port, &[origin]);
    let log = Log::of(&mut draft);
    let engine = engine(&draft, 1);
    let mut stream = connect(port);
    stream.write_all(b"unread").expect("a reader");
    assert_eq!(hear(&mut stream, 1), "x");
    assert!(is_reset(&mut stream));
    assert_eq!(log.lines(1)[0]["reason"], "backend gone");
    until("the place is free", || in_flight(&engine) == [0]);
}

#[test]
fn a_client_stays_with_its_backend_by_its_address() {
    let port = free_port();
    let origins = [backend(mirror("1")), backend(mirror("2")), backend(mirror("3"))];
    let mut draft = passing(port, &origins);
    pool(&mut draft)["balance"] = json!({"policy": "ip_hash", "key": null});
    let _engine = engine(&draft, 2);
    let first = exchange(port, b"").expect("an answer");
    assert!((0..20).all(|_| exchange(port, b"").expect("an answer") == first));
}

#[test]
fn a_backend_that_only_resets_is_taken_out() {
    let port = free_port();
    let resets = backend(|stream| {
        // Closing with a byte unread resets.
        let _ = stream.peek(&mut [0]);
    });
    let mut draft = passing(port, &[resets, backend(mirror("alive"))]);
    pool(&mut draft)["balance"]["policy"] = json!("failover");
    pool(&mut draft)["passive"]["failures"] = json!(2);
    let engine = engine(&draft, 1);
    for _ in 0..2 {
        assert!(exchange(port, b"hello").is_err());
    }
    until("it is out", || engine.status().pools["products"].backends[0].state == "ejected");
    assert_eq!(exchange(port, b"").expect("an answer"), b"alive");
}

#[test]
fn a_client_may_have_said_all_before_there_is_a_place() {
    let port = free_port();
    let mut draft = passing(port, &[backend(mirror("late "))]);
    pool(&mut draft)["backends"][0]["max_in_flight"] = json!(1);
    let engine = engine(&draft, 1);
    let first = connect(port);
    until("the place is taken", || in_flight(&engine) == [1]);
    let body: Vec<u8> = (0..300_000).map(|_| fastrand::u8(..)).collect();
    thread::scope(|scope| {
        let second = scope.spawn(|| exchange(port, &body));
        until("one waits", || engine.status().pools["products"].queue.waiting == 1);
        // Who resets while it waits is gone from the line.
        let third = connect(port);
        until("two wait", || engine.status().pools["products"].queue.waiting == 2);
        socket2::SockRef::from(&third).set_linger(Some(Duration::ZERO)).expect("a socket");
        drop(third);
        until("one has left", || engine.status().pools["products"].queue.waiting == 1);
        drop(first);
        let all = second.join().expect("no panic").expect("a clean end");
        assert!(all == [b"late ", &body[..]].concat());
    });
}
