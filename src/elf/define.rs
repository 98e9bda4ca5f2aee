//! Symbols that only the linker can define, and what relocations need to know of every symbol.

#![deny(clippy::arithmetic_side_effects)]

use std::collections::HashSet;

use super::{dynamic, ppc64, version};
use crate::error::{Error, Errors, Result};
use crate::format::LocalTraits;
use crate::link::Link;
use crate::model::{
    CommonKind, GlobalId, Object, ObjectId, ObjectInfo, SectionFlags, Symbol, SymbolIndex, SymbolKind, SymbolSection,
    Traits, Visibility,
};
use crate::names::is_identifier;
use crate::options::{Arch, number};
use crate::symbols::{Anchor, Definition, Global, GlobalFlags};

/// Names that the linker defines if an object refers to them and nothing else defines them. All are hidden.
///
/// Which section an array is, is known only once the plan is made; without one both of its ends are the image's start.
const ANCHORS: [(&[u8], Anchor); 20] = [
    (b"_GLOBAL_OFFSET_TABLE_", Anchor::GotBase),
    (b"_DYNAMIC", Anchor::Dynamic),
    (b"_TLS_MODULE_BASE_", Anchor::TlsStart),
    (b"__ehdr_start", Anchor::ImageStart),
    (b"__executable_start", Anchor::ImageStart),
    (b"__dso_handle", Anchor::ImageStart),
    (b"_etext", Anchor::TextEnd),
    (b"etext", Anchor::TextEnd),
    (b"__etext", Anchor::TextEnd),
    (b"_edata", Anchor::DataEnd),
    (b"edata", Anchor::DataEnd),
    (b"__bss_start", Anchor::ZeroStart),
    (b"_end", Anchor::ImageEnd),
    (b"end", Anchor::ImageEnd),
    (b"__preinit_array_start", Anchor::SectionStart(u32::MAX)),
    (b"__preinit_array_end", Anchor::SectionEnd(u32::MAX)),
    (b"__init_array_start", Anchor::SectionStart(u32::MAX)),
    (b"__init_array_end", Anchor::SectionEnd(u32::MAX)),
    (b"__fini_array_start", Anchor::SectionStart(u32::MAX)),
    (b"__fini_array_end", Anchor::SectionEnd(u32::MAX)),
];

/// Defines what objects expect of a linker, and gives definitions their versions.
///
/// # Errors
/// A `--defsym` of what the image does not define; version scripts that do not fit; versions that none of them has.
pub(crate) fn define_symbols(link: &mut Link<'_>) -> Result<()> {
    // Debuggers look for this one by name, whether or not an object mentions it.
    let dynamic = link.symbols.intern(b"_DYNAMIC");
    link.symbols.get_mut(dynamic).flags.set(GlobalFlags::IN_OBJECT);
    own_tables_are_free(link)?;
    for (name, anchor) in ANCHORS {
        if let Some((id, _)) = link.symbols.find(name)
            && link.symbols.get(id).definition == Definition::Undefined
        {
            let global = link.symbols.get_mut(id);
            match is_of_the_program(anchor) {
                true => global.definition = Definition::Anchor(anchor),
                false => define(global, anchor),
            }
        }
    }
    if link.target.arch == Arch::Ppc64 {
        ppc64::define_symbols(link);
    }
    for (name, _) in &link.definitions {
        let Some((id, _)) = link.symbols.find(name.as_bytes()) else { continue };
        let (root, offset) = link.symbols.root(id, 0);
        let target = link.symbols.get(root);
        let kind = target.kind;
        if root != id && !target.is_defined_here() {
            let target = String::from_utf8_lossy(target.name);
            return Err(Error::Options(format!("--defsym {name}: the image does not define {target}")).into());
        }
        // Another name for a function is one for a function, and for an indirect one not for its resolver. What lies beside
        // something thread-local is so, too.
        if root != id && (offset == 0 || kind == SymbolKind::Tls) {
            link.symbols.get_mut(id).kind = kind;
        }
    }
    if let Some(entry) = &link.options.entry
        && number(entry).is_none()
        && !link.symbols.find(entry.as_bytes()).is_some_and(|(_, global)| global.is_defined_here())
    {
        link.report.warnings.push(format!("-e {entry}: nothing in the image defines it; there is no entry point"));
    }
    let asks = |object: &&Object<'_>| matches!(&object.info, ObjectInfo::Elf(info) if info.exec_stack);
    if let (None, Some(object)) = (link.options.elf.exec_stack, link.objects.iter().find(asks)) {
        let what = "its .note.GNU-stack asks for a stack that code can run on: allow it by -z execstack, or refuse it by -z noexecstack";
        return Err(Error::unsupported(&object.name, what).into());
    }
    if !link.options.elf.gnu_unique {
        link.symbols.forget_unique();
    }
    version::assign(link)
}

/// Checks that no object defines the symbols from which relocations count, by whatever name: their fields would then mean
/// another place than code that names the symbol does.
///
/// # Errors
/// Each such definition.
fn own_tables_are_free(link: &Link<'_>) -> Result<()> {
    let names: &[&[u8]] = match link.target.arch {
        Arch::Ppc64 => &[b"_GLOBAL_OFFSET_TABLE_", b".TOC."],
        _ => &[b"_GLOBAL_OFFSET_TABLE_"],
    };
    let problem = |name: &&[u8]| {
        let (_, global) = link.symbols.find(name).filter(|(_, global)| global.is_defined_here())?;
        let (object, _) = global.mention?;
        let what = format!("defines {}, which only the linker can define", String::from_utf8_lossy(name));
        Some(Error::unsupported(&link.object(object).name, what))
    };
    Errors::check(names.iter().filter_map(problem).collect())
}

/// Whether the names of a place mean the program's where they are not said to be hidden: a library that asks for `_end`, as
/// collectors do, wants that of the program that it is loaded for.
pub(super) fn is_of_the_program(anchor: Anchor) -> bool {
    matches!(anchor, Anchor::TextEnd | Anchor::DataEnd | Anchor::ZeroStart | Anchor::ImageEnd)
}

/// Makes a symbol stand for a place.
pub(super) fn define(global: &mut Global<'_>, anchor: Anchor) {
    global.definition = Definition::Anchor(anchor);
    global.visibility = global.visibility.max(Visibility::Hidden);
    if anchor == Anchor::TlsStart {
        global.kind = SymbolKind::Tls;
    }
}

/// Decides what each global symbol is to relocations, and says how to tell it of others.
pub(crate) fn fix_traits(link: &mut Link<'_>) -> LocalTraits {
    define_section_bounds(link);
    for index in 0..link.symbols.len() {
        let id = GlobalId(index as u32);
        let global = link.symbols.get(id);
        let (exported, preemptible) = dynamic::export(link, global);
        let traits = global_traits(link, global, preemptible);
        let global = link.symbols.get_mut(id);
        global.traits = traits;
        global.flags = global.flags.when(exported, GlobalFlags::EXPORTED);
    }
    link.symbols.mark_left_out(&link.objects);
    local_traits
}

/// Gives indirect functions whose address code computes by itself one address for all purposes: that of the PLT entry.
///
/// What the GOT or a data word would hold, the resolver's choice, is another one, and addresses of functions are compared.
pub(crate) fn give_plt_addresses(link: &mut Link<'_>, symbols: &[(ObjectId, SymbolIndex)]) {
    let mut chosen = HashSet::new();
    for (object, index) in symbols {
        let symbol = &mut link.objects[object.index()].symbols[*index as usize];
        symbol.traits.set(Traits::PLT_ADDRESS);
        if let Some(global) = symbol.global.get() {
            link.symbols.get_mut(global).traits.set(Traits::PLT_ADDRESS);
            chosen.insert(global);
        }
    }
    for symbol in link.objects.iter_mut().flat_map(|object| &mut object.symbols) {
        if symbol.global.get().is_some_and(|global| chosen.contains(&global)) {
            symbol.traits.set(Traits::PLT_ADDRESS);
        }
    }
}

/// `__start_NAME` and `__stop_NAME` of sections whose names are C identifiers. Those that a library exports are of its own
/// section, and no bounds of one that the image has. Which output section is meant is known only once the plan is made; until
/// then the anchor stands for itself.
fn define_section_bounds(link: &mut Link<'_>) {
    let elsewhere = |global: &Global<'_>| matches!(global.definition, Definition::Undefined | Definition::Library(..));
    if !link.symbols.iter().any(|(_, global)| elsewhere(global) && section_bound(global.name).is_some()) {
        return;
    }
    // Others may look them up, and never take the place of ours.
    let bounds = if link.options.elf.hide_section_bounds { Visibility::Hidden } else { Visibility::Protected };
    let sections = link.objects.iter().flat_map(|object| &object.sections).filter(|section| section.is_live());
    let names: HashSet<&[u8]> = sections.map(|section| section.name).collect();
    for index in 0..link.symbols.len() {
        let id = GlobalId(index as u32);
        let global = link.symbols.get(id);
        if !elsewhere(global) {
            continue;
        }
        let Some((name, start)) = section_bound(global.name) else { continue };
        if !names.contains(name) {
            continue;
        }
        let anchor = if start { Anchor::SectionStart(u32::MAX) } else { Anchor::SectionEnd(u32::MAX) };
        let global = link.symbols.get_mut(id);
        global.definition = Definition::Anchor(anchor);
        global.visibility = global.visibility.max(bounds);
    }
}

/// The section at whose start (true) or end (false) a name stands that the plan is to find.
pub(super) fn bounded_section(symbol: &[u8]) -> Option<(&[u8], bool)> {
    match symbol {
        b"__preinit_array_start" => Some((b".preinit_array", true)),
        b"__preinit_array_end" => Some((b".preinit_array", false)),
        b"__init_array_start" => Some((b".init_array", true)),
        b"__init_array_end" => Some((b".init_array", false)),
        b"__fini_array_start" => Some((b".fini_array", true)),
        b"__fini_array_end" => Some((b".fini_array", false)),
        _ => section_bound(symbol),
    }
}

/// The section that `__start_NAME` (true) or `__stop_NAME` (false) means.
fn section_bound(symbol: &[u8]) -> Option<(&[u8], bool)> {
    let (name, start) = match symbol.strip_prefix(b"__start_") {
        Some(name) => (name, true),
        None => (symbol.strip_prefix(b"__stop_")?, false),
    };
    is_identifier(name).then_some((name, start))
}

fn global_traits(link: &Link<'_>, global: &Global<'_>, preemptible: bool) -> Traits {
    let kind =
        Traits::default().when(global.kind == SymbolKind::Tls, Traits::TLS).when(preemptible, Traits::PREEMPTIBLE);
    match global.definition {
        Definition::Undefined if global.visibility == Visibility::Default => {
            kind.and(Traits::UNDEFINED).and(Traits::PREEMPTIBLE)
        }
        Definition::Undefined => kind.and(Traits::UNDEFINED).and(Traits::ABSOLUTE),
        Definition::Library(..) => kind.and(Traits::PREEMPTIBLE),
        Definition::Object(id, index) => {
            let object = link.object(id);
            let symbol = &object.symbols[index as usize];
            let heap = link.heap_image.filter(|(heap, _)| *heap == id).map(|(_, section)| section);
            kind.and(place_traits(object, symbol, heap))
                .when(global.kind == SymbolKind::Ifunc && !preemptible, Traits::IFUNC)
        }
        Definition::Absolute(_) => kind.and(Traits::ABSOLUTE),
        Definition::Alias(target, offset) => {
            let (target, _) = link.symbols.root(target, offset);
            // The alias is as near and as absolute as its target, and preemptible by itself.
            let of_target = global_traits(link, link.symbols.get(target), false);
            kind.and(of_target.common(Traits::ABSOLUTE.and(Traits::FAR).and(Traits::TLS)))
                .when(global.kind == SymbolKind::Ifunc && !preemptible, Traits::IFUNC)
        }
        Definition::Common { kind: of, .. } | Definition::Allotted(of, _) => {
            kind.when(of == CommonKind::Far, Traits::FAR)
        }
        Definition::Anchor(_) => kind,
    }
}

fn local_traits(object: &Object<'_>, symbol: &Symbol, heap: Option<u32>) -> Traits {
    let section_is_tls = object.symbol_section(symbol).is_some_and(|section| section.flags.has(SectionFlags::TLS));
    place_traits(object, symbol, heap)
        .when(symbol.kind == SymbolKind::Ifunc, Traits::IFUNC)
        .when(section_is_tls || symbol.kind == SymbolKind::Tls, Traits::TLS)
}

fn place_traits(object: &Object<'_>, symbol: &Symbol, heap: Option<u32>) -> Traits {
    match symbol.section() {
        // The first symbol of a table is the number 0 (gABI, *Symbol Table*).
        SymbolSection::Undefined | SymbolSection::Absolute => Traits::ABSOLUTE,
        SymbolSection::Common(_) => Traits::default(),
        SymbolSection::In(index) => match object.sections.get(index as usize) {
            Some(section) => Traits::default()
                .when(!section.is_live(), Traits::DISCARDED)
                .when(section.flags.has(SectionFlags::FAR) || heap == Some(index), Traits::FAR),
            None => Traits::DISCARDED,
        },
    }
}
