//! Tunnels between pairs of UNIX sockets, with the test at both far ends.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use tokio::net::UnixStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, spawn_local};

use super::*;
use crate::socket::Socket;

/// What a receive buffer holds: the most that may wait per way.
const BUFFER: usize = 64 * 1024;

/// The far ends of a tunnel, and its task.
struct Stage {
    client: UnixStream,
    backend: UnixStream,
    tunnel: JoinHandle<(End, (u64, u64))>,
}

impl Stage {
    fn new() -> Self {
        let (client, mut down) = connection();
        let (backend, mut up) = connection();
        let tunnel = spawn_local(async move {
            let (mut tunnel, mut buffers) = (Tunnel::default(), Buffers::new(u64::MAX));
            let end = poll_fn(|cx| {
                let polled = tunnel.poll_move(cx, &mut down, &mut up, &mut buffers);
                assert!(down.backlog_len() <= BUFFER && up.backlog_len() <= BUFFER, "read without room");
                polled
            })
            .await;
            (end, tunnel.moved())
        });
        Stage { client, backend, tunnel }
    }

    async fn end(self) -> (End, (u64, u64)) {
        self.tunnel.await.expect("no panic")
    }
}

fn connection() -> (UnixStream, Conn) {
    let (far, near) = UnixStream::pair().expect("a pair of sockets");
    let mut conn = Conn::new(Socket::Unix(near));
    conn.become_plain();
    (far, conn)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(test);
}

/// One write, of as much as there is room for.
async fn send_some(stream: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

async fn send(stream: &UnixStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let sent = send_some(stream, bytes).await.expect("a reader");
        bytes = &bytes[sent..];
    }
}

/// One read; nothing is a FIN.
async fn hear(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; BUFFER];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => {
                bytes.truncate(done?);
                return Ok(bytes);
            }
        }
    }
}

/// Everything up to a FIN.
async fn rest(stream: &UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match hear(stream).await.expect("a clean end") {
            more if more.is_empty() => return all,
            more => all.extend(more),
        }
    }
}

fn finish(stream: &UnixStream) {
    rustix::net::shutdown(stream, rustix::net::Shutdown::Write).expect("a FIN");
}

#[test]
fn a_half_close_by_the_client_leaves_the_answer_its_way() {
    run(async {
        let stage = Stage::new();
        send(&stage.client, b"question").await;
        finish(&stage.client);
        assert_eq!(rest(&stage.backend).await, b"question");
        assert!(!stage.tunnel.is_finished());
        send(&stage.backend, b"answer").await;
        finish(&stage.backend);
        assert_eq!(rest(&stage.client).await, b"answer");
        assert_eq!(stage.end().await, (End::Clean, (8, 6)));
    });
}

#[test]
fn a_half_close_by_the_backend_leaves_the_client_its_way() {
    run(async {
        let stage = Stage::new();
        finish(&stage.backend);
        assert_eq!(rest(&stage.client).await, b"");
        send(&stage.client, b"still here").await;
        finish(&stage.client);
        assert_eq!(rest(&stage.backend).await, b"still here");
        assert_eq!(stage.end().await, (End::Clean, (10, 0)));
    });
}

#[test]
fn who_does_not_read_holds_up_the_other_and_loses_nothing() {
    run(async {
        let stage = Stage::new();
        let mut sent = Vec::new();
        let block: Vec<u8> = (0..=255).cycle().take(10_007).collect();
        let patience = std::time::Duration::from_millis(50);
        while let Ok(written) = tokio::time::timeout(patience, send_some(&stage.backend, &block)).await {
            sent.extend_from_slice(&block[..written.expect("a backend that is there")]);
            assert!(sent.len() < 64 << 20, "nobody holds it up");
        }
        // The opposite way is not held up by that.
        send(&stage.client, b"x").await;
        assert_eq!(hear(&stage.backend).await.expect("a byte"), b"x");
        finish(&stage.backend);
        finish(&stage.client);
        assert_eq!(rest(&stage.client).await, sent);
        assert_eq!(stage.end().await, (End::Clean, (1, sent.len() as u64)));
    });
}

#[test]
fn a_side_that_never_stops_sending_does_not_starve_the_other() {
    run(async {
        let Stage { client, backend, tunnel } = Stage::new();
        let client = Rc::new(client);
        let flooding = Rc::clone(&client);
        let flood = spawn_local(async move {
            let block = vec![0; BUFFER];
            while send_some(&flooding, &block).await.is_ok() {}
        });
        for _ in 0..200 {
            send(&backend, b"x").await;
            loop {
                tokio::select! {
                    biased;
                    byte = hear(&client) => break assert_eq!(byte.expect("a byte"), b"x"),
                    more = hear(&backend) => assert!(!more.expect("a flood").is_empty()),
                }
            }
        }
        drop(backend);
        assert_eq!(tunnel.await.expect("no panic").0, End::Backend);
        flood.abort();
    });
}

/// Says everything in pieces and then FIN, takes what comes in its own time, and returns it.
async fn play(stream: UnixStream, words: Vec<u8>, mut dice: fastrand::Rng) -> Vec<u8> {
    let mut pause = dice.fork();
    let speak = async {
        let mut left = &words[..];
        while !left.is_empty() {
            let (piece, rest) = left.split_at(dice.usize(1..=left.len().min(100_000)));
            send(&stream, piece).await;
            left = rest;
            rest_a_while(&mut dice).await;
        }
        finish(&stream);
    };
    let listen = async {
        let mut all = Vec::new();
        loop {
            rest_a_while(&mut pause).await;
            match hear(&stream).await.expect("a clean end") {
                more if more.is_empty() => return all,
                more => all.extend(more),
            }
        }
    };
    tokio::join!(speak, listen).1
}

async fn rest_a_while(dice: &mut fastrand::Rng) {
    for _ in 0..dice.u8(..4) {
        tokio::task::yield_now().await;
    }
}

#[test]
fn whatever_both_sides_do_every_byte_arrives_in_its_place() {
    let seed = fastrand::u64(..);
    run(async {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut stages = Vec::new();
        for _ in 0..60 {
            let Stage { client, backend, tunnel } = Stage::new();
            let [asked, said] = [(); 2].map(|()| {
                let size = dice.usize(..400_000) * dice.usize(..2);
                let start = dice.u8(..);
                (0..size).map(|at| start.wrapping_add((at % 251) as u8)).collect::<Vec<u8>>()
            });
            let near = spawn_local(play(client, asked.clone(), dice.fork()));
            let far = spawn_local(play(backend, said.clone(), dice.fork()));
            stages.push((near, far, tunnel, asked, said));
        }
        for (near, far, tunnel, asked, said) in stages {
            assert!(near.await.expect("no panic") == said, "seed {seed}");
            assert!(far.await.expect("no panic") == asked, "seed {seed}");
            let moved = (asked.len() as u64, said.len() as u64);
            assert_eq!(tunnel.await.expect("no panic"), (End::Clean, moved), "seed {seed}");
        }
    });
}

#[test]
fn who_resets_is_named_and_its_last_words_arrive() {
    run(async {
        // Closing a UNIX socket with unread bytes resets it, as with TCP.
        let mut stage = Stage::new();
        send(&stage.client, b"unread").await;
        stage.backend.readable().await.expect("the bytes are there");
        send(&stage.backend, b"bye").await;
        drop(std::mem::replace(&mut stage.backend, connection().0));
        assert_eq!(hear(&stage.client).await.expect("last words"), b"bye");
        assert_eq!(stage.end().await.0, End::Backend);

        let mut stage = Stage::new();
        send(&stage.backend, b"unread").await;
        stage.client.readable().await.expect("the bytes are there");
        drop(std::mem::replace(&mut stage.client, connection().0));
        assert_eq!(stage.end().await.0, End::Client);
    });
}
