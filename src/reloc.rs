//! What a relocation asks for: *which number* goes into *which bits*.
//!
//! Relocations stay in the inputs; [`decode`] reads them whenever they are needed. A format and CPU's table turns each
//! kind into a [`Reloc`]; scanning looks at its [`Value`] to learn what the image must provide, applying computes the value
//! and stores it through its [`Field`].
//!
//! Letters in the formulas are those of the psABIs: S the symbol's address, A the addend, P the address of the field,
//! G the offset of the symbol's GOT slot from the GOT base, GOT the GOT base, L the address of the symbol's PLT entry,
//! Z the symbol's size, B the address of the image's first byte. X is whatever a [`What`] stands for, with A added.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kinds;
mod memo;

pub(crate) use kinds::{Kinds, Simple, Start};
pub(crate) use memo::Memo;

use std::ops::Range;

use crate::arch::aarch64;
use crate::arch::arm;
use crate::arch::ppc64;
use crate::arch::riscv64;
use crate::arch::x86_64::GotLoad;
use crate::model::{Object, RelocEncoding, Section, SectionIndex, SymbolIndex, Traits};
use crate::options::{Arch, Format, Target};
use crate::symbols::Needs;
use crate::{arch, elf, macho, pe};

/// One decoded relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reloc {
    /// Offset of the field in its section, in bytes.
    pub(crate) offset: u64,
    /// The symbol, in its object's table; 0 for none.
    pub(crate) symbol: SymbolIndex,
    /// The format's number of the kind, for messages and instruction-specific rules.
    pub(crate) kind: u32,
    /// Which number.
    pub(crate) value: Value,
    /// Which bits.
    pub(crate) field: Field,
    /// The constant to add.
    pub(crate) addend: i64,
}

impl Reloc {
    /// Whether it is bound when the image is linked, in every section, if nothing is special about its symbol
    /// ([`Kinds::SPECIAL`]): a distance, or a part of one.
    #[inline]
    pub(crate) fn is_distance(&self) -> bool {
        matches!(self.value.what, What::Symbol | What::Plt)
            && matches!(self.value.from, Origin::Place | Origin::Page | Origin::PageOffset)
    }
}

/// Which number a relocation stores: *what*, counted *from where*, plus the addend A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    /// What it tells.
    pub(crate) what: What,
    /// Where it counts from.
    pub(crate) from: Origin,
}

impl Value {
    /// Whether it can be told only in an image that has a GOT base.
    pub(crate) fn needs_got_base(self) -> bool {
        self.what == What::GotBase || matches!(self.from, Origin::GotBase | Origin::GotPage)
    }
}

/// What the number that a relocation stores tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Nothing: the relocation only marks a place or a dependence.
    Nothing,
    /// S.
    Symbol,
    /// L, or S for what the image itself defines for good.
    Plt,
    /// POWER: as [`Plt`](Self::Plt), in a call from code that has the image's TOC pointer in r2: S is the local entry point.
    CallToc,
    /// POWER: as [`Plt`](Self::Plt), in a call from code that has no TOC pointer: L is the entry that does without it.
    CallNoToc,
    /// The address of the GOT slot that holds S.
    Got,
    /// As [`Got`](Self::Got), in an instruction that may be rewritten to use S.
    GotRelaxable,
    /// GOT.
    GotBase,
    /// Z.
    Size,
    /// The address of the GOT pair (module, offset) of a thread-local symbol.
    TlsPair,
    /// The address of the GOT pair (module, 0) of the image.
    TlsModule,
    /// The address of the GOT slot with a thread-local symbol's offset from the thread pointer.
    TlsOffset,
    /// The address of the GOT pair that is a thread-local symbol's descriptor.
    TlsDescriptor,
    /// The address of the GOT slot with a thread-local symbol's offset in its module's block.
    TlsBlockSlot,
    /// The offset of a thread-local symbol in its module's block.
    TlsBlock,
    /// The offset of a thread-local symbol from the thread pointer.
    TlsStatic,
    /// The number of the image's section that holds S (COFF).
    SectionNumber,
    /// What the relocation of the upper part at the label S tells, and counted from where that counts (RISC-V).
    AtLabel,
    /// Nothing: that what follows is aligned, which has been seen to when the object was read (RISC-V).
    Alignment,
}

impl What {
    /// This, counted from `origin`.
    pub(crate) const fn from(self, origin: Origin) -> Value {
        Value { what: self, from: origin }
    }

    /// Whether it is the address of a slot of the GOT.
    pub(crate) fn is_slot(self) -> bool {
        matches!(
            self,
            Self::Got
                | Self::GotRelaxable
                | Self::TlsPair
                | Self::TlsModule
                | Self::TlsOffset
                | Self::TlsBlockSlot
                | Self::TlsDescriptor
        )
    }

    /// Whether it is asked of thread-local symbols only.
    pub(crate) fn is_tls(self) -> bool {
        matches!(
            self,
            Self::TlsPair
                | Self::TlsModule
                | Self::TlsOffset
                | Self::TlsDescriptor
                | Self::TlsBlockSlot
                | Self::TlsBlock
                | Self::TlsStatic
        )
    }
}

/// Where the number X that a relocation stores counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Zero: X itself, which moves with the image if X does.
    Zero,
    /// The place: X − P.
    Place,
    /// The word of the place: X − Pa, where Pa is P rounded down to a multiple of 4.
    PlaceWord,
    /// The page of the place: Page(X) − Page(P), with pages of 4 KiB.
    Page,
    /// X's page: X mod 4 KiB.
    PageOffset,
    /// X − GOT.
    GotBase,
    /// The page of the GOT base: X − Page(GOT).
    GotPage,
    /// The start of the image: X − B.
    Image,
    /// The start of the output section that holds X.
    Section,
    /// A page of that section, counted from its start: the distance from there mod 4 KiB.
    SectionPageOffset,
    /// Zero; another relocation of the same place counts the other way, so that together they tell a distance.
    Difference,
    /// Another symbol of the object: X less its address.
    Symbol(SymbolIndex),
}

impl Origin {
    /// The bytes of a [`Page`](Self::Page).
    const PAGE: u64 = 4096;

    /// Counts `number`, which stands or is meant at `place`, from here; `got` is the GOT base. Where the image and its
    /// sections start, and where other symbols are, is the caller's to subtract.
    pub(crate) fn count(self, number: u64, place: u64, got: impl FnOnce() -> u64) -> u64 {
        let page = |address: u64| address & !(Self::PAGE - 1);
        match self {
            Self::Zero | Self::Image | Self::Section | Self::Difference | Self::Symbol(_) => number,
            Self::Place => number.wrapping_sub(place),
            Self::PlaceWord => number.wrapping_sub(place & !3),
            Self::Page => page(number).wrapping_sub(page(place)),
            Self::PageOffset | Self::SectionPageOffset => number & (Self::PAGE - 1),
            Self::GotBase => number.wrapping_sub(got()),
            Self::GotPage => number.wrapping_sub(page(got())),
        }
    }
}

/// Which bits a relocation changes, and which numbers they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// None.
    Nothing,
    /// 8 bits, signed or unsigned.
    Any8,
    /// 8 bits, signed.
    I8,
    /// 16 bits, signed or unsigned.
    Any16,
    /// 16 bits, signed.
    I16,
    /// 32 bits, unsigned.
    U32,
    /// 32 bits, signed.
    I32,
    /// 32 bits, signed or unsigned.
    Any32,
    /// 32 bits of an address space of 32 bits: numbers wrap.
    Word32,
    /// 64 bits of an address space of 64 bits: numbers wrap.
    U64,
    /// Part of an AArch64 instruction.
    Aarch64(aarch64::Imm),
    /// A field of an Arm or Thumb instruction.
    Arm(arm::Imm),
    /// Some of the bits of an instruction, or a part of a number.
    Riscv64(riscv64::Imm),
    /// Part of a POWER instruction.
    Ppc64(ppc64::imm::Imm),
}

impl Field {
    /// Whether a number has one meaning in the field on a CPU: where there are two instruction sets, or several forms of an
    /// instruction, more has to be looked at.
    #[inline]
    pub(crate) fn is_plain(self, arch: Arch) -> bool {
        arch != Arch::Arm && !matches!(self, Self::Ppc64(_) | Self::Riscv64(_))
    }

    /// Width in bytes.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Any8 | Self::I8 => 1,
            Self::Any16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::Any32 | Self::Word32 => 4,
            Self::U64 => 8,
            Self::Aarch64(imm) => imm.size(),
            Self::Arm(imm) => imm.size(),
            Self::Riscv64(imm) => imm.size(),
            Self::Ppc64(imm) => imm.size(),
        }
    }

    /// The smallest and the largest value that fits, each inclusive; fields that wrap hold every value.
    pub(crate) fn range(self) -> (i64, i64) {
        match self {
            Self::Nothing | Self::Word32 | Self::U64 => (i64::MIN, i64::MAX),
            Self::Any8 => (i8::MIN as i64, u8::MAX as i64),
            Self::I8 => (i8::MIN as i64, i8::MAX as i64),
            Self::Any16 => (i16::MIN as i64, u16::MAX as i64),
            Self::I16 => (i16::MIN as i64, i16::MAX as i64),
            Self::U32 => (0, u32::MAX as i64),
            Self::I32 => (i32::MIN as i64, i32::MAX as i64),
            Self::Any32 => (i32::MIN as i64, u32::MAX as i64),
            Self::Aarch64(imm) => imm.range(),
            Self::Arm(imm) => imm.range(),
            Self::Riscv64(imm) => imm.range(),
            Self::Ppc64(imm) => imm.range(),
        }
    }

    /// What every value must be a multiple of: a power of two.
    pub(crate) fn step(self) -> i64 {
        match self {
            Self::Aarch64(imm) => imm.step(),
            Self::Arm(imm) => imm.step(),
            Self::Riscv64(imm) => imm.step(),
            Self::Ppc64(imm) => imm.step(),
            _ => 1,
        }
    }

    /// The field of the instruction at the start of `bytes`, where one relocation kind serves several forms.
    #[inline]
    pub(crate) fn of_instruction(self, bytes: &[u8]) -> Self {
        match self {
            Self::Ppc64(imm) => Self::Ppc64(imm.of_instruction(bytes)),
            _ => self,
        }
    }

    /// Whether it holds any address: what the loader's relocations are for.
    pub(crate) fn is_word(self) -> bool {
        matches!(self, Self::Word32 | Self::U64)
    }

    /// Whether it is part of a branch that would have to switch to the other instruction set, as its value says (Arm).
    pub(crate) fn changes_state(self, value: i64) -> bool {
        matches!(self, Self::Arm(imm) if imm.is_branch() && imm.is_thumb() != (value & 1 != 0))
    }

    /// Why [`store`](Self::store) has refused a value of its range, for a person.
    pub(crate) fn complaint(self, bytes: &[u8]) -> &'static str {
        match self {
            Self::Arm(imm) => imm.complaint(bytes),
            _ => "the field is cut off",
        }
    }

    /// Stores the low bits of `value` at the start of `bytes`, little-endian. Returns `None`, with `bytes` unchanged, if
    /// they are too few.
    pub(crate) fn store(self, bytes: &mut [u8], value: i64) -> Option<()> {
        match self {
            Self::Aarch64(imm) => return imm.store(bytes, value),
            Self::Arm(imm) => return imm.store(bytes, value),
            Self::Riscv64(imm) => return imm.store(bytes, value),
            _ => {}
        }
        if let Self::Ppc64(imm) = self {
            return imm.store(bytes, value);
        }
        let all = value.to_le_bytes();
        match self.size() {
            8 => *bytes.first_chunk_mut()? = all,
            4 => *bytes.first_chunk_mut()? = (value as u32).to_le_bytes(),
            width => bytes.get_mut(..width as usize)?.copy_from_slice(all.get(..width as usize)?),
        }
        Some(())
    }

    /// The number that the start of `bytes` holds before it is relocated, sign-extended: the addend, where a table of
    /// relocations has none. `None` if the bytes are too few.
    pub(crate) fn load(self, bytes: &[u8]) -> Option<i64> {
        match self {
            Self::Aarch64(imm) => return imm.load(bytes),
            Self::Arm(imm) => return imm.load(bytes),
            Self::Riscv64(imm) => return imm.load(bytes),
            _ => {}
        }
        if let Self::Ppc64(imm) = self {
            return imm.load(bytes);
        }
        Some(match self.size() {
            0 => 0,
            1 => i8::from_le_bytes(*bytes.first_chunk()?).into(),
            2 => i16::from_le_bytes(*bytes.first_chunk()?).into(),
            4 => i32::from_le_bytes(*bytes.first_chunk()?).into(),
            _ => i64::from_le_bytes(*bytes.first_chunk()?),
        })
    }
}

/// A relocation as it stands in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawReloc {
    /// Offset of the field in the section, in bytes.
    pub(crate) offset: u64,
    /// The symbol, in its object's table.
    pub(crate) symbol: SymbolIndex,
    /// The format's number of the kind.
    pub(crate) kind: u32,
    /// The constant to add: from the table or, where that has none, from the field.
    pub(crate) addend: i64,
}

/// The relocations of a section with indices in `range`, in order.
pub(crate) fn decode<'r>(section: &'r Section<'_>, range: Range<usize>) -> Decoder<'r> {
    let relocs = &section.relocs;
    let size = relocs.encoding.size();
    let bytes = relocs.bytes.get(range.start.saturating_mul(size)..range.end.saturating_mul(size));
    let first = match relocs.encoding {
        RelocEncoding::MachO(encoding) => macho::relocs::first_half(&relocs.bytes, range.start, encoding),
        _ => None,
    };
    Decoder { entries: bytes.unwrap_or_default(), encoding: relocs.encoding, contents: &section.data, first }
}

/// Gives each of the relocations of a section with indices in `range` to `work`, in order: as [`decode`], in a loop of its own
/// for each of the encodings of which there are most.
#[inline]
pub(crate) fn for_each(section: &Section<'_>, range: Range<usize>, mut work: impl FnMut(RawReloc)) {
    let relocs = &section.relocs;
    let size = relocs.encoding.size();
    let bytes = relocs.bytes.get(range.start.saturating_mul(size)..range.end.saturating_mul(size)).unwrap_or_default();
    match relocs.encoding {
        RelocEncoding::Rela64 => bytes.as_chunks().0.iter().for_each(|entry| work(elf::relocs::rela64(entry))),
        RelocEncoding::Coff(arch) => {
            bytes.as_chunks().0.iter().for_each(|entry| work(pe::relocs::decode(entry, arch, &section.data)));
        }
        RelocEncoding::MachO(encoding) => {
            let (mut entries, mut first) = (bytes, macho::relocs::first_half(&relocs.bytes, range.start, encoding));
            while let Some(raw) = macho::relocs::next(&mut entries, &mut first, encoding, &section.data) {
                work(raw);
            }
        }
        RelocEncoding::Rela32 | RelocEncoding::Rel32(_) => decode(section, range).for_each(work),
    }
}

/// Decodes relocations one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Decoder<'r> {
    /// Those that are left.
    entries: &'r [u8],
    encoding: RelocEncoding,
    /// The bytes of the section before they are relocated.
    contents: &'r [u8],
    /// Of a relocation of two entries, the first, once it has been read.
    first: Option<macho::relocs::Entry>,
}

impl Iterator for Decoder<'_> {
    type Item = RawReloc;

    #[inline]
    fn next(&mut self) -> Option<RawReloc> {
        match self.encoding {
            RelocEncoding::Rela64 => {
                let (entry, rest) = self.entries.split_first_chunk()?;
                self.entries = rest;
                Some(elf::relocs::rela64(entry))
            }
            RelocEncoding::Rela32 => {
                let (entry, rest) = self.entries.split_first_chunk()?;
                self.entries = rest;
                Some(elf::relocs::rela32(entry))
            }
            RelocEncoding::Rel32(arch) => {
                let (entry, rest) = self.entries.split_first_chunk()?;
                self.entries = rest;
                Some(elf::relocs::rel32(entry, arch, self.contents))
            }
            RelocEncoding::Coff(arch) => {
                let (entry, rest) = self.entries.split_first_chunk()?;
                self.entries = rest;
                Some(pe::relocs::decode(entry, arch, self.contents))
            }
            RelocEncoding::MachO(encoding) => {
                macho::relocs::next(&mut self.entries, &mut self.first, encoding, self.contents)
            }
        }
    }
}

/// The indices of the relocations of a section whose offsets are in `range`.
pub(crate) fn find(section: &Section<'_>, range: Range<u64>) -> Range<usize> {
    let relocs = &section.relocs;
    if let RelocEncoding::MachO(_) = relocs.encoding {
        return macho::relocs::find(&relocs.bytes, range);
    }
    let before = |limit: u64| match relocs.encoding {
        RelocEncoding::Rela64 => elf::relocs::count_before::<24, 8>(&relocs.bytes, limit),
        RelocEncoding::Rela32 => elf::relocs::count_before::<12, 4>(&relocs.bytes, limit),
        RelocEncoding::Rel32(_) | RelocEncoding::MachO(_) => elf::relocs::count_before::<8, 4>(&relocs.bytes, limit),
        RelocEncoding::Coff(_) => elf::relocs::count_before::<10, 4>(&relocs.bytes, limit),
    };
    before(range.start)..before(range.end)
}

/// What the CPU's table says of a relocation, or `None` if its kind is unknown.
pub(crate) fn understand(target: Target, raw: RawReloc) -> Option<Reloc> {
    let (value, field) = match target.format {
        Format::Elf => arch::elf_reloc(target.arch, raw.kind)?,
        Format::Pe => pe::relocs::coff_reloc(target.arch, raw.kind)?,
        Format::MachO => macho::relocs::understand(target.arch, raw)?,
    };
    Some(Reloc { offset: raw.offset, symbol: raw.symbol, kind: raw.kind, value, field, addend: raw.addend })
}

/// Why a relocation that is not [understood](understand) cannot be linked.
pub(crate) fn refusal(target: Target, kind: u32) -> Reason {
    let known = match target.format {
        Format::Elf => arch::elf_reloc_refusal(target.arch, kind),
        Format::Pe => pe::relocs::refusal(target.arch, kind),
        Format::MachO => macho::relocs::refusal(target.arch, kind),
    };
    known.unwrap_or("no such relocation is allowed in an object file")
}

/// What becomes of a relocation of a loaded section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The value is computed now, from the symbol's own address.
    Link,
    /// The value is computed now, from the address of the symbol's PLT entry.
    Plt,
    /// The value is computed now, from the address of what the GOT holds for the symbol.
    Got(Needs),
    /// The GOT pair of the image's own TLS module.
    GotTlsModule,
    /// The instruction is rewritten to do without the GOT.
    Relax(GotLoad),
    /// AArch64: the load from the GOT becomes an addition, which the page of the symbol itself has been computed for.
    RelaxToAdd,
    /// The loader adds the image's base (`R_*_RELATIVE`).
    Relative,
    /// The loader stores the symbol's address or size.
    Symbolic,
    /// The loader stores what the image's own resolver function returns (`R_*_IRELATIVE`).
    Indirect,
    /// The value is computed now, from the address of the slot that has the symbol's; the image's start code puts the address
    /// itself in its place (PE, see [`pe::pseudo`]).
    Startup,
}

/// Why a relocation cannot stand in a shared library.
pub(crate) type Reason = &'static str;

/// What becomes of a relocation of `section`, which is loaded, against a symbol with `traits`.
///
/// # Errors
/// Why it cannot be resolved, for a person.
#[inline]
pub(crate) fn classify(target: Target, section: &Section<'_>, reloc: &Reloc, traits: Traits) -> Result<Action, Reason> {
    match target.format {
        Format::Elf => elf::relocs::classify(target.arch, section, reloc, traits),
        Format::Pe => pe::relocs::classify(section, reloc, traits),
        Format::MachO => macho::relocs::classify(target.arch, section, reloc, traits),
    }
}

/// Checks that a relocation of a loaded section finds those that it needs to mean something.
///
/// # Errors
/// What is missing, for a person.
pub(crate) fn check_partners(
    object: &Object<'_>,
    index: SectionIndex,
    section: &Section<'_>,
    reloc: &Reloc,
    raw: &RawReloc,
) -> Result<(), Reason> {
    match reloc.value {
        Value { what: What::AtLabel, .. } => elf::riscv::pairs::upper_part(object, index, raw).map(|_| ()),
        Value { from: Origin::Difference, .. } => elf::riscv::pairs::check_difference(section, raw.offset),
        _ => Ok(()),
    }
}

/// The ABI's name of a relocation kind.
pub(crate) fn name(target: Target, kind: u32) -> String {
    match target.format {
        Format::Elf => arch::elf_reloc_name(target.arch, kind),
        Format::Pe => pe::relocs::name(target.arch, kind),
        Format::MachO => macho::relocs::name(target.arch, kind),
    }
}
