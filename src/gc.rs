//! Leaving out what nothing reachable refers to (`--gc-sections`, `-dead_strip`).
//!
//! Roots are what the image exports, what runs by itself, and what is marked to be kept. From a section everything its
//! relocations refer to is reached. Unwind records do not keep a function, but a function keeps what its record refers
//! to (language-specific data, the personality routine); so do the rows of tables of functions (`.pdata` of Windows,
//! `__compact_unwind` of macOS).
//! Sections that are not loaded stay and keep nothing; of ELF's section groups all stay or none.

#![deny(clippy::arithmetic_side_effects)]

use std::collections::HashMap;

use crate::error::Result;
use crate::link::Link;
use crate::model::{Fate, GlobalId, Object, ObjectId, SectionFlags, SectionIndex, SymbolSection};
use crate::names::is_identifier;
use crate::options::Format;
use crate::reloc;
use crate::resolve;
use crate::slots::SymbolRef;
use crate::symbols::{Definition, GlobalFlags};

/// The sections that were left out, each with the object it is in.
pub(crate) fn collected(link: &Link<'_>) -> Vec<String> {
    let gone = |object: &Object<'_>| {
        let sections = object.sections.iter().filter(|section| section.fate == Fate::Unreferenced);
        let say = |name: &[u8]| format!("{}:({})", object.name, String::from_utf8_lossy(name));
        sections.map(|section| say(section.name)).collect::<Vec<_>>()
    };
    link.objects.iter().flat_map(gone).collect()
}

/// Marks every loaded section that no root reaches as [`Fate::Unreferenced`].
///
/// # Errors
/// Unwind records that are malformed.
pub(crate) fn collect(link: &mut Link<'_>) -> Result<()> {
    let mut marks = Marks {
        seen: link.objects.iter().map(|object| vec![false; object.sections.len()]).collect(),
        queue: Vec::new(),
        referred: vec![false; link.symbols.len()],
        supporters: HashMap::new(),
    };
    let followers = followers(link, &mut marks.supporters);
    marks.roots(link);
    while let Some((id, index)) = marks.queue.pop() {
        let section = link.section(id, index);
        if crate::format::function_row(link, section).is_none() {
            for raw in reloc::decode(section, 0..section.relocs.len()) {
                marks.symbol(link, id, raw.symbol);
                if let Some(other) = crate::format::subtracted(link.target, raw.kind) {
                    marks.symbol(link, id, other);
                }
            }
        }
        for other in followers.get(&(id, index)).into_iter().flatten() {
            match other {
                Follower::Section(index) => marks.section(id, *index),
                Follower::Other(id, index) => marks.section(*id, *index),
                Follower::Symbol(symbol) => marks.symbol(link, id, *symbol),
            }
        }
    }
    for (object, seen) in link.objects.iter_mut().zip(&marks.seen) {
        for (section, seen) in object.sections.iter_mut().zip(seen) {
            let collected = section.flags.has(SectionFlags::ALLOC) && !section.flags.has(SectionFlags::EH_FRAME);
            if section.fate == Fate::Live && collected && !seen {
                section.fate = Fate::Unreferenced;
            }
        }
    }
    crate::format::leave_out_attached(link);
    if link.target.format == Format::Pe {
        crate::pe::imports::leave_out(link, &marks.referred);
    } else {
        // The loader need not look for what nothing refers to any more.
        for (index, referred) in marks.referred.iter().enumerate() {
            let global = link.symbols.get_mut(GlobalId(index as u32));
            if !referred && !global.is_defined_here() {
                global.flags = global.flags.without(GlobalFlags::IN_OBJECT);
            }
        }
    }
    if link.target.format == Format::Elf {
        crate::resolve::mark_needed(&mut link.libraries, &link.symbols);
    }
    crate::format::leave_out_frames(link)?;
    // What was known of symbols' sections has changed.
    crate::format::fix_traits(link);
    Ok(())
}

/// What sections take along.
type Followers = HashMap<(ObjectId, SectionIndex), Vec<Follower>>;

/// What a section takes along.
enum Follower {
    /// A section of its object that is ordered after it, or stays if it does.
    Section(SectionIndex),
    /// A section of another object that stays if it does.
    Other(ObjectId, SectionIndex),
    /// What its unwind record refers to.
    Symbol(u32),
}

/// Has functions take along their rows of a table of functions, and what these refer to; `size` is that of a row in bytes.
fn follow_rows(object: &Object<'_>, id: ObjectId, index: SectionIndex, size: u64, followers: &mut Followers) {
    let section = &object.sections[index as usize];
    // The row, and the function's section.
    let mut row = (u64::MAX, None);
    let mut relocs: Vec<_> = reloc::decode(section, 0..section.relocs.len()).collect();
    // Where tables are in descending order, too.
    relocs.sort_by_key(|raw| raw.offset);
    for raw in relocs {
        let (Some(number), Some(within)) = (raw.offset.checked_div(size), raw.offset.checked_rem(size)) else {
            continue;
        };
        if number != row.0 {
            // A row begins with its function.
            let function = object.symbols.get(raw.symbol as usize).filter(|_| within == 0);
            row = (number, function.map(|symbol| symbol.section()));
            if let Some(SymbolSection::In(home)) = row.1 {
                followers.entry((id, home)).or_default().push(Follower::Section(index));
            }
        } else if let Some(SymbolSection::In(home)) = row.1 {
            followers.entry((id, home)).or_default().push(Follower::Symbol(raw.symbol));
        }
    }
}

/// Sections that stay if a symbol does which the image does not define.
type Supporters = HashMap<GlobalId, Vec<(ObjectId, SectionIndex)>>;

/// Sections ordered after others, and what unwind records of functions refer to beside the function. What stays for the sake of
/// other images' symbols is added to `supporters`.
fn followers(link: &Link<'_>, supporters: &mut Supporters) -> Followers {
    use crate::unwind::eh_frame::{Kind, records};
    let mut followers = Followers::new();
    for (id, object) in link.objects() {
        for (keeper, kept) in object.groups.iter().flat_map(|group| crate::format::kept_in_group(object, group)) {
            followers.entry((id, keeper)).or_default().push(Follower::Section(kept));
        }
        for (index, section) in object.sections.iter().enumerate() {
            if section.flags.has(SectionFlags::LINK_ORDER) {
                followers.entry((id, section.linked)).or_default().push(Follower::Section(index as u32));
            }
            if crate::format::supports(link, section) {
                for raw in reloc::decode(section, 0..section.relocs.len()) {
                    let Some(symbol) = object.symbols.get(raw.symbol as usize) else { continue };
                    let index = index as u32;
                    let global = symbol.global.get().map(|global| link.symbols.root(global, 0).0);
                    match (symbol.section(), global.map(|global| link.symbols.get(global).definition)) {
                        (_, Some(Definition::Object(other, number))) => {
                            let to = link.object(other).symbols.get(number as usize).map(|symbol| symbol.section());
                            if let Some(SymbolSection::In(to)) = to {
                                followers.entry((other, to)).or_default().push(Follower::Other(id, index));
                            }
                        }
                        (SymbolSection::In(to), _) => {
                            followers.entry((id, to)).or_default().push(Follower::Section(index));
                        }
                        _ => global.into_iter().for_each(|it| supporters.entry(it).or_default().push((id, index))),
                    }
                }
            }
            if let Some(size) = crate::format::function_row(link, section) {
                follow_rows(object, id, index as u32, size, &mut followers);
                continue;
            }
            if !section.is_live() || !section.flags.has(SectionFlags::EH_FRAME) {
                continue;
            }
            for record in records(&section.data).map_while(Result::ok) {
                let range = reloc::find(section, record.offset..record.end());
                let relocations: Vec<_> = reloc::decode(section, range).collect();
                let function = match record.kind {
                    // Of a CIE the personality routine is referred to; it belongs to all its functions.
                    Kind::Cie | Kind::Terminator => None,
                    Kind::Fde { pc_begin_offset, .. } => {
                        let first = relocations.iter().find(|raw| raw.offset == pc_begin_offset);
                        first.and_then(|raw| object.symbols.get(raw.symbol as usize))
                    }
                };
                let home = match function.map(|symbol| symbol.section()) {
                    Some(SymbolSection::In(section)) => section,
                    // A personality routine belongs to all functions of its object: kept with their section 0, a root.
                    _ if matches!(record.kind, Kind::Cie) => 0,
                    _ => continue,
                };
                let symbols = relocations.iter().map(|raw| Follower::Symbol(raw.symbol));
                followers.entry((id, home)).or_default().extend(symbols);
            }
        }
    }
    followers
}

struct Marks {
    seen: Vec<Vec<bool>>,
    queue: Vec<(ObjectId, SectionIndex)>,
    /// The global symbols that a root, or a section that is kept, refers to.
    referred: Vec<bool>,
    supporters: Supporters,
}

impl Marks {
    /// What stays whoever refers to it.
    fn roots(&mut self, link: &Link<'_>) {
        let patterns = &link.options.required_patterns;
        for (id, global) in link.symbols.iter() {
            if global.flags.has(GlobalFlags::EXPORTED) {
                self.definition(link, global.definition);
            }
            let fits = || !patterns.is_empty() && resolve::fits(patterns, global.name);
            if global.flags.has(GlobalFlags::ASKED) || fits() {
                self.global(link, id);
            }
        }
        let elf = &link.options.elf;
        for name in [&elf.init, &elf.fini].into_iter().chain(&link.options.entry) {
            if let Some((id, _)) = link.symbols.find(name.as_bytes()) {
                self.global(link, id);
            }
        }
        for root in crate::format::roots(link) {
            match root {
                SymbolRef::Global(id) => self.global(link, id),
                SymbolRef::Local(id, index) => self.symbol(link, id, index),
            }
        }
        for (id, object) in link.objects() {
            for (index, section) in object.sections.iter().enumerate() {
                let index = index as u32;
                let kept =
                    index == 0 || section.flags.has(SectionFlags::RETAIN) || link.heap_image == Some((id, index));
                if kept || crate::format::is_bounded(link, id, index) {
                    self.section(id, index);
                }
            }
        }
    }

    fn section(&mut self, id: ObjectId, index: SectionIndex) {
        let Some(seen) = self.seen[id.index()].get_mut(index as usize) else { return };
        if !std::mem::replace(seen, true) {
            self.queue.push((id, index));
        }
    }

    fn symbol(&mut self, link: &Link<'_>, id: ObjectId, index: u32) {
        let Some(symbol) = link.object(id).symbols.get(index as usize) else { return };
        match (symbol.global.get(), symbol.section()) {
            (Some(global), _) => self.global(link, global),
            (None, SymbolSection::In(section)) => self.section(id, section),
            _ => {}
        }
    }

    fn global(&mut self, link: &Link<'_>, id: GlobalId) {
        // A slot and what it is for may stand for each other.
        if self.referred.get_mut(id.index()).is_some_and(|referred| !std::mem::replace(referred, true)) {
            let supporters = self.supporters.remove(&id).unwrap_or_default();
            supporters.into_iter().for_each(|(object, section)| self.section(object, section));
            self.definition(link, link.symbols.get(id).definition);
        }
    }

    fn definition(&mut self, link: &Link<'_>, definition: Definition) {
        match definition {
            Definition::Object(object, index) => {
                if let SymbolSection::In(section) = link.object(object).symbols[index as usize].section() {
                    self.section(object, section);
                }
            }
            Definition::Alias(target, offset) => {
                let (target, _) = link.symbols.root(target, offset);
                self.definition(link, link.symbols.get(target).definition);
            }
            Definition::Anchor(anchor) => {
                if let Some(id) = crate::format::symbol_held(link, anchor) {
                    self.global(link, id);
                }
            }
            _ => {}
        }
    }
}

/// Whether something refers to the bounds of the output section with this name, by names made of it.
pub(crate) fn is_bounded(link: &Link<'_>, name: &[u8]) -> bool {
    let asked = |prefix: &[u8]| link.symbols.find(&[prefix, name].concat()).is_some();
    is_identifier(name) && (asked(b"__start_") || asked(b"__stop_"))
}
