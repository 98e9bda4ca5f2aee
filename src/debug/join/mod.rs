//! Joining the DWARF of several objects whose sections refer to each other without relocations.
//!
//! Each debug section of the output is the objects' sections one after the other; an object's part is its *contribution*.
//! In ELF objects, a relocation stands wherever an offset in such a section does. Mach-O objects have relocations for
//! addresses of code and data only: an offset is counted from the start of the object's own section, and whoever joins
//! sections has to know where the offsets are. So each unit of `.debug_info` is walked entry by entry, with the abbreviations
//! that tell what an entry consists of ([`abbreviations`]), and each table that has offsets is walked too ([`walk`]). What is
//! found is a list of [`Patch`]es: here stand four bytes that count from the start of that section. To join, the place of
//! the object's contribution to that section is added.
//!
//! 64-bit DWARF, which no compiler for Mach-O writes, is refused, as are type units in a section of their own, macro
//! information and supplementary files. Tables that speed up searching by name are left out: debuggers make their own.
//!
//! Source: DWARF 5 and its ancestors, section 7 of each.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod abbreviations;
mod expression;
mod walk;

use crate::memory::of_vec;
use crate::reader::Malformed;

pub(crate) use walk::patches;

/// A debug section that is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// `.debug_info`: the entries
    Info,
    /// `.debug_abbrev`: what entries consist of
    Abbrev,
    /// `.debug_line`: line tables
    Line,
    /// `.debug_line_str`: strings of line tables
    LineStr,
    /// `.debug_str`: strings
    Str,
    /// `.debug_str_offsets`: strings by number
    StrOffsets,
    /// `.debug_addr`: addresses by number
    Addr,
    /// `.debug_ranges`: ranges of addresses, before DWARF 5
    Ranges,
    /// `.debug_rnglists`: the same since
    RngLists,
    /// `.debug_loc`: where variables are, before DWARF 5
    Loc,
    /// `.debug_loclists`: the same since
    LocLists,
    /// `.debug_macinfo`: macros, before DWARF 5; no offsets are in it (DWARF 4, 7.22)
    MacInfo,
}

/// How many kinds there are.
pub(crate) const KIND_COUNT: usize = 12;

/// All kinds, in the order of their numbers, with the rest of their names behind `.debug_` or `__debug_`.
pub(crate) const KINDS: [(Kind, &str); KIND_COUNT] = [
    (Kind::Info, "info"),
    (Kind::Abbrev, "abbrev"),
    (Kind::Line, "line"),
    (Kind::LineStr, "line_str"),
    (Kind::Str, "str"),
    (Kind::StrOffsets, "str_offsets"),
    (Kind::Addr, "addr"),
    (Kind::Ranges, "ranges"),
    (Kind::RngLists, "rnglists"),
    (Kind::Loc, "loc"),
    (Kind::LocLists, "loclists"),
    (Kind::MacInfo, "macinfo"),
];

/// Something for each kind of section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PerKind<T>([T; KIND_COUNT]);

impl<T> PerKind<T> {
    /// What `of` says of each.
    pub(crate) fn new(mut of: impl FnMut(Kind, &'static str) -> T) -> Self {
        Self(KINDS.map(|(kind, name)| of(kind, name)))
    }

    /// That of one kind.
    #[allow(clippy::indexing_slicing, reason = "there is one for each kind")]
    pub(crate) fn of(&self, kind: Kind) -> &T {
        &self.0[kind as usize]
    }

    /// That of one kind, to be changed.
    #[allow(clippy::indexing_slicing, reason = "there is one for each kind")]
    pub(crate) fn of_mut(&mut self, kind: Kind) -> &mut T {
        &mut self.0[kind as usize]
    }

    /// All, with their kinds.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Kind, &T)> {
        KINDS.iter().map(|(kind, _)| *kind).zip(&self.0)
    }
}

/// Four bytes that are an offset in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Patch {
    /// Where they are in the section of the object.
    pub(crate) offset: u32,
    /// The section that they count in.
    pub(crate) target: Kind,
}

/// Bytes of what a patch changes.
const FIELD: usize = 4;

/// Why the DWARF of an object cannot be joined to that of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The section.
    pub(crate) section: Kind,
    /// What is wrong, and where in it.
    pub(crate) what: Malformed,
}

/// The patches of each section of an object, each list ascending.
pub(crate) type Patches = PerKind<Vec<Patch>>;

/// Adds to every offset in `out`, which holds the bytes of a section from `start` on, the place of the object's contribution
/// to the section that the offset is for. `data` is the section in the object.
pub(crate) fn apply(data: &[u8], patches: &[Patch], bases: &PerKind<u64>, start: u64, out: &mut [u8]) {
    let end = start.saturating_add(out.len() as u64);
    let first = patches.partition_point(|patch| u64::from(patch.offset).saturating_add(FIELD as u64) <= start);
    for patch in patches.get(first..).unwrap_or_default() {
        if u64::from(patch.offset) >= end {
            break;
        }
        let Some(field) = data.get(patch.offset as usize..).and_then(<[u8]>::first_chunk::<FIELD>) else { break };
        // Sections of more than 4 GiB are refused when bases are assigned.
        let base = u32::try_from(*bases.of(patch.target)).unwrap_or(u32::MAX);
        let value = u32::from_le_bytes(*field).wrapping_add(base);
        for (place, byte) in (u64::from(patch.offset)..).zip(value.to_le_bytes()) {
            let at = place.checked_sub(start).and_then(|at| usize::try_from(at).ok());
            if let Some(place) = at.and_then(|at| out.get_mut(at)) {
                *place = byte;
            }
        }
    }
}

/// Bytes of memory that patches take.
pub(crate) fn held(patches: &Patches) -> u64 {
    patches.iter().map(|(_, list)| of_vec(list)).sum()
}

#[cfg(test)]
mod tests;
