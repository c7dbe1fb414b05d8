//! What a request is hashed by, and the hash.
//!
//! The client chooses the key, so the hash is SipHash with a seed that it does not know (Aumasson and Bernstein,
//! INDOCRYPT 2012): nobody can aim many keys at one backend. The seed is an argument of `compile`; processes with the
//! same seed agree about every key, and a restart with the same seed moves nobody.

use std::hash::Hasher;
use std::net::IpAddr;

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

/// The secret half of the hash.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seed(pub(crate) u64);

impl Key {
    /// The hash of this request's key. A request without the key, or with an empty one, has nothing to stay with:
    /// `dice` spreads it.
    pub(crate) fn of(&self, head: &Head, client: IpAddr, seed: Seed, dice: u64) -> u64 {
        let value = match self {
            Key::None => return dice,
            Key::ClientIp => return seed.hash_client(client),
            Key::Path => Some(head.path()),
            Key::Header(name) => head.field(name),
            Key::Cookie(name) => head.cookie(name),
            Key::Query(name) => head.query_value(name),
        };
        match value {
            Some(value) if !value.is_empty() => seed.hash(value),
            _ => dice,
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

    fn hash_client(self, client: IpAddr) -> u64 {
        match client.to_canonical() {
            IpAddr::V4(address) => self.hash(&address.octets()),
            IpAddr::V6(address) => self.hash(&address.octets()[..8]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(seed: u64, address: &str) -> u64 {
        Seed(seed).hash_client(address.parse().unwrap())
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
