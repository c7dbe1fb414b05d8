//! Every rule that a message can break.
//!
//! A fault answers two questions: whose fault is it, and what do we say. The rule is fine enough to assert on and has a stable
//! name for the log line; the side it was found on decides between an answer to the client and a 502 that discards the backend's
//! connection. One row per rule below holds all there is to know about it.

use std::fmt;

/// Whose fault it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client sent something that it must not.
    Client,
    /// A backend sent something that it must not.
    Backend,
    /// We are about to do something that we must not: a defect in pylb.
    Proxy,
}

/// A broken rule and the side that broke it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    rule: Rule,
    blame: Blame,
}

impl Fault {
    /// A fault of `rule`, committed by `blame`.
    pub const fn new(rule: Rule, blame: Blame) -> Self {
        Self { rule, blame }
    }

    /// The same rule, broken by a backend: for checks that do not know which side they read.
    pub const fn of_backend(self) -> Self {
        Self::new(self.rule, Blame::Backend)
    }

    /// The rule as a value, for comparisons.
    pub const fn kind(&self) -> Rule {
        self.rule
    }

    /// Stable kebab-case name of the rule, for the log line.
    pub const fn rule(&self) -> &'static str {
        self.rule.row().0
    }

    /// The status that answers it: that of the rule for a client, 502 for a backend, 500 for ourselves.
    pub const fn status(&self) -> u16 {
        match self.blame {
            Blame::Client => self.rule.row().1,
            Blame::Backend => 502,
            Blame::Proxy => 500,
        }
    }

    /// Whose fault it is.
    pub const fn blame(&self) -> Blame {
        self.blame
    }

    /// One sentence for the person who has to mend the sender.
    pub const fn explain(&self) -> &'static str {
        self.rule.row().2
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule(), self.explain())
    }
}

impl std::error::Error for Fault {}

/// A rule of the wire. Names are those of [`Fault::rule`] in camel case.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the sentence of each row below is its documentation
pub enum Rule {
    BareLf,
    BareCr,
    ControlByte,
    ObsFold,
    SpaceBeforeField,
    SpaceBeforeColon,
    MissingColon,
    BadFieldName,
    EmptyLines,
    MalformedHead,
    MalformedRequestLine,
    MalformedStatusLine,
    UnsupportedVersion,
    MethodNotAllowed,
    BadExpect,
    RequestLineTooLong,
    HeadTooLarge,
    TooManyFields,
    FieldTooLarge,
    LengthAndEncoding,
    RepeatedEncoding,
    EmptyEncoding,
    BadEncoding,
    UnsupportedEncoding,
    EncodingOnHttp10,
    RepeatedLength,
    ConflictingLength,
    BadLength,
    MissingHost,
    RepeatedHost,
    BadHost,
    HostMismatch,
    BadTargetByte,
    BadTargetForm,
    BadEscape,
    EncodedControl,
    OverlongUtf8,
    Backslash,
    EncodedSlash,
    EncodedSlashByDots,
    DotsWithParameter,
    DotSegment,
    BadChunkSize,
    ChunkLineTooLong,
    BadChunkExtension,
    ChunkExtensionsTooLarge,
    BadChunkEnd,
    TooManyTrailers,
    TrailersTooLarge,
    IncompleteHead,
    IncompleteBody,
    UnrequestedSwitch,
    MismatchedSwitch,
    BadStatus,
    TooManyInterim,
    OutOfTurn,
}

impl Rule {
    #[rustfmt::skip] // a table is read by its rows
    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::BareLf => ("bare-lf", 400, "A line must end in CR LF, not in a bare LF."),
            Self::BareCr => ("bare-cr", 400, "A CR may only stand before an LF."),
            Self::ControlByte => ("control-byte", 400, "Control bytes are not allowed in a head."),
            Self::ObsFold => ("obs-fold", 400, "A field must not be folded over several lines."),
            Self::SpaceBeforeField => ("space-before-field", 400, "No space is allowed before the first field."),
            Self::SpaceBeforeColon => ("space-before-colon", 400, "No space is allowed between a field's name and its colon."),
            Self::MissingColon => ("missing-colon", 400, "A field line needs a colon."),
            Self::BadFieldName => ("bad-field-name", 400, "A field name must be a token."),
            Self::EmptyLines => ("empty-lines", 400, "At most one empty line may stand before a request."),
            Self::MalformedHead => ("malformed-head", 400, "The head is not HTTP/1."),
            Self::MalformedRequestLine => ("malformed-request-line", 400, "The request line must be method, target and version with one space between them."),
            Self::MalformedStatusLine => ("malformed-status-line", 400, "The status line must be a version, three digits and a reason."),
            Self::UnsupportedVersion => ("unsupported-version", 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here."),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "CONNECT and TRACE are not allowed here."),
            Self::BadExpect => ("bad-expect", 417, "The only expectation that can be met is 100-continue."),
            Self::RequestLineTooLong => ("request-line-too-long", 414, "The request line is longer than allowed."),
            Self::HeadTooLarge => ("head-too-large", 431, "The head is larger than allowed."),
            Self::TooManyFields => ("too-many-fields", 431, "The head has more fields than allowed."),
            Self::FieldTooLarge => ("field-too-large", 431, "A field is larger than allowed."),
            Self::LengthAndEncoding => ("length-and-encoding", 400, "Content-Length and Transfer-Encoding exclude each other."),
            Self::RepeatedEncoding => ("repeated-transfer-encoding", 400, "Transfer-Encoding may appear once."),
            Self::EmptyEncoding => ("empty-transfer-encoding", 400, "Transfer-Encoding must not be empty."),
            Self::BadEncoding => ("bad-transfer-encoding", 400, "Transfer-Encoding must be exactly chunked."),
            Self::UnsupportedEncoding => ("unsupported-transfer-encoding", 501, "The only transfer coding spoken here is chunked."),
            Self::EncodingOnHttp10 => ("transfer-encoding-on-http10", 400, "HTTP/1.0 has no Transfer-Encoding."),
            Self::RepeatedLength => ("repeated-content-length", 400, "Content-Length may appear once."),
            Self::ConflictingLength => ("conflicting-content-length", 400, "Two values of Content-Length contradict each other."),
            Self::BadLength => ("bad-content-length", 400, "Content-Length must be decimal digits below 2^63."),
            Self::MissingHost => ("missing-host", 400, "An HTTP/1.1 request needs a Host."),
            Self::RepeatedHost => ("repeated-host", 400, "Host may appear once."),
            Self::BadHost => ("bad-host", 400, "Host must be a name or address with an optional port up to 65535."),
            Self::HostMismatch => ("host-mismatch", 400, "The authority of the target and Host must agree."),
            Self::BadTargetByte => ("bad-target-byte", 400, "The target must be visible ASCII without a fragment."),
            Self::BadTargetForm => ("bad-target-form", 400, "The target must start with a slash."),
            Self::BadEscape => ("bad-escape", 400, "A percent sign in a path needs two hexadecimal digits."),
            Self::EncodedControl => ("encoded-control", 400, "Encoded control bytes are not allowed in a path."),
            Self::OverlongUtf8 => ("overlong-utf8", 400, "Overlong UTF-8 is not allowed in a path."),
            Self::Backslash => ("backslash", 400, "A backslash is not allowed in a path."),
            Self::EncodedSlash => ("encoded-slash", 400, "Encoded slashes are refused here."),
            Self::EncodedSlashByDots => ("encoded-slash-by-dots", 400, "An encoded slash beside a dot segment is not allowed."),
            Self::DotsWithParameter => ("dots-with-parameter", 400, "A dot segment must not have a parameter."),
            Self::DotSegment => ("dot-segment", 400, "Dot segments are refused where paths are sent as received."),
            Self::BadChunkSize => ("bad-chunk-size", 400, "A chunk size is 1 to 16 hexadecimal digits followed by CR LF or a semicolon."),
            Self::ChunkLineTooLong => ("chunk-line-too-long", 400, "A chunk-size line is longer than 256 bytes."),
            Self::BadChunkExtension => ("bad-chunk-extension", 400, "Control bytes are not allowed in a chunk extension."),
            Self::ChunkExtensionsTooLarge => ("chunk-extensions-too-large", 400, "The chunk extensions of one body are larger than 4 KiB."),
            Self::BadChunkEnd => ("bad-chunk-end", 400, "The data of a chunk must be followed by CR LF."),
            Self::TooManyTrailers => ("too-many-trailers", 400, "At most 32 trailer fields are allowed."),
            Self::TrailersTooLarge => {
                ("trailers-too-large", 400, "Trailers are larger than 8 KiB.")
            }
            Self::IncompleteHead => ("incomplete-head", 400, "The connection ended before the head did."),
            Self::IncompleteBody => ("incomplete-body", 400, "The connection ended before the body did."),
            Self::UnrequestedSwitch => ("unrequested-switch", 400, "Nobody asked to switch protocols."),
            Self::MismatchedSwitch => ("mismatched-switch", 400, "A 101 must name a protocol that was offered, and no other."),
            Self::BadStatus => ("bad-status", 400, "A status must be between 100 and 599."),
            Self::TooManyInterim => ("too-many-interim", 400, "More than 8 interim responses came before the final one."),
            Self::OutOfTurn => ("out-of-turn", 400, "This side may not send that now."),
        }
    }
}
