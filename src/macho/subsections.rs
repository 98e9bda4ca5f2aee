//! Dividing sections, so that what nothing refers to can be left out part by part (`-dead_strip`), and so can
//! [copies] of weak definitions.
//!
//! Compilers put all functions of a source file into one section, and promise by a flag of the object
//! (`MH_SUBSECTIONS_VIA_SYMBOLS`) that the parts which begin with a symbol each stand for themselves: no code runs or reaches
//! from one into the next. Sections of strings and of constants of one size have no symbols for their elements; they are
//! divided where something refers to. Each part becomes a [`Section`] of the object, with a symbol of its own for relocations
//! that name sections (see [`parse`](super::parse)), and nothing that comes after knows that it has been part of another.
//!
//! What is subtracted in a relocation may be an address of a section of which only the section is told. Such sections stay
//! whole, and so do `__eh_frame`, whose records refer to each other, and all that is not loaded.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;

use object::macho;

use super::relocs::{self, Encoding, Meant, Named};
use super::{ObjectInfo, copies, objc, other};
use crate::link::Link;
use crate::model::{
    Object, ObjectId, ObjectInfo as Info, RelocEncoding, Relocs, Section, SectionFlags, SectionIndex, Symbol,
    SymbolIndex, SymbolKind, SymbolSection,
};
use crate::symbols::Symbols;

/// The most symbols of an object, those of sections included: relocations have 24 bits for their numbers.
const SYMBOLS: usize = (1 << 24) - 1;

/// Divides the sections of all objects that allow it, and marks what is to be kept for a symbol's sake.
pub(crate) fn divide(link: &mut Link<'_>) {
    let symbols = &link.symbols;
    link.workers.for_each_mut(&mut link.objects, |number, object| {
        divide_object(object);
        retain(object, ObjectId(u32::try_from(number).unwrap_or(u32::MAX)), symbols);
    });
}

/// Divides the sections of an object, if it allows that.
pub(super) fn divide_object(object: &mut Object<'_>) {
    if let Some(division) = Division::new(object) {
        division.carry_out(object);
    }
}

/// Marks the sections of symbols that ask for it, but not those of copies that have given way to other definitions, and takes the
/// mark from those that have such copies alone.
fn retain(object: &mut Object<'_>, id: ObjectId, symbols: &Symbols<'_>) {
    for (symbol, index) in object.symbols.iter().zip(0..) {
        if symbol.other & (other::NO_DEAD_STRIP | other::REFERENCED_DYNAMICALLY) != 0
            && !copies::is_copy(symbols, (id, index), symbol)
            && let SymbolSection::In(index) = symbol.section()
            && let Some(section) = object.sections.get_mut(index as usize)
        {
            section.flags.set(SectionFlags::RETAIN);
        }
    }
    if symbols.has_copies() && copies::has_copies(symbols, id, object) {
        for index in copies::copies(symbols, id, object) {
            if let Some(section) = object.sections.get_mut(index as usize) {
                section.flags = section.flags.without(SectionFlags::RETAIN);
            }
        }
    }
}

/// Where an object's sections are divided.
struct Division {
    /// For each section, the number of its first part, and the offsets at which its parts begin, ascending: 0 is the first.
    parts: Vec<(SectionIndex, Vec<u64>)>,
}

impl Division {
    /// Decides it; there is none for objects that do not allow it.
    fn new(object: &Object<'_>) -> Option<Self> {
        let info = object.info.macho().filter(|info| info.divisible)?;
        let mut starts: Vec<Option<Vec<u64>>> = object.sections.iter().map(may_divide).collect();
        for symbol in &object.symbols {
            let inside = symbol.other & other::ALT_ENTRY != 0 || symbol.kind == SymbolKind::Section;
            if let SymbolSection::In(index) = symbol.section()
                && !inside
                && let Some(Some(starts)) = starts.get_mut(index as usize)
            {
                starts.push(symbol.value);
            }
        }
        let mut together: Vec<Vec<(u64, u64)>> = vec![Vec::new(); starts.len()];
        for section in &object.sections {
            for named in naming_sections(section) {
                let Some(place) = starts.get_mut(named.number as usize) else { continue };
                match meant(info, &object.symbols, section, &named) {
                    Some(address) => {
                        let to = object.sections.get(named.number as usize);
                        let to = to.filter(|to| elements(to) != Elements::Other);
                        if let (Some(starts), Some(to)) = (place.as_mut(), to) {
                            let offset = address.wrapping_sub(info.address(named.number));
                            starts.push(offset);
                            let other = offset.wrapping_add(doubt(info, &object.symbols, section, &named));
                            if other != offset
                                && begins_element(to, other)
                                && let Some(together) = together.get_mut(named.number as usize)
                            {
                                together.push((offset.min(other), offset.max(other)));
                            }
                        }
                    }
                    // What debuggers read is no reason.
                    None if section.flags.has(SectionFlags::ALLOC) => *place = None,
                    None => {}
                }
            }
        }
        let mut parts = Vec::with_capacity(starts.len());
        let mut next: SectionIndex = 0;
        for ((starts, together), section) in starts.into_iter().zip(together).zip(&object.sections) {
            let starts = starts_of_parts(section, starts.unwrap_or_default(), together);
            let count = SectionIndex::try_from(starts.len()).ok()?;
            parts.push((next, starts));
            next = next.checked_add(count)?;
        }
        let divided = next as usize > object.sections.len();
        let fits = (next as usize).checked_add(info.symbols as usize).is_some_and(|all| all <= SYMBOLS);
        (divided && fits).then_some(Self { parts })
    }

    /// The part of a section that has an offset, or is the nearest to it; and where it begins.
    fn find(&self, section: SectionIndex, offset: u64) -> Option<(SectionIndex, u64)> {
        let (first, starts) = self.parts.get(section as usize)?;
        let number = starts.partition_point(|start| *start <= offset).saturating_sub(1);
        Some((first.saturating_add(SectionIndex::try_from(number).ok()?), *starts.get(number)?))
    }

    /// The part that an entry of a table of `section` names.
    fn part_named(&self, info: &ObjectInfo, symbols: &[Symbol], section: &Section<'_>, named: &Named) -> Option<u32> {
        // Where that is not known, the section is in one part, or what refers to it is for debuggers; and what is before the
        // section belongs to its first part.
        let address = meant(info, symbols, section, named).unwrap_or(0);
        let offset = address.saturating_sub(info.address(named.number));
        self.find(named.number, offset).map(|(part, _)| part)
    }

    /// Divides the object's sections, and has symbols and relocations mean the parts.
    fn carry_out(&self, object: &mut Object<'_>) {
        let Info::MachO(info) = &mut object.info else { return };
        let old = std::mem::take(&mut object.sections);
        let mut addresses = Vec::new();
        let mut segments = Vec::new();
        for ((mut section, (_, starts)), index) in old.into_iter().zip(&self.parts).zip(0_u32..) {
            self.renumber(info, &object.symbols, &mut section);
            let mut ends = starts.iter().skip(1).copied().chain([section.size]);
            for start in starts {
                let end = ends.next().unwrap_or(section.size);
                if index > 0 {
                    addresses.push(info.address(index).saturating_add(*start));
                    segments.extend(info.segments.get((index as usize).saturating_sub(1)));
                }
                if starts.len() > 1 {
                    object.sections.push(part(&section, *start, end));
                }
            }
            if starts.len() == 1 {
                object.sections.push(section);
            }
        }
        object.symbols.truncate(info.symbols as usize);
        for symbol in &mut object.symbols {
            if let SymbolSection::In(index) = symbol.section()
                && let Some((part, start)) = self.find(index, symbol.value)
            {
                symbol.move_to(part, symbol.value.saturating_sub(start));
            }
        }
        object
            .symbols
            .extend(addresses.iter().zip(1_u32..).map(|(address, number)| super::section_symbol(number, *address)));
        (info.addresses, info.segments) = (addresses, segments);
        let parts = self.parts.iter().flat_map(|(first, starts)| starts.iter().map(|start| (*first, *start)));
        info.wholes = parts.collect();
    }

    /// Has the relocations of a section name parts.
    fn renumber(&self, info: &ObjectInfo, symbols: &[Symbol], section: &mut Section<'_>) {
        let numbers: Vec<(usize, u32)> = naming_sections(section)
            .map(|named| (named.index, self.part_named(info, symbols, section, &named).unwrap_or(0)))
            .collect();
        if !numbers.is_empty() {
            let table = section.relocs.bytes.to_mut();
            numbers.into_iter().for_each(|(index, number)| relocs::renumber(table, index, number));
        }
    }
}

/// The offsets at which a section begins anew, none so far, if it may be divided.
fn may_divide(section: &Section<'_>) -> Option<Vec<u64>> {
    let lists = [macho::S_MOD_INIT_FUNC_POINTERS, macho::S_MOD_TERM_FUNC_POINTERS];
    let whole =
        section.flags.has(SectionFlags::EH_FRAME) || lists.contains(&kind(section)) || objc::is_description(section);
    (section.is_live() && section.flags.has(SectionFlags::ALLOC) && !whole).then(Vec::new)
}

fn kind(section: &Section<'_>) -> macho::SectionType {
    macho::SectionType((section.kind & macho::SECTION_TYPE).to_le_bytes()[0])
}

/// What a section is a row of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Elements {
    /// Strings that end in NUL.
    Strings,
    /// Constants of so many bytes.
    Constants(u64),
    /// What symbols begin.
    Other,
}

fn elements(section: &Section<'_>) -> Elements {
    match kind(section) {
        macho::S_CSTRING_LITERALS => Elements::Strings,
        macho::S_4BYTE_LITERALS => Elements::Constants(4),
        macho::S_8BYTE_LITERALS => Elements::Constants(8),
        macho::S_16BYTE_LITERALS => Elements::Constants(16),
        _ => Elements::Other,
    }
}

/// Whether an element of a section begins at an offset, in bytes.
fn begins_element(section: &Section<'_>, offset: u64) -> bool {
    let before = || offset.checked_sub(1).and_then(|last| section.data.get(usize::try_from(last).ok()?));
    offset < section.size
        && match elements(section) {
            Elements::Strings => offset == 0 || before() == Some(&0),
            Elements::Constants(size) => offset.is_multiple_of(size),
            Elements::Other => false,
        }
}

/// The offsets at which a section's parts begin, ascending, given some in them; and pairs of offsets, the lower one first, that
/// are to be in one part.
fn starts_of_parts(section: &Section<'_>, mut offsets: Vec<u64>, mut together: Vec<(u64, u64)>) -> Vec<u64> {
    offsets.push(0);
    offsets.sort_unstable();
    offsets.dedup();
    offsets.retain(|offset| *offset == 0 || *offset < section.size);
    match elements(section) {
        Elements::Strings => {
            let (mut last, mut start) = (0, 0);
            for offset in &mut offsets {
                let at = usize::try_from(*offset).unwrap_or(usize::MAX);
                // A string begins behind the end of another, which is looked for from the last place on.
                let between = section.data.get(last..at).unwrap_or_default();
                if let Some(end) = memchr::memrchr(0, between) {
                    start = last.saturating_add(end).saturating_add(1);
                }
                (last, *offset) = (at, start as u64);
            }
        }
        Elements::Constants(size) => {
            offsets
                .iter_mut()
                .for_each(|offset| *offset = offset.saturating_sub(offset.checked_rem(size).unwrap_or(0)));
        }
        Elements::Other => {}
    }
    together.sort_unstable();
    let (mut together, mut reach) = (together.into_iter().peekable(), 0);
    offsets.retain(|offset| {
        while let Some((_, last)) = together.next_if(|(first, _)| first < offset) {
            reach = reach.max(last);
        }
        *offset == 0 || *offset > reach
    });
    offsets.dedup();
    offsets.shrink_to_fit();
    offsets
}

fn encoding(section: &Section<'_>) -> Option<Encoding> {
    match section.relocs.encoding {
        RelocEncoding::MachO(encoding) => Some(encoding),
        _ => None,
    }
}

/// The entries of a section's table that name sections.
fn naming_sections(section: &Section<'_>) -> impl Iterator<Item = Named> {
    let encoding = encoding(section);
    let entries = encoding.map(|encoding| relocs::naming_sections(&section.relocs.bytes, encoding, &section.data));
    entries.into_iter().flatten()
}

/// The address in the object that an entry of a section's table means, if that is known.
fn meant(info: &ObjectInfo, symbols: &[Symbol], section: &Section<'_>, named: &Named) -> Option<u64> {
    // Distances in unwind records count from their fields.
    let frames = encoding(section).filter(|_| section.flags.has(SectionFlags::EH_FRAME));
    let field = frames.map(|encoding| encoding.address.wrapping_add(named.offset));
    match (named.meant, field) {
        (Meant::Address(address), _) => Some(address),
        (Meant::Less { stored, symbol }, Some(field)) => {
            let behind = field.wrapping_sub(object_address(info, symbols, symbol));
            Some(behind.wrapping_add_signed(stored))
        }
        // Compilers count from where a table begins, which has a symbol; or from elsewhere: see `doubt`.
        (Meant::Less { stored, .. }, None) => Some(stored.cast_unsigned()),
        (Meant::Difference(stored), Some(field)) => Some(field.wrapping_add_signed(stored)),
        (Meant::Difference(_), None) => None,
    }
}

/// How far from the address that an entry is taken to mean there is another one that it may mean just as well. The relocations
/// of a distance from where a table begins, as LLVM makes tables of strings, are those of one from the field, as Swift's.
fn doubt(info: &ObjectInfo, symbols: &[Symbol], section: &Section<'_>, named: &Named) -> u64 {
    match (named.meant, encoding(section)) {
        (Meant::Less { symbol, .. }, Some(encoding)) if !section.flags.has(SectionFlags::EH_FRAME) => {
            encoding.address.wrapping_add(named.offset).wrapping_sub(object_address(info, symbols, symbol))
        }
        _ => 0,
    }
}

/// The address of a symbol in its object.
fn object_address(info: &ObjectInfo, symbols: &[Symbol], index: SymbolIndex) -> u64 {
    let Some(symbol) = symbols.get(index as usize) else { return 0 };
    match symbol.section() {
        SymbolSection::In(section) => info.address(section).wrapping_add(symbol.value),
        _ => 0,
    }
}

/// The part of a section from offset `start` to `end`.
fn part<'a>(section: &Section<'a>, start: u64, end: u64) -> Section<'a> {
    let range = usize::try_from(start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
    let data = match &section.data {
        Cow::Borrowed(data) => Cow::Borrowed(data.get(range).unwrap_or_default()),
        Cow::Owned(data) => Cow::Owned(data.get(range).unwrap_or_default().to_vec()),
    };
    let encoding = match section.relocs.encoding {
        RelocEncoding::MachO(encoding) => {
            RelocEncoding::MachO(Encoding { address: encoding.address.wrapping_add(start), ..encoding })
        }
        other => other,
    };
    Section {
        name: section.name,
        data,
        size: end.saturating_sub(start),
        // As its offset is.
        align: if start == 0 { section.align } else { section.align.min(1 << start.trailing_zeros().min(63)) },
        flags: section.flags,
        kind: section.kind,
        entry_size: section.entry_size,
        linked: section.linked,
        relocs: Relocs { bytes: Cow::Owned(relocs::part(&section.relocs.bytes, start..end)), encoding },
        fate: section.fate,
        output: Section::NOWHERE,
        offset: 0,
    }
}

#[cfg(test)]
mod tests;
