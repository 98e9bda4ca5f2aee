//! The immediate fields of RISC-V instructions, and the numbers that differences of labels are stored in.
//!
//! Instructions of 32 bits keep the sign of an immediate in bit 31, whatever its length, and the same bits of different
//! immediates in the same places where they can; so the pieces of one immediate stand in an order that looks arbitrary
//! (ISA manual volume I, chapters *Immediate Encoding Variants* and *"C" Extension*):
//!
//! ```text
//!        31        25 24   20 19   15 14  12 11       7 6      0
//! U     [            imm[31:12]           ][   rd    ][opcode]   lui, auipc
//! I     [  imm[11:0]         ][  rs1  ][f3][   rd    ][opcode]   addi, loads, jalr
//! S     [ imm[11:5] ][  rs2  ][  rs1  ][f3][imm[4:0] ][opcode]   stores
//! B     [12|  10:5  ][  rs2  ][  rs1  ][f3][ 4:1 |11 ][opcode]   branches
//! J     [20|   10:1 |11|    19:12         ][   rd    ][opcode]   jal
//!
//!                 15   13 12      10 9   7 6         2 1  0
//! CB             [  f3  ][8| 4:3   ][ rs1 ][7:6|2:1|5][ op ]    c.beqz, c.bnez
//! CJ             [  f3  ][11|4|9:8|10|6|7|3:1|5      ][ op ]    c.j
//! ```

use object::LittleEndian as LE;
use object::{U16, U32};

/// Which bits of an instruction, or of a number, a relocation changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imm {
    /// The upper 20 bits of a number of 32, rounded so that adding the lower 12 as a signed number gives the whole:
    /// (X + 0x800) >> 12. `lui` and `auipc` extend the sign.
    U,
    /// The lower 12 bits of a number, in an instruction that adds or loads. Any number has some: whether the whole fits is
    /// for the upper bits to say.
    I,
    /// As [`I`](Self::I), in an instruction that stores.
    S,
    /// An even number of 13 bits: a branch of ±4 KiB.
    B,
    /// An even number of 21 bits: a jump of ±1 MiB.
    J,
    /// An even number of 9 bits: a compressed branch.
    Cb,
    /// An even number of 12 bits: a compressed jump.
    Cj,
    /// [`U`](Self::U) and [`I`](Self::I) of `auipc` and the `jalr` behind it: an even number of 32 bits.
    Call,
    /// A number that several relocations of one place make together, modulo its width.
    Part(Operation, Width),
    /// The same, in LEB128 of as many bytes as there are (DWARF 5, §7.6).
    Uleb(Operation),
}

/// What a relocation does with the number V that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// X.
    Set,
    /// V + X.
    Add,
    /// V − X.
    Subtract,
}

/// How wide a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// The lower 6 bits of a byte: the operand of `DW_CFA_advance_loc`.
    Six,
    /// 1, 2, 4 or 8 bytes.
    Bytes(u8),
}

/// The most bytes of a LEB128 number of 64 bits.
const ULEB_LIMIT: usize = 10;

impl Imm {
    /// Bytes of the instruction or number; of LEB128, the least.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::U | Self::I | Self::S | Self::B | Self::J => 4,
            Self::Cb | Self::Cj => 2,
            Self::Call => 8,
            Self::Part(_, Width::Bytes(bytes)) => bytes.into(),
            Self::Part(_, Width::Six) | Self::Uleb(_) => 1,
        }
    }

    /// The smallest and the largest value that fits, each inclusive.
    pub(crate) fn range(self) -> (i64, i64) {
        match self {
            // Those of 32 bits, moved by what rounding adds.
            Self::U | Self::Call => (-0x8000_0800, 0x7fff_f7ff),
            Self::B => (-0x1000, 0xffe),
            Self::J => (-0x10_0000, 0xf_fffe),
            Self::Cb => (-0x100, 0xfe),
            Self::Cj => (-0x800, 0x7fe),
            Self::I | Self::S | Self::Part(..) | Self::Uleb(_) => (i64::MIN, i64::MAX),
        }
    }

    /// What every value must be a multiple of.
    pub(crate) fn step(self) -> i64 {
        match self {
            Self::B | Self::J | Self::Cb | Self::Cj | Self::Call => 2,
            _ => 1,
        }
    }

    /// Stores `value` at the start of `bytes` and leaves the other bits of the instruction as they are. `None`, with
    /// `bytes` unchanged, if they are too few, or if a LEB128 number does not end in them or does not hold the result.
    pub(crate) fn store(self, bytes: &mut [u8], value: i64) -> Option<()> {
        let bits = value.cast_unsigned();
        match self {
            Self::U => change(bytes, 0xffff_f000, upper(bits)),
            Self::I => change(bytes, 0xfff0_0000, field(bits, 0, 12, 20)),
            Self::S => change(bytes, 0xfe00_0f80, field(bits, 5, 7, 25) | field(bits, 0, 5, 7)),
            Self::B => {
                let high = field(bits, 12, 1, 31) | field(bits, 5, 6, 25);
                change(bytes, 0xfe00_0f80, high | field(bits, 1, 4, 8) | field(bits, 11, 1, 7))
            }
            Self::J => {
                let high = field(bits, 20, 1, 31) | field(bits, 1, 10, 21);
                change(bytes, 0xffff_f000, high | field(bits, 11, 1, 20) | field(bits, 12, 8, 12))
            }
            Self::Cb => {
                let high = field(bits, 8, 1, 12) | field(bits, 3, 2, 10);
                let low = field(bits, 6, 2, 5) | field(bits, 1, 2, 3) | field(bits, 5, 1, 2);
                change_short(bytes, 0x1c7c, high | low)
            }
            Self::Cj => {
                let high = field(bits, 11, 1, 12) | field(bits, 4, 1, 11) | field(bits, 8, 2, 9);
                let middle = field(bits, 10, 1, 8) | field(bits, 6, 1, 7) | field(bits, 7, 1, 6);
                change_short(bytes, 0x1ffc, high | middle | field(bits, 1, 3, 3) | field(bits, 5, 1, 2))
            }
            Self::Call => {
                let (first, second) = bytes.get_mut(..8)?.split_at_mut_checked(4)?;
                Self::U.store(first, value)?;
                Self::I.store(second, value)
            }
            Self::Part(operation, width) => {
                let result = operation.of(self.load(bytes)?.cast_unsigned(), bits).to_le_bytes();
                match width {
                    Width::Six => {
                        let byte = bytes.first_mut()?;
                        *byte = *byte & 0xc0 | result.first()? & 0x3f;
                    }
                    Width::Bytes(size) => {
                        let size = usize::from(size);
                        bytes.get_mut(..size)?.copy_from_slice(result.get(..size)?);
                    }
                }
                Some(())
            }
            Self::Uleb(operation) => {
                let length = uleb_length(bytes)?;
                let number = operation.of(self.load(bytes)?.cast_unsigned(), bits);
                let digits = (0_u32..).step_by(7).map(|shift| number.checked_shr(shift).unwrap_or(0));
                if digits.clone().nth(length)? != 0 {
                    return None;
                }
                for (byte, [digit, ..]) in bytes.get_mut(..length)?.iter_mut().zip(digits.map(u64::to_le_bytes)) {
                    *byte = *byte & 0x80 | digit & 0x7f;
                }
                Some(())
            }
        }
    }

    /// The number in the field, its sign extended; of the upper bits, with zeros for the lower. `None` if the bytes are too
    /// few.
    pub(crate) fn load(self, bytes: &[u8]) -> Option<i64> {
        let word = || Some(u64::from(U32::<LE>::from_bytes(*bytes.first_chunk()?).get(LE)));
        let short = || Some(u64::from(U16::<LE>::from_bytes(*bytes.first_chunk()?).get(LE)));
        let part = |word: u64, from: u32, count: u32, to: u32| u64::from(field(word, from, count, to));
        let (number, width) = match self {
            Self::U => (word()? & 0xffff_f000, 32),
            Self::I => (part(word()?, 20, 12, 0), 12),
            Self::S => (part(word()?, 25, 7, 5) | part(word()?, 7, 5, 0), 12),
            Self::B => {
                let word = word()?;
                (part(word, 31, 1, 12) | part(word, 25, 6, 5) | part(word, 8, 4, 1) | part(word, 7, 1, 11), 13)
            }
            Self::J => {
                let word = word()?;
                (part(word, 31, 1, 20) | part(word, 21, 10, 1) | part(word, 20, 1, 11) | part(word, 12, 8, 12), 21)
            }
            Self::Cb => {
                let short = short()?;
                let high = part(short, 12, 1, 8) | part(short, 10, 2, 3);
                (high | part(short, 5, 2, 6) | part(short, 3, 2, 1) | part(short, 2, 1, 5), 9)
            }
            Self::Cj => {
                let short = short()?;
                let high = part(short, 12, 1, 11) | part(short, 11, 1, 4) | part(short, 9, 2, 8);
                let middle = part(short, 8, 1, 10) | part(short, 7, 1, 6) | part(short, 6, 1, 7);
                (high | middle | part(short, 3, 3, 1) | part(short, 2, 1, 5), 12)
            }
            Self::Call => {
                let (first, second) = bytes.get(..8)?.split_at_checked(4)?;
                return Self::U.load(first)?.checked_add(Self::I.load(second)?);
            }
            Self::Part(_, Width::Six) => return Some((bytes.first()? & 0x3f).into()),
            Self::Part(_, Width::Bytes(size)) => {
                let mut number = [0; 8];
                let size = usize::from(size);
                number.get_mut(..size)?.copy_from_slice(bytes.get(..size)?);
                return Some(i64::from_le_bytes(number));
            }
            Self::Uleb(_) => {
                let digits = bytes.get(..uleb_length(bytes)?)?.iter().zip((0_u32..).step_by(7));
                let placed = digits.map(|(byte, shift)| u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0));
                return Some(placed.fold(0, |number, digit| number | digit).cast_signed());
            }
        };
        let unused = u64::BITS.saturating_sub(width);
        number.checked_shl(unused)?.cast_signed().checked_shr(unused)
    }
}

impl Operation {
    /// The result for V and X.
    pub(crate) fn of(self, there: u64, value: u64) -> u64 {
        match self {
            Self::Set => value,
            Self::Add => there.wrapping_add(value),
            Self::Subtract => there.wrapping_sub(value),
        }
    }
}

/// The upper 20 bits of the lower 32, rounded.
fn upper(value: u64) -> u32 {
    field(value.wrapping_add(0x800), 12, 20, 12)
}

/// `count` bits of `value` from bit `from` on, at bit `to` of a word.
fn field(value: u64, from: u32, count: u32, to: u32) -> u32 {
    let mask = u64::MAX.checked_shr(u64::BITS.saturating_sub(count)).unwrap_or(0);
    let bits = value.checked_shr(from).unwrap_or(0) & mask;
    let placed = bits.checked_shl(to).unwrap_or(0).to_le_bytes();
    let [b0, b1, b2, b3, ..] = placed;
    u32::from_le_bytes([b0, b1, b2, b3])
}

/// Puts `bits` where `mask` has ones, in an instruction of 32 bits.
fn change(bytes: &mut [u8], mask: u32, bits: u32) -> Option<()> {
    let bytes = bytes.first_chunk_mut()?;
    *bytes = (u32::from_le_bytes(*bytes) & !mask | bits).to_le_bytes();
    Some(())
}

/// Puts `bits` where `mask` has ones, in an instruction of 16 bits.
fn change_short(bytes: &mut [u8], mask: u16, bits: u32) -> Option<()> {
    let [low, high, ..] = bits.to_le_bytes();
    let bytes = bytes.first_chunk_mut()?;
    *bytes = (u16::from_le_bytes(*bytes) & !mask | u16::from_le_bytes([low, high])).to_le_bytes();
    Some(())
}

/// The bytes of the LEB128 number at the start of `bytes`.
fn uleb_length(bytes: &[u8]) -> Option<usize> {
    let last = bytes.iter().take(ULEB_LIMIT).position(|byte| byte & 0x80 == 0)?;
    last.checked_add(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
    #![allow(clippy::cast_possible_truncation)]

    use super::*;
    use Operation::{Add, Set, Subtract};
    use Width::{Bytes, Six};
    use proptest::prelude::*;

    /// Instructions as LLVM 19 and GNU as 2.40 assemble them.
    #[test]
    fn instructions_hold_what_assemblers_put_there() {
        for (imm, before, value, after) in [
            (Imm::U, 0x0000_0517_u32, 0x1234_5678_i64, 0x1234_5517_u32), // auipc a0, 0x12345
            (Imm::U, 0x0000_0537, 0x1234_5fff, 0x1234_6537),             // lui a0, 0x12346
            (Imm::U, 0x0000_0537, -1, 0x0000_0537),                      // lui a0, 0
            (Imm::U, 0x0000_0537, -0x801, 0xffff_f537),                  // lui a0, 0xfffff
            (Imm::I, 0x0005_0513, 0x1234_5fff, 0xfff5_0513),             // addi a0, a0, -1
            (Imm::I, 0x0005_3503, 0x7f8, 0x7f85_3503),                   // ld a0, 2040(a0)
            (Imm::I, 0x0005_0513, -0x800, 0x8005_0513),                  // addi a0, a0, -2048
            (Imm::S, 0x00b5_3023, -1, 0xfeb5_3fa3),                      // sd a1, -1(a0)
            (Imm::S, 0x00b5_3023, 0x7ff, 0x7eb5_3fa3),                   // sd a1, 2047(a0)
            (Imm::B, 0x00b5_0063, 0xffe, 0x7eb5_0fe3),                   // beq a0, a1, .+4094
            (Imm::B, 0x00b5_0063, -0x1000, 0x80b5_0063),                 // beq a0, a1, .-4096
            (Imm::B, 0x00b5_0063, 0x554, 0x54b5_0a63),                   // beq a0, a1, .+0x554
            (Imm::J, 0x0000_00ef, 0xf_fffe, 0x7fff_f0ef),                // jal .+0xffffe
            (Imm::J, 0x0000_00ef, -0x10_0000, 0x8000_00ef),              // jal .-0x100000
            (Imm::J, 0x0000_00ef, 0x5_5554, 0x5545_50ef),                // jal .+0x55554
        ] {
            let mut bytes = before.to_le_bytes();
            imm.store(&mut bytes, value).unwrap();
            assert_eq!(u32::from_le_bytes(bytes), after, "{imm:?} {value:#x}: {bytes:x?}");
        }
        for (imm, before, value, after) in [
            (Imm::Cb, 0xc101_u16, 0xfe_i64, 0xcd7d_u16), // c.beqz a0, .+254
            (Imm::Cb, 0xc101, -0x100, 0xd101),           // c.beqz a0, .-256
            (Imm::Cb, 0xc101, 0xaa, 0xc54d),             // c.beqz a0, .+0xaa
            (Imm::Cj, 0xa001, 0x7fe, 0xaffd),            // c.j .+2046
            (Imm::Cj, 0xa001, -0x800, 0xb001),           // c.j .-2048
            (Imm::Cj, 0xa001, 0x2aa, 0xa46d),            // c.j .+0x2aa
        ] {
            let mut bytes = before.to_le_bytes();
            imm.store(&mut bytes, value).unwrap();
            assert_eq!(u16::from_le_bytes(bytes), after, "{imm:?} {value:#x}: {bytes:x?}");
        }
        // auipc ra, 0x12346; jalr ra, -0x800(ra)
        let mut call = [0x97, 0, 0, 0, 0xe7, 0x80, 0, 0];
        Imm::Call.store(&mut call, 0x1234_5800).unwrap();
        assert_eq!(call, [0x97, 0x60, 0x34, 0x12, 0xe7, 0x80, 0x00, 0x80]);
    }

    /// psABI, *PC-Relative Symbol Addresses* and *PC-Relative Jumps and Branches*.
    #[test]
    fn ranges_are_those_of_the_instructions() {
        for (imm, range, step) in [
            (Imm::U, (-0x8000_0800, 0x7fff_f7ff), 1),
            (Imm::Call, (-0x8000_0800, 0x7fff_f7ff), 2),
            (Imm::B, (-4096, 4094), 2),
            (Imm::J, (-0x10_0000, 0xf_fffe), 2),
            (Imm::Cb, (-256, 254), 2),
            (Imm::Cj, (-2048, 2046), 2),
        ] {
            assert_eq!((imm.range(), imm.step()), (range, step), "{imm:?}");
            let mut bytes = [0; 8];
            for value in [range.0, range.1 / step * step] {
                imm.store(&mut bytes, value).unwrap();
                let rounded = if imm == Imm::U { (value + 0x800) & !0xfff } else { value };
                assert_eq!(imm.load(&bytes), Some(rounded), "{imm:?}");
            }
        }
    }

    #[test]
    fn parts_are_put_together() {
        type Case = (&'static [u8], &'static [(Imm, i64)], &'static [u8]);
        let cases: [Case; 9] = [
            (&[0x40], &[(Imm::Part(Set, Six), 0x1006), (Imm::Part(Subtract, Six), 0x1002)], &[0x44]),
            (&[0xff], &[(Imm::Part(Set, Six), 0x3f), (Imm::Part(Subtract, Six), 0x40)], &[0xff]),
            (&[9], &[(Imm::Part(Set, Bytes(1)), 0x1234), (Imm::Part(Subtract, Bytes(1)), 0x1200)], &[0x34]),
            (&[1, 0], &[(Imm::Part(Add, Bytes(2)), 0x1_0000), (Imm::Part(Subtract, Bytes(2)), 1)], &[0, 0]),
            (
                &[0; 4],
                &[(Imm::Part(Add, Bytes(4)), 0x2000), (Imm::Part(Subtract, Bytes(4)), 0x2004)],
                &[0xfc, 0xff, 0xff, 0xff],
            ),
            (&[0; 8], &[(Imm::Part(Subtract, Bytes(8)), 1), (Imm::Part(Add, Bytes(8)), 3)], &[2, 0, 0, 0, 0, 0, 0, 0]),
            // The length stays, whatever the number.
            (&[0x80, 0x80, 0x00, 7], &[(Imm::Uleb(Set), 5)], &[0x85, 0x80, 0x00, 7]),
            (&[0xff, 0x7f], &[(Imm::Uleb(Set), 0x3fff)], &[0xff, 0x7f]),
            (&[0x85, 0x01], &[(Imm::Uleb(Subtract), 0x80)], &[0x85, 0x00]),
        ];
        for (before, parts, after) in cases {
            let mut bytes = before.to_vec();
            parts.iter().for_each(|(imm, value)| imm.store(&mut bytes, *value).unwrap());
            assert_eq!(bytes, after, "{before:x?} {parts:x?}");
        }
        for (bytes, value) in [(&[0x7f][..], 0x80), (&[0x80, 0x00], 0x4000), (&[0x80; 12], 1), (&[0x80], 1), (&[], 1)] {
            let mut after = bytes.to_vec();
            assert_eq!(Imm::Uleb(Set).store(&mut after, value), None, "{bytes:x?} {value}");
            assert_eq!(after, bytes);
        }
        let mut longest = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
        Imm::Uleb(Set).store(&mut longest, -1).unwrap();
        assert_eq!(longest, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    fn any_instruction() -> impl Strategy<Value = Imm> {
        use Imm::{B, Call, Cb, Cj, I, J, S, U};
        proptest::sample::select(vec![U, I, S, B, J, Cb, Cj, Call])
    }

    fn any_part() -> impl Strategy<Value = Width> {
        proptest::sample::select(vec![Six, Bytes(1), Bytes(2), Bytes(4), Bytes(8)])
    }

    proptest! {
        #[test]
        fn what_is_stored_is_loaded(imm in any_instruction(), before in any::<[u8; 8]>(), value in any::<i64>()) {
            let (min, max) = imm.range();
            let value = match imm {
                Imm::I | Imm::S => value,
                _ => (min as i128 + (value as u64 as i128) % (max as i128 - min as i128 + 1)) as i64 & !(imm.step() - 1),
            };
            let mut bytes = before;
            imm.store(&mut bytes, value).unwrap();
            let expected = match imm {
                Imm::U => (value + 0x800) & !0xfff,
                Imm::I | Imm::S => (value << 52) >> 52,
                _ => value,
            };
            prop_assert_eq!(imm.load(&bytes), Some(expected));
            // The rest of the instruction is as before: storing what was there gives it back.
            imm.store(&mut bytes, imm.load(&before).unwrap()).unwrap();
            prop_assert_eq!(bytes, before);
        }

        #[test]
        fn upper_and_lower_bits_make_the_whole(value in -0x8000_0800..=0x7fff_f7ff_i64) {
            let (mut high, mut low, mut store) = ([0; 4], [0; 4], [0; 4]);
            Imm::U.store(&mut high, value).unwrap();
            Imm::I.store(&mut low, value).unwrap();
            Imm::S.store(&mut store, value).unwrap();
            prop_assert_eq!(Imm::U.load(&high).unwrap() + Imm::I.load(&low).unwrap(), value);
            prop_assert_eq!(Imm::U.load(&high).unwrap() + Imm::S.load(&store).unwrap(), value);
        }

        #[test]
        fn a_sum_less_what_was_added_is_what_was_there(width in any_part(), before in any::<[u8; 8]>(), value in any::<i64>()) {
            let mut bytes = before;
            Imm::Part(Add, width).store(&mut bytes, value).unwrap();
            Imm::Part(Subtract, width).store(&mut bytes, value).unwrap();
            prop_assert_eq!(bytes, before);
            Imm::Part(Set, width).store(&mut bytes, value).unwrap();
            Imm::Part(Set, width).store(&mut bytes, Imm::Part(Set, width).load(&before).unwrap()).unwrap();
            prop_assert_eq!(bytes, before);
        }

        #[test]
        fn leb128_keeps_its_length(before in proptest::collection::vec(any::<u8>(), 0..12), value in 0..1_u64 << 40) {
            let mut bytes = before.clone();
            match Imm::Uleb(Set).store(&mut bytes, value as i64) {
                Some(()) => {
                    prop_assert_eq!(Imm::Uleb(Set).load(&bytes), Some(value as i64));
                    prop_assert_eq!(uleb_length(&bytes), uleb_length(&before));
                }
                None => prop_assert_eq!(bytes, before),
            }
        }

        #[test]
        fn too_few_bytes_are_refused(imm in any_instruction(), width in any_part()) {
            for imm in [imm, Imm::Part(Add, width)] {
                let mut bytes = vec![0; imm.size() as usize - 1];
                prop_assert_eq!(imm.store(&mut bytes, 0), None);
                prop_assert_eq!(imm.load(&bytes), None);
            }
        }
    }
}
