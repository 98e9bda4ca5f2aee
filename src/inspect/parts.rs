//! What the rooms of the formats find in an image, in one form for all that is told of it.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::facts::{Identity, Section, Segment, Signature};
use super::memory::Memory;

/// An image, read.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    /// `ELF`, `Mach-O` or `PE`.
    pub(super) format: &'static str,
    /// What it is for.
    pub(super) target: Option<String>,
    /// Its address space, with all relocations noted.
    pub(super) memory: Memory<'a>,
    /// The name that it has for itself.
    pub(super) name: Option<&'a [u8]>,
    /// What distinguishes it from others.
    pub(super) identity: Option<Identity>,
    /// Its code signature.
    pub(super) signature: Option<Signature>,
    /// What is mapped.
    pub(super) segments: Vec<Segment>,
    /// Its sections.
    pub(super) sections: Vec<Section>,
    /// What parts of the file are for.
    pub(super) claims: Vec<Claim>,
    /// Exported names and their addresses; ascending by name after [`arrange`](Self::arrange).
    pub(super) exports: Vec<(Cow<'a, [u8]>, u64)>,
    /// Imported names, and from where.
    pub(super) imports: Vec<(Option<&'a [u8]>, &'a [u8])>,
    /// The libraries it asks for.
    pub(super) needed: Vec<&'a [u8]>,
    /// How relocations are stored.
    pub(super) relocation_form: Option<&'static str>,
    /// Relocations by kind.
    pub(super) relocations: BTreeMap<Cow<'static, str>, u64>,
    /// Symbols that have a name and a place.
    pub(super) symbols: Vec<SymbolPart<'a>>,
    /// The addresses of functions.
    pub(super) functions: Vec<u64>,
    /// Unwind rows: from, to. Ascending after [`arrange`](Self::arrange).
    pub(super) rows: Vec<(u64, u64)>,
    /// The tables of those rows.
    pub(super) tables: Vec<&'static str>,
    /// What could not be read.
    pub(super) notes: Vec<String>,
    /// How many more bytes of names are taken: in a hostile file they may overlap, and sorting them would take long.
    names_left: usize,
}

/// A part of the file and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    /// The first byte.
    pub(super) start: u64,
    /// The byte after the last.
    pub(super) end: u64,
    /// What for.
    pub(super) purpose: Purpose,
}

impl Claim {
    /// `size` bytes from `start` on.
    pub(super) fn new(start: u64, size: u64, purpose: Purpose) -> Self {
        Self { start, end: start.saturating_add(size), purpose }
    }
}

/// What bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Heap,
    Code,
    Data,
    ReadOnlyData,
    Debug,
    Unwind,
    Symbols,
    Dynamic,
    Relocations,
    Signature,
    Headers,
    Other,
    Padding,
}

impl Purpose {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap image",
            Self::Code => "code",
            Self::Data => "writable data",
            Self::ReadOnlyData => "read-only data",
            Self::Debug => "debug information",
            Self::Unwind => "unwind tables",
            Self::Symbols => "symbol tables",
            Self::Dynamic => "imports and exports",
            Self::Relocations => "relocations",
            Self::Signature => "signature",
            Self::Headers => "headers",
            Self::Other => "other",
            Self::Padding => "padding",
        }
    }

    /// What the section `name` is for, if its name tells, else what its permissions tell.
    pub(super) fn of_section(name: &str, permissions: &str) -> Self {
        let base = name.rsplit(',').next().unwrap_or(name);
        let is_debug = |prefix: &&str| name.starts_with(prefix);
        if [".debug_", ".zdebug_", "__DWARF,", ".gnu_debuglink"].iter().any(is_debug) {
            return Self::Debug;
        }
        match base {
            ".eh_frame" | ".eh_frame_hdr" | ".eh_fram" | ".gcc_except_table" | ".ARM.exidx" | ".ARM.extab"
            | ".pdata" | ".xdata" | "__eh_frame" | "__unwind_info" | "__gcc_except_tab" => Self::Unwind,
            ".symtab" | ".strtab" | ".shstrtab" | ".symtab_shndx" => Self::Symbols,
            ".dynsym" | ".dynstr" | ".hash" | ".gnu.hash" | ".gnu.version" | ".gnu.version_r" | ".gnu.version_d"
            | ".dynamic" | ".got" | ".got.plt" | ".plt" | ".plt.got" | ".iplt" | ".edata" | ".idata" | "__got"
            | "__stubs" | "__stub_helper" | "__la_symbol_ptr" => Self::Dynamic,
            ".reloc" | ".relr.dyn" => Self::Relocations,
            _ if base.starts_with(".rel.") || base.starts_with(".rela.") => Self::Relocations,
            _ if permissions.contains('x') => Self::Code,
            _ if permissions.contains('w') => Self::Data,
            _ if permissions.contains('r') => Self::ReadOnlyData,
            _ => Self::Other,
        }
    }
}

/// A symbol.
#[derive(Debug, Clone, Copy)]
pub(super) struct SymbolPart<'a> {
    pub(super) name: &'a [u8],
    pub(super) address: u64,
    pub(super) size: u64,
}

impl<'a> Parts<'a> {
    /// Nothing yet of the image `file` of a format, whose pointers have `pointer` bytes.
    pub(super) fn new(format: &'static str, file: &[u8], pointer: u64) -> Self {
        Self {
            format,
            memory: Memory::new(pointer, file),
            relocation_form: Some("none"),
            names_left: file.len().saturating_mul(16),
            ..Self::default()
        }
    }

    /// Says whether there is room for `name` in a list.
    fn room(&mut self, name: &[u8]) -> bool {
        match self.names_left.checked_sub(name.len()) {
            Some(left) => self.names_left = left,
            None if self.names_left > 0 => {
                self.names_left = 0;
                self.notes.push("too many long names: some are left out".to_owned());
            }
            None => {}
        }
        self.names_left > 0
    }

    /// Lists an exported name.
    pub(super) fn add_export(&mut self, name: impl Into<Cow<'a, [u8]>>, address: u64) {
        let name = name.into();
        if self.room(&name) {
            self.exports.push((name, address));
        }
    }

    /// Lists an imported name.
    pub(super) fn add_import(&mut self, library: Option<&'a [u8]>, name: &'a [u8]) {
        if self.room(name) {
            self.imports.push((library, name));
        }
    }

    /// Lists a symbol.
    pub(super) fn add_symbol(&mut self, name: &'a [u8], address: u64, size: u64) {
        if self.room(name) {
            self.symbols.push(SymbolPart { name, address, size });
        }
    }

    /// Puts lists in order.
    pub(super) fn arrange(&mut self) {
        self.memory.finish();
        self.exports.sort();
        self.exports.dedup_by(|one, other| one.0 == other.0);
        self.imports.sort();
        self.imports.dedup();
        self.rows.sort_unstable();
        self.functions.sort_unstable();
        self.functions.dedup();
        if self.memory.cut {
            self.notes.push("too many relocations: not all are followed".to_owned());
        }
    }

    /// The address of an exported symbol.
    pub(super) fn export(&self, name: &str) -> Option<u64> {
        // The underscore of C on macOS. Elsewhere names are exported as they are (on 32-bit Windows, too).
        let name = if self.format == "Mach-O" { Cow::Owned(format!("_{name}")) } else { Cow::Borrowed(name) };
        let found = self.exports.binary_search_by(|(other, _)| (**other).cmp(name.as_bytes())).ok()?;
        self.exports.get(found).map(|(_, address)| *address)
    }

    /// Counts a relocation.
    pub(super) fn count(&mut self, kind: impl Into<Cow<'static, str>>) {
        let count = self.relocations.entry(kind.into()).or_default();
        *count = count.saturating_add(1);
    }

    /// Gives symbols without a size the distance to the next one, or to the end of what is mapped there. `ends` are
    /// the ends of sections.
    pub(super) fn size_symbols(&mut self, mut ends: Vec<u64>) {
        ends.extend(self.symbols.iter().map(|symbol| symbol.address));
        ends.sort_unstable();
        ends.dedup();
        for symbol in &mut self.symbols {
            let next = ends.partition_point(|end| *end <= symbol.address);
            symbol.size = ends.get(next).map_or(0, |end| end.saturating_sub(symbol.address));
        }
    }
}

/// Permissions as letters.
pub(super) fn permissions(read: bool, write: bool, execute: bool) -> String {
    [(read, 'r'), (write, 'w'), (execute, 'x')].iter().map(|&(yes, letter)| if yes { letter } else { '-' }).collect()
}
