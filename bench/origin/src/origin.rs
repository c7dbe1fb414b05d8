//! The backends of a benchmark: whole answers lie ready in memory, and a request picks one by its path.
//!
//! `/64`, `/16k` and `/1m` answer that many bytes. `/served` tells how many of those were asked for so far, which is
//! how a run counts requests without trusting a client; `/echo` answers with the head it received, which is how a run
//! checks that every proxy forwards what it should. Pipelined requests are answered in order; whatever one recv
//! brought is answered by one send. A connection reads nothing while an answer is stuck: that is its back-pressure.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::poller::{BUFFER, Interest, Poller, Slots, accepted, listen};
use crate::request::{Request, parse};

/// Answers that one send takes together at most.
const GATHERED: usize = 16;
/// A head beyond this ends its connection.
const HEAD_LIMIT: usize = BUFFER;

/// Serves on all ports until it is killed.
pub fn run(ports: &[u16]) -> io::Result<()> {
    let listeners = ports.iter().map(|port| listen(*port)).collect::<io::Result<Vec<_>>>()?;
    let mut poller = Poller::new()?;
    for (number, listener) in listeners.iter().enumerate() {
        poller.add(listener, number, Interest::Read)?;
    }
    let mut origin = Origin { answers: Answers::new(), served: 0, connections: Slots::new(), buffer: vec![0; BUFFER] };
    let (mut ready, mut gone) = (Vec::new(), Vec::new());
    loop {
        poller.wait(&mut ready)?;
        for token in &ready {
            match token.checked_sub(listeners.len()) {
                None => origin.welcome(&listeners[*token], &poller, listeners.len())?,
                Some(slot) => {
                    if !origin.turn(slot, &poller, listeners.len())? {
                        origin.connections.remove(slot, &mut gone);
                    }
                }
            }
        }
        origin.connections.recycle(&mut gone);
    }
}

struct Origin {
    answers: Answers,
    served: u64,
    connections: Slots<Connection>,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// The start of a head whose rest has not come yet.
    partial: Vec<u8>,
    owed: VecDeque<Owed>,
    closing: bool,
    interest: Interest,
}

/// An answer on its way out, and how much of it is sent.
struct Owed {
    answer: Answer,
    sent: usize,
}

enum Answer {
    Ready(usize),
    Made(Vec<u8>),
}

impl Origin {
    fn welcome(&mut self, listener: &TcpListener, poller: &Poller, first: usize) -> io::Result<()> {
        for stream in accepted(listener) {
            let owed = VecDeque::new();
            let connection = Connection { stream, partial: Vec::new(), owed, closing: false, interest: Interest::Read };
            let slot = self.connections.insert(connection);
            let connection = self.connections.entry(slot).expect("just inserted");
            poller.add(&connection.stream, first + slot, Interest::Read)?;
        }
        Ok(())
    }

    /// One event of one connection; false when the connection is over.
    fn turn(&mut self, slot: usize, poller: &Poller, first: usize) -> io::Result<bool> {
        let Some(connection) = self.connections.entry(slot) else {
            return Ok(true);
        };
        if connection.interest == Interest::Read {
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    if !connection.take(&self.buffer[..count], &self.answers, &mut self.served) {
                        return Ok(false);
                    }
                }
                Err(error) => return Ok(error.kind() == ErrorKind::WouldBlock),
            }
        }
        if connection.send(&self.answers).is_err() {
            return Ok(false);
        }
        let wanted = if connection.owed.is_empty() { Interest::Read } else { Interest::Write };
        if wanted != connection.interest {
            connection.interest = wanted;
            poller.change(&connection.stream, first + slot, wanted)?;
        }
        Ok(!(connection.closing && connection.owed.is_empty()))
    }
}

impl Connection {
    /// Queues an answer for every whole request at hand; false if a head is too long.
    fn take(&mut self, received: &[u8], answers: &Answers, served: &mut u64) -> bool {
        if self.partial.is_empty() {
            let used = self.requests(received, answers, served);
            self.partial.extend_from_slice(&received[used..]);
        } else {
            let mut all = std::mem::take(&mut self.partial);
            all.extend_from_slice(received);
            let used = self.requests(&all, answers, served);
            all.drain(..used);
            self.partial = all;
        }
        self.partial.len() <= HEAD_LIMIT
    }

    fn requests(&mut self, bytes: &[u8], answers: &Answers, served: &mut u64) -> usize {
        let mut used = 0;
        while !self.closing {
            let Some(request) = parse(&bytes[used..]) else {
                break;
            };
            used += request.head.len();
            self.owed.push_back(Owed { answer: answers.pick(&request, served), sent: 0 });
            self.closing = request.close || request.path.is_empty();
        }
        used
    }

    fn send(&mut self, answers: &Answers) -> io::Result<()> {
        while !self.owed.is_empty() {
            let count = if self.owed.len() == 1 {
                self.stream.write(self.owed[0].rest(answers))
            } else {
                let rests = self.owed.iter().take(GATHERED).map(|owed| IoSlice::new(owed.rest(answers)));
                self.stream.write_vectored(&rests.collect::<Vec<_>>())
            };
            match count {
                Ok(count) => self.settle(count, answers),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn settle(&mut self, mut count: usize, answers: &Answers) {
        while let Some(owed) = self.owed.front_mut() {
            let rest = owed.rest(answers).len();
            if count < rest {
                owed.sent += count;
                return;
            }
            count -= rest;
            self.owed.pop_front();
        }
    }
}

impl Owed {
    fn rest<'a>(&'a self, answers: &'a Answers) -> &'a [u8] {
        match &self.answer {
            Answer::Ready(number) => &answers.ready[*number].2[self.sent..],
            Answer::Made(bytes) => &bytes[self.sent..],
        }
    }
}

/// The answers that lie ready, by path and by whether the connection ends with them.
struct Answers {
    ready: Vec<(&'static [u8], bool, Vec<u8>)>,
}

impl Answers {
    fn new() -> Self {
        let sizes: [(&[u8], usize); 3] = [(b"/64", 64), (b"/16k", 16 << 10), (b"/1m", 1 << 20)];
        let body = |size: usize| b"0123456789abcdef".repeat(size / 16);
        let ready = [false, true]
            .into_iter()
            .flat_map(|close| sizes.map(|(path, size)| (path, close, answer("200 OK", close, &body(size)))));
        Self { ready: ready.collect() }
    }

    fn pick(&self, request: &Request<'_>, served: &mut u64) -> Answer {
        let fits = |entry: &(&[u8], bool, Vec<u8>)| entry.0 == request.path && entry.1 == request.close;
        if let Some(number) = self.ready.iter().position(fits) {
            *served += 1;
            return Answer::Ready(number);
        }
        Answer::Made(match request.path {
            b"/served" => answer("200 OK", request.close, format!("{served}\n").as_bytes()),
            b"/echo" => answer("200 OK", request.close, request.head),
            b"" => answer("405 Method Not Allowed", true, b"only GET\n"),
            _ => answer("404 Not Found", request.close, b"try /64, /16k, /1m, /served or /echo\n"),
        })
    }
}

/// A constant Date: proxies add one of their own to answers without it, and making one is not the origin's work here.
fn answer(status: &str, close: bool, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let connection = if close { "Connection: close\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nServer: origin\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
         Content-Type: text/plain\r\nContent-Length: {length}\r\n{connection}\r\n"
    );
    [head.as_bytes(), body].concat()
}
