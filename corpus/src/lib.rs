//! Makes object archives shaped like those that Julia writes for a package image, and checks what is linked from them.
//!
//! Real package images cannot stand in a source tree: they are big, and only a whole Julia can say whether one works.
//! The archives made here have the same members, sections, symbols, relocations, tables and debug information, in the
//! proportions counted on real ones, from the same LLVM versions; and each of their functions returns a number that is
//! known in advance.
//!
//! | module | what |
//! |---|---|
//! | [`Spec`], [`Shape`] | what to make |
//! | [`generate()`] | makes it, with `llc-N` |
//! | [`manifest`] | what the image must compute |
//! | [`loader`] | finds an image's functions as Julia's loader does, fills its slots, and checks it |
//! | [`run`] | runs an image, on processors that the machine is not too |
//! | [`stubs`] | the libraries it is linked to |
//! | [`command_line`] | the command lines that Julia gives its linker |
//! | [`committed()`] | the archives that are part of the source tree |

mod ar;
mod build;
mod bytes;
mod coff;
mod committed;
mod elf;
mod eval;
mod generate;
mod ir;
mod llc;
mod macho;
mod names;
pub mod presets;
mod program;
mod spec;
mod sysimg;

pub mod command_line;
pub mod julia;
pub mod loader;
pub mod manifest;
pub mod mix;
pub mod run;
pub mod stubs;
pub mod target;

pub use committed::{Entry, committed, committed_for};
pub use generate::{Generated, generate, generate_from, reference_sysimg, written_sysimg};
pub use julia::Julia;
pub use manifest::Manifest;
pub use spec::{Shape, Spec};
pub use target::Target;
