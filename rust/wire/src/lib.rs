//! Bytes to messages and back, and nothing else.
//!
//! The crate has no hands: it takes bytes, returns messages or the rule that was broken, and someone else owns the socket.
//! What makes it worth a crate of its own is the promise in the type of [`Head`]: there is no way to make one but to parse
//! bytes that passed every check of framing, host and target. Whoever holds a `Head` need not check again, and whoever
//! renders one writes the framing fields anew, so what two parsers could read in two ways never goes any further.
//!
//! - [`head`]: the message head, as spans over one page
//! - [`http1`]: parsing, rendering, bodies and turn-taking of HTTP/1
//! - [`fields`], [`edits`] and [`rewrite`]: which fields are ours to remove and to set, and what a route changes
//! - [`target`] and [`host`]: the one normaliser of path and host
//! - `upgrade`: switching to another protocol
//! - [`forwarded`]: the client's address behind trusted proxies
//! - [`proxy_protocol`] and [`client_hello`]: what may stand ahead of the first message
//! - [`error`]: every rule, whose fault it is, and the status that answers it
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

pub mod client_hello;
pub(crate) mod cursor;
pub mod edits;
pub mod error;
pub mod fields;
pub mod forwarded;
pub mod head;
pub mod host;
pub mod http1;
pub mod page;
pub mod proxy_protocol;
pub mod rewrite;
pub mod rules;
pub mod target;
pub(crate) mod upgrade;

pub use edits::{Authority, FieldEdits, Heads, NotEditable, RateLimit, RequestEdits, ResponseEdits, RouteEdits};
pub use error::{Blame, Fault, Rule};
pub use head::{Framing, Head, Method, Version};
pub use http1::body::{BodyReader, Taken};
pub use http1::parse::{Parsed, parse_request, parse_response};
pub use http1::render::{chunk_prefix, render_rate, render_request, render_response, response_framing};
pub use http1::state::{Conversation, Event, Sending, Who};
pub use page::{Page, Pages};
pub use rewrite::PathEdit;
pub use rules::{Limits, Rules};
