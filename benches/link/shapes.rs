//! The archives that are linked, made on demand by the corpus generator and kept in `target/corpus`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::Result;

/// First argument of the process that generates an archive.
pub(crate) const GENERATE: &str = "--generate";

pub(crate) fn generate(_arguments: impl Iterator<Item = OsString>) -> Result<()> {
    Err("not yet".into())
}

/// The directory of the stub libraries.
pub(crate) fn stubs() -> Result<PathBuf> {
    Ok("target/corpus/stubs".into())
}

/// An archive of about `megabytes` million bytes.
pub(crate) fn archive(megabytes: u64) -> Result<PathBuf> {
    Ok(format!("target/corpus/{megabytes}.a").into())
}
