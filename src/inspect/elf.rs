//! Reading ELF images.
//!
//! What the loader acts on is read as it does, by program headers and the dynamic section (gABI chapter 5); what is for
//! people and debuggers by section headers (chapter 4). All of Julia's ELF targets are little-endian.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod dynamic;

use object::elf::{
    PT_ARM_EXIDX, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_GNU_PROPERTY, PT_GNU_RELRO, PT_GNU_STACK, PT_LOAD, PT_NOTE, PT_PHDR,
    PT_TLS, ProgramType,
};

use super::facts::{Identity, Section, Segment};
use super::memory::{Piece, string};
use super::parts::{Claim, Parts, Purpose, permissions};
use crate::bytes;
use crate::unwind::exidx::Says;
use crate::unwind::pointer::Bases;
use crate::unwind::{eh_frame, exidx};

const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;
const SHT_SYMTAB: u32 = 2;
const SHT_NOBITS: u32 = 8;
const SHF_WRITE: u64 = 1;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const STT_FUNC: u8 = 2;
const STT_SECTION: u8 = 3;
const STT_FILE: u8 = 4;
const STT_GNU_IFUNC: u8 = 10;
const NT_GNU_BUILD_ID: u32 = 3;

/// The widths and offsets that differ between the classes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    /// The size of an address: 4 or 8.
    word: u64,
}

impl Class {
    /// The class of a file that begins so, if it is little-endian ELF.
    pub(super) fn of(file: &[u8]) -> Option<Self> {
        match file.first_chunk()? {
            [0x7f, b'E', b'L', b'F', 1, 1] => Some(Self { word: 4 }),
            [0x7f, b'E', b'L', b'F', 2, 1] => Some(Self { word: 8 }),
            _ => None,
        }
    }

    /// The address-sized number at `offset`.
    fn word(self, table: &[u8], offset: u64) -> Option<u64> {
        if self.word == 8 { bytes::u64(table, offset) } else { bytes::u32(table, offset).map(u64::from) }
    }

    fn pick(self, small: u64, large: u64) -> u64 {
        if self.word == 8 { large } else { small }
    }
}

/// What a file is for, by its machine and ABI.
pub(super) fn target(file: &[u8]) -> Option<String> {
    let machine = match bytes::u16(file, 18)? {
        3 => "i686",
        21 => "ppc64le",
        40 => "armv7",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        _ => return None,
    };
    let os = if file.get(7) == Some(&9) { "freebsd" } else { "linux" };
    Some(format!("{os}-{machine}"))
}

/// A section header.
#[derive(Debug, Clone, Copy)]
struct Header<'a> {
    name: &'a [u8],
    kind: u32,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
}

impl Header<'_> {
    /// As it is told.
    fn facts(&self) -> Section {
        let has = |flag| self.flags & flag != 0;
        let alloc = has(SHF_ALLOC);
        Section {
            name: String::from_utf8_lossy(self.name).into_owned(),
            address: self.address,
            size: self.size,
            file_offset: self.offset,
            file_size: if self.kind == SHT_NOBITS { 0 } else { self.size },
            permissions: permissions(alloc, alloc && has(SHF_WRITE), alloc && has(SHF_EXECINSTR)),
        }
    }
}

/// The section headers, where there are any.
fn headers(file: &[u8], class: Class) -> Option<Vec<Header<'_>>> {
    let table = class.word(file, class.pick(32, 40))?;
    let size = u64::from(bytes::u16(file, class.pick(46, 58))?);
    let mut count = u64::from(bytes::u16(file, class.pick(48, 60))?);
    let mut names = u32::from(bytes::u16(file, class.pick(50, 62))?);
    if table == 0 || size < class.pick(40, 64) {
        return None;
    }
    // gABI, chapter 4: numbers that do not fit in the file header stand in the first section's.
    let first = bytes::slice(file, table, size)?;
    if count == 0 {
        count = class.word(first, class.pick(20, 32))?;
    }
    if names == 0xffff {
        names = bytes::u32(first, class.pick(24, 40))?;
    }
    let table = bytes::slice(file, table, size.checked_mul(count)?)?;
    let raw = |header: &[u8]| {
        Some((
            bytes::u32(header, 0)?,
            Header {
                name: &[],
                kind: bytes::u32(header, 4)?,
                flags: class.word(header, 8)?,
                address: class.word(header, class.pick(12, 16))?,
                offset: class.word(header, class.pick(16, 24))?,
                size: class.word(header, class.pick(20, 32))?,
                link: bytes::u32(header, class.pick(24, 40))?,
            },
        ))
    };
    let chunks = table.chunks_exact(usize::try_from(size).ok()?);
    let headers: Vec<(u32, Header<'_>)> = chunks.map(raw).collect::<Option<_>>()?;
    let strings = usize::try_from(names).ok().and_then(|names| headers.get(names));
    let strings = strings.and_then(|(_, header)| bytes::slice(file, header.offset, header.size)).unwrap_or_default();
    let named = |(name, header): (u32, Header<'_>)| {
        let name = string(strings, name.into()).unwrap_or_default();
        // Names may overlap in a hostile file.
        Header { name: name.get(..256).unwrap_or(name), ..header }
    };
    Some(headers.into_iter().map(named).collect())
}

/// Reads an image. What cannot be read is noted.
pub(super) fn read<'a>(file: &'a [u8], class: Class) -> Parts<'a> {
    let mut parts = Parts::new("ELF", file, class.word);
    parts.target = target(file);
    parts.claims.push(Claim::new(0, class.pick(52, 64), Purpose::Headers));
    let programs = program_headers(file, class, &mut parts);
    parts.memory.arrange();
    let dynamic = programs.iter().find(|program| program.kind == PT_DYNAMIC);
    let table = dynamic.and_then(|program| bytes::slice(file, program.offset, program.file_size));
    let mut parts = dynamic::read(file, class, table.unwrap_or_default(), parts);
    identity(file, &programs, &mut parts);
    match headers(file, class) {
        Some(headers) => sections(file, class, &headers, &mut parts),
        None => parts.notes.push("the section headers are missing or cut off".to_owned()),
    }
    frames(file, class, &programs, &mut parts);
    parts
}

#[derive(Debug, Clone, Copy)]
struct Program {
    kind: ProgramType,
    flags: u32,
    offset: u64,
    address: u64,
    file_size: u64,
    size: u64,
}

fn program_headers<'a>(file: &'a [u8], class: Class, parts: &mut Parts<'a>) -> Vec<Program> {
    let read = || {
        let table = class.word(file, class.pick(28, 32))?;
        let size = u64::from(bytes::u16(file, class.pick(42, 54))?);
        let count = u64::from(bytes::u16(file, class.pick(44, 56))?);
        let length = size.checked_mul(count)?;
        let bytes_of = bytes::slice(file, table, length)?;
        let one = |header: &[u8]| {
            Some(Program {
                kind: ProgramType(bytes::u32(header, 0)?),
                flags: bytes::u32(header, class.pick(24, 4))?,
                offset: class.word(header, class.pick(4, 8))?,
                address: class.word(header, class.pick(8, 16))?,
                file_size: class.word(header, class.pick(16, 32))?,
                size: class.word(header, class.pick(20, 40))?,
            })
        };
        let chunks = bytes_of.chunks_exact(usize::try_from(size).ok().filter(|size| *size > 0)?);
        Some((Claim::new(table, length, Purpose::Headers), chunks.map(one).collect::<Option<Vec<_>>>()?))
    };
    let Some((claim, programs)) = read() else {
        parts.notes.push("the program headers are missing or cut off".to_owned());
        return Vec::new();
    };
    parts.claims.push(claim);
    for program in &programs {
        let has = |flag| program.flags & flag != 0;
        if program.kind == PT_LOAD {
            let all = bytes::slice(file, program.offset, program.file_size);
            if all.is_none() {
                parts.notes.push(format!("the segment at 0x{:x} is cut off", program.address));
            }
            parts.memory.map(Piece {
                address: program.address,
                size: program.size,
                bytes: all.or_else(|| bytes::tail(file, program.offset)).unwrap_or_default(),
                file_offset: program.offset,
                write: has(PF_W),
                execute: has(PF_X),
            });
        }
        parts.segments.push(Segment {
            name: segment_name(program.kind),
            address: program.address,
            size: program.size,
            file_offset: program.offset,
            file_size: program.file_size,
            permissions: permissions(has(PF_R), has(PF_W), has(PF_X)),
        });
    }
    programs
}

fn segment_name(kind: ProgramType) -> String {
    let known = [
        (PT_LOAD, "LOAD"),
        (PT_PHDR, "PHDR"),
        (PT_TLS, "TLS"),
        (PT_GNU_PROPERTY, "GNU_PROPERTY"),
        (PT_DYNAMIC, "DYNAMIC"),
        (PT_NOTE, "NOTE"),
        (PT_GNU_EH_FRAME, "GNU_EH_FRAME"),
        (PT_GNU_STACK, "GNU_STACK"),
        (PT_GNU_RELRO, "GNU_RELRO"),
        (PT_ARM_EXIDX, "ARM_EXIDX"),
    ];
    let name = known.iter().find(|(known, _)| *known == kind).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("0x{:x}", kind.0))
}

/// An entry of a symbol table.
struct Symbol<'a> {
    name: &'a [u8],
    kind: u8,
    binding: u8,
    visibility: u8,
    section: u16,
    value: u64,
    size: u64,
}

impl<'a> Symbol<'a> {
    fn read(class: Class, entry: &[u8], strings: &'a [u8]) -> Option<Self> {
        let info = *entry.get(if class.word == 8 { 4 } else { 12 })?;
        let other = *entry.get(if class.word == 8 { 5 } else { 13 })?;
        Some(Self {
            name: string(strings, bytes::u32(entry, 0)?.into()).unwrap_or_default(),
            kind: info & 0xf,
            binding: info >> 4,
            visibility: other & 3,
            section: bytes::u16(entry, class.pick(14, 6))?,
            value: class.word(entry, class.pick(4, 8))?,
            size: class.word(entry, class.pick(8, 16))?,
        })
    }
}

fn symbol_entries<'a>(file: &'a [u8], class: Class, headers: &[Header<'_>]) -> impl Iterator<Item = &'a [u8]> {
    let table = headers.iter().find(|header| header.kind == SHT_SYMTAB);
    let table = table.and_then(|header| bytes::slice(file, header.offset, header.size)).unwrap_or_default();
    table.chunks_exact(usize::try_from(class.pick(16, 24)).unwrap_or(24))
}

fn sections<'a>(file: &'a [u8], class: Class, headers: &[Header<'a>], parts: &mut Parts<'a>) {
    if let Some(table) = class.word(file, class.pick(32, 40)) {
        let size = (headers.len() as u64).saturating_mul(class.pick(40, 64));
        parts.claims.push(Claim::new(table, size, Purpose::Headers));
    }
    for header in headers.iter().filter(|header| header.kind != 0) {
        let facts = header.facts();
        let purpose = Purpose::of_section(&facts.name, &facts.permissions);
        parts.claims.push(Claim::new(facts.file_offset, facts.file_size, purpose));
        parts.sections.push(facts);
    }
    let link = headers.iter().find(|header| header.kind == SHT_SYMTAB).map(|header| header.link);
    let strings = link.and_then(|link| headers.get(usize::try_from(link).ok()?));
    let strings = strings.and_then(|header| bytes::slice(file, header.offset, header.size)).unwrap_or_default();
    for entry in symbol_entries(file, class, headers).skip(1) {
        let Some(symbol) = Symbol::read(class, entry, strings) else { continue };
        let is_place = symbol.section != 0 && symbol.section < 0xff00 && !matches!(symbol.kind, STT_SECTION | STT_FILE);
        if !is_place {
            continue;
        }
        if matches!(symbol.kind, STT_FUNC | STT_GNU_IFUNC) {
            // The lowest bit of a Thumb function's address is a flag.
            let thumb = bytes::u16(file, 18) == Some(object::elf::EM_ARM.0);
            parts.functions.push(if thumb { symbol.value & !1 } else { symbol.value });
        }
        if !symbol.name.is_empty() {
            parts.add_symbol(symbol.name, symbol.value, symbol.size);
        }
    }
}

fn identity(file: &[u8], programs: &[Program], parts: &mut Parts<'_>) {
    // Many headers can claim the same bytes.
    let mut left = file.len() as u64;
    for program in programs.iter().filter(|program| program.kind == PT_NOTE) {
        let mut notes = bytes::slice(file, program.offset, program.file_size).unwrap_or_default();
        let Some(rest) = left.checked_sub(notes.len() as u64) else { break };
        left = rest;
        // A note: sizes of name and contents, type, and both padded to 4 bytes (gABI chapter 5, *Note Section*).
        while let (Some(name), Some(size), Some(kind)) =
            (bytes::u32(notes, 0), bytes::u32(notes, 4), bytes::u32(notes, 8))
        {
            let padded = |size: u32| u64::from(size).saturating_add(3) & !3;
            let start = padded(name).saturating_add(12);
            let contents = bytes::slice(notes, start, size.into());
            if kind == NT_GNU_BUILD_ID && bytes::slice(notes, 12, 4) == Some(b"GNU\0") {
                let value = contents.unwrap_or_default().iter().take(64).map(|byte| format!("{byte:02x}")).collect();
                parts.identity = Some(Identity { kind: "build id", value });
                return;
            }
            notes = bytes::tail(notes, start.saturating_add(padded(size))).unwrap_or_default();
        }
    }
}

/// Reads `.eh_frame` and `.ARM.exidx`.
fn frames(file: &[u8], class: Class, programs: &[Program], parts: &mut Parts<'_>) {
    let word = u8::try_from(class.word).unwrap_or(8);
    let frame_sections: Vec<(u64, u64)> = parts
        .sections
        .iter()
        .filter(|section| section.name == ".eh_frame")
        .map(|section| (section.address, section.size))
        .collect();
    // Many headers can claim the same bytes.
    let mut left = file.len() as u64;
    for (address, size) in frame_sections {
        let Some(section) = parts.memory.slice(address, size) else { continue };
        let Some(rest) = left.checked_sub(size.max(1)) else {
            parts.notes.push(".eh_frame: its sections overlap".to_owned());
            break;
        };
        left = rest;
        if let Some(trouble) = eh_rows(section, address, word, &mut parts.rows) {
            parts.notes.push(format!(".eh_frame: {trouble}"));
        }
        parts.tables.push(".eh_frame");
    }
    if programs.iter().any(|program| program.kind == PT_GNU_EH_FRAME) {
        parts.tables.push(".eh_frame_hdr");
    }
    if let Some(program) = programs.iter().find(|program| program.kind == PT_ARM_EXIDX) {
        parts.tables.push(".ARM.exidx");
        let section = parts.memory.slice(program.address, program.size).unwrap_or_default();
        let mut open = None;
        for entry in exidx::entries(section).map_while(Result::ok) {
            // The first word is the distance of the function, of 31 bits with a sign (EHABI32, *Index table entries*).
            let Some(stored) = bytes::u32(section, entry.offset) else { break };
            let distance = i64::from(stored.wrapping_shl(1).cast_signed() >> 1);
            let place = program.address.saturating_add(entry.offset);
            let function = place.wrapping_add_signed(distance) & 0xffff_ffff;
            if let Some(start) = open.take() {
                parts.rows.push((start, function));
            }
            open = (entry.says != Says::CannotUnwind).then_some(function);
        }
        if let Some(start) = open {
            parts.rows.push((start, u64::MAX));
        }
    }
}

/// The rows of a DWARF frame section at `address`; what is wrong with it, if anything is.
pub(super) fn eh_rows(section: &[u8], address: u64, word: u8, rows: &mut Vec<(u64, u64)>) -> Option<String> {
    let bases = Bases { section: Some(address), ..Bases::default() };
    for description in eh_frame::descriptions(section, word) {
        match description {
            Ok(fde) => {
                if let Some(start) = fde.encoding.resolve(fde.pc_begin, &bases, word) {
                    rows.push((start, start.saturating_add(fde.pc_range)));
                }
            }
            Err(malformed) => return Some(malformed.to_string()),
        }
    }
    None
}
