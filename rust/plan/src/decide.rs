//! The whole decision about a request, as a step function without I/O.
//!
//! The engine asks [`Plan::decide`] what to do, does it, and when that failed in a way that may be retried, asks
//! again with the same [`Progress`]. The first step finds the route; every step chooses a backend and remembers it,
//! so that the next one goes elsewhere if there is an elsewhere. `pylb explain` and tests drive the same function.
//!
//! What is not decided here: whether a failure may be retried, how many tries there are, and whether the pool's budget
//! affords one. Those are questions about the failure, and the engine holds it.

use std::net::IpAddr;

use balance::{Chosen, Tick};
use smallvec::SmallVec;

use crate::plan::Plan;

/// How far the decision about one request has come.
#[derive(Clone, Debug)]
pub struct Progress {
    listener: u32,
    /// The route, as a position in its listener, once it is found.
    pub route: Option<u32>,
    /// The backends chosen so far, as positions in the route's pool, in order; one may occur twice.
    pub tried: SmallVec<[u32; 4]>,
}

/// What to do next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the request to this backend. Its count of requests in flight is raised already: give the slot back with
    /// [`balance::Pool::release`].
    Send {
        /// Position in [`Plan::pools`].
        pool: u32,
        /// Position in the pool's backends.
        slot: u32,
    },
    /// Answer without a backend.
    Reply(Reply),
}

/// An answer of pylb itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The error type of `Proxy-Status` (RFC 9209, section 2.3).
    pub error: Option<&'static str>,
    /// Seconds of `Retry-After`.
    pub retry_after: Option<u32>,
    /// The body: one line for people.
    pub text: &'static str,
}

const NO_ROUTE: Reply =
    Reply { status: 404, error: None, retry_after: None, text: "No route matches this host and path." };

const NOBODY: Reply = Reply {
    status: 503,
    error: Some("destination_unavailable"),
    retry_after: Some(1),
    text: "No backend is available for this request.",
};

const FULL: Reply = Reply {
    status: 503,
    error: Some("connection_limit_reached"),
    retry_after: Some(1),
    text: "Every backend for this request is at its limit.",
};

impl Progress {
    /// Nothing is decided yet about a request that came in on this listener, a position in [`Plan::listeners`].
    pub fn new(listener: u32) -> Self {
        Progress { listener, route: None, tried: SmallVec::new() }
    }

    /// The listener that the request came in on, as a position in [`Plan::listeners`].
    pub fn listener(&self) -> u32 {
        self.listener
    }
}

impl Plan {
    /// The next step for this request. `client` is the client behind trusted proxies, `dice` is fresh chance for
    /// every call. `progress` must have been started for a listener of this plan, and stays with it.
    pub fn decide(&self, progress: &mut Progress, head: &wire::Head, client: IpAddr, now: Tick, dice: u64) -> Step {
        let listener = &self.listeners[progress.listener as usize];
        if progress.route.is_none() {
            progress.route = listener.find(head.host(), head.path());
        }
        let Some(route) = progress.route else {
            return Step::Reply(NO_ROUTE);
        };
        let pool = listener.routes[route as usize].pool;
        let plan = &self.pools[pool as usize];
        let key = plan.key.of(head, client, self.seed, dice);
        match plan.pool.choose(key, &progress.tried, now, dice) {
            Chosen::Slot(slot) => {
                progress.tried.push(slot);
                Step::Send { pool, slot }
            }
            Chosen::Full => Step::Reply(FULL),
            Chosen::Nobody => Step::Reply(NOBODY),
        }
    }
}
