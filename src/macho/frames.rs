//! Leaving records out of `__eh_frame`: those of functions that are not in the image.
//!
//! An object's section is [joined](crate::unwind::join) to what stays of it and takes the place of the old one, before anything
//! asks for what its relocations need. What a field holds changes with its place where that is part of what it tells.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;
use std::collections::HashMap;

use super::relocs::{self, Encoding};
use crate::error::{Error, Errors};
use crate::link::Link;
use crate::model::{
    Fate, Object, RelocEncoding, Section, SectionFlags, SectionIndex, Symbol, SymbolKind, SymbolSection,
};
use crate::reloc::{self, RawReloc};
use crate::unwind::eh_frame::{Kind, Record, records};
use crate::unwind::join::{Joined, join};

/// The strictest alignment that records ask for: that of an address.
const ALIGN: u64 = 8;

/// Leaves out the records of all functions whose sections are not in the image.
///
/// # Errors
/// Records that are malformed.
pub(crate) fn leave_out(link: &mut Link<'_>) -> Result<(), Errors> {
    let ids: Vec<_> = link.objects().map(|(id, _)| id).collect();
    let trimmed = link.workers.map(&ids, |id| trim_object(link.object(*id)));
    let mut problems = Vec::new();
    for (object, trimmed) in link.objects.iter_mut().zip(trimmed) {
        match trimmed {
            Ok(trimmed) => trimmed.into_iter().for_each(|trimmed| trimmed.replace(object)),
            Err(problem) => problems.push(problem),
        }
    }
    Errors::check(problems)
}

/// Relocations of a section by their offsets in it, in bytes.
type Found = HashMap<u64, RawReloc, foldhash::quality::RandomState>;

/// What stays of a section.
struct Trimmed {
    index: SectionIndex,
    joined: Joined,
    data: Vec<u8>,
    relocs: Vec<u8>,
}

/// What stays of an object's sections of which something goes.
///
/// # Errors
/// Records that are malformed.
fn trim_object(object: &Object<'_>) -> Result<Vec<Trimmed>, Error> {
    let mut all = Vec::new();
    if !object.sections.iter().any(Section::is_left_out) {
        return Ok(all);
    }
    for (section, index) in object.sections.iter().zip(0_u32..) {
        let RelocEncoding::MachO(encoding) = section.relocs.encoding else { continue };
        if !section.is_live() || !section.flags.has(SectionFlags::EH_FRAME) {
            continue;
        }
        let found = reloc::decode(section, 0..section.relocs.len()).map(|raw| (raw.offset, raw)).collect();
        let mut complete = true;
        let joined = join(&section.data, |record| {
            let keep = is_wanted(object, &found, record);
            complete &= keep;
            keep
        });
        let joined = joined.map_err(|problem| {
            Error::malformed(&object.name, format!("__eh_frame+0x{:x}: {}", problem.offset, problem.what))
        })?;
        if !complete {
            all.push(Trimmed::new(object, (section, index), encoding, joined));
        }
    }
    Ok(all)
}

/// Whether the function that a record describes is in the image. Of a record that describes none, whoever reads it complains.
fn is_wanted(object: &Object<'_>, relocs: &Found, record: &Record) -> bool {
    let Kind::Fde { pc_begin_offset, .. } = record.kind else { return true };
    let symbol = relocs.get(&pc_begin_offset).and_then(|raw| object.symbols.get(raw.symbol as usize));
    symbol.and_then(|symbol| object.symbol_section(symbol)).is_none_or(Section::is_live)
}

impl Trimmed {
    fn new(
        object: &Object<'_>,
        (section, index): (&Section<'_>, SectionIndex),
        encoding: Encoding,
        joined: Joined,
    ) -> Self {
        let mut data = joined.contents(&section.data);
        // How far a symbol of the section goes towards its start.
        let moved = |symbol: u32| match object.symbols.get(symbol as usize) {
            Some(symbol) if is_label_in(symbol, index) => symbol.value.wrapping_sub(joined.label_offset(symbol.value)),
            _ => 0,
        };
        let (relocs, fields) =
            relocs::moved(&section.relocs.bytes, encoding, &section.data, |offset| joined.output_offset(offset), moved);
        fields.iter().for_each(|field| field.store(&mut data));
        fill_up(&mut data, section.align.min(ALIGN));
        Self { index, joined, data, relocs }
    }

    /// Puts it in the place of the whole.
    fn replace(self, object: &mut Object<'_>) {
        for symbol in &mut object.symbols {
            if is_label_in(symbol, self.index) {
                symbol.value = self.joined.label_offset(symbol.value);
            }
        }
        if let Some(section) = object.sections.get_mut(self.index as usize) {
            section.size = self.data.len() as u64;
            section.align = section.align.min(ALIGN);
            section.data = Cow::Owned(self.data);
            section.relocs.bytes = Cow::Owned(self.relocs);
            if section.size == 0 {
                section.fate = Fate::Unreferenced;
            }
        }
    }
}

/// Has the last record go on to a multiple of `align`, with instructions that do nothing (`DW_CFA_nop`, 0): zeros between the
/// sections of two objects would be an end to who reads record by record.
fn fill_up(data: &mut Vec<u8>, align: u64) {
    let size = data.len() as u64;
    let wanted = size.checked_next_multiple_of(align).unwrap_or(size);
    let last = records(data).map_while(Result::ok).last();
    let (Some(last), Ok(more)) = (last, u32::try_from(wanted.saturating_sub(size))) else { return };
    let field = usize::try_from(last.offset).ok().and_then(|offset| data.get_mut(offset..));
    let Some(field) = field.and_then(<[u8]>::first_chunk_mut) else { return };
    // Lengths of 64 bits, which nobody writes, stay: what has one is behind the end then.
    let length = u32::from_le_bytes(*field).checked_add(more).filter(|length| *length < LONG);
    let Some(length) = length else { return };
    *field = length.to_le_bytes();
    data.resize(usize::try_from(wanted).unwrap_or(data.len()), 0);
}

/// The least number that stands for another form of length than one of 32 bits.
const LONG: u32 = 0xffff_fff0;

/// Whether a symbol is a place in a section. That of the section is where addresses of the object lead to.
fn is_label_in(symbol: &Symbol, index: SectionIndex) -> bool {
    symbol.section() == SymbolSection::In(index) && symbol.kind != SymbolKind::Section
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn the_last_record_reaches_the_next_section() {
        let record = |id: u32| [12_u32, id, 1, 2].map(u32::to_le_bytes).concat();
        let mut data = [record(0), record(20)].concat();
        data.extend([8_u32, 36, 7].map(u32::to_le_bytes).concat());
        assert_eq!(data.len() % 8, 4);
        let before = data.clone();
        fill_up(&mut data, 8);
        assert_eq!((data.len(), data[32], data[44..].to_vec()), (48, 12, vec![0; 4]));
        let found: Vec<_> = records(&data).map(|record| record.unwrap().end()).collect();
        assert_eq!(found, [16, 32, 48]);
        // Enough already.
        let mut same = before.clone();
        fill_up(&mut same, 4);
        assert!(same == before);
        let mut none = Vec::new();
        fill_up(&mut none, 8);
        assert!(none.is_empty());
    }
}
