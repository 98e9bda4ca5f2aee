//! Thunks: pieces of code that carry branches where their instructions cannot lead them.
//!
//! A branch instruction reaches only so far (on AArch64 128 MiB either way), and code may be larger; or it cannot switch to
//! the instruction set of its target, or its target expects something that the caller does not do. Then the branch goes to a
//! *thunk* nearby, which goes on to the target. Thunks of many branches stand together in *islands* between input sections
//! of code: an input section is never divided.
//!
//! Where the islands are is fixed before the first thunk is: at boundaries of input sections, at most
//! [`Reach::spacing`] bytes apart where the sections allow it, so that from every place the nearest island is within reach.
//! Which thunks an island has is found by looking at all branches with the addresses as they are; since thunks take room,
//! addresses change, and the look is repeated until nothing is missing. Thunks are only ever added, so that ends.
//!
//! Islands also take instructions that must not stand where they are (an erratum of a processor): such a one is found where
//! it stands by the addresses as they are, moves to the nearest island with a branch back behind it, and leaves a branch in
//! its place.
//!
//! Nothing is kept for each branch: that one goes through a thunk, and through which, follows from addresses (the island
//! nearest to the branch) and from the symbol and addend of its relocation, when the image is written as before that.
//!
//! An input section that is larger than a branch reaches in both directions has islands before and behind it, and branches in
//! its middle may reach neither: that is told as an overflow of the relocation. Compilers make a section of each function
//! when asked to (`-ffunction-sections`).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

mod emit;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::apply::{Context, Stretch};
use crate::arch::aarch64::Thunk;
use crate::arch::{self, Reach, ThunkKind};
use crate::error::Result;
use crate::format;
use crate::layout::{Content, OutputSection, place_inputs};
use crate::link::Link;
use crate::memory::{of_map, of_vec};
use crate::model::{ObjectId, SectionFlags, SectionIndex};
use crate::reloc::{self, Field};
use crate::slots::SymbolRef;
use crate::symbols::Definition;

pub(crate) use emit::{ThunkSymbol, symbols, write};

/// A branch in code, with what its relocation says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branch {
    /// The field for the distance, which says what kind of a branch it is.
    pub(crate) field: Field,
    /// Its instruction can be turned into one that ends in the other of two instruction sets (Arm).
    pub(crate) switches: bool,
    /// The format's number of the relocation kind.
    pub(crate) kind: u32,
    /// The address of the instruction.
    pub(crate) place: u64,
    /// The address that it is to lead to, the relocation's addend included.
    pub(crate) target: u64,
    /// Where its target comes from.
    pub(crate) to: Destination,
}

/// Where a branch leads: what does not change with addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Destination {
    /// The symbol.
    pub(crate) symbol: SymbolRef,
    /// The relocation's addend.
    pub(crate) addend: i64,
    /// It leads to the symbol's PLT entry.
    pub(crate) plt: bool,
}

/// An instruction of an input section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Instruction {
    /// The object.
    pub(crate) object: ObjectId,
    /// The section.
    pub(crate) section: SectionIndex,
    /// Offset in the section, in bytes.
    pub(crate) offset: u64,
}

impl Instruction {
    /// Its address, had it not moved.
    fn address(self, link: &Link<'_>) -> u64 {
        let section = link.section(self.object, self.section);
        let output = link.outputs.get(section.output as usize).map_or(0, |output| output.address);
        output.wrapping_add(section.offset).wrapping_add(self.offset)
    }
}

/// What an island has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Piece {
    /// A thunk.
    Thunk(ThunkKind, Destination),
    /// An instruction that has moved, and a branch back to what follows it.
    Moved(Instruction),
}

impl Piece {
    /// Size in bytes.
    fn size(self) -> u64 {
        match self {
            Self::Thunk(kind, _) => kind.size(),
            Self::Moved(_) => 8,
        }
    }

    /// The symbol that marks its kind of code, if there is one.
    fn mark(self) -> Option<&'static str> {
        match self {
            Self::Thunk(kind, _) => kind.mark(),
            Self::Moved(_) => arch::aarch64::CODE_MARK.into(),
        }
    }
}

/// All thunks of an image.
#[derive(Debug, Default)]
pub(crate) struct Thunks {
    /// In ascending order of addresses.
    islands: Vec<Island>,
    /// The instructions that have moved.
    moved: BTreeSet<Instruction>,
}

/// Thunks that stand together.
#[derive(Debug)]
pub(crate) struct Island {
    /// The number of the output section.
    output: u32,
    /// The number of the input section of it that follows; one more than the last if none does.
    pub(crate) before: usize,
    /// Offset in the output section, in bytes.
    pub(crate) offset: u64,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Address of its first byte.
    address: u64,
    /// What it has, with the offsets in the island.
    pieces: Vec<(Piece, u64)>,
    /// The offset of each.
    offsets: HashMap<Piece, u64, foldhash::quality::RandomState>,
}

impl Island {
    /// Every thunk starts at a multiple of this, in bytes: what any CPU's instructions and words need.
    pub(crate) const ALIGN: u64 = 16;

    fn new(output: u32, before: usize, offset: u64) -> Self {
        let (pieces, offsets) = (Vec::new(), HashMap::default());
        Self { output, before, offset, size: 0, address: 0, pieces, offsets }
    }

    /// Adds a piece; says whether it is new.
    fn add(&mut self, piece: Piece) -> bool {
        if self.offsets.contains_key(&piece) {
            return false;
        }
        self.offsets.insert(piece, self.size);
        self.pieces.push((piece, self.size));
        self.size = self.size.saturating_add(piece.size());
        true
    }
}

impl Thunks {
    /// Bytes of memory that they have taken.
    pub(crate) fn held(&self) -> u64 {
        let islands = self.islands.iter().map(|island| of_vec(&island.pieces).saturating_add(of_map(&island.offsets)));
        let moved = (self.moved.len() as u64).saturating_mul(size_of::<Instruction>() as u64);
        of_vec(&self.islands).saturating_add(islands.sum()).saturating_add(moved)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.islands.iter().all(|island| island.pieces.is_empty())
    }

    /// The islands in an output section, in order.
    pub(crate) fn of_output(&self, number: u32) -> &[Island] {
        let first = self.islands.partition_point(|island| island.output < number);
        let last = self.islands.partition_point(|island| island.output <= number);
        self.islands.get(first..last).unwrap_or_default()
    }

    /// The number of the island that is nearest to an address; of two, the lower.
    fn nearest(&self, address: u64) -> Option<usize> {
        let above = self.islands.partition_point(|island| island.address < address);
        let distance = |number: usize| self.islands.get(number).map(|island| island.address.abs_diff(address));
        let below = above.checked_sub(1);
        match (below.and_then(distance), distance(above)) {
            (Some(down), Some(up)) if up < down => Some(above),
            (Some(_), _) => below,
            (None, up) => up.map(|_| above),
        }
    }

    /// The address of a piece of the island that is nearest to `address`, if it is there.
    fn find(&self, address: u64, piece: &Piece) -> Option<u64> {
        let island = self.islands.get(self.nearest(address)?)?;
        Some(island.address.wrapping_add(*island.offsets.get(piece)?))
    }

    /// The number of the island that is nearest to `address`, if it lacks a piece.
    fn lacking(&self, address: u64, piece: &Piece) -> Option<usize> {
        let number = self.nearest(address)?;
        let there = self.islands.get(number).is_some_and(|island| island.offsets.contains_key(piece));
        (!there).then_some(number)
    }

    /// The instructions of a section that have moved, in order.
    fn moved_from(&self, object: ObjectId, section: SectionIndex) -> impl Iterator<Item = Instruction> {
        let at = |offset| Instruction { object, section, offset };
        self.moved.range(at(0)..=at(u64::MAX)).copied()
    }

    /// The address of the thunk that a branch goes through, with its state; `None` if it needs none, or has none.
    pub(crate) fn of_branch(&self, link: &Link<'_>, branch: &Branch) -> Option<u64> {
        let kind = needed(link, branch)?;
        Some(self.find(branch.place, &Piece::Thunk(kind, branch.to))? | kind.state())
    }
}

const LONG: ThunkKind = ThunkKind::Aarch64(Thunk::Long);
const LONG_TO_PAD: ThunkKind = ThunkKind::Aarch64(Thunk::LongToPad);
const PAD: ThunkKind = ThunkKind::Aarch64(Thunk::Pad);

/// The thunk that a branch needs.
pub(crate) fn needed(link: &Link<'_>, branch: &Branch) -> Option<ThunkKind> {
    let kind = format::thunk_for(link, branch)?;
    if kind == LONG && format::guards_branches(link) && !branch.to.plt && !is_landing_pad(link, branch.to) {
        return Some(LONG_TO_PAD);
    }
    Some(kind)
}

/// Whether an indirect branch may lead to a place in guarded pages.
fn is_landing_pad(link: &Link<'_>, to: Destination) -> bool {
    let instruction = || -> Option<u32> {
        let (object, index, more) = match to.symbol {
            SymbolRef::Local(object, index) => (object, index, 0),
            SymbolRef::Global(id) => {
                let (root, more) = match link.symbols.get(id).definition {
                    Definition::Alias(target, offset) => link.symbols.root(target, offset),
                    _ => (id, 0),
                };
                let Definition::Object(object, index) = link.symbols.get(root).definition else { return None };
                (object, index, more)
            }
        };
        let object = link.object(object);
        let symbol = object.symbols.get(index as usize)?;
        let start = symbol.value.checked_add_signed(more)?.checked_add_signed(to.addend)?;
        let bytes = object.symbol_section(symbol)?.data.get(usize::try_from(start).ok()?..)?;
        Some(u32::from_le_bytes(*bytes.first_chunk()?))
    };
    instruction().is_some_and(arch::aarch64::is_landing_pad)
}

/// Adds the thunks that branches need with the addresses as they are. Returns whether there are new ones, so that addresses
/// have to be assigned anew.
///
/// # Errors
/// Sizes beyond an address space.
pub(crate) fn grow(link: &mut Link<'_>) -> Result<bool> {
    let Some(reach) = arch::reach(link.target.arch) else { return Ok(false) };
    let mut thunks = std::mem::take(&mut link.thunks);
    if thunks.islands.is_empty() {
        let code = || link.outputs.iter().filter(|output| is_code(output));
        let (start, end) = (code().map(|output| output.address).min(), code().map(OutputSection::end).max());
        let size = end.unwrap_or(0).saturating_sub(start.unwrap_or(0));
        let always = reach.always || format::calls_change_mode(link) || format::has_misplaced(link);
        if size <= reach.bytes && !always {
            return Ok(false);
        }
        thunks.islands = islands(link, &reach);
    }
    for island in &mut thunks.islands {
        let output = link.outputs.get(island.output as usize);
        island.address = output.map_or(0, |output| output.address.wrapping_add(island.offset));
    }
    link.addresses = format::symbol_addresses(link);

    let sections: Vec<_> = code_sections(link).collect();
    let mut missing = link.workers.map(&sections, |(object, section)| missing(link, &thunks, *object, *section));
    if format::has_misplaced(link) {
        let objects: Vec<_> = link.objects().map(|(id, _)| id).collect();
        missing.extend(link.workers.map(&objects, |object| misplaced(link, &thunks, *object)));
    }
    let mut grown = false;
    for (number, piece) in missing.into_iter().flatten() {
        if let Some(island) = thunks.islands.get_mut(number) {
            grown |= island.add(piece);
        }
        if let Piece::Moved(instruction) = piece {
            thunks.moved.insert(instruction);
        }
    }
    if grown {
        for islands in thunks.islands.chunk_by_mut(|one, next| one.output == next.output) {
            let number = islands.first().map_or(0, |island| island.output);
            if let Some(output) = link.outputs.get_mut(number as usize) {
                place_inputs(&mut link.objects, output, islands, |_, _| None)?;
            }
        }
    }
    link.thunks = thunks;
    Ok(grown)
}

/// Whether a section of the image holds code that is loaded.
fn is_code(output: &OutputSection<'_>) -> bool {
    output.flags.has(SectionFlags::ALLOC.and(SectionFlags::EXEC)) && output.size > 0
}

/// Whether something may stand between the input sections of a section of the image: those of `.init` and `.fini` make up
/// one function.
fn is_divisible(output: &OutputSection<'_>) -> bool {
    is_code(output) && !matches!(&*output.name, b".init" | b".fini")
}

/// The places for islands, all empty.
fn islands(link: &Link<'_>, reach: &Reach) -> Vec<Island> {
    let mut islands = Vec::new();
    // The address of the last one.
    let mut last = None;
    let mut candidate = None;
    let divisible = (0..).zip(&link.outputs).filter(|(_, output)| is_divisible(output));
    let outputs = divisible.filter_map(|(number, output)| match &output.content {
        Content::Inputs(inputs) => Some((number, output, inputs)),
        _ => None,
    });
    let outputs: Vec<_> = outputs.collect();
    let mut rest = outputs.as_slice();
    while let Some(((number, output, inputs), behind)) = rest.split_first() {
        rest = behind;
        // What lies between two sections of the image may be larger than a branch reaches.
        let following = behind.first().map(|(_, next, inputs)| {
            let first = inputs.first().map_or(0, |(object, index)| link.section(*object, *index).size);
            next.address.saturating_add(first)
        });
        let sections = inputs.iter().map(|(object, index)| link.section(*object, *index));
        let starts = sections.map(|section| (section.offset, section.size)).chain([(output.size, 0)]);
        for (before, (offset, size)) in starts.enumerate() {
            let address = output.address.saturating_add(offset);
            let next = match following {
                Some(following) if before == inputs.len() => following,
                _ => address.saturating_add(size),
            };
            let from = *last.get_or_insert(address);
            let start = islands.is_empty() && before == 0 && size > reach.spacing;
            let far = next.saturating_sub(from) > reach.spacing && address > from;
            let end = before == inputs.len() && address.saturating_sub(from) > reach.spacing;
            if start || far || end {
                islands.push(Island::new(*number, before, offset));
                last = Some(address);
            }
            candidate = Some((*number, before, offset));
        }
    }
    if islands.is_empty() {
        islands.extend(candidate.map(|(output, before, offset)| Island::new(output, before, offset)));
    }
    islands
}

/// The input sections that branches stand in.
fn code_sections(link: &Link<'_>) -> impl Iterator<Item = (ObjectId, SectionIndex)> {
    link.objects().flat_map(|(id, object)| {
        let code = SectionFlags::ALLOC.and(SectionFlags::EXEC);
        let sections = (0..).zip(&object.sections);
        let sections = sections.filter(move |(_, section)| section.is_live() && section.flags.has(code));
        sections.filter(|(_, section)| !section.relocs.is_empty()).map(move |(index, _)| (id, index))
    })
}

/// The instructions of an object that must move, with the addresses as they are, and have not; each with the number of its
/// island.
fn misplaced(link: &Link<'_>, thunks: &Thunks, object: ObjectId) -> Vec<(usize, Piece)> {
    let mut found = Vec::new();
    for (section, offset) in format::misplaced(link, object) {
        let instruction = Instruction { object, section, offset };
        let piece = Piece::Moved(instruction);
        found.extend(thunks.lacking(instruction.address(link), &piece).map(|number| (number, piece)));
    }
    found
}

/// The instructions of a section whose places branches have taken, in order.
pub(crate) fn moved_from(
    link: &Link<'_>,
    object: ObjectId,
    section: SectionIndex,
) -> impl Iterator<Item = Instruction> {
    let moved = link.thunks.moved_from(object, section);
    // What had to move with the addresses of an earlier look may stay with those there are.
    moved.filter(|instruction| link.thunks.find(instruction.address(link), &Piece::Moved(*instruction)).is_some())
}

/// The thunks that branches of a section need and do not find, each with the number of its island.
fn missing(link: &Link<'_>, thunks: &Thunks, object: ObjectId, index: SectionIndex) -> Vec<(usize, Piece)> {
    let section = link.section(object, index);
    let Some(output) = link.outputs.get(section.output as usize) else { return Vec::new() };
    let address = output.address.wrapping_add(section.offset);
    let context = Context::new(link, Stretch { object, section: index, start: 0, address });
    let mut found = Vec::new();
    let mut known = HashSet::new();
    let mut need = |address: u64, piece: Piece| {
        if let Some(number) = thunks.lacking(address, &piece)
            && known.insert((number, piece))
        {
            found.push((number, piece));
        }
    };
    for raw in reloc::decode(section, 0..section.relocs.len()) {
        let Some(branch) = context.branch(&raw) else { continue };
        let Some(kind) = needed(link, &branch) else { continue };
        need(branch.place, Piece::Thunk(kind, branch.to));
        if kind == LONG_TO_PAD {
            need(branch.target, Piece::Thunk(PAD, branch.to));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::GlobalId;

    fn to(number: u32) -> Destination {
        Destination { symbol: SymbolRef::Global(GlobalId(number)), addend: 0, plt: false }
    }

    fn key(number: u32) -> Piece {
        Piece::Thunk(LONG, to(number))
    }

    fn island(output: u32, address: u64) -> Island {
        Island { address, ..Island::new(output, 0, 0) }
    }

    #[test]
    fn the_nearest_island_is_asked() {
        let islands = vec![island(1, 100), island(1, 200), island(3, 400)];
        let thunks = Thunks { islands, ..Thunks::default() };
        for (address, expected) in
            [(0, 0), (100, 0), (149, 0), (150, 0), (151, 1), (200, 1), (300, 1), (301, 2), (9999, 2)]
        {
            assert_eq!(thunks.nearest(address), Some(expected), "{address}");
        }
        assert_eq!(Thunks::default().nearest(0), None);
        assert_eq!([0, 1, 2, 3, 4].map(|number| thunks.of_output(number).len()), [0, 2, 0, 1, 0]);
    }

    #[test]
    fn a_thunk_is_there_once() {
        let mut thunks = Thunks { islands: vec![island(1, 0x1000), island(1, 0x9000)], ..Thunks::default() };
        assert!(thunks.is_empty());
        let first = thunks.islands.first_mut().unwrap();
        assert_eq!([key(1), key(2), key(1)].map(|key| first.add(key)), [true, true, false]);
        assert_eq!(first.size, 24);
        assert!(!thunks.is_empty());
        assert_eq!(thunks.find(0x1234, &key(2)), Some(0x100c));
        // Each island has its own.
        assert_eq!(thunks.find(0x8000, &key(2)), None);
        assert_eq!(thunks.find(0x1234, &key(3)), None);
        // What differs in anything is another one.
        let to = to(1);
        let others =
            [(LONG_TO_PAD, to), (LONG, Destination { addend: 4, ..to }), (LONG, Destination { plt: true, ..to })];
        assert!(others.iter().all(|(kind, to)| thunks.find(0x1234, &Piece::Thunk(*kind, *to)).is_none()));
    }

    #[test]
    fn moved_instructions_are_told_by_section() {
        let at = |object, section, offset| Instruction { object: ObjectId(object), section, offset };
        let all = [at(0, 1, 8), at(1, 1, 4), at(1, 2, 0), at(1, 2, 16), at(1, 3, 0), at(2, 2, 0)];
        let thunks = Thunks { moved: all.into_iter().rev().collect(), ..Thunks::default() };
        assert_eq!(thunks.moved_from(ObjectId(1), 2).collect::<Vec<_>>(), [at(1, 2, 0), at(1, 2, 16)]);
        assert_eq!(thunks.moved_from(ObjectId(0), 2).count(), 0);
    }
}
