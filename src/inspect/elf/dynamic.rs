//! What the dynamic section leads to: names, symbols, versions and relocations (gABI chapter 5).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use object::elf::{
    DT_HASH, DT_JMPREL, DT_NEEDED, DT_PLTREL, DT_PLTRELSZ, DT_REL, DT_RELA, DT_RELASZ, DT_RELR, DT_RELRSZ, DT_RELSZ,
    DT_SONAME, DT_STRSZ, DT_STRTAB, DT_SYMTAB, DT_VERNEED, DT_VERNEEDNUM, DT_VERSYM, DynamicTag, Machine,
};

use super::{Class, Symbol, headers};
use crate::bytes;
use crate::inspect::memory::{Fix, string};
use crate::inspect::parts::Parts;

const SHT_DYNSYM: u32 = 11;

/// Reads all that the dynamic section `table` of the image `file` leads to; `parts` has the image's segments.
pub(super) fn read<'a>(file: &'a [u8], class: Class, table: &[u8], mut parts: Parts<'a>) -> Parts<'a> {
    let dynamic = Dynamic::read(class, table);
    if dynamic.entries.is_empty() {
        parts.notes.push("there is no dynamic section".to_owned());
        return parts;
    }
    let machine = bytes::u16(file, 18).unwrap_or_default();
    let mut reader = Reader { file, class, machine, dynamic, parts };
    reader.names();
    let symbols = reader.dynamic_symbols();
    reader.relocations(&symbols);
    reader.parts
}

/// The dynamic section.
#[derive(Debug, Default)]
struct Dynamic {
    entries: Vec<(u64, u64)>,
}

impl Dynamic {
    fn read(class: Class, table: &[u8]) -> Self {
        let size = class.pick(8, 16);
        let entry = |chunk: &[u8]| Some((class.word(chunk, 0)?, class.word(chunk, class.word)?));
        let entries = table.chunks_exact(usize::try_from(size).unwrap_or(16)).map_while(entry);
        Self { entries: entries.take_while(|(tag, _)| *tag != 0).collect() }
    }

    fn get(&self, tag: DynamicTag) -> Option<u64> {
        let wanted = u64::try_from(tag.0).ok()?;
        self.entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value)
    }

    fn all(&self, tag: DynamicTag) -> impl Iterator<Item = u64> {
        let wanted = u64::try_from(tag.0).ok();
        self.entries.iter().filter(move |(tag, _)| Some(*tag) == wanted).map(|(_, value)| *value)
    }
}

/// A dynamic symbol: its name, and its address if the image defines it.
type DynamicSymbol<'a> = (&'a [u8], Option<u64>);

struct Reader<'a> {
    file: &'a [u8],
    class: Class,
    machine: u16,
    dynamic: Dynamic,
    parts: Parts<'a>,
}

impl<'a> Reader<'a> {
    /// The bytes at the address that one entry of the dynamic section has, of the size that another has.
    fn table(&self, address: DynamicTag, size: DynamicTag) -> Option<&'a [u8]> {
        self.parts.memory.slice(self.dynamic.get(address)?, self.dynamic.get(size)?)
    }

    fn strings(&self) -> &'a [u8] {
        self.table(DT_STRTAB, DT_STRSZ).unwrap_or_default()
    }

    fn names(&mut self) {
        let strings = self.strings();
        self.parts.needed = self.dynamic.all(DT_NEEDED).filter_map(|offset| string(strings, offset)).collect();
        self.parts.name = self.dynamic.get(DT_SONAME).and_then(|offset| string(strings, offset));
    }

    /// The number of dynamic symbols: of `DT_HASH`, else as the section headers have it, since the dynamic section does
    /// not say (`DT_GNU_HASH` only for those that are defined).
    fn symbol_count(&self) -> u64 {
        let hash = self.dynamic.get(DT_HASH).and_then(|hash| self.parts.memory.u32(hash.checked_add(4)?));
        if let Some(count) = hash {
            return count.into();
        }
        let headers = headers(self.file, self.class).unwrap_or_default();
        let section = headers.iter().find(|header| header.kind == SHT_DYNSYM);
        section.map_or(0, |header| header.size.checked_div(self.class.pick(16, 24)).unwrap_or(0))
    }

    fn dynamic_symbols(&mut self) -> Vec<DynamicSymbol<'a>> {
        let size = self.class.pick(16, 24);
        let strings = self.strings();
        let table = self
            .dynamic
            .get(DT_SYMTAB)
            .and_then(|address| self.parts.memory.slice(address, self.symbol_count().checked_mul(size)?));
        let Some(table) = table else {
            self.parts.notes.push("the dynamic symbol table is missing or cut off".to_owned());
            return Vec::new();
        };
        let versions = self.versions();
        let versym = self.dynamic.get(DT_VERSYM);
        let mut symbols = Vec::new();
        for (index, entry) in (0_u64..).zip(table.chunks_exact(usize::try_from(size).unwrap_or(24))) {
            let Some(symbol) = Symbol::read(self.class, entry, strings) else { continue };
            symbols.push((symbol.name, (symbol.section != 0).then_some(symbol.value)));
            if index == 0 || symbol.name.is_empty() {
                continue;
            }
            if symbol.section == 0 {
                let version =
                    versym.and_then(|versym| self.parts.memory.number(versym.checked_add(index.checked_mul(2)?)?, 2));
                let found = version.and_then(|version| {
                    let index = versions.binary_search_by_key(&(version & 0x7fff), |(number, _)| *number).ok()?;
                    versions.get(index)
                });
                let library = found.map(|(_, library)| *library);
                self.parts.add_import(library, symbol.name);
            } else if symbol.binding != 0 && matches!(symbol.visibility, 0 | 3) {
                self.parts.add_export(symbol.name, symbol.value);
            }
        }
        symbols
    }

    /// The numbers of versions, and the libraries that define them (LSB Core, *Symbol Versioning*).
    fn versions(&self) -> Vec<(u64, &'a [u8])> {
        let strings = self.strings();
        let memory = &self.parts.memory;
        let mut found = Vec::new();
        let mut walk = || {
            let mut need = self.dynamic.get(DT_VERNEED)?;
            // Two bounds of one byte each: no real image has as many, and records may overlap.
            for _ in 0..self.dynamic.get(DT_VERNEEDNUM)?.min(255) {
                let library = string(strings, memory.u32(need.checked_add(4)?)?.into())?;
                let mut auxiliary = need.checked_add(memory.u32(need.checked_add(8)?)?.into())?;
                for _ in 0..memory.number(need.checked_add(2)?, 2)?.min(255) {
                    found.push((memory.number(auxiliary.checked_add(6)?, 2)? & 0x7fff, library));
                    auxiliary = auxiliary.checked_add(memory.u32(auxiliary.checked_add(12)?)?.into())?;
                }
                need = need.checked_add(memory.u32(need.checked_add(12)?)?.into())?;
            }
            Some(())
        };
        // What is cut off is just not known.
        let _ = walk();
        found.sort_by_key(|(number, _)| *number);
        found
    }

    fn relocations(&mut self, symbols: &[DynamicSymbol<'a>]) {
        let plt_rela = self.dynamic.get(DT_PLTREL) == u64::try_from(DT_RELA.0).ok();
        let tables = [(DT_RELA, DT_RELASZ, true), (DT_REL, DT_RELSZ, false), (DT_JMPREL, DT_PLTRELSZ, plt_rela)];
        // A symbol's index among the imports, once it is known.
        let mut imported: Vec<Option<u32>> = vec![None; symbols.len()];
        let mut room = true;
        let mut forms = Vec::new();
        for (address, size, has_addend) in tables {
            let Some(table) = self.table(address, size) else { continue };
            let length = if has_addend { self.class.pick(12, 24) } else { self.class.pick(8, 16) };
            let form = if has_addend { "RELA" } else { "REL" };
            if !table.is_empty() && !forms.contains(&form) {
                forms.push(form);
            }
            for entry in table.chunks_exact(usize::try_from(length).unwrap_or(24)) {
                room = room && self.relocation(entry, has_addend, symbols, &mut imported).unwrap_or(true);
            }
        }
        if let Some(table) = self.table(DT_RELR, DT_RELRSZ) {
            forms.push("RELR");
            self.packed(table);
        }
        self.parts.relocation_form = Some(match forms.as_slice() {
            ["RELA"] => "RELA",
            ["REL"] => "REL",
            ["RELA", "RELR"] => "RELA and RELR",
            ["REL", "RELR"] => "REL and RELR",
            ["RELR"] => "RELR",
            _ => "none",
        });
    }

    /// Notes a relocation. Says whether there is room for more.
    fn relocation(
        &mut self,
        entry: &[u8],
        has_addend: bool,
        symbols: &[DynamicSymbol<'a>],
        imported: &mut [Option<u32>],
    ) -> Option<bool> {
        let class = self.class;
        let place = class.word(entry, 0)?;
        let info = class.word(entry, class.word)?;
        let (symbol, kind) = if class.word == 8 { (info >> 32, info & 0xffff_ffff) } else { (info >> 8, info & 0xff) };
        let addend = if has_addend {
            class.word(entry, class.word.checked_mul(2)?)?
        } else {
            self.parts.memory.number(place, class.word).unwrap_or_default()
        };
        let known = kinds(self.machine).iter().find(|(number, _, _)| u64::from(*number) == kind);
        let Some(&(_, name, stores)) = known else {
            self.parts.count(format!("relocation {kind}"));
            return Some(true);
        };
        self.parts.count(name);
        let mask = if class.word == 8 { u64::MAX } else { 0xffff_ffff };
        let fix = match stores {
            Stores::Nothing => return Some(true),
            Stores::Relative => Fix::Address(addend & mask),
            Stores::Symbol { adds } => {
                let index = usize::try_from(symbol).ok()?;
                let addend = if adds { addend } else { 0 };
                match symbols.get(index)? {
                    (_, Some(value)) => Fix::Address(value.wrapping_add(addend) & mask),
                    (name, None) => {
                        let known = imported.get_mut(index)?;
                        Fix::Import(*known.get_or_insert_with(|| self.parts.memory.import(name)))
                    }
                }
            }
        };
        Some(self.parts.memory.fix(place, fix))
    }

    /// Notes relative relocations in their packed form (gABI, *Relative Relocation Table*): an even word is an address, an
    /// odd one has a bit for each of the words after those before.
    fn packed(&mut self, table: &[u8]) {
        let word = self.class.word;
        let mut next = 0_u64;
        let mut count = 0_u64;
        for entry in table.chunks_exact(usize::try_from(word).unwrap_or(8)) {
            let Some(value) = self.class.word(entry, 0) else { break };
            if value & 1 == 0 {
                count = count.saturating_add(1);
                if !self.packed_at(value) {
                    break;
                }
                next = value.wrapping_add(word);
                continue;
            }
            let mut bits = value >> 1;
            let mut place = next;
            while bits != 0 {
                if bits & 1 != 0 {
                    count = count.saturating_add(1);
                    if !self.packed_at(place) {
                        break;
                    }
                }
                bits >>= 1;
                place = place.wrapping_add(word);
            }
            next = next.wrapping_add(word.saturating_mul(word.saturating_mul(8).saturating_sub(1)));
        }
        if count > 0 {
            self.parts.relocations.insert("RELR (relative)".into(), count);
        }
    }

    fn packed_at(&mut self, place: u64) -> bool {
        let value = self.parts.memory.number(place, self.class.word).unwrap_or_default();
        self.parts.memory.fix(place, Fix::Address(value))
    }
}

/// What a dynamic relocation stores.
#[derive(Debug, Clone, Copy)]
enum Stores {
    /// The image's base and the addend.
    Relative,
    /// A symbol's address, and the addend if it adds.
    Symbol { adds: bool },
    /// What cannot be known before the image runs.
    Nothing,
}

/// The dynamic relocations of each machine: the tables of relocation types of its psABI.
fn kinds(machine: u16) -> &'static [(u32, &'static str, Stores)] {
    use Stores::{Nothing, Relative, Symbol};
    const ADDS: Stores = Symbol { adds: true };
    const PLAIN: Stores = Symbol { adds: false };
    match Machine(machine) {
        object::elf::EM_X86_64 => &[
            (1, "R_X86_64_64", ADDS),
            (6, "R_X86_64_GLOB_DAT", PLAIN),
            (7, "R_X86_64_JUMP_SLOT", PLAIN),
            (8, "R_X86_64_RELATIVE", Relative),
            (37, "R_X86_64_IRELATIVE", Nothing),
        ],
        object::elf::EM_386 => &[
            (1, "R_386_32", ADDS),
            (6, "R_386_GLOB_DAT", PLAIN),
            (7, "R_386_JUMP_SLOT", PLAIN),
            (8, "R_386_RELATIVE", Relative),
            (42, "R_386_IRELATIVE", Nothing),
        ],
        object::elf::EM_AARCH64 => &[
            (257, "R_AARCH64_ABS64", ADDS),
            (1025, "R_AARCH64_GLOB_DAT", ADDS),
            (1026, "R_AARCH64_JUMP_SLOT", PLAIN),
            (1027, "R_AARCH64_RELATIVE", Relative),
            (1032, "R_AARCH64_IRELATIVE", Nothing),
        ],
        object::elf::EM_ARM => &[
            (2, "R_ARM_ABS32", ADDS),
            (21, "R_ARM_GLOB_DAT", PLAIN),
            (22, "R_ARM_JUMP_SLOT", PLAIN),
            (23, "R_ARM_RELATIVE", Relative),
            (160, "R_ARM_IRELATIVE", Nothing),
        ],
        object::elf::EM_RISCV => &[
            (2, "R_RISCV_64", ADDS),
            (3, "R_RISCV_RELATIVE", Relative),
            (5, "R_RISCV_JUMP_SLOT", PLAIN),
            (58, "R_RISCV_IRELATIVE", Nothing),
        ],
        object::elf::EM_PPC64 => &[
            (20, "R_PPC64_GLOB_DAT", ADDS),
            (21, "R_PPC64_JMP_SLOT", PLAIN),
            (22, "R_PPC64_RELATIVE", Relative),
            (38, "R_PPC64_ADDR64", ADDS),
            (248, "R_PPC64_IRELATIVE", Nothing),
        ],
        _ => &[],
    }
}
