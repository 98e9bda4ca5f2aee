//! One meaning for each global name: which definition wins, who may preempt it, what is exported.
//!
//! Objects are entered in link order. A strong definition beats all others, the first of equals stays, and two strong ones
//! are an error. In the rest formats differ ([`Customs`]). In ELF the rules are those of the gABI (chapter 4, *Symbol Table*)
//! with the customs of ELF linkers: a common symbol beats a weak definition, and visibility is the most constrained of all
//! mentions in objects.

mod global;
mod table;

use std::collections::BTreeSet;

use crate::error::{Error, Place, SHOWN};
use crate::memory;
use crate::model::{
    Binding, CommonKind, Fate, GlobalId, Object, ObjectId, Symbol, SymbolIndex, SymbolSection, Visibility,
};

pub(crate) use global::{Anchor, Definition, Global, GlobalFlags, Needs, VARIANT_CALL};
use table::Table;
pub(crate) use table::{Hasher, Key};

/// The global symbols of a link, in the order they were met.
#[derive(Debug)]
pub(crate) struct Symbols<'a> {
    globals: Vec<Global<'a>>,
    names: Table,
    hasher: Hasher,
    /// Signatures of the groups met.
    groups: std::collections::HashSet<&'a [u8], foldhash::quality::RandomState>,
    /// What differs between formats.
    pub(crate) customs: Customs,
    /// Symbols that were mentioned with a version.
    pub(crate) versioned: BTreeSet<GlobalId>,
    /// Some are common, or were.
    any_commons: bool,
    /// Some weak definition of an object has given way to another definition.
    any_copies: bool,
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
    /// Names are plain, and visibility is that of the definition: of weak ones, the widest. A common symbol gives way to any
    /// definition, a weak one too.
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

/// The memory that all common symbols of a kind are allotted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommonBlock {
    /// The kind.
    pub(crate) kind: CommonKind,
    /// In bytes.
    pub(crate) size: u64,
    /// In bytes.
    pub(crate) align: u64,
}

impl<'a> Symbols<'a> {
    /// No symbols yet.
    ///
    /// The [keys](Key) of their names will be made with `hasher`.
    pub(crate) fn new(customs: Customs, hasher: Hasher) -> Self {
        let (names, groups) = (Table::default(), Default::default());
        let versioned = BTreeSet::new();
        let (any_commons, any_copies, duplicates) = (false, false, Vec::new());
        Self { globals: Vec::new(), names, hasher, groups, customs, versioned, any_commons, any_copies, duplicates }
    }

    /// Makes room for symbols of so many mentions, at once: to grow bit by bit would enter most of them several times.
    pub(crate) fn reserve(&mut self, mentions: usize) {
        self.names.reserve(mentions);
        self.globals.reserve(mentions);
    }

    /// Bytes of memory that it has taken.
    pub(crate) fn held(&self) -> u64 {
        let groups = (self.groups.capacity() as u64).saturating_mul(size_of::<&[u8]>() as u64 + 2);
        memory::of_vec(&self.globals) + self.names.held() + groups + memory::of_vec(&self.duplicates)
    }

    /// Whether some weak definition of an object has given way to another definition.
    pub(crate) fn has_copies(&self) -> bool {
        self.any_copies
    }

    /// The number of global symbols.
    pub(crate) fn len(&self) -> usize {
        self.globals.len()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (GlobalId, &Global<'a>)> {
        self.globals.iter().enumerate().map(|(index, global)| (GlobalId(index as u32), global))
    }

    /// The symbol with an id of this table.
    pub(crate) fn get(&self, id: GlobalId) -> &Global<'a> {
        &self.globals[id.index()]
    }

    /// The symbol with an id of this table.
    pub(crate) fn get_mut(&mut self, id: GlobalId) -> &mut Global<'a> {
        &mut self.globals[id.index()]
    }

    /// What a chain of aliases ends at, and the offset that adds up on the way. Chains have no cycles.
    pub(crate) fn root(&self, mut id: GlobalId, mut offset: i64) -> (GlobalId, i64) {
        while let Definition::Alias(target, further) = self.get(id).definition {
            (id, offset) = (target, offset.wrapping_add(further));
        }
        (id, offset)
    }

    /// Marks those whose definition, or that of what they are an alias of, is in a section that is not part of the image.
    pub(crate) fn mark_left_out(&mut self, objects: &[Object<'a>]) {
        for index in 0..self.globals.len() {
            let definition = match self.globals[index].definition {
                Definition::Alias(target, offset) => self.get(self.root(target, offset).0).definition,
                definition => definition,
            };
            let section = match definition {
                Definition::Object(object, index) => {
                    let object = objects.get(object.index());
                    object.and_then(|object| object.symbol_section(object.symbols.get(index as usize)?))
                }
                _ => None,
            };
            let flags = &mut self.globals[index].flags;
            let left_out = section.is_some_and(|section| !section.is_live());
            *flags = flags.without(GlobalFlags::LEFT_OUT).when(left_out, GlobalFlags::LEFT_OUT);
        }
    }

    /// Has symbols of which a process has one definition be ordinary ones.
    pub(crate) fn forget_unique(&mut self) {
        self.globals.iter_mut().for_each(|global| global.flags = global.flags.without(GlobalFlags::UNIQUE));
    }

    /// The symbol with a name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<(GlobalId, &Global<'a>)> {
        let index = self.names.find(Key::new(name, &self.hasher), |index| is_called(&self.globals, index, name))?;
        Some((GlobalId(index as u32), self.globals.get(index)?))
    }

    /// The symbol with a name, entered if it is new.
    pub(crate) fn intern(&mut self, name: &'a [u8]) -> GlobalId {
        self.names.reserve(1);
        self.intern_key(Key::new(name, &self.hasher), name)
    }

    /// As [`intern`](Self::intern), of a name that has this key, once there is room.
    fn intern_key(&mut self, key: Key, name: &'a [u8]) -> GlobalId {
        let next = self.globals.len();
        let index = self.names.find_or_enter(key, |index| is_called(&self.globals, index, name), next);
        if index == next {
            self.globals.push(Global::new(name, self.customs == Customs::Elf && key.has_at()));
        }
        let id = GlobalId(index as u32);
        match self.get(id).version() {
            None => id,
            Some(_) => self.intern_versioned(name, id),
        }
    }

    /// What a name with a version in it means: `name@@version` is what `name` means. The name itself then stands for nothing.
    #[cold]
    fn intern_versioned(&mut self, name: &'a [u8], id: GlobalId) -> GlobalId {
        let plain = self.get(id).name;
        let default = name.get(plain.len()..).is_some_and(|version| version.starts_with(b"@@"));
        let id = if default { self.intern(plain) } else { id };
        self.versioned.insert(id);
        id
    }

    /// Enters an object, whose names have these [`keys`](Key::all): drops its copies of groups that were met before, and
    /// gives each of its global symbols its meaning. Ids of symbols that became, or are again, undefined are appended to
    /// `wanted`.
    pub(crate) fn add_object(
        &mut self,
        id: ObjectId,
        object: &mut Object<'a>,
        keys: &[Key],
        wanted: &mut Vec<GlobalId>,
    ) {
        /// Symbols that are looked at together.
        const BATCH: usize = 32;
        for group in &object.groups {
            if !group.comdat || self.groups.insert(group.signature) {
                continue;
            }
            for member in &group.members {
                if let Some(section) = object.sections.get_mut(*member as usize) {
                    section.fate = Fate::DuplicateGroup;
                }
            }
        }
        self.names.reserve(keys.len());
        let mut symbols = 0..object.symbols.len();
        for batch in keys.chunks(BATCH) {
            // A name with a version may enter the one without it, too.
            self.names.reserve(2 * batch.len());
            self.approach(batch);
            for key in batch {
                let is_global = |index: &usize| object.symbols[*index].binding != Binding::Local;
                let Some(index) = symbols.find(is_global) else { return };
                let symbol = object.symbols[index];
                let start = object.name_start(&symbol);
                let name = start.get(..key.length()).unwrap_or(start);
                let global = self.intern_key(*key, name);
                object.symbols[index].global = global;
                let discarded = object.symbol_section(&symbol).is_some_and(|section| !section.is_live());
                self.mention(global, (id, index as u32), &symbol, discarded, object.hide_symbols);
                if key.has_at() {
                    self.prefer_versioned(global, (id, index as u32), object);
                }
                if self.get(global).definition == Definition::Undefined {
                    wanted.push(global);
                }
            }
        }
    }

    /// Has the definition with a default version in its name stand for a symbol that the assembler has defined without one,
    /// too, at the same place.
    #[cold]
    fn prefer_versioned(&mut self, id: GlobalId, place: (ObjectId, SymbolIndex), object: &Object<'a>) {
        let global = self.get_mut(id);
        let Some(first) = global.mention.filter(|first| *first != place && first.0 == place.0) else { return };
        if is_one_place(object, first.1, place.1) {
            global.mention = Some(place);
            if global.definition == Definition::Object(first.0, first.1) {
                global.definition = Definition::Object(place.0, place.1);
            }
        }
    }

    /// Enters an undefined symbol of an object as a reference to what is called `name`. Returns the id of that if nothing
    /// defines it yet. It does not count as a mention, from which that one's name could be told.
    pub(crate) fn refer(&mut self, symbol: &mut Symbol, name: &'a [u8]) -> Option<GlobalId> {
        let id = self.intern(name);
        symbol.global = id;
        let global = self.get_mut(id);
        global.constrain(visibility(symbol.other));
        let strong = symbol.binding != Binding::Weak;
        let flags = global.flags.when(strong, GlobalFlags::STRONG_REFERENCE);
        global.flags = flags.when(symbol.other & VARIANT_CALL != 0, GlobalFlags::VARIANT_CALL);
        global.flags.set(GlobalFlags::IN_OBJECT);
        self.is_wanted(id).then_some(id)
    }

    /// Enters an object's definition of a symbol as another name for the one called `target`. Returns the symbol's id if the
    /// definition is taken.
    pub(crate) fn add_alias(
        &mut self,
        object: &Object<'a>,
        place: (ObjectId, SymbolIndex),
        target: &'a [u8],
    ) -> Option<GlobalId> {
        let symbol = *object.symbols.get(place.1 as usize)?;
        let id = symbol.global.get()?;
        let target = self.intern(target);
        let global = self.get_mut(id);
        if global.is_defined_here() && !global.flags.has(GlobalFlags::WEAK_DEFINITION) {
            self.duplicates.push(Duplicate { global: id, first: self.get(id).mention, second: place });
            return None;
        }
        global.definition = Definition::Alias(target, 0);
        global.mention = Some(place);
        global.visibility = visibility(symbol.other);
        global.flags = global
            .flags
            .without(GlobalFlags::WEAK_DEFINITION.and(GlobalFlags::HIDDEN_BY_OPTION))
            .when(object.hide_symbols, GlobalFlags::HIDDEN_BY_OPTION);
        Some(id)
    }

    /// Touches what looking for these names will touch. Where the table is larger than the caches, the processor waits for
    /// all of them together and not for one after the other.
    fn approach(&self, keys: &[Key]) {
        let likely = keys.iter().filter_map(|key| self.globals.get(self.names.first(*key)?));
        std::hint::black_box(likely.fold(0, |touched, global| touched ^ global.name.first().copied().unwrap_or(0)));
    }

    fn mention(&mut self, id: GlobalId, place: (ObjectId, SymbolIndex), symbol: &Symbol, discarded: bool, hide: bool) {
        let by_definition = self.customs == Customs::MachO;
        let global = &mut self.globals[id.index()];
        global.flags.set(GlobalFlags::IN_OBJECT);
        global.flags = global.flags.when(symbol.other & VARIANT_CALL != 0, GlobalFlags::VARIANT_CALL);
        let visibility = visibility(symbol.other);
        if !by_definition {
            global.constrain(visibility);
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
        let defined_here = global.is_defined_here();
        let assigned = global.flags.has(GlobalFlags::ASSIGNED);
        let strong_here = defined_here && !global.flags.has(GlobalFlags::WEAK_DEFINITION);
        if let SymbolSection::Common(kind) = symbol.section() {
            self.any_commons = true;
            let align = symbol.value.max(1).checked_next_power_of_two().map_or(63, u64::ilog2) as u8;
            match &mut global.definition {
                Definition::Common { size: known, align: known_align, kind: known_kind } => {
                    *known_align = align.max(*known_align);
                    // Who takes it to be near must reach it.
                    if kind == CommonKind::Data && *known_kind == CommonKind::Far {
                        *known_kind = kind;
                    }
                    // The largest mention gives the symbol its name and size in the symbol table.
                    if symbol.size <= *known {
                        return;
                    }
                    *known = symbol.size;
                    global.mention = Some(place);
                    if by_definition {
                        global.visibility = visibility;
                    }
                    return;
                }
                _ if strong_here || (by_definition && defined_here) => return,
                _ => global.definition = Definition::Common { size: symbol.size, align, kind },
            }
        } else {
            match global.definition {
                Definition::Common { .. } if weak && !by_definition => return,
                Definition::Common { .. } => {}
                // For ELF's linkers and MinGW's an assignment takes the place of what objects define.
                _ if assigned && !by_definition => return,
                _ if strong_here && !weak => {
                    let first = global.mention.filter(|_| !assigned);
                    self.duplicates.push(Duplicate { global: id, first, second: place });
                    return;
                }
                _ if defined_here && weak => {
                    self.any_copies = true;
                    if by_definition && !strong_here {
                        global.visibility = global.visibility.min(visibility);
                    }
                    return;
                }
                _ => self.any_copies |= matches!(global.definition, Definition::Object(..)),
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

    /// Whether a symbol still looks for a definition in archives and libraries: nothing defines it or, of macOS, only a weak
    /// definition of a library does, which gives way to a member of an archive and to a library whose definition is not weak.
    pub(crate) fn is_wanted(&self, id: GlobalId) -> bool {
        let global = self.get(id);
        match global.definition {
            Definition::Undefined => true,
            Definition::Library(..) => self.customs == Customs::MachO && global.flags.has(GlobalFlags::WEAK_DEFINITION),
            _ => false,
        }
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
            // Assemblers make `name@@version` beside `name`: two entries for one place, and with versions for one symbol.
            let (home, second) = duplicate.second;
            let beside = duplicate.first.filter(|(object, _)| *object == home);
            if beside.is_some_and(|(_, first)| is_one_place(&objects[home.index()], first, second)) {
                continue;
            }
            if problems.len() == SHOWN {
                cut = cut.saturating_add(1);
                continue;
            }
            let symbol = String::from_utf8_lossy(self.get(duplicate.global).name).into_owned();
            let second = definition_place(objects, duplicate.second);
            problems.push(match duplicate.first {
                Some(first) => {
                    let first = definition_place(objects, first);
                    Error::Duplicate { symbol, first: Box::new(first), second: Box::new(second) }
                }
                None => Error::Options(format!("{symbol}: defined by an option and at {second}")),
            });
        }
        (problems, cut)
    }

    /// Gives every common symbol its place in the block of its kind, largest alignment first; returns the blocks that are
    /// there, by kind.
    ///
    /// # Errors
    /// If the sizes add up to more than an address space.
    pub(crate) fn allot_commons(&mut self) -> Result<Vec<CommonBlock>, Error> {
        let mut blocks: Vec<CommonBlock> = Vec::new();
        if !self.any_commons {
            return Ok(blocks);
        }
        let mut commons: Vec<(CommonKind, u64, GlobalId, u64)> = Vec::new();
        for (id, global) in self.iter() {
            if let Definition::Common { size, align, kind } = global.definition {
                commons.push((kind, 1 << align, id, size));
            }
        }
        commons.sort_by_key(|(kind, align, id, _)| (*kind, std::cmp::Reverse(*align), *id));
        for (kind, align, id, size) in commons {
            if blocks.last().is_none_or(|block| block.kind != kind) {
                blocks.push(CommonBlock { kind, size: 0, align });
            }
            let Some(block) = blocks.last_mut() else { continue };
            let start = block.size.checked_next_multiple_of(align);
            let next = start.and_then(|start| start.checked_add(size)).filter(|end| *end <= i64::MAX as u64);
            let (Some(start), Some(next)) = (start, next) else {
                return Err(Error::Limit {
                    name: "address space",
                    what: "the size of all common symbols".to_owned(),
                    wanted: u64::MAX,
                    limit: i64::MAX as u64,
                });
            };
            block.size = next;
            self.get_mut(id).definition = Definition::Allotted(kind, start);
        }
        Ok(blocks)
    }
}

/// Whether a symbol has a name, the version included.
fn is_called(globals: &[Global<'_>], index: usize, name: &[u8]) -> bool {
    globals.get(index).is_some_and(|global| global.full_name() == name)
}

/// Whether two symbols of an object, of different names, stand for one place of a section.
fn is_one_place(object: &Object<'_>, one: SymbolIndex, other: SymbolIndex) -> bool {
    let (one, other) = (&object.symbols[one as usize], &object.symbols[other as usize]);
    matches!(one.section(), SymbolSection::In(_))
        && (one.section(), one.value) == (other.section(), other.value)
        && object.symbol_name(one) != object.symbol_name(other)
}

/// Where a definition stands, for a message.
pub(crate) fn definition_place(objects: &[Object<'_>], (id, symbol): (ObjectId, SymbolIndex)) -> Place {
    let object = &objects[id.index()];
    let symbol = object.symbols[symbol as usize];
    let mut place = Place { file: object.name.to_string(), ..Place::default() };
    if let Some(section) = object.symbol_section(&symbol) {
        place.section = String::from_utf8_lossy(section.name).into_owned();
    }
    if let SymbolSection::In(section) = symbol.section() {
        place.offset = symbol.value.saturating_add(object.whole(section).1);
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
