//! One meaning for each global name: which definition wins, who may preempt it, what is exported.
//!
//! Objects are entered in link order. The rules are those of the gABI (chapter 4, *Symbol Table*) with the customs of
//! ELF linkers: a strong definition beats a common one beats a weak one; the first of equals stays; two strong ones are
//! an error. Visibility is the most constrained of all mentions in objects.

use std::sync::atomic::{AtomicU8, Ordering};

use indexmap::IndexMap;

use crate::elf::library::VersionId;
use crate::error::{Error, Place, SHOWN};
use crate::memory;
use crate::model::{
    Binding, Fate, GlobalId, Object, ObjectId, Symbol, SymbolIndex, SymbolKind, SymbolSection, Traits, Visibility,
    flags,
};

/// Where a global symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Definition {
    /// Nowhere in the image or the libraries.
    Undefined,
    /// In an object.
    Object(ObjectId, SymbolIndex),
    /// In no section yet: the largest of its mentions is allotted (size and alignment in bytes).
    Common { size: u64, align: u64 },
    /// In the block of allotted common symbols, at this offset.
    Allotted(u64),
    /// In a shared library: its index, and the version in it.
    Library(u32, Option<VersionId>),
    /// A number.
    Absolute(u64),
    /// A place that layout knows.
    Anchor(Anchor),
    /// Another global symbol plus a number of bytes (`--defsym`).
    Alias(GlobalId, i64),
}

/// A place that the linker itself names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The first byte of the image.
    ImageStart,
    /// What offsets from the GOT count from: `_GLOBAL_OFFSET_TABLE_`.
    GotBase,
    /// The dynamic section: `_DYNAMIC`.
    Dynamic,
    /// The start of the thread-local storage: `_TLS_MODULE_BASE_`, against which local-dynamic descriptors are asked for.
    TlsStart,
    /// The end of code: `etext`.
    TextEnd,
    /// The end of initialised data: `edata`.
    DataEnd,
    /// The start of zero-initialised data: `__bss_start`.
    ZeroStart,
    /// The end of the image: `end`.
    ImageEnd,
    /// An offset, in bytes, in the code that the linker provides.
    ProvidedCode(u64),
    /// The start of an output section (index into the plan's list; none: the image's start).
    SectionStart(u32),
    /// The end of an output section.
    SectionEnd(u32),
    /// A place that only a PE image has.
    Pe(crate::pe::Place),
}

/// `STO_AARCH64_VARIANT_PCS` and `STO_RISCV_VARIANT_CC` of `st_other`.
pub(crate) const VARIANT_CALL: u8 = 0x80;

flags! {
    /// What is known of a global symbol beside its definition.
    GlobalFlags: u8 {
        /// An object mentions it (an undefined mention or a definition).
        IN_OBJECT = 1,
        /// An object needs it: mentioned undefined and not weak.
        STRONG_REFERENCE = 1 << 1,
        /// The definition is weak.
        WEAK_DEFINITION = 1 << 2,
        /// Its definition is exported.
        EXPORTED = 1 << 3,
        /// The object that defines it hides its symbols.
        HIDDEN_BY_OPTION = 1 << 4,
        /// One definition in the whole process.
        UNIQUE = 1 << 5,
        /// A mention has the highest bit of `st_other` set: on AArch64 and RISC-V, it is called by a variant of the ABI's
        /// calling convention.
        VARIANT_CALL = 1 << 6,
    }
}

flags! {
    /// What relocations ask the image to provide for a symbol.
    Needs: u8 {
        /// A GOT slot with its address.
        GOT = 1,
        /// A PLT entry.
        PLT = 1 << 1,
        /// A GOT pair: module and offset.
        TLS_GD = 1 << 2,
        /// A GOT slot with the offset from the thread pointer.
        TLS_IE = 1 << 3,
        /// A GOT pair: descriptor.
        TLS_DESC = 1 << 4,
        /// An entry in the dynamic symbol table, for a relocation in a section.
        DYNAMIC = 1 << 5,
        /// A GOT slot with the offset in the module's TLS block.
        TLS_BLOCK = 1 << 6,
    }
}

/// A symbol that has one meaning in the whole link.
#[derive(Debug)]
pub(crate) struct Global<'a> {
    /// The name, without a version.
    pub(crate) name: &'a [u8],
    /// The version of a mention as `name@version`.
    pub(crate) version: Option<&'a [u8]>,
    /// Where it is defined.
    pub(crate) definition: Definition,
    /// An object and symbol that mention it: the definition, or the first reference.
    pub(crate) mention: Option<(ObjectId, SymbolIndex)>,
    /// Who may see it.
    pub(crate) visibility: Visibility,
    /// What it stands for.
    pub(crate) kind: SymbolKind,
    /// What else is known.
    pub(crate) flags: GlobalFlags,
    /// What relocations need to know.
    pub(crate) traits: Traits,
    /// Its place in the dynamic symbol table, 0 for none.
    pub(crate) dynamic_index: u32,
    needs: AtomicU8,
}

impl<'a> Global<'a> {
    /// A symbol that nothing is known of but its name; `plain` if an `@` in that is a letter like others.
    fn new(name: &'a [u8], plain: bool) -> Self {
        let (name, version) = match memchr::memchr(b'@', name) {
            Some(at) if at > 0 && !plain => {
                (&name[..at], Some(name[at + 1..].strip_prefix(b"@").unwrap_or(&name[at + 1..])))
            }
            _ => (name, None),
        };
        Self {
            name,
            version,
            definition: Definition::Undefined,
            mention: None,
            visibility: Visibility::Default,
            kind: SymbolKind::None,
            flags: GlobalFlags::default(),
            traits: Traits::default(),
            dynamic_index: 0,
            needs: AtomicU8::new(0),
        }
    }

    /// What relocations ask for.
    pub(crate) fn needs(&self) -> Needs {
        Needs(self.needs.load(Ordering::Relaxed))
    }

    /// Adds to what relocations ask for.
    pub(crate) fn require(&self, needs: Needs) {
        // Most relocations repeat what is known; a load is cheaper than a locked store.
        if !self.needs().has(needs) {
            self.needs.fetch_or(needs.0, Ordering::Relaxed);
        }
    }

    /// Whether something in the image, the linker included, defines it.
    pub(crate) fn is_defined_here(&self) -> bool {
        !matches!(self.definition, Definition::Undefined | Definition::Library(..))
    }

    /// Whether every mention that lacks a definition is weak.
    pub(crate) fn is_weak_reference(&self) -> bool {
        !self.is_defined_here() && !self.flags.has(GlobalFlags::STRONG_REFERENCE)
    }
}

/// The global symbols of a link, in the order they were met.
#[derive(Debug, Default)]
pub(crate) struct Symbols<'a> {
    map: IndexMap<&'a [u8], Global<'a>, foldhash::quality::RandomState>,
    /// Signatures of the groups met.
    groups: std::collections::HashSet<&'a [u8], foldhash::quality::RandomState>,
    /// What differs between formats.
    pub(crate) customs: Customs,
    /// Pairs of strong definitions of one symbol.
    pub(crate) duplicates: Vec<Duplicate>,
}

/// What formats make of names and visibility.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Customs {
    /// Names may have versions in them, and visibility is the most constrained of all mentions.
    #[default]
    Elf,
    /// Names are plain.
    Plain,
    /// Names are plain, and visibility is that of the definition: of weak ones, the widest.
    MachO,
}

/// Two definitions of one symbol, neither of which gives way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Duplicate {
    /// The symbol.
    pub(crate) global: GlobalId,
    /// The definition that stays.
    pub(crate) first: Option<(ObjectId, SymbolIndex)>,
    /// The other one.
    pub(crate) second: (ObjectId, SymbolIndex),
}

impl<'a> Symbols<'a> {
    /// Makes room for symbols that are about to be entered, so that the table does not grow step by step.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.map.reserve(count);
    }

    /// Bytes of memory that it has taken.
    pub(crate) fn held(&self) -> u64 {
        // Of each symbol: hash, name and symbol in a vector, and its index in a hash table that keeps an eighth free.
        let entry = size_of::<(usize, &[u8], Global<'_>)>() + 10;
        let groups = (self.groups.capacity() as u64).saturating_mul(size_of::<&[u8]>() as u64 + 2);
        (self.map.capacity() as u64).saturating_mul(entry as u64) + groups + memory::of_vec(&self.duplicates)
    }

    /// The number of global symbols.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (GlobalId, &Global<'a>)> {
        self.map.values().enumerate().map(|(index, global)| (GlobalId(index as u32), global))
    }

    /// The symbol with an id of this table.
    pub(crate) fn get(&self, id: GlobalId) -> &Global<'a> {
        &self.map[id.index()]
    }

    /// The symbol with an id of this table.
    pub(crate) fn get_mut(&mut self, id: GlobalId) -> &mut Global<'a> {
        &mut self.map[id.index()]
    }

    /// What a chain of aliases ends at, and the offset that adds up on the way. Chains have no cycles.
    pub(crate) fn root(&self, mut id: GlobalId, mut offset: i64) -> (GlobalId, i64) {
        while let Definition::Alias(target, further) = self.get(id).definition {
            (id, offset) = (target, offset.wrapping_add(further));
        }
        (id, offset)
    }

    /// Whether the definition of a symbol, or of what it is an alias of, is in a section that is not part of the image.
    pub(crate) fn is_left_out(&self, objects: &[Object<'a>], global: &Global<'a>) -> bool {
        let definition = match global.definition {
            Definition::Alias(target, offset) => self.get(self.root(target, offset).0).definition,
            definition => definition,
        };
        let Definition::Object(object, index) = definition else { return false };
        let object = objects.get(object.index());
        let section = object.and_then(|object| object.symbol_section(object.symbols.get(index as usize)?));
        section.is_some_and(|section| !section.is_live())
    }

    /// The symbol with a name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<(GlobalId, &Global<'a>)> {
        let (index, _, global) = self.map.get_full(name)?;
        Some((GlobalId(index as u32), global))
    }

    /// The symbol with a name, entered if it is new.
    pub(crate) fn intern(&mut self, name: &'a [u8]) -> GlobalId {
        let plain = self.customs != Customs::Elf;
        let entry = self.map.entry(name);
        let index = entry.index();
        entry.or_insert_with_key(|name| Global::new(name, plain));
        GlobalId(index as u32)
    }

    /// Enters an object: drops its copies of groups that were met before, and gives each of its global symbols its
    /// meaning. Ids of symbols that became, or are again, undefined are appended to `wanted`.
    pub(crate) fn add_object(&mut self, id: ObjectId, object: &mut Object<'a>, wanted: &mut Vec<GlobalId>) {
        for group in &object.groups {
            if self.groups.insert(group.signature) {
                continue;
            }
            for member in &group.members {
                if let Some(section) = object.sections.get_mut(*member as usize) {
                    section.fate = Fate::DuplicateGroup;
                }
            }
        }
        for index in 0..object.symbols.len() {
            let symbol = object.symbols[index];
            if symbol.binding == Binding::Local {
                continue;
            }
            let global = self.intern(object.symbol_name(&symbol));
            object.symbols[index].global = global;
            let discarded = object.symbol_section(&symbol).is_some_and(|section| !section.is_live());
            self.mention(global, (id, index as u32), &symbol, discarded, object.hide_symbols);
            if self.get(global).definition == Definition::Undefined {
                wanted.push(global);
            }
        }
    }

    fn mention(&mut self, id: GlobalId, place: (ObjectId, SymbolIndex), symbol: &Symbol, discarded: bool, hide: bool) {
        let by_definition = self.customs == Customs::MachO;
        let global = &mut self.map[id.index()];
        global.flags.set(GlobalFlags::IN_OBJECT);
        global.flags = global.flags.when(symbol.other & VARIANT_CALL != 0, GlobalFlags::VARIANT_CALL);
        let visibility = visibility(symbol.other);
        if !by_definition {
            global.visibility = global.visibility.max(visibility);
        }
        let weak = symbol.binding == Binding::Weak;
        if symbol.section() == SymbolSection::Undefined || discarded {
            if !weak {
                global.flags.set(GlobalFlags::STRONG_REFERENCE);
            }
            if global.mention.is_none() {
                global.mention = Some(place);
                global.kind = symbol.kind;
            }
            return;
        }
        let strong_here = global.is_defined_here() && !global.flags.has(GlobalFlags::WEAK_DEFINITION);
        if symbol.section() == SymbolSection::Common {
            let align = symbol.value.max(1);
            match &mut global.definition {
                Definition::Common { size: known, align: known_align } => {
                    *known_align = align.max(*known_align);
                    // The largest mention gives the symbol its name and size in the symbol table.
                    if symbol.size <= *known {
                        return;
                    }
                    *known = symbol.size;
                    global.mention = Some(place);
                    return;
                }
                _ if strong_here => return,
                _ => global.definition = Definition::Common { size: symbol.size, align },
            }
        } else {
            match global.definition {
                Definition::Common { .. } if weak => return,
                Definition::Common { .. } => {}
                _ if strong_here && !weak => {
                    self.duplicates.push(Duplicate { global: id, first: global.mention, second: place });
                    return;
                }
                _ if global.is_defined_here() && weak => {
                    if by_definition && !strong_here {
                        global.visibility = global.visibility.min(visibility);
                    }
                    return;
                }
                _ => {}
            }
            global.definition = Definition::Object(place.0, place.1);
        }
        if by_definition {
            global.visibility = visibility;
        }
        global.mention = Some(place);
        global.kind = symbol.kind;
        global.flags = global
            .flags
            .without(GlobalFlags::WEAK_DEFINITION.and(GlobalFlags::HIDDEN_BY_OPTION).and(GlobalFlags::UNIQUE))
            .when(weak, GlobalFlags::WEAK_DEFINITION)
            .when(hide, GlobalFlags::HIDDEN_BY_OPTION)
            .when(symbol.binding == Binding::Unique, GlobalFlags::UNIQUE);
    }

    /// Whether a symbol still looks for a definition in archives and libraries, and whether a weak one would do.
    pub(crate) fn is_wanted(&self, id: GlobalId) -> bool {
        self.get(id).definition == Definition::Undefined
    }

    /// The first problems of symbols defined twice, and the number of the others. Two absolute definitions of one value are
    /// none.
    pub(crate) fn duplicate_problems(&self, objects: &[Object<'a>]) -> (Vec<Error>, usize) {
        let absolute = |place: Option<(ObjectId, SymbolIndex)>| {
            let (object, symbol) = place?;
            let symbol = objects[object.index()].symbols[symbol as usize];
            (symbol.section() == SymbolSection::Absolute).then_some(symbol.value)
        };
        let (mut problems, mut cut) = (Vec::new(), 0_usize);
        for duplicate in &self.duplicates {
            let second = absolute(Some(duplicate.second));
            if second.is_some() && absolute(duplicate.first) == second {
                continue;
            }
            if problems.len() == SHOWN {
                cut = cut.saturating_add(1);
                continue;
            }
            problems.push(Error::Duplicate {
                symbol: String::from_utf8_lossy(self.get(duplicate.global).name).into_owned(),
                first: Box::new(duplicate.first.map(|place| definition_place(objects, place)).unwrap_or_default()),
                second: Box::new(definition_place(objects, duplicate.second)),
            });
        }
        (problems, cut)
    }

    /// Gives every common symbol its place in one block, largest alignment first; returns the block's size and
    /// alignment in bytes, or `None` if there is no common symbol.
    ///
    /// # Errors
    /// If the sizes add up to more than an address space.
    pub(crate) fn allot_commons(&mut self) -> Result<Option<(u64, u64)>, Error> {
        let mut commons: Vec<(u64, GlobalId, u64)> = Vec::new();
        for (id, global) in self.iter() {
            if let Definition::Common { size, align } = global.definition {
                commons.push((align, id, size));
            }
        }
        commons.sort_by_key(|(align, id, _)| (std::cmp::Reverse(*align), *id));
        let Some(largest) = commons.first().map(|(align, ..)| *align) else { return Ok(None) };
        let mut end = 0_u64;
        for (align, id, size) in commons {
            let start = end.checked_next_multiple_of(align);
            let next = start.and_then(|start| start.checked_add(size)).filter(|end| *end <= i64::MAX as u64);
            let (Some(start), Some(next)) = (start, next) else {
                return Err(Error::Limit {
                    name: "address space",
                    what: "the size of all common symbols".to_owned(),
                    wanted: u64::MAX,
                    limit: i64::MAX as u64,
                });
            };
            self.get_mut(id).definition = Definition::Allotted(start);
            end = next;
        }
        Ok(Some((end, largest)))
    }
}

/// Where a definition stands, for a message.
pub(crate) fn definition_place(objects: &[Object<'_>], (id, symbol): (ObjectId, SymbolIndex)) -> Place {
    let object = &objects[id.index()];
    let symbol = object.symbols[symbol as usize];
    let mut place = Place { file: object.name.to_string(), ..Place::default() };
    if let Some(section) = object.symbol_section(&symbol) {
        place.section = String::from_utf8_lossy(section.name).into_owned();
        place.offset = symbol.value;
    }
    if let SymbolSection::In(section) = symbol.section() {
        place.origin = Some((id, section));
    }
    place
}

/// The visibility in `st_other` (gABI figure 4-20).
pub(crate) fn visibility(other: u8) -> Visibility {
    match other & 3 {
        1 => Visibility::Internal,
        2 => Visibility::Hidden,
        3 => Visibility::Protected,
        _ => Visibility::Default,
    }
}
