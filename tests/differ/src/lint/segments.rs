//! Program headers: gABI, "Program Header", and what Linux and glibc make of them.

use object::elf;

use super::Faults;
use crate::elf::{Section, Segment};
use crate::image::Image;
use crate::rules::{Check, Finding};

pub(super) fn lint(image: &Image<'_>, findings: &mut Vec<Finding>) {
    let mut faults = Faults::new(Check::Segments, findings);
    header(image, &mut faults);
    for (index, segment) in image.file.segments.iter().enumerate() {
        one(image, index, segment, &mut faults);
    }
    loads(image, &mut faults);
    relro(image, &mut faults);
    special(image, &mut faults);
    notes(image, &mut faults);
}

/// gABI, "ELF Header".
fn header(image: &Image<'_>, faults: &mut Faults<'_>) {
    faults.equal("e_version", 1, image.file.version);
    faults.equal("EI_VERSION", Some(&1), image.file.bytes.get(6));
    faults.equal("EI_ABIVERSION and padding", Some(&[0; 8][..]), image.file.bytes.get(8..16));
    let in_code = image.segment_at(image.file.entry).is_some_and(|segment| segment.flags & elf::PF_X.0 != 0);
    if image.file.entry != 0 && !in_code {
        faults.add("e_entry", "0 or an address in code", format!("{:#x}", image.file.entry));
    }
    let (header, segment, section) = if image.file.is_64 { (64, 56, 64) } else { (52, 32, 40) };
    let sizes = Some(()).and_then(|()| {
        let start = if image.file.is_64 { 52 } else { 40 };
        let mut cursor = image.file.cursor(image.file.bytes.get(start..start + 8)?);
        Some((cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?))
    });
    let sizes = sizes.map(|(header, segment, _, section)| (header, segment, section));
    faults.equal("e_ehsize, e_phentsize, e_shentsize", Some((header, segment, section)), sizes);
}

fn one(image: &Image<'_>, index: usize, segment: &Segment, faults: &mut Faults<'_>) {
    let name = || format!("program header {index}");
    let end = segment.offset.checked_add(segment.file_size);
    if end.is_none_or(|end| end > image.file.bytes.len() as u64) {
        faults.add(name(), "bytes inside the file", format!("{:#x}+{:#x}", segment.offset, segment.file_size));
    }
    // PT_RISCV_ATTRIBUTES holds what is not loaded.
    let attributes = elf::Machine(image.file.machine) == elf::EM_RISCV && segment.kind == 0x7000_0003;
    if segment.file_size > segment.memory_size && segment.kind != elf::PT_GNU_STACK.0 && !attributes {
        faults.add(name(), "p_filesz at most p_memsz", format!("{:#x}, {:#x}", segment.file_size, segment.memory_size));
    }
    if segment.physical != segment.address {
        faults.add(name(), "p_paddr as p_vaddr", format!("{:#x}, {:#x}", segment.physical, segment.address));
    }
    if segment.flags & !(elf::PF_R.0 | elf::PF_W.0 | elf::PF_X.0) != 0 {
        faults.add(name(), "p_flags of R, W, X", format!("{:#x}", segment.flags));
    }
    if segment.align > 1 {
        if !segment.align.is_power_of_two() {
            faults.add(name(), "p_align a power of two", format!("{:#x}", segment.align));
        } else if segment.kind == elf::PT_LOAD.0 && segment.offset % segment.align != segment.address % segment.align {
            let found = format!("{:#x}, {:#x}, {:#x}", segment.offset, segment.address, segment.align);
            faults.add(name(), "p_offset and p_vaddr congruent modulo p_align", found);
        }
    }
    let loaded = attributes || [elf::PT_LOAD.0, elf::PT_GNU_STACK.0].contains(&segment.kind);
    let in_load = |load: &Segment| load.address <= segment.address && segment.end() <= load.end();
    // The zeros of PT_TLS take no memory of the image; RELRO may reach to the end of its segment's last page.
    let exempt = [elf::PT_TLS.0, elf::PT_GNU_RELRO.0].contains(&segment.kind);
    if !loaded && !exempt && !image.segments_of(elf::PT_LOAD).any(in_load) {
        faults.add(name(), "memory of a PT_LOAD", format!("{:#x}..{:#x}", segment.address, segment.end()));
    }
}

fn loads(image: &Image<'_>, faults: &mut Faults<'_>) {
    let page = image.page_size();
    let loads: Vec<&Segment> = image.segments_of(elf::PT_LOAD).collect();
    match loads.first() {
        // Julia takes dladdr's base for the load address.
        Some(first) => {
            faults.equal("first PT_LOAD's p_vaddr", 0, first.address);
            faults.equal("first PT_LOAD's p_offset", 0, first.offset);
        }
        None => faults.add("PT_LOAD", "one or more", "none"),
    }
    for load in &loads {
        covered(image, load, faults);
        if load.align < page {
            faults.add("PT_LOAD", format!("p_align of at least {page:#x}"), format!("{:#x}", load.align));
        }
        let both = |flags: u64, write: u64, run: u64| flags & write != 0 && flags & run != 0;
        let in_need = |section: &Section<'_>| {
            load.address <= section.address
                && section.end() <= load.end()
                && both(section.flags, elf::SHF_WRITE.0, elf::SHF_EXECINSTR.0)
        };
        if both(load.flags.into(), elf::PF_W.0.into(), elf::PF_X.0.into()) && !image.file.sections.iter().any(in_need) {
            let expected = "not writable and executable at once, as no section in it is";
            faults.add("PT_LOAD", expected, format!("{:#x}", load.address));
        }
    }
    for pair in loads.windows(2) {
        // Mapping works by pages: the later segment's first page replaces what the earlier one has there.
        let end = pair[0].end().checked_next_multiple_of(page).unwrap_or(u64::MAX);
        let start = pair[1].address & !(page - 1);
        if start < end {
            faults.add("PT_LOAD", "ascending addresses, no page shared", format!("{end:#x}, then {start:#x}"));
        }
    }
}

/// A segment ends where its last section ends; what a read-only one has beyond its bytes in the file, no kernel can zero.
fn covered(image: &Image<'_>, load: &Segment, faults: &mut Faults<'_>) {
    // Where pages may be greater than the machine's, up to the end of the last one.
    let page = image.page_size().max(load.align);
    if load.flags & elf::PF_W.0 == 0 && load.memory_size != load.file_size {
        faults.add(
            "read-only PT_LOAD",
            "p_memsz as p_filesz",
            format!("{:#x}, {:#x}", load.memory_size, load.file_size),
        );
    }
    let inside = |section: &&Section<'_>| {
        let zeros = section.is_tls() && section.is_nobits();
        section.is_allocated() && !zeros && section.size != 0 && load.contains(section.address)
    };
    let sections = image.file.sections.iter().filter(inside);
    let headers = if load.offset == 0 { header_table_end(image) } else { 0 };
    let end = sections
        .clone()
        .map(|section| section.end())
        .max()
        .unwrap_or(load.address)
        .max(load.address.saturating_add(headers));
    if load.end() != end && load.end() != end.checked_next_multiple_of(page).unwrap_or(end) {
        faults.add("PT_LOAD", format!("an end where its last section ends, {end:#x}"), format!("{:#x}", load.end()));
    }
    let filled = sections
        .filter(|section| !section.is_nobits())
        .map(|section| section.offset.saturating_add(section.size))
        .max();
    let filled = filled.unwrap_or_default().max(headers);
    let found = load.offset.saturating_add(load.file_size);
    if load.file_size != 0 && found != filled && Some(found) != filled.checked_next_multiple_of(page) {
        faults.add("PT_LOAD", format!("bytes of the file up to {filled:#x}"), format!("{found:#x}"));
    }
}

/// Where the program header table ends in the file.
fn header_table_end(image: &Image<'_>) -> u64 {
    let entry = if image.file.is_64 { 56 } else { 32 };
    let start = if image.file.is_64 { 64 } else { 52 };
    start + entry * image.file.segments.len() as u64
}

/// The smallest page of any system that runs these images, in bytes.
const COMMON_PAGE: u64 = 0x1000;

/// glibc protects from the page that holds the start to the page that holds the end, this one excluded.
fn relro(image: &Image<'_>, faults: &mut Faults<'_>) {
    let page = image.page_size();
    for (index, relro) in image.segments_of(elf::PT_GNU_RELRO).enumerate() {
        if index > 0 {
            faults.add("PT_GNU_RELRO", "one", "more than one: loaders protect only one");
        }
        let alone = image.segments_of(elf::PT_LOAD).any(|load| load.address == relro.address);
        if relro.address % page != 0 && !alone {
            let expected = format!("a multiple of {page:#x}, or its PT_LOAD's start");
            faults.add("PT_GNU_RELRO's start", expected, format!("{:#x}", relro.address));
        }
        // Where pages are greater, the loader rounds the end down.
        if relro.end() % COMMON_PAGE != 0 {
            faults.add("PT_GNU_RELRO's end", format!("a multiple of {COMMON_PAGE:#x}"), format!("{:#x}", relro.end()));
        }
        let start = relro.address & !(page - 1);
        let holder = image.segment_at(relro.address);
        if holder.is_none_or(|load| load.flags & elf::PF_W.0 == 0) {
            faults.add("PT_GNU_RELRO", "memory of a writable PT_LOAD", format!("{:#x}", relro.address));
        }
        if holder.is_some_and(|load| relro.end() > load.end().checked_next_multiple_of(page).unwrap_or(u64::MAX)) {
            faults.add("PT_GNU_RELRO", "an end inside its PT_LOAD", format!("{:#x}", relro.end()));
        }
        for section in image.file.sections.iter().filter(|section| section.is_allocated() && section.size != 0) {
            let covered = section.address < relro.end() & !(page - 1) && section.end() > start;
            if covered && !section.is_tls() && section.is_writable() && !is_relro(section) {
                faults.add("PT_GNU_RELRO", "only data that is constant after relocation", section.name.to_string());
            }
        }
    }
}

fn is_relro(section: &Section<'_>) -> bool {
    const NAMES: &[&str] = &[
        ".bss.rel.ro",
        ".ctors",
        ".data.rel.ro",
        ".dtors",
        ".dynamic",
        ".fini_array",
        ".got",
        ".got.plt",
        ".init_array",
    ];
    let more = [".jcr", ".ldata.rel.ro", ".preinit_array", ".relro_padding", ".toc", ".data.rel.ro.local"];
    NAMES.iter().chain(&more).any(|name| &section.name == *name)
}

fn special(image: &Image<'_>, faults: &mut Faults<'_>) {
    let section = |name: &str| image.file.section_named(name).map(|section| (section.address, section.size));
    let range = |segment: &Segment| (segment.address, segment.memory_size);
    if let Some(table) = image.segments_of(elf::PT_PHDR).next() {
        let start = if image.file.is_64 { 64 } else { 52 };
        let size = header_table_end(image) - start;
        faults.equal(
            "PT_PHDR",
            (start, start, size, size),
            (table.offset, table.address, table.file_size, table.memory_size),
        );
    }
    let dynamic = image.segments_of(elf::PT_DYNAMIC).next();
    faults.equal("PT_DYNAMIC and .dynamic", section(".dynamic"), dynamic.map(range));
    let stack = image.segments_of(elf::PT_GNU_STACK).next();
    match stack {
        Some(stack) if stack.flags & elf::PF_X.0 == 0 => {}
        Some(_) => faults.add("PT_GNU_STACK", "not executable", "executable"),
        None => faults.add("PT_GNU_STACK", "one: without it the stack becomes executable", "none"),
    }
    let frames = image.segments_of(elf::PT_GNU_EH_FRAME).next();
    faults.equal("PT_GNU_EH_FRAME and .eh_frame_hdr", section(".eh_frame_hdr"), frames.map(range));
    let threads: Vec<_> =
        image.file.sections.iter().filter(|section| section.is_tls() && section.is_allocated()).collect();
    match (image.tls(), threads.iter().map(|section| section.address).min()) {
        (None, None) => {}
        (Some(tls), Some(start)) => {
            let end = threads.iter().map(|section| section.end()).max().unwrap_or_default();
            let align = threads.iter().map(|section| section.align).max().unwrap_or_default();
            faults.equal("PT_TLS's start and end", (start, end), (tls.address, tls.end()));
            faults.equal("PT_TLS's alignment", align, tls.align);
            let filled = threads.iter().filter(|section| !section.is_nobits()).map(|section| section.end()).max();
            let filled = filled.map_or(0, |end| end.saturating_sub(start));
            faults.equal("PT_TLS's bytes in the file", filled, tls.file_size);
        }
        (tls, start) => faults.add("PT_TLS", format!("with thread-local sections at {start:x?}"), format!("{tls:x?}")),
    }
}

fn notes(image: &Image<'_>, faults: &mut Faults<'_>) {
    for section in
        image.file.sections.iter().filter(|section| section.kind == elf::SHT_NOTE.0 && section.is_allocated())
    {
        let covers = |note: &Segment| note.address <= section.address && section.end() <= note.end();
        if !image.segments_of(elf::PT_NOTE).any(covers) {
            faults.add(section.name.to_string(), "in a PT_NOTE", "in none");
        }
    }
    for note in image.segments_of(elf::PT_NOTE) {
        let Some(bytes) = image.read(note.address, note.file_size) else { continue };
        let mut cursor = image.file.cursor(bytes);
        let align = if note.align == 8 { 8 } else { 4 };
        while cursor.remaining() != 0 {
            let (name, size) = (cursor.u32(), cursor.u32());
            let whole = name.zip(size).and_then(|(name, size)| {
                cursor.u32()?;
                let body = (name as usize).next_multiple_of(4).next_multiple_of(if align == 8 { 4 } else { align });
                cursor.take(body)?;
                let padded = (size as usize).next_multiple_of(align).min(cursor.remaining().max(size as usize));
                cursor.take(padded)
            });
            if whole.is_none() {
                faults.add("PT_NOTE", "whole notes", "a note that is cut off");
                break;
            }
        }
    }
}
