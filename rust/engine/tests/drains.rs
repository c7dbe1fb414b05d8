//! Backends that are emptied: what is there ends in its own time, and what has not ended then is cut and counted.

mod stage;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stage::worker::{Manner, Origin};
use stage::{Client, draft, engine, free_port, pool, until};

fn site(listen: u16, origins: &[&Origin], drain_ms: u64) -> Value {
    let ports: Vec<u16> = origins.iter().map(|origin| origin.port).collect();
    let mut draft = draft(listen, &ports);
    pool(&mut draft)["drain"] = json!(drain_ms);
    draft
}

fn drained(engine: &engine::Engine) -> Option<u64> {
    engine.facts().into_iter().find_map(|fact| match fact {
        engine::Fact::BackendDrained { cut, .. } => Some(cut),
        _ => None,
    })
}

/// A request that is on its way to the only backend, and what comes of it.
fn with_one_request<T>(
    method: &'static str,
    port: u16,
    engine: &engine::Engine,
    what: impl FnOnce() -> T,
) -> (u16, Duration, T) {
    thread::scope(|scope| {
        let begun = Instant::now();
        let client = scope.spawn(move || (Client::new(port).ask(method, "/", ""), begun.elapsed()));
        until("the request is there", || {
            engine.status().pools["products"].backends.iter().any(|backend| backend.in_flight == 1)
        });
        let said = what();
        let (status, took) = client.join().expect("an answer");
        (status, took, said)
    })
}

#[test]
fn a_request_ends_before_its_drain_does() {
    let (slow, other, port) = (origin(400), origin(0), free_port());
    let mut draft = site(port, &[&slow], 5_000);
    let engine = engine(&draft, 1);
    let (status, _, ()) = with_one_request("GET", port, &engine, || {
        draft = site(port, &[&other], 5_000);
        engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
        assert_eq!(Client::new(port).ask("GET", "/", ""), 200);
    });
    assert_eq!(status, 200);
    let told = std::cell::Cell::new(None);
    until("the drain is told", || {
        told.set(told.get().or(drained(&engine)));
        told.get().is_some()
    });
    assert_eq!((told.get(), other.served()), (Some(0), 1));
}

#[test]
fn what_is_left_after_the_drain_is_cut_and_counted() {
    for (operator, method, answer) in [(true, "POST", 503), (false, "POST", 503), (true, "GET", 200)] {
        let (stuck, other, port) = (origin(30_000), origin(0), free_port());
        let mut draft = site(port, &[&stuck, &other], 300);
        pool(&mut draft)["balance"]["policy"] = json!("failover");
        let engine = engine(&draft, 1);
        let (status, took, ()) = with_one_request(method, port, &engine, || {
            let backends = pool(&mut draft)["backends"].as_array_mut().expect("a list");
            if operator {
                backends[0]["draining"] = json!(true);
            } else {
                backends.remove(0);
            }
            engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
            assert_eq!(Client::new(port).ask("GET", "/", ""), 200, "others go elsewhere");
        });
        assert_eq!(status, answer, "what may be repeated is, elsewhere");
        assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(1_500), "{took:?}");
        let told = std::cell::Cell::new(None);
        until("the cut is told", || {
            told.set(told.get().or(drained(&engine)));
            told.get().is_some()
        });
        assert_eq!(told.get(), Some(1));
        if operator {
            assert_eq!(engine.status().pools["products"].backends[0].cut, 1);
        }
    }
}

fn origin(takes_ms: u64) -> Origin {
    Origin::start(Manner { takes: Duration::from_millis(takes_ms), status: 200 })
}
