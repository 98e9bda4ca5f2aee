//! Links each committed archive of Windows and macOS with the toolchain's own LLD by Julia's command line, and runs it:
//! what fails here is wrong in the corpus or in the runners, not in a linker under test.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{rust_lld, scratch};
use pkgld_corpus::target::{Format, MACOS_ARM64, MACOS_X86_64, Target, WINDOWS_AARCH64, WINDOWS_I686, WINDOWS_X86_64};
use pkgld_corpus::{Entry, command_line, committed_for, run};

/// Links an archive with `linker`, LLD in one of its guises, giving it what Julia gives and `more`.
fn link(mut linker: Command, entry: &Entry, suffix: &str, more: &[&str]) -> PathBuf {
    let name = entry.path.file_stem().unwrap().to_str().unwrap();
    let output = scratch("foreign").join(format!("{}-{name}{suffix}", entry.target.name));
    linker.args(command_line::arguments(entry, &output)).args(more);
    if entry.target.format == Format::Coff {
        linker.args(["-e", command_line::entry_point(entry.target.cpu)]);
    }
    let out = linker.output().unwrap();
    assert!(out.status.success(), "{linker:?}: {}", String::from_utf8_lossy(&out.stderr));
    output
}

fn every_archive_of(target: Target, linker: impl Fn() -> Command, suffix: &str, more: &[&str]) {
    let entries = committed_for(target);
    assert!(entries.len() >= 4, "only {} archives", entries.len());
    for entry in entries {
        let image = link(linker(), &entry, suffix, more);
        let report = run::check_committed(&entry, &image);
        let report = report.unwrap_or_else(|error| panic!("{}:\n{error}", entry.path.display()));
        assert!(report.calls > 50 && report.words > 0 && report.frames == 10, "{}: {report:?}", image.display());
    }
}

fn lld() -> Command {
    Command::new(rust_lld())
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-x86-64 and wine64"]
fn images_of_64_bit_windows_run() {
    every_archive_of(WINDOWS_X86_64, lld, ".dll", &[]);
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-i686, mmdebstrap and arch-test"]
fn images_of_32_bit_windows_run() {
    every_archive_of(WINDOWS_I686, lld, ".dll", &[]);
}

#[test]
#[ignore = "needs the packages clang-19, lld-19, llvm-22, mingw-w64-common, mmdebstrap and qemu-user-static"]
fn images_of_arm64_windows_run() {
    every_archive_of(WINDOWS_AARCH64, lld, ".dll", &[]);
}

/// Chained fixups, and the opcodes that LLD 16 writes.
fn both_kinds_of_fixups(target: Target) {
    every_archive_of(target, lld, ".dylib", &[]);
    every_archive_of(target, || Command::new("lld-16"), "-16.dylib", &[]);
    every_archive_of(target, lld, "-opcodes.dylib", &["-no_fixup_chains"]);
}

#[test]
#[ignore = "needs the package lld-16"]
fn images_of_macos_on_x86_64_run() {
    both_kinds_of_fixups(MACOS_X86_64);
}

#[test]
#[ignore = "needs the packages lld-16, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static"]
fn images_of_macos_on_arm64_run() {
    both_kinds_of_fixups(MACOS_ARM64);
}
