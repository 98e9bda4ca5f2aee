//! What only RISC-V has in ELF: alignment that is left to the linker, file flags and attributes that are merged.
//!
//! Source: *RISC-V ELF Specification* (riscv-elf-psabi-doc), chapters *File Header*, *Relocation for Alignment*, *Attributes*.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

pub(crate) mod attributes;
pub(crate) mod isa;
