//! Programs in C and C++ make the images that the crate makes, plainly and under valgrind.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use linker::{Blob, Input, Inputs, Options, Target};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::{Julia, committed_for, target};

/// The directory of libpkgld.so, which cargo does not make for tests by itself.
fn libraries() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let mut cargo = Command::new(env!("CARGO"));
        run(cargo.args(["build", "-q", "-p", "pkgld-capi"]).current_dir(env!("CARGO_MANIFEST_DIR")));
        // This program is in the directory `deps` of the one that libraries are put in.
        let directory = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        assert!(directory.join("libpkgld.so").exists(), "no libpkgld.so in {}", directory.display());
        directory
    };
    MADE.get_or_init(make).clone()
}

/// Starts a program, which has to succeed.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: see tests/install"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output
}

/// Compiles one of the programs beside this file against the shared library.
fn compile(compiler: &str, standard: &str, source: &str, directory: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = directory.join(source).with_extension("out");
    let mut command = Command::new(compiler);
    command.args([standard, "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-pthread", "-I"]);
    command.arg(root.join("include")).arg(root.join("tests").join(source)).arg("-o").arg(&program);
    let libraries = libraries();
    command.arg("-L").arg(&libraries).arg(format!("-Wl,-rpath,{}", libraries.display())).arg("-lpkgld");
    run(&mut command);
    program
}

/// The program, or valgrind with it: any finding, a leak too, is a failure.
fn start(program: &Path, valgrind: bool) -> Command {
    if !valgrind {
        return Command::new(program);
    }
    let mut command = Command::new("valgrind");
    command.args(["-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"]).arg(program);
    command
}

fn image(inputs: Vec<Input<'_>>, options: &Options) -> (Vec<u8>, u32) {
    let inputs = Inputs::open(inputs, options).unwrap();
    let (bytes, report) = linker::link(&inputs, options).unwrap().to_vec().unwrap();
    (bytes, report.crc32c.unwrap())
}

fn blob_image() -> Vec<u8> {
    let heap = [7; 1000];
    let blob = Blob::new("data", &heap).align(64).size_symbol("size");
    image(vec![Input::blob(blob)], &Options::julia(Target::LINUX_X86_64)).0
}

#[test]
#[ignore = "needs the packages gcc and valgrind"]
fn c_makes_the_images_that_the_crate_makes() {
    let entry = committed_for(target::LINUX_X86_64).into_iter().find(|entry| entry.julia == Julia::V1_12).unwrap();
    let stubs = Stubs::committed_for(entry.target, entry.julia).dir;
    let mut options = Options::julia(Target::LINUX_X86_64);
    options.elf.soname = Some("image.so".to_owned());
    options.search_paths = vec![stubs.clone()];
    let archive = fs::read(&entry.path).unwrap();
    let inputs = vec![
        Input::bytes("archive", &archive).whole_archive(),
        Input::library("julia"),
        Input::library("julia-internal"),
    ];
    let (expected, sum) = image(inputs, &options);
    let directory = tempfile::tempdir().unwrap();
    let program = compile("gcc", "-std=c11", "use.c", directory.path());
    for valgrind in [false, true] {
        let out = directory.path().join(format!("image-{valgrind}"));
        let output = run(start(&program, valgrind).arg(&entry.path).arg(&stubs).arg(&out));
        // The library says nothing by itself.
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{sum:08x}\n"));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let made = |way: &str| fs::read(format!("{}.{way}", out.display())).unwrap();
        for way in ["file", "fd", "memory", "buffer", "run"] {
            assert!(made(way) == expected, "{way}");
        }
        assert!(made("blob") == blob_image());
    }
}

#[test]
#[ignore = "needs the packages g++ and valgrind"]
fn cpp_makes_the_image_that_the_crate_makes() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile("g++", "-std=c++14", "use.cpp", directory.path());
    for valgrind in [false, true] {
        let out = directory.path().join("image");
        let output = run(start(&program, valgrind).arg(&out));
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
        assert!(fs::read(&out).unwrap() == blob_image());
        fs::remove_file(&out).unwrap();
    }
}

#[test]
#[ignore = "needs the package binutils"]
fn library_has_no_other_names_for_others() {
    let mut command = Command::new("nm");
    let output =
        run(command.args(["-D", "--defined-only", "--format=just-symbols"]).arg(libraries().join("libpkgld.so")));
    let names = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = names.lines().collect();
    let header = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/pkgld.h")).unwrap();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(name.starts_with("pkgld_") && header.contains(&format!("{name}(")), "{name}");
    }
}
