//! `.reloc`: which fields hold addresses, for a loader that puts the image elsewhere than at its preferred base.
//!
//! The table is a list of blocks, one for each page of 4 KiB that has such fields: the page's offset from the image's base,
//! the block's size, and 16 bits for each field, of which four say its width and twelve where in the page it is. A
//! block has an even number of these; the last may be a mere filler (PE/COFF specification, *The .reloc Section*).
//!
//! Sections are in the order of addresses, and relocations in the order of their offsets, so the fields come up in
//! ascending order and are encoded as they come.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::relocs::{base_kind, classify};
use super::{imports, plan};
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::options::Arch;
use crate::reloc::{self, Action, Field, Origin, Start};
use crate::scan::Piece;

/// The bytes that a block is for.
const PAGE: u64 = 4096;
/// The size of a block's header, in bytes.
const HEADER: usize = 8;

/// Encodes base relocations one after the other.
#[derive(Debug, Default)]
struct Encoder {
    bytes: Vec<u8>,
    /// Where the block that is being written starts, and the page it is for.
    block: Option<(usize, u64)>,
}

impl Encoder {
    /// Adds a field at an offset from the image's base: not below those before it.
    fn add(&mut self, offset: u64, kind: u16) {
        let page = offset & !PAGE.wrapping_sub(1);
        if malfunction::on(Malfunction::BaseRelocationLost) && self.bytes.is_empty() && self.block.is_none() {
            self.block = Some((0, page));
            self.bytes.extend(u32::try_from(page).unwrap_or(u32::MAX).to_le_bytes());
            self.bytes.extend([0; 4]);
            return;
        }
        if self.block.is_none_or(|(_, known)| known != page) {
            self.end_block();
            self.block = Some((self.bytes.len(), page));
            // Images end below 4 GiB.
            self.bytes.extend(u32::try_from(page).unwrap_or(u32::MAX).to_le_bytes());
            self.bytes.extend([0; 4]);
        }
        let place = u16::try_from(offset % PAGE).unwrap_or(0);
        self.bytes.extend((kind.wrapping_shl(12) | place).to_le_bytes());
    }

    fn end_block(&mut self) {
        let Some((start, _)) = self.block.take() else { return };
        if self.bytes.len().saturating_sub(start) % 4 != 0 {
            self.bytes.extend([0; 2]);
        }
        let size = u32::try_from(self.bytes.len().saturating_sub(start)).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(start.saturating_add(4)..start.saturating_add(HEADER)) {
            field.copy_from_slice(&size.to_le_bytes());
        }
    }
}

/// The table of an image whose sections before it have their addresses.
pub(crate) fn table(link: &Link<'_>) -> Vec<u8> {
    let mut pieces: Vec<(u64, &Piece)> = Vec::new();
    for piece in &link.pe.pieces {
        let section = link.section(piece.object, piece.section);
        let output = link.outputs.get(section.output as usize).filter(|output| plan::is_before_base_relocs(output));
        if let Some(output) = output {
            pieces.push((output.address.wrapping_add(section.offset), piece));
        }
    }
    pieces.sort_by_key(|(address, piece)| (*address, piece.object, piece.section, piece.range));
    let word = if link.target.arch == Arch::X86 { Field::Word32 } else { Field::U64 };
    let mut made: Vec<(u64, u16)> =
        imports::address_fields(link).into_iter().map(|address| (address, base_kind(word))).collect();
    made.sort_unstable();
    let mut made = made.into_iter().peekable();
    let mut encoder = Encoder::default();
    let base = link.pe.base;
    // So many pieces at once that their fields, eight bytes each, stay in bounds.
    for batch in pieces.chunks(256) {
        let fields = link.workers.map(batch, |(address, piece)| fields(link, *address, piece));
        for (address, kind) in fields.into_iter().flatten() {
            while let Some((address, kind)) = made.next_if(|(made, _)| *made < address) {
                encoder.add(address.wrapping_sub(base), kind);
            }
            encoder.add(address.wrapping_sub(base), kind);
        }
    }
    for (address, kind) in made {
        encoder.add(address.wrapping_sub(base), kind);
    }
    encoder.end_block();
    if encoder.bytes.is_empty() {
        // An image without any says so by a block without fields.
        encoder.bytes.extend(u64::to_le_bytes(12 << 32));
        encoder.bytes.extend([0; 4]);
    }
    encoder.bytes
}

/// The fields of a stretch of a section at `address` that hold addresses.
fn fields(link: &Link<'_>, address: u64, piece: &Piece) -> Vec<(u64, u16)> {
    let object = link.object(piece.object);
    let section = link.section(piece.object, piece.section);
    let mut fields = Vec::with_capacity(piece.relative as usize);
    let special = link.special.get(piece.object.index()).map(Vec::as_slice).unwrap_or_default();
    reloc::for_each(section, piece.range.0 as usize..piece.range.1 as usize, |raw| {
        // Nearly all of code are distances, which do not change.
        let simple = link.kinds.simple(raw.kind);
        if simple.is_some_and(|simple| simple.from != Start::Zero) && special.get(raw.symbol as usize) == Some(&false) {
            return;
        }
        let Some(reloc) = link.kinds.understand(link.target, raw) else { return };
        let Some(symbol) = object.symbols.get(raw.symbol as usize) else { return };
        let moves = match classify(section, &reloc, symbol.traits) {
            Ok(Action::Relative) => true,
            // What start code corrects holds the address of a slot of the image until then.
            Ok(Action::Startup) => reloc.value.from == Origin::Zero,
            _ => false,
        };
        if moves {
            fields.push((address.wrapping_add(raw.offset), base_kind(reloc.field)));
        }
    });
    fields
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn blocks_are_pages() {
        let mut encoder = Encoder::default();
        for (offset, kind) in [(0x1008, 10), (0x1ff8, 10), (0x1ffc, 3), (0x5000, 10)] {
            encoder.add(offset, kind);
        }
        encoder.end_block();
        let words: Vec<u16> = encoder.bytes.as_chunks().0.iter().copied().map(u16::from_le_bytes).collect();
        assert_eq!(words, [0x1000, 0, 16, 0, 0xa008, 0xaff8, 0x3ffc, 0, 0x5000, 0, 12, 0, 0xa000, 0]);
    }
}
