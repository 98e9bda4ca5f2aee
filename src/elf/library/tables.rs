//! Where a shared library's dynamic tables are: by its section headers or, if these are stripped, by its program headers
//! and `PT_DYNAMIC`, as the loader finds them.
//!
//! Source: gABI chapters 4 and 5; LSB Core, *Symbol Versioning*.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use object::LittleEndian as LE;
use object::elf::{
    DT_GNU_HASH, DT_HASH, DT_NULL, DT_STRSZ, DT_STRTAB, DT_SYMTAB, DT_VERDEF, DT_VERDEFNUM, DT_VERSYM, DynamicTag,
    PT_DYNAMIC, PT_LOAD, SHT_DYNAMIC, SHT_DYNSYM, SHT_GNU_HASH, SHT_GNU_VERDEF, SHT_GNU_VERSYM, SHT_HASH, SectionType,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};

use super::symbols::{Entries, Symbols};
use super::{Version, VersionId};
use crate::bytes;

/// The dynamic tables of a shared library.
#[derive(Debug, Clone)]
pub(super) struct Tables<'a> {
    /// `.dynamic` up to its end mark: tags and values.
    pub(super) dynamic: Vec<(DynamicTag, u64)>,
    pub(super) symbols: Symbols<'a>,
    /// Whether the number of [`symbols`](Self::symbols) is known rather than an upper bound.
    pub(super) counted: bool,
    /// `.gnu.hash`; what follows it in the file may be included.
    pub(super) gnu_hash: Option<&'a [u8]>,
    /// `.hash`; what follows it in the file may be included.
    pub(super) hash: Option<&'a [u8]>,
    /// `.gnu.version_d`, and the number of definitions.
    version_definitions: Option<(&'a [u8], u64)>,
}

impl<'a> Tables<'a> {
    /// Finds the tables of `file`, whose header is `header`; `entries` says which class its symbols are of.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn find<Elf: FileHeader<Endian = LE>>(
        header: &'a Elf,
        file: &'a [u8],
        entries: fn(&'a [Elf::Sym]) -> Entries<'a>,
    ) -> Result<Self, String> {
        match Self::from_sections(header, file, entries).map_err(|error| error.to_string())? {
            Some(tables) => Ok(tables),
            None => Self::from_segments(header, file, entries)?.ok_or_else(|| "it has no dynamic symbols".to_owned()),
        }
    }

    /// By section headers; `None` if there are none of the sections needed.
    fn from_sections<Elf: FileHeader<Endian = LE>>(
        header: &'a Elf,
        file: &'a [u8],
        entries: fn(&'a [Elf::Sym]) -> Entries<'a>,
    ) -> object::Result<Option<Self>> {
        let sections = header.section_headers(LE, file)?;
        let find = |kind: SectionType| sections.iter().find(|section| section.sh_type(LE) == kind);
        let data = |kind| find(kind).map(|section| section.data(LE, file)).transpose();
        let (Some(symbols), Some(dynamic)) = (find(SHT_DYNSYM), find(SHT_DYNAMIC)) else { return Ok(None) };
        let strings = sections.get(symbols.link(LE).0).map(|section| section.data(LE, file)).transpose()?;
        let definitions = find(SHT_GNU_VERDEF).map(|section| Ok((section.data(LE, file)?, section.sh_info(LE).into())));
        Ok(Some(Self {
            dynamic: decode::<Elf::Dyn>(dynamic.data_as_array(LE, file)?),
            symbols: Symbols {
                entries: entries(symbols.data_as_array(LE, file)?),
                strings: strings.unwrap_or_default(),
                versions: data(SHT_GNU_VERSYM)?,
            },
            counted: true,
            gnu_hash: data(SHT_GNU_HASH)?,
            hash: data(SHT_HASH)?,
            version_definitions: definitions.transpose()?,
        }))
    }

    /// By program headers and the dynamic section; `None` if there is no such segment.
    fn from_segments<Elf: FileHeader<Endian = LE>>(
        header: &'a Elf,
        file: &'a [u8],
        entries: fn(&'a [Elf::Sym]) -> Entries<'a>,
    ) -> Result<Option<Self>, String> {
        let segments = header.program_headers(LE, file).map_err(|error| error.to_string())?;
        let dynamic = segments.iter().find(|segment| segment.p_type(LE) == PT_DYNAMIC);
        let Some(dynamic) = dynamic else { return Ok(None) };
        let dynamic = dynamic.data_as_array(LE, file).map_err(|()| "PT_DYNAMIC exceeds the file")?;
        let dynamic = decode::<Elf::Dyn>(dynamic);
        let entry = |tag| find_entry(&dynamic, tag);
        // What the file has from an address up to the end of its segment.
        let at = |address: u64| {
            segments.iter().filter(|segment| segment.p_type(LE) == PT_LOAD).find_map(|segment| {
                let (offset, size) = segment.file_range(LE);
                bytes::tail(bytes::slice(file, offset, size)?, address.checked_sub(segment.p_vaddr(LE).into())?)
            })
        };
        let table = |tag, name| match entry(tag).map(at) {
            Some(None) => Err(format!("{name} points outside of the segments")),
            found => Ok(found.flatten()),
        };
        let symbols = table(DT_SYMTAB, "DT_SYMTAB")?.ok_or("it has no DT_SYMTAB")?;
        let strings = table(DT_STRTAB, "DT_STRTAB")?.ok_or("it has no DT_STRTAB")?;
        let strings = entry(DT_STRSZ).and_then(|size| bytes::slice(strings, 0, size));
        let definitions = table(DT_VERDEF, "DT_VERDEF")?.zip(entry(DT_VERDEFNUM));
        let count = symbols.len().checked_div(size_of::<Elf::Sym>()).unwrap_or_default();
        let (symbols, _) = object::pod::slice_from_bytes(symbols, count).unwrap_or_default();
        Ok(Some(Self {
            symbols: Symbols {
                entries: entries(symbols),
                strings: strings.ok_or("DT_STRSZ exceeds the segment")?,
                versions: table(DT_VERSYM, "DT_VERSYM")?,
            },
            counted: false,
            gnu_hash: table(DT_GNU_HASH, "DT_GNU_HASH")?,
            hash: table(DT_HASH, "DT_HASH")?,
            version_definitions: definitions,
            dynamic,
        }))
    }

    /// The value of the first entry `tag` of the dynamic section.
    pub(super) fn entry(&self, tag: DynamicTag) -> Option<u64> {
        find_entry(&self.dynamic, tag)
    }

    /// The versions that the library defines, ascending; `None` if their table is malformed.
    pub(super) fn versions(&self) -> Option<Vec<Version>> {
        let (table, count) = self.version_definitions.unwrap_or_default();
        let mut versions = Vec::new();
        let mut at = 0_u64;
        for _ in 0..count {
            let field = |offset: u64| at.checked_add(offset);
            let id = bytes::u16(table, field(4)?)?;
            let name = bytes::u32(table, field(bytes::u32(table, field(12)?)?.into())?)?;
            let next = bytes::u32(table, field(16)?)?;
            versions.push(Version { id: VersionId(id), name: name.into() });
            // There are only so many version numbers.
            if versions.len() > usize::from(u16::MAX) {
                return None;
            }
            if next == 0 {
                break;
            }
            at = field(next.into())?;
        }
        versions.sort_by_key(|version| version.id);
        Some(versions)
    }
}

/// The entries of a dynamic section up to its end mark.
fn decode<D: Dyn<Endian = LE>>(entries: &[D]) -> Vec<(DynamicTag, u64)> {
    let entries = entries.iter().map(|entry| (entry.tag(LE), entry.val(LE)));
    entries.take_while(|&(tag, _)| tag != DT_NULL).collect()
}

fn find_entry(dynamic: &[(DynamicTag, u64)], tag: DynamicTag) -> Option<u64> {
    dynamic.iter().find(|&&(it, _)| it == tag).map(|&(_, value)| value)
}
