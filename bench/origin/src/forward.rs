//! The floor: a proxy that copies bytes and understands none of them.
//!
//! One upstream connection per client connection, opened when the client comes and closed with it. Each event is one
//! recv into a shared buffer and one send to the other side. What a send refuses is kept, and until it is gone nothing
//! more is read from where it came. No proxy that parses can be cheaper on keep-alive traffic; one that reuses upstream
//! connections can be where every request comes on a connection of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::poller::{BUFFER, Interest, Poller, Slots, accepted, listen, loopback};

/// The listener's token; sides of pairs count from 1 on.
const LISTENER: usize = 0;

/// Forwards until it is killed, taking the upstream ports in turn.
pub fn run(own: u16, to: &[u16]) -> io::Result<()> {
    let listener = listen(own)?;
    let mut poller = Poller::new()?;
    poller.add(&listener, LISTENER, Interest::Read)?;
    let mut turns = to.iter().copied().cycle();
    let mut pairs: Slots<Pair> = Slots::new();
    let (mut ready, mut gone, mut buffer) = (Vec::new(), Vec::new(), vec![0; BUFFER]);
    loop {
        poller.wait(&mut ready)?;
        for token in &ready {
            let Some(side) = token.checked_sub(LISTENER + 1) else {
                for client in accepted(&listener) {
                    let upstream = turns.next().map(connect);
                    // A client whose upstream cannot be reached is dropped: an error that the load generator counts.
                    if let Some(Ok(upstream)) = upstream {
                        watch(Pair::new(client, upstream), &mut pairs, &poller)?;
                    }
                }
                continue;
            };
            let Some(pair) = pairs.entry(side / 2) else {
                continue;
            };
            if pair.turn(side % 2, &mut buffer).is_err() || pair.is_over() {
                pairs.remove(side / 2, &mut gone);
            } else {
                pair.rearm(side / 2, &poller)?;
            }
        }
        pairs.recycle(&mut gone);
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let upstream = TcpStream::connect(loopback(port))?;
    upstream.set_nonblocking(true)?;
    upstream.set_nodelay(true)?;
    Ok(upstream)
}

fn watch(pair: Pair, pairs: &mut Slots<Pair>, poller: &Poller) -> io::Result<()> {
    let slot = pairs.insert(pair);
    let pair = pairs.entry(slot).expect("just inserted");
    for side in 0..2 {
        poller.add(&pair.ends[side].stream, token(slot, side), Interest::Read)?;
    }
    Ok(())
}

fn token(slot: usize, side: usize) -> usize {
    LISTENER + 1 + slot * 2 + side
}

struct Pair {
    ends: [End; 2],
}

struct End {
    stream: TcpStream,
    /// Bytes for this end that its socket refused.
    backlog: Vec<u8>,
    /// This end has sent its last byte.
    ended: bool,
    interest: Interest,
}

impl Pair {
    fn new(client: TcpStream, upstream: TcpStream) -> Self {
        let end = |stream| End { stream, backlog: Vec::new(), ended: false, interest: Interest::Read };
        Self { ends: [end(client), end(upstream)] }
    }

    /// One event at one side: its backlog goes out, or what it sent goes to the other side.
    fn turn(&mut self, side: usize, buffer: &mut [u8]) -> io::Result<()> {
        if self.ends[side].interest == Interest::Write {
            let backlog = std::mem::take(&mut self.ends[side].backlog);
            return self.ends[side].send(&backlog);
        }
        match self.ends[side].stream.read(buffer) {
            Ok(0) => self.ends[side].ended = true,
            Ok(count) => self.ends[1 - side].send(&buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Either end has finished and nothing is left to hand over: HTTP needs no half-open connections here.
    fn is_over(&self) -> bool {
        (0..2).any(|side| self.ends[side].ended && self.ends[1 - side].backlog.is_empty())
    }

    fn rearm(&mut self, slot: usize, poller: &Poller) -> io::Result<()> {
        for side in 0..2 {
            let wanted = match (self.ends[side].backlog.is_empty(), self.ends[1 - side].backlog.is_empty()) {
                (false, _) => Interest::Write,
                (true, true) if !self.ends[side].ended => Interest::Read,
                (true, _) => Interest::Nothing,
            };
            if wanted != self.ends[side].interest {
                self.ends[side].interest = wanted;
                poller.change(&self.ends[side].stream, token(slot, side), wanted)?;
            }
        }
        Ok(())
    }
}

impl End {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = match self.stream.write(bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.backlog.extend_from_slice(&bytes[sent..]);
        Ok(())
    }
}
