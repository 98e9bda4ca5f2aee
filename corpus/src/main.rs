//! The generator's program: `cargo run -p pkgld-corpus`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pkgld_corpus::presets::{Preset, preset, presets};
use pkgld_corpus::stubs::{Stubs, build_stubs};
use pkgld_corpus::{Julia, generate};

const USAGE: &str = "\
Makes object archives shaped like Julia's package images.

usage: pkgld-corpus list
           the presets: name, target, Julia, LLVM, shards, bytes of heap image, what for
       pkgld-corpus make NAME... [--dir DIR] [--heap BYTES]
           makes presets in DIR (default target/corpus); --heap changes the size of the heap image
       pkgld-corpus stubs VERSION DIR [--cc COMPILER]
           builds libjulia.so and libjulia-internal.so of that Julia (1.9 ... 1.14) into DIR
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
        ["stubs", version, dir] => stubs(version, dir, "cc"),
        ["stubs", version, dir, "--cc", cc] => stubs(version, dir, cc),
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
            "{:26} {target:14} {julia:4} {llvm:2} {:2} {:11} {committed:9} {about}",
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

fn stubs(version: &str, dir: &str, cc: &str) -> io::Result<()> {
    let julia =
        Julia::by_name(version).ok_or_else(|| wrong(format!("{version}: no Julia that the generator knows")))?;
    let Stubs { libjulia, libjulia_internal, .. } = build_stubs(Path::new(dir), julia, cc)?;
    println!("{}\n{}", libjulia.display(), libjulia_internal.display());
    Ok(())
}

fn committed() -> io::Result<()> {
    for Preset { spec, .. } in presets().into_iter().filter(|preset| preset.committed) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(spec.target.name);
        println!("{}", generate(&spec, &dir)?.archive.display());
    }
    for julia in Julia::ALL {
        println!("{}", build_stubs(&Stubs::committed(julia).dir, julia, "cc")?.dir.display());
    }
    Ok(())
}
