//! What objects expect of a linker, and what each symbol is to relocations.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::parse::trimmed;
use super::plan::{self, padded, segment_name};
use super::symtab::is_exported;
use super::{ObjectInfo, initialisers, is_coalesced, lazy, objc, other, relocs, selectors};
use crate::error::Error;
use crate::format::LocalTraits;
use crate::layout::OutputSection;
use crate::link::{Link, over};
use crate::model::{
    GlobalId, InputName, Object, ObjectInfo as Info, Section, SectionFlags as Flags, Symbol, SymbolKind, SymbolSection,
    Traits, Visibility,
};
use crate::options::{CreatedSection, Exports};
use crate::symbols::{Anchor, Definition, Global};

/// Where a section or a segment begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// The number of its names in [`Plan::bounded`](super::Plan::bounded).
    number: u32,
    /// It is the end.
    end: bool,
}

/// The names of a segment and perhaps of a section in it.
pub(crate) type Bounded = ([u8; 16], Option<[u8; 16]>);

/// Reads a name as `section$start$__DATA$__name` or `segment$end$__DATA`. The tables of the loader, whose size depends on all
/// else, have no such names.
fn boundary(name: &[u8]) -> Option<(Bounded, bool)> {
    let (kind, rest) = name.split_at_checked(8)?;
    let (end, rest) = match rest.strip_prefix(b"start$") {
        Some(rest) => (false, rest),
        None => (true, rest.strip_prefix(b"end$")?),
    };
    let mut parts = rest.splitn(2, |byte| *byte == b'$');
    let names = (parts.next()?, parts.next());
    let fits = |name: &[u8]| !name.is_empty() && name.len() <= 16 && name != b"__LINKEDIT";
    match (kind, names) {
        (b"section$", (segment, Some(section))) if fits(segment) && fits(section) => {
            Some(((padded(segment), Some(padded(section))), end))
        }
        (b"segment$", (segment, None)) if fits(segment) => Some(((padded(segment), None), end)),
        _ => None,
    }
}

/// Defines the names of boundaries that are asked for.
fn define_boundaries(link: &mut Link<'_>) {
    let asked = |(id, global): (GlobalId, &Global<'_>)| {
        let asked = global.definition == Definition::Undefined;
        asked.then(|| boundary(global.name)).flatten().map(|boundary| (id, boundary))
    };
    let asked: Vec<_> = link.symbols.iter().filter_map(asked).collect();
    for (id, ((segment, section), end)) in asked {
        // Names of the objects mean what has become of their sections, as in Apple's linker and LLD.
        let names = match &section {
            Some(section) => {
                let (segment, section) = plan::names(link, trimmed(&segment), trimmed(section));
                (padded(segment), Some(padded(section)))
            }
            None => (padded(plan::renamed_segment(link.options, trimmed(&segment))), None),
        };
        let (number, _) = link.macho.bounded.insert_full(names);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let global = link.symbols.get_mut(id);
        global.definition = Definition::Anchor(Anchor::MachO(Boundary { number, end }));
        global.visibility = Visibility::Hidden;
    }
}

/// The address of a boundary. What the image does not have begins and ends where the image begins.
pub(super) fn boundary_address(link: &Link<'_>, boundary: Boundary) -> u64 {
    let Some((segment, section)) = link.macho.bounded.get_index(boundary.number as usize) else { return 0 };
    let mut bounds: Option<(u64, u64)> = None;
    let mut add = |start: u64, end: u64| {
        bounds = Some(bounds.map_or((start, end), |(first, last)| (first.min(start), last.max(end))));
    };
    match section {
        None => {
            let found = link.macho.segments.iter().filter(|found| found.name == *segment);
            found.for_each(|found| add(found.address, found.address.saturating_add(found.size)));
        }
        Some(section) => {
            let is = |output: &&OutputSection<'_>| {
                padded(&output.name) == *section && segment_name(link, output.rank) == *segment
            };
            link.outputs.iter().filter(is).for_each(|output| add(output.address, output.end()));
        }
    }
    let (start, end) = bounds.unwrap_or_default();
    if boundary.end { end } else { start }
}

/// Defines the names that only a linker can define.
///
/// # Errors
/// A list of functions to run, or a description of Objective-C, that is malformed; descriptions that contradict each other.
pub(crate) fn define_symbols(link: &mut Link<'_>) -> Result<(), Error> {
    link.macho.platform = Some(super::platform(link));
    // Names of the image's first byte.
    let header: &[u8] = if link.options.macho.bundle { b"__mh_bundle_header" } else { b"__mh_dylib_header" };
    for name in [b"___dso_handle", header] {
        let Some((id, global)) = link.symbols.find(name) else { continue };
        if global.definition == Definition::Undefined {
            let global = link.symbols.get_mut(id);
            global.definition = Definition::Anchor(Anchor::ImageStart);
            global.visibility = Visibility::Hidden;
        }
    }
    define_boundaries(link);
    create_sections(link)?;
    selectors::make_stubs(link)?;
    export_by_name(link);
    follow_aliases(link)?;
    lazy::define_binder(link);
    objc::join_descriptions(link)?;
    initialisers::take(link)
}

/// Adds an object with the sections that are asked for, if there are any.
///
/// # Errors
/// More objects than there are numbers for.
fn create_sections(link: &mut Link<'_>) -> Result<(), Error> {
    let options = link.options;
    let created = &options.macho.created_sections;
    if created.is_empty() {
        return Ok(());
    }
    over("objects", "the number of objects", link.objects.len() as u64, u32::MAX.into())?;
    let mut sections = vec![Section::made(&[], Cow::Borrowed(&[]), 1, Flags::default())];
    for CreatedSection { segment, section, contents } in created {
        let flags = Flags::ALLOC.and(Flags::RETAIN).when(segment != "__TEXT", Flags::WRITE);
        sections.push(Section::made(section.as_bytes(), Cow::Borrowed(contents), 1, flags));
    }
    let mut symbols = Vec::new();
    let places = created.iter().map(|created| (created.segment.as_str(), created.contents.len() as u64, 1));
    let info = ObjectInfo::of_data(link.target, places, &mut symbols);
    link.objects.push(Object {
        name: InputName { file: "-sectcreate", member: None },
        sections,
        symbols,
        strings: &[],
        short_names: &[],
        groups: Vec::new(),
        hide_symbols: false,
        info: Info::MachO(info),
    });
    Ok(())
}

/// Has weak definitions that can be hidden be for others, if they are asked for; tells of names that are asked for and cannot.
fn export_by_name(link: &mut Link<'_>) {
    let Exports::Only(_) = &link.options.macho.exports else { return };
    let ids: Vec<GlobalId> = link.symbols.iter().map(|(id, _)| id).collect();
    let mut warnings = Vec::new();
    for id in ids {
        let global = link.symbols.get_mut(id);
        let Definition::Object(object, index) = global.definition else { continue };
        let Some(object) = link.objects.get(object.index()) else { continue };
        let symbol = object.symbols.get(index as usize);
        let can_be_hidden = symbol.is_some_and(|symbol| symbol.other & other::CAN_BE_HIDDEN != 0);
        if can_be_hidden && link.macho.allowed.allow(global.name) {
            global.visibility = Visibility::Default;
        } else if global.visibility == Visibility::Hidden && link.macho.allowed.asks_for(global.name) {
            let name = String::from_utf8_lossy(global.name);
            let what = "is not exported though -exported_symbol asks for it, since it is hidden (private extern)";
            warnings.push(format!("{name}: {what} in {}", object.name));
        }
    }
    link.report.warnings.extend(warnings);
}

/// Has what refers to other names for symbols of other images refer to these themselves: the loader knows them by their own.
///
/// # Errors
/// Such a name that is for others.
fn follow_aliases(link: &mut Link<'_>) -> Result<(), Error> {
    let mut leads = HashMap::new();
    for (id, global) in link.symbols.iter() {
        let Definition::Alias(target, offset) = global.definition else { continue };
        let (target, _) = link.symbols.root(target, offset);
        if link.symbols.get(target).is_defined_here() {
            continue;
        }
        if is_exported(link, global) {
            let name = |global: &Global<'_>| String::from_utf8_lossy(global.name).into_owned();
            let what = format!(
                "{} is another name for {}, which is not in the image: it cannot be for others; hide it, or link with what \
                 defines that",
                name(global),
                name(link.symbols.get(target))
            );
            let object = global.mention.map(|(object, _)| link.object(object).name.to_string());
            return Err(Error::unsupported(object.unwrap_or_else(|| "-alias".to_owned()), what));
        }
        leads.insert(id, target);
    }
    if leads.is_empty() {
        return Ok(());
    }
    for object in &mut link.objects {
        for symbol in &mut object.symbols {
            symbol.global = leads.get(&symbol.global).copied().unwrap_or(symbol.global);
        }
    }
    Ok(())
}

/// Decides what each global symbol is to relocations, and says how to tell it of others.
///
/// What an image defines it uses itself, whatever others define: names are looked up in two levels. So preemptible is
/// only what other images define. Of weak definitions for others the process has one; where code of the image refers to its
/// own without a slot, it reaches that.
pub(crate) fn fix_traits(link: &mut Link<'_>) -> LocalTraits {
    let ids: Vec<GlobalId> = link.symbols.iter().map(|(id, _)| id).collect();
    let left = link.options.macho.dynamic_lookup.iter().map(|name| name.as_bytes()).collect();
    for id in ids {
        let traits = global_traits(link, link.symbols.get(id), &left);
        link.symbols.get_mut(id).traits = traits;
    }
    place_traits
}

/// The traits of a symbol, where the names in `left` are left to the loader.
fn global_traits(link: &Link<'_>, global: &Global<'_>, left: &HashSet<&[u8]>) -> Traits {
    match global.definition {
        Definition::Undefined if global.visibility == Visibility::Default => {
            Traits::PREEMPTIBLE.when(!left.contains(global.name), Traits::UNDEFINED)
        }
        Definition::Undefined => Traits::UNDEFINED.and(Traits::ABSOLUTE),
        Definition::Library(..) => Traits::PREEMPTIBLE
            .when(is_coalesced(link, global), Traits::COALESCED)
            .when(global.kind == SymbolKind::Tls, Traits::DESCRIPTOR),
        Definition::Object(id, index) => {
            let object = link.object(id);
            let heap = link.heap_image.filter(|(heap, _)| *heap == id).map(|(_, section)| section);
            let symbol = object.symbols.get(index as usize);
            let traits = symbol.map_or(Traits::DISCARDED, |symbol| place_traits(object, symbol, heap));
            traits.when(is_coalesced(link, global), Traits::COALESCED)
        }
        Definition::Absolute(_) => Traits::ABSOLUTE,
        Definition::Alias(target, offset) => {
            let (target, _) = link.symbols.root(target, offset);
            global_traits(link, link.symbols.get(target), left).common(Traits::ABSOLUTE.and(Traits::FAR))
        }
        Definition::Common { .. } | Definition::Allotted(..) | Definition::Anchor(_) => Traits::default(),
    }
}

fn place_traits(object: &Object<'_>, symbol: &Symbol, heap: Option<u32>) -> Traits {
    match symbol.section() {
        SymbolSection::Undefined => Traits::UNDEFINED.and(Traits::ABSOLUTE),
        SymbolSection::Absolute => Traits::ABSOLUTE,
        SymbolSection::Common(_) => Traits::default(),
        SymbolSection::In(index) => match object.sections.get(index as usize) {
            Some(section) => Traits::default()
                .when(!section.is_live(), Traits::DISCARDED)
                .when(section.flags.has(Flags::TLS), Traits::TLS)
                .when(relocs::is_descriptors(section), Traits::DESCRIPTOR)
                .when(heap == Some(index), Traits::FAR),
            None => Traits::DISCARDED,
        },
    }
}
