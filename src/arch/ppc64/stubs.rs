//! Code that the linker writes: the lazy-binding table (*glink*), call stubs, and thunks.
//!
//! All of it runs between a call and the function called, so it may change only r0, r11, r12 and the count register
//! (psABI chapter 2, *Register Roles*; r2 after it was saved), and must leave the link register as the call set it.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use super::imm::{Imm, Part, word};
use crate::reloc::Reason;

/// Which instructions stubs without a TOC pointer may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Isa {
    /// Those that every little-endian system has (Power ISA 2.07): the program counter is read by a call to the next
    /// instruction.
    Power8,
    /// Prefixed ones too (Power ISA 3.1).
    Power10,
}

/// Size of the code before the first lazy entry, in bytes.
pub(crate) const GLINK_HEADER_SIZE: u64 = HEADER as u64;
const HEADER: usize = 64;
/// Size of a lazy entry, in bytes. The loader counts with it (psABI chapter 4, *Procedure Linkage Table*).
pub(crate) const GLINK_ENTRY_SIZE: u64 = ENTRY as u64;
const ENTRY: usize = 4;
/// `DT_PPC64_GLINK` is the address of the first lazy entry less this (the same).
pub(crate) const GLINK_BIAS: u64 = 32;
/// The most lazy entries: each branches back to the header.
pub(crate) const GLINK_ENTRIES: u64 = ((1 << 25) - GLINK_HEADER_SIZE) / GLINK_ENTRY_SIZE;

/// Size and alignment of a call stub and of a thunk, in bytes. No prefixed instruction in one crosses a boundary of 64.
pub(crate) const STUB_SIZE: u64 = STUB as u64;
const STUB: usize = 32;

/// The nop behind a call, which a stub that saves r2 needs to be changed.
pub(crate) const NOP: u32 = 0x6000_0000;
/// `ld r2,24(r1)`: what it is changed to.
pub(crate) const RESTORE_TOC: u32 = 0xe841_0018;
/// `trap`: a filler for gaps in code, so that running into one is noticed.
pub(crate) const TRAP: [u8; 4] = 0x7fe0_0008_u32.to_le_bytes();

/// The code of `words`, in memory order.
fn code<const WORDS: usize, const BYTES: usize>(words: [u32; WORDS]) -> [u8; BYTES] {
    const { assert!(BYTES == 4 * WORDS) };
    let mut bytes = [0; BYTES];
    for (word, to) in words.iter().zip(bytes.as_chunks_mut().0) {
        *to = word.to_le_bytes();
    }
    bytes
}

/// Stores the distance from `from` to `to`. Returns `None` if it is out of reach.
fn reach(code: &mut [u8], imm: Imm, to: u64, from: u64) -> Option<()> {
    let distance = to.wrapping_sub(from).cast_signed();
    let (min, max) = imm.range();
    if !(min..=max).contains(&distance) || distance.checked_rem(imm.step()) != Some(0) {
        return None;
    }
    imm.store(code, distance)
}

/// As [`reach`] with `addis` at `at`, and the instruction behind it.
fn reach_pair(code: &mut [u8], at: usize, low: Imm, to: u64, from: u64) -> Option<()> {
    reach(code.get_mut(at..)?, Imm::D(Part::Ha), to, from)?;
    reach(code.get_mut(at.checked_add(4)?..)?, low, to, from)
}

/// The code that lazy entries branch to: it hands over to the loader's resolver, with the number of the entry in r0, the
/// link map in r11, and the resolver's address in r12.
///
/// `glink` is its address, `slots` that of the PLT's slots, of which the loader fills the first two. r12 holds the address
/// of the lazy entry, since a call stub has loaded it from the slot.
pub(crate) fn glink_header(glink: u64, slots: u64) -> [u8; HEADER] {
    let mut bytes = code([
        0x7c08_02a6, //  0: mflr  r0
        0x429f_0005, //  4: bcl   20,31,.+4
        0x7d68_02a6, //  8: mflr  r11          # glink + 8
        0x7c08_03a6, //  c: mtlr  r0
        0x7d8b_6050, // 10: sub   r12,r12,r11  # from here to the lazy entry
        0x380c_ffc8, // 14: addi  r0,r12,-56   # from the first lazy entry to this one
        0x7800_f082, // 18: srdi  r0,r0,2      # its number
        0xe98b_0030, // 1c: ld    r12,48(r11)  # from here to the slots
        0x7d6c_5a14, // 20: add   r11,r12,r11
        0xe98b_0000, // 24: ld    r12,0(r11)   # the resolver
        0xe96b_0008, // 28: ld    r11,8(r11)   # the link map
        0x7d89_03a6, // 2c: mtctr r12
        0x4e80_0420, // 30: bctr
        NOP,         // 34: nop
        0,           // 38: .quad slots - (glink + 8)
        0,
    ]);
    if let Some(distance) = bytes.last_chunk_mut() {
        *distance = slots.wrapping_sub(glink.wrapping_add(8)).to_le_bytes();
    }
    bytes
}

/// The lazy entry with a number, below [`GLINK_ENTRIES`]: `b glink`.
pub(crate) fn glink_entry(number: u64) -> [u8; ENTRY] {
    let back = number.wrapping_mul(GLINK_ENTRY_SIZE).wrapping_add(GLINK_HEADER_SIZE);
    let mut bytes = 0x4800_0000_u32.to_le_bytes(); // b
    // The table is no larger than what a branch reaches.
    let _ = reach(&mut bytes, Imm::Branch24, 0, back);
    bytes
}

/// A call stub for callers that have the image's TOC pointer in r2: saves it where the caller restores it from, and jumps
/// to what `slot` holds.
pub(crate) fn call_stub(slot: u64, toc: u64) -> Option<[u8; STUB]> {
    let mut bytes = code([
        0xf841_0018, //  0: std   r2,24(r1)
        0x3d82_0000, //  4: addis r12,r2,slot@toc@ha
        0xe98c_0000, //  8: ld    r12,slot@toc@l(r12)
        0x7d89_03a6, //  c: mtctr r12
        0x4e80_0420, // 10: bctr
        0x7fe0_0008, // 14: trap
        0x7fe0_0008, // 18: trap
        0x7fe0_0008, // 1c: trap
    ]);
    reach_pair(&mut bytes, 4, Imm::Ds(Part::Lo), slot, toc)?;
    Some(bytes)
}

/// A call stub at `place` for callers without a TOC pointer, and for anybody who calls through a pointer: jumps to what
/// `slot` holds.
pub(crate) fn call_stub_notoc(isa: Isa, place: u64, slot: u64) -> Option<[u8; STUB]> {
    match isa {
        Isa::Power8 => place_relative(0xe98c_0000, Imm::Ds(Part::Lo), place, slot), // ld r12,slot-0x8@l(r12)
        Isa::Power10 => place_relative_prefixed([0x0410_0000, 0xe580_0000], place, slot), // pld r12,slot@pcrel
    }
}

/// What a thunk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Thunk {
    /// Goes on to a local entry point, with the TOC pointer in r2.
    Long,
    /// Saves the TOC pointer, and goes on to code that does not keep it.
    SaveToc,
    /// Goes on to a global entry point, without a TOC pointer.
    NoToc(Isa),
}

impl Thunk {
    /// How far it can lead, from the TOC pointer or from itself, in bytes.
    pub(crate) fn reach(self) -> u64 {
        match self {
            Self::Long | Self::SaveToc | Self::NoToc(Isa::Power8) => 1 << 31,
            Self::NoToc(Isa::Power10) => 1 << 33,
        }
    }

    /// What the names of its symbols start with; the target's name follows.
    pub(crate) fn symbol_prefix(self) -> &'static str {
        match self {
            Self::Long => "__PPC64LongThunk_",
            Self::SaveToc => "__PPC64SaveTocThunk_",
            Self::NoToc(_) => "__PPC64NoTocThunk_",
        }
    }

    /// The code of a thunk at `place` that goes on to `target`; `None` if that is too far.
    pub(crate) fn code(self, place: u64, target: u64, toc: u64) -> Option<Vec<u8>> {
        let code = match self {
            Self::Long => long_branch(target, toc),
            Self::SaveToc => save_toc(target, toc),
            Self::NoToc(isa) => branch_notoc(isa, place, target),
        };
        code.map(Vec::from)
    }
}

/// A thunk from code with a TOC pointer to code that uses the same one: to the local entry point `target`.
fn long_branch(target: u64, toc: u64) -> Option<[u8; STUB]> {
    let mut bytes = code([
        0x3d82_0000, //  0: addis r12,r2,target@toc@ha
        0x398c_0000, //  4: addi  r12,r12,target@toc@l
        0x7d89_03a6, //  8: mtctr r12
        0x4e80_0420, //  c: bctr
        0x7fe0_0008, // 10: trap
        0x7fe0_0008, // 14: trap
        0x7fe0_0008, // 18: trap
        0x7fe0_0008, // 1c: trap
    ]);
    reach_pair(&mut bytes, 0, Imm::D(Part::Lo), target, toc)?;
    Some(bytes)
}

/// A thunk from code with a TOC pointer to code that does not keep it: saves it where the caller restores it from.
fn save_toc(target: u64, toc: u64) -> Option<[u8; STUB]> {
    let mut bytes = code([
        0xf841_0018, //  0: std   r2,24(r1)
        0x3d82_0000, //  4: addis r12,r2,target@toc@ha
        0x398c_0000, //  8: addi  r12,r12,target@toc@l
        0x7d89_03a6, //  c: mtctr r12
        0x4e80_0420, // 10: bctr
        0x7fe0_0008, // 14: trap
        0x7fe0_0008, // 18: trap
        0x7fe0_0008, // 1c: trap
    ]);
    reach_pair(&mut bytes, 4, Imm::D(Part::Lo), target, toc)?;
    Some(bytes)
}

/// A thunk at `place` from code without a TOC pointer to the global entry point `target`, which makes its own of r12.
fn branch_notoc(isa: Isa, place: u64, target: u64) -> Option<[u8; STUB]> {
    match isa {
        Isa::Power8 => place_relative(0x398c_0000, Imm::D(Part::Lo), place, target), // addi r12,r12,target-0x8@l
        Isa::Power10 => place_relative_prefixed([0x0610_0000, 0x3980_0000], place, target), // pla r12,target@pcrel
    }
}

fn place_relative(second: u32, low: Imm, place: u64, to: u64) -> Option<[u8; STUB]> {
    let mut bytes = code([
        0x7d88_02a6, //  0: mflr  r12
        0x429f_0005, //  4: bcl   20,31,.+4
        0x7d68_02a6, //  8: mflr  r11          # place + 8
        0x7d88_03a6, //  c: mtlr  r12
        0x3d8b_0000, // 10: addis r12,r11,(to - (place + 8))@ha
        second,      // 14: …     r12,(to - (place + 8))@l(r12)
        0x7d89_03a6, // 18: mtctr r12
        0x4e80_0420, // 1c: bctr
    ]);
    reach_pair(&mut bytes, 16, low, to, place.wrapping_add(8))?;
    Some(bytes)
}

fn place_relative_prefixed([prefix, first]: [u32; 2], place: u64, to: u64) -> Option<[u8; STUB]> {
    let mut bytes = code([
        prefix,      //  0: …     r12,to@pcrel
        first,       //  4:
        0x7d89_03a6, //  8: mtctr r12
        0x4e80_0420, //  c: bctr
        0x7fe0_0008, // 10: trap
        0x7fe0_0008, // 14: trap
        0x7fe0_0008, // 18: trap
        0x7fe0_0008, // 1c: trap
    ]);
    reach(&mut bytes, Imm::D34, to, place)?;
    Some(bytes)
}

/// Turns the nop behind a call, at the start of `behind`, into the instruction that restores the TOC pointer.
///
/// # Errors
/// Why that cannot be, for a person.
pub(crate) fn restore_toc(call: &[u8], behind: &mut [u8]) -> Result<(), Reason> {
    // The link bit.
    if word(call).is_some_and(|word| word & 1 == 0) {
        return Err(
            "the function may be another library's, or does not keep the TOC pointer, and a jump cannot restore it afterwards; \
             recompile with -fno-optimize-sibling-calls, or give the function hidden visibility",
        );
    }
    match word(behind) {
        Some(NOP) => {
            if let Some(word) = behind.first_chunk_mut() {
                *word = RESTORE_TOC.to_le_bytes();
            }
            Ok(())
        }
        Some(RESTORE_TOC) => Ok(()),
        _ => Err(
            "the function may be another library's, or does not keep the TOC pointer, and no nop behind the call leaves \
             room for restoring it; recompile with -fPIC, or give the function hidden visibility",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    fn words(bytes: &[u8]) -> Vec<u32> {
        bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    #[test]
    fn distances_are_those_of_the_instructions() {
        // (slot or target) − TOC = 0x1_8004: @ha is 2, since @l is negative.
        let stub = words(&call_stub(0x2_8004, 0x1_0000).unwrap());
        assert_eq!(stub[1..3], [0x3d82_0002, 0xe98c_8004]);
        let thunk = words(&long_branch(0x2_8004, 0x1_0000).unwrap());
        assert_eq!(thunk[..2], [0x3d82_0002, 0x398c_8004]);
        let thunk = words(&save_toc(0x2_8004, 0x1_0000).unwrap());
        assert_eq!(thunk[..3], [0xf841_0018, 0x3d82_0002, 0x398c_8004]);
        // From the third instruction on: 0x2_8004 − 0x1_0008 = 0x1_7ffc.
        let stub = words(&call_stub_notoc(Isa::Power8, 0x1_0000, 0x2_8004).unwrap());
        assert_eq!(stub[4..6], [0x3d8b_0001, 0xe98c_7ffc]);
        let thunk = words(&branch_notoc(Isa::Power8, 0x1_0000, 0x2_8004).unwrap());
        assert_eq!(thunk[4..6], [0x3d8b_0001, 0x398c_7ffc]);
        // From the first one: 0x1_8004.
        let stub = words(&call_stub_notoc(Isa::Power10, 0x1_0000, 0x2_8004).unwrap());
        assert_eq!(stub[..2], [0x0410_0001, 0xe580_8004]);
        let thunk = words(&branch_notoc(Isa::Power10, 0x1_0000, 0x2_8004).unwrap());
        assert_eq!(thunk[..2], [0x0610_0001, 0x3980_8004]);
    }

    #[test]
    fn what_is_out_of_reach_is_refused() {
        let far = 1 << 40;
        assert_eq!(call_stub(far, 0), None);
        assert_eq!(long_branch(far, 0), None);
        assert_eq!(save_toc(far, 0), None);
        for isa in [Isa::Power8, Isa::Power10] {
            assert_eq!(call_stub_notoc(isa, far, 0), None);
            assert_eq!(branch_notoc(isa, far, 0), None);
        }
        // The slot of a load must be a multiple of 4 away.
        assert_eq!(call_stub(0x1002, 0), None);
    }

    #[test]
    fn calls_restore_the_toc_pointer_where_there_is_room() {
        let restored = |call: u32, behind: u32| {
            let mut bytes = behind.to_le_bytes();
            restore_toc(&call.to_le_bytes(), &mut bytes).map(|()| u32::from_le_bytes(bytes))
        };
        let (bl, b, mr) = (0x4800_0001, 0x4800_0000, 0x7c7e_1b78);
        assert_eq!(restored(bl, NOP), Ok(RESTORE_TOC));
        assert_eq!(restored(bl, RESTORE_TOC), Ok(RESTORE_TOC));
        assert!(restored(bl, mr).unwrap_err().contains("no nop"));
        assert!(restored(b, NOP).unwrap_err().contains("a jump"));
        assert!(restore_toc(&0x4800_0001_u32.to_le_bytes(), &mut []).unwrap_err().contains("no nop"));
    }

    #[test]
    fn lazy_entries_lead_to_the_header() {
        assert_eq!(u32::from_le_bytes(glink_entry(0)), 0x4bff_ffc0); // b .-64
        assert_eq!(u32::from_le_bytes(glink_entry(3)), 0x4bff_ffb4); // b .-76
        assert_eq!(u32::from_le_bytes(glink_entry(GLINK_ENTRIES)), 0x4a00_0000); // b .-0x2000000
        let header = glink_header(0x1000, 0x9000);
        assert_eq!(header[56..], 0x7ff8_u64.to_le_bytes());
    }
}
