//! What holds for all ClientHellos and PROXY headers, not only for the cases of the tables.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use wire::client_hello::{self, Hello};
use wire::proxy_protocol::{self, Header, Version};

/// `content` behind its length in `bytes` bytes.
fn sized(bytes: usize, content: &[u8]) -> Vec<u8> {
    [&content.len().to_be_bytes()[size_of::<usize>() - bytes..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized(2, content)].concat()
}

/// A ClientHello message that asks for a name and offers protocols, with `others` between.
fn message(name: Option<&str>, protocols: &[String], others: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let name = name.map(|name| extension(0, &sized(2, &[&[0][..], &sized(2, name.as_bytes())].concat())));
    let others = others.iter().flat_map(|(kind, content)| extension(*kind, content));
    let list: Vec<u8> = protocols.iter().flat_map(|protocol| sized(1, protocol.as_bytes())).collect();
    let alpn = if protocols.is_empty() { Vec::new() } else { extension(16, &sized(2, &list)) };
    let extensions: Vec<u8> = name.into_iter().flatten().chain(others).chain(alpn).collect();
    let start = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0]].concat();
    [&[1][..], &sized(3, &[start, sized(2, &extensions)].concat())].concat()
}

/// The message in records, cut at `cuts`.
fn records(message: &[u8], cuts: &[Index]) -> Vec<u8> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(message.len())).collect();
    ends.extend([0, message.len()]);
    ends.sort_unstable();
    ends.dedup();
    let fragments = ends.windows(2).map(|pair| &message[pair[0]..pair[1]]);
    fragments.flat_map(|fragment| [&[22, 3, 1][..], &sized(2, fragment)].concat()).collect()
}

fn other_extensions() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let kind = any::<u16>().prop_filter("one that is read", |kind| ![0, 16].contains(kind));
    vec((kind, vec(any::<u8>(), 0..300)), 0..5)
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1), Just(Version::V2)]
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hello_says_the_same_however_it_is_cut(
        name in proptest::option::of("[a-zA-Z0-9_-]{1,20}(\\.[a-z0-9]{1,10}){0,4}"),
        protocols in vec("[a-z0-9/.]{1,12}", 0..4),
        others in other_extensions(),
        cuts in vec(any::<Index>(), 0..40),
        behind in vec(any::<u8>(), 0..20),
    ) {
        let hello = records(&message(name.as_deref(), &protocols, &others), &cuts);
        for end in 0..hello.len() {
            prop_assert_eq!(client_hello::read(&hello[..end]), Hello::More, "of {} bytes", end);
        }
        let bytes = [hello, behind].concat();
        let Hello::Done(read) = client_hello::read(&bytes) else { return Err(TestCaseError::fail("not taken")) };
        prop_assert_eq!(read.sni(), name.as_deref().map(str::as_bytes));
        prop_assert!(read.alpn().eq(protocols.iter().map(String::as_bytes)));
    }

    #[test]
    fn a_changed_hello_is_decided_once(
        others in other_extensions(),
        cuts in vec(any::<Index>(), 0..5),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = records(&message(Some("a.test"), &["h2".to_owned()], &others), &cuts);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let whole = client_hello::read(&bytes);
        let mut parts = (0..bytes.len()).map(|end| client_hello::read(&bytes[..end]));
        if let Some(decided) = parts.find(|part| *part != Hello::More) {
            prop_assert_eq!(decided, whole);
        }
    }

    #[test]
    fn a_written_header_is_read_as_what_it_says(
        source: Option<(SocketAddr, SocketAddr)>,
        version in version(),
        behind in vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = Vec::new();
        proxy_protocol::write(version, source, &mut bytes);
        let used = bytes.len();
        for end in 0..used {
            prop_assert_eq!(proxy_protocol::read(&bytes[..end]), Header::More);
        }
        bytes.extend_from_slice(&behind);
        let source = source.map(|(from, to)| (canonical(from), canonical(to)));
        // Neither scope nor flow of an IPv6 address is a part of the format.
        prop_assert_eq!(proxy_protocol::read(&bytes), Header::Done { source, used });
    }

    #[test]
    fn a_changed_header_is_decided_once(
        source: Option<(SocketAddr, SocketAddr)>,
        version in version(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = Vec::new();
        proxy_protocol::write(version, source, &mut bytes);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let whole = proxy_protocol::read(&bytes);
        let mut parts = (0..bytes.len()).map(|end| proxy_protocol::read(&bytes[..end]));
        if let Some(decided) = parts.find(|part| *part != Header::More) {
            prop_assert_eq!(decided, whole);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300), start in 0usize..4) {
        let starts: [&[u8]; 4] = [b"", &[22, 3, 1], b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"];
        let bytes = [starts[start], &bytes].concat();
        client_hello::read(&bytes);
        if let Header::Done { used, .. } = proxy_protocol::read(&bytes) {
            prop_assert!(used <= bytes.len());
        }
    }
}
