//! How the functions of the image are unwound, gathered from the objects.
//!
//! An object describes most functions in `__LD,__compact_unwind`, 32 bytes each: the function's address, its size, the
//! encoding, the personality and the language-specific data, of which the addresses are relocated. Functions whose
//! frames an encoding cannot tell have a record in `__TEXT,__eh_frame`, which the image has too, without the records of what is
//! left out ([`frames`](super::frames)).
//!
//! Compilers for x86-64 write `__eh_frame` without relocations: since the distance from a record to its function does not
//! change in the object, the assembler puts it in. In the image it does change, so parsing adds the relocations that are
//! missing ([`missing`]).

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexSet;

use super::{ObjectInfo, Table, table_output};
use crate::bytes;
use crate::error::{Error, Errors};
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::model::{Object, ObjectId, Section, SectionFlags, SectionIndex, SymbolIndex, SymbolSection, Traits};
use crate::options::Arch;
use crate::reloc::{self, Origin, RawReloc, What};
use crate::scan::Scan;
use crate::slots::SymbolRef;
use crate::symbols::Needs;
use crate::unwind::compact::{self, Entry, PERSONALITIES, UnwindInfo};
use crate::unwind::eh_frame::{self, Fde};
use crate::unwind::pointer::Encoding;

/// Bytes of an entry of `__compact_unwind`.
pub(super) const ENTRY: u64 = 32;
/// The encoding's bits that say what the personality and the language-specific data are; the linker fills them.
const NOT_ENCODED: u32 = 0x7000_0000;
/// Bytes of an address.
const ADDRESS: u8 = 8;

/// How functions are unwound, before they have addresses.
#[derive(Debug, Default)]
pub(crate) struct Unwind {
    functions: Vec<Function>,
    /// The personalities, which all have a slot in the GOT.
    personalities: Personalities,
}

/// Personality routines in the order they are met, each once: damaged tables may have any number.
type Personalities = IndexSet<SymbolRef, foldhash::quality::RandomState>;

/// How one function is unwound.
#[derive(Debug, Clone, Copy)]
struct Function {
    object: ObjectId,
    place: (SectionIndex, u64),
    size: u32,
    encoding: u32,
    personality: Option<u32>,
    lsda: Option<(SectionIndex, u64)>,
    /// Its record in `__eh_frame`.
    record: Option<(SectionIndex, u64)>,
}

impl Unwind {
    /// Reads the unwind tables of all objects, and adds to `found` that personalities need slots.
    ///
    /// # Errors
    /// Tables that are malformed; more personalities than an image can have.
    pub(crate) fn gather(link: &Link<'_>, found: &mut Scan) -> Result<Self, Errors> {
        let ids: Vec<ObjectId> = link.objects().map(|(id, _)| id).collect();
        let results = link.workers.map(&ids, |id| Gatherer::new(link, *id).object());
        let mut unwind = Self::default();
        let mut problems = Vec::new();
        for result in results {
            match result {
                Ok((functions, personalities)) => unwind.add(link, found, functions, &personalities),
                Err(problem) => problems.push(problem),
            }
        }
        Errors::check(problems)?;
        if unwind.personalities.len() > PERSONALITIES {
            return Err(Error::Limit {
                name: "compact unwind",
                what: "the number of personality routines".to_owned(),
                wanted: unwind.personalities.len() as u64,
                limit: PERSONALITIES as u64,
            }
            .into());
        }
        Ok(unwind)
    }

    /// Adds the functions of an object, whose personalities are numbered by itself.
    fn add(&mut self, link: &Link<'_>, found: &mut Scan, functions: Vec<Function>, personalities: &Personalities) {
        let mut numbers = Vec::new();
        for personality in personalities {
            let (number, is_new) = self.personalities.insert_full(*personality);
            if is_new {
                match personality {
                    SymbolRef::Global(id) => link.symbols.get(*id).require(Needs::GOT),
                    SymbolRef::Local(object, symbol) => {
                        let traits = link.object(*object).symbols.get(*symbol as usize).map(|symbol| symbol.traits);
                        found.locals.push((*object, *symbol, Needs::GOT, traits.unwrap_or_default()));
                    }
                }
            }
            numbers.push(u32::try_from(number).unwrap_or(u32::MAX));
        }
        self.functions.extend(functions.into_iter().map(|function| {
            let personality = function.personality.and_then(|number| numbers.get(number as usize).copied());
            Function { personality, ..function }
        }));
    }

    /// `__unwind_info`. Sections that have no address yet count as being at 0: the size is the same.
    pub(crate) fn info(&self, link: &Link<'_>, starts: &[u64]) -> UnwindInfo {
        let arch = link.target.arch;
        // Most a DWARF-mode encoding can hold; a record before that, as a hint to start from.
        let mut hint = 0;
        let address = |object, place: (SectionIndex, u64)| link.address_in(object, place.0, place.1);
        let frames = link.outputs.iter().find(|output| output.flags.has(SectionFlags::EH_FRAME));
        let start = frames.map_or(0, |frames| frames.address);
        let mut entries = Vec::with_capacity(self.functions.len());
        for function in &self.functions {
            let Some(at) = address(function.object, function.place) else { continue };
            let record = function.record.and_then(|record| address(function.object, record));
            let encoding = match record {
                Some(record) => {
                    let offset = record.wrapping_sub(start);
                    if offset <= u64::from(compact::DWARF_OFFSET) {
                        hint = offset.max(hint);
                    }
                    compact::dwarf_encoding(function.encoding, offset.min(hint))
                }
                None => function.encoding,
            };
            let (personality, lsda) = (function.personality, function.lsda);
            let late = if malfunction::on(Malfunction::CompactUnwindOff) { 4 } else { 0 };
            entries.push(Entry {
                function: at.saturating_add(late),
                size: function.size.into(),
                encoding,
                personality,
                lsda: lsda.map(|lsda| address(function.object, lsda).unwrap_or(0)),
            });
        }
        UnwindInfo::new(arch, entries, starts, self.personalities.len())
    }

    /// Whether there is nothing to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The addresses of the slots with the personalities' addresses.
    pub(crate) fn personality_slots(&self, link: &Link<'_>) -> Vec<u64> {
        let got = table_output(link, Table::Got).map_or(0, |got| got.address);
        let slot = |personality: &SymbolRef| {
            let word = link.slots.of(*personality).got.unwrap_or(0);
            got.wrapping_add(u64::from(word).wrapping_mul(8))
        };
        self.personalities.iter().map(slot).collect()
    }

    /// Bytes of memory that it has taken.
    pub(crate) fn held(&self) -> u64 {
        let personalities = (self.personalities.capacity() as u64).saturating_mul(size_of::<SymbolRef>() as u64);
        crate::memory::of_vec(&self.functions).saturating_add(personalities)
    }
}

/// Relocations of a section by their offsets in it, in bytes.
type Relocs = HashMap<u64, RawReloc, foldhash::quality::RandomState>;

/// For functions, by their places, the places of their records in `__eh_frame`, and the functions' sizes.
type Records = BTreeMap<(SectionIndex, u64), ((SectionIndex, u64), u64)>;

/// Reads the tables of one object.
struct Gatherer<'l, 'a> {
    link: &'l Link<'a>,
    id: ObjectId,
    object: &'l Object<'a>,
    info: Option<&'l ObjectInfo>,
    personalities: Personalities,
    /// The symbol at each place, once a personality is told by its place.
    named: Option<HashMap<(SectionIndex, u64), SymbolIndex, foldhash::quality::RandomState>>,
}

impl<'l, 'a> Gatherer<'l, 'a> {
    fn new(link: &'l Link<'a>, id: ObjectId) -> Self {
        let object = link.object(id);
        let personalities = Personalities::default();
        Self { link, id, object, info: object.info.macho(), personalities, named: None }
    }

    fn object(mut self) -> Result<(Vec<Function>, Personalities), Error> {
        let mut records = self.records()?;
        let mut functions = Vec::new();
        for section in self.object.sections.iter().filter(|section| section.name == b"__compact_unwind") {
            self.compact(section, &mut records, &mut functions)?;
        }
        // What only `__eh_frame` describes.
        let arch = self.link.target.arch;
        for (place, (record, size)) in records {
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            let encoding = compact::dwarf_mode(arch);
            let record = Some(record);
            functions.push(Function { object: self.id, place, size, encoding, personality: None, lsda: None, record });
        }
        Ok((functions, self.personalities))
    }

    fn malformed(&self, section: &Section<'_>, offset: u64, what: &str) -> Error {
        let name = String::from_utf8_lossy(section.name);
        Error::malformed(&self.object.name, format!("{name}+0x{offset:x}: {what}"))
    }

    /// The place in the object that a relocation leads to.
    fn place(&self, raw: &RawReloc) -> Option<(SectionIndex, u64)> {
        let (index, offset) = self.place_of(raw)?;
        self.object.sections.get(index as usize).is_some_and(Section::is_live).then_some((index, offset))
    }

    /// The same, be its section part of the image or not.
    fn place_of(&self, raw: &RawReloc) -> Option<(SectionIndex, u64)> {
        let symbol = self.object.symbols.get(raw.symbol as usize)?;
        let SymbolSection::In(index) = symbol.section() else { return None };
        let section = self.object.sections.get(index as usize)?;
        let offset = symbol.value.wrapping_add_signed(raw.addend);
        (offset <= section.size).then_some((index, offset))
    }

    /// Whether a relocation leads to what has been left out.
    fn is_left_out(&self, raw: &RawReloc) -> bool {
        let symbol = self.object.symbols.get(raw.symbol as usize);
        symbol.and_then(|symbol| self.object.symbol_section(symbol)).is_some_and(Section::is_left_out)
    }

    /// Reads a `__compact_unwind`. Records of `__eh_frame` that its entries refer to are taken out of `records`, and so are
    /// those that they make superfluous.
    fn compact(
        &mut self,
        section: &Section<'_>,
        records: &mut Records,
        functions: &mut Vec<Function>,
    ) -> Result<(), Error> {
        let arch = self.link.target.arch;
        let size = section.data.len() as u64;
        if size.checked_rem(ENTRY) != Some(0) {
            return Err(self.malformed(section, size, "the table ends inside of an entry"));
        }
        let mut relocs = Relocs::with_capacity_and_hasher(section.relocs.len(), Default::default());
        for raw in reloc::decode(section, 0..section.relocs.len()) {
            let reloc = reloc::understand(self.link.target, raw);
            let plain = reloc.is_some_and(|reloc| reloc.value == What::Symbol.from(Origin::Zero));
            let known = matches!(raw.offset.checked_rem(ENTRY), Some(0 | 16 | 24)) && raw.offset < size;
            if !plain || !known {
                return Err(self.malformed(section, raw.offset, "no relocation of this kind belongs here"));
            }
            relocs.insert(raw.offset, raw);
        }
        for start in (0..size).step_by(usize::try_from(ENTRY).unwrap_or(usize::MAX)) {
            let field = |at: u64| start.saturating_add(at);
            let word = |at: u64| bytes::u32(&section.data, field(at)).unwrap_or(0);
            if relocs.get(&start).is_some_and(|raw| self.is_left_out(raw)) {
                continue;
            }
            let place = relocs.get(&start).and_then(|raw| self.place(raw));
            let place = place.ok_or_else(|| self.malformed(section, start, "the entry describes no function"))?;
            let encoding = word(12) & !NOT_ENCODED;
            let record = records.remove(&place).map(|(record, _)| record);
            let personality = match relocs.get(&field(16)) {
                Some(raw) => Some(self.personality(section, raw)?),
                None => None,
            };
            let lsda = match relocs.get(&field(24)) {
                Some(raw) => {
                    let place = self.place(raw);
                    Some(place.ok_or_else(|| {
                        self.malformed(section, field(24), "the language-specific data are not in the object")
                    })?)
                }
                None => None,
            };
            let record = record.filter(|_| compact::is_dwarf(arch, encoding));
            functions.push(Function { object: self.id, place, size: word(8), encoding, personality, lsda, record });
        }
        Ok(())
    }

    /// The number of a personality.
    fn personality(&mut self, section: &Section<'_>, raw: &RawReloc) -> Result<u32, Error> {
        let reference = match self.reference(raw.symbol).filter(|_| raw.addend == 0) {
            // Of a copy that is not taken, the symbol tells which one is.
            None => {
                self.place_of(raw).and_then(|place| self.symbol_at(place)).and_then(|number| self.reference(number))
            }
            known => known,
        };
        let reference = reference
            .ok_or_else(|| self.malformed(section, raw.offset, "the personality routine is no symbol of the object"))?;
        let (number, _) = self.personalities.insert_full(reference);
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// The first global symbol at a place or, without one, the first that has a name: assemblers for arm64 put labels before it.
    fn symbol_at(&mut self, place: (SectionIndex, u64)) -> Option<SymbolIndex> {
        let object = self.object;
        let named = self.named.get_or_insert_with(|| {
            let mut named = HashMap::default();
            for global in [true, false] {
                for (symbol, number) in object.symbols.iter().zip(0..) {
                    if let SymbolSection::In(index) = symbol.section()
                        && symbol.name != u32::MAX
                        && symbol.global.get().is_some() == global
                    {
                        named.entry((index, symbol.value)).or_insert(number);
                    }
                }
            }
            named
        });
        named.get(&place).copied()
    }

    fn reference(&self, index: SymbolIndex) -> Option<SymbolRef> {
        let symbol = self.object.symbols.get(index as usize)?;
        if let Some(global) = symbol.global.get() {
            return Some(SymbolRef::Global(global));
        }
        let named = symbol.name != u32::MAX && !symbol.traits.has(Traits::DISCARDED);
        named.then_some(SymbolRef::Local(self.id, index))
    }

    /// The records of `__eh_frame` by the functions they describe, with the functions' sizes.
    fn records(&self) -> Result<Records, Error> {
        let mut records = BTreeMap::new();
        for (section, index) in self.object.sections.iter().zip(0_u32..) {
            if !section.flags.has(SectionFlags::EH_FRAME) || !section.is_live() {
                continue;
            }
            let relocs: Relocs = reloc::decode(section, 0..section.relocs.len()).map(|raw| (raw.offset, raw)).collect();
            for description in eh_frame::descriptions(&section.data, ADDRESS) {
                let fde = description.map_err(|problem| self.malformed(section, problem.offset, problem.what))?;
                let raw = relocs.get(&fde.pc_begin.offset);
                let place = raw.and_then(|raw| self.function(index, raw));
                let place = place.ok_or_else(|| {
                    self.malformed(section, fde.record.offset, "the record describes no function of the object")
                })?;
                records.insert(place, ((index, fde.record.offset), fde.pc_range));
            }
        }
        Ok(records)
    }

    /// The function whose address relative to its field a relocation stores.
    fn function(&self, index: SectionIndex, raw: &RawReloc) -> Option<(SectionIndex, u64)> {
        let reloc = reloc::understand(self.link.target, *raw)?;
        let Origin::Symbol(minus) = reloc.value.from else { return self.place(raw) };
        // What is subtracted is a place in this section: how far it is from the field is part of what is added.
        let minus =
            self.object.symbols.get(minus as usize).filter(|symbol| symbol.section() == SymbolSection::In(index))?;
        let symbol = self.object.symbols.get(raw.symbol as usize)?;
        let SymbolSection::In(to) = symbol.section() else { return None };
        let target = self.object.sections.get(to as usize).filter(|target| target.is_live())?;
        let info = self.info?;
        // The sum in addresses of the object, where the section's symbol is 0.
        let address = |section, value: u64| info.address(section).wrapping_add(value);
        let field = address(index, raw.offset);
        let function = address(to, symbol.value).wrapping_sub(address(index, minus.value));
        let function = function.wrapping_add(field).wrapping_add_signed(raw.addend);
        let offset = function.wrapping_sub(info.address(to));
        (offset <= target.size).then_some((to, offset))
    }
}

/// The relocations that an `__eh_frame` lacks: those of fields that hold distances to functions and to language-specific
/// data, and that the assembler has computed. As table entries in no order.
///
/// `number` is the section's, `sections` are addresses and sizes of all.
///
/// # Errors
/// What is malformed, and where.
pub(super) fn missing(
    arch: Arch,
    data: &[u8],
    number: u32,
    sections: &[(u64, u64)],
    known: &std::collections::HashSet<u64>,
) -> Result<Vec<[u8; 8]>, (u64, &'static str)> {
    let mut entries = Vec::new();
    let own = (number as usize).checked_sub(1).and_then(|at| sections.get(at)).map_or(0, |section| section.0);
    for description in eh_frame::descriptions(data, ADDRESS) {
        let fde: Fde = description.map_err(|problem| (problem.offset, problem.what))?;
        let fields =
            [Some((fde.pc_begin, fde.encoding)), fde.lsda.zip(fde.lsda_encoding).filter(|(lsda, _)| lsda.value != 0)];
        for (field, encoding) in fields.into_iter().flatten() {
            if known.contains(&field.offset) {
                continue;
            }
            let relative = encoding.0 & !0x0f == Encoding::PCREL;
            let (true, Some(size)) = (relative, encoding.size(ADDRESS)) else {
                return Err((field.offset, "an address that is not relative to its field, without a relocation"));
            };
            let length = match size {
                8 => 3_u32,
                4 => 2,
                _ => return Err((field.offset, "a distance of fewer than four bytes")),
            };
            let offset = u32::try_from(field.offset).map_err(|_| (field.offset, "beyond what relocations can name"))?;
            let stored = if size == 4 { i64::from(low_half(field.value)) } else { field.value.cast_signed() };
            let target = own.wrapping_add(field.offset).wrapping_add_signed(stored);
            let inside = |(start, size): &(u64, u64)| (*start..start.saturating_add(*size)).contains(&target);
            // A function without a byte may stand at its section's end.
            let end = |(start, size): &(u64, u64)| start.saturating_add(*size) == target;
            let to = sections.iter().position(inside).or_else(|| sections.iter().position(end));
            let to = to.and_then(|at| u32::try_from(at).ok());
            let to = to.ok_or((field.offset, "a distance that leads to no section"))?.saturating_add(1);
            // SUBTRACTOR of this section, then UNSIGNED of the target's.
            let (minus, plain) = super::relocs::pair(arch);
            for (kind, section) in [(minus, number), (plain, to)] {
                let [o0, o1, o2, o3] = offset.to_le_bytes();
                let [i0, i1, i2, i3] = (section | (length << 25) | (kind << 28)).to_le_bytes();
                entries.push([o0, o1, o2, o3, i0, i1, i2, i3]);
            }
        }
    }
    Ok(entries)
}

fn low_half(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}
