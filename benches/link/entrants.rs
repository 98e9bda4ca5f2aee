//! Who is measured: pkgld as a library and as a program, other linkers, and `cp`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;
use crate::measure::{self, Sample};
use crate::shapes::Shape;

/// First argument of the process that makes a library call.
pub(crate) const LIBRARY_CALL: &str = "--library-call";

/// The entrant that the others are compared with, besides [`COPY`].
pub(crate) const REFERENCE: &str = "rust-lld";
/// The floor: a copy of the image.
pub(crate) const COPY: &str = "cp";

/// Something that writes an image.
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    /// Its failure is ours.
    pub(crate) ours: bool,
    kind: Kind,
}

enum Kind {
    /// A call of the library, in a process that does nothing else; the time is that of the call.
    Library,
    /// A linker with GNU ld's arguments, after some of its own.
    Program { path: PathBuf, first: &'static [&'static str] },
    /// A copy of the image made before.
    Copy,
}

/// What is asked of an entrant.
pub(crate) struct Job<'a> {
    /// What to link.
    pub(crate) shape: &'a Shape,
    /// The image that `cp` copies.
    pub(crate) image: &'a Path,
    /// Where the result goes.
    pub(crate) output: &'a Path,
}

impl Job<'_> {
    /// The command line of Julia 1.10 to 1.12.
    fn arguments(&self) -> Vec<OsString> {
        let mut library_path = OsString::from("-L");
        library_path.push(&self.shape.stubs);
        let mut arguments: Vec<OsString> = vec!["-shared".into(), "-o".into(), self.output.into()];
        arguments.extend([
            "--whole-archive".into(),
            (&self.shape.archive).into(),
            "--no-whole-archive".into(),
            library_path,
        ]);
        arguments.extend(["-ljulia".into(), "-ljulia-internal".into()]);
        arguments
    }

    /// Checks that the output is a whole ELF image: nobody shall win by failing early.
    pub(crate) fn check(&self) -> Result<()> {
        let mut magic = [0; 4];
        File::open(self.output)?.read_exact(&mut magic)?;
        let (input, output) = (self.shape.archive.metadata()?.len(), self.output.metadata()?.len());
        // Images of Julia's shape are 70 to 95 % of their archives' size.
        if magic != *b"\x7fELF" || output < input / 2 || output > input / 10 * 11 {
            return Err(format!("no sane image: {output} bytes from {input}, magic {magic:x?}").into());
        }
        Ok(())
    }
}

impl Entrant {
    /// Runs it once. The output does not exist before.
    pub(crate) fn run(&self, job: &Job<'_>) -> Result<Sample> {
        match &self.kind {
            Kind::Library => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg(LIBRARY_CALL).args([&job.shape.archive, &job.shape.stubs]).arg(job.output);
                let (sample, text) = measure::run(&mut command)?;
                let (nanoseconds, checksum) = text.trim().split_once(' ').ok_or("no time from the library call")?;
                if checksum.parse() != Ok(checksum_of(job.output)?) {
                    return Err("the report's CRC-32C is not that of the image".into());
                }
                Ok(Sample { wall: Duration::from_nanos(nanoseconds.parse()?), ..sample })
            }
            Kind::Program { path, first } => {
                let (sample, _) = measure::run(Command::new(path).args(*first).args(job.arguments()))?;
                Ok(sample)
            }
            Kind::Copy => {
                let mut command = Command::new("cp");
                command.arg("--reflink=never").args([job.image, job.output]);
                Ok(measure::run(&mut command)?.0)
            }
        }
    }
}

/// Who takes part.
pub(crate) struct Field {
    /// In the order in which they run; the first is the library call.
    pub(crate) entrants: Vec<Entrant>,
    /// Those that are not installed, each with what to do.
    pub(crate) missing: Vec<(&'static str, &'static str)>,
}

/// Looks for everybody.
pub(crate) fn find() -> Result<Field> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_pkgld"));
    let version = concat!("pkgld ", env!("CARGO_PKG_VERSION"));
    let mut entrants = vec![
        Entrant { name: "pkgld, library call", version: version.into(), ours: true, kind: Kind::Library },
        Entrant {
            name: "pkgld, program",
            version: version.into(),
            ours: true,
            kind: Kind::Program { path: program, first: &["-flavor", "gnu", ""] },
        },
    ];
    let mut missing = Vec::new();
    let others: [(&'static str, PathBuf, &'static [&'static str], &'static str); 7] = [
        (REFERENCE, rust_lld()?, &["-flavor", "gnu"], "it is part of every toolchain that rustup installs"),
        ("LLD 22", "ld.lld-22".into(), &[], "install lld-22"),
        ("LLD 16", "ld.lld-16".into(), &[], "install lld-16"),
        // Without --no-fork the process that is waited for ends before the memory of the one that works is known.
        ("mold", "mold".into(), &["--no-fork"], "install mold"),
        ("wild", "wild".into(), &["--no-fork"], "cargo install --locked wild-linker --version 0.10.0"),
        ("GNU ld", "ld.bfd".into(), &[], "install binutils"),
        (COPY, "cp".into(), &[], "install coreutils"),
    ];
    for (name, path, first, hint) in others {
        match Command::new(&path).args(first).arg("--version").output() {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout);
                let version = text.lines().next().unwrap_or("unknown version").to_owned();
                let kind = if name == COPY { Kind::Copy } else { Kind::Program { path, first } };
                entrants.push(Entrant { name, version, ours: false, kind });
            }
            _ => missing.push((name, hint)),
        }
    }
    Ok(Field { entrants, missing })
}

fn rust_lld() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "target-libdir"]).output()?;
    let libraries = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(libraries.parent().ok_or("rustc names no library directory")?.join("bin/rust-lld"))
}

/// One link through the library, path to path, in this process: prints nanoseconds and CRC-32C.
pub(crate) fn library_call(arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let arguments: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let [archive, stubs, output] = &arguments[..] else { return Err("three arguments are needed".into()) };
    let began = Instant::now();
    let report = link(archive, stubs, output)?;
    let took = began.elapsed();
    println!("{} {}", took.as_nanos(), report.crc32c.ok_or("no CRC-32C in the report")?);
    Ok(())
}

fn link(archive: &Path, stubs: &Path, output: &Path) -> Result<pkgld::Report> {
    let mut options = pkgld::Options::julia(pkgld::Target::LINUX_X86_64);
    options.search_paths.push(stubs.to_owned());
    let archive = pkgld::Input::path(archive).whole_archive();
    let inputs = vec![archive, pkgld::Input::library("julia"), pkgld::Input::library("julia-internal")];
    let inputs = pkgld::Inputs::open(inputs, &options)?;
    let image = pkgld::link(&inputs, &options)?;
    Ok(image.write_file(output)?)
}

/// CRC-32C of a file's contents.
pub(crate) fn checksum_of(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut checksum = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(checksum),
            count => checksum = crc32c::crc32c_append(checksum, &buffer[..count]),
        }
    }
}
