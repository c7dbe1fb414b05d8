//! HTTP requests at a fixed rate, whatever the answers do: how long does a client wait?
//!
//! A request is due at a tick of the clock and its time runs from there, also while every connection still waits for an
//! answer and it could not even be sent. A generator that sends the next request only after the last answer measures the
//! good moments more often than the bad ones; this one does not.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::idle::{REQUEST, is_whole};
use crate::options::Load;
use crate::poller::{Interest, Poller, loopback};
use crate::tally::Tally;

/// How long to wait for the last answers; those that are still missing then are errors.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks `rate` times a second for that time and prints how long the answers took.
pub fn run(load: Load, rate: usize) -> io::Result<()> {
    let mut poller = Poller::new()?;
    let mut clients = (0..load.connections).map(|_| Client::new(load.to)).collect::<Result<Vec<_>, _>>()?;
    let mut free: Vec<usize> = (0..clients.len()).collect();
    for (number, client) in clients.iter().enumerate() {
        poller.add(&client.stream, number + 1, Interest::Read)?;
    }
    let period = Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX);
    let timer = ticking(period)?;
    poller.add(&timer, 0, Interest::Read)?;
    let (mut due, mut ready, mut tally) = (VecDeque::new(), Vec::new(), Tally::new());
    let (mut next, end) = (Instant::now() + period, tally.end(load.time));
    while !tally.is_over(load.time)
        || ((!due.is_empty() || free.len() < clients.len()) && Instant::now() < end + PATIENCE)
    {
        poller.wait_until(&mut ready, end + PATIENCE)?;
        for token in ready.drain(..) {
            let Some(number) = token.checked_sub(1) else {
                rustix::io::read(&timer, &mut [0; 8])?;
                while next <= Instant::now() && next < end {
                    due.push_back(next);
                    next += period;
                }
                continue;
            };
            match clients[number].hear() {
                Ok(None) => continue,
                Ok(Some(asked)) => tally.took(asked),
                Err(_) => {
                    tally.errors += 1;
                    clients[number] = Client::new(load.to)?;
                    poller.add(&clients[number].stream, token, Interest::Read)?;
                }
            }
            free.push(number);
        }
        while let Some(number) = free.pop_if(|_| !due.is_empty()) {
            clients[number].ask(due.pop_front().expect("just looked"))?;
        }
    }
    tally.errors += (due.len() + clients.len() - free.len()) as u64;
    tally.print()
}

fn ticking(period: Duration) -> io::Result<rustix::fd::OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let period = Timespec { tv_sec: period.as_secs() as i64, tv_nsec: i64::from(period.subsec_nanos()) };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: period, it_value: period })?;
    Ok(timer)
}

struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
    asked: Option<Instant>,
}

impl Client {
    fn new(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(loopback(port))?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(1024), asked: None })
    }

    fn ask(&mut self, due: Instant) -> io::Result<()> {
        self.asked = Some(due);
        match self.stream.write_all(REQUEST) {
            // Closed meanwhile: the event that says so is counted as the error.
            Err(error) if error.kind() != ErrorKind::WouldBlock => Ok(()),
            sent => sent,
        }
    }

    /// When the request was due that now has its answer; None while that is not whole.
    fn hear(&mut self) -> io::Result<Option<Instant>> {
        let mut room = [0; 2048];
        match self.stream.read(&mut room)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => self.answer.extend_from_slice(&room[..count]),
        }
        if !is_whole(&self.answer) {
            return Ok(None);
        }
        let right = self.answer.starts_with(b"HTTP/1.1 200");
        self.answer.clear();
        self.asked.take().filter(|_| right).map(Some).ok_or_else(|| io::Error::other("the answer is not a 200"))
    }
}
