//! The plan of the file: which bytes come from where.

use super::place::FILE_ALIGNMENT;
use super::symtab::SymbolTable;
use super::{TABLES, Table, entry, exports, headers, imports, pseudo, ready_exports, resources, table_output};
use crate::apply::{self, Stretch};
use crate::debug;
use crate::error::Result;
use crate::image::{Checksum, Extent, FilePlan, Image, Source};
use crate::layout::{Content, OutputSection};
use crate::link::{Link, over};
use crate::model::{ObjectId, SectionFlags as Flags, SectionIndex};
use crate::options::Arch;
use crate::thunks;
use crate::unwind::pdata;

/// What gaps between functions are filled with: an instruction that stops a debugger.
fn code_fill(arch: Arch) -> &'static [u8] {
    match arch {
        Arch::Aarch64 => &[0x00, 0x00, 0x3e, 0xd4], // brk #0xf000
        _ => &[0xcc],                               // int3
    }
}

/// Fixes the addresses of all symbols, makes the tables, and says where each byte of the file comes from.
///
/// # Errors
/// Names or symbols beyond what the format can count; function rows that cannot be relocated; ready export tables, and
/// structures of start files, that are malformed.
pub(crate) fn emit(mut link: Link<'_>) -> Result<Image<'_>> {
    link.addresses = crate::format::symbol_addresses(&link);
    exports::check(&link)?;
    headers::check(&link)?;
    if link.options.pe.dependent_load_flags.is_some() && headers::dependent_load_flags(&link).is_none() {
        let what = "--dependent-load-flag: no load configuration (_load_config_used) has room for it";
        link.report.warnings.push(what.to_owned());
    }
    link.pe.made = TABLES.into_iter().filter_map(|table| Some((table, table_bytes(&link, table)?))).collect();
    report(&mut link)?;
    let mut end = 0;
    let mut extents = thunks::write(&link)?;
    let mut dead_rows = 0;
    let fill = code_fill(link.target.arch);
    let own = |offset: u64, bytes: Vec<u8>| Extent { offset, size: bytes.len() as u64, source: Source::Owned(bytes) };
    for section in &link.pe.sections {
        end = end.max(section.offset + section.file_size.next_multiple_of(FILE_ALIGNMENT));
    }
    for (number, output) in link.outputs.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|before| link.outputs.get(before));
        if let Some(before) = before.filter(|before| before.flags.has(Flags::EXEC) && output.flags.has(Flags::EXEC)) {
            let (offset, size) =
                (before.offset + before.size, output.offset.saturating_sub(before.offset + before.size));
            // Between two sections there is more, which belongs to neither.
            if link.pe.section_of.get(number) == link.pe.section_of.get(number.wrapping_sub(1)) {
                extents.push(Extent { offset, size, source: Source::Fill(fill, offset) });
            }
        }
        if link.pe.rows == Some(number as u32)
            && let Some(rows) = sorted_rows(&link, output, &mut dead_rows)?
        {
            extents.push(own(output.offset, rows));
            continue;
        }
        emit_output(&link, number as u32, output, &mut extents);
    }
    for (table, bytes) in std::mem::take(&mut link.pe.made) {
        if let Some(output) = table_output(&link, table) {
            extents.push(own(output.offset, bytes));
        }
    }
    extents.extend(resources::extents(&link));
    if let Some((offset, word)) = headers::tls_characteristics(&link) {
        overlay(&mut extents, offset, word.to_le_bytes().to_vec());
    }
    if let Some((offset, flags)) = headers::dependent_load_flags(&link) {
        overlay(&mut extents, offset, flags.to_le_bytes().to_vec());
    }
    link.pe.dead_rows = dead_rows;
    let symtab = SymbolTable::new(&link, end)?;
    extents.push(own(0, headers::bytes(&link, symtab.as_ref())));
    if let Some(symtab) = symtab {
        end = emit_symtab(&link, symtab, &mut extents);
    }
    over("PE format", "the size of the file", end, u32::MAX.into())?;
    link.report.size = end;
    let identities = headers::identities(&link);
    let plan = FilePlan::new(end, extents, Checksum::Castagnoli)
        .with_identity(identities)
        .with_image_checksum(headers::checksum_offset());
    Ok(Image::new(link, plan, None))
}

/// The bytes of a table that the image has.
fn table_bytes(link: &Link<'_>, table: Table) -> Option<Vec<u8>> {
    table_output(link, table)?;
    Some(match table {
        Table::Entry => entry::code(link.target.arch).to_vec(),
        Table::Exports => exports::bytes(link),
        Table::PseudoRelocations => pseudo::bytes(link),
        Table::BuildId => headers::build_id(link),
        Table::Resources => resources::bytes(link),
        Table::BaseRelocations => link.pe.base_relocs.clone(),
        Table::ConstructorsStart | Table::ConstructorsEnd | Table::DestructorsStart | Table::DestructorsEnd => {
            headers::list_word(link, table)
        }
        _ => imports::bytes(link, table),
    })
}

/// The rows of functions in the order of their addresses, in which unwinders look for them. Those of functions that are not
/// part of the image stand last, and are counted in bytes.
fn sorted_rows(link: &Link<'_>, output: &OutputSection<'_>, dead_rows: &mut u64) -> Result<Option<Vec<u8>>> {
    let Content::Inputs(inputs) = &output.content else { return Ok(None) };
    let row = if link.target.arch == Arch::Aarch64 { pdata::ARM_ROW } else { pdata::ROW };
    let mut rows = relocated(link, output, inputs)?;
    pdata::sort(&mut rows, row);
    *dead_rows = (pdata::dead(&rows, row) * row) as u64;
    Ok(Some(rows))
}

/// The bytes of an output section of these inputs, relocated.
///
/// # Errors
/// Relocations that cannot be carried out.
pub(super) fn relocated(
    link: &Link<'_>,
    output: &OutputSection<'_>,
    inputs: &[(ObjectId, SectionIndex)],
) -> Result<Vec<u8>> {
    let mut bytes = vec![0; output.size as usize];
    let mut problems = Vec::new();
    for (object, index) in inputs {
        let section = link.section(*object, *index);
        let (start, size) = (section.offset as usize, section.data.len());
        let address = output.address.wrapping_add(section.offset);
        if let Some(place) = bytes.get_mut(start..start + size) {
            apply::fill(link, Stretch { object: *object, section: *index, start: 0, address }, place, &mut problems);
        }
    }
    debug::check(link, problems)?;
    Ok(bytes)
}

fn emit_output(link: &Link<'_>, number: u32, output: &OutputSection<'_>, extents: &mut Vec<Extent>) {
    let Content::Inputs(inputs) = &output.content else { return };
    if output.flags.has(Flags::ZERO) {
        return;
    }
    let code = output.flags.has(Flags::EXEC);
    let mut end = output.offset;
    let fill = code_fill(link.target.arch);
    let gap = |end: u64, start: u64, extents: &mut Vec<Extent>| {
        if code && start > end {
            extents.push(Extent { offset: end, size: start - end, source: Source::Fill(fill, end) });
        }
    };
    let mut islands = link.thunks.of_output(number).iter().peekable();
    for (at, (object, index)) in inputs.iter().enumerate() {
        while let Some(island) = islands.next_if(|island| island.before <= at) {
            gap(end, output.offset + island.offset, extents);
            end = output.offset + island.offset + island.size;
        }
        let section = link.section(*object, *index);
        let start = output.offset + section.offset;
        gap(end, start, extents);
        let stretch = Stretch {
            object: *object,
            section: *index,
            start: 0,
            address: output.address.wrapping_add(section.offset),
        };
        let source = Source::Section(stretch);
        extents.push(Extent { offset: start, size: section.data.len() as u64, source });
        end = start + section.size;
    }
    islands.for_each(|island| gap(end, output.offset + island.offset, extents));
}

/// Puts `bytes` in the place of those of an input section at a file offset.
fn overlay(extents: &mut Vec<Extent>, offset: u64, bytes: Vec<u8>) {
    let end = offset + bytes.len() as u64;
    let holds = |extent: &&mut Extent| extent.offset <= offset && end <= extent.offset + extent.size;
    let Some(extent) = extents.iter_mut().find(holds) else { return };
    let Source::Section(stretch) = extent.source else { return };
    let skipped = end - extent.offset;
    let rest = Stretch { start: stretch.start + skipped, address: stretch.address.wrapping_add(skipped), ..stretch };
    let behind = Extent { offset: end, size: extent.size - skipped, source: Source::Section(rest) };
    extent.size = offset - extent.offset;
    extents.extend([Extent { offset, size: bytes.len() as u64, source: Source::Owned(bytes) }, behind]);
}

/// Puts the symbol table and the string table at the end of the file; returns where that is.
fn emit_symtab(link: &Link<'_>, symtab: SymbolTable, extents: &mut Vec<Extent>) -> u64 {
    let strings = symtab.strings_offset();
    let mut offset = symtab.offset;
    for records in symtab.records {
        let size = records.len() as u64;
        extents.push(Extent { offset, size, source: Source::Owned(records) });
        offset += size;
    }
    let size = symtab.strings.len() as u64;
    extents.push(Extent { offset: strings, size, source: Source::Owned(symtab.strings) });
    for ((id, object), base) in link.objects().zip(&symtab.bases) {
        let size = object.strings.len() as u64;
        extents.push(Extent { offset: strings + base, size, source: Source::Strings(id) });
    }
    strings + symtab.strings_size
}

fn report(link: &mut Link<'_>) -> Result<()> {
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    link.report.needed = link.pe.imports.dlls().map(name).collect();
    link.report.exports = link.pe.exports.entries().iter().map(|entry| entry.name.to_vec()).collect();
    link.report.exports.extend(ready_exports::names(link)?);
    let counts = &mut link.report.counts;
    counts.objects = link.objects.len() as u64;
    counts.sections = link.objects.iter().map(|object| object.sections.len() as u64).sum();
    counts.symbols = link.objects.iter().map(|object| object.symbols.len() as u64).sum();
    counts.dynamic_relocations = link.pe.pieces.iter().map(|piece| u64::from(piece.relative)).sum();
    counts.got_entries = link.pe.imports.len() as u64;
    Ok(())
}
