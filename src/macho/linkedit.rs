//! `__LINKEDIT`: the tables that the loader and debuggers read in the file, one after the other.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use object::macho;

use super::fixups::{self, Import};
use super::functions::{self, DataInCode};
use super::opcodes::{self, At, Bind};
use super::signature::{self, Signature};
use super::stubs;
use super::symtab::{self, File, SymbolTable};
use super::trie::{self, Export};
use super::{Table, install_name, is_chained, is_coalesced, ordinal, page_size, table_output};
use crate::error::Error;
use crate::image::{Extent, Source};
use crate::input::LibraryRole;
use crate::link::Link;
use crate::memory;
use crate::model::{GlobalId, SectionFlags, SymbolKind, SymbolSection};
use crate::options::Arch;
use crate::slots::SymbolRef;
use crate::symbols::{Definition, Global, GlobalFlags};

/// `INDIRECT_SYMBOL_LOCAL`: the slot is for a symbol that the table does not have.
const LOCAL: u32 = 0x8000_0000;

/// File offset and size of a table, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// File offset of its first byte.
    pub(super) offset: u64,
    /// Its size, in bytes.
    pub(super) size: u64,
}

/// Where the tables are.
#[derive(Debug, Default)]
pub(super) struct Linkedit {
    /// Chained fixups, if there are any.
    pub(super) fixups: Option<Part>,
    /// The programs in their place: rebase, bind, weak bind, lazy bind.
    pub(super) programs: Option<[Part; 4]>,
    pub(super) exports: Part,
    pub(super) function_starts: Part,
    pub(super) data_in_code: Part,
    pub(super) symbols: Part,
    /// The numbers of local symbols, of those for others, and of those from others.
    pub(super) symbol_counts: [u32; 3],
    pub(super) indirect: Part,
    pub(super) strings: Part,
    pub(super) signature: Option<Part>,
    /// Where the file ends.
    pub(super) end: u64,
    /// Stretches with paths, which are left out of the identity.
    pub(super) paths: Vec<Part>,
}

/// The number of the library that a symbol comes from, as the loader counts them; or one of [`ordinal`].
pub(super) fn library_ordinal(link: &Link<'_>, global: &Global<'_>) -> i32 {
    let Definition::Library(number, _) = global.definition else { return ordinal::FLAT };
    let number = link.macho.ordinals.get(number as usize).copied().filter(|ordinal| *ordinal > 0);
    number.and_then(|number| i32::try_from(number).ok()).unwrap_or(ordinal::FLAT)
}

/// Makes the tables, and appends them to `extents`.
///
/// # Errors
/// A file that is too large for the format.
pub(super) fn make(link: &mut Link<'_>, extents: &mut Vec<Extent>) -> Result<Linkedit, Error> {
    let mut parts = Linkedit::default();
    let start = link.macho.segments.last().map_or(0, |segment| segment.offset);
    let mut writer = Writer { extents, end: start };
    let lazy_binds = std::mem::take(&mut link.macho.lazy.bytes);
    // The symbol table is as much work as all that is for the loader.
    let shared: &Link<'_> = link;
    let ((binding, (exports, room), starts, data_in_code), table) = shared.workers.join(
        || {
            let asked = &shared.options.macho;
            let starts = || functions::function_starts(symtab::function_addresses(shared));
            let starts = asked.function_starts.then(starts);
            let data_in_code = asked.data_in_code.then(|| data_in_code(shared));
            (Binding::new(shared), exports(shared), starts, data_in_code)
        },
        || SymbolTable::new(shared),
    );
    let mut table = table?;
    let held = memory::held(link).saturating_add(room).saturating_add(table.held());
    link.report.memory_peak = link.report.memory_peak.max(held);
    match binding {
        Binding::Chained(table) => parts.fixups = Some(writer.add(table)),
        Binding::Programs([rebases, binds, weak_binds]) => {
            parts.programs = Some([rebases, binds, weak_binds, lazy_binds].map(|program| writer.add(program)));
        }
    }
    parts.exports = writer.add(exports);
    if let Some(starts) = starts {
        parts.function_starts = writer.add(starts);
    }
    if let Some(places) = data_in_code {
        parts.data_in_code = writer.add(places);
    }
    parts.symbols = Part { offset: writer.end, size: table.size() };
    table.emit(File::Image, parts.symbols.offset, writer.extents);
    writer.end = writer.end.saturating_add(parts.symbols.size);
    parts.symbol_counts = table.counts;
    parts.indirect = writer.add(indirect(link, &table));
    parts.strings = Part { offset: writer.end, size: table.strings.size() };
    // What the linker adds are the paths of the debug map and few others.
    parts.paths.push(table.strings.emit(link, parts.strings.offset, writer.extents));
    writer.end = writer.end.saturating_add(parts.strings.size);
    link.macho.symbols = table;
    link.macho.signature = None;
    if link.options.macho.sign.unwrap_or(link.target.arch != Arch::X86_64) {
        let offset = writer.end.next_multiple_of(signature::ALIGN);
        let text = link.macho.segments.first();
        let made = Signature {
            identifier: install_name(link).rsplit('/').next().unwrap_or_default().as_bytes().to_vec(),
            code_limit: u32::try_from(offset).unwrap_or(u32::MAX),
            code_segment: text.map_or((0, 0), |text| (text.offset, text.file_size)),
        };
        parts.signature = Some(Part { offset, size: made.size() });
        writer.end = offset.saturating_add(made.size());
        link.macho.signature = Some(made);
    }
    parts.end = writer.end;
    super::segments::check_size(link, parts.end)?;
    if let Some(segment) = link.macho.segments.last_mut() {
        segment.file_size = parts.end.saturating_sub(start);
        segment.size = segment.file_size.next_multiple_of(page_size(link.target.arch));
    }
    Ok(parts)
}

/// What the loader follows to fill pointers.
enum Binding {
    /// Chains through the pointers, with the table of where they start.
    Chained(Vec<u8>),
    /// The programs for rebasing, binding, and binding what is weak.
    Programs([Vec<u8>; 3]),
}

impl Binding {
    fn new(link: &Link<'_>) -> Self {
        if !is_chained(link) {
            return Self::Programs(programs(link));
        }
        let imports: Vec<Import<'_>> =
            link.macho.imports.iter().map(|(id, addend)| import(link, *id, *addend)).collect();
        Self::Chained(fixups::table(&link.macho.sites, &imports, page_size(link.target.arch)))
    }
}

struct Writer<'e> {
    extents: &'e mut Vec<Extent>,
    end: u64,
}

impl Writer<'_> {
    /// Appends a table at a multiple of 8.
    fn add(&mut self, bytes: Vec<u8>) -> Part {
        let part = Part { offset: self.end, size: bytes.len() as u64 };
        self.end = self.end.saturating_add(part.size).next_multiple_of(8);
        self.extents.push(Extent { offset: part.offset, size: part.size, source: Source::Owned(bytes) });
        part
    }
}

/// What the loader looks up for a symbol.
fn import<'l>(link: &'l Link<'_>, id: GlobalId, addend: i64) -> Import<'l> {
    let global = link.symbols.get(id);
    let ordinal = if is_coalesced(link, global) { ordinal::WEAK } else { library_ordinal(link, global) };
    Import { name: global.name, ordinal, weak: is_weak_import(link, global), addend }
}

/// Whether a symbol that is looked up may be missing.
pub(super) fn is_weak_import(link: &Link<'_>, global: &Global<'_>) -> bool {
    let role = match global.definition {
        Definition::Library(number, _) => link.libraries.get(number as usize).map(|library| library.role),
        _ => None,
    };
    global.is_weak_reference() || role == Some(LibraryRole::Weak)
}

/// The rebase program, the bind program and the weak bind program.
///
/// What the process has one definition of is in two: one program has it hold the image's own definition, or that of the
/// library; then the weak one tells of it, for the loader to look whether another image has a say.
fn programs(link: &Link<'_>) -> [Vec<u8>; 3] {
    let mut rebases = Vec::new();
    let mut binds = Vec::new();
    let mut weak_binds = Vec::new();
    for (segment, number) in link.macho.sites.iter().zip(0_u8..) {
        for site in &segment.sites {
            let at = At { segment: number, offset: site.offset.into() };
            match link.macho.imports.get(site.import as usize) {
                None => rebases.push(at),
                Some((id, addend)) => {
                    let global = link.symbols.get(*id);
                    let import = Import { ordinal: library_ordinal(link, global), ..import(link, *id, *addend) };
                    if is_coalesced(link, global) {
                        weak_binds.push((import, at));
                    }
                    if global.is_defined_here() {
                        rebases.push(at);
                    } else {
                        binds.push((site.import, at, import));
                    }
                }
            }
        }
    }
    binds.sort_by_key(|(number, at, _)| (*number, *at));
    let binds = binds.into_iter().map(|(_, at, import)| Bind {
        at,
        name: import.name,
        ordinal: Some(import.ordinal),
        weak: import.weak,
        addend: import.addend,
    });
    // The loader merges the programs of all images: their names ascend.
    weak_binds.sort_by_key(|(import, at)| (import.name, import.addend, *at));
    let weak_binds = weak_binds.into_iter().map(|(import, at)| {
        let Import { name, addend, .. } = import;
        Bind { at, name, ordinal: None, weak: false, addend }
    });
    [opcodes::rebases(rebases), opcodes::binds(binds), opcodes::weak_binds(&link.macho.overriding, weak_binds)]
}

/// The export trie, padded to 8 bytes, and how much memory it took to make it.
fn exports(link: &Link<'_>) -> (Vec<u8>, u64) {
    let mut exports = Vec::new();
    for (id, global) in link.symbols.iter().filter(|(_, global)| symtab::is_exported(link, global)) {
        let weak = global.flags.has(GlobalFlags::WEAK_DEFINITION);
        let flags = export_kind(link, global) | if weak { trie::WEAK_DEFINITION } else { 0 };
        exports.push(Export { name: global.name, flags, value: link.global_address(id) });
    }
    for (_, global) in link.symbols.iter().filter(|(_, global)| symtab::is_reexported(link, global)) {
        let weak = global.flags.has(GlobalFlags::WEAK_DEFINITION);
        let kind = if global.kind == SymbolKind::Tls { trie::THREAD_LOCAL } else { 0 };
        let flags = trie::REEXPORT | kind | if weak { trie::WEAK_DEFINITION } else { 0 };
        let value = u64::try_from(library_ordinal(link, global)).unwrap_or(0);
        exports.push(Export { name: global.name, flags, value });
    }
    let (mut bytes, room) = trie::trie(exports);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    (bytes, room)
}

/// `EXPORT_SYMBOL_FLAGS_KIND_*`: what an address is of.
fn export_kind(link: &Link<'_>, global: &Global<'_>) -> u64 {
    let definition = match global.definition {
        Definition::Alias(target, offset) => link.symbols.get(link.symbols.root(target, offset).0).definition,
        definition => definition,
    };
    let Definition::Object(id, index) = definition else {
        return if matches!(definition, Definition::Absolute(_)) { trie::ABSOLUTE } else { 0 };
    };
    let object = link.object(id);
    let Some(symbol) = object.symbols.get(index as usize) else { return 0 };
    let kind = object.symbol_section(symbol).map_or(0, |section| section.kind & macho::SECTION_TYPE);
    match symbol.section() {
        SymbolSection::Absolute => trie::ABSOLUTE,
        _ if kind == u32::from(macho::S_THREAD_LOCAL_VARIABLES.0) => trie::THREAD_LOCAL,
        _ => 0,
    }
}

/// The data in the image's code.
fn data_in_code(link: &Link<'_>) -> Vec<u8> {
    let mut entries = Vec::new();
    for (id, object) in link.objects() {
        let Some(info) = object.info.macho().filter(|info| !info.data_in_code.is_empty()) else { continue };
        for (section, index) in object.sections.iter().zip(0_u32..) {
            if !section.is_live() || !section.flags.has(SectionFlags::EXEC) {
                continue;
            }
            let start = info.address(index);
            let first = info.data_in_code.partition_point(|entry| u64::from(entry.offset) < start);
            let inside = info.data_in_code.get(first..).unwrap_or_default().iter();
            for entry in inside {
                let offset = u64::from(entry.offset).saturating_sub(start);
                if offset.saturating_add(entry.length.into()) > section.size {
                    break;
                }
                let address = link.address_in(id, index, offset).and_then(|address| u32::try_from(address).ok());
                entries.extend(address.map(|offset| DataInCode { offset, ..*entry }));
            }
        }
    }
    entries.sort_unstable();
    let mut bytes = Vec::with_capacity(entries.len().saturating_mul(DataInCode::SIZE));
    entries.iter().for_each(|entry| entry.write(&mut bytes));
    bytes
}

/// The indirect symbol table: which symbol each slot, each stub and each lazy pointer is for, in this order.
fn indirect(link: &Link<'_>, table: &SymbolTable) -> Vec<u8> {
    let got = table_output(link, Table::Got).map(|_| stubs::got_slots(link).map(|(_, symbol)| symbol));
    let calls = link.slots.through_got.iter().chain(&link.slots.lazy).chain(&link.slots.lazy);
    let slots: Vec<SymbolRef> = got.into_iter().flatten().chain(calls.copied()).collect();
    let global = |symbol: &SymbolRef| match symbol {
        SymbolRef::Global(id) => Some(*id),
        SymbolRef::Local(..) => None,
    };
    let mut wanted: Vec<GlobalId> = slots.iter().filter_map(global).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let indices = table.indices(link, &wanted);
    let index = |symbol: &SymbolRef| {
        let at = global(symbol).and_then(|id| wanted.binary_search(&id).ok());
        at.and_then(|at| *indices.get(at)?).unwrap_or(LOCAL)
    };
    slots.iter().flat_map(|symbol| index(symbol).to_le_bytes()).collect()
}

/// The index in the indirect symbol table of the first entry for a table.
pub(super) fn indirect_start(link: &Link<'_>, table: Table) -> u32 {
    match table {
        Table::Stubs => link.slots.got_words,
        Table::LazyPointers => {
            let stubs = link.slots.through_got.len().saturating_add(link.slots.lazy.len());
            link.slots.got_words.saturating_add(u32::try_from(stubs).unwrap_or(u32::MAX))
        }
        _ => 0,
    }
}
