//! The *debug map*: entries of the symbol table that lead `dsymutil` and debuggers to the objects with the DWARF.
//!
//! Debug information stays in the objects. For each object that has some, there are: the source file (`N_SO`), the object
//! (`N_OSO`: its path, or `archive(member)`, and its time stamp, which is 0 in a reproducible archive), each of its functions
//! with address and size (two `N_FUN`) and each of its variables (`N_GSYM`, `N_STSYM`), and an end (`N_SO` without a name).
//! Source: `mach-o/stab.h`; the order and the fields are those of LLD.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};

use super::symtab::{Entry, NO_NAME, Strings, is_named_local};
use crate::link::Link;
use crate::memory::{of_map, of_vec};
use crate::model::{Object, ObjectId, SectionFlags, SectionIndex, Symbol, SymbolIndex, SymbolKind, SymbolSection};
use crate::symbols::Definition;

const N_GSYM: u8 = 0x20;
const N_FUN: u8 = 0x24;
const N_STSYM: u8 = 0x26;
const N_SO: u8 = 0x64;
const N_OSO: u8 = 0x66;
/// The path of a Swift module.
const N_AST: u8 = 0x32;

/// What stands between two objects, and behind the last: an `N_SO` without a name.
pub(super) const END: Entry = Entry { name: NO_NAME, kind: N_SO, section: 1, desc: 0, value: 0 };

/// The entry of a Swift module, with its path at `name` of the string table.
pub(super) fn module(name: u32) -> Entry {
    Entry { name, kind: N_AST, ..Entry::default() }
}

/// An object with debug information.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) id: ObjectId,
    /// The path of its source file.
    source: Vec<u8>,
    /// The offsets at which symbols start, by section with code, ascending.
    starts: HashMap<SectionIndex, Vec<u64>>,
}

/// The objects with debug information.
pub(super) fn mapped(link: &Link<'_>) -> Vec<Mapped> {
    let ids: Vec<ObjectId> = link.objects().map(|(id, _)| id).collect();
    let objects = link.workers.map(&ids, |id| {
        let object = link.object(*id);
        source(object).map(|source| Mapped { id: *id, source, starts: starts(object) })
    });
    objects.into_iter().flatten().collect()
}

impl Mapped {
    /// The entries that stand before those of the object's symbols.
    pub(super) fn head(&self, link: &Link<'_>, strings: &mut Strings) -> [Entry; 2] {
        let object = link.object(self.id);
        let source = Entry { name: strings.add(&self.source), kind: N_SO, ..Entry::default() };
        let (name, section) = (strings.add(&path(link, object)), subtype(object));
        [source, Entry { name, kind: N_OSO, section, desc: 1, value: 0 }]
    }

    /// Has `add` called for the entries of a stretch of the object's symbols.
    pub(super) fn visit(
        &self,
        link: &Link<'_>,
        (first, end): (u32, u32),
        strings: &Strings,
        mut add: impl FnMut(Entry),
    ) {
        let object = link.object(self.id);
        let symbols = object.symbols.get(first as usize..end as usize).unwrap_or_default();
        for (symbol, index) in symbols.iter().zip(first..) {
            let number = match symbol.section() {
                SymbolSection::In(number) => number,
                SymbolSection::Common(_) => {
                    self.common(link, symbol, index, strings).into_iter().for_each(&mut add);
                    continue;
                }
                _ => continue,
            };
            let shown = match symbol.global.get() {
                None => is_named_local(object, symbol),
                Some(global) => link.symbols.get(global).definition == Definition::Object(self.id, index),
            };
            let Some(section) = object.sections.get(number as usize).filter(|section| shown && section.is_live())
            else {
                continue;
            };
            let Some(value) = link.address_in(self.id, number, symbol.value) else { continue };
            let name = strings.name(self.id, symbol);
            let output = u8::try_from(section.output.saturating_add(1)).unwrap_or(0);
            let entry = Entry { name, kind: N_FUN, section: output, desc: 0, value };
            if section.flags.has(SectionFlags::EXEC) {
                add(entry);
                let size = self.size(number, symbol, section.size);
                add(Entry { name: NO_NAME, kind: N_FUN, value: size, ..Entry::default() });
            } else {
                let external = symbol.global.get().is_some();
                add(Entry { kind: if external { N_GSYM } else { N_STSYM }, ..entry });
            }
        }
    }

    /// The entry of a common symbol, if it is this mention of it that counts.
    fn common(&self, link: &Link<'_>, symbol: &Symbol, index: SymbolIndex, strings: &Strings) -> Option<Entry> {
        let id = symbol.global.get()?;
        let global = link.symbols.get(id);
        let counts = matches!(global.definition, Definition::Allotted(..)) && global.mention == Some((self.id, index));
        let section = u8::try_from(link.macho.commons?.saturating_add(1)).unwrap_or(0);
        let (name, value) = (strings.name(self.id, symbol), link.global_address(id));
        counts.then_some(Entry { name, kind: N_GSYM, section, desc: 0, value })
    }

    /// The number of bytes from a symbol to the next of its section.
    fn size(&self, section: SectionIndex, symbol: &Symbol, section_size: u64) -> u64 {
        let starts = self.starts.get(&section).map(Vec::as_slice).unwrap_or_default();
        let next = starts.get(starts.partition_point(|start| *start <= symbol.value)..).and_then(<[u64]>::first);
        next.copied().unwrap_or(section_size).saturating_sub(symbol.value)
    }

    /// Bytes of memory that it takes.
    pub(super) fn held(&self) -> u64 {
        let starts = self.starts.values().map(of_vec);
        starts.fold(of_vec(&self.source).saturating_add(of_map(&self.starts)), u64::saturating_add)
    }
}

/// The source file of an object's first compile unit, if it has debug information.
fn source(object: &Object<'_>) -> Option<Vec<u8>> {
    let load = |id: SectionId| {
        let name = id.name().strip_prefix('.').unwrap_or_default().as_bytes();
        let section = object.sections.iter().find(|section| {
            let plain = section.name.strip_prefix(b"__").unwrap_or_default();
            // A section's name has 16 bytes, of which two are underscores.
            section.flags.has(SectionFlags::DEBUG) && plain == name.get(..14).unwrap_or(name)
        });
        Ok::<_, gimli::Error>(EndianSlice::new(section.map_or(&[][..], |section| &section.data), LittleEndian))
    };
    let dwarf = Dwarf::load(load).ok()?;
    let header = dwarf.units().next().ok().flatten()?;
    let unit = dwarf.unit(header).ok()?;
    let name = unit.name.map(|name| name.slice()).unwrap_or_default();
    let absolute = name.starts_with(b"/") || name.get(1) == Some(&b':') || name.starts_with(b"\\");
    if absolute {
        return Some(name.to_vec());
    }
    let mut path = unit.comp_dir.map(|directory| directory.slice()).unwrap_or_default().to_vec();
    if !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend(name);
    Some(path)
}

fn subtype(object: &Object<'_>) -> u8 {
    object.info.macho().map_or(0, |info| info.subtype.to_le_bytes()[0])
}

/// The offsets at which symbols start, by section with code, ascending.
fn starts(object: &Object<'_>) -> HashMap<SectionIndex, Vec<u64>> {
    let mut starts: HashMap<SectionIndex, Vec<u64>> = HashMap::new();
    for symbol in &object.symbols {
        if let SymbolSection::In(number) = symbol.section()
            && !matches!(symbol.kind, SymbolKind::Section | SymbolKind::File)
            && let Some(section) = object.sections.get(number as usize)
            && section.is_live()
            && section.flags.has(SectionFlags::EXEC)
        {
            starts.entry(number).or_default().push(symbol.value);
        }
    }
    for starts in starts.values_mut() {
        starts.shrink_to_fit();
        starts.sort_unstable();
    }
    starts
}

/// What the object is called: `path` or `path(member)`.
fn path(link: &Link<'_>, object: &Object<'_>) -> Vec<u8> {
    let options = &link.options.macho;
    let file = Path::new(object.name.file);
    let file: PathBuf = match &options.debug_map_base {
        Some(base) if file.is_relative() => base.join(file),
        _ => file.to_owned(),
    };
    let text = file.to_string_lossy().into_owned();
    let text = match &options.oso_prefix {
        Some(prefix) => text.strip_prefix(prefix.as_str()).unwrap_or(&text).to_owned(),
        None => text,
    };
    let mut name = text.into_bytes();
    if let Some(member) = &object.name.member {
        name.push(b'(');
        name.extend(&**member);
        name.push(b')');
    }
    name
}
