//! One stream socket, TCP or UNIX, as the rest of the engine sees it; with TLS over it, if there is.
//!
//! Reading goes through `poll_read`: a read shorter than the buffer tells tokio that the socket is empty, so
//! the next poll costs no system call. Writing is optimistic: it is tried at once, and what the kernel does
//! not take is the caller's backlog.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::arrival::Ends;
use crate::tls::facts::Facts;
use crate::tls::stream::Stream;

/// A connected stream, registered with the worker's runtime.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Either of them under TLS: all below is about plaintext.
    Tls(Box<Stream>),
}

impl Socket {
    /// Reads into `buffer`; `Ok(0)` is the peer's FIN, announced by `close_notify` where TLS is spoken.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut target = ReadBuf::new(buffer);
        ready!(match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut target),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, &mut target),
            Socket::Tls(stream) => return stream.poll_read(cx, buffer),
        })?;
        Poll::Ready(Ok(target.filled().len()))
    }

    /// Writes from `slices`, one `send` for a single slice and one `writev` for several. TLS may still hold ciphertext of
    /// what it took: [`Socket::poll_flush`].
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match (self, slices) {
            (Socket::Tcp(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Socket::Tcp(stream), many) => Pin::new(stream).poll_write_vectored(cx, many),
            (Socket::Unix(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Socket::Unix(stream), many) => Pin::new(stream).poll_write_vectored(cx, many),
            (Socket::Tls(stream), all) => stream.poll_write(cx, all),
        }
    }

    /// Ready once the kernel has all that was written.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tls(stream) => stream.poll_flush(cx),
            Socket::Tcp(_) | Socket::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    /// Bytes that were written and that the kernel does not have.
    pub(crate) fn unsent(&self) -> usize {
        match self {
            Socket::Tls(stream) => stream.unsent(),
            Socket::Tcp(_) | Socket::Unix(_) => 0,
        }
    }

    /// What was agreed on, where TLS is spoken.
    pub(crate) fn tls(&self) -> Option<&Rc<Facts>> {
        match self {
            Socket::Tls(stream) => Some(stream.facts()),
            Socket::Tcp(_) | Socket::Unix(_) => None,
        }
    }

    /// Whether the runtime has seen data, a FIN or an error that nobody has read yet; if not, it wakes `watcher` when
    /// it does. No system call. It may be wrong after a read that filled its buffer.
    pub(crate) fn has_news(&self, watcher: &Waker) -> bool {
        let mut cx = Context::from_waker(watcher);
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(&mut cx).is_ready(),
            Socket::Unix(stream) => stream.poll_read_ready(&mut cx).is_ready(),
            Socket::Tls(stream) => stream.has_read() || stream.socket().has_news(watcher),
        }
    }

    /// The same question put to the kernel (one `recv` that takes nothing), for when a guess is not enough.
    pub(crate) fn has_news_now(&self) -> bool {
        !matches!(self.peek(), Err(rustix::io::Errno::AGAIN))
    }

    /// For a connection on which nobody owes anything: whether something was said, or it was closed. `watcher` is woken by
    /// what comes later.
    pub(crate) fn is_disturbed(&mut self, watcher: &Waker) -> bool {
        match self {
            // The kernel has the last word: the runtime may not know yet.
            Socket::Tls(stream) => {
                !stream.is_quiet(&mut Context::from_waker(watcher)) || stream.socket().has_news_now()
            }
            _ => self.has_news_now(),
        }
    }

    /// Whether the peer has closed and nothing is left to read.
    pub(crate) fn is_closed_now(&self) -> bool {
        match self.peek() {
            Ok(count) => count == 0,
            Err(error) => error != rustix::io::Errno::AGAIN,
        }
    }

    fn peek(&self) -> rustix::io::Result<usize> {
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        rustix::net::recv(self.descriptor(), &mut [0u8; 1], flags).map(|(count, _)| count)
    }

    /// Where the connection comes from and what it went to; `None` if these are no addresses with ports.
    pub(crate) fn ends(&self) -> Option<Ends> {
        match self {
            Socket::Tcp(stream) => Some((stream.peer_addr().ok()?, stream.local_addr().ok()?)),
            Socket::Unix(_) => None,
            Socket::Tls(stream) => stream.socket().ends(),
        }
    }

    /// The TCP socket, if it is one in clear.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Socket::Tcp(stream) => Some(stream),
            Socket::Unix(_) | Socket::Tls(_) => None,
        }
    }

    /// Sends FIN, behind `close_notify` where TLS is spoken; the other direction stays open.
    pub(crate) fn shutdown_write(&mut self, cx: &mut Context<'_>) {
        if let Socket::Tls(stream) = self {
            return stream.shutdown_write(cx);
        }
        let _ = rustix::net::shutdown(self.descriptor(), rustix::net::Shutdown::Write);
    }

    /// Before a socket is closed at the end of a message: TLS says so, that nobody takes the end for a cut.
    pub(crate) fn farewell(&mut self) {
        if let Socket::Tls(stream) = self {
            stream.farewell();
        }
    }

    /// Makes closing send RST, so that the peer cannot take the end of the stream for the end of a message.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Socket::Tcp(stream) => drop(stream.set_zero_linger()),
            Socket::Unix(_) => {}
            Socket::Tls(stream) => stream.socket().reset_on_close(),
        }
    }

    /// The descriptor's number.
    pub(crate) fn number(&self) -> RawFd {
        self.descriptor().as_raw_fd()
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
            Socket::Tls(stream) => stream.socket().descriptor(),
        }
    }
}
