//! What only RISC-V has in ELF: alignment that is left to the linker, relocations in pairs, file flags and attributes that
//! are merged.
//!
//! Source: *RISC-V ELF Specification* (riscv-elf-psabi-doc), chapters *File Header*, *Relocations*, *Attributes*.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

pub(crate) mod align;
pub(crate) mod attributes;
pub(crate) mod isa;
pub(crate) mod pairs;

use object::elf::{EF_RISCV_FLOAT_ABI, EF_RISCV_RVC, EF_RISCV_RVE, EF_RISCV_TSO};

use crate::error::{Error, Errors};
use crate::link::Link;
use crate::model::{Object, SectionFlags};
use crate::options::Arch;

/// Brings together what the objects' file headers and attributes say.
///
/// # Errors
/// [`Error::Incompatible`] for each object that contradicts one before it.
pub(crate) fn merge(link: &mut Link<'_>) -> Result<(), Errors> {
    if link.target.arch != Arch::Riscv64 {
        return Ok(());
    }
    let mut problems = Vec::new();
    let mut flags = Flags::default();
    let mut merged = attributes::Merged::default();
    for (object, info) in link.objects.iter().zip(super::infos(link)) {
        let file = object.name.to_string();
        problems.extend(flags.add(&file, info.flags, is_data(object)).err());
        if let Some(attributes) = &info.riscv_attributes {
            problems.extend(merged.add(&file, attributes).err().into_iter().flatten());
        }
    }
    Errors::check(problems)?;
    link.elf.flags = flags.all;
    link.elf.attributes = merged.write();
    Ok(())
}

/// Whether an object holds no code.
fn is_data(object: &Object<'_>) -> bool {
    !object.sections.iter().any(|section| section.flags.has(SectionFlags::EXEC) && section.size > 0)
}

/// The image's `e_flags` so far.
#[derive(Debug, Default)]
struct Flags {
    all: u32,
    /// Bits that all files must agree in, and the file that fixed them.
    fixed: Option<(u32, String)>,
}

impl Flags {
    /// Brings in the flags of `file` (psABI, *Policy for Merge Objects With Different File Headers*).
    ///
    /// # Errors
    /// [`Error::Incompatible`].
    fn add(&mut self, file: &str, flags: u32, data_only: bool) -> Result<(), Error> {
        // "The static linker may ignore the compatibility checks if all fields in the e_flags are zero and all sections in
        // the input file are non-executable sections": what has been made from plain data.
        if flags == 0 && data_only {
            return Ok(());
        }
        let any = EF_RISCV_RVC.0 | EF_RISCV_TSO.0;
        self.all |= flags;
        let own = flags & !any;
        let Some((fixed, from)) = &self.fixed else {
            self.fixed = Some((own, file.to_owned()));
            return Ok(());
        };
        let differing = [EF_RISCV_FLOAT_ABI, EF_RISCV_RVE.0, !0].into_iter().find(|mask| fixed & mask != own & mask);
        let Some(mask) = differing else { return Ok(()) };
        Err(Error::Incompatible {
            file: file.to_owned(),
            what: flags_name(mask, own),
            other: from.clone(),
            other_what: flags_name(mask, *fixed),
        })
    }
}

/// What messages call the flags that `mask` picks.
fn flags_name(mask: u32, flags: u32) -> String {
    if mask == EF_RISCV_FLOAT_ABI {
        let abi = match flags & mask {
            0 => "soft-float ABI (-mabi=lp64)",
            2 => "single-float ABI (-mabi=lp64f)",
            4 => "double-float ABI (-mabi=lp64d)",
            _ => "quad-float ABI (-mabi=lp64q)",
        };
        return format!("is compiled for the {abi}");
    }
    if mask == EF_RISCV_RVE.0 {
        let registers = if flags & mask == 0 { "32 registers" } else { "the 16 registers of RVE" };
        return format!("is compiled for {registers}");
    }
    format!("has the non-standard file flags 0x{:x}", flags & !(EF_RISCV_FLOAT_ABI | EF_RISCV_RVE.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn flags_are_merged() {
        type Case = (&'static [(u32, bool)], Result<u32, &'static str>);
        let cases: [Case; 9] = [
            (&[], Ok(0)),
            (&[(5, false), (4, false)], Ok(5)),
            (&[(4, false), (0x15, false)], Ok(0x15)),
            (&[(0, true), (5, false), (0, true)], Ok(5)),
            (
                &[(5, false), (1, false)],
                Err("1.o: is compiled for the soft-float ABI (-mabi=lp64), \
                     but 0.o is compiled for the double-float ABI (-mabi=lp64d)"),
            ),
            (
                &[(5, false), (0, false)],
                Err("1.o: is compiled for the soft-float ABI (-mabi=lp64), \
                     but 0.o is compiled for the double-float ABI (-mabi=lp64d)"),
            ),
            (
                &[(3, false), (6, true)],
                Err("1.o: is compiled for the quad-float ABI (-mabi=lp64q), \
                     but 0.o is compiled for the single-float ABI (-mabi=lp64f)"),
            ),
            (
                &[(0x8, false), (0x0, false)],
                Err("1.o: is compiled for 32 registers, but 0.o is compiled for the 16 registers of RVE"),
            ),
            (
                &[(4, false), (0x0100_0004, false)],
                Err("1.o: has the non-standard file flags 0x1000000, but 0.o has the non-standard file flags 0x0"),
            ),
        ];
        for (files, expected) in cases {
            let mut flags = Flags::default();
            let mut all = (0..).zip(files);
            let added = all.try_for_each(|(index, (of, data))| flags.add(&format!("{index}.o"), *of, *data));
            let merged = added.map(|()| flags.all).map_err(|error| error.to_string());
            assert_eq!(merged, expected.map_err(str::to_owned), "{files:x?}");
        }
    }
}
