//! What only Windows images have: DLLs in the Portable Executable format, linked from COFF objects by the rules of MinGW
//! linkers.
//!
//! Unlike an ELF library, a DLL is bound for good when it is linked. Each reference to another image names the
//! image: it goes through a slot that the loader fills (`__imp_f`), or through a few bytes of code that jump there (`f`),
//! and both are symbols of this image. So relocations need no scanning for what the image must provide; what is left to
//! the loader are base relocations, for when it loads the image elsewhere than at its preferred base.
//!
//! Addresses count from the preferred base: they are what the image's words hold in the file. Offsets from the base,
//! of which the format's tables are full, are called *image-relative* here, as in the specification's *RVA*.
//!
//! Source: *PE Format* (Microsoft's specification of PE and COFF); for what no specification says, the manual pages of
//! GNU ld (*ld and WIN32*) and what both MinGW linkers are seen to do.

pub(crate) mod arm64;
pub(crate) mod base_relocs;
pub(crate) mod comdat;
pub(crate) mod define;
pub(crate) mod definitions;
pub(crate) mod directives;
pub(crate) mod emit;
pub(crate) mod entry;
pub(crate) mod exports;
pub(crate) mod headers;
pub(crate) mod import_library;
pub(crate) mod imports;
pub(crate) mod library;
pub(crate) mod parse;
pub(crate) mod place;
pub(crate) mod plan;
pub(crate) mod pseudo;
mod ready_exports;
pub(crate) mod relocs;
pub(crate) mod resources;
pub(crate) mod symtab;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use object::pe;

use crate::bytes;
use crate::error::Error;
use crate::layout::{Content, OutputSection};
use crate::link::Link;
use crate::memory::of_vec;
use crate::model::{self, GlobalId, InputName, Object, ObjectId, Symbol};
use crate::options::{Arch, BuildId, Format, Os, Target};
use crate::scan::Piece;
use crate::symbols::Anchor;
use crate::unwind::pdata;

pub(crate) use define::{define_symbols, fix_traits};
pub(crate) use emit::emit;
pub(crate) use place::assign_addresses;
pub(crate) use plan::plan;

/// What only COFF objects have.
#[derive(Debug)]
pub(crate) struct ObjectInfo<'a> {
    /// `Machine`.
    pub(crate) machine: pe::Machine,
    /// The contents of its `.drectve` sections.
    pub(crate) directives: Vec<&'a [u8]>,
    /// Its weak externals.
    pub(crate) weak: Vec<parse::WeakExternal>,
    /// Its COMDAT groups whose selection asks for more than one copy.
    pub(crate) comdats: Vec<comdat::Selected>,
}

impl<'a> ObjectInfo<'a> {
    /// What is to be known of an object that holds data only, with its `.drectve`.
    pub(crate) fn of_data(target: Target, directives: &'a [u8]) -> Self {
        let (weak, comdats) = (Vec::new(), Vec::new());
        Self { machine: machine_of(target.arch), directives: vec![directives], weak, comdats }
    }
}

/// What only COFF has of an object, if it is one.
pub(crate) fn info<'l, 'a>(object: &'l Object<'a>) -> Option<&'l ObjectInfo<'a>> {
    match &object.info {
        model::ObjectInfo::Pe(info) => Some(info),
        _ => None,
    }
}

/// What an object says is exported and, as `is_there` has it, nothing defines: each as symbols may be called that are meant.
pub(crate) fn undefined_exports(
    object: &Object<'_>,
    target: Target,
    is_there: impl Fn(&[u8]) -> bool,
) -> Vec<Vec<Vec<u8>>> {
    let is_there = |name: &[u8]| match target.arch {
        Arch::X86 => spellings(name, target.arch).iter().any(|name| is_there(name)),
        _ => is_there(name),
    };
    let texts = info(object).into_iter().flat_map(|info| &info.directives);
    let names = texts.flat_map(|text| directives::missing_exports(text, is_there));
    names.map(|name| spellings(&name, target.arch)).collect()
}

/// The symbols that a name to be exported may mean, first to last.
pub(crate) fn spellings(name: &[u8], arch: Arch) -> Vec<Vec<u8>> {
    match arch {
        Arch::X86 => vec![[b"_", name].concat(), name.to_vec()],
        _ => vec![name.to_vec()],
    }
}

/// Symbols that an object has count as referenced: `-include:` in its directives.
pub(crate) fn included<'a>(info: &ObjectInfo<'a>) -> Vec<&'a [u8]> {
    let texts = info.directives.iter().filter(|text| directives::may_include(text));
    let all = texts.flat_map(|text| directives::directives(text));
    let name = |directive| match directive {
        directives::Directive::Include(Cow::Borrowed(name)) => Some(name),
        _ => None,
    };
    all.filter_map(name).collect()
}

/// A symbol, and the one that it stands for if nothing else defines it.
pub(crate) type Alternate<'a> = (&'a [u8], &'a [u8]);

/// The symbols that are to stand for others, by an object's directives: `-alternatename:`.
pub(crate) fn alternates<'a>(object: &Object<'a>) -> Vec<Alternate<'a>> {
    let texts = info(object).into_iter().flat_map(|info| &info.directives);
    let all = texts.filter(|text| directives::may_have_alternates(text)).flat_map(|text| directives::directives(text));
    let pair = |directive| match directive {
        directives::Directive::AlternateName(Cow::Borrowed(from), Cow::Borrowed(to)) => Some((from, to)),
        _ => None,
    };
    all.filter_map(pair).collect()
}

/// The parts of an image that the linker makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub(crate) enum Table {
    /// The entry point's code, where no input has it.
    Entry,
    /// Code that jumps to imported functions.
    Thunks,
    /// Slots for functions of the image that were declared as imported.
    LocalSlots,
    /// The import directory: which DLLs, and where their tables are.
    ImportDirectory,
    /// The null entry that ends the import directory.
    ImportDirectoryEnd,
    /// The import lookup tables, which the loader leaves as they are.
    ImportLookup,
    /// The import address tables: the slots.
    ImportAddress,
    /// Names of imports, with hints, and of DLLs.
    ImportNames,
    /// `.edata`: the export directory, its tables and names.
    Exports,
    /// What start code corrects: see [`pseudo`].
    PseudoRelocations,
    /// The debug directory, with the identity of the contents.
    BuildId,
    /// The number before the list of constructors.
    ConstructorsStart,
    /// The null word behind the list of constructors.
    ConstructorsEnd,
    /// The number before the list of destructors.
    DestructorsStart,
    /// The null word behind the list of destructors.
    DestructorsEnd,
    /// The resources of several objects.
    Resources,
    /// `.reloc`: the base relocations.
    BaseRelocations,
}

/// All of them, in the order of their numbers.
pub(crate) const TABLES: [Table; 17] = [
    Table::Entry,
    Table::Thunks,
    Table::LocalSlots,
    Table::ImportDirectory,
    Table::ImportDirectoryEnd,
    Table::ImportLookup,
    Table::ImportAddress,
    Table::ImportNames,
    Table::Exports,
    Table::PseudoRelocations,
    Table::BuildId,
    Table::ConstructorsStart,
    Table::ConstructorsEnd,
    Table::DestructorsStart,
    Table::DestructorsEnd,
    Table::Resources,
    Table::BaseRelocations,
];

impl Table {
    /// The table as the content of an output section.
    pub(crate) fn content(self) -> Content {
        Content::Table(self as u16)
    }

    /// The table with a number, as [`content`](Self::content) gives it.
    pub(crate) fn from_number(number: u16) -> Option<Self> {
        TABLES.get(number as usize).copied()
    }
}

/// A place in a PE image that the linker itself names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The slot of an import.
    Slot(u32),
    /// The code that jumps to an import: an index into [`Imports::thunks`](imports::Imports).
    Thunk(u32),
    /// A slot with the address of a function of the image.
    LocalSlot(u32),
    /// The identity of the contents, if the image has it.
    Identity,
    /// The first byte of a table; of one that the image lacks, the image's start.
    Start(Table),
    /// The byte behind a table; of one that the image lacks, the image's start.
    End(Table),
    /// The first byte of the section with a name, and the byte behind its last one that is in the file or, for `.bss`, that
    /// is zero.
    SectionStart(&'static str),
    /// The byte behind the section.
    SectionEnd(&'static str),
}

/// A section of the image, as its header tells it.
#[derive(Debug, Clone)]
pub(crate) struct ImageSection {
    /// The name.
    pub(crate) name: Vec<u8>,
    /// Its output sections: indices into the link's list, the first and the one behind the last.
    pub(crate) outputs: (u32, u32),
    /// `Characteristics`.
    pub(crate) characteristics: u32,
    /// The address of its first byte.
    pub(crate) address: u64,
    /// Its size in memory, in bytes.
    pub(crate) size: u64,
    /// The size of what the file has of it, in bytes, not rounded up.
    pub(crate) file_size: u64,
    /// File offset of its first byte.
    pub(crate) offset: u64,
}

impl ImageSection {
    /// The address behind its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }
}

/// What is decided about a PE image.
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    /// The preferred base.
    pub(crate) base: u64,
    /// What definition files say.
    pub(crate) definitions: definitions::Definitions<'a>,
    /// The libraries of `-defaultlib:` that have been found, as directives call them.
    pub(crate) default_libraries: HashSet<Vec<u8>>,
    /// What is imported.
    pub(crate) imports: imports::Imports<'a>,
    /// Who has the slots of what nothing defines.
    pub(crate) slot_index: imports::SlotIndex<'a>,
    /// What is exported.
    pub(crate) exports: exports::Exports<'a>,
    /// Resources, where several objects bring some.
    pub(crate) resources: resources::Resources<'a>,
    /// The entry point.
    pub(crate) entry: Option<GlobalId>,
    /// The entry point's code is to be made.
    pub(crate) makes_entry: bool,
    /// Output sections that join others, by what inputs ask for: `-merge:`.
    pub(crate) merges: HashMap<Vec<u8>, Vec<u8>>,
    /// What inputs ask the headers of sections of the image to say of memory: `-section:`.
    pub(crate) attributes: HashMap<Vec<u8>, u32>,
    /// Symbols that stand for the slots of data of DLLs which code refers to as if they were the image's.
    pub(crate) auto_imported: HashSet<GlobalId>,
    /// Symbols that nothing defines, and the import libraries that have them as data.
    pub(crate) importable: HashMap<GlobalId, String>,
    /// Stretches of relocations that the loader has a part in.
    pub(crate) pieces: Vec<Piece>,
    /// The sections, in order of their addresses.
    pub(crate) sections: Vec<ImageSection>,
    /// The section of each output section.
    pub(crate) section_of: Vec<u16>,
    /// The output section of each table.
    pub(crate) tables: [Option<u32>; TABLES.len()],
    /// The output section of the common symbols.
    pub(crate) commons: Option<u32>,
    /// The output section of functions' unwind rows, where the CPU has such a table.
    pub(crate) rows: Option<u32>,
    /// Bytes at the end of the table of functions with rows of functions that are not part of the image.
    pub(crate) dead_rows: u64,
    /// `.reloc`.
    pub(crate) base_relocs: Vec<u8>,
    /// The bytes of the other tables, once they are made.
    pub(crate) made: Vec<(Table, Vec<u8>)>,
}

/// The output section of a table.
pub(crate) fn table_output<'l, 'a>(link: &'l Link<'a>, table: Table) -> Option<&'l OutputSection<'a>> {
    let number = link.pe.tables.get(table as usize).copied().flatten()?;
    link.outputs.get(number as usize)
}

/// The section that holds an address, or ends at it.
pub(crate) fn section_at(link: &Link<'_>, address: u64) -> Option<u16> {
    let behind = link.pe.sections.partition_point(|section| section.address <= address);
    let section = behind.checked_sub(1)?;
    u16::try_from(section).ok().filter(|_| link.pe.sections[section].end() >= address)
}

/// The address of the first byte of the section that holds a symbol of an object.
pub(crate) fn section_start(link: &Link<'_>, id: ObjectId, symbol: &Symbol) -> u64 {
    let section = relocs::section_of(link, id, symbol).and_then(|section| link.pe.sections.get(usize::from(section)));
    section.map_or(0, |section| section.address)
}

/// Why nothing defines a symbol, if a DLL has it as data: data have to be declared as imported, or imported automatically.
pub(crate) fn undefined_hint(link: &Link<'_>, id: GlobalId) -> Option<String> {
    let name = link.symbols.get(id).name;
    let index = &link.pe.slot_index;
    let data = index.import(&link.libraries, name).filter(|(_, import)| !import.code);
    let dll = data.map(|(dll, _)| String::from_utf8_lossy(dll).into_owned());
    let slot = || match index.slot_of(&link.symbols, &link.libraries, name)? {
        imports::Slot::Own(_) => Some("a DLL".to_owned()),
        imports::Slot::Import(dll, _) => Some(String::from_utf8_lossy(dll).into_owned()),
    };
    let dll = dll.or_else(|| link.pe.importable.get(&id).cloned()).or_else(slot)?;
    let (on, off) = match link.options.pe.auto_import {
        true => ("--enable-runtime-pseudo-reloc", "--disable-runtime-pseudo-reloc"),
        false => ("--enable-auto-import", "--disable-auto-import"),
    };
    Some(format!(
        "it is data of {dll}, which with {off} code has to declare with dllimport; or link with {on}, dllcrt2.o and -lmingw32"
    ))
}

/// Symbols that the headers refer to: the entry point, and the structures that start files bring; and those that objects ask
/// for (`-include:`).
pub(crate) fn roots(link: &Link<'_>) -> Vec<GlobalId> {
    let structures = [headers::TLS_DIRECTORY, headers::LOAD_CONFIGURATION];
    let structures = structures.into_iter().filter_map(|name| headers::structure_symbol(link, name));
    let asked = link.objects.iter().filter_map(info).flat_map(included);
    let asked = asked.filter_map(|name| link.symbols.find(name).map(|(id, _)| id));
    link.pe.entry.into_iter().chain(structures).chain(asked).collect()
}

/// The import library of the image.
///
/// # Errors
/// [`Error::Limit`]: an archive of more than 4 GiB.
pub(crate) fn import_library(link: &Link<'_>) -> Result<Vec<u8>, Error> {
    let entries = link.pe.exports.entries().iter().filter(|entry| !entry.private);
    // Exports are sorted by name, and number at most 65,535.
    let records = (0..=u16::MAX).zip(entries).map(|(place, entry)| {
        let own = entry.symbol().map(|id| link.symbols.get(id).name);
        import_library::Record::new(entry, own, link.target.arch, place)
    });
    let dll = exports::dll_name(link).as_bytes();
    import_library::bytes(dll, machine_of(link.target.arch), &records.collect::<Vec<_>>())
}

/// The definition file that exports what the image exports, under the same numbers.
pub(crate) fn definition_file(link: &Link<'_>) -> Vec<u8> {
    definitions::text(exports::dll_name(link), link.pe.exports.entries())
}

/// Files that are to be written beside the image, and their contents.
///
/// # Errors
/// As [`import_library()`].
pub(crate) fn further_files<'l>(link: &'l Link<'_>) -> Result<Vec<(&'l Path, Vec<u8>)>, Error> {
    let mut files = Vec::new();
    if let Some(path) = &link.options.pe.import_library {
        files.push((path.as_path(), import_library(link)?));
    }
    if let Some(path) = &link.options.pe.definition_file {
        files.push((path.as_path(), definition_file(link)));
    }
    Ok(files)
}

/// Bytes of memory that a plan has taken.
pub(crate) fn held(plan: &Plan<'_>) -> u64 {
    let made = plan.made.iter().map(|(_, bytes)| of_vec(bytes));
    let tables = [
        of_vec(&plan.pieces),
        of_vec(&plan.sections),
        of_vec(&plan.section_of),
        of_vec(&plan.base_relocs),
        plan.imports.held(),
        plan.slot_index.held(),
        plan.exports.held(),
        plan.resources.held(),
    ];
    tables.into_iter().chain(made).fold(0, u64::saturating_add)
}

/// The address of the block of common symbols.
pub(crate) fn commons_address(link: &Link<'_>) -> u64 {
    let output = link.pe.commons.and_then(|number| link.outputs.get(number as usize));
    output.map_or(link.pe.base, |output| output.address)
}

/// The address of a place that layout knows.
pub(crate) fn anchor_address(link: &Link<'_>, anchor: Anchor) -> u64 {
    let start = |table| table_output(link, table).map_or(link.pe.base, |output| output.address);
    let named = |name: &str| link.pe.sections.iter().find(|section| section.name == name.as_bytes());
    match anchor {
        Anchor::Pe(Place::Slot(slot)) => {
            start(Table::ImportAddress).wrapping_add(link.pe.imports.slot_offset(slot, word(link.target.arch)))
        }
        Anchor::Pe(Place::Thunk(thunk)) => {
            start(Table::Thunks).wrapping_add(u64::from(thunk).wrapping_mul(imports::thunk_size(link.target.arch)))
        }
        Anchor::Pe(Place::LocalSlot(slot)) => {
            start(Table::LocalSlots).wrapping_add(u64::from(slot).wrapping_mul(word(link.target.arch)))
        }
        Anchor::Pe(Place::Identity) => start(Table::BuildId).wrapping_add(headers::IDENTITY),
        Anchor::Pe(Place::Start(table)) => start(table),
        Anchor::Pe(Place::End(table)) => table_output(link, table).map_or(link.pe.base, OutputSection::end),
        Anchor::Pe(Place::SectionStart(name)) => match link.outputs.iter().find(|it| *it.name == *name.as_bytes()) {
            Some(output) => output.address,
            None => named(name).map_or(link.pe.base, |section| section.address),
        },
        Anchor::Pe(Place::SectionEnd(name)) => match link.outputs.iter().rfind(|it| *it.name == *name.as_bytes()) {
            Some(output) => output.end(),
            None => named(name).map_or(link.pe.base, ImageSection::end),
        },
        _ => link.pe.base,
    }
}

/// The size of a function's unwind row, in bytes, if the CPU has a table of such.
pub(crate) fn row_size(arch: Arch) -> Option<u64> {
    match arch {
        Arch::X86_64 => Some(pdata::ROW as u64),
        Arch::Aarch64 => Some(pdata::ARM_ROW as u64),
        // To i386, a section that is called as the table is is one like others.
        _ => None,
    }
}

/// The size of the rows of a section, in bytes, if it is a piece of `.pdata`.
pub(crate) fn function_row(arch: Arch, section: &model::Section<'_>) -> Option<u64> {
    row_size(arch).filter(|_| section.is_live() && plan::is_rows(section.name))
}

/// Whether an object is one of those that an import library in short form has for linkers which know its long form only:
/// pieces of import tables and no more.
pub(crate) fn is_import_glue(object: &Object<'_>) -> bool {
    object.sections.iter().skip(1).all(|section| section.name.starts_with(b".idata$"))
}

/// How the bytes that identify an image's contents are computed: well where they are to be told from all others, else just
/// enough for a time stamp.
pub(crate) fn identity_kind(link: &Link<'_>) -> &'static BuildId {
    if link.options.pe.build_id { &BuildId::Bytes16 } else { &BuildId::Fast }
}

/// Whether the loader may put the image elsewhere than at the base it prefers. Windows on Arm loads no other (Microsoft's linker,
/// `/DYNAMICBASE`).
pub(crate) fn may_be_moved(link: &Link<'_>) -> bool {
    link.options.pe.dynamic_base || link.target.arch == Arch::Aarch64
}

/// The machine that an object, a member of an import library or a DLL is for, by its first bytes.
pub(crate) fn machine(file: &[u8]) -> Option<pe::Machine> {
    let at = match file {
        [b'M', b'Z', ..] => u64::from(bytes::u32(file, 60)?).checked_add(4)?,
        [0, 0, 0xff, 0xff, ..] => 6,
        _ if parse::is_object(file) => 0,
        _ => return None,
    };
    bytes::u16(file, at).map(pe::Machine)
}

/// The size of an address, in bytes.
pub(crate) fn word(arch: Arch) -> u64 {
    if arch == Arch::X86 { 4 } else { 8 }
}

/// What a symbol is called in C: on i386 compilers put an underscore before it.
pub(crate) fn c_name(arch: Arch, symbol: &[u8]) -> &[u8] {
    let plain = symbol.strip_prefix(b"_").filter(|_| arch == Arch::X86);
    plain.unwrap_or(symbol)
}

/// What a machine number says that an image is for.
pub(crate) fn target_of_machine(machine: pe::Machine) -> Option<Target> {
    arch_of(machine).map(|arch| Target { format: Format::Pe, arch, os: Os::Windows })
}

/// What an object, a member of an import library or a DLL is for, by its first bytes.
pub(crate) fn target_of_file(file: &[u8]) -> Option<Target> {
    machine(file).and_then(target_of_machine)
}

/// What an object is for.
///
/// # Errors
/// [`Error::Unsupported`] for a machine that this linker does not know.
pub(crate) fn target_of(name: &InputName<'_>, info: &ObjectInfo<'_>) -> Result<Target, Error> {
    match target_of_machine(info.machine) {
        Some(target) => Ok(target),
        None => {
            let what = format!("COFF objects for {} cannot be linked", machine_name(info.machine));
            Err(Error::unsupported(name, what))
        }
    }
}

/// The CPU of a machine number, if images for it can be linked.
pub(crate) fn arch_of(machine: pe::Machine) -> Option<Arch> {
    match machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => Some(Arch::X86_64),
        pe::IMAGE_FILE_MACHINE_I386 => Some(Arch::X86),
        pe::IMAGE_FILE_MACHINE_ARM64 => Some(Arch::Aarch64),
        _ => None,
    }
}

/// The machine number of a CPU.
pub(crate) fn machine_of(arch: Arch) -> pe::Machine {
    match arch {
        Arch::X86_64 => pe::IMAGE_FILE_MACHINE_AMD64,
        Arch::X86 => pe::IMAGE_FILE_MACHINE_I386,
        _ => pe::IMAGE_FILE_MACHINE_ARM64,
    }
}

/// Checks that a file is for the machine of the image; `source` is what fixed that.
///
/// # Errors
/// [`Error::Incompatible`], naming both.
pub(crate) fn check_machine(file: &str, machine: pe::Machine, target: Target, source: &str) -> Result<(), Error> {
    let wanted = machine_of(target.arch);
    if target.format == Format::Pe && machine == wanted {
        return Ok(());
    }
    Err(Error::Incompatible {
        file: file.to_owned(),
        what: format!("is for {}", machine_name(machine)),
        other: source.to_owned(),
        other_what: format!("is for {}", machine_name(wanted)),
    })
}

/// What people call a machine.
fn machine_name(machine: pe::Machine) -> String {
    match machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => "x86-64 Windows".to_owned(),
        pe::IMAGE_FILE_MACHINE_I386 => "i386 Windows".to_owned(),
        pe::IMAGE_FILE_MACHINE_ARM64 => "Arm64 Windows".to_owned(),
        pe::IMAGE_FILE_MACHINE_ARM64EC => "Arm64EC Windows".to_owned(),
        pe::IMAGE_FILE_MACHINE_ARM64X => "Arm64X Windows".to_owned(),
        pe::IMAGE_FILE_MACHINE_ARMNT => "Arm Windows".to_owned(),
        pe::IMAGE_FILE_MACHINE_UNKNOWN => "any machine".to_owned(),
        other => format!("machine 0x{:x}", other.0),
    }
}
