//! Runs an image of any platform on an x86-64 Linux machine: links are checked by what they compute, also for processors
//! that the machine is not.
//!
//! The generator's own program is built for the platform, with rustc's standard library for it and the C compiler of
//! Debian's cross packages as its linker, and run by qemu's user-mode emulation with the C library of those packages.
//! Inside, it does for each platform what a process on that platform would: `dlopen`, the loader's walk, every call of
//! the manifest, a backtrace and an exception through the image's frames (`src/process.rs`).
//!
//! | platforms | packages | Rust target | run by |
//! |---|---|---|---|
//! | x86-64 | | the machine's own | |
//! | i686 | `gcc-i686-linux-gnu` | `i686-unknown-linux-gnu` | the machine itself, or qemu where its kernel cannot |
//! | aarch64 | `gcc-aarch64-linux-gnu` | `aarch64-unknown-linux-gnu` | `qemu-aarch64-static` |
//! | armv7 | `gcc-arm-linux-gnueabihf` | `armv7-unknown-linux-gnueabihf` | `qemu-arm-static` |
//! | riscv64 | `gcc-riscv64-linux-gnu` | `riscv64gc-unknown-linux-gnu` | `qemu-riscv64-static` |
//! | ppc64le | `gcc-powerpc64le-linux-gnu` | `powerpc64le-unknown-linux-gnu` | `qemu-ppc64le-static` |
//!
//! Images of Windows run under wine, those of macOS in a loader of ours: see `run/foreign.rs`.
//!
//! FreeBSD's images differ from Linux's, for the dynamic linker, in one byte of the header: a copy of the image with
//! that byte changed is run.

mod foreign;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::committed::Entry;
use crate::loader::Report;
use crate::manifest::Manifest;
use crate::stubs::Stubs;
use crate::stubs::windows::WindowsStubs;
use crate::target::{Cpu, Format, Target};

/// Loads an image in a process of its own, for `target`, with the stub libraries that it was linked to, and makes every
/// check of its manifest. The image must have a header for `.eh_frame` to be found by (`--eh-frame-hdr`).
///
/// # Errors
/// What the image does wrong; or the package or Rust target that is missing, by name.
pub fn check(target: Target, image: &Path, manifest: &Manifest, stubs: &Stubs) -> Result<Report, String> {
    if target.format != Format::Elf {
        return foreign::check(target, image, manifest, &stubs.dir);
    }
    let machine = Machine::of(target.cpu);
    let program = program(target, &machine)?;
    let copy = as_linux(image).map_err(|error| format!("{}: {error}", image.display()))?;
    let mut command = machine.command(&program)?;
    // The dynamic linker takes a name without a slash for one of a library on its path.
    let path = std::path::absolute(copy.as_deref().unwrap_or(image)).map_err(|error| error.to_string())?;
    command.arg("run").arg(path).arg("-").arg(&stubs.dir);
    let result = feed(command, &manifest.to_string());
    if let Some(copy) = copy {
        let _ = fs::remove_file(copy);
    }
    understand(&result?).ok_or_else(|| "the program that runs images answered something else".to_owned())
}

/// Checks an image that was linked from a committed archive, with the committed stub libraries.
///
/// # Errors
/// As of [`check`].
pub fn check_committed(entry: &Entry, image: &Path) -> Result<Report, String> {
    let stubs = match entry.target.format {
        Format::Coff => Stubs::at(&WindowsStubs::committed(entry.target).bin),
        Format::Elf | Format::MachO => Stubs::committed_for(entry.target, entry.julia),
    };
    check(entry.target, image, &entry.manifest, &stubs)
}

/// The report that the program printed.
fn understand(answer: &str) -> Option<Report> {
    let mut numbers = answer.trim().split(", ").map(|part| part.split(' ').next()?.parse().ok());
    let mut number = || numbers.next().flatten();
    Some(Report { calls: number()?, words: number()?, gvars: number()?, frames: number()? })
}

/// How programs of a processor are built and run here.
struct Machine {
    /// The Rust target; none for the machine's own.
    rust: Option<&'static str>,
    /// The prefix of the C compiler and the directory below `/usr` with the C library.
    gnu: &'static str,
    /// The emulator.
    qemu: &'static str,
}

impl Machine {
    fn of(cpu: Cpu) -> Self {
        let (rust, gnu, qemu) = match cpu {
            Cpu::X86_64 => (None, "x86_64-linux-gnu", ""),
            Cpu::X86 => (Some("i686-unknown-linux-gnu"), "i686-linux-gnu", "qemu-i386-static"),
            Cpu::Aarch64 => (Some("aarch64-unknown-linux-gnu"), "aarch64-linux-gnu", "qemu-aarch64-static"),
            Cpu::Arm => (Some("armv7-unknown-linux-gnueabihf"), "arm-linux-gnueabihf", "qemu-arm-static"),
            Cpu::Riscv64 => (Some("riscv64gc-unknown-linux-gnu"), "riscv64-linux-gnu", "qemu-riscv64-static"),
            Cpu::Ppc64 => (Some("powerpc64le-unknown-linux-gnu"), "powerpc64le-linux-gnu", "qemu-ppc64le-static"),
        };
        Self { rust, gnu, qemu }
    }

    /// The command that runs `program`.
    fn command(&self, program: &Path) -> Result<Command, String> {
        if self.rust.is_none() {
            return Ok(Command::new(program));
        }
        let root = Path::new("/usr").join(self.gnu);
        if self.gnu == "i686-linux-gnu" {
            let linker = root.join("lib/ld-linux.so.2");
            let runs = Command::new(&linker).arg("--version").stdout(Stdio::null()).status();
            if runs.is_ok_and(|status| status.success()) {
                let mut command = Command::new(linker);
                command.arg("--library-path").arg(root.join("lib")).arg(program);
                return Ok(command);
            }
        }
        if !runs(self.qemu) {
            return Err(format!("{} is not installed: install the package qemu-user-static", self.qemu));
        }
        let mut command = Command::new(self.qemu);
        command.arg("-L").arg(root).arg(program);
        Ok(command)
    }
}

/// Whether a program is there to be run.
fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// The program that runs images, built for the platform on first use.
fn program(target: Target, machine: &Machine) -> Result<PathBuf, String> {
    static BUILT: Mutex<BTreeMap<&str, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(machine.gnu).or_insert_with(|| build(target, machine)).clone()
}

fn build(target: Target, machine: &Machine) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("../target/run-images");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--bin", "pkgld-corpus"]).current_dir(root);
    command.arg("--target-dir").arg(&directory);
    // It runs for less time than the optimiser would take.
    command.envs([("CARGO_PROFILE_DEV_OPT_LEVEL", "0"), ("CARGO_PROFILE_DEV_DEBUG", "0")]);
    // What was set for the build that runs the tests is not meant for this one.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER"] {
        command.env_remove(variable);
    }
    let folder = match machine.rust {
        None => directory,
        Some(rust) => {
            let (compiler, package) = target.compiler();
            if !runs(compiler) {
                return Err(format!("{compiler} is not installed: install the package {package}"));
            }
            let out = Command::new("rustc").args(["--print", "target-libdir", "--target", rust]).output();
            let libraries = out.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
            if !libraries.is_ok_and(|libraries| Path::new(&libraries).is_dir()) {
                return Err(format!("the Rust target {rust} is not installed: rustup target add {rust}"));
            }
            command.args(["--target", rust]);
            command.env(format!("CARGO_TARGET_{}_LINKER", rust.to_uppercase().replace('-', "_")), compiler);
            directory.join(rust)
        }
    };
    let out = command.output().map_err(|error| format!("cargo: {error}"))?;
    if !out.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr)));
    }
    Ok(folder.join("debug/pkgld-corpus"))
}

/// A copy of an image of FreeBSD that says it is none; `None` for other images.
fn as_linux(image: &Path) -> std::io::Result<Option<PathBuf>> {
    const EI_OSABI: u64 = 7;
    const FREEBSD: u8 = 9;
    let mut header = [0; 8];
    File::open(image)?.read_exact(&mut header)?;
    if header[EI_OSABI as usize] != FREEBSD {
        return Ok(None);
    }
    let copy = image.with_extension("as-linux");
    fs::copy(image, &copy)?;
    let mut file = File::options().write(true).open(&copy)?;
    file.seek(SeekFrom::Start(EI_OSABI))?;
    file.write_all(&[0])?;
    Ok(Some(copy))
}

/// Runs a command with `input` on its standard input, and returns what it prints.
fn feed(mut command: Command, input: &str) -> Result<String, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let fail = |command: &Command, what: &dyn std::fmt::Display| format!("{command:?}: {what}");
    let mut child = command.spawn().map_err(|error| fail(&command, &error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A process that ended early says why below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let out = child.wait_with_output().map_err(|error| fail(&command, &error))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(fail(&command, &format_args!("{}: {}", out.status, said.trim())));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
