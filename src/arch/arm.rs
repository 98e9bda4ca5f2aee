//! Arm, 32-bit (ARMv7-A with the EABI): the relocation kinds of AAELF32, the fields of instructions, the procedure linkage
//! table and veneers.
//!
//! **Two instruction sets.** A processor is in Arm state, with instructions of one word, or in Thumb state, with instructions
//! of one or two halfwords; `bx` and `blx` to a register go to the state that bit 0 of the address says. So the address of a
//! Thumb function is odd: the value of its symbol (STT_FUNC) has bit 0 set, and with it every word of data, every slot
//! and every relocation result that is made of it. The psABI writes that bit as T, in `(S + A) | T`. Here S has it already, as
//! it stands in the symbol table, and it is taken off only where the psABI has no T: for loads from the code itself. A symbol that is no function has no state: an odd value of
//! one is a byte's address, and a branch to it stays in the state it is in.
//!
//! **Interworking.** `bl` and `blx` with an offset turn into each other by T; the fields' [`Imm::store`](imm::Imm::store) does
//! it, as bit 0 of the distance tells. Other branches cannot change the state: where the target is in the other one, or too far
//! away (Arm ±32 MiB, Thumb ±16 MiB, conditional Thumb ±1 MiB), they go through a *veneer* that uses `ip`
//! (see [`thunks`](crate::thunks)). Entries of the PLT are Arm code, with a Thumb entrance before it for branches that
//! are no calls.
//!
//! **The program counter** reads as the instruction's address and 8 in Arm state, 4 in Thumb state. Objects have that in the
//! addend (`bl sym` is S − 8 − P). Loads from it, and `adr`, count from its word in Thumb state: the psABI's Pa.
//!
//! **Implicit addends.** Objects have REL tables: the addend is what the field holds, in the form of its instruction, and 16-bit
//! halves hold a signed number of 16 bits, whichever half they are. Images have REL tables, too.
//!
//! **Reaching data.** A word in the code holds a distance that `add r0, pc, r0` turns into an address (REL32, or GOT_PREL for a
//! slot), or `movw` and `movt` make the distance (MOVW_PREL_NC, MOVT_PREL). Older code holds `_GLOBAL_OFFSET_TABLE_` in a
//! register and offsets from it in words (BASE_PREL, GOTOFF32, GOT_BREL). TARGET1 and TARGET2 are what the platform says:
//! GNU systems have ABS32 for the first (addresses of constructors) and GOT_PREL for the second (type information).
//!
//! **Thread-local storage.** The thread pointer (CP15 c13, or `__aeabi_read_tp`) points at two words, and the
//! executable's block follows at the next boundary of its alignment (variant 1).
//!
//! Sources: *ELF for the Arm Architecture* (AAELF32), 2023Q3 and later, section *Relocation*; *Base Platform ABI* (BPABI32);
//! *Addenda to, and Errata in, the ABI for the Arm Architecture*, chapter *Thread Local Storage*; *Arm Architecture Reference
//! Manual, ARMv7-A and ARMv7-R edition* (DDI 0406), chapters A5, A6 and A8.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

pub(crate) mod imm;
pub(crate) mod stubs;

use object::elf;

use super::{Bits, ElfDynamicKinds, ElfMachine, GotBase as Base, Reach, ThunkKind};
use crate::reloc::{Field, Origin, Value, What};
use crate::thunks::Branch;
pub(crate) use imm::Imm;

// Kinds that the `object` crate knows by older names.
const LDR_PC_G0: elf::RelocationType = elf::RelocationType(4);
const THM_CALL: elf::RelocationType = elf::RelocationType(10);
const GOTOFF32: elf::RelocationType = elf::RelocationType(24);
const BASE_PREL: elf::RelocationType = elf::RelocationType(25);
const GOT_BREL: elf::RelocationType = elf::RelocationType(26);
const THM_JUMP11: elf::RelocationType = elf::RelocationType(102);
const THM_JUMP8: elf::RelocationType = elf::RelocationType(103);

/// What a relocation kind of an object file asks for, or `None` if no object file may hold it or it is unknown.
pub(crate) fn elf_reloc(kind: u32) -> Option<(Value, Field)> {
    use Field::{Any8, Any16, Nothing, Word32};
    use Origin::{GotBase, Place, PlaceWord, Zero};
    use What::{Got, Plt, Symbol, TlsBlock, TlsModule, TlsOffset, TlsPair, TlsStatic};
    let imm = Field::Arm;
    Some(match elf::RelocationType(kind) {
        elf::R_ARM_NONE
        // Marks `bx` for processors without it.
        | elf::R_ARM_V4BX
        // Mark classes for linkers that remove unused virtual functions.
        | elf::R_ARM_GNU_VTENTRY
        | elf::R_ARM_GNU_VTINHERIT => (What::Nothing.from(Zero), Nothing),

        elf::R_ARM_ABS32 | elf::R_ARM_TARGET1 => (Symbol.from(Zero), Word32),
        elf::R_ARM_ABS16 => (Symbol.from(Zero), Any16),
        elf::R_ARM_ABS8 => (Symbol.from(Zero), Any8),
        elf::R_ARM_REL32 => (Symbol.from(Place), Word32),
        // Unwind tables refer to personality routines of other libraries by it.
        elf::R_ARM_PREL31 => (Plt.from(Place), imm(Imm::Data31)),
        elf::R_ARM_ABS12 => (Symbol.from(Zero), imm(Imm::Load12(0))),
        elf::R_ARM_MOVW_ABS_NC => (Symbol.from(Zero), imm(Imm::Low16)),
        elf::R_ARM_MOVT_ABS => (Symbol.from(Zero), imm(Imm::High16)),
        elf::R_ARM_THM_MOVW_ABS_NC => (Symbol.from(Zero), imm(Imm::ThumbLow16)),
        elf::R_ARM_THM_MOVT_ABS => (Symbol.from(Zero), imm(Imm::ThumbHigh16)),

        elf::R_ARM_CALL | elf::R_ARM_JUMP24 | elf::R_ARM_PC24 | elf::R_ARM_PLT32 => {
            (Plt.from(Place), imm(Imm::Branch))
        }
        THM_CALL | elf::R_ARM_THM_JUMP24 => (Plt.from(Place), imm(Imm::ThumbBranch)),
        elf::R_ARM_THM_JUMP19 => (Plt.from(Place), imm(Imm::ThumbBranch20)),
        THM_JUMP11 => (Symbol.from(Place), imm(Imm::ThumbBranch11)),
        THM_JUMP8 => (Symbol.from(Place), imm(Imm::ThumbBranch8)),
        elf::R_ARM_THM_JUMP6 => (Symbol.from(Place), imm(Imm::ThumbBranch6)),

        elf::R_ARM_MOVW_PREL_NC => (Symbol.from(Place), imm(Imm::Low16)),
        elf::R_ARM_MOVT_PREL => (Symbol.from(Place), imm(Imm::High16)),
        elf::R_ARM_THM_MOVW_PREL_NC => (Symbol.from(Place), imm(Imm::ThumbLow16)),
        elf::R_ARM_THM_MOVT_PREL => (Symbol.from(Place), imm(Imm::ThumbHigh16)),
        elf::R_ARM_THM_ALU_PREL_11_0 => (Symbol.from(PlaceWord), imm(Imm::ThumbAdr12)),
        elf::R_ARM_THM_PC12 => (Symbol.from(PlaceWord), imm(Imm::ThumbLoad12)),
        elf::R_ARM_THM_PC8 => (Symbol.from(PlaceWord), imm(Imm::ThumbLoad8)),

        elf::R_ARM_ALU_PC_G0_NC => (Symbol.from(Place), imm(Imm::AddGroup(0))),
        elf::R_ARM_ALU_PC_G0 => (Symbol.from(Place), imm(Imm::AddLastGroup(0))),
        elf::R_ARM_ALU_PC_G1_NC => (Symbol.from(Place), imm(Imm::AddGroup(1))),
        elf::R_ARM_ALU_PC_G1 => (Symbol.from(Place), imm(Imm::AddLastGroup(1))),
        elf::R_ARM_ALU_PC_G2 => (Symbol.from(Place), imm(Imm::AddLastGroup(2))),
        LDR_PC_G0 => (Symbol.from(Place), imm(Imm::Load12(0))),
        elf::R_ARM_LDR_PC_G1 => (Symbol.from(Place), imm(Imm::Load12(1))),
        elf::R_ARM_LDR_PC_G2 => (Symbol.from(Place), imm(Imm::Load12(2))),
        elf::R_ARM_LDRS_PC_G0 => (Symbol.from(Place), imm(Imm::Load8(0))),
        elf::R_ARM_LDRS_PC_G1 => (Symbol.from(Place), imm(Imm::Load8(1))),
        elf::R_ARM_LDRS_PC_G2 => (Symbol.from(Place), imm(Imm::Load8(2))),
        elf::R_ARM_LDC_PC_G0 => (Symbol.from(Place), imm(Imm::Load8Words(0))),
        elf::R_ARM_LDC_PC_G1 => (Symbol.from(Place), imm(Imm::Load8Words(1))),
        elf::R_ARM_LDC_PC_G2 => (Symbol.from(Place), imm(Imm::Load8Words(2))),

        BASE_PREL => (What::GotBase.from(Place), Word32),
        elf::R_ARM_GOT_PREL | elf::R_ARM_TARGET2 => (Got.from(Place), Word32),
        GOT_BREL => (Got.from(GotBase), Word32),
        elf::R_ARM_GOT_BREL12 => (Got.from(GotBase), imm(Imm::Load12(0))),
        elf::R_ARM_THM_GOT_BREL12 => (Got.from(GotBase), imm(Imm::ThumbLoad12Up)),
        GOTOFF32 => (Symbol.from(GotBase), Word32),
        elf::R_ARM_GOTOFF12 => (Symbol.from(GotBase), imm(Imm::Load12(0))),

        elf::R_ARM_TLS_GD32 => (TlsPair.from(Place), Word32),
        elf::R_ARM_TLS_LDM32 => (TlsModule.from(Place), Word32),
        elf::R_ARM_TLS_LDO32 => (TlsBlock.from(Zero), Word32),
        elf::R_ARM_TLS_LDO12 => (TlsBlock.from(Zero), imm(Imm::Load12(0))),
        elf::R_ARM_TLS_IE32 => (TlsOffset.from(Place), Word32),
        elf::R_ARM_TLS_IE12GP => (TlsOffset.from(GotBase), imm(Imm::Load12(0))),
        elf::R_ARM_TLS_LE32 => (TlsStatic.from(Zero), Word32),
        elf::R_ARM_TLS_LE12 => (TlsStatic.from(Zero), imm(Imm::Load12(0))),
        _ => return None,
    })
}

/// Why a relocation kind that [`elf_reloc`] does not know is refused, where there is more to say than that.
pub(crate) fn elf_reloc_refusal(kind: u32) -> Option<&'static str> {
    Some(match kind {
        9 | 35..=37 | 39 | 70..=89 => {
            "addressing relative to a static base register is for images that are loaded in parts; compile without -mrwpi"
        }
        90..=93 | 129 | 130 => {
            "thread-local storage by descriptors is not linked for this CPU; compile with -mtls-dialect=gnu"
        }
        55 | 56 => "it is for code without the state that it runs in; compilers ask for R_ARM_ABS32 and R_ARM_REL32",
        136..=138 => "the branch is of processors without Arm state, which this target is not",
        31 | 94 | 95 | 7 | 132..=135 => "the image is loaded at an address that is not known now; recompile with -fPIC",
        _ => return None,
    })
}

/// The name of a relocation kind, for messages.
pub(crate) fn elf_reloc_name(kind: u32) -> String {
    // AAELF32, *Relocation codes*; 139 and more are not allocated.
    const NAMES: &str = "NONE PC24 ABS32 REL32 LDR_PC_G0 ABS16 ABS12 THM_ABS5 ABS8 SBREL32 THM_CALL THM_PC8 BREL_ADJ TLS_DESC \
        THM_SWI8 XPC25 THM_XPC22 TLS_DTPMOD32 TLS_DTPOFF32 TLS_TPOFF32 COPY GLOB_DAT JUMP_SLOT RELATIVE GOTOFF32 BASE_PREL \
        GOT_BREL PLT32 CALL JUMP24 THM_JUMP24 BASE_ABS ALU_PCREL_7_0 ALU_PCREL_15_8 ALU_PCREL_23_15 LDR_SBREL_11_0_NC \
        ALU_SBREL_19_12_NC ALU_SBREL_27_20_CK TARGET1 SBREL31 V4BX TARGET2 PREL31 MOVW_ABS_NC MOVT_ABS MOVW_PREL_NC \
        MOVT_PREL THM_MOVW_ABS_NC THM_MOVT_ABS THM_MOVW_PREL_NC THM_MOVT_PREL THM_JUMP19 THM_JUMP6 THM_ALU_PREL_11_0 \
        THM_PC12 ABS32_NOI REL32_NOI ALU_PC_G0_NC ALU_PC_G0 ALU_PC_G1_NC ALU_PC_G1 ALU_PC_G2 LDR_PC_G1 LDR_PC_G2 LDRS_PC_G0 \
        LDRS_PC_G1 LDRS_PC_G2 LDC_PC_G0 LDC_PC_G1 LDC_PC_G2 ALU_SB_G0_NC ALU_SB_G0 ALU_SB_G1_NC ALU_SB_G1 ALU_SB_G2 \
        LDR_SB_G0 LDR_SB_G1 LDR_SB_G2 LDRS_SB_G0 LDRS_SB_G1 LDRS_SB_G2 LDC_SB_G0 LDC_SB_G1 LDC_SB_G2 MOVW_BREL_NC \
        MOVT_BREL MOVW_BREL THM_MOVW_BREL_NC THM_MOVT_BREL THM_MOVW_BREL TLS_GOTDESC TLS_CALL TLS_DESCSEQ THM_TLS_CALL \
        PLT32_ABS GOT_ABS GOT_PREL GOT_BREL12 GOTOFF12 GOTRELAX GNU_VTENTRY GNU_VTINHERIT THM_JUMP11 THM_JUMP8 TLS_GD32 \
        TLS_LDM32 TLS_LDO32 TLS_IE32 TLS_LE32 TLS_LDO12 TLS_LE12 TLS_IE12GP";
    const LATER: &str = "THM_TLS_DESCSEQ16 THM_TLS_DESCSEQ32 THM_GOT_BREL12 THM_ALU_ABS_G0_NC THM_ALU_ABS_G1_NC \
        THM_ALU_ABS_G2_NC THM_ALU_ABS_G3 THM_BF16 THM_BF12 THM_BF18";
    let nth =
        |names: &'static str, index: u32| names.split_whitespace().nth(usize::try_from(index).unwrap_or(usize::MAX));
    let name = match kind {
        129.. if kind == elf::R_ARM_IRELATIVE.0 => Some("IRELATIVE"),
        129.. => nth(LATER, kind.saturating_sub(129)),
        _ => nth(NAMES, kind),
    };
    match name {
        Some(name) => format!("R_ARM_{name}"),
        None => format!("number {kind}"),
    }
}

/// What an ELF image for this CPU looks like.
pub(crate) const ELF: ElfMachine = ElfMachine {
    machine: elf::EM_ARM,
    name: "Arm",
    bfd_name: "elf32-littlearm",
    bits: Bits::B32,
    rela: false,
    page: 1 << 16,
    dynamic: ElfDynamicKinds {
        relative: elf::R_ARM_RELATIVE.0,
        absolute: elf::R_ARM_ABS32.0,
        got: elf::R_ARM_GLOB_DAT.0,
        plt: elf::R_ARM_JUMP_SLOT.0,
        indirect: elf::R_ARM_IRELATIVE.0,
        tls_module: elf::R_ARM_TLS_DTPMOD32.0,
        tls_offset: elf::R_ARM_TLS_DTPOFF32.0,
        tls_static: elf::R_ARM_TLS_TPOFF32.0,
        tls_descriptor: elf::R_ARM_TLS_DESC.0,
    },
    got_header: 0,
    got_plt_header: 3,
    got_base: Base::GotPlt,
    tls_bias: 0,
    plt_header_size: stubs::PLT_HEADER_SIZE,
    plt_entry_size: stubs::PLT_ENTRY_SIZE,
    // In Arm state `udf #0xfdde`; in Thumb state `udf #254`, and behind it a branch to that.
    trap: &[0xfe, 0xde, 0xfd, 0xe7],
    // In Arm state `mov r0, r0`; its first half in Thumb state is `lsls r0, r0, #0`.
    nop: &[0x00, 0x00, 0xa0, 0xe1],
};

/// How far branches reach: the conditional ones of Thumb, of which compilers make few calls, 1 MiB. Veneers that change the
/// state may be needed at any size.
pub(crate) const REACH: Reach = Reach { bytes: 1 << 20, spacing: 768 << 10, always: true };

/// A veneer: goes on to any target, in either state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Thunk {
    /// From Arm state.
    Arm,
    /// From Thumb state.
    Thumb,
}

impl Thunk {
    /// Size in bytes.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Arm => stubs::ARM_VENEER_SIZE,
            Self::Thumb => stubs::THUMB_VENEER_SIZE,
        }
    }

    /// The name of the mapping symbol of its code.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Arm => "$a",
            Self::Thumb => "$t",
        }
    }

    /// What the names of its symbols start with.
    pub(crate) fn symbol_prefix(self) -> &'static str {
        match self {
            Self::Arm => "__ARMV7PILongThunk_",
            Self::Thumb => "__ThumbV7PILongThunk_",
        }
    }

    /// The code of a veneer at `address` that goes on to `target`, whose bit 0 is its state.
    pub(crate) fn code(self, address: u64, target: u64) -> Option<Vec<u8>> {
        match self {
            Self::Arm => stubs::arm_veneer(address, target),
            Self::Thumb => stubs::thumb_veneer(address, target),
        }
    }
}

/// The veneer that a branch needs: its target is out of reach, or in the other state and the instruction is not one that can
/// be turned into another which changes it.
pub(crate) fn thunk_for(branch: &Branch, imm: Imm) -> Option<ThunkKind> {
    let bias = super::branch_bias(branch.field);
    let value = branch.target.wrapping_sub(branch.place).cast_signed().wrapping_sub(bias);
    let to_thumb = branch.target & 1 != 0;
    let (min, max) = imm.range();
    // `blx` from between two words does not reach the last one.
    let max = if imm == Imm::ThumbBranch && !to_thumb { max.wrapping_sub(3) } else { max };
    let reaches = (min..=max).contains(&value) && (branch.switches || to_thumb == imm.is_thumb());
    (!reaches).then_some(if imm.is_thumb() { ThunkKind::Arm(Thunk::Thumb) } else { ThunkKind::Arm(Thunk::Arm) })
}

/// S with T, and A: where A is odd, T is added no second time.
pub(crate) fn add_to_function(address: u64, addend: i64) -> u64 {
    let thumb = address & 1;
    (address ^ thumb).wrapping_add_signed(addend) | thumb
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    /// Codes of AAELF32, *Relocation codes*, at the ends of each run.
    #[test]
    fn names_have_their_numbers() {
        for (kind, name) in [
            (0, "R_ARM_NONE"),
            (2, "R_ARM_ABS32"),
            (10, "R_ARM_THM_CALL"),
            (23, "R_ARM_RELATIVE"),
            (28, "R_ARM_CALL"),
            (42, "R_ARM_PREL31"),
            (54, "R_ARM_THM_PC12"),
            (69, "R_ARM_LDC_PC_G2"),
            (83, "R_ARM_LDC_SB_G2"),
            (96, "R_ARM_GOT_PREL"),
            (102, "R_ARM_THM_JUMP11"),
            (111, "R_ARM_TLS_IE12GP"),
            (112, "number 112"),
            (128, "number 128"),
            (129, "R_ARM_THM_TLS_DESCSEQ16"),
            (138, "R_ARM_THM_BF18"),
            (139, "number 139"),
            (160, "R_ARM_IRELATIVE"),
            (u32::MAX, "number 4294967295"),
        ] {
            assert_eq!(elf_reloc_name(kind), name);
        }
    }

    /// AAELF32, *Relocation codes*: every static relocation of data, Arm or Thumb that is neither known nor refused with a
    /// reason is a forgotten one.
    #[test]
    fn every_static_kind_is_known_or_refused() {
        let dynamic = |kind| matches!(kind, 12..=14 | 17..=23);
        let obsolete = |kind| matches!(kind, 15 | 16 | 32..=34 | 99);
        for kind in (0..=111).chain(129..=138) {
            if dynamic(kind) || obsolete(kind) {
                assert_eq!(elf_reloc(kind), None, "{kind}");
            } else {
                assert_ne!(elf_reloc(kind).is_some(), elf_reloc_refusal(kind).is_some(), "{}", elf_reloc_name(kind));
            }
        }
        for kind in [112, 127, 128, 139, 160, 255, 256, u32::MAX] {
            assert_eq!(elf_reloc(kind), None);
        }
    }

    /// Thumb16 relocations are of 2 bytes, data of 8 and 16 bits of their own size, all others of 4.
    #[test]
    fn fields_have_the_size_of_their_class() {
        for kind in 0..256 {
            let Some((_, field)) = elf_reloc(kind) else { continue };
            let size = match kind {
                0 | 40 | 100 | 101 => 0,
                8 => 1,
                5 | 11 | 52 | 102 | 103 => 2,
                _ => 4,
            };
            assert_eq!(field.size(), size, "{}", elf_reloc_name(kind));
        }
    }

    #[test]
    fn the_state_is_no_part_of_the_sum() {
        assert_eq!(add_to_function(0x1001, 4), 0x1005);
        assert_eq!(add_to_function(0x1001, 1), 0x1001);
        assert_eq!(add_to_function(0x1001, -1), 0xfff);
        assert_eq!(add_to_function(0x1000, 1), 0x1001);
        assert_eq!(add_to_function(0x1000, -8), 0xff8);
    }
}
