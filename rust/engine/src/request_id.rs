//! The id a request carries through logs, backends and answers: a UUID of version 7 (RFC 9562, 5.7).

use std::time::Duration;

/// 36 characters, held inline.
pub(crate) struct RequestId([u8; 36]);

impl RequestId {
    /// An id of this time (since the Unix epoch) with the given random bits.
    pub(crate) fn new(now: Duration, random: [u8; 10]) -> Self {
        let id = uuid::Builder::from_unix_timestamp_millis(now.as_millis() as u64, &random).into_uuid();
        let mut text = [0; 36];
        id.hyphenated().encode_lower(&mut text);
        RequestId(text)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
