//! `.ARM.exidx`: Arm's table for unwinding (*Exception Handling ABI for the Arm Architecture*, "Index table entries").
//!
//! A row is two words: the distance to where a function begins, and what holds from there to where the next row's function
//! begins: 1 for code that cannot be unwound, instructions for the unwinder with bit 31 set, or the distance to more of
//! them in `.ARM.extab`. Linkers sort the rows, may drop one that says what the row before says, and close the table.

use object::elf;

use crate::arch::bits::extend;
use crate::check::Checker;
use crate::elf::{Error, Relocation, Result, Section};
use crate::image::Image;
use crate::inputs::{Inputs, SectionId};
use crate::place::Location;
use crate::rules::{Check, Finding, Side};
use crate::symbolic::Symbolic;
use crate::target::Target;

/// `SHT_ARM_EXIDX`, and the type of the segment that tells unwinders where the table is. Other CPUs have other uses of them.
const SECTION: u32 = 0x7000_0001;
const SEGMENT: u32 = 0x7000_0001;

/// Whether a section of a file for `machine` is a table or a part of one.
pub(crate) fn is_table(machine: u16, section: &Section<'_>) -> bool {
    elf::Machine(machine) == elf::EM_ARM && section.kind == SECTION
}

/// What a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The code cannot be unwound.
    Never,
    /// Instructions for the unwinder.
    Instructions(u32),
    /// The address of the instructions.
    Table(u64),
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where the row begins to hold.
    pub start: u64,
    /// What it says.
    pub rule: Rule,
}

/// The image's table, in its order; empty if there is none.
pub fn rows(image: &Image<'_>) -> Result<Vec<Row>> {
    if elf::Machine(image.file.machine) != elf::EM_ARM {
        return Ok(Vec::new());
    }
    let Some(segment) = image.file.segments.iter().find(|segment| segment.kind == SEGMENT) else {
        return Ok(Vec::new());
    };
    let outside = || Error("PT_ARM_EXIDX is not in the file".to_string());
    let bytes = image.read(segment.address, segment.memory_size).ok_or_else(outside)?;
    let rows = bytes.chunks_exact(8).zip((segment.address..).step_by(8)).map(|(row, place)| {
        let (first, second) = (image.file.unsigned(&row[..4]), image.file.unsigned(&row[4..]));
        let from = |place: u64, word: u64| place.wrapping_add_signed(extend(word & 0x7fff_ffff, 31)) & 0xffff_ffff;
        let rule = match second {
            1 => Rule::Never,
            word if word >> 31 == 1 => Rule::Instructions(word as u32),
            word => Rule::Table(from(place.wrapping_add(4), word)),
        };
        Row { start: from(place, first) & !1, rule }
    });
    Ok(rows.collect())
}

/// What an unwinder finds for `address`.
pub fn find(rows: &[Row], address: u64) -> Option<Rule> {
    let after = rows.partition_point(|row| row.start <= address);
    Some(rows.get(after.checked_sub(1)?)?.rule)
}

/// The relocations of both words of the row at `offset` of an input's table.
fn relocations_at<'i>(inputs: &'i Inputs<'_>, id: SectionId, offset: u64) -> [Option<&'i Relocation>; 2] {
    let relocations = &inputs.objects[id.object].relocations[id.section];
    // R_ARM_NONE says which routine the unwinder will want.
    let at = |offset: u64| {
        let here = relocations.iter().filter(|relocation| relocation.offset == offset);
        here.into_iter().find(|relocation| relocation.kind != elf::R_ARM_NONE.0)
    };
    [at(offset), at(offset + 4)]
}

/// Where the sections that an input's table leads to are, given where its functions went: their ids and addresses.
pub(crate) fn implied(
    inputs: &Inputs<'_>,
    image: &Image<'_>,
    id: SectionId,
    address: impl Fn(SectionId) -> Option<u64>,
) -> Vec<(SectionId, u64)> {
    let Ok(rows) = rows(image) else { return Vec::new() };
    let object = &inputs.objects[id.object];
    let mut found = Vec::new();
    for offset in (0..inputs.section(id).size).step_by(8) {
        let [Some(function), Some(table)] = relocations_at(inputs, id, offset) else { continue };
        let place = |relocation: &Relocation| {
            let symbol = object.symbols.get(relocation.symbol as usize).filter(|symbol| symbol.is_local())?;
            let section = SectionId { object: id.object, section: object.section_of(symbol)? };
            Some((section, symbol.value.wrapping_add_signed(inputs.addend(id, relocation))))
        };
        let (Some((code, start)), Some((target, distance))) = (place(function), place(table)) else { continue };
        let Some(start) = address(code).map(|code| code.wrapping_add(start)) else { continue };
        if let Some(Rule::Table(table)) = find(&rows, start) {
            found.push((target, table.wrapping_sub(distance)));
        }
    }
    found
}

/// Each row of the inputs whose function was kept must hold in the output; other rows may only end what others began.
pub(crate) fn check(checker: &mut Checker<'_, '_>) {
    let inputs = checker.inputs;
    let rows = match rows(checker.image) {
        Ok(rows) => rows,
        Err(error) => return checker.checked.find(Finding::new(Check::Unwind, ".ARM.exidx", "readable", error.0)),
    };
    let mut starts = Vec::new();
    for id in inputs.sections() {
        let machine = checker.image.file.machine;
        if !is_table(machine, inputs.section(id)) || checker.placement.location(id) != Location::Records {
            continue;
        }
        for offset in (0..inputs.section(id).size).step_by(8) {
            starts.extend(row(checker, id, offset, &rows));
        }
    }
    starts.sort_unstable();
    for row in &rows {
        let inside = checker.symbolic.names(row.start).inside;
        let ends = row.rule == Rule::Never && inside.iter().all(|(_, distance)| *distance == 0);
        if starts.binary_search(&row.start).is_err() && !ends {
            let subject = checker.symbolic.describe(row.start);
            checker.checked.find(Finding::new(Check::Unwind, subject, "no row: no input has one", format!("{row:x?}")));
        }
    }
}

/// Checks the row at `offset` of an input's table; returns where its function went.
fn row(checker: &mut Checker<'_, '_>, id: SectionId, offset: u64, rows: &[Row]) -> Option<u64> {
    let inputs = checker.inputs;
    let subject = format!("{}+{offset:#x}", inputs.section_name(id));
    let [function, table] = relocations_at(inputs, id, offset);
    let reached = |relocation: &Relocation| {
        let mut target = checker.resolver.target(id.object, relocation.symbol);
        if let Target::Dynamic(_, Some(local)) = target {
            target = *local;
        }
        match target {
            Target::Address(address) => Ok(Some(address.wrapping_add_signed(inputs.addend(id, relocation)))),
            Target::Replaced => Ok(None),
            other => Err(format!("{other:?}")),
        }
    };
    let unknown = |found: String| Finding::new(Check::Unwind, subject.clone(), "a row for a function", found);
    let start = match function.map(reached) {
        Some(Ok(Some(address))) => address & !1,
        Some(Ok(None)) => return None,
        Some(Err(reason)) => {
            checker.checked.find(unknown(reason));
            return None;
        }
        None => {
            checker.checked.find(unknown("no relocation".to_string()));
            return None;
        }
    };
    let at = offset as usize + 4;
    let word = inputs.section(id).data.get(at..at + 4).map_or(0, |bytes| checker.image.file.unsigned(bytes));
    let wanted = match (table.map(reached), word) {
        (Some(Ok(Some(address))), _) => Rule::Table(address),
        (Some(other), _) => {
            checker.checked.find(unknown(format!("{other:?}")));
            return Some(start);
        }
        (None, 1) => Rule::Never,
        (None, word) => Rule::Instructions(word as u32),
    };
    checker.checked.count("rows of .ARM.exidx checked", 1);
    let found = find(rows, start);
    if found != Some(wanted) {
        let subject = checker.symbolic.describe(start);
        checker.checked.find(Finding::new(Check::Unwind, subject, format!("{wanted:x?}"), format!("{found:x?}")));
    }
    Some(start)
}

/// The table must be where its segment says, sorted, about code, and closed.
pub fn lint(image: &Image<'_>, findings: &mut Vec<Finding>) -> Result<()> {
    if elf::Machine(image.file.machine) != elf::EM_ARM {
        return Ok(());
    }
    let mut fault = |expected: &str, found: String| {
        findings.push(Finding::new(Check::UnwindIndex, ".ARM.exidx", expected, found));
    };
    let section = image.file.sections.iter().find(|section| section.kind == SECTION);
    let segment = image.file.segments.iter().find(|segment| segment.kind == SEGMENT);
    let places = (
        section.map(|section| (section.address, section.size)),
        segment.map(|segment| (segment.address, segment.memory_size)),
    );
    if places.0 != places.1 {
        fault("PT_ARM_EXIDX is the section", format!("{:x?}", places));
        return Ok(());
    }
    if places.0.is_some_and(|(_, size)| size % 8 != 0) {
        fault("whole rows", format!("{:x?}", places.0));
    }
    let rows = rows(image)?;
    if let Some(pair) = rows.windows(2).find(|pair| pair[0].start >= pair[1].start) {
        fault("rows in ascending order, each address once", format!("{pair:x?}"));
    }
    let is_code = |address: u64| image.segment_at(address).is_some_and(|segment| segment.flags & elf::PF_X.0 != 0);
    // The row that closes the table stands behind the code.
    let count = rows.len().saturating_sub(1);
    if let Some(row) = rows.iter().take(count).find(|row| !is_code(row.start)) {
        fault("rows about code", format!("{row:x?}"));
    }
    if let Some(row) = rows.last().filter(|row| row.rule != Rule::Never || !is_code(row.start.saturating_sub(1))) {
        fault("a last row that ends the code of the one before", format!("{row:x?}"));
    }
    Ok(())
}

/// Compares what the two images tell unwinders about the first and the last instruction of each function.
pub fn compare(reference: &Symbolic<'_, '_>, ours: &Symbolic<'_, '_>, findings: &mut Vec<Finding>) -> Result<usize> {
    let (left, right) = (rows(reference.image)?, rows(ours.image)?);
    if left.is_empty() && right.is_empty() {
        return Ok(0);
    }
    let mut compared = 0;
    for named in reference.symbols.iter().filter(|named| named.symbol.kind == elf::STT_FUNC.0) {
        let Some(other) = ours.symbols.iter().find(|other| other.key == named.key) else { continue };
        for distance in [0, named.symbol.size.saturating_sub(1)] {
            let (a, b) = (find(&left, named.address + distance), find(&right, other.address + distance));
            let (a, b) = (describe(reference, a), describe(ours, b));
            compared += 1;
            if a != b {
                let subject = format!("{}+{distance:#x}", named.key);
                findings.push(Finding::new(Check::Unwind, subject, a, b).about(Side::Both));
            }
        }
    }
    Ok(compared)
}

/// A rule in words that hold no address of the image; of `.ARM.extab`, the first word: its routine or its instructions.
fn describe(symbolic: &Symbolic<'_, '_>, rule: Option<Rule>) -> String {
    let Some(Rule::Table(table)) = rule else { return format!("{rule:x?}") };
    match symbolic.image.word(table) {
        Some(word) if word >> 31 == 1 => format!("table {word:#x}"),
        Some(word) => {
            let routine = table.wrapping_add_signed(extend(word & 0x7fff_ffff, 31)) & 0xffff_ffff;
            format!("table of {}", crate::unwind::without_address(&symbolic.describe(routine)))
        }
        None => "a table outside the image".to_string(),
    }
}
