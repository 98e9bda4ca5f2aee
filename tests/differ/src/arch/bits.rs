//! Numbers that instructions hold: which bits of the instruction, and which part of the relocation's value.

/// How the bits of a number are arranged where no list of pieces can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the pieces say.
    Plain,
    /// As the pieces say; data, not an instruction.
    Table,
    /// RISC-V's `auipc` and `jalr`: the sum of the upper 20 bits and the signed lower 12.
    CallPair,
    /// Arm's `bl`, which becomes `blx` where the target is Thumb code: bit 0 of the number is the target's mode.
    ArmBranch,
    /// Thumb's `bl`, `blx` and `b.w`: bit 0 of the number is the target's mode.
    ThumbBranch,
    /// Thumb's conditional `b.w`.
    ThumbConditional,
    /// As the pieces say, from Thumb code to Thumb code: bit 0 of the number says so.
    ThumbToThumb,
}

/// The number in an instruction.
#[derive(Debug, PartialEq, Eq)]
pub struct Bits {
    /// Bytes of the instruction or instructions, at most 8, little-endian.
    pub width: u8,
    /// (lowest bit in the instruction, count, lowest bit in the number).
    pub pieces: &'static [(u8, u8, u8)],
    /// Bits in the number if it is signed, 0 if not.
    pub sign: u8,
    /// Added to the value before a part is taken.
    pub round: u64,
    /// The part of the value that the number is; all ones for a number that holds all of it, up to the sign.
    pub part: u64,
    /// The arrangement.
    pub form: Form,
}

/// All of the value.
pub const WHOLE: u64 = u64::MAX;

impl Bits {
    /// A signed number that holds all of the value.
    pub const fn whole(width: u8, sign: u8, pieces: &'static [(u8, u8, u8)]) -> Bits {
        Bits { width, pieces, sign, round: 0, part: WHOLE, form: Form::Plain }
    }

    /// An unsigned number that holds a part of the value.
    pub const fn part(width: u8, part: u64, pieces: &'static [(u8, u8, u8)]) -> Bits {
        Bits { width, pieces, sign: 0, round: 0, part, form: Form::Plain }
    }

    /// Whether the number alone tells the value.
    pub fn is_whole(&self) -> bool {
        self.part == WHOLE && self.round == 0
    }

    /// The number that the instruction `word` holds.
    pub fn number(&self, word: u64) -> i64 {
        match self.form {
            Form::Plain | Form::Table => extend(self.gather(word), self.sign),
            Form::ThumbToThumb => extend(self.gather(word), self.sign) | 1,
            Form::CallPair => {
                let (upper, lower) = (word & 0xffff_f000, word >> 52);
                extend(upper, 32).wrapping_add(extend(lower, 12))
            }
            Form::ArmBranch => {
                let distance = extend((word & 0xff_ffff) << 2, 26);
                // blx: bit 24 is bit 1 of the distance.
                if word >> 28 & 0xf == 0xf { distance | (word >> 23 & 2) as i64 | 1 } else { distance }
            }
            Form::ThumbBranch => {
                let (first, second) = (word & 0xffff, word >> 16 & 0xffff);
                let sign = first >> 10 & 1;
                let i1 = !(second >> 13 ^ sign) & 1;
                let i2 = !(second >> 11 ^ sign) & 1;
                let number = sign << 24 | i1 << 23 | i2 << 22 | (first & 0x3ff) << 12 | (second & 0x7ff) << 1;
                // Bit 12 of the second half is clear in blx, which leaves Thumb state.
                extend(number, 25) | (second >> 12 & 1) as i64
            }
            Form::ThumbConditional => {
                let (first, second) = (word & 0xffff, word >> 16 & 0xffff);
                let (sign, j1, j2) = (first >> 10 & 1, second >> 13 & 1, second >> 11 & 1);
                let number = sign << 20 | j2 << 19 | j1 << 18 | (first & 0x3f) << 12 | (second & 0x7ff) << 1;
                extend(number, 21) | 1
            }
        }
    }

    /// The addend that the instruction `word` of an object holds, where relocations have none (AAELF32, "Addends and PC-bias
    /// compensation"): halves of an address are signed numbers of 16 bits.
    pub fn addend(&self, word: u64) -> i64 {
        match (self.is_whole(), self.form) {
            (true, Form::Plain | Form::Table) => self.number(word),
            (true, _) => self.number(word) & !1,
            (false, _) => extend(self.gather(word) >> self.part.trailing_zeros(), 16),
        }
    }

    /// The number that `value` asks for.
    pub fn wanted(&self, value: i64) -> i64 {
        let part = (value as u64).wrapping_add(self.round) & self.part;
        if self.part >> 63 == 1 { part as i64 } else { extend(part, self.sign) }
    }

    /// The bits of the instruction that do not belong to the number.
    pub fn opcode(&self, word: u64) -> u64 {
        let number = match self.form {
            Form::Plain | Form::Table | Form::ThumbToThumb => {
                self.pieces.iter().fold(0, |mask, (at, count, _)| mask | ((1u64 << count) - 1) << at)
            }
            Form::CallPair => 0xffff_f000 | 0xfff << 52,
            // `blx`, which has 1111 for a condition, is `bl` to code of the other mode.
            Form::ArmBranch if word >> 28 == 0xf => return 0xeb00_0000,
            Form::ArmBranch => 0x00ff_ffff,
            // bl and blx differ in bit 12 of the second half; b.w has bit 14 clear and no twin.
            Form::ThumbBranch if word >> 30 & 1 == 1 => 0x3fff_07ff,
            Form::ThumbBranch => 0x2fff_07ff,
            Form::ThumbConditional => 0x2fff_043f,
        };
        word & !number
    }

    fn gather(&self, word: u64) -> u64 {
        self.pieces.iter().fold(0, |number, (at, count, to)| number | (word >> at & ((1u64 << count) - 1)) << to)
    }
}

/// Widens a number of `sign` bits; 0 is unsigned.
pub fn extend(number: u64, sign: u8) -> i64 {
    if sign == 0 || sign >= 64 {
        return number as i64;
    }
    let shift = 64 - u32::from(sign);
    ((number << shift) as i64) >> shift
}
