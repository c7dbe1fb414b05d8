//! What comes ahead of the first message, read whole and as it would arrive byte by byte.

use wire::client_hello::{self, Hello};
use wire::proxy_protocol::{self, Header};

use crate::data::{Preamble, PreambleCase, Unfinished, text};

pub fn hello(case: &PreambleCase) -> Result<(), String> {
    check(case, |bytes| match client_hello::read(bytes) {
        Hello::More => Preamble::More(Unfinished::More),
        Hello::Bad(why) => Preamble::Bad { bad: why.to_owned() },
        Hello::Done(hello) => Preamble::Hello { sni: hello.sni().map(text), alpn: hello.alpn().map(text).collect() },
    })
}

pub fn proxy(case: &PreambleCase) -> Result<(), String> {
    check(case, |bytes| match proxy_protocol::read(bytes) {
        Header::More => Preamble::More(Unfinished::More),
        Header::Bad(why) => Preamble::Bad { bad: why.to_owned() },
        Header::Done { source, used } => Preamble::Proxy { source, rest: text(&bytes[used..]) },
    })
}

/// All of it gives what the table says, and every part of it that or a wish for more, until it is decided.
fn check(case: &PreambleCase, read: impl Fn(&[u8]) -> Preamble) -> Result<(), String> {
    let bytes = case.send.bytes();
    let whole = read(&bytes);
    if whole != case.expect {
        return Err(format!("{whole:?}"));
    }
    let first = (0..=bytes.len()).map(|end| read(&bytes[..end])).find(|found| !matches!(found, Preamble::More(_)));
    match (first, &case.expect) {
        (None, Preamble::More(_)) => Ok(()),
        (Some(found), wanted) if without_rest(&found) == without_rest(wanted) => Ok(()),
        (found, _) => Err(format!("byte by byte it is {found:?}")),
    }
}

/// What was read, without what happened to come with it.
fn without_rest(found: &Preamble) -> String {
    match found {
        Preamble::Proxy { source, .. } => format!("{source:?}"),
        other => format!("{other:?}"),
    }
}
