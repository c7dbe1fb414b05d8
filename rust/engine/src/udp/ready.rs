//! Which sockets have datagrams: a poll instance of our own, which the runtime watches as one descriptor.
//!
//! The runtime's own way costs a flow a registration, a wake-up of its task and, as it is told of changes only, a read
//! in vain behind every datagram. Here thousands of sockets are one task: a call tells of up to [`EVENTS`] of them, one
//! datagram is read from each, and where more waits, the next call says so again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets told of by one call.
pub(super) const EVENTS: usize = 128;

/// The sockets that are watched.
pub(super) struct Ready {
    set: AsyncFd<OwnedFd>,
}

impl Ready {
    pub(super) fn new() -> io::Result<Self> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        // SAFETY: the descriptor is owned by the value handed over, which is never replaced while it is registered.
        let set = unsafe { AsyncFd::register_with_interest(set, Interest::READABLE) };
        Ok(Ready { set: set.map_err(io::Error::from)? })
    }

    /// Watches a socket under a name of the caller's.
    pub(super) fn add(&self, socket: impl AsFd, name: u64) -> io::Result<()> {
        Ok(epoll::add(self.set.get_ref(), socket, EventData::new_u64(name), EventFlags::IN)?)
    }

    /// To be called before the socket is closed: a forked child may hold it open.
    pub(super) fn remove(&self, socket: impl AsFd) {
        let _ = epoll::delete(self.set.get_ref(), socket);
    }

    /// The names of sockets that have something: at least one.
    pub(super) fn poll(&self, cx: &mut Context<'_>, events: &mut Vec<Event>) -> Poll<()> {
        while let Poll::Ready(Ok(mut ready)) = self.set.poll_read_ready(cx) {
            events.clear();
            let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let told = epoll::wait(self.set.get_ref(), rustix::buffer::spare_capacity(events), Some(&at_once));
            if told.is_ok_and(|count| count > 0) {
                return Poll::Ready(());
            }
            ready.clear_ready();
        }
        Poll::Pending
    }
}
