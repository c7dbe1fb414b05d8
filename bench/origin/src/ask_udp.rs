//! UDP clients: many sockets, each a flow of its own for the proxy, of which `window` at a time wait for an answer.
//!
//! Flows take turns, the one that has waited longest next. A datagram whose answer has not come in time is an error and
//! its flow goes on with the next. So is an answer that is not to what its flow asked last: late, or of another flow.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::ask::{MESSAGE, message, next};
use crate::options::Load;
use crate::poller::{Interest, Poller, loopback};
use crate::tally::Tally;

/// After this long without an answer a datagram is lost: far longer than any queue here is.
const LOST: Duration = Duration::from_millis(500);
/// How often to look for lost ones.
const LOOK: Duration = Duration::from_millis(100);

/// Asks for that time and prints how many answers came and how long they took.
pub fn run(load: Load, window: usize) -> io::Result<()> {
    let mut poller = Poller::new()?;
    let mut flows = (0..load.connections).map(|number| Flow::new(load.to, number)).collect::<Result<Vec<_>, _>>()?;
    for (number, flow) in flows.iter().enumerate() {
        poller.add(&flow.socket, number, Interest::Read)?;
    }
    let mut resting: VecDeque<usize> = (0..flows.len()).collect();
    let mut tally = Tally::new();
    let (mut waiting, mut ready, mut looked) = (0, Vec::new(), Instant::now());
    loop {
        let over = tally.is_over(load.time);
        while waiting < window && !over {
            let Some(number) = resting.pop_front() else { break };
            flows[number].ask()?;
            waiting += 1;
        }
        if waiting == 0 {
            break;
        }
        poller.wait_until(&mut ready, Instant::now() + LOOK)?;
        for number in ready.drain(..) {
            if flows[number].hear(&mut tally) {
                resting.push_back(number);
                waiting -= 1;
            }
        }
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            for (number, flow) in flows.iter_mut().enumerate().filter(|(_, flow)| flow.is_lost()) {
                flow.asked = None;
                tally.errors += 1;
                resting.push_back(number);
                waiting -= 1;
            }
        }
    }
    tally.print()
}

struct Flow {
    socket: UdpSocket,
    message: [u8; MESSAGE],
    asked: Option<Instant>,
}

impl Flow {
    fn new(port: u16, number: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind(loopback(0))?;
        socket.connect(loopback(port))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, message: message(number), asked: None })
    }

    fn ask(&mut self) -> io::Result<()> {
        next(&mut self.message);
        self.asked = Some(Instant::now());
        match self.socket.send(&self.message) {
            // The answer to an earlier datagram: nobody listens. This one is lost, and will be counted so.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// Takes a datagram; true if it is the answer that the flow waits for.
    fn hear(&mut self, tally: &mut Tally) -> bool {
        let mut answer = [0; MESSAGE + 1];
        match self.socket.recv(&mut answer) {
            Ok(count) if answer[..count] == self.message && self.asked.is_some() => {
                tally.took(self.asked.take().expect("just seen"));
                tally.bytes += MESSAGE as u64;
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            _ => {
                tally.errors += 1;
                false
            }
        }
    }

    fn is_lost(&self) -> bool {
        self.asked.is_some_and(|asked| asked.elapsed() > LOST)
    }
}
