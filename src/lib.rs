//! pkgld links Julia package images.

#![deny(unsafe_code)]

#[allow(dead_code)]
mod archive;
#[allow(dead_code)]
mod bytes;
#[allow(dead_code)]
mod elf;
mod error;
#[allow(dead_code, unused_imports)]
mod input;
mod map;
mod options;
mod report;

pub use error::{Error, Errors, Place, Result};
pub use input::{Input, Inputs, Mode, Source};
pub use options::{
    Arch, BuildId, DebugCompression, DynamicFlags, ElfOptions, Format, HashStyle, Limits, Options, Os, Strip,
    SymbolValue, Symbolic, Target, Undefined,
};
pub use report::{Counts, Report};
