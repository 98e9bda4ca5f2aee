//! What differs between CPUs: the kinds of dynamic relocations, and for each CPU the relocations of object files and a
//! decoder of its code.
//!
//! To add a CPU: give its row of [`dynamic_kind`], its [`page_size`], and a module like [`x86_64`] that [`static_kind`]
//! and [`jump_slot`] ask.

use std::collections::BTreeSet;

use object::elf::*;

use crate::elf::ElfFile;
use crate::fixups::{self, Meaning};
use crate::image::Image;

/// A CPU's relocation types of object files: name, field, what the value is, what it counts from.
macro_rules! table {
    ($kind:expr; $($name:ident: $field:expr, $what:ident $(($operation:ident))?, $from:ident;)*) => {{
        match RelocationType($kind) {
            $($name => Some(StaticKind {
                name: stringify!($name),
                field: $field,
                what: $crate::arch::What::$what $(($operation))?,
                from: $crate::arch::From::$from,
            }),)*
            _ => Option::None,
        }
    }};
}

mod aarch64;
mod arm;
pub mod bits;
pub(crate) mod ppc64;
mod riscv64;
mod x86;
pub mod x86_64;

pub use bits::Bits;

/// What a dynamic relocation asks of the loader, on any CPU. S is the symbol's address, A the addend, B the load address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DynamicKind {
    /// Nothing.
    None,
    /// B + A.
    Relative,
    /// S + A, a word.
    Address,
    /// S, in a slot of the GOT.
    Slot,
    /// S, in a slot that a PLT entry jumps through; may be bound lazily.
    JumpSlot,
    /// What the resolver at B + A returns.
    Irelative,
    /// The module number of S, or of this image.
    TlsModule,
    /// The offset of S + A in its module's thread-local block.
    TlsOffset,
    /// The offset of S + A from the thread pointer.
    ThreadOffset,
    /// A TLS descriptor (two words) for S + A.
    TlsDescriptor,
    /// The size of S plus A.
    Size,
    /// S + A - P.
    PcRelative,
    /// Copies S; only executables have it.
    Copy,
}

/// The meaning of dynamic relocation type `kind` on `machine`; `None` if it is not one that a loader knows.
pub fn dynamic_kind(machine: u16, kind: u32) -> Option<DynamicKind> {
    use DynamicKind as K;
    let table: &[(RelocationType, K)] = match Machine(machine) {
        EM_X86_64 => &[
            (R_X86_64_NONE, K::None),
            (R_X86_64_RELATIVE, K::Relative),
            (R_X86_64_64, K::Address),
            (R_X86_64_GLOB_DAT, K::Slot),
            (R_X86_64_JUMP_SLOT, K::JumpSlot),
            (R_X86_64_IRELATIVE, K::Irelative),
            (R_X86_64_DTPMOD64, K::TlsModule),
            (R_X86_64_DTPOFF64, K::TlsOffset),
            (R_X86_64_TPOFF64, K::ThreadOffset),
            (R_X86_64_TLSDESC, K::TlsDescriptor),
            (R_X86_64_SIZE64, K::Size),
            (R_X86_64_PC64, K::PcRelative),
            (R_X86_64_COPY, K::Copy),
        ],
        EM_386 => &[
            (R_386_NONE, K::None),
            (R_386_RELATIVE, K::Relative),
            (R_386_32, K::Address),
            (R_386_GLOB_DAT, K::Slot),
            (R_386_JMP_SLOT, K::JumpSlot),
            (R_386_IRELATIVE, K::Irelative),
            (R_386_TLS_DTPMOD32, K::TlsModule),
            (R_386_TLS_DTPOFF32, K::TlsOffset),
            (R_386_TLS_TPOFF, K::ThreadOffset),
            (R_386_TLS_DESC, K::TlsDescriptor),
            (R_386_PC32, K::PcRelative),
            (R_386_COPY, K::Copy),
        ],
        EM_AARCH64 => &[
            (R_AARCH64_NONE, K::None),
            (R_AARCH64_RELATIVE, K::Relative),
            (R_AARCH64_ABS64, K::Address),
            (R_AARCH64_GLOB_DAT, K::Slot),
            (R_AARCH64_JUMP_SLOT, K::JumpSlot),
            (R_AARCH64_IRELATIVE, K::Irelative),
            (R_AARCH64_TLS_DTPMOD, K::TlsModule),
            (R_AARCH64_TLS_DTPREL, K::TlsOffset),
            (R_AARCH64_TLS_TPREL, K::ThreadOffset),
            (R_AARCH64_TLSDESC, K::TlsDescriptor),
            (R_AARCH64_COPY, K::Copy),
        ],
        EM_ARM => &[
            (R_ARM_NONE, K::None),
            (R_ARM_RELATIVE, K::Relative),
            (R_ARM_ABS32, K::Address),
            (R_ARM_GLOB_DAT, K::Slot),
            (R_ARM_JUMP_SLOT, K::JumpSlot),
            (R_ARM_IRELATIVE, K::Irelative),
            (R_ARM_TLS_DTPMOD32, K::TlsModule),
            (R_ARM_TLS_DTPOFF32, K::TlsOffset),
            (R_ARM_TLS_TPOFF32, K::ThreadOffset),
            (R_ARM_TLS_DESC, K::TlsDescriptor),
            (R_ARM_COPY, K::Copy),
        ],
        EM_RISCV => &[
            (R_RISCV_NONE, K::None),
            (R_RISCV_RELATIVE, K::Relative),
            (R_RISCV_64, K::Address),
            (R_RISCV_JUMP_SLOT, K::JumpSlot),
            (R_RISCV_IRELATIVE, K::Irelative),
            (R_RISCV_TLS_DTPMOD64, K::TlsModule),
            (R_RISCV_TLS_DTPREL64, K::TlsOffset),
            (R_RISCV_TLS_TPREL64, K::ThreadOffset),
            (R_RISCV_TLSDESC, K::TlsDescriptor),
            (R_RISCV_COPY, K::Copy),
        ],
        EM_PPC64 => &[
            (R_PPC64_NONE, K::None),
            (R_PPC64_RELATIVE, K::Relative),
            (R_PPC64_ADDR64, K::Address),
            (R_PPC64_GLOB_DAT, K::Slot),
            (R_PPC64_JMP_SLOT, K::JumpSlot),
            (R_PPC64_IRELATIVE, K::Irelative),
            (R_PPC64_DTPMOD64, K::TlsModule),
            (R_PPC64_DTPREL64, K::TlsOffset),
            (R_PPC64_TPREL64, K::ThreadOffset),
            (R_PPC64_COPY, K::Copy),
        ],
        _ => &[],
    };
    table.iter().find(|(known, _)| known.0 == kind).map(|(_, meaning)| *meaning)
}

/// The relocation type that a DT_RELR entry stands for.
pub fn relative_kind(machine: u16) -> Option<u32> {
    (0..u32::from(u16::MAX)).find(|kind| dynamic_kind(machine, *kind) == Some(DynamicKind::Relative))
}

/// The page size that the usual linkers lay segments out for, in bytes.
pub fn page_size(machine: u16) -> u64 {
    match Machine(machine) {
        EM_AARCH64 | EM_PPC64 => 0x10000,
        _ => 0x1000,
    }
}

/// The field that a relocation of an object file fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A little- or big-endian number of this many bytes, which must hold the signed value.
    Signed(u8),
    /// A number of this many bytes, which must hold the unsigned value.
    Unsigned(u8),
    /// A number of this many bytes, which may hold either.
    Either(u8),
    /// A number in an instruction.
    Bits(&'static Bits),
    /// The lower 6 bits of a byte.
    LowSix,
    /// A number of as many bytes as the object has there, in DWARF's form ULEB128.
    Uleb128,
    /// No bytes.
    Empty,
}

impl Field {
    /// The field's width in bytes.
    pub fn width(self) -> usize {
        match self {
            Field::Signed(width) | Field::Unsigned(width) | Field::Either(width) => width.into(),
            Field::Bits(bits) => bits.width.into(),
            Field::LowSix => 1,
            // The bytes are those of the number; one is there in any case.
            Field::Uleb128 => 1,
            Field::Empty => 0,
        }
    }

    /// The number that the field's `bytes` hold; 0 for no bytes.
    pub fn number(self, file: &ElfFile<'_>, bytes: &[u8]) -> i64 {
        match self {
            Field::Bits(bits) => bits.number(file.unsigned(bytes)),
            _ if bytes.is_empty() => 0,
            _ => file.signed(bytes),
        }
    }

    /// The addend that the field's `bytes` in an object hold.
    pub fn addend(self, file: &ElfFile<'_>, bytes: &[u8]) -> i64 {
        match self {
            Field::Bits(bits) => bits.addend(file.unsigned(bytes)),
            _ => self.number(file, bytes),
        }
    }

    /// Whether the number alone tells the value.
    pub fn is_whole(self) -> bool {
        match self {
            Field::Bits(bits) => bits.is_whole(),
            _ => true,
        }
    }

    /// Whether the loader may relocate the field: no instruction.
    pub fn is_data(self) -> bool {
        !matches!(self, Field::Bits(_))
    }
}

/// What a relocation of an object file is about. S, A, P, L, G, GOT as in the psABIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing.
    None,
    /// S + A.
    Symbol,
    /// L + A: S, or code that goes to it.
    Plt,
    /// G + A: the GOT slot that holds S.
    Slot,
    /// As `Slot`; the linker may rewrite the instruction so that it needs no slot.
    RelaxableSlot,
    /// GOT + A.
    Got,
    /// Z + A.
    Size,
    /// The pair of slots that holds module and offset of S.
    TlsPair,
    /// The pair of slots that holds this image's module.
    TlsModule,
    /// The offset of S + A in its module's block.
    TlsOffset,
    /// The slot that holds the offset of S in its module's block.
    TlsOffsetSlot,
    /// The slot that holds the offset of S from the thread pointer.
    ThreadSlot,
    /// The offset of S + A from the thread pointer.
    ThreadOffset,
    /// The descriptor of S.
    Descriptor,
    /// Marks the call through a descriptor.
    DescriptorCall,
    /// What the relocation at the label S is about.
    AtLabel,
    /// A sum or difference of labels, of which this is one: all that fill one field count together.
    Difference(Operation),
    /// Bytes that may have to go.
    Alignment,
}

/// What a part of a sum or difference does with the field. V is what the field holds before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// S + A.
    Set,
    /// V + S + A.
    Add,
    /// V - S - A.
    Subtract,
}

/// What a relocation's value counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// 0.
    Zero,
    /// P, the field's address.
    Place,
    /// The page of 4 KiB that holds P; of the value, too, the page counts.
    Page,
    /// The GOT.
    Got,
    /// The page of 4 KiB that holds the GOT.
    GotPage,
    /// The TOC pointer: 0x8000 bytes into the TOC.
    Toc,
}

/// A relocation type of object files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticKind {
    /// The psABI's name.
    pub name: &'static str,
    /// The bits that it fills.
    pub field: Field,
    /// What the value is.
    pub what: What,
    /// What it counts from.
    pub from: From,
}

/// Relocation type `kind` of `machine`'s object files; `None` if this comparer does not know it.
pub fn static_kind(machine: u16, kind: u32) -> Option<StaticKind> {
    match Machine(machine) {
        EM_X86_64 => x86_64::static_kind(kind),
        EM_386 => x86::static_kind(kind),
        EM_AARCH64 => aarch64::static_kind(kind),
        EM_ARM => arm::static_kind(kind),
        EM_RISCV => riscv64::static_kind(kind),
        EM_PPC64 => ppc64::static_kind(kind),
        _ => None,
    }
}

/// Where code that a linker made goes on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// To what the word at this address holds.
    Slot(u64),
    /// To this address.
    To(u64),
}

/// Where the PLT entry or thunk at `address` goes on to; `None` if there is neither.
fn exit(image: &Image<'_>, address: u64) -> Option<Exit> {
    if image.segment_at(address)?.flags & PF_X.0 == 0 {
        return None;
    }
    match Machine(image.file.machine) {
        EM_X86_64 => x86_64::jump_slot(image, address).map(Exit::Slot),
        EM_386 => x86::jump_slot(image, address).map(Exit::Slot),
        EM_AARCH64 => aarch64::exit(image, address),
        EM_ARM => arm::exit(image, address),
        EM_RISCV => riscv64::exit(image, address),
        EM_PPC64 => ppc64::exit(image, address),
        _ => None,
    }
}

/// The address of the slot that the PLT entry at `address` jumps through; `None` if there is no PLT entry.
pub fn jump_slot(image: &Image<'_>, address: u64) -> Option<u64> {
    match exit(image, address)? {
        Exit::Slot(slot) => Some(slot),
        Exit::To(_) => None,
    }
}

/// Where code that a linker put between a branch and its target goes on to; `None` if `address` holds no such code.
pub fn thunk_target(image: &Image<'_>, address: u64) -> Option<u64> {
    match exit(image, address)? {
        Exit::To(address) => Some(address),
        Exit::Slot(slot) => match fixups::word_at(image, slot)? {
            Meaning::Address(address) => Some(address),
            _ => None,
        },
    }
}

/// What offsets in a module's thread-local block are counted from, in bytes from its start: loaders add it again.
pub fn tls_bias(machine: u16) -> i64 {
    match Machine(machine) {
        EM_RISCV => 0x800,
        EM_PPC64 => 0x8000,
        _ => 0,
    }
}

/// How a linker left an instruction that loads through the GOT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relaxed {
    /// The address that the rewritten instruction denotes.
    pub target: u64,
}

/// Recognises the legal rewritings of the instruction whose GOT relocation is at `field` of `input`; `output` is the linked
/// form of the same bytes and lies at `address`. `None` if it is none of them.
pub fn relaxed(machine: u16, input: &[u8], output: &[u8], field: usize, address: u64) -> Option<Relaxed> {
    match Machine(machine) {
        EM_X86_64 => x86_64::relaxed(input, output, field, address),
        _ => None,
    }
}

/// Checks the code at `entry`, which the not yet bound `slot` leads to: it must hand `index`, the number of the slot's
/// relocation in DT_JMPREL, to the loader. On machines without a decoder, nothing is checked.
pub fn lazy_binding(image: &Image<'_>, slot: u64, entry: u64, index: u64) -> Result<(), String> {
    match Machine(image.file.machine) {
        EM_X86_64 => x86_64::lazy_binding(image, slot, entry, index),
        EM_386 => x86::lazy_binding(image, entry, index),
        EM_AARCH64 => aarch64::lazy_binding(image, entry),
        EM_RISCV => riscv64::lazy_binding(image, entry),
        _ => Ok(()),
    }
}

/// Whether code of this machine can be compared instruction by instruction, without the inputs.
pub fn has_decoder(machine: u16) -> bool {
    Machine(machine) == EM_X86_64
}

/// Adds to `anchors` every address that the code of `bytes` at `address` refers to: relative operands, branches, and
/// constants that reach into the image from the GOT.
pub(crate) fn references(machine: u16, bytes: &[u8], address: u64, got: Option<u64>, anchors: &mut BTreeSet<u64>) {
    if Machine(machine) == EM_X86_64 {
        x86_64::references(bytes, address, got, anchors);
    }
}
