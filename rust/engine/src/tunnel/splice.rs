//! Bytes that go from one socket to another without a visit here: splice(2) by way of a pipe.
//!
//! It saves the two copies of long streams and costs a call more per round, so short ones are cheaper by the worker's
//! buffer. Where it pays was measured (`rust/README.md`): a way is spliced once [`ENOUGH`] bytes have come in reads
//! that filled the buffer, and is copied again as soon as less than [`LITTLE`] comes at a time.
//!
//! A pipe belongs to a way only while bytes are in it; in between it lies in the worker's small [`Pipes`]. It is filled
//! only when it is empty. That is what makes "would block" plain: from an empty pipe's filling it means that the
//! socket has nothing, from a full one's it could as well mean the pipe, and the runtime would forget a socket that is
//! readable. For the same reason there is no more than one pipe's content between the two ends.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes of full reads behind which a way is spliced.
pub(super) const ENOUGH: u32 = 64 * 1024;
/// Less than this in one go is copied.
pub(super) const LITTLE: usize = 16 * 1024;

/// Bytes that a pipe takes at most.
const SIZE: usize = 256 * 1024;
/// Pipes that one worker has at most, lent or not: who stops reading keeps one.
const MOST: usize = 256;
/// Of these, kept while nobody needs them.
const SPARE: usize = 16;
/// Descriptors below the limit that pipes leave alone.
const SPARE_DESCRIPTORS: u64 = 64;

/// The pipes of one worker.
pub(crate) struct Pipes {
    spare: Vec<Pipe>,
    /// As many times as there are pipes, and once more.
    count: Rc<()>,
    descriptor_limit: u64,
}

/// A pipe, and how many bytes are in it.
pub(crate) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    filled: usize,
    _one: Rc<()>,
}

impl Pipes {
    pub(crate) fn new(descriptor_limit: u64) -> Self {
        Pipes { spare: Vec::new(), count: Rc::default(), descriptor_limit }
    }

    /// An empty pipe, unless there are too many or there is no descriptor for it.
    pub(super) fn take(&mut self) -> Option<Pipe> {
        self.spare.pop().or_else(|| self.open())
    }

    /// Takes a pipe back if it is empty.
    pub(super) fn give(&mut self, pipe: Pipe) {
        if pipe.filled == 0 && self.spare.len() < SPARE {
            self.spare.push(pipe);
        }
    }

    fn open(&self) -> Option<Pipe> {
        if Rc::strong_count(&self.count) > MOST {
            return None;
        }
        let (out, into) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        if into.as_raw_fd() as u64 + SPARE_DESCRIPTORS >= self.descriptor_limit {
            return None;
        }
        // A user who has many large pipes gets small ones, which do as well.
        let _ = rustix::pipe::fcntl_setpipe_size(&into, SIZE);
        Some(Pipe { out, into, filled: 0, _one: Rc::clone(&self.count) })
    }
}

impl Pipe {
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Takes what the socket has into the empty pipe; 0 is the peer's FIN.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, from: &TcpStream) -> Poll<io::Result<usize>> {
        debug_assert_eq!(self.filled, 0, "a pipe is filled only when it is empty");
        loop {
            ready!(from.poll_read_ready(cx))?;
            let spliced = from.try_io(Interest::READABLE, || splice(from, &self.into, SIZE));
            match spliced {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    self.filled = count;
                    return Poll::Ready(Ok(count));
                }
            }
        }
    }

    /// Passes on what is in the pipe; ready when it is empty.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<()>> {
        while self.filled > 0 {
            ready!(to.poll_write_ready(cx))?;
            let spliced = to.try_io(Interest::WRITABLE, || splice(&self.out, to, self.filled));
            match spliced {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => self.filled -= count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn splice(from: impl AsFd, to: impl AsFd, count: usize) -> io::Result<usize> {
    loop {
        match rustix::pipe::splice(&from, None, &to, None, count, SpliceFlags::MOVE | SpliceFlags::NONBLOCK) {
            Err(Errno::INTR) => {}
            result => return result.map_err(Into::into),
        }
    }
}

#[cfg(test)]
mod tests;
