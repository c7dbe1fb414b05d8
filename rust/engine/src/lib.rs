//! The only crate with sockets, threads and a clock: it makes a plan true.
//!
//! Read `exchange.rs` first (one request from head to last byte), then `client.rs` (one connection), `worker.rs` (one
//! thread), `apply.rs` (how a plan comes in force). `end` is HTTP on a socket, `upstream` connections to backends,
//! `observe` numbers, log lines and facts.
//!
//! A worker shares atomics with the others, and locks only where a pool is full or a table of clients' keys is asked.
//! It never takes the interpreter lock: it cannot, because this crate does not know that Python exists.
#![deny(unsafe_op_in_unsafe_fn)]

mod apply;
mod arrival;
mod client;
mod clock;
mod drain;
mod end;
mod engine;
mod exchange;
mod failure;
mod fork;
mod listen;
mod observe;
mod pace;
mod pick;
mod presence;
mod reply;
mod request_id;
mod running;
mod shared;
mod socket;
mod status;
mod tcp;
mod tls;
mod tunnel;
mod udp;
mod upstream;
mod wait;
mod worker;

pub use apply::{ApplyError, check, explain};
pub use engine::{Engine, Options};
pub use observe::facts::Fact;
pub use plan::{PlanError, Question, Segment, Trace};
pub use status::{BackendStatus, CertificateStatus, FlowStatus, ListenerStatus, PoolStatus, QueueStatus, Status};
pub use tls::Files;
pub use tls::internal::{Minted, mint};
