//! Where in the source an address of one object comes from, for error messages.
//!
//! A failing link names the file and the line of each problem where the object's DWARF tells. The questions are few, so
//! nothing is indexed: each walks the units whose address ranges contain the address.
//!
//! The DWARF is as untrusted as any input. Work is bounded by a budget in proportion to its size, as it is easy to make
//! units share an abbreviation table, a line program or a range list that is long, or entries with many attributes that
//! take no bytes. Whatever is broken, or beyond the budget, is answered with `None`.
//!
//! Four helpers of gimli are kept away from, as their sums can overflow with made-up numbers, which panics where overflow
//! checks are on: `die_ranges`, `skip_attributes`, the offsets of indexed range lists, and the line program's state
//! machine.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use std::convert::Infallible;
use std::sync::Arc;

use gimli::{AttributeValue, EndianSlice, LineInstruction, LittleEndian, Reader as _, SectionId, UnitOffset};

use crate::reader::{Malformed, Reader};

type Bytes<'data> = EndianSlice<'data, LittleEndian>;
type Value<'data> = AttributeValue<Bytes<'data>>;
type Unit<'data> = gimli::Unit<Bytes<'data>>;

/// The longest abbreviation table and the longest header of a line program that are read, in bytes. gimli keeps some
/// thirty to a hundred times as much in memory.
const TABLE_LIMIT: u64 = 1 << 20;
/// The longest name that is given, in bytes.
const NAME_LIMIT: usize = 4096;
/// References followed from a function to the entry that has its name.
const REFERENCE_LIMIT: usize = 8;

/// The DWARF of one relocatable object.
///
/// Its sections have been relocated by the caller, who gave each code section a base address of its own, so that an
/// address in a query says both section and offset. Bases must leave room for the largest section, and stay below the
/// last few addresses, which DWARF keeps for discarded code.
pub(crate) struct SourceLines<'data> {
    dwarf: gimli::Dwarf<Bytes<'data>>,
    /// Contents of `.debug_abbrev`, `.debug_line` and `.debug_rnglists`.
    abbreviations: &'data [u8],
    lines: &'data [u8],
    range_lists: &'data [u8],
    /// The abbreviation table read last, and its offset: LLVM's units share one.
    last: Option<(usize, Arc<gimli::Abbreviations>)>,
    /// Steps left: bytes, attributes, ranges.
    budget: u64,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourcePosition {
    /// The file as the compiler knew it: its name, behind its directory unless that is the one it was compiled in.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: u64,
}

/// Why there is no answer. Nobody is told.
struct Unknown;

impl From<gimli::Error> for Unknown {
    fn from(_: gimli::Error) -> Self {
        Self
    }
}

impl From<Malformed> for Unknown {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// The attributes that say where the code of a unit or a function is.
#[derive(Default)]
struct Code<'data> {
    low: Option<Value<'data>>,
    high: Option<Value<'data>>,
    ranges: Option<Value<'data>>,
}

impl<'data> SourceLines<'data> {
    /// Uses the sections that `load` gives: decompressed, relocated, empty where the object has none.
    pub(crate) fn new(mut load: impl FnMut(SectionId) -> &'data [u8]) -> Self {
        let mut size = 0_u64;
        let mut kept = |id| {
            let section = load(id);
            size = size.saturating_add(section.len() as u64);
            section
        };
        let abbreviations = kept(SectionId::DebugAbbrev);
        let lines = kept(SectionId::DebugLine);
        let range_lists = kept(SectionId::DebugRngLists);
        let load = |id| Ok::<_, Infallible>(EndianSlice::new(kept(id), LittleEndian));
        let Ok(dwarf) = gimli::Dwarf::load(load);
        // A question takes about one step for each byte of the units' headers and one line program; a failing link asks
        // some dozens.
        let budget = size.saturating_mul(64).saturating_add(1 << 16);
        Self { dwarf, abbreviations, lines, range_lists, last: None, budget }
    }

    /// The source line of the instruction at `address`.
    ///
    /// Where the compiler gave the instruction no line, that of the one before it in the same function.
    pub(crate) fn position(&mut self, address: u64) -> Option<SourcePosition> {
        self.search(address, |lines, unit| lines.position_in(unit, address))
    }

    /// The name of the function that contains `address`: the source's own, else the linker's.
    pub(crate) fn function(&mut self, address: u64) -> Option<String> {
        self.search(address, |lines, unit| lines.function_in(unit, address))
    }

    /// The first answer of `ask` among the units that contain `address` or do not say what they contain.
    fn search<T>(
        &mut self,
        address: u64,
        mut ask: impl FnMut(&mut Self, &Unit<'data>) -> Result<Option<T>, Unknown>,
    ) -> Option<T> {
        let mut headers = self.dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            self.spend(16).ok()?;
            // A unit that is broken does not spoil the others.
            let answer = self.unit(header).and_then(|(unit, code)| match self.contains(&unit, &code, address)? {
                Some(false) => Ok(None),
                Some(true) | None => ask(self, &unit),
            });
            if let Ok(Some(answer)) = answer {
                return Some(answer);
            }
        }
        None
    }

    fn unit(&mut self, header: gimli::UnitHeader<Bytes<'data>>) -> Result<(Unit<'data>, Code<'data>), Unknown> {
        let abbreviations = self.abbreviations(header.debug_abbrev_offset().0)?;
        let mut code = Code::default();
        let mut entries = header.entries_raw(&abbreviations, None)?;
        let root = entries.read_abbreviation()?.ok_or(Unknown)?;
        self.spend(root.attributes().len() as u64)?;
        for attribute in root.attributes() {
            let attribute = entries.read_attribute(*attribute)?;
            code.notice(attribute.name(), attribute.value());
            if let (gimli::DW_AT_stmt_list, AttributeValue::DebugLineRef(offset)) =
                (attribute.name(), attribute.value())
            {
                let size = line_header_size(self.lines, offset.0 as u64)?;
                self.spend(size)?;
            }
        }
        let unit = Unit::new_with_abbreviations(&self.dwarf, header, abbreviations)?;
        Ok((unit, code))
    }

    fn abbreviations(&mut self, offset: usize) -> Result<Arc<gimli::Abbreviations>, Unknown> {
        if let Some((last, abbreviations)) = &self.last
            && *last == offset
        {
            return Ok(Arc::clone(abbreviations));
        }
        let size = abbreviations_size(self.abbreviations, offset as u64)?;
        self.spend(size)?;
        let abbreviations = Arc::new(self.dwarf.debug_abbrev.abbreviations(gimli::DebugAbbrevOffset(offset))?);
        self.last = Some((offset, Arc::clone(&abbreviations)));
        Ok(abbreviations)
    }

    /// Whether `code` contains `address`; `None` if it does not say where it is.
    fn contains(&mut self, unit: &Unit<'data>, code: &Code<'data>, address: u64) -> Result<Option<bool>, Unknown> {
        if let Some(ranges) = &code.ranges {
            let offset = match *ranges {
                AttributeValue::RangeListsRef(offset) => self.dwarf.ranges_offset_from_raw(unit, offset),
                AttributeValue::DebugRngListsIndex(index) => self.range_list(unit, index.0)?,
                _ => return Err(Unknown),
            };
            let mut ranges = self.dwarf.ranges(unit, offset)?;
            while let Some(range) = ranges.next()? {
                self.spend(1)?;
                if range.begin <= address && address < range.end {
                    return Ok(Some(true));
                }
            }
            return Ok(Some(false));
        }
        let (Some(low), Some(high)) = (&code.low, &code.high) else { return Ok(None) };
        let low = self.dwarf.attr_address(unit, *low)?.ok_or(Unknown)?;
        let high = match high.udata_value() {
            Some(length) => low.saturating_add(length),
            None => self.dwarf.attr_address(unit, *high)?.ok_or(Unknown)?,
        };
        Ok(Some(low <= address && address < high))
    }

    /// The offset of a unit's range list by its index (DWARF 5, §7.28).
    fn range_list(&self, unit: &Unit<'data>, index: usize) -> Result<gimli::RangeListsOffset, Unknown> {
        let base = unit.rnglists_base.0 as u64;
        let size = u64::from(unit.encoding().format.word_size());
        let entry = (index as u64).checked_mul(size).and_then(|entry| entry.checked_add(base)).ok_or(Unknown)?;
        let mut reader = Reader::at(self.range_lists, entry, "")?;
        let offset = if size == 8 { reader.u64("")? } else { u64::from(reader.u32("")?) };
        let offset = offset.checked_add(base).and_then(|offset| usize::try_from(offset).ok()).ok_or(Unknown)?;
        Ok(gimli::RangeListsOffset(offset))
    }

    /// Runs the unit's line program (DWARF 5, §6.2) until it has passed `address`.
    fn position_in(&mut self, unit: &Unit<'data>, address: u64) -> Result<Option<SourcePosition>, Unknown> {
        let Some(program) = &unit.line_program else { return Ok(None) };
        let header = program.header();
        self.spend(header.raw_program_buf().len() as u64)?;
        let encoding = header.line_encoding();
        let step = u64::from(encoding.minimum_instruction_length);
        // What an opcode that advances both adds to address and line.
        let special = |opcode: u8| {
            let adjusted = opcode.wrapping_sub(header.opcode_base());
            let operations = adjusted.checked_div(encoding.line_range).unwrap_or(0);
            let line = adjusted.checked_rem(encoding.line_range).unwrap_or(0);
            (u64::from(operations).wrapping_mul(step), i64::from(line).saturating_add(i64::from(encoding.line_base)))
        };
        let mut row = Row::default();
        let mut last: Option<Row> = None;
        // The last row of the sequence that has a line.
        let mut last_line: Option<Row> = None;
        let mut instructions = header.instructions();
        while let Some(instruction) = instructions.next_instruction(header)? {
            let mut done = false;
            let mut end = false;
            match instruction {
                LineInstruction::Special(opcode) => {
                    let (advance, lines) = special(opcode);
                    row.address = row.address.wrapping_add(advance);
                    row.line = row.line.saturating_add_signed(lines);
                    done = true;
                }
                LineInstruction::Copy => done = true,
                LineInstruction::AdvancePc(operations) => {
                    row.address = row.address.wrapping_add(operations.wrapping_mul(step));
                }
                LineInstruction::ConstAddPc => row.address = row.address.wrapping_add(special(255).0),
                LineInstruction::FixedAddPc(bytes) => row.address = row.address.wrapping_add(u64::from(bytes)),
                LineInstruction::AdvanceLine(lines) => row.line = row.line.saturating_add_signed(lines),
                LineInstruction::SetFile(file) => row.file = file,
                LineInstruction::SetAddress(to) => row.address = to,
                LineInstruction::EndSequence => (done, end) = (true, true),
                _ => {}
            }
            if !done {
                continue;
            }
            if let Some(last) = last
                && last.address <= address
                && address < row.address
            {
                let row = if last.line == 0 { last_line } else { Some(last) };
                return Ok(row.and_then(|row| self.source_position(unit, header, row)));
            }
            last = Some(row);
            if row.line != 0 {
                last_line = last;
            }
            if end {
                (row, last, last_line) = (Row::default(), None, None);
            }
        }
        Ok(None)
    }

    fn source_position(
        &self,
        unit: &Unit<'data>,
        header: &gimli::LineProgramHeader<Bytes<'data>>,
        row: Row,
    ) -> Option<SourcePosition> {
        // Both tables count from 1 before DWARF 5, where directory 0 is the one of the compilation.
        let first = if header.version() <= 4 { 1 } else { 0 };
        let at = |index: u64| index.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let file = header.file_names().get(at(row.file)?)?;
        let name = text(self.dwarf.attr_string(unit, file.path_name()).ok()?);
        let directory = match file.directory_index() {
            0 => None,
            index => at(index).and_then(|index| header.include_directories().get(index)),
        };
        let directory = directory.and_then(|value| self.dwarf.attr_string(unit, *value).ok()).map(text);
        let absolute = name.starts_with('/') || name.starts_with('\\') || name.get(1..3) == Some(":\\");
        let file = match directory {
            Some(directory) if !absolute && !directory.is_empty() && directory != "." => {
                format!("{}/{name}", directory.trim_end_matches('/'))
            }
            _ => name,
        };
        Some(SourcePosition { file, line: row.line })
    }

    fn function_in(&mut self, unit: &Unit<'data>, address: u64) -> Result<Option<String>, Unknown> {
        let mut entries = unit.entries_raw(None)?;
        while !entries.is_empty() {
            let abbreviation = entries.read_abbreviation()?;
            self.spend(1)?;
            let Some(abbreviation) = abbreviation else { continue };
            self.spend(abbreviation.attributes().len() as u64)?;
            let mut code = Code::default();
            let mut name = Name::default();
            for attribute in abbreviation.attributes() {
                let attribute = entries.read_attribute(*attribute)?;
                if abbreviation.tag() == gimli::DW_TAG_subprogram {
                    code.notice(attribute.name(), attribute.value());
                    name.notice(attribute.name(), attribute.value());
                }
            }
            let somewhere = code.low.is_some() || code.ranges.is_some();
            // A function whose place cannot be read does not hide the others.
            if somewhere && matches!(self.contains(unit, &code, address), Ok(Some(true))) {
                return self.name(unit, name);
            }
        }
        Ok(None)
    }

    /// The name, which may stand at an entry that this one refers to: a declaration, or what was inlined.
    fn name(&mut self, unit: &Unit<'data>, mut name: Name<'data>) -> Result<Option<String>, Unknown> {
        for _ in 0..REFERENCE_LIMIT {
            if let Some(value) = name.own.or(name.linkage) {
                return Ok(Some(text(self.dwarf.attr_string(unit, value)?)));
            }
            let Some(origin) = name.origin else { break };
            let mut entries = unit.entries_raw(Some(origin))?;
            let Some(abbreviation) = entries.read_abbreviation()? else { break };
            self.spend(abbreviation.attributes().len() as u64)?;
            name = Name::default();
            for attribute in abbreviation.attributes() {
                let attribute = entries.read_attribute(*attribute)?;
                name.notice(attribute.name(), attribute.value());
            }
        }
        Ok(None)
    }

    fn spend(&mut self, steps: u64) -> Result<(), Unknown> {
        self.budget = self.budget.checked_sub(steps).ok_or(Unknown)?;
        Ok(())
    }
}

/// The registers of the line program that matter here.
#[derive(Clone, Copy)]
struct Row {
    address: u64,
    file: u64,
    line: u64,
}

impl Default for Row {
    fn default() -> Self {
        Self { address: 0, file: 1, line: 1 }
    }
}

impl<'data> Code<'data> {
    fn notice(&mut self, name: gimli::DwAt, value: Value<'data>) {
        match name {
            gimli::DW_AT_low_pc => self.low = Some(value),
            gimli::DW_AT_high_pc => self.high = Some(value),
            gimli::DW_AT_ranges => self.ranges = Some(value),
            _ => {}
        }
    }
}

/// The attributes that say what a function is called.
#[derive(Default)]
struct Name<'data> {
    own: Option<Value<'data>>,
    linkage: Option<Value<'data>>,
    /// The entry of the same unit where the name stands instead.
    origin: Option<UnitOffset>,
}

impl<'data> Name<'data> {
    fn notice(&mut self, name: gimli::DwAt, value: Value<'data>) {
        match (name, value) {
            (gimli::DW_AT_name, value) => self.own = Some(value),
            (gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name, value) => self.linkage = Some(value),
            (gimli::DW_AT_abstract_origin | gimli::DW_AT_specification, AttributeValue::UnitRef(offset)) => {
                self.origin = Some(offset);
            }
            _ => {}
        }
    }
}

/// Bytes of a line program's header (DWARF 5, §6.2.4).
///
/// # Errors
/// It is cut off, or longer than [`TABLE_LIMIT`].
fn line_header_size(lines: &[u8], offset: u64) -> Result<u64, Unknown> {
    let mut reader = Reader::at(lines, offset, "")?;
    let dwarf64 = reader.u32("")? == u32::MAX;
    if dwarf64 {
        reader.skip(8, "")?;
    }
    if reader.u16("")? >= 5 {
        reader.skip(2, "")?;
    }
    let size = if dwarf64 { reader.u64("")? } else { u64::from(reader.u32("")?) };
    if size > TABLE_LIMIT { Err(Unknown) } else { Ok(size) }
}

/// Bytes of an abbreviation table (DWARF 5, §7.5.3).
///
/// # Errors
/// It is cut off, or longer than [`TABLE_LIMIT`].
fn abbreviations_size(abbreviations: &[u8], offset: u64) -> Result<u64, Unknown> {
    let mut reader = Reader::at(abbreviations, offset, "")?;
    let size = |reader: &Reader<'_>| match reader.offset().saturating_sub(offset) {
        size if size > TABLE_LIMIT => Err(Unknown),
        size => Ok(size),
    };
    while reader.remaining() > 0 && reader.uleb128("")? != 0 {
        reader.uleb128("")?;
        reader.skip(1, "")?;
        loop {
            let (name, form) = (reader.uleb128("")?, reader.uleb128("")?);
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                reader.sleb128("")?;
            }
            size(&reader)?;
            if (name, form) == (0, 0) {
                break;
            }
        }
    }
    size(&reader)
}

fn text(bytes: Bytes<'_>) -> String {
    let bytes = bytes.slice();
    String::from_utf8_lossy(bytes.get(..NAME_LIMIT).unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tests;
