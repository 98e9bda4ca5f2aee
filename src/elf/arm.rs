//! What only Arm has in ELF: build attributes, file flags, and the unwind table of the exception handling ABI.
//!
//! Sources: *ELF for the Arm Architecture* (AAELF32), *File Header* and *Build Attributes*; *Exception Handling ABI for the Arm
//! Architecture* (EHABI32).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

pub(crate) mod attributes;
pub(crate) mod exidx;

use std::borrow::Cow;

use object::elf;

use self::attributes::Merger;
use crate::arch::arm::stubs;
use crate::elf::Table;
use crate::error::{Error, Errors};
use crate::link::Link;
use crate::model::{ObjectInfo, SectionFlags};
use crate::options::Arch;
use crate::thunks::ThunkSymbol;

/// The value of `e_flags` bits [`EF_ARM_EABIMASK`](elf::EF_ARM_EABIMASK) that this linker knows.
const EABI: u32 = elf::EF_ARM_EABI_VER5.0;

/// Checks the flags of all objects, brings their attributes together, and fixes the image's flags and attributes.
///
/// # Errors
/// Every object for another version of the ABI, and every attribute that does not go with another object's.
pub(crate) fn merge(link: &mut Link<'_>) -> Result<(), Errors> {
    if link.target.arch != Arch::Arm {
        return Ok(());
    }
    let mut merger = Merger::default();
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for object in &link.objects {
        let ObjectInfo::Elf(info) = &object.info else { continue };
        let code = SectionFlags::ALLOC.and(SectionFlags::EXEC);
        let has_code = object.sections.iter().any(|section| section.is_live() && section.flags.has(code));
        let version = info.flags & elf::EF_ARM_EABIMASK;
        if info.flags & elf::EF_ARM_BE8.0 != 0 {
            problems.push(Error::unsupported(&object.name, "BE8, code of a big-endian image, cannot be linked"));
        }
        // Versions 4 and 5 differ in no rule for code. Data that was wrapped into an object has no version.
        if has_code && !matches!(version, EABI | VERSION_4) {
            let what = format!("version {} of the Arm EABI, where version 5 can be linked", version >> 24);
            problems.push(Error::unsupported(&object.name, what));
        }
        let Some(attributes) = &info.arm_attributes else { continue };
        match merger.add(&object.name.to_string(), attributes) {
            Ok(doubts) => warnings.extend(doubts),
            Err(errors) => problems.extend(errors),
        }
    }
    Errors::check(problems)?;
    link.report.warnings.extend(warnings);
    link.elf.flags = EABI
        | match merger.merged.float_arguments() {
            Some(0) => elf::EF_ARM_ABI_FLOAT_SOFT,
            Some(1) => elf::EF_ARM_ABI_FLOAT_HARD,
            _ => 0,
        };
    link.elf.attributes = merger.merged.write();
    Ok(())
}

/// The symbols that tell readers of an Arm image which parts of the PLT are Arm code, Thumb code and data.
pub(crate) fn plt_marks<'l>(link: &'l Link<'_>) -> impl Iterator<Item = ThunkSymbol<'l>> {
    let table = move |table: Table, header: &'static [(u64, &'static [u8])], start: u64, count: usize| {
        let output = link.elf.tables.get(table as usize).copied().flatten().filter(|_| link.target.arch == Arch::Arm);
        let address = output.and_then(|number| link.outputs.get(number as usize)).map_or(0, |output| output.address);
        let entries = (0_u64..).take(count).flat_map(move |index| {
            let entry = start.saturating_add(stubs::PLT_ENTRY_SIZE.saturating_mul(index));
            [(entry, &b"$t"[..]), (entry.saturating_add(stubs::PLT_ARM_OFFSET), b"$a")]
        });
        let marks = header.iter().copied().chain(entries);
        output.into_iter().flat_map(move |output| {
            let mark = move |(offset, name): (u64, &'static [u8])| ThunkSymbol {
                output,
                address: address.wrapping_add(offset),
                size: 0,
                name: [name.into(), Cow::default()],
            };
            marks.clone().map(mark)
        })
    };
    let header: &[(u64, &[u8])] = &[(0, b"$a"), (stubs::PLT_HEADER_DATA, b"$d")];
    let lazy = table(Table::Plt, header, stubs::PLT_HEADER_SIZE, link.slots.lazy.len());
    lazy.chain(table(Table::PltGot, &[], 0, link.slots.through_got.len()))
}

const VERSION_4: u32 = elf::EF_ARM_EABI_VER4.0;
