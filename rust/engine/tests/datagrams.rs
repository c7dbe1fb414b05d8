//! Flows of datagrams: many clients through one port, no reply to a wrong one, and nothing left when they are silent.

mod stage;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use stage::passed::Log;
use stage::{draft, engine, pool, until};

/// A backend that sends back what it gets, behind its own port, until it is dropped.
struct Echo {
    port: u16,
    heard: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Echo {
    fn start(times: usize) -> Echo {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket");
        let port = socket.local_addr().expect("an address").port();
        let (heard, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (heard, stop) = (Arc::clone(&heard), Arc::clone(&stop));
            move || {
                let mut bytes = [0; 65_536];
                while !stop.load(SeqCst) {
                    let Ok((length, client)) = socket.recv_from(&mut bytes) else { continue };
                    heard.fetch_add(1, SeqCst);
                    for _ in 0..times {
                        let reply = [&port.to_be_bytes()[..], &bytes[..length]].concat();
                        let _ = socket.send_to(&reply, client);
                    }
                }
            }
        });
        Echo { port, heard, stop, thread: Some(thread) }
    }

    fn heard(&self) -> usize {
        self.heard.load(SeqCst)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        self.thread.take().map(thread::JoinHandle::join);
    }
}

/// A client, and what it expects to hear.
struct Client(UdpSocket);

impl Client {
    fn new(port: u16) -> Client {
        Client::of(([127, 0, 0, 1], port).into())
    }

    fn of(address: SocketAddr) -> Client {
        let any: SocketAddr = if address.is_ipv6() { ([0; 16], 0).into() } else { ([0; 4], 0).into() };
        let socket = UdpSocket::bind(any).expect("a port");
        socket.connect(address).expect("an address");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        Client(socket)
    }

    fn say(&self, what: &[u8]) {
        self.0.send(what).expect("sent");
    }

    /// The port of the backend that answered, and what it said.
    fn hear(&self) -> Option<(u16, Vec<u8>)> {
        let mut bytes = vec![0; 65_536];
        let length = self.0.recv(&mut bytes).ok()?;
        Some((u16::from_be_bytes([bytes[0], bytes[1]]), bytes[2..length].to_vec()))
    }

    fn ask(&self, what: &[u8]) -> u16 {
        self.say(what);
        let (backend, said) = self.hear().expect("a reply");
        assert_eq!(said, what, "a reply to somebody else");
        backend
    }
}

fn site(listen: &str, backends: &[&Echo], udp: Value) -> Value {
    let ports: Vec<u16> = backends.iter().map(|echo| echo.port).collect();
    let mut draft = draft(1, &ports);
    let web = &mut draft["listeners"]["web"];
    web["bind"] = json!([listen]);
    web["protocol"] = json!("udp");
    web["routes"] = json!([]);
    web["pool"] = json!("products");
    let mut flows = json!({"idle": 60_000, "replies": null, "flows": 65_536});
    udp.as_object().expect("keys").iter().for_each(|(key, value)| flows[key] = value.clone());
    web["udp"] = flows;
    pool(&mut draft)["balance"]["policy"] = json!("round_robin");
    draft
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

fn flows(engine: &engine::Engine) -> engine::FlowStatus {
    engine.status().listeners.remove("web").and_then(|listener| listener.flows).expect("flows")
}

#[test]
fn every_client_hears_its_own_replies_and_silence_ends_flows() {
    let (one, two, port) = (Echo::start(1), Echo::start(1), free_port());
    let engine = engine(&site(&format!("127.0.0.1:{port}"), &[&one, &two], json!({"idle": 300})), 2);
    let clients: Vec<Client> = (0..400).map(|_| Client::new(port)).collect();
    for round in 0..3u32 {
        for (number, client) in clients.iter().enumerate() {
            client.say(&[&round.to_be_bytes()[..], &(number as u32).to_be_bytes()].concat());
        }
        for (number, client) in clients.iter().enumerate() {
            let (_, said) = client.hear().expect("a reply");
            assert_eq!(said, [&round.to_be_bytes()[..], &(number as u32).to_be_bytes()].concat());
        }
    }
    assert_eq!(flows(&engine).total, 400);
    assert_eq!((one.heard(), two.heard()), (600, 600), "flows take turns, datagrams stay with their flow");
    until("all flows end", || flows(&engine).open == 0);
    let pool = &engine.status().pools["products"];
    assert!(pool.backends.iter().all(|backend| backend.in_flight == 0 && backend.requests == 200));
}

#[test]
fn announced_replies_end_a_flow() {
    let (echo, port) = (Echo::start(2), free_port());
    let engine = engine(&site(&format!("127.0.0.1:{port}"), &[&echo], json!({"replies": 2})), 1);
    let client = Client::new(port);
    client.ask(b"first");
    assert_eq!(client.hear().map(|(_, said)| said), Some(b"first".to_vec()), "the second reply too");
    until("the flow ends", || flows(&engine).open == 0);
    client.ask(b"again");
    assert_eq!(flows(&engine).total, 2);
}

#[test]
fn large_and_empty_datagrams_go_both_ways() {
    let (echo, port) = (Echo::start(1), free_port());
    let _engine = engine(&site(&format!("127.0.0.1:{port}"), &[&echo], json!({})), 1);
    let client = Client::new(port);
    for length in [0, 1, 1_472, 9_000, 65_000] {
        client.ask(&vec![7; length]);
    }
}

#[test]
fn replies_come_from_the_address_that_was_written_to() {
    let (echo, port) = (Echo::start(1), free_port());
    let engine = engine(&site(&format!(":{port}"), &[&echo], json!({})), 1);
    // A connected socket hears nobody but the address it is connected to.
    for address in ["127.0.0.1", "127.0.0.9", "::1"] {
        let client = Client::of(SocketAddr::new(address.parse().expect("an address"), port));
        client.ask(b"hello");
        client.ask(b"again");
    }
    assert_eq!(flows(&engine).total, 3);
}

#[test]
fn a_datagram_that_only_ipv6_can_carry_is_lost_and_nothing_else() {
    let (echo, port) = (Echo::start(1), free_port());
    let engine = engine(&site(&format!(":{port}"), &[&echo], json!({"idle": 300})), 1);
    let client = Client::of(SocketAddr::new("::1".parse().expect("an address"), port));
    client.say(&vec![7; 65_520]);
    client.ask(b"but this arrives");
    client.say(&vec![7; 65_520]);
    until("it is dropped", || flows(&engine).dropped == 2);
    until("silence ends the flow", || flows(&engine).open == 0);
}

#[test]
fn one_client_that_writes_to_two_addresses_has_two_flows() {
    let (echo, port) = (Echo::start(1), free_port());
    let engine = engine(&site(&format!("0.0.0.0:{port}"), &[&echo], json!({})), 1);
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
    for last in [1, 2] {
        let to = SocketAddr::from(([127, 0, 0, last], port));
        socket.send_to(&[last], to).expect("sent");
        let mut bytes = [0; 16];
        assert_eq!(socket.recv_from(&mut bytes).expect("a reply"), (3, to));
        assert_eq!(bytes[2], last);
    }
    assert_eq!(flows(&engine).total, 2);
}

#[test]
fn a_run_of_datagrams_arrives_as_it_was_sent() {
    let (echo, port) = (Echo::start(1), free_port());
    let _engine = engine(&site(&format!("127.0.0.1:{port}"), &[&echo], json!({})), 1);
    let client = Client::new(port);
    let state = quinn_udp::UdpSocketState::new((&client.0).into()).expect("a socket");
    client.0.set_nonblocking(false).expect("a socket");
    for stride in [100, 1_200] {
        let run: Vec<u8> = (0..stride * 10 + 7).map(|at| (at / stride) as u8).collect();
        let transmit = quinn_udp::Transmit {
            destination: ([127, 0, 0, 1], port).into(),
            ecn: None,
            contents: &run,
            segment_size: Some(stride),
            src_ip: None,
        };
        state.try_send((&client.0).into(), &transmit).expect("sent");
        for part in run.chunks(stride) {
            assert_eq!(client.hear().map(|(_, said)| said).as_deref(), Some(part));
        }
    }
}

#[test]
fn a_backend_with_much_to_say_is_heard_in_full() {
    let (echo, port) = (Echo::start(100), free_port());
    let _engine = engine(&site(&format!("127.0.0.1:{port}"), &[&echo], json!({})), 1);
    let client = Client::new(port);
    for round in 0..20u8 {
        client.say(&[round; 200]);
        for _ in 0..100 {
            assert_eq!(client.hear().map(|(_, said)| said), Some(vec![round; 200]));
        }
    }
}

#[test]
fn reloads_keep_flows_and_their_backends() {
    let (one, two, port) = (Echo::start(1), Echo::start(1), free_port());
    let bind = format!("127.0.0.1:{port}");
    let mut draft = site(&bind, &[&one, &two], json!({}));
    let engine = engine(&draft, 2);
    let clients: Vec<Client> = (0..50).map(|_| Client::new(port)).collect();
    let homes: Vec<u16> = clients.iter().map(|client| client.ask(b"first")).collect();
    for reload in 0..10u32 {
        let third = Echo::start(1);
        draft = site(&bind, &[&one, &third, &two], json!({"idle": 60_000 + reload}));
        engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
        for (client, home) in clients.iter().zip(&homes) {
            assert_eq!(client.ask(&reload.to_be_bytes()), *home);
        }
    }
    assert_eq!(flows(&engine).total, 50);
}

#[test]
fn a_flow_leaves_a_backend_that_is_gone() {
    let (one, two, port) = (Echo::start(1), Echo::start(1), free_port());
    let engine = engine(&site(&format!("127.0.0.1:{port}"), &[&one, &two], json!({})), 1);
    let clients: Vec<Client> = (0..10).map(|_| Client::new(port)).collect();
    let stays = two.port;
    for client in &clients {
        client.ask(b"first");
    }
    drop(one);
    for client in &clients {
        client.0.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        client.say(b"lost, where the backend is gone");
        let lost = client.hear().is_none();
        client.0.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        assert_eq!(client.ask(b"next"), stays);
        assert!(lost || client.ask(b"more") == stays);
    }
    let gone = &engine.status().pools["products"].backends[0];
    assert_eq!((gone.in_flight, gone.why.as_deref()), (0, Some("port unreachable")));
    assert!(gone.state == "ejected" || gone.state == "up", "{}", gone.state);
    assert_eq!(flows(&engine).total, 10, "the flows are the same");
}

#[test]
fn the_oldest_flow_makes_room() {
    for workers in [1, 2] {
        let (echo, port) = (Echo::start(1), free_port());
        let bind = format!("127.0.0.1:{port}");
        let engine = engine(&site(&bind, &[&echo], json!({"flows": 20})), workers);
        let clients: Vec<Client> = (0..60).map(|_| Client::new(port)).collect();
        for client in &clients {
            client.ask(b"hello");
            until("there are not too many", || flows(&engine).open <= 20);
        }
        until("the others have made room", || flows(&engine).evicted == 40);
        assert_eq!((flows(&engine).open, flows(&engine).total), (20, 60));
    }
}

#[test]
fn a_full_backend_takes_no_more_flows() {
    let (one, two, port) = (Echo::start(1), Echo::start(1), free_port());
    let mut draft = site(&format!("127.0.0.1:{port}"), &[&one, &two], json!({}));
    for backend in pool(&mut draft)["backends"].as_array_mut().expect("a list") {
        backend["max_in_flight"] = json!(2);
    }
    let engine = engine(&draft, 1);
    let clients: Vec<Client> = (0..4).map(|_| Client::new(port)).collect();
    for client in &clients {
        client.ask(b"hello");
    }
    Client::new(port).say(b"nobody has a place for this");
    until("it is dropped", || flows(&engine).dropped == 1);
    for client in &clients {
        client.ask(b"but these have");
    }
    assert_eq!(flows(&engine).open, 4);
}

#[test]
fn a_removed_backends_flows_end_with_its_drain() {
    let (one, two, port) = (Echo::start(1), Echo::start(1), free_port());
    let bind = format!("127.0.0.1:{port}");
    let mut draft = site(&bind, &[&one], json!({}));
    pool(&mut draft)["drain"] = json!(300);
    let engine = engine(&draft, 1);
    let client = Client::new(port);
    assert_eq!(client.ask(b"hello"), one.port);
    let mut next = site(&bind, &[&two], json!({}));
    pool(&mut next)["drain"] = json!(300);
    engine.apply(next.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
    assert_eq!(client.ask(b"still"), one.port);
    until("the drain cuts it", || flows(&engine).open == 0);
    assert_eq!(client.ask(b"now"), two.port);
}

#[test]
fn a_port_in_use_is_an_error_and_a_retired_one_is_free_again() {
    let (echo, taken) = (Echo::start(1), UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let port = taken.local_addr().expect("an address").port();
    let draft = site(&format!("127.0.0.1:{port}"), &[&echo], json!({}));
    let engine = engine::Engine::start(engine::Options { workers: 2 }).expect("an engine");
    assert!(engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).is_err());
    drop(taken);
    engine.apply(draft.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
    Client::new(port).ask(b"hello");
    let elsewhere = site(&format!("127.0.0.1:{}", free_port()), &[&echo], json!({}));
    engine.apply(elsewhere.to_string().as_bytes(), &engine::Files::new()).expect("a plan");
    UdpSocket::bind(("127.0.0.1", port)).expect("the port is free");
    assert_eq!(flows(&engine).open, 0, "its flow has ended with its door");
}

#[test]
fn a_stopping_engine_waits_for_flows_that_go_on() {
    let (echo, port) = (Echo::start(1), free_port());
    let engine = engine(&site(&format!("127.0.0.1:{port}"), &[&echo], json!({})), 1);
    let client = Client::new(port);
    client.ask(b"hello");
    engine.drain();
    assert_eq!(engine.clients(), 1);
    client.ask(b"the last words");
    until("silence ends it", || engine.clients() == 0);
    engine.stop();
}

#[test]
fn a_flow_is_one_line_of_the_log() {
    let (echo, port) = (Echo::start(1), free_port());
    let mut draft = site(&format!("127.0.0.1:{port}"), &[&echo], json!({"replies": 1}));
    let log = Log::of(&mut draft);
    let _engine = engine(&draft, 1);
    Client::new(port).ask(b"hello");
    let line = log.lines(1).remove(0);
    assert_eq!((&line["proto"], &line["status"], &line["reason"]), (&json!("udp"), &Value::Null, &Value::Null));
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&json!(5), &json!(7)));
    assert_eq!((&line["pool"], &line["client"]), (&json!("products"), &json!("127.0.0.1")));
}

#[test]
fn a_flow_remembers_a_few_failures_however_often_it_tries() {
    let (echo, port) = (Echo::start(1), free_port());
    let mut draft = site(&format!("127.0.0.1:{port}"), &[&echo], json!({"idle": 300}));
    // Nobody may send there without a socket option that allows it.
    pool(&mut draft)["backends"][0]["address"] = json!("255.255.255.255:9");
    let log = Log::of(&mut draft);
    let engine = engine(&draft, 1);
    let client = Client::new(port);
    for _ in 0..50 {
        client.say(b"hello");
    }
    until("nothing went on", || flows(&engine).dropped == 50);
    let attempts = log.lines(1)[0]["attempts"].as_array().map(Vec::len);
    assert!(attempts.is_some_and(|count| (1..=8).contains(&count)), "{attempts:?}");
}
