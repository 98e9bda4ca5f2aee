//! The archives that are linked: presets of the corpus generator, made on demand and kept in `target/corpus`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld_corpus::presets;
use pkgld_corpus::stubs::Stubs;

use crate::Result;

/// First argument of the process that makes an archive.
pub(crate) const MAKE: &str = "--make";

/// An archive and what it is linked to.
pub(crate) struct Shape {
    /// The object archive.
    pub(crate) archive: PathBuf,
    /// The directory of `libjulia.so` and `libjulia-internal.so`.
    pub(crate) stubs: PathBuf,
}

/// Where the archives are kept: some take minutes to make.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus")
}

/// The preset of that name, made by a process of its own if it is not there.
pub(crate) fn shape(name: &str) -> Result<Shape> {
    let preset = presets::preset(name).ok_or_else(|| format!("{name}: no archive of that name"))?;
    let made = Command::new(std::env::current_exe()?).args([MAKE, name]).status()?;
    if !made.success() {
        return Err(format!("{name} could not be made").into());
    }
    let archive = directory().join(format!("{name}.a"));
    Ok(Shape { archive, stubs: Stubs::committed(preset.spec.julia).dir })
}

/// Makes the archive that the argument names, unless it is there.
pub(crate) fn make(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let name = arguments.next().and_then(|name| name.into_string().ok()).ok_or("a name is needed")?;
    presets::cached(&name, &directory())?;
    Ok(())
}
