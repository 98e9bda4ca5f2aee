//! POWER, 64-bit little-endian: the relocation kinds and the calling conventions of the ELF V2 ABI.
//!
//! # The TOC pointer
//! Until Power10 there was no addressing relative to the instruction. Code keeps a pointer to the middle of its image's
//! data in r2, the *TOC pointer*, and reaches everything by offsets from it: 16 bits of one (`ld r3,sym@toc(r2)`, small code
//! model, ±32 KiB), or 32 bits in two instructions (`addis r3,r2,sym@toc@ha; ld r3,sym@toc@l(r3)`, medium code model, ±2 GiB).
//! The pointer's value is called `.TOC.`; it is 0x8000 bytes into the GOT, so that 16 bits reach all of the first 64 KiB.
//! What the GOT is to other CPUs, is here divided: compilers write most slots themselves, in sections called `.toc`
//! with an `R_PPC64_ADDR64` for each word, and only for thread-local storage and `@got` they ask for a slot. `.toc` follows the GOT.
//!
//! # Two entry points
//! A function that uses r2 begins by computing it: at its *global entry point*, r12 holds the function's own
//! address (`addis r2,r12,(.TOC.-f)@ha; addi r2,r2,(.TOC.-f)@l`). That is where pointers lead. A caller in the same image has
//! the right r2 already, and branches to the *local entry point* a few instructions further. How far, the
//! symbol's `st_other` says in bits 7..5: see [`local_entry`] and [`keeps_toc`].
//!
//! Each image has its own TOC pointer, and r2 is not preserved by calls between images. So a call that may leave the image
//! goes through a *stub*, which stores r2 in the caller's frame, at 24(r1), loads r12 from the function's slot and jumps
//! there. The compiler leaves a `nop` after each such `bl`, and the linker turns it into `ld r2,24(r1)`. Without
//! the nop the call cannot leave the image.
//!
//! Code for Power10 has no TOC pointer: it reaches data relative to its prefixed instructions, calls with
//! `R_PPC64_REL24_NOTOC` and leaves no nop. Its functions (`st_other` 1) do not keep r2. Four kinds of calls follow:
//!
//! | caller     | function              | goes to                                              |
//! |------------|-----------------------|------------------------------------------------------|
//! | with TOC   | with TOC, same image  | its local entry point                                |
//! | with TOC   | without TOC, same image | a thunk that saves r2; the nop is needed           |
//! | without TOC | with TOC, same image | a thunk that loads r12 for its global entry point    |
//! | any        | perhaps another image | the stub that saves r2, or one that does not         |
//!
//! A function of `st_other` 0 neither uses nor changes r2, and is called directly by everybody.
//!
//! # Lazy binding
//! The PLT is an array of slots (`.plt`, data), without code. The loader fills the first two with its resolver and the
//! image's link map, and each further one with the address of the slot's *lazy entry*, a branch to a common piece of
//! code in front of all of them (*glink*, see [`stubs::glink_header`]). It finds the lazy entries through
//! `DT_PPC64_GLINK`, and counts them by the relocations in `DT_JMPREL`: so nothing but `R_PPC64_JMP_SLOT` may stand
//! there. An image with indirect functions does without lazy binding.
//!
//! A slot gets the global entry point of a function of another image, and the local one of the image's own, unless
//! `DT_PPC64_OPT` says that there are several TOC pointers: which is as if some callers have none. What its other bits
//! promise (stubs for `__tls_get_addr` that look into the slot first, stubs that do not save r2) is not done here.
//!
//! # Thread-local storage
//! Offsets in a module's block are kept 0x8000 lower than they are, and offsets from the thread pointer (r13) 0x7000,
//! so that 16 signed bits reach more of the block. The loader does this to the words that it fills
//! (`R_PPC64_DTPREL64`, `R_PPC64_TPREL64`), and `__tls_get_addr` adds 0x8000 again.
//!
//! # Instructions
//! Which fields instructions have is told in [`imm`]. A relocation of a half word points to the half word. One kind serves
//! loads of form DS and DQ.
//!
//! Source: OpenPOWER ELF V2 ABI Specification, version 1.5 (1.4 without Power10): chapter 2, *Registers*, *Function Prologue
//! and Epilogue*; chapter 3, *ELF Header*, *TOC*, *Symbol Values*, *Relocation*, *Thread Local Storage ABI*; chapter 4,
//! *Dynamic Section*, *Procedure Linkage Table*. Numbers that it leaves out (`R_PPC64_UADDR64` and some more) are those of the
//! GNU assembler.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

pub(crate) mod imm;
pub(crate) mod save_restore;
pub(crate) mod stubs;

use object::elf;

use super::{Bits, ElfDynamicKinds, ElfMachine, GotBase as Base, Reach};
use crate::reloc::{Field, Origin, Value, What};
use imm::{Imm, Part};

/// What a relocation kind of an object file asks for, or `None` if no object file may hold it or it is unknown.
pub(crate) fn elf_reloc(kind: u32) -> Option<(Value, Field)> {
    use Origin::{GotBase, Place, Zero};
    use What::{CallNoToc, CallToc, Got, Symbol, TlsBlock, TlsBlockSlot, TlsModule, TlsOffset, TlsPair, TlsStatic};
    let nothing = (What::Nothing.from(Zero), Field::Nothing);
    let d = |value: Value, part: Part| (value, Field::Ppc64(Imm::D(part)));
    let ds = |value: Value, part: Part| (value, Field::Ppc64(Imm::Ds(part)));
    let field = |value: Value, imm: Imm| (value, Field::Ppc64(imm));
    Some(match kind {
        // NONE; TLS, TLSGD, TLSLD and TOCSAVE, which mark instructions of sequences; ENTRY, PLTSEQ, PLTCALL, PLTSEQ_NOTOC,
        // PLTCALL_NOTOC and PCREL_OPT, for linkers that rewrite sequences; GNU_VTINHERIT and GNU_VTENTRY.
        0 | 67 | 107..=109 | 118..=123 | 253 | 254 => nothing,

        // Words of data. ADDR32, UADDR32, ADDR16, UADDR16, ADDR64, UADDR64, REL30, REL32, REL64, TOC.
        1 | 24 => (Symbol.from(Zero), Field::Any32),
        3 | 25 => (Symbol.from(Zero), Field::Any16),
        38 | 43 => (Symbol.from(Zero), Field::U64),
        37 => field(Symbol.from(Place), Imm::Word30),
        26 => (Symbol.from(Place), Field::I32),
        44 => (Symbol.from(Place), Field::U64),
        51 => (What::GotBase.from(Zero), Field::U64),

        // Branches. ADDR24, ADDR14 and its two with a prediction, REL24, REL14 and its two, REL24_NOTOC, REL24_P9NOTOC.
        2 => field(Symbol.from(Zero), Imm::Branch24),
        7..=9 => field(Symbol.from(Zero), Imm::Branch14),
        10 => field(CallToc.from(Place), Imm::Branch24),
        11..=13 => field(CallToc.from(Place), Imm::Branch14),
        REL24_NOTOC | REL24_P9NOTOC => field(CallNoToc.from(Place), Imm::Branch24),

        // ADDR16_*: S + A.
        4..=6 => d(Symbol.from(Zero), lo_hi_ha(kind, 4)?),
        39..=42 => d(Symbol.from(Zero), upper(kind, 39)?),
        56 => ds(Symbol.from(Zero), Part::Whole),
        57 => ds(Symbol.from(Zero), Part::Lo),
        110..=111 => d(Symbol.from(Zero), high(kind, 110)?),
        128 => field(Symbol.from(Zero), Imm::D34),
        129 => field(Symbol.from(Zero), Imm::D34Lo),
        130 => field(Symbol.from(Zero), Imm::D34Hi30),
        131 => field(Symbol.from(Zero), Imm::D34Ha30),
        136..=139 => d(Symbol.from(Zero), upper_34(kind, 136)?),
        144 => field(Symbol.from(Zero), Imm::D28),

        // REL16_* and PCREL*: S + A − P.
        249 => d(Symbol.from(Place), Part::Whole),
        250..=252 => d(Symbol.from(Place), lo_hi_ha(kind, 250)?),
        240..=241 => d(Symbol.from(Place), high(kind, 240)?),
        242..=245 => d(Symbol.from(Place), upper(kind, 242)?),
        246 => field(Symbol.from(Place), Imm::Dx(Part::Ha)),
        132 => field(Symbol.from(Place), Imm::D34),
        140..=143 => d(Symbol.from(Place), upper_34(kind, 140)?),
        145 => field(Symbol.from(Place), Imm::D28),

        // TOC16_*: S + A − .TOC.
        47 => d(Symbol.from(GotBase), Part::Whole),
        48..=50 => d(Symbol.from(GotBase), lo_hi_ha(kind, 48)?),
        63 => ds(Symbol.from(GotBase), Part::Whole),
        64 => ds(Symbol.from(GotBase), Part::Lo),

        // GOT16_* and GOT_PCREL34: G. PLT16_* and PLT_PCREL34 ask for the slot of a call that the compiler writes out
        // instead of the stub; it calls what the GOT holds, so the slot is one of the GOT.
        14 => d(Got.from(GotBase), Part::Whole),
        15..=17 => d(Got.from(GotBase), lo_hi_ha(kind, 15)?),
        58 => ds(Got.from(GotBase), Part::Whole),
        59 | 60 => ds(Got.from(GotBase), Part::Lo),
        29..=31 => d(Got.from(GotBase), lo_hi_ha(kind, 29)?),
        133..=135 => field(Got.from(Place), Imm::D34),

        // TPREL*: offsets from the thread pointer.
        69 => d(TlsStatic.from(Zero), Part::Whole),
        70..=72 => d(TlsStatic.from(Zero), lo_hi_ha(kind, 70)?),
        73 => (TlsStatic.from(Zero), Field::U64),
        95 => ds(TlsStatic.from(Zero), Part::Whole),
        96 => ds(TlsStatic.from(Zero), Part::Lo),
        97..=100 => d(TlsStatic.from(Zero), upper(kind, 97)?),
        112..=113 => d(TlsStatic.from(Zero), high(kind, 112)?),
        146 => field(TlsStatic.from(Zero), Imm::D34),

        // DTPREL*: offsets in the module's block.
        74 => d(TlsBlock.from(Zero), Part::Whole),
        75..=77 => d(TlsBlock.from(Zero), lo_hi_ha(kind, 75)?),
        78 => (TlsBlock.from(Zero), Field::U64),
        101 => ds(TlsBlock.from(Zero), Part::Whole),
        102 => ds(TlsBlock.from(Zero), Part::Lo),
        103..=106 => d(TlsBlock.from(Zero), upper(kind, 103)?),
        114..=115 => d(TlsBlock.from(Zero), high(kind, 114)?),
        147 => field(TlsBlock.from(Zero), Imm::D34),

        // GOT_TLSGD*, GOT_TLSLD*, GOT_TPREL*, GOT_DTPREL*: slots for thread-local symbols.
        79 => d(TlsPair.from(GotBase), Part::Whole),
        80..=82 => d(TlsPair.from(GotBase), lo_hi_ha(kind, 80)?),
        148 => field(TlsPair.from(Place), Imm::D34),
        83 => d(TlsModule.from(GotBase), Part::Whole),
        84..=86 => d(TlsModule.from(GotBase), lo_hi_ha(kind, 84)?),
        149 => field(TlsModule.from(Place), Imm::D34),
        87 => ds(TlsOffset.from(GotBase), Part::Whole),
        88 => ds(TlsOffset.from(GotBase), Part::Lo),
        89..=90 => d(TlsOffset.from(GotBase), hi_ha(kind, 89)?),
        150 => field(TlsOffset.from(Place), Imm::D34),
        91 => ds(TlsBlockSlot.from(GotBase), Part::Whole),
        92 => ds(TlsBlockSlot.from(GotBase), Part::Lo),
        93..=94 => d(TlsBlockSlot.from(GotBase), hi_ha(kind, 93)?),
        151 => field(TlsBlockSlot.from(Place), Imm::D34),
        _ => return None,
    })
}

/// A call from code without a TOC pointer.
pub(crate) const REL24_NOTOC: u32 = 116;
/// As [`REL24_NOTOC`], where the linker's code must do without prefixed instructions.
pub(crate) const REL24_P9NOTOC: u32 = 124;

/// The part of a kind among the three of its kind that start with `first`: `_LO`, `_HI`, `_HA`.
fn lo_hi_ha(kind: u32, first: u32) -> Option<Part> {
    [Part::Lo, Part::Hi, Part::Ha].get(kind.checked_sub(first)? as usize).copied()
}

/// As [`lo_hi_ha`]: `_HI`, `_HA`.
fn hi_ha(kind: u32, first: u32) -> Option<Part> {
    [Part::Hi, Part::Ha].get(kind.checked_sub(first)? as usize).copied()
}

/// As [`lo_hi_ha`]: `_HIGH`, `_HIGHA`.
fn high(kind: u32, first: u32) -> Option<Part> {
    [Part::High, Part::HighA].get(kind.checked_sub(first)? as usize).copied()
}

/// As [`lo_hi_ha`]: `_HIGHER`, `_HIGHERA`, `_HIGHEST`, `_HIGHESTA`.
fn upper(kind: u32, first: u32) -> Option<Part> {
    [Part::Higher, Part::HigherA, Part::Highest, Part::HighestA].get(kind.checked_sub(first)? as usize).copied()
}

/// As [`lo_hi_ha`]: `_HIGHER34`, `_HIGHERA34`, `_HIGHEST34`, `_HIGHESTA34`.
fn upper_34(kind: u32, first: u32) -> Option<Part> {
    let parts = [Part::Higher34, Part::HigherA34, Part::Highest34, Part::HighestA34];
    parts.get(kind.checked_sub(first)? as usize).copied()
}

/// The name of a relocation kind, for messages.
pub(crate) fn elf_reloc_name(kind: u32) -> String {
    let tail = kind.checked_sub(FIRST_TAIL).and_then(|number| TAIL_NAMES.get(number as usize));
    match tail.or_else(|| NAMES.get(kind as usize)) {
        Some(name) if !name.is_empty() => format!("R_PPC64_{name}"),
        _ => format!("number {kind}"),
    }
}

#[rustfmt::skip]
const NAMES: [&str; 152] = [
    "NONE", "ADDR32", "ADDR24", "ADDR16", "ADDR16_LO", "ADDR16_HI", "ADDR16_HA", "ADDR14", // 0
    "ADDR14_BRTAKEN", "ADDR14_BRNTAKEN", "REL24", "REL14", "REL14_BRTAKEN", "REL14_BRNTAKEN", "GOT16", "GOT16_LO", // 8
    "GOT16_HI", "GOT16_HA", "", "COPY", "GLOB_DAT", "JMP_SLOT", "RELATIVE", "", // 16
    "UADDR32", "UADDR16", "REL32", "PLT32", "PLTREL32", "PLT16_LO", "PLT16_HI", "PLT16_HA", // 24
    "", "SECTOFF", "SECTOFF_LO", "SECTOFF_HI", "SECTOFF_HA", "REL30", "ADDR64", "ADDR16_HIGHER", // 32
    "ADDR16_HIGHERA", "ADDR16_HIGHEST", "ADDR16_HIGHESTA", "UADDR64", "REL64", "PLT64", "PLTREL64", "TOC16", // 40
    "TOC16_LO", "TOC16_HI", "TOC16_HA", "TOC", "PLTGOT16", "PLTGOT16_LO", "PLTGOT16_HI", "PLTGOT16_HA", // 48
    "ADDR16_DS", "ADDR16_LO_DS", "GOT16_DS", "GOT16_LO_DS", "PLT16_LO_DS", "SECTOFF_DS", "SECTOFF_LO_DS", "TOC16_DS", // 56
    "TOC16_LO_DS", "PLTGOT16_DS", "PLTGOT16_LO_DS", "TLS", "DTPMOD64", "TPREL16", "TPREL16_LO", "TPREL16_HI", // 64
    "TPREL16_HA", "TPREL64", "DTPREL16", "DTPREL16_LO", "DTPREL16_HI", "DTPREL16_HA", "DTPREL64", "GOT_TLSGD16", // 72
    "GOT_TLSGD16_LO", "GOT_TLSGD16_HI", "GOT_TLSGD16_HA", "GOT_TLSLD16", "GOT_TLSLD16_LO", "GOT_TLSLD16_HI", "GOT_TLSLD16_HA", "GOT_TPREL16_DS", // 80
    "GOT_TPREL16_LO_DS", "GOT_TPREL16_HI", "GOT_TPREL16_HA", "GOT_DTPREL16_DS", "GOT_DTPREL16_LO_DS", "GOT_DTPREL16_HI", "GOT_DTPREL16_HA", "TPREL16_DS", // 88
    "TPREL16_LO_DS", "TPREL16_HIGHER", "TPREL16_HIGHERA", "TPREL16_HIGHEST", "TPREL16_HIGHESTA", "DTPREL16_DS", "DTPREL16_LO_DS", "DTPREL16_HIGHER", // 96
    "DTPREL16_HIGHERA", "DTPREL16_HIGHEST", "DTPREL16_HIGHESTA", "TLSGD", "TLSLD", "TOCSAVE", "ADDR16_HIGH", "ADDR16_HIGHA", // 104
    "TPREL16_HIGH", "TPREL16_HIGHA", "DTPREL16_HIGH", "DTPREL16_HIGHA", "REL24_NOTOC", "ADDR64_LOCAL", "ENTRY", "PLTSEQ", // 112
    "PLTCALL", "PLTSEQ_NOTOC", "PLTCALL_NOTOC", "PCREL_OPT", "REL24_P9NOTOC", "", "", "", // 120
    "D34", "D34_LO", "D34_HI30", "D34_HA30", "PCREL34", "GOT_PCREL34", "PLT_PCREL34", "PLT_PCREL34_NOTOC", // 128
    "ADDR16_HIGHER34", "ADDR16_HIGHERA34", "ADDR16_HIGHEST34", "ADDR16_HIGHESTA34", "REL16_HIGHER34", "REL16_HIGHERA34", "REL16_HIGHEST34", "REL16_HIGHESTA34", // 136
    "D28", "PCREL28", "TPREL34", "DTPREL34", "GOT_TLSGD_PCREL34", "GOT_TLSLD_PCREL34", "GOT_TPREL_PCREL34", "GOT_DTPREL_PCREL34", // 144
];

/// The number of the first of [`TAIL_NAMES`].
const FIRST_TAIL: u32 = 240;

#[rustfmt::skip]
const TAIL_NAMES: [&str; 15] = [
    "REL16_HIGH", "REL16_HIGHA", "REL16_HIGHER", "REL16_HIGHERA", "REL16_HIGHEST", "REL16_HIGHESTA", "REL16DX_HA", "JMP_IREL",
    "IRELATIVE", "REL16", "REL16_LO", "REL16_HI", "REL16_HA", "GNU_VTINHERIT", "GNU_VTENTRY",
];

/// How far a function's local entry point is behind its global one, in bytes, by its `st_other`
/// (psABI chapter 3, *Symbol Values*). 7 is reserved.
pub(crate) fn local_entry(other: u8) -> u64 {
    match other >> elf::STO_PPC64_LOCAL_BIT {
        2 => 4,
        3 => 8,
        4 => 16,
        5 => 32,
        6 => 64,
        _ => 0,
    }
}

/// Whether a function leaves the TOC pointer in r2 as it is, or restores it; by its `st_other`.
pub(crate) fn keeps_toc(other: u8) -> bool {
    other >> elf::STO_PPC64_LOCAL_BIT != 1
}

/// Whether a function needs its own address in r12, to compute the TOC pointer at its global entry point; by its `st_other`.
pub(crate) fn uses_toc(other: u8) -> bool {
    other >> elf::STO_PPC64_LOCAL_BIT > 1
}

/// The ABI version that `e_flags` say: 0 for code that follows either, 1 with function descriptors, 2 with two entry points
/// (psABI chapter 3, *ELF Header*).
pub(crate) fn abi_version(flags: u32) -> u32 {
    flags & elf::EF_PPC64_ABI
}

/// Why a kind that the ABI or older assemblers know is not for images, for a person.
pub(crate) fn elf_reloc_refusal(kind: u32) -> Option<&'static str> {
    match kind {
        // PLT32, PLTREL32, SECTOFF*, PLT64, PLTREL64, PLTGOT16*, SECTOFF*_DS, PLTGOT16*_DS.
        27 | 28 | 33..=36 | 45 | 46 | 52..=55 | 61 | 62 | 65 | 66 => {
            Some("it belongs to version 1 of the ABI, which has function descriptors; recompile with -mabi=elfv2")
        }
        // ADDR64_LOCAL.
        117 => {
            Some("a pointer to a local entry point would be called with whatever is in r2; use the function's address")
        }
        _ => None,
    }
}

/// How far `b` and `bl` reach. (Conditional branches stay within their section.)
pub(crate) const REACH: Reach = Reach { bytes: 32 << 20, spacing: 24 << 20, always: false };

/// ELF images for this CPU.
pub(crate) const ELF: ElfMachine = ElfMachine {
    machine: elf::EM_PPC64,
    name: "PowerPC64",
    bfd_name: "elf64-powerpcle",
    bits: Bits::B64,
    rela: true,
    page: 0x1_0000,
    dynamic: ElfDynamicKinds {
        relative: elf::R_PPC64_RELATIVE.0,
        absolute: elf::R_PPC64_ADDR64.0,
        got: elf::R_PPC64_GLOB_DAT.0,
        plt: elf::R_PPC64_JMP_SLOT.0,
        indirect: elf::R_PPC64_IRELATIVE.0,
        tls_module: elf::R_PPC64_DTPMOD64.0,
        tls_offset: elf::R_PPC64_DTPREL64.0,
        tls_static: elf::R_PPC64_TPREL64.0,
        // There are none.
        tls_descriptor: elf::R_PPC64_NONE.0,
    },
    // The TOC pointer's value.
    got_header: 1,
    // The resolver and the link map.
    got_plt_header: 2,
    got_base: Base::Got(0x8000),
    tls_bias: 0x8000,
    plt_header_size: stubs::GLINK_HEADER_SIZE,
    plt_entry_size: stubs::GLINK_ENTRY_SIZE,
    trap: &stubs::TRAP,
    nop: &stubs::NOP.to_le_bytes(),
};

#[cfg(test)]
mod tests;
