//! Compressed sections: those of the input are put into their plain form before anything looks at them, and debug
//! sections of the image are packed once nothing in them changes any more.
//!
//! Relocations of a compressed section are those of its contents, and the contents of several objects are joined, so
//! they cannot be copied through.

use std::borrow::Cow;

use super::parse::ALIGN_LIMIT;
use super::segments;
use crate::apply::{self, Stretch};
use crate::arch::Bits;
use crate::debug::compress::{Algorithm, Compressed, Refused, compress, header_alignment};
use crate::debug::{self, Trouble};
use crate::error::{Error, Errors};
use crate::layout::{Content, OutputSection};
use crate::link::Link;
use crate::memory;
use crate::model::{Object, ObjectId, Section, SectionFlags, SectionIndex};
use crate::options::{DebugCompression, Strip};
use crate::reader::Malformed;

/// Decompresses what will be in the image.
///
/// # Errors
/// Every section whose header or stream is malformed, and [`Error::Limit`] if all together have more bytes than
/// [`Limits::decompressed_size`](crate::Limits).
pub(crate) fn decompress(link: &mut Link<'_>) -> Result<(), Errors> {
    let stripped = link.options.strip != Strip::None;
    let class64 = is_class64(link);
    let mut sections: Vec<(ObjectId, SectionIndex)> = Vec::new();
    let mut problems = Vec::new();
    let mut total = 0_u64;
    for (id, object) in link.objects() {
        for (index, section) in object.sections.iter().enumerate() {
            let left_out = stripped && section.flags.has(SectionFlags::DEBUG);
            if !section.is_live() || left_out || !section.flags.has(SectionFlags::COMPRESSED) {
                continue;
            }
            match header(section, class64) {
                Ok(None) => {}
                Ok(Some(compressed)) => {
                    total = total.saturating_add(compressed.size);
                    sections.push((id, index as SectionIndex));
                }
                Err(malformed) => problems.push(problem(object, section, malformed)),
            }
        }
    }
    Errors::check(problems)?;
    if total > link.options.limits.decompressed_size {
        let what = "the decompressed size of all compressed sections".to_owned();
        let limit = link.options.limits.decompressed_size;
        return Err(Error::Limit { name: "decompressed_size", what, wanted: total, limit }.into());
    }
    let contents = link.workers.map(&sections, |(id, index)| {
        let section = link.section(*id, *index);
        let compressed = header(section, class64)?.ok_or(Malformed::new(0, "not compressed"))?;
        Ok((compressed.decompress(total)?, compressed.alignment))
    });
    let mut problems = Vec::new();
    for ((id, index), contents) in sections.into_iter().zip(contents) {
        let object = &mut link.objects[id.index()];
        match contents {
            Ok((contents, alignment)) => {
                let section = &mut object.sections[index as usize];
                section.size = contents.len() as u64;
                section.data = Cow::Owned(contents);
                section.align = alignment.unwrap_or(section.align).min(ALIGN_LIMIT);
                section.flags = section.flags.without(SectionFlags::COMPRESSED);
                section.name = plain_name(section.name).unwrap_or(section.name);
            }
            Err(Refused::Malformed(malformed)) => {
                problems.push(problem(object, &object.sections[index as usize], malformed));
            }
            Err(refused) => {
                let name = String::from_utf8_lossy(object.sections[index as usize].name);
                problems.push(Error::unsupported(&object.name, format!("{name}: {refused}")));
            }
        }
    }
    link.report.counts.decompressed_bytes = total;
    Errors::check(problems)
}

/// Packs the image's debug sections, as far as they get smaller (`--compress-debug-sections`), and moves what follows them
/// in the file.
///
/// Addresses must be fixed, those of symbols too. For the time of packing, the debug sections are held in memory.
///
/// # Errors
/// Relocations that cannot be carried out, and a system without the memory.
pub(crate) fn pack(link: &mut Link<'_>) -> Result<(), Errors> {
    let algorithm = match link.options.elf.compress_debug {
        None => return Ok(()),
        Some(DebugCompression::Zlib) => Algorithm::Zlib,
        Some(DebugCompression::Zstd) => Algorithm::Zstd,
    };
    let debug = |output: &OutputSection<'_>| {
        output.flags.has(SectionFlags::DEBUG)
            && !output.flags.has(SectionFlags::ALLOC)
            && !output.flags.has(SectionFlags::ZERO)
    };
    let numbers: Vec<usize> = (0..link.outputs.len()).filter(|number| debug(&link.outputs[*number])).collect();
    let mut sizes: Vec<u64> = numbers.iter().map(|number| link.outputs[*number].size).collect();
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    let largest = sizes.iter().take(link.workers.count());
    let at_once = largest.map(|size| size + algorithm.packing_memory(*size)).sum::<u64>();
    let class64 = is_class64(link);
    let packed = link.workers.map(&numbers, |number| {
        let output = &link.outputs[*number];
        let contents = contents(link, output)?;
        Ok::<_, Vec<Trouble>>((*number, compress(&contents, algorithm, output.align, class64)))
    });
    let mut problems: Vec<Trouble> = Vec::new();
    for result in packed {
        match result {
            Ok((_, None)) => {}
            Ok((number, Some(bytes))) => {
                let output = &mut link.outputs[number];
                output.size = bytes.len() as u64;
                output.align = header_alignment(class64);
                output.flags = output.flags.and(SectionFlags::COMPRESSED);
                link.elf.packed.insert(number, bytes);
            }
            Err(found) => problems.extend(found),
        }
    }
    debug::check(link, problems)?;
    link.report.memory_peak = link.report.memory_peak.max(memory::held(link).saturating_add(at_once));
    // Nothing that is loaded has changed, so only what is behind it in the file moves.
    segments::place(link)?;
    Ok(())
}

/// The bytes of an output section that is not loaded.
fn contents(link: &Link<'_>, output: &OutputSection<'_>) -> Result<Vec<u8>, Vec<Trouble>> {
    let mut contents = Vec::new();
    let size = usize::try_from(output.size).unwrap_or(usize::MAX);
    if contents.try_reserve_exact(size).is_err() {
        let name = String::from_utf8_lossy(&output.name);
        let what = format!("there is no memory to compress the {size} bytes of {name}");
        return Err(vec![Trouble::output(Error::Options(what))]);
    }
    contents.resize(size, 0);
    let mut problems = Vec::new();
    if let Content::Inputs(inputs) = &output.content {
        for &(object, section) in inputs {
            let input = link.section(object, section);
            let start = usize::try_from(input.offset).unwrap_or(usize::MAX);
            let place = contents.get_mut(start..).and_then(|rest| rest.get_mut(..input.data.len()));
            if let Some(place) = place {
                let stretch = Stretch { object, section, start: 0, address: input.offset };
                apply::fill(link, stretch, place, &mut problems);
            }
        }
    }
    if problems.is_empty() { Ok(contents) } else { Err(problems) }
}

/// Whether the image, as its inputs, has headers of 64-bit files.
fn is_class64(link: &Link<'_>) -> bool {
    super::machine(link).bits == Bits::B64
}

/// The compression header of a section that was said to have one; `None` for a `.zdebug_*` section without.
fn header<'s>(section: &'s Section<'_>, class64: bool) -> Result<Option<Compressed<'s>>, Malformed> {
    if section.name.starts_with(b".zdebug_") {
        if plain_name(section.name).is_none() {
            return Err(Malformed::new(0, "the name of a compressed debug section is not known"));
        }
        return Compressed::parse_gnu(&section.data);
    }
    Compressed::parse(&section.data, class64).map(Some)
}

fn problem(object: &Object<'_>, section: &Section<'_>, malformed: Malformed) -> Error {
    let name = String::from_utf8_lossy(section.name);
    Error::malformed(&object.name, format!("{name} at offset 0x{:x}: {}", malformed.offset, malformed.what))
}

/// What a section is called whose compressed form of old is called `.zdebug_*`.
fn plain_name(name: &[u8]) -> Option<&'static [u8]> {
    const NAMES: [&[u8]; 24] = [
        b".debug_abbrev",
        b".debug_addr",
        b".debug_aranges",
        b".debug_cu_index",
        b".debug_frame",
        b".debug_gdb_scripts",
        b".debug_gnu_pubnames",
        b".debug_gnu_pubtypes",
        b".debug_info",
        b".debug_line",
        b".debug_line_str",
        b".debug_loc",
        b".debug_loclists",
        b".debug_macinfo",
        b".debug_macro",
        b".debug_names",
        b".debug_pubnames",
        b".debug_pubtypes",
        b".debug_ranges",
        b".debug_rnglists",
        b".debug_str",
        b".debug_str_offsets",
        b".debug_tu_index",
        b".debug_types",
    ];
    let name = name.strip_prefix(b".z")?;
    NAMES.into_iter().find(|plain| plain.strip_prefix(b".") == Some(name))
}
