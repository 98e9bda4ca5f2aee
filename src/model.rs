//! The one in-memory form of an object file, whatever its format.
//!
//! A format's `parse` fills it; the middle of the link (symbols, scan, layout, apply) knows nothing else of the inputs.
//! Contents and names are borrowed from the inputs. Relocations are not here at all: [`Relocs`] keeps their encoded
//! bytes, and they are decoded each time they are needed.

use std::borrow::Cow;
use std::fmt;

use crate::options::Arch;

/// Index of an object among those that take part, in link order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectId(pub(crate) u32);

/// Index of a section in its object: the format's own section index.
pub(crate) type SectionIndex = u32;

/// Index of a symbol in its object's symbol table: the format's own index.
pub(crate) type SymbolIndex = u32;

/// Index of a symbol among those that have one meaning in the whole link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GlobalId(pub(crate) u32);

impl GlobalId {
    /// No global symbol: the symbol is local to its object.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// The id, unless it is [`NONE`](Self::NONE).
    pub(crate) fn get(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }

    /// The id as an index.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl ObjectId {
    /// The id as an index.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What an input is called in messages: a file, or an archive's file with the member's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputName<'a> {
    /// Path, or the name given with bytes in memory.
    pub(crate) file: &'a str,
    /// Name of the archive member.
    pub(crate) member: Option<Cow<'a, [u8]>>,
}

impl fmt::Display for InputName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.member {
            Some(member) => write!(f, "{}({})", self.file, String::from_utf8_lossy(member)),
            None => f.write_str(self.file),
        }
    }
}

/// A set of bit flags over an integer.
macro_rules! flags {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$flag_meta:meta])* $flag:ident = $value:expr,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) $repr);

        #[allow(dead_code, reason = "each set of flags gets the same operations")]
        impl $name {
            $($(#[$flag_meta])* pub(crate) const $flag: Self = Self($value);)*

            /// Whether all of `other` are set.
            pub(crate) const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether one of `other` is set.
            pub(crate) const fn any(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The flags of both.
            pub(crate) const fn and(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The flags that both have.
            pub(crate) const fn common(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// These, without those of `other`.
            pub(crate) const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// These, with those of `other` if `on`.
            pub(crate) const fn when(self, on: bool, other: Self) -> Self {
                if on { self.and(other) } else { self }
            }

            /// Sets those of `other`.
            pub(crate) fn set(&mut self, other: Self) {
                self.0 |= other.0;
            }
        }
    };
}
pub(crate) use flags;

flags! {
    /// What the middle of the link asks of a section.
    SectionFlags: u32 {
        /// Occupies memory when the image is loaded.
        ALLOC = 1,
        /// Writable when loaded.
        WRITE = 1 << 1,
        /// Executable when loaded.
        EXEC = 1 << 2,
        /// Template of thread-local storage.
        TLS = 1 << 3,
        /// Fixed-size or NUL-terminated elements that may be merged.
        MERGE = 1 << 4,
        /// The elements are NUL-terminated strings.
        STRINGS = 1 << 5,
        /// No contents in the file: zero when loaded.
        ZERO = 1 << 6,
        /// May lie farther than 32-bit displacements reach.
        FAR = 1 << 7,
        /// Survives section garbage collection.
        RETAIN = 1 << 8,
        /// Ordered as another section is, and dropped with it.
        LINK_ORDER = 1 << 9,
        /// Member of a group.
        GROUP = 1 << 10,
        /// DWARF debug information.
        DEBUG = 1 << 11,
        /// `.eh_frame`: unwind records.
        EH_FRAME = 1 << 12,
        /// Written by the loader's relocations only: may be protected afterwards.
        RELRO = 1 << 13,
        /// The contents are compressed, until [`decompress`](crate::elf::compressed::decompress).
        COMPRESSED = 1 << 14,
        /// `.ARM.exidx`: entries of an unwind index, which is written anew.
        EXIDX = 1 << 15,
    }
}

/// Whether a section takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It does.
    Live,
    /// It is metadata of its object file, read and not copied.
    Metadata,
    /// A group with the same signature was met before.
    DuplicateGroup,
    /// Nothing reachable refers to it.
    Unreferenced,
    /// It was asked to be left out.
    Stripped,
}

/// An input section.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// Name, as bytes.
    pub(crate) name: &'a [u8],
    /// Contents; empty if it has none in the file.
    pub(crate) data: Cow<'a, [u8]>,
    /// Size when loaded, in bytes.
    pub(crate) size: u64,
    /// Alignment in bytes: a power of two, at least 1.
    pub(crate) align: u64,
    /// Flags that the middle asks for.
    pub(crate) flags: SectionFlags,
    /// The format's own type: `sh_type`.
    pub(crate) kind: u32,
    /// Size of an element of a mergeable section, in bytes.
    pub(crate) entry_size: u64,
    /// The section that it follows in order ([`SectionFlags::LINK_ORDER`]), or 0.
    pub(crate) linked: SectionIndex,
    /// Its relocations.
    pub(crate) relocs: Relocs<'a>,
    /// Whether it takes part.
    pub(crate) fate: Fate,
    /// The output section it goes to: an index into the plan's list, or [`Section::NOWHERE`].
    pub(crate) output: u32,
    /// Offset in its output section, in bytes.
    pub(crate) offset: u64,
}

impl<'a> Section<'a> {
    /// A section that the linker makes, of no kind and without relocations; one without a name is section 0, which is none.
    pub(crate) fn made(name: &'a [u8], data: Cow<'a, [u8]>, align: u64, flags: SectionFlags) -> Self {
        Self {
            name,
            size: data.len() as u64,
            data,
            align,
            flags,
            kind: 0,
            entry_size: 0,
            linked: 0,
            relocs: Relocs::default(),
            fate: if name.is_empty() { Fate::Metadata } else { Fate::Live },
            output: Self::NOWHERE,
            offset: 0,
        }
    }
}

impl Section<'_> {
    /// The [`output`](Self::output) of a section that goes nowhere.
    pub(crate) const NOWHERE: u32 = u32::MAX;

    /// Whether it takes part.
    pub(crate) fn is_live(&self) -> bool {
        self.fate == Fate::Live
    }

    /// Whether it would take part, but nothing refers to it, or it is a copy.
    pub(crate) fn is_left_out(&self) -> bool {
        matches!(self.fate, Fate::Unreferenced | Fate::DuplicateGroup)
    }
}

/// How a table of relocations is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RelocEncoding {
    /// `Elf64_Rela`, little-endian.
    #[default]
    Rela64,
    /// `Elf32_Rela`, little-endian.
    Rela32,
    /// `Elf32_Rel`, little-endian: the fields hold the addends, as the CPU's table says.
    Rel32(Arch),
    /// COFF's, of 10 bytes: the fields hold the addends, as the CPU's table says.
    Coff(Arch),
    /// `relocation_info` of Mach-O, in descending order of offsets; the fields hold the addends.
    MachO(crate::macho::relocs::Encoding),
}

impl RelocEncoding {
    /// Size of one relocation, in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Rela64 => 24,
            Self::Rela32 => 12,
            Self::Rel32(_) | Self::MachO(_) => 8,
            Self::Coff(_) => 10,
        }
    }
}

/// A section's relocations, encoded, in ascending order of their offsets unless the encoding says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Relocs<'a> {
    /// The table's bytes: borrowed where the input has it in order.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// How they are encoded.
    pub(crate) encoding: RelocEncoding,
}

impl Relocs<'_> {
    /// The number of relocations.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.encoding.size()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// How a symbol binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Binding {
    /// Known in its object only.
    Local,
    /// One definition in the whole link.
    Global,
    /// As global, and gives way to a global definition; need not be defined.
    Weak,
    /// As global, and one in the whole process (`STB_GNU_UNIQUE`).
    Unique,
}

/// Who else may see a symbol, from least to most constrained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Visibility {
    /// Exported and preemptible.
    Default,
    /// Exported, not preemptible.
    Protected,
    /// Not exported.
    Hidden,
    /// Not exported, nor called through pointers from outside.
    Internal,
}

/// What a symbol stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SymbolKind {
    /// Unknown.
    None,
    /// Data.
    Object,
    /// Code.
    Function,
    /// A section.
    Section,
    /// The name of a source file.
    File,
    /// Thread-local data: the value is an offset in the TLS block.
    Tls,
    /// Code that returns the address of the code to use.
    Ifunc,
}

/// The kind of memory that a common symbol is allotted in: each has a block of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum CommonKind {
    /// Zero-filled data.
    Data,
    /// Zero-filled thread-local storage (ELF).
    ThreadLocal,
    /// Zero-filled data that may lie farther than 32-bit displacements reach (ELF).
    Far,
}

impl CommonKind {
    /// All kinds, in the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Data, Self::ThreadLocal, Self::Far];
}

/// Where a symbol's value counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SymbolSection {
    /// Nowhere: it is not defined here.
    Undefined,
    /// Zero: the value is a number.
    Absolute,
    /// Not yet allotted; the value is the alignment.
    Common(CommonKind),
    /// The start of a section.
    In(SectionIndex),
}

flags! {
    /// What relocations against a symbol need to know of it. Fixed before scanning.
    Traits: u8 {
        /// The loader decides which definition is used.
        PREEMPTIBLE = 1,
        /// The address is computed by code when the image is loaded.
        IFUNC = 1 << 1,
        /// The process has one definition, and the loader decides when it loads the image which that is: of those that the
        /// image itself has, too (Mach-O, which has no indirect functions). In both cases the address is in the GOT only.
        COALESCED = 1 << 1,
        /// The value does not move with the image.
        ABSOLUTE = 1 << 2,
        /// It may lie farther than 32-bit displacements reach.
        FAR = 1 << 3,
        /// Thread-local.
        TLS = 1 << 4,
        /// Its section is not part of the image.
        DISCARDED = 1 << 5,
        /// The address of an indirect function is that of its PLT entry, since code computes it without the GOT.
        PLT_ADDRESS = 1 << 6,
        /// It stands for the descriptor of a thread-local variable (Mach-O, which has no indirect functions).
        DESCRIPTOR = 1 << 6,
        /// Nothing defines it, in the image or in a library.
        UNDEFINED = 1 << 7,
    }
}

/// A symbol of an object's symbol table, in 32 bytes: there are many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol {
    /// Offset of its name in [`Object::strings`].
    pub(crate) name: u32,
    /// Where the value counts from: a section index, or one of the constants of [`Symbol`].
    section: u32,
    /// The global symbol it takes part in.
    pub(crate) global: GlobalId,
    /// What it stands for.
    pub(crate) kind: SymbolKind,
    /// How it binds.
    pub(crate) binding: Binding,
    /// The format's byte of further bits: `st_other`, visibility included.
    pub(crate) other: u8,
    /// What relocations need to know.
    pub(crate) traits: Traits,
    /// Offset in the section, number, or alignment of a common symbol.
    pub(crate) value: u64,
    /// Size in bytes, 0 if unknown.
    pub(crate) size: u64,
}

impl Symbol {
    const UNDEFINED: u32 = 0;
    const ABSOLUTE: u32 = u32::MAX;
    const COMMON: u32 = u32::MAX - 1;
    const THREAD_LOCAL_COMMON: u32 = u32::MAX - 2;
    const FAR_COMMON: u32 = u32::MAX - 3;

    /// A local symbol of no kind at `value` of `section`.
    pub(crate) fn new(name: u32, section: SymbolSection, value: u64) -> Self {
        let section = match section {
            SymbolSection::Undefined => Self::UNDEFINED,
            SymbolSection::Absolute => Self::ABSOLUTE,
            SymbolSection::Common(CommonKind::Data) => Self::COMMON,
            SymbolSection::Common(CommonKind::ThreadLocal) => Self::THREAD_LOCAL_COMMON,
            SymbolSection::Common(CommonKind::Far) => Self::FAR_COMMON,
            SymbolSection::In(index) => index,
        };
        let traits = Traits::default();
        let (kind, binding, global) = (SymbolKind::None, Binding::Local, GlobalId::NONE);
        Self { name, section, global, kind, binding, other: 0, traits, value, size: 0 }
    }

    /// Where the value counts from.
    pub(crate) fn section(&self) -> SymbolSection {
        match self.section {
            Self::UNDEFINED => SymbolSection::Undefined,
            Self::ABSOLUTE => SymbolSection::Absolute,
            Self::COMMON => SymbolSection::Common(CommonKind::Data),
            Self::THREAD_LOCAL_COMMON => SymbolSection::Common(CommonKind::ThreadLocal),
            Self::FAR_COMMON => SymbolSection::Common(CommonKind::Far),
            index => SymbolSection::In(index),
        }
    }

    /// Moves it to `value` of a section.
    pub(crate) fn move_to(&mut self, section: SectionIndex, value: u64) {
        (self.section, self.value) = (section, value);
    }
}

/// Mark in [`Symbol::name`], of objects that have [`Object::short_names`]: the name is in that table, in up to eight bytes.
pub(crate) const SHORT_NAME: u32 = 1 << 31;

/// The name that starts at `name` of one of the tables; empty if the offset is wrong.
pub(crate) fn symbol_name<'a>(strings: &'a [u8], short_names: &'a [u8], name: u32) -> &'a [u8] {
    let rest = name_bytes(strings, short_names, name);
    match memchr::memchr(0, rest) {
        Some(end) => rest.get(..end).unwrap_or_default(),
        None => rest,
    }
}

/// The bytes from the start of a name on.
fn name_bytes<'a>(strings: &'a [u8], short_names: &'a [u8], name: u32) -> &'a [u8] {
    if !short_names.is_empty() && name & SHORT_NAME != 0 {
        let rest = short_names.get((name & !SHORT_NAME) as usize..).unwrap_or_default();
        return rest.get(..8).unwrap_or(rest);
    }
    strings.get(name as usize..).unwrap_or_default()
}

/// A set of sections that belong together.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// Whether one copy of it is enough.
    pub(crate) comdat: bool,
    /// The name that tells copies: the first group with it stays, the others go.
    pub(crate) signature: &'a [u8],
    /// Its sections.
    pub(crate) members: Vec<SectionIndex>,
}

/// An object file.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    /// What it is called in messages.
    pub(crate) name: InputName<'a>,
    /// Its sections, by the format's index; index 0 is nothing.
    pub(crate) sections: Vec<Section<'a>>,
    /// Its symbols, by the format's index.
    pub(crate) symbols: Vec<Symbol>,
    /// The NUL-terminated names of its symbols.
    pub(crate) strings: &'a [u8],
    /// The table that holds names of up to eight bytes ([`SHORT_NAME`]); empty where all are in `strings`.
    pub(crate) short_names: &'a [u8],
    /// Its groups.
    pub(crate) groups: Vec<Group<'a>>,
    /// Its symbols are not exported, whatever their visibility (`--exclude-libs`).
    pub(crate) hide_symbols: bool,
    /// What only objects of its format have.
    pub(crate) info: ObjectInfo<'a>,
}

/// What only objects of one format have.
#[derive(Debug)]
pub(crate) enum ObjectInfo<'a> {
    /// Of ELF.
    Elf(crate::elf::ObjectInfo),
    /// Of PE.
    Pe(Box<crate::pe::ObjectInfo<'a>>),
    /// Of Mach-O.
    MachO(crate::macho::ObjectInfo),
}

impl ObjectInfo<'_> {
    /// It, if it is of Mach-O.
    pub(crate) fn macho(&self) -> Option<&crate::macho::ObjectInfo> {
        match self {
            Self::MachO(info) => Some(info),
            _ => None,
        }
    }
}

impl<'a> Object<'a> {
    /// The name of a symbol, as bytes; empty if it has none or the offset is wrong.
    pub(crate) fn symbol_name(&self, symbol: &Symbol) -> &'a [u8] {
        symbol_name(self.strings, self.short_names, symbol.name)
    }

    /// The bytes from the start of the name of a symbol on.
    pub(crate) fn name_start(&self, symbol: &Symbol) -> &'a [u8] {
        name_bytes(self.strings, self.short_names, symbol.name)
    }

    /// The first `limit` bytes of the name of a symbol.
    pub(crate) fn symbol_name_start(&self, symbol: &Symbol, limit: usize) -> &'a [u8] {
        let rest = self.name_start(symbol);
        let rest = rest.get(..limit).unwrap_or(rest);
        rest.get(..memchr::memchr(0, rest).unwrap_or(rest.len())).unwrap_or_default()
    }

    /// The section that a section is a part of, by its first part's index, and the offset at which it starts in that: a section
    /// that has not been divided is its own.
    pub(crate) fn whole(&self, section: SectionIndex) -> (SectionIndex, u64) {
        let whole = self.info.macho().and_then(|info| info.wholes.get(section as usize));
        whole.copied().unwrap_or((section, 0))
    }

    /// The section that a symbol is defined in, if it is defined in one.
    pub(crate) fn symbol_section(&self, symbol: &Symbol) -> Option<&Section<'a>> {
        match symbol.section() {
            SymbolSection::In(index) => self.sections.get(index as usize),
            _ => None,
        }
    }

    /// Whether a symbol only tells code from data, as Arm's and RISC-V's assemblers mark it (`$x`, `$d`, `$x.1`).
    fn is_mark(&self, symbol: &Symbol) -> bool {
        symbol.kind == SymbolKind::None && self.symbol_name_start(symbol, 2).first() == Some(&b'$')
    }

    /// Whether a symbol is a label of the assembler's own, of which some stay in objects: `.L0 ` of LLVM for RISC-V, `ltmp1` for
    /// Mach-O, `LBB0_1` of hand-written code.
    fn is_label(&self, symbol: &Symbol) -> bool {
        let name = self.symbol_name_start(symbol, 4);
        match &self.info {
            ObjectInfo::MachO(_) => name == b"ltmp" || name.first() == Some(&b'L'),
            _ => symbol.kind == SymbolKind::None && name.starts_with(b".L"),
        }
    }

    /// Where what a symbol of a section stands for starts in it: its value, of Arm functions without the bit that says in which
    /// of two instruction sets they are.
    fn start(&self, symbol: &Symbol) -> u64 {
        let arm = matches!(&self.info, ObjectInfo::Elf(info) if info.machine == object::elf::EM_ARM.0);
        let function = matches!(symbol.kind, SymbolKind::Function | SymbolKind::Ifunc);
        symbol.value & !u64::from(arm && function)
    }

    /// The function or data that covers `offset` of a section: the last symbol that starts at or before it and, if it
    /// has a size, ends after it. A label of the assembler's only if there is nothing else.
    pub(crate) fn symbol_at(&self, section: SectionIndex, offset: u64) -> Option<&'a [u8]> {
        let covers = |symbol: &&Symbol| {
            symbol.section() == SymbolSection::In(section)
                && !matches!(symbol.kind, SymbolKind::Section | SymbolKind::File)
                && !self.is_mark(symbol)
                && self.start(symbol) <= offset
                && (symbol.size == 0 || offset - self.start(symbol) < symbol.size)
        };
        let symbol = self.symbols.iter().filter(covers).max_by_key(|symbol| (!self.is_label(symbol), symbol.value))?;
        Some(self.symbol_name(symbol)).filter(|name| !name.is_empty())
    }
}
