//! From the bytes of a COFF object to the [`Object`] of the model.
//!
//! Source: PE/COFF specification, *COFF File Header*, *Section Table*, *COFF Relocations*, *COFF Symbol Table*,
//! *COMDAT Sections*. The form with 32-bit section numbers (*bigobj*, of `cl /bigobj` and `as -mbig-obj`) is in no
//! specification; its structures are in `winnt.h` (`ANON_OBJECT_HEADER_BIGOBJ`, `IMAGE_SYMBOL_EX`).
//!
//! Section numbers count from 1, as those of the model do. A symbol's further records (*auxiliary symbols*) have numbers
//! of their own; they are symbols of the model too, so that numbers stay as they are, and are marked as [`AUXILIARY`].

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;
use std::fmt;

use object::LittleEndian as LE;
use object::pe;
use object::read::coff::{CoffHeader, SectionTable, Symbol as _, SymbolTable};

use super::ObjectInfo;
use super::comdat::{self, Comdat};
use crate::bytes;
use crate::error::{Error, Label};
use crate::lto;
use crate::model::{
    self, Binding, CommonKind, Fate, InputName, Object, RelocEncoding, Relocs, Section, SectionFlags, Symbol,
    SymbolKind, SymbolSection,
};
use crate::names::Names;
use crate::options::Arch;

/// Mark in [`Symbol::other`]: the record is an auxiliary one of the symbol before it.
pub(crate) const AUXILIARY: u8 = 0x80;
/// Mark in [`Symbol::other`]: it is a label or of use to debuggers of another age; no image's symbol table has it.
pub(crate) const UNLISTED: u8 = 0x40;

/// A weak external: what it stands for if nothing else defines it (PE/COFF specification, *Auxiliary Format 3: Weak
/// Externals*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WeakExternal {
    /// The symbol.
    pub(crate) symbol: u32,
    /// The symbol in whose place it stands.
    pub(crate) fallback: u32,
    /// It may not lead to another weak external.
    pub(crate) anti_dependency: bool,
}

/// Whether the bytes begin as a COFF object's do, of either form.
pub(crate) fn is_object(bytes: &[u8]) -> bool {
    let machine = bytes::u16(bytes, 0).map(pe::Machine);
    match machine {
        Some(pe::IMAGE_FILE_MACHINE_AMD64 | pe::IMAGE_FILE_MACHINE_I386 | pe::IMAGE_FILE_MACHINE_ARM64) => true,
        // For those nothing is linked, but they are told for what they are.
        Some(pe::IMAGE_FILE_MACHINE_ARM64EC | pe::IMAGE_FILE_MACHINE_ARM64X) => true,
        Some(pe::IMAGE_FILE_MACHINE_UNKNOWN) => is_bigobj(bytes),
        _ => false,
    }
}

fn is_bigobj(bytes: &[u8]) -> bool {
    let class = object::read::coff::anon_object_class_id(bytes);
    bytes::u16(bytes, 2) == Some(0xffff) && class.is_ok_and(|class| class == pe::ANON_OBJECT_HEADER_BIGOBJ_CLASS_ID)
}

/// Reads an object file.
///
/// # Errors
/// [`Error::Malformed`] and [`Error::Unsupported`], naming the file and the section or symbol.
pub(crate) fn parse<'a>(name: InputName<'a>, bytes: &'a [u8]) -> Result<Object<'a>, Error> {
    let parser = Parser { file: &name, bytes };
    let parts = if is_bigobj(bytes) {
        parser.object::<pe::AnonObjectHeaderBigobj>()?
    } else {
        if bytes::u16(bytes, 0) == Some(0) && bytes::u16(bytes, 2) == Some(0xffff) {
            return Err(Error::unsupported(&name, "an anonymous object (of cl /GL, perhaps): compile without /GL"));
        }
        parser.object::<pe::ImageFileHeader>()?
    };
    let Parts { sections, symbols, strings, short_names, groups, info } = parts;
    Ok(Object {
        name: name.clone(),
        sections,
        symbols,
        strings,
        short_names,
        groups,
        hide_symbols: false,
        info: model::ObjectInfo::Pe(Box::new(info)),
    })
}

struct Parts<'a> {
    sections: Vec<Section<'a>>,
    symbols: Vec<Symbol>,
    strings: &'a [u8],
    short_names: &'a [u8],
    groups: Vec<model::Group<'a>>,
    info: ObjectInfo<'a>,
}

struct Parser<'n, 'a> {
    file: &'n InputName<'a>,
    bytes: &'a [u8],
}

impl<'a> Parser<'_, 'a> {
    fn malformed(&self, what: impl Into<String>) -> Error {
        Error::malformed(self.file, what)
    }

    fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::unsupported(self.file, what)
    }

    /// An error of the `object` crate, about the thing named.
    fn read<T>(&self, result: object::Result<T>, what: impl fmt::Display) -> Result<T, Error> {
        result.map_err(|error| self.malformed(format!("{what}: {error}")))
    }

    fn object<Coff: CoffHeader>(&self) -> Result<Parts<'a>, Error> {
        let mut offset = 0;
        let header = self.read(Coff::parse(self.bytes, &mut offset), "not a COFF object")?;
        let table = self.read(header.sections(self.bytes, offset), "section headers")?;
        let symtab = self.read(header.symbols(self.bytes), "symbol table")?;
        let strings = self.strings(header)?;
        let short_names = object::pod::bytes_of_slice(self.records(header)?);
        self.check_overlap(&table)?;
        let mut names = Names::new(table.len(), strings.len(), "sections");
        let mut info =
            ObjectInfo { machine: header.machine(), directives: Vec::new(), weak: Vec::new(), comdats: Vec::new() };
        let mut sections = Vec::with_capacity(table.len().saturating_add(1));
        sections.push(no_section());
        for (index, header) in table.enumerate() {
            let section = self.section(index.0, header, strings, &mut info)?;
            names.add(section.name.len()).map_err(|what| self.malformed(what))?;
            sections.push(section);
        }
        if lto::is_slim(sections.iter().map(|section| section.name), strings) {
            return Err(self.unsupported(lto::SLIM));
        }
        let mut comdats = vec![Comdat::default(); sections.len()];
        let record = size_of::<Coff::Symbol>();
        let symbols = self.symbols::<Coff>(&symtab, &sections, strings, record, &mut info, &mut comdats)?;
        let name = |symbol: &Symbol| model::symbol_name(strings, short_names, symbol.name);
        let groups =
            comdat::groups(&comdats, &mut sections, &symbols, name, &mut info).map_err(|what| self.malformed(what))?;
        Ok(Parts { sections, symbols, strings, short_names, groups, info })
    }

    /// The records of the symbol table.
    fn records<Coff: CoffHeader>(&self, header: &Coff) -> Result<&'a [Coff::SymbolBytes], Error> {
        use object::read::ReadRef;
        let start = u64::from(header.pointer_to_symbol_table());
        let count = if start == 0 { 0 } else { header.number_of_symbols() as usize };
        let records = self.bytes.read_slice_at(start, count).map_err(|()| self.malformed("symbol table: cut off"))?;
        // Offsets of names have a bit for which table they are in.
        let size = count.saturating_mul(size_of::<Coff::SymbolBytes>());
        if size >= model::SHORT_NAME as usize {
            return Err(self.unsupported("a symbol table of more than 2 GiB"));
        }
        Ok(records)
    }

    /// The string table, which stands behind the symbol table and starts with its size, in 4 bytes.
    fn strings<Coff: CoffHeader>(&self, header: &Coff) -> Result<&'a [u8], Error> {
        let start = u64::from(header.pointer_to_symbol_table());
        if start == 0 {
            return Ok(&[]);
        }
        let records = u64::from(header.number_of_symbols()).saturating_mul(size_of::<Coff::Symbol>() as u64);
        let start = start.saturating_add(records);
        let size = bytes::u32(self.bytes, start).ok_or_else(|| self.malformed("no string table"))?;
        if size >= model::SHORT_NAME {
            return Err(self.unsupported("a string table of more than 2 GiB"));
        }
        // Some writers state a size of 0 where there is no name.
        bytes::slice(self.bytes, start, size.max(4).into())
            .ok_or_else(|| self.malformed(format!("the string table's {size} bytes reach beyond the file's end")))
    }

    /// What is in two sections at once could be made a thousandfold of.
    fn check_overlap(&self, table: &SectionTable<'a>) -> Result<(), Error> {
        let of = |header: &pe::ImageSectionHeader| {
            let range = header.coff_file_range().filter(|(start, _)| *start != 0);
            let data = range.map_or(0, |(_, size)| u64::from(size));
            let relocations = header.coff_relocations(self.bytes).map_or(0, <[_]>::len);
            data.saturating_add((relocations as u64).saturating_mul(super::relocs::SIZE as u64))
        };
        let total = table.iter().fold(0_u64, |total, header| total.saturating_add(of(header)));
        if total <= self.bytes.len() as u64 {
            return Ok(());
        }
        Err(self
            .malformed(format!("sections overlap: together they have {total} bytes, the file {}", self.bytes.len())))
    }

    fn section(
        &self,
        index: usize,
        header: &'a pe::ImageSectionHeader,
        strings: &'a [u8],
        info: &mut ObjectInfo<'a>,
    ) -> Result<Section<'a>, Error> {
        let offset = self.read(header.name_offset(), format_args!("name of section {index}"))?;
        let name = match offset {
            Some(offset) => bytes::string(strings, offset.into())
                .ok_or_else(|| self.malformed(format!("name of section {index}: at {offset} of the string table")))?,
            None => header.raw_name(),
        };
        let what = Label::Section(index, name);
        // In an image, whose sections have names of eight bytes at most, it would stand for another name.
        if name.starts_with(b"/") {
            return Err(self.malformed(format!("{what}: a slash begins a place in the string table")));
        }
        let raw = header.characteristics.get(LE);
        if raw.align().0 == pe::IMAGE_SCN_ALIGN_MASK {
            return Err(self.malformed(format!("{what}: alignment 15 is no alignment")));
        }
        let align = if raw.contains(pe::IMAGE_SCN_TYPE_NO_PAD) { 1 } else { header.coff_alignment() };
        if header.virtual_address.get(LE) != 0 {
            return Err(self.unsupported(format!("{what}: it has an address, in an object")));
        }
        // Without a place in the file there are zeros (*Section Table*, `PointerToRawData`), whatever the flags say.
        let absent = header.pointer_to_raw_data.get(LE) == 0 && header.size_of_raw_data.get(LE) != 0;
        let data = if absent { Ok(&[][..]) } else { header.coff_data(self.bytes) };
        let data = data.map_err(|()| self.malformed(format!("{what}: its contents reach beyond the file's end")))?;
        let removed = raw.contains(pe::IMAGE_SCN_LNK_REMOVE) || raw.contains(pe::IMAGE_SCN_LNK_INFO);
        if name == b".drectve" {
            info.directives.push(data);
        }
        // What machine an object is for is looked at once it takes part.
        let arch = super::arch_of(info.machine).unwrap_or(Arch::Aarch64);
        let fate = if removed || is_metadata(name) { Fate::Metadata } else { Fate::Live };
        let relocs = self.relocations(header, arch, data, what)?;
        Ok(Section {
            name,
            data: Cow::Borrowed(data),
            size: header.size_of_raw_data.get(LE).into(),
            align,
            flags: flags(name, raw).when(absent, SectionFlags::ZERO),
            kind: raw.0,
            entry_size: 0,
            linked: 0,
            relocs,
            fate,
            output: Section::NOWHERE,
            offset: 0,
        })
    }

    fn relocations(
        &self,
        header: &pe::ImageSectionHeader,
        arch: Arch,
        data: &[u8],
        what: Label<'_>,
    ) -> Result<Relocs<'a>, Error> {
        let table = self.read(header.coff_relocations(self.bytes), format_args!("relocations of {what}"))?;
        if data.is_empty() && !table.is_empty() {
            return Err(self.malformed(format!("{what}: relocations of a section without contents")));
        }
        let encoding = RelocEncoding::Coff(arch);
        let bytes = if table.is_sorted_by_key(|raw| raw.virtual_address.get(LE)) {
            Cow::Borrowed(object::pod::bytes_of_slice(table))
        } else {
            let mut table = table.to_vec();
            table.sort_by_key(|raw| raw.virtual_address.get(LE));
            Cow::Owned(object::pod::bytes_of_slice(&table).to_vec())
        };
        Ok(Relocs { bytes, encoding })
    }

    fn symbols<Coff: CoffHeader>(
        &self,
        symtab: &SymbolTable<'a, &'a [u8], Coff>,
        sections: &[Section<'a>],
        strings: &'a [u8],
        record: usize,
        info: &mut ObjectInfo<'a>,
        comdats: &mut [Comdat],
    ) -> Result<Vec<Symbol>, Error> {
        let mut symbols: Vec<Symbol> = Vec::with_capacity(symtab.len());
        for (index, raw) in symtab.iter() {
            let number = index.0;
            let malformed = |what: String| self.malformed(format!("symbol {number}: {what}"));
            // Records that the iteration passed over.
            symbols.resize(number, auxiliary());
            let name = match raw.raw_name() {
                [0, 0, 0, 0, offset @ ..] => {
                    let offset = u32::from_le_bytes(*offset);
                    if offset as usize > strings.len() {
                        return Err(malformed(format!("name at {offset} of {} bytes of names", strings.len())));
                    }
                    offset
                }
                _ => u32::try_from(number.saturating_mul(record)).unwrap_or(u32::MAX) | model::SHORT_NAME,
            };
            let class = raw.storage_class();
            let external = matches!(class, pe::IMAGE_SYM_CLASS_EXTERNAL | pe::IMAGE_SYM_CLASS_WEAK_EXTERNAL);
            let value = u64::from(raw.value());
            let place = match raw.section_number() {
                pe::IMAGE_SYM_UNDEFINED if class == pe::IMAGE_SYM_CLASS_EXTERNAL && value > 0 => {
                    SymbolSection::Common(CommonKind::Data)
                }
                pe::IMAGE_SYM_UNDEFINED => SymbolSection::Undefined,
                pe::IMAGE_SYM_ABSOLUTE => SymbolSection::Absolute,
                pe::IMAGE_SYM_DEBUG => SymbolSection::Absolute,
                section => match section.index().filter(|section| (*section as usize) < sections.len()) {
                    Some(section) => SymbolSection::In(section),
                    None => {
                        let count = sections.len().saturating_sub(1);
                        return Err(malformed(format!("section {} of {count}", section.0)));
                    }
                },
            };
            let mut symbol = Symbol::new(name, place, value);
            symbol.kind = match class {
                pe::IMAGE_SYM_CLASS_FILE => SymbolKind::File,
                pe::IMAGE_SYM_CLASS_SECTION => SymbolKind::Section,
                pe::IMAGE_SYM_CLASS_STATIC if raw.has_aux_section() && value == 0 => SymbolKind::Section,
                _ if raw.derived_type() == pe::IMAGE_SYM_DTYPE_FUNCTION => SymbolKind::Function,
                _ => SymbolKind::None,
            };
            if raw.section_number() == pe::IMAGE_SYM_DEBUG {
                symbol.kind = SymbolKind::File;
            }
            symbol.other = if external || class == pe::IMAGE_SYM_CLASS_STATIC { 0 } else { UNLISTED };
            if external {
                symbol.binding = Binding::Global;
            }
            if let SymbolSection::Common(_) = place {
                // What Microsoft's linker gives them; `-aligncomm:` may ask for more.
                symbol.size = value;
                symbol.value = value.checked_next_power_of_two().unwrap_or(32).min(32);
            }
            if class == pe::IMAGE_SYM_CLASS_WEAK_EXTERNAL && place == SymbolSection::Undefined {
                symbol.binding = Binding::Weak;
                let record = self.read(symtab.aux_weak_external(index), format_args!("weak external {number}"))?;
                if raw.number_of_aux_symbols() == 0 {
                    return Err(malformed("weak external without its record".to_owned()));
                }
                let fallback = record.weak_default_sym_index.get(LE);
                if fallback as usize >= symtab.len() {
                    return Err(malformed(format!(
                        "weak external that stands for symbol {fallback} of {}",
                        symtab.len()
                    )));
                }
                let search = record.weak_search_type.get(LE);
                match search {
                    // Archives are searched for it.
                    pe::IMAGE_WEAK_EXTERN_SEARCH_LIBRARY => symbol.binding = Binding::Global,
                    pe::IMAGE_WEAK_EXTERN_SEARCH_NOLIBRARY
                    | pe::IMAGE_WEAK_EXTERN_SEARCH_ALIAS
                    | pe::IMAGE_WEAK_EXTERN_ANTI_DEPENDENCY => {}
                    other => return Err(malformed(format!("weak external with search characteristic {}", other.0))),
                }
                let anti_dependency = search == pe::IMAGE_WEAK_EXTERN_ANTI_DEPENDENCY;
                let symbol = u32::try_from(number).map_err(|_| malformed("symbol index".to_owned()))?;
                info.weak.push(WeakExternal { symbol, fallback, anti_dependency });
            }
            if let SymbolSection::In(section) = place
                && let Some(comdat) = comdats.get_mut(section as usize)
            {
                let number = u32::try_from(number).map_err(|_| malformed("symbol index".to_owned()))?;
                if symbol.kind == SymbolKind::Section && raw.has_aux_section() {
                    let aux = self.read(symtab.aux_section(index), format_args!("section symbol {number}"))?;
                    // Only objects of the large form have the upper half.
                    let high = if Coff::is_type_bigobj() { u32::from(aux.high_number.get(LE)) } else { 0 };
                    let parent = u32::from(aux.number.get(LE)) | high.wrapping_shl(16);
                    comdat.define(aux.selection, parent, aux.length.get(LE));
                } else {
                    comdat.lead(number);
                }
            }
            symbols.push(symbol);
        }
        symbols.resize(symtab.len(), auxiliary());
        Ok(symbols)
    }
}

/// Section 0, which is none.
fn no_section<'a>() -> Section<'a> {
    Section {
        name: &[],
        data: Cow::Borrowed(&[]),
        size: 0,
        align: 1,
        flags: SectionFlags::default(),
        kind: 0,
        entry_size: 0,
        linked: 0,
        relocs: Relocs::default(),
        fate: Fate::Metadata,
        output: Section::NOWHERE,
        offset: 0,
    }
}

fn auxiliary() -> Symbol {
    let mut symbol = Symbol::new(0, SymbolSection::Undefined, 0);
    (symbol.kind, symbol.other) = (SymbolKind::File, AUXILIARY);
    symbol
}

/// The part of a name before the `$` that says where in its output section a contribution goes (PE/COFF specification,
/// *Grouped Sections*).
pub(crate) fn base_name(name: &[u8]) -> &[u8] {
    name.get(..memchr::memchr(b'$', name).unwrap_or(name.len())).unwrap_or_default()
}

/// Sections that speak to the linker, to Microsoft's debuggers, which read them from a file of their own, or to compilers: code in
/// their own form beside that of the CPU.
fn is_metadata(name: &[u8]) -> bool {
    matches!(name, b".drectve" | b".sxdata" | b".llvm_addrsig" | b".llvm.call-graph-profile" | b".gnu_debuglink")
        || name.starts_with(b".debug$")
        || lto::is_intermediate(name)
        || matches!(base_name(name), b".gfids" | b".giats" | b".gljmp" | b".gehcont" | b".voltbl")
}

/// Whether a section is read by debuggers only: DWARF, and the tables of names that go with it.
fn is_debug(name: &[u8]) -> bool {
    name.starts_with(b".debug_") || name.starts_with(b".zdebug_") || name.starts_with(b".stab")
}

fn flags(name: &[u8], raw: pe::SectionFlags) -> SectionFlags {
    let debug = is_debug(name);
    let zero = raw.contains(pe::IMAGE_SCN_CNT_UNINITIALIZED_DATA);
    let exec = raw.contains(pe::IMAGE_SCN_MEM_EXECUTE) || raw.contains(pe::IMAGE_SCN_CNT_CODE);
    SectionFlags::default()
        .when(!debug, SectionFlags::ALLOC)
        .when(debug, SectionFlags::DEBUG)
        .when(raw.contains(pe::IMAGE_SCN_MEM_WRITE) && !debug, SectionFlags::WRITE)
        .when(exec && !debug, SectionFlags::EXEC)
        .when(zero, SectionFlags::ZERO)
        .when(raw.contains(pe::IMAGE_SCN_LNK_COMDAT), SectionFlags::GROUP)
        .when(debug && name.starts_with(b".z"), SectionFlags::COMPRESSED)
        .when(is_list(name) || is_found_by_place(name, raw), SectionFlags::RETAIN)
}

/// Sections that run by themselves, or are gone through from end to end.
pub(super) fn is_list(name: &[u8]) -> bool {
    matches!(base_name(name), b".CRT" | b".tls" | b".idata" | b".edata" | b".rsrc" | b".eh_frame")
        || name.starts_with(b".ctors")
        || name.starts_with(b".dtors")
}

/// Whether a program may reach a section without a reference: the pieces of its own lists, between a first one in `.x$a` and a
/// last one in `.x$z`. Compilers put each function, and each datum, into a section of a customary family or a COMDAT, and of
/// those what nothing refers to can go. LLD lets COMDATs go alone.
fn is_found_by_place(name: &[u8], raw: pe::SectionFlags) -> bool {
    let customary: [&[u8]; 7] = [b"text", b"data", b"rdata", b"bss", b"pdata", b"xdata", b"gcc_except_table"];
    let family = name.strip_prefix(b".").and_then(|rest| rest.split(|byte| matches!(byte, b'$' | b'.')).next());
    let is_customary = family.is_some_and(|family| customary.contains(&family));
    !is_customary && !is_debug(name) && !raw.contains(pe::IMAGE_SCN_LNK_COMDAT)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]
mod tests {
    use super::*;

    /// An object with one section `.text`, of the characteristics given, and the symbols given (section, class, auxiliary
    /// records), each with a name of one letter.
    fn object(characteristics: u32, relocations: u16, symbols: &[(i16, u8, &[u8; 18])]) -> Vec<u8> {
        let records: u32 = symbols.iter().map(|(.., aux)| if aux.iter().any(|byte| *byte != 0) { 2 } else { 1 }).sum();
        let mut bytes = Vec::new();
        bytes.extend(0x8664_u16.to_le_bytes());
        bytes.extend(1_u16.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(64_u32.to_le_bytes());
        bytes.extend(records.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(b".text\0\0\0");
        bytes.extend([0; 8]);
        for field in [4_u32, 60, 60, 0] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(relocations.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(characteristics.to_le_bytes());
        bytes.extend([0x90; 4]);
        for (number, (section, class, aux)) in symbols.iter().enumerate() {
            let has_aux = aux.iter().any(|byte| *byte != 0);
            bytes.extend([b'a'.wrapping_add(number as u8), 0, 0, 0, 0, 0, 0, 0]);
            bytes.extend(0_u32.to_le_bytes());
            bytes.extend(section.to_le_bytes());
            bytes.extend([0, 0, *class, u8::from(has_aux)]);
            if has_aux {
                bytes.extend(*aux);
            }
        }
        bytes.extend(4_u32.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Object<'_>, String> {
        let name = InputName { file: "x.o", member: None };
        parse(name, bytes).map_err(|error| error.to_string())
    }

    /// In an image there is no room for such a name: it would be taken for a place.
    #[test]
    fn names_of_sections_that_begin_with_a_slash() {
        let mut bytes = object(CODE, 0, &[]);
        bytes[20..28].copy_from_slice(b"/4\0\0\0\0\0\0");
        let strings = bytes.len() - 4;
        bytes[strings] = 7;
        for (name, good) in [(b"/x\0", false), (b"x/\0", true)] {
            bytes.truncate(strings + 4);
            bytes.extend(name);
            let read = read(&bytes).map(|object| object.sections[1].name.to_vec());
            match (read, good) {
                (Ok(read), true) => assert_eq!(read, b"x/"),
                (Err(said), false) => assert!(said.contains("section 1 (/x): a slash"), "{said}"),
                (other, _) => panic!("{other:?}"),
            }
        }
    }

    const CODE: u32 = 0x6050_0020;
    const EXTERNAL: u8 = 2;
    const STATIC: u8 = 3;
    const WEAK: u8 = 0x69;

    fn section_record(number: u16, selection: u8) -> [u8; 18] {
        let mut record = [0; 18];
        let [low, high] = number.to_le_bytes();
        (record[0], record[12], record[13], record[14]) = (4, low, high, selection);
        record
    }

    fn weak_record(fallback: u8, search: u8) -> [u8; 18] {
        let mut record = [0; 18];
        (record[0], record[4]) = (fallback, search);
        record
    }

    #[test]
    fn records_keep_their_numbers() {
        let bytes = object(CODE, 0, &[(1, STATIC, &section_record(0, 0)), (1, EXTERNAL, &[0; 18])]);
        let object = read(&bytes).unwrap_or_else(|error| panic!("{error}"));
        let symbols = object.symbols.iter().filter(|symbol| symbol.other != AUXILIARY);
        let names: Vec<&[u8]> = symbols.map(|symbol| object.symbol_name(symbol)).collect();
        assert_eq!(names, [b"a", b"b"]);
        let kinds: Vec<u8> = object.symbols.iter().map(|symbol| symbol.other).collect();
        assert_eq!(kinds, [0, AUXILIARY, 0]);
        assert!(object.sections.get(1).is_some_and(|section| section.align == 16 && section.size == 4));
    }

    #[test]
    fn what_contradicts_the_format_is_told() {
        let cases: [(Vec<u8>, &str); 7] = [
            (object(CODE | 0x00f0_0000, 0, &[]), "alignment 15"),
            (object(CODE, 0, &[(2, EXTERNAL, &[0; 18])]), "section 2 of 1"),
            (object(CODE, 0, &[(-3, EXTERNAL, &[0; 18])]), "section -3 of 1"),
            (object(CODE, 0, &[(0, WEAK, &weak_record(9, 3))]), "stands for symbol 9 of 2"),
            (object(CODE, 0, &[(0, WEAK, &weak_record(0, 7))]), "search characteristic 7"),
            (object(CODE, 3000, &[]), "relocations of section 1 (.text)"),
            // The extended count is that of the first relocation, here of no bytes that are any.
            (object(CODE | 0x0100_0000, 0xffff, &[]), "relocations of section 1 (.text)"),
        ];
        for (bytes, expected) in cases {
            let said = read(&bytes).map(|object| object.symbols.len());
            assert!(said.as_ref().is_err_and(|said| said.contains(expected)), "{expected}: {said:?}");
        }
    }

    #[test]
    fn associations_end_somewhere() {
        let comdat = CODE | 0x1000;
        let loops = object(comdat, 0, &[(1, STATIC, &section_record(1, 5)), (1, EXTERNAL, &[0; 18])]);
        assert!(read(&loops).is_err_and(|error| error.contains("go in a circle")));
        let nowhere = object(comdat, 0, &[(1, STATIC, &section_record(7, 5))]);
        assert!(read(&nowhere).is_err_and(|error| error.contains("section 7, which does not exist")));
        let unknown = object(comdat, 0, &[(1, STATIC, &section_record(0, 9)), (1, EXTERNAL, &[0; 18])]);
        assert!(read(&unknown).is_err_and(|error| error.contains("COMDAT selection 9")));
    }

    #[test]
    fn no_prefix_of_an_object_is_trouble() {
        let bytes = object(CODE, 0, &[(1, STATIC, &section_record(0, 0)), (0, WEAK, &weak_record(0, 2))]);
        assert!(read(&bytes).is_ok());
        for end in 0..bytes.len() {
            let prefix = bytes.get(..end).unwrap_or_default();
            assert!(read(prefix).is_err(), "{end}");
        }
    }
}
