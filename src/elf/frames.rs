//! `.eh_frame` of all objects: what each section contributes, and the table that unwinders search.

use std::collections::HashMap;

use super::Table;
use crate::error::{Error, Errors};
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::model::{Object, ObjectId, Section, SectionFlags, SectionIndex, SymbolSection, Traits};
use crate::options::Arch;
use crate::reloc::{self, RawReloc, What};
use crate::unwind::eh_frame::{self, Fde, Kind, TERMINATOR};
use crate::unwind::eh_frame_hdr;
use crate::unwind::join::{Joined, join};

/// What the `.eh_frame` sections contribute.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Per section: what stays of it.
    pub(crate) sections: HashMap<(ObjectId, SectionIndex), Joined, foldhash::quality::RandomState>,
    /// The number of frame descriptions that stay.
    pub(crate) count: u64,
}

impl Frames {
    /// Reads the records of all `.eh_frame` sections and decides which stay: those of functions in the image.
    ///
    /// # Errors
    /// Every malformed section.
    pub(crate) fn new(link: &Link<'_>) -> Result<Self, Errors> {
        let mut sections = Vec::new();
        for (id, object) in link.objects() {
            for (index, section) in object.sections.iter().enumerate() {
                if section.is_live() && section.flags.has(SectionFlags::EH_FRAME) {
                    sections.push((id, index as u32));
                }
            }
        }
        let joined = link.workers.map(&sections, |(id, index)| join_section(link, *id, *index));
        let mut frames = Self::default();
        let mut problems = Vec::new();
        for (key, result) in sections.into_iter().zip(joined) {
            match result {
                Ok((joined, count)) => {
                    frames.count += count;
                    frames.sections.insert(key, joined);
                }
                Err(problem) => problems.push(problem),
            }
        }
        Errors::check(problems)?;
        Ok(frames)
    }

    /// The number of bytes that a section contributes, if it is an `.eh_frame`: it follows its predecessor without a gap.
    pub(crate) fn size(&self, object: ObjectId, section: SectionIndex) -> Option<u64> {
        self.sections.get(&(object, section)).map(|joined| joined.size)
    }

    /// Where an offset of a section has gone in its contribution.
    pub(crate) fn moved_offset(&self, object: ObjectId, section: SectionIndex, offset: u64) -> u64 {
        // Most links have no such section that changes at all, and most symbols are not in one.
        match self.sections.get(&(object, section)) {
            Some(joined) => joined.label_offset(offset),
            None => offset,
        }
    }
}

/// The bytes behind the last record of the output section.
pub(crate) fn terminator() -> &'static [u8] {
    &TERMINATOR
}

fn join_section(link: &Link<'_>, id: ObjectId, index: SectionIndex) -> Result<(Joined, u64), Error> {
    let object = link.object(id);
    let section = &object.sections[index as usize];
    let mut cursor = reloc::decode(section, 0..section.relocs.len()).peekable();
    let mut count = 0;
    let mut first = true;
    let joined = join(&section.data, |record| {
        let Kind::Fde { pc_begin_offset, .. } = record.kind else { return true };
        // What `ld -r` has dropped a function of has a relocation that does nothing.
        let nothing = |raw: &RawReloc| {
            reloc::understand(link.target, *raw).is_some_and(|reloc| reloc.value.what == What::Nothing)
        };
        let before = |raw: &RawReloc| raw.offset < pc_begin_offset || (raw.offset == pc_begin_offset && nothing(raw));
        while cursor.next_if(before).is_some() {}
        let stays = match cursor.peek().filter(|raw| raw.offset == pc_begin_offset) {
            Some(raw) => is_function_live(link, object, raw.symbol),
            // Without a relocation it describes a fixed address: nothing in this image.
            None => false,
        };
        let stays = stays && !(malfunction::on(Malfunction::FrameRecordLost) && std::mem::take(&mut first));
        count += u64::from(stays);
        stays
    });
    match joined {
        Ok(joined) => Ok((joined, count)),
        Err(malformed) => {
            let name = String::from_utf8_lossy(section.name);
            let what = format!("{name} at offset 0x{:x}: {}", malformed.offset, malformed.what);
            Err(Error::malformed(&object.name, what))
        }
    }
}

/// Whether the definition of a symbol, the object's own if it has one, is in the image.
fn is_function_live(link: &Link<'_>, object: &Object<'_>, symbol: u32) -> bool {
    let Some(symbol) = object.symbols.get(symbol as usize) else { return false };
    match symbol.section() {
        SymbolSection::In(section) => object.sections.get(section as usize).is_some_and(|section| section.is_live()),
        SymbolSection::Undefined => {
            let defined = |id| link.symbols.get(id).is_defined_here();
            symbol.global.get().is_some_and(defined) && !symbol.traits.has(Traits::DISCARDED)
        }
        _ => !symbol.traits.has(Traits::DISCARDED),
    }
}

/// Makes `.eh_frame_hdr`, once addresses are fixed.
///
/// # Errors
/// If `.eh_frame` is out of reach.
pub(crate) fn table(link: &Link<'_>) -> Result<Option<eh_frame_hdr::Table>, Error> {
    let Some(header) = super::table_output(link, Table::EhFrameHdr) else { return Ok(None) };
    let Some(eh_frame) = link.outputs.iter().find(|output| output.flags.has(SectionFlags::EH_FRAME)) else {
        return Ok(None);
    };
    let mut sections: Vec<(ObjectId, SectionIndex)> = link.elf.frames.sections.keys().copied().collect();
    sections.sort_unstable();
    let parts = link.workers.map(&sections, |(id, index)| entries(link, *id, *index));
    let entries = parts.into_iter().flatten().collect();
    let table = eh_frame_hdr::Table::new(header.address, eh_frame.address, entries);
    table.map(Some).map_err(|far| Error::Options(far.to_string()))
}

fn entries(link: &Link<'_>, id: ObjectId, index: SectionIndex) -> Vec<eh_frame_hdr::Entry> {
    let section = link.section(id, index);
    let Some(joined) = link.elf.frames.sections.get(&(id, index)) else { return Vec::new() };
    let Some(base) = link.outputs.get(section.output as usize).map(|output| output.address + section.offset) else {
        return Vec::new();
    };
    let mut cursor = reloc::decode(section, 0..section.relocs.len()).peekable();
    let mut entries = Vec::new();
    let address_size = super::machine(link).bits.word() as u8;
    // A record that does not parse further than joining looked is kept and left out of the table.
    for description in eh_frame::descriptions(&section.data, address_size).flatten() {
        let field = description.pc_begin.offset;
        while cursor.next_if(|raw| raw.offset < field).is_some() {}
        let Some(raw) = cursor.peek().filter(|raw| raw.offset == field) else { continue };
        let Some(place) = joined.output_offset(description.record.offset) else { continue };
        let Some(symbol) = link.addresses[id.index()].get(raw.symbol as usize) else { continue };
        entries.push(eh_frame_hdr::Entry {
            function: symbol.wrapping_add_signed(raw.addend),
            length: length(link, id, section, &description),
            description: base + place,
        });
    }
    entries
}

/// The length of a function, in bytes. Where linkers may shorten code, it is a difference of labels.
fn length(link: &Link<'_>, id: ObjectId, section: &Section<'_>, description: &Fde) -> u64 {
    let field = description.pc_begin.offset.saturating_add(description.pc_begin.size);
    let address = |raw: &RawReloc| {
        let symbol = link.addresses[id.index()].get(raw.symbol as usize).copied().unwrap_or(0);
        symbol.wrapping_add_signed(raw.addend)
    };
    match link.target.arch {
        Arch::Riscv64 => super::riscv::pairs::difference(section, field, description.pc_range, address),
        _ => description.pc_range,
    }
}
