//! Reading Mach-O images.
//!
//! Everything hangs off the load commands (`mach-o/loader.h`). What dyld rebases and binds is told by chained fixups
//! (`mach-o/fixup-chains.h`) or by the opcodes of `LC_DYLD_INFO_ONLY`, what is exported by a trie.

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
use object::macho::{DyldInfoCommand, LinkeditDataCommand};
use object::pod::from_bytes;
use object::read::macho::{BindIterator, CodeSignature, Fixup};
use sha2::{Digest, Sha256};

use super::elf::eh_rows;
use super::facts::{Identity, Section, Segment, Signature};
use super::memory::{Fix, NAME_LIMIT, Piece, string};
use super::parts::{Claim, Parts, Purpose, permissions};
use crate::bytes;
use crate::reader::Reader;

const LC_SYMTAB: u32 = 0x2;
const LC_DYSYMTAB: u32 = 0xb;
const LC_LOAD_DYLIB: u32 = 0xc;
const LC_ID_DYLIB: u32 = 0xd;
const LC_SEGMENT_64: u32 = 0x19;
const LC_UUID: u32 = 0x1b;
const LC_CODE_SIGNATURE: u32 = 0x1d;
const LC_DYLD_INFO: u32 = 0x22;
const LC_FUNCTION_STARTS: u32 = 0x26;
const LC_DATA_IN_CODE: u32 = 0x29;
const LC_LAZY_LOAD_DYLIB: u32 = 0x20;
const LC_LOAD_WEAK_DYLIB: u32 = 0x8000_0018;
const LC_LOAD_UPWARD_DYLIB: u32 = 0x8000_0023;
const LC_REEXPORT_DYLIB: u32 = 0x8000_001f;
const LC_DYLD_INFO_ONLY: u32 = 0x8000_0022;
const LC_DYLD_EXPORTS_TRIE: u32 = 0x8000_0033;
const LC_DYLD_CHAINED_FIXUPS: u32 = 0x8000_0034;

/// Section types whose bytes are not in the file: S_ZEROFILL, S_GB_ZEROFILL, S_THREAD_LOCAL_ZEROFILL.
const ZEROFILL: [u32; 3] = [0x1, 0xc, 0x12];
/// The size of the header of a 64-bit file.
const HEADER: u64 = 32;

/// Whether `file` begins as a 64-bit little-endian Mach-O file.
pub(super) fn is_macho(file: &[u8]) -> bool {
    file.starts_with(&[0xcf, 0xfa, 0xed, 0xfe])
}

/// What a file is for.
pub(super) fn target(file: &[u8]) -> Option<String> {
    match bytes::u32(file, 4)? {
        0x0100_0007 => Some("macos-x86_64".to_owned()),
        0x0100_000c => Some("macos-arm64".to_owned()),
        _ => None,
    }
}

/// What the load commands say, besides what goes straight into [`Parts`].
#[derive(Default)]
struct Found<'a> {
    segments: Vec<SegmentPart<'a>>,
    symtab: Option<&'a [u8]>,
    info: Option<&'a DyldInfoCommand<LE>>,
    chained: Option<&'a LinkeditDataCommand<LE>>,
    trie: Option<&'a [u8]>,
    starts: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

#[derive(Debug, Clone, Copy)]
struct SegmentPart<'a> {
    address: u64,
    bytes: &'a [u8],
}

/// Reads an image. What cannot be read is noted.
pub(super) fn read(file: &[u8]) -> Parts<'_> {
    let mut parts = Parts::new("Mach-O", file, 8);
    parts.target = target(file);
    let mut found = Found::default();
    if commands(file, &mut parts, &mut found).is_none() {
        parts.notes.push("the load commands are cut off".to_owned());
    }
    parts.memory.arrange();
    if let Some(trie) = found.trie {
        exports(trie, &mut parts);
    }
    if let Some(symtab) = found.symtab {
        symbols(file, symtab, &mut parts);
    }
    if let Some(command) = found.chained {
        parts.relocation_form = Some("chained fixups");
        if let Err(error) = chained(file, command, &found, &mut parts) {
            parts.notes.push(format!("chained fixups: {error}"));
        }
    } else if let Some(command) = found.info {
        parts.relocation_form = Some("opcodes");
        if let Err(error) = opcodes(file, command, &found, &mut parts) {
            parts.notes.push(format!("opcodes: {error}"));
        }
    }
    let base = found.segments.first().map_or(0, |segment| segment.address);
    if let Some(starts) = found.starts {
        let mut reader = Reader::new(starts);
        let mut address = base;
        while let Ok(distance) = reader.uleb128("function starts") {
            if distance == 0 {
                break;
            }
            address = address.wrapping_add(distance);
            parts.functions.push(address);
        }
    }
    unwind(base, &mut parts);
    parts.signature = found.signature.map(|blob| signature(file, blob));
    parts
}

fn commands<'a>(file: &'a [u8], parts: &mut Parts<'a>, found: &mut Found<'a>) -> Option<()> {
    let count = bytes::u32(file, 16)?;
    let size = bytes::u32(file, 20)?;
    parts.claims.push(Claim::new(0, HEADER.saturating_add(size.into()), Purpose::Headers));
    let mut rest = bytes::slice(file, HEADER, size.into())?;
    for _ in 0..count {
        let length = bytes::u32(rest, 4)?;
        let command = bytes::slice(rest, 0, length.max(8).into())?;
        rest = bytes::tail(rest, length.max(8).into())?;
        // What a command lacks is not there; the next one is looked at all the same.
        let _ = self::command(file, command, parts, found);
    }
    Some(())
}

fn command<'a>(file: &'a [u8], command: &'a [u8], parts: &mut Parts<'a>, found: &mut Found<'a>) -> Option<()> {
    let u32_at = |offset| bytes::u32(command, offset);
    let mut linkedit = |offset: u64, purpose| {
        let (start, size) = (u32_at(offset)?, u32_at(offset.saturating_add(4))?);
        parts.claims.push(Claim::new(start.into(), size.into(), purpose));
        bytes::slice(file, start.into(), size.into())
    };
    match u32_at(0)? {
        LC_SEGMENT_64 => segment(file, command, parts, found)?,
        LC_SYMTAB => {
            found.symtab = Some(command);
            let size = u64::from(u32_at(12)?).saturating_mul(16);
            linkedit(16, Purpose::Symbols);
            parts.claims.push(Claim::new(u32_at(8)?.into(), size, Purpose::Symbols));
        }
        LC_DYSYMTAB => {
            let size = u64::from(u32_at(60)?).saturating_mul(4);
            parts.claims.push(Claim::new(u32_at(56)?.into(), size, Purpose::Symbols));
        }
        // Imports name libraries by their place among these, so that even one without a name has to be counted.
        LC_LOAD_DYLIB | LC_LOAD_WEAK_DYLIB | LC_REEXPORT_DYLIB | LC_LOAD_UPWARD_DYLIB | LC_LAZY_LOAD_DYLIB => {
            parts.needed.push(u32_at(8).and_then(|offset| string(command, offset.into())).unwrap_or_default());
        }
        LC_ID_DYLIB => parts.name = string(command, u32_at(8)?.into()),
        LC_UUID => {
            let uuid = bytes::slice(command, 8, 16)?;
            let value = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
            parts.identity = Some(Identity { kind: "UUID", value });
        }
        LC_CODE_SIGNATURE => found.signature = linkedit(8, Purpose::Signature),
        LC_FUNCTION_STARTS => found.starts = linkedit(8, Purpose::Symbols),
        LC_DATA_IN_CODE => {
            linkedit(8, Purpose::Symbols);
        }
        LC_DYLD_INFO | LC_DYLD_INFO_ONLY => {
            for offset in [8, 16, 24, 32] {
                linkedit(offset, Purpose::Relocations);
            }
            found.trie = linkedit(40, Purpose::Dynamic);
            found.info = from_bytes(command).ok().map(|(info, _)| info);
        }
        LC_DYLD_EXPORTS_TRIE => found.trie = linkedit(8, Purpose::Dynamic),
        LC_DYLD_CHAINED_FIXUPS => {
            linkedit(8, Purpose::Relocations);
            found.chained = from_bytes(command).ok().map(|(fixups, _)| fixups);
        }
        _ => {}
    }
    Some(())
}

fn padded(name: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn segment<'a>(file: &'a [u8], command: &'a [u8], parts: &mut Parts<'a>, found: &mut Found<'a>) -> Option<()> {
    let u64_at = |offset| bytes::u64(command, offset);
    let (address, size, file_offset, file_size) = (u64_at(24)?, u64_at(32)?, u64_at(40)?, u64_at(48)?);
    let protection = bytes::u32(command, 60)?;
    let (read, write, execute) = (protection & 1 != 0, protection & 2 != 0, protection & 4 != 0);
    let name = padded(bytes::slice(command, 8, 16)?);
    let all = bytes::slice(file, file_offset, file_size);
    if all.is_none() {
        parts.notes.push(format!("segment {name} is cut off"));
    }
    let contents = all.or_else(|| bytes::tail(file, file_offset)).unwrap_or_default();
    found.segments.push(SegmentPart { address, bytes: contents });
    parts.memory.map(Piece { address, size, bytes: contents, file_offset, write, execute });
    let permissions = permissions(read, write, execute);
    for header in bytes::tail(command, 72)?.chunks_exact(80).take(usize::try_from(bytes::u32(command, 64)?).ok()?) {
        let zero = ZEROFILL.contains(&(bytes::u32(header, 64)? & 0xff));
        let size = bytes::u64(header, 40)?;
        let section = Section {
            name: format!("{name},{}", padded(bytes::slice(header, 0, 16)?)),
            address: bytes::u64(header, 32)?,
            size,
            file_offset: bytes::u32(header, 48)?.into(),
            file_size: if zero { 0 } else { size },
            permissions: permissions.clone(),
        };
        let mut purpose = Purpose::of_section(&section.name, &section.permissions);
        if purpose == Purpose::Code && bytes::u32(header, 64)? & 0x8000_0400 == 0 {
            // S_ATTR_PURE_INSTRUCTIONS, S_ATTR_SOME_INSTRUCTIONS: __TEXT has constants, too.
            purpose = Purpose::ReadOnlyData;
        }
        parts.claims.push(Claim::new(section.file_offset, section.file_size, purpose));
        parts.sections.push(section);
    }
    parts.segments.push(Segment { name: name.into_owned(), address, size, file_offset, file_size, permissions });
    Some(())
}

/// Walks the export trie: each node has what is exported under the name that leads to it, and children by the next letters.
fn exports(trie: &[u8], parts: &mut Parts<'_>) {
    const CUT: &str = "the export trie is cut off";
    let base = parts.segments.first().map_or(0, |segment| segment.address);
    let mut walk = || {
        // The edge to a child takes two bytes at least; in a hostile trie children may be shared without end.
        let mut left = trie.len();
        let mut letters_left = trie.len().saturating_mul(64);
        let mut open = vec![(0_u64, Vec::new())];
        while let Some((offset, name)) = open.pop() {
            let mut reader = Reader::at(trie, offset, CUT)?;
            let size = reader.uleb128(CUT)?;
            let mut terminal = reader;
            reader.skip(size, CUT)?;
            if size > 0 {
                let flags = terminal.uleb128(CUT)?;
                // EXPORT_SYMBOL_FLAGS_REEXPORT has an ordinal and a name in place of an address.
                if flags & 0x8 == 0 {
                    let value = terminal.uleb128(CUT)?;
                    let address = if flags & 3 == 2 { value } else { base.wrapping_add(value) };
                    parts.add_export(name.clone(), address);
                }
            }
            for _ in 0..reader.u8(CUT)? {
                let letters = reader.string(CUT)?;
                let child = reader.uleb128(CUT)?;
                left = left.checked_sub(1).ok_or_else(|| reader.malformed("the export trie has too many nodes"))?;
                let length = (name.len() as u64).saturating_add(letters.len() as u64);
                let name = [name.as_slice(), letters.get(..4096).unwrap_or(letters)].concat();
                let spent = letters_left.checked_sub(name.len().saturating_add(1)).filter(|_| length <= NAME_LIMIT);
                letters_left = spent.ok_or_else(|| reader.malformed("exported names are too long"))?;
                open.push((child, name));
            }
        }
        Ok::<(), crate::reader::Malformed>(())
    };
    let walked = if trie.is_empty() { Ok(()) } else { walk() };
    if let Err(malformed) = walked {
        parts.notes.push(malformed.to_string());
    }
}

fn symbols<'a>(file: &'a [u8], command: &[u8], parts: &mut Parts<'a>) {
    let u32_at = |offset| bytes::u32(command, offset).map_or(0, u64::from);
    let strings = bytes::slice(file, u32_at(16), u32_at(20)).unwrap_or_default();
    let Some(table) = bytes::slice(file, u32_at(8), u32_at(12).saturating_mul(16)) else {
        parts.notes.push("the symbol table is cut off".to_owned());
        return;
    };
    for entry in table.chunks_exact(16) {
        let read = || {
            let name = string(strings, bytes::u32(entry, 0)?.into())?;
            Some((name, *entry.get(4)?, bytes::u16(entry, 6)?, bytes::u64(entry, 8)?))
        };
        let Some((name, kind, description, address)) = read() else { continue };
        // N_STAB symbols are for debuggers.
        if kind & 0xe0 != 0 || name.is_empty() {
            continue;
        }
        match kind & 0x0e {
            0x0e => parts.add_symbol(name, address, 0),
            0 => {
                // GET_LIBRARY_ORDINAL; 0, 0xfe and 0xff stand for no library.
                let ordinal = usize::from(description >> 8);
                let library = ordinal.checked_sub(1).and_then(|index| parts.needed.get(index)).copied();
                parts.add_import(library, name);
            }
            _ => {}
        }
    }
    let ends = parts.sections.iter().map(|section| section.address.saturating_add(section.size)).collect();
    parts.size_symbols(ends);
}

fn chained<'a>(
    file: &'a [u8],
    command: &LinkeditDataCommand<LE>,
    found: &Found<'a>,
    parts: &mut Parts<'a>,
) -> object::Result<()> {
    let fixups = command.chained_fixups(LE, file)?;
    let base = found.segments.first().map_or(0, |segment| segment.address);
    let imports = chained_imports(command.data(LE, file)?, parts);
    // Chains may meet in a hostile file, and segments share their lists of pages.
    let mut left = file.len();
    let mut segments = fixups.segments(LE)?;
    while let Some(segment) = segments.next()? {
        let Some(less) = left.checked_sub(segment.header().page_count.get(LE).into()) else { return Ok(()) };
        left = less;
        let index = usize::try_from(segment.index()).unwrap_or(usize::MAX);
        let Some(part) = found.segments.get(index) else { continue };
        let mut sites = segment.fixups(LE, base, part.bytes);
        while let Some((offset, fixup)) = sites.next()? {
            let Some(less) = left.checked_sub(1) else { return Ok(()) };
            left = less;
            let (kind, fix) = match fixup {
                Fixup::Rebase(rebase) => ("rebase", Some(Fix::Address(base.wrapping_add(rebase.target_offset)))),
                Fixup::Bind(bind) => {
                    let import = usize::try_from(bind.ordinal).ok().and_then(|ordinal| imports.get(ordinal));
                    ("bind", import.map(|import| Fix::Import(*import)))
                }
                _ => ("of kernel caches", None),
            };
            parts.count(kind);
            if let Some(fix) = fix
                && !parts.memory.fix(part.address.wrapping_add(offset), fix)
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The names that chained fixups bind to (`struct dyld_chained_import` and its larger forms).
fn chained_imports<'a>(fixups: &'a [u8], parts: &mut Parts<'a>) -> Vec<u32> {
    let field = |offset| bytes::u32(fixups, offset).unwrap_or_default();
    let names = bytes::tail(fixups, field(12).into()).unwrap_or_default();
    // An import's size, and the shift of the offset of its name in its first word.
    let (size, shift) = match field(20) {
        1 => (4, 9),
        2 => (8, 9),
        // Here the offset has 32 bits, the upper half.
        3 => (16, 32),
        _ => return Vec::new(),
    };
    let table = bytes::slice(fixups, field(8).into(), u64::from(field(16)).saturating_mul(size)).unwrap_or_default();
    let name = |import: &[u8]| {
        let word = if shift == 32 { bytes::u64(import, 0)? } else { bytes::u32(import, 0)?.into() };
        string(names, word >> shift)
    };
    let imports = table.chunks_exact(usize::try_from(size).unwrap_or(16));
    imports.map(|import| parts.memory.import(name(import).unwrap_or_default())).collect()
}

fn opcodes<'a>(
    file: &'a [u8],
    info: &DyldInfoCommand<LE>,
    found: &Found<'a>,
    parts: &mut Parts<'a>,
) -> object::Result<()> {
    let address = |index: u8, offset: u64| {
        found.segments.get(usize::from(index)).map(|segment| segment.address.wrapping_add(offset))
    };
    // A few bytes can ask for any number of rebases.
    let mut left = file.len();
    let mut rebases = info.rebases(LE, file, 8)?;
    while let Some(rebase) = rebases.next()? {
        let Some(less) = left.checked_sub(1) else { return Ok(()) };
        left = less;
        parts.count("rebase");
        if let Some(place) = address(rebase.segment_index, rebase.segment_offset) {
            let value = parts.memory.number(place, 8).unwrap_or_default();
            if !parts.memory.fix(place, Fix::Address(value)) {
                return Ok(());
            }
        }
    }
    let mut bind = |kind: &'static str, mut binds: BindIterator<'a>| {
        // The name holds until another one is set: comparing its bytes for each place could take long.
        let mut last: Option<(&[u8], u32)> = None;
        while let Some(bind) = binds.next()? {
            let Some(less) = left.checked_sub(1) else { return Ok(()) };
            left = less;
            parts.count(kind);
            let import = match last {
                Some((name, import)) if std::ptr::eq(name, bind.symbol) => import,
                _ => parts.memory.import(bind.symbol.get(..4096).unwrap_or(bind.symbol)),
            };
            last = Some((bind.symbol, import));
            if let Some(place) = address(bind.segment_index, bind.segment_offset)
                && !parts.memory.fix(place, Fix::Import(import))
            {
                break;
            }
        }
        Ok::<(), object::Error>(())
    };
    bind("bind", info.binds(LE, file, 8)?)?;
    bind("weak bind", info.weak_binds(LE, file, 8)?)?;
    bind("lazy bind", info.lazy_binds(LE, file, 8)?)
}

/// Reads `__unwind_info` (`mach-o/compact_unwind_encoding.h`) and `__eh_frame`.
fn unwind(base: u64, parts: &mut Parts<'_>) {
    let of = |name: &str| {
        let section = parts.sections.iter().find(|section| section.name == name)?;
        Some((section.address, parts.memory.slice(section.address, section.size)?))
    };
    if let Some((address, section)) = of("__TEXT,__eh_frame") {
        let trouble = eh_rows(section, address, 8, &mut parts.rows);
        parts.tables.push("__eh_frame");
        parts.notes.extend(trouble.map(|trouble| format!("__eh_frame: {trouble}")));
    }
    let of = |name: &str| {
        let section = parts.sections.iter().find(|section| section.name == name)?;
        parts.memory.slice(section.address, section.size)
    };
    if let Some(section) = of("__TEXT,__unwind_info") {
        parts.tables.push("__unwind_info");
        match compact_rows(section, base) {
            Some(rows) => parts.rows.extend(rows),
            None => parts.notes.push("__unwind_info is malformed".to_owned()),
        }
    }
}

/// The functions of an `__unwind_info` section that can be unwound through, from and to.
fn compact_rows(section: &[u8], base: u64) -> Option<Vec<(u64, u64)>> {
    let u32_at = |offset: u64| bytes::u32(section, offset);
    let u16_at = |offset: u64| bytes::u16(section, offset).map(u64::from);
    let common = u64::from(u32_at(4)?);
    let common_count = u64::from(u32_at(8)?);
    let index = u64::from(u32_at(20)?);
    // Where each row begins, and whether it says how to unwind.
    let mut starts: Vec<(u64, bool)> = Vec::new();
    // An entry takes 4 bytes at least, and no two pages share any.
    let limit = section.len() / 4;
    for entry in 0..u64::from(u32_at(24)?) {
        let at = index.checked_add(entry.checked_mul(12)?)?;
        let first = u64::from(u32_at(at)?);
        let page = u64::from(u32_at(at.checked_add(4)?)?);
        if page == 0 {
            // The last entry is where the functions end.
            starts.push((first, false));
            continue;
        }
        let entries = page.checked_add(u16_at(page.checked_add(4)?)?)?;
        let count = u16_at(page.checked_add(6)?)?;
        let encodings = page.checked_add(u16_at(page.checked_add(8)?).unwrap_or(0))?;
        for number in 0..count {
            if starts.len() > limit {
                return None;
            }
            match u32_at(page)? {
                // UNWIND_SECOND_LEVEL_REGULAR: function, encoding.
                2 => {
                    let at = entries.checked_add(number.checked_mul(8)?)?;
                    starts.push((u32_at(at)?.into(), u32_at(at.checked_add(4)?)? != 0));
                }
                // UNWIND_SECOND_LEVEL_COMPRESSED: 8 bits that choose an encoding, 24 of the function's distance.
                3 => {
                    let word = u32_at(entries.checked_add(number.checked_mul(4)?)?)?;
                    let chosen = u64::from(word >> 24);
                    let encoding = if chosen < common_count {
                        u32_at(common.checked_add(chosen.checked_mul(4)?)?)?
                    } else {
                        u32_at(encodings.checked_add(chosen.checked_sub(common_count)?.checked_mul(4)?)?)?
                    };
                    starts.push((first.checked_add(u64::from(word & 0xff_ffff))?, encoding != 0));
                }
                _ => return None,
            }
        }
    }
    starts.sort_unstable();
    let ends = starts.iter().skip(1).map(|(start, _)| *start);
    let rows = starts.iter().zip(ends).filter(|((_, says), _)| *says);
    Some(rows.map(|((start, _), end)| (base.saturating_add(*start), base.saturating_add(end))).collect())
}

/// Checks a signature: every page of the file has the hash that its code directory states (`kern/cs_blobs.h`).
fn signature(file: &[u8], blob: &[u8]) -> Signature {
    let mut signature = Signature::default();
    signature.problem = check(file, blob, &mut signature).err();
    signature
}

fn check(file: &[u8], blob: &[u8], signature: &mut Signature) -> Result<(), String> {
    let blobs = CodeSignature::parse(blob).map_err(|error| error.to_string())?;
    let mut directory = None;
    for blob in blobs.blobs() {
        let blob = blob.map_err(|error| error.to_string())?;
        if let Some(found) = blob.code_directory().map_err(|error| error.to_string())? {
            directory = Some(found);
            break;
        }
    }
    let directory = directory.ok_or("there is no code directory")?;
    let header = directory.header();
    let identifier = directory.ident().map_err(|error| error.to_string())?;
    let identifier = identifier.get(..4096).unwrap_or(identifier);
    signature.identifier = String::from_utf8_lossy(identifier).into_owned();
    // CS_ADHOC
    signature.ad_hoc = header.flags.get(object::BigEndian).0 & 0x2 != 0;
    if header.hash_type.0 != 2 || header.hash_size != 32 {
        return Err(format!("hashes of type {} are not checked", header.hash_type.0));
    }
    let limit = usize::try_from(directory.code_limit()).map_err(|_| "it covers more than the file")?;
    let covered = file.get(..limit).ok_or("it covers more than the file")?;
    let size =
        1_usize.checked_shl(header.page_size.into()).filter(|size| *size >= 1024).ok_or("its pages are too small")?;
    let pages = covered.chunks(size);
    let slots = header.n_code_slots.get(object::BigEndian);
    if usize::try_from(slots).ok() != Some(pages.len()) {
        return Err(format!("it has {slots} hashes for {} pages", pages.len()));
    }
    signature.pages = slots.into();
    for (number, page) in (0..slots).zip(pages) {
        let stated = directory.code_hash(number).map_err(|error| error.to_string())?;
        if stated != Sha256::digest(page).as_slice() {
            return Err(format!("page {number} does not have the hash that is stated"));
        }
    }
    Ok(())
}
