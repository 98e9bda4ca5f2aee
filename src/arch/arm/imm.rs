//! The fields of Arm and Thumb instructions that hold addresses and offsets.
//!
//! An Arm instruction is one word, a Thumb instruction one halfword or two, of which the first stands first in memory
//! whatever it is called elsewhere: `bl` is `f000 f800`, in memory `00 f0 00 f8`.
//!
//! In the value of a branch, bit 0 is the state that it ends in, as in the addresses of functions: 1 for Thumb. `bl` and
//! `blx` turn into each other by it; any other branch cannot change the state, and refuses. An offset that does not hold
//! its instruction's scale is refused as well: a value is stored in full or not at all.
//!
//! Sources: Arm Architecture Reference Manual, ARMv7-A edition (*encodings A1, T1 … of each instruction*, given in the
//! margin); ELF for the Arm Architecture (AAELF32), 5.6.1.1 *Addends and PC-bias compensation*, *Static Arm relocations*,
//! *Group relocations*, *Static Thumb16 relocations*, *Static Thumb32 relocations*.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

/// A field that is no plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imm {
    /// Bits 30:0 of a word of data, signed; bit 31 has its own meaning and stays.
    Data31,
    /// `b`, `bl`, `blx`: 24 bits of words, and for `blx` one bit of half a word (A1, A2).
    Branch,
    /// `movw` and `movt`, 16 bits: the low half of the value (A2).
    Low16,
    /// `movw` and `movt`, 16 bits: the high half of the value (A1).
    High16,
    /// `add` and `sub` with a rotated byte: the group of that number of the value (A1).
    AddGroup(u32),
    /// As [`AddGroup`](Self::AddGroup), which is all that is left of the value: it must end with this group.
    AddLastGroup(u32),
    /// `ldr`, `str`, `ldrb`, `strb`: 12 bits and a sign, of what that many groups leave of the value (A1).
    Load12(u32),
    /// `ldrd`, `ldrh`, `ldrsh`, `ldrsb`, `strd`, `strh`: 8 bits in two halves and a sign, of what is left (A1).
    Load8(u32),
    /// `ldc`, `stc`, `vldr`, `vstr`: 8 bits of words and a sign, of what is left (A1).
    Load8Words(u32),
    /// Thumb `bl`, `blx`, `b.w`: 24 bits of halfwords (T1, T2, T4).
    ThumbBranch,
    /// Thumb `b<cond>.w`: 20 bits of halfwords (T3).
    ThumbBranch20,
    /// Thumb `b`: 11 bits of halfwords (T2).
    ThumbBranch11,
    /// Thumb `b<cond>`: 8 bits of halfwords (T1).
    ThumbBranch8,
    /// Thumb `cbz`, `cbnz`: 6 bits of halfwords, forward only (T1).
    ThumbBranch6,
    /// Thumb `movw` and `movt`, 16 bits: the low half of the value (T3).
    ThumbLow16,
    /// Thumb `movw` and `movt`, 16 bits: the high half of the value (T1).
    ThumbHigh16,
    /// Thumb `adr.w`: 12 bits, and whether they are added or subtracted (T2, T3).
    ThumbAdr12,
    /// Thumb `ldr.w` and its kin from the program counter: 12 bits and a sign (T2).
    ThumbLoad12,
    /// Thumb `ldr.w` from a register: 12 bits, without a sign (T3).
    ThumbLoad12Up,
    /// Thumb `ldr` and `adr` from the program counter: 8 bits of words, forward only (T1).
    ThumbLoad8,
}

impl Imm {
    /// Width of what holds the field, in bytes.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::ThumbBranch11 | Self::ThumbBranch8 | Self::ThumbBranch6 | Self::ThumbLoad8 => 2,
            _ => 4,
        }
    }

    /// The smallest and the largest value that may fit, each inclusive. Halves hold part of any value; which values groups
    /// can make up has no two ends, [`store`](Self::store) tells.
    pub(crate) fn range(self) -> (i64, i64) {
        match self {
            Self::Data31 => signed(31),
            Self::Branch => signed(26),
            Self::Low16 | Self::High16 | Self::ThumbLow16 | Self::ThumbHigh16 => (i64::MIN, i64::MAX),
            Self::AddGroup(_) | Self::AddLastGroup(_) => (-0xffff_ffff, 0xffff_ffff),
            Self::Load12(0) | Self::ThumbAdr12 | Self::ThumbLoad12 => (-0xfff, 0xfff),
            Self::Load8(0) => (-0xff, 0xff),
            Self::Load8Words(0) => (-0x3fc, 0x3fc),
            Self::Load12(_) | Self::Load8(_) | Self::Load8Words(_) => (-0xffff_ffff, 0xffff_ffff),
            Self::ThumbBranch => signed(25),
            Self::ThumbBranch20 => signed(21),
            Self::ThumbBranch11 => signed(12),
            Self::ThumbBranch8 => signed(9),
            // With the bit that says "Thumb".
            Self::ThumbBranch6 => (0, 0x7f),
            Self::ThumbLoad12Up => (0, 0xfff),
            Self::ThumbLoad8 => (0, 0x3fc),
        }
    }

    /// What a value must be a multiple of.
    pub(crate) fn step(self) -> i64 {
        match self {
            Self::Load8Words(_) | Self::ThumbLoad8 => 4,
            // Bit 0 of a branch's value is no part of the distance.
            _ => 1,
        }
    }

    /// Stores `value` in the instruction, or word of data, at the start of `bytes`.
    ///
    /// Returns `None`, with `bytes` unchanged, if they are too few, if they are no instruction that the field is part of, or
    /// if the value is none that the instruction can express: out of [`range`](Self::range), not of its scale, in need of
    /// another group, or in the other state.
    pub(crate) fn store(self, bytes: &mut [u8], value: i64) -> Option<()> {
        let (min, max) = self.range();
        if !(min..=max).contains(&value) {
            return None;
        }
        // Distances are counted modulo 2^32 (AAELF32, *Relocation types*), and all fields have fewer bits.
        let bits = low32(value);
        match self.size() {
            2 => {
                let place = bytes.first_chunk_mut::<2>()?;
                *place = self.stored16(u16::from_le_bytes(*place), bits)?.to_le_bytes();
            }
            _ => {
                let place = bytes.first_chunk_mut::<4>()?;
                let code = u32::from_le_bytes(*place);
                let new = if self.is_thumb() {
                    self.stored_thumb(code.rotate_left(16), bits, value)?.rotate_left(16)
                } else {
                    self.stored(code, bits, value)?
                };
                *place = new.to_le_bytes();
            }
        }
        Some(())
    }

    /// The addend that the instruction, or word of data, at the start of `bytes` holds before it is relocated.
    ///
    /// Returns `None` if the bytes are too few, or no instruction that the field is part of.
    pub(crate) fn load(self, bytes: &[u8]) -> Option<i64> {
        if self.size() == 2 {
            return self.loaded16(u16::from_le_bytes(*bytes.first_chunk()?));
        }
        let code = u32::from_le_bytes(*bytes.first_chunk()?);
        if self.is_thumb() { self.loaded_thumb(code.rotate_left(16)) } else { self.loaded(code) }
    }

    /// Whether the field is part of a branch: bit 0 of its value is a state.
    pub(crate) fn is_branch(self) -> bool {
        self == Self::Branch || self.is_thumb_branch()
    }

    /// Whether the instruction loads from the place that is told: what is there has no state.
    pub(crate) fn is_load(self) -> bool {
        matches!(self, Self::Load12(_) | Self::Load8(_) | Self::Load8Words(_) | Self::ThumbLoad12 | Self::ThumbLoad8)
    }

    /// Whether the instruction is executed in Thumb state.
    pub(crate) fn is_thumb(self) -> bool {
        matches!(
            self,
            Self::ThumbLow16 | Self::ThumbHigh16 | Self::ThumbAdr12 | Self::ThumbLoad12 | Self::ThumbLoad12Up
        ) || self.is_thumb_branch()
            || self == Self::ThumbLoad8
    }

    fn is_thumb_branch(self) -> bool {
        matches!(
            self,
            Self::ThumbBranch | Self::ThumbBranch20 | Self::ThumbBranch11 | Self::ThumbBranch8 | Self::ThumbBranch6
        )
    }

    /// The state that the branch at the start of `bytes` ends in as it stands: 1 for Thumb. What is no function has no
    /// state of its own, and the branch keeps to what its author wrote (AAELF32, *Symbol Types*).
    pub(crate) fn written_state(self, bytes: &[u8]) -> Option<u64> {
        let code = || bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        match self {
            Self::Branch => Some(u64::from(is_blx(code()?))),
            Self::ThumbBranch => Some(u64::from(code()?.rotate_left(16) & THUMB_FORM != THUMB_BLX)),
            _ => Some(1),
        }
    }

    /// Whether the branch at the start of `bytes` may end in either state: `bl` and `blx`, which are turned into each other.
    pub(crate) fn changes_state(self, bytes: &[u8]) -> bool {
        let Some(code) = bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)) else { return false };
        match self {
            Self::Branch => is_blx(code) || code >> 24 == BL_ALWAYS,
            Self::ThumbBranch => matches!(code.rotate_left(16) & THUMB_FORM, THUMB_BL | THUMB_BLX),
            _ => false,
        }
    }

    /// Why [`store`](Self::store) has refused a value of its range, for a person.
    pub(crate) fn complaint(self, bytes: &[u8]) -> &'static str {
        match self {
            _ if self.load(bytes).is_none() => "the instruction there is none that this relocation is for",
            Self::Branch | Self::ThumbBranch if self.changes_state(bytes) => {
                "the instruction cannot express the distance to the target, which is not at a multiple of 4"
            }
            _ if self.is_branch() => {
                "the target is in the other instruction set, or not aligned for its own, and this branch cannot switch to it"
            }
            _ => "the instruction cannot express the value",
        }
    }

    fn stored(self, code: u32, bits: u32, value: i64) -> Option<u32> {
        let size = u32::try_from(value.unsigned_abs()).ok();
        Some(match self {
            Self::Data31 => code & !0x7fff_ffff | bits & 0x7fff_ffff,
            Self::Branch => stored_branch(code, bits)?,
            Self::Low16 if is_move(code) => code & !0x000f_0fff | (bits & 0xf000) << 4 | bits & 0xfff,
            Self::High16 if is_move(code) => code & !0x000f_0fff | (bits >> 12 & 0xf_0000) | bits >> 16 & 0xfff,
            Self::AddGroup(group) if is_add(code) => add(code, value, taken(size?, group).0),
            Self::AddLastGroup(group) if is_add(code) => match taken(size?, group) {
                (byte, 0) => add(code, value, byte),
                _ => return None,
            },
            Self::Load12(group) if is_load(code) => {
                let offset = left(size?, group).filter(|offset| *offset <= 0xfff)?;
                up(code, value) & !0xfff | offset
            }
            Self::Load8(group) if is_load_half(code) => {
                let offset = left(size?, group).filter(|offset| *offset <= 0xff)?;
                up(code, value) & !0xf0f | (offset & 0xf0) << 4 | offset & 0xf
            }
            Self::Load8Words(group) if is_load_words(code) => {
                let offset = left(size?, group).filter(|offset| *offset <= 0x3fc && offset.is_multiple_of(4))?;
                up(code, value) & !0xff | offset >> 2
            }
            _ => return None,
        })
    }

    fn loaded(self, code: u32) -> Option<i64> {
        let signed = |offset: u32| if code & UP != 0 { i64::from(offset) } else { i64::from(offset).saturating_neg() };
        Some(match self {
            Self::Data31 => extend(code, 31),
            Self::Branch if is_blx(code) => extend((code & 0xff_ffff) << 2 | code >> 23 & 2, 26),
            Self::Branch if is_branch(code) => extend((code & 0xff_ffff) << 2, 26),
            Self::Low16 | Self::High16 if is_move(code) => extend(code >> 4 & 0xf000 | code & 0xfff, 16),
            Self::AddGroup(_) | Self::AddLastGroup(_) if is_add(code) => {
                let number = i64::from((code & 0xff).rotate_right(code >> 7 & 0x1e));
                if code & ADD_OR_SUB == SUB { number.checked_neg()? } else { number }
            }
            Self::Load12(_) if is_load(code) => signed(code & 0xfff),
            Self::Load8(_) if is_load_half(code) => signed(code >> 4 & 0xf0 | code & 0xf),
            Self::Load8Words(_) if is_load_words(code) => signed((code & 0xff) << 2),
            _ => return None,
        })
    }

    /// Of two halfwords, the first one high.
    fn stored_thumb(self, code: u32, bits: u32, value: i64) -> Option<u32> {
        let size = low32(value.checked_abs()?);
        Some(match self {
            Self::ThumbBranch => stored_thumb_branch(code, bits)?,
            // 11110 S cond imm6 10 J1 0 J2 imm11: the offset is S:J2:J1:imm6:imm11:0.
            Self::ThumbBranch20 if is_thumb_conditional(code) && bits & 1 != 0 => {
                let fields = (bits >> 20 & 1) << 26 | (bits >> 12 & 0x3f) << 16 | bits >> 1 & 0x7ff;
                code & !0x043f_2fff | fields | (bits >> 18 & 1) << 13 | (bits >> 19 & 1) << 11
            }
            Self::ThumbLow16 if is_thumb_move(code) => thumb_move(code, bits),
            Self::ThumbHigh16 if is_thumb_move(code) => thumb_move(code, bits >> 16),
            // 11110 i 10000 01111 0 imm3 Rd imm8 adds, 11110 i 10101 01111 subtracts.
            Self::ThumbAdr12 if is_thumb_adr(code) => {
                let fields = (size >> 11 & 1) << 26 | (size >> 8 & 7) << 12 | size & 0xff;
                code & !0x04a0_70ff | fields | if value < 0 { 0x00a0_0000 } else { 0 }
            }
            Self::ThumbLoad12 if is_thumb_load(code) => up(code, value) & !0xfff | size,
            Self::ThumbLoad12Up if is_thumb_load(code) && code & UP != 0 => code & !0xfff | size,
            _ => return None,
        })
    }

    fn loaded_thumb(self, code: u32) -> Option<i64> {
        let (sign, j1, j2) = (code >> 26 & 1, code >> 13 & 1, code >> 11 & 1);
        let low = (code >> 16 & 0x3ff) << 12 | (code & 0x7ff) << 1;
        Some(match self {
            Self::ThumbBranch if is_thumb_branch(code) => {
                let (i1, i2) = (j1 ^ sign ^ 1, j2 ^ sign ^ 1);
                extend(sign << 24 | i1 << 23 | i2 << 22 | low, 25)
            }
            Self::ThumbBranch20 if is_thumb_conditional(code) => {
                extend(sign << 20 | j2 << 19 | j1 << 18 | low & 0x3_ffff, 21)
            }
            Self::ThumbLow16 | Self::ThumbHigh16 if is_thumb_move(code) => {
                let high = (code >> 16 & 0xf) << 12 | sign << 11;
                extend(high | (code >> 12 & 7) << 8 | code & 0xff, 16)
            }
            Self::ThumbAdr12 if is_thumb_adr(code) => {
                let number = i64::from(sign << 11 | (code >> 12 & 7) << 8 | code & 0xff);
                if code & 0x00a0_0000 != 0 { number.checked_neg()? } else { number }
            }
            Self::ThumbLoad12 if is_thumb_load(code) && code & UP == 0 => i64::from(code & 0xfff).checked_neg()?,
            Self::ThumbLoad12 if is_thumb_load(code) => i64::from(code & 0xfff),
            Self::ThumbLoad12Up if is_thumb_load(code) && code & UP != 0 => i64::from(code & 0xfff),
            _ => return None,
        })
    }

    fn stored16(self, code: u16, bits: u32) -> Option<u16> {
        let thumb = bits & 1 != 0;
        let bits = u16::try_from(bits & 0xffff).ok()?;
        Some(match self {
            Self::ThumbBranch11 if code >> 11 == 0b11100 && thumb => code & !0x7ff | bits >> 1 & 0x7ff,
            Self::ThumbBranch8 if is_short_conditional(code) && thumb => code & !0xff | bits >> 1 & 0xff,
            // 1011 op 0 i 1 imm5 Rn: the offset is i:imm5:0.
            Self::ThumbBranch6 if is_compare_branch(code) && thumb => {
                code & !0x2f8 | (bits >> 6 & 1) << 9 | (bits >> 1 & 0x1f) << 3
            }
            Self::ThumbLoad8 if is_short_load(code) && bits & 3 == 0 => code & !0xff | bits >> 2 & 0xff,
            _ => return None,
        })
    }

    fn loaded16(self, code: u16) -> Option<i64> {
        let bits = u32::from(code);
        // Fields without a sign hold small negative addends in their last values: ((imm + 4) & mask) − 4.
        let biased = |number: u32, mask: u32| i64::from(number.wrapping_add(4) & mask).checked_sub(4);
        match self {
            Self::ThumbBranch11 if code >> 11 == 0b11100 => Some(extend((bits & 0x7ff) << 1, 12)),
            Self::ThumbBranch8 if is_short_conditional(code) => Some(extend((bits & 0xff) << 1, 9)),
            Self::ThumbBranch6 if is_compare_branch(code) => biased(bits >> 3 & 0x40 | bits >> 2 & 0x3e, 0x7f),
            Self::ThumbLoad8 if is_short_load(code) => biased((bits & 0xff) << 2, 0x3ff),
            _ => None,
        }
    }
}

/// The ends of a signed number of `bits` bits.
fn signed(bits: u32) -> (i64, i64) {
    let end = 1_i64.checked_shl(bits.saturating_sub(1)).unwrap_or(i64::MAX);
    (end.saturating_neg(), end.saturating_sub(1))
}

/// The low `bits` bits of a number, signed.
fn extend(number: u32, bits: u32) -> i64 {
    let unused = 32_u32.saturating_sub(bits);
    let high = number.checked_shl(unused).unwrap_or(0);
    i64::from(high.cast_signed().checked_shr(unused).unwrap_or(0))
}

/// The low 32 bits of a number.
fn low32(value: i64) -> u32 {
    let [b0, b1, b2, b3, ..] = value.to_le_bytes();
    u32::from_le_bytes([b0, b1, b2, b3])
}

/// Bit 23: an offset is added, not subtracted.
const UP: u32 = 1 << 23;

/// Sets the bit that says whether an offset is added, by the sign of the value.
fn up(code: u32, value: i64) -> u32 {
    if value < 0 { code & !UP } else { code | UP }
}

/// `blx` to a label: unconditional, which is where other instructions have their condition.
fn is_blx(code: u32) -> bool {
    code >> 25 == 0b111_1101
}

/// `b` or `bl` with a condition, which may be "always".
fn is_branch(code: u32) -> bool {
    code >> 28 != 0xf && code >> 25 & 7 == 0b101
}

/// Bits 31:24 of `bl` whose condition is "always".
const BL_ALWAYS: u32 = 0xeb;

fn stored_branch(code: u32, bits: u32) -> Option<u32> {
    let to_thumb = bits & 1 != 0;
    let may_change = is_blx(code) || code >> 24 == BL_ALWAYS;
    let words = bits >> 2 & 0xff_ffff;
    match to_thumb {
        // blx: bit 24 is half a word.
        true if may_change => Some(0xfa00_0000 | (bits >> 1 & 1) << 24 | words),
        true => None,
        false if bits & 2 != 0 => None,
        false if may_change => Some(BL_ALWAYS << 24 | words),
        false if is_branch(code) => Some(code & !0xff_ffff | words),
        false => None,
    }
}

/// `movw` (cond 0011 0000) or `movt` (cond 0011 0100).
fn is_move(code: u32) -> bool {
    code & 0x0fb0_0000 == 0x0300_0000
}

const ADD_OR_SUB: u32 = 0x00c0_0000;
const ADD: u32 = 0x0080_0000;
const SUB: u32 = 0x0040_0000;

/// `add` (cond 0010 1000) or `sub` (cond 0010 0100) with an immediate.
fn is_add(code: u32) -> bool {
    code & 0x0f20_0000 == 0x0200_0000 && matches!(code & ADD_OR_SUB, ADD | SUB)
}

/// An `add` or `sub`, by the sign of `value`, of the number whose set bits lie in 8 bits that start at an even place.
fn add(code: u32, value: i64, number: u32) -> u32 {
    let operation = if value < 0 { SUB } else { ADD };
    // The encoded rotation is to the right, by an even number of bits.
    let shift = if number == 0 { 0 } else { first_bit(number) };
    let rotation = 32_u32.wrapping_sub(shift) & 31;
    let byte = number.checked_shr(shift).unwrap_or(0);
    code & !(ADD_OR_SUB | 0xfff) | operation | rotation << 7 | byte
}

/// The even place at which the 8 bits start whose highest contains the number's highest bit.
fn first_bit(number: u32) -> u32 {
    // A number below 256 starts at bit 0.
    let highest = 31_u32.saturating_sub(number.leading_zeros());
    highest.saturating_sub(6) & !1
}

/// The group of that number, and what is left behind it (AAELF32, *Group relocations*).
fn taken(value: u32, group: u32) -> (u32, u32) {
    let mut rest = value;
    let mut taken = 0;
    for _ in 0..=group {
        let mask = 0xff_u32.checked_shl(first_bit(rest.max(1))).unwrap_or(0);
        taken = rest & mask;
        rest &= !mask;
    }
    (taken, rest)
}

/// What is left of a value behind `groups` groups.
fn left(value: u32, groups: u32) -> Option<u32> {
    Some(match groups.checked_sub(1) {
        Some(last) => taken(value, last).1,
        None => value,
    })
}

/// `ldr`, `str`, `ldrb`, `strb` with an immediate offset.
fn is_load(code: u32) -> bool {
    code & 0x0e00_0000 == 0x0400_0000
}

/// `ldrd`, `strd`, `ldrh`, `strh`, `ldrsh`, `ldrsb` with an immediate offset.
fn is_load_half(code: u32) -> bool {
    code & 0x0e40_0090 == 0x0040_0090 && code & 0x60 != 0
}

/// `ldc`, `stc` and the vector loads and stores that share their encoding.
fn is_load_words(code: u32) -> bool {
    code & 0x0e00_0000 == 0x0c00_0000
}

/// The bits by which the branches of two halfwords differ.
const THUMB_FORM: u32 = 0xf800_d000;
const THUMB_BL: u32 = 0xf000_d000;
const THUMB_BLX: u32 = 0xf000_c000;
const THUMB_B: u32 = 0xf000_9000;

fn is_thumb_branch(code: u32) -> bool {
    matches!(code & THUMB_FORM, THUMB_BL | THUMB_BLX | THUMB_B)
}

/// 11110 S imm10 11 J1 1 J2 imm11: the offset is S:I1:I2:imm10:imm11:0, with I = not (J xor S).
fn stored_thumb_branch(code: u32, bits: u32) -> Option<u32> {
    let to_thumb = bits & 1 != 0;
    let (form, bits) = match (code & THUMB_FORM, to_thumb) {
        (THUMB_BL | THUMB_BLX, true) => (THUMB_BL, bits),
        (THUMB_B, true) => (THUMB_B, bits),
        // `blx` counts from the program counter's word (A8.8.25), which starts two bytes earlier if the place is between
        // words; then the distance to a word is a multiple of two only. The last such does not fit.
        (THUMB_BL | THUMB_BLX, false) if bits & 0x1ff_ffff != 0xff_fffe => (THUMB_BLX, bits.wrapping_add(2) & !3),
        _ => return None,
    };
    let sign = bits >> 24 & 1;
    let j1 = bits >> 23 & 1 ^ sign ^ 1;
    let j2 = bits >> 22 & 1 ^ sign ^ 1;
    Some(form | sign << 26 | (bits >> 12 & 0x3ff) << 16 | j1 << 13 | j2 << 11 | bits >> 1 & 0x7ff)
}

/// `b<cond>.w`: condition codes 1110 and 1111 are other instructions.
fn is_thumb_conditional(code: u32) -> bool {
    code & 0xf800_d000 == 0xf000_8000 && code >> 23 & 7 != 7
}

/// Thumb `movw` (11110 i 100100) or `movt` (11110 i 101100).
fn is_thumb_move(code: u32) -> bool {
    code & 0xfb70_8000 == 0xf240_0000
}

/// The field is imm4:i:imm3:imm8.
fn thumb_move(code: u32, half: u32) -> u32 {
    let fields = (half >> 12 & 0xf) << 16 | (half >> 11 & 1) << 26 | (half >> 8 & 7) << 12 | half & 0xff;
    code & !0x040f_70ff | fields
}

fn is_thumb_adr(code: u32) -> bool {
    matches!(code & 0xfbff_8000, 0xf20f_0000 | 0xf2af_0000)
}

/// Thumb loads and stores of 32 bits with a 12-bit offset: 1111 100x.
fn is_thumb_load(code: u32) -> bool {
    code & 0xfe00_0000 == 0xf800_0000
}

/// `b<cond>`: condition codes 1110 and 1111 are other instructions.
fn is_short_conditional(code: u16) -> bool {
    code >> 12 == 0xd && code >> 9 & 7 != 7
}

fn is_compare_branch(code: u16) -> bool {
    code & 0xf500 == 0xb100
}

/// `ldr` (01001) or `adr` (10100).
fn is_short_load(code: u16) -> bool {
    matches!(code >> 11, 0b01001 | 0b10100)
}

#[cfg(test)]
mod tests;
