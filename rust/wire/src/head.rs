//! The head of a message: one buffer plus spans.
//!
//! A head is copied once, from the receive buffer into a page, and never again: all that is asked of it later (path, host, a
//! cookie) is a span over that page, decided while parsing. That makes it cheap to hold across any wait: 4 KiB that come from a
//! free list, no borrow of a buffer that others need. Requests and responses share the type, since nearly everything about
//! them is the same; what only one of them has is empty in the other.
//!
//! There is no public constructor. A `Head` is the proof that framing, host and target passed every rule.

use crate::fields::{Known, trim};
use crate::page::{Field, Page, Pages, Span};

/// A protocol version that we speak.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Methods that something depends on. Everything else is `Other` and passes by its name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in RFC 9110 section 9 and RFC 5789
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Trace,
    Connect,
    Other,
}

impl Method {
    /// Method names are case-sensitive.
    pub(crate) fn named(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// How the end of a body is found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body follows.
    Empty,
    /// So many bytes follow. A written length of 0 is `Length(0)`: it is written again.
    Length(u64),
    /// Chunks follow.
    Chunked,
    /// The body ends with the connection (responses only).
    UntilClose,
}

/// A head that passed every check.
#[derive(Debug)]
pub struct Head {
    pub(crate) page: Page,
    pub(crate) framing: Framing,
    pub(crate) length: Option<u64>,
    /// Requests: the target as received. Responses: the reason.
    pub(crate) received: Span,
    pub(crate) target: Span,
    pub(crate) path: Span,
    pub(crate) authority: Span,
    pub(crate) host: Span,
    /// Start of the query in the page; `u32::MAX` if there is none.
    pub(crate) query: u32,
    pub(crate) size: u32,
    pub(crate) status: u16,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) leniency: Option<Leniency>,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) upgrade: bool,
}

/// What `lenient: true` let through.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leniency {
    LineEnds,
    Fold,
    Lengths,
}

impl Head {
    /// The method of a request.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method's name as received.
    pub fn method_name(&self) -> &[u8] {
        Span { start: 0, end: self.received.start.saturating_sub(1) }.of(&self.page.bytes)
    }

    /// Whether sending the request twice does no more than sending it once (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        use Method::{Delete, Get, Head, Options, Put, Trace};
        matches!(self.method, Get | Head | Options | Put | Delete | Trace)
    }

    /// What goes upstream: normalised path and query, or as received with `path: raw`, or `*`.
    pub fn target(&self) -> &[u8] {
        self.target.of(&self.page.bytes)
    }

    /// The target as the client wrote it, for logs.
    pub fn received_target(&self) -> &[u8] {
        self.received.of(&self.page.bytes)
    }

    /// What is matched: the normalised path with `//` merged and escapes in upper case.
    pub fn path(&self) -> &[u8] {
        self.path.of(&self.page.bytes)
    }

    /// The query as received, without its `?`.
    pub fn query(&self) -> Option<&[u8]> {
        self.page.bytes.get(self.query as usize..self.target.end as usize)
    }

    /// The first value of `name` in the query, as received; empty for a name without `=`.
    pub fn query_value(&self, name: &[u8]) -> Option<&[u8]> {
        let mut pairs = self.query()?.split(|&byte| byte == b'&');
        pairs.find_map(|pair| value_of(pair, name))
    }

    /// The host: lower case, without port and trailing dot, IPv6 in brackets. Empty for HTTP/1.0 without Host.
    pub fn host(&self) -> &[u8] {
        self.host.of(&self.page.bytes)
    }

    /// The Host, or the authority of an absolute target, as received: what is forwarded.
    pub fn authority(&self) -> &[u8] {
        self.authority.of(&self.page.bytes)
    }

    /// The first value of the cookie `name`, as received.
    pub fn cookie(&self, name: &[u8]) -> Option<&[u8]> {
        let mut pairs = self.known(Known::Cookie).flat_map(|value| value.split(|&byte| byte == b';'));
        pairs.find_map(|pair| value_of(trim(pair), name))
    }

    /// Whether the client waits for a 100 before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The status of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether a request offers to switch to another protocol (RFC 9110 section 7.8); it has no body then.
    pub fn offers_switch(&self) -> bool {
        self.upgrade
    }

    /// Whether a response is a 101 that accepts what its request offered: nothing behind it is HTTP any more.
    pub fn is_switch(&self) -> bool {
        self.status == 101
    }

    /// Whether a response is a 1xx that another one follows: all but 101.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199) && !self.is_switch()
    }

    /// The sender's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body that follows is framed.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Content-Length as written, in bytes, also where no body follows (HEAD, 304).
    pub fn announced_length(&self) -> Option<u64> {
        self.length
    }

    /// Whether version, `Connection` and framing let the connection live on.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// N of `Keep-Alive: timeout=N`, in seconds.
    pub fn keep_alive_timeout(&self) -> Option<u32> {
        let mut parameters = self.known(Known::KeepAlive).flat_map(|value| value.split(|&byte| byte == b','));
        let seconds = parameters.find_map(|pair| {
            let (name, value) = trim(pair).split_at_checked(8)?;
            name.eq_ignore_ascii_case(b"timeout=").then_some(value)
        })?;
        str::from_utf8(seconds).ok()?.parse().ok()
    }

    /// The value of the first field called `name`, which must be in lower case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let bytes = &self.page.bytes;
        let mut fields = self.page.fields.iter();
        fields
            .find(|field| usize::from(field.name_len) == name.len() && field.name(bytes).eq_ignore_ascii_case(name))
            .map(|field| field.value(bytes))
    }

    /// All fields as received, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let bytes = &self.page.bytes;
        self.page.fields.iter().map(|field| (field.name(bytes), field.value(bytes)))
    }

    /// Size of the head as received, in bytes, with its empty line.
    pub fn byte_len(&self) -> usize {
        self.size as usize
    }

    /// The rule that `lenient: true` waived for this head, by its stable name.
    pub fn leniency(&self) -> Option<&'static str> {
        self.leniency.map(|waived| match waived {
            Leniency::LineEnds => "bare-lf",
            Leniency::Fold => "obs-fold",
            Leniency::Lengths => "repeated-content-length",
        })
    }

    /// The reason of a response as received; empty for a request.
    pub fn reason(&self) -> &[u8] {
        if self.status == 0 { &[] } else { self.received.of(&self.page.bytes) }
    }

    /// The same head in as little storage as it needs, for a message that outlives its exchange by far.
    #[must_use]
    pub fn compact(self, pages: &mut Pages) -> Head {
        let page = Page { bytes: self.page.bytes.clone(), fields: self.page.fields.clone() };
        let compact = Head { page, ..self };
        pages.give(self.page);
        compact
    }

    /// Gives the storage back for the free list.
    pub fn into_page(self) -> Page {
        self.page
    }

    /// Values of all fields of one kind.
    pub(crate) fn known(&self, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
        let of_kind = move |field: &&Field| field.known == known;
        let bytes = &self.page.bytes;
        self.page.fields.iter().filter(of_kind).map(|field| field.value(bytes))
    }
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match pair.strip_prefix(name)? {
        [] => Some(&[]),
        [b'=', value @ ..] => Some(value),
        _ => None,
    }
}
