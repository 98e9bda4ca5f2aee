//! The unwind index of an Arm image: the entries of all objects in the order of their code, completed.

use std::collections::BTreeMap;

use object::elf;

use crate::elf::{Table, table_output};
use crate::error::{Error, Errors};
use crate::layout::Content;
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::memory::of_vec;
use crate::model::{ObjectId, Section, SectionFlags, SectionIndex, SymbolIndex, SymbolKind, SymbolSection};
use crate::reloc;
use crate::unwind::exidx::{self, ENTRY_SIZE, Says};

/// A place in a section of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    object: ObjectId,
    section: SectionIndex,
    /// In bytes.
    offset: u64,
}

/// Where an entry's code begins.
#[derive(Debug, Clone, Copy)]
enum Start {
    /// In an input section.
    At(Spot),
    /// With the output section of that number.
    Output(u32),
    /// Behind the output section of that number.
    Behind(u32),
}

/// The entries of the image's index, in order.
#[derive(Debug, Default)]
pub(crate) struct Index {
    rows: Vec<(Start, Says<Spot>)>,
}

impl Index {
    /// Reads the entries of all objects, puts them in the order of their code, which is laid out in its sections, and fills
    /// the gaps between them.
    ///
    /// # Errors
    /// Every malformed section.
    pub(crate) fn new(link: &Link<'_>) -> Result<Self, Errors> {
        // Of each section of code: the offsets at which entries begin, and what they say.
        type Entries = Vec<(u64, Says<Spot>)>;
        let mut by_code: BTreeMap<(ObjectId, SectionIndex), Entries> = BTreeMap::new();
        let mut problems = Vec::new();
        for (id, object) in link.objects() {
            for (index, section) in (0..).zip(&object.sections) {
                if !section.is_live() || !section.flags.has(SectionFlags::EXIDX) {
                    continue;
                }
                match read(link, id, index, section) {
                    Ok(entries) => {
                        for (code, says) in entries {
                            by_code.entry((code.object, code.section)).or_default().push((code.offset, says));
                        }
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        Errors::check(problems)?;
        let mut index = Self::default();
        if by_code.is_empty() {
            return Ok(index);
        }
        let mut last = None;
        let code = SectionFlags::ALLOC.and(SectionFlags::EXEC);
        for (number, output) in (0..).zip(&link.outputs) {
            if !output.flags.has(code) || output.size == 0 {
                continue;
            }
            last = Some(number);
            let Content::Inputs(inputs) = &output.content else {
                index.push(Start::Output(number), Says::CannotUnwind);
                continue;
            };
            for (object, section) in inputs {
                if link.section(*object, *section).size == 0 {
                    continue;
                }
                let spot = |offset| Start::At(Spot { object: *object, section: *section, offset });
                let mut entries = by_code.remove(&(*object, *section)).unwrap_or_default();
                // Assemblers write them in this order.
                entries.sort_by_key(|(offset, _)| *offset);
                if entries.first().is_none_or(|(offset, _)| *offset > 0) {
                    index.push(spot(0), Says::CannotUnwind);
                }
                for (offset, says) in entries {
                    index.push(spot(offset), says);
                }
            }
        }
        if let Some(number) = last {
            // Kept even behind an entry that says the same: it ends the code.
            index.rows.push((Start::Behind(number), Says::CannotUnwind));
        }
        Ok(index)
    }

    fn push(&mut self, start: Start, says: Says<Spot>) {
        if self.rows.last().is_none_or(|(_, before)| !says.repeats(before)) {
            self.rows.push((start, says));
        }
    }

    /// Size of the section, in bytes.
    pub(crate) fn size(&self) -> u64 {
        ENTRY_SIZE.saturating_mul(self.rows.len() as u64)
    }

    /// Bytes of memory that it has taken.
    pub(crate) fn held(&self) -> u64 {
        of_vec(&self.rows)
    }
}

/// Whether the image has an index.
pub(crate) fn is_needed(link: &Link<'_>) -> bool {
    let has = |section: &Section<'_>| section.is_live() && section.flags.has(SectionFlags::EXIDX) && section.size > 0;
    link.objects.iter().any(|object| object.sections.iter().any(has))
}

/// Decides the entries, once the sections of code are in their order, and the size of the section.
///
/// # Errors
/// Every malformed section.
pub(crate) fn fix(link: &mut Link<'_>) -> Result<(), Errors> {
    let Some(number) = link.elf.tables.get(Table::Exidx as usize).copied().flatten() else { return Ok(()) };
    let index = Index::new(link)?;
    if let Some(output) = link.outputs.get_mut(number as usize) {
        output.size = index.size();
    }
    link.elf.unwind_index = index;
    Ok(())
}

/// The entries of a section, each with where its code begins. Those of code that is not in the image are left out.
fn read(
    link: &Link<'_>,
    id: ObjectId,
    index: SectionIndex,
    section: &Section<'_>,
) -> Result<Vec<(Spot, Says<Spot>)>, Error> {
    let object = link.object(id);
    let malformed = |offset: u64, what: &str| {
        let name = String::from_utf8_lossy(section.name);
        Error::malformed(&object.name, format!("{name} (section {index}) at offset 0x{offset:x}: {what}"))
    };
    // What a word refers to, by the relocation at its offset.
    let spot = |symbol: SymbolIndex, addend: i64| {
        let symbol = object.symbols.get(symbol as usize)?;
        let SymbolSection::In(section) = symbol.section() else { return None };
        let state = u64::from(matches!(symbol.kind, SymbolKind::Function | SymbolKind::Ifunc)) & symbol.value;
        let offset = (symbol.value ^ state).checked_add_signed(addend)?;
        Some(Spot { object: id, section, offset })
    };
    let mut relocations = reloc::decode(section, 0..section.relocs.len()).peekable();
    let mut referred = |offset: u64| {
        let mut found = None;
        // Relocations without a field name the personality routines.
        while let Some(raw) = relocations.next_if(|raw| raw.offset <= offset) {
            if raw.kind != elf::R_ARM_NONE.0 {
                found = Some(raw).filter(|raw| raw.offset == offset && raw.kind == elf::R_ARM_PREL31.0);
                if found.is_none() {
                    return Err(malformed(raw.offset, "a relocation that no entry of an unwind index has"));
                }
            }
        }
        Ok(found.map(|raw| (raw.symbol, raw.addend)))
    };
    let mut entries = Vec::new();
    for entry in exidx::entries(&section.data) {
        let entry = entry.map_err(|malformed_| malformed(malformed_.offset, malformed_.what))?;
        let function = referred(entry.offset)?.and_then(|(symbol, addend)| spot(symbol, addend));
        let table = referred(entry.second())?.map(|(symbol, addend)| spot(symbol, addend));
        let code = function.ok_or_else(|| malformed(entry.offset, "an entry without a function of this object"))?;
        let says = match (entry.says, table) {
            (_, Some(Some(table))) => Says::Table(table),
            (Says::CannotUnwind, None) => Says::CannotUnwind,
            (Says::Inline(word), None) => Says::Inline(word),
            _ => return Err(malformed(entry.second(), "an entry without a table of this object")),
        };
        if object.sections.get(code.section as usize).is_some_and(Section::is_live) {
            entries.push((code, says));
        }
    }
    Ok(entries)
}

/// The bytes of the index, once addresses are fixed.
///
/// # Errors
/// If code or its tables are out of reach.
pub(crate) fn bytes(link: &Link<'_>) -> Result<Vec<u8>, Error> {
    let Some(output) = table_output(link, Table::Exidx) else { return Ok(Vec::new()) };
    let address = |spot: &Spot| link.address_in(spot.object, spot.section, spot.offset).unwrap_or(0);
    let numbered = |number: &u32| link.outputs.get(*number as usize);
    let mut bytes = Vec::new();
    let mut rows: Vec<&(Start, Says<Spot>)> = link.elf.unwind_index.rows.iter().collect();
    if let (true, [first, second, ..]) = (malfunction::on(Malfunction::ArmIndexUnsorted), rows.as_mut_slice()) {
        std::mem::swap(first, second);
    }
    for (start, says) in rows {
        let function = match start {
            Start::At(spot) => address(spot),
            Start::Output(number) => numbered(number).map_or(0, |output| output.address),
            Start::Behind(number) => numbered(number).map_or(0, |output| output.end()),
        };
        let says = match says {
            Says::CannotUnwind => Says::CannotUnwind,
            Says::Inline(word) => Says::Inline(*word),
            Says::Table(spot) => Says::Table(address(spot)),
        };
        let place = output.address.saturating_add(bytes.len() as u64);
        let entry = exidx::encode(place, function, says).ok_or_else(|| Error::Limit {
            name: "reach of .ARM.exidx",
            what: "the distance from an entry of the unwind index to its function or table, in bytes".to_owned(),
            wanted: match says {
                Says::Table(table) => table.abs_diff(place).max(function.abs_diff(place)),
                _ => function.abs_diff(place),
            },
            limit: 0x3fff_ffff,
        })?;
        bytes.extend(entry);
    }
    Ok(bytes)
}
