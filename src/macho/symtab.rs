//! The symbol table: every symbol of every object, so that debuggers and stack traces find functions by name.
//!
//! Its order is fixed by `LC_DYSYMTAB`: what is for debuggers ([`stabs`]) and local symbols, then what the
//! image has for others, then what it wants from others. The string table is the objects' string tables one after the
//! other, as they are, between two bytes that nobody refers to and what the linker adds.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use super::linkedit::{self, Part};
use super::{other, stabs};
use crate::error::Error;
use crate::image::{Extent, Source};
use crate::link::{Link, over};
use crate::model::{GlobalId, Object, ObjectId, SectionFlags, Symbol, SymbolKind, SymbolSection, Traits, Visibility};
use crate::options::{Filter, Strip};
use crate::symbols::{Definition, Global, GlobalFlags};

/// What stands before all strings, as LLD has it: a space, which nobody refers to, so that the empty string is not at 0.
const STRINGS_START: &[u8] = b" \0";
/// Where the empty string is.
pub(super) const NO_NAME: u32 = 1;

/// `N_EXT`, `N_PEXT`, `N_SECT`, `N_ABS`, `N_UNDF`
const EXTERNAL: u8 = 0x01;
const PRIVATE: u8 = 0x10;
const IN_SECTION: u8 = 0x0e;
const ABSOLUTE: u8 = 0x02;
/// Bits of `n_desc`: `REFERENCED_DYNAMICALLY`, `N_WEAK_REF`, `N_WEAK_DEF`, `N_ALT_ENTRY`
const REFERENCED_DYNAMICALLY: u16 = 0x10;
const WEAK_REFERENCE: u16 = 0x40;
const WEAK_DEFINITION: u16 = 0x80;
const ALT_ENTRY: u16 = 0x200;

/// An entry of the symbol table (`struct nlist_64`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Offset of its name in the string table.
    pub(super) name: u32,
    /// `n_type`
    pub(super) kind: u8,
    /// `n_sect`
    pub(super) section: u8,
    /// `n_desc`
    pub(super) desc: u16,
    /// `n_value`
    pub(super) value: u64,
}

impl Entry {
    /// Bytes of an entry.
    const SIZE: usize = 16;

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.name.to_le_bytes());
        bytes.extend([self.kind, self.section]);
        bytes.extend(self.desc.to_le_bytes());
        bytes.extend(self.value.to_le_bytes());
    }
}

/// The symbol table of an image.
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    /// Its entries, encoded.
    pub(super) bytes: Vec<u8>,
    /// The numbers of local symbols, of those for others, and of those from others.
    pub(super) counts: [u32; 3],
    /// The index of each global symbol that has one, by its id; [`NO_INDEX`] for others.
    pub(super) indices: Vec<u32>,
    /// The strings.
    pub(super) strings: Strings,
}

/// No place in the table.
pub(super) const NO_INDEX: u32 = u32::MAX;

/// The string table.
#[derive(Debug, Default)]
pub(super) struct Strings {
    /// Where each object's strings start.
    bases: Vec<u32>,
    /// Where the strings that no object has start, and these.
    extra: (u64, Vec<u8>),
}

impl Strings {
    fn new(link: &Link<'_>) -> Result<Self, Error> {
        let mut strings = Self::default();
        let mut end = STRINGS_START.len() as u64;
        for (_, object) in link.objects() {
            strings.bases.push(u32::try_from(end).unwrap_or(u32::MAX));
            // A table that does not end in NUL gets one.
            let open = object.strings.last().is_some_and(|last| *last != 0);
            end = end.saturating_add(object.strings.len() as u64).saturating_add(open.into());
        }
        over("Mach-O string table", "the size of all symbols' names", end, u32::MAX.into())?;
        strings.extra.0 = end;
        Ok(strings)
    }

    /// Where an object's strings start.
    pub(super) fn base(&self, object: ObjectId) -> u32 {
        self.bases.get(object.index()).copied().unwrap_or(0)
    }

    /// The offset of a symbol's name.
    pub(super) fn name(&self, object: ObjectId, symbol: &Symbol) -> u32 {
        self.base(object).saturating_add(symbol.name)
    }

    /// Adds a string, and returns its offset.
    pub(super) fn add(&mut self, string: &[u8]) -> u32 {
        let offset = self.extra.0.saturating_add(self.extra.1.len() as u64);
        self.extra.1.extend(string);
        self.extra.1.push(0);
        u32::try_from(offset).unwrap_or(u32::MAX)
    }

    /// Its size, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.extra.0.saturating_add(self.extra.1.len() as u64).next_multiple_of(8)
    }

    /// Appends the table, which starts at a file offset, to `extents`; returns where the strings are that no object has.
    pub(super) fn emit(&mut self, link: &Link<'_>, offset: u64, extents: &mut Vec<Extent>) -> Part {
        for (id, object) in link.objects() {
            let offset = offset.saturating_add(self.base(id).into());
            extents.push(Extent { offset, size: object.strings.len() as u64, source: Source::Strings(id) });
        }
        let extra = std::mem::take(&mut self.extra.1);
        let own = Part { offset: offset.saturating_add(self.extra.0), size: extra.len() as u64 };
        for (offset, bytes) in [(offset, STRINGS_START.to_vec()), (own.offset, extra)] {
            extents.push(Extent { offset, size: bytes.len() as u64, source: Source::Owned(bytes) });
        }
        own
    }
}

impl SymbolTable {
    /// Makes the table.
    ///
    /// # Errors
    /// If the names take more than 4 GiB.
    pub(super) fn new(link: &Link<'_>) -> Result<Self, Error> {
        let mut table = Self { strings: Strings::new(link)?, ..Self::default() };
        table.indices.resize(link.symbols.len(), NO_INDEX);
        let mut count = 0_u32;
        let debug_map = link.options.strip == Strip::None && link.options.macho.debug_map;
        let debug_map = debug_map && link.options.macho.dsym.is_none();
        // As much as there can be, so that it does not grow by doubling; what is not used takes no memory until it is given back.
        let is_debug =
            |object: &Object<'_>| object.sections.iter().any(|section| section.flags.has(SectionFlags::DEBUG));
        let most = link.objects.iter().map(|object| {
            let entries = if debug_map && is_debug(object) { 3 } else { 1 };
            object.symbols.len().saturating_mul(entries).saturating_mul(Entry::SIZE)
        });
        table.bytes.reserve_exact(most.fold(0, usize::saturating_add));
        if debug_map {
            count = stabs::write(link, &mut table.strings, &mut table.bytes);
        }
        if link.options.strip != Strip::All && !link.options.macho.strip_locals {
            count = count.saturating_add(table.add_locals(link));
        }
        table.counts[0] = count;
        for externals in [true, false] {
            let mut added = 0_u32;
            for (id, global) in link.symbols.iter() {
                let wanted = if externals { is_exported(link, global) } else { is_import(global) };
                if !wanted {
                    continue;
                }
                let Some(entry) = table.entry(link, id, global) else { continue };
                entry.write(&mut table.bytes);
                if let Some(index) = table.indices.get_mut(id.index()) {
                    *index = count;
                }
                count = count.saturating_add(1);
                added = added.saturating_add(1);
            }
            if let Some(place) = table.counts.get_mut(if externals { 1 } else { 2 }) {
                *place = added;
            }
        }
        table.bytes.shrink_to_fit();
        Ok(table)
    }

    /// Makes the table of a file for debuggers: every symbol that the image defines, local ones included.
    ///
    /// # Errors
    /// If the names take more than 4 GiB.
    pub(super) fn for_debuggers(link: &Link<'_>) -> Result<Self, Error> {
        let mut table = Self { strings: Strings::new(link)?, ..Self::default() };
        table.counts[0] = table.add_locals(link);
        for (id, global) in link.symbols.iter().filter(|(_, global)| is_exported(link, global)) {
            if let Some(entry) = table.entry(link, id, global) {
                entry.write(&mut table.bytes);
                table.counts[1] = table.counts[1].saturating_add(1);
            }
        }
        Ok(table)
    }

    /// The number of its entries.
    pub(super) fn count(&self) -> u32 {
        self.counts.iter().fold(0, |all, count| all.saturating_add(*count))
    }

    /// Adds symbols that are known in their objects, or in the image, only.
    fn add_locals(&mut self, link: &Link<'_>) -> u32 {
        let mut count = 0_u32;
        let named = Filter::new(&link.options.macho.locals);
        for (id, object) in link.objects() {
            for (symbol, index) in object.symbols.iter().zip(0_u32..) {
                let kind = match symbol.global.get() {
                    None if is_named_local(object, symbol) => 0,
                    None => continue,
                    Some(global) => {
                        let global = link.symbols.get(global);
                        if global.definition != Definition::Object(id, index) || is_exported(link, global) {
                            continue;
                        }
                        PRIVATE
                    }
                };
                if !named.allow(object.symbol_name(symbol)) {
                    continue;
                }
                let Some((place, section, value)) = place_of(link, id, symbol) else { continue };
                let name = self.strings.name(id, symbol);
                Entry { name, kind: kind | place, section, desc: desc(symbol), value }.write(&mut self.bytes);
                count = count.saturating_add(1);
            }
        }
        // Common symbols are in no object any more.
        for (id, global) in link.symbols.iter() {
            if matches!(global.definition, Definition::Allotted(_)) && !is_exported(link, global) {
                let Some(mut entry) = self.entry(link, id, global) else { continue };
                entry.kind = (entry.kind & !EXTERNAL) | PRIVATE;
                entry.write(&mut self.bytes);
                count = count.saturating_add(1);
            }
        }
        count
    }

    /// The entry of a global symbol.
    fn entry(&mut self, link: &Link<'_>, id: GlobalId, global: &Global<'_>) -> Option<Entry> {
        let mention = global.mention.and_then(|(id, index)| {
            let symbol = link.object(id).symbols.get(index as usize)?;
            Some((id, symbol))
        });
        let name = match mention {
            Some((id, symbol)) => self.strings.name(id, symbol),
            None => self.strings.add(global.name),
        };
        if is_import(global) {
            let [library, ..] = linkedit::library_ordinal(link, global).to_le_bytes();
            let weak = if linkedit::is_weak_import(link, global) { WEAK_REFERENCE } else { 0 };
            // N_REF_TO_WEAK, which is the same bit.
            let coalesced = if super::is_coalesced(link, global) { WEAK_DEFINITION } else { 0 };
            let desc = (u16::from(library) << 8) | weak | coalesced;
            return Some(Entry { name, kind: EXTERNAL, section: 0, desc, value: 0 });
        }
        let (place, section, value) = match global.definition {
            Definition::Object(id, _) => place_of(link, id, mention?.1)?,
            Definition::Absolute(value) => (ABSOLUTE, 0, value),
            _ => {
                let value = link.global_address(id);
                (IN_SECTION, section_at(link, value), value)
            }
        };
        let weak = if global.flags.has(GlobalFlags::WEAK_DEFINITION) { WEAK_DEFINITION } else { 0 };
        let desc = mention.map_or(0, |(_, symbol)| desc(symbol)) | weak;
        Some(Entry { name, kind: EXTERNAL | place, section, desc, value })
    }
}

fn desc(symbol: &Symbol) -> u16 {
    let bits = [(other::ALT_ENTRY, ALT_ENTRY), (other::REFERENCED_DYNAMICALLY, REFERENCED_DYNAMICALLY)];
    bits.iter().filter(|(flag, _)| symbol.other & flag != 0).fold(0, |all, (_, bit)| all | bit)
}

/// `n_type`, `n_sect` and `n_value` of a symbol that an object defines; `None` if it is not in the image.
fn place_of(link: &Link<'_>, id: ObjectId, symbol: &Symbol) -> Option<(u8, u8, u64)> {
    match symbol.section() {
        SymbolSection::Absolute => Some((ABSOLUTE, 0, symbol.value)),
        SymbolSection::In(index) => {
            let section = link.object(id).sections.get(index as usize).filter(|section| section.is_live())?;
            let value = link.address_in(id, index, symbol.value)?;
            Some((IN_SECTION, number(section.output)?, value))
        }
        _ => None,
    }
}

/// `n_sect` of an output section.
fn number(output: u32) -> Option<u8> {
    u8::try_from(output.checked_add(1)?).ok()
}

/// `n_sect` of the section at an address; the first if there is none.
fn section_at(link: &Link<'_>, address: u64) -> u8 {
    let at = link.outputs.iter().position(|output| (output.address..output.end().max(1)).contains(&address));
    at.and_then(|at| number(u32::try_from(at).ok()?)).unwrap_or(1)
}

/// Whether a local symbol has a name that is not for the assembler and the linker alone.
pub(super) fn is_named_local(object: &Object<'_>, symbol: &Symbol) -> bool {
    !matches!(symbol.kind, SymbolKind::Section | SymbolKind::File)
        && symbol.section() != SymbolSection::Undefined
        && !symbol.traits.has(Traits::DISCARDED)
        && !matches!(object.symbol_name_start(symbol, 1), b"l" | b"L" | b"")
}

/// Whether the image has a symbol for others.
pub(super) fn is_exported(link: &Link<'_>, global: &Global<'_>) -> bool {
    let seen = global.visibility == Visibility::Default && !global.flags.has(GlobalFlags::HIDDEN_BY_OPTION);
    let here = global.is_defined_here()
        && global.flags.common(GlobalFlags::IN_OBJECT.and(GlobalFlags::LEFT_OUT)) == GlobalFlags::IN_OBJECT
        && !matches!(global.definition, Definition::Anchor(_));
    here && seen && link.macho.allowed.allow(global.name)
}

/// Whether the image wants a symbol from others.
pub(super) fn is_import(global: &Global<'_>) -> bool {
    !global.is_defined_here() && global.flags.has(GlobalFlags::IN_OBJECT)
}

/// The addresses of all functions whose sections have addresses, ascending.
pub(super) fn function_addresses(link: &Link<'_>) -> Vec<u64> {
    let ids: Vec<ObjectId> = link.objects().map(|(id, _)| id).collect();
    let lists = link.workers.map(&ids, |id| {
        let object = link.object(*id);
        let mut addresses = Vec::new();
        for symbol in &object.symbols {
            let SymbolSection::In(index) = symbol.section() else { continue };
            let code = object.sections.get(index as usize).is_some_and(|section| {
                section.is_live() && section.flags.has(SectionFlags::EXEC) && symbol.value < section.size
            });
            // Entries in the middle of a function count too, as they do for LLD.
            if code && symbol.kind == SymbolKind::Function {
                addresses.extend(link.address_in(*id, index, symbol.value));
            }
        }
        addresses.sort_unstable();
        addresses
    });
    let mut all = lists.concat();
    // It notices that its input is made of lists in order.
    all.sort();
    all.dedup();
    all
}
