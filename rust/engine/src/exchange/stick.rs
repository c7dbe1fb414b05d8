//! Clients that stay with a backend, as far as a response has to do with it.
//!
//! Who stays where is decided before (crate `plan`); left is what only a response can do: hand out the cookie of the
//! backend that answered, and learn the key that it gave its client. An exchange whose pool keeps nobody passes here
//! with two comparisons.

use plan::{Key, Pin, Sticky, StickyBy};
use wire::Head;

use super::Exchange;
use crate::worker::Worker;

/// Bytes of a cookie's attributes, and some more.
const ATTRIBUTES: usize = 96;

impl Exchange {
    /// The value of the Set-Cookie field that the client gets with its response; the backend's slot is still held.
    pub(super) fn set_cookie(&self, worker: &Worker) -> Option<Vec<u8>> {
        if self.progress.pin != Pin::Issue {
            return None;
        }
        let (_, slot) = self.story.served_by?;
        let sticky = self.sticky()?;
        let StickyBy::Cookie { name, path, .. } = &sticky.by else { return None };
        let token = sticky.token(slot, worker.clock.wall(worker.now()))?.write();
        let mut value = Vec::with_capacity(ATTRIBUTES + name.len() + path.len());
        for piece in [name.as_bytes(), b"=", &token, b"; Path=", path.as_bytes(), b"; Max-Age="] {
            value.extend_from_slice(piece);
        }
        value.extend_from_slice(itoa::Buffer::new().format(sticky.ttl.as_secs()).as_bytes());
        value.extend_from_slice(b"; HttpOnly; SameSite=Lax");
        if self.came_by_https() {
            value.extend_from_slice(b"; Secure");
        }
        Some(value)
    }

    /// Remembers the key that the backend gave its client, if the pool wants to know.
    pub(super) fn learn(&self, worker: &Worker, response: &Head) {
        if let Some(sticky) = self.sticky()
            && let StickyBy::Learned { response: key, .. } = &sticky.by
            && let Some(key) = given(key, response)
        {
            sticky.learn(key, self.pick().live(), worker.now());
        }
    }

    /// How it was found out where this client belongs, for the log.
    pub(super) fn pinned(&self) -> Option<&'static str> {
        match self.progress.pin {
            Pin::None => None,
            Pin::Honoured => Some("kept"),
            Pin::Issue => Some("set"),
            Pin::Escaped => Some("escaped"),
        }
    }

    fn sticky(&self) -> Option<&Sticky> {
        let (pool, _) = self.story.served_by?;
        self.held.pool(pool).sticky.as_deref()
    }
}

/// The value of a header of the response, or of a cookie that it sets.
fn given<'h>(key: &Key, response: &'h Head) -> Option<&'h [u8]> {
    match key {
        Key::Header(name) => response.field(name),
        Key::Cookie(name) => {
            let set = response.fields().filter(|(field, _)| field.eq_ignore_ascii_case(b"set-cookie"));
            set.filter_map(|(_, value)| cookie(value, name)).last()
        }
        _ => None,
    }
}

/// The value in `name=value; attributes`.
fn cookie<'h>(set: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let pair = set.split(|byte| *byte == b';').next()?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (found, value) = (&pair[..equals], &pair[equals + 1..]);
    (found.trim_ascii() == name).then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_taken_out_of_what_sets_them() {
        for (set, value) in [
            (&b"sid=abc; Path=/; HttpOnly"[..], Some(&b"abc"[..])),
            (b" sid = abc ;", Some(b"abc")),
            (b"sid=a=b", Some(b"a=b")),
            (b"sid=\"2|1:0\"", Some(b"\"2|1:0\"")),
            (b"sid=; Max-Age=0", Some(b"")),
            (b"other=sid=abc", None),
            (b"sid", None),
            (b"", None),
        ] {
            assert_eq!(cookie(set, b"sid"), value, "{}", set.escape_ascii());
        }
    }
}
