//! Finds where each input section went in a linked library.
//!
//! Four witnesses, in this order: sections without an address stand in link order, from 0; a section's symbols stand in
//! `.symtab`; a relocated field of a section found before points into the section; the content is found in an output section
//! of the same name. A place is believed only if the section's bytes, apart from relocated fields, are there.

use std::collections::{BTreeMap, HashMap};

use object::elf;

use crate::arch::{self, Bits, Field, From, StaticKind, What};
use crate::elf::{Name, Place, Relocation, Section, Symbol};
use crate::exidx;
use crate::fixups::{self, Meaning};
use crate::image::Image;
use crate::inputs::{Inputs, SectionId};

/// Where an input section went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// At this offset of the output section of this index.
    At {
        /// The output section's index.
        section: usize,
        /// Bytes from the output section's start.
        offset: u64,
    },
    /// The section belongs to a COMDAT group of which another object's copy was kept.
    Replaced,
    /// The section's pieces may have been merged; each reference is checked by the piece's content.
    Merged,
    /// `.eh_frame`: joined record by record.
    Records,
    /// The section gives nothing to the output, for this reason.
    Skipped(&'static str),
    /// Not found.
    Unknown,
}

/// Where all input sections went in one image.
#[derive(Debug)]
pub struct Placement {
    /// By object and section.
    locations: Vec<Vec<Location>>,
    /// For each output section, what lies in it: start → (end, input section).
    taken: Vec<BTreeMap<u64, (u64, SectionId)>>,
}

impl Placement {
    /// Finds the sections of `inputs` in `image`.
    pub fn find(inputs: &Inputs<'_>, image: &Image<'_>) -> Placement {
        let mut finder = Finder::new(inputs, image);
        finder.place_in_link_order();
        finder.place_by_symbols();
        finder.place_by_references();
        finder.place_by_unwind_index();
        finder.place_by_content();
        finder.place_by_references();
        finder.placement
    }

    /// Where the section went.
    pub fn location(&self, id: SectionId) -> Location {
        self.locations[id.object][id.section]
    }

    /// The address of the section in the output; for sections without address, the offset in their output section.
    pub fn address(&self, image: &Image<'_>, id: SectionId) -> Option<u64> {
        match self.location(id) {
            Location::At { section, offset } => Some(image.file.sections[section].address.wrapping_add(offset)),
            _ => None,
        }
    }

    /// Pairs of input sections that lie over each other.
    pub fn overlaps(&self) -> Vec<(SectionId, SectionId)> {
        let mut overlaps = Vec::new();
        for taken in &self.taken {
            let mut last: Option<(u64, SectionId)> = None;
            for (start, (end, id)) in taken {
                if let Some((_, other)) = last.filter(|(end, _)| end > start) {
                    overlaps.push((other, *id));
                }
                if last.is_none_or(|(reached, _)| reached < *end) {
                    last = Some((*end, *id));
                }
            }
        }
        overlaps
    }

    /// Whether any input section was found in output section `index`.
    pub fn is_used(&self, index: usize) -> bool {
        self.taken.get(index).is_some_and(|taken| !taken.is_empty())
    }

    fn is_free(&self, section: usize, offset: u64, size: u64) -> bool {
        let end = offset.saturating_add(size);
        let before = self.taken[section].range(..end).next_back();
        before.is_none_or(|(_, (reached, _))| *reached <= offset)
    }

    fn put(&mut self, id: SectionId, section: usize, offset: u64, size: u64) {
        self.locations[id.object][id.section] = Location::At { section, offset };
        if size != 0 {
            self.taken[section].insert(offset, (offset.saturating_add(size), id));
        }
    }
}

/// The bytes of `section` that a relocation may change, relative to the section's start.
pub fn footprint(machine: u16, input: &[u8], relocation: &Relocation) -> (u64, u64) {
    let Some(kind) = arch::static_kind(machine, relocation.kind) else {
        return (relocation.offset, relocation.offset);
    };
    let end = relocation.offset.saturating_add(kind.field.width() as u64);
    // A nop after the call may become an instruction that restores the TOC pointer.
    let next = |width: usize| usize::try_from(end).ok().and_then(|end| input.get(end..end.checked_add(width)?));
    if elf::Machine(machine) == elf::EM_PPC64 && kind.what == What::Plt && next(4) == Some(&[0, 0, 0, 0x60]) {
        return (relocation.offset, end + 4);
    }
    if kind.field == Field::Uleb128 {
        let start = usize::try_from(relocation.offset).unwrap_or(usize::MAX);
        let length = input.get(start..).unwrap_or_default().iter().take_while(|byte| **byte & 0x80 != 0).count();
        return (relocation.offset, end + length as u64);
    }
    match kind.what {
        // The opcode before the field may have been rewritten.
        What::RelaxableSlot => (relocation.offset.saturating_sub(2), end),
        _ => (relocation.offset, end),
    }
}

/// The first offset in `[from, to)` of `input`, outside relocated fields, where `output` (which begins at `from`) differs.
pub fn first_difference(
    machine: u16,
    input: &[u8],
    relocations: &[Relocation],
    from: usize,
    output: &[u8],
) -> Option<usize> {
    let to = from + output.len();
    let mut position = from;
    // No field is wider than 16 bytes: those before end before `from`.
    let first = relocations.partition_point(|relocation| relocation.offset.saturating_add(16) <= from as u64);
    let bounds = relocations[first..].iter().map(|relocation| footprint(machine, input, relocation));
    for (start, end) in bounds.chain([(to as u64, to as u64)]) {
        let start = (start as usize).clamp(position, to);
        let (ours, theirs) = (&input[position..start], &output[position - from..start - from]);
        if ours != theirs {
            return ours.iter().zip(theirs).position(|(a, b)| a != b).map(|index| position + index);
        }
        position = (end as usize).clamp(start, to);
        if start == to {
            break;
        }
    }
    None
}

struct Finder<'f, 'a> {
    inputs: &'f Inputs<'a>,
    image: &'f Image<'a>,
    names: HashMap<Name<'a>, Vec<usize>>,
    placement: Placement,
}

impl<'f, 'a> Finder<'f, 'a> {
    fn new(inputs: &'f Inputs<'a>, image: &'f Image<'a>) -> Self {
        let table = symbol_table(image);
        let mut names: HashMap<Name<'a>, Vec<usize>> = HashMap::new();
        for (index, symbol) in table.iter().enumerate() {
            if matches!(symbol.place, Place::Section(_)) && !symbol.is_section() {
                names.entry(symbol.name).or_default().push(index);
            }
        }
        let locations = inputs
            .objects
            .iter()
            .map(|object| {
                let sections = object.file.sections.iter().enumerate();
                sections
                    .map(|(index, section)| match object.discarded[index] {
                        true => Location::Replaced,
                        false => first_location(image.file.machine, section, object.relocations[index].is_empty()),
                    })
                    .collect()
            })
            .collect();
        let taken = vec![BTreeMap::new(); image.file.sections.len()];
        Finder { inputs, image, names, placement: Placement { locations, taken } }
    }

    fn unknown(&self) -> Vec<SectionId> {
        self.inputs.sections().filter(|id| self.placement.location(*id) == Location::Unknown).collect()
    }

    fn is_inside(&self, id: SectionId, section: usize, offset: u64) -> bool {
        let input = self.inputs.section(id);
        let Some(output) = self.image.file.sections.get(section) else { return false };
        let same_kind =
            input.is_allocated() == output.is_allocated() && input.is_executable() == output.is_executable();
        same_kind && offset.checked_add(input.size).is_some_and(|end| end <= output.size)
    }

    fn fits(&self, id: SectionId, section: usize, offset: u64) -> bool {
        if !self.is_inside(id, section, offset) {
            return false;
        }
        let (input, output) = (self.inputs.section(id), &self.image.file.sections[section]);
        let aligned = output.address.wrapping_add(offset) % input.align == 0;
        if !aligned {
            return false;
        }
        match (input.is_nobits(), output.is_nobits()) {
            (_, true) => input.data.iter().all(|byte| *byte == 0),
            // Symbols alone are the witness; whether the bytes are zero is checked later.
            (true, false) => true,
            (false, false) => {
                let relocations = &self.inputs.objects[id.object].relocations[id.section];
                let output = &output.data[offset as usize..(offset + input.size) as usize];
                first_difference(self.image.file.machine, &input.data, relocations, 0, output).is_none()
            }
        }
    }

    /// `.debug_*` and their like: every linker lays them out in link order, each at its alignment.
    fn place_in_link_order(&mut self) {
        let mut ends: HashMap<usize, u64> = HashMap::new();
        for id in self.unknown() {
            let input = self.inputs.section(id);
            if input.is_allocated() {
                continue;
            }
            let same = |output: &Section<'_>| output.name == input.name && !output.is_allocated();
            let Some(section) = self.image.file.sections.iter().position(same) else { continue };
            let end = ends.entry(section).or_default();
            let offset = end.next_multiple_of(input.align);
            // A difference in content is reported later, better than as a section that was not found.
            if offset + input.size <= self.image.file.sections[section].size {
                *end = offset + input.size;
                self.placement.put(id, section, offset, input.size);
            }
        }
    }

    fn place_by_symbols(&mut self) {
        let mut ambiguous = Vec::new();
        for id in self.unknown() {
            let mut candidates = self.candidates(id, Finder::fits);
            if candidates.is_empty() {
                // A difference in content is reported later, better than as a section that was not found.
                candidates = self.candidates(id, Finder::is_inside);
                candidates.truncate(if candidates.len() == 1 { 1 } else { 0 });
            }
            match candidates[..] {
                [] => {}
                [(section, offset)] => self.placement.put(id, section, offset, self.inputs.section(id).size),
                _ => ambiguous.push((id, candidates)),
            }
        }
        // Equal contents under equal names: link order decides.
        for (id, candidates) in ambiguous {
            let size = self.inputs.section(id).size;
            let free = candidates.into_iter().find(|(section, offset)| self.placement.is_free(*section, *offset, size));
            if let Some((section, offset)) = free {
                self.placement.put(id, section, offset, size);
            }
        }
    }

    /// The places that the output symbols with the name of one of the section's symbols allow: of all the section's
    /// symbols, the one that leaves the fewest decides.
    fn candidates(&self, id: SectionId, believe: fn(&Self, SectionId, usize, u64) -> bool) -> Vec<(usize, u64)> {
        let object = &self.inputs.objects[id.object];
        let mut best: Option<Vec<(usize, u64)>> = None;
        for (index, symbol) in object.symbols.iter().enumerate() {
            let names_a_place = !symbol.is_section() && !symbol.is_file() && !symbol.name.is_mapping();
            if object.section_of(symbol) != Some(id.section) || !names_a_place {
                continue;
            }
            let global = (!symbol.is_local()).then(|| self.inputs.globals.get(&symbol.name)).flatten();
            if global.is_some_and(|global| global.definition != Some((id.object, index))) {
                continue;
            }
            let Some(named) = self.names.get(&symbol.name) else { continue };
            if best.as_ref().is_some_and(|best| best.len() <= 1 || best.len() < named.len()) {
                continue;
            }
            let mut places = Vec::new();
            for named in named {
                let place = self.start_of_section(&symbol_table(self.image)[*named], symbol);
                if let Some((section, offset)) = place.filter(|(section, offset)| believe(self, id, *section, *offset))
                    && !places.contains(&(section, offset))
                {
                    places.push((section, offset));
                }
            }
            if !places.is_empty() && best.as_ref().is_none_or(|best| places.len() < best.len()) {
                best = Some(places);
            }
        }
        best.unwrap_or_default()
    }

    /// Where the section of `input` starts if `output` is the same symbol.
    fn start_of_section(&self, output: &Symbol<'_>, input: &Symbol<'_>) -> Option<(usize, u64)> {
        let Place::Section(section) = output.place else { return None };
        if output.is_tls() != input.is_tls() {
            return None;
        }
        let base = if output.is_tls() { self.image.tls()?.address } else { 0 };
        let address = base.wrapping_add(output.value).wrapping_sub(input.value);
        let start = self.image.file.sections.get(section as usize)?.address;
        Some((section as usize, address.checked_sub(start)?))
    }

    /// Follows the relocations of sections that were found to those that were not.
    fn place_by_references(&mut self) {
        let located = |location| matches!(location, Location::At { .. });
        let mut queue: Vec<SectionId> =
            self.inputs.sections().filter(|id| located(self.placement.location(*id))).collect();
        while let Some(id) = queue.pop() {
            let inputs = self.inputs;
            for relocation in &inputs.objects[id.object].relocations[id.section] {
                let Some((target, section, offset)) = self.implied(id, relocation) else { continue };
                let size = inputs.section(target).size;
                if self.fits(target, section, offset) && self.placement.is_free(section, offset, size) {
                    self.placement.put(target, section, offset, size);
                    queue.push(target);
                }
            }
        }
    }

    /// The unfound section that a relocated field points into, and where the field says that it starts.
    fn implied(&self, id: SectionId, relocation: &Relocation) -> Option<(SectionId, usize, u64)> {
        let inputs = self.inputs;
        let mut object = id.object;
        let mut symbol = inputs.objects[object].symbols.get(relocation.symbol as usize)?;
        if !symbol.is_local() {
            let (definer, index) = inputs.globals.get(&symbol.name)?.definition?;
            object = definer;
            symbol = &inputs.objects[definer].symbols[index];
        }
        let target = SectionId { object, section: inputs.objects[object].section_of(symbol)? };
        if self.placement.location(target) != Location::Unknown {
            return None;
        }
        let address = self.reached(id, relocation)?;
        let addend = inputs.addend(id, relocation);
        let start = address.wrapping_sub(addend as u64).wrapping_sub(symbol.value);
        let section = if inputs.section(target).is_allocated() {
            let contains = |section: &Section<'_>| {
                section.is_allocated() && section.contains(start) && !(section.is_tls() && section.is_nobits())
            };
            self.image.file.sections.iter().position(contains)?
        } else {
            let name = inputs.section(target).name;
            self.image.file.sections.iter().position(|section| section.name == name)?
        };
        Some((target, section, start.checked_sub(self.image.file.sections[section].address)?))
    }

    /// The number in the relocation's field of the output, and what it counts from.
    fn number(&self, id: SectionId, relocation: &Relocation, kind: StaticKind) -> Option<(i64, u64)> {
        let Location::At { section, offset } = self.placement.location(id) else { return None };
        let output = &self.image.file.sections[section];
        let place = output.address.wrapping_add(offset).wrapping_add(relocation.offset);
        let bytes = bytes_at(&output.data, offset.checked_add(relocation.offset)?, kind)?;
        let base = match kind.from {
            From::Zero => 0,
            From::Place => place,
            From::Page => place & !0xfff,
            From::Got => self.image.got_base()?,
            From::GotPage => self.image.got_base()? & !0xfff,
            From::Toc => self.image.toc_base()?,
        };
        Some((kind.field.number(&self.image.file, bytes), base))
    }

    /// S + A of a relocation of a section that was found, as the output has it.
    fn reached(&self, id: SectionId, relocation: &Relocation) -> Option<u64> {
        let kind = arch::static_kind(self.image.file.machine, relocation.kind)?;
        if !matches!(kind.what, What::Symbol | What::Plt) || kind.field.width() == 0 {
            return None;
        }
        let (number, base) = self.number(id, relocation, kind)?;
        let allocated = self.inputs.section(id).is_allocated();
        if kind.from == From::Zero && allocated && kind.field.is_data() {
            let place = self.placement.address(self.image, id)?.wrapping_add(relocation.offset);
            return match fixups::word_at(self.image, place)? {
                Meaning::Address(address) => Some(address),
                _ => None,
            };
        }
        let address = match kind.field {
            Field::Bits(bits) if !bits.is_whole() => {
                let (upper, lower) = self.other_half(id, relocation, bits)?;
                let Field::Bits(bits) = upper.0.field else { return None };
                let at_label = lower.0.what == What::AtLabel;
                let ((upper, upper_base), (lower, lower_base)) = (upper.1, lower.1);
                let lower_base = if at_label { upper_base } else { lower_base };
                let below = (1u64 << bits.part.trailing_zeros().min(63)) - 1;
                let rest = (lower as u64).wrapping_add(lower_base).wrapping_sub(upper_base).wrapping_add(bits.round);
                let start = upper_base.wrapping_add_signed(upper).wrapping_sub(bits.round);
                start.wrapping_add(rest & below)
            }
            _ => base.wrapping_add_signed(number),
        };
        Some(self.wrap(address))
    }

    fn wrap(&self, address: u64) -> u64 {
        if self.image.file.is_64 { address } else { address & 0xffff_ffff }
    }

    /// The upper and the lower half of an address of which `relocation` fills one: the nearest that has the same symbol and
    /// addend, and a part next to this one's.
    fn other_half(&self, id: SectionId, relocation: &Relocation, bits: &Bits) -> Option<(Half, Half)> {
        let relocations = &self.inputs.objects[id.object].relocations[id.section];
        let here = relocations.partition_point(|other| other.offset < relocation.offset);
        let around = relocations[..here].iter().rev().take(256).chain(relocations[here..].iter().take(256));
        let half = |relocation: &Relocation| {
            let kind = arch::static_kind(self.image.file.machine, relocation.kind)?;
            Some((kind, self.number(id, relocation, kind)?))
        };
        let object = &self.inputs.objects[id.object];
        for other in around {
            let Some(kind) = arch::static_kind(self.image.file.machine, other.kind) else { continue };
            let Field::Bits(others) = kind.field else { continue };
            if kind.what == What::AtLabel {
                let label = object.symbols.get(other.symbol as usize);
                let at_label = |label: &Symbol<'_>| {
                    label.value == relocation.offset && object.section_of(label) == Some(id.section)
                };
                if label.is_some_and(at_label) {
                    return Some((half(relocation)?, half(other)?));
                }
                continue;
            }
            if other.symbol != relocation.symbol || other.addend != relocation.addend {
                continue;
            }
            if !matches!(kind.what, What::Symbol | What::Plt) {
                continue;
            }
            if others.part & (1 << bits.part.trailing_ones().min(63)) != 0 && bits.part & 1 == 1 {
                return Some((half(other)?, half(relocation)?));
            }
            if bits.part & (1 << others.part.trailing_ones().min(63)) != 0 && others.part & 1 == 1 {
                return Some((half(relocation)?, half(other)?));
            }
        }
        None
    }

    /// What Arm's tables for unwinding lead to.
    fn place_by_unwind_index(&mut self) {
        let inputs = self.inputs;
        for id in inputs.sections().filter(|id| exidx::is_table(self.image.file.machine, inputs.section(*id))) {
            let implied = exidx::implied(inputs, self.image, id, |id| self.placement.address(self.image, id));
            for (target, address) in implied {
                if self.placement.location(target) != Location::Unknown {
                    continue;
                }
                let holds = |section: &Section<'_>| section.is_allocated() && section.contains(address);
                let Some(section) = self.image.file.sections.iter().position(holds) else { continue };
                let offset = address - self.image.file.sections[section].address;
                if self.fits(target, section, offset) {
                    self.placement.put(target, section, offset, inputs.section(target).size);
                }
            }
        }
    }

    /// What nothing refers to: constructors, notes. Each goes to the first free place with its content.
    fn place_by_content(&mut self) {
        for id in self.unknown() {
            let input = self.inputs.section(id);
            if input.size == 0 || input.is_nobits() {
                continue;
            }
            let sections = self.image.file.sections.iter().enumerate();
            let same_name = sections.filter(|(_, output)| {
                input.name == output.name
                    || input.name.0.strip_prefix(output.name.0).is_some_and(|rest| rest.starts_with(b"."))
            });
            let mut found = None;
            for (section, output) in same_name {
                let offsets = (0..=output.size.saturating_sub(input.size)).step_by(input.align as usize);
                let mut free = offsets.filter(|offset| self.placement.is_free(section, *offset, input.size));
                found = free
                    .find(|offset| self.fits(id, section, *offset) && self.words_agree(id, section, *offset))
                    .map(|offset| (section, offset));
                if found.is_some() {
                    break;
                }
            }
            if let Some((section, offset)) = found {
                self.placement.put(id, section, offset, input.size);
            }
        }
    }

    /// Whether absolute words point where the input says, as far as their targets were found: tells equal-looking tables apart.
    fn words_agree(&self, id: SectionId, section: usize, offset: u64) -> bool {
        let object = &self.inputs.objects[id.object];
        let start = self.image.file.sections[section].address.wrapping_add(offset);
        object.relocations[id.section].iter().all(|relocation| {
            let Some(symbol) = object.symbols.get(relocation.symbol as usize) else { return false };
            let kind = arch::static_kind(self.image.file.machine, relocation.kind);
            let is_word =
                |kind: StaticKind| kind.what == What::Symbol && kind.from == From::Zero && kind.field.is_data();
            if !kind.is_some_and(is_word) || !symbol.is_local() {
                return true;
            }
            let target = object.section_of(symbol).map(|section| SectionId { object: id.object, section });
            let target = target.and_then(|target| self.placement.address(self.image, target));
            let word = fixups::word_at(self.image, start.wrapping_add(relocation.offset));
            match (target, word) {
                (Some(target), Some(Meaning::Address(address))) => {
                    let addend = self.inputs.addend(id, relocation);
                    self.wrap(target.wrapping_add(symbol.value).wrapping_add_signed(addend)) == address
                }
                (Some(_), Some(Meaning::Number(_))) => false,
                _ => true,
            }
        })
    }
}

/// A relocation's kind, the number in its field, and what that counts from.
type Half = (StaticKind, (i64, u64));

fn bytes_at(bytes: &[u8], offset: u64, kind: StaticKind) -> Option<&[u8]> {
    let at = usize::try_from(offset).ok()?;
    bytes.get(at..at.checked_add(kind.field.width())?)
}

/// `.symtab`, or `.dynsym` in a stripped image.
pub fn symbol_table<'i, 'a>(image: &'i Image<'a>) -> &'i [Symbol<'a>] {
    if image.symbols.len() > 1 { &image.symbols } else { &image.dynamic_symbols }
}

fn first_location(machine: u16, section: &Section<'_>, no_relocations: bool) -> Location {
    use elf::*;
    // LLVM's own section types: address significance, call graph, linker options.
    const LLVM_FIRST: u32 = 0x6fff_4c00;
    const LLVM_LAST: u32 = 0x6fff_4cff;
    /// SHT_ARM_ATTRIBUTES, SHT_RISCV_ATTRIBUTES.
    const ATTRIBUTES: u32 = 0x7000_0003;
    match SectionType(section.kind) {
        SHT_NULL | SHT_SYMTAB | SHT_STRTAB | SHT_SYMTAB_SHNDX | SHT_REL | SHT_RELA | SHT_CREL | SHT_GROUP => {
            Location::Skipped("tells the linker about other sections")
        }
        SectionType(LLVM_FIRST..=LLVM_LAST) => Location::Skipped("advice to the linker"),
        _ if &section.name == ".note.GNU-stack" => Location::Skipped("becomes PT_GNU_STACK"),
        _ if &section.name == ".note.gnu.property" => Location::Skipped("properties are joined"),
        _ if &section.name == ".eh_frame" || exidx::is_table(machine, section) => Location::Records,
        SectionType(ATTRIBUTES) => Location::Skipped("attributes are joined"),
        _ if section.flags & SHF_EXCLUDE.0 != 0 => Location::Skipped("SHF_EXCLUDE"),
        _ if section.is_mergeable() && no_relocations => Location::Merged,
        _ => Location::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::{Relocation, first_difference};
    use object::elf::{EM_X86_64, R_X86_64_GOTPCRELX, R_X86_64_PC32};

    #[test]
    fn differences_outside_relocated_fields_count() {
        let pc32 = |offset| Relocation { offset, kind: R_X86_64_PC32.0, symbol: 1, addend: Some(0) };
        let difference = |relocations: &[Relocation], from: usize, output: &[u8]| {
            first_difference(EM_X86_64.0, &[0; 16], relocations, from, output)
        };
        let mut output = [0; 16];
        output[5] = 1;
        assert_eq!(difference(&[], 0, &output), Some(5));
        assert_eq!(difference(&[pc32(1)], 0, &output), Some(5));
        assert_eq!(difference(&[pc32(2)], 0, &output), None);
        assert_eq!(difference(&[pc32(6)], 0, &output), Some(5));
        assert_eq!(difference(&[pc32(2)], 6, &output[6..]), None);
        assert_eq!(difference(&[pc32(2)], 4, &output[4..]), None);
        // The opcode before a relaxable field may be rewritten.
        let relaxable = Relocation { kind: R_X86_64_GOTPCRELX.0, ..pc32(7) };
        assert_eq!(difference(&[relaxable], 0, &output), None);
        output[15] = 1;
        assert_eq!(difference(&[relaxable], 0, &output), Some(15));
    }
}
