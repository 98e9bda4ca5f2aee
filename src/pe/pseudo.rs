//! Runtime pseudo-relocations: data of a DLL that code refers to as if they were the image's own.
//!
//! The loader puts the address of an import into a slot, and nowhere else. A field that is to hold the address, or the distance
//! to it, is relocated here as if the slot were meant, and listed; MinGW's start code (`_pei386_runtime_relocator`,
//! which the C runtime's entry point calls before all else) goes through the list, subtracts the slot's address from each
//! field and adds what the slot holds.
//!
//! The list, in its second version, begins with three words of 32 bits: 0, 0, 1. Each entry has three more: the offset of the
//! slot from the image's base, that of the field, and the field's width in bits. Start code finds the list between two
//! symbols. The loader moves fields with addresses as it moves others: they hold an address in this image until then.
//!
//! There is no specification; the structure is that of `pseudo-reloc.c` of mingw-w64, which both MinGW linkers write.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::HashSet;

use super::imports::SlotIndex;
use super::relocs::classify;
use crate::error::Error;
use crate::link::Link;
use crate::model::{GlobalId, Object, Section, Symbol, SymbolSection};
use crate::options::Arch;
use crate::reloc::{self, Action, Reloc};
use crate::resolve::Library;
use crate::scan::Piece;
use crate::symbols::Symbols;

/// The sizes of the list's beginning and of an entry, in bytes.
const WORDS: u64 = 12;

/// The symbol of the function that goes through the list.
pub(crate) fn relocator(arch: Option<Arch>) -> &'static [u8] {
    if arch == Some(Arch::X86) { b"__pei386_runtime_relocator" } else { b"_pei386_runtime_relocator" }
}

/// Whether something other than a pointer that a compiler keeps for it refers to one of the symbols, and a DLL has that.
pub(crate) fn is_needed<'a>(
    objects: &[Object<'a>],
    symbols: &Symbols<'a>,
    libraries: &[Library<'a>],
    candidates: &HashSet<GlobalId>,
) -> bool {
    let slots = SlotIndex::new(libraries);
    let has_slot = |id: &GlobalId| slots.slot_of(symbols, libraries, symbols.get(*id).name).is_some();
    let data: HashSet<GlobalId> = candidates.iter().copied().filter(has_slot).collect();
    let refers = |object: &Object<'_>| {
        let live = object.sections.iter().filter(|section| section.is_live() && !is_pointer(section.name));
        live.flat_map(|section| reloc::decode(section, 0..section.relocs.len())).any(|raw| {
            let global = object.symbols.get(raw.symbol as usize).and_then(|symbol| symbol.global.get());
            global.is_some_and(|global| data.contains(&global))
        })
    };
    !data.is_empty() && objects.iter().any(refers)
}

/// Whether a section holds a pointer that a compiler keeps beside code.
fn is_pointer(name: &[u8]) -> bool {
    name.starts_with(b".rdata$.refptr.")
}

/// The size of the list, in bytes; 0 if there is nothing to correct.
pub(crate) fn size(link: &Link<'_>) -> u64 {
    let count: u64 = link.pe.pieces.iter().map(|piece| u64::from(piece.symbolic)).sum();
    if count == 0 { 0 } else { count.saturating_add(1).saturating_mul(WORDS) }
}

/// Checks that the image has start code that goes through the list, and warns of fields that may turn out too narrow.
///
/// # Errors
/// [`Error::Options`]: it has none, or none that is called.
pub(crate) fn check(link: &mut Link<'_>) -> Result<(), Error> {
    let Some(piece) = link.pe.pieces.iter().find(|piece| piece.symbolic > 0) else { return Ok(()) };
    let first = fields(link, piece).into_iter().next();
    let name = first.map(|(_, symbol, _)| String::from_utf8_lossy(link.symbols.get(symbol).name).into_owned());
    let name = name.unwrap_or_default();
    let file = link.object(piece.object).name.to_string();
    let found = link.symbols.find(relocator(Some(link.target.arch))).filter(|(_, global)| global.is_defined_here());
    let called = found.is_some_and(|(id, _)| {
        // The object that defines it may be what calls it.
        let calls = |object: &Object<'_>| {
            let is_it = |symbol: &Symbol| symbol.global == id;
            let undefined = |symbol: &Symbol| symbol.section() == SymbolSection::Undefined;
            let refers = |section: &Section<'_>| {
                let mut relocations = reloc::decode(section, 0..section.relocs.len());
                relocations.any(|raw| object.symbols.get(raw.symbol as usize).is_some_and(is_it))
            };
            object.symbols.iter().any(|symbol| is_it(symbol) && undefined(symbol))
                || object.symbols.iter().any(is_it)
                    && object.sections.iter().any(|section| section.is_live() && refers(section))
        };
        link.pe.entry == Some(id) || link.objects.iter().any(calls)
    });
    if !called || link.pe.makes_entry {
        return Err(Error::Options(format!(
            "{file}: refers to {name}, data of a DLL, as if it were the image's own, and no start code corrects that; {}",
            "declare it with dllimport, or link MinGW's start files: dllcrt2.o and -lmingw32, with -e DllMainCRTStartup"
        )));
    }
    if link.target.arch != Arch::X86 {
        let narrow = link.pe.pieces.iter().filter(|piece| piece.symbolic > 0).find_map(|piece| {
            let field = fields(link, piece).into_iter().find(|(.., reloc)| reloc.field.size() < 8)?;
            Some((piece, field.1))
        });
        if let Some((piece, symbol)) = narrow {
            let warning = format!(
                "{}: refers to {}, data of a DLL, by fields of 32 bits; start code fails if the DLL is loaded farther away; {}",
                link.object(piece.object).name,
                String::from_utf8_lossy(link.symbols.get(symbol).name),
                "declare it with dllimport"
            );
            link.report.warnings.push(warning);
        }
    }
    Ok(())
}

/// The fields of a stretch of a section that start code corrects: their offsets in the section, and what they refer to.
fn fields(link: &Link<'_>, piece: &Piece) -> Vec<(u64, GlobalId, Reloc)> {
    let object = link.object(piece.object);
    let section = link.section(piece.object, piece.section);
    let field = |raw| {
        let reloc = reloc::understand(link.target, raw)?;
        let symbol = object.symbols.get(raw.symbol as usize)?;
        let global = symbol.global.get()?;
        (classify(section, &reloc, symbol.traits) == Ok(Action::Startup)).then_some((raw.offset, global, reloc))
    };
    reloc::decode(section, piece.range.0 as usize..piece.range.1 as usize).filter_map(field).collect()
}

/// The list, now that addresses are fixed.
pub(crate) fn bytes(link: &Link<'_>) -> Vec<u8> {
    // Images end below 4 GiB.
    let relative = |address: u64| (address.wrapping_sub(link.pe.base) as u32).to_le_bytes();
    let mut bytes: Vec<u8> = [0_u32, 0, 1].into_iter().flat_map(u32::to_le_bytes).collect();
    for piece in link.pe.pieces.iter().filter(|piece| piece.symbolic > 0) {
        for (offset, symbol, reloc) in fields(link, piece) {
            let place = link.address_in(piece.object, piece.section, offset).unwrap_or(link.pe.base);
            bytes.extend(relative(link.global_address(symbol)));
            bytes.extend(relative(place));
            bytes.extend((reloc.field.size() as u32).wrapping_mul(8).to_le_bytes());
        }
    }
    bytes
}
