//! Clients that stay: heads in, backends out, over plans that change.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::net::IpAddr;
use std::time::Duration;

use balance::sticky::Token;
use plan::{Change, Health, Pin, Plan, Progress, Request, Step, Tick, Until};
use serde_json::{Value, json};
use wire::{Head, Pages, Parsed, Rules};

const NOW: Tick = Tick(1_000_000);
const WALL: Duration = Duration::from_secs(1_800_000_000);

fn after(previous: Option<&Plan>, names: &[&str], patch: &Value) -> Plan {
    let number = |name: &str| u32::from(name.as_bytes()[0] - b'a') + 1;
    let backend = |name: &&str| support::backend(name, &format!("10.0.0.{}:1", number(name)));
    let list: Vec<Value> = names.iter().map(backend).collect();
    let mut draft = json!({"pools": {"products": {"backends": list}}});
    support::merge(&mut draft["pools"]["products"], patch);
    let plan = plan::compile(&support::draft(&draft), previous, 5).unwrap_or_else(|errors| panic!("{errors:?}"));
    Change::between(previous, &plan).settle(NOW);
    plan
}

/// What Python makes of a key and a name, as far as it matters here.
fn id(key: u8, name: &str) -> String {
    format!("{key:02x}00{:04x}", name.as_bytes()[0])
}

fn cookie(keys: &[u8], names: &[&str]) -> Value {
    let ids = |key: &u8| json!({"number": key, "ids": names.iter().map(|name| id(*key, name)).collect::<Vec<_>>()});
    let ids: Vec<Value> = keys.iter().map(ids).collect();
    json!({"sticky": {"kind": "cookie", "name": "pylb", "ttl": 3_600_000, "on_lost": "move", "path": "/",
        "secure": "auto", "ids": ids}})
}

fn with_cookie(previous: Option<&Plan>, keys: &[u8], names: &[&str]) -> Plan {
    after(previous, names, &cookie(keys, names))
}

fn keyed(on_lost: &str) -> Value {
    json!({"sticky": {"kind": "key", "header": "x-session", "cookie": null, "query": null, "ttl": 60_000,
        "on_lost": on_lost}})
}

fn learned() -> Value {
    json!({"sticky": {"kind": "learn", "response": {"header": "mcp-session-id"},
        "request": {"header": "mcp-session-id"}, "ttl": 60_000, "on_lost": "move"}})
}

/// A client: what it carries, and whence.
#[derive(Clone)]
struct Client {
    fields: String,
    from: IpAddr,
    dice: u64,
}

fn carrying(fields: &str) -> Client {
    Client { fields: fields.to_owned(), from: IpAddr::from([192, 0, 2, 1]), dice: 0 }
}

fn with_token(token: Token) -> Client {
    carrying(&format!("Cookie: pylb={}\r\n", String::from_utf8_lossy(&token.write())))
}

impl Client {
    fn head(&self) -> Head {
        let text = format!("GET / HTTP/1.1\r\nHost: shop.example\r\n{}\r\n", self.fields);
        match wire::parse_request(text.as_bytes(), &mut 0, &Rules::default(), &mut Pages::default()) {
            Parsed::Done { head, .. } => head,
            _ => panic!("not a request: {text}"),
        }
    }

    fn step<'p>(&self, plan: &'p Plan, progress: &mut Progress, now: Tick, wall: Duration) -> Step<'p> {
        let request = Request { head: &self.head(), client: self.from, secure: false, now, wall, dice: self.dice };
        plan.decide(progress, &request)
    }

    /// Where it gets, which is given back, and how it is pinned.
    fn visit_at(&self, plan: &Plan, now: Tick, wall: Duration) -> (String, Pin) {
        let mut progress = Progress::new(0);
        match self.step(plan, &mut progress, now, wall) {
            Step::Send { pool, slot } => {
                let pool = &plan.pools[pool as usize].pool;
                pool.release(slot);
                (pool.backends()[slot as usize].name.to_string(), progress.pin)
            }
            step => panic!("{step:?}"),
        }
    }

    fn visit(&self, plan: &Plan) -> (String, Pin) {
        self.visit_at(plan, NOW, WALL)
    }
}

fn home(name: &str, pin: Pin) -> (String, Pin) {
    (name.to_owned(), pin)
}

fn sticky(plan: &Plan) -> &plan::Sticky {
    plan.pools[0].sticky.as_deref().expect("a pool with sessions")
}

/// The token of a client that is at this backend.
fn token(plan: &Plan, name: &str) -> Token {
    let slot = plan.pools[0].pool.backends().iter().position(|backend| &*backend.name == name);
    sticky(plan).token(slot.expect("a backend") as u32, WALL).expect("a pool with a cookie")
}

fn live<'p>(plan: &'p Plan, name: &str) -> &'p plan::Live {
    &plan.backend_named("products", name).expect("a backend").live
}

const FIVE: [&str; 5] = ["a", "b", "c", "d", "e"];

#[test]
fn sessions_stay_and_only_those_of_a_removed_backend_move() {
    let plan = with_cookie(None, &[7], &FIVE);
    let issued: Vec<Client> = (0..10_000)
        .map(|dice| {
            let (name, pin) = Client { dice, ..carrying("") }.visit(&plan);
            assert_eq!(pin, Pin::Issue);
            Client { dice, ..with_token(token(&plan, &name)) }
        })
        .collect();
    let homes: Vec<String> = issued.iter().map(|client| client.visit(&plan).0).collect();
    assert!(issued.iter().zip(&homes).all(|(client, home)| client.visit(&plan) == (home.clone(), Pin::Honoured)));

    let less = with_cookie(Some(&plan), &[7], &["a", "b", "d", "e"]);
    let mut moved = 0;
    for (client, home) in issued.iter().zip(&homes) {
        let (name, pin) = client.visit(&less);
        assert_eq!(pin, if home == "c" { Pin::Issue } else { Pin::Honoured });
        assert!(home == "c" || *home == name);
        moved += usize::from(home == "c");
    }
    assert!((1_800..2_200).contains(&moved), "{moved}");
    let again = with_cookie(Some(&less), &[7], &FIVE);
    assert!(issued.iter().zip(&homes).all(|(client, home)| client.visit(&again) == (home.clone(), Pin::Honoured)));
}

#[test]
fn forged_foreign_and_broken_cookies_are_none() {
    let plan = with_cookie(None, &[7], &FIVE);
    let mut junk: Vec<String> = vec!["127.0.0.1:22".into(), String::new(), "x".repeat(4096), "AAAA".into()];
    junk.push(String::from_utf8_lossy(&Token { number: 8, ..token(&plan, "a") }.write()).into());
    junk.push(String::from_utf8_lossy(&Token { id: 99, ..token(&plan, "a") }.write()).into());
    for value in junk {
        assert_eq!(carrying(&format!("Cookie: pylb={value}\r\n")).visit(&plan).1, Pin::Issue, "{value}");
    }
}

#[test]
fn after_a_rotation_old_cookies_count_and_are_replaced() {
    let old = with_cookie(None, &[7], &FIVE);
    let client = with_token(token(&old, "c"));
    let rotated = with_cookie(Some(&old), &[9, 7], &FIVE);
    assert_eq!(client.visit(&rotated), home("c", Pin::Issue));
    assert_eq!(token(&rotated, "c").number, 9);
    assert_eq!(with_token(token(&rotated, "c")).visit(&rotated), home("c", Pin::Honoured));
}

#[test]
fn a_cookie_past_half_its_time_is_issued_anew() {
    let plan = with_cookie(None, &[7], &FIVE);
    let client = with_token(token(&plan, "d"));
    let after = |minutes: u64| client.visit_at(&plan, NOW, WALL + Duration::from_secs(60 * minutes));
    assert_eq!(after(29), home("d", Pin::Honoured));
    assert_eq!(after(30), home("d", Pin::Issue));
    assert_eq!(after(61), home("d", Pin::Issue));
}

#[test]
fn a_cookie_past_all_its_time_is_none() {
    let plan = with_cookie(None, &[7], &FIVE);
    let client = with_token(token(&plan, "d"));
    let late = WALL + Duration::from_secs(60 * 62);
    let visits = (0..50).map(|dice| Client { dice, ..client.clone() }.visit_at(&plan, NOW, late));
    assert!(visits.filter(|(name, pin)| name != "d" && *pin == Pin::Issue).count() > 20);
}

#[test]
fn a_draining_backend_keeps_its_clients_until_the_drain_ends_and_tells_them_nothing_new() {
    let plan = with_cookie(None, &[7], &FIVE);
    let client = with_token(token(&plan, "b"));
    live(&plan, "b").drain(Tick(NOW.0 + 10));
    let late = WALL + Duration::from_secs(3_000);
    assert_eq!(client.visit_at(&plan, Tick(NOW.0 + 9), late), home("b", Pin::Honoured));
    let (name, pin) = client.visit_at(&plan, Tick(NOW.0 + 10), late);
    assert!(name != "b" && pin == Pin::Issue);
    assert!((0..200).all(|dice| Client { dice, ..carrying("") }.visit(&plan).0 != "b"), "others do not come");
}

#[test]
fn a_client_whose_backend_is_down_moves_or_is_told_so() {
    for on_lost in ["move", "fail"] {
        let plan = after(None, &FIVE, &keyed(on_lost));
        let client = carrying("X-Session: s1\r\n");
        let (name, pin) = client.visit(&plan);
        assert_eq!(pin, Pin::Honoured, "the table knows, the client need not");
        assert!((0..50).all(|dice| Client { dice, ..client.clone() }.visit(&plan).0 == name));
        live(&plan, &name).set_health(Health::Down, NOW);
        if on_lost == "fail" {
            let step = client.step(&plan, &mut Progress::new(0), NOW, WALL);
            assert!(matches!(step, Step::Reply(reply) if reply.status == 503));
            live(&plan, &name).set_health(Health::Up, NOW);
            assert_eq!(client.visit(&plan).0, name);
        } else {
            let (other, _) = client.visit(&plan);
            live(&plan, &name).set_health(Health::Up, NOW);
            assert!(other != name && client.visit(&plan).0 == other, "there it stays");
        }
    }
}

#[test]
fn a_full_backend_is_waited_for_and_left_for_once() {
    let names = ["a", "b"];
    let mut patch = cookie(&[7], &names);
    patch["backends"] = json!({"0": {"max_in_flight": 1}});
    let plan = after(None, &names, &patch);
    let client = with_token(token(&plan, "a"));
    let mut holder = Progress::new(0);
    assert!(matches!(client.step(&plan, &mut holder, NOW, WALL), Step::Send { slot: 0, .. }));

    let mut progress = Progress::new(0);
    let step = client.step(&plan, &mut progress, NOW, WALL);
    assert!(matches!(step, Step::Wait { pool: 0, until: Until::Pinned(0) }), "{step:?}");
    progress.escape();
    assert!(matches!(client.step(&plan, &mut progress, NOW, WALL), Step::Send { slot: 1, .. }));
    assert_eq!(progress.pin, Pin::Escaped, "nothing is issued");
    plan.pools[0].pool.release(0);
    assert_eq!(client.visit(&plan), home("a", Pin::Honoured));
}

#[test]
fn a_request_that_failed_at_home_goes_elsewhere_and_is_at_home_there() {
    let plan = with_cookie(None, &[7], &FIVE);
    let client = with_token(token(&plan, "e"));
    let mut progress = Progress::new(0);
    assert!(matches!(client.step(&plan, &mut progress, NOW, WALL), Step::Send { slot: 4, .. }));
    let step = client.step(&plan, &mut progress, NOW, WALL);
    assert!(matches!(step, Step::Send { slot: 0..4, .. }), "{step:?}");
    assert_eq!(progress.pin, Pin::Issue);

    let mut progress = Progress::new(0);
    client.step(&plan, &mut progress, NOW, WALL);
    progress.forgive();
    let step = client.step(&plan, &mut progress, NOW, WALL);
    assert!(matches!(step, Step::Send { slot: 4, .. }), "an idle connection that was closed moves nobody: {step:?}");
}

#[test]
fn what_a_backend_gave_brings_its_client_back() {
    let plan = after(None, &FIVE, &learned());
    assert_eq!(carrying("").visit(&plan).1, Pin::None);
    let unknown = carrying("Mcp-Session-Id: s1\r\n");
    assert_eq!(unknown.visit(&plan).1, Pin::None, "what no backend gave is remembered by nobody");
    assert_eq!(sticky(&plan).remembered(), 0);

    sticky(&plan).learn(b"s1", live(&plan, "c").id(), NOW);
    assert!((0..50).all(|dice| Client { dice, ..unknown.clone() }.visit(&plan) == home("c", Pin::Honoured)));
    let late = Tick(NOW.0 + 120_000_000);
    assert_eq!(unknown.visit_at(&plan, late, WALL).1, Pin::None, "its time is over");
}

#[test]
fn a_reload_forgets_nobody_and_a_backend_that_left_is_lost() {
    let plan = after(None, &FIVE, &learned());
    let client = carrying("Mcp-Session-Id: s1\r\n");
    sticky(&plan).learn(b"s1", live(&plan, "c").id(), NOW);
    let mut longer = learned();
    longer["sticky"]["ttl"] = 90_000.into();
    let plan = after(Some(&plan), &["e", "c", "a"], &longer);
    assert_eq!(client.visit(&plan), home("c", Pin::Honoured), "in another slot, by other rules");

    let less = after(Some(&plan), &["e", "a"], &learned());
    let (other, pin) = client.visit(&less);
    assert_eq!(pin, Pin::Honoured, "moved, and remembered");
    let back = after(Some(&less), &["e", "c", "a"], &learned());
    assert_eq!(client.visit(&back).0, other, "the c of now is another server");

    let mut other_key = learned();
    other_key["sticky"]["request"] = json!({"header": "x-other"});
    let other_key = after(Some(&back), &FIVE, &other_key);
    assert_eq!(sticky(&other_key).remembered(), 0, "keys of another kind are other keys");
}

#[test]
fn an_address_is_a_key_too() {
    let source = json!({"sticky": {"kind": "source_ip", "ttl": 60_000, "on_lost": "move"}});
    let plan = after(None, &FIVE, &source);
    let from = |text: &str, dice| Client { from: text.parse().expect("an address"), dice, ..carrying("") };
    let first = from("2001:db8::1", 3).visit(&plan);
    assert!((0..50).all(|dice| from("2001:db8::ffff", dice).visit(&plan) == first), "one subscriber is one client");
    let others: Vec<String> = (0..50).map(|n| from(&format!("192.0.2.{n}"), n).visit(&plan).0).collect();
    assert!(others.iter().any(|name| *name != first.0));
}

#[test]
fn ids_that_do_not_fit_the_backends_are_refused() {
    let mut draft = json!({"pools": {"products": cookie(&[7], &["a", "b"])}});
    draft["pools"]["products"]["backends"] = json!([support::backend("a", "10.0.0.1:1")]);
    let errors = plan::compile(&support::draft(&draft), None, 5).err().expect("an error");
    assert!(errors[0].message.contains("2 ids for 1 backends"), "{errors:?}");
}
