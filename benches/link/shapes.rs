//! The archives that are linked: presets of the corpus generator, made on demand and kept in `target/corpus`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::stubs::macos::MacosStubs;
use pkgld_corpus::stubs::windows::WindowsStubs;
use pkgld_corpus::target::Format;
use pkgld_corpus::{Entry, Manifest, presets};

use crate::Result;

/// First argument of the process that makes an archive.
pub(crate) const MAKE: &str = "--make";

/// What images are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Platform {
    Elf,
    Pe,
    MachO,
}

pub(crate) const PLATFORMS: [Platform; 3] = [Platform::Elf, Platform::Pe, Platform::MachO];

impl Platform {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Elf => "ELF x86-64",
            Self::Pe => "PE x86-64",
            Self::MachO => "Mach-O arm64",
        }
    }

    /// What the names of its presets end with.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Elf => "",
            Self::Pe => "-windows-x86_64",
            Self::MachO => "-macos-arm64",
        }
    }
}

/// A size of the summary.
pub(crate) struct Size {
    pub(crate) name: &'static str,
    /// The preset for ELF, and what the others' begin with.
    pub(crate) preset: &'static str,
    pub(crate) kind: Kind,
}

/// What is asked of a size.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Small,
    Medium,
    Large,
    /// Of the proportions of Julia's own archives.
    Julia,
    /// Of such proportions too, and so small that starting processes decides: nothing is asked.
    Plain,
}

const fn size(name: &'static str, preset: &'static str, kind: Kind) -> Size {
    Size { name, preset, kind }
}

pub(crate) const SIZES: [Size; 10] = [
    size("small", "heavy-small", Kind::Small),
    size("medium", "heavy-medium", Kind::Medium),
    size("large", "heavy-large", Kind::Large),
    size("3 MB", "3m", Kind::Plain),
    size("16 MB", "16m", Kind::Julia),
    size("71 MB", "71m", Kind::Julia),
    size("156 MB", "156m", Kind::Julia),
    size("217 MB", "217m", Kind::Julia),
    // Of ELF alone.
    size("1 GB", "1g", Kind::Julia),
    size("2.5 GB", "2500m", Kind::Julia),
];

/// An archive and what it is linked to.
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) platform: Platform,
    /// The archive and its manifest.
    pub(crate) entry: Entry,
    /// The directories of libraries, as the command line names them.
    pub(crate) libraries: Vec<PathBuf>,
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
    let spec = preset.spec;
    let (path, expect) = (directory().join(format!("{name}.a")), directory().join(format!("{name}.expect")));
    let (target, julia) = (spec.target, spec.julia);
    let (platform, libraries) = match target.format {
        Format::Elf => (Platform::Elf, vec![Stubs::committed(julia).dir]),
        Format::Coff => {
            let stubs = WindowsStubs::committed(target);
            (Platform::Pe, vec![stubs.mingw, stubs.bin])
        }
        Format::MachO => (Platform::MachO, vec![MacosStubs::committed(target, julia).dir]),
    };
    let manifest = Manifest::read(&expect)?;
    let entry = Entry { path, expect, target, llvm: spec.llvm, julia, manifest };
    Ok(Shape { name: name.to_owned(), platform, entry, libraries })
}

/// Makes the archive that the argument names, unless it is there.
pub(crate) fn make(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let name = arguments.next().and_then(|name| name.into_string().ok()).ok_or("a name is needed")?;
    presets::cached(&name, &directory())?;
    Ok(())
}
