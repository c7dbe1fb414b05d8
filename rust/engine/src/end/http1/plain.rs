//! The same connection after a switch of protocols: bytes that mean nothing here.
//!
//! What was read ahead comes first, what the socket refuses is the backlog as ever. The end of the stream is
//! passed on as what it was: a FIN stays a FIN, and what was cut ends in a reset.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use super::{AHEAD, Conn, Reading, Writing};

impl Conn {
    /// From here on both directions are plain bytes.
    pub(crate) fn become_plain(&mut self) {
        self.reading = Reading::Done;
        self.writing = Writing::Plain;
        self.reusable = false;
    }

    /// Fills the start of `receive`; 0 is the peer's FIN.
    ///
    /// # Errors
    /// The peer has reset the connection, also where only a write got to hear it.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>, receive: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Ok(self.ahead.move_into(receive)));
        }
        match ready!(self.socket.poll_read(cx, receive))? {
            0 if self.broken => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            count => Poll::Ready(Ok(count)),
        }
    }

    /// Sends `bytes`; the caller has seen that there is room.
    pub(crate) fn offer_bytes(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        self.push(cx, &[IoSlice::new(bytes)])
    }

    /// Reads ahead for whoever will take it, up to a bound, and hears of a reset. A FIN is kept for then.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>, receive: &mut [u8]) -> Poll<()> {
        while self.ahead.len() < AHEAD {
            match ready!(self.socket.poll_read(cx, receive)) {
                Ok(0) => return Poll::Pending,
                Ok(count) => self.ahead.extend(&receive[..count]),
                Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// The socket, if all that comes from here comes from it.
    pub(crate) fn plain_source(&self) -> Option<&TcpStream> {
        if self.ahead.is_empty() && !self.broken { self.socket.tcp() } else { None }
    }

    /// The socket, if all that goes out there goes by it.
    pub(crate) fn plain_target(&self) -> Option<&TcpStream> {
        if self.backlog.is_empty() { self.socket.tcp() } else { None }
    }
}
