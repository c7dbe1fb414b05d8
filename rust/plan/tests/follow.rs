//! One plan after another: what lives on, what is new, what has to be opened and retired.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::sync::Arc;

use plan::{Action, Backend, Bind, Change, Health, Plan, Segment, Tick};
use serde_json::{Value, json};

fn after(previous: Option<&Plan>, patch: &Value) -> Plan {
    plan::compile(&support::draft(patch), previous, 0).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// A patch of the base: these backends, by name and address.
fn backends(checked: bool, list: &[(&str, &str)]) -> Value {
    let list: Vec<Value> = list.iter().map(|(name, address)| support::backend(name, address)).collect();
    json!({"pools": {"products": {"checked": checked, "backends": list}}})
}

fn backend<'p>(plan: &'p Plan, name: &str) -> &'p Backend {
    plan.backend_named("products", name).expect("a backend of this name")
}

const NOW: Tick = Tick(1_000_000);

const A: (&str, &str) = ("a:1", "10.0.0.1:1");
const B: (&str, &str) = ("b:1", "10.0.0.2:1");

#[test]
fn live_state_is_kept_by_name() {
    let old = after(None, &backends(true, &[A, B]));
    assert!(old.pools[0].checked);
    assert_eq!(backend(&old, "a:1").live.health(), Health::Pending);
    backend(&old, "a:1").live.set_health(Health::Down, NOW);

    let new = after(Some(&old), &backends(true, &[("c:1", "10.0.0.3:1"), A]));
    assert!(Arc::ptr_eq(&backend(&old, "a:1").live, &backend(&new, "a:1").live));
    assert_eq!(backend(&new, "a:1").live.health(), Health::Down);
    assert_eq!(backend(&new, "c:1").live.health(), Health::Pending);
    while old.pools[0].pool.budget().withdraw(NOW) {}
    assert!(!new.pools[0].pool.budget().withdraw(NOW), "it is one budget");
}

#[test]
fn an_id_is_never_given_twice() {
    let first = after(None, &backends(false, &[A, B]));
    let second = after(Some(&first), &backends(false, &[A]));
    let third = after(Some(&second), &backends(false, &[A, B]));
    let ids = [backend(&first, "a:1"), backend(&first, "b:1"), backend(&third, "b:1")].map(|one| one.live.id());
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2], "{ids:?}");
    assert_eq!(backend(&third, "a:1").live.id(), ids[0]);
}

#[test]
fn equal_names_in_two_pools_are_two_backends() {
    let mut draft = support::base();
    draft["pools"]["other"] = draft["pools"]["products"].clone();
    let plan =
        plan::compile(&serde_json::to_vec(&draft).unwrap(), None, 0).unwrap_or_else(|errors| panic!("{errors:?}"));
    let [one, two] = [&plan.pools[0], &plan.pools[1]].map(|pool| pool.pool.backends()[0].live.id());
    assert_ne!(one, two);
}

#[test]
fn a_name_at_another_address_is_another_server() {
    let old = after(None, &backends(true, &[A, B]));
    backend(&old, "a:1").live.set_health(Health::Down, NOW);
    let new = after(Some(&old), &backends(true, &[("a:1", "10.0.0.9:1"), B]));
    let moved = backend(&new, "a:1");
    assert_ne!(moved.live.id(), backend(&old, "a:1").live.id());
    assert_eq!(moved.live.health(), Health::Down, "the checker does not say it again");
    let gone: Vec<u64> = Change::between(Some(&old), &new).gone.iter().map(|live| live.id()).collect();
    assert_eq!(gone, [backend(&old, "a:1").live.id()]);

    let unchecked = after(Some(&old), &backends(false, &[("a:1", "10.0.0.9:1"), B]));
    assert_eq!(backend(&unchecked, "a:1").live.health(), Health::Up);
}

#[test]
fn a_name_that_is_reached_in_another_way_is_another_server() {
    let tls = |ca: &str, server_name: &str| {
        let tls = json!({"ca": ca, "certificate": null, "verify": true});
        json!({"pools": {"products": {"tls": tls, "backends": {"0": {"server_name": server_name}}}}})
    };
    let told = |version: Option<&str>| json!({"pools": {"products": {"proxy_protocol": version}}});
    let ways = [told(None), told(Some("v1")), told(Some("v2")), tls("/a", "a"), tls("/b", "a"), tls("/b", "b")];
    for one in &ways {
        let old = after(None, one);
        old.pools[0].pool.backends()[0].live.set_health(Health::Down, NOW);
        for other in &ways {
            let new = after(Some(&old), other);
            let [before, now] = [&old, &new].map(|plan| &plan.pools[0].pool.backends()[0].live);
            assert_eq!(Arc::ptr_eq(before, now), one == other, "{one} {other}");
            assert_eq!(Change::between(Some(&old), &new).gone.is_empty(), one == other, "{one} {other}");
        }
    }
}

#[test]
fn backends_without_a_check_are_up_once_the_plan_is_in_force() {
    let old = after(None, &backends(true, &[A, B]));
    backend(&old, "a:1").live.set_health(Health::Down, NOW);
    let new = after(Some(&old), &backends(false, &[A, B]));
    let change = Change::between(Some(&old), &new);
    assert_eq!(backend(&old, "a:1").live.health(), Health::Down, "compiling changes nothing that is in force");
    change.settle(NOW);
    assert_eq!(backend(&new, "a:1").live.health(), Health::Up);
    assert_eq!(backend(&new, "b:1").live.health(), Health::Up);
}

#[test]
fn a_drain_begins_and_ends_with_the_plan_that_says_so() {
    let old = after(None, &backends(false, &[A, B]));
    let mut patch = backends(false, &[A, B]);
    patch["pools"]["products"]["backends"][0]["draining"] = true.into();
    let drained = after(Some(&old), &patch);
    assert!(!backend(&old, "a:1").live.draining(), "compiling changes nothing that is in force");
    Change::between(Some(&old), &drained).settle(NOW);
    assert!(backend(&old, "a:1").live.draining() && !backend(&old, "b:1").live.draining());
    let new = after(Some(&drained), &backends(false, &[A, B]));
    Change::between(Some(&drained), &new).settle(NOW);
    assert!(!backend(&new, "a:1").live.draining());
}

fn later(millis: u64) -> Tick {
    Tick(NOW.0 + millis * 1_000)
}

#[test]
fn a_drain_that_is_under_way_keeps_its_end() {
    let drained = |previous: Option<&Plan>, millis: u64| {
        let mut patch = backends(false, &[A, B]);
        patch["pools"]["products"]["backends"][0]["draining"] = true.into();
        patch["pools"]["products"]["drain"] = millis.into();
        let plan = after(previous, &patch);
        Change::between(previous, &plan).settle(later(if previous.is_some() { 5_000 } else { 0 }));
        plan
    };
    let first = drained(None, 10_000);
    assert_eq!(backend(&first, "a:1").live.drain_until(), Some(later(10_000)));
    let second = drained(Some(&first), 20_000);
    assert_eq!(backend(&second, "a:1").live.drain_until(), Some(later(10_000)));
    let undrained = after(Some(&second), &backends(false, &[A, B]));
    Change::between(Some(&second), &undrained).settle(NOW);
    assert_eq!(backend(&undrained, "a:1").live.drain_until(), None);
}

#[test]
fn a_backend_that_is_gone_drains_by_the_rules_it_had() {
    let with_drain = |millis: u64, list: &[(&str, &str)]| {
        let mut patch = backends(false, list);
        patch["pools"]["products"]["drain"] = millis.into();
        patch
    };
    let old = after(None, &with_drain(10_000, &[A, B]));
    let new = after(Some(&old), &with_drain(99, &[A]));
    let change = Change::between(Some(&old), &new);
    assert!(!backend(&old, "b:1").live.draining(), "the old plan is still in force");
    change.settle(NOW);
    assert_eq!(backend(&old, "b:1").live.drain_until(), Some(later(10_000)));
    assert!(!backend(&new, "a:1").live.draining());
}

#[test]
fn who_joins_a_pool_in_force_warms_up_once_it_is_up() {
    let checked = after(None, &backends(true, &[A]));
    Change::between(None, &checked).settle(NOW);
    backend(&checked, "a:1").live.set_health(Health::Up, NOW);
    assert_eq!(backend(&checked, "a:1").live.warming_since(), None, "at the start nobody warms up");

    let joined = after(Some(&checked), &backends(true, &[A, B]));
    Change::between(Some(&checked), &joined).settle(later(1));
    assert_eq!(backend(&joined, "b:1").live.warming_since(), None, "no check has seen it yet");
    backend(&joined, "b:1").live.set_health(Health::Up, later(2));
    assert_eq!(backend(&joined, "b:1").live.warming_since(), Some(later(2)));

    let unchecked = after(None, &backends(false, &[A]));
    let joined = after(Some(&unchecked), &backends(false, &[A, B]));
    Change::between(Some(&unchecked), &joined).settle(later(3));
    assert_eq!(backend(&joined, "b:1").live.warming_since(), Some(later(3)));
    assert_eq!(backend(&joined, "a:1").live.warming_since(), None);

    let moved = after(Some(&checked), &backends(true, &[("a:1", "10.0.0.9:1")]));
    Change::between(Some(&checked), &moved).settle(later(4));
    assert_eq!(backend(&moved, "a:1").live.warming_since(), Some(later(4)), "another server, and up already");
}

#[test]
fn a_pool_that_gains_a_check_keeps_its_backends_up_meanwhile() {
    let old = after(None, &backends(false, &[A]));
    let new = after(Some(&old), &backends(true, &[A, B]));
    Change::between(Some(&old), &new).settle(NOW);
    assert_eq!(backend(&new, "a:1").live.health(), Health::Up);
    assert_eq!(backend(&new, "b:1").live.health(), Health::Pending);
}

fn shown(binds: &[Bind]) -> Vec<String> {
    binds.iter().map(ToString::to_string).collect()
}

#[test]
fn binds_are_reconciled() {
    let binds =
        |listeners: &[&str], metrics: &[&str]| json!({"listeners": {"web": {"bind": listeners}}, "metrics": metrics});
    let old = after(None, &binds(&[":80", "unix:/run/a.sock"], &["127.0.0.1:9901"]));
    let start = Change::between(None, &old);
    assert_eq!(shown(&start.listeners.open), [":80", "unix:/run/a.sock"]);
    assert_eq!(shown(&start.metrics.open), ["127.0.0.1:9901"]);
    assert!(start.listeners.retire.is_empty() && start.metrics.retire.is_empty());

    let new = after(Some(&old), &binds(&["[::]:80", "unix:/run/a.sock"], &[]));
    let change = Change::between(Some(&old), &new);
    assert_eq!(shown(&change.listeners.open), ["[::]:80"]);
    assert_eq!(shown(&change.listeners.retire), [":80"]);
    assert_eq!(shown(&change.metrics.retire), ["127.0.0.1:9901"]);
}

#[test]
fn a_bind_that_moves_to_another_listener_stays_open() {
    let old = after(None, &json!({}));
    let mut draft = support::base();
    let listener = draft["listeners"].as_object_mut().unwrap().remove("web").unwrap();
    draft["listeners"]["renamed"] = listener;
    let new = plan::compile(&serde_json::to_vec(&draft).unwrap(), Some(&old), 0)
        .unwrap_or_else(|errors| panic!("{errors:?}"));
    let change = Change::between(Some(&old), &new);
    assert!(change.listeners.open.is_empty() && change.listeners.retire.is_empty());
}

#[test]
fn a_port_of_udp_is_another_than_the_one_of_tcp() {
    let tcp = json!({"listeners": {"web": {"protocol": "tcp", "pool": "products", "routes": []}}});
    let udp = json!({"listeners": {"web": {"protocol": "udp", "pool": "products", "routes": [],
        "udp": {"idle": 1000, "replies": null, "flows": 10}}}});
    let (tcp, udp) = (after(None, &tcp), after(None, &udp));
    let change = Change::between(Some(&tcp), &udp);
    assert_eq!((&change.listeners.open, &change.listeners.retire), (&udp.listeners[0].binds, &tcp.listeners[0].binds));
    assert!(matches!(udp.listeners[0].binds[..], [Bind::Udp { .. }]));
    let change = Change::between(Some(&udp), &udp);
    assert!(change.listeners.open.is_empty() && change.listeners.retire.is_empty(), "its flows live on");
}

#[test]
fn the_order_of_the_file_is_kept() {
    let text = String::from_utf8(support::draft(&json!({}))).unwrap();
    let pool = serde_json::to_string(&support::base()["pools"]["products"]).unwrap();
    let text = text.replacen(r#""products":{"#, &format!(r#""zebra":{pool},"products":{{"#), 1);
    let plan = plan::compile(text.as_bytes(), None, 0).unwrap_or_else(|errors| panic!("{errors:?}"));
    let names: Vec<&str> = plan.pools.iter().map(|pool| &*pool.name).collect();
    assert_eq!(names, ["zebra", "products"]);
    assert!(matches!(plan.listeners[0].routes()[0].action, Action::Pool(1)));
}

#[test]
fn an_error_names_its_place() {
    let errors =
        plan::compile(&support::draft(&json!({"listeners": {"web": {"routes": {"0": {"pool": "x"}}}}})), None, 0);
    let errors = errors.err().expect("an error");
    let key = |key: &str| Segment::Key(key.to_owned());
    assert_eq!(errors[0].path, [key("listeners"), key("web"), key("routes"), Segment::Index(0), key("pool")]);
    let json = serde_json::to_value(&errors[0]).unwrap();
    assert_eq!(json["path"], json!(["listeners", "web", "routes", 0, "pool"]));
}
