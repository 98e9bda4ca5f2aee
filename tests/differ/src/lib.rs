//! Compares two shared libraries by meaning.
pub mod arch;
pub mod check;
pub mod elf;
mod field;
pub mod fixups;
pub mod image;
pub mod inputs;
pub mod place;
mod records;
pub mod rules;
pub mod symbolic;
pub mod target;
pub mod unwind;
