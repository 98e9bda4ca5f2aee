//! Other people's readers take the images of Windows and macOS without complaint, and find in them what this crate's tests
//! find: nothing of the linker's own is used to read.
//!
//! Each archive's image is read by `pefile`, LIEF and `goblin`, by LLVM's programs and, on Windows' side, by `winedump`. What
//! they say of exports, imports, fixups and functions is compared entry by entry with the readers in `tests/pe` and
//! `tests/macho`, which in turn are compared with LLD's images and with what runs.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../corpus/tests/common/mod.rs"]
mod common;
mod contents;
#[allow(dead_code)]
#[path = "../pe/dll.rs"]
mod dll;
#[allow(dead_code)]
#[path = "../macho/image.rs"]
mod image;
mod lines;
mod load_rules;
mod macos;
mod malfunctions;
#[allow(dead_code)]
#[path = "../pe/meaning.rs"]
mod meaning;
mod python;
mod windows;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld_corpus::{Entry, command_line};

use common::scratch;

/// Links an archive by Julia's own command line with a linker, and `more`.
fn link_with(linker: &mut Command, entry: &Entry, suffix: &str, more: &[&str]) -> PathBuf {
    let name = format!("{}-{}{suffix}", entry.target.name, entry.path.file_stem().unwrap().display());
    let output = scratch("readers").join(name);
    let mut arguments = command_line::arguments(entry, &output);
    arguments.extend(more.iter().map(OsString::from));
    let out = linker.args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.is_empty(), "{}: {text}", entry.path.display());
    output
}

/// Links an archive with the program.
fn link(entry: &Entry, suffix: &str, more: &[&str]) -> PathBuf {
    link_with(&mut Command::new(env!("CARGO_BIN_EXE_pkgld")), entry, suffix, more)
}

/// Runs a reader on an image, which it must take without a word of complaint; what it prints.
fn read(reader: &str, image: &Path, package: &str) -> String {
    let mut words = reader.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).arg(image).output();
    let output = output.unwrap_or_else(|error| panic!("{reader}: {error}: install the package {package}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    let faults: Vec<&str> =
        text.lines().filter(|line| line.contains("warning:") || line.contains("<corrupt")).collect();
    assert!(
        output.status.success() && said.is_empty() && faults.is_empty(),
        "{reader} {}: {}: {said}{faults:?}",
        image.display(),
        output.status
    );
    text
}

/// How many lines of a text begin with `start`, but for white space.
fn lines_with(text: &str, start: &str) -> usize {
    text.lines().filter(|line| line.trim_start().starts_with(start)).count()
}
