//! What is known of a chunk once its bytes are: checksums, hashes of its pages, its part in the identity; and what
//! these make of the whole file.

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3;

use super::crc;
use super::production::{CHUNK, Checksum, FilePlan, Patch, Production, touches};
use crate::format;
use crate::macho::signature;
use crate::memory::of_vec;
use crate::options::{BuildId, Format};

/// What is known of a chunk once it has been produced.
#[derive(Debug)]
pub(super) struct Sum {
    checksum: u32,
    hash: Hash,
    /// The sum of the chunk's words, if the file has a checksum of its own.
    words: u64,
    /// The hashes of its pages that are signed.
    pub(super) pages: Vec<[u8; 32]>,
    /// Its bytes, while some of them are not known; empty if none is.
    pub(super) draft: Option<Vec<u8>>,
}

impl Sum {
    /// Bytes of memory that are kept until the chunk is known.
    pub(super) fn kept(&self) -> u64 {
        self.draft.as_ref().map_or(0, of_vec)
    }
}

/// The hash of a chunk, as the kind of identity wants it.
#[derive(Debug, Clone, Copy)]
enum Hash {
    None,
    /// The checksum, which is there anyway, where the identity is a time stamp and has no more bytes than that.
    Brief(u32),
    Fast(u128),
    Strong([u8; 32]),
}

impl FilePlan {
    /// The checksum of the whole, from those of its chunks.
    pub(super) fn checksum(&self, sums: &[Sum]) -> u32 {
        let sizes = (0..sums.len() as u64).map(|number| self.chunk_range(number)).map(|(start, end)| end - start);
        let parts = sums.iter().map(|sum| sum.checksum).zip(sizes);
        match self.checksum {
            Checksum::Castagnoli => {
                let mut whole = crc::Joiner::new(CHUNK);
                parts.for_each(|(part, size)| whole.add(part, size));
                whole.whole()
            }
            Checksum::Ieee => {
                let mut whole = crc32fast::Hasher::new();
                parts.for_each(|(part, size)| {
                    whole.combine(&crc32fast::Hasher::new_with_initial_len(part, size));
                });
                whole.finalize()
            }
        }
    }
}

impl Production<'_, '_> {
    /// What is known of a chunk that starts at file offset `start`, which may be a draft.
    pub(super) fn sum_or_draft(&self, start: u64, bytes: &[u8], may_be_draft: bool) -> Sum {
        let draft = match self.plan.lateness(start, start + bytes.len() as u64) {
            (true, all) if may_be_draft => Some(if all { Vec::new() } else { bytes.to_vec() }),
            _ => None,
        };
        Sum { draft, ..self.sum(start, bytes) }
    }

    /// What is known of a chunk that starts at file offset `start`.
    pub(super) fn sum(&self, start: u64, bytes: &[u8]) -> Sum {
        let pages = self.signed(start, bytes).chunks(signature::PAGE as usize).map(signature::hash).collect::<Vec<_>>();
        let checksum = self.checksum(bytes);
        let hash = match (self.link.target.format, format::identity_kind(self.link)) {
            _ if self.plan.identity.is_empty() => Hash::None,
            (Format::Pe, _) if self.plan.identity.iter().all(|(_, size)| *size <= 4) => Hash::Brief(checksum),
            (Format::MachO, _) => self.mach_o_hash(start, bytes, &pages),
            (_, BuildId::Fast | BuildId::Fast20) => Hash::Fast(xxh3::xxh3_128(bytes)),
            _ => Hash::Strong(Sha256::digest(bytes).into()),
        };
        Sum { checksum, hash, words: self.words(bytes), pages, draft: None }
    }

    /// Corrects what is known of a chunk, now of these bytes, into which `patches` have been put.
    pub(super) fn sum_again(&self, start: u64, bytes: &[u8], patches: &[Patch<'_>], sum: &mut Sum) {
        (sum.checksum, sum.words) = (self.checksum(bytes), self.words(bytes));
        let pages =
            (start..).step_by(signature::PAGE as usize).zip(self.signed(start, bytes).chunks(signature::PAGE as usize));
        for ((at, page), hash) in pages.zip(&mut sum.pages) {
            if touches(patches, at, at + page.len() as u64) {
                *hash = signature::hash(page);
            }
        }
    }

    /// What is signed of a chunk.
    fn signed<'b>(&self, start: u64, bytes: &'b [u8]) -> &'b [u8] {
        let limit = self.plan.signature.as_ref().map_or(0, |signature| u64::from(signature.code_limit));
        bytes.get(..limit.saturating_sub(start) as usize).unwrap_or(bytes)
    }

    fn checksum(&self, bytes: &[u8]) -> u32 {
        match self.plan.checksum {
            Checksum::Castagnoli => crc32c::crc32c(bytes),
            Checksum::Ieee => crc32fast::hash(bytes),
        }
    }

    fn words(&self, bytes: &[u8]) -> u64 {
        if self.plan.image_checksum.is_some() { sum_words(bytes) } else { 0 }
    }

    /// What a chunk of a Mach-O image adds to the identity: made of the hashes of its pages where these are there anyway.
    fn mach_o_hash(&self, start: u64, bytes: &[u8], pages: &[[u8; 32]]) -> Hash {
        let end = start + bytes.len() as u64;
        let hides = |(offset, size): &&(u64, u64)| *offset < end && offset + size > start;
        if self.plan.hidden.iter().any(|stretch| hides(&stretch)) {
            let mut copy = bytes.to_vec();
            for (offset, size) in self.plan.hidden.iter().filter(hides) {
                let from = offset.max(&start) - start;
                let to = (offset + size).min(end) - start;
                copy[from as usize..to as usize].fill(0);
            }
            return Hash::Fast(xxh3::xxh3_128(&copy));
        }
        match pages {
            [] => Hash::Fast(xxh3::xxh3_128(bytes)),
            pages => Hash::Fast(xxh3::xxh3_128(pages.as_flattened())),
        }
    }
}

/// The identity of what has these chunks, in `size` bytes.
pub(super) fn identity<'s>(kind: &BuildId, sums: impl Iterator<Item = &'s Sum>, size: u64) -> Vec<u8> {
    let mut all = Vec::new();
    for sum in sums {
        match sum.hash {
            Hash::None => {}
            Hash::Brief(hash) => all.extend(hash.to_le_bytes()),
            Hash::Fast(hash) => all.extend(hash.to_le_bytes()),
            Hash::Strong(hash) => all.extend(hash),
        }
    }
    let mut identity = match kind {
        BuildId::Fast => xxh3::xxh3_64(&all).to_le_bytes().to_vec(),
        BuildId::Fast20 => [&xxh3::xxh3_128(&all).to_le_bytes()[..], &xxh3::xxh3_64(&all).to_le_bytes()].concat(),
        _ => Sha256::digest(&all).to_vec(),
    };
    identity.truncate(size as usize);
    identity
}

/// The sum of the 32-bit words of a chunk; the last one may lack bytes.
fn sum_words(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<8>();
    // Halves of words of 64 bits, which compilers turn into sums of several at once.
    let halves = |pair: &[u8; 8]| {
        let pair = u64::from_le_bytes(*pair);
        (pair & u64::from(u32::MAX)) + (pair >> 32)
    };
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    pairs.iter().map(halves).sum::<u64>() + halves(&last)
}

/// The checksum of a PE image of `size` bytes, whose own bytes are zero: the sum of its 16-bit words, in which carries are
/// added again, and its size. Since 2^16 leaves 1 when divided by 2^16 - 1, wider words give the same.
pub(super) fn image_checksum<'s>(sums: impl Iterator<Item = &'s Sum>, size: u64) -> u32 {
    let mut sum = sums.fold(0_u64, |total, sum| total.wrapping_add(sum.words));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (sum as u32).wrapping_add(size as u32)
}
