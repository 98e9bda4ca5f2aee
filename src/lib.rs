//! pkgld turns the object archive that Julia's compiler writes for a package into the shared library that Julia loads: in
//! the caller's own process, from bytes to bytes, with no other linker on the machine.
//!
//! ```no_run
//! use pkgld::{Input, Inputs, Options, Target};
//!
//! # fn main() -> pkgld::Result<()> {
//! let mut options = Options::julia(Target::LINUX_X86_64);
//! options.search_paths.push("/opt/julia/lib".into());
//! let archive = Input::path("jl_AbCdEf").whole_archive();
//! let inputs = Inputs::open(vec![archive, Input::library("julia"), Input::library("julia-internal")], &options)?;
//! let report = pkgld::link(&inputs, &options)?.write_file("MyPackage.so")?;
//! println!("{} bytes, CRC-32C {:08x?}", report.size, report.crc32c);
//! # Ok(())
//! # }
//! ```
//!
//! # How a link goes
//!
//! ```text
//! bytes ─► input, archive ─► parse ─► model ─► resolve ─► scan ─► plan ─► assign_addresses ─► emit ─► image ─► file, Vec, writer
//!          (borrowed)                 one      symbols    needs   output   addresses          extents  chunks
//!                                     form                        sections                            (apply)
//! ```
//!
//! What only ELF, Mach-O or PE has is in a room for each (`elf`, `macho`, `pe`). The module `format` asks them, with one `match` for
//! each question; the large doors are `parse`, `plan`, `assign_addresses` and `emit`. Between them, a few passes that are for one
//! format alone, or that hold its rules against another's, name it themselves.
//!
//! [`link()`] is the whole of it on one page: a list of passes, each with its reason. Two things decide its shape. Relocations
//! are never stored: they are decoded from the input each time they are needed. And the image is never held: after layout it
//! is a list of extents, and any chunk of it can be produced on its own, relocated, checksummed and written.
//!
//! # Promises
//!
//! Any bytes in, `Ok` or `Err` out: never a panic, and never unbounded memory or time, for any inputs that do not change
//! during the link, and any options. The same inputs and options give the same bytes, on any host, whatever the time, the
//! directory and the number of threads. A file appears under its name complete, or not at all. `SECURITY.md` has the details, and
//! the commands that check them.
//!
//! # Features
//!
//! * `parallel` (default): a link uses several threads (rayon), in a pool of its own, or in the pool that its caller
//!   has installed. Without it every link runs on the caller's thread; the output is the same.
//! * `inspect` (default): tells what is in an image, and gives the program its command of that name. A program that only
//!   links has no need of it, nor of the JSON writer that comes with it.

#![deny(unsafe_code)]
// Whatever the input, a link returns; what is sure not to fail is written so that nothing has to be believed.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unreachable)
)]

mod addresses;
mod apply;
mod arch;
mod archive;
mod blob;
mod bytes;
pub mod cli;
mod debug;
mod elf;
mod error;
mod file;
mod format;
mod gc;
mod image;
mod input;
#[cfg(feature = "inspect")]
pub mod inspect;
mod layout;
mod library;
mod link;
mod link_map;
mod lto;
mod macho;
mod malfunction;
mod map;
mod memory;
mod model;
mod names;
mod options;
mod pe;
mod reader;
mod reloc;
mod report;
mod resolve;
mod scan;
mod slots;
mod symbols;
#[cfg(test)]
mod testing;
mod thunks;
mod unwind;
mod workers;

pub use blob::Blob;
pub use elf::version::script::{SymbolList, VersionScript};
pub use error::{Error, Errors, Place, Result};
pub use image::{Companion, Image};
pub use input::{Input, Inputs, LibraryRole, Mode, Source};
pub use link::link;
pub use options::{
    Arch, AutoExport, BuildId, CreatedSection, DebugCompression, DynamicFlags, ElfOptions, Exports, Format, HashStyle,
    Limits, MachOOptions, MissingFeature, Options, Os, PeOptions, Strip, SymbolValue, Symbolic, Target, Undefined,
    WrappedSymbol,
};
pub use report::{Counts, DebugFile, Report};

/// The README's examples, so that they are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
