//! Checks one library against the objects that it was linked from: every byte of every input section, and every relocated
//! field by its psABI formula, computed with the library's own addresses.

use std::collections::{BTreeMap, HashMap, HashSet};

use object::elf;

use crate::arch::{self, Field, From, Operation, StaticKind, What, ppc64};
use crate::elf::{Name, Place, Relocation, Section, Symbol};
use crate::exidx;
use crate::field::{Mismatch, Site};
use crate::fixups;
use crate::image::Image;
use crate::inputs::{Inputs, SectionId};
use crate::place::{Location, Placement, first_difference, symbol_table};
use crate::records;
use crate::rules::{Check, Finding};
use crate::symbolic::{Symbolic, is_linker_section};
use crate::target::{Resolver, Target};

/// What the check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// The faults.
    pub findings: Vec<Finding>,
    /// How many things were checked, by kind.
    pub counts: BTreeMap<&'static str, usize>,
}

impl Checked {
    /// Counts `number` more of `what`.
    pub(crate) fn count(&mut self, what: &'static str, number: usize) {
        *self.counts.entry(what).or_default() += number;
    }

    pub(crate) fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

/// Checks `image` against `inputs`.
pub fn check_against_inputs(image: &Image<'_>, inputs: &Inputs<'_>) -> Checked {
    let placement = Placement::find(inputs, image);
    let resolver = Resolver::new(inputs, image, &placement);
    let symbolic = Symbolic::new(image);
    let mut checker = Checker {
        inputs,
        image,
        placement: &placement,
        resolver: &resolver,
        symbolic: &symbolic,
        slots: slots(image),
        entries: entries(image),
        explained: HashSet::new(),
        checked: Checked::default(),
    };
    checker.sections();
    records::check(&mut checker);
    exidx::check(&mut checker);
    checker.symbols();
    checker.unexplained_relocations();
    checker.checked
}

/// The check of one image.
pub(crate) struct Checker<'c, 'a> {
    pub(crate) inputs: &'c Inputs<'a>,
    pub(crate) image: &'c Image<'a>,
    pub(crate) placement: &'c Placement,
    pub(crate) resolver: &'c Resolver<'c, 'a>,
    pub(crate) symbolic: &'c Symbolic<'c, 'a>,
    /// The addresses of all words that may be slots.
    pub(crate) slots: Vec<u64>,
    /// The addresses of all PLT entries.
    pub(crate) entries: Vec<u64>,
    /// Addresses of dynamic relocations that an input relocation asks for.
    explained: HashSet<u64>,
    pub(crate) checked: Checked,
}

impl<'c, 'a> Checker<'c, 'a> {
    fn sections(&mut self) {
        for (first, second) in self.placement.overlaps() {
            let (first, second) = (self.inputs.section_name(first), self.inputs.section_name(second));
            self.checked.find(Finding::new(Check::Placement, first, "room of its own", format!("lies over {second}")));
        }
        for id in self.inputs.sections() {
            let input = self.inputs.section(id);
            match self.placement.location(id) {
                Location::At { section, offset } => {
                    self.checked.count("sections located", 1);
                    self.header(id, section);
                    self.permissions(id, section, offset);
                    self.range(id, 0, input.size as usize, section, offset);
                }
                Location::Replaced => self.checked.count("sections replaced by another copy", 1),
                Location::Merged => {
                    self.checked.count("sections checked by piece", 1);
                    self.strings(id);
                }
                Location::Records => self.checked.count("sections checked by record", 1),
                Location::Skipped(_) => self.checked.count("sections for the linker alone", 1),
                Location::Unknown if input.size == 0 => self.checked.count("empty sections", 1),
                Location::Unknown => {
                    self.checked.count("sections not located", 1);
                    let found = "no place that holds its bytes".to_string();
                    let name = self.inputs.section_name(id);
                    self.checked.find(Finding::new(Check::Placement, name, "a place in the output", found));
                }
            }
        }
    }

    /// Bytes `[from, to)` of the input section must stand at `offset` of output section `section`.
    pub(crate) fn range(&mut self, id: SectionId, from: usize, to: usize, section: usize, offset: u64) {
        let input = self.inputs.section(id);
        let output = &self.image.file.sections[section];
        let place = output.address.wrapping_add(offset);
        let size = to - from;
        if input.is_nobits() || output.is_nobits() {
            let template_zeros = output.is_tls() && output.is_nobits();
            let zero = input.data.iter().all(|byte| *byte == 0);
            if !zero || !(template_zeros || self.image.is_zero(place, size as u64)) {
                let name = self.inputs.section_name(id);
                self.checked.find(Finding::new(Check::Bytes, name, "zeros", format!("other bytes at {place:#x}")));
            }
            self.checked.count("bytes compared", size);
            return;
        }
        let object = &self.inputs.objects[id.object];
        let relocations = &object.relocations[id.section];
        let bytes = usize::try_from(offset).ok().and_then(|start| output.data.get(start..start.checked_add(size)?));
        let Some(bytes) = bytes else {
            let name = self.inputs.section_name(id);
            self.checked.find(Finding::new(Check::Placement, name, "room", format!("ends outside {}", output.name)));
            return;
        };
        if let Some(at) = first_difference(self.image.file.machine, &input.data, relocations, from, bytes) {
            let subject = format!("{}+{at:#x}", self.inputs.section_name(id));
            let (expected, found) = (hex(&input.data[at..], 8), hex(&bytes[at - from..], 8));
            let found = format!("{found} at {}", self.symbolic.describe(place.wrapping_add((at - from) as u64)));
            self.checked.find(Finding::new(Check::Bytes, subject, expected, found));
        }
        self.checked.count("bytes compared", size);
        let first = relocations.partition_point(|relocation| relocation.offset < from as u64);
        for relocation in relocations[first..].iter().take_while(|relocation| relocation.offset < to as u64) {
            let site = Site {
                input: &input.data,
                output: bytes,
                from,
                place,
                offset: relocation.offset,
                allocated: input.is_allocated(),
                entry: self.entry(id, relocation),
            };
            self.relocation(id, relocation, &site);
        }
    }

    fn relocation(&mut self, id: SectionId, relocation: &Relocation, site: &Site<'_>) {
        self.checked.count("relocations checked", 1);
        let target = self.resolver.target(id.object, relocation.symbol);
        let result = match arch::static_kind(self.image.file.machine, relocation.kind) {
            None => Err(Mismatch::new("a relocation type that is known", format!("type {}", relocation.kind))),
            Some(kind) => {
                // Only these can need the loader: for the others a dynamic relocation is a fault.
                if kind.from == From::Zero
                    && kind.field.is_data()
                    && matches!(kind.what, What::Symbol | What::ThreadOffset | What::TlsOffset | What::Size)
                {
                    self.explained.insert(site.address());
                }
                match kind.what {
                    What::AtLabel => self.at_label(id, relocation, kind, site),
                    What::Difference(_) => self.difference(id, relocation, kind, site),
                    _ => self.field(site, relocation, kind, &target),
                }
            }
        };
        let Err(mismatch) = result else { return };
        let name = arch::static_kind(self.image.file.machine, relocation.kind).map_or("?", |kind| kind.name);
        let subject = format!(
            "{}+{:#x} {name} {}{:+#x}, at {}",
            self.inputs.section_name(id),
            relocation.offset,
            self.symbol_name(id, relocation.symbol),
            self.inputs.addend(id, relocation),
            if site.allocated { self.symbolic.describe(site.address()) } else { format!("{:#x}", site.address()) },
        );
        self.checked.find(Finding::new(mismatch.check, subject, mismatch.expected, mismatch.found));
    }

    /// Bytes from the target's symbol to where calls of it within the image lead.
    fn entry(&self, id: SectionId, relocation: &Relocation) -> u64 {
        let takes_toc = elf::RelocationType(relocation.kind) != elf::RelocationType(116); // R_PPC64_REL24_NOTOC
        if elf::Machine(self.image.file.machine) != elf::EM_PPC64 || !takes_toc {
            return 0;
        }
        let symbol = self.resolver.defining_symbol(id.object, relocation.symbol);
        symbol.map_or(0, |symbol| ppc64::local_entry(symbol.other))
    }

    /// The lower half of an address: the upper one, at the label, tells of what, and counts from there.
    fn at_label(
        &self,
        id: SectionId,
        relocation: &Relocation,
        kind: StaticKind,
        site: &Site<'_>,
    ) -> Result<(), Mismatch> {
        let machine = self.image.file.machine;
        let object = &self.inputs.objects[id.object];
        let relocations = &object.relocations[id.section];
        let label = object.symbols.get(relocation.symbol as usize);
        let label = label.filter(|label| object.section_of(label) == Some(id.section)).map(|label| label.value);
        let upper = label.and_then(|label| {
            let first = relocations.partition_point(|other| other.offset < label);
            let there = relocations[first..].iter().take_while(|other| other.offset == label);
            there.filter_map(|other| Some((other, arch::static_kind(machine, other.kind)?))).find(|(_, kind)| {
                kind.from == From::Place && matches!(kind.field, Field::Bits(bits) if bits.part & 0xfff == 0)
            })
        });
        let Some((upper, upper_kind)) = upper else {
            return Err(Mismatch::new("an upper half at the label", "none"));
        };
        let number = |offset: u64, kind: StaticKind| {
            let site = Site { offset, ..*site };
            let bytes = site.output_field(kind.field.width())?;
            Some((kind.field.number(&self.image.file, bytes), site.address()))
        };
        let halves = number(upper.offset, upper_kind).zip(number(relocation.offset, kind));
        let Some(((high, place), (low, _))) = halves else {
            return Err(Mismatch::new("both halves in the section", "one outside"));
        };
        if let (Field::Bits(bits), Some(input), Some(output)) = (kind.field, site.input_field(4), site.output_field(4))
        {
            let file = &self.image.file;
            if bits.opcode(file.unsigned(input)) != bits.opcode(file.unsigned(output)) {
                return Err(Mismatch::new(format!("an instruction as {}", hex(input, 4)), hex(output, 4)));
            }
        }
        let target = self.resolver.target(id.object, upper.symbol);
        let addend = self.inputs.addend(id, upper);
        let address = place.wrapping_add_signed(high).wrapping_add_signed(low);
        self.at_address(upper_kind.what, address.wrapping_sub(addend as u64), addend, &target)
    }

    /// A field that several relocations make up: the first of them answers for all.
    fn difference(
        &self,
        id: SectionId,
        relocation: &Relocation,
        kind: StaticKind,
        site: &Site<'_>,
    ) -> Result<(), Mismatch> {
        let machine = self.image.file.machine;
        let object = &self.inputs.objects[id.object];
        let relocations = &object.relocations[id.section];
        let first = relocations.partition_point(|other| other.offset < relocation.offset);
        let here = relocations[first..].iter().take_while(|other| other.offset == relocation.offset);
        let parts: Vec<(&Relocation, Operation)> = here
            .filter_map(|other| match arch::static_kind(machine, other.kind)?.what {
                What::Difference(operation) => Some((other, operation)),
                _ => None,
            })
            .collect();
        if !parts.first().is_some_and(|(other, _)| std::ptr::eq(*other, relocation)) {
            return Ok(());
        }
        let width = match kind.field {
            Field::Uleb128 => site.input.get(relocation.offset as usize..).unwrap_or_default(),
            _ => &[],
        };
        let width = kind.field.width() + width.iter().take_while(|byte| **byte & 0x80 != 0).count();
        let (Some(input), Some(output)) = (site.input_field(width), site.output_field(width)) else {
            return Err(Mismatch::new("a field inside its section", format!("{width} bytes at the section's end")));
        };
        let read = |bytes: &[u8]| match kind.field {
            Field::Uleb128 => bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)),
            _ => self.image.file.unsigned(bytes),
        };
        let mut wanted = read(input);
        let keeps = if kind.field == Field::LowSix { wanted & 0xc0 } else { 0 };
        for (part, operation) in parts {
            let number = match self.label(id, part, site)? {
                Some(address) => address.wrapping_add_signed(part.addend.unwrap_or_default()),
                // Of code that is not in the image, debuggers are told nothing.
                None => return Ok(()),
            };
            wanted = match operation {
                Operation::Set => number,
                Operation::Add => wanted.wrapping_add(number),
                Operation::Subtract => wanted.wrapping_sub(number),
            };
        }
        let mask = match kind.field {
            Field::LowSix => 0x3f,
            Field::Uleb128 => (1u64 << (7 * width).min(63)) - 1,
            _ => u64::MAX >> (64 - 8 * width.clamp(1, 8)),
        };
        let (wanted, found) = (wanted & mask | keeps, read(output));
        let ends = kind.field != Field::Uleb128
            || output.iter().enumerate().all(|(index, byte)| (byte & 0x80 != 0) == (index + 1 < width));
        if wanted == found && ends {
            return Ok(());
        }
        Err(Mismatch::new(format!("{wanted:#x}"), format!("{found:#x}")))
    }

    /// The address of a label that a sum or difference names; `None` if its section was replaced.
    fn label(&self, id: SectionId, relocation: &Relocation, site: &Site<'_>) -> Result<Option<u64>, Mismatch> {
        let object = &self.inputs.objects[id.object];
        let symbol = object.symbols.get(relocation.symbol as usize);
        if let Some(symbol) = symbol.filter(|symbol| object.section_of(symbol) == Some(id.section)) {
            // Records of .eh_frame move with what they name in themselves.
            return Ok(Some(site.place.wrapping_add(symbol.value).wrapping_sub(site.from as u64)));
        }
        let mut target = self.resolver.target(id.object, relocation.symbol);
        if let Target::Dynamic(_, Some(local)) = target {
            target = *local;
        }
        match target {
            Target::Number(value) | Target::Address(value) | Target::Tls(value) => Ok(Some(value)),
            Target::Replaced => Ok(None),
            other => Err(Mismatch::new("a label", format!("{other:?}"))),
        }
    }

    fn symbol_name(&self, id: SectionId, index: u32) -> String {
        let object = &self.inputs.objects[id.object];
        match object.symbols.get(index as usize) {
            Some(symbol) if symbol.is_section() => {
                object.section_of(symbol).map_or("?".into(), |section| object.file.sections[section].name.to_string())
            }
            Some(symbol) => symbol.name.to_string(),
            None => "?".into(),
        }
    }

    /// The output must allow what the input section's flags ask for, no more.
    fn permissions(&mut self, id: SectionId, section: usize, offset: u64) {
        let input = self.inputs.section(id);
        if !input.is_allocated() || input.size == 0 || (input.is_tls() && input.is_nobits()) {
            return;
        }
        let address = self.image.file.sections[section].address.wrapping_add(offset);
        let name = self.inputs.section_name(id);
        let mut fault = |expected: &str, found: String| {
            self.checked.findings.push(Finding::new(Check::Protection, name.clone(), expected, found));
        };
        if !address.is_multiple_of(input.align) {
            fault("its alignment", format!("{address:#x} is no multiple of {}", input.align));
        }
        for address in [address, address.wrapping_add(input.size - 1)] {
            let Some(segment) = self.image.segment_at(address) else {
                fault("a loaded segment", format!("{address:#x} is in none"));
                continue;
            };
            if (segment.flags & elf::PF_X.0 != 0) != input.is_executable() {
                fault(
                    "executable exactly if SHF_EXECINSTR",
                    format!("{address:#x} is in a segment with flags {}", segment.flags),
                );
            }
            if (segment.flags & elf::PF_W.0 != 0) != input.is_writable() {
                fault(
                    "writable exactly if SHF_WRITE",
                    format!("{address:#x} is in a segment with flags {}", segment.flags),
                );
            }
            if input.is_writable() && self.image.is_relro(address) && !may_be_relro(input.name) {
                fault("writable at run time", format!("{address:#x} is made read-only by PT_GNU_RELRO"));
            }
        }
    }

    /// The output section must be of the input section's kind.
    fn header(&mut self, id: SectionId, section: usize) {
        let input = self.inputs.section(id);
        let output = &self.image.file.sections[section];
        let subject = || format!("{} in {}", self.inputs.section_name(id), output.name);
        let same_name = input.name == output.name
            || input.name.0.strip_prefix(output.name.0).is_some_and(|rest| rest.starts_with(b"."))
            || renamed(input.name, output.name);
        let mut faults = Vec::new();
        if !same_name {
            faults.push((format!("a section called {}", input.name), output.name.to_string()));
        }
        // Zeros may be written out; constructors of older compilers become arrays.
        let same_type = input.kind == output.kind
            || input.is_nobits() && output.kind == elf::SHT_PROGBITS.0
            || renamed(input.name, output.name)
            || &input.name == ".eh_frame";
        if !same_type && input.size != 0 {
            faults.push((format!("sh_type {:#x}", input.kind), format!("{:#x}", output.kind)));
        }
        let rights = elf::SHF_WRITE.0 | elf::SHF_ALLOC.0 | elf::SHF_EXECINSTR.0 | elf::SHF_TLS.0;
        let (wanted, found) = (input.flags & rights, output.flags & rights);
        if wanted != found {
            faults.push((format!("sh_flags {wanted:#x}"), format!("{found:#x}")));
        }
        if output.align < input.align {
            faults.push((format!("sh_addralign of at least {}", input.align), output.align.to_string()));
        }
        let subject = subject();
        for (expected, found) in faults {
            self.checked.find(Finding::new(Check::Sections, subject.clone(), expected, found));
        }
    }

    /// Strings that nothing refers to must be kept all the same.
    fn strings(&mut self, id: SectionId) {
        let input = self.inputs.section(id);
        if &input.name != ".comment" {
            return;
        }
        let Some(output) = self.image.file.section_named(".comment") else {
            let name = self.inputs.section_name(id);
            self.checked.find(Finding::new(Check::Placement, name, "a section .comment", "none"));
            return;
        };
        let kept: HashSet<&[u8]> = output.data.split(|byte| *byte == 0).collect();
        for string in input.data.split(|byte| *byte == 0) {
            if !kept.contains(string) {
                let (name, string) = (self.inputs.section_name(id), String::from_utf8_lossy(string).into_owned());
                self.checked.find(Finding::new(Check::Bytes, name, format!("the string {string:?}"), "none"));
            }
        }
    }

    fn symbols(&mut self) {
        if self.image.symbols.len() <= 1 {
            self.checked.count("images without .symtab", 1);
            return;
        }
        let mut outputs: HashMap<Name<'a>, Vec<(&Symbol<'a>, Name<'a>)>> = HashMap::new();
        let mut file = Name::default();
        for symbol in symbol_table(self.image) {
            if symbol.is_file() {
                file = symbol.name;
            }
            outputs.entry(symbol.name).or_default().push((symbol, file));
        }
        self.files();
        let inputs = self.inputs;
        for (number, object) in inputs.objects.iter().enumerate() {
            let files = object.symbols.iter().filter(|symbol| symbol.is_file());
            let files: Vec<Name<'a>> = files.map(|file| file.name).collect();
            for (index, symbol) in object.symbols.iter().enumerate().skip(1) {
                if !object.defines(symbol) || symbol.is_section() || symbol.is_file() {
                    continue;
                }
                // Nothing is to be told apart in what is not loaded.
                let section = object.section_of(symbol).map(|section| &object.file.sections[section]);
                if symbol.name.is_mapping() && section.is_some_and(|section| !section.is_allocated()) {
                    continue;
                }
                let global = (!symbol.is_local()).then(|| inputs.globals.get(&symbol.name)).flatten();
                if global.is_some_and(|global| global.definition != Some((number, index))) {
                    continue;
                }
                let visibility = global.map_or(symbol.visibility, |global| global.visibility);
                let outputs = outputs.get(&symbol.name).map_or(&[][..], |outputs| &outputs[..]);
                self.symbol((number, &files), symbol, visibility, outputs);
            }
        }
    }

    /// Debuggers tell local symbols of one name apart by the STT_FILE symbol before them: those must be kept.
    fn files(&mut self) {
        let mut kept: HashMap<Name<'a>, usize> = HashMap::new();
        for symbol in self.image.symbols.iter().filter(|symbol| symbol.is_file()) {
            *kept.entry(symbol.name).or_default() += 1;
        }
        for object in &self.inputs.objects {
            for symbol in object.symbols.iter().filter(|symbol| symbol.is_file()) {
                let left = kept.entry(symbol.name).or_default();
                if *left == 0 && !symbol.name.0.is_empty() {
                    let subject = format!("{}: STT_FILE {}", object.name, symbol.name);
                    self.checked.findings.push(Finding::new(Check::Symbol, subject, "kept", "not in .symtab"));
                }
                *left = left.saturating_sub(1);
            }
        }
    }

    /// `files` are the object's STT_FILE symbols; `outputs` the output's symbols of the name, each with the STT_FILE symbol
    /// that it stands after.
    fn symbol(
        &mut self,
        (object, files): (usize, &[Name<'a>]),
        symbol: &Symbol<'a>,
        visibility: u8,
        outputs: &[(&Symbol<'a>, Name<'a>)],
    ) {
        let value = match self.resolver.definition(object, symbol) {
            // Of thread-local data only STT_TLS symbols count from the block's start.
            Target::Tls(offset) if !symbol.is_tls() => {
                Some(self.image.tls().map_or(0, |tls| tls.address).wrapping_add(offset))
            }
            Target::Number(value) | Target::Address(value) | Target::Resolver(value) | Target::Tls(value) => {
                Some(value)
            }
            Target::Piece { .. } => None,
            // Reported with its section.
            Target::Unknown(_) | Target::Replaced | Target::Zero | Target::Dynamic(..) => return,
        };
        let subject = || format!("{}: symbol {}", self.inputs.objects[object].name, symbol.name);
        let kind = if symbol.place == Place::Common { elf::STT_OBJECT.0 } else { symbol.kind };
        let same = |(output, output_file): &&(&Symbol<'a>, Name<'a>)| {
            let merged = value.is_none() || output.address() == value.unwrap_or_default();
            let of_file = !symbol.is_local() || files.is_empty() || files.contains(output_file);
            merged && of_file && output.kind == kind && output.size == symbol.size
        };
        let Some((output, _)) = outputs.iter().find(same) else {
            // An indirect function whose address is taken may get its PLT entry as its address, and become a plain function.
            let resolves_here = |output: &Symbol<'a>| {
                output.kind == elf::STT_FUNC.0
                    && fixups::plt_target(self.image, output.value) == value.map(fixups::Meaning::Resolved)
            };
            if symbol.is_ifunc() && outputs.iter().any(|(output, _)| resolves_here(output)) {
                self.checked.count("indirect functions named by their PLT entry", 1);
                return;
            }
            if symbol.is_local() && (symbol.name.is_assembler_local() || symbol.name.0.is_empty()) {
                self.checked.count("assembler's local symbols not kept", 1);
                return;
            }
            let found = match outputs.first() {
                Some((output, file)) => {
                    let (value, size, kind) = (output.value, output.size, output.kind);
                    format!("value {value:#x}, size {size}, type {kind}, after STT_FILE {file}")
                }
                None => "no symbol of the name".to_string(),
            };
            let expected = match value {
                Some(value) => format!("value {value:#x}, size {}, type {kind}", symbol.size),
                None => format!("size {}, type {kind}", symbol.size),
            };
            let finding = Finding::new(Check::Symbol, subject(), expected, found);
            self.checked.find(finding);
            return;
        };
        self.checked.count("symbols checked", 1);
        let hidden = [elf::STV_HIDDEN.0, elf::STV_INTERNAL.0].contains(&visibility);
        let binding_kept = output.binding == symbol.binding || (hidden && output.is_local());
        if !binding_kept {
            let (expected, found) = (format!("binding {}", symbol.binding), format!("binding {}", output.binding));
            let finding = Finding::new(Check::Symbol, subject(), expected, found);
            self.checked.find(finding);
        }
        if symbol.is_local() {
            return;
        }
        if output.visibility != visibility && !output.is_local() {
            let (expected, found) = (format!("visibility {visibility}"), format!("visibility {}", output.visibility));
            let finding = Finding::new(Check::Symbol, subject(), expected, found);
            self.checked.find(finding);
        }
        let exported =
            self.resolver.dynamic_symbol(symbol.name).map(|index| self.image.dynamic_symbols[index as usize]);
        let exported = exported.filter(|exported| exported.is_defined());
        match (hidden, exported) {
            (true, Some(_)) => {
                let finding = Finding::new(Check::Export, subject(), "not exported: it is hidden", "exported");
                self.checked.find(finding);
            }
            (false, None) => {
                let finding = Finding::new(Check::Export, subject(), "exported", "not in .dynsym");
                self.checked.find(finding);
            }
            (false, Some(exported)) if value.is_some_and(|value| exported.address() != value) => {
                let found = format!("{:#x} in .dynsym", exported.value);
                let finding =
                    Finding::new(Check::Export, subject(), format!("{:#x}", value.unwrap_or_default()), found);
                self.checked.find(finding);
            }
            _ => {}
        }
    }

    /// Each dynamic relocation must be asked for by an input, or fill a slot that the linker made.
    fn unexplained_relocations(&mut self) {
        for relocation in &self.image.relocations {
            let address = relocation.address;
            self.checked.count("dynamic relocations explained", 1);
            if self.explained.contains(&address) {
                continue;
            }
            let slots = [".got", ".got.plt", ".igot.plt", ".relro_padding", ".plt", ".iplt", ".branch_lt"];
            let section = self.image.section_at(address);
            if section.is_some_and(|section| slots.iter().any(|name| &section.name == *name)) {
                continue;
            }
            let meaning = fixups::meaning_of(relocation);
            let found = meaning.map_or("nothing".into(), |meaning| self.symbolic.describe_meaning(meaning));
            let subject = self.symbolic.describe(address);
            let expected = "no dynamic relocation: no input asks for one";
            self.checked.find(Finding::new(Check::DynamicRelocations, subject, expected, found));
        }
    }
}

fn slots(image: &Image<'_>) -> Vec<u64> {
    let tables = [".got", ".igot", ".toc", ".branch_lt"];
    let is_table = |section: &&Section<'_>| {
        section.is_allocated() && !section.is_executable() && tables.iter().any(|name| section.name.starts_with(name))
    };
    let words = |section: &Section<'_>| (section.address..section.end()).step_by(image.word_size());
    image.file.sections.iter().filter(is_table).flat_map(words).collect()
}

fn entries(image: &Image<'_>) -> Vec<u64> {
    let is_plt = |section: &&Section<'_>| section.is_executable() && is_linker_section(section.name);
    let places = image.file.sections.iter().filter(is_plt).flat_map(|plt| (plt.address..plt.end()).step_by(4));
    places.filter(|place| fixups::plt_target(image, *place).is_some()).collect()
}

/// Input sections that linkers' default scripts put elsewhere than their name's first part says.
fn renamed(input: Name<'_>, output: Name<'_>) -> bool {
    let moves = [(".ctors", ".init_array"), (".dtors", ".fini_array"), (".tm_clone_table", ".data")];
    moves.iter().any(|(from, to)| input.starts_with(from) && &output == *to)
}

/// Sections that are written only while the loader relocates.
fn may_be_relro(name: Name<'_>) -> bool {
    const PREFIXES: &[&str] = &[
        ".bss.rel.ro",
        ".ctors",
        ".data.rel.ro",
        ".dtors",
        ".fini_array",
        ".got",
        ".init_array",
        ".jcr",
        ".ldata.rel.ro",
        ".preinit_array",
        ".tbss",
        ".tdata",
        ".toc",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

pub(crate) fn hex(bytes: &[u8], limit: usize) -> String {
    let bytes = &bytes[..bytes.len().min(limit)];
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
