//! The headers of a PE file, and the debug directory.
//!
//! Source: PE/COFF specification, *MS-DOS Stub*, *COFF File Header*, *Optional Header*, *Section Table*, *The .debug
//! Section*.

use object::pe;

use super::place::{FILE_ALIGNMENT, SECTION_ALIGNMENT};
use super::symtab::SymbolTable;
use super::{ImageSection, Table, machine_of, plan, ready_exports, table_output, word};
use crate::bytes;
use crate::error::Error;
use crate::layout::{Content, OutputSection};
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::model::{GlobalId, Object, SymbolSection, Traits};
use crate::options::Arch;
use crate::symbols::Definition;

/// The program that DOS runs, which says that it is none.
const DOS_CODE: [u8; 14] = [
    0x0e, // push cs
    0x1f, // pop ds
    0xba, 0x0e, 0x00, // mov dx, 14
    0xb4, 0x09, // mov ah, 9
    0xcd, 0x21, // int 0x21
    0xb8, 0x01, 0x4c, // mov ax, 0x4c01
    0xcd, 0x21, // int 0x21
];
const DOS_TEXT: &[u8] = b"This program cannot be run in DOS mode.$";
/// The file offset of the PE signature, behind DOS header and program.
const SIGNATURE: u64 = 128;
/// The sizes of what follows, in bytes.
const FILE_HEADER: u64 = 4 + 20;
const SECTION_HEADER: u64 = 40;
/// The number of data directories.
const DIRECTORIES: usize = 16;
/// Offset of the checksum in the optional header.
const CHECKSUM: u64 = 64;

/// The size of the debug directory with what it leads to, in bytes: an entry, then a CodeView record with an identity of
/// 16 bytes, an age, and an empty name of a PDB file.
pub(crate) const BUILD_ID_SIZE: u64 = DEBUG_ENTRY + CODE_VIEW;
const DEBUG_ENTRY: u64 = 28;
const CODE_VIEW: u64 = 4 + 16 + 4 + 1;

fn optional_header_size(arch: Arch) -> u64 {
    let fields = if arch == Arch::X86 { 96 } else { 112 };
    fields + 8 * DIRECTORIES as u64
}

/// The size of all headers, in bytes.
pub(crate) fn size(link: &Link<'_>) -> u64 {
    SIGNATURE + FILE_HEADER + optional_header_size(link.target.arch) + SECTION_HEADER * link.pe.sections.len() as u64
}

/// The file offset of the checksum.
pub(crate) fn checksum_offset() -> u64 {
    SIGNATURE + FILE_HEADER + CHECKSUM
}

/// File offsets and sizes of what identifies the contents: time stamps, and the debug directory's identity.
pub(crate) fn identities(link: &Link<'_>) -> Vec<(u64, u64)> {
    let mut places = Vec::new();
    if link.options.pe.timestamp {
        places.push((SIGNATURE + 8, 4));
    }
    if let Some(output) = table_output(link, Table::BuildId) {
        if link.options.pe.timestamp {
            places.push((output.offset + 4, 4));
        }
        places.push((output.offset + DEBUG_ENTRY + 4, 16));
    }
    places
}

/// The headers, with zeros for checksum and identity.
pub(crate) fn bytes(link: &Link<'_>, symtab: Option<&SymbolTable>) -> Vec<u8> {
    let arch = link.target.arch;
    let mut out = Writer(Vec::new());
    // The DOS header: a signature, and at its end where the PE signature is.
    out.0.extend(b"MZ");
    out.0.resize(8, 0);
    out.u16(4); // Headers of 4 paragraphs.
    out.0.resize(60, 0);
    out.u32(SIGNATURE as u32);
    out.0.extend(DOS_CODE);
    out.0.extend_from_slice(DOS_TEXT);
    out.0.resize(SIGNATURE as usize, 0);

    out.0.extend(b"PE\0\0");
    out.u16(machine_of(arch).0);
    out.u16(link.pe.sections.len() as u16);
    out.u32(0); // The time stamp: an identity.
    out.u32(symtab.map_or(0, |symtab| symtab.offset as u32));
    out.u32(symtab.map_or(0, |symtab| symtab.count));
    out.u16(optional_header_size(arch) as u16);
    let kind = pe::IMAGE_FILE_EXECUTABLE_IMAGE.0 | pe::IMAGE_FILE_DLL.0;
    let bits = if arch == Arch::X86 { pe::IMAGE_FILE_32BIT_MACHINE.0 } else { 0 };
    let large = if link.options.pe.large_address_aware.unwrap_or(arch != Arch::X86) {
        pe::IMAGE_FILE_LARGE_ADDRESS_AWARE.0
    } else {
        0
    };
    out.u16(kind | bits | large);
    optional_header(link, &mut out);
    for section in &link.pe.sections {
        section_header(section, link.pe.base, symtab, &mut out);
    }
    out.0
}

fn optional_header(link: &Link<'_>, out: &mut Writer) {
    let options = &link.options.pe;
    let arch = link.target.arch;
    let narrow = arch == Arch::X86;
    let aligned = |section: &ImageSection| section.file_size.next_multiple_of(FILE_ALIGNMENT) as u32;
    let sum = |flag: u32| -> u32 {
        let sections = link.pe.sections.iter().filter(|section| section.characteristics & flag != 0);
        sections.map(aligned).fold(0, u32::wrapping_add)
    };
    let relative = |address: u64| address.wrapping_sub(link.pe.base) as u32;
    let code = link.pe.sections.iter().find(|section| section.characteristics & pe::IMAGE_SCN_CNT_CODE.0 != 0);
    let data = link.pe.sections.iter().find(|section| section.characteristics & pe::IMAGE_SCN_CNT_CODE.0 == 0);
    out.u16(if narrow { pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC } else { pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC });
    out.0.extend([14, 0]); // The linker's version: one that debuggers do not wonder at.
    out.u32(sum(pe::IMAGE_SCN_CNT_CODE.0));
    out.u32(sum(pe::IMAGE_SCN_CNT_INITIALIZED_DATA.0));
    out.u32(0);
    out.u32(link.pe.entry.map_or(0, |entry| relative(link.global_address(entry))));
    out.u32(code.map_or(0, |section| relative(section.address)));
    if narrow {
        out.u32(data.map_or(0, |section| relative(section.address)));
    }
    out.word(link.pe.base, narrow);
    out.u32(SECTION_ALIGNMENT as u32);
    out.u32(FILE_ALIGNMENT as u32);
    let (major, minor) = options.subsystem_version;
    let (os_major, os_minor) = options.os_version;
    let said = match options.image_version {
        (0, 0) => link.pe.definitions.version,
        version => Some(version),
    };
    let (image_major, image_minor) = said.unwrap_or_default();
    for version in [os_major, os_minor, image_major, image_minor, major, minor] {
        out.u16(version);
    }
    out.u32(0);
    let end = link.pe.sections.last().map_or(link.pe.base, ImageSection::end);
    out.u32(relative(end.next_multiple_of(SECTION_ALIGNMENT)));
    out.u32(size(link).next_multiple_of(FILE_ALIGNMENT) as u32);
    out.u32(0); // The checksum.
    out.u16(options.subsystem);
    let entropy = options.high_entropy_va && !narrow;
    let flags = [
        (entropy, pe::IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA.0),
        (super::may_be_moved(link), pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE.0),
        (options.nx_compat, pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT.0),
        (options.force_integrity, pe::IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY.0),
        (options.no_isolation, pe::IMAGE_DLLCHARACTERISTICS_NO_ISOLATION.0),
        (options.no_seh, pe::IMAGE_DLLCHARACTERISTICS_NO_SEH.0),
        (options.no_bind, pe::IMAGE_DLLCHARACTERISTICS_NO_BIND.0),
        (options.app_container, pe::IMAGE_DLLCHARACTERISTICS_APPCONTAINER.0),
        (options.wdm_driver, pe::IMAGE_DLLCHARACTERISTICS_WDM_DRIVER.0),
    ];
    out.u16(flags.into_iter().filter(|(on, _)| *on).fold(0, |flags, (_, flag)| flags | flag));
    // Stack and heap, reserved and committed: the process's, not a DLL's.
    let definitions = &link.pe.definitions;
    let sizes = [options.stack.or(definitions.stack), options.heap.or(definitions.heap)];
    for size in sizes.into_iter().map(|sizes| sizes.unwrap_or((1 << 20, 4096))).flat_map(|sizes| [sizes.0, sizes.1]) {
        out.word(size, narrow);
    }
    out.u32(0);
    out.u32(DIRECTORIES as u32);
    for (address, size) in directories(link) {
        out.u32(if size == 0 { 0 } else { relative(address) });
        out.u32(size as u32);
    }
}

/// Addresses and sizes of the data directories.
fn directories(link: &Link<'_>) -> [(u64, u64); DIRECTORIES] {
    let mut directories = [(0, 0); DIRECTORIES];
    let span = |outputs: &[&OutputSection<'_>]| match (outputs.first(), outputs.last()) {
        (Some(first), Some(last)) => (first.address, last.end() - first.address),
        _ => (0, 0),
    };
    let table = |table: Table| span(table_output(link, table).as_slice());
    let pieces = |of: Table, name: &[u8], end: Option<Table>| -> Vec<&OutputSection<'_>> {
        let is = |content: &Content, table: Table| matches!(content, Content::Table(number) if *number == table as u16);
        let wanted = |output: &&OutputSection<'_>| {
            output.name.starts_with(name) || is(&output.content, of) || end.is_some_and(|end| is(&output.content, end))
        };
        link.outputs.iter().filter(wanted).collect()
    };
    let exports = ready_exports::place(link).unwrap_or_else(|| table(Table::Exports));
    directories[pe::IMAGE_DIRECTORY_ENTRY_EXPORT] = exports;
    let imports = pieces(Table::ImportDirectory, b".idata$2", Some(Table::ImportDirectoryEnd));
    directories[pe::IMAGE_DIRECTORY_ENTRY_IMPORT] = span(&imports);
    directories[pe::IMAGE_DIRECTORY_ENTRY_IAT] = span(&pieces(Table::ImportAddress, b".idata$5", None));
    directories[pe::IMAGE_DIRECTORY_ENTRY_RESOURCE] = plan::resources(link).unwrap_or_default();
    // Rows of functions that are not part of the image would end the order.
    let rows = link.pe.rows.and_then(|number| link.outputs.get(number as usize));
    let (rows, size) = span(rows.as_slice());
    directories[pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION] = (rows, size.saturating_sub(link.pe.dead_rows));
    directories[pe::IMAGE_DIRECTORY_ENTRY_BASERELOC] = table(Table::BaseRelocations);
    let (debug, size) = table(Table::BuildId);
    directories[pe::IMAGE_DIRECTORY_ENTRY_DEBUG] = (debug, size.min(DEBUG_ENTRY));
    if let Some(tls) = structure(link, TLS_DIRECTORY) {
        directories[pe::IMAGE_DIRECTORY_ENTRY_TLS] = (tls.address, tls_directory_size(link));
    }
    if let Some(config) = structure(link, LOAD_CONFIGURATION) {
        let size = bytes::u32(config.contents, 0).unwrap_or(0);
        directories[pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG] = (config.address, size.into());
    }
    directories
}

/// The symbol, as in C, of the TLS directory.
pub(super) const TLS_DIRECTORY: &[u8] = b"_tls_used";
/// The symbol, as in C, of the load configuration.
pub(super) const LOAD_CONFIGURATION: &[u8] = b"_load_config_used";

/// The symbol of a structure that a start file brings.
pub(super) fn structure_symbol(link: &Link<'_>, name: &[u8]) -> Option<GlobalId> {
    let decorated = [b"_", name].concat();
    link.symbols.find(if link.target.arch == Arch::X86 { &decorated } else { name }).map(|(id, _)| id)
}

/// A structure that a start file brings.
struct Structure<'l, 'a> {
    /// The object that it is in.
    object: &'l Object<'a>,
    /// Its address.
    address: u64,
    /// The bytes of the input from there on.
    contents: &'l [u8],
    /// The number of bytes to the end of its section.
    room: u64,
}

fn structure<'l, 'a>(link: &'l Link<'a>, name: &[u8]) -> Option<Structure<'l, 'a>> {
    let id = structure_symbol(link, name)?;
    let (root, _) = link.symbols.root(id, 0);
    let Definition::Object(object, index) = link.symbols.get(root).definition else { return None };
    let object = link.object(object);
    let symbol = object.symbols.get(index as usize)?;
    let SymbolSection::In(section) = symbol.section() else { return None };
    let section = object.sections.get(section as usize)?;
    if symbol.traits.has(Traits::DISCARDED) {
        return None;
    }
    let contents = bytes::tail(&section.data, symbol.value).unwrap_or_default();
    let room = section.size.saturating_sub(symbol.value);
    Some(Structure { object, address: link.global_address(id), contents, room })
}

/// Checks that structures which directories lead to are as large as these say: the loader reads that much.
///
/// # Errors
/// One that reaches beyond its section, or has no size.
pub(super) fn check(link: &Link<'_>) -> Result<(), Error> {
    let reaches = |of: &Structure<'_, '_>, name: &[u8], size: u64| {
        let (name, room) = (String::from_utf8_lossy(name), of.room);
        let what = format!("{name}: {size} bytes, of which its section has {room}");
        Error::malformed(&of.object.name, what)
    };
    if let Some(tls) = structure(link, TLS_DIRECTORY)
        && tls.room < tls_directory_size(link)
    {
        return Err(reaches(&tls, TLS_DIRECTORY, tls_directory_size(link)));
    }
    if let Some(config) = structure(link, LOAD_CONFIGURATION) {
        let size = bytes::u32(config.contents, 0).ok_or_else(|| {
            let what = "_load_config_used: its section ends before its size, of 4 bytes";
            Error::malformed(&config.object.name, what)
        })?;
        if config.room < u64::from(size) {
            return Err(reaches(&config, LOAD_CONFIGURATION, size.into()));
        }
    }
    Ok(())
}

/// The file offset of bytes at an address, if the file has them.
fn file_offset(link: &Link<'_>, address: u64) -> Option<u64> {
    let holds = |section: &&ImageSection| section.address <= address && address - section.address < section.file_size;
    link.pe.sections.iter().find(holds).map(|section| section.offset + (address - section.address))
}

/// Where the load configuration has flags by which the loader searches for the DLLs that the image imports from
/// (`DependentLoadFlags` of `IMAGE_LOAD_CONFIG_DIRECTORY`, `winnt.h`), in bytes from its start.
fn dependent_load_flags_offset(arch: Arch) -> u64 {
    if arch == Arch::X86 { 54 } else { 78 }
}

/// The flags by which the loader is to search for DLLs, if an option states them and there is room for them, and their file offset.
pub(super) fn dependent_load_flags(link: &Link<'_>) -> Option<(u64, u16)> {
    let flags = link.options.pe.dependent_load_flags?;
    let config = structure(link, LOAD_CONFIGURATION)?;
    let within = dependent_load_flags_offset(link.target.arch);
    let size = bytes::u32(config.contents, 0).map(u64::from)?;
    let offset = file_offset(link, config.address.wrapping_add(within))?;
    (within + 2 <= size).then_some((offset, flags))
}

/// Bytes of the TLS directory (PE Format, *The TLS Directory*).
fn tls_directory_size(link: &Link<'_>) -> u64 {
    if link.target.arch == Arch::X86 { 24 } else { 40 }
}

/// The last word of the TLS directory, and its file offset, if there is thread-local data: `Characteristics`, whose bits 20 to
/// 23 tell the alignment as a section header of an object does (PE Format, *The TLS Directory*). The start file that
/// brings the directory cannot know it.
pub(super) fn tls_characteristics(link: &Link<'_>) -> Option<(u64, u32)> {
    const ALIGN_LIMIT: u64 = 8192;
    let outputs = link.outputs.iter().zip(&link.pe.section_of);
    let is_tls =
        |section: u16| link.pe.sections.get(usize::from(section)).is_some_and(|section| section.name == b".tls");
    let align = outputs.filter(|(_, section)| is_tls(**section)).map(|(output, _)| output.align).max()?;
    let bits = (align.clamp(1, ALIGN_LIMIT).ilog2() + 1) << 20;
    let tls = structure(link, TLS_DIRECTORY)?;
    let within = tls_directory_size(link) - 4;
    let given = bytes::u32(tls.contents, within)?;
    let offset = file_offset(link, tls.address.wrapping_add(within))?;
    Some((offset, (given & !pe::IMAGE_SCN_ALIGN_MASK) | bits))
}

fn section_header(section: &ImageSection, base: u64, symtab: Option<&SymbolTable>, out: &mut Writer) {
    let mut name = [0; 8];
    let long = symtab.and_then(|symtab| symtab.section_names.get(&section.name));
    let text = match long {
        Some(offset) => long_name(*offset),
        None => section.name.clone(),
    };
    name.iter_mut().zip(&text).for_each(|(place, byte)| *place = *byte);
    out.0.extend(name);
    out.u32(section.size as u32);
    out.u32(section.address.wrapping_sub(base) as u32);
    let file_size = section.file_size.next_multiple_of(FILE_ALIGNMENT);
    out.u32(file_size as u32);
    out.u32(if file_size == 0 { 0 } else { section.offset as u32 });
    out.0.extend([0; 12]); // Neither relocations nor line numbers.
    let more = if malfunction::on(Malfunction::ReadOnlyWritable) { pe::IMAGE_SCN_MEM_WRITE.0 } else { 0 };
    out.u32(section.characteristics | more);
}

/// How a section's header refers to the string table: by a decimal number or, where that has more than seven digits, by
/// six digits of base 64.
fn long_name(offset: u32) -> Vec<u8> {
    if offset <= 9_999_999 {
        return format!("/{offset}").into_bytes();
    }
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |shift: u32| DIGITS[(u64::from(offset) >> shift & 63) as usize];
    let digits = [30, 24, 18, 12, 6, 0].map(digit);
    [&b"//"[..], &digits].concat()
}

/// Where in the debug directory's section the identity is that `__buildid` stands for: behind the entry and `RSDS`.
pub(super) const IDENTITY: u64 = DEBUG_ENTRY + 4;

/// The debug directory, with zeros for identities.
pub(crate) fn build_id(link: &Link<'_>) -> Vec<u8> {
    let Some(output) = table_output(link, Table::BuildId) else { return Vec::new() };
    let mut out = Writer(Vec::new());
    out.u32(0);
    out.u32(0); // The time stamp: an identity.
    out.u32(0);
    out.u32(pe::IMAGE_DEBUG_TYPE_CODEVIEW.0);
    out.u32(CODE_VIEW as u32);
    out.u32((output.address + DEBUG_ENTRY).wrapping_sub(link.pe.base) as u32);
    out.u32((output.offset + DEBUG_ENTRY) as u32);
    out.0.extend(b"RSDS");
    out.0.extend([0; 16]); // An identity.
    out.u32(1);
    out.0.push(0);
    out.0
}

/// The number before a list of constructors, all ones, or the null word behind it.
pub(crate) fn list_word(link: &Link<'_>, table: Table) -> Vec<u8> {
    let start = matches!(table, Table::ConstructorsStart | Table::DestructorsStart);
    vec![if start { 0xff } else { 0 }; word(link.target.arch) as usize]
}

/// Little-endian numbers, one after the other.
struct Writer(Vec<u8>);

impl Writer {
    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    /// An address, or a size of that width.
    fn word(&mut self, value: u64, narrow: bool) {
        if narrow { self.u32(value as u32) } else { self.0.extend(value.to_le_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_have_two_forms() {
        assert_eq!(long_name(4), b"/4");
        assert_eq!(long_name(9_999_999), b"/9999999");
        assert_eq!(long_name(10_000_000), b"//AAmJaA");
        assert_eq!(long_name(u32::MAX), b"//D/////");
    }
}
