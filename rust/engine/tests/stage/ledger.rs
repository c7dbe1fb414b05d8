//! An origin that closes idle connections after a random time and writes down every request it has executed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::content_length;

/// How often each request was executed, by its number.
#[derive(Clone)]
pub struct Ledger(Arc<[AtomicU8]>);

impl Ledger {
    pub fn new(size: usize) -> Ledger {
        Ledger((0..size).map(|_| AtomicU8::new(0)).collect())
    }

    /// Requests that were executed more than once.
    pub fn repeated(&self) -> usize {
        self.0.iter().filter(|count| count.load(Ordering::Relaxed) > 1).count()
    }

    fn note(&self, head: &str) {
        let number = head.split(' ').nth(1).and_then(|path| path.trim_start_matches('/').parse::<usize>().ok());
        if let Some(count) = number.and_then(|number| self.0.get(number)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Starts an origin that lives as long as the test; `idle` are the bounds of its patience.
pub fn origin(ledger: &Ledger, idle: (Duration, Duration)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let ledger = ledger.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let ledger = ledger.clone();
            thread::spawn(move || serve(stream, &ledger, idle));
        }
    });
    port
}

fn serve(mut stream: TcpStream, ledger: &Ledger, idle: (Duration, Duration)) {
    let _ = stream.set_nodelay(true);
    let mut buffer = [0u8; 8192];
    while waits(&stream, idle) {
        let mut got = 0;
        let (head, body) = loop {
            match stream.read(&mut buffer[got..]) {
                Ok(count) if count > 0 => got += count,
                _ => return,
            }
            let text = String::from_utf8_lossy(&buffer[..got]);
            if let Some(end) = text.find("\r\n\r\n") {
                break (text[..end + 4].to_owned(), got - end - 4);
            }
        };
        let mut missing = content_length(&head) - body;
        while missing > 0 {
            match stream.read(&mut buffer) {
                Ok(count) if count > 0 => missing -= count,
                _ => return,
            }
        }
        ledger.note(&head);
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

/// Whether a request begins before a random time has passed.
fn waits(stream: &TcpStream, (least, most): (Duration, Duration)) -> bool {
    let us = fastrand::u64(least.as_micros() as u64..=most.as_micros() as u64);
    let patience = Timespec { tv_sec: (us / 1_000_000) as i64, tv_nsec: (us % 1_000_000) as i64 * 1_000 };
    matches!(poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&patience)), Ok(1))
}
