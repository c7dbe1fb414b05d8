//! All stored keys that a given key lies at or below, in one pass over its bytes.
//!
//! Routing asks the same question twice. Of a path: which exact paths is it, and below which prefixes does it lie? Of
//! a host, read from its end: which host is it, and below which wildcards does it lie? Both are a walk down a radix
//! tree, where a node's key counts in two ways: `here`, when the key asked for ends there, and `below`, when it goes
//! on there with a border (`/` in paths, `.` in reversed hosts).
//!
//! Why not hash tables, one lookup per segment: their cost follows the number of segments that the client sends,
//! every lookup hashes the prefix again, and the hash must be a keyed one, because the client chooses what is looked
//! up. The tree reads a byte at most once, stops at the first byte that no stored key has, and knows no collisions;
//! a hostile path can only walk as deep as the configuration goes.
//!
//! Layout: the children of a node lie side by side, and a node finds the one for a byte with one look at the span of
//! bytes its children begin with, not by searching. A child that the span only seems to name is told by its own first
//! byte, which lies in the node, so a label of one byte costs no further look. A node is half a cache line. Several
//! trees share the arrays (each host has a tree of paths), and a small tree lies in a few neighbouring lines.

use std::collections::VecDeque;

/// "Nothing": as the largest position, it loses every comparison for the lowest one.
pub(crate) const NONE: u32 = u32::MAX;

/// A key with what it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Box<[u8]>,
    /// For the key itself, or [`NONE`].
    pub(crate) here: u32,
    /// For keys that go on after it with a border, or [`NONE`].
    pub(crate) below: u32,
}

/// One or several trees in common arrays.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    /// For each node with children and each byte of their span, which child begins with it, or any.
    ranks: Vec<u8>,
    /// What follows the first byte of each label.
    tails: Vec<u8>,
}

/// A node. Its label is the bytes between its parent's key and its own.
#[derive(Copy, Clone, Debug)]
#[repr(align(32))]
struct Node {
    here: u32,
    below: u32,
    /// Where its first child lies in `nodes`.
    children: u32,
    /// Where the span of its children begins in `ranks`.
    ranks: u32,
    /// Where the label after its first byte lies in `tails`.
    tail: u32,
    tail_length: u32,
    /// The first byte of its label (of a root: none, and never asked for).
    byte: u8,
    /// The span: the lowest and the highest first byte of its children. Without children it is empty.
    span: (u8, u8),
}

const NO_SPAN: (u8, u8) = (1, 0);

impl Trie {
    /// Adds a tree of these entries and returns its root. Where a key occurs more than once, the lowest value counts.
    ///
    /// The tree grows in the order of its levels, which is what puts the children of a node side by side. All keys
    /// together are shorter than 4 GiB: `compile` refuses a draft that could hold more.
    pub(crate) fn grow(&mut self, mut entries: Vec<Entry>) -> u32 {
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        let root = self.add(&[]);
        let mut unfinished = VecDeque::from([(root, 0, &entries[..])]);
        while let Some((node, depth, group)) = unfinished.pop_front() {
            let (ending, longer) = group.split_at(group.partition_point(|entry| entry.key.len() == depth));
            self.nodes[node].here = lowest(ending.iter().map(|entry| entry.here));
            self.nodes[node].below = lowest(ending.iter().map(|entry| entry.below));
            self.span(node, longer, depth);
            for siblings in longer.chunk_by(|one, other| one.key[depth] == other.key[depth]) {
                let end = depth + common(siblings, depth);
                let child = self.add(&siblings[0].key[depth..end]);
                unfinished.push_back((child, end, siblings));
            }
        }
        position(root)
    }

    fn add(&mut self, label: &[u8]) -> usize {
        let (byte, tail) = label.split_first().unwrap_or((&0, &[]));
        self.nodes.push(Node {
            here: NONE,
            below: NONE,
            children: 0,
            ranks: 0,
            tail: position(self.tails.len()),
            tail_length: position(tail.len()),
            byte: *byte,
            span: NO_SPAN,
        });
        self.tails.extend_from_slice(tail);
        self.nodes.len() - 1
    }

    /// Writes down which byte leads to which of the children, which are added next. They are those of `longer`, the
    /// sorted entries that go on after `depth`.
    fn span(&mut self, node: usize, longer: &[Entry], depth: usize) {
        let (Some(first), Some(last)) = (longer.first(), longer.last()) else { return };
        let (low, high) = (first.key[depth], last.key[depth]);
        let start = self.ranks.len();
        self.ranks.resize(start + usize::from(high - low) + 1, 0);
        let children = longer.chunk_by(|one, other| one.key[depth] == other.key[depth]);
        for (rank, siblings) in (0u8..=u8::MAX).zip(children) {
            self.ranks[start + usize::from(siblings[0].key[depth] - low)] = rank;
        }
        let children = position(self.nodes.len());
        let node = &mut self.nodes[node];
        (node.children, node.ranks, node.span) = (children, position(start), (low, high));
    }

    /// Calls `found` with the value of every entry that is `key` (`here`), or that `key` lies below (`below`).
    #[inline]
    pub(crate) fn is_or_below(&self, root: u32, key: &[u8], border: u8, mut found: impl FnMut(u32)) {
        self.walk(root, key, |node, rest| match rest.first() {
            None => found(node.here),
            Some(next) if *next == border => found(node.below),
            Some(_) => {}
        });
    }

    /// The same, where `below` takes in the key itself.
    #[inline]
    pub(crate) fn at_or_below(&self, root: u32, key: &[u8], border: u8, mut found: impl FnMut(u32)) {
        self.walk(root, key, |node, rest| match rest.first() {
            None => {
                found(node.here);
                found(node.below);
            }
            Some(next) if *next == border => found(node.below),
            Some(_) => {}
        });
    }

    /// Visits the nodes on the way to `key`, each with what is left of it.
    #[inline]
    fn walk<'k>(&self, root: u32, key: &'k [u8], mut visit: impl FnMut(&Node, &'k [u8])) {
        let mut node = &self.nodes[root as usize];
        let mut rest = key;
        loop {
            visit(node, rest);
            let Some((next, after)) = rest.split_first() else { return };
            let Some(child) = self.child(node, *next) else { return };
            let tail = child.tail as usize..(child.tail + child.tail_length) as usize;
            match after.strip_prefix(&self.tails[tail]) {
                Some(left) => (node, rest) = (child, left),
                None => return,
            }
        }
    }

    #[inline]
    fn child(&self, node: &Node, next: u8) -> Option<&Node> {
        let (low, high) = node.span;
        if next < low || next > high {
            return None;
        }
        let rank = self.ranks[node.ranks as usize + usize::from(next - low)];
        let child = &self.nodes[node.children as usize + usize::from(rank)];
        (child.byte == next).then_some(child)
    }
}

/// How many bytes after `depth` all of these sorted keys share.
fn common(sorted: &[Entry], depth: usize) -> usize {
    let (first, last) = (&sorted[0].key[depth..], &sorted[sorted.len() - 1].key[depth..]);
    first.iter().zip(last).take_while(|(one, other)| one == other).count()
}

fn lowest(values: impl Iterator<Item = u32>) -> u32 {
    values.min().unwrap_or(NONE)
}

fn position(index: usize) -> u32 {
    u32::try_from(index).expect("a draft is shorter than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(keys: &[(&str, u32, u32)]) -> (Trie, u32) {
        let mut trie = Trie::default();
        trie.grow(vec![Entry { key: Box::from(&b"/another/tree"[..]), here: 99, below: 99 }]);
        let entries =
            keys.iter().map(|(key, here, below)| Entry { key: Box::from(key.as_bytes()), here: *here, below: *below });
        let root = trie.grow(entries.collect());
        (trie, root)
    }

    fn found(trie: &Trie, root: u32, key: &str) -> Vec<u32> {
        let mut values = Vec::new();
        trie.is_or_below(root, key.as_bytes(), b'/', |value| values.push(value));
        values.retain(|value| *value != NONE);
        values
    }

    #[test]
    fn finds_the_key_and_what_it_lies_below() {
        let (trie, root) = tree(&[("", NONE, 0), ("/a", 1, 1), ("/a/b", 2, NONE), ("/ab", NONE, 3), ("/a/b", 7, 8)]);
        assert_eq!(found(&trie, root, "/"), [0]);
        assert_eq!(found(&trie, root, "/a"), [0, 1]);
        assert_eq!(found(&trie, root, "/a/b"), [0, 1, 2]);
        assert_eq!(found(&trie, root, "/a/b/c"), [0, 1, 8]);
        assert_eq!(found(&trie, root, "/ab"), [0]);
        assert_eq!(found(&trie, root, "/ab/"), [0, 3]);
        assert_eq!(found(&trie, root, "/abc/d"), [0]);
        assert_eq!(found(&trie, root, "*"), [0; 0]);
        let mut values = Vec::new();
        trie.at_or_below(root, b"/ab", b'/', |value| values.push(value));
        values.retain(|value| *value != NONE);
        assert_eq!(values, [0, 3]);
    }

    #[test]
    fn an_empty_tree_finds_nothing() {
        let (trie, root) = tree(&[]);
        assert_eq!(found(&trie, root, ""), [0; 0]);
        assert_eq!(found(&trie, root, "/another/tree"), [0; 0]);
    }
}
