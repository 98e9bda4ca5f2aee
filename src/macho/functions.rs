//! Where functions start, and where data stand in code: two lists in `__LINKEDIT` that tools read, not the loader.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use super::leb::uleb;
use crate::malfunction::{self, Malfunction};

/// A stretch of data in code (`struct data_in_code_entry`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DataInCode {
    /// Where it starts: in an object an address, in an image the offset from its first byte.
    pub(crate) offset: u32,
    /// Its size, in bytes.
    pub(crate) length: u16,
    /// `DICE_KIND_*`
    pub(crate) kind: u16,
}

impl DataInCode {
    /// Bytes of an entry.
    pub(crate) const SIZE: usize = 8;

    /// Reads an entry.
    pub(crate) fn read(entry: &[u8; Self::SIZE]) -> Self {
        let [o0, o1, o2, o3, l0, l1, k0, k1] = *entry;
        Self {
            offset: u32::from_le_bytes([o0, o1, o2, o3]),
            length: u16::from_le_bytes([l0, l1]),
            kind: u16::from_le_bytes([k0, k1]),
        }
    }

    /// Appends the entry.
    pub(crate) fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
        bytes.extend(self.kind.to_le_bytes());
    }
}

/// The contents of `LC_FUNCTION_STARTS`: the distances from each function to the next as ULEB128 numbers, the first from
/// the start of the image, and a zero at the end; padded to 8 bytes. `offsets` count from the start of the image.
pub(crate) fn function_starts(mut offsets: Vec<u64>) -> Vec<u8> {
    offsets.sort_unstable();
    offsets.dedup();
    if malfunction::on(Malfunction::FunctionStartLost) {
        offsets.pop();
    }
    let mut bytes = Vec::new();
    let mut last = 0_u64;
    for offset in offsets {
        // A function at the very start would look like the end; the header stands there.
        if offset > last {
            uleb(&mut bytes, offset.saturating_sub(last));
            last = offset;
        }
    }
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn starts_are_distances() {
        assert_eq!(function_starts(vec![0x1000, 0x400, 0x400]), [0x80, 0x08, 0x80, 0x18, 0, 0, 0, 0]);
        assert_eq!(function_starts(Vec::new()), [0; 8]);
    }

    #[test]
    fn entries_are_read_as_they_are_written() {
        let entry = DataInCode { offset: 0x1234_5678, length: 9, kind: 3 };
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        assert_eq!(DataInCode::read(bytes.first_chunk().unwrap()), entry);
    }
}
