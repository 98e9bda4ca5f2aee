//! A shared library's dynamic symbol table with the strings and versions that belong to it.
//!
//! Source: gABI chapter 4, *Symbol Table*; LSB Core, *Symbol Versioning*.

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
    SHN_UNDEF, STB_GLOBAL, STB_GNU_UNIQUE, STB_WEAK, STT_FILE, STT_SECTION, STV_DEFAULT, STV_PROTECTED, Sym32, Sym64,
    SymbolBind, SymbolType, SymbolVisibility,
};
use object::read::elf::Sym;

use crate::bytes;

/// The dynamic symbol table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbols<'a> {
    /// `.dynsym`; what follows it in the file may be included.
    pub(super) entries: Entries<'a>,
    /// `.dynstr`.
    pub(super) strings: &'a [u8],
    /// `.gnu.version`, if the library has versions.
    pub(super) versions: Option<&'a [u8]>,
}

/// The entries of `.dynsym`, by the file's class.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entries<'a> {
    Elf32(&'a [Sym32<LE>]),
    Elf64(&'a [Sym64<LE>]),
}

/// An entry of `.dynsym`, decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    /// Offset of the name in `.dynstr`.
    pub(super) name: u64,
    pub(super) kind: SymbolType,
    pub(super) binding: SymbolBind,
    pub(super) visibility: SymbolVisibility,
    pub(super) defined: bool,
    pub(super) value: u64,
    pub(super) size: u64,
}

impl<'a> Symbols<'a> {
    /// Symbol `index`, if there are so many.
    pub(super) fn get(&self, index: u32) -> Option<Symbol> {
        let index = usize::try_from(index).ok()?;
        match self.entries {
            Entries::Elf32(entries) => entries.get(index).map(Symbol::decode),
            Entries::Elf64(entries) => entries.get(index).map(Symbol::decode),
        }
    }

    /// Symbols from number 1 on (0 is none) with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Symbol)> {
        (1..u32::MAX).map_while(|index| Some((index, self.get(index)?)))
    }

    /// Keeps the first `count` symbols.
    pub(super) fn truncate(&mut self, count: u32) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match &mut self.entries {
            Entries::Elf32(entries) => *entries = entries.get(..count).unwrap_or(entries),
            Entries::Elf64(entries) => *entries = entries.get(..count).unwrap_or(entries),
        }
    }

    /// Whether the string at `offset` of `.dynstr` is `wanted`.
    pub(super) fn is_string(&self, offset: u64, wanted: &[u8]) -> bool {
        bytes::is_string(self.strings, offset, wanted)
    }

    /// The entry of `.gnu.version` that belongs to symbol `index`; `None` if the library has versions and this symbol
    /// has no entry.
    pub(super) fn version(&self, index: u32) -> Option<u16> {
        match self.versions {
            Some(versions) => bytes::u16(versions, u64::from(index).checked_mul(2)?),
            None => Some(super::VER_NDX_GLOBAL),
        }
    }
}

impl Symbol {
    fn decode(entry: &impl Sym<Endian = LE>) -> Self {
        Self {
            name: entry.st_name(LE).into(),
            kind: entry.st_type(),
            binding: entry.st_bind(),
            visibility: entry.st_visibility(),
            defined: entry.st_shndx(LE) != SHN_UNDEF,
            value: entry.st_value(LE).into(),
            size: entry.st_size(LE).into(),
        }
    }

    /// Whether it is a definition that other images may use.
    pub(super) fn is_export(&self) -> bool {
        self.defined
            && matches!(self.binding, STB_GLOBAL | STB_WEAK | STB_GNU_UNIQUE)
            && matches!(self.visibility, STV_DEFAULT | STV_PROTECTED)
            && !matches!(self.kind, STT_SECTION | STT_FILE)
    }
}
