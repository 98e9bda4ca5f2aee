//! The program in Julia's place: its own command lines, its own archives, and images that load and compute what they must.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../corpus/tests/common/mod.rs"]
mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use pkgld_corpus::presets::big;
use pkgld_corpus::run::check;
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::{Julia, Manifest, Target, committed, committed_for, target};

use common::{run, scratch};

/// The program under the name and in the place where Julia looks for LLD.
static LLD: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = scratch("libexec").join("lld");
    let _ = fs::remove_file(&place);
    // A link, not a copy: while another test starts a program, a file that was just written may not be run.
    fs::hard_link(env!("CARGO_BIN_EXE_pkgld"), &place).unwrap();
    place
});

/// The command line of `base/linking.jl`, for the Julia that the archive imitates.
fn julia_link(archive: &Path, output: &Path, julia: Julia, stubs: &Stubs) -> Command {
    let dir = &stubs.dir;
    let search = || format!("-L{}", dir.display());
    let mut command = Command::new(&*LLD);
    command.args(["-flavor", "gnu"]);
    if julia.name() == "1.14" {
        command.args(["--build-id", "--eh-frame-hdr", "--hash-style=gnu", "--as-needed", "-z", "relro"]);
    }
    // The empty string stands where "--verbose" would.
    command.args(["", "-shared", "-o"]).arg(output);
    command.arg("--whole-archive").arg(archive).arg("--no-whole-archive");
    let searches = if julia.name() == "1.9" { 3 } else { 2 };
    command.args(std::iter::repeat_with(search).take(searches));
    command.args(["-ljulia", "-ljulia-internal"]);
    command
}

/// Links as Julia does: to a temporary file that is there already, empty, with mode 0600.
fn link(archive: &Path, julia: Julia, name: &str) -> PathBuf {
    link_with(archive, julia, &Stubs::committed(julia), name)
}

/// As [`link`], with these libraries.
fn link_with(archive: &Path, julia: Julia, stubs: &Stubs, name: &str) -> PathBuf {
    let output = scratch("images").join(name);
    fs::write(&output, []).unwrap();
    fs::set_permissions(&output, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = julia_link(archive, &output, julia, stubs);
    let result = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
    assert!(result.status.success(), "{command:?}: {out}{err}");
    assert!(out.is_empty() && err.is_empty(), "{command:?} is not quiet: {out}{err}");
    output
}

#[test]
fn every_archive_links_loads_and_computes() {
    let entries = committed();
    assert!(!entries.is_empty());
    for entry in entries {
        let name = format!("{}-{}", entry.target.name, entry.path.file_stem().unwrap().display());
        let image = link(&entry.path, entry.julia, &name);
        // Everybody may read and run it, as far as the umask allows: here, what a new file of mode 0777 gets.
        let probe = image.with_extension("mode");
        let mode = fs::metadata(&image).unwrap().mode() & 0o777;
        let _ = fs::remove_file(&probe);
        fs::DirBuilder::new().create(&probe).unwrap();
        assert_eq!(mode, fs::metadata(&probe).unwrap().mode() & 0o777, "{}", image.display());
        fs::remove_dir(&probe).unwrap();
        run(&image, &entry.manifest).unwrap_or_else(|error| panic!("{}: {error}", entry.path.display()));
    }
}

/// The same for a CPU that an emulator runs.
fn every_archive_of(target: Target) {
    let entries = committed_for(target);
    assert!(!entries.is_empty());
    for entry in entries {
        let name = format!("{}-{}", entry.target.name, entry.path.file_stem().unwrap().display());
        let stubs = Stubs::committed_for(target, entry.julia);
        let image = link_with(&entry.path, entry.julia, &stubs, &name);
        check(target, &image, &entry.manifest, &stubs)
            .unwrap_or_else(|error| panic!("{}: {error}", entry.path.display()));
    }
}

#[test]
#[ignore = "needs the packages gcc-i686-linux-gnu and qemu-user-static"]
fn every_archive_of_linux_i686() {
    every_archive_of(target::LINUX_I686);
}

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu and qemu-user-static"]
fn every_archive_of_linux_riscv64() {
    every_archive_of(target::LINUX_RISCV64);
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu and qemu-user-static"]
fn every_archive_of_aarch64() {
    every_archive_of(target::LINUX_AARCH64);
    every_archive_of(target::FREEBSD_AARCH64);
}

#[test]
#[ignore = "needs the packages gcc-arm-linux-gnueabihf and qemu-user-static"]
fn every_archive_of_linux_armv7() {
    every_archive_of(target::LINUX_ARMV7);
}

#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn every_archive_of_linux_ppc64le() {
    every_archive_of(target::LINUX_PPC64LE);
}

#[test]
fn the_needed_libraries_and_versions_are_julias() {
    use object::read::elf::{ElfFile64, FileHeader as _};
    for entry in committed() {
        let name = format!("needed-{}-{}", entry.target.name, entry.path.file_stem().unwrap().display());
        let image = fs::read(link(&entry.path, entry.julia, &name)).unwrap();
        let file = ElfFile64::<object::LittleEndian>::parse(&*image).unwrap();
        let table = file.elf_dynamic_table().unwrap();
        let needed: Vec<String> = table
            .iter()
            .filter(|entry| entry.tag == object::elf::DT_NEEDED)
            .map(|entry| String::from_utf8_lossy(table.string(entry).unwrap()).into_owned())
            .collect();
        let version = entry.julia.name();
        let (julia, internal) = (format!("libjulia.so.{version}"), format!("libjulia-internal.so.{version}"));
        // From 1.13 on only libraries that define something are needed.
        let wanted: &[String] = if needed.len() == 1 { &[internal] } else { &[julia, internal] };
        assert_eq!(needed, wanted, "{}", entry.path.display());
        let endian = object::LittleEndian;
        let header = file.elf_header();
        assert_eq!(header.e_ident().os_abi.0, if entry.target.name.starts_with("freebsd") { 9 } else { 0 });
        let first = file
            .elf_program_headers()
            .iter()
            .find(|segment| segment.p_type.get(endian) == object::elf::PT_LOAD)
            .unwrap();
        assert_eq!(first.p_vaddr.get(endian), 0, "the image's addresses count from where it is loaded");
    }
}

/// Images beyond 2 GiB, which LLD cannot link (`corpus/tests/big.rs` shows that).
#[test]
#[ignore = "writes 2.5 GB three times over"]
fn images_beyond_2_gib_load_and_compute() {
    const HEAP: u64 = 2_500_000_000;
    let directory = scratch("beyond");
    let free = rustix::fs::statvfs(&directory).unwrap();
    let free = free.f_bavail * free.f_frsize;
    let wanted = HEAP + (1 << 30);
    assert!(free > wanted, "{}: {free} bytes are free, {wanted} are needed", directory.display());
    for from in ["julia-1.12-llvm19-shards3", "julia-1.11-llvm16", "julia-1.13-llvm22"] {
        let made = big(from, HEAP, &directory).unwrap();
        let manifest = Manifest::read(&made.expect).unwrap();
        let image = link(&made.archive, manifest.julia, &format!("beyond-{from}"));
        run(&image, &manifest).unwrap_or_else(|error| panic!("{from}: {error}"));
        fs::remove_file(image).unwrap();
        fs::remove_file(made.archive).unwrap();
    }
}

/// The same for CPUs that an emulator runs.
fn image_beyond_2_gib(target: Target) {
    let directory = scratch("beyond").join(target.name);
    let made = big(&format!("{}/julia-1.14-llvm22", target.name), 2_500_000_000, &directory).unwrap();
    let manifest = Manifest::read(&made.expect).unwrap();
    let stubs = Stubs::committed_for(target, manifest.julia);
    let image = link_with(&made.archive, manifest.julia, &stubs, &format!("beyond-{}", target.name));
    check(target, &image, &manifest, &stubs).unwrap();
    fs::remove_file(image).unwrap();
    fs::remove_file(made.archive).unwrap();
}

#[test]
#[ignore = "writes 2.5 GB, and needs the packages gcc-riscv64-linux-gnu and qemu-user-static"]
fn images_of_linux_riscv64_beyond_2_gib_load_and_compute() {
    image_beyond_2_gib(target::LINUX_RISCV64);
}

#[test]
#[ignore = "writes 2.5 GB, and needs the packages gcc-aarch64-linux-gnu and qemu-user-static"]
fn images_of_linux_aarch64_beyond_2_gib_load_and_compute() {
    image_beyond_2_gib(target::LINUX_AARCH64);
}

/// What eu-elflint says of images that are right, each with the reason.
const LINT_ALLOWED: [(&str, &str); 7] = [
    ("_GLOBAL_OFFSET_TABLE_ symbol size 0 does not match", "a label, which no linker gives a size"),
    ("_DYNAMIC symbol size 0 does not match", "a label, which no linker gives a size"),
    ("contains invalid processor-specific flag(s) 0x10000000", "SHF_X86_64_LARGE, which the tool does not know"),
    (
        "'.gnu.hash': hash table entry size incorrect",
        "on 32 bits GNU ld says 4, LLD nothing: entries are of several sizes",
    ),
    ("(.TOC.): st_value out of bounds", "by the ABI of POWER it is 32 KiB behind the start of the section"),
    ("'.plt' has wrong type: expected PROGBITS", "the tool means NOBITS, of POWER's; the loader fills it either way"),
    (
        "bss' not fully contained in segment of program header entry",
        "the tool takes what fills the last page that becomes read-only for bytes of the file, where .bss or .lbss would be",
    ),
];

/// Runs a reader on an image; what it prints.
fn read(reader: &str, image: &Path, package: &str) -> (String, String) {
    let mut words = reader.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).arg(image).output();
    let output = output.unwrap_or_else(|error| panic!("{reader}: {error}: install the package {package}"));
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The platforms beside x86-64 whose images are read.
const OTHERS: [Target; 6] = [
    target::LINUX_I686,
    target::LINUX_AARCH64,
    target::FREEBSD_AARCH64,
    target::LINUX_ARMV7,
    target::LINUX_RISCV64,
    target::LINUX_PPC64LE,
];

#[test]
#[ignore = "needs the packages binutils, llvm-22 and elfutils"]
fn other_readers_find_no_fault() {
    let mut allowed_used = std::collections::BTreeSet::new();
    for entry in committed().into_iter().chain(OTHERS.into_iter().flat_map(committed_for)) {
        let name = format!("read-{}-{}", entry.target.name, entry.path.file_stem().unwrap().display());
        let stubs = Stubs::committed_for(entry.target, entry.julia);
        let image = link_with(&entry.path, entry.julia, &stubs, &name);
        for (reader, package) in [("readelf -aW", "binutils"), ("llvm-readelf-22 -a", "llvm-22")] {
            let (printed, said) = read(reader, &image, package);
            let faults: Vec<&str> = printed
                .lines()
                .filter(|line| line.to_lowercase().contains("warning:") || line.contains("<corrupt"))
                .collect();
            assert!(said.is_empty() && faults.is_empty(), "{reader} {}: {said}{faults:?}", image.display());
        }
        let (findings, _) = read("eu-elflint", &image, "elfutils");
        for finding in findings.lines().filter(|line| *line != "No errors") {
            let allowed = LINT_ALLOWED.iter().find(|(allowed, _)| finding.contains(allowed));
            let Some((allowed, _)) = allowed else { panic!("eu-elflint {}: {finding}", image.display()) };
            allowed_used.insert(*allowed);
        }
        if entry.target.name == "linux-x86_64" {
            // In a process, as Julia loads it: behind Julia's libraries, and with libc, which no image asks for.
            let stubs = Stubs::committed(entry.julia);
            let libraries = [&stubs.libjulia, &stubs.libjulia_internal, &image].map(|path| path.display().to_string());
            let mut command = Command::new("ldd");
            command.args(["-r", "/bin/true"]).env("LD_PRELOAD", libraries.join(" "));
            let output = command.output().expect("ldd is part of glibc");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            // A function that is never called need not be there: this archive is about just that.
            let cold = entry.path.file_stem().unwrap().to_string_lossy().ends_with("-cold");
            let undefined: Vec<&str> = said
                .lines()
                .filter(|line| line.contains("undefined symbol") && !(cold && line.contains("__udivti3")))
                .collect();
            assert!(undefined.is_empty(), "ldd -r {}: {undefined:?}", image.display());
        }
    }
    let unused: Vec<_> = LINT_ALLOWED.iter().filter(|(allowed, _)| !allowed_used.contains(allowed)).collect();
    assert!(unused.is_empty(), "allowances without use: {unused:?}");
}
