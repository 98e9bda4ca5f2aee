//! The generator's program: `cargo run -p pkgld-corpus`.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod process;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use pkgld_corpus::presets::{Preset, committed_stubs, preset, presets};
use pkgld_corpus::stubs::{Stubs, build_stubs, macos, windows};
use pkgld_corpus::target::{self, Format};
use pkgld_corpus::{Julia, Target, committed_for, generate};

const USAGE: &str = "\
Makes object archives shaped like Julia's package images.

usage: pkgld-corpus list
           the presets: name, target, Julia, LLVM, shards, bytes of heap image, what for
       pkgld-corpus make NAME... [--dir DIR] [--heap BYTES]
           makes presets in DIR (default target/corpus); --heap changes the size of the heap image
       pkgld-corpus stubs TARGET VERSION DIR [--cc COMPILER]
           builds libjulia.so and libjulia-internal.so of that Julia (1.9 ... 1.14) for a target such as
           linux-aarch64 into DIR; for Windows all that its command line names, of any version
       pkgld-corpus run IMAGE EXPECT STUBS
           loads an image with the stub libraries in the directory STUBS, and makes the checks of its manifest; what this
           program was built for must be what the image runs on
       pkgld-corpus committed
           makes all that is committed, in place: archives, manifests, stubs

Archives need llc-14, -15, -16, -19 or -22 (Debian packages llvm-N), stubs a C compiler.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *words {
        ["list"] => list(),
        ["make", ref rest @ ..] if !rest.is_empty() => make(rest),
        ["stubs", target, version, dir] => stubs(target, version, dir, None),
        ["stubs", target, version, dir, "--cc", cc] => stubs(target, version, dir, Some(cc)),
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        ["run", image, expect, stubs] => process::run(image, expect, stubs),
        #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
        ["run", ..] => Err(io::Error::new(io::ErrorKind::Unsupported, "images are run on Linux with glibc")),
        ["committed"] => committed(),
        ["help" | "-h" | "--help"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pkgld-corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}

fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for Preset { spec, committed, about } in presets() {
        let (target, julia, llvm) = (spec.target.name, spec.julia.name(), spec.llvm);
        let committed = if committed { "committed" } else { "" };
        writeln!(
            out,
            "{:26} {target:15} {julia:4} {llvm:2} {:2} {:11} {committed:9} {about}",
            spec.name, spec.shards, spec.heap
        )?;
    }
    Ok(())
}

fn make(words: &[&str]) -> io::Result<()> {
    let (mut dir, mut heap, mut chosen) = (PathBuf::from("target/corpus"), None, Vec::new());
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        match word {
            "--dir" => dir = words.next().ok_or_else(|| wrong("--dir wants a directory"))?.into(),
            "--heap" => {
                let bytes = words.next().and_then(|bytes| bytes.parse().ok());
                heap = Some(bytes.ok_or_else(|| wrong("--heap wants a number of bytes"))?);
            }
            name => chosen.push(preset(name).ok_or_else(|| wrong(format!("{name}: no preset of that name")))?),
        }
    }
    for Preset { mut spec, .. } in chosen {
        spec.heap = heap.unwrap_or(spec.heap);
        println!("{}", generate(&spec, &dir)?.archive.display());
    }
    Ok(())
}

fn stubs(target: &str, version: &str, dir: &str, cc: Option<&str>) -> io::Result<()> {
    let target =
        Target::by_name(target).ok_or_else(|| wrong(format!("{target}: no target that the generator knows")))?;
    let julia =
        Julia::by_name(version).ok_or_else(|| wrong(format!("{version}: no Julia that the generator knows")))?;
    if target.format == Format::Coff {
        println!("{}", windows::build(Path::new(dir), target)?.bin.display());
        return Ok(());
    }
    let Stubs { libjulia, libjulia_internal, .. } = build_stubs(Path::new(dir), target, julia, cc)?;
    println!("{}\n{}", libjulia.display(), libjulia_internal.display());
    Ok(())
}

fn committed() -> io::Result<()> {
    for Preset { spec, .. } in presets().into_iter().filter(|preset| preset.committed) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(spec.target.name);
        println!("{}", generate(&spec, &dir)?.archive.display());
    }
    for (target, julia) in committed_stubs() {
        println!("{}", build_stubs(&Stubs::committed_for(target, julia).dir, target, julia, None)?.dir.display());
    }
    for &target in target::ALL {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(target.name).join("stubs");
        match target.format {
            Format::Elf => continue,
            Format::Coff => {
                windows::build(&dir, target)?;
            }
            Format::MachO => {
                for entry in committed_for(target) {
                    macos::build(&dir, target, entry.julia)?;
                }
                macos::build_dylibs(&dir, target, Julia::V1_12, &rust_lld()?)?;
                macos::build_system(&dir, target)?;
            }
        }
        println!("{}", dir.display());
    }
    Ok(())
}

/// The LLD that comes with rustc.
fn rust_lld() -> io::Result<PathBuf> {
    let out = Command::new("rustc").args(["--print", "sysroot"]).output()?;
    Ok(Path::new(String::from_utf8_lossy(&out.stdout).trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"))
}
