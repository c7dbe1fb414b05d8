//! TCP clients that take whatever comes, as fast as it comes.
//!
//! The kernel is asked to drop the bytes instead of copying them (MSG_TRUNC, tcp(7)): the client shares its core with the
//! server, and what it does not spend lets both keep the proxy busy. Whether the bytes are right is checked before.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use rustix::net::{RecvFlags, recv};

use crate::options::Load;
use crate::poller::{Interest, Poller, loopback};
use crate::tally::Tally;

/// Bytes to drop in one call at most.
const GULP: usize = 1 << 20;

/// Takes bytes for that time and prints how many.
pub fn run(load: Load) -> io::Result<()> {
    let mut poller = Poller::new()?;
    let connect = |_| TcpStream::connect(loopback(load.to));
    let streams = (0..load.connections).map(connect).collect::<Result<Vec<_>, _>>()?;
    for (number, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true)?;
        poller.add(stream, number, Interest::Read)?;
    }
    let (mut tally, mut ready, mut room) = (Tally::new(), Vec::new(), vec![0; GULP]);
    while !tally.is_over(load.time) {
        poller.wait_until(&mut ready, tally.end(load.time).max(Instant::now()))?;
        for number in ready.drain(..) {
            match recv(&streams[number], &mut room[..], RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
                Ok((_, count)) if count > 0 => {
                    tally.count();
                    tally.bytes += count as u64;
                }
                Err(rustix::io::Errno::AGAIN) => {}
                // The server never ends by itself.
                Ok(_) | Err(_) => {
                    tally.errors += 1;
                    poller.change(&streams[number], number, Interest::Nothing)?;
                }
            }
        }
    }
    tally.print()
}
