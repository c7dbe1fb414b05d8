//! TCP backends: one sends back what it gets, the other sends without end.
//!
//! Both run until stdin ends and then print what they have seen, so that a run can compare both ends.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::poller::{BUFFER, Interest, Poller, Slots, accepted, listen};
use crate::tally::Tally;

/// What a connection gets.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Its own bytes.
    Echo,
    /// `0123456789abcdef`, over and over.
    Stream,
}

/// Bytes that one send of a stream offers.
const OFFER: usize = 256 * 1024;
const PATTERN: &[u8; 16] = b"0123456789abcdef";

/// Serves on all ports until stdin ends. Prints `serving` once it does.
pub fn run(ports: &[u16], kind: Kind) -> io::Result<()> {
    let listeners = ports.iter().map(|port| listen(*port)).collect::<io::Result<Vec<_>>>()?;
    let mut poller = Poller::new()?;
    poller.add(io::stdin(), 0, Interest::Read)?;
    for (number, listener) in listeners.iter().enumerate() {
        poller.add(listener, number + 1, Interest::Read)?;
    }
    let first = listeners.len() + 1;
    let interest = if kind == Kind::Echo { Interest::Read } else { Interest::Write };
    let mut clients: Slots<Client> = Slots::new();
    let (mut ready, mut gone, mut tally) = (Vec::new(), Vec::new(), Tally::new());
    let mut room = PATTERN.repeat(OFFER.max(BUFFER) / PATTERN.len());
    println!("serving");
    loop {
        poller.wait(&mut ready)?;
        for token in &ready {
            if *token == 0 {
                return tally.print();
            }
            let Some(slot) = token.checked_sub(first) else {
                for stream in accepted(&listeners[token - 1]) {
                    let slot = clients.insert(Client { stream, owed: Vec::new(), sent: 0 });
                    let client = clients.entry(slot).expect("just inserted");
                    poller.add(&client.stream, first + slot, interest)?;
                }
                continue;
            };
            let Some(client) = clients.entry(slot) else { continue };
            let count = match kind {
                Kind::Echo => client.echo(&mut room, &poller, first + slot),
                Kind::Stream => client.stream(&room),
            };
            match count {
                Ok(Some(count)) => {
                    tally.count();
                    tally.bytes += count as u64;
                }
                // Clients close when their time is over; what that breaks, they have counted themselves.
                Ok(None) | Err(_) => clients.remove(slot, &mut gone),
            }
        }
        clients.recycle(&mut gone);
    }
}

struct Client {
    stream: TcpStream,
    /// Bytes to send back that the socket refused; until they are gone, nothing is read.
    owed: Vec<u8>,
    /// Bytes of the stream sent so far.
    sent: usize,
}

impl Client {
    /// One event: bytes come in and go out again. None at the end.
    fn echo(&mut self, room: &mut [u8], poller: &Poller, token: usize) -> io::Result<Option<usize>> {
        let owed = std::mem::take(&mut self.owed);
        let bytes = if owed.is_empty() {
            match self.stream.read(room) {
                Ok(0) => return Ok(None),
                Ok(count) => &room[..count],
                Err(error) if error.kind() == ErrorKind::WouldBlock => &[],
                Err(error) => return Err(error),
            }
        } else {
            &owed[..]
        };
        let sent = taken(self.stream.write(bytes))?;
        self.owed.extend_from_slice(&bytes[sent..]);
        if owed.is_empty() != self.owed.is_empty() {
            let interest = if self.owed.is_empty() { Interest::Read } else { Interest::Write };
            poller.change(&self.stream, token, interest)?;
        }
        Ok(Some(sent))
    }

    fn stream(&mut self, room: &[u8]) -> io::Result<Option<usize>> {
        let sent = taken(self.stream.write(&room[self.sent % PATTERN.len()..]))?;
        self.sent += sent;
        Ok(Some(sent))
    }
}

fn taken(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
