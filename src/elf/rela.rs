//! The relocations that are left to the loader.
//!
//! `.rela.dyn` holds relative relocations first (`DT_RELACOUNT`: loaders go through them in a simple loop), then those that
//! name symbols, then those that call resolvers, which may rely on all others. Within each class those of the GOT stand
//! first, then those of the sections in link order. The table is made in parts when it is written.

use super::got::{entry_address, got_address};
use super::{Table, machine};
use crate::arch::{Bits, ElfMachine};
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::model::{SectionFlags, Traits};
use crate::reloc::{self, Action, RawReloc, Simple, Start, What};
use crate::scan::Piece;
use crate::slots::{GotEntry, SymbolRef};
use crate::symbols::Anchor;

/// The number of GOT entries whose relocations are made at once: little beside a chunk of the file, as with symbols.
const GOT_PART: usize = 1 << 12;

/// A class of dynamic relocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The loader adds the image's base.
    Relative,
    /// The loader looks up a symbol.
    Symbolic,
    /// The loader calls a resolver.
    Indirect,
}

/// What a stretch of `.rela.dyn` is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// Entries of the GOT, from one to another.
    Got(u32, u32),
    /// A piece of a section's relocations, by its index.
    Piece(u32),
}

/// The plan of `.rela.dyn` and `.relr.dyn`.
#[derive(Debug, Default)]
pub(crate) struct DynamicRelocations {
    /// The stretches in order, each with the number of its relocations.
    pub(crate) parts: Vec<(Class, Source, u32)>,
    /// Those that call resolvers stand at the end of `.rela.plt`: resolvers may call functions through the PLT, and the
    /// loader prepares its slots after all of `.rela.dyn`.
    indirect_in_plt: bool,
    /// The number of relative relocations that are left to `.relr.dyn`.
    pub(crate) packed: u64,
    /// The addresses that `.relr.dyn` covers are packed here; empty without it.
    pub(crate) relr: Vec<u64>,
}

/// One relocation for the loader.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rela {
    pub(super) address: u64,
    pub(super) symbol: u32,
    pub(super) kind: u32,
    pub(super) addend: i64,
}

impl Rela {
    /// Appends it to a table for a CPU. Where its tables hold no addends, the addend is in the field.
    fn encode(&self, machine: &ElfMachine, table: &mut Vec<u8>) {
        match machine.bits {
            Bits::B64 => {
                table.extend(self.address.to_le_bytes());
                table.extend(self.kind.to_le_bytes());
                table.extend(self.symbol.to_le_bytes());
                if machine.rela {
                    table.extend(self.addend.to_le_bytes());
                }
            }
            Bits::B32 => {
                table.extend((self.address as u32).to_le_bytes());
                table.extend((self.symbol << 8 | self.kind).to_le_bytes());
                if machine.rela {
                    table.extend((self.addend as i32).to_le_bytes());
                }
            }
        }
    }
}

/// Size of a relocation of the loader's tables, in bytes.
pub(crate) fn reloc_size(machine: &ElfMachine) -> u64 {
    machine.bits.word() * if machine.rela { 3 } else { 2 }
}

impl DynamicRelocations {
    /// Counts what `.rela.dyn` holds.
    pub(crate) fn new(link: &Link<'_>, pieces: &[Piece]) -> Self {
        let mut parts = Vec::new();
        for class in [Class::Relative, Class::Symbolic, Class::Indirect] {
            for (number, entries) in link.slots.got.chunks(GOT_PART).enumerate() {
                let first = number * GOT_PART;
                let count = entries.iter().map(|(_, entry)| got_count(link, *entry, class)).sum();
                parts.push((class, Source::Got(first as u32, (first + entries.len()) as u32), count));
            }
            for (index, piece) in pieces.iter().enumerate() {
                let count = match class {
                    Class::Relative if link.options.elf.relr => {
                        piece_relocations(link, piece, class, |at| !is_packable(link, piece, at)).count() as u32
                    }
                    _ => piece_count(link, piece, class),
                };
                parts.push((class, Source::Piece(index as u32), count));
            }
        }
        parts.retain(|(.., count)| *count > 0);
        let packed = if link.options.elf.relr {
            let got = link.slots.got.iter().filter(|(_, entry)| is_relative(link, *entry)).count() as u64;
            let all: u64 = pieces.iter().map(|piece| u64::from(piece_count(link, piece, Class::Relative))).sum();
            let kept = parts.iter().filter(|(class, ..)| *class == Class::Relative);
            (got + all).saturating_sub(kept.map(|(.., count)| u64::from(*count)).sum())
        } else {
            0
        };
        Self { parts, packed, indirect_in_plt: !link.slots.lazy.is_empty(), relr: Vec::new() }
    }

    /// The number of relocations, or of one class of them.
    pub(crate) fn count(&self, class: Option<Class>) -> u64 {
        let counted = self.parts.iter().filter(|(of, ..)| class.is_none_or(|class| class == *of));
        counted.map(|(.., count)| u64::from(*count)).sum()
    }

    /// The table that relocations of a class stand in.
    fn table(&self, class: Class) -> Table {
        if class == Class::Indirect && self.indirect_in_plt { Table::RelaPlt } else { Table::RelaDyn }
    }

    /// The stretches that stand in one of the two tables, with the part each is.
    pub(crate) fn parts_of(&self, table: Table) -> impl Iterator<Item = (usize, &(Class, Source, u32))> {
        self.parts.iter().enumerate().filter(move |(_, (class, ..))| self.table(*class) == table)
    }

    /// The number of relocations, other than those of PLT slots, in one of the two tables.
    pub(crate) fn count_of(&self, table: Table) -> u64 {
        self.parts_of(table).map(|(_, (.., count))| u64::from(*count)).sum()
    }

    /// Makes a stretch.
    pub(crate) fn make(&self, link: &Link<'_>, class: Class, source: Source) -> Vec<u8> {
        match source {
            Source::Got(first, last) => {
                let entries = link.slots.got.get(first as usize..last as usize).unwrap_or_default().iter();
                encode(link, entries.flat_map(|entry| got_relocations(link, *entry, class)))
            }
            Source::Piece(index) => {
                let piece = &link.elf.found.pieces[index as usize];
                let packed = class == Class::Relative && link.options.elf.relr;
                let stays = |at| !(packed && is_packable(link, piece, at));
                encode(link, piece_relocations(link, piece, class, stays))
            }
        }
    }

    /// Packs the addresses of relative relocations (gABI, *Relative relocation table*): an even word is an address, an odd
    /// one a bitmap of the 63 words (31 where words have 32 bits) behind the last address.
    ///
    /// The table fills the `reserved` words that its section has already. Returns the most words there can ever be: one for
    /// each address.
    pub(crate) fn pack(&mut self, link: &Link<'_>, reserved: u64) -> u64 {
        let mut addresses = Vec::new();
        for (at, entry) in &link.slots.got {
            if is_relative(link, *entry) {
                addresses.push(got_address(link, *at));
            }
        }
        for piece in &link.elf.found.pieces {
            let packed = piece_relocations(link, piece, Class::Relative, |at| is_packable(link, piece, at));
            addresses.extend(packed.map(|rela| rela.address));
        }
        addresses.sort_unstable();
        // Unlike `.rela.dyn`, this table adds to what is there: a place that stands in it twice would move twice.
        addresses.dedup();
        let word = machine(link).bits.word();
        let mut words = Vec::new();
        let mut rest = addresses.as_slice();
        while let Some((first, after)) = rest.split_first() {
            words.push(*first);
            let mut base = first + word;
            rest = after;
            loop {
                let bits = (8 * word - 1) * word;
                let covered = rest.iter().take_while(|address| **address >= base && **address - base < bits).count();
                if covered == 0 {
                    break;
                }
                let (here, after) = rest.split_at(covered);
                words.push(here.iter().fold(1, |map, address| map | 2 << ((address - base) / word)));
                rest = after;
                base += bits;
            }
        }
        // It never shrinks while addresses settle; an empty bitmap says nothing, a zero would be an address.
        words.resize(words.len().max(reserved as usize), 1);
        self.relr = words;
        addresses.len() as u64
    }
}

pub(super) fn encode(link: &Link<'_>, relocations: impl Iterator<Item = Rela>) -> Vec<u8> {
    let machine = machine(link);
    let mut table = Vec::new();
    relocations.for_each(|rela| rela.encode(machine, &mut table));
    table
}

/// Whether `.relr.dyn` takes a relative relocation at `offset` of a piece's section: aligned words only.
fn is_packable(link: &Link<'_>, piece: &Piece, offset: u64) -> bool {
    let section = link.section(piece.object, piece.section);
    // Unwind records follow each other without gaps.
    let word = machine(link).bits.word();
    section.align >= word && offset.is_multiple_of(word) && !section.flags.has(SectionFlags::EH_FRAME)
}

/// The number of a piece's relocations of one class.
fn piece_count(link: &Link<'_>, piece: &Piece, class: Class) -> u32 {
    // Unwind records that are not in the image were counted, too.
    if link.section(piece.object, piece.section).flags.has(SectionFlags::EH_FRAME) {
        return piece_relocations(link, piece, class, |_| true).count() as u32;
    }
    match class {
        Class::Relative => piece.relative,
        Class::Symbolic => piece.symbolic,
        Class::Indirect => piece.indirect,
    }
}

/// A piece's relocations of one class whose offset in the section passes `stays`.
fn piece_relocations<'l>(
    link: &'l Link<'_>,
    piece: &Piece,
    class: Class,
    stays: impl Fn(u64) -> bool + 'l,
) -> impl Iterator<Item = Rela> + 'l {
    let kinds = &machine(link).dynamic;
    let object_id = piece.object;
    let object = link.object(object_id);
    let section = &object.sections[piece.section as usize];
    let address = link.outputs.get(section.output as usize).map_or(0, |output| output.address + section.offset);
    let addresses = link.addresses.get(object_id.index()).map(Vec::as_slice).unwrap_or_default();
    let special = link.special.get(object_id.index()).map(Vec::as_slice).unwrap_or_default();
    // What scanning has counted without a closer look.
    let is_plain = move |raw: &RawReloc| {
        let base = |simple: Simple| simple.from == Start::Zero && simple.word;
        link.kinds.simple(raw.kind).is_some_and(base) && special.get(raw.symbol as usize) == Some(&false)
    };
    let reversed = link.elf.reversed.get(&(object_id, piece.section)).copied();
    let joined = link.elf.frames.sections.get(&(object_id, piece.section));
    let word = machine(link).bits.word();
    let range = piece.range.0 as usize..piece.range.1 as usize;
    reloc::decode(section, range).filter_map(move |raw| {
        let target = || addresses.get(raw.symbol as usize).copied().unwrap_or(0);
        let linked = |kind| match malfunction::on(Malfunction::RelativeAddendDropped) {
            false => (kind, 0, (target() as i64).wrapping_add(raw.addend)),
            true => (kind, 0, target() as i64 & !0xfff),
        };
        let offset = match (reversed, joined) {
            (Some(size), _) => super::reversed_offset(word, size, raw.offset),
            (None, Some(joined)) => joined.output_offset(raw.offset)?,
            (None, None) => raw.offset,
        };
        let place = address.wrapping_add(offset);
        if is_plain(&raw) {
            let (kind, symbol, addend) = linked(kinds.relative);
            let wanted = class == Class::Relative && stays(raw.offset);
            return wanted.then_some(Rela { address: place, symbol, kind, addend });
        }
        let reloc = link.kinds.understand(link.target, raw)?;
        let symbol = object.symbols.get(raw.symbol as usize)?;
        let action = reloc::classify(link.target, section, &reloc, symbol.traits).ok()?;
        let (kind, symbol, addend) = match (action, class) {
            (Action::Relative, Class::Relative) if reloc.value.what == What::GotBase => {
                let base = super::anchor_address(link, Anchor::GotBase).cast_signed();
                (kinds.relative, 0, base.wrapping_add(raw.addend))
            }
            (Action::Relative, Class::Relative) => linked(kinds.relative),
            (Action::Indirect, Class::Indirect) => linked(kinds.indirect),
            (Action::Symbolic, Class::Symbolic) => {
                let global = symbol.global.get()?;
                // Whatever the object calls a word with an address in it.
                let kind = if reloc.value.what == What::Symbol { kinds.absolute } else { raw.kind };
                (kind, link.symbols.get(global).dynamic_index, raw.addend)
            }
            _ => return None,
        };
        stays(raw.offset).then_some(Rela { address: place, symbol, kind, addend })
    })
}

/// The traits of a symbol that has slots, its index in the dynamic symbol table, and its address.
pub(super) fn target(link: &Link<'_>, symbol: SymbolRef) -> (Traits, u32, u64) {
    match symbol {
        SymbolRef::Global(id) => {
            let global = link.symbols.get(id);
            (global.traits, global.dynamic_index, link.global_address(id))
        }
        SymbolRef::Local(object, index) => {
            let symbol = link.object(object).symbols[index as usize];
            (symbol.traits, 0, link.symbol_address(object, &symbol).unwrap_or(0))
        }
    }
}

fn traits(link: &Link<'_>, symbol: SymbolRef) -> Traits {
    match symbol {
        SymbolRef::Global(id) => link.symbols.get(id).traits,
        SymbolRef::Local(object, index) => link.object(object).symbols[index as usize].traits,
    }
}

/// Whether the loader adds the image's base to a GOT entry.
fn is_relative(link: &Link<'_>, entry: GotEntry) -> bool {
    let fixed = Traits::PREEMPTIBLE.and(Traits::IFUNC).and(Traits::ABSOLUTE);
    match entry {
        GotEntry::Address(symbol) => !traits(link, symbol).any(fixed),
        GotEntry::PltAddress(_) => true,
        _ => false,
    }
}

/// The number of relocations of one class that a GOT entry needs.
fn got_count(link: &Link<'_>, entry: GotEntry, class: Class) -> u32 {
    let (of, count) = match entry {
        GotEntry::Address(symbol) => {
            let traits = traits(link, symbol);
            match () {
                () if traits.has(Traits::PREEMPTIBLE) => (Class::Symbolic, 1),
                () if traits.has(Traits::IFUNC) => (Class::Indirect, 1),
                // An aligned word: `.relr.dyn` takes it.
                () => (Class::Relative, u32::from(is_relative(link, entry) && !link.options.elf.relr)),
            }
        }
        GotEntry::PltAddress(_) => (Class::Relative, u32::from(!link.options.elf.relr)),
        GotEntry::TlsPair(symbol) if traits(link, symbol).has(Traits::PREEMPTIBLE) => (Class::Symbolic, 2),
        GotEntry::TlsBlock(symbol) => (Class::Symbolic, u32::from(traits(link, symbol).has(Traits::PREEMPTIBLE))),
        GotEntry::TlsPair(_) | GotEntry::TlsModule | GotEntry::TlsOffset(_) | GotEntry::TlsDescriptor(_) => {
            (Class::Symbolic, 1)
        }
    };
    if of == class { count } else { 0 }
}

fn got_relocations(link: &Link<'_>, (at, entry): (u32, GotEntry), class: Class) -> Vec<Rela> {
    if got_count(link, entry, class) == 0 {
        return Vec::new();
    }
    let kinds = &machine(link).dynamic;
    let at = got_address(link, at ^ u32::from(malfunction::on(Malfunction::GotSlotsSwapped)));
    let word = machine(link).bits.word();
    let rela = |address, kind, symbol, addend| Rela { address, symbol, kind, addend };
    match entry {
        GotEntry::Address(symbol) => {
            let (traits, index, address) = target(link, symbol);
            vec![match () {
                () if traits.has(Traits::PREEMPTIBLE) => rela(at, kinds.got, index, 0),
                () if traits.has(Traits::IFUNC) => rela(at, kinds.indirect, 0, address as i64),
                () => rela(at, kinds.relative, 0, address as i64),
            }]
        }
        GotEntry::PltAddress(symbol) => vec![rela(at, kinds.relative, 0, entry_address(link, symbol) as i64)],
        GotEntry::TlsPair(symbol) => {
            let (traits, index, _) = target(link, symbol);
            let mut both = vec![rela(at, kinds.tls_module, index, 0)];
            if traits.has(Traits::PREEMPTIBLE) {
                both.push(rela(at + word, kinds.tls_offset, index, 0));
            }
            both
        }
        GotEntry::TlsModule => vec![rela(at, kinds.tls_module, 0, 0)],
        GotEntry::TlsBlock(symbol) => vec![rela(at, kinds.tls_offset, target(link, symbol).1, 0)],
        GotEntry::TlsOffset(symbol) | GotEntry::TlsDescriptor(symbol) => {
            let kind = if matches!(entry, GotEntry::TlsOffset(_)) { kinds.tls_static } else { kinds.tls_descriptor };
            let (traits, index, address) = target(link, symbol);
            if traits.has(Traits::PREEMPTIBLE) {
                return vec![rela(at, kind, index, 0)];
            }
            vec![rela(at, kind, 0, address.wrapping_sub(link.elf.tls.0) as i64)]
        }
    }
}
