//! pkgld links Julia package images.

#![deny(unsafe_code)]

mod apply;
mod arch;
mod archive;
mod bytes;
pub mod cli;
mod debug;
mod elf;
mod error;
mod file;
mod gc;
mod image;
mod input;
mod layout;
mod link;
mod link_map;
mod map;
mod model;
mod options;
mod reader;
mod reloc;
mod report;
mod resolve;
mod scan;
mod slots;
mod symbols;
#[cfg(test)]
mod testing;
mod unwind;
mod workers;

pub use error::{Error, Errors, Place, Result};
pub use image::{Companion, Image};
pub use input::{Input, Inputs, Mode, Source};
pub use link::link;
pub use options::{
    Arch, BuildId, DebugCompression, DynamicFlags, ElfOptions, Format, HashStyle, Limits, Options, Os, Strip,
    SymbolValue, Symbolic, Target, Undefined,
};
pub use report::{Counts, DebugFile, Report};
