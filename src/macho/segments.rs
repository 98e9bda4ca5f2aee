//! Addresses and file offsets, and the segments that tell the loader of them.
//!
//! Segments follow each other in the file and in memory, each at a fresh page; the first starts at 0 and holds the header
//! and the load commands. A section's place in the file is its place in memory, counted from its segment's. Zero-filled
//! sections come last in their segment and take no room in the file.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::ops::Range;

use super::plan::{SEGMENT, segment_name};
use super::{Table, header, page_size, symtab};
use crate::error::{Error, Result};
use crate::layout::Content;
use crate::link::{Link, over};
use crate::model::SectionFlags as Flags;
use crate::thunks;

/// `VM_PROT_READ`, `VM_PROT_WRITE`, `VM_PROT_EXECUTE`
const READ: u32 = 1;
pub(super) const WRITE: u32 = 2;
const EXECUTE: u32 = 4;
/// `SG_READ_ONLY`: protected once the loader has filled it.
const READ_ONLY: u32 = 0x10;
/// The largest file: offsets have 32 bits.
const FILE_LIMIT: u64 = u32::MAX as u64;
/// The largest image in memory: so that sums cannot overflow.
const MEMORY_LIMIT: u64 = 1 << 40;

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its name.
    pub(crate) name: [u8; 16],
    /// Its sections: numbers of output sections.
    pub(crate) outputs: Range<usize>,
    /// Its address, in the image.
    pub(crate) address: u64,
    /// Its size in memory, in bytes: whole pages.
    pub(crate) size: u64,
    /// File offset of its first byte.
    pub(crate) offset: u64,
    /// Its size in the file, in bytes.
    pub(crate) file_size: u64,
    /// What may be done with its pages: `VM_PROT_*`.
    pub(crate) protection: u32,
    /// `SG_*`
    pub(crate) flags: u32,
}

/// Gives every section its address and file offset; `__LINKEDIT` gets those of its first byte.
///
/// # Errors
/// An image beyond what the format can hold or [`Limits`](crate::Limits) allows.
pub(crate) fn assign_addresses(link: &mut Link<'_>) -> Result<()> {
    loop {
        place(link)?;
        // Thunks are only ever added, so that ends.
        if !thunks::grow(link)? {
            return Ok(());
        }
    }
}

/// As [`assign_addresses`], with the thunks that there are.
fn place(link: &mut Link<'_>) -> Result<()> {
    let page = page_size(link.target.arch);
    link.macho.segments = list(link);
    let headers = header::size(link);
    let asked = link.options.limits.output_size;
    let check = |what: &str, wanted: u64, most: u64| {
        over("output_size", what, wanted, asked)?;
        over("Mach-O format", what, wanted, most)
    };
    // Options may ask for any room behind the load commands.
    check("the size of the headers", headers, MEMORY_LIMIT)?;
    let (mut address, mut offset) = (0_u64, 0_u64);
    for number in 0..link.macho.segments.len() {
        let Some(segment) = link.macho.segments.get(number).cloned() else { break };
        let outputs = || link.outputs.get(segment.outputs.clone()).unwrap_or_default().iter();
        let strictest = outputs().map(|output| output.align).max().unwrap_or(1).max(page);
        address = address.next_multiple_of(strictest);
        let start = (address, offset);
        if number == 0 {
            address = headers;
        }
        let mut file_end = address;
        for index in segment.outputs.clone() {
            let unwind = link.outputs.get(index).is_some_and(|output| is_unwind(&output.content));
            if unwind {
                // Whose size depends on where the code is, which stands before it.
                let starts = symtab::function_addresses(link);
                let info = link.macho.unwind.info(link, &starts);
                let size = info.size();
                link.macho.unwind_info = info;
                if let Some(output) = link.outputs.get_mut(index) {
                    output.size = size;
                }
            }
            let Some(output) = link.outputs.get_mut(index) else { continue };
            address = address.next_multiple_of(output.align);
            output.address = address;
            output.offset = start.1.saturating_add(address.saturating_sub(start.0));
            address = address.saturating_add(output.size);
            if output.flags.has(Flags::ZERO) {
                output.offset = 0;
            } else {
                file_end = address;
            }
            check("the image's size in memory", address, MEMORY_LIMIT)?;
        }
        let last = number.saturating_add(1) == link.macho.segments.len();
        // The last is `__LINKEDIT`, whose size is known when its tables are made.
        let end = if last { address } else { address.next_multiple_of(page) };
        let file_size = file_end.saturating_sub(start.0).next_multiple_of(page);
        let file_size = if last { 0 } else { file_size };
        offset = start.1.saturating_add(file_size);
        check("the image's size in the file", offset, FILE_LIMIT)?;
        if let Some(segment) = link.macho.segments.get_mut(number) {
            (segment.address, segment.size) = (start.0, end.saturating_sub(start.0));
            (segment.offset, segment.file_size) = (start.1, file_size);
        }
        address = end;
    }
    Ok(())
}

/// Checks the size of the whole file.
///
/// # Errors
/// It is larger than the format or the caller allows.
pub(super) fn check_size(link: &Link<'_>, size: u64) -> Result<(), Error> {
    let what = "the image's size in the file";
    over("output_size", what, size, link.options.limits.output_size)?;
    over("Mach-O format", what, size, FILE_LIMIT)
}

fn is_unwind(content: &Content) -> bool {
    matches!(content, Content::Table(table) if *table == Table::UnwindInfo as u16)
}

/// The segments, without addresses.
fn list(link: &Link<'_>) -> Vec<Segment> {
    let new = |name, outputs, protection, flags| Segment {
        name,
        outputs,
        address: 0,
        size: 0,
        offset: 0,
        file_size: 0,
        protection,
        flags,
    };
    let mut segments = Vec::new();
    // There is always a `__TEXT`, for the header.
    if link.outputs.first().is_none_or(|output| output.rank >= SEGMENT) {
        segments.push(new(segment_name(link, 0), 0..0, READ | EXECUTE, 0));
    }
    let mut first = 0_usize;
    while let Some(output) = link.outputs.get(first) {
        let place = output.rank / SEGMENT;
        let rest = link.outputs.get(first..).unwrap_or_default();
        let count = rest.iter().take_while(|output| output.rank / SEGMENT == place).count();
        let end = first.saturating_add(count);
        let name = segment_name(link, output.rank);
        let (protection, flags) = match super::parse::trimmed(&name) {
            b"__TEXT" => (READ | EXECUTE, 0),
            b"__DATA_CONST" => (READ | WRITE, READ_ONLY),
            _ => (READ | WRITE, 0),
        };
        let asked = link.options.macho.protections.iter().rev();
        let asked = asked.into_iter().find(|(asked, _)| asked.as_bytes() == super::parse::trimmed(&name));
        let protection = asked.map_or(protection, |(_, protection)| *protection);
        segments.push(new(name, first..end, protection, flags));
        first = end;
    }
    segments.push(new(super::plan::padded(b"__LINKEDIT"), first..first, READ, 0));
    segments
}
