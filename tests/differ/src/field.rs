//! Whether one relocated field of a linked library holds what its relocation asks for.

use object::elf;

use crate::arch::bits::Form;
use crate::arch::{self, Bits, Field, From, StaticKind, What, ppc64};
use crate::check::{Checker, hex};
use crate::elf::{Relocation, Section};
use crate::fixups::{self, Meaning};
use crate::inputs::SectionId;
use crate::rules::Check;
use crate::target::Target;

/// The field and what surrounds it.
pub(crate) struct Site<'s> {
    /// The whole input section.
    pub(crate) input: &'s [u8],
    /// The output's bytes for the input's from `from` on.
    pub(crate) output: &'s [u8],
    pub(crate) from: usize,
    /// The address of `output`.
    pub(crate) place: u64,
    /// The field's offset in the input section.
    pub(crate) offset: u64,
    /// Whether the section has addresses at run time.
    pub(crate) allocated: bool,
    /// Bytes from the target's symbol to where calls of it within the image lead.
    pub(crate) entry: u64,
}

impl Site<'_> {
    /// P of the psABI.
    pub(crate) fn address(&self) -> u64 {
        self.place.wrapping_add(self.offset).wrapping_sub(self.from as u64)
    }

    pub(crate) fn output_field(&self, width: usize) -> Option<&[u8]> {
        let at = usize::try_from(self.offset).ok()?.checked_sub(self.from)?;
        self.output.get(at..at.checked_add(width)?)
    }

    pub(crate) fn input_field(&self, width: usize) -> Option<&[u8]> {
        let at = usize::try_from(self.offset).ok()?;
        self.input.get(at..at.checked_add(width)?)
    }
}

/// What a field should mean and what it means.
pub(crate) struct Mismatch {
    pub(crate) check: Check,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Mismatch {
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Mismatch {
        Mismatch { check: Check::Relocation, expected: expected.into(), found: found.into() }
    }
}

type Verdict = Result<(), Mismatch>;

impl Checker<'_, '_> {
    /// The nop after a call of PowerPC must restore the TOC pointer exactly if the call goes through the PLT.
    fn after_call(&self, site: &Site<'_>, target: u64) -> Verdict {
        let is_call = |code: &[u8]| self.image.file.unsigned(code) & 0xfc00_0001 == 0x4800_0001;
        let (Some(input), Some(output)) = (site.input_field(8), site.output_field(8)) else { return Ok(()) };
        let next = |bytes: &[u8]| self.image.file.unsigned(&bytes[4..]);
        if elf::Machine(self.image.file.machine) != elf::EM_PPC64 || !is_call(&input[..4]) || next(input) != ppc64::NOP
        {
            return Ok(());
        }
        let through =
            fixups::plt_target(self.image, target).is_some_and(|meaning| !matches!(meaning, Meaning::Address(_)));
        let wanted = if through { ppc64::RESTORE_TOC } else { ppc64::NOP };
        match next(output) == wanted {
            true => Ok(()),
            false => Err(Mismatch::new(format!("{wanted:08x} after the call"), format!("{:08x}", next(output)))),
        }
    }

    /// Whether the field at `site` holds what `relocation` of type `kind` against `target` asks for.
    pub(crate) fn field(&self, site: &Site<'_>, relocation: &Relocation, kind: StaticKind, target: &Target) -> Verdict {
        let file = &self.image.file;
        let width = kind.field.width();
        let (Some(input), Some(output)) = (site.input_field(width), site.output_field(width)) else {
            return Err(Mismatch::new("a field inside its section", format!("{width} bytes at the section's end")));
        };
        let addend = relocation.addend.unwrap_or_else(|| kind.field.addend(file, input));
        if let Field::Bits(bits) = kind.field
            && bits.opcode(file.unsigned(input)) != bits.opcode(file.unsigned(output))
        {
            return Err(Mismatch::new(format!("an instruction as {}", hex(input, 8)), hex(output, 8)));
        }
        if let Target::Unknown(reason) = target {
            let needs_symbol = !matches!(kind.what, What::None | What::Got | What::TlsModule | What::Alignment);
            // Sections that were not located are reported themselves, but a field that cannot be checked is no pass.
            if needs_symbol {
                return Err(Mismatch::new("a target that is known", reason.clone()));
            }
        }
        let number = kind.field.number(file, output);
        match (kind.what, kind.from) {
            (What::None | What::DescriptorCall | What::Alignment, _) => return Ok(()),
            (What::Symbol | What::Plt, From::Zero) if kind.field.is_data() && site.allocated => {
                return self.absolute(site.address(), kind.field, output, addend, target);
            }
            (What::Symbol | What::Plt, From::Zero) if kind.field.is_data() => {
                return self.number(kind.field, output, addend, target);
            }
            (What::Symbol | What::Plt, _) if *target == Target::Replaced && !site.allocated => return Ok(()),
            (What::Size, _) => return self.size(site, number, addend, target),
            (What::TlsOffset, _) => return self.tls_offset(kind.field, number, addend, target),
            (What::ThreadOffset, _) => {
                return self.thread_local(site.address(), addend, target, "thread pointer offset of", thread_offset);
            }
            _ => {}
        }
        let mut place = site.address();
        if let Field::Bits(Bits { form: Form::ThumbBranch, .. }) = kind.field
            && number & 1 == 0
        {
            // blx counts from the multiple of 4 before.
            place &= !3;
        }
        let base = self.base(kind.from, place)?;
        if !kind.field.is_whole() {
            return self.part(kind, (place, base), number, addend, target);
        }
        let points_to = self.wrap(base.wrapping_add_signed(number).wrapping_sub(addend as u64));
        match kind.what {
            What::Plt => {
                self.branch(points_to, addend, target, site.entry).and_then(|()| self.after_call(site, points_to))
            }
            What::RelaxableSlot => self.relaxable(site, points_to, target),
            what => self.at_address(what, points_to, addend, target),
        }
    }

    /// Whether `address`, which a field leads to, is what the relocation is about.
    pub(crate) fn at_address(&self, what: What, address: u64, addend: i64, target: &Target) -> Verdict {
        match what {
            What::Symbol => self.reference(address, addend, target),
            What::Plt => self.branch(address, addend, target, 0),
            What::Slot | What::RelaxableSlot => self.slot(address, target),
            What::Got => self.same_address(address, self.base(From::Got, 0)?),
            What::TlsPair => self.tls_pair(address, target, true),
            What::TlsModule => self.tls_pair(address, target, false),
            What::TlsOffsetSlot => self.thread_local(address, 0, target, "TLS offset of", |meaning| match meaning {
                Meaning::TlsOffset(symbol, addend) => Some((symbol, addend)),
                Meaning::Number(offset) => Some((0, offset as i64)),
                _ => None,
            }),
            What::ThreadSlot => self.thread_local(address, 0, target, "thread pointer offset of", thread_offset),
            What::Descriptor => self.thread_local(address, 0, target, "TLS descriptor of", |meaning| match meaning {
                Meaning::TlsDescriptor(symbol, addend) => Some((symbol, addend)),
                _ => None,
            }),
            _ => Err(Mismatch::new("a value that is an address", format!("{what:?}"))),
        }
    }

    /// Where values count from.
    fn base(&self, from: From, place: u64) -> Result<u64, Mismatch> {
        let got = || self.image.got_base().ok_or_else(|| Mismatch::new("a global offset table", "none"));
        Ok(match from {
            From::Zero => 0,
            From::Place => place,
            From::Page => place & !0xfff,
            From::Got => got()?,
            From::GotPage => got()? & !0xfff,
            From::Toc => self.image.toc_base().ok_or_else(|| Mismatch::new("a TOC", "none"))?,
        })
    }

    /// Addresses have the class's width.
    pub(crate) fn wrap(&self, address: u64) -> u64 {
        if self.image.file.is_64 { address } else { address & 0xffff_ffff }
    }

    /// A field that holds a part of the value: it must be that of a place that the relocation is about.
    fn part(&self, kind: StaticKind, (place, base): (u64, u64), number: i64, addend: i64, target: &Target) -> Verdict {
        let Field::Bits(bits) = kind.field else { return Err(Mismatch::new("an instruction", "data")) };
        let fits = |address: u64| {
            let value = match kind.from {
                From::Page => (address & !0xfff).wrapping_sub(base),
                _ => address.wrapping_sub(base),
            };
            bits.wanted(value as i64) == number
        };
        let mut wrong: Option<Mismatch> = None;
        for address in self.places(kind.what, addend, target) {
            if !fits(address) {
                continue;
            }
            match self.at_address(kind.what, self.wrap(address.wrapping_sub(addend as u64)), addend, target) {
                Ok(()) => return Ok(()),
                // Of several places with these bits, the one that is bound too early tells most.
                Err(mismatch) if wrong.as_ref().is_none_or(|wrong| wrong.check != Check::Binding) => {
                    wrong = Some(mismatch);
                }
                Err(_) => {}
            }
        }
        let found = format!("{number:#x} at {place:#x}");
        Err(wrong.unwrap_or_else(|| Mismatch::new(format!("{} of {}", kind.name, self.describe_target(target)), found)))
    }

    /// The addresses, with the addend, that a relocation may be about.
    fn places(&self, what: What, addend: i64, target: &Target) -> Vec<u64> {
        if !matches!(what, What::Symbol | What::Plt | What::Got) {
            return self.slots.iter().map(|slot| slot.wrapping_add_signed(addend)).collect();
        }
        if what == What::Got {
            return self.image.got_base().into_iter().map(|got| got.wrapping_add_signed(addend)).collect();
        }
        let with_addend = |address: u64| self.wrap(address.wrapping_add_signed(addend));
        match target {
            Target::Number(address) | Target::Address(address) => vec![with_addend(*address)],
            Target::Zero => vec![with_addend(0)],
            Target::Dynamic(_, Some(local)) if matches!(**local, Target::Address(_)) => {
                self.places(what, addend, local)
            }
            Target::Piece { section, offset, addend_selects } => {
                // `address` below is where the symbol came to be, with the addend.
                let piece = if *addend_selects { offset.wrapping_add_signed(addend) } else { *offset };
                let places = self.occurrences(*section, piece);
                match addend_selects {
                    true => places,
                    false => places.into_iter().map(with_addend).collect(),
                }
            }
            Target::Resolver(_) | Target::Dynamic(..) => self.entries.iter().map(|entry| with_addend(*entry)).collect(),
            _ => Vec::new(),
        }
    }

    /// Every place of the image that holds what stands at `offset` of the mergeable input section.
    fn occurrences(&self, id: SectionId, offset: u64) -> Vec<u64> {
        let Ok((wanted, back)) = self.selected(id, offset) else { return Vec::new() };
        let input = self.inputs.section(id);
        let alike = |output: &&Section<'_>| {
            output.is_allocated() && !output.is_executable() && output.is_writable() == input.is_writable()
        };
        let mut places = Vec::new();
        for output in self.image.file.sections.iter().filter(alike) {
            let found = output.data.windows(wanted.len().max(1)).enumerate().filter(|(_, window)| *window == wanted);
            places.extend(found.map(|(at, _)| output.address.wrapping_add(at as u64).wrapping_add(back)));
        }
        places
    }

    /// S + A, loaded: a number, or what a dynamic relocation makes of it.
    fn absolute(&self, place: u64, field: Field, output: &[u8], addend: i64, target: &Target) -> Verdict {
        if output.len() != self.image.word_size() {
            // No loader relocates a part of a word.
            let number = match target {
                Target::Number(_) | Target::Zero => return self.number(field, output, addend, target),
                _ => self.image.file.unsigned(output),
            };
            return Err(Mismatch::new(
                "a field as wide as an address",
                format!("{number:#x} in {} bytes", output.len()),
            ));
        }
        let found = fixups::word_at(self.image, place);
        let fits = match (target, found) {
            (Target::Number(number), Some(Meaning::Number(found))) => found == number.wrapping_add_signed(addend),
            (Target::Zero, Some(Meaning::Number(found))) => found == addend as u64,
            (Target::Address(address), Some(Meaning::Address(found))) => found == address.wrapping_add_signed(addend),
            (Target::Resolver(address), Some(Meaning::Resolved(found))) => found == *address && addend == 0,
            // The function's canonical address may be its PLT entry.
            (Target::Resolver(_), Some(Meaning::Address(found))) => {
                return self.reference(found.wrapping_sub(addend as u64), addend, target);
            }
            (Target::Dynamic(wanted, _), Some(Meaning::Dynamic(symbol, found))) => {
                self.same_symbol(symbol, *wanted) && found == addend
            }
            (Target::Dynamic(_, Some(local)), Some(Meaning::Address(found))) => {
                return match **local {
                    Target::Address(address) if address.wrapping_add_signed(addend) == found => self.bound(target),
                    Target::Resolver(_) => self.reference(found.wrapping_sub(addend as u64), addend, target),
                    _ => Err(self.mismatch(target, "address of", Some(Meaning::Address(found)))),
                };
            }
            (Target::Dynamic(_, Some(local)), Some(Meaning::Resolved(found)))
                if **local == Target::Resolver(found) && addend == 0 =>
            {
                return self.bound(target);
            }
            (Target::Piece { section, offset, addend_selects }, Some(Meaning::Address(found))) => {
                return self.piece(*section, *offset, *addend_selects, addend, found.wrapping_sub(addend as u64));
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.mismatch(target, &format!("{addend:+#x} from"), found)) }
    }

    /// S + A in a section that is not loaded. Run-time binding does not reach it: the image's own definition counts.
    fn number(&self, field: Field, output: &[u8], addend: i64, target: &Target) -> Verdict {
        let found = self.image.file.unsigned(output);
        let limit = if output.len() >= 8 { u64::MAX } else { (1 << (8 * output.len())) - 1 };
        let target = match target {
            Target::Dynamic(_, Some(local)) => local,
            other => other,
        };
        let wanted = match target {
            Target::Number(base) | Target::Address(base) | Target::Resolver(base) | Target::Tls(base) => {
                base.wrapping_add_signed(addend)
            }
            Target::Zero | Target::Dynamic(..) => addend as u64,
            Target::Piece { section, offset, addend_selects } => {
                let start = found.wrapping_sub(addend as u64);
                return self.piece(*section, *offset, *addend_selects, addend, start);
            }
            Target::Replaced => {
                // A tombstone: each linker and section has its own, all tell debuggers "nothing here".
                let tombstone = found <= 1 || found >= limit - 1 || found == addend as u64;
                return if tombstone { Ok(()) } else { Err(Mismatch::new("a tombstone", format!("{found:#x}"))) };
            }
            Target::Unknown(reason) => return Err(Mismatch::new("a target that is known", reason.clone())),
        };
        let in_range = match field {
            Field::Signed(width) if width < 8 => {
                let bits = 8 * u32::from(width) - 1;
                (-(1i64 << bits)..1i64 << bits).contains(&(wanted as i64))
            }
            Field::Unsigned(width) if width < 8 => wanted >> (8 * u32::from(width)) == 0,
            _ => true,
        };
        if !in_range {
            return Err(Mismatch::new(
                format!("{wanted:#x}"),
                format!("{found:#x}: {wanted:#x} does not fit the field"),
            ));
        }
        if wanted & limit == found {
            return Ok(());
        }
        Err(Mismatch::new(format!("{wanted:#x}"), format!("{found:#x}")))
    }

    /// A place-relative reference that reaches `address` must reach `target`, through a PLT entry where it is preemptible.
    fn reference(&self, address: u64, addend: i64, target: &Target) -> Verdict {
        match target {
            Target::Address(wanted) => self.same_address(address, *wanted),
            Target::Number(wanted) => self.same_address(address, *wanted),
            Target::Zero if address == 0 => Ok(()),
            Target::Piece { section, offset, addend_selects } => {
                self.piece(*section, *offset, *addend_selects, addend, address)
            }
            Target::Dynamic(wanted, local) => match fixups::plt_target(self.image, address) {
                Some(Meaning::Dynamic(symbol, 0)) if self.same_symbol(symbol, *wanted) => Ok(()),
                _ if local.as_deref() == Some(&Target::Address(address)) => self.bound(target),
                Some(Meaning::Resolved(resolver)) if local.as_deref() == Some(&Target::Resolver(resolver)) => {
                    self.bound(target)
                }
                Some(found) => Err(self.mismatch(target, "PLT entry of", Some(found))),
                None => Err(self.mismatch(target, "PLT entry of", Some(Meaning::Address(address)))),
            },
            Target::Resolver(wanted) => match fixups::plt_target(self.image, address) {
                Some(Meaning::Resolved(resolver)) if resolver == *wanted => Ok(()),
                found => Err(self.mismatch(target, "PLT entry of", found.or(Some(Meaning::Address(address))))),
            },
            Target::Tls(_) | Target::Zero | Target::Replaced | Target::Unknown(_) => {
                Err(self.mismatch(target, "address of", Some(Meaning::Address(address))))
            }
        }
    }

    /// As [`Checker::reference`], for a branch: code that goes on to the target is as good as the target.
    fn branch(&self, address: u64, addend: i64, target: &Target, entry: u64) -> Verdict {
        let verdict = self.reference(address.wrapping_sub(entry), addend, target);
        if verdict.is_ok() || self.reference(address, addend, target).is_ok() && matches!(target, Target::Dynamic(..)) {
            return Ok(());
        }
        // Thunks can lead to thunks; none has a reason for a third.
        let mut next = address;
        for _ in 0..3 {
            let Some(to) = arch::thunk_target(self.image, self.wrap(next.wrapping_add_signed(addend))) else { break };
            next = to.wrapping_sub(addend as u64);
            // A thunk may set what the function's first instructions want, or what comes after them does.
            if [0, entry].iter().any(|entry| self.reference(next.wrapping_sub(*entry), addend, target).is_ok()) {
                return Ok(());
            }
        }
        verdict
    }

    /// The word at `slot` must hold S.
    fn slot(&self, slot: u64, target: &Target) -> Verdict {
        let found = fixups::word_at(self.image, slot);
        let fits = match (target, found) {
            (Target::Address(wanted), Some(Meaning::Address(found))) => found == *wanted,
            (Target::Number(wanted), Some(Meaning::Number(found))) => found == *wanted,
            (Target::Zero, Some(Meaning::Number(found))) => found == 0,
            (Target::Dynamic(wanted, _), Some(Meaning::Dynamic(symbol, 0))) => self.same_symbol(symbol, *wanted),
            (Target::Dynamic(_, Some(local)), Some(Meaning::Address(found))) if **local == Target::Address(found) => {
                return self.bound(target);
            }
            (Target::Dynamic(_, Some(local)), Some(Meaning::Resolved(found))) if **local == Target::Resolver(found) => {
                return self.bound(target);
            }
            (Target::Dynamic(_, Some(local)), Some(Meaning::Address(found)))
                if matches!(**local, Target::Resolver(_)) =>
            {
                return self.reference(found, 0, target);
            }
            (Target::Resolver(wanted), Some(Meaning::Resolved(found))) => found == *wanted,
            (Target::Resolver(_), Some(Meaning::Address(found))) => return self.reference(found, 0, target),
            (Target::Piece { section, offset, .. }, Some(Meaning::Address(found))) => {
                return self.piece(*section, *offset, false, 0, found);
            }
            _ => false,
        };
        if fits {
            return Ok(());
        }
        let mut mismatch = self.mismatch(target, "slot of", found);
        mismatch.found = format!("{} at {slot:#x}", mismatch.found);
        Err(mismatch)
    }

    fn relaxable(&self, site: &Site<'_>, slot: u64, target: &Target) -> Verdict {
        let at = site.offset as usize;
        let output_at = at - site.from;
        let same = at < 2 || output_at < 2 || site.input[at - 2..at] == site.output[output_at - 2..output_at];
        if same {
            return self.slot(slot, target);
        }
        let input = &site.input[site.from..];
        let machine = self.image.file.machine;
        let Some(relaxed) = arch::relaxed(machine, input, site.output, output_at, site.place) else {
            let (input, output) = (hex(&site.input[at - 2..], 6), hex(&site.output[output_at - 2..], 6));
            return Err(Mismatch::new(format!("{input} or a relaxed form of it"), output));
        };
        match target {
            Target::Address(_) | Target::Piece { .. } => self.reference(relaxed.target, 0, target),
            Target::Dynamic(_, Some(local)) if **local == Target::Address(relaxed.target) => self.bound(target),
            _ => Err(self.mismatch(target, "slot of", Some(Meaning::Address(relaxed.target)))),
        }
    }

    /// Of a string from `offset` of the input section, the rest; of a constant, the whole, and how far into it `offset` is.
    fn selected(&self, id: SectionId, offset: u64) -> Result<(&[u8], u64), Mismatch> {
        let section = self.inputs.section(id);
        let unit = section.entry_size as usize;
        let outside = || Mismatch::new("a place in a merged section", format!("offset {offset:#x}"));
        let at = usize::try_from(offset).map_err(|_| outside())?;
        let tail = section.data.get(at..).filter(|tail| !tail.is_empty()).ok_or_else(outside)?;
        if section.is_strings() {
            let length = tail.chunks(unit).take_while(|unit| unit.iter().any(|byte| *byte != 0)).count();
            return Ok((&tail[..tail.len().min((length + 1) * unit)], 0));
        }
        let start = at - at % unit;
        Ok((&section.data[start..section.data.len().min(start + unit)], (at - start) as u64))
    }

    /// The piece of input section `id` that symbol value `offset` (or the addend) selects must be found whole; `address` is
    /// where the symbol came to be.
    fn piece(&self, id: SectionId, offset: u64, addend_selects: bool, addend: i64, address: u64) -> Verdict {
        let (offset, address) = match addend_selects {
            true => (offset.wrapping_add_signed(addend), address.wrapping_add_signed(addend)),
            false => (offset, address),
        };
        let section = self.inputs.section(id);
        let (wanted, back) = self.selected(id, offset)?;
        let found = match section.is_allocated() {
            true => self.image.read(address.wrapping_sub(back), wanted.len() as u64),
            false => self.image.file.sections.iter().find(|output| output.name == section.name).and_then(|output| {
                let start = usize::try_from(address.wrapping_sub(back)).ok()?;
                output.data.get(start..start.checked_add(wanted.len())?)
            }),
        };
        let show = |bytes: &[u8]| match section.is_strings() {
            true => format!("{:?}", String::from_utf8_lossy(bytes)),
            false => hex(bytes, 64),
        };
        match found {
            Some(found) if found == wanted => Ok(()),
            found => {
                let found = found.map_or("outside the image".to_string(), show);
                Err(Mismatch::new(show(wanted), format!("{found} at {address:#x}")))
            }
        }
    }

    fn size(&self, site: &Site<'_>, value: i64, addend: i64, target: &Target) -> Verdict {
        let found = if site.allocated { fixups::word_at(self.image, site.address()) } else { None };
        match (target, found) {
            (Target::Dynamic(wanted, _), Some(Meaning::Size(symbol, found))) => {
                let same = self.same_symbol(symbol, *wanted) && found == addend;
                if same { Ok(()) } else { Err(self.mismatch(target, "size of", Some(Meaning::Size(symbol, found)))) }
            }
            _ => {
                // The number was written at link time: it must be the size of a symbol of the inputs; which one is told by
                // the name alone, so the caller's symbol is asked.
                let sizes = self.sizes(target);
                let fits = sizes.iter().any(|size| size.wrapping_add_signed(addend) as i64 == value);
                if fits { Ok(()) } else { Err(Mismatch::new(format!("size {sizes:?}{addend:+}"), format!("{value}"))) }
            }
        }
    }

    /// The sizes of the symbols that lie exactly at the target.
    fn sizes(&self, target: &Target) -> Vec<u64> {
        let address = match target {
            Target::Dynamic(symbol, _) => {
                return self
                    .image
                    .dynamic_symbols
                    .get(*symbol as usize)
                    .map(|symbol| symbol.size)
                    .into_iter()
                    .collect();
            }
            Target::Address(address) | Target::Resolver(address) => *address,
            Target::Tls(offset) => self.image.tls().map_or(0, |tls| tls.address).wrapping_add(*offset),
            _ => return Vec::new(),
        };
        self.symbolic.symbols.iter().filter(|named| named.address == address).map(|named| named.symbol.size).collect()
    }

    /// The word at `place` must name the thread-local variable, in the way that `select` takes apart.
    fn thread_local(
        &self,
        place: u64,
        addend: i64,
        target: &Target,
        what: &str,
        select: fn(Meaning) -> Option<(u32, i64)>,
    ) -> Verdict {
        let found = fixups::word_at(self.image, place);
        if let Some((symbol, offset)) = found.and_then(select) {
            let names = |base: Option<(u32, i64)>| {
                base.is_some_and(|(wanted, base)| {
                    self.same_symbol(symbol, wanted) && offset == base.wrapping_add(addend)
                })
            };
            if names(tls_base(target)) {
                return Ok(());
            }
            if names(own_tls_base(target)) {
                return self.bound(target);
            }
        }
        Err(self.mismatch(target, what, found))
    }

    /// The pair of words that `__tls_get_addr` reads.
    fn tls_pair(&self, slot: u64, target: &Target, general: bool) -> Verdict {
        let bias = arch::tls_bias(self.image.file.machine);
        let module = fixups::word_at(self.image, slot);
        let offset = fixups::word_at(self.image, slot.wrapping_add(self.image.word_size() as u64));
        let module_of = |base: Option<(u32, i64)>| match (base, module) {
            (Some((symbol, _)), Some(Meaning::TlsModule(found))) => self.same_symbol(found, symbol),
            _ => false,
        };
        let offset_of = |base: Option<(u32, i64)>| match (base, offset) {
            (Some((symbol, wanted)), Some(Meaning::TlsOffset(found, addend))) => {
                self.same_symbol(found, symbol) && addend == wanted
            }
            (Some((0, wanted)), Some(Meaning::Number(number))) => number == self.wrap(wanted.wrapping_sub(bias) as u64),
            _ => false,
        };
        if !general {
            // Offsets are added that count from the block's start, without its bias.
            let start = offset == Some(Meaning::Number(0));
            return if module_of(Some((0, 0))) && start {
                Ok(())
            } else {
                Err(self.mismatch(target, "module of", module))
            };
        }
        let base = tls_base(target);
        if module_of(base) && offset_of(base) {
            return Ok(());
        }
        let own = own_tls_base(target);
        if (module_of(base) || module_of(own)) && offset_of(own) {
            return self.bound(target);
        }
        Err(self.mismatch(target, "module and offset of", module))
    }

    fn tls_offset(&self, field: Field, number: i64, addend: i64, target: &Target) -> Verdict {
        let target = match target {
            Target::Dynamic(_, Some(local)) => local,
            other => other,
        };
        let bias = arch::tls_bias(self.image.file.machine);
        if let Target::Tls(offset) = target {
            let wanted = (offset.wrapping_add_signed(addend) as i64).wrapping_sub(bias);
            let fits = match field {
                Field::Bits(bits) => bits.wanted(wanted) == number,
                _ => wanted == number,
            };
            if fits {
                return Ok(());
            }
        }
        Err(self.mismatch(target, "TLS offset of", Some(Meaning::Number(number as u64))))
    }

    fn same_address(&self, found: u64, wanted: u64) -> Verdict {
        if found == wanted {
            return Ok(());
        }
        Err(Mismatch::new(self.symbolic.describe(wanted), self.symbolic.describe(found)))
    }

    fn same_symbol(&self, found: u32, wanted: u32) -> bool {
        found == wanted
            || (found != 0
                && wanted != 0
                && self.image.dynamic_symbol_name(found) == self.image.dynamic_symbol_name(wanted))
    }

    /// A reference that may be preempted was bound to the image's own definition: right only with -Bsymbolic.
    fn bound(&self, target: &Target) -> Verdict {
        if self.image.is_symbolic() {
            return Ok(());
        }
        let expected = format!("{}, bound at run time", self.describe_target(target));
        Err(Mismatch { check: Check::Binding, expected, found: "this image's own definition".to_string() })
    }

    fn mismatch(&self, target: &Target, what: &str, found: Option<Meaning>) -> Mismatch {
        let found = found.map_or("nothing".to_string(), |found| self.symbolic.describe_meaning(found));
        Mismatch::new(format!("{what} {}", self.describe_target(target)), found)
    }

    fn describe_target(&self, target: &Target) -> String {
        match target {
            Target::Number(number) => format!("number {number:#x}"),
            Target::Address(address) => self.symbolic.describe(*address),
            Target::Resolver(address) => format!("indirect function {}", self.symbolic.describe(*address)),
            Target::Tls(offset) => format!("thread-local {offset:#x}"),
            Target::Dynamic(symbol, _) => format!("dynamic symbol {}", self.image.dynamic_symbol_name(*symbol)),
            Target::Piece { section, offset, .. } => format!("{}+{offset:#x}", self.inputs.section_name(*section)),
            Target::Zero => "undefined weak symbol".to_string(),
            Target::Replaced => "replaced COMDAT member".to_string(),
            Target::Unknown(reason) => reason.clone(),
        }
    }
}

fn thread_offset(meaning: Meaning) -> Option<(u32, i64)> {
    match meaning {
        Meaning::ThreadOffset(symbol, addend) => Some((symbol, addend)),
        _ => None,
    }
}

/// The dynamic symbol (0: this image) and addend by which TLS relocations name the target.
fn tls_base(target: &Target) -> Option<(u32, i64)> {
    match target {
        Target::Tls(offset) => Some((0, *offset as i64)),
        Target::Dynamic(symbol, _) => Some((*symbol, 0)),
        _ => None,
    }
}

/// Likewise for the image's own definition of a target that may be preempted.
fn own_tls_base(target: &Target) -> Option<(u32, i64)> {
    match target {
        Target::Dynamic(_, Some(own)) => tls_base(own),
        _ => None,
    }
}
