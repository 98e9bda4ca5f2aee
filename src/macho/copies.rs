//! Leaving out copies: weak definitions that have given way to others.
//!
//! Compilers put a copy of each inline function of C++ into every object that uses it, in the section with all other functions.
//! What refers to one by its name reaches the definition that the image has, so that the copies are of no use; the sections
//! they are in are [divided](super::subsections), as far as the objects allow it, and the parts with copies alone go. A part to
//! which something refers other than by such a name stays, whatever that may be.
//!
//! With a dSYM all copies stay: it is made of line tables that count on the parts of sections not to move.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use super::{frames, other, relocs, subsections};
use crate::error::Errors;
use crate::link::Link;
use crate::model::{
    Binding, Fate, Object, ObjectId, Section, SectionFlags, SectionIndex, Symbol, SymbolIndex, SymbolSection,
};
use crate::reloc;
use crate::symbols::{Definition, Symbols};

/// Divides the objects that have copies, and leaves these out.
///
/// # Errors
/// Unwind records that are malformed.
pub(crate) fn leave_out(link: &mut Link<'_>) -> Result<(), Errors> {
    if !link.symbols.has_copies() || link.options.macho.dsym.is_some() {
        return Ok(());
    }
    let symbols = &link.symbols;
    link.workers.for_each_mut(&mut link.objects, |number, object| {
        let id = ObjectId(u32::try_from(number).unwrap_or(u32::MAX));
        if !has_copies(symbols, id, object) {
            return;
        }
        subsections::divide_object(object);
        for index in copies(symbols, id, object) {
            if let Some(section) = object.sections.get_mut(index as usize) {
                section.fate = Fate::DuplicateGroup;
            }
        }
    });
    frames::leave_out(link)
}

/// Whether a symbol is a weak definition that has given way to another.
pub(super) fn is_copy(symbols: &Symbols<'_>, (id, index): (ObjectId, SymbolIndex), symbol: &Symbol) -> bool {
    let weak = symbol.binding == Binding::Weak && matches!(symbol.section(), SymbolSection::In(_));
    let global = symbol.global.get().filter(|_| weak).map(|global| symbols.get(global));
    global.is_some_and(|global| global.is_defined_here() && global.definition != Definition::Object(id, index))
}

/// Whether an object has such definitions, as most have not.
pub(super) fn has_copies(symbols: &Symbols<'_>, id: ObjectId, object: &Object<'_>) -> bool {
    (0_u32..).zip(&object.symbols).any(|(index, symbol)| is_copy(symbols, (id, index), symbol))
}

/// What there is in a section.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// No copy.
    Nothing,
    /// Copies, and labels that nothing refers to.
    Copies,
    /// Something that is needed.
    Needed,
}

/// The sections of an object that have copies alone. That a section is not to be stripped (`no_dead_strip`, as those of lists of
/// protocols) says that nothing need refer to it, not that it is there twice.
pub(super) fn copies(symbols: &Symbols<'_>, id: ObjectId, object: &Object<'_>) -> Vec<SectionIndex> {
    let mut holds = vec![Holds::Nothing; object.sections.len()];
    let mut set = |section: SymbolSection, what: Holds| {
        if let SymbolSection::In(index) = section
            && let Some(place) = holds.get_mut(index as usize).filter(|place| **place != Holds::Needed)
        {
            *place = what;
        }
    };
    for (index, symbol) in (0_u32..).zip(&object.symbols) {
        match symbol.global.get() {
            Some(_) if is_copy(symbols, (id, index), symbol) => set(symbol.section(), Holds::Copies),
            Some(_) => set(symbol.section(), Holds::Needed),
            None if symbol.other & other::NO_DEAD_STRIP != 0 => set(symbol.section(), Holds::Needed),
            None => {}
        }
    }
    for (section, number) in object.sections.iter().zip(0_u32..) {
        // Records of unwinding go with what they describe.
        let counts = section.flags.has(SectionFlags::ALLOC) && !section.flags.has(SectionFlags::EH_FRAME);
        if !section.is_live() || !counts {
            continue;
        }
        for raw in reloc::decode(section, 0..section.relocs.len()) {
            for index in [Some(raw.symbol), relocs::subtracted(raw.kind)].into_iter().flatten() {
                let symbol = object.symbols.get(index as usize).filter(|symbol| symbol.global.get().is_none());
                let to = symbol.map(|symbol| symbol.section()).filter(|to| *to != SymbolSection::In(number));
                to.into_iter().for_each(|to| set(to, Holds::Needed));
            }
        }
    }
    let may_go = |index: &SectionIndex| object.sections.get(*index as usize).is_some_and(Section::is_live);
    (0_u32..).zip(holds).filter(|(_, holds)| *holds == Holds::Copies).map(|(index, _)| index).filter(may_go).collect()
}
