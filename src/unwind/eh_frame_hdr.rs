//! `.eh_frame_hdr`: the frame descriptions sorted by address (LSB core, *The .eh_frame_hdr section*).
//!
//! Unwinders find it by `PT_GNU_EH_FRAME` and search it by halves; glibc's does nothing at all for an image without it.
//!
//! | bytes | what | encoding |
//! |---|---|---|
//! | 1 | version, 1 | |
//! | 1 | encoding of the pointer to `.eh_frame` | `pcrel sdata4` |
//! | 1 | encoding of the count | `udata4` |
//! | 1 | encoding of the table | `datarel sdata4` |
//! | 4 | address of `.eh_frame` | from this field |
//! | 4 | number of entries | |
//! | 8 each | first address of a function; address of its FDE | from the start of `.eh_frame_hdr` |
//!
//! Readers search by halves only a table in just this encoding, so that wider fields would not help an image whose
//! functions are more than 2 GiB away from the table. Such an image gets the header alone, with count and table encoded as
//! *omitted*: readers then go through `.eh_frame` from its start, slow and right.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use crate::malfunction::{self, Malfunction};
use crate::memory::of_vec;
use crate::unwind::pointer::Encoding;

/// Bytes before the table.
const HEADER_SIZE: u64 = 12;
/// Bytes of an entry of the table.
const ENTRY_SIZE: u64 = 8;

/// The section's alignment, in bytes.
pub(crate) const ALIGNMENT: u64 = 4;

/// The section's size in bytes, for `count` frame descriptions.
pub(crate) fn size(count: u64) -> u64 {
    HEADER_SIZE.saturating_add(count.saturating_mul(ENTRY_SIZE))
}

/// What the table says of one frame description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The function's first address in the image.
    pub(crate) function: u64,
    /// The function's length in bytes.
    pub(crate) length: u64,
    /// The address of the FDE's record in the image.
    pub(crate) description: u64,
}

/// The contents of `.eh_frame_hdr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    header: [u8; 12],
    /// Function and description, relative to the section's start; ascending by function.
    entries: Vec<(i32, i32)>,
    /// Bytes of the section: as [`size`] said before duplicates were known.
    size: u64,
}

/// The image is laid out so that no encoding that readers know can say where `.eh_frame` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(".eh_frame is {distance} bytes from .eh_frame_hdr, more than 32 bits can say")]
pub(crate) struct TooFar {
    /// From the pointer's field to `.eh_frame`, in bytes.
    pub(crate) distance: i128,
}

impl Table {
    /// Makes the section that lies at `address`, for the `.eh_frame` at `eh_frame`.
    ///
    /// Of several descriptions of one address, the longest stays, and of those the one first in `.eh_frame`: a search by
    /// halves ends at any of them, and a function without code shares its address with the next one. What that leaves
    /// over at the section's end is zero.
    ///
    /// # Errors
    /// The two sections are more than 2 GiB apart.
    pub(crate) fn new(address: u64, eh_frame: u64, mut entries: Vec<Entry>) -> Result<Self, TooFar> {
        let size = size(entries.len() as u64);
        // Functions come nearly sorted, in runs; this sort merges runs.
        let order = |entry: &Entry| (entry.function, std::cmp::Reverse(entry.length), entry.description);
        entries.sort_by_key(order);
        entries.dedup_by_key(|entry| entry.function);

        let pointer = distance(address.wrapping_add(4), eh_frame);
        let pointer = i32::try_from(pointer).map_err(|_| TooFar { distance: pointer })?;
        let relative = entries.iter().map(|entry| {
            let function = i32::try_from(distance(address, entry.function)).ok()?;
            let description = i32::try_from(distance(address, entry.description)).ok()?;
            Some((function, description))
        });
        let table = relative.collect::<Option<Vec<_>>>();
        let table = table.and_then(|table| Some((u32::try_from(table.len()).ok()?, table)));

        let eh_frame_encoding = Encoding::SDATA4.relative(Encoding::PCREL);
        let (count_encoding, table_encoding, count, entries) = match table {
            Some((count, table)) => (Encoding::UDATA4, Encoding::SDATA4.relative(Encoding::DATAREL), count, table),
            None => (Encoding::OMIT, Encoding::OMIT, 0, Vec::new()),
        };
        let count = count.saturating_sub(u32::from(malfunction::on(Malfunction::FrameTableCountOff)));
        let mut entries = entries;
        if let (true, [first, second, ..]) = (malfunction::on(Malfunction::FrameTableUnsorted), entries.as_mut_slice())
        {
            std::mem::swap(first, second);
        }
        let [p0, p1, p2, p3] = pointer.to_le_bytes();
        let [c0, c1, c2, c3] = count.to_le_bytes();
        let header = [1, eh_frame_encoding.0, count_encoding.0, table_encoding.0, p0, p1, p2, p3, c0, c1, c2, c3];
        Ok(Self { header, entries, size })
    }

    /// Bytes of memory that it has taken.
    pub(crate) fn held(&self) -> u64 {
        of_vec(&self.entries)
    }

    /// Bytes of the section.
    #[cfg(test)]
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The number of functions that can be found by halves: 0 where there is no table.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Writes the section's bytes from `offset` on, until `out` is full. Beyond the section's end they are zero.
    pub(crate) fn write_at(&self, offset: u64, out: &mut [u8]) {
        let mut out = out;
        let mut offset = offset;
        while !out.is_empty() {
            // What of the header, or of an entry, is left from here on.
            let copied = match offset.checked_sub(HEADER_SIZE) {
                None => copy(&self.header, offset, &mut out),
                Some(offset) => {
                    let index = usize::try_from(offset / ENTRY_SIZE).ok();
                    let Some(entry) = index.and_then(|index| self.entries.get(index)) else { break };
                    copy(&bytes(*entry), offset % ENTRY_SIZE, &mut out)
                }
            };
            offset = offset.saturating_add(copied);
        }
        out.fill(0);
    }
}

fn bytes((function, description): (i32, i32)) -> [u8; 8] {
    let [f0, f1, f2, f3] = function.to_le_bytes();
    let [d0, d1, d2, d3] = description.to_le_bytes();
    [f0, f1, f2, f3, d0, d1, d2, d3]
}

/// From `from` to `to`, in bytes.
fn distance(from: u64, to: u64) -> i128 {
    i128::from(to).saturating_sub(i128::from(from))
}

/// Copies `from`, without its first `skipped` bytes, as far as it fits; cuts that off `to` and says how much it was.
fn copy(from: &[u8], skipped: u64, to: &mut &mut [u8]) -> u64 {
    let from = usize::try_from(skipped).ok().and_then(|skipped| from.get(skipped..)).unwrap_or_default();
    let length = from.len().min(to.len());
    let Some((head, tail)) = std::mem::take(to).split_at_mut_checked(length) else { return 0 };
    if let Some(from) = from.get(..length) {
        head.copy_from_slice(from);
    }
    *to = tail;
    length as u64
}
