//! Symbols that only the linker can define, what directives of objects ask for, and what relocations need to know of every
//! symbol.

#![deny(clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::directives::{Directive, Export, directives};
use super::exports::Exports;
use super::{Place, Table, c_name, comdat, entry, imports, resources};
use crate::error::{Error, Errors, Result};
use crate::format::LocalTraits;
use crate::link::Link;
use crate::model::{GlobalId, Object, ObjectId, Symbol, SymbolSection, Traits};
use crate::options::Arch;
use crate::resolve;
use crate::symbols::{Anchor, Definition, GlobalFlags};

/// Names that the linker defines if an object refers to them and nothing else defines them: as in C, without the underscore
/// of i386. MinGW's start files know them from GNU ld's scripts.
const ANCHORS: [(&str, Anchor); 17] = [
    ("__ImageBase", Anchor::ImageStart),
    ("__image_base__", Anchor::ImageStart),
    ("__executable_start", Anchor::ImageStart),
    ("__dso_handle", Anchor::ImageStart),
    ("__CTOR_LIST__", Anchor::Pe(Place::Start(Table::ConstructorsStart))),
    ("___CTOR_LIST__", Anchor::Pe(Place::Start(Table::ConstructorsStart))),
    ("__DTOR_LIST__", Anchor::Pe(Place::Start(Table::DestructorsStart))),
    ("___DTOR_LIST__", Anchor::Pe(Place::Start(Table::DestructorsStart))),
    ("__RUNTIME_PSEUDO_RELOC_LIST__", Anchor::Pe(Place::Start(Table::PseudoRelocations))),
    ("__RUNTIME_PSEUDO_RELOC_LIST_END__", Anchor::Pe(Place::End(Table::PseudoRelocations))),
    ("__data_start__", Anchor::Pe(Place::SectionStart(".data"))),
    ("__data_end__", Anchor::Pe(Place::SectionEnd(".data"))),
    ("__bss_start__", Anchor::Pe(Place::SectionStart(".bss"))),
    ("__bss_end__", Anchor::Pe(Place::SectionEnd(".bss"))),
    ("__text_start__", Anchor::Pe(Place::SectionStart(".text"))),
    ("etext", Anchor::Pe(Place::SectionEnd(".text"))),
    (BUILD_ID, Anchor::Pe(Place::Identity)),
];

/// What LLVM's profilers ask for the identity of an image by (LLD, `__buildid`).
const BUILD_ID: &str = "__buildid";

/// Whether a name is that of a list which the linker makes, whatever archives have: as LLD, it does not ask them for one, since libgcc
/// and MinGW's libraries have empty lists for linkers that make none.
pub(crate) fn is_list(arch: Arch, name: &[u8]) -> bool {
    let is_list = |anchor: &Anchor| matches!(anchor, Anchor::Pe(Place::Start(_) | Place::End(_)));
    let is = |name: &[u8]| ANCHORS.iter().any(|(known, anchor)| known.as_bytes() == name && is_list(anchor));
    is(name) || is(c_name(arch, name))
}

/// Names that stand for numbers. The last ones are what a load configuration states of tables for Control Flow Guard and of
/// safe exception handlers: there are none, as in images of LLD's without `/guard` and `/safeseh`.
const NUMBERS: [(&str, u64); 15] = [
    ("__dll__", 1),
    ("__section_alignment__", super::place::SECTION_ALIGNMENT),
    ("__file_alignment__", super::place::FILE_ALIGNMENT),
    ("__guard_fids_count", 0),
    ("__guard_fids_table", 0),
    ("__guard_flags", 0),
    ("__guard_iat_count", 0),
    ("__guard_iat_table", 0),
    ("__guard_longjmp_count", 0),
    ("__guard_longjmp_table", 0),
    ("__guard_eh_cont_count", 0),
    ("__guard_eh_cont_table", 0),
    ("__enclave_config", 0),
    ("__safe_se_handler_table", 0),
    ("__safe_se_handler_count", 0),
];

/// Defines what objects expect of a linker, and what directives, DLLs and weak externals give.
///
/// # Errors
/// COMDAT copies that contradict their selection; resources that contradict each other; sections that cannot be joined with
/// others; exports, an entry point and symbols to be included that nothing defines.
pub(crate) fn define_symbols(link: &mut Link<'_>) -> Result<()> {
    if super::may_be_moved(link) != link.options.pe.dynamic_base {
        let what = "--disable-dynamicbase: ignored, since Windows on Arm loads no image that may not be moved";
        link.report.warnings.push(what.to_owned());
    }
    let asked_base = link.options.pe.image_base.or(link.pe.definitions.base);
    link.pe.base = asked_base.unwrap_or(default_base(link.target.arch));
    check_sizes(link)?;
    comdat::settle(link)?;
    link.pe.resources = resources::join(link)?;
    link.pe.slot_index = imports::SlotIndex::new(&link.libraries);
    let mut asked = Asked::new(link);
    Errors::check(std::mem::take(&mut asked.problems))?;
    asked.exports.extend(std::mem::take(&mut link.pe.definitions.exports));
    for (name, log) in &asked.aligned {
        if let Some((id, _)) = link.symbols.find(name)
            && let Definition::Common { align, .. } = &mut link.symbols.get_mut(id).definition
        {
            // Directives state logarithms below 32.
            *align = (*log).max(*align);
        }
    }
    define_weak(link, &asked.alternates)?;
    // A name that only stands for another one is no symbol of one's own.
    for (from, _) in &asked.alternates {
        let found = link.symbols.find(from);
        if found.is_some_and(|(_, global)| matches!(global.definition, Definition::Alias(..))) {
            asked.excluded.push(Cow::Owned(c_name(link.target.arch, from).to_vec()));
        }
    }
    imports::define(link);
    define_anchors(link);
    entry::choose(link)?;
    check_included(link, &asked.included)?;
    let (exports, warnings) = Exports::new(link, asked.exports, &asked.excluded)?;
    link.pe.exports = exports;
    link.report.warnings.extend(warnings);
    link.pe.merges = asked.merges;
    link.pe.attributes = asked.attributes;
    link.report.warnings.extend(asked.warnings);
    for export in link.pe.exports.globals() {
        link.symbols.get_mut(export).flags.set(GlobalFlags::EXPORTED);
    }
    Ok(())
}

/// Checks that the sizes of a program's stack and heap fit in the header, which has 32 bits for each on i386.
///
/// # Errors
/// One that does not.
fn check_sizes(link: &Link<'_>) -> Result<(), Error> {
    let definitions = &link.pe.definitions;
    let stack = ("--stack (STACKSIZE)", link.options.pe.stack.or(definitions.stack));
    let heap = ("--heap (HEAPSIZE)", link.options.pe.heap.or(definitions.heap));
    for (option, size) in [stack, heap] {
        // The memory is no more than the address space.
        let Some((reserved, _)) = size.filter(|(reserved, _)| *reserved > u64::from(u32::MAX)) else { continue };
        if link.target.arch == Arch::X86 {
            let what = format!("{option}: {reserved} bytes are more than the address space of i386, of 4 GiB");
            return Err(Error::Options(what));
        }
    }
    Ok(())
}

/// The base that an image prefers unless it is asked for another, as MinGW's linkers have it for DLLs.
fn default_base(arch: Arch) -> u64 {
    if arch == Arch::X86 { 0x1000_0000 } else { 0x1_8000_0000 }
}

/// A symbol, and the one that it stands for if nothing else defines it.
type Alternate<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// What the directives of all objects ask for.
#[derive(Default)]
struct Asked<'a> {
    exports: Vec<Export<'a>>,
    excluded: Vec<Cow<'a, [u8]>>,
    alternates: Vec<Alternate<'a>>,
    merges: HashMap<Vec<u8>, Vec<u8>>,
    attributes: HashMap<Vec<u8>, u32>,
    aligned: Vec<(Cow<'a, [u8]>, u8)>,
    /// Symbols that are to be there, and the objects that say so.
    included: Vec<(Cow<'a, [u8]>, ObjectId)>,
    warnings: Vec<String>,
    problems: Vec<Error>,
}

impl<'a> Asked<'a> {
    fn new(link: &Link<'a>) -> Self {
        // A compiler may have written hundreds of thousands of them.
        let ids: Vec<ObjectId> = link.objects().map(|(id, _)| id).collect();
        let mut all = Self::default();
        for asked in link.workers.map(&ids, |id| Self::of_object(link, *id)) {
            all.exports.extend(asked.exports);
            all.excluded.extend(asked.excluded);
            all.alternates.extend(asked.alternates);
            for (from, to) in asked.merges {
                all.merges.entry(from).or_insert(to);
            }
            for (name, attributes) in asked.attributes {
                all.attributes.entry(name).or_insert(attributes);
            }
            all.aligned.extend(asked.aligned);
            all.included.extend(asked.included);
            all.warnings.extend(asked.warnings);
            all.problems.extend(asked.problems);
        }
        all
    }

    fn of_object(link: &Link<'a>, id: ObjectId) -> Self {
        let mut asked = Self::default();
        let object = link.object(id);
        let mut told = HashSet::new();
        let texts = super::info(object).into_iter().flat_map(|info| &info.directives);
        for directive in texts.flat_map(|text| directives(text)) {
            let kind = std::mem::discriminant(&directive);
            let mut warn = |what: String| {
                // A file full of nonsense is told of once.
                if told.insert(kind) {
                    asked.warnings.push(format!("{}: {what}", object.name));
                }
            };
            match directive {
                Directive::Export(export) => asked.exports.push(*export),
                Directive::Exclude(name) => asked.excluded.push(name),
                Directive::AlternateName(from, to) => asked.alternates.push((from, to)),
                // The loader looks for a tree of resources, and for base relocations, alone in their place.
                Directive::Merge(from, to) if is_alone(&from) || is_alone(&to) => {
                    if asked.problems.is_empty() {
                        let (from, to) = (String::from_utf8_lossy(&from), String::from_utf8_lossy(&to));
                        let what =
                            format!("-merge:{from}={to} in .drectve: .rsrc and .reloc are joined with no others");
                        asked.problems.push(Error::unsupported(&object.name, what));
                    }
                }
                Directive::Merge(from, to) => {
                    asked.merges.entry(from.into_owned()).or_insert_with(|| to.into_owned());
                }
                Directive::Section(name, attributes) => {
                    asked.attributes.entry(name.into_owned()).or_insert(attributes);
                }
                Directive::AlignCommon(name, log) => asked.aligned.push((name, log)),
                Directive::DefaultLibrary(name) if link.pe.default_libraries.contains(&*name) => {}
                Directive::DefaultLibrary(name) => {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    warn(format!("asks for the library {name}, which is not found; add it with -l if it is needed"));
                }
                Directive::Entry(name) => {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    warn(format!("asks for the entry point {name}; give it with -e if it is wanted"));
                }
                Directive::Unknown(text) => {
                    let text = String::from_utf8_lossy(text.get(..80).unwrap_or(text)).into_owned();
                    warn(format!(".drectve: unknown directive {text}"));
                }
                // They count as referenced since the object was entered.
                Directive::Include(name) => asked.included.push((name, id)),
                Directive::Nothing => {}
            }
        }
        asked
    }
}

/// Whether a section of the image has room for nothing else.
fn is_alone(name: &[u8]) -> bool {
    matches!(name, b".rsrc" | b".reloc")
}

/// Checks that the symbols of `-include:` are defined, as Microsoft's linker demands it of `/INCLUDE`.
///
/// # Errors
/// Those that nothing defines.
fn check_included(link: &Link<'_>, included: &[(Cow<'_, [u8]>, ObjectId)]) -> Result<()> {
    let is_missing =
        |name: &[u8]| link.symbols.find(name).is_none_or(|(_, global)| global.definition == Definition::Undefined);
    let missing = included.iter().filter(|(name, _)| is_missing(name)).map(|(name, object)| Error::Undefined {
        symbol: String::from_utf8_lossy(name).into_owned(),
        references: Vec::new(),
        more: 0,
        hint: Some(format!("{} asks for it (-include: in .drectve)", link.object(*object).name)),
    });
    Errors::check(missing.collect())
}

/// Whether a symbol that may be absent, by what one object says of it, is data of a DLL that another object cannot do
/// without: then it is imported for both, as by GNU's linker.
fn is_imported(link: &Link<'_>, id: GlobalId) -> bool {
    let global = link.symbols.get(id);
    let strong = global.definition == Definition::Undefined && global.flags.has(GlobalFlags::STRONG_REFERENCE);
    let slot = || link.pe.slot_index.slot_of(&link.symbols, &link.libraries, global.name);
    strong && link.options.pe.auto_import && slot().is_some()
}

/// Gives weak externals and alternative names that nothing defines what they stand for.
///
/// # Errors
/// Those that lead in a circle.
fn define_weak(link: &mut Link<'_>, alternates: &[Alternate<'_>]) -> Result<(), Error> {
    let mut weak: Vec<(GlobalId, Definition)> = Vec::new();
    for (id, object) in link.objects() {
        for external in super::info(object).into_iter().flat_map(|info| &info.weak) {
            let symbol = |index: u32| object.symbols.get(index as usize);
            let (Some(from), Some(to)) = (symbol(external.symbol), symbol(external.fallback)) else { continue };
            let Some(from) = from.global.get() else { continue };
            if to.section() == SymbolSection::Absolute && to.value == 0 && is_imported(link, from) {
                continue;
            }
            let definition = match to.global.get() {
                Some(to) => Definition::Alias(to, 0),
                None => Definition::Object(id, external.fallback),
            };
            weak.push((from, definition));
        }
    }
    for (from, to) in alternates {
        if let (Some((from, _)), Some((to, _))) = (link.symbols.find(from), link.symbols.find(to)) {
            weak.push((from, Definition::Alias(to, 0)));
        }
    }
    let (mut aliases, mut own) = (Vec::new(), Vec::new());
    for (id, definition) in weak {
        let global = link.symbols.get_mut(id);
        // The first one that an object brings counts.
        match definition {
            _ if global.definition != Definition::Undefined => {}
            Definition::Alias(itself, 0) if itself == id => own.push(id),
            _ => {
                global.definition = definition;
                aliases.push(id);
            }
        }
    }
    for id in own {
        let global = link.symbols.get(id);
        if global.definition == Definition::Undefined {
            let name = String::from_utf8_lossy(global.name);
            return Err(Error::Options(format!("weak external {name} stands for itself, and nothing defines it")));
        }
    }
    // What nothing defines is told under the name that was meant to stand in; what a DLL defines has a slot or thunk under
    // the name that the DLL has it by.
    for id in aliases {
        if !resolve::shorten(&mut link.symbols, id) {
            let name = String::from_utf8_lossy(link.symbols.get(id).name).into_owned();
            return Err(Error::Options(format!("weak external {name} stands for itself, through others")));
        }
    }
    Ok(())
}

/// Defines the names that are left to the linker.
fn define_anchors(link: &mut Link<'_>) {
    let anchors = ANCHORS.into_iter().map(|(name, anchor)| (name, Definition::Anchor(anchor)));
    let numbers = NUMBERS.into_iter().map(|(name, number)| (name, Definition::Absolute(number)));
    for (name, definition) in anchors.chain(numbers) {
        // Start files spell some of them alike for every CPU.
        let decorated = [b"_", name.as_bytes()].concat();
        let symbols = [name.as_bytes(), &decorated];
        for symbol in &symbols[..if link.target.arch == Arch::X86 { 2 } else { 1 }] {
            // Elsewhere there is no table of handlers.
            if name.starts_with("__safe_se_") && link.target.arch != Arch::X86 {
                continue;
            }
            if name == BUILD_ID && !link.options.pe.build_id {
                continue;
            }
            if let Some((id, _)) = link.symbols.find(symbol)
                && (link.symbols.get(id).definition == Definition::Undefined || overrides(link, name))
            {
                link.symbols.get_mut(id).definition = definition;
            }
        }
    }
}

/// Whether a name is the linker's even if an object defines it. One of MinGW's does that is linked whole with its archive: its
/// list of what start code corrects is empty. And compilers' profilers bring an identity for images that have none.
fn overrides(link: &Link<'_>, name: &str) -> bool {
    match name {
        BUILD_ID => true,
        _ => name.starts_with("__RUNTIME_PSEUDO_RELOC_LIST_") && !link.pe.auto_imported.is_empty(),
    }
}

/// Decides what each global symbol is to relocations, and says how to tell it of others.
pub(crate) fn fix_traits(link: &mut Link<'_>) -> LocalTraits {
    for index in 0..link.symbols.len() {
        let id = GlobalId(index as u32);
        let traits = global_traits(link, id);
        link.symbols.get_mut(id).traits = traits;
    }
    |object, symbol, _| place_traits(object, symbol)
}

fn global_traits(link: &Link<'_>, id: GlobalId) -> Traits {
    let (root, _) = link.symbols.root(id, 0);
    let traits = root_traits(link, root);
    traits.when(link.pe.auto_imported.contains(&id), Traits::PREEMPTIBLE)
}

fn root_traits(link: &Link<'_>, root: GlobalId) -> Traits {
    match link.symbols.get(root).definition {
        Definition::Undefined => Traits::UNDEFINED.and(Traits::ABSOLUTE),
        Definition::Object(object, index) => defined_traits(link, object, index),
        Definition::Absolute(_) => Traits::ABSOLUTE,
        _ => Traits::default(),
    }
}

fn defined_traits(link: &Link<'_>, id: ObjectId, index: u32) -> Traits {
    let object = link.object(id);
    object.symbols.get(index as usize).map_or(Traits::DISCARDED, |symbol| place_traits(object, symbol))
}

fn place_traits(object: &Object<'_>, symbol: &Symbol) -> Traits {
    match symbol.section() {
        SymbolSection::Undefined => Traits::UNDEFINED.and(Traits::ABSOLUTE),
        SymbolSection::Absolute => Traits::ABSOLUTE,
        SymbolSection::Common(_) => Traits::default(),
        SymbolSection::In(index) => match object.sections.get(index as usize) {
            Some(section) => Traits::default().when(!section.is_live(), Traits::DISCARDED),
            None => Traits::DISCARDED,
        },
    }
}
