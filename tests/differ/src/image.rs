//! The loaded view of one shared library: what the dynamic loader and debuggers see.
//!
//! Dynamic tables are found as the loader finds them, by PT_DYNAMIC and segments, never by section headers.

use object::elf;

use crate::arch::{self, DynamicKind};
use crate::elf::{ElfFile, Error, Name, Place, Result, Section, Segment, Symbol, sign_extend, string_at};

/// Which table a dynamic relocation came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// DT_RELA.
    Rela,
    /// DT_REL.
    Rel,
    /// DT_JMPREL.
    Plt,
    /// DT_RELR.
    Relr,
}

/// A dynamic relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DynamicRelocation {
    /// The address of the field.
    pub address: u64,
    /// The relocation type.
    pub kind: u32,
    /// What the type asks of the loader.
    pub meaning: DynamicKind,
    /// The index in `.dynsym`; 0 is none.
    pub symbol: u32,
    /// The addend, read from the field where the record has none.
    pub addend: i64,
    /// The table that holds the record.
    pub table: Table,
}

/// An entry of PT_DYNAMIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dynamic {
    /// `d_tag`.
    pub tag: i64,
    /// `d_val` or `d_ptr`.
    pub value: u64,
}

/// A version that symbols can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// The number by which DT_VERSYM refers to it.
    pub index: u16,
    /// The version's name.
    pub name: Name<'a>,
    /// The hash the file states.
    pub hash: u32,
    /// The version's flags.
    pub flags: u16,
    /// The library it is needed from; `None` for versions that the image defines.
    pub library: Option<Name<'a>>,
}

/// One shared library.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// Header, program headers and sections.
    pub file: ElfFile<'a>,
    /// `.symtab`, the null symbol included; empty in a stripped image.
    pub symbols: Vec<Symbol<'a>>,
    /// The dynamic symbols, the null symbol included.
    pub dynamic_symbols: Vec<Symbol<'a>>,
    /// The entries of PT_DYNAMIC up to DT_NULL.
    pub dynamic: Vec<Dynamic>,
    /// Dynamic relocations in table order: DT_RELR, DT_REL, DT_RELA, DT_JMPREL.
    pub relocations: Vec<DynamicRelocation>,
    /// The version number of each dynamic symbol; empty without DT_VERSYM.
    pub symbol_versions: Vec<u16>,
    /// Versions needed and defined.
    pub versions: Vec<Version<'a>>,
    /// Indices into `relocations`, by address.
    by_address: Vec<u32>,
    got_base: Option<u64>,
}

impl<'a> Image<'a> {
    /// Reads an image. Fails if a table lies outside the file or a dynamic relocation type is not known.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let file = ElfFile::parse(bytes)?;
        if file.kind != elf::ET_DYN.0 {
            return Err(Error(format!("not a shared library: e_type is {}", file.kind)));
        }
        let symbols = file.symbols(elf::SHT_SYMTAB.0)?;
        let mut image = Image {
            file,
            symbols,
            dynamic_symbols: Vec::new(),
            dynamic: Vec::new(),
            relocations: Vec::new(),
            symbol_versions: Vec::new(),
            versions: Vec::new(),
            by_address: Vec::new(),
            got_base: None,
        };
        image.read_dynamic()?;
        image.dynamic_symbols = image.read_dynamic_symbols()?;
        image.read_versions()?;
        image.read_relocations()?;
        image.got_base = image.find_got_base();
        image.by_address = (0..image.relocations.len() as u32).collect();
        image.by_address.sort_by_key(|index| image.relocations[*index as usize].address);
        Ok(image)
    }

    /// The bytes of an address: 4 or 8.
    pub fn word_size(&self) -> usize {
        self.file.word_size()
    }

    /// The largest page that the loader may protect at once, in bytes.
    pub fn page_size(&self) -> u64 {
        arch::page_size(self.file.machine)
    }

    /// The value of the first entry with this tag.
    pub fn dynamic_value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.dynamic.iter().find(|entry| entry.tag == tag.0).map(|entry| entry.value)
    }

    /// The values of all entries with this tag, in order.
    pub fn dynamic_values(&self, tag: elf::DynamicTag) -> impl Iterator<Item = u64> + '_ {
        self.dynamic.iter().filter(move |entry| entry.tag == tag.0).map(|entry| entry.value)
    }

    /// The string at `offset` of DT_STRTAB.
    pub fn dynamic_string(&self, offset: u64) -> Option<Name<'a>> {
        let address = self.dynamic_value(elf::DT_STRTAB)?;
        let size = self.dynamic_value(elf::DT_STRSZ)?;
        string_at(self.read(address, size)?, offset)
    }

    /// The segments of this type.
    pub fn segments_of(&self, kind: elf::ProgramType) -> impl Iterator<Item = &Segment> {
        self.file.segments.iter().filter(move |segment| segment.kind == kind.0)
    }

    /// The loaded segment that holds `address`.
    pub fn segment_at(&self, address: u64) -> Option<&Segment> {
        self.segments_of(elf::PT_LOAD).find(|segment| segment.contains(address))
    }

    /// The allocated section that holds `address`; thread-local zeros take no addresses.
    pub fn section_at(&self, address: u64) -> Option<&Section<'a>> {
        self.file.sections.iter().find(|section| {
            section.is_allocated() && section.contains(address) && !(section.is_tls() && section.is_nobits())
        })
    }

    /// The bytes from the file at `address`; `None` if any of them is not in one loaded segment's file part.
    pub fn read(&self, address: u64, size: u64) -> Option<&'a [u8]> {
        let end = address.checked_add(size)?;
        let segment = self
            .segments_of(elf::PT_LOAD)
            .find(|segment| segment.address <= address && end <= segment.address.saturating_add(segment.file_size))?;
        let start = segment.offset.checked_add(address - segment.address)?;
        let range = usize::try_from(start).ok()?..usize::try_from(start.checked_add(size)?).ok()?;
        self.file.bytes.get(range)
    }

    /// The initial bytes in memory at `address`: as [`Image::read`], with the zeros that follow a segment's file part.
    /// For small reads: a copy is made.
    pub fn read_memory(&self, address: u64, size: u64) -> Option<Vec<u8>> {
        if let Some(bytes) = self.read(address, size) {
            return Some(bytes.to_vec());
        }
        let segment = self.segment_at(address)?;
        if address.checked_add(size)? > segment.end() {
            return None;
        }
        let in_file = segment.address.saturating_add(segment.file_size).saturating_sub(address).min(size);
        let mut bytes = self.read(address, in_file).unwrap_or_default().to_vec();
        bytes.resize(usize::try_from(size).ok()?, 0);
        Some(bytes)
    }

    /// Whether the `size` bytes at `address` are in memory and all zero, without allocating.
    pub fn is_zero(&self, address: u64, size: u64) -> bool {
        let Some(segment) = self.segment_at(address) else { return size == 0 };
        if address.checked_add(size).is_none_or(|end| end > segment.end()) {
            return false;
        }
        let in_file = segment.address.saturating_add(segment.file_size).saturating_sub(address).min(size);
        in_file == 0 || self.read(address, in_file).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    }

    /// The word at `address` as the file holds it.
    pub fn word(&self, address: u64) -> Option<u64> {
        let bytes = self.read_memory(address, self.word_size() as u64)?;
        Some(self.file.unsigned(&bytes))
    }

    /// Whether the loader makes the page of `address` read-only after relocation, as glibc does: both ends are rounded
    /// down to the page.
    pub fn is_relro(&self, address: u64) -> bool {
        let mask = !(self.page_size() - 1);
        self.segments_of(elf::PT_GNU_RELRO).any(|relro| (relro.address & mask..relro.end() & mask).contains(&address))
    }

    /// Dynamic relocations whose field starts in `[start, end)`, by address.
    pub fn relocations_in(&self, start: u64, end: u64) -> impl Iterator<Item = &DynamicRelocation> {
        let first = self.by_address.partition_point(|index| self.relocations[*index as usize].address < start);
        let rest = self.by_address.get(first..).unwrap_or_default();
        rest.iter().map(|index| &self.relocations[*index as usize]).take_while(move |reloc| reloc.address < end)
    }

    /// The dynamic symbol `index` as `name@version`.
    pub fn dynamic_symbol_name(&self, index: u32) -> String {
        let Some(symbol) = self.dynamic_symbols.get(index as usize) else { return format!("dynsym[{index}]") };
        match self.symbol_version(index as usize) {
            Some(version) => format!("{}@{}", symbol.name, version.name),
            None => symbol.name.to_string(),
        }
    }

    /// The version that dynamic symbol `index` bears; `None` for local and unversioned ones.
    pub fn symbol_version(&self, index: usize) -> Option<&Version<'a>> {
        let number = *self.symbol_versions.get(index)? & 0x7fff;
        if number < 2 {
            return None;
        }
        self.versions.iter().find(|version| version.index == number)
    }

    /// The address that `_GLOBAL_OFFSET_TABLE_` has for relocations: `.got.plt` on x86, else `.got`.
    pub fn got_base(&self) -> Option<u64> {
        self.got_base
    }

    /// What the TOC pointer of PowerPC holds (ELFv2 ABI 3.3): 0x8000 bytes into the section that the GOT begins.
    pub fn toc_base(&self) -> Option<u64> {
        let symbol = self.symbols.iter().find(|symbol| &symbol.name == ".TOC." && symbol.is_defined());
        let start = || self.file.section_named(".got").map(|got| got.address.wrapping_add(0x8000));
        symbol.map(|symbol| symbol.value).or_else(start)
    }

    fn find_got_base(&self) -> Option<u64> {
        let symbol = self.symbols.iter().find(|symbol| &symbol.name == "_GLOBAL_OFFSET_TABLE_" && symbol.is_defined());
        if let Some(symbol) = symbol {
            return Some(symbol.value);
        }
        let section = |name| self.file.section_named(name).map(|section| section.address);
        self.dynamic_value(elf::DT_PLTGOT).or_else(|| section(".got.plt")).or_else(|| section(".got"))
    }

    /// The start of the thread-local template, its size in memory and its alignment.
    pub fn tls(&self) -> Option<&Segment> {
        self.segments_of(elf::PT_TLS).next()
    }

    fn read_dynamic(&mut self) -> Result<()> {
        let Some(segment) = self.segments_of(elf::PT_DYNAMIC).next().copied() else { return Ok(()) };
        let bytes = self
            .read(segment.address, segment.file_size)
            .ok_or_else(|| Error("PT_DYNAMIC is not in a loaded segment".into()))?;
        let width = self.word_size();
        let mut cursor = self.file.cursor(bytes);
        while let (Some(tag), Some(value)) = (cursor.number(width), cursor.number(width)) {
            if tag == 0 {
                return Ok(());
            }
            self.dynamic.push(Dynamic { tag: sign_extend(tag, width), value });
        }
        Err(Error("PT_DYNAMIC does not end in DT_NULL".into()))
    }

    /// The loader has no count of dynamic symbols; the section header has, and `lint` compares its address with DT_SYMTAB.
    fn read_dynamic_symbols(&self) -> Result<Vec<Symbol<'a>>> {
        let symbols = self.file.symbols(elf::SHT_DYNSYM.0)?;
        if symbols.is_empty() && self.dynamic_value(elf::DT_SYMTAB).is_some() {
            return Err(Error("there is DT_SYMTAB but no section of type SHT_DYNSYM".into()));
        }
        Ok(symbols)
    }

    fn read_relocations(&mut self) -> Result<()> {
        if let Some((start, size)) = self.table(elf::DT_RELR, elf::DT_RELRSZ) {
            self.read_relr(start, size)?;
        }
        if let Some((start, size)) = self.table(elf::DT_REL, elf::DT_RELSZ) {
            self.read_records(start, size, Table::Rel, false)?;
        }
        if let Some((start, size)) = self.table(elf::DT_RELA, elf::DT_RELASZ) {
            self.read_records(start, size, Table::Rela, true)?;
        }
        if let Some((start, size)) = self.table(elf::DT_JMPREL, elf::DT_PLTRELSZ) {
            let explicit = self.dynamic_value(elf::DT_PLTREL) == Some(elf::DT_RELA.0 as u64);
            self.read_records(start, size, Table::Plt, explicit)?;
        }
        Ok(())
    }

    fn table(&self, start: elf::DynamicTag, size: elf::DynamicTag) -> Option<(u64, u64)> {
        Some((self.dynamic_value(start)?, self.dynamic_value(size)?))
    }

    fn read_records(&mut self, start: u64, size: u64, table: Table, explicit: bool) -> Result<()> {
        let bytes = self.read(start, size).ok_or_else(|| Error(format!("{table:?} table outside the segments")))?;
        let width = self.word_size();
        let mut cursor = self.file.cursor(bytes);
        while cursor.remaining() != 0 {
            let truncated = || Error(format!("{table:?} table has a partial record"));
            let address = cursor.number(width).ok_or_else(truncated)?;
            let info = cursor.number(width).ok_or_else(truncated)?;
            let (symbol, kind) =
                if width == 8 { ((info >> 32) as u32, info as u32) } else { ((info >> 8) as u32, info as u32 & 0xff) };
            let meaning = self.dynamic_kind(kind)?;
            let addend = if explicit {
                sign_extend(cursor.number(width).ok_or_else(truncated)?, width)
            } else if meaning == DynamicKind::TlsDescriptor {
                // The first word is the loader's.
                sign_extend(self.word(address.wrapping_add(width as u64)).unwrap_or_default(), width)
            } else if meaning == DynamicKind::JumpSlot {
                0 // The field holds the address that lazy binding goes through.
            } else {
                sign_extend(self.word(address).unwrap_or_default(), width)
            };
            self.relocations.push(DynamicRelocation { address, kind, meaning, symbol, addend, table });
        }
        Ok(())
    }

    /// DT_RELR: an even word is an address, an odd one a bitmap of the words after the last address.
    fn read_relr(&mut self, start: u64, size: u64) -> Result<()> {
        let bytes = self.read(start, size).ok_or_else(|| Error("DT_RELR table outside the segments".into()))?;
        let width = self.word_size();
        let word = width as u64;
        let kind =
            arch::relative_kind(self.file.machine).ok_or_else(|| Error("DT_RELR on a machine without it".into()))?;
        let mut cursor = self.file.cursor(bytes);
        let mut next = 0u64;
        while let Some(entry) = cursor.number(width) {
            if entry & 1 == 0 {
                self.push_relr(entry, kind)?;
                next = entry.wrapping_add(word);
                continue;
            }
            for bit in 1..8 * word {
                if entry >> bit & 1 == 1 {
                    self.push_relr(next.wrapping_add((bit - 1) * word), kind)?;
                }
            }
            next = next.wrapping_add((8 * word - 1) * word);
        }
        Ok(())
    }

    fn push_relr(&mut self, address: u64, kind: u32) -> Result<()> {
        let value =
            self.word(address).ok_or_else(|| Error(format!("DT_RELR names {address:#x}, outside the segments")))?;
        self.relocations.push(DynamicRelocation {
            address,
            kind,
            meaning: DynamicKind::Relative,
            symbol: 0,
            addend: sign_extend(value, self.word_size()),
            table: Table::Relr,
        });
        Ok(())
    }

    fn dynamic_kind(&self, kind: u32) -> Result<DynamicKind> {
        arch::dynamic_kind(self.file.machine, kind).ok_or_else(|| {
            Error(format!("dynamic relocation type {kind} of machine {} is not known", self.file.machine))
        })
    }

    fn read_versions(&mut self) -> Result<()> {
        let outside = || Error("version table outside the segments".into());
        if let Some(address) = self.dynamic_value(elf::DT_VERSYM) {
            let bytes = self.read(address, 2 * self.dynamic_symbols.len() as u64).ok_or_else(outside)?;
            let mut cursor = self.file.cursor(bytes);
            while let Some(version) = cursor.u16() {
                self.symbol_versions.push(version);
            }
        }
        let mut versions = Vec::new();
        if let Some((start, count)) = self.table(elf::DT_VERNEED, elf::DT_VERNEEDNUM) {
            let mut address = start;
            for number in 1..=count {
                let mut need = self.file.cursor(self.read(address, 16).ok_or_else(outside)?);
                let (revision, entries) = (need.u16(), need.u16().unwrap_or_default());
                if revision != Some(1) {
                    return Err(Error(format!("vn_version is {revision:?}")));
                }
                let file = self.dynamic_string(need.u32().unwrap_or_default().into()).ok_or_else(outside)?;
                let (first, next) = (need.u32().unwrap_or_default(), need.u32().unwrap_or_default());
                let mut entry = address.wrapping_add(first.into());
                for number in 1..=entries {
                    let mut aux = self.file.cursor(self.read(entry, 16).ok_or_else(outside)?);
                    let hash = aux.u32().unwrap_or_default();
                    let (flags, index) = (aux.u16().unwrap_or_default(), aux.u16().unwrap_or_default());
                    let name = self.dynamic_string(aux.u32().unwrap_or_default().into()).ok_or_else(outside)?;
                    versions.push(Version { index, name, hash, flags, library: Some(file) });
                    let next = aux.u32().unwrap_or_default();
                    chain_ends("vna_next", next, number == entries)?;
                    entry = entry.wrapping_add(next.into());
                }
                chain_ends("vn_next", next, number == count)?;
                address = address.wrapping_add(next.into());
            }
        }
        if let Some((start, count)) = self.table(elf::DT_VERDEF, elf::DT_VERDEFNUM) {
            let mut address = start;
            for number in 1..=count {
                let mut definition = self.file.cursor(self.read(address, 20).ok_or_else(outside)?);
                let (_, flags) = (definition.u16(), definition.u16().unwrap_or_default());
                let (index, _) = (definition.u16().unwrap_or_default(), definition.u16());
                let hash = definition.u32().unwrap_or_default();
                let (first, next) = (definition.u32().unwrap_or_default(), definition.u32().unwrap_or_default());
                let bytes = self.read(address.wrapping_add(first.into()), 8).ok_or_else(outside)?;
                let name = self.file.cursor(bytes).u32().unwrap_or_default();
                let name = self.dynamic_string(name.into()).ok_or_else(outside)?;
                versions.push(Version { index, name, hash, flags, library: None });
                chain_ends("vd_next", next, number == count)?;
                address = address.wrapping_add(next.into());
            }
        }
        self.versions = versions;
        Ok(())
    }

    /// Whether references to dynamic symbol `index` may be bound to another library's definition, -Bsymbolic apart.
    pub fn is_preemptible(&self, index: usize) -> bool {
        let Some(symbol) = self.dynamic_symbols.get(index) else { return false };
        if symbol.place == Place::Undefined {
            return true;
        }
        !symbol.is_local() && symbol.visibility == elf::STV_DEFAULT.0
    }

    /// Whether the image was linked with -Bsymbolic: its own definitions are preferred, so references may be bound to them.
    pub fn is_symbolic(&self) -> bool {
        let flags = self.dynamic_value(elf::DT_FLAGS).unwrap_or_default();
        self.dynamic_value(elf::DT_SYMBOLIC).is_some() || flags & elf::DF_SYMBOLIC.0 != 0
    }
}

/// Version tables state their length twice: glibc follows the chain, others count.
fn chain_ends(field: &str, next: u32, last: bool) -> Result<()> {
    match (next == 0) == last {
        true => Ok(()),
        false => Err(Error(format!("{field} is {next}, which contradicts the number of entries"))),
    }
}
