//! `.rsrc`: icons, texts, version information and other resources, from several objects.
//!
//! Resources are the leaves of a tree of three levels: what kind they are of, what they are called, and for which language they
//! are. On each level stands a name in UTF-16 or a number. A *directory* lists what is below it, names before numbers, each
//! in ascending order, since readers halve the list; the last level leads to *data entries*, which tell the place of the
//! data, relative to the image, and their size. Places in the tree itself count from the start of the section.
//!
//! A resource compiler makes an object of one such tree: in `.rsrc` (MinGW's), or in `.rsrc$01` with the data in `.rsrc$02`
//! (Microsoft's and LLVM's). The loader looks at one tree alone. So one object's sections are placed as they are; the
//! trees of several, which would hide all but the first, are read and joined: a new tree is made, and the data are copied
//! from where they are.
//!
//! Two resources of one kind, name and language contradict each other. Only the manifest that a compiler links by default, in
//! the language 0, gives way to any other.
//!
//! Source: PE/COFF specification, *The .rsrc Section*; LLVM's `WindowsResource.cpp` for the default manifest.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;
use std::collections::HashMap;

use indexmap::IndexSet;

use super::{Table, parse, table_output};
use crate::apply::Stretch;
use crate::bytes;
use crate::error::{Error, Errors, Result};
use crate::image::{Extent, Source};
use crate::link::{Link, over};
use crate::memory::of_vec;
use crate::model::{Fate, ObjectId, SectionIndex, SymbolSection};
use crate::reloc::{self, Origin, What};

/// The size of a directory without its entries, and of an entry, in bytes.
const DIRECTORY: u64 = 16;
const ENTRY: u64 = 8;
/// The size of a data entry, in bytes.
const DATA_ENTRY: u64 = 16;
/// The alignment of data.
const ALIGN: u64 = 8;
/// What marks a name in an entry, and a directory.
const HIGH: u32 = 1 << 31;
/// The kind and the name of the manifest that a program or DLL is loaded by.
const MANIFEST: (Key, Key) = (Key::number(24), Key::number(1));

/// The resources of an image to which several objects bring some.
#[derive(Debug, Default)]
pub(crate) struct Resources<'a> {
    /// In the order of the tree.
    leaves: Vec<Leaf>,
    /// The names, ascending: little-endian UTF-16.
    names: Vec<&'a [u8]>,
    /// The data, and where they are to stand, in bytes from the start of the table; ascending.
    data: Vec<(Data, u64)>,
    /// The size of the table, data included, in bytes.
    size: u64,
}

/// What stands on a level of the tree. Names come before numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    is_number: bool,
    /// The number, or the index of the name.
    value: u32,
}

impl Key {
    const fn number(value: u32) -> Self {
        Self { is_number: true, value }
    }
}

/// A resource.
#[derive(Debug, Clone, Copy)]
struct Leaf {
    kind: Key,
    name: Key,
    language: Key,
    data: Data,
    code_page: u32,
    /// The object that it comes from.
    object: ObjectId,
}

impl Leaf {
    fn path(&self) -> (Key, Key, Key) {
        (self.kind, self.name, self.language)
    }
}

/// Bytes of an input section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Data {
    object: ObjectId,
    section: SectionIndex,
    start: u64,
    size: u32,
}

/// Joins the trees of several objects, whose sections are not placed then; of one, leaves all as it is.
///
/// # Errors
/// Trees that contradict the format, or one another.
pub(crate) fn join<'a>(link: &mut Link<'a>) -> Result<Resources<'a>> {
    let is_part = |name: &[u8]| parse::base_name(name) == b".rsrc";
    let (mut trees, mut parts, mut total) = (Vec::new(), Vec::new(), 0_u64);
    for (id, object) in link.objects() {
        for (index, section) in (0..).zip(&object.sections).filter(|(_, section)| section.is_live()) {
            if is_part(section.name) {
                parts.push((id, index));
                total = total.saturating_add(section.data.len() as u64);
            }
            if let (b".rsrc" | b".rsrc$01", Cow::Borrowed(tree @ [_, ..])) = (section.name, &section.data) {
                trees.push((id, index, *tree));
            }
        }
    }
    if trees.len() < 2 {
        return Ok(Resources::default());
    }
    let (mut names, mut leaves) = (IndexSet::new(), Vec::new());
    for (object, section, tree) in trees {
        let size = tree.len() as u64;
        // Each entry has its bytes, and names are stored a few times at most.
        let budget = (size.wrapping_div(ENTRY), size.saturating_mul(8));
        let mut reader = Reader { link, object, section, tree, names: &mut names, leaves: &mut leaves, budget };
        reader.read().map_err(|what| {
            let what = format!("resources (.rsrc): {what}; make the object anew");
            Error::malformed(&link.object(object).name, what)
        })?;
    }
    let names = sort(names, &mut leaves);
    settle(link, &names, &mut leaves)?;
    let resources = Resources::new(names, leaves, total)?;
    for (id, index) in parts {
        let section = link.objects.get_mut(id.index()).and_then(|object| object.sections.get_mut(index as usize));
        if let Some(section) = section {
            section.fate = Fate::Metadata;
        }
    }
    Ok(resources)
}

/// Reads the tree of one section.
struct Reader<'r, 'l, 'a> {
    link: &'l Link<'a>,
    object: ObjectId,
    section: SectionIndex,
    tree: &'a [u8],
    names: &'r mut IndexSet<&'a [u8]>,
    leaves: &'r mut Vec<Leaf>,
    /// Entries, and bytes of names, that the tree may still have: more of them than there is room for overlap.
    budget: (u64, u64),
}

impl Reader<'_, '_, '_> {
    fn read(&mut self) -> Result<(), String> {
        for (kind, names) in self.directory(0, HIGH)? {
            for (name, languages) in self.directory(names, HIGH)? {
                for (language, entry) in self.directory(languages, 0)? {
                    let (data, code_page) = self.data(entry)?;
                    self.leaves.push(Leaf { kind, name, language, data, code_page, object: self.object });
                }
            }
        }
        Ok(())
    }

    /// What the directory at an offset lists, and where each entry leads: to directories if `below` is [`HIGH`], else to data.
    fn directory(&mut self, at: u64, below: u32) -> Result<Vec<(Key, u64)>, String> {
        let cut_off = || format!("a directory at 0x{at:x} reaches beyond its end");
        let count = |field: u64| bytes::u16(self.tree, at.saturating_add(field)).map(u64::from).ok_or_else(cut_off);
        let count = count(12)?.saturating_add(count(14)?);
        let overlap = || format!("directories overlap; there is no room for all of that at 0x{at:x}");
        self.budget.0 = self.budget.0.checked_sub(count).ok_or_else(overlap)?;
        let mut entries = Vec::new();
        for number in 0..count {
            let entry = at.saturating_add(DIRECTORY).saturating_add(ENTRY.saturating_mul(number));
            let field = |field: u64| bytes::u32(self.tree, entry.saturating_add(field)).ok_or_else(cut_off);
            let (key, place) = (field(0)?, field(4)?);
            if place & HIGH != below {
                return Err(format!("the entry at 0x{entry:x} is on no level of three: kind, name, language"));
            }
            let key = if key & HIGH == 0 { Key::number(key) } else { self.name(u64::from(key & !HIGH))? };
            entries.push((key, u64::from(place & !HIGH)));
        }
        Ok(entries)
    }

    /// The name at an offset: the number of its units of UTF-16, then these.
    fn name(&mut self, at: u64) -> Result<Key, String> {
        let units = bytes::u16(self.tree, at).map(u64::from);
        let text = units.and_then(|units| bytes::slice(self.tree, at.saturating_add(2), units.saturating_mul(2)));
        let text = text.ok_or_else(|| format!("a name at 0x{at:x} reaches beyond its end"))?;
        let left = self.budget.1.checked_sub(text.len() as u64);
        self.budget.1 = left.ok_or_else(|| format!("names overlap; there is no room for all of that at 0x{at:x}"))?;
        let (index, _) = self.names.insert_full(text);
        Ok(Key { is_number: false, value: u32::try_from(index).map_err(|_| "there are too many names")? })
    }

    /// What a data entry leads to, and the code page of that.
    fn data(&self, at: u64) -> Result<(Data, u32), String> {
        let field = |field: u64| bytes::u32(self.tree, at.saturating_add(field));
        let (Some(size), Some(code_page)) = (field(4), field(8)) else {
            return Err(format!("a data entry at 0x{at:x} reaches beyond its end"));
        };
        // The place is known when the image is laid out; what the object says is which section it is in.
        let object = self.link.object(self.object);
        let section = self.link.section(self.object, self.section);
        let raw = reloc::decode(section, reloc::find(section, at..at.saturating_add(1))).next();
        let image_relative = |raw| {
            reloc::understand(self.link.target, raw)
                .filter(|reloc| reloc.value == What::Symbol.from(Origin::Image))
                .and_then(|reloc| Some((object.symbols.get(reloc.symbol as usize)?, reloc.addend)))
        };
        let place = raw.and_then(image_relative).and_then(|(symbol, addend)| match symbol.section() {
            SymbolSection::In(index) => Some((index, symbol.value.checked_add_signed(addend)?)),
            _ => None,
        });
        let Some((index, start)) = place else {
            return Err(format!("the data entry at 0x{at:x} has no relocation that says where the data are"));
        };
        let holds = object.sections.get(index as usize).is_some_and(|section| {
            parse::base_name(section.name) == b".rsrc" && bytes::slice(&section.data, start, size.into()).is_some()
        });
        if !holds {
            return Err(format!("the data of the entry at 0x{at:x}, of {size} bytes, are in no section .rsrc"));
        }
        Ok((Data { object: self.object, section: index, start, size }, code_page))
    }
}

/// Sorts names, and leaves by their places in the tree; those of one place are in the order of the objects.
fn sort<'a>(names: IndexSet<&'a [u8]>, leaves: &mut [Leaf]) -> Vec<&'a [u8]> {
    // Ascending by units: "by case-sensitive string" (PE/COFF specification, *Resource Directory Entries*).
    let units = |name: &'a [u8]| name.as_chunks().0.iter().copied().map(u16::from_le_bytes);
    let mut order: Vec<(u32, &[u8])> = (0..).zip(names).collect();
    order.sort_by(|(_, one), (_, other)| units(one).cmp(units(other)));
    let mut places = vec![0; order.len()];
    for (place, (index, _)) in (0..).zip(&order) {
        if let Some(of) = places.get_mut(*index as usize) {
            *of = place;
        }
    }
    for leaf in leaves.iter_mut() {
        for key in [&mut leaf.kind, &mut leaf.name, &mut leaf.language] {
            if let (false, Some(place)) = (key.is_number, places.get(key.value as usize)) {
                key.value = *place;
            }
        }
    }
    leaves.sort_by_key(Leaf::path);
    order.into_iter().map(|(_, name)| name).collect()
}

/// Leaves out default manifests where there is another.
///
/// # Errors
/// Resources that are there twice, and manifests of several languages.
fn settle(link: &Link<'_>, names: &[&[u8]], leaves: &mut Vec<Leaf>) -> Result<(), Errors> {
    let is_manifest = |leaf: &Leaf| (leaf.kind, leaf.name) == MANIFEST;
    let is_default = |leaf: &Leaf| is_manifest(leaf) && leaf.language == Key::number(0);
    let other = leaves.iter().any(|leaf| is_manifest(leaf) && !is_default(leaf));
    let mut seen = other;
    leaves.retain(|leaf| !is_default(leaf) || !std::mem::replace(&mut seen, true));
    let mut problems = Vec::new();
    for (one, two) in leaves.iter().zip(leaves.iter().skip(1)) {
        if one.path() == two.path() || (is_manifest(one) && is_manifest(two)) {
            let (first, said) = (&link.object(one.object).name, describe(two, names));
            let what = format!("{said}: {first} brings one as well; an image can have one, so leave the other out");
            problems.push(Error::malformed(&link.object(two.object).name, what));
        }
    }
    Errors::check(problems)
}

/// A resource as a person knows it.
fn describe(leaf: &Leaf, names: &[&[u8]]) -> String {
    let said = |key: Key| match names.get(key.value as usize).filter(|_| !key.is_number) {
        Some(name) => {
            let units: Vec<u16> = name.as_chunks().0.iter().take(80).copied().map(u16::from_le_bytes).collect();
            format!("'{}'", String::from_utf16_lossy(&units))
        }
        None => key.value.to_string(),
    };
    let kind = match leaf.kind {
        Key { is_number: true, value: 3 } => "icon".to_owned(),
        Key { is_number: true, value: 6 } => "block of strings".to_owned(),
        Key { is_number: true, value: 10 } => "resource of raw data".to_owned(),
        Key { is_number: true, value: 14 } => "group of icons".to_owned(),
        Key { is_number: true, value: 16 } => "version information".to_owned(),
        Key { is_number: true, value: 24 } => "manifest".to_owned(),
        other => format!("resource of type {}", said(other)),
    };
    format!("{kind}, name {}, language {}", said(leaf.name), said(leaf.language))
}

/// Leaves with something in common, in the order of the tree.
fn groups<K: PartialEq>(leaves: &[Leaf], of: impl Fn(&Leaf) -> K) -> impl Iterator<Item = &[Leaf]> {
    leaves.chunk_by(move |one, other| of(one) == of(other))
}

impl<'a> Resources<'a> {
    /// Gives the data of sorted leaves their places; `total` is the number of bytes that all sections have together.
    fn new(names: Vec<&'a [u8]>, leaves: Vec<Leaf>, total: u64) -> Result<Self, Error> {
        let mut resources = Self { leaves, names, data: Vec::new(), size: 0 };
        let mut end = resources.strings_end();
        let mut places: HashMap<Data, u64> = HashMap::new();
        let mut copied = 0_u64;
        for leaf in &resources.leaves {
            // What several leaves share, they go on sharing.
            places.entry(leaf.data).or_insert_with(|| {
                let place = end.next_multiple_of(ALIGN);
                let size = u64::from(leaf.data.size);
                (end, copied) = (place.saturating_add(size), copied.saturating_add(size));
                resources.data.push((leaf.data, place));
                place
            });
        }
        over("PE resources", "the size of the resources, which overlap in their objects,", copied, total)?;
        over("PE resources", "the size of the resources", end, HIGH.into())?;
        let listed = |count: usize| {
            let what = "the number of resources that a directory lists";
            over("PE resources", what, count as u64, u16::MAX.into())
        };
        listed(groups(&resources.leaves, |leaf| leaf.kind).count())?;
        for kind in groups(&resources.leaves, |leaf| leaf.kind) {
            listed(groups(kind, |leaf| leaf.name).count())?;
            groups(kind, |leaf| leaf.name).map(<[Leaf]>::len).try_for_each(listed)?;
        }
        resources.size = end;
        Ok(resources)
    }

    /// The size of the tree and of all data, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of memory that they have taken.
    pub(crate) fn held(&self) -> u64 {
        of_vec(&self.leaves).saturating_add(of_vec(&self.names)).saturating_add(of_vec(&self.data))
    }

    /// Where the names begin, behind all directories and data entries.
    fn strings_start(&self) -> u64 {
        let kinds = groups(&self.leaves, |leaf| leaf.kind).count() as u64;
        let names = groups(&self.leaves, |leaf| (leaf.kind, leaf.name)).count() as u64;
        let leaves = self.leaves.len() as u64;
        let directories = DIRECTORY.saturating_mul(kinds.saturating_add(names).saturating_add(1));
        let entries = ENTRY.saturating_mul(kinds.saturating_add(names).saturating_add(leaves));
        directories.saturating_add(entries).saturating_add(DATA_ENTRY.saturating_mul(leaves))
    }

    /// The end of the names, before the data.
    fn strings_end(&self) -> u64 {
        let sizes = self.names.iter().map(|name| (name.len() as u64).saturating_add(2));
        sizes.fold(self.strings_start(), u64::saturating_add)
    }
}

/// The tree, now that addresses are fixed.
pub(crate) fn bytes(link: &Link<'_>) -> Vec<u8> {
    let Some(output) = table_output(link, Table::Resources) else { return Vec::new() };
    let resources = &link.pe.resources;
    let leaves = &resources.leaves;
    let mut strings = Vec::with_capacity(resources.names.len());
    let mut end = resources.strings_start();
    for name in &resources.names {
        strings.push(end);
        end = end.saturating_add(name.len() as u64).saturating_add(2);
    }
    let mut tree = Tree { bytes: Vec::new(), strings };
    let size = |count: usize| DIRECTORY.saturating_add(ENTRY.saturating_mul(count as u64));
    // One level after the other; what is below a level begins where it ends.
    let mut below = size(groups(leaves, |leaf| leaf.kind).count());
    let mut children = Vec::new();
    for kind in groups(leaves, |leaf| leaf.kind) {
        children.extend(kind.first().map(|leaf| (leaf.kind, below, true)));
        below = below.saturating_add(size(groups(kind, |leaf| leaf.name).count()));
    }
    tree.directory(&mut children);
    for kind in groups(leaves, |leaf| leaf.kind) {
        for name in groups(kind, |leaf| leaf.name) {
            children.extend(name.first().map(|leaf| (leaf.name, below, true)));
            below = below.saturating_add(size(name.len()));
        }
        tree.directory(&mut children);
    }
    for name in groups(leaves, |leaf| (leaf.kind, leaf.name)) {
        for leaf in name {
            children.push((leaf.language, below, false));
            below = below.saturating_add(DATA_ENTRY);
        }
        tree.directory(&mut children);
    }
    let places: HashMap<Data, u64> = resources.data.iter().copied().collect();
    let start = output.address.wrapping_sub(link.pe.base);
    for leaf in leaves {
        let place = places.get(&leaf.data).copied().unwrap_or(0);
        for field in [number(start.saturating_add(place)), leaf.data.size, leaf.code_page, 0] {
            tree.u32(field);
        }
    }
    for name in &resources.names {
        let units = u16::try_from(name.len() / 2).unwrap_or(u16::MAX);
        tree.bytes.extend(units.to_le_bytes());
        tree.bytes.extend_from_slice(name);
    }
    tree.bytes
}

/// The data, as stretches of the inputs.
pub(crate) fn extents<'l>(link: &'l Link<'_>) -> impl Iterator<Item = Extent> + use<'l> {
    let output = table_output(link, Table::Resources);
    output.into_iter().flat_map(|output| {
        link.pe.resources.data.iter().map(|(data, place)| {
            let address = output.address.wrapping_add(*place);
            let stretch = Stretch { object: data.object, section: data.section, start: data.start, address };
            let (offset, size) = (output.offset.saturating_add(*place), u64::from(data.size));
            Extent { offset, size, source: Source::Section(stretch) }
        })
    })
}

/// A number that sizes which are checked keep below 2^32.
fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A tree that is being written.
struct Tree {
    bytes: Vec<u8>,
    /// The offsets of the names.
    strings: Vec<u64>,
}

impl Tree {
    /// Writes the directory that lists `children`: what is on its level, where it is, and whether that is a directory.
    fn directory(&mut self, children: &mut Vec<(Key, u64, bool)>) {
        let named = children.iter().filter(|(key, ..)| !key.is_number).count();
        // Characteristics, time stamp, version.
        self.bytes.extend([0; 12]);
        for count in [named, children.len().saturating_sub(named)] {
            self.bytes.extend(u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
        }
        for (key, place, is_directory) in children.drain(..) {
            let name = self.strings.get(key.value as usize).filter(|_| !key.is_number);
            self.u32(name.map_or(key.value, |offset| number(*offset) | HIGH));
            self.u32(number(place) | if is_directory { HIGH } else { 0 });
        }
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }
}
