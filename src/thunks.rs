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
//! Nothing is kept for each branch: that one goes through a thunk, and through which, follows from addresses (the island
//! nearest to the branch) and from the symbol and addend of its relocation, when the image is written as before that.
//!
//! An input section that is larger than a branch reaches in both directions has islands before and behind it, and branches in
//! its middle may reach neither: that is told as an overflow of the relocation. Compilers make a section of each function
//! when asked to (`-ffunction-sections`).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use std::collections::{HashMap, HashSet};

use crate::apply::{Context, Stretch};
use crate::arch::aarch64::Thunk;
use crate::arch::{self, Reach, ThunkKind};
use crate::error::{Error, Result};
use crate::format;
use crate::image::{Extent, Source};
use crate::layout::{Content, OutputSection, place_inputs};
use crate::link::Link;
use crate::memory::{of_map, of_vec};
use crate::model::{ObjectId, SectionFlags, SectionIndex};
use crate::options::Arch;
use crate::reloc::{self, Field};
use crate::slots::SymbolRef;
use crate::symbols::{Anchor, Definition};

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

/// What tells thunks of one island apart.
type Key = (ThunkKind, Destination);

/// All thunks of an image.
#[derive(Debug, Default)]
pub(crate) struct Thunks {
    /// In ascending order of addresses.
    islands: Vec<Island>,
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
    /// The thunks with their offsets in the island.
    thunks: Vec<(Key, u64)>,
    /// The offset of each thunk.
    offsets: HashMap<Key, u64, foldhash::quality::RandomState>,
}

impl Island {
    /// Every thunk starts at a multiple of this, in bytes: what any CPU's instructions and words need.
    pub(crate) const ALIGN: u64 = 16;

    fn new(output: u32, before: usize, offset: u64) -> Self {
        let (thunks, offsets) = (Vec::new(), HashMap::default());
        Self { output, before, offset, size: 0, address: 0, thunks, offsets }
    }

    /// Adds a thunk; says whether it is new.
    fn add(&mut self, key: Key) -> bool {
        if self.offsets.contains_key(&key) {
            return false;
        }
        self.offsets.insert(key, self.size);
        self.thunks.push((key, self.size));
        self.size = self.size.saturating_add(key.0.size());
        true
    }
}

impl Thunks {
    /// Bytes of memory that they have taken.
    pub(crate) fn held(&self) -> u64 {
        let islands = self.islands.iter().map(|island| of_vec(&island.thunks).saturating_add(of_map(&island.offsets)));
        of_vec(&self.islands).saturating_add(islands.sum())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.islands.iter().all(|island| island.thunks.is_empty())
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

    /// The address of a thunk in the island that is nearest to `address`, if it is there.
    fn find(&self, address: u64, key: &Key) -> Option<u64> {
        let island = self.islands.get(self.nearest(address)?)?;
        Some(island.address.wrapping_add(*island.offsets.get(key)?))
    }

    /// The address of the thunk that a branch goes through, with its state; `None` if it needs none, or has none.
    pub(crate) fn of_branch(&self, link: &Link<'_>, branch: &Branch) -> Option<u64> {
        let kind = needed(link, branch)?;
        Some(self.find(branch.place, &(kind, branch.to))? | kind.state())
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
        let always = reach.always || format::calls_change_mode(link);
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
    let missing = link.workers.map(&sections, |(object, section)| missing(link, &thunks, *object, *section));
    let mut grown = false;
    for (number, key) in missing.into_iter().flatten() {
        if let Some(island) = thunks.islands.get_mut(number) {
            grown |= island.add(key);
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

/// The thunks that branches of a section need and do not find, each with the number of its island.
fn missing(link: &Link<'_>, thunks: &Thunks, object: ObjectId, index: SectionIndex) -> Vec<(usize, Key)> {
    let section = link.section(object, index);
    let Some(output) = link.outputs.get(section.output as usize) else { return Vec::new() };
    let address = output.address.wrapping_add(section.offset);
    let context = Context::new(link, Stretch { object, section: index, start: 0, address });
    let mut found = Vec::new();
    let mut known = HashSet::new();
    let mut need = |address: u64, key: Key| {
        let Some(number) = thunks.nearest(address) else { return };
        let there = thunks.islands.get(number).is_some_and(|island| island.offsets.contains_key(&key));
        if !there && known.insert((number, key)) {
            found.push((number, key));
        }
    };
    for raw in reloc::decode(section, 0..section.relocs.len()) {
        let Some(branch) = context.branch(&raw) else { continue };
        let Some(kind) = needed(link, &branch) else { continue };
        need(branch.place, (kind, branch.to));
        if kind == LONG_TO_PAD {
            need(branch.target, (PAD, branch.to));
        }
    }
    found
}

/// The thunks as parts of the image's file.
///
/// # Errors
/// A target that is farther from its thunk than that reaches.
pub(crate) fn write(link: &Link<'_>) -> Result<Vec<Extent>, Error> {
    let islands = link.thunks.islands.iter().filter(|island| island.size > 0);
    let extents = islands.map(|island| {
        let start = link.outputs.get(island.output as usize).map_or(0, |output| output.offset);
        let source = Source::Owned(bytes(link, island)?);
        Ok(Extent { offset: start.saturating_add(island.offset), size: island.size, source })
    });
    extents.collect()
}

fn bytes(link: &Link<'_>, island: &Island) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let got_base = format::anchor_address(link, Anchor::GotBase);
    for ((kind, to), offset) in &island.thunks {
        let address = island.address.wrapping_add(*offset);
        let mut target = target(link, *kind, *to);
        if link.target.arch == Arch::Arm && !to.plt && !link.is_function(to.symbol) {
            // What is no function has no state: it is entered in that of the thunk.
            target = target & !1 | kind.state();
        }
        let pad = || link.thunks.find(target, &(PAD, *to));
        let next = if *kind == LONG_TO_PAD { pad() } else { Some(target) };
        let code = next.and_then(|next| kind.code(address, next, got_base)).ok_or_else(|| Error::Limit {
            name: "reach of a thunk",
            what: format!("the distance from a thunk to {}", String::from_utf8_lossy(name(link, *to))),
            wanted: target.abs_diff(address),
            limit: kind.reach(),
        })?;
        bytes.extend(code);
    }
    Ok(bytes)
}

/// A symbol that tells readers of the image about thunks.
#[derive(Debug)]
pub(crate) struct ThunkSymbol<'a> {
    /// The number of its output section.
    pub(crate) output: u32,
    /// Its address.
    pub(crate) address: u64,
    /// Size in bytes; 0 for one that only marks what follows.
    pub(crate) size: u64,
    /// Its name, in two parts.
    pub(crate) name: [&'a [u8]; 2],
}

/// The symbols of all thunks.
pub(crate) fn symbols<'l>(link: &'l Link<'_>) -> impl Iterator<Item = ThunkSymbol<'l>> {
    link.thunks.islands.iter().flat_map(move |island| {
        let output = island.output;
        let mut marked = None;
        island.thunks.iter().flat_map(move |((kind, to), offset)| {
            let address = island.address.wrapping_add(*offset);
            let name = [kind.symbol_prefix().as_bytes(), name(link, *to)];
            let thunk = ThunkSymbol { output, address: address | kind.state(), size: kind.size(), name };
            // What stands behind one of the same kind needs no mark.
            let same = marked.replace(kind.mark()) == Some(kind.mark());
            let mark = kind.mark().filter(|_| !same);
            let mark = mark.map(|mark| ThunkSymbol { output, address, size: 0, name: [mark.as_bytes(), &[]] });
            mark.into_iter().chain([thunk])
        })
    })
}

/// The address that a thunk to a destination leads to.
fn target(link: &Link<'_>, kind: ThunkKind, to: Destination) -> u64 {
    let address = match to.symbol {
        symbol if to.plt => link.slots.of(symbol).plt.map_or(0, |entry| format::plt_address(link, entry)),
        SymbolRef::Global(id) => link.global_address(id),
        SymbolRef::Local(object, index) => {
            let symbol = link.object(object).symbols.get(index as usize);
            symbol.and_then(|symbol| link.symbol_address(object, symbol)).unwrap_or(0)
        }
    };
    format::thunk_target(link, kind, to, address).wrapping_add_signed(to.addend)
}

/// The name of a destination's symbol.
fn name<'a>(link: &Link<'a>, to: Destination) -> &'a [u8] {
    match to.symbol {
        SymbolRef::Global(id) => link.symbols.get(id).name,
        SymbolRef::Local(object, index) => {
            let object = link.object(object);
            let Some(symbol) = object.symbols.get(index as usize) else { return &[] };
            match (object.symbol_name(symbol), object.symbol_section(symbol)) {
                // A nameless symbol stands for its section.
                ([], Some(section)) => section.name,
                (name, _) => name,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::GlobalId;

    fn key(number: u32) -> Key {
        (LONG, Destination { symbol: SymbolRef::Global(GlobalId(number)), addend: 0, plt: false })
    }

    fn island(output: u32, address: u64) -> Island {
        Island { address, ..Island::new(output, 0, 0) }
    }

    #[test]
    fn the_nearest_island_is_asked() {
        let thunks = Thunks { islands: vec![island(1, 100), island(1, 200), island(3, 400)] };
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
        let mut thunks = Thunks { islands: vec![island(1, 0x1000), island(1, 0x9000)] };
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
        let (kind, to) = key(1);
        let others =
            [(LONG_TO_PAD, to), (kind, Destination { addend: 4, ..to }), (kind, Destination { plt: true, ..to })];
        assert!(others.iter().all(|other| thunks.find(0x1234, other).is_none()));
    }
}
