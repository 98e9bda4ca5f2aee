//! DLLs to import from: through their export directories, or through the members of import libraries in short form.
//!
//! An export directory's names are sorted, so that the loader, and this linker, find one by halving: a DLL with ten
//! thousand exports is asked for the few that are wanted and never read as a whole. (Import libraries in GNU's long form
//! are archives of ordinary objects, and need nothing here.)
//!
//! Of a function `f` that a DLL exports two symbols are known: `f` itself, which is code in the image that jumps on, and
//! `__imp_f`, the slot that holds its address; of data, the slot alone, which for *constants* is called `f` as well. On i386,
//! C's `f` is the symbol `_f`.
//!
//! Source: PE/COFF specification, *The .edata Section*, *Import Library Format*.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::cmp::Ordering;
use std::collections::HashMap;

use object::LittleEndian as LE;
use object::pe;
use object::read::coff::{ImportFile, ImportName, ImportType, SectionTable};
use object::read::pe::{ImageNtHeaders, PeFile};

use crate::bytes;
use crate::error::Error;
use crate::options::Arch;

/// What the symbol of a slot begins with.
pub(crate) const SLOT_PREFIX: &[u8] = b"__imp_";

/// A DLL that the image may import from.
#[derive(Debug)]
pub(crate) struct Library<'a> {
    /// The file that tells of it, for messages.
    pub(crate) file: &'a str,
    /// The name under which the loader looks for it.
    pub(crate) name: &'a [u8],
    /// The machine it is for.
    pub(crate) machine: pe::Machine,
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    Exports(Exports<'a>),
    Short(HashMap<&'a [u8], Import<'a>>),
}

/// What the image imports under a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Import<'a> {
    /// How the loader finds it.
    pub(crate) by: ImportBy<'a>,
    /// It is code, which may be called without regard to where it is.
    pub(crate) code: bool,
    /// It is data whose plain symbol means the slot, too (*Import Type*, `IMPORT_CONST`).
    pub(crate) constant: bool,
}

/// How the loader finds an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ImportBy<'a> {
    /// By its name; the number is a guess at its place among the names.
    Name(&'a [u8], u16),
    /// By its number.
    Ordinal(u16),
}

/// The symbol without the prefix of slots, and whether it had that.
pub(crate) fn split_slot(symbol: &[u8]) -> (&[u8], bool) {
    match symbol.strip_prefix(SLOT_PREFIX) {
        Some(plain) => (plain, true),
        None => (symbol, false),
    }
}

/// Whether the bytes are a member of an import library in short form.
pub(crate) fn is_short_import(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 0xff, 0xff, 0, 0])
}

impl<'a> Library<'a> {
    /// Looks at a DLL, which messages call `file`; `default_name` is its name if it does not tell it itself.
    ///
    /// # Errors
    /// It is malformed, or no DLL.
    pub(crate) fn dll(file: &'a str, default_name: &'a str, bytes: &'a [u8]) -> Result<Self, Error> {
        let magic = object::read::pe::optional_header_magic(bytes).map_err(|error| malformed(file, error))?;
        let exports = match magic {
            pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC => Exports::new::<pe::ImageNtHeaders32>(bytes),
            pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC => Exports::new::<pe::ImageNtHeaders64>(bytes),
            _ => return Err(Error::unsupported(file, "a Windows image that is neither PE32 nor PE32+")),
        };
        let (machine, characteristics, exports) = exports.map_err(|error| malformed(file, error))?;
        // Each look-up goes through them.
        if exports.sections.len() > SECTION_LIMIT {
            return Err(Error::unsupported(file, "a DLL of more than 1024 sections, which no loader takes"));
        }
        if !characteristics.contains(pe::IMAGE_FILE_DLL) {
            return Err(Error::unsupported(file, "Windows program: only objects, archives and DLLs can be linked"));
        }
        let name = exports.string(exports.name, NAME_LIMIT).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| file_name(default_name).as_bytes());
        Ok(Self { file, name, machine, source: Source::Exports(exports) })
    }

    /// The library of a member of an import library in short form, without anything in it yet.
    pub(crate) fn short(file: &'a str, member: &ShortImport<'a>) -> Self {
        Self { file, name: member.dll, machine: member.machine, source: Source::Short(HashMap::new()) }
    }

    /// Adds what a member of an import library in short form tells.
    pub(crate) fn add(&mut self, member: &ShortImport<'a>) {
        if let Source::Short(imports) = &mut self.source {
            imports.insert(member.symbol, member.import);
        }
    }

    /// What a symbol of an object for the DLL's machine stands for, if the DLL has it.
    pub(crate) fn lookup(&self, symbol: &[u8]) -> Option<Import<'a>> {
        let arch = super::arch_of(self.machine)?;
        let (plain, slot) = split_slot(symbol);
        // The loader calls each DLL's own; start code that has another DLL's called would be misled (LLD's rule).
        if !slot && matches!(plain, b"DllMain" | b"_DllMain" | b"_DllMain@12") {
            return None;
        }
        let import = match &self.source {
            Source::Short(imports) => imports.get(plain).copied(),
            Source::Exports(exports) => exports.find_symbol(plain, arch),
        };
        import.filter(|import| import.code || import.constant || slot)
    }

    /// The symbols that members of an import library in short form tell of, in no order; none if a DLL itself is here.
    pub(super) fn told_of(&self) -> Option<impl Iterator<Item = &'a [u8]>> {
        match &self.source {
            Source::Short(imports) => Some(imports.keys().copied()),
            Source::Exports(_) => None,
        }
    }
}

/// The most sections of a DLL that is looked into.
const SECTION_LIMIT: usize = 1024;
/// The longest name that is read, in bytes.
const NAME_LIMIT: usize = 1 << 16;

fn malformed(file: &str, error: object::Error) -> Error {
    Error::malformed(file, format!("DLL: {error}"))
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The export directory of a DLL.
#[derive(Debug)]
struct Exports<'a> {
    bytes: &'a [u8],
    sections: SectionTable<'a>,
    /// Where the directory is, and its end.
    range: (u32, u32),
    name: u32,
    addresses: (u32, u32),
    names: (u32, u32),
    ordinals: u32,
}

impl<'a> Exports<'a> {
    fn new<Pe: ImageNtHeaders>(bytes: &'a [u8]) -> object::Result<(pe::Machine, pe::FileFlags, Self)> {
        let file = PeFile::<Pe>::parse(bytes)?;
        let header = file.nt_headers().file_header();
        let mut exports = Self {
            bytes,
            sections: file.section_table(),
            range: (0, 0),
            name: 0,
            addresses: (0, 0),
            names: (0, 0),
            ordinals: 0,
        };
        if let Some(directory) = file.data_directory(pe::IMAGE_DIRECTORY_ENTRY_EXPORT) {
            let (start, size) = directory.address_range();
            if let Some(table) = exports.at(start).filter(|_| start != 0) {
                let field = |offset: u64| bytes::u32(table, offset).unwrap_or(0);
                exports.range = (start, start.saturating_add(size));
                exports.name = field(12);
                exports.addresses = (field(28), field(20));
                exports.names = (field(32), field(24));
                exports.ordinals = field(36);
            }
        }
        Ok((header.machine.get(LE), header.characteristics.get(LE), exports))
    }

    /// The bytes of the section from an offset from the image's base on.
    fn at(&self, address: u32) -> Option<&'a [u8]> {
        self.sections.pe_data_at(self.bytes, address)
    }

    /// The string at an offset from the image's base, if it is not longer than `limit` bytes.
    fn string(&self, address: u32, limit: usize) -> Option<&'a [u8]> {
        let bytes = self.at(address)?;
        let bytes = bytes.get(..limit).unwrap_or(bytes);
        bytes.get(..memchr::memchr(0, bytes)?)
    }

    /// The export that a symbol means: on i386 without the underscore of C, and without the size of its arguments where the
    /// DLL leaves that out.
    fn find_symbol(&self, symbol: &[u8], arch: Arch) -> Option<Import<'a>> {
        if arch != Arch::X86 {
            return self.find(symbol);
        }
        let plain = super::c_name(arch, symbol);
        let bare = memchr::memrchr(b'@', plain).filter(|at| *at > 0).and_then(|at| plain.get(..at));
        self.find(plain).or_else(|| self.find(symbol)).or_else(|| self.find(bare?))
    }

    fn find(&self, name: &[u8]) -> Option<Import<'a>> {
        if name.is_empty() || name.contains(&0) {
            return None;
        }
        let (names, count) = self.names;
        let names = self.at(names)?;
        let (mut low, mut high) = (0_u32, count);
        while low < high {
            let middle = low.midpoint(high);
            let pointer = bytes::u32(names, u64::from(middle).checked_mul(4)?)?;
            let text = self.at(pointer)?;
            match bytes::compare_string(text, 0, name)? {
                Ordering::Less => low = middle.checked_add(1)?,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    let index = bytes::u16(self.at(self.ordinals)?, u64::from(middle).checked_mul(2)?)?;
                    let by = ImportBy::Name(text.get(..name.len())?, u16::try_from(middle).unwrap_or(0));
                    return Some(Import { by, code: self.is_code(index)?, constant: false });
                }
            }
        }
        None
    }

    /// Whether an entry of the address table leads to code, or to another DLL.
    fn is_code(&self, index: u16) -> Option<bool> {
        let (addresses, count) = self.addresses;
        if u32::from(index) >= count {
            return None;
        }
        let address = bytes::u32(self.at(addresses)?, u64::from(index).checked_mul(4)?)?;
        let forwarded = (self.range.0..self.range.1).contains(&address);
        let section = self.sections.section_containing(address);
        let code =
            |section: &pe::ImageSectionHeader| section.characteristics.get(LE).contains(pe::IMAGE_SCN_MEM_EXECUTE);
        Some(forwarded || section.is_some_and(code))
    }
}

/// A member of an import library in short form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShortImport<'a> {
    machine: pe::Machine,
    /// The DLL's name.
    pub(crate) dll: &'a [u8],
    symbol: &'a [u8],
    import: Import<'a>,
}

impl<'a> ShortImport<'a> {
    /// Reads a member.
    ///
    /// # Errors
    /// It is malformed, in words.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let file = ImportFile::parse(bytes).map_err(|error| format!("import: {error}"))?;
        let machine = bytes::u16(bytes, 6).unwrap_or(0);
        let hint = bytes::u16(bytes, 16).unwrap_or(0);
        let by = match file.import() {
            ImportName::Name(name) => ImportBy::Name(name, hint),
            ImportName::Ordinal(ordinal) => ImportBy::Ordinal(ordinal),
        };
        let kind = file.import_type();
        let import = Import { by, code: kind == ImportType::Code, constant: kind == ImportType::Const };
        Ok(Self { machine: pe::Machine(machine), dll: file.dll(), symbol: file.symbol(), import })
    }

    /// How the loader finds what it tells of.
    #[cfg(test)]
    pub(crate) fn by(&self) -> ImportBy<'a> {
        self.import.by
    }
}
