//! The plan of the file: which bytes come from where.

use std::borrow::Cow;
use std::collections::BTreeMap;

use object::elf;

use super::class::Writer;
use super::companion::{self, CHECKSUM_SIZE};
use super::parse::SHF_X86_64_LARGE;
use super::plan::{NOT_LOADED, build_id_size, is_moved};
use super::segments::Segment;
use super::{Table, collect, frames, got, machine, ppc64, rela, table_output};
use crate::addresses;
use crate::arch::Bits;
use crate::error::Result;
use crate::image::{Checksum, Extent, FilePlan, Image, Source, copy};
use crate::layout::{Content, OutputSection};
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::memory;
use crate::model::{Object, ObjectId, Section, SectionFlags as Flags, SectionIndex, Traits};
use crate::options::{Arch, BuildId, Os, number};
use crate::report::DebugFile;
use crate::slots::SymbolRef;
use crate::thunks;
use crate::unwind::eh_frame_hdr;
use crate::unwind::join::Joined;

/// The build id's offset in its note: behind the header and the name.
const BUILD_ID_START: u64 = 16;

/// Fixes the addresses of all symbols, makes the small tables, and says where each byte of the file comes from.
///
/// # Errors
/// If `.eh_frame` is out of reach of its table, or a call stub of its slot, or debug sections cannot be compressed.
pub(crate) fn emit(mut link: Link<'_>) -> Result<Image<'_>> {
    link.addresses = symbol_addresses(&link);
    if link.target.arch == Arch::Ppc64 {
        ppc64::check_reach(&link)?;
    }
    super::compressed::pack(&mut link)?;
    link.elf.frame_table = frames::table(&link)?;
    // The entries are gathered in lists, one for each section, and joined.
    let entries = 2 * size_of::<eh_frame_hdr::Entry>() as u64 * link.elf.frames.count;
    link.report.memory_peak = link.report.memory_peak.max(memory::held(&link) + entries);
    link.elf.made = super::TABLES.into_iter().filter_map(|table| Some((table, small_table(&link, table)?))).collect();
    let unwind_index = super::arm::exidx::bytes(&link)?;
    link.elf.made.push((Table::Exidx, unwind_index));

    let mut packed = std::mem::take(&mut link.elf.packed);
    let identity = identity(&link);
    let placed = (0..link.outputs.len()).filter(|number| !is_moved(link.options, link.outputs[*number].rank));
    let placed: Vec<Placed> = placed
        .map(|number| Placed { number, kind: link.outputs[number].kind, offset: link.outputs[number].offset })
        .collect();
    let thunks = thunks::write(&link)?;
    let place = FilePlace { segments: &link.elf.segments, sections: &placed, headers: link.elf.section_headers };
    let checksum = table_output(&link, Table::DebugLink).map(|output| output.offset + output.size - CHECKSUM_SIZE);
    let plan = file_plan(&link, &place, &mut packed, thunks, Checksum::Castagnoli)
        .with_identity(identity)
        .with_companion_checksum(checksum);
    let companion = match companion::place(&link)? {
        Some(companion::Place { segments, sections, headers }) => {
            let place = FilePlace { segments: &segments, sections: &sections, headers };
            Some(file_plan(&link, &place, &mut packed, Vec::new(), Checksum::Ieee).with_identity(identity))
        }
        None => None,
    };
    link.report.debug_file = companion::name(link.options).zip(companion.as_ref()).map(|(name, plan)| DebugFile {
        name: String::from_utf8_lossy(name).into_owned(),
        size: plan.size(),
        crc32: None,
    });
    Ok(Image::new(link, plan, companion))
}

/// An output section in one of the files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    /// Its number among all of the link.
    pub(crate) number: usize,
    /// `sh_type`; [`elf::SHT_NOBITS`] where its contents are not in the file.
    pub(crate) kind: u32,
    /// `sh_offset`.
    pub(crate) offset: u64,
}

/// What the headers of a file say.
struct FilePlace<'l> {
    segments: &'l [Segment],
    sections: &'l [Placed],
    /// File offset of the section headers, which come last.
    headers: u64,
}

/// Where each byte of a file comes from. The contents of packed sections are taken out of `packed`; `thunks` stand where the
/// contents of sections leave room for them.
fn file_plan(
    link: &Link<'_>,
    place: &FilePlace<'_>,
    packed: &mut BTreeMap<usize, Vec<u8>>,
    thunks: Vec<Extent>,
    checksum: Checksum,
) -> FilePlan {
    let mut extents = thunks;
    let own = |offset: u64, bytes: Vec<u8>| Extent { offset, size: bytes.len() as u64, source: Source::Owned(bytes) };
    extents.push(own(0, headers(link, place)));
    for section in place.sections.iter().filter(|section| section.kind != elf::SHT_NOBITS.0) {
        match packed.remove(&section.number) {
            Some(bytes) => extents.push(own(section.offset, bytes)),
            None => emit_section(link, section.number, section.offset, &mut extents),
        }
    }
    let section_headers = section_headers(link, place.sections);
    let size = place.headers + section_headers.len() as u64;
    extents.push(own(place.headers, section_headers));
    FilePlan::new(size, extents, checksum)
}

/// File offset and size of the identity's bytes, if they are to be computed.
fn identity(link: &Link<'_>) -> Option<(u64, u64)> {
    if let BuildId::None | BuildId::Given(_) = link.options.elf.build_id {
        return None;
    }
    let output = table_output(link, Table::BuildId)?;
    Some((output.offset + BUILD_ID_START, build_id_size(&link.options.elf.build_id) - BUILD_ID_START))
}

/// The addresses of every object's symbols, with the addresses of sections as they are.
pub(crate) fn symbol_addresses(link: &Link<'_>) -> Vec<Vec<u64>> {
    let word = machine(link).bits.word();
    // Symbols of `.eh_frame` move with the records, those of `.ctors` with the words; there are few.
    let moves = |object: &Object<'_>, section: &Section<'_>| {
        section.flags.has(Flags::EH_FRAME) || super::constructors(word, object, section).is_some()
    };
    addresses::of_symbols(link, moves, |id, index, symbol| {
        symbol.traits.has(Traits::PLT_ADDRESS).then(|| {
            let local = SymbolRef::Local(id, index);
            got::entry_address(link, symbol.global.get().map_or(local, SymbolRef::Global))
        })
    })
}

/// The bytes of a table that is small enough to be held; the others are made when they are written.
fn small_table(link: &Link<'_>, table: Table) -> Option<Vec<u8>> {
    table_output(link, table)?;
    Some(match table {
        Table::Symtab | Table::Strtab | Table::RelaDyn | Table::EhFrameHdr => return None,
        Table::Property => link.elf.properties.clone(),
        Table::BuildId => build_id(&link.options.elf.build_id),
        Table::RelrDyn => {
            let words = &link.elf.relocations.relr;
            let lost = usize::from(malfunction::on(Malfunction::RelrWordLost));
            got::encode_words(link, words.iter().copied().take(words.len().saturating_sub(lost)))
        }
        Table::Shstrtab => link.elf.section_names.0.clone(),
        Table::ProvidedCode => ppc64::provided_code(link),
        Table::DebugLink => companion::debug_link(link.options)?,
        Table::Attributes => link.elf.attributes.clone(),
        // Made before, since it may fail.
        Table::Exidx => return None,
        Table::Got | Table::GotPlt | Table::Plt | Table::PltGot | Table::PltSec | Table::RelaPlt => {
            got::bytes(link, table)
        }
        _ => link.elf.dynamic.bytes(link, table),
    })
}

/// `.note.gnu.build-id`, with zeros for what is to be computed.
fn build_id(id: &BuildId) -> Vec<u8> {
    let size = build_id_size(id) - BUILD_ID_START;
    let given = if let BuildId::Given(bytes) = id { bytes.clone() } else { vec![0; size as usize] };
    let mut note = Vec::new();
    for word in [4, given.len() as u32, elf::NT_GNU_BUILD_ID.0] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"GNU\0");
    note.extend(given);
    note.resize(build_id_size(id) as usize, 0);
    note
}

fn emit_section(link: &Link<'_>, number: usize, offset: u64, extents: &mut Vec<Extent>) {
    let output = &link.outputs[number];
    if output.flags.has(Flags::ZERO) {
        return;
    }
    let machine = machine(link);
    // The pieces of `.init` and `.fini` are one function each: what runs on from one to the next must reach it.
    let fill = if matches!(&*output.name, b".init" | b".fini") { machine.nop } else { machine.trap };
    let code = output.flags.has(Flags::EXEC);
    match &output.content {
        Content::Commons(_) => {}
        Content::Table(number) => {
            if let Some(table) = Table::from_number(*number) {
                emit_table(link, output.size, offset, table, extents);
            }
        }
        Content::Inputs(inputs) => {
            let mut end = offset;
            let gap = |end: u64, start: u64, extents: &mut Vec<Extent>| {
                if code && start > end {
                    extents.push(Extent { offset: end, size: start - end, source: Source::Fill(fill, end) });
                }
            };
            let mut islands = link.thunks.of_output(number as u32).iter().peekable();
            for (at, (object, index)) in inputs.iter().enumerate() {
                while let Some(island) = islands.next_if(|island| island.before <= at) {
                    gap(end, offset + island.offset, extents);
                    end = offset + island.offset + island.size;
                }
                let section = link.section(*object, *index);
                let start = offset + section.offset;
                gap(end, start, extents);
                let piece = |at: u64, from: u64, size: u64| Extent {
                    offset: start + at,
                    size,
                    source: Source::Section(crate::apply::Stretch {
                        object: *object,
                        section: *index,
                        start: from,
                        address: output.address.wrapping_add(section.offset).wrapping_add(at),
                    }),
                };
                let reversed = link.elf.reversed.contains_key(&(*object, *index));
                match link.elf.frames.sections.get(&(*object, *index)) {
                    _ if reversed => {
                        let size = machine.bits.word();
                        let words = section.data.len() as u64 / size;
                        let at = |word: u64| piece(size * word, size * (words - 1 - word), size);
                        extents.extend((0..words).map(at));
                        end = start + section.size;
                    }
                    Some(joined) => {
                        let pieces = joined.pieces.iter();
                        extents.extend(pieces.map(|part| {
                            piece(part.output_offset, part.input.start, part.input.end - part.input.start)
                        }));
                        end = start + joined.size;
                    }
                    None => {
                        let mut from = 0;
                        for moved in thunks::moved_from(link, *object, *index) {
                            extents.push(piece(from, from, moved.offset - from));
                            from = moved.offset + 4;
                        }
                        extents.push(piece(from, from, section.data.len() as u64 - from));
                        end = start + section.size;
                    }
                }
            }
            islands.for_each(|island| gap(end, offset + island.offset, extents));
        }
    }
}

fn emit_table(link: &Link<'_>, size: u64, start: u64, table: Table, extents: &mut Vec<Extent>) {
    let mut offset = start;
    let mut push = |size: u64, source| {
        extents.push(Extent { offset, size, source });
        offset += size;
    };
    match table {
        Table::Symtab => {
            let parts = link.elf.symtab.iter().flat_map(|table| &table.parts).enumerate();
            for (number, (_, count)) in parts {
                push(machine(link).bits.symbol_size() * u64::from(*count), Source::Table(table as u16, number as u32));
            }
        }
        Table::Strtab => {
            let Some(symtab) = &link.elf.symtab else { return };
            for (id, object) in link.objects() {
                let offset = start + symtab.strings_start(id);
                extents.push(Extent { offset, size: object.strings.len() as u64, source: Source::Strings(id) });
            }
            let (at, strings) = symtab.extra_strings();
            let source = Source::Owned(strings.to_vec());
            extents.push(Extent { offset: start + at, size: strings.len() as u64, source });
        }
        Table::RelaDyn => {
            for (number, (.., count)) in link.elf.relocations.parts_of(table) {
                push(rela::reloc_size(machine(link)) * u64::from(*count), Source::Table(table as u16, number as u32));
            }
        }
        _ => push(size, Source::Table(table as u16, 0)),
    }
}

/// Makes a part of a table that is not held.
fn make_part<'l>(link: &'l Link<'_>, table: Table, part: u32) -> Cow<'l, [u8]> {
    match table {
        Table::Symtab => {
            let Some(symtab) = &link.elf.symtab else { return Cow::Borrowed(&[]) };
            Cow::Owned(symtab.make(link, &symtab.parts[part as usize]))
        }
        Table::RelaDyn => {
            let (class, source, _) = link.elf.relocations.parts[part as usize];
            Cow::Owned(link.elf.relocations.make(link, class, source))
        }
        _ => {
            let made = link.elf.made.iter().find(|(of, _)| *of == table);
            Cow::Borrowed(made.map(|(_, bytes)| bytes.as_slice()).unwrap_or_default())
        }
    }
}

/// Makes the bytes of a part of a table from its offset `at` on in `out`.
pub(crate) fn fill_table(link: &Link<'_>, table: u16, part: u32, at: u64, out: &mut [u8]) {
    match (Table::from_number(table), &link.elf.frame_table) {
        (Some(Table::EhFrameHdr), Some(frames)) => frames.write_at(at, out),
        (Some(table), _) => copy(&make_part(link, table, part), at, out),
        (None, _) => out.fill(0),
    }
}

/// Corrects the unwind records in a stretch that starts at `start` of a section and is in `out`.
pub(crate) fn patch_section(link: &Link<'_>, object: ObjectId, section: SectionIndex, start: u64, out: &mut [u8]) {
    if let Some(joined) = link.elf.frames.sections.get(&(object, section)) {
        patch_frames(joined, start, out);
    }
}

/// Corrects the distances of unwind records that have moved to their CIEs, in a stretch that starts at `start` of a
/// section and is in `out`.
fn patch_frames(joined: &Joined, start: u64, out: &mut [u8]) {
    let Some(first) = joined.output_offset(start) else { return };
    let last = first + out.len() as u64;
    let from = joined.patches.partition_point(|patch| patch.output_offset + 4 <= first);
    for patch in joined.patches[from..].iter().take_while(|patch| patch.output_offset < last) {
        for (index, byte) in patch.value.to_le_bytes().into_iter().enumerate() {
            let at = (patch.output_offset + index as u64).checked_sub(first);
            if let Some(place) = at.and_then(|at| out.get_mut(at as usize)) {
                *place = byte;
            }
        }
    }
}

/// The file header and the program headers.
fn headers(link: &Link<'_>, place: &FilePlace<'_>) -> Vec<u8> {
    let os_abi = match link.target.os {
        Os::FreeBsd => elf::ELFOSABI_FREEBSD.0,
        _ => super::infos(link).map(|info| info.os_abi).find(|abi| *abi != 0).unwrap_or(0),
    };
    let machine = machine(link);
    let bits = machine.bits;
    let class = if bits == Bits::B64 { elf::ELFCLASS64 } else { elf::ELFCLASS32 };
    let mut bytes = Writer::new(bits);
    bytes.bytes.extend([0x7f, b'E', b'L', b'F', class.0, elf::ELFDATA2LSB.0, elf::EV_CURRENT.0, os_abi]);
    bytes.bytes.resize(16, 0);
    bytes.u16(elf::ET_DYN.0);
    bytes.u16(machine.machine.0);
    bytes.u32(1);
    // A symbol that is called as a number is meant before the number is.
    let entry = link.options.entry.as_ref().map(|name| match link.symbols.find(name.as_bytes()) {
        Some((id, _)) => link.global_address(id),
        None => number(name).unwrap_or(0),
    });
    bytes.word(entry.unwrap_or(0));
    bytes.word(bits.file_header_size());
    bytes.word(place.headers);
    bytes.u32(link.elf.flags);
    bytes.u16(bits.file_header_size() as u16);
    bytes.u16(bits.program_header_size() as u16);
    bytes.u16(place.segments.len() as u16);
    bytes.u16(bits.section_header_size() as u16);
    bytes.u16(place.sections.len() as u16 + 1);
    bytes.u16(header_index(link, place.sections, Table::Shstrtab) as u16);
    for segment in place.segments {
        // The flags stand where they need no padding.
        bytes.u32(segment.kind.0);
        if bits == Bits::B64 {
            bytes.u32(segment.flags.0);
        }
        for field in [segment.offset, segment.address, segment.address, segment.file_size, segment.size] {
            bytes.word(field);
        }
        if bits == Bits::B32 {
            bytes.u32(segment.flags.0);
        }
        bytes.word(segment.align);
    }
    bytes.bytes
}

/// The section header index of a table in a file with these sections; 0 where it is not there.
fn header_index(link: &Link<'_>, sections: &[Placed], table: Table) -> u32 {
    let number = link.elf.tables[table as usize];
    let at = sections.iter().position(|section| number == Some(section.number as u32));
    at.map_or(0, |at| at as u32 + 1)
}

/// The header index of the first section of code: what an unwind index is ordered by.
fn first_code(link: &Link<'_>, sections: &[Placed]) -> u32 {
    let is_code = |section: &Placed| link.outputs[section.number].flags.has(Flags::ALLOC.and(Flags::EXEC));
    sections.iter().position(is_code).map_or(0, |at| at as u32 + 1)
}

/// The header index of the section that another one is ordered as; 0 for one that is not ordered so.
fn leader_index(link: &Link<'_>, sections: &[Placed], output: &OutputSection<'_>) -> u32 {
    if !output.flags.has(Flags::LINK_ORDER) {
        return 0;
    }
    // One can be named: that of the first.
    let first = output.inputs().first();
    let leader = first.and_then(|(object, index)| collect::leader(link, *object, *index));
    let section = leader.and_then(|(object, index)| link.object(object).sections.get(index as usize));
    // They stand in the order of their numbers.
    let at = section.map(|section| sections.binary_search_by_key(&(section.output as usize), |placed| placed.number));
    at.and_then(Result::ok).map_or(0, |at| at as u32 + 1)
}

/// The section headers.
fn section_headers(link: &Link<'_>, sections: &[Placed]) -> Vec<u8> {
    let bits = machine(link).bits;
    let mut bytes = Writer::new(bits);
    bytes.bytes.resize(bits.section_header_size() as usize, 0);
    let index = |table: Table| header_index(link, sections, table);
    for &Placed { number, kind, offset } in sections {
        let output = &link.outputs[number];
        let table = match output.content {
            Content::Table(table) => Table::from_number(table),
            _ => None,
        };
        let slots_only = link.elf.relocations.count_of(Table::RelaPlt) == 0;
        let (related, info) = match table {
            Some(Table::Dynsym) => (index(Table::Dynstr), 1),
            Some(Table::Versym) => (index(Table::Dynsym), 0),
            Some(table @ (Table::Verdef | Table::Verneed)) => {
                (index(Table::Dynstr), link.elf.dynamic.version_entries(table))
            }
            Some(Table::GnuHash | Table::Hash | Table::RelaDyn) => (index(Table::Dynsym), 0),
            // One section can be named that the relocations apply to.
            Some(Table::RelaPlt) if slots_only => (index(Table::Dynsym), index(Table::GotPlt)),
            Some(Table::RelaPlt) => (index(Table::Dynsym), 0),
            Some(Table::Dynamic) => (index(Table::Dynstr), 0),
            Some(Table::Exidx) => (first_code(link, sections), 0),
            Some(Table::Symtab) => {
                (index(Table::Strtab), link.elf.symtab.as_ref().map_or(0, |table| table.first_global))
            }
            _ => (leader_index(link, sections, output), 0),
        };
        bytes.u32(link.elf.section_names.1[number]);
        bytes.u32(kind);
        let flags = header_flags(output, table);
        let flags = if info == 0 { flags & !elf::SHF_INFO_LINK.0 } else { flags };
        bytes.word(if related == 0 { flags & !elf::SHF_LINK_ORDER.0 } else { flags });
        bytes.word(output.address);
        bytes.word(offset);
        bytes.word(output.size);
        bytes.u32(related);
        bytes.u32(info);
        bytes.word(output.align);
        bytes.word(output.entry_size);
    }
    bytes.bytes
}

/// `sh_flags`.
fn header_flags(output: &OutputSection<'_>, table: Option<Table>) -> u64 {
    let bits = [
        (Flags::ALLOC, elf::SHF_ALLOC.0),
        (Flags::WRITE, elf::SHF_WRITE.0),
        (Flags::EXEC, elf::SHF_EXECINSTR.0),
        (Flags::TLS, elf::SHF_TLS.0),
        (Flags::MERGE, elf::SHF_MERGE.0),
        (Flags::STRINGS, elf::SHF_STRINGS.0),
        (Flags::FAR, SHF_X86_64_LARGE),
        (Flags::COMPRESSED, elf::SHF_COMPRESSED.0),
        (Flags::LINK_ORDER, elf::SHF_LINK_ORDER.0),
    ];
    let flags = bits.into_iter().filter(|(flag, _)| output.flags.has(*flag)).fold(0, |all, (_, bit)| all | bit);
    match table {
        Some(Table::RelaPlt) => flags | elf::SHF_INFO_LINK.0,
        Some(Table::Exidx) => flags | elf::SHF_LINK_ORDER.0,
        _ if output.rank >= NOT_LOADED && output.kind == elf::SHT_STRTAB.0 => 0,
        _ => flags,
    }
}
