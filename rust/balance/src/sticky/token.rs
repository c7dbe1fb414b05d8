//! What a cookie of pylb says, in 18 characters.
//!
//! Thirteen bytes as base64url without padding (RFC 4648, section 5): the number of the key, the minute of issue, and
//! the id of the backend under that key, the last two big-endian. Thirteen bytes leave four bits of the last character
//! over; they are zero, or one client would have sixteen spellings of its cookie.
//!
//! The minute is not signed. It only says when the cookie is due for renewal: a client that changes it changes how soon
//! it is told the same again.

/// A cookie of pylb, taken apart.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Number of the key that made the id.
    pub number: u8,
    /// Minutes from the UNIX epoch to its issue.
    pub minute: u32,
    /// The backend under that key.
    pub id: u64,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CHARACTERS: usize = 18;
/// Bits of the last character that no byte uses.
const SPARE: u32 = 4;

impl Token {
    /// Reads a cookie's value; `None` for anything that [`Token::write`] would not have written.
    pub fn read(value: &[u8]) -> Option<Token> {
        let value: &[u8; CHARACTERS] = value.try_into().ok()?;
        let mut bits: u128 = 0;
        for &character in value {
            bits = bits << 6 | u128::from(digit(character)?);
        }
        if bits & ((1 << SPARE) - 1) != 0 {
            return None;
        }
        let bits = bits >> SPARE;
        Some(Token { number: (bits >> 96) as u8, minute: (bits >> 64) as u32, id: bits as u64 })
    }

    /// The cookie's value.
    pub fn write(self) -> [u8; CHARACTERS] {
        let bits = u128::from(self.number) << 96 | u128::from(self.minute) << 64 | u128::from(self.id);
        let mut left = bits << SPARE;
        let mut value = [0; CHARACTERS];
        for character in value.iter_mut().rev() {
            *character = ALPHABET[(left & 63) as usize];
            left >>= 6;
        }
        value
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_base64url_of_thirteen_bytes() {
        // python3 -c 'import base64, struct; print(base64.urlsafe_b64encode(struct.pack(">BIQ", 0xfb, 29_000_000, 0xfff0_0102_0304_05ff)))'
        let token = Token { number: 0xfb, minute: 29_000_000, id: 0xfff0_0102_0304_05ff };
        assert_eq!(&token.write(), b"-wG6gUD_8AECAwQF_w");
        assert_eq!(&Token { number: 0, minute: 0, id: 0 }.write(), &[b'A'; 18]);
    }

    #[test]
    fn junk_is_no_token() {
        let good = Token { number: 1, minute: 2, id: 3 }.write();
        assert!(Token::read(&good[..17]).is_none());
        assert!(Token::read(&[&good[..], b"A"].concat()).is_none());
        assert!(Token::read(&[&good[..], b"="].concat()).is_none());
        for junk in [&b""[..], b"127.0.0.1:22", b"AAAAAAAAAAAAAAAAA=", b"AAAAAAAAAAAAAAAAA+", b"AAAAAAAAAAAAAAAAA/"] {
            assert!(Token::read(junk).is_none(), "{junk:?}");
        }
        assert!(Token::read(&[b'A'; 4096]).is_none());
        assert!(Token::read(b"AAAAAAAAAAAAAAAAAB").is_none(), "a spare bit is set");
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(number: u8, minute: u32, id: u64) {
            let token = Token { number, minute, id };
            prop_assert_eq!(Token::read(&token.write()), Some(token));
        }

        #[test]
        fn has_one_spelling(value in proptest::collection::vec(any::<u8>(), 0..24)) {
            if let Some(token) = Token::read(&value) {
                prop_assert_eq!(&token.write()[..], &value[..]);
            }
        }

        #[test]
        fn has_one_spelling_of_its_own_characters(value in "[A-Za-z0-9_-]{18}") {
            match Token::read(value.as_bytes()) {
                Some(token) => prop_assert_eq!(&token.write()[..], value.as_bytes()),
                None => prop_assert!(digit(value.as_bytes()[17]).unwrap() & 15 != 0),
            }
        }
    }
}
