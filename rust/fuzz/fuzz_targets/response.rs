//! Responses: no panic, and a head that is rendered for a client is read again as the same response.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Framing, Pages, Parsed, ResponseEdits, Rules, Version, parse_response, render_response, response_framing};

fuzz_target!(|bytes: &[u8]| {
    let (rules, mut pages) = (Rules::default(), Pages::default());
    for to_head in [false, true] {
        let Parsed::Done { head, used } = parse_response(bytes, &mut 0, to_head, &rules, &mut pages) else { continue };
        assert!(used <= bytes.len());
        for version in [Version::Http10, Version::Http11] {
            let framing = response_framing(&head, version);
            let edits = ResponseEdits::plain(version, true, framing);
            let mut out = Vec::new();
            render_response(&head, &edits, &mut out);
            let mut larger = rules;
            larger.limits.head *= 2;
            larger.limits.fields *= 2;
            let Parsed::Done { head: again, used } = parse_response(&out, &mut 0, to_head, &larger, &mut pages) else {
                panic!("{}", out.escape_ascii());
            };
            assert_eq!((used, again.status()), (out.len(), head.status()));
            if !head.is_interim() {
                assert_eq!(again.framing(), framing);
                assert_eq!(again.keep_alive(), framing != Framing::UntilClose);
            }
        }
    }
});
