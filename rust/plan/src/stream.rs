//! The decision about what is not HTTP: a connection or a flow of datagrams gets a place on a backend.
//!
//! There is no head and no route, so only the second half of a decision is left, and it is the same one: the pool's
//! policy, its limits, its sessions. What of a client is known is its address. A pool that hashes anything else, or
//! knows its clients by anything else, cannot be used here; [`compile`](crate::compile) refuses that.

use std::net::IpAddr;
use std::time::Duration;

use balance::Tick;

use crate::decide::{Progress, Step};
use crate::key::Asker;
use crate::plan::Plan;

/// A connection or a flow that wants a place. `now`, `wall` and `dice` are new for every call.
#[derive(Copy, Clone, Debug)]
pub struct Stream {
    /// Where it comes from; behind a trusted PROXY header, what that says.
    pub client: IpAddr,
    /// The moment of the call.
    pub now: Tick,
    /// The same moment, as the time since the Unix epoch.
    pub wall: Duration,
    /// Any number, as chance wants it.
    pub dice: u64,
}

impl Plan {
    /// The next step for a connection or a flow, in the pool at this position of [`Plan::pools`].
    ///
    /// As with [`Plan::decide`], `progress` stays with it over all steps: a backend that was tried is not tried again
    /// while there is another. A [`Step::Reply`] is for its error and its words; there is nobody to send it to.
    pub fn place_stream<'p>(&'p self, pool: u32, progress: &mut Progress, stream: &Stream) -> Step<'p> {
        let Stream { client, now, wall, dice } = *stream;
        progress.pool = Some(pool);
        self.place(pool, progress, &Asker { head: None, client, now, wall, dice })
    }
}
