//! Readers that are Python packages: one process of `readers.py` for all images.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::image::Image;
use crate::{macos, windows};

/// Gives the script what the tests' own readers found; it must say that it found the same, and nothing else.
fn run(images: usize, facts: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/python/bin/python");
    assert!(python.exists(), "{} is not there: tests/install makes it", python.display());
    let mut command = Command::new(python);
    command.arg(root.join("tests/readers/readers.py"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(facts.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let (text, said) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.is_empty(), "{text}{said}");
    assert_eq!(text, format!("{images} images\n"));
}

#[test]
#[ignore = "needs the packages python3-venv, and from PyPI pefile and lief"]
fn pefile_and_lief_read_dlls() {
    let images = windows::images();
    let mut facts = String::new();
    for windows::Read { path, dll, rows, .. } in &images {
        writeln!(facts, "pe {}", path.display()).unwrap();
        for (number, name, place) in dll.exports().1 {
            writeln!(facts, "export {number} {place} {name}").unwrap();
        }
        for (slot, (library, name)) in dll.imports() {
            writeln!(facts, "import {slot} {library} {name}").unwrap();
        }
        for (kind, place) in dll.base_relocations() {
            writeln!(facts, "fixup {kind} {place}").unwrap();
        }
        for start in rows {
            writeln!(facts, "row {start}").unwrap();
        }
        if dll.machine() == object::pe::IMAGE_FILE_MACHINE_AMD64.0 {
            for (start, end, data) in dll.functions() {
                writeln!(facts, "function {start} {end} {data}").unwrap();
            }
        }
    }
    run(images.len(), &facts);
}

#[test]
#[ignore = "needs the packages python3-venv, and from PyPI pefile and lief"]
fn lief_reads_dylibs() {
    let pairs = macos::pairs();
    let mut facts = String::new();
    for pair in &pairs {
        let chained = fs::read(&pair.chained).unwrap();
        let chained = Image::new(&chained);
        for path in [&pair.chained, &pair.programs] {
            let bytes = fs::read(path).unwrap();
            let image = Image::new(&bytes);
            writeln!(facts, "macho {}", path.display()).unwrap();
            for (name, at) in image.exports() {
                writeln!(facts, "export {at} {}", String::from_utf8(name).unwrap()).unwrap();
            }
            for at in image.function_starts() {
                writeln!(facts, "start {at}").unwrap();
            }
            // The same is fixed up, at the same places, whichever form says so.
            for (name, library, addend, _) in chained.binds() {
                writeln!(facts, "bind {library} {addend} {}", String::from_utf8(name).unwrap()).unwrap();
            }
            for at in chained.rebases() {
                writeln!(facts, "rebase {at}").unwrap();
            }
        }
    }
    run(2 * pairs.len(), &facts);
}
