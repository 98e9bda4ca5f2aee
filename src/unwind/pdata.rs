//! `.pdata`: one row for each function, by which Windows finds how to unwind it.
//!
//! A row begins with the offset of the function's first byte from the image's base. Unwinders halve the table, so
//! its rows are in ascending order; objects bring theirs in the order of their own sections, which is that of the image
//! unless functions have sections of their own. On x64 a row has the function's end and the place of its unwind
//! data besides; on Arm64 one more word.
//!
//! Source: PE/COFF specification, *The .pdata Section*.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::malfunction::{self, Malfunction};

/// The size of a row of x64, in bytes.
pub(crate) const ROW: usize = 12;
/// The size of a row of Arm64, in bytes.
pub(crate) const ARM_ROW: usize = 8;

/// Where the function of a row begins, and the row's place in the order: rows of none, which begin with 0, come last.
fn begin(row: &[u8]) -> Option<u32> {
    row.first_chunk().copied().map(u32::from_le_bytes).map(|begin| begin.wrapping_sub(1))
}

/// The number of rows at the end of a sorted table whose functions are not part of the image.
pub(crate) fn dead(table: &[u8], row: usize) -> usize {
    table.chunks_exact(row).rev().take_while(|row| begin(row) == Some(u32::MAX)).count()
}

/// Sorts the rows of a table by where their functions begin. What remains behind the last whole row stays.
pub(crate) fn sort(table: &mut [u8], row: usize) {
    if malfunction::on(Malfunction::FunctionRowsUnsorted) {
        if let Some(first) = table.get_mut(..row.saturating_mul(2)) {
            first.rotate_left(row);
        }
        return;
    }
    if table.chunks_exact(row).is_sorted_by_key(begin) {
        return;
    }
    let mut rows: Vec<Vec<u8>> = table.chunks_exact(row).map(<[u8]>::to_vec).collect();
    rows.sort_by_key(|row| begin(row));
    for (place, row) in table.chunks_exact_mut(row).zip(&rows) {
        place.copy_from_slice(row);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn rows_are_sorted_by_their_beginnings() {
        let row = |begin: u32, rest: u32| [begin.to_le_bytes(), (begin + 8).to_le_bytes(), rest.to_le_bytes()].concat();
        let mut table = [row(0x1010, 1), row(0x1000, 2), row(0x2000, 3), vec![7, 7]].concat();
        for _ in 0..2 {
            sort(&mut table, ROW);
            assert_eq!(table, [row(0x1000, 2), row(0x1010, 1), row(0x2000, 3), vec![7, 7]].concat());
        }
        let mut table = [row(0, 1), row(0x1010, 2), row(0, 3), row(0x1000, 4)].concat();
        sort(&mut table, ROW);
        assert_eq!(table, [row(0x1000, 4), row(0x1010, 2), row(0, 1), row(0, 3)].concat());
        assert_eq!((dead(&table, ROW), dead(&table[..24], ROW), dead(&[], ROW)), (2, 0, 0));
        sort(&mut [], ARM_ROW);
    }
}
