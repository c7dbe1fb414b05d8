//! What happens to flows of datagrams when descriptors run out. Alone in its file: the limit is the whole process's.

mod stage;

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::json;
use stage::{draft, engine, free_port};

const LIMIT: u64 = 256;
const CLIENTS: u64 = 120;

#[test]
fn the_oldest_flows_give_up_their_descriptors() {
    setrlimit(Resource::Nofile, Rlimit { current: Some(LIMIT), maximum: Some(LIMIT) }).expect("a lower limit");
    let echo = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let backend = echo.local_addr().expect("an address").port();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((length, client)) = echo.recv_from(&mut bytes) {
            let _ = echo.send_to(&bytes[..length], client);
        }
    });
    let port = free_port();
    let mut draft = draft(port, &[backend]);
    let web = &mut draft["listeners"]["web"];
    (web["protocol"], web["routes"], web["pool"]) = (json!("udp"), json!([]), json!("products"));
    web["udp"] = json!({"idle": 60_000, "replies": null, "flows": 65_536});
    let engine = engine(&draft, 1);

    // The clients' sockets take descriptors of the same process, so its flows get fewer than their half.
    let client = |_| {
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
        client.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        client.connect(("127.0.0.1", port)).expect("an address");
        client
    };
    let clients: Vec<UdpSocket> = (0..CLIENTS).map(client).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send(&[number as u8]).expect("sent");
        let mut said = [0; 64];
        assert_eq!((client.recv(&mut said).expect("a reply"), said[0]), (1, number as u8));
    }
    let status = engine.status();
    let flows = status.listeners["web"].flows.as_ref().expect("flows");
    assert_eq!((flows.total, flows.dropped, flows.open + flows.evicted), (CLIENTS, 0, CLIENTS));
    assert!(flows.open < LIMIT / 2 && flows.evicted > 0, "{flows:?}");
    assert_eq!(u64::from(status.pools["products"].backends[0].in_flight), flows.open);
}
