//! Where offsets stand in the debug sections of an object.

use gimli::{DwAt, DwForm, constants as c};

use super::abbreviations::{ADDRESS_SIZE, Length, Step, Tables, step};
use super::{Kind, Patch, Patches, PerKind, Problem, expression};
use crate::reader::{Malformed, Reader};

/// `unit_length` from here on says that the unit is 64-bit DWARF, or is reserved (DWARF 5, 7.4).
const LONG: u32 = 0xffff_fff0;

/// The offsets in the sections of an object that count from the start of a section.
///
/// # Errors
/// What is malformed or cannot be joined: all DWARF of the object is to be left out then.
pub(crate) fn patches(data: &PerKind<&[u8]>) -> Result<Patches, Problem> {
    for (kind, bytes) in data.iter() {
        if u32::try_from(bytes.len()).is_err() {
            return Err(Problem { section: kind, what: Malformed::new(0, "a section of more than 4 GiB") });
        }
    }
    for kind in [Kind::Str, Kind::LineStr] {
        let bytes = data.of(kind);
        if bytes.last().is_some_and(|last| *last != 0) {
            let what = Malformed::new(bytes.len() as u64, "the last string does not end");
            return Err(Problem { section: kind, what });
        }
    }
    let mut walk = Walk { data, patches: Patches::default(), section: Kind::Info };
    for section in [Kind::Info, Kind::Line, Kind::StrOffsets] {
        walk.section = section;
        let walked = match section {
            Kind::Info => walk.units(),
            Kind::Line => walk.lines(),
            _ => walk.strings(),
        };
        walked.map_err(|what| Problem { section, what })?;
    }
    Ok(walk.patches)
}

struct Walk<'w, 'd> {
    data: &'w PerKind<&'d [u8]>,
    patches: Patches,
    /// The section that is walked.
    section: Kind,
}

/// Splits off what begins with its length: the rest of it, and the length's own place.
fn unit<'d>(reader: &mut Reader<'d>, what: &'static str) -> Result<Reader<'d>, Malformed> {
    let place = *reader;
    let length = reader.u32(what)?;
    if length >= LONG {
        return Err(place.malformed("64-bit DWARF, which is not joined"));
    }
    let end = reader.offset().saturating_add(length.into());
    let unit = reader.until(end, what)?;
    reader.skip(length.into(), what)?;
    Ok(unit)
}

impl<'d> Walk<'_, 'd> {
    fn reader(&self) -> Reader<'d> {
        Reader::new(self.data.of(self.section))
    }

    /// Notes that the next four bytes are an offset in a section, passes over them, and returns it.
    fn offset(&mut self, reader: &mut Reader<'_>, target: Kind, cut: &'static str) -> Result<u32, Malformed> {
        let place = *reader;
        let value = reader.u32(cut)?;
        if value as usize > self.data.of(target).len() {
            return Err(place.malformed("an offset outside of its section"));
        }
        self.note(place.offset(), target);
        Ok(value)
    }

    fn note(&mut self, offset: u64, target: Kind) {
        // Sections have at most 4 GiB.
        if let Ok(offset) = u32::try_from(offset) {
            self.patches.of_mut(self.section).push(Patch { offset, target });
        }
    }

    /// The units of `.debug_info`.
    fn units(&mut self) -> Result<(), Malformed> {
        const CUT: &str = "a unit that is cut off";
        let mut tables = Tables::new(self.data.of(Kind::Abbrev));
        let mut reader = self.reader();
        while reader.remaining() > 0 {
            let mut unit = unit(&mut reader, CUT)?;
            let place = unit;
            let version = unit.u16(CUT)?;
            if !(2..=5).contains(&version) {
                return Err(place.malformed("a unit of an unknown version of DWARF"));
            }
            let kind = if version >= 5 { c::DwUt(unit.u8(CUT)?) } else { c::DW_UT_compile };
            let mut address_size = if version >= 5 { unit.u8(CUT)? } else { 0 };
            let place = unit;
            let abbreviations = self.offset(&mut unit, Kind::Abbrev, CUT)?;
            if version < 5 {
                address_size = unit.u8(CUT)?;
            }
            if address_size != ADDRESS_SIZE {
                return Err(place.malformed("addresses that do not have 8 bytes"));
            }
            match kind {
                c::DW_UT_compile | c::DW_UT_partial => {}
                c::DW_UT_type => unit.skip(12, CUT)?,
                _ => return Err(place.malformed("a unit of a split file, or of an unknown type, which is not joined")),
            }
            let table = tables.at(abbreviations, version)?;
            while unit.remaining() > 0 {
                let place = unit;
                let code = unit.uleb128(CUT)?;
                if code == 0 {
                    continue;
                }
                let steps =
                    table.steps(code).ok_or_else(|| place.malformed("an entry with an unknown abbreviation"))?;
                for next in steps {
                    self.step(&mut unit, *next, version)?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, unit: &mut Reader<'d>, mut next: Step, version: u16) -> Result<(), Malformed> {
        const CUT: &str = "an entry that is cut off";
        // A form that says that the form is elsewhere takes a byte each time.
        while let Step::Indirect(attribute) = next {
            let place = *unit;
            let form = u16::try_from(unit.uleb128(CUT)?).map_err(|_| place.malformed("an unknown form"))?;
            let form = DwForm(form);
            if form == c::DW_FORM_implicit_const {
                return Err(place.malformed("a form that has no value here"));
            }
            match step(attribute, form, version).map_err(|what| place.malformed(what))? {
                Some(step) => next = step,
                None => return Ok(()),
            }
        }
        let length = |unit: &mut Reader<'d>, length| match length {
            Length::U8 => unit.u8(CUT).map(u64::from),
            Length::U16 => unit.u16(CUT).map(u64::from),
            Length::U32 => unit.u32(CUT).map(u64::from),
            Length::Number => unit.uleb128(CUT),
        };
        match next {
            Step::Skip(count) => unit.skip(count.into(), CUT),
            Step::Offset(target) => self.offset(unit, target, CUT).map(drop),
            Step::Number => unit.uleb128(CUT).map(drop),
            Step::String => unit.string(CUT).map(drop),
            Step::Block(size) => {
                let size = length(unit, size)?;
                unit.skip(size, CUT)
            }
            Step::Expression(size) => {
                let size = length(unit, size)?;
                let mut inner = unit.until(unit.offset().saturating_add(size), CUT)?;
                unit.skip(size, CUT)?;
                expression::walk(&mut inner, version, 0, &mut |offset| self.note(offset, Kind::Info))
            }
            // Resolved above.
            Step::Indirect(_) => Ok(()),
        }
    }

    /// The headers of line tables: since DWARF 5 names may stand in sections of strings.
    fn lines(&mut self) -> Result<(), Malformed> {
        const CUT: &str = "a line table that is cut off";
        let mut reader = self.reader();
        while reader.remaining() > 0 {
            let mut unit = unit(&mut reader, CUT)?;
            let place = unit;
            match unit.u16(CUT)? {
                2..=4 => continue,
                5 => {}
                _ => return Err(place.malformed("a line table of an unknown version")),
            }
            if unit.u8(CUT)? != ADDRESS_SIZE {
                return Err(place.malformed("addresses that do not have 8 bytes"));
            }
            unit.skip(1, CUT)?;
            let header = unit.u32(CUT)?;
            unit = unit.until(unit.offset().saturating_add(header.into()), CUT)?;
            // The lengths of instructions, and how the special opcodes are to be read.
            unit.skip(5, CUT)?;
            let opcodes = unit.u8(CUT)?;
            unit.skip(opcodes.saturating_sub(1).into(), CUT)?;
            for _ in ["directories", "files"] {
                self.names(&mut unit)?;
            }
        }
        Ok(())
    }

    /// A list of directories or files in the header of a line table (DWARF 5, 6.2.4.1).
    fn names(&mut self, unit: &mut Reader<'d>) -> Result<(), Malformed> {
        const CUT: &str = "the header of a line table that is cut off";
        let mut steps = Vec::new();
        for _ in 0..unit.u8(CUT)? {
            let place = *unit;
            unit.uleb128(CUT)?;
            let form = u16::try_from(unit.uleb128(CUT)?).map_err(|_| place.malformed("an unknown form"))?;
            // What the names are for is no attribute of an entry.
            steps.extend(step(DwAt(0), DwForm(form), 5).map_err(|what| place.malformed(what))?);
        }
        let place = *unit;
        let count = unit.uleb128(CUT)?;
        if steps.is_empty() && count > 0 {
            return Err(place.malformed("files without names"));
        }
        for _ in 0..count {
            for next in &steps {
                self.step(unit, *next, 5)?;
            }
        }
        Ok(())
    }

    /// The lists of strings by number.
    fn strings(&mut self) -> Result<(), Malformed> {
        const CUT: &str = "a list of strings that is cut off";
        let mut reader = self.reader();
        while reader.remaining() > 0 {
            let mut unit = unit(&mut reader, CUT)?;
            let place = unit;
            if unit.u16(CUT)? != 5 {
                return Err(place.malformed("a list of strings of an unknown version"));
            }
            unit.skip(2, CUT)?;
            while unit.remaining() > 0 {
                self.offset(&mut unit, Kind::Str, CUT)?;
            }
        }
        Ok(())
    }
}
