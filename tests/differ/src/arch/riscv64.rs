//! RISC-V of 64 bits: relocations of object files (*RISC-V ELF Specification*, "Relocation types") and PLT entries.

use object::elf::*;

use super::bits::Form;
use super::{Bits, Exit, Field, Operation, StaticKind};
use crate::image::Image;

/// `auipc`, `lui`: the upper 20 bits, which the signed lower 12 are added to.
static UPPER: Bits =
    Bits { width: 4, pieces: &[(12, 20, 12)], sign: 32, round: 0x800, part: !0xfff, form: Form::Plain };
/// The immediate of loads and of `addi`.
static LOWER_I: Bits = Bits { width: 4, pieces: &[(20, 12, 0)], sign: 12, round: 0, part: 0xfff, form: Form::Plain };
/// The immediate of stores.
static LOWER_S: Bits =
    Bits { width: 4, pieces: &[(7, 5, 0), (25, 7, 5)], sign: 12, round: 0, part: 0xfff, form: Form::Plain };
/// Conditional branches.
static BRANCH: Bits = Bits::whole(4, 13, &[(8, 4, 1), (25, 6, 5), (7, 1, 11), (31, 1, 12)]);
/// `jal`.
static JUMP: Bits = Bits::whole(4, 21, &[(21, 10, 1), (20, 1, 11), (12, 8, 12), (31, 1, 20)]);
/// `c.beqz`, `c.bnez`.
static SHORT_BRANCH: Bits = Bits::whole(2, 9, &[(3, 2, 1), (10, 2, 3), (2, 1, 5), (5, 2, 6), (12, 1, 8)]);
/// `c.j`.
static SHORT_JUMP: Bits =
    Bits::whole(2, 12, &[(3, 3, 1), (11, 1, 4), (2, 1, 5), (7, 1, 6), (6, 1, 7), (9, 2, 8), (8, 1, 10), (12, 1, 11)]);
/// `auipc` and `jalr` side by side.
static CALL: Bits = Bits { form: Form::CallPair, ..Bits::whole(8, 32, &[]) };

pub(super) fn static_kind(kind: u32) -> Option<StaticKind> {
    use Field::{Bits as B, Either, Empty, LowSix, Signed, Uleb128};
    use Operation::{Add, Set, Subtract};
    table! { kind;
        R_RISCV_NONE: Empty, None, Zero;
        R_RISCV_RELAX: Empty, None, Zero;
        R_RISCV_ALIGN: Empty, Alignment, Zero;
        R_RISCV_32: Either(4), Symbol, Zero;
        R_RISCV_64: Either(8), Symbol, Zero;
        R_RISCV_32_PCREL: Signed(4), Symbol, Place;
        R_RISCV_PLT32: Signed(4), Plt, Place;
        R_RISCV_GOT32_PCREL: Signed(4), Slot, Place;
        R_RISCV_BRANCH: B(&BRANCH), Plt, Place;
        R_RISCV_JAL: B(&JUMP), Plt, Place;
        R_RISCV_CALL: B(&CALL), Plt, Place;
        R_RISCV_CALL_PLT: B(&CALL), Plt, Place;
        R_RISCV_RVC_BRANCH: B(&SHORT_BRANCH), Plt, Place;
        R_RISCV_RVC_JUMP: B(&SHORT_JUMP), Plt, Place;
        R_RISCV_GOT_HI20: B(&UPPER), Slot, Place;
        R_RISCV_TLS_GOT_HI20: B(&UPPER), ThreadSlot, Place;
        R_RISCV_TLS_GD_HI20: B(&UPPER), TlsPair, Place;
        R_RISCV_TLSDESC_HI20: B(&UPPER), Descriptor, Place;
        R_RISCV_PCREL_HI20: B(&UPPER), Symbol, Place;
        R_RISCV_PCREL_LO12_I: B(&LOWER_I), AtLabel, Zero;
        R_RISCV_PCREL_LO12_S: B(&LOWER_S), AtLabel, Zero;
        R_RISCV_TLSDESC_LOAD_LO12: B(&LOWER_I), AtLabel, Zero;
        R_RISCV_TLSDESC_ADD_LO12: B(&LOWER_I), AtLabel, Zero;
        R_RISCV_TLSDESC_CALL: Empty, DescriptorCall, Zero;
        R_RISCV_HI20: B(&UPPER), Symbol, Zero;
        R_RISCV_LO12_I: B(&LOWER_I), Symbol, Zero;
        R_RISCV_LO12_S: B(&LOWER_S), Symbol, Zero;
        R_RISCV_ADD8: Either(1), Difference(Add), Zero;
        R_RISCV_ADD16: Either(2), Difference(Add), Zero;
        R_RISCV_ADD32: Either(4), Difference(Add), Zero;
        R_RISCV_ADD64: Either(8), Difference(Add), Zero;
        R_RISCV_SUB8: Either(1), Difference(Subtract), Zero;
        R_RISCV_SUB16: Either(2), Difference(Subtract), Zero;
        R_RISCV_SUB32: Either(4), Difference(Subtract), Zero;
        R_RISCV_SUB64: Either(8), Difference(Subtract), Zero;
        R_RISCV_SET8: Either(1), Difference(Set), Zero;
        R_RISCV_SET16: Either(2), Difference(Set), Zero;
        R_RISCV_SET32: Either(4), Difference(Set), Zero;
        R_RISCV_SET6: LowSix, Difference(Set), Zero;
        R_RISCV_SUB6: LowSix, Difference(Subtract), Zero;
        R_RISCV_SET_ULEB128: Uleb128, Difference(Set), Zero;
        R_RISCV_SUB_ULEB128: Uleb128, Difference(Subtract), Zero;
        R_RISCV_TLS_DTPREL64: Signed(8), TlsOffset, Zero;
    }
}

/// A PLT entry: `auipc t3, …; ld t3, …(t3); jalr t1, t3; nop`, or `jr t3` where nothing is bound lazily. There are no thunks.
pub(super) fn exit(image: &Image<'_>, address: u64) -> Option<Exit> {
    let word = |index: u64| {
        let bytes = image.read(address.wrapping_add(4 * index), 4)?;
        Some(image.file.unsigned(bytes))
    };
    let (upper, load) = (word(0)?, word(1)?);
    let is_entry = upper & 0xfff == 0xe17 && load & 0xf_ffff == 0xe_3e03 && [0xe_0367, 0xe_0067].contains(&word(2)?);
    let slot = address.wrapping_add_signed(UPPER.number(upper)).wrapping_add_signed(LOWER_I.number(load));
    is_entry.then_some(Exit::Slot(slot))
}

/// The PLT's header, `auipc t2, …; sub t1, t1, t3; ld t3, …(t2)`, loads the first word of `.got.plt`.
pub(super) fn lazy_binding(image: &Image<'_>, entry: u64) -> Result<(), String> {
    let code = |index: u64| image.read(entry.wrapping_add(4 * index), 4).map_or(0, |bytes| image.file.unsigned(bytes));
    let place = entry.wrapping_add_signed(UPPER.number(code(0))).wrapping_add_signed(LOWER_I.number(code(2)));
    let is_header = code(0) & 0xfff == 0x397 && code(1) == 0x41c3_0333 && code(2) & 0xf_ffff == 0x3_be03;
    match is_header && Some(place) == image.dynamic_value(DT_PLTGOT) {
        true => Ok(()),
        false => Err(format!("{entry:#x}, which hands nothing to the loader")),
    }
}
