//! Erratum 843419 of Cortex-A53: a load or store that may access a wrong address.
//!
//! Source: Arm, *Cortex-A53 MPCore Software Developers Errata Notice* (ARM-EPM-048406), 843419, of revisions up to r0p4;
//! encodings: Arm ARM (DDI 0487), C4.1, *Loads and Stores*. What it takes:
//!
//! 1. `adrp` in one of the last two words of a page of 4 KiB;
//! 2. a load or store of one register, a store of two, or `st1`, that does not write the register of the `adrp`;
//! 3. perhaps another instruction, which is no branch;
//! 4. a load or store with an unsigned offset from that register. It may access a wrong address, but not if it is reached by
//!    a branch.
//!
//! The notice has a second sequence, which ends in a branch; compilers do not make it, and other linkers leave it alone, too.

/// Size of the pages that it is about, in bytes, whatever those of the system are.
const PAGE: u16 = 4096;

/// The offsets, in bytes, of instructions that may go wrong where they stand, in code that begins at `address`.
pub(crate) fn misplaced(code: &[u8], address: u64) -> Vec<u64> {
    let starts = |place: u16| {
        let first = u64::from(place).wrapping_sub(address) & u64::from(PAGE - 1);
        (first..code.len() as u64).step_by(PAGE.into())
    };
    let starts = starts(PAGE - 8).chain(starts(PAGE - 4));
    let mut found: Vec<u64> = starts.filter_map(|start| victim(code, start)).collect();
    found.sort_unstable();
    found
}

/// The offset of the instruction that goes wrong, if the sequence starts at an offset.
fn victim(code: &[u8], start: u64) -> Option<u64> {
    let mut words =
        code.get(usize::try_from(start).ok()?..)?.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    let page = words.next().filter(|adrp| adrp & 0x9f00_0000 == 0x9000_0000)? & 31;
    // As a base, this number means the stack pointer.
    if page == 31 || words.next().and_then(Access::of)?.writes(page) {
        return None;
    }
    let is_victim = |instruction: u32| instruction & 0x3b00_0000 == 0x3900_0000 && base(instruction) == page;
    let third = words.next()?;
    if is_victim(third) {
        return Some(start.wrapping_add(8));
    }
    let fourth = words.next()?;
    (!is_branch(third) && is_victim(fourth)).then_some(start.wrapping_add(12))
}

/// The register that the address of a load or store comes from.
fn base(instruction: u32) -> u32 {
    instruction >> 5 & 31
}

fn is_branch(instruction: u32) -> bool {
    // `b`, `bl`; `cbz`, `tbz`; `b.cond`; `br`, `blr`, `ret`.
    matches!(instruction & 0x7c00_0000, 0x1400_0000 | 0x3400_0000)
        || matches!(instruction & 0xfe00_0000, 0x5400_0000 | 0xd600_0000)
}

/// A load or store that the sequence can have as its second instruction, and the general registers that it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Access {
    loaded: Option<u32>,
    updated: Option<u32>,
}

impl Access {
    fn of(instruction: u32) -> Option<Self> {
        let bit = |number: u32| instruction >> number & 1 != 0;
        let (vector, load) = (bit(26), bit(22));
        // Bits 30 and 31; bits 22 and 23.
        let (size, kind) = (instruction >> 30, instruction >> 22 & 3);
        // Of those of one register: neither a store nor `prfm`.
        let single_load = kind != 0 && (size, kind) != (3, 2);
        // What is said of structures: of several, `st1` of one to four registers; of single ones, `st1`.
        let several = !bit(21) && matches!(instruction >> 12 & 15, 0b0010 | 0b0110 | 0b0111 | 0b1010);
        let single = !bit(21) && matches!(instruction >> 13 & 7, 0b000 | 0b010 | 0b100);
        // Whether it loads a register, and whether it changes its base.
        let (loads, updates) = match instruction >> 24 & 0b11_1011 {
            // `ldxr`, `stxr`, `ldar`, `stlr` and the like.
            0b00_1000 if !vector => (load, false),
            0b00_1000 if !bit(31) && !load && several => (false, bit(23)),
            0b00_1001 if vector && !bit(31) && !load && single => (false, bit(23)),
            // `ldr` of a place near it, `prfm`.
            0b01_1000 => (size != 3, false),
            // `stp`, `stnp`.
            0b10_1000 | 0b10_1001 if !load => (false, bit(23)),
            // `ldr`, `str`, `ldur`, `stur`, `ldtr`, `sttr`, `prfm`: offset unsigned; signed, or the base is changed; a register.
            0b11_1001 => (single_load, false),
            0b11_1000 if !bit(21) => (single_load, bit(10)),
            0b11_1000 if instruction >> 10 & 3 == 2 => (single_load, false),
            _ => return None,
        };
        let loaded = (loads && !vector).then_some(instruction & 31);
        Some(Self { loaded, updated: updates.then_some(base(instruction)) })
    }

    fn writes(self, register: u32) -> bool {
        self.loaded == Some(register) || self.updated == Some(register)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    const ADRP_X0: u32 = 0x9000_0000;
    const LDR_X1_X0: u32 = 0xf940_0001; // ldr x1, [x0]
    const LDR_X3_X2: u32 = 0xf940_0043; // ldr x3, [x2]
    const ADD: u32 = 0x8b02_0043; // add x3, x2, x2
    const NOP: u32 = 0xd503_201f;

    fn found(address: u64, code: &[u32]) -> Vec<u64> {
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        misplaced(&bytes, address)
    }

    #[test]
    fn the_sequence_counts_at_the_end_of_a_page() {
        let three = [ADRP_X0, LDR_X3_X2, LDR_X1_X0];
        let four = [ADRP_X0, LDR_X3_X2, ADD, LDR_X1_X0];
        for address in (0..0x3000).step_by(4) {
            let at_end = matches!(address & 0xfff, 0xff8 | 0xffc);
            assert_eq!(found(address, &three), if at_end { vec![8] } else { vec![] }, "{address:#x}");
            assert_eq!(found(address, &four), if at_end { vec![12] } else { vec![] }, "{address:#x}");
        }
        // Each page has an end, and each end two words.
        let mut long = vec![NOP; 3 * 1024];
        for at in [1022, 2 * 1024 - 1] {
            long[at..at + 4].copy_from_slice(&four);
        }
        assert_eq!(found(0x10000, &long), [(1022 + 3) * 4, (2 * 1024 + 2) * 4]);
        // Code that ends before the sequence does.
        assert_eq!(found(0xff8, &four[..3]), [0; 0]);
        assert_eq!(found(0xff8, &[ADRP_X0]), [0; 0]);
        assert_eq!(found(0xff8, &[]), [0; 0]);
    }

    #[test]
    fn the_last_instruction_uses_the_page() {
        let after = |last: u32| found(0xff8, &[ADRP_X0, LDR_X3_X2, last]);
        let stores = [0xf900_0001, 0x3900_0001, 0xfd00_0000]; // str x1, [x0]; strb w1, [x0]; str d0, [x0]
        assert!(stores.into_iter().all(|last| after(last) == [8]));
        // ldr x1, [x2]; ldur x1, [x0]; ldr x1, [x0, x2]; ldp x1, x2, [x0]; add x1, x0, #0
        let others = [0xf940_0041, 0xf840_0001, 0xf862_6801, 0xa940_0801, 0x9100_0001];
        assert!(others.into_iter().all(|last| after(last).is_empty()));
        // What `adrp` writes as `xzr` is no base: that is the stack pointer.
        assert_eq!(found(0xff8, &[0x9000_001f, LDR_X3_X2, 0xf940_03e1]), [0; 0]);
    }

    #[test]
    fn a_branch_in_between_is_safe() {
        let between = |third: u32| found(0xff8, &[ADRP_X0, LDR_X3_X2, third, LDR_X1_X0]);
        assert!([NOP, ADD, LDR_X3_X2].into_iter().all(|third| between(third) == [12]));
        // b; bl; cbz x1; tbnz x1, #0; b.eq; br x1; blr x1; ret
        let branches =
            [0x1400_0002, 0x9400_0002, 0xb400_0041, 0x3700_0041, 0x5400_0040, 0xd61f_0020, 0xd63f_0020, 0xd65f_03c0];
        assert!(branches.into_iter().all(|third| between(third).is_empty()));
    }

    /// Source of the words: `llvm-mc --triple=aarch64 --show-encoding` of the text in the margin.
    #[test]
    fn the_second_instruction_accesses_memory() {
        let with = |second: u32| !found(0xffc, &[ADRP_X0, second, LDR_X1_X0]).is_empty();
        let does = [
            0xc85f_7c41, // ldxr x1, [x2]
            0xc803_7c41, // stxr w3, x1, [x2]
            0x889f_fc41, // stlr w1, [x2]
            0x5800_0041, // ldr x1, #8
            0xd800_0040, // prfm pldl1keep, #8
            0x5c00_0040, // ldr d0, #8: no general register
            0xa900_0c41, // stp x1, x3, [x2]
            0xa800_0c41, // stnp x1, x3, [x2]
            0xa881_0c41, // stp x1, x3, [x2], #16
            0x6d81_0440, // stp d0, d1, [x2, #16]!
            0xf940_0041, // ldr x1, [x2]
            0xf980_0040, // prfm pldl1keep, [x2]
            0x3dc0_0040, // ldr q0, [x2]: no general register
            0xf840_8041, // ldur x1, [x2, #8]
            0xf840_8441, // ldr x1, [x2], #8
            0xf840_8c41, // ldr x1, [x2, #8]!
            0xf840_8841, // ldtr x1, [x2, #8]
            0xf863_6841, // ldr x1, [x2, x3]
            0xf863_6801, // ldr x1, [x0, x3]: reads the page
            0x4c00_7040, // st1 {v0.16b}, [x2]
            0x4c00_2040, // st1 {v0.16b-v3.16b}, [x2]
            0x4c9f_a040, // st1 {v0.16b, v1.16b}, [x2], #32
            0x0d00_8040, // st1 {v0.s}[0], [x2]
            0x0d9f_0040, // st1 {v0.b}[0], [x2], #1
        ];
        for second in does {
            assert!(with(second), "{second:#x}");
        }
        let does_not = [
            ADD,
            NOP,
            0xf940_0040, // ldr x0, [x2]: writes the page
            0xf840_8401, // ldr x1, [x0], #8: changes the page
            0xf800_8c01, // str x1, [x0, #8]!
            0xa881_0c01, // stp x1, x3, [x0], #16
            0x4c9f_7000, // st1 {v0.16b}, [x0], #16
            0x5800_0040, // ldr x0, #8
            0xc85f_7c40, // ldxr x0, [x2]
            0xa940_0c41, // ldp x1, x3, [x2]
            0xa840_0c41, // ldnp x1, x3, [x2]
            0x4c40_7040, // ld1 {v0.16b}, [x2]
            0x4c00_8040, // st2 {v0.16b, v1.16b}, [x2]
            0x0d20_0040, // st2 {v0.b, v1.b}[0], [x2]
            0xf8a3_0041, // ldadda x3, x1, [x2]: not of this processor
        ];
        for second in does_not {
            assert!(!with(second), "{second:#x}");
        }
    }
}
