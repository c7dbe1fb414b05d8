//! What can go wrong with an exchange, and the two questions every caller asks: whose fault, and may we retry?
//!
//! A [`wire::Fault`] is a broken rule of the protocol; a `Failure` is that or anything that sockets and time can do.
//! Its methods are the two tables that users see, one row per failure: what the client is told, and whether the
//! request goes to a backend again.

use std::io;

use plan::On;
use wire::{Blame, Fault};

use crate::observe::meter::Retry;
use crate::tls::handshake::{Fault as TlsFault, TlsFailure};

/// Why an exchange, or an attempt at one, did not end as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A rule of the protocol was broken, by either side.
    Rule(Fault),
    /// The backend refused the connection.
    ConnectRefused,
    /// The connection to the backend was not established in time.
    ConnectTimeout,
    /// Another error while connecting (no route, no permission, unix socket missing).
    ConnectFailed,
    /// The backend accepted and closed before anything was sent.
    ClosedUnused,
    /// The backend's certificate is not believed.
    TlsCertificate,
    /// The backend does not speak TLS, or not as we do.
    TlsProtocol,
    /// The TLS handshake with the backend took too long.
    TlsTimeout,
    /// An answer with a status that is tried again.
    Status(u16),
    /// The backend drains, and its time is over.
    Cut,
    /// No descriptor was left for a connection to the backend.
    Exhausted,
    /// The backend closed or reset before the first byte of its answer.
    ClosedEarly,
    /// The backend closed or reset inside the head of its answer.
    CutInHead,
    /// The backend closed or reset inside the body of its answer.
    Truncated,
    /// No response head in time.
    ResponseTimeout,
    /// The response body stopped arriving.
    ResponseIdle,
    /// The client went away while an answer was owed.
    ClientGone,
    /// The request head did not arrive in time.
    HeadTimeout,
    /// The request body stopped arriving, or arrived too slowly.
    BodyTimeout,
    /// The client did not read its answer, or read it too slowly.
    ClientSlow,
    /// pylb ends, and the grace is over.
    Stopped,
    /// The request body is longer than the listener's limit.
    BodyTooLarge,
    /// The Host belongs to another TLS policy than the connection.
    Misdirected,
    /// A client speaks TLS where none is spoken.
    TlsHere,
}

/// What a request has done so far, as far as a retry is concerned.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    /// Its method may be repeated (RFC 9110, 9.2.2), and no byte of its body is lost.
    pub repeatable: bool,
    /// The connection of the attempt had been idle.
    pub was_idle: bool,
    /// It was sent again once already after a backend closed on it.
    pub closed_before: bool,
}

impl Failure {
    pub(crate) fn blame(self) -> Blame {
        match self {
            Failure::Rule(fault) => fault.blame(),
            Failure::ConnectRefused
            | Failure::ConnectTimeout
            | Failure::ConnectFailed
            | Failure::ClosedUnused
            | Failure::TlsCertificate
            | Failure::TlsProtocol
            | Failure::TlsTimeout
            | Failure::ClosedEarly
            | Failure::CutInHead
            | Failure::Truncated
            | Failure::Status(_)
            | Failure::ResponseTimeout
            | Failure::ResponseIdle => Blame::Backend,
            Failure::ClientGone
            | Failure::HeadTimeout
            | Failure::BodyTimeout
            | Failure::ClientSlow
            | Failure::BodyTooLarge
            | Failure::Misdirected
            | Failure::TlsHere => Blame::Client,
            Failure::Exhausted | Failure::Stopped | Failure::Cut => Blame::Proxy,
        }
    }

    /// The same end of a connection, but part of a head had arrived.
    pub(crate) fn inside_head(self) -> Self {
        if self == Failure::ClosedEarly { Failure::CutInHead } else { self }
    }

    /// What a head broke that begins with `bytes`, where this is what its absence would have been.
    pub(crate) fn or_rather(self, fault: Fault, bytes: &[u8]) -> Self {
        // A record of a handshake, of any version (RFC 8446, 5.1).
        let is_tls = self == Failure::ClientGone && bytes.starts_with(&[22, 3]);
        if is_tls { Failure::TlsHere } else { fault.into() }
    }

    /// Whether the request may go to a backend again: never processed, or processed harmlessly and, unless the pool
    /// wants more, only once more.
    pub(crate) fn may_retry(self, spent: Spent, on: &On) -> bool {
        match self {
            Failure::ConnectRefused | Failure::ConnectTimeout | Failure::ConnectFailed | Failure::ClosedUnused => {
                on.connect
            }
            // No byte of the request was written.
            Failure::TlsCertificate | Failure::TlsProtocol | Failure::TlsTimeout => on.connect,
            _ if !spent.repeatable => false,
            Failure::ClosedEarly => {
                let once = if spent.was_idle { on.stale } else { on.closed };
                on.reset || (once && !spent.closed_before)
            }
            Failure::CutInHead => on.reset,
            // To its backend the end of a drain is a connection closed early.
            Failure::Cut => on.closed,
            Failure::ResponseTimeout => on.timeout,
            Failure::Status(status) => on.statuses.contains(&status),
            _ => false,
        }
    }

    /// The kind of a retry after this failure.
    pub(crate) fn retry_kind(self, was_idle: bool) -> Retry {
        match self {
            Failure::ClosedEarly if was_idle => Retry::Stale,
            Failure::ClosedEarly | Failure::Cut => Retry::Closed,
            Failure::CutInHead => Retry::Reset,
            Failure::ResponseTimeout => Retry::Timeout,
            Failure::Status(_) => Retry::Status,
            _ => Retry::Connect,
        }
    }

    /// Whether an attempt that failed like this may have made a backend work: the budget bounds such work. A refused
    /// connection is answered by the kernel, and trying elsewhere asks no more of anybody than the request itself.
    pub(crate) fn costs_backends(self) -> bool {
        self != Failure::ConnectRefused
    }

    /// The status to answer with while nothing of an answer has been sent.
    pub(crate) fn status(self) -> u16 {
        match self {
            Failure::Rule(fault) => fault.status(),
            Failure::ConnectTimeout | Failure::TlsTimeout | Failure::ResponseTimeout => 504,
            Failure::ConnectRefused
            | Failure::ConnectFailed
            | Failure::ClosedUnused
            | Failure::TlsCertificate
            | Failure::TlsProtocol
            | Failure::ClosedEarly
            | Failure::CutInHead
            | Failure::Truncated
            | Failure::ResponseIdle => 502,
            Failure::Status(status) => status,
            Failure::ClientGone | Failure::ClientSlow => 499,
            Failure::HeadTimeout | Failure::BodyTimeout => 408,
            Failure::TlsHere => 400,
            Failure::BodyTooLarge => 413,
            Failure::Misdirected => 421,
            Failure::Exhausted | Failure::Stopped | Failure::Cut => 503,
        }
    }

    /// The error type of `Proxy-Status` (RFC 9209, 2.3), where one fits.
    pub(crate) fn proxy_error(self) -> Option<&'static str> {
        match self {
            Failure::Rule(fault) if matches!(fault.blame(), Blame::Backend) => Some("http_protocol_error"),
            Failure::ConnectRefused => Some("connection_refused"),
            Failure::ConnectTimeout | Failure::TlsTimeout => Some("connection_timeout"),
            Failure::TlsCertificate => Some("tls_certificate_error"),
            Failure::TlsProtocol => Some("tls_protocol_error"),
            Failure::ConnectFailed => Some("destination_ip_unroutable"),
            Failure::ClosedUnused => Some("connection_terminated"),
            Failure::ClosedEarly | Failure::CutInHead | Failure::Truncated => Some("http_response_incomplete"),
            Failure::ResponseTimeout | Failure::ResponseIdle => Some("http_response_timeout"),
            Failure::Cut => Some("destination_unavailable"),
            Failure::Exhausted | Failure::Stopped => Some("proxy_internal_error"),
            _ => None,
        }
    }

    /// A stable name for logs, metrics and facts.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Failure::Rule(fault) => fault.rule(),
            Failure::ConnectRefused => "connection refused",
            Failure::ConnectTimeout => "connect timeout",
            Failure::ConnectFailed => "connect failed",
            Failure::ClosedUnused => "closed unused",
            Failure::TlsCertificate => "certificate refused",
            Failure::TlsProtocol => "TLS failed",
            Failure::TlsTimeout => "TLS handshake timeout",
            Failure::Exhausted => "no descriptors left",
            Failure::ClosedEarly | Failure::CutInHead => "incomplete-head",
            Failure::Truncated => "incomplete-body",
            Failure::Status(502..=504) => "answered 502, 503 or 504",
            Failure::Status(_) => "status",
            Failure::Cut => "drain is over",
            Failure::ResponseTimeout => "response timeout",
            Failure::ResponseIdle => "response stalled",
            Failure::ClientGone => "client gone",
            Failure::HeadTimeout => "request head timeout",
            Failure::BodyTimeout => "request body timeout",
            Failure::ClientSlow => "client too slow",
            Failure::Stopped => "stopped",
            Failure::BodyTooLarge => "request body too large",
            Failure::Misdirected => "host of another TLS policy",
            Failure::TlsHere => "TLS on a port without",
        }
    }

    /// One sentence for whoever reads the answer.
    pub(crate) fn explain(self) -> &'static str {
        match self {
            Failure::Rule(fault) => fault.explain(),
            Failure::ConnectRefused => "The backend refused the connection.",
            Failure::ConnectTimeout => "The backend did not accept the connection in time.",
            Failure::ConnectFailed => "The backend could not be reached.",
            Failure::ClosedUnused => "The backend closed the connection before it got the request.",
            Failure::TlsCertificate => "The certificate of the backend is not valid.",
            Failure::TlsProtocol => "TLS with the backend failed.",
            Failure::TlsTimeout => "TLS with the backend took too long.",
            Failure::Exhausted => "The proxy has no descriptor left.",
            Failure::ClosedEarly => "The backend closed the connection before it answered.",
            Failure::CutInHead | Failure::Truncated | Failure::ResponseIdle => "The backend's answer ended early.",
            Failure::Status(_) => "The backend could not answer the request.",
            Failure::Cut => "The backend is being taken out of service.",
            Failure::ResponseTimeout => "The backend did not answer in time.",
            Failure::ClientGone | Failure::ClientSlow => "The client went away.",
            Failure::HeadTimeout => "The request head did not arrive in time.",
            Failure::BodyTimeout => "The request body did not arrive in time.",
            Failure::Stopped => "The proxy is stopping.",
            Failure::BodyTooLarge => "The request body is too large.",
            Failure::Misdirected => "This host needs a connection of its own.",
            Failure::TlsHere => "This port does not speak TLS.",
        }
    }

    /// What an error of connect(2) means.
    pub(crate) fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Failure::ConnectRefused,
            io::ErrorKind::TimedOut => Failure::ConnectTimeout,
            _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => Failure::Exhausted,
            _ => Failure::ConnectFailed,
        }
    }
}

impl From<&TlsFailure> for Failure {
    /// Of a handshake with a backend.
    fn from(failure: &TlsFailure) -> Self {
        match failure.fault {
            TlsFault::Certificate => Failure::TlsCertificate,
            TlsFault::Protocol | TlsFault::Gone => Failure::TlsProtocol,
            TlsFault::Slow => Failure::TlsTimeout,
            TlsFault::Stopped => Failure::Stopped,
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Rule(fault)
    }
}
