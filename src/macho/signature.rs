//! The ad-hoc code signature, as a linker makes it.
//!
//! On Apple silicon the kernel maps no page of code that is not covered by a signature. An *ad-hoc* signature has no
//! certificate: it is a list of the SHA-256 hashes of the file's pages, the last blob of `__LINKEDIT`. The flag
//! *linker-signed* tells `codesign` and the like that they may replace it without being told to.
//!
//! All numbers are big-endian. Source of the structures: `cs_blobs.h` of XNU (`CS_SuperBlob`, `CS_CodeDirectory`).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use crate::malfunction::{self, Malfunction};
use sha2::{Digest, Sha256};

/// Bytes of a page that is hashed: 4 KiB for both CPUs, as other linkers take.
pub(crate) const PAGE: u64 = 1 << PAGE_SHIFT;
/// The alignment of a signature in the file, in bytes.
pub(crate) const ALIGN: u64 = 16;
/// Bytes of a hash.
pub(crate) const HASH_SIZE: u64 = 32;

const PAGE_SHIFT: u8 = 12;
/// `CSMAGIC_EMBEDDED_SIGNATURE`
const SUPER_BLOB: u32 = 0xfade_0cc0;
/// `CSMAGIC_CODEDIRECTORY`
const CODE_DIRECTORY: u32 = 0xfade_0c02;
/// `CS_SUPPORTSEXECSEG`: the first version that has the bounds of the executable segment.
const VERSION: u32 = 0x2_0400;
/// `CS_ADHOC | CS_LINKER_SIGNED`
const FLAGS: u32 = 0x2_0002;
/// `CS_HASHTYPE_SHA256`
const SHA256: u8 = 2;
/// Bytes before the code directory: the super blob's header and its only index entry, to a multiple of 8.
const DIRECTORY_START: u32 = 24;
/// Bytes of a code directory of [`VERSION`] before the identifier.
const DIRECTORY_HEADER: u32 = 88;

/// What a signature is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The identifier, without a NUL byte.
    pub(crate) identifier: Vec<u8>,
    /// The size of what is signed, in bytes: the file offset of the signature.
    pub(crate) code_limit: u32,
    /// File offset and size of the segment with the code, in bytes.
    pub(crate) code_segment: (u64, u64),
}

impl Signature {
    /// The number of pages that are hashed.
    pub(crate) fn pages(&self) -> u64 {
        u64::from(self.code_limit).div_ceil(PAGE)
    }

    /// Where the hashes start, in bytes from the start of the signature.
    fn hashes_start(&self) -> u64 {
        let headers = u64::from(DIRECTORY_START).saturating_add(u64::from(DIRECTORY_HEADER));
        headers.saturating_add(self.identifier.len() as u64).saturating_add(1).next_multiple_of(16)
    }

    /// Its size, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.hashes_start().saturating_add(self.pages().saturating_mul(HASH_SIZE)).next_multiple_of(ALIGN)
    }

    /// The signature with the hashes of all pages, in order. The last page ends at the code limit.
    pub(crate) fn bytes<'h>(&self, hashes: impl Iterator<Item = &'h [u8; 32]>) -> Vec<u8> {
        let start = self.hashes_start();
        let size = u32::try_from(self.size()).unwrap_or(u32::MAX);
        let mut blob = Vec::new();
        for word in [SUPER_BLOB, size, 1, 0, DIRECTORY_START, 0] {
            blob.extend(word.to_be_bytes());
        }
        let hash_offset = u32::try_from(start).unwrap_or(u32::MAX).saturating_sub(DIRECTORY_START);
        let pages = u32::try_from(self.pages()).unwrap_or(u32::MAX);
        let length = size.saturating_sub(DIRECTORY_START);
        let head = [CODE_DIRECTORY, length, VERSION, FLAGS, hash_offset, DIRECTORY_HEADER, 0, pages, self.code_limit];
        for word in head {
            blob.extend(word.to_be_bytes());
        }
        blob.extend([32, SHA256, 0, PAGE_SHIFT]);
        // No scattered pages, no team, and no code limit of more than 32 bits.
        for word in [0_u32; 4] {
            blob.extend(word.to_be_bytes());
        }
        for word in [0, self.code_segment.0, self.code_segment.1, 0] {
            blob.extend(word.to_be_bytes());
        }
        blob.extend(&self.identifier);
        blob.resize(usize::try_from(start).unwrap_or(usize::MAX), 0);
        hashes.for_each(|hash| blob.extend(hash));
        if let (true, Some(last)) = (malfunction::on(Malfunction::PageHashWrong), blob.last_mut()) {
            *last = !*last;
        }
        blob.resize(usize::try_from(self.size()).unwrap_or(usize::MAX), 0);
        blob
    }
}

/// The hash of a page.
pub(crate) fn hash(page: &[u8]) -> [u8; 32] {
    Sha256::digest(page).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn a_signature_is_laid_out_as_the_kernel_reads_it() {
        let signature = Signature { identifier: b"x.dylib".to_vec(), code_limit: 0x1800, code_segment: (0, 0x1000) };
        let code: Vec<u8> = (0..0x1800_u32).map(|n| n as u8).collect();
        let hashes: Vec<_> = code.chunks(PAGE as usize).map(hash).collect();
        assert_eq!(signature.pages(), 2);
        let blob = signature.bytes(hashes.iter());
        assert_eq!(blob.len() as u64, signature.size());
        let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap());
        // Super blob: magic, length, count; one index entry: slot 0 (the code directory), offset.
        assert_eq!([word(0), word(4), word(8), word(12), word(16)], [0xfade_0cc0, blob.len() as u32, 1, 0, 24]);
        let directory = 24;
        assert_eq!(word(directory), 0xfade_0c02);
        assert_eq!(word(directory + 4) as usize, blob.len() - directory);
        let (hash_offset, identifier) = (word(directory + 16) as usize, word(directory + 20) as usize);
        assert_eq!(&blob[directory + identifier..][..8], b"x.dylib\0");
        assert_eq!([word(directory + 24), word(directory + 28), word(directory + 32)], [0, 2, 0x1800]);
        let first: [u8; 32] = Sha256::digest(&code[..0x1000]).into();
        let last: [u8; 32] = Sha256::digest(&code[0x1000..]).into();
        assert_eq!(blob[directory + hash_offset..][..32], first);
        assert_eq!(blob[directory + hash_offset + 32..][..32], last);
    }
}
