//! From a plan with addresses to the image: symbol addresses, what the loader fills, tables, and where each byte of the
//! file comes from.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::borrow::Cow;

use super::fixups::{self, SegmentSites, Site};
use super::segments::Segment;
use super::symtab::File;
use super::{TABLES, Table, header, initialisers, is_chained, lazy, linkedit, opcodes, page_size, stubs, symtab};
use crate::apply::Stretch;
use crate::debug::{self, Fault, Trouble};
use crate::error::Result;
use crate::image::{Checksum, Extent, FilePlan, Image, Source};
use crate::layout::{Content, OutputSection};
use crate::link::{Link, over};
use crate::malfunction::{self, Malfunction};
use crate::model::{GlobalId, Section, SectionFlags as Flags, Traits};
use crate::reloc::{self, Action, RawReloc};
use crate::report::DebugFile;
use crate::scan::Piece;
use crate::slots::SymbolRef;
use crate::thunks;

/// The filler between pieces of x86-64 code: `int3`. Other CPUs' gaps are zero, which is no instruction there.
const TRAP_X86_64: &[u8] = &[0xcc];
/// Bytes of the identity.
const UUID: u64 = 16;

/// Makes the image.
///
/// # Errors
/// Pointers that the loader cannot fill where they are; tables beyond what the format can hold.
pub(crate) fn emit(mut link: Link<'_>) -> Result<Image<'_>> {
    link.addresses = crate::format::symbol_addresses(&link);
    let (sites, imports) = sites(&link)?;
    (link.macho.sites, link.macho.imports) = (sites, imports);
    check_reach(&link)?;
    // Personalities and language-specific data have addresses now.
    let starts = super::symtab::function_addresses(&link);
    link.macho.unwind_info = link.macho.unwind.info(&link, &starts);
    link.macho.lazy = lazy::program(&link);
    link.macho.made = tables(&link);
    let mut extents = thunks::write(&link)?;
    for output in &link.outputs {
        emit_section(&link, output, &mut extents);
    }
    let parts = linkedit::make(&mut link, &mut extents)?;
    let (headers, identity) = header::write(&link, &parts);
    extents.push(Extent { offset: 0, size: headers.len() as u64, source: Source::Owned(headers) });
    let hidden = parts.paths.iter().map(|part| (part.offset, part.size)).collect();
    let plan = FilePlan::new(parts.end, extents, Checksum::Castagnoli)
        .with_identity(identity.map(|offset| (offset, UUID)))
        .with_hidden(hidden)
        .with_signature(link.macho.signature.clone());
    report(&mut link, plan.size());
    let companion = match super::dsym::bundle(link.options) {
        Some(bundle) => {
            let plan = super::dsym::plan(&mut link)?;
            let name = bundle.dwarf.file_name().unwrap_or_default().to_string_lossy().into_owned();
            link.report.debug_file = Some(DebugFile { name, size: plan.size(), crc32: None });
            Some(plan)
        }
        None => None,
    };
    Ok(Image::new(link, plan, companion))
}

/// Says what the image is made of.
fn report(link: &mut Link<'_>, size: u64) {
    let needed = header::needed(link).map(|library| String::from_utf8_lossy(library.name).into_owned()).collect();
    let is_exported = |global| symtab::is_exported(link, global) || symtab::is_reexported(link, global);
    let exported = link.symbols.iter().filter(|(_, global)| is_exported(global));
    let exports = exported.map(|(_, global)| global.name.to_vec()).collect();
    link.report.size = size;
    (link.report.needed, link.report.exports) = (needed, exports);
    let counts = &mut link.report.counts;
    counts.objects = link.objects.len() as u64;
    counts.sections = link.objects.iter().map(|object| object.sections.len() as u64).sum();
    counts.symbols = link.objects.iter().map(|object| object.symbols.len() as u64).sum();
    counts.dynamic_relocations = link.macho.sites.len() as u64;
    counts.got_entries = link.slots.got_words.into();
}

/// A pointer that the loader fills: its address, and the symbol and addend if it is another image's.
type Pointer = (u64, Option<(GlobalId, i64)>);
/// What the loader fills, by segment, and the symbols that it looks up for that, each with an addend.
type Sites = (Vec<SegmentSites>, Vec<(GlobalId, i64)>);

/// What the loader fills, by segment, and what it looks up for that.
fn sites(link: &Link<'_>) -> Result<Sites> {
    let found = link.workers.map(&link.macho.found.pieces, |piece| pointers(link, piece));
    let mut pointers = Vec::new();
    let mut problems = Vec::new();
    for (some, troubles) in found {
        pointers.extend(some);
        problems.extend(troubles);
    }
    debug::check(link, problems)?;
    for (address, symbol) in stubs::got_slots(link) {
        let traits = match symbol {
            SymbolRef::Global(id) => link.symbols.get(id).traits,
            SymbolRef::Local(object, index) => {
                let symbol = link.object(object).symbols.get(index as usize);
                symbol.map(|symbol| symbol.traits).unwrap_or_default()
            }
        };
        match symbol {
            SymbolRef::Global(id) if traits.any(Traits::PREEMPTIBLE.and(Traits::COALESCED)) => {
                pointers.push((address, Some((id, 0))));
            }
            _ if traits.has(Traits::ABSOLUTE) => {}
            _ => pointers.push((address, None)),
        }
    }
    pointers.extend(lazy::pointers(link).map(|(address, _)| (address, None)));
    pointers.sort_unstable_by_key(|(address, _)| *address);
    // An addend that fits in the pointer is no matter of the import.
    let chained = is_chained(link);
    let of_import = |(id, addend): (GlobalId, i64)| match addend {
        0..=fixups::INLINE_ADDEND if chained => (id, 0),
        _ => (id, addend),
    };
    let mut imports: Vec<(GlobalId, i64)> = pointers.iter().filter_map(|(_, symbol)| symbol.map(of_import)).collect();
    imports.sort_unstable();
    imports.dedup();
    over("Mach-O imports", "the number of symbols from other images", imports.len() as u64, 1 << 24)?;
    let mut segments: Vec<SegmentSites> = link
        .macho
        .segments
        .iter()
        .map(|segment| SegmentSites { address: segment.address, sites: Vec::new() })
        .collect();
    for (address, symbol) in pointers {
        let number = match symbol.map(of_import) {
            Some(import) => imports.binary_search(&import).ok().and_then(|at| u32::try_from(at).ok()),
            None => Some(Site::REBASE),
        };
        let Some((at, segment)) = segment_at(link, address) else { continue };
        let offset = u32::try_from(address.saturating_sub(segment.address)).ok();
        if let (Some(import), Some(offset), Some(segment)) = (number, offset, segments.get_mut(at)) {
            segment.sites.push(Site { offset, import });
        }
    }
    Ok((segments, imports))
}

/// What the loader stores where a relocation of a piece is, if it is the loader who does: an address of the image (`None`), or
/// that of a symbol and what is added.
pub(super) fn filled(
    link: &Link<'_>,
    piece: &Piece,
    section: &Section<'_>,
    raw: &RawReloc,
) -> Option<Option<(GlobalId, i64)>> {
    let reloc = reloc::understand(link.target, *raw)?;
    let symbol = link.object(piece.object).symbols.get(raw.symbol as usize)?;
    match (reloc::classify(link.target, section, &reloc, symbol.traits), symbol.global.get()) {
        (Ok(Action::Relative), _) => Some(None),
        (Ok(Action::Symbolic), Some(global)) => Some(Some((global, raw.addend))),
        _ => None,
    }
}

/// The pointers of a piece.
fn pointers(link: &Link<'_>, piece: &Piece) -> (Vec<Pointer>, Vec<Trouble>) {
    let mut pointers = Vec::new();
    let mut problems = Vec::new();
    let page = page_size(link.target.arch);
    let chained = is_chained(link);
    let section = link.section(piece.object, piece.section);
    for raw in reloc::decode(section, piece.range.0 as usize..piece.range.1 as usize) {
        let Some(target) = filled(link, piece, section, &raw) else { continue };
        let Some(address) = link.address_in(piece.object, piece.section, raw.offset) else { continue };
        // Segments start at pages.
        match fixups::obstacle(address, page).filter(|_| chained) {
            Some(fault) => {
                let fault = Fault::Because(fault);
                problems.push(Trouble { object: piece.object, section: piece.section, raw, fault });
            }
            None => pointers.push((address, target)),
        }
    }
    (pointers, problems)
}

/// Checks that chains, or programs, can reach all that the loader fills.
fn check_reach(link: &Link<'_>) -> Result<()> {
    if !is_chained(link) {
        let all = link.macho.segments.iter().zip(&link.macho.sites).zip(1_u64..);
        if let Some(((segment, _), number)) = all.filter(|((_, sites), _)| !sites.sites.is_empty()).last() {
            let name = String::from_utf8_lossy(super::parse::trimmed(&segment.name));
            let what = format!(
                "the number of segments up to {name}, the last one with pointers (-fixup_chains has no such limit),"
            );
            over("bind programs", &what, number, opcodes::SEGMENTS)?;
        }
        return Ok(());
    }
    let page = page_size(link.target.arch);
    for (segment, sites) in link.macho.segments.iter().zip(&link.macho.sites) {
        let name = String::from_utf8_lossy(super::parse::trimmed(&segment.name));
        let what = format!("the number of pages of {name} with pointers (-no_fixup_chains has no such limit), which");
        over("chained fixups", &what, sites.pages(page), fixups::PAGES_LIMIT)?;
    }
    Ok(())
}

/// The segment that holds an address, and its number.
pub(super) fn segment_at<'l>(link: &'l Link<'_>, address: u64) -> Option<(usize, &'l Segment)> {
    let inside = |segment: &Segment| (segment.address..segment.address.saturating_add(segment.size)).contains(&address);
    link.macho.segments.iter().enumerate().find(|(_, segment)| inside(segment))
}

/// What the loader fills at an address: the list it is in, itself, and its index in the list.
pub(super) fn site<'l>(link: &'l Link<'_>, address: u64) -> Option<(&'l SegmentSites, Site, usize)> {
    let (number, segment) = segment_at(link, address)?;
    let sites = link.macho.sites.get(number)?;
    let index = sites.find(address.saturating_sub(segment.address))?;
    Some((sites, *sites.sites.get(index)?, index))
}

/// What the file holds where the loader fills a pointer, at `place`: to `target`, if that is in the image; `addend` is part
/// of it in any case.
///
/// # Errors
/// A target that has more bits than there are for it.
pub(crate) fn loader_word(link: &Link<'_>, place: u64, target: u64, addend: i64) -> Result<u64, Fault> {
    let Some((sites, site, index)) = site(link, place) else {
        return Err(Fault::Because("the loader does not know of the pointer"));
    };
    if !is_chained(link) {
        // The image's own definition of what the loader looks up stands there until it has.
        let import = link.macho.imports.get(site.import as usize);
        let here = import.is_none_or(|(id, _)| link.symbols.get(*id).is_defined_here());
        return Ok(if here { target } else { 0 });
    }
    let next = sites.next(index, page_size(link.target.arch));
    match link.macho.imports.get(site.import as usize) {
        None => fixups::rebase(target, next)
            .ok_or(Fault::Because("the pointer leads out of the 64 GiB from the image's start that chained fixups have bits for; link with -no_fixup_chains")),
        Some((_, own)) => {
            let inline = if *own == 0 { u8::try_from(addend).unwrap_or(0) } else { 0 };
            let swapped = u32::from(malfunction::on(Malfunction::BindsSwapped));
            Ok(fixups::bind(site.import ^ swapped, inline, next))
        }
    }
}

/// The contents of the tables.
fn tables(link: &Link<'_>) -> Vec<(Table, Vec<u8>)> {
    let made = TABLES.into_iter().filter(|table| super::table_output(link, *table).is_some()).map(|table| {
        let bytes = match table {
            Table::Stubs => stubs::stubs(link),
            Table::StubHelper => lazy::helper(link),
            Table::InitOffsets => initialisers::table(link),
            Table::Got => stubs::got(link),
            Table::LazyPointers => lazy::pointer_table(link),
            Table::Private => Vec::new(),
            Table::UnwindInfo => link.macho.unwind_info.bytes(&link.macho.unwind.personality_slots(link)),
        };
        (table, bytes)
    });
    made.collect()
}

fn emit_section<'a>(link: &Link<'a>, output: &OutputSection<'a>, extents: &mut Vec<Extent>) {
    if output.flags.has(Flags::ZERO) {
        return;
    }
    match &output.content {
        Content::Commons(_) => {}
        Content::Table(number) => {
            extents.push(Extent { offset: output.offset, size: output.size, source: Source::Table(*number, 0) });
        }
        Content::Inputs(inputs) => {
            let fill = output.flags.has(Flags::EXEC) && link.target.arch == crate::options::Arch::X86_64;
            let mut end = output.offset;
            for (object, index) in inputs {
                let section = link.section(*object, *index);
                let offset = output.offset.saturating_add(section.offset);
                if fill && offset > end {
                    let size = offset.saturating_sub(end);
                    extents.push(Extent { offset: end, size, source: Source::Fill(TRAP_X86_64, 0) });
                }
                let address = output.address.wrapping_add(section.offset);
                let stretch = Stretch { object: *object, section: *index, start: 0, address };
                let size = section.data.len() as u64;
                extents.push(Extent { offset, size, source: Source::Section(stretch) });
                end = offset.saturating_add(section.size);
            }
        }
    }
}

/// Makes the bytes of a part of a table from its offset `at` on in `out`.
pub(crate) fn fill_table(link: &Link<'_>, table: u16, part: u32, at: u64, out: &mut [u8]) {
    let bytes = match table {
        _ if table == File::Image.table() => Cow::Owned(link.macho.symbols.make(link, part)),
        _ if table == File::Dsym.table() => Cow::Owned(link.macho.dwarf.symbols.make(link, part)),
        _ => {
            let made = link.macho.made.iter().find(|(of, _)| *of as u16 == table);
            Cow::Borrowed(made.map(|(_, bytes)| bytes.as_slice()).unwrap_or_default())
        }
    };
    crate::image::copy(&bytes, at, out);
}
