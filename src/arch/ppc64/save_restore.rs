//! The functions that save and restore registers, which a linker provides (psABI chapter 2, *Register Saving Functions*).
//!
//! With `-Os` a compiler calls them in prologues and epilogues instead of storing registers one by one. They are entered
//! at the first register wanted and run on to the last one. They leave r2 alone, so calls to them need no nop.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

/// One set of functions: they share their code, and differ in where it is entered.
#[derive(Debug)]
struct Family {
    /// What the names start with; the first register's number follows.
    prefix: &'static [u8],
    /// The first register that there is a function for; 31 is the last.
    first: u32,
    /// What is done for each register: the instructions for register 0, with displacement 0.
    each: &'static [u32],
    /// Bytes that a register takes in the save area, which ends at the base register.
    width: u32,
    /// What is done after the last register.
    last: &'static [u32],
}

/// All families, in the order their code stands in.
const FAMILIES: [Family; 8] = [
    // Base r1, the save area ends at the caller's frame; LR, in r0, goes to its place in that frame.
    Family { prefix: b"_savegpr0_", first: 14, each: &[STD_R1], width: 8, last: &[SAVE_LR, BLR] },
    Family { prefix: b"_restgpr0_", first: 14, each: &[LD_R1], width: 8, last: &[LOAD_LR, MTLR_R0, BLR] },
    // Base r12; LR is left alone.
    Family { prefix: b"_savegpr1_", first: 14, each: &[STD_R12], width: 8, last: &[BLR] },
    Family { prefix: b"_restgpr1_", first: 14, each: &[LD_R12], width: 8, last: &[BLR] },
    Family { prefix: b"_savefpr_", first: 14, each: &[STFD_R1], width: 8, last: &[SAVE_LR, BLR] },
    Family { prefix: b"_restfpr_", first: 14, each: &[LFD_R1], width: 8, last: &[LOAD_LR, MTLR_R0, BLR] },
    // Base r0.
    Family { prefix: b"_savevr_", first: 20, each: &[LI_R12, STVX], width: 16, last: &[BLR] },
    Family { prefix: b"_restvr_", first: 20, each: &[LI_R12, LVX], width: 16, last: &[BLR] },
];

const STD_R1: u32 = 0xf801_0000; // std  r0,0(r1)
const LD_R1: u32 = 0xe801_0000; // ld   r0,0(r1)
const STD_R12: u32 = 0xf80c_0000; // std  r0,0(r12)
const LD_R12: u32 = 0xe80c_0000; // ld   r0,0(r12)
const STFD_R1: u32 = 0xd801_0000; // stfd f0,0(r1)
const LFD_R1: u32 = 0xc801_0000; // lfd  f0,0(r1)
const LI_R12: u32 = 0x3980_0000; // li   r12,0
const STVX: u32 = 0x7c0c_01ce; // stvx v0,r12,r0
const LVX: u32 = 0x7c0c_00ce; // lvx  v0,r12,r0
const SAVE_LR: u32 = 0xf801_0010; // std  r0,16(r1)
const LOAD_LR: u32 = 0xe801_0010; // ld   r0,16(r1)
const MTLR_R0: u32 = 0x7c08_03a6; // mtlr r0
const BLR: u32 = 0x4e80_0020; // blr

/// The last register of every kind.
const LAST: u32 = 31;

/// A set of families, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Families(u8);

/// One of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Function {
    family: u8,
    register: u8,
}

impl Families {
    /// Adds that of a function.
    pub(crate) fn add(&mut self, function: Function) {
        self.0 |= 1_u8.wrapping_shl(function.family.into());
    }

    fn iter(self) -> impl Iterator<Item = (u8, &'static Family)> {
        (0..).zip(&FAMILIES).filter(move |(number, _)| self.0.wrapping_shr(u32::from(*number)) & 1 == 1)
    }

    /// Their code.
    pub(crate) fn code(self) -> Vec<u8> {
        self.iter().flat_map(|(_, family)| family.words()).flat_map(u32::to_le_bytes).collect()
    }

    /// Size of their code, in bytes.
    pub(crate) fn size(self) -> u64 {
        self.iter().map(|(_, family)| family.size()).fold(0, u64::wrapping_add)
    }

    /// The offset of a function in their code, in bytes.
    pub(crate) fn offset(self, function: Function) -> u64 {
        let before = self.iter().filter(|(number, _)| *number < function.family);
        let start = before.map(|(_, family)| family.size()).fold(0, u64::wrapping_add);
        let family = FAMILIES.get(usize::from(function.family));
        let skipped = family.map_or(0, |family| {
            family.step().wrapping_mul(u64::from(function.register).wrapping_sub(family.first.into()))
        });
        start.wrapping_add(skipped)
    }
}

impl Function {
    /// The function with a name, if it is one of them.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let (number, family, register) = FAMILIES
            .iter()
            .enumerate()
            .find_map(|(number, family)| Some((number, family, name.strip_prefix(family.prefix)?)))?;
        // Two digits: there is no register below 14 that a function must preserve.
        let [tens @ b'1'..=b'3', ones @ b'0'..=b'9'] = register else { return None };
        let register = (tens & 15).checked_mul(10)?.checked_add(ones & 15)?;
        let known = (family.first..=LAST).contains(&register.into());
        known.then_some(Self { family: u8::try_from(number).ok()?, register })
    }
}

impl Family {
    /// Size of the code for a register, in bytes.
    fn step(&self) -> u64 {
        4_u64.wrapping_mul(self.each.len() as u64)
    }

    fn size(&self) -> u64 {
        let registers = u64::from(LAST.wrapping_sub(self.first)).wrapping_add(1);
        self.step().wrapping_mul(registers).wrapping_add(4_u64.wrapping_mul(self.last.len() as u64))
    }

    fn words(&self) -> impl Iterator<Item = u32> {
        let registers = (self.first..=LAST).flat_map(|register| {
            let below = LAST.wrapping_add(1).wrapping_sub(register).wrapping_mul(self.width);
            self.each.iter().map(move |word| match *word {
                LI_R12 => LI_R12 | displacement(below),
                STVX | LVX => word | register.wrapping_shl(21),
                word => word | register.wrapping_shl(21) | displacement(below),
            })
        });
        registers.chain(self.last.iter().copied())
    }
}

/// The displacement field of a place `below` bytes below the base register.
fn displacement(below: u32) -> u32 {
    below.wrapping_neg() & 0xffff
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    /// The code of the psABI (*Register Saving Functions*) at some of its labels, as the GNU assembler encodes it.
    const KNOWN: [(&str, &[u32]); 16] = [
        ("_savegpr0_14", &[0xf9c1_ff70, 0xf9e1_ff78]), // std r14,-144(r1); std r15,-136(r1)
        ("_savegpr0_31", &[0xfbe1_fff8, 0xf801_0010, 0x4e80_0020]), // std r31,-8(r1); std r0,16(r1); blr
        ("_restgpr0_14", &[0xe9c1_ff70]),              // ld r14,-144(r1)
        ("_restgpr0_31", &[0xebe1_fff8, 0xe801_0010, 0x7c08_03a6, 0x4e80_0020]),
        ("_savegpr1_14", &[0xf9cc_ff70]),              // std r14,-144(r12)
        ("_savegpr1_31", &[0xfbec_fff8, 0x4e80_0020]), // std r31,-8(r12); blr
        ("_restgpr1_14", &[0xe9cc_ff70]),              // ld r14,-144(r12)
        ("_restgpr1_31", &[0xebec_fff8, 0x4e80_0020]), // ld r31,-8(r12); blr
        ("_savefpr_14", &[0xd9c1_ff70]),               // stfd f14,-144(r1)
        ("_savefpr_31", &[0xdbe1_fff8, 0xf801_0010, 0x4e80_0020]),
        ("_restfpr_14", &[0xc9c1_ff70]), // lfd f14,-144(r1)
        ("_restfpr_31", &[0xcbe1_fff8, 0xe801_0010, 0x7c08_03a6, 0x4e80_0020]),
        ("_savevr_20", &[0x3980_ff40, 0x7e8c_01ce]), // li r12,-192; stvx v20,r12,r0
        ("_savevr_31", &[0x3980_fff0, 0x7fec_01ce, 0x4e80_0020]),
        ("_restvr_20", &[0x3980_ff40, 0x7e8c_00ce]), // li r12,-192; lvx v20,r12,r0
        ("_restvr_31", &[0x3980_fff0, 0x7fec_00ce, 0x4e80_0020]),
    ];

    fn at(families: Families, function: Function) -> Vec<u32> {
        let code = families.code();
        assert_eq!(code.len() as u64, families.size());
        let rest = &code[families.offset(function) as usize..];
        rest.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    #[test]
    fn functions_are_those_of_the_abi() {
        let mut all = Families::default();
        let functions = KNOWN.map(|(name, _)| Function::named(name.as_bytes()).unwrap());
        functions.iter().for_each(|function| all.add(*function));
        for ((name, words), function) in KNOWN.iter().zip(functions) {
            // Alone, and among the others.
            let mut one = Families::default();
            one.add(function);
            for families in [one, all] {
                assert!(at(families, function).starts_with(words), "{name}: {:x?}", at(families, function));
            }
        }
    }

    #[test]
    fn other_names_are_not() {
        for name in ["_savegpr0_13", "_savegpr0_32", "_savegpr0_", "_savegpr0_014", "_savevr_19", "_savegpr_14", ""] {
            assert_eq!(Function::named(name.as_bytes()), None, "{name}");
        }
    }
}
