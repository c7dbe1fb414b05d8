//! The normaliser: its result is a fixed point, and nothing in it is a dot segment, however slashes are read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Pages, Parsed, Rules, parse_request, target};

fuzz_target!(|path: &[u8]| {
    if let Ok(once) = target::canonical(path) {
        assert_eq!(target::canonical(&once).as_deref(), Ok(&*once));
    }
    let Some(first) = sent(path) else { return };
    let again = sent(&first.0).expect("what is sent is accepted");
    assert_eq!(first, again);
    let text = first.1.to_ascii_lowercase();
    let decoded = String::from_utf8(text).expect("ASCII").replace("%2f", "/").replace("%5c", "/");
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    assert!(!decoded.split('/').any(dots), "{decoded}");
});

/// What is sent and what is matched for a target.
fn sent(target: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let text = [b"GET ", target, b" HTTP/1.0\r\n\r\n"].concat();
    match parse_request(&text, &mut 0, &Rules::default(), &mut Pages::default()) {
        Parsed::Done { head, used } if used == text.len() => Some((head.target().to_vec(), head.path().to_vec())),
        _ => None,
    }
}
