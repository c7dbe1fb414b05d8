//! HTTP/1.1 on one socket, for both roles.
//!
//! `wire` knows what the bytes mean; this file knows where they are. A read lands in the worker's buffer and is
//! parsed there; what belongs to the message at hand goes on within the same poll, what belongs to a later
//! one stays in `ahead`. A write is composed in the worker's scratch buffer and offered to the socket once;
//! what the socket refuses is the `backlog`. Small bodies are copied behind their head (one `send`), larger
//! ones are gathered from where they lie (one `writev`): below [`GATHER`] bytes the copy is the cheaper one.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use wire::{Blame, BodyReader, Fault, Framing, Head, Pages, Parsed, RequestEdits, ResponseEdits, Rule, Rules};

use super::stream::{Ahead, Backlog};
use super::{Buffers, Part, Piece};
use crate::failure::Failure;
use crate::socket::Socket;

mod plain;

/// Bodies longer than this are gathered with `writev`, shorter ones copied behind their head.
const GATHER: usize = 4 * 1024;

/// How far pipelined requests are read while an answer is owed.
const AHEAD: usize = 64 * 1024;

/// Interim responses accepted before a final one.
const INTERIMS: u8 = 8;

/// An HTTP/1 connection.
pub(crate) struct Conn {
    socket: Socket,
    ahead: Ahead,
    backlog: Backlog,
    reader: BodyReader,
    /// How much of `ahead` was searched for the end of a head already.
    scanned: u32,
    reading: Reading,
    writing: Writing,
    /// A write has failed.
    broken: bool,
    /// Neither side has said that this is the last message.
    reusable: bool,
    interims: u8,
    announced_s: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Head,
    Body,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Head,
    Plain,
    Chunked,
    Done,
}

impl Conn {
    pub(crate) fn new(socket: Socket) -> Self {
        Conn {
            socket,
            ahead: Ahead::default(),
            backlog: Backlog::default(),
            reader: BodyReader::new(Framing::Empty),
            scanned: 0,
            reading: Reading::Head,
            writing: Writing::Head,
            broken: false,
            reusable: true,
            interims: 0,
            announced_s: None,
        }
    }

    /// A connection of which some bytes have been read already.
    pub(crate) fn with_ahead(socket: Socket, bytes: Vec<u8>) -> Self {
        Conn { ahead: Ahead::new(bytes), ..Conn::new(socket) }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    // ---- towards a client: requests in, responses out

    /// The next request head; `None` when the client closed between requests.
    pub(crate) fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut Buffers,
        rules: &Rules,
    ) -> Poll<Result<Option<Head>, Failure>> {
        ready!(self.poll_room(cx)).map_err(|_| Failure::ClientGone)?;
        let Buffers { receive, pages, .. } = buffers;
        let parse =
            |bytes: &[u8], scanned: &mut usize, pages: &mut Pages| wire::parse_request(bytes, scanned, rules, pages);
        let Some((head, rest)) = ready!(self.poll_head(cx, receive, pages, Failure::ClientGone, parse))? else {
            return Poll::Ready(Ok(None));
        };
        self.ahead.extend(&receive[rest]);
        self.reader = BodyReader::new(head.framing());
        self.reusable = head.keep_alive();
        self.reading = if self.reader.is_done() { Reading::Done } else { Reading::Body };
        self.writing = Writing::Head;
        Poll::Ready(Ok(Some(head)))
    }

    /// More of the request body; `last` is set exactly once.
    pub(crate) fn poll_body<'s>(
        &mut self,
        cx: &mut Context<'_>,
        receive: &'s mut [u8],
    ) -> Poll<Result<Part<'s>, Failure>> {
        self.poll_part(cx, receive, Failure::ClientGone)
    }

    /// Sends a response head and what of its body is at hand.
    pub(crate) fn offer_response(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Vec<u8>,
        head: &Head,
        edits: &ResponseEdits<'_>,
        part: &Part<'_>,
        trailers: Option<Vec<u8>>,
    ) -> io::Result<()> {
        scratch.clear();
        wire::render_response(head, edits, scratch);
        self.reusable &= edits.keep_alive;
        self.writing = Writing::of(edits.framing);
        self.offer(cx, scratch, part, trailers)
    }

    /// Sends a 1xx head.
    pub(crate) fn offer_interim(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Vec<u8>,
        head: &Head,
        edits: &ResponseEdits<'_>,
    ) -> io::Result<()> {
        scratch.clear();
        wire::render_response(head, edits, scratch);
        self.push(cx, &[IoSlice::new(scratch)])
    }

    /// Sends a whole answer of pylb's own, already rendered.
    pub(crate) fn offer_reply(&mut self, cx: &mut Context<'_>, bytes: &[u8], keep_alive: bool) -> io::Result<()> {
        self.reusable &= keep_alive;
        self.writing = Writing::Done;
        self.push(cx, &[IoSlice::new(bytes)])
    }

    /// Ready once the client has gone. Pipelined requests are kept, up to a bound; beyond it nobody watches.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>, receive: &mut [u8]) -> Poll<Failure> {
        while self.ahead.len() < AHEAD {
            match ready!(self.socket.poll_read(cx, receive)) {
                Ok(0) | Err(_) => return Poll::Ready(Failure::ClientGone),
                Ok(count) => self.ahead.extend(&receive[..count]),
            }
        }
        Poll::Pending
    }

    /// Reads and throws away what the client still sends; ready when it has closed.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>, receive: &mut [u8]) -> Poll<()> {
        loop {
            match ready!(self.socket.poll_read(cx, receive)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    // ---- towards a backend: requests out, responses in

    /// Sends a request head and what of its body is at hand.
    pub(crate) fn offer_request(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Vec<u8>,
        head: &Head,
        edits: &RequestEdits<'_>,
        part: &Part<'_>,
        trailers: Option<Vec<u8>>,
    ) -> io::Result<()> {
        scratch.clear();
        wire::render_request(head, edits, scratch);
        self.interims = 0;
        self.reading = Reading::Head;
        self.writing = Writing::of(head.framing());
        self.offer(cx, scratch, part, trailers)
    }

    /// The next piece of the response to `request`. Behind the head of a switch nothing is left of HTTP.
    pub(crate) fn poll_piece<'s>(
        &mut self,
        cx: &mut Context<'_>,
        request: &Head,
        receive: &'s mut [u8],
        pages: &mut Pages,
        rules: &Rules,
    ) -> Poll<Result<Piece<'s>, Failure>> {
        if self.reading != Reading::Head {
            return self.poll_part(cx, receive, Failure::Truncated).map_ok(Piece::Body);
        }
        let parse = |bytes: &[u8], scanned: &mut usize, pages: &mut Pages| {
            wire::parse_response(bytes, scanned, request, rules, pages)
        };
        let cut = if self.interims == 0 { Failure::ClosedEarly } else { Failure::CutInHead };
        let Some((head, rest)) = ready!(self.poll_head(cx, receive, pages, cut, parse))? else {
            return Poll::Ready(Err(cut));
        };
        if head.is_interim() {
            self.interims += 1;
            if self.interims > INTERIMS {
                return Poll::Ready(Err(Fault::new(Rule::TooManyInterim, Blame::Backend).into()));
            }
            self.ahead.extend(&receive[rest]);
            return Poll::Ready(Ok(Piece::Interim(head)));
        }
        self.reader = BodyReader::of_response(head.framing());
        self.reusable &= head.keep_alive() && !matches!(head.framing(), Framing::UntilClose);
        self.announced_s = head.keep_alive_timeout().map(|seconds| seconds.min(u16::MAX.into()) as u16);
        self.reading = Reading::Body;
        let part = if self.reader.is_done() {
            self.ahead.extend(&receive[rest]);
            self.reading = Reading::Done;
            Part::NOTHING
        } else if rest.is_empty() {
            Part::LATER
        } else {
            self.take_part(receive, rest)?
        };
        Poll::Ready(Ok(Piece::Head(head, part)))
    }

    /// Reads and throws away what of the response has arrived; nothing more is waited for.
    pub(crate) fn skip_body(&mut self, cx: &mut Context<'_>, receive: &mut [u8]) {
        while let Poll::Ready(Ok(part)) = self.poll_part(cx, receive, Failure::Truncated) {
            if part.last {
                return;
            }
        }
    }

    /// Whether both messages are complete, nothing was read ahead and both sides want to go on: only then may
    /// the connection carry another exchange.
    pub(crate) fn is_clean(&self) -> bool {
        self.reusable
            && self.reading == Reading::Done
            && self.writing == Writing::Done
            && self.ahead.is_empty()
            && !self.has_backlog()
    }

    // ---- both roles

    /// Sends more of the body.
    pub(crate) fn offer_body(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Vec<u8>,
        part: &Part<'_>,
        trailers: Option<Vec<u8>>,
    ) -> io::Result<()> {
        scratch.clear();
        self.offer(cx, scratch, part, trailers)
    }

    /// The trailer lines of the message that was read; nothing before its `last` part.
    pub(crate) fn trailers(&mut self) -> Option<Vec<u8>> {
        self.reader.trailers()
    }

    /// Ready when the socket has taken everything; the only place where back-pressure exists.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.backlog.is_empty() {
            let written = ready!(self.socket.poll_write(cx, &[IoSlice::new(self.backlog.rest())]));
            let count = written.inspect_err(|_| self.broken = true)?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.backlog.sent(count);
        }
        self.socket.poll_flush(cx).map_err(|error| {
            self.broken = true;
            error
        })
    }

    /// The connection is about to be closed, at the end of a message.
    pub(crate) fn farewell(&mut self) {
        self.socket.farewell();
    }

    /// Whether something came on a connection that is idle, or its end.
    pub(crate) fn is_disturbed(&mut self, watcher: &Waker) -> bool {
        self.socket.is_disturbed(watcher)
    }

    /// Sends FIN behind everything that was offered; the other direction stays open.
    pub(crate) fn shutdown_write(&mut self, cx: &mut Context<'_>) {
        self.socket.shutdown_write(cx);
    }

    /// Whether the peer still has to take bytes that are ours to send.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty() || self.socket.unsent() > 0
    }

    /// How many those are.
    pub(crate) fn backlog_len(&self) -> usize {
        self.backlog.rest().len() + self.socket.unsent()
    }

    /// How long the backend said it keeps this connection: what it announced less a second.
    pub(crate) fn announced_keepalive(&self) -> Option<Duration> {
        self.announced_s.map(|seconds| Duration::from_secs(seconds.saturating_sub(1).into()))
    }

    /// Whether nothing has been written of the message that is ours to send.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.writing == Writing::Head
    }

    /// Whether the message that the peer sends has been read to its end.
    pub(crate) fn has_read_all(&self) -> bool {
        self.reading == Reading::Done
    }

    /// Whether the peer may send another message on this connection.
    pub(crate) fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Whether part of a head, or a pipelined request, lies here.
    pub(crate) fn has_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Ends the connection such that an unfinished message cannot pass for a finished one.
    pub(crate) fn abort(&self) {
        if self.writing == Writing::Plain {
            self.socket.reset_on_close();
        }
    }

    /// The head at the front of the stream and the range of `receive` behind it; `None` on FIN before a head.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        receive: &mut [u8],
        pages: &mut Pages,
        cut: Failure,
        parse: impl Fn(&[u8], &mut usize, &mut Pages) -> Parsed,
    ) -> Poll<Result<Option<Found>, Failure>> {
        loop {
            let mut scanned = self.scanned as usize;
            if !self.ahead.is_empty() {
                match parse(self.ahead.bytes(), &mut scanned, pages) {
                    Parsed::Done { head, used } => {
                        self.scanned = 0;
                        self.ahead.consume(used);
                        return Poll::Ready(Ok(Some((head, 0..0))));
                    }
                    Parsed::More => self.scanned = scanned as u32,
                    Parsed::Bad(fault) => return Poll::Ready(Err(cut.or_rather(fault, self.ahead.bytes()))),
                }
            }
            let count = match ready!(self.socket.poll_read(cx, receive)) {
                Ok(0) if self.ahead.is_empty() => return Poll::Ready(Ok(None)),
                Ok(0) | Err(_) if self.ahead.is_empty() => return Poll::Ready(Err(cut)),
                Ok(0) | Err(_) => return Poll::Ready(Err(cut.inside_head())),
                Ok(count) => count,
            };
            if self.ahead.is_empty() {
                match parse(&receive[..count], &mut scanned, pages) {
                    Parsed::Done { head, used } => {
                        self.scanned = 0;
                        return Poll::Ready(Ok(Some((head, used..count))));
                    }
                    Parsed::More => self.scanned = scanned as u32,
                    Parsed::Bad(fault) => return Poll::Ready(Err(cut.or_rather(fault, receive))),
                }
            }
            self.ahead.extend(&receive[..count]);
        }
    }

    fn poll_part<'s>(
        &mut self,
        cx: &mut Context<'_>,
        receive: &'s mut [u8],
        cut: Failure,
    ) -> Poll<Result<Part<'s>, Failure>> {
        loop {
            let count = if self.ahead.is_empty() {
                match ready!(self.socket.poll_read(cx, receive)) {
                    Ok(count) => count,
                    Err(_) => return Poll::Ready(Err(cut)),
                }
            } else {
                self.ahead.move_into(receive)
            };
            if count == 0 {
                // After a failed write this end may be a reset that the write has been told of already.
                if self.broken {
                    return Poll::Ready(Err(cut));
                }
                self.reusable = false;
                self.reader.end_of_input().map_err(|_| cut)?;
                self.reading = Reading::Done;
                return Poll::Ready(Ok(Part::NOTHING));
            }
            let taken = self.take(receive, 0..count)?;
            if taken.last || !taken.data.is_empty() {
                return Poll::Ready(Ok(Part { data: &receive[taken.data], last: taken.last }));
            }
        }
    }

    fn take_part<'s>(&mut self, receive: &'s mut [u8], at: Range<usize>) -> Result<Part<'s>, Failure> {
        let start = at.start;
        let taken = self.take(receive, at)?;
        Ok(Part { data: &receive[start + taken.data.start..start + taken.data.end], last: taken.last })
    }

    /// Feeds bytes to the body reader; what lies beyond the message goes back to `ahead`.
    fn take(&mut self, receive: &mut [u8], at: Range<usize>) -> Result<wire::Taken, Failure> {
        let bytes = &mut receive[at];
        let taken = self.reader.read(bytes)?;
        if taken.last {
            self.reading = Reading::Done;
        }
        if taken.used < bytes.len() {
            self.put_back(taken.used, bytes);
        }
        Ok(taken)
    }

    /// Bytes that were moved out of `ahead` return to its front; fresh ones find it empty.
    fn put_back(&mut self, used: usize, bytes: &[u8]) {
        if self.ahead.is_empty() {
            self.ahead.extend(&bytes[used..]);
        } else {
            let behind = std::mem::take(&mut self.ahead);
            self.ahead.extend(&bytes[used..]);
            self.ahead.extend(behind.bytes());
        }
    }

    /// Frames `part` behind what `scratch` holds already, and sends both.
    fn offer(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Vec<u8>,
        part: &Part<'_>,
        trailers: Option<Vec<u8>>,
    ) -> io::Result<()> {
        let chunked = self.writing == Writing::Chunked;
        if part.last {
            self.writing = Writing::Done;
        }
        if chunked && !part.data.is_empty() {
            wire::chunk_prefix(part.data.len(), scratch);
        }
        let tail = Tail::of(chunked, part, trailers);
        if part.data.len() <= GATHER {
            scratch.extend_from_slice(part.data);
            scratch.extend_from_slice(tail.bytes());
            return if scratch.is_empty() { Ok(()) } else { self.push(cx, &[IoSlice::new(scratch)]) };
        }
        let slices = [IoSlice::new(scratch), IoSlice::new(part.data), IoSlice::new(tail.bytes())];
        match (scratch.is_empty(), tail.bytes().is_empty()) {
            (true, true) => self.push(cx, &slices[1..2]),
            (true, false) => self.push(cx, &slices[1..]),
            (false, true) => self.push(cx, &slices[..2]),
            (false, false) => self.push(cx, &slices),
        }
    }

    /// One write; the rest becomes the backlog.
    fn push(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let count = if self.backlog.is_empty() {
            match self.socket.poll_write(cx, slices) {
                Poll::Ready(result) => result.inspect_err(|_| self.broken = true)?,
                Poll::Pending => 0,
            }
        } else {
            0
        };
        self.backlog.keep_after(slices, count);
        Ok(())
    }
}

impl Writing {
    fn of(framing: Framing) -> Self {
        match framing {
            Framing::Empty => Writing::Done,
            Framing::Chunked => Writing::Chunked,
            Framing::Length(_) | Framing::UntilClose => Writing::Plain,
        }
    }
}

/// A head at the front of the stream, and where in the receive buffer the bytes behind it lie.
type Found = (Head, Range<usize>);

/// What follows the data of a part on the wire.
enum Tail {
    Fixed(&'static [u8]),
    Trailers(Vec<u8>),
}

impl Tail {
    fn of(chunked: bool, part: &Part<'_>, trailers: Option<Vec<u8>>) -> Self {
        match (chunked, part.data.is_empty(), part.last, trailers) {
            (false, ..) | (true, true, false, _) => Tail::Fixed(b""),
            (true, false, false, _) => Tail::Fixed(b"\r\n"),
            (true, false, true, None) => Tail::Fixed(b"\r\n0\r\n\r\n"),
            (true, true, true, None) => Tail::Fixed(b"0\r\n\r\n"),
            (true, empty, true, Some(lines)) => {
                let mut bytes = Vec::with_capacity(lines.len() + 7);
                bytes.extend_from_slice(if empty { b"0\r\n" } else { b"\r\n0\r\n" });
                bytes.extend_from_slice(&lines);
                bytes.extend_from_slice(b"\r\n");
                Tail::Trailers(bytes)
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Tail::Fixed(bytes) => bytes,
            Tail::Trailers(bytes) => bytes,
        }
    }
}
