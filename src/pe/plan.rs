//! Which sections a PE image has, in which order, and what goes into each.
//!
//! Input sections of one *family* (the name before `$`) make an output section; the part from `$` on says where in it
//! they go, by the order of bytes (PE/COFF specification, *Grouped Sections*). Several output sections share a section of
//! the image and its header: what has the same permissions need not begin a page of its own. The order is that of other
//! linkers, with the heap image last of what is used at run time: code, constants (with unwind data, imports and exports),
//! data (with what is zero behind it), functions' unwind rows, thread-local storage, others, base relocations, the heap
//! image; then debug sections, which have addresses too but which nobody looks at in memory.
//!
//! A section's place in this order is its *rank*: the section of the image in the upper bits, the place in it in the lower
//! [`PLACE_BITS`].
//!
//! What the data directories lead to is known by what it is, not by the name of a section: inputs may ask for other names
//! (`-merge:`), and may have sections that are called as the linker's own are.

use std::borrow::Cow;
use std::collections::HashSet;

use indexmap::{IndexMap, IndexSet};
use object::pe;

use super::parse::base_name;
use super::{ImageSection, Table, imports, row_size, word};
use crate::error::{Error, Result};
use crate::layout::{Content, OutputSection, place_inputs};
use crate::link::{Link, over};
use crate::model::{Fate, Object, ObjectId, Section, SectionFlags as Flags, SectionIndex};
use crate::options::Strip;
use crate::scan::Scan;
use crate::symbols::CommonBlock;

/// Output sections that join others (what MinGW's linkers merge).
const MERGES: [(&[u8], &[u8]); 9] = [
    (b".bss", b".data"),
    (b".xdata", b".rdata"),
    (b".idata", b".rdata"),
    (b".edata", b".rdata"),
    (b".didat", b".rdata"),
    (b".00cfg", b".rdata"),
    (b".CRT", b".rdata"),
    (b".ctors", b".rdata"),
    (b".dtors", b".rdata"),
];

/// The sections of the image by rank. There is room behind `OTHERS`, and behind `DEBUG`, for as many as a header counts.
const TEXT: u32 = 0;
const RDATA: u32 = 1;
const DATA: u32 = 2;
const PDATA: u32 = 3;
const TLS: u32 = 4;
const WRITTEN_CODE: u32 = 5;
const DELAYED: u32 = 6;
const OTHERS: u32 = 7;
const RESOURCES: u32 = 0x1_0000;
const RELOC: u32 = 0x1_0001;
const HEAP_IMAGE: u32 = 0x1_0002;
const DEBUG: u32 = 0x1_0003;

/// Places in a section of the image.
const MAIN: u32 = 0;
const JOINED: u32 = 0x100;
const CONSTRUCTORS: u32 = 0x200;
const DESTRUCTORS: u32 = 0x210;
const IMPORTS: u32 = 0x1000;
const TABLES: u32 = 0x2000;
const ZERO: u32 = 0x4000;
/// The bits of a rank that tell the place.
const PLACE_BITS: u32 = 15;

/// The name of the section of the heap image.
const HEAP_IMAGE_NAME: &[u8] = b".image";
/// The name of the section of code that is written.
const WRITTEN_CODE_NAME: &[u8] = b".wtext";
/// The name of the section of tables of what is imported at its first use.
const DELAYED_NAME: &[u8] = b".didat";
/// The family of functions' unwind rows.
const ROWS: &[u8] = b".pdata";
/// What rows are aligned to: they consist of words of 32 bits.
const ROW_ALIGN: u64 = 4;

/// The most sections that a header's count of 16 bits allows, with room for those that have reserved numbers.
const SECTION_LIMIT: u64 = 0xfe00;

/// What `-section:` states all of.
const ATTRIBUTES: u32 = pe::IMAGE_SCN_MEM_DISCARDABLE.0
    | pe::IMAGE_SCN_MEM_NOT_CACHED.0
    | pe::IMAGE_SCN_MEM_NOT_PAGED.0
    | pe::IMAGE_SCN_MEM_SHARED.0
    | pe::IMAGE_SCN_MEM_EXECUTE.0
    | pe::IMAGE_SCN_MEM_READ.0
    | pe::IMAGE_SCN_MEM_WRITE.0;

const fn rank(section: u32, place: u32) -> u32 {
    section << PLACE_BITS | place
}

/// Decides the sections of the image and the sizes of all tables but the base relocations.
///
/// # Errors
/// More sections than the format can number; sizes beyond an address space; tables of functions that do not consist of rows.
pub(crate) fn plan(link: &mut Link<'_>, found: Scan) -> Result<()> {
    link.pe.pieces = found.pieces;
    super::pseudo::check(link)?;
    let commons = link.symbols.allot_commons()?;
    collect(link)?;
    join_rows(link)?;
    // Objects of this format have one kind.
    if let Some(CommonBlock { kind, size, align }) = commons.first().copied() {
        let flags = Flags::ALLOC.and(Flags::WRITE).and(Flags::ZERO);
        let output = output(Cow::Borrowed(b".bss"), flags, rank(DATA, ZERO + 1), align, Content::Commons(kind));
        link.outputs.push(OutputSection { size, ..output });
    }
    add_tables(link);
    for number in 0..link.outputs.len() {
        let output = &mut link.outputs[number];
        place_inputs(&mut link.objects, output, &mut [], |_, _| None)?;
        // Import libraries of GNU's align the pieces of a list of slots to 4 bytes, and the list has to begin as slots do.
        let slots: [&[u8]; 3] = [b".idata$4", b".idata$5", DELAYED_NAME];
        if slots.iter().any(|name| output.name.starts_with(name)) {
            output.align = output.align.max(word(link.target.arch));
        }
    }
    // Empty sections would take a header and a page each.
    link.outputs.retain(|output| output.size > 0 || is_late(output));
    link.outputs.sort_by_key(|output| output.rank);
    number(link);
    group(link);
    check_count(link.pe.sections.len())
}

/// Checks that a header can count so many sections.
fn check_count(sections: usize) -> Result<()> {
    Ok(over("PE section headers", "the number of sections of the image", sections as u64, SECTION_LIMIT)?)
}

/// Whether the size of an output section is known only once others have addresses.
fn is_late(output: &OutputSection<'_>) -> bool {
    matches!(output.content, Content::Table(table) if Table::from_number(table) == Some(Table::BaseRelocations))
}

/// The family of a section: what stands before `$` or before a second dot (`.text.startup`, `.ctors.65535`).
fn family(name: &[u8]) -> &[u8] {
    let name = base_name(name);
    let dot = name.get(1..).and_then(|rest| memchr::memchr(b'.', rest));
    dot.and_then(|dot| name.get(..=dot)).unwrap_or(name)
}

/// The section of the image that a family joins: by what inputs ask for, then by custom. Nobody needs chains of many links,
/// and circles end somewhere.
fn joined<'n>(link: &'n Link<'_>, family: &'n [u8]) -> &'n [u8] {
    let mut name = family;
    for _ in 0..16 {
        let asked = link.pe.merges.get(name).map(Vec::as_slice);
        match asked.or_else(|| MERGES.iter().find(|(from, _)| *from == name).map(|(_, to)| *to)) {
            Some(to) if to != name => name = to,
            _ => break,
        }
    }
    name
}

/// Whether an input section is a piece of the table of functions' unwind rows. GNU's assembler calls those of functions in
/// `.text.startup` `.pdata.startup`.
pub(super) fn is_rows(name: &[u8]) -> bool {
    family(name) == ROWS
}

/// Has the pieces of the table of functions follow each other without a gap, which readers would take for rows.
///
/// # Errors
/// A piece that does not consist of rows.
fn join_rows(link: &mut Link<'_>) -> Result<(), Error> {
    let Some(row) = row_size(link.target.arch) else { return Ok(()) };
    let Some(output) = link.outputs.iter().find(|output| output.name == ROWS) else { return Ok(()) };
    for (object, index) in output.inputs() {
        let object = &mut link.objects[object.index()];
        let Some(section) = object.sections.get_mut(*index as usize) else { continue };
        if !section.size.is_multiple_of(row) {
            let (name, size) = (String::from_utf8_lossy(section.name), section.size);
            let what = format!("{name}: {size} bytes, which is no whole number of rows of {row} bytes");
            return Err(Error::malformed(&object.name, what));
        }
        section.align = ROW_ALIGN;
    }
    Ok(())
}

/// What tells apart the output sections that the input sections of a family go to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    /// What the family's name says.
    Main,
    /// Zeros that need no bytes in the file.
    Zero,
    /// Code that is written. One such section among thousands would have all code be writable.
    WrittenCode,
    /// Tables of functions that are imported at their first call, by code which writes into them.
    Delayed,
    /// The heap image, whatever its family.
    HeapImage,
}

/// Sorts the input sections into output sections.
///
/// # Errors
/// More names than ranks, and headers, can tell apart.
fn collect(link: &mut Link<'_>) -> Result<()> {
    type Key<'a> = (Cow<'a, [u8]>, Part);
    let mut outputs: IndexMap<Key<'_>, (OutputSection<'_>, Vec<Sorted<'_>>), foldhash::quality::RandomState> =
        IndexMap::default();
    let mut others: IndexSet<Vec<u8>> = IndexSet::new();
    let mut dropped = Vec::new();
    let delaying = delaying(link);
    for (id, object) in link.objects() {
        for (index, section) in object.sections.iter().enumerate() {
            let index = index as u32;
            if !section.is_live() {
                continue;
            }
            if section.flags.has(Flags::DEBUG) && link.options.strip != Strip::None {
                dropped.push((id, index));
                continue;
            }
            if link.heap_image == Some((id, index)) && section.relocs.is_empty() {
                let name = Cow::Borrowed(HEAP_IMAGE_NAME);
                let heap = output(name.clone(), section.flags, rank(HEAP_IMAGE, MAIN), 1, Content::Inputs(Vec::new()));
                let input = Sorted { name: b"", id, index, member: (&"", None) };
                outputs.insert((name, Part::HeapImage), (heap, vec![input]));
                continue;
            }
            let mut family = family(section.name);
            // Pieces of import tables stay apart, since tables made here go between them.
            if family == b".idata" {
                family = section.name;
            }
            let mut base = base_name(family);
            // GNU's assembler takes `.text$2` with the flags of data for data.
            if base == b".text" && section.flags.has(Flags::WRITE) && !section.flags.has(Flags::EXEC) {
                (family, base) = (b".data", b".data");
            }
            // Zeros behind the rest of their section need no bytes in the file; elsewhere the order by name counts.
            let zero = section.flags.has(Flags::ZERO) && matches!(base, b".bss" | b".data");
            let part = match () {
                () if zero => Part::Zero,
                () if base == b".text" && section.flags.has(Flags::WRITE) => Part::WrittenCode,
                () if base == b".idata" && delaying.contains(object.name.file) => Part::Delayed,
                () => Part::Main,
            };
            let key = (Cow::Borrowed(family), part);
            let entry = outputs.entry(key);
            let (output, inputs) = entry.or_insert_with(|| {
                let target = match base {
                    // They stay with the tables made here, which stand before, between and behind them.
                    b".idata" | b".ctors" | b".dtors" => b".rdata",
                    _ => joined(link, base),
                };
                let section_rank = match target {
                    _ if part == Part::WrittenCode => WRITTEN_CODE,
                    _ if part == Part::Delayed => DELAYED,
                    _ if section.flags.has(Flags::DEBUG) => DEBUG + others.insert_full(target.to_vec()).0 as u32,
                    b".text" => TEXT,
                    b".rdata" => RDATA,
                    b".data" => DATA,
                    b".pdata" => PDATA,
                    b".tls" => TLS,
                    b".rsrc" => RESOURCES,
                    _ => OTHERS + others.insert_full(target.to_vec()).0 as u32,
                };
                let place = place(family, target, zero);
                let flags = section.flags.without(Flags::GROUP.and(Flags::RETAIN).and(Flags::ZERO));
                let flags = flags.when(zero, Flags::ZERO);
                let name = match part {
                    Part::WrittenCode => WRITTEN_CODE_NAME,
                    Part::Delayed => DELAYED_NAME,
                    _ => family,
                };
                let rank = rank(section_rank, place);
                (output(Cow::Borrowed(name), flags, rank, 1, Content::Inputs(Vec::new())), Vec::new())
            });
            output.flags.set(section.flags.common(Flags::WRITE.and(Flags::EXEC)));
            output.kind |= section.kind & pe::IMAGE_SCN_MEM_SHARED.0;
            inputs.push(Sorted {
                name: sorted_name(section),
                id,
                index,
                member: (&object.name.file, object.name.member.as_deref()),
            });
        }
    }
    check_count(others.len())?;
    let outputs = outputs
        .into_iter()
        .map(|((family, _), (mut output, mut inputs))| {
            if family.starts_with(b".idata") {
                // The members of an import library bring a DLL's tables piece by piece; their names say in which order.
                inputs.sort_by(|one, other| one.member.cmp(&other.member));
            } else {
                inputs.sort_by(|one, other| one.name.cmp(other.name));
            }
            // Where there is nothing else, no bytes in the file are needed, whatever the order.
            if inputs.iter().all(|input| link.section(input.id, input.index).flags.has(Flags::ZERO)) {
                output.flags.set(Flags::ZERO);
            }
            output.content = Content::Inputs(inputs.into_iter().map(|input| (input.id, input.index)).collect());
            output
        })
        .collect();
    for (object, section) in dropped {
        link.objects[object.index()].sections[section as usize].fate = Fate::Stripped;
    }
    link.outputs = outputs;
    Ok(())
}

/// The import libraries whose functions are imported at their first call, as `dlltool --output-delaylib` makes them: their
/// members bring the same pieces of tables as others, but code fills them. The loader's directory has no entry for them.
fn delaying<'l>(link: &'l Link<'_>) -> HashSet<&'l str> {
    let helpers: [&[u8]; 2] = [b"__delayLoadHelper2", b"___delayLoadHelper2@8"];
    let helper = helpers.into_iter().find_map(|name| link.symbols.find(name)).map(|(id, _)| id);
    let Some(helper) = helper else { return HashSet::new() };
    let is_head = |object: &&Object<'_>| {
        object.sections.iter().any(|section| base_name(section.name) == b".idata")
            && object.symbols.iter().any(|symbol| symbol.global.get() == Some(helper))
    };
    link.objects.iter().filter(is_head).map(|object| object.name.file).collect()
}

/// The name by which a section is sorted among its family's. GCC puts the name of what a copy is of behind the dollar, which says
/// nothing of the order: `.eh_frame$f` has to stand before what ends the table, the `.eh_frame` of `crtend.o`. LLD's rule for MinGW.
fn sorted_name<'a>(section: &Section<'a>) -> &'a [u8] {
    let base = base_name(section.name);
    let plain = matches!(base, b".text" | b".data" | b".rdata" | b".pdata" | b".xdata" | b".eh_frame");
    let is_copy = section.kind & pe::IMAGE_SCN_LNK_COMDAT.0 != 0;
    if plain && is_copy { base } else { section.name }
}

/// An input section and what it is sorted by.
struct Sorted<'l> {
    name: &'l [u8],
    id: ObjectId,
    index: SectionIndex,
    /// The file and the archive's member.
    member: (&'l &'l str, Option<&'l [u8]>),
}

/// The place of a family in a section of the image.
fn place(family: &[u8], target: &[u8], zero: bool) -> u32 {
    match family {
        _ if zero => ZERO,
        _ if family == target => MAIN,
        b".ctors" => CONSTRUCTORS + 1,
        b".dtors" => DESTRUCTORS + 1,
        _ if family.starts_with(b".idata$") => IMPORTS + import_place(family) + 1,
        _ => JOINED,
    }
}

/// The place of a piece of import tables among the others: `.idata$2` to `.idata$7`.
fn import_place(name: &[u8]) -> u32 {
    let number = name.strip_prefix(b".idata$").and_then(|rest| rest.first()).map_or(0, |digit| u32::from(*digit));
    number.saturating_sub(u32::from(b'0')).min(9) * 4
}

fn output<'a>(name: Cow<'a, [u8]>, flags: Flags, rank: u32, align: u64, content: Content) -> OutputSection<'a> {
    OutputSection { name, kind: 0, flags, align, entry_size: 0, content, rank, size: 0, address: 0, offset: 0 }
}

/// Adds the tables that the image needs.
fn add_tables(link: &mut Link<'_>) {
    let arch = link.target.arch;
    let word = word(arch);
    let read = Flags::ALLOC;
    let code = Flags::ALLOC.and(Flags::EXEC);
    let imports = &link.pe.imports;
    // The lists of constructors are made where somebody looks for them.
    let listed = |name: &[u8]| {
        let name = if word == 4 { [b"_", name].concat() } else { name.to_vec() };
        link.symbols.find(&name).is_some()
    };
    let constructors = listed(b"__CTOR_LIST__") || listed(b"___CTOR_LIST__");
    let destructors = listed(b"__DTOR_LIST__") || listed(b"___DTOR_LIST__");
    let has_imports = imports.len() > 0 || link.outputs.iter().any(|output| output.name.starts_with(b".idata$2"));
    let at = |digit: u32, part: u32| rank(RDATA, IMPORTS + digit * 4 + part);
    let name = |name: &'static [u8]| name;
    let tables = [
        (
            Table::Entry,
            name(b".text"),
            code,
            rank(TEXT, TABLES),
            16,
            if link.pe.makes_entry { super::entry::code(arch).len() as u64 } else { 0 },
        ),
        (Table::Thunks, b".text", code, rank(TEXT, TABLES + 1), 8, imports.size(Table::Thunks, arch)),
        (Table::LocalSlots, b".rdata", read, rank(RDATA, TABLES), word, imports.size(Table::LocalSlots, arch)),
        (Table::ImportDirectory, b".idata", read, at(2, 0), 4, imports.size(Table::ImportDirectory, arch)),
        (
            Table::ImportDirectoryEnd,
            b".idata",
            read,
            at(3, 3),
            4,
            if has_imports { imports::DIRECTORY_ENTRY } else { 0 },
        ),
        (Table::ImportLookup, b".idata", read, at(4, 0), word, imports.size(Table::ImportLookup, arch)),
        (Table::ImportAddress, b".idata", read, at(5, 0), word, imports.size(Table::ImportAddress, arch)),
        (Table::ImportNames, b".idata", read, at(6, 3), 2, imports.size(Table::ImportNames, arch)),
        (
            Table::Exports,
            b".edata",
            read,
            rank(RDATA, TABLES + 1),
            4,
            if link.pe.exports.is_empty() { 0 } else { link.pe.exports.size(link) },
        ),
        (Table::PseudoRelocations, b".rdata", read, rank(RDATA, TABLES + 3), 4, super::pseudo::size(link)),
        (
            Table::BuildId,
            b".buildid",
            read,
            rank(RDATA, TABLES + 2),
            4,
            if link.options.pe.build_id { super::headers::BUILD_ID_SIZE } else { 0 },
        ),
        (
            Table::ConstructorsStart,
            b".ctors",
            read,
            rank(RDATA, CONSTRUCTORS),
            word,
            if constructors { word } else { 0 },
        ),
        (
            Table::ConstructorsEnd,
            b".ctors",
            read,
            rank(RDATA, CONSTRUCTORS + 2),
            word,
            if constructors { word } else { 0 },
        ),
        (Table::DestructorsStart, b".dtors", read, rank(RDATA, DESTRUCTORS), word, if destructors { word } else { 0 }),
        (
            Table::DestructorsEnd,
            b".dtors",
            read,
            rank(RDATA, DESTRUCTORS + 2),
            word,
            if destructors { word } else { 0 },
        ),
        (Table::Resources, b".rsrc", read, rank(RESOURCES, MAIN), 8, link.pe.resources.size()),
    ];
    for (table, name, flags, rank, align, size) in tables {
        if size > 0 {
            let output = output(Cow::Borrowed(name), flags, rank, align, table.content());
            link.outputs.push(OutputSection { size, ..output });
        }
    }
    // Without base relocations an image that says it may be moved is refused; one with none still has an empty list.
    let reloc = output(Cow::Borrowed(b".reloc"), read, rank(RELOC, MAIN), 4, Table::BaseRelocations.content());
    link.outputs.push(reloc);
}

/// Tells each input section its output section, and the plan where the tables are.
fn number(link: &mut Link<'_>) {
    for (number, output) in link.outputs.iter().enumerate() {
        let number = number as u32;
        match &output.content {
            Content::Inputs(inputs) => {
                for (object, index) in inputs {
                    link.objects[object.index()].sections[*index as usize].output = number;
                }
                if output.name == ROWS && row_size(link.target.arch).is_some() {
                    link.pe.rows = Some(number);
                }
            }
            Content::Commons(_) => link.pe.commons = Some(number),
            Content::Table(table) => {
                if let Some(place) = link.pe.tables.get_mut(*table as usize) {
                    *place = Some(number);
                }
            }
        }
    }
}

/// Groups the output sections into sections of the image.
fn group(link: &mut Link<'_>) {
    let mut sections: Vec<ImageSection> = Vec::new();
    let mut section_of = Vec::with_capacity(link.outputs.len());
    let mut last = None;
    let mut warnings = Vec::new();
    for (number, output) in link.outputs.iter().enumerate() {
        let number = number as u32;
        let group = output.rank >> PLACE_BITS;
        if last != Some(group) {
            last = Some(group);
            sections.push(ImageSection {
                name: section_name(link, output, group),
                outputs: (number, number),
                characteristics: characteristics(group),
                address: 0,
                size: 0,
                file_size: 0,
                offset: 0,
            });
        }
        if let Some(section) = sections.last_mut() {
            section.outputs.1 = number + 1;
            let further = further_characteristics(group, output);
            section.characteristics |= further;
            if output.kind & !further != 0 {
                warnings.push(format!(
                    "{}: an object asks for memory that all processes share, which is not for {}; give it a section of its own",
                    String::from_utf8_lossy(&output.name),
                    String::from_utf8_lossy(&section.name)
                ));
            }
        }
        section_of.push(sections.len() as u16 - 1);
    }
    for section in &mut sections {
        if let Some(attributes) = link.pe.attributes.get(&section.name) {
            section.characteristics = section.characteristics & !ATTRIBUTES | attributes;
        }
    }
    link.pe.sections = sections;
    link.pe.section_of = section_of;
    link.report.warnings.extend(warnings);
}

fn section_name(link: &Link<'_>, output: &OutputSection<'_>, group: u32) -> Vec<u8> {
    match group {
        TEXT => b".text".to_vec(),
        RDATA => b".rdata".to_vec(),
        DATA => b".data".to_vec(),
        PDATA => ROWS.to_vec(),
        WRITTEN_CODE => WRITTEN_CODE_NAME.to_vec(),
        DELAYED => DELAYED_NAME.to_vec(),
        RESOURCES => b".rsrc".to_vec(),
        RELOC => b".reloc".to_vec(),
        HEAP_IMAGE => HEAP_IMAGE_NAME.to_vec(),
        _ => joined(link, base_name(&output.name)).to_vec(),
    }
}

/// What the header of a section of the image says in any case.
fn characteristics(group: u32) -> u32 {
    let read = pe::IMAGE_SCN_MEM_READ.0;
    let data = pe::IMAGE_SCN_CNT_INITIALIZED_DATA.0 | read;
    match group {
        TEXT => pe::IMAGE_SCN_CNT_CODE.0 | pe::IMAGE_SCN_MEM_EXECUTE.0 | read,
        WRITTEN_CODE => pe::IMAGE_SCN_CNT_CODE.0 | pe::IMAGE_SCN_MEM_EXECUTE.0 | read | pe::IMAGE_SCN_MEM_WRITE.0,
        DATA | TLS | DELAYED | HEAP_IMAGE => data | pe::IMAGE_SCN_MEM_WRITE.0,
        RELOC => data | pe::IMAGE_SCN_MEM_DISCARDABLE.0,
        group if group >= DEBUG => data | pe::IMAGE_SCN_MEM_DISCARDABLE.0,
        _ => data,
    }
}

/// What an output section adds to that: nothing where custom says what the section is. Memory that all processes which load
/// the image share is for what was put into a section of its own.
fn further_characteristics(group: u32, output: &OutputSection<'_>) -> u32 {
    if matches!(group, RDATA | DATA | PDATA | TLS | WRITTEN_CODE | DELAYED | RELOC | HEAP_IMAGE) || group >= DEBUG {
        return 0;
    }
    let write = if output.flags.has(Flags::WRITE) { pe::IMAGE_SCN_MEM_WRITE.0 } else { 0 };
    let exec = pe::IMAGE_SCN_MEM_EXECUTE.0 | pe::IMAGE_SCN_CNT_CODE.0;
    output.kind | write | if output.flags.has(Flags::EXEC) { exec } else { 0 }
}

/// Whether an output section has its addresses before the base relocations are known.
pub(crate) fn is_before_base_relocs(output: &OutputSection<'_>) -> bool {
    output.rank >> PLACE_BITS < RELOC
}

/// The section of resources: address, and size in bytes.
pub(super) fn resources(link: &Link<'_>) -> Option<(u64, u64)> {
    let first = |section: &ImageSection| link.outputs.get(section.outputs.0 as usize);
    let is_theirs = |section: &&ImageSection| first(section).is_some_and(|it| it.rank >> PLACE_BITS == RESOURCES);
    link.pe.sections.iter().find(is_theirs).map(|section| (section.address, section.size))
}
