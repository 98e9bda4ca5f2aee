//! DWARF debug information: unpacking and packing it, and asking it where a message points to in the sources.
//!
//! A failing pass may find a problem in every relocation of a large object, and asking symbols and DWARF for the function
//! and the line takes a walk through them. So [`place`] only notes where a problem is, and [`check`] asks for the few that
//! will be told.

pub(crate) mod compress;
pub(crate) mod source_lines;

use std::collections::BTreeMap;

use gimli::SectionId;

use crate::elf::relocs;
use crate::error::{Error, Errors, Place};
use crate::link::Link;
use crate::model::{Object, ObjectId, SectionFlags, SectionIndex, SymbolSection};
use crate::options::Arch;
use crate::reloc::Value;
use source_lines::{SourceLines, SourcePosition};

/// The most debug information of one object that is copied to ask it, in bytes.
const SIZE_LIMIT: usize = 512 << 20;

/// Where an offset of an input section stands, for a message: without function and source.
pub(crate) fn place(link: &Link<'_>, id: ObjectId, section: SectionIndex, offset: u64) -> Place {
    let object = link.object(id);
    let name = object.sections.get(section as usize).map(|section| section.name).unwrap_or_default();
    Place {
        file: object.name.to_string(),
        section: String::from_utf8_lossy(name).into_owned(),
        offset,
        origin: Some((id, section)),
        ..Place::default()
    }
}

/// As [`Errors::check`], with the problems in the order of the inputs, and their places with function and source.
///
/// # Errors
/// The problems, if there are any.
pub(crate) fn check(link: &Link<'_>, mut problems: Vec<Error>) -> Result<(), Errors> {
    // Threads find them in any order.
    problems.sort_by_key(|problem| problem.places().next().map(|place| (place.origin, place.offset)));
    Errors::check(problems).map_err(|mut errors| {
        explain(link, errors.problems_mut());
        errors
    })
}

fn explain(link: &Link<'_>, problems: &mut [Error]) {
    let mut by_object: BTreeMap<ObjectId, Vec<(SectionIndex, &mut Place)>> = BTreeMap::new();
    for place in problems.iter_mut().flat_map(Error::places_mut) {
        if let Some((object, section)) = place.origin {
            by_object.entry(object).or_default().push((section, place));
        }
    }
    for (id, places) in by_object {
        let object = link.object(id);
        let sections = relocated(object, link.target.arch);
        let mut lines = SourceLines::new(|id| sections.get(id.name()).map_or(&[], Vec::as_slice));
        for (section, place) in places {
            let address = base(section).and_then(|base| base.checked_add(place.offset));
            let function = object.symbol_at(section, place.offset);
            place.function = function.map(|name| String::from_utf8_lossy(name).into_owned());
            if let Some(address) = address {
                place.function = place.function.take().or_else(|| lines.function(address));
                let position = lines.position(address);
                place.source = position.map(|SourcePosition { file, line }| format!("{file}:{line}"));
            }
        }
    }
}

/// An address for each loaded section of an object, so that none overlap: 64 GiB each.
fn base(section: SectionIndex) -> Option<u64> {
    u64::from(section).checked_add(1)?.checked_mul(1 << 36)
}

/// Copies of an object's debug sections, with loaded sections at their [`base`] and others at 0.
fn relocated(object: &Object<'_>, arch: Arch) -> BTreeMap<&'static str, Vec<u8>> {
    const READ: [SectionId; 9] = [
        SectionId::DebugAbbrev,
        SectionId::DebugAddr,
        SectionId::DebugInfo,
        SectionId::DebugLine,
        SectionId::DebugLineStr,
        SectionId::DebugRanges,
        SectionId::DebugRngLists,
        SectionId::DebugStr,
        SectionId::DebugStrOffsets,
    ];
    let mut copies = BTreeMap::new();
    let mut left = SIZE_LIMIT;
    for section in object.sections.iter().filter(|section| section.flags.has(SectionFlags::DEBUG)) {
        let Some(id) = READ.iter().find(|id| id.name().as_bytes() == section.name) else { continue };
        let Some(rest) = left.checked_sub(section.data.len()) else { return BTreeMap::new() };
        left = rest;
        let mut copy = section.data.to_vec();
        for raw in relocs::decode(&section.relocs, 0..section.relocs.len()) {
            let Some(reloc) = relocs::understand(arch, raw).filter(|reloc| reloc.value == Value::Absolute) else {
                continue;
            };
            let Some(symbol) = object.symbols.get(raw.symbol as usize) else { continue };
            let start = match symbol.section() {
                SymbolSection::In(index) => {
                    let loaded =
                        object.sections.get(index as usize).is_some_and(|to| to.flags.has(SectionFlags::ALLOC));
                    if loaded { base(index).unwrap_or(u64::MAX) } else { 0 }
                }
                _ => 0,
            };
            let value = start.wrapping_add(symbol.value).wrapping_add_signed(raw.addend).cast_signed();
            let field = usize::try_from(raw.offset).ok().and_then(|offset| copy.get_mut(offset..));
            // What does not fit its section is left as it is: DWARF is asked for help only.
            let _ = field.and_then(|field| reloc.field.store(field, value));
        }
        // An object has one section of each name; of several, as groups bring, the first.
        copies.entry(id.name()).or_insert(copy);
    }
    copies
}
