//! Runs images of systems that the tests do not run on: Windows' under wine, macOS' in a loader of ours.
//!
//! The programs that load the images are small ones in C (`corpus/run`), compiled on first use into `target/run`.
//!
//! | platform | what runs | Debian packages |
//! |---|---|---|
//! | `windows-x86_64` | `run/windows.c` under wine | `gcc-mingw-w64-x86-64 wine64` |
//! | `windows-i686` | the same in an i386 root in `target/wine32` | `gcc-mingw-w64-i686 mmdebstrap arch-test` |
//! | `windows-aarch64` | the same under qemu, in a root in `target/wine-arm64` | `clang-19 lld-19 llvm-22 mingw-w64-common mmdebstrap qemu-user-static` |
//! | `macos-x86_64` | `run/macho.c` | `gcc` |
//! | `macos-arm64` | the same under qemu | `gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static` |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::llc::missing;
use crate::loader::Report;
use crate::manifest::Manifest;
use crate::mix::fnv1a;
use crate::stubs::windows::CLANG_ARM64;
use crate::target::{Cpu, Format, Target};

/// Loads and checks an image of Windows or macOS with the libraries in the directory `stubs`: for macOS those of Linux on
/// the same processor.
pub(super) fn check(target: Target, image: &Path, manifest: &Manifest, stubs: &Path) -> Result<Report, String> {
    let run = || -> io::Result<(String, String)> {
        let mut command = match target.format {
            Format::Coff => windows(target)?,
            _ => macos(target)?,
        };
        // By its contents: runs at the same time may share the file.
        let text = manifest.to_string();
        let expect = directory()?.join(format!("{:016x}.expect", fnv1a(text.as_bytes())));
        if fs::read_to_string(&expect).ok().as_deref() != Some(&text) {
            replace(&expect, |partial| fs::write(partial, &text))?;
        }
        for path in [image, &expect, stubs] {
            let path = path.canonicalize().map_err(|error| named(error, path))?;
            match target.format {
                // The root of the file system is wine's drive Z.
                Format::Coff => command.arg(format!("Z:{}", path.display().to_string().replace('/', "\\"))),
                _ => command.arg(path),
            };
        }
        let out = command.output().map_err(|error| missing(error, "timeout", "coreutils"))?;
        let errors = String::from_utf8_lossy(&out.stderr);
        let errors = errors.lines().take(5).collect::<Vec<_>>().join("\n");
        Ok((String::from_utf8_lossy(&out.stdout).into_owned(), format!("{}\n{errors}", out.status)))
    };
    let (said, ended) = run().map_err(|error| error.to_string())?;
    let report = said.lines().find_map(|line| line.strip_prefix("report ")).and_then(parse);
    let findings: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("finding: ")).collect();
    match report {
        Some(report) if findings.is_empty() && ended.starts_with("exit status: 0") => Ok(report),
        _ if findings.is_empty() => Err(format!("{}: the program died: {ended}\n{said}", image.display())),
        _ => Err(findings.join("\n")),
    }
}

/// `calls 0x86 words 0x800 …`
fn parse(line: &str) -> Option<Report> {
    let mut words = line.split(' ');
    let mut number = |name: &str| {
        (words.next() == Some(name)).then(|| words.next())?.and_then(|word| usize::from_str_radix(&word[2..], 16).ok())
    };
    Some(Report {
        calls: number("calls")?,
        words: number("words")?,
        gvars: number("gvars")?,
        frames: number("frames")?,
    })
}

/// The source tree's root.
fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compiles `corpus/run/SOURCE` with `compiler`, unless that has been done.
fn program(source: &str, compiler: &str, package: &str, options: &[&str]) -> io::Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("run");
    let mut texts = compiler.as_bytes().to_vec();
    let mut names: Vec<PathBuf> = fs::read_dir(&sources)?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
    names.sort();
    for name in names {
        texts.extend(fs::read(name)?);
    }
    texts.extend(options.concat().as_bytes());
    let output = directory()?.join(format!("{source}-{:016x}.exe", fnv1a(&texts)));
    if output.is_file() {
        return Ok(output);
    }
    replace(&output, |partial| {
        let mut command = Command::new(compiler);
        command.args(["-O1", "-Wall", "-Wextra", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"]);
        command.arg("-o").arg(partial).arg(sources.join(source)).args(options);
        let out = command.output().map_err(|error| missing(error, compiler, package))?;
        if out.status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr))))
        }
    })?;
    Ok(output)
}

/// Where the programs and manifests are kept.
fn directory() -> io::Result<PathBuf> {
    let dir = tree().join("target/run");
    fs::create_dir_all(&dir)?;
    dir.canonicalize()
}

/// Makes a file under another name first: nobody is to see half of it.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let partial = path.with_extension(format!("{}-{call}.exe", std::process::id()));
    make(&partial)?;
    fs::rename(&partial, path)
}

/// What no run should take; an image that loops must not stop the tests.
fn limited() -> Command {
    let mut command = Command::new("timeout");
    command.arg("300");
    command
}

fn windows(target: Target) -> io::Result<Command> {
    let mut command = limited();
    if target.cpu == Cpu::X86 {
        let host = program("windows.c", "i686-w64-mingw32-gcc", "gcc-mingw-w64-i686", &["-static-libgcc"])?;
        command.arg(tree().join("tests/hosts/wine32"));
        command.arg(format!("Z:{}", host.canonicalize()?.display().to_string().replace('/', "\\")));
    } else if target.cpu == Cpu::Aarch64 {
        let host = arm64_host()?;
        command.arg(tree().join("tests/hosts/wine-arm64"));
        command.arg(format!("Z:{}", host.canonicalize()?.display().to_string().replace('/', "\\")));
    } else {
        let host = program("windows.c", "x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64", &[])?;
        if !Path::new("/usr/lib/wine/wine64").exists() {
            return Err(io::Error::other("wine64 is not installed; it is in the Debian package wine64"));
        }
        command.arg(tree().join("tests/hosts/wine")).arg(host);
    }
    Ok(command)
}

/// What the program that loads images takes from the system, where there are no import libraries of mingw's.
const SYSTEM: &[(&str, &str)] = &[
    (
        "ucrtbase",
        "__acrt_iob_func __p___argc __p___argv _configure_narrow_argv calloc exit fclose fflush fgets fopen fputc fputs \
         fread free fwrite malloc memcmp memcpy memset realloc strchr strcmp strcspn strlen strncmp strncpy strstr",
    ),
    (
        "kernel32",
        "GetLastError GetModuleHandleW GetProcAddress LoadLibraryExW RtlCaptureContext RtlLookupFunctionEntry \
         RtlVirtualUnwind VirtualAlloc",
    ),
];

/// The program for Arm64, with import libraries and startup code of our own.
fn arm64_host() -> io::Result<PathBuf> {
    let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("run/windows_arm64.c").display().to_string();
    let mut options: Vec<String> = CLANG_ARM64.iter().map(|word| word.to_string()).collect();
    options.push(start);
    for (dll, names) in SYSTEM {
        let text = format!("LIBRARY {dll}.dll\nEXPORTS\n{}\n", names.replace(' ', "\n"));
        let library = directory()?.join(format!("{dll}-{:016x}.a", fnv1a(text.as_bytes())));
        if !library.is_file() {
            replace(&library, |partial| {
                let definitions = partial.with_extension("def");
                fs::write(&definitions, text)?;
                let mut command = Command::new("llvm-dlltool-22");
                command.args(["-m", "arm64", "-d"]).arg(&definitions).arg("-l").arg(partial);
                let out = command.output().map_err(|error| missing(error, "llvm-dlltool-22", "llvm-22"))?;
                fs::remove_file(&definitions)?;
                let said = String::from_utf8_lossy(&out.stderr).into_owned();
                if out.status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {said}"))) }
            })?;
        }
        options.push(library.display().to_string());
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    program("windows.c", "clang-19", "clang-19 lld-19 mingw-w64-common", &options)
}

fn macos(target: Target) -> io::Result<Command> {
    let mut command = limited();
    if target.cpu == Cpu::Aarch64 {
        let loader =
            program("macho.c", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross", &["-ldl"])?;
        let qemu = "/usr/bin/qemu-aarch64-static";
        if !Path::new(qemu).exists() {
            return Err(io::Error::other(format!(
                "{qemu} is not installed; it is in the Debian package qemu-user-static"
            )));
        }
        command.args([qemu, "-L", "/usr/aarch64-linux-gnu"]).arg(loader);
    } else {
        command.arg(program("macho.c", "cc", "gcc", &["-ldl"])?);
    }
    Ok(command)
}

fn named(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
