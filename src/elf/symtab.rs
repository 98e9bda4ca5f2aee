//! `.symtab` and `.strtab`: every symbol of every object, so that debuggers and stack traces find functions by name.
//!
//! `.strtab` is the objects' string tables one after the other, as they are; a symbol's name only shifts by where its
//! object's table starts. `.symtab` is made in parts, each from a stretch of one object's symbols or of the global ones,
//! when it is written: nothing of it is held.

use object::elf;

use super::{Table, dynamic, got, machine};
use crate::arch::Bits;
use crate::error::Error;
use crate::link::{Link, over};
use crate::malfunction::{self, Malfunction};
use crate::memory::of_vec;
use crate::model::{
    Binding, GlobalId, Object, ObjectId, SectionFlags, Symbol, SymbolKind, SymbolSection, Traits, Visibility,
};
use crate::options::Arch;
use crate::slots::SymbolRef;
use crate::symbols::{Anchor, Definition, Global, GlobalFlags, VARIANT_CALL};
use crate::thunks;

/// The number of input symbols that a part is made from, at most: parts are small beside the chunks of a file, since one that
/// stands in two chunks is made twice.
const PART: usize = 1 << 11;

/// A symbol table's entry without its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// `st_info`: binding and type.
    info: u8,
    /// `st_other`.
    other: u8,
    /// `st_shndx`.
    section: u16,
    /// `st_value`.
    value: u64,
    /// `st_size`.
    size: u64,
}

impl Entry {
    /// Appends the symbol, with a name at `name` of the string table, to a table of a class.
    pub(crate) fn encode(&self, bits: Bits, name: u32, table: &mut Vec<u8>) {
        let [n0, n1, n2, n3] = name.to_le_bytes();
        let [s0, s1] = self.section.to_le_bytes();
        match bits {
            Bits::B64 => {
                let head = [n0, n1, n2, n3, self.info, self.other, s0, s1];
                let entry = [head, self.value.to_le_bytes(), self.size.to_le_bytes()];
                table.extend_from_slice(entry.as_flattened());
            }
            Bits::B32 => {
                let tail = [self.info, self.other, s0, s1];
                let (value, size) = ((self.value as u32).to_le_bytes(), (self.size as u32).to_le_bytes());
                table.extend_from_slice([[n0, n1, n2, n3], value, size, tail].as_flattened());
            }
        }
    }
}

/// The plan of `.symtab` and `.strtab`.
#[derive(Debug)]
pub(crate) struct SymbolTable {
    /// The width of the symbols' values.
    bits: Bits,
    /// The parts, in order, with the number of symbols each gives.
    pub(crate) parts: Vec<(Part, u32)>,
    /// Index of the first symbol that is not local: `sh_info`.
    pub(crate) first_global: u32,
    /// Where each object's strings start in `.strtab`.
    bases: Vec<u32>,
    /// Strings that no object has, behind those of the objects, and their symbols.
    extra: (u32, Vec<u8>, Vec<(GlobalId, u32)>),
    /// Symbols of thunks, with their names.
    thunks: Vec<(Entry, u32)>,
}

/// What a stretch of `.symtab` is made from.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// The null symbol.
    Null,
    /// Local symbols of an object: its symbols from one index to another.
    Locals(ObjectId, u32, u32),
    /// The symbols of thunks.
    Thunks,
    /// Global symbols that are local in the image, from one id to another.
    Hidden(u32, u32),
    /// Global symbols, from one id to another.
    Globals(u32, u32),
}

impl SymbolTable {
    /// Decides which symbols the table has.
    ///
    /// # Errors
    /// If the strings take more than 4 GiB.
    pub(crate) fn new(link: &Link<'_>) -> Result<Self, Error> {
        let bits = machine(link).bits;
        let mut table = Self {
            bits,
            parts: Vec::new(),
            first_global: 0,
            bases: Vec::new(),
            extra: (0, Vec::new(), Vec::new()),
            thunks: Vec::new(),
        };
        let mut end = 1_u64;
        for (_, object) in link.objects() {
            table.bases.push(u32::try_from(end).unwrap_or(u32::MAX));
            end += strings_size(object);
        }
        table.extra.0 = u32::try_from(end).unwrap_or(u32::MAX);
        for (id, global) in link.symbols.iter() {
            if in_table(global) && global.mention.is_none() {
                table.extra.2.push((id, table.extra.0.saturating_add(table.extra.1.len() as u32)));
                table.extra.1.extend_from_slice(global.full_name());
                table.extra.1.push(0);
            }
        }
        let total = end + table.extra.1.len() as u64;
        over("ELF string table", "the size of all symbols' names", total, u32::MAX.into())?;

        let mut parts = Vec::new();
        for (id, object) in link.objects() {
            let locals = object.symbols.iter().take_while(|symbol| symbol.binding == Binding::Local).count();
            for first in (0..locals).step_by(PART) {
                parts.push(Part::Locals(id, first as u32, locals.min(first + PART) as u32));
            }
        }
        let steps = || (0..link.symbols.len()).step_by(PART);
        let ends = |first: usize| (first as u32, link.symbols.len().min(first + PART) as u32);
        parts.extend(steps().map(|first| Part::Hidden(ends(first).0, ends(first).1)));
        parts.extend(steps().map(|first| Part::Globals(ends(first).0, ends(first).1)));
        let counts = link.workers.map(&parts, |part| count(link, part));
        table.parts.push((Part::Null, 1));
        table.parts.extend(parts.into_iter().zip(counts).filter(|(_, count)| *count > 0));
        let total: u64 = table.parts.iter().map(|(_, count)| u64::from(*count)).sum();
        over("ELF symbol table", "the number of symbols", total, u32::MAX.into())?;
        let local = table.parts.iter().filter(|(part, _)| !matches!(part, Part::Globals(..)));
        table.first_global = local.map(|(_, count)| *count).sum();
        Ok(table)
    }

    /// Adds the symbols of the linker's own code, once addresses are fixed: thunks, and marks of what is which kind of code.
    ///
    /// # Errors
    /// If the strings take more than 4 GiB.
    pub(crate) fn add_own(&mut self, link: &Link<'_>) -> Result<(), Error> {
        for symbol in thunks::symbols(link).chain(super::arm::plt_marks(link)) {
            let name = u32::try_from(self.strings_size()).unwrap_or(u32::MAX);
            let kind = if symbol.size > 0 { SymbolKind::Function } else { SymbolKind::None };
            let entry = Entry {
                info: info(Binding::Local, kind),
                other: 0,
                section: header_index(symbol.output),
                value: symbol.address,
                size: symbol.size,
            };
            self.extra.1.extend(symbol.name.iter().flat_map(|part| part.iter()));
            self.extra.1.push(0);
            self.thunks.push((entry, name));
        }
        over("ELF string table", "the size of all symbols' names", self.strings_size(), u32::MAX.into())?;
        let first = self.parts.iter().position(|(part, _)| matches!(part, Part::Globals(..)));
        let count = self.thunks.len() as u32;
        self.parts.insert(first.unwrap_or(self.parts.len()), (Part::Thunks, count));
        self.first_global += count;
        Ok(())
    }

    /// Bytes of memory that the plan has taken.
    pub(crate) fn held(&self) -> u64 {
        let (_, strings, symbols) = &self.extra;
        of_vec(&self.parts) + of_vec(&self.bases) + of_vec(strings) + of_vec(symbols) + of_vec(&self.thunks)
    }

    /// Size of `.symtab`, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.bits.symbol_size() * self.parts.iter().map(|(_, count)| u64::from(*count)).sum::<u64>()
    }

    /// Size of `.strtab`, in bytes.
    pub(crate) fn strings_size(&self) -> u64 {
        u64::from(self.extra.0) + self.extra.1.len() as u64
    }

    /// The strings behind those of the objects, and where they start in `.strtab`.
    pub(crate) fn extra_strings(&self) -> (u64, &[u8]) {
        (self.extra.0.into(), &self.extra.1)
    }

    /// Where an object's strings start in `.strtab`.
    pub(crate) fn strings_start(&self, object: ObjectId) -> u64 {
        self.bases[object.index()].into()
    }

    /// Makes a part.
    pub(crate) fn make(&self, link: &Link<'_>, (part, count): &(Part, u32)) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bits.symbol_size() as usize * *count as usize);
        match part {
            Part::Null => bytes.resize(self.bits.symbol_size() as usize, 0),
            Part::Locals(id, first, last) => {
                let object = link.object(*id);
                let base = self.bases[id.index()];
                let range = *first as usize..*last as usize;
                let addresses = &link.addresses[id.index()][range.clone()];
                for (symbol, address) in object.symbols[range].iter().zip(addresses) {
                    if is_kept_local(object, symbol) {
                        // Relocations know an indirect function by its entry of the PLT; here it is where it is.
                        let entered = symbol.traits.has(Traits::PLT_ADDRESS);
                        let own = entered.then(|| link.symbol_address(*id, symbol).unwrap_or(0));
                        let entry = local_symbol(link, *id, symbol, own.unwrap_or(*address));
                        entry.encode(self.bits, base.wrapping_add(symbol.name), &mut bytes);
                    }
                }
            }
            Part::Thunks => {
                self.thunks.iter().for_each(|(entry, name)| entry.encode(self.bits, *name, &mut bytes));
            }
            Part::Hidden(first, last) | Part::Globals(first, last) => {
                let hidden = matches!(part, Part::Hidden(..));
                for id in (*first..*last).map(GlobalId) {
                    let global = link.symbols.get(id);
                    if in_table(global) && is_hidden(global) == hidden {
                        global_symbol(link, id).encode(self.bits, self.name(link, id), &mut bytes);
                    }
                }
            }
        }
        bytes
    }

    fn name(&self, link: &Link<'_>, id: GlobalId) -> u32 {
        if let Some((object, index)) = link.symbols.get(id).mention {
            return self.bases[object.index()].wrapping_add(link.object(object).symbols[index as usize].name);
        }
        let at = self.extra.2.binary_search_by_key(&id, |(id, _)| *id);
        at.map_or(0, |at| self.extra.2[at].1)
    }
}

/// The bytes that an object's string table takes: with a NUL byte where it lacks the last one.
fn strings_size(object: &Object<'_>) -> u64 {
    object.strings.len() as u64 + u64::from(object.strings.last().is_some_and(|last| *last != 0))
}

fn count(link: &Link<'_>, part: &Part) -> u32 {
    let count = match part {
        Part::Null | Part::Thunks => 1,
        Part::Locals(id, first, last) => {
            let object = link.object(*id);
            let symbols = &object.symbols[*first as usize..*last as usize];
            symbols.iter().filter(|symbol| is_kept_local(object, symbol)).count()
        }
        Part::Hidden(first, last) | Part::Globals(first, last) => {
            let hidden = matches!(part, Part::Hidden(..));
            let globals = (*first..*last).map(|id| link.symbols.get(GlobalId(id)));
            globals.filter(|global| in_table(global) && is_hidden(global) == hidden).count()
        }
    };
    count as u32
}

/// Whether a local symbol is worth keeping: named, of a section that is in the image, and not an assembler's own label of
/// a merged constant.
fn is_kept_local(object: &Object<'_>, symbol: &Symbol) -> bool {
    let name = object.strings.get(symbol.name as usize..).unwrap_or_default();
    if name.first().is_none_or(|first| *first == 0) {
        return false;
    }
    match (symbol.kind, symbol.section()) {
        (SymbolKind::File, _) => true,
        (SymbolKind::Section, _) => false,
        (_, SymbolSection::Absolute) => true,
        (_, SymbolSection::In(index)) => object.sections.get(index as usize).is_some_and(|section| {
            section.is_live()
                && !section.flags.has(SectionFlags::EXIDX)
                && !(section.flags.has(SectionFlags::MERGE) && name.starts_with(b".L"))
        }),
        _ => false,
    }
}

/// Whether a global symbol stands in `.symtab`: those that an object mentions and that mean something. One whose section is
/// left out means nothing.
fn in_table(global: &Global<'_>) -> bool {
    global.flags.common(GlobalFlags::IN_OBJECT.and(GlobalFlags::LEFT_OUT)) == GlobalFlags::IN_OBJECT
}

fn is_hidden(global: &Global<'_>) -> bool {
    dynamic::binding(global) == Binding::Local
}

fn info(binding: Binding, kind: SymbolKind) -> u8 {
    let binding = match binding {
        Binding::Local => elf::STB_LOCAL,
        Binding::Global => elf::STB_GLOBAL,
        Binding::Weak => elf::STB_WEAK,
        Binding::Unique => elf::STB_GNU_UNIQUE,
    };
    let kind = match kind {
        SymbolKind::None => elf::STT_NOTYPE,
        SymbolKind::Object => elf::STT_OBJECT,
        SymbolKind::Function => elf::STT_FUNC,
        SymbolKind::Section => elf::STT_SECTION,
        SymbolKind::File => elf::STT_FILE,
        SymbolKind::Tls => elf::STT_TLS,
        SymbolKind::Ifunc => elf::STT_GNU_IFUNC,
    };
    elf::SymbolInfo::new(binding, kind).0
}

/// The section header index of an output section; `SHN_ABS` for none.
fn header_index(output: u32) -> u16 {
    // The plan has checked that all indices are below SHN_LORESERVE; what is in no section of the image is a number.
    u16::try_from(output).map_or(elf::SHN_ABS.0, |number| number + 1)
}

fn local_symbol(link: &Link<'_>, id: ObjectId, symbol: &Symbol, address: u64) -> Entry {
    let section = match symbol.section() {
        SymbolSection::In(index) => header_index(link.section(id, index).output),
        SymbolSection::Absolute => elf::SHN_ABS.0,
        _ => elf::SHN_UNDEF.0,
    };
    let value = value(link, symbol.kind, address);
    Entry { info: info(Binding::Local, symbol.kind), other: symbol.other, section, value, size: symbol.size }
}

/// The value of a thread-local symbol is its offset in the TLS block, of others the address.
fn value(link: &Link<'_>, kind: SymbolKind, address: u64) -> u64 {
    if kind == SymbolKind::Tls { address.wrapping_sub(link.elf.tls.0) } else { address }
}

/// The symbol table's entry of a global symbol.
pub(crate) fn global_symbol(link: &Link<'_>, id: GlobalId) -> Entry {
    let global = link.symbols.get(id);
    let (mut section, mut size, mut other) = describe(link, global);
    size = size.saturating_add(u64::from(malfunction::on(Malfunction::SymbolSizeOff)));
    let binding = dynamic::binding(global);
    let kind = if global.is_defined_here() || global.kind == SymbolKind::Tls { global.kind } else { SymbolKind::None };
    let kind = if matches!(global.definition, Definition::Library(..)) { global.kind } else { kind };
    // The caller of an import does not care how the other library finds its code.
    let kind = if kind == SymbolKind::Ifunc && !global.is_defined_here() { SymbolKind::Function } else { kind };
    let mut value = if global.is_defined_here() { value(link, global.kind, link.known_address(id)) } else { 0 };
    let mut kind = kind;
    if global.traits.has(Traits::PLT_ADDRESS) {
        // To others, too, it is an ordinary function at this address.
        let entries = link.elf.tables[Table::PltGot as usize].map_or(elf::SHN_UNDEF.0, header_index);
        (kind, section, size) = (SymbolKind::Function, entries, 0);
        value = got::entry_address(link, SymbolRef::Global(id));
        if link.target.arch == Arch::Ppc64 {
            other = super::ppc64::stub_other(other);
        }
    }
    let visibility = match (binding, global.visibility) {
        (Binding::Local, _) => elf::STV_HIDDEN,
        (_, Visibility::Hidden | Visibility::Internal) => elf::STV_HIDDEN,
        (_, Visibility::Protected) => elf::STV_PROTECTED,
        _ => elf::STV_DEFAULT,
    };
    Entry { info: info(binding, kind), other: (other & !3) | visibility.0, section, value, size }
}

/// The size of what a symbol of an object stands for, in bytes.
pub(crate) fn symbol_size(link: &Link<'_>, symbol: &Symbol) -> u64 {
    symbol.global.get().map_or(symbol.size, |id| describe(link, link.symbols.get(id)).1)
}

/// Whether a function is called by a variant of the calling convention (AArch64 ELF ABI and RISC-V psABI, *Symbol Table*).
pub(crate) fn is_variant_call(link: &Link<'_>, global: &Global<'_>) -> bool {
    matches!(link.target.arch, Arch::Aarch64 | Arch::Riscv64) && global.flags.has(GlobalFlags::VARIANT_CALL)
}

/// Section index, size and `st_other` of a global symbol.
fn describe(link: &Link<'_>, global: &Global<'_>) -> (u16, u64, u8) {
    match global.definition {
        Definition::Undefined | Definition::Library(..) | Definition::Common { .. } => {
            // Loaders read it to learn that arguments stand in registers which lazy binding does not preserve.
            let other = if is_variant_call(link, global) { VARIANT_CALL } else { 0 };
            (elf::SHN_UNDEF.0, 0, other)
        }
        Definition::Object(object, index) => {
            let symbol = link.object(object).symbols[index as usize];
            let section = match symbol.section() {
                SymbolSection::In(index) => header_index(link.section(object, index).output),
                _ => elf::SHN_ABS.0,
            };
            (section, symbol.size, symbol.other)
        }
        Definition::Allotted(kind, _) => {
            let size = global.mention.map_or(0, |(object, index)| link.object(object).symbols[index as usize].size);
            (header_index(link.elf.commons[kind as usize]), size, 0)
        }
        Definition::Absolute(_) => (elf::SHN_ABS.0, 0, 0),
        Definition::Anchor(anchor) => (anchor_section(link, anchor), 0, 0),
        Definition::Alias(target, offset) => {
            let (target, offset) = link.symbols.root(target, offset);
            let (section, size, other) = describe(link, link.symbols.get(target));
            // How far a place inside of something reaches is not known.
            (section, if offset == 0 { size } else { 0 }, other)
        }
    }
}

/// The section header index that an anchor's symbol counts as part of.
fn anchor_section(link: &Link<'_>, anchor: Anchor) -> u16 {
    if let Anchor::SectionStart(number) | Anchor::SectionEnd(number) = anchor
        && number != u32::MAX
    {
        return header_index(number);
    }
    let address = super::anchor_address(link, anchor);
    let holds = |output: &crate::layout::OutputSection<'_>| {
        output.flags.has(SectionFlags::ALLOC) && output.address <= address && address <= output.end()
    };
    let first = link.outputs.iter().position(|output| output.flags.has(SectionFlags::ALLOC)).unwrap_or(0);
    header_index(link.outputs.iter().rposition(holds).unwrap_or(first) as u32)
}
