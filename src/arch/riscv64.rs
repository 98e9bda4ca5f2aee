//! RISC-V of 64 bits: the relocation kinds of the psABI and the procedure linkage table.
//!
//! No instruction holds a whole address. Code reaches data within ±2 GiB by two: `auipc` adds the upper 20 bits of a
//! distance to its own address, and the instruction that uses the result adds the lower 12, as a signed number:
//!
//! ```text
//! .Lhi: auipc a0, %pcrel_hi(symbol)     # R_RISCV_PCREL_HI20   symbol
//!       ld    a1, %pcrel_lo(.Lhi)(a0)   # R_RISCV_PCREL_LO12_I .Lhi
//! ```
//!
//! So the second relocation names *the label of the first instruction*, since it is from there that the distance
//! counts, and the two need not stand side by side: what the symbol is, only the relocation at the label tells
//! ([`What::AtLabel`]). Slots of the GOT and TLS descriptors are reached in the same way; a call is such a pair in one
//! relocation. What another library defines is loaded from the GOT or called through the PLT.
//!
//! Linkers may shorten code (*relaxation*), and so any distance within code is known only to them. Compilers that allow
//! for it leave every such distance open: each difference of two labels, such as the length of a function in its unwind
//! description or a step of the line table, is a pair of relocations of one place, of which one adds (or sets) and one
//! subtracts, modulo the width of the number ([`Origin::Difference`]). `R_RISCV_RELAX` marks what may be shortened. This
//! linker shortens nothing, as it need not, with the one exception that it must: `R_RISCV_ALIGN`, where the
//! compiler put as many bytes as alignment could ever need, of which some are too many. See
//! [`align`](crate::elf::riscv::align).
//!
//! The thread pointer is at the start of the image's own block of thread-local storage as far as an executable is
//! concerned (variant I with nothing between); offsets in a module's block count from 0x800 behind its start.
//!
//! There is one `R_RISCV_64` for data, GOT slots and the loader. `.got` starts with the address of the dynamic section,
//! `.got.plt` with two words for the loader. Lazily bound slots at first lead to the PLT's first entry, which works out from
//! the entry's address which one it was.
//!
//! Source: *RISC-V ELF Specification* (riscv-elf-psabi-doc): table *Relocation types*, *Procedure Linkage Table*,
//! *Thread Local Storage*.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

mod imm;

use object::elf;

use super::{Bits, ElfDynamicKinds, ElfMachine, GotBase as Base, LazyEntry, PltPlace};
use crate::reloc::{Field, Origin, Value, What};

pub(crate) use imm::{Imm, Operation, Width};

/// What a relocation kind of an object file asks for, or `None` if no object file may hold it or it is unknown.
pub(crate) fn elf_reloc(kind: u32) -> Option<(Value, Field)> {
    use Operation::{Add, Set, Subtract};
    use Origin::{Difference, Place, Zero};
    use What::{AtLabel, Got, Plt, Symbol, TlsBlock, TlsDescriptor, TlsOffset, TlsPair, TlsStatic};
    use Width::{Bytes, Six};
    let imm = Field::Riscv64;
    let part = |operation, width| (Symbol.from(Difference), imm(Imm::Part(operation, width)));
    let nothing = (What::Nothing.from(Zero), Field::Nothing);
    Some(match elf::RelocationType(kind) {
        elf::R_RISCV_NONE | elf::R_RISCV_RELAX | elf::R_RISCV_TLSDESC_CALL => nothing,
        elf::R_RISCV_ALIGN => (What::Alignment.from(Zero), Field::Nothing),
        elf::R_RISCV_32 => (Symbol.from(Zero), Field::Any32),
        elf::R_RISCV_64 => (Symbol.from(Zero), Field::U64),
        elf::R_RISCV_32_PCREL => (Symbol.from(Place), Field::I32),
        elf::R_RISCV_PLT32 => (Plt.from(Place), Field::I32),
        elf::R_RISCV_GOT32_PCREL => (Got.from(Place), Field::I32),

        elf::R_RISCV_BRANCH => (Symbol.from(Place), imm(Imm::B)),
        elf::R_RISCV_JAL => (Plt.from(Place), imm(Imm::J)),
        elf::R_RISCV_RVC_BRANCH => (Symbol.from(Place), imm(Imm::Cb)),
        elf::R_RISCV_RVC_JUMP => (Symbol.from(Place), imm(Imm::Cj)),
        elf::R_RISCV_CALL | elf::R_RISCV_CALL_PLT => (Plt.from(Place), imm(Imm::Call)),

        elf::R_RISCV_PCREL_HI20 => (Symbol.from(Place), imm(Imm::U)),
        elf::R_RISCV_GOT_HI20 => (Got.from(Place), imm(Imm::U)),
        elf::R_RISCV_TLS_GOT_HI20 => (TlsOffset.from(Place), imm(Imm::U)),
        elf::R_RISCV_TLS_GD_HI20 => (TlsPair.from(Place), imm(Imm::U)),
        elf::R_RISCV_TLSDESC_HI20 => (TlsDescriptor.from(Place), imm(Imm::U)),
        elf::R_RISCV_PCREL_LO12_I | elf::R_RISCV_TLSDESC_LOAD_LO12 | elf::R_RISCV_TLSDESC_ADD_LO12 => {
            (AtLabel.from(Zero), imm(Imm::I))
        }
        elf::R_RISCV_PCREL_LO12_S => (AtLabel.from(Zero), imm(Imm::S)),

        // Absolute addresses: of numbers only, in an image that is loaded anywhere.
        elf::R_RISCV_HI20 => (Symbol.from(Zero), imm(Imm::U)),
        elf::R_RISCV_LO12_I => (Symbol.from(Zero), imm(Imm::I)),
        elf::R_RISCV_LO12_S => (Symbol.from(Zero), imm(Imm::S)),
        elf::R_RISCV_TPREL_HI20 => (TlsStatic.from(Zero), imm(Imm::U)),
        elf::R_RISCV_TPREL_LO12_I => (TlsStatic.from(Zero), imm(Imm::I)),
        elf::R_RISCV_TPREL_LO12_S => (TlsStatic.from(Zero), imm(Imm::S)),
        elf::R_RISCV_TPREL_ADD => (TlsStatic.from(Zero), Field::Nothing),
        // Meant for the loader; DWARF names thread-local variables by them.
        elf::R_RISCV_TLS_DTPREL32 => (TlsBlock.from(Zero), Field::Any32),
        elf::R_RISCV_TLS_DTPREL64 => (TlsBlock.from(Zero), Field::U64),

        elf::R_RISCV_ADD8 => part(Add, Bytes(1)),
        elf::R_RISCV_ADD16 => part(Add, Bytes(2)),
        elf::R_RISCV_ADD32 => part(Add, Bytes(4)),
        elf::R_RISCV_ADD64 => part(Add, Bytes(8)),
        elf::R_RISCV_SUB6 => part(Subtract, Six),
        elf::R_RISCV_SUB8 => part(Subtract, Bytes(1)),
        elf::R_RISCV_SUB16 => part(Subtract, Bytes(2)),
        elf::R_RISCV_SUB32 => part(Subtract, Bytes(4)),
        elf::R_RISCV_SUB64 => part(Subtract, Bytes(8)),
        elf::R_RISCV_SET6 => part(Set, Six),
        elf::R_RISCV_SET8 => part(Set, Bytes(1)),
        elf::R_RISCV_SET16 => part(Set, Bytes(2)),
        elf::R_RISCV_SET32 => part(Set, Bytes(4)),
        elf::R_RISCV_SET_ULEB128 => (Symbol.from(Difference), imm(Imm::Uleb(Set))),
        elf::R_RISCV_SUB_ULEB128 => (Symbol.from(Difference), imm(Imm::Uleb(Subtract))),

        _ => return None,
    })
}

/// `R_RISCV_VENDOR`: the symbol says whose the relocation of the same place is that follows.
const VENDOR: u32 = 191;

/// Why objects with a kind of relocation cannot be linked, where more can be said than that no object may have it.
pub(crate) fn elf_reloc_refusal(kind: u32) -> Option<&'static str> {
    match kind {
        // GPREL_LO12_I, GPREL_LO12_S and GPREL_HI20, as the psABI calls them now.
        47..=49 => Some("the global pointer belongs to the executable; recompile with -fPIC"),
        VENDOR | 192..=255 => Some("only its CPU vendor's own linker knows what it asks for"),
        _ => None,
    }
}

/// The name of a relocation kind, for messages.
pub(crate) fn elf_reloc_name(kind: u32) -> String {
    const NAMES: [&str; 66] = [
        "NONE",
        "32",
        "64",
        "RELATIVE",
        "COPY",
        "JUMP_SLOT",
        "TLS_DTPMOD32",
        "TLS_DTPMOD64",
        "TLS_DTPREL32",
        "TLS_DTPREL64",
        "TLS_TPREL32",
        "TLS_TPREL64",
        "TLSDESC",
        "",
        "",
        "",
        "BRANCH",
        "JAL",
        "CALL",
        "CALL_PLT",
        "GOT_HI20",
        "TLS_GOT_HI20",
        "TLS_GD_HI20",
        "PCREL_HI20",
        "PCREL_LO12_I",
        "PCREL_LO12_S",
        "HI20",
        "LO12_I",
        "LO12_S",
        "TPREL_HI20",
        "TPREL_LO12_I",
        "TPREL_LO12_S",
        "TPREL_ADD",
        "ADD8",
        "ADD16",
        "ADD32",
        "ADD64",
        "SUB8",
        "SUB16",
        "SUB32",
        "SUB64",
        "GOT32_PCREL",
        "",
        "ALIGN",
        "RVC_BRANCH",
        "RVC_JUMP",
        "RVC_LUI",
        "GPREL_LO12_I",
        "GPREL_LO12_S",
        "GPREL_HI20",
        "TPREL_S",
        "RELAX",
        "SUB6",
        "SET6",
        "SET8",
        "SET16",
        "SET32",
        "32_PCREL",
        "IRELATIVE",
        "PLT32",
        "SET_ULEB128",
        "SUB_ULEB128",
        "TLSDESC_HI20",
        "TLSDESC_LOAD_LO12",
        "TLSDESC_ADD_LO12",
        "TLSDESC_CALL",
    ];
    match usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)) {
        Some(name) if !name.is_empty() => format!("R_RISCV_{name}"),
        _ if kind == VENDOR => "R_RISCV_VENDOR".to_owned(),
        _ if (192..=255).contains(&kind) => format!("R_RISCV_CUSTOM{kind}"),
        _ => format!("number {kind}"),
    }
}

/// Whether a relocation of an instruction of this kind may be what a label of `user` leads to: the upper part of the
/// number of which `user` is the lower.
pub(crate) fn is_upper_part(kind: u32, user: u32) -> bool {
    let descriptor =
        matches!(elf::RelocationType(user), elf::R_RISCV_TLSDESC_LOAD_LO12 | elf::R_RISCV_TLSDESC_ADD_LO12);
    match elf::RelocationType(kind) {
        elf::R_RISCV_TLSDESC_HI20 => descriptor,
        elf::R_RISCV_PCREL_HI20 | elf::R_RISCV_GOT_HI20 | elf::R_RISCV_TLS_GOT_HI20 | elf::R_RISCV_TLS_GD_HI20 => {
            !descriptor
        }
        _ => false,
    }
}

/// ELF images for this CPU.
pub(crate) const ELF: ElfMachine = ElfMachine {
    machine: elf::EM_RISCV,
    name: "RISC-V",
    bfd_name: "elf64-littleriscv",
    bits: Bits::B64,
    rela: true,
    page: 4096,
    dynamic: ElfDynamicKinds {
        relative: elf::R_RISCV_RELATIVE.0,
        absolute: elf::R_RISCV_64.0,
        got: elf::R_RISCV_64.0,
        plt: elf::R_RISCV_JUMP_SLOT.0,
        indirect: elf::R_RISCV_IRELATIVE.0,
        tls_module: elf::R_RISCV_TLS_DTPMOD64.0,
        tls_offset: elf::R_RISCV_TLS_DTPREL64.0,
        tls_static: elf::R_RISCV_TLS_TPREL64.0,
        tls_descriptor: elf::R_RISCV_TLSDESC.0,
    },
    got_header: 1,
    got_plt_header: 2,
    got_base: Base::Got(0),
    tls_bias: 0x800,
    plt_header_size: 32,
    plt_entry_size: 16,
    trap: &[0x00, 0x00], // c.unimp
    nop: &[0x13, 0x00, 0x00, 0x00],
};

/// The PLT's first entry, which hands over to the loader's resolver: `t1` is behind the call of the entry that came here,
/// `t3` the first entry's own address.
pub(crate) fn plt_header(place: &PltPlace) -> [u8; 32] {
    let mut code = [
        0x97, 0x03, 0x00, 0x00, // auipc t2, %pcrel_hi(.got.plt)
        0x33, 0x03, 0xc3, 0x41, // sub   t1, t1, t3
        0x03, 0xbe, 0x03, 0x00, // ld    t3, %pcrel_lo(.got.plt)(t2): the resolver
        0x13, 0x03, 0x43, 0xfd, // addi  t1, t1, -(32 + 12)
        0x93, 0x82, 0x03, 0x00, // addi  t0, t2, %pcrel_lo(.got.plt)
        0x13, 0x53, 0x13, 0x00, // srli  t1, t1, 1: 16 bytes of code for each 8 of slots
        0x83, 0xb2, 0x82, 0x00, // ld    t0, 8(t0): the link map
        0x67, 0x00, 0x0e, 0x00, // jr    t3
    ];
    let distance = place.got_plt.wrapping_sub(place.plt);
    put(&mut code, 0, Imm::U, distance);
    put(&mut code, 8, Imm::I, distance);
    put(&mut code, 16, Imm::I, distance);
    code
}

/// A lazily bound PLT entry: jumps through its slot, which at first leads to the first entry, and tells that one in `t1`
/// where it was.
pub(crate) fn plt_entry(entry: &LazyEntry) -> [u8; 16] {
    let mut code = [
        0x17, 0x0e, 0x00, 0x00, // auipc t3, %pcrel_hi(slot)
        0x03, 0x3e, 0x0e, 0x00, // ld    t3, %pcrel_lo(slot)(t3)
        0x67, 0x03, 0x0e, 0x00, // jalr  t1, t3
        0x13, 0x00, 0x00, 0x00, // nop
    ];
    let distance = entry.slot.wrapping_sub(entry.address);
    put(&mut code, 0, Imm::U, distance);
    put(&mut code, 4, Imm::I, distance);
    code
}

/// A PLT entry bound when the image is loaded: jumps through `slot` of the GOT.
pub(crate) fn plt_got_entry(entry: u64, slot: u64) -> [u8; 16] {
    let mut code = [
        0x17, 0x0e, 0x00, 0x00, // auipc t3, %pcrel_hi(slot)
        0x03, 0x3e, 0x0e, 0x00, // ld    t3, %pcrel_lo(slot)(t3)
        0x67, 0x00, 0x0e, 0x00, // jr    t3
        0x13, 0x00, 0x00, 0x00, // nop
    ];
    let distance = slot.wrapping_sub(entry);
    put(&mut code, 0, Imm::U, distance);
    put(&mut code, 4, Imm::I, distance);
    code
}

/// Tables of one image are laid out within reach of each other; layout checks it.
fn put(code: &mut [u8], at: usize, imm: Imm, distance: u64) {
    let stored = code.get_mut(at..).and_then(|code| imm.store(code, distance.cast_signed()));
    debug_assert!(stored.is_some());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

    use super::*;

    /// psABI, table *Relocation types*: numbers, fields and formulas. `None` for those of the loader and reserved ones.
    #[test]
    fn kinds_are_those_of_the_psabi() {
        use What::{AtLabel, Got, Plt, Symbol, TlsBlock, TlsDescriptor, TlsOffset, TlsPair, TlsStatic};
        let nothing = Some((What::Nothing, Origin::Zero, 0));
        let of = |what, origin, size| Some((what, origin, size));
        let table = [
            (0, "NONE", nothing),
            (1, "32", of(Symbol, Origin::Zero, 4)),
            (2, "64", of(Symbol, Origin::Zero, 8)),
            (3, "RELATIVE", None),
            (4, "COPY", None),
            (5, "JUMP_SLOT", None),
            (6, "TLS_DTPMOD32", None),
            (7, "TLS_DTPMOD64", None),
            (8, "TLS_DTPREL32", of(TlsBlock, Origin::Zero, 4)),
            (9, "TLS_DTPREL64", of(TlsBlock, Origin::Zero, 8)),
            (10, "TLS_TPREL32", None),
            (11, "TLS_TPREL64", None),
            (12, "TLSDESC", None),
            (16, "BRANCH", of(Symbol, Origin::Place, 4)),
            (17, "JAL", of(Plt, Origin::Place, 4)),
            (18, "CALL", of(Plt, Origin::Place, 8)),
            (19, "CALL_PLT", of(Plt, Origin::Place, 8)),
            (20, "GOT_HI20", of(Got, Origin::Place, 4)),
            (21, "TLS_GOT_HI20", of(TlsOffset, Origin::Place, 4)),
            (22, "TLS_GD_HI20", of(TlsPair, Origin::Place, 4)),
            (23, "PCREL_HI20", of(Symbol, Origin::Place, 4)),
            (24, "PCREL_LO12_I", of(AtLabel, Origin::Zero, 4)),
            (25, "PCREL_LO12_S", of(AtLabel, Origin::Zero, 4)),
            (26, "HI20", of(Symbol, Origin::Zero, 4)),
            (27, "LO12_I", of(Symbol, Origin::Zero, 4)),
            (28, "LO12_S", of(Symbol, Origin::Zero, 4)),
            (29, "TPREL_HI20", of(TlsStatic, Origin::Zero, 4)),
            (30, "TPREL_LO12_I", of(TlsStatic, Origin::Zero, 4)),
            (31, "TPREL_LO12_S", of(TlsStatic, Origin::Zero, 4)),
            (32, "TPREL_ADD", of(TlsStatic, Origin::Zero, 0)),
            (33, "ADD8", of(Symbol, Origin::Difference, 1)),
            (34, "ADD16", of(Symbol, Origin::Difference, 2)),
            (35, "ADD32", of(Symbol, Origin::Difference, 4)),
            (36, "ADD64", of(Symbol, Origin::Difference, 8)),
            (37, "SUB8", of(Symbol, Origin::Difference, 1)),
            (38, "SUB16", of(Symbol, Origin::Difference, 2)),
            (39, "SUB32", of(Symbol, Origin::Difference, 4)),
            (40, "SUB64", of(Symbol, Origin::Difference, 8)),
            (41, "GOT32_PCREL", of(Got, Origin::Place, 4)),
            (43, "ALIGN", of(What::Alignment, Origin::Zero, 0)),
            (44, "RVC_BRANCH", of(Symbol, Origin::Place, 2)),
            (45, "RVC_JUMP", of(Symbol, Origin::Place, 2)),
            (46, "RVC_LUI", None),
            (47, "GPREL_LO12_I", None),
            (48, "GPREL_LO12_S", None),
            (49, "GPREL_HI20", None),
            (50, "TPREL_S", None),
            (51, "RELAX", nothing),
            (52, "SUB6", of(Symbol, Origin::Difference, 1)),
            (53, "SET6", of(Symbol, Origin::Difference, 1)),
            (54, "SET8", of(Symbol, Origin::Difference, 1)),
            (55, "SET16", of(Symbol, Origin::Difference, 2)),
            (56, "SET32", of(Symbol, Origin::Difference, 4)),
            (57, "32_PCREL", of(Symbol, Origin::Place, 4)),
            (58, "IRELATIVE", None),
            (59, "PLT32", of(Plt, Origin::Place, 4)),
            (60, "SET_ULEB128", of(Symbol, Origin::Difference, 1)),
            (61, "SUB_ULEB128", of(Symbol, Origin::Difference, 1)),
            (62, "TLSDESC_HI20", of(TlsDescriptor, Origin::Place, 4)),
            (63, "TLSDESC_LOAD_LO12", of(AtLabel, Origin::Zero, 4)),
            (64, "TLSDESC_ADD_LO12", of(AtLabel, Origin::Zero, 4)),
            (65, "TLSDESC_CALL", nothing),
            (191, "VENDOR", None),
            (192, "CUSTOM192", None),
            (255, "CUSTOM255", None),
        ];
        for (kind, name, expected) in table {
            assert_eq!(elf_reloc_name(kind), format!("R_RISCV_{name}"));
            let got = elf_reloc(kind).map(|(value, field)| (value.what, value.from, field.size()));
            assert_eq!(got, expected, "{name}");
            assert_eq!(elf_reloc_refusal(kind).is_some(), matches!(kind, 47..=49 | 191..), "{name}");
        }
        let known: Vec<u32> = table.iter().map(|(kind, ..)| *kind).collect();
        for kind in (0..200).filter(|kind| !known.contains(kind) && *kind < 192).chain([256, u32::MAX]) {
            assert_eq!(elf_reloc(kind), None, "{kind}");
            assert_eq!(elf_reloc_name(kind), format!("number {kind}"));
        }
    }

    #[test]
    fn low_parts_go_with_their_own_high_parts() {
        for (upper, lower, fits) in [
            (23, 24, true),
            (20, 25, true),
            (21, 24, true),
            (22, 24, true),
            (62, 63, true),
            (62, 64, true),
            (62, 24, false),
            (23, 63, false),
            (26, 24, false),
            (19, 24, false),
            (51, 24, false),
        ] {
            assert_eq!(is_upper_part(upper, lower), fits, "{upper} {lower}");
        }
    }

    /// The addresses that the table's instructions compute, by their immediates.
    #[test]
    fn plt_reaches_its_slots() {
        let pair = |code: &[u8], upper: usize, lower: usize| {
            Imm::U.load(&code[upper..]).unwrap() + Imm::I.load(&code[lower..]).unwrap()
        };
        for (plt, got_plt) in [(0x1000, 0x2800), (0x1000, 0x27ff8), (0x5_0000, 0x1000), (0x1020, 0x1820)] {
            let code = plt_header(&PltPlace { plt, got_plt, got: 0 });
            let distance = (got_plt as i64) - (plt as i64);
            assert_eq!(pair(&code, 0, 8), distance);
            assert_eq!(pair(&code, 0, 16), distance);
            for index in [0, 1, 700] {
                let entry = LazyEntry {
                    address: plt + 32 + 16 * u64::from(index),
                    slot: got_plt + 16 + 8 * u64::from(index),
                    index,
                };
                assert_eq!(pair(&plt_entry(&entry), 0, 4), (entry.slot as i64) - (entry.address as i64));
                // What the header makes of `t1` (behind the jalr) and `t3` (the header): the slot's offset behind the first two.
                assert_eq!((entry.address + 12 - plt - 44) >> 1, 8 * u64::from(index));
                let code = plt_got_entry(entry.address, entry.slot);
                assert_eq!(pair(&code, 0, 4), (entry.slot as i64) - (entry.address as i64));
            }
        }
    }
}
