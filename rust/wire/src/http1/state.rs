//! Who may send what next.
//!
//! One request and its response are a conversation between two sides, each of which is in one of five states. Two small
//! tables hold the rules for both roles; the exceptions are code (the idea is that of h11's `_state.py`).
//!
//! ```text
//!          Head          End                 next_cycle (both Done)
//!   Idle ------> Body ------> Done  ------------------------------> Idle
//!                  Data: stays    \--> MustClose, if this connection cannot be used again
//!   Close: from Idle, Done and MustClose to Closed; elsewhere it cuts a message
//! ```
//!
//! The server may begin its answer before the request is complete, and it may answer before there is a request only to
//! refuse it (408, 400). It may send any number of interim heads first; counting them is the reader's task.

use crate::error::{Blame, Fault, Rule};

/// What one side is doing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Nothing sent in this cycle.
    Idle,
    /// Head sent, body not complete.
    Body,
    /// Message complete.
    Done,
    /// Message complete, and none may follow.
    MustClose,
    /// Will not send anything any more.
    Closed,
}

/// What one side does next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A 1xx head; only the server sends it.
    Interim,
    /// The head of a request, or a final head.
    Head,
    /// A part of the body.
    Data,
    /// The end of the body, also of an empty one.
    End,
    /// The end of the stream.
    Close,
}

/// A side of the conversation.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The side that sends requests.
    Client,
    /// The side that sends responses.
    Server,
}

/// The states of both sides of one connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    client: Sending,
    server: Sending,
    keep_alive: bool,
}

impl Default for Conversation {
    fn default() -> Self {
        Self { client: Sending::Idle, server: Sending::Idle, keep_alive: true }
    }
}

/// What an event does to the side it comes from, the same for both roles; None is out of turn.
const fn step(state: Sending, event: Event) -> Option<Sending> {
    use Sending::{Body, Closed, Done, Idle, MustClose};
    match (state, event) {
        (Idle, Event::Interim) => Some(Idle),
        (Idle, Event::Head) => Some(Body),
        (Body, Event::Data) => Some(Body),
        (Body, Event::End) => Some(Done),
        (Idle | Done | MustClose | Closed, Event::Close) => Some(Closed),
        _ => None,
    }
}

/// Whether `who` may do `event` while the other side is in `other`.
const fn allowed(who: Who, event: Event, other: Sending) -> bool {
    match (who, event) {
        (Who::Client, Event::Interim) => false,
        // A request is begun only when the last answer is over.
        (Who::Client, Event::Head) => matches!(other, Sending::Idle),
        // Interim answers belong to a request.
        (Who::Server, Event::Interim) => !matches!(other, Sending::Idle),
        _ => true,
    }
}

impl Conversation {
    /// Applies what `who` does.
    pub fn apply(&mut self, who: Who, event: Event) -> Result<(), Fault> {
        let (mine, other) = match who {
            Who::Client => (self.client, self.server),
            Who::Server => (self.server, self.client),
        };
        let fault = Fault::new(Rule::OutOfTurn, Blame::Proxy);
        if !allowed(who, event, other) {
            return Err(fault);
        }
        let next = step(mine, event).ok_or(fault)?;
        // An answer to nothing refuses the connection.
        if who == Who::Server && event == Event::Head && other == Sending::Idle {
            self.keep_alive = false;
        }
        match who {
            Who::Client => self.client = next,
            Who::Server => self.server = next,
        }
        self.settle();
        Ok(())
    }

    /// Nothing may follow on this connection: `Connection: close`, HTTP/1.0, a body until close, or a fault.
    pub fn must_close(&mut self) {
        self.keep_alive = false;
        self.settle();
    }

    fn settle(&mut self) {
        for side in [&mut self.client, &mut self.server] {
            if *side == Sending::Done && !self.keep_alive {
                *side = Sending::MustClose;
            }
        }
    }

    /// What one side is doing.
    pub fn state(&self, who: Who) -> Sending {
        match who {
            Who::Client => self.client,
            Who::Server => self.server,
        }
    }

    /// Whether both messages are complete and another request may follow.
    pub fn may_reuse(&self) -> bool {
        self.client == Sending::Done && self.server == Sending::Done
    }

    /// Begins the next request. Does nothing unless [`may_reuse`](Self::may_reuse).
    pub fn next_cycle(&mut self) {
        if self.may_reuse() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: &[(Who, Event)]) -> Result<Conversation, Fault> {
        let mut talk = Conversation::default();
        for &(who, event) in events {
            talk.apply(who, event)?;
        }
        Ok(talk)
    }

    use Event::{Close, Data, End, Head, Interim};
    use Who::{Client, Server};

    #[test]
    fn a_whole_exchange_may_be_followed_by_another() {
        let mut talk = after(&[
            (Client, Head),
            (Server, Interim),
            (Client, Data),
            (Client, End),
            (Server, Head),
            (Server, Data),
            (Server, End),
        ])
        .unwrap();
        assert!(talk.may_reuse());
        talk.next_cycle();
        assert_eq!(talk, Conversation::default());
    }

    #[test]
    fn an_early_answer_waits_for_the_request_to_end() {
        let mut talk = after(&[(Client, Head), (Server, Head), (Server, End)]).unwrap();
        assert!(!talk.may_reuse());
        talk.next_cycle();
        assert_eq!(talk.state(Client), Sending::Body);
        talk.apply(Client, End).unwrap();
        assert!(talk.may_reuse());
    }

    #[test]
    fn nothing_follows_a_close() {
        let mut talk = after(&[(Client, Head), (Client, End)]).unwrap();
        talk.must_close();
        assert_eq!(talk.state(Client), Sending::MustClose);
        talk.apply(Server, Head).unwrap();
        talk.apply(Server, End).unwrap();
        assert!(!talk.may_reuse());
        assert!(talk.apply(Client, Head).is_err());
        talk.apply(Client, Close).unwrap();
        assert_eq!(talk.state(Client), Sending::Closed);
    }

    #[test]
    fn a_refusal_before_any_request_closes() {
        let talk = after(&[(Server, Head), (Server, End)]).unwrap();
        assert_eq!(talk.state(Server), Sending::MustClose);
    }

    #[test]
    fn out_of_turn() {
        for events in [
            &[(Client, Data)][..],
            &[(Client, End)],
            &[(Client, Interim)],
            &[(Server, Interim)],
            &[(Client, Head), (Client, Head)],
            &[(Client, Head), (Client, End), (Client, Data)],
            &[(Client, Head), (Server, Head), (Server, Interim)],
            &[(Client, Head), (Client, Close)],
            &[(Client, Close), (Client, Head)],
        ] {
            let fault = after(events).expect_err("must be out of turn");
            assert_eq!(fault.blame(), Blame::Proxy, "{events:?}");
        }
    }
}
