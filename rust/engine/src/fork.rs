//! Listening sockets and fork(2): a forked child must not keep a port open that nobody serves there.
//!
//! Descriptors close by themselves at exec, but a program that embeds the engine may fork without it, as Python's
//! multiprocessing does. The child's only thread runs the handler below, in which no lock may be taken and nothing
//! allocated; so the numbers of all listening sockets lie in a fixed table of atomics.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};

const NONE: RawFd = -1;

/// Sockets beyond this many are not closed in a child.
static LISTENING: [AtomicI32; 4096] = [const { AtomicI32::new(NONE) }; 4096];

/// A listening socket that closes in a forked child.
pub(crate) struct ListeningSocket {
    socket: OwnedFd,
    place: Option<&'static AtomicI32>,
}

impl ListeningSocket {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            // SAFETY: the handler makes one kind of call, close(2), which is safe between fork and exec.
            unsafe { libc::pthread_atfork(None, None, Some(close_all)) };
        });
        let number = socket.as_raw_fd();
        let take =
            |place: &&AtomicI32| place.compare_exchange(NONE, number, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        ListeningSocket { socket, place: LISTENING.iter().find(take) }
    }
}

impl Drop for ListeningSocket {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            place.store(NONE, Ordering::Relaxed);
        }
    }
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for ListeningSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Runs in the child. Its copies of the owners never run again: no thread of the engine lives there.
unsafe extern "C" fn close_all() {
    for place in &LISTENING {
        let number = place.swap(NONE, Ordering::Relaxed);
        if number != NONE {
            // SAFETY: the number is that of a listening socket, inherited a moment ago and used by nobody here.
            unsafe { libc::close(number) };
        }
    }
}
