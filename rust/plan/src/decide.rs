//! The whole decision about a request, as a step function without I/O.
//!
//! The engine asks [`Plan::decide`] what to do, does it, and when that failed in a way that may be retried, asks
//! again with the same [`Progress`]. The first step finds the route; every step chooses a backend and remembers it,
//! so that the next one goes elsewhere if there is an elsewhere. `pylb explain` and tests drive the same function.
//!
//! What is not decided here: whether a failure may be retried, how many tries there are, and whether the pool's budget
//! affords one. Those are questions about the failure, and the engine holds it.

use std::net::IpAddr;
use std::time::Duration;

use balance::Tick;
use balance::rate::Taken;
use smallvec::SmallVec;

use crate::action::{Action, Limit, Page};
use crate::key::{Asker, Key, Octets};
use crate::plan::Plan;
use crate::redirect::Redirect;

/// What is asked about. `now`, `wall` and `dice` are new for every call.
#[derive(Copy, Clone, Debug)]
pub struct Request<'a> {
    /// What the client sent.
    pub head: &'a wire::Head,
    /// The client behind trusted proxies.
    pub client: IpAddr,
    /// The client's part of the way is encrypted: it ends here, or a trusted proxy says so.
    pub secure: bool,
    /// The moment of the call.
    pub now: Tick,
    /// The same moment, as the time since the Unix epoch.
    pub wall: Duration,
    /// Any number, as chance wants it.
    pub dice: u64,
}

/// How far the decision about one request has come.
#[derive(Clone, Debug)]
pub struct Progress {
    listener: u32,
    /// The route, as a position in its listener, once it is found.
    pub route: Option<u32>,
    /// The pool, as a position in [`Plan::pools`], once it is chosen.
    pub pool: Option<u32>,
    /// The backends chosen so far, as positions in the pool's backends, in order; one may occur twice.
    pub tried: SmallVec<[u32; 4]>,
    /// How the client stays with its backend.
    pub pin: Pin,
    /// What is left of the client's rate limit.
    pub rate: Option<wire::RateLimit>,
}

/// How a client stays with its backend.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// It does not, or nothing is decided yet.
    #[default]
    None,
    /// It is where it was before, and knows what it has to know.
    Honoured,
    /// It is where it will stay from now on: the response has to tell.
    Issue,
    /// Its backend was full for too long. It goes elsewhere this once, and the response says nothing.
    Escaped,
}

/// What to do next.
#[derive(Debug)]
pub enum Step<'p> {
    /// Send the request to this backend. Its count of requests in flight is raised already: give the slot back with
    /// [`balance::Pool::release`].
    Send {
        /// Position in [`Plan::pools`].
        pool: u32,
        /// Position in the pool's backends.
        slot: u32,
    },
    /// Ask again when a place is free.
    Wait {
        /// Position in [`Plan::pools`].
        pool: u32,
        /// Whose place.
        until: Until,
    },
    /// Answer without a backend.
    Reply(Box<Reply<'p>>),
}

/// What a request waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// A place at any backend, in the pool's queue; at last [`Reply::FULL`].
    Free,
    /// A place at this slot, where the client belongs; at last [`Progress::escape`].
    Pinned(u32),
}

/// An answer of pylb itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'p> {
    /// The status code.
    pub status: u16,
    /// The error type of `Proxy-Status` (RFC 9209, section 2.3).
    pub error: Option<&'static str>,
    /// Seconds of `Retry-After`.
    pub retry_after: Option<u32>,
    /// The value of `Location`: visible ASCII.
    pub location: Option<Vec<u8>>,
    /// The state of the route's rate limit.
    pub rate: Option<wire::RateLimit>,
    /// What follows the head.
    pub body: Body<'p>,
}

/// What follows the head of an answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Body<'p> {
    /// One line for people, as text or JSON.
    Line(&'static str),
    /// This, as it is.
    Page(&'p Page),
}

impl Reply<'_> {
    /// No route takes the request.
    pub const NO_ROUTE: Reply<'static> = Reply::line(404, "No route matches this request.");
    /// No backend can be used.
    pub const NOBODY: Reply<'static> =
        Reply::unavailable("destination_unavailable", "No backend is available for this request.");
    /// The backend that the client belongs to cannot be used, and no other will do.
    pub const LOST: Reply<'static> =
        Reply::unavailable("destination_unavailable", "The backend of this session is not available.");
    /// Every backend is full, and so is the queue, or the request has waited long enough.
    pub const FULL: Reply<'static> =
        Reply::unavailable("connection_limit_reached", "Every backend for this request is at its limit.");

    fn to(redirect: &Redirect, head: &wire::Head) -> Reply<'static> {
        match redirect.target(head) {
            Some(target) => Reply { location: Some(target), ..Reply::line(redirect.status, "See Location.") },
            None => Reply::line(400, "The request names no host."),
        }
    }

    const fn unavailable(error: &'static str, text: &'static str) -> Reply<'static> {
        let mut reply = Reply::line(503, text);
        (reply.error, reply.retry_after) = (Some(error), Some(1));
        reply
    }

    const fn line(status: u16, text: &'static str) -> Reply<'static> {
        Reply { status, error: None, retry_after: None, location: None, rate: None, body: Body::Line(text) }
    }
}

impl Progress {
    /// Nothing is decided yet about a request that came in on this listener, a position in [`Plan::listeners`].
    pub fn new(listener: u32) -> Self {
        Progress { listener, route: None, pool: None, tried: SmallVec::new(), pin: Pin::None, rate: None }
    }

    /// The listener that the request came in on, as a position in [`Plan::listeners`].
    pub fn listener(&self) -> u32 {
        self.listener
    }

    /// The same request under another plan, where its listener stands at this position. It has passed its rate limit,
    /// and a client that had waited for its backend does not wait again.
    pub fn restart(&mut self, listener: u32) {
        let pin = if self.pin == Pin::Escaped { Pin::Escaped } else { Pin::None };
        *self = Progress { pin, rate: self.rate, ..Progress::new(listener) };
    }

    /// The last failure says nothing of the backend: an idle connection had been closed, as they are. A client that
    /// belongs there may try it once more.
    pub fn forgive(&mut self) {
        if self.pin == Pin::Honoured {
            self.tried.pop();
        }
    }

    /// The wait for a pinned backend was in vain: from now on any backend will do.
    pub fn escape(&mut self) {
        self.pin = Pin::Escaped;
    }
}

impl Plan {
    /// The next step for this request. `progress` must have been started for a listener of this plan, and stays with
    /// the request.
    pub fn decide<'p>(&'p self, progress: &mut Progress, request: &Request<'_>) -> Step<'p> {
        let pool = match progress.pool {
            Some(pool) => pool,
            None => match self.begin(progress, request) {
                Ok(pool) => pool,
                Err(reply) => return Step::Reply(reply),
            },
        };
        progress.pool = Some(pool);
        let Request { head, client, now, wall, dice, .. } = *request;
        self.place(pool, progress, &Asker { head: Some(head), client, now, wall, dice })
    }

    /// Finds the route, and what is said before a backend is chosen: the pool, or an answer.
    fn begin(&self, progress: &mut Progress, request: &Request<'_>) -> Result<u32, Box<Reply<'_>>> {
        let Request { head, client, .. } = *request;
        let Some(http) = self.listeners[progress.listener as usize].http() else {
            return Err(Box::new(Reply::NO_ROUTE));
        };
        if let (Some(redirect), false) = (&http.redirect_https, request.secure) {
            return Err(Box::new(Reply::to(redirect, head)));
        }
        progress.route = http.find(head.host(), head.path(), |condition| condition.holds(head, client));
        let route = match progress.route {
            Some(position) => &http.routes[position as usize],
            None => return Err(Box::new(Reply::NO_ROUTE)),
        };
        if let (Some(limit), None) = (&route.limit, progress.rate) {
            progress.rate = Some(admit(limit, request)?);
        }
        let reply = match &route.action {
            Action::Pool(pool) => return Ok(*pool),
            Action::Split(split) => return Ok(split.pool(self.draw(&split.by, request))),
            Action::Redirect(redirect) => Reply::to(redirect, head),
            Action::Respond(status, page) => Reply { body: Body::Page(page), ..Reply::line(*status, "") },
        };
        Err(Box::new(Reply { rate: progress.rate, ..reply }))
    }

    /// The number that a split goes by. It has nothing to do with the one that a backend is chosen by.
    fn draw(&self, by: &Key, request: &Request<'_>) -> u64 {
        let seed = self.seed.apart(b"split");
        let octets = &mut Octets::default();
        let drawn = request.dice.to_ne_bytes();
        seed.hash(by.value(Some(request.head), request.client, octets).unwrap_or(&drawn))
    }
}

/// One request more under a rate limit, if it may be.
fn admit(limit: &Limit, request: &Request<'_>) -> Result<wire::RateLimit, Box<Reply<'static>>> {
    let Taken { allowed, limit: most, remaining, reset, retry_after } = limit.take(request);
    let rate = wire::RateLimit { limit: most, window: limit.window, remaining, reset: seconds(reset) };
    if allowed {
        return Ok(rate);
    }
    let slow_down = Reply::line(429, "Too many requests; wait before the next one.");
    Err(Box::new(Reply { retry_after: Some(seconds(retry_after).max(1)), rate: Some(rate), ..slow_down }))
}

/// Whole seconds in which the time has surely passed.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}
