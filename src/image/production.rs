//! The bytes of one file: the plan of where they come from, and their production in chunks.
//!
//! Any chunk can be produced on its own, so a file is never held as a whole: each worker takes chunks of [`CHUNK`] bytes,
//! makes one in a buffer that stays in its cache, takes its checksum there, and hands it on. A chunk that lies inside
//! borrowed bytes is handed on straight from the input.
//!
//! Some bytes depend on all others: the build id, the signature, and checksums that the files state. They are [`Patch`]es.
//! Where they are not known yet, a production has zeros there and keeps the few chunks that hold them, as *drafts*;
//! [`Production::amend`] puts the patches in, and [`Production::deliver`] hands these chunks on.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::sum::Sum;
use crate::apply::{self, Stretch};
use crate::debug::{self, Trouble};
use crate::error::{Error, Errors, Result};
use crate::format;
use crate::link::Link;
use crate::macho::signature::Signature;
use crate::memory::of_vec;
use crate::model::ObjectId;

/// Bytes of a chunk: few enough to stay in a core's own cache, and to cost a small image few page faults, and enough that a
/// call of the system for each does not count. The identity depends on it, so it is the same on every host.
pub(super) const CHUNK: u64 = 1 << 18;

/// A stretch of the file and where its bytes come from. What no extent covers is zero.
#[derive(Debug)]
pub(crate) struct Extent {
    /// File offset of its first byte.
    pub(crate) offset: u64,
    /// Its size, in bytes.
    pub(crate) size: u64,
    /// Where its bytes come from.
    pub(crate) source: Source,
}

/// Where bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// These bytes over and over; the first byte is that at an offset of endless ones.
    Fill(&'static [u8], u64),
    /// These bytes.
    Owned(Vec<u8>),
    /// An input section, relocated.
    Section(Stretch),
    /// The symbol names of an object.
    Strings(ObjectId),
    /// A part of a table of the format's, by the number of each.
    Table(u16, u32),
}

/// The plan of one file.
#[derive(Debug)]
pub(crate) struct FilePlan {
    /// Its size, in bytes.
    size: u64,
    /// In ascending order, without overlap.
    extents: Vec<Extent>,
    /// The checksum that its readers want.
    pub(super) checksum: Checksum,
    /// File offsets and sizes of the bytes that identify the contents, where they are to be computed.
    pub(super) identity: Vec<(u64, u64)>,
    /// File offset of the checksum of the image itself, as PE has it: four bytes.
    pub(super) image_checksum: Option<u64>,
    /// File offset of the checksum of the companion, four bytes.
    pub(super) companion_checksum: Option<u64>,
    /// Stretches (file offset and size, in bytes) that the identity does not depend on.
    pub(super) hidden: Vec<(u64, u64)>,
    /// The signature that the file ends with.
    pub(super) signature: Option<Signature>,
}

/// Checksums of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// CRC-32C, which Julia stores beside an image.
    Castagnoli,
    /// CRC-32 of IEEE 802.3, which `.gnu_debuglink` states.
    Ieee,
}

/// Bytes that replace those at a file offset.
pub(super) type Patch<'s> = (u64, &'s [u8]);

impl FilePlan {
    /// A plan of `size` bytes.
    pub(crate) fn new(size: u64, mut extents: Vec<Extent>, checksum: Checksum) -> Self {
        extents.retain(|extent| extent.size > 0);
        extents.sort_by_key(|extent| extent.offset);
        let (identity, hidden) = (Vec::new(), Vec::new());
        Self {
            size,
            extents,
            checksum,
            identity,
            image_checksum: None,
            companion_checksum: None,
            hidden,
            signature: None,
        }
    }

    /// Has the identity of the contents, or as much of it as there is room for, put at offsets.
    pub(crate) fn with_identity(self, places: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self { identity: places.into_iter().collect(), ..self }
    }

    /// Has the checksum of PE images put at an offset.
    pub(crate) fn with_image_checksum(self, offset: u64) -> Self {
        Self { image_checksum: Some(offset), ..self }
    }

    /// Has the checksum of the companion put at an offset.
    pub(crate) fn with_companion_checksum(self, offset: Option<u64>) -> Self {
        Self { companion_checksum: offset, ..self }
    }

    /// Makes the identity independent of stretches of the file.
    pub(crate) fn with_hidden(self, hidden: Vec<(u64, u64)>) -> Self {
        Self { hidden, ..self }
    }

    /// Has the file signed.
    pub(crate) fn with_signature(self, signature: Option<Signature>) -> Self {
        Self { signature, ..self }
    }

    /// Its size, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of memory that the plan has taken.
    pub(super) fn memory(&self) -> u64 {
        let owned = self.extents.iter().map(|extent| match &extent.source {
            Source::Owned(bytes) => of_vec(bytes),
            _ => 0,
        });
        of_vec(&self.extents) + owned.sum::<u64>()
    }

    /// Bytes of a buffer for chunks.
    pub(super) fn buffer(&self) -> u64 {
        self.size.min(CHUNK)
    }

    fn chunks(&self) -> u64 {
        self.size.div_ceil(CHUNK)
    }

    /// File offsets and sizes of what depends on all other bytes.
    fn late(&self) -> impl Iterator<Item = (u64, u64)> {
        let checksums = self.image_checksum.into_iter().chain(self.companion_checksum).map(|offset| (offset, 4));
        let signature = self.signature.iter().map(|signature| (u64::from(signature.code_limit), signature.size()));
        self.identity.iter().copied().chain(checksums).chain(signature)
    }

    /// Whether bytes between two file offsets depend on all others, and whether all of them do.
    pub(super) fn lateness(&self, start: u64, end: u64) -> (bool, bool) {
        let some = self.late().any(|(offset, size)| offset < end && offset + size > start);
        (some, some && self.late().any(|(offset, size)| offset <= start && offset + size >= end))
    }

    pub(super) fn chunk_range(&self, number: u64) -> (u64, u64) {
        let start = number.saturating_mul(CHUNK);
        (start, start.saturating_add(CHUNK).min(self.size))
    }
}

/// The production of one file of a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Production<'i, 'a> {
    pub(super) link: &'i Link<'a>,
    pub(super) plan: &'i FilePlan,
}

impl<'i> Production<'i, '_> {
    /// The order in which chunks are produced: those that are made and those that are borrowed mixed, since one file is written
    /// by one thread at a time: while one writes what costs nothing else, others make what does.
    fn order(&self, patches: &[Patch<'_>]) -> Vec<u64> {
        let numbers = 0..self.plan.chunks();
        // NTFS fills what is left out with zeros first, so that there a file is best written from start to end.
        if cfg!(windows) || self.link.workers.count() == 1 {
            return numbers.collect();
        }
        let is_borrowed = |number: &u64| {
            let (start, end) = self.plan.chunk_range(*number);
            self.borrowed_chunk(start, end, patches).is_some()
        };
        let (borrowed, made): (Vec<u64>, Vec<u64>) = numbers.partition(is_borrowed);
        // Where each would stand if its list were spread evenly over a length that both lists divide.
        let spread = |list: &[u64], other: &[u64]| {
            let step = (other.len() as u128).max(1);
            (0..).map(move |at: u128| (2 * at + 1) * step).zip(list.to_vec())
        };
        let mut order: Vec<(u128, u64)> = spread(&made, &borrowed).chain(spread(&borrowed, &made)).collect();
        order.sort_by_key(|(place, _)| *place);
        order.into_iter().map(|(_, number)| number).collect()
    }

    /// Produces all chunks, on all threads, and hands each to `write`; without `patches`, those that would have some stay drafts.
    /// Problems are added to `problems`; once there is one, nothing more is written.
    pub(super) fn produce(
        &self,
        patches: Option<&[Patch<'_>]>,
        write: &(impl Fn(u64, &[u8]) -> Result<(), Error> + Sync),
        problems: &mut Vec<Trouble>,
    ) -> Vec<Sum> {
        let order = self.order(patches.unwrap_or_default());
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let results = self.link.workers.each(|| {
            let mut buffer = Vec::new();
            let mut sums = Vec::new();
            let mut problems = Vec::new();
            loop {
                let number = order.get(next.fetch_add(1, Ordering::Relaxed)).copied();
                let Some(number) = number.filter(|_| !failed.load(Ordering::Relaxed)) else { break };
                let (start, end) = self.plan.chunk_range(number);
                let bytes = self.chunk(start, end, patches.unwrap_or_default(), &mut buffer, &mut problems);
                let sum = self.sum_or_draft(start, bytes, patches.is_none());
                let is_draft = sum.draft.is_some();
                sums.push((number, sum));
                // Nothing more is written once something has failed: the file will not stay. Problems of relocations are
                // looked for to the end, so that all are told at once.
                if problems.is_empty()
                    && !is_draft
                    && let Err(error) = write(start, bytes)
                {
                    problems.push(Trouble::output(error));
                    failed.store(true, Ordering::Relaxed);
                }
            }
            (sums, problems)
        });
        let mut sums = Vec::new();
        for (some, found) in results {
            sums.extend(some);
            problems.extend(found);
        }
        sums.sort_unstable_by_key(|(number, _)| *number);
        sums.into_iter().map(|(_, sum)| sum).collect()
    }

    /// Puts `patches` into the drafts, and has their sums right.
    pub(super) fn amend(&self, patches: &[Patch<'_>], sums: &mut [Sum]) {
        for (number, sum) in (0..).zip(sums) {
            let (start, end) = self.plan.chunk_range(number);
            let Some(mut draft) = sum.draft.take_if(|_| touches(patches, start, end)) else { continue };
            put(patches, start, &mut draft);
            self.sum_again(start, covering(patches, start, end).unwrap_or(&draft), patches, sum);
            sum.draft = Some(draft);
        }
    }

    /// Hands the drafts, into which `patches` have been put, to `write`.
    pub(super) fn deliver(
        &self,
        patches: &[Patch<'_>],
        sums: &[Sum],
        write: &impl Fn(u64, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (number, sum) in (0..).zip(sums) {
            let (start, end) = self.plan.chunk_range(number);
            if let Some(draft) = &sum.draft {
                write(start, covering(patches, start, end).unwrap_or(draft))?;
            }
        }
        Ok(())
    }

    /// Produces the chunks in order, on this thread.
    pub(super) fn stream(
        &self,
        patches: &[Patch<'_>],
        writer: &mut impl Write,
        failed: impl Fn(io::Error) -> Errors,
    ) -> Result<Vec<Sum>> {
        let mut buffer = Vec::new();
        let mut sums = Vec::new();
        for number in 0..self.plan.chunks() {
            let (start, end) = self.plan.chunk_range(number);
            let mut problems = Vec::new();
            let bytes = self.chunk(start, end, patches, &mut buffer, &mut problems);
            debug::check(self.link, problems)?;
            sums.push(self.sum(start, bytes));
            writer.write_all(bytes).map_err(&failed)?;
        }
        writer.flush().map_err(&failed)?;
        Ok(sums)
    }

    /// Produces the file in `buffer`, which has its size; without `patches`, chunks that would have some are drafts, too.
    pub(super) fn produce_into(
        &self,
        patches: Option<&[Patch<'_>]>,
        buffer: &mut [u8],
        problems: &mut Vec<Trouble>,
    ) -> Vec<Sum> {
        type Produced = Option<(Sum, Vec<Trouble>)>;
        let mut chunks: Vec<(&mut [u8], Produced)> =
            buffer.chunks_mut(CHUNK as usize).map(|chunk| (chunk, None)).collect();
        self.link.workers.for_each_mut(&mut chunks, |number, (chunk, produced)| {
            let mut problems = Vec::new();
            let start = number as u64 * CHUNK;
            self.fill(start, chunk, &mut problems);
            put(patches.unwrap_or_default(), start, chunk);
            *produced = Some((self.sum_or_draft(start, chunk, patches.is_none()), problems));
        });
        let mut sums = Vec::with_capacity(chunks.len());
        for (sum, found) in chunks.into_iter().filter_map(|(_, produced)| produced) {
            sums.push(sum);
            problems.extend(found);
        }
        sums
    }

    /// The bytes of a chunk: borrowed if one extent gives them all, else made in `buffer`.
    fn chunk<'b>(
        &self,
        start: u64,
        end: u64,
        patches: &[Patch<'_>],
        buffer: &'b mut Vec<u8>,
        problems: &mut Vec<Trouble>,
    ) -> &'b [u8]
    where
        'i: 'b,
    {
        if let Some(bytes) = self.borrowed_chunk(start, end, patches) {
            return bytes;
        }
        if buffer.is_empty() {
            // Zeros of the system's, which nobody has to write.
            *buffer = vec![0; self.plan.buffer() as usize];
        }
        let bytes = &mut buffer[..(end - start) as usize];
        self.fill(start, bytes, problems);
        put(patches, start, bytes);
        bytes
    }

    /// The bytes of a chunk, if one extent gives them all as they are.
    fn borrowed_chunk(&self, start: u64, end: u64, patches: &[Patch<'_>]) -> Option<&'i [u8]> {
        let extent = self.plan.extents.get(self.first_extent(start))?;
        if extent.offset > start || extent.offset + extent.size < end || touches(patches, start, end) {
            return None;
        }
        let bytes = self.borrowed(&extent.source)?;
        bytes.get((start - extent.offset) as usize..(end - extent.offset) as usize)
    }

    /// The index of the first extent that ends after `offset`.
    fn first_extent(&self, offset: u64) -> usize {
        self.plan.extents.partition_point(|extent| extent.offset + extent.size <= offset)
    }

    /// The bytes of a source that are the file's as they are.
    fn borrowed(&self, source: &'i Source) -> Option<&'i [u8]> {
        match source {
            Source::Owned(bytes) => Some(bytes),
            Source::Strings(object) => Some(self.link.object(*object).strings),
            Source::Section(stretch) => {
                let section = self.link.section(stretch.object, stretch.section);
                let plain = section.relocs.is_empty() && !format::is_patched(self.link, section);
                plain.then(|| section.data.get(stretch.start as usize..)).flatten()
            }
            Source::Fill(..) | Source::Table(..) => None,
        }
    }

    /// Makes the file's bytes from `start` on in `out`.
    fn fill(&self, start: u64, out: &mut [u8], problems: &mut Vec<Trouble>) {
        let end = start + out.len() as u64;
        let mut done = start;
        for extent in &self.plan.extents[self.first_extent(start)..] {
            let from = extent.offset.max(done);
            let to = (extent.offset + extent.size).min(end);
            if from >= end {
                break;
            }
            if from >= to {
                continue;
            }
            out[(done - start) as usize..(from - start) as usize].fill(0);
            let part = &mut out[(from - start) as usize..(to - start) as usize];
            self.fill_extent(&extent.source, from - extent.offset, part, problems);
            done = to;
        }
        out[(done - start) as usize..].fill(0);
    }

    /// Makes a source's bytes from its offset `at` on in `out`.
    fn fill_extent(&self, source: &Source, at: u64, out: &mut [u8], problems: &mut Vec<Trouble>) {
        match source {
            Source::Fill(pattern, phase) => {
                let start = (phase.wrapping_add(at) % pattern.len().max(1) as u64) as usize;
                out.iter_mut().zip(pattern.iter().cycle().skip(start)).for_each(|(to, from)| *to = *from);
            }
            Source::Owned(bytes) => copy(bytes, at, out),
            Source::Strings(object) => copy(self.link.object(*object).strings, at, out),
            Source::Section(stretch) => {
                let stretch =
                    Stretch { start: stretch.start + at, address: stretch.address.wrapping_add(at), ..*stretch };
                apply::fill(self.link, stretch, out, problems);
                format::patch_section(self.link, stretch.object, stretch.section, stretch.start, out);
            }
            Source::Table(table, part) => format::fill_table(self.link, *table, *part, at, out),
        }
    }
}

/// Whether any of `patches` has bytes between two file offsets.
pub(super) fn touches(patches: &[Patch<'_>], start: u64, end: u64) -> bool {
    patches.iter().any(|(offset, bytes)| *offset < end && offset + bytes.len() as u64 > start)
}

/// The bytes between two file offsets, if one of `patches` gives all of them.
fn covering<'s>(patches: &[Patch<'s>], start: u64, end: u64) -> Option<&'s [u8]> {
    patches.iter().find_map(|(offset, bytes)| {
        bytes.get(usize::try_from(start.checked_sub(*offset)?).ok()?..usize::try_from(end.checked_sub(*offset)?).ok()?)
    })
}

/// Puts `patches` into a chunk that starts at `start`.
pub(super) fn put(patches: &[Patch<'_>], start: u64, chunk: &mut [u8]) {
    for (offset, bytes) in patches {
        // From where either starts.
        let later = |one: u64, other: u64| usize::try_from(one.saturating_sub(other)).unwrap_or(usize::MAX);
        let from = bytes.get(later(start, *offset)..).unwrap_or_default();
        let to = chunk.get_mut(later(*offset, start)..).unwrap_or_default();
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
}

/// Copies `bytes` from `at` on to `out`; what is missing is zero.
pub(crate) fn copy(bytes: &[u8], at: u64, out: &mut [u8]) {
    let source = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let size = source.len().min(out.len());
    let (head, tail) = out.split_at_mut(size);
    head.copy_from_slice(&source[..size]);
    tail.fill(0);
}
