//! Backends that close idle connections whenever they like: what may be repeated never fails, what may not fails almost
//! never, and nothing is executed twice.

mod stage;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use stage::ledger::{Ledger, origin};
use stage::{Client, draft, engine, free_port};

const CLIENTS: usize = 32;
/// Requests in which the ages are learned.
const LEARNING: usize = 1_000;

fn requests() -> usize {
    std::env::var("PYLB_TEST_REQUESTS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

#[test]
fn connections_that_close_after_1_to_50_ms_cost_almost_nothing() {
    let total = requests();
    let ledger = Ledger::new(total);
    let idle = (Duration::from_millis(1), Duration::from_millis(50));
    let origins = [(); 3].map(|()| origin(&ledger, idle));
    let port = free_port();
    let _engine = engine(&draft(port, &origins), 2);
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::<(&str, u16, bool), usize>::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::new(port);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= total {
                        return;
                    }
                    let method = if number.is_multiple_of(2) { "GET" } else { "POST" };
                    let body = if number.is_multiple_of(2) { "" } else { "pay 100" };
                    let status = client.ask(method, &format!("/{number}"), body);
                    *outcomes.lock().unwrap().entry((method, status, number >= LEARNING)).or_default() += 1;
                    if status == 0 {
                        client = Client::new(port);
                    }
                    thread::sleep(Duration::from_micros(fastrand::u64(0..20_000)));
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let failed = |method: &str| -> usize {
        let bad = outcomes.iter().filter(|((m, status, counted), _)| *m == method && *status != 200 && *counted);
        bad.map(|(_, count)| count).sum()
    };
    assert_eq!(failed("GET"), 0, "{outcomes:?}");
    assert!(failed("POST") <= 2 + total / 2 / 10_000, "{outcomes:?}");
    assert_eq!(ledger.repeated(), 0);
}
