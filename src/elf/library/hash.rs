//! The hash tables of the dynamic symbol table, as look-ups need them.
//!
//! Every look-up ends soon, whatever the tables hold: it visits no more than [`STEPS`] symbols.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use object::elf::{gnu_hash, hash};

use super::symbols::Symbols;
use crate::arch::Bits;
use crate::bytes;

/// How many symbols a look-up visits at most. In tables as linkers make them it is a handful.
const STEPS: usize = 512;

/// A look-up would have to visit too many symbols: the table is made badly, or to cost time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// `.gnu.hash`: a Bloom filter that rejects most names that are not in the table, and buckets of symbols. The symbols
/// of a bucket follow one another in `.dynsym`, from the one that the bucket names up to the one whose hash value in
/// the table is odd.
///
/// Layout: the number of buckets, the number of the first symbol in the table, the number of words in the filter, the
/// shift of its second hash (32 bits each); the filter, in words of the class's size; the buckets; a hash value for
/// each symbol in the table, its lowest bit replaced by the end mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct GnuHash<'a> {
    first: u32,
    shift: u32,
    /// The size of the filter's words, in bits.
    word_bits: u32,
    /// The number of words in the filter, less 1.
    word_mask: u32,
    filter: &'a [u8],
    bucket_count: u32,
    buckets: &'a [u8],
    values: &'a [u8],
}

impl<'a> GnuHash<'a> {
    /// Parses the table; `None` if it is malformed. What follows it is ignored.
    pub(super) fn parse(bits: Bits, table: &'a [u8]) -> Option<Self> {
        let word_bits = match bits {
            Bits::B32 => 32,
            Bits::B64 => 64,
        };
        let [bucket_count, first, words, shift] = [0, 4, 8, 12].map(|at| bytes::u32(table, at));
        let (bucket_count, words) = (bucket_count?, words?);
        if bucket_count == 0 || !words.is_power_of_two() {
            return None;
        }
        let filter_size = u64::from(words).checked_mul(word_bits / 8)?;
        let buckets_size = u64::from(bucket_count).checked_mul(4)?;
        let buckets = 16_u64.checked_add(filter_size)?;
        Some(Self {
            first: first?,
            shift: shift?,
            word_bits: u32::try_from(word_bits).ok()?,
            word_mask: words.checked_sub(1)?,
            filter: bytes::slice(table, 16, filter_size)?,
            bucket_count,
            buckets: bytes::slice(table, buckets, buckets_size)?,
            values: bytes::tail(table, buckets.checked_add(buckets_size)?)?,
        })
    }

    /// What `accept` makes of the first symbol that it takes, of those that may be called `name`.
    ///
    /// # Errors
    /// There are too many before it.
    pub(super) fn find<T>(&self, name: &[u8], mut accept: impl FnMut(u32) -> Option<T>) -> Result<Option<T>, TooLong> {
        let hash = gnu_hash(name);
        let Some(mut index) = self.start(hash) else { return Ok(None) };
        for _ in 0..STEPS {
            let Some(value) = self.value(index) else { return Ok(None) };
            if value | 1 == hash | 1
                && let Some(found) = accept(index)
            {
                return Ok(Some(found));
            }
            if value & 1 != 0 {
                return Ok(None);
            }
            index = index.saturating_add(1);
        }
        Err(TooLong)
    }

    /// The first symbol of the bucket of a hash value, if the filter lets it pass.
    fn start(&self, hash: u32) -> Option<u32> {
        if !self.may_contain(hash)? {
            return None;
        }
        let bucket = hash.checked_rem(self.bucket_count)?;
        bytes::u32(self.buckets, u64::from(bucket).checked_mul(4)?)
    }

    /// The hash value of a symbol, with the end mark. Bucket 0 is empty, and 0 is below the first symbol.
    fn value(&self, index: u32) -> Option<u32> {
        bytes::u32(self.values, u64::from(index.checked_sub(self.first)?).checked_mul(4)?)
    }

    fn may_contain(&self, hash: u32) -> Option<bool> {
        let word = u64::from(hash.checked_div(self.word_bits)? & self.word_mask);
        let word = match self.word_bits {
            32 => bytes::u32(self.filter, word.checked_mul(4)?)?.into(),
            _ => bytes::u64(self.filter, word.checked_mul(8)?)?,
        };
        let second = hash.checked_shr(self.shift).unwrap_or_default();
        let is_set = |bit: u32| Some(word.checked_shr(bit.checked_rem(self.word_bits)?)? & 1 != 0);
        Some(is_set(hash)? && is_set(second)?)
    }
}

/// `.hash` (gABI chapter 5, *Hash Table*): buckets, each the number of a symbol, and for each symbol the number of the
/// next one of its bucket, or 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct SysvHash<'a> {
    bucket_count: u32,
    symbol_count: u32,
    buckets: &'a [u8],
    next: &'a [u8],
}

impl<'a> SysvHash<'a> {
    /// Parses the table; `None` if it is malformed. What follows it is ignored.
    pub(super) fn parse(table: &'a [u8]) -> Option<Self> {
        let (bucket_count, symbol_count) = (bytes::u32(table, 0)?, bytes::u32(table, 4)?);
        let buckets_size = u64::from(bucket_count).checked_mul(4)?;
        let buckets = bytes::slice(table, 8, buckets_size)?;
        let next = bytes::slice(table, buckets_size.checked_add(8)?, u64::from(symbol_count).checked_mul(4)?)?;
        (bucket_count != 0).then_some(Self { bucket_count, symbol_count, buckets, next })
    }

    /// The number of symbols in `.dynsym`.
    pub(super) fn symbol_count(&self) -> u32 {
        self.symbol_count
    }

    /// What `accept` makes of the first symbol that it takes, of those that may be called `name`.
    ///
    /// # Errors
    /// There are too many before it, or the chain has no end.
    pub(super) fn find<T>(&self, name: &[u8], mut accept: impl FnMut(u32) -> Option<T>) -> Result<Option<T>, TooLong> {
        let word = |table, index: u32| bytes::u32(table, u64::from(index).checked_mul(4)?);
        let bucket = hash(name).checked_rem(self.bucket_count);
        let mut next = bucket.and_then(|bucket| word(self.buckets, bucket));
        for _ in 0..STEPS {
            let Some(index) = next.filter(|index| *index != 0) else { return Ok(None) };
            if let Some(found) = accept(index) {
                return Ok(Some(found));
            }
            next = word(self.next, index);
        }
        Err(TooLong)
    }
}

/// An index made from the symbol table, for a library that has no hash table: symbols, sorted by a hash of their names.
#[derive(Debug)]
pub(super) struct NameIndex {
    symbols: Vec<(u32, u32)>,
}

impl NameIndex {
    /// How much of a name is hashed, in bytes. Names may overlap in a hostile string table, so that hashing the whole
    /// of each could take time without end.
    const PREFIX: usize = 256;

    /// Indexes all definitions.
    pub(super) fn new(symbols: &Symbols<'_>) -> Self {
        let exports = symbols.iter().filter(|(_, symbol)| symbol.is_export());
        let named = exports.filter_map(|(index, symbol)| {
            let name = bytes::tail(symbols.strings, symbol.name)?;
            let name = name.get(..Self::PREFIX).unwrap_or(name);
            let name = name.get(..memchr::memchr(0, name).unwrap_or(name.len()))?;
            Some((gnu_hash(name), index))
        });
        let mut symbols: Vec<_> = named.collect();
        symbols.sort_unstable();
        Self { symbols }
    }

    /// What `accept` makes of the first symbol that it takes, of those that may be called `name`; of more than [`STEPS`]
    /// that start alike, only the first are looked at.
    pub(super) fn find<T>(&self, name: &[u8], mut accept: impl FnMut(u32) -> Option<T>) -> Option<T> {
        let hash = gnu_hash(name.get(..Self::PREFIX).unwrap_or(name));
        let start = self.symbols.partition_point(|&(it, _)| it < hash);
        let candidates = self.symbols.get(start..)?.iter().take_while(|&&(it, _)| it == hash).take(STEPS);
        candidates.map(|&(_, index)| index).find_map(&mut accept)
    }
}
