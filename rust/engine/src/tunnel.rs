//! Behind a 101, and for a session of TCP: plain bytes both ways, until both sides have ended or one is broken.
//!
//! Each way is a little machine of its own, so that a half-close is exact: the FIN of one side reaches the other
//! behind the last byte, and the opposite way lives on.
//!
//! ```text
//!   Open --FIN read--> Ending --backlog gone, FIN sent--> Ended
//!     \------ whoever is written to is gone ------> Broken
//! ```
//!
//! Back-pressure is that of the whole engine: no room, no reading. What waits is at most one receive buffer per way, or
//! one pipe's content, and a tunnel whose sides keep up holds neither. The two ways take turns, one read each: a side
//! that never stops sending must not use up the task's budget before the other's turn comes.
//!
//! A side that no longer takes bytes may still have said something (a Close frame, then close(2) with unread bytes
//! behind it, which resets): its way breaks, the opposite one is read to its end first.
//!
//! A long stream between two plain sockets is spliced (`splice.rs`).

use std::task::{Context, Poll};

use crate::end::{Buffers, Conn};

pub(crate) mod relay;
pub(crate) mod splice;

use splice::{Pipe, Pipes};

/// The two ways of a tunnel, and what has moved.
#[derive(Default)]
pub(crate) struct Tunnel {
    to_backend: Way,
    to_client: Way,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides said that they had nothing more to send.
    Clean,
    /// The client reset its connection.
    Client,
    /// The backend reset its connection.
    Backend,
    /// No byte moved for the pool's idle time.
    Idle,
    /// The backend's drain took too long.
    Drained,
    /// pylb ends, and the grace is over.
    Stopped,
}

impl End {
    /// What the log says of it.
    pub(crate) fn reason(self) -> Option<&'static str> {
        match self {
            End::Clean => None,
            End::Client => Some("client gone"),
            End::Backend => Some("backend gone"),
            End::Idle => Some("tunnel idle"),
            End::Drained => Some("drain is over"),
            End::Stopped => Some("stopped"),
        }
    }
}

#[derive(Default)]
struct Way {
    state: State,
    /// Bytes so far.
    bytes: u64,
    /// Bytes that have come in reads which filled the buffer, since the last that did not.
    streak: u32,
    /// What has been spliced so far only into a pipe.
    pipe: Option<Pipe>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The sender's FIN has been read, and goes on when the backlog has gone.
    Ending,
    /// The FIN went on.
    Ended,
    /// The receiver takes nothing any more.
    Broken,
}

/// What one turn of one way came to.
#[derive(PartialEq, Eq)]
enum Turn {
    /// Something happened; there may be more.
    Moved,
    /// Nothing can happen before a wake-up.
    Waits,
    /// The sender has reset.
    Reset,
}

impl Tunnel {
    /// Moves what can be moved; ready when nothing will any more.
    pub(crate) fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Conn,
        backend: &mut Conn,
        buffers: &mut Buffers,
    ) -> Poll<End> {
        // Whoever waits has its wake-up, and needs no second look: moving the other way does not change that.
        let (mut there_waits, mut back_waits) = (false, false);
        loop {
            if !there_waits {
                match self.to_backend.turn(cx, client, backend, buffers) {
                    Turn::Reset => return Poll::Ready(End::Client),
                    turn => there_waits = turn == Turn::Waits,
                }
            }
            if !back_waits {
                match self.to_client.turn(cx, backend, client, buffers) {
                    Turn::Reset => return Poll::Ready(End::Backend),
                    turn => back_waits = turn == Turn::Waits,
                }
            }
            if self.to_backend.is_over() && self.to_client.is_over() {
                return Poll::Ready(self.end());
            }
            if there_waits && back_waits {
                return Poll::Pending;
            }
        }
    }

    /// Bytes moved to the backend and to the client so far.
    pub(crate) fn moved(&self) -> (u64, u64) {
        (self.to_backend.bytes, self.to_client.bytes)
    }

    /// Bytes in pipes, on their way to the backend and to the client.
    pub(crate) fn piped(&self) -> (usize, usize) {
        (self.to_backend.piped(), self.to_client.piped())
    }

    fn end(&self) -> End {
        match (self.to_backend.state, self.to_client.state) {
            (_, State::Broken) => End::Client,
            (State::Broken, _) => End::Backend,
            _ => End::Clean,
        }
    }
}

impl Way {
    fn is_over(&self) -> bool {
        matches!(self.state, State::Ended | State::Broken)
    }

    fn piped(&self) -> usize {
        self.pipe.as_ref().map_or(0, |pipe| pipe.filled())
    }

    /// At most one read, and what it makes possible.
    fn turn(&mut self, cx: &mut Context<'_>, from: &mut Conn, to: &mut Conn, buffers: &mut Buffers) -> Turn {
        if self.is_over() {
            return Turn::Waits;
        }
        if let Some(pipe) = self.pipe.take() {
            return self.drain(cx, pipe, to, &mut buffers.pipes);
        }
        match to.poll_room(cx) {
            Poll::Pending => return Turn::Waits,
            Poll::Ready(Err(_)) => return self.set(State::Broken),
            Poll::Ready(Ok(())) => {}
        }
        if self.state == State::Ending {
            to.shutdown_write(cx);
            return if to.poll_room(cx).is_pending() { Turn::Waits } else { self.set(State::Ended) };
        }
        if self.streak >= splice::ENOUGH
            && let Some(turn) = self.splice(cx, from, to, &mut buffers.pipes)
        {
            return turn;
        }
        self.copy(cx, from, to, &mut buffers.receive)
    }

    fn copy(&mut self, cx: &mut Context<'_>, from: &mut Conn, to: &mut Conn, receive: &mut [u8]) -> Turn {
        match from.poll_bytes(cx, receive) {
            Poll::Pending => Turn::Waits,
            Poll::Ready(Err(_)) => Turn::Reset,
            Poll::Ready(Ok(0)) => self.set(State::Ending),
            Poll::Ready(Ok(count)) => {
                self.bytes += count as u64;
                self.streak = if count == receive.len() { self.streak.saturating_add(count as u32) } else { 0 };
                match to.offer_bytes(cx, &receive[..count]) {
                    Ok(()) => Turn::Moved,
                    Err(_) => self.set(State::Broken),
                }
            }
        }
    }

    /// The same by a pipe; `None` where that is not possible.
    fn splice(&mut self, cx: &mut Context<'_>, from: &Conn, to: &Conn, pipes: &mut Pipes) -> Option<Turn> {
        let source = from.plain_source()?;
        to.plain_target()?;
        let mut pipe = pipes.take()?;
        Some(match pipe.poll_fill(cx, source) {
            Poll::Ready(Ok(count)) if count > 0 => {
                self.bytes += count as u64;
                if count < splice::LITTLE {
                    self.streak = 0;
                }
                self.drain(cx, pipe, to, pipes)
            }
            nothing => {
                pipes.give(pipe);
                match nothing {
                    Poll::Pending => Turn::Waits,
                    Poll::Ready(Err(_)) => Turn::Reset,
                    Poll::Ready(Ok(_)) => self.set(State::Ending),
                }
            }
        })
    }

    fn drain(&mut self, cx: &mut Context<'_>, mut pipe: Pipe, to: &Conn, pipes: &mut Pipes) -> Turn {
        let Some(target) = to.plain_target() else { return self.set(State::Broken) };
        match pipe.poll_drain(cx, target) {
            Poll::Ready(Ok(())) => {
                pipes.give(pipe);
                Turn::Moved
            }
            Poll::Ready(Err(_)) => self.set(State::Broken),
            Poll::Pending => {
                self.pipe = Some(pipe);
                Turn::Waits
            }
        }
    }

    fn set(&mut self, state: State) -> Turn {
        self.state = state;
        Turn::Moved
    }
}

#[cfg(test)]
mod tests;
