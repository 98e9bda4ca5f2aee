//! Regenerates what is committed and compares bytes.
//!
//! Needs `llc-14`, `-15`, `-16`, `-19`, `-22` (Debian packages `llvm-N`) and `cc`; what is missing is told by name.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::Object as _;
use pkgld_corpus::presets::{committed_stubs, presets};
use pkgld_corpus::stubs::{Stubs, build_stubs};
use pkgld_corpus::target::Cpu;
use pkgld_corpus::{generate, reference_sysimg, written_sysimg};

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("regenerate").join(name)
}

#[test]
fn regeneration_gives_the_committed_bytes() {
    for preset in presets().into_iter().filter(|preset| preset.committed) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(preset.spec.target.name);
        let made = generate(&preset.spec, &scratch(preset.spec.target.name)).unwrap();
        for path in [made.archive, made.expect] {
            let committed = folder.join(path.file_name().unwrap());
            assert!(fs::read(&path).unwrap() == fs::read(&committed).unwrap(), "{} differs", committed.display());
        }
    }
}

#[test]
fn the_heap_image_member_is_what_llc_writes() {
    for preset in presets().into_iter().filter(|preset| preset.committed) {
        let mut spec = preset.spec;
        for (heap, align) in [(1, 64), (100, 16384), (4096, spec.heap_align)] {
            // RISC-V's compiler keeps the smallest variables, which no heap image is, in a section of their own.
            let heap = if spec.target.cpu == Cpu::Riscv64 { heap.max(17) } else { heap };
            (spec.heap, spec.heap_align) = (heap, align);
            let reference = reference_sysimg(&spec, &scratch("sysimg")).unwrap();
            let written = written_sysimg(&spec, &scratch("sysimg")).unwrap();
            assert!(written == reference, "{} on {} with {heap} bytes", spec.name, spec.target.name);
        }
    }
}

/// The archive's own bytes, headers and symbol table, as LLVM's archiver writes them in both forms.
#[test]
fn archives_are_packed_as_llvm_packs_them() {
    for name in ["julia-1.11-llvm16-shards4", "julia-1.12-llvm19-sym64", "julia-1.9-llvm14"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("linux-x86_64").join(format!("{name}.a"));
        let dir = scratch("ar").join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let data = fs::read(&path).unwrap();
        let archive = object::read::archive::ArchiveFile::parse(&*data).unwrap();
        let mut names = Vec::new();
        for member in archive.members() {
            let member = member.unwrap();
            names.push(String::from_utf8(member.name().to_vec()).unwrap());
            fs::write(dir.join(names.last().unwrap()), member.data(&*data).unwrap()).unwrap();
        }
        let packed = dir.join("packed.a");
        let mut command = Command::new("llvm-ar-14");
        command.args(["rcD", "--format=gnu"]).arg(&packed).args(&names).current_dir(&dir);
        if name.ends_with("sym64") {
            // Offsets from here on make the archiver take the 64-bit form.
            command.env("SYM64_THRESHOLD", "1");
        }
        let out = command.output().unwrap_or_else(|error| panic!("llvm-ar-14 (Debian package llvm-14): {error}"));
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(fs::read(&packed).unwrap() == data, "{name} differs from {}", packed.display());
    }
}

#[test]
fn stubs_build_to_the_committed_bytes_with_the_compiler_that_made_them() {
    stubs_build_to_the_committed_bytes(|cpu| cpu == Cpu::X86_64);
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, -arm-linux-gnueabihf, -i686-, -powerpc64le- and -riscv64-linux-gnu"]
fn stubs_of_other_processors_too() {
    stubs_build_to_the_committed_bytes(|cpu| cpu != Cpu::X86_64);
}

fn stubs_build_to_the_committed_bytes(wanted: fn(Cpu) -> bool) {
    for (target, julia) in committed_stubs().into_iter().filter(|(target, _)| wanted(target.cpu)) {
        let (compiler, package) = target.compiler();
        let version = Command::new(compiler).arg("--version").output();
        let version = version.unwrap_or_else(|error| panic!("{compiler} (Debian package {package}): {error}"));
        let version = String::from_utf8(version.stdout).unwrap();
        let directory = scratch("stubs").join(target.name).join(julia.name());
        let made = build_stubs(&directory, target, julia, None).unwrap();
        let committed = Stubs::committed_for(target, julia);
        for (made, committed) in
            [(made.libjulia, committed.libjulia), (made.libjulia_internal, committed.libjulia_internal)]
        {
            let name = committed.display().to_string();
            let (made, committed) = (fs::read(&made).unwrap(), fs::read(&committed).unwrap());
            assert_eq!(exports(&made), exports(&committed), "{name}");
            // Another compiler makes other code from the same source.
            if version.contains("Debian 12.2.0") {
                assert!(made == committed, "{name} differs");
            }
        }
    }
}

fn exports(library: &[u8]) -> Vec<Vec<u8>> {
    let library = object::File::parse(library).unwrap();
    let exports = library.exports().unwrap();
    let mut names: Vec<Vec<u8>> = exports.map(|export| export.unwrap().name().name().unwrap().to_vec()).collect();
    names.sort();
    assert!(names.len() > 20);
    names
}
