//! A pool with limits under many clients: the limits hold, the line is fair, and whoever gets nothing hears it soon.

mod stage;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stage::worker::{Manner, Origin};
use stage::{Client, draft, engine, free_port, pool};

const LIMIT: usize = 4;

fn limited(listen: u16, origins: &[Origin], queue: Value) -> Value {
    let ports: Vec<u16> = origins.iter().map(|origin| origin.port).collect();
    let mut draft = draft(listen, &ports);
    let pool = pool(&mut draft);
    pool["queue"] = queue;
    for backend in pool["backends"].as_array_mut().expect("a list") {
        backend["max_in_flight"] = json!(LIMIT);
    }
    draft
}

/// The answers of `clients` that ask for `time` without a pause: status and time taken, by client.
fn crowd(port: u16, clients: usize, time: Duration) -> Vec<Vec<(u16, Duration)>> {
    let answers = Mutex::new(Vec::new());
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = Client::new(port);
                let mut mine = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    let status = client.ask("GET", "/", "");
                    mine.push((status, begun.elapsed()));
                    if status == 503 {
                        thread::sleep(Duration::from_millis(100));
                    }
                }
                answers.lock().unwrap().push(mine);
            });
        }
    });
    answers.into_inner().unwrap()
}

fn by_status(answers: &[Vec<(u16, Duration)>]) -> BTreeMap<u16, (usize, Duration)> {
    let mut all = BTreeMap::new();
    for (status, took) in answers.iter().flatten() {
        let (count, longest): &mut (usize, Duration) = all.entry(*status).or_default();
        (*count, *longest) = (*count + 1, (*longest).max(*took));
    }
    all
}

fn origins() -> [Origin; 2] {
    [(); 2].map(|()| Origin::start(Manner { takes: Duration::from_millis(10), status: 200 }))
}

#[test]
fn everybody_is_served_in_turn() {
    let (origins, port) = (origins(), free_port());
    let engine = engine(&limited(port, &origins, json!({"size": 1000, "timeout": 5000})), 2);
    let answers = crowd(port, 100, Duration::from_secs(3));
    println!("{:?}", by_status(&answers));
    assert!(by_status(&answers).keys().all(|status| *status == 200));
    assert!(origins.iter().all(|origin| origin.most() <= LIMIT));
    let counts = || answers.iter().map(Vec::len);
    let (least, most) = (counts().min().unwrap(), counts().max().unwrap());
    println!("requests per client: {least} to {most}");
    assert!(most <= least + 3, "between {least} and {most} requests per client");
    assert_eq!(engine.status().pools["products"].queue.waiting, 0);
    // A client has its answer a moment before its place is free again.
    let is_quiet = || engine.status().pools["products"].backends.iter().all(|backend| backend.in_flight == 0);
    let soon = Instant::now() + Duration::from_secs(5);
    while !is_quiet() {
        assert!(Instant::now() < soon, "a place was never given back");
        thread::yield_now();
    }
}

#[test]
fn whoever_finds_the_line_full_hears_it_at_once() {
    let (origins, port) = (origins(), free_port());
    let _engine = engine(&limited(port, &origins, json!({"size": 20, "timeout": 5000})), 2);
    let answers = crowd(port, 60, Duration::from_secs(2));
    println!("{:?}", by_status(&answers));
    let all = by_status(&answers);
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [200, 503]);
    let mut refusals: Vec<Duration> =
        answers.iter().flatten().filter(|(status, _)| *status == 503).map(|(_, took)| *took).collect();
    refusals.sort_unstable();
    let late = refusals[refusals.len() * 99 / 100];
    println!("{} refusals, 99 of 100 within {late:?}", refusals.len());
    assert!(late < Duration::from_millis(50), "{late:?}");
    assert!(origins.iter().all(|origin| origin.most() <= LIMIT));
}

#[test]
fn nobody_waits_beyond_the_deadline() {
    let slow = [(); 2].map(|()| Origin::start(Manner { takes: Duration::from_millis(400), status: 200 }));
    let port = free_port();
    let engine = engine(&limited(port, &slow, json!({"size": 1000, "timeout": 500})), 2);
    let answers = crowd(port, 40, Duration::from_secs(2));
    let all = by_status(&answers);
    println!("{all:?}");
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [200, 503]);
    assert!(all[&503].1 < Duration::from_millis(900), "{all:?}");
    assert!(engine.status().pools["products"].queue.late >= all[&503].0 as u64);
}

#[test]
fn a_new_limit_lets_those_in_who_wait() {
    let slow = [Origin::start(Manner { takes: Duration::from_millis(1500), status: 200 })];
    let port = free_port();
    let mut draft = limited(port, &slow, json!({"size": 1000, "timeout": 5000}));
    let engine = engine(&draft, 2);
    let begun = Instant::now();
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..12).map(|_| scope.spawn(|| (Client::new(port).ask("GET", "/", ""), begun.elapsed()))).collect();
        while engine.status().pools["products"].queue.waiting < 8 {
            thread::yield_now();
        }
        pool(&mut draft)["backends"][0]["max_in_flight"] = json!(12);
        engine.apply(draft.to_string().as_bytes()).expect("a plan");
        for client in clients {
            let (status, took) = client.join().expect("an answer");
            assert_eq!(status, 200);
            assert!(took < Duration::from_millis(2900), "{took:?}: it waited for another request to end");
        }
    });
    assert_eq!(slow[0].most(), 12);
}
