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
//! Layout: nodes, their labels and the first bytes of labels are three flat arrays; the children of a node lie side by
//! side, so choosing one is a binary search over adjacent bytes. Several trees share the arrays (each host has a tree
//! of paths), and a small tree lies in a few neighbouring cache lines.

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
    /// The first byte of each node's label, parallel to `nodes` (unused for roots).
    firsts: Vec<u8>,
    labels: Vec<u8>,
}

#[derive(Copy, Clone, Debug)]
struct Node {
    /// Where its label (the bytes between its parent's key and its own) lies in `labels`.
    label: u32,
    length: u32,
    /// Where its children lie in `nodes`; they are sorted by first byte.
    children: u32,
    count: u32,
    here: u32,
    below: u32,
}

impl Trie {
    /// Adds a tree of these entries and returns its root. Where a key occurs more than once, the lowest value counts.
    ///
    /// The tree grows in the order of its levels, which is what puts the children of a node side by side. All keys
    /// together are shorter than 4 GiB: `compile` refuses a draft that could hold more.
    pub(crate) fn grow(&mut self, mut entries: Vec<Entry>) -> u32 {
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        let root = self.add(&[]);
        let mut unfinished = std::collections::VecDeque::from([(root, 0, &entries[..])]);
        while let Some((node, depth, group)) = unfinished.pop_front() {
            let (ending, longer) =
                group.split_at(group.partition_point(|entry| entry.key.len() == depth));
            self.nodes[node].here = lowest(ending.iter().map(|entry| entry.here));
            self.nodes[node].below = lowest(ending.iter().map(|entry| entry.below));
            self.nodes[node].children = position(self.nodes.len());
            for siblings in longer.chunk_by(|one, other| one.key[depth] == other.key[depth]) {
                let end = depth + common(siblings, depth);
                let child = self.add(&siblings[0].key[depth..end]);
                self.nodes[node].count += 1;
                unfinished.push_back((child, end, siblings));
            }
        }
        position(root)
    }

    fn add(&mut self, label: &[u8]) -> usize {
        self.nodes.push(Node {
            label: position(self.labels.len()),
            length: position(label.len()),
            children: 0,
            count: 0,
            here: NONE,
            below: NONE,
        });
        self.firsts.push(label.first().copied().unwrap_or(0));
        self.labels.extend_from_slice(label);
        self.nodes.len() - 1
    }

    /// Calls `found` with the value of every entry that is `key`, or that `key` lies below.
    #[inline]
    pub(crate) fn at_or_above(
        &self,
        root: u32,
        key: &[u8],
        border: u8,
        mut found: impl FnMut(u32),
    ) {
        self.walk(root, key, |node, rest| match rest.first() {
            None => found(node.here),
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
            let Some(next) = rest.first() else { return };
            let start = node.children as usize;
            let firsts = &self.firsts[start..start + node.count as usize];
            let Ok(child) = firsts.binary_search(next) else {
                return;
            };
            node = &self.nodes[start + child];
            let label = node.label as usize;
            match rest.strip_prefix(&self.labels[label..label + node.length as usize]) {
                Some(left) => rest = left,
                None => return,
            }
        }
    }
}

/// How many bytes after `depth` all of these sorted keys share.
fn common(sorted: &[Entry], depth: usize) -> usize {
    let (first, last) = (
        &sorted[0].key[depth..],
        &sorted[sorted.len() - 1].key[depth..],
    );
    first
        .iter()
        .zip(last)
        .take_while(|(one, other)| one == other)
        .count()
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
        trie.grow(vec![Entry {
            key: Box::from(&b"/another/tree"[..]),
            here: 99,
            below: 99,
        }]);
        let entries = keys.iter().map(|(key, here, below)| Entry {
            key: Box::from(key.as_bytes()),
            here: *here,
            below: *below,
        });
        let root = trie.grow(entries.collect());
        (trie, root)
    }

    fn found(trie: &Trie, root: u32, key: &str) -> Vec<u32> {
        let mut values = Vec::new();
        trie.at_or_above(root, key.as_bytes(), b'/', |value| values.push(value));
        values.retain(|value| *value != NONE);
        values
    }

    #[test]
    fn finds_the_key_and_what_it_lies_below() {
        let (trie, root) = tree(&[
            ("", NONE, 0),
            ("/a", 1, 1),
            ("/a/b", 2, NONE),
            ("/ab", NONE, 3),
            ("/a/b", 7, 8),
        ]);
        assert_eq!(found(&trie, root, "/"), [0]);
        assert_eq!(found(&trie, root, "/a"), [0, 1]);
        assert_eq!(found(&trie, root, "/a/b"), [0, 1, 2]);
        assert_eq!(found(&trie, root, "/a/b/c"), [0, 1, 8]);
        assert_eq!(found(&trie, root, "/ab"), [0]);
        assert_eq!(found(&trie, root, "/ab/"), [0, 3]);
        assert_eq!(found(&trie, root, "/abc/d"), [0]);
        assert_eq!(found(&trie, root, "*"), [0; 0]);
    }

    #[test]
    fn an_empty_tree_finds_nothing() {
        let (trie, root) = tree(&[]);
        assert_eq!(found(&trie, root, ""), [0; 0]);
        assert_eq!(found(&trie, root, "/another/tree"), [0; 0]);
    }
}
