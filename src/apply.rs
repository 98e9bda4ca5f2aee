//! Relocating: copying a stretch of an input section and storing in it what its relocations ask for.
//!
//! A stretch may be any part of a section. A relocation whose *footprint* (the bytes it changes) crosses an end of the
//! stretch is carried out on a small window around the end, and only the bytes inside are taken over; so
//! stretches can be made independently of each other and join without a seam.
//!
//! What only one CPU does with its relocations, and what is done to branches, has a module each.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

mod arm;
mod branches;
mod compose;
mod power;
mod relax;
mod riscv;

use std::ops::Range;

use crate::arch::arm::add_to_function;
use crate::debug::{Fault, Trouble};
use crate::format;
use crate::link::Link;
use crate::macho;
use crate::malfunction::{self, Malfunction};
use crate::model::{Object, ObjectId, Section, SectionFlags, SectionIndex, Symbol, Traits};
use crate::options::{Arch, Format};
use crate::reloc::{self, Action, Field, Memo, Origin, RawReloc, Reloc, Start, What};
use crate::slots::SymbolSlots;
use crate::symbols::Anchor;

/// Bytes on both sides of a stretch's end that hold every footprint which crosses it.
const WINDOW: u64 = 32;
/// The most bytes that a footprint has before its field: the opcode of a rewritten GOT load.
const BEFORE: u64 = 2;
/// The most bytes of a field: a number of 64 bits in LEB128.
const FIELD: u64 = 10;

/// A stretch of an input section on its way into the image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// The object.
    pub(crate) object: ObjectId,
    /// The section.
    pub(crate) section: SectionIndex,
    /// Where in the section it starts, in bytes.
    pub(crate) start: u64,
    /// The address of its first byte in the image; for sections that are not loaded, the offset in the output section.
    pub(crate) address: u64,
}

/// Fills `out` with the bytes of a section from the stretch's start on, relocated.
///
/// Problems are added to `problems`; the bytes concerned stay as they are in the input.
pub(crate) fn fill(link: &Link<'_>, stretch: Stretch, out: &mut [u8], problems: &mut Vec<Trouble>) {
    let context = Context::new(link, stretch);
    let section = context.section;
    let end = stretch.start.saturating_add(out.len() as u64);
    let Some(source) = bytes(&section.data, stretch.start..end) else {
        out.fill(0);
        return;
    };
    out.copy_from_slice(source);
    if section.relocs.is_empty() {
        return;
    }
    let count = section.relocs.len();
    // Those whose whole footprint is inside, and those of which a part may be.
    let (inner, outer) = if stretch.start == 0 && end == section.data.len() as u64 {
        (0..count, 0..count)
    } else {
        let inner = stretch.start.saturating_add(BEFORE)..end.saturating_sub(FIELD).saturating_add(1);
        let outer = stretch.start.saturating_sub(FIELD)..end.saturating_add(BEFORE);
        let (inner, outer) = (reloc::find(section, inner), reloc::find(section, outer));
        // A stretch may be too short for any.
        (inner.start..inner.end.max(inner.start), outer)
    };
    if context.composes() {
        let mut last = None;
        reloc::for_each(section, inner.clone(), |raw| {
            context.apply(&context.composed(raw, &mut last, stretch.start, out), stretch.start, out, problems);
        });
    } else {
        reloc::for_each(section, inner.clone(), |raw| context.apply(&raw, stretch.start, out, problems));
    }
    let near =
        |raw: &RawReloc| raw.offset.saturating_add(FIELD) > stretch.start && raw.offset.saturating_sub(BEFORE) < end;
    let sides = [outer.start..inner.start.min(outer.end), inner.end.max(outer.start)..outer.end];
    let crossing: Vec<RawReloc> =
        sides.into_iter().flat_map(|side| reloc::decode(section, side)).filter(near).collect();
    if crossing.is_empty() {
        return;
    }
    for boundary in [stretch.start, end] {
        context.apply_across(boundary, &crossing, stretch.start..end, out, problems);
    }
}

/// What a relocation at an offset of a section stores too much: nothing, but for the malfunction.
fn off_by_one(offset: u64) -> i64 {
    i64::from(malfunction::on(Malfunction::RelocationOffByOne) && offset & 4 != 0)
}

fn bytes(data: &[u8], range: Range<u64>) -> Option<&[u8]> {
    data.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

/// A section whose relocations are carried out.
pub(crate) struct Context<'l, 'a> {
    link: &'l Link<'a>,
    id: ObjectId,
    index: SectionIndex,
    object: &'l Object<'a>,
    section: &'l Section<'a>,
    /// Added to an offset in the section it gives the address of that place.
    base: u64,
    addresses: &'l [u64],
    loaded: bool,
    got_base: u64,
    image_base: u64,
    /// Whether a relocation against a symbol may mean more than its address.
    special: &'l [bool],
    /// The bit of a function's address that is its state, on a CPU with two instruction sets.
    state: u64,
    /// The numbers that relocations mean, without their addends: addresses of slots and PLT entries, offsets in sections.
    known: Memo<u64>,
}

impl<'l, 'a> Context<'l, 'a> {
    /// Of the section that a stretch is part of.
    pub(crate) fn new(link: &'l Link<'a>, stretch: Stretch) -> Self {
        let object = link.object(stretch.object);
        let section = link.section(stretch.object, stretch.section);
        let loaded = section.flags.has(SectionFlags::ALLOC);
        Self {
            link,
            id: stretch.object,
            index: stretch.section,
            object,
            section,
            base: stretch.address.wrapping_sub(stretch.start),
            addresses: link.addresses.get(stretch.object.index()).map(Vec::as_slice).unwrap_or_default(),
            loaded,
            got_base: format::anchor_address(link, Anchor::GotBase),
            image_base: format::image_base(link),
            special: link.special.get(stretch.object.index()).map(Vec::as_slice).unwrap_or_default(),
            state: u64::from(link.target.arch == Arch::Arm),
            known: Memo::new(),
        }
    }

    /// Carries out the relocations of `crossing` that cross `boundary` on a window around it, and takes over the bytes that
    /// are in `inside`.
    fn apply_across(
        &self,
        boundary: u64,
        crossing: &[RawReloc],
        inside: Range<u64>,
        out: &mut [u8],
        problems: &mut Vec<Trouble>,
    ) {
        let start = boundary.saturating_sub(WINDOW);
        let end = boundary.saturating_add(WINDOW).min(self.section.data.len() as u64);
        let Some(source) = bytes(&self.section.data, start..end) else { return };
        let mut window = [0; 2 * WINDOW as usize];
        let Some(window) = window.get_mut(..source.len()) else { return };
        window.copy_from_slice(source);
        let near = |raw: &&RawReloc| {
            raw.offset.saturating_sub(BEFORE) <= boundary && raw.offset.saturating_add(FIELD) >= boundary
        };
        // All of them before any byte is taken over: several of one place make one number together.
        let mut last = None;
        for raw in crossing.iter().filter(near) {
            let raw = if self.composes() { self.composed(*raw, &mut last, start, window) } else { *raw };
            self.apply(&raw, start, window, problems);
        }
        for raw in crossing.iter().filter(near) {
            let footprint = raw.offset.saturating_sub(BEFORE)..raw.offset.saturating_add(FIELD);
            for place in footprint.start.max(inside.start)..footprint.end.min(inside.end) {
                let (from, to) = (place.wrapping_sub(start) as usize, place.wrapping_sub(inside.start) as usize);
                // Bytes of the margin that no footprint covers are those of the input, or of a relocation that was
                // carried out in `out` already; only what changed here is taken over.
                if let (Some(new), Some(old), Some(place)) = (window.get(from), source.get(from), out.get_mut(to))
                    && new != old
                {
                    *place = *new;
                }
            }
        }
    }

    /// Carries out one relocation on `out`, whose first byte is at offset `start` of the section.
    #[inline]
    fn apply(&self, raw: &RawReloc, start: u64, out: &mut [u8], problems: &mut Vec<Trouble>) {
        let at = raw.offset.wrapping_sub(start) as usize;
        let done = self.apply_simple(raw, at, out).or_else(|| self.apply_distance(raw, at, out));
        if done.or_else(|| self.apply_known(raw, at, out)).is_none() {
            self.apply_any(raw, at, out, problems);
        }
    }

    /// Carries out a relocation of a simple kind against a symbol about which nothing is special. Returns `None`, with `out`
    /// unchanged, for others and for those that are wrong.
    #[inline]
    fn apply_simple(&self, raw: &RawReloc, at: usize, out: &mut [u8]) -> Option<()> {
        if malfunction::on(Malfunction::DebugAddressOff) && !self.loaded {
            return None;
        }
        let simple = self.link.kinds.simple(raw.kind)?;
        let address = *self.addresses.get(raw.symbol as usize)?;
        // The state of an Arm function is no part of the sum.
        if *self.special.get(raw.symbol as usize)? || address & raw.addend.cast_unsigned() & self.state != 0 {
            return None;
        }
        let start = match simple.from {
            Start::Zero => 0,
            Start::Place => self.base.wrapping_add(raw.offset),
            Start::GotBase => self.got_base,
            Start::Image => self.image_base,
        };
        let value = address.wrapping_add_signed(raw.addend).wrapping_sub(start);
        simple.store(value.wrapping_add_signed(off_by_one(raw.offset)), at, out)
    }

    /// Carries out a relocation that stores a distance to a symbol about which nothing is special. Returns `None`, with `out`
    /// unchanged, for others and for those that are out of reach.
    #[inline]
    fn apply_distance(&self, raw: &RawReloc, at: usize, out: &mut [u8]) -> Option<()> {
        let distance = self.link.kinds.distance(raw.kind)?;
        let address = *self.addresses.get(raw.symbol as usize)?;
        if *self.special.get(raw.symbol as usize)? {
            return None;
        }
        let number = address.wrapping_add_signed(raw.addend).wrapping_add_signed(off_by_one(raw.offset));
        distance.store(number, self.base.wrapping_add(raw.offset), at, out)
    }

    /// Carries out a relocation that means a number which is known from one before. Returns `None`,
    /// with `out` unchanged, for others and for those that are out of reach.
    #[inline]
    fn apply_known(&self, raw: &RawReloc, at: usize, out: &mut [u8]) -> Option<()> {
        let number = self.known.get(raw)?.wrapping_add_signed(raw.addend);
        let reloc = self.link.kinds.understand(self.link.target, *raw)?;
        let place = self.base.wrapping_add(raw.offset);
        let value = reloc.value.from.count(number, place, || self.got_base).cast_signed();
        self.check(&reloc, value).ok()?;
        self.store(&reloc, at, out, value).ok()
    }

    /// Notes the number, addend included, of a relocation that stands for that of others: if it means the address of a slot or PLT
    /// entry of its symbol, wherever it stands.
    fn note(&self, raw: &RawReloc, reloc: &Reloc, action: Action, symbol: &Symbol, number: u64) {
        // What may have its instruction rewritten is looked at each time.
        // Branches into the middle of what Mach-O coalesces do not go through its stub.
        let always = match reloc.value.what {
            What::GotRelaxable => symbol.traits.has(Traits::PREEMPTIBLE),
            What::Plt => !symbol.traits.has(Traits::COALESCED),
            _ => true,
        };
        let origin = matches!(reloc.value.from, Origin::Place | Origin::Page | Origin::PageOffset | Origin::GotBase);
        if reloc.field.is_plain(self.link.target.arch)
            && always
            && origin
            && matches!(action, Action::Plt | Action::Got(_))
        {
            self.known.note(raw, number.wrapping_sub(raw.addend.cast_unsigned()));
        }
    }

    #[inline(never)]
    fn apply_any(&self, raw: &RawReloc, at: usize, out: &mut [u8], problems: &mut Vec<Trouble>) {
        let result = if self.loaded { self.apply_loaded(raw, at, out) } else { self.apply_unloaded(raw, at, out) };
        if let Err(fault) = result {
            problems.push(Trouble { object: self.id, section: self.index, raw: *raw, fault });
        }
    }

    fn apply_loaded(&self, raw: &RawReloc, at: usize, out: &mut [u8]) -> Result<(), Fault> {
        // Scanning has looked at each relocation of a loaded section; what it refused does not come here.
        let Some(reloc) = self.link.kinds.understand(self.link.target, *raw) else { return Ok(()) };
        let Some(symbol) = self.object.symbols.get(raw.symbol as usize) else { return Ok(()) };
        let Ok(action) = reloc::classify(self.link.target, self.section, &reloc, symbol.traits) else { return Ok(()) };
        if let (Format::MachO, Action::Relative | Action::Symbolic) = (self.link.target.format, action) {
            let place = self.base.wrapping_add(raw.offset);
            let target = self.address(raw.symbol).wrapping_add_signed(raw.addend);
            let word = macho::emit::loader_word(self.link, place, target, raw.addend)?;
            return self.store(&reloc, at, out, word.cast_signed());
        }
        // What the loader fills keeps what it holds: the addend, where the loader's tables have none.
        let left = action == Action::Symbolic || (action == Action::Indirect && format::leaves_indirect(self.link));
        if reloc.field == Field::Nothing || left {
            return Ok(());
        }
        // Data of Windows may mean what is not part of the image; see `pe::relocs::classify`.
        if self.link.target.format == Format::Pe && symbol.traits.has(Traits::DISCARDED) {
            return self.store(&reloc, at, out, 0);
        }
        let place = self.base.wrapping_add(raw.offset);
        if let Action::Relax(form) = action {
            return self.relax_got_load(raw, &reloc, form, at, out);
        }
        if action == Action::RelaxToAdd {
            let value = self.count(&reloc, symbol, self.number(raw, &reloc, action, symbol, place), place);
            return self.relax_to_add(&reloc, value, at, out);
        }
        if let What::CallToc | What::CallNoToc = reloc.value.what {
            return self.power_call(raw, &reloc, action, symbol, at, out);
        }
        let reloc = Reloc { field: reloc.field.of_instruction(out.get(at..).unwrap_or_default()), ..reloc };
        let number = self.number(raw, &reloc, action, symbol, place);
        self.note(raw, &reloc, action, symbol, number);
        let mut value = self.count(&reloc, symbol, number, place);
        if let Some(difference) = self.leb_difference(raw, &reloc, value) {
            return self.store_leb(&reloc, at, out, difference?);
        }
        let checked = self.check(&reloc, value);
        if checked.is_err() && self.is_far_from_nothing(raw, &reloc, symbol) {
            return self.store(&reloc, at, out, value);
        }
        if checked.is_err() || reloc.field.changes_state(value) {
            match self.branch(raw).and_then(|branch| self.through_thunk(&branch)) {
                Some(distance) => value = distance,
                None => checked?,
            }
            self.check(&reloc, value)?;
        }
        self.store(&reloc, at, out, value)
    }

    /// Whether a relocation is a 32-bit distance to address 0 in code of Windows, which is too large, and of which the low half
    /// will do. GCC calls a function that may be absent so, behind a look at whether it is there; for an absent one 0 stands
    /// in. MinGW's linkers count modulo 2^32 wherever that leads.
    fn is_far_from_nothing(&self, raw: &RawReloc, reloc: &Reloc, symbol: &Symbol) -> bool {
        let distance = reloc.value == What::Symbol.from(Origin::Place) && reloc.field == Field::I32;
        let nothing = symbol.traits.has(Traits::ABSOLUTE) && self.address(raw.symbol) == 0;
        self.link.target.format == Format::Pe && distance && nothing
    }

    /// The number that a relocation of a loaded section at `place` tells, the addend included.
    fn number(&self, raw: &RawReloc, reloc: &Reloc, action: Action, symbol: &Symbol, place: u64) -> u64 {
        if reloc.value.what == What::AtLabel {
            return self.upper_part(raw).cast_unsigned();
        }
        let slots = || self.link.slots_of(self.id, raw.symbol, symbol);
        let what = match action {
            Action::Plt => slots().plt.map_or(0, |entry| match reloc.value.what {
                What::CallNoToc | What::Symbol => format::plt_address_no_base(self.link, entry),
                _ => format::plt_address(self.link, entry),
            }),
            Action::Got(_) | Action::GotTlsModule => {
                let SymbolSlots { got, tls_pair, tls_offset, tls_block, tls_descriptor, .. } = slots();
                let word = match reloc.value.what {
                    What::TlsPair => tls_pair,
                    What::TlsModule => self.link.slots.tls_module,
                    What::TlsOffset => tls_offset,
                    What::TlsBlockSlot => tls_block,
                    What::TlsDescriptor => tls_descriptor,
                    _ => got,
                };
                format::got_address(self.link, word.unwrap_or(0))
            }
            _ => match reloc.value.what {
                // A call of what is not there does nothing (AArch64 ELF ABI, *Call and Jump relocations*).
                What::Plt if matches!(reloc.field, Field::Aarch64(_)) && symbol.traits.has(Traits::UNDEFINED) => {
                    return place.wrapping_add(4);
                }
                What::Symbol | What::Plt if self.is_at_place(reloc, symbol) => place,
                What::GotBase => self.got_base,
                What::Size => format::symbol_size(self.link, symbol),
                What::TlsBlock => format::tls_block_offset(self.link, self.address(raw.symbol)),
                What::SectionNumber => format::section_number(self.link, self.id, symbol),
                What::CallToc | What::CallNoToc if symbol.traits.has(Traits::UNDEFINED) => {
                    return place.wrapping_add(4);
                }
                What::CallToc => {
                    self.address(raw.symbol).wrapping_add(format::local_entry(self.link, self.reference(raw, symbol)))
                }
                What::Symbol if self.is_in_template(symbol) => {
                    format::tls_block_offset(self.link, self.address(raw.symbol))
                }
                _ => self.address(raw.symbol),
            },
        };
        match reloc.field {
            Field::Arm(imm) if imm.is_branch() => self.arm_branch(raw, imm, symbol, what, action == Action::Plt),
            Field::Arm(imm) if imm.is_load() && self.link.is_function(self.reference(raw, symbol)) => {
                (what & !self.state).wrapping_add_signed(raw.addend)
            }
            _ => self.add(raw, symbol, what),
        }
    }

    /// Whether what is not there counts as being where it is asked for: AArch64 and Arm ELF ABIs, *Weak References*; on RISC-V the
    /// branches, as in LLD, since addresses are made by distances, too.
    fn is_at_place(&self, reloc: &Reloc, symbol: &Symbol) -> bool {
        let counts_here = match self.link.target.arch {
            Arch::Aarch64 | Arch::Arm => matches!(reloc.value.from, Origin::Place | Origin::PlaceWord | Origin::Page),
            Arch::Riscv64 => reloc.value == What::Plt.from(Origin::Place),
            _ => false,
        };
        counts_here && self.link.target.format == Format::Elf && symbol.traits.has(Traits::UNDEFINED)
    }

    /// Whether the address of a symbol is an offset in the template of thread-local storage here (Mach-O).
    fn is_in_template(&self, symbol: &Symbol) -> bool {
        self.link.target.format == Format::MachO && macho::relocs::is_in_template(self.section, symbol.traits)
    }

    /// `address`, of a relocation's symbol, and the addend.
    fn add(&self, raw: &RawReloc, symbol: &Symbol, address: u64) -> u64 {
        // Only functions have a state; the address of a byte may be odd, too.
        if address & self.state != 0 && self.link.is_function(self.reference(raw, symbol)) {
            return add_to_function(address, raw.addend);
        }
        address.wrapping_add_signed(raw.addend)
    }

    /// `number`, the addend added, counted from where the relocation says.
    fn count(&self, reloc: &Reloc, symbol: &Symbol, number: u64, place: u64) -> i64 {
        if let Origin::Symbol(other) = reloc.value.from {
            return number.wrapping_sub(self.address(other)).cast_signed();
        }
        let start = match reloc.value.from {
            Origin::Image => format::image_base(self.link),
            Origin::Section | Origin::SectionPageOffset => format::section_start(self.link, self.id, symbol),
            _ => 0,
        };
        let number = number.wrapping_sub(start);
        reloc.value.from.count(number, place, || self.got_base).cast_signed()
    }

    /// Sections that are not loaded hold numbers for debuggers: nothing is left to the loader, and what refers to
    /// something that is not in the image says so by a value that no code has.
    fn apply_unloaded(&self, raw: &RawReloc, at: usize, out: &mut [u8]) -> Result<(), Fault> {
        let Some(reloc) = self.link.kinds.understand(self.link.target, *raw) else {
            return Err(Fault::Because(reloc::refusal(self.link.target, raw.kind)));
        };
        let Some(symbol) = self.object.symbols.get(raw.symbol as usize) else {
            return Err(Fault::NoSymbol);
        };
        if symbol.traits.has(Traits::DISCARDED) {
            return self.store(&reloc, at, out, self.tombstone());
        }
        let off = if malfunction::on(Malfunction::DebugAddressOff) { 16 } else { 0 };
        let address = self.address(raw.symbol).wrapping_add(off);
        let number = match reloc.value.what {
            What::Nothing | What::Alignment => return Ok(()),
            // "The st_value of a thread-local symbol is its offset in the TLS template" (gABI, *Symbol Table*): debuggers of
            // RISC-V get it by a relocation of the ordinary kind.
            What::Symbol if symbol.traits.has(Traits::TLS) => {
                address.wrapping_sub(format::anchor_address(self.link, Anchor::TlsStart))
            }
            What::Symbol | What::Plt => address,
            // GCC before 8.1 describes `_GLOBAL_OFFSET_TABLE_` so.
            What::GotBase => self.got_base,
            What::Size => format::symbol_size(self.link, symbol),
            What::TlsBlock => format::tls_block_offset(self.link, address),
            What::SectionNumber => format::section_number(self.link, self.id, symbol),
            _ => return Err(Fault::Because("it has no meaning in a section that is not loaded")),
        };
        let place = self.base.wrapping_add(raw.offset);
        let value = self.count(&reloc, symbol, self.add(raw, symbol, number), place);
        if let Some(difference) = self.leb_difference(raw, &reloc, value) {
            return self.store_leb(&reloc, at, out, difference?);
        }
        self.check(&reloc, value)?;
        // Debug information in COFF refers to itself thus, again and again.
        if reloc.value.from == Origin::Section && reloc.field.is_plain(self.link.target.arch) {
            self.known.note(raw, value.wrapping_sub(raw.addend).cast_unsigned());
        }
        self.store(&reloc, at, out, value)
    }

    /// What stands for the address of something that is not in the image. Readers of `.debug_ranges` and `.debug_loc` take
    /// two zeros for the end of a list (DWARF 4, 2.17.3), so there it is 1. Mach-O images begin at 0, where 0 would be an
    /// address like any other, so it is the last one there is; in these lists that introduces a base (2.6.2), so there it is
    /// the last but one. In `.debug_names` 0 is the first unit, so there, as in LLD, it is the last number there is.
    fn tombstone(&self) -> i64 {
        let mut steps = 1 << 12;
        let asked = self.link.options.elf.dead_references.iter().rev();
        if let Some((_, value)) = asked.clone().find(|(sections, _)| sections.fits(self.section.name, &mut steps)) {
            return value.cast_signed();
        }
        match self.section.name {
            b".debug_ranges" | b".debug_loc" => 1,
            b".debug_names" => -1,
            b"__debug_ranges" | b"__debug_loc" => -2,
            _ if self.link.target.format == Format::MachO => -1,
            _ => 0,
        }
    }

    fn address(&self, symbol: u32) -> u64 {
        self.addresses.get(symbol as usize).copied().unwrap_or(0)
    }

    fn check(&self, reloc: &Reloc, value: i64) -> Result<(), Fault> {
        let (min, max) = reloc.field.range();
        if !(min..=max).contains(&value) {
            return Err(Fault::Overflow { value, field: reloc.field });
        }
        if value & reloc.field.step().wrapping_sub(1) != 0 {
            return Err(Fault::Misaligned { value, field: reloc.field });
        }
        Ok(())
    }

    fn store(&self, reloc: &Reloc, at: usize, out: &mut [u8], value: i64) -> Result<(), Fault> {
        let field = out.get_mut(at..).filter(|field| field.len() as u64 >= reloc.field.size()).ok_or(Fault::Outside)?;
        let value = value.wrapping_add(off_by_one(reloc.offset));
        reloc.field.store(field, value).ok_or_else(|| Fault::Because(reloc.field.complaint(field)))
    }
}
