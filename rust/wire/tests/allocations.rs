//! A request in steady state allocates nothing: parsing, matching, reading the body and rendering live on pages that go round.
//!
//! The allocator of this test counts per thread, so what other threads of the test runner do is not seen.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use wire::*;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain thread-local that never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUEST: &[u8] = b"POST /api/%61/../products?page=2 HTTP/1.1\r\nHost: Shop.Example:8080\r\nConnection: keep-alive\r\nUser-Agent: x\r\n\
    Accept:*/*\r\nX-Forwarded-For: 1.2.3.4\r\nTransfer-Encoding: chunked\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 64\r\nConnection: keep-alive\r\n\r\n";

fn exchange(pages: &mut Pages, out: &mut Vec<u8>) {
    out.clear();
    let Parsed::Done { head, .. } = parse_request(REQUEST, &mut 0, &Rules::default(), pages) else { panic!() };
    assert_eq!(head.path(), b"/api/products");
    let client = forwarded::client("192.0.2.1".parse().unwrap(), &[], &head);
    let edits = RequestEdits { client, proto: "http", trusted: false, request_id: Some(b"id"), route: None };
    render_request(&head, &edits, out);
    let mut body = *b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    assert!(BodyReader::new(head.framing()).read(&mut body).unwrap().last);
    chunk_prefix(11, out);

    let answer = parse_response(RESPONSE, &mut 0, &head, &Rules::default(), pages);
    let Parsed::Done { head: answer, .. } = answer else { panic!() };
    let framing = response_framing(&answer, Version::Http11);
    render_response(&answer, &ResponseEdits::plain(Version::Http11, true, framing), out);
    pages.give(answer.into_page());
    pages.give(head.into_page());
}

#[test]
fn a_request_in_steady_state_allocates_nothing() {
    let mut pages = Pages::default();
    let mut out = Vec::with_capacity(4096);
    exchange(&mut pages, &mut out);
    let before = COUNT.get();
    assert!(before > 0, "the first exchange makes a page, or nothing is counted");
    for _ in 0..1000 {
        exchange(&mut pages, &mut out);
    }
    assert_eq!(COUNT.get() - before, 0);
}
