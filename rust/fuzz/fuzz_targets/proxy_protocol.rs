//! PROXY headers: no panic, a part of one is never refused or taken for whole, and what is written is read as what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::proxy_protocol::{Header, LIMIT, Version, read, write};

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes);
    let mut parts = (0..bytes.len()).map(|end| read(&bytes[..end])).skip_while(|part| *part == Header::More);
    match parts.next() {
        Some(decided) => assert_eq!(decided, whole),
        None => assert!(bytes.len() <= LIMIT),
    }
    let Header::Done { source, used } = whole else { return };
    assert!(used <= bytes.len());
    for version in [Version::V1, Version::V2] {
        let mut out = Vec::new();
        write(version, source, &mut out);
        assert_eq!(read(&out), Header::Done { source, used: out.len() });
    }
});
