//! Who is measured: pkgld as a library and as a program, other linkers, and `cp`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pkgld_corpus::command_line;
use sha2::{Digest, Sha256};

use crate::Result;
use crate::check::checksum_of;
use crate::measure::{self, Memory, Sample};
use crate::shapes::{Platform, Shape};

/// First argument of the process that makes a library call.
pub(crate) const LIBRARY_CALL: &str = "--library-call";

pub(crate) const LIBRARY: &str = "pkgld, library call";
pub(crate) const PROGRAM: &str = "pkgld, program";
const OTHER_BUILD: &str = "pkgld, other build";
/// The entrant that the others are compared with, besides the floor.
pub(crate) const REFERENCE: &str = "rust-lld";
pub(crate) const LLD_22: &str = "LLD 22";
pub(crate) const WILD: &str = "wild";
/// A copy of the image.
pub(crate) const COPY: &str = "cp";
/// The same and hashing it, which an image with a signature cannot do without.
pub(crate) const COPY_AND_HASH: &str = "cp + SHA-256";

/// Something that writes an image.
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    /// Its failure is ours.
    pub(crate) ours: bool,
    kind: Kind,
    /// The platforms whose images it makes.
    platforms: &'static [Platform],
}

enum Kind {
    /// A call of the library, in a process that does nothing else; the time is that of the call.
    Library,
    /// A linker: with the driver of several linkers, told which; with arguments of its own before the others.
    Program { path: PathBuf, flavoured: bool, first: &'static [&'static str] },
    /// A copy of the image made before.
    Copy,
    /// A copy, and the hashes of its pages.
    CopyAndHash,
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

/// What the process with the library call tells.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counted {
    pub(crate) symbols: u64,
    pub(crate) dynamic_relocations: u64,
    pub(crate) decompressed: u64,
}

impl Entrant {
    pub(crate) fn makes(&self, platform: Platform) -> bool {
        self.platforms.contains(&platform)
    }

    /// Whether it links.
    pub(crate) fn is_linker(&self) -> bool {
        !matches!(self.kind, Kind::Copy | Kind::CopyAndHash)
    }

    fn command(&self, job: &Job<'_>) -> Result<Command> {
        Ok(match &self.kind {
            Kind::Library => {
                let mut command = Command::new(std::env::current_exe()?);
                let platform = job.shape.platform.name();
                command.args([LIBRARY_CALL, platform]).arg(&job.shape.entry.path).arg(job.output);
                command.args(&job.shape.libraries);
                command
            }
            Kind::Program { path, flavoured, first } => {
                let mut arguments = command_line::arguments(&job.shape.entry, job.output);
                if !flavoured {
                    // "-flavor" and its value are for drivers.
                    arguments.drain(..2);
                }
                if job.shape.platform == Platform::Pe && !self.ours {
                    // Since LLD 20 the default is another name than that of Julia's images.
                    let entry = command_line::entry_point(job.shape.entry.target.cpu);
                    arguments.extend(["-e", entry].map(OsString::from));
                }
                // GNU ld takes an empty word for a file.
                let empty = !self.ours && !flavoured;
                let mut command = Command::new(path);
                command.args(arguments.into_iter().filter(|word| !(empty && word.is_empty())));
                command.args(*first);
                command
            }
            Kind::Copy | Kind::CopyAndHash => {
                let mut command = Command::new("cp");
                command.arg("--reflink=never").args([job.image, job.output]);
                command
            }
        })
    }

    /// Runs it once. The output does not exist before.
    pub(crate) fn run(&self, job: &Job<'_>) -> Result<Sample> {
        let (sample, text) = measure::run(&mut self.command(job)?)?;
        self.conclude(job, sample, &text)
    }

    /// Runs it once for its memory, and for what the library call counts.
    pub(crate) fn run_for_memory(&self, job: &Job<'_>) -> Result<(Sample, Memory, Counted)> {
        let (sample, text, memory) = measure::run_and_watch(&mut self.command(job)?)?;
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let counted = match (&self.kind, &numbers[..]) {
            (Kind::Library, [_, _, symbols, dynamic_relocations, decompressed]) => {
                Counted { symbols: *symbols, dynamic_relocations: *dynamic_relocations, decompressed: *decompressed }
            }
            _ => Counted::default(),
        };
        Ok((self.conclude(job, sample, &text)?, memory, counted))
    }

    fn conclude(&self, job: &Job<'_>, sample: Sample, text: &str) -> Result<Sample> {
        match self.kind {
            Kind::Library => {
                let mut words = text.split_whitespace();
                let nanoseconds = words.next().ok_or("no time from the library call")?.parse()?;
                if words.next().and_then(|word| word.parse().ok()) != Some(checksum_of(job.output)?) {
                    return Err("the report's CRC-32C is not that of the image".into());
                }
                Ok(Sample { wall: Duration::from_nanos(nanoseconds), ..sample })
            }
            Kind::CopyAndHash => {
                let began = Instant::now();
                let busy = hash_pages(job.output)?;
                Ok(Sample { wall: sample.wall + began.elapsed(), cpu: sample.cpu + busy })
            }
            Kind::Program { .. } | Kind::Copy => Ok(sample),
        }
    }
}

/// Hashes a file's pages on all processors; returns the time that all of them took together.
fn hash_pages(path: &Path) -> Result<Duration> {
    /// Bytes that a thread reads at once.
    const PART: u64 = 1 << 20;
    let size = fs::metadata(path)?.len();
    let next = AtomicU64::new(0);
    let work = || -> io::Result<Duration> {
        let began = Instant::now();
        let mut file = File::open(path)?;
        let mut buffer = vec![0; PART as usize];
        loop {
            let start = next.fetch_add(PART, Ordering::Relaxed);
            if start >= size {
                return Ok(began.elapsed());
            }
            let part = &mut buffer[..PART.min(size - start) as usize];
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(part)?;
            for page in part.chunks(4096) {
                std::hint::black_box(Sha256::digest(page));
            }
        }
    };
    let mut busy = Duration::ZERO;
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            busy += thread.join().map_err(|_| "a thread has panicked")??;
        }
        Ok(busy)
    })
}

/// Who takes part.
pub(crate) struct Field {
    /// In the order in which they run; the first is the library call.
    pub(crate) entrants: Vec<Entrant>,
    /// Those that are not installed, each with what to do.
    pub(crate) missing: Vec<(&'static str, &'static str)>,
}

/// Looks for everybody; `also` is another build of the program.
pub(crate) fn find(also: Option<&Path>) -> Result<Field> {
    use Platform::{Elf, MachO, Pe};
    let program = PathBuf::from(env!("CARGO_BIN_EXE_pkgld"));
    let version = concat!("pkgld ", env!("CARGO_PKG_VERSION"));
    let all: &[Platform] = &[Elf, Pe, MachO];
    let kind = Kind::Program { path: program, flavoured: true, first: &[] };
    let mut entrants = vec![
        Entrant { name: LIBRARY, version: version.into(), ours: true, kind: Kind::Library, platforms: all },
        Entrant { name: PROGRAM, version: version.into(), ours: true, kind, platforms: all },
    ];
    if let Some(path) = also {
        let kind = Kind::Program { path: path.to_owned(), flavoured: true, first: &[] };
        let version = path.display().to_string();
        entrants.push(Entrant { name: OTHER_BUILD, version, ours: true, kind, platforms: all });
    }
    let mut missing = Vec::new();
    let mut look = |name, path: PathBuf, flavour: &str, kind, platforms, hint| {
        let flavour = if flavour.is_empty() { vec![] } else { vec!["-flavor", flavour] };
        match Command::new(path).args(flavour).arg("--version").output() {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout);
                let version = text.lines().next().unwrap_or("unknown version").to_owned();
                entrants.push(Entrant { name, version, ours: false, kind, platforms });
            }
            _ => missing.push((name, hint)),
        }
    };
    let drivers = [
        (REFERENCE, rust_lld()?, "it is part of every toolchain that rustup installs"),
        (LLD_22, "lld-22".into(), "install lld-22"),
        ("LLD 19", "lld-19".into(), "install lld-19"),
        ("LLD 16", "lld-16".into(), "install lld-16"),
    ];
    for (name, path, hint) in drivers {
        let kind = Kind::Program { path: path.clone(), flavoured: true, first: &[] };
        look(name, path, "gnu", kind, all, hint);
    }
    // Without --no-fork the process that is waited for ends before the memory of the one that works is known.
    let no_fork: &[&str] = &["--no-fork"];
    let others: [(_, &str, &[_], &'static [Platform], _); 4] = [
        ("mold", "mold", no_fork, &[Elf], "install mold"),
        (WILD, "wild", no_fork, &[Elf], "cargo install --locked wild-linker --version 0.10.0"),
        ("GNU ld", "ld.bfd", &[], &[Elf], "install binutils"),
        ("GNU ld", "x86_64-w64-mingw32-ld", &[], &[Pe], "install binutils-mingw-w64-x86-64"),
    ];
    for (name, path, first, platforms, hint) in others {
        let kind = Kind::Program { path: path.into(), flavoured: false, first };
        look(name, path.into(), "", kind, platforms, hint);
    }
    look(COPY, "cp".into(), "", Kind::Copy, all, "install coreutils");
    look(COPY_AND_HASH, "cp".into(), "", Kind::CopyAndHash, &[MachO], "install coreutils");
    Ok(Field { entrants, missing })
}

fn rust_lld() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "target-libdir"]).output()?;
    let libraries = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(libraries.parent().ok_or("rustc names no library directory")?.join("bin/rust-lld"))
}

/// One link through the library, path to path, in this process: prints nanoseconds, CRC-32C, and what memory is allowed for.
pub(crate) fn library_call(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let platform = arguments.next();
    let platform =
        crate::shapes::PLATFORMS.into_iter().find(|known| platform.as_deref() == Some(known.name().as_ref()));
    let platform = platform.ok_or("a platform is needed")?;
    let arguments: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let [archive, output, libraries @ ..] = &arguments[..] else { return Err("two paths are needed".into()) };
    let began = Instant::now();
    let report = link(platform, archive, output, libraries)?;
    let took = began.elapsed();
    let counts = report.counts;
    println!("{} {}", took.as_nanos(), report.crc32c.ok_or("no CRC-32C in the report")?);
    println!("{} {} {}", counts.symbols, counts.dynamic_relocations, counts.decompressed_bytes);
    Ok(())
}

/// What Julia's command line asks for.
fn link(platform: Platform, archive: &Path, output: &Path, libraries: &[PathBuf]) -> Result<pkgld::Report> {
    use pkgld::{Input, Inputs, Options, Target};
    let (target, names): (_, &[&str]) = match platform {
        Platform::Elf => (Target::LINUX_X86_64, &[]),
        Platform::Pe => (Target::WINDOWS_X86_64, &["openlibm", "ssp", "gcc_s", "gcc", "msvcrt"]),
        Platform::MachO => (Target::MACOS_AARCH64, &[]),
    };
    let mut options = Options::julia(target);
    options.search_paths = libraries.to_owned();
    match platform {
        Platform::Elf => {}
        Platform::Pe => (options.allow_multiple_definition, options.pe.auto_import) = (true, false),
        Platform::MachO => options.macho.platform_version = Some((0x000d_0301, 0x000d_0300)),
    }
    let mut inputs = vec![Input::path(archive).whole_archive()];
    inputs.extend(["julia", "julia-internal"].iter().chain(names).map(|name| Input::library(*name)));
    let inputs = Inputs::open(inputs, &options)?;
    let image = pkgld::link(&inputs, &options)?;
    Ok(image.write_file(output)?)
}
