//! What must hold of every image, whatever it was made of: an independent reader (the `object` crate) goes through all of
//! it, its skeleton is sound, and what stands between its structures came from nowhere.
//!
//! The skeleton is read here by hand, so that neither the library nor that crate can hide a mistake of their own.

use std::ops::Range;

use object::read::elf::FileHeader;
use object::{LittleEndian as LE, Object as _, ObjectSection as _, ObjectSymbol as _};

/// Whose tables of imports an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imports {
    /// The linker's.
    Made,
    /// Those of its inputs, which may say anything.
    Given,
}

/// Checks an image of any format.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(bytes: &[u8], imports: Imports) -> Result<(), String> {
    walk(bytes, imports)?;
    let covered = match bytes {
        [0x7f, b'E', b'L', b'F', 1, ..] => check_elf::<object::elf::FileHeader32<LE>>(bytes)?,
        [0x7f, b'E', b'L', b'F', ..] => check_elf::<object::elf::FileHeader64<LE>>(bytes)?,
        [b'M', b'Z', ..] => check_pe(bytes)?,
        _ => check_macho(bytes)?,
    };
    gaps_are_empty(bytes, covered)
}

/// Ranges of bytes of the file.
type Ranges = Vec<Range<u64>>;

/// Goes through all that `object` knows of an image.
fn walk(bytes: &[u8], imports: Imports) -> Result<(), String> {
    let text = |error: object::Error| format!("object: {error}");
    let image = object::File::parse(bytes).map_err(text)?;
    for section in image.sections() {
        section.name_bytes().map_err(text)?;
        section.data().map_err(text)?;
    }
    for symbol in image.symbols().chain(image.dynamic_symbols()) {
        symbol.name_bytes().map_err(text)?;
    }
    let dynamic_symbols = image.dynamic_symbols().count() + 1;
    for (at, relocation) in image.dynamic_relocations().into_iter().flatten() {
        if let object::RelocationTarget::Symbol(index) = relocation.target()
            && index.0 >= dynamic_symbols
        {
            return Err(format!("the dynamic relocation at {at:#x} refers to symbol {}", index.0));
        }
    }
    if !has_empty_trie(bytes)? {
        for export in image.exports().map_err(text)? {
            export.map_err(text)?;
        }
    }
    if imports == Imports::Made {
        for import in image.imports().map_err(text)? {
            import.map_err(text)?;
        }
    }
    Ok(())
}

/// Whether this is a Mach-O image whose export trie has no bytes. An image without exports has one, from LLD, too: it is
/// not even a root. `object` takes the root for granted and fails.
fn has_empty_trie(bytes: &[u8]) -> Result<bool, String> {
    if !bytes.starts_with(&[0xcf, 0xfa, 0xed, 0xfe]) {
        return Ok(false);
    }
    let word = |at: u64| number(bytes, at, 4);
    let mut at = 32;
    for _ in 0..word(16)? {
        // The size, of LC_DYLD_INFO, LC_DYLD_INFO_ONLY; of LC_DYLD_EXPORTS_TRIE.
        let size = match word(at)? {
            0x22 | 0x8000_0022 => Some(word(at + 44)?),
            0x8000_0033 => Some(word(at + 12)?),
            _ => None,
        };
        if size == Some(0) {
            return Ok(true);
        }
        at += word(at + 4)?;
    }
    Ok(false)
}

/// Checks that bytes in no range are zero.
fn gaps_are_empty(bytes: &[u8], mut covered: Ranges) -> Result<(), String> {
    covered.sort_unstable_by_key(|range| range.start);
    let mut end = 0;
    for range in covered.into_iter().chain(std::iter::once(bytes.len() as u64..bytes.len() as u64)) {
        if range.start > end
            && let Some(gap) = bytes.get(end as usize..range.start as usize)
            && let Some(at) = gap.iter().position(|byte| *byte != 0)
        {
            let at = end + at as u64;
            let value = bytes[at as usize];
            let start = range.start;
            return Err(format!("{value:#04x} at offset {at:#x}, between structures: {end:#x} to {start:#x}"));
        }
        end = end.max(range.end);
    }
    if end > bytes.len() as u64 {
        return Err(format!("a structure ends at {end:#x}, beyond the file's {:#x} bytes", bytes.len()));
    }
    Ok(())
}

fn check_elf<H: FileHeader<Endian = LE>>(bytes: &[u8]) -> Result<Ranges, String> {
    use object::elf;
    use object::read::elf::{ProgramHeader as _, SectionHeader as _};
    let text = |error: object::Error| error.to_string();
    let header = H::parse(bytes).map_err(text)?;
    let segments = header.program_headers(LE, bytes).map_err(text)?;
    let sections = header.section_headers(LE, bytes).map_err(text)?;
    let (program, table): (u64, u64) = (header.e_phoff(LE).into(), header.e_shoff(LE).into());
    let mut covered = vec![
        0..size_of::<H>() as u64,
        program..program + size_of_val(segments) as u64,
        table..table + size_of_val(sections) as u64,
    ];
    let mut end = 0;
    for segment in segments.iter().filter(|segment| segment.p_type(LE) == elf::PT_LOAD) {
        let (offset, address, align): (u64, u64, u64) =
            (segment.p_offset(LE).into(), segment.p_vaddr(LE).into(), segment.p_align(LE).into());
        let (file_size, size): (u64, u64) = (segment.p_filesz(LE).into(), segment.p_memsz(LE).into());
        if file_size > size || offset + file_size > bytes.len() as u64 {
            return Err(format!("segment at {address:#x}: more bytes than memory, or than the file has"));
        }
        if !align.is_power_of_two() || address % align != offset % align || address < end {
            return Err(format!("segment at {address:#x}: not congruent to its offset {offset:#x}, or not ascending"));
        }
        end = address + size;
    }
    for section in sections {
        let (offset, size): (u64, u64) = (section.sh_offset(LE).into(), section.sh_size(LE).into());
        if section.sh_type(LE) != elf::SHT_NOBITS {
            covered.push(offset..offset + size);
        }
        if section.sh_flags(LE).0 & elf::SHF_ALLOC.0 == 0 || section.sh_flags(LE).0 & elf::SHF_TLS.0 != 0 {
            continue;
        }
        let start: u64 = section.sh_addr(LE).into();
        let inside = segments.iter().filter(|segment| segment.p_type(LE) == elf::PT_LOAD).any(|segment| {
            let address: u64 = segment.p_vaddr(LE).into();
            start >= address && start + size <= address + segment.p_memsz(LE).into()
        });
        // A region without a byte has no segment.
        if !inside && size > 0 {
            return Err(format!("the section at {start:#x} of {size} bytes is in no segment"));
        }
        let align: u64 = section.sh_addralign(LE).into();
        if !start.is_multiple_of(align.max(1)) {
            return Err(format!("the section at {start:#x} is not aligned to {align}"));
        }
    }
    Ok(covered)
}

/// A little-endian number of the file.
fn number(bytes: &[u8], at: u64, size: usize) -> Result<u64, String> {
    let at = at as usize;
    let field = bytes.get(at..at + size).ok_or_else(|| format!("no {size} bytes at {at:#x}"))?;
    Ok(field.iter().rfold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// `mach-o/loader.h`.
fn check_macho(bytes: &[u8]) -> Result<Ranges, String> {
    let word = |at: u64| number(bytes, at, 4);
    let long = |at: u64| number(bytes, at, 8);
    let size = word(20)?;
    let mut covered = vec![Range { start: 0, end: 32 + size }];
    let mut at = 32;
    let (mut end, mut end_in_file) = (0, 0);
    let mut linkedit = 0..0;
    for _ in 0..word(16)? {
        let (command, length) = (word(at)?, word(at + 4)?);
        if length < 8 || length % 8 != 0 || at + length > 32 + size {
            return Err(format!("a load command of {length} bytes at {at:#x}"));
        }
        // An offset and a size of a table.
        let mut table = |offset: u64, size: u64| {
            let range = offset..offset + size;
            if size > 0 && (range.start < linkedit.start || range.end > linkedit.end) {
                return Err(format!("a table at {offset:#x} of {size:#x} bytes is not in __LINKEDIT"));
            }
            covered.push(range);
            Ok(())
        };
        match command {
            // LC_SEGMENT_64
            0x19 => {
                let (address, memory) = (long(at + 24)?, long(at + 32)?);
                let (offset, in_file) = (long(at + 40)?, long(at + 48)?);
                if address < end || in_file > memory || (in_file > 0 && offset < end_in_file) {
                    return Err(format!("segment at {address:#x}: not ascending, or more bytes than memory"));
                }
                if offset + in_file > bytes.len() as u64 {
                    return Err(format!("segment at {address:#x}: ends beyond the file"));
                }
                end = address + memory;
                end_in_file = end_in_file.max(offset + in_file);
                if bytes[at as usize + 8..].starts_with(b"__LINKEDIT\0") {
                    linkedit = offset..offset + in_file;
                }
                for number in 0..word(at + 64)? {
                    let section = at + 72 + 80 * number;
                    let (start, size, place) = (long(section + 32)?, long(section + 40)?, word(section + 48)?);
                    let (align, kind) = (word(section + 52)?, word(section + 64)? & 0xff);
                    if start < address || start + size > end {
                        return Err(format!("the section at {start:#x} is not in its segment"));
                    }
                    if align > 32 || start % (1 << align) != 0 {
                        return Err(format!("the section at {start:#x} is not aligned to 2^{align}"));
                    }
                    // Zeros have no place in the file.
                    if !matches!(kind, 1 | 0xc | 0x12) && in_file > 0 {
                        if place.wrapping_sub(offset) != start - address {
                            return Err(format!("the section at {start:#x} is not where it belongs in the file"));
                        }
                        covered.push(place..place + size);
                    }
                }
            }
            // LC_SYMTAB
            0x02 => {
                table(word(at + 8)?, 16 * word(at + 12)?)?;
                table(word(at + 16)?, word(at + 20)?)?;
            }
            // LC_DYSYMTAB
            0x0b => table(word(at + 56)?, 4 * word(at + 60)?)?,
            // LC_DYLD_INFO, LC_DYLD_INFO_ONLY
            0x22 | 0x8000_0022 => {
                for pair in 0..5 {
                    table(word(at + 8 + 8 * pair)?, word(at + 12 + 8 * pair)?)?;
                }
            }
            // What is in __LINKEDIT, from LC_CODE_SIGNATURE to LC_DYLD_CHAINED_FIXUPS.
            0x1d | 0x1e | 0x26 | 0x29 | 0x2b | 0x2e | 0x8000_0033 | 0x8000_0034 => {
                table(word(at + 8)?, word(at + 12)?)?;
            }
            _ => {}
        }
        at += length;
    }
    Ok(covered)
}

/// PE/COFF specification.
fn check_pe(bytes: &[u8]) -> Result<Ranges, String> {
    let half = |at: u64| number(bytes, at, 2);
    let word = |at: u64| number(bytes, at, 4);
    let signature = word(0x3c)?;
    let file = signature + 4;
    let optional = file + 20;
    let (sections, optional_size) = (half(file + 2)?, half(file + 16)?);
    let (alignment, file_alignment) = (word(optional + 32)?, word(optional + 36)?);
    let (image_size, headers) = (word(optional + 56)?, word(optional + 60)?);
    if !alignment.is_power_of_two() || !file_alignment.is_power_of_two() {
        return Err(format!("alignments of {alignment} and {file_alignment} bytes"));
    }
    let table = optional + optional_size;
    let mut covered = vec![Range { start: 0, end: table + 40 * sections }];
    let mut end = headers.next_multiple_of(alignment);
    for section in (0..sections).map(|number| table + 40 * number) {
        let (size, address) = (word(section + 8)?, word(section + 12)?);
        let (in_file, offset) = (word(section + 16)?, word(section + 20)?);
        if address != end {
            return Err(format!("the section at {address:#x} does not follow what ends at {end:#x}"));
        }
        if offset % file_alignment != 0 || in_file % file_alignment != 0 || offset + in_file > bytes.len() as u64 {
            return Err(format!("the section at {address:#x}: its bytes are not where a loader looks"));
        }
        if in_file > 0 && offset < headers {
            return Err(format!("the section at {address:#x} is in the headers"));
        }
        covered.push(offset..offset + in_file.min(size));
        end = (address + size).next_multiple_of(alignment);
    }
    if end != image_size {
        return Err(format!("sections end at {end:#x}, the image at {image_size:#x}"));
    }
    let (symbols, count) = (word(file + 8)?, word(file + 12)?);
    if symbols > 0 {
        let strings = symbols + 18 * count;
        covered.push(symbols..strings + word(strings)?);
    }
    Ok(covered)
}
