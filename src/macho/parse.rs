//! From the bytes of a Mach-O relocatable object to the [`Object`] of the model.
//!
//! An object has one segment without a name; its sections say which segment of the image they are for. Addresses in it
//! count from 0, sections have distinct ones, and what is not relocated by symbol refers to these addresses. So each section
//! gets a symbol behind those of the symbol table, for relocations that name a section: its value is *minus* the section's
//! address in the object, and such a symbol plus an address of the object is where that has gone in the image.
//!
//! Source: `mach-o/loader.h`, `mach-o/nlist.h`, `mach-o/reloc.h`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;

use object::LittleEndian as LE;
use object::macho;
use object::read::macho::{LoadCommandVariant, MachHeader};

use super::functions::DataInCode;
use super::relocs::{self, Encoding};
use super::{ObjectInfo, Platform, desc as bits, other};
use crate::bytes;
use crate::error::Error;
use crate::model::{
    Binding, CommonKind, Fate, InputName, Object, ObjectInfo as Info, RelocEncoding, Relocs, Section, SectionFlags,
    Symbol, SymbolKind, SymbolSection,
};
use crate::options::Arch;

type Header = macho::MachHeader64<LE>;
type Section64 = macho::Section64<LE>;
type Nlist = macho::Nlist64<LE>;

/// The most symbols of an object: relocations have 24 bits for their numbers, and sections get symbols too.
const SYMBOLS: usize = (1 << 24) - 256;
/// The flag of an object of which no part that begins with a symbol needs the one before it.
const MH_SUBSECTIONS_VIA_SYMBOLS: u32 = 0x2000;
/// The strictest alignment of a section, as a power of two.
const ALIGN_LIMIT: u32 = 32;

/// Reads an object file.
///
/// # Errors
/// [`Error::Malformed`] and [`Error::Unsupported`], naming the file and the section or symbol.
pub(crate) fn parse<'a>(name: InputName<'a>, bytes: &'a [u8]) -> Result<Object<'a>, Error> {
    Parser { file: &name, bytes }.object().map(|(sections, symbols, strings, info)| Object {
        name: name.clone(),
        sections,
        symbols,
        strings,
        short_names: &[],
        groups: Vec::new(),
        hide_symbols: false,
        info: Info::MachO(info),
    })
}

type Parts<'a> = (Vec<Section<'a>>, Vec<Symbol>, &'a [u8], ObjectInfo);

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

    fn object(&self) -> Result<Parts<'a>, Error> {
        match super::content::of(self.bytes) {
            Some(super::content::Content::Object) => {}
            Some(super::content::Content::Refused(what)) => return Err(self.unsupported(what)),
            _ => return Err(self.unsupported("not a Mach-O object")),
        }
        let header = Header::parse(self.bytes, 0).map_err(|error| self.malformed(error.to_string()))?;
        let arch = match header.cputype(LE) {
            macho::CPU_TYPE_X86_64 => Arch::X86_64,
            macho::CPU_TYPE_ARM64 if header.cpusubtype(LE).0 & 0x00ff_ffff == 2 => {
                return Err(self.unsupported("an arm64e object, whose pointers are signed: only arm64 is linked"));
            }
            macho::CPU_TYPE_ARM64 => Arch::Aarch64,
            other => return Err(self.unsupported(format!("an object for CPU type {:#x}", other.0))),
        };
        let mut info = ObjectInfo::new(arch, header.cpusubtype(LE).0);
        info.divisible = header.flags(LE).0 & MH_SUBSECTIONS_VIA_SYMBOLS != 0;
        let mut headers: &'a [Section64] = &[];
        let mut seen_segment = false;
        let mut symbols: &[Nlist] = &[];
        let mut strings: &[u8] = &[];
        let commands = header.load_commands(LE, self.bytes, 0);
        let mut commands = commands.map_err(|error| self.malformed(format!("load commands: {error}")))?;
        while let Some(command) = commands.next().map_err(|error| self.malformed(format!("load commands: {error}")))? {
            let variant = command.variant().map_err(|error| self.malformed(format!("load commands: {error}")))?;
            info.platform = Platform::before(info.platform, Platform::told_by(&command, &variant));
            match variant {
                LoadCommandVariant::Segment64(segment, rest) => {
                    if seen_segment {
                        return Err(self.malformed("more than one segment in an object"));
                    }
                    seen_segment = true;
                    let count = segment.nsects.get(LE) as usize;
                    headers = slice_of(rest, count).ok_or_else(|| {
                        self.malformed(format!("{count} section headers do not fit in their load command"))
                    })?;
                }
                LoadCommandVariant::Symtab(table) => {
                    let count = table.nsyms.get(LE) as usize;
                    let entries = bytes::tail(self.bytes, table.symoff.get(LE).into());
                    symbols = entries
                        .and_then(|entries| slice_of(entries, count))
                        .ok_or_else(|| self.malformed(format!("symbol table: {count} entries are not in the file")))?;
                    let (start, size) = (table.stroff.get(LE), table.strsize.get(LE));
                    strings = bytes::slice(self.bytes, start.into(), size.into())
                        .ok_or_else(|| self.malformed("string table: it is not in the file"))?;
                }
                LoadCommandVariant::LinkeditData(data) if command.cmd() == macho::LC_DATA_IN_CODE => {
                    let part = bytes::slice(self.bytes, data.dataoff.get(LE).into(), data.datasize.get(LE).into());
                    let part = part.ok_or_else(|| self.malformed("data-in-code table: it is not in the file"))?;
                    let (entries, _) = part.as_chunks::<{ DataInCode::SIZE }>();
                    info.data_in_code = entries.iter().map(DataInCode::read).collect();
                    info.data_in_code.sort_unstable();
                }
                _ => {}
            }
        }
        if symbols.len() > SYMBOLS {
            return Err(self.unsupported(format!("{} symbols, more than relocations can name", symbols.len())));
        }
        if headers.len() > usize::from(macho::MAX_SECT) {
            return Err(self.malformed(format!("{} sections, more than symbols can name", headers.len())));
        }
        info.symbols = u32::try_from(symbols.len()).unwrap_or(u32::MAX);
        let mut sections = self.sections(arch, headers, &mut info)?;
        self.check_apart(headers)?;
        self.complete_frames(arch, &mut sections, &info)?;
        let symbols = self.symbols(symbols, strings, &sections, &info)?;
        Ok((sections, symbols, strings, info))
    }

    fn sections(&self, arch: Arch, headers: &'a [Section64], info: &mut ObjectInfo) -> Result<Vec<Section<'a>>, Error> {
        let mut sections = Vec::with_capacity(headers.len().saturating_add(1));
        sections.push(Section {
            name: b"",
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
        });
        for (header, number) in headers.iter().zip(1_u32..) {
            let section = self.section(arch, header, number, info)?;
            sections.push(section);
        }
        Ok(sections)
    }

    fn section(
        &self,
        arch: Arch,
        header: &'a Section64,
        number: u32,
        info: &mut ObjectInfo,
    ) -> Result<Section<'a>, Error> {
        let name = trimmed(&header.sectname);
        let segment = trimmed(&header.segname);
        let what =
            || format!("section {number} ({},{})", String::from_utf8_lossy(segment), String::from_utf8_lossy(name));
        let raw = header.flags.get(LE).0;
        let (address, size) = (header.addr.get(LE), header.size.get(LE));
        if address.checked_add(size).is_none_or(|end| end > i64::MAX.cast_unsigned()) {
            return Err(self.malformed(format!("{}: it ends beyond the address space", what())));
        }
        let kind = macho::SectionType((raw & macho::SECTION_TYPE).to_le_bytes()[0]);
        match kind {
            macho::S_THREAD_LOCAL_INIT_FUNCTION_POINTERS => {
                let why =
                    "functions that run when a thread starts cannot be linked; no compiler asks for them any more";
                return Err(self.unsupported(format!("{}: {why}", what())));
            }
            macho::S_THREAD_LOCAL_REGULAR | macho::S_THREAD_LOCAL_ZEROFILL if segment != b"__DATA" => {
                // The template of thread-local storage is in one piece.
                let why = "thread-local variables can be linked in the segment __DATA only";
                return Err(self.unsupported(format!("{}: {why}", what())));
            }
            _ if segment == b"__LINKEDIT" => {
                return Err(self.unsupported(format!("{}: the segment has the loader's tables alone", what())));
            }
            macho::S_NON_LAZY_SYMBOL_POINTERS
            | macho::S_LAZY_SYMBOL_POINTERS
            | macho::S_THREAD_LOCAL_VARIABLE_POINTERS
            | macho::S_SYMBOL_STUBS => {
                let why =
                    "stubs and symbol pointers made by an old compiler cannot be linked; let the linker make them";
                return Err(self.unsupported(format!("{}: {why}", what())));
            }
            _ => {}
        }
        let zero = matches!(kind, macho::S_ZEROFILL | macho::S_GB_ZEROFILL | macho::S_THREAD_LOCAL_ZEROFILL);
        let data = if zero {
            &[]
        } else {
            let data = bytes::slice(self.bytes, header.offset.get(LE).into(), size);
            // An empty section may be said to stand anywhere.
            data.or((size == 0).then_some(&[][..]))
                .ok_or_else(|| self.malformed(format!("{}: its contents are not in the file", what())))?
        };
        let align = header.align.get(LE);
        if align > ALIGN_LIMIT {
            return Err(self.malformed(format!("{}: aligned to 2^{align} bytes, more than 2^{ALIGN_LIMIT}", what())));
        }
        info.addresses.push(address);
        info.segments.push(header.segname);
        let (flags, fate) = flags(segment, name, raw, kind, zero);
        let count = header.nreloc.get(LE);
        let table = bytes::tail(self.bytes, header.reloff.get(LE).into());
        let table = match table.and_then(|table| bytes::slice(table, 0, u64::from(count).saturating_mul(8))) {
            Some(table) => table,
            None if count == 0 => &[],
            None => return Err(self.malformed(format!("{}: its {count} relocations are not in the file", what()))),
        };
        let encoding = Encoding { arch, section_symbols: info.symbols, address };
        let table = relocs::in_order(table, arch)
            .map_err(|problem| self.malformed(format!("{}: relocations: {problem}", what())))?;
        Ok(Section {
            name,
            data: Cow::Borrowed(data),
            size,
            align: 1_u64.checked_shl(align).unwrap_or(1).max(least_align(kind)),
            flags,
            kind: raw,
            entry_size: 0,
            linked: 0,
            relocs: Relocs { bytes: table, encoding: RelocEncoding::MachO(encoding) },
            fate,
            output: Section::NOWHERE,
            offset: 0,
        })
    }

    /// Checks that no two sections have an address in common: what refers to addresses would mean both. Nothing refers to
    /// addresses of debug information.
    fn check_apart(&self, headers: &[Section64]) -> Result<(), Error> {
        let places = headers.iter().zip(1_u32..).map(|(header, number)| (header.addr.get(LE), number, header));
        let counts = |header: &Section64| header.size.get(LE) > 0 && trimmed(&header.segname) != b"__DWARF";
        let mut places: Vec<_> = places.filter(|(.., header)| counts(header)).collect();
        places.sort_unstable_by_key(|(address, number, _)| (*address, *number));
        for pair in places.windows(2) {
            let [(start, before, first), (next, number, header)] = pair else { continue };
            if start.saturating_add(first.size.get(LE)) > *next {
                let (segment, name) = (trimmed(&header.segname), trimmed(&header.sectname));
                let name = format!("{},{}", String::from_utf8_lossy(segment), String::from_utf8_lossy(name));
                return Err(self.malformed(format!("section {number} ({name}): it overlaps section {before}")));
            }
        }
        Ok(())
    }

    /// Adds the relocations that `__eh_frame` lacks.
    fn complete_frames(&self, arch: Arch, sections: &mut [Section<'a>], info: &ObjectInfo) -> Result<(), Error> {
        let places = sections.iter().skip(1).zip(&info.addresses).map(|(section, address)| (*address, section.size));
        let places: Vec<(u64, u64)> = places.collect();
        for (section, number) in sections.iter_mut().zip(0_u32..) {
            if !section.flags.has(SectionFlags::EH_FRAME) {
                continue;
            }
            let known = crate::reloc::decode(section, 0..section.relocs.len()).map(|raw| raw.offset).collect();
            let missing = super::unwind::missing(arch, &section.data, number, &places, &known);
            let missing =
                missing.map_err(|(offset, what)| self.malformed(format!("__eh_frame+0x{offset:x}: {what}")))?;
            if missing.is_empty() {
                continue;
            }
            let table = [&section.relocs.bytes[..], missing.as_flattened()].concat();
            let table = relocs::in_order(&table, arch).map(Cow::into_owned);
            let table = table.map_err(|problem| self.malformed(format!("__eh_frame: relocations: {problem}")))?;
            section.relocs.bytes = Cow::Owned(table);
        }
        Ok(())
    }

    fn symbols(
        &self,
        table: &[Nlist],
        strings: &'a [u8],
        sections: &[Section<'a>],
        info: &ObjectInfo,
    ) -> Result<Vec<Symbol>, Error> {
        let mut symbols = Vec::with_capacity(table.len().saturating_add(sections.len()));
        let last_end = memchr::memrchr(0, strings);
        for (entry, number) in table.iter().zip(0_u32..) {
            let symbol = self.symbol(entry, number, strings, sections, info)?;
            let ends = last_end.is_some_and(|end| symbol.name as usize <= end);
            if symbol.binding != Binding::Local && !ends {
                return Err(self.malformed(format!("symbol {number}: its name does not end")));
            }
            symbols.push(symbol);
        }
        // The first section is none.
        for (address, number) in info.addresses.iter().zip(1_u32..) {
            symbols.push(super::section_symbol(number, *address));
        }
        Ok(symbols)
    }

    /// Another name for a symbol, which counts as undefined until the one that it names is known.
    fn alias(&self, entry: &Nlist, strings: &[u8], number: u32) -> Result<Symbol, Error> {
        let target = entry.n_value.get(LE);
        if bytes::string(strings, target).is_none_or(<[u8]>::is_empty) {
            return Err(self.malformed(format!("symbol {number}: the name it stands for is not in the string table")));
        }
        let mut symbol = Symbol::new(entry.n_strx.get(LE), SymbolSection::Undefined, target);
        symbol.binding = Binding::Global;
        symbol.other = other::ALIAS | if entry.n_type.is_pext() { other::HIDDEN } else { 0 };
        Ok(symbol)
    }

    fn symbol(
        &self,
        entry: &Nlist,
        number: u32,
        strings: &[u8],
        sections: &[Section<'a>],
        info: &ObjectInfo,
    ) -> Result<Symbol, Error> {
        let (name, kind, value) = (entry.n_strx.get(LE), entry.n_type, entry.n_value.get(LE));
        let mut desc = entry.n_desc.get(LE).0;
        let what = || {
            let name = bytes::string(strings, name.into()).map(String::from_utf8_lossy).unwrap_or_default();
            format!("symbol {number} ({name})")
        };
        if kind.is_stab() {
            // What a debugger would read; DWARF has taken its place.
            return Ok(no_symbol());
        }
        if name as usize >= strings.len() && name != 0 {
            return Err(self.malformed(format!("symbol {number}: its name is not in the string table")));
        }
        let external = kind.is_ext();
        let section = match kind.typ() {
            macho::N_UNDF if !external => return Err(self.malformed(format!("{}: undefined and local", what()))),
            macho::N_UNDF if value != 0 => SymbolSection::Common(CommonKind::Data),
            macho::N_UNDF => SymbolSection::Undefined,
            macho::N_ABS => SymbolSection::Absolute,
            macho::N_SECT => SymbolSection::In(entry.n_sect.into()),
            macho::N_INDR if external => return self.alias(entry, strings, number),
            // Nobody can mean it.
            macho::N_INDR => return Ok(no_symbol()),
            other => return Err(self.malformed(format!("{}: of an unknown type {:#x}", what(), other.0))),
        };
        let mut symbol = match section {
            SymbolSection::In(index) => {
                let place = (index as usize)
                    .checked_sub(1)
                    .and_then(|at| info.addresses.get(at))
                    .zip(sections.get(index as usize));
                let (address, section) = place
                    .ok_or_else(|| self.malformed(format!("{}: in section {index}, which is not there", what())))?;
                // The label behind the last byte is in the section still.
                let offset = value.checked_sub(*address).filter(|offset| *offset <= section.size);
                let offset = offset.ok_or_else(|| {
                    self.malformed(format!("{}: its address {value:#x} is not in its section", what()))
                })?;
                let mut symbol = Symbol::new(name, SymbolSection::In(index), offset);
                let code = section.flags.has(SectionFlags::EXEC);
                symbol.kind = if code { SymbolKind::Function } else { SymbolKind::Object };
                symbol
            }
            SymbolSection::Common(_) => {
                // GET_COMM_ALIGN: a power of two.
                let align = 1_u64.checked_shl(u32::from((desc & bits::COMMON_ALIGN) >> 8)).unwrap_or(1);
                desc &= !bits::COMMON_ALIGN;
                let mut symbol = Symbol::new(name, section, align);
                (symbol.kind, symbol.size) = (SymbolKind::Object, value);
                symbol
            }
            SymbolSection::Undefined => Symbol::new(name, SymbolSection::Undefined, 0),
            SymbolSection::Absolute => Symbol::new(name, SymbolSection::Absolute, value),
        };
        let defined = section != SymbolSection::Undefined;
        let (weak_reference, weak_definition) = (desc & bits::WEAK_REFERENCE != 0, desc & bits::WEAK_DEFINITION != 0);
        let weak = if defined { weak_definition } else { weak_reference };
        symbol.binding = match () {
            () if !external => Binding::Local,
            () if weak => Binding::Weak,
            () => Binding::Global,
        };
        // A weak definition whose address nobody takes need not be exported (`.weak_def_can_be_hidden`).
        let can_be_hidden = defined && weak_definition && weak_reference;
        if external && (kind.is_pext() || can_be_hidden) {
            symbol.other = other::HIDDEN | if kind.is_pext() { 0 } else { other::CAN_BE_HIDDEN };
        }
        for (bit, flag) in [
            (bits::ALT_ENTRY, other::ALT_ENTRY),
            (bits::REFERENCED_DYNAMICALLY, other::REFERENCED_DYNAMICALLY),
            (bits::NO_DEAD_STRIP, other::NO_DEAD_STRIP),
        ] {
            if desc & bit != 0 && defined {
                symbol.other |= flag;
            }
        }
        Ok(symbol)
    }
}

/// What stands for an entry of the symbol table that is no symbol, so that the others keep their numbers.
fn no_symbol() -> Symbol {
    let mut symbol = Symbol::new(u32::MAX, SymbolSection::Absolute, 0);
    symbol.kind = SymbolKind::File;
    symbol
}

/// The first `count` structures of `bytes`.
fn slice_of<T: object::pod::Pod>(bytes: &[u8], count: usize) -> Option<&[T]> {
    object::pod::slice_from_bytes(bytes, count).ok().map(|(slice, _)| slice)
}

/// A name in a field of 16 bytes, which NUL bytes fill up.
pub(crate) fn trimmed(name: &[u8; 16]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The alignment in bytes that a section of a kind has, whatever its header asks for: the loader fills pointers of descriptors
/// of thread-local variables, of which compilers do not say how they are aligned, and code loads literals whole.
fn least_align(kind: macho::SectionType) -> u64 {
    match kind {
        macho::S_4BYTE_LITERALS => 4,
        macho::S_8BYTE_LITERALS | macho::S_THREAD_LOCAL_VARIABLES => 8,
        macho::S_16BYTE_LITERALS => 16,
        _ => 1,
    }
}

/// Bits of a section's attributes.
const S_ATTR_DEBUG: u32 = 0x0200_0000;
pub(super) const S_ATTR_NO_DEAD_STRIP: u32 = 0x1000_0000;

fn flags(segment: &[u8], name: &[u8], raw: u32, kind: macho::SectionType, zero: bool) -> (SectionFlags, Fate) {
    let debug = segment == b"__DWARF" || raw & S_ATTR_DEBUG != 0;
    let flags = SectionFlags::default().when(zero, SectionFlags::ZERO);
    match segment {
        // Debug information stays in the objects, where `dsymutil` finds it by the symbol table.
        _ if debug && name != b"__compact_unwind" => return (flags.and(SectionFlags::DEBUG), Fate::Metadata),
        // Written for the linker.
        b"__LD" | b"__LLVM" => return (flags, Fate::Metadata),
        _ if matches!(name, b"__compact_unwind" | b"__llvm_addrsig") => return (flags, Fate::Metadata),
        _ => {}
    }
    let text = segment == b"__TEXT";
    let tls = matches!(kind, macho::S_THREAD_LOCAL_REGULAR | macho::S_THREAD_LOCAL_ZEROFILL);
    let starts = matches!(kind, macho::S_MOD_INIT_FUNC_POINTERS | macho::S_MOD_TERM_FUNC_POINTERS);
    let flags = flags
        .and(SectionFlags::ALLOC)
        .when(!text, SectionFlags::WRITE)
        .when(raw & super::plan::CODE != 0, SectionFlags::EXEC)
        .when(tls, SectionFlags::TLS)
        .when(raw & S_ATTR_NO_DEAD_STRIP != 0 || starts, SectionFlags::RETAIN)
        .when(text && name == b"__eh_frame", SectionFlags::EH_FRAME)
        .when(super::plan::is_constant(segment, name), SectionFlags::RELRO);
    (flags, Fate::Live)
}

#[cfg(test)]
mod tests;
