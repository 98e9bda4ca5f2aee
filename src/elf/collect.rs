//! Which output section of an ELF image each input section goes to.
//!
//! Sections go together by their names, or those of their families, and by what the loader is to do with them. The order of
//! sections whose names end in priorities is that of the priorities.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use object::elf;

use super::machine;
use super::parse::is_or_starts;
use super::plan::{CODE, HEAP_IMAGE, LARGE, MOVED, NOT_LOADED, RELRO, WRITABLE, WRITABLE_CODE};
use crate::layout::{Content, OutputSection};
use crate::link::Link;
use crate::model::{ObjectId, SectionFlags as Flags, SectionIndex};
use crate::names::is_identifier;
use crate::options::Strip;

/// Output names that several input names go to: `.text.foo` goes to `.text`.
const FAMILIES: [&[u8]; 23] = [
    b".text",
    b".rodata",
    b".data.rel.ro",
    b".data",
    b".bss.rel.ro",
    b".bss",
    b".ltext",
    b".lrodata",
    b".ldata.rel.ro",
    b".ldata",
    b".lbss",
    b".gcc_except_table",
    b".tdata",
    b".tbss",
    b".init_array",
    b".fini_array",
    b".preinit_array",
    b".ctors",
    b".dtors",
    b".sdata",
    b".sbss",
    b".eh_frame",
    b".ARM.extab",
];

/// Sorts the input sections into output sections.
pub(super) fn collect(link: &mut Link<'_>) {
    type Key<'a> = (Cow<'a, [u8]>, Flags);
    // Where programs or loaders ask for a section's bounds, it is one, whether or not some of what goes there is only read. But
    // code and data stay apart: nothing is written where code is.
    let joined = Flags::ALLOC.and(Flags::EXEC).and(Flags::TLS);
    let kept = joined.and(Flags::WRITE).and(Flags::FAR);
    let mut outputs: IndexMap<Key<'_>, OutputSection<'_>, foldhash::quality::RandomState> = IndexMap::default();
    let mut comments: HashSet<Vec<u8>> = HashSet::new();
    let mut dropped = Vec::new();
    let moves = link.options.elf.separate_debug_file.is_some();
    let mut priorities: HashMap<(ObjectId, SectionIndex), i64> = HashMap::new();
    let mut reversed = HashMap::default();
    let word = machine(link).bits.word();
    for (id, object) in link.objects() {
        for (index, section) in object.sections.iter().enumerate() {
            let index = index as u32;
            if !section.is_live() || section.flags.has(Flags::EXIDX) {
                continue;
            }
            let debug = section.flags.has(Flags::DEBUG) || is_debug_aid(section.name);
            if debug && !section.flags.has(Flags::ALLOC) && link.options.strip != Strip::None {
                dropped.push((id, index));
                continue;
            }
            // Each compiler signs each object; one signature of each is enough.
            let signed = section.name == b".comment" && section.relocs.is_empty();
            if signed && !comments.insert(section.data.to_vec()) {
                dropped.push((id, index));
                continue;
            }
            let heap = link.heap_image == Some((id, index));
            let constructors = super::constructors(word, object, section);
            let family = constructors.unwrap_or_else(|| family(section.name));
            let kind = start_up_kind(family).map_or(section.kind, |kind| kind.0);
            let name = if heap { Cow::Owned([family, b".image"].concat()) } else { Cow::Borrowed(family) };
            let bounded = is_identifier(&name) || start_up_kind(family).is_some();
            // Readers of unwind records go through one section.
            let one = bounded || section.flags.has(Flags::EH_FRAME);
            let key = section.flags.common(if one { joined } else { kept });
            let output = outputs.entry((name.clone(), key)).or_insert_with(|| OutputSection {
                rank: match section.flags.has(Flags::ALLOC) {
                    _ if heap => HEAP_IMAGE,
                    false if debug && moves => MOVED,
                    _ => NOT_LOADED,
                },
                name,
                kind,
                flags: section.flags.without(Flags::GROUP.and(Flags::RETAIN)),
                align: 1,
                entry_size: section.entry_size,
                content: Content::Inputs(Vec::new()),
                size: 0,
                address: 0,
                offset: 0,
            });
            combine(output, section.flags, kind, section.entry_size);
            if let Content::Inputs(inputs) = &mut output.content {
                inputs.push((id, index));
            }
            if constructors.is_some() {
                reversed.insert((id, index), section.data.len() as u64);
            }
            if let Some(priority) = start_up_priority(section.name, constructors.is_some()) {
                priorities.insert((id, index), priority);
            }
        }
    }
    let mut outputs: Vec<OutputSection<'_>> = outputs.into_values().collect();
    for output in &mut outputs {
        if !matches!(output.rank, HEAP_IMAGE | MOVED) {
            output.rank = rank(&output.name, output.kind, output.flags);
        }
        if let Content::Inputs(inputs) = &mut output.content
            && inputs.iter().any(|input| priorities.contains_key(input))
        {
            // Stable: equal priorities stay in link order.
            inputs.sort_by_key(|input| priorities.get(input).copied().unwrap_or(NO_PRIORITY));
        }
    }
    order_by_links(link, &mut outputs);
    // The heap image is called as other data is, unless there is other data of that name.
    if let Some(heap) = outputs.iter().position(|output| output.rank == HEAP_IMAGE) {
        let plain = outputs[heap].name.strip_suffix(b".image").unwrap_or_default().to_vec();
        if !outputs.iter().any(|output| *output.name == *plain) {
            outputs[heap].name = Cow::Owned(plain);
        }
    }
    if !dropped.is_empty() {
        for (object, section) in dropped {
            link.objects[object.index()].sections[section as usize].fate = crate::model::Fate::Stripped;
        }
        link.symbols.mark_left_out(&link.objects);
    }
    link.outputs = outputs;
    link.elf.reversed = reversed;
}

/// Puts sections that are ordered as others (SHF_LINK_ORDER) in the order that those have (gABI, *Sections*), before what is
/// not. Lists of what runs by itself have an order of their own.
fn order_by_links(link: &Link<'_>, outputs: &mut [OutputSection<'_>]) {
    let leader = |&(object, index): &(ObjectId, SectionIndex)| leader(link, object, index);
    let leaders: HashSet<_> = outputs.iter().flat_map(OutputSection::inputs).filter_map(leader).collect();
    if leaders.is_empty() {
        return;
    }
    let mut places = HashMap::new();
    for (number, output) in outputs.iter().enumerate() {
        for (at, input) in output.inputs().iter().enumerate().filter(|(_, input)| leaders.contains(input)) {
            places.insert(*input, (output.rank, number, at));
        }
    }
    for output in outputs.iter_mut().filter(|output| start_up_kind(&output.name).is_none()) {
        if let Content::Inputs(inputs) = &mut output.content
            && inputs.iter().any(|input| leader(input).is_some())
        {
            let place = |input: &_| leader(input).and_then(|leader| places.get(&leader).copied());
            inputs.sort_by_cached_key(|input| place(input).map_or((true, (0, 0, 0)), |place| (false, place)));
        }
    }
}

/// The section that another one is ordered as, if it is one of those.
pub(super) fn leader(link: &Link<'_>, object: ObjectId, index: SectionIndex) -> Option<(ObjectId, SectionIndex)> {
    let section = link.section(object, index);
    section.flags.has(Flags::LINK_ORDER).then_some((object, section.linked))
}

/// The output section's name of an input section.
fn family(name: &[u8]) -> &[u8] {
    let mut families = FAMILIES.iter().copied();
    families.find(|family| is_or_starts(name, family)).map_or(name, |family| &name[..family.len()])
}

/// Sections that only debuggers read, beside DWARF's.
fn is_debug_aid(name: &[u8]) -> bool {
    name.starts_with(b".stab") || name == b".gdb_index" || name.starts_with(b".gnu.debuglto_")
}

/// What an output section is when one more input section joins it.
fn combine(output: &mut OutputSection<'_>, flags: Flags, kind: u32, entry_size: u64) {
    let merging = Flags::MERGE.and(Flags::STRINGS);
    if output.flags.common(merging) != flags.common(merging) || output.entry_size != entry_size {
        output.flags = output.flags.without(merging);
        output.entry_size = 0;
    }
    if !flags.has(Flags::ZERO) && output.flags.has(Flags::ZERO) {
        output.flags = output.flags.without(Flags::ZERO);
        output.kind = kind;
    } else if output.kind != kind && !flags.has(Flags::ZERO) {
        output.kind = elf::SHT_PROGBITS.0;
    }
    if flags.has(Flags::WRITE) {
        let protected = flags.has(Flags::RELRO) && (output.flags.has(Flags::RELRO) || !output.flags.has(Flags::WRITE));
        output.flags = output.flags.without(Flags::RELRO).when(protected, Flags::RELRO);
    }
    if !flags.has(Flags::LINK_ORDER) {
        output.flags = output.flags.without(Flags::LINK_ORDER);
    }
    output.flags = output.flags.and(flags.common(Flags::FAR.and(Flags::WRITE)));
}

/// The type of sections whose name says what they are: some compilers leave it at SHT_PROGBITS.
fn start_up_kind(family: &[u8]) -> Option<elf::SectionType> {
    match family {
        b".init_array" => Some(elf::SHT_INIT_ARRAY),
        b".fini_array" => Some(elf::SHT_FINI_ARRAY),
        b".preinit_array" => Some(elf::SHT_PREINIT_ARRAY),
        _ => None,
    }
}

/// Where a section without a number stands among those with one: behind the 65,536 priorities that compilers know, before what
/// is numbered higher to come last of all, as LLD has it (for GNU ld any number comes first).
const NO_PRIORITY: i64 = 1 << 16;

/// The order of `.init_array.N` and the like: by number. `.ctors.N` counts the other way round (GCC's manual, `init_priority`),
/// and so does the list that its start files go through from its end.
fn start_up_priority(name: &[u8], to_array: bool) -> Option<i64> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u32>().ok().map(i64::from);
    for family in [&b".init_array."[..], b".fini_array.", b".preinit_array."] {
        if let Some(digits) = name.strip_prefix(family) {
            return number(digits);
        }
    }
    for family in [&b".ctors."[..], b".dtors."] {
        if let Some(digits) = name.strip_prefix(family) {
            return number(digits).map(|number| if to_array { NO_PRIORITY - 1 - number } else { number });
        }
    }
    None
}

/// The place in the image of an output section, once all is in it.
fn rank(name: &[u8], kind: u32, flags: Flags) -> u32 {
    if !flags.has(Flags::ALLOC) {
        return NOT_LOADED;
    }
    if flags.has(Flags::EXEC) {
        return match name {
            _ if flags.has(Flags::WRITE) => WRITABLE_CODE,
            b".init" => CODE,
            b".text" => CODE + 10,
            b".fini" => CODE + 30,
            _ => CODE + 11,
        };
    }
    if !flags.has(Flags::WRITE) {
        return match name {
            _ if kind == elf::SHT_NOTE.0 => 12,
            _ if flags.has(Flags::FAR) || name == b".lrodata" => 30,
            b".rodata" => 40,
            _ if flags.has(Flags::EH_FRAME) => 51,
            b".gcc_except_table" => 52,
            _ => 45,
        };
    }
    if flags.has(Flags::RELRO) {
        return match elf::SectionType(kind) {
            _ if flags.has(Flags::TLS) => RELRO + u32::from(flags.has(Flags::ZERO)),
            elf::SHT_PREINIT_ARRAY => RELRO + 2,
            elf::SHT_INIT_ARRAY => RELRO + 3,
            elf::SHT_FINI_ARRAY => RELRO + 4,
            _ if name == b".ctors" || name == b".dtors" => RELRO + 5,
            // Words like those of the GOT, as near to the TOC pointer.
            _ if name == b".toc" => RELRO + 32,
            _ if flags.has(Flags::ZERO) => RELRO + 40,
            _ => RELRO + 10,
        };
    }
    match (flags.has(Flags::FAR), flags.has(Flags::ZERO)) {
        (false, false) => WRITABLE + 10,
        (false, true) => WRITABLE + 100,
        // Behind all that 32-bit displacements must reach, what is zero included.
        (true, false) => LARGE,
        (true, true) => LARGE + 10,
    }
}
