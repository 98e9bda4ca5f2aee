//! `.ARM.exidx`: the index of Arm's unwind tables (EHABI32, 5 *The Index table*, and 6 *The Exception Handling Table*).
//!
//! Unwinders find the index by `PT_ARM_EXIDX` and search it by halves: an array of entries of two words, sorted by address.
//! The first word is the address of a function. The second says how to unwind from there on, up to the next entry:
//!
//! | second word | meaning |
//! |---|---|
//! | 1 (`EXIDX_CANTUNWIND`) | it cannot be unwound through |
//! | bit 31 set | the instructions themselves, in the *compact model* with personality routine 0 |
//! | bit 31 clear | the address of an entry of `.ARM.extab` |
//!
//! Addresses are distances from the word that holds them, of 31 bits (*prel31*). An entry says nothing of where its function
//! ends, so a list that has gaps would unwind what is in a gap by the rules of the function before it: code without
//! entries gets an entry of its own that says it cannot be unwound, and so does what follows the last code, which is
//! there for searches to end at.
//!
//! Objects have a section of entries for each section of code (SHF_LINK_ORDER); an entry whose code is not in the image goes.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use crate::reader::{Malformed, Reader};

/// Size of an entry, in bytes.
pub(crate) const ENTRY_SIZE: u64 = 8;
/// The section's alignment, in bytes.
pub(crate) const ALIGNMENT: u64 = 4;
/// The second word of an entry whose function cannot be unwound through.
const CANNOT_UNWIND: u32 = 1;
/// Of a second word: the instructions stand in it.
const INLINE: u32 = 1 << 31;

/// What an entry says, where a table's address is `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says<T> {
    /// Its function cannot be unwound through.
    CannotUnwind,
    /// The instructions, in the compact model.
    Inline(u32),
    /// There is an entry in `.ARM.extab`.
    Table(T),
}

impl<T> Says<T> {
    /// Whether an entry with this meaning adds nothing to the one before it.
    pub(crate) fn repeats(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::CannotUnwind, Self::CannotUnwind) => true,
            (Self::Inline(word), Self::Inline(other)) => word == other,
            // Tables tell landing pads by their distance from the function's start.
            _ => false,
        }
    }
}

/// What the words of an input entry are, apart from what relocations say of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Offset of the entry in its section, in bytes. The first word is the function's address.
    pub(crate) offset: u64,
    /// The second word.
    pub(crate) says: Says<()>,
}

impl Entry {
    /// Offset of the second word, in bytes.
    pub(crate) fn second(&self) -> u64 {
        self.offset.saturating_add(4)
    }
}

/// The entries of an input section, in order. The first error is the last item.
///
/// # Errors
/// The section's size is no multiple of an entry's.
pub(crate) fn entries(section: &[u8]) -> impl Iterator<Item = Result<Entry, Malformed>> + '_ {
    const CUT: &str = "an entry of the unwind index is cut off";
    let mut reader = Reader::new(section);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || reader.remaining() == 0 {
            return None;
        }
        let offset = reader.offset();
        let second = reader.u32(CUT).and_then(|_| reader.u32(CUT));
        failed = second.is_err();
        Some(second.map(|second| Entry { offset, says: meaning(second) }))
    })
}

fn meaning(second: u32) -> Says<()> {
    match second {
        CANNOT_UNWIND => Says::CannotUnwind,
        word if word & INLINE != 0 => Says::Inline(word),
        _ => Says::Table(()),
    }
}

/// The bytes of the entry at `address` for the function at `function`; a table's address is as it is in the image. `None` if one
/// of them is farther than 1 GiB.
pub(crate) fn encode(address: u64, function: u64, says: Says<u64>) -> Option<[u8; 8]> {
    let second = match says {
        Says::CannotUnwind => CANNOT_UNWIND,
        Says::Inline(word) => word,
        Says::Table(table) => distance(address.wrapping_add(4), table)?,
    };
    let [f0, f1, f2, f3] = distance(address, function)?.to_le_bytes();
    let [s0, s1, s2, s3] = second.to_le_bytes();
    Some([f0, f1, f2, f3, s0, s1, s2, s3])
}

/// The distance from a word to what it refers to, in 31 bits.
fn distance(from: u64, to: u64) -> Option<u32> {
    let distance = to.wrapping_sub(from).cast_signed();
    let fits = (-0x4000_0000..0x4000_0000).contains(&distance);
    // The low bits are what is wanted.
    u32::try_from(distance & 0x7fff_ffff).ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// EHABI32, 5: a function, `EXIDX_CANTUNWIND`, an inline entry, and one with a table.
    #[test]
    fn entries_are_read() {
        let words = [0_u32, 1, 8, 0x80b0_b0b0, 0x7fff_fffc, 0x10];
        let section: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        let read: Vec<Entry> = entries(&section).map(Result::unwrap).collect();
        let expected = [(0, Says::CannotUnwind), (8, Says::Inline(0x80b0_b0b0)), (16, Says::Table(()))];
        assert_eq!(read, expected.map(|(offset, says)| Entry { offset, says }));
        assert_eq!(read[1].second(), 12);
        for length in 1..section.len() {
            assert_eq!(entries(&section[..length]).any(|entry| entry.is_err()), length % 8 != 0);
        }
    }

    #[test]
    fn words_hold_31_bits() {
        let word = |bytes: [u8; 8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let bytes = encode(0x1000, 0x2000, Says::Table(0x800)).unwrap();
        assert_eq!((word(bytes, 0), word(bytes, 4)), (0x1000, 0x7fff_f7fc));
        let bytes = encode(0x2000, 0x1000, Says::CannotUnwind).unwrap();
        assert_eq!((word(bytes, 0), word(bytes, 4)), (0x7fff_f000, 1));
        let inline = encode(0, 0, Says::Inline(0x80b0_b0b0)).unwrap();
        assert_eq!((word(inline, 0), word(inline, 4)), (0, 0x80b0_b0b0));
        assert!(encode(0, 0x3fff_ffff, Says::CannotUnwind).is_some());
        assert_eq!(encode(0, 0x4000_0000, Says::CannotUnwind), None);
        assert_eq!(encode(0x4000_0001, 0, Says::CannotUnwind), None);
        assert_eq!(encode(0, 0, Says::Table(0x4000_0004)), None);
    }

    #[test]
    fn what_says_the_same_is_known() {
        let table: Says<u32> = Says::Table(4);
        assert!(Says::<u32>::CannotUnwind.repeats(&Says::CannotUnwind));
        assert!(Says::<u32>::Inline(0x8000_0000).repeats(&Says::Inline(0x8000_0000)));
        assert!(!Says::<u32>::Inline(0x8000_0000).repeats(&Says::Inline(0x8000_0001)));
        assert!(!Says::CannotUnwind.repeats(&table));
        assert!(!table.repeats(&table));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = entries(&bytes).count();
        }

        #[test]
        fn what_is_written_leads_back(address in 0..1_u64 << 32, function in 0..1_u64 << 32) {
            if let Some(bytes) = encode(address, function, Says::CannotUnwind) {
                let word = u32::from_le_bytes(bytes[..4].try_into().unwrap());
                let distance = i64::from((word << 1) as i32 >> 1);
                prop_assert_eq!(address.wrapping_add_signed(distance), function);
            }
        }
    }
}
