//! A position in untrusted little-endian bytes.
//!
//! No method panics, whatever the bytes: a read beyond the end is a [`Malformed`] that carries the sentence given at the
//! call site.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

/// Bytes that break a rule of their format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at offset 0x{offset:x})")]
pub(crate) struct Malformed {
    /// Where, in bytes from the start of what was being read (a section, as a rule).
    pub(crate) offset: u64,
    /// Which rule.
    pub(crate) what: &'static str,
}

impl Malformed {
    /// The rule `what` is broken at `offset`.
    pub(crate) fn new(offset: u64, what: &'static str) -> Self {
        Self { offset, what }
    }
}

/// Reads one field after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'data> {
    bytes: &'data [u8],
    /// Never beyond the end.
    position: usize,
}

impl<'data> Reader<'data> {
    /// Starts at the first of `bytes`.
    pub(crate) fn new(bytes: &'data [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Starts `offset` bytes into `bytes`.
    pub(crate) fn at(bytes: &'data [u8], offset: u64, what: &'static str) -> Result<Self, Malformed> {
        let mut reader = Self::new(bytes);
        reader.skip(offset, what)?;
        Ok(reader)
    }

    /// The offset of the next byte, from the start of all bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.position as u64
    }

    /// The number of bytes from here to the end.
    pub(crate) fn remaining(&self) -> u64 {
        self.rest().len() as u64
    }

    /// The same bytes as far as the offset `end`: what lies beyond cannot be read.
    pub(crate) fn until(&self, end: u64, what: &'static str) -> Result<Self, Malformed> {
        let bytes = usize::try_from(end).ok().and_then(|end| self.bytes.get(..end));
        match bytes {
            Some(bytes) if bytes.len() >= self.position => Ok(Self { bytes, position: self.position }),
            _ => Err(self.malformed(what)),
        }
    }

    /// Passes over `count` bytes.
    pub(crate) fn skip(&mut self, count: u64, what: &'static str) -> Result<(), Malformed> {
        self.take(count, what).map(|_| ())
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: u64, what: &'static str) -> Result<&'data [u8], Malformed> {
        let taken = usize::try_from(count).ok().and_then(|count| self.rest().get(..count));
        let taken = taken.ok_or_else(|| self.malformed(what))?;
        self.position = self.position.saturating_add(taken.len());
        Ok(taken)
    }

    /// The bytes before the next NUL, which is passed over.
    pub(crate) fn string(&mut self, what: &'static str) -> Result<&'data [u8], Malformed> {
        let length = memchr::memchr(0, self.rest()).ok_or_else(|| self.malformed(what))?;
        let string = self.take(length as u64, what)?;
        self.skip(1, what)?;
        Ok(string)
    }

    /// The next byte.
    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.array(what).map(u8::from_le_bytes)
    }

    /// The next 2 bytes as a number.
    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        self.array(what).map(u16::from_le_bytes)
    }

    /// The next 4 bytes as a number.
    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// The next 8 bytes as a number.
    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A variable-length unsigned number (DWARF 5, §7.6). Bits beyond the 64th must be zero.
    pub(crate) fn uleb128(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let start = *self;
        let mut value = 0_u64;
        let mut shift = 0_u32;
        loop {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            let placed = bits.checked_shl(shift).unwrap_or(0);
            if placed.checked_shr(shift).unwrap_or(0) != bits {
                return Err(start.malformed("a LEB128 number does not fit in 64 bits"));
            }
            value |= placed;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift = shift.saturating_add(7);
        }
    }

    /// A variable-length signed number (DWARF 5, §7.6). Bits beyond the 64th must repeat the sign.
    pub(crate) fn sleb128(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let start = *self;
        let mut value = 0_i128;
        let mut shift = 0_u32;
        loop {
            let byte = self.u8(what)?;
            let bits = i128::from(byte & 0x7f);
            let last = byte & 0x80 == 0;
            // Ten bytes hold 70 bits, enough for any 64-bit number; longer ones are padded, which nobody does.
            if shift > 63 {
                return Err(start.malformed("a LEB128 number does not fit in 64 bits"));
            }
            value |= bits.checked_shl(shift).unwrap_or(0);
            shift = shift.saturating_add(7);
            if last {
                if byte & 0x40 != 0 {
                    value |= (-1_i128).checked_shl(shift).unwrap_or(0);
                }
                return i64::try_from(value).map_err(|_| start.malformed("a LEB128 number does not fit in 64 bits"));
            }
        }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let bytes = self.rest().first_chunk::<N>().ok_or_else(|| self.malformed(what))?;
        self.position = self.position.saturating_add(N);
        Ok(*bytes)
    }

    fn rest(&self) -> &'data [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// A [`Malformed`] at this place.
    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed::new(self.offset(), what)
    }
}
