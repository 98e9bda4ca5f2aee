//! The import library of the image that is linked (`--out-implib`): what others link against in its place.
//!
//! It is an archive in short form: a record for each export, of which linkers that know the form make what they
//! need. For those that put tables together piece by piece there are three objects besides, as every such library has
//! them:
//!
//! | symbol                          | what it is                                                                  |
//! |---------------------------------|-----------------------------------------------------------------------------|
//! | `__IMPORT_DESCRIPTOR_name`      | the DLL's entry of the import directory (`.idata$2`), its name (`.idata$6`) |
//! | `__NULL_IMPORT_DESCRIPTOR`      | the null entry behind the last one (`.idata$3`)                             |
//! | `\x7fname_NULL_THUNK_DATA`      | the null words behind the DLL's tables (`.idata$5`, `.idata$4`)             |
//!
//! On i386 the symbol of a record has the underscore of C, and the size of arguments of `__stdcall` functions, which the
//! export need not have: a record says how its name comes from the symbol.
//!
//! No member has a time or an owner: the same exports give the same bytes.
//!
//! Source: PE/COFF specification, *Archive (Library) File Format*, *Import Library Format*.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use object::pe;

use super::directives::Imported;
use super::exports::Entry;
use super::library::SLOT_PREFIX;
use super::{arch_of, word};
use crate::archive::MAGIC;
use crate::error::Error;
use crate::link::over;
use crate::options::Arch;

/// The size of a member's header, in bytes.
const HEADER: usize = 60;
/// Members of more than so many have numbers that the second index cannot state.
const NUMBERED: usize = 0xffff;

/// What a record says about its import (*Import Type*, *Import Name Type*).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// The symbol.
    symbol: Cow<'a, [u8]>,
    kind: u16,
    name_type: u16,
    /// The name that the loader is asked for, where it does not come from the symbol.
    exported_as: Option<Cow<'a, [u8]>>,
    /// The number, or a guess at the place among the names.
    hint: u16,
}

impl<'a> Record<'a> {
    /// The record of an export; `own` is the symbol that it stands for in the image, and `place` where it is among the
    /// names.
    pub(crate) fn new(entry: &'a Entry<'_>, own: Option<&[u8]>, arch: Arch, place: u16) -> Self {
        let (called, name) = match &entry.imported {
            Some(Imported { symbol, name }) => (symbol, name),
            None => (&entry.name, &entry.name),
        };
        let symbol = importers_symbol(called, own.unwrap_or_default(), arch);
        let kind = match (entry.data, entry.constant) {
            (_, true) => pe::IMPORT_OBJECT_CONST,
            (true, false) => pe::IMPORT_OBJECT_DATA,
            (false, false) => pe::IMPORT_OBJECT_CODE,
        };
        let name_type = if entry.no_name {
            pe::IMPORT_OBJECT_ORDINAL
        } else if *symbol == **name {
            pe::IMPORT_OBJECT_NAME
        } else if symbol.strip_prefix(b"_") == Some(&**name) {
            pe::IMPORT_OBJECT_NAME_NO_PREFIX
        } else if entry.imported.is_some() {
            pe::IMPORT_OBJECT_NAME_EXPORTAS
        } else {
            pe::IMPORT_OBJECT_NAME_UNDECORATE
        };
        let exported_as = (name_type == pe::IMPORT_OBJECT_NAME_EXPORTAS).then(|| Cow::Borrowed(&**name));
        let hint = if entry.no_name { entry.ordinal } else { place };
        Self { symbol, kind: kind.0, name_type: name_type.0, exported_as, hint }
    }

    /// The symbols that an importer may refer to.
    fn symbols(&self) -> impl Iterator<Item = Vec<u8>> {
        let plain = (self.kind != pe::IMPORT_OBJECT_DATA.0).then(|| self.symbol.to_vec());
        std::iter::once([SLOT_PREFIX, &*self.symbol].concat()).chain(plain)
    }

    fn bytes(&self, machine: pe::Machine, dll: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        [0, 0xffff, 0, machine.0].iter().for_each(|field| u16(&mut out, *field));
        u32(&mut out, 0);
        // The symbol, the DLL's name and perhaps another one, with a NUL byte each.
        let names = [Some(&*self.symbol), Some(dll), self.exported_as.as_deref()];
        let size: usize = names.iter().flatten().map(|name| name.len().saturating_add(1)).sum();
        u32(&mut out, u32::try_from(size).unwrap_or(u32::MAX));
        u16(&mut out, self.hint);
        u16(&mut out, self.kind | self.name_type.wrapping_shl(2));
        for name in names.into_iter().flatten() {
            out.extend_from_slice(name);
            out.push(0);
        }
        out
    }
}

/// The symbol by which objects refer to an export: on i386 decorated as the image's own symbol is.
fn importers_symbol<'a>(export: &'a [u8], own: &[u8], arch: Arch) -> Cow<'a, [u8]> {
    // Names of C++, of `__fastcall` and `__vectorcall` functions, and what is asked for as the symbol is called, are whole.
    let plain = export.starts_with(b"?") || export.starts_with(b"@") || memchr::memmem::find(export, b"@@").is_some();
    let whole = plain || export == own;
    if arch != Arch::X86 || whole {
        return Cow::Borrowed(export);
    }
    let size = memchr::memrchr(b'@', own).filter(|at| *at > 0 && !export.contains(&b'@'));
    let size = size.and_then(|at| own.get(at..)).unwrap_or_default();
    let prefix = if own.starts_with(b"@") { b"@" } else { b"_" };
    Cow::Owned([&prefix[..], export, size].concat())
}

/// The library of a DLL for a machine.
///
/// # Errors
/// [`Error::Limit`]: an archive of more than 4 GiB.
pub(crate) fn bytes(dll: &[u8], machine: pe::Machine, records: &[Record<'_>]) -> Result<Vec<u8>, Error> {
    let stem = memchr::memrchr(b'.', dll).and_then(|dot| dll.get(..dot)).unwrap_or(dll);
    let descriptor = [b"__IMPORT_DESCRIPTOR_", stem].concat();
    let null_thunk = [b"\x7f", stem, b"_NULL_THUNK_DATA"].concat();
    let end = b"__NULL_IMPORT_DESCRIPTOR".to_vec();
    let mut members = vec![
        (vec![descriptor.clone()], descriptor_object(machine, dll, [&descriptor, &end, &null_thunk])),
        (vec![end.clone()], null_descriptor_object(machine, &end)),
        (vec![null_thunk.clone()], null_thunk_object(machine, &null_thunk)),
    ];
    members.extend(records.iter().map(|record| (record.symbols().collect(), record.bytes(machine, dll))));
    archive(dll, &members)
}

/// Puts members, with the symbols that they define, into an archive. All are called as the DLL is.
fn archive(dll: &[u8], members: &[(Vec<Vec<u8>>, Vec<u8>)]) -> Result<Vec<u8>, Error> {
    // A name of more than 15 bytes stands in a member of its own.
    let (name, names) = match dll.len() {
        0..=15 => ([dll, b"/"].concat(), None),
        _ => (b"/0".to_vec(), Some([dll, b"\0"].concat())),
    };
    let symbols: Vec<(usize, &[u8])> = (0..)
        .zip(members)
        .flat_map(|(number, (symbols, _))| symbols.iter().map(move |symbol| (number, &**symbol)))
        .collect();
    let strings =
        symbols.iter().fold(0_u64, |size, (_, name)| size.saturating_add(name.len() as u64).saturating_add(1));
    let (count, member_count) = (symbols.len() as u64, members.len() as u64);
    let first_size = count.saturating_mul(4).saturating_add(4).saturating_add(strings);
    // Symbols by name, of which the first of a name counts.
    let second = members.len() <= NUMBERED;
    let mut sorted: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (number, name) in &symbols {
        sorted.entry(name).or_insert(*number);
    }
    let sorted_strings =
        sorted.keys().fold(0_u64, |size, name| size.saturating_add(name.len() as u64).saturating_add(1));
    let second_size = member_count.saturating_mul(4).saturating_add(8);
    let second_size =
        second_size.saturating_add((sorted.len() as u64).saturating_mul(2)).saturating_add(sorted_strings);

    // Where the members stand.
    let padded = |size: u64| size.saturating_add(size & 1).saturating_add(HEADER as u64);
    let mut at = (MAGIC.len() as u64).saturating_add(padded(first_size));
    if second {
        at = at.saturating_add(padded(second_size));
    }
    at = at.saturating_add(names.as_ref().map_or(0, |names| padded(names.len() as u64)));
    let mut offsets = Vec::with_capacity(members.len());
    for (_, bytes) in members {
        offsets.push(at);
        at = at.saturating_add(padded(bytes.len() as u64));
    }
    over("archive index", "the size of the import library", at, u32::MAX.into())?;
    let offsets: Vec<u32> = offsets.into_iter().map(|offset| u32::try_from(offset).unwrap_or(u32::MAX)).collect();
    let offset = |number: usize| offsets.get(number).copied().unwrap_or_default();
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);

    let mut out = MAGIC.to_vec();
    let mut first = short(count).to_be_bytes().to_vec();
    first.extend(symbols.iter().flat_map(|(number, _)| offset(*number).to_be_bytes()));
    symbols.iter().for_each(|(_, name)| string(&mut first, name));
    member(&mut out, b"/", &first);
    if second {
        let mut index = short(member_count).to_le_bytes().to_vec();
        index.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
        index.extend(short(sorted.len() as u64).to_le_bytes());
        // Members count from 1.
        let numbers = sorted.values().map(|number| u16::try_from(number.saturating_add(1)).unwrap_or(u16::MAX));
        index.extend(numbers.flat_map(u16::to_le_bytes));
        sorted.keys().for_each(|name| string(&mut index, name));
        member(&mut out, b"/", &index);
    }
    if let Some(names) = &names {
        member(&mut out, b"//", names);
    }
    members.iter().for_each(|(_, bytes)| member(&mut out, &name, bytes));
    Ok(out)
}

/// Adds a member to an archive.
fn member(out: &mut Vec<u8>, name: &[u8], bytes: &[u8]) {
    let name = String::from_utf8_lossy(name);
    // Name, time, owner, group, mode, size.
    out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, bytes.len()).into_bytes());
    out.extend_from_slice(bytes);
    if bytes.len() & 1 == 1 {
        out.push(b'\n');
    }
}

/// A section of the objects made here: its name, its characteristics without those that all have, its contents, and the
/// places in it that symbols' image-relative addresses go to.
struct Piece<'a> {
    name: &'static [u8],
    align: pe::SectionFlags,
    contents: Vec<u8>,
    relocations: &'a [(u32, u32)],
}

/// A symbol of these objects: its name, its section counted from 1 (0 is none), and its storage class.
type PieceSymbol<'a> = (&'a [u8], u16, pe::SymbolClass);

const EXTERNAL: pe::SymbolClass = pe::IMAGE_SYM_CLASS_EXTERNAL;
const STATIC: pe::SymbolClass = pe::IMAGE_SYM_CLASS_STATIC;
const SECTION: pe::SymbolClass = pe::IMAGE_SYM_CLASS_SECTION;

/// The DLL's entry of the import directory.
fn descriptor_object(machine: pe::Machine, dll: &[u8], [descriptor, end, null_thunk]: [&[u8]; 3]) -> Vec<u8> {
    let mut name = [dll, b"\0"].concat();
    if name.len() & 1 == 1 {
        name.push(0);
    }
    let symbols: [PieceSymbol<'_>; 7] = [
        (descriptor, 1, EXTERNAL),
        (b".idata$2", 1, SECTION),
        (b".idata$6", 2, STATIC),
        (b".idata$4", 0, SECTION),
        (b".idata$5", 0, SECTION),
        (end, 0, EXTERNAL),
        (null_thunk, 0, EXTERNAL),
    ];
    // The name, the lookup table, the address table.
    let relocations = [(12, 2), (0, 3), (16, 4)];
    let entry = Piece {
        name: b".idata$2",
        align: pe::IMAGE_SCN_ALIGN_4BYTES,
        contents: vec![0; super::imports::DIRECTORY_ENTRY_SIZE],
        relocations: &relocations,
    };
    let name = Piece { name: b".idata$6", align: pe::IMAGE_SCN_ALIGN_2BYTES, contents: name, relocations: &[] };
    object(machine, &[entry, name], &symbols)
}

/// The null entry that ends the import directory.
fn null_descriptor_object(machine: pe::Machine, symbol: &[u8]) -> Vec<u8> {
    let entry = Piece {
        name: b".idata$3",
        align: pe::IMAGE_SCN_ALIGN_4BYTES,
        contents: vec![0; super::imports::DIRECTORY_ENTRY_SIZE],
        relocations: &[],
    };
    object(machine, &[entry], &[(symbol, 1, EXTERNAL)])
}

/// The null words that end the DLL's tables.
fn null_thunk_object(machine: pe::Machine, symbol: &[u8]) -> Vec<u8> {
    let narrow = arch_of(machine).is_some_and(|arch| word(arch) == 4);
    let (align, size) = if narrow { (pe::IMAGE_SCN_ALIGN_4BYTES, 4) } else { (pe::IMAGE_SCN_ALIGN_8BYTES, 8) };
    let piece = |name| Piece { name, align, contents: vec![0; size], relocations: &[] };
    object(machine, &[piece(b".idata$5"), piece(b".idata$4")], &[(symbol, 1, EXTERNAL)])
}

/// A COFF object.
fn object(machine: pe::Machine, sections: &[Piece<'_>], symbols: &[PieceSymbol<'_>]) -> Vec<u8> {
    const FILE_HEADER: u32 = 20;
    const SECTION_HEADER: u32 = 40;
    let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let relocation = match arch_of(machine) {
        Some(Arch::X86) => pe::IMAGE_REL_I386_DIR32NB,
        Some(Arch::Aarch64) => pe::IMAGE_REL_ARM64_ADDR32NB,
        _ => pe::IMAGE_REL_AMD64_ADDR32NB,
    };
    let bits = if machine == pe::IMAGE_FILE_MACHINE_I386 { pe::IMAGE_FILE_32BIT_MACHINE.0 } else { 0 };
    let start = FILE_HEADER.saturating_add(SECTION_HEADER.saturating_mul(short(sections.len())));
    let (mut headers, mut contents) = (Vec::new(), Vec::new());
    for section in sections {
        let at = start.saturating_add(short(contents.len()));
        let relocations = at.saturating_add(short(section.contents.len()));
        let count = short(section.relocations.len());
        headers.extend_from_slice(section.name);
        let relocations = if count == 0 { 0 } else { relocations };
        for field in [0, 0, short(section.contents.len()), at, relocations, 0, count] {
            u32(&mut headers, field);
        }
        let read_write = pe::IMAGE_SCN_MEM_READ.0 | pe::IMAGE_SCN_MEM_WRITE.0;
        u32(&mut headers, section.align.0 | pe::IMAGE_SCN_CNT_INITIALIZED_DATA.0 | read_write);
        contents.extend_from_slice(&section.contents);
        for (place, symbol) in section.relocations {
            u32(&mut contents, *place);
            u32(&mut contents, *symbol);
            u16(&mut contents, relocation.0);
        }
    }
    let (mut records, mut strings) = (Vec::new(), Vec::new());
    for (name, section, class) in symbols {
        if name.len() <= 8 {
            let mut short = name.to_vec();
            short.resize(8, 0);
            records.extend(short);
        } else {
            u32(&mut records, 0);
            u32(&mut records, short(strings.len()).saturating_add(4));
            string(&mut strings, name);
        }
        u32(&mut records, 0);
        u16(&mut records, *section);
        u16(&mut records, 0);
        records.extend([class.0, 0]);
    }
    let mut out = Vec::new();
    u16(&mut out, machine.0);
    u16(&mut out, u16::try_from(sections.len()).unwrap_or(u16::MAX));
    for field in [0, start.saturating_add(short(contents.len())), short(symbols.len())] {
        u32(&mut out, field);
    }
    u16(&mut out, 0);
    u16(&mut out, bits);
    out.extend(headers);
    out.extend(contents);
    out.extend(records);
    u32(&mut out, short(strings.len()).saturating_add(4));
    out.extend(strings);
    out
}

fn u16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_le_bytes());
}

fn u32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

    use super::*;
    use crate::pe::exports::Target;
    use crate::pe::library::{ImportBy, ShortImport};

    fn entry(name: &'static str) -> Entry<'static> {
        Entry {
            name: Cow::Borrowed(name.as_bytes()),
            target: Target::Forward(Cow::Borrowed(b"other.f")),
            ordinal: 7,
            no_name: false,
            data: false,
            constant: false,
            private: false,
            imported: None,
        }
    }

    /// Exports, the image's symbols, importers' symbols, and how the former comes from the latter (*Import Name Type*).
    const NAMES: [(Arch, &str, &str, &str, pe::ImportObjectNameType); 9] = [
        (Arch::X86_64, "f", "g", "f", pe::IMPORT_OBJECT_NAME),
        (Arch::X86_64, "f@8", "f@8", "f@8", pe::IMPORT_OBJECT_NAME),
        (Arch::X86, "f", "_f", "_f", pe::IMPORT_OBJECT_NAME_NO_PREFIX),
        (Arch::X86, "f@8", "_f@8", "_f@8", pe::IMPORT_OBJECT_NAME_NO_PREFIX),
        (Arch::X86, "f", "_f@8", "_f@8", pe::IMPORT_OBJECT_NAME_UNDECORATE),
        (Arch::X86, "g", "_f@8", "_g@8", pe::IMPORT_OBJECT_NAME_UNDECORATE),
        (Arch::X86, "@f@8", "@f@8", "@f@8", pe::IMPORT_OBJECT_NAME),
        (Arch::X86, "f", "@f@8", "@f@8", pe::IMPORT_OBJECT_NAME_UNDECORATE),
        (Arch::X86, "?f@@YAXXZ", "?f@@YAXXZ", "?f@@YAXXZ", pe::IMPORT_OBJECT_NAME),
    ];

    #[test]
    fn records_lead_from_symbols_to_exports() {
        for (arch, export, own, symbol, name_type) in NAMES {
            let entry = entry(export);
            let record = Record::new(&entry, Some(own.as_bytes()), arch, 3);
            assert_eq!((&*record.symbol, record.name_type), (symbol.as_bytes(), name_type.0), "{export} of {own}");
            let bytes = record.bytes(super::super::machine_of(arch), b"a.dll");
            let read = ShortImport::parse(&bytes).unwrap();
            assert_eq!((read.dll, read.by()), (&b"a.dll"[..], ImportBy::Name(export.as_bytes(), 3)));
        }
        // What importers call `f` is `g` to the loader, or on i386 what C calls `f`.
        let imported = |name: &'static str| {
            let [symbol, name] = ["f", name].map(|name| Cow::Borrowed(name.as_bytes()));
            Entry { imported: Some(Imported { symbol, name }), ..entry("k") }
        };
        for (arch, name, symbol, name_type) in [
            (Arch::X86_64, "g", "f", pe::IMPORT_OBJECT_NAME_EXPORTAS),
            (Arch::X86_64, "f", "f", pe::IMPORT_OBJECT_NAME),
            (Arch::X86, "g", "_f", pe::IMPORT_OBJECT_NAME_EXPORTAS),
            (Arch::X86, "f", "_f", pe::IMPORT_OBJECT_NAME_NO_PREFIX),
        ] {
            let entry = imported(name);
            let record = Record::new(&entry, Some(b"own"), arch, 3);
            assert_eq!((&*record.symbol, record.name_type), (symbol.as_bytes(), name_type.0), "{name}");
            let bytes = record.bytes(super::super::machine_of(arch), b"a.dll");
            let read = ShortImport::parse(&bytes).unwrap();
            assert_eq!((read.dll, read.by()), (&b"a.dll"[..], ImportBy::Name(name.as_bytes(), 3)));
        }
        let numbered = Entry { no_name: true, data: true, ..entry("f") };
        let record = Record::new(&numbered, Some(b"_f"), Arch::X86, 3);
        assert_eq!(record.symbols().collect::<Vec<_>>(), [b"__imp__f"]);
        let bytes = record.bytes(pe::IMAGE_FILE_MACHINE_I386, b"a.dll");
        assert_eq!(ShortImport::parse(&bytes).unwrap().by(), ImportBy::Ordinal(7));
    }

    #[test]
    fn archives_have_two_indices() {
        use object::read::archive::ArchiveFile;
        for dll in ["a.dll", "a name of more than fifteen bytes.dll"] {
            let entries = [entry("f"), Entry { constant: true, ..entry("c") }];
            let records: Vec<_> = entries.iter().map(|entry| Record::new(entry, None, Arch::X86_64, 0)).collect();
            let bytes = bytes(dll.as_bytes(), pe::IMAGE_FILE_MACHINE_AMD64, &records).unwrap();
            let archive = ArchiveFile::parse(&*bytes).unwrap();
            assert_eq!(archive.kind(), object::read::archive::ArchiveKind::Coff);
            let members: Vec<_> = archive.members().map(|member| member.unwrap()).collect();
            assert_eq!(members.len(), 5);
            assert!(members.iter().all(|member| member.name() == dll.as_bytes()));
            let symbols = archive.symbols().unwrap().unwrap();
            let symbols: Vec<_> = symbols.map(|symbol| symbol.unwrap().name().to_vec()).collect();
            assert_eq!(symbols.len(), 7);
            assert!(symbols.is_sorted() && symbols.contains(&b"__imp_f".to_vec()));
        }
    }
}
