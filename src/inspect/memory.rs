//! An image as the loader sees it: addresses, and the bytes at them once it is loaded.
//!
//! Pointers in an image's data are not what the file has there: they are zero, or half of a link in a chain, until the
//! loader has relocated them. So a format's room maps the file's pieces here and notes what every relocation stores,
//! and whoever follows a pointer asks for the [`Word`] at an address. Nothing is copied.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use crate::bytes;

/// The longest name that is read, in bytes.
pub(super) const NAME_LIMIT: u64 = 4096;

/// An image's address space.
#[derive(Debug, Default)]
pub(super) struct Memory<'a> {
    /// Ascending by address once [`finish`](Self::finish) is called; none overlaps another.
    pieces: Vec<Piece<'a>>,
    /// By address, ascending once [`finish`](Self::finish) is called.
    fixes: Vec<(u64, Fix)>,
    /// The names that relocations refer to.
    imports: Vec<&'a [u8]>,
    /// The size of a pointer: 4 or 8.
    pub(super) pointer: u64,
    /// The most relocations that are kept, so that a file whose few bytes stand for very many of them (packed ones do)
    /// costs memory in proportion to its size: there is no more than one for every 4 bytes of data.
    limit: usize,
    /// Whether there were more.
    pub(super) cut: bool,
}

/// A mapped part of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// Where it is mapped.
    pub(super) address: u64,
    /// How much it takes; what is beyond `bytes` is zero.
    pub(super) size: u64,
    /// What comes from the file.
    pub(super) bytes: &'a [u8],
    /// Where in the file.
    pub(super) file_offset: u64,
    /// Whether it can be written to.
    pub(super) write: bool,
    /// Whether it can be run.
    pub(super) execute: bool,
}

/// What a relocation stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fix {
    /// An address of the image.
    Address(u64),
    /// The address of something elsewhere, by its index.
    Import(u32),
}

/// What a pointer-sized field holds once the image is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// A number that nothing relocates.
    Number(u64),
    /// An address of the image.
    Address(u64),
    /// The address of something elsewhere.
    Import(&'a [u8]),
}

impl<'a> Memory<'a> {
    /// An empty address space with pointers of `pointer` bytes, for the image `file`.
    pub(super) fn new(pointer: u64, file: &[u8]) -> Self {
        Self { pointer, limit: file.len() / 4, ..Self::default() }
    }

    /// Maps a part of the file.
    pub(super) fn map(&mut self, piece: Piece<'a>) {
        if piece.size > 0 {
            self.pieces.push(piece);
        }
    }

    /// Notes a name that relocations may refer to.
    pub(super) fn import(&mut self, name: &'a [u8]) -> u32 {
        let index = u32::try_from(self.imports.len()).unwrap_or(u32::MAX);
        self.imports.push(name);
        index
    }

    /// Notes what is stored at `address`. Says whether there is room for more.
    pub(super) fn fix(&mut self, address: u64, fix: Fix) -> bool {
        if self.fixes.len() >= self.limit {
            self.cut = true;
            return false;
        }
        self.fixes.push((address, fix));
        true
    }

    /// Puts pieces in order, so that addresses can be found from here on: of pieces that overlap the first is kept.
    pub(super) fn arrange(&mut self) {
        self.pieces.sort_by_key(|piece| piece.address);
        let mut end = 0;
        self.pieces.retain(|piece| {
            let keep = piece.address >= end && piece.address.checked_add(piece.size).is_some();
            if keep {
                end = piece.address.saturating_add(piece.size);
            }
            keep
        });
    }

    /// Puts relocations in order, so that pointers can be read from here on: of several at one place the last counts.
    pub(super) fn finish(&mut self) {
        self.fixes.sort_by_key(|(address, _)| *address);
    }

    /// The piece that `address` is in.
    pub(super) fn piece(&self, address: u64) -> Option<&Piece<'a>> {
        let next = self.pieces.partition_point(|piece| piece.address <= address);
        let piece = self.pieces.get(next.checked_sub(1)?)?;
        (address.wrapping_sub(piece.address) < piece.size).then_some(piece)
    }

    /// Whether `size` bytes from `address` on are mapped, in one piece.
    pub(super) fn has(&self, address: u64, size: u64) -> bool {
        self.piece(address)
            .and_then(|piece| piece.size.checked_sub(address.wrapping_sub(piece.address)))
            .is_some_and(|left| left >= size)
    }

    /// The `size` bytes at `address` as they are in the file, if all of them are.
    pub(super) fn slice(&self, address: u64, size: u64) -> Option<&'a [u8]> {
        let piece = self.piece(address)?;
        bytes::slice(piece.bytes, address.wrapping_sub(piece.address), size)
    }

    /// Where in the file the byte at `address` is.
    pub(super) fn file_offset(&self, address: u64) -> Option<u64> {
        let piece = self.piece(address)?;
        let offset = address.wrapping_sub(piece.address);
        (offset < piece.bytes.len() as u64).then_some(piece.file_offset.checked_add(offset)?)
    }

    /// The text at `address` up to its NUL, if that comes soon.
    pub(super) fn string(&self, address: u64) -> Option<&'a [u8]> {
        let piece = self.piece(address)?;
        string(piece.bytes, address.wrapping_sub(piece.address))
    }

    /// The little-endian number of `size` bytes, at most 8, that the file has at `address`.
    pub(super) fn number(&self, address: u64, size: u64) -> Option<u64> {
        let piece = self.piece(address)?;
        let start = address.wrapping_sub(piece.address);
        if start.checked_add(size)? > piece.size {
            return None;
        }
        let mut value = 0_u64;
        for (shift, offset) in (start..start.checked_add(size)?).enumerate() {
            let byte = usize::try_from(offset).ok().and_then(|offset| piece.bytes.get(offset)).copied().unwrap_or(0);
            value |= u64::from(byte).checked_shl(u32::try_from(shift).ok()?.checked_mul(8)?)?;
        }
        Some(value)
    }

    /// The 4-byte number at `address`.
    pub(super) fn u32(&self, address: u64) -> Option<u32> {
        u32::try_from(self.number(address, 4)?).ok()
    }

    /// What the pointer-sized field at `address` holds.
    pub(super) fn word(&self, address: u64) -> Option<Word<'a>> {
        let after = self.fixes.partition_point(|(fixed, _)| *fixed <= address);
        let fix = after.checked_sub(1).and_then(|index| self.fixes.get(index));
        match fix {
            Some((fixed, fix)) if *fixed == address => Some(match fix {
                Fix::Address(value) => Word::Address(*value),
                Fix::Import(index) => {
                    let name = usize::try_from(*index).ok().and_then(|index| self.imports.get(index));
                    Word::Import(name.copied().unwrap_or_default())
                }
            }),
            _ => self.number(address, self.pointer).map(Word::Number),
        }
    }

    /// The address of the image that the field at `address` holds.
    pub(super) fn pointer(&self, address: u64) -> Option<u64> {
        match self.word(address)? {
            Word::Address(value) => Some(value),
            _ => None,
        }
    }
}

/// The string at `offset` of a table up to its NUL, if that comes soon.
pub(super) fn string(table: &[u8], offset: u64) -> Option<&[u8]> {
    let tail = bytes::tail(table, offset)?;
    let limit = usize::try_from(NAME_LIMIT).unwrap_or(usize::MAX);
    let tail = tail.get(..limit).unwrap_or(tail);
    tail.get(..memchr::memchr(0, tail)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn memory(bytes: &[u8]) -> Memory<'_> {
        let mut memory = Memory::new(8, &[0; 64]);
        let piece = Piece { address: 0x1000, size: 0x20, bytes, file_offset: 0x40, write: true, execute: false };
        memory.map(piece);
        memory.map(Piece { address: 0x1010, ..piece });
        memory.map(Piece { address: u64::MAX, ..piece });
        memory.arrange();
        memory
    }

    #[test]
    fn what_is_beyond_the_files_bytes_is_zero_and_what_is_not_mapped_is_nothing() {
        let memory = memory(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(memory.u32(0x1000), Some(0x0403_0201));
        assert_eq!(memory.number(0x1008, 8), Some(0x0a09));
        assert_eq!(memory.u32(0x101c), Some(0));
        assert_eq!(memory.u32(0x101d), None);
        assert_eq!(memory.u32(0xfff), None);
        assert_eq!(memory.u32(u64::MAX), None);
        assert_eq!(memory.slice(0x1008, 2), Some(&[9, 10][..]));
        assert_eq!(memory.slice(0x1008, 3), None);
        assert_eq!((memory.file_offset(0x1009), memory.file_offset(0x100a)), (Some(0x49), None));
        assert!(memory.has(0x1000, 0x20) && !memory.has(0x1001, 0x20) && !memory.has(0x1020, 1));
    }

    #[test]
    fn a_relocated_word_is_what_the_loader_stores() {
        let mut memory = memory(&[0xff; 32]);
        let name = memory.import(b"memcpy");
        assert!(memory.fix(0x1008, Fix::Import(name)) && memory.fix(0x1000, Fix::Address(0x1010)));
        memory.finish();
        assert_eq!(memory.word(0x1000), Some(Word::Address(0x1010)));
        assert_eq!(memory.word(0x1008), Some(Word::Import(b"memcpy")));
        assert_eq!(memory.word(0x1010), Some(Word::Number(u64::MAX)));
        assert_eq!(memory.word(0x1019), None);
        assert_eq!((memory.pointer(0x1000), memory.pointer(0x1010)), (Some(0x1010), None));
    }

    #[test]
    fn strings_end_soon_or_are_none() {
        assert_eq!(string(b"ab\0c", 1), Some(&b"b"[..]));
        assert_eq!(string(b"ab\0c", 3), None);
        let long = vec![b'x'; 5000];
        assert_eq!(string(&long, 0), None);
        assert_eq!(string(b"", 1), None);
    }
}
