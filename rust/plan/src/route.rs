//! Which route? The first, in the order of the file, whose host and path match.
//!
//! A request has few candidates, however long the file is: the routes of its exact host, of every wildcard above the
//! host, and of any host; among each, those of its exact path, of every prefix above the path, and of any path. Each
//! of these lists is known by its lowest file position alone, so the first match is the minimum over the candidates,
//! and file order needs no scan. Two trees hold them (see `trie`): one of reversed hosts, whose values are sets of
//! routes, and in each set one of paths, whose values are file positions.
//!
//! `*.shop.example` takes every host below `shop.example`, at any depth, but not `shop.example`. `/x/` takes `/x` and
//! all below it, `/x` only itself. There is one way through this code for one host and for 10,000, with no faster
//! path that compares in its own way.

use std::collections::BTreeMap;

use crate::pattern::{HostPattern, PathPattern};
use crate::trie::{Entry, NONE, Trie};

/// Host patterns are no longer than a DNS name (RFC 1035, section 2.3.4), so the last bytes of a host tell all.
const LONGEST_HOST: usize = 256;

/// What one route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) host: HostPattern,
    pub(crate) path: PathPattern,
}

/// The routes of a listener, ready to be looked up.
#[derive(Debug)]
pub(crate) struct Router {
    hosts: Trie,
    root: u32,
    sets: Vec<Set>,
    /// The set of routes for any host.
    any: Option<Set>,
    paths: Trie,
}

/// The routes of one host pattern.
#[derive(Copy, Clone, Debug)]
struct Set {
    /// The tree of their paths.
    root: u32,
    /// The lowest position of one for any path.
    any: u32,
    /// The lowest position of all.
    lowest: u32,
}

impl Router {
    /// Positions are those in `patterns`.
    pub(crate) fn new(patterns: &[Pattern]) -> Self {
        let mut paths = Trie::default();
        let mut sets = Vec::new();
        let mut any = None;
        let mut hosts = Vec::new();
        for (host, routes) in by_host(patterns) {
            let set = Set::new(&routes, &mut paths);
            let id = sets.len() as u32;
            let (key, here, below) = match host {
                HostPattern::Any => {
                    any = Some(set);
                    continue;
                }
                HostPattern::Exact(name) => (name, id, NONE),
                HostPattern::Below(name) => (name, NONE, id),
            };
            sets.push(set);
            let key = key.iter().rev().copied().collect();
            hosts.push(Entry { key, here, below });
        }
        let mut tree = Trie::default();
        let root = tree.grow(hosts);
        Router { hosts: tree, root, sets, any, paths }
    }

    /// The lowest position that matches.
    pub(crate) fn find(&self, host: &[u8], path: &[u8]) -> Option<u32> {
        let mut best = NONE;
        let mut buffer = [0; LONGEST_HOST];
        let host = reversed(host, &mut buffer);
        self.hosts.at_or_above(self.root, host, b'.', |id| {
            if let Some(set) = self.sets.get(id as usize) {
                best = self.find_in(set, path, best);
            }
        });
        if let Some(set) = &self.any {
            best = self.find_in(set, path, best);
        }
        (best != NONE).then_some(best)
    }

    /// The lower of `best` and the lowest match in `set`.
    #[inline]
    fn find_in(&self, set: &Set, path: &[u8], best: u32) -> u32 {
        if set.lowest >= best {
            return best;
        }
        let mut best = best.min(set.any);
        self.paths.at_or_above(set.root, path, b'/', |position| best = best.min(position));
        best
    }
}

impl Set {
    fn new(routes: &[(u32, &PathPattern)], paths: &mut Trie) -> Self {
        let mut any = NONE;
        let mut entries = Vec::with_capacity(routes.len());
        for (position, path) in routes {
            match path {
                PathPattern::Any => any = any.min(*position),
                PathPattern::Exact(path) => entries.push(Entry { key: path.clone(), here: *position, below: NONE }),
                PathPattern::Prefix(path) => {
                    entries.push(Entry { key: path.clone(), here: *position, below: *position })
                }
            }
        }
        let lowest = routes.iter().map(|(position, _)| *position).min().unwrap_or(NONE);
        Set { root: paths.grow(entries), any, lowest }
    }
}

fn by_host(patterns: &[Pattern]) -> BTreeMap<&HostPattern, Vec<(u32, &PathPattern)>> {
    let mut groups: BTreeMap<&HostPattern, Vec<(u32, &PathPattern)>> = BTreeMap::new();
    for (position, pattern) in (0u32..).zip(patterns) {
        groups.entry(&pattern.host).or_default().push((position, &pattern.path));
    }
    groups
}

/// The end of `host`, read backwards.
#[inline]
fn reversed<'b>(host: &[u8], buffer: &'b mut [u8; LONGEST_HOST]) -> &'b [u8] {
    let end = &host[host.len().saturating_sub(LONGEST_HOST)..];
    for (to, from) in buffer.iter_mut().zip(end.iter().rev()) {
        *to = *from;
    }
    &buffer[..end.len()]
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
