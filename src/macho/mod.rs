//! What only Mach-O has. Source of the rules: Apple's headers `mach-o/*.h`, which are all the specification there is, and
//! dyld, the loader, where these are silent.
//!
//! An image is a list of *segments*, which the loader maps, each with sections: `__TEXT` (the header, code, constants,
//! unwind tables), `__DATA_CONST` (what is read-only once the loader has filled it), `__DATA`, and `__LINKEDIT` (tables for
//! the loader and for debuggers, without sections). *Load commands* behind the header describe all of it.
//! Package images have one segment more, for the heap image.

pub(crate) mod content;
pub(crate) mod copies;
pub(crate) mod define;
pub(crate) mod dsym;
pub(crate) mod emit;
pub(crate) mod fixups;
pub(crate) mod frames;
pub(crate) mod functions;
pub(crate) mod header;
pub(crate) mod initialisers;
pub(crate) mod lazy;
pub(crate) mod leb;
pub(crate) mod library;
pub(crate) mod linkedit;
pub(crate) mod live;
pub(crate) mod objc;
pub(crate) mod opcodes;
pub(crate) mod parse;
pub(crate) mod plan;
pub(crate) mod platform;
pub(crate) mod relocs;
pub(crate) mod segments;
pub(crate) mod selectors;
pub(crate) mod signature;
pub(crate) mod stabs;
pub(crate) mod stubs;
pub(crate) mod subsections;
pub(crate) mod symtab;
pub(crate) mod trie;
pub(crate) mod unwind;

use indexmap::IndexSet;

use crate::error::{Error, Errors};
use crate::layout::{Content, OutputSection};
use crate::library::SharedLibrary;
use crate::link::Link;
use crate::model::{
    GlobalId, InputName, Object, SectionFlags, SectionIndex, Symbol, SymbolIndex, SymbolKind, SymbolSection,
};
use crate::options::{Arch, Filter, Format, Os, Target, Undefined};
use crate::scan::Scan;
use crate::symbols::{Anchor, Definition, Global, GlobalFlags};
use crate::unwind::compact::UnwindInfo;

pub(crate) use define::{define_symbols, fix_traits};
pub(crate) use emit::emit;
pub(crate) use plan::plan;
pub(crate) use platform::Platform;
pub(crate) use segments::assign_addresses;

/// What only Mach-O objects have.
#[derive(Debug)]
pub(crate) struct ObjectInfo {
    /// The CPU.
    pub(crate) arch: Arch,
    /// `cpusubtype`.
    pub(crate) subtype: u32,
    /// The number of symbols in its table; those of sections follow.
    pub(crate) symbols: u32,
    /// The addresses of its sections, from the first that is one.
    pub(crate) addresses: Vec<u64>,
    /// The segments that its sections are for, likewise.
    pub(crate) segments: Vec<[u8; 16]>,
    /// Data in its code, ascending, by addresses in the object.
    pub(crate) data_in_code: Vec<functions::DataInCode>,
    /// The system that it was compiled for, if it says so; macOS, if that is among several.
    pub(crate) platform: Option<Platform>,
    /// Its sections may be divided where symbols begin (`MH_SUBSECTIONS_VIA_SYMBOLS`).
    pub(crate) divisible: bool,
    /// Of each section, once they have been divided, the first part of the whole that it was in, and where in this it starts.
    pub(crate) wholes: Vec<(SectionIndex, u64)>,
}

impl ObjectInfo {
    fn new(arch: Arch, subtype: u32) -> Self {
        let (addresses, segments, data_in_code, wholes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { arch, subtype, symbols: 0, addresses, segments, data_in_code, platform: None, divisible: false, wholes }
    }

    /// What is to be known of an object that holds data only, in sections of these segments, sizes and alignments (in
    /// bytes), one after the other. The symbols of the sections are added to `symbols`.
    pub(crate) fn of_data<'s>(
        target: Target,
        sections: impl Iterator<Item = (&'s str, u64, u64)>,
        symbols: &mut Vec<Symbol>,
    ) -> Self {
        // CPU_SUBTYPE_X86_64_ALL and CPU_SUBTYPE_ARM64_ALL
        let mut info = Self::new(target.arch, if target.arch == Arch::X86_64 { 3 } else { 0 });
        info.symbols = u32::try_from(symbols.len()).unwrap_or(u32::MAX);
        let mut end = 0_u64;
        for ((segment, size, align), number) in sections.zip(1_u32..) {
            let address = end.checked_next_multiple_of(align).unwrap_or(end);
            end = address.saturating_add(size);
            info.addresses.push(address);
            info.segments.push(plan::padded(segment.as_bytes()));
            symbols.push(section_symbol(number, address));
        }
        info
    }

    /// The address of a section in the object.
    pub(crate) fn address(&self, section: u32) -> u64 {
        (section as usize).checked_sub(1).and_then(|at| self.addresses.get(at)).copied().unwrap_or(0)
    }
}

/// The symbol of a section that has an address in its object, for relocations that name the section: it is *minus* that
/// address in the image's section, so that with an address of the object added it is where that has gone.
fn section_symbol(number: SectionIndex, address: u64) -> Symbol {
    let mut symbol = Symbol::new(u32::MAX, SymbolSection::In(number), address.wrapping_neg());
    symbol.kind = SymbolKind::Section;
    symbol
}

/// Bits of [`Symbol::other`](crate::model::Symbol::other). The lowest two are the visibility, in ELF's numbers.
pub(crate) mod other {
    /// Private external: for this image only.
    pub(crate) const HIDDEN: u8 = 2;
    /// The symbol is inside of what another one starts (`N_ALT_ENTRY`).
    pub(crate) const ALT_ENTRY: u8 = 1 << 2;
    /// `REFERENCED_DYNAMICALLY`: `strip` has to leave it.
    pub(crate) const REFERENCED_DYNAMICALLY: u8 = 1 << 3;
    /// For this image only, unless asked for by name (`.weak_def_can_be_hidden`).
    pub(crate) const CAN_BE_HIDDEN: u8 = 1 << 4;
    /// Another name of a symbol (`N_INDR`): the value is the offset of that one's name.
    pub(crate) const ALIAS: u8 = 1 << 5;
    /// What the symbol stands for stays in the image, though nothing may refer to it (`N_NO_DEAD_STRIP`).
    pub(crate) const NO_DEAD_STRIP: u8 = 1 << 6;
}

/// Bits of a symbol's description (`n_desc`), see `mach-o/nlist.h`.
pub(crate) mod desc {
    /// `strip` has to leave the symbol.
    pub(crate) const REFERENCED_DYNAMICALLY: u16 = 0x10;
    /// `N_NO_DEAD_STRIP`
    pub(crate) const NO_DEAD_STRIP: u16 = 0x20;
    /// `N_WEAK_REF`
    pub(crate) const WEAK_REFERENCE: u16 = 0x40;
    /// `N_WEAK_DEF`; of what is undefined, `N_REF_TO_WEAK`.
    pub(crate) const WEAK_DEFINITION: u16 = 0x80;
    /// `N_ALT_ENTRY`
    pub(crate) const ALT_ENTRY: u16 = 0x200;
    /// Of a common symbol, in the place of others: its alignment, as a power of two.
    pub(crate) const COMMON_ALIGN: u16 = 0xf00;
}

/// Bytes of a pointer.
pub(crate) const POINTER: u64 = 8;

/// Values that stand for no library in the place of a library's number.
pub(crate) mod ordinal {
    /// `BIND_SPECIAL_DYLIB_FLAT_LOOKUP`: whichever image has the name first.
    pub(crate) const FLAT: i32 = -2;
    /// `BIND_SPECIAL_DYLIB_WEAK_LOOKUP`: the one definition that the process has of the name.
    pub(crate) const WEAK: i32 = -3;
}

/// The sections of an image that the linker makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub(crate) enum Table {
    /// `__TEXT,__stubs`: code that jumps through the GOT or through `__la_symbol_ptr`
    Stubs,
    /// `__TEXT,__stub_helper`: code that has the loader look a function up at its first call
    StubHelper,
    /// `__TEXT,__init_offsets`: where the functions are that run when the image is loaded
    InitOffsets,
    /// `__DATA_CONST,__got`: addresses of symbols
    Got,
    /// `__DATA,__la_symbol_ptr`: addresses of functions that are looked up at their first call
    LazyPointers,
    /// `__DATA,__dyld_private`: a word for the loader's own use in looking functions up
    Private,
    /// `__TEXT,__unwind_info`
    UnwindInfo,
}

/// All tables, in the order of their numbers.
pub(crate) const TABLES: [Table; 7] = [
    Table::Stubs,
    Table::StubHelper,
    Table::InitOffsets,
    Table::Got,
    Table::LazyPointers,
    Table::Private,
    Table::UnwindInfo,
];

impl Table {
    /// The table as the content of an output section.
    pub(crate) fn content(self) -> Content {
        Content::Table(self as u16)
    }
}

/// What is decided about a Mach-O image.
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    /// What scanning found.
    pub(crate) found: Scan,
    /// The system that the image is for, once that is settled.
    pub(crate) platform: Option<Platform>,
    /// The segments and sections, by the names they have in the image, whose boundaries have names.
    pub(crate) bounded: IndexSet<define::Bounded, foldhash::quality::RandomState>,
    /// Which names the options leave to others.
    pub(crate) allowed: Filter<'a>,
    /// Which names of local symbols the symbol table has.
    pub(crate) named_locals: Filter<'a>,
    /// The number of each library, as the loader counts them ([`header::ordinals`]).
    pub(crate) ordinals: Vec<u32>,
    /// The names of strong definitions that take the place of weak ones of libraries, ascending.
    pub(crate) overriding: Vec<&'a [u8]>,
    /// The segments, in order, `__LINKEDIT` last.
    pub(crate) segments: Vec<segments::Segment>,
    /// The output section of each table.
    pub(crate) tables: [Option<u32>; TABLES.len()],
    /// The output section of common symbols.
    pub(crate) commons: Option<u32>,
    /// Chains cannot reach all that the loader fills, so programs tell of it.
    pub(crate) programs_instead: bool,
    /// The loader's function that looks up others at their first call, if there is one.
    pub(crate) binder: Option<GlobalId>,
    /// What is looked up at the first call, once addresses are fixed.
    pub(crate) lazy: opcodes::LazyProgram,
    /// The functions that run when the image is loaded, if their addresses are told by offsets.
    pub(crate) initialisers: Vec<initialisers::Initialiser>,
    /// How functions are unwound.
    pub(crate) unwind: unwind::Unwind,
    /// `__unwind_info`, once functions have addresses.
    pub(crate) unwind_info: UnwindInfo,
    /// The names of segments that objects have beside the known ones.
    pub(crate) other_segments: Vec<[u8; 16]>,
    /// What the loader fills, by segment.
    pub(crate) sites: Vec<fixups::SegmentSites>,
    /// The symbols that the loader looks up, and what is added to each.
    pub(crate) imports: Vec<(GlobalId, i64)>,
    /// The tables, once addresses are fixed.
    pub(crate) made: Vec<(Table, Vec<u8>)>,
    /// The objects' debug information, if there is a dSYM.
    pub(crate) dwarf: dsym::Dwarf,
    /// The symbol table.
    pub(crate) symbols: symtab::SymbolTable,
    /// The signature, if there is one.
    pub(crate) signature: Option<signature::Signature>,
}

/// Checks that what is asked for by name alone is defined.
///
/// # Errors
/// Every symbol that is not, unless it is left to the loader.
fn check_required(link: &mut Link<'_>) -> Result<(), Errors> {
    let left: std::collections::HashSet<&String> = link.options.macho.dynamic_lookup.iter().collect();
    let missing = |name: &&String| {
        let global = link.symbols.find(name.as_bytes()).map(|(_, global)| global.definition);
        global.is_none_or(|definition| definition == Definition::Undefined) && !left.contains(name)
    };
    let missing = link.options.required_symbols.iter().filter(missing).map(|name| Error::Undefined {
        symbol: name.clone(),
        references: Vec::new(),
        more: 0,
        hint: Some("it is asked for by -u or by its name among the exported symbols".to_owned()),
    });
    let missing = Errors::check(missing.collect());
    match (missing, link.options.undefined) {
        (Err(missing), Undefined::Error) => return Err(missing),
        (Err(missing), Undefined::Warn) => link.report.warnings.extend(missing.into_warnings()),
        _ => {}
    }
    Ok(())
}

/// Looks for what the image needs beside what relocations ask for: slots of personality routines and of the loader's function
/// that looks up others, stubs of functions that run when the image is loaded, and the libraries in their order.
///
/// # Errors
/// What is asked for by name and missing; unwind tables that are malformed; functions to run that are not there.
pub(crate) fn gather(link: &mut Link<'_>, found: &mut Scan) -> Result<(), Errors> {
    check_required(link)?;
    link.macho.unwind = unwind::Unwind::gather(link, found)?;
    initialisers::gather(link)?;
    lazy::gather(link);
    link.macho.overriding = overriding(link);
    found.merge_locals();
    leave_out_unused_libraries(link);
    link.macho.ordinals = header::ordinals(link);
    Ok(())
}

/// Has libraries that nothing is used of not be asked for, where the options or the library itself say so.
fn leave_out_unused_libraries(link: &mut Link<'_>) {
    let all = link.options.macho.dead_strip_dylibs;
    let may_go = |shared: &SharedLibrary<'_>| {
        all || matches!(shared, SharedLibrary::MachO(library) if library.is_dead_strippable())
    };
    if !link.libraries.iter().any(|library| may_go(&library.shared)) {
        return;
    }
    let mut used = vec![false; link.libraries.len()];
    let asked = |global: &Global<'_>| !link.options.gc_sections || global.flags.has(GlobalFlags::IN_OBJECT);
    for (_, global) in link.symbols.iter().filter(|(_, global)| asked(global)) {
        if let Definition::Library(number, _) = global.definition
            && let Some(used) = used.get_mut(number as usize)
        {
            *used = true;
        }
    }
    for (library, used) in link.libraries.iter_mut().zip(used) {
        library.needed &= used || library.stays || !may_go(&library.shared);
    }
}

/// A hash as a UUID: with the bits that say that it is one made from a name (RFC 9562, version 5).
pub(crate) fn uuid(mut hash: Vec<u8>) -> Vec<u8> {
    if let [_, _, _, _, _, _, version, _, variant, ..] = hash.as_mut_slice() {
        *version = *version & 0x0f | 0x50;
        *variant = *variant & 0x3f | 0x80;
    }
    hash
}

/// What Apple's tools call a CPU.
pub(crate) fn arch_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::Aarch64 => "arm64",
        _ => "another CPU",
    }
}

/// Bytes of a page, as the loader maps them: also the alignment of segments.
pub(crate) fn page_size(arch: Arch) -> u64 {
    if arch == Arch::X86_64 { 0x1000 } else { 0x4000 }
}

/// Whether the loader finds what it fills through chains ([`fixups`]), not through programs ([`opcodes`]).
pub(crate) fn is_chained(link: &Link<'_>) -> bool {
    /// The first version of macOS for which LLD makes chains.
    const SINCE: u32 = 13 << 16;
    let wanted = link.options.macho.chained_fixups.unwrap_or_else(|| platform(link).minimum >= SINCE);
    wanted && !link.macho.programs_instead
}

/// Whether every function of other images is looked up when the image is loaded, not at its first call. With chains there
/// is no other way; without, there is none if nothing has the loader's function for it.
pub(crate) fn binds_now(link: &Link<'_>) -> bool {
    is_chained(link) || link.options.macho.bind_at_load || link.macho.binder.is_none()
}

/// Whether the process has one definition of a symbol, which the loader chooses: if it is weak, here and for others to see,
/// or in a library. The value of an absolute symbol is the same everywhere.
pub(crate) fn is_coalesced(link: &Link<'_>, global: &Global<'_>) -> bool {
    let weak = global.flags.has(GlobalFlags::WEAK_DEFINITION);
    match global.definition {
        Definition::Library(..) => weak,
        Definition::Object(id, index) if weak && symtab::is_exported(link, global) => {
            let symbol = link.object(id).symbols.get(index as usize);
            symbol.is_some_and(|symbol| matches!(symbol.section(), SymbolSection::In(_)))
        }
        _ => false,
    }
}

/// The names for others, ascending, whose definitions here are not weak and take the place of weak ones that a library has:
/// the loader has to have whoever uses these use the image's.
fn overriding<'a>(link: &Link<'a>) -> Vec<&'a [u8]> {
    let libraries = link.libraries.iter().filter_map(|library| match &library.shared {
        SharedLibrary::MachO(library) => Some(library).filter(|library| library.has_weak()),
        _ => None,
    });
    let libraries: Vec<_> = libraries.collect();
    if libraries.is_empty() {
        return Vec::new();
    }
    let strong = link.symbols.iter().map(|(_, global)| global).filter(|global| {
        !global.flags.has(GlobalFlags::WEAK_DEFINITION)
            && symtab::is_exported(link, global)
            && libraries
                .iter()
                .any(|library| library.lookup(global.name, Some(link.target.arch)).is_some_and(|export| export.weak))
    });
    let mut names: Vec<&[u8]> = strong.map(|global| global.name).collect();
    names.sort_unstable();
    names
}

/// The symbols of an object that are other names for symbols, with the names of these.
pub(crate) fn aliases<'a>(object: &Object<'a>) -> Vec<(SymbolIndex, &'a [u8])> {
    let symbols = (0_u32..).zip(&object.symbols);
    let aliases =
        symbols.filter(|(_, symbol)| symbol.other & other::ALIAS != 0 && symbol.section() == SymbolSection::Undefined);
    aliases.filter_map(|(index, symbol)| Some((index, crate::bytes::string(object.strings, symbol.value)?))).collect()
}

/// The address of the template of thread-local storage, from which each thread's copy is made.
pub(crate) fn template_address(link: &Link<'_>) -> u64 {
    let parts = link.outputs.iter().filter(|output| output.flags.has(SectionFlags::TLS));
    parts.map(|output| output.address).min().unwrap_or(0)
}

/// The system that the image is for: what is asked for or, without that, the newest that an object names.
pub(crate) fn platform(link: &Link<'_>) -> Platform {
    /// The first version of macOS for arm64.
    const FIRST: u32 = 11 << 16;
    if let Some(settled) = link.macho.platform {
        return settled;
    }
    if let Some((minimum, sdk)) = link.options.macho.platform_version {
        return Platform { platform: Platform::MACOS, minimum, sdk };
    }
    let of_objects = link.objects.iter().filter_map(|object| object.info.macho()?.platform);
    let newest =
        of_objects.filter(|platform| platform.platform == Platform::MACOS).max_by_key(|platform| platform.minimum);
    let newest = newest.unwrap_or(Platform { platform: Platform::MACOS, minimum: FIRST, sdk: FIRST });
    Platform { sdk: newest.sdk.max(newest.minimum), ..newest }
}

/// The name by which the loader knows the image.
pub(crate) fn install_name<'l>(link: &'l Link<'_>) -> &'l str {
    link.options.macho.install_name.as_deref().unwrap_or("image.dylib")
}

/// What an object is for.
pub(crate) fn target_of(info: &ObjectInfo) -> Target {
    Target { format: Format::MachO, arch: info.arch, os: Os::MacOs }
}

/// Checks that an object is for the machine of the others, and for macOS.
///
/// # Errors
/// [`Error::Incompatible`], naming both.
pub(crate) fn check_object(name: &InputName<'_>, info: &ObjectInfo, target: Target, source: &str) -> Result<(), Error> {
    let is = |target: Target| format!("is for {} macOS", arch_name(target.arch));
    if target == target_of(info) {
        return info.platform.map_or(Ok(()), |platform| platform.check(name));
    }
    let other_what = if target.format == Format::MachO { is(target) } else { "is of another format".to_owned() };
    Err(Error::Incompatible { file: name.to_string(), what: is(target_of(info)), other: source.to_owned(), other_what })
}

/// Checks that a library is for the machine of the objects, and for macOS.
///
/// # Errors
/// [`Error::Incompatible`].
pub(crate) fn check_library(library: &library::Library<'_>, target: Target) -> Result<(), Error> {
    if target.format == Format::MachO && library.is_for(target.arch) {
        return library.platform().map_or(Ok(()), |platform| platform.check(library.name()));
    }
    Err(Error::Incompatible {
        file: library.name().to_owned(),
        what: "is not for this machine".to_owned(),
        other: "the image".to_owned(),
        other_what: match target.format {
            Format::MachO => format!("is for {} macOS", arch_name(target.arch)),
            _ => "is of another format".to_owned(),
        },
    })
}

/// Bytes of memory that the plan has taken.
pub(crate) fn held(plan: &Plan<'_>) -> u64 {
    use crate::memory::of_vec;
    let made = plan.made.iter().map(|(_, bytes)| of_vec(bytes)).sum::<u64>();
    let sites = plan.sites.iter().map(|segment| of_vec(&segment.sites)).sum::<u64>();
    let lists =
        of_vec(&plan.found.pieces) + of_vec(&plan.imports) + of_vec(&plan.segments) + of_vec(&plan.initialisers);
    made + sites + lists + plan.unwind.held() + plan.symbols.held() + plan.dwarf.held()
}

/// The output section of a table.
pub(crate) fn table_output<'l, 'a>(link: &'l Link<'a>, table: Table) -> Option<&'l OutputSection<'a>> {
    let number = link.macho.tables.get(table as usize).copied().flatten()?;
    link.outputs.get(number as usize)
}

/// The address of the block of common symbols.
pub(crate) fn commons_address(link: &Link<'_>) -> u64 {
    let output = link.macho.commons.and_then(|number| link.outputs.get(number as usize));
    output.map_or(0, |output| output.address)
}

/// The address of a place that layout knows.
pub(crate) fn anchor_address(link: &Link<'_>, anchor: Anchor) -> u64 {
    match anchor {
        Anchor::SectionStart(number) => link.outputs.get(number as usize).map_or(0, |output| output.address),
        Anchor::SectionEnd(number) => link.outputs.get(number as usize).map_or(0, OutputSection::end),
        Anchor::MachO(boundary) => define::boundary_address(link, boundary),
        _ => 0,
    }
}
