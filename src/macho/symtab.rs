//! The symbol table: every symbol of every object, so that debuggers and stack traces find functions by name.
//!
//! Its order is fixed by `LC_DYSYMTAB`: what is for debuggers ([`stabs`]) and local symbols, then what the
//! image has for others, then what it wants from others. It is made in parts, each from a stretch of one object's symbols or
//! of the global ones, when it is written: nothing of it is held.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod strings;

pub(super) use strings::{NO_NAME, Strings};

use super::linkedit;
use super::stabs::{self, Mapped};
use super::{TABLES, desc as bits, other};
use crate::error::Error;
use crate::image::{Extent, Source};
use crate::link::Link;
use crate::memory::of_vec;
use crate::model::{GlobalId, Object, ObjectId, SectionFlags, Symbol, SymbolKind, SymbolSection, Traits, Visibility};
use crate::options::Strip;
use crate::symbols::{Definition, Global, GlobalFlags};

/// `N_EXT`, `N_PEXT`, `N_SECT`, `N_ABS`, `N_UNDF`
const EXTERNAL: u8 = 0x01;
const PRIVATE: u8 = 0x10;
const IN_SECTION: u8 = 0x0e;
const ABSOLUTE: u8 = 0x02;
/// The number of input symbols that a part is made from, at most: parts are small beside the chunks of a file, since one that
/// stands in two chunks is made twice.
const PART: usize = 1 << 11;

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

/// The file that a symbol table is in.
#[derive(Debug, Clone, Copy)]
pub(super) enum File {
    /// The image.
    Image,
    /// The dSYM.
    Dsym,
}

impl File {
    /// What the file's symbol table is called among the tables that are made when they are written: a number behind those of
    /// the tables that are sections.
    pub(super) fn table(self) -> u16 {
        (TABLES.len() as u16).saturating_add(self as u16)
    }
}

/// The plan of a symbol table.
#[derive(Debug, Default)]
pub(crate) struct SymbolTable {
    /// The parts, in order, with the number of entries that each gives.
    parts: Vec<(Part, u32)>,
    /// The numbers of entries that are local, of those for others, and of those from others.
    pub(super) counts: [u32; 3],
    /// Entries that are for the debug map only.
    fixed: Vec<Entry>,
    /// The objects of the debug map.
    mapped: Vec<Mapped>,
    /// The strings.
    pub(super) strings: Strings,
}

/// What a part of the table is made from. The numbers are the first and the end of a stretch.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Of [`SymbolTable::fixed`].
    Fixed(u32, u32),
    /// Of the symbols of the object with this number in [`SymbolTable::mapped`], as debuggers want them.
    Mapped(u32, u32, u32),
    /// Of an object's symbols: those that are known in their object, or in the image, only.
    Locals(ObjectId, u32, u32),
    /// Of the global symbols: common ones for this image only, which are in no object any more.
    Commons(u32, u32),
    /// Of the global symbols: what the image has for others.
    Exports(u32, u32),
    /// Of the global symbols: what it wants from others.
    Imports(u32, u32),
}

/// The stretches of so many symbols.
fn stretches(count: usize) -> impl Iterator<Item = (u32, u32)> {
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    (0..count).step_by(PART).map(move |first| (number(first), number(count.min(first.saturating_add(PART)))))
}

impl SymbolTable {
    /// Decides which symbols the table of an image has.
    ///
    /// # Errors
    /// If the names take more than 4 GiB.
    pub(super) fn new(link: &Link<'_>) -> Result<Self, Error> {
        let mut table = Self { strings: Strings::new(link), ..Self::default() };
        let debug_map = link.options.strip == Strip::None && link.options.macho.debug_map;
        if debug_map && link.options.macho.dsym.is_none() {
            table.add_debug_map(link);
        }
        let globals = || stretches(link.symbols.len());
        let mut parts = Vec::new();
        if link.options.strip != Strip::All && !link.options.macho.strip_locals {
            parts.extend(locals(link));
        }
        parts.extend(globals().map(|(first, end)| Part::Exports(first, end)));
        parts.extend(globals().map(|(first, end)| Part::Imports(first, end)));
        table.add(link, &parts);
        let mut table = table.finish(link)?;
        if link.options.gc_sections || link.options.macho.strip_locals || link.options.strip == Strip::All {
            table.leave_names_out(link);
        }
        Ok(table)
    }

    /// Has the string table be of the names that the entries have.
    fn leave_names_out(&mut self, link: &Link<'_>) {
        let names = link.workers.map(&self.parts, |(part, _)| {
            let mut names = Vec::new();
            self.visit(link, *part, |_, entry| names.push(entry.name));
            names
        });
        self.strings.leave_out(link, names.concat());
    }

    /// Decides on the table of a file for debuggers: every symbol that the image defines, local ones included.
    ///
    /// # Errors
    /// If the names take more than 4 GiB.
    pub(super) fn for_debuggers(link: &Link<'_>) -> Result<Self, Error> {
        let mut table = Self { strings: Strings::new(link), ..Self::default() };
        let exports = stretches(link.symbols.len()).map(|(first, end)| Part::Exports(first, end));
        let parts: Vec<Part> = locals(link).chain(exports).collect();
        table.add(link, &parts);
        table.finish(link)
    }

    fn finish(mut self, link: &Link<'_>) -> Result<Self, Error> {
        self.strings = self.strings.finish(link)?;
        for (part, count) in &self.parts {
            let kind = match part {
                Part::Fixed(..) | Part::Mapped(..) | Part::Locals(..) | Part::Commons(..) => 0,
                Part::Exports(..) => 1,
                Part::Imports(..) => 2,
            };
            if let Some(all) = self.counts.get_mut(kind) {
                *all = all.saturating_add(*count);
            }
        }
        Ok(self)
    }

    /// Adds what leads to the objects with the DWARF.
    fn add_debug_map(&mut self, link: &Link<'_>) {
        let objects = stabs::mapped(link);
        let mut parts = Vec::new();
        for (object, number) in objects.iter().zip(0_u32..) {
            let count = link.object(object.id).symbols.len();
            parts.extend(stretches(count).map(|(first, end)| Part::Mapped(number, first, end)));
        }
        self.mapped = objects;
        let counts = link.workers.map(&parts, |part| self.count(link, *part));
        let mut last = None;
        for (part, count) in parts.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            if let Part::Mapped(number, ..) = part
                && last != Some(number)
                && let Some(object) = self.mapped.get(number as usize)
            {
                let head = object.head(link, &mut self.strings);
                let end = last.map(|_| stabs::END);
                self.add_fixed(end.into_iter().chain(head));
                last = Some(number);
            }
            self.parts.push((part, count));
        }
        let paths = link.options.macho.ast_paths.iter().map(|path| stabs::module(self.strings.add(path.as_bytes())));
        let tail: Vec<Entry> = last.map(|_| stabs::END).into_iter().chain(paths).collect();
        self.add_fixed(tail);
    }

    fn add_fixed(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let first = number(self.fixed.len());
        self.fixed.extend(entries);
        let end = number(self.fixed.len());
        self.parts.push((Part::Fixed(first, end), end.saturating_sub(first)));
    }

    /// Adds those of `parts` that give entries.
    fn add(&mut self, link: &Link<'_>, parts: &[Part]) {
        let counts = link.workers.map(parts, |part| self.count(link, *part));
        self.parts.extend(parts.iter().copied().zip(counts).filter(|(_, count)| *count > 0));
    }

    /// The number of its entries.
    pub(super) fn count_all(&self) -> u32 {
        self.counts.iter().fold(0, |all, count| all.saturating_add(*count))
    }

    /// Its size, in bytes.
    pub(super) fn size(&self) -> u64 {
        u64::from(self.count_all()).saturating_mul(Entry::SIZE as u64)
    }

    /// Bytes of memory that the plan takes.
    pub(super) fn held(&self) -> u64 {
        let mapped = self.mapped.iter().fold(of_vec(&self.mapped), |all, object| all.saturating_add(object.held()));
        let own = [of_vec(&self.parts), of_vec(&self.fixed), self.strings.held()];
        own.into_iter().fold(mapped, u64::saturating_add)
    }

    /// Appends the table, which starts at a file offset, to `extents`.
    pub(super) fn emit(&self, file: File, offset: u64, extents: &mut Vec<Extent>) {
        let mut offset = offset;
        for ((_, count), number) in self.parts.iter().zip(0_u32..) {
            let size = u64::from(*count).saturating_mul(Entry::SIZE as u64);
            extents.push(Extent { offset, size, source: Source::Table(file.table(), number) });
            offset = offset.saturating_add(size);
        }
    }

    /// Makes a part.
    pub(super) fn make(&self, link: &Link<'_>, part: u32) -> Vec<u8> {
        let Some((part, count)) = self.parts.get(part as usize) else { return Vec::new() };
        let mut bytes = Vec::with_capacity((*count as usize).saturating_mul(Entry::SIZE));
        self.visit(link, *part, |_, entry| Entry { name: self.strings.place(entry.name), ..entry }.write(&mut bytes));
        bytes
    }

    /// The index of each of the global symbols `wanted`, which ascend, if the image has it for others or wants it from them.
    pub(super) fn indices(&self, link: &Link<'_>, wanted: &[GlobalId]) -> Vec<Option<u32>> {
        let mut indices = vec![None; wanted.len()];
        let mut start = 0_u32;
        for (part, count) in &self.parts {
            if let Part::Exports(first, end) | Part::Imports(first, end) = part {
                let within = |id: u32| wanted.partition_point(|wanted| wanted.0 < id);
                if within(*first) < within(*end) {
                    let mut index = start;
                    self.visit(link, *part, |id, _| {
                        let at = id.and_then(|id| wanted.binary_search(&id).ok());
                        if let Some(place) = at.and_then(|at| indices.get_mut(at)) {
                            *place = Some(index);
                        }
                        index = index.saturating_add(1);
                    });
                }
            }
            start = start.saturating_add(*count);
        }
        indices
    }

    fn count(&self, link: &Link<'_>, part: Part) -> u32 {
        let mut count = 0_u32;
        self.visit(link, part, |_, _| count = count.saturating_add(1));
        count
    }

    /// Has `add` called for each entry of a part, in order, with the global symbol where it is taken from these.
    fn visit(&self, link: &Link<'_>, part: Part, mut add: impl FnMut(Option<GlobalId>, Entry)) {
        let globals = |first: u32, end: u32| (first..end).map(GlobalId).map(|id| (id, link.symbols.get(id)));
        match part {
            Part::Fixed(first, end) => {
                let entries = self.fixed.get(first as usize..end as usize).unwrap_or_default();
                entries.iter().for_each(|entry| add(None, *entry));
            }
            Part::Mapped(number, first, end) => {
                let Some(object) = self.mapped.get(number as usize) else { return };
                object.visit(link, (first, end), &self.strings, |entry| add(None, entry));
            }
            Part::Locals(id, first, end) => self.visit_locals(link, id, (first, end), |entry| add(None, entry)),
            Part::Commons(first, end) => {
                for (id, global) in globals(first, end) {
                    if !matches!(global.definition, Definition::Allotted(..)) || is_exported(link, global) {
                        continue;
                    }
                    if let Some(entry) = self.entry(link, id, global) {
                        add(Some(id), Entry { kind: (entry.kind & !EXTERNAL) | PRIVATE, ..entry });
                    }
                }
            }
            Part::Exports(first, end) => {
                for (id, global) in globals(first, end).filter(|(_, global)| is_exported(link, global)) {
                    self.entry(link, id, global).into_iter().for_each(|entry| add(Some(id), entry));
                }
            }
            Part::Imports(first, end) => {
                for (id, global) in globals(first, end).filter(|(_, global)| is_import(global)) {
                    self.entry(link, id, global).into_iter().for_each(|entry| add(Some(id), entry));
                }
            }
        }
    }

    /// Has `add` called for the symbols of a stretch of an object's that are known in their object, or in the image, only.
    fn visit_locals(&self, link: &Link<'_>, id: ObjectId, (first, end): (u32, u32), mut add: impl FnMut(Entry)) {
        let object = link.object(id);
        let symbols = object.symbols.get(first as usize..end as usize).unwrap_or_default();
        for (symbol, index) in symbols.iter().zip(first..) {
            let (kind, name) = match symbol.global.get() {
                None if is_named_local(object, symbol) => (0, object.symbol_name(symbol)),
                None => continue,
                Some(global) => {
                    let global = link.symbols.get(global);
                    if global.definition != Definition::Object(id, index) || is_exported(link, global) {
                        continue;
                    }
                    (PRIVATE, global.name)
                }
            };
            if !link.macho.named_locals.allow(name) {
                continue;
            }
            let Some((place, section, value)) = place_of(link, id, symbol) else { continue };
            let name = match symbol.global.get() {
                // What the linker makes has its name where it is mentioned.
                Some(global) if symbol.name == u32::MAX => self.name(link, global, link.symbols.get(global)),
                _ => self.strings.name(id, symbol),
            };
            add(Entry { name, kind: kind | place, section, desc: desc(symbol), value });
        }
    }

    /// The offset of the name of a global symbol.
    fn name(&self, link: &Link<'_>, id: GlobalId, global: &Global<'_>) -> u32 {
        let mention = global.mention.and_then(|(id, index)| Some((id, link.object(id).symbols.get(index as usize)?)));
        match mention {
            Some((id, symbol)) => self.strings.name(id, symbol),
            None => self.strings.own_name(id),
        }
    }

    /// The entry of a global symbol.
    fn entry(&self, link: &Link<'_>, id: GlobalId, global: &Global<'_>) -> Option<Entry> {
        let mention = global.mention.and_then(|(id, index)| {
            let symbol = link.object(id).symbols.get(index as usize)?;
            Some((id, symbol))
        });
        let name = self.name(link, id, global);
        if is_import(global) {
            let [library, ..] = linkedit::library_ordinal(link, global).to_le_bytes();
            let weak = if linkedit::is_weak_import(link, global) { bits::WEAK_REFERENCE } else { 0 };
            // N_REF_TO_WEAK, which is the same bit.
            let coalesced = if super::is_coalesced(link, global) { bits::WEAK_DEFINITION } else { 0 };
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
        let weak = if global.flags.has(GlobalFlags::WEAK_DEFINITION) { bits::WEAK_DEFINITION } else { 0 };
        let desc = mention.map_or(0, |(_, symbol)| desc(symbol)) | weak;
        Some(Entry { name, kind: EXTERNAL | place, section, desc, value })
    }
}

/// Stretches of all symbols that are known in their objects, or in the image, only.
fn locals(link: &Link<'_>) -> impl Iterator<Item = Part> {
    let of_object = |(id, object): (ObjectId, &Object<'_>)| {
        stretches(object.symbols.len()).map(move |(first, end)| Part::Locals(id, first, end))
    };
    let commons = stretches(link.symbols.len()).map(|(first, end)| Part::Commons(first, end));
    link.objects().flat_map(of_object).chain(commons)
}

fn desc(symbol: &Symbol) -> u16 {
    let bits = [(other::ALT_ENTRY, bits::ALT_ENTRY), (other::REFERENCED_DYNAMICALLY, bits::REFERENCED_DYNAMICALLY)];
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

/// Whether the image passes a symbol of a library on to others.
pub(super) fn is_reexported(link: &Link<'_>, global: &Global<'_>) -> bool {
    let of_library = matches!(global.definition, Definition::Library(..)) && is_import(global);
    of_library && link.macho.allowed.asks_for(global.name) && linkedit::library_ordinal(link, global) > 0
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
