//! The global offset table, the procedure linkage table, and the relocations that are left to the loader.
//!
//! `.rela.dyn` holds relative relocations first (`DT_RELACOUNT`: loaders go through them in a simple loop), then those that
//! name symbols, then those that call resolvers, which may rely on all others. Within each class those of the GOT stand
//! first, then those of the sections in link order. The table is made in parts when it is written.

use super::relocs::{self, Action};
use super::{Table, table_output};
use crate::arch::{ElfDynamicKinds, x86_64};
use crate::link::Link;
use crate::model::{SectionFlags, Traits};
use crate::options::Arch;
use crate::scan::Piece;
use crate::slots::{GotEntry, PltEntry, SymbolRef};

/// Size of an `Elf64_Rela`, in bytes.
pub(crate) const RELA_SIZE: u64 = 24;
/// Size of a GOT slot, in bytes.
pub(crate) const WORD: u64 = 8;
/// The number of GOT entries whose relocations are made at once.
const GOT_PART: usize = 1 << 14;
/// Words at the start of `.got.plt`: the address of the dynamic section, and two for the loader.
const GOT_PLT_HEADER: u64 = 3;

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
struct Rela {
    address: u64,
    symbol: u32,
    kind: u32,
    addend: i64,
}

impl Rela {
    fn encode(&self) -> [u8; RELA_SIZE as usize] {
        let mut bytes = [0; RELA_SIZE as usize];
        bytes[..8].copy_from_slice(&self.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.kind.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.symbol.to_le_bytes());
        bytes[16..].copy_from_slice(&self.addend.to_le_bytes());
        bytes
    }
}

fn kinds(link: &Link<'_>) -> ElfDynamicKinds {
    let Arch::X86_64 = link.target.arch;
    x86_64::ELF_DYNAMIC
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
                    Class::Relative => piece.relative,
                    Class::Symbolic => piece.symbolic,
                    Class::Indirect => piece.indirect,
                };
                parts.push((class, Source::Piece(index as u32), count));
            }
        }
        parts.retain(|(.., count)| *count > 0);
        let packed = if link.options.elf.relr {
            let got = link.slots.got.iter().filter(|(_, entry)| is_relative(link, *entry)).count() as u64;
            let all: u64 = pieces.iter().map(|piece| u64::from(piece.relative)).sum();
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
                entries.flat_map(|entry| got_relocations(link, *entry, class)).flat_map(|rela| rela.encode()).collect()
            }
            Source::Piece(index) => {
                let piece = &link.elf.found.pieces[index as usize];
                let packed = class == Class::Relative && link.options.elf.relr;
                let stays = |at| !(packed && is_packable(link, piece, at));
                piece_relocations(link, piece, class, stays).flat_map(|rela| rela.encode()).collect()
            }
        }
    }

    /// Packs the addresses of relative relocations (gABI, *Relative relocation table*): an even word is an address, an odd
    /// one a bitmap of the 63 words behind the last address.
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
        let mut words = Vec::new();
        let mut rest = addresses.as_slice();
        while let Some((first, after)) = rest.split_first() {
            words.push(*first);
            let mut base = first + WORD;
            rest = after;
            loop {
                let bits = 63 * WORD;
                let covered = rest.iter().take_while(|address| **address >= base && **address - base < bits).count();
                if covered == 0 {
                    break;
                }
                let (here, after) = rest.split_at(covered);
                words.push(here.iter().fold(1, |map, address| map | 2 << ((address - base) / WORD)));
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

/// Whether `.relr.dyn` takes a relative relocation at `offset` of a piece's section: aligned words only.
fn is_packable(link: &Link<'_>, piece: &Piece, offset: u64) -> bool {
    let section = link.section(piece.object, piece.section);
    // Unwind records follow each other without gaps.
    section.align >= WORD && offset.is_multiple_of(WORD) && !section.flags.has(SectionFlags::EH_FRAME)
}

/// A piece's relocations of one class whose offset in the section passes `stays`.
fn piece_relocations<'l>(
    link: &'l Link<'_>,
    piece: &Piece,
    class: Class,
    stays: impl Fn(u64) -> bool + 'l,
) -> impl Iterator<Item = Rela> + 'l {
    let kinds = kinds(link);
    let object_id = piece.object;
    let object = link.object(object_id);
    let section = &object.sections[piece.section as usize];
    let address = link.outputs.get(section.output as usize).map_or(0, |output| output.address + section.offset);
    let addresses = link.elf.addresses.get(object_id.index());
    let reversed = link.elf.reversed.get(&(object_id, piece.section)).copied();
    let range = piece.range.0 as usize..piece.range.1 as usize;
    relocs::decode(&section.relocs, range).filter_map(move |raw| {
        let reloc = relocs::understand(link.target.arch, raw)?;
        let symbol = object.symbols.get(raw.symbol as usize)?;
        let action = relocs::classify(section, &reloc, symbol.traits).ok()?;
        let target = || addresses.and_then(|all| all.get(raw.symbol as usize)).copied().unwrap_or(0);
        let linked = |kind| (kind, 0, (target() as i64).wrapping_add(raw.addend));
        let (kind, symbol, addend) = match (action, class) {
            (Action::Relative, Class::Relative) => linked(kinds.relative),
            (Action::Indirect, Class::Indirect) => linked(kinds.indirect),
            (Action::Symbolic, Class::Symbolic) => {
                let global = symbol.global.get()?;
                (raw.kind, link.symbols.get(global).dynamic_index, raw.addend)
            }
            _ => return None,
        };
        let offset = reversed.map_or(raw.offset, |size| super::reversed_offset(size, raw.offset));
        stays(raw.offset).then_some(Rela { address: address.wrapping_add(offset), symbol, kind, addend })
    })
}

/// The traits of a symbol that has slots, its index in the dynamic symbol table, and its address.
fn target(link: &Link<'_>, symbol: SymbolRef) -> (Traits, u32, u64) {
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
    let kinds = kinds(link);
    let at = got_address(link, at);
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
                both.push(rela(at + WORD, kinds.tls_offset, index, 0));
            }
            both
        }
        GotEntry::TlsModule => vec![rela(at, kinds.tls_module, 0, 0)],
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

/// The address of a GOT word.
pub(crate) fn got_address(link: &Link<'_>, word: u32) -> u64 {
    table_output(link, Table::Got).map_or(0, |got| got.address) + WORD * u64::from(word)
}

/// The address of the slot of a lazily bound PLT entry.
fn lazy_slot(link: &Link<'_>, index: u32) -> u64 {
    table_output(link, Table::GotPlt).map_or(0, |got| got.address) + WORD * (GOT_PLT_HEADER + u64::from(index))
}

/// The address that calls of a symbol through its PLT entry go to; 0 if it has none.
pub(crate) fn entry_address(link: &Link<'_>, symbol: SymbolRef) -> u64 {
    link.slots.of(symbol).plt.map_or(0, |entry| plt_address(link, entry))
}

/// The address that calls through a PLT entry go to.
pub(crate) fn plt_address(link: &Link<'_>, entry: PltEntry) -> u64 {
    let start = |table| table_output(link, table).map_or(0, |output| output.address);
    let size = x86_64::PLT_ENTRY_SIZE;
    match entry {
        PltEntry::Lazy(index) if link.elf.ibt => start(Table::PltSec) + size * u64::from(index),
        PltEntry::Lazy(index) => start(Table::Plt) + size * (1 + u64::from(index)),
        PltEntry::ThroughGot(index) => start(Table::PltGot) + size * u64::from(index),
    }
}

/// The size of one of the tables of slots, in bytes; 0 where the image does without it.
pub(crate) fn size(link: &Link<'_>, table: Table, got_base: bool) -> u64 {
    let lazy = link.slots.lazy.len() as u64;
    match table {
        Table::Got => WORD * u64::from(link.slots.got_words),
        Table::GotPlt if lazy > 0 || got_base => WORD * (GOT_PLT_HEADER + lazy),
        Table::Plt if lazy > 0 => x86_64::PLT_ENTRY_SIZE * (1 + lazy),
        Table::PltSec if link.elf.ibt => x86_64::PLT_ENTRY_SIZE * lazy,
        Table::PltGot => x86_64::PLT_ENTRY_SIZE * link.slots.through_got.len() as u64,
        Table::RelaPlt => RELA_SIZE * (lazy + link.elf.relocations.count_of(Table::RelaPlt)),
        _ => 0,
    }
}

/// The bytes of one of the tables of slots.
pub(crate) fn bytes(link: &Link<'_>, table: Table) -> Vec<u8> {
    let start = |table| table_output(link, table).map_or(0, |output| output.address);
    let lazy = || (0..link.slots.lazy.len() as u32).map(|index| (index, lazy_slot(link, index)));
    let (plt, size) = (start(Table::Plt), x86_64::PLT_ENTRY_SIZE);
    let entry = |index: u32| plt + size * (1 + u64::from(index));
    match table {
        Table::Got => got_bytes(link),
        Table::GotPlt => {
            let unbound = if link.elf.ibt { 0 } else { x86_64::PLT_LAZY_OFFSET };
            let header = [start(Table::Dynamic), 0, 0].into_iter();
            header.chain(lazy().map(|(index, _)| entry(index) + unbound)).flat_map(u64::to_le_bytes).collect()
        }
        Table::Plt => {
            let mut code = x86_64::plt_header(plt, start(Table::GotPlt)).to_vec();
            for (index, slot) in lazy() {
                code.extend(match link.elf.ibt {
                    true => x86_64::plt_ibt_entry(plt, entry(index), index),
                    false => x86_64::plt_entry(plt, entry(index), slot, index),
                });
            }
            code
        }
        Table::PltSec => {
            let address = |index: u32| start(table) + size * u64::from(index);
            lazy().flat_map(|(index, slot)| x86_64::plt_sec_entry(address(index), slot)).collect()
        }
        Table::PltGot => {
            let entries = link.slots.through_got.iter().enumerate();
            let code = entries.flat_map(|(index, symbol)| {
                let slot = got_address(link, link.slots.of(*symbol).plt_target.unwrap_or(0));
                let address = start(table) + size * index as u64;
                if link.elf.ibt { x86_64::plt_sec_entry(address, slot) } else { x86_64::plt_got_entry(address, slot) }
            });
            code.collect()
        }
        Table::RelaPlt => {
            let kind = kinds(link).plt;
            let relocations = link.slots.lazy.iter().zip(lazy()).map(|(symbol, (_, address))| {
                let (_, symbol, _) = target(link, *symbol);
                Rela { address, symbol, kind, addend: 0 }
            });
            let mut table: Vec<u8> = relocations.flat_map(|rela| rela.encode()).collect();
            for (_, (class, source, _)) in link.elf.relocations.parts_of(Table::RelaPlt) {
                table.extend(link.elf.relocations.make(link, *class, *source));
            }
            table
        }
        _ => Vec::new(),
    }
}

/// What the GOT holds before the loader touches it.
fn got_bytes(link: &Link<'_>) -> Vec<u8> {
    let mut words = vec![0_u64; link.slots.got_words as usize];
    for (at, entry) in &link.slots.got {
        match entry {
            GotEntry::Address(symbol) => {
                let (traits, _, address) = target(link, *symbol);
                if !traits.any(Traits::PREEMPTIBLE.and(Traits::IFUNC)) {
                    words[*at as usize] = address;
                }
            }
            GotEntry::PltAddress(symbol) => words[*at as usize] = entry_address(link, *symbol),
            GotEntry::TlsPair(symbol) => {
                let (traits, _, address) = target(link, *symbol);
                if !traits.has(Traits::PREEMPTIBLE) {
                    words[*at as usize + 1] = address.wrapping_sub(link.elf.tls.0);
                }
            }
            GotEntry::TlsModule | GotEntry::TlsOffset(_) | GotEntry::TlsDescriptor(_) => {}
        }
    }
    words.into_iter().flat_map(u64::to_le_bytes).collect()
}
