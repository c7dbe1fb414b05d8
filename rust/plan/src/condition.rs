//! What a route asks of a request beyond host and path: everything that has to be looked at, one thing after the other.
//!
//! The router finds the routes whose host and path fit; this says whether one of them takes the request. All parts must
//! hold. Of a header or cookie that is sent twice the first counts, as everywhere in pylb; an empty value is a value. A
//! parameter of the query is compared decoded (`a+b` and `a%20b` are `a b`), because that is what applications see.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use wire::Head;

use crate::expression::Expression;
use crate::key::Key;

/// What a route asks beyond host and path. The cheap parts come first.
#[derive(Debug, Default)]
pub struct Condition {
    /// One of these; none is any.
    pub(crate) methods: Vec<Box<str>>,
    /// One of these; none is any.
    pub(crate) clients: Vec<IpNet>,
    /// All of these.
    pub(crate) wants: Vec<Want>,
    /// The whole path.
    pub(crate) path: Option<Expression>,
}

/// What the value of a header, cookie or parameter must be.
#[derive(Debug, PartialEq)]
pub(crate) struct Want {
    /// [`Key::Header`], [`Key::Cookie`] or [`Key::Query`].
    pub(crate) of: Key,
    pub(crate) value: Value,
}

/// What a value must be.
#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    Exact(Box<str>),
    Present,
    Absent,
    Matching(Expression),
}

/// A part of a condition that does not hold.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Unmet<'c> {
    Method(&'c [Box<str>]),
    Client(&'c [IpNet]),
    Want(&'c Want),
    Path(&'c Expression),
}

impl Condition {
    /// Whether the request fulfils all of it.
    pub fn holds(&self, head: &Head, client: IpAddr) -> bool {
        self.unmet(head, client).is_none()
    }

    /// The first part that does not hold.
    pub(crate) fn unmet(&self, head: &Head, client: IpAddr) -> Option<Unmet<'_>> {
        let method = head.method_name();
        if !self.methods.is_empty() && !self.methods.iter().any(|one| one.as_bytes() == method) {
            return Some(Unmet::Method(&self.methods));
        }
        let client = client.to_canonical();
        if !self.clients.is_empty() && !self.clients.iter().any(|network| network.contains(&client)) {
            return Some(Unmet::Client(&self.clients));
        }
        if let Some(want) = self.wants.iter().find(|want| !want.holds(head)) {
            return Some(Unmet::Want(want));
        }
        self.path.as_ref().filter(|path| !path.matches(head.path())).map(Unmet::Path)
    }

    /// Whether every request that fulfils `other` fulfils this one too, as far as that is plain to see.
    pub(crate) fn covers(&self, other: &Condition) -> bool {
        let methods = self.methods.is_empty()
            || !other.methods.is_empty() && other.methods.iter().all(|one| self.methods.contains(one));
        let within = |network: &IpNet| self.clients.iter().any(|wide| wide.contains(network));
        let clients = self.clients.is_empty() || !other.clients.is_empty() && other.clients.iter().all(within);
        let implied = |want: &Want| other.wants.iter().any(|one| one.implies(want));
        methods && clients && self.wants.iter().all(implied) && (self.path.is_none() || self.path == other.path)
    }
}

impl Want {
    fn holds(&self, head: &Head) -> bool {
        let value = match &self.of {
            Key::Header(name) => head.field(name).map(Cow::Borrowed),
            Key::Cookie(name) => head.cookie(name).map(Cow::Borrowed),
            Key::Query(name) => head.query().and_then(|query| parameter(query, name)),
            Key::Path | Key::ClientIp | Key::None => None,
        };
        match (&self.value, value) {
            (Value::Absent, value) => value.is_none(),
            (_, None) => false,
            (Value::Present, Some(_)) => true,
            (Value::Exact(exact), Some(value)) => exact.as_bytes() == &*value,
            (Value::Matching(pattern), Some(value)) => pattern.matches(&value),
        }
    }

    fn implies(&self, other: &Want) -> bool {
        let same = self.of == other.of;
        match (&self.value, &other.value) {
            (Value::Absent, Value::Present) => false,
            (_, Value::Present) => same,
            (Value::Exact(exact), Value::Matching(pattern)) => same && pattern.matches(exact.as_bytes()),
            _ => self == other,
        }
    }
}

impl fmt::Display for Unmet<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmet::Method(methods) => write!(out, "the method is not {}", methods.join(" or ")),
            Unmet::Client(networks) => {
                let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
                write!(out, "the client is not in {}", networks.join(" or "))
            }
            Unmet::Want(Want { of, value }) => match value {
                Value::Exact(exact) => write!(out, "{of} is not `{exact}`"),
                Value::Present => write!(out, "{of} is missing"),
                Value::Absent => write!(out, "{of} is there"),
                Value::Matching(expression) => write!(out, "{of} does not match `{expression}`"),
            },
            Unmet::Path(expression) => write!(out, "the path does not match `{expression}`"),
        }
    }
}

/// The first value of a parameter, decoded; empty for a name without `=`.
fn parameter<'q>(query: &'q [u8], name: &[u8]) -> Option<Cow<'q, [u8]>> {
    query.split(|&byte| byte == b'&').find_map(|pair| {
        let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let (found, value) = pair.split_at(end);
        (*decoded(found) == *name).then(|| decoded(value.get(1..).unwrap_or_default()))
    })
}

/// `application/x-www-form-urlencoded`, as the URL standard decodes it: a stray `%` is itself.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        let escaped = match after {
            [high, low, ..] if *byte == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        plain.push(match (escaped, byte) {
            (Some((high, low)), _) => (high * 16 + low) as u8,
            (None, b'+') => b' ',
            (None, byte) => *byte,
        });
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_compared_as_applications_see_them() {
        let value = |query: &'static str, name: &str| {
            parameter(query.as_bytes(), name.as_bytes()).map(|value| String::from_utf8_lossy(&value).into_owned())
        };
        for (query, name, found) in [
            ("a=1&b=2", "b", Some("2")),
            ("a=1&a=2", "a", Some("1")),
            ("a", "a", Some("")),
            ("a=", "a", Some("")),
            ("ab=1", "a", None),
            ("", "a", None),
            ("v%65rsion=2", "version", Some("2")),
            ("q=a+b%20c%2B", "q", Some("a b c+")),
            ("q=100%&r=%zz%", "q", Some("100%")),
            ("q=100%&r=%zz%", "r", Some("%zz%")),
            ("q=a=b", "q", Some("a=b")),
        ] {
            assert_eq!(value(query, name).as_deref(), found, "{name} of {query}");
        }
    }

    fn want(value: Value) -> Condition {
        let of = Key::Header(Box::from(&b"x-a"[..]));
        Condition { wants: vec![Want { of, value }], ..Condition::default() }
    }

    #[test]
    fn covers_only_what_surely_fulfils_less() {
        let exact = |text: &str| want(Value::Exact(text.into()));
        let matching = |text: &str| want(Value::Matching(Expression::new(text).unwrap()));
        assert!(want(Value::Present).covers(&exact("1")) && !exact("1").covers(&want(Value::Present)));
        assert!(matching("[0-9]+").covers(&exact("12")) && !matching("[0-9]+").covers(&exact("x")));
        assert!(matching("a+").covers(&matching("a+")) && !matching("a+").covers(&matching("a*")));
        assert!(!want(Value::Present).covers(&want(Value::Absent)) && want(Value::Absent).covers(&want(Value::Absent)));
        assert!(Condition::default().covers(&exact("1")) && !exact("1").covers(&Condition::default()));
        let methods = |methods: &[&str]| Condition {
            methods: methods.iter().map(|method| Box::from(*method)).collect(),
            ..Condition::default()
        };
        assert!(methods(&["GET", "HEAD"]).covers(&methods(&["GET"])));
        assert!(!methods(&["GET"]).covers(&methods(&["GET", "HEAD"])) && !methods(&["GET"]).covers(&methods(&[])));
        let clients = |network: &str| Condition { clients: vec![network.parse().unwrap()], ..Condition::default() };
        assert!(clients("10.0.0.0/8").covers(&clients("10.1.0.0/16")));
        assert!(!clients("10.1.0.0/16").covers(&clients("10.0.0.0/8")));
    }
}
