//! Looking a name up in a dylib: in its export trie or, if it has none, in its symbol table.

use std::cmp::Ordering;
use std::sync::OnceLock;

use super::Export;
use crate::bytes;
use crate::macho::{desc, trie};
use crate::reader::Reader;

/// Bytes of an `nlist_64`.
const NLIST: usize = 16;

/// The names of a dylib.
#[derive(Debug)]
pub(super) enum Exports<'a> {
    /// An export trie.
    Trie(&'a [u8]),
    /// A symbol table (a multiple of [`NLIST`] bytes) and its strings, and an index made at the first look-up.
    Symbols(&'a [u8], &'a [u8], OnceLock<Vec<Indexed>>),
}

/// A name in a symbol table, by its offset among the strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Indexed {
    name: u32,
    export: Export,
}

impl Exports<'_> {
    /// What stands under a name. A malformed trie has no names beyond where it is malformed.
    pub(super) fn find(&self, name: &[u8]) -> Option<Export> {
        match self {
            Self::Trie(table) => find_in_trie(table, name),
            Self::Symbols(table, strings, index) => {
                let index = index.get_or_init(|| index_of(table, strings));
                // Every entry has a string: only such are in the index.
                let order = |entry: &Indexed| bytes::compare_string(strings, entry.name.into(), name);
                let at = index.binary_search_by(|entry| order(entry).unwrap_or(Ordering::Less)).ok()?;
                index.get(at).map(|entry| entry.export)
            }
        }
    }
}

/// The most bytes of edges that a look-up reads: those of the nodes on its way, which are all of a node's edges before the
/// right one. Real ones are a few thousand; where nodes lead back to each other they could be any number.
const EDGE_BYTES: usize = 1 << 20;

/// Walks a trie. Each step takes a byte of the name at least, and looks at no more than 255 edges.
fn find_in_trie(table: &[u8], mut name: &[u8]) -> Option<Export> {
    const CUT: &str = "the export trie is cut off";
    let mut left = EDGE_BYTES;
    let mut offset = 0;
    loop {
        let mut node = Reader::at(table, offset, CUT).ok()?;
        let size = node.uleb128(CUT).ok()?;
        if name.is_empty() {
            if size == 0 {
                return None;
            }
            let flags = node.uleb128(CUT).ok()?;
            return Some(Export {
                weak: flags & trie::WEAK_DEFINITION != 0,
                thread_local: flags & trie::KIND == trie::THREAD_LOCAL,
            });
        }
        node.skip(size, CUT).ok()?;
        let mut next = None;
        for _ in 0..node.u8(CUT).ok()? {
            let label = node.string(CUT).ok()?;
            left = left.checked_sub(label.len())?;
            let target = node.uleb128(CUT).ok()?;
            if let Some(rest) = name.strip_prefix(label).filter(|_| !label.is_empty()) {
                next = Some((target, rest));
                break;
            }
        }
        (offset, name) = next?;
    }
}

/// The external definitions of a symbol table, by name.
fn index_of(table: &[u8], strings: &[u8]) -> Vec<Indexed> {
    let mut names: Vec<(&[u8], Indexed)> = Vec::new();
    // Names may overlap; together they are not read beyond a multiple of their table.
    let mut left = strings.len().saturating_mul(16);
    let (entries, _) = table.as_chunks::<NLIST>();
    for [n0, n1, n2, n3, kind, _, d0, d1, ..] in entries {
        // N_STAB 0xe0, N_EXT 1, N_PEXT 0x10, N_TYPE 0xe (0 is undefined, 0xc prebound); see `mach-o/nlist.h`.
        let defined = kind & 0xe0 == 0 && kind & 1 != 0 && kind & 0x10 == 0 && !matches!(kind & 0xe, 0 | 0xc);
        if !defined {
            continue;
        }
        let offset = u32::from_le_bytes([*n0, *n1, *n2, *n3]);
        let Some(name) = bytes::string(strings, u64::from(offset)) else { continue };
        let Some(rest) = left.checked_sub(name.len()) else { break };
        left = rest;
        let weak = u16::from_le_bytes([*d0, *d1]) & desc::WEAK_DEFINITION != 0;
        names.push((name, Indexed { name: offset, export: Export { weak, thread_local: false } }));
    }
    names.sort_by_key(|(name, _)| *name);
    names.into_iter().map(|(_, entry)| entry).collect()
}
