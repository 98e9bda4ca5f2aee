//! Stubs, the slots that they jump through, and the slots with addresses of symbols.
//!
//! A call of a function that another image defines goes to a *stub*, which jumps through a slot of `__got`, or through a
//! pointer that is filled at the first call ([`lazy`]). The loader fills all slots when it loads the image; with chains it
//! knows no other way.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use super::{POINTER, Table, emit, initialisers, lazy, table_output};
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::options::Arch;
use crate::slots::{GotEntry, PltEntry, SymbolRef};

/// Bytes of a stub.
pub(super) fn stub_size(arch: Arch) -> u64 {
    if arch == Arch::X86_64 { 6 } else { 12 }
}

/// The size of a table whose size does not depend on addresses, in bytes; 0 where the image does without it.
pub(super) fn size(link: &Link<'_>, table: Table) -> u64 {
    let stubs = (link.slots.through_got.len() as u64).saturating_add(link.slots.lazy.len() as u64);
    match table {
        Table::Stubs => stubs.saturating_mul(stub_size(link.target.arch)),
        Table::Got => u64::from(link.slots.got_words).saturating_mul(POINTER),
        Table::StubHelper | Table::LazyPointers | Table::Private => lazy::size(link, table),
        Table::InitOffsets => (link.macho.initialisers.len() as u64).saturating_mul(initialisers::OFFSET),
        Table::UnwindInfo => 0,
    }
}

/// The address of a word of the GOT.
pub(crate) fn got_address(link: &Link<'_>, word: u32) -> u64 {
    let start = table_output(link, Table::Got).map_or(0, |output| output.address);
    start.wrapping_add(POINTER.wrapping_mul(word.into()))
}

/// The address of a stub.
pub(crate) fn plt_address(link: &Link<'_>, entry: PltEntry) -> u64 {
    let index = match entry {
        PltEntry::ThroughGot(index) => u64::from(index),
        PltEntry::Lazy(index) => (link.slots.through_got.len() as u64).saturating_add(index.into()),
    };
    let start = table_output(link, Table::Stubs).map_or(0, |output| output.address);
    start.wrapping_add(stub_size(link.target.arch).wrapping_mul(index))
}

/// `__stubs`.
pub(super) fn stubs(link: &Link<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut place = plt_address(link, PltEntry::ThroughGot(0));
    let of_got = link.slots.through_got.iter().map(|symbol| {
        let slots = link.slots.of(*symbol);
        got_address(link, slots.plt_target.or(slots.got).unwrap_or(0))
    });
    let off = if malfunction::on(Malfunction::StubSlotOff) { POINTER } else { 0 };
    for slot in of_got.chain(lazy::pointers(link).map(|(address, ..)| address)) {
        let slot = slot.saturating_add(off);
        match link.target.arch {
            Arch::X86_64 => bytes.extend(stub_x86_64(place, slot)),
            _ => bytes.extend(stub_arm64(place, slot)),
        }
        place = place.wrapping_add(stub_size(link.target.arch));
    }
    bytes
}

/// A stub at `place` that jumps through `slot`.
fn stub_x86_64(place: u64, slot: u64) -> [u8; 6] {
    let distance = slot.wrapping_sub(place).wrapping_sub(6);
    let [d0, d1, d2, d3, ..] = distance.to_le_bytes();
    [0xff, 0x25, d0, d1, d2, d3] // jmpq *slot(%rip)
}

/// A stub at `place` that jumps through `slot`.
fn stub_arm64(place: u64, slot: u64) -> [u8; 12] {
    let pages = (slot >> 12).wrapping_sub(place >> 12);
    let [p0, p1, p2, p3, ..] = pages.to_le_bytes();
    let pages = u32::from_le_bytes([p0, p1, p2, p3]);
    let low = ((slot & 0xfff) >> 3) as u32;
    let words = [
        0x9000_0010 | ((pages & 3) << 29) | (((pages >> 2) & 0x7_ffff) << 5), // adrp x16, page of the slot
        0xf940_0210 | (low << 10),                                            // ldr  x16, [x16, #offset in it]
        0xd61f_0200,                                                          // br   x16
    ];
    let mut stub = [0; 12];
    stub.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())).for_each(|(to, from)| *to = from);
    stub
}

/// The slots of `__got` with their addresses and symbols, in order.
pub(super) fn got_slots<'l>(link: &'l Link<'_>) -> impl Iterator<Item = (u64, SymbolRef)> + 'l {
    link.slots.got.iter().filter_map(|(word, entry)| match entry {
        GotEntry::Address(symbol) | GotEntry::PltAddress(symbol) => Some((got_address(link, *word), *symbol)),
        // Descriptors of thread-local variables have addresses as all variables have.
        _ => None,
    })
}

/// `__got`: what the loader is to put into each slot.
pub(super) fn got(link: &Link<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (address, symbol) in got_slots(link) {
        let target = symbol_address(link, symbol);
        // What does not fit has been told by whoever sorted out the sites.
        let word = match emit::site(link, address) {
            Some(_) => emit::loader_word(link, address, target, 0),
            None => Ok(target),
        };
        bytes.extend(word.unwrap_or(0).to_le_bytes());
    }
    bytes
}

/// The address of a symbol; 0 for what the image does not define.
pub(super) fn symbol_address(link: &Link<'_>, symbol: SymbolRef) -> u64 {
    match symbol {
        SymbolRef::Global(id) => link.global_address(id),
        SymbolRef::Local(object, index) => {
            let symbol = link.object(object).symbols.get(index as usize);
            symbol.and_then(|symbol| link.symbol_address(object, symbol)).unwrap_or(0)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn stubs_lead_to_their_slots() {
        assert_eq!(stub_x86_64(0x1000, 0x2000), [0xff, 0x25, 0xfa, 0x0f, 0, 0]);
        // As `llvm-mc -triple arm64-apple-macos` assembles them: adrp x16, #0x4000; ldr x16, [x16, #0x10]; br x16.
        let wanted = [0x30, 0x00, 0x00, 0x90, 0x10, 0x0a, 0x40, 0xf9, 0x00, 0x02, 0x1f, 0xd6];
        assert_eq!(stub_arm64(0x564, 0x4010), wanted);
        // adrp x16, #-0x1000: the distance has a sign.
        assert_eq!(stub_arm64(0x1564, 0x10)[..4], [0xf0, 0xff, 0xff, 0xf0]);
    }
}
