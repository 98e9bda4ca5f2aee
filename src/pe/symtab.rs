//! The COFF symbol table: every function and datum of every object, so that debuggers and stack traces find them by name.
//!
//! Images need none; MinGW's keep it, behind everything that is mapped, and with it the string table in which names of more
//! than eight bytes stand, those of sections too. The string table is that of each object one after the other, as it
//! is: a name only shifts by where its object's table starts.
//!
//! Source: PE/COFF specification, *COFF Symbol Table*, *COFF String Table*.

use std::collections::BTreeMap;

use object::pe;

use super::parse::{AUXILIARY, UNLISTED};
use super::{Place, Table, section_at};
use crate::error::Error;
use crate::link::{Link, over};
use crate::model::{Binding, GlobalId, Object, ObjectId, SHORT_NAME, Symbol, SymbolKind, SymbolSection};
use crate::options::Strip;
use crate::symbols::{Anchor, Definition};
use crate::thunks;

/// The size of a record, in bytes.
const RECORD: usize = 18;
/// The size of what the string table starts with: its size.
const SIZE_FIELD: u64 = 4;
/// Marks of compilers to linkers, which say nothing of an image.
const MARKS: [&[u8]; 3] = [b"@feat.00", b"@comp.id", b"@vol.md"];

/// The symbol table and the start of the string table.
#[derive(Debug)]
pub(crate) struct SymbolTable {
    /// File offset of the first record.
    pub(crate) offset: u64,
    /// The number of records.
    pub(crate) count: u32,
    /// The records, one stretch after the other.
    pub(crate) records: Vec<Vec<u8>>,
    /// The size of the string table and the strings that no object has.
    pub(crate) strings: Vec<u8>,
    /// Where each object's strings start in the string table.
    pub(crate) bases: Vec<u64>,
    /// The size of the string table, in bytes.
    pub(crate) strings_size: u64,
    /// Where the names of sections that are longer than eight bytes are in the string table.
    pub(crate) section_names: BTreeMap<Vec<u8>, u32>,
}

impl SymbolTable {
    /// The table of a link whose addresses are fixed, at a file offset; none if it would be empty.
    ///
    /// # Errors
    /// Strings or symbols beyond what the format can count.
    pub(crate) fn new(link: &Link<'_>, offset: u64) -> Result<Option<Self>, Error> {
        let mut strings = vec![0; SIZE_FIELD as usize];
        let mut section_names = BTreeMap::new();
        for section in &link.pe.sections {
            // Names that the loader's own tools read are cut, as by other linkers; those that debuggers look for are not.
            let discardable = section.characteristics & pe::IMAGE_SCN_MEM_DISCARDABLE.0 != 0;
            let kept = link.options.pe.long_section_names && discardable;
            if section.name.len() > 8 && kept && !section_names.contains_key(&section.name) {
                section_names.insert(section.name.clone(), strings.len() as u32);
                strings.extend_from_slice(&section.name);
                strings.push(0);
            }
        }
        let listed = link.options.strip != Strip::All;
        let extra: Vec<GlobalId> =
            link.symbols.iter().map(|(id, _)| id).filter(|id| listed && is_extra(link, *id)).collect();
        let mut extra_names = Vec::new();
        for id in &extra {
            let name = link.symbols.get(*id).name;
            extra_names.push(strings.len() as u32);
            if name.len() > 8 {
                strings.extend_from_slice(name);
                strings.push(0);
            }
        }
        // Code that carries branches farther has names for debuggers; what marks it on other systems is for others.
        let mut thunks = Vec::new();
        for thunk in thunks::symbols(link).filter(|thunk| listed && thunk.size > 0) {
            let text = thunk.name.concat();
            let Some(section) = link.pe.section_of.get(thunk.output as usize) else { continue };
            let Some(place) = within(link, *section, thunk.address) else { continue };
            let start = text.get(..9).unwrap_or(&text);
            push(&mut thunks, start, strings.len() as u32, place, SymbolKind::Function, Binding::Local);
            if text.len() > 8 {
                strings.extend(text);
                strings.push(0);
            }
        }
        let mut end = strings.len() as u64;
        let mut bases = Vec::new();
        let mut records = Vec::new();
        if listed {
            for object in &link.objects {
                bases.push(end);
                end += strings_size(object);
            }
            over("COFF string table", "the size of all symbols' names", end, u32::MAX.into())?;
            let ids: Vec<ObjectId> = link.objects().map(|(id, _)| id).collect();
            records = link.workers.map(&ids, |id| of_object(link, *id, bases[id.index()] as u32));
            let mut made = Vec::new();
            for (id, name) in extra.iter().zip(extra_names) {
                of_extra(link, *id, name, &mut made);
            }
            records.push(made);
            records.push(thunks);
        }
        let count = records.iter().map(|records| (records.len() / RECORD) as u64).sum();
        over("COFF symbol table", "the number of symbols", count, u32::MAX.into())?;
        if count == 0 && section_names.is_empty() {
            return Ok(None);
        }
        strings[..4].copy_from_slice(&(end as u32).to_le_bytes());
        Ok(Some(Self { offset, count: count as u32, records, strings, bases, strings_size: end, section_names }))
    }

    /// File offset of the string table.
    pub(crate) fn strings_offset(&self) -> u64 {
        self.offset + u64::from(self.count) * RECORD as u64
    }
}

/// The size of an object's strings, with the NUL byte that the last one may lack.
fn strings_size(object: &Object<'_>) -> u64 {
    let ended = object.strings.last().is_none_or(|last| *last == 0);
    object.strings.len() as u64 + u64::from(!ended)
}

/// Whether a global symbol is in the table, and no object's.
fn is_extra(link: &Link<'_>, id: GlobalId) -> bool {
    let global = link.symbols.get(id);
    match global.definition {
        Definition::Allotted(..) | Definition::Absolute(_) => true,
        Definition::Anchor(_) => global.mention.is_some() || link.pe.entry == Some(id),
        _ => false,
    }
}

/// The records of an object's symbols: those that it defines.
fn of_object(link: &Link<'_>, id: ObjectId, base: u32) -> Vec<u8> {
    let object = link.object(id);
    let addresses = link.addresses.get(id.index()).map(Vec::as_slice).unwrap_or_default();
    let mut records = Vec::new();
    for (index, symbol) in object.symbols.iter().enumerate() {
        if symbol.other & (AUXILIARY | UNLISTED) != 0 || matches!(symbol.kind, SymbolKind::Section | SymbolKind::File) {
            continue;
        }
        if let Some(global) = symbol.global.get()
            && link.symbols.get(global).definition != Definition::Object(id, index as u32)
        {
            continue;
        }
        let Some(place) = place(link, id, symbol, addresses.get(index).copied().unwrap_or(0)) else { continue };
        let text = object.symbol_name_start(symbol, 9);
        if text.is_empty() || MARKS.contains(&text) {
            continue;
        }
        let name = base.wrapping_add(symbol.name & !SHORT_NAME);
        push(&mut records, text, name, place, symbol.kind, symbol.binding);
    }
    records
}

/// Value and section number of a symbol at an address; none if it is not in the image.
fn place(link: &Link<'_>, id: ObjectId, symbol: &Symbol, address: u64) -> Option<(u32, i16)> {
    match symbol.section() {
        SymbolSection::In(section) => {
            let section = link.section(id, section);
            let number = link.pe.section_of.get(section.output as usize).copied().filter(|_| section.is_live())?;
            within(link, number, address)
        }
        SymbolSection::Absolute => Some((u32::try_from(symbol.value).ok()?, pe::IMAGE_SYM_ABSOLUTE.0 as i16)),
        SymbolSection::Undefined | SymbolSection::Common(_) => None,
    }
}

/// An address as an offset in a section, with the section's number.
fn within(link: &Link<'_>, section: u16, address: u64) -> Option<(u32, i16)> {
    let start = link.pe.sections.get(usize::from(section))?.address;
    Some((u32::try_from(address.checked_sub(start)?).ok()?, i16::try_from(section.checked_add(1)?).ok()?))
}

/// The record of a symbol that no object defines.
fn of_extra(link: &Link<'_>, id: GlobalId, name: u32, records: &mut Vec<u8>) {
    let global = link.symbols.get(id);
    let address = link.global_address(id);
    let place = match global.definition {
        Definition::Absolute(value) => u32::try_from(value).ok().map(|value| (value, pe::IMAGE_SYM_ABSOLUTE.0 as i16)),
        _ => section_at(link, address).and_then(|section| within(link, section, address)),
    };
    let code =
        matches!(global.definition, Definition::Anchor(Anchor::Pe(Place::Thunk(_) | Place::Start(Table::Entry))));
    let kind = if code { SymbolKind::Function } else { SymbolKind::None };
    if let Some(place) = place {
        push(records, global.name.get(..9).unwrap_or(global.name), name, place, kind, Binding::Global);
    }
}

/// Adds a record; `text` is the name, or as much of it as says that it is longer than eight bytes, and `name` where it is in
/// the string table.
fn push(
    records: &mut Vec<u8>,
    text: &[u8],
    name: u32,
    (value, section): (u32, i16),
    kind: SymbolKind,
    binding: Binding,
) {
    if text.len() <= 8 {
        let mut short = [0; 8];
        short[..text.len()].copy_from_slice(text);
        records.extend(short);
    } else {
        records.extend([0; 4]);
        records.extend(name.to_le_bytes());
    }
    records.extend(value.to_le_bytes());
    records.extend(section.to_le_bytes());
    records.extend(if kind == SymbolKind::Function { 0x20_u16 } else { 0 }.to_le_bytes());
    let class = if binding == Binding::Local { pe::IMAGE_SYM_CLASS_STATIC } else { pe::IMAGE_SYM_CLASS_EXTERNAL };
    records.extend([class.0, 0]);
}
