//! What the engine runs: one immutable value, complete and checked, and the decision it takes for a request.
//!
//! Python sends a *draft* (the whole desired state, every default filled in, as JSON). [`compile`] turns it into a
//! [`Plan`] or into every error at once, each with its path in the draft, which is its path in the user's file. A plan
//! never changes; a change of configuration is a new plan beside the old one and one swap. What moves fast (health,
//! requests in flight, averages, the round-robin cursor) sits in `Arc`s of `balance` that a new plan takes over from
//! the one before it, so a reload forgets nothing.
//!
//! Nothing here does I/O, reads a clock or draws chance: time, dice and the hash seed are arguments. That is why the
//! same [`Plan::decide`] serves the engine, `pylb explain` and tests without sockets.
//!
//! Read in this order: `draft` (what comes in), `compile`, `plan` with `listener` and `pool` (what comes out), `route`
//! with `trie` (which route?), `decide` (what to do with a request), `stream` (and with what is none), `change` (how
//! two plans differ).
#![forbid(unsafe_code)]

pub mod action;
pub mod bind;
pub mod change;
mod compile;
pub mod condition;
pub mod decide;
pub mod draft;
pub mod error;
pub mod explain;
mod expression;
pub mod key;
mod listener;
mod names;
mod pattern;
mod place;
mod plan;
mod pool;
pub mod redirect;
pub mod route;
mod sticky;
mod stream;
mod suggest;
mod tls;
mod trie;

pub use balance::{Backend, Chosen, Health, Live, Policy, Pool, Tick};

pub use action::{Action, Limit, Page, Route, Split};
pub use bind::{Address, Bind};
pub use change::{Binds, Change};
pub use compile::{Seeds, compile};
pub use condition::Condition;
pub use decide::{Body, Pin, Progress, Reply, Request, Step, Until};
pub use error::{PlanError, Segment};
pub use explain::{Question, Trace, explain};
pub use key::Key;
pub use listener::{Datagrams, Http, Listener, Service};
pub use names::{NameAction, NameRoute, Names};
pub use plan::{LogFormat, LogPlan, Plan, Sink};
pub use pool::{On, PoolPlan, Queue, Retries};
pub use redirect::Redirect;
pub use sticky::{Sticky, StickyBy};
pub use stream::Stream;
pub use tls::{CertificatePlan, ClientAuth, ClientHeaders, Pair, PoolTls, TlsPlan, TlsVersion};
