//! Responses: no panic, and a head that is rendered for a client is read again as the same response.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{
    Framing, Pages, Parsed, ResponseEdits, Rules, Version, parse_request, parse_response, render_response,
    response_framing,
};

const REQUESTS: [&[u8]; 3] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, tcp\r\n\r\n",
];

fuzz_target!(|bytes: &[u8]| {
    let (rules, mut pages) = (Rules::default(), Pages::default());
    for request in REQUESTS {
        let Parsed::Done { head: request, .. } = parse_request(request, &mut 0, &rules, &mut pages) else { panic!() };
        let Parsed::Done { head, used } = parse_response(bytes, &mut 0, &request, &rules, &mut pages) else { continue };
        assert!(used <= bytes.len());
        for version in [Version::Http10, Version::Http11] {
            let framing = response_framing(&head, version);
            let edits = ResponseEdits::plain(version, true, framing);
            let mut out = Vec::new();
            render_response(&head, &edits, &mut out);
            let mut larger = rules;
            larger.limits.head *= 2;
            larger.limits.fields *= 2;
            let Parsed::Done { head: again, used } = parse_response(&out, &mut 0, &request, &larger, &mut pages) else {
                panic!("{}", out.escape_ascii());
            };
            assert_eq!((used, again.status()), (out.len(), head.status()));
            if !head.is_interim() && !head.is_switch() {
                assert_eq!(again.framing(), framing);
                assert_eq!(again.keep_alive(), framing != Framing::UntilClose);
            }
        }
    }
});
