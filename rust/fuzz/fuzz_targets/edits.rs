//! What routes change, from arbitrary text: what is taken is rendered to one request, framed as before; the rest is
//! refused.
//!
//! The bytes are cut at NUL: a head, a prefix, what takes its place, a name, a value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{
    Authority, FieldEdits, Heads, Pages, Parsed, PathEdit, RequestEdits, RouteEdits, Rules, parse_request,
    render_request,
};

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (head, prefix, with, name, value) = (part(), part(), part(), part(), part());
    let mut pages = Pages::default();
    for raw_path in [false, true] {
        let rules = Rules { raw_path, ..Rules::default() };
        let Parsed::Done { head, .. } = parse_request(head, &mut 0, &rules, &mut pages) else { continue };
        if head.host().is_empty() {
            continue;
        }
        let mut fields = FieldEdits::default();
        let _ = fields.set(Heads::Requests, name, value);
        let _ = fields.add(Heads::Requests, value, name);
        let _ = fields.remove(Heads::Requests, with);
        let route = RouteEdits { fields, path: PathEdit::replace(prefix, with).ok(), host: Authority::new(value) };
        let client = std::net::Ipv4Addr::LOCALHOST.into();
        let edits = RequestEdits { client, proto: "http", trusted: false, request_id: None, route: Some(&route) };
        let mut out = Vec::new();
        render_request(&head, &edits, &mut out);
        let mut larger = rules;
        larger.limits = wire::Limits { head: 1 << 20, fields: 1 << 10, request_line: 1 << 20, field: 1 << 20 };
        let Parsed::Done { head: again, used } = parse_request(&out, &mut 0, &larger, &mut pages) else {
            panic!("{}", out.escape_ascii());
        };
        assert_eq!(used, out.len());
        assert_eq!((head.method_name(), head.query()), (again.method_name(), again.query()));
        assert_eq!(head.framing(), again.framing());
    }
});
