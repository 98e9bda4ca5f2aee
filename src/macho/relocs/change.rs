//! What a table of relocations says of sections, and how it changes when a section of the object is divided or parts of it go.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::ops::Range;

use super::{Encoding, Entry, MINUS, SIZE, arm64, find, load, raw, x86};
use crate::model::SymbolIndex;
use crate::options::Arch;

/// An entry of a table that names a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::macho) struct Named {
    /// Its index in the table.
    pub(in crate::macho) index: usize,
    /// Offset of the field in the section that the table is of, in bytes.
    pub(in crate::macho) offset: u64,
    /// The number of the section that it names.
    pub(in crate::macho) number: u32,
    /// What it means.
    pub(in crate::macho) meant: Meant,
}

/// What an entry that names a section means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::macho) enum Meant {
    /// An address in the object.
    Address(u64),
    /// An address in the object from which that of a symbol is subtracted.
    Less {
        /// What the field holds: the address, less how far behind the symbol that is which is subtracted.
        stored: i64,
        /// The symbol.
        symbol: SymbolIndex,
    },
    /// An address in the object from which another is subtracted, of a section too, where this is what the field holds; or that
    /// other. Neither can be told.
    Difference(i64),
}

/// The entries of a section's table that name sections. `contents` are the section's.
pub(in crate::macho) fn naming_sections<'t>(
    table: &'t [u8],
    encoding: Encoding,
    contents: &'t [u8],
) -> impl Iterator<Item = Named> + 't {
    let arch = encoding.arch;
    let mut first: Option<Entry> = None;
    let entries = table.as_chunks().0.iter().map(Entry::read).zip(0_usize..);
    entries.filter_map(move |(entry, index)| {
        let offset = u64::from(entry.offset);
        let named = |meant| (!entry.external).then_some(Named { index, offset, number: entry.number, meant });
        if first.is_none() && entry.is_first_of_two(arch) {
            first = Some(entry);
            let addend = arch != Arch::X86_64 && entry.kind == arm64::ADDEND;
            return if addend { None } else { named(Meant::Difference(raw(None, &entry, encoding, contents).addend)) };
        }
        let first = first.take();
        let raw = raw(first, &entry, encoding, contents);
        if let Some(first) = first.filter(|_| raw.kind & MINUS != 0) {
            let stored = raw.addend;
            return named(match first.external {
                true => Meant::Less { stored, symbol: first.number },
                false => Meant::Difference(stored),
            });
        }
        // Instructions of x86-64 count from their ends, which is behind the field or a few bytes farther on.
        let behind = match (arch, entry.relative, entry.kind) {
            (Arch::X86_64, true, x86::SIGNED_1) => 5,
            (Arch::X86_64, true, x86::SIGNED_2) => 6,
            (Arch::X86_64, true, x86::SIGNED_4) => 8,
            (Arch::X86_64, true, _) => 4,
            _ => 0,
        };
        named(Meant::Address(raw.addend.cast_unsigned().wrapping_add(behind)))
    })
}

/// Has the entry with an index name another section, or symbol.
pub(in crate::macho) fn renumber(table: &mut [u8], index: usize, number: u32) {
    let (entries, _) = table.as_chunks_mut::<SIZE>();
    if let Some([_, _, _, _, i0, i1, i2, _]) = entries.get_mut(index) {
        [*i0, *i1, *i2, _] = number.to_le_bytes();
    }
}

/// The entries whose fields are in `range`, with offsets that count from its start.
pub(in crate::macho) fn part(table: &[u8], range: Range<u64>) -> Vec<u8> {
    let (entries, _) = table.as_chunks::<SIZE>();
    let mut part = entries.get(find(table, range.clone())).unwrap_or_default().to_vec();
    for entry in &mut part {
        let offset = u64::from(Entry::read(entry).offset).wrapping_sub(range.start);
        if let Some(field) = entry.first_chunk_mut() {
            // Below the old one, which had 32 bits.
            *field = u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes();
        }
    }
    part.into_flattened()
}

/// What a field holds once it has moved in its section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::macho) struct MovedField {
    /// Its offset in the section, in bytes.
    offset: u64,
    /// Width, as a power of two.
    length: u32,
    /// What it holds.
    value: i64,
}

impl MovedField {
    /// Puts it into the section's contents.
    pub(in crate::macho) fn store(&self, contents: &mut [u8]) {
        let field = usize::try_from(self.offset).ok().and_then(|offset| contents.get_mut(offset..));
        let bytes = self.value.to_le_bytes();
        let bytes = bytes.get(..1_usize.wrapping_shl(self.length)).unwrap_or_default();
        if let Some(field) = field.and_then(|field| field.get_mut(..bytes.len())) {
            field.copy_from_slice(bytes);
        }
    }
}

/// The table of a section whose contents have moved: `place` says where each offset has gone, if it is there still, and `shift`
/// by how many bytes a symbol of the section is nearer to its start. Beside the table there are the fields that tell how far
/// something is from them.
pub(in crate::macho) fn moved(
    table: &[u8],
    encoding: Encoding,
    contents: &[u8],
    place: impl Fn(u64) -> Option<u64>,
    shift: impl Fn(SymbolIndex) -> u64,
) -> (Vec<u8>, Vec<MovedField>) {
    let (entries, _) = table.as_chunks::<SIZE>();
    let mut moved = Vec::with_capacity(entries.len());
    let mut fields = Vec::new();
    let mut first: Option<Entry> = None;
    for bytes in entries {
        let entry = Entry::read(bytes);
        let from = u64::from(entry.offset);
        let Some(to) = place(from) else { continue };
        let mut bytes = *bytes;
        [bytes[0], bytes[1], bytes[2], bytes[3]] = u32::try_from(to).unwrap_or(u32::MAX).to_le_bytes();
        moved.push(bytes);
        if first.is_none() && entry.is_first_of_two(encoding.arch) {
            first = Some(entry);
            continue;
        }
        let first = first.take();
        let minus = first.filter(|first| encoding.arch == Arch::X86_64 || first.kind == arm64::SUBTRACTOR);
        let distance = encoding.arch == Arch::X86_64 && entry.relative && !entry.external;
        if minus.is_some() || distance {
            let minus = minus.filter(|minus| minus.external).map_or(0, |minus| shift(minus.number));
            let value = load(contents, from, entry.length).wrapping_add_unsigned(from.wrapping_sub(to));
            fields.push(MovedField { offset: to, length: entry.length, value: value.wrapping_sub_unsigned(minus) });
        }
    }
    (moved.into_flattened(), fields)
}
