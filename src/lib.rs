//! pkgld links Julia package images.

#![deny(unsafe_code)]

mod arch;
mod debug;
mod elf;
mod error;
mod input;
mod model;
mod options;
mod reloc;
mod reader;
mod report;
mod unwind;

pub use error::{Error, Errors, Place, Result};
pub use input::{Input, Mode, Source};
pub use options::{
    Arch, BuildId, DebugCompression, DynamicFlags, ElfOptions, Format, HashStyle, Limits, Options, Os, Strip,
    SymbolValue, Symbolic, Target, Undefined,
};
pub use report::{Counts, Report};
