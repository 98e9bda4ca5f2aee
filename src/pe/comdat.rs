//! Sections of which an image has one copy (PE/COFF specification, *COMDAT Sections*).
//!
//! A COMDAT section's own symbol says by a *selection* what to do about copies; the next symbol of that section, the
//! *leader*, tells what is a copy of what. An *associative* section goes with another one. GCC knows no association:
//! `.pdata$f` and `.xdata$f` of a function in `.text$f` have a selection and no leader, and go with `.text$f` all the
//! same.
//!
//! To the middle of the link all are groups, of which the first one stays. What the selections ask for beside that is
//! done once all objects are known: see [`settle`].

use std::collections::HashMap;

use object::pe::{
    ComdatSelection, IMAGE_COMDAT_SELECT_ANY, IMAGE_COMDAT_SELECT_ASSOCIATIVE, IMAGE_COMDAT_SELECT_EXACT_MATCH,
    IMAGE_COMDAT_SELECT_LARGEST, IMAGE_COMDAT_SELECT_NODUPLICATES, IMAGE_COMDAT_SELECT_SAME_SIZE,
};

use super::ObjectInfo;
use crate::error::{Error, Errors};
use crate::link::Link;
use crate::model::{Binding, Fate, Group, ObjectId, Section, SectionFlags, SectionIndex, Symbol, SymbolSection};
use crate::symbols::{Definition, definition_place};

/// What an object's symbols say of one of its sections.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Comdat {
    selection: u8,
    parent: SectionIndex,
    length: u32,
    leader: Option<u32>,
    defined: bool,
}

impl Comdat {
    /// Takes what the section's own symbol says; its `length` is that of the contents, in bytes, without padding.
    pub(super) fn define(&mut self, selection: ComdatSelection, parent: SectionIndex, length: u32) {
        if !self.defined {
            (self.selection, self.parent, self.length, self.defined) = (selection.0, parent, length, true);
        }
    }

    /// Takes a further symbol of the section: the first one after the section's own leads.
    pub(super) fn lead(&mut self, symbol: u32) {
        if self.defined && self.leader.is_none() {
            self.leader = Some(symbol);
        }
    }

    fn selection(&self) -> ComdatSelection {
        ComdatSelection(self.selection)
    }
}

/// A group whose selection asks for more than that one copy stays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selected {
    /// The section that has the leader.
    pub(crate) section: SectionIndex,
    /// The leader.
    pub(crate) leader: u32,
    /// What is asked for.
    selection: ComdatSelection,
    /// Bytes of the section's contents, by what its symbol says.
    length: u32,
    /// The object's group.
    group: u32,
}

/// The groups of an object.
///
/// # Errors
/// Associations that lead to nothing or in a circle; selections that nobody knows.
pub(super) fn groups<'a>(
    comdats: &[Comdat],
    sections: &mut [Section<'a>],
    symbols: &[Symbol],
    name: impl Fn(&Symbol) -> &'a [u8],
    info: &mut ObjectInfo<'a>,
) -> Result<Vec<Group<'a>>, String> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    // The group of each section, once it is known.
    let mut of: Vec<Option<u32>> = vec![None; sections.len()];
    let mut functions: HashMap<&'a [u8], u32> = HashMap::new();
    for (index, (section, comdat)) in sections.iter().zip(comdats).enumerate() {
        let (true, Some(leader)) = (section.flags.has(SectionFlags::GROUP), comdat.leader) else { continue };
        match comdat.selection() {
            IMAGE_COMDAT_SELECT_ASSOCIATIVE => continue,
            IMAGE_COMDAT_SELECT_ANY
            | IMAGE_COMDAT_SELECT_NODUPLICATES
            | IMAGE_COMDAT_SELECT_SAME_SIZE
            | IMAGE_COMDAT_SELECT_EXACT_MATCH
            | IMAGE_COMDAT_SELECT_LARGEST => {}
            other => return Err(format!("section {index}: COMDAT selection {} is not known", other.0)),
        }
        // A leader that other objects do not see has no copies.
        let Some(symbol) = symbols.get(leader as usize).filter(|symbol| symbol.binding != Binding::Local) else {
            continue;
        };
        let group = groups.len() as u32;
        groups.push(Group { comdat: true, signature: name(symbol), members: vec![index as u32] });
        if let Some(of) = of.get_mut(index) {
            *of = Some(group);
        }
        if comdat.selection() != IMAGE_COMDAT_SELECT_ANY {
            let (selection, length) = (comdat.selection(), comdat.length);
            info.comdats.push(Selected { section: index as u32, leader, selection, length, group });
        }
        if let Some(function) = section.name.strip_prefix(b".text$") {
            functions.entry(function).or_insert(group);
        }
    }
    for (index, comdat) in comdats.iter().enumerate() {
        let Some(section) = sections.get(index).filter(|section| section.flags.has(SectionFlags::GROUP)) else {
            continue;
        };
        let group = if comdat.selection() == IMAGE_COMDAT_SELECT_ASSOCIATIVE {
            let parent = root(comdats, sections, index as u32)?;
            of.get(parent as usize).copied().flatten()
        } else if comdat.leader.is_none() {
            unwound(section.name).and_then(|function| functions.get(function).copied())
        } else {
            None
        };
        if let Some(group) = group.and_then(|group| groups.get_mut(group as usize)) {
            group.members.push(index as u32);
        }
    }
    Ok(groups)
}

/// The function that a section of GCC's unwind tables is for.
fn unwound(name: &[u8]) -> Option<&[u8]> {
    let prefixes: [&[u8]; 3] = [b".pdata$", b".xdata$", b".eh_frame$"];
    prefixes.into_iter().find_map(|prefix| name.strip_prefix(prefix))
}

/// The section at the end of a chain of associations.
fn root(comdats: &[Comdat], sections: &[Section<'_>], first: SectionIndex) -> Result<SectionIndex, String> {
    let mut section = first;
    // Real chains have one link, and no compiler makes long ones.
    for _ in 0..64 {
        let Some(comdat) = comdats.get(section as usize).filter(|_| section != 0) else {
            let name = sections.get(first as usize).map(|section| section.name).unwrap_or_default();
            let name = String::from_utf8_lossy(name);
            return Err(format!("section {first} ({name}): associated with section {section}, which does not exist"));
        };
        if comdat.selection() != IMAGE_COMDAT_SELECT_ASSOCIATIVE {
            return Ok(section);
        }
        section = comdat.parent;
    }
    Err(format!("section {first}: its COMDAT associations go in a circle"))
}

/// Does what selections ask for beside that the first copy stays: copies that must not be, or must be alike, are told;
/// where the largest is asked for, it takes the first one's place.
///
/// # Errors
/// Copies that contradict their selection, unless several definitions are allowed.
pub(super) fn settle(link: &mut Link<'_>) -> Result<(), Errors> {
    struct Copies {
        first: (ObjectId, Selected),
        largest: (u64, ObjectId, Selected),
    }
    let mut kept: HashMap<&[u8], Copies> = HashMap::new();
    let mut order = Vec::new();
    let mut problems = Vec::new();
    for (id, object) in link.objects() {
        for selected in super::info(object).into_iter().flat_map(|info| &info.comdats) {
            let Some(group) = object.groups.get(selected.group as usize) else { continue };
            let section = link.section(id, selected.section);
            let Some(known) = kept.get_mut(group.signature) else {
                // The first one may have another selection, and then that counts.
                if section.is_live() {
                    let largest = (section.size, id, *selected);
                    kept.insert(group.signature, Copies { first: (id, *selected), largest });
                    order.push(group.signature);
                }
                continue;
            };
            let (first_id, first) = known.first;
            let other = link.section(first_id, first.section);
            let alike = match selected.selection {
                IMAGE_COMDAT_SELECT_NODUPLICATES => false,
                // GNU's assembler pads sections, LLVM's does not.
                IMAGE_COMDAT_SELECT_SAME_SIZE => {
                    section.size == other.size || (selected.length != 0 && selected.length == first.length)
                }
                IMAGE_COMDAT_SELECT_EXACT_MATCH => section.size == other.size && section.data == other.data,
                _ => true,
            };
            if !alike {
                problems.push(Error::Duplicate {
                    symbol: String::from_utf8_lossy(group.signature).into_owned(),
                    first: Box::new(definition_place(&link.objects, (first_id, first.leader))),
                    second: Box::new(definition_place(&link.objects, (id, selected.leader))),
                });
            }
            if selected.selection == IMAGE_COMDAT_SELECT_LARGEST && section.size > known.largest.0 {
                known.largest = (section.size, id, *selected);
            }
        }
    }
    let swaps: Vec<_> = order
        .iter()
        .filter_map(|signature| kept.get(signature))
        .filter(|copies| copies.largest.1 != copies.first.0 || copies.largest.2.section != copies.first.1.section)
        .map(|copies| (copies.first, (copies.largest.1, copies.largest.2)))
        .collect();
    replace(link, &swaps);
    match Errors::check(problems) {
        Err(problems) if link.options.allow_multiple_definition => {
            link.report.warnings.extend(problems.into_warnings());
            Ok(())
        }
        result => result,
    }
}

/// A copy of a section and what is said of it.
type OneCopy = (ObjectId, Selected);

/// Puts copies in the places of others: their sections take part, and define what the others do, as far as they have it, and
/// what no object defines.
fn replace(link: &mut Link<'_>, swaps: &[(OneCopy, OneCopy)]) {
    // The object that each section comes for.
    let mut replaced: HashMap<(ObjectId, SectionIndex), ObjectId> = HashMap::new();
    for (old, new) in swaps {
        for ((id, selected), fate) in [(old, Fate::DuplicateGroup), (new, Fate::Live)] {
            let Some(object) = link.objects.get_mut(id.index()) else { continue };
            let Some(group) = object.groups.get(selected.group as usize) else { continue };
            for member in &group.members {
                if let Some(section) = object.sections.get_mut(*member as usize) {
                    section.fate = fate;
                }
                if fate == Fate::Live {
                    replaced.insert((*id, *member), old.0);
                }
            }
        }
    }
    if replaced.is_empty() {
        return;
    }
    let mut defined = Vec::new();
    for (id, object) in link.objects() {
        for (index, symbol) in object.symbols.iter().enumerate() {
            if let (SymbolSection::In(section), Some(global)) = (symbol.section(), symbol.global.get())
                && let Some(old) = replaced.get(&(id, section))
            {
                defined.push((global, *old, (id, index as u32)));
            }
        }
    }
    for (global, old, (id, index)) in defined {
        let global = link.symbols.get_mut(global);
        let takes = match global.definition {
            Definition::Object(object, _) => object == old,
            // The copy that came first may not have it.
            Definition::Undefined | Definition::Common { .. } | Definition::Library(..) => true,
            _ => false,
        };
        if takes {
            global.definition = Definition::Object(id, index);
            global.mention = Some((id, index));
        }
    }
}
