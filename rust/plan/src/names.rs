//! Where TLS goes that is not decrypted: by what the client says before it begins.
//!
//! The first message of TLS carries the server's name in clear (SNI, RFC 6066, section 3) and the protocols that the
//! client would speak (ALPN, RFC 7301). A route asks for a name, for one of some protocols, or for both, and the first
//! in the order of the file that is fulfilled wins. That is the question that HTTP routes ask of hosts, so the same
//! router answers it: names are hosts, there are no paths, and protocols are what a route asks beyond them.

use crate::route::{Pattern, Router};

/// Routes of clients that ask for a name.
pub struct Names {
    /// In the order of the file; the first that matches wins.
    pub routes: Vec<NameRoute>,
    /// What each route matches, parallel to them.
    pub(crate) patterns: Vec<Pattern>,
    /// Lists of protocols, by [`Pattern::more`].
    pub(crate) alpns: Vec<Box<[Box<[u8]>]>>,
    pub(crate) router: Router,
}

/// What the clients have in common that one `match` of the file catches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRoute {
    /// Its `name` in the file, else `LISTENER#N`, counted from 1.
    pub name: Box<str>,
    /// What becomes of them.
    pub action: NameAction,
}

/// What becomes of a client that asked for a name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NameAction {
    /// It goes to this pool, a position in [`Plan::pools`](crate::Plan::pools), not decrypted.
    Pool(u32),
    /// It goes to this listener, a position in [`Plan::listeners`](crate::Plan::listeners), which has TLS.
    Terminate(u32),
}

/// A name of DNS has at most 253 bytes (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 255;

impl Names {
    /// The first route, in the order of the file, that takes this client, and its position.
    ///
    /// `sni` in any case, with or without the dot of the root at its end; `alpn` as the client lists them. Nothing is
    /// allocated.
    pub fn find(&self, sni: Option<&[u8]>, alpn: &[&[u8]]) -> Option<(u32, &NameRoute)> {
        let mut lower = [0; LONGEST_NAME];
        let name = sni.map(|name| name.strip_suffix(b".").unwrap_or(name));
        let name = lower_case(name.unwrap_or_default(), &mut lower);
        let speaks = |more: u32| self.alpns[more as usize].iter().any(|wanted| alpn.contains(&&**wanted));
        let position = self.router.find(name, b"", speaks)?;
        Some((position, self.routes.get(position as usize)?))
    }
}

/// A name longer than any that a route can have is as good as none.
fn lower_case<'b>(name: &[u8], buffer: &'b mut [u8; LONGEST_NAME]) -> &'b [u8] {
    let Some(lower) = buffer.get_mut(..name.len()) else { return b"" };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    lower
}
