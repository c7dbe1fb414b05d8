//! What routes do with their requests before a backend is chosen: limits, splits, redirects, answers.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use plan::{Body, Plan, Progress, Reply, Request, Step, Tick};
use serde_json::{Value, json};
use support::head;

const SECOND: u64 = 1_000_000;

fn after(previous: Option<&Plan>, route: &Value, seed: u64) -> Plan {
    let mut patch = json!({"listeners": {"web": {"routes": {"0": route}}}, "pools": {"canary": {}, "third": {}}});
    // A mapping inside a patch adds to what is there, but a split is a whole.
    let split = patch["listeners"]["web"]["routes"]["0"]["split"].take();
    let mut draft = support::base();
    let pool = draft["pools"]["products"].clone();
    support::merge(&mut draft, &patch);
    for name in ["canary", "third"] {
        draft["pools"][name] = pool.clone();
    }
    draft["listeners"]["web"]["routes"][0]["split"] = split;
    let draft = serde_json::to_vec(&draft).unwrap();
    plan::compile(&draft, previous, seed).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn compiled(route: &Value) -> Plan {
    after(None, route, 7)
}

/// A request, and when and from whom it comes.
struct Asked {
    head: wire::Head,
    client: IpAddr,
    now: Tick,
    dice: u64,
}

fn asked(fields: &str) -> Asked {
    let head = head(&format!("GET /x//y?z HTTP/1.1\r\nHost: Shop.example:8080\r\n{fields}\r\n"));
    Asked { head, client: IpAddr::from([10, 0, 0, 1]), now: Tick(SECOND), dice: 0 }
}

impl Asked {
    fn decide<'p>(&self, plan: &'p Plan, progress: &mut Progress) -> Step<'p> {
        let Asked { head, client, now, dice } = self;
        let wall = Duration::from_secs(1_800_000_000);
        let step =
            plan.decide(progress, &Request { head, client: *client, secure: false, now: *now, wall, dice: *dice });
        if let Step::Send { pool, slot } = step {
            plan.pools[pool as usize].pool.release(slot);
        }
        step
    }

    /// The pool that it gets to.
    fn pool<'p>(&self, plan: &'p Plan) -> &'p str {
        match self.decide(plan, &mut Progress::new(0)) {
            Step::Send { pool, .. } => &plan.pools[pool as usize].name,
            step => panic!("{step:?}"),
        }
    }

    fn reply<'p>(&self, plan: &'p Plan) -> Reply<'p> {
        match self.decide(plan, &mut Progress::new(0)) {
            Step::Reply(reply) => *reply,
            step => panic!("{step:?}"),
        }
    }
}

fn split(shares: &Value, by: &Value) -> Value {
    json!({"pool": null, "split": shares, "split_by": by})
}

/// How many of 10,000 requests get to each pool.
fn shares(plan: &Plan, request: impl Fn(u64) -> Asked) -> HashMap<&str, u32> {
    let mut counts = HashMap::new();
    (0..10_000).for_each(|number| *counts.entry(request(number).pool(plan)).or_default() += 1);
    counts
}

#[test]
fn a_split_keeps_its_shares() {
    let plan = compiled(&split(&json!({"canary": 5, "products": 90, "third": 0}), &Value::Null));
    let counts = shares(&plan, |number| Asked { dice: number.wrapping_mul(0x9e37_79b9_7f4a_7c15), ..asked("") });
    let canary = counts["canary"];
    assert!((460..600).contains(&canary) && counts["products"] == 10_000 - canary, "{counts:?}");
}

#[test]
fn a_stable_split_goes_by_the_key_alone() {
    let plan = compiled(&split(&json!({"canary": 20, "products": 80}), &json!({"cookie": "sid"})));
    let with = |number: u64, dice: u64| Asked { dice, ..asked(&format!("Cookie: sid=s{number}\r\n")) };
    let counts = shares(&plan, |number| with(number, number));
    assert!((1_850..2_150).contains(&counts["canary"]), "{counts:?}");
    let again = after(None, &split(&json!({"canary": 40, "products": 60}), &json!({"cookie": "sid"})), 7);
    for number in 0..2_000 {
        let pool = with(number, 1).pool(&plan);
        assert!((2..5).all(|dice| with(number, dice).pool(&plan) == pool), "s{number}");
        assert!(pool == "products" || with(number, 1).pool(&again) == pool, "a share that grows keeps what it had");
    }
    let without: Vec<&str> =
        (0..64u64).map(|dice| Asked { dice: dice << 40, ..asked("Cookie: sid=\r\n") }.pool(&plan)).collect();
    assert!(without.contains(&"canary") && without.contains(&"products"), "without a key it is chance");
}

#[test]
fn a_choice_of_pool_is_kept_for_all_tries() {
    let plan = compiled(&split(&json!({"canary": 1, "products": 1}), &Value::Null));
    for start in 0..32u64 {
        let mut progress = Progress::new(0);
        let pools: Vec<u32> = (0..4)
            .map(|retry| match (Asked { dice: start * 4 + retry, ..asked("") }).decide(&plan, &mut progress) {
                Step::Send { pool, .. } => pool,
                step => panic!("{step:?}"),
            })
            .collect();
        assert!(pools.iter().all(|pool| Some(*pool) == progress.pool), "{pools:?}");
    }
}

fn limited(key: &Value) -> Value {
    json!({"rate_limit": {"rate": 2.0, "burst": 3, "key": key}})
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let plan = compiled(&limited(&json!("client")));
    let mut progress = Progress::new(0);
    for remaining in [2, 1, 0] {
        progress = Progress::new(0);
        assert!(matches!(asked("").decide(&plan, &mut progress), Step::Send { .. }));
        assert_eq!(progress.rate.map(|rate| (rate.limit, rate.window, rate.remaining)), Some((3, 2, remaining)));
    }
    assert!(matches!(asked("").decide(&plan, &mut progress), Step::Send { .. }), "a retry is no new request");
    let Reply { status, error, retry_after, rate, .. } = asked("").reply(&plan);
    assert_eq!((status, error, retry_after), (429, None, Some(1)));
    assert_eq!(rate.map(|rate| (rate.remaining, rate.reset)), Some((0, 2)));
    let other = Asked { client: IpAddr::from([10, 0, 0, 2]), ..asked("") };
    assert_eq!(other.pool(&plan), "products", "everybody has a bucket of their own");
    let later = Asked { now: Tick(SECOND + SECOND / 2), ..asked("") };
    assert_eq!(later.pool(&plan), "products");
    assert_eq!(later.reply(&plan).status, 429);
}

#[test]
fn a_request_that_moves_to_another_plan_has_passed_its_limit() {
    let plan = compiled(&json!({"rate_limit": {"rate": 0.01, "burst": 1, "key": "client"}}));
    let mut progress = Progress::new(0);
    assert!(matches!(asked("").decide(&plan, &mut progress), Step::Send { .. }));
    progress.restart(0);
    assert!(matches!(asked("").decide(&plan, &mut progress), Step::Send { .. }));
    assert_eq!(progress.rate.map(|rate| rate.remaining), Some(0));
    assert_eq!(asked("").reply(&plan).status, 429);
}

#[test]
fn a_key_that_is_missing_counts_by_address() {
    let plan = compiled(&limited(&json!({"header": "x-api-key"})));
    for _ in 0..3 {
        assert_eq!(asked("x-api-key: one\r\n").pool(&plan), "products");
        assert_eq!(asked("").pool(&plan), "products");
    }
    assert_eq!(asked("x-api-key: one\r\n").reply(&plan).status, 429);
    assert_eq!(asked("x-api-key:\r\n").reply(&plan).status, 429);
    assert_eq!(asked("x-api-key: two\r\n").pool(&plan), "products");
}

#[test]
fn a_reload_does_not_fill_buckets() {
    let plan = compiled(&limited(&json!("client")));
    for _ in 0..3 {
        assert_eq!(asked("").pool(&plan), "products");
    }
    let same = after(Some(&plan), &limited(&json!("client")), 7);
    assert_eq!(asked("").reply(&same).status, 429);
    let other = after(Some(&same), &json!({"rate_limit": {"rate": 2.0, "burst": 4, "key": "client"}}), 7);
    assert_eq!(asked("").pool(&other), "products", "another limit starts anew");
}

#[test]
fn redirects_and_answers_need_no_backend() {
    let mut route = json!({"pool": null, "redirect": {"to": "https://{host}{uri}", "status": 308}});
    let reply = |route: &Value| {
        let plan = compiled(route);
        let Reply { status, location, retry_after, error, body, rate } = asked("").reply(&plan);
        assert_eq!((retry_after, error), (None, None));
        let page = match body {
            Body::Line(_) => None,
            Body::Page(page) => Some((page.content_type.to_string(), String::from_utf8_lossy(&page.body).into_owned())),
        };
        (status, location.map(|to| String::from_utf8(to).unwrap()), page, rate.map(|rate| rate.remaining))
    };
    assert_eq!(reply(&route), (308, Some("https://shop.example/x//y?z".into()), None, None));
    support::merge(&mut route, &limited(&json!("client")));
    assert_eq!(reply(&route).3, Some(2), "a limit counts here too");
    let respond = json!({"pool": null, "respond": {"status": 200, "body": "pong", "content_type": "text/plain"}});
    assert_eq!(reply(&respond), (200, None, Some(("text/plain".into(), "pong".into())), None));
}

#[test]
fn a_redirect_without_the_host_it_needs_goes_nowhere() {
    let plan = compiled(&json!({"pool": null, "redirect": {"to": "https://{host}/", "status": 308}}));
    let request = Asked { head: head("GET / HTTP/1.0\r\n\r\n"), ..asked("") };
    assert_eq!(request.reply(&plan).status, 400);
}
