//! Which sections a Mach-O image has, in which order, and what goes into each.
//!
//! The order is LLD's, with the heap image in a segment of its own behind the others. A section's *rank* is its segment's
//! place times [`SEGMENT`], plus its own.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::borrow::Cow;

use indexmap::{IndexMap, IndexSet};
use object::macho;

use super::{TABLES, Table, emit, fixups, relocs, stubs};
use crate::error::Result;
use crate::layout::{Content, OutputSection, place_inputs};
use crate::link::{Link, over};
use crate::model::SectionFlags as Flags;
use crate::options::Options;
use crate::reloc::{self, RawReloc};
use crate::scan::{Piece, Scan};
use crate::symbols::CommonBlock;

/// What ranks of one segment and the next differ by.
pub(super) const SEGMENT: u32 = 1 << 16;
/// Places of segments.
const TEXT: u32 = 0;
const DATA_CONST: u32 = 1;
const DATA: u32 = 2;
const CUSTOM: u32 = 3;
const HEAP_IMAGE: u32 = 0x4000;
/// Where sections stand that have no place of their own, and those that come last.
const MIDDLE: u32 = 16;
const LAST: u32 = SEGMENT - 16;
/// The template of thread-local storage is in one piece: what the file has of it comes last before the zeros, and what is zero
/// in it first among these.
const TLS_DATA: u32 = LAST - 1;
const TLS_ZERO: u32 = LAST;
const ZERO: u32 = LAST + 1;

/// The segment of the heap image.
pub(super) const HEAP_SEGMENT: &[u8] = b"__HEAP_IMAGE";

/// `S_ATTR_EXT_RELOC | S_ATTR_LOC_RELOC`: attributes of objects only.
const OBJECT_ATTRIBUTES: u32 = 0x300;
/// `S_ATTR_PURE_INSTRUCTIONS | S_ATTR_SOME_INSTRUCTIONS`
pub(super) const CODE: u32 = 0x8000_0400;

/// Sections of `__DATA` that the loader fills and nobody writes to afterwards. Apple's linker and LLD move these to
/// `__DATA_CONST`.
const CONSTANT: [&[u8]; 10] = [
    b"__auth_ptr",
    b"__cfstring",
    b"__const",
    b"__mod_init_func",
    b"__mod_term_func",
    b"__objc_catlist",
    b"__objc_classlist",
    b"__objc_imageinfo",
    b"__objc_nlclslist",
    b"__objc_protolist",
];

/// Whether a section of an object is written by the loader only.
pub(super) fn is_constant(segment: &[u8], section: &[u8]) -> bool {
    segment == b"__DATA_CONST" || (segment == b"__DATA" && CONSTANT.contains(&section))
}

/// Whether what the loader alone writes has a segment of its own: LLD's rule.
fn has_constant_segment(link: &Link<'_>) -> bool {
    /// The first version of macOS for which it has.
    const SINCE: u32 = 10 << 16 | 15 << 8;
    link.options.macho.data_const.unwrap_or_else(|| super::platform(link).minimum >= SINCE)
}

/// Decides the sections of the image.
///
/// # Errors
/// More sections than the symbol table can name.
pub(crate) fn plan(link: &mut Link<'_>, found: Scan) -> Result<()> {
    link.macho.found = found;
    let commons = link.symbols.allot_commons()?;
    collect(link);
    // Objects of this format have one kind.
    if let Some(CommonBlock { kind, size, align }) = commons.first().copied() {
        let taken = link.outputs.iter().any(|output| *output.name == *b"__common");
        let name: &[u8] = if taken { b"__commons" } else { b"__common" };
        let flags = Flags::ALLOC.and(Flags::WRITE).and(Flags::ZERO);
        let rank = DATA.saturating_mul(SEGMENT).saturating_add(ZERO);
        link.outputs.push(OutputSection {
            size,
            ..section(name, macho::S_ZEROFILL.0.into(), flags, rank, align, Content::Commons(kind))
        });
    }
    add_tables(link);
    let mut outputs = std::mem::take(&mut link.outputs);
    for output in &mut outputs {
        place_inputs(&mut link.objects, output, &mut [], |_, _| None)?;
    }
    for output in &mut outputs {
        let segment = segment_name(link, output.rank);
        let named = |(of, name, _): &&(String, String, u64)| {
            of.as_bytes() == super::parse::trimmed(&segment) && name.as_bytes() == &*output.name
        };
        let asked = link.options.macho.alignments.iter().filter(named).map(|(.., align)| *align);
        output.align = asked.fold(output.align, u64::max);
    }
    outputs.sort_by_key(|output| output.rank);
    align_template(&mut outputs);
    link.outputs = outputs;
    over("Mach-O sections", "the number of sections of the image", link.outputs.len() as u64, 255)?;
    number(link);
    choose_fixups(link);
    Ok(())
}

/// Has programs tell the loader what to fill if chains cannot, since more pages than they can start in have pointers, or since
/// pointers are where no chain leads; unless chains were asked for, which is an error then.
fn choose_fixups(link: &mut Link<'_>) {
    if link.options.macho.chained_fixups.is_some() || !super::is_chained(link) {
        return;
    }
    let limit = fixups::PAGES_LIMIT.saturating_mul(super::page_size(link.target.arch));
    // Where each section starts in its segment, which will start at a page.
    let mut starts = Vec::with_capacity(link.outputs.len());
    let (mut place, mut segment) = (0_u64, None);
    for output in &link.outputs {
        if segment.replace(output.rank / SEGMENT) != Some(output.rank / SEGMENT) {
            place = 0;
        }
        place = place.checked_next_multiple_of(output.align).unwrap_or(u64::MAX);
        starts.push(place);
        place = place.saturating_add(output.size);
    }
    let unreached = link.workers.map(&link.macho.found.pieces, |piece| {
        let section = link.section(piece.object, piece.section);
        let start = starts.get(section.output as usize).copied().unwrap_or(u64::MAX).saturating_add(section.offset);
        // Entries descend.
        let last = reloc::decode(section, 0..section.relocs.len()).next().map_or(0, |raw| raw.offset);
        start.saturating_add(last).saturating_add(8) > limit || has_unreached(link, piece, start)
    });
    link.macho.programs_instead = unreached.contains(&true);
}

/// Whether no chain leads to some pointer of a piece, whose section starts at an offset from a page.
fn has_unreached(link: &Link<'_>, piece: &Piece, start: u64) -> bool {
    let section = link.section(piece.object, piece.section);
    let range = piece.range.0 as usize..piece.range.1 as usize;
    // Hardly any section has something that is not at a multiple of 8.
    let aligned = start.is_multiple_of(8) && relocs::are_at_multiples_of_8(&section.relocs.bytes, range.clone());
    let page = super::page_size(link.target.arch);
    let unreached = |raw: RawReloc| {
        let place = start.wrapping_add(raw.offset);
        fixups::obstacle(place, page).is_some() && emit::filled(link, piece, section, &raw).is_some()
    };
    !aligned && reloc::decode(section, range).any(unreached)
}

/// Has the template of thread-local storage begin as the strictest of its parts is aligned: then what is so in the image is so
/// in each thread's copy.
fn align_template(outputs: &mut [OutputSection<'_>]) {
    let parts = || outputs.iter().filter(|output| output.flags.has(Flags::TLS));
    let strictest = parts().map(|output| output.align).max().unwrap_or(1);
    if let Some(first) = outputs.iter_mut().find(|output| output.flags.has(Flags::TLS)) {
        first.align = strictest;
    }
}

fn section(
    name: &'static [u8],
    kind: u32,
    flags: Flags,
    rank: u32,
    align: u64,
    content: Content,
) -> OutputSection<'static> {
    let name = Cow::Borrowed(name);
    OutputSection { name, kind, flags, align, entry_size: 0, content, rank, size: 0, address: 0, offset: 0 }
}

/// The place of a segment among the segments; others than the known ones follow in the order they are met.
fn segment_place<'a>(segment: &'a [u8], others: &mut IndexSet<&'a [u8]>) -> u32 {
    match segment {
        b"__TEXT" => TEXT,
        b"__DATA_CONST" => DATA_CONST,
        b"__DATA" => DATA,
        _ => {
            let (number, _) = others.insert_full(segment);
            CUSTOM.saturating_add(u32::try_from(number).unwrap_or(u32::MAX).min(HEAP_IMAGE / 2))
        }
    }
}

/// The place of a section in its segment; `number` is that of its first appearance.
fn section_place(segment: u32, name: &[u8], flags: Flags, number: u32) -> u32 {
    match (segment, name) {
        _ if flags.has(Flags::TLS.and(Flags::ZERO)) => TLS_ZERO,
        _ if flags.has(Flags::TLS) => TLS_DATA,
        _ if flags.has(Flags::ZERO) => ZERO,
        (TEXT, b"__text") => 0,
        (TEXT, b"__eh_frame") => LAST.saturating_add(1),
        (DATA_CONST, b"__const") => 1,
        _ => MIDDLE.saturating_add(number.min(LAST / 2)),
    }
}

/// The segment and the name that a section of an object has in the image: those that are asked for, `__DATA_CONST` if only the
/// loader writes to it, that of all code if it is what initialises static variables (as Apple's linker and LLD have it), or
/// its own.
pub(super) fn names<'s, 'a: 's>(link: &Link<'a>, segment: &'s [u8], section: &'a [u8]) -> (&'s [u8], &'a [u8]) {
    let is = |[of, name]: &[String; 2]| of.as_bytes() == segment && name.as_bytes() == section;
    let constant = || is_constant(segment, section) || (segment == b"__DATA" && section == b"__got");
    let (segment, section) = match link.options.macho.renamed_sections.iter().rev().find(|[from, _]| is(from)) {
        Some([_, [segment, section]]) => (segment.as_bytes(), section.as_bytes()),
        None if constant() && has_constant_segment(link) => (&b"__DATA_CONST"[..], section),
        None if segment == b"__TEXT" && section == b"__StaticInit" => (segment, &b"__text"[..]),
        None => (segment, section),
    };
    (renamed_segment(link.options, segment), section)
}

/// The name that a segment of an object has in the image.
pub(super) fn renamed_segment<'s>(options: &'s Options, segment: &'s [u8]) -> &'s [u8] {
    let renamed = options.macho.renamed_segments.iter().rev().find(|[from, _]| from.as_bytes() == segment);
    renamed.map_or(segment, |[_, to]| to.as_bytes())
}

/// Sorts the input sections into output sections.
fn collect(link: &mut Link<'_>) {
    let mut outputs: IndexMap<(u32, &[u8], Flags), OutputSection<'_>, foldhash::quality::RandomState> =
        IndexMap::default();
    let mut others = IndexSet::new();
    for (id, object) in link.objects() {
        let Some(info) = object.info.macho() else { continue };
        for (section, index) in object.sections.iter().zip(0_u32..) {
            if !section.is_live() || !section.flags.has(Flags::ALLOC) {
                continue;
            }
            let Some(own) = info.segments.get((index as usize).saturating_sub(1)).map(super::parse::trimmed) else {
                continue;
            };
            let (segment, name) = names(link, own, section.name);
            let segment = match link.heap_image == Some((id, index)) {
                true => HEAP_IMAGE,
                false => segment_place(segment, &mut others),
            };
            let zero = section.flags.has(Flags::ZERO);
            let number = u32::try_from(outputs.len()).unwrap_or(u32::MAX);
            let kept_apart = section.flags.common(Flags::ZERO.and(Flags::TLS));
            let output = outputs.entry((segment, name, kept_apart)).or_insert_with(|| OutputSection {
                name: Cow::Borrowed(name),
                kind: section.kind & !OBJECT_ATTRIBUTES,
                flags: section.flags,
                align: 1,
                entry_size: 0,
                content: Content::Inputs(Vec::new()),
                rank: segment.saturating_mul(SEGMENT).saturating_add(section_place(
                    segment,
                    name,
                    section.flags,
                    number,
                )),
                size: 0,
                address: 0,
                offset: 0,
            });
            output.kind |= section.kind & CODE;
            output.flags = output.flags.when(section.flags.has(Flags::EXEC), Flags::EXEC);
            if output.kind & macho::SECTION_TYPE != section.kind & macho::SECTION_TYPE && !zero {
                // Of several types there is none in particular.
                output.kind &= !macho::SECTION_TYPE;
            }
            if let Content::Inputs(inputs) = &mut output.content {
                inputs.push((id, index));
            }
        }
    }
    let outputs: Vec<OutputSection<'_>> = outputs.into_values().collect();
    let others: Vec<[u8; 16]> = others.iter().map(|name| padded(name)).collect();
    link.outputs = outputs;
    link.macho.other_segments = others;
}

/// A name in a field of 16 bytes.
pub(super) fn padded(name: &[u8]) -> [u8; 16] {
    let mut field = [0; 16];
    field.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    field
}

/// The name of the segment that sections of a rank are in.
pub(super) fn segment_name(link: &Link<'_>, rank: u32) -> [u8; 16] {
    match rank / SEGMENT {
        TEXT => padded(b"__TEXT"),
        DATA_CONST => padded(b"__DATA_CONST"),
        DATA => padded(b"__DATA"),
        HEAP_IMAGE => padded(HEAP_SEGMENT),
        other => {
            let name = link.macho.other_segments.get(other.saturating_sub(CUSTOM) as usize);
            name.copied().unwrap_or_default()
        }
    }
}

/// Adds the sections that the linker makes, where the image needs them.
fn add_tables(link: &mut Link<'_>) {
    let (read, code) = (Flags::ALLOC, Flags::ALLOC.and(Flags::EXEC));
    let write = Flags::ALLOC.and(Flags::WRITE);
    let rank = |segment: u32, place: u32| segment.saturating_mul(SEGMENT).saturating_add(place);
    for table in TABLES {
        let size = stubs::size(link, table);
        let wanted = if table == Table::UnwindInfo { !link.macho.unwind.is_empty() } else { size > 0 };
        if !wanted {
            continue;
        }
        let (name, kind, flags, rank, align): (&'static [u8], _, _, _, _) = match table {
            Table::Stubs => (b"__stubs", CODE | u32::from(macho::S_SYMBOL_STUBS.0), code, rank(TEXT, 1), 4),
            Table::StubHelper => (b"__stub_helper", CODE, code, rank(TEXT, 2), 4),
            Table::InitOffsets => (b"__init_offsets", macho::S_INIT_FUNC_OFFSETS.0.into(), read, rank(TEXT, 3), 4),
            Table::LazyPointers => {
                (b"__la_symbol_ptr", macho::S_LAZY_SYMBOL_POINTERS.0.into(), write, rank(DATA, 1), 8)
            }
            Table::Private => (b"__dyld_private", 0, write, rank(DATA, 2), 8),
            Table::Got => {
                let segment = if has_constant_segment(link) { DATA_CONST } else { DATA };
                let flags = write.when(segment == DATA_CONST, Flags::RELRO);
                (b"__got", macho::S_NON_LAZY_SYMBOL_POINTERS.0.into(), flags, rank(segment, 0), 8)
            }
            Table::UnwindInfo => (b"__unwind_info", 0, read, rank(TEXT, LAST), 4),
        };
        link.outputs.push(OutputSection { size, ..section(name, kind, flags, rank, align, table.content()) });
    }
}

/// Tells input sections and tables the numbers of their output sections.
fn number(link: &mut Link<'_>) {
    for (output, number) in link.outputs.iter().zip(0_u32..) {
        match &output.content {
            Content::Inputs(inputs) => {
                for (object, section) in inputs {
                    let object = link.objects.get_mut(object.index());
                    if let Some(section) = object.and_then(|object| object.sections.get_mut(*section as usize)) {
                        section.output = number;
                    }
                }
            }
            Content::Commons(_) => link.macho.commons = Some(number),
            Content::Table(table) => {
                if let Some(place) = link.macho.tables.get_mut(*table as usize) {
                    *place = Some(number);
                }
            }
        }
    }
}
