//! DWARF debug information: unpacking and packing it, and asking it where a message points to in the sources.
//!
//! A failing pass may find a problem in every relocation of a large object, and asking symbols and DWARF for the function
//! and the line takes a walk through them. So [`Trouble`] only notes what is wrong and where, and [`check`] asks for the few
//! that will be told.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

pub(crate) mod compress;
pub(crate) mod join;
pub(crate) mod source_lines;

use std::collections::BTreeMap;
use std::mem::discriminant;

use gimli::SectionId;

use crate::arch;
use crate::arch::riscv64::{Imm, Operation};
use crate::elf::riscv::pairs;
use crate::error::{Error, Errors, Place, SHOWN};
use crate::link::Link;
use crate::model::{Object, ObjectId, Section, SectionFlags, SectionIndex, SymbolSection};
use crate::options::{Arch, Target};
use crate::reloc::{self, RawReloc};
use crate::reloc::{Field, Origin, What};
use crate::scan;
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
        // As tools count that show the object.
        offset: offset.saturating_add(object.whole(section).1),
        origin: Some((id, section)),
        ..Place::default()
    }
}

/// What is wrong with a relocation, as it is found: there may be as many as there are relocations, and what a message says
/// of one may be long.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// The object.
    pub(crate) object: ObjectId,
    /// The section that is relocated.
    pub(crate) section: SectionIndex,
    /// The relocation.
    pub(crate) raw: RawReloc,
    /// What is wrong with it.
    pub(crate) fault: Fault,
}

/// What is wrong with a relocation.
#[derive(Debug)]
pub(crate) enum Fault {
    /// This, in words.
    Because(&'static str),
    /// Its symbol is not in the symbol table.
    NoSymbol,
    /// Its field is not in the section's contents.
    Outside,
    /// The value does not fit in the field.
    Overflow {
        /// What was to be stored.
        value: i64,
        /// Where.
        field: Field,
    },
    /// The value is no multiple of the field's [`step`](Field::step).
    Misaligned {
        /// What was to be stored.
        value: i64,
        /// Where.
        field: Field,
    },
    /// It is no fault of the relocation at all: the output cannot be written.
    Output(Error),
}

impl Trouble {
    /// What cannot be written.
    pub(crate) fn output(error: Error) -> Self {
        let raw = RawReloc { offset: 0, symbol: 0, kind: 0, addend: 0 };
        Self { object: ObjectId(0), section: 0, raw, fault: Fault::Output(error) }
    }

    fn tell(self, link: &Link<'_>) -> Error {
        let object = link.object(self.object);
        let section = object.sections.get(self.section as usize);
        let size = section.map_or(0, |section| section.data.len());
        let what = match self.fault {
            Fault::Because(what) => what.to_owned(),
            Fault::NoSymbol => format!("symbol {} of {}", self.raw.symbol, object.symbols.len()),
            Fault::Outside => format!("the field is not in the section's {size} bytes of contents"),
            Fault::Overflow { value, field } => {
                let (min, max) = field.range();
                let hint = match field {
                    // The code model is the only one for shared libraries.
                    Field::Riscv64(_) => None,
                    _ if arch::is_branch(field) => Some(
                        "a branch reaches neither its target nor the code beside the section that leads there; compile with -ffunction-sections",
                    ),
                    Field::Aarch64(_) => {
                        Some("what lies farther apart than an instruction reaches needs -mcmodel=large")
                    }
                    Field::Arm(_) => {
                        Some("the instruction reaches no farther; use its longer form, or an address in a register")
                    }
                    _ => Some(
                        "what lies farther apart than a 32-bit displacement reaches needs -mcmodel=medium or large",
                    ),
                };
                return Error::Overflow {
                    place: Box::new(place(link, self.object, self.section, self.raw.offset)),
                    relocation: reloc::name(link.target, self.raw.kind),
                    symbol: scan::symbol_name(object, self.raw.symbol),
                    value,
                    min,
                    max,
                    hint: hint.map(str::to_owned),
                };
            }
            Fault::Misaligned { value, field } => {
                format!(
                    "the value {value} (0x{value:x}) is no multiple of {}, as the instruction needs it",
                    field.step()
                )
            }
            Fault::Output(error) => return error,
        };
        Error::Relocation {
            place: Box::new(place(link, self.object, self.section, self.raw.offset)),
            relocation: reloc::name(link.target, self.raw.kind),
            symbol: scan::symbol_name(object, self.raw.symbol),
            what,
        }
    }
}

/// `Ok` if there is no trouble, else the first of it in the order of the inputs, with function and source, and the count of
/// the rest.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(link: &Link<'_>, mut troubles: Vec<Trouble>) -> Result<(), Errors> {
    // Threads find them in any order, and one whose bytes are made in several parts is found several times.
    let place = |trouble: &Trouble| (trouble.object, trouble.section, trouble.raw.offset);
    let key = |trouble: &Trouble| (place(trouble), trouble.raw.kind, trouble.raw.symbol, trouble.raw.addend);
    troubles.sort_by_key(key);
    troubles.dedup_by(|next, kept| key(next) == key(kept) && discriminant(&next.fault) == discriminant(&kept.fault));
    let cut = troubles.len().saturating_sub(SHOWN);
    explained(link, troubles.into_iter().take(SHOWN).map(|trouble| trouble.tell(link)).collect(), cut)
}

/// `Ok` if there is no problem; else these, their places with function and source, and the count of others.
///
/// # Errors
/// The problems.
pub(crate) fn explained(link: &Link<'_>, mut problems: Vec<Error>, cut: usize) -> Result<(), Errors> {
    if problems.is_empty() {
        return Ok(());
    }
    explain(link, &mut problems);
    Err(Errors::capped(problems, cut))
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
        let bases = Bases::new(object, link.target);
        let sections = relocated(object, link.target, &bases);
        let mut lines = SourceLines::new(|id| sections.get(id.name()).map_or(&[], Vec::as_slice));
        for (section, place) in places {
            let (whole, start) = object.whole(section);
            let address = bases.of(whole).and_then(|base| base.checked_add(place.offset));
            let function = object.symbol_at(section, place.offset.saturating_sub(start));
            place.function = function.map(|name| String::from_utf8_lossy(name).into_owned());
            if let Some(address) = address {
                place.function = place.function.take().or_else(|| lines.function(address));
                let position = lines.position(address);
                place.source = position.map(|SourcePosition { file, line }| format!("{file}:{line}"));
            }
        }
    }
}

/// Whether a section of an object has the DWARF section's name `wanted` (`.debug_info`), or its form of Mach-O
/// (`__debug_info`), of which there is room for 16 bytes.
fn is_named(name: &[u8], wanted: &str) -> bool {
    let plain = wanted.strip_prefix('.').unwrap_or(wanted).as_bytes();
    name == wanted.as_bytes()
        || name.strip_prefix(b"__").is_some_and(|name| !name.is_empty() && name == plain.get(..14).unwrap_or(plain))
}

/// An address for each loaded section of an object, so that none overlap and the target's tables can hold it.
struct Bases(Vec<Option<u64>>);

impl Bases {
    fn new(object: &Object<'_>, target: Target) -> Self {
        let narrow = matches!(target.arch, Arch::X86 | Arch::Arm);
        // Of 32-bit addresses each section takes what it needs; those that there is no room for have none.
        let mut next = 1_u64 << 16;
        let of = |(number, section): (u64, &Section<'_>)| {
            if !section.flags.has(SectionFlags::ALLOC) {
                return None;
            }
            if !narrow {
                return number.checked_add(1)?.checked_mul(1 << 36);
            }
            let start = next;
            let end = start.checked_add(section.size).filter(|end| *end < 1 << 32)?;
            // What follows an empty section, or one to whose end something refers, is somewhere else.
            next = end.checked_next_multiple_of(16)?.checked_add(16)?;
            Some(start)
        };
        Self((0..).zip(&object.sections).map(of).collect())
    }

    /// That of a section; `None` if it is not loaded.
    fn of(&self, section: SectionIndex) -> Option<u64> {
        self.0.get(section as usize).copied().flatten()
    }
}

/// S + A of a relocation, where loaded sections stand at their [`Bases`] and others at 0.
fn number(object: &Object<'_>, raw: &RawReloc, bases: &Bases) -> Option<i64> {
    let symbol = object.symbols.get(raw.symbol as usize)?;
    let start = match symbol.section() {
        SymbolSection::In(index) => {
            let loaded = object.sections.get(index as usize).is_some_and(|to| to.flags.has(SectionFlags::ALLOC));
            let (whole, start) = object.whole(index);
            if loaded { bases.of(whole)?.checked_add(start)? } else { 0 }
        }
        _ => 0,
    };
    Some(start.wrapping_add(symbol.value).wrapping_add_signed(raw.addend).cast_signed())
}

/// Copies of an object's debug sections, with loaded sections at their [`Bases`] and others at 0.
fn relocated(object: &Object<'_>, target: Target, bases: &Bases) -> BTreeMap<&'static str, Vec<u8>> {
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
        let Some(id) = READ.iter().find(|id| is_named(section.name, id.name())) else { continue };
        let Some(rest) = left.checked_sub(section.data.len()) else { return BTreeMap::new() };
        left = rest;
        let mut copy = section.data.to_vec();
        for raw in reloc::decode(section, 0..section.relocs.len()) {
            let plain = [What::Symbol.from(Origin::Zero), What::Symbol.from(Origin::Difference)];
            let Some(reloc) = reloc::understand(target, raw).filter(|reloc| plain.contains(&reloc.value)) else {
                continue;
            };
            let Some(mut value) = number(object, &raw, bases) else { continue };
            if let Field::Riscv64(Imm::Uleb(operation)) = reloc.field {
                // The other half is stored together with this one.
                let other = pairs::subtrahend(section, &raw).ok().and_then(|other| number(object, &other, bases));
                let Some(other) = other.filter(|_| operation == Operation::Set) else { continue };
                value = value.wrapping_sub(other);
            }
            let field = usize::try_from(raw.offset).ok().and_then(|offset| copy.get_mut(offset..));
            // What does not fit its section is left as it is: DWARF is asked for help only.
            let _ = field.and_then(|field| reloc.field.store(field, value));
        }
        // An object has one section of each name; of several, as groups bring, the first.
        copies.entry(id.name()).or_insert(copy);
    }
    copies
}
