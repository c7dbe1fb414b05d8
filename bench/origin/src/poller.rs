//! epoll as the loops here need it: level-triggered, one number per socket, and a shared receive buffer's worth of events.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;

/// Bytes of the one receive buffer a loop reads into; also what the floor copies at most in one step.
pub const BUFFER: usize = 64 * 1024;

/// What to be woken for.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Bytes (or the end) to read.
    Read,
    /// Room to send what the socket refused before; reading waits meanwhile.
    Write,
    /// Nothing, until the other socket of a pair has caught up.
    Nothing,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Interest::Read => EventFlags::IN,
            Interest::Write => EventFlags::OUT,
            Interest::Nothing => EventFlags::empty(),
        }
    }
}

/// One epoll instance and the events of its last wait.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// An instance that watches nothing yet.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(1024) })
    }

    /// Watches `socket`; its events carry `token`. Closing the socket ends it.
    pub fn add(&self, socket: impl AsFd, token: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), interest.flags())?)
    }

    /// Changes what a watched socket is woken for.
    pub fn change(&self, socket: impl AsFd, token: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(token as u64), interest.flags())?)
    }

    /// Waits for at least one event and puts the tokens of all into `ready`.
    pub fn wait(&mut self, ready: &mut Vec<usize>) -> io::Result<()> {
        self.wait_for(ready, None)
    }

    /// The same, but no longer than until then (to the millisecond): `ready` may stay empty.
    pub fn wait_until(&mut self, ready: &mut Vec<usize>, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        self.wait_for(ready, Some(&left))
    }

    fn wait_for(&mut self, ready: &mut Vec<usize>, left: Option<&Timespec>) -> io::Result<()> {
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), left) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.clear();
        ready.extend(self.events.iter().map(|event| event.data.u64() as usize));
        Ok(())
    }
}

/// A non-blocking listener on 127.0.0.1.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(loopback(port))?;
    // std listens with a backlog of 128; listening again only raises it. 4,096 is the kernel's own bound.
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Every connection that waits on a listener, ready for a loop.
pub fn accepted(listener: &TcpListener) -> impl Iterator<Item = TcpStream> {
    std::iter::from_fn(|| match listener.accept() {
        Ok((stream, _)) => Some(stream),
        Err(_) => None,
    })
    .filter(|stream| stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok())
}

/// 127.0.0.1 at `port`.
pub fn loopback(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// Connections by number; a freed number is given out again, so numbers stay small.
pub struct Slots<T> {
    entries: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    /// No connection yet.
    pub fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    /// Keeps a connection and says its number.
    pub fn insert(&mut self, entry: T) -> usize {
        let slot = self.free.pop().unwrap_or(self.entries.len());
        if slot == self.entries.len() {
            self.entries.push(None);
        }
        self.entries[slot] = Some(entry);
        slot
    }

    /// The connection of that number, unless it has ended.
    pub fn entry(&mut self, slot: usize) -> Option<&mut T> {
        self.entries.get_mut(slot)?.as_mut()
    }
}

impl<T> Slots<T> {
    /// Drops a connection. Its number is not given out before `recycle`, so that events of the same wait cannot meet a stranger.
    pub fn remove(&mut self, slot: usize, gone: &mut Vec<usize>) {
        if self.entries[slot].take().is_some() {
            gone.push(slot);
        }
    }

    /// Makes the numbers of dropped connections available, after the events of one wait.
    pub fn recycle(&mut self, gone: &mut Vec<usize>) {
        self.free.append(gone);
    }
}
