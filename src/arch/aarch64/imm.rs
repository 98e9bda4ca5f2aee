//! The immediate fields of instructions.
//!
//! Source: *Arm Architecture Reference Manual for A-profile*, DDI 0487, chapter C6; the ranges are those of *ELF for the Arm
//! 64-bit Architecture*, IHI 0056, tables of chapter 5.7.

/// A field of an instruction of four bytes, and which numbers it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imm {
    /// `b`, `bl`: 26 bits at 0, a signed number of words.
    Branch26,
    /// `b.cond`, `cbz`, `ldr` of a literal: 19 bits at 5, a signed number of words.
    Words19,
    /// `tbz`, `tbnz`: 14 bits at 5, a signed number of words.
    Branch14,
    /// `adr`: 19 high bits at 5 and 2 low bits at 29, a signed number of bytes.
    Adr,
    /// `adrp`: bits as for `adr`, a signed number of pages of 4 KiB.
    Adrp,
    /// `adrp`: the low 21 bits of the number of pages, whatever the others are.
    AdrpLow,
    /// `add`: 12 bits at 10, unsigned.
    Add12,
    /// `add …, lsl #12`: 12 bits at 10, the upper half of an unsigned number of 24 bits.
    Add12High,
    /// Loads and stores: 12 bits at 10, an unsigned offset in units of 2^`shift` bytes; only those below 4 KiB, as they
    /// follow an `adrp`.
    Load12 {
        /// Binary logarithm of the bytes that are accessed.
        shift: u8,
    },
    /// `ldr` of 8 bytes: 12 bits at 10, any offset below 32 KiB.
    Load15,
    /// `movz`, `movn`, `movk`: 16 bits at 5.
    Move {
        /// Which 16 bits of the number: 0 the lowest, 3 the highest.
        part: u8,
        /// What is known of the others.
        form: Move,
    },
}

/// What is known of the bits of a number that a `mov` instruction leaves to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Those above are zero.
    Unsigned,
    /// Those above are the sign, and the instruction becomes `movz` or `movn` to say which.
    Signed,
    /// Nothing.
    Part,
}

impl Imm {
    /// The field that the low 12 bits of an address go to: that of an `add`, or of a load or store with an unsigned offset in
    /// units of what it accesses. `None` for other instructions.
    #[allow(dead_code, reason = "formats ask for it whose relocations leave it to the instruction")]
    pub(crate) fn of_page_offset(instruction: u32) -> Option<Self> {
        // add (immediate), either width.
        if instruction & 0x7fc0_0000 == 0x1100_0000 {
            return Some(Self::Add12);
        }
        // Load/store register (unsigned immediate): size 111 V 01 opc.
        if instruction & 0x3b00_0000 != 0x3900_0000 {
            return None;
        }
        let (size, vector, wide) = (instruction >> 30, instruction & 1 << 26 != 0, instruction & 1 << 23 != 0);
        let shift = match size {
            0 if vector && wide => 4,
            0 => 0,
            1 => 1,
            2 => 2,
            _ => 3,
        };
        Some(Self::Load12 { shift })
    }

    /// Width in bytes.
    pub(crate) const fn size(self) -> u64 {
        4
    }

    /// The smallest and the largest number that fits, each inclusive.
    pub(crate) const fn range(self) -> (i64, i64) {
        match self {
            Self::Branch26 => (-(1 << 27), (1 << 27) - 1),
            Self::Words19 | Self::Adr => (-(1 << 20), (1 << 20) - 1),
            Self::Branch14 => (-(1 << 15), (1 << 15) - 1),
            Self::Adrp => (-(1 << 32), (1 << 32) - 1),
            Self::Add12 | Self::Load12 { .. } => (0, (1 << 12) - 1),
            Self::Add12High => (0, (1 << 24) - 1),
            Self::Load15 => (0, (1 << 15) - 1),
            Self::Move { form: Move::Unsigned, part: 0 } => (0, (1 << 16) - 1),
            Self::Move { form: Move::Unsigned, part: 1 } => (0, (1 << 32) - 1),
            Self::Move { form: Move::Unsigned, part: 2 } => (0, (1 << 48) - 1),
            Self::Move { form: Move::Signed, part: 0 } => (-(1 << 16), (1 << 16) - 1),
            Self::Move { form: Move::Signed, part: 1 } => (-(1 << 32), (1 << 32) - 1),
            Self::Move { form: Move::Signed, part: 2 } => (-(1 << 48), (1 << 48) - 1),
            Self::AdrpLow | Self::Move { .. } => (i64::MIN, i64::MAX),
        }
    }

    /// What every number must be a multiple of: a power of two.
    pub(crate) const fn step(self) -> i64 {
        match self {
            Self::Branch26 | Self::Words19 | Self::Branch14 => 4,
            Self::Adrp | Self::AdrpLow => 1 << 12,
            Self::Load12 { shift: 0 } => 1,
            Self::Load12 { shift: 1 } => 2,
            Self::Load12 { shift: 2 } => 4,
            Self::Load12 { shift: 3 } | Self::Load15 => 8,
            Self::Load12 { .. } => 16,
            Self::Adr | Self::Add12 | Self::Add12High | Self::Move { .. } => 1,
        }
    }

    /// Stores a number that is in [`range`](Self::range) and a multiple of [`step`](Self::step) in the instruction at the
    /// start of `bytes`. Returns `None`, with `bytes` unchanged, if they are too few.
    pub(crate) fn store(self, bytes: &mut [u8], value: i64) -> Option<()> {
        let place: &mut [u8; 4] = bytes.first_chunk_mut()?;
        let instruction = u32::from_le_bytes(*place);
        *place = self.insert(instruction, value.cast_unsigned()).to_le_bytes();
        Some(())
    }

    fn insert(self, instruction: u32, value: u64) -> u32 {
        let put = |bits: u32, at: u32, number: u64| {
            let mask = low(bits);
            instruction & !(mask << at) | (low32(number) & mask) << at
        };
        match self {
            Self::Branch26 => put(26, 0, value >> 2),
            Self::Words19 => put(19, 5, value >> 2),
            Self::Branch14 => put(14, 5, value >> 2),
            Self::Adr => insert_adr(instruction, value),
            Self::Adrp | Self::AdrpLow => insert_adr(instruction, value >> 12),
            Self::Add12 => put(12, 10, value),
            Self::Add12High => put(12, 10, value >> 12),
            Self::Load12 { shift } => put(12, 10, value >> (shift & 7)),
            Self::Load15 => put(12, 10, value >> 3),
            Self::Move { part, form } => {
                let negative = form == Move::Signed && value.cast_signed() < 0;
                let number = if negative { !value } else { value } >> (16 * u32::from(part & 3));
                let moved = put(16, 5, number);
                match form {
                    // Bits 30 and 29: 00 is movn, 10 movz, 11 movk; the last adds to what others have said.
                    Move::Signed if moved & MOVK == MOVK => moved,
                    Move::Signed if negative => moved & !MOVZ,
                    Move::Signed => moved | MOVZ,
                    Move::Unsigned | Move::Part => moved,
                }
            }
        }
    }

    /// The number that the instruction at the start of `bytes` holds, as [`store`](Self::store) puts it there; of a number in
    /// parts, the part. `None` if the bytes are too few.
    pub(crate) fn load(self, bytes: &[u8]) -> Option<i64> {
        let instruction = u32::from_le_bytes(*bytes.first_chunk()?);
        let field = |bits: u32, at: u32| i64::from(instruction >> at & low(bits));
        // The number's sign is in its highest bit.
        let signed = |bits: u32, number: i64| (number ^ sign(bits)).wrapping_sub(sign(bits));
        let adr = || signed(21, field(19, 5) << 2 | field(2, 29));
        Some(match self {
            Self::Branch26 => signed(26, field(26, 0)) << 2,
            Self::Words19 => signed(19, field(19, 5)) << 2,
            Self::Branch14 => signed(14, field(14, 5)) << 2,
            Self::Adr => adr(),
            Self::Adrp | Self::AdrpLow => adr() << 12,
            Self::Add12 => field(12, 10),
            Self::Add12High => field(12, 10) << 12,
            Self::Load12 { shift } => field(12, 10) << (shift & 7),
            Self::Load15 => field(12, 10) << 3,
            Self::Move { part, form } => {
                let shift = 16 * u32::from(part & 3);
                let movn = form == Move::Signed && instruction & MOVK == 0;
                let number = field(16, 5) << shift;
                if movn { !number } else { number }
            }
        })
    }
}

/// Bit 30, which tells `movz` from `movn`.
const MOVZ: u32 = 1 << 30;
/// Bits 30 and 29, which are set in `movk`.
const MOVK: u32 = 3 << 29;

fn insert_adr(instruction: u32, value: u64) -> u32 {
    let value = low32(value);
    instruction & !(3 << 29 | low(19) << 5) | (value & 3) << 29 | (value >> 2 & low(19)) << 5
}

/// A mask of the low `bits` bits, at most 31 of them.
const fn low(bits: u32) -> u32 {
    (1_u32 << (bits & 31)).wrapping_sub(1)
}

/// The highest of `bits` bits, at most 31 of them.
const fn sign(bits: u32) -> i64 {
    (low(bits) ^ low(bits) >> 1) as i64
}

/// The low 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn low32(value: u64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const SIGNED: [Imm; 3] = [moved(0, Move::Signed), moved(1, Move::Signed), moved(2, Move::Signed)];

    const fn moved(part: u8, form: Move) -> Imm {
        Imm::Move { part, form }
    }

    const fn load(shift: u8) -> Imm {
        Imm::Load12 { shift }
    }

    /// The field, the instruction with zeros in it, the number, and what `llvm-mc --triple=aarch64 --show-encoding` gives.
    const ENCODINGS: [(Imm, u32, i64, u32); 36] = [
        (Imm::Branch26, 0x9400_0000, 4, 0x9400_0001),                      // bl #4
        (Imm::Branch26, 0x9400_0000, -0x800_0000, 0x9600_0000),            // bl #-134217728
        (Imm::Branch26, 0x1400_0000, 0x7ff_fffc, 0x15ff_ffff),             // b #134217724
        (Imm::Words19, 0x5400_0001, -0x10_0000, 0x5480_0001),              // b.ne #-1048576
        (Imm::Words19, 0xb400_0003, 0xf_fffc, 0xb47f_ffe3),                // cbz x3, #1048572
        (Imm::Words19, 0x5800_0005, 8, 0x5800_0045),                       // ldr x5, #8
        (Imm::Branch14, 0x3718_0001, -0x8000, 0x371c_0001),                // tbnz w1, #3, #-32768
        (Imm::Branch14, 0xb640_0001, 0x7ffc, 0xb643_ffe1),                 // tbz x1, #40, #32764
        (Imm::Adr, 0x1000_0000, 1, 0x3000_0000),                           // adr x0, #1
        (Imm::Adr, 0x1000_0007, -0x10_0000, 0x1080_0007),                  // adr x7, #-1048576
        (Imm::Adr, 0x1000_0007, 0xf_ffff, 0x707f_ffe7),                    // adr x7, #1048575
        (Imm::Adrp, 0x9000_0000, 0x1000, 0xb000_0000),                     // adrp x0, #4096
        (Imm::Adrp, 0x9000_0010, -0x1_0000_0000, 0x9080_0010),             // adrp x16, #-4294967296
        (Imm::Adrp, 0x9000_0010, 0xffff_f000, 0xf07f_fff0),                // adrp x16, #4294963200
        (Imm::AdrpLow, 0x9000_0010, 0x1_ffff_f000, 0xf0ff_fff0),           // adrp x16, #-4096
        (Imm::Add12, 0x9100_0021, 0xfff, 0x913f_fc21),                     // add x1, x1, #0xfff
        (Imm::Add12High, 0x9140_0041, 0xab_cdef, 0x916a_f041),             // add x1, x2, #0xabc, lsl #12
        (load(0), 0x3940_0020, 0xabc, 0x396a_f020),                        // ldrb w0, [x1, #0xabc]
        (load(1), 0x7940_0020, 0xabc, 0x7955_7820),                        // ldrh w0, [x1, #0xabc]
        (load(2), 0xb900_0020, 0xabc, 0xb90a_bc20),                        // str w0, [x1, #0xabc]
        (load(3), 0xf940_0020, 0xab8, 0xf945_5c20),                        // ldr x0, [x1, #0xab8]
        (load(4), 0x3dc0_0020, 0xab0, 0x3dc2_ac20),                        // ldr q0, [x1, #0xab0]
        (Imm::Load15, 0xf940_0211, 0x7ff8, 0xf97f_fe11),                   // ldr x17, [x16, #32760]
        (moved(0, Move::Unsigned), 0xd280_0000, 0xffff, 0xd29f_ffe0),      // movz x0, #0xffff
        (moved(1, Move::Unsigned), 0xd2a0_0000, 0x1234_5678, 0xd2a2_4680), // movz x0, #0x1234, lsl #16
        (moved(2, Move::Part), 0xf2c0_0000, 0x7fff_1234_5678_9abc, 0xf2c2_4680), // movk x0, #0x1234, lsl #32
        (moved(3, Move::Part), 0xd2e0_0000, i64::MIN, 0xd2f0_0000),        // movz x0, #0x8000, lsl #48
        // The sign chooses the instruction.
        (moved(1, Move::Signed), 0xd2a0_0000, 0x1234_5678, 0xd2a2_4680), // movz x0, #0x1234, lsl #16
        (moved(1, Move::Signed), 0x92a0_0000, 0x1234_5678, 0xd2a2_4680), // movz x0, #0x1234, lsl #16
        (moved(1, Move::Signed), 0xd2a0_0000, !0x1234_5678, 0x92a2_4680), // movn x0, #0x1234, lsl #16
        (moved(0, Move::Signed), 0xd280_0000, -1, 0x9280_0000),          // movn x0, #0
        (moved(3, Move::Signed), 0xd2e0_0000, -1, 0x92e0_0000),          // movn x0, #0, lsl #48
        (moved(2, Move::Signed), 0xf2c0_0000, -1, 0xf2c0_0000),          // movk x0, #0, lsl #32
        // What stood in the field before makes no difference.
        (Imm::Branch26, 0x97ff_ffff, 0, 0x9400_0000), // bl #0
        (Imm::Adrp, 0xf0ff_ffe3, 0, 0x9000_0003),     // adrp x3, #0
        (load(3), 0xf97f_fe11, 0, 0xf940_0211),       // ldr x17, [x16]
    ];

    #[test]
    fn instructions_are_encoded() {
        for (imm, before, value, after) in ENCODINGS {
            let (min, max) = imm.range();
            assert!((min..=max).contains(&value), "{imm:?} {value:#x}");
            let mut bytes = before.to_le_bytes();
            imm.store(&mut bytes, value).unwrap();
            assert_eq!(u32::from_le_bytes(bytes), after, "{imm:?} {value:#x}: {:08x}", u32::from_le_bytes(bytes));
        }
        assert_eq!(Imm::Adr.store(&mut [0; 3], 0), None);
        assert_eq!(Imm::Adr.load(&[0; 3]), None);
    }

    /// "Check that …" of IHI 0056, as the first numbers that do not fit.
    #[test]
    fn ranges_are_the_abis() {
        for (imm, below, above) in [
            (Imm::Branch26, -(1_i64 << 27), 1_i64 << 27),
            (Imm::Words19, -(1 << 20), 1 << 20),
            (Imm::Branch14, -(1 << 15), 1 << 15),
            (Imm::Adr, -(1 << 20), 1 << 20),
            (Imm::Adrp, -(1 << 32), 1 << 32),
            (Imm::Add12, 0, 1 << 12),
            (Imm::Add12High, 0, 1 << 24),
            (Imm::Load15, 0, 1 << 15),
            (moved(0, Move::Unsigned), 0, 1 << 16),
            (moved(1, Move::Unsigned), 0, 1 << 32),
            (moved(2, Move::Unsigned), 0, 1 << 48),
            (moved(0, Move::Signed), -(1 << 16), 1 << 16),
            (moved(1, Move::Signed), -(1 << 32), 1 << 32),
            (moved(2, Move::Signed), -(1 << 48), 1 << 48),
        ] {
            assert_eq!(imm.range(), (below, above - 1), "{imm:?}");
        }
        for imm in [Imm::AdrpLow, moved(0, Move::Part), moved(3, Move::Unsigned), moved(3, Move::Signed)] {
            assert_eq!(imm.range(), (i64::MIN, i64::MAX), "{imm:?}");
        }
    }

    #[test]
    fn the_instruction_tells_the_field_of_a_page_offset() {
        for (instruction, expected) in [
            (0x913f_fc21, Some(Imm::Add12)), // add x1, x1, #0xfff
            (0x1100_0420, Some(Imm::Add12)), // add w0, w1, #1
            (0x396a_f020, Some(load(0))),    // ldrb w0, [x1, #0xabc]
            (0x3d40_0420, Some(load(0))),    // ldr b0, [x1, #1]
            (0x7d40_0420, Some(load(1))),    // ldr h0, [x1, #2]
            (0xb90a_bc20, Some(load(2))),    // str w0, [x1, #0xabc]
            (0xb980_0420, Some(load(2))),    // ldrsw x0, [x1, #4]
            (0xf980_0420, Some(load(3))),    // prfm pldl1keep, [x1, #8]
            (0xf945_5c20, Some(load(3))),    // ldr x0, [x1, #0xab8]
            (0x3dc2_ac20, Some(load(4))),    // ldr q0, [x1, #0xab0]
            (0x9000_0010, None),             // adrp x16, #0
            (0xa9bf_7bf0, None),             // stp x16, x30, [sp, #-16]!
            (0xd61f_0220, None),             // br x17
            (0x916a_f041, None),             // add x1, x2, #0xabc, lsl #12
            (0xf840_0420, None),             // ldr x0, [x1], #0
        ] {
            assert_eq!(Imm::of_page_offset(instruction), expected, "{instruction:08x}");
        }
    }

    proptest! {
        /// What is stored is read again, and no bit beside the field changes.
        #[test]
        fn stored_numbers_are_read(instruction: u32, raw: i64, shift in 0_u8..5) {
            let all = [
                Imm::Branch26, Imm::Words19, Imm::Branch14, Imm::Adr, Imm::Adrp, Imm::Add12, Imm::Load12 { shift }, Imm::Load15,
            ];
            for imm in all {
                let (min, max) = imm.range();
                let value = (min + raw.rem_euclid(max - min + 1)) & !(imm.step() - 1);
                let mut bytes = instruction.to_le_bytes();
                imm.store(&mut bytes, value).unwrap();
                prop_assert_eq!(imm.load(&bytes), Some(value), "{:?}", imm);
                let mut ones = [0xff; 4];
                let mut zeros = [0; 4];
                imm.store(&mut ones, 0).unwrap();
                imm.store(&mut zeros, !(imm.step() - 1)).unwrap();
                let field = !u32::from_le_bytes(ones);
                prop_assert_eq!(field, u32::from_le_bytes(zeros), "{:?}", imm);
                prop_assert_eq!((u32::from_le_bytes(bytes) ^ instruction) & !field, 0, "{:?}", imm);
            }
        }

        /// The parts of a number make it up, whichever of the two instructions begins.
        #[test]
        fn parts_make_up_a_number(number: i64) {
            for (last, imm) in SIGNED.into_iter().enumerate() {
                let (min, max) = imm.range();
                let number = min + number.rem_euclid(max - min + 1);
                let mut whole = 0;
                for part in 0..=u8::try_from(last).unwrap() {
                    let imm = if usize::from(part) == last { imm } else { moved(part, Move::Part) };
                    let mut bytes = 0xd280_0000_u32.to_le_bytes();
                    imm.store(&mut bytes, number).unwrap();
                    let below = (1_i64 << (16 * part)) - 1;
                    whole |= imm.load(&bytes).unwrap() & !below;
                }
                prop_assert_eq!(whole, number);
            }
        }
    }
}
