//! A listener: where clients connect, and what becomes of them.
//!
//! What every listener has stands in [`Listener`]; what follows from its protocol is its [`Service`]. Everything of
//! HTTP lies inside, not behind a pointer: that is the hot one.

use ipnet::IpNet;

use crate::action::Route;
use crate::bind::Bind;
use crate::condition::Condition;
use crate::names::Names;
use crate::redirect::Redirect;
use crate::route::{Pattern, Router};
use crate::tls::TlsPlan;

/// Where clients connect, and what becomes of them.
pub struct Listener {
    /// Its key in the file.
    pub name: Box<str>,
    /// The sockets it accepts on. None if clients only get here by [`NameAction::Terminate`](crate::NameAction).
    pub binds: Vec<Bind>,
    /// What happens here is written to the access log.
    pub access_log: bool,
    /// Peers that have to begin with a PROXY header; nobody else may.
    pub proxy_from: Vec<IpNet>,
    /// TLS that is terminated here.
    pub tls: Option<Box<TlsPlan>>,
    /// Milliseconds of a whole TLS handshake.
    pub tls_handshake_ms: u32,
    /// Milliseconds of a PROXY header, or of the first message of TLS where that is routed on.
    pub hello_ms: u32,
    /// What is spoken.
    pub service: Service,
}

/// What is spoken on a listener, and what becomes of it.
pub enum Service {
    /// Requests, each of which goes its own way.
    Http(Http),
    /// Bytes both ways, whatever they mean.
    Tcp {
        /// A position in [`Plan::pools`](crate::Plan::pools).
        pool: u32,
    },
    /// Datagrams both ways.
    Udp(Datagrams),
    /// TLS that is told by its first message and passed on.
    Names(Names),
}

/// What is accepted from clients that speak HTTP, and which way their requests go.
pub struct Http {
    /// Which heads are accepted.
    pub rules: wire::Rules,
    /// Milliseconds from the first byte of a head to its last.
    pub head_ms: u32,
    /// Milliseconds without progress of a request body.
    pub body_idle_ms: u32,
    /// Milliseconds that an idle connection is kept for its next request.
    pub keepalive_ms: u32,
    /// Milliseconds that a client may leave a non-empty backlog unread.
    pub send_idle_ms: u32,
    /// Bytes of the largest request body; `None` is no limit.
    pub max_body: Option<u64>,
    /// Requests on one connection before it is closed; at least 1.
    pub max_requests: u32,
    /// A client that half-closes its connection still gets its answer (otherwise it counts as gone).
    pub half_close_keep: bool,
    /// Peers whose forwarded headers are believed.
    pub trusted: Vec<IpNet>,
    /// Where requests in clear are sent, before any route is asked.
    pub redirect_https: Option<Box<Redirect>>,
    /// Routes in the order of the file; the first that matches wins.
    pub routes: Vec<Route>,
    /// What each route matches, parallel to them.
    pub(crate) patterns: Vec<Pattern>,
    /// What routes ask beyond host and path, by [`Pattern::more`]; many ask the same.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) router: Router,
}

/// How datagrams are passed on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Datagrams {
    /// A position in [`Plan::pools`](crate::Plan::pools).
    pub pool: u32,
    /// Milliseconds without a datagram in either direction, after which a flow ends.
    pub idle_ms: u32,
    /// The replies to each datagram of a client; a flow that has had them all ends. `None` is any number.
    pub replies: Option<u32>,
    /// Flows at once, over all workers; at least 1.
    pub flows: u32,
}

impl Listener {
    /// What it says about HTTP, if that is what it speaks.
    #[inline]
    pub fn http(&self) -> Option<&Http> {
        match &self.service {
            Service::Http(http) => Some(http),
            _ => None,
        }
    }

    /// Its routes in the order of the file; none where no requests are read.
    pub fn routes(&self) -> &[Route] {
        self.http().map_or(&[], |http| &http.routes)
    }
}

impl Http {
    /// Position of the first route, in the order of the file, that takes a request.
    ///
    /// `host` is lower case without port ([`wire::Head::host`]), `path` is normalised ([`wire::Head::path`]). Of a
    /// route that asks for more, `holds` says whether the request fulfils it. The steps follow the lengths of host and
    /// path, not how many of them there are; nothing is allocated.
    #[inline]
    pub fn find(&self, host: &[u8], path: &[u8], holds: impl Fn(&Condition) -> bool) -> Option<u32> {
        self.router.find(host, path, |more| holds(&self.conditions[more as usize]))
    }
}
