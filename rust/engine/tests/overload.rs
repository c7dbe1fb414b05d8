//! A pool with limits under many clients: the limits hold, the line is fair, and whoever gets nothing hears it soon.

mod stage;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stage::worker::{Manner, Origin};
use stage::{Client, draft, engine, free_port, pool, until};

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

fn waiting(engine: &engine::Engine) -> usize {
    engine.status().pools["products"].queue.waiting
}

fn in_flight(engine: &engine::Engine) -> u32 {
    engine.status().pools["products"].backends.iter().map(|backend| backend.in_flight).sum()
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
    until("every place is free", || in_flight(&engine) == 0);
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
        until("eight wait", || waiting(&engine) == 8);
        pool(&mut draft)["backends"][0]["max_in_flight"] = json!(12);
        engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
        for client in clients {
            let (status, took) = client.join().expect("an answer");
            assert_eq!(status, 200);
            assert!(took < Duration::from_millis(2900), "{took:?}: it waited for another request to end");
        }
    });
    assert_eq!(slow[0].most(), 12);
}

#[test]
fn a_client_that_leaves_makes_room_in_the_line() {
    let slow = [Origin::start(Manner { takes: Duration::from_millis(700), status: 200 })];
    let port = free_port();
    let engine = engine(&limited(port, &slow, json!({"size": 8, "timeout": 5000})), 2);
    thread::scope(|scope| {
        let served: Vec<_> = (0..LIMIT).map(|_| scope.spawn(|| Client::new(port).ask("GET", "/", ""))).collect();
        until("the backend is full", || in_flight(&engine) == LIMIT as u32);
        let staying = scope.spawn(|| Client::new(port).ask("POST", "/", "a body that nobody has read yet"));
        until("one waits", || waiting(&engine) == 1);
        let leavers: Vec<_> = (0..7).map(|_| Client::new(port)).collect();
        leavers.into_iter().for_each(|client| client.ask_and_leave("/"));
        until("only one waits", || waiting(&engine) == 1);
        assert_eq!(staying.join().expect("an answer"), 200);
        assert!(served.into_iter().all(|client| client.join().expect("an answer") == 200));
    });
    assert_eq!(slow[0].served(), LIMIT + 1);
}

#[test]
fn who_belongs_to_a_full_backend_waits_a_second_and_moves() {
    let slow = [(); 2].map(|()| Origin::start(Manner { takes: Duration::from_millis(1800), status: 200 }));
    let port = free_port();
    let mut draft = limited(port, &slow, json!({"size": 100, "timeout": 5000}));
    pool(&mut draft)["balance"]["policy"] = json!("round_robin");
    pool(&mut draft)["backends"][0]["max_in_flight"] = json!(1);
    pool(&mut draft)["sticky"] = json!({
        "kind": "key", "header": "x-user", "cookie": null, "query": null, "ttl": 60000, "on_lost": "move"
    });
    let engine = engine(&draft, 2);
    let at = |slot: usize| engine.status().pools["products"].backends[slot].in_flight;
    thread::scope(|scope| {
        let first = scope.spawn(|| Client::new(port).ask_as("x-user: ann"));
        until("ann is at the first", || at(0) == 1);
        let begun = Instant::now();
        let second = scope.spawn(move || (Client::new(port).ask_as("x-user: ann"), begun.elapsed()));
        until("ann waits", || waiting(&engine) == 1);
        until("ann has moved", || at(1) == 1);
        let moved = begun.elapsed();
        assert!(moved >= Duration::from_millis(950) && moved < Duration::from_millis(1500), "{moved:?}");
        assert_eq!((first.join().expect("an answer"), second.join().expect("an answer").0), (200, 200));
    });
}

#[test]
fn who_waits_follows_its_route_to_another_pool() {
    let slow = [Origin::start(Manner { takes: Duration::from_millis(3000), status: 200 })];
    let fast = Origin::start(Manner { takes: Duration::ZERO, status: 200 });
    let port = free_port();
    let mut draft = limited(port, &slow, json!({"size": 100, "timeout": 5000}));
    let engine = engine(&draft, 2);
    thread::scope(|scope| {
        let served: Vec<_> = (0..LIMIT).map(|_| scope.spawn(|| Client::new(port).ask("GET", "/", ""))).collect();
        until("the backend is full", || in_flight(&engine) == LIMIT as u32);
        let begun = Instant::now();
        let waiters: Vec<_> = (0..20).map(|_| scope.spawn(|| Client::new(port).ask("GET", "/", ""))).collect();
        until("twenty wait", || waiting(&engine) == 20);
        let mut other = pool(&mut draft).clone();
        other["backends"][0]["address"] = json!(format!("127.0.0.1:{}", fast.port));
        draft["pools"] = json!({"other": other});
        draft["listeners"]["web"]["routes"][0]["pool"] = json!("other");
        engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
        assert!(waiters.into_iter().all(|client| client.join().expect("an answer") == 200));
        assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
        assert!(served.into_iter().all(|client| client.join().expect("an answer") == 200));
    });
    assert_eq!((slow[0].served(), fast.served()), (LIMIT, 20));
}

#[test]
fn who_waits_at_a_port_that_speaks_something_else_now_holds_nobody_up() {
    let slow = [Origin::start(Manner { takes: Duration::from_millis(700), status: 200 })];
    let port = free_port();
    let mut draft = limited(port, &slow, json!({"size": 1000, "timeout": 5000}));
    let engine = engine(&draft, 1);
    let begun = Instant::now();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..5).map(|_| scope.spawn(|| Client::new(port).ask("GET", "/", ""))).collect();
        until("one waits", || waiting(&engine) == 1);
        let web = &mut draft["listeners"]["web"];
        (web["protocol"], web["pool"], web["routes"]) = (json!("tcp"), json!("products"), json!([]));
        engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
        assert!(clients.into_iter().all(|client| client.join().is_ok_and(|status| status == 200)));
    });
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}
