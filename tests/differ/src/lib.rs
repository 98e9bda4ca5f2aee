//! Compares two ELF shared libraries by what they mean, not by how they are laid out.
//!
//! One library is linked by a trusted linker, the other by the linker under test, from the same inputs. Addresses, section
//! order, padding and the order of slots may differ. What the loader, the CPU, an unwinder and a debugger make of the two
//! may not.
//!
//! * [`lint::lint`] looks at one library by itself.
//! * [`check::check_against_inputs`] compares one library with the objects that it was linked from: each section is found in
//!   the output, its bytes are compared, and each relocated field is computed by the psABI's formula from the output's own
//!   addresses. It needs no reference.
//! * [`compare::compare`] does both, and compares the two libraries' exports, imports, dynamic entries, symbols with their
//!   bytes (every address in them decoded to `symbol+offset`), unwinding rows and line rows.
//!
//! Differences that are allowed are [`rules::Rule`]s, each with a name and a reason.

pub mod arch;
pub mod check;
mod code;
pub mod compare;
pub mod content;
pub mod elf;
pub mod exidx;
mod field;
pub mod fixups;
pub mod image;
pub mod inputs;
pub mod lines;
pub mod lint;
pub mod pages;
pub mod place;
mod records;
pub mod rules;
pub mod symbolic;
pub mod target;
pub mod unwind;
