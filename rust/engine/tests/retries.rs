//! What is asked of backends twice, and how often: the origins count.

mod stage;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stage::worker::{Manner, Origin};
use stage::{Client, draft, engine, free_port, pool};

fn origin(status: u16) -> Origin {
    Origin::start(Manner { takes: Duration::ZERO, status })
}

fn site(listen: u16, origins: &[&Origin], retries: Value) -> Value {
    let ports: Vec<u16> = origins.iter().map(|origin| origin.port).collect();
    let mut draft = draft(listen, &ports);
    let pool = pool(&mut draft);
    pool["balance"]["policy"] = json!("round_robin");
    pool["passive"] = Value::Null;
    for (name, value) in retries.as_object().expect("a mapping") {
        pool["retries"][name] = value.clone();
    }
    draft
}

#[test]
fn a_status_is_tried_elsewhere_with_its_body() {
    let (bad, good, port) = (origin(503), origin(200), free_port());
    let _engine = engine(&site(port, &[&bad, &good], json!({"on": ["503"], "budget": 100})), 1);
    let mut client = Client::new(port);
    for _ in 0..10 {
        assert_eq!(client.ask("GET", "/", ""), 200);
        assert_eq!(client.ask("PUT", "/", "some body"), 200);
    }
    assert_eq!(good.served(), 20);
    let before = good.served();
    let answers: Vec<u16> = (0..4).map(|_| client.ask("POST", "/", "pay 100")).collect();
    assert!(answers.contains(&503) && answers.contains(&200), "never for a POST: {answers:?}");
    assert_eq!(good.served() - before, 2);
}

#[test]
fn the_last_answer_is_passed_on() {
    let (bad, port) = (origin(503), free_port());
    let _engine = engine(&site(port, &[&bad], json!({"on": ["503"], "tries": 3})), 1);
    assert_eq!(Client::new(port).ask("GET", "/", ""), 503);
    assert_eq!(bad.served(), 3);
}

#[test]
fn retries_of_a_pool_that_fails_whole_stay_within_the_budget() {
    let (bad, port) = ([origin(503), origin(503), origin(503)], free_port());
    let [one, two, three] = &bad;
    let _engine = engine(&site(port, &[one, two, three], json!({"on": ["503"]})), 2);
    let begun = Instant::now();
    let time = Duration::from_secs(12);
    let asked: usize = thread::scope(|scope| {
        let client = || {
            let mut client = Client::new(port);
            let mut asked = 0;
            while begun.elapsed() < time {
                assert_eq!(client.ask("GET", "/", ""), 503);
                asked += 1;
                thread::sleep(Duration::from_millis(5));
            }
            asked
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    });
    let served: usize = bad.iter().map(Origin::served).sum();
    let allowed = asked * 12 / 10 + 10 * time.as_secs() as usize;
    println!("{asked} requests, {served} at the origins, {allowed} allowed");
    assert!(served <= allowed, "{asked} requests, {served} at the origins");
    assert!(served > asked + 100, "the budget is used");
}

#[test]
fn a_silent_backend_is_left_after_its_try_and_all_tries_share_one_time() {
    let (silent, good, port) = (origin(0), origin(200), free_port());
    let retries = json!({"on": ["timeout"], "per_try": 200});
    let _engine = engine(&site(port, &[&silent, &good], retries.clone()), 1);
    let begun = Instant::now();
    let mut client = Client::new(port);
    assert_eq!([client.ask("GET", "/", ""), client.ask("GET", "/", "")], [200, 200]);
    assert!(begun.elapsed() >= Duration::from_millis(200), "one of them met the silent one");

    let (silent, port) = ([origin(0), origin(0), origin(0)], free_port());
    let [one, two, three] = &silent;
    let mut draft = site(port, &[one, two, three], retries);
    draft["listeners"]["web"]["routes"][0]["timeouts"]["response_head"] = json!(500);
    let _engine = engine(&draft, 1);
    let begun = Instant::now();
    assert_eq!(Client::new(port).ask("GET", "/", ""), 504);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(450) && took < Duration::from_millis(900), "{took:?}");
}

/// Who never answers is put out soon, and nobody else suffers.
#[test]
fn one_of_four_that_never_answers() {
    let (silent, port) = (origin(0), free_port());
    let good = [(); 3].map(|()| Origin::start(Manner { takes: Duration::from_millis(2), status: 200 }));
    let [one, two, three] = &good;
    let mut draft = site(port, &[one, &silent, two, three], json!({}));
    pool(&mut draft)["passive"] = json!({"failures": 5, "eject": 10_000, "max_ejected": 50});
    draft["listeners"]["web"]["routes"][0]["timeouts"]["response_head"] = json!(500);
    let engine = engine(&draft, 2);
    let begun = Instant::now();
    let answers: Vec<(u16, Duration, Duration)> = thread::scope(|scope| {
        let client = || {
            let mut client = Client::new(port);
            let mut mine = Vec::new();
            while begun.elapsed() < Duration::from_secs(6) {
                let asked = begun.elapsed();
                let status = client.ask("GET", "/", "");
                mine.push((status, asked, begun.elapsed() - asked));
                thread::sleep(Duration::from_millis(20));
            }
            mine
        };
        let clients: Vec<_> = (0..64).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let late: Vec<_> = answers.iter().filter(|(status, ..)| *status == 504).collect();
    let (shortest, longest) = (late.iter().map(|a| a.2).min().unwrap(), late.iter().map(|a| a.2).max().unwrap());
    let first = late.iter().map(|a| a.1 + a.2).min().unwrap();
    let last = late.iter().map(|a| a.1).max().unwrap();
    let p99 = |wanted: &dyn Fn(Duration) -> bool| {
        let fine = answers.iter().filter(|(status, asked, _)| *status == 200 && wanted(*asked));
        let mut times: Vec<Duration> = fine.map(|answer| answer.2).collect();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    };
    let ejected = engine.status().pools["products"].backends[1].ejected_for.is_some();
    println!(
        "{} answers, {} times 504 after {shortest:?} to {longest:?}; first 504 at {first:?}, last request to it {last:?}; \
         p99 of the others {:?} before, {:?} after",
        answers.len(),
        late.len(),
        p99(&|asked| asked < first),
        p99(&|asked| asked > last),
    );
    assert!(ejected);
    assert!(
        shortest >= Duration::from_millis(450) && longest <= Duration::from_millis(620),
        "{shortest:?} {longest:?}"
    );
    assert!(last < first + Duration::from_secs(5));
    assert!(answers.iter().all(|(status, ..)| matches!(status, 200 | 504)));
}
