//! Which route? The first, in the order of the file, that takes the request.
//!
//! A request has few candidates, however long the file is: the routes of its exact host, of every wildcard above the
//! host, and of any host; among each, those of its exact path, of every prefix above the path, and of any path. Two
//! trees find them (see `trie`): one of reversed hosts, whose values are sets of routes, and in each set one of paths,
//! whose values are lists of routes.
//!
//! Every route is in one list, that of its own host and path. A list is in the order of the file and is known by its
//! first *link*: the position of a route, doubled, plus one if that route asks for more than host and path. So links
//! compare as positions do, the best so far and a list are compared at a glance, and only a route that could win and
//! asks for more is asked itself. Behind one that asks for nothing more a list ends: the rest could never win.
//! Paths by regular expression are routes for any path that ask for more.
//!
//! `*.shop.example` takes every host below `shop.example`, at any depth, but not `shop.example`. `/x/` takes `/x` and
//! all below it, `/x` only itself. There is one way through this code for one host and for 10,000, with no faster
//! path that compares in its own way.

use std::collections::BTreeMap;

use crate::pattern::{HostPattern, PathPattern};
use crate::trie::{Entry, NONE, Trie};

/// Host patterns are no longer than a DNS name (RFC 1035, section 2.3.4), so the last bytes of a host tell all.
const LONGEST_HOST: usize = 256;
/// In a link: the route asks for more.
const ASKS: u32 = 1;

/// What one route matches.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) host: HostPattern,
    pub(crate) path: PathPattern,
    /// What it asks beyond them: a number that the caller of [`Router::find`] understands.
    pub(crate) more: Option<u32>,
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
    /// By position. Routes that follow each other in the file mostly lie in one cache line.
    links: Vec<Link>,
}

/// A route in its list.
#[derive(Copy, Clone, Debug)]
struct Link {
    /// What follows it.
    next: u32,
    /// What it asks beyond host and path, if anything.
    more: u32,
}

/// The routes of one host pattern.
#[derive(Copy, Clone, Debug)]
struct Set {
    /// The tree of their paths.
    root: u32,
    /// The list of those for any path.
    any: u32,
    /// The lowest link of all.
    lowest: u32,
}

impl Router {
    /// Positions are those in `patterns`.
    pub(crate) fn new(patterns: &[Pattern]) -> Self {
        let mut router = Router {
            hosts: Trie::default(),
            root: 0,
            sets: Vec::new(),
            any: None,
            paths: Trie::default(),
            links: patterns.iter().map(Link::of).collect(),
        };
        let mut hosts = Vec::new();
        for (host, routes) in by_host(patterns) {
            let set = router.set(patterns, &routes);
            let id = router.sets.len() as u32;
            let (key, here, below) = match host {
                HostPattern::Any => {
                    router.any = Some(set);
                    continue;
                }
                HostPattern::Exact(name) => (name, id, NONE),
                HostPattern::Below(name) => (name, NONE, id),
            };
            router.sets.push(set);
            let key = key.iter().rev().copied().collect();
            hosts.push(Entry { key, here, below });
        }
        router.root = router.hosts.grow(hosts);
        router
    }

    /// The lowest position whose host and path match, and whose `more`, if it has one, `holds` says yes to.
    #[inline]
    pub(crate) fn find(&self, host: &[u8], path: &[u8], holds: impl Fn(u32) -> bool) -> Option<u32> {
        let mut best = NONE;
        let mut buffer = [0; LONGEST_HOST];
        let host = reversed(host, &mut buffer);
        self.hosts.is_or_below(self.root, host, b'.', |id| {
            if let Some(set) = self.sets.get(id as usize) {
                best = self.find_in(set, path, best, &holds);
            }
        });
        if let Some(set) = &self.any {
            best = self.find_in(set, path, best, &holds);
        }
        (best != NONE).then_some(best / 2)
    }

    /// The lower of `best` and the lowest match in `set`.
    #[inline]
    fn find_in(&self, set: &Set, path: &[u8], best: u32, holds: &impl Fn(u32) -> bool) -> u32 {
        if set.lowest >= best {
            return best;
        }
        let mut best = best;
        self.paths.at_or_below(set.root, path, b'/', |list| best = self.first(list, best, holds));
        // Last, since it mostly stands last in the file: what has been found spares asking it.
        self.first(set.any, best, holds)
    }

    /// The lower of `best` and the first of a list that takes the request.
    #[inline]
    fn first(&self, list: u32, best: u32, holds: &impl Fn(u32) -> bool) -> u32 {
        let mut link = list;
        while link < best {
            if link & ASKS == 0 {
                return link;
            }
            let Link { next, more } = self.links[link as usize / 2];
            if holds(more) {
                return link - ASKS;
            }
            link = next;
        }
        best
    }

    fn set(&mut self, patterns: &[Pattern], routes: &[u32]) -> Set {
        let mut any = Vec::new();
        let mut keys: BTreeMap<&[u8], [Vec<u32>; 2]> = BTreeMap::new();
        for position in routes {
            match &patterns[*position as usize].path {
                PathPattern::Any => any.push(*position),
                PathPattern::Exact(path) => keys.entry(path).or_default()[0].push(*position),
                PathPattern::Prefix(path) => keys.entry(path).or_default()[1].push(*position),
            }
        }
        let entries = keys.into_iter().map(|(key, [here, below])| {
            let (here, below) = (self.list(patterns, &here), self.list(patterns, &below));
            Entry { key: key.into(), here, below }
        });
        let entries: Vec<Entry> = entries.collect();
        let any = self.list(patterns, &any);
        let lowest = entries.iter().map(|entry| entry.here.min(entry.below)).fold(any, u32::min);
        Set { root: self.paths.grow(entries), any, lowest }
    }

    /// Links routes, which are in the order of the file, and returns the first link.
    fn list(&mut self, patterns: &[Pattern], routes: &[u32]) -> u32 {
        let mut next = NONE;
        for position in routes.iter().rev() {
            let asks = patterns[*position as usize].more.is_some();
            self.links[*position as usize].next = if asks { next } else { NONE };
            next = position * 2 + u32::from(asks);
        }
        next
    }
}

impl Link {
    fn of(pattern: &Pattern) -> Self {
        Link { next: NONE, more: pattern.more.unwrap_or(NONE) }
    }
}

fn by_host(patterns: &[Pattern]) -> BTreeMap<&HostPattern, Vec<u32>> {
    let mut groups: BTreeMap<&HostPattern, Vec<u32>> = BTreeMap::new();
    for (position, pattern) in (0u32..).zip(patterns) {
        groups.entry(&pattern.host).or_default().push(position);
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
