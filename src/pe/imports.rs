//! What the image imports: the import directory with its tables, and the code that jumps to imported functions.
//!
//! For each DLL the directory tells its name and two tables that are alike in the file: the lookup table says what is
//! imported, by name or number; the address table has a slot for each import, into which the loader puts the address.
//! `__imp_f` is the slot; `f`, where an object refers to it without knowing that it is imported, is a *thunk*
//! in the image that jumps to where the slot points:
//!
//! | CPU    | thunk                                  |
//! |--------|----------------------------------------|
//! | x86-64 | `ff 25 rel32`  `jmp *slot(%rip)`       |
//! | i386   | `ff 25 abs32`  `jmp *slot`             |
//! | Arm64  | `adrp x16, slot`  `ldr x16, [x16, :lo12:slot]`  `br x16` |
//!
//! The thunk's address stands for the function's wherever one is stored, so each image has its own; unwind tables, which
//! can only name what is in the image, refer to a personality routine so.
//!
//! An object may also refer to `__imp_f` when `f` turns out to be of the image itself; then a slot that the linker
//! fills stands in.
//!
//! Import libraries in GNU's form bring pieces of these tables as sections (`.idata$2` to `.idata$7`), which are put
//! between those made here: see [`plan`](mod@super::plan).
//!
//! Source: PE/COFF specification, *The .idata Section*.

use std::collections::HashMap;

use indexmap::{IndexMap, IndexSet};

use super::library::{Import, ImportBy, SLOT_PREFIX, split_slot};
use super::{Place, Table, table_output, word};
use crate::arch::aarch64::{IMPORT_THUNK_SIZE, import_thunk};
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::memory::{of_map, of_vec};
use crate::model::{Fate, GlobalId, ObjectId, SectionIndex, SymbolSection};
use crate::options::Arch;
use crate::resolve::Library;
use crate::symbols::{Anchor, Definition, GlobalFlags, Symbols};

/// Size of an entry of the import directory, in bytes.
pub(crate) const DIRECTORY_ENTRY: u64 = DIRECTORY_ENTRY_SIZE as u64;
/// The same, for those who make one.
pub(crate) const DIRECTORY_ENTRY_SIZE: usize = 20;

/// What an image imports.
#[derive(Debug, Default)]
pub(crate) struct Imports<'a> {
    /// The DLLs, with the indices of their first imports and of those behind their last.
    dlls: Vec<(&'a [u8], u32, u32)>,
    /// The imports, those of one DLL together, with the index of the DLL.
    entries: Vec<(u32, ImportBy<'a>)>,
    /// The imports that have thunks.
    thunks: Vec<u32>,
    /// The symbols that slots of the image's own are for.
    local_slots: Vec<GlobalId>,
}

/// Size of a thunk, in bytes: a multiple of what its instructions are aligned to.
pub(crate) fn thunk_size(arch: Arch) -> u64 {
    match arch {
        Arch::X86_64 | Arch::X86 => 8,
        _ => IMPORT_THUNK_SIZE,
    }
}

/// Makes slots and thunks of what DLLs define, and slots for what was thought to be imported.
pub(crate) fn define(link: &mut Link<'_>) {
    let mut imports = Imports::default();
    // One slot an import, under whatever symbols and from whatever libraries it comes; DLLs in the order of their first
    // mention, their imports by name.
    let mut dlls: IndexMap<Vec<u8>, &[u8]> = IndexMap::new();
    let mut found: Vec<(u32, ImportBy<'_>, GlobalId, bool)> = Vec::new();
    for (id, global) in link.symbols.iter() {
        let Definition::Library(library, _) = global.definition else { continue };
        let Some(library) = link.libraries.get(library as usize).and_then(|library| library.shared.pe()) else {
            continue;
        };
        let Some(import) = library.lookup(global.name) else { continue };
        let dll = dlls.entry(library.name.to_ascii_lowercase());
        let index = dll.index() as u32;
        dll.or_insert(library.name);
        found.push((index, import.by, id, import.constant || split_slot(global.name).1));
    }
    for (name, by, id) in automatic(link) {
        let dll = dlls.entry(name.to_ascii_lowercase());
        let index = dll.index() as u32;
        dll.or_insert(name);
        found.push((index, by, id, true));
    }
    found.sort_by(|one, other| (one.0, key(one.1), one.2).cmp(&(other.0, key(other.1), other.2)));
    let mut thunks = IndexSet::new();
    for (dll, by, id, slot) in found {
        let same = imports.entries.last().is_some_and(|last| (last.0, key(last.1)) == (dll, key(by)));
        if !same {
            imports.entries.push((dll, by));
        }
        let entry = imports.entries.len() as u32 - 1;
        let place = if slot { Place::Slot(entry) } else { Place::Thunk(thunks.insert_full(entry).0 as u32) };
        link.symbols.get_mut(id).definition = Definition::Anchor(Anchor::Pe(place));
    }
    imports.thunks = thunks.into_iter().collect();
    let mut first = 0;
    for (number, name) in dlls.into_values().enumerate() {
        let last = imports.entries.partition_point(|entry| entry.0 as usize <= number) as u32;
        imports.dlls.push((name, first, last));
        first = last;
    }
    imports.local_slots = define_local_slots(link);
    link.pe.imports = imports;
}

/// The symbol of the image that a slot is for which the linker fills.
pub(crate) fn symbol_held(link: &Link<'_>, place: Place) -> Option<GlobalId> {
    match place {
        Place::LocalSlot(slot) => link.pe.imports.local_slots.get(slot as usize).copied(),
        _ => None,
    }
}

/// Leaves out the slots and thunks of which no symbol is referred to, as `referred` has it by symbol, or exported; what refers
/// to them nevertheless, as debug information may, has 0.
pub(crate) fn leave_out(link: &mut Link<'_>, referred: &[bool]) {
    let old = std::mem::take(&mut link.pe.imports);
    let mut slots = Renumbering::new(old.entries.len());
    let mut thunks = Renumbering::new(old.thunks.len());
    let mut local_slots = Renumbering::new(old.local_slots.len());
    for (id, global) in link.symbols.iter() {
        if !global.flags.has(GlobalFlags::EXPORTED) && !referred.get(id.index()).is_some_and(|referred| *referred) {
            continue;
        }
        match link.symbols.get(link.symbols.root(id, 0).0).definition {
            Definition::Anchor(Anchor::Pe(Place::Slot(slot))) => slots.keep(slot),
            Definition::Anchor(Anchor::Pe(Place::Thunk(thunk))) => {
                thunks.keep(thunk);
                old.thunks.get(thunk as usize).into_iter().for_each(|slot| slots.keep(*slot));
            }
            Definition::Anchor(Anchor::Pe(Place::LocalSlot(slot))) => local_slots.keep(slot),
            _ => {}
        }
    }
    let (slots, thunks, local_slots) = (slots.numbers(), thunks.numbers(), local_slots.numbers());
    let new = |numbers: &[Option<u32>], old: u32| numbers.get(old as usize).copied().flatten();
    let mut imports = Imports::default();
    for (name, first, last) in old.dlls {
        let (start, dll) = (imports.entries.len() as u32, imports.dlls.len() as u32);
        let stay = (first..last).filter(|entry| new(&slots, *entry).is_some());
        imports.entries.extend(stay.filter_map(|entry| Some((dll, old.entries.get(entry as usize)?.1))));
        let end = imports.entries.len() as u32;
        if end > start {
            imports.dlls.push((name, start, end));
        }
    }
    let stay = old.thunks.iter().zip(&thunks).filter(|(_, number)| number.is_some());
    imports.thunks = stay.filter_map(|(entry, _)| new(&slots, *entry)).collect();
    let stay = old.local_slots.iter().zip(&local_slots).filter(|(_, number)| number.is_some());
    imports.local_slots = stay.map(|(symbol, _)| *symbol).collect();
    for index in 0..link.symbols.len() {
        let global = link.symbols.get_mut(GlobalId(index as u32));
        let Definition::Anchor(Anchor::Pe(place)) = global.definition else { continue };
        let place = match place {
            Place::Slot(slot) => new(&slots, slot).map(Place::Slot),
            Place::Thunk(thunk) => new(&thunks, thunk).map(Place::Thunk),
            Place::LocalSlot(slot) => new(&local_slots, slot).map(Place::LocalSlot),
            _ => continue,
        };
        global.definition = place.map_or(Definition::Absolute(0), |place| Definition::Anchor(Anchor::Pe(place)));
    }
    link.pe.imports = imports;
}

/// Which entries of a list stay, and their numbers in what is left of it.
struct Renumbering(Vec<bool>);

impl Renumbering {
    fn new(entries: usize) -> Self {
        Self(vec![false; entries])
    }

    fn keep(&mut self, entry: u32) {
        self.0.get_mut(entry as usize).into_iter().for_each(|stays| *stays = true);
    }

    fn numbers(&self) -> Vec<Option<u32>> {
        let mut next = 0..;
        self.0.iter().map(|stays| stays.then(|| next.next()).flatten()).collect()
    }
}

/// What the symbol of a pointer begins with that a compiler keeps beside code which refers to data that may be a DLL's.
const POINTER_PREFIX: &[u8] = b".refptr.";

/// Takes slots for the place of pointers to data that turn out to be a DLL's, and of these data; returns those of imports: the
/// DLL, what is imported, and the symbol that stands for the slot.
///
/// Code that does not know where a variable is defined loads its address from a pointer in a COMDAT section
/// (`.refptr.x`). Where a DLL has the variable, the slot of the import holds the same address, and the section is left out.
/// What refers to the variable itself gets the slot's address, for start code to correct: see [`pseudo`](super::pseudo).
fn automatic<'a>(link: &mut Link<'a>) -> Vec<(&'a [u8], ImportBy<'a>, GlobalId)> {
    let mut found = Vec::new();
    if !link.options.pe.auto_import {
        return found;
    }
    let mut aliases = Vec::new();
    let mut replaced = Vec::new();
    let mut direct = Vec::new();
    for (id, global) in link.symbols.iter() {
        let strong = global.flags.has(GlobalFlags::STRONG_REFERENCE);
        if global.definition != Definition::Undefined || split_slot(global.name).1 {
            continue;
        }
        let pointer = pointer_to(link, global.name);
        let itself = Some(id).filter(|_| strong && link.options.pe.pseudo_relocs);
        // With the sections that they take the place of.
        let symbols = pointer.map(|(pointer, place)| (pointer, Some(place))).into_iter();
        let symbols = symbols.chain(itself.map(|id| (id, None)));
        match link.pe.slot_index.slot_of(&link.symbols, &link.libraries, global.name) {
            Some(Slot::Own(slot)) => aliases.extend(symbols.map(|(symbol, place)| (symbol, place, slot))),
            Some(Slot::Import(dll, by)) => {
                found.extend(symbols.map(|(symbol, _)| (dll, by, symbol)));
                replaced.extend(pointer.map(|(_, place)| place));
            }
            None => continue,
        }
        direct.extend(itself);
    }
    for (symbol, place, slot) in aliases {
        // A slot may stand for a pointer, even for the one whose place it is to take.
        if link.symbols.root(slot, 0).0 != symbol {
            link.symbols.get_mut(symbol).definition = Definition::Alias(slot, 0);
            replaced.extend(place);
        }
    }
    for (object, section) in replaced {
        link.objects[object.index()].sections[section as usize].fate = Fate::Unreferenced;
    }
    link.pe.auto_imported = direct.into_iter().collect();
    found
}

/// The slot of what may be a DLL's data.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot<'a> {
    /// Objects have it, such as those of an import library in GNU's form.
    Own(GlobalId),
    /// It is made for an import of a DLL.
    Import(&'a [u8], ImportBy<'a>),
}

/// Who has the slots of imports. An archive may tell of as many DLLs as it has members, which nobody should ask one by one.
#[derive(Debug, Default)]
pub(crate) struct SlotIndex<'a> {
    /// The first library that members of import libraries in short form tell of, by the symbol.
    told_of: HashMap<&'a [u8], u32>,
    /// The libraries that are DLLs, ascending.
    dlls: Vec<u32>,
}

impl<'a> SlotIndex<'a> {
    pub(crate) fn new(libraries: &[Library<'a>]) -> Self {
        let mut index = Self::default();
        for (number, library) in (0..).zip(libraries) {
            let Some(library) = library.shared.pe() else { continue };
            match library.told_of() {
                Some(symbols) => symbols.for_each(|symbol| _ = index.told_of.entry(symbol).or_insert(number)),
                None => index.dlls.push(number),
            }
        }
        index
    }

    /// Bytes of memory that it has taken.
    pub(crate) fn held(&self) -> u64 {
        of_map(&self.told_of) + of_vec(&self.dlls)
    }

    /// What the first library that has it imports for the slot of a symbol, and the name of its DLL.
    pub(super) fn import(&self, libraries: &[Library<'a>], symbol: &[u8]) -> Option<(&'a [u8], Import<'a>)> {
        let slot = [SLOT_PREFIX, symbol].concat();
        let told_of = self.told_of.get(symbol).copied();
        let before = self.dlls.iter().copied().take_while(|dll| told_of.is_none_or(|library| *dll < library));
        before.chain(told_of).find_map(|number| {
            let library = libraries.get(number as usize)?.shared.pe()?;
            Some((library.name, library.lookup(&slot)?))
        })
    }

    /// The slot `__imp_NAME` of a symbol that nothing defines, if the objects and libraries have one.
    pub(super) fn slot_of(&self, symbols: &Symbols<'a>, libraries: &[Library<'a>], name: &[u8]) -> Option<Slot<'a>> {
        let slot = [SLOT_PREFIX, name].concat();
        // A slot that stands for something undefined (`--defsym __imp_x=x`) may lead back here.
        let ends = |slot: GlobalId| symbols.get(symbols.root(slot, 0).0).definition;
        let own = symbols.find(&slot).filter(|(_, slot)| slot.is_defined_here()).map(|(slot, _)| slot);
        let own = own.filter(|slot| ends(*slot) != Definition::Undefined);
        let import = || self.import(libraries, name).map(|(dll, import)| Slot::Import(dll, import.by));
        own.map(Slot::Own).or_else(import)
    }
}

/// The pointer that a compiler keeps for a symbol, and its section, if that holds nothing else.
fn pointer_to(link: &Link<'_>, name: &[u8]) -> Option<(GlobalId, (ObjectId, SectionIndex))> {
    let (id, pointer) = link.symbols.find(&[POINTER_PREFIX, name].concat())?;
    let Definition::Object(object, index) = pointer.definition else { return None };
    let symbol = link.object(object).symbols.get(index as usize)?;
    let SymbolSection::In(index) = symbol.section() else { return None };
    let section = link.section(object, index);
    // GNU's assembler pads sections to 16 bytes.
    let size = word(link.target.arch)..=16;
    let alone = size.contains(&section.size) && section.relocs.len() == 1 && symbol.value == 0;
    alone.then_some((id, (object, index)))
}

/// What tells imports of one DLL apart: numbers first, then names; hints are no part of it.
fn key<'a>(by: ImportBy<'a>) -> (Option<&'a [u8]>, u16) {
    match by {
        ImportBy::Name(name, _) => (Some(name), 0),
        ImportBy::Ordinal(ordinal) => (None, ordinal),
    }
}

/// Slots for `__imp_f` where the image defines `f`; returns what they are for.
fn define_local_slots(link: &mut Link<'_>) -> Vec<GlobalId> {
    let mut slots = Vec::new();
    for index in 0..link.symbols.len() {
        let id = GlobalId(index as u32);
        let global = link.symbols.get(id);
        let (plain, true) = split_slot(global.name) else { continue };
        if global.definition != Definition::Undefined {
            continue;
        }
        let Some((target, _)) = link.symbols.find(plain).filter(|(_, target)| target.is_defined_here()) else {
            continue;
        };
        let place = Place::LocalSlot(slots.len() as u32);
        slots.push(target);
        link.symbols.get_mut(id).definition = Definition::Anchor(Anchor::Pe(place));
    }
    slots
}

impl<'a> Imports<'a> {
    /// The names of the DLLs.
    pub(crate) fn dlls(&self) -> impl Iterator<Item = &'a [u8]> {
        self.dlls.iter().map(|(name, ..)| *name)
    }

    /// Bytes of memory that they have taken.
    pub(crate) fn held(&self) -> u64 {
        of_vec(&self.dlls) + of_vec(&self.entries) + of_vec(&self.thunks) + of_vec(&self.local_slots)
    }

    /// The number of imports.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes from the start of the address tables to a slot: there is a null word behind the slots of each DLL.
    pub(crate) fn slot_offset(&self, slot: u32, word: u64) -> u64 {
        let dll = self.entries.get(slot as usize).map_or(0, |(dll, _)| *dll);
        (u64::from(slot) + u64::from(dll)) * word
    }

    /// The size of a table, in bytes.
    pub(crate) fn size(&self, table: Table, arch: Arch) -> u64 {
        let slots = (self.entries.len() + self.dlls.len()) as u64 * word(arch);
        match table {
            Table::ImportDirectory => self.dlls.len() as u64 * DIRECTORY_ENTRY,
            Table::ImportLookup | Table::ImportAddress => slots,
            Table::ImportNames => self.names().1.len() as u64,
            Table::Thunks => self.thunks.len() as u64 * thunk_size(arch),
            Table::LocalSlots => self.local_slots.len() as u64 * word(arch),
            _ => 0,
        }
    }

    /// The offsets of the names of all imports, then of all DLLs, in the table of names, and that table.
    fn names(&self) -> (Vec<u32>, Vec<u8>) {
        let (mut offsets, mut bytes) = (Vec::new(), Vec::new());
        for (_, by) in &self.entries {
            offsets.push(bytes.len() as u32);
            let ImportBy::Name(name, hint) = by else { continue };
            bytes.extend(hint.to_le_bytes());
            bytes.extend_from_slice(name);
            bytes.push(0);
            if !bytes.len().is_multiple_of(2) {
                bytes.push(0);
            }
        }
        for (name, ..) in &self.dlls {
            offsets.push(bytes.len() as u32);
            bytes.extend_from_slice(name);
            bytes.push(0);
        }
        (offsets, bytes)
    }
}

/// The bytes of a table, now that addresses are fixed.
pub(crate) fn bytes(link: &Link<'_>, table: Table) -> Vec<u8> {
    let imports = &link.pe.imports;
    let arch = link.target.arch;
    let relative =
        |table: Table| table_output(link, table).map_or(0, |output| output.address.wrapping_sub(link.pe.base)) as u32;
    let mut bytes = Vec::new();
    match table {
        Table::ImportDirectory => {
            let (offsets, _) = imports.names();
            let dropped = usize::from(malfunction::on(Malfunction::NeededLibraryDropped));
            let named = imports.dlls.len().saturating_sub(dropped);
            for (number, (_, first, _)) in imports.dlls.iter().take(named).enumerate() {
                let at = ((u64::from(*first) + number as u64) * word(arch)) as u32;
                let name = relative(Table::ImportNames) + offsets[imports.entries.len() + number];
                // Lookup table, time stamp, forwarder chain, name, address table.
                for field in [relative(Table::ImportLookup) + at, 0, 0, name, relative(Table::ImportAddress) + at] {
                    bytes.extend(field.to_le_bytes());
                }
            }
        }
        Table::ImportLookup | Table::ImportAddress => {
            let (offsets, _) = imports.names();
            let by_number = 1_u64 << (8 * word(arch) - 1);
            let mut push = |value: u64| bytes.extend_from_slice(&value.to_le_bytes()[..word(arch) as usize]);
            for (_, first, last) in &imports.dlls {
                for entry in *first..*last {
                    let off = table == Table::ImportAddress
                        && malfunction::on(Malfunction::ImportSlotOff)
                        && entry + 1 == *last
                        && entry > *first;
                    let entry = entry - u32::from(off);
                    push(match imports.entries[entry as usize].1 {
                        ImportBy::Name(..) => u64::from(relative(Table::ImportNames) + offsets[entry as usize]),
                        ImportBy::Ordinal(ordinal) => by_number | u64::from(ordinal),
                    });
                }
                push(0);
            }
        }
        Table::ImportNames => bytes = imports.names().1,
        Table::Thunks => {
            let start = table_output(link, table).map_or(0, |output| output.address);
            let slots = table_output(link, Table::ImportAddress).map_or(0, |output| output.address);
            for (number, entry) in imports.thunks.iter().enumerate() {
                let place = start + number as u64 * thunk_size(arch);
                let off = if malfunction::on(Malfunction::ImportThunkOff) { word(arch) } else { 0 };
                bytes.extend(thunk(arch, place, slots + off + imports.slot_offset(*entry, word(arch))));
            }
        }
        Table::LocalSlots => {
            for target in &imports.local_slots {
                let address = link.global_address(*target).to_le_bytes();
                bytes.extend_from_slice(&address[..word(arch) as usize]);
            }
        }
        Table::ImportDirectoryEnd => bytes.resize(DIRECTORY_ENTRY as usize, 0),
        _ => {}
    }
    bytes
}

/// Code at `place` that jumps to where `slot` points.
fn thunk(arch: Arch, place: u64, slot: u64) -> Vec<u8> {
    let operand = match arch {
        Arch::Aarch64 => return import_thunk(place, slot),
        // Counted from the end of the instruction. Images are too small for it not to fit.
        Arch::X86_64 => slot.wrapping_sub(place + 6),
        _ => slot,
    };
    let [o0, o1, o2, o3, ..] = operand.to_le_bytes();
    vec![
        0xff, 0x25, o0, o1, o2, o3, // jmp *slot
        0xcc, 0xcc, // int3
    ]
}

/// The addresses of fields of these tables that hold addresses.
pub(crate) fn address_fields(link: &Link<'_>) -> Vec<u64> {
    let imports = &link.pe.imports;
    let arch = link.target.arch;
    let start = |table: Table| table_output(link, table).map(|output| output.address);
    let mut fields = Vec::new();
    if let (Some(start), Arch::X86) = (start(Table::Thunks), arch) {
        fields.extend((0..imports.thunks.len() as u64).map(|number| start + number * thunk_size(arch) + 2));
    }
    if let Some(start) = start(Table::LocalSlots) {
        let moves = |target: &GlobalId| !link.symbols.get(*target).traits.has(crate::model::Traits::ABSOLUTE);
        let slots = imports.local_slots.iter().enumerate().filter(|(_, target)| moves(target));
        fields.extend(slots.map(|(number, _)| start + number as u64 * word(arch)));
    }
    fields
}
