//! A socket that speaks TLS, with the verbs of one that does not.
//!
//! Ciphertext is read behind a record's length of headroom into the caller's receive buffer and decrypted there; what is
//! encrypted goes through a buffer of the thread. So a connection that is idle owns no buffer. What it may own for a
//! while:
//!
//! - `inbound`, ciphertext of a record that has not arrived as a whole;
//! - `outbound`, ciphertext that the socket refused: the plaintext behind it counts as written, and whoever asks for
//!   room waits until it has gone;
//! - `stash`, plaintext that was decrypted while something was written.
//!
//! The tickets that end a handshake wait for what is said first, which is most often the answer to a request that has
//! come along with the client's last flight: one send for both. They go at once, or rather a turn of the scheduler
//! later, if no request is there.
//!
//! An end that no `close_notify` announced is an error: anybody on the path can forge a FIN (RFC 8446, 6.1).

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use super::facts::Facts;
use super::session::{Digest, OVERHEAD, RECORD, Session, Sinks};
use crate::socket::Socket;

/// The most plaintext that one write takes.
const MOST: usize = 4 * RECORD;

/// Ciphertext up to this length travels with what is written next.
const RIDES_ALONG: usize = 4 * 1024;

thread_local! {
    static CIPHER: RefCell<Box<[u8]>> =
        RefCell::new(vec![0; RIDES_ALONG + MOST / RECORD * (RECORD + OVERHEAD)].into_boxed_slice());
}

/// A connection over TLS, in either role.
pub(crate) struct Stream {
    socket: Socket,
    session: Session,
    facts: Rc<Facts>,
    inbound: Vec<u8>,
    outbound: Vec<u8>,
    stash: Vec<u8>,
    sent: usize,
    /// `inbound` may hold whole records.
    fresh: bool,
    tickets: Tickets,
    reading: End,
    writing: End,
}

/// How far one direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// `close_notify` was written, and the FIN follows when it has gone.
    Ending,
    Ended,
    Broken,
}

/// What becomes of the last bytes of a handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tickets {
    /// They wait for what the client says first.
    Held,
    /// For a turn of the scheduler at most.
    Late,
    /// It has said something: they wait for the answer.
    Riding,
    /// Nothing waits any more.
    Free,
}

impl Stream {
    /// Before the handshake; `inbound` is what was read of it already.
    pub(super) fn new(socket: Socket, session: Session, inbound: Vec<u8>) -> Self {
        Stream {
            socket,
            session,
            facts: Rc::default(),
            fresh: true,
            inbound,
            outbound: Vec::new(),
            stash: Vec::new(),
            sent: 0,
            tickets: Tickets::Free,
            reading: End::Open,
            writing: End::Open,
        }
    }

    /// What the ciphertext goes through.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What was agreed on.
    pub(crate) fn facts(&self) -> &Rc<Facts> {
        &self.facts
    }

    /// Notes what was agreed on, at the end of a handshake.
    pub(super) fn settle(&mut self, sni: Option<Box<str>>, policy: u32) {
        self.facts = Rc::new(Facts::of(&self.session, sni, policy));
    }

    /// Plaintext into the front of `buffer`; `Ok(0)` is the peer's `close_notify`.
    ///
    /// # Errors
    /// Those of the socket; `UnexpectedEof` for an end that was not announced; `InvalidData` for what is no sound TLS.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if !self.stash.is_empty() {
                self.keep_tickets();
                return Poll::Ready(Ok(self.unstash(buffer)));
            }
            match self.reading {
                End::Open => {}
                End::Broken => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                End::Ending | End::Ended => return Poll::Ready(Ok(0)),
            }
            let digest = match ready!(self.poll_digest(cx, buffer)) {
                Err(error) => return Poll::Ready(Err(error)),
                Ok(Err(error)) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
                Ok(Ok(digest)) => digest,
            };
            if self.tickets == Tickets::Free && !self.outbound.is_empty() {
                // An answer to a KeyUpdate, or an alert: if it does not go now, it goes with the next write.
                let _ = self.poll_flush(cx);
            }
            if digest.plain > 0 {
                self.keep_tickets();
                return Poll::Ready(Ok(digest.plain));
            }
        }
    }

    /// Takes plaintext from `slices`: all of it counts as written, though its ciphertext may still lie here.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.writing != End::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.tickets = Tickets::Free;
        if self.outbound.len() > RIDES_ALONG {
            ready!(self.poll_flush(cx))?;
        }
        Poll::Ready(CIPHER.with_borrow_mut(|cipher| self.write(cx, slices, cipher)))
    }

    /// Ready once the socket has taken everything that was written.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tickets != Tickets::Free {
            return Poll::Ready(Ok(()));
        }
        while self.sent < self.outbound.len() {
            let count = ready!(self.socket.poll_write(cx, &[IoSlice::new(&self.outbound[self.sent..])]));
            let count = count.inspect_err(|_| self.break_writing())?;
            if count == 0 {
                self.break_writing();
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        self.outbound = Vec::new();
        self.sent = 0;
        if self.writing == End::Ending {
            self.writing = End::Ended;
            self.socket.shutdown_write(cx);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether nothing was said but what TLS says by itself: tickets, new keys. For a connection that is idle.
    pub(crate) fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        // Reading never writes records, so nobody else needs the buffer meanwhile.
        CIPHER.with_borrow_mut(|buffer| self.poll_read(cx, buffer).is_pending())
    }

    /// Bytes that were written and that the socket has not taken.
    pub(crate) fn unsent(&self) -> usize {
        if self.tickets == Tickets::Free { self.outbound.len() - self.sent } else { 0 }
    }

    /// Whether plaintext, or what may become plaintext, lies here.
    pub(crate) fn has_read(&self) -> bool {
        self.fresh || !self.stash.is_empty()
    }

    /// Says that no more comes, and sends FIN behind it.
    pub(crate) fn shutdown_write(&mut self, cx: &mut Context<'_>) {
        if self.writing != End::Open {
            let _ = self.poll_flush(cx);
            return;
        }
        self.tickets = Tickets::Free;
        let mut sinks = Sinks { stash: &mut self.stash, outbound: &mut self.outbound };
        match self.session.close(&mut self.inbound, &mut sinks) {
            Err(_) => self.break_writing(),
            Ok(digest) => {
                self.fresh = false;
                self.note_end(&digest);
                self.writing = End::Ending;
            }
        }
        let _ = self.poll_flush(cx);
    }

    /// Says that no more comes, as far as the socket takes it, unless the peer has said that already.
    pub(crate) fn farewell(&mut self) {
        if self.reading == End::Open {
            self.shutdown_write(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// One step of a handshake: ready when there is nothing left to do before more ciphertext comes; whether the
    /// handshake is over.
    pub(super) fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Result<bool, rustls::Error>>> {
        let _ = self.poll_flush(cx);
        let digest = ready!(self.poll_digest(cx, buffer))?;
        let done = !self.session.common().is_handshaking();
        if let Ok(digest) = &digest {
            self.stash.extend_from_slice(&buffer[..digest.plain]);
        }
        if done && self.session.ends_with_tickets() {
            self.tickets = Tickets::Held;
        }
        let _ = self.poll_flush(cx);
        Poll::Ready(Ok(digest.map(|_| done)))
    }

    /// Works on what was read, or else reads.
    fn poll_digest(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Result<Digest, rustls::Error>>> {
        let start = RECORD.min(buffer.len() / 4);
        let kept = start + self.inbound.len();
        let mut end = kept;
        let Some(room) = buffer.get_mut(kept..).filter(|room| self.fresh || !room.is_empty()) else {
            return Poll::Ready(Ok(Err(rustls::Error::General("message is too long".into()))));
        };
        if !self.fresh {
            match self.socket.poll_read(cx, room) {
                Poll::Ready(Ok(0)) => {
                    self.reading = End::Broken;
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(result) => end += result.inspect_err(|_| self.reading = End::Broken)?,
                Poll::Pending => {
                    self.release_tickets(cx);
                    return Poll::Pending;
                }
            }
        }
        buffer[start..kept].copy_from_slice(&self.inbound);
        self.fresh = false;
        let mut sinks = Sinks { stash: &mut self.stash, outbound: &mut self.outbound };
        let result = self.session.digest(&mut buffer[..end], start, &mut sinks);
        match &result {
            Ok(digest) => {
                self.inbound.clear();
                self.inbound.extend_from_slice(&buffer[digest.rest..end]);
                if self.inbound.is_empty() {
                    self.inbound = Vec::new();
                }
                self.note_end(digest);
            }
            Err(_) => {
                self.reading = End::Broken;
                self.tickets = Tickets::Free;
                let _ = self.poll_flush(cx);
                self.writing = End::Broken;
            }
        }
        Poll::Ready(Ok(result))
    }

    fn write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], cipher: &mut [u8]) -> io::Result<usize> {
        let waiting = self.outbound.len() - self.sent;
        let mut sinks = Sinks { stash: &mut self.stash, outbound: &mut self.outbound };
        let result = self.session.encrypt(&mut self.inbound, &mut sinks, slices, &mut cipher[waiting..]);
        let (digest, moved) = result.map_err(|error| {
            self.break_writing();
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
        self.fresh = false;
        self.note_end(&digest);
        if !digest.open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let end = waiting + moved.cipher;
        if self.outbound.len() - self.sent > waiting {
            // The session had something of its own to say first.
            self.outbound.extend_from_slice(&cipher[waiting..end]);
            let _ = self.poll_flush(cx);
            return Ok(moved.plain);
        }
        cipher[..waiting].copy_from_slice(&self.outbound[self.sent..]);
        let count = match self.socket.poll_write(cx, &[IoSlice::new(&cipher[..end])]) {
            Poll::Ready(result) => result.inspect_err(|_| self.break_writing())?,
            Poll::Pending => 0,
        };
        self.outbound = cipher[count..end].to_vec();
        self.sent = 0;
        Ok(moved.plain)
    }

    fn note_end(&mut self, digest: &Digest) {
        if digest.closed && self.reading == End::Open {
            self.reading = End::Ended;
        }
    }

    fn break_writing(&mut self) {
        self.writing = End::Broken;
        self.outbound = Vec::new();
        self.sent = 0;
    }

    fn keep_tickets(&mut self) {
        if self.tickets != Tickets::Free {
            self.tickets = Tickets::Riding;
        }
    }

    /// Nothing has come that the tickets could wait for.
    fn release_tickets(&mut self, cx: &mut Context<'_>) {
        match self.tickets {
            Tickets::Free | Tickets::Riding => {}
            Tickets::Held => {
                self.tickets = Tickets::Late;
                // Wakes this task once the runtime has looked at all sockets.
                let _ = pin!(tokio::task::yield_now()).poll(cx);
            }
            Tickets::Late => {
                self.tickets = Tickets::Free;
                let _ = self.poll_flush(cx);
            }
        }
    }

    fn unstash(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.stash.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.stash[..count]);
        self.stash.drain(..count);
        if self.stash.is_empty() {
            self.stash = Vec::new();
        }
        count
    }
}

#[cfg(test)]
mod tests;
