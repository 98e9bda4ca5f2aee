//! Chained fixups: what the loader fills, threaded through the data themselves.
//!
//! Each pointer that the loader fills holds, in the file, what to put there: an address in the image (*rebase*), or the
//! number of an import and a small addend (*bind*); and the distance to the next such pointer in its page. The table in
//! `__LINKEDIT` holds only where the chain of each page starts, and the imports.
//!
//! The format of the pointers is `DYLD_CHAINED_PTR_64`, as LLD writes it for both CPUs: 64 bits, a step of 4 bytes, and
//! rebases that hold an address. `DYLD_CHAINED_PTR_64_OFFSET` holds the offset from the image's first byte instead, which
//! is the same number where the image starts at address 0, as a library does; older loaders do not know it.
//!
//! Source: `mach-o/fixup-chains.h`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use crate::malfunction::{self, Malfunction};

/// `DYLD_CHAINED_PTR_64`
const POINTER_FORMAT: u16 = 2;
/// `DYLD_CHAINED_PTR_START_NONE`: a page without fixups.
const NO_START: u16 = 0xffff;
/// Bytes that a chain can step over at least: `next` counts these.
const STRIDE: u64 = 4;
/// Bytes of the header, to a multiple of 8.
const HEADER_SIZE: usize = 32;
/// Bytes of `dyld_chained_starts_in_segment` before the page starts.
const STARTS_SIZE: usize = 22;
/// The most that the addend in a bind can be.
pub(crate) const INLINE_ADDEND: i64 = 0xff;
/// The most pages of one segment that chains can start in: their number has 16 bits.
pub(crate) const PAGES_LIMIT: u64 = 0xffff;

/// A symbol that the loader looks up, and a number of bytes to add to its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Import<'a> {
    /// Its name, without a NUL byte.
    pub(crate) name: &'a [u8],
    /// The library: its place among the load commands, from 1; or one of the constants of [`ordinal`](super::ordinal).
    pub(crate) ordinal: i32,
    /// It may be missing, and is 0 then.
    pub(crate) weak: bool,
    /// What is added, if it does not fit in the pointers themselves.
    pub(crate) addend: i64,
}

/// A pointer that the loader fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Site {
    /// Offset in its segment, in bytes.
    pub(crate) offset: u32,
    /// The number of its import, or [`Site::REBASE`].
    pub(crate) import: u32,
}

impl Site {
    /// The import of a pointer into the image itself.
    pub(crate) const REBASE: u32 = u32::MAX;
}

/// The pointers of one segment that the loader fills.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SegmentSites {
    /// The segment's address, in the image.
    pub(crate) address: u64,
    /// Ascending by offset.
    pub(crate) sites: Vec<Site>,
}

impl SegmentSites {
    /// The index of the site at an offset.
    pub(crate) fn find(&self, offset: u64) -> Option<usize> {
        self.sites.binary_search_by_key(&offset, |site| u64::from(site.offset)).ok()
    }

    /// The distance to the next site of the same page, as `next` holds it; 0 if there is none.
    pub(crate) fn next(&self, index: usize, page: u64) -> u64 {
        let offset = |index: usize| self.sites.get(index).map(|site| u64::from(site.offset));
        let (Some(this), Some(next)) = (offset(index), index.checked_add(1).and_then(offset)) else { return 0 };
        let last = index.checked_add(2).is_none_or(|after| after == self.sites.len());
        if malfunction::on(Malfunction::ChainCutShort) && last {
            return 0;
        }
        let same = this.checked_div(page) == next.checked_div(page);
        if same { next.saturating_sub(this) / STRIDE } else { 0 }
    }

    /// The number of pages from the segment's start to the last site.
    pub(crate) fn pages(&self, page: u64) -> u64 {
        let last = self.sites.last().and_then(|site| u64::from(site.offset).checked_div(page));
        last.map_or(0, |last| last.saturating_add(1))
    }
}

/// Why no chain leads to a pointer at `place`, counted from a page of `page` bytes; `None` if one does.
pub(crate) fn obstacle(place: u64, page: u64) -> Option<&'static str> {
    let within = place.checked_rem(page).unwrap_or(0);
    match () {
        () if !within.is_multiple_of(STRIDE) => {
            Some("the loader fills pointers at multiples of 4 bytes only; without -fixup_chains, anywhere")
        }
        () if within > page.saturating_sub(8) => {
            Some("the loader fills no pointer that lies on two pages; align it, or leave -fixup_chains out")
        }
        () => None,
    }
}

/// What the file holds for a rebase to `address`, or `None` if that has more bits than there are.
pub(crate) fn rebase(address: u64, next: u64) -> Option<u64> {
    let (high, target) = (address >> 56, address & ((1 << 56) - 1));
    (target < 1 << 36).then_some(target | (high << 36) | ((next & 0xfff) << 51))
}

/// What the file holds for a bind to an import, whose own addend comes on top of `addend`.
pub(crate) fn bind(import: u32, addend: u8, next: u64) -> u64 {
    u64::from(import & 0xff_ffff) | (u64::from(addend) << 24) | ((next & 0xfff) << 51) | (1 << 63)
}

/// How imports are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ImportFormat {
    /// `DYLD_CHAINED_IMPORT`
    Plain = 1,
    /// `DYLD_CHAINED_IMPORT_ADDEND`
    Addend = 2,
    /// `DYLD_CHAINED_IMPORT_ADDEND64`
    Wide = 3,
}

/// The contents of `LC_DYLD_CHAINED_FIXUPS`, padded to 8 bytes. `segments` are all of the image, in order.
pub(crate) fn table(segments: &[SegmentSites], imports: &[Import<'_>], page: u64) -> Vec<u8> {
    let mut names = vec![0_u8];
    let mut offsets = Vec::with_capacity(imports.len());
    let mut last: Option<&[u8]> = None;
    for import in imports {
        // Imports of one name with different addends follow each other.
        if last != Some(import.name) {
            offsets.push(names.len() as u64);
            names.extend(import.name);
            names.push(0);
            last = Some(import.name);
        } else {
            offsets.push(offsets.last().copied().unwrap_or(0));
        }
    }
    let narrow = |import: &Import<'_>| (-15..=0xf0).contains(&import.ordinal) && i32::try_from(import.addend).is_ok();
    let format = match () {
        () if names.len() > 1 << 23 || !imports.iter().all(narrow) => ImportFormat::Wide,
        () if imports.iter().any(|import| import.addend != 0) => ImportFormat::Addend,
        () => ImportFormat::Plain,
    };

    let before = u64::from(malfunction::on(Malfunction::ImportLibraryOff));
    let mut starts = starts(segments, page);
    starts.resize(starts.len().next_multiple_of(8), 0);
    let imports_start = HEADER_SIZE.saturating_add(starts.len());
    let mut entries = Vec::new();
    for (import, name) in imports.iter().zip(offsets) {
        let weak = u64::from(import.weak);
        let ordinal = i64::from(import.ordinal).cast_unsigned().wrapping_sub(before);
        match format {
            ImportFormat::Plain | ImportFormat::Addend => {
                let word = (ordinal & 0xff) | (weak << 8) | (name << 9);
                entries.extend(low(word));
                if format == ImportFormat::Addend {
                    entries.extend(low(import.addend.cast_unsigned()));
                }
            }
            ImportFormat::Wide => {
                entries.extend(((ordinal & 0xffff) | (weak << 16) | (name << 32)).to_le_bytes());
                entries.extend(import.addend.to_le_bytes());
            }
        }
    }
    let names_start = imports_start.saturating_add(entries.len());
    let header = [0, HEADER_SIZE, imports_start, names_start, imports.len(), format as usize, 0];
    let mut bytes: Vec<u8> = header.into_iter().flat_map(|word| low(word as u64)).collect();
    bytes.resize(HEADER_SIZE, 0);
    bytes.extend(starts);
    bytes.extend(entries);
    bytes.extend(names);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// `dyld_chained_starts_in_image`, with what it refers to.
fn starts(segments: &[SegmentSites], page: u64) -> Vec<u8> {
    let list = segments.len().saturating_add(1).saturating_mul(4);
    let mut infos = Vec::new();
    let mut bytes = low(segments.len() as u64).to_vec();
    let infos_start = list.next_multiple_of(8);
    for segment in segments {
        if segment.sites.is_empty() {
            bytes.extend([0; 4]);
            continue;
        }
        infos.resize(infos.len().next_multiple_of(8), 0);
        bytes.extend(low(infos_start.saturating_add(infos.len()) as u64));
        let pages = segment.pages(page);
        let size = (STARTS_SIZE as u64).saturating_add(pages.saturating_mul(2));
        infos.extend(low(size));
        infos.extend(half(page));
        infos.extend(POINTER_FORMAT.to_le_bytes());
        infos.extend(segment.address.to_le_bytes());
        infos.extend([0; 4]);
        infos.extend(half(pages));
        let mut sites = segment.sites.iter().peekable();
        for number in 0..pages {
            let start = number.saturating_mul(page);
            let end = start.saturating_add(page);
            let first = sites.next_if(|site| u64::from(site.offset) < end);
            let late = if malfunction::on(Malfunction::ChainStartOff) { STRIDE } else { 0 };
            let first = first.map(|site| u64::from(site.offset).saturating_sub(start).saturating_add(late));
            infos.extend(first.map_or(NO_START.to_le_bytes(), half));
            while sites.next_if(|site| u64::from(site.offset) < end).is_some() {}
        }
    }
    bytes.resize(infos_start, 0);
    bytes.extend(infos);
    bytes
}

fn low(word: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = word.to_le_bytes();
    [a, b, c, d]
}

fn half(word: u64) -> [u8; 2] {
    let [a, b, ..] = word.to_le_bytes();
    [a, b]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn pointers_hold_what_the_loader_puts_there() {
        // Fields of dyld_chained_ptr_64_rebase: target 36, high8 8, reserved 7, next 12, bind 1.
        assert_eq!(rebase(0x1234_5678, 3), Some(0x1234_5678 | 3 << 51));
        assert_eq!(rebase(0xab00_0000_0000_1000, 0), Some(0x1000 | 0xab << 36));
        assert_eq!(rebase(1 << 36, 0), None);
        // Fields of dyld_chained_ptr_64_bind: ordinal 24, addend 8, reserved 19, next 12, bind 1.
        assert_eq!(bind(5, 0x10, 2), 5 | 0x10 << 24 | 2 << 51 | 1 << 63);
    }

    #[test]
    fn chains_end_with_their_page() {
        let site = |offset| Site { offset, import: Site::REBASE };
        let sites = SegmentSites { address: 0x4000, sites: vec![site(0xff0), site(0xff8), site(0x1000), site(0x3000)] };
        assert_eq!((0..4).map(|index| sites.next(index, 0x1000)).collect::<Vec<_>>(), [2, 0, 0, 0]);
        assert_eq!((0..4).map(|index| sites.next(index, 0x4000)).collect::<Vec<_>>(), [2, 2, 0x800, 0]);
        assert_eq!(sites.pages(0x1000), 4);
    }

    #[test]
    fn the_table_names_page_starts_and_imports() {
        let site = |offset| Site { offset, import: Site::REBASE };
        let segments = [
            SegmentSites::default(),
            SegmentSites { address: 0x4000, sites: vec![site(8), site(16), site(0x2010)] },
            SegmentSites::default(),
        ];
        let import = |name, ordinal, addend| Import { name, ordinal, weak: false, addend };
        let bytes = table(&segments, &[import(b"_a", 1, 0), import(b"_b", -2, 0)], 0x1000);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let half = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
        let (starts, imports, names) = (word(4) as usize, word(8) as usize, word(12) as usize);
        assert_eq!([word(16), word(20), word(24)], [2, 1, 0]);
        assert_eq!([word(starts), word(starts + 4), word(starts + 12)], [3, 0, 0]);
        let info = starts + word(starts + 8) as usize;
        assert_eq!(word(info), 28);
        assert_eq!([half(info + 4), half(info + 6), half(info + 20)], [0x1000, 2, 3]);
        assert_eq!([half(info + 22), half(info + 24), half(info + 26)], [8, NO_START, 0x10]);
        assert_eq!(word(imports), 1 | 1 << 9);
        assert_eq!(word(imports + 4), 0xfe | 4 << 9);
        assert_eq!(&bytes[names..names + 7], b"\0_a\0_b\0");

        let wide = table(&segments, &[import(b"_a", 300, 0)], 0x1000);
        assert_eq!(wide[20], 3);
        let addend = table(&segments, &[import(b"_a", 1, 0), import(b"_a", 1, -4)], 0x1000);
        assert_eq!(addend[20], 2);
    }
}
