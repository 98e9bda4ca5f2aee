//! DWARF: the line rows of each function, the place of each subprogram, the number of units.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;

use gimli::{DebuggingInformationEntry, Dwarf, EndianSlice, RunTimeEndian};
use object::elf;

use crate::elf::{Error, Result};
use crate::image::Image;
use crate::rules::{Check, Finding, Side};
use crate::symbolic::{Key, Symbolic, is_linker_name};
use crate::unwind::gimli_endian;

type Slice<'i> = EndianSlice<'i, RunTimeEndian>;

/// One row: the distance from the function's start, the source position, and the row's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Bytes from the function's start.
    pub offset: u64,
    /// The source file's path.
    pub file: Arc<str>,
    /// The line; 0 for none.
    pub line: u64,
    /// The column; 0 for none.
    pub column: u64,
    /// Statement start, end of sequence, end of prologue.
    pub flags: (bool, bool, bool),
}

/// What DWARF tells about one image, whose functions are known by `K`.
#[derive(Debug)]
pub struct Debug<K> {
    /// The number of units.
    pub units: usize,
    /// The rows of each function.
    pub rows: HashMap<K, Vec<Row>>,
    /// Subprograms: name and place → how many.
    pub subprograms: BTreeMap<(String, String), usize>,
    /// Rows and subprograms of code that is not in the image.
    pub dead: usize,
}

/// A function that holds an address, and the address that it starts at; `None` outside the image's code.
type Functions<'f, K> = &'f dyn Fn(u64) -> Option<(K, u64)>;

impl<'a> Debug<Key<'a>> {
    /// Reads the DWARF of `symbolic`'s image.
    pub fn new(symbolic: &Symbolic<'_, 'a>) -> Result<Self> {
        let image = symbolic.image;
        let section = |name: &str| image.file.section_named(name).map_or(&[][..], |section| &section.data);
        Self::read(gimli_endian(image.file.endian), section, &|address| function(symbolic, address))
    }
}

impl<K: Clone + Display + Eq + Hash> Debug<K> {
    /// Reads the DWARF of an image of any format: `section` has the sections' contents by their names in ELF, and none where
    /// there is no such section.
    pub fn read<'s>(
        endian: RunTimeEndian,
        section: impl Fn(&str) -> &'s [u8],
        functions: Functions<'_, K>,
    ) -> Result<Self> {
        let load = |id: gimli::SectionId| -> Result<Slice<'_>> { Ok(EndianSlice::new(section(id.name()), endian)) };
        let dwarf = Dwarf::load(load)?;
        let mut debug = Debug { units: 0, rows: HashMap::new(), subprograms: BTreeMap::new(), dead: 0 };
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            let at = |error: gimli::Error| Error(format!("unit {}: {error}", debug.units));
            let unit = dwarf.unit(header).map_err(at)?;
            debug.units += 1;
            debug.read_rows(functions, &dwarf, &unit)?;
            debug.read_subprograms(functions, &dwarf, &unit)?;
        }
        Ok(debug)
    }

    fn read_rows(
        &mut self,
        functions: Functions<'_, K>,
        dwarf: &Dwarf<Slice<'_>>,
        unit: &gimli::Unit<Slice<'_>>,
    ) -> Result<()> {
        let Some(program) = unit.line_program.clone() else { return Ok(()) };
        let mut files: HashMap<u64, Arc<str>> = HashMap::new();
        let mut rows = program.rows();
        let mut sequence: Vec<(u64, Row)> = Vec::new();
        while let Some((header, row)) = rows.next_row()? {
            let number = row.file_index();
            let file = match files.get(&number) {
                Some(file) => file.clone(),
                None => files.entry(number).or_insert(path(dwarf, unit, header, number)?.into()).clone(),
            };
            let column = match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => column.get(),
            };
            let line = row.line().map_or(0, |line| line.get());
            let flags = (row.is_stmt(), row.end_sequence(), row.prologue_end());
            sequence.push((row.address(), Row { offset: 0, file, line, column, flags }));
            if row.end_sequence() {
                self.add_sequence(functions, std::mem::take(&mut sequence));
            }
        }
        self.add_sequence(functions, sequence);
        Ok(())
    }

    /// Rows at the end of a sequence belong to the function before, not to what another linker happens to put there.
    fn add_sequence(&mut self, functions: Functions<'_, K>, rows: Vec<(u64, Row)>) {
        let end = rows.last().map_or(0, |(address, _)| *address);
        let mut last = None;
        for (address, row) in rows {
            if address != end || last.is_none() {
                last = functions(address);
            }
            match &last {
                Some((function, start)) => {
                    let row = Row { offset: address.wrapping_sub(*start), ..row };
                    self.rows.entry(function.clone()).or_default().push(row);
                }
                None => self.dead += 1,
            }
        }
    }

    fn read_subprograms(
        &mut self,
        functions: Functions<'_, K>,
        dwarf: &Dwarf<Slice<'_>>,
        unit: &gimli::Unit<Slice<'_>>,
    ) -> Result<()> {
        let mut entries = unit.entries_raw(None)?;
        let mut entry = DebuggingInformationEntry::null();
        while !entries.is_empty() {
            if !entries.read_entry(&mut entry)? || entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let Some(start) = entry.attr_value(gimli::DW_AT_low_pc) else { continue };
            let Some(address) = dwarf.attr_address(unit, start)? else { continue };
            let name = entry.attr_value(gimli::DW_AT_linkage_name).or_else(|| entry.attr_value(gimli::DW_AT_name));
            let name = match name {
                Some(name) => dwarf.attr_string(unit, name)?.to_string_lossy().into_owned(),
                None => String::new(),
            };
            match functions(address) {
                Some((function, start)) => {
                    let place = format!("{function}+{:#x}", address - start);
                    *self.subprograms.entry((name, place)).or_default() += 1;
                }
                None => self.dead += 1,
            }
        }
        Ok(())
    }
}

/// The function that holds `address`, and its start; `None` outside the image's code.
fn function<'a>(symbolic: &Symbolic<'_, 'a>, address: u64) -> Option<(Key<'a>, u64)> {
    if !in_code(symbolic.image, address) {
        return None;
    }
    let mut inside = symbolic.all_names(address);
    inside.retain(|(key, _)| !key.name.is_assembler_local() && !is_linker_name(key.name));
    inside.sort_by_key(|(key, distance)| (*distance, *key));
    inside.first().map(|(key, distance)| (*key, address - distance))
}

fn in_code(image: &Image<'_>, address: u64) -> bool {
    image.segment_at(address).is_some_and(|segment| segment.flags & elf::PF_X.0 != 0)
}

fn path(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &gimli::Unit<Slice<'_>>,
    header: &gimli::LineProgramHeader<Slice<'_>>,
    number: u64,
) -> Result<String> {
    let Some(file) = header.file(number) else { return Ok(format!("file {number}")) };
    let mut path = String::new();
    if let Some(directory) = file.directory(header) {
        path.push_str(&dwarf.attr_string(unit, directory)?.to_string_lossy());
        path.push('/');
    }
    path.push_str(&dwarf.attr_string(unit, file.path_name())?.to_string_lossy());
    Ok(path)
}

/// Compares the DWARF of two images.
pub fn compare(reference: &Symbolic<'_, '_>, ours: &Symbolic<'_, '_>, findings: &mut Vec<Finding>) -> Result<usize> {
    Ok(compare_debug(&Debug::new(reference)?, &Debug::new(ours)?, findings))
}

/// Compares what was read of two images; the number of rows that were compared.
pub fn compare_debug<K: Display + Eq + Hash>(left: &Debug<K>, right: &Debug<K>, findings: &mut Vec<Finding>) -> usize {
    let mut differ = |check, subject: String, reference: String, ours: String| {
        findings.push(Finding::new(check, subject, reference, ours).about(Side::Both));
    };
    if left.units != right.units {
        differ(Check::Debug, "number of units".into(), left.units.to_string(), right.units.to_string());
    }
    let mut compared = 0;
    for (function, rows) in &left.rows {
        let other = right.rows.get(function).map_or(&[][..], |rows| &rows[..]);
        compared += rows.len();
        let length = rows.len().max(other.len());
        if let Some(index) = (0..length).find(|index| rows.get(*index) != other.get(*index)) {
            let show = |row: Option<&Row>| match row {
                Some(row) => format!("+{:#x} {}:{}:{} {:?}", row.offset, row.file, row.line, row.column, row.flags),
                None => "no row".to_string(),
            };
            differ(Check::Lines, format!("{function}, row {index}"), show(rows.get(index)), show(other.get(index)));
        }
    }
    for function in right.rows.keys().filter(|function| !left.rows.contains_key(function)) {
        differ(Check::Lines, function.to_string(), "no row".into(), "rows".into());
    }
    let mut names: Vec<_> = left.subprograms.keys().chain(right.subprograms.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let counts = (left.subprograms.get(name).copied(), right.subprograms.get(name).copied());
        if counts.0 != counts.1 {
            let show = |count: Option<usize>| format!("{} at {}", count.unwrap_or_default(), name.1);
            differ(Check::Debug, format!("subprogram {}", name.0), show(counts.0), show(counts.1));
        }
    }
    compared
}
