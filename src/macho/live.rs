//! What is sure to stay when what nothing refers to is left out (`-dead_strip`), beside what all formats have.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use super::parse::trimmed;
use super::plan::{self, padded};
use super::symtab::is_exported;
use super::unwind;
use crate::link::Link;
use crate::model::{ObjectId, Section, SectionFlags, SectionIndex};
use crate::slots::SymbolRef;

/// `S_ATTR_LIVE_SUPPORT`: a section that stays if something that it refers to does.
const LIVE_SUPPORT: u32 = 0x0800_0000;

/// What others may use, what runs when the image is loaded, and the loader's function that looks up others.
pub(crate) fn roots(link: &Link<'_>) -> Vec<SymbolRef> {
    let exported = link.symbols.iter().filter(|(_, global)| is_exported(link, global)).map(|(id, _)| id);
    let globals = exported.chain(link.macho.binder).map(SymbolRef::Global);
    globals.chain(link.macho.initialisers.iter().map(|initialiser| initialiser.function())).collect()
}

/// Whether something refers to the boundaries of a section, or of its segment. A list of what [`supports`] others is one of
/// those that stay.
pub(crate) fn is_bounded(link: &Link<'_>, id: ObjectId, index: SectionIndex) -> bool {
    let object = link.object(id);
    let Some((info, section)) = object.info.macho().zip(object.sections.get(index as usize)) else { return false };
    let segment = info.segments.get((index as usize).saturating_sub(1));
    let segment = segment.filter(|_| !link.macho.bounded.is_empty() && !supports(section));
    let Some(segment) = segment.map(trimmed) else { return false };
    let (segment, name) = plan::names(link, segment, section.name);
    [None, Some(padded(name))].into_iter().any(|section| link.macho.bounded.contains(&(padded(segment), section)))
}

/// The size of the rows of a section, in bytes, if it says of each function how to unwind it.
pub(crate) fn function_row(section: &Section<'_>) -> Option<u64> {
    (section.name == b"__compact_unwind").then_some(unwind::ENTRY)
}

/// Whether a section stays if something does that it refers to.
pub(crate) fn supports(section: &Section<'_>) -> bool {
    section.kind & LIVE_SUPPORT != 0 && !section.flags.has(SectionFlags::EH_FRAME)
}
