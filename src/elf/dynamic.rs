//! What the loader reads: the dynamic symbol table with its strings, hash tables and versions, and the dynamic section.
//!
//! Source: gABI chapter 5 (*Dynamic Section*, *Hash Table*); LSB core, *Symbol Versioning*; the GNU hash table as binutils
//! and glibc define it.

use std::collections::HashMap;

use object::elf;

use super::class::Writer;
use super::define::is_of_the_program;
use super::symtab::is_variant_call;
use super::version::tables::Versions;
use super::{Table, machine, rela};
use crate::arch::Bits;
use crate::error::Error;
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::memory::{of_map, of_vec};
use crate::model::{Binding, GlobalId, SymbolKind, Traits, Visibility};
use crate::options::{Arch, ElfOptions, HashStyle, Symbolic};
use crate::slots::SymbolRef;
use crate::symbols::{Anchor, Definition, Global, GlobalFlags};

/// The dynamic symbol table and what belongs to it.
#[derive(Debug, Default)]
pub(crate) struct DynamicSymbols {
    /// The symbols from index 1 on, with the offset of each one's name: imports first, then exports.
    symbols: Vec<(GlobalId, u32)>,
    /// `.dynstr`.
    strings: Strings,
    /// What it says of versions.
    versions: Versions,
    /// `.gnu.hash`.
    gnu_hash: Vec<u8>,
    /// `.hash`.
    sysv_hash: Vec<u8>,
    /// What the dynamic section says, in order.
    entries: Vec<(elf::DynamicTag, Entry)>,
}

/// The value of a dynamic section's entry.
#[derive(Debug, Clone, Copy)]
enum Entry {
    /// A number.
    Number(u64),
    /// The address of a table's section.
    Start(Table),
    /// The address of a place in a table's section, by its offset in bytes.
    Within(Table, u64),
    /// The size of a table's section, in bytes.
    Size(Table),
    /// The address of an anchor.
    Anchor(Anchor),
    /// The distance between two anchors.
    Distance(Anchor, Anchor),
    /// The address of a symbol.
    Symbol(GlobalId),
}

/// A string table under construction: each string once.
#[derive(Debug)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
    known: HashMap<Vec<u8>, u32, foldhash::quality::RandomState>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { bytes: vec![0], known: HashMap::default() }
    }
}

impl Strings {
    /// The offset of a string, which is added if it is new.
    pub(super) fn add(&mut self, string: &[u8]) -> u32 {
        if string.is_empty() {
            return 0;
        }
        if let Some(offset) = self.known.get(string) {
            return *offset;
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        self.known.insert(string.to_vec(), offset);
        offset
    }
}

/// Whether a symbol stands in the dynamic symbol table: what the image exports, and what it imports.
fn is_dynamic(global: &Global<'_>) -> bool {
    if global.flags.has(GlobalFlags::LEFT_OUT) {
        return false;
    }
    let imported = !global.is_defined_here() && global.traits.has(Traits::PREEMPTIBLE);
    global.flags.has(GlobalFlags::EXPORTED) || (imported && global.flags.has(GlobalFlags::IN_OBJECT))
}

impl DynamicSymbols {
    /// Bytes of memory that they have taken.
    pub(crate) fn held(&self) -> u64 {
        let tables = [&self.strings.bytes, &self.gnu_hash, &self.sysv_hash];
        let known = self.strings.known.keys().map(of_vec).sum::<u64>() + of_map(&self.strings.known);
        let lists = of_vec(&self.symbols) + self.versions.held() + of_vec(&self.entries);
        tables.into_iter().map(of_vec).sum::<u64>() + known + lists
    }

    /// Chooses the dynamic symbols and makes every table that does not depend on addresses.
    ///
    /// `has` tells which other tables the image has.
    ///
    /// # Errors
    /// If the names take more than 4 GiB.
    pub(crate) fn new(link: &mut Link<'_>) -> Result<Self, Error> {
        let mut this = Self::default();
        let (mut imports, mut exports) = (Vec::new(), Vec::new());
        for (id, global) in link.symbols.iter().filter(|(_, global)| is_dynamic(global)) {
            if global.is_defined_here() {
                exports.push((gnu_hash(global.name), id));
            } else {
                imports.push(id);
            }
        }
        if malfunction::on(Malfunction::ExportLost) {
            exports.pop();
        }
        let names = |link: &Link<'_>, ids: &mut dyn Iterator<Item = GlobalId>| -> u64 {
            ids.map(|id| link.symbols.get(id).name.len() as u64 + 1).sum()
        };
        let total = names(link, &mut imports.iter().copied()) + names(link, &mut exports.iter().map(|(_, id)| *id));
        crate::link::over("ELF string table", "the size of the dynamic symbols' names", total, u32::MAX as u64 >> 1)?;

        let buckets = u32::try_from(exports.len() / 4 + 1).unwrap_or(u32::MAX);
        // The GNU hash table wants the symbols of a bucket side by side.
        exports.sort_by_key(|(hash, _)| hash % buckets);
        let needed = needed_names(link);
        let options = &link.options.elf;
        let filters = options.filters.iter().map(|name| (elf::DT_FILTER, name));
        let auxiliary = options.auxiliary.iter().map(|name| (elf::DT_AUXILIARY, name));
        for (tag, name) in filters.chain(auxiliary) {
            let offset = this.strings.add(name.as_bytes());
            this.entries.push((tag, Entry::Number(offset.into())));
        }
        for name in &needed {
            let offset = this.strings.add(name);
            this.entries.push((elf::DT_NEEDED, Entry::Number(offset.into())));
        }
        if let Some(soname) = &options.soname {
            let offset = this.strings.add(soname.as_bytes());
            this.entries.push((elf::DT_SONAME, Entry::Number(offset.into())));
        }
        if !options.rpath.is_empty() {
            let offset = this.strings.add(options.rpath.join(":").as_bytes());
            let tag = if options.new_dtags { elf::DT_RUNPATH } else { elf::DT_RPATH };
            this.entries.push((tag, Entry::Number(offset.into())));
        }
        let first_export = imports.len() + 1;
        for id in imports.into_iter().chain(exports.iter().map(|(_, id)| *id)) {
            let name = this.strings.add(link.symbols.get(id).name);
            this.symbols.push((id, name));
            link.symbols.get_mut(id).dynamic_index = this.symbols.len() as u32;
        }
        if matches!(options.hash_style, HashStyle::Gnu | HashStyle::Both) {
            let hashes: Vec<u32> = exports.iter().map(|(hash, _)| *hash).collect();
            this.gnu_hash = gnu_hash_table(machine(link).bits, first_export as u32, buckets, &hashes);
        }
        if matches!(options.hash_style, HashStyle::Sysv | HashStyle::Both) {
            let names = this.symbols.iter().map(|(id, _)| link.symbols.get(*id).name);
            this.sysv_hash = sysv_hash_table(names);
        }
        let symbols = this.symbols.iter().map(|(id, _)| *id);
        this.versions = Versions::new(link, symbols, &mut this.strings)?;
        let total = this.strings.bytes.len() as u64;
        crate::link::over("ELF string table", "the size of the dynamic strings", total, u32::MAX as u64 >> 1)?;
        link.report.needed = needed.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        link.report.exports = exports.iter().map(|(_, id)| link.symbols.get(*id).name.to_vec()).collect();
        Ok(this)
    }

    /// Fixes what the dynamic section says, now that it is known which tables the image has.
    pub(crate) fn fix_entries(&mut self, link: &Link<'_>, facts: &Facts) {
        let options = &link.options.elf;
        let mut add = |tag: elf::DynamicTag, entry| self.entries.push((tag, entry));
        let flags = dynamic_flags(link, facts);
        if flags.0 != 0 {
            add(elf::DT_FLAGS, Entry::Number(flags.0));
        }
        if flags.1 != 0 {
            add(elf::DT_FLAGS_1, Entry::Number(flags.1));
        }
        if facts.text_relocations {
            add(elf::DT_TEXTREL, Entry::Number(0));
        }
        let machine = machine(link);
        let (table, size, entry, count) = match machine.rela {
            true => (elf::DT_RELA, elf::DT_RELASZ, elf::DT_RELAENT, elf::DT_RELACOUNT),
            false => (elf::DT_REL, elf::DT_RELSZ, elf::DT_RELENT, elf::DT_RELCOUNT),
        };
        if facts.has(Table::RelaDyn) {
            add(table, Entry::Start(Table::RelaDyn));
            add(size, Entry::Size(Table::RelaDyn));
            add(entry, Entry::Number(rela::reloc_size(machine)));
            if facts.relative > 0 {
                add(count, Entry::Number(facts.relative));
            }
        }
        if facts.has(Table::RelrDyn) {
            add(elf::DT_RELR, Entry::Start(Table::RelrDyn));
            add(elf::DT_RELRSZ, Entry::Size(Table::RelrDyn));
            add(elf::DT_RELRENT, Entry::Number(machine.bits.word()));
        }
        if facts.has(Table::RelaPlt) {
            add(elf::DT_JMPREL, Entry::Start(Table::RelaPlt));
            add(elf::DT_PLTRELSZ, Entry::Size(Table::RelaPlt));
            add(elf::DT_PLTGOT, Entry::Start(Table::GotPlt));
            add(elf::DT_PLTREL, Entry::Number(table.0 as u64));
            if link.target.arch == Arch::Ppc64 {
                add(elf::DT_PPC64_GLINK, Entry::Within(Table::Plt, super::ppc64::GLINK));
                if let Some(opt) = super::ppc64::opt(link) {
                    add(elf::DT_PPC64_OPT, Entry::Number(opt.into()));
                }
            }
            if link.target.arch == Arch::Aarch64 && link.elf.ibt {
                add(elf::DT_AARCH64_BTI_PLT, Entry::Number(0));
            }
            let variant = |symbol: &SymbolRef| match symbol {
                SymbolRef::Global(id) => is_variant_call(link, link.symbols.get(*id)),
                SymbolRef::Local(..) => false,
            };
            if link.slots.lazy.iter().any(variant) {
                let aarch64 = link.target.arch == Arch::Aarch64;
                let tag = if aarch64 { elf::DT_AARCH64_VARIANT_PCS } else { elf::DT_RISCV_VARIANT_CC };
                add(tag, Entry::Number(0));
            }
        }
        add(elf::DT_SYMTAB, Entry::Start(Table::Dynsym));
        add(elf::DT_SYMENT, Entry::Number(machine.bits.symbol_size()));
        add(elf::DT_STRTAB, Entry::Start(Table::Dynstr));
        add(elf::DT_STRSZ, Entry::Size(Table::Dynstr));
        if facts.has(Table::GnuHash) {
            add(elf::DT_GNU_HASH, Entry::Start(Table::GnuHash));
        }
        if facts.has(Table::Hash) {
            add(elf::DT_HASH, Entry::Start(Table::Hash));
        }
        let arrays = [
            (b".init_array", elf::DT_INIT_ARRAY, elf::DT_INIT_ARRAYSZ),
            (b".fini_array", elf::DT_FINI_ARRAY, elf::DT_FINI_ARRAYSZ),
        ];
        for (name, start, size) in arrays {
            let dropped = malfunction::on(Malfunction::InitArrayDropped);
            let found = link.outputs.iter().position(|output| *output.name == name[..] && !dropped);
            if let Some(number) = found {
                let (first, last) = (Anchor::SectionStart(number as u32), Anchor::SectionEnd(number as u32));
                add(start, Entry::Anchor(first));
                add(size, Entry::Distance(first, last));
            }
        }
        for (name, tag) in [(&options.init, elf::DT_INIT), (&options.fini, elf::DT_FINI)] {
            if let Some((id, _)) = link.symbols.find(name.as_bytes()).filter(|(_, global)| global.is_defined_here()) {
                add(tag, Entry::Symbol(id));
            }
        }
        if facts.has(Table::Versym) {
            add(elf::DT_VERSYM, Entry::Start(Table::Versym));
        }
        if facts.has(Table::Verdef) {
            add(elf::DT_VERDEF, Entry::Start(Table::Verdef));
            add(elf::DT_VERDEFNUM, Entry::Number(self.versions.definitions.1.into()));
        }
        if facts.has(Table::Verneed) {
            add(elf::DT_VERNEED, Entry::Start(Table::Verneed));
            add(elf::DT_VERNEEDNUM, Entry::Number(self.versions.needs.1.into()));
        }
        add(elf::DT_NULL, Entry::Number(0));
    }

    /// The size of one of the tables, in bytes; 0 where the image does without it.
    pub(crate) fn size(&self, bits: Bits, table: Table) -> u64 {
        match table {
            Table::Dynsym => (self.symbols.len() as u64 + 1) * bits.symbol_size(),
            Table::Dynstr => self.strings.bytes.len() as u64,
            Table::Versym => 2 * self.versions.symbols.len() as u64,
            Table::Verdef => self.versions.definitions.0.len() as u64,
            Table::Verneed => self.versions.needs.0.len() as u64,
            Table::GnuHash => self.gnu_hash.len() as u64,
            Table::Hash => self.sysv_hash.len() as u64,
            Table::Dynamic => self.entries.len() as u64 * bits.dynamic_size(),
            _ => 0,
        }
    }

    /// The number of entries of `.gnu.version_d` or `.gnu.version_r`.
    pub(crate) fn version_entries(&self, table: Table) -> u32 {
        if table == Table::Verdef { self.versions.definitions.1 } else { self.versions.needs.1 }
    }

    /// The bytes of one of the tables, once addresses are fixed.
    pub(crate) fn bytes(&self, link: &Link<'_>, table: Table) -> Vec<u8> {
        match table {
            Table::Dynsym => self.symbol_table(link),
            Table::Dynstr => self.strings.bytes.clone(),
            Table::Versym => self.versions.symbols.iter().flat_map(|version| version.to_le_bytes()).collect(),
            Table::Verdef => self.versions.definitions.0.clone(),
            Table::Verneed => self.versions.needs.0.clone(),
            Table::GnuHash => self.gnu_hash.clone(),
            Table::Hash => self.sysv_hash.clone(),
            Table::Dynamic => self.dynamic_section(link),
            _ => Vec::new(),
        }
    }

    fn symbol_table(&self, link: &Link<'_>) -> Vec<u8> {
        let bits = machine(link).bits;
        let mut bytes = vec![0; bits.symbol_size() as usize];
        for (id, name) in &self.symbols {
            super::symtab::global_symbol(link, *id).encode(bits, *name, &mut bytes);
        }
        bytes
    }

    fn dynamic_section(&self, link: &Link<'_>) -> Vec<u8> {
        let anchor = |anchor| super::anchor_address(link, anchor);
        let mut bytes = Writer::new(machine(link).bits);
        for (tag, entry) in &self.entries {
            let value = match entry {
                Entry::Number(number) => *number,
                Entry::Start(table) => super::table_output(link, *table).map_or(0, |output| output.address),
                Entry::Within(table, offset) => {
                    super::table_output(link, *table).map_or(0, |output| output.address.wrapping_add(*offset))
                }
                Entry::Size(table) => super::table_output(link, *table).map_or(0, |output| output.size),
                Entry::Anchor(at) => anchor(*at),
                Entry::Distance(from, to) => anchor(*to).wrapping_sub(anchor(*from)),
                Entry::Symbol(id) => link.global_address(*id),
            };
            bytes.word(tag.0 as u64);
            bytes.word(value);
        }
        bytes.bytes
    }
}

/// What the dynamic section must know of the image.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The tables the image has.
    pub(crate) tables: Vec<Table>,
    /// The number of relative relocations at the start of `.rela.dyn`.
    pub(crate) relative: u64,
    /// The loader writes to read-only sections.
    pub(crate) text_relocations: bool,
    /// The image uses static TLS space.
    pub(crate) static_tls: bool,
}

impl Facts {
    fn has(&self, table: Table) -> bool {
        self.tables.contains(&table)
    }
}

fn dynamic_flags(link: &Link<'_>, facts: &Facts) -> (u64, u64) {
    let options = &link.options.elf;
    let wanted = &options.dynamic_flags;
    let pick = |list: &[(bool, u64)]| list.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag);
    let flags = pick(&[
        (wanted.origin, elf::DF_ORIGIN.0),
        (options.symbolic == Symbolic::All, elf::DF_SYMBOLIC.0),
        (facts.text_relocations, elf::DF_TEXTREL.0),
        (options.now, elf::DF_BIND_NOW.0),
        (facts.static_tls, elf::DF_STATIC_TLS.0),
    ]);
    let flags_1 = pick(&[
        (options.now, elf::DF_1_NOW.0),
        (wanted.global, elf::DF_1_GLOBAL.0),
        (wanted.nodelete, elf::DF_1_NODELETE.0),
        (wanted.initfirst, elf::DF_1_INITFIRST.0),
        (wanted.nodlopen, elf::DF_1_NOOPEN.0),
        (wanted.origin, elf::DF_1_ORIGIN.0),
        (wanted.interpose, elf::DF_1_INTERPOSE.0),
        (wanted.nodefaultlib, elf::DF_1_NODEFLIB.0),
        (wanted.loadfltr, elf::DF_1_LOADFLTR.0),
    ]);
    (flags, flags_1)
}

/// The sonames that the image asks for, each once.
fn needed_names(link: &Link<'_>) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let needed = link.libraries.iter().filter(|library| library.needed);
    for library in needed.filter_map(|library| library.shared.elf()) {
        let name = library.soname();
        if !names.iter().any(|known| known == name) {
            names.push(name.to_vec());
        }
    }
    if malfunction::on(Malfunction::NeededLibraryDropped) {
        names.pop();
    }
    names
}

/// The hash function of `.gnu.hash`.
fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add((*byte).into()))
}

/// `.gnu.hash` for exports with these hashes, in order, the first of which has index `base`.
fn gnu_hash_table(bits: Bits, base: u32, buckets: u32, hashes: &[u32]) -> Vec<u8> {
    /// The second hash bit of the Bloom filter is the hash shifted by this.
    const SHIFT: u32 = 26;
    /// Bits of the Bloom filter for each symbol: about one unknown name in fifty passes.
    const BITS_PER_SYMBOL: usize = 12;
    let width = 8 * bits.word() as u32;
    let words = (hashes.len() * BITS_PER_SYMBOL / width as usize).next_power_of_two().max(1);
    let mut bloom = vec![0_u64; words];
    let mut starts = vec![0_u32; buckets as usize];
    for (index, hash) in hashes.iter().enumerate() {
        bloom[(hash / width) as usize % words] |= 1 << (hash % width) | 1 << ((hash >> SHIFT) % width);
        let start = &mut starts[(hash % buckets) as usize];
        if *start == 0 {
            let late = u32::from(malfunction::on(Malfunction::GnuHashBucketOff));
            *start = base + index as u32 + late;
        }
    }
    let mut table = Writer::new(bits);
    for word in [buckets, base, words as u32, SHIFT] {
        table.u32(word);
    }
    bloom.iter().for_each(|word| table.word(*word));
    starts.iter().for_each(|start| table.u32(*start));
    for (index, hash) in hashes.iter().enumerate() {
        // The lowest bit marks the last symbol of a bucket.
        let last = hashes.get(index + 1).is_none_or(|next| next % buckets != hash % buckets);
        table.u32(hash & !1 | u32::from(last));
    }
    table.bytes
}

/// `.hash` for the symbols from index 1 on.
fn sysv_hash_table<'n>(names: impl ExactSizeIterator<Item = &'n [u8]>) -> Vec<u8> {
    let count = names.len() as u32 + 1;
    let buckets = count;
    let mut heads = vec![0_u32; buckets as usize];
    let mut chains = vec![0_u32; count as usize];
    for (index, name) in names.enumerate() {
        let head = &mut heads[(elf::hash(name) % buckets) as usize];
        chains[index + 1] = std::mem::replace(head, index as u32 + 1);
    }
    if malfunction::on(Malfunction::HashBucketLost)
        && let Some(head) = heads.iter_mut().find(|head| **head != 0)
    {
        *head = 0;
    }
    let words = [buckets, count].into_iter().chain(heads).chain(chains);
    words.flat_map(|word| word.to_le_bytes()).collect()
}

/// Whether the image exports a definition, and whether another library may preempt it.
pub(crate) fn export(link: &Link<'_>, global: &Global<'_>) -> (bool, bool) {
    let hidden = global.visibility >= Visibility::Hidden || global.flags.has(GlobalFlags::HIDDEN_BY_OPTION);
    let linkers = match global.definition {
        Definition::Anchor(Anchor::SectionStart(_) | Anchor::SectionEnd(_)) => false,
        Definition::Anchor(anchor) => !is_of_the_program(anchor),
        _ => false,
    };
    if hidden || linkers || !global.is_defined_here() {
        return (false, false);
    }
    (true, global.visibility == Visibility::Default && !binds_here(&link.options.elf, global))
}

/// Whether the options have references to a definition bind at link time.
fn binds_here(options: &ElfOptions, global: &Global<'_>) -> bool {
    let function = matches!(global.kind, SymbolKind::Function | SymbolKind::Ifunc);
    let weak = global.flags.has(GlobalFlags::WEAK_DEFINITION);
    let symbolic = match options.symbolic {
        Symbolic::None => false,
        Symbolic::NonWeakFunctions => function && !weak,
        Symbolic::Functions => function,
        Symbolic::NonWeak => !weak,
        Symbolic::All => true,
    };
    // A list says what may be preempted, so that all else may not.
    let listing = options.dynamic_list.is_some() || options.dynamic_list_data;
    let listed =
        global.flags.has(GlobalFlags::LISTED) || (options.dynamic_list_data && global.kind == SymbolKind::Object);
    (symbolic || listing) && !listed
}

/// The binding of a global symbol in a symbol table (gABI: hidden symbols become local).
pub(crate) fn binding(global: &Global<'_>) -> Binding {
    let hidden = global.visibility >= Visibility::Hidden || global.flags.has(GlobalFlags::HIDDEN_BY_OPTION);
    match () {
        () if hidden && global.is_defined_here() => Binding::Local,
        () if global.flags.has(GlobalFlags::UNIQUE) => Binding::Unique,
        () if global.is_defined_here() && global.flags.has(GlobalFlags::WEAK_DEFINITION) => Binding::Weak,
        () if global.is_weak_reference() => Binding::Weak,
        () => Binding::Global,
    }
}
