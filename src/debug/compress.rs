//! Compressed sections.
//!
//! Two forms exist. A section with `SHF_COMPRESSED` starts with a *compression header* (`Elf32_Chdr`, `Elf64_Chdr`; gABI,
//! *Compressed Sections*) that states algorithm, size and alignment of the contents; the algorithm is zlib (RFC 1950) or
//! Zstandard (RFC 8878). Before that, GNU tools renamed `.debug_*` to `.zdebug_*` and put `ZLIB` and the size, eight bytes
//! big-endian, before a zlib stream.
//!
//! What a header says is not believed: it is compared with the caller's limit and with what the algorithm can reach
//! before memory is taken, and the stream must produce exactly the stated number of bytes.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};
use object::elf::{ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::reader::{Malformed, Reader};

/// How bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// `ELFCOMPRESS_ZLIB`.
    Zlib,
    /// `ELFCOMPRESS_ZSTD`.
    Zstd,
}

impl Algorithm {
    /// About how much memory packing `size` bytes takes, apart from them and from the result: counted with an allocator.
    pub(crate) fn packing_memory(self, size: u64) -> u64 {
        match self {
            // Window, hash chains and symbols, whatever the size.
            Self::Zlib => 340 << 10,
            // A block of 128 KiB, and eight bytes for each of its suffixes, twice.
            Self::Zstd => size.saturating_mul(16).clamp(450 << 10, 2304 << 10),
        }
    }

    /// The most bytes that one compressed byte can stand for.
    fn reach(self) -> u64 {
        match self {
            // Deflate's longest match, 258 bytes, takes two bits at least.
            Self::Zlib => 1032,
            // A block holds 128 KiB at most and takes four bytes at least: its header and the byte that it repeats.
            Self::Zstd => 32 << 10,
        }
    }
}

/// A compressed section, its header read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compressed<'data> {
    /// How the contents are packed.
    pub(crate) algorithm: Algorithm,
    /// Bytes of the contents, as the header states them. The stream may be far from producing them.
    pub(crate) size: u64,
    /// Alignment of the contents in bytes, a power of two; `None` in the old form, where it is the section's own.
    pub(crate) alignment: Option<u64>,
    /// The stream.
    stream: &'data [u8],
    /// Where it starts in the section.
    stream_offset: u64,
}

/// Why a section could not be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The bytes break a rule.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The contents are larger than the caller allows.
    #[error("the contents of a compressed section have {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes of the contents.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The system has no memory for the contents.
    #[error("there is no memory for the {size} bytes of a compressed section")]
    Memory {
        /// Bytes of the contents.
        size: u64,
    },
}

impl<'data> Compressed<'data> {
    /// Reads the header of a section with `SHF_COMPRESSED`.
    ///
    /// # Errors
    /// The header is cut off, the algorithm is not known, the alignment is no power of two, or the size is beyond what
    /// the algorithm can make of the bytes there are.
    pub(crate) fn parse(section: &'data [u8], class64: bool) -> Result<Self, Malformed> {
        const CUT: &str = "a compression header is cut off";
        let mut reader = Reader::new(section);
        let kind = reader.u32(CUT)?;
        let (size, alignment) = if class64 {
            reader.skip(4, CUT)?;
            (reader.u64(CUT)?, reader.u64(CUT)?)
        } else {
            (u64::from(reader.u32(CUT)?), u64::from(reader.u32(CUT)?))
        };
        let algorithm = match kind {
            kind if kind == ELFCOMPRESS_ZLIB.0 => Algorithm::Zlib,
            kind if kind == ELFCOMPRESS_ZSTD.0 => Algorithm::Zstd,
            _ => return Err(Malformed::new(0, "a section's compression algorithm is neither zlib nor zstd")),
        };
        // As in a section header, 0 means 1.
        let alignment = alignment.max(1);
        if !alignment.is_power_of_two() {
            return Err(Malformed::new(0, "the alignment in a compression header is no power of two"));
        }
        Self::new(algorithm, size, Some(alignment), reader)
    }

    /// Reads the header of a `.zdebug_*` section; `None` if there is none, and the section's bytes are the contents.
    ///
    /// # Errors
    /// The header is cut off, or the size is beyond what zlib can make of the bytes there are.
    pub(crate) fn parse_gnu(section: &'data [u8]) -> Result<Option<Self>, Malformed> {
        const CUT: &str = "a .zdebug section's header is cut off";
        let mut reader = Reader::new(section);
        if !section.starts_with(b"ZLIB") {
            return Ok(None);
        }
        reader.skip(4, CUT)?;
        let size = reader.u64(CUT)?.swap_bytes();
        Self::new(Algorithm::Zlib, size, None, reader).map(Some)
    }

    fn new(
        algorithm: Algorithm,
        size: u64,
        alignment: Option<u64>,
        mut reader: Reader<'data>,
    ) -> Result<Self, Malformed> {
        let stream_offset = reader.offset();
        let stream = reader.take(reader.remaining(), "a compressed section is cut off")?;
        if size > (stream.len() as u64).saturating_mul(algorithm.reach()) {
            return Err(Malformed::new(0, "a compressed section states more bytes than its stream can hold"));
        }
        Ok(Self { algorithm, size, alignment, stream, stream_offset })
    }

    /// The contents: exactly [`Self::size`] bytes.
    ///
    /// Behind the stream, zeros are allowed as padding and nothing else.
    ///
    /// # Errors
    /// The contents have more than `limit` bytes, there is no memory, or the stream is damaged, has a checksum that does
    /// not match, or holds another number of bytes than stated.
    pub(crate) fn decompress(&self, limit: u64) -> Result<Vec<u8>, Refused> {
        let size = self.size;
        if size > limit {
            return Err(Refused::TooLarge { size, limit });
        }
        let mut contents = Vec::new();
        // One byte more, so that a stream that goes on is seen to.
        let capacity = usize::try_from(size.saturating_add(1)).map_err(|_| Refused::Memory { size })?;
        contents.try_reserve_exact(capacity).map_err(|_| Refused::Memory { size })?;
        let consumed = match self.algorithm {
            Algorithm::Zlib => self.inflate(&mut contents),
            Algorithm::Zstd => self.unzstd(&mut contents),
        }?;
        if contents.len() as u64 != size {
            return Err(self.damaged(WRONG_SIZE).into());
        }
        if self.stream.get(consumed..).is_none_or(|padding| padding.iter().any(|&byte| byte != 0)) {
            return Err(self.damaged("a compressed section goes on behind the end of its stream").into());
        }
        Ok(contents)
    }

    /// Appends the contents, no more than `contents` has room for; says how much of the stream was read.
    fn inflate(&self, contents: &mut Vec<u8>) -> Result<usize, Malformed> {
        let mut inflater = Decompress::new(true);
        loop {
            let consumed = usize::try_from(inflater.total_in()).unwrap_or(usize::MAX);
            let rest = self.stream.get(consumed..).unwrap_or_default();
            let before = (inflater.total_in(), inflater.total_out());
            let status = inflater.decompress_vec(rest, contents, FlushDecompress::None);
            match status {
                Ok(Status::StreamEnd) => return Ok(usize::try_from(inflater.total_in()).unwrap_or(usize::MAX)),
                Ok(_) if before != (inflater.total_in(), inflater.total_out()) => {}
                Ok(_) if contents.len() as u64 > self.size => return Err(self.damaged(WRONG_SIZE)),
                Ok(_) => return Err(self.damaged("a compressed section's zlib stream is cut off")),
                Err(_) => return Err(self.damaged("a compressed section's zlib stream is damaged")),
            }
        }
    }

    /// Appends the contents, no more than `contents` has room for; says how much of the stream was read.
    fn unzstd(&self, contents: &mut Vec<u8>) -> Result<usize, Malformed> {
        let damaged = || self.damaged("a compressed section's zstd stream is damaged or cut off");
        let mut decoder = FrameDecoder::new();
        // A decoder takes as much memory as a frame's window asks for. RFC 8878 wants 8 MiB to be accepted from anyone;
        // beyond that a window is of no use for less contents than it has room for.
        decoder.set_max_window_size(self.size.next_power_of_two().clamp(8 << 20, 128 << 20));
        let mut rest = self.stream;
        // Contents may be split among frames, as linkers do that compress on several threads; padding is no frame.
        while !rest.is_empty() && rest.iter().take(4).any(|&byte| byte != 0) {
            match decoder.init(&mut rest) {
                Ok(()) => {}
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = usize::try_from(length).map_err(|_| damaged())?;
                    rest = rest.get(length..).ok_or_else(damaged)?;
                    continue;
                }
                Err(_) => return Err(damaged()),
            }
            while !decoder.is_finished() {
                decoder.decode_blocks(&mut rest, BlockDecodingStrategy::UptoBytes(1 << 20)).map_err(|_| damaged())?;
                let room = self.size.saturating_sub(contents.len() as u64);
                if decoder.can_collect() as u64 > room {
                    return Err(self.damaged(WRONG_SIZE));
                }
                decoder.collect_to_writer(&mut *contents).map_err(|_| damaged())?;
            }
            let stated = decoder.get_checksum_from_data();
            if stated.is_some() && stated != decoder.get_calculated_checksum() {
                return Err(self.damaged("a compressed section's zstd checksum does not match"));
            }
        }
        Ok(self.stream.len().saturating_sub(rest.len()))
    }

    fn damaged(&self, what: &'static str) -> Malformed {
        Malformed::new(self.stream_offset, what)
    }
}

const WRONG_SIZE: &str = "a compressed section does not hold as many bytes as it states";

/// Bytes of a compression header.
const fn header_size(class64: bool) -> usize {
    if class64 { 24 } else { 12 }
}

/// The alignment of a section that starts with a compression header, in bytes.
pub(crate) fn header_alignment(class64: bool) -> u64 {
    if class64 { 8 } else { 4 }
}

/// Packs the contents of a section and puts the compression header before them; `None` where that would not be smaller.
///
/// `alignment` is that of the contents. The result depends on the arguments alone. zlib is used at its fastest level, as
/// linkers do unless told otherwise; the zstd encoder has one level only, which takes twice as long and a sixth more
/// space than that.
pub(crate) fn compress(contents: &[u8], algorithm: Algorithm, alignment: u64, class64: bool) -> Option<Vec<u8>> {
    let header = header(contents.len() as u64, algorithm, alignment, class64)?;
    let packed = match algorithm {
        Algorithm::Zlib => {
            let mut encoder = ZlibEncoder::new(header, Compression::fast());
            encoder.write_all(contents).ok()?;
            encoder.finish().ok()?
        }
        Algorithm::Zstd => {
            let mut packed = header;
            packed.append(&mut compress_to_vec(contents, CompressionLevel::Fastest));
            packed
        }
    };
    (packed.len() < contents.len()).then_some(packed)
}

/// A compression header; `None` where the size does not fit.
fn header(size: u64, algorithm: Algorithm, alignment: u64, class64: bool) -> Option<Vec<u8>> {
    let kind = match algorithm {
        Algorithm::Zlib => ELFCOMPRESS_ZLIB,
        Algorithm::Zstd => ELFCOMPRESS_ZSTD,
    };
    let mut header = Vec::with_capacity(header_size(class64));
    header.extend_from_slice(&kind.0.to_le_bytes());
    if class64 {
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&size.to_le_bytes());
        header.extend_from_slice(&alignment.to_le_bytes());
    } else {
        header.extend_from_slice(&u32::try_from(size).ok()?.to_le_bytes());
        header.extend_from_slice(&u32::try_from(alignment).ok()?.to_le_bytes());
    }
    Some(header)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::cast_possible_truncation)]

    use super::*;
    use proptest::prelude::*;

    const BOTH: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Zstd];

    /// Contents that compress well, and not the same everywhere.
    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at / 50 % 251) as u8 ^ (at % 5) as u8).collect()
    }

    fn unpack(section: &[u8], class64: bool) -> Result<Vec<u8>, Refused> {
        Compressed::parse(section, class64)?.decompress(u64::MAX)
    }

    fn sentence(result: Result<Vec<u8>, Refused>) -> &'static str {
        match result.unwrap_err() {
            Refused::Malformed(malformed) => malformed.what,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        for algorithm in BOTH {
            for class64 in [true, false] {
                for length in [100, 4096, 131_072, 131_073, 1_000_000] {
                    let contents = text(length);
                    let packed = compress(&contents, algorithm, 16, class64).unwrap();
                    assert!(packed.len() < length);
                    let parsed = Compressed::parse(&packed, class64).unwrap();
                    assert_eq!((parsed.algorithm, parsed.alignment), (algorithm, Some(16)));
                    assert_eq!(parsed.size, length as u64);
                    assert!(parsed.decompress(length as u64).unwrap() == contents);
                    let refused = Refused::TooLarge { size: length as u64, limit: length as u64 - 1 };
                    assert_eq!(parsed.decompress(length as u64 - 1), Err(refused));
                    assert!(compress(&contents, algorithm, 16, class64).unwrap() == packed);
                    // Padding may follow, and nothing else.
                    let mut padded = packed.clone();
                    padded.extend([0; 7]);
                    assert!(unpack(&padded, class64).unwrap() == contents);
                    padded.push(1);
                    assert!(unpack(&padded, class64).is_err());
                }
            }
        }
    }

    #[test]
    fn what_does_not_get_smaller_is_not_packed() {
        for algorithm in BOTH {
            assert_eq!(compress(b"", algorithm, 1, true), None);
            assert_eq!(compress(b"short", algorithm, 1, true), None);
        }
    }

    #[test]
    fn the_size_must_be_exact() {
        for algorithm in BOTH {
            let packed = compress(&text(5000), algorithm, 1, true).unwrap();
            for wrong in [0_u64, 1, 4999, 5001, 6000] {
                let mut changed = packed.clone();
                changed[8..16].copy_from_slice(&wrong.to_le_bytes());
                assert_eq!(sentence(unpack(&changed, true)), WRONG_SIZE, "{algorithm:?} {wrong}");
            }
            let mut changed = packed.clone();
            changed[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
            let beyond = "a compressed section states more bytes than its stream can hold";
            assert_eq!(sentence(unpack(&changed, true)), beyond);
        }
    }

    #[test]
    fn empty_contents_need_a_whole_stream() {
        let mut section = header(0, Algorithm::Zlib, 1, true).unwrap();
        section.extend([0x78, 1, 3, 0, 0, 0, 0, 1]);
        assert_eq!(unpack(&section, true), Ok(vec![]));
        for length in 24..section.len() {
            assert!(unpack(&section[..length], true).is_err(), "{length}");
        }
    }

    #[test]
    fn headers_are_checked() {
        let whole = compress(&text(500), Algorithm::Zlib, 8, true).unwrap();
        for length in 0..24 {
            let error = Compressed::parse(&whole[..length], true).unwrap_err();
            assert_eq!(error.what, "a compression header is cut off");
        }
        let changed = |at: usize, value| {
            let mut changed = whole.clone();
            changed[at] = value;
            sentence(unpack(&changed, true))
        };
        assert_eq!(changed(0, 3), "a section's compression algorithm is neither zlib nor zstd");
        assert_eq!(changed(16, 3), "the alignment in a compression header is no power of two");
        assert_eq!(changed(24, 0), "a compressed section's zlib stream is damaged");
        // No preset dictionary can be known.
        assert_eq!(changed(25, 0x20), "a compressed section's zlib stream is damaged");
        let zero = header(0, Algorithm::Zstd, 0, true).unwrap();
        assert_eq!(Compressed::parse(&zero, true).unwrap().alignment, Some(1));
    }

    #[test]
    fn the_old_form_is_read() {
        let contents = text(3000);
        let mut section = b"ZLIB".to_vec();
        section.extend(3000_u64.to_be_bytes());
        section.extend(&compress(&contents, Algorithm::Zlib, 1, true).unwrap()[24..]);
        let parsed = Compressed::parse_gnu(&section).unwrap().unwrap();
        assert_eq!((parsed.algorithm, parsed.size, parsed.alignment), (Algorithm::Zlib, 3000, None));
        assert!(parsed.decompress(3000).unwrap() == contents);
        assert_eq!(Compressed::parse_gnu(b"ZLIO"), Ok(None));
        assert_eq!(Compressed::parse_gnu(b""), Ok(None));
        for length in 4..12 {
            assert!(Compressed::parse_gnu(&section[..length]).is_err());
        }
    }

    #[test]
    fn zstd_frames_may_follow_each_other() {
        let (first, second) = (text(700), text(900));
        let mut section = header(1600, Algorithm::Zstd, 1, true).unwrap();
        section.extend(compress_to_vec(&*first, CompressionLevel::Fastest));
        // A skippable frame of three bytes.
        section.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        section.extend(compress_to_vec(&*second, CompressionLevel::Fastest));
        assert!(unpack(&section, true).unwrap() == [first, second].concat());
    }

    #[test]
    fn every_changed_or_missing_byte_is_survived() {
        for algorithm in BOTH {
            let contents = text(600);
            let packed = compress(&contents, algorithm, 1, true).unwrap();
            for at in 0..packed.len() {
                assert!(unpack(&packed[..at], true).is_err(), "{algorithm:?} cut to {at}");
                for value in 0..=u8::MAX {
                    let mut changed = packed.clone();
                    changed[at] = value;
                    // Both streams end with a checksum: whatever is read is right.
                    if at >= 24
                        && let Ok(read) = unpack(&changed, true)
                    {
                        assert!(read == contents, "{algorithm:?} {at} {value}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_contents_come_back(contents in proptest::collection::vec(0..4_u8, 0..3000)) {
            for algorithm in BOTH {
                if let Some(packed) = compress(&contents, algorithm, 4, false) {
                    prop_assert_eq!(&unpack(&packed, false).unwrap(), &contents);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_to_an_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 1..3_u8) {
            let _ = Compressed::parse_gnu(&bytes).map(|parsed| parsed.map(|parsed| parsed.decompress(1 << 20)));
            for class64 in [true, false] {
                if let Some(first) = bytes.first_chunk_mut::<4>() {
                    *first = [kind, 0, 0, 0];
                }
                let _ = Compressed::parse(&bytes, class64).map(|parsed| parsed.decompress(1 << 20));
            }
        }
    }
}
