//! Tunnels between pairs of TCP sockets, long enough to be spliced, with the test at both far ends in plain threads.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream as Far};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};

use crate::end::{Buffers, Conn};
use crate::socket::Socket;
use crate::tunnel::{End, Tunnel};

/// Both ends of a connection over TCP.
fn connection() -> (Far, Far) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let far = Far::connect(listener.local_addr().expect("an address")).expect("a connection");
    let near = listener.accept().expect("a connection").0;
    near.set_nonblocking(true).expect("a socket");
    (far, near)
}

/// Runs a tunnel on a thread of its own; tells how it ended, what moved, and the most that lay in pipes.
fn tunnel(down: Far, up: Far) -> thread::JoinHandle<(End, (u64, u64), usize)> {
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        runtime.expect("a runtime").block_on(async move {
            let plain = |stream| {
                let mut conn = Conn::new(Socket::Tcp(tokio::net::TcpStream::from_std(stream).expect("a socket")));
                conn.become_plain();
                conn
            };
            let (mut down, mut up) = (plain(down), plain(up));
            let (mut tunnel, mut buffers, mut piped) = (Tunnel::default(), Buffers::new(u64::MAX), 0);
            let end = poll_fn(|cx| {
                let polled = tunnel.poll_move(cx, &mut down, &mut up, &mut buffers);
                let (there, back) = tunnel.piped();
                assert!(down.backlog_len() == 0 || back == 0, "two waits at once");
                piped = piped.max(there).max(back);
                polled
            })
            .await;
            if end != End::Clean {
                down.abort();
                up.abort();
            }
            (end, tunnel.moved(), piped)
        })
    })
}

fn bytes(size: usize, dice: &mut fastrand::Rng) -> Vec<u8> {
    let start = dice.u8(..);
    (0..size).map(|at| start.wrapping_add((at % 251) as u8)).collect()
}

/// Says everything in pieces and then FIN, takes what comes with pauses, and returns it.
fn play(stream: Far, words: Vec<u8>, seed: u64) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut speaker = stream.try_clone().expect("a descriptor");
        let speaks = thread::spawn(move || {
            let mut dice = fastrand::Rng::with_seed(seed);
            let mut left = &words[..];
            while !left.is_empty() {
                let most = 1 << dice.u32(1..21);
                let (piece, rest) = left.split_at(dice.usize(1..=left.len().min(most)));
                speaker.write_all(piece).expect("a reader");
                left = rest;
            }
            speaker.shutdown(Shutdown::Write).expect("a FIN");
        });
        let (mut stream, mut all, mut dice) = (stream, Vec::new(), fastrand::Rng::with_seed(!seed));
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let most = dice.usize(1..=buffer.len());
            match stream.read(&mut buffer[..most]).expect("a clean end") {
                0 => break,
                count => all.extend_from_slice(&buffer[..count]),
            }
            if dice.u8(..) < 4 {
                thread::sleep(Duration::from_millis(2));
            }
        }
        speaks.join().expect("no panic");
        all
    })
}

#[test]
fn long_streams_arrive_whole_both_ways() {
    let seed = fastrand::u64(..);
    let mut dice = fastrand::Rng::with_seed(seed);
    for round in 0..12 {
        let ((client, down), (backend, up)) = (connection(), connection());
        let moving = tunnel(down, up);
        let [asked, said] = [(); 2].map(|()| {
            let size = 1usize << dice.u32(10..23);
            bytes(size + dice.usize(..999), &mut dice)
        });
        let near = play(client, asked.clone(), dice.u64(..));
        let far = play(backend, said.clone(), dice.u64(..));
        assert!(near.join().expect("no panic") == said, "seed {seed}, round {round}");
        assert!(far.join().expect("no panic") == asked, "seed {seed}, round {round}");
        let moved = (asked.len() as u64, said.len() as u64);
        let (end, told, _) = moving.join().expect("no panic");
        assert_eq!((end, told), (End::Clean, moved), "seed {seed}, round {round}");
    }
}

#[test]
fn who_does_not_read_leaves_one_pipe_full_and_loses_nothing() {
    let ((mut client, down), (mut backend, up)) = (connection(), connection());
    let moving = tunnel(down, up);
    let said = bytes(32 << 20, &mut fastrand::Rng::with_seed(7));
    let words = said.clone();
    let speaks = thread::spawn(move || {
        backend.write_all(&words).expect("a reader");
        backend.shutdown(Shutdown::Write).expect("a FIN");
        let mut heard = Vec::new();
        backend.read_to_end(&mut heard).expect("a clean end");
        heard
    });
    // The opposite way is not held up by a client that does not read.
    client.write_all(b"still here").expect("a reader");
    client.shutdown(Shutdown::Write).expect("a FIN");
    let mut heard = vec![0; 1 << 20];
    client.read_exact(&mut heard).expect("bytes");
    thread::sleep(Duration::from_millis(50)); // every buffer on the way fills
    client.read_to_end(&mut heard).expect("a clean end");
    assert!(heard == said);
    assert_eq!(speaks.join().expect("no panic"), b"still here");
    let (end, moved, piped) = moving.join().expect("no panic");
    assert_eq!((end, moved), (End::Clean, (10, said.len() as u64)));
    assert!(piped > 0, "a stream of 32 MiB was never spliced");
}

#[test]
fn a_reset_amid_a_long_stream_reaches_the_other_side_as_one() {
    for client_resets in [true, false] {
        let ((client, down), (backend, up)) = (connection(), connection());
        let moving = tunnel(down, up);
        let (mut gone, mut left) = if client_resets { (client, backend) } else { (backend, client) };
        gone.write_all(&vec![1; 1 << 20]).expect("a reader");
        left.write_all(b"unread").expect("a reader");
        // Whoever closes with bytes unread resets.
        gone.peek(&mut [0]).expect("the bytes are there");
        drop(gone);
        let heard = left.read_to_end(&mut Vec::new());
        assert!(heard.is_err(), "a cut stream ended like a whole one");
        let who = if client_resets { End::Client } else { End::Backend };
        assert_eq!(moving.join().expect("no panic").0, who);
    }
}
