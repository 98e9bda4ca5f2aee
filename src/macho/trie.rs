//! The export trie: which names a library has for others, as a prefix tree that the loader walks in the file.
//!
//! A node is: the size of its terminal information (ULEB128; 0 for none), that information (flags and the offset from the
//! start of the image, ULEB128 each; for what a library has, its number in place of the offset, and the name that it has there
//! if that is another one, NUL-terminated), the number of its edges (one byte), and for each edge the bytes it stands for
//! (NUL-terminated) and the offset of the node it leads to (ULEB128). Source: `mach-o/loader.h`, *LC_DYLD_EXPORTS_TRIE*
//! and `EXPORT_SYMBOL_FLAGS_*`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use super::leb::{uleb, uleb_size};
use crate::malfunction::{self, Malfunction};
use crate::memory::of_vec;

/// `EXPORT_SYMBOL_FLAGS_KIND_MASK`
pub(crate) const KIND: u64 = 0x03;
/// `EXPORT_SYMBOL_FLAGS_KIND_THREAD_LOCAL`
pub(crate) const THREAD_LOCAL: u64 = 0x01;
/// `EXPORT_SYMBOL_FLAGS_KIND_ABSOLUTE`
pub(crate) const ABSOLUTE: u64 = 0x02;
/// `EXPORT_SYMBOL_FLAGS_WEAK_DEFINITION`
pub(crate) const WEAK_DEFINITION: u64 = 0x04;
/// `EXPORT_SYMBOL_FLAGS_REEXPORT`: a library has it.
pub(crate) const REEXPORT: u64 = 0x08;

/// A name that the image has for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Export<'a> {
    /// The name, without a NUL byte.
    pub(crate) name: &'a [u8],
    /// `EXPORT_SYMBOL_FLAGS_*`
    pub(crate) flags: u64,
    /// Offset from the start of the image, in bytes; the number itself if absolute; of what a library has, its number as the
    /// loader counts them.
    pub(crate) value: u64,
}

struct Node<'a> {
    terminal: Option<(u64, u64)>,
    /// The bytes of each edge, ascending, and the node it leads to.
    edges: Vec<(&'a [u8], usize)>,
    offset: u64,
}

impl Node<'_> {
    fn terminal_size(&self) -> u64 {
        self.terminal.map_or(0, |(flags, value)| {
            let name = u64::from(flags & REEXPORT != 0);
            uleb_size(flags).saturating_add(uleb_size(value)).saturating_add(name)
        })
    }
}

/// The trie of `exports`, which have distinct names; no bytes if there are none. With it comes how much memory it took to
/// make it, in bytes.
pub(crate) fn trie(mut exports: Vec<Export<'_>>) -> (Vec<u8>, u64) {
    if exports.is_empty() {
        return (Vec::new(), 0);
    }
    exports.sort_unstable_by_key(|export| export.name);
    if malfunction::on(Malfunction::ExportLost) {
        exports.pop();
    }
    let mut nodes = build(&exports);
    if malfunction::on(Malfunction::TrieTerminalLost)
        && let Some(node) = nodes.iter_mut().find(|node| node.terminal.is_some())
    {
        node.terminal = None;
    }
    place(&mut nodes);
    let bytes = write(&nodes);
    let edges = nodes.iter().fold(0_u64, |all, node| all.saturating_add(of_vec(&node.edges)));
    let room = of_vec(&exports).saturating_add(of_vec(&nodes)).saturating_add(edges).saturating_add(of_vec(&bytes));
    (bytes, room)
}

/// The nodes, each before those that its edges lead to; the root is the first.
fn build<'a>(exports: &[Export<'a>]) -> Vec<Node<'a>> {
    let new = || Node { terminal: None, edges: Vec::new(), offset: 0 };
    let mut nodes = vec![new()];
    // Nodes to be filled: which, the exports below it, and the length of the name that leads to it.
    let mut open = vec![(0_usize, exports, 0_usize)];
    while let Some((number, mut exports, depth)) = open.pop() {
        let mut edges = Vec::new();
        if let Some((first, rest)) = exports.split_first()
            && first.name.len() == depth
        {
            if let Some(node) = nodes.get_mut(number) {
                node.terminal = Some((first.flags, first.value));
            }
            exports = rest;
        }
        while let Some(first) = exports.first() {
            let byte = first.name.get(depth);
            let count = exports.partition_point(|export| export.name.get(depth) <= byte);
            let Some((group, rest)) = exports.split_at_checked(count) else { break };
            exports = rest;
            // The first and the last of a sorted group share what all of it shares.
            let last = group.last().unwrap_or(first);
            let common = first.name.iter().zip(last.name).take_while(|(one, other)| one == other).count();
            let label = first.name.get(depth..common).unwrap_or_default();
            if label.is_empty() {
                // Names are distinct, so this is never met; it would go in circles.
                continue;
            }
            let target = nodes.len();
            nodes.push(new());
            edges.push((label, target));
            open.push((target, group, common));
        }
        if let Some(node) = nodes.get_mut(number) {
            node.edges = edges;
        }
    }
    nodes
}

/// Gives each node its offset. The size of a node depends on the offsets it holds, and these on sizes: sizes only grow, so
/// repeating it comes to an end.
fn place(nodes: &mut [Node<'_>]) {
    loop {
        let offsets: Vec<u64> = nodes.iter().map(|node| node.offset).collect();
        let mut end = 0_u64;
        let mut changed = false;
        for node in nodes.iter_mut() {
            changed |= node.offset != end;
            node.offset = end;
            let terminal = node.terminal_size();
            let mut size = uleb_size(terminal).saturating_add(terminal).saturating_add(1);
            for (label, target) in &node.edges {
                let offset = offsets.get(*target).copied().unwrap_or(0);
                size = size.saturating_add(label.len() as u64).saturating_add(1).saturating_add(uleb_size(offset));
            }
            end = end.saturating_add(size);
        }
        if !changed {
            return;
        }
    }
}

fn write(nodes: &[Node<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for node in nodes {
        uleb(&mut bytes, node.terminal_size());
        if let Some((flags, value)) = node.terminal {
            uleb(&mut bytes, flags);
            uleb(&mut bytes, value);
            if flags & REEXPORT != 0 {
                // Its name there is the same.
                bytes.push(0);
            }
        }
        // Edges of one node differ in their first byte, and none is NUL: at most 255.
        bytes.push(u8::try_from(node.edges.len()).unwrap_or(u8::MAX));
        for (label, target) in &node.edges {
            bytes.extend(*label);
            bytes.push(0);
            uleb(&mut bytes, nodes.get(*target).map_or(0, |node| node.offset));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use object::read::macho::ExportData;
    use object::{LittleEndian as LE, U32, macho};
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Vec<(Vec<u8>, u64)> {
        let size = U32::new(LE, bytes.len() as u32);
        let (cmd, cmdsize) = (U32::new(LE, macho::LC_DYLD_EXPORTS_TRIE), U32::new(LE, 16));
        let command = macho::LinkeditDataCommand::<LE> { cmd, cmdsize, dataoff: U32::new(LE, 0), datasize: size };
        let mut found = Vec::new();
        let mut symbols = command.exports_trie(LE, bytes).unwrap();
        while let Some(symbol) = symbols.next().unwrap() {
            let ExportData::Regular { address } = symbol.data() else { panic!("{symbol:?}") };
            found.push((symbol.name().to_vec(), *address));
        }
        found.sort();
        found
    }

    #[test]
    fn small_tries() {
        assert_eq!(trie(Vec::new()), (Vec::new(), 0));
        let export = |name, value| Export { name, flags: 0, value };
        assert_eq!(trie(vec![export(b"_a", 5)]).0, [0, 1, b'_', b'a', 0, 6, 2, 0, 5, 0]);
        let names = [(&b"_ab"[..], 1), (b"_a", 2), (b"_abc", 0x1_0000), (b"b", 3), (b"", 9)];
        let (bytes, _) = trie(names.iter().map(|(name, value)| export(name, *value)).collect());
        let mut wanted: Vec<_> = names.iter().map(|(name, value)| (name.to_vec(), *value)).collect();
        wanted.sort();
        assert_eq!(read(&bytes), wanted);
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(names in proptest::collection::btree_map("[a-c_]{0,12}", 0..1_u64 << 40, 1..200)) {
            let exports = names.iter().map(|(name, value)| Export { name: name.as_bytes(), flags: 0, value: *value });
            let wanted: Vec<_> = names.iter().map(|(name, value)| (name.as_bytes().to_vec(), *value)).collect();
            prop_assert_eq!(read(&trie(exports.collect()).0), wanted);
        }
    }
}
