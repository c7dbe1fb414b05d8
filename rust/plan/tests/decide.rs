//! The decision about a request, as the engine and `pylb explain` drive it: heads in, steps out.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::net::IpAddr;
use std::time::Duration;

use plan::{Health, Plan, Progress, Reply, Request, Step, Tick};
use serde_json::{Value, json};
use support::head;
use wire::Head;

const NOW: Tick = Tick(1);

fn compiled(patch: &Value, seed: u64) -> Plan {
    plan::compile(&support::draft(patch), None, seed).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn get(path: &str, fields: &str) -> Head {
    head(&format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"))
}

fn client(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The next step for a request.
fn decide<'p>(plan: &'p Plan, progress: &mut Progress, head: &Head, from: &str, dice: u64) -> Step<'p> {
    let wall = Duration::from_secs(1_800_000_000);
    plan.decide(progress, &Request { head, client: client(from), secure: false, now: NOW, wall, dice })
}

/// The answer that a step is.
fn reply(step: Step<'_>) -> Reply<'_> {
    match step {
        Step::Reply(reply) => *reply,
        step => panic!("{step:?}"),
    }
}

/// The slot of a first step; the place on the backend is given back.
fn slot(plan: &Plan, head: &Head, from: &str, dice: u64) -> u32 {
    match decide(plan, &mut Progress::new(0), head, from, dice) {
        Step::Send { pool, slot } => {
            plan.pools[pool as usize].pool.release(slot);
            slot
        }
        step => panic!("{step:?}"),
    }
}

fn backends(count: usize) -> Value {
    let backend = |number| support::backend(&format!("b{number}:1"), &format!("10.0.0.{number}:1"));
    (1..=count).map(backend).collect()
}

fn hashing(key: &Value) -> Value {
    let policy = if key.is_null() { "ip_hash" } else { "hash" };
    json!({"pools": {"products": {"balance": {"policy": policy, "key": key}, "backends": backends(16)}}})
}

#[test]
fn each_step_goes_elsewhere_while_there_is_an_elsewhere() {
    let plan =
        compiled(&json!({"pools": {"products": {"balance": {"policy": "failover"}, "backends": backends(2)}}}), 0);
    let mut progress = Progress::new(0);
    let mut step = || decide(&plan, &mut progress, &get("/", ""), "10.1.1.1", 0);
    assert!(matches!(step(), Step::Send { pool: 0, slot: 0 }));
    assert!(matches!(step(), Step::Send { pool: 0, slot: 1 }));
    assert!(matches!(step(), Step::Send { .. }), "with nobody else left, one that failed is better than none");
    assert_eq!(progress.route, Some(0));
    assert_eq!(progress.tried.len(), 3);
    assert_eq!(progress.listener(), 0);
}

#[test]
fn a_place_is_held_until_it_is_given_back() {
    let plan = compiled(&json!({}), 0);
    let live = &plan.pools[0].pool.backends()[0].live;
    decide(&plan, &mut Progress::new(0), &get("/", ""), "10.1.1.1", 0);
    assert_eq!(live.in_flight(), 1);
    plan.pools[0].pool.release(0);
    assert_eq!(live.in_flight(), 0);
}

#[test]
fn what_no_route_takes_is_not_found() {
    let plan = compiled(&json!({"listeners": {"web": {"routes": {"0": {"match": {"path": "/api/"}}}}}}), 0);
    let mut progress = Progress::new(0);
    let reply = reply(decide(&plan, &mut progress, &get("/", ""), "10.1.1.1", 0));
    assert_eq!(reply, Reply::NO_ROUTE);
    assert_eq!(progress.route, None);
}

#[test]
fn without_a_backend_the_client_may_come_again() {
    let plan = compiled(&json!({"pools": {"products": {"checked": true}}}), 0);
    plan.pools[0].pool.backends()[0].live.set_health(Health::Down, Tick(1));
    let mut progress = Progress::new(0);
    let reply = reply(decide(&plan, &mut progress, &get("/", ""), "10.1.1.1", 0));
    assert_eq!(reply, Reply::NOBODY);
    assert_eq!(progress.route, Some(0), "logs and metrics name the route");
}

#[test]
fn routes_see_the_normalised_target() {
    let routes = json!({"0": {"match": {"host": "SHOP.example", "path": "/admin/"}}, "1": {"match": {"host": null, "path": null}}});
    let plan = compiled(&json!({"listeners": {"web": {"routes": routes}}}), 0);
    for target in ["/admin", "/admin/x", "/x/../admin", "/%61dmin/", "//admin//x", "/./admin"] {
        let mut progress = Progress::new(0);
        decide(&plan, &mut progress, &get(target, ""), "10.1.1.1", 0);
        assert_eq!(progress.route, Some(0), "{target}");
    }
    let mut progress = Progress::new(0);
    decide(&plan, &mut progress, &head("GET /admin/ HTTP/1.1\r\nHost: Shop.Example.:8080\r\n\r\n"), "10.1.1.1", 0);
    assert_eq!(progress.route, Some(0));
    let mut progress = Progress::new(0);
    decide(&plan, &mut progress, &head("OPTIONS * HTTP/1.1\r\nHost: shop.example\r\n\r\n"), "10.1.1.1", 0);
    assert_eq!(progress.route, Some(1));
}

#[test]
fn requests_in_clear_are_sent_to_https_before_any_route_is_asked() {
    for (port, location) in [(443, "https://shop.example/a?b=c"), (8443, "https://shop.example:8443/a?b=c")] {
        let plan = compiled(&json!({"listeners": {"web": {"redirect_https": port}}}), 0);
        let head = get("/a?b=c", "");
        let mut progress = Progress::new(0);
        let reply = reply(decide(&plan, &mut progress, &head, "10.1.1.1", 0));
        assert_eq!(reply.status, 308);
        assert_eq!(reply.location.as_deref(), Some(location.as_bytes()));
        assert_eq!(progress.route, None);
        let wall = Duration::from_secs(1_800_000_000);
        let request = Request { head: &head, client: client("10.1.1.1"), secure: true, now: NOW, wall, dice: 0 };
        assert!(matches!(plan.decide(&mut Progress::new(0), &request), Step::Send { .. }), "it came over TLS");
    }
}

#[test]
fn without_a_host_there_is_no_url_to_send_anybody_to() {
    let plan = compiled(&json!({"listeners": {"web": {"redirect_https": 443, "routes": []}}}), 0);
    let head = head("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(reply(decide(&plan, &mut Progress::new(0), &head, "10.1.1.1", 0)).status, 400);
}

#[test]
fn a_listener_without_requests_has_no_route_for_one() {
    let plan = compiled(&json!({"listeners": {"web": {"protocol": "tcp", "pool": "products", "routes": []}}}), 0);
    let reply = reply(decide(&plan, &mut Progress::new(0), &get("/", ""), "10.1.1.1", 0));
    assert_eq!(reply, Reply::NO_ROUTE, "its door led to HTTP when the request came");
}

/// Of many different keys some land elsewhere, and dice change nothing: the key decides.
fn check_key_decides(plan: &Plan, request: impl Fn(usize) -> (Head, String)) {
    let mut slots = Vec::new();
    for number in 0..64 {
        let (head, from) = request(number);
        let chosen = slot(plan, &head, &from, 1);
        assert!((2..6).all(|dice| slot(plan, &head, &from, dice) == chosen), "key {number}");
        slots.push(chosen);
    }
    slots.sort_unstable();
    slots.dedup();
    assert!(slots.len() > 8, "64 keys over 16 backends reached only {slots:?}");
}

#[test]
fn the_key_decides() {
    let from = || "10.1.1.1".to_owned();
    let by = |key: Value| compiled(&hashing(&key), 7);
    check_key_decides(&by(Value::Null), |number| (get("/", ""), format!("10.1.1.{number}")));
    check_key_decides(&by(json!({"header": "X-User"})), |number| (get("/", &format!("x-uSer: u{number}\r\n")), from()));
    check_key_decides(&by(json!({"cookie": "sid"})), |number| {
        (get("/", &format!("Cookie: a=b; sid=u{number}\r\n")), from())
    });
    check_key_decides(&by(json!({"query": "user"})), |number| (get(&format!("/x?a=b&user=u{number}"), ""), from()));
    check_key_decides(&by(json!({"path": true})), |number| (get(&format!("/u{number}?x={number}"), ""), from()));
}

#[test]
fn a_request_without_the_key_is_spread() {
    for (key, head) in [
        (json!({"header": "x-user"}), get("/", "")),
        (json!({"header": "x-user"}), get("/", "x-user:\r\n")),
        (json!({"cookie": "sid"}), get("/", "Cookie: other=1\r\n")),
        (json!({"query": "user"}), get("/?user=", "")),
    ] {
        let plan = compiled(&hashing(&key), 7);
        let scattered = |dice: u64| slot(&plan, &head, "10.1.1.1", dice.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut slots: Vec<u32> = (1..64).map(scattered).collect();
        slots.sort_unstable();
        slots.dedup();
        assert!(slots.len() > 8, "{key} reached only {slots:?}");
    }
}

#[test]
fn a_client_is_its_subscriber_and_stays_over_processes() {
    let [one, two] = [7, 7].map(|seed| compiled(&hashing(&Value::Null), seed));
    for (from, also) in [("10.1.1.1", "::ffff:10.1.1.1"), ("2001:db8::1", "2001:db8::ffff:2"), ("10.1.1.9", "10.1.1.9")]
    {
        assert_eq!(slot(&one, &get("/", ""), from, 1), slot(&two, &get("/", ""), also, 2), "{from}");
    }
}
