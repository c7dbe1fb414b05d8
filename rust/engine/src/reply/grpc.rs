//! Statuses and messages as gRPC clients read them.
//!
//! The numbers follow "HTTP to gRPC Status Code Mapping" of the gRPC project (`doc/http-grpc-status-mapping.md`): what
//! a client would make of our status by itself, so that behind pylb it sees the same as behind any other proxy. It is
//! said in the answer's head, with HTTP's 200 ("Trailers-Only" in `doc/PROTOCOL-HTTP2.md`).

const UNKNOWN: u8 = 2;
const PERMISSION_DENIED: u8 = 7;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

/// The `grpc-status` for an HTTP status.
pub(super) fn status(http: u16) -> u8 {
    match http {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The `grpc-message` for a text: percent-encoded outside printable ASCII.
pub(super) fn message(text: &str) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte),
            _ => out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_follow_the_published_table() {
        for (http, grpc) in [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 14)] {
            assert_eq!(status(http), grpc, "{http}");
        }
        for other in [405, 408, 413, 414, 417, 421, 431, 501, 505] {
            assert_eq!(status(other), UNKNOWN, "{other}");
        }
    }

    #[test]
    fn messages_are_one_line_of_ascii() {
        assert_eq!(message("100% déjà\n"), b"100%25 d%C3%A9j%C3%A0%0A");
    }
}
