//! Checks `.eh_frame` against the inputs, record by record: linkers drop, join and move its records, so no section of the
//! inputs stands anywhere as a whole.

use std::collections::HashMap;

use crate::check::Checker;
use crate::elf::{Relocation, Result};
use crate::inputs::SectionId;
use crate::place::Location;
use crate::rules::{Check, Finding};
use crate::target::Target;
use crate::unwind::{self, Fde, Frames, Record};

/// Each FDE of the inputs whose function was kept must be in the output once, with its CIE; and no others.
pub(crate) fn check(checker: &mut Checker<'_, '_>) {
    if let Err(error) = try_check(checker) {
        checker.checked.find(Finding::new(Check::Unwind, ".eh_frame", "readable records", error.0));
    }
}

fn try_check(checker: &mut Checker<'_, '_>) -> Result<()> {
    let inputs = checker.inputs;
    let mut sections: Vec<SectionId> =
        inputs.sections().filter(|id| checker.placement.location(*id) == Location::Records).collect();
    sections.retain(|id| &inputs.section(*id).name == ".eh_frame");
    let Some(frames) = Frames::new(checker.image)? else {
        for id in sections.iter().filter(|id| !inputs.section(**id).data.is_empty()) {
            let name = inputs.section_name(*id);
            checker.checked.find(Finding::new(Check::Unwind, name, "an .eh_frame in the output", "none"));
        }
        return Ok(());
    };
    let fdes = frames.fdes()?;
    let mut by_start: HashMap<u64, Vec<&Fde>> = HashMap::new();
    for fde in &fdes {
        by_start.entry(fde.start).or_default().push(fde);
    }
    let cies: HashMap<u64, &Record> = frames.records.iter().map(|record| (record.start, record)).collect();
    let mut explained: HashMap<u64, usize> = HashMap::new();
    for id in sections {
        for record in unwind::records(&inputs.objects[id.object].file, &inputs.section(id).data)? {
            let Some(cie) = record.cie else { continue };
            let Some(start) = function(checker, id, &record) else { continue };
            checker.checked.count("FDEs checked", 1);
            let subject = format!("{}+{:#x}", inputs.section_name(id), record.start);
            let found = by_start.get(&start).map_or(&[][..], |fdes| &fdes[..]);
            let [fde] = found else {
                let (function, count) = (checker.symbolic.describe(start), found.len());
                let finding =
                    Finding::new(Check::Unwind, subject, format!("one FDE for {function}"), format!("{count}"));
                checker.checked.find(finding);
                continue;
            };
            *explained.entry(fde.record.start).or_default() += 1;
            compare_record(checker, id, &record, &fde.record, frames.index, &subject);
            let cie = Record { start: cie, end: end_of(checker, id, cie), cie: None, hidden: false };
            let output_cie = fde.record.cie.and_then(|cie| cies.get(&cie)).copied();
            match output_cie {
                Some(output) => compare_record(checker, id, &cie, output, frames.index, &subject),
                None => {
                    checker.checked.find(Finding::new(
                        Check::Unwind,
                        subject,
                        "a CIE",
                        format!("{:x?}", fde.record.cie),
                    ));
                }
            }
        }
    }
    for fde in &fdes {
        // Linkers make FDEs for PLT sections.
        let plt = checker.image.section_at(fde.start).is_some_and(|section| section.name.starts_with(".plt"));
        if !explained.contains_key(&fde.record.start) && !plt {
            let subject = checker.symbolic.describe(fde.start);
            checker.checked.find(Finding::new(Check::Unwind, subject, "no FDE: no input has one", "an FDE"));
        }
    }
    Ok(())
}

/// Where the function of an input's FDE went; `None` if it was dropped with its group.
fn function(checker: &mut Checker<'_, '_>, id: SectionId, record: &Record) -> Option<u64> {
    let relocation = relocation_at(checker, id, record.start + 8)?;
    let mut target = checker.resolver.target(id.object, relocation.symbol);
    if let Target::Dynamic(_, Some(local)) = target {
        target = *local;
    }
    match target {
        Target::Address(address) | Target::Resolver(address) => {
            Some(address.wrapping_add_signed(checker.inputs.addend(id, &relocation)))
        }
        Target::Replaced => {
            checker.checked.count("FDEs of replaced functions", 1);
            None
        }
        Target::Unknown(reason) => {
            let subject = format!("{}+{:#x}", checker.inputs.section_name(id), record.start);
            checker.checked.find(Finding::new(Check::Unwind, subject, "an FDE for a function", reason));
            None
        }
        other => {
            let subject = format!("{}+{:#x}", checker.inputs.section_name(id), record.start);
            let finding = Finding::new(Check::Unwind, subject, "an FDE for a function", format!("{other:?}"));
            checker.checked.find(finding);
            None
        }
    }
}

fn relocation_at(checker: &Checker<'_, '_>, id: SectionId, offset: u64) -> Option<Relocation> {
    let relocations = &checker.inputs.objects[id.object].relocations[id.section];
    let first = relocations.partition_point(|relocation| relocation.offset < offset);
    relocations.get(first).filter(|relocation| relocation.offset == offset).copied()
}

fn end_of(checker: &Checker<'_, '_>, id: SectionId, start: u64) -> u64 {
    let section = checker.inputs.section(id);
    let length = section
        .data
        .get(start as usize..start as usize + 4)
        .map_or(0, |bytes| checker.inputs.objects[id.object].file.unsigned(bytes));
    (start + 4 + length).min(section.data.len() as u64)
}

/// The output's record must have the input's bytes but for the CIE pointer, and its relocated fields their meaning.
fn compare_record(
    checker: &mut Checker<'_, '_>,
    id: SectionId,
    input: &Record,
    output: &Record,
    section: usize,
    subject: &str,
) {
    let (wanted, found) = (input.end - input.start, output.end - output.start);
    let common = wanted.min(found);
    // Records end in DW_CFA_nop, which is zero, up to their alignment; linkers may want another one.
    let only_padding = |bytes: &[u8], start: u64, end: u64| {
        bytes.get((start + common) as usize..end as usize).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
    };
    let output_data = &checker.image.file.sections[section].data;
    if !only_padding(&checker.inputs.section(id).data, input.start, input.end)
        || !only_padding(output_data, output.start, output.end)
    {
        let finding = Finding::new(Check::Unwind, subject, format!("{wanted} bytes"), format!("{found} bytes"));
        checker.checked.find(finding);
        return;
    }
    checker.range(id, input.start as usize + 8, (input.start + common) as usize, section, output.start + 8);
}
