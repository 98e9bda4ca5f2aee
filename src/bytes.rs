//! Checked little-endian reads at offsets that come from an input.
//!
//! Every function returns `None` where the bytes end too early; none of them panics, whatever the numbers.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::cmp::Ordering;

/// The `size` bytes at `offset`.
pub(crate) fn slice(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    bytes.get(start..end)
}

/// All bytes from `offset` on.
pub(crate) fn tail(bytes: &[u8], offset: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(offset).ok()?..)
}

/// The `u16` at `offset`.
pub(crate) fn u16(bytes: &[u8], offset: u64) -> Option<u16> {
    array(bytes, offset).map(u16::from_le_bytes)
}

/// The `u32` at `offset`.
pub(crate) fn u32(bytes: &[u8], offset: u64) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

/// The `u64` at `offset`.
pub(crate) fn u64(bytes: &[u8], offset: u64) -> Option<u64> {
    array(bytes, offset).map(u64::from_le_bytes)
}

/// The string at `offset`, without the NUL byte that ends it.
///
/// The cost is linear in the string's length: a caller that reads many strings of a hostile table, where they may
/// overlap, has to bound the sum.
pub(crate) fn string(bytes: &[u8], offset: u64) -> Option<&[u8]> {
    let bytes = tail(bytes, offset)?;
    bytes.get(..memchr::memchr(0, bytes)?)
}

/// Whether the string at `offset` is `wanted`. The cost is linear in the length of `wanted`.
pub(crate) fn is_string(bytes: &[u8], offset: u64, wanted: &[u8]) -> bool {
    let rest = tail(bytes, offset).and_then(|bytes| bytes.strip_prefix(wanted));
    rest.and_then(<[u8]>::first) == Some(&0) && !wanted.contains(&0)
}

/// How the string at `offset`, which a NUL byte ends, compares with `other`. The cost is linear in the length of `other`.
pub(crate) fn compare_string(bytes: &[u8], offset: u64, other: &[u8]) -> Option<Ordering> {
    let rest = tail(bytes, offset)?;
    let (start, next) = rest.split_at_checked(other.len()).unwrap_or((rest, &[]));
    let start = start.get(..memchr::memchr(0, start).unwrap_or(start.len()))?;
    let ends = start.len() < other.len() || next.first() == Some(&0);
    Some(start.cmp(other).then(if ends { Ordering::Equal } else { Ordering::Greater }))
}

fn array<const N: usize>(bytes: &[u8], offset: u64) -> Option<[u8; N]> {
    tail(bytes, offset)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn strings_are_compared_as_far_as_the_other_goes() {
        let table = b"abc\0abd\0ab";
        for (offset, other, order) in [
            (0, "abc", Ordering::Equal),
            (0, "ab", Ordering::Greater),
            (0, "abcd", Ordering::Less),
            (0, "abd", Ordering::Less),
            (4, "abc", Ordering::Greater),
            (3, "", Ordering::Equal),
            (3, "a", Ordering::Less),
            (0, "", Ordering::Greater),
        ] {
            assert_eq!(compare_string(table, offset, other.as_bytes()), Some(order), "{offset} {other}");
        }
        assert_eq!(compare_string(table, 11, b"a"), None);
    }

    #[test]
    fn reads_stop_at_the_end() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(u16(&bytes, 7), Some(0x0908));
        assert_eq!(u16(&bytes, 8), None);
        assert_eq!(u32(&bytes, 5), Some(0x0908_0706));
        assert_eq!(u32(&bytes, u64::MAX), None);
        assert_eq!(u64(&bytes, 1), Some(0x0908_0706_0504_0302));
        assert_eq!(u64(&bytes, 2), None);
        assert_eq!(slice(&bytes, 9, 0), Some(&[][..]));
        assert_eq!(slice(&bytes, 9, 1), None);
        assert_eq!(slice(&bytes, u64::MAX, 2), None);
        assert_eq!(tail(&bytes, 10), None);
    }

    #[test]
    fn strings_need_their_end() {
        let bytes = b"one\0two\0three";
        assert_eq!(string(bytes, 0), Some(&b"one"[..]));
        assert_eq!(string(bytes, 5), Some(&b"wo"[..]));
        assert_eq!(string(bytes, 7), Some(&b""[..]));
        assert_eq!(string(bytes, 8), None);
        assert_eq!(string(bytes, 99), None);
        assert!(is_string(bytes, 4, b"two"));
        assert!(!is_string(bytes, 4, b"tw"));
        assert!(!is_string(bytes, 8, b"three"));
        assert!(!is_string(bytes, 0, b"one\0two"));
    }
}
