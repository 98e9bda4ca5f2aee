//! The fields of POWER instructions that hold a number.
//!
//! An instruction is a 32-bit word, and a *prefixed* one (Power ISA 3.1) two of them: the word with the prefix comes
//! first in memory, in either byte order. The forms of the Power ISA, Book I, chapter 1.6, that hold displacements:
//!
//! | form  | where                                   | number                                                  |
//! |-------|-----------------------------------------|---------------------------------------------------------|
//! | I     | bits 25..2 of the word                  | 26 bits, signed, a multiple of 4 (`b`, `bl`)            |
//! | B     | bits 15..2                              | 16 bits, signed, a multiple of 4 (`bc`)                 |
//! | D     | bits 15..0                              | 16 bits, signed (`addi`, `addis`, `lwz`, `stw`)         |
//! | DS    | bits 15..2                              | 16 bits, signed, a multiple of 4 (`ld`, `std`, `lwa`)   |
//! | DQ    | bits 15..4                              | 16 bits, signed, a multiple of 16 (`lxv`, `stxv`, `lq`) |
//! | DX    | bits 15..6, 20..16 and 0                | 16 bits, signed (`addpcis`)                             |
//! | MLS:D | bits 17..0 of the prefix, 15..0 of the word behind it | 34 bits, signed (`paddi`, `pld`, `plwz`)  |
//!
//! A number of more than 16 bits is put together by several instructions, each of which holds a [`Part`] of it. The lower
//! part is added as a *signed* number by the later instruction, which is why a higher part may have to be one more than
//! the number's own bits: it is *adjusted* (`@ha`) by adding half a unit before the bits are taken.
//!
//! Source: Power ISA 3.1, Book I, 1.6; OpenPOWER ELF V2 ABI 1.5, chapter 3, *Relocation Fields* and
//! *Relocation Notations* (`#lo`, `#hi`, `#ha` …).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

/// Which 16 bits of a number go into a half word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of them: the number must fit.
    Whole,
    /// Bits 15..0 (`@l`).
    Lo,
    /// Bits 31..16 of a number that fits 32 bits (`@h`).
    Hi,
    /// As [`Hi`](Self::Hi), adjusted (`@ha`).
    Ha,
    /// Bits 31..16 of any number (`@high`).
    High,
    /// As [`High`](Self::High), adjusted (`@higha`).
    HighA,
    /// Bits 47..32 (`@higher`).
    Higher,
    /// As [`Higher`](Self::Higher), adjusted (`@highera`).
    HigherA,
    /// Bits 63..48 (`@highest`).
    Highest,
    /// As [`Highest`](Self::Highest), adjusted (`@highesta`).
    HighestA,
    /// Bits 49..34: what stands above the field of a prefixed instruction (`@higher34`).
    Higher34,
    /// As [`Higher34`](Self::Higher34), adjusted by half of 2³⁴ (`@highera34`).
    HigherA34,
    /// Bits 63..50 (`@highest34`).
    Highest34,
    /// As [`Highest34`](Self::Highest34), adjusted by half of 2³⁴ (`@highesta34`).
    HighestA34,
}

impl Part {
    /// What is added to the number, and how far it is then shifted down.
    fn adjustment(self) -> (i64, u32) {
        match self {
            Self::Whole | Self::Lo => (0, 0),
            Self::Hi | Self::High => (0, 16),
            Self::Ha | Self::HighA => (HALF, 16),
            Self::Higher => (0, 32),
            Self::HigherA => (HALF, 32),
            Self::Highest => (0, 48),
            Self::HighestA => (HALF, 48),
            Self::Higher34 => (0, 34),
            Self::HigherA34 => (HALF_34, 34),
            Self::Highest34 => (0, 50),
            Self::HighestA34 => (HALF_34, 50),
        }
    }

    /// The smallest and the largest number that it can be taken of.
    fn range(self) -> (i64, i64) {
        match self {
            Self::Whole => (i16::MIN as i64, i16::MAX as i64),
            Self::Hi => (i32::MIN as i64, i32::MAX as i64),
            // Half a unit is added, and the sum must fit 32 bits.
            Self::Ha => (-0x8000_8000, 0x7fff_7fff),
            _ => (i64::MIN, i64::MAX),
        }
    }

    /// The bits of `number`, in the lowest 16; those above are not cleared.
    fn take(self, number: i64) -> i64 {
        let (add, shift) = self.adjustment();
        number.wrapping_add(add).wrapping_shr(shift)
    }

    /// The number that has `half` in these bits and nothing in others.
    fn give(self, half: i16) -> i64 {
        let (_, shift) = self.adjustment();
        i64::from(half).wrapping_shl(shift)
    }
}

/// Half of 2¹⁶.
const HALF: i64 = 1 << 15;
/// Half of 2³⁴.
const HALF_34: i64 = 1 << 33;

/// Which bits of an instruction hold a number.
///
/// A relocation of a half word points to the half word itself, which in little-endian code is the instruction's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imm {
    /// Form I: the target of `b` and `bl`, ±32 MiB.
    Branch24,
    /// Form B: the target of `bc`, ±32 KiB. The bits that predict it stay as the assembler set them.
    Branch14,
    /// A word whose lowest two bits are not part of the number.
    Word30,
    /// Form D.
    D(Part),
    /// Form DS: the lowest two bits of the half word belong to the opcode.
    Ds(Part),
    /// Form DQ: the lowest four bits of the half word belong to the opcode.
    Dq(Part),
    /// Form DX, of `addpcis`.
    Dx(Part),
    /// Form MLS:D and 8LS:D: all 34 bits, of a number that fits.
    D34,
    /// As [`D34`](Self::D34), the lower 34 bits of any number.
    D34Lo,
    /// As [`D34`](Self::D34), bits 63..34.
    D34Hi30,
    /// As [`D34Hi30`](Self::D34Hi30), adjusted by half of 2³⁴.
    D34Ha30,
    /// 28 bits: 11..0 of the prefix, 15..0 of the word behind it.
    D28,
}

impl Imm {
    /// Width of what is read and written, in bytes.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::D(_) | Self::Ds(_) | Self::Dq(_) => 2,
            Self::Branch24 | Self::Branch14 | Self::Word30 | Self::Dx(_) => 4,
            Self::D34 | Self::D34Lo | Self::D34Hi30 | Self::D34Ha30 | Self::D28 => 8,
        }
    }

    /// The smallest and the largest number that it can hold, each inclusive.
    pub(crate) fn range(self) -> (i64, i64) {
        match self {
            Self::Branch24 => (-(1 << 25), (1 << 25) - 1),
            Self::Branch14 => (i16::MIN as i64, i16::MAX as i64),
            Self::Word30 => (i32::MIN as i64, i32::MAX as i64),
            Self::D(part) | Self::Ds(part) | Self::Dq(part) | Self::Dx(part) => part.range(),
            Self::D34 => (-(1 << 33), (1 << 33) - 1),
            Self::D34Lo | Self::D34Hi30 | Self::D34Ha30 => (i64::MIN, i64::MAX),
            Self::D28 => (-(1 << 27), (1 << 27) - 1),
        }
    }

    /// What the number must be a multiple of.
    pub(crate) fn step(self) -> i64 {
        match self {
            Self::Branch24 | Self::Branch14 | Self::Word30 | Self::Ds(Part::Whole | Part::Lo) => 4,
            Self::Dq(Part::Whole | Part::Lo) => 16,
            _ => 1,
        }
    }

    /// The form of the instruction at the start of `bytes`, where a relocation says DS: one kind serves both DS and DQ
    /// (psABI, *Relocation Fields*, `half16ds`).
    pub(crate) fn of_instruction(self, bytes: &[u8]) -> Self {
        match self {
            Self::Ds(part) if word(bytes).is_some_and(is_dq) => Self::Dq(part),
            other => other,
        }
    }

    /// Stores `number` at the start of `bytes`, of an instruction whose other bits stay. Returns `None`, with `bytes`
    /// unchanged, if they are too few.
    ///
    /// Whether it fits is for [`range`](Self::range) and [`step`](Self::step) to say.
    pub(crate) fn store(self, bytes: &mut [u8], number: i64) -> Option<()> {
        match self {
            Self::Branch24 => merge_word(bytes, 0x03ff_fffc, low_word(number)),
            Self::Branch14 => merge_word(bytes, 0x0000_fffc, low_word(number)),
            Self::Word30 => merge_word(bytes, 0xffff_fffc, low_word(number)),
            Self::D(part) => merge_half(bytes, 0xffff, part.take(number)),
            Self::Ds(part) => merge_half(bytes, 0xfffc, part.take(number)),
            Self::Dq(part) => merge_half(bytes, 0xfff0, part.take(number)),
            Self::Dx(part) => {
                let half = low_word(part.take(number));
                // Bits 15..6 and 0 stand where they are; bits 5..1 stand at 20..16.
                merge_word(bytes, 0x001f_ffc1, (half & 0xffc1) | ((half & 0x3e) << 15))
            }
            Self::D34 | Self::D34Lo => merge_prefixed(bytes, 0x3_ffff, number),
            Self::D34Hi30 => merge_prefixed(bytes, 0x3_ffff, number.wrapping_shr(34)),
            Self::D34Ha30 => merge_prefixed(bytes, 0x3_ffff, number.wrapping_add(HALF_34).wrapping_shr(34)),
            Self::D28 => merge_prefixed(bytes, 0xfff, number),
        }
    }

    /// The number that stands at the start of `bytes`; the bits that the field does not hold are zero. `None` if they are
    /// too few.
    pub(crate) fn load(self, bytes: &[u8]) -> Option<i64> {
        Some(match self {
            Self::Branch24 => i64::from((word(bytes)? & 0x03ff_fffc).wrapping_shl(6).cast_signed().wrapping_shr(6)),
            Self::Branch14 => {
                let [low, high, ..] = (word(bytes)? & 0xfffc).to_le_bytes();
                i64::from(i16::from_le_bytes([low, high]))
            }
            Self::Word30 => i64::from((word(bytes)? & !3).cast_signed()),
            Self::D(part) => part.give(half(bytes)?),
            Self::Ds(part) => part.give(half(bytes)? & !3),
            Self::Dq(part) => part.give(half(bytes)? & !15),
            Self::Dx(part) => {
                let word = word(bytes)?;
                let [low, high, ..] = ((word & 0xffc1) | ((word.wrapping_shr(15)) & 0x3e)).to_le_bytes();
                part.give(i16::from_le_bytes([low, high]))
            }
            Self::D34 | Self::D34Lo => prefixed(bytes, 18)?,
            Self::D34Hi30 | Self::D34Ha30 => prefixed(bytes, 18)?.wrapping_shl(34),
            Self::D28 => prefixed(bytes, 12)?,
        })
    }
}

/// Whether an instruction is of form DQ (Power ISA 3.1, appendix on opcodes): `lq`, `lxv`, `stxv`, `lxvp`, `stxvp`.
fn is_dq(word: u32) -> bool {
    match word.wrapping_shr(26) {
        56 => true,
        61 => word & 3 == 1,
        6 => word & 15 <= 1,
        _ => false,
    }
}

fn half(bytes: &[u8]) -> Option<i16> {
    Some(i16::from_le_bytes(*bytes.first_chunk()?))
}

/// The first word.
pub(crate) fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.first_chunk()?))
}

fn low_word(number: i64) -> u32 {
    let [b0, b1, b2, b3, ..] = number.to_le_bytes();
    u32::from_le_bytes([b0, b1, b2, b3])
}

fn merge_half(bytes: &mut [u8], mask: u16, number: i64) -> Option<()> {
    let field: &mut [u8; 2] = bytes.first_chunk_mut()?;
    let [b0, b1, ..] = number.to_le_bytes();
    *field = ((u16::from_le_bytes(*field) & !mask) | (u16::from_le_bytes([b0, b1]) & mask)).to_le_bytes();
    Some(())
}

fn merge_word(bytes: &mut [u8], mask: u32, bits: u32) -> Option<()> {
    let field: &mut [u8; 4] = bytes.first_chunk_mut()?;
    *field = ((u32::from_le_bytes(*field) & !mask) | (bits & mask)).to_le_bytes();
    Some(())
}

/// Stores bits from 16 on in the prefix, under `mask`, and bits 15..0 in the word behind it.
fn merge_prefixed(bytes: &mut [u8], mask: u32, number: i64) -> Option<()> {
    let instruction: &mut [u8; 8] = bytes.first_chunk_mut()?;
    let (prefix, suffix) = instruction.split_at_mut(4);
    merge_word(prefix, mask, low_word(number.wrapping_shr(16)))?;
    merge_half(suffix, 0xffff, number)
}

/// The number of `bits` bits in a prefix and 16 in the word behind it, with its sign.
fn prefixed(bytes: &[u8], bits: u32) -> Option<i64> {
    let instruction: &[u8; 8] = bytes.first_chunk()?;
    let (prefix, suffix) = instruction.split_at(4);
    let high = i64::from(word(prefix)?).wrapping_shl(64_u32.wrapping_sub(bits)).wrapping_shr(48_u32.wrapping_sub(bits));
    Some(high | i64::from(half(suffix)?.cast_unsigned()))
}

#[cfg(test)]
mod tests;
