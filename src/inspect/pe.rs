//! Reading PE images.
//!
//! The rules are those of *PE Format* (Microsoft): headers, the tables that the data directories point to, and, for names,
//! the COFF symbol table that MinGW's linkers keep. Addresses are told with the preferred base, which is what pointers
//! in the file are written for.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;

use super::elf::eh_rows;
use super::facts::{Identity, Section, Segment};
use super::memory::{Fix, Piece, string};
use super::parts::{Claim, Parts, Purpose, permissions};
use crate::bytes;

const EXPORT: u64 = 0;
const IMPORT: u64 = 1;
const EXCEPTION: u64 = 3;
const BASE_RELOCATION: u64 = 5;
const DEBUG: u64 = 6;

const SCN_EXECUTE: u32 = 0x2000_0000;
const SCN_READ: u32 = 0x4000_0000;
const SCN_WRITE: u32 = 0x8000_0000;
const SCN_DISCARDABLE: u32 = 0x0200_0000;

/// The size of an entry of the COFF symbol table.
const SYMBOL: u64 = 18;

/// Where the headers of an image are.
struct Headers<'a> {
    file: &'a [u8],
    /// The COFF header.
    coff: u64,
    optional: &'a [u8],
    /// Whether addresses have 64 bits.
    wide: bool,
    base: u64,
}

impl<'a> Headers<'a> {
    fn find(file: &'a [u8]) -> Option<Self> {
        let start = u64::from(bytes::u32(file, 0x3c)?);
        if bytes::slice(file, start, 4)? != b"PE\0\0" {
            return None;
        }
        let coff = start.checked_add(4)?;
        let size = bytes::u16(file, coff.checked_add(16)?)?;
        let optional = bytes::slice(file, coff.checked_add(20)?, size.into())?;
        let wide = match bytes::u16(optional, 0)? {
            0x20b => true,
            0x10b => false,
            _ => return None,
        };
        let base = if wide { bytes::u64(optional, 24)? } else { bytes::u32(optional, 28)?.into() };
        Some(Self { file, coff, optional, wide, base })
    }

    fn u16(&self, offset: u64) -> Option<u16> {
        bytes::u16(self.file, self.coff.checked_add(offset)?)
    }

    fn u32(&self, offset: u64) -> Option<u32> {
        bytes::u32(self.file, self.coff.checked_add(offset)?)
    }

    /// The address and the size of the table that a data directory points to.
    fn directory(&self, number: u64) -> Option<(u64, u64)> {
        let (count, table) = if self.wide { (108, 112) } else { (92, 96) };
        if number >= bytes::u32(self.optional, count)?.into() {
            return None;
        }
        let at = number.checked_mul(8)?.checked_add(table)?;
        let address = bytes::u32(self.optional, at)?;
        let size = bytes::u32(self.optional, at.checked_add(4)?)?;
        (address != 0).then_some((self.base.checked_add(address.into())?, size.into()))
    }
}

/// What a machine number stands for.
fn machine(number: u16) -> Option<String> {
    match number {
        0x14c => Some("windows-i686".to_owned()),
        0x8664 => Some("windows-x86_64".to_owned()),
        0xaa64 => Some("windows-aarch64".to_owned()),
        _ => None,
    }
}

/// Reads an image; `None` if it has no PE headers. What else cannot be read is noted.
pub(super) fn read(file: &[u8]) -> Option<Parts<'_>> {
    let headers = Headers::find(file)?;
    let word = if headers.wide { 8 } else { 4 };
    let mut parts = Parts::new("PE", file, word);
    parts.target = headers.u16(0).and_then(machine);
    if sections(&headers, &mut parts).is_none() {
        parts.notes.push("the section headers are cut off".to_owned());
    }
    parts.memory.arrange();
    let note = |parts: &mut Parts<'_>, done: Option<()>, what: &str| {
        if done.is_none() {
            parts.notes.push(format!("the {what} are cut off"));
        }
    };
    let done = exports(&headers, &mut parts);
    note(&mut parts, done, "exports");
    let done = imports(&headers, &mut parts, word);
    note(&mut parts, done, "imports");
    let done = base_relocations(&headers, &mut parts, word);
    note(&mut parts, done, "base relocations");
    let done = symbols(&headers, &mut parts);
    note(&mut parts, done, "symbols");
    parts.identity = identity(&headers, &parts);
    unwind(&headers, &mut parts, word);
    Some(parts)
}

fn sections<'a>(headers: &Headers<'a>, parts: &mut Parts<'a>) -> Option<()> {
    let file = headers.file;
    let size = bytes::u32(headers.optional, 60)?;
    parts.claims.push(Claim::new(0, size.into(), Purpose::Headers));
    parts.memory.map(Piece {
        address: headers.base,
        size: size.into(),
        bytes: bytes::slice(file, 0, size.into()).unwrap_or_default(),
        file_offset: 0,
        write: false,
        execute: false,
    });
    let strings = strings(headers);
    let count = u64::from(headers.u16(2)?);
    let table = headers.coff.checked_add(20)?.checked_add(headers.optional.len() as u64)?;
    for header in bytes::slice(file, table, count.checked_mul(40)?)?.chunks_exact(40) {
        let u32_at = |offset| bytes::u32(header, offset);
        let flags = u32_at(36)?;
        let (read, write, execute) = (flags & SCN_READ != 0, flags & SCN_WRITE != 0, flags & SCN_EXECUTE != 0);
        let (size, raw_size, file_offset) = (u64::from(u32_at(8)?), u64::from(u32_at(16)?), u64::from(u32_at(20)?));
        let address = headers.base.checked_add(u32_at(12)?.into())?;
        let name = section_name(bytes::slice(header, 0, 8)?, strings);
        let raw = bytes::slice(file, file_offset, raw_size);
        if raw.is_none() {
            parts.notes.push(format!("section {name} is cut off"));
        }
        let raw = raw.unwrap_or_default();
        let permissions = permissions(read, write, execute);
        let contents = bytes::slice(raw, 0, size.min(raw_size)).unwrap_or_default();
        parts.memory.map(Piece { address, size, bytes: contents, file_offset, write, execute });
        let purpose = if flags & SCN_DISCARDABLE != 0 && name == ".reloc" {
            Purpose::Relocations
        } else {
            Purpose::of_section(&name, &permissions)
        };
        let file_size = raw_size.min(size);
        parts.claims.push(Claim::new(file_offset, file_size, purpose));
        let section = Section { name: name.into_owned(), address, size, file_offset, file_size, permissions };
        parts.segments.push(Segment {
            name: section.name.clone(),
            address,
            size,
            file_offset,
            file_size: raw_size,
            permissions: section.permissions.clone(),
        });
        parts.sections.push(section);
    }
    Some(())
}

/// The string table: behind the symbol table, its size in its first 4 bytes, which count.
fn strings<'a>(headers: &Headers<'a>) -> &'a [u8] {
    let find = || {
        let table = u64::from(headers.u32(8).filter(|start| *start != 0)?);
        let start = table.checked_add(u64::from(headers.u32(12)?).checked_mul(SYMBOL)?)?;
        bytes::slice(headers.file, start, bytes::u32(headers.file, start)?.into())
    };
    find().unwrap_or_default()
}

fn section_name<'a>(field: &'a [u8], strings: &'a [u8]) -> Cow<'a, str> {
    let short = field.split(|byte| *byte == 0).next().unwrap_or_default();
    let long = short.strip_prefix(b"/").and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let name = long.and_then(|offset| string(strings, offset)).unwrap_or(short);
    // Names may overlap in a hostile file.
    String::from_utf8_lossy(name.get(..256).unwrap_or(name))
}

fn exports<'a>(headers: &Headers<'a>, parts: &mut Parts<'a>) -> Option<()> {
    let Some((table, size)) = headers.directory(EXPORT) else { return Some(()) };
    claim(parts, table, size, Purpose::Dynamic);
    let memory = &parts.memory;
    let field = |offset: u64| memory.u32(table.checked_add(offset)?).map(u64::from);
    let at = |offset: u64| headers.base.checked_add(offset);
    parts.name = memory.string(at(field(12)?)?);
    let (functions, count, names) = (field(20)?, field(24)?, at(field(32)?)?);
    let (addresses, ordinals) = (at(field(28)?)?, at(field(36)?)?);
    let mut found = Vec::new();
    // In a hostile file names overlap.
    let mut left = headers.file.len();
    for index in 0..count {
        let name = memory.string(at(memory.u32(names.checked_add(index.checked_mul(4)?)?)?.into())?)?;
        let ordinal = memory.number(ordinals.checked_add(index.checked_mul(2)?)?, 2)?;
        left = left.checked_sub(name.len().saturating_add(1))?;
        if ordinal >= functions {
            return None;
        }
        let address = memory.u32(addresses.checked_add(ordinal.checked_mul(4)?)?)?;
        found.push((name, at(address.into())?));
    }
    found.into_iter().for_each(|(name, address)| parts.add_export(name, address));
    Some(())
}

fn claim(parts: &mut Parts<'_>, address: u64, size: u64, purpose: Purpose) {
    if let Some(offset) = parts.memory.file_offset(address) {
        parts.claims.push(Claim::new(offset, size, purpose));
    }
}

fn imports<'a>(headers: &Headers<'a>, parts: &mut Parts<'a>, word: u64) -> Option<()> {
    let Some((table, size)) = headers.directory(IMPORT) else { return Some(()) };
    claim(parts, table, size, Purpose::Dynamic);
    let at = |offset: u32| headers.base.checked_add(offset.into());
    let by_ordinal = if word == 8 { 1 << 63 } else { 1 << 31 };
    // In a hostile file tables and names overlap.
    let mut left = headers.file.len();
    let mut descriptor = table;
    loop {
        let field = |offset: u64| parts.memory.u32(descriptor.checked_add(offset)?);
        let (lookup, library, slots) = (field(0)?, field(12)?, field(16)?);
        if library == 0 {
            return Some(());
        }
        let library = parts.memory.string(at(library)?)?;
        left = left.checked_sub(library.len())?;
        parts.needed.push(library);
        let mut entry = at(if lookup == 0 { slots } else { lookup })?;
        let mut slot = at(slots)?;
        loop {
            let value = parts.memory.number(entry, word)?;
            if value == 0 {
                break;
            }
            let name = if value & by_ordinal != 0 {
                b"(by ordinal)"
            } else {
                // Two bytes in front of the name are a hint.
                parts.memory.string(at(u32::try_from(value).ok()?)?.checked_add(2)?)?
            };
            // Sound names take their length and a NUL in the file, ordinals 4 bytes in each of two tables.
            left = left.checked_sub(if value & by_ordinal != 0 { 8 } else { name.len().saturating_add(1) })?;
            parts.add_import(Some(library), name);
            let import = parts.memory.import(name);
            parts.memory.fix(slot, Fix::Import(import));
            entry = entry.checked_add(word)?;
            slot = slot.checked_add(word)?;
        }
        descriptor = descriptor.checked_add(20)?;
    }
}

fn base_relocations(headers: &Headers<'_>, parts: &mut Parts<'_>, word: u64) -> Option<()> {
    let Some((table, size)) = headers.directory(BASE_RELOCATION) else { return Some(()) };
    parts.relocation_form = Some("base relocations");
    let mut rest = parts.memory.slice(table, size)?;
    while !rest.is_empty() {
        let page = headers.base.checked_add(bytes::u32(rest, 0)?.into())?;
        let length = u64::from(bytes::u32(rest, 4)?.max(8));
        for entry in bytes::slice(rest, 8, length.checked_sub(8)?)?.chunks_exact(2) {
            let entry = bytes::u16(entry, 0)?;
            let kind = match entry >> 12 {
                // Padding.
                0 => continue,
                3 => "IMAGE_REL_BASED_HIGHLOW",
                10 => "IMAGE_REL_BASED_DIR64",
                _ => "of another kind",
            };
            parts.count(kind);
            let place = page.checked_add(u64::from(entry & 0xfff))?;
            let value = parts.memory.number(place, word).unwrap_or_default();
            if !parts.memory.fix(place, Fix::Address(value)) {
                return Some(());
            }
        }
        rest = bytes::tail(rest, length)?;
    }
    Some(())
}

fn symbols<'a>(headers: &Headers<'a>, parts: &mut Parts<'a>) -> Option<()> {
    let start = u64::from(headers.u32(8)?);
    if start == 0 {
        return Some(());
    }
    let size = u64::from(headers.u32(12)?).checked_mul(SYMBOL)?;
    let strings = strings(headers);
    parts.claims.push(Claim::new(start, size.checked_add(strings.len() as u64)?, Purpose::Symbols));
    let mut symbols = Vec::new();
    let mut entries = bytes::slice(headers.file, start, size)?.chunks_exact(18);
    while let Some(entry) = entries.next() {
        for _ in 0..*entry.get(17)? {
            entries.next();
        }
        let section = usize::from(bytes::u16(entry, 12)?);
        let section = section.checked_sub(1).and_then(|index| parts.sections.get(index));
        let Some(section) = section else { continue };
        let name = bytes::slice(entry, 0, 8)?;
        let name = match bytes::u32(entry, 0)? {
            0 => string(strings, bytes::u32(entry, 4)?.into()).unwrap_or_default(),
            _ => name.split(|byte| *byte == 0).next().unwrap_or_default(),
        };
        // A section's own symbol is not one of those that people know.
        if name.is_empty() || name == section.name.as_bytes() {
            continue;
        }
        let address = section.address.wrapping_add(bytes::u32(entry, 8)?.into());
        // IMAGE_SYM_DTYPE_FUNCTION
        if bytes::u16(entry, 14)? == 0x20 && section.permissions.contains('x') {
            parts.functions.push(address);
        }
        symbols.push((name, address));
    }
    symbols.into_iter().for_each(|(name, address)| parts.add_symbol(name, address, 0));
    let ends = parts.sections.iter().map(|section| section.address.saturating_add(section.size)).collect();
    parts.size_symbols(ends);
    Some(())
}

/// The GUID of the CodeView record, else the time stamp.
fn identity(headers: &Headers<'_>, parts: &Parts<'_>) -> Option<Identity> {
    let guid = || {
        let (table, size) = headers.directory(DEBUG)?;
        let entries = parts.memory.slice(table, size)?.chunks_exact(28);
        let entry = entries.into_iter().find(|entry| bytes::u32(entry, 12) == Some(2))?;
        let record = headers.base.checked_add(bytes::u32(entry, 20)?.into())?;
        let record = parts.memory.slice(record, 20)?;
        let guid = record.strip_prefix(b"RSDS")?;
        Some(guid.iter().map(|byte| format!("{byte:02x}")).collect())
    };
    match guid() {
        Some(value) => Some(Identity { kind: "build id", value }),
        None => Some(Identity { kind: "time stamp", value: format!("{:08x}", headers.u32(4)?) }),
    }
}

fn unwind(headers: &Headers<'_>, parts: &mut Parts<'_>, word: u64) {
    if headers.u16(0) == Some(0x8664)
        && let Some((table, size)) = headers.directory(EXCEPTION)
    {
        parts.tables.push(".pdata");
        let address = |offset: u32| headers.base.saturating_add(offset.into());
        for row in parts.memory.slice(table, size).unwrap_or_default().chunks_exact(12) {
            if let (Some(start), Some(end)) = (bytes::u32(row, 0), bytes::u32(row, 4)) {
                parts.rows.push((address(start), address(end)));
            }
        }
    }
    if headers.u16(0) == Some(0xaa64)
        && let Some((table, size)) = headers.directory(EXCEPTION)
    {
        parts.tables.push(".pdata");
        for row in parts.memory.slice(table, size).unwrap_or_default().chunks_exact(8) {
            let read = || {
                let start = headers.base.checked_add(bytes::u32(row, 0)?.into())?;
                let data = bytes::u32(row, 4)?;
                // Packed data has the length itself, in instructions; else it begins the record in `.xdata` (*ARM64
                // exception handling*).
                let length = match data & 3 {
                    0 => parts.memory.u32(headers.base.checked_add(data.into())?)? & 0x3_ffff,
                    _ => (data >> 2) & 0x7ff,
                };
                Some((start, start.checked_add(u64::from(length).checked_mul(4)?)?))
            };
            let row = read();
            parts.rows.extend(row);
        }
    }
    // On 32-bit Windows frames are walked by frame pointers; MinGW's compilers describe them for C++ all the same.
    let frames = parts.sections.iter().find(|section| section.name.starts_with(".eh_fram"));
    let frames = frames.map(|section| (section.address, section.size));
    if let Some((address, size)) = frames
        && let Some(section) = parts.memory.slice(address, size)
    {
        parts.tables.push(".eh_frame");
        let word = if word == 8 { 8 } else { 4 };
        let trouble = eh_rows(section, address, word, &mut parts.rows);
        parts.notes.extend(trouble.map(|trouble| format!(".eh_frame: {trouble}")));
    }
}
