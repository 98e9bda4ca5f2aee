//! From the bytes of an ELF relocatable object to the [`Object`] of the model.
//!
//! Source: gABI chapter 4 (*ELF Header*, *Sections*, *Symbol Table*, *Relocation*).

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

use indexmap::IndexMap;
use object::LittleEndian as LE;
use object::elf;
use object::read::elf::{CrelIterator, FileHeader, Rel, Rela, SectionHeader, SectionTable, Sym};

use super::ObjectInfo;
use super::arm;
use super::class::Writer;
use super::property::Properties;
use super::riscv;
use crate::arch::{Bits, ElfMachine};
use crate::error::{Error, Label};
use crate::lto;
use crate::model::{
    self, Binding, CommonKind, Fate, Group, InputName, Object, RelocEncoding, Relocs, Section, SectionFlags,
    SectionIndex, Symbol, SymbolKind, SymbolSection,
};
use crate::names::{self, Names};
use crate::options::Arch;

/// `SHT_X86_64_UNWIND`, the psABI's own type for `.eh_frame`.
const SHT_X86_64_UNWIND: u32 = 0x7000_0001;
/// LLVM's messages to linkers: ODR tables, linker options, address-significance and call-graph tables, dependent libraries.
const SHT_LLVM_METADATA: std::ops::RangeInclusive<u32> = 0x6fff_4c00..=0x6fff_4c09;
/// `SHF_GNU_RETAIN`: survives garbage collection.
const SHF_GNU_RETAIN: u64 = 1 << 21;
/// `SHF_EXCLUDE`: not for images.
const SHF_EXCLUDE: u64 = 1 << 31;
/// `SHF_X86_64_LARGE`.
pub(crate) const SHF_X86_64_LARGE: u64 = 0x1000_0000;
/// The strictest alignment, in bytes: as much as an address space of 2^47 bytes can meaningfully have.
pub(crate) const ALIGN_LIMIT: u64 = 1 << 32;
/// `SHN_X86_64_LCOMMON`: a common symbol of the large data sections.
const SHN_X86_64_LCOMMON: elf::SymbolSection = elf::SymbolSection(0xff02);

/// Reads an object file.
///
/// # Errors
/// [`Error::Malformed`] and [`Error::Unsupported`], naming the file and the section or symbol.
pub(crate) fn parse<'a>(name: InputName<'a>, bytes: &'a [u8]) -> Result<Object<'a>, Error> {
    let parts = match bytes.get(4) {
        Some(class) if *class == elf::ELFCLASS32.0 => {
            Parser::<elf::FileHeader32<LE>>::new(&name, bytes).and_then(Parser::object)
        }
        _ => Parser::<elf::FileHeader64<LE>>::new(&name, bytes).and_then(Parser::object),
    };
    let (sections, symbols, strings, groups, info) = parts?;
    let info = model::ObjectInfo::Elf(info);
    Ok(Object { name, sections, symbols, strings, short_names: &[], groups, hide_symbols: false, info })
}

type Parts<'a> = (Vec<Section<'a>>, Vec<Symbol>, &'a [u8], Vec<Group<'a>>, ObjectInfo);

/// Reads a file of one class: `H` is the class's file header.
struct Parser<'n, 'a, H> {
    file: &'n InputName<'a>,
    bytes: &'a [u8],
    header: &'a H,
    bits: Bits,
    /// The CPU, which says where addends stand that its tables of relocations do not hold.
    arch: Option<Arch>,
}

impl<'n, 'a, H: FileHeader<Endian = LE>> Parser<'n, 'a, H> {
    /// Checks the file header.
    fn new(file: &'n InputName<'a>, bytes: &'a [u8]) -> Result<Self, Error> {
        let header = H::parse(bytes).map_err(|error| Error::malformed(file, format!("not an ELF file: {error}")))?;
        if !header.is_little_endian() {
            return Err(Error::unsupported(file, "big-endian ELF objects cannot be linked"));
        }
        if header.e_type(LE) != elf::ET_REL {
            let what = format!("ELF type {} where a relocatable object (1) is needed", header.e_type(LE).0);
            return Err(Error::malformed(file, what));
        }
        let bits = if header.is_type_64() { Bits::B64 } else { Bits::B32 };
        let arch = ElfMachine::find(header.e_machine(LE), bits);
        Ok(Self { file, bytes, header, bits, arch })
    }

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

    fn object(self) -> Result<Parts<'a>, Error> {
        let header = self.header;
        let table = self.read(header.sections(LE, self.bytes), "section headers")?;
        self.check_overlap(&table)?;
        let mut names = Names::new(table.iter().count(), self.section_names_size(&table), "sections");
        let mut info = ObjectInfo {
            machine: header.e_machine(LE).0,
            bits: self.bits,
            flags: header.e_flags(LE).0,
            os_abi: header.e_ident().os_abi.0,
            exec_stack: false,
            properties: None,
            riscv_attributes: None,
            arm_attributes: None,
        };
        let mut properties = Properties::absent();
        let mut sections = Vec::with_capacity(table.len());
        for (index, header) in table.enumerate() {
            let section = self.section(&table, index.0, header, &mut info, &mut properties)?;
            names.add(section.name.len()).map_err(|what| self.malformed(what))?;
            sections.push(section);
        }
        info.properties = Some(properties);
        let (symbols, strings) = self.symbols(&table, &sections)?;
        if lto::is_slim(sections.iter().map(|section| section.name), strings) {
            return Err(self.unsupported(lto::SLIM));
        }
        let groups = self.groups(&table, &mut sections, &symbols, strings)?;
        for header in table.iter() {
            self.relocations(header, &mut sections)?;
        }
        let mut symbols = symbols;
        if self.arch == Some(Arch::Riscv64) {
            riscv::align::align(self.file, &mut sections, &mut symbols)?;
        }
        Ok((sections, symbols, strings, groups, info))
    }

    /// "Sections in a file may not overlap. No byte in a file resides in more than one section" (gABI, *Sections*). This
    /// also bounds what can be made of a file: a thousand tables of relocations on the same bytes would be a thousand times
    /// the work.
    fn check_overlap(&self, table: &SectionTable<'a, H>) -> Result<(), Error> {
        let sizes = table.iter().filter(|header| !matches!(header.sh_type(LE), elf::SHT_NOBITS | elf::SHT_NULL));
        let total = sizes.fold(0_u64, |total, header| total.saturating_add(header.sh_size(LE).into()));
        if total <= self.bytes.len() as u64 {
            return Ok(());
        }
        Err(self
            .malformed(format!("sections overlap: together they have {total} bytes, the file {}", self.bytes.len())))
    }

    fn section_names_size(&self, table: &SectionTable<'a, H>) -> usize {
        let index = self.header.shstrndx(LE, self.bytes).ok().map(|index| object::SectionIndex(index as usize));
        let strings = index.and_then(|index| table.section(index).ok()).and_then(|it| it.data(LE, self.bytes).ok());
        strings.map_or(0, <[u8]>::len)
    }

    fn section(
        &self,
        table: &SectionTable<'a, H>,
        index: usize,
        header: &'a H::SectionHeader,
        info: &mut ObjectInfo,
        all_properties: &mut Properties,
    ) -> Result<Section<'a>, Error> {
        let name = self.read(table.section_name(LE, header), format_args!("name of section {index}"))?;
        let raw_flags = header.sh_flags(LE).0;
        let kind = header.sh_type(LE).0;
        let align = header.sh_addralign(LE).into().max(1);
        let what = Label::Section(index, name);
        if !align.is_power_of_two() || align > ALIGN_LIMIT {
            return Err(self.malformed(format!("{what}: alignment {align} is no power of two up to 2^32")));
        }
        if raw_flags & elf::SHF_COMPRESSED.0 != 0 && raw_flags & elf::SHF_ALLOC.0 != 0 {
            return Err(self.malformed(format!("{what}: compressed and loaded at once")));
        }
        let executable_tls = elf::SHF_ALLOC.0 | elf::SHF_TLS.0 | elf::SHF_EXECINSTR.0;
        if raw_flags & executable_tls == executable_tls {
            return Err(self.malformed(format!("{what}: thread-local and executable at once")));
        }
        let data = if kind == elf::SHT_NOBITS.0 || kind == elf::SHT_NULL.0 {
            &[]
        } else {
            self.read(header.data(LE, self.bytes), what)?
        };
        // AArch64's build attributes are one table an object, and end to end they would be none. What the image must keep of
        // them stands in the property note, too (*Build Attributes for the Arm 64-bit Architecture*).
        let attributes = info.machine == elf::EM_AARCH64.0 && kind == elf::SHT_AARCH64_ATTRIBUTES.0;
        let fate = if attributes { Fate::Metadata } else { fate(name, kind, raw_flags) };
        if name == b".note.GNU-stack" && raw_flags & elf::SHF_EXECINSTR.0 != 0 {
            info.exec_stack = true;
        }
        if name == b".note.gnu.property" && kind == elf::SHT_NOTE.0 {
            let properties = Properties::parse(data, self.bits == Bits::B64, elf::Machine(info.machine));
            let properties = properties
                .map_err(|error| self.malformed(format!("{what} at offset 0x{:x}: {}", error.offset, error.what)))?;
            all_properties.add_section(&properties);
        }
        if self.arch == Some(Arch::Riscv64) && kind == elf::SHT_RISCV_ATTRIBUTES.0 {
            let attributes = riscv::attributes::Attributes::parse(data);
            let attributes = attributes.map_err(|problem| self.malformed(format!("{what} {problem}")))?;
            info.riscv_attributes = Some(Box::new(attributes));
        }
        if self.arch == Some(Arch::Arm) && kind == elf::SHT_ARM_ATTRIBUTES.0 {
            let attributes = arm::attributes::Attributes::parse(data);
            let attributes = attributes.map_err(|problem| self.malformed(format!("{what} {problem}")))?;
            info.arm_attributes = Some(Box::new(attributes));
        }
        let loaded = raw_flags & elf::SHF_ALLOC.0 != 0;
        let is_index = self.arch == Some(Arch::Arm) && kind == elf::SHT_ARM_EXIDX.0 && loaded;
        let flags = flags(name, kind, raw_flags);
        // On POWER compilers write slots as the GOT has them.
        let power = self.arch == Some(Arch::Ppc64);
        let power_toc = power && name == b".toc" && flags.has(SectionFlags::WRITE);
        // Assemblers leave it at 1 where the source does not ask for more.
        let align = if power && flags.has(SectionFlags::EXEC) { align.max(4) } else { align };
        Ok(Section {
            name,
            size: if kind == elf::SHT_NULL.0 { 0 } else { header.sh_size(LE).into() },
            data: Cow::Borrowed(data),
            align,
            flags: flags.when(is_index, SectionFlags::EXIDX).when(power_toc, SectionFlags::RELRO),
            kind,
            entry_size: header.sh_entsize(LE).into(),
            linked: header.sh_link(LE),
            relocs: Relocs::default(),
            fate,
            output: Section::NOWHERE,
            offset: 0,
        })
    }

    fn symbols(&self, table: &SectionTable<'a, H>, sections: &[Section<'a>]) -> Result<(Vec<Symbol>, &'a [u8]), Error> {
        let symtab = self.read(table.symbols(LE, self.bytes, elf::SHT_SYMTAB), "symbol table")?;
        let Some((_, header)) = table.enumerate().find(|(_, header)| header.sh_type(LE) == elf::SHT_SYMTAB) else {
            return Ok((Vec::new(), &[]));
        };
        let strings = self.strings(table, header)?;
        let first_global = header.sh_info(LE);
        let mut symbols = Vec::with_capacity(symtab.len());
        for (index, raw) in symtab.enumerate() {
            let malformed = |what: String| self.malformed(format!("symbol {index}: {what}", index = index.0));
            let section = match raw.st_shndx(LE) {
                elf::SHN_UNDEF => SymbolSection::Undefined,
                elf::SHN_ABS => SymbolSection::Absolute,
                elf::SHN_COMMON if raw.st_type() == elf::STT_TLS => SymbolSection::Common(CommonKind::ThreadLocal),
                elf::SHN_COMMON => SymbolSection::Common(CommonKind::Data),
                SHN_X86_64_LCOMMON if self.arch == Some(Arch::X86_64) && raw.st_type() != elf::STT_TLS => {
                    SymbolSection::Common(CommonKind::Far)
                }
                shndx => match symtab.symbol_section(LE, raw, index).map_err(|error| malformed(error.to_string()))? {
                    Some(section) if section.0 < sections.len() => {
                        SymbolSection::In(u32::try_from(section.0).map_err(|_| malformed("section index".into()))?)
                    }
                    Some(section) => return Err(malformed(format!("section {} of {}", section.0, sections.len()))),
                    None => return Err(malformed(format!("reserved section index 0x{:x}", shndx.0))),
                },
            };
            if raw.st_name(LE) as usize > strings.len() {
                return Err(malformed(format!("name at {} of {} bytes of names", raw.st_name(LE), strings.len())));
            }
            let mut symbol = Symbol::new(raw.st_name(LE), section, raw.st_value(LE).into());
            symbol.size = raw.st_size(LE).into();
            symbol.other = raw.st_other().0;
            symbol.kind = symbol_kind(raw.st_type());
            symbol.binding = match raw.st_bind() {
                elf::STB_LOCAL => Binding::Local,
                elf::STB_GLOBAL => Binding::Global,
                elf::STB_WEAK => Binding::Weak,
                elf::STB_GNU_UNIQUE => Binding::Unique,
                other => return Err(malformed(format!("unknown binding {}", other.0))),
            };
            // Such a symbol stands for an offset in the TLS block (gABI, *Symbol Table*), of which the section is no part.
            if symbol.kind == SymbolKind::Tls
                && let SymbolSection::In(place) = section
                && let Some(place) = sections.get(place as usize)
                && place.is_live()
                && !place.flags.has(SectionFlags::TLS)
            {
                let what = format!(
                    "thread-local (STT_TLS), but its section {} is not (SHF_TLS)",
                    String::from_utf8_lossy(place.name)
                );
                return Err(malformed(what));
            }
            let align = symbol.value.max(1);
            let common = matches!(section, SymbolSection::Common(_));
            if common && (!align.is_power_of_two() || align > ALIGN_LIMIT) {
                return Err(malformed(format!("common symbol with alignment {align}, no power of two up to 2^32")));
            }
            let local = symbol.binding == Binding::Local;
            if local != (index.0 < first_global as usize) {
                return Err(malformed(format!(
                    "local symbols must stand before index {first_global} (sh_info), others not"
                )));
            }
            if local && common {
                return Err(malformed("common and local".to_owned()));
            }
            symbols.push(symbol);
        }
        Ok((symbols, strings))
    }

    /// The string table of the symbol table: as raw bytes, since it is passed on as a whole.
    fn strings(&self, table: &SectionTable<'a, H>, symtab: &H::SectionHeader) -> Result<&'a [u8], Error> {
        let index = object::SectionIndex(symtab.sh_link(LE) as usize);
        let header = self.read(table.section(index), "string table of the symbol table")?;
        self.read(header.data(LE, self.bytes), "string table of the symbol table")
    }

    /// Section groups (gABI *Section Groups*): a COMDAT group's first copy stays, and all of a group stay or go together.
    fn groups(
        &self,
        table: &SectionTable<'a, H>,
        sections: &mut [Section<'a>],
        symbols: &[Symbol],
        strings: &'a [u8],
    ) -> Result<Vec<Group<'a>>, Error> {
        let mut groups = Vec::new();
        let mut lengths = Names::new(table.iter().count(), strings.len(), "groups");
        for (index, header) in table.enumerate() {
            let Some((flag, members)) = self.read(header.group(LE, self.bytes), "section group")? else { continue };
            let malformed = |what: &str| self.malformed(format!("section group {}: {what}", index.0));
            let symbol =
                symbols.get(header.sh_info(LE) as usize).ok_or_else(|| malformed("no such signature symbol"))?;
            let mut list = Vec::with_capacity(members.len());
            for member in members {
                let member = member.get(LE);
                let section = sections.get_mut(member as usize).ok_or_else(|| malformed("no such member section"))?;
                section.flags.set(SectionFlags::GROUP);
                list.push(member);
            }
            let comdat = flag & elf::GRP_COMDAT == elf::GRP_COMDAT;
            let signature: &[u8] = match (symbol.kind, symbol.section()) {
                _ if !comdat => &[],
                // A section symbol as signature stands for the section's name.
                (SymbolKind::Section, SymbolSection::In(section)) => {
                    sections.get(section as usize).map(|section| section.name).unwrap_or_default()
                }
                _ => names::first(strings.get(symbol.name as usize..).unwrap_or_default()).0,
            };
            lengths.add(signature.len()).map_err(|what| self.malformed(what))?;
            groups.push(Group { comdat, signature, members: list });
        }
        // The form of old assemblers, which start files of old C libraries have: a section `.gnu.linkonce.KIND.SIGNATURE` is there
        // once. Code may have been given as a group, too (GNU ld's rule).
        let mut old: IndexMap<&[u8], Vec<SectionIndex>> = IndexMap::new();
        for (index, section) in (0..).zip(&*sections).filter(|(_, section)| !section.flags.has(SectionFlags::GROUP)) {
            if section.name.starts_with(b".gnu.linkonce.") && section.fate == Fate::Live {
                let signature = section.name.strip_prefix(b".gnu.linkonce.t.").unwrap_or(section.name);
                old.entry(signature).or_default().push(index);
            }
        }
        for (signature, members) in old {
            lengths.add(signature.len()).map_err(|what| self.malformed(what))?;
            members.iter().for_each(|member| {
                if let Some(section) = sections.get_mut(*member as usize) {
                    section.flags.set(SectionFlags::GROUP);
                }
            });
            groups.push(Group { comdat: true, signature, members });
        }
        Ok(groups)
    }

    fn relocations(&self, header: &'a H::SectionHeader, sections: &mut [Section<'a>]) -> Result<(), Error> {
        let kind = header.sh_type(LE);
        if !matches!(kind, elf::SHT_RELA | elf::SHT_REL | elf::SHT_CREL) {
            return Ok(());
        }
        let Some(section) = sections.get_mut(header.sh_info(LE) as usize).filter(|_| header.sh_info(LE) != 0) else {
            return Err(self.malformed(format!("relocations for section {}, which does not exist", header.sh_info(LE))));
        };
        // What nobody copies needs no relocating: LLVM's profile of calls has relocations of the form without addends on every
        // machine.
        if section.fate == Fate::Metadata {
            return Ok(());
        }
        let what = Label::Relocations(section.name);
        let rela = match self.bits {
            Bits::B32 => RelocEncoding::Rela32,
            Bits::B64 => RelocEncoding::Rela64,
        };
        let (bytes, encoding) = match kind {
            elf::SHT_RELA => {
                let Some((table, _)) = self.read(header.rela(LE, self.bytes), what)? else { return Ok(()) };
                let key = |rela: &H::Rela| rela.r_offset(LE).into();
                (sorted(table, key), rela)
            }
            elf::SHT_CREL => {
                let data = self.read(header.data(LE, self.bytes), what)?;
                (Cow::Owned(self.crel(data, what)?), rela)
            }
            _ if header.sh_size(LE).into() == 0 => return Ok(()),
            _ => {
                let Some((table, _)) = self.read(header.rel(LE, self.bytes), what)? else { return Ok(()) };
                let (Some(arch), Bits::B32) = (self.arch, self.bits) else {
                    return Err(self.unsupported(format!("{what}: REL, where this machine's psABI has RELA")));
                };
                (sorted(table, |rel: &H::Rel| rel.r_offset(LE).into()), RelocEncoding::Rel32(arch))
            }
        };
        if bytes.is_empty() {
            return Ok(());
        }
        if !section.relocs.is_empty() {
            return Err(self.unsupported(format!("{what}: more than one table")));
        }
        section.relocs = Relocs { bytes, encoding };
        Ok(())
    }

    /// Compact relocations (gABI draft, `SHT_CREL`), turned into the ordinary form.
    fn crel(&self, data: &[u8], what: Label<'_>) -> Result<Vec<u8>, Error> {
        let iterator = self.read(CrelIterator::new(data), what)?;
        if !iterator.is_rela() {
            return Err(self.unsupported(format!("{what}: CREL without addends, where this machine's psABI has them")));
        }
        // Each takes a byte at least, so a count beyond that is a lie; checked before anything is allocated.
        if iterator.len() > data.len() {
            return Err(self.malformed(format!("{what}: {} relocations in {} bytes", iterator.len(), data.len())));
        }
        let mut entries = Vec::with_capacity(iterator.len());
        for entry in iterator {
            entries.push(self.read(entry, what)?);
        }
        entries.sort_by_key(|entry| entry.r_offset);
        let mut table = Writer::new(self.bits);
        for entry in entries {
            table.word(entry.r_offset);
            match self.bits {
                Bits::B32 => table.u32(entry.r_sym << 8 | entry.r_type.0 & 0xff),
                Bits::B64 => {
                    table.u32(entry.r_type.0);
                    table.u32(entry.r_sym);
                }
            }
            table.word(entry.r_addend.cast_unsigned());
        }
        Ok(table.bytes)
    }
}

/// The bytes of a table in ascending order of a key: as they are, if they are so already.
fn sorted<'a, T: object::pod::Pod>(table: &'a [T], key: impl Fn(&T) -> u64) -> Cow<'a, [u8]> {
    if table.is_sorted_by_key(&key) {
        return Cow::Borrowed(object::pod::bytes_of_slice(table));
    }
    let mut table = table.to_vec();
    table.sort_by_key(key);
    Cow::Owned(object::pod::bytes_of_slice(&table).to_vec())
}

/// What a symbol type stands for.
pub(crate) fn symbol_kind(kind: elf::SymbolType) -> SymbolKind {
    match kind {
        elf::STT_OBJECT | elf::STT_COMMON => SymbolKind::Object,
        elf::STT_FUNC => SymbolKind::Function,
        elf::STT_SECTION => SymbolKind::Section,
        elf::STT_FILE => SymbolKind::File,
        elf::STT_TLS => SymbolKind::Tls,
        elf::STT_GNU_IFUNC => SymbolKind::Ifunc,
        _ => SymbolKind::None,
    }
}

/// Whether a section's contents go into the image at all.
fn fate(name: &[u8], kind: u32, flags: u64) -> Fate {
    let metadata = matches!(
        elf::SectionType(kind),
        elf::SHT_NULL
            | elf::SHT_SYMTAB
            | elf::SHT_STRTAB
            | elf::SHT_RELA
            | elf::SHT_REL
            | elf::SHT_CREL
            | elf::SHT_GROUP
            | elf::SHT_SYMTAB_SHNDX
            // What an object assumes of ABI variants: one after the other they would be malformed, and no loader reads them.
            | elf::SHT_GNU_ATTRIBUTES
    ) || SHT_LLVM_METADATA.contains(&kind);
    let consumed = matches!(
        name,
        b".note.GNU-stack"
            | b".note.gnu.property"
            | b".note.gnu.build-id"
            | b".gnu.warning"
            | b".ARM.attributes"
            | b".riscv.attributes"
    );
    // Texts for GNU ld to show to who uses a symbol.
    let consumed = consumed || name.starts_with(b".gnu.warning.");
    if metadata || consumed || flags & SHF_EXCLUDE != 0 { Fate::Metadata } else { Fate::Live }
}

fn flags(name: &[u8], kind: u32, raw: u64) -> SectionFlags {
    let alloc = raw & elf::SHF_ALLOC.0 != 0;
    let unwind = name == b".eh_frame" && (kind == elf::SHT_PROGBITS.0 || kind == SHT_X86_64_UNWIND);
    let debug = name.starts_with(b".debug_") || name.starts_with(b".zdebug_") || name.starts_with(b".gnu.debuglto_");
    // The template of thread-local storage is relocated and then protected, as all of it that is writable.
    let tls = alloc && raw & elf::SHF_TLS.0 != 0;
    let writable = tls || raw & elf::SHF_WRITE.0 != 0;
    // A note that belongs to something stays if that does.
    let note = kind == elf::SHT_NOTE.0 && raw & elf::SHF_GROUP.0 == 0;
    let retained = raw & SHF_GNU_RETAIN != 0 || note || is_start_up(name, kind);
    SectionFlags::default()
        .when(alloc, SectionFlags::ALLOC)
        .when(writable, SectionFlags::WRITE)
        .when(raw & elf::SHF_EXECINSTR.0 != 0, SectionFlags::EXEC)
        .when(tls, SectionFlags::TLS)
        .when(raw & elf::SHF_MERGE.0 != 0, SectionFlags::MERGE)
        .when(raw & elf::SHF_STRINGS.0 != 0, SectionFlags::STRINGS)
        .when(kind == elf::SHT_NOBITS.0, SectionFlags::ZERO)
        .when(raw & SHF_X86_64_LARGE != 0, SectionFlags::FAR)
        .when(retained, SectionFlags::RETAIN)
        .when(raw & elf::SHF_LINK_ORDER.0 != 0, SectionFlags::LINK_ORDER)
        .when(raw & elf::SHF_GROUP.0 != 0, SectionFlags::GROUP)
        .when(debug && !alloc, SectionFlags::DEBUG)
        .when(
            raw & elf::SHF_COMPRESSED.0 != 0 || (debug && !alloc && name.starts_with(b".z")),
            SectionFlags::COMPRESSED,
        )
        .when(unwind && alloc, SectionFlags::EH_FRAME)
        .when(alloc && writable && is_relro(name, kind, raw), SectionFlags::RELRO)
}

/// Sections that run by themselves. What is called `.init.text` or `.fini.data` only starts like their names: the program
/// calls and writes it as it likes.
fn is_start_up(name: &[u8], kind: u32) -> bool {
    is_start_up_list(name, kind) || matches!(name, b".init" | b".fini" | b".jcr")
}

/// Lists of what runs by itself. Some compilers leave their type at SHT_PROGBITS.
fn is_start_up_list(name: &[u8], kind: u32) -> bool {
    let array = matches!(elf::SectionType(kind), elf::SHT_INIT_ARRAY | elf::SHT_FINI_ARRAY | elf::SHT_PREINIT_ARRAY);
    let lists = [&b".init_array"[..], b".fini_array", b".preinit_array", b".ctors", b".dtors"];
    array || lists.iter().any(|list| is_or_starts(name, list))
}

/// Sections that only the loader's relocations write.
fn is_relro(name: &[u8], kind: u32, raw: u64) -> bool {
    let constant =
        [&b".data.rel.ro"[..], b".ldata.rel.ro", b".bss.rel.ro"].iter().any(|name_| is_or_starts(name, name_));
    let list = is_start_up_list(name, kind) || name == b".jcr";
    constant || raw & elf::SHF_TLS.0 != 0 || (list && raw & elf::SHF_EXECINSTR.0 == 0)
}

/// Whether a section's name is `base` or `base` followed by a dot and more.
pub(crate) fn is_or_starts(name: &[u8], base: &[u8]) -> bool {
    name.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}
