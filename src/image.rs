//! The image: a plan of its bytes, and their production in chunks.
//!
//! After layout an image is a list of [`Extent`]s in file order. Any chunk of it can be produced on its own, so the
//! image is never held as a whole: each worker takes chunks of [`CHUNK`] bytes, makes one in a buffer that stays in its
//! cache, takes its checksum there, and writes it at its place. A chunk that lies inside borrowed bytes is written straight
//! from the input.
//!
//! The identity (build id) is a hash over the hashes of all chunks, made with the identity's bytes zero: the chunks are
//! produced once, and then the one that holds the identity is produced again.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3;

use crate::apply::{self, Stretch};
use crate::elf::{self, Table};
use crate::error::{Error, Errors, Result};
use crate::file;
use crate::link::Link;
use crate::model::ObjectId;
use crate::options::BuildId;
use crate::report::Report;

/// Bytes of a chunk. The identity depends on it, so it is the same on every host.
const CHUNK: u64 = 1 << 20;

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
    /// One byte over and over.
    Fill(u8),
    /// These bytes.
    Owned(Vec<u8>),
    /// An input section, relocated.
    Section(Stretch),
    /// The symbol names of an object.
    Strings(ObjectId),
    /// A part of a table.
    Table(Table, u32),
}

/// A linked image, ready to be written.
///
/// It borrows the inputs; its bytes are made when they are asked for.
#[derive(Debug)]
pub struct Image<'a> {
    pub(crate) link: Link<'a>,
    extents: Vec<Extent>,
    /// File offset and size of the bytes that identify the contents.
    identity: Option<(u64, u64)>,
}

/// What is known of a chunk once it has been produced.
#[derive(Debug, Clone, Copy)]
struct Sum {
    crc: u32,
    hash: Hash,
}

/// The hash of a chunk, as the kind of identity wants it.
#[derive(Debug, Clone, Copy)]
enum Hash {
    None,
    Fast(u128),
    Strong([u8; 32]),
}

impl<'a> Image<'a> {
    pub(crate) fn new(link: Link<'a>, mut extents: Vec<Extent>, identity: Option<(u64, u64)>) -> Self {
        extents.sort_by_key(|extent| extent.offset);
        Self { link, extents, identity }
    }

    /// The image's size, in bytes.
    pub fn size(&self) -> u64 {
        self.link.report.size
    }

    /// What the link did. The checksum is not known before the bytes have been produced.
    pub fn report(&self) -> &Report {
        &self.link.report
    }

    /// Writes the image to a file, which appears under its name complete or not at all, with mode `0777 & ~umask`. Devices
    /// and pipes are written in place.
    ///
    /// # Errors
    /// [`Error::Write`], and relocations whose values do not fit; whatever stood under the name stands there still.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<Report> {
        let path = path.as_ref();
        let failed = |error: io::Error| Errors::from(Error::write(path, error));
        let Some(output) = file::Output::create(path, self.size()).map_err(failed)? else {
            // Neither seekable nor replaceable: in order.
            let mut stream = file::open_stream(path).map_err(failed)?;
            return self.stream(&mut stream, |error| Errors::from(Error::write(path, error)));
        };
        let write =
            |offset: u64, bytes: &[u8]| output.write_at(offset, bytes).map_err(|error| Error::write(path, error));
        let crc = self.produce(&write)?;
        output.commit().map_err(failed)?;
        Ok(self.report_with(crc))
    }

    /// Writes the image to `writer`, from its first byte to its last.
    ///
    /// # Errors
    /// As [`write_file`](Self::write_file); what has been written until then stays written.
    pub fn write_to(&self, writer: &mut impl Write) -> Result<Report> {
        self.stream(writer, |error| Errors::from(Error::write(Path::new("the writer"), error)))
    }

    /// The image as a vector.
    ///
    /// # Errors
    /// Relocations whose values do not fit.
    pub fn to_vec(&self) -> Result<(Vec<u8>, Report)> {
        let size = usize::try_from(self.size()).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(size).is_err() {
            let what = format!("no memory for the image's {size} bytes");
            return Err(Error::Options(what).into());
        }
        bytes.resize(size, 0);
        let report = self.write_into(&mut bytes)?;
        Ok((bytes, report))
    }

    /// Writes the image to the start of `buffer`.
    ///
    /// # Errors
    /// If `buffer` is shorter than [`size`](Self::size); relocations whose values do not fit.
    pub fn write_into(&self, buffer: &mut [u8]) -> Result<Report> {
        let available = buffer.len() as u64;
        let Some(buffer) = usize::try_from(self.size()).ok().and_then(|size| buffer.get_mut(..size)) else {
            let what = format!("the image has {} bytes, the buffer {available}", self.size());
            return Err(Error::Options(what).into());
        };
        let mut chunks: Vec<(&mut [u8], Option<Produced>)> =
            buffer.chunks_mut(CHUNK as usize).map(|chunk| (chunk, None)).collect();
        self.link.workers.for_each_mut(&mut chunks, |number, (chunk, produced)| {
            let mut problems = Vec::new();
            self.fill(number as u64 * CHUNK, chunk, &mut problems);
            *produced = Some((self.sum(chunk), problems));
        });
        let mut sums = Vec::with_capacity(chunks.len());
        let mut problems = Vec::new();
        for (_, produced) in &mut chunks {
            if let Some((sum, found)) = produced.take() {
                sums.push(sum);
                problems.extend(found);
            }
        }
        Errors::check(problems)?;
        if let Some(identity) = self.identify(&sums) {
            for (number, (chunk, _)) in chunks.iter_mut().enumerate() {
                if put(&identity, number as u64 * CHUNK, chunk) {
                    sums[number] = self.sum(chunk);
                }
            }
        }
        Ok(self.report_with(self.combine(&sums)))
    }

    fn report_with(&self, crc: u32) -> Report {
        Report { crc32c: Some(crc), ..self.link.report.clone() }
    }

    fn chunks(&self) -> u64 {
        self.size().div_ceil(CHUNK)
    }

    fn chunk_range(&self, number: u64) -> (u64, u64) {
        let start = number.saturating_mul(CHUNK);
        (start, start.saturating_add(CHUNK).min(self.size()))
    }

    /// Produces all chunks, hands each to `write`, and returns the checksum of the whole.
    fn produce(&self, write: &(impl Fn(u64, &[u8]) -> Result<(), Error> + Sync)) -> Result<u32> {
        let next = AtomicU64::new(0);
        let failed = AtomicU64::new(0);
        let results = self.link.workers.each(|| {
            let mut buffer = Vec::new();
            let mut sums = Vec::new();
            let mut problems = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.chunks() || failed.load(Ordering::Relaxed) != 0 {
                    break;
                }
                let (start, end) = self.chunk_range(number);
                let found = problems.len();
                let bytes = self.chunk(start, end, &mut buffer, &mut problems);
                sums.push((number, self.sum(bytes)));
                // Nothing more is written once something has failed: the file will not stay. Problems of relocations are
                // looked for to the end, so that all are told at once.
                if problems.len() == found
                    && problems.is_empty()
                    && let Err(error) = write(start, bytes)
                {
                    problems.push(error);
                    failed.store(1, Ordering::Relaxed);
                }
            }
            (sums, problems)
        });
        let mut sums = Vec::new();
        let mut problems = Vec::new();
        for (some, found) in results {
            sums.extend(some);
            problems.extend(found);
        }
        Errors::check(problems)?;
        sums.sort_unstable_by_key(|(number, _)| *number);
        let mut sums: Vec<Sum> = sums.into_iter().map(|(_, sum)| sum).collect();
        if let Some(identity) = self.identify(&sums) {
            let (offset, bytes) = &identity;
            let first = offset / CHUNK;
            let last = (offset + bytes.len() as u64).div_ceil(CHUNK).min(self.chunks());
            for number in first..last {
                let (start, end) = self.chunk_range(number);
                let mut chunk = vec![0; (end - start) as usize];
                self.fill(start, &mut chunk, &mut Vec::new());
                put(&identity, start, &mut chunk);
                sums[number as usize] = self.sum(&chunk);
                write(start, &chunk)?;
            }
        }
        Ok(self.combine(&sums))
    }

    /// Produces the chunks in order.
    fn stream(&self, writer: &mut impl Write, failed: impl Fn(io::Error) -> Errors) -> Result<Report> {
        let mut buffer = Vec::new();
        let mut problems = Vec::new();
        let mut sums = Vec::new();
        let mut identity = None;
        if self.identity.is_some() {
            // The identity stands near the start and depends on everything: a pass for it comes first.
            for number in 0..self.chunks() {
                let (start, end) = self.chunk_range(number);
                sums.push(self.sum(self.chunk(start, end, &mut buffer, &mut problems)));
            }
            identity = self.identify(&sums);
            sums.clear();
            Errors::check(std::mem::take(&mut problems))?;
        }
        for number in 0..self.chunks() {
            let (start, end) = self.chunk_range(number);
            let bytes = self.chunk(start, end, &mut buffer, &mut problems);
            let mut changed;
            let bytes = match &identity {
                Some(identity) if identity.0 < end && identity.0 + identity.1.len() as u64 > start => {
                    changed = bytes.to_vec();
                    put(identity, start, &mut changed);
                    &changed
                }
                _ => bytes,
            };
            Errors::check(std::mem::take(&mut problems))?;
            sums.push(self.sum(bytes));
            writer.write_all(bytes).map_err(&failed)?;
        }
        writer.flush().map_err(&failed)?;
        Ok(self.report_with(self.combine(&sums)))
    }

    /// The bytes of a chunk: borrowed if one extent gives them all, else made in `buffer`.
    fn chunk<'b>(&'b self, start: u64, end: u64, buffer: &'b mut Vec<u8>, problems: &mut Vec<Error>) -> &'b [u8] {
        if let Some(extent) = self.extents.get(self.first_extent(start))
            && extent.offset <= start
            && extent.offset + extent.size >= end
            && let Some(bytes) = self.borrowed(&extent.source)
            && let Some(bytes) = bytes.get((start - extent.offset) as usize..(end - extent.offset) as usize)
        {
            return bytes;
        }
        buffer.resize((end - start) as usize, 0);
        self.fill(start, buffer, problems);
        buffer
    }

    /// The index of the first extent that ends after `offset`.
    fn first_extent(&self, offset: u64) -> usize {
        self.extents.partition_point(|extent| extent.offset + extent.size <= offset)
    }

    /// The bytes of a source that are the image's as they are.
    fn borrowed<'s>(&'s self, source: &'s Source) -> Option<&'s [u8]> {
        match source {
            Source::Owned(bytes) => Some(bytes),
            Source::Strings(object) => Some(self.link.object(*object).strings),
            Source::Section(stretch) => {
                let section = self.link.section(stretch.object, stretch.section);
                let plain = section.relocs.is_empty() && !section.flags.has(crate::model::SectionFlags::EH_FRAME);
                plain.then(|| section.data.get(stretch.start as usize..)).flatten()
            }
            Source::Fill(_) | Source::Table(..) => None,
        }
    }

    /// Makes the image's bytes from `start` on in `out`.
    fn fill(&self, start: u64, out: &mut [u8], problems: &mut Vec<Error>) {
        let end = start + out.len() as u64;
        let mut done = start;
        for extent in &self.extents[self.first_extent(start)..] {
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
    fn fill_extent(&self, source: &Source, at: u64, out: &mut [u8], problems: &mut Vec<Error>) {
        match source {
            Source::Fill(byte) => out.fill(*byte),
            Source::Owned(bytes) => copy(bytes, at, out),
            Source::Strings(object) => copy(self.link.object(*object).strings, at, out),
            Source::Section(stretch) => {
                let stretch =
                    Stretch { start: stretch.start + at, address: stretch.address.wrapping_add(at), ..*stretch };
                apply::fill(&self.link, stretch, out, problems);
                if let Some(joined) = self.link.elf.frames.sections.get(&(stretch.object, stretch.section)) {
                    elf::emit::patch_frames(joined, stretch.start, out);
                }
            }
            Source::Table(Table::EhFrameHdr, _) => match &self.link.elf.frame_table {
                Some(table) => table.write_at(at, out),
                None => out.fill(0),
            },
            Source::Table(table, part) => copy(&elf::emit::make_part(&self.link, *table, *part), at, out),
        }
    }

    fn sum(&self, bytes: &[u8]) -> Sum {
        let hash = match self.link.options.elf.build_id {
            _ if self.identity.is_none() => Hash::None,
            BuildId::Fast => Hash::Fast(xxh3::xxh3_128(bytes)),
            _ => Hash::Strong(Sha256::digest(bytes).into()),
        };
        Sum { crc: crc32c::crc32c(bytes), hash }
    }

    /// The checksum of the whole, from those of its chunks.
    fn combine(&self, sums: &[Sum]) -> u32 {
        let mut whole = 0;
        for (number, sum) in sums.iter().enumerate() {
            let (start, end) = self.chunk_range(number as u64);
            whole = crc32c::crc32c_combine(whole, sum.crc, (end - start) as usize);
        }
        whole
    }

    /// The identity's file offset and bytes, from the hashes of all chunks.
    fn identify(&self, sums: &[Sum]) -> Option<(u64, Vec<u8>)> {
        let (offset, size) = self.identity?;
        let mut all = Vec::new();
        for sum in sums {
            match sum.hash {
                Hash::None => {}
                Hash::Fast(hash) => all.extend(hash.to_le_bytes()),
                Hash::Strong(hash) => all.extend(hash),
            }
        }
        let mut identity = match self.link.options.elf.build_id {
            BuildId::Fast => xxh3::xxh3_64(&all).to_le_bytes().to_vec(),
            _ => Sha256::digest(&all).to_vec(),
        };
        identity.truncate(size as usize);
        Some((offset, identity))
    }
}

type Produced = (Sum, Vec<Error>);

/// Puts the identity's bytes into a chunk that starts at `start`; tells whether any of them is in it.
fn put((offset, identity): &(u64, Vec<u8>), start: u64, chunk: &mut [u8]) -> bool {
    let mut any = false;
    for (index, byte) in identity.iter().enumerate() {
        let at = (offset + index as u64).checked_sub(start).and_then(|at| usize::try_from(at).ok());
        if let Some(place) = at.and_then(|at| chunk.get_mut(at)) {
            *place = *byte;
            any = true;
        }
    }
    any
}

/// Copies `bytes` from `at` on to `out`; what is missing is zero.
fn copy(bytes: &[u8], at: u64, out: &mut [u8]) {
    let source = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let size = source.len().min(out.len());
    let (head, tail) = out.split_at_mut(size);
    head.copy_from_slice(&source[..size]);
    tail.fill(0);
}
