//! The dSYM: the objects' debug information, linked, in a bundle of its own (`-dsym`).
//!
//! By custom debug information stays in the objects of a Mach-O image. The image has a [debug map](super::stabs), and
//! `dsymutil` goes through it and makes a bundle: a directory `NAME.dSYM` with `Contents/Info.plist` and, in
//! `Contents/Resources/DWARF/NAME`, a Mach-O file of the type `MH_DSYM`. Debuggers know by `LC_UUID` that it belongs to the
//! image. When the linker makes the bundle itself, no second program has to look for the objects, and the image has no
//! debug map, whose paths nobody would follow.
//!
//! The file has the image's segments and sections, with their addresses but without contents; a `__LINKEDIT` of its own with
//! the symbol table, local symbols included; and a segment `__DWARF` behind it in memory, with the objects' sections
//! [joined](crate::debug::join). The image does not move the parts of an object's section against each other, so whatever
//! DWARF tells by distances stays as it is. An object whose DWARF cannot be joined is left out, with a warning.
//!
//! Left out are the tables that only save readers time, `__debug_aranges`, `__debug_names` and `__apple_*`: they say nothing
//! that the others do not, and debuggers make an index of their own where there is none.
//!
//! What refers to code that is not in the image has as its address -1, which is the end of the address space, or -2 in
//! lists where -1 means something else.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use object::macho as m;

use super::header::{self, Writer};
use super::linkedit::Part;
use super::plan::padded;
use super::symtab::{File, SymbolTable};
use super::{page_size, parse};
use crate::apply::Stretch;
use crate::debug::join::{self, KINDS, Kind, Patches, PerKind};
use crate::error::Error;
use crate::image::{Checksum, Extent, FilePlan, Source};
use crate::link::{Link, over};
use crate::memory::of_vec;
use crate::model::{Object, ObjectId, SectionFlags, SectionIndex, SymbolSection};
use crate::options::Options;
use crate::reloc;

/// Bytes of a page in the file: parts of it begin at multiples.
const PAGE: u64 = 0x1000;
/// Bytes of the identity.
const UUID: u64 = 16;
/// `S_ATTR_DEBUG`
const DEBUG: u32 = 0x0200_0000;
/// `VM_PROT_READ | VM_PROT_WRITE`
const READ_WRITE: u32 = 3;

/// Where a bundle's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The file with the debug information.
    pub(crate) dwarf: PathBuf,
    /// What says that the directory is a bundle.
    pub(crate) plist: PathBuf,
    /// The contents of that.
    pub(crate) plist_contents: Vec<u8>,
}

/// The name of the image that a bundle is for: the bundle's own without `.dSYM`.
pub(crate) fn image_name(bundle: &Path) -> Option<&OsStr> {
    let is_bundle = bundle.extension().is_some_and(|extension| extension == "dSYM");
    bundle.file_stem().filter(|_| is_bundle)
}

/// The bundle that is asked for.
pub(crate) fn bundle(options: &Options) -> Option<Bundle> {
    let path = options.macho.dsym.as_ref()?;
    let name = image_name(path)?;
    let contents = path.join("Contents");
    Some(Bundle {
        dwarf: contents.join("Resources").join("DWARF").join(name),
        plist: contents.join("Info.plist"),
        plist_contents: plist(&name.to_string_lossy()).into_bytes(),
    })
}

/// The list of the bundle's properties, as `dsymutil` writes it.
fn plist(name: &str) -> String {
    let mut escaped = String::new();
    for character in name.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Other control characters are none of XML 1.0.
            '\u{0}'..='\u{1f}' => escaped.push('_'),
            other => escaped.push(other),
        }
    }
    let mut list = String::from(concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<!DOCTYPE plist PUBLIC \"-//Apple Computer//DTD PLIST 1.0//EN\" ",
        "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n",
        "<plist version=\"1.0\">\n\t<dict>\n",
    ));
    let identifier = format!("com.apple.xcode.dsym.{escaped}");
    let properties = [
        ("CFBundleDevelopmentRegion", "English"),
        ("CFBundleIdentifier", &identifier),
        ("CFBundleInfoDictionaryVersion", "6.0"),
        ("CFBundlePackageType", "dSYM"),
        ("CFBundleSignature", "????"),
        ("CFBundleShortVersionString", "1.0"),
        ("CFBundleVersion", "1"),
    ];
    for (key, value) in properties {
        list.push_str(&format!("\t\t<key>{key}</key>\n\t\t<string>{value}</string>\n"));
    }
    list.push_str("\t</dict>\n</plist>\n");
    list
}

/// The debug information of the objects, joined.
#[derive(Debug, Default)]
pub(crate) struct Dwarf {
    /// What each object contributes, by its number.
    contributions: Vec<Option<Contribution>>,
    /// The size of each section, in bytes.
    sizes: PerKind<u64>,
    /// The symbol table of the file.
    pub(super) symbols: SymbolTable,
}

/// The DWARF of one object.
#[derive(Debug)]
struct Contribution {
    /// The number of each section in the object, if it has one.
    sections: PerKind<Option<SectionIndex>>,
    /// Where offsets stand.
    patches: Patches,
    /// Where the sections start in those of the file.
    bases: PerKind<u64>,
}

impl Dwarf {
    /// Reads the DWARF of all objects. What cannot be joined is told in the second value.
    ///
    /// # Errors
    /// A section of more than 4 GiB.
    fn gather(link: &Link<'_>) -> Result<(Self, Vec<String>), Error> {
        let ids: Vec<ObjectId> = link.objects().map(|(id, _)| id).collect();
        let found = link.workers.map(&ids, |id| contribution(link.object(*id)));
        let mut dwarf = Self::default();
        let mut warnings = Vec::new();
        for (id, found) in ids.into_iter().zip(found) {
            let object = link.object(id);
            let contribution = found.unwrap_or_else(|what| {
                warnings.push(format!("{}: its debug information is left out of the dSYM: {what}", object.name));
                None
            });
            let contribution = contribution.map(|mut contribution| {
                contribution.bases = dwarf.sizes.clone();
                for (kind, section) in contribution.sections.iter() {
                    let size = dwarf.sizes.of_mut(kind);
                    *size = size.saturating_add(section.map_or(0, |index| data(object, index).len() as u64));
                }
                contribution
            });
            dwarf.contributions.push(contribution);
        }
        for (kind, name) in KINDS {
            let what = format!("the size of __debug_{name} of all objects");
            over("DWARF section", &what, *dwarf.sizes.of(kind), u32::MAX.into())?;
        }
        Ok((dwarf, warnings))
    }

    /// Bytes of memory that it takes.
    pub(crate) fn held(&self) -> u64 {
        let patches = self.contributions.iter().flatten().map(|contribution| join::held(&contribution.patches));
        let own = of_vec(&self.contributions).saturating_add(self.symbols.held());
        patches.fold(own, u64::saturating_add)
    }
}

fn data<'o>(object: &'o Object<'_>, section: SectionIndex) -> &'o [u8] {
    object.sections.get(section as usize).map(|section| &section.data[..]).unwrap_or_default()
}

/// A section's name in a Mach-O file, which has room for 16 bytes.
fn section_name(name: &str) -> [u8; 16] {
    padded(format!("__debug_{name}").as_bytes())
}

/// What an object contributes, if it has debug information.
///
/// # Errors
/// In words: why it cannot be joined to that of others.
fn contribution(object: &Object<'_>) -> Result<Option<Contribution>, String> {
    let mut sections = PerKind::<Option<SectionIndex>>::default();
    for (section, index) in object.sections.iter().zip(0_u32..) {
        if !section.flags.has(SectionFlags::DEBUG) {
            continue;
        }
        let Some((kind, name)) = KINDS.into_iter().find(|(_, name)| padded(section.name) == section_name(name)) else {
            continue;
        };
        if sections.of_mut(kind).replace(index).is_some() {
            return Err(format!("it has more than one __debug_{name}"));
        }
        for raw in reloc::decode(section, 0..section.relocs.len()) {
            let symbol = object.symbols.get(raw.symbol as usize);
            let to = symbol.and_then(|symbol| match symbol.section() {
                SymbolSection::In(index) => object.sections.get(index as usize),
                _ => None,
            });
            if to.is_some_and(|to| to.flags.has(SectionFlags::DEBUG)) {
                return Err(format!("__debug_{name}+0x{:x}: a relocation to a debug section", raw.offset));
            }
        }
    }
    let contents = PerKind::new(|kind, _| sections.of(kind).map(|index| data(object, index)).unwrap_or_default());
    if contents.of(Kind::Info).is_empty() {
        return Ok(None);
    }
    let patches = join::patches(&contents).map_err(|problem| {
        let name = KINDS.iter().find(|(kind, _)| *kind == problem.section).map_or("", |(_, name)| name);
        format!("__debug_{name}: {}", problem.what)
    })?;
    Ok(Some(Contribution { sections, patches, bases: PerKind::default() }))
}

/// Adds the places of contributions to the offsets in a stretch of a section that starts at `start` and is in `out`.
pub(crate) fn patch(link: &Link<'_>, id: ObjectId, section: SectionIndex, start: u64, out: &mut [u8]) {
    let Some(contribution) = link.macho.dwarf.contributions.get(id.index()).and_then(Option::as_ref) else { return };
    let kind = contribution.sections.iter().find(|(_, index)| **index == Some(section));
    if let Some((kind, _)) = kind {
        let data = data(link.object(id), section);
        join::apply(data, contribution.patches.of(kind), &contribution.bases, start, out);
    }
}

/// Plans the file of the bundle.
///
/// # Errors
/// A file that is too large for the format.
pub(super) fn plan(link: &mut Link<'_>) -> Result<FilePlan, Error> {
    let (dwarf, warnings) = Dwarf::gather(link)?;
    link.report.warnings.extend(warnings);
    link.macho.dwarf = dwarf;

    let mut extents = Vec::new();
    let mut table = SymbolTable::for_debuggers(link)?;
    let commands = commands_size(link);
    let mut place = Place { symbol_count: table.count_all(), ..Place::default() };
    let linkedit = header::HEADER.saturating_add(commands).next_multiple_of(PAGE);
    place.symbols = Part { offset: linkedit, size: table.size() };
    table.emit(File::Dsym, linkedit, &mut extents);
    place.strings = Part { offset: linkedit.saturating_add(place.symbols.size), size: table.strings.size() };
    table.strings.emit(link, place.strings.offset, &mut extents);
    link.macho.dwarf.symbols = table;

    let mut offset = place.strings.offset.saturating_add(place.strings.size).next_multiple_of(PAGE);
    place.dwarf = offset;
    for (kind, size) in link.macho.dwarf.sizes.iter() {
        for (id, contribution) in link.objects().map(|(id, _)| id).zip(&link.macho.dwarf.contributions) {
            let Some(contribution) = contribution else { continue };
            let Some(section) = *contribution.sections.of(kind) else { continue };
            let base = *contribution.bases.of(kind);
            let stretch = Stretch { object: id, section, start: 0, address: base };
            let size = data(link.object(id), section).len() as u64;
            extents.push(Extent { offset: offset.saturating_add(base), size, source: Source::Section(stretch) });
        }
        offset = offset.saturating_add(*size);
    }
    place.end = offset;
    super::segments::check_size(link, place.end)?;
    let (bytes, identity) = write_header(link, &place);
    extents.push(Extent { offset: 0, size: bytes.len() as u64, source: Source::Owned(bytes) });
    Ok(FilePlan::new(place.end, extents, Checksum::Ieee).with_identity(identity.map(|offset| (offset, UUID))))
}

/// Where things are in the file.
#[derive(Debug, Default)]
struct Place {
    symbols: Part,
    symbol_count: u32,
    strings: Part,
    /// File offset of the DWARF sections, one after the other.
    dwarf: u64,
    /// Where the file ends.
    end: u64,
}

/// The DWARF sections that are not empty: names, sizes, and offsets from the first.
fn dwarf_sections(link: &Link<'_>) -> Vec<(&'static str, u64, u64)> {
    let mut sections = Vec::new();
    let mut offset = 0_u64;
    for ((_, name), (_, size)) in KINDS.into_iter().zip(link.macho.dwarf.sizes.iter()) {
        if *size > 0 {
            sections.push((name, *size, offset));
        }
        offset = offset.saturating_add(*size);
    }
    sections
}

/// Bytes of all load commands.
fn commands_size(link: &Link<'_>) -> u64 {
    let sections = link.outputs.len().saturating_add(dwarf_sections(link).len()) as u64;
    let segments = (link.macho.segments.len() as u64).saturating_add(1);
    let fixed = header::version_size(link).saturating_add(24 + 24);
    let segments = segments.saturating_mul(header::SEGMENT);
    sections.saturating_mul(header::SECTION).saturating_add(segments).saturating_add(fixed)
}

/// The header and the load commands, and the offset of the identity in them.
fn write_header(link: &Link<'_>, place: &Place) -> (Vec<u8>, Option<u64>) {
    let mut out = Writer::new(link, m::MH_DSYM, 0);
    let mut identity = None;
    if link.options.macho.uuid {
        out.begin(m::LC_UUID.0, 24);
        identity = Some(out.bytes.len() as u64);
        out.words([0; 4]);
    }
    header::version(link, &mut out);
    out.begin(m::LC_SYMTAB.0, 24);
    let low = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let (symbols, strings) = (place.symbols, place.strings);
    out.words([low(symbols.offset), place.symbol_count, low(strings.offset), low(strings.size)]);

    let page = page_size(link.target.arch);
    let mut address = 0_u64;
    for segment in &link.macho.segments {
        let outputs = link.outputs.get(segment.outputs.clone()).unwrap_or_default();
        let size = header::SEGMENT.saturating_add((outputs.len() as u64).saturating_mul(header::SECTION));
        out.begin(m::LC_SEGMENT_64.0, size);
        out.bytes.extend(segment.name);
        if parse::trimmed(&segment.name) == b"__LINKEDIT" {
            let size = symbols.size.saturating_add(strings.size);
            out.longs([segment.address, size.next_multiple_of(page), symbols.offset, size]);
            address = segment.address.saturating_add(size.next_multiple_of(page));
        } else {
            out.longs([segment.address, segment.size, 0, 0]);
        }
        out.words([segment.protection, segment.protection, low(outputs.len() as u64), segment.flags]);
        for output in outputs {
            out.bytes.extend(padded(&output.name));
            out.bytes.extend(segment.name);
            out.longs([output.address, output.size]);
            out.words([0, output.align.trailing_zeros(), 0, 0, output.kind, 0, 0, 0]);
        }
    }

    let sections = dwarf_sections(link);
    let size = header::SEGMENT.saturating_add((sections.len() as u64).saturating_mul(header::SECTION));
    let segment = padded(b"__DWARF");
    let file_size = place.end.saturating_sub(place.dwarf);
    out.begin(m::LC_SEGMENT_64.0, size);
    out.bytes.extend(segment);
    out.longs([address, file_size.next_multiple_of(page), place.dwarf, file_size]);
    out.words([READ_WRITE, READ_WRITE, low(sections.len() as u64), 0]);
    for (name, size, offset) in sections {
        out.bytes.extend(section_name(name));
        out.bytes.extend(segment);
        out.longs([address.saturating_add(offset), size]);
        out.words([low(place.dwarf.saturating_add(offset)), 0, 0, 0, DEBUG, 0, 0, 0]);
    }
    (out.finish(), identity)
}

#[cfg(test)]
mod tests;
