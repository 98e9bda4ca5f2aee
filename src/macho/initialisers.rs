//! Functions that run when the image is loaded.
//!
//! Compilers list them in `__DATA,__mod_init_func`, an address of 8 bytes each. Loaders since macOS 12 know another form,
//! `__TEXT,__init_offsets`, of 4 bytes each: the distance from the image's first byte, which nobody has to fill. As with LLD
//! that is the form of images with chains.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use object::macho;

use super::{POINTER, is_chained, stubs};
use crate::debug;
use crate::error::{Error, Errors};
use crate::link::Link;
use crate::model::{Fate, Object, ObjectId, Section, SectionIndex, Traits};
use crate::options::Undefined;
use crate::reloc::{self, Field, Origin, RawReloc, What};
use crate::slots::SymbolRef;
use crate::symbols::Needs;

/// Bytes of an offset in the image's.
pub(super) const OFFSET: u64 = 4;

/// A function that runs when the image is loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Initialiser {
    /// The object that asks for it.
    object: ObjectId,
    /// The section in which it does.
    section: SectionIndex,
    /// The relocation that would have stored its address there.
    raw: RawReloc,
}

impl Initialiser {
    /// The symbol that it is told by.
    pub(super) fn function(&self) -> SymbolRef {
        SymbolRef::Local(self.object, self.raw.symbol)
    }
}

/// Takes the lists of all objects, if the image tells of functions by offsets; what is taken is no part of the image.
///
/// # Errors
/// A list that is malformed.
pub(super) fn take(link: &mut Link<'_>) -> Result<(), Error> {
    if !is_chained(link) && !link.options.macho.init_offsets {
        return Ok(());
    }
    let target = link.target;
    let mut all = Vec::new();
    for (object, number) in link.objects.iter_mut().zip(0_u32..) {
        let mut sections = std::mem::take(&mut object.sections);
        for (section, index) in sections.iter_mut().zip(0_u32..) {
            let list = section.kind & macho::SECTION_TYPE == u32::from(macho::S_MOD_INIT_FUNC_POINTERS.0);
            if !list || !section.is_live() {
                continue;
            }
            section.fate = Fate::Metadata;
            let found = pointers(target, object, section)?;
            all.extend(found.into_iter().map(|raw| Initialiser { object: ObjectId(number), section: index, raw }));
        }
        object.sections = sections;
    }
    if !all.is_empty() {
        // Names of places in the lists stand for nothing any more.
        link.symbols.mark_left_out(&link.objects);
    }
    link.macho.initialisers = all;
    Ok(())
}

/// The relocations of a list, ascending: there is one for each of its addresses.
fn pointers(target: crate::Target, object: &Object<'_>, section: &Section<'_>) -> Result<Vec<RawReloc>, Error> {
    let malformed = |what: String| Error::malformed(&object.name, format!("__mod_init_func: {what}"));
    let mut found: Vec<RawReloc> = reloc::decode(section, 0..section.relocs.len()).collect();
    found.reverse();
    let mut next = 0_u64;
    for raw in &found {
        let plain = reloc::understand(target, *raw);
        let plain = plain.is_some_and(|reloc| {
            reloc.value == What::Symbol.from(Origin::Zero)
                && reloc.field == Field::U64
                && object.symbols.get(raw.symbol as usize).is_some()
        });
        if !plain || raw.offset != next {
            return Err(malformed(format!("no address of a function at 0x{next:x}")));
        }
        next = next.saturating_add(POINTER);
    }
    if next != section.data.len() as u64 {
        return Err(malformed(format!("no address of a function at 0x{next:x}")));
    }
    Ok(found)
}

/// Asks for what reaching the functions takes: a stub for those that another image may have.
///
/// # Errors
/// Functions that nothing defines, if that is an error; what is no function.
pub(super) fn gather(link: &Link<'_>) -> Result<(), Errors> {
    let mut problems = Vec::new();
    for initialiser in &link.macho.initialisers {
        let Initialiser { object, section, raw } = *initialiser;
        let Some(symbol) = link.object(object).symbols.get(raw.symbol as usize) else { continue };
        let missing = symbol.traits.has(Traits::UNDEFINED) && link.options.undefined == Undefined::Error;
        if missing {
            problems.push(Error::Undefined {
                symbol: crate::scan::symbol_name(link.object(object), raw.symbol),
                references: vec![debug::place(link, object, section, raw.offset)],
                more: 0,
                hint: None,
            });
        }
        match symbol.global.get() {
            Some(global) if symbol.traits.has(Traits::PREEMPTIBLE) => link.symbols.get(global).require(Needs::PLT),
            _ if symbol.traits.any(Traits::ABSOLUTE.and(Traits::DISCARDED)) && !missing => {
                let what = format!("__mod_init_func+0x{:x}: what is to run is not in the image", raw.offset);
                problems.push(Error::malformed(&link.object(object).name, what));
            }
            _ => {}
        }
    }
    Errors::check(problems)
}

/// `__init_offsets`.
pub(super) fn table(link: &Link<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Initialiser { object, raw, .. } in &link.macho.initialisers {
        let Some(symbol) = link.object(*object).symbols.get(raw.symbol as usize) else { continue };
        let reference = symbol.global.get().map_or(SymbolRef::Local(*object, raw.symbol), SymbolRef::Global);
        let address = match link.slots.of(reference).plt {
            Some(entry) if symbol.traits.has(Traits::PREEMPTIBLE) => stubs::plt_address(link, entry),
            _ => stubs::symbol_address(link, reference).wrapping_add_signed(raw.addend),
        };
        // Code lies below the limit of the file's size.
        bytes.extend(u32::try_from(address).unwrap_or(u32::MAX).to_le_bytes());
    }
    bytes
}
