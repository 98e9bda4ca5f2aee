//! The string table: the names of the symbols.
//!
//! It is the objects' string tables one after the other, as they are, between two bytes that nobody refers to and what the
//! linker adds. Where the options leave symbols out, it has those of these strings that entries name: entries are made with the
//! offsets in a table of all, and led to where the strings are when they are written ([`Strings::place`]).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use super::super::linkedit;
use super::{is_exported, is_import};
use crate::error::Error;
use crate::image::{Extent, Source};
use crate::link::{Link, over};
use crate::memory::of_vec;
use crate::model::{GlobalId, ObjectId, Symbol};

/// What stands before all strings, as LLD has it: a space, which nobody refers to, so that the empty string is not at 0.
const STRINGS_START: &[u8] = b" \0";
/// Where the empty string is.
pub(in crate::macho) const NO_NAME: u32 = 1;

/// The string table.
#[derive(Debug, Default)]
pub(in crate::macho) struct Strings {
    /// Where each object's strings start.
    bases: Vec<u32>,
    /// Where the strings that no object has start, and these.
    extra: (u64, Vec<u8>),
    /// The global symbols whose names no object has, ascending, and the offsets of these.
    named: Vec<(GlobalId, u32)>,
    /// Those of the objects' strings that are used, if not all are in the table.
    used: Option<Used>,
}

/// Strings of objects that are in a table which has not all of them.
#[derive(Debug, Default)]
struct Used {
    /// Where each would start if all were, ascending, and where it does.
    places: Vec<(u32, u32)>,
    /// They, one after the other.
    bytes: Vec<u8>,
}

impl Strings {
    /// A table of all strings of the objects.
    pub(super) fn new(link: &Link<'_>) -> Self {
        let mut strings = Self::default();
        let mut end = STRINGS_START.len() as u64;
        for (_, object) in link.objects() {
            strings.bases.push(u32::try_from(end).unwrap_or(u32::MAX));
            // A table that does not end in NUL gets one.
            let open = object.strings.last().is_some_and(|last| *last != 0);
            end = end.saturating_add(object.strings.len() as u64).saturating_add(open.into());
        }
        strings.extra.0 = end;
        strings
    }

    /// Adds the names of global symbols that no object has.
    ///
    /// # Errors
    /// If the names take more than 4 GiB.
    pub(super) fn finish(mut self, link: &Link<'_>) -> Result<Self, Error> {
        for (id, global) in link.symbols.iter() {
            if global.mention.is_none() && (is_exported(link, global) || is_import(global)) {
                let name = self.add(global.name);
                self.named.push((id, name));
            }
        }
        over("Mach-O string table", "the size of all symbols' names", self.size(), u32::MAX.into())?;
        Ok(self)
    }

    /// Bytes of memory that it takes.
    pub(super) fn held(&self) -> u64 {
        let used = self.used.as_ref().map_or(0, |used| of_vec(&used.places).saturating_add(of_vec(&used.bytes)));
        let own = [of_vec(&self.bases), of_vec(&self.extra.1), of_vec(&self.named)];
        own.into_iter().fold(used, u64::saturating_add)
    }

    /// Where an object's strings start.
    pub(in crate::macho) fn base(&self, object: ObjectId) -> u32 {
        self.bases.get(object.index()).copied().unwrap_or(0)
    }

    /// The offset of a symbol's name.
    pub(in crate::macho) fn name(&self, object: ObjectId, symbol: &Symbol) -> u32 {
        self.base(object).saturating_add(symbol.name)
    }

    /// The offset of the name of a global symbol whose name no object has.
    pub(super) fn own_name(&self, id: GlobalId) -> u32 {
        let at = self.named.binary_search_by_key(&id, |(id, _)| *id).ok();
        at.and_then(|at| self.named.get(at)).map_or(NO_NAME, |(_, offset)| *offset)
    }

    /// Adds a string, and returns its offset.
    pub(in crate::macho) fn add(&mut self, string: &[u8]) -> u32 {
        let offset = self.extra.0.saturating_add(self.extra.1.len() as u64);
        self.extra.1.extend(string);
        self.extra.1.push(0);
        u32::try_from(offset).unwrap_or(u32::MAX)
    }

    /// Has the table be made of those of the objects' strings that start at `offsets`, and of what no object has.
    pub(super) fn leave_out(&mut self, link: &Link<'_>, mut offsets: Vec<u32>) {
        offsets.retain(|offset| *offset > NO_NAME && u64::from(*offset) < self.extra.0);
        offsets.sort_unstable();
        offsets.dedup();
        let mut used = Used::default();
        // Where the last string starts and ends, and where it starts in the new table.
        let (mut last, mut last_place) = (0..0, 0);
        for offset in offsets {
            if !last.contains(&offset) {
                let object = self.bases.partition_point(|base| *base <= offset).checked_sub(1);
                let Some((object, base)) = object.and_then(|at| link.objects.get(at).zip(self.bases.get(at))) else {
                    continue;
                };
                let rest = object.strings.get(offset.saturating_sub(*base) as usize..).unwrap_or_default();
                let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
                let place = (STRINGS_START.len() as u64).saturating_add(used.bytes.len() as u64);
                last_place = u32::try_from(place).unwrap_or(u32::MAX);
                // With the NUL, where an empty one may start.
                let size = u32::try_from(name.len()).unwrap_or(u32::MAX).saturating_add(1);
                last = offset..offset.saturating_add(size);
                used.bytes.extend(name);
                used.bytes.push(0);
            }
            // One may be the end of another.
            used.places.push((offset, last_place.saturating_add(offset.saturating_sub(last.start))));
        }
        self.used = Some(used);
    }

    /// Where a string starts that would start at `offset` if the table had all of them.
    pub(super) fn place(&self, offset: u32) -> u32 {
        let Some(used) = &self.used else { return offset };
        let at = used.places.binary_search_by_key(&offset, |(all, _)| *all).ok();
        if let Some((_, place)) = at.and_then(|at| used.places.get(at)) {
            return *place;
        }
        match u64::from(offset).checked_sub(self.extra.0) {
            Some(into) => u32::try_from(self.extra_start().saturating_add(into)).unwrap_or(u32::MAX),
            None => offset,
        }
    }

    /// Where the strings start that no object has.
    fn extra_start(&self) -> u64 {
        let used = |used: &Used| (STRINGS_START.len() as u64).saturating_add(used.bytes.len() as u64);
        self.used.as_ref().map_or(self.extra.0, used)
    }

    /// Its size, in bytes.
    pub(in crate::macho) fn size(&self) -> u64 {
        self.extra_start().saturating_add(self.extra.1.len() as u64).next_multiple_of(8)
    }

    /// Appends the table, which starts at a file offset, to `extents`; returns where the strings are that no object has.
    pub(in crate::macho) fn emit(&mut self, link: &Link<'_>, offset: u64, extents: &mut Vec<Extent>) -> linkedit::Part {
        let extra_start = self.extra_start();
        let mut start = STRINGS_START.to_vec();
        match &self.used {
            Some(used) => start.extend(&used.bytes),
            None => extents.extend(link.objects().map(|(id, object)| {
                let offset = offset.saturating_add(self.base(id).into());
                Extent { offset, size: object.strings.len() as u64, source: Source::Strings(id) }
            })),
        }
        let extra = std::mem::take(&mut self.extra.1);
        let own = linkedit::Part { offset: offset.saturating_add(extra_start), size: extra.len() as u64 };
        for (offset, bytes) in [(offset, start), (own.offset, extra)] {
            extents.push(Extent { offset, size: bytes.len() as u64, source: Source::Owned(bytes) });
        }
        own
    }
}
