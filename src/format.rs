//! The doors to the rooms of the formats: what the shared middle of the link asks of a format, one match each.
//!
//! The rooms have plain modules with functions of the same names. What only one format has stays behind its door.

use crate::elf;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::link::Link;
use crate::model::{InputName, Object, ObjectId, ObjectInfo, SectionIndex, Symbol, SymbolIndex};
use crate::options::{Format, Target};
use crate::scan::Scan;
use crate::slots::PltEntry;
use crate::symbols::Anchor;

/// What the rooms that are not there would be asked for.
const NO_ROOM: &str = "images of this format cannot be linked";

/// Reads an object file, of whatever format its first bytes say.
///
/// # Errors
/// Bytes that contradict their format; contents that cannot be linked.
pub(crate) fn parse<'a>(name: InputName<'a>, bytes: &'a [u8]) -> Result<Object<'a>, Error> {
    elf::parse::parse(name, bytes)
}

/// What an object is for.
///
/// # Errors
/// A machine that this linker does not know.
pub(crate) fn target_of(object: &Object<'_>) -> Result<Target, Error> {
    match &object.info {
        ObjectInfo::Elf(info) => elf::target_of(&object.name, info),
    }
}

/// Checks that an object is for the target that `source` has fixed.
///
/// # Errors
/// [`Error::Incompatible`], naming both.
pub(crate) fn check_object(object: &Object<'_>, target: Target, source: &str) -> Result<(), Error> {
    match &object.info {
        ObjectInfo::Elf(info) => elf::check_object(&object.name, info, target, source),
    }
}

/// Defines what objects expect of a linker.
///
/// # Errors
/// What the room cannot define.
pub(crate) fn define_symbols(link: &mut Link<'_>) -> Result<(), Error> {
    match link.target.format {
        Format::Elf => elf::define_symbols(link),
        Format::MachO | Format::Pe => Err(Error::Options(NO_ROOM.to_owned())),
    }
}

/// Decides what each symbol is to relocations.
pub(crate) fn fix_traits(link: &mut Link<'_>) {
    match link.target.format {
        Format::Elf => elf::fix_traits(link),
        Format::MachO | Format::Pe => {}
    }
}

/// Gives indirect functions whose address code computes by itself one address for all purposes.
pub(crate) fn give_plt_addresses(link: &mut Link<'_>, symbols: &[(ObjectId, SymbolIndex)]) {
    match link.target.format {
        Format::Elf => elf::give_plt_addresses(link, symbols),
        Format::MachO | Format::Pe => {}
    }
}

/// Whether calls through the PLT are bound when the image is loaded, so that they share slots with the GOT.
pub(crate) fn binds_now(link: &Link<'_>) -> bool {
    match link.target.format {
        Format::Elf => link.options.elf.now,
        Format::MachO | Format::Pe => true,
    }
}

/// Words at the start of the GOT that are no symbol's.
pub(crate) fn got_header(link: &Link<'_>) -> u32 {
    match link.target.format {
        Format::Elf => elf::machine(link).got_header,
        Format::MachO | Format::Pe => 0,
    }
}

/// Decides the sections of the image, and makes all tables that do not depend on addresses.
///
/// # Errors
/// What does not fit the format.
pub(crate) fn plan(link: &mut Link<'_>, found: Scan) -> Result<()> {
    match link.target.format {
        Format::Elf => elf::plan(link, found),
        Format::MachO | Format::Pe => Err(Error::Options(NO_ROOM.to_owned()).into()),
    }
}

/// Gives every section its address and file offset.
///
/// # Errors
/// An image beyond the limits of the format or of [`Limits`](crate::Limits).
pub(crate) fn assign_addresses(link: &mut Link<'_>) -> Result<()> {
    match link.target.format {
        Format::Elf => elf::assign_addresses(link),
        Format::MachO | Format::Pe => Err(Error::Options(NO_ROOM.to_owned()).into()),
    }
}

/// Fixes the addresses of all symbols, makes the small tables, and says where each byte of the file comes from.
///
/// # Errors
/// Tables that cannot be made.
pub(crate) fn emit(link: Link<'_>) -> Result<Image<'_>> {
    match link.target.format {
        Format::Elf => elf::emit(link),
        Format::MachO | Format::Pe => Err(Error::Options(NO_ROOM.to_owned()).into()),
    }
}

/// Where an offset of an input section has gone in its contribution.
pub(crate) fn moved_offset(link: &Link<'_>, object: ObjectId, section: SectionIndex, offset: u64) -> u64 {
    match link.target.format {
        Format::Elf => elf::moved_offset(link, object, section, offset),
        Format::MachO | Format::Pe => offset,
    }
}

/// The address of the block of common symbols.
pub(crate) fn commons_address(link: &Link<'_>) -> u64 {
    match link.target.format {
        Format::Elf => link.elf.commons_address(link),
        Format::MachO | Format::Pe => 0,
    }
}

/// The address of a place that layout knows.
pub(crate) fn anchor_address(link: &Link<'_>, anchor: Anchor) -> u64 {
    match link.target.format {
        Format::Elf => elf::anchor_address(link, anchor),
        Format::MachO | Format::Pe => 0,
    }
}

/// The address of a word of the GOT.
pub(crate) fn got_address(link: &Link<'_>, word: u32) -> u64 {
    match link.target.format {
        Format::Elf => elf::got::got_address(link, word),
        Format::MachO | Format::Pe => 0,
    }
}

/// The address that calls through a PLT entry go to.
pub(crate) fn plt_address(link: &Link<'_>, entry: PltEntry) -> u64 {
    match link.target.format {
        Format::Elf => elf::got::plt_address(link, entry),
        Format::MachO | Format::Pe => 0,
    }
}

/// The addresses of every object's symbols, with the addresses of sections as they are.
pub(crate) fn symbol_addresses(link: &Link<'_>) -> Vec<Vec<u64>> {
    match link.target.format {
        Format::Elf => elf::emit::symbol_addresses(link),
        Format::MachO | Format::Pe => Vec::new(),
    }
}

/// Whether indirect branches may lead to landing pads only.
pub(crate) fn guards_branches(link: &Link<'_>) -> bool {
    match link.target.format {
        Format::Elf => link.elf.ibt,
        Format::MachO | Format::Pe => false,
    }
}

/// The offset in the image's TLS block that stands for an address in the template.
pub(crate) fn tls_block_offset(link: &Link<'_>, address: u64) -> u64 {
    match link.target.format {
        Format::Elf => elf::tls_block_offset(link, address),
        Format::MachO | Format::Pe => address,
    }
}

/// The size of what a symbol of an object stands for, in bytes.
pub(crate) fn symbol_size(link: &Link<'_>, symbol: &Symbol) -> u64 {
    match link.target.format {
        Format::Elf => elf::symtab::symbol_size(link, symbol),
        Format::MachO | Format::Pe => symbol.size,
    }
}

/// Whether the fields that the loader fills with resolvers' answers keep what they hold in the input.
pub(crate) fn leaves_indirect(link: &Link<'_>) -> bool {
    match link.target.format {
        Format::Elf => elf::machine(link).rela,
        Format::MachO | Format::Pe => true,
    }
}

/// Makes the bytes of a part of a table from its offset `at` on in `out`; what is missing is zero.
pub(crate) fn fill_table(link: &Link<'_>, table: u16, part: u32, at: u64, out: &mut [u8]) {
    match link.target.format {
        Format::Elf => elf::emit::fill_table(link, table, part, at, out),
        Format::MachO | Format::Pe => out.fill(0),
    }
}

/// Corrects what relocations do not reach, in a stretch that starts at `start` of a section and is in `out`.
pub(crate) fn patch_section(link: &Link<'_>, object: ObjectId, section: SectionIndex, start: u64, out: &mut [u8]) {
    match link.target.format {
        Format::Elf => elf::emit::patch_section(link, object, section, start, out),
        Format::MachO | Format::Pe => {}
    }
}
