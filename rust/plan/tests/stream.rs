//! Connections and flows that get a place: addresses in, backends out.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::net::IpAddr;
use std::time::Duration;

use plan::{Change, Health, Pin, Plan, Progress, Reply, Step, Stream, Tick, Until};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: Tick = Tick(1_000_000);

/// A TCP listener before a pool with this many backends and what `patch` says of it.
fn after(previous: Option<&Plan>, backends: usize, patch: &Value) -> Plan {
    let backend = |number| support::backend(&format!("b{number}"), &format!("10.0.0.{number}:1"));
    let backends: Vec<Value> = (1..=backends).map(backend).collect();
    let mut draft = json!({"listeners": {"web": {"protocol": "tcp", "pool": "products", "routes": []}},
        "pools": {"products": {"backends": backends}}});
    support::merge(&mut draft["pools"]["products"], patch);
    let plan = plan::compile(&support::draft(&draft), previous, 5).unwrap_or_else(|errors| panic!("{errors:?}"));
    Change::between(previous, &plan).settle(NOW);
    plan
}

fn compiled(backends: usize, patch: &Value) -> Plan {
    after(None, backends, patch)
}

fn from(client: &str, dice: u64) -> Stream {
    let client: IpAddr = client.parse().expect("an address");
    Stream { client, now: NOW, wall: Duration::from_secs(1_800_000_000), dice }
}

/// Where it gets; the place stays taken.
fn place(plan: &Plan, progress: &mut Progress, stream: &Stream) -> u32 {
    match plan.place_stream(0, progress, stream) {
        Step::Send { pool: 0, slot } => slot,
        step => panic!("{step:?}"),
    }
}

/// Where a new one gets, and how it is pinned; the place is given back.
fn visit(plan: &Plan, client: &str, dice: u64) -> (u32, Pin) {
    let mut progress = Progress::new(0);
    let slot = place(plan, &mut progress, &from(client, dice));
    plan.pools[0].pool.release(slot);
    (slot, progress.pin)
}

#[test]
fn the_first_that_works_is_taken_and_then_the_next() {
    let plan = compiled(3, &json!({"balance": {"policy": "failover"}}));
    let mut progress = Progress::new(0);
    let stream = from("192.0.2.1", 0);
    let slots: Vec<u32> = (0..3).map(|_| place(&plan, &mut progress, &stream)).collect();
    assert_eq!(slots, [0, 1, 2]);
    assert_eq!((progress.pool, progress.route, &progress.tried[..]), (Some(0), None, &slots[..]));
    plan.pools[0].pool.backends()[0].live.set_health(Health::Down, NOW);
    assert_eq!(visit(&plan, "192.0.2.1", 0).0, 1);
}

#[test]
fn without_a_backend_there_is_an_error_to_log() {
    let plan = compiled(1, &json!({"checked": true}));
    plan.pools[0].pool.backends()[0].live.set_health(Health::Down, NOW);
    let step = plan.place_stream(0, &mut Progress::new(0), &from("192.0.2.1", 0));
    assert!(matches!(&step, Step::Reply(reply) if **reply == Reply::NOBODY), "{step:?}");
}

#[test]
fn an_address_decides_where_it_hashes() {
    let plan = compiled(16, &json!({"balance": {"policy": "ip_hash"}}));
    let mut slots: Vec<u32> = (0..64)
        .map(|number| {
            let client = format!("192.0.2.{number}");
            let (slot, _) = visit(&plan, &client, 1);
            assert!((2..6).all(|dice| visit(&plan, &client, dice).0 == slot), "{client}");
            slot
        })
        .collect();
    assert_eq!(visit(&plan, "2001:db8::1", 1), visit(&plan, "2001:db8::ffff", 2), "one subscriber");
    assert_eq!(visit(&plan, "::ffff:192.0.2.9", 1).0, slots[9]);
    slots.sort_unstable();
    slots.dedup();
    assert!(slots.len() > 8, "64 clients over 16 backends reached only {slots:?}");
}

#[test]
fn a_client_stays_over_plans_until_its_backend_is_lost() {
    let sticky = json!({"sticky": {"kind": "source_ip", "ttl": 60_000, "on_lost": "move"}});
    let plan = compiled(8, &sticky);
    let (home, pin) = visit(&plan, "192.0.2.1", 7);
    assert_eq!(pin, Pin::Honoured, "nothing has to be told");
    assert!((0..64).all(|dice| visit(&plan, "192.0.2.1", dice << 58) == (home, Pin::Honoured)));
    let next = after(Some(&plan), 8, &sticky);
    assert!((0..64).all(|dice| visit(&next, "192.0.2.1", dice << 58).0 == home));
    next.pools[0].pool.backends()[home as usize].live.set_health(Health::Down, NOW);
    let (moved, _) = visit(&next, "192.0.2.1", 7);
    assert_ne!(moved, home);
    next.pools[0].pool.backends()[home as usize].live.set_health(Health::Up, NOW);
    assert_eq!(visit(&next, "192.0.2.1", 0).0, moved, "it is at home there now");
}

#[test]
fn who_may_not_move_is_told_that_its_backend_is_lost() {
    let plan = compiled(2, &json!({"sticky": {"kind": "source_ip", "ttl": 60_000, "on_lost": "fail"}}));
    let (home, _) = visit(&plan, "192.0.2.1", 7);
    plan.pools[0].pool.backends()[home as usize].live.set_health(Health::Down, NOW);
    let step = plan.place_stream(0, &mut Progress::new(0), &from("192.0.2.1", 0));
    assert!(matches!(&step, Step::Reply(reply) if **reply == Reply::LOST), "{step:?}");
}

#[test]
fn a_pinned_client_waits_for_its_backend_and_may_escape() {
    let sticky = json!({"kind": "source_ip", "ttl": 60_000, "on_lost": "move"});
    let plan =
        compiled(2, &json!({"sticky": sticky, "backends": {"0": {"max_in_flight": 1}, "1": {"max_in_flight": 1}}}));
    let home = place(&plan, &mut Progress::new(0), &from("192.0.2.1", 7));
    let mut progress = Progress::new(0);
    let step = plan.place_stream(0, &mut progress, &from("192.0.2.1", 7));
    assert!(matches!(step, Step::Wait { pool: 0, until: Until::Pinned(slot) } if slot == home), "{step:?}");
    progress.escape();
    assert_eq!(place(&plan, &mut progress, &from("192.0.2.1", 7)), 1 - home);
    let step = plan.place_stream(0, &mut progress, &from("192.0.2.1", 7));
    assert!(matches!(step, Step::Wait { pool: 0, until: Until::Free }), "{step:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// However connections come and go, no backend has more than it may; who waits does so because all are full.
    #[test]
    fn limits_hold(
        policy in prop::sample::select(&["round_robin", "least_connections", "two_choices", "peak_ewma", "ip_hash",
            "random", "failover"][..]),
        limits in prop::collection::vec(1u32..4, 1..5),
        moves in prop::collection::vec((any::<u8>(), any::<u64>(), any::<bool>()), 1..60),
    ) {
        let backends: serde_json::Map<String, Value> =
            limits.iter().enumerate().map(|(at, limit)| (at.to_string(), json!({"max_in_flight": limit}))).collect();
        let plan = compiled(limits.len(), &json!({"balance": {"policy": policy}, "backends": backends}));
        let pool = &plan.pools[0].pool;
        let mut held: Vec<u32> = Vec::new();
        for (client, dice, leaves) in moves {
            if leaves && !held.is_empty() {
                pool.release(held.swap_remove(dice as usize % held.len()));
                continue;
            }
            let room: u32 = limits.iter().sum::<u32>() - held.len() as u32;
            match plan.place_stream(0, &mut Progress::new(0), &from(&format!("192.0.2.{client}"), dice)) {
                Step::Send { slot, .. } => held.push(slot),
                Step::Wait { until: Until::Free, .. } => prop_assert_eq!(room, 0),
                step => prop_assert!(false, "{:?}", step),
            }
            for (slot, limit) in limits.iter().enumerate() {
                let taken = held.iter().filter(|held| **held as usize == slot).count() as u32;
                prop_assert!(taken <= *limit);
                prop_assert_eq!(pool.backends()[slot].live.in_flight(), taken);
            }
        }
    }
}
