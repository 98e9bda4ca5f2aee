//! Addresses and file offsets.
//!
//! Sections follow each other in memory without a gap but to the next page, as the loader demands, and in the file at
//! multiples of 512 bytes. Base relocations come behind all that they describe, so their size is known when they
//! are placed; what comes after them holds no addresses. Thunks between functions move what follows, so all is done anew
//! once there are more of them.

#![deny(clippy::arithmetic_side_effects)]

use super::{ImageSection, Table, base_relocs, headers};
use crate::error::{Error, Result};
use crate::layout::Content;
use crate::link::{Link, over};
use crate::model::SectionFlags as Flags;
use crate::options::Arch;
use crate::thunks;

/// Sections begin at multiples of so many bytes in memory: the page.
pub(crate) const SECTION_ALIGNMENT: u64 = 4096;
/// Sections begin at multiples of so many bytes in the file.
pub(crate) const FILE_ALIGNMENT: u64 = 512;
/// The size beyond which 32-bit displacements need not reach from one end of the image to the other.
const REACH: u64 = 1 << 31;

/// Gives every section its address and its place in the file.
///
/// # Errors
/// [`Error::Limit`]: an image beyond what the format or its CPU can hold.
pub(crate) fn assign_addresses(link: &mut Link<'_>) -> Result<()> {
    loop {
        place_sections(link)?;
        // Thunks are only ever added, so that ends.
        if !thunks::grow(link)? {
            return Ok(());
        }
    }
}

/// As [`assign_addresses`], with the thunks that there are.
fn place_sections(link: &mut Link<'_>) -> Result<()> {
    let base = link.pe.base;
    let headers_size = headers::size(link);
    let mut address = base.saturating_add(headers_size.next_multiple_of(SECTION_ALIGNMENT));
    let mut offset = headers_size.next_multiple_of(FILE_ALIGNMENT);
    let mut sections = std::mem::take(&mut link.pe.sections);
    for section in &mut sections {
        section.address = address;
        section.offset = offset;
        place(link, section);
        address = section.end().checked_next_multiple_of(SECTION_ALIGNMENT).unwrap_or(u64::MAX);
        offset = offset.saturating_add(section.file_size).checked_next_multiple_of(FILE_ALIGNMENT).unwrap_or(u64::MAX);
    }
    link.pe.sections = sections;
    check_size(link, address.saturating_sub(base), offset)
}

/// Places the output sections of a section.
fn place(link: &mut Link<'_>, section: &mut ImageSection) {
    let mut end = section.address;
    for number in section.outputs.0..section.outputs.1 {
        let table = match link.outputs.get(number as usize).map(|output| &output.content) {
            Some(Content::Table(table)) => Table::from_number(*table),
            _ => None,
        };
        if table == Some(Table::BaseRelocations) {
            link.pe.base_relocs = base_relocs::table(link);
        }
        let size = link.pe.base_relocs.len() as u64;
        let Some(output) = link.outputs.get_mut(number as usize) else { continue };
        if table == Some(Table::BaseRelocations) {
            output.size = size;
        }
        output.address = end.checked_next_multiple_of(output.align).unwrap_or(u64::MAX);
        let within = output.address.saturating_sub(section.address);
        output.offset = section.offset.saturating_add(within);
        end = output.end();
        if !output.flags.has(Flags::ZERO) {
            section.file_size = end.saturating_sub(section.address);
        }
    }
    section.size = end.saturating_sub(section.address);
}

fn check_size(link: &Link<'_>, memory: u64, file: u64) -> Result<()> {
    let limit = link.options.limits.output_size;
    over("output_size", "the size of the image", memory.max(file), limit)?;
    over("PE format", "the size of the image", memory.max(file), u32::MAX.into())?;
    if link.target.arch == Arch::X86 {
        let end = link.pe.base.saturating_add(memory);
        over("32-bit address space", "the end of the image at its preferred base (see --image-base)", end, REACH)?;
    }
    if memory > REACH && !link.options.pe.large_image {
        let what = format!(
            "the image has {memory} bytes, more than 2 GiB: no loader is known to take it; {}",
            "leave something out, or ask for it all the same with --allow-large-image"
        );
        return Err(Error::Options(what).into());
    }
    Ok(())
}
