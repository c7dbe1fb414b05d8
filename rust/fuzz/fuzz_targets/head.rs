//! Request heads: no panic, no difference between whole and split, and what is rendered is read again as the same request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Pages, Parsed, RequestEdits, Rules, parse_request, render_request};

fuzz_target!(|bytes: &[u8]| {
    for lenient in [false, true] {
        let rules = Rules { lenient, ..Rules::default() };
        let mut pages = Pages::default();
        let Parsed::Done { head, used } = parse_request(bytes, &mut 0, &rules, &mut pages) else { continue };
        assert!(used <= bytes.len());
        assert!(matches!(parse_request(&bytes[..used], &mut (used / 2), &rules, &mut pages), Parsed::Done { .. }));
        if head.host().is_empty() {
            continue;
        }
        let edits = RequestEdits {
            client: std::net::Ipv4Addr::LOCALHOST.into(),
            proto: "http",
            trusted: false,
            request_id: None,
            route: None,
        };
        let mut once = Vec::new();
        render_request(&head, &edits, &mut once);
        let Parsed::Done { head: again, used } = parse_request(&once, &mut 0, &larger(), &mut pages) else {
            panic!("{}", once.escape_ascii());
        };
        assert_eq!(used, once.len());
        assert_eq!(
            (head.method_name(), head.target(), head.host()),
            (again.method_name(), again.target(), again.host())
        );
        assert_eq!(head.framing(), again.framing());
        let mut twice = Vec::new();
        render_request(&again, &edits, &mut twice);
        assert_eq!(once, twice);
    }
});

/// What we add to a head may lift it over the limits of one that just fits.
fn larger() -> Rules {
    let mut rules = Rules::default();
    rules.limits.head *= 2;
    rules.limits.fields *= 2;
    rules
}
