//! `.eh_frame`: its records, the unwinding rows of each function, and the checks of `.eh_frame_hdr`.

use std::collections::HashMap;
use std::fmt::Write;

use gimli::{BaseAddresses, EhFrame, EndianSlice, RunTimeEndian, UnwindSection};
use object::Endianness;
use object::elf;

use crate::elf::{ElfFile, Error, Result, Section};
use crate::fixups;
use crate::image::Image;
use crate::rules::{Check, Finding, Side};
use crate::symbolic::Symbolic;

/// A CIE or FDE, found without reading more than lengths and CIE pointers. Offsets are bytes from the section's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the length field is.
    pub start: u64,
    /// Where the next record begins.
    pub end: u64,
    /// For an FDE, where its CIE begins.
    pub cie: Option<u64>,
    /// Whether a zero length stands before the record, which tells readers of the section that it has ended.
    pub hidden: bool,
}

/// The records of an `.eh_frame` section's bytes (LSB, "Exception Frames"); goes on after terminators.
pub fn records(file: &ElfFile<'_>, bytes: &[u8]) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut hidden = false;
    let mut start = 0usize;
    while start < bytes.len() {
        let truncated = || Error(format!(".eh_frame record at {start:#x} is cut off"));
        let length = file.unsigned(bytes.get(start..start + 4).ok_or_else(truncated)?);
        if length == 0 {
            hidden = true;
            start += 4;
            continue;
        }
        if length == 0xffff_ffff {
            return Err(Error(format!(".eh_frame record at {start:#x} has a 64-bit length")));
        }
        let end = start + 4 + length as usize;
        let body = bytes.get(start + 4..end).filter(|body| body.len() >= 4).ok_or_else(truncated)?;
        let id = file.unsigned(&body[..4]);
        let cie = match id {
            0 => None,
            distance => Some((start as u64 + 4).checked_sub(distance).ok_or_else(truncated)?),
        };
        records.push(Record { start: start as u64, end: end as u64, cie, hidden });
        start = end;
    }
    Ok(records)
}

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// The unwinding information of one image.
pub struct Frames<'i> {
    section: EhFrame<Slice<'i>>,
    bases: BaseAddresses,
    /// The address of `.eh_frame`.
    pub address: u64,
    /// The index of its section header.
    pub index: usize,
    /// The records in order.
    pub records: Vec<Record>,
}

/// One function's unwinding information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fde {
    /// The record.
    pub record: Record,
    /// The function's first address.
    pub start: u64,
    /// The bytes it covers.
    pub length: u64,
}

pub(crate) fn gimli_endian(endian: Endianness) -> RunTimeEndian {
    match endian {
        Endianness::Little => RunTimeEndian::Little,
        Endianness::Big => RunTimeEndian::Big,
    }
}

impl<'i> Frames<'i> {
    /// Reads the image's `.eh_frame`; `None` if it has none.
    pub fn new(image: &'i Image<'_>) -> Result<Option<Frames<'i>>> {
        let is_frames = |section: &Section<'_>| &section.name == ".eh_frame" && !section.is_nobits();
        let Some(index) = image.file.sections.iter().position(is_frames) else { return Ok(None) };
        let found = &image.file.sections[index];
        let mut section = EhFrame::new(&found.data, gimli_endian(image.file.endian));
        section.set_address_size(image.word_size() as u8);
        let mut bases = BaseAddresses::default().set_eh_frame(found.address);
        if let Some(text) = image.file.section_named(".text") {
            bases = bases.set_text(text.address);
        }
        if let Some(got) = image.got_base() {
            bases = bases.set_got(got);
        }
        let records = records(&image.file, &found.data)?;
        Ok(Some(Frames { section, bases, address: found.address, index, records }))
    }

    /// The functions that FDEs describe, in the section's order.
    pub fn fdes(&self) -> Result<Vec<Fde>> {
        let records = self.records.iter().filter(|record| record.cie.is_some());
        records
            .map(|record| {
                let fde = self.parse(record)?;
                Ok(Fde { record: *record, start: fde.initial_address(), length: fde.len() })
            })
            .collect()
    }

    fn parse(&self, record: &Record) -> Result<gimli::FrameDescriptionEntry<Slice<'i>>> {
        let offset = gimli::EhFrameOffset(record.start as usize);
        let fde = self.section.fde_from_offset(&self.bases, offset, EhFrame::cie_from_offset);
        fde.map_err(|error| Error(format!("FDE at .eh_frame+{:#x}: {error}", record.start)))
    }

    /// What the record tells an unwinder, in words that hold no address of the image: the CIE's semantics and the rows.
    pub fn describe(&self, symbolic: &Symbolic<'_, '_>, record: &Record) -> Result<String> {
        let fde = self.parse(record)?;
        let cie = fde.cie();
        let mut text = String::new();
        let personality = match cie.personality() {
            None => "none".to_string(),
            Some(gimli::Pointer::Direct(address)) => without_address(&symbolic.describe(address)),
            Some(gimli::Pointer::Indirect(address)) => {
                let meaning = fixups::word_at(symbolic.image, address);
                meaning.map_or("nothing".into(), |meaning| without_address(&symbolic.describe_meaning(meaning)))
            }
        };
        let _ = write!(
            text,
            "length {:#x}, return address in {}, code x{}, data x{}, signal {}, personality {personality}, language data {};",
            fde.len(),
            cie.return_address_register().0,
            cie.code_alignment_factor(),
            cie.data_alignment_factor(),
            fde.is_signal_trampoline(),
            fde.lsda().is_some_and(|lsda| lsda.pointer() != 0),
        );
        let mut context = gimli::UnwindContext::new();
        let mut table = fde.rows(&self.section, &self.bases, &mut context)?;
        while let Some(row) = table.next_row()? {
            let start = row.start_address().wrapping_sub(fde.initial_address());
            let _ = write!(text, " +{start:#x}: cfa ");
            match row.cfa() {
                gimli::CfaRule::RegisterAndOffset { register, offset } => {
                    let _ = write!(text, "r{}{offset:+}", register.0);
                }
                gimli::CfaRule::Expression(expression) => self.write_expression(&mut text, expression)?,
            }
            let mut registers: Vec<_> = row.registers().collect();
            registers.sort_by_key(|(register, _)| register.0);
            for (register, rule) in registers {
                let _ = write!(text, " r{} ", register.0);
                match rule {
                    gimli::RegisterRule::Expression(expression) => {
                        text.push('*');
                        self.write_expression(&mut text, expression)?;
                    }
                    gimli::RegisterRule::ValExpression(expression) => self.write_expression(&mut text, expression)?,
                    rule => {
                        let _ = write!(text, "{rule:?}");
                    }
                }
            }
            let _ = write!(text, " args {};", row.saved_args_size());
        }
        Ok(text)
    }

    fn write_expression(&self, text: &mut String, expression: &gimli::UnwindExpression<usize>) -> Result<()> {
        let bytes = expression.get(&self.section)?.0;
        let _ = write!(text, "[{}]", crate::check::hex(bytes.slice(), usize::MAX));
        Ok(())
    }
}

/// Drops the ` (0x1234)` that descriptions of addresses end in.
pub(crate) fn without_address(description: &str) -> String {
    match description.rfind(" (0x") {
        Some(end) => description[..end].to_string(),
        None => description.to_string(),
    }
}

/// Compares what the two images tell unwinders about each function.
pub fn compare(reference: &Symbolic<'_, '_>, ours: &Symbolic<'_, '_>, findings: &mut Vec<Finding>) -> Result<usize> {
    let (expected, found) = (Frames::new(reference.image)?, Frames::new(ours.image)?);
    let fdes = |frames: &Option<Frames<'_>>| frames.as_ref().map_or(Ok(Vec::new()), Frames::fdes);
    let (expected_fdes, found_fdes) = (fdes(&expected)?, fdes(&found)?);
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (index, fde) in found_fdes.iter().enumerate() {
        for name in function_names(ours, fde.start) {
            by_name.entry(name).or_insert(index);
        }
    }
    let mut matched = vec![false; found_fdes.len()];
    let mut compared = 0;
    for fde in &expected_fdes {
        let names = function_names(reference, fde.start);
        let subject = names.first().cloned().unwrap_or_default();
        let Some(index) = names.iter().find_map(|name| by_name.get(name)).copied() else {
            let finding = Finding::new(Check::Unwind, subject, "an FDE", "none").about(Side::Both);
            findings.push(finding);
            continue;
        };
        matched[index] = true;
        let other = &found_fdes[index];
        let (Some(expected), Some(found)) = (&expected, &found) else { continue };
        let unreadable = |error: Error| format!("unreadable: {error}");
        let left = expected.describe(reference, &fde.record).unwrap_or_else(unreadable);
        let right = found.describe(ours, &other.record).unwrap_or_else(unreadable);
        compared += 1;
        if left != right {
            findings.push(Finding::new(Check::Unwind, subject, left, right).about(Side::Both));
        }
    }
    for (fde, _) in found_fdes.iter().zip(&matched).filter(|(_, matched)| !**matched) {
        let subject = function_names(ours, fde.start).first().cloned().unwrap_or_default();
        findings.push(Finding::new(Check::Unwind, subject, "no FDE", "one").about(Side::Both));
    }
    Ok(compared)
}

/// The names under which an FDE's function can be found in another image.
fn function_names(symbolic: &Symbolic<'_, '_>, address: u64) -> Vec<String> {
    let names = symbolic.all_names(address);
    let inside = names.iter().map(|(key, distance)| format!("{key}+{distance:#x}"));
    let mut names: Vec<String> = inside.collect();
    if names.is_empty() {
        let section = symbolic.image.section_at(address);
        names.push(match section {
            Some(section) if section.name.starts_with(".plt") => section.name.to_string(),
            _ => without_address(&symbolic.describe(address)),
        });
    }
    names
}

/// Checks of one image: records, and the search table of `.eh_frame_hdr`.
pub fn lint(image: &Image<'_>, findings: &mut Vec<Finding>) -> Result<()> {
    let header = image.segments_of(elf::PT_GNU_EH_FRAME).next().copied();
    let Some(frames) = Frames::new(image)? else {
        if header.is_some() {
            findings.push(Finding::new(Check::UnwindIndex, "PT_GNU_EH_FRAME", "an .eh_frame", "none"));
        }
        return Ok(());
    };
    let starts: Vec<u64> = frames.records.iter().filter(|record| record.cie.is_none()).map(|r| r.start).collect();
    for record in &frames.records {
        let subject = format!(".eh_frame+{:#x}", record.start);
        if record.hidden {
            let expected = "no record after a terminator";
            findings.push(Finding::new(Check::Unwind, subject.clone(), expected, "a zero length before the record"));
        }
        if record.cie.is_some_and(|cie| starts.binary_search(&cie).is_err()) {
            findings.push(Finding::new(Check::Unwind, subject, "a pointer to a CIE", format!("{:x?}", record.cie)));
        }
    }
    let fdes = frames.fdes()?;
    for fde in &fdes {
        let executable = image.segment_at(fde.start).is_some_and(|segment| segment.flags & elf::PF_X.0 != 0);
        if !executable || fde.length == 0 {
            let subject = format!(".eh_frame+{:#x}", fde.record.start);
            let found = format!("{:#x}, length {:#x}", fde.start, fde.length);
            findings.push(Finding::new(Check::Unwind, subject, "an FDE for code", found));
        }
    }
    match header {
        Some(header) => lint_header(image, header.address, header.memory_size, &frames, &fdes, findings),
        None => Ok(()),
    }
}

/// LSB, "The .eh_frame_hdr section": version 1, `.eh_frame` pcrel sdata4, count udata4, table datarel sdata4.
fn lint_header(
    image: &Image<'_>,
    address: u64,
    size: u64,
    frames: &Frames<'_>,
    fdes: &[Fde],
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let fault = |expected: String, found: String| Finding::new(Check::UnwindIndex, ".eh_frame_hdr", expected, found);
    let bytes = image.read(address, size).ok_or_else(|| Error("PT_GNU_EH_FRAME is not in the file".into()))?;
    let section = image.file.section_named(".eh_frame_hdr");
    if !section.is_some_and(|section| section.address == address && section.size == size) {
        findings.push(fault("PT_GNU_EH_FRAME is the section".into(), format!("{address:#x}, {size:#x} bytes")));
    }
    let Some((head, mut rest)) = bytes.split_at_checked(4) else {
        findings.push(fault("a header".into(), format!("{size} bytes")));
        return Ok(());
    };
    if head != [1, 0x1b, 0x03, 0x3b] {
        findings.push(fault("01 1b 03 3b".into(), crate::check::hex(head, 4)));
        return Ok(());
    }
    let mut next = || {
        let (word, tail) = rest.split_at_checked(4)?;
        rest = tail;
        Some(word)
    };
    let truncated = || Error(".eh_frame_hdr is cut off".into());
    let pointer = image.file.signed(next().ok_or_else(truncated)?);
    let target = address.wrapping_add(4).wrapping_add_signed(pointer);
    if target != frames.address {
        findings.push(fault(format!(".eh_frame at {:#x}", frames.address), format!("{target:#x}")));
    }
    let count = image.file.unsigned(next().ok_or_else(truncated)?);
    let mut table = Vec::new();
    for _ in 0..count {
        let start = image.file.signed(next().ok_or_else(truncated)?);
        let record = image.file.signed(next().ok_or_else(truncated)?);
        table.push((address.wrapping_add_signed(start), address.wrapping_add_signed(record)));
    }
    if !rest.is_empty() {
        findings.push(fault(format!("{count} entries and no more"), format!("{} bytes more", rest.len())));
    }
    if !table.is_sorted() || table.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        findings.push(fault("a table in ascending order, each address once".into(), "another order".into()));
    }
    if table.len() != fdes.len() {
        findings.push(fault(format!("{} entries, one an FDE", fdes.len()), format!("{}", table.len())));
    }
    for fde in fdes {
        let record = frames.address.wrapping_add(fde.record.start);
        for probe in [fde.start, fde.start.wrapping_add(fde.length.saturating_sub(1))] {
            // What an unwinder does: the last entry that does not start after the address.
            let index = table.partition_point(|(start, _)| *start <= probe);
            let found = index.checked_sub(1).map(|index| table[index]);
            if found != Some((fde.start, record)) {
                let subject = Symbolic::new(image).describe(probe);
                let (expected, found) = (format!("FDE at {record:#x}"), format!("{found:x?}"));
                findings.push(Finding::new(Check::UnwindIndex, subject, expected, found));
            }
        }
    }
    Ok(())
}
