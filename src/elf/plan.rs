//! Which sections an ELF image has, in which order, and what goes into each.
//!
//! The order is that of other ELF linkers, with the heap image last: what is read only, code, what is protected after
//! loading, what is written, what is zero, the large data of x86-64, the heap image; then what is not loaded. A section's
//! place in it is its *rank*; ranks below [`CODE`] are read-only, and so on.

use std::borrow::Cow;
use std::collections::HashMap;

use object::elf;

use super::collect;
use super::companion;
use super::define::bounded_section;
use super::dynamic::{DynamicSymbols, Facts};
use super::frames::Frames;
use super::got;
use super::rela::{self, Class, DynamicRelocations};
use super::symtab::SymbolTable;
use super::{TABLES, Table, machine, ppc64};
use crate::error::{Error, Result};
use crate::layout::{Content, OutputSection, place_inputs};
use crate::link::{Link, over};
use crate::model::{CommonKind, GlobalId, SectionFlags as Flags};
use crate::options::{Arch, BuildId, Options, Strip};
use crate::scan::Scan;
use crate::symbols::{Anchor, CommonBlock, Definition};
use crate::unwind::{eh_frame_hdr, exidx};

/// The first rank of code.
pub(crate) const CODE: u32 = 100;
/// The rank of code that is written, too.
pub(crate) const WRITABLE_CODE: u32 = 190;
/// The first rank of what is protected after loading.
pub(crate) const RELRO: u32 = 200;
/// The first rank of what is written.
pub(crate) const WRITABLE: u32 = 300;
/// The first rank of what is written and may lie farther than 32-bit displacements reach.
pub(crate) const LARGE: u32 = 450;
/// The rank of the heap image.
pub(crate) const HEAP_IMAGE: u32 = 500;
/// The first rank of what is not loaded.
pub(crate) const NOT_LOADED: u32 = 600;
/// The first rank of what goes to the companion, if there is one.
pub(super) const MOVED: u32 = 650;
/// The rank of the names of sections, behind what goes to the companion.
const NAMES: u32 = 702;

/// Decides the sections of the image, and makes all tables that do not depend on addresses.
///
/// # Errors
/// Malformed unwind records; tables beyond what their format can hold.
pub(crate) fn plan(link: &mut Link<'_>, found: Scan) -> Result<()> {
    link.elf.found = found;
    if link.target.arch == Arch::Ppc64 {
        link.elf.flags = ppc64::FLAGS;
        ppc64::survey(link);
    }
    link.elf.frames = Frames::new(link)?;
    let commons = link.symbols.allot_commons()?;
    super::features::merge(link)?;
    super::riscv::merge(link)?;
    super::arm::merge(link)?;
    collect::collect(link);
    add_commons(link, &commons);
    link.elf.relocations = DynamicRelocations::new(link, &link.elf.found.pieces);
    link.elf.dynamic = DynamicSymbols::new(link)?;
    add_tables(link)?;
    // Notes of one alignment side by side, so that there is one segment for each alignment.
    let note_align = |output: &OutputSection<'_>| if output.kind == elf::SHT_NOTE.0 { output.align } else { 0 };
    measure(link)?;
    link.outputs.sort_by_key(|output| (output.rank, note_align(output)));
    number(link);
    super::arm::exidx::fix(link)?;
    define_section_bounds(link)?;
    // What the dynamic section says depends on the sections there are, its size on what it says.
    fix_dynamic_section(link);
    name_sections(link);
    let limit = u64::from(elf::SHN_LORESERVE) - 2;
    over("ELF section headers", "the number of sections of the image", link.outputs.len() as u64, limit)?;
    count(link);
    Ok(())
}

/// Whether the sections of a rank stand in the companion and not in the image.
pub(crate) fn is_moved(options: &Options, rank: u32) -> bool {
    options.elf.separate_debug_file.is_some() && (MOVED..NAMES).contains(&rank)
}

/// Adds the blocks of common symbols, each behind what objects themselves have of its kind.
fn add_commons(link: &mut Link<'_>, blocks: &[CommonBlock]) {
    let flags = Flags::ALLOC.and(Flags::WRITE).and(Flags::ZERO);
    for &CommonBlock { kind, size, align } in blocks {
        let (name, more, rank): (&[u8], _, _) = match kind {
            CommonKind::Data => (b".bss", Flags::default(), WRITABLE + 105),
            CommonKind::ThreadLocal => (b".tbss", Flags::TLS, RELRO + 1),
            CommonKind::Far => (b".lbss", Flags::FAR, LARGE + 15),
        };
        let output = section(name, elf::SHT_NOBITS, flags.and(more), rank, align, 0, Content::Commons(kind));
        link.outputs.push(OutputSection { size, ..output });
    }
}

fn section(
    name: &'static [u8],
    kind: elf::SectionType,
    flags: Flags,
    rank: u32,
    align: u64,
    entry_size: u64,
    content: Content,
) -> OutputSection<'static> {
    let name = Cow::Borrowed(name);
    OutputSection { name, kind: kind.0, flags, align, entry_size, content, rank, size: 0, address: 0, offset: 0 }
}

/// A table's section, without its size.
fn table_section(link: &Link<'_>, table: Table) -> OutputSection<'static> {
    let read = Flags::ALLOC;
    let code = Flags::ALLOC.and(Flags::EXEC);
    let write = Flags::ALLOC.and(Flags::WRITE);
    let strings = Flags::default();
    // Without lazily bound slots nothing writes to `.got.plt` after loading.
    let power = link.target.arch == Arch::Ppc64;
    // A prefixed instruction must not cross a boundary of 64 bytes.
    let stub = if power { 64 } else { 16 };
    let got_plt = if link.slots.lazy.is_empty() { RELRO + 31 } else { WRITABLE };
    let machine = machine(link);
    let word = machine.bits.word();
    let relocation = rela::reloc_size(machine);
    let (name, kind, flags, rank, align, entry_size): (&'static [u8], _, _, _, _, _) = match table {
        Table::Property => (b".note.gnu.property", elf::SHT_NOTE, read, 10, word, 0),
        Table::BuildId => (b".note.gnu.build-id", elf::SHT_NOTE, read, 11, 4, 0),
        Table::Dynsym => (b".dynsym", elf::SHT_DYNSYM, read, 20, word, machine.bits.symbol_size()),
        Table::Versym => (b".gnu.version", elf::SHT_GNU_VERSYM, read, 21, 2, 2),
        Table::Verdef => (b".gnu.version_d", elf::SHT_GNU_VERDEF, read, 22, 4, 0),
        Table::Verneed => (b".gnu.version_r", elf::SHT_GNU_VERNEED, read, 22, 4, 0),
        Table::GnuHash => (b".gnu.hash", elf::SHT_GNU_HASH, read, 23, word, 0),
        Table::Hash => (b".hash", elf::SHT_HASH, read, 24, 4, 4),
        Table::Dynstr => (b".dynstr", elf::SHT_STRTAB, read, 25, 1, 0),
        Table::RelaDyn if machine.rela => (b".rela.dyn", elf::SHT_RELA, read, 26, word, relocation),
        Table::RelaDyn => (b".rel.dyn", elf::SHT_REL, read, 26, word, relocation),
        Table::RelrDyn => (b".relr.dyn", elf::SHT_RELR, read, 27, word, word),
        Table::RelaPlt if machine.rela => (b".rela.plt", elf::SHT_RELA, read, 28, word, relocation),
        Table::RelaPlt => (b".rel.plt", elf::SHT_REL, read, 28, word, relocation),
        Table::EhFrameHdr => (b".eh_frame_hdr", elf::SHT_PROGBITS, read, 50, eh_frame_hdr::ALIGNMENT, 0),
        Table::Plt if power => (b".glink", elf::SHT_PROGBITS, code, CODE + 20, 16, 0),
        Table::Plt => (b".plt", elf::SHT_PROGBITS, code, CODE + 20, 16, got::plt_entry_size(link)),
        Table::PltGot => (b".plt.got", elf::SHT_PROGBITS, code, CODE + 21, stub, got::called_size(link)),
        Table::PltSec => (b".plt.sec", elf::SHT_PROGBITS, code, CODE + 22, stub, got::called_size(link)),
        Table::Dynamic => (b".dynamic", elf::SHT_DYNAMIC, write, RELRO + 20, word, machine.bits.dynamic_size()),
        // Code that loads quadwords relative to the TOC pointer relies on its alignment; GNU ld aligns it as much.
        Table::Got if power => (b".got", elf::SHT_PROGBITS, write, RELRO + 30, 256, word),
        Table::Got => (b".got", elf::SHT_PROGBITS, write, RELRO + 30, word, word),
        Table::GotPlt if power => (b".plt", elf::SHT_PROGBITS, write, got_plt, word, word),
        Table::GotPlt => (b".got.plt", elf::SHT_PROGBITS, write, got_plt, word, word),
        Table::Symtab => (b".symtab", elf::SHT_SYMTAB, strings, NOT_LOADED + 100, word, machine.bits.symbol_size()),
        Table::Strtab => (b".strtab", elf::SHT_STRTAB, strings, NOT_LOADED + 101, 1, 0),
        Table::Shstrtab => (b".shstrtab", elf::SHT_STRTAB, strings, NAMES, 1, 0),
        Table::DebugLink => (b".gnu_debuglink", elf::SHT_PROGBITS, strings, NAMES + 1, 4, 0),
        Table::Attributes if link.target.arch == Arch::Riscv64 => {
            (b".riscv.attributes", elf::SHT_RISCV_ATTRIBUTES, strings, NOT_LOADED + 1, 1, 0)
        }
        Table::Attributes => (b".ARM.attributes", elf::SHT_ARM_ATTRIBUTES, strings, NOT_LOADED + 1, 1, 0),
        Table::Exidx => (b".ARM.exidx", elf::SHT_ARM_EXIDX, read, 49, exidx::ALIGNMENT, 0),
        Table::ProvidedCode => (b".text.provided", elf::SHT_PROGBITS, code, CODE + 12, 16, 0),
    };
    section(name, kind, flags, rank, align, entry_size, table.content())
}

/// Adds the sections that the linker makes, where the image needs them.
fn add_tables(link: &mut Link<'_>) -> Result<()> {
    let strip = link.options.strip == Strip::All;
    link.elf.symtab = if strip { None } else { Some(SymbolTable::new(link)?) };
    for table in TABLES {
        let size = match table {
            Table::Property => link.elf.properties.len() as u64,
            Table::BuildId => build_id_size(&link.options.elf.build_id),
            Table::RelaDyn => rela::reloc_size(machine(link)) * link.elf.relocations.count_of(table),
            // Sizes of these follow; that they are there is known.
            Table::RelrDyn => u64::from(link.elf.relocations.packed > 0) * machine(link).bits.word(),
            Table::Dynamic | Table::Shstrtab => 1,
            Table::EhFrameHdr if link.options.elf.eh_frame_hdr && has_frames(link) => {
                eh_frame_hdr::size(link.elf.frames.count)
            }
            Table::EhFrameHdr => 0,
            Table::Symtab => link.elf.symtab.as_ref().map_or(0, SymbolTable::size),
            Table::Strtab => link.elf.symtab.as_ref().map_or(0, SymbolTable::strings_size),
            Table::Attributes => link.elf.attributes.len() as u64,
            // Its size follows when the code is in order; that it is there is known.
            Table::Exidx => u64::from(super::arm::exidx::is_needed(link)),
            Table::ProvidedCode => ppc64::provided_size(link),
            Table::DebugLink => companion::debug_link(link.options).map_or(0, |link| link.len() as u64),
            Table::Got | Table::GotPlt | Table::Plt | Table::PltGot | Table::PltSec | Table::RelaPlt => {
                got::size(link, table, link.elf.found.got_base || refers_to_got_base(link))
            }
            _ => link.elf.dynamic.size(machine(link).bits, table),
        };
        if size > 0 {
            let output = table_section(link, table);
            link.outputs.push(OutputSection { size, ..output });
        }
    }
    Ok(())
}

fn has_frames(link: &Link<'_>) -> bool {
    link.outputs.iter().any(|output| output.flags.has(Flags::EH_FRAME))
}

/// Whether an object refers to the GOT base by name.
fn refers_to_got_base(link: &Link<'_>) -> bool {
    let named = link.symbols.find(b"_GLOBAL_OFFSET_TABLE_");
    named.is_some_and(|(_, global)| global.definition == Definition::Anchor(Anchor::GotBase))
}

/// Places the input sections in their output sections, which get size and alignment.
fn measure(link: &mut Link<'_>) -> Result<(), Error> {
    let frames = &link.elf.frames;
    for output in &mut link.outputs {
        place_inputs(&mut link.objects, output, &mut [], |object, section| frames.size(object, section))?;
        if output.flags.has(Flags::EH_FRAME) {
            output.size += super::frames::terminator().len() as u64;
        }
    }
    Ok(())
}

/// Tells every input section its output section, and every table too.
fn number(link: &mut Link<'_>) {
    link.elf.tables = vec![None; TABLES.len()];
    for (number, output) in (0_u32..).zip(&link.outputs) {
        match &output.content {
            Content::Table(table) => link.elf.tables[*table as usize] = Some(number),
            Content::Commons(kind) => link.elf.commons[*kind as usize] = number,
            Content::Inputs(inputs) => {
                for (object, section) in inputs {
                    link.objects[object.index()].sections[*section as usize].output = number;
                }
            }
        }
    }
}

/// Makes `__start_NAME`, `__stop_NAME` and the bounds of arrays mean output sections.
///
/// # Errors
/// Names of sections of which some are code and others are not.
fn define_section_bounds(link: &mut Link<'_>) -> Result<(), Error> {
    let pending = [Anchor::SectionStart(u32::MAX), Anchor::SectionEnd(u32::MAX)].map(Definition::Anchor);
    if !link.symbols.iter().any(|(_, global)| pending.contains(&global.definition)) {
        return Ok(());
    }
    let mut numbers: HashMap<Vec<u8>, (u32, Option<u32>)> = HashMap::new();
    for (number, output) in (0_u32..).zip(&link.outputs) {
        let (_, other) = numbers.entry(output.name.to_vec()).or_insert((number, None));
        if output.flags.has(Flags::ALLOC) {
            *other = Some(number);
        }
    }
    for index in 0..link.symbols.len() {
        let id = GlobalId(index as u32);
        let global = link.symbols.get(id);
        if !pending.contains(&global.definition) {
            continue;
        }
        let Some((name, start)) = bounded_section(global.name) else { continue };
        let Some(&(number, last)) = numbers.get(name) else { continue };
        if let Some(other) = last.filter(|last| *last != number) {
            return Err(divided(link, global.name, number, other));
        }
        let anchor = if start { Anchor::SectionStart(number) } else { Anchor::SectionEnd(number) };
        link.symbols.get_mut(id).definition = Definition::Anchor(anchor);
    }
    Ok(())
}

/// The error for a symbol that stands for a bound of two sections.
fn divided(link: &Link<'_>, symbol: &[u8], one: u32, other: u32) -> Error {
    let describe = |number: u32| {
        let output = &link.outputs[number as usize];
        let kind = match () {
            () if output.flags.has(Flags::EXEC) => "code",
            () if output.flags.has(Flags::TLS) => "thread-local variables",
            () => "data",
        };
        let first = output.inputs().first();
        (first.map_or_else(String::new, |(object, _)| link.object(*object).name.to_string()), kind)
    };
    let name = String::from_utf8_lossy(&link.outputs[one as usize].name);
    let (symbol, (file, kind), (other, other_kind)) = (String::from_utf8_lossy(symbol), describe(one), describe(other));
    let what = format!("has {kind} in section {name}, which cannot have one bound {symbol}");
    Error::Incompatible { file, what, other, other_what: format!("has {other_kind} in it; give one another name") }
}

fn fix_dynamic_section(link: &mut Link<'_>) {
    let facts = Facts {
        tables: TABLES.into_iter().filter(|table| link.elf.tables[*table as usize].is_some()).collect(),
        relative: link.elf.relocations.count(Some(Class::Relative)),
        text_relocations: link.elf.found.text_relocations,
        static_tls: link.elf.found.static_tls,
    };
    let mut dynamic = std::mem::take(&mut link.elf.dynamic);
    dynamic.fix_entries(link, &facts);
    if let Some(number) = link.elf.tables[Table::Dynamic as usize] {
        link.outputs[number as usize].size = dynamic.size(machine(link).bits, Table::Dynamic);
    }
    link.elf.dynamic = dynamic;
}

/// Makes `.shstrtab`.
fn name_sections(link: &mut Link<'_>) {
    let mut names = vec![0];
    let mut starts = Vec::with_capacity(link.outputs.len());
    for output in &link.outputs {
        starts.push(names.len() as u32);
        names.extend_from_slice(&output.name);
        names.push(0);
    }
    if let Some(number) = link.elf.tables[Table::Shstrtab as usize] {
        link.outputs[number as usize].size = names.len() as u64;
    }
    link.elf.section_names = (names, starts);
}

/// The size of `.note.gnu.build-id`: a header of 12 bytes, the name `GNU`, the bytes.
pub(crate) fn build_id_size(id: &BuildId) -> u64 {
    let bytes = match id {
        BuildId::None => return 0,
        BuildId::Fast => 8,
        BuildId::Bytes16 => 16,
        BuildId::Bytes20 | BuildId::Fast20 => 20,
        BuildId::Given(bytes) => bytes.len() as u64,
    };
    16 + bytes.next_multiple_of(4)
}

fn count(link: &mut Link<'_>) {
    let mut counts = link.report.counts;
    counts.objects = link.objects.len() as u64;
    let inputs = link.outputs.iter().map(|output| match &output.content {
        Content::Inputs(inputs) => inputs.len() as u64,
        _ => 0,
    });
    counts.sections = inputs.sum();
    counts.symbols = link.objects.iter().map(|object| object.symbols.len() as u64).sum();
    counts.relocations = link.elf.found.relocations;
    counts.dynamic_relocations = link.elf.relocations.count(None) + link.slots.lazy.len() as u64;
    counts.plt_entries = (link.slots.lazy.len() + link.slots.through_got.len()) as u64;
    counts.got_entries = link.slots.got_words.into();
    link.report.counts = counts;
}
