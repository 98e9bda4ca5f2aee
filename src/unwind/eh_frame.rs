//! Reading `.eh_frame` record by record (LSB core, *Exception Frames*; DWARF 5, §6.4.1, with the differences that LSB
//! states).
//!
//! The section is a list of records. A *common information entry* (CIE) holds what many functions share; a *frame
//! description entry* (FDE) describes one function and points back to its CIE by a distance in bytes; a *terminator*, a
//! length of zero, ends the list for every reader that does not search by `.eh_frame_hdr`. Each record starts with its
//! length, in 4 bytes, or in 12 of which the first four are `0xffffffff`. Other than in `.debug_frame`, the field behind
//! the length has 4 bytes in both forms: zero in a CIE, in an FDE the distance from the field to the CIE.
//!
//! All numbers are little-endian, as on every target that Julia has.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use crate::reader::{Malformed, Reader};
#[cfg(test)]
use crate::unwind::pointer::Bases;
use crate::unwind::pointer::{Encoding, Stored};

/// The end of an output `.eh_frame`: without it, readers that go from record to record run on.
pub(crate) const TERMINATOR: [u8; 4] = [0; 4];

/// One record of `.eh_frame`, by its place in the section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Offset of the record's length field in the section, in bytes.
    pub(crate) offset: u64,
    /// Bytes of the whole record, the length field included.
    pub(crate) size: u64,
    /// What the record is.
    pub(crate) kind: Kind,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Common information entry.
    Cie,
    /// Frame description entry.
    Fde {
        /// Offset of the CIE's record. Whether a CIE stands there is not looked at.
        cie_offset: u64,
        /// Offset of the field that holds the function's address. Whether the record is long enough for it depends on
        /// the CIE.
        pc_begin_offset: u64,
    },
    /// A length of zero.
    Terminator,
}

impl Record {
    /// The offset behind the record.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.size)
    }
}

/// The records of an input `.eh_frame`, in order. The first error is the last item.
///
/// Records behind a terminator are read as well: `ld -r` leaves terminators between the sections it joins.
///
/// # Errors
/// A record that reaches beyond the section, that is too short for what it must hold, or whose CIE pointer leads to
/// before the section.
pub(crate) fn records(section: &[u8]) -> impl Iterator<Item = Result<Record, Malformed>> + '_ {
    let mut reader = Reader::new(section);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || reader.remaining() == 0 {
            return None;
        }
        let record = record(&mut reader);
        failed = record.is_err();
        Some(record)
    })
}

fn record(reader: &mut Reader<'_>) -> Result<Record, Malformed> {
    let offset = reader.offset();
    let Some(header) = Header::read(reader)? else {
        return Ok(Record { offset, size: reader.offset().saturating_sub(offset), kind: Kind::Terminator });
    };
    let kind = match u64::from(header.id) {
        0 => Kind::Cie,
        distance => {
            let cie_offset = header.id_offset.checked_sub(distance).ok_or(Malformed::new(
                header.id_offset,
                "a frame description's CIE pointer leads to before the section",
            ))?;
            Kind::Fde { cie_offset, pc_begin_offset: reader.offset() }
        }
    };
    reader.skip(header.end.saturating_sub(reader.offset()), BEYOND)?;
    Ok(Record { offset, size: reader.offset().saturating_sub(offset), kind })
}

const BEYOND: &str = "an exception frame record reaches beyond the section";

/// What CIE and FDE have in common.
struct Header {
    /// Offset behind the record, which lies in the section.
    end: u64,
    /// Offset of the id.
    id_offset: u64,
    /// 0 in a CIE, else the distance from the id to the CIE.
    id: u32,
}

impl Header {
    /// Reads length and id, and leaves the reader behind them; `None` for a terminator.
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        let start = *reader;
        let length = match reader.u32("an exception frame record's length is cut off")? {
            0 => return Ok(None),
            0xffff_ffff => reader.u64("an exception frame record's 64-bit length is cut off")?,
            0xffff_fff0..=0xffff_fffe => {
                return Err(start.malformed("an exception frame record's length is a value reserved by DWARF"));
            }
            length => u64::from(length),
        };
        if length > reader.remaining() {
            return Err(start.malformed(BEYOND));
        }
        if length < 4 {
            return Err(start.malformed("an exception frame record is too short for its CIE id"));
        }
        let id_offset = reader.offset();
        let end = id_offset.saturating_add(length);
        let id = reader.u32(BEYOND)?;
        Ok(Some(Self { end, id_offset, id }))
    }
}

/// What a common information entry says about the FDEs that use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cie<'data> {
    /// 1 in `.eh_frame` (LSB); 3 and 4 are read as DWARF defines them.
    pub(crate) version: u8,
    /// The augmentation string.
    pub(crate) augmentation: &'data [u8],
    /// The pointer that the augmentation `eh` of GCC 2 puts in the CIE.
    pub(crate) eh_data: Option<Stored>,
    /// How FDEs store the function's address (`R`); the range has the same format and is relative to nothing.
    pub(crate) fde_encoding: Encoding,
    /// How FDEs store the address of the language-specific data, if they have the field (`L`).
    pub(crate) lsda_encoding: Option<Encoding>,
    /// The personality routine (`P`).
    pub(crate) personality: Option<Personality>,
    /// FDEs describe signal trampolines (`S`): the program counter is that of the instruction, not behind a call.
    pub(crate) signal_frame: bool,
    /// FDEs have augmentation data, preceded by its length (`z`).
    pub(crate) has_augmentation_data: bool,
    /// Bytes of an address of the target, 4 or 8.
    pub(crate) address_size: u8,
}

/// The pointer to a personality routine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Personality {
    /// How it is stored.
    pub(crate) encoding: Encoding,
    /// Where it stands in the section, and the number found there.
    pub(crate) pointer: Stored,
}

impl<'data> Cie<'data> {
    /// Reads the CIE whose record starts `offset` bytes into `section`.
    ///
    /// `address_size` is the target's, in bytes; version 4 states its own, which must be the same.
    ///
    /// # Errors
    /// There is no CIE there, a field is cut off, or the version or the augmentation is one whose layout is unknown.
    pub(crate) fn parse(section: &'data [u8], offset: u64, address_size: u8) -> Result<Self, Malformed> {
        let mut reader = Reader::at(section, offset, "a CIE pointer leads out of the section")?;
        let Some(Header { end, id_offset, id: 0 }) = Header::read(&mut reader)? else {
            return Err(Malformed::new(offset, "a CIE pointer leads to something that is no CIE"));
        };
        let mut reader = reader.until(end, BEYOND)?;
        let version = reader.u8("a CIE's version is cut off")?;
        if !matches!(version, 1 | 3 | 4) {
            return Err(Malformed::new(id_offset, "a CIE's version is not 1, 3 or 4"));
        }
        let augmentation = reader.string("a CIE's augmentation string does not end")?;
        let eh_data = match augmentation.strip_prefix(b"eh") {
            Some(_) => Some(Encoding::ABSPTR.read(&mut reader, address_size)?),
            None => None,
        };
        if version == 4 {
            if reader.u8("a CIE's address size is cut off")? != address_size {
                return Err(reader.malformed("a CIE's address size is not that of the target"));
            }
            if reader.u8("a CIE's segment selector size is cut off")? != 0 {
                return Err(reader.malformed("a CIE has segment selectors"));
            }
        }
        reader.uleb128("a CIE's code alignment factor is cut off")?;
        reader.sleb128("a CIE's data alignment factor is cut off")?;
        match version {
            1 => u64::from(reader.u8("a CIE's return address register is cut off")?),
            _ => reader.uleb128("a CIE's return address register is cut off")?,
        };

        let mut cie = Self {
            version,
            augmentation,
            eh_data,
            fde_encoding: Encoding::ABSPTR,
            lsda_encoding: None,
            personality: None,
            signal_frame: false,
            has_augmentation_data: false,
            address_size,
        };
        match augmentation {
            b"" | b"eh" => {}
            [b'z', letters @ ..] => {
                cie.has_augmentation_data = true;
                let length = reader.uleb128("a CIE's augmentation length is cut off")?;
                let end = reader.offset().saturating_add(length);
                cie.augment(letters, reader.until(end, "a CIE's augmentation data reaches beyond the CIE")?)?;
            }
            _ => return Err(Malformed::new(id_offset, "a CIE's augmentation is of an unknown layout")),
        }
        Ok(cie)
    }

    /// Reads the augmentation data, which is all that `reader` has left.
    fn augment(&mut self, letters: &[u8], mut reader: Reader<'_>) -> Result<(), Malformed> {
        const CUT: &str = "a CIE's augmentation data is too short for its augmentation string";
        for letter in letters {
            match letter {
                b'R' => self.fde_encoding = Encoding(reader.u8(CUT)?),
                b'L' => self.lsda_encoding = Some(Encoding(reader.u8(CUT)?)),
                b'P' => {
                    let encoding = Encoding(reader.u8(CUT)?);
                    if encoding != Encoding::OMIT {
                        let pointer = encoding.read(&mut reader, self.address_size)?;
                        self.personality = Some(Personality { encoding, pointer });
                    }
                }
                b'S' => self.signal_frame = true,
                // AArch64: return addresses signed with key B, frames with memory tags. No data.
                b'B' | b'G' => {}
                // The length tells where the data of letters nobody knows ends; nothing of what follows concerns us.
                _ => break,
            }
        }
        Ok(())
    }
}

/// The fields of a frame description entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fde {
    /// Where it is.
    pub(crate) record: Record,
    /// How [`Self::pc_begin`] is stored.
    pub(crate) encoding: Encoding,
    /// The function's address: in an object, the field that is relocated.
    pub(crate) pc_begin: Stored,
    /// The function's length in bytes.
    pub(crate) pc_range: u64,
    /// The language-specific data: in an object, a field that is relocated.
    pub(crate) lsda: Option<Stored>,
    /// How these are stored, as the CIE says.
    pub(crate) lsda_encoding: Option<Encoding>,
}

impl Fde {
    /// Reads the FDE `record` of `section`, which uses `cie`.
    ///
    /// # Errors
    /// The record is no FDE or is too short for its fields, or an encoding has no meaning.
    pub(crate) fn parse(section: &[u8], record: &Record, cie: &Cie<'_>) -> Result<Self, Malformed> {
        const CUT: &str = "a frame description's address is cut off";
        let Kind::Fde { pc_begin_offset, .. } = record.kind else {
            return Err(Malformed::new(record.offset, "a frame description is needed, and this record is none"));
        };
        let mut reader = Reader::at(section, pc_begin_offset, CUT)?.until(record.end(), CUT)?;
        let encoding = cie.fde_encoding;
        let pc_begin = encoding.read(&mut reader, cie.address_size)?;
        let range = encoding.format();
        let mut pc_range = range.read(&mut reader, cie.address_size)?.value;
        if range.size(cie.address_size) == Some(4) {
            // A length has no sign, whatever that of the address is.
            pc_range &= 0xffff_ffff;
        }
        let mut lsda = None;
        if cie.has_augmentation_data {
            const CUT: &str = "a frame description's augmentation data is cut off";
            let length = reader.uleb128(CUT)?;
            let end = reader.offset().saturating_add(length);
            let mut data = reader.until(end, CUT)?;
            if let Some(encoding) = cie.lsda_encoding
                && encoding != Encoding::OMIT
            {
                lsda = Some(encoding.read(&mut data, cie.address_size)?);
            }
        }
        Ok(Self { record: *record, encoding, pc_begin, pc_range, lsda, lsda_encoding: cie.lsda_encoding })
    }

    /// The function's first address, where the section's bytes are relocated and lie at `section_address`.
    ///
    /// `None` if the address is stored relative to something other than its field.
    #[cfg(test)]
    pub(crate) fn function(&self, section_address: u64, address_size: u8) -> Option<u64> {
        let bases = Bases { section: Some(section_address), ..Bases::default() };
        self.encoding.resolve(self.pc_begin, &bases, address_size)
    }
}

/// The frame descriptions of a section with all their fields, in order. An error of [`records`] is the last item; others
/// concern one record, and what follows it is read.
///
/// # Errors
/// As [`records`], [`Cie::parse`] and [`Fde::parse`]; and an FDE whose CIE pointer leads to no CIE that could be read.
pub(crate) fn descriptions(section: &[u8], address_size: u8) -> impl Iterator<Item = Result<Fde, Malformed>> + '_ {
    // CIEs stand before the FDEs that use them, as a rule just one: ascending offsets, searched from the last.
    let mut cies: Vec<(u64, Cie<'_>)> = Vec::new();
    let mut records = records(section);
    std::iter::from_fn(move || {
        loop {
            let item = records.next()?.and_then(|record| match record.kind {
                Kind::Terminator => Ok(None),
                Kind::Cie => {
                    cies.push((record.offset, Cie::parse(section, record.offset, address_size)?));
                    Ok(None)
                }
                Kind::Fde { cie_offset, .. } => {
                    let cie = match cies.last() {
                        Some((offset, cie)) if *offset == cie_offset => cie,
                        _ => find(&cies, cie_offset, record.offset)?,
                    };
                    Fde::parse(section, &record, cie).map(Some)
                }
            });
            if let Some(item) = item.transpose() {
                return Some(item);
            }
        }
    })
}

fn find<'cies, 'data>(
    cies: &'cies [(u64, Cie<'data>)],
    cie_offset: u64,
    fde_offset: u64,
) -> Result<&'cies Cie<'data>, Malformed> {
    let index = cies.binary_search_by_key(&cie_offset, |(offset, _)| *offset).ok();
    let cie = index.and_then(|index| cies.get(index)).map(|(_, cie)| cie);
    cie.ok_or(Malformed::new(fde_offset, NO_CIE))
}

/// The sentence for an FDE without a CIE.
pub(crate) const NO_CIE: &str = "a frame description's CIE pointer leads to no CIE";
