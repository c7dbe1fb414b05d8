//! TCP clients that send 256 bytes, wait for the same bytes, and send the next: the smallest thing a relay is asked for.
//!
//! Every message is unlike all others, so that bytes of another connection, or old ones, are seen.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::options::Load;
use crate::poller::{Interest, Poller, loopback};
use crate::tally::Tally;

/// Bytes of a message, over TCP and UDP alike.
pub const MESSAGE: usize = 256;
/// How long to wait for the last answers; those that are still missing then are errors.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for that time and prints how many answers came and how long they took.
pub fn run(load: Load) -> io::Result<()> {
    let poller = &mut Poller::new()?;
    let mut clients =
        (0..load.connections).map(|number| Client::new(load.to, number)).collect::<Result<Vec<_>, _>>()?;
    let mut tally = Tally::new();
    for (number, client) in clients.iter_mut().enumerate() {
        poller.add(&client.stream, number, Interest::Read)?;
        client.ask()?;
    }
    let (mut asking, mut ready, patience) = (clients.len(), Vec::new(), tally.end(load.time) + PATIENCE);
    while asking > 0 && Instant::now() < patience {
        poller.wait_until(&mut ready, patience)?;
        for number in ready.drain(..) {
            let client = &mut clients[number];
            match client.hear() {
                Ok(false) => continue,
                Ok(true) => {
                    tally.took(client.asked);
                    tally.bytes += MESSAGE as u64;
                    if !tally.is_over(load.time) && client.ask().is_ok() {
                        continue;
                    }
                }
                Err(_) => tally.errors += 1,
            }
            // A connection that failed asks no more: one error each, and the rest goes on.
            poller.change(&client.stream, number, Interest::Nothing)?;
            asking -= 1;
        }
    }
    tally.errors += asking as u64;
    tally.print()
}

struct Client {
    stream: TcpStream,
    message: [u8; MESSAGE],
    answer: [u8; MESSAGE],
    heard: usize,
    asked: Instant,
}

impl Client {
    fn new(port: u16, number: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(loopback(port))?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, message: message(number), answer: [0; MESSAGE], heard: 0, asked: Instant::now() })
    }

    fn ask(&mut self) -> io::Result<()> {
        next(&mut self.message);
        (self.heard, self.asked) = (0, Instant::now());
        self.stream.write_all(&self.message)
    }

    /// Whether the whole answer is there.
    fn hear(&mut self) -> io::Result<bool> {
        match self.stream.read(&mut self.answer[self.heard..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => self.heard += count,
        }
        if self.heard < MESSAGE {
            return Ok(false);
        }
        if self.answer == self.message { Ok(true) } else { Err(io::Error::other("an answer to somebody else")) }
    }
}

/// The first message of a connection or flow: its number, and a count of messages behind it.
pub fn message(number: usize) -> [u8; MESSAGE] {
    let mut message = [number as u8; MESSAGE];
    message[..8].copy_from_slice(&(number as u64).to_be_bytes());
    message[8..16].fill(0);
    message
}

/// Makes it the next message.
pub fn next(message: &mut [u8; MESSAGE]) {
    let (_, rest) = message.split_at_mut(8);
    let (count, _) = rest.split_first_chunk_mut::<8>().expect("256 bytes");
    *count = (u64::from_be_bytes(*count) + 1).to_be_bytes();
}
