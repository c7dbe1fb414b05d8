//! UDP backends that send every datagram back to where it came from.
//!
//! They run until stdin ends and then print how many there were.

use std::io;
use std::net::UdpSocket;

use crate::poller::{Interest, Poller, loopback};
use crate::tally::Tally;

/// Datagrams of one socket in a row, before the next socket has its turn.
const ROUND: usize = 64;
/// Room for a burst that comes while the load generator has the core.
const BURST: usize = 4 << 20;

/// Serves on all ports until stdin ends. Prints `serving` once it does.
pub fn run(ports: &[u16]) -> io::Result<()> {
    let sockets = ports.iter().map(|port| UdpSocket::bind(loopback(*port))).collect::<io::Result<Vec<_>>>()?;
    let mut poller = Poller::new()?;
    poller.add(io::stdin(), 0, Interest::Read)?;
    for (number, socket) in sockets.iter().enumerate() {
        socket.set_nonblocking(true)?;
        // Only root may go beyond the system's bound; without, the usual room does.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, BURST);
        poller.add(socket, number + 1, Interest::Read)?;
    }
    let (mut tally, mut ready, mut room) = (Tally::new(), Vec::new(), vec![0; 64 * 1024]);
    println!("serving");
    loop {
        poller.wait(&mut ready)?;
        for token in &ready {
            if *token == 0 {
                return tally.print();
            }
            let socket = &sockets[token - 1];
            for _ in 0..ROUND {
                let Ok((count, from)) = socket.recv_from(&mut room) else { break };
                match socket.send_to(&room[..count], from) {
                    Ok(_) => tally.count(),
                    Err(_) => tally.errors += 1,
                }
                tally.bytes += count as u64;
            }
        }
    }
}
