//! What tells two inputs apart without keeping them: SHA-256 over parts, each with its length before it.
//!
//! A certificate, a policy, a whole listener is made anew only when its fingerprint is another one. Keeping the inputs
//! themselves would keep private keys in memory a second time.

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::hash::Context;

/// 32 bytes that stand for inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

/// A fingerprint being made.
pub(crate) struct Mixer(Box<dyn Context>);

impl Mixer {
    pub(crate) fn new() -> Self {
        let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("it is a suite of TLS 1.3");
        Mixer(suite.common.hash_provider.start())
    }

    /// Adds a part, which ends where the next begins.
    pub(crate) fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn print(self) -> Fingerprint {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Fingerprint(bytes)
    }
}

impl Fingerprint {
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        parts.iter().fold(Mixer::new(), |mixer, part| mixer.part(part)).print()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart() {
        assert_eq!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"ab", b"c"]));
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
        assert_ne!(Fingerprint::of(&[b""]), Fingerprint::of(&[]));
    }
}
