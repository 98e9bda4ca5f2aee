//! Mach-O's *compact unwind*: `__unwind_info`, made from the `__compact_unwind` sections of all objects.
//!
//! An object describes each function by a 32-bit *encoding*, which says what the frame looks like and where registers are
//! saved, or that the function's record in `__eh_frame` says so (DWARF mode). The image has them sorted by address in two
//! levels. The first is an index: for each *page* of the second level, its first function. A second-level page
//! is *compressed*, 32 bits an entry, where the functions lie within 16 MiB of the first and use few encodings: 24 bits of
//! distance, 8 bits of index into the common encodings and, behind them, the page's own. Else it is *regular*, 64 bits an
//! entry. An entry holds up to the next one, so functions that have none get one that says "none", and neighbours that
//! unwind alike share one.
//!
//! Source: `mach-o/compact_unwind_encoding.h`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::collections::HashMap;

use crate::options::Arch;

/// `UNWIND_HAS_LSDA`
pub(crate) const HAS_LSDA: u32 = 0x4000_0000;
/// `UNWIND_PERSONALITY_MASK`: 1 + index of the personality, 0 for none.
const PERSONALITY: u32 = 0x3000_0000;
const PERSONALITY_SHIFT: u32 = 28;
/// The most personalities that an image can have: two bits, less the value for none.
pub(crate) const PERSONALITIES: usize = 3;
/// `UNWIND_X86_64_MODE_MASK`, `UNWIND_ARM64_MODE_MASK`
const MODE: u32 = 0x0f00_0000;
/// `UNWIND_X86_64_MODE_STACK_IND`: the frame's size stands in the function's code.
const X86_64_STACK_INDIRECT: u32 = 0x0300_0000;
/// The bits of a DWARF-mode encoding that hold the offset of the record in `__eh_frame`.
pub(crate) const DWARF_OFFSET: u32 = 0x00ff_ffff;

const HEADER_SIZE: u64 = 28;
const COMMON_LIMIT: usize = 127;
/// Bytes of a second-level page, at most.
const PAGE: usize = 4096;
/// Entries of a regular page, at most.
const REGULAR_LIMIT: usize = (PAGE - 8) / 8;
/// Entries and own encodings of a compressed page, at most together.
const COMPRESSED_LIMIT: usize = (PAGE - 12) / 4;
/// `UNWIND_SECOND_LEVEL_REGULAR`, `UNWIND_SECOND_LEVEL_COMPRESSED`
const REGULAR: u32 = 2;
const COMPRESSED: u32 = 3;

/// The encoding that refers to `__eh_frame`.
pub(crate) fn dwarf_mode(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 0x0400_0000,
        _ => 0x0300_0000,
    }
}

/// Whether an encoding refers to `__eh_frame`.
pub(crate) fn is_dwarf(arch: Arch, encoding: u32) -> bool {
    encoding & MODE == dwarf_mode(arch)
}

/// A DWARF-mode encoding for the record at `offset` of `__eh_frame`, or for one from which on it can be looked for. What 24
/// bits do not hold is 0: unwinders look from the section's start.
pub(crate) fn dwarf_encoding(encoding: u32, offset: u64) -> u32 {
    let hint = u32::try_from(offset).ok().filter(|offset| *offset <= DWARF_OFFSET).unwrap_or(0);
    (encoding & !DWARF_OFFSET) | hint
}

/// How one function is unwound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The function's address.
    pub(crate) function: u64,
    /// The function's size, in bytes.
    pub(crate) size: u64,
    /// The encoding, without personality and [`HAS_LSDA`].
    pub(crate) encoding: u32,
    /// Index of the personality.
    pub(crate) personality: Option<u32>,
    /// The address of its language-specific data.
    pub(crate) lsda: Option<u64>,
}

impl Entry {
    fn end(&self) -> u64 {
        self.function.saturating_add(self.size)
    }

    fn encoded(&self) -> u32 {
        let personality = self.personality.map_or(0, |index| index.saturating_add(1));
        let lsda = if self.lsda.is_some() { HAS_LSDA } else { 0 };
        self.encoding | (personality.wrapping_shl(PERSONALITY_SHIFT) & PERSONALITY) | lsda
    }

    /// Whether what comes behind it unwinds by it as well.
    fn covers(&self, next: &Self, arch: Arch) -> bool {
        let encoded = self.encoded();
        let own_code = arch == Arch::X86_64 && encoded & MODE == X86_64_STACK_INDIRECT;
        encoded == next.encoded() && self.lsda.is_none() && !is_dwarf(arch, encoded) && !own_code
    }
}

/// `__unwind_info` as its readers find it; the addresses it holds count from the image's first byte, at 0.
#[derive(Debug, Default)]
pub(crate) struct UnwindInfo {
    /// Ascending by function.
    entries: Vec<(u64, u32)>,
    common: Vec<u32>,
    pages: Vec<Page>,
    /// Ascending by function.
    lsdas: Vec<(u64, u64)>,
    personalities: usize,
    end: u64,
}

/// A second-level page.
#[derive(Debug)]
struct Page {
    first: usize,
    count: usize,
    /// Its own encodings, if it is compressed.
    encodings: Option<Vec<u32>>,
}

impl Page {
    fn size(&self) -> u64 {
        let (count, words) = (self.count as u64, 4_u64);
        match &self.encodings {
            Some(own) => count.saturating_add(own.len() as u64).saturating_add(3).saturating_mul(words),
            None => count.saturating_mul(2).saturating_add(2).saturating_mul(words),
        }
    }
}

impl UnwindInfo {
    /// Of an image with these functions, in any order, and so many personalities. `starts` are the addresses of all
    /// functions, ascending: those that no entry covers get one that says that they cannot be unwound.
    pub(crate) fn new(arch: Arch, mut entries: Vec<Entry>, starts: &[u64], personalities: usize) -> Self {
        // Of two descriptions of one function the first given stays.
        entries.sort_by_key(|entry| entry.function);
        entries.dedup_by_key(|entry| entry.function);
        if entries.is_empty() {
            return Self::default();
        }
        add_uncovered(&mut entries, starts);
        let end = entries.iter().map(Entry::end).max().unwrap_or(0);
        let lsdas = entries.iter().filter_map(|entry| Some((entry.function, entry.lsda?))).collect();
        entries.dedup_by(|next, kept| kept.covers(next, arch));
        let entries: Vec<(u64, u32)> = entries.iter().map(|entry| (entry.function, entry.encoded())).collect();
        let common = common_encodings(arch, &entries);
        let pages = paginate(&entries, &common);
        Self { entries, common, pages, lsdas, personalities, end }
    }

    /// Whether there is nothing to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn personalities_start(&self) -> u64 {
        HEADER_SIZE.saturating_add(words(self.common.len()))
    }

    fn index_start(&self) -> u64 {
        self.personalities_start().saturating_add(words(self.personalities))
    }

    fn lsdas_start(&self) -> u64 {
        self.index_start().saturating_add(words(self.pages.len().saturating_add(1).saturating_mul(3)))
    }

    fn pages_start(&self) -> u64 {
        self.lsdas_start().saturating_add(words(self.lsdas.len().saturating_mul(2)))
    }

    /// Its size, in bytes. It depends on the addresses of functions, not on those of personalities and of language-specific
    /// data.
    pub(crate) fn size(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        self.pages.iter().fold(self.pages_start(), |size, page| size.saturating_add(page.size()))
    }

    /// Its bytes. `personalities` are the addresses of the slots with the personalities' addresses.
    pub(crate) fn bytes(&self, personalities: &[u64]) -> Vec<u8> {
        let mut out = Words(Vec::new());
        if self.is_empty() {
            return out.0;
        }
        let index_entries = self.pages.len().saturating_add(1) as u64;
        let (common, personality_count) = (self.common.len() as u64, self.personalities as u64);
        let (personality_array, index) = (self.personalities_start(), self.index_start());
        out.all([1, HEADER_SIZE, common, personality_array, personality_count, index, index_entries]);
        out.all(self.common.iter().map(|encoding| u64::from(*encoding)));
        out.all((0..self.personalities).map(|number| personalities.get(number).copied().unwrap_or(0)));
        let mut page_start = self.pages_start();
        for page in &self.pages {
            let first = self.entries.get(page.first).map_or(0, |entry| entry.0);
            out.all([first, page_start, self.lsda_offset(first)]);
            page_start = page_start.saturating_add(page.size());
        }
        out.all([self.end, 0, self.lsda_offset(u64::MAX)]);
        for (function, lsda) in &self.lsdas {
            out.all([*function, *lsda]);
        }
        for page in &self.pages {
            self.write_page(page, &mut out);
        }
        out.0
    }

    /// The offset of the first function with language-specific data from an address on.
    fn lsda_offset(&self, function: u64) -> u64 {
        let before = self.lsdas.partition_point(|(with, _)| *with < function);
        self.lsdas_start().saturating_add(words(before.saturating_mul(2)))
    }

    fn write_page(&self, page: &Page, out: &mut Words) {
        let last = page.first.saturating_add(page.count);
        let entries = self.entries.get(page.first..last).unwrap_or_default();
        let count = page.count as u64;
        let Some(own) = &page.encodings else {
            out.all([u64::from(REGULAR), 8 | (count << 16)]);
            entries.iter().for_each(|(function, encoding)| out.all([*function, u64::from(*encoding)]));
            return;
        };
        let encodings_start = words(page.count).saturating_add(12);
        let own_count = own.len() as u64;
        out.all([u64::from(COMPRESSED), 12 | (count << 16), encodings_start | (own_count << 16)]);
        let first = entries.first().map_or(0, |entry| entry.0);
        let indices: HashMap<u32, u64> = self.common.iter().chain(own).copied().zip(0_u64..).collect();
        for (function, encoding) in entries {
            let index = indices.get(encoding).copied().unwrap_or(0);
            out.all([(index << 24) | (function.saturating_sub(first) & 0x00ff_ffff)]);
        }
        out.all(own.iter().map(|encoding| u64::from(*encoding)));
    }
}

/// Bytes of so many words.
fn words(count: usize) -> u64 {
    (count as u64).saturating_mul(4)
}

/// Adds an entry that says "cannot be unwound" for each of `starts` that none covers. Both are ascending.
fn add_uncovered(entries: &mut Vec<Entry>, starts: &[u64]) {
    let mut added = Vec::new();
    let mut known = entries.iter().peekable();
    let mut covered = 0;
    for start in starts {
        while let Some(entry) = known.next_if(|entry| entry.function <= *start) {
            // An entry without a size still describes the function that starts there.
            covered = entry.end().max(entry.function.saturating_add(1)).max(covered);
        }
        if *start >= covered {
            added.push(Entry { function: *start, size: 0, encoding: 0, personality: None, lsda: None });
        }
    }
    entries.extend(added);
    entries.sort_by_key(|entry| entry.function);
}

/// The encodings that more than one function has, most frequent first.
fn common_encodings(arch: Arch, entries: &[(u64, u32)]) -> Vec<u32> {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for (_, encoding) in entries.iter().filter(|(_, encoding)| !is_dwarf(arch, *encoding)) {
        let count = counts.entry(*encoding).or_default();
        *count = count.saturating_add(1);
    }
    let mut common: Vec<(u32, u32)> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    common.sort_unstable_by_key(|(encoding, count)| (std::cmp::Reverse(*count), *encoding));
    common.truncate(COMMON_LIMIT);
    common.into_iter().map(|(encoding, _)| encoding).collect()
}

/// Cuts the entries into pages.
fn paginate(entries: &[(u64, u32)], common: &[u32]) -> Vec<Page> {
    let common: std::collections::HashSet<u32> = common.iter().copied().collect();
    let mut pages = Vec::new();
    let mut first = 0_usize;
    while let Some(rest) = entries.get(first..).filter(|rest| !rest.is_empty()) {
        let start = rest.first().map_or(0, |entry| entry.0);
        let mut own: Vec<u32> = Vec::new();
        let mut known = std::collections::HashSet::new();
        let mut count = 0_usize;
        for (function, encoding) in rest {
            let new = !common.contains(encoding) && !known.contains(encoding);
            let more = own.len().saturating_add(usize::from(new));
            let full = count.saturating_add(more).saturating_add(1) > COMPRESSED_LIMIT
                || common.len().saturating_add(more) > 256
                || function.saturating_sub(start) > u64::from(DWARF_OFFSET);
            if full {
                break;
            }
            if new {
                own.push(*encoding);
                known.insert(*encoding);
            }
            count = count.saturating_add(1);
        }
        let regular = rest.len().min(REGULAR_LIMIT);
        let page = if count < regular {
            Page { first, count: regular, encodings: None }
        } else {
            Page { first, count, encodings: Some(own) }
        };
        first = first.saturating_add(page.count);
        pages.push(page);
    }
    pages
}

/// Little-endian 32-bit words.
struct Words(Vec<u8>);

impl Words {
    /// Appends the low 32 bits of each; images are smaller than what these hold.
    fn all(&mut self, values: impl IntoIterator<Item = u64>) {
        for value in values {
            let [a, b, c, d, ..] = value.to_le_bytes();
            self.0.extend([a, b, c, d]);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use proptest::prelude::*;

    use super::*;

    fn entry(function: u64, size: u64, encoding: u32) -> Entry {
        Entry { function, size, encoding, personality: None, lsda: None }
    }

    /// Reads the encoding that holds at an address, as unwinders do.
    fn look_up(bytes: &[u8], address: u64) -> Option<u32> {
        let word = |at: u64| u32::from_le_bytes(bytes[at as usize..at as usize + 4].try_into().unwrap());
        let half = |at: u64| u64::from(u16::from_le_bytes(bytes[at as usize..at as usize + 2].try_into().unwrap()));
        let (index, count) = (u64::from(word(20)), u64::from(word(24)));
        let row = (0..count).rev().find(|row| u64::from(word(index + 12 * row)) <= address)?;
        let (start, page) = (word(index + 12 * row), u64::from(word(index + 12 * row + 4)));
        if page == 0 {
            return None;
        }
        let (entries, count) = (page + half(page + 4), half(page + 6));
        if word(page) == REGULAR {
            let row = (0..count).rev().find(|row| u64::from(word(entries + 8 * row)) <= address)?;
            return Some(word(entries + 8 * row + 4));
        }
        assert_eq!(word(page), COMPRESSED);
        let row = (0..count).rev().find(|row| u64::from(start + (word(entries + 4 * row) & 0xff_ffff)) <= address)?;
        let index = u64::from(word(entries + 4 * row) >> 24);
        let common = u64::from(word(8));
        Some(if index < common {
            word(u64::from(word(4)) + 4 * index)
        } else {
            word(page + half(page + 8) + 4 * (index - common))
        })
    }

    #[test]
    fn neighbours_share_an_entry_and_others_do_not() {
        let frame = 0x0400_0000;
        let entries = vec![entry(0x1000, 16, frame), entry(0x1010, 16, frame), entry(0x1020, 4, 0x0200_1000)];
        let info = UnwindInfo::new(Arch::Aarch64, entries, &[0x1000, 0x1010, 0x1020, 0x1040], 0);
        assert_eq!(info.entries, [(0x1000, frame), (0x1020, 0x0200_1000), (0x1040, 0)]);
        let bytes = info.bytes(&[]);
        assert_eq!(bytes.len() as u64, info.size());
        assert_eq!(
            [0xfff, 0x1000, 0x101f, 0x1024].map(|at| look_up(&bytes, at)),
            [None, Some(frame), Some(frame), Some(0x0200_1000)]
        );
    }

    #[test]
    fn personalities_and_language_data_are_listed() {
        let with =
            |function, lsda| Entry { personality: Some(0), lsda: Some(lsda), ..entry(function, 16, 0x0400_0000) };
        let info = UnwindInfo::new(Arch::Aarch64, vec![with(0x1010, 0x3010), with(0x1000, 0x3000)], &[], 1);
        let bytes = info.bytes(&[0x4000]);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!([word(16), word(word(12))], [1, 0x4000]);
        let lsdas = word(word(20) + 8);
        assert_eq!([word(lsdas), word(lsdas + 4), word(lsdas + 8), word(lsdas + 12)], [0x1000, 0x3000, 0x1010, 0x3010]);
        assert_eq!(look_up(&bytes, 0x1010), Some(0x5400_0000));
    }

    #[test]
    fn what_has_a_record_of_its_own_stays_alone() {
        let entries =
            vec![entry(0, 8, dwarf_encoding(0x0400_0000, 24)), entry(8, 8, dwarf_encoding(0x0400_0000, 1 << 24))];
        let info = UnwindInfo::new(Arch::X86_64, entries, &[], 0);
        assert_eq!(info.entries, [(0, 0x0400_0018), (8, 0x0400_0000)]);
    }

    proptest! {
        #[test]
        fn every_function_finds_its_encoding(
            functions in proptest::collection::vec((1..0x2_0000_u64, 0..600_u32), 1..3000),
            few in proptest::bool::ANY,
        ) {
            let mut address = 0x1000;
            let mut entries = Vec::new();
            for (size, encoding) in functions {
                let encoding = 0x0200_0000 | (if few { encoding % 7 } else { encoding });
                entries.push(entry(address, size, encoding));
                address += size;
            }
            let info = UnwindInfo::new(Arch::Aarch64, entries.clone(), &[], 0);
            let bytes = info.bytes(&[]);
            prop_assert_eq!(bytes.len() as u64, info.size());
            for entry in entries.iter().step_by(7) {
                prop_assert_eq!(look_up(&bytes, entry.function), Some(entry.encoding));
                prop_assert_eq!(look_up(&bytes, entry.end() - 1), Some(entry.encoding));
            }
        }
    }
}
