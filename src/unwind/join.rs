//! Joining the `.eh_frame` sections of all objects.
//!
//! The output section is the inputs' records one after the other, with a terminator at the end and nowhere else:
//! four zero bytes anywhere between are a terminator too, and hide all that follows from readers that go from record to
//! record. Hence two rules for the layout:
//!
//! * **No gaps.** A section's records start where the former's end, whatever `sh_addralign` says; only the output section
//!   itself is aligned, to the strictest of its inputs. DWARF (§6.4.1) wants the size of a record to be a multiple of the
//!   address size, and so keeps records aligned, but compilers do not keep to it (LLVM's records are multiples of four in
//!   64-bit objects and only the last of a section is padded; those of `crt1.o` are too), so that readers have to fetch
//!   the fields of a record from any multiple of four, and do, through unaligned accesses.
//! * **One end.** Terminators of inputs are cut (the section of `crtend.o` is nothing but one), and
//!   [`TERMINATOR`](super::eh_frame::TERMINATOR) is put behind the last record.
//!
//! FDEs of functions that are not in the image (COMDAT groups that lost, collected sections) go, as do CIEs that no FDE
//! uses any more. The records that stay move together, and the distance from an FDE to its CIE is corrected where
//! something between the two is gone.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use std::ops::Range;

use crate::reader::Malformed;
use crate::unwind::eh_frame::{Kind, NO_CIE, Record, records};

/// What one input section contributes to the output section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    /// The parts that stay, ascending in input and output, without gaps in the output, none empty, no two adjacent in
    /// the input.
    pub(crate) pieces: Vec<Piece>,
    /// Corrected CIE pointers, ascending.
    pub(crate) patches: Vec<Patch>,
    /// Bytes of all pieces together.
    pub(crate) size: u64,
}

/// Consecutive records that stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Their bytes in the input section.
    pub(crate) input: Range<u64>,
    /// Their offset in the contribution, in bytes.
    pub(crate) output_offset: u64,
}

/// Four bytes that change because records moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patch {
    /// Where, in bytes from the start of the contribution.
    pub(crate) output_offset: u64,
    /// The little-endian number to put there.
    pub(crate) value: u32,
}

/// Decides what of `section` stays: every FDE for which `keep` says so, and the CIEs they use.
///
/// `keep` is asked once for each FDE, in order.
///
/// # Errors
/// As [`records`]; and an FDE whose CIE pointer leads to no CIE.
pub(crate) fn join(section: &[u8], mut keep: impl FnMut(&Record) -> bool) -> Result<Joined, Malformed> {
    let mut cies: Vec<Cie> = Vec::new();
    let mut kept: Vec<Kept> = Vec::new();
    for record in records(section) {
        let record = record?;
        match record.kind {
            Kind::Terminator => {}
            Kind::Cie => {
                kept.push(Kept { record, cie: cies.len() });
                cies.push(Cie { input: record.offset, output: 0, used: false });
            }
            Kind::Fde { cie_offset, .. } => {
                let cie = match cies.last() {
                    Some(last) if last.input == cie_offset => cies.len().checked_sub(1),
                    _ => cies.binary_search_by_key(&cie_offset, |cie| cie.input).ok(),
                };
                let cie = cie.ok_or(Malformed::new(record.offset, NO_CIE))?;
                if keep(&record) {
                    kept.push(Kept { record, cie });
                    if let Some(cie) = cies.get_mut(cie) {
                        cie.used = true;
                    }
                }
            }
        }
    }

    let mut joined = Joined::default();
    for Kept { record, cie } in kept {
        let Some(cie) = cies.get_mut(cie).filter(|cie| cie.used) else { continue };
        let output = joined.push(&record);
        match record.kind {
            Kind::Fde { pc_begin_offset, .. } => {
                // The CIE pointer is the field before.
                let field = pc_begin_offset.saturating_sub(4);
                let moved = record.offset.saturating_sub(output) != cie.input.saturating_sub(cie.output);
                if moved {
                    let output_offset = output.saturating_add(field.saturating_sub(record.offset));
                    // Records only move together: the distance was a 32-bit number and is smaller now.
                    let value = u32::try_from(output_offset.saturating_sub(cie.output))
                        .map_err(|_| Malformed::new(field, "a frame description is too far from its CIE"))?;
                    joined.patches.push(Patch { output_offset, value });
                }
            }
            Kind::Cie => cie.output = output,
            Kind::Terminator => {}
        }
    }
    Ok(joined)
}

/// A CIE met so far.
struct Cie {
    /// Offset in the input.
    input: u64,
    /// Offset in the contribution, once it is placed.
    output: u64,
    /// Whether an FDE that stays uses it.
    used: bool,
}

/// A record that stays, if its CIE is used.
struct Kept {
    record: Record,
    /// Its CIE's index; a CIE's own.
    cie: usize,
}

impl Joined {
    #[cfg(test)]
    /// Whether the contribution is the section's first [`Self::size`] bytes as they are.
    pub(crate) fn is_identity(&self) -> bool {
        // Records only move if one before them is gone, and then there are several pieces, or one that does not start
        // the section.
        match self.pieces.as_slice() {
            [] => true,
            [piece] => piece.input.start == 0,
            _ => false,
        }
    }

    /// The contribution's bytes, not yet relocated, where `section` is what was joined.
    pub(crate) fn contents(&self, section: &[u8]) -> Vec<u8> {
        let mut contents = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0));
        for Piece { input, .. } in &self.pieces {
            if let (Ok(start), Ok(end)) = (usize::try_from(input.start), usize::try_from(input.end)) {
                contents.extend_from_slice(section.get(start..end).unwrap_or_default());
            }
        }
        for Patch { output_offset, value } in &self.patches {
            let field = usize::try_from(*output_offset).ok().and_then(|offset| contents.get_mut(offset..));
            if let Some(field) = field.and_then(|field| field.first_chunk_mut::<4>()) {
                *field = value.to_le_bytes();
            }
        }
        contents
    }

    /// Where the input byte at `offset` is in the contribution; `None` if its record is gone.
    pub(crate) fn output_offset(&self, offset: u64) -> Option<u64> {
        let index = self.pieces.partition_point(|piece| piece.input.end <= offset);
        let piece = self.pieces.get(index)?;
        let into = offset.checked_sub(piece.input.start)?;
        Some(piece.output_offset.saturating_add(into))
    }

    /// Where a label at the input's `offset` is in the contribution: as [`Self::output_offset`], and where its record is
    /// gone, the start of the next that stays, or the contribution's end.
    pub(crate) fn label_offset(&self, offset: u64) -> u64 {
        let index = self.pieces.partition_point(|piece| piece.input.end <= offset);
        match self.pieces.get(index) {
            Some(piece) => piece.output_offset.saturating_add(offset.saturating_sub(piece.input.start)),
            None => self.size,
        }
    }

    /// Appends a record and says where it comes to stand.
    fn push(&mut self, record: &Record) -> u64 {
        let output = self.size;
        self.size = self.size.saturating_add(record.size);
        match self.pieces.last_mut() {
            Some(piece) if piece.input.end == record.offset => piece.input.end = record.end(),
            _ => self.pieces.push(Piece { input: record.offset..record.end(), output_offset: output }),
        }
        output
    }
}
