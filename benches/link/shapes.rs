//! The archives that are linked: made on demand by the corpus generator, kept in `target/corpus`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld_corpus::presets::presets;
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::{Julia, Spec};

use crate::Result;

/// First argument of the process that generates an archive.
pub(crate) const GENERATE: &str = "--generate";

/// Where the archives are kept: they take minutes to make.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus")
}

/// What to make for a size: the generator's preset of that name, or the largest one with a heap image that makes up
/// for what is missing.
fn spec(megabytes: u64) -> Result<Spec> {
    let name = format!("{megabytes}m");
    let mut sizes: Vec<Spec> = presets().into_iter().map(|preset| preset.spec).collect();
    if let Some(found) = sizes.iter().position(|spec| spec.name == name) {
        return Ok(sizes.swap_remove(found));
    }
    Err(format!("no archive of {megabytes} MB is known").into())
}

/// The directory of the libraries that the archives are linked to.
pub(crate) fn stubs() -> PathBuf {
    Stubs::committed(Julia::V1_11).dir
}

/// An archive of about `megabytes` million bytes.
pub(crate) fn archive(megabytes: u64) -> Result<PathBuf> {
    let path = directory().join(format!("{}.a", spec(megabytes)?.name));
    if !path.exists() {
        println!("\nMaking {} …", path.display());
        let made = Command::new(std::env::current_exe()?).arg(GENERATE).arg(megabytes.to_string()).status()?;
        if !made.success() {
            return Err(format!("the archive of {megabytes} MB could not be made").into());
        }
    }
    Ok(path)
}

/// Makes the archive of the size that the argument gives.
pub(crate) fn generate(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let size = arguments.next().and_then(|size| size.into_string().ok()).ok_or("a size is needed")?;
    pkgld_corpus::generate(&spec(size.parse()?)?, &directory())?;
    Ok(())
}
