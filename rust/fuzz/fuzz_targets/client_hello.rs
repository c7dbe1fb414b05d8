//! ClientHellos: no panic, and a part of one is never refused or taken for whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::client_hello::{Hello, read};

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes);
    if let Hello::Done(hello) = &whole {
        assert!(hello.alpn().all(|protocol| !protocol.is_empty()));
        assert!(hello.sni().is_none_or(|name| name.is_ascii() && !name.is_empty()));
    }
    let mut parts = (0..bytes.len()).map(|end| read(&bytes[..end])).skip_while(|part| *part == Hello::More);
    match parts.next() {
        Some(decided) => assert_eq!(decided, whole),
        None => assert!(bytes.len() <= wire::client_hello::LIMIT + 5),
    }
});
