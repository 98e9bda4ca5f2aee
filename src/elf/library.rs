//! Shared libraries, looked into rather than read.
//!
//! A link asks a library a few hundred questions, "do you define this symbol, and under which version?", and the
//! library carries hash tables made to answer them. So parsing reads headers, the dynamic section and the version
//! definitions, a few pages in all, whatever the library's size; each look-up touches a few more.
//!
//! Sources: gABI chapter 5 (*Dynamic Section*, *Hash Table*); LSB Core, *Symbol Versioning*; the GNU hash table has no
//! standard, binutils defines it.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod hash;
mod symbols;
mod tables;

use std::sync::OnceLock;

use object::LittleEndian as LE;
use object::elf::{
    DF_1_PIE, DT_FLAGS_1, DT_SONAME, FileHeader32, FileHeader64, Machine, STB_GLOBAL, SymbolBind, SymbolType,
    SymbolVisibility,
};
use object::read::elf::FileHeader;

use self::hash::{GnuHash, NameIndex, SysvHash, TooLong};
use self::symbols::Entries;
use self::tables::Tables;
use crate::arch::Bits;
use crate::bytes;
use crate::error::Error;

/// Of a `.gnu.version` entry: not the version for references without one.
const VERSYM_HIDDEN: u16 = 0x8000;
/// The version of symbols that are not for others.
const VER_NDX_LOCAL: u16 = 0;
/// The version of symbols without a version.
const VER_NDX_GLOBAL: u16 = 1;
/// How many times the string table's size the names of all versions may be, in bytes. Names share bytes in real string
/// tables, but not many; in a hostile one every name could be nearly the whole table.
const NAME_BYTES_FACTOR: usize = 16;

/// A shared library, ready to be asked for symbols.
#[derive(Debug)]
pub(crate) struct SharedLibrary<'a> {
    name: &'a str,
    abi: Abi,
    soname: &'a [u8],
    tables: Tables<'a>,
    /// Ascending.
    versions: Vec<Version>,
    lookup: Lookup<'a>,
    /// All definitions by name, where a hash table takes too long.
    names: OnceLock<NameIndex>,
}

/// What an image that uses a library must have in common with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abi {
    /// The size of addresses.
    pub(crate) bits: Bits,
    /// `e_machine`.
    pub(crate) machine: Machine,
    /// `EI_OSABI`.
    pub(crate) os_abi: u8,
    /// `e_flags`: the variant of the machine's ABI.
    pub(crate) flags: u32,
}

/// A version that the library defines, and the offset of its name in `.dynstr`.
#[derive(Debug, Clone, Copy)]
struct Version {
    id: VersionId,
    name: u64,
}

/// A version definition of one library, by its number in `.gnu.version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VersionId(u16);

/// A symbol that a library defines for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Export {
    /// What the symbol stands for (`STT_FUNC`, `STT_TLS`, `STT_GNU_IFUNC`, …).
    pub(crate) kind: SymbolType,
    /// `STB_GLOBAL`, `STB_WEAK` or `STB_GNU_UNIQUE`.
    pub(crate) binding: SymbolBind,
    /// `STV_DEFAULT` or `STV_PROTECTED`.
    pub(crate) visibility: SymbolVisibility,
    /// The address in the library, or the offset in its thread-local storage.
    pub(crate) value: u64,
    /// The size, in bytes.
    pub(crate) size: u64,
    /// The version; none if the library has no versions, or none for this symbol.
    pub(crate) version: Option<VersionId>,
}

/// The way to a symbol from its name: the first of these that the library has.
#[derive(Debug)]
enum Lookup<'a> {
    /// `.gnu.hash`.
    Gnu(GnuHash<'a>),
    /// `.hash`.
    Sysv(SysvHash<'a>),
    /// None: an index made from the symbol table at the first look-up.
    Names,
}

impl<'a> SharedLibrary<'a> {
    /// Parses the library `bytes`, which messages call `name`. If it has no `DT_SONAME`, the loader knows it as
    /// `default_soname`.
    ///
    /// # Errors
    /// A file that is no ELF shared library of little-endian byte order; a position-independent executable; headers, a
    /// dynamic section or version definitions that are malformed.
    pub(crate) fn parse(name: &'a str, default_soname: &'a str, bytes: &'a [u8]) -> Result<Self, Error> {
        let header = FileHeader64::<LE>::parse(bytes);
        if let Ok(header) = header {
            return Self::parse_class(name, default_soname, bytes, Bits::B64, header, Entries::Elf64);
        }
        match FileHeader32::<LE>::parse(bytes) {
            Ok(header) => Self::parse_class(name, default_soname, bytes, Bits::B32, header, Entries::Elf32),
            Err(error) => Err(Error::malformed(name, format!("not an ELF shared library: {error}"))),
        }
    }

    fn parse_class<Elf: FileHeader<Endian = LE>>(
        name: &'a str,
        default_soname: &'a str,
        bytes: &'a [u8],
        bits: Bits,
        header: &'a Elf,
        entries: fn(&'a [Elf::Sym]) -> Entries<'a>,
    ) -> Result<Self, Error> {
        let malformed = |what: &str| Error::malformed(name, format!("malformed shared library: {what}"));
        if header.endian().is_err() {
            return Err(Error::unsupported(name, "shared library for a big-endian machine"));
        }
        let mut tables = Tables::find(header, bytes, entries).map_err(|what| malformed(&what))?;
        if tables.entry(DT_FLAGS_1).is_some_and(|flags| flags & DF_1_PIE.0 != 0) {
            return Err(Error::unsupported(name, "an executable, not a shared library"));
        }
        let soname = match tables.entry(DT_SONAME) {
            Some(offset) => bytes::string(tables.symbols.strings, offset)
                .ok_or_else(|| malformed("DT_SONAME points outside of the string table"))?,
            None => default_soname.as_bytes(),
        };
        let versions = tables.versions().ok_or_else(|| malformed("its version definitions exceed their table"))?;
        let lookup = Lookup::choose(bits, &mut tables);
        let lookup = lookup.ok_or_else(|| malformed("it has neither section headers nor a hash table of symbols"))?;
        let (machine, os_abi, flags) = (header.e_machine(LE), header.e_ident().os_abi.0, header.e_flags(LE).0);
        let abi = Abi { bits, machine, os_abi, flags };
        let library = Self { name, abi, soname, tables, versions, lookup, names: OnceLock::new() };
        // Images copy the names of the versions that they need.
        let mut budget = library.tables.symbols.strings.len().saturating_mul(NAME_BYTES_FACTOR);
        for version in &library.versions {
            let left = budget.checked_sub(library.version_name(version.id).len());
            budget = left.ok_or_else(|| malformed("the names of its versions overlap"))?;
        }
        Ok(library)
    }

    /// What messages call the library.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// The name by which images ask the loader for the library: its `DT_SONAME`, or what the caller of
    /// [`parse`](Self::parse) gave instead.
    pub(crate) fn soname(&self) -> &'a [u8] {
        self.soname
    }

    /// The ABI that it was made for.
    pub(crate) fn abi(&self) -> Abi {
        self.abi
    }

    /// The library's definition of `symbol` that a reference binds to: one to the version of the name given, or one
    /// without a version, which finds symbols without a version and default versions (`symbol@@VERSION`) only.
    ///
    /// The cost is a few memory accesses, and bounded however the library's tables are made.
    pub(crate) fn lookup(&self, symbol: &[u8], version: Option<&[u8]>) -> Option<Export> {
        let accept = |index| self.export(index, symbol, version);
        let found = match &self.lookup {
            Lookup::Gnu(table) => table.find(symbol, accept),
            Lookup::Sysv(table) => table.find(symbol, accept),
            Lookup::Names => Err(TooLong),
        };
        match found {
            Ok(found) => found,
            Err(TooLong) => self.names.get_or_init(|| NameIndex::new(&self.tables.symbols)).find(symbol, accept),
        }
    }

    /// The names that the library needs from others in any case and in no version, in the order of its symbol table.
    pub(crate) fn undefined(&self) -> impl Iterator<Item = &'a [u8]> {
        let symbols = &self.tables.symbols;
        let needed = symbols.iter().filter(|(index, symbol)| {
            let version = symbols.version(*index).unwrap_or(VER_NDX_GLOBAL) & !VERSYM_HIDDEN;
            !symbol.defined && symbol.binding == STB_GLOBAL && version <= VER_NDX_GLOBAL
        });
        // Without a count the table has no end that is known.
        let names = needed.take_while(|_| self.tables.counted);
        let names = names.filter_map(|(_, symbol)| bytes::string(symbols.strings, symbol.name));
        let budget = symbols.strings.len().saturating_mul(NAME_BYTES_FACTOR);
        names.scan(budget, |left, name| {
            *left = left.checked_sub(name.len())?;
            Some(name)
        })
    }

    /// The name of a version that [`lookup`](Self::lookup) of this library told.
    pub(crate) fn version_name(&self, version: VersionId) -> &'a [u8] {
        let name = self.version(version).and_then(|version| bytes::string(self.tables.symbols.strings, version.name));
        name.unwrap_or_default()
    }

    /// The version with a name, if the library defines it.
    pub(crate) fn version_named(&self, name: &[u8]) -> Option<VersionId> {
        self.versions.iter().map(|version| version.id).find(|id| self.version_name(*id) == name)
    }

    /// What symbol `index` exports, if it is a definition of `name` in the version wanted.
    fn export(&self, index: u32, name: &[u8], version: Option<&[u8]>) -> Option<Export> {
        let symbols = &self.tables.symbols;
        let symbol = symbols.get(index).filter(|symbol| symbol.is_export())?;
        if !symbols.is_string(symbol.name, name) {
            return None;
        }
        let entry = symbols.version(index)?;
        let defined = match entry & !VERSYM_HIDDEN {
            VER_NDX_LOCAL => return None,
            VER_NDX_GLOBAL => None,
            id => Some(self.version(VersionId(id))?),
        };
        let fits = match version {
            None => entry & VERSYM_HIDDEN == 0,
            Some(version) => defined.is_some_and(|defined| symbols.is_string(defined.name, version)),
        };
        fits.then(|| Export {
            kind: symbol.kind,
            binding: symbol.binding,
            visibility: symbol.visibility,
            value: symbol.value,
            size: symbol.size,
            version: defined.map(|defined| defined.id),
        })
    }

    fn version(&self, id: VersionId) -> Option<Version> {
        let index = self.versions.binary_search_by_key(&id, |version| version.id).ok()?;
        self.versions.get(index).copied()
    }
}

impl<'a> Lookup<'a> {
    /// The best way there is; `None` if there is none at all. A hash table that is malformed counts as absent.
    fn choose(bits: Bits, tables: &mut Tables<'a>) -> Option<Self> {
        let sysv = tables.hash.and_then(SysvHash::parse);
        if let Some(table) = sysv.filter(|_| !tables.counted) {
            tables.symbols.truncate(table.symbol_count());
            tables.counted = true;
        }
        if let Some(table) = tables.gnu_hash.and_then(|table| GnuHash::parse(bits, table)) {
            return Some(Self::Gnu(table));
        }
        if let Some(table) = sysv {
            return Some(Self::Sysv(table));
        }
        tables.counted.then_some(Self::Names)
    }
}

#[cfg(test)]
mod tests;
