//! The link, on one page.
//!
//! [`link`] is the list of passes, in order, each with a line of why. What a pass needs of the former ones stands in
//! [`Link`]; what only one format has is behind the doors of [`format`](mod@crate::format). Comments mark the barriers: from there on something is fixed.

#![deny(clippy::arithmetic_side_effects)]

use std::time::Instant;

use crate::blob::has_underscores;
use crate::debug;
use crate::elf;
use crate::error::{Error, Result};
use crate::format;
use crate::image::Image;
use crate::input::Inputs;
use crate::layout::OutputSection;
use crate::link_map::link_map;
use crate::macho;
use crate::malfunction;
use crate::model::{Object, ObjectId, Section, SectionIndex, Symbol, SymbolKind, SymbolSection};
use crate::options::{Format, Options, SymbolValue, Target, Undefined};
use crate::pe;
use crate::reloc::Kinds;
use crate::report::Report;
use crate::resolve;
use crate::scan;
use crate::slots::{Slots, SymbolRef};
use crate::symbols::{self, Definition, Symbols};
use crate::thunks::Thunks;
use crate::workers::Workers;

/// The state of one link, filled pass by pass.
#[derive(Debug)]
pub(crate) struct Link<'a> {
    /// What is asked for.
    pub(crate) options: &'a Options,
    /// What the image is for.
    pub(crate) target: Target,
    /// The threads.
    pub(crate) workers: Workers,
    /// The objects that take part, in link order.
    pub(crate) objects: Vec<Object<'a>>,
    /// The global symbols.
    pub(crate) symbols: Symbols<'a>,
    /// The shared libraries that take part, in command-line order.
    pub(crate) libraries: Vec<resolve::Library<'a>>,
    /// The symbols that options and scripts define, and what they stand for.
    pub(crate) definitions: Vec<(&'a str, &'a SymbolValue)>,
    /// The section that holds the heap image, which goes last.
    pub(crate) heap_image: Option<(ObjectId, SectionIndex)>,
    /// Slots of the GOT and the PLT.
    pub(crate) slots: Slots,
    /// Code that carries branches farther than they reach.
    pub(crate) thunks: Thunks,
    /// The sections of the image, in order.
    pub(crate) outputs: Vec<OutputSection<'a>>,
    /// The relocation kinds of the target.
    pub(crate) kinds: Kinds,
    /// Of every object's symbols, whether a relocation may mean more than the address ([`Kinds::SPECIAL`]), once their traits
    /// are fixed: a byte for each, where the symbols themselves would not stay in the cache.
    pub(crate) special: Vec<Vec<bool>>,
    /// The addresses of every object's symbols, once they are fixed.
    pub(crate) addresses: Vec<Vec<u64>>,
    /// What only ELF images have.
    pub(crate) elf: elf::Plan,
    /// What only PE images have.
    pub(crate) pe: pe::Plan<'a>,
    /// What only Mach-O images have.
    pub(crate) macho: macho::Plan<'a>,
    /// What has been done.
    pub(crate) report: Report,
}

/// Links `inputs` into an image.
///
/// The image borrows the inputs: its bytes are made when it is written or copied out.
///
/// # Errors
/// Every problem that the first failing pass found; see [`Error`].
pub fn link<'a>(inputs: &'a Inputs<'a>, options: &'a Options) -> Result<Image<'a>> {
    options.validate()?;
    malfunction::check()?;
    let clock = Clock::start();
    // What is signed is hashed, which takes ten times as long as all the rest of a byte.
    let signed = options.target.is_some_and(|target| target.format == Format::MachO);
    let work = inputs.size().saturating_mul(if signed { 8 } else { 1 });
    let mut traces = Vec::new();
    let image =
        Workers::new(options.threads, work).enter(|workers| passes(inputs, options, workers, clock, &mut traces));
    image.map_err(|problems| problems.with_traces(traces))
}

/// The passes. What is known of traced symbols goes to `traces`, too, for links that fail.
fn passes<'a>(
    inputs: &'a Inputs<'a>,
    options: &'a Options,
    workers: Workers,
    mut clock: Clock,
    traces: &mut Vec<String>,
) -> Result<Image<'a>> {
    // Every object that is sure to take part is read at once; members of archives follow when something asks for them.
    let hasher = symbols::Hasher::default();
    let parsed = resolve::parse(inputs, options, &workers, &hasher)?;
    clock.lap("parse");

    // Each global name gets its definition, in command-line order; archives give the members that are asked for.
    let mut link = resolve::resolve(inputs, parsed, options, workers, hasher)?;
    traces.clone_from(&link.report.traces);
    clock.lap("resolve");
    // Beyond this point no object and no library is added.

    // Contents are plain from here on; what is stripped is not worth the work.
    elf::compressed::decompress(&mut link)?;

    // What may be left out part by part is divided before anything is known of its sections.
    format::divide(&mut link)?;

    // Names that only a linker can define, and blocks for common symbols.
    format::define_symbols(&mut link)?;
    resolve::check_required(&link)?;
    let (unclear, cut) = link.symbols.duplicate_problems(&link.objects);
    match debug::explained(&link, unclear, cut) {
        // GNU ld and LLD say nothing of what is asked for, but of DLLs LLD does.
        Err(_) if options.allow_multiple_definition && link.target.format == Format::Elf => {}
        Err(unclear) if options.allow_multiple_definition => link.report.warnings.extend(unclear.into_warnings()),
        unclear => unclear?,
    }

    // The heap image is 60 to 95 % of a package image; what refers to it must be known before anything is rewritten.
    link.heap_image = find_heap_image(&link);

    // Who may preempt what, and what is far: all that relocations need to know of symbols.
    format::fix_traits(&mut link);
    if options.gc_sections {
        crate::gc::collect(&mut link)?;
        if options.print_collected {
            link.report.collected = crate::gc::collected(&link);
        }
    }
    scan::undefined(&link, options.undefined == Undefined::Error)?;
    if options.undefined == Undefined::Warn
        && let Err(missing) = scan::undefined(&link, true)
    {
        link.report.warnings.extend(missing.into_warnings());
    }
    // Beyond this point no symbol is added, and no section comes or goes.

    // What the image must provide: slots, dynamic relocations, dynamic symbols.
    let mut found = scan::scan(&link)?;
    if !found.direct_ifuncs.is_empty() {
        // An indirect function has one address, whoever takes it: decided by the first look, counted by the second.
        format::give_plt_addresses(&mut link, &found.direct_ifuncs);
        found = scan::scan(&link)?;
    }
    format::gather(&mut link, &mut found)?;
    clock.lap("scan");
    link.slots = Slots::assign(
        &link.symbols,
        &found.locals,
        found.tls_module,
        format::binds_now(&link, &found),
        format::got_header(&link),
    );

    // Which output sections there are, what goes where in them, and the tables that do not depend on addresses.
    format::plan(&mut link, found)?;
    clock.lap("plan");

    // Addresses and file offsets, with thunks and the tables whose sizes depend on addresses: until nothing is missing.
    format::assign_addresses(&mut link)?;
    // Addresses are fixed from here.
    clock.lap("layout");

    // Addresses of all symbols, and the tables that need them.
    let mut image = format::emit(link)?;
    clock.lap("emit");
    if options.map {
        image.link.report.map = Some(link_map(&image.link));
        clock.lap("map");
    }
    image.link.report.memory_peak = image.link.report.memory_peak.max(image.memory());
    image.link.report.phases = clock.laps;
    Ok(image)
}

/// The section that defines `jl_system_image_data`, if it can be laid out after all others.
fn find_heap_image(link: &Link<'_>) -> Option<(ObjectId, SectionIndex)> {
    use crate::model::SectionFlags as Flags;
    let name: &[u8] = b"_jl_system_image_data";
    let name = if has_underscores(link.target) { name } else { name.get(1..)? };
    let (_, global) = link.symbols.find(name)?;
    let Definition::Object(id, index) = global.definition else { return None };
    let object = link.object(id);
    let symbol = object.symbols.get(index as usize)?;
    let SymbolSection::In(section) = symbol.section() else { return None };
    let flags = object.sections.get(section as usize)?.flags;
    let bound =
        Flags::EXEC.and(Flags::TLS).and(Flags::MERGE).and(Flags::GROUP).and(Flags::LINK_ORDER).and(Flags::RELRO);
    let bound = bound.and(Flags::EH_FRAME);
    // The place for it is writable, but in ELF images, where segments are made as they are needed.
    let fits = flags.has(Flags::WRITE) || link.target.format == Format::Elf;
    (flags.has(Flags::ALLOC) && !flags.any(bound) && fits).then_some((id, section))
}

impl<'a> Link<'a> {
    /// The objects with their ids.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (ObjectId, &Object<'a>)> {
        self.objects.iter().enumerate().map(|(index, object)| (ObjectId(index as u32), object))
    }

    /// The object with an id of this link.
    pub(crate) fn object(&self, id: ObjectId) -> &Object<'a> {
        &self.objects[id.index()]
    }

    /// A section of an object of this link.
    pub(crate) fn section(&self, object: ObjectId, index: SectionIndex) -> &Section<'a> {
        &self.objects[object.index()].sections[index as usize]
    }

    /// The slots of a symbol of an object.
    pub(crate) fn slots_of(&self, object: ObjectId, index: u32, symbol: &Symbol) -> crate::slots::SymbolSlots {
        match symbol.global.get() {
            Some(global) => self.slots.of(SymbolRef::Global(global)),
            None => self.slots.of(SymbolRef::Local(object, index)),
        }
    }

    /// Whether a symbol means code that is declared as such: where a CPU has two instruction sets, only these
    /// have one of them.
    pub(crate) fn is_function(&self, symbol: SymbolRef) -> bool {
        let (object, index) = match symbol {
            SymbolRef::Local(object, index) => (object, index),
            SymbolRef::Global(id) => {
                let root = match self.symbols.get(id).definition {
                    Definition::Alias(target, offset) => self.symbols.root(target, offset).0,
                    _ => id,
                };
                let Definition::Object(object, index) = self.symbols.get(root).definition else { return false };
                (object, index)
            }
        };
        let symbol = self.object(object).symbols.get(index as usize);
        symbol.is_some_and(|symbol| matches!(symbol.kind, SymbolKind::Function | SymbolKind::Ifunc))
    }

    /// The address of an offset of an input section, in the image.
    pub(crate) fn address_in(&self, object: ObjectId, index: SectionIndex, offset: u64) -> Option<u64> {
        let section = self.section(object, index);
        let output = self.outputs.get(section.output as usize)?;
        let offset = format::moved_offset(self, object, index, offset);
        Some(output.address.wrapping_add(section.offset).wrapping_add(offset))
    }

    /// The address of a symbol of an object: 0 for what is defined nowhere, `None` for what is in no section of the image.
    pub(crate) fn symbol_address(&self, object: ObjectId, symbol: &Symbol) -> Option<u64> {
        if let Some(global) = symbol.global.get() {
            return Some(self.global_address(global));
        }
        match symbol.section() {
            SymbolSection::In(section) => {
                if !self.section(object, section).is_live() {
                    return None;
                }
                self.address_in(object, section, symbol.value)
            }
            SymbolSection::Absolute => Some(symbol.value),
            SymbolSection::Undefined | SymbolSection::Common(_) => Some(0),
        }
    }

    /// As [`global_address`](Self::global_address), once the addresses of all symbols have been computed.
    pub(crate) fn known_address(&self, id: crate::model::GlobalId) -> u64 {
        if let Definition::Object(object, index) = self.symbols.get(id).definition
            && let Some(address) = self.addresses.get(object.index()).and_then(|all| all.get(index as usize))
        {
            return *address;
        }
        self.global_address(id)
    }

    /// The address of a global symbol: 0 for what is not defined in the image.
    pub(crate) fn global_address(&self, id: crate::model::GlobalId) -> u64 {
        match self.symbols.get(id).definition {
            Definition::Undefined | Definition::Library(..) | Definition::Common { .. } => 0,
            Definition::Object(object, index) => {
                let symbol = self.object(object).symbols[index as usize];
                match symbol.section() {
                    SymbolSection::In(section) => self.address_in(object, section, symbol.value).unwrap_or(0),
                    _ => symbol.value,
                }
            }
            Definition::Allotted(kind, offset) => format::commons_address(self, kind).wrapping_add(offset),
            Definition::Absolute(value) => value,
            Definition::Anchor(anchor) => format::anchor_address(self, anchor),
            Definition::Alias(target, offset) => {
                let (target, offset) = self.symbols.root(target, offset);
                self.global_address(target).wrapping_add_signed(offset)
            }
        }
    }
}

/// Times the passes.
struct Clock {
    last: Instant,
    laps: Vec<(&'static str, std::time::Duration)>,
}

impl Clock {
    fn start() -> Self {
        Self { last: Instant::now(), laps: Vec::new() }
    }

    fn lap(&mut self, name: &'static str) {
        let now = Instant::now();
        self.laps.push((name, now.duration_since(self.last)));
        self.last = now;
    }
}

/// A limit that is exceeded.
pub(crate) fn over(name: &'static str, what: &str, wanted: u64, limit: u64) -> Result<(), Error> {
    if wanted <= limit {
        return Ok(());
    }
    Err(Error::Limit { name, what: what.to_owned(), wanted, limit })
}
