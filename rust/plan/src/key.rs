//! What a request is hashed by, and the hash.
//!
//! The client chooses the key, so the hash is SipHash with a seed that it does not know (Aumasson and Bernstein,
//! INDOCRYPT 2012): nobody can aim many keys at one backend. The seed is an argument of `compile`; processes with the
//! same seed agree about every key, and a restart with the same seed moves nobody.

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

use balance::Tick;
use wire::Head;

/// Where a pool's hash key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The policy does not hash.
    None,
    /// The client's address; IPv6 by its /64, which is what one subscriber has.
    ClientIp,
    /// The value of this header (its name in lower case).
    Header(Box<[u8]>),
    /// The value of this cookie.
    Cookie(Box<[u8]>),
    /// The value of this parameter of the query.
    Query(Box<[u8]>),
    /// The normalised path, without the query.
    Path,
}

/// Who wants a place on a backend.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Asker<'a> {
    /// What the client sent, if it speaks HTTP.
    pub(crate) head: Option<&'a Head>,
    pub(crate) client: IpAddr,
    pub(crate) now: Tick,
    /// `now` as the time since the Unix epoch.
    pub(crate) wall: Duration,
    /// Any number, as chance wants it.
    pub(crate) dice: u64,
}

/// The secret half of the hash.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seed(pub(crate) u64);

impl Key {
    /// The hash of this request's key. A request without the key, or with an empty one, has nothing to stay with:
    /// `dice` spreads it.
    pub(crate) fn of(&self, asker: &Asker<'_>, seed: Seed) -> u64 {
        if *self == Key::None {
            return asker.dice;
        }
        match self.value(asker.head, asker.client, &mut Octets::default()) {
            Some(value) => seed.hash(value),
            None => asker.dice,
        }
    }

    /// The key of this request, unless it has none or an empty one; `octets` is room for an address.
    pub(crate) fn value<'a>(&self, head: Option<&'a Head>, client: IpAddr, octets: &'a mut Octets) -> Option<&'a [u8]> {
        let value = match self {
            Key::None => None,
            Key::ClientIp => Some(subscriber(client, octets)),
            Key::Path => Some(head?.path()),
            Key::Header(name) => head?.field(name),
            Key::Cookie(name) => head?.cookie(name),
            Key::Query(name) => head?.query_value(name),
        };
        value.filter(|value| !value.is_empty())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Key::None => return out.write_str("nothing"),
            Key::ClientIp => return out.write_str("the client"),
            Key::Path => return out.write_str("the path"),
            Key::Header(name) => ("header", name),
            Key::Cookie(name) => ("cookie", name),
            Key::Query(name) => ("parameter", name),
        };
        write!(out, "{kind} `{}`", String::from_utf8_lossy(name))
    }
}

/// Room for what counts of an address.
pub(crate) type Octets = [u8; 8];

/// What one client has: an IPv4 address, or a /64 of IPv6.
fn subscriber(client: IpAddr, octets: &mut Octets) -> &[u8] {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            octets[..4].copy_from_slice(&address.octets());
            &octets[..4]
        }
        IpAddr::V6(address) => {
            octets.copy_from_slice(&address.octets()[..8]);
            octets
        }
    }
}

impl Seed {
    /// SipHash-2-4 of `bytes`.
    pub(crate) fn hash(self, bytes: &[u8]) -> u64 {
        #[expect(deprecated, reason = "RandomState cannot be seeded; this is std's own SipHash with a key")]
        let mut hasher = std::hash::SipHasher::new_with_keys(self.0, 0);
        hasher.write(bytes);
        hasher.finish()
    }

    /// Another seed, whose hashes have nothing to do with those of this one.
    pub(crate) fn apart(self, purpose: &[u8]) -> Seed {
        Seed(self.hash(purpose))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(seed: u64, address: &str) -> u64 {
        Seed(seed).hash(subscriber(address.parse().unwrap(), &mut Octets::default()))
    }

    #[test]
    fn equal_seeds_agree_in_every_process() {
        // SipHash-2-4 of the empty message under the zero key, from the reference implementation's C code.
        assert_eq!(Seed(0).hash(b""), 0x1e92_4b9d_7377_00d7);
        assert_ne!(Seed(0).hash(b"a"), Seed(1).hash(b"a"));
    }

    #[test]
    fn a_subscriber_is_one_client() {
        assert_eq!(client(7, "2001:db8::1"), client(7, "2001:db8::ffff:1"));
        assert_ne!(client(7, "2001:db8::1"), client(7, "2001:db8:0:1::1"));
        assert_eq!(client(7, "::ffff:10.0.0.1"), client(7, "10.0.0.1"));
        assert_ne!(client(7, "10.0.0.2"), client(7, "10.0.0.1"));
    }
}
