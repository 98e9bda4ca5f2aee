//! Addresses and file offsets, and the program headers that tell the loader of them.
//!
//! A *region* is a run of sections with the same permissions, and becomes one loadable segment. Regions follow each other in
//! the file without padding: each starts at the first address of a fresh page that is congruent to its file offset. (Where
//! `.ldata` follows `.bss`, large data is a region of its own, so that `.bss` takes no room in the file.) So what is protected
//! after loading shares no page of memory with what is written later, wherever loaders round its ends to; its own end is
//! rounded up, for they round it down. One exception: the heap image starts at its own alignment in the file, so that a
//! loader may replace its pages.
//!
//! Source: gABI chapter 5 (*Program Header*); `PT_GNU_*` as glibc and the LSB define them.

use std::ops::Range;

use object::elf;

use super::plan::{CODE, HEAP_IMAGE, LARGE, NOT_LOADED, RELRO, WRITABLE, WRITABLE_CODE, is_moved};
use super::{Table, machine};
use crate::error::{Error, Result};
use crate::layout::OutputSection;
use crate::link::{Link, over};
use crate::malfunction::{self, Malfunction};
use crate::model::SectionFlags as Flags;
use crate::options::Arch;
use crate::thunks;

/// A program header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// `p_type`.
    pub(crate) kind: elf::ProgramType,
    /// `p_flags`.
    pub(crate) flags: elf::ProgramFlags,
    /// `p_offset`.
    pub(crate) offset: u64,
    /// `p_vaddr`.
    pub(crate) address: u64,
    /// `p_filesz`.
    pub(crate) file_size: u64,
    /// `p_memsz`.
    pub(crate) size: u64,
    /// `p_align`.
    pub(crate) align: u64,
}

/// The largest page size that the image can be loaded with, in bytes.
pub(super) fn page_size(link: &Link<'_>) -> u64 {
    link.options.elf.max_page_size.unwrap_or(machine(link).page)
}

/// Gives every section its address and file offset.
///
/// # Errors
/// An image beyond the limits of [`Limits`](crate::Limits).
pub(crate) fn assign_addresses(link: &mut Link<'_>) -> Result<()> {
    settle(link)?;
    if link.thunks.is_empty() && super::arm::plt_marks(link).next().is_none() {
        return Ok(());
    }
    // Symbol tables are not loaded: that they grow moves nothing that has an address.
    if let Some(mut symtab) = link.elf.symtab.take() {
        symtab.add_own(link)?;
        for (table, size) in [(Table::Symtab, symtab.size()), (Table::Strtab, symtab.strings_size())] {
            if let Some(output) =
                link.elf.tables[table as usize].and_then(|number| link.outputs.get_mut(number as usize))
            {
                output.size = size;
            }
        }
        link.elf.symtab = Some(symtab);
        place(link)?;
    }
    Ok(())
}

/// Places everything until no table and no thunk is missing with the addresses that it has then.
fn settle(link: &mut Link<'_>) -> Result<()> {
    let mut rounds = 0;
    let word = machine(link).bits.word();
    loop {
        place(link)?;
        link.elf.bounds = super::Bounds::new(&link.outputs);
        if thunks::grow(link)? {
            continue;
        }
        let Some(number) = link.elf.tables[Table::RelrDyn as usize] else { return Ok(()) };
        // Which words `.relr.dyn` needs depends on addresses, which depend on its size. It never shrinks, so this ends;
        // where it does not settle at once, it gets as many words as it can ever need.
        let mut relocations = std::mem::take(&mut link.elf.relocations);
        let most = relocations.pack(link, link.outputs[number as usize].size / word);
        let size = word * relocations.relr.len() as u64;
        link.elf.relocations = relocations;
        let output = &mut link.outputs[number as usize];
        if output.size >= size {
            return Ok(());
        }
        rounds += 1;
        output.size = if rounds < 4 { size } else { word * most };
    }
}

/// The largest size of a file or of an image in memory, by its name: what is asked for, as far as the class has addresses
/// and sums with alignments cannot overflow.
pub(super) fn output_limit(link: &Link<'_>) -> (&'static str, u64) {
    let addresses = machine(link).bits.choose(u32::MAX.into(), i64::MAX as u64 / 4);
    let asked = link.options.limits.output_size;
    if asked <= addresses { ("output_size", asked) } else { ("address space", addresses) }
}

/// Which sections make a region.
struct Regions {
    /// What is protected after loading is one.
    relro: bool,
    /// What is large and written is one.
    large: bool,
}

impl Regions {
    fn new(link: &Link<'_>) -> Self {
        let any = |ranks: Range<u32>, zero: bool| {
            let within = link.outputs.iter().filter(|output| ranks.contains(&output.rank));
            within.filter(|output| !output.flags.has(Flags::TLS)).any(|output| output.flags.has(Flags::ZERO) == zero)
        };
        let large = any(WRITABLE..LARGE, true) && any(LARGE..HEAP_IMAGE, false);
        Self { relro: link.options.elf.relro, large }
    }

    /// The region of a rank.
    fn of(&self, rank: u32) -> u32 {
        match rank {
            0..CODE => 0,
            CODE..WRITABLE_CODE => 1,
            WRITABLE_CODE..RELRO => WRITABLE_CODE_REGION,
            RELRO..WRITABLE if self.relro => RELRO_REGION,
            LARGE..HEAP_IMAGE if self.large => 4,
            RELRO..HEAP_IMAGE => 3,
            HEAP_IMAGE..NOT_LOADED => HEAP_REGION,
            _ => UNLOADED_REGION,
        }
    }
}

const RELRO_REGION: u32 = 2;
const HEAP_REGION: u32 = 5;
const UNLOADED_REGION: u32 = 6;
const WRITABLE_CODE_REGION: u32 = 7;

/// As [`assign_addresses`], with all sizes as they are.
pub(super) fn place(link: &mut Link<'_>) -> Result<(), Error> {
    let options = link.options;
    let regions = Regions::new(link);
    let page = page_size(link);
    let bits = machine(link).bits;
    let headers = segment_count(link, &regions);
    let mut segments = Vec::with_capacity(headers);
    let (mut address, mut offset) = (0_u64, 0_u64);
    let headers_size = bits.file_header_size() + bits.program_header_size() * headers as u64;
    let (name, limit) = output_limit(link);
    let too_large = |start: u64, size: u64| {
        let wanted = start.saturating_add(size);
        Error::Limit { name, what: "the image's size".to_owned(), wanted, limit }
    };
    let mut first = 0;
    while first < link.outputs.len() {
        let this = regions.of(link.outputs[first].rank);
        let count = link.outputs[first..].iter().take_while(|output| regions.of(output.rank) == this).count();
        let outputs = &mut link.outputs[first..first + count];
        first += count;
        let strictest = outputs.iter().map(|output| output.align).max().unwrap_or(1);
        let loaded = this != UNLOADED_REGION;
        let align = strictest.max(page);
        // A region without a byte needs no segment, and no page of its own.
        let empty = outputs.iter().all(|output| output.size == 0);
        if loaded && !empty && !segments.is_empty() {
            if this == HEAP_REGION {
                offset = offset.next_multiple_of(strictest);
            }
            address = address.next_multiple_of(align) + offset % align;
        }
        // The first segment holds the headers.
        let start = (address, offset);
        if segments.is_empty() {
            (address, offset) = (headers_size, headers_size);
        }
        // Zero-filled sections take no room in the file only where nothing that does follows them.
        let last = outputs.iter().rposition(|output| !output.flags.has(Flags::ZERO)).unwrap_or(0);
        for output in outputs.iter_mut().take(last).filter(|output| !output.flags.has(Flags::TLS)) {
            if output.flags.has(Flags::ZERO) {
                output.flags = output.flags.without(Flags::ZERO);
                output.kind = elf::SHT_PROGBITS.0;
            }
        }
        // Loaders align a thread's block by PT_TLS's p_align as if its start were aligned in the image, too.
        let is_tls = |output: &OutputSection<'_>| output.flags.has(Flags::TLS);
        let tls_align = outputs.iter().filter(|output| is_tls(output)).map(|output| output.align).max();
        if let Some(first) = outputs.iter_mut().find(|output| is_tls(output)) {
            first.align = tls_align.unwrap_or(1);
        }
        let mut tls_end = 0;
        for output in outputs.iter_mut() {
            if !loaded {
                if is_moved(options, output.rank) {
                    continue;
                }
                offset = offset.next_multiple_of(output.align);
                output.offset = offset;
                offset = offset
                    .checked_add(output.file_size())
                    .filter(|end| *end <= limit)
                    .ok_or_else(|| too_large(offset, output.size))?;
                continue;
            }
            if output.flags.has(Flags::TLS) && output.flags.has(Flags::ZERO) {
                // Zero-filled thread-local storage takes room in each thread's block, not in the image.
                output.address = address.max(tls_end).next_multiple_of(output.align);
                output.offset = offset;
                let end = output.address.checked_add(output.size).filter(|end| *end <= limit);
                tls_end = end.ok_or_else(|| too_large(output.address, output.size))?;
                continue;
            }
            let next = address.next_multiple_of(output.align);
            if !output.flags.has(Flags::ZERO) {
                offset += next - address;
            }
            address = next;
            (output.address, output.offset) = (address, offset);
            let end = address.checked_add(output.size).filter(|end| *end <= limit);
            address = end.ok_or_else(|| too_large(address, output.size))?;
            offset += output.file_size();
        }
        if !loaded || empty {
            continue;
        }
        let file_size = offset - start.1;
        if this == RELRO_REGION {
            address = address.next_multiple_of(page);
        }
        let flags = match this {
            0 if malfunction::on(Malfunction::ReadOnlyWritable) => elf::PF_R | elf::PF_W,
            0 => elf::PF_R,
            1 => elf::PF_R | elf::PF_X,
            WRITABLE_CODE_REGION => elf::PF_R | elf::PF_W | elf::PF_X,
            HEAP_REGION if !outputs.iter().any(|output| output.flags.has(Flags::WRITE)) => elf::PF_R,
            _ => elf::PF_R | elf::PF_W,
        };
        let size = address - start.0;
        segments.push(Segment { kind: elf::PT_LOAD, flags, offset: start.1, address: start.0, file_size, size, align });
        if this == RELRO_REGION {
            let protected =
                Segment { kind: elf::PT_GNU_RELRO, flags: elf::PF_R, align: 1, ..segments[segments.len() - 1] };
            segments.push(protected);
        }
    }
    link.elf.section_headers = offset.next_multiple_of(8);
    let sections = link.outputs.iter().filter(|output| !is_moved(options, output.rank)).count();
    let size = link.elf.section_headers + bits.section_header_size() * (sections as u64 + 1);
    over(name, "the image's size", size.max(address), limit)?;
    link.report.size = size;
    link.elf.segments = finish_segments(link, segments, headers_size);
    Ok(())
}

/// The number of program headers; depends on which sections there are only.
fn segment_count(link: &Link<'_>, regions: &Regions) -> usize {
    let outputs = link.outputs.iter().filter(|output| output.size > 0);
    let mut there: Vec<u32> = outputs.map(|output| regions.of(output.rank)).collect();
    there.dedup();
    let loads = there.iter().filter(|region| **region != UNLOADED_REGION).count();
    let protected = usize::from(there.contains(&RELRO_REGION));
    // PT_PHDR, PT_DYNAMIC and PT_GNU_STACK are always there.
    loads + protected + 3 + others(link).len()
}

/// Segments that cover a run of sections each: the kind, and the run's first and last section.
fn others(link: &Link<'_>) -> Vec<(elf::ProgramType, usize, usize)> {
    let outputs = &link.outputs;
    let mut segments = Vec::new();
    let table = |table: Table| link.elf.tables[table as usize].map(|number| number as usize);
    // A library that is a program as well brings the path of its loader.
    let is_path = |output: &OutputSection<'_>| *output.name == *b".interp" && output.flags.has(Flags::ALLOC);
    if let Some(at) = outputs.iter().position(|output| is_path(output) && output.size > 0) {
        segments.push((elf::PT_INTERP, at, at));
    }
    if let Some(at) = table(Table::EhFrameHdr) {
        segments.push((elf::PT_GNU_EH_FRAME, at, at));
    }
    if let Some(at) = table(Table::Exidx) {
        segments.push((elf::PT_ARM_EXIDX, at, at));
    }
    if let Some(at) = table(Table::Property) {
        segments.push((elf::PT_GNU_PROPERTY, at, at));
    }
    if let (Arch::Riscv64, Some(at)) = (link.target.arch, table(Table::Attributes)) {
        segments.push((elf::PT_RISCV_ATTRIBUTES, at, at));
    }
    let is_tls = |output: &OutputSection<'_>| output.flags.has(Flags::TLS.and(Flags::ALLOC));
    if let (Some(first), Some(last)) = (outputs.iter().position(is_tls), outputs.iter().rposition(is_tls)) {
        segments.push((elf::PT_TLS, first, last));
    }
    // Notes of one alignment side by side share a segment: readers step through it by its alignment.
    let mut notes: Option<(usize, usize, u64)> = None;
    for (at, output) in outputs.iter().enumerate() {
        let lost = malfunction::on(Malfunction::NoteSegmentLost);
        if output.kind != elf::SHT_NOTE.0 || !output.flags.has(Flags::ALLOC) || lost {
            continue;
        }
        match &mut notes {
            Some((_, last, align)) if *last + 1 == at && *align == output.align => *last = at,
            _ => {
                segments.extend(notes.map(|(first, last, _)| (elf::PT_NOTE, first, last)));
                notes = Some((at, at, output.align));
            }
        }
    }
    segments.extend(notes.map(|(first, last, _)| (elf::PT_NOTE, first, last)));
    segments
}

fn finish_segments(link: &mut Link<'_>, loads: Vec<Segment>, headers_size: u64) -> Vec<Segment> {
    let cover = |kind, flags, first: usize, last: usize| {
        let align = link.outputs[first..=last].iter().map(|output| output.align).max().unwrap_or(1);
        let (first, last) = (&link.outputs[first], &link.outputs[last]);
        let file_end = if last.flags.has(Flags::ZERO) { last.offset } else { last.offset + last.file_size() };
        Segment {
            kind,
            flags,
            offset: first.offset,
            address: first.address,
            file_size: file_end.saturating_sub(first.offset),
            // What is not loaded takes no memory.
            size: if first.flags.has(Flags::ALLOC) { last.end().saturating_sub(first.address) } else { 0 },
            align,
        }
    };
    let start = machine(link).bits.file_header_size();
    let headers = Segment {
        kind: elf::PT_PHDR,
        flags: elf::PF_R,
        offset: start,
        address: start,
        file_size: headers_size - start,
        size: headers_size - start,
        align: machine(link).bits.word(),
    };
    // PT_PHDR and PT_INTERP must precede the loadable segments (gABI).
    let mut segments = vec![headers];
    let (paths, others): (Vec<_>, Vec<_>) = others(link).into_iter().partition(|(kind, ..)| *kind == elf::PT_INTERP);
    segments.extend(paths.into_iter().map(|(kind, first, last)| cover(kind, elf::PF_R, first, last)));
    let (protected, loads): (Vec<_>, Vec<_>) = loads.into_iter().partition(|load| load.kind == elf::PT_GNU_RELRO);
    segments.extend(loads);
    if let Some(at) = link.elf.tables[Table::Dynamic as usize] {
        let at = at as usize;
        segments.push(cover(elf::PT_DYNAMIC, elf::PF_R | elf::PF_W, at, at));
    }
    segments.extend(protected);
    for (kind, first, last) in others {
        segments.push(cover(kind, elf::PF_R, first, last));
    }
    let flags = if link.options.elf.exec_stack == Some(true) {
        elf::PF_R | elf::PF_W | elf::PF_X
    } else {
        elf::PF_R | elf::PF_W
    };
    let (offset, address, file_size, size) = (0, 0, 0, 0);
    segments.push(Segment { kind: elf::PT_GNU_STACK, flags, offset, address, file_size, size, align: 16 });
    if let Some(tls) = segments.iter().find(|segment| segment.kind == elf::PT_TLS) {
        link.elf.tls = (tls.address, tls.size, tls.align);
    }
    segments
}
