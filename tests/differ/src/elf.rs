//! Plain structures read from an ELF file of either class and byte order.
//!
//! Everything after this module is written once: 32-bit values are widened, Rel, Rela and CREL become [`Relocation`],
//! extended section numbers are resolved.

use std::borrow::Cow;
use std::fmt;

use object::Endianness;
use object::elf;
use object::read::elf::{CompressionHeader, FileHeader, ProgramHeader, Rel, Rela, SectionHeader, Sym};

/// Why a file could not be read: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<object::read::Error> for Error {
    fn from(error: object::read::Error) -> Self {
        Error(error.to_string())
    }
}

impl From<gimli::Error> for Error {
    fn from(error: gimli::Error) -> Self {
        Error(error.to_string())
    }
}

/// The result of reading.
pub type Result<T> = std::result::Result<T, Error>;

/// A name as ELF has it: bytes, by habit UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name<'a>(pub &'a [u8]);

impl Name<'_> {
    /// Whether the name begins with `prefix`.
    pub fn starts_with(self, prefix: &str) -> bool {
        self.0.starts_with(prefix.as_bytes())
    }

    /// Whether this is the name of a symbol that assemblers make and linkers may drop (`.L…`).
    pub fn is_assembler_local(self) -> bool {
        self.starts_with(".L")
    }

    /// Whether this is the name of a mapping symbol of Arm or RISC-V: where code of a kind, or data, begins.
    pub fn is_mapping(self) -> bool {
        let mut parts = self.0.splitn(2, |byte| *byte == b'.');
        let kinds: [&[u8]; 4] = [b"$a", b"$t", b"$d", b"$x"];
        parts.next().is_some_and(|kind| kinds.contains(&kind) || kind.starts_with(b"$xrv"))
    }
}

impl PartialEq<str> for Name<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.0), f)
    }
}

/// A program header. Offsets and sizes are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// `p_offset`.
    pub offset: u64,
    /// `p_vaddr`.
    pub address: u64,
    /// `p_paddr`.
    pub physical: u64,
    /// `p_filesz`.
    pub file_size: u64,
    /// `p_memsz`.
    pub memory_size: u64,
    /// `p_align`.
    pub align: u64,
}

impl Segment {
    /// Whether `address` lies in the segment's memory.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|offset| offset < self.memory_size)
    }

    /// The first address after the segment's memory.
    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.memory_size)
    }
}

/// A section header with the section's bytes.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    /// The section's name.
    pub name: Name<'a>,
    /// `sh_type`.
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
    /// `sh_addr`.
    pub address: u64,
    /// `sh_offset`.
    pub offset: u64,
    /// `sh_size`: bytes in memory, or of the uncompressed content.
    pub size: u64,
    /// `sh_link`.
    pub link: u32,
    /// `sh_info`.
    pub info: u32,
    /// `sh_addralign`, at least 1; of the uncompressed content.
    pub align: u64,
    /// `sh_entsize`.
    pub entry_size: u64,
    /// The content, decompressed; empty for SHT_NOBITS.
    pub data: Cow<'a, [u8]>,
    /// Whether the file holds the content compressed (SHF_COMPRESSED).
    pub compressed: bool,
}

impl Section<'_> {
    /// Whether the section takes memory at run time.
    pub fn is_allocated(&self) -> bool {
        self.has(elf::SHF_ALLOC.0)
    }

    /// Whether the section can be written at run time.
    pub fn is_writable(&self) -> bool {
        self.has(elf::SHF_WRITE.0)
    }

    /// Whether the section holds code.
    pub fn is_executable(&self) -> bool {
        self.has(elf::SHF_EXECINSTR.0)
    }

    /// Whether the section is part of the thread-local template.
    pub fn is_tls(&self) -> bool {
        self.has(elf::SHF_TLS.0)
    }

    /// Whether a linker may merge equal pieces of the section.
    pub fn is_mergeable(&self) -> bool {
        self.has(elf::SHF_MERGE.0) && self.entry_size != 0
    }

    /// Whether the pieces are strings that end in a zero of `entry_size` bytes.
    pub fn is_strings(&self) -> bool {
        self.has(elf::SHF_STRINGS.0)
    }

    /// Whether the section has no bytes in the file.
    pub fn is_nobits(&self) -> bool {
        self.kind == elf::SHT_NOBITS.0
    }

    /// Whether `address` lies in the section.
    pub fn contains(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|offset| offset < self.size)
    }

    /// The first address after the section.
    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }

    fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }
}

/// Where a symbol's value counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// SHN_UNDEF.
    Undefined,
    /// SHN_ABS: the value is a number.
    Absolute,
    /// SHN_COMMON: the value is an alignment.
    Common,
    /// The section of this index.
    Section(u32),
    /// Another reserved number.
    Reserved(u16),
}

/// A symbol of `.symtab` or `.dynsym`.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'a> {
    /// The name.
    pub name: Name<'a>,
    /// `st_value`; for functions of Arm, without the bit that tells the mode.
    pub value: u64,
    /// Whether the symbol is a function of Thumb code: then bit 0 of its address is set where it is referred to.
    pub thumb: bool,
    /// `st_other` without the visibility: what CPUs keep there.
    pub other: u8,
    /// `st_size` in bytes.
    pub size: u64,
    /// STT_*.
    pub kind: u8,
    /// STB_*.
    pub binding: u8,
    /// STV_*.
    pub visibility: u8,
    /// `st_shndx`, resolved.
    pub place: Place,
}

impl Symbol<'_> {
    /// The value that references to the symbol get.
    pub fn address(&self) -> u64 {
        self.value | u64::from(self.thumb)
    }

    /// Whether the file defines the symbol (common symbols count).
    pub fn is_defined(&self) -> bool {
        self.place != Place::Undefined
    }

    /// Whether the symbol is STB_LOCAL.
    pub fn is_local(&self) -> bool {
        self.binding == elf::STB_LOCAL.0
    }

    /// Whether the symbol is STB_WEAK.
    pub fn is_weak(&self) -> bool {
        self.binding == elf::STB_WEAK.0
    }

    /// Whether the symbol is STT_SECTION.
    pub fn is_section(&self) -> bool {
        self.kind == elf::STT_SECTION.0
    }

    /// Whether the symbol is STT_FILE.
    pub fn is_file(&self) -> bool {
        self.kind == elf::STT_FILE.0
    }

    /// Whether the symbol is STT_GNU_IFUNC.
    pub fn is_ifunc(&self) -> bool {
        self.kind == elf::STT_GNU_IFUNC.0
    }

    /// Whether the symbol is STT_TLS.
    pub fn is_tls(&self) -> bool {
        self.kind == elf::STT_TLS.0
    }
}

/// One relocation record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// `r_offset`.
    pub offset: u64,
    /// The relocation type.
    pub kind: u32,
    /// The symbol's index; 0 is none.
    pub symbol: u32,
    /// The addend; `None` where the field itself holds it (Rel).
    pub addend: Option<i64>,
}

/// An ELF file: header, program headers, sections.
#[derive(Clone, Debug)]
pub struct ElfFile<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// Whether the class is ELFCLASS64.
    pub is_64: bool,
    /// The byte order.
    pub endian: Endianness,
    /// `e_type`.
    pub kind: u16,
    /// `e_machine`.
    pub machine: u16,
    /// `EI_OSABI`.
    pub os_abi: u8,
    /// `e_flags`.
    pub flags: u32,
    /// `e_version`.
    pub version: u32,
    /// `e_entry`.
    pub entry: u64,
    /// The program headers.
    pub segments: Vec<Segment>,
    /// The sections, the null section included.
    pub sections: Vec<Section<'a>>,
}

impl<'a> ElfFile<'a> {
    /// Reads headers and sections; decompresses compressed sections.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        match bytes.get(4) {
            Some(1) => parse::<elf::FileHeader32<Endianness>>(bytes),
            Some(2) => parse::<elf::FileHeader64<Endianness>>(bytes),
            _ => Err(Error("not an ELF file".into())),
        }
    }

    /// The section with this name.
    pub fn section_named(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| &section.name == name)
    }

    /// The symbols of a section of the type SHT_SYMTAB or SHT_DYNSYM, the null symbol included; empty if there is none.
    pub fn symbols(&self, kind: u32) -> Result<Vec<Symbol<'a>>> {
        if self.is_64 {
            symbols::<elf::FileHeader64<Endianness>>(self.bytes, kind)
        } else {
            symbols::<elf::FileHeader32<Endianness>>(self.bytes, kind)
        }
    }

    /// The records of section `index`, which must be of type SHT_REL, SHT_RELA or SHT_CREL.
    pub fn relocations(&self, index: usize) -> Result<Vec<Relocation>> {
        if self.is_64 {
            relocations::<elf::FileHeader64<Endianness>>(self.bytes, index)
        } else {
            relocations::<elf::FileHeader32<Endianness>>(self.bytes, index)
        }
    }

    /// Bytes in an address: 4 or 8.
    pub fn word_size(&self) -> usize {
        if self.is_64 { 8 } else { 4 }
    }

    /// The unsigned number that `bytes` (at most 8) hold.
    pub fn unsigned(&self, bytes: &[u8]) -> u64 {
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        match self.endian {
            Endianness::Little => bytes.iter().rev().fold(0, fold),
            Endianness::Big => bytes.iter().fold(0, fold),
        }
    }

    /// The signed number that `bytes` (1 to 8) hold.
    pub fn signed(&self, bytes: &[u8]) -> i64 {
        sign_extend(self.unsigned(bytes), bytes.len())
    }

    /// Reads numbers one after another from `bytes`.
    pub fn cursor<'b>(&self, bytes: &'b [u8]) -> Cursor<'b> {
        Cursor { bytes, endian: self.endian }
    }
}

/// Widens the low `width` bytes of `value` as a signed number.
pub fn sign_extend(value: u64, width: usize) -> i64 {
    let shift = 64u32.saturating_sub(8 * width as u32).min(63);
    ((value << shift) as i64) >> shift
}

/// Reads numbers one after another; `None` past the end.
#[derive(Clone, Debug)]
pub struct Cursor<'b> {
    bytes: &'b [u8],
    endian: Endianness,
}

impl<'b> Cursor<'b> {
    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (head, tail) = self.bytes.split_at_checked(count)?;
        self.bytes = tail;
        Some(head)
    }

    /// The next unsigned number of `width` bytes.
    pub fn number(&mut self, width: usize) -> Option<u64> {
        let bytes = self.take(width)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(match self.endian {
            Endianness::Little => bytes.iter().rev().fold(0, fold),
            Endianness::Big => bytes.iter().fold(0, fold),
        })
    }

    /// The next 16-bit number.
    pub fn u16(&mut self) -> Option<u16> {
        self.number(2).map(|value| value as u16)
    }

    /// The next 32-bit number.
    pub fn u32(&mut self) -> Option<u32> {
        self.number(4).map(|value| value as u32)
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }
}

/// The string at `offset` of a string table.
pub fn string_at(table: &[u8], offset: u64) -> Option<Name<'_>> {
    let tail = table.get(usize::try_from(offset).ok()?..)?;
    let end = tail.iter().position(|byte| *byte == 0)?;
    Some(Name(&tail[..end]))
}

fn parse<'a, E: FileHeader<Endian = Endianness>>(bytes: &'a [u8]) -> Result<ElfFile<'a>> {
    let header = E::parse(bytes)?;
    let endian = header.endian()?;
    let segments = header
        .program_headers(endian, bytes)?
        .iter()
        .map(|segment| Segment {
            kind: segment.p_type(endian).0,
            flags: segment.p_flags(endian).0,
            offset: segment.p_offset(endian).into(),
            address: segment.p_vaddr(endian).into(),
            physical: segment.p_paddr(endian).into(),
            file_size: segment.p_filesz(endian).into(),
            memory_size: segment.p_memsz(endian).into(),
            align: segment.p_align(endian).into(),
        })
        .collect();
    let table = header.sections(endian, bytes)?;
    let mut sections = Vec::with_capacity(table.len());
    for section in table.iter() {
        let raw = section.data(endian, bytes)?;
        let mut size = section.sh_size(endian).into();
        let mut align: u64 = section.sh_addralign(endian).into();
        let mut data = Cow::Borrowed(raw);
        let compression = section.compression(endian, bytes)?;
        if let Some((compression, offset, length)) = compression {
            let range = offset as usize..(offset + length) as usize;
            let content = bytes.get(range).ok_or_else(|| Error("compressed section outside the file".into()))?;
            let format = match compression.ch_type(endian) {
                elf::ELFCOMPRESS_ZLIB => object::read::CompressionFormat::Zlib,
                elf::ELFCOMPRESS_ZSTD => object::read::CompressionFormat::Zstandard,
                other => return Err(Error(format!("unknown section compression {}", other.0))),
            };
            size = compression.ch_size(endian).into();
            align = compression.ch_addralign(endian).into();
            let compressed = object::read::CompressedData { format, data: content, uncompressed_size: size };
            data = compressed.decompress()?;
        }
        sections.push(Section {
            name: Name(table.section_name(endian, section)?),
            kind: section.sh_type(endian).0,
            flags: section.sh_flags(endian).0,
            address: section.sh_addr(endian).into(),
            offset: section.sh_offset(endian).into(),
            size,
            link: section.sh_link(endian),
            info: section.sh_info(endian),
            align: align.max(1),
            entry_size: section.sh_entsize(endian).into(),
            data,
            compressed: compression.is_some(),
        });
    }
    Ok(ElfFile {
        bytes,
        is_64: header.is_type_64(),
        endian,
        kind: header.e_type(endian).0,
        machine: header.e_machine(endian).0,
        os_abi: header.e_ident().os_abi.0,
        flags: header.e_flags(endian).0,
        version: header.e_version(endian),
        entry: header.e_entry(endian).into(),
        segments,
        sections,
    })
}

fn symbols<'a, E: FileHeader<Endian = Endianness>>(bytes: &'a [u8], kind: u32) -> Result<Vec<Symbol<'a>>> {
    let header = E::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let table = sections.symbols(endian, bytes, elf::SectionType(kind))?;
    let mut symbols = Vec::with_capacity(table.len());
    for (index, symbol) in table.enumerate() {
        let place = match symbol.st_shndx(endian) {
            elf::SHN_UNDEF => Place::Undefined,
            elf::SHN_ABS => Place::Absolute,
            elf::SHN_COMMON => Place::Common,
            elf::SHN_XINDEX => match table.shndx(endian, index) {
                Some(section) => Place::Section(section),
                None => return Err(Error(format!("symbol {} has no extended section number", index.0))),
            },
            other if other.0 < elf::SHN_LORESERVE => Place::Section(other.0.into()),
            other => Place::Reserved(other.0),
        };
        let value: u64 = symbol.st_value(endian).into();
        // ELF for the Arm Architecture, "Symbol Values".
        let function = [elf::STT_FUNC, elf::STT_GNU_IFUNC].contains(&symbol.st_type());
        let thumb = header.e_machine(endian) == elf::EM_ARM && function && value & 1 == 1;
        symbols.push(Symbol {
            name: Name(table.symbol_name(endian, symbol)?),
            value: value & !u64::from(thumb),
            thumb,
            other: symbol.st_other().0 & !3,
            size: symbol.st_size(endian).into(),
            kind: symbol.st_type().0,
            binding: symbol.st_bind().0,
            visibility: symbol.st_visibility().0,
            place,
        });
    }
    Ok(symbols)
}

fn relocations<E: FileHeader<Endian = Endianness>>(bytes: &[u8], index: usize) -> Result<Vec<Relocation>> {
    let header = E::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let section = sections.section(object::SectionIndex(index))?;
    if let Some((records, _)) = section.rela(endian, bytes)? {
        return Ok(records
            .iter()
            .map(|record| Relocation {
                offset: record.r_offset(endian).into(),
                kind: record.r_type(endian, false).0,
                symbol: record.r_sym(endian, false),
                addend: Some(record.r_addend(endian).into()),
            })
            .collect());
    }
    if let Some((records, _)) = section.rel(endian, bytes)? {
        return Ok(records
            .iter()
            .map(|record| Relocation {
                offset: record.r_offset(endian).into(),
                kind: record.r_type(endian).0,
                symbol: record.r_sym(endian),
                addend: None,
            })
            .collect());
    }
    if let Some((records, _)) = section.crel(endian, bytes)? {
        let explicit = records.is_rela();
        return records
            .map(|record| {
                let record = record?;
                Ok(Relocation {
                    offset: record.r_offset,
                    kind: record.r_type.0,
                    symbol: record.r_sym,
                    addend: explicit.then_some(record.r_addend),
                })
            })
            .collect();
    }
    Err(Error(format!("section {index} holds no relocations")))
}
