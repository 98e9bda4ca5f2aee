//! The archives that are part of the source tree.

use std::fs;
use std::path::{Path, PathBuf};

use crate::julia::Julia;
use crate::manifest::Manifest;
use crate::target::{self, Cpu, Format, Target};

/// A committed archive.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The archive.
    pub path: PathBuf,
    /// Its manifest's path.
    pub expect: PathBuf,
    /// What it runs on.
    pub target: Target,
    /// The major version of the LLVM that compiled it.
    pub llvm: u32,
    /// The generation of Julia that it imitates.
    pub julia: Julia,
    /// What its image must compute.
    pub manifest: Manifest,
}

/// All committed archives of x86-64 ELF, by platform and name: those whose images run on the processor that the tests are
/// made for.
///
/// # Panics
/// As of [`committed_for`].
pub fn committed() -> Vec<Entry> {
    let here = |target: &&Target| target.cpu == Cpu::X86_64 && target.format == Format::Elf;
    target::ALL.iter().filter(here).flat_map(|&target| committed_for(target)).collect()
}

/// The committed archives of a platform, by name.
///
/// # Panics
/// Where the source tree lacks the folder of the platform, or a manifest is missing or broken: nothing can be tested then.
pub fn committed_for(target: Target) -> Vec<Entry> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(target.name);
    let files = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut archives: Vec<PathBuf> = files
        .map(|file| file.unwrap_or_else(|error| panic!("{}: {error}", dir.display())).path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "a"))
        .collect();
    archives.sort();
    let entry = |path: PathBuf| {
        let expect = path.with_extension("expect");
        let manifest = Manifest::read(&expect).unwrap_or_else(|error| panic!("{}: {error}", expect.display()));
        Entry { path, expect, target, llvm: manifest.llvm, julia: manifest.julia, manifest }
    };
    archives.into_iter().map(entry).collect()
}
