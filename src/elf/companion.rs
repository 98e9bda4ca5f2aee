//! The companion: debug sections and `.symtab` as a file of its own (`--separate-debug-file`).
//!
//! It has the image's ELF header, segments and sections, so that addresses and section indices mean the same in both
//! files; what is loaded is there without contents (`SHT_NOBITS`, `p_filesz` 0), apart from notes: the build id tells that
//! the two belong together. `objcopy --only-keep-debug` makes such files. The image names its companion in
//! `.gnu_debuglink` (GDB's manual, *Separate Debug Files*): a file name, zeros up to a multiple of four bytes, and the
//! file's CRC-32.
//!
//! In the list of output sections, those that only the image has stand behind those that only the companion has, so the
//! number of a section is its index in the companion.

use object::elf;

use super::emit::Placed;
use super::plan::NOT_LOADED;
use super::segments::{Segment, output_limit, page_size};
use super::{Table, machine, table_output};
use crate::error::Error;
use crate::layout::{Content, OutputSection};
use crate::link::{Link, over};
use crate::model::SectionFlags as Flags;
use crate::options::Options;

/// Size of the checksum in `.gnu_debuglink`, in bytes.
pub(crate) const CHECKSUM_SIZE: u64 = 4;

/// The companion's file name, if there is one.
pub(crate) fn name(options: &Options) -> Option<&[u8]> {
    let path = options.elf.separate_debug_file.as_ref()?;
    path.file_name().map(|name| name.as_encoded_bytes())
}

/// `.gnu_debuglink`, with zeros for the checksum.
pub(crate) fn debug_link(options: &Options) -> Option<Vec<u8>> {
    let mut bytes = name(options)?.to_vec();
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend([0; CHECKSUM_SIZE as usize]);
    Some(bytes)
}

/// What the companion's headers say.
pub(crate) struct Place {
    /// The program headers.
    pub(crate) segments: Vec<Segment>,
    /// The sections.
    pub(crate) sections: Vec<Placed>,
    /// File offset of the section headers, which come last.
    pub(crate) headers: u64,
}

/// Lays out the companion, if there is one.
///
/// # Errors
/// A file beyond the limits of [`Limits`](crate::Limits).
pub(crate) fn place(link: &Link<'_>) -> Result<Option<Place>, Error> {
    if table_output(link, Table::DebugLink).is_none() {
        return Ok(None);
    }
    let bits = machine(link).bits;
    // Notes come first in the image, and stay where they are.
    let is_note = |output: &OutputSection<'_>| output.kind == elf::SHT_NOTE.0 && output.flags.has(Flags::ALLOC);
    let notes = link.outputs.iter().take_while(|output| is_note(output)).count();
    let headers = bits.file_header_size() + bits.program_header_size() * link.elf.segments.len() as u64;
    let kept = link.outputs[..notes].last().map_or(headers, |last| last.offset + last.file_size());
    // Where nothing is, readers still expect offsets that are congruent to addresses.
    let hollow = |address: u64, align: u64| kept + address.wrapping_sub(kept) % align;

    let (name, limit) = output_limit(link);
    let fits = |size| over(name, "the size of the separate debug file", size, limit);
    let mut end = kept;
    let mut sections = Vec::with_capacity(link.outputs.len());
    for (number, output) in link.outputs.iter().enumerate() {
        let (kind, offset) = match output.content {
            Content::Table(table) if table == Table::DebugLink as u16 => continue,
            _ if number < notes => (output.kind, output.offset),
            _ if output.rank < NOT_LOADED => (elf::SHT_NOBITS.0, hollow(output.address, page_size(link))),
            _ => {
                let offset = end.next_multiple_of(output.align);
                end = offset.saturating_add(output.file_size());
                fits(end)?;
                (output.kind, offset)
            }
        };
        sections.push(Placed { number, kind, offset });
    }
    let attributes = link.elf.tables.get(Table::Attributes as usize).copied().flatten();
    let attributes = attributes.and_then(|number| sections.iter().find(|placed| placed.number == number as usize));
    let segment = |segment: &Segment| {
        if let (elf::PT_RISCV_ATTRIBUTES, Some(Placed { offset, .. })) = (segment.kind, attributes) {
            return Segment { offset: *offset, ..*segment };
        }
        if segment.kind == elf::PT_GNU_STACK || segment.address.saturating_add(segment.size) <= kept {
            return *segment;
        }
        if segment.address < kept {
            return Segment { file_size: kept - segment.address, ..*segment };
        }
        let align = if segment.kind == elf::PT_LOAD { segment.align } else { page_size(link) };
        Segment { offset: hollow(segment.address, align), file_size: 0, ..*segment }
    };
    let segments = link.elf.segments.iter().map(segment).collect();
    let headers = end.next_multiple_of(8);
    let size = headers.saturating_add(bits.section_header_size() * (sections.len() as u64 + 1));
    fits(size)?;
    Ok(Some(Place { segments, sections, headers }))
}
