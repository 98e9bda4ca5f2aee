//! The objects that both libraries were linked from, with symbols resolved as a linker resolves them.

use std::collections::HashMap;

use object::elf;
use object::read::archive::ArchiveFile;

use crate::arch;
use crate::elf::{ElfFile, Error, Name, Place, Relocation, Result, Section, Symbol};

/// One object file of the link.
#[derive(Debug)]
pub struct Object<'a> {
    /// The file's name, with the archive's in front: `archive.a(member.o)`.
    pub name: String,
    /// Headers and sections.
    pub file: ElfFile<'a>,
    /// The symbols, the null symbol included.
    pub symbols: Vec<Symbol<'a>>,
    /// For each section, its relocations by ascending offset.
    pub relocations: Vec<Vec<Relocation>>,
    /// For each section, whether it is a COMDAT member that an earlier object's copy replaced.
    pub discarded: Vec<bool>,
}

/// A section of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionId {
    /// The index in [`Inputs::objects`].
    pub object: usize,
    /// The section header's index.
    pub section: usize,
}

/// What all objects together say about a global name.
#[derive(Clone, Copy, Debug)]
pub struct Global {
    /// The object and symbol that define it, if any does.
    pub definition: Option<(usize, usize)>,
    /// The most constraining visibility that any object gives it.
    pub visibility: u8,
    /// Whether every reference is weak (true if there are none).
    pub weakly_referenced: bool,
}

/// The objects of a link.
#[derive(Debug, Default)]
pub struct Inputs<'a> {
    /// The objects in link order.
    pub objects: Vec<Object<'a>>,
    /// The global names.
    pub globals: HashMap<Name<'a>, Global>,
}

impl<'a> Inputs<'a> {
    /// Reads objects and archives, in link order. Every member of `whole` files is linked; of `lazy` archives, those that
    /// define what is still undefined.
    pub fn parse(whole: &[(String, &'a [u8])], lazy: &[(String, &'a [u8])]) -> Result<Self> {
        let mut inputs = Inputs::default();
        for (name, bytes) in whole {
            for (name, bytes) in members(name, bytes)? {
                inputs.objects.push(Object::parse(name, bytes)?);
            }
        }
        let mut waiting = Vec::new();
        for (name, bytes) in lazy {
            for (name, bytes) in members(name, bytes)? {
                waiting.push(Object::parse(name, bytes)?);
            }
        }
        inputs.resolve();
        while let Some(index) = waiting.iter().position(|object| inputs.wants(object)) {
            inputs.objects.push(waiting.remove(index));
            inputs.resolve();
        }
        Ok(inputs)
    }

    /// The section of this id.
    pub fn section(&self, id: SectionId) -> &Section<'a> {
        &self.objects[id.object].file.sections[id.section]
    }

    /// The addend of a relocation of the section: the record's, or the one that the field holds.
    pub fn addend(&self, id: SectionId, relocation: &Relocation) -> i64 {
        if let Some(addend) = relocation.addend {
            return addend;
        }
        let file = &self.objects[id.object].file;
        let Some(kind) = arch::static_kind(file.machine, relocation.kind) else { return 0 };
        let start = usize::try_from(relocation.offset).unwrap_or(usize::MAX);
        let field = self.section(id).data.get(start..start.saturating_add(kind.field.width()));
        field.map_or(0, |bytes| kind.field.addend(file, bytes))
    }

    /// A name for the section: `archive.a(member.o):(.text)`.
    pub fn section_name(&self, id: SectionId) -> String {
        format!("{}:({})", self.objects[id.object].name, self.section(id).name)
    }

    /// All sections, in link order.
    pub fn sections(&self) -> impl Iterator<Item = SectionId> + '_ {
        self.objects
            .iter()
            .enumerate()
            .flat_map(|(object, file)| (1..file.file.sections.len()).map(move |section| SectionId { object, section }))
    }

    fn wants(&self, object: &Object<'a>) -> bool {
        object.symbols.iter().any(|symbol| {
            symbol.is_defined()
                && !symbol.is_local()
                && self
                    .globals
                    .get(&symbol.name)
                    .is_some_and(|global| global.definition.is_none() && !global.weakly_referenced)
        })
    }

    fn resolve(&mut self) {
        let mut groups = HashMap::new();
        for object in &mut self.objects {
            object.discard_replaced_groups(&mut groups);
        }
        self.globals.clear();
        for (number, object) in self.objects.iter().enumerate() {
            for (index, symbol) in object.symbols.iter().enumerate() {
                if index == 0 || symbol.is_local() {
                    continue;
                }
                let global = self.globals.entry(symbol.name).or_insert(Global {
                    definition: None,
                    visibility: elf::STV_DEFAULT.0,
                    weakly_referenced: true,
                });
                global.visibility = most_constraining(global.visibility, symbol.visibility);
                if !object.defines(symbol) {
                    global.weakly_referenced &= symbol.is_weak();
                    continue;
                }
                let better = global
                    .definition
                    .is_none_or(|(object, index)| rank(symbol) > rank(&self.objects[object].symbols[index]));
                if better {
                    global.definition = Some((number, index));
                }
            }
        }
    }
}

impl<'a> Object<'a> {
    fn parse(name: String, bytes: &'a [u8]) -> Result<Self> {
        let fail = |error: Error| Error(format!("{name}: {error}"));
        let file = ElfFile::parse(bytes).map_err(fail)?;
        if file.kind != elf::ET_REL.0 {
            return Err(Error(format!("{name}: not an object file")));
        }
        let symbols = file.symbols(elf::SHT_SYMTAB.0).map_err(fail)?;
        let mut relocations = vec![Vec::new(); file.sections.len()];
        for (index, section) in file.sections.iter().enumerate() {
            if ![elf::SHT_REL.0, elf::SHT_RELA.0, elf::SHT_CREL.0].contains(&section.kind) {
                continue;
            }
            let target = relocations
                .get_mut(section.info as usize)
                .ok_or_else(|| Error(format!("{name}: {} applies to no section", section.name)))?;
            target.extend(file.relocations(index).map_err(fail)?);
            target.sort_by_key(|relocation| relocation.offset);
        }
        let discarded = vec![false; file.sections.len()];
        Ok(Object { name, file, symbols, relocations, discarded })
    }

    /// Whether the object's symbol counts as a definition: those in replaced COMDAT members do not.
    pub fn defines(&self, symbol: &Symbol<'a>) -> bool {
        match symbol.place {
            Place::Undefined => false,
            Place::Section(section) => !self.discarded.get(section as usize).copied().unwrap_or(true),
            _ => true,
        }
    }

    /// The section that holds a symbol.
    pub fn section_of(&self, symbol: &Symbol<'a>) -> Option<usize> {
        match symbol.place {
            Place::Section(section) if (section as usize) < self.file.sections.len() => Some(section as usize),
            _ => None,
        }
    }

    /// gABI: of all COMDAT groups with the same signature, one is kept; linkers keep the first.
    fn discard_replaced_groups(&mut self, seen: &mut HashMap<Name<'a>, ()>) {
        for section in self.file.sections.iter().filter(|section| section.kind == elf::SHT_GROUP.0) {
            let mut words = self.file.cursor(&section.data);
            let flags = words.u32().unwrap_or_default();
            let Some(signature) = self.symbols.get(section.info as usize) else { continue };
            let signature = match signature.place {
                Place::Section(index) if signature.is_section() => {
                    self.file.sections.get(index as usize).map_or(signature.name, |section| section.name)
                }
                _ => signature.name,
            };
            let replaced = flags & elf::GRP_COMDAT.0 != 0 && seen.insert(signature, ()).is_some();
            while let Some(member) = words.u32() {
                if let Some(discarded) = self.discarded.get_mut(member as usize) {
                    *discarded = replaced;
                }
            }
        }
    }
}

fn members<'a>(name: &str, bytes: &'a [u8]) -> Result<Vec<(String, &'a [u8])>> {
    if !bytes.starts_with(b"!<arch>\n") {
        return Ok(vec![(name.to_string(), bytes)]);
    }
    let archive = ArchiveFile::parse(bytes)?;
    let mut members = Vec::new();
    for member in archive.members() {
        let member = member?;
        let label = format!("{name}({})", String::from_utf8_lossy(member.name()));
        members.push((label, member.data(bytes)?));
    }
    Ok(members)
}

/// Strong definitions replace common symbols, which replace weak definitions.
fn rank(symbol: &Symbol<'_>) -> (u8, u64) {
    match symbol.place {
        Place::Common => (1, symbol.size),
        _ if symbol.is_weak() => (0, 0),
        _ => (2, 0),
    }
}

/// gABI, "Symbol Visibility": internal, hidden, protected, default, from most to least constraining.
fn most_constraining(a: u8, b: u8) -> u8 {
    match (a, b) {
        (0, other) | (other, 0) => other,
        _ => a.min(b),
    }
}
